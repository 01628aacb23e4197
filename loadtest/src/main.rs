//! The process: arguments in, exit code out. 0: done and within the thresholds; 1: not; 2: bad arguments.

use std::process::ExitCode;

use loadtest::args::{self, Asked};
use loadtest::{floor, host, report, run};

fn main() -> ExitCode {
    host::raise_descriptor_limit();
    match args::parse() {
        Asked::Floor(asked) => match floor::serve(&asked) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&format!("{}: {error}", asked.listen), 1),
        },
        Asked::Scenario(kind, options) => match run::run(kind, &options) {
            Ok(outcome) => {
                let report = report::Report::of(&outcome);
                print!("{}", report.to_text());
                match options.json.as_ref().map(|path| std::fs::write(path, report.to_json())) {
                    Some(Err(error)) => fail(&format!("cannot write the JSON: {error}"), 1),
                    _ => ExitCode::from(u8::from(!report.failures.is_empty())),
                }
            }
            Err(sentence) => fail(&sentence, 2),
        },
    }
}

fn fail(sentence: &str, code: u8) -> ExitCode {
    eprintln!("loadtest: {sentence}");
    ExitCode::from(code)
}
