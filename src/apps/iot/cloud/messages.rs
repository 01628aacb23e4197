//! What comes over an event socket: statuses and presence of devices go to the offline manager, answers to the commands that they are of.
//! Whatever else it is costs a count; the socket stays.

use std::sync::Arc;

use crate::app::link::LinkMessage;
use crate::apps::iot::counters::Became;
use crate::apps::iot::device::Source;
use crate::apps::iot::report::{About, Report};
use crate::apps::iot::turn::Turn;
use crate::apps::iot::wire::id::ShellyId;
use crate::apps::iot::wire::socket::{Device, Incoming};
use crate::apps::iot::wire::status::Reading;

impl Turn<'_> {
    /// A message has come.
    pub(super) fn on_message(&mut self, account: &Arc<str>, message: &LinkMessage) {
        self.has_come(account);
        let text = match message {
            _ if message.len() > MESSAGE_BYTES_MAX => {
                return self.shared.counts.status(Source::Cloud, Became::Oversize);
            }
            LinkMessage::Text(text) => Some(&**text),
            LinkMessage::Binary(bytes) => std::str::from_utf8(bytes).ok(),
        };
        match text.and_then(Incoming::read) {
            Some(Incoming::Status { device, status }) => {
                let reading = Reading::of(&status);
                self.take_status(account, &device, status["id"].as_str(), &reading, message.len());
            }
            Some(Incoming::Online { device, online }) => self.on_presence(account, &device, online),
            Some(Incoming::Answer(answer)) => self.on_answer(account, &answer),
            Some(Incoming::Other) => {}
            None => self.shared.counts.status(Source::Cloud, Became::Invalid),
        }
    }

    /// A status of a device of an account; whether one of its devices has said it.
    pub(super) fn take_status(
        &mut self,
        account: &Arc<str>,
        device: &Device,
        own_id: Option<&str>,
        reading: &Reading,
        bytes: usize,
    ) -> bool {
        let Some(id) = self.whose(account, &device.id, own_id) else {
            self.shared.counts.status(Source::Cloud, Became::Unmapped);
            return false;
        };
        let decimal = id.decimal();
        let unknown = self.system.find(id.as_str()).is_none_or(|known| known.generation == 0);
        let about = About {
            cloud_id: Some(&*decimal).filter(|decimal| **decimal == *device.id),
            model: Some(&device.code),
            generation: generation(&device.generation).or(reading.generation.filter(|_| unknown)),
            firmware: None,
        };
        let report = Report {
            source: Source::Cloud,
            id: &id,
            reading,
            whole: false,
            about,
            credential: Some(account),
            bytes,
            ip: None,
        };
        self.report(&report) != Became::Unmapped
    }

    fn on_presence(&mut self, account: &Arc<str>, device: &Device, online: Option<bool>) {
        let Some(id) = self.whose(account, &device.id, None) else {
            return self.shared.counts.status(Source::Cloud, Became::Unmapped);
        };
        let Some(known) = self.system.find(id.as_str()).map(|device| device.id.clone()) else {
            self.note_unclaimed(&id, None);
            return self.shared.counts.status(Source::Cloud, Became::Unmapped);
        };
        match online {
            Some(true) => {
                self.is_there(&id, Source::Cloud, ONLINE_EVENT);
            }
            Some(false) => self.lose(&known, Source::Cloud, ONLINE_EVENT),
            None => {}
        }
    }

    /// The device that an account means: of what an id may be read as, the one that is known. `None`: there is no such id, or the
    /// device is another account's.
    pub(super) fn whose(&self, account: &Arc<str>, id: &str, own_id: Option<&str>) -> Option<ShellyId> {
        let mut readings: Vec<ShellyId> = ShellyId::readings(id).collect();
        if let Some(own) = own_id.and_then(ShellyId::parse)
            && let Some(at) = readings.iter().position(|reading| *reading == own)
        {
            readings.swap(0, at);
        }
        let known = readings.iter().position(|reading| self.system.find(reading.as_str()).is_some());
        let id = readings.into_iter().nth(known.unwrap_or(0))?;
        let owner = self.system.find(id.as_str()).and_then(|device| device.credential.as_ref());
        owner.is_none_or(|owner| owner == account).then_some(id)
    }

    /// A message has come over the socket of an account.
    fn has_come(&mut self, account: &Arc<str>) {
        let now = self.now.wall;
        let Some(id) = self.system.of_credential(account).map(|connection| connection.id.clone()) else { return };
        if let Some(connection) = self.system.connections.get_mut(&id) {
            connection.traffic.received += 1;
            connection.traffic.last_pong_at = Some(now);
        }
    }
}

/// `G2` is 2; some say the number alone.
pub(super) fn generation(word: &str) -> Option<u8> {
    word.trim_start_matches(['G', 'g']).parse().ok()
}

/// Of a message that is taken in.
const MESSAGE_BYTES_MAX: usize = 256 * 1024;
/// The reason where a cloud says that a device came or went.
pub(super) const ONLINE_EVENT: &str = "shelly_online_event";
