//! From an application's order to an open WebSocket: what may be dialled, over a connection that is judged as that of a request.

use futures_util::StreamExt as _;
use futures_util::stream::{SplitSink, SplitStream};
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Request, Uri};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};
use tower::Service as _;
use url::Url;

use super::Broken;
use super::metered::Metered;
use super::side::Side;
use crate::app::fetch::FetchError;
use crate::app::link::WebSocketDial;
use crate::base::limit::LINK_SUBPROTOCOLS_MAX;
use crate::upstream::connect::{Connection, Connector};
use crate::upstream::request::{self, invalid};

/// An open WebSocket, by its two halves: who writes to it, and who reads.
pub(super) type Peer = (PeerSink, PeerStream);
pub(super) type PeerSink = SplitSink<Stream, Message>;
pub(super) type PeerStream = SplitStream<Stream>;

type Stream = WebSocketStream<Metered<TokioIo<Connection>>>;

/// A handshake that may be made.
#[derive(Debug)]
pub(super) struct Handshake {
    /// As operators are told it.
    pub(super) host: String,
    /// Where the connection goes.
    http: Uri,
    ws: Uri,
    headers: HeaderMap,
}

impl Handshake {
    pub(super) fn of(dial: &WebSocketDial) -> Result<Handshake, FetchError> {
        let ws = Url::parse(&dial.url).map_err(|error| invalid(format!("the URL is none: {error}")))?;
        let scheme = match ws.scheme() {
            "ws" => "http",
            "wss" => "https",
            _ => return Err(invalid("the URL is neither ws nor wss")),
        };
        let mut url = ws;
        let is_known = url.set_scheme(scheme).is_ok();
        let url =
            if is_known { request::plain(url).map_err(invalid)? } else { return Err(invalid("the URL is none")) };
        let uri = |text: &str| text.parse::<Uri>().map_err(|_| invalid("the URL cannot be asked for"));
        let http = uri(url.as_str())?;
        let ws = uri(&url.as_str().replacen("http", "ws", 1))?;
        let mut headers = request::headers(&dial.headers, &OF_THE_HANDSHAKE)?;
        if dial.subprotocols.len() > LINK_SUBPROTOCOLS_MAX {
            return Err(invalid(format!("there are more than {LINK_SUBPROTOCOLS_MAX} subprotocols")));
        }
        let is_token = |name: &String| !name.is_empty() && name.bytes().all(is_of_a_token);
        if !dial.subprotocols.iter().all(is_token) {
            return Err(invalid("a subprotocol's name is none"));
        }
        if !dial.subprotocols.is_empty() {
            let offered = dial.subprotocols.join(", ").parse().map_err(|_| invalid("a subprotocol's name is none"))?;
            headers.insert(header::SEC_WEBSOCKET_PROTOCOL, offered);
        }
        let authority = http.authority().map_or("", |authority| authority.as_str());
        headers.insert(header::HOST, authority.parse().map_err(|_| invalid("the URL's host is none"))?);
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        Ok(Handshake { host: request::host(&url), http, ws, headers })
    }

    /// The WebSocket, and the subprotocol that its peer has chosen.
    pub(super) async fn open(self, mut connector: Connector, side: &Side) -> Result<(Peer, Option<String>), Broken> {
        let connection = connector.call(self.http).await?;
        let message_bytes_max = side.terms.message_bytes_max;
        let stream = Metered { inner: TokioIo::new(connection), moved: side.moved.clone() };
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .write_buffer_size(WRITE_BUFFER_BYTES)
            .max_message_size(Some(message_bytes_max))
            .max_frame_size(Some(message_bytes_max));
        let mut request = Request::new(());
        *request.uri_mut() = self.ws;
        *request.headers_mut() = self.headers;
        let key = generate_key().parse().expect("base64 is a header's value");
        request.headers_mut().insert(header::SEC_WEBSOCKET_KEY, key);
        let opened = client_async_with_config(request, stream, Some(config)).await;
        let (peer, answer) = opened.map_err(|error| Broken::of(&self.host, &error))?;
        let chosen = answer.headers().get(header::SEC_WEBSOCKET_PROTOCOL);
        Ok((peer.split(), chosen.and_then(|name| name.to_str().ok()).map(str::to_owned)))
    }
}

/// A character of a token (RFC 9110 section 5.6.2).
fn is_of_a_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Headers of the handshake itself, beside those that frame a message.
const OF_THE_HANDSHAKE: [HeaderName; 5] = [
    header::SEC_WEBSOCKET_ACCEPT,
    header::SEC_WEBSOCKET_EXTENSIONS,
    header::SEC_WEBSOCKET_KEY,
    header::SEC_WEBSOCKET_PROTOCOL,
    header::SEC_WEBSOCKET_VERSION,
];

/// Allocated for each link, and for as long as it is open.
const READ_BUFFER_BYTES: usize = 4 * 1024;
/// So much is gathered before it is written, where more waits.
const WRITE_BUFFER_BYTES: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::fetch::FetchFailure;

    #[test]
    fn what_is_no_handshake_is_invalid_and_says_no_secret() {
        let url = WebSocketDial::new;
        let with = |name: &str, value: &str| WebSocketDial {
            headers: vec![(name.into(), value.into())],
            ..url("ws://a.example/")
        };
        let offers = |names: Vec<&str>| {
            let subprotocols = names.into_iter().map(str::to_owned).collect();
            WebSocketDial { subprotocols, ..url("ws://a.example/") }
        };
        for dial in [
            url(""),
            url("/s3cret"),
            url("http://a.example/s3cret"),
            url("https://a.example/s3cret"),
            url("ws://u:s3cret@a.example/"),
            url("ws://a.example:99999/s3cret"),
            with("host", "s3cret"),
            with("upgrade", "s3cret"),
            with("Sec-WebSocket-Key", "s3cret"),
            with("sec-websocket-extensions", "s3cret"),
            with("a", "s3cret\r\nb: c"),
            WebSocketDial { headers: vec![("a".into(), "b".into()); 101], ..url("ws://a.example/") },
            offers(vec![""]),
            offers(vec!["s3cret, b"]),
            offers(vec!["s3cret\r\n"]),
            offers(vec!["a"; LINK_SUBPROTOCOLS_MAX + 1]),
        ] {
            let error = Handshake::of(&dial).map(|_| dial.url).unwrap_err();
            assert!(error.kind == FetchFailure::Invalid && !error.text.contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn a_handshake_names_its_host_and_goes_where_it_says() {
        for (url, host, http, ws, header) in [
            ("ws://A.example/x?y=z#f", "a.example:80", "http://a.example/x?y=z", "ws://a.example/x?y=z", "a.example"),
            ("wss://a.example", "a.example:443", "https://a.example/", "wss://a.example/", "a.example"),
            ("wss://a.example:80/", "a.example:80", "https://a.example:80/", "wss://a.example:80/", "a.example:80"),
            (
                "ws://0x7f.1:8080/http",
                "127.0.0.1:8080",
                "http://127.0.0.1:8080/http",
                "ws://127.0.0.1:8080/http",
                "127.0.0.1:8080",
            ),
        ] {
            let handshake = Handshake::of(&WebSocketDial::new(url)).unwrap();
            assert_eq!((&*handshake.host, &*handshake.http.to_string(), &*handshake.ws.to_string()), (host, http, ws));
            assert_eq!(handshake.headers[header::HOST], header);
        }
    }
}
