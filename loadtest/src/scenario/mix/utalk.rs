//! Customer chat: agents that join a conversation, send, read, type and ask for what they have missed, in workspaces of twenty;
//! admins that ask for the same. Without `--jwt-secret` the server must take any token (siod's development mode), and all are in one
//! workspace. Messages are those of agents: an inbound one comes by a provider's webhook, which is not Socket.IO.
//!
//! How soon others see a message is read from the message itself: it carries the time at which it was meant to be sent. A message that is
//! seen twice, or whose number in its conversation is not behind the one before, is a fault.

use std::collections::HashMap;

use super::text::{CODE, contains, number_after, text_after};
use super::{Action, JWT_SECRET, Play, RATE, Role, Script, Stage, Who};
use crate::auth::Minter;
use crate::clock::Nanos;
use crate::lines::Lines;
use crate::outcome::Outcome;
use crate::pool::{ClientId, Transport};
use crate::scenario::kind::{Kind, MEASURED_TIME, Measured, Own, THRESHOLDS, own, random};

pub const KIND: Kind = Kind {
    name: "utalk",
    about: "Application mix of siod's utalk: agents send, read, type and catch up, admins look on",
    unit: ("answer or sight", "answers and sights"),
    measured: Measured::Running,
    transport: Transport::WebSocket,
    options: &[MEASURED_TIME, THRESHOLDS, OWN],
    check: |options| super::check(options, &SCRIPT),
    build: |options| super::build(options, &SCRIPT),
    describe,
};

const OWN: &[Own] = &[
    RATE,
    own("role", "How many clients are admins, admin=COUNT, instead of one in a hundred; all others are agents"),
    JWT_SECRET,
];

const ADMIN: usize = 0;
const AGENT: usize = 1;

pub const SCRIPT: Script = Script {
    roles: &[Role { name: "admin", percent: 1 }, Role { name: "agent", percent: 99 }],
    actions: &[
        Action { name: "send", role: AGENT, weight: 300 },
        Action { name: "read", role: AGENT, weight: 200 },
        Action { name: "type", role: AGENT, weight: 400 },
        Action { name: "sync", role: AGENT, weight: 50 },
        Action { name: "presence", role: AGENT, weight: 30 },
        Action { name: "overview", role: ADMIN, weight: 20 },
    ],
    play: || Box::new(Utalk { run: random(), last: HashMap::new() }),
};

/// Agents of one workspace, and of one conversation: the limit of a room is a hundred.
const WORKSPACE_AGENTS: u32 = 20;
const CONVERSATION_AGENTS: u32 = 5;

struct Utalk {
    /// Part of the ids of our messages: a server remembers those of earlier runs.
    run: u32,
    /// What each client has seen last of each conversation: the number and the id of a message.
    last: HashMap<(ClientId, String), (u64, String)>,
}

fn conversation(who: Who) -> String {
    format!("conv_load{}", who.number / CONVERSATION_AGENTS)
}

impl Play for Utalk {
    fn auth(&self, who: Who, minter: Option<&Minter>) -> String {
        let role = SCRIPT.roles[who.role].name;
        let name = format!("load-{role}-{}", who.number);
        let workspace = match who.role {
            AGENT => who.number / WORKSPACE_AGENTS,
            _ => who.number,
        };
        let claims = serde_json::json!({
            "sub": name, "role": role, "email": format!("{name}@example.com"), "workspaceId": format!("load{workspace}"),
        });
        let token = match (minter, claims) {
            (Some(minter), serde_json::Value::Object(claims)) => minter.mint(claims),
            _ => name,
        };
        format!(r#"{{"token":"{token}"}}"#)
    }

    /// The first message of a conversation makes it; then its agents are in it.
    fn on_joined(&mut self, stage: &mut Stage<'_, '_>, who: Who) {
        if who.role == AGENT {
            self.send(stage, who, "first send", stage.now());
            self.ask(stage, who, ("join", "join:conversation"), stage.now());
        }
    }

    fn act(&mut self, stage: &mut Stage<'_, '_>, who: Who, action: usize, intended: Nanos) {
        match SCRIPT.actions[action].name {
            "send" => self.send(stage, who, "sent", intended),
            "read" => self.read(stage, who, intended),
            "type" => self.ask(stage, who, ("typing acknowledged", "typing:start"), intended),
            "presence" => {
                let number = stage.ask(who, "presence set", intended);
                let status = if number.is_multiple_of(2) { "busy" } else { "online" };
                stage.emit(who, Some(number), "presence:set", &format!(r#"{{"status":"{status}"}}"#));
            }
            _ => {
                let number = stage.ask(who, "synced", intended);
                let args = format!(r#"{{"syncId":"load-{number}","limit":50}}"#);
                stage.emit(who, Some(number), "sync:state", &args);
            }
        }
    }

    fn on_event(&mut self, stage: &mut Stage<'_, '_>, who: Who, name: &str, array: &[u8]) {
        if name == "message:new" {
            self.see(stage, who, array);
        }
    }

    fn on_ack(&mut self, stage: &mut Stage<'_, '_>, who: Who, number: u64, args: &[u8]) {
        stage.answered(who, number);
        if !args.starts_with(br#"[{"ok":true"#) {
            stage.refused(text_after(args, CODE));
        }
    }
}

impl Utalk {
    fn send(&self, stage: &mut Stage<'_, '_>, who: Who, part: &'static str, intended: Nanos) {
        let number = stage.ask(who, part, intended);
        let args = format!(
            r#"{{"messageId":"load-{}-{}-{number}","conversationId":"{}","text":"hola","metadata":{{"intended":{intended}}}}}"#,
            self.run,
            who.client.0,
            conversation(who)
        );
        stage.emit(who, Some(number), "message:send", &args);
    }

    fn ask(&self, stage: &mut Stage<'_, '_>, who: Who, (part, event): (&'static str, &str), intended: Nanos) {
        let number = stage.ask(who, part, intended);
        stage.emit(who, Some(number), event, &format!(r#"{{"conversationId":"{}"}}"#, conversation(who)));
    }

    /// The newest message that it has seen, if there is one.
    fn read(&self, stage: &mut Stage<'_, '_>, who: Who, intended: Nanos) {
        let conversation = conversation(who);
        let Some((_, id)) = self.last.get(&(who.client, conversation.clone())) else { return };
        let number = stage.ask(who, "read acknowledged", intended);
        let args = format!(r#"{{"conversationId":"{conversation}","messageId":"{id}"}}"#);
        stage.emit(who, Some(number), "conversation:read", &args);
    }

    fn see(&mut self, stage: &mut Stage<'_, '_>, who: Who, array: &[u8]) {
        let conversation = text_after(array, "\"conversationId\":\"").map(str::to_owned);
        let id = text_after(array, "\"id\":\"").map(str::to_owned);
        let (Some(conversation), Some(id), Some(seq)) = (conversation, id, number_after(array, "\"seq\":")) else {
            return;
        };
        let before = self.last.insert((who.client, conversation), (seq, id));
        if before.is_some_and(|(before, _)| before >= seq) {
            stage.cx.figures.add("messages out of order", 1);
        }
        let sent = number_after(array, "\"intended\":").filter(|sent| (1..=stage.now()).contains(sent));
        if let Some(sent) = sent.filter(|_| contains(array, "\"outbound\"")) {
            stage.saw("message seen", sent);
        }
    }
}

fn describe(outcome: &Outcome, lines: &mut Lines) {
    super::describe(outcome, lines, &SCRIPT);
    lines.must_be_zero("messages out of order", outcome.figures.count("messages out of order"));
}
