//! What people want of accounts: actions on their connections, and accounts that they bring.

use std::sync::Arc;

use url::Url;

use crate::app::kit::audit::Actor;
use crate::base::ids::ReqId;
use crate::base::secret::Secret;

/// What may be done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Action {
    Start,
    Stop,
    Restart,
    ToggleReconnect,
    RefreshToken,
}

/// The one who asks, and in which form it is answered. `None`: the process itself, which waits for nothing.
pub(crate) type By = Option<Asked>;

/// Somebody who asks by HTTP.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub actor: Actor,
    pub req: ReqId,
    pub form: Form,
}

/// How dashboards know answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Form {
    /// Of `/api/websocket`: with the connection.
    Connection,
    /// Of `/api/shelly/credentials`: with the account.
    Credential,
}

impl Action {
    /// Every action, in the order in which clients are told of them.
    pub(crate) const ALL: [Action; 5] =
        [Action::Start, Action::Stop, Action::Restart, Action::ToggleReconnect, Action::RefreshToken];

    /// The action of a word.
    pub(crate) fn of(word: &str) -> Option<Action> {
        Action::ALL.into_iter().find(|action| action.word() == word)
    }

    /// Its word in paths.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Action::Start => "start",
            Action::Stop => "stop",
            Action::Restart => "restart",
            Action::ToggleReconnect => "toggle-reconnect",
            Action::RefreshToken => "refresh-token",
        }
    }
}

/// An account that somebody brings.
#[derive(Clone, Debug)]
pub(crate) struct Joining {
    pub by: Asked,
    pub name: String,
    pub email: String,
    pub proof: Proof,
    /// The credential whose place it takes.
    pub credential: Option<Arc<str>>,
}

/// What an account is opened with.
#[derive(Clone, Debug)]
pub(crate) enum Proof {
    Password(Secret),
    Code(Secret),
    Key { host: String, key: Secret },
}

/// Where the joining of an account stands.
#[derive(Debug)]
pub(crate) enum Join {
    Login(Box<Joining>),
    Grant { joining: Box<Joining>, code: Secret, host: Url },
}
