//! Devices that we dial: those with an address in one of the networks that are listed. One must be who it is taken for: it is asked first,
//! and its MAC address decides.

use core::net::IpAddr;
use std::sync::Arc;

use serde_json::Value;

use super::state::{Dialled, Session, Why};
use crate::app::kit::backoff::{Backoff, Growth};
use crate::app::link::{Dial, LinkEnd, LinkId, WebSocketDial};
use crate::app::settings::network;
use crate::apps::iot::turn::{Peer, Turn};
use crate::apps::iot::waiting::Due;
use crate::apps::iot::wire::id::ShellyId;
use crate::base::limit::LINK_OPEN_TIMEOUT_MS_MAX;

impl Turn<'_> {
    /// The system is in memory, or a device has an address now, another one, or none: it is dialled if it may be.
    pub(in super::super) fn dial_device(&mut self, device: &Arc<str>) {
        let address = self.system.devices.get(device).and_then(|device| device.ip().map(str::to_owned));
        let may = address.is_some_and(|address| self.may_dial(&address));
        if let Some(link) = self.system.local.dialled.remove(device).and_then(|dialled| dialled.link) {
            self.fx.close_link(link, 1_000, "");
        }
        self.system.agenda.remove(&Due::Dial(device.clone()));
        if may {
            let tries = Backoff::new(self.growth_of_dials());
            self.system.local.dialled.insert(device.clone(), Dialled { tries, link: None, is_denied: false });
            self.system.agenda.put(self.now.mono, Due::Dial(device.clone()));
        }
    }

    /// Every device of the system that has an address.
    pub(in super::super) fn dial_devices(&mut self) {
        let has_address = |device: &&crate::apps::iot::device::Device| device.ip().is_some();
        let ids: Vec<Arc<str>> = self.system.devices.values().filter(has_address).map(|it| it.id.clone()).collect();
        for id in ids {
            self.dial_device(&id);
        }
    }

    /// It is time to dial a device.
    pub(in super::super) fn on_dial(&mut self, device: &Arc<str>) {
        let Some(known) = self.system.devices.get(device) else { return };
        let (Some(address), generation) = (known.ip().map(str::to_owned), known.generation) else { return };
        let is_idle = |dialled: &Dialled| dialled.link.is_none() && !dialled.is_denied;
        if !self.system.local.dialled.get(device).is_some_and(is_idle) {
            return;
        }
        if generation == 1 {
            return self.ask_about(device);
        }
        let link = LinkId::Dialled(self.shared.waiting.token());
        let LinkId::Dialled(token) = link else { return };
        let ip = address_of(&address);
        let session = Session { ip, next_id: 1, dialled: Some(device.clone()), ..Session::default() };
        self.system.local.sessions.insert(link, session);
        self.shared.links.insert(link, (self.system.name.clone(), Peer::Device));
        if let Some(dialled) = self.system.local.dialled.get_mut(device) {
            dialled.link = Some(link);
        }
        let open_timeout_ms = self.settings.connect_timeout_ms.min(LINK_OPEN_TIMEOUT_MS_MAX);
        let dial = WebSocketDial {
            open_timeout_ms,
            terms: self.terms_of_devices(),
            ..WebSocketDial::new(format!("ws://{address}/rpc"))
        };
        self.fx.open(token, Dial::WebSocket(dial));
    }

    /// One that was dialled is open: it is asked who it is.
    pub(super) fn greet(&mut self, link: LinkId) {
        self.ask_device(link, "Shelly.GetDeviceInfo", Value::Null, Why::Info);
    }

    /// It has said who it is.
    pub(super) fn on_info(&mut self, link: LinkId, info: &Value) {
        let Some(device) = self.system.local.sessions.get(&link).and_then(|session| session.dialled.clone()) else {
            return;
        };
        let said = info["mac"].as_str().and_then(ShellyId::parse);
        let Some(known) = self.system.devices.get_mut(&device) else { return };
        let is_it = said.as_ref().is_some_and(|said| *known.shelly_id == *said.as_str());
        let Some(id) = said.filter(|_| is_it) else {
            tracing::warn!(target: "siod::iot", system = &*self.system.name, device = &*device, "another device is at its address");
            return self.fx.close_link(link, 1_000, "another device");
        };
        if let Some(model) = info["model"].as_str().filter(|model| model.len() <= MODEL_BYTES_MAX) {
            known.model = model.into();
        }
        if let Some(firmware) = info["ver"].as_str().filter(|firmware| firmware.len() <= MODEL_BYTES_MAX) {
            known.firmware = Some(firmware.into());
        }
        known.generation = info["gen"].as_u64().and_then(|it| it.try_into().ok()).unwrap_or(known.generation);
        if let Some(dialled) = self.system.local.dialled.get_mut(&device) {
            dialled.tries.worked(self.now.mono);
        }
        self.speaks_for(link, &id);
        self.ask_device(link, "Shelly.GetStatus", Value::Null, Why::Status);
    }

    /// The socket of one that was dialled is over: it is dialled again, later.
    pub(super) fn on_dialled_closed(&mut self, device: &Arc<str>, link: LinkId, _was_known: bool, why: &LinkEnd) {
        let unknown = self.system.devices.get(device).is_some_and(|device| device.generation == 0);
        let Some(dialled) = self.system.local.dialled.get_mut(device).filter(|it| it.link == Some(link)) else {
            return;
        };
        dialled.link = None;
        if dialled.is_denied {
            return;
        }
        if unknown && matches!(why, LinkEnd::Rejected { .. }) {
            return self.ask_about(device);
        }
        self.dial_later(device);
    }

    /// It is dialled again after a delay.
    pub(super) fn dial_later(&mut self, device: &Arc<str>) {
        let now = self.now.mono;
        let Some(dialled) = self.system.local.dialled.get_mut(device) else { return };
        let wait_ms = dialled.tries.failed(now, self.rng);
        self.system.agenda.put(now + wait_ms, Due::Dial(device.clone()));
    }

    fn growth_of_dials(&self) -> Growth {
        Growth {
            base_ms: self.settings.reconnect_delay_ms,
            factor: self.settings.reconnect_backoff,
            cap_ms: self.settings.reconnect_delay_max_ms,
            jitter: 0.3,
            stable_ms: self.settings.backoff_reset_ms,
        }
    }

    /// Whether a device is dialled no more because of its password.
    pub(in super::super) fn is_denied_to_us(&self, device: &str) -> bool {
        self.system.local.dialled.get(device).is_some_and(|dialled| dialled.is_denied)
    }

    fn may_dial(&self, address: &str) -> bool {
        let Some(ip) = address_of(address) else { return false };
        let mut networks = self.settings.lan_networks.iter().filter_map(|text| network(text));
        networks.any(|network| network.contains(&ip))
    }
}

/// The address of `host` or `host:port`; names are none.
fn address_of(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    text.parse::<core::net::SocketAddr>().map(|at| at.ip()).ok().or_else(|| text.trim_matches(['[', ']']).parse().ok())
}

/// Of what a device says of itself.
const MODEL_BYTES_MAX: usize = 64;
