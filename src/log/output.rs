//! What commands print: answers on standard output, complaints on standard error. A reader that has gone, is stopped or is full
//! ends nothing that serves.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write as _};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// Writes the answer of a command to standard output, and waits for whoever reads it. A reader that has seen enough
/// (`siod check | head -1`) is no failure.
///
/// # Errors
/// Standard output takes no more, as a full disk.
pub(crate) fn say(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    read_or_left(writeln!(out, "{text}").and_then(|()| out.flush()))
}

/// The outcome of a write to somebody who may leave when they have seen enough.
pub(crate) fn read_or_left(written: io::Result<()>) -> io::Result<()> {
    if written.as_ref().is_err_and(|error| error.kind() == ErrorKind::BrokenPipe) { Ok(()) } else { written }
}

/// Writes what a running daemon has to say to standard output, and waits for nobody.
pub(crate) fn announce(text: String) {
    aside(Duration::ZERO, move || drop(say(text.trim_end())));
}

/// Writes sentences about what is wrong to standard error, before there is a log.
pub(crate) fn complain(sentences: &[impl Display]) {
    let text: String = sentences.iter().map(|sentence| format!("siod: {sentence}\n")).collect();
    aside(COMPLAINT_TIMEOUT, move || drop(io::stderr().write_all(text.as_bytes())));
}

/// Writes on a thread of its own, and waits for that no longer than `limit`. Without a thread nothing is written.
fn aside(limit: Duration, write: impl FnOnce() + Send + 'static) {
    let (done, wait) = mpsc::channel::<()>();
    let write = move || {
        write();
        drop(done);
    };
    if thread::Builder::new().name("output".to_owned()).spawn(write).is_ok() {
        // Neither that it took too long nor that it is done changes anything.
        let _ = wait.recv_timeout(limit);
    }
}

/// How long a command waits for somebody to read why it failed.
const COMPLAINT_TIMEOUT: Duration = Duration::from_secs(2);
