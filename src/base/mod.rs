//! Layer 0: the words every other layer speaks. Values and plain data structures; no protocol, no operating system.

pub(crate) mod close;
pub mod hash;
pub(crate) mod hex;
pub mod ids;
pub mod json;
pub mod limit;
pub(crate) mod origin;
pub(crate) mod percent;
pub mod rng;
pub mod secret;
pub(crate) mod slab;
pub(crate) mod stats;
pub mod time;
pub mod wheel;
