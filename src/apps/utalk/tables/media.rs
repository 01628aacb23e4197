//! Statements about files of conversations.

use std::sync::Arc;

use super::word;
use crate::app::settings::Word;
use crate::app::sql::{FromRow, Row as SqlRow, RowError, Statement};
use crate::apps::utalk::file::Media;

impl FromRow for Media {
    const TABLE: &'static str = "ut_media";
    fn from_row(row: &mut SqlRow<'_>) -> Result<Media, RowError> {
        Ok(Media {
            id: row.get("id")?,
            conversation: row.get("conversation_id")?,
            message: row.get("message_id")?,
            kind: word(row, Self::TABLE, "kind")?,
            mime: row.get("mime")?,
            file_name: row.get("file_name")?,
            bytes: row.get("bytes")?,
            sha256: row.get("sha256")?,
            blob: row.get("blob")?,
            uploaded_by: row.get("uploaded_by")?,
            created_at: row.get("created_at")?,
        })
    }
}

/// The row of a file that is on its shelf.
pub(crate) fn add(scope: &Arc<str>, media: &Media) -> Statement {
    let statement = Statement::new(ADD).bind(scope).bind(&media.id).bind(&media.conversation);
    let statement = statement.bind(media.message.as_ref()).bind(media.kind.word()).bind(&media.mime);
    let statement = statement.bind(&media.file_name).bind(media.bytes).bind(&media.sha256).bind(&media.blob);
    statement.bind(media.uploaded_by.as_ref()).bind(media.created_at)
}

/// A file of the scope.
pub(crate) fn by_id(scope: &Arc<str>, id: &Arc<str>) -> Statement {
    Statement::new(BY_ID).bind(scope).bind(id)
}

/// The newest files of a conversation, and how many there are in all.
pub(crate) fn of_conversation(scope: &Arc<str>, conversation: &Arc<str>, limit: usize) -> Vec<Statement> {
    let of = |sql| Statement::new(sql).bind(scope).bind(conversation);
    vec![of(OF_CONVERSATION).bind(limit as u64), of(COUNT)]
}

/// See [`add`].
pub(crate) const ADD: &str = "
INSERT INTO ut_media (scope, id, conversation_id, message_id, kind, mime, file_name, bytes, sha256, blob, uploaded_by, created_at)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";

/// See [`by_id`].
pub(crate) const BY_ID: &str = "SELECT * FROM ut_media WHERE scope = ?1 AND id = ?2";

/// See [`of_conversation`].
pub(crate) const OF_CONVERSATION: &str = "
SELECT * FROM ut_media WHERE scope = ?1 AND conversation_id = ?2 ORDER BY created_at DESC, id LIMIT ?3";

/// See [`of_conversation`].
pub(crate) const COUNT: &str = "SELECT count(*) AS total FROM ut_media WHERE scope = ?1 AND conversation_id = ?2";
