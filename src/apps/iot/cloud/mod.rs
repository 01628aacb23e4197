//! The Shelly cloud: one event socket per account, the token that opens it, and what is asked over HTTP. `secrets` (what an account is
//! opened with), `state` (where it stands), `asked` (what people want of it) → `line` (HTTP, one call at a time and in its time) → `token` (how a token is kept alive) → `socket` (how a connection
//! opens, ends and comes back) → `messages` (what comes over it), `sync` (all devices at once) → `order` (commands) → `act` (what
//! dashboards may do to a connection) → `account` (accounts that come and go).
//!
//! ```text
//!            start                      a token          the peer agrees
//!   Idle ───────────► Renewing (if the token is over) ─► Opening ──────────► Open
//!    ▲  ◄─────────────── stop, or the flag is off ─────────────────────────┐  │
//!    │                                                                     │  │ closed, or not opened
//!    └── Failed: the cloud refuses the token; start tries again ── Waiting ◄──┘
//! ```

mod account;
mod act;
pub(super) mod asked;
mod line;
mod messages;
mod order;
pub(crate) mod secrets;
mod socket;
pub(super) mod state;
mod sync;
mod token;
