//! Devices of the first generation, asked by HTTP in their own network: what they are, how it stands, and a relay to turn.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

use super::http::{Fault, of_status};
use super::id::ShellyId;
use crate::app::fetch::{Fetch, FetchError, Fetched};
use crate::app::route::Method;

/// What a device says of itself to anybody.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct About {
    pub id: ShellyId,
    pub code: Box<str>,
    /// 1, 2, …
    pub generation: u8,
    /// A password is asked for.
    pub auth: bool,
}

/// Asks what a device is; any generation answers.
pub(crate) fn about(host: &str) -> Fetch {
    get(host, "shelly", None)
}

/// What it is.
pub(crate) fn read_about(result: &Result<Fetched, FetchError>) -> Result<About, Fault> {
    let said = object(result)?;
    let id = said["mac"].as_str().and_then(ShellyId::parse).ok_or(Fault::Unreadable)?;
    let code = ["model", "type"].iter().find_map(|name| said[*name].as_str()).unwrap_or_default().into();
    let generation = said["gen"].as_u64().map_or(1, |generation| generation.min(99) as u8);
    let auth = ["auth_en", "auth"].iter().any(|name| said[*name] == Value::Bool(true));
    Ok(About { id, code, generation, auth })
}

/// Asks how it stands.
pub(crate) fn status(host: &str, password: Option<&str>) -> Fetch {
    get(host, "status", password)
}

/// Turns a relay (`on`, `off`, `toggle`), and back after so many seconds.
pub(crate) fn relay(host: &str, password: Option<&str>, channel: u8, turn: &str, timer_s: Option<u32>) -> Fetch {
    let timer = timer_s.map_or_else(String::new, |timer_s| format!("&timer={timer_s}"));
    get(host, &format!("relay/{channel}?turn={turn}{timer}"), password)
}

/// The object that a device has answered with.
pub(crate) fn object(result: &Result<Fetched, FetchError>) -> Result<Value, Fault> {
    let fetched = result.as_ref().map_err(|error| Fault::Network(error.kind))?;
    match fetched.status {
        200 => serde_json::from_slice(&fetched.body).ok().filter(Value::is_object).ok_or(Fault::Unreadable),
        _ => Err(of_status(fetched)),
    }
}

/// `host` may have a port.
fn get(host: &str, path: &str, password: Option<&str>) -> Fetch {
    let mut fetch = Fetch::new(Method::Get, format!("http://{host}/{path}"));
    if let Some(password) = password {
        let pair = BASE64_STANDARD.encode(format!("admin:{password}"));
        fetch.headers.push(("authorization".to_owned(), format!("Basic {pair}")));
    }
    Fetch { bytes_max: ANSWER_BYTES_MAX, ..fetch }
}

/// Of one answer.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn fetched(status: u16, body: &str) -> Result<Fetched, FetchError> {
        Ok(Fetched { status, headers: Vec::new(), body: Bytes::copy_from_slice(body.as_bytes()), redirects: 0 })
    }

    #[test]
    fn requests_are_paths_of_the_device() {
        for (fetch, url) in [
            (about("10.0.0.9"), "http://10.0.0.9/shelly"),
            (status("10.0.0.9:8080", None), "http://10.0.0.9:8080/status"),
            (relay("10.0.0.9", None, 1, "toggle", None), "http://10.0.0.9/relay/1?turn=toggle"),
            (relay("10.0.0.9", None, 0, "on", Some(1_800)), "http://10.0.0.9/relay/0?turn=on&timer=1800"),
        ] {
            assert_eq!((&*fetch.url, fetch.headers.len()), (url, 0));
        }
        let basic = ("authorization".to_owned(), "Basic YWRtaW46c2VjcmV0".to_owned());
        assert_eq!(status("10.0.0.9", Some("secret")).headers, [basic]);
    }

    #[test]
    fn devices_of_every_generation_say_what_they_are() {
        let first = r#"{"auth":false,"fw":"20230913-113421/v1.14.0-gcb84623","mac":"AABBCCDDEEFF","type":"SHPLG-S"}"#;
        let second = r#"{"auth_en":true,"gen":2,"id":"shellyplusplugs-aabbccddeeff","mac":"AABBCCDDEEFF","model":"SNPL-00112EU"}"#;
        let id = || ShellyId::parse("aabbccddeeff").unwrap();
        let expected = About { id: id(), code: "SHPLG-S".into(), generation: 1, auth: false };
        assert_eq!(read_about(&fetched(200, first)), Ok(expected));
        let expected = About { id: id(), code: "SNPL-00112EU".into(), generation: 2, auth: true };
        assert_eq!(read_about(&fetched(200, second)), Ok(expected));
        for (status, body, expected) in [
            (200, "{}", Fault::Unreadable),
            (200, "<html>", Fault::Unreadable),
            (200, r#"{"mac":7}"#, Fault::Unreadable),
            (401, "401 Unauthorized", Fault::Unauthorized),
            (404, "", Fault::Status(404)),
        ] {
            assert_eq!(read_about(&fetched(status, body)), Err(expected), "{status} {body}");
        }
    }
}
