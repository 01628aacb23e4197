//! Figures of the process itself, from `/proc/self`. A figure that cannot be read is left out.

use std::fs;

/// What `/proc` says; each part by itself, so that one missing file does not hide the rest.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Process {
    pub resident_bytes: Option<u64>,
    pub virtual_bytes: Option<u64>,
    pub threads: Option<u64>,
    pub cpu_seconds: Option<f64>,
    pub open_fds: Option<u64>,
    pub max_fds: Option<u64>,
}

impl Process {
    pub(super) fn read() -> Process {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        Process {
            resident_bytes: kilobytes(&status, "VmRSS:"),
            virtual_bytes: kilobytes(&status, "VmSize:"),
            threads: field(&status, "Threads:"),
            cpu_seconds: cpu_ticks(&stat).map(|ticks| ticks as f64 / ticks_per_second()),
            // The directory's own descriptor, open while it is listed, is not one of ours.
            open_fds: fs::read_dir("/proc/self/fd").ok().map(|entries| (entries.count() as u64).saturating_sub(1)),
            max_fds: limits.lines().find_map(|line| line.strip_prefix("Max open files")).and_then(first_number),
        }
    }
}

fn kilobytes(status: &str, name: &str) -> Option<u64> {
    field(status, name).map(|kilobytes| kilobytes * 1024)
}

fn field(status: &str, name: &str) -> Option<u64> {
    status.lines().find_map(|line| line.strip_prefix(name)).and_then(first_number)
}

fn first_number(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}

/// User and system time, fields 14 and 15. The second field, the program's name, may hold spaces and parentheses.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace().skip(11);
    let (user, system) = (fields.next()?.parse::<u64>().ok()?, fields.next()?.parse::<u64>().ok()?);
    Some(user + system)
}

fn ticks_per_second() -> f64 {
    // SAFETY: sysconf takes a constant and touches no memory of ours.
    let ticks = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    if ticks > 0 { ticks as f64 } else { 100.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_figures() {
        let process = Process::read();
        assert!(process.resident_bytes.unwrap() > 100_000);
        assert!(process.open_fds.unwrap() >= 3);
        assert!(process.max_fds.unwrap() >= process.open_fds.unwrap());
        assert!(process.threads.unwrap() >= 1);
        assert!(process.cpu_seconds.unwrap() >= 0.0);
    }

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194304 95 0 0 0 120 30 0 0 20 0 1 0 1000 1 1";
        assert_eq!(cpu_ticks(stat), Some(150));
        assert_eq!(cpu_ticks(""), None);
    }
}
