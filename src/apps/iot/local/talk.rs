//! What devices say on their sockets. Every frame names its device; the first one decides whose socket it is.

use serde_json::{Map, Value};

use super::state::Why;
use crate::app::link::{LinkId, LinkMessage};
use crate::apps::iot::counters::Became;
use crate::apps::iot::device::Source;
use crate::apps::iot::report::{About, Report};
use crate::apps::iot::turn::Turn;
use crate::apps::iot::waiting::Due;
use crate::apps::iot::wire::id::ShellyId;
use crate::apps::iot::wire::rpc::{self, Frame, Notification};
use crate::apps::iot::wire::status::Reading;

impl Turn<'_> {
    /// A message has come on the socket of a device.
    pub(super) fn on_frame(&mut self, link: LinkId, message: &LinkMessage) {
        if message.len() > FRAME_BYTES_MAX {
            return self.shared.counts.status(Source::Direct, Became::Oversize);
        }
        let text = match message {
            LinkMessage::Text(text) => Some(&**text),
            LinkMessage::Binary(bytes) => std::str::from_utf8(bytes).ok(),
        };
        let Some(frame) = text.and_then(Frame::read) else {
            return self.shared.counts.status(Source::Direct, Became::Invalid);
        };
        let said = frame.device();
        if !self.is_of(link, said.as_ref()) {
            return self.shared.counts.status(Source::Direct, Became::Unmapped);
        }
        match frame {
            Frame::Answer { id, outcome, .. } => self.on_call_answer(link, id, outcome),
            Frame::Notification { kind, params, .. } => self.on_notification(link, kind, &params, message.len()),
            Frame::Call { id, src } => self.fx.tell(link, LinkMessage::text(rpc::refusal(&id, &src))),
            Frame::Other => {}
        }
    }

    /// Whether a frame is of the device whose socket this is. The first that names one makes it so.
    fn is_of(&mut self, link: LinkId, said: Option<&ShellyId>) -> bool {
        let Some(session) = self.system.local.sessions.get(&link) else { return false };
        match (&session.device, said) {
            (Some(known), Some(said)) => known == said,
            (_, None) => true,
            (None, Some(said)) => {
                // One that was dialled is who it says when asked, and nobody before.
                if session.dialled.is_none() {
                    self.speaks_for(link, said);
                }
                true
            }
        }
    }

    /// This socket is this device's from now on. The one it had before is closed, and nothing is told of that.
    pub(super) fn speaks_for(&mut self, link: LinkId, id: &ShellyId) {
        let Some(session) = self.system.local.sessions.get_mut(&link) else { return };
        session.device = Some(id.clone());
        let ip = session.ip;
        self.system.agenda.remove(&Due::Device(link));
        if let Some(before) = self.system.local.speaks.insert(id.clone(), link).filter(|before| *before != link) {
            self.fx.close_link(before, 1_000, "another socket of this device has come");
        }
        if self.system.find(id.as_str()).is_none() {
            self.note_unclaimed(id, ip);
        }
    }

    fn on_notification(&mut self, link: LinkId, kind: Notification, params: &Value, bytes: usize) {
        let Some(session) = self.system.local.sessions.get_mut(&link) else { return };
        let Some(id) = session.device.clone() else { return };
        match kind {
            Notification::FullStatus => {
                session.is_whole = true;
                self.take_direct(link, &id, params, true, bytes);
            }
            Notification::Status if session.is_whole => self.take_direct(link, &id, params, false, bytes),
            // Changes of what is not known: all of it is asked for.
            Notification::Status => self.ask_device(link, "Shelly.GetStatus", Value::Null, Why::Status),
            Notification::Event => {
                let Some(device) = self.system.find(id.as_str()).map(|device| device.id.clone()) else { return };
                for told in rpc::happenings(params) {
                    if let Some(kind) = kind_of(&told.kind) {
                        self.tell_event(&device, &told.component, kind, told.value, told.ts);
                    }
                }
            }
        }
    }

    /// A status of a device, from itself.
    pub(super) fn take_direct(&mut self, link: LinkId, id: &ShellyId, status: &Value, whole: bool, bytes: usize) {
        let reading = Reading::of(status);
        let ip = self.system.local.sessions.get(&link).and_then(|session| session.ip);
        let unknown = self.system.find(id.as_str()).is_none_or(|known| known.generation == 0);
        let about = About { generation: reading.generation.filter(|_| unknown), ..About::default() };
        let source = Source::Direct;
        self.report(&Report { source, id, reading: &reading, whole, about, credential: None, bytes, ip });
    }

    /// The state of one switch, as an answer to `Switch.GetStatus` says it.
    pub(super) fn take_switch(&mut self, link: LinkId, channel: u8, result: Value) {
        let Some(id) = self.system.local.sessions.get(&link).and_then(|session| session.device.clone()) else { return };
        let status: Map<String, Value> = [(format!("switch:{channel}"), result)].into_iter().collect();
        self.take_direct(link, &id, &status.into(), false, 0);
    }

    /// Somebody has claimed a device: what it is, it is asked at once, if it is here.
    pub(in super::super) fn device_claimed(&mut self, device: &str) {
        let Some(id) = self.system.find(device).and_then(|device| ShellyId::parse(&device.shelly_id)) else { return };
        if let Some(link) = self.system.local.speaks.get(&id).copied() {
            self.is_there(&id, Source::Direct, "websocket_message_received");
            self.ask_device(link, "Shelly.GetStatus", Value::Null, Why::Status);
        }
    }

    /// Somebody wants to know how a device is: if it is here, and was not asked just before, it is asked.
    pub(in super::super) fn ask_state(&mut self, device: &str) {
        let now = self.now.mono;
        let Some(device) = self.system.find_mut(device) else { return };
        let Some(id) = ShellyId::parse(&device.shelly_id) else { return };
        if device.asked_at.is_some_and(|at| now.since(at) < ASK_INTERVAL_MS) {
            return;
        }
        if let Some(link) = self.system.local.speaks.get(&id).copied() {
            if let Some(device) = self.system.find_mut(id.as_str()) {
                device.asked_at = Some(now);
            }
            self.ask_device(link, "Switch.GetStatus", serde_json::json!({"id": 0}), Why::Switch(0));
        }
    }
}

/// What clients are told of, in their words.
fn kind_of(word: &str) -> Option<&'static str> {
    let kinds = ["single_push", "double_push", "triple_push", "long_push", "btn_down", "btn_up"];
    let faults = ["over_power", "over_temperature", "over_voltage"];
    let known = kinds.into_iter().chain(faults).find(|kind| *kind == word);
    known.or(match word {
        "overpower" => Some("over_power"),
        "overtemp" => Some("over_temperature"),
        "overvoltage" => Some("over_voltage"),
        _ => None,
    })
}

/// Of a frame that is taken in.
const FRAME_BYTES_MAX: usize = 256 * 1024;
/// Between two questions to one device.
const ASK_INTERVAL_MS: u64 = 10_000;
