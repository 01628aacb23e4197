//! The polling transport of one session: the parked GET, the POST in flight, the packets that wait for the next GET.
//! Knows nothing of HTTP beyond a request's id; [`Reply`] says what to answer. Spec: PROTOCOL 3.

use bytes::Bytes;

use super::open::EngineError;
use crate::base::close::CloseReason;
use crate::base::ids::ReqId;

/// What an engine request is answered with; headers and CORS are the shell's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reply {
    /// 200 with packets: `text/plain; charset=UTF-8`, never stored. `handshake` answers may carry a cookie.
    Packets(Bytes),
    /// 200 `ok`, `text/html`: a POST was taken.
    Taken,
    /// The status of the code, with `{"code":…,"message":…}`.
    Error(EngineError),
    /// A bare status without body: 400 overlap, 413 too large, 500 method.
    Empty(u16),
    /// 101: the stream goes to the shard that answers.
    SwitchProtocols,
}

/// One session's polling state. Boxed: WebSocket sessions do not pay for it.
#[derive(Debug, Default)]
pub(crate) struct Polling {
    /// The parked GET.
    get: Option<ReqId>,
    /// The POST whose body is on its way.
    post: Option<ReqId>,
    /// The POST whose body is here, and is taken bit by bit.
    pub taking: Option<ReqId>,
    /// Packets for the next GET: the body so far, packets separated already.
    body: Vec<u8>,
    /// Bytes of `body` when they were last counted.
    counted: usize,
    /// `body` is to be wrapped for JSONP with this index.
    jsonp: Option<Box<str>>,
}

/// A second request of a kind while the first is pending: both are answered, the session ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Overlap {
    pub first: ReqId,
}

impl Polling {
    /// Nothing parked, nothing waiting. With a `jsonp` index answers are wrapped, and POSTs are forms.
    pub(crate) fn new(jsonp: Option<Box<str>>) -> Polling {
        Polling { jsonp, ..Polling::default() }
    }

    /// A GET arrived. `Ok(Some(body))`: answer it with that; `Ok(None)`: it is parked.
    pub(crate) fn on_get(&mut self, req: ReqId) -> Result<Option<Bytes>, Overlap> {
        if let Some(first) = self.get.take() {
            return Err(Overlap { first });
        }
        if self.body.is_empty() {
            self.get = Some(req);
            return Ok(None);
        }
        Ok(Some(self.take_body()))
    }

    /// A POST announced itself.
    pub(crate) fn on_post(&mut self, req: ReqId) -> Result<(), Overlap> {
        match self.taking.or(self.post.replace(req)) {
            Some(first) => Err(Overlap { first }),
            None => Ok(()),
        }
    }

    /// The POST's body is complete, or it was refused. `false`: this request is not the one in flight.
    pub(crate) fn on_post_done(&mut self, req: ReqId) -> bool {
        self.post.take_if(|post| *post == req).is_some()
    }

    /// The client gave up a request. `true`: it was one of ours, so the session ends with a transport error.
    pub(crate) fn on_aborted(&mut self, req: ReqId) -> bool {
        let pending = [&mut self.get, &mut self.post, &mut self.taking];
        pending.into_iter().any(|pending| pending.take_if(|pending| *pending == req).is_some())
    }

    /// Adds a packet (its type digit first) for the next GET.
    pub(crate) fn push_text(&mut self, packet: &[u8]) {
        super::payload::push_text(&mut self.body, packet);
    }

    /// Where a packet with attachments writes itself.
    pub(crate) fn body_mut(&mut self) -> &mut Vec<u8> {
        &mut self.body
    }

    /// At the end of a turn: the parked GET and its answer, if there is something to say.
    pub(crate) fn next_answer(&mut self) -> Option<(ReqId, Bytes)> {
        if self.body.is_empty() {
            return None;
        }
        let req = self.get.take()?;
        Some((req, self.take_body()))
    }

    /// Answers the parked GET with a single packet of its own, ahead of whatever waits: `6` while upgrading, `1` at the end.
    pub(crate) fn interrupt(&mut self, packet: &'static str) -> Option<(ReqId, Bytes)> {
        let req = self.get.take()?;
        Some((req, self.wrap(packet)))
    }

    /// A GET is parked and nothing is queued before it: what `volatile` events need (PROTOCOL 10).
    pub(crate) fn is_writable(&self) -> bool {
        self.get.is_some() && self.body.is_empty()
    }

    /// `max` bytes wait and nobody asks for them.
    pub(crate) fn is_full(&self, max: usize) -> bool {
        self.get.is_none() && self.body.len() >= max
    }

    pub(crate) fn is_jsonp(&self) -> bool {
        self.jsonp.is_some()
    }

    /// The POST in flight, taken for a last answer.
    pub(crate) fn take_post(&mut self) -> Option<ReqId> {
        self.post.take()
    }

    /// Bytes waiting for the next GET.
    pub(crate) fn queued_bytes(&self) -> usize {
        self.body.len()
    }

    /// Bytes that waited when this was last asked, and bytes that wait now.
    pub(crate) fn count(&mut self) -> (usize, usize) {
        (std::mem::replace(&mut self.counted, self.body.len()), self.body.len())
    }

    /// What waits, as one polling body without a JSONP wrap: for the WebSocket that takes over.
    pub(crate) fn take_raw(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.body)
    }

    /// A body of ours as this client reads it.
    pub(crate) fn wrap(&self, body: &'static str) -> Bytes {
        match &self.jsonp {
            None => Bytes::from_static(body.as_bytes()),
            Some(index) => Bytes::from(super::payload::jsonp_wrap(index, body)),
        }
    }

    fn take_body(&mut self) -> Bytes {
        let body = std::mem::take(&mut self.body);
        match &self.jsonp {
            None => Bytes::from(body),
            Some(index) => {
                let text = String::from_utf8(body).expect("packets are text");
                Bytes::from(super::payload::jsonp_wrap(index, &text))
            }
        }
    }
}

/// How a session that ends is told to a polling client (PROTOCOL 3): gracefully, so that it reads `1` on its next
/// GET, or by forgetting the session at once.
pub(crate) fn ends_gracefully(reason: CloseReason) -> bool {
    matches!(
        reason,
        CloseReason::ParseError
            | CloseReason::ConnectTimeout
            | CloseReason::ForcedServerClose
            | CloseReason::TokenExpired
            | CloseReason::RateLimited
            | CloseReason::SlowConsumer
            | CloseReason::ServerShuttingDown
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ids::{Key, ShardId};

    fn req(slot: u32) -> ReqId {
        ReqId { shard: ShardId(0), key: Key { slot, generation: 0 } }
    }

    #[test]
    fn a_get_waits_until_there_is_something_to_say() {
        let mut polling = Polling::default();
        assert_eq!(polling.on_get(req(1)), Ok(None));
        assert!(polling.is_writable());
        polling.push_text(b"4a");
        polling.push_text(b"4b");
        assert!(!polling.is_writable());
        assert_eq!(polling.next_answer(), Some((req(1), Bytes::from_static(b"4a\x1e4b"))));
        assert_eq!(polling.next_answer(), None);
        polling.push_text(b"2");
        assert_eq!(polling.on_get(req(2)), Ok(Some(Bytes::from_static(b"2"))));
    }

    #[test]
    fn requests_of_a_kind_do_not_overlap() {
        let mut polling = Polling::default();
        polling.on_get(req(1)).unwrap();
        assert_eq!(polling.on_get(req(2)), Err(Overlap { first: req(1) }));
        polling.on_post(req(3)).unwrap();
        assert_eq!(polling.on_post(req(4)), Err(Overlap { first: req(3) }));
    }

    #[test]
    fn only_a_pending_request_can_be_aborted() {
        let mut polling = Polling::default();
        polling.on_get(req(1)).unwrap();
        assert!(!polling.on_aborted(req(9)));
        assert!(polling.on_aborted(req(1)));
        polling.on_post(req(2)).unwrap();
        assert!(polling.on_post_done(req(2)));
        assert!(!polling.on_aborted(req(2)));
    }

    #[test]
    fn an_interruption_leaves_the_queue_alone() {
        let mut polling = Polling::default();
        polling.on_get(req(1)).unwrap();
        polling.push_text(b"4a");
        assert_eq!(polling.interrupt("6"), Some((req(1), Bytes::from_static(b"6"))));
        assert_eq!(polling.take_raw(), b"4a");
    }
}
