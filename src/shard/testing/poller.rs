//! A scripted polling client: requests, and what was answered.

use bytes::Bytes;

use super::{Peer, World, is_like, open_sid};
use crate::base::ids::{ReqId, Sid};
use crate::engine::polling::Reply;
use crate::shard::io::{Input, Posted};

/// One polling client.
pub(crate) struct Poller {
    world: World,
    shard: u16,
    pub sid: Sid,
    /// What the handshake was answered with.
    pub opened: String,
}

/// One HTTP request.
pub(crate) struct Request {
    world: World,
    pub id: ReqId,
}

impl Poller {
    pub(super) fn opened(world: World, shard: u16, request: &Request) -> Poller {
        let opened = request.says();
        let sid = Sid::parse(&open_sid(&opened.replace('\\', ""))).expect("a sid of ours");
        Poller { world, shard, sid, opened }
    }

    pub(crate) fn get(&self) -> Request {
        self.asks(|req, sid| Input::Poll { req, sid })
    }

    /// A POST whose body comes at once.
    pub(crate) fn post(&self, body: &str) -> Request {
        let request = self.post_opened(true);
        self.post_body(&request, Posted::Body(Bytes::copy_from_slice(body.as_bytes())));
        request
    }

    /// The head of a POST; `acceptable`: of a content type we take.
    pub(crate) fn post_opened(&self, acceptable: bool) -> Request {
        self.asks(|req, sid| Input::PostOpened { req, sid, acceptable })
    }

    /// The body of a POST, unless the request has its answer already.
    pub(crate) fn post_body(&self, request: &Request, body: Posted) {
        if self.world.0.borrow().is_waiting(request.id) {
            self.world.input(self.shard, Input::PostBody { req: request.id, sid: self.sid, body });
        }
    }

    /// A piece of a POST's body has come.
    pub(crate) fn sends_a_piece(&self) {
        self.world.input(self.shard, Input::Arriving { sid: self.sid });
    }

    /// A piece of an answer has been taken.
    pub(crate) fn takes_a_piece(&self) {
        self.world.input(self.shard, Input::Leaving { sid: self.sid });
    }

    /// PUT, DELETE, HEAD…
    pub(crate) fn puts(&self) -> Request {
        self.asks(|req, sid| Input::WrongMethod { req, sid })
    }

    /// The client gives a request up.
    pub(crate) fn aborts(&self, request: &Request) {
        self.world.0.borrow_mut().give_up(request.id);
        self.world.input(self.shard, Input::Aborted { req: request.id, sid: self.sid });
    }

    /// A GET that is answered at once with packets like `pattern`.
    #[track_caller]
    pub(crate) fn gets(&self, pattern: &str) -> String {
        let said = self.get().says();
        assert!(is_like(&format!("200 {pattern}"), &said), "expected {pattern}\n     got {said}");
        said[4..].to_owned()
    }

    /// A POST that is taken.
    #[track_caller]
    pub(crate) fn posts(&self, body: &str) {
        assert_eq!(self.post(body).says(), "ok", "{body}");
    }

    /// CONNECT to `nsp`; returns the socket's sid.
    #[track_caller]
    pub(crate) fn joins(&self, nsp: &str, auth: &str) -> String {
        let name = if nsp == "/" { String::new() } else { format!("{nsp},") };
        self.posts(&format!("40{name}{auth}"));
        open_sid(&self.gets(&format!("40{name}{{\"sid\":\"*\"}}*")))
    }

    /// A WebSocket with this sid, before its probe; `Err`: what the handshake was refused with.
    pub(crate) fn upgrades(&self) -> Result<Peer, String> {
        self.upgrades_with(false)
    }

    /// As [`Poller::upgrades`], with or without `b64` in the query.
    pub(crate) fn upgrades_with(&self, base64: bool) -> Result<Peer, String> {
        let asked = self.asks(|req, sid| Input::UpgradeAsked { req, sid });
        if asked.says() != "101" {
            return Err(asked.says());
        }
        let pipe = self.world.0.borrow_mut().add_pipe(self.shard);
        let conn = self.world.0.borrow().pipes[pipe].conn;
        self.world.input(self.shard, Input::Upgraded { conn, sid: self.sid, base64 });
        Ok(Peer::new(self.world.clone(), pipe))
    }

    fn asks(&self, input: impl FnOnce(ReqId, Sid) -> Input<'static>) -> Request {
        let request = Request::new(self.world.clone());
        self.world.input(self.shard, input(request.id, self.sid));
        request
    }
}

impl Request {
    pub(super) fn new(world: World) -> Request {
        let id = world.0.borrow_mut().add_request();
        Request { world, id }
    }

    pub(crate) fn reply(&self) -> Option<Reply> {
        self.world.0.borrow().replies.get(&self.id).cloned()
    }

    /// The answer in short: `parked` (none yet), `200 PACKETS`, `ok`, `400 Bad request`, `413`, `101`.
    pub(crate) fn says(&self) -> String {
        match self.reply() {
            None => "parked".to_owned(),
            Some(Reply::Packets(body)) => format!("200 {}", std::str::from_utf8(&body).expect("packets are text")),
            Some(Reply::Taken) => "ok".to_owned(),
            Some(Reply::Error(error)) => format!("{} {}", error.status(), error.message()),
            Some(Reply::Empty(status)) => status.to_string(),
            Some(Reply::SwitchProtocols) => "101".to_owned(),
        }
    }

    #[track_caller]
    pub(crate) fn is(&self, pattern: &str) {
        assert!(is_like(pattern, &self.says()), "expected {pattern}\n     got {}", self.says());
    }
}
