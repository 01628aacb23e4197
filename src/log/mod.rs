//! Layer 7: what the daemon tells its operator, on standard error. Pretty lines on a terminal, JSON otherwise; either way one
//! event is one line, and nothing a peer sent can colour a terminal or begin a line of its own (B99).
//!
//! Logging is best effort: whatever becomes of standard error, nothing waits for it and nobody dies. A thread that logs puts a line
//! into a bounded queue ([`queue`]), one thread of its own writes ([`sink`]), and what does not fit or cannot be written is
//! counted and said later. What clients can cause is bounded in lines a second. [`output`] is what commands print.

mod line;
pub(crate) mod output;
mod queue;
mod sink;

use std::fs::File;
use std::io::{self, IsTerminal as _};
use std::os::fd::AsFd as _;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use tracing::{Event, Subscriber};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

use crate::app::settings::Word as _;
use crate::base::limit;
use crate::config::{Log, LogFormat};

use line::one_line;
use queue::Queue;
use sink::Sink;

/// Starts logging for the process; a second call changes nothing.
pub fn start(log: &Log) {
    let mut first = false;
    let queue = QUEUE.get_or_init(|| {
        first = true;
        Arc::new(Queue::new(log.lines_per_s_max))
    });
    if !first {
        return;
    }
    let json = match log.format {
        LogFormat::Auto => !io::stderr().is_terminal(),
        LogFormat::Pretty => false,
        LogFormat::Json => true,
    };
    let level = log.level.word().parse().unwrap_or(LevelFilter::INFO);
    let lines = Lines(queue.clone());
    let builder = tracing_subscriber::fmt().with_max_level(level).with_ansi(false).log_internal_errors(false);
    let builder = builder.with_writer(lines.clone());
    // An error means that somebody else listens to events already.
    let _ = match json {
        true => tracing::subscriber::set_global_default(builder.json().flatten_event(true).finish().with(lines)),
        false => tracing::subscriber::set_global_default(builder.finish().with(lines)),
    };
    // Without the descriptor or the thread lines are dropped, and the daemon serves.
    if let Ok(descriptor) = io::stderr().as_fd().try_clone_to_owned() {
        let (queue, sink) = (queue.clone(), Sink::new(File::from(descriptor), json));
        let _ = thread::Builder::new().name("log".to_owned()).spawn(move || sink.run(&queue));
    }
}

/// Waits until every line has been written, or a moment where that takes longer. Before the process ends.
pub fn finish() {
    if let Some(queue) = QUEUE.get() {
        queue.finish(FINISH_TIMEOUT);
    }
}

/// From now on a panic of any thread is one line in the log, and the end of the process: a panic is a bug, and half a daemon
/// would keep clients that nobody serves.
pub fn end_on_panic() {
    std::panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current();
        let (thread, at) = (thread.name().unwrap_or(""), panic.location().map(ToString::to_string).unwrap_or_default());
        let payload = panic.payload();
        let owned = payload.downcast_ref::<String>().map(String::as_str);
        let message = payload.downcast_ref::<&str>().copied().or(owned).unwrap_or("");
        tracing::error!(target: "siod::panic", thread, at, message, "a bug: the process ends");
        finish();
        std::process::abort();
    }));
}

/// What the subscriber asks and tells: whether an event is one too many, and the line that has become of it.
#[derive(Clone)]
struct Lines(Arc<Queue>);

impl<S: Subscriber> Layer<S> for Lines {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        OWN_TARGETS.contains(&event.metadata().target()) || self.0.admits(event.metadata())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = &'a Lines;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

/// Takes each event, which arrives whole and ends in a newline. There is no error: who logs has nothing to do about one.
impl io::Write for &Lines {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        self.0.push(&one_line(event));
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

static QUEUE: OnceLock<Arc<Queue>> = OnceLock::new();
/// What no client can cause, however many come: how the daemon starts and ends. Everything else is bounded in lines a second.
const OWN_TARGETS: [&str; 2] = ["siod::server", "siod::panic"];
/// How long the end of the process waits for its last lines.
const FINISH_TIMEOUT: Duration = Duration::from_millis(limit::LOG_FINISH_TIMEOUT_MS);
