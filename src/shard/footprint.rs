//! What a shard's tables occupy, by part: for capacity planning and for `benches/idle.rs`. Counted are the tables as they
//! are reserved; what single entries own on the heap (handshakes, identities) is not.

use super::Shard;

impl Shard {
    /// Names of the parts and their bytes.
    pub fn footprint(&self) -> [(&'static str, usize); 9] {
        [
            ("connection", self.transports.conns.reserved_bytes()),
            ("peer", self.transports.peers.reserved_bytes()),
            ("link", self.transports.links.reserved_bytes()),
            ("sid index", self.transports.by_sid.allocation_size()),
            ("socket", self.members.sockets.reserved_bytes()),
            ("route", self.members.routes.reserved_bytes()),
            ("room membership", self.members.hub.reserved_bytes()),
            ("timers", self.wheel.reserved_bytes()),
            ("outboxes", self.transports.pool.reserved_bytes()),
        ]
    }
}
