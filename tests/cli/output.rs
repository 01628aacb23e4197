//! Commands whose output goes nowhere: they say so by their exit code, and never panic.

use std::process::Command;

/// Runs a line of shell in which `$SIOD` is the program; the exit code of siod, and what went to standard error.
fn shell(line: &str) -> (Option<i32>, String) {
    let mut command = Command::new("sh");
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("SIOD__")) {
        command.env_remove(name);
    }
    command.env("SIOD", env!("CARGO_BIN_EXE_siod")).args(["-c", line]);
    let output = command.output().expect("there is a shell");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn output_that_nobody_takes_is_told_by_the_exit_code() {
    const TOKEN: &str = "SIOD__AUTH__JWT_SECRET=0123456789abcdef0123456789abcdef $SIOD token --sub a --role b";
    for (line, code, said) in [
        ("$SIOD check >/dev/full", 1, "siod: standard output: No space left"),
        ("$SIOD --help >/dev/full", 1, "siod: standard output: No space left"),
        ("$SIOD --version >/dev/full", 1, "siod: standard output: No space left"),
        (&format!("{TOKEN} >/dev/full"), 1, "siod: standard output: No space left"),
        ("$SIOD check >&-", 0, ""),
        ("$SIOD check >/dev/full 2>/dev/full", 1, ""),
        ("$SIOD check --shards 999 2>/dev/full", 2, ""),
        ("$SIOD check --shards 999 2>&-", 2, ""),
        ("$SIOD serve 2>/dev/full", 2, ""),
        ("$SIOD serve 2>&-", 2, ""),
        ("$SIOD run --shards 999 >&- 2>&- <&-", 2, ""),
        ("$SIOD device list 2>/dev/full", 1, ""),
        // The reader has seen enough.
        ("{ $SIOD check; echo $? >&2; } | true", 0, "0\n"),
        ("{ $SIOD --help; echo $? >&2; } | true", 0, "0\n"),
    ] {
        let line = format!("export SIOD__ADMIN__BIND=127.0.0.1:1; {line}");
        let (ended, err) = shell(&line);
        assert_eq!(ended, Some(code), "{line}: {err}");
        assert!(err.starts_with(said) && (!said.is_empty() || err.is_empty()), "{line}: {err}");
    }
}
