//! What waits behind a load or a commit of one entity. A long queue is no reason to lose anything: sockets and links that add to it are
//! not read until it has become short (back-pressure reaches the client through TCP, or through a POST that waits). The
//! bounds above that are met by many clients together only, and are answered.

use std::collections::{BTreeSet, VecDeque};

use super::{Decision, Flow, Speaker};
use crate::app::effect::{Effect, Effects};
use crate::app::event::AppInput;
use crate::app::link::LinkEvent;
use crate::app::reply::{Content, Reply};
use crate::base::limit::{PARKED_BYTES_LONG, PARKED_BYTES_MAX, PARKED_EVENTS_LONG, PARKED_EVENTS_MAX};

/// The queue of one entity.
#[derive(Default)]
pub struct Parked {
    inputs: VecDeque<AppInput>,
    /// Bytes of the events among them.
    bytes: usize,
    /// Loads and commits on their way.
    pub pending: u32,
    /// Those who are not read until the queue is short.
    held: BTreeSet<Speaker>,
}

impl Parked {
    /// Queues an input, or says how it is refused where too many wait. Departures and timers always queue: sockets bound
    /// their number.
    pub fn push(&mut self, input: AppInput, out: &mut Vec<Decision>) {
        let is_full = self.inputs.len() >= PARKED_EVENTS_MAX || self.bytes >= PARKED_BYTES_MAX;
        let is_long = self.is_above(PARKED_EVENTS_LONG, PARKED_BYTES_LONG);
        match &input {
            AppInput::Event(_) | AppInput::Connect(_) if is_full => return refuse(input, out),
            AppInput::Link { event: LinkEvent::Message(_) | LinkEvent::Arrived(_), .. } if is_full => {
                return refuse(input, out);
            }
            // A caller by HTTP has nothing that could be held, and an answer that says so.
            AppInput::Call { .. } if is_long => return refuse(input, out),
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
        _ => 0,
    }
}

/// An event that cannot be answered ends its connection: its client learns that something was lost.
fn refuse(input: AppInput, out: &mut Vec<Decision>) {
    const BUSY: &str = r#"{"ok":false,"error":{"code":"BUSY","message":"Too many requests are waiting"}}"#;
    let mut fx = Effects::default();
    match input {
        AppInput::Connect(connect) => fx.refuse(connect.socket, "Server busy", None),
        AppInput::Event(event) => match event.ack {
            Some(id) => {
                let args = bytes::Bytes::from_static(BUSY.as_bytes());
                fx.push(Effect::Ack { socket: event.socket, id, args, attachments: Vec::new() });
            }
            None => out.push(Decision::Flow { of: Speaker::Socket(event.socket), flow: Flow::Cut }),
        },
        AppInput::Link { link, event: LinkEvent::Arrived(_) } => fx.refuse_link(link, 503, BUSY),
        AppInput::Link { link, .. } => out.push(Decision::Flow { of: Speaker::Link(link), flow: Flow::Cut }),
        AppInput::Call { req, .. } => {
            fx.push(Effect::Reply { req, reply: Reply { status: 503, content: Content::Json(BUSY.to_owned()) } })
        }
        _ => {}
    }
    out.extend(fx.0.into_iter().map(Decision::Effect));
}
