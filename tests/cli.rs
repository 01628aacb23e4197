//! The program as a shell sees it: arguments and environment in, output and exit code out. Nothing is served here.

#[path = "cli/output.rs"]
mod output;
#[path = "cli/secrets.rs"]
mod secrets;

use std::process::{Command, Output};

fn siod(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_siod"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("SIOD__")) {
        command.env_remove(name);
    }
    command.args(arguments).envs(environment.iter().copied()).output().expect("the program was built for this test")
}

/// Runs it and compares the exit code; gives back what went to standard output and standard error.
fn check(arguments: &[&str], environment: &[(&str, &str)], code: i32) -> (String, String) {
    let output = siod(arguments, environment);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("it writes UTF-8");
    let (out, err) = (text(output.stdout), text(output.stderr));
    assert_eq!(output.status.code(), Some(code), "{arguments:?} {environment:?}\n{out}\n{err}");
    (out, err)
}

const SECRET: (&str, &str) = ("SIOD__AUTH__JWT_SECRET", "0123456789abcdef0123456789abcdef");

#[test]
fn check_prints_what_holds_and_no_secret() {
    let (out, _) = check(&["check", "--config", "config.toml.example", "--shards", "2"], &[SECRET], 0);
    assert!(
        out.contains("\nshards = 2\n") && out.contains("\njwt_secret = \"***\"\n") && !out.contains(SECRET.1),
        "{out}"
    );
}

#[test]
fn bad_arguments_and_configurations_end_with_2_and_say_why() {
    for (arguments, environment, said) in [
        (&["serve"][..], &[][..], "unrecognized subcommand"),
        (&["check", "--config", "no/such.toml"], &[], "no/such.toml: No such file"),
        (
            &["run"],
            &[("SIOD__SERVER__CLIENT_DIR", "no/such/dir")],
            "server.client_dir = \"no/such/dir\": must be a directory",
        ),
        (
            &["check"],
            &[("SIOD__SERVER__CLIENT_DIR", "Cargo.toml")],
            "server.client_dir = \"Cargo.toml\": must be a directory",
        ),
        (&["run"], &[("SIOD__SERVER__SHARDS", "many")], "server.shards = \"many\" (from SIOD__SERVER__SHARDS)"),
        (&["run", "--listen", "0.0.0.0:0"], &[], "SIOD__AUTH__MODE=jwt"),
        (&["token", "--sub", "u1", "--role", "admin"], &[], "any string is a token"),
        (&["token", "--sub", "u1", "--role", "*"], &[SECRET], "role must not be *"),
    ] {
        let (out, err) = check(arguments, environment, 2);
        assert!(out.is_empty() && err.contains(said), "{arguments:?}: {out}{err}");
    }
}

#[test]
fn a_token_is_all_that_is_printed() {
    let (out, err) = check(&["token", "--sub", "u1", "--role", "admin", "--claim", "tenantId=t"], &[SECRET], 0);
    assert_eq!((out.trim_end().split('.').count(), out.lines().count(), err.as_str()), (3, 1, ""));
}

#[test]
fn a_daemon_that_is_not_there_is_a_failure() {
    // Port 1 of loopback: privileged, so nobody listens there by chance.
    let (_, err) = check(&["device", "list"], &[("SIOD__ADMIN__BIND", "127.0.0.1:1")], 1);
    assert!(err.contains("admin listener 127.0.0.1:1"), "{err}");
}

#[test]
fn help_and_version_are_no_failures() {
    for arguments in [&["--help"][..], &["--version"], &["token", "--help"]] {
        assert!(check(arguments, &[], 0).0.contains("siod"));
    }
}
