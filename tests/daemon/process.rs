//! One daemon under test, and the little HTTP and WebSocket that the tests speak.

use std::cell::RefCell;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{self, Message, WebSocket};

pub(crate) const SECRET: &str = "planted-jwt-secret-0123456789abcdef";
const HANDSHAKE: &str = "/socket.io/?EIO=4&transport=polling";

/// What the configuration of a test says beside ports and directory.
#[derive(Default)]
pub(crate) struct Setup {
    /// More lines of `[server]`, `[[listener]]`, `[limits]` and whole sections.
    pub server: &'static str,
    /// Where it listens, twice; loopback unless it is said.
    pub host: Option<&'static str>,
    pub listener: &'static str,
    pub limits: &'static str,
    pub sections: &'static str,
    /// Run by a shell before it becomes the daemon, as `ulimit -n 64`.
    pub shell: Option<&'static str>,
    pub environment: Vec<(&'static str, &'static str)>,
}

/// A running daemon; killed when it is dropped.
pub(crate) struct Daemon {
    pub dir: tempfile::TempDir,
    pub port: u16,
    pub admin: u16,
    command: Vec<String>,
    environment: Vec<(&'static str, &'static str)>,
    child: Child,
}

impl Daemon {
    /// `lab` at the root and signage beside it, development identity, SQLite on disk.
    pub(crate) fn start() -> Daemon {
        Daemon::with(Setup::default())
    }

    pub(crate) fn with(setup: Setup) -> Daemon {
        let dir = tempfile::tempdir().expect("there is room for a directory");
        let [port, admin] = free_ports();
        fs::write(dir.path().join("siod.toml"), config(&setup, dir.path(), port, admin))
            .expect("a file can be written");
        let run = format!("exec {} run --config siod.toml", env!("CARGO_BIN_EXE_siod"));
        let script = setup.shell.map_or(run.clone(), |before| format!("{before}; {run}"));
        let command = vec!["sh".to_owned(), "-c".to_owned(), script];
        let child = spawn(&command, &setup.environment, dir.path());
        let mut daemon = Daemon { dir, port, admin, command, environment: setup.environment, child };
        daemon.wait_until_ready();
        daemon
    }

    fn wait_until_ready(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while get(self.port, "/health/ready").is_none_or(|answer| answer.status != 200) {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                panic!("it ended with {status}:\n{}", self.log());
            }
            assert!(Instant::now() < deadline, "it does not answer:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// All it has written, on both streams.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.child.id().to_string()]).status();
        assert!(sent.expect("there is kill").success());
    }

    /// The exit code, once it has ended within `limit`.
    pub(crate) fn exit_code(&mut self, limit: Duration) -> i32 {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                return status.code().unwrap_or(-1);
            }
            assert!(Instant::now() < deadline, "it goes on after {limit:?}:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn is_alive(&mut self) -> bool {
        self.child.try_wait().expect("a child can be waited for").is_none()
    }

    /// Without a word, as a crash does.
    pub(crate) fn kill(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// The same again, after its end.
    pub(crate) fn start_again(&mut self) {
        self.child = spawn(&self.command, &self.environment, self.dir.path());
        self.wait_until_ready();
    }

    /// Seconds of processor time it has taken.
    pub(crate) fn cpu_s(&self) -> f64 {
        let text = get(self.admin, "/metrics").expect("it can be scraped").body;
        figure(&text, "process_cpu_seconds_total")
    }

    /// One figure of `/metrics`.
    pub(crate) fn figure(&self, series: &str) -> f64 {
        figure(&get(self.admin, "/metrics").expect("it can be scraped").body, series)
    }

    /// Polls until `condition` holds.
    #[track_caller]
    pub(crate) fn until(&self, limit: Duration, condition: impl Fn(&Daemon) -> bool) {
        let deadline = Instant::now() + limit;
        while !condition(self) {
            assert!(Instant::now() < deadline, "not within {limit:?}:\n{}", tail(&self.log()));
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Descriptors it has open.
    pub(crate) fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.child.id())).map_or(0, Iterator::count)
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
    }
}

fn spawn(command: &[String], environment: &[(&str, &str)], dir: &Path) -> Child {
    let log = File::options().create(true).append(true).open(dir.join("log")).expect("a file can be written");
    let mut child = Command::new(&command[0]);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("SIOD__")) {
        child.env_remove(name);
    }
    child.args(&command[1..]).envs(environment.iter().copied()).current_dir(dir).stdin(Stdio::null());
    child.stdout(log.try_clone().expect("a descriptor can be copied")).stderr(log);
    child.spawn().expect("the program was built for this test")
}

pub(crate) fn config(setup: &Setup, dir: &Path, port: u16, admin: u16) -> String {
    let Setup { server, listener, limits, sections, .. } = setup;
    let host = setup.host.unwrap_or("127.0.0.1");
    format!(
        "[server]\nshards = 2\ndata_dir = \"{}/data\"\n{server}\n\
         [[listener]]\nbind = \"{host}:{port}\"\nroot = \"lab\"\n{listener}\n\
         [admin]\nbind = \"{host}:{admin}\"\n[limits]\n{limits}\n[apps.lab]\nenabled = true\n{sections}\n",
        dir.display()
    )
}

fn tail(log: &str) -> &str {
    let from = (log.len().saturating_sub(3_000)..log.len()).find(|at| log.is_char_boundary(*at));
    &log[from.unwrap_or(log.len())..]
}

fn figure(text: &str, series: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("{series} is not among\n{text}"))
}

/// Ports that were free a moment ago; held open together, so that they differ. They lie below those that the kernel gives to
/// whoever asks for any, and each process has a stretch of its own, so that nobody takes one before the daemon does.
pub(crate) fn free_ports<const N: usize>() -> [u16; N] {
    static TRIED: AtomicU32 = AtomicU32::new(0);
    const FIRST: u32 = 10_000;
    const STRETCH: u32 = 16;
    const STRETCHES: u32 = 1_250;
    let candidate = || {
        let tried = TRIED.fetch_add(1, Ordering::Relaxed);
        assert!(tried < STRETCH * STRETCHES, "no port is free");
        let port = FIRST + (std::process::id() * STRETCH + tried) % (STRETCH * STRETCHES);
        TcpListener::bind(("127.0.0.1", u16::try_from(port).expect("they are all below 32,768"))).ok()
    };
    let listeners =
        [(); N].map(|()| std::iter::repeat_with(candidate).flatten().next().expect("it goes on until one is"));
    listeners.map(|listener| listener.local_addr().expect("it is bound").port())
}

/// Runs the program until it ends by itself; exit code and everything it wrote.
pub(crate) fn run_to_end(dir: &Path, config: &str) -> (i32, String) {
    fs::write(dir.join("refused.toml"), config).expect("a file can be written");
    let command = [env!("CARGO_BIN_EXE_siod"), "run", "--config", "refused.toml"].map(str::to_owned);
    let log: PathBuf = dir.join("log");
    let _ = fs::remove_file(&log);
    let mut child = spawn(&command, &[], dir);
    let deadline = Instant::now() + Duration::from_secs(15);
    loop {
        if let Some(status) = child.try_wait().expect("a child can be waited for") {
            return (status.code().unwrap_or(-1), fs::read_to_string(&log).unwrap_or_default());
        }
        if Instant::now() > deadline {
            let _ = child.kill();
            panic!("it should have ended:\n{}", fs::read_to_string(&log).unwrap_or_default());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Connections that say nothing, so many that everybody who comes to `port` from then on is refused.
pub(crate) fn fill(daemon: &Daemon, port: u16) -> Vec<TcpStream> {
    let crowd = RefCell::new(Vec::new());
    daemon.until(Duration::from_secs(8), |_| {
        // Somebody of before may leave only while the crowd comes.
        crowd.borrow_mut().extend((0..80).map(|_| connect(port)));
        (0..5).all(|_| get(port, "/health/live").is_some_and(|answer| answer.status == 503))
    });
    crowd.into_inner()
}

/// An HTTP answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub status: u16,
    pub body: String,
}

pub(crate) fn connect(port: u16) -> TcpStream {
    try_connect(port).expect("loopback takes a connection")
}

pub(crate) fn try_connect(port: u16) -> std::io::Result<TcpStream> {
    let connect = |addr| TcpStream::connect_timeout(&addr, Duration::from_secs(5));
    // A test may have bound the IPv6 addresses only.
    let stream = connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
        .or_else(|_| connect(SocketAddr::from((Ipv6Addr::LOCALHOST, port))))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.set_write_timeout(Some(Duration::from_secs(10)))?;
    Ok(stream)
}

/// One request on a connection of its own; `None`: no whole answer came.
pub(crate) fn ask(port: u16, method: &str, path: &str, headers: &str, body: &str) -> Option<Answer> {
    let mut stream = try_connect(port).ok()?;
    let length = body.len();
    let head = format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n");
    stream.write_all(format!("{head}Content-Length: {length}\r\n{headers}\r\n{body}").as_bytes()).ok()?;
    parse(&read_all(&mut stream))
}

pub(crate) fn get(port: u16, path: &str) -> Option<Answer> {
    ask(port, "GET", path, "", "")
}

/// Everything that comes until the other side ends or resets the connection, or nothing comes for ten seconds.
pub(crate) fn read_all(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(count) = stream.read(&mut buffer) {
        if count == 0 {
            break;
        }
        bytes.extend_from_slice(&buffer[..count]);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

pub(crate) fn parse(text: &str) -> Option<Answer> {
    let status = text.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    let (_, body) = text.split_once("\r\n\r\n")?;
    Some(Answer { status, body: body.to_owned() })
}

/// The status of the first answer in a raw exchange.
pub(crate) fn status_of(text: &str) -> Option<u16> {
    parse(text).map(|answer| answer.status)
}

/// A polling session and its first words.
pub(crate) struct Polling {
    pub port: u16,
    pub sid: String,
}

impl Polling {
    pub(crate) fn open(port: u16) -> Polling {
        let answer = get(port, HANDSHAKE).expect("a handshake is answered");
        let after = answer.body.split_once("\"sid\":\"").unwrap_or_else(|| panic!("{answer:?}")).1;
        Polling { port, sid: after[..20].to_owned() }
    }

    pub(crate) fn path(&self) -> String {
        format!("{HANDSHAKE}&sid={}", self.sid)
    }

    pub(crate) fn get(&self) -> Answer {
        get(self.port, &self.path()).expect("a poll is answered")
    }

    pub(crate) fn post(&self, body: &str) -> Answer {
        ask(self.port, "POST", &self.path(), "Content-Type: text/plain\r\n", body).expect("a POST is answered")
    }
}

/// A WebSocket client that has joined `/`.
pub(crate) struct Ws(pub WebSocket<TcpStream>);

impl Ws {
    pub(crate) fn open(port: u16) -> Ws {
        Ws::over(connect(port), port)
    }

    pub(crate) fn over(stream: TcpStream, port: u16) -> Ws {
        let url = format!("ws://127.0.0.1:{port}/socket.io/?EIO=4&transport=websocket");
        let request = url.into_client_request().expect("the URL is one");
        let (socket, _) = tungstenite::client(request, stream).expect("the handshake is accepted");
        let mut ws = Ws(socket);
        assert!(ws.next().starts_with("0{"));
        ws
    }

    pub(crate) fn joined(port: u16) -> Ws {
        Ws::open(port).joins()
    }

    pub(crate) fn joins(mut self) -> Ws {
        self.send("40");
        assert!(self.next().starts_with("40{"));
        assert_eq!(self.next(), "42[\"auth\",{}]");
        self
    }

    pub(crate) fn send(&mut self, text: &str) {
        self.0.send(Message::text(text)).expect("it is open");
    }

    /// The next text that is no ping.
    pub(crate) fn next(&mut self) -> String {
        loop {
            match self.0.read().expect("a message comes") {
                Message::Text(text) if text.as_str() == "2" => self.send("3"),
                Message::Text(text) => return text.as_str().to_owned(),
                _ => {}
            }
        }
    }

    /// Sends an event and reads its answer: whoever serves one healthy client serves.
    pub(crate) fn is_served(&mut self) {
        self.send("42[\"message\",\"still here\"]");
        assert_eq!(self.next(), "42[\"message-back\",\"still here\"]");
    }

    /// The code of the close frame that ends the connection; `None`: a close frame without one.
    pub(crate) fn close_code(&mut self) -> Option<u16> {
        loop {
            match self.0.read().expect("a close frame comes") {
                Message::Close(frame) => return frame.map(|frame| frame.code.into()),
                _ => continue,
            }
        }
    }
}
