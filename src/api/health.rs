//! Health: is the process alive, does it take clients, and what do operators and existing probes want to know about it.
//! Nothing here tells of a tenant; figures of single shards are on the admin listener only.

use std::collections::BTreeMap;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use serde_json::json;

use super::backend::Readiness;
use super::{Api, VERSION, reply};
use crate::app::link::LinkEnd;
use crate::base::time::WallMillis;
use crate::shard::sample::{FetchSample, HashSample, LinkSample, ShardSample};

pub(crate) fn routes() -> Router<Api> {
    Router::new()
        .route("/health/live", get(live))
        .route("/health/ready", get(ready))
        .route("/health", get(summary))
        .route("/health/socket", get(socket))
}

/// For operators: one entry for each shard.
pub(crate) fn detailed_routes() -> Router<Api> {
    Router::new().route("/health/detailed", get(detailed))
}

/// The process answers: that is all. A supervisor restarts on its absence.
async fn live() -> Response {
    reply::json(StatusCode::OK, json!({ "status": "ok" }).to_string())
}

/// Whether a balancer should send new clients.
async fn ready(State(api): State<Api>) -> Response {
    let readiness = api.backend.readiness();
    reply::json(status(&readiness), json!({ "status": readiness.label() }).to_string())
}

/// 200 for as long as the daemon answers: probes that end a process ask it, and a store that has failed or a drain is no
/// reason to. The body says how it is.
async fn summary(State(api): State<Api>) -> Response {
    let (readiness, samples) = (api.backend.readiness(), api.backend.glance().await);
    reply::json(StatusCode::OK, overview(&api, &readiness, &samples).to_string())
}

async fn detailed(State(api): State<Api>) -> Response {
    let (readiness, samples) = (api.backend.readiness(), api.backend.scrape().await);
    let mut body = overview(&api, &readiness, &samples);
    if let Readiness::Degraded(why) = &readiness {
        body["degraded"] = json!(why);
    }
    body["shard_details"] = samples.iter().map(shard).collect();
    body["fetches"] = samples.iter().flat_map(|sample| &sample.fetches).map(fetches).collect();
    let mut by_kind: BTreeMap<(&str, &str), LinkSample> = BTreeMap::new();
    for of_shard in samples.iter().flat_map(|sample| &sample.links) {
        let (app, kind) = (of_shard.app, of_shard.kind);
        let sum = by_kind.entry((app, kind)).or_insert_with(|| LinkSample { app, kind, ..LinkSample::default() });
        sum.add(of_shard);
    }
    body["links"] = by_kind.values().map(links).collect();
    body["hashes"] = samples.iter().flat_map(|sample| &sample.hashes).map(hashes).collect();
    reply::json(status(&readiness), body.to_string())
}

/// The shape that existing probes of `/health/socket` read (DESIGN 5.11).
async fn socket(State(api): State<Api>) -> Response {
    let (readiness, samples) = (api.backend.readiness(), api.backend.glance().await);
    let healthy = if readiness.takes_clients() { "healthy" } else { readiness.label() };
    let body = json!({
        "status": healthy,
        "timestamp": reply::wall_now().to_string(),
        "metrics": {
            "activeConnections": samples.iter().map(|sample| sample.connections.total()).sum::<u64>(),
            "activeRooms": samples.iter().map(|sample| sample.rooms).sum::<u64>(),
            "uptime": api.settings.started.elapsed().as_secs(),
        },
        "redis": { "connected": false, "status": "disabled" },
    });
    reply::json(status(&readiness), body.to_string())
}

fn overview(api: &Api, readiness: &Readiness, samples: &[ShardSample]) -> serde_json::Value {
    let store = if matches!(readiness, Readiness::Degraded(_)) { "degraded" } else { "ok" };
    json!({
        "status": readiness.label(),
        "uptime_s": api.settings.started.elapsed().as_secs(),
        "version": VERSION,
        "store": store,
        "shards": samples.len(),
    })
}

fn shard(sample: &ShardSample) -> serde_json::Value {
    json!({
        "shard": sample.shard,
        "stale": sample.stale,
        "connections": sample.connections.total(),
        "rooms": sample.rooms,
        "outbox_bytes": sample.outbox_bytes,
        "mailbox_depth": sample.mailbox_depth,
    })
}

/// What an application has asked of the outside.
fn fetches(sample: &FetchSample) -> serde_json::Value {
    json!({
        "app": sample.app,
        "in_flight": sample.in_flight,
        "answered": sample.answered.iter().sum::<u64>(),
        "failed": sample.failed.iter().sum::<u64>(),
        "last_error": last_error(sample.last_error.as_ref()),
    })
}

/// The links of an application, of one kind.
fn links(sample: &LinkSample) -> serde_json::Value {
    let closed = LinkEnd::LABELS.into_iter().zip(sample.closed).filter(|(_, count)| *count > 0);
    json!({
        "app": sample.app,
        "kind": sample.kind,
        "attempts": sample.attempts(),
        "opening": sample.opening,
        "open": sample.open,
        "opened": sample.opened,
        "refused": sample.refused,
        "closed": closed.map(|(why, count)| (why.to_owned(), count.into())).collect::<serde_json::Map<_, _>>(),
        "open_ms_mean": sample.open_us.sum().checked_div(sample.open_us.count()).map(|us| us / 1_000),
        "messages": { "received": sample.messages_received, "sent": sample.messages_sent },
        "bytes": { "received": sample.bytes_received, "sent": sample.bytes_sent },
        "last_error": last_error(sample.last_error.as_ref()),
    })
}

fn last_error(error: Option<&(WallMillis, String)>) -> Option<serde_json::Value> {
    error.map(|(at, text)| json!({ "at": at.to_string(), "text": text }))
}

/// Passwords that an application has had hashed or verified.
fn hashes(sample: &HashSample) -> serde_json::Value {
    let HashSample { app, in_flight, made, matched, mismatched, busy, failed, .. } = sample;
    json!({
        "app": app,
        "in_flight": in_flight,
        "made": made,
        "verified": matched + mismatched,
        "busy": busy,
        "failed": failed,
    })
}

fn status(readiness: &Readiness) -> StatusCode {
    if readiness.takes_clients() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Fake, ask, public_get};
    use super::*;

    #[tokio::test]
    async fn readiness_decides_the_status_but_not_of_liveness_and_the_summary() {
        for (readiness, expected, label) in [
            (Readiness::Starting, 503, "starting"),
            (Readiness::Ready, 200, "ok"),
            (Readiness::Degraded("disk full at /secret".into()), 200, "degraded"),
            (Readiness::Draining, 503, "draining"),
        ] {
            let fake = Fake { readiness: readiness.clone(), ..Fake::default() };
            let summary = ask(super::super::public(fake.api(), None), public_get("/health")).await;
            assert_eq!((summary.status, &summary.json()["status"]), (200, &json!(label)));
            assert!(!summary.text().contains("secret"));
            for path in ["/health/ready", "/health/socket"] {
                let answer = ask(super::super::public(fake.api(), None), public_get(path)).await;
                assert_eq!(answer.status, expected, "{path} while {label}");
                assert!(!answer.text().contains("secret"), "{path} shows an operator's text to the public");
            }
            let answer = ask(super::super::public(fake.api(), None), public_get("/health/ready")).await;
            assert_eq!(answer.json()["status"], label);
            assert_eq!(ask(super::super::public(fake.api(), None), public_get("/health/live")).await.status, 200);
        }
    }

    #[tokio::test]
    async fn the_summary_and_the_socket_probe_have_their_shapes() {
        let mut one = ShardSample { rooms: 2, ..ShardSample::default() };
        one.connections.websocket = 3;
        let mut two = ShardSample { shard: 1, rooms: 1, ..ShardSample::default() };
        two.connections.polling = 4;
        let fake = Fake { samples: vec![one, two], ..Fake::default() };
        let summary = ask(super::super::public(fake.api(), None), public_get("/health")).await.json();
        assert_eq!(summary["status"], "ok");
        assert_eq!(summary["version"], VERSION);
        assert_eq!(summary["store"], "ok");
        assert_eq!(summary["shards"], 2);
        assert!(summary["uptime_s"].is_u64());
        assert!(summary.get("shard_details").is_none());
        let socket = ask(super::super::public(fake.api(), None), public_get("/health/socket")).await.json();
        assert_eq!(socket["status"], "healthy");
        assert_eq!(socket["metrics"]["activeConnections"], 7);
        assert_eq!(socket["metrics"]["activeRooms"], 3);
        assert_eq!(socket["redis"], json!({ "connected": false, "status": "disabled" }));
        assert_eq!(socket["timestamp"].as_str().map(str::len), Some(24));
    }

    #[tokio::test]
    async fn what_anybody_may_ask_does_not_make_shards_count_each_time() {
        let fake = Fake::default();
        for path in ["/health", "/health/socket", "/health/ready", "/health/live", "/health/detailed"] {
            ask(super::super::public(fake.api(), None), public_get(path)).await;
        }
        let load = |count: &std::sync::atomic::AtomicUsize| count.load(std::sync::atomic::Ordering::SeqCst);
        assert_eq!((load(&fake.seen.scrapes), load(&fake.seen.glances)), (0, 2));
    }

    #[tokio::test]
    async fn details_of_shards_are_for_the_admin_listener_only() {
        let fake = Fake { samples: vec![ShardSample::default()], ..Fake::default() };
        assert_eq!(ask(super::super::public(fake.api(), None), public_get("/health/detailed")).await.status, 404);
        let answer = ask(super::super::admin(fake.api()), super::super::testing::admin_get("/health/detailed")).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.json()["shard_details"][0]["stale"], false);
        assert_eq!((&answer.json()["fetches"], &answer.json()["hashes"]), (&json!([]), &json!([])));
    }

    #[tokio::test]
    async fn what_applications_ask_of_the_outside_is_shown_with_the_last_failure() {
        let last_error = Some((WallMillis(0), "refused: a.example:80: connection refused".to_owned()));
        let mut fetches = FetchSample { app: "desk", in_flight: 1, last_error, ..FetchSample::default() };
        (fetches.answered[1], fetches.answered[4], fetches.failed[4]) = (3, 1, 2);
        let fake = Fake {
            samples: vec![ShardSample { fetches: vec![fetches], ..ShardSample::default() }, ShardSample::default()],
            ..Fake::default()
        };
        let answer = ask(super::super::admin(fake.api()), super::super::testing::admin_get("/health/detailed")).await;
        let error = json!({"at": "1970-01-01T00:00:00.000Z", "text": "refused: a.example:80: connection refused"});
        let row = json!({"app": "desk", "in_flight": 1, "answered": 4, "failed": 2, "last_error": error});
        assert_eq!(answer.json()["fetches"], json!([row]));
    }

    #[tokio::test]
    async fn links_are_shown_by_application_and_kind_with_their_ends_and_the_last_failure() {
        let last_error = Some((WallMillis(0), "dns: a.example does not resolve".to_owned()));
        let (app, kind) = ("desk", LinkSample::DIALLED);
        let mut links = LinkSample { app, kind, opening: 1, open: 2, opened: 3, last_error, ..LinkSample::default() };
        links.closed[LinkEnd::Silent.place()] = 1;
        [2_000, 4_000].into_iter().for_each(|us| links.open_us.record(us));
        (links.messages_sent, links.bytes_received) = (5, 6);
        // Those that have arrived are counted by each shard.
        let arrived = LinkSample { kind: LinkSample::ARRIVED, refused: 2, open: 1, ..links.clone() };
        let samples = vec![
            ShardSample { links: vec![arrived.clone(), links], ..ShardSample::default() },
            ShardSample { links: vec![arrived], ..ShardSample::default() },
        ];
        let fake = Fake { samples, ..Fake::default() };
        let answer = ask(super::super::admin(fake.api()), super::super::testing::admin_get("/health/detailed")).await;
        let row = json!({
            "app": "desk",
            "kind": "dialled",
            "attempts": 4,
            "opening": 1,
            "open": 2,
            "opened": 3,
            "refused": 0,
            "closed": {"silent": 1},
            "open_ms_mean": 3,
            "messages": {"received": 0, "sent": 5},
            "bytes": {"received": 6, "sent": 0},
            "last_error": {"at": "1970-01-01T00:00:00.000Z", "text": "dns: a.example does not resolve"},
        });
        let shown = &answer.json()["links"];
        assert_eq!(shown[1], row);
        let arrived = ["kind", "open", "refused", "attempts", "open_ms_mean"].map(|name| shown[0][name].clone());
        assert_eq!(json!(arrived), json!(["arrived", 2, 4, 6, 3]));
    }

    #[tokio::test]
    async fn hashes_are_shown_by_application_and_do_not_tell_which_passwords_were_right() {
        let hashes = HashSample { app: "desk", made: 1, matched: 2, mismatched: 3, busy: 4, ..HashSample::default() };
        let samples = vec![ShardSample { hashes: vec![hashes], ..ShardSample::default() }, ShardSample::default()];
        let fake = Fake { samples, ..Fake::default() };
        let answer = ask(super::super::admin(fake.api()), super::super::testing::admin_get("/health/detailed")).await;
        let row = json!({"app": "desk", "in_flight": 0, "made": 1, "verified": 5, "busy": 4, "failed": 0});
        assert_eq!(answer.json()["hashes"], json!([row]));
    }
}
