//! The audit log's entry: who did what to whom, from where, and what came of it (DESIGN 5.7). Append-only.
//! All applications write into the one table, which is the store's own.

use crate::app::event::Handshake;
use crate::app::sql::{FromRow, Row, RowError, Statement};
use crate::base::time::WallMillis;

/// One line of the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub at: WallMillis,
    /// Name of the application: `signage`, …
    pub domain: String,
    /// `sub` of the identity that acted.
    pub actor: String,
    pub ip: String,
    pub user_agent: String,
    /// `command`, `authorize`, `revoke`, …
    pub action: String,
    /// What it was done to, e.g. a device id.
    pub target: String,
    /// `success`, `rejected`, …
    pub outcome: String,
    /// JSON text.
    pub details: String,
}

/// The one who acts, and from where: the part of an entry that one socket's entries share.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Actor {
    pub sub: String,
    pub ip: String,
    pub user_agent: String,
}

impl Actor {
    /// `sub` acts, over the connection that this handshake opened.
    pub fn of(sub: &str, handshake: &Handshake) -> Actor {
        let (ip, user_agent) = (handshake.ip.to_string(), handshake.user_agent().to_owned());
        Actor { sub: sub.to_owned(), ip, user_agent }
    }
}

impl Entry {
    /// `actor` did `action` to `target`; it went well and there is nothing to add.
    pub fn new(at: WallMillis, domain: &str, actor: &Actor, action: &str, target: &str) -> Entry {
        Entry {
            at,
            domain: domain.to_owned(),
            actor: actor.sub.clone(),
            ip: actor.ip.clone(),
            user_agent: actor.user_agent.clone(),
            action: action.to_owned(),
            target: target.to_owned(),
            outcome: "success".to_owned(),
            details: "{}".to_owned(),
        }
    }

    /// What came of it: `success`, `rejected`, …
    pub fn outcome(mut self, outcome: &str) -> Entry {
        self.outcome = outcome.to_owned();
        self
    }

    /// What else there is to know, as JSON.
    pub fn details(mut self, details: &serde_json::Value) -> Entry {
        self.details = details.to_string();
        self
    }

    /// Adds it to the log. A batch with entries ends with one [`trim`].
    pub fn add(&self) -> Statement {
        let statement = Statement::new(ADD).bind(self.at).bind(&self.domain).bind(&self.actor).bind(&self.ip);
        let statement = statement.bind(&self.user_agent).bind(&self.action).bind(&self.target);
        statement.bind(&self.outcome).bind(&self.details)
    }
}

impl FromRow for Entry {
    const TABLE: &'static str = "audit";
    fn from_row(row: &mut Row<'_>) -> Result<Entry, RowError> {
        Ok(Entry {
            at: row.get("at")?,
            domain: row.get("domain")?,
            actor: row.get("actor")?,
            ip: row.get("ip")?,
            user_agent: row.get("user_agent")?,
            action: row.get("action")?,
            target: row.get("target")?,
            outcome: row.get("outcome")?,
            details: row.get("details")?,
        })
    }
}

/// Forgets the oldest entries beyond `rows_max`, in a daemon [`ROWS_MAX`].
pub fn trim(rows_max: u32) -> Statement {
    Statement::new(TRIM).bind(rows_max)
}

/// The newest entries of an application, newest first.
pub fn newest(domain: &str, limit: u32) -> Statement {
    Statement::new(NEWEST).bind(domain).bind(limit)
}

/// [`Entry::add`].
pub const ADD: &str = "
    INSERT INTO audit (at, domain, actor, ip, user_agent, action, target, outcome, details)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
/// [`trim`].
pub const TRIM: &str = "DELETE FROM audit WHERE seq <= (SELECT max(seq) FROM audit) - ?1";
/// [`newest`].
pub const NEWEST: &str = "
    SELECT at, domain, actor, ip, user_agent, action, target, outcome, details
    FROM audit WHERE domain = ?1 ORDER BY seq DESC LIMIT ?2";
/// Entries of all applications together.
pub const ROWS_MAX: u32 = 100_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_built_from_its_actor() {
        let actor = Actor { sub: "ana".into(), ip: "10.0.0.4".into(), user_agent: "UA".into() };
        let entry = Entry::new(WallMillis(5), "signage", &actor, "revoke", "p1")
            .outcome("rejected")
            .details(&serde_json::json!({"code": "FORBIDDEN"}));
        assert_eq!((entry.actor.as_str(), entry.ip.as_str(), entry.outcome.as_str()), ("ana", "10.0.0.4", "rejected"));
        assert_eq!(entry.details, r#"{"code":"FORBIDDEN"}"#);
    }
}
