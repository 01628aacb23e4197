//! Layer 7: sockets of the operating system. Each core runs one thread with one runtime. A connection begins in the core's
//! own epoll set: plain WebSocket handshakes and polling requests are answered there and then, everything else goes on to
//! hyper, which serves HTTP and what wants more of it; a WebSocket of hyper's comes back after its 101.
//!
//! | file | what happens there |
//! |---|---|
//! | [`listen`] | listening sockets, one per core (SO_REUSEPORT); accepting |
//! | [`entrance`] | from accept to the first bytes, and where these lead |
//! | [`callers`] | who is in the epoll set and no WebSocket: newcomers, and clients that poll |
//! | [`behind`] | requests behind one that waits, taken when they come and answered in their order |
//! | [`fast_websocket`] | a WebSocket handshake from its bytes to its 101, where nothing about it is unusual |
//! | [`fast_polling`] | a polling request likewise, from its bytes to its answer |
//! | `arrivals` | a request for a link likewise, which waits for its home |
//! | [`http`] | one HTTP connection of a core: engine paths here, everything else to the router of [`crate::api`] |
//! | `connection` | what the requests of one such connection share |
//! | [`beside`] | a listener beside the cores, the admin listener: its thread, its accept loop, its places |
//! | [`carry`] | HTTP on one connection, by the rules that hold on every listener |
//! | [`linger`] | the end of a connection whose peer may still be sending |
//! | [`head`] | how long the head of a request may take, and a connection may rest |
//! | [`engine`] | an engine request: verified, asked of the owning shard, answered |
//! | [`moving`] | bodies and answers on their way: their session hears of them |
//! | [`upgrade`] | the WebSocket handshake, and the stream's way to its shard |
//! | [`links`] | a request for a link: judged, decided by its home, answered |
//! | `shell_socket` | a WebSocket that an application's shell speaks on |
//! | [`cors`] | which origins may talk to us, and what they are told |
//! | [`respond`] | replies as HTTP |
//! | [`core`] | what all tasks of one core share; requests that wait for an answer |
//! | [`asker`] | the channel to whoever called, and its bounds |
//! | [`calls`] | HTTP calls that wait for their home |
//! | [`clock`] | both clocks, read once a turn |
//! | [`mailbox`] | messages from other threads |
//! | [`outside`] | what a shard asks of the process |
//! | [`reactor`] | the loop: mailbox, epoll, timers → the shard → writes |
//! | [`ready`], [`flush`], [`streams`] | its parts: which sockets have something, writing, descriptors |
//! | [`guard`] | connections by process and address |
//! | [`proxy_head`], [`forwarded`] | who is behind a proxy: its PROXY head, its headers |
//! | [`visitor`] | who opens a session, and that there is a place for it |

mod arrivals;
pub(crate) mod asker;
pub(crate) mod behind;
pub(crate) mod beside;
pub(crate) mod callers;
pub(crate) mod calls;
pub(crate) mod carry;
pub(crate) mod clock;
mod connection;
pub(crate) mod core;
pub(crate) mod cors;
pub(crate) mod engine;
pub(crate) mod entrance;
pub(crate) mod fast_polling;
pub(crate) mod fast_websocket;
pub(crate) mod flush;
pub(crate) mod forwarded;
pub(crate) mod guard;
pub(crate) mod head;
pub(crate) mod http;
pub(crate) mod linger;
pub(crate) mod links;
pub(crate) mod listen;
pub mod mailbox;
pub(crate) mod moving;
pub(crate) mod outside;
pub(crate) mod proxy_head;
pub(crate) mod reactor;
pub(crate) mod ready;
pub(crate) mod respond;
mod shell_socket;
pub(crate) mod streams;
pub(crate) mod upgrade;
pub(crate) mod visitor;
