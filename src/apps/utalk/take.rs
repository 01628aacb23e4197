//! A conversation is taken, assigned, handed on, given back. The agent it belongs to is state, and of two who want it at once one gets it: changes of
//! a conversation wait for each other, and each is judged by the row that the last one has left.

use std::sync::Arc;

use serde_json::{Value, json};

use super::audience::Audience;
use super::conversation::{Row, Status};
use super::escalation::{Stage, as_accepted, as_rejected};
use super::message::{Direction, Kind, Message, Status as Sent};
use super::payload::Draft;
use super::rules;
use super::tables::conversations::{self, Advanced};
use super::tables::escalations::{self, Decision};
use super::tables::{messages, work};
use super::task::{Deed, Take, Taken, Via, told};
use super::turn::{Turn, access_denied};
use super::user::Account;
use super::who::{Asker, Back, ROLES, Role};
use super::wish::Changed;
use crate::app::effect::Delivery;
use crate::app::job::Outcome;
use crate::app::kit::ack::Fail;
use crate::app::settings::Word;

/// What is to be done about somebody who wants a conversation.
enum Judged {
    /// It is so already.
    Already(Row),
    /// This agent gets it; whether that is one more of its active ones.
    Gets { row: Row, agent: Arc<str>, is_more: bool },
}

impl Turn<'_> {
    /// An agent gets a conversation, or is told why not.
    pub(super) fn take(&mut self, asker: Asker, id: &Arc<str>, take: Take) {
        match self.judge_take(&asker, id, &take) {
            Err(fail) => {
                self.not_taken(id, &take);
                self.refuse(&asker, &fail);
            }
            Ok(Judged::Already(row)) => self.acknowledge_take(&asker, &row, &row, &take.via),
            Ok(Judged::Gets { row, agent, is_more }) => self.hand_to(asker, row, agent, is_more, take),
        }
    }

    fn judge_take(&mut self, asker: &Asker, id: &Arc<str>, take: &Take) -> Result<Judged, Fail> {
        let row = self.scope.conversation(id).map(|conversation| conversation.row.clone());
        if !may_take(asker, &take.via) {
            return Err(access_denied());
        }
        let row = row.ok_or_else(|| unknown(asker))?;
        let who = &asker.who;
        if matches!(take.via, Via::Transfer { .. }) {
            must_have(asker, &row)?;
        }
        let agent = match &take.agent {
            Some(agent) => self.staff(agent)?,
            None => who.user.clone(),
        };
        let is_own = row.assigned.as_ref() == Some(&agent);
        let is_at_work = is_own && row.status != Status::Closed;
        match &take.via {
            Via::Accept(escalation) if row.offer.as_ref() != Some(escalation) => return Err(not_pending()),
            Via::Accept(_) => {}
            Via::Queue => self.must_wait(&row, &agent)?,
            Via::Transfer { .. } if is_own => return Ok(Judged::Already(row)),
            Via::Transfer { .. } => {}
            Via::Takeover { .. } | Via::Assign if is_own && row.status == Status::Open && !row.bot_enabled => {
                return Ok(Judged::Already(row));
            }
            Via::Takeover { force: true } if who.role == Role::Admin => {}
            _ if row.assigned.is_some() && !is_own => return Err(already_assigned()),
            Via::Takeover { .. } | Via::Assign | Via::Open => {}
        }
        if !is_at_work && !matches!(take.via, Via::Queue) {
            let role = if agent == who.user { who.role } else { self.role_of(&agent) };
            self.must_have_room(&agent, role)?;
        }
        Ok(Judged::Gets { row, agent, is_more: !is_at_work })
    }

    /// Whom a conversation may be made for: by id or e-mail, with room for one more.
    pub(super) fn may_be_given(&self, asker: &Asker, agent: &Arc<str>) -> Result<Arc<str>, Fail> {
        if !may_take(asker, &Via::Open) {
            return Err(access_denied());
        }
        let agent = self.staff(agent)?;
        self.must_have_room(&agent, self.role_of(&agent)).map(|()| agent)
    }

    /// An agent has a capacity, an admin has none.
    fn must_have_room(&self, agent: &Arc<str>, role: Role) -> Result<(), Fail> {
        let (active, capacity) = (self.scope.work.loads.of(agent), self.settings.agent_conversations_max);
        if role == Role::Admin || active < capacity {
            return Ok(());
        }
        let fail = Fail::new("AGENT_NOT_AVAILABLE", "El agente no está disponible");
        Err(fail.with(json!({"active": active, "capacity": capacity})))
    }

    /// An agent or admin of the scope who was created or has connected once, and may come in: by id, else by e-mail.
    pub(super) fn staff(&self, agent: &Arc<str>) -> Result<Arc<str>, Fail> {
        let users = &self.scope.users;
        let by_email = || {
            let is_it = |email: &Arc<str>| email.eq_ignore_ascii_case(agent);
            users.values().find(|user| user.email.as_ref().is_some_and(is_it))
        };
        let user = users.get(agent).or_else(by_email).filter(|user| user.status == Account::Active);
        let user = user.filter(|user| matches!(self.role_of(&user.id), Role::Agent | Role::Admin));
        user.map(|user| user.id.clone()).ok_or_else(|| Fail::new("AGENT_NOT_FOUND", "Agente no encontrado"))
    }

    /// The role of a user as it was last known.
    pub(super) fn role_of(&self, user: &Arc<str>) -> Role {
        self.scope.users.get(user).and_then(|user| ROLES.of_word(&user.role)).unwrap_or(Role::Viewer)
    }

    fn hand_to(&mut self, asker: Asker, row: Row, agent: Arc<str>, is_more: bool, take: Take) {
        let (scope, now) = (self.scope.key.clone(), self.now.wall);
        let keeps_status = matches!(take.via, Via::Transfer { .. }) && row.status != Status::Closed;
        let ends = row.offer.clone().filter(|_| !keeps_status);
        let assigned_at = if is_more || row.assigned.as_ref() != Some(&agent) { Some(now) } else { row.assigned_at };
        let after = Row {
            status: if keeps_status { row.status } else { Status::Open },
            assigned: Some(agent.clone()),
            assigned_at,
            bot_enabled: false,
            ahead: false,
            offer: row.offer.clone().filter(|_| keeps_status),
            offer_to: row.offer_to.clone().filter(|_| keeps_status),
            ..row.clone()
        };
        let stamp = self.scope.work.loads.given(&agent, now);
        let note = match &take.via {
            Via::Transfer { note: Some(text) } => Some(self.note_of(&asker, &row.id, text)),
            _ => None,
        };
        let mut also: Vec<_> = note
            .iter()
            .flat_map(|note| [conversations::annotate(&scope, &row.id), messages::add(&scope, note)])
            .collect();
        if let Some(escalation) = &ends {
            let decision = Decision { id: escalation, stage: Stage::Accepted, by: Some(&agent), why: None, at: now };
            also.push(escalations::decide(&scope, &decision));
        }
        also.push(work::give(&scope, &agent, stamp));
        let is_claimed = is_more || matches!(take.via, Via::Queue);
        if is_claimed && !matches!(take.via, Via::Queue) {
            self.claim(&agent, true);
        }
        let escalation = ends.map(|escalation| (escalation, row.offer_to.clone()));
        let reason = take.reason.unwrap_or_else(|| take.via.reason().into());
        let taken = Taken { agent, reason, via: take.via, is_claimed, escalation, note };
        self.amend(asker, &after, Changed::Work(Box::new(Deed::Taken(taken))), also);
    }

    /// What an agent says to the next one.
    fn note_of(&mut self, asker: &Asker, conversation: &Arc<str>, text: &Arc<str>) -> Arc<Message> {
        let change = self.scope.next_change(self.now);
        self.scope.in_flight.remove(&change);
        let id = rules::message_id(change, self.rng);
        let draft = Draft {
            message_id: id.trim_start_matches("msg_").into(),
            kind: Kind::Note,
            text: Some(text.clone()),
            media: None,
            metadata: "{}".into(),
        };
        let (author, at) = (asker.who.user.clone(), self.now.wall);
        Arc::new(Message {
            author: Some(author.clone()),
            direction: Direction::Internal,
            status: Sent::Sent,
            sent_at: Some(at),
            ..draft.into_message(id, conversation, author, change, at)
        })
    }

    /// It is on disk: the one who has asked is told, then all others.
    pub(super) fn has_taken(&mut self, asker: &Asker, before: &Row, row: &mut Row, taken: &Taken, outcome: &Outcome) {
        let by: Vec<_> = asker.socket().into_iter().collect();
        let is_accepted = matches!(taken.via, Via::Accept(_));
        self.acknowledge_take(asker, before, row, &taken.via);
        if let Some((escalation, to)) = &taken.escalation {
            let payload = as_accepted(escalation, &row.id, row.updated_at);
            let except = if is_accepted { &*by } else { &[] };
            self.tell(&Audience::Work(row, to.as_ref()), except, Delivery::Must, "escalation:accepted", &payload);
        }
        if before.assigned != row.assigned || before.status == Status::Closed {
            let name = self.scope.users.get(&taken.agent).and_then(|user| user.name.clone().or(user.email.clone()));
            let payload = json!({
                "conversationId": row.id,
                "agentId": taken.agent,
                "agentName": name.as_ref().unwrap_or(&taken.agent),
                "assignedAt": told(row.assigned_at),
                "reason": taken.reason,
                "fromAgent": before.assigned.as_ref().filter(|agent| **agent != taken.agent),
            });
            let beside = self.beside_people(&[&taken.agent]);
            let fact = ("conversation:assigned", &payload);
            self.tell_beside(&Audience::Work(row, None), &[], Delivery::Must, fact, beside.as_ref());
        }
        if let Some(note) = &taken.note {
            self.has_noted(row, note, outcome);
        }
    }

    fn has_noted(&mut self, row: &mut Row, note: &Arc<Message>, outcome: &Outcome) {
        let advanced = outcome.rows::<Advanced>(1).ok().and_then(|rows| rows.first().copied());
        let Some(Advanced { last_seq, last_inbound, .. }) = advanced else { return };
        row.last_seq = last_seq;
        if let Some(conversation) = self.scope.conversation(&row.id) {
            conversation.row.last_seq = last_seq;
        }
        let note = Arc::new(Message { seq: last_seq, inbound: last_inbound, ..Message::clone(note) });
        self.scope.remember(note.clone());
        self.shared.counts.message(note.direction.word(), note.status.word());
        let beside = self.beside_message(row, &note);
        let fact = ("message:new", &note.as_new());
        self.tell_beside(&Audience::Staff(row), &[], Delivery::Must, fact, beside.as_ref());
    }

    fn acknowledge_take(&mut self, asker: &Asker, before: &Row, row: &Row, via: &Via) {
        let (id, agent, at) = (&row.id, &row.assigned, told(row.assigned_at));
        match via {
            Via::Takeover { .. } => {
                let reply = json!({"conversationId": id, "agentId": agent, "assignedAt": at, "botEnabled": false});
                self.answer(asker, "agent:takeover:acknowledged", &reply);
            }
            Via::Transfer { .. } => {
                let reply = json!({
                    "conversationId": id, "fromAgent": before.assigned, "toAgent": agent, "transferredAt": at,
                });
                self.answer(asker, "agent:transfer:acknowledged", &reply);
            }
            Via::Assign => {
                let reply = json!({"conversationId": id, "assignedAgent": agent, "assignedAt": at});
                self.answer(asker, "conversation:assigned", &reply);
            }
            Via::Accept(escalation) => {
                self.answer(asker, "escalation:accepted", &as_accepted(escalation, id, row.updated_at));
            }
            Via::Open => self.answer(asker, "", &json!({"created": true, "data": row.shown(row.unread())})),
            Via::Queue => {}
        }
    }

    /// The one who has it, or an admin, gives it back to the bot.
    pub(super) fn give_back(&mut self, asker: Asker, id: &Arc<str>) {
        self.let_go(asker, id, true);
    }

    /// The one who has it, or an admin, leaves it to nobody.
    pub(super) fn release(&mut self, asker: Asker, id: &Arc<str>) {
        self.let_go(asker, id, false);
    }

    fn let_go(&mut self, asker: Asker, id: &Arc<str>, to_bot: bool) {
        let row = self.scope.conversation(id).map(|conversation| conversation.row.clone());
        let row = row.ok_or_else(|| unknown(&asker)).and_then(|row| must_have(&asker, &row).map(|()| row));
        let row = match row {
            Ok(row) => row,
            Err(fail) => return self.refuse(&asker, &fail),
        };
        let mut after = Row { assigned: None, assigned_at: None, ..row.clone() };
        if !to_bot {
            return self.amend(asker, &after, Changed::Work(Box::new(Deed::Released)), Vec::new());
        }
        (after.bot_enabled, after.offer, after.offer_to) = (true, None, None);
        if row.status == Status::Escalated {
            after.status = Status::Open;
        }
        let end = escalations::end(&self.scope.key, id, Some(&asker.who.user), self.now.wall);
        self.amend(asker, &after, Changed::Work(Box::new(Deed::Returned)), vec![end]);
    }

    /// The bot has it again.
    pub(super) fn has_returned(&mut self, asker: &Asker, before: &Row, row: &Row) {
        let at = row.updated_at.to_string();
        let reply = json!({"conversationId": row.id, "botEnabled": true, "assignedAgent": null, "returnedAt": at});
        self.answer(asker, "agent:return:acknowledged", &reply);
        self.tell_withdrawn(before, row);
        let payload = json!({"conversationId": row.id, "reason": "agent_returned", "resumedAt": at});
        self.tell(&Audience::Work(row, None), &[], Delivery::Must, "bot:resumed", &payload);
    }

    /// It is nobody's.
    pub(super) fn has_released(&mut self, asker: &Asker, row: &Row) {
        let reply =
            json!({"conversationId": row.id, "assignedAgent": Value::Null, "unassignedAt": row.updated_at.to_string()});
        self.answer(asker, "conversation:unassigned", &reply);
    }

    /// An offer has ended with its conversation, without anybody's word.
    pub(super) fn tell_withdrawn(&mut self, before: &Row, row: &Row) {
        let Some(escalation) = before.offer.as_ref().filter(|_| row.offer.is_none()) else { return };
        let payload = as_rejected(escalation, &row.id, row.updated_at);
        let audience = Audience::Work(row, before.offer_to.as_ref());
        self.tell(&audience, &[], Delivery::Must, "escalation:rejected", &payload);
    }
}

/// Whether a role may take conversations this way.
fn may_take(asker: &Asker, via: &Via) -> bool {
    let role = asker.who.role;
    match via {
        Via::Takeover { .. } | Via::Accept(_) | Via::Transfer { .. } => matches!(role, Role::Agent | Role::Admin),
        Via::Assign | Via::Open => matches!(role, Role::Agent | Role::Service | Role::Admin),
        Via::Queue => true,
    }
}

/// It is the asker's, or the asker is an admin.
fn must_have(asker: &Asker, row: &Row) -> Result<(), Fail> {
    let who = &asker.who;
    match &row.assigned {
        Some(agent) if *agent == who.user || who.role == Role::Admin => Ok(()),
        None if matches!(who.role, Role::Agent | Role::Admin) => {
            Err(Fail::new("CONVERSATION_NOT_ASSIGNED", "La conversación no está asignada"))
        }
        _ => Err(access_denied()),
    }
}

/// There is no such conversation: on a socket that is as good as no access.
pub(super) fn unknown(asker: &Asker) -> Fail {
    match asker.back {
        Back::Call { .. } => Fail::new("CONVERSATION_NOT_FOUND", "Conversación no encontrada"),
        _ => access_denied(),
    }
}

/// Another one has it.
fn already_assigned() -> Fail {
    Fail::new("CONVERSATION_ALREADY_ASSIGNED", "La conversación ya está asignada a otro agente")
}

/// It was decided on, or is none of this scope.
pub(super) fn not_pending() -> Fail {
    Fail::new("ESCALATION_NOT_PENDING", "El escalamiento ya no está pendiente")
}
