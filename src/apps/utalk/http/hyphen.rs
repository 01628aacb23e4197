//! What calls by a listener of the dialect `hyphen` are answered: messages and conversations look as they do in its events, lists are the
//! data itself. And the one route that only its clients have.

use serde_json::{Value, json};

use crate::app::kit::ack::Fail;
use crate::app::reply::{Content, Reply};
use crate::app::route::Call;
use crate::apps::utalk::conversation::Row;
use crate::apps::utalk::dialect::{Beside, Person, shape};
use crate::apps::utalk::turn::Turn;
use crate::apps::utalk::who::{Asker, Role, Who};

use super::page::wrong;

impl Turn<'_> {
    /// An answer as its clients read it, to this one of them.
    pub(in crate::apps::utalk) fn respell(&self, who: &Who, reply: &mut Reply) {
        let Content::Json(text) = &mut reply.content else { return };
        let Ok(mut body) = serde_json::from_str::<Value>(text) else { return };
        let mut data = self.respelled(who, body["data"].take());
        if !data["conversations"].is_null() && !data["pagination"].is_null() {
            body["pagination"] = data["pagination"].take();
            data = data["conversations"].take();
        }
        if let Some(Value::Array(agents)) = data.get_mut("assignedAgents") {
            // The one who has assigned it is not kept.
            agents.iter_mut().for_each(|agent| agent["assignedBy"] = Value::Null);
            body["assignedAgents"] = json!(agents);
        }
        body["data"] = data;
        *text = body.to_string();
    }

    fn respelled(&self, who: &Who, mut value: Value) -> Value {
        if let Value::Array(all) = value {
            return all.into_iter().map(|value| self.respelled(who, value)).collect();
        }
        let is_with = |names: &[&str]| names.iter().all(|name| value.get(name).is_some());
        if is_with(&["participants", "unreadCount"]) {
            let named = [&value["assignedAgent"], &value["lastMessage"]["sender"]];
            return shape::conversation(&value, &self.side(named.into_iter().filter_map(Value::as_str)));
        }
        if is_with(&["messageId", "direction", "seq"]) {
            let mut side = self.side_of(&value);
            // One who has never had a socket is known by its token alone.
            side.people.entry(who.user.to_string()).or_insert_with(|| person_of(who));
            return shape::message(&value, &side);
        }
        for name in ["message", "messages", "conversation", "conversations"] {
            if let Some(inner) = value.get_mut(name) {
                *inner = self.respelled(who, inner.take());
            }
        }
        value
    }

    fn side_of(&self, message: &Value) -> Beside {
        let id = message["conversationId"].as_str().unwrap_or_default();
        let (author, media) = (message["agentId"].as_str(), (message["mediaId"].as_str(), &message["metadata"]));
        match self.scope.conversations.get(id) {
            Some(conversation) => self.side_of_message(&conversation.row, author, media),
            None => self.side_of_message(&Row::new(&id.into(), self.settings, self.now.wall), author, media),
        }
    }

    /// `GET /api/module-permissions/my-permissions`.
    pub(super) fn permissions(&mut self, asker: &Asker) {
        let role = asker.who.role;
        let (write, configure) = (role != Role::Viewer, role == Role::Admin);
        let level = if configure {
            "configure"
        } else if write {
            "write"
        } else {
            "read"
        };
        let chat = json!({
            "id": "chat", "name": "Chat", "description": "Conversaciones con clientes", "level": level,
        });
        let may = json!({"read": true, "write": write, "configure": configure});
        let permissions = json!({
            "email": asker.who.address(),
            "role": role.word(),
            "accessibleModules": [chat],
            "permissions": {"modules": {"chat": may}},
        });
        self.answer(asker, "", &json!({"permissions": permissions}));
    }
}

fn person_of(who: &Who) -> Person {
    let email = who.address().to_owned();
    Person { name: email.clone(), email, role: who.role.word().to_owned() }
}

/// How many conversations are before the page that is asked for by its number.
pub(super) fn skipped(call: &Call, limit: usize) -> Result<u64, Fail> {
    let Some(text) = call.query_value("page").filter(|text| !text.is_empty() && call.dialect.is_some()) else {
        return Ok(0);
    };
    let page: u64 = text.parse().ok().filter(|page| (1..=PAGE_MAX).contains(page)).ok_or_else(|| wrong("page"))?;
    Ok((page - 1) * limit as u64)
}

/// A page looks at no more conversations than a list does.
const PAGE_MAX: u64 = 50_000;
