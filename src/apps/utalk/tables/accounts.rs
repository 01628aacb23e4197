//! Statements about accounts: users with a password, and their refresh tokens.

use std::sync::Arc;

use super::word;
use crate::app::settings::Word;
use crate::app::sql::{FromRow, Row as SqlRow, RowError, Statement};
use crate::apps::utalk::user::{Account, User};
use crate::base::time::WallMillis;

/// A user who can log in.
#[derive(Clone, PartialEq)]
pub(crate) struct Credentials {
    pub scope: Arc<str>,
    pub id: Arc<str>,
    pub email: Arc<str>,
    pub name: Option<Arc<str>>,
    pub role: Arc<str>,
    /// A PHC text.
    pub password: Arc<str>,
    pub status: Account,
}

impl FromRow for Credentials {
    const TABLE: &'static str = "ut_users";
    fn from_row(row: &mut SqlRow<'_>) -> Result<Credentials, RowError> {
        Ok(Credentials {
            scope: row.get("scope")?,
            id: row.get("id")?,
            email: row.get("email")?,
            name: row.get("name")?,
            role: row.get("role")?,
            password: row.get("password")?,
            status: word(row, Self::TABLE, "status")?,
        })
    }
}

/// The account of this e-mail.
pub(crate) fn by_email(email: &Arc<str>) -> Statement {
    Statement::new(BY_EMAIL).bind(email)
}

/// The account of this id.
pub(crate) fn by_id(scope: &Arc<str>, id: &Arc<str>) -> Statement {
    Statement::new(BY_ID).bind(scope).bind(id)
}

/// A new account; a conflict where its e-mail has one.
pub(crate) fn create(scope: &Arc<str>, user: &User, password: &Arc<str>) -> Statement {
    let statement =
        Statement::new(CREATE).bind(scope).bind(&user.id).bind(user.email.as_ref()).bind(user.name.as_ref());
    let statement = statement.bind(&user.role).bind(password).bind(user.status.word()).bind(user.chosen.word());
    statement.bind(user.created_at).touching(1)
}

/// Whether somebody may come in.
pub(crate) fn set_status(scope: &Arc<str>, id: &Arc<str>, status: Account) -> Statement {
    Statement::new(SET_STATUS).bind(scope).bind(id).bind(status.word()).touching(1)
}

/// All refresh tokens of somebody are no more.
pub(crate) fn end_of_user(scope: &Arc<str>, id: &Arc<str>) -> Statement {
    Statement::new(END_OF_USER).bind(scope).bind(id)
}

/// A refresh token, by its hash.
pub(crate) fn issue(hash: &Arc<str>, family: &Arc<str>, holder: &Credentials, end: WallMillis) -> Statement {
    Statement::new(ISSUE).bind(hash).bind(family).bind(&holder.scope).bind(&holder.id).bind(end)
}

/// It is good once; a conflict where it was used, or is none.
pub(crate) fn use_up(hash: &Arc<str>, now: WallMillis) -> Statement {
    Statement::new(USE_UP).bind(hash).bind(now).touching(1)
}

/// All refresh tokens of one login are no more.
pub(crate) fn end_family(family: &Arc<str>) -> Statement {
    Statement::new(END_FAMILY).bind(family)
}

/// A few that have ended go.
pub(crate) fn sweep(now: WallMillis) -> Statement {
    Statement::new(SWEEP).bind(now)
}

/// E-mail.
pub(crate) const BY_EMAIL: &str = "SELECT * FROM ut_users WHERE email = ?1 AND password IS NOT NULL";

/// Scope, id.
pub(crate) const BY_ID: &str = "SELECT * FROM ut_users WHERE scope = ?1 AND id = ?2 AND password IS NOT NULL";

/// Scope, id, e-mail, name, role, password, status, chosen presence, time.
pub(crate) const CREATE: &str = "
INSERT INTO ut_users (scope, id, email, name, role, password, status, chosen, created_at)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
ON CONFLICT DO NOTHING";

/// Scope, id, status.
pub(crate) const SET_STATUS: &str = "UPDATE ut_users SET status = ?3 WHERE scope = ?1 AND id = ?2";

/// Scope, id.
pub(crate) const END_OF_USER: &str = "DELETE FROM ut_refresh_tokens WHERE scope = ?1 AND user_id = ?2";

/// Hash, family, scope, id, end.
pub(crate) const ISSUE: &str =
    "INSERT INTO ut_refresh_tokens (id, family, scope, user_id, expires_at) VALUES (?1, ?2, ?3, ?4, ?5)";

/// Hash, time.
pub(crate) const USE_UP: &str =
    "UPDATE ut_refresh_tokens SET used_at = ?2 WHERE id = ?1 AND used_at IS NULL AND expires_at > ?2";

/// Family.
pub(crate) const END_FAMILY: &str = "DELETE FROM ut_refresh_tokens WHERE family = ?1";

/// Time.
pub(crate) const SWEEP: &str = "
DELETE FROM ut_refresh_tokens WHERE id IN (SELECT id FROM ut_refresh_tokens WHERE expires_at <= ?1 LIMIT 100)";
