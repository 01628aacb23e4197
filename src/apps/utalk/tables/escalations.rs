//! Statements about escalations.

use std::sync::Arc;

use super::word;
use crate::app::settings::Word;
use crate::app::sql::{FromRow, Row as SqlRow, RowError, Statement};
use crate::apps::utalk::escalation::{Escalation, Stage};
use crate::base::time::WallMillis;

impl FromRow for Escalation {
    const TABLE: &'static str = "ut_escalations";
    fn from_row(row: &mut SqlRow<'_>) -> Result<Escalation, RowError> {
        Ok(Escalation {
            id: row.get("id")?,
            conversation: row.get("conversation_id")?,
            reason: word(row, Self::TABLE, "reason")?,
            from_agent: row.get("from_agent")?,
            to_agent: row.get("to_agent")?,
            stage: word(row, Self::TABLE, "status")?,
            notes: row.get("notes")?,
            created_at: row.get("created_at")?,
        })
    }
}

/// What has become of a pending one.
pub(crate) struct Decision<'a> {
    pub id: &'a Arc<str>,
    pub stage: Stage,
    pub by: Option<&'a Arc<str>>,
    /// What the one who has rejected it says.
    pub why: Option<&'a Arc<str>>,
    pub at: WallMillis,
}

/// It begins.
pub(crate) fn begin(scope: &Arc<str>, escalation: &Escalation) -> Statement {
    let statement = Statement::new(BEGIN).bind(scope).bind(&escalation.id).bind(&escalation.conversation);
    let statement = statement.bind(escalation.reason.word()).bind(escalation.from_agent.as_ref());
    let statement = statement.bind(escalation.to_agent.as_ref()).bind(escalation.stage.word());
    statement.bind(escalation.notes.as_ref()).bind(escalation.created_at).touching(1)
}

/// It begins with a word of a customer, if a bot has the conversation then, whose row as it is after that is given back.
pub(crate) fn begin_by_word(scope: &Arc<str>, escalation: &Escalation, change: u64, now: WallMillis) -> [Statement; 2] {
    let of = |sql| Statement::new(sql).bind(scope).bind(&escalation.conversation).bind(&escalation.id);
    let begin = of(BEGIN_BY_WORD).bind(escalation.reason.word()).bind(escalation.stage.word());
    [begin.bind(escalation.created_at), of(OFFER).bind(change).bind(now)]
}

/// It is pending no longer.
pub(crate) fn decide(scope: &Arc<str>, decision: &Decision<'_>) -> Statement {
    let statement = Statement::new(DECIDE).bind(scope).bind(decision.id).bind(decision.stage.word());
    statement.bind(decision.by).bind(decision.why).bind(decision.at).touching(1)
}

/// A conversation is over, or the bot's again: a pending one is rejected, an accepted one is completed.
pub(crate) fn end(scope: &Arc<str>, conversation: &Arc<str>, by: Option<&Arc<str>>, at: WallMillis) -> Statement {
    Statement::new(END).bind(scope).bind(conversation).bind(by).bind(at)
}

/// The one of this id.
pub(crate) fn by_id(scope: &Arc<str>, id: &Arc<str>) -> Statement {
    Statement::new(BY_ID).bind(scope).bind(id)
}

/// See [`begin`].
pub(crate) const BEGIN: &str = "
INSERT INTO ut_escalations (scope, id, conversation_id, reason, from_agent, to_agent, status, notes, created_at)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";

/// See [`begin_by_word`].
pub(crate) const BEGIN_BY_WORD: &str = "
INSERT INTO ut_escalations (scope, id, conversation_id, reason, from_agent, to_agent, status, notes, created_at)
SELECT ?1, ?3, ?2, ?4, assigned, NULL, ?5, NULL, ?6 FROM ut_conversations
WHERE scope = ?1 AND id = ?2 AND bot_enabled = 1 AND offer IS NULL AND status <> 'closed'";

/// See [`begin_by_word`].
pub(crate) const OFFER: &str = "
UPDATE ut_conversations SET status = 'escalated', bot_enabled = 0, offer = ?3, offer_to = NULL, rev = rev + 1,
    change = ?4, updated_at = ?5
WHERE scope = ?1 AND id = ?2 AND bot_enabled = 1 AND offer IS NULL AND status <> 'closed' RETURNING *";

/// See [`decide`].
pub(crate) const DECIDE: &str = "
UPDATE ut_escalations SET status = ?3, decided_by = ?4, rejection = ?5, decided_at = ?6
WHERE scope = ?1 AND id = ?2 AND status = 'pending'";

/// See [`end`].
pub(crate) const END: &str = "
UPDATE ut_escalations SET
    decided_by = CASE WHEN status = 'pending' THEN ?3 ELSE decided_by END,
    decided_at = CASE WHEN status = 'pending' THEN ?4 ELSE decided_at END,
    status = CASE WHEN status = 'pending' THEN 'rejected' ELSE 'completed' END
WHERE scope = ?1 AND conversation_id = ?2 AND (status = 'pending' OR status = 'accepted')";

/// See [`by_id`].
pub(crate) const BY_ID: &str = "SELECT * FROM ut_escalations WHERE scope = ?1 AND id = ?2";
