//! From accept to the bytes of a request, and where these lead: to the shard at once if they are a plain WebSocket handshake
//! or polling request, else to hyper, together with what has been read; and the answers of polling requests.

use std::net::{IpAddr, Shutdown};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mio::net::TcpStream;
use tokio::task::spawn_local;
use tracing::debug;

use super::callers::{Caller, Sent};
use super::core::Core;
use super::cors::Origin;
use super::fast_polling::{self, Poll, Read};
use super::fast_websocket::{self, Head, Opened};
use super::linger::Lingering;
use super::mailbox::{Adopted, Arrival, Message};
use super::outside::Outside;
use super::reactor::Reactor;
use super::streams::Kind;
use super::visitor::{self, Refused};
use super::{arrivals, flush, http, listen};
use crate::base::ids::{ConnKey, ReqId};
use crate::base::limit::{ACCEPTS_PER_TURN_MAX, HEARING_GRACE_MS};
use crate::base::time::{Millis, Now};
use crate::engine::polling::Reply;
use crate::shard::Input;

impl<O: Outside> Reactor<O> {
    /// Lets newcomers in, within the turn's budget, and ends connections that have said nothing in time: not before all that
    /// had arrived by then has been read, as it has up to `heard`. Returns how many came in.
    pub(super) fn receive(&mut self, now: Now, heard: Millis) -> usize {
        if heard + HEARING_GRACE_MS >= now.mono {
            while let Some(conn) = self.callers.next_late(now.mono) {
                self.on_hung_up(now, conn);
            }
        }
        for count in 0..ACCEPTS_PER_TURN_MAX {
            let Some((listener, stream, peer)) = self.doors.accept(now.mono) else { return count };
            let ip = peer.ip().to_canonical();
            let process = self.core.process.clone();
            let proxies = &process.listeners[listener].proxies;
            match proxies.admit(&process.guard, ip) {
                Ok(place) => {
                    if let Ok(conn) = self.streams.adopt(stream, place, Kind::Newcomer, self.poll.registry()) {
                        self.callers.insert(conn, listener, ip, proxies.announces(ip), now.mono);
                    }
                }
                Err(limit) => {
                    debug!(target: "siod::listen", %ip, ?limit, "refused");
                    process.refusals.count_overload();
                    listen::refuse(&stream, listen::BUSY);
                    linger(stream, &process.lingering_refused, ());
                }
            }
        }
        ACCEPTS_PER_TURN_MAX
    }

    /// `count` bytes of a caller are in the read buffer.
    pub(super) fn on_call(&mut self, now: Now, conn: ConnKey, count: usize) {
        match self.callers.announce(conn, &self.read_buffer[..count]) {
            None => self.on_request(now, conn, count),
            Some(Ok(None)) => {}
            Some(Ok(Some(head))) => match head.client.map_or(Ok(()), |client| self.announce(conn, client)) {
                Err(refused) => self.turn_away(conn, refused),
                Ok(()) if head.bytes < count => {
                    self.read_buffer.copy_within(head.bytes..count, 0);
                    self.on_request(now, conn, count - head.bytes);
                }
                Ok(()) => {}
            },
            Some(Err(bad)) => self.turn_away(conn, Refused::Announced(bad)),
        }
    }

    /// A proxy says that a connection is `client`'s, and it takes a place of that client. The error is the answer where it
    /// cannot.
    fn announce(&mut self, conn: ConnKey, client: IpAddr) -> Result<(), Refused> {
        let (Some(caller), Some(stream)) = (self.callers.get(conn), self.streams.get_mut(conn)) else { return Ok(()) };
        visitor::announce(&self.core.process.listeners[caller.listener].proxies, client, &mut stream.place)?;
        self.callers.speaks_for(conn, client);
        Ok(())
    }

    fn turn_away(&mut self, conn: ConnKey, refused: Refused) {
        debug!(target: "siod::listen", ?refused, "refused");
        if matches!(refused, Refused::Full) {
            self.core.process.refusals.count_overload();
        }
        self.callers.remove(conn);
        self.leave(conn, |stream| listen::refuse(stream, &refused.bytes()));
    }

    /// A connection leaves with its last answer, and lingers.
    pub(super) fn leave(&mut self, conn: ConnKey, answer: impl FnOnce(&TcpStream)) {
        if let Some(mut stream) = self.streams.remove(conn)
            && self.poll.registry().deregister(&mut stream.tcp).is_ok()
        {
            answer(&stream.tcp);
            linger(stream.tcp, &self.core.process.lingering, stream.place);
        }
    }

    /// `count` bytes of a request are in the read buffer.
    fn on_request(&mut self, now: Now, conn: ConnKey, count: usize) {
        let Some(caller) = self.callers.get(conn) else { return };
        if !caller.is_idle() {
            self.callers.keep(conn, &self.read_buffer[..count]);
            return self.take_behind(now, conn);
        }
        // A client that has closed its side behind the request is answered as hyper does it.
        let has_ended = self.streams.get_mut(conn).is_none_or(|stream| stream.ended);
        if !has_ended && let Some(head) = plain_head(&self.core, caller, &self.read_buffer[..count]) {
            if let Some(opened) = fast_websocket::open(&self.core, caller, &head, now.wall) {
                return self.open(now, conn, opened, head.bytes..count);
            }
            let rest = &self.read_buffer[head.bytes..count];
            if let Some(Read { poll, origin, bytes }) = fast_polling::read(&self.core, caller, &head, rest) {
                self.poll_owner(now, conn, poll, origin);
                if bytes < count {
                    self.callers.keep(conn, &self.read_buffer[bytes..count]);
                    self.take_behind(now, conn);
                }
                return;
            }
            if let Some(asking) = arrivals::ask(&self.core, caller, &head) {
                return self.wait_for_home(now, conn, asking, head.bytes..count);
            }
        }
        let early = Bytes::copy_from_slice(&self.read_buffer[..count]);
        self.pass_on(now, conn, early);
    }

    /// Takes what lies behind requests that wait for their answers, as far as it is for here. The rest is hyper's once they
    /// are answered.
    fn take_behind(&mut self, now: Now, conn: ConnKey) {
        while let Some(caller) = self.callers.get(conn)
            && caller.has_turns()
            && !caller.kept().is_empty()
        {
            let (core, kept) = (&self.core, caller.kept());
            let head = plain_head(core, caller, kept);
            let read = head.and_then(|head| fast_polling::read(core, caller, &head, &kept[head.bytes..]));
            match read {
                Some(Read { poll, origin, bytes }) => {
                    let (sid, is_post) = poll.kind();
                    if !caller.may_ask(sid, is_post) {
                        return;
                    }
                    self.callers.take(conn, bytes);
                    self.poll_owner(now, conn, poll, origin);
                }
                None if caller.is_idle() => {
                    let early = Bytes::copy_from_slice(kept);
                    return self.pass_on(now, conn, early);
                }
                None => return,
            }
        }
    }

    /// Asks the shard that owns the session; the answer comes back as an output, or as a message.
    fn poll_owner(&mut self, now: Now, conn: ConnKey, poll: Poll, origin: Origin) {
        let (asked, inputs) = poll.ask(&self.core, conn, origin);
        let owner = asked.sid.map_or(self.core.id, |sid| self.core.owner(&sid));
        if let Some(stream) = self.streams.get_mut(conn) {
            stream.kind = Kind::Polling;
        }
        self.callers.wait(conn, asked);
        for input in inputs {
            match owner == self.core.id {
                true => self.shard.on_input(now, input),
                false => self.core.send(owner, Message::Request(input)),
            }
        }
    }

    /// The answer of a shard to a request that this core holds.
    pub(super) fn answer(&mut self, now: Now, req: ReqId, reply: Reply) {
        let Some((conn, reply)) = self.core.answer(req, reply) else { return };
        let Some(asked) = self.callers.asked(conn, req) else { return };
        let Some(stream) = self.streams.get_mut(conn) else { return };
        self.scratch.clear();
        fast_polling::write_answer(&mut self.scratch, reply, &asked.origin, now.wall);
        let sent = self.callers.send(conn, req, &stream.tcp, &self.scratch, now.mono);
        self.on_sent(now, conn, sent);
    }

    /// Writes on to the callers that were behind and can be written to.
    pub(super) fn finish_answers(&mut self, now: Now) {
        while let Some(conn) = self.unfinished.pop() {
            let Some(stream) = self.streams.get_mut(conn) else { continue };
            let moving = self.callers.moving(conn, now.mono, self.core.moving_interval_ms());
            let sent = self.callers.on_writable(conn, &stream.tcp, now.mono);
            self.on_sent(now, conn, sent);
            if let Some(sid) = moving {
                self.core.send(self.core.owner(&sid), Message::Request(Input::Leaving { sid }));
            }
        }
    }

    fn on_sent(&mut self, now: Now, conn: ConnKey, sent: Sent) {
        match sent {
            Sent::All { unread, kept } => {
                if unread {
                    self.ready.mark(conn, &mut self.streams);
                }
                if kept {
                    self.take_behind(now, conn);
                }
            }
            Sent::Part => {}
            Sent::Broken => self.on_hung_up(now, conn),
        }
    }

    /// A caller has gone, or is out of time.
    pub(super) fn on_hung_up(&mut self, now: Now, conn: ConnKey) {
        let caller = self.callers.remove(conn);
        self.streams.remove(conn);
        let Some(caller) = caller else { return };
        caller.all_asked().for_each(|asked| fast_polling::abort(&self.core, asked));
        if let Some(req) = caller.arriving() {
            self.forget_arrival(now, req);
        }
    }

    /// The 101 leaves together with what the shard has to say at once.
    fn open(&mut self, now: Now, conn: ConnKey, opened: Opened, early: Range<usize>) {
        let Opened { entry, head } = opened;
        self.callers.remove(conn);
        let Some(stream) = self.streams.get_mut(conn) else { return };
        stream.kind = Kind::WebSocket;
        self.shard.on_input(now, Input::Connected { conn, hello: entry.enter() });
        if self.write_head(conn, &head) < head.len()
            && let Some(stream) = self.streams.get_mut(conn)
        {
            // An empty socket takes a head, unless it is broken: reading it will tell the shard so.
            let _ = stream.tcp.shutdown(Shutdown::Both);
        }
        if !early.is_empty() {
            let bytes = &mut self.read_buffer[early];
            self.shard.on_input(now, Input::Bytes { conn, bytes });
        }
    }

    /// A WebSocket joins the epoll set. Bytes that hyper had read already come first.
    pub(super) fn adopt(&mut self, now: Now, adopted: Adopted) {
        let Adopted { stream, place, early, purpose } = adopted;
        let Ok(conn) = self.streams.adopt(TcpStream::from_std(stream), place, Kind::WebSocket, self.poll.registry())
        else {
            return;
        };
        self.shard.on_input(
            now,
            match purpose {
                Arrival::Session(entry) => Input::Connected { conn, hello: entry.enter() },
                Arrival::Upgrade { sid, base64 } => Input::Upgraded { conn, sid, base64 },
                Arrival::Link(link) => link.opened(conn),
            },
        );
        if !early.is_empty() {
            let mut early = early.to_vec();
            self.shard.on_input(now, Input::Bytes { conn, bytes: &mut early });
        }
    }

    /// Writes `head` and then what the shard has for the same socket; returns how many bytes the kernel took.
    pub(super) fn write_head(&mut self, conn: ConnKey, head: &[u8]) -> usize {
        let Some(stream) = self.streams.get_mut(conn) else { return 0 };
        let (tcp, scratch) = (&stream.tcp, &mut self.scratch);
        let mut written = None;
        self.shard.flush(conn, |slices| {
            let with_head = std::iter::once(head).chain(slices.map(|slice| -> &[u8] { slice }));
            let all = flush::write(tcp, with_head, scratch);
            written = Some(all);
            all.saturating_sub(head.len())
        });
        written.unwrap_or_else(|| flush::write(tcp, std::iter::once(head), scratch))
    }

    /// A caller leaves for hyper, together with the bytes that have been read.
    fn pass_on(&mut self, now: Now, conn: ConnKey, early: Bytes) {
        let (Some(caller), Some(mut stream)) = (self.callers.remove(conn), self.streams.remove(conn)) else { return };
        let due = caller.head_due(now.mono, stream.kind == Kind::Newcomer);
        let first = tokio::time::Instant::now().into_std() + Duration::from_millis(due.since(now.mono));
        let gone = self.poll.registry().deregister(&mut stream.tcp);
        let Ok(tcp) = gone.and_then(|()| tokio::net::TcpStream::from_std(stream.tcp.into())) else { return };
        spawn_local(http::serve(self.core.clone(), caller.listener, caller.ip, tcp, stream.place, early, first));
    }
}

/// The head of a request that may be answered here, if that is what `caller` has sent.
fn plain_head(core: &Core, caller: &Caller, bytes: &[u8]) -> Option<Head> {
    let proxies = &core.process.listeners[caller.listener].proxies;
    Head::parse(bytes).filter(|head| proxies.check(head.request.headers()).is_ok())
}

/// A client that is refused may have sent a request already, and is to read why.
fn linger(stream: TcpStream, lingering: &Arc<Lingering>, held: impl Sized + 'static) {
    if let Ok(stream) = tokio::net::TcpStream::from_std(stream.into()) {
        lingering.end(stream, held);
    }
}
