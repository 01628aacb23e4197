//! Statements about what goes with time. Messages are walked through by their ids, which rise; how far each walk has come with a scope stands in
//! `ut_forgotten`.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::app::settings::{Word, words};
use crate::app::sql::{FromRow, Row as SqlRow, RowError, Statement};
use crate::apps::utalk::rules::{self, born};
use crate::base::time::WallMillis;

words! {
    /// What goes of old messages.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub(crate) enum Walk {
        /// What was said.
        Bodies = "bodies",
        /// That their ids are known.
        Ids = "ids",
    }
}

/// A row that has gone.
pub(crate) struct Gone;

impl FromRow for Gone {
    const TABLE: &'static str = "what has gone";
    fn from_row(_: &mut SqlRow<'_>) -> Result<Gone, RowError> {
        Ok(Gone)
    }
}

/// A scope, and the message up to which a walk has come.
pub(crate) struct Next {
    pub scope: Arc<str>,
    pub upto: Arc<str>,
}

impl FromRow for Next {
    const TABLE: &'static str = "ut_forgotten";
    fn from_row(row: &mut SqlRow<'_>) -> Result<Next, RowError> {
        Ok(Next { scope: row.get("scope")?, upto: row.get("upto")? })
    }
}

/// A message that is old.
pub(crate) struct Old {
    pub id: Arc<str>,
    conversation: Arc<str>,
    text: Option<Arc<str>>,
    media: Option<Arc<str>>,
    /// The provider is being asked about it, or will be.
    pub is_called: bool,
}

impl FromRow for Old {
    const TABLE: &'static str = "ut_messages";
    fn from_row(row: &mut SqlRow<'_>) -> Result<Old, RowError> {
        Ok(Old {
            id: row.get("id")?,
            conversation: row.get("conversation_id")?,
            text: row.get("text")?,
            media: row.get("media_id")?,
            is_called: row.get("called")?,
        })
    }
}

/// The first entries of the log that are from before a time.
pub(crate) fn forget_log(domain: &str, before: WallMillis) -> Statement {
    Statement::new(FORGET_LOG).bind(domain).bind(before)
}

/// A few files from before a time, whose bytes their shelf forgets by itself.
pub(crate) fn forget_files(before: WallMillis) -> Statement {
    Statement::new(FORGET_FILES).bind(before)
}

/// The next scope beyond one.
pub(crate) fn next(walk: Walk, beyond: &Arc<str>) -> Statement {
    Statement::new(NEXT).bind(beyond).bind(walk.word())
}

/// Messages of a scope beyond one of these ids, up to a change, the oldest first.
pub(crate) fn old(walk: Walk, scope: &Arc<str>, beyond: &str, end: u64) -> Statement {
    let sql = match walk {
        Walk::Bodies => OLD_BODIES,
        Walk::Ids => OLD_IDS,
    };
    Statement::new(sql).bind(scope).bind(born(beyond)).bind(end)
}

/// These go, which are the ones up to `upto`; all or nothing, and how far that is.
pub(crate) fn forget(walk: Walk, scope: &Arc<str>, rows: &[Old], upto: &Arc<str>) -> Vec<Statement> {
    let from = &rows[0].id;
    let of_all = |sql| Statement::new(sql).bind(scope).bind(born(from)).bind(born(upto));
    let mut write = match walk {
        Walk::Ids => vec![of_all(DROP_BODILESS), of_all(RELEASE)],
        Walk::Bodies => {
            let digest = |row: &Old| rules::digest(row.text.as_deref(), row.media.as_deref());
            let strip = |row: &Old| Statement::new(STRIP).bind(scope).bind(born(&row.id)).bind(digest(row));
            let conversations: BTreeSet<&Arc<str>> = rows.iter().map(|row| &row.conversation).collect();
            let quiet = |conversation| Statement::new(QUIET).bind(scope).bind(conversation).bind(upto);
            let drop = of_all(DROP_RELEASED);
            [drop].into_iter().chain(rows.iter().map(strip)).chain(conversations.into_iter().map(quiet)).collect()
        }
    };
    write.push(Statement::new(MARK).bind(scope).bind(walk.word()).bind(upto));
    write
}

/// Rows that go at once; the statements have it as a literal.
pub(crate) const PIECE: usize = 100;

/// Columns for it, indices that hold what is known by its id alone, and how far each walk has come.
pub(crate) const ADD_RETENTION: &str = "
ALTER TABLE ut_messages ADD COLUMN released {int};
ALTER TABLE ut_messages ADD COLUMN digest {text};
DROP INDEX ut_messages_message_id;
DROP INDEX ut_messages_sid;
CREATE UNIQUE INDEX ut_messages_message_id ON ut_messages (message_id, scope) WHERE released IS NULL;
CREATE UNIQUE INDEX ut_messages_sid ON ut_messages (scope, sid) WHERE sid IS NOT NULL AND released IS NULL;
CREATE INDEX ut_media_created ON ut_media (created_at);
CREATE TABLE ut_forgotten (
    scope {text} NOT NULL,
    walk {text} NOT NULL,
    upto {text} NOT NULL,
    PRIMARY KEY (scope, walk)
) {strict_by_key};
";

/// Entries are as old as their numbers: the first few of ours are looked at.
pub(crate) const FORGET_LOG: &str = "
DELETE FROM audit WHERE seq IN (
    SELECT seq FROM (SELECT seq, at FROM audit WHERE domain = ?1 ORDER BY seq LIMIT 100) few WHERE at < ?2
) RETURNING seq";

/// See [`forget_files`].
pub(crate) const FORGET_FILES: &str = "
DELETE FROM ut_media WHERE (scope, id) IN (
    SELECT scope, id FROM ut_media WHERE created_at < ?1 ORDER BY created_at LIMIT 100
) RETURNING id";

/// See [`next`].
pub(crate) const NEXT: &str = "
SELECT m.scope, coalesce(f.upto, '') AS upto
FROM (SELECT scope FROM ut_messages WHERE scope > ?1 ORDER BY scope LIMIT 1) m
LEFT JOIN ut_forgotten f ON f.scope = m.scope AND f.walk = ?2";

/// See [`old`].
pub(crate) const OLD_BODIES: &str = "
SELECT id, conversation_id, text, media_id, CASE WHEN call IS NULL THEN 0 ELSE 1 END AS called
FROM ut_messages WHERE scope = ?1 AND born > ?2 AND born < ?3 ORDER BY born LIMIT 100";

/// The same without what was said.
pub(crate) const OLD_IDS: &str = "
SELECT id, conversation_id, NULL AS text, NULL AS media_id, CASE WHEN call IS NULL THEN 0 ELSE 1 END AS called
FROM ut_messages WHERE scope = ?1 AND born > ?2 AND born < ?3 ORDER BY born LIMIT 100";

/// What nobody can ask for by its id any more, and what has never been sent: whoever sends that again sends it for the first time.
pub(crate) const DROP_RELEASED: &str = "
DELETE FROM ut_messages WHERE scope = ?1 AND born >= ?2 AND born <= ?3 AND (released IS NOT NULL OR status = 'pending')";

/// The body goes, and a digest of it stays.
pub(crate) const STRIP: &str = "
UPDATE ut_messages SET text = NULL, media_id = NULL, metadata = '{}', digest = ?3 WHERE scope = ?1 AND born = ?2";

/// Its last message, which begins with its id, is one of those that go.
pub(crate) const QUIET: &str = "UPDATE ut_conversations SET last_message = NULL WHERE scope = ?1 AND id = ?2 AND substr(last_message, 8, 40) <= ?3";

/// What has no body.
pub(crate) const DROP_BODILESS: &str =
    "DELETE FROM ut_messages WHERE scope = ?1 AND born >= ?2 AND born <= ?3 AND digest IS NOT NULL";

/// Their ids may name other messages.
pub(crate) const RELEASE: &str = "UPDATE ut_messages SET released = 1 WHERE scope = ?1 AND born >= ?2 AND born <= ?3";

/// See [`forget`].
pub(crate) const MARK: &str = "
INSERT INTO ut_forgotten (scope, walk, upto) VALUES (?1, ?2, ?3)
ON CONFLICT (scope, walk) DO UPDATE SET upto = excluded.upto";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_as_large_as_the_statements_say() {
        for sql in [FORGET_LOG, FORGET_FILES, OLD_BODIES, OLD_IDS] {
            assert!(sql.contains(&format!("LIMIT {PIECE}")), "{sql}");
        }
    }
}
