//! iot as a whole, in a world of its own.

mod browsers;
mod devices;
pub(in crate::apps::iot) mod world;
