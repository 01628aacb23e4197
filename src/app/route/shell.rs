//! The door to an application's `shell/`, for routes where a library has to own the exchange (GraphQL): the row of such a route
//! names the shell instead of a home ([`Route::of_shell`](super::Route::of_shell)). The shell gets the call, and two
//! things to do with the homes of its application: ask and watch. Both are calls as those from HTTP are: a question is a route of
//! the application, by its name, found by the same function and answered by the same handlers under the same rules.
//!
//! Promises only; `api` keeps those that a shell is given. A shell runs on the control runtime, which is one thread for everything
//! beside the cores: it waits, and does not work for long.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use serde::Serialize;

use super::{Call, Refused};
use crate::app::AuthFailure;
use crate::app::asker::Asker;
use crate::app::identity::Identity;
use crate::app::reply::{Answer, Reply};

/// What comes later.
pub type Later<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// An application's shell.
pub trait Shell: fmt::Debug + Send + Sync {
    /// Answers a call that its route has let through, in `SHELL_TIMEOUT_MS` at most: then the asker gets 504, and this is dropped.
    fn answer(&'static self, call: Call, homes: Arc<dyn Homes>) -> Later<'static, Given>;

    /// Whether it speaks on WebSockets, too: then a GET of its route that asks for one gets it, with the first of the subprotocols
    /// offered. Else that is a GET like others.
    fn speaks(&self) -> bool {
        false
    }

    /// Speaks on a WebSocket that `call` has opened, until it is over.
    fn speak(&'static self, _call: Call, socket: Box<dyn Socket>, _homes: Arc<dyn Homes>) -> Later<'static, ()> {
        socket.close(1000, "")
    }
}

/// A WebSocket, message by message.
pub trait Socket: Send {
    /// The next message; `None` when there will be none: the peer has closed, broken a rule, or gone, or the daemon drains. May be
    /// dropped and asked again, nothing is lost by that; while nobody asks, nothing is read.
    fn next(&mut self) -> Later<'_, Option<Said>>;

    /// Sends a text. False where the peer is not there any more, or has taken nothing for `SHELL_WRITE_TIMEOUT_MS`.
    fn tell(&mut self, text: String) -> Later<'_, bool>;

    /// Closes it with a code and at most 123 bytes of reason.
    fn close(self: Box<Self>, code: u16, reason: &'static str) -> Later<'static, ()>;
}

/// What a peer says on a WebSocket, of `SHELL_MESSAGE_BYTES_MAX` bytes at most.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Said {
    Text(String),
    Binary(Bytes),
}

/// Stands among the extensions of a request for which a WebSocket can be opened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Speakable;

/// Stands among the extensions of the answer to such a request, where a shell speaks: what is to be done with the WebSocket.
#[derive(Clone)]
pub(crate) struct Speech(pub Arc<Speaking>);

/// See [`Speech`].
pub(crate) type Speaking = dyn Fn(Box<dyn Socket>) -> Later<'static, ()> + Send + Sync;

/// What a shell answers.
pub enum Given {
    /// As a home would: JSON, text, a blob …
    Reply(Reply),
    /// Server-sent events, for as long as the home says items. Where they are not read and so cut off, the answer breaks off when the
    /// asker takes the next, or the kernel has waited long enough for that.
    Items(Box<dyn Items>),
    /// As a refusal of the daemon, in the form of the application's errors.
    Refused(Refused),
    /// Whatever its library has made.
    Response(http::Response<Bytes>),
}

/// The homes of the shell's application.
pub trait Homes: Send + Sync {
    /// Whom a token stands for, by the same rule as for a CONNECT.
    ///
    /// # Errors
    /// As [`Authenticator::verify`](crate::app::identity::Authenticator::verify).
    fn identify(&self, token: &str) -> Result<Arc<Identity>, AuthFailure>;

    /// Asks a home, on behalf of `asker`, for its one reply.
    ///
    /// # Errors
    /// Where the route refuses, or the home does not answer within `CALL_TIMEOUT_MS` (504).
    fn ask<'a>(&'a self, asker: &'a Asker, question: Question) -> Later<'a, Result<Reply, Refused>>;

    /// Asks a home for a stream of items, bounded in items and bytes: a watcher that does not take them is cut off, and its home
    /// hears `Left { why: TooSlow }`. Dropped, the watcher has left.
    ///
    /// # Errors
    /// As [`Homes::ask`]; or the home's reply, which is no stream.
    fn watch<'a>(&'a self, asker: &'a Asker, question: Question) -> Later<'a, Result<Box<dyn Items>, Unwatched>>;
}

/// What comes of a call, in order. Dropped, the asker has left.
pub trait Items: Send {
    /// The next answer; `None` when there will be none. A stream that ends without [`Answer::End`] was cut off.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Answer>>;
}

/// Why there are no items.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Unwatched {
    Refused(Refused),
    /// The home has answered, and that was all.
    Answered(Reply),
}

/// What a shell asks: a route of its application, and what a call of it would say.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Question {
    pub route: &'static str,
    /// Values of the path's parameters, in its order.
    pub values: Vec<String>,
    /// Percent-encoded.
    pub query: String,
    pub body: Bytes,
}

impl Question {
    /// A question that says nothing but which it is.
    pub fn of(route: &'static str) -> Question {
        Question { route, values: Vec::new(), query: String::new(), body: Bytes::new() }
    }

    /// The next parameter of the path.
    pub fn value(mut self, value: impl Into<String>) -> Question {
        self.values.push(value.into());
        self
    }

    /// With this body, as JSON.
    pub fn json(self, body: &impl Serialize) -> Question {
        Question { body: serde_json::to_vec(body).expect("our own types serialise to JSON").into(), ..self }
    }
}
