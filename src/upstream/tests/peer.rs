//! Whom the tests ask: peers on loopback that answer as a test wants it, and a nameserver.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread;

/// A peer, and what it was asked.
pub(super) struct Peer {
    pub address: SocketAddr,
    /// Connections it has accepted.
    pub accepted: Arc<AtomicUsize>,
    /// Heads of requests, in the order they came.
    pub heads: Receiver<String>,
}

impl Peer {
    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(super) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    /// Says the same to every request.
    pub(super) fn says(answer: impl Into<Vec<u8>>) -> Peer {
        let answer = answer.into();
        Peer::does(move |stream| stream.write_all(&answer).is_ok())
    }

    /// Answers every request by `act`, until that says that the connection is over.
    pub(super) fn does(act: impl Fn(&mut TcpStream) -> bool + Send + Sync + 'static) -> Peer {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let (address, accepted) = (listener.local_addr().unwrap(), Arc::<AtomicUsize>::default());
        let (sender, heads) = mpsc::channel();
        let (act, count) = (Arc::new(act), accepted.clone());
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                count.fetch_add(1, Ordering::SeqCst);
                let (act, sender) = (act.clone(), sender.clone());
                thread::spawn(move || {
                    while let Some(head) = request(&mut stream) {
                        // The test may have seen enough.
                        let _ = sender.send(head);
                        if !act(&mut stream) {
                            return;
                        }
                    }
                });
            }
        });
        Peer { address, accepted, heads }
    }
}

/// Reads one request; its head. `None`: the client has gone.
pub(super) fn request(stream: &mut impl Read) -> Option<String> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).ok()?;
    Some(head)
}

/// A nameserver, and how often it was asked for IPv4 addresses: `answer` has the name and how often it has been asked before.
pub(super) struct NameServer {
    pub address: SocketAddr,
    pub asked: Arc<AtomicUsize>,
}

impl NameServer {
    /// What is asked of IPv6 has no answer; a name without addresses does not exist. Nothing may be kept.
    pub(super) fn says(answer: impl Fn(&str, usize) -> Vec<Ipv4Addr> + Send + 'static) -> NameServer {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let (address, asked) = (socket.local_addr().unwrap(), Arc::<AtomicUsize>::default());
        let count = asked.clone();
        thread::spawn(move || {
            let mut buffer = [0; 1_024];
            while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                let query = &buffer[..length];
                let (name, end) = question(query);
                let is_v4 = query[end - 3] == 1;
                let before = if is_v4 { count.fetch_add(1, Ordering::SeqCst) } else { 0 };
                let addresses = answer(&name, before);
                let response = response(&query[..end], if is_v4 { &addresses } else { &[] }, addresses.is_empty());
                let _ = socket.send_to(&response, from);
            }
        });
        NameServer { address, asked }
    }

    /// Every name is one of this address.
    pub(super) fn of(address: IpAddr) -> NameServer {
        let IpAddr::V4(address) = address else { panic!("IPv4 only") };
        NameServer::says(move |_, _| vec![address])
    }
}

/// The name a query is for, and where its question ends (RFC 1035 section 4.1.2).
fn question(query: &[u8]) -> (String, usize) {
    let (mut at, mut labels) = (12, Vec::new());
    while query[at] != 0 {
        let length = usize::from(query[at]);
        labels.push(String::from_utf8_lossy(&query[at + 1..at + 1 + length]).to_lowercase());
        at += 1 + length;
    }
    (labels.join("."), at + 5)
}

fn response(question: &[u8], addresses: &[Ipv4Addr], is_unknown: bool) -> Vec<u8> {
    let mut out = question[..2].to_vec();
    out.extend([0x81, if is_unknown { 0x83 } else { 0x80 }, 0, 1, 0, addresses.len() as u8, 0, 0, 0, 0]);
    out.extend(&question[12..]);
    for address in addresses {
        out.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]);
        out.extend(address.octets());
    }
    out
}
