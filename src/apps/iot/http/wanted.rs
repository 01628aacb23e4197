//! What a call wants of the store, as values: what is asked or written, and what follows.

use std::sync::Arc;

use crate::app::kit::audit::Actor;
use crate::app::sql::Statement;
use crate::apps::iot::device::Device;
use crate::base::ids::ReqId;

/// Questions of a call.
#[derive(Debug)]
pub(in crate::apps::iot) struct Reading {
    pub req: ReqId,
    pub path: &'static str,
    pub questions: Vec<Statement>,
    pub show: Show,
}

/// What their answers are shown as.
#[derive(Debug)]
pub(in crate::apps::iot) enum Show {
    Logs {
        limit: u64,
        offset: u64,
    },
    LogStats,
    /// Connections with their newest rows, for the one dashboard or the other.
    Internal,
    Manager,
    /// Whether a connection has a log, and how many rows of it.
    Logging(Arc<str>),
    Audit,
}

/// A write of a call, which is answered when it is on disk.
#[derive(Debug)]
pub(in crate::apps::iot) struct Storing {
    pub req: ReqId,
    pub path: &'static str,
    pub actor: Actor,
    pub then: Then,
}

/// What is so when it is.
#[derive(Debug)]
pub(in crate::apps::iot) enum Then {
    Claimed(Box<Device>),
    Dropped(Arc<str>),
    CredentialDropped(Arc<str>),
    /// Rows of logs are gone, by this action.
    Cleared(Clear),
    /// Devices come in by a new secret, of which the hash is on disk.
    Secret {
        secret: String,
        hash: Arc<str>,
    },
    Revoked,
}

/// What has cleared a log.
#[derive(Debug)]
pub(in crate::apps::iot) enum Clear {
    Ids,
    All,
    Old { days: u64, kept: u64 },
}
