//! What goes with time: entries of the log, files, bodies of messages, and the ids that messages are known by. One home of the process goes through
//! all scopes, piece by piece: each is a bounded read or write, found by an index, and rests before the next, so nobody waits for it. How
//! far it has come with a scope is on disk, written with what has gone.
//!
//! ```text
//!  log ─► files ─► bodies of scope after scope ─► ids of scope after scope ─► rest ─► log …
//! ```
//!
//! A message whose body has gone is in no list; its row stays as long as its id is known, with a digest of what was in it, so that the same one
//! again gets its first outcome. One whose id is not known any more is listed as before. With both it goes.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::http::users::{LOG, failure_of};
use super::scope::Scope;
use super::scope::change_at;
use super::settings::Settings;
use super::tables::retention::{self as tables, Gone, Next, Old, Walk};
use super::who::home_of;
use crate::app::Token;
use crate::app::effect::{Effect, Effects};
use crate::app::event::AppInput;
use crate::app::job::{Job, JobError, Outcome};
use crate::app::note::Note;
use crate::app::sql::Statement;
use crate::base::time::{Now, WallMillis};

/// How far it is, on the one shard that does it.
#[derive(Debug)]
pub(super) struct Retention {
    token: Token,
    at: Option<At>,
}

/// The piece that is next, or on its way.
#[derive(Clone, Debug)]
enum At {
    Log,
    Files,
    /// The next scope beyond this one is looked for.
    Scope(Walk, Arc<str>),
    /// What is old of a scope, beyond this message.
    Rows(Walk, Arc<str>, Arc<str>),
    /// It goes, up to this message; whether there may be more.
    Going(Walk, Arc<str>, Arc<str>, bool),
}

/// What a scope's home is told when bodies have gone: up to this message.
#[derive(Serialize, Deserialize)]
struct Forgotten {
    upto: Arc<str>,
}

impl Retention {
    pub(super) fn new(token: Token) -> Retention {
        Retention { token, at: None }
    }

    /// The process has its home here: it begins, unless it has, or nothing goes.
    pub(super) fn begin(&mut self, settings: &Settings, fx: &mut Effects) {
        let Settings { log_retention_days, message_retention_days, dedup_days, .. } = settings;
        if self.at.is_none() && log_retention_days + message_retention_days + dedup_days > 0 {
            self.rest((At::Log, PAUSE_MS), fx);
        }
    }

    /// Whether this is its own timer, or what has come of a piece: it goes on then.
    pub(super) fn has_heard(&mut self, input: &AppInput, now: Now, settings: &Settings, fx: &mut Effects) -> bool {
        match input {
            AppInput::Timer { token } if *token == self.token => self.go_on(now, settings, fx),
            AppInput::Done { token, outcome } if *token == self.token => self.on_done(outcome, fx),
            _ => return false,
        }
        true
    }

    fn rest(&mut self, (next, after_ms): (At, u64), fx: &mut Effects) {
        self.at = Some(next);
        fx.push(Effect::Timer { token: self.token, after_ms });
    }

    fn ask(&mut self, at: At, job: Job, fx: &mut Effects) {
        self.at = Some(at);
        fx.push(Effect::Job { job, token: Some(self.token) });
    }

    /// The next piece for which something is set.
    fn go_on(&mut self, now: Now, settings: &Settings, fx: &mut Effects) {
        let before = |days: u32| (days > 0).then(|| WallMillis(now.wall.0.saturating_sub(u64::from(days) * DAY_MS)));
        let Some(mut at) = self.at.take() else { return };
        loop {
            let horizon = before(match at {
                At::Log => settings.log_retention_days,
                At::Files | At::Scope(Walk::Bodies, _) | At::Rows(Walk::Bodies, ..) => settings.message_retention_days,
                At::Scope(Walk::Ids, _) | At::Rows(Walk::Ids, ..) | At::Going(..) => settings.dedup_days,
            });
            let job = horizon.and_then(|horizon| job(&at, horizon));
            let (next, after_ms) = match job {
                Some(job) => return self.ask(at, job, fx),
                None => at.next(),
            };
            if after_ms == REST_MS {
                return self.rest((next, after_ms), fx);
            }
            at = next;
        }
    }

    fn on_done(&mut self, outcome: &Outcome, fx: &mut Effects) {
        let Some(at) = self.at.take() else { return };
        let again = match &at {
            // How far it has come stands beside the scope.
            At::Rows(walk, ..) | At::Going(walk, ..) => At::Scope(*walk, "".into()),
            at => at.clone(),
        };
        if let Err(error) = self.piece_is_done(at, outcome, fx) {
            tracing::warn!(target: "siod::utalk", error = error.text, "what is old could not be forgotten");
            self.rest((again, RETRY_MS), fx);
        }
    }

    fn piece_is_done(&mut self, at: At, outcome: &Outcome, fx: &mut Effects) -> Result<(), JobError> {
        let next = match at {
            At::Log | At::Files => match outcome.rows::<Gone>(0)?.len() < tables::PIECE {
                true => at.next(),
                false => (at, PAUSE_MS),
            },
            At::Scope(walk, _) => match outcome.rows::<Next>(0)?.into_iter().next() {
                Some(Next { scope, upto }) => (At::Rows(walk, scope, upto), 0),
                None => At::Scope(walk, "".into()).next(),
            },
            At::Rows(walk, scope, _) => {
                let mut rows: Vec<Old> = outcome.rows(0)?;
                // What is still on its way to its provider is not passed.
                let settled = rows.iter().position(|row| row.is_called).unwrap_or(rows.len());
                let has_more = rows.len() == tables::PIECE && settled == rows.len();
                rows.truncate(settled);
                match rows.last().map(|row| row.id.clone()) {
                    None => (At::Scope(walk, scope), PAUSE_MS),
                    Some(upto) => {
                        let write = tables::forget(walk, &scope, &rows, &upto);
                        let going = At::Going(walk, scope, upto, has_more);
                        self.ask(going, Job::Write(write.into()), fx);
                        return Ok(());
                    }
                }
            }
            At::Going(..) if !outcome.is_written() => return Err(failure_of(outcome)),
            At::Going(walk, scope, upto, true) => (At::Rows(walk, scope, upto), PAUSE_MS),
            At::Going(walk, scope, upto, false) => {
                if walk == Walk::Bodies {
                    fx.say(home_of(scope.to_string()), FORGOTTEN, &Forgotten { upto });
                }
                (At::Scope(walk, scope), PAUSE_MS)
            }
        };
        self.rest(next, fx);
        Ok(())
    }
}

impl At {
    /// What comes behind all of this kind, and when.
    fn next(&self) -> (At, u64) {
        match self {
            At::Log => (At::Files, PAUSE_MS),
            At::Files => (At::Scope(Walk::Bodies, "".into()), PAUSE_MS),
            At::Scope(Walk::Bodies, _) | At::Rows(Walk::Bodies, ..) | At::Going(Walk::Bodies, ..) => {
                (At::Scope(Walk::Ids, "".into()), PAUSE_MS)
            }
            At::Scope(Walk::Ids, _) | At::Rows(Walk::Ids, ..) | At::Going(Walk::Ids, ..) => (At::Log, REST_MS),
        }
    }
}

fn job(at: &At, horizon: WallMillis) -> Option<Job> {
    Some(match at {
        At::Log => write(tables::forget_log(LOG, horizon)),
        At::Files => write(tables::forget_files(horizon)),
        At::Scope(walk, beyond) => Job::Read(vec![tables::next(*walk, beyond)]),
        At::Rows(walk, scope, beyond) => Job::Read(vec![tables::old(*walk, scope, beyond, change_at(horizon))]),
        At::Going(..) => return None,
    })
}

fn write(statement: Statement) -> Job {
    Job::Write(Arc::new(vec![statement]))
}

impl Scope {
    /// What has gone from the disk goes from memory.
    pub(super) fn on_forgotten(&mut self, note: &Note) {
        let Some(Forgotten { upto }) = note.read().filter(|_| note.about == FORGOTTEN) else { return };
        for conversation in self.conversations.values_mut() {
            while conversation.ring.front().is_some_and(|message| message.id <= upto) {
                self.remembered -= conversation.ring.pop_front().map_or(0, |message| message.weight());
            }
            let last = conversation.row.last_message.as_deref().and_then(|last| last.split('"').nth(3));
            if last.is_some_and(|id| id <= &*upto) {
                conversation.row.last_message = None;
            }
        }
    }
}

/// What such a note is about.
pub(super) const FORGOTTEN: &str = "forgotten";
const DAY_MS: u64 = 86_400_000;
/// Between two pieces.
const PAUSE_MS: u64 = 25;
/// Between two rounds.
const REST_MS: u64 = 600_000;
/// Until a store that has failed is asked again.
const RETRY_MS: u64 = 5_000;
