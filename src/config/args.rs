//! The command line: what `siod` can be told to do, and the flags that go before environment and file.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::error::{ContextKind, ContextValue};
use clap::{Arg, ArgMatches, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use super::{Config, Listener, Refusals, Source};
use crate::app::route::{self, Method, Param, Route, Verb};
use crate::app::table::{Row, Table};
use crate::base::percent;

/// A Socket.IO daemon: Engine.IO v4, Socket.IO v5, and real-time applications on top.
#[derive(Debug, Parser)]
#[command(name = "siod", version, about, disable_help_subcommand = true)]
pub struct Args {
    #[command(flatten)]
    pub flags: Flags,
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What holds for every command.
#[derive(Debug, Default, clap::Args)]
pub struct Flags {
    /// Configuration file (TOML); without one the built-in defaults hold
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Address and port of the first listener
    #[arg(long, global = true, value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
    /// Directory of everything the daemon writes
    #[arg(long, global = true, value_name = "DIR")]
    pub data_dir: Option<String>,
    /// Shards, each with a thread of its own; 0: one per core
    #[arg(long, global = true, value_name = "N")]
    pub shards: Option<u16>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve until SIGTERM (what siod does when told nothing)
    Run,
    /// Check the configuration and print the effective one, without its secrets
    Check,
    /// Mint a token from the configured secret
    Token(Token),
    /// Serve the fixture that protocol test-suites need, on --listen
    Conformance,
    /// Print every route that the listeners serve
    Routes,
    /// A command of an application.
    #[command(skip)]
    Ask(Asked),
}

#[derive(Debug, clap::Args)]
pub struct Token {
    /// Whom the token is for
    #[arg(long)]
    pub sub: String,
    /// admin, operator, viewer, device, …
    #[arg(long)]
    pub role: String,
    /// Another claim, such as tenantId=acme or groups='["g1"]'; may be repeated
    #[arg(long = "claim", value_name = "NAME=VALUE", value_parser = claim)]
    pub claims: Vec<(String, serde_json::Value)>,
    /// How long it is good: a number and s, m, h or d
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = duration)]
    pub ttl: Duration,
}

/// What a command of an application asks of the running daemon.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Asked {
    pub method: Method,
    /// With its query.
    pub path: String,
}

impl Args {
    /// Reads a command line whose commands are the daemon's and those of the table's applications.
    ///
    /// # Errors
    /// What clap says of it; help and the version are such errors, too.
    pub fn parse(table: &Table, line: impl IntoIterator<Item = OsString>) -> Result<Args, clap::Error> {
        let matches = understood(table).try_get_matches_from(line)?;
        if let Some((name, under)) = matches.subcommand()
            && let Some((verb, given)) = under.subcommand()
            && let Some((row, verb)) = verbs(table)
                .find(|(_, command, known)| command.name == name && known.name == verb)
                .map(|(row, _, verb)| (row, verb))
        {
            let command = Some(Command::Ask(Asked::of(row, verb, given)));
            return Ok(Args { flags: Flags::from_arg_matches(&matches)?, command });
        }
        Args::from_arg_matches(&matches)
    }
}

impl Asked {
    fn of(row: &Row, verb: &Verb, given: &ArgMatches) -> Asked {
        let route = route_of(row, verb);
        let value = |name: &str| given.get_one::<String>(name).map(|value| percent::encode(value));
        let mut path = format!("/{}{}", row.name, route.path);
        for name in route.in_path() {
            path = path.replace(&format!("{{{name}}}"), &value(name).unwrap_or_default());
        }
        let told = route.in_query().filter_map(|param| Some(format!("{}={}", param.name, value(param.name)?)));
        let query = told.collect::<Vec<_>>().join("&");
        if !query.is_empty() {
            path = format!("{path}?{query}");
        }
        Asked { method: route.method, path }
    }
}

/// The commands of the daemon, and behind them those of the applications.
fn understood(table: &Table) -> clap::Command {
    let commands = table.rows.iter().flat_map(|row| row.http.commands.iter().map(move |command| (row, command)));
    commands.fold(Args::command(), |all, (row, command)| {
        let verbs = command.verbs.iter().map(|verb| {
            let args = route_of(row, verb).params.iter().map(|param| argument(row, verb, param));
            clap::Command::new(verb.name).about(verb.doc).args(args)
        });
        let command = clap::Command::new(command.name).about(command.doc).subcommands(verbs);
        all.subcommand(command.subcommand_required(true).arg_required_else_help(true))
    })
}

/// Parameters of the path are arguments, those of the query options.
fn argument(row: &Row, verb: &Verb, param: &'static Param) -> Arg {
    let arg = Arg::new(param.name).help(param.doc).value_name(param.name.to_uppercase());
    if route_of(row, verb).in_path().any(|name| name == param.name) {
        return arg.required(true);
    }
    let arg = arg.long(param.name);
    match param.default {
        Some(default) => arg.default_value(default),
        None => arg,
    }
}

fn verbs(table: &Table) -> impl Iterator<Item = (&Row, &route::Command, &Verb)> {
    let commands = table.rows.iter().flat_map(|row| row.http.commands.iter().map(move |command| (row, command)));
    commands.flat_map(|(row, command)| command.verbs.iter().map(move |verb| (row, command, verb)))
}

fn route_of(row: &Row, verb: &Verb) -> &'static Route {
    row.http.route(verb.route).expect("a verb asks a route of its application")
}

impl Flags {
    /// Reads the file, lays environment and flags over it, and checks the lot.
    ///
    /// # Errors
    /// A file or directory that cannot be read, and everything [`Config::load`] refuses.
    pub fn load(&self, table: &'static Table) -> Result<Config, Refusals> {
        let file = match &self.config {
            None => None,
            Some(path) => {
                let name = path.to_string_lossy().into_owned();
                let text = std::fs::read_to_string(path).map_err(|error| Refusals(vec![format!("{name}: {error}")]))?;
                Some((name, text))
            }
        };
        let env = std::env::vars_os()
            .map(|(name, value)| (name.to_string_lossy().into_owned(), value.into_string().ok()))
            .collect();
        let config = Config::load(table, &Source { file, env, flags: self.overrides() })?;
        let refusals = unreadable(&config);
        if refusals.is_empty() { Ok(config) } else { Err(Refusals(refusals)) }
    }

    /// The flags as keys of the configuration.
    fn overrides(&self) -> Vec<(&'static str, String, &'static str)> {
        let rows = [
            ("listener.0.bind", self.listen.map(|address| address.to_string()), "--listen"),
            ("server.data_dir", self.data_dir.clone(), "--data-dir"),
            ("server.shards", self.shards.map(|shards| shards.to_string()), "--shards"),
        ];
        rows.into_iter().filter_map(|(key, value, flag)| Some((key, value?, flag))).collect()
    }
}

/// The sentences about directories that cannot be read.
fn unreadable(config: &Config) -> Vec<String> {
    let named = |(index, listener): (usize, &Listener)| {
        Some((format!("listener[{index}].static_root"), listener.static_root.clone()?))
    };
    let client_dir = config.server.client_dir.clone().map(|path| ("server.client_dir".to_owned(), path));
    let all = client_dir.into_iter().chain(config.listeners.iter().enumerate().filter_map(named));
    let refused = |(key, path): (String, PathBuf)| {
        let error = std::fs::read_dir(&path).err()?;
        Some(format!("{key} = {path:?}: must be a directory that can be read: {error}"))
    };
    all.filter_map(refused).collect()
}

/// An error of the command line without what stands behind an `=` where no such flag or command is: it may be a secret for
/// which somebody expected a flag.
pub fn without_values(mut error: clap::Error) -> clap::Error {
    for kind in [ContextKind::InvalidArg, ContextKind::InvalidSubcommand] {
        let shown = match error.get(kind) {
            Some(ContextValue::String(text)) => text.split_once('=').map(|(name, _)| format!("{name}=***")),
            _ => None,
        };
        if let Some(shown) = shown {
            error.insert(kind, ContextValue::String(shown));
        }
    }
    error
}

/// `name=value`; the value is JSON where it is an array or an object, else a string as it stands.
fn claim(text: &str) -> Result<(String, serde_json::Value), String> {
    let (name, value) = text.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or("must be NAME=VALUE")?;
    if ["sub", "role", "exp", "iat", "iss", "aud"].contains(&name) {
        return Err(format!("{name} comes from --sub, --role, --ttl and the configuration"));
    }
    let value = match value.trim_start().starts_with(['[', '{']) {
        true => serde_json::from_str(value).map_err(|error| format!("is not JSON: {error}"))?,
        false => serde_json::Value::from(value),
    };
    Ok((name.to_owned(), value))
}

/// `90s`, `15m`, `24h`, `7d`; at least a second, at most ten years.
fn duration(text: &str) -> Result<Duration, String> {
    const TEN_YEARS_S: u64 = 10 * 365 * 86_400;
    let unit = text.chars().next_back().and_then(|unit| match unit {
        's' => Some(1),
        'm' => Some(60),
        'h' => Some(3_600),
        'd' => Some(86_400),
        _ => None,
    });
    let seconds = unit.and_then(|unit: u64| text[..text.len() - 1].parse::<u64>().ok()?.checked_mul(unit));
    let seconds = seconds.filter(|seconds| (1..=TEN_YEARS_S).contains(seconds));
    Ok(Duration::from_secs(seconds.ok_or("must be a number and s, m, h or d, from 1s to 3650d")?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::route::{Body, Door};
    use crate::apps::TABLE;

    fn args(line: &str) -> Result<Args, clap::Error> {
        Args::parse(&TABLE, std::iter::once("siod").chain(line.split_whitespace()).map(OsString::from))
    }

    #[test]
    fn the_command_line_is_consistent() {
        understood(&TABLE).debug_assert();
    }

    /// The command line asks without a body.
    #[test]
    fn every_verb_has_a_route_of_the_admin_listener() {
        for (row, command, verb) in verbs(&TABLE) {
            let route = route_of(row, verb);
            assert_eq!((route.door, route.body), (Door::Admin, Body::None), "{} {}", command.name, verb.name);
        }
    }

    #[test]
    fn a_command_of_an_application_is_a_request_for_its_route() {
        for (line, method, path) in [
            ("device list", Method::Get, "/signage/devices?fleet=default"),
            ("device list --fleet a&b", Method::Get, "/signage/devices?fleet=a%26b"),
            ("device issue p1 --fleet f --config a.toml", Method::Post, "/signage/devices/p1/issue?fleet=f"),
            ("device authorize café/x", Method::Post, "/signage/devices/caf%C3%A9%2Fx/authorize?fleet=default"),
            ("device revoke ..", Method::Post, "/signage/devices/%2E%2E/revoke?fleet=default"),
        ] {
            match args(line).unwrap().command {
                Some(Command::Ask(asked)) => assert_eq!(asked, Asked { method, path: path.to_owned() }, "{line}"),
                other => panic!("{line}: {other:?}"),
            }
        }
        let flags = args("device issue p1 --config a.toml --shards 2").unwrap().flags;
        assert_eq!((flags.config, flags.shards), (Some(PathBuf::from("a.toml")), Some(2)));
    }

    #[test]
    fn every_command_is_understood() {
        for line in [
            "",
            "run --shards 2",
            "--config a.toml check",
            "check --config a.toml",
            "token --sub u1 --role admin --claim tenantId=t --claim groups=[\"g\"] --ttl 3600s",
            "conformance --listen 127.0.0.1:3000",
            "device list --fleet f",
            "device issue p1",
            "device authorize p1 --fleet f",
            "device revoke p1",
            "routes",
        ] {
            assert!(args(line).is_ok(), "{line}: {}", args(line).unwrap_err());
        }
        for line in [
            "serve",
            "--listen localhost:3000",
            "--shards -1",
            "token --sub u1",
            "token --sub u1 --role r --ttl 0s",
            "token --sub u1 --role r --ttl 5",
            "token --sub u1 --role r --ttl 5é",
            "token --sub u1 --role r --claim exp=1",
            "token --sub u1 --role r --claim x",
            "token --sub u1 --role r --claim x=[",
            "device",
            "device issue",
            "device issue p1 p2",
            "device explode p1",
        ] {
            assert_eq!(args(line).expect_err(line).exit_code(), 2);
        }
    }

    #[test]
    fn flags_become_keys() {
        let flags = args("run --listen 127.0.0.1:1 --data-dir d --shards 2").unwrap().flags;
        let config = Config::load(&TABLE, &Source { flags: flags.overrides(), ..Source::default() }).unwrap();
        assert_eq!(config.listeners[0].bind, "127.0.0.1:1".parse().unwrap());
        assert_eq!((config.server.shards, config.server.data_dir), (2, PathBuf::from("d")));
        let refused = Config::load(
            &TABLE,
            &Source { flags: vec![("server.shards", "999".into(), "--shards")], ..Source::default() },
        );
        assert_eq!(refused.unwrap_err().0, ["server.shards = 999 (from --shards): must be between 0 and 256"]);
    }

    #[test]
    fn a_static_root_is_a_directory_that_can_be_read() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("siod.toml");
        let load = |root: &std::path::Path| {
            std::fs::write(&file, format!("[[listener]]\nstatic_root = {root:?}")).unwrap();
            Flags { config: Some(file.clone()), ..Flags::default() }.load(&TABLE)
        };
        assert_eq!(load(dir.path()).unwrap().listeners[0].static_root.as_deref(), Some(dir.path()));
        for wrong in [&file, &dir.path().join("nothing")] {
            let refused = load(wrong).unwrap_err().0;
            let expected = format!("listener[0].static_root = {wrong:?}: must be a directory that can be read: ");
            assert!(refused.len() == 1 && refused[0].starts_with(&expected), "{refused:?}");
        }
    }

    #[test]
    fn times_are_read_with_their_unit() {
        for (text, seconds) in [("1s", 1), ("3600s", 3_600), ("2m", 120), ("24h", 86_400), ("7d", 604_800)] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)));
        }
        for text in ["", "s", "-1s", "1.5h", "3651d", "18446744073709551615d"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
