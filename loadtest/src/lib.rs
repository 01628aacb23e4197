//! Load tests of any Socket.IO v4 server over plain TCP: open code, honest numbers.
//!
//! In reading order: [`wire`] is what goes over a connection, [`target`] what is said to the server, [`auth`] who a
//! client says it is; [`pool`] holds many
//! clients on one thread; a [`scenario`] decides what they do, and is one file; [`run`] takes it through its phases and
//! measures; [`report`] says what was found. [`floor`] is a server that does as little as one can, to compare with.

pub mod args;
pub mod auth;
pub mod clock;
pub mod fault;
pub mod figures;
pub mod flights;
pub mod floor;
pub mod host;
pub mod metrics;
pub mod pool;
pub mod progress;
pub mod report;
pub mod run;
pub mod scenario;
pub mod sequence;
pub mod target;
pub mod wire;
