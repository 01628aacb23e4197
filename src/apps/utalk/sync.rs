//! `sync:state`: what somebody has missed. Without a place to begin, a snapshot of what is open; else what has changed beyond it. Pages are bounded
//! reads of the store; a chain of them ends at the last change there was when it began, so that nothing comes twice along it.

use serde_json::{Map, Value, json};

use super::message::{Direction, Message};
use super::payload::{Fields, SyncAsked};
use super::scope::change_at;
use super::settings::AgentSees;
use super::tables::sync::{Change, Filter, Seen};
use super::turn::Turn;
use super::who::{Asker, Role};
use super::wish::{Page, Syncing, Wait};
use crate::app::event::Event;
use crate::app::job::{Job, JobError, Outcome};
use crate::app::kit::ack::Fail;
use crate::app::kit::cursor;
use crate::base::time::WallMillis;

/// What a page holds, and where the next one begins.
struct Found {
    conversations: Vec<Seen>,
    messages: Vec<Message>,
    next: Page,
    has_more: bool,
}

impl Turn<'_> {
    /// `sync:state`.
    pub(super) fn on_sync(&mut self, event: &Event) -> Result<Option<Value>, Fail> {
        let asked = Fields::of("sync:state", event)?.sync()?;
        if let Some(asker) = self.asker(event) {
            self.sync(asker, asked);
        }
        Ok(None)
    }

    /// Answers with `state:synced` when the store has answered.
    pub(super) fn sync(&mut self, asker: Asker, asked: SyncAsked) {
        let page = self.page_of(&asker, &asked);
        let filter = self.filter_of(&asker);
        // One more shows whether there is more.
        let limit = asked.limit + 1;
        let questions = match page {
            Page::Snapshot { below, .. } => filter.open(below, limit),
            Page::Changes { conversations, messages, upto } => {
                let upto = upto.unwrap_or(CHANGE_MAX);
                filter.changed((conversations, upto), (messages, upto), limit)
            }
        };
        let server_time = self.scope.settled_at(self.now);
        let wait = Wait::Sync(Box::new(Syncing { asker, asked, page, server_time }));
        self.ask(Job::Read(questions), wait);
    }

    /// Where to begin.
    fn page_of(&self, asker: &Asker, asked: &SyncAsked) -> Page {
        let oldest = self.now.wall.0.saturating_sub(self.settings.sync_retention_h * HOUR_MS);
        let reset = Page::Snapshot { below: CHANGE_MAX, upto: None, reset: true };
        match (&asked.cursor, asked.last_sync) {
            (Some(text), _) => self.read_cursor(asker, text, oldest).unwrap_or(reset),
            (None, Some(at)) if at < oldest => reset,
            (None, Some(at)) => {
                let beyond = change_at(WallMillis(at.min(self.now.wall.0))).saturating_sub(1);
                Page::Changes { conversations: beyond, messages: beyond, upto: None }
            }
            (None, None) => Page::Snapshot { below: CHANGE_MAX, upto: None, reset: false },
        }
    }

    /// The rows that somebody may read: as [`super::conversation::Row::is_readable`] says of one of them.
    pub(super) fn filter_of(&self, asker: &Asker) -> Filter {
        let role = asker.who.role;
        let is_agent = matches!(role, Role::Agent | Role::Viewer);
        Filter {
            scope: self.scope.key.clone(),
            all: role.sees_all() || (is_agent && self.settings.agent_sees == AgentSees::Workspace),
            agent: is_agent,
            bot: role == Role::Bot,
            user: asker.who.user.clone(),
        }
    }

    /// The store has answered.
    pub(super) fn on_synced(&mut self, syncing: &Syncing, outcome: &Outcome) {
        let limit = syncing.asked.limit as usize;
        let found = match found(syncing.page, limit, outcome) {
            Ok(found) => found,
            Err(error) => {
                self.store_failed(&error);
                self.remembered(syncing, limit)
            }
        };
        self.answer_sync(syncing, &found);
    }

    /// While the store does not answer: what is in memory. The next sync begins where this one did.
    fn remembered(&mut self, syncing: &Syncing, limit: usize) -> Found {
        let (asker, settings) = (&syncing.asker, self.settings);
        let (beyond, seen) = match syncing.page {
            Page::Snapshot { .. } => (0, CHANGE_MAX),
            Page::Changes { conversations, messages, .. } => (conversations, messages),
        };
        let is_snapshot = matches!(syncing.page, Page::Snapshot { .. });
        let ours = self.scope.conversations.values().filter(|it| it.row.is_readable(&asker.who, settings));
        let (mut conversations, mut messages) = (Vec::new(), Vec::new());
        for conversation in ours {
            let is_open = conversation.row.status != super::conversation::Status::Closed;
            if conversation.row.change > beyond && (is_open || !is_snapshot) {
                let own_inbound = conversation.horizons.get(&asker.who.user).map_or(0, |horizon| horizon.inbound);
                conversations.push(Seen { row: conversation.row.clone(), own_inbound });
            }
            let shown = conversation.ring.iter().filter(|message| message.change > seen && is_shown(message, asker));
            messages.extend(shown.map(|message| Message::clone(message)));
        }
        conversations.sort_by_key(|seen| std::cmp::Reverse(seen.row.change));
        messages.sort_by_key(|message| message.change);
        conversations.truncate(limit);
        messages.truncate(limit);
        Found { conversations, messages, next: syncing.page, has_more: false }
    }

    fn answer_sync(&mut self, syncing: &Syncing, found: &Found) {
        let Syncing { asker, asked, page, server_time } = syncing;
        let unread = |seen: &Seen| seen.row.last_inbound.saturating_sub(seen.own_inbound);
        let counts: Map<String, Value> =
            found.conversations.iter().map(|seen| (seen.row.id.to_string(), unread(seen).into())).collect();
        let conversations: Vec<_> = found.conversations.iter().map(|seen| seen.row.shown(unread(seen))).collect();
        let messages: Vec<_> = found.messages.iter().map(Message::as_new).collect();
        let (online, total) = self.scope.online(&asker.who.user);
        let mut reply = json!({
            "syncId": asked.sync_id,
            "conversations": conversations,
            "unreadCounts": counts,
            "messages": messages,
            "onlineUsers": online,
            "cursor": self.write_cursor(asker, found.next),
            "hasMore": found.has_more,
            "reset": matches!(page, Page::Snapshot { reset: true, .. }),
            "serverTime": server_time.to_string(),
        });
        if let Some(total) = total {
            reply["onlineTotal"] = total.into();
        }
        let rows = found.conversations.iter().map(|seen| &seen.row);
        let beside = self.is_speaker(asker).then(|| self.beside_sync(rows));
        self.answer_beside(asker, "state:synced", &reply, beside.as_ref());
    }

    fn list_of(&self, asker: &Asker) -> String {
        format!("sync/{}/{}", self.scope.key, asker.who.user)
    }

    fn write_cursor(&self, asker: &Asker, page: Page) -> String {
        let place = match page {
            Page::Snapshot { below, upto, reset } => [u64::from(reset), below, 0, upto.unwrap_or(0)],
            Page::Changes { conversations, messages, upto } => [CHANGES, conversations, messages, upto.unwrap_or(0)],
        };
        let [kind, first, second, upto] = place;
        cursor::write(&self.list_of(asker), [kind, first, second, upto, self.now.wall.0])
    }

    /// `None`: it is foreign, malformed or too old.
    fn read_cursor(&self, asker: &Asker, text: &str, oldest: u64) -> Option<Page> {
        let [kind, first, second, upto, at] = cursor::read(&self.list_of(asker), text)?;
        let upto = Some(upto).filter(|upto| *upto > 0);
        let page = match kind {
            CHANGES => Page::Changes { conversations: first, messages: second, upto },
            reset => Page::Snapshot { below: first, upto, reset: reset > 0 },
        };
        (at >= oldest && first <= CHANGE_MAX && second <= CHANGE_MAX).then_some(page)
    }
}

/// What the store has answered to the questions of a page.
fn found(page: Page, limit: usize, outcome: &Outcome) -> Result<Found, JobError> {
    let last = outcome.rows::<Change>(0)?.iter().map(|change| change.0).max().unwrap_or(0);
    let end = |at| Ok::<_, JobError>(outcome.rows::<Change>(at)?.iter().map(|change| change.0).min());
    let mut conversations: Vec<Seen> = outcome.rows(1)?;
    let changes: Vec<u64> = conversations.iter().map(|seen| seen.row.change).collect();
    let cut = cut(&changes, limit, end(2)?);
    conversations.truncate(limit);
    match page {
        Page::Snapshot { upto, reset, .. } => {
            let upto = upto.unwrap_or(last);
            let next = match cut {
                Some(below) => Page::Snapshot { below, upto: Some(upto), reset },
                None => Page::Changes { conversations: upto, messages: upto, upto: None },
            };
            Ok(Found { conversations, messages: Vec::new(), next, has_more: cut.is_some() })
        }
        Page::Changes { upto, .. } => {
            let upto = upto.unwrap_or(last);
            let (mut messages, end): (Vec<Message>, _) = (outcome.rows(3)?, end(4)?);
            messages.retain(|message| end.is_none_or(|end| message.change <= end));
            let changes: Vec<u64> = messages.iter().map(|message| message.change).collect();
            let seen = self::cut(&changes, limit, end);
            messages.truncate(limit);
            let has_more = cut.is_some() || seen.is_some();
            let next = Page::Changes {
                conversations: cut.unwrap_or(upto),
                messages: seen.unwrap_or(upto),
                upto: has_more.then_some(upto),
            };
            Ok(Found { conversations, messages, next, has_more })
        }
    }
}

/// Where a page ends that is not the last one: at its last row, or where the store has looked no further.
fn cut(changes: &[u64], limit: usize, end: Option<u64>) -> Option<u64> {
    if changes.len() > limit { Some(changes[limit - 1]) } else { end }
}

fn is_shown(message: &Message, asker: &Asker) -> bool {
    asker.who.role != Role::Bot || message.direction != Direction::Internal
}

/// The largest number that the store takes.
const CHANGE_MAX: u64 = i64::MAX as u64;
/// What a cursor of changes begins with; 0 and 1 begin those of snapshots.
const CHANGES: u64 = 2;
const HOUR_MS: u64 = 3_600_000;
