//! Presence: who is connected, counted over all namespaces, and how each wants to be seen. Changes are told together, a burst of them at most
//! once in [`NEWS_MS`].

use std::sync::Arc;

use serde_json::{Value, json};

use super::audience::Audience;
use super::payload::Fields;
use super::rules;
use super::scope::{Due, News, Scope};
use super::tables::users;
use super::turn::Turn;
use super::user::{Presence, User};
use super::who::{Asker, ROLES, Role, Who};
use super::wish::Wait;
use crate::app::effect::Delivery;
use crate::app::event::Event;
use crate::app::job::{JobError, JobErrorKind, Outcome};
use crate::app::kit::ack::Fail;
use crate::app::kit::presence::Departure;
use crate::app::settings::Word;
use crate::base::ids::SocketRef;

impl Turn<'_> {
    /// Something of a user's presence changes: `was` is how it was before.
    pub(super) fn note(&mut self, user: &Arc<str>, by: Option<SocketRef>, was: (bool, Presence)) {
        self.doubt(user);
        self.scope.news.entry(user.clone()).or_insert(News { by, was });
    }

    /// A socket of a user has gone.
    pub(super) fn left(&mut self, user: &Arc<str>, socket: SocketRef) {
        let seen = self.scope.users.get(user).map_or(Presence::Online, |user| user.chosen);
        match self.scope.here.leave(self.now.mono, user, socket) {
            Departure::GoneAt(at) => self.scope.agenda.add(at, Due::Gone),
            Departure::Gone => self.gone(user, seen),
            Departure::StillHere | Departure::Stale => {}
        }
    }

    /// The grace of some users is over.
    pub(super) fn on_gone(&mut self) {
        while let Some(user) = self.scope.here.expire(self.now.mono) {
            let seen = self.scope.users.get(&user).map_or(Presence::Online, |user| user.chosen);
            self.gone(&user, seen);
        }
        if let Some(at) = self.scope.here.deadline() {
            self.scope.agenda.add(at, Due::Gone);
        }
    }

    fn gone(&mut self, user: &Arc<str>, seen: Presence) {
        self.note(user, None, (true, seen));
        self.expect_drop(user);
        let at = self.now.wall;
        if let Some(known) = self.scope.users.get_mut(user) {
            known.last_seen = Some(at);
            let is_stored = known.is_stored;
            if is_stored {
                self.write(vec![users::seen(&self.scope.key, user, at)], Wait::User(user.clone()));
            }
        }
    }

    /// Tells what has changed, unless that was just done.
    pub(super) fn tell_news_when_due(&mut self) {
        if self.scope.news.is_empty() {
            return;
        }
        let next = self.scope.told_at.map_or(self.now.mono, |at| at + NEWS_MS);
        match next <= self.now.mono {
            true => self.tell_news(),
            false => self.scope.agenda.add(next, Due::News),
        }
    }

    /// Tells what has changed.
    pub(super) fn tell_news(&mut self) {
        self.scope.told_at = Some(self.now.mono);
        for (user, news) in std::mem::take(&mut self.scope.news) {
            let Some(known) = self.scope.users.get(&user).cloned() else { continue };
            let (is_here, seen) = (self.scope.here.is_here(&user), self.scope.seen_as(&user));
            let by: Vec<SocketRef> = news.by.into_iter().collect();
            let key = rules::key(&["presence", &user]);
            if news.was.0 != is_here {
                let (event, at) =
                    if is_here { ("user:connected", "connectedAt") } else { ("user:disconnected", "disconnectedAt") };
                let payload = json!({
                    "userId": known.id, "email": known.email, "role": known.role, at: self.now.wall.to_string(),
                });
                self.tell(&Audience::People, &by, Delivery::Latest { key }, event, &payload);
            }
            if news.was.1 != seen {
                let payload = self.shown(&known, seen);
                let key = key.wrapping_add(1);
                self.tell(&Audience::People, &by, Delivery::Latest { key }, "presence:update", &payload);
            }
        }
    }

    /// `presence:update`.
    fn shown(&self, user: &User, seen: Presence) -> Value {
        let is_here = self.scope.here.is_here(&user.id);
        let last_seen = user.last_seen.filter(|_| !is_here).unwrap_or(self.now.wall);
        json!({
            "userId": user.id,
            "email": user.email,
            "status": seen.word(),
            "role": user.role,
            "lastSeen": last_seen.to_string(),
        })
    }

    /// `presence:set`: how somebody wants to be seen is kept first, and told then.
    pub(super) fn on_presence_set(&mut self, event: &Event) -> Result<Option<Value>, Fail> {
        let chosen = Fields::of("presence:set", event)?.presence()?;
        let Some(asker) = self.asker(event) else { return Ok(None) };
        let user = asker.who.user.clone();
        let mut write = vec![users::choose(&self.scope.key, &user, chosen)];
        if let Some(known) = self.scope.users.get(&user).filter(|known| !known.is_stored) {
            write.insert(0, users::put(&self.scope.key, known));
        }
        self.write(write, Wait::Chosen { asker, chosen });
        Ok(None)
    }

    /// What somebody wants to be seen as is on disk, or is not.
    pub(super) fn on_chosen(&mut self, asker: &Asker, chosen: Presence, outcome: &Outcome) {
        if !outcome.is_written() {
            let error = match outcome {
                Outcome::Failed(error) => error.clone(),
                _ => JobError::new(JobErrorKind::Unavailable, "not written"),
            };
            let fail = self.store_failed(&error);
            return self.refuse(asker, &fail);
        }
        let user = &asker.who.user;
        // What was before is told as it was.
        self.tell_news();
        let was = (self.scope.here.is_here(user), self.scope.seen_as(user));
        let Some(known) = self.scope.users.get_mut(user) else { return };
        known.chosen = chosen;
        let known = known.clone();
        let seen = self.scope.seen_as(user);
        let reply = self.shown(&known, seen);
        self.answer(asker, "presence:update", &reply);
        self.note(user, asker.socket(), was);
        self.tell_news();
    }
}

impl Scope {
    /// A user as it was last known.
    pub(super) fn who(&self, user: &Arc<str>) -> Option<Who> {
        let known = self.users.get(user)?;
        let role = ROLES.of_word(&known.role).unwrap_or(Role::Viewer);
        Some(Who { user: user.clone(), email: known.email.clone(), role })
    }

    /// Users that are seen by others, this one first, at most [`ONLINE_MAX`]; and how many there are, if they are more.
    pub(super) fn online(&self, first: &Arc<str>) -> (Vec<Value>, Option<usize>) {
        let others = self.here.subjects().filter(|user| *user != first);
        let all = self.here.is_here(first).then_some(first).into_iter().chain(others);
        let seen = all.filter_map(|user| {
            let (status, known) = (self.seen_as(user), self.users.get(user)?);
            (status != Presence::Offline)
                .then(|| json!({"userId": user, "email": known.email, "status": status.word(), "role": known.role}))
        });
        let online: Vec<Value> = seen.take(ONLINE_MAX).collect();
        let total = self.here.len();
        (online, (total > ONLINE_MAX).then_some(total))
    }
}

/// How long changes of presence are held together.
const NEWS_MS: u64 = 50;
/// Users that a sync lists.
const ONLINE_MAX: usize = 500;
