//! What somebody has missed: bounded questions by change numbers. A page looks at `SCANNED_MAX` rows at most, whoever may read how few of
//! them; where it ends is asked beside it.

use std::sync::Arc;

use crate::app::sql::{FromRow, Row as SqlRow, RowError, Statement};
use crate::apps::utalk::conversation::Row;

/// The rows of a scope that somebody may read, as statements ask.
#[derive(Clone, Debug)]
pub(crate) struct Filter {
    pub scope: Arc<str>,
    /// All of the scope.
    pub all: bool,
    /// Nobody's, its own, and what it is offered.
    pub agent: bool,
    /// Those of bots, without notes.
    pub bot: bool,
    pub user: Arc<str>,
}

/// A part of the change numbers: beyond the first, up to the second; or below the first, where the newest come first.
pub(crate) type Part = (u64, u64);

impl Filter {
    /// A statement of one part of the changes, with the values that say what may be read.
    pub(super) fn bind(&self, sql: &'static str, part: Part) -> Statement {
        let statement = Statement::new(sql).bind(&self.scope).bind(part.0).bind(part.1);
        statement.bind(self.all).bind(self.agent).bind(self.bot).bind(&self.user)
    }

    /// The questions of one page of a snapshot: the last changes, open conversations below a change, and where the page ends.
    pub(crate) fn open(&self, below: u64, limit: u32) -> Vec<Statement> {
        let end = Statement::new(OPEN_END).bind(&self.scope).bind(below);
        vec![self.last(), self.bind(OPEN, (below, 0)).bind(limit), end]
    }

    /// The questions of one page of changes: the last changes, conversations and messages, each with its end.
    pub(crate) fn changed(&self, conversations: Part, messages: Part, limit: u32) -> Vec<Statement> {
        let end = |sql, part: Part| Statement::new(sql).bind(&self.scope).bind(part.0).bind(part.1);
        vec![
            self.last(),
            self.bind(CHANGED, conversations).bind(limit),
            end(CHANGED_END, conversations),
            self.bind(MISSED, messages).bind(limit),
            end(MISSED_END, messages),
        ]
    }

    fn last(&self) -> Statement {
        Statement::new(LAST_CHANGES).bind(&self.scope)
    }
}

/// A change number.
pub(crate) struct Change(pub u64);

impl FromRow for Change {
    const TABLE: &'static str = "changes";
    fn from_row(row: &mut SqlRow<'_>) -> Result<Change, RowError> {
        Ok(Change(row.get("change")?))
    }
}

/// A conversation, and how far the one who asks has read it.
pub(crate) struct Seen {
    pub row: Row,
    pub own_inbound: u64,
}

impl FromRow for Seen {
    const TABLE: &'static str = "ut_conversations";
    fn from_row(row: &mut SqlRow<'_>) -> Result<Seen, RowError> {
        Ok(Seen { row: Row::from_row(row)?, own_inbound: row.get("own_inbound")? })
    }
}

/// Rows that one page looks at; the statements have it as a literal.
#[cfg(test)]
const SCANNED_MAX: usize = 5_000;

macro_rules! readable {
    () => {
        "(CAST(?4 AS {int}) = 1
        OR (CAST(?5 AS {int}) = 1 AND (c.assigned IS NULL OR c.assigned = ?7
            OR (c.offer IS NOT NULL AND (c.offer_to IS NULL OR c.offer_to = ?7))))
        OR (CAST(?6 AS {int}) = 1 AND c.bot_enabled = 1))"
    };
}

pub(super) use readable;

/// The last number of conversations, and that of messages.
pub(crate) const LAST_CHANGES: &str = "
SELECT coalesce(max(change), 0) AS change FROM ut_conversations WHERE scope = ?1
UNION ALL SELECT coalesce(max(born), 0) AS change FROM ut_messages WHERE scope = ?1
UNION ALL SELECT coalesce(max(change), 0) AS change FROM ut_messages WHERE scope = ?1 AND change <> born";

/// One page of conversations that have changed.
pub(crate) const CHANGED: &str = concat!(
    "SELECT c.*, coalesce(h.inbound, 0) AS own_inbound FROM (
    SELECT * FROM ut_conversations WHERE scope = ?1 AND change > ?2 AND change <= ?3 ORDER BY change LIMIT 5000
) c LEFT JOIN ut_horizons h ON h.scope = c.scope AND h.conversation_id = c.id AND h.reader = ?7
WHERE ",
    readable!(),
    " ORDER BY c.change LIMIT ?8"
);

/// Its end.
pub(crate) const CHANGED_END: &str = "
SELECT change FROM ut_conversations WHERE scope = ?1 AND change > ?2 AND change <= ?3 ORDER BY change LIMIT 1 OFFSET 4999";

/// One page of open conversations. The third value is not used: the places of a filter are the same everywhere.
pub(crate) const OPEN: &str = concat!(
    "SELECT c.*, coalesce(h.inbound, 0) AS own_inbound FROM (
    SELECT * FROM ut_conversations WHERE scope = ?1 AND change < ?2 AND change > ?3 ORDER BY change DESC LIMIT 5000
) c LEFT JOIN ut_horizons h ON h.scope = c.scope AND h.conversation_id = c.id AND h.reader = ?7
WHERE c.status <> 'closed' AND ",
    readable!(),
    " ORDER BY c.change DESC LIMIT ?8"
);

/// Its end.
pub(crate) const OPEN_END: &str =
    "SELECT change FROM ut_conversations WHERE scope = ?1 AND change < ?2 ORDER BY change DESC LIMIT 1 OFFSET 4999";

/// One page of messages: those that have come, and those that have changed since; of each as many as a page looks at.
pub(crate) const MISSED: &str = concat!(
    "SELECT m.* FROM (
    SELECT * FROM (
        SELECT * FROM ut_messages WHERE scope = ?1 AND born > ?2 AND born <= ?3 ORDER BY born LIMIT 5000
    ) made WHERE change = born
    UNION ALL SELECT * FROM (
        SELECT * FROM ut_messages WHERE scope = ?1 AND change > ?2 AND change <= ?3 AND change <> born ORDER BY change LIMIT 5000
    ) changed
) m JOIN ut_conversations c ON c.scope = m.scope AND c.id = m.conversation_id
WHERE m.digest IS NULL AND (CAST(?6 AS {int}) = 0 OR m.direction <> 'internal') AND ",
    readable!(),
    " ORDER BY m.change LIMIT ?8"
);

/// Its ends: what lies beyond the nearer one was not looked at as a whole.
pub(crate) const MISSED_END: &str = "
SELECT change FROM (
    SELECT born AS change FROM ut_messages WHERE scope = ?1 AND born > ?2 AND born <= ?3 ORDER BY born LIMIT 1 OFFSET 4999
) made
UNION ALL SELECT change FROM (
    SELECT change FROM ut_messages WHERE scope = ?1 AND change > ?2 AND change <= ?3 AND change <> born ORDER BY change LIMIT 1 OFFSET 4999
) changed";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_and_its_end_look_at_the_same_rows() {
        for (page, end, parts) in [(CHANGED, CHANGED_END, 1), (OPEN, OPEN_END, 1), (MISSED, MISSED_END, 2)] {
            assert_eq!(page.matches(&format!("LIMIT {SCANNED_MAX}\n")).count(), parts, "{page}");
            assert_eq!(end.matches(&format!("LIMIT 1 OFFSET {}", SCANNED_MAX - 1)).count(), parts, "{end}");
        }
    }
}
