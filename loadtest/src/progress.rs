//! The line that tells, on a terminal, how a run goes.

use std::cell::RefCell;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::clock::{self, Nanos};
use crate::run::Live;
use crate::scenario::Kind;

const REDRAW_NS: Nanos = 200_000_000;

pub struct Progress {
    bar: ProgressBar,
    units: &'static str,
    /// When it was drawn last, and how many units were done then.
    last: RefCell<(Nanos, u64)>,
}

impl Progress {
    pub fn new(kind: &Kind) -> Progress {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        bar.set_style(ProgressStyle::with_template("{spinner} {elapsed} {msg}").expect("the template is valid"));
        bar.enable_steady_tick(Duration::from_millis(200));
        Progress { bar, units: kind.unit.1, last: RefCell::new((0, 0)) }
    }

    /// Whether standard error is a terminal.
    pub fn is_visible(&self) -> bool {
        !self.bar.is_hidden()
    }

    pub fn show(&self, live: &[Live]) {
        let (then, done_then) = *self.last.borrow();
        let now = clock::now();
        if !self.is_visible() || now < then + REDRAW_NS {
            return;
        }
        let sum = |of: fn(&Live) -> &AtomicU64| live.iter().map(|live| of(live).load(Relaxed)).sum::<u64>();
        let worst = |of: fn(&Live) -> &AtomicU64| live.iter().map(|live| of(live).load(Relaxed)).max().unwrap_or(0);
        let (joined, done, faults) = (sum(|live| &live.joined), sum(|live| &live.done), sum(|live| &live.faults));
        let mut line = format!("{joined} joined");
        if !self.units.is_empty() {
            let rate = (done - done_then) as f64 / ((now - then) as f64 / 1e9);
            let (p50, p99) = (worst(|live| &live.p50_ns), worst(|live| &live.p99_ns));
            // Writing to a String cannot fail.
            let _ = write!(line, ", {rate:.0} {}/s", self.units);
            let _ = write!(line, ", p50 {:.2} ms, p99 {:.2} ms", p50 as f64 / 1e6, p99 as f64 / 1e6);
        }
        if faults > 0 {
            let _ = write!(line, ", {faults} faults");
        }
        self.bar.set_message(line);
        *self.last.borrow_mut() = (now, done);
    }

    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
