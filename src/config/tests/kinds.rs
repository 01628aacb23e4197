//! Every kind of setting, right and wrong in every way, on an application that exists for this.

use std::collections::BTreeMap;

use super::super::{Config, Secret, Source};
use crate::app::settings::{
    Chosen, any, any_text, filled, int, list, map, real, rows, secret, secrets, section, settings, switch, text, word,
    words,
};
use crate::app::table::{Row, Table};

words! {
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(super) enum Mode {
        Local = "local",
        Proxy = "proxy",
    }
}

settings! {
    pub(super) struct Breaker {
        failures: u32 = 5, int(1..=100, ""), "Failures in a row that open it.";
        key: Secret = Secret::default(), secret(any), "Of whom it guards.";
        inner: Inner, section(), "Deeper still.";
    }
}

settings! {
    pub(super) struct Inner {
        factor: f64 = 2.0, real(1.0..=4.0, "times"), "Longer each time.";
    }
}

settings! {
    pub(super) struct Runner {
        name: String, text(filled), "What it is called.";
        command: Vec<String>, list(any), "What it runs.";
        capacity: usize = 0, int(0..=9, "jobs"), "What it takes at once.";
        token: Secret = Secret::default(), secret(any), "What it shows.";
        env: BTreeMap<String, String>, map(&text(any_text)), "What it gets.";
        breaker: Breaker, section(), "When it rests.";
        step: Vec<Inner>, rows::<_, 2>(), "Of what it does.";
    }
}

settings! {
    pub(super) struct Settings {
        count: u8 = 3, int(1..=255, "milliseconds"), "A number.";
        speed: f64 = 2.5, real(0.5..=10.0, "km"), "A number with fractions.";
        on: bool = false, switch(), "A switch.";
        mode: Mode = Mode::Local, word(), "A word.";
        title: String = "Hello".to_owned(), text(filled), "A text.";
        token: Secret = Secret::default(), secret(any), "A secret.";
        names: Vec<String> = Vec::new(), list(any), "A list.";
        keys: Vec<Secret> = Vec::new(), secrets(any), "A list of secrets.";
        breaker: Breaker, section(), "A table.";
        runner: Vec<Runner>, rows::<_, 3>(), "Rows.";
        per_minute: BTreeMap<String, u32> = BTreeMap::from([("default".to_owned(), 100), ("a:b".to_owned(), 5)]),
            map(&int(0..=1_000, "per minute")), "A map.";
        signing: BTreeMap<String, Secret>, map(&secret(any)), "A map of secrets.";
        modes: BTreeMap<String, Vec<String>>, map(&list(any)), "A map of lists.";
    }
}

const ROW: Row = Row {
    enabled: false,
    ..Row::new("x", "Every kind.", &["/x"], || Chosen::<Settings>::untold(|_| unreachable!("nobody runs it")))
};

static TABLE: Table = Table { rows: &[ROW], paths: &[], fixture: &ROW };

fn load(file: &str, env: &[(&str, &str)]) -> Result<Config, Vec<String>> {
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), Some((*value).to_owned()))).collect();
    let file = Some(("siod.toml".to_owned(), file.to_owned()));
    Config::load(&TABLE, &Source { file, env, flags: Vec::new() }).map_err(|refusals| refusals.0)
}

#[track_caller]
fn settings(file: &str, env: &[(&str, &str)]) -> Settings {
    let config = load(file, env).unwrap_or_else(|refusals| panic!("{file} {env:?}\n{refusals:#?}"));
    config.apps[0].settings.values().downcast_ref::<Settings>().expect("these are its settings").clone()
}

/// What is said of one line of `[apps.x]`.
#[track_caller]
fn check(line: &str, expected: &[&str]) {
    let found = load(&format!("[apps.x]\n{line}"), &[]).expect_err(line);
    let expected: Vec<String> = expected.iter().map(|sentence| format!("apps.x.{sentence}")).collect();
    assert_eq!(found, expected, "{line}");
}

#[test]
fn a_number_is_whole_and_within_its_range() {
    for value in ["0", "256", "-1", "1.0", "\"3\"", "true", "[3]", "99999999999", "1979-05-27"] {
        check(&format!("count = {value}"), &[&format!("count = {value}: must be between 1 and 255 (milliseconds)")]);
    }
    check("count = { a = 1 }", &["count = { a = 1 }: must be between 1 and 255 (milliseconds)"]);
    for (value, count) in [("1", 1), ("255", 255)] {
        assert_eq!(settings(&format!("apps.x.count = {value}"), &[]).count, count);
    }
}

#[test]
fn a_number_with_fractions_is_within_its_range_and_a_number() {
    for value in ["0.4", "10.1", "11", "nan", "inf", "-inf", "\"2.5\"", "false"] {
        check(&format!("speed = {value}"), &[&format!("speed = {value}: must be between 0.5 and 10 (km)")]);
    }
    for (value, speed) in [("0.5", 0.5), ("10", 10.0), ("1e1", 10.0)] {
        assert_eq!(settings(&format!("apps.x.speed = {value}"), &[]).speed, speed);
    }
}

#[test]
fn a_switch_is_true_or_false() {
    for value in ["1", "\"true\"", "\"\"", "[]"] {
        check(&format!("on = {value}"), &[&format!("on = {value}: must be true or false")]);
    }
    assert!(settings("apps.x.on = true", &[]).on);
}

#[test]
fn a_word_is_one_of_the_words() {
    for value in ["\"Local\"", "\"remote\"", "\"\"", "1", "[\"local\"]"] {
        check(&format!("mode = {value}"), &[&format!("mode = {value}: must be one of local, proxy")]);
    }
    assert_eq!(settings("apps.x.mode = \"proxy\"", &[]).mode, Mode::Proxy);
}

#[test]
fn a_text_is_a_string_on_one_line_and_what_its_key_asks() {
    check("title = 1", &["title = 1: must be a string"]);
    check("title = \"\"", &["title = \"\": must not be empty"]);
    check("title = \"a\\nb\"", &["title = \"a\\nb\": must not contain control characters"]);
    assert_eq!(settings("apps.x.title = \"ñ\"", &[]).title, "ñ");
}

#[test]
fn a_list_is_of_strings() {
    for value in ["\"a\"", "1", "[1]", "[\"a\", [\"b\"]]"] {
        check(&format!("names = {value}"), &[&format!("names = {value}: must be a list of strings")]);
    }
    assert_eq!(settings("apps.x.names = [\"a\", \"b,c\"]", &[]).names, ["a", "b,c"]);
}

#[test]
fn a_table_is_a_table_of_its_keys() {
    for value in ["1", "\"a\"", "[]", "[[]]", "[{ failures = 1 }]"] {
        check(&format!("breaker = {value}"), &["breaker: must be a table"]);
    }
    check(
        "breaker = { failures = 0, inner = { factor = 5 }, no = 1, deep = { er = 1 } }",
        &[
            "breaker.failures = 0: must be between 1 and 100",
            "breaker.inner.factor = 5: must be between 1 and 4 (times)",
            "breaker.deep.er: unknown key",
            "breaker.no: unknown key",
        ],
    );
    let read = settings("[apps.x.breaker]\ninner.factor = 3", &[("SIOD__APPS__X__BREAKER__FAILURES", "7")]).breaker;
    assert_eq!(read, Breaker { failures: 7, inner: Inner { factor: 3.0 }, ..Breaker::default() });
    let json = ("SIOD__APPS__X__BREAKER", r#"{"failures": 8, "inner": {"factor": 1.5}}"#);
    let read = settings("[apps.x.breaker]\nfailures = 1\nkey = \"k\"", &[json]).breaker;
    assert_eq!(read, Breaker { failures: 8, inner: Inner { factor: 1.5 }, key: Secret::new("k") });
}

#[test]
fn rows_are_tables_each_with_what_it_must_have() {
    for value in ["1", "\"a\"", "[1]", "[{ name = \"a\" }, 2]", "{ name = \"a\" }"] {
        check(&format!("runner = {value}"), &["runner: must be written as [[apps.x.runner]], once for each"]);
    }
    check("runner = [{}, {}, {}, {}]", &["runner: there must be between 0 and 3"]);
    check(
        "runner = [{ name = \"\", command = [] }, { capacity = 10, nme = 1, step = [{ factor = 0 }], env.a = 1 }]",
        &[
            "runner[0].name = \"\": must not be empty",
            "runner[1].name: must be set",
            "runner[1].command: must be set",
            "runner[1].capacity = 10: must be between 0 and 9 (jobs)",
            "runner[1].env.a = 1: must be a string",
            "runner[1].step[0].factor = 0: must be between 1 and 4 (times)",
            "runner[1].nme: unknown key",
        ],
    );
    check(
        "runner = [{ name = \"a\", command = [], step = { factor = 1 } }]",
        &["runner[0].step: must be written as [[apps.x.runner.step]], once for each"],
    );
    let read = settings("[[apps.x.runner]]\nname = \"a\"\ncommand = [\"b\"]\nenv.PATH = \"/bin\"", &[]).runner;
    assert_eq!(read.len(), 1);
    assert_eq!((read[0].name.as_str(), read[0].env["PATH"].as_str(), read[0].capacity), ("a", "/bin", 0));
}

#[test]
fn rows_come_from_the_environment_by_number_or_as_json() {
    let file = "[[apps.x.runner]]\nname = \"a\"\ncommand = []\ncapacity = 4\n";
    let env = [
        ("SIOD__APPS__X__RUNNER__1__NAME", "b"),
        ("SIOD__APPS__X__RUNNER__1__COMMAND", "sh, -c"),
        ("SIOD__APPS__X__RUNNER__0__CAPACITY", "5"),
        ("SIOD__APPS__X__RUNNER__1__STEP__0__FACTOR", "4"),
        ("SIOD__APPS__X__RUNNER__1__ENV", r#"{"A":"1"}"#),
    ];
    let read = settings(file, &env).runner;
    let shown: Vec<_> = read.iter().map(|row| (row.name.as_str(), row.capacity, row.command.len())).collect();
    assert_eq!(shown, [("a", 5, 0), ("b", 0, 2)]);
    assert_eq!((read[1].step[0].factor, read[1].env["A"].as_str()), (4.0, "1"));
    let read = settings(file, &[("SIOD__APPS__X__RUNNER", r#"[{"name":"c","command":["d"]}]"#)]).runner;
    assert_eq!((read.len(), read[0].name.as_str(), read[0].capacity), (1, "c", 0));
    let next = |name: &str| {
        format!("apps.x.runner: is numbered from 0 without gaps up to 2, and the next one is 1 (from {name})")
    };
    for name in ["SIOD__APPS__X__RUNNER__2__NAME", "SIOD__APPS__X__RUNNER__A__NAME", "SIOD__APPS__X__RUNNER__-1__NAME"]
    {
        assert_eq!(load(file, &[(name, "x")]).unwrap_err(), [next(name)]);
    }
    for (value, sentence) in [
        ("a", "apps.x.runner: must be written as [[apps.x.runner]], once for each (from SIOD__APPS__X__RUNNER)"),
        ("[1]", "apps.x.runner: must be written as [[apps.x.runner]], once for each (from SIOD__APPS__X__RUNNER)"),
        (
            r#"[{"name":"a","command":[],"capacity":"4"}]"#,
            "apps.x.runner[0].capacity = \"4\" (from SIOD__APPS__X__RUNNER): must be between 0 and 9 (jobs)",
        ),
        (r#"[{"name":"a","command":[],"cap":4}]"#, "apps.x.runner[0].cap: unknown key (from SIOD__APPS__X__RUNNER)"),
    ] {
        assert_eq!(load("", &[("SIOD__APPS__X__RUNNER", value)]).unwrap_err(), [sentence]);
    }
}

#[test]
fn a_map_is_laid_over_its_defaults_name_by_name() {
    let read = settings("apps.x.per_minute = { \"a:b\" = 6, c = 7 }", &[]).per_minute;
    assert_eq!(read, BTreeMap::from([("default".into(), 100), ("a:b".into(), 6), ("c".into(), 7)]));
    let env = ("SIOD__APPS__X__PER_MINUTE", r#"{"c": 8, "d": 9}"#);
    let read = settings("apps.x.per_minute = { \"a:b\" = 6, c = 7 }", &[env]).per_minute;
    assert_eq!(read, BTreeMap::from([("default".into(), 100), ("a:b".into(), 6), ("c".into(), 8), ("d".into(), 9)]));
    assert_eq!(settings("apps.x.modes.a = [\"b\"]", &[]).modes["a"], ["b"]);
}

#[test]
fn a_map_has_names_and_values_that_will_do() {
    const NAMES: &str = "per_minute: must have names of 1 to 255 bytes without control characters";
    for value in ["1", "[]", "\"a\"", "[{ a = 1 }]"] {
        check(&format!("per_minute = {value}"), &["per_minute: must be a table"]);
    }
    check("per_minute.\"\" = 1", &[NAMES]);
    check("per_minute.\"a\\nb\" = 1", &[NAMES]);
    check(&format!("per_minute.{} = 1", "n".repeat(256)), &[NAMES]);
    check(
        "per_minute = { \"a b\" = 1001, c = \"1\", d.e = 1 }",
        &[
            "per_minute.\"a b\" = 1001: must be between 0 and 1000 (per minute)",
            "per_minute.c = \"1\": must be between 0 and 1000 (per minute)",
            "per_minute.d = { e = 1 }: must be between 0 and 1000 (per minute)",
        ],
    );
    let many: String = (0..1_023).map(|number| format!("per_minute.n{number} = 1\n")).collect();
    check(&many, &["per_minute: must have at most 1024 names"]);
    for (name, value, sentence) in [
        (
            "PER_MINUTE",
            "a=1",
            "per_minute: must be a table, which is a JSON object here (from SIOD__APPS__X__PER_MINUTE)",
        ),
        (
            "PER_MINUTE",
            "[1]",
            "per_minute: must be a table, which is a JSON object here (from SIOD__APPS__X__PER_MINUTE)",
        ),
        (
            "PER_MINUTE",
            r#"{"a":null}"#,
            "per_minute: must be a table, which is a JSON object here (from SIOD__APPS__X__PER_MINUTE)",
        ),
        (
            "PER_MINUTE",
            r#"{"a":-1}"#,
            "per_minute.a = -1 (from SIOD__APPS__X__PER_MINUTE): must be between 0 and 1000 (per minute)",
        ),
        ("PER_MINUTE__A", "1", "per_minute: must be one variable, a JSON object (from SIOD__APPS__X__PER_MINUTE__A)"),
    ] {
        let found = load("", &[(&format!("SIOD__APPS__X__{name}"), value)]).unwrap_err();
        assert_eq!(found, [format!("apps.x.{sentence}")]);
    }
}

#[test]
fn wrong_variables_of_every_kind_are_named() {
    for (name, value, sentence) in [
        ("COUNT", "three", "count = \"three\" (from …): must be between 1 and 255 (milliseconds)"),
        ("SPEED", "fast", "speed = \"fast\" (from …): must be between 0.5 and 10 (km)"),
        ("SPEED", "nan", "speed = nan (from …): must be between 0.5 and 10 (km)"),
        ("ON", "yes", "on = \"yes\" (from …): must be true or false"),
        ("MODE", "x", "mode = \"x\" (from …): must be one of local, proxy"),
        ("TITLE", "", "title = \"\" (from …): must not be empty"),
        ("NAMES", "[1]", "names = \"[1]\" (from …): must be a list of strings"),
        ("BREAKER", "5", "breaker: must be a table, which is a JSON object here (from …)"),
        ("COUNT__A", "5", "count.a: unknown key (from …)"),
        ("BREAKER__INNER__NO", "5", "breaker.inner.no: unknown key (from …)"),
    ] {
        let name = format!("SIOD__APPS__X__{name}");
        let expected = format!("apps.x.{}", sentence.replace('…', &name));
        assert_eq!(load("", &[(&name, value)]).unwrap_err(), [expected]);
    }
    let env = [("SIOD__APPS__X__SPEED", "3"), ("SIOD__APPS__X__NAMES", ""), ("SIOD__APPS__X__MODE", "proxy")];
    let read = settings("apps.x.names = [\"a\"]", &env);
    assert_eq!((read.speed, read.mode, read.names.len()), (3.0, Mode::Proxy, 0));
}

#[test]
fn no_sentence_about_a_secret_of_any_depth_shows_it() {
    let wrong = [
        "xyzzy",
        "\"xyzzy\\n\"",
        "918273",
        "[\"xyzzy\"]",
        "[\"xyzzy\", 1]",
        "{ xyzzy = 1 }",
        "{ a = { xyzzy = \"xyzzy\" } }",
        "[{ xyzzy = \"xyzzy\" }]",
    ];
    for key in ["token", "keys", "breaker.key", "runner[0].token", "signing", "signing.a"] {
        for value in wrong {
            let line = match key.strip_prefix("runner[0].") {
                Some(name) => format!("[[apps.x.runner]]\nname = \"n\"\ncommand = []\n{name} = {value}"),
                None => format!("[apps.x]\n{key} = {value}"),
            };
            let Err(said) = load(&line, &[]) else {
                // What is a list of secrets is no mistake where one is asked for.
                assert!(key == "keys" && value == "[\"xyzzy\"]", "{line}");
                continue;
            };
            let said = said.join("\n");
            // The names of a map are no secrets.
            let said = if key == "signing" { said.replace("apps.x.signing.xyzzy", "") } else { said };
            assert!(!said.contains("xyzzy") && !said.contains("918273"), "{line}\n{said}");
        }
    }
    for name in ["SIGNING", "KEYS", "BREAKER", "RUNNER", "BREAKER__KEY__A", "TOKEN__A", "RUNNER__0", "RUNNER__7__TOKEN"]
    {
        for value in
            ["xyzzy", "[\"xyzzy\", 1]", "{\"a\":[\"xyzzy\"]}", "{\"key\":{\"xyzzy\":1}}", "{xyzzy", "\"xyzzy\""]
        {
            let name = format!("SIOD__APPS__X__{name}");
            // A list that is not JSON is one secret, or two.
            let said = load("", &[(&name, value)]).err().unwrap_or_default().join("\n");
            let is_list = name.ends_with("KEYS") && !value.starts_with('[');
            assert!(!said.contains("xyzzy") && (is_list || !said.is_empty()), "{name}={value}\n{said}");
        }
    }
    let held = "[apps.x]\ntoken = \"xyzzy\"\nkeys = [\"xyzzy\"]\nbreaker.key = \"xyzzy\"\nsigning.a = \"xyzzy\"\n\
                [[apps.x.runner]]\nname = \"n\"\ncommand = []\ntoken = \"xyzzy\"";
    let config = load(held, &[]).unwrap();
    let printed = config.to_printable_toml();
    assert!(!printed.contains("xyzzy") && !format!("{config:?}").contains("xyzzy"), "{printed}");
    assert_eq!(printed.matches("***").count(), 5);
}

#[test]
fn all_mistakes_of_all_depths_come_at_once() {
    let file =
        "apps.x = { count = 0, breaker = { failures = 0 }, runner = [{ name = 1 }], per_minute = { a = -1 }, no = 1 }";
    let found = load(file, &[("SIOD__APPS__X__SPEED", "0")]).unwrap_err();
    for key in ["count =", "speed =", "breaker.failures", "runner[0].name", "runner[0].command", "per_minute.a", "no:"]
    {
        let key = format!("apps.x.{key}");
        assert_eq!(found.iter().filter(|line| line.starts_with(&key)).count(), 1, "{key} in {found:#?}");
    }
    assert_eq!(found.len(), 7);
}

#[test]
fn every_kind_is_rendered_with_its_meaning_and_reads_back_as_the_same() {
    let written = r#"
        [apps.x]
        count = 9
        speed = 3
        names = ["a,b", "\"c\""]
        keys = ["k"]
        per_minute = { "a:b" = 1, "ñ" = 2 }
        signing = { a = "s" }
        modes = { m = ["n", "o"] }
        [apps.x.breaker]
        inner.factor = 1.25
        [[apps.x.runner]]
        name = "one"
        command = []
        [[apps.x.runner]]
        name = "two"
        command = ["sh"]
        env = { "A B" = "c" }
        [[apps.x.runner.step]]
        factor = 3
        [[apps.x.runner.step]]
    "#;
    for config in [load("", &[]).unwrap(), load(written, &[]).unwrap()] {
        let toml = config.to_toml();
        let read = load(&toml, &[]).unwrap_or_else(|refusals| panic!("{toml}\n{refusals:#?}"));
        assert_eq!(read, config, "{toml}");
    }
    let toml = load("", &[]).unwrap().to_toml();
    for part in [
        "# A number with fractions.\n# A number between 0.5 and 10 (km).\nspeed = 2.5\n",
        "# A word.\n# One of local, proxy.\nmode = \"local\"\n",
        "# A map.\n# A table of any names. A number between 0 and 1000 (per minute).\nper_minute = { \"a:b\" = 5, \"default\" = 100 }\n",
        "\n# A table.\n[apps.x.breaker]\n# Failures in a row that open it.\n# A number between 1 and 100.\nfailures = 5\n",
        "\n# # Rows.\n# [[apps.x.runner]]\n# # What it is called.\n# name = \"\"\n",
        "\n# # # Of what it does.\n# # [[apps.x.runner.step]]\n",
    ] {
        assert!(toml.contains(part), "{part}\nis not in\n{toml}");
    }
}
