//! Devices that dial us. The path says the system, and proves it; which device it is, the first frame says.

use super::state::{Session, UNCLAIMED_MAX};
use crate::app::Home;
use crate::app::link::{Admission, Arrival, LinkEnd, LinkEvent, LinkId, LinkPath, Terms};
use crate::app::route::{Bare, Refused};
use crate::apps::iot::device::Source;
use crate::apps::iot::turn::{Peer, Turn};
use crate::apps::iot::waiting::Due;
use crate::apps::iot::who::UPSTREAM_DISCONNECTED;
use crate::apps::iot::wire::path;

/// Where they arrive.
pub(in super::super) const PATHS: &[LinkPath] = &[LinkPath {
    path: "/api/shelly/ws/{secret}",
    doc: "The outbound WebSocket of Shelly devices; the secret is its system's.",
    bare: Bare::Everywhere,
    headers: &[],
    home,
}];

/// The home of what arrives.
fn home(arrival: &Arrival) -> Result<Home, Refused> {
    path::read(arrival.param("secret")).map(|presented| Home::Tenant(presented.system)).ok_or(NOT_OURS)
}

impl Turn<'_> {
    /// Something happens to the socket of a device.
    pub(in super::super) fn on_device_link(&mut self, link: LinkId, event: LinkEvent) {
        match event {
            LinkEvent::Arrived(arrival) => self.on_arrived(link, &arrival),
            LinkEvent::Opened { .. } => self.on_device_opened(link),
            LinkEvent::Message(message) => self.on_frame(link, &message),
            // The process ends, and knows nothing of the device.
            LinkEvent::Closed { .. } if self.shared.draining => {}
            LinkEvent::Closed { why } => self.on_device_closed(link, &why),
        }
    }

    fn on_arrived(&mut self, link: LinkId, arrival: &Arrival) {
        let hash = path::read(arrival.param("secret")).map(|presented| presented.hash);
        if !hash.is_some_and(|hash| self.system.outbound.contains(&*hash)) {
            let (status, text) = if self.system.is_loaded { (403, NOT_OURS.text) } else { (503, "try again later") };
            return self.fx.refuse_link(link, status, text);
        }
        let unclaimed = |session: &&Session| session.dialled.is_none() && !self.is_claimed(session);
        if self.system.local.sessions.values().filter(unclaimed).count() >= UNCLAIMED_MAX {
            return self.fx.refuse_link(link, 503, "too many devices that nobody has claimed");
        }
        let session = Session { ip: Some(arrival.ip), next_id: 1, ..Session::default() };
        self.system.local.sessions.insert(link, session);
        self.shared.links.insert(link, (self.system.name.clone(), Peer::Device));
        let subprotocol = arrival.subprotocols.iter().find(|name| **name == SUBPROTOCOL).cloned();
        self.fx.admit(link, Admission { subprotocol, terms: self.terms_of_devices() });
    }

    /// How sockets of devices are kept: pinged, and after two pings that nobody answers, over.
    pub(super) fn terms_of_devices(&self) -> Terms {
        let ping_ms = self.settings.device_ping_ms;
        Terms { message_bytes_max: FRAME_BYTES_MAX, ping_interval_ms: ping_ms, ping_timeout_ms: ping_ms }
    }

    fn is_claimed(&self, session: &Session) -> bool {
        session.device.as_ref().is_some_and(|id| self.system.find(id.as_str()).is_some())
    }

    fn on_device_opened(&mut self, link: LinkId) {
        let Some(session) = self.system.local.sessions.get(&link) else { return };
        self.system.agenda.put(self.now.mono + SILENT_MS, Due::Device(link));
        if session.dialled.is_some() {
            self.greet(link);
        }
    }

    /// It has opened and says nothing, or does not answer what it was asked.
    pub(in super::super) fn on_device_due(&mut self, link: LinkId) {
        let is_mute = self.system.local.sessions.get(&link).is_some_and(|session| session.device.is_none());
        if is_mute {
            self.fx.close_link(link, 1_000, "silent");
        }
    }

    fn on_device_closed(&mut self, link: LinkId, why: &LinkEnd) {
        self.system.agenda.remove(&Due::Device(link));
        let Some(session) = self.system.local.sessions.remove(&link) else { return };
        for id in session.calls.keys() {
            self.system.agenda.remove(&Due::Call(link, *id));
        }
        for ticket in session.tickets() {
            self.command_ends(ticket, Err(UPSTREAM_DISCONNECTED));
        }
        if let Some(id) = session.device.as_ref().filter(|id| self.system.local.speaks.get(id) == Some(&link)) {
            self.system.local.speaks.remove(id);
            if let Some(device) = self.system.find(id.as_str())
                && !device.status.sleeps()
            {
                let id = device.id.clone();
                self.lose(&id, Source::Direct, CLOSED);
            }
        }
        if let Some(device) = session.dialled {
            self.on_dialled_closed(&device, link, session.device.is_some(), why);
        }
    }
}

/// A path that proves nothing.
const NOT_OURS: Refused = Refused::new(403, "FORBIDDEN", "this secret is not known");
const SUBPROTOCOL: &str = "json-rpc";
/// A device that has opened a socket says who it is within this.
const SILENT_MS: u64 = 60_000;
/// Of a frame; larger than what is taken in, as of a cloud.
const FRAME_BYTES_MAX: usize = 512 * 1024;
/// The reason where a device's own socket is over.
pub(super) const CLOSED: &str = "device_ws_closed";
