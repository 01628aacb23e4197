//! What waits for the store: rows to be written, and the answers that jobs will bring.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::origin::CommandOrigin;
use super::tables;
use crate::app::identity::Identity;
use crate::app::kit::audit::Entry;
use crate::app::kit::command::{Key, Row};
use crate::app::sql::Statement;
use crate::base::ids::{ReqId, Sid, SocketRef};
use crate::base::time::Millis;

/// What is not on disk yet. Rows of devices and states are written as they stand when they are flushed.
#[derive(Default)]
pub(super) struct Unsaved {
    pub writes: Vec<Statement>,
    pub devices: BTreeSet<Arc<str>>,
    pub states: BTreeSet<Arc<str>>,
    pub scheduled: bool,
    /// Batches the store has not answered: one at a time, so that none overtakes another.
    pub in_flight: u32,
    /// Somebody wants a flush as soon as the batch on its way has ended.
    pub pressing: bool,
    /// A batch has failed: nothing is tried before this time.
    pub retry_at: Option<Millis>,
    /// Questions that must see what was unsaved when they were asked.
    pub questions: Vec<(Statement, Reader)>,
}

impl Unsaved {
    pub(super) fn is_empty(&self) -> bool {
        self.writes.is_empty() && self.devices.is_empty() && self.states.is_empty()
    }
}

/// What a token of a job stands for.
pub(super) enum Wait {
    Flush(Flushed),
    Snapshot(Box<SnapshotWait>),
    Read(Reader),
    Grant(Box<GrantWait>),
}

/// A batch on its way to the disk.
pub(super) struct Flushed {
    /// What the store has in hand, to try again; the first `kept` of it: rows of devices and states, and what bounds tables,
    /// are made anew.
    pub batch: Arc<Vec<Statement>>,
    pub kept: usize,
    /// With the revisions their rows reserve.
    pub devices: Vec<(Arc<str>, u64)>,
    pub states: Vec<Arc<str>>,
    /// Questions that must see this batch.
    pub then: Vec<(Statement, Reader)>,
}

/// The one who asked the store.
#[derive(Clone)]
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
    /// A new token with this hash.
    Issue(String),
    Authorize,
    Revoke,
}

/// A change of authorisation on its way to the disk.
pub(super) struct GrantWait {
    pub row: tables::Device,
    pub change: Change,
    pub audit: Entry,
}
