//! The configuration from the outside: text in, a value or sentences out.

mod kinds;

use std::fs;
use std::path::PathBuf;

use super::*;
use crate::app::kit::dialect::Dialect;
use crate::app::settings::{Entry, Kind, Value, entries};
use crate::apps::TABLE;

fn load(file: &str, env: &[(&str, &str)], flags: &[(&'static str, &str, &'static str)]) -> Result<Config, Refusals> {
    Config::load(
        &TABLE,
        &Source {
            file: Some(("siod.toml".to_owned(), file.to_owned())),
            env: env.iter().map(|(name, value)| ((*name).to_owned(), Some((*value).to_owned()))).collect(),
            flags: flags.iter().map(|(key, value, flag)| (*key, (*value).to_owned(), *flag)).collect(),
        },
    )
}

/// What was chosen for signage.
fn signage(config: &Config) -> &crate::apps::signage::settings::Settings {
    let chosen = config.apps.iter().find_map(|app| app.settings.values().downcast_ref());
    chosen.expect("signage is in the table")
}

fn parse(file: &str) -> Config {
    load(file, &[], &[]).unwrap_or_else(|refusals| panic!("{file}\n{refusals}"))
}

/// The sentences about a file that is refused.
fn refusals(file: &str) -> Vec<String> {
    load(file, &[], &[]).expect_err(file).0
}

#[test]
fn nothing_written_is_the_defaults_as_designed() {
    let config = Config::load(&TABLE, &Source::default()).unwrap();
    assert_eq!(config, Config::untold(&TABLE));
    assert_eq!(config.listeners.len(), 1);
    let listener = &config.listeners[0];
    assert_eq!((listener.bind.to_string().as_str(), listener.root), ("127.0.0.1:3000", None));
    assert_eq!(config.store, Store::Sqlite(PathBuf::from("data/siod.db")));
    assert!(!config.serves("lab") && config.serves("signage"));
}

#[test]
fn the_example_names_every_key_and_equals_the_defaults() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/config.toml.example");
    let rendered = Config::untold(&TABLE).to_toml();
    if std::env::var_os("SIOD_WRITE_EXAMPLE").is_some() {
        fs::write(path, &rendered).unwrap();
    }
    let example = fs::read_to_string(path).unwrap();
    assert_eq!(parse(&example), Config::untold(&TABLE));
    assert_eq!(example, rendered, "run the tests once with SIOD_WRITE_EXAMPLE=1");
}

/// A configuration in which no value is its default.
fn unusual() -> Config {
    let long = "0123456789abcdef0123456789abcdef";
    let file = format!(
        r#"
        server = {{ shards = 3, data_dir = "d \"x\"", drain_timeout_s = 0, drain_delay_s = 7, client_dir = "c" }}
        admin = {{ bind = "0.0.0.0:9", ipv6_only = true, token = "adm-0123456789abcd", trusted_proxies = ["10.0.0.4"], proxy_protocol = true }}
        auth = {{ mode = "jwt", jwt_secret = '{long}', jwt_issuer = "i", jwt_audience = "a", jwt_leeway_s = 0, claims = {{ sub = ["uid"] }} }}
        store.url = "memory:"
        limits = {{ connections_max = 9, handshakes_per_ip_per_s_max = 8, outbox_bytes_max = 5000, outbox_low_mark_bytes = 5000 }}
        upstream = {{ allow = ["10.1.0.0/16", "127.0.0.1"], nameservers = ["9.9.9.9", "[::1]:5353"], ca_file = "ca.pem" }}
        log = {{ format = "json", level = "trace", lines_per_s_max = 7 }}
        apps.lab.enabled = true
        [apps.signage]
        enabled = false
        state_interval_ms = 0
        subscribe_on_connect = false
        extra_commands = ["vlc:next", "a,b"]
        fleet_token = "player_token"
        public_url = "https://x.example/"
        [[listener]]
        bind = "[::]:1"
        ipv6_only = true
        root = "lab"
        paths = ["/a/", "/b"]
        cors_origins = ["*"]
        ping_jitter = false
        trusted_proxies = ["10.0.0.4", "2001:db8::/32", "::1"]
        proxy_protocol = true
        static_root = "page"
        dialect = "loud"
        [[listener]]
        bind = "10.0.0.1:2"
        paths = ["/api/socket"]
        cors_origins = ["https://a.example", "http://b.example:8080"]
        "#
    );
    parse(&file)
}

#[test]
fn what_is_rendered_reads_back_as_the_same() {
    for config in [Config::untold(&TABLE), unusual()] {
        assert_eq!(parse(&config.to_toml()), config);
    }
    assert_eq!(signage(&unusual()).public_url, "https://x.example");
}

#[test]
fn what_is_printed_hides_secrets() {
    let printed = unusual().to_printable_toml();
    for secret in ["0123456789abcdef", "adm-0123456789abcd", "player_token"] {
        assert!(!printed.contains(secret), "{secret} in {printed}");
        assert!(!format!("{:?}", unusual()).contains(secret));
    }
    assert_eq!(printed.matches("= \"***\"").count(), 3);
}

#[test]
fn a_flag_beats_the_environment_which_beats_the_file_which_beats_the_defaults() {
    let shards = |file: &str, env: &[(&str, &str)], flags: &[(&'static str, &str, &'static str)]| {
        load(file, env, flags).unwrap().server.shards
    };
    let (file, env, flag) = ("server.shards = 1", ("SIOD__SERVER__SHARDS", "2"), ("server.shards", "3", "--shards"));
    assert_eq!(shards("", &[], &[]), 0);
    assert_eq!(shards(file, &[], &[]), 1);
    assert_eq!(shards(file, &[env], &[]), 2);
    assert_eq!(shards(file, &[env], &[flag]), 3);
}

#[test]
fn the_environment_reaches_every_kind_of_key() {
    let config = load(
        "[[listener]]\nroot = \"signage\"",
        &[
            ("SIOD__AUTH__JWT_SECRET", "12"),
            ("SIOD__APPS__LAB__ENABLED", "true"),
            ("SIOD__APPS__SIGNAGE__EXTRA_COMMANDS", "a, b"),
            ("SIOD__LISTENER__0__PATHS", "[\"/x/\"]"),
            ("SIOD__LISTENER__1__BIND", "127.0.0.1:2"),
            ("SIOD__LISTENER__1__ROOT", "lab"),
            ("SIOD__LISTENER__0__CORS_ORIGINS", ""),
            ("SIOD__SERVER__DATA_DIR", "/var/lib/siod"),
            ("SIOD_OTHER", "x"),
            ("PATH", "x"),
        ],
        &[],
    )
    .unwrap();
    assert_eq!(config.auth.jwt_secret, Secret::new("12"));
    assert!(config.serves("lab"));
    assert_eq!(signage(&config).extra_commands, ["a", "b"]);
    assert_eq!(config.store, Store::Sqlite(PathBuf::from("/var/lib/siod/siod.db")));
    let payloads: Vec<usize> = config.listeners.iter().map(|listener| listener.engine.max_payload_bytes).collect();
    assert_eq!(payloads, [33_554_432, 1_000_000]);
    assert_eq!(config.listeners[0].root_at("/x/"), Some(Some("signage")));
}

#[test]
fn a_root_may_want_other_engine_values_unless_they_are_written() {
    for (file, expected) in [
        ("root = \"none\"", (20_000, 10_000, 1_000_000)),
        ("root = \"signage\"", (20_000, 10_000, 33_554_432)),
        ("root = \"utalk\"", (60_000, 5_000, 100_000_000)),
        ("ping_timeout_ms = 7000\nmax_payload_bytes = 5000\nroot = \"utalk\"", (7_000, 5_000, 5_000)),
    ] {
        let config = parse(&format!("[[listener]]\n{file}"));
        let is = &config.listeners[0].engine;
        assert_eq!((is.ping_timeout_ms, is.connect_timeout_ms, is.max_payload_bytes), expected, "{file}");
        assert_eq!(parse(&config.to_toml()), config);
    }
}

#[test]
fn wrong_variables_are_named() {
    for (name, value, expected) in [
        ("SIOD__SERVER__SHRADS", "1", "server.shrads: unknown key (from SIOD__SERVER__SHRADS)"),
        (
            "SIOD__SERVER__SHARDS",
            "two",
            "server.shards = \"two\" (from SIOD__SERVER__SHARDS): must be between 0 and 256",
        ),
        (
            "SIOD__LISTENER__2__BIND",
            "",
            "listener: is numbered from 0 without gaps up to 63, and the next one is 1 (from SIOD__LISTENER__2__BIND)",
        ),
        (
            "SIOD__LISTENER__X__BIND",
            "",
            "listener: is numbered from 0 without gaps up to 63, and the next one is 1 (from SIOD__LISTENER__X__BIND)",
        ),
        (
            "SIOD__APPS__LAB__ENABLED",
            "yes",
            "apps.lab.enabled = \"yes\" (from SIOD__APPS__LAB__ENABLED): must be true or false",
        ),
        ("SIOD__LISTENER__0__NO", "x", "listener[0].no: unknown key (from SIOD__LISTENER__0__NO)"),
        ("SIOD__", "x", ": unknown key (from SIOD__)"),
    ] {
        assert_eq!(load("", &[(name, value)], &[]).expect_err(name).0, [expected]);
    }
}

#[test]
fn every_wrong_value_gives_its_sentence() {
    const WORDS: &str = "must be one of iot, lab, signage, utalk, none";
    const ADDRESS: &str = "must be an IP address and a port, such as 127.0.0.1:3000 or [::1]:3000";
    const PATHS: &str = "must be a list of paths, each beginning with / and without spaces, ? and #";
    const ORIGINS: &str = "must be [\"*\"] or exact origins as browsers send them, such as \"https://app.example\", \
        \"http://[::1]:8080\", \"capacitor://localhost\" or \"null\"";
    const CLAIMS: &str = "must be a list of 1 to 16 names of 1 to 255 bytes";
    const STORE: &str = "must be \"sqlite:FILE\" or \"memory:\"";
    const FLEET: &str = "must be at most 8192 bytes, without \"Bearer\" and spaces around it";
    const HEADER: &str = "must be at most 8192 visible ASCII characters without spaces";
    for (key, value, wanted) in [
        ("listener[0].ping_interval_ms", "5", "must be between 100 and 3600000 (milliseconds)"),
        ("listener[0].ping_timeout_ms", "3600001", "must be between 100 and 3600000 (milliseconds)"),
        ("listener[0].max_payload_bytes", "1", "must be between 1024 and 268435456 (bytes)"),
        ("listener[0].connect_timeout_ms", "-1", "must be between 100 and 600000 (milliseconds)"),
        ("listener[0].ping_jitter", "1", "must be true or false"),
        ("listener[0].root", "\"chat\"", WORDS),
        ("listener[0].root", "\"dispatch\"", WORDS),
        ("listener[0].bind", "\"localhost:3000\"", ADDRESS),
        ("listener[0].bind", "\"127.0.0.1\"", ADDRESS),
        ("listener[0].bind", "3000", "must be a string"),
        ("listener[0].paths", "[]", PATHS),
        ("listener[0].paths", "[\"socket.io\"]", PATHS),
        ("listener[0].paths", "[\"/a b\"]", PATHS),
        ("listener[0].paths", "\"/a\"", "must be a list of strings"),
        ("listener[0].paths", "[1]", "must be a list of strings"),
        ("listener[0].cors_origins", "[\"*\", \"https://a\"]", ORIGINS),
        ("listener[0].cors_origins", "[\"https://a/\"]", ORIGINS),
        ("listener[0].cors_origins", "[\"a.example\"]", ORIGINS),
        ("listener[0].cors_origins", "[\"https://*.example\"]", ORIGINS),
        ("listener[0].cors_origins", "[\"https://bücher.example\"]", ORIGINS),
        ("listener[0].cors_origins", "[\"\"]", ORIGINS),
        ("server.shards", "257", "must be between 0 and 256"),
        ("server.shards", "1.0", "must be between 0 and 256"),
        ("server.shards", "\"1\"", "must be between 0 and 256"),
        ("server.data_dir", "\"\"", "must name a directory"),
        ("server.data_dir", "\"a\\nb\"", "must not contain control characters"),
        ("server.drain_timeout_s", "3601", "must be between 0 and 3600 (seconds)"),
        ("admin.bind", "\"\"", ADDRESS),
        ("auth.mode", "\"none\"", "must be one of dev, jwt"),
        ("auth.jwt_leeway_s", "601", "must be between 0 and 600 (seconds)"),
        ("auth.claims.sub", "[]", CLAIMS),
        ("auth.claims.role", "[\"\"]", CLAIMS),
        ("auth.claims.name", "\"name\"", "must be a list of strings"),
        ("store.url", "\"postgres://x\"", STORE),
        ("store.url", "\"sqlite:\"", STORE),
        ("log.format", "\"xml\"", "must be one of auto, pretty, json"),
        ("log.level", "\"loud\"", "must be one of error, warn, info, debug, trace"),
        ("limits.connections_max", "0", "must be between 1 and 10000000"),
        ("limits.outbox_bytes_max", "1", "must be between 4096 and 1073741824 (bytes)"),
        ("apps.lab.enabled", "\"true\"", "must be true or false"),
        ("apps.signage.command_retries_max", "11", "must be between 0 and 10"),
        ("apps.signage.extra_commands", "[\"\"]", "must be a list of names of 1 to 255 bytes"),
        ("apps.signage.public_url", "\"ftp://x\"", "must be empty or begin with http:// or https://"),
    ] {
        assert_eq!(refusals(&written(key, value)), [format!("{key} = {value}: {wanted}")]);
    }
    assert_eq!(refusals(&written("admin.token", "\"a b\"")), [format!("admin.token = ***: {HEADER}")]);
    for token in ["\" a\"", "\"a \"", "\"Bearer a\"", "\" \""] {
        let expected = format!("apps.signage.fleet_token = ***: {FLEET}");
        assert_eq!(refusals(&written("apps.signage.fleet_token", token)), [expected]);
    }
    for token in ["", "player_token", "one for all", "contraseña"] {
        let config = parse(&written("apps.signage.fleet_token", &format!("\"{token}\"")));
        assert_eq!(signage(&config).fleet_token, Secret::new(token));
    }
}

#[test]
fn what_may_be_asked_and_who_resolves_are_addresses() {
    const NETWORKS: &str = "must be a list of IP addresses and networks, such as \"127.0.0.1\" or \"10.1.0.0/16\"";
    const SERVERS: &str = "must be a list of IP addresses, each with or without a port";
    for (key, value, wanted) in [
        ("upstream.allow", "[\"inner.example\"]", NETWORKS),
        ("upstream.allow", "[\"10.0.0.0/33\"]", NETWORKS),
        ("upstream.nameservers", "[\"dns.example\"]", SERVERS),
        ("upstream.nameservers", "[\"9.9.9.9:x\"]", SERVERS),
    ] {
        assert_eq!(refusals(&written(key, value)), [format!("{key} = {value}: {wanted}")]);
    }
    let servers =
        parse(&written("upstream.nameservers", "[\"9.9.9.9\", \"::1\", \"127.0.0.1:5353\"]")).upstream.nameservers;
    assert_eq!(servers, ["9.9.9.9:53", "[::1]:53", "127.0.0.1:5353"].map(|server| server.parse().unwrap()));
}

#[test]
fn every_serialised_origin_can_be_listed() {
    let listed = |origin: &str| {
        parse(&written("listener[0].cors_origins", &format!("[\"{origin}\"]"))).listeners[0].cors.clone()
    };
    for origin in [
        "capacitor://localhost",
        "ionic://localhost",
        "app://obsidian.md",
        "chrome-extension://aapbdbdomjkkjkaonfhkkikfgjllcleb",
        "http://[::1]:8080",
        "https://xn--bcher-kva.example",
        "https://App.example:8443",
        "file://",
        "null",
    ] {
        assert_eq!(listed(origin), Cors::List(vec![origin.to_owned()]));
    }
    // Browsers never send these ports, so that the entries would admit nobody.
    for (written, sent) in [
        ("https://a.example:443", "https://a.example"),
        ("http://[::1]:80", "http://[::1]"),
        ("http://a:443", "http://a:443"),
    ] {
        assert_eq!(listed(written), Cors::List(vec![sent.to_owned()]));
    }
}

/// A file of one key.
fn written(key: &str, value: &str) -> String {
    match key.strip_prefix("listener[0].") {
        Some(name) => format!("[[listener]]\n{name} = {value}"),
        None => format!("{key} = {value}"),
    }
}

#[test]
fn unknown_keys_are_refused_and_their_values_not_shown() {
    for (file, key) in [
        ("shards = 1", "shards"),
        ("[server]\nshard = 1", "server.shard"),
        ("[auth]\njwt_secrt = \"hunter2\"", "auth.jwt_secrt"),
        ("[apps.dispatch]\nenabled = true", "apps.dispatch.enabled"),
        ("[apps.dispatch]", "apps.dispatch"),
        ("[[listener]]\ntls = true", "listener[0].tls"),
        ("[extra]", "extra"),
    ] {
        assert_eq!(refusals(file), [format!("{key}: unknown key")]);
    }
    for file in ["server = 1", "apps = []", "apps.lab = \"hunter2\"", "[[server]]", "[[apps.signage]]"] {
        let path = file.trim_matches(['[', ']']).split(' ').next().unwrap();
        assert_eq!(refusals(file), [format!("{path}: must be a table")]);
    }
    assert_eq!(parse("[server]\n[apps]\n[apps.lab]\n[[listener]]"), Config::untold(&TABLE));
}

#[test]
fn all_mistakes_come_at_once() {
    let file = "server.shards = -1\nnope = 1\n[[listener]]\nping_interval_ms = 5\nroot = 1\n[[listener]]\nbind = \"x\"";
    let found = refusals(file);
    for key in ["server.shards", "nope", "listener[0].ping_interval_ms", "listener[0].root", "listener[1].bind"] {
        assert_eq!(found.iter().filter(|line| line.starts_with(key)).count(), 1, "{key} in {found:#?}");
    }
    assert_eq!(found.len(), 5);
}

#[test]
fn a_file_of_another_shape_is_refused() {
    for (file, expected) in [
        ("a = ", "siod.toml: line 1, column 5: not TOML: "),
        ("[server]\nshards = 1\nshards = 2", "siod.toml: line 3, column 1: not TOML: duplicate key"),
        ("listener = []", "listener: there must be between 1 and 64"),
        ("[listener]\nbind = \"x\"", "listener: must be written as [[listener]], once for each"),
        ("listener = [1]", "listener: must be written as [[listener]], once for each"),
    ] {
        let found = refusals(file);
        assert!(found[0].starts_with(expected), "{found:?}");
    }
}

#[test]
fn beyond_loopback_without_a_secret_is_refused_with_what_mends_it() {
    let secret = "auth.jwt_secret = \"0123456789abcdef0123456789abcdef\"\n";
    let (dev, jwt) = ("[[listener]]\nbind = \"0.0.0.0:3000\"", "auth.mode = \"jwt\"\n");
    assert_eq!(
        refusals(dev),
        [
            "listener[0].bind = \"0.0.0.0:3000\": must be a loopback address where auth.mode = \"dev\", since any token is good \
          there; set SIOD__AUTH__MODE=jwt SIOD__AUTH__JWT_SECRET=\"$(openssl rand -hex 32)\""
        ]
    );
    assert!(refusals(&format!("{secret}{dev}"))[0].contains("SIOD__AUTH__MODE=jwt"), "a secret alone opens nothing");
    assert_eq!(
        refusals(&format!("{jwt}auth.jwt_secret = \"short\"\n{dev}")),
        ["auth.jwt_secret: must be at least 32 bytes where auth.mode = \"jwt\", and has 5; \
          set SIOD__AUTH__JWT_SECRET=\"$(openssl rand -hex 32)\""]
    );
    assert!(parse(&format!("{jwt}{secret}{dev}")).listeners[0].bind.ip().is_unspecified());
    assert_eq!(
        refusals("admin.bind = \"[::]:9464\""),
        ["admin.bind = \"[::]:9464\": must be a loopback address where admin.token is empty; \
          set SIOD__ADMIN__TOKEN=\"$(openssl rand -hex 32)\""]
    );
    parse("admin = { bind = \"[::]:9464\", token = \"sixteen--letters\" }");
    for loopback in ["127.8.8.8:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
        parse(&format!("[[listener]]\nbind = \"{loopback}\""));
    }
}

#[test]
fn a_drain_waits_for_balancers_only_where_there_may_be_some() {
    let jwt = "auth = { mode = \"jwt\", jwt_secret = \"0123456789abcdef0123456789abcdef\" }";
    for (text, delay_s) in [
        (String::new(), 0),
        (jwt.to_owned(), 0),
        (format!("{jwt}\n[[listener]]\n[[listener]]\nbind = \"0.0.0.0:1\""), 3),
        (format!("{jwt}\nserver.drain_delay_s = 0\n[[listener]]\nbind = \"[::]:1\""), 0),
        ("server.drain_delay_s = 5".to_owned(), 5),
    ] {
        let config = parse(&text);
        assert_eq!(config.drain_delay_s(), delay_s, "{text}");
        assert_eq!(parse(&config.to_toml()), config, "{text}");
    }
}

#[test]
fn keys_that_depend_on_each_other_are_checked_together() {
    assert!(refusals("admin.token = \"fifteen-letters\"")[0].starts_with("admin.token: must be empty or at least 16"));
    parse("admin.token = \"sixteen--letters\"");
    let twice = "[[listener]]\n[[listener]]";
    assert_eq!(
        refusals(twice),
        ["listener[1].bind = \"127.0.0.1:3000\": must differ from every other listener and admin.bind; \
          [::] is IPv4 too unless ipv6_only = true"]
    );
    let jwt =
        "auth = { mode = \"jwt\", jwt_secret = \"0123456789abcdef0123456789abcdef\" }\nadmin.bind = \"127.0.0.1:1\"\n";
    let listeners =
        |of: &[&str]| of.iter().fold(jwt.to_owned(), |text, lines| format!("{text}[[listener]]\n{lines}\n"));
    for (one, other, goes) in [
        ("bind = \"[::]:5\"", "bind = \"0.0.0.0:5\"", false),
        ("bind = \"10.0.0.1:5\"", "bind = \"[::]:5\"", false),
        ("bind = \"[::]:5\"\nipv6_only = true", "bind = \"0.0.0.0:5\"", true),
        ("bind = \"[::1]:5\"", "bind = \"127.0.0.1:5\"", true),
        ("bind = \"[::]:5\"", "bind = \"127.0.0.1:6\"", true),
    ] {
        let text = listeners(&[one, other]);
        match goes {
            true => drop(parse(&text)),
            false => assert!(refusals(&text)[0].contains("ipv6_only = true"), "{text}"),
        }
    }
    assert!(refusals(&listeners(&["bind = \"[::]:1\""]))[0].starts_with("listener[0].bind"));
    assert!(refusals("admin.bind = \"127.0.0.1:3000\"")[0].starts_with("listener[0].bind"));
    parse("admin.bind = \"127.0.0.1:0\"\n[[listener]]\nbind = \"127.0.0.1:0\"\n[[listener]]\nbind = \"127.0.0.1:0\"");
    assert_eq!(
        refusals("limits.outbox_bytes_max = 65535"),
        ["limits.outbox_low_mark_bytes = 65536: must be at most limits.outbox_bytes_max = 65535"]
    );
    assert_eq!(
        refusals("server.shards = 4\nlimits.outbox_total_bytes_max = 1048575"),
        [
            "limits.outbox_total_bytes_max = 1048575: must be 0 or at least 1048576, which is limits.outbox_bytes_max for each shard"
        ]
    );
}

#[test]
fn proxies_are_addresses_and_networks() {
    let listener = |proxies: &str| format!("[[listener]]\ntrusted_proxies = {proxies}");
    let written = parse(&listener("[\"10.1.2.3/8\", \"::ffff:10.0.0.4\", \"fd00::1/128\"]"));
    let shown: Vec<String> = written.listeners[0].proxies.trusted.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["10.0.0.0/8", "10.0.0.4/32", "fd00::1/128"]);
    assert_eq!(
        refusals("[[listener]]\nproxy_protocol = true"),
        ["listener[0].proxy_protocol = true: must be false where trusted_proxies is empty, since PROXY heads are \
          read from these only; set listener[0].trusted_proxies"]
    );
    assert_eq!(
        refusals("admin.proxy_protocol = true"),
        [
            "admin.proxy_protocol = true: must be false where trusted_proxies is empty, since PROXY heads are read from these \
          only; set admin.trusted_proxies"
        ]
    );
    parse("admin = { proxy_protocol = true, trusted_proxies = [\"::1\"] }");
    parse(&format!("{}\nproxy_protocol = true", listener("[\"127.0.0.1\"]")));
    const WANTED: &str = "must be a list of IP addresses and networks, such as \"127.0.0.1\" or \"10.1.0.0/16\"";
    let wrong = [
        "[\"proxy.example\"]",
        "[\"10.0.0.1\", \"10.0.0.0/33\"]",
        "[\"10.0.0.1:80\"]",
        "[\"::ffff:10.0.0.0/104\"]",
        "[\"\"]",
    ];
    for value in wrong {
        assert_eq!(refusals(&listener(value)), [format!("listener[0].trusted_proxies = {value}: {WANTED}")]);
    }
}

#[test]
fn a_root_is_an_application_that_is_enabled() {
    const LAB: &str =
        "listener[1].root = \"lab\": must be one of iot, signage, utalk, none where apps.lab.enabled = false";
    const SIGNAGE: &str =
        "listener[0].root = \"signage\": must be one of iot, utalk, none where apps.signage.enabled = false";
    let listeners = "[[listener]]\nroot = \"signage\"\n[[listener]]\nbind = \"127.0.0.1:2\"\nroot = \"lab\"";
    assert_eq!(refusals(listeners), [LAB]);
    let neither = refusals(&format!("apps.signage.enabled = false\n{listeners}"));
    assert_eq!(neither, [SIGNAGE, &LAB.replace("signage, ", "")]);
    parse(&format!("apps.lab.enabled = true\n{listeners}"));
}

#[test]
fn a_dialect_is_one_of_its_listeners_root() {
    let listener = |root: &str, dialect: &str| {
        format!(
            "apps.lab.enabled = true\n[[listener]]\nbind = \"127.0.0.1:2\"\n[[listener]]\nroot = \"{root}\"\ndialect = \"{dialect}\""
        )
    };
    assert_eq!(parse(&listener("lab", "quiet")).listeners[1].dialect, Some("quiet"));
    assert_eq!(parse(&listener("lab", "")).listeners[1].dialect, None);
    for (root, dialect, wanted) in [
        ("lab", "Loud", "must be empty or one of loud, quiet where root = \"lab\""),
        ("signage", "loud", "must be empty, since signage has no dialect"),
        ("none", "loud", "must be empty where root = \"none\", since a dialect is the root's"),
    ] {
        assert_eq!(refusals(&listener(root, dialect)), [format!("listener[1].dialect = \"{dialect}\": {wanted}")]);
    }
    // What is said of a root that is refused says enough.
    let both = refusals(&listener("lap", "loud"));
    assert_eq!((both.len(), both[0].split(' ').next()), (1, Some("listener[1].root")));
}

/// Two names onto one, and the like, would lose what clients say or are told.
#[test]
fn dialects_of_every_application_are_sound() {
    for row in TABLE.rows {
        let known: std::collections::BTreeSet<&str> = row.dialects.iter().map(|dialect| dialect.name).collect();
        assert_eq!(known.len(), row.dialects.len(), "{}: a name is there twice", row.name);
        let faults: Vec<String> = row.dialects.iter().flat_map(Dialect::faults).collect();
        assert_eq!(faults, Vec::<String>::new(), "{}", row.name);
    }
    assert!(TABLE.rows.iter().any(|row| !row.dialects.is_empty()), "there are some in tests");
}

#[test]
fn engine_paths_match_as_clients_write_them() {
    let listener = &parse("apps.lab.enabled = true\n[[listener]]\nroot = \"lab\"\npaths = [\"/socket.io/\", \"/raw\"]")
        .listeners[0];
    let (lab, iot) = (Some(Some("lab")), Some(Some("iot")));
    for (path, root) in [
        ("/socket.io/", lab),
        ("/socket.io/x", lab),
        ("/socket.io", None),
        ("/raw", lab),
        ("/raw/", lab),
        ("/raw/x", None),
        ("/rawx", None),
        ("/api/socket", iot),
        ("/api/socket/", iot),
        ("/api/socket.js", None),
        ("/", None),
        ("", None),
    ] {
        assert_eq!(listener.root_at(path), root, "{path}");
    }
}

#[test]
fn every_row_of_the_table_holds_what_its_range_allows() {
    fn check(section: &str, all: Vec<Entry>) {
        let mut names = std::collections::BTreeSet::new();
        for Entry { name: key, doc, kind, value } in all {
            let name = format!("{section}.{key}");
            assert!(names.insert(key), "{name} is there twice");
            assert!(!doc.is_empty() && doc.lines().all(|line| line.len() <= 110), "{name} wants a meaning");
            match value {
                Value::Table(parts) => check(&name, parts),
                Value::Rows { rows, blank } => {
                    assert!(rows.is_empty(), "{name}: what has no rows any more could not be written down");
                    check(&format!("{name}[0]"), blank);
                }
                _ => {}
            }
            let Kind::Int { min, max, unit } = kind else { continue };
            let suffixes = [("_ms", "milliseconds"), ("_s", "seconds"), ("_h", "hours")];
            let suffix = suffixes.iter().find(|(_, word)| *word == unit);
            assert!(suffix.is_none_or(|(suffix, _)| key.ends_with(suffix)), "{name} is not in {unit}");
            if section.contains('[') && !section.starts_with("listener") {
                continue;
            }
            for number in [min, max] {
                let wrong = load(&written(&name, &number.to_string()), &[], &[]).err();
                let wrong = wrong.iter().flat_map(|refusals| &refusals.0).find(|line| line.contains("must be between"));
                assert_eq!(wrong, None, "{name}");
            }
        }
    }
    let config = Config::untold(&TABLE);
    for section in keys::SECTIONS {
        check(section.name, entries(section.keys, &config));
    }
    check("listener[0]", entries(keys::listener::LISTENER.keys, &config.listeners[0]));
    for app in &config.apps {
        check(&check::app_section(app), app.settings.entries());
    }
}
