//! Signage as its clients and operators meet it: the contract's acceptance scenarios and resolutions, bad input and a store
//! that fails, a seeded simulation. All in a world with the real store in memory; nothing of signage is looked into.

mod acceptance;
mod admission;
mod failures;
mod http;
mod orders;
mod players;
mod resolutions;
mod simulation;
mod tables;
mod world;
