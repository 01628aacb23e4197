//! The clocks of the operating system, which nothing below the shell reads.

use std::time::{Instant, SystemTime};

use crate::base::time::{Millis, Now, WallMillis};

/// Both clocks, read once a turn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    pub started: Instant,
}

impl Clock {
    pub(crate) fn now(&self) -> Now {
        Now { mono: Millis::from(self.started.elapsed()), wall: wall() }
    }
}

/// The time of the wall.
pub(crate) fn wall() -> WallMillis {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().into()
}
