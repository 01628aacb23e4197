//! A scope: a tenant's workspace, with who is there and what is in memory of its conversations.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::early::Early;
use super::file::{Media, Uploading};
use super::held::Held;
use super::memory::Conversation;
use super::message::Message;
use super::outgoing::{Call, OUTGOING_MAX, Outgoing};
use super::queue::Work;
use super::settings::Settings;
use super::user::{Presence as Chosen, User};
use super::who::{Role, Who};
use super::wish::{Hooked, Sending, Waiting};
use crate::app::Token;
use crate::app::effect::Room;
use crate::app::kit::agenda::{Agenda, Timer};
use crate::app::kit::presence::Presence;
use crate::app::kit::rate::Meter;
use crate::base::ids::{NspIndex, ReqId, SocketRef};
use crate::base::time::{Millis, Now, WallMillis};

/// All that is known of a scope here.
pub(super) struct Scope {
    pub key: Arc<str>,
    pub rooms: Rooms,
    pub users: BTreeMap<Arc<str>, User>,
    pub seats: BTreeMap<SocketRef, Seat>,
    /// How often those who ask by HTTP have asked, by user.
    pub callers: BTreeMap<Arc<str>, Meter>,
    /// Sockets in each namespace.
    pub counts: [usize; 3],
    /// Those among all that speak the dialect.
    pub speakers: usize,
    /// Users by their sockets in all namespaces.
    pub here: Presence<Arc<str>>,
    /// Changes of presence that have not been told.
    pub news: BTreeMap<Arc<str>, News>,
    pub told_at: Option<Millis>,
    pub conversations: BTreeMap<Arc<str>, Conversation>,
    /// Sockets that have joined a conversation.
    pub joined: BTreeMap<Arc<str>, BTreeSet<SocketRef>>,
    /// What waits for conversations that are being loaded.
    pub loading: BTreeMap<Arc<str>, Waiting>,
    /// Messages on their way, by messageId.
    pub sends: BTreeMap<Arc<str>, Sending>,
    /// Users that type: user and conversation, with the socket that does.
    pub typing: BTreeMap<(Arc<str>, Arc<str>), SocketRef>,
    /// Messages on their way to the provider.
    pub outgoing: Outgoing<Call>,
    pub early: Early,
    /// Messages of customers that wait for their files, by conversation, in their order.
    pub held: BTreeMap<Arc<str>, VecDeque<Held>>,
    /// Webhooks that are not answered yet.
    pub hooked: BTreeMap<ReqId, Hooked>,
    pub work: Work,
    /// Files on their way.
    pub uploads: BTreeMap<ReqId, Uploading>,
    /// Files that are told of, for those who speak the dialect; and where URLs began when one was last brought.
    pub files: BTreeMap<Arc<str>, Media>,
    pub base: Arc<str>,
    pub agenda: Agenda<Due>,
    pub timer: Timer,
    /// The last change number that was given.
    pub change: u64,
    /// Numbers of writes on their way.
    pub in_flight: BTreeSet<u64>,
    /// Counts turns, for what was used when.
    pub turns: u64,
    /// Jobs on their way.
    pub jobs: usize,
    /// Bytes of messages in memory; and how many of them the application has been told of.
    pub remembered: usize,
    pub counted: usize,
    /// Where the last look for conversations to forget has ended.
    pub swept: Arc<str>,
}

/// A socket.
pub(super) struct Seat {
    pub who: Arc<Who>,
    pub nsp: NspIndex,
    pub meter: Meter,
    /// It speaks the dialect.
    pub speaks: bool,
    /// Conversations that it has joined.
    pub joined: Vec<Arc<str>>,
}

/// What has become of a user's presence since others were told.
#[derive(Clone, Copy, Debug)]
pub(super) struct News {
    /// The socket that has caused it, if its user has come or gone.
    pub by: Option<SocketRef>,
    /// What others know: whether it was connected, and how it was seen.
    pub was: (bool, Chosen),
}

/// What a scope does by and by.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Due {
    /// Presence is told.
    News,
    /// Users who have left are gone.
    Gone,
    /// What is stored of the scope is asked for again.
    Reload,
    /// A conversation goes on with its call of the provider.
    Call(Arc<str>),
    /// The rest after a failure is over.
    Assign,
    /// Those who wait are asked for again.
    Waiting,
    /// `queue:updated` is told.
    Queue,
    /// Somebody may have waited for too long.
    Late,
    /// An agent may have gone for good.
    Dropped(Arc<str>),
    /// Somebody's typing in a conversation stops: conversation, user.
    Silence(Arc<str>, Arc<str>),
}

/// Names of rooms of one scope, made once.
pub(super) struct Rooms {
    pub all: Room,
    /// Those who read the whole scope.
    pub whole: Room,
    /// Agents and viewers.
    pub agents: Room,
    pub bots: Room,
}

impl Scope {
    /// Nothing is known yet.
    pub(super) fn new(key: &str, timer: Token, settings: &Settings) -> Scope {
        Scope {
            key: key.into(),
            rooms: Rooms {
                all: format!("all/{key}").into(),
                whole: format!("whole/{key}").into(),
                agents: format!("agents/{key}").into(),
                bots: format!("bots/{key}").into(),
            },
            users: BTreeMap::new(),
            seats: BTreeMap::new(),
            callers: BTreeMap::new(),
            counts: [0; 3],
            speakers: 0,
            here: Presence::new(settings.presence_grace_ms),
            news: BTreeMap::new(),
            told_at: None,
            conversations: BTreeMap::new(),
            joined: BTreeMap::new(),
            loading: BTreeMap::new(),
            sends: BTreeMap::new(),
            typing: BTreeMap::new(),
            outgoing: Outgoing::new(OUTGOING_MAX),
            early: Early::default(),
            held: BTreeMap::new(),
            hooked: BTreeMap::new(),
            work: Work::default(),
            uploads: BTreeMap::new(),
            files: BTreeMap::new(),
            base: "/utalk".into(),
            agenda: Agenda::default(),
            timer: Timer::new(timer),
            change: 0,
            in_flight: BTreeSet::new(),
            turns: 0,
            jobs: 0,
            remembered: 0,
            counted: 0,
            swept: "".into(),
        }
    }

    /// The room of one user's sockets.
    pub(super) fn room_of_user(&self, user: &str) -> Room {
        format!("user/{}/{user}", self.key).into()
    }

    /// The room of a role's sockets.
    pub(super) fn room_of_role(&self, role: Role) -> Room {
        match role {
            Role::Admin | Role::Service => self.rooms.whole.clone(),
            Role::Agent | Role::Viewer => self.rooms.agents.clone(),
            Role::Bot => self.rooms.bots.clone(),
        }
    }

    /// The room of the sockets that have joined a conversation.
    pub(super) fn room_of_conversation(&self, conversation: &str) -> Room {
        format!("joined/{}/{conversation}", self.key).into()
    }

    /// Whether a socket speaks the dialect.
    pub(super) fn speaks(&self, socket: SocketRef) -> bool {
        self.speakers > 0 && self.seats.get(&socket).is_some_and(|seat| seat.speaks)
    }

    /// The number of a change that is handed to the store now; when the write has ended, however, it goes from `in_flight`. Numbers tell times: what
    /// has changed since a time is beyond that time's number.
    pub(super) fn next_change(&mut self, now: Now) -> u64 {
        self.change = (self.change + 1).max(change_at(now.wall));
        self.in_flight.insert(self.change);
        self.change
    }

    /// A time by which all that is on its way is still to come.
    pub(super) fn settled_at(&self, now: Now) -> WallMillis {
        self.in_flight.first().map_or(now.wall, |change| WallMillis(now.wall.0.min(change >> CHANGE_BITS)))
    }

    /// How a user is seen by others.
    pub(super) fn seen_as(&self, user: &Arc<str>) -> Chosen {
        let chosen = self.users.get(user).map_or(Chosen::Online, |user| user.chosen);
        if self.here.is_here(user) { chosen } else { Chosen::Offline }
    }

    /// The conversation, if it is in memory. It counts as used.
    pub(super) fn conversation(&mut self, id: &str) -> Option<&mut Conversation> {
        let turns = self.turns;
        let conversation = self.conversations.get_mut(id)?;
        conversation.used = turns;
        Some(conversation)
    }

    /// A message has been written.
    pub(super) fn remember(&mut self, message: Arc<Message>) {
        let Some(conversation) = self.conversations.get_mut(&message.conversation) else { return };
        self.remembered += message.weight();
        self.remembered -= conversation.remember(message).map_or(0, |oldest| oldest.weight());
    }

    /// A message that has been written before is another one now.
    pub(super) fn refresh(&mut self, message: &Arc<Message>) {
        let Some(conversation) = self.conversations.get_mut(&message.conversation) else { return };
        if let Some(known) = conversation.ring.iter_mut().rev().find(|known| known.id == message.id) {
            *known = message.clone();
        }
    }

    /// Whether there is nobody, and nothing on its way or due but what [`super::sweep`] finds in time.
    pub(super) fn is_idle(&self) -> bool {
        self.seats.is_empty()
            && self.jobs == 0
            && self.in_flight.is_empty()
            && self.loading.is_empty()
            && self.sends.is_empty()
            && self.outgoing.len() == 0
            && self.held.is_empty()
            && self.hooked.is_empty()
            && self.uploads.is_empty()
            && self.agenda.len() == usize::from(self.agenda.has(&Due::Late))
    }

    /// Forgets one of the conversations that were used least lately, where there are too many or `is_full` says that memory is; those on their
    /// way stay.
    pub(super) fn forget_some(&mut self, is_full: bool) {
        if self.conversations.len() <= CONVERSATIONS_MAX && !is_full {
            return;
        }
        let swept = self.swept.clone();
        let beyond = (std::ops::Bound::Excluded(&*swept), std::ops::Bound::Unbounded);
        let seen = self.conversations.range::<str, _>(beyond).take(SWEEP);
        let seen: Vec<(u64, Arc<str>)> =
            seen.filter(|(_, it)| it.is_idle()).map(|(id, it)| (it.used, id.clone())).collect();
        self.swept = seen.last().map_or_else(|| "".into(), |(_, id)| id.clone());
        let oldest = seen.into_iter().min().and_then(|(_, oldest)| self.conversations.remove(&oldest));
        self.remembered -= oldest.map_or(0, |conversation| conversation.weight());
    }
}

/// The room beside a room, of those in it who speak the dialect.
pub(super) fn room_of_speakers(room: &str) -> Room {
    format!("hyphen/{room}").into()
}

/// The first change number of a time.
pub(super) fn change_at(at: WallMillis) -> u64 {
    at.0 << CHANGE_BITS
}

/// So many numbers a millisecond has: 2 to this.
const CHANGE_BITS: u32 = 16;
/// Conversations of a scope in memory.
const CONVERSATIONS_MAX: usize = 10_000;
/// Among so many the one that was used least lately goes.
const SWEEP: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apps::utalk::conversation::Row;
    use crate::apps::utalk::message::{Direction, Kind, Status};

    fn message(conversation: &Arc<str>, text: &str) -> Arc<Message> {
        Arc::new(Message {
            id: "msg_1".into(),
            message_id: "m1".into(),
            conversation: conversation.clone(),
            seq: 1,
            inbound: 0,
            kind: Kind::Text,
            text: Some(text.into()),
            media: None,
            metadata: "{}".into(),
            sender: "a".into(),
            author: None,
            direction: Direction::Outbound,
            status: Status::Sent,
            error: None,
            reason: None,
            attempt: 0,
            sid: None,
            sent_at: None,
            delivered_at: None,
            read_at: None,
            created_at: WallMillis(0),
            change: 1,
            digest: None,
        })
    }

    #[test]
    fn where_memory_is_full_what_was_used_least_lately_goes_first_and_what_is_on_its_way_stays() {
        let settings = Settings::default();
        let mut scope = Scope::new("t/w", Token(1), &settings);
        for n in 0..SWEEP as u64 {
            let id: Arc<str> = format!("conv_{n:02}").into();
            let conversation = Conversation::new(Row::new(&id, &settings, WallMillis(0)), true);
            scope.conversations.insert(id.clone(), Conversation { used: 100 - n, ..conversation });
            scope.remember(message(&id, "text"));
        }
        let (full, busy) = (scope.remembered, "conv_15");
        scope.conversations.get_mut(busy).unwrap().in_flight = 1;
        scope.forget_some(false);
        assert_eq!(scope.remembered, full);
        scope.forget_some(true);
        assert!(!scope.conversations.contains_key("conv_14") && scope.conversations.contains_key(busy));
        while scope.conversations.len() > 1 {
            scope.forget_some(true);
        }
        assert_eq!((scope.remembered, scope.conversations.keys().next().map(|id| &**id)), (full / SWEEP, Some(busy)));
    }

    #[test]
    fn the_newest_messages_of_a_conversation_stay_and_their_bytes_are_counted() {
        let settings = Settings::default();
        let mut scope = Scope::new("t/w", Token(1), &settings);
        let id: Arc<str> = "conv_x".into();
        scope.conversations.insert(id.clone(), Conversation::new(Row::new(&id, &settings, WallMillis(0)), true));
        for n in 0..1_200 {
            scope.remember(message(&id, if n < 200 { "much longer than those that follow" } else { "short" }));
        }
        let conversation = &scope.conversations[&id];
        assert_eq!((conversation.ring.len(), scope.remembered), (1_000, 1_000 * message(&id, "short").weight()));
    }

    #[test]
    fn numbers_of_changes_rise_and_tell_their_time() {
        let mut scope = Scope::new("t/w", Token(1), &Settings::default());
        let at = |wall| Now { mono: Millis(0), wall: WallMillis(wall) };
        let numbers = [5, 5, 7, 6, 7].map(|wall| scope.next_change(at(wall)));
        assert!(numbers.is_sorted_by(|one, next| one < next), "{numbers:?}");
        assert_eq!(numbers.map(|number| number >> CHANGE_BITS), [5, 5, 7, 7, 7]);
        assert_eq!(scope.settled_at(at(9)), WallMillis(5), "what was handed over then is not there yet");
        scope.in_flight.clear();
        assert_eq!(scope.settled_at(at(9)), WallMillis(9));
    }
}
