//! What is common to requests to a cloud, and the one that asks for the status of all devices of an account.

use std::fmt;

use serde_json::Value;
use url::Url;

use super::socket::{flag, word};
use crate::app::fetch::{Fetch, FetchError, FetchFailure, Fetched};
use crate::app::route::Method;
use crate::base::percent;

/// Why a cloud has not answered what it was asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    Network(FetchFailure),
    /// The token is over.
    Unauthorized,
    /// It is asked too often, and says at times when it may be asked again.
    TooMany {
        after_s: Option<u64>,
    },
    Status(u16),
    /// What came is no answer.
    Unreadable,
}

impl fmt::Display for Fault {
    /// For logs, and for people who have acted.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Network(kind) => f.write_str(kind.label()),
            Fault::Unauthorized => f.write_str("the token is refused"),
            Fault::TooMany { .. } => f.write_str("asked too often"),
            Fault::Status(status) => write!(f, "status {status}"),
            Fault::Unreadable => f.write_str("what came is no answer"),
        }
    }
}

/// A device as its account has it.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Listed {
    pub id: Box<str>,
    pub code: Box<str>,
    pub generation: Box<str>,
    pub online: Option<bool>,
    pub status: Value,
}

/// Asks for all devices of an account.
pub(crate) fn all_status(api_host: &Url, token: &str, bytes_max: usize) -> Fetch {
    let headers = vec![("authorization".to_owned(), format!("Bearer {token}"))];
    let url = format!("{api_host}device/all_status?show_info=true&no_shared=true");
    Fetch { headers, bytes_max, ..Fetch::new(Method::Get, url) }
}

/// The devices of an account. An entry that names none is passed over.
pub(crate) fn read_all_status(result: &Result<Fetched, FetchError>) -> Result<Vec<Listed>, Fault> {
    let body = answer(result)?;
    let devices = body["data"]["devices_status"].as_object().ok_or(Fault::Unreadable)?;
    Ok(devices.values().filter_map(listed).collect())
}

/// A POST of a form.
pub(crate) fn form(url: String, fields: &[(&str, &str)]) -> Fetch {
    let pairs: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={}", percent::encode(value))).collect();
    let headers = vec![("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned())];
    Fetch { headers, body: pairs.join("&").into(), ..Fetch::new(Method::Post, url) }
}

/// What a status that is no success means.
pub(crate) fn of_status(fetched: &Fetched) -> Fault {
    match fetched.status {
        401 => Fault::Unauthorized,
        429 => Fault::TooMany { after_s: fetched.header("retry-after").and_then(|after| after.trim().parse().ok()) },
        other => Fault::Status(other),
    }
}

/// An answer with `isok`, as most are.
fn answer(result: &Result<Fetched, FetchError>) -> Result<Value, Fault> {
    let fetched = result.as_ref().map_err(|error| Fault::Network(error.kind))?;
    let body = match fetched.status {
        200..=299 => serde_json::from_slice::<Value>(&fetched.body).map_err(|_| Fault::Unreadable)?,
        _ => return Err(of_status(fetched)),
    };
    if flag(&body["isok"]) == Some(true) { Ok(body) } else { Err(Fault::Unreadable) }
}

fn listed(entry: &Value) -> Option<Listed> {
    let info = &entry["_dev_info"];
    let [code, generation] = ["code", "gen"].map(|name| word(&info[name]).unwrap_or_default());
    let mut status = entry.clone();
    status.as_object_mut()?.shift_remove("_dev_info");
    Some(Listed { id: word(&info["id"])?, code, generation, online: flag(&info["online"]), status })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use serde_json::json;

    fn fetched(status: u16, body: &str) -> Result<Fetched, FetchError> {
        let headers = vec![("retry-after".to_owned(), Bytes::from_static(b" 7"))];
        Ok(Fetched { status, headers, body: Bytes::copy_from_slice(body.as_bytes()), redirects: 0 })
    }

    #[test]
    fn all_devices_of_an_account_are_asked_for_with_its_token() {
        let fetch = all_status(&"https://shelly-49-eu.shelly.cloud".parse().unwrap(), "tok", 9);
        assert_eq!(fetch.url, "https://shelly-49-eu.shelly.cloud/device/all_status?show_info=true&no_shared=true");
        assert_eq!(fetch.headers, [("authorization".to_owned(), "Bearer tok".to_owned())]);
        assert_eq!((fetch.method, fetch.bytes_max), (Method::Get, 9));
    }

    #[test]
    fn devices_are_named_by_what_is_said_of_them_not_by_their_key() {
        let info = json!({"id": "b0b21c12dd94", "gen": "G2", "code": "SNPL-00112EU", "online": true});
        let body = json!({"isok": true, "data": {"devices_status": {
            "one": {"switch:0": {"output": true}, "_dev_info": info},
            "two": {"relays": [], "_dev_info": {"id": 14_544_639, "online": 0}},
            "three": {"switch:0": {}}, "four": 7,
        }}});
        let listed = read_all_status(&fetched(200, &body.to_string())).unwrap();
        assert_eq!(listed.len(), 2);
        assert_eq!((&*listed[0].id, &*listed[0].code, &*listed[0].generation), ("b0b21c12dd94", "SNPL-00112EU", "G2"));
        assert_eq!((listed[0].online, &listed[0].status), (Some(true), &json!({"switch:0": {"output": true}})));
        assert_eq!((&*listed[1].id, listed[1].online), ("14544639", Some(false)));
    }

    #[test]
    fn an_answer_that_is_none_says_what_it_is() {
        for (status, body, expected) in [
            (200, "<html>", Fault::Unreadable),
            (200, r#"{"isok":false,"errors":{}}"#, Fault::Unreadable),
            (200, r#"{"isok":true,"data":{}}"#, Fault::Unreadable),
            (200, "[]", Fault::Unreadable),
            (401, "", Fault::Unauthorized),
            (403, "", Fault::Status(403)),
            (429, "", Fault::TooMany { after_s: Some(7) }),
            (500, "", Fault::Status(500)),
            (302, "", Fault::Status(302)),
        ] {
            assert_eq!(read_all_status(&fetched(status, body)), Err(expected), "{status} {body}");
        }
        for kind in FetchFailure::ALL {
            assert_eq!(read_all_status(&Err(FetchError::new(kind, ""))), Err(Fault::Network(kind)));
        }
    }
}
