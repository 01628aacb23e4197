//! A scenario and the options it is asked for with: what its command line takes, and what is looked at before anything is
//! sent. An option that would do nothing is refused.

use std::path::Path;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};

use crate::auth::Auth;
use crate::metrics;
use crate::options::{CLIENTS_MAX, Options};
use crate::scenario::SCENARIOS;
use crate::scenario::kind::Kind;
use crate::target::Target;

/// The subcommand of a scenario: it shows the options that do something there, each by what it does there.
pub fn command(kind: &Kind) -> Command {
    let all = Options::augment_args(Command::new(kind.name)).about(kind.about);
    let all = all.bin_name(format!("loadtest {}", kind.name));
    all.mut_args(|option| match kind.option(long(&option)) {
        None => option.hide(true),
        Some("") => option,
        Some(help) => option.help(help),
    })
}

/// The options of a scenario, from words as they would stand behind its name. A later word goes before an earlier one.
///
/// # Errors
/// What makes no sense, as the command line would say it.
pub fn parse(kind: &'static Kind, words: &[&str]) -> Result<Options, clap::Error> {
    let command = command(kind).no_binary_name(true).args_override_self(true).disable_help_flag(true);
    read(kind, &command.try_get_matches_from(words)?)
}

/// The options of a scenario whose command line has been taken apart.
///
/// # Errors
/// As [`parse`].
pub fn read(kind: &'static Kind, matches: &ArgMatches) -> Result<Options, clap::Error> {
    let options = Options::from_arg_matches(matches)?;
    let said = said(matches);
    let refused = said.iter().find_map(|option| refused(kind, long(option), &options));
    match refused.map_or_else(|| check(kind, &options), Err) {
        Ok(()) => Ok(options),
        Err(sentence) => Err(command(kind).error(ErrorKind::ArgumentConflict, sentence)),
    }
}

/// The options of scenarios that stand on the command line.
pub fn said(matches: &ArgMatches) -> Vec<Arg> {
    let all = Options::augment_args(Command::new("options"));
    let is_said = |option: &&Arg| matches.value_source(option.get_id().as_str()) == Some(ValueSource::CommandLine);
    all.get_arguments().filter(is_said).cloned().collect()
}

/// The name of an option behind its dashes.
pub fn long(option: &Arg) -> &str {
    option.get_long().expect("options have long names")
}

/// Scenarios that an option does something in.
pub fn scenarios_of(option: &str) -> Vec<&'static str> {
    SCENARIOS.iter().filter(|kind| kind.option(option).is_some()).map(|kind| kind.name).collect()
}

/// Why an option that was said would do nothing.
fn refused(kind: &Kind, option: &str, options: &Options) -> Option<String> {
    if kind.option(option).is_none() {
        let others = scenarios_of(option).join(", ");
        return Some(format!("{} has no --{option}: it is an option of {others}", kind.name));
    }
    kind.idle(option, options).map(str::to_owned)
}

/// Whether the options go together, and say something that can be done. Nothing is sent for it but a question to the
/// resolver of names.
///
/// # Errors
/// A sentence that says what does not.
pub fn check(kind: &Kind, options: &Options) -> Result<(), String> {
    let Options { clients, processes, .. } = *options;
    if processes > 1 && kind.option("processes").is_none() {
        return Err(format!("{}: one process only, its clients know of each other", kind.name));
    }
    if clients < processes {
        return Err(format!("{clients} clients are too few for {processes} processes"));
    }
    if clients.div_ceil(processes) > CLIENTS_MAX {
        let one = format!("one process has {CLIENTS_MAX} clients at most");
        let needed = clients.div_ceil(CLIENTS_MAX);
        return Err(match kind.option("processes") {
            Some(_) => format!("{one}: {clients} need --processes {needed}"),
            None => format!("{one}, and the clients of {} know of each other", kind.name),
        });
    }
    (0..processes).try_for_each(|process| options.share_of(process).check())?;
    let threads: u32 = (0..processes).map(|process| options.share_of(process).settled().threads).sum();
    if options.connecting_max < threads {
        return Err(format!("--connecting-max is at least one for each thread: {threads}"));
    }
    Target::new(&options.url, &options.namespace, &options.headers)?;
    Auth::new(options)?;
    options.metrics.as_deref().map_or(Ok(()), |url| metrics::address(url).map(drop))?;
    let gone = options.pids.iter().find(|pid| !Path::new(&format!("/proc/{pid}")).exists());
    gone.map_or(Ok(()), |pid| Err(format!("--pid {pid}: there is no such process")))?;
    (kind.check)(options)
}
