//! The rows of `[limits]` ([`super`]).

use super::{Key, int};
use crate::config::Config;

const NONE: u64 = 0;
const MIB: u64 = 1_048_576;

pub const LIMITS: &[Key<Config>] = &[
    int!(connections_max in limits: 1, 10_000_000, "",
        "Open TCP connections of the process; one more is answered 503."),
    int!(connections_per_ip_max in limits: 1, 10_000_000, "",
        "Open TCP connections from one IP address; one more is answered 503."),
    int!(handshakes_per_ip_per_s_max in limits: NONE, 1_000_000, "per second",
        "New connections from one IP address, with a burst of the same size; 0: no limit."),
    int!(sockets_per_user_max in limits: NONE, 1_000_000, "",
        "Sockets of one identity (\"sub\") in one namespace; one more CONNECT is refused. Who comes with a token\nof the application's own, is not counted. 0: no limit."),
    int!(events_per_socket_per_s_max in limits: NONE, 1_000_000, "per second",
        "Events from one client, with a burst of the same size; one that sends more is read no faster than that,\nand nothing of it is lost. 0: no limit."),
    int!(outbox_bytes_max in limits: 4_096, 1_024 * MIB, "bytes",
        "Queued to one socket beside the entry being written. At this bound a reader is closed that has taken\nnothing for a second; one that reads at eight times this, a polling client at 64 times."),
    int!(outbox_total_bytes_max in limits: NONE, 1_048_576 * MIB, "bytes",
        "Queued to all sockets together; above it the largest slow readers are closed.\n0: a quarter of the memory there is. Else at least outbox_bytes_max for each shard."),
    int!(outbox_low_mark_bytes in limits: 1_024, 1_024 * MIB, "bytes",
        "Above this much in the queue, updates that replace each other do so. At most outbox_bytes_max."),
    int!(outbox_stall_ms in limits: 100, 600_000, "milliseconds",
        "A socket whose queue makes no progress for this long is closed as a slow consumer."),
    int!(rooms_per_socket_max in limits: 1, 65_536, "", "Rooms one socket may be in."),
    int!(namespaces_per_client_max in limits: 1, 1_024, "", "Namespaces one client may have joined at once."),
    int!(acks_per_socket_max in limits: 1, 65_536, "", "Acks the server waits for from one socket."),
    int!(notsent_lowat_bytes in limits: 4_096, 16 * MIB, "bytes",
        "TCP_NOTSENT_LOWAT of accepted sockets: what the kernel may swallow for a reader that has stopped."),
];
