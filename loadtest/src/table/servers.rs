//! The servers of the table, as data, and one of them as a process: started on its core, ended when it is dropped.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::host;

/// A way to start a server. In its words `{port}` is where it is to listen, `{admin}` where its metrics are.
pub struct Server {
    pub name: &'static str,
    /// From the root of the repository.
    pub command: &'static [&'static str],
    /// A later list goes before an earlier one.
    pub environment: &'static [&'static [(&'static str, &'static str)]],
    pub has_metrics: bool,
}

/// The root of the repository: the parent of this crate.
pub const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// A word of the lists as it is here: what begins with `target/` is where cargo was told to build. A path is from the root of
/// the repository.
pub fn built(word: &str) -> PathBuf {
    match (std::env::var_os("CARGO_TARGET_DIR"), word.strip_prefix("target/")) {
        (Some(built), Some(rest)) => PathBuf::from(built).join(rest),
        _ => PathBuf::from(word),
    }
}

/// What servers write, from the root of the repository.
const LOGS: &str = "target/compare";

const ONE_SHARD_OF_LAB: &[(&str, &str)] = &[
    ("SIOD__SERVER__SHARDS", "1"),
    ("SIOD__SERVER__DATA_DIR", "target/compare/data"),
    ("SIOD__STORE__URL", "memory:"),
    ("SIOD__LISTENER__0__BIND", "127.0.0.1:{port}"),
    ("SIOD__LISTENER__0__ROOT", "lab"),
    ("SIOD__ADMIN__BIND", "127.0.0.1:{admin}"),
    ("SIOD__APPS__LAB__ENABLED", "true"),
    ("SIOD__APPS__SIGNAGE__ENABLED", "false"),
];
const TWO_SHARDS: &[(&str, &str)] = &[("SIOD__SERVER__SHARDS", "2")];
const SIGNAGE: &[(&str, &str)] = &[
    ("SIOD__LISTENER__0__ROOT", "signage"),
    ("SIOD__APPS__SIGNAGE__ENABLED", "true"),
    ("SIOD__AUTH__MODE", "jwt"),
    ("SIOD__AUTH__JWT_SECRET", "0123456789abcdef0123456789abcdef"),
];

const fn siod(name: &'static str, environment: &'static [&'static [(&'static str, &'static str)]]) -> Server {
    Server { name, command: &["target/release/siod"], environment, has_metrics: true }
}

const fn other(name: &'static str, command: &'static [&'static str]) -> Server {
    Server { name, command, environment: &[], has_metrics: false }
}

/// A further server is an entry here and, in the rows where it takes part, a name.
pub const SERVERS: &[Server] = &[
    siod("siod", &[ONE_SHARD_OF_LAB]),
    siod("siod with two shards", &[ONE_SHARD_OF_LAB, TWO_SHARDS]),
    siod("siod with signage", &[ONE_SHARD_OF_LAB, SIGNAGE]),
    other("floor (fan-out)", &["target/release/loadtest", "floor", "--mode", "fanout", "--listen", "127.0.0.1:{port}"]),
    other("floor (echo)", &["target/release/loadtest", "floor", "--mode", "echo", "--listen", "127.0.0.1:{port}"]),
    other("Node", &["loadtest/peers/node.sh", "{port}"]),
    other("Bun", &["loadtest/peers/bun.sh", "{port}"]),
    other("socketioxide", &["loadtest/peers/socketioxide.sh", "{port}"]),
];

pub fn find(name: &str) -> &'static Server {
    SERVERS.iter().find(|server| server.name == name).expect("rows name servers of the list")
}

/// Where servers run: one core, and ports from the first one on, each used again after some others.
pub struct Place {
    pub cpu: u32,
    pub first_port: u16,
    started: u16,
}

impl Place {
    pub fn new(cpu: u32, first_port: u16) -> Place {
        Place { cpu, first_port, started: 0 }
    }

    fn ports(&mut self) -> [u16; 2] {
        let port = self.first_port + 2 * (self.started % SERVERS_MAX);
        self.started += 1;
        [port, port + 1]
    }

    /// # Errors
    /// A sentence that says why the server does not answer.
    pub fn start(&mut self, server: &'static Server) -> Result<Running, String> {
        let [port, admin] = self.ports();
        let failed = |error: io::Error| format!("{} cannot be started: {error}", server.name);
        let put = |word: &str| built(&word.replace("{port}", &port.to_string()).replace("{admin}", &admin.to_string()));
        let log = log(server.name).map_err(failed)?;
        let mut command = Command::new("taskset");
        command.current_dir(ROOT).args(["-c", &self.cpu.to_string()]);
        command.args(server.command.iter().map(|word| put(word)));
        command.envs(server.environment.iter().copied().flatten().map(|(name, value)| (name, put(value))));
        command.stdin(Stdio::null()).stdout(log.try_clone().map_err(failed)?).stderr(log);
        let child = command.spawn().map_err(failed)?;
        let mut running = Running { child, server, port, admin };
        running.wait_until_it_listens()?;
        Ok(running)
    }
}

fn log(name: &str) -> io::Result<File> {
    let folder = Path::new(ROOT).join(built(LOGS));
    std::fs::create_dir_all(&folder)?;
    File::create(folder.join(format!("{}.log", name.replace(' ', "-"))))
}

/// A server that listens.
pub struct Running {
    child: Child,
    server: &'static Server,
    pub port: u16,
    admin: u16,
}

impl Running {
    /// The words by which a scenario finds it.
    pub fn words(&self) -> Vec<String> {
        let mut words = vec![format!("--url=http://127.0.0.1:{}", self.port), format!("--pid={}", self.child.id())];
        if self.server.has_metrics {
            words.push(format!("--metrics=http://127.0.0.1:{}/metrics", self.admin));
        }
        words
    }

    fn wait_until_it_listens(&mut self) -> Result<(), String> {
        let (name, deadline) = (self.server.name, Instant::now() + START_MAX);
        while TcpStream::connect(self.addr()).is_err() {
            if self.child.try_wait().is_ok_and(|ended| ended.is_some()) {
                return Err(format!("{name} ended at once; {LOGS} has what it wrote"));
            }
            if Instant::now() > deadline {
                return Err(format!("{name} does not listen; {LOGS} has what it wrote"));
            }
            std::thread::sleep(Duration::from_micros(500));
        }
        Ok(())
    }

    fn addr(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// Whether a handshake is answered.
    pub fn answers(&self) -> bool {
        let answer = || -> io::Result<bool> {
            let mut stream = TcpStream::connect(self.addr())?;
            stream.set_read_timeout(Some(START_MAX))?;
            stream.write_all(b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
            let mut start = [0; 12];
            stream.read_exact(&mut start)?;
            Ok(&start == b"HTTP/1.1 200")
        };
        answer().unwrap_or(false)
    }

    /// Waits until it has nothing to do: clients that have just left cost it something.
    pub fn settle(&self) {
        let cpu_ns = || host::server(&[self.child.id()]).map_or(0, |sample| sample.cpu_ns);
        let deadline = Instant::now() + SETTLE_MAX;
        let mut last = cpu_ns();
        while Instant::now() < deadline {
            std::thread::sleep(SETTLE_STEP);
            let now = cpu_ns();
            if now.saturating_sub(last) < QUIET_NS {
                return;
            }
            last = now;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Where it has ended already there is nothing to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Servers after which ports are used again: more than run at a time.
const SERVERS_MAX: u16 = 40;
/// A server starts in this time.
const START_MAX: Duration = Duration::from_secs(30);
/// How long at most a server is waited for after a run, how often it is looked at, and what it may use meanwhile.
const SETTLE_MAX: Duration = Duration::from_secs(4);
const SETTLE_STEP: Duration = Duration::from_millis(50);
const QUIET_NS: u64 = 2_000_000;
