//! Digital signage: players register, report state and obey commands; admins watch and command (contract `signage`).

pub mod call;
pub mod event;
pub mod job;
pub mod picture;
pub mod rules;
pub mod settings;
