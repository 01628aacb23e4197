//! The table of `docs/PERFORMANCE.md`: every promised figure of siod, beside the floor and the peers, in one run. Servers
//! on one core, started here; clients in this process, on the core that it was started on (`taskset`). The rivals of a row
//! take turns, so that what disturbs the machine disturbs all of them.

pub mod page;
pub mod rows;
pub mod servers;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use clap::Args;
use clap::builder::PossibleValuesParser;

use crate::circumstances::Circumstances;
use crate::measurement::Measurement;
use crate::request;
use crate::scenario;
use crate::spread::{Spread, digits};
use rows::{How, Part, ROWS, Rival, Row, Runs};
use servers::{Place, ROOT, Running, built};

pub const ABOUT: &str = "All promised figures of siod beside the floor and the peers: the table of docs/PERFORMANCE.md";

#[derive(Args, Clone, Debug)]
pub struct Table {
    /// The page whose table is replaced; without it, the table is only printed
    #[arg(long, value_name = "FILE")]
    pub page: Option<PathBuf>,
    /// These rows only, separated by commas; the page keeps its table then
    #[arg(long, value_name = "ROWS", value_delimiter = ',',
        value_parser = PossibleValuesParser::new(ROWS.iter().map(|row| row.id)))]
    pub only: Vec<String>,
    /// The core of the servers
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=1_023))]
    pub server_cpu: u32,
    /// The first of 80 ports
    #[arg(long, default_value_t = 3_700, value_parser = clap::value_parser!(u16).range(1_024..=65_000))]
    pub port: u16,
    /// After this time each rival runs only once more a row
    #[arg(long, default_value_t = 450, value_parser = clap::value_parser!(u64).range(1..=7_200))]
    pub budget_s: u64,
}

impl Table {
    /// Whether there is the core, and a page with a place for the table.
    ///
    /// # Errors
    /// A sentence that says what there is not.
    pub fn check(&self) -> Result<(), String> {
        let cpu = format!("/sys/devices/system/cpu/cpu{}", self.server_cpu);
        if !Path::new(&cpu).exists() {
            return Err(format!("--server-cpu {}: there is no such core", self.server_cpu));
        }
        self.page.as_ref().map_or(Ok(()), |path| {
            let page = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
            page::put(&page, "").map(drop).ok_or_else(|| format!("{} has no place for the table", path.display()))
        })
    }
}

/// What was found of a row.
#[derive(Clone, Default)]
pub struct Found {
    unit: &'static str,
    beside: &'static [(&'static str, &'static str)],
    subject: Option<Values>,
    reference: Option<Values>,
    peers: Vec<Values>,
}

/// One rival's figures, in the order of the rounds.
#[derive(Clone)]
pub struct Values {
    name: &'static str,
    figures: Vec<f64>,
    /// Of each key.
    beside: Vec<(&'static str, Vec<f64>)>,
}

impl Found {
    fn ratio(&self) -> Option<Spread> {
        Spread::of_ratios(&self.subject.as_ref()?.figures, &self.reference.as_ref()?.figures)
    }
}

impl Values {
    fn new(name: &'static str, beside: &'static [(&'static str, &'static str)]) -> Values {
        let beside = beside.iter().map(|(key, _)| (*key, Vec::new())).collect();
        Values { name, figures: Vec::new(), beside }
    }

    fn spread(&self) -> Option<Spread> {
        Spread::of(&self.figures)
    }

    fn beside(&self, key: &str) -> Option<f64> {
        let (_, values) = self.beside.iter().find(|(known, _)| *known == key)?;
        Some(Spread::of(values)?.median)
    }
}

/// Measures, prints and, if a page was named, writes.
///
/// # Errors
/// A sentence that says what could not be written. A server that does not start is a note below the table.
pub fn make(asked: &Table) -> Result<(), String> {
    let mut run = Run {
        place: Place::new(asked.server_cpu, asked.port),
        began: Instant::now(),
        budget: Duration::from_secs(asked.budget_s),
        notes: Vec::new(),
    };
    let rows = ROWS.iter().filter(|row| asked.only.is_empty() || asked.only.iter().any(|id| id == row.id));
    let found: Vec<(&Row, Found)> = rows.map(|row| (row, run.row(row))).collect();
    let table = page::write(&circumstances(), &found, &run.notes, asked.server_cpu);
    print!("{table}");
    let Some(path) = asked.page.as_ref().filter(|_| asked.only.is_empty()) else { return Ok(()) };
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    let old = std::fs::read_to_string(path).map_err(failed)?;
    let new = page::put(&old, &table).ok_or_else(|| format!("{} has no place for the table", path.display()))?;
    std::fs::write(path, new).map_err(failed)
}

struct Run {
    place: Place,
    began: Instant,
    budget: Duration,
    notes: Vec<String>,
}

impl Run {
    fn row(&mut self, row: &'static Row) -> Found {
        match &row.how {
            How::Runs(runs) => self.runs(row, runs),
            How::Start => self.start(),
            How::Size => self.size(),
            How::Example { example, figure, beside } => self.example(example, figure, beside),
        }
    }

    fn runs(&mut self, row: &Row, runs: &'static Runs) -> Found {
        let mut values: Vec<_> = runs.rivals.iter().map(|rival| Values::new(rival.server, runs.beside)).collect();
        let mut servers: Vec<Option<Running>> = runs.rivals.iter().map(|_| None).collect();
        for round in 0..runs.rivals.iter().map(|rival| rival.rounds).max().unwrap_or(0) {
            let late = round > 0 && self.began.elapsed() > self.budget;
            for (at, rival) in runs.rivals.iter().enumerate().filter(|(_, rival)| round < rival.rounds && !late) {
                if runs.fresh {
                    servers[at] = None;
                }
                let measured = self.measure(runs, rival, &mut servers[at]);
                match measured {
                    Ok(measurement) => self.note(row, rival, runs, &measurement, &mut values[at]),
                    Err(sentence) => self.notice(format!("{}: {sentence}", row.work)),
                }
            }
        }
        found(runs, values)
    }

    /// One run, on the server that is there, else on a new one.
    fn measure(&mut self, runs: &Runs, rival: &Rival, server: &mut Option<Running>) -> Result<Measurement, String> {
        let running = match server.take() {
            Some(running) => running,
            None => self.place.start(servers::find(rival.server))?,
        };
        let mut words = runs.command.split_whitespace();
        let name = words.next().expect("a command begins with a scenario");
        let kind = scenario::find(name).expect("rows name scenarios of the list");
        let own = running.words();
        let words = words.chain(rival.with.split_whitespace()).chain(own.iter().map(String::as_str));
        running.settle();
        let options = request::parse(kind, &words.collect::<Vec<_>>()).map_err(|error| error.to_string());
        let measured = options.and_then(|options| Measurement::take(kind, &options));
        running.settle();
        *server = Some(running);
        measured
    }

    fn note(&mut self, row: &Row, rival: &Rival, runs: &Runs, measurement: &Measurement, values: &mut Values) {
        let (key, unit) = runs.figure;
        let figure = measurement.figure(key).unwrap_or(f64::NAN);
        let seconds = self.began.elapsed().as_secs();
        eprintln!("[{seconds:>4} s] {}: {} {} {unit}", row.id, rival.server, digits(figure));
        values.figures.push(figure);
        for (key, seen) in &mut values.beside {
            seen.extend(measurement.figure(key));
        }
        for sentence in measurement.failures().into_iter().chain(measurement.warnings()) {
            self.notice(format!("{}: {}: {sentence}", row.id, rival.server));
        }
    }

    /// Keeps each sentence once, with the numbers it had first.
    fn notice(&mut self, sentence: String) {
        let same = |note: &String| without_numbers(note) == without_numbers(&sentence);
        if !self.notes.iter().any(same) {
            eprintln!("         {sentence}");
            self.notes.push(sentence);
        }
    }

    fn start(&mut self) -> Found {
        let mut values = Values::new("siod", &[]);
        for _ in 0..STARTS {
            let began = Instant::now();
            match self.place.start(servers::find("siod")) {
                Ok(running) if running.answers() => values.figures.push(began.elapsed().as_secs_f64() * 1e3),
                Ok(_) => self.notice("siod does not answer a handshake".to_owned()),
                Err(sentence) => self.notice(sentence),
            }
        }
        Found { unit: "ms", subject: Some(values), ..Found::default() }
    }

    fn size(&mut self) -> Found {
        let path =
            BINARIES.iter().find_map(|path| Some((path, std::fs::metadata(Path::new(ROOT).join(built(path))).ok()?)));
        let Some((path, metadata)) = path else { return Found::default() };
        if *path != BINARIES[0] {
            self.notice(format!("size: of {path}, as there is no {} (make dist)", BINARIES[0]));
        }
        let values = Values { name: "siod", figures: vec![metadata.len() as f64 / 1e6], beside: Vec::new() };
        Found { unit: "MB", subject: Some(values), ..Found::default() }
    }

    fn example(
        &mut self,
        example: &str,
        figure: &(&'static str, &'static str),
        beside: &'static [(&'static str, &'static str)],
    ) -> Found {
        let cpu = self.place.cpu.to_string();
        let program = format!("{EXAMPLES}/{example}");
        let output = Command::new("taskset").current_dir(ROOT).args(["-c", &cpu]).arg(built(&program)).output();
        let text = output.map_or(String::new(), |output| String::from_utf8_lossy(&output.stdout).into_owned());
        let number = |key: &str| -> Option<f64> {
            text.lines().rev().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
        };
        let Some(of_peer) = number(figure.0) else {
            self.notice(format!("{program} printed no {}", figure.0));
            return Found::default();
        };
        let others = beside.iter().map(|(key, _)| (*key, number(key).into_iter().collect())).collect();
        let values = Values { name: "siod", figures: vec![of_peer], beside: others };
        Found { unit: figure.1, beside, subject: Some(values), ..Found::default() }
    }
}

fn found(runs: &Runs, values: Vec<Values>) -> Found {
    let mut found = Found { unit: runs.figure.1, beside: runs.beside, ..Found::default() };
    for (rival, values) in runs.rivals.iter().zip(values) {
        match rival.part {
            Part::Subject => found.subject = Some(values),
            Part::Reference => found.reference = Some(values),
            Part::Peer => found.peers.push(values),
        }
    }
    found
}

fn without_numbers(sentence: &str) -> String {
    sentence.chars().filter(|char| !char.is_ascii_digit()).collect()
}

/// When, and on which machine.
fn circumstances() -> String {
    let Circumstances { date, cpu, kernel, .. } = Circumstances::now();
    let cores = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cores = cores.lines().filter(|line| line.starts_with("processor")).count();
    format!("{date} · {cpu}, {cores} cores · {kernel}")
}

/// How often siod is started for the row of that name.
const STARTS: usize = 5;
/// siod, statically linked or else not.
const BINARIES: [&str; 2] = ["dist/siod", "target/release/siod"];
/// Where `cargo build --release` leaves examples.
const EXAMPLES: &str = "target/release/examples";
