//! The clocks of the operating system, which nothing below the shell reads.

use std::time::{Instant, SystemTime};

use crate::base::time::{Millis, Now};

/// Both clocks, read once a turn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    pub started: Instant,
}

impl Clock {
    pub(crate) fn now(&self) -> Now {
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Now { mono: Millis::from(self.started.elapsed()), wall: wall.into() }
    }
}
