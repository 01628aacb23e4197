//! Layer 7: what the daemon tells its operator, on standard error. Pretty lines on a terminal, JSON otherwise; either way one
//! event is one line, and nothing a peer sent can colour a terminal or begin a line of its own (B99).

use std::io::{self, IsTerminal as _, Write};

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::config::{Log, LogFormat};

/// Starts logging for the process; a second call changes nothing.
pub fn start(log: &Log) {
    let level = log.level.parse().unwrap_or(LevelFilter::INFO);
    let builder = tracing_subscriber::fmt().with_max_level(level).with_ansi(false).with_writer(StandardError);
    // An error means that somebody has started it before us.
    let _ = match log.format {
        LogFormat::Auto if io::stderr().is_terminal() => builder.try_init(),
        LogFormat::Pretty => builder.try_init(),
        LogFormat::Auto | LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
}

/// From now on a panic of any thread is one line in the log, and the end of the process: a panic is a bug, and half a daemon
/// would keep clients that nobody serves.
pub fn end_on_panic() {
    std::panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current();
        let (thread, at) = (thread.name().unwrap_or(""), panic.location().map(ToString::to_string).unwrap_or_default());
        let payload = panic.payload();
        let text = payload.downcast_ref::<&str>().copied();
        let message = text.or(payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("");
        tracing::error!(target: "siod::panic", thread, at, message, "a bug: the process ends");
        std::process::abort();
    }));
}

struct StandardError;

impl<'a> MakeWriter<'a> for StandardError {
    type Writer = OneLine<io::StderrLock<'static>>;

    fn make_writer(&'a self) -> Self::Writer {
        OneLine(io::stderr().lock())
    }
}

/// Writes each event, which arrives whole and ends in a newline, as one line without control characters.
struct OneLine<W>(W);

impl<W: Write> Write for OneLine<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        self.0.write_all(&one_line(event))?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Escapes every control character but the newline at the end, in a way that JSON understands too.
fn one_line(event: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(event);
    let (text, end) = text.strip_suffix('\n').map_or((&*text, ""), |text| (text, "\n"));
    let mut line = String::with_capacity(event.len());
    for letter in text.chars() {
        // Line and paragraph separators begin a line for some readers; bidirectional overrides reorder one.
        if letter.is_control()
            || matches!(letter, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        {
            line.push_str(&format!("\\u{:04x}", u32::from(letter)));
        } else {
            line.push(letter);
        }
    }
    line.push_str(end);
    line.into_bytes()
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("no test panics while it holds this").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    const HOSTILE: &str = "a\x1b[31mb\r\n2025 INFO forged\x7f\u{9b}2J\u{2028}\u{202e}é\t\0";

    #[test]
    fn b99_an_event_is_one_line_of_plain_text() {
        for json in [false, true] {
            let sink = Sink::default();
            let writer = sink.clone();
            let builder = tracing_subscriber::fmt().with_ansi(false).with_writer(move || OneLine(writer.clone()));
            let log = || tracing::info!(event = HOSTILE, shown = %HOSTILE, "said {HOSTILE}");
            match json {
                true => tracing::subscriber::with_default(builder.json().flatten_event(true).finish(), log),
                false => tracing::subscriber::with_default(builder.finish(), log),
            }
            let written = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
            let line = written.strip_suffix('\n').expect("an event ends in a newline");
            assert!(!line.chars().any(|letter| letter.is_control() || letter == '\u{202e}'), "{line:?}");
            assert!(line.contains("said a") && line.contains('é'), "{line}");
            if json {
                let event: serde_json::Value = serde_json::from_str(line).expect("a JSON event stays JSON");
                assert_eq!(event["shown"], HOSTILE);
            }
        }
    }
}
