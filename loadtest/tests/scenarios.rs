//! Every scenario against siod's lab with 20 clients, and the floor against the same clients. Bounded in seconds: these
//! are tests of the harness, not of speed.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use loadtest::floor::{self, Mode};
use loadtest::outcome::Outcome;
use loadtest::report::Report;
use loadtest::scenario;
use loadtest::{request, run};

/// Signs tokens; without one any text is a token too.
const SECRET: &str = "a secret of at least thirty-two bytes";

/// siod in this process, on a port of its own, with pings as often as the conformance fixture sends them.
fn lab() -> SocketAddr {
    static LAB: OnceLock<SocketAddr> = OnceLock::new();
    *LAB.get_or_init(|| {
        let (public, admin) = (free_addr(), free_addr());
        let data = std::env::temp_dir().join(format!("loadtest-data-{}", std::process::id()));
        let text = format!(
            "[store]\nurl = \"memory:\"\n[server]\nshards = 1\ndata_dir = {data:?}\n[admin]\nbind = \"{admin}\"\n\
             [apps.lab]\nenabled = true\n[apps.utalk.events_per_minute]\n\"message:send\" = 0\n\"sync:state\" = 0\n[apps.iot]\nmax_messages_per_minute = 100000\nmax_messages_per_minute_ip = 1000000\n[auth]\njwt_secret = \"{SECRET}\"\n[[listener]]\nbind = \"{public}\"\nroot = \"lab\"\nping_interval_ms = 300\n"
        );
        let path = std::env::temp_dir().join(format!("loadtest-lab-{}.toml", std::process::id()));
        std::fs::write(&path, text).expect("the temporary directory can be written to");
        let flags = siod::config::args::Flags { config: Some(path.clone()), ..Default::default() };
        let config = flags.load(&siod::apps::TABLE).expect("this configuration is valid");
        std::fs::remove_file(path).expect("it was written above");
        std::thread::spawn(move || siod::server::Process::start().expect("a runtime starts").run(&config));
        wait_for(public);
        public
    })
}

fn free_addr() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port is free")
}

fn wait_for(addr: SocketAddr) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while TcpStream::connect(addr).is_err() {
        assert!(Instant::now() < deadline, "nobody listens on {addr}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn floor(mode: Mode) -> SocketAddr {
    let server = floor::Server::bind("127.0.0.1:0".parse().expect("an address"), mode).expect("a port is free");
    let addr = server.local_addr().expect("it is bound");
    std::thread::spawn(move || server.run());
    addr
}

fn run(scenario: &str, addr: SocketAddr, more: &[&str]) -> (Outcome, Report) {
    let kind = scenario::find(scenario).expect("it is in the table");
    let url = format!("http://{addr}");
    let mut arguments = vec!["--url", url.as_str(), "--clients", "20"];
    if kind.option("seconds").is_some() {
        arguments.extend(["--seconds", "1", "--warm-up-ms", "100"]);
    }
    arguments.extend(more);
    let outcome =
        run::run(kind, &request::parse(kind, &arguments).expect("the arguments are valid")).expect("it can be run");
    let report = Report::of(kind, &outcome);
    (outcome, report)
}

/// Runs a scenario that must do at least so many units, and go well.
fn check(scenario: &str, addr: SocketAddr, more: &[&str], at_least: u64) -> Outcome {
    let (outcome, report) = run(scenario, addr, more);
    assert!(report.failures.is_empty(), "{}", report.to_text());
    assert!(outcome.done() >= at_least, "{}", report.to_text());
    let json: serde_json::Value = serde_json::from_str(&report.to_json()).expect("it is JSON");
    assert_eq!(json["figures"]["clients_joined"], 20.0, "{json}");
    assert!(json["figures"]["server_cpus"].as_f64().expect("the server is on this machine") >= 0.0);
    outcome
}

#[test]
fn hold_answers_pings() {
    let outcome = check("hold", lab(), &["--seconds", "2"], 0);
    assert_eq!((outcome.from.joined, outcome.to.joined), (20, 20));
}

#[test]
fn connect_counts_every_client_once() {
    assert_eq!(check("connect", lab(), &["--threads", "2"], 20).figures.latency.len(), 20);
}

#[test]
fn connect_keeps_its_rate() {
    let outcome = check("connect", lab(), &["--connect-rate", "50"], 20);
    assert!(outcome.seconds() > 0.37, "20 clients, 20 ms apart: {} s", outcome.seconds());
}

#[test]
fn echo_in_closed_loop() {
    check("echo", lab(), &["--in-flight", "2"], 40);
}

#[test]
fn echo_in_open_loop_sends_at_its_rate() {
    let outcome = check("echo", lab(), &["--rate", "200", "--threads", "2"], 100);
    assert!(outcome.done() < 260, "{} in a second", outcome.done());
}

#[test]
fn fanout_reaches_everybody_once_and_in_order() {
    check("fanout", lab(), &["--in-flight", "4", "--namespace", "/lab"], 80);
}

#[test]
fn fanout_by_two_threads_and_at_a_rate() {
    check("fanout", lab(), &["--threads", "2"], 20);
    check("fanout", lab(), &["--rate", "50", "--size", "300"], 20 * 25);
}

#[test]
fn fanout_by_several_senders() {
    let outcome = check("fanout", lab(), &["--senders", "3", "--threads", "2", "--in-flight", "2"], 20 * 3);
    assert_eq!(outcome.figures.count("speakers"), 3);
}

#[test]
fn fanout_to_rooms_of_given_sizes() {
    let outcome = check("fanout", lab(), &["--room-sizes", "1,5,20", "--threads", "2"], 26);
    let parts: Vec<_> = outcome.figures.parts.keys().map(String::as_str).collect();
    assert_eq!(parts, ["room of 1", "room of 20", "room of 5"]);
    assert_eq!(outcome.figures.count("memberships"), 26);
}

#[test]
fn rooms_reach_their_members_and_nobody_else() {
    let rooms = ["--rooms", "30", "--room-size", "4"];
    let outcome = check("rooms", lab(), &[&rooms[..], &["--threads", "2", "--senders", "2"]].concat(), 30 * 4);
    assert_eq!((outcome.figures.count("memberships"), outcome.figures.count("speakers")), (120, 60));
    let outcome = check("rooms", lab(), &[&rooms[..], &["--rate", "100", "--namespace", "/lab"]].concat(), 4 * 50);
    assert!(outcome.done() < 4 * 130, "{} in a second", outcome.done());
}

#[test]
fn a_server_that_ignores_rooms_is_found_out() {
    // It gives everybody everything.
    let (_, report) = run("rooms", floor(Mode::Fanout), &["--rooms", "2", "--room-size", "2"]);
    assert!(report.failures.iter().any(|failure| failure.contains("rooms not joined")), "{}", report.to_text());
}

#[test]
fn polling_takes_post_and_get() {
    check("polling", lab(), &[], 20);
}

#[test]
fn upgrade_moves_every_session() {
    assert_eq!(check("upgrade", lab(), &[], 20).figures.latency.len(), 20);
}

#[test]
fn an_upgrade_that_is_not_answered_is_not_waited_for_without_end() {
    // lab answers a broadcast to nobody in particular.
    let (outcome, report) = run("upgrade", lab(), &["--echo-event", "bcast", "--join-timeout-s", "1"]);
    assert_eq!((outcome.done(), outcome.figures.count("unanswered")), (0, 20), "{}", report.to_text());
    assert!(!report.failures.is_empty(), "{}", report.to_text());
}

#[test]
fn churn_comes_and_goes() {
    check("churn", lab(), &[], 20);
}

#[test]
fn storm_ends_when_all_are_back() {
    assert_eq!(check("storm", lab(), &["--seconds", "10"], 20).done(), 20);
}

#[test]
fn neighbours_of_a_storm_keep_asking() {
    let outcome = check("storm", lab(), &["--seconds", "10", "--neighbours", "5", "--rate", "400"], 15);
    assert_eq!((outcome.figures.count("lost"), outcome.figures.count("tries")), (15, 15));
    let count = |name| outcome.figures.part(name).map_or(0, |part| part.len());
    assert!(count("neighbours before") >= 20 && count("neighbours during") > 0);
}

#[test]
fn a_storm_with_the_stock_back_off_takes_its_time() {
    let outcome = check("storm", lab(), &["--seconds", "10", "--back-off", "stock", "--threads", "2"], 20);
    let ms = |ns: u64| ns / 1_000_000;
    let latency = &outcome.figures.latency;
    assert!(ms(latency.min()) >= 490 && ms(latency.max()) < 3_000, "{} to {} ms", latency.min(), latency.max());
}

#[test]
fn slow_receivers_do_not_cost_the_others_anything() {
    let outcome = check("slow", lab(), &["--slow-percent", "20"], 100);
    assert_eq!(outcome.figures.count("slow"), 4);
}

#[test]
fn signage_players_report_and_admins_command() {
    let mix = ["--namespace", "/signage", "--rate", "200", "--role", "admin=2", "--seconds", "2"];
    // With names for tokens and with signed ones; the second time the devices are known already.
    for more in [&["--threads", "2"][..], &["--jwt-secret", SECRET]] {
        let outcome = check("signage", lab(), &[&mix[..], more].concat(), 60);
        assert_eq!((outcome.figures.count("admin"), outcome.figures.count("player")), (2, 18));
        let parts: Vec<_> = outcome.figures.parts.keys().map(String::as_str).collect();
        // On a busy machine admins ask for the list as well.
        for part in ["command answered", "snapshot answered", "state answered", "update seen"] {
            assert!(parts.contains(&part), "{part} of {parts:?}");
        }
    }
}

#[test]
fn utalk_agents_send_read_type_and_catch_up() {
    let mix = ["--namespace", "/app", "--rate", "200", "--role", "admin=2", "--seconds", "2"];
    for more in [&["--threads", "2"][..], &["--jwt-secret", SECRET]] {
        let outcome = check("utalk", lab(), &[&mix[..], more].concat(), 60);
        assert_eq!((outcome.figures.count("admin"), outcome.figures.count("agent")), (2, 18));
        let parts: Vec<_> = outcome.figures.parts.keys().map(String::as_str).collect();
        assert_eq!(
            parts,
            ["message seen", "presence set", "read acknowledged", "sent", "synced", "typing acknowledged"]
        );
    }
}

#[test]
fn iot_browsers_watch_what_services_tell() {
    let mix = ["--namespace", "/iot", "--rate", "200", "--role", "service=2", "--seconds", "2"];
    for more in [&["--threads", "2"][..], &["--jwt-secret", SECRET]] {
        let outcome = check("iot", lab(), &[&mix[..], more].concat(), 60);
        assert_eq!(["service", "admin", "browser"].map(|role| outcome.figures.count(role)), [2, 1, 17]);
        let parts: Vec<_> = outcome.figures.parts.keys().map(String::as_str).collect();
        assert_eq!(parts, ["joined", "tested", "told", "word seen"]);
    }
}

#[test]
fn hold_with_claims_of_each_client() {
    let claims = r#"--claims={"sub":"op-{n}","role":"operator","groups":["g1","g2","g3"]}"#;
    check("hold", lab(), &["--namespace", "/signage", claims, "--jwt-secret", SECRET], 0);
}

#[test]
fn the_floor_echoes_and_fans_out() {
    check("echo", floor(Mode::Echo), &[], 20);
    check("fanout", floor(Mode::Fanout), &["--in-flight", "4"], 80);
    check("churn", floor(Mode::Echo), &[], 20);
}

#[test]
fn thresholds_and_faults_fail_a_run() {
    let (_, report) = run("echo", lab(), &["--max-p99-ms", "0.000001", "--min-rate", "1000000000"]);
    assert_eq!(report.failures.len(), 2, "{}", report.to_text());
    let (_, report) = run("echo", lab(), &["--namespace", "/nowhere"]);
    assert!(report.failures.iter().any(|failure| failure == "0 of 20 clients joined"), "{}", report.to_text());
    let (_, report) = run("connect", free_addr(), &[]);
    assert!(report.to_text().contains("20 × cannot connect: connection refused"), "{}", report.to_text());
}
