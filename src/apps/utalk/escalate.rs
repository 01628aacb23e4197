//! Escalations: a conversation is offered to an agent or to anybody, by hand, by a customer's word, or because a customer has waited for too long.

use std::sync::Arc;

use super::audience::Audience;
use super::conversation::{Row, Status};
use super::escalation::{Escalation, Reason, Stage, as_rejected, has_keyword};
use super::message::Message;
use super::queue::Standing;
use super::receipts::nobody;
use super::rules;
use super::tables::escalations::{self, Decision};
use super::take::{not_pending, unknown};
use super::task::{Deed, Escalate, Lookup, Take, Task, Verdict, Via};
use super::turn::{Turn, access_denied};
use super::who::{Asker, Back, Role, Who};
use super::wish::{Changed, Wait, What, Wish};
use crate::app::effect::Delivery;
use crate::app::job::{Job, Outcome};
use crate::app::kit::ack::Fail;

/// A conversation, and the agent it is offered to; nobody: anybody.
type Offer = (Row, Option<Arc<str>>);

impl Turn<'_> {
    /// An escalation begins; while one is pending, that is the answer.
    pub(super) fn escalate(&mut self, asker: Asker, id: &Arc<str>, escalate: Escalate) {
        let row = self.scope.conversation(id).map(|conversation| conversation.row.clone());
        match self.judge_escalate(&asker, row, &escalate) {
            Err(fail) => self.refuse(&asker, &fail),
            Ok(None) => {}
            Ok(Some((row, _))) if row.offer.is_some() => {
                if let Some(pending) = &row.offer {
                    let question = escalations::by_id(&self.scope.key, pending);
                    self.ask(Job::Read(vec![question]), Wait::Work(Box::new(Lookup::Pending(asker))));
                }
            }
            Ok(Some((row, to))) => self.begin_escalation(asker, row, to, escalate),
        }
    }

    /// The row, and the agent it goes to; `None`: there is no reason to any more.
    fn judge_escalate(&self, asker: &Asker, row: Option<Row>, escalate: &Escalate) -> Result<Option<Offer>, Fail> {
        let row = row.ok_or_else(|| unknown(asker))?;
        if matches!(asker.back, Back::Nobody) {
            return Ok(Some((row, None)).filter(|(row, _)| self.is_late(row)));
        }
        if !row.is_writable(&asker.who, self.settings) {
            return Err(access_denied());
        }
        let to = escalate.to.as_ref().map(|agent| self.staff(agent)).transpose()?;
        if row.status == Status::Closed {
            return Err(Fail::new("INVALID_TRANSITION", "La conversación está cerrada"));
        }
        Ok(Some((row, to)))
    }

    /// Whether its customer still waits for too long.
    fn is_late(&self, row: &Row) -> bool {
        Standing::of(row, self.settings).late.is_some_and(|at| at <= self.now.wall)
    }

    fn begin_escalation(&mut self, asker: Asker, row: Row, to: Option<Arc<str>>, escalate: Escalate) {
        let from_agent = match (asker.back, asker.who.role) {
            (Back::Nobody, _) => row.assigned.clone(),
            (_, Role::Bot) => None,
            _ => Some(asker.who.user.clone()),
        };
        let escalation = Escalation {
            from_agent,
            to_agent: to.clone(),
            notes: escalate.notes,
            ..self.new_escalation(&row.id, escalate.reason)
        };
        let offer = Some(escalation.id.clone());
        let after = Row { status: Status::Escalated, bot_enabled: false, offer, offer_to: to, ..row };
        let begin = escalations::begin(&self.scope.key, &escalation);
        self.amend(asker, &after, Changed::Work(Box::new(Deed::Escalated(escalation))), vec![begin]);
    }

    /// One that begins now, of nobody and offered to anybody.
    fn new_escalation(&mut self, conversation: &Arc<str>, reason: Reason) -> Escalation {
        let mut id = "escalation_".to_owned();
        let change = self.scope.next_change(self.now);
        self.scope.in_flight.remove(&change);
        rules::uuid_v7(change, self.rng, &mut id);
        Escalation {
            id: id.into(),
            conversation: conversation.clone(),
            reason,
            from_agent: None,
            to_agent: None,
            stage: Stage::Pending,
            notes: None,
            created_at: self.now.wall,
        }
    }

    /// It is on disk.
    pub(super) fn has_escalated(&mut self, asker: &Asker, row: &Row, escalation: &Escalation) {
        let payload = escalation.as_started();
        self.answer(asker, "escalation:started", &payload);
        let by: Vec<_> = asker.socket().into_iter().collect();
        let audience = Audience::Work(row, escalation.to_agent.as_ref());
        self.tell(&audience, &by, Delivery::Must, "escalation:started", &payload);
    }

    /// Somebody accepts or rejects an escalation, of which only its id is known.
    pub(super) fn decide(&mut self, asker: Asker, escalation: &Arc<str>, verdict: Verdict) {
        let question = escalations::by_id(&self.scope.key, escalation);
        self.ask(Job::Read(vec![question]), Wait::Work(Box::new(Lookup::Decided { asker, verdict })));
    }

    /// It was looked for.
    pub(super) fn on_decided(&mut self, asker: Asker, verdict: Verdict, outcome: &Outcome) {
        let found = outcome.rows::<Escalation>(0).map(|rows| rows.into_iter().next());
        let found = match found {
            Err(error) => Err(self.store_failed(&error)),
            Ok(None) => {
                Err(if matches!(asker.who.role, Role::Agent | Role::Admin) { not_pending() } else { access_denied() })
            }
            Ok(Some(escalation)) if !may_decide(&asker.who, &escalation) => Err(access_denied()),
            Ok(Some(escalation)) if escalation.stage != Stage::Pending => Err(not_pending()),
            Ok(Some(escalation)) => Ok(escalation),
        };
        match found {
            Err(fail) => self.refuse(&asker, &fail),
            Ok(Escalation { id, conversation, .. }) => {
                let task = match verdict {
                    Verdict::Accept => Task::Take(Take { agent: None, reason: None, via: Via::Accept(id) }),
                    Verdict::Reject(why) => Task::Reject { escalation: id, why },
                };
                self.wish(Wish { asker, conversation, what: What::Work(task) });
            }
        }
    }

    /// The escalation that is pending already was looked for.
    pub(super) fn on_pending(&mut self, asker: &Asker, outcome: &Outcome) {
        match outcome.rows::<Escalation>(0).map(|rows| rows.into_iter().next()) {
            Err(error) => {
                let fail = self.store_failed(&error);
                self.refuse(asker, &fail);
            }
            Ok(None) => self.refuse(asker, &not_pending()),
            Ok(Some(escalation)) => self.answer(asker, "escalation:started", &escalation.as_started()),
        }
    }

    /// An escalation is rejected; its conversation stays escalated, and is offered to nobody.
    pub(super) fn reject(&mut self, asker: Asker, id: &Arc<str>, escalation: Arc<str>, why: Option<Arc<str>>) {
        let row = self.scope.conversation(id).map(|conversation| conversation.row.clone());
        let Some(row) = row.filter(|row| row.offer.as_ref() == Some(&escalation)) else {
            return self.refuse(&asker, &not_pending());
        };
        let (by, at) = (Some(&asker.who.user), self.now.wall);
        let decision = Decision { id: &escalation, stage: Stage::Rejected, by, why: why.as_ref(), at };
        let decide = escalations::decide(&self.scope.key, &decision);
        let to = row.offer_to.clone();
        let after = Row { offer: None, offer_to: None, ..row };
        self.amend(asker, &after, Changed::Work(Box::new(Deed::Rejected { escalation, to })), vec![decide]);
    }

    /// It is on disk.
    pub(super) fn has_rejected(&mut self, asker: &Asker, row: &Row, escalation: &str, to: Option<&Arc<str>>) {
        let payload = as_rejected(escalation, &row.id, row.updated_at);
        self.answer(asker, "escalation:rejected", &payload);
        let by: Vec<_> = asker.socket().into_iter().collect();
        self.tell(&Audience::Work(row, to), &by, Delivery::Must, "escalation:rejected", &payload);
    }

    /// The escalation that a word of a customer begins.
    pub(super) fn escalation_by_word(&mut self, message: &Message) -> Option<Box<Escalation>> {
        let text = message.text.as_deref().unwrap_or_default();
        let is_for_people = has_keyword(text, &self.settings.escalation_keywords);
        is_for_people.then(|| Box::new(self.new_escalation(&message.conversation, Reason::Keyword)))
    }

    /// It has begun with its message.
    pub(super) fn escalated_by_word(&mut self, escalation: Escalation, row: Row) {
        let Some(conversation) = self.scope.conversation(&row.id) else { return };
        let before = std::mem::replace(&mut conversation.row, row.clone());
        self.moved(&row.id, &Standing::of(&before, self.settings), &Standing::of(&row, self.settings));
        let escalation = Escalation { from_agent: row.assigned.clone(), ..escalation };
        self.has_escalated(&nobody(Back::Nobody), &row, &escalation);
        self.tell_lost(&before, &row);
        self.tell_updated(Some(&before), &row);
    }

    /// The daemon escalates, if a customer still waits for too long when the conversation is at hand.
    pub(super) fn escalate_late(&mut self, conversation: &Arc<str>) {
        let task = Task::Escalate(Escalate { reason: Reason::Timeout, to: None, notes: None });
        self.wish(Wish { asker: nobody(Back::Nobody), conversation: conversation.clone(), what: What::Work(task) });
    }
}

/// The one it is offered to, anybody if that is nobody, and admins.
fn may_decide(who: &Who, escalation: &Escalation) -> bool {
    let is_theirs = escalation.to_agent.as_ref().is_none_or(|agent| *agent == who.user);
    who.role == Role::Admin || (who.role == Role::Agent && is_theirs)
}
