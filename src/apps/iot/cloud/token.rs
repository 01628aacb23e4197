//! How a token is kept alive. A newer one is asked for before the last one ends, and when the cloud has shown that it is over; while that
//! is under way an open socket stays. What the cloud refuses is over for good; what fails is asked again, later.

use std::sync::Arc;

use super::state::{Http, Phase, Step};
use crate::app::fetch::{FetchError, Fetched};
use crate::apps::iot::connection::Status;
use crate::apps::iot::credential::Standing;
use crate::apps::iot::log::Entry;
use crate::apps::iot::turn::Turn;
use crate::apps::iot::waiting::{Dirty, Due};
use crate::apps::iot::wire::oauth::{self, Denied, Grant};

impl Turn<'_> {
    /// A newer token is asked for. `false`: there is nothing to ask with.
    pub(super) fn renew(&mut self, account: &Arc<str>) -> bool {
        let Some(cloud) = self.system.clouds.get(account) else { return false };
        let Some(secrets) = cloud.secrets.as_ref().filter(|secrets| secrets.can_renew()) else { return false };
        let by_code = secrets.refresh.is_empty();
        self.call(account, Http::Renew { by_code })
    }

    /// What came of it.
    pub(super) fn on_renewed(&mut self, account: &Arc<str>, by_code: bool, result: &Result<Fetched, FetchError>) {
        match oauth::read_grant(result, self.settings.hosts_of_clouds(), self.now.wall.as_secs()) {
            Ok(grant) => self.on_grant(account, &grant),
            Err(Denied::Failed(fault)) => self.on_no_token(account, &fault.to_string()),
            Err(Denied::Refused) if !by_code && self.has_code(account) => {
                self.call(account, Http::Renew { by_code: true });
            }
            Err(Denied::Refused) => self.is_over(account, "the cloud refuses the token"),
            Err(Denied::ForbiddenHost) => self.is_over(account, "the account is at a host that is not allowed"),
        }
    }

    fn has_code(&self, account: &Arc<str>) -> bool {
        let secrets = self.system.clouds.get(account).and_then(|cloud| cloud.secrets.as_ref());
        secrets.is_some_and(|secrets| !secrets.code.is_empty())
    }

    fn on_grant(&mut self, account: &Arc<str>, grant: &Grant) {
        let now = self.now;
        let Some(cloud) = self.system.clouds.get_mut(account) else { return };
        let Some(secrets) = cloud.secrets.as_mut() else { return };
        secrets.take(grant, now.wall);
        cloud.is_stale = false;
        if let Some(host) = &grant.api_host {
            cloud.host = Some(host.clone());
        }
        let sync = std::mem::take(&mut cloud.is_refused);
        let (opens, was_given_up) = (cloud.phase == Phase::Renewing, cloud.phase == Phase::Failed);
        if let (Some(credential), Some(host)) = (self.system.credentials.get_mut(account), &grant.api_host) {
            credential.api_host = host.as_str().trim_end_matches('/').into();
        }
        self.keep_secrets(account);
        self.stands(account, Standing::Connected, None);
        self.shared.counts.refresh("ok");
        self.log_of(account, Entry::new("token_refreshed", "Token renovado"));
        self.expect_end(account);
        if opens {
            self.dial(account);
        } else if was_given_up && self.will_open(account) {
            self.open(account);
        } else if sync {
            self.call(account, Http::AllStatus);
        }
        self.act_renewed(account, Ok(()));
    }

    /// Nobody knows whether there could have been one.
    fn on_no_token(&mut self, account: &Arc<str>, why: &str) {
        self.shared.counts.refresh("failed");
        let entry = Entry::new("token_refresh_failed", "No se pudo renovar el token");
        self.log_of(account, Entry { error: Some(why.to_owned()), ..entry });
        let Some(cloud) = self.system.clouds.get(account) else { return };
        if cloud.phase == Phase::Renewing {
            self.has_failed(account, why);
        } else {
            let wait_ms = self.delay_of_asks(account);
            self.system.agenda.put(self.now.mono + wait_ms, Due::Cloud(account.clone(), Step::Renew));
        }
        self.syncs_end(account, Err((502, why)));
        self.act_renewed(account, Err(why));
    }

    /// The account is over: somebody has to log in anew.
    pub(super) fn is_over(&mut self, account: &Arc<str>, why: &str) {
        self.shared.counts.refresh("refused");
        let entry = Entry::new("token_refresh_failed", "Token expirado, re-autenticación necesaria");
        self.log_of(account, Entry { error: Some(why.to_owned()), ..entry });
        self.stands(account, Standing::Expired, Some(why));
        self.gives_up(account, why);
        self.syncs_end(account, Err((401, why)));
        self.act_renewed(account, Err(why));
    }

    /// A newer token is asked for before this one ends; where its life is short, at half of it.
    pub(super) fn expect_end(&mut self, account: &Arc<str>) {
        let now = self.now;
        let Some(cloud) = self.system.clouds.get(account) else { return };
        let Some(secrets) = cloud.secrets.as_ref().filter(|secrets| secrets.can_renew()) else { return };
        let left_ms = secrets.ends_at.0.saturating_sub(now.wall.0);
        let lead_ms = self.settings.token_refresh_lead_s * 1_000;
        let wait_ms = left_ms.saturating_sub(lead_ms).max(left_ms / 2);
        self.system.agenda.put(now.mono + wait_ms, Due::Cloud(account.clone(), Step::Renew));
    }

    /// The account stands so now.
    pub(super) fn stands(&mut self, account: &Arc<str>, standing: Standing, why: Option<&str>) {
        let Some(credential) = self.system.credentials.get_mut(account) else { return };
        let error = why.map(Box::from);
        if (credential.status, &credential.error) != (standing, &error) {
            (credential.status, credential.error) = (standing, error);
            self.touch(Dirty::Credential(account.clone()));
        }
    }

    /// What an account is opened with is sealed anew, and kept.
    pub(super) fn keep_secrets(&mut self, account: &Arc<str>) {
        let Some(secrets) = self.system.clouds.get(account).and_then(|cloud| cloud.secrets.as_ref()) else { return };
        let sealed = self.shared.keyring.seal(account, secrets.write().expose(), self.rng);
        if let (Some(sealed), Some(credential)) = (sealed, self.system.credentials.get_mut(account)) {
            credential.sealed = sealed.into();
            self.touch(Dirty::Credential(account.clone()));
        }
    }

    /// A row in the log of an account's connection.
    pub(in super::super) fn log_of(&mut self, account: &Arc<str>, entry: Entry) {
        if let Some(connection) = self.system.of_credential(account).map(|connection| connection.id.clone()) {
            self.log(&connection, entry);
        }
    }

    /// The connection of an account is so now, which its system is told.
    pub(super) fn is_now(&mut self, account: &Arc<str>, status: Status, error: Option<&str>) {
        let Some(id) = self.system.of_credential(account).map(|connection| connection.id.clone()) else { return };
        let now = self.now;
        let Some(connection) = self.system.connections.get_mut(&id) else { return };
        let error: Option<Box<str>> = error.map(Box::from);
        if connection.status == status && connection.error == error {
            return;
        }
        (connection.status, connection.error, connection.updated_at) = (status, error, now.wall);
        if status == Status::Connected {
            (connection.last_ping_at, connection.traffic.opened_at) = (Some(now.wall), Some(now.mono));
        }
        let told = connection.told();
        self.touch(Dirty::Connection(id));
        self.tell_room("connection-status", &told);
    }
}
