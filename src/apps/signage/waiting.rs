//! What waits for the store: rows to be written, and the answers that jobs will bring.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::origin::CommandOrigin;
use super::tables;
use crate::app::identity::Identity;
use crate::app::kit::audit::Entry;
use crate::app::kit::backoff::Growth;
use crate::app::kit::command::{Key, Row};
use crate::app::kit::saving::{Batch, Bounds, Saving};
use crate::app::sql::Statement;
use crate::base::ids::{ReqId, Sid, SocketRef};

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
