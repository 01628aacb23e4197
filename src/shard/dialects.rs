//! The dialects of applications: what listeners have chosen, and numbers for what sockets speak. What such a
//! socket says is translated here, on its own shard, before it goes home; what it is told, once for all receivers of its dialect.

use bytes::Bytes;

use super::Shard;
use super::send::Variants;
use crate::app::effect::{Delivery, Emission};
use crate::app::event::Args;
use crate::app::kit::dialect::{Answers, Aside, Dialect, Heard};
use crate::app::{AuthFailure, Refusal};
use crate::base::ids::{AppId, DialectId, Key, ListenerId, NspId};
use crate::base::limit::ACK_ID_DIGITS_MAX;
use crate::socketio::ack::AckKey;

/// All dialects of a process, fixed at start. The default: there are none.
#[derive(Debug, Default)]
pub struct Dialects {
    /// By `AppId`.
    apps: Vec<&'static [Dialect]>,
    /// By `ListenerId`: an application and what is spoken to it there.
    listeners: Vec<Option<(AppId, &'static str)>>,
}

impl Dialects {
    /// The dialects of each application, in the order of `AppId`s, and what each listener has chosen, in that of `ListenerId`s.
    pub fn new(
        apps: impl IntoIterator<Item = &'static [Dialect]>,
        listeners: impl IntoIterator<Item = Option<(AppId, &'static str)>>,
    ) -> Dialects {
        Dialects { apps: apps.into_iter().collect(), listeners: listeners.into_iter().collect() }
    }

    /// What clients of this application speak on a listener.
    pub(super) fn configured(&self, listener: ListenerId, app: AppId) -> Option<&'static str> {
        let (owner, name) = (*self.listeners.get(usize::from(listener.0))?)?;
        (owner == app).then_some(name)
    }

    /// The number of a name among the dialects of an application.
    ///
    /// # Panics
    /// Where there is none: applications name theirs by constants.
    pub(super) fn id(&self, app: AppId, name: Option<&str>) -> DialectId {
        let Some(name) = name else { return DialectId::NONE };
        let index = self.of(app).iter().position(|dialect| dialect.name == name);
        DialectId(index.expect("an application names a dialect of its own") as u8 + 1)
    }

    /// What this number stands for.
    pub(super) fn get(&self, app: AppId, id: DialectId) -> Option<&'static Dialect> {
        self.of(app).get(usize::from(id.0.checked_sub(1)?))
    }

    /// A CONNECT_ERROR as those say it that speak this; `why`: what was wrong with the token, where that was it.
    pub(super) fn refuse(&self, app: AppId, id: DialectId, refusal: &mut Refusal, why: Option<AuthFailure>) {
        if let Some(change) = self.get(app, id).and_then(|dialect| dialect.refused) {
            change(refusal, why);
        }
    }

    fn of(&self, app: AppId) -> &'static [Dialect] {
        self.apps.get(usize::from(app.0)).copied().unwrap_or_default()
    }
}

impl Shard {
    /// What a socket has said, in its application's words. The ack id gets the row by which its ack is to be translated, so that
    /// nobody has to remember it. `None`: no home hears it, and it has been answered.
    pub(super) fn translate_event(
        &mut self,
        (app, nsp): (AppId, NspId),
        (socket, dialect): (Key, DialectId),
        (args, ack): (Args, Option<u64>),
    ) -> Option<(Args, Option<u64>)> {
        let Some(dialect) = self.config.dialects.get(app, dialect) else { return Some((args, ack)) };
        let mut aside = Aside { now: self.now, rng: &mut self.rng, beside: None };
        match dialect.hear(args, &mut aside) {
            Heard::Home(args, answers) => {
                let marked = ack.zip(answers).map(|(id, Answers(row))| id | (u64::from(row) + 1) << ROW_SHIFT);
                Some((args, marked.or(ack)))
            }
            Heard::Nobody(told) => {
                self.tell_at_once((app, nsp), socket, told, ack);
                None
            }
        }
    }

    /// Answers what no home hears: with these events, and an ack that says what the first of them does.
    fn tell_at_once(&mut self, (app, nsp): (AppId, NspId), socket: Key, told: Vec<Emission>, ack: Option<u64>) {
        let reply = told.first().and_then(Emission::arg).unwrap_or_default();
        if !told.is_empty() {
            self.deliver(&[socket.slot], Variants::of_events(nsp, told, None), Delivery::Must);
        }
        if let Some(id) = ack {
            let args = self.homes.apps[usize::from(app.0)].app().ack_style().good(reply);
            self.stats.outcomes[usize::from(nsp.0)].acked += 1;
            self.deliver(&[socket.slot], Variants::of_ack(nsp, id, args.into(), Vec::new()), Delivery::Must);
        }
    }

    /// The ack to what was heard, as its socket says it: its id, arguments and attachments.
    pub(super) fn translate_ack(
        &mut self,
        app: AppId,
        dialect: DialectId,
        (marked, args, attachments): (u64, Bytes, Vec<Bytes>),
        beside: Option<&str>,
    ) -> (u64, Bytes, Vec<Bytes>) {
        let row = (marked >> ROW_SHIFT).checked_sub(1).map(|row| Answers(row as u8));
        let id = marked & ((1 << ROW_SHIFT) - 1);
        let mut aside = Aside { now: self.now, rng: &mut self.rng, beside };
        let dialect = self.config.dialects.get(app, dialect);
        let answer = dialect.zip(row).and_then(|(dialect, row)| dialect.answer(row, &args, &attachments, &mut aside));
        let (args, attachments) = answer.unwrap_or((args, attachments));
        (id, args, attachments)
    }

    /// Sends an event to those of the receivers that spell it otherwise, and takes them out: who is left gets it as it is.
    pub(super) fn deliver_in_dialects(
        &mut self,
        nsp: NspId,
        receivers: &mut Vec<u32>,
        event: &Emission,
        id: Option<u64>,
        delivery: Delivery,
    ) {
        let app = self.config.namespaces.owner(nsp);
        let mut speakers: Vec<(DialectId, u32)> = Vec::new();
        let routes = &self.members.routes;
        receivers.retain(|slot| {
            let dialect = routes.of(*slot).dialect();
            if dialect != DialectId::NONE {
                speakers.push((dialect, *slot));
            }
            dialect == DialectId::NONE
        });
        speakers.sort_by_key(|(dialect, _)| *dialect);
        for group in speakers.chunk_by(|left, right| left.0 == right.0) {
            let slots: Vec<u32> = group.iter().map(|(_, slot)| *slot).collect();
            let beside = event.beside.as_ref().map(|text| text.as_str());
            let mut aside = Aside { now: self.now, rng: &mut self.rng, beside };
            let dialect = self.config.dialects.get(app, group[0].0);
            match dialect.and_then(|dialect| dialect.tell(event, &mut aside)) {
                None => receivers.extend(slots),
                Some(told) if told.is_empty() => self.leave_untold(nsp, &slots, id),
                Some(told) => {
                    let (before, more) = (self.stats.packets_out, told.len() as u64 - 1);
                    self.deliver(&slots, Variants::of_events(nsp, told, id), delivery);
                    self.stats.packets_out += (self.stats.packets_out - before) * more;
                }
            }
        }
    }

    /// A question that sockets are not told is not answered by them.
    fn leave_untold(&mut self, nsp: NspId, slots: &[u32], id: Option<u64>) {
        let Some(id) = id else { return };
        for slot in slots {
            let Some(key) = self.members.sockets.key_at(*slot) else { continue };
            if let Some(socket) = self.members.sockets.get_mut(key) {
                socket.acks.retain(|pending| *pending != id);
            }
            self.miss_ack(AckKey { nsp, id }, key);
        }
    }
}

/// Ids of acks are shorter than this; above are bits for a row of the dialect.
const ROW_SHIFT: u32 = 56;
const _: () = assert!(10u64.pow(ACK_ID_DIGITS_MAX as u32) < 1 << ROW_SHIFT);
