//! Whom we test: the server's address, and everything we send to it that is the same for every client.

use std::net::{SocketAddr, ToSocketAddrs};

/// The key of every handshake, the example of RFC 6455: so that the answer needs no SHA-1 to be checked.
pub const HANDSHAKE_KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
pub const HANDSHAKE_ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// A server and what is said to it.
#[derive(Clone, Debug)]
pub struct Target {
    pub addr: SocketAddr,
    host: String,
    /// With a slash at its end.
    path: String,
    pub namespace: String,
    /// Header lines of every request, each with its line end.
    headers: String,
    /// `4`, a type, and the namespace with its comma unless it is `/`: what a packet begins with after its type.
    prefix: String,
}

impl Target {
    /// `http://host:port[/path/]`; the path is `/socket.io/` unless it is said.
    ///
    /// # Errors
    /// A sentence that says what cannot be asked, or whose address is not known.
    pub fn new(url: &str, namespace: &str, headers: &[String]) -> Result<Target, String> {
        let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("ws://"));
        let rest = rest.ok_or_else(|| format!("{url}: only http:// (plain TCP) is spoken"))?;
        if rest.contains(|char: char| char.is_whitespace() || char.is_control() || matches!(char, '?' | '#' | '@')) {
            return Err(format!("{url}: it is http://host:port/path/"));
        }
        if !headers.iter().all(|header| is_header(header)) {
            return Err("--header is NAME: VALUE".to_owned());
        }
        if namespace.contains(|char: char| char.is_control() || char == ',') {
            return Err(format!("--namespace {namespace:?}: no commas, no control characters"));
        }
        let (host, path) = rest.split_once('/').map_or((rest, ""), |(host, path)| (host, path));
        let path = if path.is_empty() { "/socket.io/".into() } else { format!("/{}/", path.trim_end_matches('/')) };
        let with_port = if host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) {
            host.to_owned()
        } else {
            format!("{host}:80")
        };
        let resolved = with_port.to_socket_addrs().map_err(|error| format!("{host}: {error}"))?.collect::<Vec<_>>();
        // IPv4 first: only there loopback has many source addresses.
        let addr = resolved.iter().find(|addr| addr.is_ipv4()).or(resolved.first()).copied();
        let addr = addr.ok_or_else(|| format!("{host}: no address"))?;
        let namespace = format!("/{}", namespace.trim_start_matches('/'));
        let prefix = if namespace == "/" { String::new() } else { format!("{namespace},") };
        Ok(Target {
            addr,
            host: host.to_owned(),
            path,
            headers: headers.iter().map(|header| format!("{header}\r\n")).collect(),
            namespace,
            prefix,
        })
    }

    /// The request that opens a WebSocket; with a session's id, the one that upgrades it.
    pub fn write_upgrade(&self, out: &mut Vec<u8>, sid: Option<&str>) {
        self.write_head(out, "GET", "websocket", sid);
        let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ";
        out.extend_from_slice(upgrade.as_bytes());
        out.extend_from_slice(HANDSHAKE_KEY.as_bytes());
        out.extend_from_slice(b"\r\n\r\n");
    }

    /// A poll; without a session's id, the handshake.
    pub fn write_get(&self, out: &mut Vec<u8>, sid: Option<&str>) {
        self.write_head(out, "GET", "polling", sid);
        out.extend_from_slice(b"\r\n");
    }

    pub fn write_post(&self, out: &mut Vec<u8>, sid: &str, body: &[u8]) {
        self.write_head(out, "POST", "polling", Some(sid));
        let head = format!("Content-Type: text/plain;charset=UTF-8\r\nContent-Length: {}\r\n\r\n", body.len());
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(body);
    }

    fn write_head(&self, out: &mut Vec<u8>, method: &str, transport: &str, sid: Option<&str>) {
        let Target { host, path, headers, .. } = self;
        let sid = sid.map(|sid| format!("&sid={sid}")).unwrap_or_default();
        let head = format!("{method} {path}?EIO=4&transport={transport}{sid} HTTP/1.1\r\nHost: {host}\r\n{headers}");
        out.extend_from_slice(head.as_bytes());
    }

    /// `42/lab,7["name",<args>]`; without an id nobody is asked to answer.
    pub fn write_event(&self, out: &mut Vec<u8>, id: Option<u64>, name: &str, args: &str) {
        let id = id.map(|id| id.to_string()).unwrap_or_default();
        let prefix = &self.prefix;
        out.extend_from_slice(format!("42{prefix}{id}[\"{name}\",{args}]").as_bytes());
    }

    /// The packet that joins the namespace; `auth` is JSON or empty.
    pub fn join(&self, auth: &str) -> Vec<u8> {
        format!("40{}{auth}", self.prefix).into_bytes()
    }

    /// The packet that leaves the namespace.
    pub fn leave(&self) -> Vec<u8> {
        format!("41{}", self.prefix).into_bytes()
    }

    pub fn is_loopback_v4(&self) -> bool {
        matches!(self.addr, SocketAddr::V4(v4) if v4.ip().is_loopback())
    }
}

fn is_header(header: &str) -> bool {
    let is_token = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic());
    header.split_once(':').is_some_and(|(name, value)| is_token(name) && !value.contains(char::is_control))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_and_what_they_become() {
        let target = Target::new("http://127.0.0.1:3000", "lab", &["X: y".into()]).unwrap();
        let mut out = Vec::new();
        target.write_get(&mut out, Some("s"));
        let text = "GET /socket.io/?EIO=4&transport=polling&sid=s HTTP/1.1\r\nHost: 127.0.0.1:3000\r\nX: y\r\n\r\n";
        assert_eq!(String::from_utf8(out).unwrap(), text);
        assert_eq!(target.join("{\"a\":1}"), b"40/lab,{\"a\":1}");
        assert!(target.is_loopback_v4());
        let mut event = Vec::new();
        target.write_event(&mut event, Some(7), "echo", "1");
        assert_eq!(event, b"42/lab,7[\"echo\",1]");
        for (url, namespace, header) in [
            ("https://127.0.0.1", "/", "X: y"),
            ("http://127.0.0.1/?a=b", "/", "X: y"),
            ("http://127.0.0.1/a b", "/", "X: y"),
            ("http://127.0.0.1:99999", "/", "X: y"),
            ("http://127.0.0.1", "/a,b", "X: y"),
            ("http://127.0.0.1", "/", "X"),
            ("http://127.0.0.1", "/", "X Y: z"),
            ("http://127.0.0.1", "/", "X: y\r\nZ: 1"),
        ] {
            assert!(Target::new(url, namespace, &[header.to_owned()]).is_err(), "{url} {namespace} {header:?}");
        }
        let other = Target::new("ws://127.0.0.1/api/socket", "/", &[]).unwrap();
        assert_eq!(
            (other.addr.port(), other.path.as_str(), other.join("").as_slice()),
            (80, "/api/socket/", &b"40"[..])
        );
    }
}
