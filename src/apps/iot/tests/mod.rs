//! iot as a whole, in a world of its own.

mod acts;
mod browsers;
mod cloud;
mod commands;
mod devices;
mod local;
mod rest;
mod rest_devices;
mod shelly;
pub(in crate::apps::iot) mod world;
