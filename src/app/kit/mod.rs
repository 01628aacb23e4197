//! What two or more applications share, each part pure and with its own tests.

pub mod ack;
pub mod agenda;
pub mod alert;
pub mod audit;
pub mod backoff;
pub mod breaker;
pub mod command;
pub mod cursor;
pub mod dedup;
pub mod dialect;
pub mod events;
pub mod patch;
pub mod presence;
pub mod rate;
pub mod roles;
pub mod saving;
pub mod waiting;
