//! The door of links: what shards hold. An order never blocks; what comes of it is told by the link's [`OnLink`].

use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::dial::{Handshake, Peer};
use super::figures::Figures;
use super::side::{OnLink, Side};
use super::{Broken, talk};
use crate::app::Token;
use crate::app::fetch::FetchFailure;
use crate::app::home::Flow;
use crate::app::link::{Dial, LinkEnd, LinkOrder, WebSocketDial};
use crate::base::ids::{AppId, ShardId};
use crate::base::limit::{LINK_OPEN_TIMEOUT_MS_MAX, LINKS_FINISH_TIMEOUT_MS, LINKS_OPENING_MAX};
use crate::shard::sample::LinkSample;
use crate::upstream::connect::Connector;
use crate::upstream::places::Bounds;

/// A dialled link, among those of all shards.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct LinkName {
    pub app: AppId,
    /// Where it is at home.
    pub shard: ShardId,
    pub token: Token,
}

/// All dialled links.
pub(in crate::upstream) struct Links {
    connector: Connector,
    runtime: Handle,
    bounds: Bounds,
    figures: Arc<Figures>,
    opening: Semaphore,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    named: HashMap<LinkName, Arc<Side>>,
    /// Connections, those included that are only saying farewell, and bytes that their peers could make us hold.
    count: usize,
    bytes: usize,
    /// Nothing is opened any more.
    ending: bool,
}

impl Links {
    pub(in crate::upstream) fn new(
        connector: Connector,
        runtime: Handle,
        bounds: Bounds,
        apps: &[&'static str],
    ) -> Arc<Links> {
        let opening = Semaphore::new(LINKS_OPENING_MAX);
        Arc::new(Links { connector, runtime, bounds, figures: Figures::new(apps), opening, table: Mutex::default() })
    }

    /// Dials. A link that is still open under this name is closed first.
    pub(in crate::upstream) fn open(self: &Arc<Links>, name: LinkName, dial: Dial, home: OnLink) {
        let Dial::WebSocket(dial) = dial;
        let side = Side::new(home, self.figures.account(name.app), dial.terms);
        let mut table = self.table.lock();
        if let Some(old) = table.named.remove(&name) {
            old.on_order(LinkOrder::Close { code: 1_000, reason: String::new() });
        }
        let bytes = bytes_of(&side);
        let refused = if table.ending {
            Some((FetchFailure::Unavailable, "the daemon is ending".to_owned()))
        } else if table.count >= self.bounds.links || table.bytes + bytes > self.bounds.links_bytes {
            let (count, bytes) = (table.count, table.bytes);
            Some((FetchFailure::Busy, format!("there are {count} links already, for {bytes} bytes")))
        } else {
            None
        };
        if let Some((kind, text)) = refused {
            return side.end(&Broken::failed(kind, text), None);
        }
        table.count += 1;
        table.bytes += bytes;
        table.named.insert(name, side.clone());
        drop(table);
        let entry = Entry { links: self.clone(), name, side };
        self.runtime.spawn(entry.live(dial));
    }

    pub(in crate::upstream) fn on_order(&self, name: &LinkName, order: LinkOrder) {
        if let Some(side) = self.find(name) {
            side.on_order(order);
        }
    }

    pub(in crate::upstream) fn on_flow(&self, name: &LinkName, flow: Flow) {
        if let Some(side) = self.find(name) {
            side.on_flow(flow);
        }
    }

    /// The links of a shard, or all, are told that it is over (1001), behind what waits; nothing is opened any more.
    pub(in crate::upstream) fn drain(&self, shard: Option<ShardId>) {
        let mut table = self.table.lock();
        table.ending = true;
        let leaving = table.named.iter().filter(|(name, _)| shard.is_none_or(|shard| name.shard == shard));
        for (_, side) in leaving {
            let end = Broken::failed(FetchFailure::Unavailable, "the daemon is ending");
            side.end(&end, Some((1_001, String::new())));
        }
    }

    /// Waits, for a moment, until the last words have been said.
    pub(in crate::upstream) async fn finish(&self) {
        let gone = async {
            while self.table.lock().count > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let _ = timeout(Duration::from_millis(LINKS_FINISH_TIMEOUT_MS), gone).await;
    }

    /// What operators see, of each application that has dialled.
    pub(in crate::upstream) fn samples(&self) -> Vec<LinkSample> {
        self.figures.samples()
    }

    fn find(&self, name: &LinkName) -> Option<Arc<Side>> {
        self.table.lock().named.get(name).cloned()
    }
}

/// Bytes that the peer of a link could make us hold: one message that is coming, and those on their way home.
fn bytes_of(side: &Side) -> usize {
    3 * side.terms.message_bytes_max
}

/// A link's place. Dropped before it is over, it is over because the daemon ends.
struct Entry {
    links: Arc<Links>,
    name: LinkName,
    side: Arc<Side>,
}

impl Entry {
    async fn live(self, dial: WebSocketDial) {
        // What opening takes goes when it is done: at rest a link is what follows.
        if let Some((peer, host)) = Box::pin(self.opened(dial)).await {
            talk::talk(peer, &self.side, &host).await;
        }
    }

    /// The open link and the name of its host; `None`: it is over before.
    async fn opened(&self, dial: WebSocketDial) -> Option<(Peer, String)> {
        let side = &*self.side;
        let limit = Duration::from_millis(dial.open_timeout_ms.min(LINK_OPEN_TIMEOUT_MS_MAX));
        let handshake = Handshake::of(&dial).map_err(|error| side.end(&error.into(), None)).ok()?;
        let host = handshake.host.clone();
        let opening = timeout(limit, async {
            let _place = self.links.opening.acquire().await.expect("nobody closes it");
            handshake.open(self.links.connector.clone(), side).await
        });
        let late = |_| Err(Broken::failed(FetchFailure::TimedOut, format!("{host}: there was no handshake in time")));
        let opened = tokio::select! {
            opened = opening => opened.unwrap_or_else(late),
            () = side.over() => return None,
        };
        let (peer, subprotocol) = opened.map_err(|broken| side.end(&broken, None)).ok()?;
        side.opened(subprotocol);
        Some((peer, host))
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.side.end(&Broken::new(LinkEnd::Failed(FetchFailure::Unavailable), "the daemon is ending"), None);
        let mut table = self.links.table.lock();
        table.count -= 1;
        table.bytes -= bytes_of(&self.side);
        if table.named.get(&self.name).is_some_and(|side| Arc::ptr_eq(side, &self.side)) {
            table.named.remove(&self.name);
        }
    }
}
