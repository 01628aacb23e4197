//! Actions on connections by HTTP: start, stop, restart, toggle-reconnect, refresh-token. Those of an account are the cloud's part; of any other
//! connection the row is all there is, but for the sockets of browsers, which stop with theirs.

use std::sync::Arc;

use serde_json::{Value, json};

use super::cloud::asked::{Action, Asked, Form};
use super::connection::{Connection, Kind, Status};
use super::http::envelope::{Refusal, done, says};
use super::log::Entry;
use super::turn::Turn;
use super::waiting::Dirty;
use super::who::{Asker, NOT_FOUND, STORE_UNAVAILABLE, VALIDATION, fail};
use crate::app::effect::Effect;
use crate::app::reply::Reply;
use crate::base::ids::SocketRef;

impl Turn<'_> {
    /// Somebody wants something done to a connection: the answer, or `None` where it comes later.
    ///
    /// # Errors
    /// Where it is not begun.
    pub(super) fn act_on(
        &mut self,
        asker: &Asker,
        id: &str,
        action: Action,
        form: Form,
    ) -> Result<Option<Reply>, Refusal> {
        self.needs_store()?;
        let Some(connection) = self.system.connections.get(id) else {
            return Err(says(NOT_FOUND, "Conexión no encontrada"));
        };
        let (id, kind, account) = (connection.id.clone(), connection.kind, Arc::from(&*connection.reference));
        if kind == Kind::Shelly {
            if !self.system.clouds.contains_key(&account) {
                return Err(says(NOT_FOUND, "Credenciales no encontradas"));
            }
            self.act(&account, action, Some(Asked { actor: asker.actor.clone(), req: asker.req, form }));
            return Ok(None);
        }
        if action == Action::RefreshToken {
            return Err(says(VALIDATION, INVALID_ACTION));
        }
        let actor = || Some(asker.actor.clone());
        self.log(&id, Entry { actor: actor(), ..Entry::new("action", format!("Acción '{}'", action.word())) });
        self.act_on_row(&id, kind, action);
        let text = if self.settings.legacy_actions {
            format!("Acción '{}' ejecutada correctamente", action.word())
        } else {
            "Acción ejecutada correctamente".to_owned()
        };
        self.log(&id, Entry { actor: actor(), ..Entry::new("action_success", text.clone()) });
        self.audit(&asker.actor, action.word(), &id, "success", &Value::Null);
        let data = self.system.connections.get(&id).map(Connection::state).unwrap_or_default();
        Ok(Some(done(&text, &data)))
    }

    /// A row that nothing stands behind is as it is said to be.
    fn act_on_row(&mut self, id: &Arc<str>, kind: Kind, action: Action) {
        let now = self.now.wall;
        let Some(connection) = self.system.connections.get_mut(id) else { return };
        connection.updated_at = now;
        connection.auto_reconnect = match action {
            Action::ToggleReconnect => !connection.auto_reconnect,
            action => action != Action::Stop,
        };
        let ends = matches!(action, Action::Stop | Action::Restart) && kind == Kind::Sockets;
        match action {
            Action::Stop => connection.status = Status::Disconnected,
            Action::Start | Action::Restart if kind != Kind::Sockets => connection.status = Status::Connected,
            _ => {}
        }
        let told = json!({"connectionId": id, "autoReconnect": connection.auto_reconnect});
        self.log(id, Entry { metadata: Some(told), ..Entry::new("config_change", "Conexión actualizada") });
        self.touch(Dirty::Connection(id.clone()));
        if ends {
            let sockets: Vec<SocketRef> = self.system.seats.keys().copied().collect();
            for socket in sockets {
                self.fx.push(Effect::Disconnect { socket, close: false });
            }
        }
    }

    /// Nothing is begun that could not be kept.
    ///
    /// # Errors
    /// `STORE_UNAVAILABLE`.
    pub(super) fn needs_store(&self) -> Result<(), Refusal> {
        let works = self.system.is_loaded && !self.system.unsaved.is_degraded();
        works.then_some(()).ok_or_else(|| fail(STORE_UNAVAILABLE).into())
    }
}

/// What is told of an action that there is none of.
pub(super) const INVALID_ACTION: &str =
    "Acción inválida. Válidas: start, stop, restart, toggle-reconnect, refresh-token";
