//! Layer 8: what `siod` was asked to do. Arguments in, exit code out: 0 done, 2 bad arguments or configuration, 1 otherwise.

mod device;
mod token;

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;

use crate::app::table::Table;
use crate::config::args::{Args, Command, Flags};
use crate::config::{Config, Refusals};
use crate::{log, server};

/// Where the conformance fixture listens if nobody says where.
const CONFORMANCE_ADDR: ([u8; 4], u16) = ([127, 0, 0, 1], 3000);

/// Runs what the process's arguments ask for, with the applications of `table`.
pub fn main(table: &'static Table) -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            // Help and version are "errors" that go to standard output with exit code 0. A closed pipe changes nothing.
            let _ = error.print();
            return exit_code(error.exit_code());
        }
    };
    match args.command.unwrap_or(Command::Run) {
        Command::Run => with_config(table, &args.flags, |config| {
            log::start(&config.log);
            log::end_on_panic();
            server::run(config)
        }),
        Command::Check => with_config(table, &args.flags, |config| {
            say(config.to_printable_toml().trim_end());
            ExitCode::SUCCESS
        }),
        Command::Token(asked) => with_config(table, &args.flags, |config| token::print(&config, &asked)),
        Command::Device(asked) => with_config(table, &args.flags, |config| device::ask(&config, &asked)),
        Command::Conformance => {
            log::start(&crate::config::Log::default());
            log::end_on_panic();
            server::conformance(table.fixture, args.flags.listen.unwrap_or_else(|| CONFORMANCE_ADDR.into()))
        }
    }
}

/// Does something with the configuration, or says all that is wrong with it.
fn with_config(table: &'static Table, flags: &Flags, then: impl FnOnce(Config) -> ExitCode) -> ExitCode {
    match flags.load(table) {
        Ok(config) => then(config),
        Err(Refusals(sentences)) => {
            sentences.iter().for_each(|sentence| eprintln!("siod: {sentence}"));
            ExitCode::from(2)
        }
    }
}

/// Writes to standard output; a reader that has gone (`siod check | head`) is no failure of ours.
fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

fn exit_code(code: i32) -> ExitCode {
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}
