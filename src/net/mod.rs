//! Layer 7: sockets of the operating system. Each core runs one thread with one runtime. A connection begins in the core's
//! own epoll set: a plain WebSocket handshake is answered there and then, everything else goes on to hyper, which serves
//! HTTP, polling and handshakes that want more; after its 101 such a WebSocket comes back.
//!
//! | file | what happens there |
//! |---|---|
//! | [`listen`] | listening sockets, one per core (SO_REUSEPORT); accepting |
//! | [`entrance`] | from accept to the first bytes, and where these lead |
//! | [`arrivals`] | who has been accepted and said nothing yet |
//! | [`quick`] | a WebSocket handshake from its bytes to its 101, where nothing about it is unusual |
//! | [`http`] | one HTTP connection: engine paths here, everything else to the router of [`crate::api`] |
//! | [`head`] | how long the head of a request may take, and a connection may rest |
//! | [`engine`] | an engine request: verified, asked of the owning shard, answered |
//! | [`upgrade`] | the WebSocket handshake, and the stream's way to its shard |
//! | [`cors`] | which origins may talk to us, and what they are told |
//! | [`respond`] | replies as HTTP |
//! | [`core`] | what all tasks of one core share; requests that wait for an answer |
//! | [`mailbox`] | messages from other threads |
//! | [`reactor`] | the loop: mailbox, epoll, timers → the shard → writes |
//! | [`ready`], [`flush`], [`streams`] | its parts: which sockets have something, writing, descriptors |
//! | [`guard`] | connections by process and address |

pub mod arrivals;
pub mod core;
pub mod cors;
pub mod engine;
pub mod entrance;
pub mod flush;
pub mod guard;
pub mod head;
pub mod http;
pub mod listen;
pub mod mailbox;
pub mod quick;
pub mod reactor;
pub mod ready;
pub mod respond;
pub mod streams;
pub mod upgrade;
