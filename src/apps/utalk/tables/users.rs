//! Statements about users.

use std::sync::Arc;

use super::word;
use crate::app::settings::Word;
use crate::app::sql::{FromRow, Row as SqlRow, RowError, Statement};
use crate::apps::utalk::user::{Presence, User};
use crate::base::time::WallMillis;

impl FromRow for User {
    const TABLE: &'static str = "ut_users";
    fn from_row(row: &mut SqlRow<'_>) -> Result<User, RowError> {
        Ok(User {
            id: row.get("id")?,
            email: row.get("email")?,
            name: row.get("name")?,
            role: row.get("role")?,
            status: word(row, Self::TABLE, "status")?,
            chosen: word(row, Self::TABLE, "chosen")?,
            created_at: row.get("created_at")?,
            last_seen: row.get("last_seen")?,
            is_stored: true,
        })
    }
}

/// What a token says of somebody; its account stays as it is.
pub(crate) fn put(scope: &Arc<str>, user: &User) -> Statement {
    let statement = Statement::new(PUT).bind(scope).bind(&user.id).bind(user.email.as_ref()).bind(user.name.as_ref());
    statement.bind(&user.role).bind(user.status.word()).bind(user.chosen.word()).bind(user.created_at)
}

/// What somebody wants to be seen as.
pub(crate) fn choose(scope: &Arc<str>, user: &Arc<str>, chosen: Presence) -> Statement {
    Statement::new(CHOOSE).bind(scope).bind(user).bind(chosen.word())
}

/// When somebody was last connected.
pub(crate) fn seen(scope: &Arc<str>, user: &Arc<str>, at: WallMillis) -> Statement {
    Statement::new(SEEN).bind(scope).bind(user).bind(at)
}

/// All users of a scope, those who were seen last first where there are too many.
pub(crate) fn of_scope(scope: &str) -> Statement {
    Statement::new(OF_SCOPE).bind(scope)
}

/// See [`of_scope`].
pub(crate) const OF_SCOPE: &str = "
SELECT id, email, name, role, status, chosen, created_at, last_seen FROM ut_users WHERE scope = ?1
ORDER BY coalesce(last_seen, created_at) DESC LIMIT 100000";

/// See [`put`].
pub(crate) const PUT: &str = "
INSERT INTO ut_users (scope, id, email, name, role, status, chosen, created_at)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
ON CONFLICT (scope, id) DO UPDATE SET
    email = CASE WHEN ut_users.password IS NULL THEN excluded.email ELSE ut_users.email END,
    name = coalesce(excluded.name, ut_users.name),
    role = CASE WHEN ut_users.password IS NULL THEN excluded.role ELSE ut_users.role END";

/// See [`choose`].
pub(crate) const CHOOSE: &str = "UPDATE ut_users SET chosen = ?3 WHERE scope = ?1 AND id = ?2";

/// See [`seen`].
pub(crate) const SEEN: &str = "UPDATE ut_users SET last_seen = ?3 WHERE scope = ?1 AND id = ?2";
