//! Uploads at a router over a home and a store made of constants: what the asker gets, and what the home hears. The whole way,
//! over real sockets and files, is tried in `server::album`.

use axum::http::Request;

use super::super::public;
use super::super::testing::{Answer as Got, Fake, ask};
use super::*;
use crate::app::job::JobErrorKind;
use crate::app::reply::Reply;

const GIF: &str = "GIF89a, more than sixteen";

fn form(content: &str) -> String {
    let head = "content-disposition: form-data; name=\"file\"; filename=\"a.gif\"\r\ncontent-type: image/gif";
    format!(
        "--b\r\ncontent-disposition: form-data; name=\"of\"\r\n\r\nme\r\n--b\r\n{head}\r\n\r\n{content}\r\n--b--\r\n"
    )
}

fn home() -> Fake {
    Fake { takes: true, reply: Some(Reply::empty(201)), ..Fake::default() }
}

async fn post(fake: &Fake, headers: &[(&str, &str)], body: impl Into<Body>) -> Got {
    let request = Request::post("/desk/upload").header("content-type", "multipart/form-data; boundary=b");
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    ask(public(fake.api(), Some("desk")), request.body(body.into()).unwrap()).await
}

fn news(fake: &Fake) -> Vec<News> {
    fake.seen.news.lock().unwrap().clone()
}

fn failed(fake: &Fake) -> Fault {
    match &news(fake)[..] {
        [News::Failed(fault)] => fault.clone(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_fields_reach_the_home_first_and_then_the_file_its_shelf() {
    let fake = home();
    let got = post(&fake, &[], form(GIF)).await;
    assert_eq!(got.status, 201);
    let calls = fake.seen.calls.lock().unwrap();
    let form = calls[0].form.as_ref().unwrap();
    assert_eq!((calls[0].field("of"), &*form.part, &*form.file_name), (Some("me"), "file", "a.gif"));
    assert_eq!(fake.seen.pieces.lock().unwrap().concat(), GIF.as_bytes());
    assert!(matches!(&news(&fake)[..], [News::Kept(blob)] if blob.mime == "image/gif" && blob.bytes == 25));
}

#[tokio::test]
async fn a_home_that_takes_nothing_has_its_reply_at_once() {
    let fake = Fake { takes: false, ..home() };
    let body = futures_util::StreamExt::chain(
        futures_util::stream::iter([Ok::<_, std::io::Error>(form(GIF)[..form(GIF).len() - 20].to_owned())]),
        futures_util::stream::pending(),
    );
    let got = post(&fake, &[], Body::from_stream(body)).await;
    assert_eq!((got.status, fake.seen.pieces.lock().unwrap().len(), news(&fake).len()), (201, 0, 0));
}

#[tokio::test]
async fn a_home_that_does_not_answer_is_504_before_the_file_and_behind_it() {
    let fake = Fake { takes: false, reply: None, ..home() };
    let got = post(&fake, &[], form(GIF)).await;
    assert_eq!((got.status, got.json()["fault"].as_str()), (504, Some("NO_ANSWER")));
    assert!(fake.seen.pieces.lock().unwrap().is_empty());
    let fake = Fake { reply: None, ..home() };
    let got = post(&fake, &[], form(GIF)).await;
    assert_eq!((got.status, got.json()["fault"].as_str(), news(&fake).len()), (504, Some("NO_ANSWER"), 1));
}

#[tokio::test]
async fn a_file_over_a_bound_is_refused_as_soon_as_it_is_known() {
    let fake = home();
    post(&fake, &[], form(&format!("{GIF}{}", "x".repeat(6)))).await;
    assert_eq!(failed(&fake), Fault::TooLarge, "over the home's bound");
    // Over the route's by what the request says: nobody is asked.
    let fake = home();
    let got = post(&fake, &[("content-length", "5000000")], form(GIF)).await;
    assert_eq!((got.status, got.json()["fault"].as_str()), (413, Some("PAYLOAD_TOO_LARGE")));
    assert!(fake.seen.calls.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_file_of_a_type_that_lies_is_refused() {
    for content in ["<!doctype html><script>", "%PDF-1.7 and more than sixteen", "", "GIF"] {
        let fake = home();
        post(&fake, &[], form(content)).await;
        assert_eq!(failed(&fake), Fault::WrongKind, "{content}");
    }
}

#[tokio::test]
async fn t04_a_file_that_is_slow_is_over_in_time() {
    let begun = futures_util::stream::iter([Ok::<_, std::io::Error>(form(GIF)[..form(GIF).len() - 20].to_owned())]);
    let body = futures_util::StreamExt::chain(begun, futures_util::stream::pending());
    let fake = home().hasty();
    post(&fake, &[], Body::from_stream(body)).await;
    assert_eq!(failed(&fake), Fault::Slow);
    // Before the file it is the daemon that answers.
    let fake = home().hasty();
    let body = futures_util::stream::pending::<Result<String, std::io::Error>>();
    let got = post(&fake, &[], Body::from_stream(body)).await;
    assert_eq!((got.status, got.json()["fault"].as_str(), news(&fake).len()), (408, Some("TIMEOUT"), 0));
}

#[tokio::test]
async fn f09_a_full_disk_and_a_busy_store_are_told_to_the_home() {
    for kind in [JobErrorKind::Full, JobErrorKind::Busy, JobErrorKind::Unavailable] {
        let fake = Fake { intake_fails: Some(kind), ..home() };
        assert_eq!(post(&fake, &[], form(GIF)).await.status, 201);
        assert!(matches!(failed(&fake), Fault::Store(error) if error.kind == kind));
    }
}

/// By the clock of the interval, however many pieces come.
#[tokio::test]
async fn progress_is_told_four_times_a_second_at_most_and_rises() {
    let fake = home();
    let whole = form(GIF);
    let at = whole.find("GIF").unwrap();
    let mut pieces = vec![whole[..at].to_owned()];
    pieces.extend(whole[at..].chars().map(String::from));
    let stream = futures_util::StreamExt::then(futures_util::stream::iter(pieces), |piece| async {
        tokio::time::sleep(Duration::from_millis(15)).await;
        Ok::<_, std::io::Error>(piece)
    });
    let begun = Instant::now();
    assert_eq!(post(&fake, &[], Body::from_stream(Box::pin(stream))).await.status, 201);
    let most = begun.elapsed().as_millis() / PROGRESS_INTERVAL.as_millis();
    let news = news(&fake);
    let (last, told) = news.split_last().unwrap();
    assert!(matches!(last, News::Kept(_)), "{news:?}");
    let bytes = |news: &News| if let News::Progress { bytes, .. } = news { *bytes } else { panic!("{news:?}") };
    let told: Vec<u64> = told.iter().map(bytes).collect();
    assert!(!told.is_empty() && told.len() as u128 <= most && told.is_sorted_by(|a, b| a < b), "{told:?} of {most}");
}
