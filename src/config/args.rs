//! The command line: what `siod` can be told to do, and the flags that go before environment and file.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::error::{ContextKind, ContextValue};
use clap::{Parser, Subcommand};

use super::{Config, Refusals, Source};
use crate::app::table::Table;

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
    /// Ask the running daemon, through its admin listener, about signage devices
    #[command(subcommand)]
    Device(Device),
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

#[derive(Debug, Subcommand)]
pub enum Device {
    /// Print all devices of a fleet as JSON
    List {
        #[command(flatten)]
        fleet: Fleet,
    },
    /// Issue a fresh token for a device and print it: the only time it is shown
    Issue(OneDevice),
    /// Accept the token that a pending device has presented
    Authorize(OneDevice),
    /// End a device's token and its connections
    Revoke(OneDevice),
}

#[derive(Debug, clap::Args)]
pub struct OneDevice {
    /// The device's id
    pub device: String,
    #[command(flatten)]
    pub fleet: Fleet,
}

#[derive(Debug, clap::Args)]
pub struct Fleet {
    /// The tenant whose devices they are
    #[arg(long, default_value = "default")]
    pub fleet: String,
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
        let client_dir = config.server.client_dir.as_ref();
        match client_dir.map(|path| (path, std::fs::read_dir(path))) {
            Some((path, Err(error))) => {
                let wanted = format!("must be a directory that can be read: {error}");
                Err(Refusals(vec![format!("server.client_dir = {path:?}: {wanted}")]))
            }
            _ => Ok(config),
        }
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
    use crate::apps::TABLE;
    use clap::CommandFactory as _;

    fn args(line: &str) -> Result<Args, clap::Error> {
        Args::try_parse_from(std::iter::once("siod").chain(line.split_whitespace()))
    }

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
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
            "device issue",
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
    fn times_are_read_with_their_unit() {
        for (text, seconds) in [("1s", 1), ("3600s", 3_600), ("2m", 120), ("24h", 86_400), ("7d", 604_800)] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)));
        }
        for text in ["", "s", "-1s", "1.5h", "3651d", "18446744073709551615d"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
