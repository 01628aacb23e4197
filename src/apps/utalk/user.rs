//! A user of a scope: one that was created, or has connected once.

use std::sync::Arc;

use crate::app::settings::words;
use crate::base::time::WallMillis;

words! {
    /// Whether somebody may come in.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub(crate) enum Account { Active = "active", Inactive = "inactive", Banned = "banned" }
}

words! {
    /// How somebody is seen, or wants to be.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub(crate) enum Presence { Online = "online", Busy = "busy", Away = "away", Offline = "offline" }
}

/// A row of `ut_users`, without what only logins need.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct User {
    pub id: Arc<str>,
    pub email: Option<Arc<str>>,
    pub name: Option<Arc<str>>,
    pub role: Arc<str>,
    pub status: Account,
    /// Kept over reconnects; what others see while the user is connected.
    pub chosen: Presence,
    pub created_at: WallMillis,
    pub last_seen: Option<WallMillis>,
    /// Whether the row is on disk as it is here.
    pub is_stored: bool,
}
