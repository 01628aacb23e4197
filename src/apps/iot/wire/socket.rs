//! The messages of a cloud's event socket: JSON texts, told apart by `event`. What devices' owners may see elsewhere comes here too,
//! in the integrators' form; whatever is not known is another message, and passed over.

use serde::Deserialize;
use serde_json::{Value, json};

use super::id::ShellyId;
use crate::base::percent;

/// What a cloud says.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Incoming {
    Status {
        device: Device,
        status: Value,
    },
    /// `None`: the message does not say, which is not offline.
    Online {
        device: Device,
        online: Option<bool>,
    },
    Answer(Answer),
    /// One of those that mean nothing to us.
    Other,
}

/// How a message names a device.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Device {
    /// As it came.
    pub id: Box<str>,
    pub code: Box<str>,
    /// `G1`, `G2`, …
    pub generation: Box<str>,
}

/// What became of a command.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Answer {
    /// As a text, whatever it was sent as.
    pub trid: Box<str>,
    pub device: Box<str>,
    pub outcome: Result<Value, Refusal>,
}

/// A device, or the cloud for it, has refused a command.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Refusal {
    /// For the log.
    pub text: String,
    /// It says that the device is not there.
    pub is_offline: bool,
}

impl Incoming {
    /// Reads a message; `None`: it is not JSON, or no object.
    pub(crate) fn read(text: &str) -> Option<Incoming> {
        // A list would be read as the parts in their order.
        let message: Message = serde_json::from_str(text).ok().filter(|_| text.trim_start().starts_with('{'))?;
        let device = message.device();
        Some(match (message.event.as_str().unwrap_or_default(), device) {
            ("Shelly:StatusOnChange", Some(device)) if message.status.is_object() => {
                Incoming::Status { device, status: message.status }
            }
            ("Shelly:Online", Some(device)) => Incoming::Online { device, online: flag(&message.online) },
            ("Shelly:CommandResponse", Some(device)) => message.answer(device, |message| {
                let data = &message.data;
                if flag(&data["isok"]) == Some(true) { Ok(data["res"].clone()) } else { Err(Refusal::of(data)) }
            }),
            ("Shelly:JrpcResponse", Some(device)) => message.answer(device, |message| {
                let response = &message.response;
                match response.get("error").filter(|error| !error.is_null()) {
                    None if response.is_object() => Ok(response["result"].clone()),
                    None => Err(Refusal::of(response)),
                    Some(error) => Err(Refusal::of(error)),
                }
            }),
            _ => Incoming::Other,
        })
    }
}

impl Refusal {
    /// Whatever was said.
    pub(crate) fn of(said: &Value) -> Refusal {
        let mut text = said.to_string();
        let is_offline = says_offline(&text);
        if let Some((at, _)) = text.char_indices().nth(REFUSAL_CHARS_MAX) {
            text.truncate(at);
        }
        Refusal { text, is_offline }
    }
}

/// Whether a refusal says that the device is offline.
pub(crate) fn says_offline(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    ["offline", "not connected", "not_connected"].iter().any(|words| text.contains(words))
}

/// The relay request: `turn` is on, off or toggle.
pub(crate) fn relay(trid: u64, device: &ShellyId, channel: u8, turn: &str) -> String {
    let data = json!({"cmd": "relay", "params": {"id": channel, "turn": turn}});
    json!({"event": "Shelly:CommandRequest", "trid": trid, "deviceId": device.decimal(), "data": data}).to_string()
}

/// A call of a device of the second generation or later, through the cloud.
pub(crate) fn jrpc(trid: u64, device: &ShellyId, method: &str, params: &Value) -> String {
    let (trid, id) = (trid.to_string(), device.decimal());
    json!({"event": "Shelly:JrpcRequest", "trid": trid, "deviceId": id, "method": method, "params": params}).to_string()
}

/// Where the event socket of an account is. `ws` or `wss` follows the scheme of the account's address. The second text is the same
/// without the token, to be shown.
pub(crate) fn address(api_host: &url::Url, port: u16, token: &str) -> Option<(String, String)> {
    let scheme = match api_host.scheme() {
        "https" => "wss",
        "http" => "ws",
        _ => return None,
    };
    let shown = format!("{scheme}://{}:{port}/shelly/wss/hk_sock", api_host.host_str()?);
    Some((format!("{shown}?t={}", percent::encode(token)), shown))
}

/// The parts that matter, of any type.
#[derive(Deserialize)]
#[serde(default)]
struct Message {
    event: Value,
    trid: Value,
    device: Value,
    #[serde(rename = "deviceId")]
    device_id: Value,
    status: Value,
    online: Value,
    data: Value,
    response: Value,
}

impl Default for Message {
    fn default() -> Message {
        let [event, trid, device, device_id, status, online, data, response] = [const { Value::Null }; 8];
        Message { event, trid, device, device_id, status, online, data, response }
    }
}

impl Message {
    fn device(&self) -> Option<Device> {
        let id = word(&self.device["id"]).or_else(|| word(&self.device_id))?;
        let [code, generation] = ["code", "gen"].map(|name| word(&self.device[name]).unwrap_or_default());
        Some(Device { id, code, generation })
    }

    fn answer(&self, device: Device, outcome: fn(&Message) -> Result<Value, Refusal>) -> Incoming {
        match word(&self.trid) {
            Some(trid) => Incoming::Answer(Answer { trid, device: device.id, outcome: outcome(self) }),
            None => Incoming::Other,
        }
    }
}

/// A text, or the digits of a number.
pub(crate) fn word(value: &Value) -> Option<Box<str>> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    (1..=WORD_BYTES_MAX).contains(&text.len()).then(|| text.into())
}

/// A flag as clouds write it: a number, or a truth.
pub(crate) fn flag(value: &Value) -> Option<bool> {
    value.as_bool().or_else(|| value.as_f64().map(|number| number != 0.0))
}

/// Of ids, models and transactions.
const WORD_BYTES_MAX: usize = 64;
/// Of what was said with a refusal.
const REFUSAL_CHARS_MAX: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(message: &Value) -> Incoming {
        Incoming::read(&message.to_string()).unwrap()
    }

    fn device(id: &str, code: &str, generation: &str) -> Device {
        Device { id: id.into(), code: code.into(), generation: generation.into() }
    }

    #[test]
    fn statuses_and_presence_are_read_in_both_forms() {
        let status = json!({"id": "b0b21c12dd94", "serial": 1_634_630_341.44, "switch:0": {"output": true}});
        let owner = json!({"event": "Shelly:StatusOnChange", "status": status,
            "device": {"id": "194279021665684", "code": "SNPL-00112EU", "gen": "G2"}});
        let whole = device("194279021665684", "SNPL-00112EU", "G2");
        assert_eq!(read(&owner), Incoming::Status { device: whole, status: status.clone() });
        let bare = device("194279021665684", "", "");
        for id in [json!("194279021665684"), json!(194_279_021_665_684_u64)] {
            let message = json!({"event": "Shelly:StatusOnChange", "deviceId": id, "status": status});
            assert_eq!(read(&message), Incoming::Status { device: bare.clone(), status: status.clone() });
        }
        for (flag, online) in [
            (json!(1), Some(true)),
            (json!(0), Some(false)),
            (json!(true), Some(true)),
            (json!(false), Some(false)),
            (json!(null), None),
            (json!("0"), None),
        ] {
            let message = json!({"event": "Shelly:Online", "device": {"id": "194279021665684"}, "online": flag});
            assert_eq!(read(&message), Incoming::Online { device: bare.clone(), online });
        }
        let silent = json!({"event": "Shelly:Online", "deviceId": "194279021665684"});
        assert_eq!(read(&silent), Incoming::Online { device: bare, online: None });
    }

    #[test]
    fn answers_say_what_became_of_a_command() {
        let answer = |message: &Value| match read(message) {
            Incoming::Answer(answer) => (answer.trid.to_string(), answer.outcome.map_err(|refusal| refusal.is_offline)),
            other => panic!("{other:?}"),
        };
        let relay = |data: Value| {
            answer(&json!({"event": "Shelly:CommandResponse", "trid": 12, "deviceId": "7", "data": data}))
        };
        let jrpc = |response: Value| {
            answer(&json!({"event": "Shelly:JrpcResponse", "trid": "12", "deviceId": 7, "response": response}))
        };
        let twelve = || "12".to_owned();
        assert_eq!(relay(json!({"isok": true, "res": {"x": 1}})), (twelve(), Ok(json!({"x": 1}))));
        assert_eq!(relay(json!({"isok": true})), (twelve(), Ok(Value::Null)));
        assert_eq!(relay(json!({"isok": false, "errors": {"busy": "x"}})), (twelve(), Err(false)));
        assert_eq!(relay(json!({"isok": false, "errors": {"device_offline": "x"}})), (twelve(), Err(true)));
        assert_eq!(relay(json!({"isok": false, "errors": ["Device is Offline"]})), (twelve(), Err(true)));
        assert_eq!(relay(json!({})), (twelve(), Err(false)));
        assert_eq!(relay(json!(7)), (twelve(), Err(false)));
        assert_eq!(jrpc(json!({"result": {"was_on": false}})), (twelve(), Ok(json!({"was_on": false}))));
        assert_eq!(jrpc(json!({"error": {"code": -103, "message": "Argument"}})), (twelve(), Err(false)));
        assert_eq!(jrpc(json!({"error": {"message": "DEVICE_OFFLINE"}})), (twelve(), Err(true)));
        assert_eq!(jrpc(json!(null)), (twelve(), Err(false)));
    }

    #[test]
    fn what_is_not_known_is_passed_over_and_what_is_no_message_is_none() {
        for message in [
            json!({}),
            json!({"event": "Shelly:Settings", "deviceId": "7"}),
            json!({"event": 7}),
            json!({"event": "Shelly:StatusOnChange", "status": {}}),
            json!({"event": "Shelly:StatusOnChange", "deviceId": "7", "status": 7}),
            json!({"event": "Shelly:StatusOnChange", "deviceId": "", "status": {}}),
            json!({"event": "Shelly:Online", "device": 7}),
            json!({"event": "Shelly:CommandResponse", "deviceId": "7", "data": {"isok": true}}),
            json!({"event": "Shelly:StatusOnChange", "deviceId": "7".repeat(65), "status": {}}),
        ] {
            assert_eq!(read(&message), Incoming::Other, "{message}");
        }
        for text in ["", "{", "7", "null", "[[]]", "\"x\"", "<html>"] {
            assert_eq!(Incoming::read(text), None, "{text}");
        }
        let long = Refusal::of(&json!("é".repeat(1_000)));
        assert_eq!(long.text.chars().count(), REFUSAL_CHARS_MAX);
    }

    #[test]
    fn commands_name_devices_by_their_decimal_id() {
        let id = ShellyId::parse("b0b21c12dd94").unwrap();
        assert_eq!(
            relay(12, &id, 0, "on"),
            r#"{"event":"Shelly:CommandRequest","trid":12,"deviceId":"194279021665684","data":{"cmd":"relay","params":{"id":0,"turn":"on"}}}"#
        );
        assert_eq!(
            jrpc(12, &id, "Switch.Set", &json!({"id": 0, "on": true, "toggle_after": 1800})),
            r#"{"event":"Shelly:JrpcRequest","trid":"12","deviceId":"194279021665684","method":"Switch.Set","params":{"id":0,"on":true,"toggle_after":1800}}"#
        );
    }

    #[test]
    fn a_socket_is_where_the_account_is() {
        let at = |url: &str| address(&url.parse().unwrap(), 6113, "a.b+c");
        let wss = "wss://shelly-49-eu.shelly.cloud:6113/shelly/wss/hk_sock";
        assert_eq!(at("https://shelly-49-eu.shelly.cloud/x"), Some((format!("{wss}?t=a%2Eb%2Bc"), wss.to_owned())));
        assert_eq!(at("http://127.0.0.1:9000").unwrap().1, "ws://127.0.0.1:6113/shelly/wss/hk_sock");
        assert_eq!(at("ftp://x"), None);
    }
}
