//! How the process is doing, told to `/admin` and judged: each shard counts, and says so once a tick to one home of the whole process;
//! that one tells all and alerts. What happens to a sink is counted and holds nobody up.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::Value;

use super::alarm::{Alarm, Alert, Rule, for_pagerduty, for_slack};
use super::pulse::{Pulse, Tick};
use super::settings::Settings;
use super::who::ADMIN;
use crate::app::effect::{Delivery, Effect, Effects, Emission, Target};
use crate::app::fetch::Fetch;
use crate::app::job::{Job, Outcome};
use crate::app::kit::backoff::{Backoff, Growth};
use crate::app::metric::Metric;
use crate::app::note::Note;
use crate::app::route::Method;
use crate::app::settings::Word;
use crate::app::{Context, Home, Token};

/// One shard's part in it; where the process has its home, the whole as well.
pub(super) struct Operation {
    /// What this shard has counted since its last word.
    pub tick: Tick,
    timer: Token,
    /// There, while this shard is the home of the process.
    whole: Option<Whole>,
    posts: BTreeMap<Token, Post>,
    /// Posts that were given up.
    lost: u64,
    /// Alerts that were told, by rule.
    alerts: BTreeMap<&'static str, u64>,
}

struct Whole {
    pulse: Pulse,
    alarm: Alarm,
}

/// One alert on its way to one sink.
struct Post {
    url: String,
    body: Bytes,
    attempts: u32,
    waits: Backoff,
    /// It waits for another try.
    rests: bool,
}

/// Where the process is looked after. No scope has this name: theirs hold two parts.
pub(super) fn home() -> Home {
    Home::Tenant(PROCESS.to_owned())
}

impl Operation {
    /// `timer` is its own; ticks begin with [`Operation::on_started`].
    pub(super) fn new(timer: Token) -> Operation {
        let (posts, alerts) = (BTreeMap::new(), BTreeMap::new());
        Operation { tick: Tick::default(), timer, whole: None, posts, lost: 0, alerts }
    }

    /// The first tick is one interval away.
    pub(super) fn on_started(&mut self, cx: &mut Context<'_>, settings: &Settings, fx: &mut Effects) {
        self.tick.shard = cx.rng.u64();
        fx.push(Effect::Timer { token: self.timer, after_ms: settings.metrics_interval_ms });
    }

    /// Whether this timer is its own: a tick, or a post's next try.
    pub(super) fn on_timer(&mut self, settings: &Settings, token: Token, active: u64, fx: &mut Effects) -> bool {
        if token == self.timer {
            fx.push(Effect::Timer { token, after_ms: settings.metrics_interval_ms });
            self.tick.active = active;
            let next = Tick { shard: self.tick.shard, ..Tick::default() };
            fx.say(home(), TICK, &std::mem::replace(&mut self.tick, next));
            return true;
        }
        match self.posts.get_mut(&token) {
            Some(post) if post.rests => post.send(token, fx),
            Some(_) => {}
            None => return false,
        }
        true
    }

    /// A shard has said what it has counted. When the process's own shard says so, all has been said: everybody is told, and alerts are judged.
    pub(super) fn on_said(
        &mut self,
        cx: &mut Context<'_>,
        settings: &Settings,
        note: &Note,
        mut name: impl FnMut() -> Token,
        fx: &mut Effects,
    ) {
        let Some(tick) = note.read::<Tick>().filter(|_| note.about == TICK) else { return };
        let whole = self.whole.get_or_insert_with(|| Whole {
            pulse: Pulse::new(settings.alerts.connection_spike_window_s),
            alarm: Alarm::new(&settings.alerts),
        });
        whole.pulse.take(cx.now.mono, &tick);
        if tick.shard != self.tick.shard {
            return;
        }
        let update = whole.pulse.update(cx.now.mono, cx.now.wall);
        tell(fx, "metrics:update", &update, Delivery::Latest { key: METRICS_KEY });
        for alert in whole.alarm.judge(cx.now, &whole.pulse, &settings.alerts) {
            tell(fx, "alert", &alert, Delivery::Must);
            tracing::warn!(target: "siod::utalk", rule = alert.rule, state = alert.state, value = alert.value, "an alert");
            *self.alerts.entry(alert.rule).or_default() += 1;
            for (url, body) in sinks(settings, &alert) {
                let body = Bytes::from(body.to_string());
                let mut post = Post { url, body, attempts: 0, waits: Backoff::new(WAITS), rests: true };
                let token = name();
                post.send(token, fx);
                self.posts.insert(token, post);
            }
        }
    }

    /// Whether this outcome is that of a post.
    pub(super) fn on_done(&mut self, cx: &mut Context<'_>, token: Token, outcome: &Outcome, fx: &mut Effects) -> bool {
        let Some(post) = self.posts.get_mut(&token) else { return false };
        let is_taken = matches!(outcome, Outcome::Fetched(Ok(answer)) if (200..300).contains(&answer.status));
        if is_taken {
            self.posts.remove(&token);
        } else if post.attempts >= POST_ATTEMPTS_MAX {
            self.posts.remove(&token);
            self.lost += 1;
            tracing::warn!(target: "siod::utalk", "a sink of alerts has not taken one");
        } else {
            post.rests = true;
            let after_ms = post.waits.failed(cx.now.mono, cx.rng);
            fx.push(Effect::Timer { token, after_ms });
        }
        true
    }
}

impl Operation {
    /// The samples of a scrape.
    pub(super) fn metrics(&self, out: &mut Vec<Metric>) {
        let alerts = self.alerts.iter();
        out.extend(alerts.map(|(rule, count)| Metric::count("utalk_alerts_total", [rule], *count)));
        out.push(Metric::count("utalk_alert_posts_lost_total", [], self.lost));
    }
}

impl Post {
    fn send(&mut self, token: Token, fx: &mut Effects) {
        self.attempts += 1;
        self.rests = false;
        let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        let fetch = Fetch { headers, body: self.body.clone(), ..Fetch::new(Method::Post, &self.url) };
        fx.push(Effect::Job { job: Job::Fetch(fetch), token: Some(token) });
    }
}

/// The sinks that an alert is posted to, and what they are told: Slack of each, PagerDuty of errors.
fn sinks(settings: &Settings, alert: &Alert) -> Vec<(String, Value)> {
    let to = &settings.alerts;
    let slack = (!to.slack_url.is_empty()).then(|| (to.slack_url.clone(), for_slack(alert)));
    let pages = !to.pagerduty_url.is_empty() && alert.rule == Rule::ErrorRate.word();
    let page = pages.then(|| (to.pagerduty_url.clone(), for_pagerduty(alert, to.pagerduty_key.expose())));
    slack.into_iter().chain(page).collect()
}

/// Everybody on `/admin`, of every scope.
fn tell(fx: &mut Effects, event: &str, payload: &impl serde::Serialize, delivery: Delivery) {
    let (target, event) = (Target::all().within(ADMIN), Emission::new(event, payload));
    fx.push(Effect::Emit { target, event, delivery });
}

const PROCESS: &str = "process";
const TICK: &str = "tick";
/// Under which a later update takes the place of one that has not been sent.
const METRICS_KEY: u64 = 1;
const POST_ATTEMPTS_MAX: u32 = 3;
const WAITS: Growth = Growth { base_ms: 500, factor: 4.0, cap_ms: 30_000, jitter: 0.2, stable_ms: 0 };
