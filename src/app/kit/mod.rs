//! What two or more applications share, each part pure and with its own tests.

pub mod ack;
pub mod alert;
pub mod audit;
pub mod command;
pub mod events;
pub mod patch;
pub mod presence;
pub mod rate;
pub mod roles;
