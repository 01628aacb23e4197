//! What reaches an application: connections, events, answers, timers. Values only; arguments stay the JSON bytes that came.

use core::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use smallvec::SmallVec;

use super::asker::{Asker, By};
use super::identity::Identity;
use super::job::Outcome;
use super::link::{LinkEvent, LinkId};
use super::note::Note;
use super::reply::Leave;
use super::route::Call;
use super::upload::News;
use super::{Home, Token};
use crate::base::close::CloseReason;
use crate::base::ids::{NspIndex, ReqId, Sid, SocketRef};
use crate::base::json::surrogate;
use crate::base::percent;

/// One thing that happened, as its home sees it.
#[derive(Debug)]
pub enum AppInput {
    /// Comes once, before anything else, on every shard: what has unfinished work is looked for now.
    Started,
    /// Some shard of this application has found work for this home ([`Effect::Wake`](super::effect::Effect::Wake)).
    Wake { home: Home },
    /// A client asks to join a namespace. Answer with `Accept` or `Refuse`; nothing else of this socket arrives before. A
    /// [moved](Connect::moved) socket is here already and waits for no answer.
    Connect(Connect),
    /// An event of an accepted socket.
    Event(Event),
    /// The socket has gone; it is already out of its rooms. Comes once for every accepted socket, and at most once for
    /// one that left while its `Connect` was being answered, whatever the answer, and by whomever: the home may have
    /// refused it without asking. A reconnect through another shard may overtake it: compare `SocketRef`s, not users or
    /// devices. `silent_ms`: how long before this its client was last heard of, in whatever way, to within an eighth of a second.
    Disconnect { socket: SocketRef, identity: Arc<Identity>, reason: CloseReason, silent_ms: u64 },
    /// The socket's client has answered a ping, as [`super::Application::hears_pongs`] asked to hear.
    Heard { socket: SocketRef, identity: Arc<Identity> },
    /// The socket is somebody else's now (`Effect::Identify`), who is decided at another home. It is alive, in its rooms, and
    /// nothing of it arrives here any more; that home hears `Connect` when this has been handled.
    Moved { socket: SocketRef, identity: Arc<Identity> },
    /// The token ends in `in_ms`, as [`super::Application::expiry_notice_ms`] asked to hear; 0: now, and unless the socket is
    /// identified anew, it ends behind what is said here.
    Expiring { socket: SocketRef, identity: Arc<Identity>, in_ms: u64 },
    /// What became of an `EmitWithAck`: `answers` are JSON arrays of arguments, in arrival order; `missing` receivers did not
    /// answer in time or went away.
    Acked { token: Token, answers: Vec<AckAnswer>, missing: u32 },
    /// Another home of the application, or this one, has said this to `home`, which is decided here.
    Said { home: Home, note: Note },
    /// A timer set by `Effect::Timer` is due.
    Timer { token: Token },
    /// A job came back.
    Done { token: Token, outcome: Outcome },
    /// A call from HTTP, to be answered by `Effect::Reply`.
    Call { req: ReqId, call: Box<Call> },
    /// How it goes with a file that was taken by `Effect::Take`; `Kept` and `Failed` want a reply, and are the last.
    Upload { req: ReqId, news: News },
    /// The asker of a stream that has not ended is not there any more.
    Left { req: ReqId, why: Leave },
    /// Something happens to a link.
    Link { link: LinkId, event: LinkEvent },
    /// A socket whose outbox had been over the low mark has drained; entries of these coalescing keys were dropped meanwhile
    /// (class `Patch`) and want one full state each.
    Drained { socket: SocketRef, identity: Arc<Identity>, keys: Vec<u64> },
    /// The daemon is about to end; comes once, to every application of every shard, before the drain ends any socket. State
    /// that is to outlive the process belongs into the store now, and from now on at once.
    Draining,
}

/// A CONNECT that passed authentication.
#[derive(Debug)]
pub struct Connect {
    pub socket: SocketRef,
    /// The namespace it asks for.
    pub nsp: NspIndex,
    /// The dialect it speaks, by its name among those of the application's row. Its events are translated before they come and
    /// when they leave.
    pub dialect: Option<&'static str>,
    /// The socket was accepted elsewhere and has come here because of who it is now.
    pub moved: bool,
    /// The id the client will see.
    pub sid: Sid,
    pub identity: Arc<Identity>,
    /// The CONNECT packet's auth object as JSON text; `{}` if the client sent none.
    pub auth: Bytes,
    pub handshake: Arc<Handshake>,
}

/// What is kept of the HTTP request that opened the connection, for as long as that lives: a client that joins a namespace late
/// is asked for the same token. The texts share one allocation; most clients need none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Handshake {
    pub ip: IpAddr,
    /// The session holds a place of that address, since it came through a proxy; the shell is told when it ends.
    pub holds_place: bool,
    /// Query, user agent, authorization, origin.
    texts: Box<str>,
    /// Where the query ends in `texts`, where the user agent, and where the authorization.
    ends: [u32; 3],
}

impl Handshake {
    /// `query` is without the engine's own parameters and still percent-encoded; its last duplicate wins. `authorization` is
    /// the header's value.
    pub fn new(ip: IpAddr, query: &str, user_agent: &str, authorization: &str) -> Handshake {
        Handshake::with_origin(ip, query, user_agent, authorization, "")
    }

    /// The same of a request that a page of this origin has made, where it says so.
    pub fn with_origin(ip: IpAddr, query: &str, user_agent: &str, authorization: &str, origin: &str) -> Handshake {
        let mut end = 0;
        let ends = [query, user_agent, authorization].map(|text| {
            end += text.len() as u32;
            end
        });
        let texts = [query, user_agent, authorization, origin].concat().into_boxed_str();
        Handshake { ip, holds_place: false, texts, ends }
    }

    pub fn user_agent(&self) -> &str {
        &self.texts[self.ends[0] as usize..self.ends[1] as usize]
    }

    pub fn authorization(&self) -> &str {
        &self.texts[self.ends[1] as usize..self.ends[2] as usize]
    }

    /// The header `Origin`; empty where the request had none.
    pub fn origin(&self) -> &str {
        &self.texts[self.ends[2] as usize..]
    }

    /// The decoded value of one query parameter (`+` is a space, last duplicate wins).
    pub fn query_value(&self, name: &str) -> Option<String> {
        percent::value(&self.texts[..self.ends[0] as usize], name)
    }
}

/// One event as it was sent: the bytes of the client's JSON array, never rebuilt.
#[derive(Debug)]
pub struct Event {
    pub socket: SocketRef,
    /// The namespace it came by.
    pub nsp: NspIndex,
    pub identity: Arc<Identity>,
    pub args: Args,
    /// The client wants an ack under this id; answer with `Effect::Ack`.
    pub ack: Option<u64>,
}

impl Event {
    /// The one who asks by it.
    pub fn asker(&self) -> Asker {
        Asker { by: By::Socket(self.socket), identity: Some(self.identity.clone()), rights: &[] }
    }
}

/// The JSON array of an event, `["name",arg,…]`, with the ranges of its elements, and the binary attachments its
/// placeholders refer to.
#[derive(Clone, Debug, Default)]
pub struct Args {
    array: Bytes,
    /// Ranges of the elements in `array`; the first is the event's name.
    elements: SmallVec<[Range<u32>; 4]>,
    attachments: Vec<Bytes>,
}

impl Args {
    /// `elements` are ranges into `array`, as the scanner found them; the first one is the name.
    pub fn new(array: Bytes, elements: SmallVec<[Range<u32>; 4]>, attachments: Vec<Bytes>) -> Args {
        Args { array, elements, attachments }
    }

    /// Builds the arguments of an event from JSON values, for tests: `Args::of("player:state", &[json!({…})])`.
    pub fn of(name: &str, args: &[serde_json::Value]) -> Args {
        let texts: Vec<String> = args.iter().map(ToString::to_string).collect();
        Args::written(name, texts.iter().map(String::as_bytes))
    }

    /// Writes the arguments of an event whose JSON texts are known.
    pub(crate) fn written<'a>(name: &str, args: impl Iterator<Item = &'a [u8]>) -> Args {
        let mut array = vec![b'['];
        serde_json::to_writer(&mut array, name).expect("a string serialises, and a vector takes it");
        let mut elements: SmallVec<[Range<u32>; 4]> = SmallVec::new();
        elements.push(1..array.len() as u32);
        for text in args {
            array.push(b',');
            let start = array.len() as u32;
            array.extend_from_slice(text);
            elements.push(start..array.len() as u32);
        }
        array.push(b']');
        Args { array: Bytes::from(array), elements, attachments: Vec::new() }
    }

    /// The same arguments under another name.
    pub(crate) fn named(&self, name: &str) -> Args {
        let args = (0..self.len()).filter_map(|index| self.raw(index));
        Args::written(name, args).with_attachments(self.attachments.clone())
    }

    /// The same with binary attachments.
    pub fn with_attachments(mut self, attachments: Vec<Bytes>) -> Args {
        self.attachments = attachments;
        self
    }

    /// The JSON array.
    pub(crate) fn array(&self) -> &[u8] {
        &self.array
    }

    /// The event's name; a numeric name reads as its digits. Escapes are decoded.
    pub fn name(&self) -> std::borrow::Cow<'_, str> {
        let raw = self.element(0).unwrap_or(b"");
        match raw {
            [b'"', inner @ .., b'"'] if !inner.contains(&b'\\') => String::from_utf8_lossy(inner),
            [b'"', ..] => serde_json::from_slice::<String>(raw).unwrap_or_default().into(),
            digits => String::from_utf8_lossy(digits),
        }
    }

    /// Number of arguments after the name.
    pub fn len(&self) -> usize {
        self.elements.len().saturating_sub(1)
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// JSON text of the argument `index`, counted after the name.
    pub fn raw(&self, index: usize) -> Option<&[u8]> {
        self.element(index + 1)
    }

    /// All arguments after the name as the client wrote them, without brackets: `{"a":1},2`.
    pub fn raw_all(&self) -> Bytes {
        self.raw_from(0)
    }

    /// As [`Args::raw_all`], without the first `index` arguments.
    pub fn raw_from(&self, index: usize) -> Bytes {
        match (self.elements.get(index + 1), self.elements.last()) {
            (Some(first), Some(last)) => self.array.slice(first.start as usize..last.end as usize),
            _ => Bytes::new(),
        }
    }

    /// The argument `index` read as `T`; `None` if absent or of another shape. Half a character in it reads as U+FFFD.
    pub fn parse<T: serde::de::DeserializeOwned>(&self, index: usize) -> Option<T> {
        let raw = self.raw(index)?;
        serde_json::from_slice(raw).ok().or_else(|| serde_json::from_slice(&surrogate::mend(raw)?).ok())
    }

    /// Bytes of the arguments after the name, and of the attachments.
    pub fn payload_bytes(&self) -> usize {
        self.raw_all().len() + self.attachments.iter().map(Bytes::len).sum::<usize>()
    }

    /// Bytes of the JSON and the attachments.
    pub fn size_bytes(&self) -> usize {
        self.array.len() + self.attachments.iter().map(Bytes::len).sum::<usize>()
    }

    /// Binary attachments; a placeholder `{"_placeholder":true,"num":n}` stands for the n-th.
    pub fn attachments(&self) -> &[Bytes] {
        &self.attachments
    }

    fn element(&self, index: usize) -> Option<&[u8]> {
        let range = self.elements.get(index)?;
        self.array.get(range.start as usize..range.end as usize)
    }
}

/// One receiver's answer to an `EmitWithAck`.
#[derive(Clone, Debug)]
pub struct AckAnswer {
    pub socket: SocketRef,
    /// JSON text of the ack's arguments without brackets.
    pub args: Bytes,
    pub attachments: Vec<Bytes>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn arguments_are_found_by_index_and_keep_their_text() {
        let args = Args::of("a\"b", &[json!({"x": 1.5}), json!("s"), json!(null)]);
        assert_eq!(args.name(), "a\"b");
        assert_eq!(args.len(), 3);
        assert_eq!(args.raw(0), Some(&br#"{"x":1.5}"#[..]));
        assert_eq!(args.parse::<String>(1).as_deref(), Some("s"));
        assert_eq!(&args.raw_all()[..], br#"{"x":1.5},"s",null"#);
        assert_eq!((&args.raw_from(1)[..], &args.raw_from(3)[..]), (&br#""s",null"#[..], &b""[..]));
        assert_eq!(args.raw(3), None);
        assert_eq!(Args::default().name(), "");
        assert!(Args::of("e", &[]).raw_all().is_empty());
        let args = args.with_attachments(vec![Bytes::from_static(b"four"), Bytes::from_static(b"five!")]);
        assert_eq!(args.payload_bytes(), br#"{"x":1.5},"s",null"#.len() + 4 + 5);
    }

    #[test]
    fn query_values_are_decoded_and_the_last_duplicate_wins() {
        let query = "a=1&deviceId=caf%C3%A9+%41&a=2&broken=%zz%4";
        let handshake =
            Handshake::with_origin([127, 0, 0, 1].into(), query, "UA", "Bearer none=1", "https://clinic.example");
        assert_eq!((handshake.user_agent(), handshake.authorization()), ("UA", "Bearer none=1"));
        assert_eq!(handshake.origin(), "https://clinic.example");
        assert_eq!(Handshake::new([127, 0, 0, 1].into(), query, "UA", "x").origin(), "");
        assert_eq!(handshake.query_value("a").as_deref(), Some("2"));
        assert_eq!(handshake.query_value("deviceId").as_deref(), Some("café A"));
        assert_eq!(handshake.query_value("broken").as_deref(), Some("%zz%4"));
        assert_eq!(handshake.query_value("none"), None);
    }
}
