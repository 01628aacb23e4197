//! What a shard's tables occupy, by part: for capacity planning and for `benches/idle.rs`. Counted are the tables as they
//! are reserved; what single entries own on the heap (handshakes, identities) is not.

use super::Shard;

impl Shard {
    /// Names of the parts and their bytes.
    pub fn footprint(&self) -> [(&'static str, usize); 8] {
        [
            ("connection", self.conns.reserved_bytes()),
            ("peer", self.peers.reserved_bytes()),
            ("sid index", self.by_sid.allocation_size()),
            ("socket", self.sockets.reserved_bytes()),
            ("route", self.routes.reserved_bytes()),
            ("room membership", self.hub.reserved_bytes()),
            ("timers", self.wheel.reserved_bytes()),
            ("outboxes", self.pool.reserved_bytes()),
        ]
    }
}
