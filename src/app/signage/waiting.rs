//! What waits for the store: rows to be written, and the answers that jobs will bring.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::job;
use super::state::Origin;
use crate::app::effect::Write;
use crate::app::kit::audit::Entry;
use crate::app::kit::command::{Key, Row};
use crate::base::ids::{ReqId, SocketRef};

/// What is not on disk yet. Rows of devices and states are written as they stand when they are flushed.
#[derive(Default)]
pub struct Unsaved {
    pub writes: Vec<Write>,
    pub devices: BTreeSet<Arc<str>>,
    pub states: BTreeSet<Arc<str>>,
    pub scheduled: bool,
    /// Flushes the store has not answered.
    pub in_flight: u32,
}

/// What a token of a job stands for.
pub enum Wait {
    Flush(Flushed),
    Picture(Box<PictureWait>),
    Read(Reader),
    Grant(Box<GrantWait>),
}

/// A batch on its way to the disk.
pub struct Flushed {
    /// Kept until it is there, to try again.
    pub writes: Vec<Write>,
    /// With the revisions their rows reserve.
    pub devices: Vec<(Arc<str>, u64)>,
    pub states: Vec<Arc<str>>,
    /// Questions that must see this batch.
    pub then: Vec<(job::Query, Reader)>,
}

/// Who asked the store.
#[derive(Clone)]
pub enum Reader {
    History { socket: SocketRef, ack: Option<u64>, device_id: String },
    Failures { req: ReqId },
}

/// A picture the shell works on.
pub struct PictureWait {
    pub device: Arc<str>,
    pub number: u64,
    pub bytes: usize,
    /// What stood beside the picture.
    pub rest: Map<String, Value>,
    pub created_at: String,
    /// The command it answers, if it came with a response.
    pub command: Option<(Key, Row<Origin>, Option<Value>)>,
}

/// A change of who may come in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// A new token with this hash.
    Issue(String),
    Authorize,
    Revoke,
}

/// A change of authorisation on its way to the disk.
pub struct GrantWait {
    pub row: job::Device,
    pub change: Change,
    pub audit: Entry,
}
