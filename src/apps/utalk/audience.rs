//! The receivers of what is told: for each kind of fact the rooms it goes to, in which namespaces. A socket gets one fact once, however many rooms
//! name it, and the one that has caused it is left out where its reply says it already.
//!
//! | room | who is in it |
//! |---|---|
//! | `all/<scope>` | everybody |
//! | `whole/<scope>`, `agents/<scope>`, `bots/<scope>` | by role: those who read all, agents and viewers, bots |
//! | `user/<scope>/<id>` | one user's sockets |
//! | `joined/<scope>/<id>` | those that have joined a conversation |
//! | `hyphen/<room>` | those in a room who speak the dialect |

use std::sync::Arc;

use serde::Serialize;

use super::conversation::Row;
use super::dialect::{Beside, emission};
use super::scope::{Scope, room_of_speakers};
use super::settings::AgentSees;
use super::turn::Turn;
use super::who::{ADMIN, AGENT, APP};
use crate::app::effect::{Delivery, Effect, Emission, Room, Target};
use crate::base::ids::{NspIndex, SocketRef};

/// What a fact is about, and so who is told.
pub(super) enum Audience<'a> {
    /// Messages: those who may read the conversation, beside `/app` only where they have joined it.
    Readers(&'a Row),
    /// As `Readers`, without bots: notes.
    Staff(&'a Row),
    /// Joined sockets, those of the assigned agent and, if there is one, of this user; beside `/app` joined ones only.
    Party(&'a Row, Option<&'a Arc<str>>),
    /// Work: those who may read it, in all namespaces, and this user.
    Work(&'a Row, Option<&'a Arc<str>>),
    /// Those who may read what waits for an agent, in all namespaces.
    Queue,
    /// One user, in all namespaces.
    User(&'a Arc<str>),
    /// Everybody.
    People,
    /// Those who could read what was the first, and cannot read what is the second.
    Lost(&'a Row, &'a Row),
}

/// All there are.
const NAMESPACES: [NspIndex; 3] = [APP, AGENT, ADMIN];

impl Turn<'_> {
    /// Tells a fact to its audience, but for `except`. Must-deliver unless `delivery` says otherwise.
    pub(super) fn tell(
        &mut self,
        audience: &Audience<'_>,
        except: &[SocketRef],
        delivery: Delivery,
        event: &str,
        payload: &impl Serialize,
    ) {
        self.tell_beside(audience, except, delivery, (event, payload), None);
    }

    /// The same, with what those are told beside who speak the dialect.
    pub(super) fn tell_beside(
        &mut self,
        audience: &Audience<'_>,
        except: &[SocketRef],
        delivery: Delivery,
        (event, payload): (&str, &impl Serialize),
        beside: Option<&Beside>,
    ) {
        let make = || emission(event, payload, beside);
        self.spread(audience, except, delivery, make, false);
    }

    /// Tells a fact to those of its audience who speak the dialect, and to nobody else.
    pub(super) fn tell_speakers(
        &mut self,
        audience: &Audience<'_>,
        event: &str,
        payload: &impl Serialize,
        beside: &Beside,
    ) {
        let make = || Emission::new(event, payload).beside(beside);
        self.spread(audience, &[], Delivery::Must, make, true);
    }

    fn spread(
        &mut self,
        audience: &Audience<'_>,
        except: &[SocketRef],
        delivery: Delivery,
        make: impl Fn() -> Emission,
        to_speakers: bool,
    ) {
        let mut emission = None;
        for nsp in NAMESPACES {
            if !self.scope.has_others(nsp, except) {
                continue;
            }
            let (mut rooms, without) = self.rooms(audience, nsp);
            if rooms.is_empty() {
                continue;
            }
            if to_speakers {
                rooms.iter_mut().for_each(|room| *room = room_of_speakers(room));
            }
            let event = emission.get_or_insert_with(&make).clone();
            let target = Target::Rooms { nsp, rooms, except: without, except_sockets: except.to_vec() };
            self.fx.push(Effect::Emit { target, event, delivery });
        }
    }

    /// The rooms of an audience in one namespace, and those that are left out.
    fn rooms(&self, audience: &Audience<'_>, nsp: NspIndex) -> (Vec<Room>, Vec<Room>) {
        let user = |user: &Arc<str>| self.scope.room_of_user(user);
        let rooms = match audience {
            Audience::Readers(row) if nsp == APP => self.readers(row),
            Audience::Staff(row) if nsp == APP => {
                let mut rooms = self.readers(row);
                rooms.retain(|room| *room != self.scope.rooms.bots);
                rooms
            }
            Audience::Readers(row) | Audience::Staff(row) => self.joined(&row.id),
            Audience::Party(row, other) => {
                let mut rooms = self.joined(&row.id);
                if nsp == APP {
                    rooms.extend(row.assigned.iter().chain(*other).map(user));
                }
                rooms
            }
            Audience::Work(row, other) => {
                let mut rooms = self.readers(row);
                rooms.extend(other.map(user));
                rooms
            }
            Audience::Queue => vec![self.scope.rooms.whole.clone(), self.scope.rooms.agents.clone()],
            Audience::User(id) => vec![user(id)],
            Audience::People => vec![self.scope.rooms.all.clone()],
            Audience::Lost(before, after) => {
                let after = self.readers(after);
                let mut lost = self.readers(before);
                lost.retain(|room| !after.contains(room));
                return (lost, after);
            }
        };
        (rooms, Vec::new())
    }

    /// The rooms of those who may read a conversation: as [`Row::is_readable`] says of one of them.
    fn readers(&self, row: &Row) -> Vec<Room> {
        let Scope { rooms, .. } = &*self.scope;
        let mut readers = vec![rooms.whole.clone()];
        let to_all = row.assigned.is_none() || (row.offer.is_some() && row.offer_to.is_none());
        if to_all || self.settings.agent_sees == AgentSees::Workspace {
            readers.push(rooms.agents.clone());
        } else {
            let named = row.assigned.iter().chain(row.offer_to.iter().filter(|_| row.offer.is_some()));
            readers.extend(named.map(|user| self.scope.room_of_user(user)));
        }
        if row.bot_enabled {
            readers.push(rooms.bots.clone());
        }
        readers
    }

    fn joined(&self, conversation: &Arc<str>) -> Vec<Room> {
        let somebody = self.scope.joined.contains_key(conversation);
        somebody.then(|| self.scope.room_of_conversation(conversation)).into_iter().collect()
    }
}

impl Scope {
    /// Whether a namespace has sockets beside these.
    fn has_others(&self, nsp: NspIndex, except: &[SocketRef]) -> bool {
        let is_in = |socket: &&SocketRef| self.seats.get(socket).is_some_and(|seat| seat.nsp == nsp);
        let all = self.counts[usize::from(nsp.0)];
        all > 0 && all > except.iter().filter(is_in).count()
    }
}
