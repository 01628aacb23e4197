//! What all threads know of the broadcasts on their way: for each channel a window of numbers, each with the receivers
//! that do not have it yet. The thread of a channel's speaker hears when one is complete.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::Sender;
use std::sync::{Arc, OnceLock};

use mio::Waker;

use super::plan::Plan;
use crate::clock::Nanos;

/// Broadcasts of one channel on their way at most, in an open loop too; powers of two. All channels together have about
/// `WINDOWS_TOTAL`, or what the closed loop needs.
const WINDOW_MAX: u64 = 4_096;
const WINDOW_MIN: u64 = 16;
const WINDOWS_TOTAL: u64 = 1 << 18;

pub(super) struct Board {
    pub plan: Plan,
    /// See [`super::payload::Stamp`].
    pub run: u32,
    window: u64,
    channels: Vec<Channel>,
    /// Members that are there, of each group.
    receivers: Vec<AtomicI64>,
    /// `window` of each channel.
    slots: Vec<Slot>,
    /// Of each thread: where it is told of channels that may go on.
    doors: Vec<Door>,
    /// Of each channel: the thread of its speaker.
    owners: Vec<u32>,
}

#[derive(Default)]
struct Channel {
    sent: AtomicU64,
    completed: AtomicU64,
}

/// One broadcast on its way.
#[derive(Default)]
struct Slot {
    intended: AtomicU64,
    /// Receivers that do not have it yet.
    left: AtomicI64,
}

struct Door {
    channels: Sender<u32>,
    waker: OnceLock<Arc<Waker>>,
}

impl Board {
    /// `in_flight` broadcasts of each channel in a closed loop; one of the `doors` for each thread.
    pub(super) fn new(plan: Plan, in_flight: u32, doors: Vec<Sender<u32>>) -> Board {
        let channels = plan.channels() as usize;
        let share = (WINDOWS_TOTAL / channels.max(1) as u64).clamp(WINDOW_MIN, WINDOW_MAX).next_power_of_two();
        let window = share.max(u64::from(in_flight).next_power_of_two());
        let mut owners = vec![0; channels];
        for thread in 0..plan.threads() as u32 {
            plan.spoken_on(thread).into_iter().for_each(|(channel, _)| owners[channel as usize] = thread);
        }
        Board {
            run: crate::scenario::kind::random(),
            window,
            channels: (0..channels).map(|_| Channel::default()).collect(),
            receivers: plan.groups.iter().map(|_| AtomicI64::new(0)).collect(),
            slots: (0..channels as u64 * window).map(|_| Slot::default()).collect(),
            owners,
            doors: doors.into_iter().map(|channels| Door { channels, waker: OnceLock::new() }).collect(),
            plan,
        }
    }

    /// A thread can be woken from now on.
    pub(super) fn open_door(&self, thread: u32, waker: Arc<Waker>) {
        // Set once; a second start does not happen.
        let _ = self.doors[thread as usize].waker.set(waker);
    }

    fn slot(&self, channel: u32, number: u64) -> &Slot {
        &self.slots[(u64::from(channel) * self.window + number % self.window) as usize]
    }

    pub(super) fn sent(&self, channel: u32) -> u64 {
        self.channels[channel as usize].sent.load(Relaxed)
    }

    pub(super) fn completed(&self, channel: u32) -> u64 {
        self.channels[channel as usize].completed.load(Relaxed)
    }

    pub(super) fn on_their_way(&self, channel: u32) -> u64 {
        self.sent(channel) - self.completed(channel)
    }

    /// An open loop may send no further.
    pub(super) fn is_full(&self, channel: u32) -> bool {
        self.on_their_way(channel) >= self.window
    }

    pub(super) fn intended(&self, channel: u32, number: u64) -> Nanos {
        self.slot(channel, number).intended.load(Relaxed)
    }

    /// The number of a new broadcast. Only the thread of the channel's speaker calls this.
    pub(super) fn depart(&self, channel: u32, intended: Nanos) -> u64 {
        let number = self.sent(channel);
        let slot = self.slot(channel, number);
        slot.intended.store(intended, Relaxed);
        slot.left.store(self.receivers[self.plan.group_of(channel) as usize].load(Relaxed), Relaxed);
        self.channels[channel as usize].sent.store(number + 1, Relaxed);
        number
    }

    /// One receiver has it; whether it was the last.
    pub(super) fn arrive(&self, channel: u32, number: u64) -> bool {
        let last = self.slot(channel, number).left.fetch_sub(1, Relaxed) == 1;
        if last {
            self.channels[channel as usize].completed.fetch_add(1, Relaxed);
        }
        last
    }

    /// Tells the thread of a channel's speaker that it may go on.
    pub(super) fn notify(&self, channel: u32) {
        let door = &self.doors[self.owners[channel as usize] as usize];
        // A thread that has ended hears nothing, and need not; one that has not started looks when it does.
        if door.channels.send(channel).is_ok()
            && let Some(waker) = door.waker.get()
        {
            let _ = waker.wake();
        }
    }

    /// Nobody waits for what is on its way in a channel any more; how many broadcasts that were.
    pub(super) fn give_up(&self, channel: u32) -> u64 {
        let sent = self.sent(channel);
        let open = (sent.saturating_sub(self.window)..sent).filter(|number| {
            // Far below zero: those that still arrive do not complete it a second time.
            self.slot(channel, *number).left.swap(i64::MIN / 2, Relaxed) > 0
        });
        let count = open.count() as u64;
        self.channels[channel as usize].completed.fetch_add(count, Relaxed);
        count
    }

    /// A member of a group is there: the numbers it will see first, of each of its channels.
    pub(super) fn enter(&self, group: u32) -> Vec<u64> {
        self.receivers[group as usize].fetch_add(1, Relaxed);
        self.channels_of(group).map(|channel| self.sent(channel)).collect()
    }

    /// A member is gone that would have seen `next` of each channel: what is on its way need not reach it. Gives back
    /// the channels that this completed something in.
    pub(super) fn exit(&self, group: u32, next: impl Iterator<Item = u64>) -> Vec<u32> {
        self.receivers[group as usize].fetch_sub(1, Relaxed);
        let moved = self.channels_of(group).zip(next).filter(|(channel, next)| {
            let sent = self.sent(*channel);
            let open = (*next).max(sent.saturating_sub(self.window))..sent;
            open.fold(false, |any, number| self.arrive(*channel, number) | any)
        });
        moved.map(|(channel, _)| channel).collect()
    }

    fn channels_of(&self, group: u32) -> std::ops::Range<u32> {
        group * self.plan.senders..(group + 1) * self.plan.senders
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Options;

    fn board() -> Board {
        let options = Options::of(&["--clients", "4", "--rooms", "2", "--room-size", "2", "--senders", "2"]);
        Board::new(Plan::many_rooms(&options), 1, Vec::new())
    }

    #[test]
    fn a_broadcast_is_complete_when_the_last_receiver_has_it() {
        let board = board();
        assert_eq!((board.enter(0), board.enter(0)), (vec![0, 0], vec![0, 0]));
        let (first, second, other) = (board.depart(1, 1), board.depart(1, 1), board.depart(0, 1));
        assert_eq!((first, second, other), (0, 1, 0), "each channel has numbers of its own");
        assert_eq!((board.arrive(1, first), board.on_their_way(1)), (false, 2));
        assert_eq!((board.arrive(1, second), board.arrive(1, second), board.on_their_way(1)), (false, true, 1));
        assert_eq!((board.arrive(1, first), board.on_their_way(1), board.on_their_way(0)), (true, 0, 1));
    }

    #[test]
    fn what_was_given_up_does_not_complete_later() {
        let board = board();
        (0..2).for_each(|_| drop(board.enter(0)));
        let number = board.depart(0, 1);
        board.arrive(0, number);
        assert_eq!((board.give_up(0), board.on_their_way(0)), (1, 0));
        assert_eq!((board.arrive(0, number), board.give_up(0), board.on_their_way(0)), (false, 0, 0));
    }

    #[test]
    fn who_leaves_is_not_waited_for() {
        let board = board();
        (0..2).for_each(|_| drop(board.enter(1)));
        let number = board.depart(2, 1);
        assert!(!board.arrive(2, number));
        assert_eq!(board.exit(1, [0, 0].into_iter()), [2]);
        assert_eq!(board.on_their_way(2), 0);
        board.depart(2, 1);
        assert!(board.arrive(2, 1), "one receiver is left");
    }
}
