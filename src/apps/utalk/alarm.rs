//! The three rules by which operators are alerted, judged once a tick on what the whole process does, and how outside sinks are told.

use serde::Serialize;
use serde_json::{Value, json};

use super::pulse::Pulse;
use super::settings;
use crate::app::kit::alert::Alerts;
use crate::app::settings::{Word, words};
use crate::base::time::{Millis, Now, WallMillis};

words! {
    /// What operators are alerted of.
    #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
    pub(super) enum Rule { HighLatency = "highLatency", ConnectionSpike = "connectionSpike", ErrorRate = "errorRate" }
}

words! {
    /// What has become of a rule.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub(super) enum State { Firing = "firing", Resolved = "resolved" }
}

/// `alert`.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub(super) struct Alert {
    pub rule: &'static str,
    pub state: &'static str,
    pub value: f64,
    pub threshold: f64,
    /// When the condition began.
    pub since: String,
}

/// The rules and what they are at.
#[derive(Debug)]
pub(super) struct Alarm {
    alerts: Alerts<Rule>,
}

impl Alarm {
    pub(super) fn new(settings: &settings::Alerts) -> Alarm {
        Alarm { alerts: Alerts::new(settings.cooldown_s * 1_000) }
    }

    /// What is to be told now: what has held for long enough, and what has ended.
    pub(super) fn judge(&mut self, now: Now, pulse: &Pulse, settings: &settings::Alerts) -> Vec<Alert> {
        let mut told = Vec::new();
        for rule in RULES {
            let (value, threshold, hold_ms) = measure(rule, now.mono, pulse, settings);
            if value > threshold {
                self.alerts.raise(now, rule, hold_ms);
            } else if let Some(since) = self.alerts.resolve(now.mono, &rule) {
                told.push(alert(rule, State::Resolved, value, threshold, since));
            }
        }
        while let Some(raised) = self.alerts.due(now.mono) {
            let (value, threshold, _) = measure(raised.key, now.mono, pulse, settings);
            told.push(alert(raised.key, State::Firing, value, threshold, raised.since));
        }
        told
    }
}

/// What a rule looks at, what it must not be above, and for how long it may.
fn measure(rule: Rule, now: Millis, pulse: &Pulse, settings: &settings::Alerts) -> (f64, f64, u64) {
    match rule {
        Rule::HighLatency => {
            (pulse.p95(now) as f64, settings.high_latency_ms as f64, settings.high_latency_for_s * 1_000)
        }
        Rule::ConnectionSpike => {
            let opened = pulse.opened(now, settings.connection_spike_window_s);
            (opened as f64, settings.connection_spike as f64, 0)
        }
        Rule::ErrorRate => (pulse.error_rate(now), settings.error_rate, settings.error_rate_for_s * 1_000),
    }
}

fn alert(rule: Rule, state: State, value: f64, threshold: f64, since: WallMillis) -> Alert {
    Alert { rule: rule.word(), state: state.word(), value, threshold, since: since.to_string() }
}

/// What Slack's incoming webhook is posted.
pub(super) fn for_slack(alert: &Alert) -> Value {
    json!({"channel": "#ops-alerts", "text": sentence(alert), "rule": alert.rule, "state": alert.state})
}

/// What PagerDuty's events, version 2, are posted.
pub(super) fn for_pagerduty(alert: &Alert, routing_key: &str) -> Value {
    let action = if alert.state == State::Firing.word() { "trigger" } else { "resolve" };
    let payload =
        json!({"summary": sentence(alert), "source": "siod", "severity": "critical", "custom_details": alert});
    json!({"routing_key": routing_key, "event_action": action, "dedup_key": format!("utalk/{}", alert.rule), "payload": payload})
}

fn sentence(alert: &Alert) -> String {
    let Alert { rule, state, value, threshold, since } = alert;
    format!("utalk: {rule} is {state}: {value} (threshold {threshold}), since {since}")
}

const RULES: [Rule; 3] = [Rule::HighLatency, Rule::ConnectionSpike, Rule::ErrorRate];

#[cfg(test)]
mod tests {
    use super::super::pulse::{Errors, Latencies, Tick};
    use super::*;

    const fn at(second: u64) -> Now {
        Now { mono: Millis(second * 1_000), wall: WallMillis(1_755_684_000_000 + second * 1_000) }
    }

    struct Process {
        settings: settings::Alerts,
        pulse: Pulse,
        alarm: Alarm,
    }

    impl Process {
        fn new() -> Process {
            let settings = settings::Alerts::default();
            Process { pulse: Pulse::new(60), alarm: Alarm::new(&settings), settings }
        }

        /// One tick, and what is told: rule, state, value.
        fn tick(
            &mut self,
            second: u64,
            opened: u64,
            (events, errors): (u64, u64),
            latency: u64,
        ) -> Vec<(&'static str, &'static str, f64)> {
            let mut latencies = Latencies::default();
            (0..events).for_each(|_| latencies.add(latency));
            let errors = Errors { message: errors, ..Errors::default() };
            self.pulse.take(at(second).mono, &Tick { shard: 1, active: 0, opened, events, errors, latencies });
            let told = self.alarm.judge(at(second), &self.pulse, &self.settings);
            told.into_iter().map(|alert| (alert.rule, alert.state, alert.value)).collect()
        }
    }

    #[test]
    fn latency_is_told_when_it_has_held_and_once_more_when_it_ends() {
        let mut process = Process::new();
        for second in (0..300).step_by(5) {
            assert_eq!(process.tick(second, 0, (10, 0), 250), [], "second {second}");
        }
        assert_eq!(process.tick(300, 0, (10, 0), 250), [("highLatency", "firing", 248.0)]);
        assert_eq!(process.tick(305, 0, (10, 0), 250), []);
        assert_eq!(process.tick(365, 0, (100, 0), 3), [("highLatency", "resolved", 3.0)]);
        assert_eq!(process.tick(370, 0, (100, 0), 3), []);
    }

    #[test]
    fn a_rule_that_is_broken_for_a_moment_is_not_told() {
        let mut process = Process::new();
        for second in (0..290).step_by(5) {
            assert_eq!(process.tick(second, 0, (10, 0), 250), []);
        }
        assert_eq!(process.tick(355, 0, (200, 0), 3), []);
        for second in (420..715).step_by(5) {
            assert_eq!(process.tick(second, 0, (10, 0), 250), [], "it begins anew: second {second}");
        }
    }

    #[test]
    fn a_spike_is_told_at_once_and_not_again_within_the_cool_down() {
        let mut process = Process::new();
        assert_eq!(process.tick(0, 1_000, (0, 0), 0), []);
        assert_eq!(process.tick(1, 1, (0, 0), 0), [("connectionSpike", "firing", 1_001.0)]);
        assert_eq!(process.tick(61, 0, (0, 0), 0), [("connectionSpike", "resolved", 0.0)]);
        assert_eq!(process.tick(100, 5_000, (0, 0), 0), [], "it is quiet for fifteen minutes");
        assert_eq!(process.tick(200, 0, (0, 0), 0), []);
        assert_eq!(process.tick(962, 2_000, (0, 0), 0), [("connectionSpike", "firing", 2_000.0)]);
    }

    #[test]
    fn errors_are_told_when_their_share_has_held() {
        let mut process = Process::new();
        for second in (0..300).step_by(5) {
            assert_eq!(process.tick(second, 0, (100, 6), 1), []);
        }
        assert_eq!(process.tick(300, 0, (100, 6), 1), [("errorRate", "firing", 0.06)]);
    }

    #[test]
    fn sinks_are_told_in_their_own_words() {
        let alert = alert(Rule::ErrorRate, State::Firing, 0.06, 0.05, at(0).wall);
        let slack = for_slack(&alert);
        assert_eq!([&slack["channel"], &slack["rule"], &slack["state"]], ["#ops-alerts", "errorRate", "firing"]);
        assert_eq!(slack["text"], "utalk: errorRate is firing: 0.06 (threshold 0.05), since 2025-08-20T10:00:00.000Z");
        let page = for_pagerduty(&alert, "key");
        assert_eq!(
            [&page["routing_key"], &page["event_action"], &page["dedup_key"]],
            ["key", "trigger", "utalk/errorRate"]
        );
        let resolved = Alert { state: State::Resolved.word(), ..alert };
        assert_eq!(for_pagerduty(&resolved, "key")["event_action"], "resolve");
    }
}
