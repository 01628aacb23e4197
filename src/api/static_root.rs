//! `static_root` of a listener: the page of an existing client on the origin of its socket, from a directory of the operator's.
//! Files and `index.html` of directories, whole or in part, with validators (RFC 9110 sections 13 and 14). No listing, no name
//! that begins with a dot; that nothing outside the directory is reached by `..` or a link, the kernel sees to (`openat2`).

use std::fs::File;
use std::io::{self, Seek as _, SeekFrom};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use headers::{ETag, HeaderMapExt as _, LastModified};
use percent_encoding::percent_decode_str;
use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use tokio::io::AsyncReadExt as _;
use tokio_util::io::ReaderStream;

use super::range::{Wanted, content_range, wanted};
use super::{Api, reply};
use crate::base::ids::ListenerId;

/// A directory that is served.
#[derive(Debug)]
pub(crate) struct Root {
    directory: OwnedFd,
}

/// What a path leads to.
enum Found {
    File {
        file: File,
        name: String,
        size: u64,
        modified: SystemTime,
    },
    /// A directory with an `index.html`, asked for without the slash at its end.
    Directory,
}

/// Answers from the directory of the request's listener; where that has nothing under the path, `next` does.
pub(crate) async fn serve(State(api): State<Api>, request: Request, next: Next) -> Response {
    let listener = request.extensions().get::<ListenerId>();
    let root = listener.and_then(|id| api.settings.static_roots.get(usize::from(id.0))?.clone());
    let (Some(root), Some(name)) = (root, local(request.uri().path())) else { return next.run(request).await };
    let found = tokio::task::spawn_blocking(move || root.find(name)).await.ok().flatten();
    match found {
        None => next.run(request).await,
        Some(_) if !matches!(*request.method(), Method::GET | Method::HEAD) => {
            let mut refused = reply::method_not_allowed().await;
            refused.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET,HEAD"));
            refused
        }
        Some(Found::Directory) => {
            let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
            let place = [(header::LOCATION, format!("{}/{query}", request.uri().path()))];
            (StatusCode::TEMPORARY_REDIRECT, place).into_response()
        }
        Some(Found::File { file, name, size, modified }) => {
            answer(file, &name, size, modified, request.method(), request.headers())
        }
    }
}

impl Root {
    /// # Errors
    /// No directory that can be read, or a kernel that cannot keep links in (before Linux 5.6).
    pub(crate) fn open(path: &Path) -> io::Result<Arc<Root>> {
        let directory = rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        beneath(&directory, ".")?;
        Ok(Arc::new(Root { directory }))
    }

    /// Opens what a local name leads to; one that ends in a slash, or is empty, means the directory's `index.html`.
    fn find(&self, name: String) -> Option<Found> {
        let is_directory = name.is_empty() || name.ends_with('/');
        let name = if is_directory { name + INDEX } else { name };
        let file = beneath(&self.directory, &name).ok()?;
        let known = file.metadata().ok()?;
        if known.is_dir() && !is_directory {
            let index = beneath(&self.directory, &format!("{name}/{INDEX}")).ok()?;
            return index.metadata().ok()?.is_file().then_some(Found::Directory);
        }
        let modified = known.modified().ok()?;
        known.is_file().then_some(Found::File { file, name, size: known.len(), modified })
    }
}

/// Opens a name within a directory; no `..`, link or mount of the kernel's own leads out of it. What would wait for somebody,
/// such as a pipe, is opened without waiting.
fn beneath(directory: impl AsFd, name: &str) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    Ok(File::from(openat2(directory, name, flags, Mode::empty(), resolve)?))
}

/// The name within the directory that a request's path spells; `None` where it is none that is served.
fn local(path: &str) -> Option<String> {
    let path = path.strip_prefix('/')?;
    let (path, slash) = path.strip_suffix('/').map_or((path, ""), |path| (path, "/"));
    if path.is_empty() {
        return slash.is_empty().then(String::new);
    }
    let names: Option<Vec<String>> = path.split('/').map(plain).collect();
    Some(names?.join("/") + slash)
}

/// One name between slashes, decoded once.
fn plain(part: &str) -> Option<String> {
    let name = percent_decode_str(part).decode_utf8().ok()?;
    let is_odd = |letter: char| matches!(letter, '/' | '\\') || letter.is_control();
    (!name.is_empty() && !name.starts_with('.') && !name.contains(is_odd)).then(|| name.into_owned())
}

fn answer(file: File, name: &str, size: u64, modified: SystemTime, method: &Method, asked: &HeaderMap) -> Response {
    let since = modified.duration_since(UNIX_EPOCH).unwrap_or_default();
    let etag: ETag = format!("\"{:x}-{size:x}\"", since.as_nanos()).parse().expect("hexadecimal digits make a tag");
    let mut headers = HeaderMap::new();
    headers.typed_insert(etag.clone());
    headers.typed_insert(LastModified::from(modified));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    let (status, first, len) = match wanted(method, asked, &etag, Some(modified), size) {
        Wanted::Nothing => return (StatusCode::NOT_MODIFIED, headers).into_response(),
        Wanted::Other => return StatusCode::PRECONDITION_FAILED.into_response(),
        Wanted::Outside => {
            let place = [(header::CONTENT_RANGE, content_range(None, size))];
            return (StatusCode::RANGE_NOT_SATISFIABLE, place).into_response();
        }
        Wanted::Whole => (StatusCode::OK, 0, size),
        Wanted::Part(part) => {
            headers.insert(header::CONTENT_RANGE, content_range(Some(&part), size));
            (StatusCode::PARTIAL_CONTENT, *part.start(), part.end() - part.start() + 1)
        }
    };
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(len));
    let content_type = [(header::CONTENT_TYPE, content_type(name))];
    (status, headers, content_type, body(file, first, len, method)).into_response()
}

/// The bytes as they are read: a file is never whole in memory.
fn body(mut file: File, first: u64, len: u64, method: &Method) -> Body {
    if *method == Method::HEAD || file.seek(SeekFrom::Start(first)).is_err() {
        return Body::empty();
    }
    Body::from_stream(ReaderStream::with_capacity(tokio::fs::File::from_std(file).take(len), PIECE_BYTES))
}

fn content_type(name: &str) -> String {
    let guessed = mime_guess::from_path(name).first_or_octet_stream();
    if guessed.type_() == "text" { format!("{guessed}; charset=utf-8") } else { guessed.to_string() }
}

const INDEX: &str = "index.html";
/// Of a file, at once.
const PIECE_BYTES: usize = 65_536;

#[cfg(test)]
mod tests;
