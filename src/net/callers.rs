//! Connections in a core's epoll set that are no WebSockets: newcomers, and clients that poll. What each is waiting for,
//! how long it may (T-03), and what of its answer the kernel has not taken yet.

use std::io::{ErrorKind, Write};
use std::net::IpAddr;

use hashbrown::HashMap;
use hyper::Response;
use mio::net::TcpStream;

use super::behind::{Asked, Behind, Turn};
use super::flush;
use super::proxy_head::{self, BadHead, ProxyHead};
use super::respond::Body;
use crate::base::ids::{ConnKey, ReqId, Sid};
use crate::base::limit::{HEAD_TIMEOUT_MS, KEEP_ALIVE_TIMEOUT_MS, PROXY_HEAD_BYTES_MAX};
use crate::base::time::Millis;
use crate::base::wheel::{TimerKey, Wheel};

/// Room kept when nobody is left: above it the memory of a burst goes back.
const ROOM_KEPT: usize = 1_024;

/// One connection.
#[derive(Debug)]
pub(crate) struct Caller {
    /// Index of the listener it came in by.
    pub listener: usize,
    pub ip: IpAddr,
    state: State,
    /// Bytes may have come for which there is no room behind the request that is being answered.
    unread: bool,
    timer: Option<TimerKey>,
    behind: Option<Box<Behind>>,
}

#[derive(Debug)]
enum State {
    /// Its PROXY head is not complete; what there is of it, and until when the first request has to be here.
    Announcing { head: Vec<u8>, due: Millis },
    /// No request is here; until when the head of the next has to be complete.
    Listening { due: Millis },
    /// A shard works on it.
    Waiting(Asked),
    /// It asks for a link, and its home has not decided. Its 101 is ready, but for what the home chooses.
    Arriving(Box<(ReqId, Response<Body>)>),
    /// The kernel has taken a part of the answer. The session it is for hears of it, last at `told`.
    Writing { answer: Vec<u8>, written: usize, sid: Option<Sid>, told: Millis },
}

/// What is to be done with a connection that has something to read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Next {
    Read,
    /// Enough has come that is not answered: later.
    Leave,
    /// It has gone before its answer.
    GiveUp,
}

/// What became of an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Sent {
    /// All of it, and the answers that waited for it. `unread`: more may lie there already; `kept`: more has been read.
    All {
        unread: bool,
        kept: bool,
    },
    Part,
    Broken,
}

/// All callers of a core.
pub(crate) struct Callers {
    callers: HashMap<ConnKey, Caller>,
    timers: Wheel<ConnKey>,
}

impl Callers {
    pub(crate) fn new(start: Millis) -> Callers {
        Callers { callers: HashMap::new(), timers: Wheel::new(start) }
    }

    /// Somebody has come in; `announces`: a PROXY head comes first.
    pub(crate) fn insert(&mut self, conn: ConnKey, listener: usize, ip: IpAddr, announces: bool, now: Millis) {
        let due = now + HEAD_TIMEOUT_MS;
        let timer = Some(self.timers.arm(due, conn));
        let state = if announces { State::Announcing { head: Vec::new(), due } } else { State::Listening { due } };
        self.callers.insert(conn, Caller { listener, ip, state, unread: false, timer, behind: None });
    }

    /// Reads on in a PROXY head; of a complete one says how many of `bytes` belong to it. The outer `None`: no head is due.
    pub(crate) fn announce(&mut self, conn: ConnKey, bytes: &[u8]) -> Option<Result<Option<ProxyHead>, BadHead>> {
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
    pub(crate) fn speaks_for(&mut self, conn: ConnKey, client: IpAddr) {
        if let Some(caller) = self.callers.get_mut(&conn) {
            caller.ip = client;
        }
    }

    pub(crate) fn get(&self, conn: ConnKey) -> Option<&Caller> {
        self.callers.get(&conn)
    }

    /// Takes a caller out: it has gone, or is none any more.
    pub(crate) fn remove(&mut self, conn: ConnKey) -> Option<Caller> {
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
    pub(crate) fn on_readable(&mut self, conn: ConnKey, ended: bool) -> Next {
        let Some(caller) = self.callers.get_mut(&conn) else { return Next::Read };
        match caller.state {
            State::Announcing { .. } | State::Listening { .. } => Next::Read,
            State::Waiting(_) | State::Arriving(_) if ended => Next::GiveUp,
            State::Waiting(_) if caller.behind.as_ref().is_none_or(|behind| behind.has_room()) => Next::Read,
            State::Waiting(_) | State::Arriving(_) | State::Writing { .. } => {
                caller.unread = true;
                Next::Leave
            }
        }
    }

    /// A shard works on a request of this one, for as long as it likes.
    pub(crate) fn wait(&mut self, conn: ConnKey, asked: Asked) {
        let Some(caller) = self.callers.get_mut(&conn) else { return };
        match &mut caller.state {
            State::Announcing { .. } | State::Listening { .. } => caller.state = State::Waiting(asked),
            _ => return caller.behind().push(asked),
        }
        if let Some(timer) = caller.timer.take() {
            self.timers.cancel(timer);
        }
    }

    /// It asks for a link: its home has all the time that the shard allows it. `early` came behind the request.
    pub(crate) fn arrive(&mut self, conn: ConnKey, req: ReqId, switch: Response<Body>, early: &[u8]) {
        let Some(caller) = self.callers.get_mut(&conn) else { return };
        caller.state = State::Arriving(Box::new((req, switch)));
        if !early.is_empty() {
            caller.behind().keep(early);
        }
        if let Some(timer) = caller.timer.take() {
            self.timers.cancel(timer);
        }
    }

    /// Bytes have come behind a request.
    pub(crate) fn keep(&mut self, conn: ConnKey, bytes: &[u8]) {
        if let Some(caller) = self.callers.get_mut(&conn) {
            caller.behind().keep(bytes);
        }
    }

    /// The first `count` of the bytes that were kept are a request that is asked now.
    pub(crate) fn take(&mut self, conn: ConnKey, count: usize) {
        if let Some(caller) = self.callers.get_mut(&conn) {
            caller.behind().take(count);
        }
    }

    /// The request whose answer has come.
    pub(crate) fn asked(&self, conn: ConnKey, req: ReqId) -> Option<&Asked> {
        let caller = self.callers.get(&conn)?;
        match &caller.state {
            State::Waiting(asked) if asked.req == req => Some(asked),
            _ => caller.behind.as_ref()?.asked(req),
        }
    }

    /// Writes the answer to a request, as much as the kernel takes, once those before it have been answered.
    pub(crate) fn send(&mut self, conn: ConnKey, req: ReqId, tcp: &TcpStream, answer: &[u8], now: Millis) -> Sent {
        let Some(caller) = self.callers.get_mut(&conn) else { return Sent::Broken };
        let sid = match &caller.state {
            State::Waiting(asked) if asked.req == req => asked.sid,
            _ => {
                caller.behind().keep_answer(req, answer);
                return Sent::Part;
            }
        };
        self.write(conn, tcp, sid, answer, now)
    }

    fn write(&mut self, conn: ConnKey, tcp: &TcpStream, sid: Option<Sid>, answer: &[u8], now: Millis) -> Sent {
        let Some(caller) = self.callers.get_mut(&conn) else { return Sent::Broken };
        match write(tcp, answer) {
            None => Sent::Broken,
            Some(written) if written == answer.len() => self.on_written(conn, tcp, now),
            Some(written) => {
                caller.state = State::Writing { answer: answer.to_vec(), written, sid, told: now };
                Sent::Part
            }
        }
    }

    /// A part of an answer is still to be written.
    pub(crate) fn is_writing(&self, conn: ConnKey) -> bool {
        matches!(self.callers.get(&conn), Some(Caller { state: State::Writing { .. }, .. }))
    }

    /// The session whose answer moves, if it has not heard so for `interval_ms`.
    pub(crate) fn moving(&mut self, conn: ConnKey, now: Millis, interval_ms: u64) -> Option<Sid> {
        let State::Writing { sid, told, .. } = &mut self.callers.get_mut(&conn)?.state else { return None };
        if now.since(*told) < interval_ms {
            return None;
        }
        *told = now;
        *sid
    }

    /// The kernel takes bytes again.
    pub(crate) fn on_writable(&mut self, conn: ConnKey, tcp: &TcpStream, now: Millis) -> Sent {
        let Some(Caller { state: State::Writing { answer, written, .. }, .. }) = self.callers.get_mut(&conn) else {
            return Sent::Part;
        };
        match write(tcp, &answer[*written..]) {
            None => Sent::Broken,
            Some(more) => {
                *written += more;
                if *written == answer.len() { self.on_written(conn, tcp, now) } else { Sent::Part }
            }
        }
    }

    /// An answer is out: it is the next one's turn, or the connection may rest before its next request.
    fn on_written(&mut self, conn: ConnKey, tcp: &TcpStream, now: Millis) -> Sent {
        let Some(caller) = self.callers.get_mut(&conn) else { return Sent::Broken };
        match caller.behind.as_mut().and_then(|behind| behind.next_turn()) {
            Some(Turn::Answered { sid, answer }) => return self.write(conn, tcp, sid, &answer, now),
            Some(Turn::Asked(asked)) => caller.state = State::Waiting(asked),
            None => {
                caller.state = State::Listening { due: now + HEAD_TIMEOUT_MS };
                caller.timer = Some(self.timers.arm(now + KEEP_ALIVE_TIMEOUT_MS, conn));
            }
        }
        caller.tidy();
        Sent::All { unread: std::mem::take(&mut caller.unread), kept: !caller.kept().is_empty() }
    }

    /// The next one that has said nothing in time.
    pub(crate) fn next_late(&mut self, now: Millis) -> Option<ConnKey> {
        self.timers.pop(now)
    }

    pub(crate) fn deadline(&mut self) -> Option<Millis> {
        self.timers.deadline()
    }
}

impl Caller {
    /// When the head of which a first piece has come `now` has to be complete: a newcomer's time runs already.
    pub(crate) fn head_due(&self, now: Millis, is_new: bool) -> Millis {
        match self.state {
            State::Listening { due } if is_new => due,
            _ => now + HEAD_TIMEOUT_MS,
        }
    }

    /// Requests that shards have, in the order in which they came.
    pub(crate) fn all_asked(&self) -> impl Iterator<Item = &Asked> {
        let first = match &self.state {
            State::Waiting(asked) => Some(asked),
            _ => None,
        };
        first.into_iter().chain(self.behind.iter().flat_map(|behind| behind.all_asked()))
    }

    /// The request by which it asks for a link.
    pub(crate) fn arriving(&self) -> Option<ReqId> {
        match &self.state {
            State::Arriving(arriving) => Some(arriving.0),
            _ => None,
        }
    }

    /// The 101 of one that asks for a link, and what came behind its request.
    pub(crate) fn into_arrival(self) -> Option<(Response<Body>, Vec<u8>)> {
        let early = self.kept().to_vec();
        match self.state {
            State::Arriving(arriving) => Some((arriving.1, early)),
            _ => None,
        }
    }

    /// Nothing of this one is being answered.
    pub(crate) fn is_idle(&self) -> bool {
        matches!(self.state, State::Listening { .. })
    }

    /// What has been read behind the requests that are being answered.
    pub(crate) fn kept(&self) -> &[u8] {
        self.behind.as_ref().map_or(&[], |behind| behind.bytes())
    }

    /// Whether there may be one more request in the line.
    pub(crate) fn has_turns(&self) -> bool {
        self.behind.as_ref().is_none_or(|behind| behind.has_turns())
    }

    /// Whether a request may be asked before those that came earlier are answered. Two of a kind for one session would overlap
    /// and end it: the later one waits.
    pub(crate) fn may_ask(&self, sid: Option<Sid>, is_post: bool) -> bool {
        let overlaps = |asked: &Asked| sid.is_some() && asked.sid == sid && asked.is_post == is_post;
        !self.all_asked().any(overlaps)
    }

    fn behind(&mut self) -> &mut Behind {
        self.behind.get_or_insert_default()
    }

    /// A connection with nothing behind has no room for it either.
    fn tidy(&mut self) {
        if self.behind.as_ref().is_some_and(|behind| behind.is_empty()) {
            self.behind = None;
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
    use super::super::cors::Origin;
    use super::*;
    use crate::base::ids::{Key, ShardId};
    use crate::base::limit::{PIPELINED_BYTES_MAX, PIPELINED_MAX};
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

    fn asked_by(slot: u32, sid: Option<Sid>, is_post: bool) -> Asked {
        Asked { req: ReqId { shard: ShardId(0), key: key(slot) }, sid, is_post, origin: Origin::None }
    }

    fn asked() -> Asked {
        asked_by(7, None, false)
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
    fn a_request_is_answered_and_then_the_connection_rests() {
        let (tcp, mut client) = pair();
        let (mut callers, conn) = (callers(1), ConnKey(key(0)));
        assert_eq!(callers.on_readable(conn, false), Next::Read);
        callers.wait(conn, asked());
        assert_eq!(callers.on_readable(conn, true), Next::GiveUp);
        assert_eq!(callers.on_readable(conn, false), Next::Read);
        assert!(callers.asked(conn, asked().req).is_some());
        let sent = callers.send(conn, asked().req, &tcp, b"answer", Millis(5));
        assert_eq!(sent, Sent::All { unread: false, kept: false });
        assert_eq!(callers.on_readable(conn, false), Next::Read);
        let mut got = [0; 6];
        client.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"answer");
        assert_eq!(callers.next_late(Millis(4 + KEEP_ALIVE_TIMEOUT_MS)), None);
        assert_eq!(callers.next_late(Millis(5 + KEEP_ALIVE_TIMEOUT_MS)), Some(conn));
        assert!(callers.remove(conn).unwrap().all_asked().next().is_none());
    }

    #[test]
    fn what_is_asked_behind_a_parked_request_is_answered_behind_it() {
        let (tcp, mut client) = pair();
        let (mut callers, conn) = (callers(1), ConnKey(key(0)));
        let sid = Some(Sid([b'a'; Sid::LEN]));
        let asked = |slot, is_post| asked_by(slot, sid, is_post);
        callers.wait(conn, asked(1, false));
        callers.keep(conn, b"POST");
        assert!(callers.get(conn).unwrap().may_ask(sid, true));
        assert!(!callers.get(conn).unwrap().may_ask(sid, false), "two of a kind end a session");
        callers.take(conn, 4);
        callers.wait(conn, asked(2, true));
        callers.wait(conn, asked(3, false));
        callers.keep(conn, b"more");
        let req = |slot| asked_by(slot, None, false).req;
        assert_eq!(callers.send(conn, req(2), &tcp, b"second ", Millis(5)), Sent::Part);
        assert_eq!(callers.get(conn).unwrap().all_asked().count(), 2);
        // The first answer brings the second along; the third is still to come.
        let sent = callers.send(conn, req(1), &tcp, b"first ", Millis(5));
        assert_eq!(sent, Sent::All { unread: false, kept: true });
        assert!(!callers.get(conn).unwrap().is_idle());
        callers.take(conn, 4);
        let sent = callers.send(conn, req(3), &tcp, b"third", Millis(5));
        assert_eq!(sent, Sent::All { unread: false, kept: false });
        assert!(callers.get(conn).unwrap().is_idle());
        let mut got = [0; 18];
        client.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"first second third");
    }

    #[test]
    fn what_may_lie_behind_a_request_is_bounded() {
        let (mut callers, conn) = (callers(2), ConnKey(key(0)));
        callers.wait(conn, asked());
        callers.keep(conn, &[0; PIPELINED_BYTES_MAX - 1]);
        assert_eq!(callers.on_readable(conn, false), Next::Read);
        callers.keep(conn, &[0]);
        assert_eq!(callers.on_readable(conn, false), Next::Leave);
        let conn = ConnKey(key(1));
        callers.wait(conn, asked());
        for slot in 0..PIPELINED_MAX {
            assert!(callers.get(conn).unwrap().has_turns(), "{slot}");
            callers.wait(conn, asked_by(slot as u32, None, false));
        }
        assert!(!callers.get(conn).unwrap().has_turns());
        assert_eq!(callers.on_readable(conn, false), Next::Leave);
    }

    #[test]
    fn a_long_answer_goes_out_in_pieces() {
        let (tcp, mut client) = pair();
        let (mut callers, conn) = (callers(1), ConnKey(key(0)));
        let long = vec![7; 16 << 20];
        callers.wait(conn, asked());
        assert_eq!(callers.send(conn, asked().req, &tcp, &long, Millis(5)), Sent::Part);
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
