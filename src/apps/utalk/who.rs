//! What somebody is to utalk: the scope (a tenant's workspace) that it belongs to, its role, and how it is answered.

use std::sync::Arc;

use serde_json::Value;

use super::settings::Settings;
use crate::app::Home;
use crate::app::identity::Identity;
use crate::app::kit::ack::Fail;
use crate::app::kit::roles::{Roles, tenant, workspace};
use crate::app::reply::Reply;
use crate::base::ids::{NspIndex, ReqId, SocketRef};
use crate::base::time::{Millis, WallMillis};

/// What somebody may do, the least first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Role {
    Viewer,
    Bot,
    Agent,
    /// A program of the tenant.
    Service,
    Admin,
}

/// Words of tokens.
pub(super) const ROLES: Roles<Role> = Roles {
    words: &[
        ("admin", Role::Admin),
        ("superadmin", Role::Admin),
        ("service", Role::Service),
        ("agent", Role::Agent),
        ("qa", Role::Agent),
        ("bot", Role::Bot),
        ("viewer", Role::Viewer),
    ],
    without: Some(Role::Agent),
    other: Some(Role::Viewer),
};

impl Role {
    /// As payloads spell it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Bot => "bot",
            Role::Agent => "agent",
            Role::Service => "service",
            Role::Admin => "admin",
        }
    }

    /// The role of an identity.
    pub(super) fn of(identity: &Identity) -> Role {
        ROLES.of(identity).unwrap_or(Role::Viewer)
    }

    /// Whether it reads and writes the whole scope.
    pub(super) fn sees_all(self) -> bool {
        self >= Role::Service
    }
}

/// Somebody of a scope.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Who {
    /// The user's id.
    pub user: Arc<str>,
    pub email: Option<Arc<str>>,
    pub role: Role,
}

impl Who {
    pub(super) fn of(identity: &Identity) -> Who {
        Who { user: identity.sub().into(), email: identity.email().map(Arc::from), role: Role::of(identity) }
    }

    /// The e-mail; without one the user's id.
    pub(super) fn address(&self) -> &str {
        self.email.as_deref().unwrap_or(&self.user)
    }
}

/// Somebody who asks for something, and where the answer goes.
#[derive(Clone, Debug)]
pub(super) struct Asker {
    pub who: Arc<Who>,
    pub back: Back,
}

/// Where an answer goes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Back {
    /// By the event's named reply, and an ack if one was asked for.
    Socket {
        socket: SocketRef,
        ack: Option<u64>,
        /// When the event came.
        at: Millis,
    },
    /// By a reply that `form` makes of what came of it, in the dialect where the one who asks speaks it.
    Call { req: ReqId, form: Form, is_speaker: bool },
    /// To a webhook of which it is one part.
    Part { req: ReqId },
    /// Nowhere: the daemon itself has asked.
    Nobody,
}

/// What HTTP says of an answer or a refusal, and when.
pub(super) type Form = fn(Result<&Value, &Fail>, WallMillis) -> Reply;

impl Asker {
    /// Whether it asks by HTTP.
    pub(super) fn is_call(&self) -> bool {
        matches!(self.back, Back::Call { .. })
    }

    /// Whether it asks by HTTP, where the dialect is spoken.
    pub(super) fn is_speaker_by_http(&self) -> bool {
        matches!(self.back, Back::Call { is_speaker: true, .. })
    }

    /// The socket that asks, if it is one.
    pub(super) fn socket(&self) -> Option<SocketRef> {
        if let Back::Socket { socket, .. } = self.back { Some(socket) } else { None }
    }
}

/// The key of a scope: no two pairs of tenant and workspace have the same one.
pub(super) fn scope_key(tenant: &str, workspace: &str) -> String {
    match tenant.contains(['/', '%']) {
        true => format!("{}/{workspace}", tenant.replace('%', "%25").replace('/', "%2F")),
        false => format!("{tenant}/{workspace}"),
    }
}

/// Tenant and workspace of a key that [`scope_key`] has made.
pub(super) fn scope_parts(key: &str) -> (String, String) {
    let (tenant, workspace) = key.split_once('/').unwrap_or((key, ""));
    (tenant.replace("%2F", "/").replace("%25", "%"), workspace.to_owned())
}

/// The scope of an identity.
pub(super) fn scope_of(identity: &Identity, settings: &Settings) -> String {
    scope_key(tenant(identity, &settings.default_tenant), workspace(identity, &settings.default_workspace))
}

/// Where a scope is decided.
pub(super) fn home_of(scope: String) -> Home {
    Home::Tenant(scope)
}

/// The namespaces, by their places in the row: `/app` …
pub(super) const APP: NspIndex = NspIndex(0);
/// … `/agent` …
pub(super) const AGENT: NspIndex = NspIndex(1);
/// … and `/admin`.
pub(super) const ADMIN: NspIndex = NspIndex(2);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::identity::Claims;

    #[test]
    fn a_scope_is_one_pair_of_tenant_and_workspace() {
        for (tenant, workspace, key) in [
            ("t", "w", "t/w"),
            ("t/w", "", "t%2Fw/"),
            ("t", "/w", "t//w"),
            ("t%2F", "w", "t%252F/w"),
            ("", "a/b", "/a/b"),
        ] {
            assert_eq!(scope_key(tenant, workspace), key);
            assert_eq!(scope_parts(key), (tenant.to_owned(), workspace.to_owned()), "{key}");
        }
    }

    #[test]
    fn words_of_a_token_are_a_role() {
        for (word, role) in [
            ("admin", Role::Admin),
            ("superadmin", Role::Admin),
            ("*", Role::Admin),
            ("qa", Role::Agent),
            ("", Role::Agent),
            ("bot", Role::Bot),
            ("service", Role::Service),
            ("viewer", Role::Viewer),
            ("janitor", Role::Viewer),
        ] {
            assert_eq!(Role::of(&Claims { role: word.to_owned(), ..Claims::default() }.into()), role, "{word}");
        }
    }
}
