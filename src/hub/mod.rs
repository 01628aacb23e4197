//! Layer 4: who receives. Rooms and their members ([`room`]), the union a broadcast goes to ([`target`]).

pub mod namespace;
pub mod room;
pub mod target;

pub use room::Hub;
