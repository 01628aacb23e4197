//! F-11: the local ports are used up. In a network of its own there are few of them.

use std::process::Command;

use super::super::peer::Peer;
use super::super::{Came, ask, get};
use super::*;

/// Set where the ports are few.
const FEW_PORTS: &str = "SIOD_TEST_FEW_PORTS";
const PORTS: u64 = 16;

/// The same test again in a network of its own, which whoever may make one (`unshare`) can do.
const SCRIPT: &str =
    "ip link set lo up && echo 40000 40015 >/proc/sys/net/ipv4/ip_local_port_range && exec \"$0\" --exact \"$1\"";

#[test]
fn f11_without_a_local_port_links_and_requests_are_refused_and_go_on_when_one_is_free() {
    if std::env::var_os(FEW_PORTS).is_some() {
        return with_few_ports();
    }
    let own = std::env::current_exe().unwrap();
    let test =
        concat!(module_path!(), "::f11_without_a_local_port_links_and_requests_are_refused_and_go_on_when_one_is_free");
    let test = test.trim_start_matches("siod::");
    let mut again = Command::new("unshare");
    let ran = again.args(["-rn", "sh", "-c", SCRIPT]).arg(own).arg(test).env(FEW_PORTS, "1").output();
    let ran = ran.expect("there is unshare");
    let said = String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success() && said.contains("1 passed"), "{said}");
}

fn with_few_ports() {
    let upstream = upstream();
    // Both listen, and one port each is theirs.
    let (address, shop) = (speaker(echo), Peer::says("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"));
    let asks = || -> Came { ask(&upstream, get(shop.url("/"))) };
    assert_eq!(asks().unwrap().status, 200);
    let mut links = Vec::new();
    let refused = loop {
        let link = open(&upstream, links.len() as u64, ws(address));
        match link.next() {
            LinkEvent::Opened { .. } => links.push(link),
            LinkEvent::Closed { why } => break why,
            event => panic!("{event:?}"),
        }
        assert!((links.len() as u64) < PORTS, "there are no more ports than that");
    };
    assert_eq!(refused, LinkEnd::Failed(FetchFailure::Refused));
    let words = figures(&upstream).last_error.unwrap().1;
    assert_eq!(words, format!("refused: {address}: Cannot assign requested address (os error 99)"));
    // The connection that is kept serves on, as often as it is asked; who needs another one gets none.
    for _ in 0..100 {
        assert_eq!(asks().unwrap().status, 200);
    }
    assert_eq!(shop.accepted(), 1);
    let other = ask(&upstream, get(format!("http://{address}/"))).unwrap_err();
    assert_eq!(other.kind, FetchFailure::Refused);
    // Those that are open go on, and when they have gone there is room again.
    for link in &links {
        link.tell("still here");
        assert_eq!(link.message(), text("still here"));
        link.close(1_000, "");
        assert_eq!(link.ends(), LinkEnd::Ours);
    }
    let opens = || matches!(open(&upstream, PORTS, ws(address)).next(), LinkEvent::Opened { .. });
    assert!((0..1_000).any(|_| {
        let is_open = opens();
        thread::sleep(Duration::from_millis(if is_open { 0 } else { 20 }));
        is_open
    }));
}
