//! No error of any layer shows the value of a secret: each secret key, in each way that people get a configuration wrong.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::process::{Command, Stdio};

/// Section and name of every secret key.
const KEYS: [(&str, &str); 3] = [("auth", "jwt_secret"), ("admin", "token"), ("apps.signage", "fleet_token")];
/// In every value, and nowhere else.
const PLANTED: &str = "xyzzy";

/// Runs `siod check` and expects it to refuse, without a word of what was planted.
#[track_caller]
fn refused(arguments: &[&str], file: Option<&[u8]>, environment: &[(&str, &[u8])]) {
    let dir = tempfile::tempdir().expect("there is room for a directory");
    let mut command = Command::new(env!("CARGO_BIN_EXE_siod"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("SIOD__")) {
        command.env_remove(name);
    }
    command.current_dir(dir.path()).args(arguments).stdin(Stdio::null());
    command.envs(environment.iter().map(|(name, value)| (*name, OsStr::from_bytes(value))));
    if let Some(text) = file {
        fs::write(dir.path().join("siod.toml"), text).expect("a file can be written");
        command.args(["--config", "siod.toml"]);
    }
    let output = command.output().expect("the program was built for this test");
    let case = format!("{arguments:?} {:?} {environment:?}", file.map(String::from_utf8_lossy));
    assert_eq!(output.status.code(), Some(2), "{case}: {output:?}");
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(!said.is_empty() && !said.contains(PLANTED), "{case} is answered with\n{said}");
}

/// What may stand behind `key = ` and is refused, and whole sections that are.
#[test]
fn no_file_that_is_refused_shows_a_secret() {
    let long = format!("{PLANTED}-0123456789-0123456789-0123456789");
    for (section, name) in KEYS {
        for value in [
            "\"LONG",
            "'LONG",
            "\"\"\"LONG",
            "'''LONG",
            "LONG",
            "LONG\"",
            "\"LONG'",
            "\"LONG\\q\"",
            "\"LONG\\u00\"",
            "\"LONG\" more",
            "\"LONG\"\"LONG\"",
            "\"a\"\"LONG\"",
            "\"LONG\n\"",
            "\n\"LONG\"",
            "\"LONG\\u0007\"",
            "\"LONG\x07\"",
            "\"LONG\"\nNAME = \"LONG\"",
            "\"LONG\"\nNAME.more = \"LONG\"",
            "\"LONG\"\n[SECTION.NAME]",
            "\"LONG\"\n[[SECTION.NAME]]",
            "\"LONG\"\n[SECTION]",
            "[\"LONG\"]",
            "[\"LONG\"",
            "[[\"LONG\"], 1]",
            "{ LONG = 1 }",
            "{ \"LONG\" = \"LONG\" }",
            "{ a = \"LONG\"",
            "{ a = { LONG = \"LONG\" } }",
            "\"LONG\"\n[server]\nshards = -1",
            "\"LONG\"\n[server]\nNAME = \"LONG\"",
            "\"LONG\"\n[servr]\nNAME = \"LONG\"",
            "\"LONG\"\n[[SECTION]]\nNAME = \"LONG\"",
        ] {
            let text = format!("[{section}]\n{name} = {value}");
            let text = text.replace("LONG", &long).replace("NAME", name).replace("SECTION", section);
            refused(&["check"], Some(text.as_bytes()), &[]);
        }
        for text in [
            "NAME = \"LONG\"",
            "NAME \"LONG\"",
            "SECTION = \"LONG\"",
            "SECTION = [{ NAME = \"LONG\" }]",
            "[SECTION]\nNAME \"LONG\"",
            "[SECTION]\nNAME: \"LONG\"",
            "[SECTION]\nNAME.\"LONG\" = 1",
            "[SECTION.NAME]\nLONG = 1",
            "[SECTION]\nnot_NAME = \"LONG\"",
            "[SECTION\nNAME = \"LONG\"",
            "[[listener]]\nNAME = \"LONG\"",
            "[listener]\nNAME = \"LONG\"",
            "LONG",
            "\"LONG\"",
        ] {
            let text = text.replace("LONG", &long).replace("NAME", name).replace("SECTION", section);
            refused(&["check"], Some(text.as_bytes()), &[]);
        }
        let bytes = [format!("[{section}]\n{name} = \"{long}").as_bytes(), b"\xff\"\n"].concat();
        refused(&["check"], Some(&bytes), &[]);
    }
}

#[test]
fn no_value_that_is_too_short_too_long_or_of_another_kind_is_shown() {
    let mode: &str = "auth.mode = \"jwt\"\n";
    for (key, value) in [
        ("auth.jwt_secret", "\"xyzzy\"".to_owned()),
        ("admin.token", "\"xyzzy\"".to_owned()),
        ("admin.token", "\"xyzzy xyzzy xyzzy xyzzy\"".to_owned()),
        ("admin.token", format!("\"{}\"", PLANTED.repeat(2_000))),
        ("apps.signage.fleet_token", format!("\"{}\"", PLANTED.repeat(2_000))),
    ] {
        refused(&["check"], Some(format!("{mode}{key} = {value}").as_bytes()), &[]);
    }
    // A secret may be taken for a number, a date or a switch by who forgets its quotes; nothing of it is said then.
    for (section, name) in KEYS {
        for value in ["918273645", "0x36B5", "9182.73645", "1987-06-05", "true", "inf"] {
            let text = format!("[{section}]\n{name} = {value}");
            let dir = tempfile::tempdir().expect("there is room for a directory");
            let file = dir.path().join("siod.toml");
            fs::write(&file, text).expect("a file can be written");
            let mut command = Command::new(env!("CARGO_BIN_EXE_siod"));
            let output = command.arg("check").arg("--config").arg(&file).output().expect("it was built");
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(said, format!("siod: {section}.{name} = ***: must be a string\n"));
        }
    }
}

#[test]
fn no_variable_that_is_refused_shows_a_secret() {
    let long = format!("{PLANTED}-0123456789-0123456789-0123456789");
    for (section, name) in KEYS {
        let variable = format!("SIOD__{}__{}", section.replace('.', "__"), name).to_ascii_uppercase();
        let misspelt = format!("{variable}S");
        let below = format!("{variable}__MORE");
        let whole = format!("SIOD__{}", section.replace('.', "__")).to_ascii_uppercase();
        let not_text = [long.as_bytes(), b"\xff"].concat();
        let control = format!("{long}\n");
        let jwt = ("SIOD__AUTH__MODE", &b"jwt"[..]);
        for (variable, value) in [
            (&variable, not_text.as_slice()),
            (&variable, control.as_bytes()),
            (&misspelt, long.as_bytes()),
            (&below, long.as_bytes()),
            (&whole, long.as_bytes()),
        ] {
            refused(&["check"], None, &[(variable, value)]);
        }
        refused(&["run"], None, &[(&variable, long.as_bytes()), ("SIOD__SERVER__SHARDS", b"-1")]);
        if name != "fleet_token" {
            refused(&["check"], None, &[(&variable, PLANTED.as_bytes()), jwt]);
        }
        if name == "token" {
            refused(&["check"], None, &[(&variable, b"xyzzy xyzzy xyzzy xyzzy")]);
        }
    }
}

#[test]
fn no_flag_that_nobody_knows_is_answered_with_its_value() {
    for (section, name) in KEYS {
        for flag in [name.to_owned(), name.replace('_', "-"), format!("{section}.{name}")] {
            for arguments in [
                vec![format!("--{flag}={PLANTED}")],
                vec![format!("--{flag}"), PLANTED.to_owned()],
                vec![format!("-D{flag}={PLANTED}")],
                vec![format!("{flag}={PLANTED}")],
                vec!["check".to_owned(), format!("{flag}={PLANTED}")],
                vec!["check".to_owned(), format!("--{flag}={PLANTED}")],
                vec!["run".to_owned(), format!("--{flag}"), PLANTED.to_owned()],
                vec!["device".to_owned(), format!("{flag}={PLANTED}")],
                vec!["device".to_owned(), "list".to_owned(), format!("--{flag}={PLANTED}")],
                vec!["token".to_owned(), format!("--{flag}={PLANTED}")],
            ] {
                let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
                refused(&arguments, None, &[]);
            }
        }
    }
}
