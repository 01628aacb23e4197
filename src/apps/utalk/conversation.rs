//! A conversation as it is on disk: its row, who may read and write it, and how clients see it.

use std::sync::Arc;

use serde::Serialize;
use serde_json::value::RawValue;

use super::message::raw;
use super::settings::{AgentSees, Settings};
use super::who::{Role, Who};
use crate::app::settings::{Word, words};
use crate::base::time::WallMillis;

words! {
    /// What a conversation is at.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub(crate) enum Status { Open = "open", Pending = "pending", Closed = "closed", Escalated = "escalated" }
}

words! {
    /// How urgent it is.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub(crate) enum Priority { Low = "low", Medium = "medium", High = "high", Urgent = "urgent" }
}

/// A row of `ut_conversations`.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Row {
    pub id: Arc<str>,
    pub channel: Arc<str>,
    /// Numbers, the customer's and ours; empty where the id names none.
    pub customer: Arc<str>,
    pub ours: Arc<str>,
    pub status: Status,
    /// The agent it is assigned to, by id.
    pub assigned: Option<Arc<str>>,
    pub assigned_at: Option<WallMillis>,
    pub bot_enabled: bool,
    pub customer_name: Option<Arc<str>>,
    pub priority: Priority,
    /// JSON list of texts.
    pub tags: Arc<str>,
    pub last_seq: u64,
    /// Inbound messages so far.
    pub last_inbound: u64,
    /// How far it has been read by anybody: the message, and how many inbound ones that is.
    pub read_seq: u64,
    pub read_inbound: u64,
    /// Grows with whatever `conversation:updated` tells.
    pub rev: u64,
    /// The scope's number of its last change.
    pub change: u64,
    /// `{id, text, sender, type, direction, createdAt}` as JSON.
    pub last_message: Option<Arc<str>>,
    pub last_inbound_at: Option<WallMillis>,
    /// Since when a customer waits for an answer.
    pub unanswered_at: Option<WallMillis>,
    /// It was an agent's who has gone: it is before others that wait.
    pub ahead: bool,
    /// The pending escalation, and whom it is offered to; nobody: anybody.
    pub offer: Option<Arc<str>>,
    pub offer_to: Option<Arc<str>>,
    pub created_at: WallMillis,
    pub updated_at: WallMillis,
}

impl Row {
    /// A conversation that begins now, as it is before its first message.
    pub(crate) fn new(id: &Arc<str>, settings: &Settings, now: WallMillis) -> Row {
        let parties = Parties::of(id, settings);
        Row {
            id: id.clone(),
            channel: parties.channel,
            customer: parties.customer,
            ours: parties.ours,
            status: Status::Open,
            assigned: None,
            assigned_at: None,
            bot_enabled: true,
            customer_name: None,
            priority: Priority::Medium,
            tags: "[]".into(),
            last_seq: 0,
            last_inbound: 0,
            read_seq: 0,
            read_inbound: 0,
            rev: 0,
            change: 0,
            last_message: None,
            last_inbound_at: None,
            unanswered_at: None,
            ahead: false,
            offer: None,
            offer_to: None,
            created_at: now,
            updated_at: now,
        }
    }

    /// Inbound messages that nobody has read.
    pub(crate) fn unread(&self) -> u64 {
        self.last_inbound.saturating_sub(self.read_inbound)
    }

    /// When whatsapp's window closes.
    pub(crate) fn window_expires_at(&self) -> Option<WallMillis> {
        let at = self.last_inbound_at.filter(|_| &*self.channel == WHATSAPP)?;
        Some(WallMillis(at.0 + WINDOW_MS))
    }

    /// Whether only a template may go out now.
    pub(super) fn is_outside_window(&self, settings: &Settings, now: WallMillis) -> bool {
        let is_open = self.window_expires_at().is_some_and(|end| now < end);
        settings.keeps_window() && &*self.channel == WHATSAPP && !is_open
    }

    /// Whether somebody may read it.
    pub(super) fn is_readable(&self, who: &Who, settings: &Settings) -> bool {
        match who.role {
            Role::Admin | Role::Service => true,
            Role::Bot => self.bot_enabled,
            Role::Agent | Role::Viewer => {
                settings.agent_sees == AgentSees::Workspace
                    || self.assigned.as_ref().is_none_or(|agent| *agent == who.user)
                    || self.is_offered_to(&who.user)
            }
        }
    }

    /// Whether somebody may write to it.
    pub(super) fn is_writable(&self, who: &Who, settings: &Settings) -> bool {
        who.role != Role::Viewer && self.is_readable(who, settings)
    }

    /// Whether a pending escalation may be accepted by this user.
    pub(super) fn is_offered_to(&self, user: &Arc<str>) -> bool {
        self.offer.is_some() && self.offer_to.as_ref().is_none_or(|agent| agent == user)
    }

    /// As clients see it, with this many unread messages.
    pub(super) fn shown(&self, unread: u64) -> Shown<'_> {
        let both = [&*self.customer, &*self.ours].into_iter().filter(|number| !number.is_empty());
        Shown {
            id: &self.id,
            participants: both.collect(),
            status: self.status.word(),
            channel: &self.channel,
            assigned_agent: self.assigned.as_deref(),
            bot_enabled: self.bot_enabled,
            customer_name: self.customer_name.as_deref(),
            priority: self.priority.word(),
            tags: raw(&self.tags),
            last_message: self.last_message.as_deref().and_then(raw),
            unread_count: unread,
            message_count: self.last_seq,
            window_expires_at: self.window_expires_at().map(|at| at.to_string()),
            created_at: self.created_at.to_string(),
            updated_at: self.updated_at.to_string(),
            rev: self.rev,
        }
    }
}

/// A conversation in an event or a reply.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Shown<'a> {
    id: &'a str,
    participants: Vec<&'a str>,
    status: &'static str,
    channel: &'a str,
    assigned_agent: Option<&'a str>,
    bot_enabled: bool,
    customer_name: Option<&'a str>,
    priority: &'static str,
    tags: Option<&'a RawValue>,
    last_message: Option<&'a RawValue>,
    unread_count: u64,
    message_count: u64,
    window_expires_at: Option<String>,
    created_at: String,
    updated_at: String,
    rev: u64,
}

/// How far somebody has read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Horizon {
    pub seq: u64,
    pub inbound: u64,
    pub at: WallMillis,
}

/// What an id says of its conversation.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Parties {
    pub channel: Arc<str>,
    pub customer: Arc<str>,
    pub ours: Arc<str>,
}

impl Parties {
    /// `conv_<customer>_<ours>`, each in E.164: the customer is the one that is none of our numbers, else the first. Any other id is one of
    /// the web, unless its second part is a page of ours: `conv_<customer>_<page>`.
    pub(super) fn of(id: &str, settings: &Settings) -> Parties {
        let numbers = id.strip_prefix("conv_").and_then(|rest| rest.split_once('_'));
        let page = |ours: &str| settings.numbers.iter().find(|row| row.number == ours && !is_number(ours));
        if let Some((customer, page)) = numbers.and_then(|(customer, ours)| Some((customer, page(ours)?))) {
            let (channel, ours) = (page.channel.as_str().into(), page.number.as_str().into());
            return Parties { channel, customer: customer.into(), ours };
        }
        let Some((first, second)) = numbers.filter(|(first, second)| is_number(first) && is_number(second)) else {
            return Parties { channel: WEB.into(), customer: "".into(), ours: "".into() };
        };
        let ours = |number: &str| settings.numbers.iter().find(|row| row.number == number);
        let (customer, our) =
            if ours(first).is_some() && ours(second).is_none() { (second, first) } else { (first, second) };
        let channel = ours(our).map_or(WHATSAPP, |row| row.channel.as_str());
        Parties { channel: channel.into(), customer: customer.into(), ours: our.into() }
    }
}

fn is_number(text: &str) -> bool {
    text.strip_prefix('+').is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The channel that a provider carries.
pub(super) const WHATSAPP: &str = "whatsapp";
/// The channel of conversations that nobody outside has part in.
pub(super) const WEB: &str = "web";
const WINDOW_MS: u64 = 86_400_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apps::utalk::settings::Number;

    #[test]
    fn an_id_says_who_talks() {
        let number = |number: &str| Number { number: number.into(), ..Number::default() };
        let page = Number { channel: "facebook".into(), ..number("100200") };
        let settings = Settings { numbers: vec![number("+9"), number("+8"), page], ..Settings::default() };
        for (id, channel, customer, ours) in [
            ("conv_+1_+2", "whatsapp", "+1", "+2"),
            ("conv_+1_+9", "whatsapp", "+1", "+9"),
            ("conv_+9_+1", "whatsapp", "+1", "+9"),
            ("conv_+9_+8", "whatsapp", "+9", "+8"),
            ("conv_test", "web", "", ""),
            ("conv_7_100200", "facebook", "7", "100200"),
            ("conv_100200_7", "web", "", ""),
            ("conv_1_2", "web", "", ""),
            ("conv_+1_+", "web", "", ""),
            ("conv_+1_+2_+3", "web", "", ""),
        ] {
            let expected = Parties { channel: channel.into(), customer: customer.into(), ours: ours.into() };
            assert_eq!(Parties::of(id, &settings), expected, "{id}");
        }
    }

    #[test]
    fn access_hangs_on_role_assignment_and_offer() {
        let who = |user: &str, role| Who { user: user.into(), email: None, role };
        let settings = Settings::default();
        let row = Row::new(&"conv_x".into(), &settings, WallMillis(0));
        let assigned = Row { assigned: Some("a".into()), bot_enabled: false, ..row.clone() };
        let offered =
            |to: Option<&str>| Row { offer: Some("e".into()), offer_to: to.map(Arc::from), ..assigned.clone() };
        // Readable: nobody's, a's, a's offered to b, a's offered to anybody.
        for (user, role, readable) in [
            ("a", Role::Agent, [true, true, true, true]),
            ("b", Role::Agent, [true, false, true, true]),
            ("c", Role::Agent, [true, false, false, true]),
            ("c", Role::Viewer, [true, false, false, true]),
            ("c", Role::Admin, [true; 4]),
            ("c", Role::Service, [true; 4]),
            ("c", Role::Bot, [true, false, false, false]),
        ] {
            for (row, readable) in [&row, &assigned, &offered(Some("b")), &offered(None)].into_iter().zip(readable) {
                let who = who(user, role);
                assert_eq!(row.is_readable(&who, &settings), readable, "{who:?} {row:?}");
                assert_eq!(row.is_writable(&who, &settings), readable && role != Role::Viewer, "{who:?} {row:?}");
            }
        }
        let all = Settings { agent_sees: AgentSees::Workspace, ..Settings::default() };
        assert!(assigned.is_readable(&who("c", Role::Agent), &all));
    }
}
