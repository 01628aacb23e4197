//! What comes of commands, for those who asked for them.

use super::turn::Turn;

impl Turn<'_> {
    /// A command has come to its end.
    pub(super) fn on_command_end(&mut self, _ticket: u64, _end: Result<Option<bool>, &'static str>, _after_ms: u64) {}
}
