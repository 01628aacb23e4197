//! Commands to devices: what one is, and those of a system that have not ended.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde_json::{Value, json};

use super::wire::rpc;
use crate::base::time::Millis;

/// What a device is to do.
#[derive(Clone, Debug)]
pub(crate) struct Command {
    /// The id of the device.
    pub device: Arc<str>,
    pub channel: u8,
    pub turned: Turned,
    /// The device itself turns back after so many seconds.
    pub timer_s: Option<u32>,
}

/// How a switch is turned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Turned {
    On,
    Off,
    Toggle,
}

/// A command that is on its way, or about to be.
pub(super) struct Sent {
    /// It is with the other side, or waits here for its turn.
    pub has_left: bool,
    pub timeout_ms: u64,
}

/// Commands of a system that have not ended, by their numbers.
#[derive(Default)]
pub(super) struct Commands {
    pub there: BTreeMap<u64, Row>,
    /// Of each device with one that has not left: that, and those behind it.
    pub held: BTreeMap<Arc<str>, VecDeque<u64>>,
    pub last: u64,
}

/// One of them.
pub(super) struct Row {
    pub command: Command,
    pub asked_at: Millis,
}

impl Commands {
    /// A number that no command has had.
    pub(super) fn fresh(&mut self) -> u64 {
        self.last += 1;
        self.last
    }
}

impl Turned {
    /// The word of browsers and clouds.
    pub(crate) fn of(word: &str) -> Option<Turned> {
        [Turned::On, Turned::Off, Turned::Toggle].into_iter().find(|turned| turned.word() == word)
    }

    /// The same word.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Turned::On => "on",
            Turned::Off => "off",
            Turned::Toggle => "toggle",
        }
    }
}

impl Command {
    /// As a call of the device's own.
    pub(super) fn call(&self) -> (&'static str, Value) {
        match self.turned {
            Turned::Toggle => ("Switch.Toggle", json!({"id": self.channel})),
            turned => ("Switch.Set", rpc::switch_set(self.channel, turned == Turned::On, self.timer_s)),
        }
    }
}
