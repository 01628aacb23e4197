//! `/api/websocket/manager`, `/api/shelly/metrics` and `/api/shelly/connections`: how connections do.

use serde_json::{Value, json};

use super::envelope::{body, good, says};
use super::logs::{NEWEST_ROWS, newest_of_each};
use super::wanted::{Reading, Show};
use super::{Answer, Ask};
use crate::app::job::{JobError, Outcome};
use crate::app::reply::Reply;
use crate::app::settings::Word;
use crate::apps::iot::cloud::asked::{Action, Form};
use crate::apps::iot::connection::{Connection, Kind, Status};
use crate::apps::iot::tables::logs::{self, Log};
use crate::apps::iot::turn::Turn;
use crate::apps::iot::who::{FORBIDDEN, VALIDATION, fail};

/// `GET /api/websocket/manager`.
pub(super) fn show(turn: &mut Turn<'_>, ask: &Ask<'_>) -> Answer {
    match ask.call.query_value("action").unwrap_or_default().as_str() {
        "metrics" => {
            let mut shelly = sums(turn, |connection| connection.is_upstream());
            let (connections, devices) = (upstream(turn).count(), turn.system.devices.len());
            shelly["shellyConnections"] = json!(connections);
            shelly["totalDevices"] = json!(devices);
            let average = if connections == 0 { 0.0 } else { devices as f64 / connections as f64 };
            shelly["avgDevicesPerConnection"] = json!(average);
            let (system, timestamp) = (sums(turn, |_| true), turn.now.wall.to_string());
            Ok(Some(good(&json!({"system": system, "shelly": shelly, "timestamp": timestamp}))))
        }
        "health" => {
            let of = |connection: &Connection| health(turn, connection);
            let system: Vec<Value> = turn.system.connections.values().map(of).collect();
            let shelly: Vec<Value> = upstream(turn).map(of).collect();
            Ok(Some(good(&json!({"system": system, "shelly": shelly}))))
        }
        "connections" => {
            let questions = vec![logs::newest(&turn.system.name, NEWEST_ROWS)];
            turn.read_for(Reading { req: ask.asker.req, path: ask.call.route.path, questions, show: Show::Manager });
            Ok(None)
        }
        _ => {
            let endpoints = ["metrics", "health", "connections"];
            let endpoints = endpoints.map(|action| format!("GET /api/websocket/manager?action={action}"));
            Ok(Some(good(&json!({"message": "WebSocket Manager API", "endpoints": endpoints}))))
        }
    }
}

fn upstream<'t>(turn: &'t Turn<'_>) -> impl Iterator<Item = &'t Connection> {
    turn.system.connections.values().filter(|connection| connection.is_upstream())
}

fn sums(turn: &Turn<'_>, is_counted: impl Fn(&Connection) -> bool) -> Value {
    let all = || turn.system.connections.values().filter(|connection| is_counted(connection));
    let uptime_ms = turn.now.mono.since(turn.system.since);
    let messages: u64 = all().map(|connection| connection.traffic.sent + connection.traffic.received).sum();
    let failures: u64 = all().map(|connection| connection.traffic.failures).sum();
    let (waited, answers) = all().fold((0, 0), |(waited, answers), connection| {
        (waited + connection.traffic.latency_ms, answers + connection.traffic.answers)
    });
    let share = if messages == 0 { 0.0 } else { (failures as f64 / messages as f64).min(1.0) };
    json!({
        "totalConnections": all().count(),
        "activeConnections": all().filter(|connection| connection.is_open()).count(),
        "failedConnections": all().filter(|connection| connection.status == Status::Error).count(),
        "messagesPerSecond": messages as f64 * 1_000.0 / uptime_ms.max(1_000) as f64,
        "averageLatency": u64::checked_div(waited, answers).unwrap_or(0),
        "errorRate": share,
        "uptime": uptime_ms,
    })
}

fn health(turn: &Turn<'_>, connection: &Connection) -> Value {
    let mut health = json!({
        "connectionId": connection.id,
        "isHealthy": connection.is_open(),
        "latency": connection.traffic.latency(),
        "lastCheck": turn.now.wall.to_string(),
    });
    if let Some(error) = &connection.error {
        health["errorMessage"] = json!(error);
    }
    health
}

/// Connections with their newest rows.
pub(super) fn show_connections(turn: &Turn<'_>, outcome: &Outcome) -> Result<Reply, JobError> {
    let of_each = newest_of_each(&outcome.rows::<Log>(0)?);
    let shown = |connection: &Connection| {
        let credential = turn.system.credentials.get(&*connection.reference).filter(|_| connection.is_upstream());
        let url = match connection.kind {
            Kind::Shelly => turn.address_of(&connection.reference).unwrap_or_default(),
            Kind::Sockets => "/api/socket".to_owned(),
            Kind::Custom | Kind::Test => String::new(),
        };
        let mut metadata = json!({"type": connection.kind.word()});
        if let Some(credential) = credential {
            metadata["credentialName"] = json!(&*credential.name);
        }
        json!({
            "id": connection.id,
            "url": url,
            "status": connection.status.word(),
            "lastPing": connection.last_ping_at.map(|at| at.to_string()),
            "lastPong": connection.traffic.last_pong_at.map(|at| at.to_string()),
            "reconnectAttempts": connection.traffic.reconnects,
            "tags": [connection.kind.word()],
            "metadata": metadata,
            "logs": of_each.get(&connection.id).cloned().unwrap_or_default(),
        })
    };
    let connections: Vec<Value> = turn.system.connections.values().map(shown).collect();
    Ok(good(&json!({ "connections": connections })))
}

/// `POST /api/websocket/manager`.
pub(super) fn act(turn: &mut Turn<'_>, ask: &Ask<'_>) -> Answer {
    let said = body(ask.call)?;
    let action = said.get("action").and_then(Value::as_str).unwrap_or("");
    let action = match action {
        "shelly-connect" => Action::Start,
        "shelly-disconnect" => Action::Stop,
        // Nobody is let loose on addresses of their choice.
        "connect" | "send" | "broadcast" => return Err(fail(FORBIDDEN).into()),
        other => return Err(says(VALIDATION, &format!("Acción '{other}' no reconocida"))),
    };
    let credential = said.get("credentialId").and_then(Value::as_str).ok_or_else(|| fail(VALIDATION))?;
    let id = super::credentials::connection_of(turn, credential)?;
    turn.act_on(&ask.asker, &id, action, Form::Connection)
}

/// `GET /api/shelly/metrics`.
pub(super) fn figures(turn: &mut Turn<'_>, _: &Ask<'_>) -> Answer {
    let sums = sums(turn, Connection::is_upstream);
    let traffic = |of: fn(&Connection) -> u64| upstream(turn).map(of).sum::<u64>();
    Ok(Some(Reply::json(
        200,
        &json!({
            "totalConnections": sums["totalConnections"],
            "activeConnections": sums["activeConnections"],
            "failedConnections": sums["failedConnections"],
            "messagesReceived": traffic(|connection| connection.traffic.received),
            "messagesSent": traffic(|connection| connection.traffic.sent),
            "lastHealthCheck": turn.now.wall.to_string(),
        }),
    )))
}

/// `GET /api/shelly/connections`.
pub(super) fn upstreams(turn: &mut Turn<'_>, _: &Ask<'_>) -> Answer {
    let shown = |connection: &Connection| {
        let credential = turn.system.credentials.get(&*connection.reference);
        let its =
            |device: &&crate::apps::iot::device::Device| device.credential.as_deref() == Some(&*connection.reference);
        json!({
            "id": connection.id,
            "credentialName": credential.map(|credential| &*credential.name),
            "status": connection.status.word(),
            "lastPingAt": connection.last_ping_at.map(|at| at.to_string()),
            "errorMessage": connection.error,
            "deviceCount": turn.system.devices.values().filter(its).count(),
        })
    };
    let all: Vec<Value> = upstream(turn).map(shown).collect();
    Ok(Some(Reply::json(200, &all)))
}
