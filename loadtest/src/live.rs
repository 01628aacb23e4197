//! What the threads of a run share with the one that leads them: its orders, how they are, and what they did in each
//! interval. A process of clients is followed the same way: [`crate::processes`] keeps its threads' rows up to date.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64, Ordering::Relaxed};

use serde::{Deserialize, Serialize};

use crate::phase::{PHASES, Phase};
use crate::series::Part;

/// What all threads are to do: the phase, and the number of the interval. One word, so that the two change together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Order {
    pub phase: Phase,
    pub interval: usize,
}

impl Order {
    pub const FIRST: Order = Order { phase: Phase::Joining, interval: 0 };

    pub fn to_word(self) -> u64 {
        (self.interval as u64) << 8 | self.phase as u64
    }

    pub fn of_word(word: u64) -> Order {
        let phase = PHASES[(word & 0xff).min(PHASES.len() as u64 - 1) as usize];
        Order { phase, interval: (word >> 8) as usize }
    }
}

/// What a thread tells while it runs. Each figure by itself: nothing follows from two of them.
#[derive(Default, Debug, Serialize, Deserialize)]
pub struct Live {
    /// Its number for the kernel, and that of its process.
    pub thread: AtomicI32,
    pub process: AtomicU32,
    pub joined: AtomicU64,
    pub done: AtomicU64,
    pub faults: AtomicU64,
    pub reads: AtomicU64,
    pub bytes_read: AtomicU64,
    /// All who connect have joined or failed.
    pub ready: AtomicBool,
    /// There is nothing more to measure.
    pub over: AtomicBool,
    /// Nothing is on its way.
    pub idle: AtomicBool,
    /// It has ended with an error.
    pub failed: AtomicBool,
}

impl Live {
    /// Takes over what another one says.
    pub fn copy(&self, from: &Live) {
        self.thread.store(from.thread.load(Relaxed), Relaxed);
        self.process.store(from.process.load(Relaxed), Relaxed);
        let numbers = self.numbers().into_iter().zip(from.numbers());
        numbers.for_each(|(to, from)| to.store(from.load(Relaxed), Relaxed));
        let states = self.states().into_iter().zip(from.states());
        states.for_each(|(to, from)| to.store(from.load(Relaxed), Relaxed));
    }

    fn numbers(&self) -> [&AtomicU64; 5] {
        [&self.joined, &self.done, &self.faults, &self.reads, &self.bytes_read]
    }

    fn states(&self) -> [&AtomicBool; 4] {
        [&self.ready, &self.over, &self.idle, &self.failed]
    }
}

/// One for each run.
pub struct Shared {
    order: AtomicU64,
    /// One for each thread.
    pub live: Vec<Live>,
    parts: Mutex<Vec<Part>>,
}

impl Shared {
    pub fn new(threads: usize) -> Shared {
        let live = (0..threads).map(|_| Live::default()).collect();
        Shared { order: AtomicU64::new(Order::FIRST.to_word()), live, parts: Mutex::default() }
    }

    pub fn order(&self) -> Order {
        Order::of_word(self.order.load(Relaxed))
    }

    pub fn give(&self, order: Order) {
        self.order.store(order.to_word(), Relaxed);
    }

    pub fn sum(&self, of: fn(&Live) -> &AtomicU64) -> u64 {
        self.live.iter().map(|live| of(live).load(Relaxed)).sum()
    }

    /// Our processes, this one among them.
    pub fn processes(&self) -> BTreeSet<u32> {
        let others = self.live.iter().map(|live| live.process.load(Relaxed)).filter(|process| *process != 0);
        others.chain([std::process::id()]).collect()
    }

    pub fn has_failed(&self) -> bool {
        self.live.iter().any(|live| live.failed.load(Relaxed))
    }

    pub fn push_part(&self, part: Part) {
        self.parts.lock().expect("nobody panics with it").push(part);
    }

    pub fn take_parts(&self) -> Vec<Part> {
        std::mem::take(&mut self.parts.lock().expect("nobody panics with it"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_and_rows_survive_the_way() {
        for phase in PHASES {
            let order = Order { phase, interval: 70_000 };
            assert_eq!(Order::of_word(order.to_word()), order);
        }
        let (row, copy) = (Live::default(), Live::default());
        row.joined.store(7, Relaxed);
        row.bytes_read.store(9, Relaxed);
        row.failed.store(true, Relaxed);
        let text = serde_json::to_string(&row).unwrap();
        copy.copy(&serde_json::from_str(&text).unwrap());
        assert_eq!(serde_json::to_string(&copy).unwrap(), text);
    }
}
