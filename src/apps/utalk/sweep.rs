//! Scopes that nobody has loaded, and in which a customer will soon have waited for too long: they are woken, whichever shard they are at home on.
//! So timers outlive the process, and a scope that has nothing but timers need not stay in memory.

use super::settings::Settings;
use super::tables::work::{Late, late_scopes};
use super::who::home_of;
use crate::app::Token;
use crate::app::effect::{Effect, Effects};
use crate::app::event::AppInput;
use crate::app::job::{Job, Outcome};
use crate::base::time::{Now, WallMillis};

/// Looks for such scopes again and again.
#[derive(Debug)]
pub(super) struct Sweep {
    token: Token,
}

impl Sweep {
    /// Nothing has been looked for yet.
    pub(super) fn new(token: Token) -> Sweep {
        Sweep { token }
    }

    /// Whether this is its own timer, or what its question has come to: it goes on then.
    pub(super) fn has_heard(&self, input: &AppInput, now: Now, settings: &Settings, fx: &mut Effects) -> bool {
        match input {
            AppInput::Timer { token } if *token == self.token => self.look(now, settings, fx),
            AppInput::Done { token, outcome } if *token == self.token => self.on_found(outcome, fx),
            _ => return false,
        }
        true
    }

    /// Asks who will have waited for too long before it looks again; nothing where nobody ever has.
    pub(super) fn look(&self, now: Now, settings: &Settings, fx: &mut Effects) {
        let [bot, agent] = [settings.bot_timeout_ms, settings.agent_reply_timeout_ms].map(|timeout_ms| {
            let since = (now.wall.0 + 2 * LOOK_MS).saturating_sub(timeout_ms);
            WallMillis(if timeout_ms > 0 { since } else { 0 })
        });
        if bot.0 > 0 || agent.0 > 0 {
            fx.push(Effect::Job { job: Job::Read(vec![late_scopes(bot, agent)]), token: Some(self.token) });
        }
    }

    /// They are woken, and some time later it looks again.
    fn on_found(&self, outcome: &Outcome, fx: &mut Effects) {
        let scopes: Vec<Late> = outcome.rows(0).unwrap_or_default();
        fx.0.extend(scopes.iter().map(|scope| Effect::Wake { home: home_of(scope.0.to_string()) }));
        fx.push(Effect::Timer { token: self.token, after_ms: LOOK_MS });
    }
}

/// Between two looks.
const LOOK_MS: u64 = 30_000;
