//! TLS: who is trusted, and that a secret never leaves by the log.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use tempfile::TempDir;

use super::peer::{NameServer, Peer, request};
use super::{Fetch, FetchFailure, Settings, Upstream, ask, fails, get, settings};
use crate::app::Token;
use crate::app::link::{Dial, LinkEvent, WebSocketDial};
use crate::base::ids::{AppId, ShardId};
use crate::upstream::LinkName;

/// Whom the tests trust, in a file.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    directory: TempDir,
}

impl Authority {
    pub(super) fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("ca.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
        Authority { issuer: Issuer::new(params, key), directory }
    }

    pub(super) fn file(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// What a peer of this name serves TLS with.
    pub(super) fn vouches_for(&self, name: &str, until_year: i32) -> Arc<ServerConfig> {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(until_year, 1, 1);
        let key = KeyPair::generate().unwrap();
        let chain = vec![params.signed_by(&key, &self.issuer).unwrap().der().clone()];
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        Arc::new(builder.with_single_cert(chain, key).unwrap())
    }

    /// A peer of this name that answers `ok`; its port.
    fn serves(&self, name: &str, until_year: i32) -> u16 {
        let config = self.vouches_for(name, until_year);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            for tcp in listener.incoming().flatten() {
                let mut stream = StreamOwned::new(ServerConnection::new(config.clone()).unwrap(), tcp);
                if request(&mut stream).is_some() {
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok");
                }
            }
        });
        port
    }
}

pub(super) fn trusting(server: &NameServer, ca_file: Option<PathBuf>) -> Upstream {
    Upstream::start(&Settings { nameservers: vec![server.address], ca_file, ..settings() }).unwrap()
}

#[test]
fn a_certificate_is_trusted_current_and_of_its_host_or_nothing_is_asked() {
    let server = NameServer::of(Ipv4Addr::LOCALHOST.into());
    let (known, stranger) = (Authority::new(), Authority::new());
    let upstream = trusting(&server, Some(known.file()));
    let url = |port| get(format!("https://shop.example:{port}/"));
    assert_eq!(&ask(&upstream, url(known.serves("shop.example", 2100))).unwrap().body[..], b"ok");
    for (port, what) in [
        (stranger.serves("shop.example", 2100), "untrusted"),
        (known.serves("shop.example", 2001), "expired"),
        (known.serves("other.example", 2100), "of another host"),
    ] {
        assert_eq!(fails(&upstream, url(port)), FetchFailure::Tls, "{what}");
    }
    assert_eq!(fails(&trusting(&server, None), url(known.serves("shop.example", 2100))), FetchFailure::Tls);
}

#[test]
fn a_peer_that_speaks_no_tls_or_ends_in_the_handshake_is_a_failure_of_tls() {
    for said in ["", "HTTP/1.1 400 Bad Request\r\n\r\n"] {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                // Ended with something unread, the connection would be reset.
                let _ = stream.read(&mut [0; 16_384]);
                let _ = stream.write_all(said.as_bytes());
            }
        });
        assert_eq!(fails(&super::upstream(), get(format!("https://{address}/"))), FetchFailure::Tls, "{said:?}");
    }
}

#[test]
fn a_file_of_roots_that_cannot_be_used_is_said_at_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ca.pem");
    for (text, why) in [
        (None, "No such file"),
        (Some(""), "no certificate"),
        (Some("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), "cannot be used"),
    ] {
        text.iter().for_each(|text| fs::write(&path, text).unwrap());
        let refused = Upstream::start(&Settings { ca_file: Some(path.clone()), ..settings() }).map(|_| ()).unwrap_err();
        assert!(refused.starts_with("upstream.ca_file ") && refused.contains(why), "{refused}");
    }
}

/// Everything that is logged in the process, of every level.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn secrets_of_a_request_are_in_no_line_of_the_log_and_no_text_for_operators() {
    let lines = Lines::default();
    let (written, level) = (lines.clone(), tracing::Level::TRACE);
    let log = tracing_subscriber::fmt().with_max_level(level).with_writer(move || lines.clone()).finish();
    tracing::subscriber::set_global_default(log).expect("this test alone listens to all threads");
    tracing::trace!("it is heard");
    let server =
        NameServer::says(|name, _| if name == "gone.example" { Vec::new() } else { vec![Ipv4Addr::LOCALHOST] });
    let (known, upstream) = (Authority::new(), trusting(&server, None));
    let (peer, cut) = (Peer::says("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"), Peer::does(|_| false));
    let ports = [peer.address.port(), cut.address.port(), known.serves("shop.example", 2100)];
    for url in [
        format!("http://shop.example:{}", ports[0]),
        format!("http://shop.example:{}", ports[1]),
        format!("https://shop.example:{}", ports[2]),
        "http://gone.example".to_owned(),
        "http://10.0.0.1".to_owned(),
    ] {
        let fetch = Fetch {
            headers: vec![("authorization".into(), "Bearer s3cret".into()), ("x-api-key".into(), "s3cret".into())],
            body: "s3cret".into(),
            timeout_ms: 3_000,
            ..Fetch::new(crate::app::route::Method::Post, format!("{url}/hook/s3cret?token=s3cret"))
        };
        tracing::debug!(?fetch, "asked");
        let dial =
            WebSocketDial { headers: fetch.headers.clone(), ..WebSocketDial::new(fetch.url.replacen("http", "ws", 1)) };
        tracing::debug!(?dial, "dialled");
        drop(ask(&upstream, fetch));
        let (sender, heard) = std::sync::mpsc::channel();
        let name = LinkName { app: AppId(0), shard: ShardId(0), token: Token(0) };
        upstream.open(name, Dial::WebSocket(dial), Box::new(move |event, _| drop(sender.send(event))));
        assert!(matches!(heard.recv().unwrap(), LinkEvent::Closed { .. }));
    }
    let last = upstream.samples()[0].last_error.clone().unwrap().1;
    let last = last + &upstream.link_samples()[0].last_error.clone().unwrap().1;
    let written = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
    assert!(written.contains("it is heard") && written.contains("gone.example"), "names are logged by the resolver");
    assert!(!written.contains("s3cret") && !last.contains("s3cret"), "{last}");
}
