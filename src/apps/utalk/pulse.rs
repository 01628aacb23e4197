//! How the process is doing: what each shard counts between two ticks, and what one home makes of all of them together. Pure; a
//! tick travels from the shards to that home, which tells `/admin` and judges the alerts.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::base::time::{Millis, WallMillis};

/// What one shard has counted since its last tick, and how many sockets it serves now.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(super) struct Tick {
    /// Which shard says so: its last word about `active` replaces the one before.
    pub shard: u64,
    pub active: u64,
    pub opened: u64,
    pub events: u64,
    pub errors: Errors,
    pub latencies: Latencies,
}

/// Errors by what they are about.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(super) struct Errors {
    /// A CONNECT that was refused.
    pub connection: u64,
    /// An event that was refused.
    pub message: u64,
    /// A socket that did not answer its pings, or a provider that did not answer in time.
    pub timeout: u64,
}

impl Errors {
    fn add(&mut self, other: Errors) {
        self.connection += other.connection;
        self.message += other.message;
        self.timeout += other.timeout;
    }

    fn total(self) -> u64 {
        self.connection + self.message + self.timeout
    }
}

/// How long events took from their coming until their reply was queued, by buckets: exact below 64 ms, within 3 % above.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(super) struct Latencies {
    /// Bucket and count, ascending.
    counts: Vec<(u16, u64)>,
    sum_ms: u64,
    count: u64,
}

impl Latencies {
    /// One more event.
    pub(super) fn add(&mut self, millis: u64) {
        self.put(bucket(millis), 1);
        self.sum_ms += millis.min(LATENCY_MS_MAX);
        self.count += 1;
    }

    fn merge(&mut self, other: &Latencies) {
        for (bucket, count) in &other.counts {
            self.put(*bucket, *count);
        }
        self.sum_ms += other.sum_ms;
        self.count += other.count;
    }

    fn put(&mut self, bucket: u16, count: u64) {
        match self.counts.binary_search_by_key(&bucket, |(at, _)| *at) {
            Ok(index) => self.counts[index].1 += count,
            Err(index) => self.counts.insert(index, (bucket, count)),
        }
    }

    /// The value that so many thousandths are not above; 0 of nothing.
    fn percentile(&self, thousandths: u64) -> u64 {
        let wanted = (self.count * thousandths).div_ceil(1_000);
        let mut seen = 0;
        for (bucket, count) in &self.counts {
            seen += count;
            if seen >= wanted {
                return lowest(*bucket);
            }
        }
        0
    }

    fn average(&self) -> u64 {
        self.sum_ms.checked_div(self.count).unwrap_or(0)
    }
}

/// What the one home knows of all shards.
#[derive(Debug)]
pub(super) struct Pulse {
    /// The last word of each shard about its sockets.
    active: Vec<(u64, u64)>,
    /// Sockets since the start.
    total: u64,
    errors: Errors,
    /// One slot a second, the newest last; as many as the longest window has.
    slots: VecDeque<Slot>,
    window_s: u64,
}

#[derive(Debug, Default)]
struct Slot {
    second: u64,
    opened: u64,
    events: u64,
    errors: u64,
    latencies: Latencies,
}

/// `metrics:update`.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Update {
    pub timestamp: String,
    pub connections: Connections,
    pub events: Events,
    pub latency: Latency,
    pub errors: Errors,
}

/// Sockets of all namespaces.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub(super) struct Connections {
    pub active: u64,
    /// Since the start; it only grows.
    pub total: u64,
}

/// Events of clients, refused ones as well.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Events {
    pub per_second: f64,
    pub per_minute: u64,
}

/// Milliseconds, of the events of a minute.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub(super) struct Latency {
    pub average: u64,
    pub p95: u64,
    pub p99: u64,
}

impl Pulse {
    /// Knows new sockets for the trailing `spike_window_s`, and everything else for a minute.
    pub(super) fn new(spike_window_s: u64) -> Pulse {
        let window_s = spike_window_s.max(MINUTE_S);
        Pulse { active: Vec::new(), total: 0, errors: Errors::default(), slots: VecDeque::new(), window_s }
    }

    /// Takes in what a shard has counted.
    pub(super) fn take(&mut self, now: Millis, tick: &Tick) {
        match self.active.iter_mut().find(|(shard, _)| *shard == tick.shard) {
            Some((_, active)) => *active = tick.active,
            None => self.active.push((tick.shard, tick.active)),
        }
        self.total += tick.opened;
        self.errors.add(tick.errors);
        let second = now.0 / 1_000;
        if self.slots.back().is_none_or(|slot| slot.second < second) {
            self.slots.push_back(Slot { second, ..Slot::default() });
        }
        while self.slots.front().is_some_and(|slot| slot.second + self.window_s <= second) {
            self.slots.pop_front();
        }
        if let Some(slot) = self.slots.back_mut() {
            slot.opened += tick.opened;
            slot.events += tick.events;
            slot.errors += tick.errors.total();
            slot.latencies.merge(&tick.latencies);
        }
    }

    /// As `/admin` is told.
    pub(super) fn update(&self, now: Millis, at: WallMillis) -> Update {
        let minute = self.latencies(now);
        let per_minute = self.events(now);
        // The last second that is over: the one that runs is not whole yet.
        let second = now.0 / 1_000;
        let per_second = self.slots.iter().rev().find(|slot| slot.second + 1 == second).map_or(0, |slot| slot.events);
        Update {
            timestamp: at.to_string(),
            connections: Connections { active: self.active.iter().map(|(_, active)| active).sum(), total: self.total },
            events: Events { per_second: (per_second as f64).max(per_minute as f64 / MINUTE_S as f64), per_minute },
            latency: Latency { average: minute.average(), p95: minute.percentile(950), p99: minute.percentile(990) },
            errors: self.errors,
        }
    }

    /// Sockets that have come within the trailing `window_s`.
    pub(super) fn opened(&self, now: Millis, window_s: u64) -> u64 {
        self.within(now, window_s).map(|slot| slot.opened).sum()
    }

    /// The 95th percentile of a minute, in milliseconds.
    pub(super) fn p95(&self, now: Millis) -> u64 {
        self.latencies(now).percentile(950)
    }

    /// The share of errors in the events of a minute; none where there are fewer events than say something.
    pub(super) fn error_rate(&self, now: Millis) -> f64 {
        let (events, errors) = (self.events(now), self.within(now, MINUTE_S).map(|slot| slot.errors).sum::<u64>());
        match events >= ERROR_RATE_EVENTS_MIN {
            true => errors as f64 / events as f64,
            false => 0.0,
        }
    }

    fn events(&self, now: Millis) -> u64 {
        self.within(now, MINUTE_S).map(|slot| slot.events).sum()
    }

    fn latencies(&self, now: Millis) -> Latencies {
        let mut all = Latencies::default();
        self.within(now, MINUTE_S).for_each(|slot| all.merge(&slot.latencies));
        all
    }

    fn within(&self, now: Millis, window_s: u64) -> impl Iterator<Item = &Slot> {
        let second = now.0 / 1_000;
        self.slots.iter().filter(move |slot| slot.second + window_s > second)
    }
}

fn bucket(millis: u64) -> u16 {
    let millis = millis.min(LATENCY_MS_MAX);
    if millis < EXACT_MS {
        return millis as u16;
    }
    // Below each power of two from here on lie 32 buckets of one width.
    let octave = millis.ilog2();
    (EXACT_MS + u64::from(octave - EXACT_MS.ilog2()) * PER_OCTAVE + (millis >> (octave - PER_OCTAVE.ilog2()))
        - PER_OCTAVE) as u16
}

fn lowest(bucket: u16) -> u64 {
    let Some(beyond) = u64::from(bucket).checked_sub(EXACT_MS) else { return u64::from(bucket) };
    (PER_OCTAVE + beyond % PER_OCTAVE) << (beyond / PER_OCTAVE + 1)
}

const MINUTE_S: u64 = 60;
/// Fewer events of a minute say nothing about how many go wrong.
const ERROR_RATE_EVENTS_MIN: u64 = 20;
const EXACT_MS: u64 = 64;
const PER_OCTAVE: u64 = 32;
/// Longer ones count as this long: an hour.
const LATENCY_MS_MAX: u64 = 3_600_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn tick(shard: u64, active: u64, opened: u64, events: u64, errors: u64) -> Tick {
        let errors = Errors { message: errors, ..Errors::default() };
        Tick { shard, active, opened, events, errors, latencies: Latencies::default() }
    }

    #[test]
    fn buckets_are_exact_below_64_ms_and_within_three_percent_above() {
        for millis in (0..5_000).chain([10_000, 59_999, 300_000, LATENCY_MS_MAX, LATENCY_MS_MAX * 9]) {
            let shown = lowest(bucket(millis));
            let millis = millis.min(LATENCY_MS_MAX);
            assert!(shown <= millis && (millis - shown) as f64 <= millis as f64 * 0.0313, "{millis} shows as {shown}");
            assert!(millis >= EXACT_MS || shown == millis, "{millis} shows as {shown}");
        }
        let all: Vec<u16> = (0..100_000).map(bucket).collect();
        assert!(all.is_sorted(), "larger ones never have a smaller bucket");
    }

    #[test]
    fn percentiles_are_of_all_shards_and_of_a_minute() {
        let mut pulse = Pulse::new(60);
        let mut slow = tick(1, 1, 1, 6, 0);
        [10, 10, 10, 10, 10, 250].into_iter().for_each(|millis| slow.latencies.add(millis));
        let mut quick = tick(2, 2, 2, 94, 0);
        (0..94).for_each(|_| quick.latencies.add(2));
        pulse.take(Millis(1_000), &slow);
        pulse.take(Millis(1_500), &quick);
        let update = pulse.update(Millis(2_000), WallMillis(0));
        assert_eq!(update.latency, Latency { average: 4, p95: 10, p99: 10 });
        assert_eq!(update.connections, Connections { active: 3, total: 3 });
        assert_eq!(update.events, Events { per_second: 100.0, per_minute: 100 });
        let later = pulse.update(Millis(61_000), WallMillis(0));
        assert_eq!(later.latency, Latency { average: 0, p95: 0, p99: 0 }, "a minute later it is forgotten");
        assert_eq!(later.connections.active, 3);
    }

    #[test]
    fn sockets_of_a_shard_are_what_it_last_said_and_their_total_only_grows() {
        let mut pulse = Pulse::new(60);
        for (shard, active, opened) in [(1, 10, 10), (2, 5, 5), (1, 3, 0), (2, 6, 1)] {
            pulse.take(Millis(0), &tick(shard, active, opened, 0, 0));
        }
        assert_eq!(pulse.update(Millis(0), WallMillis(0)).connections, Connections { active: 9, total: 16 });
    }

    #[test]
    fn new_sockets_count_within_their_window() {
        let mut pulse = Pulse::new(120);
        pulse.take(Millis(0), &tick(1, 0, 7, 0, 0));
        pulse.take(Millis(90_000), &tick(1, 0, 2, 0, 0));
        assert_eq!(pulse.opened(Millis(90_000), 120), 9);
        assert_eq!(pulse.opened(Millis(90_000), 60), 2);
        assert_eq!(pulse.opened(Millis(125_000), 120), 2);
    }

    #[test]
    fn few_events_say_nothing_about_errors() {
        let mut pulse = Pulse::new(60);
        pulse.take(Millis(0), &tick(1, 0, 0, 19, 19));
        assert!(pulse.error_rate(Millis(0)) < f64::EPSILON);
        pulse.take(Millis(0), &tick(2, 0, 0, 1, 0));
        assert!((pulse.error_rate(Millis(0)) - 0.95).abs() < 1e-9);
        assert!(pulse.error_rate(Millis(60_000)) < f64::EPSILON);
    }

    #[test]
    fn memory_is_bounded_by_the_window() {
        let mut pulse = Pulse::new(60);
        for second in 0..10_000 {
            pulse.take(Millis(second * 1_000), &tick(1, 0, 1, 1, 0));
        }
        assert_eq!(pulse.slots.len(), 60);
    }
}
