//! The logs of connections: a row for each thing that happens to one, kept, and told to those who read along.

use std::sync::Arc;

use serde_json::{Value, json};

use super::system::{fresh_id, room_of_logs};
use super::tables::logs::Log;
use super::turn::Turn;
use crate::app::effect::{Delivery, Effect, Emission, Target};
use crate::app::kit::audit::{self, Actor};

/// What is to be written about a connection.
#[derive(Debug, Default)]
pub(super) struct Entry {
    pub event_type: &'static str,
    pub message: String,
    pub error: Option<String>,
    pub metadata: Option<Value>,
    pub response_time: Option<u64>,
    pub data_size: Option<u64>,
    /// The one who asked for it, and from where.
    pub actor: Option<Actor>,
}

impl Entry {
    pub(super) fn new(event_type: &'static str, message: impl Into<String>) -> Entry {
        Entry { event_type, message: message.into(), ..Entry::default() }
    }
}

impl Turn<'_> {
    /// A row of a connection's log, unless that is off.
    pub(super) fn log(&mut self, connection: &Arc<str>, entry: Entry) {
        let is_on = self.system.connections.get(connection).is_some_and(|connection| connection.logging_enabled);
        if !is_on {
            return;
        }
        let (client_ip, user_agent) = entry.actor.map(|actor| (actor.ip, actor.user_agent)).unzip();
        let log = Log {
            id: fresh_id(self.rng),
            connection_id: connection.clone(),
            event_type: entry.event_type.into(),
            message: Some(entry.message),
            error_details: entry.error,
            metadata: entry.metadata.map(|metadata| metadata.to_string()),
            response_time: entry.response_time,
            data_size: entry.data_size,
            client_ip,
            user_agent,
            created_at: self.now.wall,
        };
        self.save(log.add(&self.system.name));
        if self.system.readers.contains_key(connection) {
            let target = Target::room(room_of_logs(connection));
            let event = Emission::new("websocket-log", &log.shown());
            self.fx.push(Effect::Emit { target, event, delivery: Delivery::Must });
        }
    }

    /// An entry of the audit, whatever is logged. Details name the system first: the log is one for all.
    pub(super) fn audit(&mut self, actor: &Actor, action: &str, target: &str, outcome: &str, details: &Value) {
        let mut all = json!({"systemId": &*self.system.name});
        if let (Value::Object(all), Value::Object(details)) = (&mut all, details) {
            all.extend(details.clone());
        }
        let entry = audit::Entry::new(self.now.wall, "iot", actor, action, target).outcome(outcome).details(&all);
        self.save(entry.add());
    }
}

impl Log {
    /// The row as clients have it.
    pub(super) fn shown(&self) -> Value {
        let metadata: Value =
            self.metadata.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        json!({
            "id": self.id,
            "connectionId": self.connection_id,
            "eventType": self.event_type,
            "message": self.message,
            "errorDetails": self.error_details,
            "metadata": metadata,
            "responseTime": self.response_time,
            "dataSize": self.data_size,
            "clientIp": self.client_ip,
            "userAgent": self.user_agent,
            "createdAt": self.created_at.to_string(),
        })
    }
}
