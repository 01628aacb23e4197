//! Statements about messages.

use std::sync::Arc;

use super::word;
use crate::app::settings::Word;
use crate::app::sql::{FromRow, Row as SqlRow, RowError, Statement};
use crate::apps::utalk::message::{Message, Status};
use crate::apps::utalk::rules::born;
use crate::base::time::WallMillis;

impl FromRow for Message {
    const TABLE: &'static str = "ut_messages";
    fn from_row(row: &mut SqlRow<'_>) -> Result<Message, RowError> {
        Ok(Message {
            id: row.get("id")?,
            message_id: row.get("message_id")?,
            conversation: row.get("conversation_id")?,
            seq: row.get("seq")?,
            inbound: row.get("inbound")?,
            kind: word(row, Self::TABLE, "kind")?,
            text: row.get("text")?,
            media: row.get("media_id")?,
            metadata: row.get("metadata")?,
            sender: row.get("sender")?,
            author: row.get("author")?,
            direction: word(row, Self::TABLE, "direction")?,
            status: word(row, Self::TABLE, "status")?,
            error: row.get("error")?,
            reason: row.get("reason")?,
            attempt: row.get("attempt")?,
            sid: row.get("sid")?,
            sent_at: row.get("sent_at")?,
            delivered_at: row.get("delivered_at")?,
            read_at: row.get("read_at")?,
            created_at: row.get("created_at")?,
            change: row.get("change")?,
            digest: row.get("digest")?,
        })
    }
}

/// A message that was marked as read.
pub(crate) struct Marked {
    pub id: Arc<str>,
    pub seq: u64,
}

impl FromRow for Marked {
    const TABLE: &'static str = "ut_messages";
    fn from_row(row: &mut SqlRow<'_>) -> Result<Marked, RowError> {
        Ok(Marked { id: row.get("id")?, seq: row.get("seq")? })
    }
}

/// Adds the row behind the statement that has moved its conversation's numbers: they are the message's.
pub(crate) fn add(scope: &Arc<str>, message: &Message) -> Statement {
    let statement = Statement::new(ADD).bind(scope).bind(&message.id).bind(&message.message_id);
    let statement = statement.bind(&message.conversation).bind(message.kind.word());
    let statement = statement.bind(message.text.as_ref()).bind(message.media.as_ref()).bind(&message.metadata);
    let statement = statement.bind(&message.sender).bind(message.author.as_ref());
    let statement = statement.bind(message.direction.word()).bind(message.status.word());
    let statement = statement.bind(message.sid.as_ref()).bind(message.sent_at).bind(message.created_at);
    // What is pending waits for the provider.
    let call = (message.status == Status::Pending).then_some("due");
    statement.bind(message.change).bind(call).touching(1)
}

/// The message of this messageId.
pub(crate) fn by_message_id(scope: &Arc<str>, message_id: &Arc<str>) -> Statement {
    Statement::new(BY_MESSAGE_ID).bind(scope).bind(message_id)
}

/// The message of a conversation by our id, or by its messageId.
pub(crate) fn by_either_id(scope: &Arc<str>, conversation: &Arc<str>, id: &Arc<str>) -> Statement {
    Statement::new(BY_EITHER_ID).bind(scope).bind(conversation).bind(id).bind(born(id))
}

/// Inbound messages with a seq in `from..=to` are read.
pub(crate) fn mark_read(
    scope: &Arc<str>,
    conversation: &Arc<str>,
    (from, to): (u64, u64),
    change: u64,
    at: WallMillis,
) -> Statement {
    Statement::new(MARK_READ).bind(scope).bind(conversation).bind(from).bind(to).bind(change).bind(at)
}

/// The newest messages with a seq beyond the first and up to the second, without notes.
pub(crate) fn passed(scope: &Arc<str>, conversation: &Arc<str>, (beyond, to): (u64, u64)) -> Statement {
    Statement::new(PASSED).bind(scope).bind(conversation).bind(beyond).bind(to)
}

/// The file must be one of the conversation.
pub(crate) fn use_media(scope: &Arc<str>, conversation: &Arc<str>, media: &Arc<str>, at: WallMillis) -> Statement {
    Statement::new(USE_MEDIA).bind(scope).bind(media).bind(conversation).bind(at).touching(1)
}

/// See [`add`].
pub(crate) const ADD: &str = "
INSERT INTO ut_messages (scope, born, id, message_id, conversation_id, seq, inbound, kind, text, media_id, metadata, sender,
    author, direction, status, attempt, sid, sent_at, created_at, change, call)
SELECT ?1, ?16, ?2, ?3, ?4, last_seq, last_inbound, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, 0, ?13, ?14, ?15, ?16, ?17
FROM ut_conversations WHERE scope = ?1 AND id = ?4
ON CONFLICT DO NOTHING";

/// See [`by_message_id`].
pub(crate) const BY_MESSAGE_ID: &str =
    "SELECT * FROM ut_messages WHERE scope = ?1 AND message_id = ?2 AND released IS NULL";

/// See [`by_either_id`].
pub(crate) const BY_EITHER_ID: &str = "
SELECT * FROM ut_messages WHERE scope = ?1 AND born = ?4 AND id = ?3 AND conversation_id = ?2
UNION ALL SELECT * FROM ut_messages
WHERE scope = ?1 AND message_id = ?3 AND released IS NULL AND conversation_id = ?2";

/// See [`mark_read`].
pub(crate) const MARK_READ: &str = "
UPDATE ut_messages SET status = 'read', read_at = ?6, change = ?5
WHERE scope = ?1 AND conversation_id = ?2 AND seq >= ?3 AND seq <= ?4 AND direction = 'inbound' AND status = 'received'
RETURNING id, seq";

/// See [`passed`].
pub(crate) const PASSED: &str = "
SELECT id, seq FROM ut_messages
WHERE scope = ?1 AND conversation_id = ?2 AND seq > ?3 AND seq <= ?4 AND direction <> 'internal' ORDER BY seq DESC LIMIT 100";

/// See [`use_media`].
pub(crate) const USE_MEDIA: &str =
    "UPDATE ut_media SET used_at = ?4 WHERE scope = ?1 AND id = ?2 AND conversation_id = ?3 RETURNING *";
