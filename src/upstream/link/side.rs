//! One dialled link between its two sides: what waits for the peer, what is on its way to the home, whether it is read, and that
//! its end is told once. Shards give orders, which never block; the link's task does what they say.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;

use super::Broken;
use super::figures::Account;
use super::metered::Moved;
use crate::app::fetch::FetchFailure;
use crate::app::home::Flow;
use crate::app::link::{LinkEnd, LinkEvent, LinkMessage, LinkOrder, Terms};
use crate::base::limit::{LINK_IN_MESSAGES_MAX, LINK_MESSAGE_BYTES_MAX, LINK_OUT_BYTES_MAX, LINK_OUT_MESSAGES_MAX};

/// Hears what happens to a link. It is called on the thread of the links, or inside an order: it should only pass on what it
/// hears, and give up the credit when the home has taken it.
pub type OnLink = Box<dyn Fn(LinkEvent, Option<Credit>) + Send + Sync>;

/// A link.
pub(super) struct Side {
    home: OnLink,
    account: Account,
    pub(super) terms: Terms,
    pub(super) moved: Arc<Moved>,
    state: Mutex<State>,
    coming: Mutex<Coming>,
    /// There is something for the one who writes, or for the one who reads.
    told: Notify,
    readable: Notify,
    /// It is over at once, whatever they wait for.
    cut: Notify,
}

#[derive(Default)]
struct State {
    out: VecDeque<LinkMessage>,
    /// Waiting, or being written.
    out_messages: usize,
    out_bytes: usize,
    paused: bool,
    holds: u32,
    asks_ping: bool,
    opened: bool,
    over: Option<Farewell>,
}

/// What is on its way to the home: apart from the state, under whose lock the home is told, for a credit may be given up there.
#[derive(Default)]
struct Coming {
    messages: usize,
    bytes: usize,
    /// The one who reads waits for a credit.
    starved: bool,
}

/// How a link that is over leaves: behind what waits with this code and reason, or at once.
pub(super) type Farewell = Option<(u16, String)>;

/// What the one who writes has to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Out {
    Ping,
    Message(LinkMessage),
    Leave(Farewell),
}

/// A message is on its way to its home for as long as this lives.
pub struct Credit {
    side: Arc<Side>,
    bytes: usize,
}

impl Side {
    pub(super) fn new(home: OnLink, account: Account, terms: Terms) -> Arc<Side> {
        let message_bytes_max = terms.message_bytes_max.min(LINK_MESSAGE_BYTES_MAX);
        Arc::new(Side {
            home,
            account,
            terms: Terms { message_bytes_max, ..terms },
            moved: Arc::default(),
            state: Mutex::default(),
            coming: Mutex::default(),
            told: Notify::new(),
            readable: Notify::new(),
            cut: Notify::new(),
        })
    }

    /// The application's order.
    pub(super) fn on_order(&self, order: LinkOrder) {
        match order {
            LinkOrder::Tell(message) => self.on_tell(message),
            LinkOrder::Close { code, reason } => {
                self.end(&Broken::new(LinkEnd::Ours, ""), Some(farewell(code, reason)));
            }
            LinkOrder::Pause => self.state.lock().paused = true,
            LinkOrder::Resume => self.reads(|state| state.paused = false),
            // Of arrivals, or the door's.
            LinkOrder::Open(_) | LinkOrder::Admit(_) | LinkOrder::Refuse { .. } => {}
        }
    }

    /// The home's word, because of what waits there.
    pub(super) fn on_flow(&self, flow: Flow) {
        match flow {
            Flow::Hold => self.state.lock().holds += 1,
            Flow::Release => self.reads(|state| state.holds = state.holds.saturating_sub(1)),
            Flow::Cut => {
                let end = Broken::new(LinkEnd::Flooded, "too much of it waited at its home");
                self.end(&end, Some((1_008, String::new())));
            }
        }
    }

    fn on_tell(&self, message: LinkMessage) {
        let (bytes, mut state) = (message.len(), self.state.lock());
        if state.over.is_some() {
            return;
        }
        let is_too_large = bytes > LINK_MESSAGE_BYTES_MAX;
        let fits = state.out_messages < LINK_OUT_MESSAGES_MAX && state.out_bytes + bytes <= LINK_OUT_BYTES_MAX;
        if is_too_large {
            let end = Broken::failed(FetchFailure::TooLarge, "a message that was told is above its bound");
            return self.end_locked(state, &end, None);
        }
        if !fits || !self.account.holds(bytes) {
            return self.end_locked(state, &Broken::new(LinkEnd::TooSlow, "too much waits for the peer"), None);
        }
        state.out_messages += 1;
        state.out_bytes += bytes;
        state.out.push_back(message);
        drop(state);
        self.told.notify_one();
    }

    fn reads(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock());
        self.readable.notify_one();
    }

    /// It is open.
    pub(super) fn opened(&self, subprotocol: Option<String>) {
        let mut state = self.state.lock();
        if state.over.is_none() {
            state.opened = true;
            self.account.opened();
            (self.home)(LinkEvent::Opened { subprotocol }, None);
        }
    }

    /// A message has come. One that is over has nobody who would hear it.
    pub(super) fn received(self: &Arc<Side>, message: LinkMessage) {
        let (bytes, state) = (message.len(), self.state.lock());
        if state.over.is_some() {
            return;
        }
        self.account.received(bytes);
        {
            let mut coming = self.coming.lock();
            coming.messages += 1;
            coming.bytes += bytes;
        }
        let credit = Credit { side: self.clone(), bytes };
        (self.home)(LinkEvent::Message(message), Some(credit));
    }

    /// It is over: its home is told, once.
    pub(super) fn end(&self, end: &Broken, farewell: Farewell) {
        let state = self.state.lock();
        if state.over.is_none() {
            self.end_locked(state, end, farewell);
        }
    }

    fn end_locked(&self, mut state: MutexGuard<'_, State>, end: &Broken, farewell: Farewell) {
        if farewell.is_none() || !state.opened {
            self.forget_out(&mut state);
        }
        if farewell.is_none() {
            self.cut.notify_one();
        }
        state.over = Some(farewell);
        self.account.closed(end, state.opened);
        (self.home)(LinkEvent::Closed { why: end.why.clone() }, None);
        drop(state);
        self.told.notify_one();
        self.readable.notify_one();
    }

    fn forget_out(&self, state: &mut State) {
        self.account.gives_back(state.out_bytes);
        (state.out_messages, state.out_bytes) = (0, 0);
        state.out.clear();
    }

    pub(super) fn is_over(&self) -> bool {
        self.state.lock().over.is_some()
    }

    /// Resolves when it is over; for the one who writes, while there is nothing to write to.
    pub(super) async fn over(&self) {
        while !self.is_over() {
            self.told.notified().await;
        }
    }

    /// Resolves when it is over and nothing is to be said any more.
    pub(super) async fn cut(&self) {
        while !matches!(self.state.lock().over, Some(None)) {
            self.cut.notified().await;
        }
    }

    /// What is to be written next, if there is something.
    pub(super) fn try_next_out(&self) -> Option<Out> {
        let mut state = self.state.lock();
        if matches!(state.over, Some(None)) {
            return Some(Out::Leave(None));
        }
        if std::mem::take(&mut state.asks_ping) {
            return Some(Out::Ping);
        }
        let message = state.out.pop_front().map(Out::Message);
        message.or_else(|| state.over.clone().map(Out::Leave))
    }

    pub(super) async fn next_out(&self) -> Out {
        loop {
            if let Some(out) = self.try_next_out() {
                return out;
            }
            self.told.notified().await;
        }
    }

    /// The peer's side has taken these.
    pub(super) fn sent(&self, messages: &[usize]) {
        let mut state = self.state.lock();
        // One that has ended at once holds nothing any more.
        let bytes = messages.iter().sum::<usize>().min(state.out_bytes);
        state.out_messages = state.out_messages.saturating_sub(messages.len());
        state.out_bytes -= bytes;
        drop(state);
        self.account.gives_back(bytes);
        messages.iter().for_each(|bytes| self.account.sent(*bytes));
    }

    pub(super) fn ask_ping(&self) {
        self.state.lock().asks_ping = true;
        self.told.notify_one();
    }

    /// Resolves when it may be read. One that is over is read to its end, by whoever listens.
    pub(super) async fn readable(&self) {
        while !self.may_be_read() {
            self.readable.notified().await;
        }
    }

    fn may_be_read(&self) -> bool {
        let state = self.state.lock();
        let mut coming = self.coming.lock();
        coming.starved = coming.messages >= LINK_IN_MESSAGES_MAX || coming.bytes >= self.terms.message_bytes_max;
        state.over.is_some() || !(coming.starved || state.paused || state.holds > 0)
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        let mut state = std::mem::take(self.state.get_mut());
        self.forget_out(&mut state);
    }
}

impl Drop for Credit {
    fn drop(&mut self) {
        let mut coming = self.side.coming.lock();
        coming.messages -= 1;
        coming.bytes -= self.bytes;
        if std::mem::take(&mut coming.starved) {
            self.side.readable.notify_one();
        }
    }
}

/// What may be said at the end: a code that applications may send, and a reason that fits a control frame.
fn farewell(code: u16, mut reason: String) -> (u16, String) {
    let may_be_sent = matches!(code, 1_000..=1_003 | 1_007..=1_014 | 3_000..=4_999);
    reason.truncate(reason.floor_char_boundary(REASON_BYTES_MAX));
    (if may_be_sent { code } else { 1_000 }, reason)
}

/// Of a control frame's payload, the code's two aside.
const REASON_BYTES_MAX: usize = crate::base::limit::CONTROL_PAYLOAD_BYTES_MAX - 2;
