//! Connections in a core's epoll set that are no WebSockets: newcomers, and clients that poll. What each is waiting for,
//! how long it may (T-03), and what of its answer the kernel has not taken yet.

use std::io::{ErrorKind, Write};
use std::net::IpAddr;

use hashbrown::HashMap;
use mio::net::TcpStream;

use super::cors::Origin;
use super::flush;
use super::proxy_head::{self, BadHead, ProxyHead};
use crate::base::ids::{ConnKey, ReqId, Sid};
use crate::base::limit::{HEAD_TIMEOUT_MS, KEEP_ALIVE_TIMEOUT_MS, PROXY_HEAD_BYTES_MAX};
use crate::base::time::Millis;
use crate::base::wheel::{TimerKey, Wheel};

/// Room kept when nobody is left: above it the memory of a burst goes back.
const ROOM_KEPT: usize = 1_024;

/// One connection.
#[derive(Debug)]
pub struct Caller {
    /// Index of the listener it came in by.
    pub listener: usize,
    pub ip: IpAddr,
    state: State,
    /// Bytes may have come that wait until the request before them is answered.
    unread: bool,
    timer: Option<TimerKey>,
}

/// A request that a shard has.
#[derive(Debug)]
pub struct Asked {
    pub req: ReqId,
    /// None for a handshake, which nobody can abort.
    pub sid: Option<Sid>,
    pub origin: Origin,
}

#[derive(Debug)]
enum State {
    /// Its PROXY head is not complete; what there is of it, and until when the first request has to be here.
    Announcing { head: Vec<u8>, due: Millis },
    /// No request is here; until when the head of the next has to be complete.
    Listening { due: Millis },
    /// A shard works on it.
    Waiting(Asked),
    /// The kernel has taken a part of the answer. The session it is for hears of it, last at `told`.
    Writing { answer: Vec<u8>, written: usize, sid: Option<Sid>, told: Millis },
}

/// What is to be done with a connection that has something to read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    Read,
    /// One request at a time: later.
    Leave,
    /// Nobody is there any more for the answer.
    GiveUp,
}

/// What became of an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sent {
    /// All of it; `unread`: the next request may lie there already.
    All {
        unread: bool,
    },
    Part,
    Broken,
}

/// All callers of a core.
pub struct Callers {
    callers: HashMap<ConnKey, Caller>,
    timers: Wheel<ConnKey>,
}

impl Callers {
    pub fn new(start: Millis) -> Callers {
        Callers { callers: HashMap::new(), timers: Wheel::new(start) }
    }

    /// Somebody has come in; `announces`: a PROXY head comes first.
    pub fn insert(&mut self, conn: ConnKey, listener: usize, ip: IpAddr, announces: bool, now: Millis) {
        let due = now + HEAD_TIMEOUT_MS;
        let timer = Some(self.timers.arm(due, conn));
        let state = if announces { State::Announcing { head: Vec::new(), due } } else { State::Listening { due } };
        self.callers.insert(conn, Caller { listener, ip, state, unread: false, timer });
    }

    /// Reads on in a PROXY head; of a complete one says how many of `bytes` belong to it. The outer `None`: no head is due.
    pub fn announce(&mut self, conn: ConnKey, bytes: &[u8]) -> Option<Result<Option<ProxyHead>, BadHead>> {
        let caller = self.callers.get_mut(&conn)?;
        let State::Announcing { head, due } = &mut caller.state else { return None };
        let before = head.len();
        head.extend_from_slice(&bytes[..bytes.len().min(PROXY_HEAD_BYTES_MAX - before)]);
        let read = proxy_head::read(head);
        if let Ok(Some(_)) = read {
            caller.state = State::Listening { due: *due };
        }
        Some(read.map(|whole| whole.map(|head| ProxyHead { bytes: head.bytes - before, ..head })))
    }

    /// A proxy has said for whom it speaks.
    pub fn speaks_for(&mut self, conn: ConnKey, client: IpAddr) {
        if let Some(caller) = self.callers.get_mut(&conn) {
            caller.ip = client;
        }
    }

    pub fn get(&self, conn: ConnKey) -> Option<&Caller> {
        self.callers.get(&conn)
    }

    /// Takes a caller out: it has gone, or is none any more.
    pub fn remove(&mut self, conn: ConnKey) -> Option<Caller> {
        let caller = self.callers.remove(&conn)?;
        if let Some(timer) = caller.timer {
            self.timers.cancel(timer);
        }
        if self.callers.is_empty() && self.callers.capacity() > ROOM_KEPT {
            self.callers = HashMap::new();
        }
        Some(caller)
    }

    /// Something can be read of this one; `ended`: the last there will be.
    pub fn on_readable(&mut self, conn: ConnKey, ended: bool) -> Next {
        let Some(caller) = self.callers.get_mut(&conn) else { return Next::Read };
        match caller.state {
            State::Announcing { .. } | State::Listening { .. } => Next::Read,
            State::Waiting(_) if ended => Next::GiveUp,
            State::Waiting(_) | State::Writing { .. } => {
                caller.unread = true;
                Next::Leave
            }
        }
    }

    /// A shard works on a request of this one, for as long as it likes.
    pub fn wait(&mut self, conn: ConnKey, asked: Asked) {
        let Some(caller) = self.callers.get_mut(&conn) else { return };
        caller.state = State::Waiting(asked);
        if let Some(timer) = caller.timer.take() {
            self.timers.cancel(timer);
        }
    }

    /// The request whose answer has come.
    pub fn asked(&self, conn: ConnKey, req: ReqId) -> Option<&Asked> {
        self.callers.get(&conn)?.asked().filter(|asked| asked.req == req)
    }

    /// Writes an answer, as much as the kernel takes.
    pub fn send(&mut self, conn: ConnKey, tcp: &TcpStream, answer: &[u8], now: Millis) -> Sent {
        let Some(caller) = self.callers.get_mut(&conn) else { return Sent::Broken };
        match write(tcp, answer) {
            None => Sent::Broken,
            Some(written) if written == answer.len() => self.rest(conn, now),
            Some(written) => {
                let sid = caller.asked().and_then(|asked| asked.sid);
                caller.state = State::Writing { answer: answer.to_vec(), written, sid, told: now };
                Sent::Part
            }
        }
    }

    /// A part of an answer is still to be written.
    pub fn is_writing(&self, conn: ConnKey) -> bool {
        matches!(self.callers.get(&conn), Some(Caller { state: State::Writing { .. }, .. }))
    }

    /// The session whose answer moves, if it has not heard so for `interval_ms`.
    pub fn moving(&mut self, conn: ConnKey, now: Millis, interval_ms: u64) -> Option<Sid> {
        let State::Writing { sid, told, .. } = &mut self.callers.get_mut(&conn)?.state else { return None };
        if now.since(*told) < interval_ms {
            return None;
        }
        *told = now;
        *sid
    }

    /// The kernel takes bytes again.
    pub fn on_writable(&mut self, conn: ConnKey, tcp: &TcpStream, now: Millis) -> Sent {
        let Some(Caller { state: State::Writing { answer, written, .. }, .. }) = self.callers.get_mut(&conn) else {
            return Sent::Part;
        };
        match write(tcp, &answer[*written..]) {
            None => Sent::Broken,
            Some(more) => {
                *written += more;
                if *written == answer.len() { self.rest(conn, now) } else { Sent::Part }
            }
        }
    }

    /// The answer is out: the connection may rest before its next request.
    fn rest(&mut self, conn: ConnKey, now: Millis) -> Sent {
        let Some(caller) = self.callers.get_mut(&conn) else { return Sent::Broken };
        caller.state = State::Listening { due: now + HEAD_TIMEOUT_MS };
        caller.timer = Some(self.timers.arm(now + KEEP_ALIVE_TIMEOUT_MS, conn));
        Sent::All { unread: std::mem::take(&mut caller.unread) }
    }

    /// The next one that has said nothing in time.
    pub fn next_late(&mut self, now: Millis) -> Option<ConnKey> {
        self.timers.pop(now)
    }

    pub fn deadline(&mut self) -> Option<Millis> {
        self.timers.deadline()
    }
}

impl Caller {
    /// When the head of which a first piece has come `now` has to be complete: a newcomer's time runs already.
    pub fn head_due(&self, now: Millis, is_new: bool) -> Millis {
        match self.state {
            State::Listening { due } if is_new => due,
            _ => now + HEAD_TIMEOUT_MS,
        }
    }

    /// The request a shard works on.
    fn asked(&self) -> Option<&Asked> {
        match &self.state {
            State::Waiting(asked) => Some(asked),
            State::Announcing { .. } | State::Listening { .. } | State::Writing { .. } => None,
        }
    }

    /// The request a shard still has, of a caller that has gone.
    pub fn into_asked(self) -> Option<Asked> {
        match self.state {
            State::Waiting(asked) => Some(asked),
            State::Announcing { .. } | State::Listening { .. } | State::Writing { .. } => None,
        }
    }
}

/// Bytes taken by the kernel; `None`: the connection is broken.
fn write(mut tcp: &TcpStream, bytes: &[u8]) -> Option<usize> {
    match flush::uninterrupted(|| tcp.write(bytes)) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Some(0),
        result => result.ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ids::{Key, ShardId};
    use std::io::Read;

    fn key(slot: u32) -> Key {
        Key { slot, generation: 0 }
    }

    fn pair() -> (TcpStream, std::net::TcpStream) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        server.set_nonblocking(true).unwrap();
        (TcpStream::from_std(server), client)
    }

    fn callers(count: u32) -> Callers {
        let mut callers = Callers::new(Millis(0));
        for slot in 0..count {
            callers.insert(ConnKey(key(slot)), 0, IpAddr::from([127, 0, 0, 1]), false, Millis(u64::from(slot)));
        }
        callers
    }

    fn asked() -> Asked {
        Asked { req: ReqId { shard: ShardId(0), key: key(7) }, sid: None, origin: Origin::None }
    }

    #[test]
    fn t03_who_says_nothing_in_time_is_found() {
        let mut callers = callers(3);
        callers.wait(ConnKey(key(0)), asked());
        callers.remove(ConnKey(key(1)));
        assert_eq!(callers.next_late(Millis(HEAD_TIMEOUT_MS)), None);
        assert_eq!(callers.next_late(Millis(HEAD_TIMEOUT_MS + 2)), Some(ConnKey(key(2))));
        assert_eq!(callers.next_late(Millis(u64::from(u32::MAX))), None, "a parked request has all the time");
    }

    #[test]
    fn f22_a_proxy_head_ends_where_it_ends_however_it_is_cut() {
        let line = b"PROXY TCP4 192.0.2.1 10.0.0.1 4711 443\r\nGET /";
        let whole = line.len() - 5;
        for size in [1, 7, whole, line.len()] {
            let (mut callers, conn) = (Callers::new(Millis(0)), ConnKey(key(0)));
            callers.insert(conn, 0, IpAddr::from([10, 0, 0, 2]), true, Millis(0));
            let mut read = 0;
            let last = line.chunks(size).find_map(|piece| match callers.announce(conn, piece) {
                Some(Ok(None)) => {
                    read += piece.len();
                    None
                }
                Some(Ok(Some(head))) => Some(head),
                other => panic!("{other:?}"),
            });
            let head = last.unwrap();
            assert_eq!((head.client, read + head.bytes), (Some(IpAddr::from([192, 0, 2, 1])), whole), "{size}");
            assert_eq!(callers.announce(conn, b"GET /"), None, "one head for a connection");
        }
    }

    #[test]
    fn one_request_at_a_time_and_then_a_rest() {
        let (tcp, mut client) = pair();
        let (mut callers, conn) = (callers(1), ConnKey(key(0)));
        assert_eq!(callers.on_readable(conn, false), Next::Read);
        callers.wait(conn, asked());
        assert_eq!(callers.on_readable(conn, true), Next::GiveUp);
        assert_eq!(callers.on_readable(conn, false), Next::Leave);
        assert!(callers.asked(conn, asked().req).is_some());
        assert_eq!(callers.send(conn, &tcp, b"answer", Millis(5)), Sent::All { unread: true });
        assert_eq!(callers.on_readable(conn, false), Next::Read);
        let mut got = [0; 6];
        client.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"answer");
        assert_eq!(callers.next_late(Millis(4 + KEEP_ALIVE_TIMEOUT_MS)), None);
        assert_eq!(callers.next_late(Millis(5 + KEEP_ALIVE_TIMEOUT_MS)), Some(conn));
        assert!(callers.remove(conn).unwrap().into_asked().is_none());
    }

    #[test]
    fn a_long_answer_goes_out_in_pieces() {
        let (tcp, mut client) = pair();
        let (mut callers, conn) = (callers(1), ConnKey(key(0)));
        let long = vec![7; 16 << 20];
        callers.wait(conn, asked());
        assert_eq!(callers.send(conn, &tcp, &long, Millis(5)), Sent::Part);
        let reader = std::thread::spawn(move || {
            let mut got = vec![0; 16 << 20];
            client.read_exact(&mut got).unwrap();
            got
        });
        while callers.on_writable(conn, &tcp, Millis(6)) == Sent::Part {
            std::thread::yield_now();
        }
        assert_eq!(reader.join().unwrap(), long);
    }
}
