//! Names and addresses: who resolves, what is judged, and that what was judged is what is asked.

use std::fs;
use std::net::Ipv4Addr;
use std::sync::atomic::Ordering;

use super::peer::{NameServer, Peer};
use super::{Fetch, FetchFailure, Settings, Upstream, ask, fails, get, settings};

const OK: &str = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

pub(super) fn resolving(server: &NameServer) -> Upstream {
    Upstream::start(&Settings { nameservers: vec![server.address], ..settings() }).unwrap()
}

#[test]
fn a_name_is_resolved_once_and_its_address_asked() {
    let (peer, server) = (Peer::says(OK), NameServer::of(Ipv4Addr::LOCALHOST.into()));
    let fetched = ask(&resolving(&server), get(format!("http://peer.example:{}/", peer.address.port())));
    assert_eq!(fetched.unwrap().status, 200);
    assert_eq!(server.asked.load(Ordering::SeqCst), 1);
    assert!(peer.heads.recv().unwrap().contains("host: peer.example:"));
}

#[test]
fn a_name_that_does_not_resolve() {
    let server = NameServer::says(|_, _| Vec::new());
    assert_eq!(fails(&resolving(&server), get("http://nobody.example/")), FetchFailure::Dns);
}

#[test]
fn a_nameserver_that_is_not_there() {
    let address = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let upstream = Upstream::start(&Settings { nameservers: vec![address], ..settings() }).unwrap();
    let kind = fails(&upstream, Fetch { timeout_ms: 500, ..get("http://nobody.example/") });
    assert!(matches!(kind, FetchFailure::Dns | FetchFailure::TimedOut), "{kind:?}");
}

#[test]
fn a_name_that_leads_to_a_forbidden_address() {
    for address in [[10, 0, 0, 1], [169, 254, 169, 254], [127, 0, 0, 2], [0, 0, 0, 0]] {
        let server = NameServer::of(Ipv4Addr::from(address).into());
        assert_eq!(fails(&resolving(&server), get("http://inner.example/")), FetchFailure::Forbidden, "{address:?}");
    }
}

#[test]
fn of_a_name_with_inner_and_permitted_addresses_only_those_permitted_are_asked() {
    let peer = Peer::says(OK);
    let server = NameServer::says(|_, _| vec![Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::LOCALHOST]);
    let fetched = ask(&resolving(&server), get(format!("http://both.example:{}/", peer.address.port())));
    assert_eq!(fetched.unwrap().status, 200);
}

#[test]
fn a_forbidden_address_in_the_url() {
    let (peer, nobody) = (Peer::says(OK), Settings { allow: Vec::new(), ..settings() });
    let (upstream, port) = (Upstream::start(&nobody).unwrap(), peer.address.port());
    for host in [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "0.0.0.0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "10.0.0.1",
        "169.254.169.254",
        "[fd00:ec2::254]",
        "localhost",
        "a.localhost",
    ] {
        assert_eq!(fails(&upstream, get(format!("http://{host}:{port}/"))), FetchFailure::Forbidden, "{host}");
    }
    assert_eq!(peer.accepted(), 0);
}

#[test]
fn a_redirect_to_a_forbidden_address() {
    for to in ["http://10.0.0.1/", "http://169.254.169.254/latest/meta-data/", "http://inner.example/", "//[::1]/"] {
        let server = NameServer::of(Ipv4Addr::new(192, 168, 0, 1).into());
        let peer = Peer::says(format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n"));
        let fetch = Fetch { redirects: 3, ..get(peer.url("/")) };
        assert_eq!(fails(&resolving(&server), fetch), FetchFailure::Forbidden, "{to}");
    }
}

#[test]
fn a_name_that_leads_elsewhere_the_second_time_is_judged_anew_and_what_was_judged_is_asked() {
    let peer = Peer::says(OK);
    let url = format!("http://rebinding.example:{}/", peer.address.port());
    // Were the name resolved again for the connection, the first request would go to the second address.
    let there_and_back = [Ipv4Addr::LOCALHOST, Ipv4Addr::new(10, 0, 0, 1)];
    let server = NameServer::says(move |_, before| vec![there_and_back[before % 2]]);
    let upstream = resolving(&server);
    for asked in 1..=2 {
        assert_eq!(ask(&upstream, get(&*url)).unwrap().status, 200);
        assert_eq!(server.asked.load(Ordering::SeqCst), 2 * asked - 1);
        assert_eq!(fails(&upstream, get(&*url)), FetchFailure::Forbidden);
    }
    assert_eq!(peer.accepted(), 2);
}

#[test]
fn the_file_of_hosts_goes_before_nameservers() {
    let (peer, server) = (Peer::says(OK), NameServer::of(Ipv4Addr::new(10, 0, 0, 1).into()));
    let directory = tempfile::tempdir().unwrap();
    let hosts = directory.path().join("hosts");
    fs::write(&hosts, "# ours\n127.0.0.1 printer printer.example\n").unwrap();
    let settings = Settings { nameservers: vec![server.address], hosts, ..settings() };
    let fetched =
        ask(&Upstream::start(&settings).unwrap(), get(format!("http://printer.example:{}/", peer.address.port())));
    assert_eq!((fetched.unwrap().status, server.asked.load(Ordering::SeqCst)), (200, 0));
}
