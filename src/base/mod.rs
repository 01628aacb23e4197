//! Layer 0: the words every other layer speaks. Values and plain data structures; no protocol, no operating system.

pub mod close;
pub mod hash;
pub mod ids;
pub mod json;
pub mod limit;
pub mod origin;
pub mod percent;
pub mod rng;
pub mod secret;
pub mod slab;
pub mod stats;
pub mod time;
pub mod wheel;
