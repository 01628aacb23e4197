//! utalk in the world of tests: scenarios of the contract, failures, two scopes beside each other.

mod events;
mod messages;
mod operation;
mod people;
mod reading;
mod rest;
mod rest_conversations;
mod world;
