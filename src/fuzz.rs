//! Bodies of the fuzz targets, always compiled, so that tests replay their corpus. Each takes any bytes, must not panic,
//! and asserts what holds for every input.

use std::borrow::Cow;
use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::api::form;
use crate::api::routes::{Found, Routes};
use crate::app::Home;
use crate::app::route::{Bare, Door, Http, Method, Place, Route};
use crate::app::settings::Chosen;
use crate::app::table::Row;
use crate::apps::TABLE;
use crate::base::limit::{PROXY_HEAD_BYTES_MAX, UPLOAD_FIELDS_MAX, UPLOAD_HEAD_BYTES_MAX};
use crate::base::{json, percent};
use crate::config::{Config, Refusals, Source};
use crate::engine::packet::Packet;
use crate::engine::{open, packet, payload};
use crate::net::forwarded::Proxies;
use crate::net::proxy_head;
use crate::wire::{Decoder, Incoming, WireError};

/// What takes any bytes.
pub type Target = fn(&[u8]);

/// Every target by its name. `fuzz/corpus/` has a folder for each.
pub const TARGETS: &[(&str, Target)] = &[
    ("wire_decoder", wire_decoder),
    ("json_scanner", json_scanner),
    ("engine_payload", engine_payload),
    ("proxy_head", proxy_head),
    ("forwarded", forwarded),
    ("settings", settings),
    ("routes", routes),
    ("query", query),
    ("multipart", multipart),
];

/// Bytes of one WebSocket connection, read at once and in pieces whose size the first byte chooses: the same messages.
pub fn wire_decoder(data: &[u8]) {
    let Some((size, stream)) = data.split_first() else { return };
    let whole = decode_all(stream, stream.len().max(1));
    let split = decode_all(stream, usize::from(*size).max(1));
    assert_eq!(whole, split, "messages depend on how the bytes were split");
}

/// A text with `attachments` as its first byte says: the scanner accepts what serde_json accepts, and its ranges are
/// values of their own.
pub fn json_scanner(data: &[u8]) {
    let Some((attachments, text)) = data.split_first() else { return };
    if std::str::from_utf8(text).is_err() {
        return;
    }
    let checked = json::check(text);
    if serde_json::from_slice::<serde_json::Value>(text).is_ok() {
        assert!(!matches!(checked, Err(json::JsonError::Syntax { .. })), "valid JSON refused");
    }
    let Ok(scan) = json::scan_array(text, u32::from(*attachments)) else { return };
    assert_eq!(checked, Ok(json::Kind::Array));
    for range in &scan.elements {
        assert!(json::check(&text[range.start as usize..range.end as usize]).is_ok());
    }
    assert!(scan.placeholders.iter().all(|num| *num < u32::from(*attachments)));
}

/// A polling body, plain and as JSONP, and the same bytes as a query: what is decoded survives being written again.
pub fn engine_payload(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = open::verify(&open::EngineQuery::parse(text), true, false, Some(data));
    let unwrapped = payload::jsonp_unwrap(text);
    for body in [Some(text), unwrapped.as_deref()].into_iter().flatten() {
        for decoded in payload::decode(body, usize::MAX).flatten() {
            let mut body = Vec::new();
            match &decoded {
                Packet::Text(content) => payload::push_text(&mut body, format!("4{content}").as_bytes()),
                Packet::Binary(content) => payload::push_binary(&mut body, content),
                _ => continue,
            }
            let body = String::from_utf8(body).expect("bodies are text");
            assert_eq!(packet::decode_text(Cow::Owned(body)), Ok(decoded));
        }
    }
}

/// The start of a connection of a trusted proxy: what its PROXY head says does not depend on how its bytes were split.
pub fn proxy_head(data: &[u8]) {
    let whole = proxy_head::read(data);
    if let Ok(Some(head)) = whole {
        assert!((1..=data.len().min(PROXY_HEAD_BYTES_MAX)).contains(&head.bytes));
    }
    for end in 0..data.len() {
        let cut = proxy_head::read(&data[..end]);
        assert!(cut == whole || cut == Ok(None), "{end} bytes are {cut:?}, all are {whole:?}");
    }
}

/// What a proxy was told about its client, and what it appends itself: nobody is taken for somebody else.
pub fn forwarded(data: &[u8]) {
    let proxy = IpAddr::from([10, 0, 0, 1]);
    let proxies = Proxies { trusted: vec![proxy.into()], ..Proxies::default() };
    for (name, appended, client) in [
        ("x-forwarded-for", "192.0.2.1", IpAddr::from([192, 0, 2, 1])),
        ("forwarded", "for=192.0.2.1", IpAddr::from([192, 0, 2, 1])),
        ("forwarded", "for=\"[2001:db8::1]:4711\"", IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1])),
    ] {
        let Ok(value) = HeaderValue::from_bytes(&[data, b", ", appended.as_bytes()].concat()) else { return };
        let headers = HeaderMap::from_iter([(HeaderName::from_static(name), value)]);
        match proxies.client(proxy, &headers) {
            Ok(found) => assert_eq!(found, client),
            Err(refused) => assert!(name == "forwarded", "{refused:?}"),
        }
    }
}

/// The body of an upload, read at once and in pieces whose size the first byte chooses: the same fields and the same file, or a
/// refusal both times.
pub fn multipart(data: &[u8]) {
    let Some((size, body)) = data.split_first() else { return };
    // A head is cut off by what has come, so that a longer one depends on its pieces.
    if body.len() > UPLOAD_HEAD_BYTES_MAX {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let whole = runtime.block_on(form::read(body, body.len().max(1)));
    let split = runtime.block_on(form::read(body, usize::from(*size).max(1)));
    assert_eq!(whole.as_ref().ok(), split.as_ref().ok(), "a form depends on how its bytes were split");
    if let Ok((form, file)) = whole {
        assert!(form.size_bytes() + file.len() < body.len() && form.fields.len() <= UPLOAD_FIELDS_MAX);
    }
}

/// A configuration file, and behind a NUL the environment, `NAME=VALUE` by line: what is accepted reads back as the same when it is
/// written, and what is not is refused with sentences.
pub fn settings(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match load(text) {
        Err(refusals) => assert!(!refusals.0.is_empty() && refusals.0.iter().all(|sentence| !sentence.is_empty())),
        Ok(config) => {
            assert_eq!(load(&config.to_toml()), Ok(config));
        }
    }
}

fn load(text: &str) -> Result<Config, Refusals> {
    let (file, env) = text.split_once('\0').unwrap_or((text, ""));
    let pairs = env.lines().filter_map(|line| line.split_once('='));
    let env = pairs.map(|(name, value)| (name.to_owned(), Some(value.to_owned()))).collect();
    let file = Some(("siod.toml".to_owned(), file.to_owned()));
    Config::load(&TABLE, &Source { file, env, ..Source::default() })
}

/// A method and a path: the values of a route are found again when they are encoded.
pub fn routes(data: &[u8]) {
    let Some((method, path)) = std::str::from_utf8(data).ok().and_then(|text| text.split_once(' ')) else { return };
    let Ok(method) = http::Method::from_bytes(method.as_bytes()) else { return };
    let routes = Routes::of(&[&DESK], Door::Public, None);
    let Found::Route(owned, values) = routes.find(&method, path) else { return };
    let mut encoded = values.iter().map(|value| percent::encode(value));
    let segment = |segment: &str| match segment.starts_with('{') {
        true => encoded.next().expect("a value for each parameter"),
        false => segment.to_owned(),
    };
    let below: Vec<String> = owned.route.path.split('/').map(segment).collect();
    let Found::Route(again, same) = routes.find(&method, &format!("/desk{}", below.join("/"))) else {
        panic!("{} is not found again by {values:?}", owned.route.name);
    };
    assert_eq!((again.route.name, same), (owned.route.name, values));
}

/// A query, and behind a NUL a name: what is appended under that name is found, whatever stands before.
pub fn query(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (query, name) = text.split_once('\0').unwrap_or((&text, "x"));
    percent::value(query, name);
    let _ = open::verify(&open::EngineQuery::parse(query), true, false, None);
    let longer = format!("{query}&{}={}", percent::encode(name), percent::encode(query));
    assert_eq!(percent::value(&longer, name).as_deref(), Some(query));
}

/// An application with a path of each sort.
static DESK: Row = Row {
    http: Http {
        routes: &[
            route("note", Method::Get, "/notes/{note}"),
            route("line", Method::Get, "/notes/{note}/lines/{line}"),
            route("file", Method::Post, "/files/{*path}"),
            Route { bare: Bare::Everywhere, ..route("hook", Method::Post, "/hook/{of}") },
        ],
        ..Http::NONE
    },
    ..Row::new("desk", "", &["/desk"], || Chosen::<()>::untold(|()| unreachable!("nobody builds it")))
};

const fn route(name: &'static str, method: Method, path: &'static str) -> Route {
    Route::new(name, method, path, "", |_| Ok(Place::At(Home::Local)))
}

const MAX_PAYLOAD: usize = 4096;

/// What each message was (its text or bytes, or a word for the rest), up to the close or the error.
fn decode_all(stream: &[u8], piece: usize) -> (Vec<Vec<u8>>, Option<WireError>) {
    let (mut decoder, mut messages) = (Decoder::default(), Vec::new());
    for piece in stream.chunks(piece) {
        let mut buffer = piece.to_vec();
        let mut input = &mut buffer[..];
        loop {
            match decoder.next(&mut input, MAX_PAYLOAD) {
                Ok(Some(Incoming::Text(text))) => messages.push(text.as_bytes().to_vec()),
                Ok(Some(Incoming::Binary(data) | Incoming::Ping(data))) => messages.push(data.to_vec()),
                Ok(Some(Incoming::Pong)) => messages.push(b"pong".to_vec()),
                Ok(Some(Incoming::Close(code, _))) => {
                    messages.push(format!("{code:?}").into_bytes());
                    return (messages, None);
                }
                Ok(None) => break,
                Err(error) => return (messages, Some(error)),
            }
        }
        assert!(decoder.held_bytes() <= MAX_PAYLOAD + 256);
    }
    (messages, None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fs;
    use std::path::Path;

    fn names(folder: &str) -> Vec<String> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(folder);
        let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn the_corpus_passes_and_every_target_has_one() {
        let mut targets: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
        targets.sort_unstable();
        assert_eq!(names("corpus"), targets);
        let files: Vec<String> = targets.iter().map(|name| format!("{name}.rs")).collect();
        assert_eq!(names("fuzz_targets"), files);
        for (target, body) in TARGETS {
            let folder = format!("corpus/{target}");
            let files = names(&folder);
            assert!(files.len() >= 3, "{target}");
            for file in files {
                println!("{target}/{file}");
                let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(&folder).join(file);
                body(&fs::read(path).unwrap());
            }
        }
    }

    #[test]
    fn seeds_of_settings_are_what_they_are_called() {
        for (name, is_accepted) in [("application", true), ("listeners", true), ("wrong-in-every-way", false)] {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/settings").join(name);
            let loaded = load(&fs::read_to_string(path).unwrap());
            assert_eq!(loaded.is_ok(), is_accepted, "{name}: {:?}", loaded.err());
        }
        for seed in [
            "\x01--b\r\ncontent-disposition: form-data; name=a\r\n\r\n1\r\n--b--",
            "\x07--b\r\ncontent-disposition: form-data; name=\"f\"; filename*=utf-8''%41\r\n\r\n\r\n--c\r\n--b--\r\n",
        ] {
            multipart(seed.as_bytes());
        }
    }

    proptest! {
        #[test]
        fn any_bytes_pass(data: Vec<u8>, text: String) {
            for (_, body) in TARGETS {
                body(&data);
                body(text.as_bytes());
            }
        }
    }
}
