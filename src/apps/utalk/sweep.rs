//! Scopes that nobody has loaded, and that have something to do: a message that the last process has not settled with its provider, or a customer
//! who will soon have waited for too long. They are woken, whichever shard they are at home on. So calls and timers outlive the process, and a
//! scope that has nothing but timers need not stay in memory.

use super::settings::Settings;
use super::tables::calls::unfinished;
use super::tables::work::{ScopeOf, late_scopes};
use super::who::home_of;
use crate::app::Token;
use crate::app::effect::{Effect, Effects};
use crate::app::event::AppInput;
use crate::app::job::{Job, JobError, Outcome};
use crate::base::time::{Now, WallMillis};

/// Looks for such scopes again and again.
#[derive(Debug)]
pub(super) struct Sweep {
    token: Token,
    /// Those that the last process has left are woken.
    has_begun: bool,
    /// Questions on their way.
    asked: usize,
}

impl Sweep {
    /// Nothing has been looked for yet.
    pub(super) fn new(token: Token) -> Sweep {
        Sweep { token, has_begun: false, asked: 0 }
    }

    /// Whether this is its own timer, or what its questions have come to: it goes on then.
    pub(super) fn has_heard(&mut self, input: &AppInput, now: Now, settings: &Settings, fx: &mut Effects) -> bool {
        match input {
            AppInput::Timer { token } if *token == self.token => self.look(now, settings, fx),
            AppInput::Done { token, outcome } if *token == self.token => self.on_found(outcome, fx),
            _ => return false,
        }
        true
    }

    /// Asks what was left, the first time, and who will have waited for too long before it looks again; nothing where nobody ever has.
    pub(super) fn look(&mut self, now: Now, settings: &Settings, fx: &mut Effects) {
        let [bot, agent] = [settings.bot_timeout_ms, settings.agent_reply_timeout_ms].map(|timeout_ms| {
            let since = (now.wall.0 + 2 * LOOK_MS).saturating_sub(timeout_ms);
            WallMillis(if timeout_ms > 0 { since } else { 0 })
        });
        let left = (!self.has_begun).then(unfinished);
        let late = (bot.0 > 0 || agent.0 > 0).then(|| late_scopes(bot, agent));
        let questions: Vec<_> = left.into_iter().chain(late).collect();
        self.asked = questions.len();
        if self.asked > 0 {
            fx.push(Effect::Job { job: Job::Read(questions), token: Some(self.token) });
        }
    }

    /// They are woken, and some time later it looks again.
    fn on_found(&mut self, outcome: &Outcome, fx: &mut Effects) {
        let found: Result<Vec<Vec<ScopeOf>>, JobError> = (0..self.asked).map(|index| outcome.rows(index)).collect();
        let after_ms = if found.is_ok() { LOOK_MS } else { LOOK_AGAIN_MS };
        self.has_begun |= found.is_ok();
        let scopes = found.unwrap_or_default().into_iter().flatten();
        fx.0.extend(scopes.map(|scope| Effect::Wake { home: home_of(scope.0.to_string()) }));
        fx.push(Effect::Timer { token: self.token, after_ms });
    }
}

/// Between two looks.
const LOOK_MS: u64 = 30_000;
/// Until a store that has failed is asked again.
const LOOK_AGAIN_MS: u64 = 1_000;
