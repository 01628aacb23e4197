//! Load tests of any Socket.IO v4 server over plain TCP: open code, honest numbers.
//!
//! In reading order: [`options`] is what a scenario may be told, [`wire`] what goes over a connection, [`target`] what is said
//! to the server, `auth` who a client says it is; `pool` holds many clients on one thread; a [`scenario`] decides what they
//! do, and is one file; [`request`] looks at what is asked of it before anything is sent. A `worker` is a thread of clients,
//! [`processes`] have several; [`run`] takes all of them through the phases (`phase`) and measures, in intervals (`series`);
//! an [`outcome`] is what comes of it, [`report`] says what was found, [`html`] draws it. [`floor`] is a server that does as
//! little as one can, to compare with; [`compare`] runs two servers in turns, [`table`] all servers on all the work that siod
//! promises figures for. [`args`] is the command line.

pub mod args;
mod auth;
mod circumstances;
mod clock;
pub mod compare;
mod fault;
mod figures;
mod flights;
pub mod floor;
pub mod host;
pub mod html;
mod lines;
mod live;
mod measurement;
mod metrics;
pub mod options;
pub mod outcome;
mod phase;
mod pool;
pub mod processes;
mod progress;
pub mod report;
pub mod request;
pub mod run;
pub mod scenario;
mod sequence;
mod series;
mod spread;
pub mod table;
pub mod target;
mod verdict;
pub mod wire;
mod worker;
