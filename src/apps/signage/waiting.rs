//! What waits: rows to be written, the answers that jobs will bring, people who want a new snapshot, devices to be paired.

use core::net::IpAddr;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::origin::CommandOrigin;
use super::tables;
use crate::app::identity::Identity;
use crate::app::kit::audit::Entry;
use crate::app::kit::backoff::Growth;
use crate::app::kit::command::{Key, Row};
use crate::app::kit::rate::{Buckets, Rate};
use crate::app::kit::saving::{Batch, Bounds, Saving};
use crate::app::sql::Statement;
use crate::base::ids::{ReqId, Sid, SocketRef};
use crate::base::time::Millis;

/// What of a fleet is not on disk yet.
pub(super) type Unsaved = Saving<Dirty, Question>;

/// A row that is written as it stands then: of a device, or of its published state.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Dirty {
    Device(Arc<str>),
    State(Arc<str>),
}

/// A question to the store, and who has asked it.
pub(super) type Question = (Statement, Reader);

/// At most half a second is lost with the process, and one group commit; a store that fails is tried once a second.
pub(super) const UNSAVED: Bounds = Bounds {
    after_ms: 500,
    batch_rows: 2_000,
    kept_rows_max: 20_000,
    again: Growth { base_ms: 1_000, factor: 1.0, cap_ms: 1_000, jitter: 0.0, stable_ms: 0 },
};

/// What a token of a job stands for.
pub(super) enum Wait {
    Flush(Flushed),
    Snapshot(Box<SnapshotWait>),
    Read(Reader),
    Grant(Box<GrantWait>),
}

/// A batch on its way to the disk.
pub(super) struct Flushed {
    pub batch: Batch<Dirty, Question>,
    /// Devices whose rows are in it, with the revisions those reserve.
    pub reserved: Vec<(Arc<str>, u64)>,
}

/// The one who asked the store.
#[derive(Debug)]
pub(super) enum Reader {
    History { socket: SocketRef, ack: Option<u64>, device_id: String },
    Failures { req: ReqId },
    Snapshot { req: ReqId, id: Sid, identity: Arc<Identity> },
}

/// A snapshot the shell works on.
pub(super) struct SnapshotWait {
    pub device: Arc<str>,
    pub number: u64,
    pub bytes: usize,
    /// What stood beside the snapshot.
    pub rest: Map<String, Value>,
    pub created_at: String,
    /// The command it answers, if it came with a response.
    pub command: Option<(Key, Row<CommandOrigin>, Option<Value>)>,
}

/// A change of who may come in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Change {
    /// A new token, and no other.
    Issue,
    Authorize,
    Revoke,
    /// A new token, beside those before.
    Rotate,
    /// A new token for the device that waits on this socket and has shown this code.
    Pair {
        waiting: SocketRef,
        code: String,
    },
}

/// A change of authorisation on its way to the disk.
pub(super) struct GrantWait {
    pub row: tables::Device,
    pub change: Change,
    /// The token itself, where there is a new one: it is told once.
    pub token: String,
    pub asker: Asker,
    pub audit: Entry,
}

/// The one who asked for a change.
#[derive(Clone, Copy)]
pub(super) enum Asker {
    Admin { socket: SocketRef, ack: Option<u64> },
    Api(ReqId),
}

/// Somebody who wants a new snapshot of a device.
pub(super) struct Wanted {
    pub socket: SocketRef,
    /// The device's number.
    pub device: u64,
    /// When the snapshot was taken that was there before.
    pub before: Option<Value>,
    pub until: Millis,
}

/// A device without a token, which may show a code.
pub(super) struct WaitingSeat {
    pub ip: IpAddr,
    /// Its code, until when.
    pub code: Option<(String, Millis)>,
    pub name: Option<String>,
}

/// Devices that wait to be paired, by their codes and by address, and people who have guessed.
pub(super) struct Pairing {
    pub codes: BTreeMap<String, SocketRef>,
    pub waiting: BTreeMap<IpAddr, usize>,
    pub wrong: Buckets<String>,
}

impl Pairing {
    pub(super) fn new() -> Pairing {
        Pairing { codes: BTreeMap::new(), waiting: BTreeMap::new(), wrong: Buckets::new(WRONG_CODES, GUESSERS_MAX) }
    }
}

/// Codes that somebody may get wrong.
const WRONG_CODES: Rate = Rate { limit: 10, window_ms: 60_000 };
/// People whose wrong codes are counted.
const GUESSERS_MAX: usize = 1_000;
