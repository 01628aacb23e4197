//! utalk in the world of tests: scenarios of the contract, failures, two scopes beside each other.

mod events;
mod held;
mod hooks;
mod hyphen;
mod hyphen_rest;
mod media;
mod messages;
mod operation;
mod people;
mod provided;
mod provider;
mod reading;
mod rest;
mod rest_conversations;
mod rest_work;
mod retention;
mod scopes;
mod work;
mod work_escalations;
mod work_queue;
mod world;
