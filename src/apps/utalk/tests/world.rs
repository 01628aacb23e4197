//! The world of utalk's tests: people of workspaces, and what is on disk.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use serde_json::{Value, json};

use super::provided::{TOKEN, form, signature};
use crate::app::AuthFailure;
use crate::app::event::Args;
use crate::app::identity::{AuthMethod, AuthMode, AuthSettings, Claims, Identity};
use crate::app::sql::{FromRow, Row as SqlRow, RowError, Statement};
use crate::apps::utalk::conversation::Row;
use crate::apps::utalk::escalation::Escalation;
use crate::apps::utalk::message::Message;
use crate::apps::utalk::settings::Settings;
pub(super) use crate::apps::utalk::who::{ADMIN, AGENT, APP};
use crate::apps::utalk::{ROW, Utalk, media, tables};
use crate::base::ids::NspIndex;
use crate::base::secret::Secret;
use crate::testing;
pub(super) use crate::testing::Id;

pub(super) struct World {
    world: testing::World,
    messages: u32,
}

impl Deref for World {
    type Target = testing::World;
    fn deref(&self) -> &testing::World {
        &self.world
    }
}

impl DerefMut for World {
    fn deref_mut(&mut self) -> &mut testing::World {
        &mut self.world
    }
}

/// A conversation with a customer, and one of the web.
pub(super) const CUSTOMER: &str = "conv_+1234567890_+0987654321";
pub(super) const WEB: &str = "conv_test";

impl World {
    pub(super) fn new() -> World {
        World::with(Settings::default())
    }

    /// Numbers that are not among those of `settings` are of w1, as Twilio says.
    pub(super) fn with(settings: Settings) -> World {
        let mut settings = Settings { default_tenant: "t1".to_owned(), default_workspace: "w1".to_owned(), ..settings };
        settings.webhooks.twilio_auth_tokens = vec![Secret::new(TOKEN)];
        let (shared, shelves) = (settings.clone(), media::shelves(&settings));
        let mut world = testing::World::of(move || Utalk::new(settings.clone()), &[&tables::TABLES], &shelves);
        world.settings = Some(Arc::new(shared));
        world.trusts(&auth());
        World { world, messages: 0 }
    }

    /// Somebody of workspace w1.
    pub(super) fn person(&mut self, user: &str, role: &str) -> Id {
        self.of_workspace("w1", user, role, APP)
    }

    /// Somebody who is let in.
    pub(super) fn of_workspace(&mut self, workspace: &str, user: &str, role: &str, nsp: NspIndex) -> Id {
        let id = self.knocks(workspace, user, role, nsp);
        assert!(self.is_open(id), "{:?}", self.refusal(id));
        id
    }

    /// Somebody who asks to come in.
    pub(super) fn knocks(&mut self, workspace: &str, user: &str, role: &str, nsp: NspIndex) -> Id {
        self.brings(Ok(identity(workspace, user, role)), nsp)
    }

    pub(super) fn brings(&mut self, verified: Result<Arc<Identity>, AuthFailure>, nsp: NspIndex) -> Id {
        self.world.connect_to(nsp, [10, 0, 0, 4].into(), verified, json!({}), "")
    }

    /// Sends a text under a fresh messageId, which is returned.
    pub(super) fn says(&mut self, id: Id, conversation: &str, text: &str) -> String {
        self.messages += 1;
        let message_id = format!("m{}", self.messages);
        self.send(id, "message:send", text_of(&message_id, conversation, text));
        message_id
    }

    /// The customer of a conversation sends a text, which is brought by Twilio.
    pub(super) fn customer_says(&mut self, conversation: &str, text: &str) -> String {
        self.messages += 1;
        let sid = format!("SM{}", self.messages);
        self.twilio_brings(&sid, conversation, text);
        sid
    }

    /// Twilio brings a message under an id of its own; the status it is answered with, 0 while it is not.
    pub(super) fn twilio_brings(&mut self, sid: &str, conversation: &str, text: &str) -> u16 {
        let (customer, ours) = conversation[5..].split_once('_').expect("an id of two numbers");
        let fields = [("MessageSid", sid), ("From", customer), ("To", ours), ("Body", text)];
        let target = "/utalk/webhooks/twilio/whatsapp";
        let settings = self.world.settings.as_ref().and_then(|settings| settings.downcast_ref::<Settings>());
        let base = settings.filter(|settings| !settings.public_url.is_empty()).map(|it| it.public_url.clone());
        let signature = signature(&format!("{}{target}", base.unwrap_or_else(|| "http://host".to_owned())), &fields);
        self.world.requests_with(&ROW, "POST", target, |call| {
            call.headers = vec![("host", "host".into()), ("x-twilio-signature", signature.into())];
            call.body = form(&fields).into();
        });
        self.world.replies.pop().map_or(0, |(status, _)| status)
    }

    /// Somebody of a workspace asks by HTTP.
    pub(super) fn http(&mut self, who: (&str, &str, &str), method: &str, path: &str, body: &Value) -> (u16, Value) {
        let (workspace, user, role) = who;
        let body = body.to_string();
        self.world.requests_with(&ROW, method, &format!("/utalk{path}"), |call| {
            call.identity = Some(identity(workspace, user, role));
            call.body = body.into();
        });
        self.world.replies.pop().expect("it is answered")
    }

    /// An agent of w1 closes a conversation.
    pub(super) fn closes(&mut self, agent: &str, conversation: &str) {
        let path = format!("/api/conversations/{conversation}/status");
        let (status, body) = self.http(("w1", agent, "agent"), "PUT", &path, &json!({"status": "closed"}));
        assert_eq!(status, 200, "{body}");
    }

    /// An admin of w1 assigns a conversation.
    pub(super) fn assigns(&mut self, conversation: &str, agent: &str) {
        let path = format!("/api/conversations/{conversation}/assign");
        let (status, body) = self.http(("w1", "chief", "admin"), "POST", &path, &json!({"agentId": agent}));
        assert_eq!(status, 200, "{body}");
    }

    /// Everything that was heard, by name.
    pub(super) fn names(&mut self, id: Id) -> Vec<String> {
        self.heard(id).into_iter().map(|(name, _)| name).collect()
    }

    /// The one error event, and nothing else.
    pub(super) fn hears_error(&mut self, id: Id) -> Value {
        let mut heard = self.heard(id);
        assert_eq!(heard.len(), 1, "{heard:?}");
        let (name, payload) = heard.remove(0);
        assert_eq!(name, "error", "{payload}");
        payload
    }

    /// Nobody has anything unheard any more.
    pub(super) fn forget(&mut self, ids: &[Id]) {
        for id in ids {
            self.heard(*id);
        }
    }

    pub(super) fn raw(&mut self, id: Id, name: &str, args: &[Value]) {
        self.event(id, Args::of(name, args), None);
    }

    pub(super) fn messages(&self) -> Vec<Message> {
        self.store.rows(Statement::new("SELECT * FROM ut_messages ORDER BY scope, conversation_id, seq"))
    }

    pub(super) fn conversations(&self) -> Vec<Row> {
        self.store.rows(Statement::new("SELECT * FROM ut_conversations ORDER BY scope, id"))
    }

    pub(super) fn escalations(&self) -> Vec<Escalation> {
        self.store.rows(Statement::new("SELECT * FROM ut_escalations ORDER BY scope, created_at, id"))
    }

    pub(super) fn count(&self, sql: &'static str) -> u64 {
        self.store.rows::<Count>(Statement::new(sql))[0].0
    }
}

pub(super) struct Count(pub u64);

impl FromRow for Count {
    const TABLE: &'static str = "a count";
    fn from_row(row: &mut SqlRow<'_>) -> Result<Count, RowError> {
        Ok(Count(row.get("count")?))
    }
}

pub(super) fn text_of(message_id: &str, conversation: &str, text: &str) -> Value {
    json!({"messageId": message_id, "conversationId": conversation, "type": "text", "text": text})
}

pub(super) fn claims(workspace: &str, user: &str, role: &str) -> Claims {
    Claims {
        sub: user.to_owned(),
        email: Some(format!("{user}@example.com")),
        role: role.to_owned(),
        workspace_id: Some(workspace.to_owned()),
        tenant_id: Some("t1".to_owned()),
        method: AuthMethod::Jwt,
        ..Claims::default()
    }
}

pub(super) fn identity(workspace: &str, user: &str, role: &str) -> Arc<Identity> {
    Arc::new(claims(workspace, user, role).into())
}

pub(super) fn auth() -> AuthSettings {
    AuthSettings { mode: AuthMode::Jwt, jwt_secret: Secret::new("k".repeat(32)), ..AuthSettings::default() }
}
