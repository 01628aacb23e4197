//! Uploads over real sockets and files: a daemon of two cores, as HTTP callers meet it. Whatever breaks an upload off, its home
//! hears why, and nothing is left on the disk.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::testing;
use crate::api::testing::album::{SHELF, TABLE};

/// A daemon over files, and where they are.
struct World {
    address: SocketAddr,
    directory: tempfile::TempDir,
}

impl World {
    fn start() -> World {
        World::over(tempfile::tempdir().unwrap())
    }

    fn over(directory: tempfile::TempDir) -> World {
        let path = directory.path().to_owned();
        let address = testing::start(&TABLE, |store| {
            store.url = format!("sqlite:{}/db", path.display());
            store.data_dir = path;
        });
        World { address, directory }
    }

    /// Sends the head of a request and this much of its body, in pieces that do not say how much there is.
    async fn open(&self, path: &str, kind: &str, body: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let head = format!("POST /album/{path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: {kind}\r\n");
        stream.write_all(format!("{head}transfer-encoding: chunked\r\n\r\n").as_bytes()).await.unwrap();
        for piece in body.chunks(10_000) {
            let piece = [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat();
            // It may be refused before it has been sent whole.
            if stream.write_all(&piece).await.is_err() {
                break;
            }
        }
        stream
    }

    async fn post(&self, path: &str, body: &[u8]) -> (u16, Value) {
        self.post_as(path, TYPE, body).await
    }

    async fn post_as(&self, path: &str, kind: &str, body: &[u8]) -> (u16, Value) {
        let mut stream = self.open(path, kind, body).await;
        let _ = stream.write_all(b"0\r\n\r\n").await;
        answer(&mut stream).await
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let head = format!("GET /album/{path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        answer(&mut stream).await
    }

    async fn heard(&self) -> Vec<String> {
        serde_json::from_value(self.get("heard").await.1).unwrap()
    }

    /// The home has heard this so often.
    async fn until_heard(&self, what: &str, times: usize) {
        for _ in 0..600 {
            let heard = self.heard().await;
            if heard.iter().filter(|heard| *heard == what).count() == times {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("nobody heard {what}");
    }

    /// Files of the shelf, once there are so many.
    async fn until_files(&self, count: usize) {
        for _ in 0..600 {
            if files(&self.directory.path().join(SHELF.name)).len() == count {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("left: {:?}", files(&self.directory.path().join(SHELF.name)));
    }
}

/// Status and JSON, or text as such.
async fn answer(stream: &mut TcpStream) -> (u16, Value) {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4_096]);
    while let Ok(count) =
        tokio::time::timeout(Duration::from_secs(30), stream.read(&mut buffer)).await.expect("in time")
        && count > 0
    {
        bytes.extend_from_slice(&buffer[..count]);
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap_or_else(|_| body.into()))
}

fn files(directory: &Path) -> Vec<String> {
    let folders = std::fs::read_dir(directory).into_iter().flatten().map(|folder| folder.unwrap().path());
    let files = folders.flat_map(|folder| std::fs::read_dir(folder).into_iter().flatten());
    files.map(|file| file.unwrap().path().display().to_string()).collect()
}

const OF: &str = "--b\r\ncontent-disposition: form-data; name=\"of\"\r\n\r\nana\r\n";
const HEAD: &str = "--b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.gif\"\r\n\
    content-type: image/gif\r\n\r\n";
const END: &str = "\r\n--b--\r\n";

const TYPE: &str = "multipart/form-data; boundary=b";

/// A picture of so many bytes.
fn gif(bytes: usize) -> Vec<u8> {
    let mut picture = b"GIF89a".to_vec();
    picture.resize(bytes, b'\n');
    picture
}

fn form(file: &[u8]) -> Vec<u8> {
    [OF.as_bytes(), HEAD.as_bytes(), file, END.as_bytes()].concat()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_upload_is_kept_once_and_comes_back_whole() {
    let world = World::start();
    for size in [6, 60_000] {
        let (status, kept) = world.post("pictures", &form(&gif(size))).await;
        assert_eq!((status, &kept["mime"], &kept["bytes"]), (201, &json!("image/gif"), &json!(size)), "{kept}");
        let (status, picture) = world.get(&format!("pictures/{}", kept["id"].as_str().unwrap())).await;
        assert_eq!((status, picture.as_str().map(str::len)), (200, Some(size)));
    }
    let (status, again) = world.post("pictures", &form(&gif(60_000))).await;
    assert_eq!(status, 201, "{again}");
    world.until_files(2).await;
    assert!(world.heard().await.iter().filter(|heard| *heard == "kept").count() == 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_upload_that_is_cut_in_the_middle_leaves_no_trace() {
    let world = World::start();
    let whole = form(&gif(50_000));
    for (cut, cuts) in [OF.len() + HEAD.len() + 10, 25_000, whole.len() - 3].into_iter().zip(1..) {
        let leaving = world.open("pictures", TYPE, &whole[..cut]).await;
        world.until_heard("taken", cuts).await;
        if cut == 25_000 {
            // It lies there until its asker leaves.
            world.until_files(1).await;
        }
        drop(leaving);
        world.until_heard("Gone", cuts).await;
        world.until_files(0).await;
    }
    // An asker that leaves before the file has begun is none that the home hears of.
    drop(world.open("pictures", TYPE, OF.as_bytes()).await);
    assert_eq!(world.post("pictures", &whole).await.0, 201);
    let heard = world.heard().await;
    assert_eq!(heard.iter().filter(|heard| *heard == "Gone").count(), 3, "{heard:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_is_too_large_lies_or_finds_no_room_is_refused_and_leaves_no_trace() {
    let world = World::start();
    let page = b"<!doctype html><script>alert(1)</script>".repeat(100);
    for (path, file, status, why) in [
        ("pictures", gif(60_001), 413, "TooLarge"),
        ("large", gif(100_001), 413, "TooLarge"),
        ("pictures", page, 415, "WrongKind"),
        ("pictures", Vec::new(), 415, "WrongKind"),
        ("large", gif(85_000), 507, "Full"),
    ] {
        let before = world.heard().await.len();
        let (got, answer) = world.post(path, &form(&file)).await;
        assert_eq!(got, status, "{why}: {answer}");
        let heard = world.heard().await.split_off(before);
        assert!(heard.last().is_some_and(|heard| heard.contains(why)), "{why}: {heard:?}");
        world.until_files(0).await;
    }
    assert_eq!(world.post("large", &form(&gif(79_000))).await.0, 201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_form_that_is_none_is_refused_and_leaves_no_trace() {
    let world = World::start();
    let (file, of) = ([HEAD.as_bytes(), &gif(20)].concat(), OF.as_bytes());
    let end = END.as_bytes();
    // Before the home has taken the file it hears of nothing; afterwards it does.
    for (body, is_heard) in [
        (vec![], false),
        (b"nonsense".to_vec(), false),
        ([of, b"--b--\r\n"].concat(), false),
        (format!("--b\r\nx: {}\r\n\r\n", "y".repeat(100_000)).into_bytes(), false),
        (OF.replace("ana", &"a".repeat(20_000)).into_bytes(), false),
        (OF.repeat(40).into_bytes(), false),
        ([of, &file].concat(), true),
        ([of, &file, b"\r\n", of, b"--b--\r\n"].concat(), true),
        ([of, &file, b"\r\n", &file, end].concat(), true),
    ] {
        let before = world.heard().await.len();
        let (status, answer) = world.post("pictures", &body).await;
        assert_eq!(status, 400, "{}: {answer}", String::from_utf8_lossy(&body[..body.len().min(300)]));
        let heard = world.heard().await.split_off(before);
        assert_eq!(heard.iter().any(|heard| heard.contains("Malformed")), is_heard, "{heard:?}");
        world.until_files(0).await;
    }
    let whole = form(&gif(20));
    for (kind, status) in
        [("multipart/form-data", 400), ("application/json", 415), ("multipart/form-data; boundary=c", 400)]
    {
        assert_eq!(world.post_as("pictures", kind, &whole).await.0, status, "{kind}");
    }
    // The fields come first: the home decides by them, and does so without the file.
    assert_eq!(world.post("pictures", &[&file[..], END.as_bytes()].concat()).await.0, 422);
    world.until_files(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_home_may_break_a_file_off_and_the_rest_is_not_read() {
    let world = World::start();
    let whole = form(&gif(50_000));
    let mut stream = world.open("changed", TYPE, &whole[..20_000]).await;
    world.until_files(1).await;
    // A file that goes on, slowly, until its home hears of it.
    tokio::time::sleep(Duration::from_millis(300)).await;
    stream.write_all(b"1\r\n\n\r\n").await.unwrap();
    assert_eq!(answer(&mut stream).await, (409, json!("it has enough")));
    world.until_files(0).await;
    assert!(
        world.heard().await.iter().all(|heard| heard == "taken" || heard.contains(" of ")),
        "no word after its own"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn several_uploads_at_once_are_kept_apart() {
    let world = World::start();
    let mut streams = Vec::new();
    for n in 0..8 {
        let file = [gif(9_000), vec![n; 500]].concat();
        let whole = form(&file);
        streams.push((world.open("pictures", TYPE, &whole[..5_000]).await, whole));
    }
    for (stream, whole) in &mut streams {
        let rest = &whole[5_000..];
        let rest = [format!("{:x}\r\n", rest.len()).as_bytes(), rest, b"\r\n0\r\n\r\n"].concat();
        stream.write_all(&rest).await.unwrap();
    }
    let mut hashes = std::collections::BTreeSet::new();
    for (stream, _) in &mut streams {
        let (status, kept) = answer(stream).await;
        assert_eq!(status, 201, "{kept}");
        hashes.insert(kept["sha256"].to_string());
    }
    assert_eq!(hashes.len(), 8);
    world.until_files(8).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_a_crash_left_of_an_upload_is_swept_up_at_the_next_start() {
    let directory = tempfile::tempdir().unwrap();
    let incoming = directory.path().join(SHELF.name).join("incoming");
    std::fs::create_dir_all(&incoming).unwrap();
    std::fs::write(incoming.join("abcdefghijklmnopqrst.part"), "GIF89a, half of").unwrap();
    let world = World::over(directory);
    world.until_files(0).await;
    assert_eq!(world.post("pictures", &form(&gif(50))).await.0, 201);
}
