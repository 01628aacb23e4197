//! What applications add to the command line: one HTTP request to the admin listener of the running daemon; its JSON answer is
//! printed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::config::args::Asked;
use crate::config::{Admin, Config};

/// The whole exchange takes no longer than this.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes of an answer.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Asks and prints; exit code 0 where the daemon said yes.
pub(super) fn ask(config: &Config, asked: &Asked) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let address = reachable(config.admin.bind);
    let failed = |sentence| super::refuse(ExitCode::FAILURE, &[sentence]);
    let answer = runtime.map_err(Failure::from).and_then(|runtime| {
        runtime.block_on(async {
            let exchange = exchange(&config.admin, address, asked);
            tokio::time::timeout(TIMEOUT, exchange).await.map_err(|_| Failure::from("no answer in time"))?
        })
    });
    match answer {
        Ok((status, body)) if status.is_success() => super::answer(&indented(&body)),
        Ok((status, body)) => failed(format!("{address} answered {status}: {}", indented(&body))),
        Err(error) => {
            failed(format!("admin listener {address}: {error} (admin.bind and admin.token tell where and how to ask)"))
        }
    }
}

async fn exchange(admin: &Admin, address: SocketAddr, asked: &Asked) -> Result<(StatusCode, Bytes), Failure> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    // Errors of the connection reach the sender too; here it is only kept going.
    tokio::spawn(async { drop(connection.await) });
    let request = Request::builder().method(asked.method.name()).uri(&asked.path);
    let mut request = request.header(header::HOST, address.to_string());
    if !admin.token.is_empty() {
        request = request.header(header::AUTHORIZATION, format!("Bearer {}", admin.token.expose()));
    }
    let answer = sender.send_request(request.body(Empty::<Bytes>::new())?).await?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await?.to_bytes();
    Ok((status, body))
}

/// Where to connect to reach a listener that is bound to `bind`.
fn reachable(bind: SocketAddr) -> SocketAddr {
    let ip = match bind.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, bind.port())
}

/// JSON with line breaks; any other text with its control characters escaped, since a terminal will show it.
fn indented(body: &[u8]) -> String {
    let json = serde_json::from_slice::<serde_json::Value>(body).ok();
    json.and_then(|json| serde_json::to_string_pretty(&json).ok())
        .unwrap_or_else(|| String::from_utf8_lossy(body).escape_debug().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::route::Method;
    use crate::config::Secret;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    #[test]
    fn a_listener_on_every_address_is_reached_on_loopback() {
        for (bind, address) in [("0.0.0.0:1", "127.0.0.1:1"), ("[::]:1", "[::1]:1"), ("10.0.0.4:1", "10.0.0.4:1")] {
            assert_eq!(reachable(bind.parse().unwrap()), address.parse().unwrap());
        }
    }

    #[tokio::test]
    async fn the_request_carries_the_token_and_the_answer_comes_back() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let daemon = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 4\r\n\r\n\"no\"").await.unwrap();
            String::from_utf8(head).unwrap()
        });
        let admin = Admin { bind: address, token: Secret::new("t0k"), ..Admin::default() };
        let asked = Asked { method: Method::Post, path: "/signage/devices/p1/issue?fleet=x".to_owned() };
        let answer = exchange(&admin, address, &asked).await.unwrap();
        assert_eq!(answer, (StatusCode::NOT_FOUND, Bytes::from_static(b"\"no\"")));
        let head = daemon.await.unwrap();
        assert!(head.starts_with("POST /signage/devices/p1/issue?fleet=x HTTP/1.1\r\n"), "{head}");
        assert!(
            head.contains("authorization: Bearer t0k\r\n") && head.contains(&format!("host: {address}\r\n")),
            "{head}"
        );
    }
}
