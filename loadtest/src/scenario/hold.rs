//! Clients that join and then say nothing: what one costs in memory, and in CPU for its heartbeats.

use super::kind::{IDENTITY, Kind, MEASURED_TIME, Measured, PROCESSES, Scenario, each};
use crate::lines::Lines;
use crate::outcome::Outcome;
use crate::pool::Transport;

pub const KIND: Kind = Kind {
    name: "hold",
    about: "Idle clients: memory of the server per client, CPU per client and second",
    unit: ("", ""),
    measured: Measured::Running,
    transport: Transport::WebSocket,
    options: &[IDENTITY, PROCESSES, MEASURED_TIME],
    check: |_| Ok(()),
    build: |options| each(options, |_| Hold),
    describe,
};

struct Hold;

impl Scenario for Hold {}

fn describe(outcome: &Outcome, lines: &mut Lines) {
    let clients = outcome.from.joined as f64;
    let per_client = |bytes: f64| bytes / 1024.0 / clients;
    let (before, from, to) = (&outcome.before, &outcome.from, &outcome.to);
    if let (Some(before), Some(from), Some(to)) = (before.server, from.server, to.server) {
        let grown = |sample: crate::host::ServerSample| sample.rss_bytes as f64 - before.rss_bytes as f64;
        lines.add("server_rss_before_mib", "server RSS before", before.rss_bytes as f64 / 1_048_576.0, "MiB");
        lines.add("server_rss_after_mib", "server RSS with all of them", from.rss_bytes as f64 / 1_048_576.0, "MiB");
        lines.add("server_rss_kib_per_client", "per client", per_client(grown(from)), "KiB");
        lines.add("server_rss_end_kib_per_client", "per client, at the end", per_client(grown(to)), "KiB");
        let cpu_us = (to.cpu_ns - from.cpu_ns) as f64 / 1e3;
        lines.add(
            "server_cpu_us_per_client_s",
            "server CPU per client and second",
            cpu_us / clients / outcome.seconds(),
            "µs",
        );
    }
    let slab = from.machine.slab_bytes as f64 - before.machine.slab_bytes as f64;
    let buffers = from.machine.tcp_memory_bytes as f64 - before.machine.tcp_memory_bytes as f64;
    lines.add("kernel_slab_kib_per_client", "kernel slab per client, both ends", per_client(slab), "KiB");
    lines.add("kernel_tcp_kib_per_client", "kernel TCP buffers per client, both ends", per_client(buffers), "KiB");
}
