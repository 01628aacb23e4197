//! What waits: rows to be written, answers that jobs will bring, and what is due.

use std::sync::Arc;

use super::cloud::asked::Join;
use super::cloud::state::{Http, Step};
use super::http::wanted::{Reading, Storing};
use super::local::state::Ask;
use crate::app::kit::backoff::Growth;
use crate::app::kit::saving::{Batch, Bounds, Saving};
use crate::app::link::LinkId;
use crate::base::ids::SocketRef;

/// What of a system is not on disk yet.
pub(super) type Unsaved = Saving<Dirty, Wait>;

/// A row that is written as it stands then.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Dirty {
    Device(Arc<str>),
    Connection(Arc<str>),
    Credential(Arc<str>),
}

/// At most half a second is lost with the process, and one group commit; a store that fails is tried again within a second. Log rows
/// beyond the bound go.
pub(super) const UNSAVED: Bounds = Bounds {
    after_ms: 500,
    batch_rows: 2_000,
    kept_rows_max: 10_000,
    again: Growth { base_ms: 250, factor: 2.0, cap_ms: 1_000, jitter: 0.0, stable_ms: 0 },
};

/// What the token of a job stands for.
#[derive(Debug)]
pub(super) enum Wait {
    /// What is stored of the system, asked for again.
    System,
    Flush(Batch<Dirty, Wait>),
    /// A call of an account.
    Cloud(Arc<str>, Http),
    /// An account that somebody brings.
    Join(Join),
    /// Questions of a call.
    Read(Box<Reading>),
    /// A write of a call.
    Stored(Box<Storing>),
    /// A device of the first generation.
    First(Arc<str>, Ask),
}

/// What a system does by and by.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Due {
    /// What is unsaved is handed over.
    Flush,
    /// What is stored of the system is asked for again.
    Reload,
    /// A device that has changed is told of, by its number.
    Tell(u32),
    /// A device, by its number, has said nothing for too long.
    Silent(u32),
    /// Its consumption is not valid any more.
    Consumption(u32),
    /// Old rows of logs go.
    Retention,
    /// The rest of a snapshot, to a socket.
    Snapshot(SocketRef),
    /// Something of an account.
    Cloud(Arc<str>, Step),
    /// A command has been waited for long enough.
    Command(u64),
    /// The socket of a device says nothing.
    Device(LinkId),
    /// A device has not answered a call, by its number there.
    Call(LinkId, u64),
    /// A device is dialled.
    Dial(Arc<str>),
}
