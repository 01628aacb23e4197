//! Every bound of the daemon, with its unit last. Constants are laws of the protocol or of the code's shape;
//! [`Limits`] holds what an operator may change (`[limits]` and `[[listener]]` of the configuration).

use std::ops::RangeInclusive;

/// Clients reject packets with more attachments and drop the connection (socket.io#5504): never send or accept more.
pub const ATTACHMENTS_MAX: usize = 10;
/// Nesting of arrays and objects in any JSON a client sends.
pub const JSON_DEPTH_MAX: usize = 64;
/// Elements of the array of one event or ack; engines cannot call a handler with more arguments.
pub const JSON_ELEMENTS_MAX: usize = 65_535;
/// Digits of an ack id we keep; longer ones are refused (a double holds 15 exactly).
pub const ACK_ID_DIGITS_MAX: usize = 15;
/// Bytes of a namespace, room or event name.
pub const NAME_BYTES_MAX: usize = 255;
/// Listeners one daemon may have.
pub const LISTENERS_MAX: usize = 64;
/// Names that one claim of a token may go by.
pub const CLAIM_NAMES_MAX: usize = 16;
/// Names in one map of the configuration.
pub const MAP_ENTRIES_MAX: usize = 1_024;
/// Fragments of one WebSocket message; where messages may be large, as many as this many bytes each make of the largest
/// ([`fragments_max`]).
pub const FRAGMENTS_MAX: usize = 16_384;
pub const FRAGMENT_BYTES: usize = 64;
/// Packets in the body of one polling POST; where bodies may be large, as many as this many bytes each make of the largest
/// ([`packets_max`]): the smallest event of a client has five, and a separator.
pub const PACKETS_PER_POST_MAX: usize = 16_384;
pub const PACKET_BYTES_MIN: usize = 6;
/// Packets of one body that are taken in one turn; the rest waits for the next.
pub const PACKETS_PER_TURN_MAX: usize = 4_096;
/// Payload of a WebSocket control frame (RFC 6455 section 5.5).
pub const CONTROL_PAYLOAD_BYTES_MAX: usize = 125;
/// Bytes of a token in a CONNECT packet, header, query or cookie.
pub const TOKEN_BYTES_MAX: usize = 8_192;
/// Bytes kept of the handshake's query string, once the engine's own parameters are taken out: all that a request line can
/// bring, since a token may stand there.
pub const HANDSHAKE_QUERY_BYTES_MAX: usize = REQUEST_LINE_BYTES_MAX;
/// Bytes kept of the handshake's user agent.
pub const USER_AGENT_BYTES_MAX: usize = 256;
/// Request line of an HTTP request, in bytes.
pub const REQUEST_LINE_BYTES_MAX: usize = 8_192;
/// All headers of an HTTP request, in bytes and in number.
pub const HEADERS_BYTES_MAX: usize = 16_384;
pub const HEADERS_MAX: usize = 100;
/// The head of the PROXY protocol, by which a trusted proxy begins a connection: the smallest bound its specification allows.
pub const PROXY_HEAD_BYTES_MAX: usize = 536;
/// The whole head of an HTTP request arrives within this time, a PROXY head before it included.
pub const HEAD_TIMEOUT_MS: u64 = 10_000;
/// An HTTP connection that has been answered may rest for so long before it sends its next request.
pub const KEEP_ALIVE_TIMEOUT_MS: u64 = 75_000;
/// Requests that are taken behind one that waits for its answer on the same connection, and bytes kept of those that are not
/// taken yet; beyond, nothing more is read.
pub const PIPELINED_MAX: usize = 16;
pub const PIPELINED_BYTES_MAX: usize = 64 * 1024;
/// A connection that is answered before it was read to its end: our side ends, and what still comes is read and thrown away
/// until it is this much, or this time is over, or nothing has come for the shorter time.
pub const LINGER_BYTES_MAX: usize = 16 * 1024 * 1024;
pub const LINGER_TIMEOUT_MS: u64 = 30_000;
pub const LINGER_SILENCE_MS: u64 = 5_000;
/// Connections of the process in that state; one more is closed as it is. Those that were refused when they were accepted
/// have no place among `limits.connections_max`, so there may be fewer of them.
pub const LINGERING_MAX: usize = 16_384;
pub const LINGERING_REFUSED_MAX: usize = 256;
/// The whole body of an HTTP request arrives within this time, and what it takes at this pace: a slow line may bring a
/// large picture.
pub const BODY_TIMEOUT_MS: u64 = 30_000;
pub const BODY_BYTES_PER_S_MIN: u64 = 1_024;
/// An HTTP call waits so long for its home's first answer.
pub const CALL_TIMEOUT_MS: u64 = 10_000;
/// An application's shell answers a call within this time, whatever it asks of its homes meanwhile.
pub const SHELL_TIMEOUT_MS: u64 = 30_000;
const _: () = assert!(SHELL_TIMEOUT_MS > CALL_TIMEOUT_MS);
/// One message of a WebSocket that a shell speaks on; how long a peer may be silent before it is asked for a sign of life, and
/// then before it counts as gone; how long it may take nothing of what is written.
pub const SHELL_MESSAGE_BYTES_MAX: usize = 1 << 20;
pub const SHELL_PING_INTERVAL_MS: u64 = 25_000;
pub const SHELL_WRITE_TIMEOUT_MS: u64 = 30_000;
/// Items, and bytes of items, on their way to the asker of a stream; above them it reads too slowly, and is cut off.
pub const STREAM_ITEMS_MAX: usize = 1_024;
pub const STREAM_BYTES_MAX: usize = 1024 * 1024;
/// A stream that has had nothing to say for so long sends a comment.
pub const STREAM_REST_MS: u64 = 15_000;
/// Fields of an upload before its file, bytes of one, and bytes of the head of a part.
pub const UPLOAD_FIELDS_MAX: usize = 32;
pub const UPLOAD_FIELD_BYTES_MAX: usize = 16 * 1024;
pub const UPLOAD_HEAD_BYTES_MAX: usize = 8 * 1024;
/// A boundary between parts (RFC 2046 section 5.1.1).
pub const BOUNDARY_BYTES_MAX: usize = 70;
/// Files that come at once, and pieces of one that wait to be written; above these its sender is not read.
pub const UPLOADS_MAX: usize = 256;
pub const UPLOAD_PIECES_MAX: usize = 4;
/// A home hears how an upload goes on no sooner than so long after it has heard the last time.
pub const UPLOAD_PROGRESS_INTERVAL_MS: u64 = 250;
/// Homes that one HTTP call may ask.
pub const CALL_HOMES_MAX: usize = 64;
/// The shard hears of a body or an answer on its way so often, or twice within a ping timeout where that is shorter.
pub const MOVING_INTERVAL_MS: u64 = 1_000;
/// A turn that comes so late looks first at what lies in the sockets.
pub const LATE_TURN_MS: u64 = 20;
/// Where not all that had arrived was read, nobody is declared dead for so long, or one ping timeout where that is shorter:
/// other cores, newcomers and HTTP connections catch up, too.
pub const HEARING_GRACE_MS: u64 = 3_000;
/// A polling client that upgrades finishes within this time (PROTOCOL 5).
pub const UPGRADE_TIMEOUT_MS: u64 = 10_000;
/// While an upgrade goes on, a parked GET is answered with a noop this often (PROTOCOL 5).
pub const UPGRADE_NOOP_INTERVAL_MS: u64 = 100;
/// A session the server closed waits this long for the polling client's next GET (PROTOCOL 3).
pub const POLLING_CLOSE_TIMEOUT_MS: u64 = 30_000;
/// After our close frame the peer has this long to answer before the TCP connection is cut.
pub const WS_CLOSE_TIMEOUT_MS: u64 = 5_000;
/// A drain closes its clients over the window that is configured, but no two of a shard further apart than this.
pub const DRAIN_GAP_MS_MAX: u64 = 1_000;
/// What applications say when a drain begins has this long before the first client is closed.
pub const DRAIN_NOTICE_MS: u64 = 100;
/// Bytes of log lines that wait to be written; a line that does not fit is dropped and counted.
pub const LOG_QUEUE_BYTES_MAX: usize = 1024 * 1024;
/// The end of the process waits so long for its last lines to be written.
pub const LOG_FINISH_TIMEOUT_MS: u64 = 200;
/// Events, and bytes of events, parked behind one load or commit of an entity: above these a socket that adds to them is not
/// read until half of them are left.
pub const PARKED_EVENTS_LONG: usize = 1_024;
pub const PARKED_BYTES_LONG: usize = 4 * 1024 * 1024;
/// And above these, which one read and one message of each of many clients may come to, they are refused.
pub const PARKED_EVENTS_MAX: usize = 65_536;
pub const PARKED_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Pending jobs towards the store; above it a job is answered `busy`.
pub const STORE_QUEUE_JOBS_MAX: usize = 16_384;
/// Bytes that pending writes hold; above it a job is answered `busy`.
pub const STORE_QUEUE_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Bytes of blobs that wait to be kept; above it a blob is answered `busy`.
pub const BLOB_QUEUE_BYTES_MAX: usize = 256 * 1024 * 1024;
/// An HTTP request to the outside has its whole answer within this time, and its asker may want less.
pub const FETCH_TIMEOUT_MS_MAX: u64 = 600_000;
/// One address of a host is tried for so long before the next one is; a TLS handshake takes no longer.
pub const FETCH_CONNECT_TIMEOUT_MS: u64 = 10_000;
/// Bytes of an answer's body, and of its head with the number of its headers.
pub const FETCH_BYTES_MAX: usize = 16 * 1024 * 1024;
pub const FETCH_HEAD_BYTES_MAX: usize = 64 * 1024;
pub const FETCH_HEADERS_MAX: usize = 100;
/// Redirects that one request follows.
pub const FETCH_REDIRECTS_MAX: u8 = 3;
/// Requests to the outside on their way at once, those of them to one host, and bytes that all their answers may come to;
/// beyond, a request waits for a place.
pub const FETCHES_MAX: usize = 256;
pub const FETCHES_PER_HOST_MAX: usize = 32;
pub const FETCHES_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Requests that are not answered yet, those of them to one host, and bytes that they hold; one more is answered `busy`.
pub const FETCH_QUEUE_MAX: usize = 4_096;
pub const FETCH_QUEUE_PER_HOST_MAX: usize = 1_024;
pub const FETCH_QUEUE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Hosts whose connections are kept for the next request, connections of one of them, and for how long.
pub const FETCH_IDLE_HOSTS_MAX: usize = 64;
pub const FETCH_IDLE_PER_HOST_MAX: usize = 8;
pub const FETCH_IDLE_TIMEOUT_MS: u64 = 30_000;
/// Characters of what operators are told of a failure.
pub const FETCH_TEXT_CHARS_MAX: usize = 200;
/// What one home tells another, in one piece.
pub const NOTE_BYTES_MAX: usize = 64 * 1024;
/// Hashes of passwords that are worked on at once, and those that wait; one more is refused.
pub const HASH_THREADS: usize = 2;
pub const HASH_QUEUE_MAX: usize = 256;
/// A password, and the text of a hash.
pub const HASH_PASSWORD_BYTES_MAX: usize = 1_024;
pub const HASH_PHC_BYTES_MAX: usize = 512;
/// What a new hash takes, and the most that one is verified with (argon2: memory, passes over it, lanes).
pub const HASH_MEMORY_KIB: u32 = 19_456;
pub const HASH_MEMORY_KIB_MAX: u32 = 65_536;
pub const HASH_PASSES: u32 = 2;
pub const HASH_PASSES_MAX: u32 = 10;
pub const HASH_LANES: u32 = 1;
pub const HASH_LANES_MAX: u32 = 4;
const _: () =
    assert!(HASH_MEMORY_KIB <= HASH_MEMORY_KIB_MAX && HASH_PASSES <= HASH_PASSES_MAX && HASH_LANES <= HASH_LANES_MAX);
/// One message of a link, whichever way.
pub const LINK_MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Messages of a link on their way to its home; above these, or as many bytes of them as its largest message may have (twice
/// that, where the link has arrived), it is not read.
pub const LINK_IN_MESSAGES_MAX: usize = 64;
/// Messages of a link, and bytes of them, that wait for the peer to take them; above these it is too slow, and closed. Bytes
/// of all dialled links: above these, so is one that is told more.
pub const LINK_OUT_MESSAGES_MAX: usize = 1_024;
pub const LINK_OUT_BYTES_MAX: usize = 2 * LINK_MESSAGE_BYTES_MAX;
pub const LINKS_OUT_BYTES_MAX: usize = 256 * 1024 * 1024;
/// A peer that takes nothing of what waits for it for so long is too slow.
pub const LINK_WRITE_TIMEOUT_MS: u64 = 30_000;
/// Links that we dial, of all applications, and bytes that their peers could make us hold: of each, one of its largest messages
/// that is coming and twice that on its way home. One more is closed as `busy`.
pub const LINKS_DIALLED_MAX: usize = 4_096;
pub const LINKS_IN_BYTES_MAX: usize = 1024 * 1024 * 1024;
/// Those of them that are being opened at once; one more waits for its place.
pub const LINKS_OPENING_MAX: usize = 256;
/// A process that ends waits so long for its last words on links.
pub const LINKS_FINISH_TIMEOUT_MS: u64 = 1_000;
/// A dialled link is open within this time, and its asker may want less.
pub const LINK_OPEN_TIMEOUT_MS_MAX: u64 = 60_000;
/// Subprotocols that one handshake offers.
pub const LINK_SUBPROTOCOLS_MAX: usize = 16;
/// Arrivals of a core that wait to be admitted, and for how long; one more is answered 503.
pub const LINK_ARRIVALS_MAX: usize = 1_024;
pub const LINK_ADMIT_TIMEOUT_MS: u64 = 10_000;
/// Blobs of one shelf, however small; the oldest make room.
pub const SHELF_BLOBS_MAX: usize = 1_000_000;
/// Jobs, and about so many bytes, of one group commit.
pub const STORE_GROUP_JOBS_MAX: usize = 2_048;
pub const STORE_GROUP_BYTES_MAX: usize = 8 * 1024 * 1024;
/// A write that a locked database has kept waiting this long is answered `busy`.
pub const STORE_BUSY_TIMEOUT_MS: u64 = 2_000;
/// Messages waiting in one shard's mailbox from one sender; above it the sender stops reading its sockets.
pub const MAILBOX_OVERFLOW_MAX: usize = 65_536;
/// Connections of the admin listener, of all and from one address; one more is answered 503. They are none of those that
/// `limits.connections_max` counts.
pub const ADMIN_CONNECTIONS_MAX: usize = 256;
pub const ADMIN_CONNECTIONS_PER_IP_MAX: usize = 64;
pub const ADMIN_LINGERING_REFUSED_MAX: usize = 64;
/// Connections the kernel may hold for us between SYN and accept.
pub const ACCEPT_BACKLOG: i32 = 4_096;
/// A reader over its outbox bound is closed once it has taken nothing for this long, or holds this many times the bound:
/// a burst may need a moment, a reader that has stopped gets none.
pub const OUTBOX_PATIENCE_MS: u64 = 1_000;
pub const OUTBOX_BURST_FACTOR: usize = 8;
/// The same for a polling client, which takes everything with its next GET.
pub const POLLING_BURST_FACTOR: usize = 64;
/// Full states asked of an application at once for a reader that has drained; the rest when these are written.
pub const STALE_KEYS_PER_DRAIN_MAX: usize = 64;
/// Coalescing keys remembered for one slow reader; one that misses more is closed.
pub const STALE_KEYS_MAX: usize = 16_384;
/// The shared read buffer of a shard, in bytes.
pub const READ_BUFFER_BYTES: usize = 64 * 1024;
/// Sockets read, and HTTP answers taken, in one turn.
pub const READS_PER_TURN_MAX: usize = 256;
/// Connections accepted, first requests read, and connections ended in one turn: a few milliseconds at most, for so long
/// does a storm of newcomers, or of those who leave, keep the others waiting.
pub const ACCEPTS_PER_TURN_MAX: usize = 64;
pub const FIRST_READS_PER_TURN_MAX: usize = 32;
pub const LAST_READS_PER_TURN_MAX: usize = 32;
/// Entries queued to one socket up to this size are copied into the shared write buffer; larger ones are written uncopied.
pub const COPY_ON_FLUSH_BYTES_MAX: usize = 4 * 1024;

const _: () = assert!(HEAD_TIMEOUT_MS < KEEP_ALIVE_TIMEOUT_MS);
const _: () = assert!(UPGRADE_NOOP_INTERVAL_MS < UPGRADE_TIMEOUT_MS);
const _: () = assert!(COPY_ON_FLUSH_BYTES_MAX < READ_BUFFER_BYTES);
const _: () = assert!(FETCH_BYTES_MAX <= FETCHES_BYTES_MAX && FETCHES_PER_HOST_MAX <= FETCHES_MAX);
const _: () = assert!(3 * LINK_MESSAGE_BYTES_MAX <= LINKS_IN_BYTES_MAX && LINK_MESSAGE_BYTES_MAX <= LINK_OUT_BYTES_MAX);
const _: () = assert!(CONTROL_PAYLOAD_BYTES_MAX < 126);
const _: () = assert!(PARKED_EVENTS_LONG < PARKED_EVENTS_MAX && PARKED_BYTES_LONG < PARKED_BYTES_MAX);

/// Fragments of one WebSocket message where messages have at most so many bytes. Fragments cost time, no memory, so a
/// larger message may have more of them; empty ones find an end all the same.
pub const fn fragments_max(max_payload_bytes: usize) -> usize {
    let fragments = max_payload_bytes / FRAGMENT_BYTES;
    if fragments > FRAGMENTS_MAX { fragments } else { FRAGMENTS_MAX }
}

/// Packets of one body where bodies have at most so many bytes: more than a client can make of them.
pub const fn packets_max(max_payload_bytes: usize) -> usize {
    let packets = max_payload_bytes / PACKET_BYTES_MIN;
    if packets > PACKETS_PER_POST_MAX { packets } else { PACKETS_PER_POST_MAX }
}

/// Engine values of one listener (PROTOCOL 11); they precede any namespace, so they cannot differ by application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineLimits {
    pub ping_interval_ms: u64,
    pub ping_timeout_ms: u64,
    /// One limit for a message on every transport: a POST body, a WebSocket message.
    pub max_payload_bytes: usize,
    /// A connection that has joined no namespace by then is closed.
    pub connect_timeout_ms: u64,
    /// Ping intervals vary between 0.9 and 1.0 of the configured one, so that pings spread; off in the fixture.
    pub ping_jitter: bool,
}

impl Default for EngineLimits {
    fn default() -> Self {
        EngineLimits {
            ping_interval_ms: 25_000,
            ping_timeout_ms: 20_000,
            max_payload_bytes: 1_000_000,
            connect_timeout_ms: 10_000,
            ping_jitter: true,
        }
    }
}

/// `[limits]`: what one process, address, user and socket may hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Open TCP connections of the process; one more is answered 503.
    pub connections_max: usize,
    /// Open TCP connections from one IP address; one more is answered 503.
    pub connections_per_ip_max: usize,
    /// New connections a second from one IP address, with a burst of the same size; 0 = no limit.
    pub handshakes_per_ip_per_s_max: u32,
    /// Sockets of one identity (`sub`) in one namespace; 0 = no limit.
    pub sockets_per_user_max: usize,
    /// Events a second from one client, with a burst of the same size; one that sends more is read no faster; 0 = no limit.
    pub events_per_socket_per_s_max: u32,
    /// Bytes queued to one socket, the entry being written not counted. A socket over it that must be sent more is closed as
    /// a slow consumer once it has taken nothing for [`OUTBOX_PATIENCE_MS`], or is at [`OUTBOX_BURST_FACTOR`] times this.
    pub outbox_bytes_max: usize,
    /// Bytes queued to all sockets together; above it the largest slow readers are closed. In the configuration it is about
    /// the process, and 0 stands for a quarter of the memory there is; for a shard it is the shard's part, and 0 no limit.
    pub outbox_total_bytes_max: usize,
    /// Above this many queued bytes, entries of a coalescing class replace each other.
    pub outbox_low_mark_bytes: usize,
    /// A socket whose queue makes no progress for this long is closed as a slow consumer.
    pub outbox_stall_ms: u64,
    pub rooms_per_socket_max: usize,
    pub namespaces_per_client_max: usize,
    /// Acks the server waits for from one socket.
    pub acks_per_socket_max: usize,
    /// TCP_NOTSENT_LOWAT of accepted sockets: what the kernel may swallow for a reader that has stopped.
    pub notsent_lowat_bytes: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connections_max: 1_000_000,
            connections_per_ip_max: 100_000,
            handshakes_per_ip_per_s_max: 0,
            sockets_per_user_max: 0,
            events_per_socket_per_s_max: 0,
            outbox_bytes_max: 262_144,
            outbox_total_bytes_max: 0,
            outbox_low_mark_bytes: 65_536,
            outbox_stall_ms: 10_000,
            rooms_per_socket_max: 128,
            namespaces_per_client_max: 64,
            acks_per_socket_max: 1_000,
            notsent_lowat_bytes: 131_072,
        }
    }
}

/// Values the configuration accepts, beside the key it is called there.
pub const PING_INTERVAL_MS_RANGE: RangeInclusive<u64> = 100..=3_600_000;
pub const PING_TIMEOUT_MS_RANGE: RangeInclusive<u64> = 100..=3_600_000;
pub const MAX_PAYLOAD_BYTES_RANGE: RangeInclusive<u64> = 1_024..=268_435_456;
pub const CONNECT_TIMEOUT_MS_RANGE: RangeInclusive<u64> = 100..=600_000;
pub const SHARDS_MAX: u16 = 256;
