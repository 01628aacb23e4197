//! Load tests of any Socket.IO v4 server over plain TCP: open code, honest numbers.
//!
//! In reading order: [`options`] is what a scenario may be told, [`wire`] what goes over a connection, [`target`] what is said
//! to the server, [`auth`] who a client says it is; [`pool`] holds many clients on one thread; a [`scenario`] decides what they
//! do, and is one file; [`request`] looks at what is asked of it before anything is sent. A [`worker`] is a thread of clients,
//! [`processes`] have several; [`run`] takes all of them through the phases ([`phase`]) and measures, in intervals ([`series`]);
//! an [`outcome`] is what comes of it, [`report`] says what was found, [`html`] draws it. [`floor`] is a server that does as
//! little as one can, to compare with; [`compare`] runs two servers in turns, [`table`] all servers on all the work that siod
//! promises figures for. [`args`] is the command line.

pub mod args;
pub mod auth;
pub mod circumstances;
pub mod clock;
pub mod compare;
pub mod fault;
pub mod figures;
pub mod flights;
pub mod floor;
pub mod host;
pub mod html;
pub mod lines;
pub mod live;
pub mod measurement;
pub mod metrics;
pub mod options;
pub mod outcome;
pub mod phase;
pub mod pool;
pub mod processes;
pub mod progress;
pub mod report;
pub mod request;
pub mod run;
pub mod scenario;
pub mod sequence;
pub mod series;
pub mod spread;
pub mod table;
pub mod target;
pub mod verdict;
pub mod wire;
pub mod worker;
