//! How a connection opens, ends and comes back. One socket per account; what is over is told at once, and tried again after a delay that
//! grows until a socket has lived for long enough. Opening proves nothing: a cloud opens a socket whose token is over, and closes it.

use std::sync::Arc;

use super::secrets::Secrets;
use super::state::{Cloud, Http, Phase, Step};
use crate::app::Token;
use crate::app::fetch::FetchFailure;
use crate::app::link::{Dial, LinkEnd, LinkEvent, LinkId, Terms, WebSocketDial};
use crate::apps::iot::connection::Status;
use crate::apps::iot::credential::Standing;
use crate::apps::iot::device::Source;
use crate::apps::iot::log::Entry;
use crate::apps::iot::turn::{Peer, Turn};
use crate::apps::iot::waiting::Due;
use crate::apps::iot::wire::socket;
use crate::base::limit::LINK_OPEN_TIMEOUT_MS_MAX;

impl Turn<'_> {
    /// The connection of an account is opened, unless it is open, or about to be.
    pub(super) fn open(&mut self, account: &Arc<str>) {
        let now = self.now;
        self.system.agenda.remove(&Due::Cloud(account.clone(), Step::Retry));
        let Some(cloud) = self.system.clouds.get_mut(account) else { return };
        if cloud.is_open() || cloud.is_opening() || cloud.phase == Phase::Keyed {
            return;
        }
        let Some(secrets) = &cloud.secrets else {
            return self.gives_up(account, "the secrets of the account cannot be read");
        };
        if !secrets.has_socket() {
            return self.open_by_key(account);
        }
        if secrets.is_alive(now.wall) && !cloud.is_stale {
            return self.dial(account);
        }
        cloud.phase = Phase::Renewing;
        if !self.renew(account) {
            self.is_over(account, "the token is over, and there is nothing to ask for another with");
        }
    }

    /// The socket is dialled with the token that there is.
    pub(super) fn dial(&mut self, account: &Arc<str>) {
        let (port, ping_ms) = (self.settings.cloud_ws_port, self.settings.cloud_ping_ms);
        let Some(cloud) = self.system.clouds.get_mut(account) else { return };
        let address = cloud.host.as_ref().zip(cloud.secrets.as_ref());
        let address = address.and_then(|(host, secrets)| socket::address(host, port, secrets.access.expose()));
        let Some((url, _)) = address else { return self.gives_up(account, "the account has no host") };
        let link = self.shared.waiting.token();
        cloud.phase = Phase::Opening { link };
        let peer = Peer::Cloud(account.clone());
        self.shared.links.insert(LinkId::Dialled(link), (self.system.name.clone(), peer));
        let terms = Terms { message_bytes_max: MESSAGE_BYTES_MAX, ping_interval_ms: ping_ms, ping_timeout_ms: ping_ms };
        let open_timeout_ms = self.settings.connect_timeout_ms.min(LINK_OPEN_TIMEOUT_MS_MAX);
        self.fx.open(link, Dial::WebSocket(WebSocketDial { open_timeout_ms, terms, ..WebSocketDial::new(url) }));
    }

    /// Where the socket of an account is, to be shown: without what opens it.
    pub(in super::super) fn address_of(&self, account: &str) -> Option<String> {
        let host = self.system.clouds.get(account)?.host.as_ref()?;
        socket::address(host, self.settings.cloud_ws_port, "").map(|(_, shown)| shown)
    }

    /// Something happens to a link that an account has dialled.
    pub(in super::super) fn on_cloud_link(&mut self, account: &Arc<str>, link: Token, event: LinkEvent) {
        let is_its = self.system.clouds.get(account).is_some_and(|cloud| cloud.link() == Some(link));
        match event {
            // One that was given up: nothing of it counts.
            _ if !is_its => {}
            LinkEvent::Opened { .. } => self.on_opened(account, link),
            LinkEvent::Message(message) => self.on_message(account, &message),
            // The process ends, and knows nothing of the cloud.
            LinkEvent::Closed { .. } if self.shared.draining => {}
            LinkEvent::Closed { why } => self.on_closed(account, &why),
            LinkEvent::Arrived(_) => {}
        }
    }

    fn on_opened(&mut self, account: &Arc<str>, link: Token) {
        let since = self.now.mono;
        let Some(cloud) = self.system.clouds.get_mut(account) else { return };
        cloud.phase = Phase::Open { link, since };
        cloud.tries.worked(since);
        cloud.is_syncing = true;
        self.is_now(account, Status::Connected, None);
        self.log_of(account, Entry::new("connect", "WebSocket conectado"));
        self.expect_end(account);
        self.call(account, Http::AllStatus);
        self.act_opened(account, Ok(()));
    }

    fn on_closed(&mut self, account: &Arc<str>, why: &LinkEnd) {
        let now = self.now.mono;
        let Some(cloud) = self.system.clouds.get_mut(account) else { return };
        let was_open = match cloud.phase {
            Phase::Open { since, .. } => {
                cloud.is_stale |= now.since(since) < DEAD_WITHIN_MS;
                true
            }
            _ => false,
        };
        cloud.is_stale |= matches!(why, LinkEnd::Rejected { status: 401 });
        let text = words(why);
        if was_open {
            self.log_of(account, Entry::new("disconnect", format!("WebSocket desconectado: {text}")));
            self.hangs_up(account, "websocket_disconnected");
        } else {
            let entry = Entry::new("error", "No se pudo conectar");
            self.log_of(account, Entry { error: Some(text.clone()), ..entry });
        }
        self.has_failed(account, &text);
    }

    /// What hung on an open socket hangs on nothing now.
    fn hangs_up(&mut self, account: &Arc<str>, reason: &str) {
        self.system.agenda.remove(&Due::Cloud(account.clone(), Step::Sync));
        self.lose_credential(account, Source::Cloud, reason);
        self.drop_commands(account);
    }

    /// It is not open: it is tried again after a delay, if it is to be.
    pub(super) fn has_failed(&mut self, account: &Arc<str>, why: &str) {
        let wait_ms = self.delay(account);
        let is_kept = self.system.of_credential(account).is_some_and(|connection| connection.auto_reconnect);
        let Some(cloud) = self.system.clouds.get_mut(account) else { return };
        // Devices that had been left as they were until the first socket.
        if is_kept {
            cloud.phase = Phase::Waiting;
            self.system.agenda.put(self.now.mono + wait_ms, Due::Cloud(account.clone(), Step::Retry));
            self.lose_credential(account, Source::Cloud, "websocket_disconnected");
            self.is_now(account, Status::Reconnecting, Some(why));
            let text = format!("Reintento en {} ms", wait_ms);
            self.log_of(account, Entry::new("reconnect_attempt", text));
        } else {
            cloud.phase = Phase::Idle;
            self.lose_credential(account, Source::Cloud, "websocket_disconnected");
            self.skips(account);
        }
        self.act_opened(account, Err(why));
    }

    /// It is not to be tried again.
    fn skips(&mut self, account: &Arc<str>) {
        self.is_now(account, Status::Disconnected, None);
        self.log_of(account, Entry::new("reconnect_skipped", "Reconexión automática deshabilitada"));
    }

    /// The delay before the next try is over.
    fn on_retry(&mut self, account: &Arc<str>) {
        let is_kept = self.system.of_credential(account).is_some_and(|connection| connection.auto_reconnect);
        let Some(cloud) = self.system.clouds.get_mut(account).filter(|cloud| cloud.phase == Phase::Waiting) else {
            return;
        };
        if is_kept {
            self.shared.counts.reconnects += 1;
            if let Some(id) = self.system.of_credential(account).map(|connection| connection.id.clone()) {
                let connection = self.system.connections.get_mut(&id);
                connection.into_iter().for_each(|connection| connection.traffic.reconnects += 1);
            }
            self.open(account);
        } else {
            cloud.phase = Phase::Idle;
            self.skips(account);
        }
    }

    /// The cloud, or the account, cannot be used: it is not tried again by itself.
    pub(super) fn gives_up(&mut self, account: &Arc<str>, why: &str) {
        self.shut(account, "websocket_disconnected");
        let Some(cloud) = self.system.clouds.get_mut(account) else { return };
        cloud.phase = Phase::Failed;
        self.is_now(account, Status::Error, Some(why));
        self.act_opened(account, Err(why));
    }

    /// Whatever there is of it ends: socket, delay, calls, commands, and with them its devices, for this reason.
    pub(super) fn shut(&mut self, account: &Arc<str>, reason: &str) {
        for step in [Step::Retry, Step::Renew, Step::Line, Step::Sync] {
            self.system.agenda.remove(&Due::Cloud(account.clone(), step));
        }
        let Some(cloud) = self.system.clouds.get_mut(account) else { return };
        let link = cloud.link();
        cloud.phase = Phase::Idle;
        (cloud.is_syncing, cloud.is_refused) = (false, false);
        let unasked = cloud.line.clear();
        if let Some(link) = link {
            self.fx.close_link(LinkId::Dialled(link), 1_000, "");
        }
        self.hangs_up(account, reason);
        self.lose_credential(account, Source::V2, reason);
        for ticket in unasked {
            self.command_ends(ticket, Err(crate::apps::iot::who::UPSTREAM_DISCONNECTED));
        }
    }

    /// Something is due for an account.
    pub(in super::super) fn on_cloud_due(&mut self, account: &Arc<str>, step: Step) {
        match step {
            Step::Retry => self.on_retry(account),
            Step::Renew => {
                self.renew(account);
            }
            Step::Line => self.run_line(account),
            Step::Sync => {
                self.call(account, Http::AllStatus);
            }
            Step::Restart => self.act_restarts(account),
        }
    }

    /// How long the next try waits: as the back-off has it, a fifth more or less, so that those who were turned away together do
    /// not come back together.
    pub(super) fn delay(&mut self, account: &Arc<str>) -> u64 {
        let now = self.now.mono;
        let Some(cloud) = self.system.clouds.get_mut(account) else { return 0 };
        let whole = cloud.tries.failed(now, self.rng);
        self.spread(whole)
    }

    /// The same for what is asked by HTTP.
    pub(super) fn delay_of_asks(&mut self, account: &Arc<str>) -> u64 {
        let now = self.now.mono;
        let Some(cloud) = self.system.clouds.get_mut(account) else { return 0 };
        let whole = cloud.asks.failed(now, self.rng);
        self.spread(whole)
    }

    fn spread(&mut self, whole: u64) -> u64 {
        let permille = 800 + u64::from(self.rng.below(401));
        (whole.saturating_mul(permille) / 1_000).min(self.settings.reconnect_delay_max_ms)
    }

    /// The system is in memory: what its accounts are opened with is opened, and those that were connected are again.
    pub(in super::super) fn start_clouds(&mut self) {
        let accounts: Vec<Arc<str>> = self.system.credentials.keys().cloned().collect();
        for account in accounts {
            let opens = self.will_open(&account);
            self.take_account(&account);
            // What is on disk is how it was.
            let id = self.system.of_credential(&account).map(|connection| connection.id.clone());
            let connection = id.filter(|_| opens).and_then(|id| self.system.connections.get_mut(&id));
            connection.into_iter().for_each(|connection| connection.status = Status::Disconnected);
            let can = self.system.credentials.get(&account).is_some_and(|it| it.status == Standing::Connected);
            if opens && can {
                self.open(&account);
            } else if opens {
                self.gives_up(&account, "the secrets of the account cannot be read");
            } else if let Some(connection) = self.system.of_credential(&account)
                && connection.status != Status::Error
            {
                self.is_now(&account, Status::Disconnected, None);
            }
        }
    }

    /// What is sealed of an account is opened; by an older key, and it is sealed anew.
    pub(super) fn take_account(&mut self, account: &Arc<str>) {
        let Some(credential) = self.system.credentials.get(account) else { return };
        let opened = self.shared.keyring.open(account, &credential.sealed);
        let secrets = opened.as_ref().and_then(|opened| Secrets::read(&opened.secret));
        let host = self.settings.hosts_of_clouds().address(&credential.api_host);
        let (is_read, is_old) = (secrets.is_some(), opened.is_some_and(|opened| opened.is_old));
        let cloud = Cloud::new(secrets, host, self.settings);
        self.system.clouds.insert(account.clone(), cloud);
        if !is_read {
            self.stands(account, Standing::Error, Some("the secrets of the account cannot be read"));
        } else if is_old {
            self.keep_secrets(account);
        }
        let is_mended = self.system.credentials.get(account).is_some_and(|it| it.status == Standing::Error);
        if is_read && is_mended {
            self.stands(account, Standing::Connected, None);
        }
    }
}

/// Why a socket is over, for a log: never with what it was opened with.
fn words(why: &LinkEnd) -> String {
    match why {
        LinkEnd::Peer { code: Some(code), reason } if reason.is_empty() => format!("peer, code {code}"),
        LinkEnd::Peer { code: Some(code), .. } => format!("peer, code {code} with a reason"),
        LinkEnd::Rejected { status } => format!("rejected, status {status}"),
        LinkEnd::Failed(FetchFailure::Busy) => "too many links".to_owned(),
        other => other.label().to_owned(),
    }
}

/// A socket that is closed so soon after it opened was opened with a token that is over.
const DEAD_WITHIN_MS: u64 = 5_000;
/// Of a message; larger than what is taken in, so that one that is too large costs itself alone.
const MESSAGE_BYTES_MAX: usize = 512 * 1024;
