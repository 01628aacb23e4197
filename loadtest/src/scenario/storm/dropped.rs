//! Handshakes that the kernel dropped since it started, because a listener's queue was full: each costs its client a second
//! or more until it repeats them.

/// Of all listeners of this network namespace; `None` where the kernel does not tell.
pub fn count() -> Option<u64> {
    listen_drops(&std::fs::read_to_string("/proc/net/netstat").ok()?)
}

/// Lines come in pairs: names, values.
fn listen_drops(netstat: &str) -> Option<u64> {
    let mut lines = netstat.lines().filter(|line| line.starts_with("TcpExt:")).map(str::split_whitespace);
    let (names, mut values) = (lines.next()?, lines.next()?);
    let at = names.enumerate().find(|(_, name)| *name == "ListenDrops")?.0;
    values.nth(at)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counter_is_found_by_its_name() {
        let text = "TcpExt: SyncookiesSent ListenOverflows ListenDrops TCPX\nTcpExt: 1 22 333 4\nIpExt: A\nIpExt: 5\n";
        assert_eq!(listen_drops(text), Some(333));
        assert_eq!(listen_drops("TcpExt: A\nTcpExt: 1\n"), None);
        assert!(count().is_some());
    }
}
