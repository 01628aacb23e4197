//! The rows of `[limits]` ([`super`]).

use crate::app::settings::{Key, field, int};
use crate::config::Config;

const NONE: u64 = 0;
const MIB: u64 = 1_048_576;

pub(crate) const LIMITS: &[Key<Config>] = &[
    field!(connections_max in limits: int(1..=10_000_000, ""),
        "Open TCP connections of the process; one more is answered 503."),
    field!(connections_per_ip_max in limits: int(1..=10_000_000, ""),
        "Open TCP connections from one IP address; one more is answered 503."),
    field!(handshakes_per_ip_per_s_max in limits: int(NONE..=1_000_000, "per second"),
        "New connections from one IP address, with a burst of the same size; 0: no limit."),
    field!(sockets_per_user_max in limits: int(NONE..=1_000_000, ""),
        "Sockets of one identity (\"sub\") in one namespace; one more CONNECT is refused. Who comes with a token\nof the application's own, is not counted. 0: no limit."),
    field!(events_per_socket_per_s_max in limits: int(NONE..=1_000_000, "per second"),
        "Events from one client, with a burst of the same size; one that sends more is read no faster than that,\nand nothing of it is lost. 0: no limit."),
    field!(outbox_bytes_max in limits: int(4_096..=1_024 * MIB, "bytes"),
        "Queued to one socket beside the entry being written. At this bound a reader is closed that has taken\nnothing for a second; one that reads at eight times this, a polling client at 64 times."),
    field!(outbox_total_bytes_max in limits: int(NONE..=1_048_576 * MIB, "bytes"),
        "Queued to all sockets together; above it the largest slow readers are closed.\n0: a quarter of the memory there is. Else at least outbox_bytes_max for each shard."),
    field!(outbox_low_mark_bytes in limits: int(1_024..=1_024 * MIB, "bytes"),
        "Above this much in the queue, updates that replace each other do so. At most outbox_bytes_max."),
    field!(outbox_stall_ms in limits: int(100..=600_000, "milliseconds"),
        "A socket whose queue makes no progress for this long is closed as a slow consumer."),
    field!(rooms_per_socket_max in limits: int(1..=65_536, ""), "Rooms one socket may be in."),
    field!(namespaces_per_client_max in limits: int(1..=1_024, ""), "Namespaces one client may have joined at once."),
    field!(acks_per_socket_max in limits: int(1..=65_536, ""), "Acks the server waits for from one socket."),
    field!(notsent_lowat_bytes in limits: int(4_096..=16 * MIB, "bytes"),
        "TCP_NOTSENT_LOWAT of accepted sockets: what the kernel may swallow for a reader that has stopped."),
];
