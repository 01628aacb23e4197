//! How a command ends: answered by its device, by the clock, or by a snapshot that was stored. One `command:response` each.

use std::sync::Arc;

use serde_json::{Value, json};

use super::origin::CommandOrigin;
use super::payload::CommandResponse;
use super::report::Answering;
use super::rules;
use super::turn::Turn;
use crate::app::event::Event;
use crate::app::kit::ack::Fail;
use crate::app::kit::command::{Answered, Expired, Key, Row};

/// Ends of commands kept for those who ask again, and the size of a result worth keeping.
const ANSWERED_MAX: usize = 256;
const ANSWERED_BYTES_MAX: usize = 16 * 1024;

impl Turn<'_> {
    /// `player:command:response` from a device.
    pub(super) fn on_answer(&mut self, event: &Event) -> Result<Value, Fail> {
        let answer = rules::answer(rules::object(event.args.parse(0))?)?;
        let id = self.speaker(event.socket)?;
        let key = Key { id: Arc::from(answer.command_id.as_str()), target: id };
        let row = match self.fleet.commands.answer(&key) {
            Answered::Row(row) => row,
            ignored => {
                let why = match ignored {
                    Answered::Late => "late",
                    Answered::Foreign => "foreign",
                    _ => "unknown",
                };
                self.shared.counts.response_ignored(why);
                return Ok(json!({"commandId": &*key.id, "ignored": why}));
            }
        };
        let done = json!({"commandId": &*key.id});
        if !answer.success {
            let message = answer.message.unwrap_or_else(|| "The device reported an error".to_owned());
            self.end_command(&key, &row, "error", answer.result, Some(Fail::new("DEVICE_ERROR", message)));
            return Ok(done);
        }
        match self.answer_with_snapshot(&key, row, answer.result, event) {
            Answering::Waiting => Ok(done),
            Answering::Plain(row, result) if result.as_ref().map_or(0, rules::weight) > rules::EVENT_BYTES_MAX => {
                let fail = Fail::new("PAYLOAD_TOO_LARGE", "The result is too large");
                self.end_command(&key, &row, "error", None, Some(fail.clone()));
                Err(fail)
            }
            Answering::Plain(row, result) => {
                self.end_command(&key, &row, "success", result, None);
                Ok(done)
            }
            Answering::Failed(row, fail) => {
                self.end_command(&key, &row, "error", None, Some(fail.clone()));
                Err(fail)
            }
        }
    }

    /// A response so large that it was not read: the command it names ends all the same.
    pub(super) fn on_oversize_answer(&mut self, event: &Event, fail: &Fail) {
        #[derive(serde::Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Head {
            command_id: String,
        }
        let (Some(head), Ok(id)) = (event.args.parse::<Head>(0), self.speaker(event.socket)) else { return };
        let key = Key { id: Arc::from(head.command_id), target: id };
        if let Answered::Row(row) = self.fleet.commands.answer(&key) {
            self.snapshot_failed(&key.target, fail.code);
            self.end_command(&key, &row, "error", None, Some(fail.clone()));
        }
    }

    /// The one `command:response` of a command that had been sent.
    pub(super) fn end_command(
        &mut self,
        key: &Key,
        row: &Row<CommandOrigin>,
        status: &'static str,
        result: Option<Value>,
        fail: Option<Fail>,
    ) {
        let duration_ms = self.now.mono.since(row.first_sent);
        let label = rules::command_label(&row.origin.command, self.settings);
        self.shared.counts.command(label, status);
        self.shared.counts.command_ms.record(duration_ms);
        let code = fail.as_ref().map(|fail| fail.code);
        let response = CommandResponse {
            command_id: key.id.to_string(),
            device_id: Some(key.target.to_string()),
            command: row.origin.command.clone(),
            status,
            result,
            message: fail.map(|fail| fail.message),
            code,
            attempts: row.attempts,
            duration_ms,
            timestamp: self.now.wall.to_string(),
        };
        self.fx.emit(row.origin.socket, "command:response", &response);
        self.save_command(&key.target, &key.id, &row.origin, status, row.attempts, duration_ms);
        let details = json!({"command": row.origin.command, "commandId": &*key.id, "attempts": row.attempts});
        let entry = self.entry(&row.origin.actor, "command", &key.target).outcome(status).details(&details);
        self.tell_auditors(&entry);
        self.audit(entry);
        if response.result.as_ref().map_or(0, rules::weight) <= ANSWERED_BYTES_MAX {
            self.fleet.answered.push_back((key.clone(), row.origin.actor.sub.clone(), response));
            if self.fleet.answered.len() > ANSWERED_MAX {
                self.fleet.answered.pop_front();
            }
        }
    }

    /// Retries and timeouts that are due.
    pub(super) fn expire_commands(&mut self) {
        while let Some(expired) = self.fleet.commands.expire(self.now.mono) {
            match expired {
                Expired::Retry(key) => self.send_order(&key),
                Expired::TimedOut(key, row) => {
                    let fail = Fail::new("TIMEOUT", "The device did not answer in time");
                    self.end_command(&key, &row, "timeout", None, Some(fail));
                }
            }
        }
    }
}
