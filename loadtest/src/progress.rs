//! The line that tells, on a terminal, how a run goes.

use std::cell::Cell;
use std::fmt::Write;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::clock::{self, Nanos, SECOND_NS};
use crate::lines::grouped;
use crate::live::Shared;
use crate::options::Options;
use crate::phase::Phase;
use crate::scenario::kind::Kind;
use crate::series::Series;

const REDRAW_NS: Nanos = 200_000_000;
const BAR: &str = "{spinner:.cyan} {bar:10.cyan/dim} {wide_msg}";

pub(crate) struct Progress {
    bar: ProgressBar,
    units: &'static str,
    clients: u64,
    /// Lengths of the warm-up and of the measured time.
    lengths_ns: [Nanos; 2],
    drawn_at: Cell<Nanos>,
}

impl Progress {
    pub(crate) fn new(kind: &Kind, options: &Options) -> Progress {
        let bar = ProgressBar::with_draw_target(Some(1), ProgressDrawTarget::stderr());
        bar.set_style(ProgressStyle::with_template(BAR).expect("the template is valid").progress_chars("━━─"));
        bar.enable_steady_tick(Duration::from_millis(200));
        let lengths_ns = [options.warm_up_ms * clock::MS_NS, options.seconds * SECOND_NS];
        Progress { bar, units: kind.unit.1, clients: u64::from(options.clients), lengths_ns, drawn_at: Cell::new(0) }
    }

    /// Draws the line, at most a few times a second. `since_ns`: for how long the phase has lasted.
    pub(crate) fn show(&self, phase: Phase, since_ns: Nanos, shared: &Shared, series: &Series) {
        let now = clock::now();
        if self.bar.is_hidden() || now < self.drawn_at.get() + REDRAW_NS {
            return;
        }
        self.drawn_at.set(now);
        let joined = shared.sum(|live| &live.joined);
        let (at, length) = match phase {
            Phase::Joining => (joined, self.clients),
            Phase::Warming => (since_ns, self.lengths_ns[0]),
            Phase::Measuring => (since_ns, self.lengths_ns[1]),
            Phase::Stopping | Phase::Finished => (1, 1),
        };
        self.bar.update(|state| {
            state.set_len(length.max(1));
            state.set_pos(at.min(length));
        });
        let place = match phase {
            Phase::Joining => format!("joining {}/{}", grouped(joined as f64), grouped(self.clients as f64)),
            Phase::Measuring => format!("{}/{} s", since_ns / SECOND_NS, length / SECOND_NS),
            Phase::Warming => "warming up".to_owned(),
            Phase::Stopping | Phase::Finished => "waiting for what is on its way".to_owned(),
        };
        let faults = shared.sum(|live| &live.faults);
        let joined =
            if phase == Phase::Joining { String::new() } else { format!(" · {} joined", grouped(joined as f64)) };
        self.bar.set_message(format!("{place}{}{joined}", self.sentence(faults, series)));
    }

    /// The most important first: what does not fit on the line is not shown.
    fn sentence(&self, faults: u64, series: &Series) -> String {
        let mut line = String::new();
        // Writing to a String cannot fail.
        if faults > 0 {
            let _ = write!(line, " · {} faults", grouped(faults as f64));
        }
        if let Some(latest) = series.latest().filter(|latest| latest.done > 0) {
            let _ = write!(line, " · {} {}/s", grouped(latest.rate_per_s().round()), self.units);
            if let Some(latency) = latest.latency() {
                let ms = |ns: u64| brief(ns as f64 / 1e6);
                let (p50, p99, max) = (ms(latency.p50_ns), ms(latency.p99_ns), ms(latency.max_ns));
                let _ = write!(line, " · p50 {p50} p99 {p99} max {max} ms");
            }
        }
        line
    }

    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// Two digits, or all before the point.
fn brief(value: f64) -> String {
    match value {
        _ if value >= 10.0 => grouped(value),
        _ if value >= 1.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
