//! What waits behind a load or a commit of one entity. A long queue is no reason to lose anything: sockets and links that add to it are
//! not read until it has become short (back-pressure reaches the client through TCP, or through a POST that waits). The
//! bounds above that are met by many clients together only, and are answered.

use std::collections::{BTreeSet, VecDeque};

use super::{Decision, Flow, Speaker};
use crate::app::effect::{Effect, Effects};
use crate::app::event::AppInput;
use crate::app::kit::ack::{AckStyle, Fail};
use crate::app::link::LinkEvent;
use crate::app::reply::Reply;
use crate::app::route::{Refused, plain_error};
use crate::base::limit::{PARKED_BYTES_LONG, PARKED_BYTES_MAX, PARKED_EVENTS_LONG, PARKED_EVENTS_MAX};
use crate::base::time::WallMillis;

/// The queue of one entity.
pub struct Parked {
    style: AckStyle,
    inputs: VecDeque<AppInput>,
    /// Bytes of the events among them.
    bytes: usize,
    /// Loads and commits on their way.
    pub pending: u32,
    /// Those who are not read until the queue is short.
    held: BTreeSet<Speaker>,
}

impl Parked {
    /// An empty queue of an application whose acks are spelled so.
    pub fn new(style: AckStyle) -> Parked {
        Parked { style, inputs: VecDeque::new(), bytes: 0, pending: 0, held: BTreeSet::new() }
    }

    /// Queues an input, or says how it is refused where too many wait. Departures and timers always queue: sockets bound
    /// their number.
    pub fn push(&mut self, input: AppInput, out: &mut Vec<Decision>) {
        let is_full = self.inputs.len() >= PARKED_EVENTS_MAX || self.bytes >= PARKED_BYTES_MAX;
        let is_long = self.is_above(PARKED_EVENTS_LONG, PARKED_BYTES_LONG);
        match &input {
            AppInput::Event(_) | AppInput::Connect(_) | AppInput::Said { .. } if is_full => {
                return refuse(input, self.style, out);
            }
            AppInput::Link { event: LinkEvent::Message(_) | LinkEvent::Arrived(_), .. } if is_full => {
                return refuse(input, self.style, out);
            }
            // A caller by HTTP has nothing that could be held, and an answer that says so.
            AppInput::Call { .. } if is_long => return refuse(input, self.style, out),
            AppInput::Event(event) if is_long => self.hold(Speaker::Socket(event.socket), out),
            AppInput::Link { link, event: LinkEvent::Message(_) } if is_long => self.hold(Speaker::Link(*link), out),
            _ => {}
        }
        self.bytes += size(&input);
        self.inputs.push_back(input);
    }

    fn hold(&mut self, of: Speaker, out: &mut Vec<Decision>) {
        if self.held.insert(of) {
            out.push(Decision::Flow { of, flow: Flow::Hold });
        }
    }

    /// The input that waits for the longest time.
    pub fn pop(&mut self) -> Option<AppInput> {
        let input = self.inputs.pop_front()?;
        self.bytes -= size(&input);
        Some(input)
    }

    /// Those who were held are read again once the queue is short.
    pub fn release(&mut self, out: &mut Vec<Decision>) {
        if !self.is_above(PARKED_EVENTS_LONG / 2, PARKED_BYTES_LONG / 2) {
            let held = std::mem::take(&mut self.held);
            out.extend(held.into_iter().map(|of| Decision::Flow { of, flow: Flow::Release }));
        }
    }

    /// Whether somebody is to be released.
    pub fn has_held(&self) -> bool {
        !self.held.is_empty()
    }

    fn is_above(&self, events: usize, bytes: usize) -> bool {
        self.inputs.len() >= events || self.bytes >= bytes
    }
}

fn size(input: &AppInput) -> usize {
    match input {
        AppInput::Event(event) => event.args.size_bytes(),
        AppInput::Connect(connect) => connect.auth.len(),
        AppInput::Call { call, .. } => call.size_bytes(),
        AppInput::Link { event, .. } => event.size_bytes(),
        AppInput::Said { note, .. } => note.size_bytes(),
        _ => 0,
    }
}

/// An event that cannot be answered ends its connection: its client learns that something was lost. Of a lost note operators
/// learn.
fn refuse(input: AppInput, style: AckStyle, out: &mut Vec<Decision>) {
    let mut fx = Effects::default();
    match input {
        AppInput::Connect(connect) => fx.refuse(connect.socket, "Server busy", None),
        AppInput::Event(event) => match style.refusal(event.socket, event.ack, &Fail::new("BUSY", BUSY)) {
            Some(ack) => fx.push(ack),
            None => out.push(Decision::Flow { of: Speaker::Socket(event.socket), flow: Flow::Cut }),
        },
        AppInput::Link { link, event: LinkEvent::Arrived(_) } => {
            fx.refuse_link(link, 503, &plain_error(&Refused::BUSY, WallMillis(0)))
        }
        AppInput::Link { link, .. } => out.push(Decision::Flow { of: Speaker::Link(link), flow: Flow::Cut }),
        AppInput::Call { req, .. } => fx.push(Effect::Reply { req, reply: Reply::refused(Refused::BUSY) }),
        AppInput::Said { note, .. } => {
            fx.push(Effect::Alert { kind: "note_lost", text: format!("{}: {BUSY}", note.about) });
        }
        _ => {}
    }
    out.extend(fx.0.into_iter().map(Decision::Effect));
}

const BUSY: &str = "Too many requests are waiting";
