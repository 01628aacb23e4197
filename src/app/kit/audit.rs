//! The audit log's entry: who did what to whom, from where, and what came of it (contract 0.5.8). Append-only.

use crate::base::time::WallMillis;

/// One line of the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub at: WallMillis,
    /// Name of the application: `signage`, …
    pub domain: String,
    /// `sub` of the identity that acted.
    pub actor: String,
    pub ip: String,
    pub user_agent: String,
    /// `command`, `authorize`, `revoke`, …
    pub action: String,
    /// What it was done to, e.g. a device id.
    pub target: String,
    /// `success`, `rejected`, …
    pub outcome: String,
    /// JSON text.
    pub details: String,
}
