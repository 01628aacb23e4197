//! `/api/websocket/logs`: what happened to connections, found, counted, cleared.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::envelope::{Refusal, body, good, number, says};
use super::wanted::{Clear, Reading, Show, Storing, Then};
use super::{Answer, Ask};
use crate::app::job::{JobError, Outcome};
use crate::app::kit::audit::Actor;
use crate::app::reply::Reply;
use crate::app::route::Call;
use crate::app::settings::Word;
use crate::app::sql::Statement;
use crate::apps::iot::payload::optional_int;
use crate::apps::iot::tables::Count;
use crate::apps::iot::tables::logs::{self, Filter, Gone, Log, Share, Times};
use crate::apps::iot::turn::Turn;
use crate::apps::iot::who::{VALIDATION, fail};
use crate::base::time::{WallMillis, parse_iso};

/// `GET /api/websocket/logs`.
pub(super) fn list(turn: &mut Turn<'_>, ask: &Ask<'_>) -> Answer {
    let filter = filter(ask.call)?;
    let limit = number(ask.call, "limit", LIST_ROWS, 0..=u64::MAX / 2)?.min(LIST_ROWS_MAX);
    let offset = number(ask.call, "offset", 0, 0..=u64::MAX / 2)?;
    let system = &turn.system.name;
    let questions = vec![logs::list(system, &filter, limit, offset), logs::count(system, &filter)];
    let show = Show::Logs { limit, offset };
    turn.read_for(Reading { req: ask.asker.req, path: ask.call.route.path, questions, show });
    Ok(None)
}

fn filter(call: &Call) -> Result<Filter, Refusal> {
    let named = |name: &str| call.query_value(name).filter(|text| text != "all").unwrap_or_default();
    let at = |name: &str, clock: &str| match call.query_value(name).filter(|text| !text.is_empty()) {
        None => Ok(None),
        Some(text) => {
            let whole = if text.len() == DAY_CHARS { format!("{text}T{clock}") } else { text };
            parse_iso(&whole).map(Some).ok_or_else(|| Refusal::from(fail(VALIDATION)))
        }
    };
    let search = named_search(call);
    Ok(Filter {
        kind: named("type"),
        event_type: named("eventType"),
        like: if search.is_empty() { search } else { format!("%{}%", escaped(&search.to_lowercase())) },
        from: at("dateFrom", "00:00:00.000Z")?,
        to: at("dateTo", "23:59:59.999Z")?,
    })
}

fn named_search(call: &Call) -> String {
    call.query_value("search").unwrap_or_default()
}

/// A text in which nothing is a sign of LIKE.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(character, '%' | '_' | '\\') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

/// The rows that were found.
pub(super) fn show(turn: &Turn<'_>, outcome: &Outcome, limit: u64, offset: u64) -> Result<Reply, JobError> {
    let (rows, total) = (outcome.rows::<Log>(0)?, outcome.rows::<Count>(1)?.first().map_or(0, |count| count.0));
    let with_connection = |log: &Log| {
        let mut shown = log.shown();
        shown["connection"] = turn.system.connections.get(&log.connection_id).map_or(Value::Null, |connection| {
            json!({
                "type": connection.kind.word(), "referenceId": &*connection.reference,
                "status": connection.status.word(), "metadata": connection.metadata(),
            })
        });
        shown
    };
    let shown: Vec<Value> = rows.iter().map(with_connection).collect();
    let has_more = offset + (shown.len() as u64) < total;
    Ok(good(&json!({"logs": shown, "total": total, "limit": limit, "offset": offset, "hasMore": has_more})))
}

/// `GET /api/websocket/logs/stats`.
pub(super) fn stats(turn: &mut Turn<'_>, ask: &Ask<'_>) -> Answer {
    let (system, since) = (&*turn.system.name, turn.now.wall.0.saturating_sub(DAY_MS));
    let questions = vec![
        Statement::new(logs::STATS).bind(system).bind(WallMillis(since)),
        Statement::new(logs::TIMES).bind(system),
    ];
    turn.read_for(Reading { req: ask.asker.req, path: ask.call.route.path, questions, show: Show::LogStats });
    Ok(None)
}

/// Rows were counted.
pub(super) fn show_stats(outcome: &Outcome) -> Result<Reply, JobError> {
    let (shares, times) = (outcome.rows::<Share>(0)?, outcome.rows::<Times>(1)?);
    let (mut by_event, mut by_kind): (BTreeMap<Arc<str>, u64>, BTreeMap<Arc<str>, u64>) = Default::default();
    for share in &shares {
        *by_event.entry(share.event_type.clone()).or_default() += share.count;
        if let Some(kind) = &share.kind {
            *by_kind.entry(kind.clone()).or_default() += share.count;
        }
    }
    let total: u64 = shares.iter().map(|share| share.count).sum();
    let recent: u64 = shares.iter().map(|share| share.recent).sum();
    let most = |counts: &BTreeMap<Arc<str>, u64>| {
        counts.iter().max_by(|a, b| a.1.cmp(b.1).then(b.0.cmp(a.0))).map(|(name, _)| name.clone())
    };
    let at = |at: Option<WallMillis>| at.map(|at| at.to_string());
    let times = times.first().copied().unwrap_or(Times { oldest: None, newest: None });
    Ok(good(&json!({
        "totalLogs": total,
        "logsByEventType": by_event,
        "logsByConnectionType": by_kind,
        "recentActivity": recent,
        "oldestLog": at(times.oldest),
        "newestLog": at(times.newest),
        "summary": {
            "hasLogs": total > 0, "activeInLast24h": recent > 0, "mostCommonEvent": most(&by_event),
            "mostActiveConnectionType": most(&by_kind),
        },
    })))
}

/// `POST /api/websocket/logs`.
pub(super) fn act(turn: &mut Turn<'_>, ask: &Ask<'_>) -> Answer {
    let said = body(ask.call)?;
    let action = said.get("action").and_then(Value::as_str).unwrap_or("");
    let system = turn.system.name.clone();
    let (write, clear) = match action {
        "" => return Err(says(VALIDATION, "Acción requerida")),
        "delete" => (delete(&said, &system)?, Clear::Ids),
        "delete_all" if said.get("confirm") == Some(&json!(true)) => {
            (vec![Statement::new(logs::DELETE_ALL).bind(&system)], Clear::All)
        }
        "delete_all" => return Err(says(VALIDATION, "Confirmación requerida para eliminar todos los logs")),
        "cleanup" => {
            let days = optional_int(&said, "olderThanDays", 0..=36_500)?.unwrap_or(7);
            let kept = optional_int(&said, "maxLogsPerConnection", 0..=1_000_000)?.unwrap_or(1_000);
            let before = WallMillis(turn.now.wall.0.saturating_sub(days * DAY_MS));
            let beyond = turn.system.connections.keys().map(|id| logs::delete_beyond(&system, id, kept));
            let write = std::iter::once(logs::delete_old(&system, before)).chain(beyond).collect();
            (write, Clear::Old { days, kept })
        }
        other => return Err(says(VALIDATION, &format!("Acción inválida: {other}"))),
    };
    let (req, path, actor) = (ask.asker.req, ask.call.route.path, ask.asker.actor.clone());
    turn.store_for(write, Storing { req, path, actor, then: Then::Cleared(clear) })?;
    Ok(None)
}

fn delete(said: &Map<String, Value>, system: &str) -> Result<Vec<Statement>, Refusal> {
    let ids = said.get("ids").and_then(Value::as_array).filter(|ids| (1..=IDS_MAX).contains(&ids.len()));
    let texts = ids.and_then(|ids| ids.iter().map(Value::as_str).collect::<Option<Vec<&str>>>());
    let ids = texts.ok_or_else(|| says(VALIDATION, "IDs de logs requeridos para eliminación"))?;
    Ok(ids.into_iter().map(|id| logs::delete(system, id)).collect())
}

/// Rows are gone.
pub(super) fn cleared(turn: &mut Turn<'_>, actor: &Actor, clear: Clear, outcome: &Outcome) -> Reply {
    let Outcome::Written(rows) = outcome else { return good(&json!({})) };
    let gone = rows.iter().filter_map(|rows| rows.read::<Gone>().ok()).flatten();
    let ids: Vec<Arc<str>> = gone.map(|gone| gone.0).collect();
    let count = ids.len();
    let text = format!("{count} logs eliminados");
    let (action, data) = match clear {
        Clear::Ids => ("delete", json!({"deletedCount": count, "deletedIds": ids, "message": text})),
        Clear::All => ("delete_all", json!({"deletedCount": count, "message": text})),
        Clear::Old { days, kept } => {
            let criteria = json!({"olderThanDays": days, "maxLogsPerConnection": kept});
            ("cleanup", json!({"deletedCount": count, "criteria": criteria, "message": text}))
        }
    };
    turn.audit(actor, &format!("logs-{action}"), "logs", "success", &json!({ "deletedCount": count }));
    super::envelope::done(&format!("Acción '{action}' ejecutada correctamente"), &data)
}

/// `GET /api/internal/websocket-connections`.
pub(super) fn internal(turn: &mut Turn<'_>, ask: &Ask<'_>) -> Answer {
    let questions = vec![logs::newest(&turn.system.name, NEWEST_ROWS)];
    turn.read_for(Reading { req: ask.asker.req, path: ask.call.route.path, questions, show: Show::Internal });
    Ok(None)
}

/// Connections with their newest rows.
pub(super) fn show_internal(turn: &Turn<'_>, outcome: &Outcome) -> Result<Reply, JobError> {
    let rows = outcome.rows::<Log>(0)?;
    let of_each = newest_of_each(&rows);
    let with_logs = |connection: &crate::apps::iot::connection::Connection| {
        let mut row = connection.row(&turn.system.name);
        row["logs"] = json!(of_each.get(&connection.id).cloned().unwrap_or_default());
        row
    };
    let connections: Vec<Value> = turn.system.connections.values().map(with_logs).collect();
    let traffic = || turn.system.connections.values().map(|connection| connection.traffic);
    let (sent, received): (u64, u64) =
        (traffic().map(|traffic| traffic.sent).sum(), traffic().map(|traffic| traffic.received).sum());
    let newest: Vec<Value> = rows.iter().take(LOGS_OF_EACH).map(Log::shown).collect();
    Ok(Reply::json(
        200,
        &json!({
            "connections": connections, "logs": newest,
            "messageStats": {"sent": sent, "received": received, "total": sent + received},
        }),
    ))
}

/// The newest rows by connection, so many of each.
pub(super) fn newest_of_each(rows: &[Log]) -> BTreeMap<Arc<str>, Vec<Value>> {
    let mut of_each: BTreeMap<Arc<str>, Vec<Value>> = BTreeMap::new();
    for row in rows {
        let logs = of_each.entry(row.connection_id.clone()).or_default();
        if logs.len() < LOGS_OF_EACH {
            logs.push(row.shown());
        }
    }
    of_each
}

const DAY_MS: u64 = 86_400_000;
/// `2025-08-20`.
const DAY_CHARS: usize = 10;
const LIST_ROWS: u64 = 100;
const LIST_ROWS_MAX: u64 = 1_000;
/// Rows that are looked through for those of each connection.
pub(super) const NEWEST_ROWS: u64 = 2_000;
const LOGS_OF_EACH: usize = 100;
/// Ids of one deletion.
const IDS_MAX: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_of_a_pattern_are_letters() {
        assert_eq!(escaped(r"50%_a\b"), r"50\%\_a\\b");
    }
}
