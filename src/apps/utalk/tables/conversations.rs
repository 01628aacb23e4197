//! Statements about conversations and how far they have been read.

use std::sync::Arc;

use super::word;
use crate::app::settings::Word;
use crate::app::sql::{FromRow, Row as SqlRow, RowError, Statement};
use crate::apps::utalk::conversation::{Horizon, Row};
use crate::base::time::WallMillis;

impl FromRow for Row {
    const TABLE: &'static str = "ut_conversations";
    fn from_row(row: &mut SqlRow<'_>) -> Result<Row, RowError> {
        Ok(Row {
            id: row.get("id")?,
            channel: row.get("channel")?,
            customer: row.get("customer")?,
            ours: row.get("ours")?,
            status: word(row, Self::TABLE, "status")?,
            assigned: row.get("assigned")?,
            assigned_at: row.get("assigned_at")?,
            bot_enabled: row.get("bot_enabled")?,
            customer_name: row.get("customer_name")?,
            priority: word(row, Self::TABLE, "priority")?,
            tags: row.get("tags")?,
            last_seq: row.get("last_seq")?,
            last_inbound: row.get("last_inbound")?,
            read_seq: row.get("read_seq")?,
            read_inbound: row.get("read_inbound")?,
            rev: row.get("rev")?,
            change: row.get("change")?,
            last_message: row.get("last_message")?,
            last_inbound_at: row.get("last_inbound_at")?,
            unanswered_at: row.get("unanswered_at")?,
            ahead: row.get("ahead")?,
            offer: row.get("offer")?,
            offer_to: row.get("offer_to")?,
            created_at: row.get("created_at")?,
            updated_at: row.get("updated_at")?,
        })
    }
}

/// What a message has made of its conversation's numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Advanced {
    pub last_seq: u64,
    pub last_inbound: u64,
    pub rev: u64,
    pub change: u64,
}

impl FromRow for Advanced {
    const TABLE: &'static str = "ut_conversations";
    fn from_row(row: &mut SqlRow<'_>) -> Result<Advanced, RowError> {
        Ok(Advanced {
            last_seq: row.get("last_seq")?,
            last_inbound: row.get("last_inbound")?,
            rev: row.get("rev")?,
            change: row.get("change")?,
        })
    }
}

/// A reader's row.
pub(crate) struct ReaderRow {
    pub reader: Arc<str>,
    pub horizon: Horizon,
}

impl FromRow for ReaderRow {
    const TABLE: &'static str = "ut_horizons";
    fn from_row(row: &mut SqlRow<'_>) -> Result<ReaderRow, RowError> {
        Ok(ReaderRow {
            reader: row.get("reader")?,
            horizon: Horizon { seq: row.get("seq")?, inbound: row.get("inbound")?, at: row.get("at")? },
        })
    }
}

/// Makes the row, unless it is there.
pub(crate) fn create(scope: &Arc<str>, row: &Row) -> Statement {
    let statement = Statement::new(CREATE).bind(scope).bind(&row.id).bind(&row.channel);
    let statement = statement.bind(&row.customer).bind(&row.ours).bind(row.status.word());
    let statement = statement.bind(row.bot_enabled).bind(row.customer_name.as_ref());
    let statement = statement.bind(row.priority.word()).bind(&row.tags).bind(row.rev).bind(row.change);
    statement.bind(row.created_at)
}

/// A message goes out: the conversation's numbers move, and it is its last.
pub(crate) fn advance(scope: &Arc<str>, id: &Arc<str>, change: u64, last: Arc<str>, now: WallMillis) -> Statement {
    Statement::new(ADVANCE).bind(scope).bind(id).bind(change).bind(&last).bind(now).touching(1)
}

/// A message has come in. A closed conversation is a new one again.
pub(crate) fn receive(scope: &Arc<str>, id: &Arc<str>, change: u64, last: Arc<str>, now: WallMillis) -> Statement {
    Statement::new(RECEIVE).bind(scope).bind(id).bind(change).bind(&last).bind(now).touching(1)
}

/// A note is kept: nothing moves but seq.
pub(crate) fn annotate(scope: &Arc<str>, id: &Arc<str>) -> Statement {
    Statement::new(ANNOTATE).bind(scope).bind(id).touching(1)
}

/// It has been read up to there by somebody.
pub(crate) fn read(scope: &Arc<str>, id: &Arc<str>, change: u64, to: Horizon) -> Statement {
    Statement::new(READ).bind(scope).bind(id).bind(change).bind(to.seq).bind(to.inbound).bind(to.at).touching(1)
}

/// The fields that people change, as `row` has them.
pub(crate) fn amend(scope: &Arc<str>, row: &Row, change: u64, now: WallMillis) -> Statement {
    let statement = Statement::new(AMEND).bind(scope).bind(&row.id).bind(change).bind(now);
    let statement = statement.bind(row.status.word()).bind(row.assigned.as_ref()).bind(row.assigned_at);
    let statement = statement.bind(row.bot_enabled).bind(row.customer_name.as_ref());
    let statement = statement.bind(row.priority.word()).bind(&row.tags);
    statement.bind(row.offer.as_ref()).bind(row.offer_to.as_ref()).bind(row.ahead).touching(1)
}

/// The conversation and how far its readers are.
pub(crate) fn load(scope: &Arc<str>, id: &Arc<str>) -> Vec<Statement> {
    let of = |sql| Statement::new(sql).bind(scope).bind(id);
    vec![of(BY_ID), of(HORIZONS)]
}

/// How far `reader` is.
pub(crate) fn move_horizon(scope: &Arc<str>, id: &Arc<str>, reader: &Arc<str>, to: Horizon) -> Statement {
    Statement::new(MOVE_HORIZON).bind(scope).bind(id).bind(reader).bind(to.seq).bind(to.inbound).bind(to.at)
}

/// See [`create`].
pub(crate) const CREATE: &str = "
INSERT INTO ut_conversations (scope, id, channel, customer, ours, status, bot_enabled, customer_name, priority, tags,
    last_seq, last_inbound, read_seq, read_inbound, ahead, rev, change, created_at, updated_at)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, 0, 0, 0, 0, 0, ?11, ?12, ?13, ?13)
ON CONFLICT (scope, id) DO NOTHING";

/// See [`advance`].
pub(crate) const ADVANCE: &str = "
UPDATE ut_conversations SET last_seq = last_seq + 1, rev = rev + 1, change = ?3, last_message = ?4, updated_at = ?5,
    unanswered_at = NULL, ahead = 0
WHERE scope = ?1 AND id = ?2 RETURNING last_seq, last_inbound, rev, change";

/// See [`receive`].
pub(crate) const RECEIVE: &str = "
UPDATE ut_conversations SET last_seq = last_seq + 1, last_inbound = last_inbound + 1, rev = rev + 1, change = ?3,
    last_message = ?4, updated_at = ?5, last_inbound_at = ?5,
    unanswered_at = CASE WHEN status = 'closed' THEN ?5 ELSE coalesce(unanswered_at, ?5) END,
    assigned = CASE WHEN status = 'closed' THEN NULL ELSE assigned END,
    assigned_at = CASE WHEN status = 'closed' THEN NULL ELSE assigned_at END,
    bot_enabled = CASE WHEN status = 'closed' THEN 1 ELSE bot_enabled END,
    status = CASE WHEN status = 'closed' THEN 'open' ELSE status END, closed_at = NULL
WHERE scope = ?1 AND id = ?2 RETURNING *";

/// See [`annotate`].
pub(crate) const ANNOTATE: &str = "
UPDATE ut_conversations SET last_seq = last_seq + 1 WHERE scope = ?1 AND id = ?2
RETURNING last_seq, last_inbound, rev, change";

/// See [`read`].
pub(crate) const READ: &str = "
UPDATE ut_conversations SET rev = rev + 1, change = ?3, updated_at = ?6,
    read_seq = CASE WHEN read_seq < ?4 THEN ?4 ELSE read_seq END,
    read_inbound = CASE WHEN read_inbound < ?5 THEN ?5 ELSE read_inbound END
WHERE scope = ?1 AND id = ?2 RETURNING *";

/// See [`amend`].
pub(crate) const AMEND: &str = "
UPDATE ut_conversations SET rev = rev + 1, change = ?3, updated_at = ?4, status = ?5,
    closed_at = CASE WHEN ?5 = 'closed' THEN coalesce(closed_at, ?4) ELSE NULL END, assigned = ?6, assigned_at = ?7,
    bot_enabled = ?8, customer_name = ?9, priority = ?10, tags = ?11, offer = ?12, offer_to = ?13, ahead = ?14
WHERE scope = ?1 AND id = ?2 RETURNING *";

/// See [`load`].
pub(crate) const BY_ID: &str = "SELECT * FROM ut_conversations WHERE scope = ?1 AND id = ?2";

/// Readers beyond this many are asked of the store when they read.
pub(crate) const HORIZONS: &str = "SELECT reader, seq, inbound, at FROM ut_horizons WHERE scope = ?1 AND conversation_id = ?2 ORDER BY at DESC LIMIT 1000";

/// See [`move_horizon`].
pub(crate) const MOVE_HORIZON: &str = "
INSERT INTO ut_horizons (scope, conversation_id, reader, seq, inbound, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
ON CONFLICT (scope, conversation_id, reader) DO UPDATE
SET seq = excluded.seq, inbound = excluded.inbound, at = excluded.at WHERE ut_horizons.seq < excluded.seq";
