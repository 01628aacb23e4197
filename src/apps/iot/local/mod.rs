//! Devices that speak for themselves. `state`: what is known of them. `arrive`: those that dial us, on a path with their system's secret. `dial`: those that we dial in
//! the networks that are listed, and `first`: the first generation, by HTTP. `talk`: frames, whoever has dialled whom. `call`: what
//! they are asked, and the password that some want.

mod arrive;
mod call;
mod dial;
mod first;
pub(super) mod state;
mod talk;

pub(super) use self::arrive::PATHS;
