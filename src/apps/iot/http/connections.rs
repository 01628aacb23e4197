//! `/api/websocket/connections` and what is done to one connection.

use std::sync::Arc;

use serde_json::{Value, json};

use super::envelope::{body, done, good, number, says};
use super::wanted::{Reading, Show};
use super::{Answer, Ask};
use crate::app::job::{JobError, Outcome};
use crate::app::reply::Reply;
use crate::app::settings::Word;
use crate::apps::iot::actions::INVALID_ACTION;
use crate::apps::iot::cloud::asked::{Action, Form};
use crate::apps::iot::connection::{Connection, Kind, Status};
use crate::apps::iot::log::Entry;
use crate::apps::iot::payload::{TEXT_CHARS_MAX, text};
use crate::apps::iot::system::fresh_id;
use crate::apps::iot::tables::{Count, connections, logs};
use crate::apps::iot::turn::Turn;
use crate::apps::iot::waiting::Dirty;
use crate::apps::iot::who::{NOT_FOUND, VALIDATION, fail};

const NO_CONNECTION: &str = "Conexión no encontrada";

/// `GET /api/websocket/connections`.
pub(super) fn list(turn: &mut Turn<'_>, ask: &Ask<'_>) -> Answer {
    let (system, all) = (&*turn.system.name, || turn.system.connections.values());
    let rows = |some: Vec<&Connection>| some.into_iter().map(|one| one.row(system)).collect::<Vec<_>>();
    let query = |name: &str| ask.call.query_value(name).unwrap_or_default();
    match query("action").as_str() {
        "stats" => {
            let of = |status: Status| all().filter(|connection| connection.status == status).count();
            let data = json!({
                "total": all().count(), "connected": of(Status::Connected), "disconnected": of(Status::Disconnected),
                "error": of(Status::Error), "reconnecting": of(Status::Reconnecting),
                "lastUpdate": turn.now.wall.to_string(),
            });
            Ok(Some(good(&data)))
        }
        "by-type" => {
            let kind = Kind::of(&query("type")).ok_or_else(|| fail(VALIDATION))?;
            let some = rows(all().filter(|connection| connection.kind == kind).collect());
            Ok(Some(good(&json!({"connections": some, "total": some.len()}))))
        }
        "get-connection" => {
            let (kind, reference, id) = (Kind::of(&query("type")), query("referenceId"), query("id"));
            let is_it = |one: &&Connection| *one.id == *id || (kind == Some(one.kind) && *one.reference == *reference);
            let found = all().find(is_it).ok_or_else(|| says(NOT_FOUND, NO_CONNECTION))?;
            Ok(Some(good(&json!({"connection": found.row(system)}))))
        }
        "cleanup" => {
            let text = "Use DELETE /api/websocket/connections";
            let body = json!({"success": false, "error": text, "code": "METHOD_NOT_ALLOWED"});
            Ok(Some(Reply::json(405, &body)))
        }
        _ => {
            let (page, limit) =
                (number(ask.call, "page", 1, 1..=1_000_000)?, number(ask.call, "limit", 20, 1..=1_000)?);
            let mut sorted: Vec<&Connection> = all().collect();
            sorted.sort_by(|a, b| (b.created_at, &b.id).cmp(&(a.created_at, &a.id)));
            let total = sorted.len();
            let (skip, take) = (((page - 1) * limit) as usize, limit as usize);
            let some = rows(sorted.into_iter().skip(skip).take(take).collect());
            let pages = total.div_ceil(take);
            let pagination = json!({"page": page, "limit": limit, "total": total, "pages": pages});
            Ok(Some(good(&json!({"connections": some, "pagination": pagination}))))
        }
    }
}

/// `POST /api/websocket/connections`: a row of a dashboard's own.
pub(super) fn put(turn: &mut Turn<'_>, ask: &Ask<'_>) -> Answer {
    let said = body(ask.call)?;
    if said.get("action").and_then(Value::as_str) != Some("create-or-update") {
        let action = said.get("action").and_then(Value::as_str).unwrap_or("");
        return Err(says(VALIDATION, &format!("Acción '{action}' no reconocida")));
    }
    let kind = said.get("type").and_then(Value::as_str).and_then(Kind::of);
    let kind = kind.filter(|kind| matches!(kind, Kind::Custom | Kind::Test)).ok_or_else(|| fail(VALIDATION))?;
    let reference = text(&said, "referenceId", TEXT_CHARS_MAX)?;
    let status = said.get("status").and_then(Value::as_str).and_then(Status::of).ok_or_else(|| fail(VALIDATION))?;
    let metadata = match said.get("metadata") {
        None | Some(Value::Null) => None,
        Some(metadata @ Value::Object(_)) => Some(metadata.to_string().into_boxed_str()),
        Some(_) => return Err(fail(VALIDATION).into()),
    };
    let known = turn.system.connection_of(kind, reference).map(|connection| connection.id.clone());
    let is_new = known.is_none();
    if is_new && turn.system.connections.len() >= CONNECTIONS_MAX {
        return Err(fail(VALIDATION).into());
    }
    let (id, now) = (known.unwrap_or_else(|| fresh_id(turn.rng)), turn.now.wall);
    let new = || Connection::new(id.clone(), kind, reference, now);
    let connection = turn.system.connections.entry(id.clone()).or_insert_with(new);
    (connection.status, connection.updated_at) = (status, now);
    connection.metadata = metadata.or(connection.metadata.take());
    turn.touch(Dirty::Connection(id.clone()));
    turn.audit(&ask.asker.actor, "connection-put", &id, "success", &json!({"type": kind.word()}));
    Ok(Some(good(&json!({"id": id, "isNew": is_new}))))
}

/// `DELETE /api/websocket/connections`: rows that nothing stands behind any more.
pub(super) fn clean(turn: &mut Turn<'_>, ask: &Ask<'_>) -> Answer {
    let days = number(ask.call, "days", 7, 0..=36_500)?;
    let before = turn.now.wall.0.saturating_sub(days * 86_400_000);
    let is_old = |one: &&Connection| {
        let stands = match one.kind {
            Kind::Shelly => turn.system.credentials.contains_key(&*one.reference),
            Kind::Sockets => turn.system.joined > 0,
            Kind::Custom | Kind::Test => one.is_open(),
        };
        !stands && one.updated_at.0 <= before
    };
    let ids: Vec<Arc<str>> = turn.system.connections.values().filter(is_old).map(|one| one.id.clone()).collect();
    for id in &ids {
        turn.system.connections.remove(id);
        turn.save(connections::delete(&turn.system.name.clone(), id));
    }
    let details = json!({"days": days, "count": ids.len()});
    turn.audit(&ask.asker.actor, "connections-clean", "connections", "success", &details);
    let message = format!("{} conexiones antiguas eliminadas", ids.len());
    let data = json!({"cleanedCount": ids.len(), "olderThanDays": days, "message": message});
    Ok(Some(good(&data)))
}

/// `POST /api/websocket/{connectionId}/{action}`.
pub(super) fn act(turn: &mut Turn<'_>, ask: &Ask<'_>) -> Answer {
    let action = Action::of(ask.call.param("action")).ok_or_else(|| says(VALIDATION, INVALID_ACTION))?;
    turn.act_on(&ask.asker, ask.id(), action, Form::Connection)
}

/// `GET /api/websocket/{id}/logging`.
pub(super) fn logging(turn: &mut Turn<'_>, ask: &Ask<'_>) -> Answer {
    let found = turn.system.connections.get(ask.id()).ok_or_else(|| says(NOT_FOUND, NO_CONNECTION))?;
    let id = found.id.clone();
    let questions = vec![logs::of_connection(&turn.system.name, &id)];
    let show = Show::Logging(id);
    turn.read_for(Reading { req: ask.asker.req, path: ask.call.route.path, questions, show });
    Ok(None)
}

/// The rows of its log are counted.
pub(super) fn show_logging(turn: &Turn<'_>, id: &str, outcome: &Outcome) -> Result<Reply, JobError> {
    let total = outcome.rows::<Count>(0)?.first().map_or(0, |count| count.0);
    let Some(connection) = turn.system.connections.get(id) else {
        return Ok(super::refuse("/api/websocket/", &says(NOT_FOUND, NO_CONNECTION)));
    };
    let mut data = logging_of(connection);
    data["totalLogs"] = json!(total);
    Ok(good(&data))
}

/// `PUT /api/websocket/{id}/logging`.
pub(super) fn set_logging(turn: &mut Turn<'_>, ask: &Ask<'_>) -> Answer {
    let said = body(ask.call)?;
    if !turn.system.connections.contains_key(ask.id()) {
        return Err(says(NOT_FOUND, NO_CONNECTION));
    }
    let on = said.get("loggingEnabled").and_then(Value::as_bool);
    let on = on.ok_or_else(|| says(VALIDATION, "loggingEnabled debe ser un boolean"))?;
    let (id, now): (Arc<str>, _) = (ask.id().into(), turn.now.wall);
    let word = if on { "habilitado" } else { "deshabilitado" };
    let entry =
        || Entry { actor: Some(ask.asker.actor.clone()), ..Entry::new("config_change", format!("Logging {word}")) };
    turn.log(&id, entry());
    if let Some(connection) = turn.system.connections.get_mut(&id) {
        (connection.logging_enabled, connection.updated_at) = (on, now);
    }
    turn.touch(Dirty::Connection(id.clone()));
    turn.audit(&ask.asker.actor, "logging", &id, "success", &json!({"loggingEnabled": on}));
    let data = turn.system.connections.get(&id).map(logging_of).unwrap_or_default();
    Ok(Some(done(&format!("Logging {word} para la conexión"), &data)))
}

fn logging_of(connection: &Connection) -> Value {
    json!({
        "connectionId": connection.id,
        "type": connection.kind.word(),
        "status": connection.status.word(),
        "loggingEnabled": connection.logging_enabled,
        "lastUpdated": connection.updated_at.to_string(),
    })
}

/// Rows of one system.
const CONNECTIONS_MAX: usize = 1_000;
