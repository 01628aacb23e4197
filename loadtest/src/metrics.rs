//! The server's own counters, where it shows them as Prometheus text: one request, one sum per name.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

use crate::wire::http;

const TIMEOUT: Duration = Duration::from_secs(2);

pub(crate) type Metrics = HashMap<String, f64>;

/// Where `http://host:port/path` is, its host and port, and its path without the first slash.
///
/// # Errors
/// A sentence where that is something else, or nowhere.
pub(crate) fn address(url: &str) -> Result<(SocketAddr, &str, &str), String> {
    let parts = url.strip_prefix("http://").and_then(|rest| rest.split_once('/'));
    let (host, path) = parts.ok_or_else(|| format!("--metrics {url}: it is http://host:port/path"))?;
    let mut found = host.to_socket_addrs().map_err(|error| format!("--metrics {url}: {error}"))?;
    Ok((found.next().ok_or_else(|| format!("--metrics {url}: no address"))?, host, path))
}

/// Asks `http://host:port/path`; nothing if it is not answered.
pub(crate) fn scrape(url: &str) -> Option<Metrics> {
    let (addr, host, path) = address(url).ok()?;
    let mut stream = TcpStream::connect_timeout(&addr, TIMEOUT).ok()?;
    stream.set_read_timeout(Some(TIMEOUT)).ok()?;
    write!(stream, "GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").ok()?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).ok()?;
    let (response, _) = http::read(&bytes).ok()??;
    (response.status == 200).then(|| parse(&String::from_utf8_lossy(&response.body)))
}

/// Values of a name with different labels are added up.
fn parse(text: &str) -> Metrics {
    let mut sums = Metrics::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let Some((series, value)) = line.rsplit_once(' ') else { continue };
        let name = series.split('{').next().unwrap_or(series);
        *sums.entry(name.to_owned()).or_default() += value.parse::<f64>().unwrap_or(0.0);
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_added_up() {
        let metrics = parse("# HELP a x\n# TYPE a counter\na{s=\"0\"} 1\na{s=\"1\"} 2.5\nb 7\n");
        assert_eq!((metrics["a"], metrics["b"], metrics.len()), (3.5, 7.0, 2));
    }
}
