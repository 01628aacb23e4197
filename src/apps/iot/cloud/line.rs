//! HTTP of an account: one call at a time, the next no sooner than an interval later, and after a refusal for being asked too often when
//! the cloud says. What cannot wait goes in front; a command that has waited too long goes out of the line.

use std::sync::Arc;

use super::state::{Cloud, Http, Step};
use crate::app::fetch::FetchFailure;
use crate::app::fetch::{Fetch, FetchError, Fetched};
use crate::app::job::{Job, JobErrorKind, Outcome};
use crate::apps::iot::turn::Turn;
use crate::apps::iot::waiting::{Due, Wait};
use crate::apps::iot::wire::{http, oauth, v2};
use crate::base::limit::FETCH_BYTES_MAX;

impl Turn<'_> {
    /// A call waits for its time. `false`: too many do.
    pub(super) fn call(&mut self, account: &Arc<str>, http: Http) -> bool {
        let Some(cloud) = self.system.clouds.get_mut(account) else { return false };
        let line = &mut cloud.line;
        if line.waiting.iter().chain(&line.asked).any(|other| other.is_like(&http)) {
            return true;
        }
        if line.waiting.len() >= WAITING_MAX {
            return false;
        }
        match http {
            Http::Renew { .. } => line.waiting.push_front(http),
            _ => line.waiting.push_back(http),
        }
        self.run_line(account);
        true
    }

    /// The next call leaves, if it may.
    pub(super) fn run_line(&mut self, account: &Arc<str>) {
        let now = self.now.mono;
        let interval_ms = self.settings.http_interval_ms;
        let Some(cloud) = self.system.clouds.get_mut(account) else { return };
        let line = &mut cloud.line;
        if line.asked.is_some() || line.waiting.is_empty() {
            return;
        }
        if line.next_at > now {
            let at = line.next_at;
            return self.system.agenda.put(at, Due::Cloud(account.clone(), Step::Line));
        }
        let Some(http) = line.waiting.pop_front() else { return };
        line.next_at = now + interval_ms;
        match cloud.request(&http) {
            Some(fetch) => {
                cloud.line.asked = Some(http.clone());
                let ticket = match http {
                    Http::Set { ticket, .. } => Some(ticket),
                    _ => None,
                };
                let fetch = Fetch { timeout_ms: self.settings.connect_timeout_ms, ..fetch };
                self.ask(Job::Fetch(fetch), Wait::Cloud(account.clone(), http));
                ticket.into_iter().for_each(|ticket| self.has_left(ticket));
            }
            None => self.on_http(
                account,
                http,
                &Err(FetchError::new(FetchFailure::Invalid, "there is nothing to ask with")),
            ),
        }
    }

    /// An answer has come, or none.
    pub(in super::super) fn on_call(&mut self, account: &Arc<str>, http: Http, outcome: &Outcome) {
        let none = |kind: FetchFailure| Err(FetchError::new(kind, ""));
        let result = match outcome {
            Outcome::Fetched(result) => result.clone(),
            Outcome::Failed(error) if error.kind == JobErrorKind::Busy => none(FetchFailure::Busy),
            _ => none(FetchFailure::Unavailable),
        };
        let now = self.now.mono;
        let Some(cloud) = self.system.clouds.get_mut(account) else { return };
        cloud.line.asked = None;
        if let Some(after_ms) = too_often(&result) {
            cloud.line.next_at = cloud.line.next_at.max(now + after_ms);
        }
        self.on_http(account, http, &result);
        self.run_line(account);
    }

    fn on_http(&mut self, account: &Arc<str>, http: Http, result: &Result<Fetched, FetchError>) {
        match http {
            Http::Renew { by_code } => self.on_renewed(account, by_code, result),
            Http::AllStatus => self.on_all_status(account, result),
            Http::Get { .. } => self.on_states(account, result),
            Http::Set { ticket, .. } => self.on_set(ticket, result),
        }
    }
}

impl Cloud {
    /// What is asked, if there is something to ask with.
    fn request(&self, http: &Http) -> Option<Fetch> {
        let (secrets, host) = (self.secrets.as_ref()?, self.host.as_ref()?);
        Some(match http {
            Http::Renew { by_code: true } => oauth::by_code(host, filled(&secrets.code)?),
            Http::Renew { by_code: false } => oauth::by_refresh(host, filled(&secrets.refresh)?),
            Http::AllStatus => http::all_status(host, filled(&secrets.access)?, FETCH_BYTES_MAX),
            Http::Get { ids } => v2::get(host, filled(&secrets.auth_key)?, ids),
            Http::Set { id, channel, on, timer_s, .. } => {
                v2::set_switch(host, filled(&secrets.auth_key)?, id, *channel, *on, *timer_s)
            }
        })
    }
}

fn filled(secret: &crate::base::secret::Secret) -> Option<&str> {
    (!secret.is_empty()).then(|| secret.expose())
}

/// How long nobody asks after a refusal for being asked too often.
fn too_often(result: &Result<Fetched, FetchError>) -> Option<u64> {
    let fetched = result.as_ref().ok().filter(|fetched| fetched.status == 429)?;
    match http::of_status(fetched) {
        http::Fault::TooMany { after_s: Some(after_s) } => Some(after_s.min(AFTER_S_MAX) * 1_000),
        _ => Some(AFTER_MS),
    }
}

/// Calls that wait for their time: more than a minute of them is of no use to anybody.
const WAITING_MAX: usize = 64;
/// Where the cloud does not say when, and the longest that it is believed.
const AFTER_MS: u64 = 5_000;
const AFTER_S_MAX: u64 = 3_600;
