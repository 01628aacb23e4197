//! The groups, their members and their speakers, decided before anybody connects: from the arguments alone, so that all
//! threads agree without a word.

use crate::options::Options;

/// A client of this process, whichever thread it is on.
pub type Global = u32;

/// Clients that receive what is said to them together: the whole namespace, or a room.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Group {
    /// Its members are the `size` clients from this one on, round the end.
    pub first: Global,
    pub size: u32,
}

#[derive(Debug)]
pub struct Plan {
    /// The groups are rooms that are joined; otherwise the one group is the namespace.
    pub rooms: bool,
    /// Which event says something to a group.
    pub event: String,
    pub join_event: String,
    pub groups: Vec<Group>,
    /// Speakers of each group.
    pub senders: u32,
    /// Of each client, in ascending order.
    pub memberships: Vec<Vec<u32>>,
    /// First client of each thread, and the number of clients at the end.
    starts: Vec<Global>,
    /// Names of the groups under which their latencies are told apart; empty: they are not.
    pub labels: Vec<String>,
}

impl Plan {
    /// The whole namespace is one group.
    pub fn namespace(options: &Options) -> Plan {
        let whole = Group { first: 0, size: options.clients };
        Plan { rooms: false, event: options.bcast_event.clone(), ..Plan::of(options, vec![whole]) }
    }

    /// `--rooms` of `--room-size`: they follow each other round the clients, so everybody is in as many, give or take one.
    pub fn many_rooms(options: &Options) -> Plan {
        let size = options.rooms.room_size.min(options.clients);
        let first = |room: u32| (u64::from(room) * u64::from(size) % u64::from(options.clients)) as Global;
        Plan::of(options, (0..options.rooms.rooms).map(|room| Group { first: first(room), size }).collect())
    }

    /// A room of each size of `--room-sizes`, one after the other.
    pub fn room_sizes(options: &Options) -> Plan {
        let mut first = 0;
        let groups = options.rooms.room_sizes.iter().map(|size| {
            let group = Group { first, size: (*size).min(options.clients) };
            first = (first + group.size) % options.clients;
            group
        });
        let groups: Vec<_> = groups.collect();
        let labels = groups.iter().map(|group| format!("room of {}", group.size)).collect();
        Plan { labels, ..Plan::of(options, groups) }
    }

    fn of(options: &Options, groups: Vec<Group>) -> Plan {
        let mut memberships = vec![Vec::new(); options.clients as usize];
        for (number, group) in groups.iter().enumerate() {
            let members = (0..group.size).map(|nth| (group.first + nth) % options.clients);
            members.for_each(|client| memberships[client as usize].push(number as u32));
        }
        let mut starts = vec![0];
        for thread in 0..options.threads {
            starts.push(starts[thread as usize] + options.clients_of(thread));
        }
        let event = options.rooms.room_event.clone();
        let (join_event, senders) = (options.rooms.join_event.clone(), options.rooms.senders);
        Plan { rooms: true, event, join_event, groups, senders, memberships, starts, labels: Vec::new() }
    }

    /// Every pair of a group and a speaker has a number; a group of fewer members than speakers leaves some unused.
    pub fn channels(&self) -> u32 {
        self.groups.len() as u32 * self.senders
    }

    /// The channels whose speaker is on a thread, each with that speaker, spread evenly over its group.
    pub fn spoken_on(&self, thread: u32) -> Vec<(u32, Global)> {
        let mine = self.starts[thread as usize]..self.starts[thread as usize + 1];
        let clients = self.memberships.len() as u32;
        let of = |(number, group): (usize, &Group)| {
            let group = *group;
            let (senders, number) = (self.senders.min(group.size), number as u32);
            let stride = group.size / senders.max(1);
            (0..senders).map(move |nth| (number * self.senders + nth, (group.first + nth * stride) % clients))
        };
        let all = self.groups.iter().enumerate().flat_map(of);
        all.filter(|(_, sender)| mine.contains(sender)).collect()
    }

    pub fn group_of(&self, channel: u32) -> u32 {
        channel / self.senders
    }

    pub fn room_name(&self, group: u32) -> String {
        format!("r{group}")
    }

    /// First client of a thread.
    pub fn start_of(&self, thread: u32) -> Global {
        self.starts[thread as usize]
    }

    pub fn threads(&self) -> usize {
        self.starts.len() - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(arguments: &[&str]) -> Options {
        Options::of(arguments)
    }

    #[test]
    fn rooms_follow_each_other_round_the_clients() {
        let plan = Plan::many_rooms(&options(&["--clients", "6", "--rooms", "4", "--room-size", "4"]));
        assert_eq!(plan.groups.iter().map(|group| group.first).collect::<Vec<_>>(), [0, 4, 2, 0]);
        assert_eq!(
            plan.memberships,
            [vec![0, 1, 3], vec![0, 1, 3], vec![0, 2, 3], vec![0, 2, 3], vec![1, 2], vec![1, 2]]
        );
    }

    #[test]
    fn every_channel_has_one_speaker_who_is_a_member() {
        let options = options(&["--clients", "10", "--threads", "3", "--room-sizes", "1,3,30", "--senders", "2"]);
        let plan = Plan::room_sizes(&options);
        let mut all: Vec<_> = (0..3).flat_map(|thread| plan.spoken_on(thread)).collect();
        all.sort_unstable();
        assert_eq!(all, [(0, 0), (2, 1), (3, 2), (4, 4), (5, 9)], "a room of one has one speaker");
        for (channel, sender) in all {
            assert!(plan.memberships[sender as usize].contains(&plan.group_of(channel)), "{channel}");
        }
    }

    #[test]
    fn the_namespace_is_one_group_of_all() {
        let plan = Plan::namespace(&options(&["--clients", "4", "--threads", "2"]));
        assert_eq!((plan.rooms, plan.channels(), plan.start_of(1)), (false, 1, 2));
        assert_eq!((plan.spoken_on(0), plan.spoken_on(1)), (vec![(0, 0)], vec![]));
    }
}
