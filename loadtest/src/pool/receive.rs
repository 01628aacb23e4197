//! Bytes of a client's connections → packets → happenings. The state machine of one client is here, in [`Pool::on_packet`].

use super::link::Got;
use super::polling::Upgrade;
use super::{ClientId, ClientState, Handler, Happening, Lane, Pool};
use crate::clock;
use crate::fault::Fault;
use crate::target::HANDSHAKE_ACCEPT;
use crate::wire::packet::{self, Packet};
use crate::wire::{frame, http};

impl Pool {
    /// Reads all there is. A read that did not fill the buffer has emptied the socket, unless its end is announced.
    pub(super) fn on_readable(&mut self, client: ClientId, lane: Lane, closed: bool, handler: &mut dyn Handler) {
        if self.clients[client.0 as usize].paused {
            if closed {
                self.end(client, None);
            }
            return;
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        while let Some(link) = self.link(client, lane) {
            let got = link.read(&mut buffer);
            self.now = clock::now();
            match got {
                Ok(Got::Bytes { filled, more }) => {
                    self.tally.reads += 1;
                    self.tally.bytes_read += filled as u64;
                    match self.on_bytes(client, lane, &buffer[..filled], handler) {
                        Ok(used) => self.keep(client, lane, &buffer[used..filled]),
                        Err(fault) => self.end(client, Some(fault)),
                    }
                    if !more && !closed {
                        break;
                    }
                }
                Ok(Got::Nothing) => break,
                Ok(Got::End) => {
                    self.on_end(client, lane);
                    break;
                }
                Err(fault) => {
                    let left = self.phase(client) == ClientState::Leaving;
                    self.end(client, (!left).then_some(fault));
                    break;
                }
            }
        }
        self.buffer = buffer;
    }

    fn keep(&mut self, client: ClientId, lane: Lane, rest: &[u8]) {
        if !rest.is_empty()
            && let Some(link) = self.link(client, lane)
        {
            link.keep(rest);
        }
    }

    fn on_end(&mut self, client: ClientId, lane: Lane) {
        match (self.phase(client), lane) {
            (ClientState::Leaving, _) => self.end(client, None),
            (ClientState::Opening | ClientState::Joining, _) => {
                self.end(client, Some(Fault::Protocol("connection ended before the namespace was joined")));
            }
            _ => self.end(client, Some(Fault::Closed(None))),
        }
    }

    /// Uses what is whole; gives back how much that was.
    fn on_bytes(&mut self, client: ClientId, lane: Lane, bytes: &[u8], to: &mut dyn Handler) -> Result<usize, Fault> {
        if lane != Lane::WebSocket {
            return self.on_responses(client, lane, bytes, to);
        }
        let mut used = 0;
        if self.link(client, lane).is_some_and(|link| !link.upgraded) {
            let Some((response, size)) = http::read(bytes)? else { return Ok(0) };
            if response.status != 101 {
                return Err(Fault::Status(response.status));
            }
            if response.accept.as_deref() != Some(HANDSHAKE_ACCEPT) {
                return Err(Fault::Protocol("wrong Sec-WebSocket-Accept"));
            }
            self.on_websocket_open(client);
            used = size;
        }
        while let Some((frame, size)) = frame::read(&bytes[used..])? {
            used += size;
            match frame.opcode {
                frame::TEXT => self.on_packet(client, lane, frame.payload, to)?,
                frame::PING => self.send_frame(client, frame::PONG, frame.payload),
                frame::CLOSE => return self.on_close(client, frame.payload).map(|()| bytes.len()),
                _ => {}
            }
            if self.clients[client.0 as usize].ws.is_none() {
                return Ok(bytes.len());
            }
        }
        Ok(used)
    }

    fn on_websocket_open(&mut self, client: ClientId) {
        let slot = &mut self.clients[client.0 as usize];
        let link = slot.ws.as_mut().expect("its bytes are being read");
        link.upgraded = true;
        if slot.http.is_some() {
            self.send_frame(client, frame::TEXT, b"2probe");
        }
    }

    fn on_close(&mut self, client: ClientId, payload: &[u8]) -> Result<(), Fault> {
        if self.phase(client) == ClientState::Leaving {
            self.end(client, None);
            return Ok(());
        }
        self.send_frame(client, frame::CLOSE, &payload[..payload.len().min(2)]);
        self.flush();
        Err(Fault::Closed(payload.first_chunk().map(|code| u16::from_be_bytes(*code))))
    }

    fn on_responses(
        &mut self,
        client: ClientId,
        lane: Lane,
        bytes: &[u8],
        to: &mut dyn Handler,
    ) -> Result<usize, Fault> {
        let mut used = 0;
        while let Some((response, size)) = http::read(&bytes[used..])? {
            used += size;
            match (response.status, self.phase(client)) {
                (200, _) => {}
                (_, ClientState::Leaving) => {
                    self.end(client, None);
                    return Ok(bytes.len());
                }
                (status, _) => return Err(Fault::Status(status)),
            }
            if lane == Lane::Get {
                self.on_polled(client, &response.body, to)?;
            } else {
                self.on_posted(client, to);
            }
            if self.clients[client.0 as usize].http.is_none() {
                return Ok(bytes.len());
            }
            if response.close {
                return Err(Fault::Protocol("the server does not keep HTTP connections alive"));
            }
        }
        Ok(used)
    }

    fn on_polled(&mut self, client: ClientId, body: &[u8], to: &mut dyn Handler) -> Result<(), Fault> {
        if let Some(polling) = &mut self.clients[client.0 as usize].http {
            polling.parked = false;
        }
        for message in body.split(|byte| *byte == packet::SEPARATOR) {
            self.on_packet(client, Lane::Get, message, to)?;
        }
        let Some(polling) = &mut self.clients[client.0 as usize].http else { return Ok(()) };
        if polling.upgrade == Upgrade::Probed {
            self.try_move(client, to);
            return Ok(());
        }
        polling.parked = true;
        self.target.write_get(polling.get.out(), Some(&polling.sid));
        self.mark(client, Lane::Get);
        Ok(())
    }

    fn on_posted(&mut self, client: ClientId, to: &mut dyn Handler) {
        let leaving = self.phase(client) == ClientState::Leaving;
        let Some(polling) = &mut self.clients[client.0 as usize].http else { return };
        polling.posting = false;
        self.post(client);
        let quiet = self.clients[client.0 as usize].http.as_ref().is_none_or(|polling| !polling.posting);
        if leaving && quiet {
            self.end(client, None);
        } else if self.clients[client.0 as usize].http.as_ref().is_some_and(|http| http.upgrade == Upgrade::Probed) {
            self.try_move(client, to);
        }
    }

    /// Moves a probed session once neither GET nor POST is under way.
    fn try_move(&mut self, client: ClientId, to: &mut dyn Handler) {
        let slot = &mut self.clients[client.0 as usize];
        if slot.http.as_ref().is_some_and(|polling| polling.is_quiet()) {
            slot.http = None;
            let since = slot.since;
            self.send_frame(client, frame::TEXT, b"5");
            to.on(self, client, Happening::Upgraded { since });
        }
    }

    fn on_packet(&mut self, client: ClientId, lane: Lane, bytes: &[u8], to: &mut dyn Handler) -> Result<(), Fault> {
        let target = self.target.clone();
        let packet = packet::parse(bytes, &target.namespace).ok_or(Fault::Protocol("not a packet of Socket.IO"))?;
        match (packet, self.phase(client)) {
            (Packet::Open(json), ClientState::Opening) => {
                let sid = packet::string_of(json, "sid").ok_or(Fault::Protocol("no sid in the handshake"))?;
                if let Some(polling) = &mut self.clients[client.0 as usize].http {
                    polling.sid = sid.to_owned();
                }
                self.set_phase(client, ClientState::Joining);
                self.send(client, &target.join(&to.auth(client)));
            }
            (Packet::Connected, ClientState::Joining) => {
                self.set_phase(client, ClientState::Joined);
                let since = self.clients[client.0 as usize].since;
                to.on(self, client, Happening::Joined { since });
            }
            (Packet::Event(array), ClientState::Joined) => to.on(self, client, Happening::Event(array)),
            (Packet::Ack { id, args }, ClientState::Joined) => to.on(self, client, Happening::Ack { id, args }),
            (Packet::Ping, _) => self.send(client, b"3"),
            (Packet::Pong(b"probe"), _) if lane == Lane::WebSocket => self.on_probed(client, to),
            (Packet::Close | Packet::Disconnected, ClientState::Leaving) => self.end(client, None),
            (Packet::Close | Packet::Disconnected, _) => return Err(Fault::Closed(None)),
            (Packet::Refused(why), _) => {
                return Err(Fault::Refused(String::from_utf8_lossy(why).chars().take(100).collect()));
            }
            _ => {}
        }
        Ok(())
    }

    fn on_probed(&mut self, client: ClientId, to: &mut dyn Handler) {
        if let Some(polling) = &mut self.clients[client.0 as usize].http {
            polling.upgrade = Upgrade::Probed;
            self.try_move(client, to);
        }
    }
}
