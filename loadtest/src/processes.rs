//! Processes of clients, for more of them than one process may have sockets. Each is this program again; what it is to do
//! comes over its standard input, then the orders; over its standard output goes what its threads say and, last, what they
//! found. So the one who leads sees threads, wherever they are. Only scenarios whose clients need not know of each other
//! are done this way.

use std::io::{self, BufRead, BufReader, Write};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::figures::Figures;
use crate::live::{Live, Order, Shared};
use crate::options::Options;
use crate::phase::Phase;
use crate::scenario;
use crate::scenario::kind::Kind;
use crate::series::Part;
use crate::worker;

/// The subcommand by which a process of clients is begun: what it is to do comes over its standard input.
pub const PART: &str = "part";
/// How often a process says how it is, and hears what it is to do.
const WORD_EVERY: Duration = Duration::from_millis(5);

/// What one process is to do.
#[derive(Serialize, Deserialize)]
pub struct Errand {
    scenario: String,
    options: Options,
    /// Its first thread among those of all processes.
    first: usize,
}

/// A line of what a process says.
#[derive(Serialize, Deserialize)]
enum Word {
    Live(Vec<Live>),
    Part(Part),
    Found(Box<Figures>),
    Failed(String),
}

/// Threads of all errands together.
pub fn threads(errands: &[Errand]) -> usize {
    errands.last().map_or(0, |last| last.first + last.options.settled().threads as usize)
}

impl Errand {
    /// One for each process.
    pub fn all(kind: &Kind, options: &Options) -> Vec<Errand> {
        let (mut first_client, mut first) = (0, 0);
        let one = |process| {
            let mut part = options.share_of(process);
            part.share.first_client = first_client;
            let errand = Errand { scenario: kind.name.to_owned(), options: part, first };
            first_client += errand.options.clients;
            first += errand.options.settled().threads as usize;
            errand
        };
        (0..options.processes).map(one).collect()
    }
}

/// Begins a process, passes orders on and takes what it says, until it has said what it found.
pub fn lead(shared: &Shared, errand: &Errand) -> Result<Figures, String> {
    let found = try_lead(shared, errand).map_err(|error| format!("a process of clients: {error}")).flatten();
    if found.is_err() {
        shared.live[errand.first].failed.store(true, Relaxed);
    }
    found
}

fn try_lead(shared: &Shared, errand: &Errand) -> io::Result<Result<Figures, String>> {
    let mut command = Command::new(std::env::current_exe()?);
    let mut child = command.arg(PART).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let (to, from) = (child.stdin.take().expect("it is piped"), child.stdout.take().expect("it is piped"));
    let found = converse(shared, errand, to, BufReader::new(from));
    // Its input is closed by now, so it ends.
    child.wait()?;
    found
}

fn converse(
    shared: &Shared,
    errand: &Errand,
    mut to: ChildStdin,
    from: BufReader<ChildStdout>,
) -> io::Result<Result<Figures, String>> {
    writeln!(to, "{}", serde_json::to_string(errand)?)?;
    let mut told = Order::FIRST;
    for line in from.lines() {
        match serde_json::from_str(&line?)? {
            Word::Live(rows) => {
                let ours = &shared.live[errand.first..];
                ours.iter().zip(&rows).for_each(|(ours, row)| ours.copy(row));
            }
            Word::Part(part) => shared.push_part(part),
            Word::Found(figures) => return Ok(Ok(*figures)),
            Word::Failed(sentence) => return Ok(Err(sentence)),
        }
        let order = shared.order();
        if order != told {
            writeln!(to, "{}", order.to_word())?;
            told = order;
        }
    }
    Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it ended before it had said what it found"))
}

/// The other side: a process of clients, from its errand to its last word.
pub fn follow() -> io::Result<()> {
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    let errand: Errand = serde_json::from_str(&line)?;
    let kind = scenario::find(&errand.scenario);
    let kind = kind.ok_or_else(|| io::Error::other("an unknown scenario"))?;
    let (crew, scenarios, options) = worker::prepare(kind, &errand.options).map_err(io::Error::other)?;
    let (shared, options) = (&Shared::new(scenarios.len()), &options);
    std::thread::scope(|scope| {
        let each = scenarios.into_iter().enumerate();
        let crew = &crew;
        let works: Vec<_> = each
            .map(|(thread, scenario)| scope.spawn(move || worker::work(shared, crew, options, thread, scenario)))
            .collect();
        let listener = scope.spawn(move || hear(shared));
        while !works.iter().all(|work| work.is_finished()) {
            say_all(shared)?;
            std::thread::sleep(WORD_EVERY);
        }
        say_all(shared)?;
        let mut figures = Figures::default();
        let mut failed = None;
        for work in works {
            match work.join().expect("a thread does not panic") {
                Ok(found) => figures.merge(&found),
                Err(sentence) => failed = Some(sentence),
            }
        }
        say(&failed.map_or(Word::Found(Box::new(figures)), Word::Failed))?;
        listener.join().expect("a thread does not panic");
        Ok(())
    })
}

/// Takes orders until there are none any more: then nobody leads, and all is to end.
fn hear(shared: &Shared) {
    for word in io::stdin().lines().map_while(Result::ok).filter_map(|line| line.parse().ok()) {
        shared.give(Order::of_word(word));
    }
    let Order { interval, .. } = shared.order();
    shared.give(Order { phase: Phase::Finished, interval: interval + 1 });
}

fn say_all(shared: &Shared) -> io::Result<()> {
    shared.take_parts().into_iter().try_for_each(|part| say(&Word::Part(part)))?;
    let text = serde_json::to_string(&WordOf::Live(&shared.live))?;
    writeln!(io::stdout(), "{text}")
}

fn say(word: &Word) -> io::Result<()> {
    writeln!(io::stdout(), "{}", serde_json::to_string(word)?)
}

/// [`Word::Live`] of rows that are in use.
#[derive(Serialize)]
enum WordOf<'a> {
    Live(&'a [Live]),
}
