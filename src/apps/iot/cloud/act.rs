//! What dashboards may do to the connection of an account: one action after the other, each answered once it has come to something, and
//! each in the log and in the audit with the one who asked.

use std::sync::Arc;

use serde_json::{Value, json};

use super::asked::{Action, By, Form};
use super::state::{Cloud, Phase, Step};
use crate::app::effect::Effect;
use crate::app::reply::Reply;
use crate::apps::iot::connection::Status;
use crate::apps::iot::credential::Standing;
use crate::apps::iot::log::Entry;
use crate::apps::iot::turn::Turn;
use crate::apps::iot::waiting::{Dirty, Due};

impl Turn<'_> {
    /// Somebody acts on the connection of an account. It waits for those before it.
    pub(in super::super) fn act(&mut self, account: &Arc<str>, action: Action, by: By) {
        let Some(cloud) = self.system.clouds.get_mut(account) else { return };
        if cloud.acts.len() >= ACTS_MAX {
            return self.answer_act(account, action, &by, Err("Demasiadas acciones en curso"));
        }
        cloud.acts.push_back((action, by));
        self.run_acts(account);
    }

    /// The next one begins, unless one is under way.
    fn run_acts(&mut self, account: &Arc<str>) {
        loop {
            let Some(cloud) = self.system.clouds.get_mut(account).filter(|cloud| !cloud.acting) else { return };
            let Some((action, by)) = cloud.acts.front().cloned() else { return };
            cloud.acting = true;
            let actor = by.map(|by| by.actor);
            self.log_of(account, Entry { actor, ..Entry::new("action", format!("Acción '{}'", action.word())) });
            self.begin(account, action);
        }
    }

    fn begin(&mut self, account: &Arc<str>, action: Action) {
        match action {
            Action::Start => self.start(account),
            Action::Stop => {
                self.keep(account, false);
                self.stop(account);
                self.act_ends(account, Ok(()));
            }
            Action::Restart => {
                self.stop(account);
                self.system.agenda.put(self.now.mono + RESTART_MS, Due::Cloud(account.clone(), Step::Restart));
            }
            Action::ToggleReconnect => {
                let is_kept = self.system.of_credential(account).is_some_and(|connection| connection.auto_reconnect);
                self.keep(account, !is_kept);
                self.act_ends(account, Ok(()));
            }
            Action::RefreshToken => {
                if !self.renew(account) {
                    self.act_ends(account, Err("there is nothing to ask for a token with"));
                }
            }
        }
    }

    /// Opens it, to be answered by [`Turn::act_opened`]; at once where it is open.
    fn start(&mut self, account: &Arc<str>) {
        self.keep(account, true);
        let phase = self.system.clouds.get(account).map(|cloud| cloud.phase);
        match phase {
            Some(Phase::Open { .. } | Phase::Keyed) => self.act_ends(account, Ok(())),
            _ => self.open(account),
        }
    }

    fn stop(&mut self, account: &Arc<str>) {
        let was_open = self.system.clouds.get(account).is_some_and(Cloud::is_open);
        self.shut(account, "manual_stop");
        if was_open {
            self.log_of(account, Entry::new("disconnect", "WebSocket desconectado manualmente"));
        }
        self.is_now(account, Status::Disconnected, None);
    }

    /// The second half of a restart.
    pub(super) fn act_restarts(&mut self, account: &Arc<str>) {
        let front = self.system.clouds.get(account).filter(|cloud| cloud.acting).and_then(|cloud| cloud.acts.front());
        if front.is_some_and(|(action, _)| *action == Action::Restart) {
            self.start(account);
        }
    }

    /// Whether it is opened again by itself.
    fn keep(&mut self, account: &Arc<str>, is_kept: bool) {
        let now = self.now.wall;
        let Some(id) = self.system.of_credential(account).map(|connection| connection.id.clone()) else { return };
        let Some(connection) = self.system.connections.get_mut(&id) else { return };
        if connection.auto_reconnect != is_kept {
            (connection.auto_reconnect, connection.updated_at) = (is_kept, now);
            let told = connection.told();
            self.touch(Dirty::Connection(id));
            self.tell_room("connection-status", &told);
        }
    }

    /// The connection is open, or a try to open it has failed.
    pub(super) fn act_opened(&mut self, account: &Arc<str>, result: Result<(), &str>) {
        if matches!(self.acted(account), Some(Action::Start | Action::Restart)) {
            self.act_ends(account, result);
        }
    }

    /// A token was renewed, or not.
    pub(super) fn act_renewed(&mut self, account: &Arc<str>, result: Result<(), &str>) {
        if self.acted(account) == Some(Action::RefreshToken) {
            self.act_ends(account, result);
        }
    }

    /// Whatever is being done to it, and waits, comes to nothing: the account is another one, or gone.
    pub(super) fn drop_acts(&mut self, account: &Arc<str>) {
        let acts = self.system.clouds.get_mut(account).map(|cloud| std::mem::take(&mut cloud.acts));
        for (action, by) in acts.into_iter().flatten() {
            self.answer_act(account, action, &by, Err("the account is not what it was"));
        }
    }

    /// Opens what is to be open, for somebody who begins to watch; how many connections are open.
    pub(in super::super) fn monitor(&mut self) -> usize {
        let is_wanted = |account: &&Arc<str>| self.will_open(account);
        let accounts: Vec<Arc<str>> = self.system.clouds.keys().filter(is_wanted).cloned().collect();
        for account in &accounts {
            self.open(account);
        }
        self.system.connections.values().filter(|connection| connection.is_upstream() && connection.is_open()).count()
    }

    fn acted(&self, account: &Arc<str>) -> Option<Action> {
        let cloud = self.system.clouds.get(account).filter(|cloud| cloud.acting)?;
        cloud.acts.front().map(|(action, _)| *action)
    }

    fn act_ends(&mut self, account: &Arc<str>, result: Result<(), &str>) {
        let Some(cloud) = self.system.clouds.get_mut(account) else { return };
        cloud.acting = false;
        let Some((action, by)) = cloud.acts.pop_front() else { return };
        self.answer_act(account, action, &by, result);
        self.run_acts(account);
    }

    fn answer_act(&mut self, account: &Arc<str>, action: Action, by: &By, result: Result<(), &str>) {
        let (kind, text, outcome) = match result {
            Ok(()) => ("action_success", self.done_text(action), "success"),
            Err(_) => ("action_error", format!("La acción '{}' ha fallado", action.word()), "error"),
        };
        let actor = by.as_ref().map(|by| by.actor.clone());
        let entry = Entry { actor, error: result.err().map(str::to_owned), ..Entry::new(kind, text.clone()) };
        self.log_of(account, entry);
        let Some(by) = by else { return };
        let target = self.system.of_credential(account).map_or(account.clone(), |connection| connection.id.clone());
        let details = json!({"credentialId": account, "error": result.err()});
        self.audit(&by.actor, action.word(), &target, outcome, &details);
        let reply = match result {
            Ok(()) => {
                Reply::json(200, &json!({"success": true, "message": text, "data": self.act_data(account, by.form)}))
            }
            Err(why) => self.act_failed(account, by.form, &text, why),
        };
        self.fx.push(Effect::Reply { req: by.req, reply });
    }

    fn act_failed(&self, account: &Arc<str>, form: Form, text: &str, why: &str) -> Reply {
        let is_over = self.system.credentials.get(account).is_some_and(|it| it.status == Standing::Expired);
        if form == Form::Credential && is_over {
            let error = "No se pudo reconectar. Re-autenticación necesaria.";
            return Reply::json(401, &json!({"error": error, "code": "UNAUTHENTICATED"}));
        }
        let mut data = self.act_data(account, form);
        data["status"] = "error".into();
        let body = json!({"success": false, "error": text, "code": "UPSTREAM_ERROR", "message": why, "data": data});
        Reply::json(502, &body)
    }

    fn done_text(&self, action: Action) -> String {
        match self.settings.legacy_actions {
            true => format!("Acción '{}' ejecutada correctamente", action.word()),
            false => "Acción ejecutada correctamente".to_owned(),
        }
    }

    fn act_data(&self, account: &Arc<str>, form: Form) -> Value {
        let connection = self.system.of_credential(account);
        let state = connection.map(|connection| connection.state()).unwrap_or_default();
        match form {
            Form::Connection => state,
            Form::Credential => json!({
                "credentialId": account,
                "credentialName": self.system.credentials.get(account).map(|credential| credential.name.clone()),
                "connectionId": connection.map(|connection| connection.id.clone()),
                "status": state["status"],
            }),
        }
    }
}

/// Between the two halves of a restart.
const RESTART_MS: u64 = 1_000;
/// Actions on one connection that wait.
const ACTS_MAX: usize = 32;
