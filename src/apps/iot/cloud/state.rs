//! Where an account stands while the process runs.

use std::collections::{BTreeMap, VecDeque};

use url::Url;

use super::asked::{Action, By};
use super::secrets::Secrets;
use crate::app::Token;
use crate::app::kit::backoff::{Backoff, Growth};
use crate::apps::iot::settings::Settings;
use crate::apps::iot::wire::id::ShellyId;
use crate::base::ids::ReqId;
use crate::base::time::Millis;

/// What is known of an account while the process runs.
pub(in super::super) struct Cloud {
    /// `None`: they cannot be read, or there are none.
    pub secrets: Option<Secrets>,
    /// Where the account is.
    pub host: Option<Url>,
    pub phase: Phase,
    /// The waits between tries to open the socket.
    pub tries: Backoff,
    /// The waits between tries to have something of HTTP: a token while the socket is open, the devices.
    pub asks: Backoff,
    /// The token is over, by what the cloud has done: a newer one is asked for before the next try.
    pub is_stale: bool,
    /// The devices were asked for with a token that the cloud refused, and are to be asked for with the next.
    pub is_refused: bool,
    /// The first status since the socket opened is not in yet.
    pub is_syncing: bool,
    pub line: Line,
    /// Commands on their way, by their transaction.
    pub flying: BTreeMap<u64, Flying>,
    pub next_trid: u64,
    /// What is being done to it, if `acting`, and what waits for that.
    pub acts: VecDeque<(Action, By)>,
    pub acting: bool,
    /// Those who have asked for its devices.
    pub syncs: Vec<ReqId>,
}

/// Where a connection stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in super::super) enum Phase {
    Idle,
    /// A token is asked for, and the socket is opened with it.
    Renewing,
    Opening {
        link: Token,
    },
    Open {
        link: Token,
        since: Millis,
    },
    /// It has a key alone, by which the cloud has answered.
    Keyed,
    /// It is tried again after a delay.
    Waiting,
    /// The cloud refuses it: it is not tried again by itself.
    Failed,
}

/// What is due for an account.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(in super::super) enum Step {
    /// The delay before the next try is over.
    Retry,
    /// Its token comes to its end.
    Renew,
    /// The next call may leave.
    Line,
    /// The devices are asked for again.
    Sync,
    /// A restart goes on.
    Restart,
}

impl Cloud {
    pub(super) fn new(secrets: Option<Secrets>, host: Option<Url>, settings: &Settings) -> Cloud {
        Cloud {
            secrets,
            host,
            phase: Phase::Idle,
            tries: Backoff::new(growth(settings)),
            asks: Backoff::new(growth(settings)),
            is_stale: false,
            is_refused: false,
            is_syncing: false,
            line: Line::default(),
            flying: BTreeMap::new(),
            next_trid: 1,
            acts: VecDeque::new(),
            acting: false,
            syncs: Vec::new(),
        }
    }

    /// The link of its socket.
    pub(in super::super) fn link(&self) -> Option<Token> {
        match self.phase {
            Phase::Opening { link } | Phase::Open { link, .. } => Some(link),
            _ => None,
        }
    }

    /// Whether messages come and go.
    pub(in super::super) fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open { .. })
    }

    /// Whether it is about to be open.
    pub(super) fn is_opening(&self) -> bool {
        matches!(self.phase, Phase::Renewing | Phase::Opening { .. })
    }
}

/// What waits to be asked.
#[derive(Default, Debug)]
pub(crate) struct Line {
    pub waiting: VecDeque<Http>,
    /// The one that is asked, and not answered.
    pub asked: Option<Http>,
    pub next_at: Millis,
}

/// One call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Http {
    /// A newer token, by the code or by the refresh token.
    Renew { by_code: bool },
    /// All devices.
    AllStatus,
    /// The states of devices, by the key.
    Get { ids: Vec<ShellyId> },
    /// A command, by its number.
    Set { ticket: u64, id: ShellyId, channel: u8, on: bool, timer_s: Option<u32> },
}

impl Http {
    /// Whether it is the same question: asked twice it is asked once.
    pub(super) fn is_like(&self, other: &Http) -> bool {
        matches!((self, other), (Http::Renew { .. }, Http::Renew { .. }) | (Http::AllStatus, Http::AllStatus))
    }
}

impl Line {
    /// A command goes, unasked.
    pub(super) fn withdraw(&mut self, command: u64) {
        self.waiting.retain(|http| !matches!(http, Http::Set { ticket, .. } if *ticket == command));
    }

    /// Whether a command waits here.
    pub(super) fn holds(&self, command: u64) -> bool {
        self.waiting.iter().any(|http| matches!(http, Http::Set { ticket, .. } if *ticket == command))
    }

    /// Nothing of it is asked any more; the numbers of its commands.
    pub(super) fn clear(&mut self) -> Vec<u64> {
        let command = |http: Http| match http {
            Http::Set { ticket, .. } => Some(ticket),
            _ => None,
        };
        self.waiting.drain(..).filter_map(command).collect()
    }
}

/// A command on the socket.
pub(in super::super) struct Flying {
    pub ticket: u64,
    pub device: ShellyId,
}

/// Chance is the account's own: see `Turn::delay`.
fn growth(settings: &Settings) -> Growth {
    Growth {
        base_ms: settings.reconnect_delay_ms,
        factor: settings.reconnect_backoff,
        cap_ms: settings.reconnect_delay_max_ms,
        jitter: 0.0,
        stable_ms: settings.backoff_reset_ms,
    }
}
