//! What a call asks of the store, and how it is answered when that has come.

use super::envelope::{Refusal, refuse};
use super::wanted::{Reading, Show, Storing, Then};
use super::{credentials, devices, logs, operation};
use crate::app::effect::Effect;
use crate::app::job::{Job, JobErrorKind, Outcome};
use crate::app::kit::audit::Actor;
use crate::app::reply::Reply;
use crate::app::sql::Statement;
use crate::apps::iot::turn::Turn;
use crate::apps::iot::waiting::Wait;
use crate::apps::iot::who::{DEVICE_EXISTS, STORE_UNAVAILABLE, fail};

impl Turn<'_> {
    /// Asks the store, behind what waits to be written.
    pub(super) fn read_for(&mut self, reading: Reading) {
        self.read_saved(Wait::Read(Box::new(reading)));
    }

    /// Writes, behind what waits to be written.
    ///
    /// # Errors
    /// Where the store is known to fail.
    pub(super) fn store_for(&mut self, write: Vec<Statement>, storing: Storing) -> Result<(), Refusal> {
        self.needs_store()?;
        self.flush();
        self.ask(Job::Write(write.into()), Wait::Stored(Box::new(storing)));
        Ok(())
    }

    /// The store has answered what a call had asked.
    pub(in crate::apps::iot) fn on_read(&mut self, reading: &Reading, outcome: &Outcome) {
        let reply = match &reading.show {
            Show::Logs { limit, offset } => logs::show(self, outcome, *limit, *offset),
            Show::LogStats => logs::show_stats(outcome),
            Show::Internal => logs::show_internal(self, outcome),
            Show::Manager => super::manager::show_connections(self, outcome),
            Show::Logging(id) => super::connections::show_logging(self, id, outcome),
            Show::Audit => operation::show_audit(outcome),
        };
        let reply = reply.unwrap_or_else(|error| {
            tracing::warn!(target: "siod::iot", system = &*self.system.name, error = error.text, "a list is not read");
            refuse(reading.path, &fail(STORE_UNAVAILABLE).into())
        });
        self.fx.push(Effect::Reply { req: reading.req, reply });
    }

    /// What a call wrote is on disk, or is not.
    pub(in crate::apps::iot) fn on_stored(&mut self, storing: Storing, outcome: &Outcome) {
        let Storing { req, path, actor, then } = storing;
        let reply = match self.is_written(outcome) {
            true => self.stored(&actor, then, outcome),
            false => {
                let is_invalid = matches!(outcome, Outcome::Failed(error) if error.kind == JobErrorKind::Invalid);
                let exists = is_invalid && matches!(then, Then::Claimed(_));
                refuse(path, &fail(if exists { DEVICE_EXISTS } else { STORE_UNAVAILABLE }).into())
            }
        };
        self.fx.push(Effect::Reply { req, reply });
    }

    fn stored(&mut self, actor: &Actor, then: Then, outcome: &Outcome) -> Reply {
        match then {
            Then::Claimed(device) => devices::claimed(self, actor, *device),
            Then::Dropped(id) => devices::dropped(self, actor, &id),
            Then::CredentialDropped(id) => credentials::dropped(self, actor, &id),
            Then::Cleared(clear) => logs::cleared(self, actor, clear, outcome),
            Then::Secret { secret, hash } => operation::has_secret(self, actor, &secret, hash),
            Then::Revoked => operation::revoked(self, actor),
        }
    }
}
