//! The cloud's HTTP interface of the second version, for accounts that gave a key: states of up to ten devices, and a switch to set,
//! with the time after which it turns back.

use serde_json::{Value, json};
use url::Url;

use super::http::{Fault, of_status};
use super::id::ShellyId;
use super::socket::{Refusal, flag, word};
use crate::app::fetch::{Fetch, FetchError, Fetched};
use crate::app::route::Method;
use crate::base::percent;

/// A device as the cloud has it.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Found {
    pub id: Box<str>,
    pub code: Box<str>,
    pub generation: Box<str>,
    pub online: Option<bool>,
    pub status: Value,
}

/// Why something was not done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Denied {
    /// The cloud says so.
    Refused(Refusal),
    /// It has not answered: nobody knows.
    Failed(Fault),
}

/// Asks for the states of devices; more than [`IDS_MAX`] are not asked for.
pub(crate) fn get(api_host: &Url, key: &str, ids: &[ShellyId]) -> Fetch {
    let ids: Vec<&str> = ids.iter().take(IDS_MAX).map(ShellyId::as_str).collect();
    post(api_host, "get", key, &json!({"ids": ids, "select": ["status"]}))
}

/// The devices that the cloud knows of those that were asked for.
pub(crate) fn read_get(result: &Result<Fetched, FetchError>) -> Result<Vec<Found>, Denied> {
    let body = body(result)?;
    let devices: Value = serde_json::from_slice(&body).map_err(|_| Denied::Failed(Fault::Unreadable))?;
    let devices = devices.as_array().ok_or(Denied::Failed(Fault::Unreadable))?;
    Ok(devices.iter().filter_map(found).collect())
}

/// Turns a switch, and back after so many seconds.
pub(crate) fn set_switch(
    api_host: &Url,
    key: &str,
    id: &ShellyId,
    channel: u8,
    on: bool,
    timer_s: Option<u32>,
) -> Fetch {
    let mut body = json!({"id": id.as_str(), "channel": channel, "on": on});
    if let Some(timer_s) = timer_s {
        body["toggle_after"] = timer_s.into();
    }
    post(api_host, "set/switch", key, &body)
}

/// Whether it has been done: an answer that says so is empty.
pub(crate) fn read_set(result: &Result<Fetched, FetchError>) -> Result<(), Denied> {
    let body = body(result)?;
    match serde_json::from_slice::<Value>(&body) {
        Ok(said) if !said["error"].is_null() => Err(Denied::Refused(Refusal::of(&said))),
        Ok(said) if flag(&said["isok"]) == Some(false) => Err(Denied::Refused(Refusal::of(&said))),
        Ok(_) => Ok(()),
        Err(_) if body.trim_ascii().is_empty() => Ok(()),
        Err(_) => Err(Denied::Failed(Fault::Unreadable)),
    }
}

fn post(api_host: &Url, path: &str, key: &str, body: &Value) -> Fetch {
    let url = format!("{api_host}v2/devices/api/{path}?auth_key={}", percent::encode(key));
    let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
    Fetch { headers, body: body.to_string().into(), ..Fetch::new(Method::Post, url) }
}

/// The body of a success; other answers say in words what is wrong, or in their status.
fn body(result: &Result<Fetched, FetchError>) -> Result<bytes::Bytes, Denied> {
    let fetched = result.as_ref().map_err(|error| Denied::Failed(Fault::Network(error.kind)))?;
    if (200..300).contains(&fetched.status) {
        return Ok(fetched.body.clone());
    }
    match serde_json::from_slice::<Value>(&fetched.body) {
        Ok(said) if said["error"].is_string() && fetched.status != 429 => Err(Denied::Refused(Refusal::of(&said))),
        _ => Err(Denied::Failed(of_status(fetched))),
    }
}

fn found(device: &Value) -> Option<Found> {
    let [code, generation] = ["code", "gen"].map(|name| word(&device[name]).unwrap_or_default());
    let status = device["status"].clone();
    Some(Found { id: word(&device["id"])?, code, generation, online: flag(&device["online"]), status })
}

/// Devices of one question.
pub(crate) const IDS_MAX: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::fetch::FetchFailure;
    use bytes::Bytes;

    fn fetched(status: u16, body: &str) -> Result<Fetched, FetchError> {
        Ok(Fetched { status, headers: Vec::new(), body: Bytes::copy_from_slice(body.as_bytes()), redirects: 0 })
    }

    #[test]
    fn requests_carry_the_key_and_json() {
        let host: Url = "https://shelly-49-eu.shelly.cloud".parse().unwrap();
        let id = ShellyId::parse("B0B21C12DD94").unwrap();
        let text = |fetch: &Fetch| String::from_utf8(fetch.body.to_vec()).unwrap();
        let fetch = set_switch(&host, "k/1", &id, 1, true, Some(1_800));
        assert_eq!(fetch.url, "https://shelly-49-eu.shelly.cloud/v2/devices/api/set/switch?auth_key=k%2F1");
        assert_eq!(text(&fetch), r#"{"id":"b0b21c12dd94","channel":1,"on":true,"toggle_after":1800}"#);
        let fetch = set_switch(&host, "k", &id, 0, false, None);
        assert_eq!(text(&fetch), r#"{"id":"b0b21c12dd94","channel":0,"on":false}"#);
        let fetch = get(&host, "k", &vec![id; 12]);
        assert_eq!(fetch.url, "https://shelly-49-eu.shelly.cloud/v2/devices/api/get?auth_key=k");
        let asked: Value = serde_json::from_str(&text(&fetch)).unwrap();
        assert_eq!((asked["ids"].as_array().unwrap().len(), &asked["select"]), (IDS_MAX, &json!(["status"])));
    }

    #[test]
    fn states_are_read_and_unknown_ids_are_missing() {
        let body = json!([{"id": "b0b21c12dd94", "type": "relay", "code": "SNPL-00112EU", "gen": "G2", "online": 1,
            "status": {"switch:0": {"output": true}}}, {"online": 0}, 7]);
        let found = read_get(&fetched(200, &body.to_string())).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!((&*found[0].id, found[0].online), ("b0b21c12dd94", Some(true)));
        assert_eq!(read_get(&fetched(200, "{}")), Err(Denied::Failed(Fault::Unreadable)));
        assert_eq!(read_get(&fetched(200, "")), Err(Denied::Failed(Fault::Unreadable)));
        assert_eq!(read_get(&fetched(200, "[]")), Ok(Vec::new()));
    }

    #[test]
    fn an_empty_answer_is_done_and_words_are_a_refusal() {
        let told = |status, body: &str| match read_set(&fetched(status, body)) {
            Ok(()) => "done".to_owned(),
            Err(Denied::Refused(refusal)) if refusal.is_offline => "offline".to_owned(),
            Err(Denied::Refused(_)) => "refused".to_owned(),
            Err(Denied::Failed(fault)) => format!("{fault:?}"),
        };
        for (status, body, expected) in [
            (200, "", "done"),
            (200, " \n", "done"),
            (200, "{}", "done"),
            (204, "", "done"),
            (200, r#"{"error":"DEVICE_OFFLINE","data":{"messages":[]}}"#, "offline"),
            (400, r#"{"error":"DEVICE_OFFLINE","data":{"messages":["x"]}}"#, "offline"),
            (404, r#"{"error":"DEVICE_NOT_FOUND"}"#, "refused"),
            (400, r#"{"error":"DEVICE_INVALID_CHANNEL"}"#, "refused"),
            (400, r#"{"error":"DEVICE_FAILED_COMMAND"}"#, "refused"),
            (400, r#"{"error":"BAD_REQUEST"}"#, "refused"),
            (200, "<html>", "Unreadable"),
            (401, "", "Unauthorized"),
            (429, r#"{"error":"LIMIT"}"#, "TooMany { after_s: None }"),
            (500, "", "Status(500)"),
            (400, "", "Status(400)"),
        ] {
            assert_eq!(told(status, body), expected, "{status} {body}");
        }
        let failed = Err(FetchError::new(FetchFailure::TimedOut, ""));
        assert_eq!(read_set(&failed), Err(Denied::Failed(Fault::Network(FetchFailure::TimedOut))));
    }
}
