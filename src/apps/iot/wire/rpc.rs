//! Frames of devices of the second generation and later: calls with an id, answers under the same one, notifications without. They
//! are the same whoever has dialled whom.

use serde::Deserialize;
use serde_json::{Value, json};

use super::id::ShellyId;
use super::socket::Refusal;

/// What a device says.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Frame {
    Answer {
        id: u64,
        /// How the device calls itself.
        src: Box<str>,
        outcome: Result<Value, Error>,
    },
    /// A status, whole or of changes, or events: `params` as they came.
    Notification { src: Box<str>, kind: Notification, params: Value },
    /// A call of the device's own, to which [`refusal`] is the answer.
    Call { id: Value, src: Box<str> },
    /// A notification that means nothing to us.
    Other,
}

/// What a notification tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Notification {
    FullStatus,
    Status,
    Event,
}

/// Why a call was not done.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Error {
    pub code: i64,
    /// A text, or with 401 what is asked for.
    pub message: Value,
}

/// One thing that has happened at a device.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Happening {
    pub component: String,
    pub kind: String,
    pub value: Option<Value>,
    /// Seconds since 1970, as the device has it.
    pub ts: Option<f64>,
}

impl Frame {
    /// Reads a message; `None`: it is no frame.
    pub(crate) fn read(text: &str) -> Option<Frame> {
        let raw: Raw = serde_json::from_str(text).ok().filter(|_| text.trim_start().starts_with('{'))?;
        let src: Box<str> = raw.src.as_str().unwrap_or_default().into();
        let Some(method) = raw.method.as_str() else {
            let id = raw.id.as_u64()?;
            let outcome = if raw.error.is_object() { Err(Error::of(&raw.error)) } else { Ok(raw.result) };
            return Some(Frame::Answer { id, src, outcome });
        };
        if !raw.id.is_null() {
            return Some(Frame::Call { id: raw.id, src });
        }
        let kind = match method {
            "NotifyFullStatus" => Notification::FullStatus,
            "NotifyStatus" => Notification::Status,
            "NotifyEvent" => Notification::Event,
            _ => return Some(Frame::Other),
        };
        Some(Frame::Notification { src, kind, params: raw.params })
    }

    /// The device that has sent it, by its own word.
    pub(crate) fn device(&self) -> Option<ShellyId> {
        match self {
            Frame::Answer { src, .. } | Frame::Notification { src, .. } | Frame::Call { src, .. } => {
                ShellyId::of_src(src)
            }
            Frame::Other => None,
        }
    }
}

impl Error {
    /// Whether a password is asked for.
    pub(crate) fn is_unauthorized(&self) -> bool {
        self.code == 401
    }

    /// As the refusal of a command.
    pub(crate) fn refusal(&self) -> Refusal {
        Refusal::of(&json!({"code": self.code, "message": self.message}))
    }

    fn of(error: &Value) -> Error {
        Error { code: error["code"].as_i64().unwrap_or_default(), message: error["message"].clone() }
    }
}

/// A call; `auth` where the device has asked for it.
pub(crate) fn call(id: u64, method: &str, params: &Value, auth: Option<Value>) -> String {
    let mut frame = json!({"id": id, "src": SRC, "method": method});
    if !params.is_null() {
        frame["params"] = params.clone();
    }
    if let Some(auth) = auth {
        frame["auth"] = auth;
    }
    frame.to_string()
}

/// What a device gets that calls us.
pub(crate) fn refusal(id: &Value, device: &str) -> String {
    let error = json!({"code": 500, "message": "Not Implemented"});
    json!({"id": id, "src": SRC, "dst": device, "error": error}).to_string()
}

/// What `Switch.Set` is told: on or off, and after how many seconds back.
pub(crate) fn switch_set(channel: u8, on: bool, timer_s: Option<u32>) -> Value {
    let mut params = json!({"id": channel, "on": on});
    if let Some(timer_s) = timer_s {
        params["toggle_after"] = timer_s.into();
    }
    params
}

/// Whether the switch was on before, as the answer to `Switch.Set` or `Switch.Toggle` says.
pub(crate) fn was_on(result: &Value) -> Option<bool> {
    result["was_on"].as_bool()
}

/// What the parameters of a `NotifyEvent` tell; at most [`HAPPENINGS_MAX`], and none that has no name.
pub(crate) fn happenings(params: &Value) -> Vec<Happening> {
    let events = params["events"].as_array().map_or(&[][..], Vec::as_slice);
    events.iter().filter_map(happening).take(HAPPENINGS_MAX).collect()
}

fn happening(event: &Value) -> Option<Happening> {
    let word = |name: &str| event[name].as_str().filter(|text| (1..=WORD_BYTES_MAX).contains(&text.len()));
    let value = ["value", "data"].iter().find_map(|name| event.get(*name)).filter(|value| !value.is_null());
    Some(Happening {
        component: word("component")?.to_owned(),
        kind: word("event")?.to_owned(),
        value: value.cloned(),
        ts: event["ts"].as_f64(),
    })
}

#[derive(Deserialize)]
struct Raw {
    #[serde(default)]
    id: Value,
    #[serde(default)]
    src: Value,
    #[serde(default)]
    method: Value,
    #[serde(default)]
    params: Value,
    #[serde(default)]
    result: Value,
    #[serde(default)]
    error: Value,
}

/// How we call ourselves.
const SRC: &str = "siod";
const HAPPENINGS_MAX: usize = 16;
const WORD_BYTES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    const DEVICE: &str = "shellyplusplugs-aabbccddeeff";

    fn read(frame: &Value) -> Frame {
        Frame::read(&frame.to_string()).unwrap_or_else(|| panic!("{frame}"))
    }

    #[test]
    fn frames_are_told_apart() {
        let src: Box<str> = DEVICE.into();
        let result = json!({"id": 1, "src": DEVICE, "dst": "siod", "result": {"was_on": false}});
        let outcome = Ok(json!({"was_on": false}));
        assert_eq!(read(&result), Frame::Answer { id: 1, src: src.clone(), outcome });
        let refused =
            json!({"id": 1, "src": DEVICE, "error": {"code": -103, "message": "Argument 'id', value 5 not found!"}});
        let error = Error { code: -103, message: json!("Argument 'id', value 5 not found!") };
        assert!(!error.is_unauthorized());
        assert_eq!(read(&refused), Frame::Answer { id: 1, src: src.clone(), outcome: Err(error) });
        for (method, kind) in [
            ("NotifyFullStatus", Notification::FullStatus),
            ("NotifyStatus", Notification::Status),
            ("NotifyEvent", Notification::Event),
        ] {
            let params = json!({"ts": 1.5, "switch:0": {"output": true}});
            let frame = read(&json!({"src": DEVICE, "dst": "ws", "method": method, "params": params}));
            assert_eq!(frame, Frame::Notification { src: src.clone(), kind, params });
            assert_eq!(frame.device(), ShellyId::parse("aabbccddeeff"));
        }
        let call = json!({"id": 7, "src": DEVICE, "method": "Shelly.GetStatus"});
        assert_eq!(read(&call), Frame::Call { id: json!(7), src });
        assert_eq!(read(&json!({"src": DEVICE, "method": "NotifyBle", "params": {}})), Frame::Other);
    }

    #[test]
    fn what_is_no_frame_is_none() {
        for text in
            ["", "{", "7", "[]", "[1,\"x\"]", "null", "{}", r#"{"id":"x","result":{}}"#, r#"{"src":"x"}"#, "<html>"]
        {
            assert_eq!(Frame::read(text), None, "{text}");
        }
        let nameless = read(&json!({"method": "NotifyStatus", "params": null}));
        assert_eq!(nameless.device(), None);
    }

    #[test]
    fn calls_are_frames_with_our_name() {
        assert_eq!(
            call(1, "Switch.Set", &switch_set(0, true, Some(1_800)), None),
            r#"{"id":1,"src":"siod","method":"Switch.Set","params":{"id":0,"on":true,"toggle_after":1800}}"#
        );
        assert_eq!(
            call(2, "Shelly.GetStatus", &Value::Null, None),
            r#"{"id":2,"src":"siod","method":"Shelly.GetStatus"}"#
        );
        let auth = json!({"realm": "r"});
        assert_eq!(
            call(3, "Switch.Toggle", &json!({"id": 1}), Some(auth)),
            r#"{"id":3,"src":"siod","method":"Switch.Toggle","params":{"id":1},"auth":{"realm":"r"}}"#
        );
        assert_eq!(
            refusal(&json!(7), DEVICE),
            r#"{"id":7,"src":"siod","dst":"shellyplusplugs-aabbccddeeff","error":{"code":500,"message":"Not Implemented"}}"#
        );
        assert_eq!([json!({"was_on": true}), json!({})].map(|result| was_on(&result)), [Some(true), None]);
    }

    #[test]
    fn happenings_have_a_component_and_a_kind() {
        let push = json!({"component": "input:0", "id": 0, "event": "single_push", "ts": 1_707_326_927.5});
        let over = json!({"component": "switch:0", "event": "over_power", "value": 2_600, "ts": "x"});
        let told = happenings(&json!({"events": [push.clone(), over, {"component": "sys"}, {"event": "x"}, 7]}));
        let kinds: Vec<_> =
            told.iter().map(|told| (&*told.component, &*told.kind, told.value.clone(), told.ts)).collect();
        assert_eq!(
            kinds,
            [
                ("input:0", "single_push", None, Some(1_707_326_927.5)),
                ("switch:0", "over_power", Some(json!(2_600)), None)
            ]
        );
        assert_eq!(happenings(&json!({"events": vec![push.clone(); 99]})).len(), HAPPENINGS_MAX);
        assert!(happenings(&json!(null)).is_empty() && happenings(&json!({"events": 7})).is_empty());
    }
}
