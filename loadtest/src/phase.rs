//! The phases of a run, which all of its threads go through together.

/// Where a run is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Phase {
    Joining,
    Warming,
    Measuring,
    Stopping,
    Finished,
}

/// In their order.
pub(crate) const PHASES: [Phase; 5] =
    [Phase::Joining, Phase::Warming, Phase::Measuring, Phase::Stopping, Phase::Finished];

impl Phase {
    pub fn name(self) -> &'static str {
        ["joining", "warming up", "measuring", "stopping", "finished"][self as usize]
    }
}
