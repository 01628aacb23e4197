//! The events by which the work of agents is asked for: their payloads become tasks.

use serde_json::Value;

use super::escalation::Reason;
use super::payload::{Fields, Why};
use super::settings::Settings;
use super::task::{Escalate, Return, Take, Task, Verdict, Via};
use super::turn::Turn;
use super::wish::What;
use crate::app::event::Event;
use crate::app::kit::ack::Fail;

impl Turn<'_> {
    /// `agent:takeover`.
    pub(super) fn on_takeover(&mut self, event: &Event) -> Result<Option<Value>, Fail> {
        let fields = Fields::of("agent:takeover", event)?;
        let conversation = fields.conversation()?;
        let (reason, force) = (fields.text("reason", REASON_CHARS_MAX)?, fields.switch("force")?);
        let take = Take { agent: None, reason, via: Via::Takeover { force } };
        Ok(self.wish_of(event, conversation, What::Work(Task::Take(take))))
    }

    /// `agent:return-to-bot`.
    pub(super) fn on_return(&mut self, event: &Event) -> Result<Option<Value>, Fail> {
        let fields = Fields::of("agent:return-to-bot", event)?;
        let conversation = fields.conversation()?;
        if fields.word::<Return>("reason")?.is_none() {
            return Err(fields.wrong("reason", Why::Missing));
        }
        Ok(self.wish_of(event, conversation, What::Work(Task::Return)))
    }

    /// `agent:transfer`.
    pub(super) fn on_transfer(&mut self, event: &Event) -> Result<Option<Value>, Fail> {
        let fields = Fields::of("agent:transfer", event)?;
        let (conversation, agent) = (fields.conversation()?, fields.filled("toAgent", AGENT_CHARS_MAX)?);
        let take = Take { agent: Some(agent), reason: None, via: fields.transfer(self.settings)? };
        Ok(self.wish_of(event, conversation, What::Work(Task::Take(take))))
    }

    /// `escalation:start`.
    pub(super) fn on_escalation(&mut self, event: &Event) -> Result<Option<Value>, Fail> {
        let fields = Fields::of("escalation:start", event)?;
        let conversation = fields.conversation()?;
        let task = fields.escalation("toAgent", self.settings)?;
        Ok(self.wish_of(event, conversation, What::Work(task)))
    }

    /// `escalation:accept`, `escalation:reject`.
    pub(super) fn on_verdict(&mut self, event: &Event, name: &str) -> Result<Option<Value>, Fail> {
        let fields = Fields::of(name, event)?;
        let escalation = fields.filled("id", AGENT_CHARS_MAX)?;
        let verdict = match name {
            "escalation:accept" => Verdict::Accept,
            _ => fields.rejection()?,
        };
        if let Some(asker) = self.asker(event) {
            self.decide(asker, &escalation, verdict);
        }
        Ok(None)
    }
}

impl Fields<'_> {
    /// An escalation; `agent` is what the field of whom it is offered to is called.
    pub(super) fn escalation(&self, agent: &'static str, settings: &Settings) -> Result<Task, Fail> {
        let reason = self.word("reason")?.unwrap_or(Reason::Manual);
        let to = self.text(agent, AGENT_CHARS_MAX)?.filter(|agent| !agent.is_empty());
        let notes = self.text("notes", settings.text_chars_max)?;
        Ok(Task::Escalate(Escalate { reason, to, notes }))
    }

    /// That an escalation is rejected, and why.
    pub(super) fn rejection(&self) -> Result<Verdict, Fail> {
        Ok(Verdict::Reject(self.text("reason", REASON_CHARS_MAX)?))
    }

    /// How a conversation is handed on: with what is noted for the next one.
    pub(super) fn transfer(&self, settings: &Settings) -> Result<Via, Fail> {
        let note = self.text("note", settings.text_chars_max)?.filter(|note| !note.trim().is_empty());
        Ok(Via::Transfer { note })
    }
}

/// Characters of a reason.
pub(super) const REASON_CHARS_MAX: usize = 500;
/// Characters of an id or an e-mail.
pub(super) const AGENT_CHARS_MAX: usize = 320;
