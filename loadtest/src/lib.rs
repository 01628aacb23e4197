//! Load tests of any Socket.IO v4 server over plain TCP: open code, honest numbers.
//!
//! In reading order: [`wire`] is what goes over a connection, [`target`] what is said to the server, [`auth`] who a
//! client says it is; [`pool`] holds many clients on one thread; a [`scenario`] decides what they do, and is one file; a [`worker`] is such a thread, a [`part`] a
//! process of them; [`run`] takes all of them through the phases and measures, in intervals ([`series`]); [`report`] says
//! what was found, [`html`] draws it. [`floor`] is a server that does as little as one can, to compare with; [`compare`] runs
//! two servers in turns, [`table`] all servers on all the work that siod promises figures for.

pub mod about;
pub mod args;
pub mod auth;
pub mod clock;
pub mod compare;
pub mod fault;
pub mod figures;
pub mod flights;
pub mod floor;
pub mod host;
pub mod html;
pub mod live;
pub mod measurement;
pub mod metrics;
pub mod part;
pub mod pool;
pub mod progress;
pub mod report;
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
