//! The text of one line: an event in, what may be shown out.

use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};

/// Escapes every control character but the newline at the end, in a way that JSON understands too.
pub(super) fn one_line(event: &[u8]) -> Vec<u8> {
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

/// What the log says about itself, in the form of its other lines: `lines` is how many are not there, `of` whose they were.
pub(super) fn about_the_log(json: bool, message: &str, lines: u64, of: &str) -> Vec<u8> {
    let mut now = String::new();
    // A clock that cannot be shown leaves the time empty.
    let _ = SystemTime.format_time(&mut Writer::new(&mut now));
    let text = match json {
        true => {
            let (level, target) = ("WARN", TARGET);
            serde_json::json!({ "timestamp": now, "level": level, "message": message, "lines": lines, "of": of, "target": target })
                .to_string()
        }
        false => format!("{now}  WARN {TARGET}: {message} lines={lines} of={of:?}"),
    };
    format!("{text}\n").into_bytes()
}

const TARGET: &str = "siod::log";

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("no test panics while it holds this").extend_from_slice(&one_line(bytes));
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
            let builder = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone());
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

    #[test]
    fn the_log_speaks_of_itself_as_of_all_else() {
        let line = String::from_utf8(about_the_log(true, "lost", 3, "all")).unwrap();
        let event: serde_json::Value = serde_json::from_str(line.strip_suffix('\n').unwrap()).unwrap();
        assert_eq!((&event["message"], &event["lines"], &event["of"]), (&"lost".into(), &3.into(), &"all".into()));
        assert!(event["timestamp"].as_str().unwrap().starts_with("20"), "{line}");
        let line = String::from_utf8(about_the_log(false, "lost", 3, "all")).unwrap();
        assert!(line.starts_with("20") && line.ends_with("  WARN siod::log: lost lines=3 of=\"all\"\n"), "{line}");
    }
}
