//! Statements about messages on their way to a provider, and about how they fare. A message that the provider has to be asked about has a
//! word in `call`: `due`, or `begun` while a call may be under way. The mark is on disk before the call, so what is begun when the
//! process ends is unknown for ever.

use std::sync::Arc;

use crate::app::settings::Word;
use crate::app::sql::{FromRow, Row as SqlRow, RowError, Statement};
use crate::apps::utalk::message::{Message, Status};
use crate::apps::utalk::rules::born;
use crate::base::time::WallMillis;

/// How a message fares.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Fate {
    pub status: Status,
    /// The provider's id, if it is told.
    pub sid: Option<Arc<str>>,
    /// Of a failure: the code of `message:error`, and the reason in its details.
    pub error: Option<Arc<str>>,
    pub reason: Option<Arc<str>>,
    pub at: WallMillis,
}

/// A message that the last process has not settled.
pub(crate) struct Left {
    pub message: Message,
    /// Whether a call was under way.
    pub is_begun: bool,
}

impl FromRow for Left {
    const TABLE: &'static str = "ut_messages";
    fn from_row(row: &mut SqlRow<'_>) -> Result<Left, RowError> {
        let call: Arc<str> = row.get("call")?;
        Ok(Left { message: Message::from_row(row)?, is_begun: &*call == "begun" })
    }
}

/// A call begins.
pub(crate) fn begin(scope: &Arc<str>, id: &Arc<str>) -> Statement {
    Statement::new(BEGIN).bind(scope).bind(born(id)).touching(1)
}

/// The provider is to be asked, for the first time or once more.
pub(crate) fn due(scope: &Arc<str>, id: &Arc<str>) -> Statement {
    Statement::new(DUE).bind(scope).bind(born(id)).touching(1)
}

/// The provider is not to be asked until the message is sent again.
pub(crate) fn rest(scope: &Arc<str>, id: &Arc<str>) -> Statement {
    Statement::new(REST).bind(scope).bind(born(id)).touching(1)
}

/// What has come of a message that is pending. Gives its row back.
pub(crate) fn settle(scope: &Arc<str>, id: &Arc<str>, fate: &Fate, change: u64) -> Statement {
    bound(SETTLE, scope, id, fate, change).bind(fate.sid.as_ref()).touching(1)
}

/// A receipt has come. Gives the row back where it is news: of a higher rank than what was known.
pub(crate) fn raise(scope: &Arc<str>, id: &Arc<str>, fate: &Fate, change: u64) -> Statement {
    bound(RAISE, scope, id, fate, change).bind(fate.status as u32)
}

fn bound(sql: &'static str, scope: &Arc<str>, id: &Arc<str>, fate: &Fate, change: u64) -> Statement {
    let statement = Statement::new(sql).bind(scope).bind(born(id)).bind(fate.status.word()).bind(fate.error.as_ref());
    statement.bind(fate.reason.as_ref()).bind(fate.at).bind(change)
}

/// The message that a receipt is about: by our id, or by the provider's.
pub(crate) fn named(scope: &Arc<str>, id: &str, sid: &str) -> Statement {
    Statement::new(NAMED).bind(scope).bind(id).bind(sid).bind(born(id))
}

/// What the last process has not settled of a scope.
pub(crate) fn left(scope: &Arc<str>) -> Statement {
    Statement::new(LEFT).bind(scope)
}

/// Scopes of which something is left.
pub(crate) fn unfinished() -> Statement {
    Statement::new(UNFINISHED)
}

/// A column for them, and an index of those that have it.
pub(crate) const ADD_CALLS: &str = "
ALTER TABLE ut_messages ADD COLUMN call {text};
CREATE INDEX ut_messages_call ON ut_messages (scope, conversation_id, seq) WHERE call IS NOT NULL;
";

/// The provider is to be asked about a pending message.
pub(crate) const DUE: &str =
    "UPDATE ut_messages SET call = 'due' WHERE scope = ?1 AND born = ?2 AND status = 'pending'";

/// The provider is being asked about it.
pub(crate) const BEGIN: &str = "
UPDATE ut_messages SET call = 'begun', attempt = attempt + 1 WHERE scope = ?1 AND born = ?2 AND status = 'pending'";

/// The provider is not to be asked about it.
pub(crate) const REST: &str =
    "UPDATE ut_messages SET call = NULL WHERE scope = ?1 AND born = ?2 AND status = 'pending'";

/// It is not pending any more.
pub(crate) const SETTLE: &str = "
UPDATE ut_messages SET call = NULL, status = ?3, error = ?4, reason = ?5, change = ?7, sid = ?8,
    sent_at = CASE WHEN ?3 = 'sent' THEN ?6 ELSE sent_at END
WHERE scope = ?1 AND born = ?2 AND status = 'pending' RETURNING *";

/// A receipt that is news; `?8` is its rank.
pub(crate) const RAISE: &str = "
UPDATE ut_messages SET call = NULL, status = ?3, error = ?4, reason = ?5, change = ?7,
    sent_at = CASE WHEN ?3 = 'failed' THEN sent_at ELSE coalesce(sent_at, ?6) END,
    delivered_at = CASE WHEN ?3 IN ('delivered', 'read') THEN coalesce(delivered_at, ?6) ELSE delivered_at END,
    read_at = CASE WHEN ?3 = 'read' THEN ?6 ELSE read_at END
WHERE scope = ?1 AND born = ?2 AND direction = 'outbound' AND CAST(?8 AS {int}) > CASE status
    WHEN 'received' THEN 0 WHEN 'pending' THEN 1 WHEN 'sent' THEN 2 WHEN 'failed' THEN 3 WHEN 'delivered' THEN 4 ELSE 5 END
RETURNING *";

/// One row at most, unless the two ids are of two messages.
pub(crate) const NAMED: &str = "
SELECT * FROM ut_messages WHERE scope = ?1 AND born = ?4 AND id = ?2
UNION ALL SELECT * FROM ut_messages WHERE scope = ?1 AND sid = ?3 AND released IS NULL";

/// In the order in which they are to be called.
pub(crate) const LEFT: &str = "
SELECT * FROM ut_messages WHERE scope = ?1 AND call IS NOT NULL ORDER BY conversation_id, seq LIMIT 10000";

/// Read from an index of what is not settled.
pub(crate) const UNFINISHED: &str = "SELECT DISTINCT scope FROM ut_messages WHERE call IS NOT NULL LIMIT 100000";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_statement_ranks_as_we_do() {
        for (at, word) in Status::WORDS.iter().enumerate().take(5) {
            assert_eq!(Status::of(word).unwrap() as usize, at);
            assert!(RAISE.contains(&format!("WHEN '{word}' THEN {at} ")), "{word}");
        }
        assert_eq!((Status::WORDS.len(), Status::Read as u32), (6, 5));
    }
}
