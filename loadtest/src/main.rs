//! The process: arguments in, exit code out. 0: done and within the thresholds; 1: not; 2: bad arguments.

use std::path::Path;
use std::process::ExitCode;

use loadtest::args::{self, Asked};
use loadtest::compare::Compare;
use loadtest::options::Options;
use loadtest::report::Report;
use loadtest::{floor, host, html, processes, run, table};

fn main() -> ExitCode {
    host::raise_descriptor_limit();
    match args::parse() {
        Asked::Floor(asked) => match floor::serve(&asked) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&format!("{}: {error}", asked.listen), 1),
        },
        Asked::Part => match processes::follow() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&format!("a process of clients: {error}"), 1),
        },
        Asked::Compare(asked) => compare(&asked),
        Asked::Table(asked) => match table::make(&asked) {
            Ok(()) => ExitCode::SUCCESS,
            Err(sentence) => fail(&sentence, 1),
        },
        Asked::Scenario(kind, options) => match run::run(kind, &options) {
            Ok(outcome) => {
                let report = Report::of(kind, &outcome);
                print!("{}", report.to_text());
                match write_files(&options, &report) {
                    Err(sentence) => fail(&sentence, 1),
                    Ok(()) => ExitCode::from(u8::from(!report.failures.is_empty())),
                }
            }
            Err(sentence) => fail(&sentence, 1),
        },
    }
}

fn write_files(options: &Options, report: &Report) -> Result<(), String> {
    let write = |path: &Path, text: String| {
        std::fs::write(path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))
    };
    options.json.as_deref().map_or(Ok(()), |path| write(path, report.to_json()))?;
    options.report.as_deref().map_or(Ok(()), |path| write(path, html::page(report)))
}

fn compare(asked: &Compare) -> ExitCode {
    let comparison = match asked.run(|sentence| eprintln!("{sentence}")) {
        Ok(comparison) => comparison,
        Err(sentence) => return fail(&sentence, 1),
    };
    print!("{}", comparison.to_text());
    match asked.json.as_ref().map(|path| std::fs::write(path, comparison.to_json())) {
        Some(Err(error)) => fail(&format!("cannot write the JSON: {error}"), 1),
        _ => ExitCode::from(u8::from(!comparison.failures().is_empty())),
    }
}

fn fail(sentence: &str, code: u8) -> ExitCode {
    eprintln!("loadtest: {sentence}");
    ExitCode::from(code)
}
