//! Signage's rules as plain functions: what a payload must look like, and who may do what.
//! No effect happens here; `state` has the rules about states, `snapshot` those about images in them.

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::payload::{Address, Answer, Ask, Info};
use super::settings::Settings;
use crate::app::identity::{AuthMethod, Identity};
use crate::app::kit::ack::Fail;
use crate::app::kit::roles::{Roles, Scope, tenant};
use crate::base::hex::hex;

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
/// Characters of a device's error that are repeated.
const ERROR_CHARS_MAX: usize = 4_096;
/// Bytes of what a device says about its network.
const NETWORK_BYTES_MAX: usize = 4_096;

/// The commands of SIGNAGE 3, and whether doing one twice is the same as doing it once.
const COMMANDS: [(&str, bool); 5] =
    [("vlc:play", true), ("vlc:pause", false), ("vlc:stop", true), ("vlc:fullscreen", false), ("vlc:snapshot", true)];

/// Commands that legacy clients have, by their names there.
const LEGACY_COMMANDS: [(&str, &str); 9] = [
    ("vlc:play", "PLAY"),
    ("vlc:pause", "PAUSE"),
    ("vlc:stop", "STOP"),
    ("vlc:next", "NEXT"),
    ("vlc:previous", "PREVIOUS"),
    ("vlc:volume-up", "VOLUME_UP"),
    ("vlc:volume-down", "VOLUME_DOWN"),
    ("vlc:mute", "MUTE"),
    ("vlc:unmute", "UNMUTE"),
];
/// Types of commands to auxiliary sockets, each `sync:…` among the configured ones.
const AUX_COMMANDS: [&str; 3] = ["updateConfig", "updatePlaylist", "restart"];

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

/// Legacy `AUTHENTICATE {id,name,ip,mac,status}` as a registration. A client that has no id, and whose token says of none, gets
/// one of its name and its hardware address: the same the next time.
pub(crate) fn legacy_register(mut map: Map<String, Value>, bound: Option<&str>) -> Map<String, Value> {
    let mut out = Map::new();
    let text = |key: &str| map.get(key).and_then(Value::as_str).unwrap_or_default();
    if map.get("id").is_none_or(Value::is_null) {
        let (name, mac) = (text("name"), text("mac"));
        let made = format!("legacy-{}", hex(&Sha256::digest(format!("{name}:{mac}"))[..4]));
        let made = (!name.is_empty() || !mac.is_empty()).then_some(made);
        if let Some(id) = bound.map(str::to_owned).filter(|_| made.is_some()).or(made) {
            map.insert("id".to_owned(), Value::from(id));
        }
    }
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

/// The bare event by which a legacy client gets a command.
pub(crate) fn legacy_command(command: &str) -> Option<&'static str> {
    LEGACY_COMMANDS.iter().find(|(ours, _)| *ours == command).map(|(_, theirs)| *theirs)
}

/// The type of a command that goes to an auxiliary socket.
pub(crate) fn aux_command(command: &str) -> Option<&str> {
    command.strip_prefix("sync:").filter(|kind| AUX_COMMANDS.contains(kind))
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
    let message = map.shift_remove("message").or_else(|| map.shift_remove("error")).filter(|value| !value.is_null());
    let message = message.map(said);
    Ok(Answer { command_id, success, result: map.shift_remove("result").filter(|value| !value.is_null()), message })
}

/// `command:error {commandId, error}` of an auxiliary socket.
pub(crate) fn aux_error(mut map: Map<String, Value>) -> Result<(String, String), Fail> {
    let command_id = id(map.get("commandId"), "commandId")?;
    let error = map.shift_remove("error").filter(|value| !value.is_null());
    Ok((command_id, error.map_or_else(|| "The device reported an error".to_owned(), said)))
}

/// What a device says went wrong, as far as it is repeated.
pub(crate) fn said(value: Value) -> String {
    let text = match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    text.chars().take(ERROR_CHARS_MAX).collect()
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
