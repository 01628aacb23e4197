//! What this machine says about the server, about us and about itself: `/proc`, and the CPU clocks of processes.

use std::fs;
use std::net::SocketAddr;

use crate::clock::Nanos;

/// CPU and memory of the server's processes.
#[derive(Clone, Copy, Default, Debug)]
pub struct ServerSample {
    pub cpu_ns: Nanos,
    /// Its parts, to the tick of the kernel's accounts (10 ms).
    pub user_ns: Nanos,
    pub system_ns: Nanos,
    pub rss_bytes: u64,
}

/// What the machine's counters say.
#[derive(Clone, Copy, Default, Debug)]
pub struct MachineSample {
    /// Time in which its CPUs had work, all together.
    pub busy_ns: Nanos,
    /// Buffers of TCP, of both ends where both are here.
    pub tcp_memory_bytes: u64,
    /// Structures of the kernel, sockets of both ends among them.
    pub slab_bytes: u64,
    /// Connections that listening sockets here did not take, whatever the reason.
    pub listen_drops: u64,
    /// Those of them for which the queue of `accept` was full.
    pub listen_overflows: u64,
    /// First packets of connections that had to be sent again.
    pub syn_retransmits: u64,
}

/// All of these processes together; `None` if one cannot be read.
pub fn server(pids: &[u32]) -> Option<ServerSample> {
    if pids.is_empty() {
        return None;
    }
    let mut sum = ServerSample::default();
    for pid in pids {
        let [user_ns, system_ns] = cpu_parts_ns(*pid)?;
        sum.cpu_ns += cpu_ns(*pid)?;
        sum.user_ns += user_ns;
        sum.system_ns += system_ns;
        sum.rss_bytes += rss_bytes(*pid)?;
    }
    Some(sum)
}

pub fn machine() -> MachineSample {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let netstat = read("/proc/net/netstat");
    let tcp = |name| tcp_extension(&netstat, name).unwrap_or(0);
    MachineSample {
        listen_drops: tcp("ListenDrops"),
        listen_overflows: tcp("ListenOverflows"),
        syn_retransmits: tcp("TCPSynRetrans"),
        busy_ns: busy_ticks(&read("/proc/stat")).unwrap_or(0) * tick_ns(),
        tcp_memory_bytes: tcp_pages(&read("/proc/net/sockstat")).unwrap_or(0) * page_bytes(),
        slab_bytes: field(&read("/proc/meminfo"), "Slab:").unwrap_or(0) * 1024,
    }
}

/// User and system time of a process, ended threads included, to the nanosecond.
fn cpu_ns(pid: u32) -> Option<Nanos> {
    let (mut clock, mut time) = (0, libc::timespec { tv_sec: 0, tv_nsec: 0 });
    // SAFETY: both calls write to the variable they are given and nothing else.
    let failed = unsafe {
        libc::clock_getcpuclockid(pid as libc::pid_t, &mut clock) != 0 || libc::clock_gettime(clock, &mut time) != 0
    };
    (!failed).then_some(time.tv_sec as Nanos * 1_000_000_000 + time.tv_nsec as Nanos)
}

/// User and system time of a process, to the tick.
fn cpu_parts_ns(pid: u32) -> Option<[Nanos; 2]> {
    cpu_ticks(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?).map(|ticks| ticks.map(|ticks| ticks * tick_ns()))
}

/// `utime` and `stime`. The name before them may hold anything, its closing parenthesis is the last one.
fn cpu_ticks(stat: &str) -> Option<[u64; 2]> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    Some([fields.next()?.parse().ok()?, fields.next()?.parse().ok()?])
}

pub fn rss_bytes(pid: u32) -> Option<u64> {
    field(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?, "VmRSS:").map(|kilobytes| kilobytes * 1024)
}

/// CPU time of a thread of ours, or of a process that we started.
pub fn thread_cpu_ns(thread: i32) -> Nanos {
    let text = fs::read_to_string(format!("/proc/{thread}/schedstat")).unwrap_or_default();
    text.split_whitespace().next().and_then(|ns| ns.parse().ok()).unwrap_or(0)
}

/// CPU time of these processes; one that is gone counts nothing.
pub fn cpu_sum_ns(pids: impl IntoIterator<Item = u32>) -> Nanos {
    pids.into_iter().filter_map(cpu_ns).sum()
}

/// The number that [`thread_cpu_ns`] knows the calling thread by.
pub fn thread_id() -> i32 {
    // SAFETY: takes nothing and cannot fail.
    unsafe { libc::gettid() }
}

/// Takes as many descriptors as we may have. Where that fails, connections fail, and those are counted.
pub fn raise_descriptor_limit() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: both calls use the structure that they are given and nothing else.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) == 0 {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &limit);
        }
    }
}

/// The processes that listen on `addr`, or on all addresses with its port; none if they are not here, or not ours to see.
pub fn listeners(addr: SocketAddr) -> Vec<u32> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| fs::read_to_string(path).unwrap_or_default());
    let inodes: Vec<String> = tables.iter().flat_map(|table| listening_inodes(table, addr)).collect();
    let mut pids: Vec<u32> = process_ids().filter(|pid| holds_one_of(*pid, &inodes)).collect();
    pids.sort_unstable();
    pids
}

fn process_ids() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn holds_one_of(pid: u32, inodes: &[String]) -> bool {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    descriptors.filter_map(|entry| fs::read_link(entry.path()).ok()).any(|link| {
        let link = link.to_string_lossy();
        link.strip_prefix("socket:[")
            .and_then(|rest| rest.strip_suffix(']'))
            .is_some_and(|inode| inodes.iter().any(|wanted| wanted == inode))
    })
}

/// Sockets in state 0A (listening) whose local address is `addr`'s, or none in particular.
fn listening_inodes(table: &str, addr: SocketAddr) -> Vec<String> {
    let host = match addr {
        SocketAddr::V4(v4) => format!("{:08X}", u32::from_ne_bytes(v4.ip().octets())),
        SocketAddr::V6(v6) => {
            let words = v6.ip().octets();
            words.as_chunks::<4>().0.iter().map(|word| format!("{:08X}", u32::from_ne_bytes(*word))).collect()
        }
    };
    let port = format!("{:04X}", addr.port());
    let rows = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    rows.filter(|row| row.len() > 9 && row[3] == "0A")
        .filter(|row| {
            let (at, on) = row[1].split_once(':').unwrap_or_default();
            on == port && (at == host || at.bytes().all(|digit| digit == b'0'))
        })
        .map(|row| row[9].to_owned())
        .collect()
}

fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
}

/// Everything of the first line but idle and waiting for disks.
fn busy_ticks(stat: &str) -> Option<u64> {
    let numbers: Vec<u64> =
        stat.lines().next()?.strip_prefix("cpu ")?.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    // user nice system idle iowait irq softirq steal; guests are part of user.
    Some([0, 1, 2, 5, 6, 7].iter().filter_map(|at| numbers.get(*at)).sum())
}

/// A counter of `/proc/net/netstat`: a line of names is followed by a line of values.
fn tcp_extension(netstat: &str, name: &str) -> Option<u64> {
    let mut lines = netstat.lines().filter_map(|line| line.strip_prefix("TcpExt:"));
    let at = lines.next()?.split_whitespace().position(|word| word == name)?;
    lines.next()?.split_whitespace().nth(at)?.parse().ok()
}

fn tcp_pages(sockstat: &str) -> Option<u64> {
    let line = sockstat.lines().find_map(|line| line.strip_prefix("TCP:"))?;
    line.split_once("mem ")?.1.split_whitespace().next()?.parse().ok()
}

fn tick_ns() -> Nanos {
    1_000_000_000 / sysconf(libc::_SC_CLK_TCK).unwrap_or(100)
}

fn page_bytes() -> u64 {
    sysconf(libc::_SC_PAGESIZE).unwrap_or(4096)
}

fn sysconf(name: libc::c_int) -> Option<u64> {
    // SAFETY: takes a constant and touches no memory of ours.
    u64::try_from(unsafe { libc::sysconf(name) }).ok().filter(|value| *value > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_listens_and_has_figures() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        assert_eq!(listeners(listener.local_addr().unwrap()), [std::process::id()]);
        let sample = server(&[std::process::id()]).unwrap();
        assert!(sample.cpu_ns > 0 && sample.rss_bytes > 100_000);
        assert!(sample.user_ns + sample.system_ns <= sample.cpu_ns + 1_000_000_000);
        assert!(server(&[]).is_none());
        assert!(machine().busy_ns > 0 && machine().slab_bytes > 0);
        assert!(thread_cpu_ns(thread_id()) <= cpu_sum_ns([std::process::id()]) + 1_000_000_000);
    }

    #[test]
    fn files_of_proc() {
        assert_eq!(busy_ticks("cpu  1 2 3 400 500 6 7 8 0 0\ncpu0 9"), Some(27));
        assert_eq!(tcp_pages("sockets: used 9\nTCP: inuse 5 orphan 0 tw 0 alloc 9 mem 12\nUDP: mem 3"), Some(12));
        let netstat = "TcpExt: SyncookiesSent ListenOverflows ListenDrops\nTcpExt: 1 22 333\nIpExt: A\nIpExt: 9\n";
        assert_eq!(["ListenDrops", "ListenOverflows"].map(|name| tcp_extension(netstat, name)), [Some(333), Some(22)]);
        assert_eq!(tcp_extension(netstat, "TCPSynRetrans"), None);
        let stat = "7 (a (b) c) S 1 7 7 0 -1 4194560 1 2 3 4 55 66 7 8 20 0 1 0";
        assert_eq!(cpu_ticks(stat), Some([55, 66]));
        let table =
            "head\n 0: 0100007F:0BB8 00000000:0000 0A 0:0 0:0 0 0 0 77 1\n 1: 0200007F:0BB8 0:0 0A 0 0 0 0 0 78\n";
        assert_eq!(listening_inodes(table, "127.0.0.1:3000".parse().unwrap()), ["77"]);
    }
}
