//! The rest of what is asked by HTTP: that the server is there, secrets by which devices come in, devices of nobody, the audit.

use std::sync::Arc;

use serde_json::{Value, json};

use super::envelope::{done, gone, good, number};
use super::logs::escaped;
use super::wanted::{Reading, Show, Storing, Then};
use super::{Answer, Ask};
use crate::app::job::{JobError, Outcome};
use crate::app::kit::audit::{Actor, Entry};
use crate::app::reply::Reply;
use crate::app::sql::Statement;
use crate::apps::iot::connection::Connection;
use crate::apps::iot::tables::{AUDIT, AUDIT_COUNT, Count, outbound};
use crate::apps::iot::turn::Turn;
use crate::apps::iot::wire::path;

const INIT: &str = "Socket.io server inicializado";
const MONITORING: &str = "Monitoreo iniciado correctamente";

/// `/api/socket/init`.
pub(super) fn init(turn: &mut Turn<'_>, _: &Ask<'_>) -> Answer {
    Ok(Some(done(INIT, &json!({ "connections": open(turn) }))))
}

/// `/api/socket/start-monitoring`.
pub(super) fn monitor(turn: &mut Turn<'_>, _: &Ask<'_>) -> Answer {
    Ok(Some(done(MONITORING, &json!({ "connections": turn.monitor() }))))
}

fn open(turn: &Turn<'_>) -> usize {
    turn.system.connections.values().filter(|one: &&Connection| one.is_upstream() && one.is_open()).count()
}

/// The same to nobody known.
pub(super) fn nobody(route: &str) -> Reply {
    let message = if route.starts_with("init") { INIT } else { MONITORING };
    done(message, &json!({"connections": 0}))
}

/// `POST /api/shelly/outbound-secret`.
pub(super) fn secret(turn: &mut Turn<'_>, ask: &Ask<'_>) -> Answer {
    let (secret, hash) = path::mint(&turn.system.name, turn.rng);
    let write = outbound::put(&turn.system.name, &hash, turn.now.wall);
    let then = Then::Secret { secret, hash: hash.into() };
    let (req, path, actor) = (ask.asker.req, ask.call.route.path, ask.asker.actor.clone());
    turn.store_for(write, Storing { req, path, actor, then })?;
    Ok(None)
}

/// The secret is good, and is told once. Those before it are not.
pub(super) fn has_secret(turn: &mut Turn<'_>, actor: &Actor, secret: &str, hash: Arc<str>) -> Reply {
    turn.system.outbound.clear();
    turn.system.outbound.insert(hash);
    turn.audit(actor, "outbound-secret", "outbound-secret", "success", &Value::Null);
    good(&json!({"secret": secret, "path": format!("/api/shelly/ws/{secret}")}))
}

/// `DELETE /api/shelly/outbound-secret`.
pub(super) fn revoke(turn: &mut Turn<'_>, ask: &Ask<'_>) -> Answer {
    let write = vec![outbound::revoke(&turn.system.name, turn.now.wall)];
    let (req, path, actor) = (ask.asker.req, ask.call.route.path, ask.asker.actor.clone());
    turn.store_for(write, Storing { req, path, actor, then: Then::Revoked })?;
    Ok(None)
}

/// No secret is good any more.
pub(super) fn revoked(turn: &mut Turn<'_>, actor: &Actor) -> Reply {
    turn.system.outbound.clear();
    turn.audit(actor, "outbound-secret-revoke", "outbound-secret", "success", &Value::Null);
    gone("Secreto revocado correctamente")
}

/// `GET /api/shelly/unclaimed`.
pub(super) fn unclaimed(turn: &mut Turn<'_>, _: &Ask<'_>) -> Answer {
    let rows = turn.system.unclaimed.iter().map(|(id, it)| {
        json!({
            "shellyDeviceId": id, "ip": it.ip.map(|ip| ip.to_string()), "firstSeen": it.first_seen.to_string(),
            "lastSeen": it.last_seen.to_string(),
        })
    });
    let rows: Vec<Value> = rows.collect();
    Ok(Some(good(&json!(rows))))
}

/// `GET /api/internal/audit`.
pub(super) fn audit(turn: &mut Turn<'_>, ask: &Ask<'_>) -> Answer {
    let action = ask.call.query_value("action").unwrap_or_default();
    let (limit, offset) =
        (number(ask.call, "limit", 100, 1..=1_000)?, number(ask.call, "offset", 0, 0..=u64::MAX / 2)?);
    let begins = json!({"systemId": &*turn.system.name}).to_string();
    let pattern = format!("{}%", escaped(begins.trim_end_matches('}')));
    let of = |sql| Statement::new(sql).bind(&pattern).bind(&action);
    let questions = vec![of(AUDIT).bind(limit).bind(offset), of(AUDIT_COUNT)];
    turn.read_for(Reading { req: ask.asker.req, path: ask.call.route.path, questions, show: Show::Audit });
    Ok(None)
}

/// Entries of the audit.
pub(super) fn show_audit(outcome: &Outcome) -> Result<Reply, JobError> {
    let (entries, total) = (outcome.rows::<Entry>(0)?, outcome.rows::<Count>(1)?.first().map_or(0, |count| count.0));
    let shown = |entry: &Entry| {
        let details: Value = serde_json::from_str(&entry.details).unwrap_or_default();
        json!({
            "at": entry.at.to_string(), "actor": entry.actor, "ip": entry.ip, "userAgent": entry.user_agent,
            "action": entry.action, "target": entry.target, "outcome": entry.outcome, "details": details,
        })
    };
    let entries: Vec<Value> = entries.iter().map(shown).collect();
    Ok(good(&json!({"entries": entries, "total": total})))
}
