//! The other side of links, as a test scripts it: what an application dials, who arrives, what is told and said, and how it ends.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::World;
use crate::app::Token;
use crate::app::event::AppInput;
use crate::app::home::Flow;
use crate::app::link::{
    Admission, Arrival, Dial, LinkEnd, LinkEvent, LinkId, LinkMessage, LinkOrder, LinkPath, WebSocketDial,
};
use crate::app::route::Refused;
use crate::app::table::Row;
use crate::base::ids::{Key, LinkRef, ShardId};

/// The links of a world that are not over.
#[derive(Default)]
pub(super) struct Links {
    there: BTreeMap<LinkId, Other>,
    /// What became of those that are over by the application's word: code and reason, or status and text.
    left: BTreeMap<LinkId, (u16, String)>,
    arrivals: u32,
}

/// The other side of a link.
#[derive(Default)]
struct Other {
    /// What was dialled, where it was.
    dial: Option<WebSocketDial>,
    admission: Option<Admission>,
    told: Vec<LinkMessage>,
    paused: bool,
    holds: u32,
    /// What it has said while it is not read.
    unheard: Vec<LinkEvent>,
}

impl World {
    /// What the application has dialled under this token, and is there.
    pub(crate) fn link_dialled(&self, token: u64) -> Option<&WebSocketDial> {
        self.links.there.get(&LinkId::Dialled(Token(token)))?.dial.as_ref()
    }

    /// The peer of a dialled link agrees.
    pub(crate) fn link_opens(&mut self, token: u64, subprotocol: Option<&str>) {
        assert!(self.link_dialled(token).is_some(), "nobody dials {token}");
        let event = LinkEvent::Opened { subprotocol: subprotocol.map(str::to_owned) };
        self.input(AppInput::Link { link: LinkId::Dialled(Token(token)), event });
    }

    /// Somebody asks for a WebSocket on a path of `row`: its name, or how its home refuses it.
    pub(crate) fn link_arrives(
        &mut self,
        row: &'static Row,
        target: &str,
        headers: &[(&str, &str)],
        subprotocols: &[&str],
    ) -> Result<LinkId, Refused> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut found = row.links.iter().filter_map(|link| Some((link, values(link, path)?)));
        let (link_path, values) = found.next().unwrap_or_else(|| panic!("no link may come by {target}"));
        let chosen = headers.iter().filter_map(|(name, value)| {
            let name = link_path.headers.iter().find(|chosen| *chosen == name)?;
            Some((*name, Bytes::copy_from_slice(value.as_bytes())))
        });
        let arrival = Arrival {
            path: link_path,
            values,
            query: query.to_owned(),
            headers: chosen.collect(),
            subprotocols: subprotocols.iter().map(|name| (*name).to_owned()).collect(),
            ip: [10, 0, 0, 4].into(),
        };
        (link_path.home)(&arrival)?;
        self.links.arrivals += 1;
        let key = Key { slot: self.links.arrivals, generation: 1 };
        let link = LinkId::Arrived(LinkRef { shard: ShardId(0), key });
        self.links.there.insert(link, Other::default());
        self.input(AppInput::Link { link, event: LinkEvent::Arrived(Box::new(arrival)) });
        Ok(link)
    }

    /// How an arrival was let in.
    pub(crate) fn link_admission(&self, link: LinkId) -> Option<&Admission> {
        self.links.there.get(&link)?.admission.as_ref()
    }

    /// The other side says something, which comes when it is read.
    pub(crate) fn link_says(&mut self, link: LinkId, message: LinkMessage) {
        let other = self.links.there.get_mut(&link).unwrap_or_else(|| panic!("{link:?} is over"));
        other.unheard.push(LinkEvent::Message(message));
        self.read_link(link);
        self.run();
    }

    /// The link is over, for this reason.
    pub(crate) fn link_ends(&mut self, link: LinkId, why: LinkEnd) {
        assert!(self.links.there.remove(&link).is_some(), "{link:?} is over");
        self.input(AppInput::Link { link, event: LinkEvent::Closed { why } });
    }

    /// What the other side has been told since the last look.
    pub(crate) fn link_told(&mut self, link: LinkId) -> Vec<LinkMessage> {
        self.links.there.get_mut(&link).map(|other| std::mem::take(&mut other.told)).unwrap_or_default()
    }

    /// By which code and reason the application has closed a link, or by which status and text refused it.
    pub(crate) fn link_left(&self, link: LinkId) -> Option<&(u16, String)> {
        self.links.left.get(&link)
    }

    pub(super) fn order(&mut self, link: LinkId, order: LinkOrder) {
        if let LinkOrder::Open(dial) = order {
            self.leave(link, 1_000, String::new());
            let Dial::WebSocket(dial) = *dial;
            self.links.there.insert(link, Other { dial: Some(dial), ..Other::default() });
            return;
        }
        let Some(other) = self.links.there.get_mut(&link) else { return };
        match order {
            LinkOrder::Open(_) => unreachable!("it has been opened above"),
            LinkOrder::Tell(message) => other.told.push(message),
            LinkOrder::Close { code, reason } => self.leave(link, code, reason),
            LinkOrder::Refuse { status, body } => self.leave(link, status, body),
            LinkOrder::Admit(admission) => {
                let event = LinkEvent::Opened { subprotocol: admission.subprotocol.clone() };
                other.admission = Some(*admission);
                self.inputs.push_back(AppInput::Link { link, event });
            }
            LinkOrder::Pause => other.paused = true,
            LinkOrder::Resume => {
                other.paused = false;
                self.read_link(link);
            }
        }
    }

    pub(super) fn link_flow(&mut self, link: LinkId, flow: Flow) {
        let Some(other) = self.links.there.get_mut(&link) else { return };
        match flow {
            Flow::Hold => other.holds += 1,
            Flow::Release => {
                other.holds -= 1;
                self.read_link(link);
            }
            Flow::Cut => {
                self.links.there.remove(&link);
                self.inputs.push_back(AppInput::Link { link, event: LinkEvent::Closed { why: LinkEnd::Flooded } });
            }
        }
    }

    fn read_link(&mut self, link: LinkId) {
        let Some(other) = self.links.there.get_mut(&link).filter(|other| !other.paused && other.holds == 0) else {
            return;
        };
        self.inputs.extend(other.unheard.drain(..).map(|event| AppInput::Link { link, event }));
    }

    /// The application's last word about a link, if that is there.
    fn leave(&mut self, link: LinkId, code: u16, text: String) {
        if self.links.there.remove(&link).is_some() {
            self.links.left.insert(link, (code, text));
            self.inputs.push_back(AppInput::Link { link, event: LinkEvent::Closed { why: LinkEnd::Ours } });
        }
    }
}

/// Values of the parameters of a path, if it is this one.
fn values(link: &LinkPath, path: &str) -> Option<Vec<String>> {
    let mut router = matchit::Router::new();
    router.insert(link.path, ()).expect("a path of a row is one");
    let found = router.at(path).ok()?;
    Some(found.params.iter().map(|(_, value)| value.to_owned()).collect())
}

#[cfg(test)]
mod tests;
