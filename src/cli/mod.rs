//! Layer 8: what `siod` was asked to do. Arguments in, exit code out: 0 done, 2 bad arguments or configuration, 1 otherwise.

mod ask;
mod token;

use std::process::ExitCode;

use crate::api;
use crate::app::table::{Row, Table};
use crate::config::args::{Args, Command, Flags, without_values};
use crate::config::{Config, Refusals};
use crate::log::{self, output};
use crate::server::Process;

/// Where the conformance fixture listens if nobody says where.
const CONFORMANCE_ADDR: ([u8; 4], u16) = ([127, 0, 0, 1], 3000);

/// Runs what the process's arguments ask for, with the applications of `table`.
pub(crate) fn main(table: &'static Table) -> ExitCode {
    let code = match Args::parse(table, std::env::args_os()).map_err(without_values) {
        Ok(args) => run(table, args),
        // Help and version are "errors" that go to standard output with exit code 0.
        Err(error) => match output::read_or_left(error.print()) {
            Err(full) if !error.use_stderr() => refuse(ExitCode::FAILURE, &[format!("standard output: {full}")]),
            _ => ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(1)),
        },
    };
    log::finish();
    code
}

fn run(table: &'static Table, args: Args) -> ExitCode {
    match args.command.unwrap_or(Command::Run) {
        Command::Run => with_process(|process| {
            with_config(table, &args.flags, |config| {
                log::start(&config.log);
                log::end_on_panic();
                process.run(config)
            })
        }),
        Command::Check => with_config(table, &args.flags, |config| answer(config.to_printable_toml().trim_end())),
        Command::Token(asked) => with_config(table, &args.flags, |config| token::print(config, &asked)),
        Command::Ask(asked) => with_config(table, &args.flags, |config| ask::ask(config, &asked)),
        Command::Routes => with_config(table, &args.flags, |config| answer(&routes(config))),
        Command::Conformance => with_process(|process| {
            log::start(&crate::config::Log::default());
            log::end_on_panic();
            process.conformance(table.fixture, args.flags.listen.unwrap_or_else(|| CONFORMANCE_ADDR.into()))
        }),
    }
}

/// Does something in a process that hears signals.
fn with_process(then: impl FnOnce(Process) -> ExitCode) -> ExitCode {
    match Process::start() {
        Ok(process) => then(process),
        Err(sentence) => refuse(ExitCode::FAILURE, &[sentence]),
    }
}

/// Does something with the configuration, or says all that is wrong with it.
fn with_config(table: &'static Table, flags: &Flags, then: impl FnOnce(&Config) -> ExitCode) -> ExitCode {
    match flags.load(table) {
        Ok(config) => then(&config),
        Err(Refusals(sentences)) => refuse(ExitCode::from(2), &sentences),
    }
}

/// All routes of the daemon and of the applications that are served.
fn routes(config: &Config) -> String {
    let rows: Vec<&'static Row> = config.apps.iter().filter(|app| app.enabled).map(|app| app.row).collect();
    let roots: Vec<Option<&'static str>> = config.listeners.iter().map(|listener| listener.root).collect();
    api::routes::listed(api::OWN, &rows, &roots)
}

/// Prints what was asked for.
fn answer(text: &str) -> ExitCode {
    match output::say(text) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => refuse(ExitCode::FAILURE, &[format!("standard output: {error}")]),
    }
}

/// Says what is wrong.
fn refuse(code: ExitCode, sentences: &[String]) -> ExitCode {
    output::complain(sentences);
    code
}
