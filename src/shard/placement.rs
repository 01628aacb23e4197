//! Which shard owns what: a keyed hash, the same on every shard, that no client can aim at.

use std::hash::{Hash, Hasher};

use siphasher::sip::SipHasher13;

use crate::app::Home;
use crate::base::ids::{AppId, ShardId, Sid};
use crate::base::rng::Rng;

/// Number of shards and the key of the hash, drawn at start.
#[derive(Clone, Copy, Debug)]
pub struct Placement {
    pub shards: u16,
    pub key: (u64, u64),
}

impl Placement {
    /// The shard that owns a session.
    pub fn of_sid(&self, sid: &Sid) -> ShardId {
        self.of(|hasher| sid.0.hash(hasher))
    }

    /// The shard that decides for a tenant; `local` where the application keeps nothing that two sockets share.
    pub fn of_home(&self, app: AppId, home: &Home, local: ShardId) -> ShardId {
        match home {
            Home::Local => local,
            Home::Tenant(tenant) => self.of(|hasher| (app.0, tenant).hash(hasher)),
        }
    }

    /// A fresh sid that `shard` owns: drawn until the hash falls there.
    pub fn draw_sid(&self, rng: &mut Rng, shard: ShardId) -> Sid {
        loop {
            let sid = rng.sid();
            if self.shards == 1 || self.of_sid(&sid) == shard {
                return sid;
            }
        }
    }

    fn of(&self, feed: impl FnOnce(&mut SipHasher13)) -> ShardId {
        if self.shards == 1 {
            return ShardId(0);
        }
        let mut hasher = SipHasher13::new_with_keys(self.key.0, self.key.1);
        feed(&mut hasher);
        ShardId((hasher.finish() % u64::from(self.shards)) as u16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drawn_sid_names_its_shard() {
        let placement = Placement { shards: 4, key: (1, 2) };
        let mut rng = Rng::from_seed([8; 32]);
        for shard in 0..4 {
            assert_eq!(placement.of_sid(&placement.draw_sid(&mut rng, ShardId(shard))), ShardId(shard));
        }
    }

    #[test]
    fn a_tenant_has_one_home_and_tenants_spread() {
        let placement = Placement { shards: 4, key: (1, 2) };
        let home = |tenant: usize| placement.of_home(AppId(0), &Home::Tenant(tenant.to_string()), ShardId(9));
        assert_eq!(home(1), home(1));
        let used: std::collections::BTreeSet<ShardId> = (0..100).map(home).collect();
        assert_eq!(used.len(), 4);
        assert_eq!(placement.of_home(AppId(0), &Home::Local, ShardId(9)), ShardId(9));
    }
}
