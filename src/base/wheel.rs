//! The timer wheel: six levels of 64 slots, one millisecond fine, exact to the millisecond. A timer is a `u32` index
//! into one vector, 32 bytes with its payload; arming, cancelling and firing cost constant time (amortised).
//! Spec of the shape: Varghese and Lauck, "Hashed and Hierarchical Timing Wheels", scheme 7.

use super::ids::Key;
use super::slab::Slab;
use super::time::Millis;

/// Timers that carry a small `T` each. Time only moves forward, by [`Wheel::pop`].
#[derive(Debug)]
pub struct Wheel<T> {
    timers: Slab<Timer<T>>,
    /// First timer of each slot's list, by level and slot.
    heads: [[u32; SLOTS]; LEVELS],
    /// One bit per slot that holds a timer.
    occupied: [u64; LEVELS],
    /// All timers due before this have fired.
    elapsed: u64,
    /// The earliest deadline, when it is known.
    earliest: Option<u64>,
}

/// Names one armed timer; finds nothing once it has fired or was cancelled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TimerKey(Key);

#[derive(Debug)]
struct Timer<T> {
    deadline: u64,
    previous: u32,
    next: u32,
    value: T,
}

const LEVELS: usize = 6;
const SLOTS: usize = 64;
const NONE: u32 = u32::MAX;
/// Deadlines further away are parked at the horizon (2.2 years) and sorted in again when it is reached.
const HORIZON: u64 = 1 << (6 * LEVELS);

impl<T: Copy> Wheel<T> {
    /// A wheel whose time starts at `start`.
    pub fn new(start: Millis) -> Self {
        Wheel {
            timers: Slab::default(),
            heads: [[NONE; SLOTS]; LEVELS],
            occupied: [0; LEVELS],
            elapsed: start.0,
            earliest: None,
        }
    }

    /// Arms a timer. One that is already due fires at the next [`Wheel::pop`].
    pub fn arm(&mut self, deadline: Millis, value: T) -> TimerKey {
        let deadline = deadline.0.max(self.elapsed);
        let first = self.timers.is_empty();
        let key = self.timers.insert(Timer { deadline, previous: NONE, next: NONE, value });
        self.link(key.slot, deadline);
        if first || self.earliest.is_some_and(|earliest| deadline < earliest) {
            self.earliest = Some(deadline);
        }
        TimerKey(key)
    }

    /// Disarms; returns the payload unless the timer has already gone.
    pub fn cancel(&mut self, key: TimerKey) -> Option<T> {
        self.timers.get(key.0)?;
        self.unlink(key.0.slot);
        let timer = self.timers.remove(key.0)?;
        if self.earliest == Some(timer.deadline) {
            self.earliest = None;
        }
        Some(timer.value)
    }

    /// The exact time at which the next timer is due.
    pub fn deadline(&mut self) -> Option<Millis> {
        if self.timers.is_empty() {
            return None;
        }
        if self.earliest.is_none() {
            let (level, slot) = self.first_slot()?;
            self.earliest = self.deadlines(level, slot).min();
        }
        self.earliest.map(Millis)
    }

    /// The next timer due at or before `now`, earliest first; same-millisecond timers in no promised order.
    pub fn pop(&mut self, now: Millis) -> Option<T> {
        loop {
            if self.deadline()?.0 > now.0 {
                return None;
            }
            let (level, slot) = self.first_slot()?;
            if level == 0 {
                return self.fire(slot);
            }
            self.cascade(level, slot);
        }
    }

    pub fn len(&self) -> usize {
        self.timers.len()
    }

    pub fn is_empty(&self) -> bool {
        self.timers.is_empty()
    }

    /// Bytes of the timers, room for more included.
    pub fn reserved_bytes(&self) -> usize {
        self.timers.reserved_bytes()
    }

    fn fire(&mut self, slot: usize) -> Option<T> {
        let index = self.heads[0][slot];
        let key = self.timers.key_at(index)?;
        self.unlink(index);
        let timer = self.timers.remove(key)?;
        self.elapsed = self.elapsed.max(timer.deadline);
        let more_in_this_millisecond = self.occupied[0] & (1 << slot) != 0;
        if !more_in_this_millisecond {
            self.earliest = None;
        }
        Some(timer.value)
    }

    /// Moves the timers of one upper slot down, now that it is the next to come.
    fn cascade(&mut self, level: usize, slot: usize) {
        if let Some(first) = self.deadlines(level, slot).min() {
            // Never past a deadline: everything before the slot's first timer has fired.
            let shift = 6 * level as u32;
            self.elapsed = self.elapsed.max(first >> shift << shift);
        }
        let mut index = self.heads[level][slot];
        self.heads[level][slot] = NONE;
        self.occupied[level] &= !(1 << slot);
        while let Some(timer) = self.timers.at_mut(index) {
            let (deadline, next) = (timer.deadline, timer.next);
            self.link(index, deadline);
            index = next;
        }
    }

    /// The slot whose timers come first: levels are disjoint in time, the lowest occupied one is next.
    fn first_slot(&self) -> Option<(usize, usize)> {
        (0..LEVELS).find(|level| self.occupied[*level] != 0).map(|level| {
            let current = (self.elapsed >> (6 * level)) as u32 & 63;
            let ahead = self.occupied[level].rotate_right(current).trailing_zeros();
            (level, ((current + ahead) & 63) as usize)
        })
    }

    fn deadlines(&self, level: usize, slot: usize) -> impl Iterator<Item = u64> + '_ {
        let first = self.timers.at(self.heads[level][slot]);
        std::iter::successors(first, |timer| self.timers.at(timer.next)).map(|timer| timer.deadline)
    }

    /// Level and slot of a deadline: the highest group of six bits in which it differs from `elapsed`.
    fn place(&self, deadline: u64) -> (usize, usize) {
        let clamped = deadline.min(self.elapsed.saturating_add(HORIZON - 1));
        let differing = (clamped ^ self.elapsed) | 63;
        let level = ((63 - differing.leading_zeros() as usize) / 6).min(LEVELS - 1);
        (level, (clamped >> (6 * level)) as usize & 63)
    }

    fn link(&mut self, index: u32, deadline: u64) {
        let (level, slot) = self.place(deadline);
        let head = std::mem::replace(&mut self.heads[level][slot], index);
        self.occupied[level] |= 1 << slot;
        if let Some(timer) = self.timers.at_mut(head) {
            timer.previous = index;
        }
        if let Some(timer) = self.timers.at_mut(index) {
            timer.previous = NONE;
            timer.next = head;
        }
    }

    fn unlink(&mut self, index: u32) {
        let Some(timer) = self.timers.at(index) else { return };
        let (deadline, previous, next) = (timer.deadline, timer.previous, timer.next);
        if let Some(timer) = self.timers.at_mut(next) {
            timer.previous = previous;
        }
        if let Some(timer) = self.timers.at_mut(previous) {
            timer.next = next;
            return;
        }
        let (level, slot) = self.find_head(index, deadline);
        self.heads[level][slot] = next;
        if next == NONE {
            self.occupied[level] &= !(1 << slot);
        }
    }

    /// Where a list head hangs. It was placed at an earlier `elapsed`, so it may hang one or more levels above
    /// its place of today.
    fn find_head(&self, index: u32, deadline: u64) -> (usize, usize) {
        let (level, slot) = self.place(deadline);
        if self.heads[level][slot] == index {
            return (level, slot);
        }
        (0..LEVELS)
            .flat_map(|level| [(level, (deadline >> (6 * level)) as usize & 63)])
            .find(|(level, slot)| self.heads[*level][*slot] == index)
            .or_else(|| self.search_heads(index))
            .expect("a linked timer without a predecessor is the head of a slot")
    }

    /// Only for a timer that was parked at the horizon.
    fn search_heads(&self, index: u32) -> Option<(usize, usize)> {
        (0..LEVELS)
            .flat_map(|level| (0..SLOTS).map(move |slot| (level, slot)))
            .find(|(level, slot)| self.heads[*level][*slot] == index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;
    use std::collections::BTreeMap;

    #[test]
    fn the_deadline_is_exact_at_every_distance() {
        for distance in [0, 1, 63, 64, 65, 4095, 4096, 25_000, 262_144, 90_000_000, HORIZON - 1, HORIZON + 7] {
            for start in [0, 1, 63, 1000, 987_654_321] {
                let mut wheel = Wheel::new(Millis(start));
                wheel.arm(Millis(start + distance), 'x');
                assert_eq!(wheel.deadline(), Some(Millis(start + distance)));
                if distance > 0 {
                    assert_eq!(wheel.pop(Millis(start + distance - 1)), None);
                }
                assert_eq!(wheel.pop(Millis(start + distance)), Some('x'));
                assert_eq!(wheel.deadline(), None);
            }
        }
    }

    #[test]
    fn a_cancelled_timer_does_not_fire_and_its_key_is_dead() {
        let mut wheel = Wheel::new(Millis(0));
        let early = wheel.arm(Millis(10), 'a');
        wheel.arm(Millis(5000), 'b');
        assert_eq!(wheel.cancel(early), Some('a'));
        assert_eq!(wheel.cancel(early), None);
        assert_eq!(wheel.deadline(), Some(Millis(5000)));
        assert_eq!(wheel.pop(Millis(4999)), None);
        assert_eq!(wheel.pop(Millis(6000)), Some('b'));
    }

    /// The wheel against an ordered map, over random arms, cancels and steps of time.
    #[test]
    fn behaves_as_an_ordered_map() {
        for seed in 0..64 {
            let mut rng = Rng::from_seed([seed; 32]);
            let mut wheel = Wheel::new(Millis(0));
            let mut model: BTreeMap<(u64, u32), TimerKey> = BTreeMap::new();
            let mut now = 0;
            for id in 0..2000u32 {
                let span = 1u32 << rng.below(24);
                let deadline = now + u64::from(rng.below(span));
                model.insert((deadline, id), wheel.arm(Millis(deadline), id));
                if rng.below(3) == 0 {
                    let nth = rng.below(model.len() as u32) as usize;
                    let victim = *model.keys().nth(nth).unwrap();
                    let key = model.remove(&victim).unwrap();
                    assert_eq!(wheel.cancel(key), Some(victim.1), "seed {seed}");
                }
                if rng.below(4) == 0 {
                    let step = 1 << rng.below(16);
                    now += u64::from(rng.below(step));
                    let mut fired = Vec::new();
                    while let Some(id) = wheel.pop(Millis(now)) {
                        fired.push(id);
                    }
                    let later = model.split_off(&(now + 1, 0));
                    let mut due: Vec<u32> =
                        std::mem::replace(&mut model, later).into_keys().map(|(_, id)| id).collect();
                    fired.sort_unstable();
                    due.sort_unstable();
                    assert_eq!(fired, due, "seed {seed}");
                }
                let first = model.keys().next().map(|(deadline, _)| Millis(*deadline));
                assert_eq!(wheel.deadline(), first, "seed {seed}");
            }
        }
    }
}
