//! What one shard tells a scrape: plain numbers, copied in one go, rendered by `api/metrics`. Counters count since the process
//! started; everything else is as of now. Label values come from closed sets or from the configuration, never from a client.

use super::Shard;
use super::stats::Outcomes;
use crate::app::Tally;
use crate::app::fetch::FetchFailure;
use crate::app::link::LinkEnd;
use crate::app::metric::Metric;
use crate::base::close::CloseReason;
use crate::base::ids::NspId;
use crate::base::stats::Histogram;
use crate::base::time::WallMillis;
use crate::engine::session::Transport;

/// How many codes a refused handshake can have (PROTOCOL 1), 0 to 5.
pub(crate) const REFUSAL_CODES: usize = 6;

/// One shard at the moment of a scrape.
#[derive(Clone, Debug, Default)]
pub struct ShardSample {
    pub shard: u16,
    /// The shard did not answer within the scrape's time: the figures are those of its last answer.
    pub stale: bool,
    /// Engine connections now.
    pub connections: ByTransport,
    /// Engine connections opened, by the transport of the handshake.
    pub opened: ByTransport,
    /// Polling sessions that moved to WebSocket.
    pub upgraded: u64,
    /// Engine connections closed; `reason as usize` indexes it.
    pub closed: [u64; CloseReason::ALL.len()],
    /// Handshakes and requests refused; the code indexes it.
    pub refused: [u64; REFUSAL_CODES],
    /// Engine packets, heartbeats included.
    pub packets_in: u64,
    pub packets_out: u64,
    /// Bytes as they are on the wire: WebSocket frames with headers, bodies of polling.
    pub bytes_in: u64,
    pub bytes_out: u64,
    /// Sockets now, one entry for each namespace that is served.
    pub namespaces: Vec<NamespaceSample>,
    /// Rooms with at least one member on this shard; the room of a socket's own id does not count.
    pub rooms: u64,
    /// Events from clients.
    pub events: Vec<EventSample>,
    /// Time of one turn.
    pub turn_us: Histogram,
    /// Time of one turn that emitted, to the end of its writes.
    pub emit_to_flush_us: Histogram,
    /// From a job's departure to its answer, store jobs only.
    pub store_us: Histogram,
    /// Bytes queued to sockets now.
    pub outbox_bytes: u64,
    /// Inputs waiting for the shard now.
    pub mailbox_depth: u64,
    /// What waits for, or is given up for, slow readers, and what clients got wrong; see [`super::stats::Stats`].
    pub unknown_acks: u64,
    pub joins_refused: u64,
    pub dropped_volatile: u64,
    pub coalesced: u64,
    pub writes: u64,
    /// Connections above a limit of the process or of their address, answered 503.
    pub overload: u64,
    /// Connections that have had their last answer and whose peers have not ended: now, and those cut off at a bound. Of the process.
    pub lingering: u64,
    pub lingering_cut: u64,
    /// The store's work since the start; of the process, so one sample has it.
    pub store: StoreSample,
    /// Requests to the outside since the start, of each application that has asked for one; of the process, too.
    pub fetches: Vec<FetchSample>,
    /// Of each application that has had some, and each kind of them.
    pub links: Vec<LinkSample>,
    /// Hashes of passwords since the start, of each application that has asked for one; of the process, too.
    pub hashes: Vec<HashSample>,
    /// Sockets closed because their outbox was full or made no progress.
    pub slow_consumers: u64,
    pub alerts: Vec<AlertSample>,
    /// What the applications add; equal name and labels are summed over the shards.
    pub app_metrics: Vec<Metric>,
}

/// A number for each transport.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ByTransport {
    pub polling: u64,
    pub websocket: u64,
}

impl ByTransport {
    pub fn total(self) -> u64 {
        self.polling + self.websocket
    }
}

/// One namespace of this shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamespaceSample {
    /// Canonical name: sockets on a mapped `/` count under their application's own namespace.
    pub name: String,
    pub sockets: u64,
    /// What came of its traffic.
    pub outcomes: Outcomes,
}

/// What the store has done, and what waits for it now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreSample {
    /// Group commits that reached the disk.
    pub commits: u64,
    /// Jobs done, and failed.
    pub done: ByJob,
    pub failed: ByJob,
    /// Jobs that wait or are being worked on.
    pub queue_depth: u64,
    /// Bytes of the blobs it holds, and how many blobs quota or age has pushed out.
    pub blob_bytes: u64,
    pub blobs_dropped: u64,
}

/// A number for each kind of job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ByJob {
    pub write: u64,
    pub read: u64,
    pub blob: u64,
}

/// What came of the requests of one application to the outside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FetchSample {
    pub app: &'static str,
    /// On their way, or waiting for a place.
    pub in_flight: u64,
    /// By the class of the status, 1xx first.
    pub answered: [u64; FetchSample::CLASSES.len()],
    /// `kind as usize` indexes it.
    pub failed: [u64; FetchFailure::ALL.len()],
    /// Of the bodies of answers, and of requests that were answered.
    pub bytes_received: u64,
    pub bytes_sent: u64,
    /// From the asking to the answer or failure.
    pub took_us: Histogram,
    /// Newest failure, and when it was.
    pub last_error: Option<(WallMillis, String)>,
}

impl FetchSample {
    /// Classes of statuses, as labels.
    pub const CLASSES: [&'static str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

    /// How many requests came to what, by the label of the outcome.
    pub fn outcomes(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        let answered = FetchSample::CLASSES.into_iter().zip(self.answered);
        answered.chain(FetchFailure::ALL.into_iter().map(FetchFailure::label).zip(self.failed))
    }

    /// All requests that were asked for.
    pub fn asked(&self) -> u64 {
        self.in_flight + self.outcomes().map(|(_, count)| count).sum::<u64>()
    }
}

/// The links of one application, of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinkSample {
    pub app: &'static str,
    /// [`LinkSample::DIALLED`] or [`LinkSample::ARRIVED`].
    pub kind: &'static str,
    /// Being opened, or waiting to be admitted.
    pub opening: u64,
    pub open: u64,
    /// Those that have opened so far.
    pub opened: u64,
    /// Arrivals that were turned away.
    pub refused: u64,
    /// By [`LinkEnd::place`], whether they had opened or not.
    pub closed: [u64; LinkEnd::LABELS.len()],
    /// Messages and their bytes, without frames.
    pub messages_received: u64,
    pub messages_sent: u64,
    pub bytes_received: u64,
    pub bytes_sent: u64,
    /// From the order or arrival to the opening.
    pub open_us: Histogram,
    /// Newest failure, and when it was.
    pub last_error: Option<(WallMillis, String)>,
}

impl LinkSample {
    /// Those that we dial.
    pub const DIALLED: &'static str = "dialled";
    /// Those that somebody opens here.
    pub const ARRIVED: &'static str = "arrived";

    /// Those of several shards as one.
    pub fn add(&mut self, other: &LinkSample) {
        self.opening += other.opening;
        self.open += other.open;
        self.opened += other.opened;
        self.refused += other.refused;
        self.closed.iter_mut().zip(other.closed).for_each(|(sum, count)| *sum += count);
        self.messages_received += other.messages_received;
        self.messages_sent += other.messages_sent;
        self.bytes_received += other.bytes_received;
        self.bytes_sent += other.bytes_sent;
        self.open_us.merge(&other.open_us);
        self.last_error = self.last_error.take().max(other.last_error.clone());
    }

    /// All that were ordered or have arrived so far.
    pub fn attempts(&self) -> u64 {
        self.opening + self.open + self.closed.iter().sum::<u64>()
    }
}

/// What came of the hashes of passwords that one application has asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HashSample {
    pub app: &'static str,
    /// Being worked on, or waiting for it.
    pub in_flight: u64,
    pub made: u64,
    /// Verified: the password was the right one, or was not.
    pub matched: u64,
    pub mismatched: u64,
    /// Refused because too many waited.
    pub busy: u64,
    /// No hash, or no password, that we take; or the daemon was ending.
    pub failed: u64,
    /// From the asking to the answer.
    pub took_us: Histogram,
}

impl HashSample {
    /// How many came to what, by the label of the outcome.
    pub fn outcomes(&self) -> [(&'static str, u64); 5] {
        let HashSample { made, matched, mismatched, busy, failed, .. } = *self;
        [("made", made), ("matched", matched), ("mismatched", mismatched), ("busy", busy), ("failed", failed)]
    }

    /// All that were asked for.
    pub fn asked(&self) -> u64 {
        self.in_flight + self.outcomes().iter().map(|(_, count)| count).sum::<u64>()
    }
}

/// Events of one application with one outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventSample {
    pub app: &'static str,
    pub outcome: EventOutcome,
    pub count: u64,
}

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EventOutcome {
    /// A handler has run.
    Handled,
    /// Refused by the application's rules or by a limit.
    Rejected,
    /// No such event in the application's table.
    Unknown,
}

impl EventOutcome {
    /// Value of the `outcome` label.
    pub fn label(self) -> &'static str {
        match self {
            EventOutcome::Handled => "handled",
            EventOutcome::Rejected => "rejected",
            EventOutcome::Unknown => "unknown",
        }
    }
}

/// `Effect::Alert`s of one application and kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertSample {
    pub app: &'static str,
    pub kind: &'static str,
    pub count: u64,
}

impl Shard {
    /// Figures for a scrape. The mailbox's depth, overload, lingering and the store's figures are the shell's to fill in.
    pub fn sample(&self) -> ShardSample {
        let stats = &self.stats;
        let on_websocket = |transport: &Transport| matches!(transport, Transport::WebSocket(_));
        let websocket =
            self.transports.peers.iter().filter(|(_, peer)| on_websocket(&peer.session.transport)).count() as u64;
        let mut sample = ShardSample {
            shard: self.id.0,
            connections: ByTransport { polling: self.transports.peers.len() as u64 - websocket, websocket },
            opened: ByTransport { polling: stats.opened_polling, websocket: stats.opened_websocket },
            upgraded: stats.upgraded,
            closed: stats.closed,
            refused: stats.refused,
            packets_in: stats.packets_in,
            packets_out: stats.packets_out,
            bytes_in: stats.bytes_in,
            bytes_out: stats.bytes_out,
            rooms: self.members.hub.room_count() as u64,
            turn_us: stats.turn_us.clone(),
            emit_to_flush_us: stats.emit_to_flush_us.clone(),
            outbox_bytes: self.transports.pool.queued_bytes() as u64,
            unknown_acks: stats.unknown_acks,
            joins_refused: stats.joins_refused,
            dropped_volatile: stats.dropped_volatile,
            coalesced: stats.coalesced,
            writes: stats.writes,
            slow_consumers: stats.slow_consumers,
            ..ShardSample::default()
        };
        self.sample_applications(&mut sample);
        self.sample_links(&mut sample);
        sample
    }

    /// Applications at which no link has arrived have no row.
    fn sample_links(&self, sample: &mut ShardSample) {
        let mut now = vec![(0, 0); self.homes.apps.len()];
        for (_, link) in self.transports.links.iter() {
            let (opening, open) = &mut now[usize::from(link.app.0)];
            *if link.conn().is_some() { open } else { opening } += 1;
        }
        for ((home, stats), (opening, open)) in self.homes.apps.iter().zip(&self.stats.links).zip(now) {
            let links = LinkSample {
                app: home.app().name(),
                kind: LinkSample::ARRIVED,
                opening,
                open,
                opened: stats.opened,
                refused: stats.refused,
                closed: stats.closed,
                messages_received: stats.messages_in,
                messages_sent: stats.messages_out,
                bytes_received: stats.bytes_in,
                bytes_sent: stats.bytes_out,
                open_us: stats.open_us.clone(),
                last_error: None,
            };
            sample.links.extend((links.attempts() > 0).then_some(links));
        }
    }

    fn sample_applications(&self, sample: &mut ShardSample) {
        let namespaces = self.config.namespaces.names().iter().zip(&self.stats.outcomes).enumerate();
        sample.namespaces.extend(namespaces.map(|(index, (name, outcomes))| {
            let sockets = self.members.hub.namespace_count(NspId(index as u16)) as u64;
            NamespaceSample { name: name.clone(), sockets, outcomes: *outcomes }
        }));
        for home in &self.homes.apps {
            let app = home.app().name();
            let Tally { handled, rejected, unknown } = home.app().tally();
            let by_outcome = [
                (EventOutcome::Handled, handled),
                (EventOutcome::Rejected, rejected),
                (EventOutcome::Unknown, unknown),
            ];
            sample.events.extend(by_outcome.map(|(outcome, count)| EventSample { app, outcome, count }));
            home.metrics(&mut sample.app_metrics);
        }
        for ((app, kind), count) in &self.stats.alerts {
            let app = self.homes.apps[usize::from(*app)].app().name();
            sample.alerts.push(AlertSample { app, kind, count: *count });
        }
    }
}
