//! Statements about the work of agents: who has how much, who waits, whose customers have waited for too long. Each is bounded by what is
//! unanswered, by indices of its own.

use std::sync::Arc;

use crate::app::sql::{FromRow, Row as SqlRow, RowError, Statement};
use crate::apps::utalk::queue::{HELD_MAX, Place};
use crate::base::time::WallMillis;

/// An agent with a number: of active conversations, or when it was last given one.
pub(crate) struct OfAgent {
    pub agent: Arc<str>,
    pub number: u64,
}

impl FromRow for OfAgent {
    const TABLE: &'static str = "agents";
    fn from_row(row: &mut SqlRow<'_>) -> Result<OfAgent, RowError> {
        Ok(OfAgent { agent: row.get("agent")?, number: row.get("number")? })
    }
}

/// A conversation whose customer waits.
pub(crate) struct Unanswered {
    pub id: Arc<str>,
    pub since: WallMillis,
    pub ahead: bool,
}

impl FromRow for Unanswered {
    const TABLE: &'static str = "ut_conversations";
    fn from_row(row: &mut SqlRow<'_>) -> Result<Unanswered, RowError> {
        Ok(Unanswered { id: row.get("id")?, since: row.get("since")?, ahead: row.get("ahead")? })
    }
}

impl Unanswered {
    /// Its place in the queue.
    pub(crate) fn place(&self) -> Place {
        Place { is_behind: !self.ahead, since: self.since }
    }
}

/// A scope with something to do.
pub(crate) struct ScopeOf(pub Arc<str>);

impl FromRow for ScopeOf {
    const TABLE: &'static str = "scopes";
    fn from_row(row: &mut SqlRow<'_>) -> Result<ScopeOf, RowError> {
        Ok(ScopeOf(row.get("scope")?))
    }
}

/// How many there are.
pub(crate) struct Count(pub u64);

impl FromRow for Count {
    const TABLE: &'static str = "a count";
    fn from_row(row: &mut SqlRow<'_>) -> Result<Count, RowError> {
        Ok(Count(row.get("count")?))
    }
}

/// Active conversations by agent, and when agents were last given one.
pub(crate) fn agents(scope: &str) -> [Statement; 2] {
    [loads(scope), Statement::new(LAST_GIVEN).bind(scope)]
}

/// Active conversations by agent.
pub(crate) fn loads(scope: &str) -> Statement {
    Statement::new(LOADS).bind(scope)
}

/// An agent is given a conversation now.
pub(crate) fn give(scope: &Arc<str>, agent: &Arc<str>, stamp: u64) -> Statement {
    Statement::new(GIVE).bind(scope).bind(agent).bind(stamp)
}

/// The first of those who wait: those of agents who have gone, others, and, where no bot looks after them, those that a bot may answer; last how
/// many there are.
pub(crate) fn waiting(scope: &Arc<str>, with_bot_s: bool) -> Vec<Statement> {
    let part = |sql: &'static str, bot: bool, ahead: bool| Statement::new(sql).bind(scope).bind(bot).bind(ahead);
    let first = |bot, ahead| part(WAITING, bot, ahead).bind(HELD_MAX as u64);
    let mut questions = vec![first(false, true), first(false, false)];
    if with_bot_s {
        questions.push(first(true, false));
    }
    questions.push(Statement::new(WAITING_COUNT).bind(scope).bind(with_bot_s));
    questions
}

/// The customers who have waited for longest: for the bot, and for their agents.
pub(crate) fn late(scope: &Arc<str>) -> Vec<Statement> {
    [LATE_BOT, LATE_AGENT].map(|sql| Statement::new(sql).bind(scope).bind(LATE_MAX)).to_vec()
}

/// Unanswered conversations of one agent.
pub(crate) fn of_agent(scope: &Arc<str>, agent: &Arc<str>) -> Statement {
    Statement::new(OF_AGENT).bind(scope).bind(agent)
}

/// Scopes in which somebody has waited since before these times: for the bot, for an agent.
pub(crate) fn late_scopes(bot: WallMillis, agent: WallMillis) -> Statement {
    Statement::new(LATE_SCOPES).bind(bot).bind(agent)
}

/// Conversations that are looked at at once.
pub(crate) const LATE_MAX: u64 = 100;

/// See [`loads`].
pub(crate) const LOADS: &str = "
SELECT assigned AS agent, count(*) AS number FROM ut_conversations
WHERE scope = ?1 AND assigned IS NOT NULL AND status <> 'closed' GROUP BY assigned";

/// See [`agents`].
pub(crate) const LAST_GIVEN: &str = "
SELECT id AS agent, assigned_at AS number FROM ut_users WHERE scope = ?1 AND assigned_at IS NOT NULL
ORDER BY assigned_at DESC LIMIT 100000";

/// See [`give`].
pub(crate) const GIVE: &str = "UPDATE ut_users SET assigned_at = ?3 WHERE scope = ?1 AND id = ?2";

/// See [`waiting`].
pub(crate) const WAITING: &str = "
SELECT id, unanswered_at AS since, ahead FROM ut_conversations
WHERE scope = ?1 AND bot_enabled = ?2 AND ahead = ?3
    AND unanswered_at IS NOT NULL AND assigned IS NULL AND status <> 'closed'
ORDER BY unanswered_at LIMIT ?4";

/// See [`waiting`].
pub(crate) const WAITING_COUNT: &str = "
SELECT count(*) AS count FROM ut_conversations
WHERE scope = ?1 AND (bot_enabled = 0 OR CAST(?2 AS {int}) = 1)
    AND unanswered_at IS NOT NULL AND assigned IS NULL AND status <> 'closed'";

/// See [`late`].
pub(crate) const LATE_BOT: &str = "
SELECT id, unanswered_at AS since, ahead FROM ut_conversations
WHERE scope = ?1 AND bot_enabled = 1 AND ahead = 0
    AND unanswered_at IS NOT NULL AND assigned IS NULL AND status <> 'closed'
ORDER BY unanswered_at LIMIT ?2";

/// See [`late`].
pub(crate) const LATE_AGENT: &str = "
SELECT id, CASE WHEN assigned_at > unanswered_at THEN assigned_at ELSE unanswered_at END AS since, ahead
FROM ut_conversations
WHERE scope = ?1 AND unanswered_at IS NOT NULL AND assigned IS NOT NULL AND (status = 'open' OR status = 'pending')
ORDER BY since LIMIT ?2";

/// See [`of_agent`].
pub(crate) const OF_AGENT: &str = "
SELECT id, unanswered_at AS since, ahead FROM ut_conversations
WHERE scope = ?1 AND assigned = ?2 AND unanswered_at IS NOT NULL AND assigned IS NOT NULL AND status <> 'closed'
ORDER BY unanswered_at LIMIT 1000";

/// See [`late_scopes`].
pub(crate) const LATE_SCOPES: &str = "
SELECT scope FROM ut_conversations
WHERE unanswered_at IS NOT NULL AND (status = 'open' OR status = 'pending') AND unanswered_at <= ?1 AND bot_enabled = 1
UNION SELECT scope FROM ut_conversations
WHERE unanswered_at IS NOT NULL AND (status = 'open' OR status = 'pending') AND unanswered_at <= ?2
    AND assigned IS NOT NULL AND assigned_at <= ?2
LIMIT 1000";
