//! That the command line does what it says: every option of every scenario by table, and what makes no sense is refused
//! with 2, before anything is sent.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::process::{Command, Output};

use clap::Args;
use loadtest::options::Options;
use loadtest::request;
use loadtest::scenario::{self, SCENARIOS};
use loadtest::table::rows::{How, ROWS};

/// The columns of [`TABLE`].
const COLUMNS: [&str; 13] = [
    "hold", "connect", "echo", "fanout", "rooms", "polling", "upgrade", "churn", "storm", "slow", "signage", "utalk",
    "iot",
];

/// An option, a value of it, and for each scenario: `y` it does something, `n` it is refused, `w` it is refused unless the
/// words of [`WITH`] stand beside it.
const TABLE: &[(&str, &str, &str)] = &[
    ("url", "{url}", "yyyyyyyyyyyyy"),
    ("namespace", "/lab", "yyyyyyyyyyyyy"),
    ("auth", "{\"token\":\"t{n}\"}", "yyyyyyyyyynnn"),
    ("header", "X-Forwarded-For: 10.0.0.1", "yyyyyyyyyyyyy"),
    ("clients", "7", "yyyyyyyyyyyyy"),
    ("seconds", "2", "ynyyyynyyyyyy"),
    ("warm-up-ms", "5", "ynyyyynyyyyyy"),
    ("processes", "2", "yyynnyyyynnnn"),
    ("threads", "2", "yyyyyyyyyyyyy"),
    ("rate", "50", "nnyyyynnwyyyy"),
    ("connect-rate", "50", "yyyyyyyyyyyyy"),
    ("connecting-max", "5", "yyyyyyyyyyyyy"),
    ("join-timeout-s", "3", "yyyyyyyyyyyyy"),
    ("size", "100", "nnyyyynnwynnn"),
    ("in-flight", "2", "nnyyyynnnynnn"),
    ("slow-percent", "20", "nnnnnnnnnynnn"),
    ("echo-event", "say", "nnynnyynwnnnn"),
    ("echo-args", "{}", "nnynnnnnnnnnn"),
    ("bcast-event", "say", "nnnynnnnnynnn"),
    ("claims", "{\"sub\":\"u{n}\"}", "wwwwwwwwwwnnn"),
    ("jwt-secret", "a secret", "wwwwwwwwwwyyy"),
    ("role", "admin=2", "nnnnnnnnnnyyy"),
    ("senders", "2", "nnnyynnnnnnnn"),
    ("rooms", "3", "nnnnynnnnnnnn"),
    ("room-size", "3", "nnnnynnnnnnnn"),
    ("room-sizes", "3,4", "nnnynnnnnnnnn"),
    ("join-event", "enter", "nnnwynnnnnnnn"),
    ("room-event", "say", "nnnwynnnnnnnn"),
    ("back-off", "stock", "nnnnnnnnynnnn"),
    ("neighbours", "2", "nnnnnnnnynnnn"),
    ("pid", "1", "yyyyyyyyyyyyy"),
    ("metrics", "{url}/metrics", "yyyyyyyyyyyyy"),
    ("json", "{file}", "yyyyyyyyyyyyy"),
    ("report", "{file}", "yyyyyyyyyyyyy"),
    ("max-p99-ms", "10", "nyyyyyyyyyyyy"),
    ("min-rate", "10", "nyyyyyyyyyyyy"),
];

/// What an option needs, in a scenario or in all of them.
const WITH: &[(&str, &str, &str)] = &[
    ("rate", "storm", "--neighbours=2"),
    ("size", "storm", "--neighbours=2"),
    ("echo-event", "storm", "--neighbours=2"),
    ("join-event", "fanout", "--room-sizes=2"),
    ("room-event", "fanout", "--room-sizes=2"),
    ("claims", "", "--jwt-secret=k"),
    ("jwt-secret", "", "--claims={}"),
];

/// A server that nobody must come to.
struct Untouched {
    listener: TcpListener,
    url: String,
}

impl Untouched {
    fn new() -> Untouched {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        listener.set_nonblocking(true).expect("it is a socket");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        Untouched { listener, url }
    }

    /// The process is refused with 2 and `says`, and nothing has come.
    #[track_caller]
    fn check(&self, arguments: &[&str], says: &str) {
        let output = loadtest(arguments);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), text.contains(says)), (Some(2), true), "{arguments:?}: {text}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
        let came = self.listener.accept().map_err(|error| error.kind());
        assert_eq!(came.map(|_| ()), Err(ErrorKind::WouldBlock), "{arguments:?}: somebody came");
    }
}

fn loadtest(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_loadtest")).args(arguments).output().expect("it can be started")
}

fn temporary(name: &str) -> String {
    std::env::temp_dir().join(format!("loadtest-options-{}-{name}", std::process::id())).to_string_lossy().into_owned()
}

/// Each cell of the table: the scenario, the option with a value, and its letter.
fn cells(url: &str) -> Vec<(&'static str, &'static str, String, char)> {
    let of = |(option, value, letters): &(&'static str, &str, &'static str)| {
        let value = value.replace("{url}", url).replace("{file}", &temporary("out"));
        let option = *option;
        let cell = move |(scenario, letter)| (scenario, option, format!("--{option}={value}"), letter);
        COLUMNS.into_iter().zip(letters.chars()).map(cell).collect::<Vec<_>>()
    };
    TABLE.iter().flat_map(of).collect()
}

#[test]
fn the_table_is_whole() {
    let all = Options::augment_args(clap::Command::new("options"));
    let names: BTreeSet<&str> = all.get_arguments().map(request::long).collect();
    assert_eq!(TABLE.iter().map(|(option, _, _)| *option).collect::<BTreeSet<_>>(), names);
    assert_eq!(SCENARIOS.iter().map(|kind| kind.name).collect::<Vec<_>>(), COLUMNS);
    assert!(TABLE.iter().all(|(_, _, letters)| letters.len() == COLUMNS.len()));
    let own = SCENARIOS.iter().flat_map(|kind| kind.options.iter().copied().flatten());
    own.for_each(|own| assert!(names.contains(own.option), "--{} is no option", own.option));
    let helps = all.get_arguments().map(|option| option.get_help().map(ToString::to_string).unwrap_or_default());
    // Where help has these three characters, clap begins a line instead.
    helps.for_each(|help| assert!(!help.is_empty() && !help.contains("{n}"), "{help:?}"));
}

#[test]
fn an_option_is_taken_where_it_does_something() {
    for (scenario, option, word, letter) in cells("http://127.0.0.1:9") {
        let kind = scenario::find(scenario).expect("the table is whole");
        let with = WITH.iter().find(|(of, beside, _)| *of == option && (beside.is_empty() || *beside == scenario));
        let words = match (letter, with) {
            ('y', _) => vec![word.as_str()],
            ('w', Some((_, _, with))) => vec![word.as_str(), with],
            _ => continue,
        };
        let parsed = request::parse(kind, &words).map_err(|error| error.to_string());
        assert!(parsed.is_ok(), "{scenario} {words:?}: {parsed:?}");
    }
}

#[test]
fn options_of_other_scenarios_are_refused_before_anything_is_sent() {
    let server = Untouched::new();
    for (scenario, option, word, letter) in cells(&server.url) {
        if letter != 'y' {
            let says = if letter == 'n' { format!("{scenario} has no --{option}") } else { "--".to_owned() };
            server.check(&[scenario, "--url", &server.url, &word], &says);
        }
    }
}

/// The lines of a help text that begin with an option, without their dashes.
fn shown(help: &str) -> BTreeSet<&str> {
    let words = help.lines().filter_map(|line| line.trim_start().strip_prefix("--")?.split([' ', '<']).next());
    words.collect()
}

#[test]
fn help_shows_what_a_scenario_does_and_its_options() {
    let text = |arguments: &[&str]| {
        let output = loadtest(arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        String::from_utf8(output.stdout).expect("it is text")
    };
    let all = text(&["--help"]);
    for (at, kind) in SCENARIOS.iter().enumerate() {
        let line = all.lines().find(|line| line.split_whitespace().next() == Some(kind.name));
        let flat = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let said = line.map(|line| flat(line).split_off(kind.name.len() + 1));
        assert_eq!(said.as_deref(), Some(kind.about), "{all}");
        let help = text(&[kind.name, "--help"]);
        assert!(flat(&help).starts_with(kind.about), "{help}");
        let taken = TABLE.iter().filter(|(_, _, letters)| letters.chars().nth(at) != Some('n'));
        let expected: BTreeSet<&str> = taken.map(|(option, _, _)| *option).collect();
        assert_eq!(shown(&help), expected, "{}", kind.name);
        for own in kind.options.iter().copied().flatten() {
            assert!(flat(&help).contains(own.help), "{}: {}", kind.name, own.option);
        }
    }
    let compare = text(&["compare", "--help"]);
    let expected: BTreeSet<&str> = TABLE.iter().map(|(option, _, _)| *option).collect();
    let others = ["a", "b", "a-with", "b-with", "pairs"];
    let expected = expected.into_iter().filter(|option| !matches!(*option, "url" | "report")).chain(others);
    assert_eq!(shown(&compare), expected.collect());
    assert!(compare.contains("(echo, polling, upgrade, storm)"), "{compare}");
}

#[test]
fn what_makes_no_sense_is_refused_before_anything_is_sent() {
    let server = Untouched::new();
    let check = |words: &str, says: &str| {
        let (scenario, words) = words.split_once(' ').expect("a scenario and options");
        let words = words.split('|').filter(|word| !word.is_empty());
        server.check(&[scenario, "--url", &server.url].into_iter().chain(words).collect::<Vec<_>>(), says);
    };
    for kind in SCENARIOS.iter().filter(|kind| kind.option("auth").is_some()) {
        for auth in ["token", "{\"token\":", "[1]", "\"x\"", "{\"a\":0{n}}"] {
            check(&format!("{} --auth|{auth}", kind.name), "--auth is a JSON object");
        }
    }
    check("hold --claims|[]|--jwt-secret|k", "--claims is a JSON object");
    check("hold --claims|{}", "--claims needs --jwt-secret");
    check("hold --jwt-secret|k", "--jwt-secret signs --claims");
    check("hold --auth|{}|--claims|{}|--jwt-secret|k", "--claims are sent instead of --auth");
    check("echo --in-flight|2|--rate|5", "--in-flight is for a closed loop");
    check("rooms --in-flight|2|--rate|5", "--in-flight is for a closed loop");
    check("fanout --bcast-event|x|--room-sizes|2", "--bcast-event goes to all");
    check("fanout --join-event|x", "--join-event needs --room-sizes");
    check("fanout --room-event|x", "--room-event needs --room-sizes");
    check("fanout --senders|5|--clients|4", "--senders are some of the --clients");
    check("fanout --clients|19001", "one process has 19000 clients at most");
    check("hold --clients|19001", "need --processes 2");
    check("hold --clients|3|--processes|4", "too few for 4 processes");
    check("storm --rate|5", "only --neighbours send something");
    check("storm --neighbours|4|--clients|4", "--neighbours are some");
    check("signage --role|player=3", "all are player who have no other role");
    check("signage --role|operator=3", "there is no such role, but admin");
    check("signage --role|admin=4|--clients|4", "leave none that is player");
    check("hold --connecting-max|3|--threads|4", "--connecting-max is at least one for each thread: 4");
    check("hold --header|X", "--header is NAME: VALUE");
    check("hold --header|X: y\r\nZ: 1", "--header is NAME: VALUE");
    check("hold --namespace|/a,b", "--namespace");
    check("hold --pid|4294967295", "there is no such process");
    check("hold --metrics|https://127.0.0.1/metrics", "--metrics");
    check("hold --metrics|http://127.0.0.1:9464", "http://host:port/path");
    check("hold --json|/nowhere/out.json", "cannot write /nowhere/out.json");
    check("hold --report|/", "cannot write /");
    check("echo --max-p99-ms|NaN", "--max-p99-ms");
    check("echo --min-rate=-1", "--min-rate");
    check("echo --echo-event|a\"b", "--echo-event");
    check("echo --echo-args|{", "--echo-args is no JSON arguments");
    check("echo --clients|0", "--clients");
    server.check(&["echo", "--url", "https://127.0.0.1"], "only http://");
    server.check(&["echo", "--url", "http://127.0.0.1:1/?a=b"], "http://host:port/path/");
    server.check(&["table", "--page", "/nowhere.md"], "/nowhere.md");
    server.check(&["table", "--page", concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")], "has no place for the table");
    server.check(&["table", "--server-cpu", "1023"], "there is no such core");
    server.check(&["floor", "--mode", "slow"], "--mode");
}

#[test]
fn compare_takes_what_it_can_do() {
    let server = Untouched::new();
    let check = |words: &[&str], says: &str| {
        let (a, b) = (["--a", &server.url], ["--b", &server.url]);
        server.check(&[&["compare", words[0]], &a[..], &b, &words[1..]].concat(), says);
    };
    let file = temporary("compare");
    check(&["echo", "--report", &file], "--report is no option of a side");
    check(&["echo", "--url", &server.url], "--url is no option of a side");
    check(&["echo", "--a-with", &format!("--json {file}")], "--json is no option of a side");
    check(&["echo", "--b-with", &format!("--report {file}")], "--report is no option of a side");
    check(&["echo", "--b-with", "--url http://127.0.0.1:1"], "--url is no option of a side");
    check(&["echo", "--b-with", "--nothing 1"], "--nothing");
    check(&["echo", "--b-with", "--help"], "--help");
    check(&["echo", "--rooms", "3"], "echo has no --rooms: it is an option of rooms");
    check(&["echo", "--b-with", "--rooms 3"], "echo has no --rooms: it is an option of rooms");
    check(&["echo", "--auth", "x"], "--auth is a JSON object");
    check(&["echo", "--b-with", "--auth x"], "--auth is a JSON object");
    check(&["hold", "--b-with", "--clients 19001"], "need --processes 2");
    check(&["echo", "--json", "/nowhere/out.json"], "cannot write /nowhere/out.json");
    check(&["nothing"], "nothing");
    assert!(!std::path::Path::new(&file).exists(), "nothing was written");
}

/// The rows of the table are command lines that nobody types.
#[test]
fn rows_of_the_table_are_sound() {
    let runs = ROWS.iter().filter_map(|row| match &row.how {
        How::Runs(runs) => Some(runs),
        _ => None,
    });
    for (command, with) in runs.flat_map(|runs| runs.rivals.iter().map(|rival| (runs.command, rival.with))) {
        let (name, words) = command.split_once(' ').expect("a scenario and options");
        let kind = scenario::find(name).expect("rows name scenarios of the list");
        let words = words.split_whitespace().chain(with.split_whitespace()).collect::<Vec<_>>();
        let parsed = request::parse(kind, &words).map_err(|error| error.to_string());
        assert!(parsed.is_ok(), "{command} {with}: {parsed:?}");
    }
}
