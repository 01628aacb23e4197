//! Routes about conversations: what somebody sees of one, lists of them and of their messages, and the fields that people change.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::envelope;
use super::hyphen::skipped;
use super::page::{Page, pagination, wrong};
use super::users::failure_of;
use super::wants::{EVER, Listing, Made, Narrowed, NarrowedMessages, Opening, Show, UNASSIGNED};
use crate::app::job::{Job, JobError, Outcome};
use crate::app::kit::ack::Fail;
use crate::app::route::Call;
use crate::app::settings::Word;
use crate::apps::utalk::asks::AGENT_CHARS_MAX;
use crate::apps::utalk::conversation::{Row, Status};
use crate::apps::utalk::dialect::shape;
use crate::apps::utalk::edit::not_found;
use crate::apps::utalk::file::Media;
use crate::apps::utalk::memory::Conversation;
use crate::apps::utalk::message::{Direction, Kind, Message};
use crate::apps::utalk::payload::{Draft, Fields, Why, instant};
use crate::apps::utalk::rules::{self, conversation_id};
use crate::apps::utalk::tables::conversations;
use crate::apps::utalk::tables::lists::{self, Count, MessagesBeside};
use crate::apps::utalk::tables::media;
use crate::apps::utalk::tables::sync::Change as ChangeRow;
use crate::apps::utalk::task::{Take, Task, Via};
use crate::apps::utalk::turn::{Turn, access_denied};
use crate::apps::utalk::who::{Asker, Back, Role, scope_parts};
use crate::apps::utalk::wish::{Edit, Wait, What, Wish};

impl Turn<'_> {
    /// `GET /api/conversations`.
    pub(super) fn list_conversations(&mut self, asker: &Asker, call: &Call) -> Result<(), Fail> {
        let text = |name: &str| call.query_value(name).filter(|text| !text.is_empty());
        let status = match text("status").filter(|word| word != "all") {
            None => String::new(),
            // Clients of the dialect are told of both as one.
            Some(word) if word == "pending" && call.dialect.is_some() => "pending escalated".to_owned(),
            Some(word) => {
                let word = if call.dialect.is_some() { shape::status_heard(&word) } else { &word };
                Status::of(word).ok_or_else(|| wrong("status"))?.word().to_owned()
            }
        };
        let assigned = match text("assignedTo") {
            None => String::new(),
            Some(word) if word == "me" => asker.who.user.to_string(),
            Some(word) if word == "unassigned" => UNASSIGNED.to_owned(),
            // Somebody whom nobody knows has no conversations.
            Some(name) => self.user_of(&name).map_or(name, |id| id.to_string()),
        };
        let search = text("search").unwrap_or_default();
        if search.chars().count() > SEARCH_CHARS_MAX {
            return Err(wrong("search"));
        }
        let narrowed = Narrowed { status, channel: text("channel").unwrap_or_default(), assigned, search };
        let list = format!("conversations/{}/{}/{narrowed:?}", self.scope.key, asker.who.user);
        let page = Page::<1>::of(call, &list)?;
        let below = page.place.map_or(i64::MAX as u64, |[below]| below.min(i64::MAX as u64));
        let skipped = skipped(call, page.limit)?;
        let questions = lists::conversations(&self.filter_of(asker), &narrowed, below, (skipped, page.limit + 1));
        let (asker, limit) = (asker.clone(), page.limit);
        self.ask(Job::Read(questions), Wait::Listing(Box::new(Listing::Conversations { asker, limit, list })));
        Ok(())
    }

    /// What somebody sees of one conversation.
    pub(in crate::apps::utalk) fn show(&mut self, asker: Asker, id: &Arc<str>, show: Show) {
        let settings = self.settings;
        let Some(Conversation { row, .. }) = self.scope.conversation(id) else {
            return self.refuse(&asker, &not_found());
        };
        if !row.is_readable(&asker.who, settings) {
            return self.refuse(&asker, &access_denied());
        }
        let row = row.clone();
        match show {
            Show::Row => self.answer(&asker, "", &row.shown(row.unread())),
            Show::Agents => {
                let agents: Vec<Value> = row.assigned.iter().map(|agent| self.shown_agent(agent, &row)).collect();
                self.answer(&asker, "", &json!({"assignedAgents": agents}));
            }
            Show::Files { limit, base } => {
                let questions = media::of_conversation(&self.scope.key, id, limit);
                self.ask(Job::Read(questions), Wait::Listing(Box::new(Listing::Files { asker, base })));
            }
            Show::Messages { narrowed, below, limit } => {
                let below = below.unwrap_or(i64::MAX as u64).min(i64::MAX as u64);
                let is_counted = narrowed.is_narrowed() || settings.message_retention_days > 0;
                let beside = MessagesBeside { files: asker.is_speaker_by_http(), count: is_counted };
                let questions = lists::messages((&self.scope.key, id), &narrowed, below, limit + 1, beside);
                let list = list_of_messages(&self.scope.key, id, &narrowed);
                self.ask(
                    Job::Read(questions),
                    Wait::Listing(Box::new(Listing::Messages { asker, limit, list, total: row.last_seq })),
                );
            }
        }
    }

    fn shown_agent(&self, id: &Arc<str>, row: &Row) -> Value {
        let user = self.scope.users.get(id);
        json!({
            "id": id,
            "email": user.and_then(|user| user.email.as_ref()),
            "name": user.and_then(|user| user.name.as_ref()),
            "role": user.map(|user| &user.role),
            "isPrimary": true,
            "assignedAt": row.assigned_at.map(|at| at.to_string()),
        })
    }

    /// What a request for a conversation's messages wants to see.
    pub(super) fn messages_wanted(&self, asker: &Asker, id: &str, call: &Call) -> Result<Show, Fail> {
        let text = |name: &str| call.query_value(name).filter(|text| !text.is_empty());
        let time = |name: &'static str| match text(name) {
            None => Ok(None),
            Some(at) => instant(&at).map(Some).ok_or_else(|| wrong(name)),
        };
        let kind = match text("type") {
            None => String::new(),
            Some(word) => {
                let word = if call.dialect.is_some() { shape::kind_heard(&word) } else { &word };
                Kind::of(word).ok_or_else(|| wrong("type"))?.word().to_owned()
            }
        };
        let direction = match text("direction") {
            None => String::new(),
            Some(word) => Direction::of(&word).ok_or_else(|| wrong("direction"))?.word().to_owned(),
        };
        let between = (time("after")?.unwrap_or(EVER.0), time("before")?.unwrap_or(EVER.1));
        let narrowed = NarrowedMessages { public: asker.who.role == Role::Bot, kind, direction, between };
        let list = list_of_messages(&self.scope.key, id, &narrowed);
        let page = Page::<1>::of(call, &list)?;
        Ok(Show::Messages { narrowed, below: page.place.map(|[below]| below), limit: page.limit })
    }

    /// The store has answered for a list.
    pub(in crate::apps::utalk) fn on_listed(&mut self, listing: &Listing, outcome: &Outcome) {
        let (Listing::Conversations { asker, .. } | Listing::Messages { asker, .. } | Listing::Files { asker, .. }) =
            listing;
        if asker.is_speaker_by_http() && matches!(listing, Listing::Messages { .. }) {
            let files: Vec<Media> = outcome.rows(1).unwrap_or_default();
            files.iter().for_each(|media| self.remember_file(media));
        }
        let listed = match listing {
            Listing::Files { base, .. } => self.files(base, outcome),
            _ => listed(listing, outcome),
        };
        match listed {
            Ok(data) => self.answer(asker, "", &data),
            Err(error) => {
                let fail = self.store_failed(&error);
                self.refuse(asker, &fail);
            }
        }
    }

    fn files(&self, base: &str, outcome: &Outcome) -> Result<Value, JobError> {
        let files: Vec<Media> = outcome.rows(0)?;
        let count = outcome.rows::<Count>(1)?.first().map_or(0, |count| count.0);
        let files: Vec<_> = files.iter().map(|media| self.shown_media(media, base)).collect();
        Ok(json!({"files": files, "count": count}))
    }

    /// `POST /api/conversations`: the conversation with a customer, by its number and ours.
    pub(super) fn open_conversation(&mut self, asker: &Asker, body: Map<String, Value>) -> Result<(), Fail> {
        let fields = Fields::new("conversation", body);
        let phone = fields.filled("customerPhone", PHONE_CHARS_MAX)?;
        let customer = phone_of(&phone).ok_or_else(|| fields.wrong("customerPhone", Why::Invalid))?;
        let customer_name = fields.text("customerName", NAME_CHARS_MAX)?;
        let agent = fields.text("assignedTo", AGENT_CHARS_MAX)?.filter(|agent| !agent.is_empty());
        let text = fields.text("initialMessage", self.settings.text_chars_max)?;
        let id: Arc<str> = match self.number_of_ours() {
            Some(ours) => format!("conv_{customer}_{ours}").into(),
            None => format!("conv_{customer}").into(),
        };
        let first = text.filter(|text| !text.trim().is_empty()).map(|text| Draft {
            message_id: rules::uuid_v4(self.rng).into(),
            kind: Kind::Text,
            text: Some(text),
            media: None,
            metadata: "{}".into(),
        });
        let opening = Opening { customer, customer_name, agent, first };
        self.wish(What::Open(opening).of(&asker.answered(envelope::created_or_found), id));
        Ok(())
    }

    /// The first of our numbers that belongs to this scope.
    fn number_of_ours(&self) -> Option<&str> {
        let (tenant, workspace) = scope_parts(&self.scope.key);
        let or = |text: &'_ str, other: &str| if text.is_empty() { other.to_owned() } else { text.to_owned() };
        let ours = self.settings.numbers.iter().find(|number| {
            or(&number.tenant, &self.settings.default_tenant) == tenant
                && or(&number.workspace, &self.settings.default_workspace) == workspace
        });
        ours.map(|number| number.number.as_str())
    }

    /// Somebody wants a conversation to be there: it is, or is made.
    pub(in crate::apps::utalk) fn open(&mut self, asker: Asker, id: &Arc<str>, opening: Opening) {
        let settings = self.settings;
        if let Some(Conversation { row, .. }) = self.scope.conversation(id) {
            if !row.is_readable(&asker.who, settings) {
                return self.refuse(&asker, &access_denied());
            }
            let row = row.clone();
            return self.opened(&asker, &row, None, opening.first);
        }
        let agent = match opening.agent.map(|agent| self.may_be_given(&asker, &agent)).transpose() {
            Ok(agent) => agent,
            Err(fail) => return self.refuse(&asker, &fail),
        };
        let number = self.scope.next_change(self.now);
        let fresh = Row {
            change: number,
            customer: opening.customer,
            customer_name: opening.customer_name,
            ..Row::new(id, settings, self.now.wall)
        };
        let write = vec![conversations::create(&self.scope.key, &fresh)];
        let mut conversation = Conversation::new(fresh, false);
        conversation.in_flight += 1;
        self.scope.conversations.insert(id.clone(), conversation);
        let made = Made { asker, id: id.clone(), number, agent, first: opening.first };
        self.write(write, Wait::Made(Box::new(made)));
    }

    /// A conversation was made, or was not.
    pub(in crate::apps::utalk) fn on_made(&mut self, made: Made, outcome: &Outcome) {
        let Made { asker, id, number, agent, first } = made;
        self.scope.in_flight.remove(&number);
        let Some(conversation) = self.scope.conversations.get_mut(&id) else { return };
        conversation.in_flight -= 1;
        if !outcome.is_written() {
            self.forget_unstored(&id);
            let fail = self.store_failed(&failure_of(outcome));
            return self.refuse(&asker, &fail);
        }
        let is_first = !std::mem::replace(&mut conversation.is_stored, true);
        let row = conversation.row.clone();
        if is_first {
            self.tell_conversation(&row);
        }
        self.opened(&asker, &row, Some(agent).filter(|_| is_first), first);
    }

    /// It is there; `made`: it was made, for this agent if there is one, who gets it before anybody is answered.
    fn opened(&mut self, asker: &Asker, row: &Row, made: Option<Option<Arc<str>>>, first: Option<Draft>) {
        match &made {
            Some(Some(agent)) => {
                let take = Take { agent: Some(agent.clone()), reason: None, via: Via::Open };
                self.wish(What::Work(Task::Take(take)).of(asker, row.id.clone()));
            }
            _ => self.answer(asker, "", &json!({"created": made.is_some(), "data": row.shown(row.unread())})),
        }
        if let Some(first) = first {
            let asker = Asker { who: asker.who.clone(), back: Back::Nobody };
            self.wish(What::Send(first).of(&asker, row.id.clone()));
        }
    }
}

/// The page that the store has answered.
fn listed(listing: &Listing, outcome: &Outcome) -> Result<Value, JobError> {
    match listing {
        Listing::Conversations { limit, list, .. } => {
            let mut rows: Vec<Row> = outcome.rows(0)?;
            let end = outcome.rows::<ChangeRow>(1)?.first().map(|end| end.0);
            let total = outcome.rows::<Count>(2)?.first().map_or(0, |count| count.0);
            let last = if rows.len() > *limit { Some(rows[limit - 1].change) } else { end };
            rows.truncate(*limit);
            let shown: Vec<_> = rows.iter().map(|row| row.shown(row.unread())).collect();
            Ok(json!({"conversations": shown, "pagination": pagination(list, last.map(|last| [last]), total)}))
        }
        Listing::Files { .. } => Ok(Value::Null),
        Listing::Messages { asker, limit, list, total } => {
            let mut messages: Vec<Message> = outcome.rows(0)?;
            let counted = 1 + usize::from(asker.is_speaker_by_http());
            let total = outcome.rows::<Count>(counted)?.first().map_or(*total, |count| count.0);
            let last = (messages.len() > *limit).then(|| [messages[limit - 1].seq]);
            messages.truncate(*limit);
            let shown: Vec<_> = messages.iter().map(Message::as_full).collect();
            Ok(json!({"messages": shown, "pagination": pagination(list, last, total)}))
        }
    }
}

fn list_of_messages(scope: &str, conversation: &str, narrowed: &NarrowedMessages) -> String {
    format!("messages/{scope}/{conversation}/{narrowed:?}")
}

/// The fields of `PUT /api/conversations/{id}`, or of those that change one.
fn edit(body: Map<String, Value>) -> Result<Edit, Fail> {
    let fields = Fields::new("conversation", body);
    let customer_name = fields.text("customerName", NAME_CHARS_MAX)?;
    let status = fields.word("status")?;
    if status == Some(Status::Escalated) {
        return Err(fields.wrong("status", Why::Invalid));
    }
    let tags = match fields.value("tags") {
        None => None,
        Some(Value::Array(tags)) if tags.len() <= TAGS_MAX && tags.iter().all(is_tag) => {
            Some(json!(tags).to_string().into())
        }
        Some(_) => return Err(fields.wrong("tags", Why::Invalid)),
    };
    Ok(Edit { status, customer_name, priority: fields.word("priority")?, tags })
}

/// The same without a status, which has a route of its own.
pub(super) fn edit_without_status(mut body: Map<String, Value>) -> Result<Edit, Fail> {
    body.remove("status");
    edit(body)
}

/// The same, of which this field has to be there.
pub(super) fn edit_of(field: &'static str, body: Map<String, Value>) -> Result<Edit, Fail> {
    let only: Map<String, Value> = body.into_iter().filter(|(name, _)| name == field).collect();
    if only.get(field).is_none_or(Value::is_null) {
        return Err(Fields::new("conversation", only).wrong(field, Why::Missing));
    }
    edit(only)
}

fn is_tag(tag: &Value) -> bool {
    tag.as_str().is_some_and(|tag| (1..=TAG_CHARS_MAX).contains(&tag.chars().count()) && !tag.contains('\0'))
}

/// A number in E.164.
fn phone_of(text: &str) -> Option<Arc<str>> {
    let digits = text.trim().strip_prefix('+')?;
    let is_number = (7..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| format!("+{digits}").into())
}

/// Decodes a body's `conversationId`, where it has one.
pub(super) fn decode_id(body: &mut Map<String, Value>) {
    if let Some(Value::String(id)) = body.get_mut("conversationId") {
        *id = conversation_id(id).to_string();
    }
}

impl What {
    /// Something that is asked of a conversation as HTTP asks it.
    pub(super) fn of(self, asker: &Asker, conversation: Arc<str>) -> Wish {
        Wish { asker: asker.clone(), conversation, what: self }
    }
}

const NAME_CHARS_MAX: usize = 120;
const PHONE_CHARS_MAX: usize = 32;
const SEARCH_CHARS_MAX: usize = 200;
const TAGS_MAX: usize = 50;
const TAG_CHARS_MAX: usize = 64;
