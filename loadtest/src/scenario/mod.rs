//! What clients do. One file a scenario: its `KIND` says what is measured, its [`Scenario`](kind::Scenario) reacts, its `describe` says
//! what was found. A new one is a file and a line in [`SCENARIOS`].

mod arguments;
pub mod cast;
pub mod churn;
pub mod connect;
pub mod echo;
pub mod fanout;
pub mod hold;
pub mod kind;
pub mod mix;
pub mod polling;
pub mod rooms;
pub mod slow;
pub mod storm;
pub mod upgrade;

use kind::Kind;

pub const SCENARIOS: &[Kind] = &[
    hold::KIND,
    connect::KIND,
    echo::KIND,
    fanout::KIND,
    rooms::KIND,
    polling::KIND,
    upgrade::KIND,
    churn::KIND,
    storm::KIND,
    slow::KIND,
    mix::signage::KIND,
    mix::utalk::KIND,
    mix::iot::KIND,
];

/// The scenario of a name.
pub fn find(name: &str) -> Option<&'static Kind> {
    SCENARIOS.iter().find(|kind| kind.name == name)
}
