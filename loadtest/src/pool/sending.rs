//! The way out: connections are opened, frames and bodies put into them, and at the end of a turn each is written once.

use std::io;

use mio::Token;

use super::link::Link;
use super::{ClientId, ClientState, Lane, Pool};
use crate::fault::Fault;
use crate::wire::frame;

impl Pool {
    pub(super) fn open(&mut self, client: ClientId, lane: Lane) -> io::Result<Link> {
        let token = Token(client.0 as usize * 4 + lane as usize);
        Link::open(self.poll.registry(), token, self.target.addr, self.sources.next())
    }

    pub(super) fn send_frame(&mut self, client: ClientId, opcode: u8, payload: &[u8]) {
        // A counter times an odd number: as good as random for a mask, and cheap.
        self.mask = self.mask.wrapping_mul(0x9E37_79B1).wrapping_add(1);
        let mask = self.mask.to_be_bytes();
        let Some(link) = &mut self.clients[client.0 as usize].ws else { return };
        frame::write_masked(link.out(), opcode, payload, mask);
        self.mark(client, Lane::WebSocket);
    }

    /// Posts what waits, if nothing is being posted.
    pub(super) fn post(&mut self, client: ClientId) {
        let Some(polling) = &mut self.clients[client.0 as usize].http else { return };
        let Some(body) = polling.next_body() else { return };
        if polling.post.is_none() {
            match self.open(client, Lane::Post) {
                Ok(link) => self.clients[client.0 as usize].http.as_mut().expect("it polls").post = Some(link),
                Err(error) => return self.end(client, Some(Fault::Connect(error.kind()))),
            }
        }
        let polling = self.clients[client.0 as usize].http.as_mut().expect("it polls");
        let link = polling.post.as_mut().expect("it was opened above");
        self.target.write_post(link.out(), &polling.sid, &body);
        self.mark(client, Lane::Post);
    }

    pub(super) fn link(&mut self, client: ClientId, lane: Lane) -> Option<&mut Link> {
        let slot = &mut self.clients[client.0 as usize];
        match lane {
            Lane::WebSocket => slot.ws.as_mut(),
            Lane::Get => slot.http.as_mut().map(|polling| &mut polling.get),
            Lane::Post => slot.http.as_mut().and_then(|polling| polling.post.as_mut()),
        }
    }

    /// It has something to write.
    pub(super) fn mark(&mut self, client: ClientId, lane: Lane) {
        let Some(link) = self.link(client, lane) else { return };
        if !std::mem::replace(&mut link.dirty, true) {
            self.dirty.push((client, lane));
        }
    }

    pub(super) fn flush(&mut self) {
        let mut dirty = std::mem::take(&mut self.dirty);
        for (client, lane) in dirty.drain(..) {
            let Some(link) = self.link(client, lane) else { continue };
            link.dirty = false;
            let flushed = link.flush();
            self.note_writes(client, flushed);
        }
        if self.dirty.is_empty() {
            self.dirty = dirty; // its capacity
        }
    }

    pub(super) fn on_writable(&mut self, client: ClientId, lane: Lane) {
        let Some(link) = self.link(client, lane) else { return };
        let flushed = link.on_writable();
        self.note_writes(client, flushed);
    }

    pub(super) fn note_writes(&mut self, client: ClientId, flushed: Result<u64, Fault>) {
        match flushed {
            Ok(calls) => self.tally.writes += calls,
            // What the server said before it broke the connection is read first, if anything is left.
            Err(Fault::Broken(_)) if self.phase(client) == ClientState::Leaving => self.end(client, None),
            Err(fault) => self.end(client, Some(fault)),
        }
    }
}
