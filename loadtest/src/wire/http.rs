//! Responses of an HTTP/1.1 server, as far as the handshake and polling need them: status, `Content-Length` or chunked
//! bodies, headers by name. Spec: RFC 9112.

use crate::fault::Fault;

/// Longer heads are a fault.
const HEAD_BYTES_MAX: usize = 16_384;
/// Longer bodies are a fault.
const BODY_BYTES_MAX: usize = 64 << 20;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Response {
    pub status: u16,
    pub body: Vec<u8>,
    /// `Sec-WebSocket-Accept`, if it is there.
    pub accept: Option<String>,
    /// The server will close this connection.
    pub close: bool,
}

/// The response at the front of `bytes` and its size; `None` if there is more of it to come.
pub fn read(bytes: &[u8]) -> Result<Option<(Response, usize)>, Fault> {
    let Some(head_len) = find(bytes, b"\r\n\r\n") else {
        return if bytes.len() > HEAD_BYTES_MAX { Err(Fault::Protocol("endless HTTP head")) } else { Ok(None) };
    };
    let head = std::str::from_utf8(&bytes[..head_len]).map_err(|_| Fault::Protocol("HTTP head is not UTF-8"))?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(parse_status).ok_or(Fault::Protocol("not an HTTP response"))?;
    let mut response = Response { status, body: Vec::new(), accept: None, close: false };
    let (mut length, mut chunked) = (0, false);
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().map_err(|_| Fault::Protocol("bad Content-Length"))?,
            "transfer-encoding" => chunked = value.eq_ignore_ascii_case("chunked"),
            "sec-websocket-accept" => response.accept = Some(value.to_owned()),
            "connection" => response.close = value.eq_ignore_ascii_case("close"),
            _ => {}
        }
    }
    let rest = &bytes[head_len + 4..];
    if status == 101 || status == 204 {
        return Ok(Some((response, head_len + 4)));
    }
    let body = if chunked { read_chunks(rest)? } else { read_sized(rest, length)? };
    Ok(body.map(|(body, size)| {
        response.body = body;
        (response, head_len + 4 + size)
    }))
}

fn parse_status(line: &str) -> Option<u16> {
    line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()
}

type Body = Option<(Vec<u8>, usize)>;

fn read_sized(rest: &[u8], length: usize) -> Result<Body, Fault> {
    if length > BODY_BYTES_MAX {
        return Err(Fault::Protocol("HTTP body larger than 64 MiB"));
    }
    Ok(rest.get(..length).map(|body| (body.to_vec(), length)))
}

fn read_chunks(rest: &[u8]) -> Result<Body, Fault> {
    let (mut body, mut at) = (Vec::new(), 0);
    loop {
        let Some(line_len) = find(&rest[at..], b"\r\n") else { return Ok(None) };
        let line = std::str::from_utf8(&rest[at..at + line_len]).unwrap_or("");
        let digits = line.split(';').next().unwrap_or("").trim();
        let size = usize::from_str_radix(digits, 16).map_err(|_| Fault::Protocol("bad chunk size"))?;
        if size + body.len() > BODY_BYTES_MAX {
            return Err(Fault::Protocol("HTTP body larger than 64 MiB"));
        }
        let start = at + line_len + 2;
        let Some(chunk) = rest.get(start..start + size + 2) else { return Ok(None) };
        at = start + size + 2;
        if size == 0 {
            return Ok(Some((body, at)));
        }
        body.extend_from_slice(&chunk[..size]);
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, status: u16, body: &str) {
        let whole = text.as_bytes();
        let (response, size) = read(whole).unwrap().unwrap();
        assert_eq!((response.status, response.body.as_slice(), size), (status, body.as_bytes(), whole.len()), "{text}");
        assert!((0..whole.len()).all(|cut| read(&whole[..cut]) == Ok(None)), "{text}");
    }

    #[test]
    fn bodies_by_length_and_by_chunks() {
        check("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, "ok");
        check("HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: x\r\n\r\n", 101, "");
        check(
            "HTTP/1.1 400 Bad\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n",
            400,
            "abcde",
        );
    }

    #[test]
    fn what_is_no_response() {
        for text in ["SSH-2.0-x\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"] {
            assert!(read(text.as_bytes()).is_err(), "{text}");
        }
    }
}
