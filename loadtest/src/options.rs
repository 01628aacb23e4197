//! What a scenario may be told, and the bounds of it.

use std::path::PathBuf;

use clap::{Args, Command, FromArgMatches};
use serde::{Deserialize, Serialize};

/// Sockets of one process: below the usual limit of descriptors, and of ports per address.
pub const CLIENTS_MAX: u32 = 19_000;
/// Values of `--room-sizes`.
const ROOM_SIZES_MAX: usize = 32;
/// Broadcasts on their way in all rooms together.
const BROADCASTS_MAX: u64 = 1_000_000;

/// Processes of one run.
pub const PROCESSES_MAX: u32 = 64;

#[derive(Args, Clone, Debug, Serialize, Deserialize)]
pub struct Options {
    /// The server: http://host:port[/path/]; the path is /socket.io/ unless it is said
    #[arg(long, default_value = "http://127.0.0.1:3000")]
    pub url: String,
    /// Namespace that every client joins
    #[arg(long, default_value = "/")]
    pub namespace: String,
    /// JSON object sent with the join; the letter n in braces stands for the client's number
    #[arg(long, default_value = "", hide_default_value = true)]
    pub auth: String,
    /// Header of every request, may be repeated
    #[arg(long = "header", value_name = "NAME: VALUE")]
    pub headers: Vec<String>,
    /// Clients in all, 19,000 of each process at most
    #[arg(long, default_value_t = 100, value_parser = clients)]
    pub clients: u32,
    /// Measured time
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub seconds: u64,
    /// Time between the last join and the first measurement
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(0..=600_000))]
    pub warm_up_ms: u64,
    /// Processes of the clients, for more of them than one may have sockets
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=i64::from(PROCESSES_MAX)))]
    pub processes: u32,
    /// Threads of the clients, in each process; as many at most as it has clients
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub threads: u32,
    /// What clients do per second, in all, whatever becomes of it (open loop); 0: the next one follows an answer
    #[arg(long, default_value_t = 0.0, value_parser = rate)]
    pub rate: f64,
    /// Connections begun per second, in all; 0: as fast as handshakes end
    #[arg(long, default_value_t = 0.0, value_parser = rate)]
    pub connect_rate: f64,
    /// Handshakes under way at a time, in all; one of each thread at least
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u32).range(1..=i64::from(CLIENTS_MAX)))]
    pub connecting_max: u32,
    /// A handshake that takes longer has failed
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub join_timeout_s: u64,
    /// Bytes of the string in an event; a broadcast has 24 at least
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub size: u32,
    /// Broadcasts of each sender, or requests of each client, on their way at a time, in a closed loop
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_024))]
    pub in_flight: u32,
    /// Clients that stop reading, of a hundred
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=90))]
    pub slow_percent: u32,
    /// Event that the server answers with its arguments
    #[arg(long, default_value = "echo", value_parser = event)]
    pub echo_event: String,
    /// Its arguments, where they are not a string: JSON, in which {rising} and {random} stand for ids that are new each time; an answer is an object with ok: true
    #[arg(long)]
    pub echo_args: Option<String>,
    /// Event that the server emits to everybody, with its arguments, under the same name
    #[arg(long, default_value = "bcast", value_parser = event)]
    pub bcast_event: String,
    #[command(flatten)]
    pub identity: Identity,
    #[command(flatten)]
    pub rooms: Rooms,
    #[command(flatten)]
    pub storm: Storm,
    /// Processes of the server, may be repeated; without it: who listens on the port, if that is on this machine
    #[arg(long = "pid")]
    pub pids: Vec<u32>,
    /// The server's Prometheus metrics: http://host:port/metrics
    #[arg(long)]
    pub metrics: Option<String>,
    /// Writes all figures to this file
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Writes a page with plots to this file: one HTML file that needs nothing else
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Fails if the 99th percentile of the latency is above
    #[arg(long, value_parser = threshold)]
    pub max_p99_ms: Option<f64>,
    /// Fails if fewer units per second were done
    #[arg(long, value_parser = threshold)]
    pub min_rate: Option<f64>,
    /// What a process is told by the one that began it.
    #[arg(skip)]
    pub share: Share,
}

/// Which part of a run's clients are those of a process.
#[derive(Clone, Copy, Default, Debug, Serialize, Deserialize)]
pub struct Share {
    /// Chooses the range of source addresses; without it the number of the process does.
    pub source: Option<u32>,
    /// Number of its first client among those of all processes.
    pub first_client: u32,
}

/// What clients say they are.
#[derive(Args, Clone, Debug, Serialize, Deserialize)]
pub struct Identity {
    /// JSON object of claims: each client joins with a token of its own, {"token": …}; the letter n in braces stands for the client's number
    #[arg(long)]
    pub claims: Option<String>,
    /// Key that the tokens of --claims are signed with (HS256)
    #[arg(long)]
    pub jwt_secret: Option<String>,
    /// How many clients have this role, may be repeated
    #[arg(long = "role", value_name = "NAME=COUNT", value_parser = role)]
    pub roles: Vec<(String, u32)>,
}

/// Speakers and their listeners (`fanout`, `rooms`).
#[derive(Args, Clone, Debug, Serialize, Deserialize)]
pub struct Rooms {
    /// Clients that speak: in all, or to each room, as many at most as are in it
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub senders: u32,
    /// Rooms
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub rooms: u32,
    /// Members of each room; at most all clients
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=i64::from(CLIENTS_MAX)))]
    pub room_size: u32,
    /// Instead of one broadcast to all: a room of each of these sizes, separated by commas; at most all clients
    #[arg(long, value_delimiter = ',', num_args = 1..=ROOM_SIZES_MAX,
        value_parser = clap::value_parser!(u32).range(1..=i64::from(CLIENTS_MAX)))]
    pub room_sizes: Vec<u32>,
    /// Event by which a client enters a room; answered
    #[arg(long, default_value = "join", value_parser = event)]
    pub join_event: String,
    /// Event that the server emits to a room, its first argument, with the others, under the same name
    #[arg(long, default_value = "room", value_parser = event)]
    pub room_event: String,
}

/// The clients that lose their connection, and how they come back (`storm`).
#[derive(Args, Clone, Debug, Serialize, Deserialize)]
pub struct Storm {
    /// How long a client waits before it tries to come back, each time
    #[arg(long, value_enum, default_value = "none")]
    pub back_off: BackOff,
    /// Of the clients, those that keep their connection and echo, on a thread of their own
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=i64::from(CLIENTS_MAX)))]
    pub neighbours: u32,
}

/// How long clients wait before they come back.
#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum BackOff {
    /// As the official client does
    Stock,
    /// At once
    None,
}

impl Options {
    /// With as many threads as there is work for, the neighbours' included.
    pub fn settled(&self) -> Options {
        let mut options = self.clone();
        options.threads = options.threads.min(options.clients - options.storm.neighbours);
        options.threads += u32::from(options.storm.neighbours > 0);
        options
    }

    /// Clients of one thread: they differ by one at most, but for the neighbours, who have the last one.
    pub fn clients_of(&self, thread: u32) -> u32 {
        if self.is_neighbours(thread) {
            return self.storm.neighbours;
        }
        let threads = self.threads - u32::from(self.storm.neighbours > 0);
        let clients = self.clients - self.storm.neighbours;
        clients / threads + u32::from(thread < clients % threads)
    }

    pub fn is_neighbours(&self, thread: u32) -> bool {
        self.storm.neighbours > 0 && thread + 1 == self.threads
    }

    /// The options of one process.
    pub fn share_of(&self, process: u32) -> Options {
        let processes = self.processes;
        let part_of = |all: u32| all / processes + u32::from(process < all % processes);
        let mut part = self.clone();
        (part.clients, part.processes, part.metrics) = (part_of(self.clients), 1, None);
        part.storm.neighbours = part_of(self.storm.neighbours);
        part.connecting_max = part_of(self.connecting_max).max(1);
        let share = f64::from(part.clients) / f64::from(self.clients);
        (part.rate, part.connect_rate) = (self.rate * share, self.connect_rate * share);
        // Next to each other, so that no two have the same.
        part.share.source = Some((std::process::id() + process) % 254);
        part
    }

    /// Whether the numbers of one process's clients go together.
    ///
    /// # Errors
    /// A sentence that says which do not.
    pub fn check(&self) -> Result<(), String> {
        if self.storm.neighbours >= self.clients {
            return Err("--neighbours are some of the --clients, not all".to_owned());
        }
        let Rooms { rooms, senders, .. } = self.rooms;
        let in_flight = u64::from(rooms) * u64::from(senders) * u64::from(self.in_flight);
        if in_flight > BROADCASTS_MAX {
            return Err(format!("--rooms × --senders × --in-flight is {in_flight}, above {BROADCASTS_MAX}"));
        }
        Ok(())
    }

    /// What a scenario does unless the command line says otherwise: for tests.
    pub fn of(arguments: &[&str]) -> Options {
        let command = Options::augment_args(Command::new("loadtest").no_binary_name(true).args_override_self(true));
        Options::from_arg_matches(&command.get_matches_from(arguments)).expect("they were just matched")
    }
}

fn clients(text: &str) -> Result<u32, String> {
    let most = CLIENTS_MAX * PROCESSES_MAX;
    let clients: u32 = text.replace('_', "").parse().map_err(|_| "not a number".to_owned())?;
    if (1..=most).contains(&clients) { Ok(clients) } else { Err(format!("not between 1 and {most}")) }
}

fn role(text: &str) -> Result<(String, u32), String> {
    let (name, count) = text.split_once('=').ok_or("not NAME=COUNT")?;
    let count = count.parse().ok().filter(|count| (1..=CLIENTS_MAX).contains(count));
    Ok((name.to_owned(), count.ok_or_else(|| format!("not between 1 and {CLIENTS_MAX}"))?))
}

fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.0..=10_000_000.0).contains(&rate) { Ok(rate) } else { Err("not between 0 and 10,000,000".to_owned()) }
}

/// The name of an event, as it stands in JSON.
fn event(text: &str) -> Result<String, String> {
    let plain = text.chars().all(|char| !char.is_control() && !matches!(char, '"' | '\\'));
    plain.then(|| text.to_owned()).ok_or_else(|| "no quotation marks, backslashes or control characters".to_owned())
}

fn threshold(text: &str) -> Result<f64, String> {
    let limit: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if limit.is_finite() && limit >= 0.0 { Ok(limit) } else { Err("not a limit: 0 or more".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_shared_out() {
        let options = Options::of(&["--clients", "10", "--threads", "4"]);
        assert_eq!([0, 1, 2, 3].map(|thread| options.clients_of(thread)), [3, 3, 2, 2]);
        let with = Options::of(&["--clients", "10", "--threads", "2", "--neighbours", "3"]).settled();
        assert_eq!((0..with.threads).map(|thread| with.clients_of(thread)).collect::<Vec<_>>(), [4, 3, 3]);
        assert!(options.check().is_ok());
        assert!(Options::of(&["--clients", "3", "--neighbours", "3"]).check().is_err());
        assert!(Options::of(&["--rooms", "10000", "--senders", "64", "--in-flight", "2"]).check().is_err());
    }

    #[test]
    fn values_are_read_or_refused() {
        assert_eq!((clients("19_000"), clients("0").is_err(), clients("1216001").is_err()), (Ok(19_000), true, true));
        assert_eq!(role("admin=7"), Ok(("admin".to_owned(), 7)));
        assert!(role("admin").is_err() && role("admin=0").is_err() && role("admin=x").is_err());
        assert!(rate("-1").is_err() && rate("NaN").is_err() && rate("0.5").is_ok());
        assert!(
            threshold("-1").is_err()
                && threshold("NaN").is_err()
                && threshold("inf").is_err()
                && threshold("0").is_ok()
        );
        assert!(
            event("a\"b").is_err() && event("a\\").is_err() && event("a\n").is_err() && event("mensagem:à").is_ok()
        );
    }
}
