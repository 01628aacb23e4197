//! The work of agents in a scope: what changes of conversations mean to it, who gets those that wait, and whose customers have waited for too long.

use std::sync::Arc;

use serde_json::json;

use super::audience::Audience;
use super::conversation::Row;
use super::perform::busy;
use super::queue::{HELD_MAX, Place, Standing};
use super::receipts::nobody;
use super::rules;
use super::scope::Due;
use super::settings::{Assignment, Bot};
use super::tables::work::{self, Count, LATE_MAX, OfAgent, Unanswered};
use super::task::{Deed, Lookup, Take, Task, Via};
use super::turn::Turn;
use super::user::{Account, Presence};
use super::who::{Asker, Back, Role};
use super::wish::{Changed, Wait, What, Wish};
use crate::app::effect::Delivery;
use crate::app::job::{Job, JobError, Outcome};
use crate::app::kit::ack::Fail;
use crate::base::time::WallMillis;

impl Turn<'_> {
    /// Does a task of the work of agents.
    pub(super) fn perform_task(&mut self, asker: Asker, id: &Arc<str>, task: Task) {
        match task {
            Task::Take(take) => self.take(asker, id, take),
            Task::Return => self.give_back(asker, id),
            Task::Release => self.release(asker, id),
            Task::Drop(agent) => self.drop_from(&agent, id),
            Task::Escalate(escalate) => self.escalate(asker, id, escalate),
            Task::Reject { escalation, why } => self.reject(asker, id, escalation, why),
        }
    }

    /// What was done is on disk.
    pub(super) fn has_worked(&mut self, asker: &Asker, before: &Row, row: &mut Row, deed: &Deed, outcome: &Outcome) {
        match deed {
            Deed::Taken(taken) => self.has_taken(asker, before, row, taken, outcome),
            Deed::Returned => self.has_returned(asker, before, row),
            Deed::Released => self.has_released(asker, row),
            Deed::Escalated(escalation) => self.has_escalated(asker, row, escalation),
            Deed::Rejected { escalation, to } => self.has_rejected(asker, row, escalation, to.as_ref()),
        }
    }

    /// What was to be done has come to an end, on disk or not.
    pub(super) fn work_ended(&mut self, id: &Arc<str>, deed: &Deed, is_written: bool) {
        let Deed::Taken(taken) = deed else { return };
        if taken.is_claimed {
            self.claim(&taken.agent, false);
        }
        if matches!(taken.via, Via::Queue) && !is_written {
            self.scope.work.queue.take_back(id);
            self.rest();
        }
    }

    /// What the store was asked has come.
    pub(super) fn on_lookup(&mut self, lookup: Lookup, outcome: &Outcome) {
        match lookup {
            Lookup::Decided { asker, verdict } => self.on_decided(asker, verdict, outcome),
            Lookup::Pending(asker) => self.on_pending(&asker, outcome),
            Lookup::Waiting => self.on_waiting(outcome),
            Lookup::Late => self.on_late(outcome),
            Lookup::Dropped(agent) => self.on_dropped(&agent, outcome),
        }
    }

    /// What is on disk of the work of a scope that has just been loaded: counts of agents, which came with it; the rest is asked for.
    pub(super) fn begin_work(&mut self, loads: Vec<OfAgent>, last: Vec<OfAgent>) {
        let count = |it: OfAgent| (it.agent, u32::try_from(it.number).unwrap_or(u32::MAX));
        let last = last.into_iter().map(|it| (it.agent, it.number)).collect();
        self.scope.work.loads.begin(loads.into_iter().map(count).collect(), last);
        self.look_for_late();
        if self.settings.assignment == Assignment::Off {
            return;
        }
        self.look_for_waiting();
        // Nobody has been here since the start: those who do not come back have gone.
        let agents: Vec<Arc<str>> = self.scope.work.loads.agents().cloned().collect();
        for agent in agents {
            self.scope.agenda.add(self.now.mono + self.settings.agent_drop_grace_ms, Due::Dropped(agent));
        }
    }

    /// A conversation's row is another one.
    pub(super) fn moved(&mut self, id: &Arc<str>, before: &Standing, after: &Standing) {
        if before.active != after.active {
            for (agent, more) in [(&before.active, false), (&after.active, true)] {
                if let Some(agent) = agent {
                    self.scope.work.loads.count(agent, more);
                    self.doubt(agent);
                }
            }
        }
        if before.waits != after.waits {
            self.scope.work.queue.put(id, after.waits);
        }
        if let Some(at) = after.late {
            self.expect_late(at);
        }
    }

    /// One more is on its way to an agent, or is no longer.
    pub(super) fn claim(&mut self, agent: &Arc<str>, on: bool) {
        self.scope.work.loads.claim(agent, on);
        self.doubt(agent);
    }

    /// Something about a user has changed.
    pub(super) fn doubt(&mut self, user: &Arc<str>) {
        if self.settings.assignment != Assignment::Off {
            self.scope.work.doubtful.insert(user.clone());
        }
    }

    /// At the end of every turn: those who wait are given to those who are free.
    pub(super) fn assign_waiting(&mut self) {
        if self.settings.assignment == Assignment::Off {
            return;
        }
        self.reconsider();
        while !self.scope.work.rests
            && let Some(agent) = self.scope.work.bench.first()
            && let Some(conversation) = self.scope.work.queue.give(&agent)
        {
            self.claim(&agent, true);
            let take = Take { agent: Some(agent), reason: None, via: Via::Queue };
            self.wish(Wish { asker: nobody(Back::Nobody), conversation, what: What::Work(Task::Take(take)) });
            self.reconsider();
        }
        if self.scope.work.queue.is_short() {
            self.look_for_waiting();
        }
        self.tell_queue();
    }

    fn reconsider(&mut self) {
        while let Some(user) = self.scope.work.doubtful.pop_first() {
            let key = self.is_free(&user, 0).then(|| self.scope.work.loads.key(&user, self.settings.assignment));
            self.scope.work.bench.put(&user, key);
        }
    }

    /// Whether it is an agent who is there and can have one more, beside so many that are its own already.
    fn is_free(&self, user: &Arc<str>, own: u32) -> bool {
        let is_let_in = self.scope.users.get(user).is_some_and(|user| user.status == Account::Active);
        is_let_in
            && self.role_of(user) == Role::Agent
            && self.scope.seen_as(user) == Presence::Online
            && self.scope.work.loads.of(user) < self.settings.agent_conversations_max + own
    }

    /// A conversation that was next still waits, and the agent it goes to is still free: it has been counted as one of its own.
    pub(super) fn must_wait(&self, row: &Row, agent: &Arc<str>) -> Result<(), Fail> {
        let waits = Standing::of(row, self.settings).waits.is_some();
        if waits && self.is_free(agent, 1) { Ok(()) } else { Err(busy()) }
    }

    /// Nobody has got a conversation that somebody was to get.
    pub(super) fn not_taken(&mut self, id: &Arc<str>, take: &Take) {
        let (Via::Queue, Some(agent)) = (&take.via, &take.agent) else { return };
        self.claim(agent, false);
        self.scope.work.queue.take_back(id);
        let row = self.scope.conversation(id).map(|conversation| conversation.row.clone());
        match row.map(|row| Standing::of(&row, self.settings).waits) {
            Some(Some(_)) => self.rest(),
            _ => self.scope.work.queue.put(id, None),
        }
    }

    /// The store, or somebody's conversation, has too much to do.
    fn rest(&mut self) {
        self.scope.work.rests = true;
        self.scope.agenda.add(self.now.mono + REST_MS, Due::Assign);
    }

    /// It has had its rest.
    pub(super) fn on_rested(&mut self) {
        self.scope.work.rests = false;
    }

    fn look_for_waiting(&mut self) {
        self.scope.work.queue.asks();
        let questions = work::waiting(&self.scope.key, self.settings.bot == Bot::Off);
        self.ask(Job::Read(questions), Wait::Work(Box::new(Lookup::Waiting)));
    }

    fn on_waiting(&mut self, outcome: &Outcome) {
        match waiting_of(outcome, if self.settings.bot == Bot::Off { 3 } else { 2 }) {
            Ok((rows, total)) => self.scope.work.queue.fill(rows, total),
            Err(error) => {
                self.store_failed(&error);
                self.scope.work.queue.was_not_told();
                self.scope.agenda.add(self.now.mono + REST_MS, Due::Waiting);
            }
        }
    }

    /// The store is asked again who waits.
    pub(super) fn on_waiting_due(&mut self) {
        self.look_for_waiting();
    }

    /// `queue:updated`, where another queue was told last; a burst of changes is told once.
    fn tell_queue(&mut self) {
        if !self.scope.work.queue.is_changed {
            return;
        }
        let next = self.scope.work.told_at.map_or(self.now.mono, |at| at + TOLD_MS);
        if next > self.now.mono {
            return self.scope.agenda.add(next, Due::Queue);
        }
        self.scope.work.queue.is_changed = false;
        let shown = self.scope.work.queue.shown();
        if shown == self.scope.work.told {
            return;
        }
        let first = shown.1.iter().enumerate().map(
            |(at, (id, since))| json!({"conversationId": id, "position": at + 1, "waitingSince": since.to_string()}),
        );
        let payload = json!({"waiting": shown.0, "conversations": first.collect::<Vec<_>>()});
        self.scope.work.told = shown;
        self.scope.work.told_at = Some(self.now.mono);
        let key = rules::key(&["queue"]);
        self.tell(&Audience::Queue, &[], Delivery::Latest { key }, "queue:updated", &payload);
    }

    /// A user has gone, so long after its last socket has.
    pub(super) fn expect_drop(&mut self, user: &Arc<str>) {
        if self.settings.assignment != Assignment::Off && self.scope.work.loads.of(user) > 0 {
            let left = self.settings.agent_drop_grace_ms.saturating_sub(self.settings.presence_grace_ms);
            self.scope.agenda.put(self.now.mono + left, Due::Dropped(user.clone()));
        }
    }

    /// An agent may have gone for good.
    pub(super) fn on_drop(&mut self, agent: Arc<str>) {
        if !self.scope.here.is_here(&agent) {
            let question = work::of_agent(&self.scope.key, &agent);
            self.ask(Job::Read(vec![question]), Wait::Work(Box::new(Lookup::Dropped(agent))));
        }
    }

    fn on_dropped(&mut self, agent: &Arc<str>, outcome: &Outcome) {
        match outcome.rows::<Unanswered>(0) {
            Ok(rows) => {
                for Unanswered { id, .. } in rows {
                    let what = What::Work(Task::Drop(agent.clone()));
                    self.wish(Wish { asker: nobody(Back::Nobody), conversation: id, what });
                }
            }
            Err(error) => {
                self.store_failed(&error);
                self.scope.agenda.add(self.now.mono + REST_MS, Due::Dropped(agent.clone()));
            }
        }
    }

    /// An agent who has gone has not answered: the conversation is nobody's, and the next in the queue.
    fn drop_from(&mut self, agent: &Arc<str>, id: &Arc<str>) {
        let Some(row) = self.scope.conversation(id).map(|conversation| conversation.row.clone()) else { return };
        let is_theirs = Standing::of(&row, self.settings).active.as_ref() == Some(agent);
        if !is_theirs || row.unanswered_at.is_none() || self.scope.here.is_here(agent) {
            return;
        }
        let after = Row { assigned: None, assigned_at: None, ahead: true, ..row };
        self.amend(nobody(Back::Nobody), &after, Changed::Work(Box::new(Deed::Released)), Vec::new());
        // Should it not come to the disk, it is tried again.
        self.scope.agenda.add(self.now.mono + REST_MS, Due::Dropped(agent.clone()));
    }

    fn expect_late(&mut self, at: WallMillis) {
        if self.scope.work.late_at.is_none_or(|known| at < known) {
            self.scope.work.late_at = Some(at);
            let after_ms = at.0.saturating_sub(self.now.wall.0);
            self.scope.agenda.put(self.now.mono + after_ms, Due::Late);
        }
    }

    /// Somebody may have waited for too long.
    pub(super) fn look_for_late(&mut self) {
        self.scope.work.late_at = None;
        if self.settings.bot_timeout_ms > 0 || self.settings.agent_reply_timeout_ms > 0 {
            let questions = work::late(&self.scope.key);
            self.ask(Job::Read(questions), Wait::Work(Box::new(Lookup::Late)));
        }
    }

    fn on_late(&mut self, outcome: &Outcome) {
        let timeouts = [self.settings.bot_timeout_ms, self.settings.agent_reply_timeout_ms];
        for (at, timeout_ms) in timeouts.into_iter().enumerate().filter(|(_, timeout_ms)| *timeout_ms > 0) {
            let rows: Vec<Unanswered> = match outcome.rows(at) {
                Ok(rows) => rows,
                Err(error) => {
                    self.store_failed(&error);
                    return self.expect_late(WallMillis(self.now.wall.0 + REST_MS));
                }
            };
            let is_full = rows.len() as u64 >= LATE_MAX;
            let mut some = false;
            for Unanswered { id, since, .. } in rows {
                let due = WallMillis(since.0 + timeout_ms);
                if due > self.now.wall {
                    self.expect_late(due);
                    break;
                }
                some = true;
                self.escalate_late(&id);
            }
            // More may be due, and what does not come to the disk is tried again.
            if some || is_full {
                self.expect_late(WallMillis(self.now.wall.0 + REST_MS));
            }
        }
    }
}

/// The first of those who wait, in their order.
type Places = Vec<(Arc<str>, Place)>;

fn waiting_of(outcome: &Outcome, parts: usize) -> Result<(Places, u64), JobError> {
    let mut all = Vec::new();
    for part in 0..parts {
        let rows: Vec<Unanswered> = outcome.rows(part)?;
        all.extend(rows.into_iter().map(|row| (row.id.clone(), row.place())));
    }
    let total = outcome.rows::<Count>(parts)?.first().map_or(0, |count| count.0);
    all.sort_by_key(|(_, place)| *place);
    all.truncate(HELD_MAX);
    Ok((all, total))
}

/// Between two `queue:updated`.
const TOLD_MS: u64 = 50;
/// Before what the store has not done is tried again.
const REST_MS: u64 = 1_000;
