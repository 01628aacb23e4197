//! The bridge: a Socket.IO server elsewhere that is told what rooms are told, as clients of it send `broadcast-to-system`. One link for the
//! process, at a home of its own. What is told while it is not open is dropped and counted.

use serde::Serialize;
use serde_json::value::RawValue;

use super::settings::Settings;
use crate::app::effect::{Effect, Effects};
use crate::app::link::{Dial, LinkEvent, LinkId, LinkMessage, WebSocketDial};
use crate::app::note::Note;
use crate::app::{Home, Token};

/// The link to the bridge, where it is at home.
#[derive(Debug, Default)]
pub(super) struct Bridge {
    link: Option<Token>,
    /// The server has let us in.
    is_open: bool,
    pub dropped: u64,
}

/// What a room was told.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Told<'a> {
    system_id: &'a str,
    event_name: &'a str,
    data: &'a RawValue,
}

/// Tells the bridge what a room is told; `text` is its JSON.
pub(super) fn pass(settings: &Settings, system: &str, event: &str, text: &str, fx: &mut Effects) {
    if settings.bridge_url.is_empty() {
        return;
    }
    if let Ok(data) = serde_json::from_str::<&RawValue>(text) {
        fx.say(home(), "room", &Told { system_id: system, event_name: event, data });
    }
}

/// Where the bridge is decided. No system has a name like this.
pub(super) fn home() -> Home {
    Home::Tenant(NAME.to_owned())
}

/// Whether this is the bridge's home.
pub(super) fn is_home(name: &str) -> bool {
    name == NAME
}

impl Bridge {
    /// Whether a link or a timer of this name is the bridge's.
    pub(super) fn is_its(&self, token: Token) -> bool {
        self.link == Some(token)
    }

    /// Dials, unless that is so already. `token` names the link, and the timer of the next try.
    pub(super) fn dial(&mut self, settings: &Settings, token: Token, fx: &mut Effects) {
        if self.link.is_some() || settings.bridge_url.is_empty() {
            return;
        }
        self.link = Some(token);
        fx.open(token, Dial::WebSocket(WebSocketDial::new(address(&settings.bridge_url))));
    }

    /// The delay before the next try is over.
    pub(super) fn again(&mut self, settings: &Settings, token: Token, fx: &mut Effects) {
        self.link = None;
        self.dial(settings, token, fx);
    }

    /// Something happens to the link.
    pub(super) fn on_link(&mut self, settings: &Settings, token: Token, event: &LinkEvent, fx: &mut Effects) {
        let mut say = |text: &str| fx.tell(LinkId::Dialled(token), LinkMessage::text(text));
        match event {
            LinkEvent::Message(LinkMessage::Text(text)) => match text.as_str() {
                "2" => say("3"),
                text if text.starts_with('0') => say("40"),
                text if text.starts_with("40") => self.is_open = true,
                text if text.starts_with("41") || text.starts_with("44") => self.is_open = false,
                _ => {}
            },
            LinkEvent::Closed { why } => {
                tracing::warn!(target: "siod::iot", why = why.label(), "the bridge is not there");
                self.is_open = false;
                fx.push(Effect::Timer { token, after_ms: settings.reconnect_delay_ms });
            }
            LinkEvent::Arrived(_) | LinkEvent::Opened { .. } | LinkEvent::Message(LinkMessage::Binary(_)) => {}
        }
    }

    /// A room was told something.
    pub(super) fn on_said(&mut self, note: &Note, fx: &mut Effects) {
        let Some(said) = note.read::<Box<RawValue>>() else { return };
        match self.link.filter(|_| self.is_open) {
            Some(link) => {
                let text = format!(r#"42["broadcast-to-system",{}]"#, said.get());
                fx.tell(LinkId::Dialled(link), LinkMessage::text(text));
            }
            None => self.dropped += 1,
        }
    }
}

/// Where the server's WebSocket is: its usual path, unless the URL has one.
fn address(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    let scheme = if matches!(scheme, "https" | "wss") { "wss" } else { "ws" };
    let (host, path) = rest.split_once('/').unwrap_or((rest, "socket.io"));
    format!("{scheme}://{host}/{}/?EIO=4&transport=websocket", path.trim_end_matches('/'))
}

const NAME: &str = "\u{1}bridge";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bridge_is_dialled_where_its_url_leads() {
        for (url, expected) in [
            ("https://bridge.example", "wss://bridge.example/socket.io/?EIO=4&transport=websocket"),
            ("http://127.0.0.1:7", "ws://127.0.0.1:7/socket.io/?EIO=4&transport=websocket"),
            ("https://bridge.example/api/socket", "wss://bridge.example/api/socket/?EIO=4&transport=websocket"),
        ] {
            assert_eq!(address(url), expected);
        }
    }
}
