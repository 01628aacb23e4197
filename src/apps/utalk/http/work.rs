//! Routes about the work of agents: who has a conversation, and escalations. The same tasks as those of sockets.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::conversations::decode_id;
use super::envelope;
use super::messages::conversation_of;
use crate::app::kit::ack::Fail;
use crate::app::route::Call;
use crate::apps::utalk::asks::{AGENT_CHARS_MAX, REASON_CHARS_MAX};
use crate::apps::utalk::payload::{Fields, Why};
use crate::apps::utalk::task::{Take, Task, Verdict, Via};
use crate::apps::utalk::turn::Turn;
use crate::apps::utalk::who::Asker;
use crate::apps::utalk::wish::What;

impl Turn<'_> {
    /// A route that does something with the conversation in its path.
    pub(super) fn work_route(&mut self, asker: &Asker, call: &Call, body: Map<String, Value>) -> Result<(), Fail> {
        let conversation = conversation_of(call)?;
        let fields = Fields::new(call.route.name, body);
        let task = match call.route.name {
            "assign" | "assign-again" => {
                let agent = agent_of(&fields, &["agentId", "agentEmail", "assignedTo"])?;
                Task::Take(Take { agent: Some(agent), reason: None, via: Via::Assign })
            }
            "transfer" => {
                let agent = agent_of(&fields, &["toAgent", "targetAgentEmail"])?;
                let reason = fields.text("reason", REASON_CHARS_MAX)?.filter(|reason| !reason.is_empty());
                Task::Take(Take { agent: Some(agent), reason, via: fields.transfer(self.settings)? })
            }
            "return-to-bot" => Task::Return,
            _ => Task::Release,
        };
        self.wish(What::Work(task).of(asker, conversation));
        Ok(())
    }

    /// `POST /api/escalate`.
    pub(super) fn escalate_route(&mut self, asker: &Asker, mut body: Map<String, Value>) -> Result<(), Fail> {
        decode_id(&mut body);
        let fields = Fields::new("escalate", body);
        let conversation = fields.conversation()?;
        let task = fields.escalation("agentId", self.settings)?;
        self.wish(What::Work(task).of(&asker.answered(envelope::created), conversation));
        Ok(())
    }

    /// `POST /api/escalations/{id}/accept` and `/reject`.
    pub(super) fn verdict_route(&mut self, asker: &Asker, call: &Call, body: Map<String, Value>) -> Result<(), Fail> {
        let fields = Fields::new(call.route.name, body);
        let verdict = match call.route.name {
            "accept" => Verdict::Accept,
            _ => fields.rejection()?,
        };
        let escalation: Arc<str> = call.param("id").into();
        self.decide(asker.answered(envelope::created), &escalation, verdict);
        Ok(())
    }
}

/// The first of these fields that is there: an agent's id or e-mail.
fn agent_of(fields: &Fields<'_>, names: &[&'static str]) -> Result<Arc<str>, Fail> {
    for name in names {
        if let Some(agent) = fields.text(name, AGENT_CHARS_MAX)?.filter(|agent| !agent.is_empty()) {
            return Ok(agent);
        }
    }
    Err(fields.wrong(names[0], Why::Missing))
}
