//! The command line: which subcommand is asked for, and with what. An option that makes no sense ends the process with 2,
//! before anything is sent.

use std::fs::OpenOptions;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{Args, Command, FromArgMatches};

use crate::compare::{self, Compare};
use crate::floor::Floor;
use crate::options::Options;
use crate::processes::PART;
use crate::request;
use crate::scenario::kind::Kind;
use crate::scenario::{self, SCENARIOS};
use crate::table::{self, Table};

/// What the command line asks for.
pub enum Asked {
    Scenario(&'static Kind, Box<Options>),
    Floor(Floor),
    /// A process of clients, begun by another one.
    Part,
    Compare(Box<Compare>),
    Table(Table),
}

/// Reads the process's arguments; ends the process with 2 if they make no sense.
pub fn parse() -> Asked {
    let matches = command().get_matches();
    let (name, matches) = matches.subcommand().expect("clap demands one");
    let asked = match name {
        PART => Ok(Asked::Part),
        "floor" => Floor::from_arg_matches(matches).map(Asked::Floor),
        "compare" => Compare::from(matches).map(|asked| Asked::Compare(Box::new(asked))),
        "table" => Table::from_arg_matches(matches).map(Asked::Table),
        _ => {
            let kind = scenario::find(name).expect("clap knows these names only");
            request::read(kind, matches).map(|options| Asked::Scenario(kind, Box::new(options)))
        }
    };
    let asked = asked.unwrap_or_else(|error| error.exit());
    match can_write(&asked) {
        Ok(()) => asked,
        Err(sentence) => command().error(ErrorKind::Io, sentence).exit(),
    }
}

/// Every subcommand, with what it is told.
pub fn command() -> Command {
    Command::new("loadtest")
        .about("Load tests of a Socket.IO v4 server")
        .version(env!("CARGO_PKG_VERSION"))
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommands(SCENARIOS.iter().map(request::command))
        .subcommand(compare::command())
        .subcommand(
            Floor::augment_args(Command::new("floor"))
                .about("A server that does as little as one can, to compare with"),
        )
        .subcommand(Table::augment_args(Command::new("table")).about(table::ABOUT))
        .subcommand(Command::new(PART).hide(true))
}

/// Whether what is found will have a place: a run may take an hour.
fn can_write(asked: &Asked) -> Result<(), String> {
    let paths: [Option<&PathBuf>; 2] = match asked {
        Asked::Scenario(_, options) => [options.json.as_ref(), options.report.as_ref()],
        Asked::Compare(asked) => [asked.json.as_ref(), None],
        Asked::Table(asked) => return asked.check(),
        Asked::Floor(_) | Asked::Part => [None, None],
    };
    paths.into_iter().flatten().try_for_each(|path| {
        let opened = OpenOptions::new().append(true).create(true).open(path);
        opened.map(drop).map_err(|error| format!("cannot write {}: {error}", path.display()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn every_subcommand_is_described_by_its_own_sentence() {
        let mut command = command();
        command.build();
        let about = |name: &str| {
            let found = command.find_subcommand(name).expect("it is there").clone();
            assert_eq!(found.get_long_about(), None, "{name}: --help says what -h does");
            found.get_about().expect("it has one").to_string()
        };
        for kind in SCENARIOS {
            assert_eq!(about(kind.name), kind.about);
        }
        let others = ["compare", "floor", "table"].map(about);
        let all: std::collections::BTreeSet<_> =
            SCENARIOS.iter().map(|kind| kind.about.to_owned()).chain(others).collect();
        assert_eq!(all.len(), SCENARIOS.len() + 3, "no two say the same");
    }
}
