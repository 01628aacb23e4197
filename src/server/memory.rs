//! How much memory the process may use: the machine's, or its control group's where that is less.

use std::fs;

/// Taken where nothing says how much there is.
const ASSUMED_BYTES: usize = 1 << 30;

/// Files that hold the limit of a control group, version 2 and version 1. They are those of a container's own group; a group
/// further down is not looked for.
const GROUP_LIMITS: [&str; 2] = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];

pub(crate) fn available_bytes() -> usize {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| total_of(&text));
    let groups = GROUP_LIMITS.iter().filter_map(|path| limit_of(&fs::read_to_string(path).ok()?));
    groups.chain(machine).min().unwrap_or(ASSUMED_BYTES)
}

/// `MemTotal:  16309484 kB`.
fn total_of(meminfo: &str) -> Option<usize> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.split_whitespace().next()?.parse::<usize>().ok()?.checked_mul(1024)
}

/// A number of bytes; `max`, or a number no machine has, is no limit.
fn limit_of(text: &str) -> Option<usize> {
    text.trim().parse().ok().filter(|bytes| *bytes > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_as_the_kernel_writes_it() {
        assert_eq!(total_of("MemTotal:       16309484 kB\nMemFree: 1 kB\n"), Some(16_309_484 * 1024));
        assert_eq!(total_of("MemFree: 1 kB\n"), None);
        assert_eq!(limit_of("536870912\n"), Some(536_870_912));
        assert_eq!(limit_of("max\n"), None);
        assert!(available_bytes() > 64 << 20);
    }
}
