//! Lists that HTTP asks for, page by page, and figures about a time. A page of conversations looks at `SCANNED_MAX` rows at most, as one of a sync.

use std::sync::Arc;

use super::sync::{Filter, readable};
use crate::app::sql::{FromRow, Row as SqlRow, RowError, Statement};
use crate::apps::utalk::http::wants::{Narrowed, NarrowedMessages};

/// A number that was counted.
pub(crate) struct Count(pub u64);

impl FromRow for Count {
    const TABLE: &'static str = "counted";
    fn from_row(row: &mut SqlRow<'_>) -> Result<Count, RowError> {
        Ok(Count(row.get("total")?))
    }
}

/// Figures about the conversations that began in a time.
pub(crate) struct Figures {
    pub total: u64,
    pub closed: u64,
    /// How long those that are closed took, all together.
    pub resolution_ms: u64,
    pub escalated: u64,
}

impl FromRow for Figures {
    const TABLE: &'static str = "figures";
    fn from_row(row: &mut SqlRow<'_>) -> Result<Figures, RowError> {
        Ok(Figures {
            total: row.get("total")?,
            closed: row.get("closed")?,
            resolution_ms: row.get("resolution_ms")?,
            escalated: row.get("escalated")?,
        })
    }
}

fn narrow(statement: Statement, to: &Narrowed) -> Statement {
    let search: String = to.search.to_lowercase().chars().flat_map(escaped).collect();
    let statement = statement.bind(&to.status).bind(&to.channel).bind(&to.assigned);
    statement.bind(format!("%{search}%"))
}

/// One page of conversations below a change and behind so many that are skipped, the newest first; where it ends if the store looks no further; and how many there are in all.
pub(crate) fn conversations(
    filter: &Filter,
    narrowed: &Narrowed,
    below: u64,
    (skipped, limit): (u64, usize),
) -> Vec<Statement> {
    let end = Statement::new(CONVERSATIONS_END).bind(&filter.scope).bind(below);
    let page = filter.bind(CONVERSATIONS, (below, 0)).bind(limit as u64);
    let count = filter.bind(CONVERSATIONS_COUNT, (i64::MAX as u64, 0)).bind(0_u64);
    vec![narrow(page, narrowed).bind(skipped), end, narrow(count, narrowed)]
}

/// What is asked beside a page of messages.
pub(crate) struct MessagesBeside {
    /// The files of the page.
    pub files: bool,
    /// How many messages there are in all, up to 10,000: of a long conversation that takes longer than all the rest, and its last seq
    /// says it as well.
    pub count: bool,
}

/// One page of a conversation's messages below a seq, the newest first; then what is asked beside it, in its order.
pub(crate) fn messages(
    (scope, conversation): (&Arc<str>, &Arc<str>),
    narrowed: &NarrowedMessages,
    below: u64,
    limit: usize,
    beside: MessagesBeside,
) -> Vec<Statement> {
    let of = |sql| {
        let statement = Statement::new(sql).bind(scope).bind(conversation).bind(narrowed.public);
        let statement = statement.bind(&narrowed.kind).bind(&narrowed.direction);
        statement.bind(narrowed.between.0).bind(narrowed.between.1)
    };
    let page = |sql| of(sql).bind(below).bind(limit as u64);
    let (files, count) = (beside.files.then(|| page(FILES)), beside.count.then(|| of(MESSAGES_COUNT)));
    [page(MESSAGES)].into_iter().chain(files).chain(count).collect()
}

/// Figures about what began at `from` or later, and before `to`.
pub(crate) fn figures(scope: &Arc<str>, from: u64, to: u64) -> Statement {
    Statement::new(FIGURES).bind(scope).bind(from).bind(to)
}

/// A character as a pattern has it.
fn escaped(char: char) -> impl Iterator<Item = char> {
    matches!(char, '%' | '_' | '\\').then_some('\\').into_iter().chain([char])
}

macro_rules! narrowed {
    () => {
        " AND (CAST(?9 AS TEXT) = '' OR ?9 LIKE '%' || c.status || '%') AND (CAST(?10 AS TEXT) = '' OR c.channel = ?10)
    AND (CAST(?11 AS TEXT) = '' OR c.assigned = ?11 OR (c.assigned IS NULL AND ?11 = '\u{1}unassigned'))
    AND (lower(coalesce(c.customer_name, '')) LIKE ?12 ESCAPE '\\' OR lower(c.customer) LIKE ?12 ESCAPE '\\'
        OR lower(c.id) LIKE ?12 ESCAPE '\\')"
    };
}

/// A filter with its part of the changes, a limit, and what the list is narrowed to.
pub(crate) const CONVERSATIONS: &str = concat!(
    "SELECT c.* FROM (
    SELECT * FROM ut_conversations WHERE scope = ?1 AND change < ?2 AND change > ?3 ORDER BY change DESC LIMIT 50000
) c WHERE ",
    readable!(),
    narrowed!(),
    " ORDER BY c.change DESC LIMIT ?8 OFFSET ?13"
);

/// Scope, the change it is below.
pub(crate) const CONVERSATIONS_END: &str =
    "SELECT change FROM ut_conversations WHERE scope = ?1 AND change < ?2 ORDER BY change DESC LIMIT 1 OFFSET 49999";

/// The eighth value is not used: the places are those of a page.
pub(crate) const CONVERSATIONS_COUNT: &str = concat!(
    "SELECT count(*) AS total FROM (
    SELECT * FROM ut_conversations WHERE scope = ?1 AND change < ?2 AND change > ?3 ORDER BY change DESC LIMIT 50000
) c WHERE CAST(?8 AS {int}) = 0 AND ",
    readable!(),
    narrowed!()
);

macro_rules! of_messages {
    () => {
        " FROM ut_messages WHERE scope = ?1 AND conversation_id = ?2 AND digest IS NULL
    AND (CAST(?3 AS {int}) = 0 OR direction <> 'internal') AND (CAST(?4 AS TEXT) = '' OR kind = ?4)
    AND (CAST(?5 AS TEXT) = '' OR direction = ?5) AND created_at > ?6 AND created_at < ?7"
    };
}

/// As the count, and the seq it is below, and a limit.
pub(crate) const MESSAGES: &str = concat!("SELECT *", of_messages!(), " AND seq < ?8 ORDER BY seq DESC LIMIT ?9");

/// The files of such a page.
pub(crate) const FILES: &str = concat!(
    "SELECT f.* FROM (SELECT media_id",
    of_messages!(),
    " AND seq < ?8 ORDER BY seq DESC LIMIT ?9) m JOIN ut_media f ON f.scope = ?1 AND f.id = m.media_id"
);

/// Scope, conversation, and what the list is narrowed to.
pub(crate) const MESSAGES_COUNT: &str =
    concat!("SELECT count(*) AS total FROM (SELECT seq", of_messages!(), " LIMIT 10000) m");

/// Scope, from, to.
pub(crate) const FIGURES: &str = "
SELECT count(*) AS total, coalesce(sum(CASE WHEN c.status = 'closed' THEN 1 ELSE 0 END), 0) AS closed,
    coalesce(CAST(sum(CASE WHEN c.status = 'closed' THEN c.closed_at - c.created_at ELSE 0 END) AS {int}), 0) AS resolution_ms,
    coalesce(sum(CASE WHEN EXISTS (SELECT 1 FROM ut_escalations e WHERE e.scope = c.scope AND e.conversation_id = c.id)
        THEN 1 ELSE 0 END), 0) AS escalated
FROM ut_conversations c WHERE c.scope = ?1 AND c.created_at >= ?2 AND c.created_at < ?3";
