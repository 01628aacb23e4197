//! Sockets of devices, and devices that are dialled: what is known of them.

use core::net::IpAddr;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde_json::Value;

use crate::app::kit::backoff::Backoff;
use crate::app::link::LinkId;
use crate::apps::iot::wire::digest::Challenge;
use crate::apps::iot::wire::id::ShellyId;

/// Sockets of a system's devices, and devices that are dialled.
#[derive(Default)]
pub(in super::super) struct Local {
    pub sessions: BTreeMap<LinkId, Session>,
    /// The one of each device that counts.
    pub speaks: BTreeMap<ShellyId, LinkId>,
    /// Devices that we dial, by their ids.
    pub dialled: BTreeMap<Arc<str>, Dialled>,
}

/// A socket of a device.
#[derive(Default)]
pub(in super::super) struct Session {
    /// The one that speaks, once it has said so.
    pub device: Option<ShellyId>,
    pub ip: Option<IpAddr>,
    /// The device that was dialled here.
    pub dialled: Option<Arc<str>>,
    /// It has told everything once, so that changes can be laid over.
    pub is_whole: bool,
    pub next_id: u64,
    /// Calls that are on their way, by id, and those that wait for their turn.
    pub calls: BTreeMap<u64, Call>,
    pub waiting: VecDeque<Call>,
    /// It wants a password.
    pub challenge: Option<Challenge>,
    /// The password is not its own.
    pub is_denied: bool,
}

/// A call of a device.
#[derive(Clone)]
pub(in super::super) struct Call {
    pub method: &'static str,
    pub params: Value,
    pub why: Why,
    /// It was made again, with an answer to a challenge.
    pub is_retried: bool,
}

/// What the answer to a call is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in super::super) enum Why {
    /// What the device is: it must be the one that was dialled.
    Info,
    Status,
    /// Of one switch.
    Switch(u8),
    Command(u64),
}

/// A device that we dial.
pub(in super::super) struct Dialled {
    pub tries: Backoff,
    pub link: Option<LinkId>,
    /// Its password is wrong: it is not dialled before that is another one.
    pub is_denied: bool,
}

/// What such a device is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ask {
    About,
    Status,
    Command { ticket: u64, channel: u8 },
}

impl Session {
    /// Numbers of the commands that it has not answered.
    pub(super) fn tickets(&self) -> Vec<u64> {
        let calls = self.calls.values().chain(&self.waiting);
        calls.filter_map(|call| if let Why::Command(ticket) = call.why { Some(ticket) } else { None }).collect()
    }
}

impl Why {
    /// The number of the command that it is of.
    pub(super) fn ticket(self) -> Option<u64> {
        if let Why::Command(ticket) = self { Some(ticket) } else { None }
    }
}

/// Sockets of devices that nobody has claimed, of one system.
pub(super) const UNCLAIMED_MAX: usize = 200;
