//! A connection as dashboards know it: the row of something that stands between a system and the outside, with what has gone over it
//! since the start.

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};

use crate::app::settings::{Word, words};
use crate::base::time::{Millis, WallMillis};

words! {
    /// What a connection is to.
    #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
    pub(crate) enum Kind {
        /// An account of the Shelly cloud; its reference is the credential.
        Shelly = "SHELLY",
        /// The sockets of a system's browsers; its reference is the system.
        Sockets = "SOCKET_IO",
        /// Whatever a dashboard keeps a row about.
        Custom = "CUSTOM",
        Test = "TEST",
    }
}

words! {
    /// How it is.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub(crate) enum Status {
        Connected = "connected",
        Disconnected = "disconnected",
        Error = "error",
        /// It will be tried again.
        Reconnecting = "reconnecting",
    }
}

/// One connection.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    pub id: Arc<str>,
    pub kind: Kind,
    /// What it is the connection of: a credential's id, the system's own name.
    pub reference: Box<str>,
    pub status: Status,
    pub last_ping_at: Option<WallMillis>,
    pub error: Option<Box<str>>,
    /// JSON text.
    pub metadata: Option<Box<str>>,
    pub auto_reconnect: bool,
    pub logging_enabled: bool,
    pub created_at: WallMillis,
    pub updated_at: WallMillis,
    pub traffic: Traffic,
}

/// What has gone over a connection since the start.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Traffic {
    pub sent: u64,
    pub received: u64,
    pub failures: u64,
    pub reconnects: u32,
    /// Sum and number of answers that were waited for, in milliseconds.
    pub latency_ms: u64,
    pub answers: u64,
    pub opened_at: Option<Millis>,
    pub last_pong_at: Option<WallMillis>,
}

impl Traffic {
    /// Milliseconds that an answer takes; 0 before the first.
    pub(crate) fn latency(&self) -> u64 {
        self.latency_ms.checked_div(self.answers).unwrap_or(0)
    }

    /// An answer was waited for so long.
    pub(crate) fn answered(&mut self, after_ms: u64) {
        self.latency_ms += after_ms;
        self.answers += 1;
    }
}

impl Connection {
    /// One that nothing has become of yet.
    pub(crate) fn new(id: Arc<str>, kind: Kind, reference: &str, now: WallMillis) -> Connection {
        Connection {
            id,
            kind,
            reference: reference.into(),
            status: Status::Disconnected,
            last_ping_at: None,
            error: None,
            metadata: None,
            auto_reconnect: true,
            logging_enabled: true,
            created_at: now,
            updated_at: now,
            traffic: Traffic::default(),
        }
    }

    /// Whether it is up.
    pub(crate) fn is_open(&self) -> bool {
        self.status == Status::Connected
    }

    /// Whether it is one to the outside.
    pub(crate) fn is_upstream(&self) -> bool {
        self.kind == Kind::Shelly
    }

    /// What answers of actions say: a connection that is being tried again is not connected.
    pub(crate) fn state(&self) -> Value {
        let status = match self.status {
            Status::Reconnecting => Status::Disconnected,
            status => status,
        };
        let mut data = json!({
            "connectionId": self.id, "status": status.word(), "autoReconnect": self.auto_reconnect,
        });
        if self.status == Status::Reconnecting {
            data["phase"] = json!("reconnecting");
        }
        data
    }

    /// What its system is told of it.
    pub(crate) fn told(&self) -> Value {
        let mut told = json!({
            "connectionId": self.id, "status": self.status.word(), "autoReconnect": self.auto_reconnect,
        });
        if let Some(error) = &self.error {
            told["error"] = json!(error);
        }
        told
    }

    /// The row as lists have it.
    pub(crate) fn row(&self, system: &str) -> Value {
        json!(Row {
            id: &self.id,
            system_id: system,
            kind: self.kind.word(),
            reference_id: &self.reference,
            status: self.status.word(),
            last_ping_at: self.last_ping_at.map(|at| at.to_string()),
            error_message: self.error.as_deref(),
            metadata: self.metadata(),
            auto_reconnect: self.auto_reconnect,
            logging_enabled: self.logging_enabled,
            created_at: self.created_at.to_string(),
            updated_at: self.updated_at.to_string(),
        })
    }

    /// Its metadata as JSON.
    pub(crate) fn metadata(&self) -> Value {
        self.metadata.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Row<'a> {
    id: &'a str,
    system_id: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    reference_id: &'a str,
    status: &'a str,
    last_ping_at: Option<String>,
    error_message: Option<&'a str>,
    metadata: Value,
    auto_reconnect: bool,
    logging_enabled: bool,
    created_at: String,
    updated_at: String,
}
