//! An account of the Shelly cloud, as it is stored. What is secret of it is sealed text here; the cloud's part opens it.

use std::sync::Arc;

use serde_json::{Value, json};

use super::connection::Connection;
use crate::app::settings::{Word, words};
use crate::base::time::WallMillis;

words! {
    /// Whether it is good.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub(crate) enum Standing {
        Connected = "connected",
        /// The cloud takes it no longer: somebody has to log in anew.
        Expired = "expired",
        /// It cannot be used: its secrets cannot be read.
        Error = "error",
    }
}

/// One account.
#[derive(Clone, Debug)]
pub(crate) struct Credential {
    pub id: Arc<str>,
    pub name: Box<str>,
    pub email: Box<str>,
    pub api_host: Box<str>,
    /// Tokens and keys, encrypted.
    pub sealed: Box<str>,
    pub status: Standing,
    pub error: Option<Box<str>>,
    pub last_sync_at: Option<WallMillis>,
    pub created_at: WallMillis,
}

impl Credential {
    /// Whether the cloud takes it, as far as is known.
    pub(crate) fn is_good(&self) -> bool {
        self.status == Standing::Connected
    }

    /// What dashboards see of it, with its connection; never a secret.
    pub(crate) fn row(&self, connection: Option<&Connection>) -> Value {
        let socket = connection.map_or("disconnected", |connection| connection.status.word());
        let shown = if self.status == Standing::Connected { socket } else { self.status.word() };
        json!({
            "id": self.id,
            "name": &*self.name,
            "email": &*self.email,
            "apiHost": &*self.api_host,
            "status": self.status.word(),
            "errorMessage": self.error,
            "webSocketStatus": socket,
            "webSocketAutoReconnect": connection.is_some_and(|connection| connection.auto_reconnect),
            "connectionStatus": shown,
            "connectionId": connection.map(|connection| connection.id.clone()),
            "lastSyncAt": self.last_sync_at.map(|at| at.to_string()),
            "createdAt": self.created_at.to_string(),
        })
    }

    /// What rows of devices say of it.
    pub(crate) fn short(&self) -> Value {
        json!({"id": self.id, "name": &*self.name, "email": &*self.email, "status": self.status.word()})
    }
}
