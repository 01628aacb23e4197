//! Workspaces of several tenants beside each other, with the same names for all they have: whatever people of one do by sockets, HTTP and
//! webhooks, those of another hear and are answered as if they were alone. What one of them has seen the others try to use.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::provided::{field, form, signature};
use super::world::{ADMIN, AGENT, APP, Count, Id, WEB, World, claims, text_of};
use crate::app::form::Form;
use crate::app::identity::{Claims, Identity};
use crate::app::sql::Statement;
use crate::apps::utalk::ROW;
use crate::apps::utalk::settings::{Number, Settings};
use crate::base::close::CloseReason;
use crate::base::ids::NspIndex;
use crate::base::rng::Rng;
use crate::testing;
use crate::testing::outside::answer;

/// A tenant's workspace.
struct Side {
    tenant: &'static str,
    workspace: &'static str,
    number: &'static str,
    /// Stands in all texts, names and addresses of it, and in nothing of another.
    mark: &'static str,
    rng: Rng,
    acts: u32,
    people: Vec<Person>,
    /// Ids and cursors that its people have seen, the newest of each kind.
    seen: BTreeMap<&'static str, String>,
    /// What they have heard and were answered since the last look, without what chance has made.
    log: Vec<String>,
}

#[derive(Clone)]
struct Person {
    identity: Arc<Identity>,
    nsp: NspIndex,
    id: Id,
}

/// Two workspaces of one tenant, and one of another tenant that has the name of the first.
const SIDES: [(&str, &str, &str, &str); 3] =
    [("t1", "w1", "+5210000001", "alfa"), ("t1", "w2", "+5220000002", "bravo"), ("t2", "w1", "+5230000003", "carlos")];
const PEOPLE: [(&str, NspIndex); 7] = [
    ("admin", APP),
    ("agent", APP),
    ("agent", AGENT),
    ("bot", APP),
    ("viewer", APP),
    ("admin", ADMIN),
    ("service", AGENT),
];
const KINDS: [(&str, &str); 4] = [
    ("msg_", "msg_0198c6eb-d100-7c3e-9a41-5d0b7e2f8c16"),
    ("media_", "media_0198c6eb-d100-4c3e-8a41-5d0b7e2f8c16"),
    ("escalation", "0198c6eb-d100-7c3e-9a41-5d0b7e2f8c16"),
    ("cursor", "AAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
];
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n and what a picture is made of";

impl Side {
    fn new(at: usize, seed: u8) -> Side {
        let (tenant, workspace, number, mark) = SIDES[at];
        let rng = Rng::from_seed([seed + at as u8; 32]);
        let (people, seen, log) = (Vec::new(), BTreeMap::new(), Vec::new());
        Side { tenant, workspace, number, mark, rng, acts: 0, people, seen, log }
    }

    fn arrive(&mut self, world: &mut World) {
        for (at, (role, nsp)) in PEOPLE.into_iter().enumerate() {
            let user = format!("u{at}");
            let claims = Claims {
                email: Some(format!("{user}@{}.example", self.mark)),
                name: Some(self.mark.to_owned()),
                tenant_id: Some(self.tenant.to_owned()),
                ..claims(self.workspace, &user, role)
            };
            let identity: Arc<Identity> = Arc::new(claims.into());
            let id = world.brings(Ok(identity.clone()), nsp);
            self.people.push(Person { identity, nsp, id });
        }
    }

    fn below(&mut self, bound: u32) -> u32 {
        self.rng.below(bound)
    }

    fn one_of(&mut self, words: &[&'static str]) -> &'static str {
        words[self.below(words.len() as u32) as usize]
    }

    fn conversation(&mut self) -> String {
        match self.below(3) {
            0 => WEB.to_owned(),
            1 => "conv_other".to_owned(),
            _ => format!("conv_+1234567890_{}", self.number),
        }
    }

    fn message(&mut self) -> String {
        format!("m{}", self.acts / 4 + self.below(60))
    }

    /// Something of a kind that its own people have seen, or that others have; where nobody has, something made up.
    fn of_kind(&mut self, kind: &'static str, others: &BTreeMap<&'static str, String>) -> String {
        let seen = if self.below(3) == 0 { others } else { &self.seen };
        let made_up = KINDS.iter().find(|(name, _)| *name == kind).expect("a kind").1;
        seen.get(kind).map_or(made_up, String::as_str).to_owned()
    }

    /// Notes what was heard or answered.
    fn note(&mut self, who: &str, what: &str, payload: &Value) {
        for (_, _, number, mark) in SIDES.iter().filter(|(.., mark)| *mark != self.mark) {
            let text = payload.to_string();
            assert!(!text.contains(mark) && !text.contains(number), "{} hears of {mark}: {what} {text}", self.mark);
        }
        self.learn(payload);
        // Of the whole process, so others are in its figures.
        let told = if what == "metrics:update" { json!(null) } else { without_chance(payload) };
        self.log.push(format!("{who} {what} {told}"));
    }

    fn learn(&mut self, payload: &Value) {
        match payload {
            Value::Array(items) => items.iter().for_each(|item| self.learn(item)),
            Value::Object(fields) => {
                for (name, value) in fields {
                    self.learn(value);
                    let Some(text) = value.as_str() else { continue };
                    let kind = match name.as_str() {
                        "cursor" => Some("cursor"),
                        "id" if fields.contains_key("fromAgent") => Some("escalation"),
                        "id" => ["msg_", "media_"].into_iter().find(|prefix| text.starts_with(prefix)),
                        _ => None,
                    };
                    if let Some(kind) = kind {
                        self.seen.insert(kind, text.to_owned());
                    }
                }
            }
            _ => {}
        }
    }

    fn act(&mut self, world: &mut World, others: &BTreeMap<&'static str, String>) {
        self.acts += 1;
        match self.below(10) {
            0..=4 => self.by_socket(world, others),
            5..=7 => self.by_http(world, others),
            8 => self.by_webhook(world, others),
            _ => self.with_files(world, others),
        }
        for (status, body) in std::mem::take(&mut world.replies) {
            self.note("HTTP", &status.to_string(), &body);
        }
    }

    fn by_socket(&mut self, world: &mut World, others: &BTreeMap<&'static str, String>) {
        let at = self.below(PEOPLE.len() as u32) as usize;
        let (person, conversation, message) = (self.people[at].clone(), self.conversation(), self.message());
        let about = json!({"conversationId": conversation});
        let with = |name: &str, value: Value| {
            let mut payload = about.clone();
            payload[name] = value;
            payload
        };
        let (name, payload) = match self.below(18) {
            0..=3 => ("message:send", text_of(&message, &conversation, &format!("{} {message}", self.mark))),
            4 => (
                "message:send",
                json!({"messageId": message, "conversationId": conversation, "type": "note", "text": self.mark}),
            ),
            5 => ("join:conversation", about),
            6 => ("leave:conversation", about),
            7 => (self.one_of(&["typing:start", "typing:stop"]), about),
            8 => ("conversation:read", with("messageId", message.into())),
            9 => ("conversation:read", with("messageId", self.of_kind("msg_", others).into())),
            10 => ("sync:state", json!({"syncId": "s", "cursor": self.of_kind("cursor", others)})),
            11 => ("sync:state", json!({"syncId": "s", "lastSync": "2025-08-20T10:00:00.000Z"})),
            12 => ("presence:set", json!({"status": self.one_of(&["online", "busy", "offline"])})),
            13 => ("agent:takeover", about),
            14 => ("agent:return-to-bot", with("reason", "manual".into())),
            15 => ("agent:transfer", with("toAgent", format!("u{}", self.below(4)).into())),
            16 => ("escalation:start", with("notes", self.mark.into())),
            _ if self.below(3) == 0 => {
                world.leaves(person.id, CloseReason::TransportClose);
                self.people[at].id = world.brings(Ok(person.identity), person.nsp);
                return;
            }
            _ => {
                let verdict = self.one_of(&["escalation:accept", "escalation:reject"]);
                (verdict, json!({"id": self.of_kind("escalation", others)}))
            }
        };
        let ack = world.asks(person.id, name, payload);
        self.note(&format!("u{at}'s ack"), name, &ack);
    }

    fn by_http(&mut self, world: &mut World, others: &BTreeMap<&'static str, String>) {
        let (conversation, message) = (self.conversation(), self.message());
        let of = format!("/api/conversations/{}", conversation.replace('+', "%2B"));
        let (mark, nothing) = (self.mark, Value::Null);
        let (method, path, body) = match self.below(20) {
            0 => ("GET", "/api/conversations?status=all".into(), nothing),
            1 => ("GET", format!("/api/conversations?search={}", SIDES[self.below(3) as usize].3), nothing),
            2 => ("GET", "/api/conversations?assignedTo=u1".into(), nothing),
            3 => ("GET", of, nothing),
            4 => ("PUT", of, json!({"customerName": mark, "priority": "high", "tags": [mark]})),
            5 => ("GET", format!("{of}/messages?limit=3"), nothing),
            6 => ("GET", format!("{of}/messages?cursor={}", self.of_kind("cursor", others)), nothing),
            7 => ("POST", "/api/messages".into(), text_of(&message, &conversation, &format!("{mark} {message}"))),
            8 => ("POST", format!("{of}/messages"), json!({"content": mark, "messageId": message})),
            9 => ("PUT", format!("{of}/messages/{}/read", self.of_kind("msg_", others)), nothing),
            10 => ("PUT", format!("{of}/read-all"), nothing),
            11 => ("PUT", format!("{of}/status"), json!({"status": self.one_of(&["open", "closed"])})),
            12 => ("POST", format!("{of}/assign"), json!({"agentId": format!("u{}", self.below(4))})),
            13 => ("PUT", format!("{of}/unassign"), nothing),
            14 => ("POST", "/api/escalate".into(), json!({"conversationId": conversation, "reason": "manual"})),
            15 => ("POST", format!("/api/escalations/{}/accept", self.of_kind("escalation", others)), nothing),
            16 => {
                let status = self.one_of(&["delivered", "read"]);
                ("PUT", format!("/api/messages/{}/status", self.of_kind("msg_", others)), json!({"status": status}))
            }
            17 => ("GET", "/api/team".into(), nothing),
            18 => ("GET", "/api/kpis/conversations".into(), nothing),
            _ => ("GET", "/api/kpis/agents".into(), nothing),
        };
        self.calls(world, method, &path, &body);
    }

    /// Somebody of it calls.
    fn calls(&mut self, world: &mut World, method: &str, path: &str, body: &Value) {
        let person = self.people[self.rng.below(PEOPLE.len() as u32) as usize].identity.clone();
        world.requests_with(&ROW, method, &format!("/utalk{path}"), |call| {
            call.identity = Some(person);
            call.body = if body.is_null() { "".into() } else { body.to_string().into() };
        });
    }

    /// A customer writes, or the provider tells how a message fares: by the number, or by what we have told it.
    fn by_webhook(&mut self, world: &mut World, others: &BTreeMap<&'static str, String>) {
        let (ours, sid) = (format!("whatsapp:{}", self.number), format!("SM{}", self.acts / 20 + self.below(30)));
        let (heard, status) = (format!("in{sid}"), self.one_of(&["sent", "delivered", "failed", "read"]));
        let receipt = vec![("MessageSid", &*sid), ("MessageStatus", status), ("From", &*ours)];
        let (target, fields) = match self.below(4) {
            0 | 1 => {
                let fields = vec![("MessageSid", &*heard), ("From", "whatsapp:+1234567890"), ("To", &*ours)];
                let fields = [fields, vec![("Body", self.mark), ("ProfileName", self.mark)]].concat();
                ("/utalk/webhooks/twilio/whatsapp".to_owned(), fields)
            }
            2 => ("/utalk/webhooks/twilio/status".to_owned(), receipt),
            _ => {
                let (message, scope) = (self.of_kind("msg_", others), format!("{}%2F{}", self.tenant, self.workspace));
                (format!("/utalk/webhooks/twilio/status?m={message}&s={scope}"), receipt)
            }
        };
        let signature = signature(&format!("https://chat.example{target}"), &fields);
        world.requests_with(&ROW, "POST", &target, |call| {
            call.headers = vec![("x-twilio-signature", signature.into())];
            call.body = form(&fields).into();
        });
    }

    /// Files are brought, sent and looked at.
    fn with_files(&mut self, world: &mut World, others: &BTreeMap<&'static str, String>) {
        let (conversation, message, media) = (self.conversation(), self.message(), self.of_kind("media_", others));
        match self.below(5) {
            0 | 1 => {
                let fields = [("conversationId", &conversation), ("messageId", &message)];
                let fields = fields.map(|(name, value)| (name.to_owned(), value.clone())).into();
                let file_name = format!("{}.png", self.mark);
                let form = Form { fields, part: "file".into(), file_name, declared: "image/png".into() };
                world.uploads(&ROW, "/utalk/api/media/upload", Some(self.people[1].identity.clone()), form);
                if world.is_taking() {
                    testing::World::brings(world, &[PNG, self.mark.as_bytes()].concat());
                    world.has_brought();
                }
            }
            2 => self.calls(world, "GET", &format!("/api/media/{media}"), &Value::Null),
            3 => self.calls(world, "GET", &format!("/api/media/conversation/{conversation}"), &Value::Null),
            _ => {
                let body = json!({"conversationId": conversation, "content": self.mark, "messageId": message,
                    "attachments": [{"id": media, "type": "image"}]});
                self.calls(world, "POST", "/api/messages/send-with-file-ids", &body);
            }
        }
    }

    fn listen(&mut self, world: &mut World) {
        for at in 0..self.people.len() {
            for (name, payload) in world.heard(self.people[at].id) {
                self.note(&format!("u{at}"), &name, &payload);
            }
        }
    }

    /// Rows of its scope that have a mark in them, and rows of other scopes that have.
    fn rows(&self, world: &World) -> (u64, u64) {
        let key = format!("{}/{}", self.tenant, self.workspace);
        let count = |sql| world.store.rows::<Count>(Statement::new(sql).bind(&*key).bind(self.mark))[0].0;
        (count(MARKED_HERE), count(MARKED_ELSEWHERE))
    }
}

const MARKED_HERE: &str = "SELECT count(*) AS count FROM ut_messages WHERE scope = ?1 AND instr(text, ?2) > 0";
const MARKED_ELSEWHERE: &str = "
SELECT (SELECT count(*) FROM ut_messages WHERE scope <> ?1 AND instr(coalesce(text, ''), ?2) > 0)
    + (SELECT count(*) FROM ut_conversations WHERE scope <> ?1 AND instr(coalesce(customer_name, '') || tags, ?2) > 0)
    + (SELECT count(*) FROM ut_users WHERE scope <> ?1 AND instr(coalesce(email, '') || coalesce(name, ''), ?2) > 0)
    + (SELECT count(*) FROM ut_media WHERE scope <> ?1 AND instr(file_name, ?2) > 0)
    + (SELECT count(*) FROM ut_escalations WHERE scope <> ?1 AND instr(coalesce(notes, ''), ?2) > 0) AS count";

/// Ids that chance has made are all the same, and so are signatures.
fn without_chance(payload: &Value) -> Value {
    match payload {
        Value::Array(items) => items.iter().map(without_chance).collect(),
        Value::Object(fields) => {
            let plain = |(name, value): (&String, &Value)| (name.clone(), without_chance(value));
            Value::Object(fields.iter().filter(|(name, _)| !name.to_lowercase().ends_with("url")).map(plain).collect())
        }
        Value::String(text) => {
            let is_uuid = |text: &str| text.len() == 36 && text.split('-').map(str::len).eq([8, 4, 4, 4, 12]);
            match text.rsplit_once('_').map_or(("", text.as_str()), |(kind, id)| (kind, id)) {
                (kind, id) if is_uuid(id) => json!(format!("{kind} of chance")),
                _ => payload.clone(),
            }
        }
        _ => payload.clone(),
    }
}

fn world() -> World {
    let number = |(tenant, workspace, number, _): (&str, &str, &str, &str)| Number {
        number: number.to_owned(),
        workspace: workspace.to_owned(),
        tenant: tenant.to_owned(),
        channel: "whatsapp".to_owned(),
    };
    let settings =
        Settings { numbers: SIDES.map(number).into(), events_per_minute: [].into(), ..super::provided::settings() };
    let mut world = super::provided::with(settings);
    // The provider numbers what it takes for each number of ours, and refuses some.
    let mut taken: BTreeMap<String, u32> = BTreeMap::new();
    world.outside.says(move |fetch| {
        let count = taken.entry(field(fetch, "From")).or_default();
        *count += 1;
        match *count % 5 {
            0 => answer(400, r#"{"code":21211,"message":"no number"}"#),
            _ => answer(201, &json!({"sid": format!("SM{count}"), "status": "queued"}).to_string()),
        }
    });
    world
}

/// What those of the first side hear and are answered, step by step, with so many other sides beside them.
fn heard_beside(others: usize, seed: u8, steps: usize) -> Vec<Vec<String>> {
    let mut world = world();
    let mut sides: Vec<Side> = (0..=others).map(|at| Side::new(at, seed)).collect();
    sides.iter_mut().for_each(|side| side.arrive(&mut world));
    let mut heard = Vec::new();
    for step in 0..steps {
        for at in 0..sides.len() {
            // Each tries what the one before it has seen; alone there is nobody.
            let before = (at + others) % sides.len();
            let stolen = if before == at { BTreeMap::new() } else { sides[before].seen.clone() };
            sides[at].act(&mut world, &stolen);
            sides.iter_mut().for_each(|side| side.listen(&mut world));
        }
        world.pass(if step % 10 == 0 { 700 } else { 10 });
        sides.iter_mut().for_each(|side| side.listen(&mut world));
        heard.push(std::mem::take(&mut sides[0].log));
    }
    for side in &sides {
        let (here, elsewhere) = side.rows(&world);
        assert!(here > steps as u64 / 20 && elsewhere == 0, "{}: {here} rows here, {elsewhere} elsewhere", side.mark);
        let told = |text: &str| side.mark.is_empty() || text.contains(side.mark);
        for fetch in &world.outside.asked {
            let (is_ours, body) = (field(fetch, "From").ends_with(side.number), String::from_utf8_lossy(&fetch.body));
            assert!(is_ours || !told(&body), "the provider is told of {} by another: {body}", side.mark);
        }
    }
    heard
}

#[test]
fn two_scopes_know_nothing_of_each_other() {
    for seed in [1, 11, 21] {
        let (alone, beside) = (heard_beside(0, seed, 250), heard_beside(2, seed, 250));
        for (step, (alone, beside)) in alone.iter().zip(&beside).enumerate() {
            assert_eq!(alone, beside, "seed {seed}, step {step}: the same, whoever else is there");
        }
        assert!(alone.iter().map(Vec::len).sum::<usize>() > 500, "they have heard something");
    }
}
