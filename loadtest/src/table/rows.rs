//! The rows of the table, as data: what is run against whom, which figure counts, and what siod promises of it.

/// One line of the table.
pub struct Row {
    /// For `--only`.
    pub id: &'static str,
    pub work: &'static str,
    /// The promise in words; the limits are the same in numbers.
    pub goal: &'static str,
    pub limits: &'static [Limit],
    /// Figures that others have published of their work, for want of a peer here.
    pub elsewhere: &'static str,
    pub how: How,
}

/// What must be at most so much, in the middle of all runs.
pub enum Limit {
    /// siod's figure.
    Figure(f64),
    /// siod's figure to the reference's.
    Ratio(f64),
    /// A figure beside it.
    Beside(&'static str, f64),
}

/// Where a row's figures come from.
pub enum How {
    Runs(Runs),
    /// Starts siod: from its start to its first answer.
    Start,
    /// Looks at siod's binary.
    Size,
    /// Runs an example of the daemon's and reads its lines `name number`: the figure, and others beside it, each with its unit.
    Example {
        example: &'static str,
        figure: (&'static str, &'static str),
        beside: &'static [(&'static str, &'static str)],
    },
}

/// Runs of a scenario, the rivals in turns.
pub struct Runs {
    /// Scenario and options.
    pub command: &'static str,
    /// Key in a run's JSON and unit.
    pub figure: (&'static str, &'static str),
    /// Further figures of siod, each with its unit or name.
    pub beside: &'static [(&'static str, &'static str)],
    pub rivals: &'static [Rival],
    /// Each run has a server of its own that nobody has used.
    pub fresh: bool,
}

pub struct Rival {
    /// Its name in the list of servers.
    pub server: &'static str,
    /// Options of its own.
    pub with: &'static str,
    pub part: Part,
    pub rounds: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    /// siod.
    Subject,
    /// What siod is divided by.
    Reference,
    Peer,
}

const fn subject(rounds: usize) -> Rival {
    Rival { server: "siod", with: "", part: Part::Subject, rounds }
}

const fn floor(server: &'static str) -> Rival {
    Rival { server, with: "", part: Part::Reference, rounds: PAIRS }
}

const fn peer(server: &'static str, rounds: usize) -> Rival {
    Rival { server, with: "", part: Part::Peer, rounds }
}

/// Rounds of siod and its reference.
const PAIRS: usize = 5;
/// Rounds of a peer.
const ROUNDS: usize = 2;

const FANOUT: &[Rival] = &[
    subject(PAIRS),
    floor("floor (fan-out)"),
    peer("Node", ROUNDS),
    peer("Bun", ROUNDS),
    peer("socketioxide", ROUNDS),
];
const ECHO: &[Rival] =
    &[subject(PAIRS), floor("floor (echo)"), peer("Node", ROUNDS), peer("Bun", ROUNDS), peer("socketioxide", ROUNDS)];
const NO_FLOOR: &[Rival] = &[subject(PAIRS), peer("Node", ROUNDS), peer("Bun", ROUNDS), peer("socketioxide", ROUNDS)];
const MEMORY: &[Rival] = &[subject(3), peer("Node", 1), peer("Bun", 1), peer("socketioxide", 1)];

const CPU_PER_UNIT: (&str, &str) = ("server_cpu_us_per_unit", "µs");
const SENDS: &[(&str, &str)] = &[("sends_per_delivery", "sends a delivery")];
const KERNEL: &[(&str, &str)] =
    &[("kernel_slab_kib_per_client", "KiB slab, both ends"), ("kernel_tcp_kib_per_client", "KiB TCP buffers")];

pub const ROWS: &[Row] = &[
    Row {
        id: "fanout-1",
        work: "fan-out to 1,000 clients, 64 B, 1 in flight: server CPU per delivery",
        goal: "1.0 × floor, 1.02 sends",
        limits: &[Limit::Ratio(1.0), Limit::Beside("sends_per_delivery", 1.02)],
        elsewhere: "",
        how: How::Runs(Runs {
            command: "fanout --clients 1000 --size 64 --in-flight 1 --seconds 2 --warm-up-ms 300",
            figure: CPU_PER_UNIT,
            beside: SENDS,
            rivals: FANOUT,
            fresh: false,
        }),
    },
    Row {
        id: "fanout-16",
        work: "the same, 16 in flight",
        goal: "0.20 × floor",
        limits: &[Limit::Ratio(0.20)],
        elsewhere: "",
        how: How::Runs(Runs {
            command: "fanout --clients 1000 --size 64 --in-flight 16 --seconds 2 --warm-up-ms 300",
            figure: CPU_PER_UNIT,
            beside: SENDS,
            rivals: FANOUT,
            fresh: false,
        }),
    },
    Row {
        id: "fanout-10000",
        work: "fan-out to 10,000 clients, 256 B, 4 in flight: server CPU per delivery",
        goal: "0.42 × floor",
        limits: &[Limit::Ratio(0.42)],
        elsewhere: "",
        how: How::Runs(Runs {
            command: "fanout --clients 10000 --size 256 --in-flight 4 --seconds 2 --warm-up-ms 500",
            figure: CPU_PER_UNIT,
            beside: SENDS,
            rivals: FANOUT,
            fresh: false,
        }),
    },
    Row {
        id: "echo",
        work: "emit with ack, 200 clients: server CPU per round trip",
        goal: "1.15 × floor",
        limits: &[Limit::Ratio(1.15)],
        elsewhere: "",
        how: How::Runs(Runs {
            command: "echo --clients 200 --seconds 2 --warm-up-ms 300",
            figure: CPU_PER_UNIT,
            beside: &[],
            rivals: ECHO,
            fresh: false,
        }),
    },
    Row {
        id: "connect",
        work: "connect and join a namespace, 10,000 clients: server CPU per join",
        goal: "60 µs",
        limits: &[Limit::Figure(60.0)],
        elsewhere: "",
        how: How::Runs(Runs {
            command: "connect --clients 10000",
            figure: CPU_PER_UNIT,
            beside: &[],
            rivals: NO_FLOOR,
            fresh: false,
        }),
    },
    Row {
        id: "memory",
        work: "idle memory per WebSocket client, 15,000 of them on lab: RSS",
        goal: "1.0 KiB",
        limits: &[Limit::Figure(1.0)],
        elsewhere: "",
        how: How::Runs(Runs {
            command: "hold --clients 15000 --seconds 1 --warm-up-ms 3000",
            figure: ("server_rss_kib_per_client", "KiB"),
            beside: KERNEL,
            rivals: MEMORY,
            fresh: true,
        }),
    },
    Row {
        id: "signage-memory",
        work: "the same as admins of signage, three rooms and 200 B of claims each",
        goal: "1.5 KiB",
        limits: &[Limit::Figure(1.5)],
        elsewhere: "",
        how: How::Runs(Runs {
            command: "hold --clients 15000 --seconds 1 --warm-up-ms 3000",
            figure: ("server_rss_kib_per_client", "KiB"),
            beside: KERNEL,
            rivals: &[Rival { server: "siod with signage", with: ADMIN, part: Part::Subject, rounds: 2 }],
            fresh: true,
        }),
    },
    Row {
        id: "idle-cpu",
        work: "CPU of 15,000 idle clients, ping every 25 s: per client and second",
        goal: "1 µs",
        limits: &[Limit::Figure(1.0)],
        elsewhere: "Centrifugo PRO 2.0 to 2.3 µs, published",
        how: How::Runs(Runs {
            command: "hold --clients 15000 --seconds 26 --warm-up-ms 1000",
            figure: ("server_cpu_us_per_client_s", "µs"),
            beside: &[],
            rivals: &[subject(1)],
            fresh: false,
        }),
    },
    Row {
        id: "fanout-19000",
        work: "fan-out to 19,000 clients against 1,000, 64 B, 1 in flight: server CPU per delivery",
        goal: "1.2 ×",
        limits: &[Limit::Ratio(1.2)],
        elsewhere: "",
        how: How::Runs(Runs {
            command: "fanout --clients 19000 --size 64 --in-flight 1 --seconds 2 --warm-up-ms 500",
            figure: CPU_PER_UNIT,
            beside: SENDS,
            rivals: &[subject(3), Rival { server: "siod", with: "--clients 1000", part: Part::Reference, rounds: 3 }],
            fresh: false,
        }),
    },
    Row {
        id: "two-shards",
        work: "two shards on one core against one shard there, fan-out to 2,000, 64 B, 1 in flight: server CPU per delivery",
        goal: "1.2 ×",
        limits: &[Limit::Ratio(1.2)],
        elsewhere: "",
        how: How::Runs(Runs {
            command: "fanout --clients 2000 --size 64 --in-flight 1 --seconds 2 --warm-up-ms 300",
            figure: CPU_PER_UNIT,
            beside: SENDS,
            rivals: &[
                Rival { server: "siod with two shards", with: "", part: Part::Subject, rounds: PAIRS },
                Rival { server: "siod", with: "", part: Part::Reference, rounds: PAIRS },
            ],
            fresh: false,
        }),
    },
    Row {
        id: "million",
        work: "one million peers in the pure shards: bytes of a peer",
        goal: "700 B, one broadcast 40 ns a peer",
        limits: &[Limit::Figure(700.0), Limit::Beside("ns_per_peer", 40.0)],
        elsewhere: "",
        how: How::Example { example: "idle", figure: ("bytes_per_peer", "B"), beside: &[("ns_per_peer", "ns")] },
    },
    Row {
        id: "polling",
        work: "polling round trip (POST and GET), 200 clients: server CPU",
        goal: "18 µs",
        limits: &[Limit::Figure(18.0)],
        elsewhere: "",
        how: How::Runs(Runs {
            command: "polling --clients 200 --seconds 2 --warm-up-ms 300",
            figure: CPU_PER_UNIT,
            beside: &[],
            rivals: NO_FLOOR,
            fresh: false,
        }),
    },
    Row {
        id: "storm",
        work: "19,000 clients, all but 200 neighbours reconnect at once, no back-off: all are back after",
        goal: "5 s, neighbours' p99 20 ms",
        limits: &[Limit::Figure(5_000.0), Limit::Beside("neighbours_during_p99_ms", 20.0)],
        elsewhere: "0 to 33 % back, published",
        how: How::Runs(Runs {
            command: "storm --clients 19000 --neighbours 200 --threads 2 --seconds 20 --warm-up-ms 1000",
            figure: ("all_back_ms", "ms"),
            beside: &[
                ("neighbours_during_p99_ms", "ms p99 of the neighbours"),
                ("kernel_dropped", "handshakes dropped by the kernel"),
            ],
            rivals: &[subject(2)],
            fresh: true,
        }),
    },
    Row {
        id: "start",
        work: "start to first answer",
        goal: "50 ms",
        limits: &[Limit::Figure(50.0)],
        elsewhere: "",
        how: How::Start,
    },
    Row {
        id: "size",
        work: "size of the static binary",
        goal: "25 MB",
        limits: &[Limit::Figure(25.0)],
        elsewhere: "",
        how: How::Size,
    },
];

/// Tokens of operators who see three groups; with `exp` the claims have 200 B and some.
const ADMIN: &str = r#"--jwt-secret=0123456789abcdef0123456789abcdef --claims={"sub":"user-{n}","role":"operator","tenantId":"default","name":"Operator-{n}","email":"operator-{n}@displays.example","department":"signage-and-displays","locale":"en","groups":["lobby","canteen","garage"]}"#;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Options;
    use crate::scenario::SCENARIOS;
    use crate::table::servers;

    #[test]
    fn every_row_names_what_exists() {
        for row in ROWS {
            assert_eq!(ROWS.iter().filter(|other| other.id == row.id).count(), 1, "{}", row.id);
            let How::Runs(runs) = &row.how else { continue };
            let mut words = runs.command.split_whitespace();
            let scenario = words.next();
            assert!(SCENARIOS.iter().any(|kind| Some(kind.name) == scenario), "{}", row.id);
            for rival in runs.rivals {
                assert!(!servers::find(rival.server).command.is_empty() && rival.rounds > 0, "{}", row.id);
                // Ends the process if it makes no sense.
                let options = Options::of(&words.clone().chain(rival.with.split_whitespace()).collect::<Vec<_>>());
                assert!(options.clients >= 200 && options.check().is_ok(), "{}", row.id);
            }
            let parts = |part| runs.rivals.iter().filter(|rival| rival.part == part).count();
            assert_eq!((parts(Part::Subject), parts(Part::Reference) <= 1), (1, true), "{}", row.id);
            let divides = row.limits.iter().any(|limit| matches!(limit, Limit::Ratio(_)));
            assert!(!divides || parts(Part::Reference) == 1, "{}: a ratio to nothing", row.id);
        }
    }
}
