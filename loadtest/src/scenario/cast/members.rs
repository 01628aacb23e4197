//! The receivers of one thread: of which groups each is, and what it saw of their channels.

use super::ClientId;
use super::board::Board;
use crate::sequence::{Seen, Sequence};

/// Of every client, in ascending order of groups.
pub(super) struct Members(Vec<Vec<Member>>);

/// What one client saw of one group: a sequence for each of its channels.
pub(super) struct Member {
    pub group: u32,
    pub sequences: Vec<Sequence>,
}

impl Members {
    pub(super) fn new(clients: u32) -> Members {
        Members((0..clients).map(|_| Vec::new()).collect())
    }

    /// It receives what is said to the group from now on.
    pub(super) fn enter(&mut self, client: ClientId, group: u32, board: &Board) {
        let sequences = board.enter(group).into_iter().map(Sequence::from).collect();
        let members = &mut self.0[client.0 as usize];
        let at = members.partition_point(|member| member.group < group);
        members.insert(at, Member { group, sequences });
    }

    pub(super) fn contain(&self, client: ClientId, group: u32) -> bool {
        self.0[client.0 as usize].binary_search_by_key(&group, |member| member.group).is_ok()
    }

    /// It is in no group any more; those it was in.
    pub(super) fn remove(&mut self, client: ClientId) -> Vec<Member> {
        std::mem::take(&mut self.0[client.0 as usize])
    }

    /// A number of the `nth` channel of a group reached a client; `None` if that is no member.
    pub(super) fn on(&mut self, client: ClientId, group: u32, nth: u32, number: u64) -> Option<Seen> {
        let members = &mut self.0[client.0 as usize];
        let at = members.binary_search_by_key(&group, |member| member.group).ok()?;
        Some(members[at].sequences[nth as usize].on(number))
    }

    pub(super) fn count(&self) -> u64 {
        self.0.iter().map(|groups| groups.len() as u64).sum()
    }

    /// Of all that was sent, what members have not got.
    pub(super) fn missing(&self, board: &Board) -> u64 {
        let of = |member: &Member| {
            let channels = member.group * board.plan.senders..;
            let sequences = member.sequences.iter().zip(channels);
            sequences.map(|(sequence, channel)| sequence.missing(board.sent(channel))).sum::<u64>()
        };
        self.0.iter().flatten().map(of).sum()
    }
}
