//! How many sockets each identity has in each namespace of the application, where that is bounded (`limits.sockets_per_user_max`). Counted at the
//! home, from the CONNECT until the refusal or the departure; a home sees all sockets of an identity of its tenant.
//!
//! A client that proves itself to the application only is not counted: its name is a claim, and a stranger could use it up.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;
use tracing::debug;

use crate::app::effect::{Effect, Effects};
use crate::app::event::AppInput;
use crate::app::identity::{AuthMethod, Identity};
use crate::app::{Application, Home};
use crate::base::ids::{NspIndex, SocketRef};

/// Namespace, tenant and `sub`.
type User = (NspIndex, Home, String);

/// The sockets at home here.
#[derive(Debug)]
pub(super) struct Users {
    /// 0: nothing is bounded, and nothing counted.
    sockets_max: usize,
    counts: BTreeMap<Arc<User>, usize>,
    sockets: BTreeMap<SocketRef, Arc<User>>,
}

impl Users {
    pub(super) fn new(sockets_max: usize) -> Users {
        Users { sockets_max, counts: BTreeMap::new(), sockets: BTreeMap::new() }
    }

    /// Counts sockets that come and go. An effect: this CONNECT is one too many and is refused with it.
    pub(super) fn on_input(&mut self, input: &AppInput, app: &dyn Application) -> Option<Effect> {
        let connect = match input {
            AppInput::Connect(connect) if self.sockets_max > 0 => connect,
            AppInput::Disconnect { socket, .. } | AppInput::Moved { socket, .. } => {
                self.leave(*socket);
                return None;
            }
            _ => return None,
        };
        let identity = &connect.identity;
        if identity.method == AuthMethod::Application {
            return None;
        }
        let user = Arc::new((connect.nsp, app.home(identity), identity.sub().to_owned()));
        // One that has moved is connected already, and counts whatever the bound.
        if !connect.moved && self.counts.get(&user).is_some_and(|count| *count >= self.sockets_max) {
            let max = self.sockets_max;
            debug!(target: "siod::limit", app = app.name(), max, "sockets_per_user_max reached: not connected");
            return refusal(connect.socket);
        }
        self.count(connect.socket, user);
        None
    }

    /// A socket is somebody else from now on; one that was not counted stays so.
    pub(super) fn rename(&mut self, socket: SocketRef, identity: &Identity, app: &dyn Application) {
        let Some(nsp) = self.sockets.get(&socket).map(|user| user.0) else { return };
        self.leave(socket);
        self.count(socket, Arc::new((nsp, app.home(identity), identity.sub().to_owned())));
    }

    fn count(&mut self, socket: SocketRef, user: Arc<User>) {
        *self.counts.entry(user.clone()).or_default() += 1;
        self.sockets.insert(socket, user);
    }

    /// Sockets that are counted.
    #[cfg(test)]
    pub(super) fn sockets(&self) -> usize {
        assert_eq!(self.counts.values().sum::<usize>(), self.sockets.len());
        self.sockets.len()
    }

    /// A socket was refused or has gone; one that was not counted changes nothing.
    pub(super) fn leave(&mut self, socket: SocketRef) {
        let Some(user) = self.sockets.remove(&socket) else { return };
        let Some(count) = self.counts.get_mut(&user) else { return };
        *count -= 1;
        if *count == 0 {
            self.counts.remove(&user);
        }
    }
}

fn refusal(socket: SocketRef) -> Option<Effect> {
    let mut fx = Effects::default();
    fx.refuse(socket, "Too many connections", Some(json!({"code": "TOO_MANY_SOCKETS"})));
    fx.0.pop()
}
