//! A device's state as plain functions: the shapes it is reported in, how a report meets the state before, which changes
//! count, and where the player itself serves its snapshot (SIGNAGE 9.6, 9.16 and 9.18). No effect happens here.

use core::net::IpAddr;

use serde_json::{Map, Value, json};

use super::rules;
use crate::app::kit::ack::Fail;
use crate::app::kit::patch;

/// A report of state with its shape checked: what every event that reports comes down to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Report {
    pub device_id: Option<String>,
    pub how: How,
    /// Sections under our names; with [`How::Sections`] also `network`, which stands for `system.network` alone.
    pub state: Map<String, Value>,
}

/// How a report meets the state before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum How {
    /// All eight sections were there: it is the state.
    Whole,
    /// It is a merge patch.
    Merge,
    /// Each section takes the place of the one before, and nothing in it is merged.
    Sections,
}

/// Paths of a state whose changes alone are no change, as a tree.
#[derive(Debug, Default)]
pub(crate) struct Volatile {
    /// The path ends here: whatever is below is volatile.
    whole: bool,
    inner: Vec<(Box<str>, Volatile)>,
}

impl Volatile {
    /// Paths such as `system.uptime`.
    pub(crate) fn of(paths: &[String]) -> Volatile {
        let mut root = Volatile::default();
        for path in paths {
            let mut at = &mut root;
            for name in path.split('.') {
                let index = at.inner.iter().position(|(known, _)| **known == *name).unwrap_or_else(|| {
                    at.inner.push((name.into(), Volatile::default()));
                    at.inner.len() - 1
                });
                at = &mut at.inner[index].1;
            }
            at.whole = true;
        }
        root
    }

    fn below(&self, name: &str) -> Option<&Volatile> {
        self.inner.iter().find(|(known, _)| **known == *name).map(|(_, inner)| inner)
    }
}

/// The keys of a state; a report that has them all replaces it.
const STATE_KEYS: [&str; 8] =
    ["timestamp", "system", "storage", "vlc", "app", "activePlaylist", "defaultPlaylist", "snapshot"];
/// Fields of `vlc` whose change is published at once.
const URGENT: [&str; 6] = ["state", "status", "playing", "paused", "stopped", "currentItem"];
/// Names of sections in older states, and ours.
const OLDER: [(&str, &str); 2] = [("player", "vlc"), ("playlist", "activePlaylist")];
/// Bytes of a path that a player names its snapshot by.
const PATH_BYTES_MAX: usize = 2_048;

/// `player:state`, in today's shape or an older one.
pub(crate) fn report(mut map: Map<String, Value>) -> Result<Report, Fail> {
    let device_id = take_device_id(&mut map)?;
    let how = if STATE_KEYS.iter().all(|key| map.contains_key(*key)) { How::Whole } else { How::Merge };
    let has_player = ["vlc", "player"].iter().any(|key| map.contains_key(*key));
    if !has_player && ["playing", "currentMedia", "volume"].iter().any(|key| map.contains_key(*key)) {
        let vlc = flat_player(&map);
        map.insert("vlc".to_owned(), vlc);
    }
    let mut state = sections(map)?;
    if let Some(network) = state.shift_remove("network") {
        state.insert("system".to_owned(), json!({"network": network}));
    }
    Ok(Report { device_id, how, state })
}

/// `state:update {deviceId, timestamp, changes}`; without `changes` it is an older state.
pub(crate) fn update(mut map: Map<String, Value>) -> Result<Report, Fail> {
    let mut changes = match map.shift_remove("changes") {
        None | Some(Value::Null) => return report(map),
        Some(Value::Object(changes)) => changes,
        Some(_) => return Err(Fail::validation("changes must be an object")),
    };
    let device_id = take_device_id(&mut map)?;
    if let Some(timestamp) = map.shift_remove("timestamp").filter(|at| !at.is_null()) {
        changes.entry("timestamp").or_insert(timestamp);
    }
    Ok(Report { device_id, how: How::Sections, state: sections(changes)? })
}

/// `player:status` and its like: one section, merged. Its fields stand beside `deviceId` and `timestamp`, or together
/// below one name.
pub(crate) fn status(mut map: Map<String, Value>, section: &str) -> Result<Report, Fail> {
    let device_id = take_device_id(&mut map)?;
    let timestamp = map.shift_remove("timestamp").filter(|at| !at.is_null());
    let names = [section, "status", "player", "playlist"];
    let inner = match map.iter().next() {
        Some((name, Value::Object(inner))) if map.len() == 1 && names.contains(&&**name) => inner.clone(),
        _ => map,
    };
    let mut state = Map::from_iter([(section.to_owned(), Value::Object(inner))]);
    state.extend(timestamp.map(|at| ("timestamp".to_owned(), at)));
    Ok(Report { device_id, ..report(state)? })
}

/// `heartbeat` and `STATUS_UPDATE` of legacy clients, `{id, vlc: {status, playlist}, snapshot, systemState}`. What does not
/// fit is not used: these clients hear of no error.
pub(crate) fn heartbeat(mut map: Map<String, Value>) -> Result<Report, Fail> {
    if let Some(system) = map.shift_remove("systemState").filter(Value::is_object) {
        map.insert("system".to_owned(), system);
    }
    if let Some(id) = map.shift_remove("id") {
        map.entry("deviceId").or_insert(id);
    }
    if let Some(Value::Object(vlc)) = map.get_mut("vlc") {
        let playlist = vlc.shift_remove("playlist").filter(Value::is_object);
        if vlc.get("status").is_some_and(Value::is_object) {
            let status = vlc.shift_remove("status").unwrap_or_default();
            map.insert("vlc".to_owned(), status);
        }
        if let Some(playlist) = playlist {
            map.entry("activePlaylist").or_insert(playlist);
        }
    }
    let is_unfit = |key: &str, value: &Value| match key {
        "timestamp" => !(value.is_string() || value.is_number()),
        "snapshot" => !(value.is_object() || value.is_string()),
        _ => STATE_KEYS.contains(&key) && !value.is_object(),
    };
    map.retain(|key, value| !is_unfit(key, value));
    for (theirs, _) in OLDER.iter().chain(&[("network", ""), ("_meta", "")]) {
        map.shift_remove(*theirs);
    }
    report(map)
}

/// The device that a payload says it is of.
pub(crate) fn take_device_id(map: &mut Map<String, Value>) -> Result<Option<String>, Fail> {
    let device_id = map.shift_remove("deviceId").filter(|value| !value.is_null());
    device_id.map(|value| rules::id(Some(&value), "deviceId")).transpose()
}

/// The sections of a state under our names, each of the right kind; where one comes under both names, ours is taken.
fn sections(mut map: Map<String, Value>) -> Result<Map<String, Value>, Fail> {
    let is_given = |map: &Map<String, Value>, key: &str| map.get(key).is_some_and(|value| !value.is_null());
    let take = |map: &mut Map<String, Value>, key: &str| match map.shift_remove(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(section)) => Ok(Some(section)),
        Some(_) => Err(Fail::validation(format!("{key} must be an object"))),
    };
    for (theirs, ours) in OLDER {
        if let Some(section) = take(&mut map, theirs)?
            && !is_given(&map, ours)
        {
            map.insert(ours.to_owned(), Value::Object(section));
        }
    }
    if let Some(mut meta) = take(&mut map, "_meta")?
        && let Some(timestamp) = meta.shift_remove("timestamp")
        && !is_given(&map, "timestamp")
    {
        map.insert("timestamp".to_owned(), timestamp);
    }
    let network = take(&mut map, "network")?.map(Value::Object);
    map.retain(|key, _| STATE_KEYS.contains(&key.as_str()));
    for (key, value) in &map {
        let fits = match key.as_str() {
            "timestamp" => value.is_string() || value.is_number(),
            // A snapshot may stand here by itself.
            "snapshot" => value.is_object() || value.is_string(),
            _ => value.is_object(),
        };
        if !fits && !value.is_null() {
            let kind = if key == "timestamp" { "a string" } else { "an object" };
            return Err(Fail::validation(format!("{key} must be {kind}")));
        }
    }
    match (network, map.get_mut("system")) {
        (Some(network), Some(Value::Object(system))) => {
            if !is_given(system, "network") {
                system.insert("network".to_owned(), network);
            }
        }
        (Some(network), _) => drop(map.insert("network".to_owned(), network)),
        (None, _) => {}
    }
    Ok(map)
}

/// What an older client says flat, as the section `vlc`: by the text that some read, and by the boolean of today's player.
fn flat_player(map: &Map<String, Value>) -> Value {
    let mut vlc = Map::new();
    if let Some(playing) = map.get("playing").and_then(Value::as_bool) {
        vlc.insert("state".to_owned(), json!(if playing { "playing" } else { "stopped" }));
        vlc.insert("playing".to_owned(), json!(playing));
        vlc.insert("isRunning".to_owned(), json!(playing));
    }
    for (theirs, ours) in [("currentMedia", "currentItem"), ("volume", "volume")] {
        if let Some(value) = map.get(theirs) {
            vlc.insert(ours.to_owned(), value.clone());
        }
    }
    Value::Object(vlc)
}

/// The state after a report. The server's own snapshot survives a report that brings no other: devices do not know its URL.
pub(crate) fn merge(current: &Value, mut report: Report) -> Value {
    let mut next = if report.how == How::Whole { json!({}) } else { current.clone() };
    let ours = current.get("snapshot").filter(|snapshot| snapshot.get("sha256").is_some());
    let url = report.state.get("snapshot").and_then(|snapshot| snapshot.get("url"));
    let brings_other = url.is_some_and(|url| !url.is_null());
    if let (Some(_), true, Value::Object(next)) = (ours, brings_other, &mut next) {
        // What was said of the snapshot before is not true of the other one.
        next.shift_remove("snapshot");
    }
    if report.how == How::Sections {
        let network = report.state.shift_remove("network");
        for (key, section) in report.state {
            next[key] = section;
        }
        if let Some(network) = network {
            if !next.get("system").is_some_and(Value::is_object) {
                next["system"] = json!({});
            }
            next["system"]["network"] = network;
        }
    } else {
        patch::apply(&mut next, &Value::Object(report.state));
    }
    patch::strip_nulls(&mut next);
    if let (Some(ours), false) = (ours, brings_other) {
        next["snapshot"] = ours.clone();
    }
    next
}

/// Whether two states differ in more than what is volatile.
pub(crate) fn differ(before: &Value, after: &Value, volatile: &Volatile) -> bool {
    if volatile.whole {
        return false;
    }
    let (Value::Object(old), Value::Object(new), false) = (before, after, volatile.inner.is_empty()) else {
        return before != after;
    };
    let one_sided = |key: &str| !volatile.below(key).is_some_and(|below| below.whole);
    let changed = old.iter().any(|(key, value)| match (new.get(key), volatile.below(key)) {
        (None, _) => one_sided(key),
        (Some(other), None) => value != other,
        (Some(other), Some(below)) => differ(value, other, below),
    });
    changed || new.keys().any(|key| !old.contains_key(key) && one_sided(key))
}

/// Whether the change between two states does not wait for its turn.
pub(crate) fn is_urgent(before: &Value, after: &Value) -> bool {
    let (before, after) = (before.get("vlc"), after.get("vlc"));
    URGENT.iter().any(|key| before.and_then(|vlc| vlc.get(*key)) != after.and_then(|vlc| vlc.get(*key)))
}

/// When the snapshot of a state was taken, as its player says.
pub(crate) fn created_at(state: &Value) -> Option<&Value> {
    state.get("snapshot")?.get("createdAt")
}

/// Where the player's own web server has the snapshot of a state, if the state names it by a path.
pub(crate) fn put_player_url(state: &mut Value, address: IpAddr, player_port: u16) {
    let port = port_of(state, player_port);
    let Some(Value::Object(snapshot)) = state.get_mut("snapshot") else { return };
    let path = snapshot.get("url").and_then(Value::as_str).filter(|_| !snapshot.contains_key("sha256"));
    match path.and_then(|path| player_url(path, address, port)) {
        Some(url) => drop(snapshot.insert("playerUrl".to_owned(), json!(url))),
        None => drop(snapshot.shift_remove("playerUrl")),
    }
}

/// The same for the result of a command, whose snapshot is `snapshot.url`, `snapshotPath` or `snapshotUrl`: the result is otherwise left as it is.
pub(crate) fn put_result_url(result: &mut Value, state: &Value, address: IpAddr, player_port: u16) {
    let Value::Object(result) = result else { return };
    let url = result.get("snapshot").and_then(|snapshot| snapshot.get("url"));
    let path = url.or_else(|| result.get("snapshotPath")).or_else(|| result.get("snapshotUrl")).and_then(Value::as_str);
    if let Some(url) = path.and_then(|path| player_url(path, address, port_of(state, player_port))) {
        result.insert("playerUrl".to_owned(), json!(url));
    }
}

/// The port of the player's web server.
fn port_of(state: &Value, otherwise: u16) -> u16 {
    let told = state.pointer("/app/server/port");
    let number = told.and_then(|port| rules::whole(port).or_else(|| port.as_str()?.trim().parse().ok()));
    number.and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0).unwrap_or(otherwise)
}

/// A path on the player's web server as a URL; `None` for what is a URL already, or nothing.
fn player_url(path: &str, address: IpAddr, port: u16) -> Option<String> {
    let has_scheme = path.find(':').is_some_and(|colon| path.find('/').is_none_or(|slash| colon < slash));
    if has_scheme || path.len() > PATH_BYTES_MAX {
        return None;
    }
    let path = path.trim_start_matches("./").trim_start_matches('/');
    let path = path.strip_prefix("public/").unwrap_or(path).trim_start_matches('/');
    if path.is_empty() {
        return None;
    }
    let mut url = match address {
        IpAddr::V4(address) => format!("http://{address}:{port}/"),
        IpAddr::V6(address) => format!("http://[{address}]:{port}/"),
    };
    for byte in path.bytes() {
        match byte {
            b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' => url.push_str(&format!("%{byte:02X}")),
            byte if byte.is_ascii_graphic() => url.push(char::from(byte)),
            byte => url.push_str(&format!("%{byte:02X}")),
        }
    }
    Some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(value: Value) -> Map<String, Value> {
        rules::object(Some(value)).expect("tests write objects")
    }

    fn full(time: u32) -> Value {
        json!({"timestamp":"t","system":{"cpu":1},"storage":{},"vlc":{"state":"playing","time":time},"app":{},
            "activePlaylist":{},"defaultPlaylist":{},"snapshot":{}})
    }

    fn merged(current: &Value, incoming: Value) -> Value {
        merge(current, report(map(incoming)).unwrap())
    }

    fn updated(current: &Value, incoming: Value) -> Value {
        merge(current, update(map(incoming)).unwrap())
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
        for bad in [
            json!({"vlc":[]}),
            json!({"vlc":"x"}),
            json!({"timestamp":{}}),
            json!({"snapshot":4}),
            json!({"player":"x"}),
            json!({"playlist":[]}),
            json!({"network":1}),
            json!({"_meta":1}),
            json!({"_meta":{"timestamp":{}}}),
            json!({"deviceId":{}}),
        ] {
            assert_eq!(report(map(bad.clone())).unwrap_err().code, "VALIDATION", "{bad}");
            assert_eq!(update(map(json!({"changes": bad}))).is_err(), bad.get("deviceId").is_none(), "{bad}");
        }
        assert_eq!(update(map(json!({"changes": []}))).unwrap_err().code, "VALIDATION");
        assert!(report(map(json!({"evil":1,"deviceId":"p1"}))).unwrap().state.is_empty());
    }

    #[test]
    fn a_section_of_an_update_takes_the_place_of_the_one_before() {
        let before = full(30);
        let after = updated(&before, json!({"deviceId":"p1","timestamp":"u","changes":{"vlc":{"playing":true}}}));
        assert_eq!((&after["vlc"], &after["timestamp"]), (&json!({"playing":true}), &json!("u")));
        assert_eq!(after["system"], before["system"]);
        assert!(updated(&before, json!({"changes":{"vlc":null}})).get("vlc").is_none());
        let networked = updated(&before, json!({"changes":{"network":{"eth0":{}}}}));
        assert_eq!(networked["system"], json!({"cpu":1,"network":{"eth0":{}}}), "its own section alone");
        assert_eq!(updated(&before, json!({"changes":{"player":{"a":1}}}))["vlc"], json!({"a":1}));
        assert_eq!(updated(&before, json!({"changes":{}})), before);
        let older = updated(&before, json!({"deviceId":"p1","playing":false,"timestamp":"v"}));
        assert_eq!(
            older["vlc"],
            json!({"state":"stopped","time":30,"playing":false,"isRunning":false}),
            "no changes: an older state"
        );
    }

    #[test]
    fn older_shapes_become_sections() {
        let flat = json!({"playing":true,"currentMedia":"a.mp4","volume":80,"timestamp":"t","deviceId":"p1"});
        assert_eq!(
            merged(&json!({}), flat)["vlc"],
            json!({"state":"playing","playing":true,"isRunning":true,"currentItem":"a.mp4","volume":80})
        );
        let named = json!({"player":{"playing":true},"playlist":{"playlistName":"m"},"system":{"hostname":"h"},
            "network":{"eth0":{"address":"10.0.0.4"}},"_meta":{"timestamp":"t","version":1}});
        assert_eq!(
            merged(&json!({"vlc":{"volume":3}}), named),
            json!({"vlc":{"volume":3,"playing":true},"system":{"hostname":"h","network":{"eth0":{"address":"10.0.0.4"}}},
                "activePlaylist":{"playlistName":"m"},"timestamp":"t"}),
            "merged"
        );
        let both = json!({"player":{"a":1},"vlc":{"b":1},"playlist":{"a":1},"activePlaylist":{"b":1},"timestamp":"ours",
            "network":{"a":1},"system":{"network":{"b":1}},"_meta":{"timestamp":"theirs"}});
        let ours = json!({"vlc":{"b":1},"activePlaylist":{"b":1},"timestamp":"ours","system":{"network":{"b":1}}});
        assert_eq!(merged(&json!({}), both), ours);
        assert_eq!(merged(&json!({"system":{"cpu":1}}), json!({"network":{"a":1}}))["system"]["cpu"], 1);
    }

    #[test]
    fn a_status_is_one_section_merged() {
        let before = full(30);
        let told = |value: Value, section: &str| merge(&before, status(map(value), section).unwrap());
        let flat = told(json!({"deviceId":"p1","timestamp":"u","volume":9}), "vlc");
        assert_eq!(
            (&flat["vlc"]["volume"], &flat["vlc"]["time"], &flat["timestamp"]),
            (&json!(9), &json!(30), &json!("u"))
        );
        assert_eq!(told(json!({"player":{"volume":9}}), "vlc")["vlc"]["volume"], 9);
        assert_eq!(
            told(json!({"eth0":{"mac":"aa"}}), "network")["system"],
            json!({"cpu":1,"network":{"eth0":{"mac":"aa"}}})
        );
        assert_eq!(told(json!({"system":{"cpu":2}}), "system")["system"]["cpu"], 2);
        assert!(status(map(json!({"deviceId":[]})), "vlc").is_err());
    }

    #[test]
    fn a_heartbeat_is_unfolded() {
        let beat = json!({"id":"p1","name":"x","vlc":{"status":{"currentItem":"a.mp4"},"playlist":{"n":1}},
            "snapshot":null,"systemState":{"cpu":3},"network":"wifi"});
        let Report { device_id, state, .. } = heartbeat(map(beat)).unwrap();
        assert_eq!(device_id.as_deref(), Some("p1"));
        let unfolded = json!({"vlc":{"currentItem":"a.mp4"},"system":{"cpu":3},"activePlaylist":{"n":1}});
        assert_eq!(Value::Object(state), unfolded);
        let plain = heartbeat(map(json!({"id":null,"vlc":{"state":"playing","status":"ok"},"system":5}))).unwrap();
        assert_eq!((plain.device_id, &plain.state["vlc"]["status"]), (None, &json!("ok")));
    }

    #[test]
    fn the_servers_snapshot_survives_a_report_without_one() {
        let mut state = full(1);
        state["snapshot"] = json!({"url":"/signage/snapshots/x","sha256":"aa"});
        assert_eq!(merged(&state, full(2))["snapshot"]["sha256"], "aa");
        let other = merged(&state, json!({"snapshot":{"url":"http://player/x.png"}}));
        assert_eq!(other["snapshot"], json!({"url":"http://player/x.png"}));
        assert_eq!(updated(&state, json!({"changes":{"snapshot":{}}}))["snapshot"]["sha256"], "aa");
    }

    #[test]
    fn what_is_volatile_alone_is_no_change() {
        let volatile =
            Volatile::of(&["timestamp", "system.uptime", "system.net.rx", "app", "app.x"].map(str::to_owned));
        let before = json!({"timestamp":"a","system":{"uptime":1,"cpu":1,"net":{"rx":1,"tx":1}},"app":{"x":1}});
        for (path, value, expected) in [
            ("/timestamp", json!("b"), false),
            ("/system/uptime", json!(2), false),
            ("/system/uptime", json!({"s": 2}), false),
            ("/system/net/rx", json!(2), false),
            ("/system/net/tx", json!(2), true),
            ("/system/cpu", json!(2), true),
            ("/system/net", json!(7), true),
            ("/system", json!({"uptime":1}), true),
            ("/app", json!({}), false),
        ] {
            let mut after = before.clone();
            *after.pointer_mut(path).unwrap() = value;
            assert_eq!(differ(&before, &after, &volatile), expected, "{path}");
            assert_eq!(differ(&after, &before, &volatile), expected, "{path}");
        }
        for (with, expected) in
            [(json!({"timestamp":"a"}), false), (json!({"system":{}}), true), (json!({"vlc":{}}), true)]
        {
            assert_eq!(differ(&json!({}), &with, &volatile), expected, "{with}");
            assert_eq!(differ(&with, &json!({}), &volatile), expected, "{with}");
        }
        assert!(differ(&json!({"timestamp":1}), &json!({"timestamp":2}), &Volatile::default()));
    }

    #[test]
    fn some_fields_do_not_wait() {
        let before = json!({"vlc":{"playing":true,"time":1}});
        for (after, urgent) in [
            (json!({"vlc":{"playing":false,"time":1}}), true),
            (json!({"vlc":{"playing":true,"time":2}}), false),
            (json!({"vlc":{"playing":true,"currentItem":"b"}}), true),
            (json!({"vlc":{"playing":true,"status":"x"}}), true),
            (json!({}), true),
            (json!({"vlc":{"playing":true},"app":{"state":1}}), false),
        ] {
            assert_eq!(is_urgent(&before, &after), urgent, "{after}");
        }
    }

    #[test]
    fn a_path_is_a_url_of_the_players_own_server() {
        let (v4, v6): (IpAddr, IpAddr) = ([10, 0, 0, 4].into(), "2001:db8::1".parse().unwrap());
        for (path, address, expected) in [
            ("public/snapshots/snapshot.jpg", v4, Some("http://10.0.0.4:3000/snapshots/snapshot.jpg")),
            ("/public/snapshots/a b.jpg?t=1", v4, Some("http://10.0.0.4:3000/snapshots/a%20b.jpg?t=1")),
            ("./snapshots/x.png", v6, Some("http://[2001:db8::1]:3000/snapshots/x.png")),
            ("snapshots/public/x.png", v4, Some("http://10.0.0.4:3000/snapshots/public/x.png")),
            ("http://player/x.png", v4, None),
            ("HTTPS://player/x.png", v4, None),
            ("C:\\x.png", v4, None),
            ("/public/", v4, None),
            ("", v4, None),
        ] {
            assert_eq!(player_url(path, address, 3_000).as_deref(), expected, "{path}");
        }
        assert_eq!(player_url(&"x".repeat(PATH_BYTES_MAX + 1), v4, 1), None);
    }

    #[test]
    fn the_port_is_the_one_the_player_tells() {
        for (port, expected) in
            [(json!(8080), 8080), (json!("81"), 81), (json!(0), 3000), (json!(70_000), 3000), (json!({}), 3000)]
        {
            assert_eq!(port_of(&json!({"app":{"server":{"port":port}}}), 3_000), expected);
        }
        let mut state = json!({"app":{"server":{"port":8080}},"snapshot":{"url":"public/a.jpg"}});
        put_player_url(&mut state, [10, 0, 0, 4].into(), 3_000);
        assert_eq!(state["snapshot"], json!({"url":"public/a.jpg","playerUrl":"http://10.0.0.4:8080/a.jpg"}));
        state["snapshot"]["url"] = json!("http://elsewhere/a.jpg");
        put_player_url(&mut state, [10, 0, 0, 4].into(), 3_000);
        assert_eq!(state["snapshot"], json!({"url":"http://elsewhere/a.jpg"}));
        for key in ["snapshotPath", "snapshotUrl"] {
            let mut result = json!({"success":true,key:"public/s/b.jpg","fileName":"b.jpg"});
            put_result_url(&mut result, &json!({}), [10, 0, 0, 4].into(), 3_000);
            assert_eq!(result["playerUrl"], "http://10.0.0.4:3000/s/b.jpg", "{key}");
        }
    }
}
