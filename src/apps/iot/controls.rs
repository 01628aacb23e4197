//! Askings: the devices that somebody wants to do something, what came of each, and how the one who waits is answered.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::command::Turned;
use super::settings::Settings;
use crate::app::kit::dedup::{Bounds, Dedup};
use crate::app::kit::rate::Buckets;
use crate::base::ids::{ReqId, SocketRef};
use crate::base::time::Millis;

/// Askings of a system whose commands have not all ended, and those whose answer is remembered.
pub(super) struct Controls {
    /// The asking of a command, and its place there.
    pub tickets: BTreeMap<u64, (u64, usize)>,
    pub askings: BTreeMap<u64, Asking>,
    pub last: u64,
    /// By the one who asks and what it calls the request.
    pub once: Dedup<Once, String, Arc<Vec<Ended>>, Waiter>,
    /// Commands of each account.
    pub per_account: Buckets<Arc<str>>,
}

/// What makes a request the same.
pub(super) type Once = (Arc<str>, String);

/// One asking.
pub(super) struct Asking {
    pub waiter: Waiter,
    pub once: Option<Once>,
    pub at: Millis,
    pub ended: Vec<Option<Ended>>,
}

/// What came of it for one device.
#[derive(Clone, Debug)]
pub(super) struct Ended {
    /// The device's own id; of one that is not known, what was asked for.
    pub device: String,
    /// How the switch was, where that is known, or a code and what there is to know about it.
    pub end: Result<Option<bool>, (&'static str, Option<Value>)>,
    pub after_ms: u64,
}

/// The one who waits, and how it is answered.
#[derive(Clone, Debug)]
pub(super) enum Waiter {
    Socket {
        socket: SocketRef,
        ack: Option<u64>,
        request: Option<String>,
        /// It asked for several devices.
        many: bool,
    },
    Http {
        req: ReqId,
        turned: Turned,
    },
}

impl Controls {
    pub(super) fn new(settings: &Settings) -> Controls {
        Controls {
            tickets: BTreeMap::new(),
            askings: BTreeMap::new(),
            last: 0,
            once: Dedup::new(ONCE),
            per_account: Buckets::new(settings.per_socket(), ACCOUNTS_MAX),
        }
    }
}

/// The same request within ten minutes is one command.
const ONCE: Bounds = Bounds { requests_max: 4_096, joined_max: 16, keep_ms: 600_000 };
const ACCOUNTS_MAX: usize = 1_000;
