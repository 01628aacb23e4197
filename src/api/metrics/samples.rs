//! What shards and the process say at a scrape, as samples. Each shard has its own; equal labels are added up when they are
//! gathered, and only what is about a shard as such carries its number.

use std::time::SystemTime;

use super::super::process::Process;
use super::super::{Settings, VERSION};
use crate::app::link::LinkEnd;
use crate::app::metric::Metric;
use crate::base::close::CloseReason;
use crate::shard::sample::EventOutcome;
use crate::shard::sample::{
    ByJob, ByTransport, FetchSample, HashSample, LinkSample, NamespaceSample, ShardSample, StoreSample,
};

/// What one shard says.
pub(super) fn of_shard(sample: &ShardSample, out: &mut Vec<Metric>) {
    connections(sample, out);
    sums(sample, out);
    sample.namespaces.iter().for_each(|namespace| of_namespace(namespace, out));
    of_applications(sample, out);
    of_store(&sample.store, out);
    sample.fetches.iter().for_each(|fetches| of_fetches(fetches, out));
    sample.links.iter().for_each(|links| of_links(links, out));
    sample.hashes.iter().for_each(|hashes| of_hashes(hashes, out));
    out.push(Metric::histogram("siod_turn_seconds", &sample.turn_us));
    out.push(Metric::histogram("siod_emit_to_flush_seconds", &sample.emit_to_flush_us));
    out.push(Metric::histogram("siod_store_seconds", &sample.store_us));
    let shard = sample.shard.to_string();
    out.push(Metric::count("siod_shard_mailbox_depth", [&shard], sample.mailbox_depth));
    out.push(Metric::count("siod_shard_connections", [&shard], sample.connections.total()));
    out.push(Metric::count("siod_shard_stale", [&shard], u64::from(sample.stale)));
}

/// What the process says; what it could not read is left out.
pub(super) fn of_process(process: &Process, settings: &Settings, out: &mut Vec<Metric>) {
    let started = settings.started_at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    out.push(Metric::count("siod_build_info", [VERSION], 1));
    for (name, value) in [
        ("process_start_time_seconds", Some(started)),
        ("process_cpu_seconds_total", process.cpu_seconds),
        ("process_resident_memory_bytes", process.resident_bytes.map(|bytes| bytes as f64)),
        ("process_virtual_memory_bytes", process.virtual_bytes.map(|bytes| bytes as f64)),
        ("process_threads", process.threads.map(|threads| threads as f64)),
        ("process_open_fds", process.open_fds.map(|fds| fds as f64)),
        ("process_max_fds", process.max_fds.map(|fds| fds as f64)),
    ] {
        out.extend(value.map(|value| Metric::number(name, [], value)));
    }
}

fn connections(sample: &ShardSample, out: &mut Vec<Metric>) {
    by_transport("siod_connections", sample.connections, out);
    by_transport("siod_connections_opened_total", sample.opened, out);
    for reason in CloseReason::ALL {
        let count = sample.closed[*reason as usize];
        out.push(Metric::count("siod_connections_closed_total", [reason.label()], count));
    }
    for (code, count) in sample.refused.iter().enumerate() {
        out.push(Metric::count("siod_handshakes_refused_total", [&code.to_string()], *count));
    }
}

fn sums(sample: &ShardSample, out: &mut Vec<Metric>) {
    for (name, count) in [
        ("siod_connections_upgraded_total", sample.upgraded),
        ("siod_connections_refused_total", sample.overload),
        ("siod_lingering_connections", sample.lingering),
        ("siod_lingering_cut_total", sample.lingering_cut),
        ("siod_packets_received_total", sample.packets_in),
        ("siod_packets_sent_total", sample.packets_out),
        ("siod_bytes_received_total", sample.bytes_in),
        ("siod_bytes_sent_total", sample.bytes_out),
        ("siod_writes_total", sample.writes),
        ("siod_rooms", sample.rooms),
        ("siod_joins_refused_total", sample.joins_refused),
        ("siod_unknown_acks_total", sample.unknown_acks),
        ("siod_outbox_bytes", sample.outbox_bytes),
        ("siod_dropped_volatile_total", sample.dropped_volatile),
        ("siod_coalesced_total", sample.coalesced),
        ("siod_slow_consumers_total", sample.slow_consumers),
    ] {
        out.push(Metric::count(name, [], count));
    }
}

fn of_namespace(namespace: &NamespaceSample, out: &mut Vec<Metric>) {
    let NamespaceSample { name, sockets, outcomes } = namespace;
    for (family, count) in [
        ("siod_sockets", *sockets),
        ("siod_emits_total", outcomes.emitted),
        ("siod_emit_receivers_total", outcomes.delivered),
        ("siod_events_received_total", outcomes.events),
        ("siod_acks_sent_total", outcomes.acked),
    ] {
        out.push(Metric::count(family, [name], count));
    }
    out.push(Metric::count("siod_connects_total", [name, "accepted"], outcomes.accepted));
    out.push(Metric::count("siod_connects_total", [name, "refused"], outcomes.refused));
}

fn of_applications(sample: &ShardSample, out: &mut Vec<Metric>) {
    for event in &sample.events {
        out.push(Metric::count("siod_events_total", [event.app, event.outcome.label()], event.count));
        if event.outcome == EventOutcome::Unknown {
            out.push(Metric::count("siod_unknown_events_total", [event.app], event.count));
        }
    }
    let alerts = sample.alerts.iter();
    out.extend(alerts.map(|alert| Metric::count("siod_alerts_total", [alert.app, alert.kind], alert.count)));
    out.extend_from_slice(&sample.app_metrics);
}

fn of_store(store: &StoreSample, out: &mut Vec<Metric>) {
    by_job("siod_store_jobs_total", store.done, out);
    by_job("siod_store_failures_total", store.failed, out);
    for (name, count) in [
        ("siod_store_commits_total", store.commits),
        ("siod_store_queue_depth", store.queue_depth),
        ("siod_store_blob_bytes", store.blob_bytes),
        ("siod_store_blobs_dropped_total", store.blobs_dropped),
    ] {
        out.push(Metric::count(name, [], count));
    }
}

fn of_fetches(fetches: &FetchSample, out: &mut Vec<Metric>) {
    let app = fetches.app;
    let outcomes = fetches.outcomes();
    out.extend(outcomes.map(|(outcome, count)| Metric::count("siod_fetches_total", [app, outcome], count)));
    out.push(Metric::count("siod_fetches_in_flight", [app], fetches.in_flight));
    out.push(Metric::count("siod_fetch_bytes_total", [app, "received"], fetches.bytes_received));
    out.push(Metric::count("siod_fetch_bytes_total", [app, "sent"], fetches.bytes_sent));
    out.push(Metric::histogram("siod_fetch_seconds", &fetches.took_us));
}

fn of_links(links: &LinkSample, out: &mut Vec<Metric>) {
    let (app, kind) = (links.app, links.kind);
    for (name, count) in
        [("siod_links_opening", links.opening), ("siod_links", links.open), ("siod_links_opened_total", links.opened)]
    {
        out.push(Metric::count(name, [app, kind], count));
    }
    for (direction, messages, bytes) in
        [("received", links.messages_received, links.bytes_received), ("sent", links.messages_sent, links.bytes_sent)]
    {
        out.push(Metric::count("siod_link_messages_total", [app, kind, direction], messages));
        out.push(Metric::count("siod_link_bytes_total", [app, kind, direction], bytes));
    }
    if kind == LinkSample::ARRIVED {
        out.push(Metric::count("siod_links_refused_total", [app], links.refused));
    }
    let closed = LinkEnd::LABELS.into_iter().zip(links.closed);
    out.extend(closed.map(|(why, count)| Metric::count("siod_links_closed_total", [app, kind, why], count)));
    out.push(Metric::histogram("siod_link_open_seconds", &links.open_us));
}

fn of_hashes(hashes: &HashSample, out: &mut Vec<Metric>) {
    let outcomes = hashes.outcomes().into_iter();
    out.extend(outcomes.map(|(outcome, count)| Metric::count("siod_hashes_total", [hashes.app, outcome], count)));
    out.push(Metric::count("siod_hashes_in_flight", [hashes.app], hashes.in_flight));
    out.push(Metric::histogram("siod_hash_seconds", &hashes.took_us));
}

fn by_transport(name: &'static str, counts: ByTransport, out: &mut Vec<Metric>) {
    out.push(Metric::count(name, ["polling"], counts.polling));
    out.push(Metric::count(name, ["websocket"], counts.websocket));
}

fn by_job(name: &'static str, counts: ByJob, out: &mut Vec<Metric>) {
    out.push(Metric::count(name, ["blob"], counts.blob));
    out.push(Metric::count(name, ["read"], counts.read));
    out.push(Metric::count(name, ["write"], counts.write));
}
