//! What two or more applications share, each part pure and with its own tests.

pub mod audit;
pub mod identity;
