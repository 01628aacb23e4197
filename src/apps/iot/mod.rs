//! Plugs, clouds, and never an invented value.

#![allow(dead_code)]

pub(crate) mod wire;
