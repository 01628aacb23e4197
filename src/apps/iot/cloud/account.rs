//! Accounts that come and go: by e-mail and password, by the code of a login that happened elsewhere, or by a key alone. An account is kept
//! once the cloud has taken it; its socket opens then.

use std::sync::Arc;

use serde_json::json;
use url::Url;

use super::asked::{Action, Join, Joining, Proof};
use super::secrets::Secrets;
use super::state::{Cloud, Http};
use super::sync::Synced;
use crate::app::effect::Effect;
use crate::app::fetch::{FetchError, FetchFailure};
use crate::app::job::{Job, Outcome};
use crate::app::reply::Reply;
use crate::apps::iot::connection::{Connection, Kind};
use crate::apps::iot::credential::{Credential, Standing};
use crate::apps::iot::log::Entry;
use crate::apps::iot::system::fresh_id;
use crate::apps::iot::turn::Turn;
use crate::apps::iot::waiting::{Dirty, Wait};
use crate::apps::iot::wire::oauth::{self, Denied};
use crate::base::ids::ReqId;
use crate::base::secret::Secret;

impl Turn<'_> {
    /// Somebody brings an account, and is answered when the cloud has said whether it is one.
    pub(in super::super) fn join_account(&mut self, joining: Joining) {
        if !self.shared.keyring.can_seal() {
            return self.refuse_account(&joining, 503, "NO_ENCRYPTION_KEY", "Falta la clave de cifrado");
        }
        let joining = Box::new(joining);
        match &joining.proof {
            Proof::Password(password) => {
                let fetch = oauth::login(&self.settings.cloud_login_url, &joining.email, password.expose());
                self.ask_account(fetch, Join::Login(joining));
            }
            Proof::Code(code) => {
                let code = code.clone();
                match oauth::address_of_code(code.expose(), self.settings.hosts_of_clouds()) {
                    Ok(host) => self.ask_grant(joining, code, host),
                    Err(denied) => self.deny_account(&joining, &denied),
                }
            }
            Proof::Key { host, key } => match self.settings.hosts_of_clouds().address(host) {
                Some(url) => {
                    let secrets = Secrets { auth_key: key.clone(), ..Secrets::default() };
                    self.keep_account(&joining, secrets, &url);
                }
                None => self.deny_account(&joining, &Denied::ForbiddenHost),
            },
        }
    }

    fn ask_grant(&mut self, joining: Box<Joining>, code: Secret, host: Url) {
        let fetch = oauth::by_code(&host, code.expose());
        self.ask_account(fetch, Join::Grant { joining, code, host });
    }

    fn ask_account(&mut self, fetch: crate::app::fetch::Fetch, join: Join) {
        let timeout_ms = self.settings.connect_timeout_ms;
        let job = Job::Fetch(crate::app::fetch::Fetch { timeout_ms, ..fetch });
        self.ask(job, Wait::Join(join));
    }

    /// The cloud has said something about an account that somebody brings.
    pub(in super::super) fn on_join_answer(&mut self, join: Join, outcome: &Outcome) {
        let result = match outcome {
            Outcome::Fetched(result) => result.clone(),
            _ => Err(FetchError::new(FetchFailure::Unavailable, "")),
        };
        let hosts = self.settings.hosts_of_clouds();
        match join {
            Join::Login(joining) => match oauth::read_login(&result, hosts) {
                Ok((code, host)) => self.ask_grant(joining, Secret::new(code), host),
                Err(denied) => self.deny_account(&joining, &denied),
            },
            Join::Grant { joining, code, host } => match oauth::read_grant(&result, hosts, self.now.wall.as_secs()) {
                Ok(grant) => {
                    let mut secrets = Secrets { code, ..Secrets::default() };
                    secrets.take(&grant, self.now.wall);
                    self.keep_account(&joining, secrets, grant.api_host.as_ref().unwrap_or(&host));
                }
                Err(denied) => self.deny_account(&joining, &denied),
            },
        }
    }

    fn keep_account(&mut self, joining: &Joining, mut secrets: Secrets, host: &Url) {
        let now = self.now.wall;
        let same = |it: &&Credential| !joining.email.is_empty() && it.email.eq_ignore_ascii_case(&joining.email);
        let known = joining.credential.clone().filter(|id| self.system.credentials.contains_key(id));
        let known = known.or_else(|| self.system.credentials.values().find(same).map(|it| it.id.clone()));
        let id = known.unwrap_or_else(|| fresh_id(self.rng));
        // A key stands beside what an account was opened with, and that beside its key.
        if let Some(before) = self.system.clouds.get(&id).and_then(|cloud| cloud.secrets.clone()) {
            secrets = match joining.proof {
                Proof::Key { .. } => Secrets { auth_key: secrets.auth_key, ..before },
                _ => Secrets { auth_key: before.auth_key, ..secrets },
            };
        }
        self.shut(&id, "manual_stop");
        self.drop_acts(&id);
        let created_at = self.system.credentials.get(&id).map_or(now, |credential| credential.created_at);
        // One account of an e-mail: those that have none are told apart by their own ids.
        let email = if joining.email.is_empty() { id.as_ref() } else { &*joining.email };
        let credential = Credential {
            id: id.clone(),
            name: joining.name.as_str().into(),
            email: email.into(),
            api_host: host.as_str().trim_end_matches('/').into(),
            sealed: "".into(),
            status: Standing::Connected,
            error: None,
            last_sync_at: None,
            created_at,
        };
        self.system.credentials.insert(id.clone(), credential);
        self.system.clouds.insert(id.clone(), Cloud::new(Some(secrets), Some(host.clone()), self.settings));
        self.keep_secrets(&id);
        self.touch(Dirty::Credential(id.clone()));
        if self.system.of_credential(&id).is_none() {
            let connection = Connection::new(fresh_id(self.rng), Kind::Shelly, &id, now);
            self.touch(Dirty::Connection(connection.id.clone()));
            self.system.connections.insert(connection.id.clone(), connection);
        }
        let actor = joining.by.actor.clone();
        self.audit(&actor, "connect-account", &id, "success", &json!({"name": joining.name}));
        self.log_of(&id, Entry { actor: Some(actor), ..Entry::new("config_change", "Cuenta conectada") });
        let body = json!({"success": true, "message": "Cuenta conectada exitosamente", "credentialId": id});
        self.fx.push(Effect::Reply { req: joining.by.req, reply: Reply::json(200, &body) });
        self.act(&id, Action::Start, None);
    }

    fn deny_account(&mut self, joining: &Joining, denied: &Denied) {
        match denied {
            Denied::Refused => self.refuse_account(joining, 401, "UNAUTHENTICATED", "Email o contraseña incorrectos"),
            Denied::ForbiddenHost => self.refuse_account(joining, 403, "FORBIDDEN", "Host no permitido"),
            Denied::Failed(_) => self.refuse_account(joining, 502, "UPSTREAM_ERROR", "La nube no ha respondido"),
        }
    }

    fn refuse_account(&mut self, joining: &Joining, status: u16, code: &str, text: &str) {
        self.audit(&joining.by.actor, "connect-account", &joining.name, "rejected", &json!({"code": code}));
        let reply = Reply::json(status, &json!({"error": text, "code": code}));
        self.fx.push(Effect::Reply { req: joining.by.req, reply });
    }

    /// An account goes, with its connection; its devices stay.
    pub(in super::super) fn leave_account(&mut self, account: &Arc<str>) {
        self.shut(account, "manual_stop");
        self.drop_acts(account);
        self.syncs_end(account, Err((502, "the account is gone")));
        self.system.clouds.remove(account);
        for device in self.system.devices.values_mut() {
            if device.credential.as_ref() == Some(account) {
                device.credential = None;
            }
        }
    }

    /// Somebody wants the devices of an account to be those that the cloud has.
    pub(in super::super) fn sync_account(&mut self, account: &Arc<str>, req: ReqId) {
        let Some(cloud) = self.system.clouds.get_mut(account) else { return };
        cloud.syncs.push(req);
        if !self.call(account, Http::AllStatus) {
            self.syncs_end(account, Err((502, "too many calls wait")));
        }
    }

    /// They are answered who have asked for the devices of an account.
    pub(super) fn syncs_end(&mut self, account: &Arc<str>, result: Result<Synced, (u16, &str)>) {
        let Some(cloud) = self.system.clouds.get_mut(account) else { return };
        let reply = match result {
            Ok(Synced { total, created }) => Reply::json(
                200,
                &json!({"success": true, "message": "Dispositivos sincronizados exitosamente",
                    "data": {"total": total, "created": created}}),
            ),
            Err((401, _)) => {
                let error = "Token expirado, re-autenticación necesaria";
                Reply::json(401, &json!({"error": error, "code": "UNAUTHENTICATED"}))
            }
            Err((status, why)) => {
                let error = "No se pudieron sincronizar los dispositivos";
                Reply::json(status, &json!({"error": error, "code": "UPSTREAM_ERROR", "details": why}))
            }
        };
        for req in std::mem::take(&mut cloud.syncs) {
            self.fx.push(Effect::Reply { req, reply: reply.clone() });
        }
    }
}
