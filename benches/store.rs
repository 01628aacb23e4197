//! Durable writes a second: one row of the audit each, on a file, with so many asked for and not answered yet. Prints the rate
//! of each run; `cargo bench --bench store`.

use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use siod::app::job::{Job, Outcome};
use siod::app::kit::audit::{self, Actor, Entry};
use siod::base::time::WallMillis;
use siod::store::{Settings, Store};

const RUN: Duration = Duration::from_secs(2);

fn main() {
    for in_flight in [64, 256] {
        for _ in 0..3 {
            println!("{in_flight} in flight: {:.0} writes a second", rate(in_flight));
        }
    }
}

fn rate(in_flight: usize) -> f64 {
    let directory = tempfile::tempdir().expect("there is room for a directory");
    let url = format!("sqlite:{}", directory.path().join("bench.db").display());
    let store = Store::open(&Settings::new(&url, directory.path())).expect("a new file opens");
    let (answered, answers) = channel();
    let submit = || {
        let answered = answered.clone();
        let reply = move |outcome| {
            let _ = answered.send(!matches!(outcome, Outcome::Failed(_)));
        };
        store.submit(job(), Box::new(reply));
    };
    (0..in_flight).for_each(|_| submit());
    let (begun, mut written) = (Instant::now(), 0);
    while begun.elapsed() < RUN {
        assert!(answers.recv().expect("every job is answered"), "a write has failed");
        written += 1;
        submit();
    }
    let rate = f64::from(written) / begun.elapsed().as_secs_f64();
    store.close();
    rate
}

fn job() -> Job {
    let entry = Entry::new(WallMillis(1_755_684_031_000), "bench", &Actor::default(), "write", "a row");
    Job::Write(vec![entry.add(), audit::trim(audit::ROWS_MAX)].into())
}
