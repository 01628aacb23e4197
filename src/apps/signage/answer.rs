//! How a command ends: answered by its device, by the clock, or by a snapshot that was stored. One `command:response` each.

use std::sync::Arc;

use serde_json::{Value, json};

use super::origin::{CommandOrigin, Way};
use super::payload::CommandResponse;
use super::register::Speaks;
use super::report::Answering;
use super::rules;
use super::state;
use super::turn::Turn;
use crate::app::event::Event;
use crate::app::kit::ack::Fail;
use crate::app::kit::command::{Answered, Expired, Key, Row};
use crate::base::ids::SocketRef;

/// Ends of commands kept for those who ask again, and the size of a result worth keeping.
const ANSWERED_MAX: usize = 256;
const ANSWERED_BYTES_MAX: usize = 16 * 1024;

impl Turn<'_> {
    /// `player:command:response` from a device.
    pub(super) fn on_answer(&mut self, event: &Event) -> Result<Value, Fail> {
        let mut map = rules::object(event.args.parse(0))?;
        let claimed = state::take_device_id(&mut map)?;
        let answer = rules::answer(map)?;
        let id = self.speaker_as(event.socket, claimed.as_deref(), Speaks::Own)?;
        let key = Key { id: Arc::from(answer.command_id.as_str()), target: id };
        let row = match self.answered(&key, |way| way == Way::Player) {
            Ok(row) => row,
            Err(ignored) => return Ok(ignored),
        };
        let done = json!({"commandId": &*key.id});
        if !answer.success {
            let message = answer.message.unwrap_or_else(|| "The device reported an error".to_owned());
            self.end_command(&key, &row, "error", answer.result, Some(Fail::new("DEVICE_ERROR", message)));
            return Ok(done);
        }
        let mut result = answer.result;
        if let (Some(result), Some(device)) = (&mut result, self.fleet.devices.get(&key.target)) {
            let address = self.address_of(&key.target, event.socket);
            state::put_result_url(result, &device.current, address, self.settings.player_port);
        }
        match self.answer_with_snapshot(&key, row, result, event) {
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

    /// `command:error {commandId, error}` from an auxiliary socket.
    pub(super) fn on_aux_error(&mut self, event: &Event) -> Result<Value, Fail> {
        let mut map = rules::object(event.args.parse(0))?;
        let claimed = state::take_device_id(&mut map)?;
        let (command_id, text) = rules::aux_error(map)?;
        let id = self.speaker_as(event.socket, claimed.as_deref(), Speaks::Aux)?;
        let key = Key { id: Arc::from(command_id), target: id };
        match self.answered(&key, |way| matches!(way, Way::Aux(_))) {
            Ok(row) => {
                self.end_command(&key, &row, "error", None, Some(Fail::new("DEVICE_ERROR", text)));
                Ok(json!({"commandId": &*key.id}))
            }
            Err(ignored) => Ok(ignored),
        }
    }

    /// The command that waits for an answer of this kind; else what the sender is told, and the answer is counted.
    fn answered(&mut self, key: &Key, is_its: fn(Way) -> bool) -> Result<Row<CommandOrigin>, Value> {
        let is_another = self.fleet.commands.get(key).is_some_and(|row| !is_its(row.origin.way));
        let why = match if is_another { Answered::Unknown } else { self.fleet.commands.answer(key) } {
            Answered::Row(row) => return Ok(row),
            Answered::Late => "late",
            Answered::Foreign => "foreign",
            Answered::Unknown => "unknown",
        };
        self.shared.counts.response_ignored(why);
        Err(json!({"commandId": &*key.id, "ignored": why}))
    }

    /// An auxiliary socket has gone: what was to restart has done so.
    pub(super) fn aux_left(&mut self, id: &Arc<str>, socket: SocketRef) {
        let restarts = |row: &Row<CommandOrigin>| {
            row.origin.way == Way::Aux(socket) && rules::aux_command(&row.origin.command) == Some("restart")
        };
        let rows = self.fleet.commands.rows_of(id).filter(|(_, row)| restarts(row));
        let keys: Vec<Key> = rows.map(|(key, _)| key).collect();
        for key in keys {
            self.obeyed(&key, Some(assumed()));
        }
    }

    /// A response so large that it was not read: the command it names ends all the same.
    pub(super) fn on_oversize_answer(&mut self, event: &Event, fail: &Fail) {
        #[derive(serde::Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Head {
            command_id: String,
        }
        let speaker = self.speaker(event.socket, Speaks::Own);
        let (Some(head), Ok(id)) = (event.args.parse::<Head>(0), speaker) else { return };
        let key = Key { id: Arc::from(head.command_id), target: id };
        if let Ok(row) = self.answered(&key, |way| way == Way::Player) {
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
        if status == "success" && row.origin.command.starts_with("vlc:") {
            self.ask_when_settled(&key.target);
        }
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
                Expired::TimedOut(key, row) if row.origin.way != Way::Player => {
                    self.end_command(&key, &row, "success", Some(assumed()), None);
                }
                Expired::TimedOut(key, row) => {
                    let fail = Fail::new("TIMEOUT", "The device did not answer in time");
                    self.end_command(&key, &row, "timeout", None, Some(fail));
                }
            }
        }
    }
}

/// The result of a command that nobody answers.
fn assumed() -> Value {
    json!({"assumed": true})
}
