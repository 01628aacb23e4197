//! How many file descriptors the process may have, and so how many connections: each costs one.

use tracing::{info, warn};

use crate::base::limit::Limits;

use crate::base::limit::{ADMIN_CONNECTIONS_MAX, ADMIN_LINGERING_REFUSED_MAX, LINGERING_REFUSED_MAX};

/// Descriptors kept for everything that is no client's connection: listening sockets, event queues, the store and its files,
/// connections of the admin listener, and those that are refused.
const RESERVE: usize = 64 + ADMIN_CONNECTIONS_MAX + ADMIN_LINGERING_REFUSED_MAX + LINGERING_REFUSED_MAX;

/// Raises the limit as far as it goes, and returns how many connections there may be: `wanted`, or what descriptors allow.
pub(crate) fn connections_max(wanted: usize) -> usize {
    let Some(descriptors) = raise() else { return wanted };
    let possible = possible(descriptors);
    if wanted > possible && wanted == Limits::default().connections_max {
        // Nobody has asked for so many.
        info!(target: "siod::server", connections_max = possible, descriptors, "as many connections as there may be open files");
    } else if wanted > possible {
        warn!(
            target: "siod::server",
            connections_max = wanted, descriptors, used = possible,
            "limits.connections_max is above what the limit of open files allows: raise that (ulimit -Hn, LimitNOFILE=)"
        );
    }
    wanted.min(possible)
}

/// Where there are hardly any descriptors, half of them are for connections.
fn possible(descriptors: usize) -> usize {
    descriptors - RESERVE.min(descriptors / 2)
}

/// Makes the soft limit the hard one; returns what holds then. `None`: the kernel does not say.
fn raise() -> Option<usize> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: both calls take a pointer to a structure of ours, which outlives them, and keep nothing of it.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) != 0 {
            return None;
        }
        let raised = libc::rlimit { rlim_cur: limit.rlim_max, ..limit };
        if limit.rlim_cur < limit.rlim_max && libc::setrlimit(libc::RLIMIT_NOFILE, &raised) == 0 {
            limit = raised;
        }
    }
    Some(usize::try_from(limit.rlim_cur).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_bounded_by_descriptors() {
        for (descriptors, connections) in [(0, 0), (64, 32), (128, 64), (1024, 512), (1 << 20, (1 << 20) - 640)] {
            assert_eq!(possible(descriptors), connections, "{descriptors}");
        }
        assert_eq!(connections_max(1), 1);
    }
}
