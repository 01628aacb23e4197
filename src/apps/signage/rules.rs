//! Signage's rules as plain functions: what a payload must look like, who may do what, how a report meets a state.
//! No effect happens here; `snapshot` has the rules about snapshots.

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::payload::{Address, Answer, Ask, Info, Report};
use super::settings::Settings;
use crate::app::identity::{AuthMethod, Identity};
use crate::app::kit::ack::Fail;
use crate::app::kit::patch;
use crate::app::kit::roles::{Roles, Scope, tenant};

/// The text clients and admins see when a device may not come in, exactly.
pub(crate) const NOT_AUTHORIZED: &str = "Device not authorized";
/// Bytes of a device id, command id, group, name or version.
pub(crate) const ID_BYTES_MAX: usize = 255;
/// Bytes of a fleet's name; it becomes part of room names.
pub(crate) const FLEET_BYTES_MAX: usize = 128;
/// Groups of one identity that count.
pub(crate) const GROUPS_PER_IDENTITY_MAX: usize = 32;
/// Devices one command may name.
pub(crate) const DEVICES_PER_COMMAND_MAX: usize = 1_000;
/// Bytes of an event, and of a device's whole state, snapshots apart (SIGNAGE 7).
pub(crate) const EVENT_BYTES_MAX: usize = 1 << 20;
/// What `timeoutMs` of a command may be.
pub(crate) const COMMAND_TIMEOUT_MS_RANGE: std::ops::RangeInclusive<u64> = 1..=600_000;
/// The largest whole number that a double holds without doubt.
const MAX_SAFE_INTEGER: f64 = 9_007_199_254_740_991.0;
/// Bytes of what a device says about its network.
const NETWORK_BYTES_MAX: usize = 4_096;

/// The keys of a state; one that has them all replaces the state.
pub(crate) const STATE_KEYS: [&str; 8] =
    ["timestamp", "system", "storage", "vlc", "app", "activePlaylist", "defaultPlaylist", "snapshot"];
/// The commands of SIGNAGE 3, and whether doing one twice is the same as doing it once.
const COMMANDS: [(&str, bool); 5] =
    [("vlc:play", true), ("vlc:pause", false), ("vlc:stop", true), ("vlc:fullscreen", false), ("vlc:snapshot", true)];

/// What a person may do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Role {
    Viewer,
    Operator,
    Admin,
}

const ROLES: Roles<Role> = Roles {
    words: &[("admin", Role::Admin), ("operator", Role::Operator), ("viewer", Role::Viewer)],
    without: None,
    other: None,
};

/// A person's role; `None` for devices and strangers.
pub(crate) fn role_of(identity: &Identity) -> Option<Role> {
    ROLES.of(identity).filter(|_| identity.method != AuthMethod::Application)
}

/// An admin sees all; everybody else the groups the token names, and nothing without.
pub(crate) fn scope_of(role: Role, identity: &Identity) -> Scope<'_> {
    match role {
        Role::Admin => Scope::All,
        _ => Scope::groups(identity, GROUPS_PER_IDENTITY_MAX),
    }
}

/// The fleet an identity belongs to.
pub(crate) fn fleet_of(identity: &Identity) -> &str {
    tenant(identity, "default")
}

/// Whether a tenant's name can be a fleet's: it is kept in every row.
pub(crate) fn is_fleet(name: &str) -> bool {
    name.len() <= FLEET_BYTES_MAX && !name.contains('\0')
}

/// Hex SHA-256 of a token; empty for the empty token, which never matches. Hashes are compared as they are: what the time
/// of a comparison tells about a hash tells nothing about a token.
pub(crate) fn hash(token: &str) -> String {
    if token.is_empty() {
        return String::new();
    }
    hex(&Sha256::digest(token.as_bytes()))
}

/// A name for a group that is safe inside a room's name and of fixed length.
pub(crate) fn short_hash(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes())[..16])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A device or command id: text or a whole number, 1 to 255 bytes, no control characters, and not the wildcard.
pub(crate) fn id(value: Option<&Value>, what: &str) -> Result<String, Fail> {
    let text = match value {
        Some(Value::String(text)) => text.clone(),
        Some(number @ Value::Number(_)) => match whole(number) {
            Some(number) => number.to_string(),
            None => return Err(Fail::validation(format!("{what} must be a string or a whole number"))),
        },
        None | Some(Value::Null) => return Err(Fail::validation(format!("{what} is required"))),
        Some(_) => return Err(Fail::validation(format!("{what} must be a string"))),
    };
    if text.is_empty() || text.len() > ID_BYTES_MAX || text == "*" || text.chars().any(char::is_control) {
        return Err(Fail::validation(format!("{what} must have 1 to {ID_BYTES_MAX} bytes and no control characters")));
    }
    Ok(text)
}

/// A whole number that is not negative, also as languages with one kind of number write it (`500.0`).
pub(crate) fn whole(value: &Value) -> Option<u64> {
    let is_whole = |number: &f64| number.fract() == 0.0 && (0.0..=MAX_SAFE_INTEGER).contains(number);
    value.as_u64().or_else(|| value.as_f64().filter(is_whole).map(|number| number as u64))
}

/// The one argument of most events.
pub(crate) fn object(value: Option<Value>) -> Result<Map<String, Value>, Fail> {
    match value {
        Some(Value::Object(map)) => Ok(map),
        _ => Err(Fail::validation("The payload must be an object")),
    }
}

/// What a device tells of itself. Unfit fields are refused, not bent.
pub(crate) fn info(map: &Map<String, Value>) -> Result<Info, Fail> {
    let text = |key: &str| match map.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.len() <= ID_BYTES_MAX && !text.contains('\0') => Ok(Some(text.clone())),
        Some(Value::Number(number)) => Ok(Some(number.to_string())),
        Some(_) => {
            Err(Fail::validation(format!("{key} must be a string of at most {ID_BYTES_MAX} bytes, without NUL")))
        }
    };
    let network = map.get("deviceNetwork").filter(|value| !value.is_null()).cloned();
    if network.as_ref().is_some_and(|network| weight(network) > NETWORK_BYTES_MAX) {
        return Err(Fail::validation("deviceNetwork is too large"));
    }
    Ok(Info {
        name: text("deviceName")?,
        kind: text("deviceType")?,
        group: text("deviceGroup")?,
        app_version: text("appVersion")?,
        network,
    })
}

/// Legacy `AUTHENTICATE {id,name,ip,mac,status}` as a registration.
pub(crate) fn legacy_register(mut map: Map<String, Value>) -> Map<String, Value> {
    let mut out = Map::new();
    for (theirs, ours) in [("id", "deviceId"), ("name", "deviceName"), ("type", "deviceType"), ("group", "deviceGroup")]
    {
        if let Some(value) = map.shift_remove(theirs) {
            out.insert(ours.to_owned(), value);
        }
    }
    let network = json!({"localIP": map.get("ip"), "macAddress": map.get("mac")});
    out.insert("deviceNetwork".to_owned(), network);
    out
}

/// Whether a command exists here, and if so whether it may be repeated.
pub(crate) fn command_kind(command: &str, settings: &Settings) -> Option<bool> {
    let known = COMMANDS.iter().find(|(name, _)| *name == command).map(|(_, idempotent)| *idempotent);
    known.or_else(|| settings.extra_commands.iter().any(|extra| extra == command).then_some(false))
}

/// The value of the label `command`: from a closed set, whatever was asked.
pub(crate) fn command_label(command: &str, settings: &Settings) -> &'static str {
    let known = COMMANDS.iter().find(|(name, _)| *name == command).map(|(name, _)| *name);
    known.unwrap_or(if command_kind(command, settings).is_some() { "extra" } else { "other" })
}

/// An admin's command. One that cannot be read at all is refused; whether it exists is asked later, so that the refusal can name it.
pub(crate) fn ask(map: &Map<String, Value>) -> Result<Ask, Fail> {
    let command = match map.get("command") {
        Some(Value::String(command)) if !command.is_empty() && command.len() <= ID_BYTES_MAX => command.clone(),
        _ => return Err(Fail::validation("command is required")),
    };
    let params = match map.get("params") {
        None | Some(Value::Null) => json!({}),
        Some(params @ Value::Object(_)) => params.clone(),
        Some(_) => return Err(Fail::validation("params must be an object")),
    };
    let command_id = map.get("commandId").filter(|value| !value.is_null()).map(|value| id(Some(value), "commandId"));
    let timeout_ms = match map.get("timeoutMs").filter(|value| !value.is_null()) {
        None => None,
        Some(value) => Some(whole(value).filter(|ms| COMMAND_TIMEOUT_MS_RANGE.contains(ms)).ok_or_else(|| {
            let range = COMMAND_TIMEOUT_MS_RANGE;
            Fail::validation(format!("timeoutMs must be {} to {}", range.start(), range.end()))
        })?),
    };
    Ok(Ask { command, params, to: address(map)?, command_id: command_id.transpose()?, timeout_ms })
}

fn address(map: &Map<String, Value>) -> Result<Address, Fail> {
    let given = |key: &str| map.get(key).filter(|value| !value.is_null());
    match (given("deviceId"), given("deviceIds"), given("group")) {
        (Some(device), None, None) => Ok(Address::Device(id(Some(device), "deviceId")?)),
        (None, Some(Value::Array(list)), None) if (1..=DEVICES_PER_COMMAND_MAX).contains(&list.len()) => {
            let mut ids = list.iter().map(|one| id(Some(one), "deviceIds")).collect::<Result<Vec<_>, _>>()?;
            let mut seen = std::collections::BTreeSet::new();
            ids.retain(|one| seen.insert(one.clone()));
            Ok(Address::Devices(ids))
        }
        (None, None, Some(group)) => Ok(Address::Group(id(Some(group), "group")?)),
        (None, Some(_), None) => {
            Err(Fail::validation(format!("deviceIds must be 1 to {DEVICES_PER_COMMAND_MAX} device ids")))
        }
        (None, None, None) => Err(Fail::validation("deviceId is required")),
        _ => Err(Fail::validation("One of deviceId, deviceIds and group, not several")),
    }
}

/// A device's answer to a command. A status other than `success` and `error` is refused.
pub(crate) fn answer(mut map: Map<String, Value>) -> Result<Answer, Fail> {
    let command_id = id(map.get("commandId"), "commandId")?;
    let success = match map.get("status").and_then(Value::as_str) {
        Some("success") => true,
        Some("error") => false,
        _ => return Err(Fail::validation("status must be success or error")),
    };
    let text = |value: Value| match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    let message = map.shift_remove("message").or_else(|| map.shift_remove("error")).filter(|value| !value.is_null());
    let message = message.map(text).map(|text| text.chars().take(4_096).collect());
    Ok(Answer { command_id, success, result: map.shift_remove("result").filter(|value| !value.is_null()), message })
}

/// A report of state, in today's shape or the older flat one.
pub(crate) fn report(mut map: Map<String, Value>) -> Result<Report, Fail> {
    let device_id = map.shift_remove("deviceId").filter(|value| !value.is_null());
    let device_id = device_id.map(|value| id(Some(&value), "deviceId")).transpose()?;
    if !map.contains_key("vlc") && ["playing", "currentMedia", "volume"].iter().any(|key| map.contains_key(*key)) {
        let vlc = older_player(&map);
        map.insert("vlc".to_owned(), vlc);
    }
    map.retain(|key, _| STATE_KEYS.contains(&key.as_str()));
    let full = map.len() == STATE_KEYS.len();
    for (key, value) in &map {
        let fits = match key.as_str() {
            "timestamp" => value.is_string() || value.is_number(),
            // An image may stand here by itself.
            "snapshot" => value.is_object() || value.is_string(),
            _ => value.is_object(),
        };
        if !fits && !value.is_null() {
            let kind = if key == "timestamp" { "a string" } else { "an object" };
            return Err(Fail::validation(format!("{key} must be {kind}")));
        }
    }
    Ok(Report { device_id, full, state: map })
}

/// What an older client says flat, as the section `vlc`.
fn older_player(map: &Map<String, Value>) -> Value {
    let mut vlc = Map::new();
    if let Some(playing) = map.get("playing").and_then(Value::as_bool) {
        vlc.insert("state".to_owned(), json!(if playing { "playing" } else { "stopped" }));
        vlc.insert("isRunning".to_owned(), json!(playing));
    }
    for (theirs, ours) in [("currentMedia", "currentItem"), ("volume", "volume")] {
        if let Some(value) = map.get(theirs) {
            vlc.insert(ours.to_owned(), value.clone());
        }
    }
    Value::Object(vlc)
}

/// Legacy `heartbeat {…, vlc, snapshot, systemState}` as a report.
pub(crate) fn legacy_report(mut map: Map<String, Value>) -> Map<String, Value> {
    if let Some(system) = map.shift_remove("systemState").filter(Value::is_object) {
        map.insert("system".to_owned(), system);
    }
    if let Some(id) = map.shift_remove("id") {
        map.entry("deviceId").or_insert(id);
    }
    for key in ["vlc", "system", "storage", "app", "activePlaylist", "defaultPlaylist"] {
        if map.get(key).is_some_and(|value| !value.is_object()) {
            map.shift_remove(key);
        }
    }
    map
}

/// The state after a report. The server's own snapshot survives a report that brings no other: devices do not know its URL.
pub(crate) fn merge(current: &Value, report: Report) -> Value {
    let mut next = if report.full { json!({}) } else { current.clone() };
    let ours = current.get("snapshot").filter(|snapshot| snapshot.get("sha256").is_some());
    let brings_other = report.state.get("snapshot").and_then(|snapshot| snapshot.get("url")).is_some();
    patch::apply(&mut next, &Value::Object(report.state));
    patch::strip_nulls(&mut next);
    if let (Some(ours), false) = (ours, brings_other) {
        next["snapshot"] = ours.clone();
    }
    next
}

/// Whether two states differ in more than their `timestamp`.
pub(crate) fn differ(before: &Value, after: &Value) -> bool {
    let sections = |state: &Value, other: &Value| {
        let keys = state.as_object().into_iter().flatten();
        keys.filter(|(key, _)| *key != "timestamp").any(|(key, value)| other.get(key) != Some(value))
    };
    sections(before, after) || sections(after, before)
}

/// What makes a change urgent.
pub(crate) fn player_state(state: &Value) -> Option<&Value> {
    state.get("vlc")?.get("state")
}

/// Bytes a value takes as JSON, roughly and without writing it.
pub(crate) fn weight(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) => 5,
        Value::Number(_) => 8,
        Value::String(text) => text.len() + 2,
        Value::Array(list) => 2 + list.iter().map(|inner| weight(inner) + 1).sum::<usize>(),
        Value::Object(map) => 2 + map.iter().map(|(key, inner)| key.len() + 4 + weight(inner)).sum::<usize>(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::identity::Claims;

    fn map(value: Value) -> Map<String, Value> {
        object(Some(value)).expect("tests write objects")
    }

    #[test]
    fn ids_are_short_text_and_never_the_wildcard() {
        for (value, expected) in [
            (json!("p1"), Some("p1")),
            (json!(7), Some("7")),
            (json!(7.0), Some("7")),
            (json!(7.5), None),
            (json!(""), None),
            (json!("*"), None),
            (json!(null), None),
            (json!(-1), None),
            (json!({}), None),
            (json!("a\nb"), None),
            (json!("x".repeat(256)), None),
        ] {
            assert_eq!(id(Some(&value), "deviceId").ok().as_deref(), expected, "{value}");
        }
        assert_eq!(id(None, "deviceId").unwrap_err().code, "VALIDATION");
    }

    #[test]
    fn a_command_is_read_or_refused_as_a_whole() {
        let good = ask(&map(json!({"command":"vlc:play","deviceId":"p1"}))).unwrap();
        assert_eq!(good.to, Address::Device("p1".into()));
        assert_eq!((good.params, good.command_id, good.timeout_ms), (json!({}), None, None));
        let many = ask(&map(json!({"command":"vlc:play","deviceIds":["a","b","a"],"timeoutMs":500.0}))).unwrap();
        assert_eq!((many.to, many.timeout_ms), (Address::Devices(vec!["a".into(), "b".into()]), Some(500)));
        for bad in [
            json!({"deviceId":"p1"}),
            json!({"command":"","deviceId":"p1"}),
            json!({"command":7,"deviceId":"p1"}),
            json!({"command":"vlc:play"}),
            json!({"command":"vlc:play","deviceId":"p1","group":"g"}),
            json!({"command":"vlc:play","deviceIds":[]}),
            json!({"command":"vlc:play","deviceIds":"p1"}),
            json!({"command":"vlc:play","deviceIds":vec!["p"; 1001]}),
            json!({"command":"vlc:play","deviceId":"p1","params":"str"}),
            json!({"command":"vlc:play","deviceId":"p1","params":[1]}),
            json!({"command":"vlc:play","deviceId":"p1","timeoutMs":0}),
            json!({"command":"vlc:play","deviceId":"p1","timeoutMs":-5}),
            json!({"command":"vlc:play","deviceId":"p1","timeoutMs":"5"}),
            json!({"command":"vlc:play","deviceId":"p1","commandId":{}}),
            json!({"command":"vlc:play","deviceId":"p1","commandId":"x".repeat(256)}),
        ] {
            assert_eq!(ask(&map(bad.clone())).unwrap_err().code, "VALIDATION", "{bad}");
        }
    }

    #[test]
    fn toggles_are_not_repeated_and_extras_must_be_configured() {
        let settings = Settings { extra_commands: vec!["tv:on".into()], ..Settings::default() };
        for (command, kind, label) in [
            ("vlc:play", Some(true), "vlc:play"),
            ("vlc:stop", Some(true), "vlc:stop"),
            ("vlc:snapshot", Some(true), "vlc:snapshot"),
            ("vlc:pause", Some(false), "vlc:pause"),
            ("vlc:fullscreen", Some(false), "vlc:fullscreen"),
            ("tv:on", Some(false), "extra"),
            ("rm -rf", None, "other"),
        ] {
            assert_eq!(command_kind(command, &settings), kind, "{command}");
            assert_eq!(command_label(command, &settings), label);
        }
    }

    #[test]
    fn answers_need_an_id_and_a_known_status() {
        let good = answer(map(json!({"commandId":"c","status":"error","message":"VLC no responde"}))).unwrap();
        assert_eq!((good.success, good.message.as_deref()), (false, Some("VLC no responde")));
        for bad in [json!({"status":"success"}), json!({"commandId":"c"}), json!({"commandId":"c","status":"maybe"})] {
            assert!(answer(map(bad)).is_err());
        }
    }

    fn full(time: u32) -> Value {
        json!({"timestamp":"t","system":{"cpu":1},"storage":{},"vlc":{"state":"playing","time":time},"app":{},
            "activePlaylist":{},"defaultPlaylist":{},"snapshot":{}})
    }

    fn merged(current: &Value, incoming: Value) -> Value {
        merge(current, report(map(incoming)).unwrap())
    }

    #[test]
    fn eight_keys_replace_and_fewer_merge() {
        let before = merged(&json!({}), full(30));
        assert_eq!(before, full(30));
        let mut other = full(31);
        other["system"] = json!({"mem": 2});
        assert_eq!(merged(&before, other.clone()), other);
        let partial = merged(&before, json!({"vlc":{"time":31,"state":null}}));
        assert_eq!(partial["vlc"], json!({"time":31}));
        assert_eq!(partial["system"], json!({"cpu":1}));
        let mut nulls = full(1);
        nulls["app"] = json!(null);
        assert!(merged(&before, nulls).get("app").is_none(), "null means absent");
    }

    #[test]
    fn unfit_sections_are_refused_and_foreign_keys_ignored() {
        for bad in [json!({"vlc":[]}), json!({"vlc":"x"}), json!({"timestamp":{}}), json!({"snapshot":4})] {
            assert_eq!(report(map(bad.clone())).unwrap_err().code, "VALIDATION", "{bad}");
        }
        assert!(report(map(json!({"evil":1,"deviceId":"p1"}))).unwrap().state.is_empty());
    }

    #[test]
    fn the_older_shape_becomes_a_section() {
        let old = json!({"playing":true,"currentMedia":"a.mp4","volume":80,"timestamp":"t","deviceId":"p1"});
        let state = merged(&json!({}), old);
        assert_eq!(state["vlc"], json!({"state":"playing","isRunning":true,"currentItem":"a.mp4","volume":80}));
    }

    #[test]
    fn the_servers_snapshot_survives_a_report_without_one() {
        let mut state = full(1);
        state["snapshot"] = json!({"url":"/signage/snapshots/x","sha256":"aa"});
        assert_eq!(merged(&state, full(2))["snapshot"]["sha256"], "aa");
        let other = merged(&state, json!({"snapshot":{"url":"http://player/x.png","sha256":null}}));
        assert_eq!(other["snapshot"], json!({"url":"http://player/x.png"}));
    }

    #[test]
    fn the_timestamp_alone_is_no_change() {
        let (before, mut after) = (full(1), full(1));
        after["timestamp"] = json!("later");
        assert!(!differ(&before, &after));
        after["vlc"]["time"] = json!(2);
        assert!(differ(&before, &after));
        assert!(differ(&json!({}), &json!({"vlc":{}})) && differ(&json!({"vlc":{}}), &json!({})));
    }

    #[test]
    fn roles_and_groups_decide_what_is_seen() {
        let who = |role: &str, groups: &[&str]| {
            let groups = groups.iter().map(|group| (*group).to_owned()).collect();
            Identity::from(Claims { role: role.into(), groups, method: AuthMethod::Jwt, ..Claims::default() })
        };
        for (identity, role, sees_g1) in [
            (who("admin", &[]), Some(Role::Admin), true),
            (who("*", &[]), Some(Role::Admin), true),
            (who("operator", &["g2"]), Some(Role::Operator), false),
            (who("operator", &["g1", "g2"]), Some(Role::Operator), true),
            (who("viewer", &[]), Some(Role::Viewer), false),
            (who("device", &[]), None, false),
            (who("", &[]), None, false),
        ] {
            assert_eq!(role_of(&identity), role);
            let scope = role.map(|role| scope_of(role, &identity));
            assert_eq!(scope.is_some_and(|scope| scope.covers("g1")), sees_g1, "{identity:?}");
        }
    }

    #[test]
    fn an_empty_token_has_no_hash() {
        assert_eq!(hash(""), "");
        assert_eq!(hash("player_token").len(), 64);
    }
}
