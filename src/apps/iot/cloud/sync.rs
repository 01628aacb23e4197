//! All devices of an account at once: when its socket opens, since that is silent at first, and when somebody asks. Accounts that have a
//! key alone are asked for the devices that are known.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::json;

use super::messages::{ONLINE_EVENT, generation};
use super::state::{Cloud, Http, Phase, Step};
use crate::app::fetch::{FetchError, Fetched};
use crate::apps::iot::connection::Status;
use crate::apps::iot::credential::Standing;
use crate::apps::iot::device::{DEVICE_UPDATE, Device, Source};
use crate::apps::iot::report::{About, Report};
use crate::apps::iot::turn::Turn;
use crate::apps::iot::waiting::{Dirty, Due};
use crate::apps::iot::wire::http::{self, Fault, Listed};
use crate::apps::iot::wire::id::ShellyId;
use crate::apps::iot::wire::socket;
use crate::apps::iot::wire::status::Reading;
use crate::apps::iot::wire::v2;
use crate::base::time::WallMillis;

/// What a sync came to.
pub(in super::super) struct Synced {
    pub total: usize,
    pub created: usize,
}

impl Turn<'_> {
    /// The devices of an account have come, or not.
    pub(super) fn on_all_status(&mut self, account: &Arc<str>, result: &Result<Fetched, FetchError>) {
        match http::read_all_status(result) {
            Ok(listed) => self.on_listed(account, &listed),
            Err(Fault::Unauthorized) => self.on_refused(account),
            Err(fault) => {
                let wait_ms = self.delay_of_asks(account);
                if self.system.clouds.get(account).is_some_and(|cloud| cloud.is_syncing) {
                    self.system.agenda.put(self.now.mono + wait_ms, Due::Cloud(account.clone(), Step::Sync));
                }
                self.syncs_end(account, Err((502, &fault.to_string())));
            }
        }
    }

    /// The token is over: the devices are asked for again with a newer one, at once where this is the first time.
    fn on_refused(&mut self, account: &Arc<str>) {
        let Some(cloud) = self.system.clouds.get_mut(account) else { return };
        cloud.is_refused = true;
        let is_first = cloud.asks.failures() == 0;
        let wait_ms = self.delay_of_asks(account);
        if !is_first {
            self.system.agenda.put(self.now.mono + wait_ms, Due::Cloud(account.clone(), Step::Renew));
            self.syncs_end(account, Err((502, "the cloud refuses a token that it has just given")));
        } else if !self.renew(account) {
            self.is_over(account, "the cloud refuses the token");
        }
    }

    fn on_listed(&mut self, account: &Arc<str>, listed: &[Listed]) {
        let (now, settings) = (self.now, self.settings);
        let Some(cloud) = self.system.clouds.get_mut(account) else { return };
        cloud.asks = Cloud::new(None, None, settings).asks;
        let was_syncing = std::mem::take(&mut cloud.is_syncing);
        let since = match cloud.phase {
            Phase::Open { since, .. } => Some(WallMillis(now.wall.0.saturating_sub(now.mono.since(since)))),
            _ => None,
        };
        let is_asked = !cloud.syncs.is_empty();
        let created = if is_asked { self.create(account, listed) } else { 0 };
        if let Some(credential) = self.system.credentials.get_mut(account) {
            credential.last_sync_at = Some(now.wall);
            self.touch(Dirty::Credential(account.clone()));
        }
        if let Some(since) = since {
            let synced = self.apply_listed(account, listed, since);
            if was_syncing {
                let known = listed.iter().filter(|it| self.is_known(account, &it.id)).count();
                let stats = json!({"total": known, "synced": synced, "errors": known - synced});
                self.tell_room(DEVICE_UPDATE, &json!({"type": "initial-sync-done", "stats": stats}));
            }
        }
        self.syncs_end(account, Ok(Synced { total: listed.len(), created }));
    }

    /// Their statuses, as if they had said them now; how many were taken.
    fn apply_listed(&mut self, account: &Arc<str>, listed: &[Listed], since: WallMillis) -> usize {
        let (mut seen, mut synced) = (BTreeSet::new(), 0);
        for entry in listed {
            let Some(id) = self.whose(account, &entry.id, None) else { continue };
            let known = self.system.find(id.as_str()).map(|device| device.id.clone());
            seen.extend(known.clone());
            match (entry.online, known) {
                (Some(false), Some(known)) => {
                    self.lose(&known, Source::Cloud, ONLINE_EVENT);
                    synced += 1;
                }
                (Some(false), None) => self.note_unclaimed(&id, None),
                _ => {
                    let device = socket::Device {
                        id: entry.id.clone(),
                        code: entry.code.clone(),
                        generation: entry.generation.clone(),
                    };
                    // A device that is there and says nothing is not known of: its status is no object, or empty.
                    let reading = Reading::of(&entry.status);
                    synced += usize::from(self.take_status(account, &device, None, &reading, 0));
                }
            }
        }
        self.forget_unlisted(account, &seen, since);
        synced
    }

    /// Devices that were believed to be there since the process before, and of which the account knows nothing.
    fn forget_unlisted(&mut self, account: &Arc<str>, seen: &BTreeSet<Arc<str>>, since: WallMillis) {
        let is_silent = |device: &&Device| {
            device.credential.as_ref() == Some(account)
                && device.sources.has(Source::Cloud)
                && !seen.contains(&device.id)
                && device.last_activity_at.is_none_or(|at| at < since)
        };
        let silent: Vec<Arc<str>> = self.system.devices.values().filter(is_silent).map(|it| it.id.clone()).collect();
        for id in silent {
            self.lose(&id, Source::Cloud, ONLINE_EVENT);
        }
    }

    fn is_known(&self, account: &Arc<str>, id: &str) -> bool {
        self.whose(account, id, None).is_some_and(|id| self.system.find(id.as_str()).is_some())
    }

    /// Those that nobody knows become devices of the account; how many.
    fn create(&mut self, account: &Arc<str>, listed: &[Listed]) -> usize {
        let mut created = 0;
        for entry in listed {
            let Some(id) = self.whose(account, &entry.id, None) else { continue };
            let full = self.system.devices.len() >= self.settings.devices_per_system_max;
            if full || self.system.find(id.as_str()).is_some() {
                continue;
            }
            let name = format!("{} {}", entry.code, id.tail());
            let fresh = crate::apps::iot::system::fresh_id(self.rng);
            let mut device = Device::new(fresh, id.as_str(), name.trim(), self.now.wall);
            device.credential = Some(account.clone());
            device.cloud_id = Some(id.decimal().into());
            device.model = entry.code.clone();
            device.generation = generation(&entry.generation).unwrap_or(0);
            self.system.unclaimed.remove(id.as_str());
            let id = self.system.insert(device);
            self.touch(Dirty::Device(id));
            created += 1;
        }
        created
    }

    /// An account that has a key alone: it is good if the cloud answers by it.
    pub(super) fn open_by_key(&mut self, account: &Arc<str>) {
        let ids: Vec<ShellyId> = self
            .system
            .devices
            .values()
            .filter(|device| device.credential.as_ref() == Some(account))
            .filter_map(|device| ShellyId::parse(&device.shelly_id))
            .collect();
        let Some(cloud) = self.system.clouds.get_mut(account) else { return };
        if ids.is_empty() {
            return self.is_keyed(account);
        }
        cloud.phase = Phase::Renewing;
        for some in ids.chunks(v2::IDS_MAX) {
            self.call(account, Http::Get { ids: some.to_vec() });
        }
    }

    fn is_keyed(&mut self, account: &Arc<str>) {
        let Some(cloud) = self.system.clouds.get_mut(account) else { return };
        cloud.phase = Phase::Keyed;
        self.is_now(account, Status::Connected, None);
        self.act_opened(account, Ok(()));
    }

    /// States of devices, asked for by a key.
    pub(super) fn on_states(&mut self, account: &Arc<str>, result: &Result<Fetched, FetchError>) {
        let found = match v2::read_get(result) {
            Ok(found) => found,
            Err(v2::Denied::Failed(Fault::Unauthorized) | v2::Denied::Refused(_)) => {
                self.stands(account, Standing::Expired, Some("the cloud refuses the key"));
                return self.gives_up(account, "the cloud refuses the key");
            }
            Err(v2::Denied::Failed(fault)) => return self.has_failed(account, &fault.to_string()),
        };
        if self.system.clouds.get(account).is_some_and(|cloud| cloud.phase == Phase::Renewing) {
            self.is_keyed(account);
        }
        for state in found {
            let Some(id) = self.whose(account, &state.id, None) else { continue };
            let Some(known) = self.system.find(id.as_str()).map(|device| device.id.clone()) else { continue };
            if state.online == Some(false) {
                self.lose(&known, Source::V2, ONLINE_EVENT);
                continue;
            }
            let reading = Reading::of(&state.status);
            let generation = generation(&state.generation).or(reading.generation);
            let about = About { model: Some(&state.code), generation, ..About::default() };
            let report = Report {
                source: Source::V2,
                id: &id,
                reading: &reading,
                whole: true,
                about,
                credential: Some(account),
                bytes: 0,
                ip: None,
            };
            self.report(&report);
        }
    }
}
