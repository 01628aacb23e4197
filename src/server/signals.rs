//! Signals, from the first moment of the process to its last. SIGTERM and SIGINT ask for the end, a second one for a quick
//! end; every other signal that is sent in good faith is answered with a line.

use std::io;
use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Semaphore;
use tracing::warn;

/// Signals that ask for the end, counted as they come.
pub(crate) struct Signals {
    ends: Arc<Semaphore>,
}

impl Signals {
    /// From now on no signal ends the process by itself. To be called within the control runtime.
    ///
    /// # Errors
    /// The operating system refuses a handler.
    pub(crate) fn listen() -> io::Result<Signals> {
        let ends = Arc::new(Semaphore::new(0));
        for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
            let ends = ends.clone();
            each(signal(kind)?, move || ends.add_permits(1));
        }
        for (kind, signal_name, said) in [
            (SignalKind::hangup(), "SIGHUP", NO_RELOAD),
            (SignalKind::quit(), "SIGQUIT", NO_MEANING),
            (SignalKind::user_defined1(), "SIGUSR1", NO_MEANING),
            (SignalKind::user_defined2(), "SIGUSR2", NO_MEANING),
        ] {
            each(signal(kind)?, move || warn!(target: "siod::signal", signal = signal_name, "{said}"));
        }
        // A file that may grow no more (`ulimit -f`) fails the write; it does not end the process.
        each(signal(SignalKind::from_raw(libc::SIGXFSZ))?, || {});
        Ok(Signals { ends })
    }

    /// Resolves with the next signal that asks for the end; one that came before anybody waited counts.
    pub(crate) async fn end(&self) {
        self.ends.acquire().await.expect("nobody closes it").forget();
    }
}

/// Does something for each signal, until the runtime ends.
fn each(mut signals: Signal, mut then: impl FnMut() + Send + 'static) {
    tokio::spawn(async move {
        while signals.recv().await.is_some() {
            then();
        }
    });
}

const NO_RELOAD: &str = "there is nothing to reload: the configuration is read at the start (SIGTERM drains)";
const NO_MEANING: &str = "a signal without a meaning here (SIGTERM drains)";
