//! What an operator may change about utalk: `[apps.utalk]` of the configuration.

use std::collections::BTreeMap;

use crate::app::settings::{
    Access, any, any_text, filled, int, is_plain, list, map, real, rows, secret, secrets, section, settings, switch,
    text, word, words,
};
use crate::base::limit;
use crate::base::secret::Secret;

const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;
const YEAR_S: u64 = 31_536_000;
const MIB: usize = 1 << 20;
const NUMBERS_MAX: usize = 1_024;
const WORDS_MAX: usize = 256;

words! {
    /// Conversations that an agent may read beside its own.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub enum AgentSees {
        /// Those of nobody, and those it is offered.
        Own = "own",
        /// All of its workspace.
        Workspace = "workspace",
    }
}

words! {
    /// How waiting conversations find an agent.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub enum Assignment {
        /// They wait to be taken.
        Off = "off",
        /// The agent with the fewest active ones.
        Lowest = "lowest",
        /// The agent that has had none for longest.
        RoundRobin = "round_robin",
    }
}

words! {
    /// Whether whatsapp's window of 24 hours is kept.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub enum Window {
        /// Unless the provider is loopback.
        Auto = "auto",
        On = "on",
        Off = "off",
    }
}

words! {
    /// The one who answers first.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub enum Bot {
        /// People.
        Off = "off",
        /// A client of role bot.
        Client = "client",
    }
}

words! {
    /// The carrier of whatsapp messages.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub enum ProviderKind {
        /// Nobody: they are sent as soon as they are stored.
        Loopback = "loopback",
        Twilio = "twilio",
        /// WhatsApp Cloud.
        Whatsapp = "whatsapp",
    }
}

settings! {
    /// `[apps.utalk]` without `enabled`.
    pub struct Settings {
        public_url: String = String::new(), text(url),
            "What the daemon is called from outside, such as \"https://chat.example\"; signatures of webhooks and URLs of\nmedia begin with it. Empty: what requests say.";
        default_workspace: String = "default_workspace".to_owned(), text(filled),
            "The workspace of those whose token names none.";
        default_tenant: String = "default_tenant".to_owned(), text(filled), "The tenant of those whose token names none.";
        agent_sees: AgentSees = AgentSees::Own, word(),
            "own: an agent reads its own conversations, those of nobody and those it is offered. workspace: all.";
        strict_ids: bool = false, switch(), "Whether a messageId must be a UUID of version 4.";
        event_bytes_max: usize = MIB, int(1_024..=16 * MIB as u64, "bytes"),
            "Larger events are refused as PAYLOAD_TOO_LARGE.";
        text_chars_max: usize = 4_096, int(1..=65_536, ""), "Characters of a message's text.";
        room_sockets_max: usize = 100, int(1..=100_000, ""),
            "Sockets that may join one conversation; the next is refused as ROOM_FULL.";
        sockets_per_user_max: usize = 10, int(1..=100_000, ""), "Sockets of one user in one namespace.";
        socket_max_events: u32 = 0, int(0..=1_000_000, ""), "Events of one socket a minute, of all names together; 0: no limit.";
        typing_ttl_ms: u64 = 8_000, int(10..=HOUR_MS, "milliseconds"), "Typing that is not repeated stops by itself after this.";
        presence_grace_ms: u64 = 3_000, int(0..=HOUR_MS, "milliseconds"),
            "A user without sockets counts as connected for this long.";
        access_token_ttl_s: u64 = 900, int(1..=YEAR_S, "seconds"), "Life of a token that a login gives.";
        refresh_token_ttl_s: u64 = 604_800, int(1..=10 * YEAR_S, "seconds"), "Life of the token that renews it.";
        sync_retention_h: u64 = 72, int(1..=87_600, "hours"), "An older cursor gets a snapshot instead of what has changed.";
        dedup_days: u32 = 0, int(0..=36_500, "days"), "A messageId is known for this long, whatever becomes of its message; 0: for ever.";
        message_retention_days: u32 = 0, int(0..=36_500, "days"), "What was said in older messages goes, and their files; 0: never.";
        log_retention_days: u32 = 30, int(0..=36_500, "days"), "Older entries of the log of changes of accounts go; 0: never.";
        whatsapp_window: Window = Window::Auto, word(),
            "Whether only templates go out beyond 24 hours after a customer's last message. auto: unless the provider\nis loopback.";
        assignment: Assignment = Assignment::Off, word(),
            "How waiting conversations find an agent: off, lowest (fewest active), round_robin (longest without one).";
        agent_conversations_max: u32 = 10, int(1..=100_000, ""), "Active conversations of one agent.";
        agent_drop_grace_ms: u64 = 60_000, int(10..=DAY_MS, "milliseconds"),
            "With a queue: an agent gone for this long loses its unanswered conversations.";
        bot: Bot = Bot::Off, word(), "Whether new conversations are a bot's (client) or wait for people (off).";
        bot_timeout_ms: u64 = 43_200_000, int(0..=30 * DAY_MS, "milliseconds"),
            "A customer whom the bot has not answered for this long is escalated; 0: never.";
        agent_reply_timeout_ms: u64 = 0, int(0..=30 * DAY_MS, "milliseconds"),
            "A customer whom the assigned agent has not answered for this long is escalated; 0: never.";
        escalation_keywords: Vec<String> = keywords(), list(any_words),
            "Words of a customer that escalate while the bot has the conversation; case and accents do not count.";
        metrics_interval_ms: u64 = 5_000, int(10..=HOUR_MS, "milliseconds"), "metrics:update goes out this often.";
        events_per_minute: BTreeMap<String, u32> = rates(), map(&PER_MINUTE),
            "Events of one socket a minute, by name; default: those that are not named. 0: no limit.";
        numbers: Vec<Number> = Vec::new(), rows::<Number, NUMBERS_MAX>(),
            "Numbers and pages of ours, and the workspace that what reaches them belongs to.";
        provider: Provider = Provider::default(), section(), "Who carries messages of whatsapp conversations.";
        webhooks: Webhooks = Webhooks::default(), section(), "What webhooks have to prove.";
        alerts: Alerts = Alerts::default(), section(), "When operators are alerted, and where.";
        media: Media = Media::default(), section(), "Files of conversations.";
    }
}

settings! {
    /// `[[apps.utalk.numbers]]`.
    pub struct Number {
        number: String, text(filled), "A number of ours in E.164, such as \"+34911222333\", or the id of a page.";
        workspace: String = String::new(), text(any_text), "Empty: default_workspace.";
        tenant: String = String::new(), text(any_text), "Empty: default_tenant.";
        channel: String = "whatsapp".to_owned(), text(filled), "The channel of its conversations.";
    }
}

settings! {
    /// `[apps.utalk.provider]`.
    pub struct Provider {
        kind: ProviderKind = ProviderKind::Loopback, word(), "loopback: nobody. twilio. whatsapp: WhatsApp Cloud.";
        base_url: String = String::new(), text(url), "Where it is asked; empty: where the provider is.";
        account_sid: String = String::new(), text(any_text), "Twilio's account.";
        phone_number_id: String = String::new(), text(any_text), "WhatsApp Cloud's id of our number.";
        token: Secret = Secret::default(), secret(any), "Better kept out of this file: SIOD__APPS__UTALK__PROVIDER__TOKEN=…";
        timeout_ms: u64 = 10_000, int(10..=HOUR_MS, "milliseconds"), "An answer is waited for this long.";
        attempts_max: u32 = 3, int(1..=10, ""), "Attempts in all of what was surely not processed.";
        retry_base_ms: u64 = 500, int(10..=HOUR_MS, "milliseconds"), "Before the second attempt; doubled for each further one.";
        breaker_failures: u32 = 5, int(1..=1_000, ""), "So many failures in a row, and nothing is asked for a while.";
        breaker_open_ms: u64 = 60_000, int(10..=HOUR_MS, "milliseconds"), "For this long.";
    }
}

settings! {
    /// `[apps.utalk.webhooks]`.
    pub struct Webhooks {
        twilio_auth_tokens: Vec<Secret> = Vec::new(), secrets(any), "Tokens that sign Twilio's webhooks; any of them may.";
        twilio_signing_keys: BTreeMap<String, Secret> = BTreeMap::new(), map(&KEY), "Keys of signatures with HMAC-SHA256, by their ids.";
        hub_verify_token: Secret = Secret::default(), secret(any), "What WhatsApp Cloud and Messenger say when they ask whether we are there.";
        hub_app_secrets: Vec<Secret> = Vec::new(), secrets(any), "Secrets that sign their webhooks; any of them may.";
    }
}

settings! {
    /// `[apps.utalk.alerts]`.
    pub struct Alerts {
        high_latency_ms: u64 = 200, int(1..=HOUR_MS, "milliseconds"), "highLatency: the 95th percentile is above this …";
        high_latency_for_s: u64 = 300, int(1..=86_400, "seconds"), "… for this long.";
        connection_spike: u64 = 1_000, int(1..=1_000_000_000, ""), "connectionSpike: more new sockets than this …";
        connection_spike_window_s: u64 = 60, int(1..=86_400, "seconds"), "… within this.";
        error_rate: f64 = 0.05, real(0.0..=1.0, ""), "errorRate: the share of errors among the events of a minute is above this …";
        error_rate_for_s: u64 = 300, int(1..=86_400, "seconds"), "… for this long.";
        cooldown_s: u64 = 900, int(1..=86_400, "seconds"), "A rule is told once within this.";
        slack_url: String = String::new(), text(url), "An incoming webhook of Slack; empty: none.";
        pagerduty_url: String = String::new(), text(url), "PagerDuty's events, version 2; empty: none.";
        pagerduty_key: Secret = Secret::default(), secret(any), "Its routing key.";
    }
}

settings! {
    /// `[apps.utalk.media]`.
    pub struct Media {
        bytes_max: u64 = 104_857_600, int(1_024..=10_737_418_240, "bytes"), "Larger files are refused, of whatever kind.";
        url_ttl_s: u64 = 3_600, int(1..=YEAR_S, "seconds"), "How long a signed URL is good.";
        quota_bytes: u64 = 10_737_418_240, int(1_048_576..=1_125_899_906_842_624, "bytes"), "All files together; above it the oldest go.";
        fetch_hosts: Vec<String> = Vec::new(), list(any_words), "Hosts beside public ones from which files of inbound messages are fetched.";
    }
}

impl Settings {
    /// Hosts that may be asked wherever they lead.
    pub(super) fn hosts(&self) -> Vec<String> {
        let named = [&self.provider.base_url, &self.alerts.slack_url, &self.alerts.pagerduty_url];
        named.into_iter().chain(&self.media.fetch_hosts).filter(|host| !host.is_empty()).cloned().collect()
    }

    /// How often an event may come, by its name; 0: as often as it likes.
    pub(super) fn per_minute(&self, event: &str) -> u32 {
        let named = self.events_per_minute.get(event).or_else(|| self.events_per_minute.get(DEFAULT));
        named.copied().unwrap_or(0)
    }

    /// Whether whatsapp's window is kept.
    pub(super) fn keeps_window(&self) -> bool {
        match self.whatsapp_window {
            Window::Auto => self.provider.kind != ProviderKind::Loopback,
            Window::On => true,
            Window::Off => false,
        }
    }
}

/// The name under which the rate of all unnamed events stands.
const DEFAULT: &str = "default";
const PER_MINUTE: Access<u32> = int(0..=1_000_000, "");
const KEY: Access<Secret> = secret(any);

fn rates() -> BTreeMap<String, u32> {
    [("message:send", 60), ("typing:start", 120), ("sync:state", 10), (DEFAULT, 100)]
        .map(|(event, rate)| (event.to_owned(), rate))
        .into()
}

fn keywords() -> Vec<String> {
    ["urgente", "problema", "queja"].map(str::to_owned).into()
}

fn any_words(at: &mut Vec<String>, list: Vec<String>) -> Result<(), String> {
    let is_word = |word: &String| (1..=limit::NAME_BYTES_MAX).contains(&word.len());
    match list.len() <= WORDS_MAX && list.iter().all(is_word) {
        true => any(at, list),
        false => Err(format!("must be a list of at most {WORDS_MAX} words of 1 to {} bytes", limit::NAME_BYTES_MAX)),
    }
}

/// Without a slash at its end.
fn url(at: &mut String, text: &str) -> Result<(), String> {
    let is_url = is_plain(text) && (text.starts_with("https://") || text.starts_with("http://"));
    match text.is_empty() || is_url {
        true => any_text(at, text.trim_end_matches('/')),
        false => Err("must be empty or begin with http:// or https://".to_owned()),
    }
}
