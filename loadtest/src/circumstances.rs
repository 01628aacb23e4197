//! Under what circumstances something was measured: when, on which machine, by which command.

use std::fs;
use std::time::SystemTime;

use serde::Serialize;

/// Options whose values are nobody's business: the command line is shown without them.
const SECRET: [&str; 5] = ["--auth", "--header", "--jwt-secret", "--a-with", "--b-with"];

#[derive(Clone, Debug, Serialize)]
pub struct Circumstances {
    /// UTC, as in `2026-11-23T02:43:41Z`.
    pub date: String,
    pub cpu: String,
    /// CPUs that this process may use: fewer than the machine has, where it is pinned.
    pub cpus: usize,
    pub kernel: String,
    pub command: String,
    pub version: &'static str,
}

impl Circumstances {
    pub fn now() -> Circumstances {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        Circumstances {
            date: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
            cpu: cpu_model(&read("/proc/cpuinfo")).unwrap_or("unknown").to_owned(),
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            kernel: format!("Linux {}", read("/proc/sys/kernel/osrelease").trim()),
            command: command(std::env::args()),
            version: env!("CARGO_PKG_VERSION"),
        }
    }
}

fn cpu_model(cpuinfo: &str) -> Option<&str> {
    cpuinfo.lines().find_map(|line| Some(line.strip_prefix("model name")?.split_once(':')?.1.trim()))
}

/// As one would type it, the program without its folder.
fn command(arguments: impl Iterator<Item = String>) -> String {
    let mut secret = false;
    let words = arguments.enumerate().map(|(at, word)| {
        let (option, value) = word.split_once('=').unwrap_or((&word, ""));
        let hides = SECRET.contains(&option);
        let shown = match (std::mem::replace(&mut secret, hides && value.is_empty()), hides && !value.is_empty()) {
            (true, _) => "…".to_owned(),
            (_, true) => format!("{option}=…"),
            _ if at == 0 => word.rsplit('/').next().unwrap_or(&word).to_owned(),
            _ => word,
        };
        let plain =
            !shown.is_empty() && !shown.contains(|char: char| char.is_whitespace() || "\"'$\\&;|".contains(char));
        if plain { shown } else { format!("'{}'", shown.replace('\'', "'\\''")) }
    });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_shown_without_its_secrets() {
        let check = |words: &[&str], expected: &str| {
            assert_eq!(command(words.iter().map(|word| (*word).to_owned())), expected);
        };
        check(&["target/release/loadtest", "echo", "--clients", "3"], "loadtest echo --clients 3");
        check(&["loadtest", "--auth", "{\"token\":1}", "--size", "1"], "loadtest --auth … --size 1");
        check(&["loadtest", "compare", "--a-with", "--jwt-secret k"], "loadtest compare --a-with …");
        check(&["loadtest", "--header=Authorization: x", "--url", "a b"], "loadtest --header=… --url 'a b'");
    }

    #[test]
    fn this_machine_has_a_name() {
        assert_eq!(cpu_model("processor\t: 0\nmodel name\t: AMD EPYC\nmodel name\t: B"), Some("AMD EPYC"));
        let now = Circumstances::now();
        assert!(now.date.ends_with('Z') && now.date.len() == 20, "{}", now.date);
        assert!(now.cpus > 0 && now.kernel.len() > 6);
    }
}
