//! Forms as they come, whole and in every size of pieces: what is read of them, or what is wrong with them.

use axum::body::Body as HttpBody;
use axum::http::HeaderValue;

use super::*;

fn field(name: &str, value: &str) -> String {
    format!("--b\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
}

fn file(content: &str) -> String {
    let head = "content-disposition: form-data; name=\"file\"; filename=\"a b.png\"\r\ncontent-type: Image/PNG; x=y";
    format!("--b\r\n{head}\r\n\r\n{content}\r\n")
}

const END: &str = "--b--\r\n";

/// Fields and a file.
type Seen<'a> = (&'a [(&'a str, &'a str)], &'a str);

/// It is read so, whatever the pieces.
async fn check(body: &str, expected: Result<Seen<'_>, &'static str>) {
    for piece in [1, 2, 3, 7, 61, 4_096, usize::MAX] {
        // Large ones would take long in single bytes.
        if body.len() / piece > 4_096 {
            continue;
        }
        let got = read(body.as_bytes(), piece).await;
        let shown = body.get(..200).unwrap_or(body);
        match (&got, expected) {
            (Ok((form, content)), Ok((fields, file))) => {
                let known: Vec<(&str, &str)> = form.fields.iter().map(|(name, value)| (&**name, &**value)).collect();
                assert_eq!((&known[..], content), (fields, &file.as_bytes().to_vec()), "{shown} by {piece}");
                assert_eq!((&*form.part, &*form.file_name, &*form.declared), ("file", "a b.png", "image/png"));
            }
            (Err(fault), Err(why)) => assert_eq!(*fault, Fault::Malformed(why), "{shown} by {piece}"),
            _ => panic!("{shown} by {piece}: {got:?}, not {expected:?}"),
        }
    }
}

#[tokio::test]
async fn fields_and_a_file_are_read_whatever_the_pieces() {
    let form = field("a", "1") + &field("b", "é\r\n--c") + &field("a", "") + &file("\r\n--\r\n--bx\r\nbytes") + END;
    let fields = [("a", "1"), ("b", "é\r\n--c"), ("a", "")];
    // A line that only begins like a boundary is one: its sender has chosen it badly.
    check(&form.replace("--bx", "--x"), Ok((&fields, "\r\n--\r\n--x\r\nbytes"))).await;
    check(&(file("") + END), Ok((&[], ""))).await;
    check(&("a preamble\r\n".to_owned() + &file("x") + END + "an epilogue"), Ok((&[], "x"))).await;
    let large = "y".repeat(100_000);
    check(&(file(&large) + END), Ok((&[], &large))).await;
}

#[tokio::test]
async fn a_form_without_a_file_is_refused() {
    for body in [END.to_owned(), field("a", "1") + END] {
        for piece in 1..=body.len() {
            assert_eq!(read(body.as_bytes(), piece).await.unwrap_err(), Fault::NoFile, "{body} by {piece}");
        }
    }
}

#[tokio::test]
async fn a_file_before_the_fields_and_two_files_are_refused() {
    const WHY: &str = "something follows the file, which is one and comes last";
    check(&(file("x") + &field("a", "1") + END), Err(WHY)).await;
    check(&(file("x") + &file("y") + END), Err(WHY)).await;
}

#[tokio::test]
async fn what_is_not_written_as_a_form_is_refused() {
    const ENDS: &str = "the body ends in the middle of a part";
    const HEAD: &str = "the head of a part is none";
    for (body, why) in [
        (String::new(), ENDS),
        ("nonsense".to_owned(), ENDS),
        ("--b".to_owned(), ENDS),
        ("--b\r\n".to_owned(), ENDS),
        ("--b\r\ncontent-disposition: form-data; name=\"a\"".to_owned(), ENDS),
        (file("x"), ENDS),
        (file("x") + "--b", ENDS),
        (file("x") + "--b-", ENDS),
        (file("x").replace("\r\n", "\n") + END, ENDS),
        ("--bx\r\n\r\n\r\n".to_owned() + END, ENDS),
        ("--b\r\nno head\r\n\r\n1\r\n".to_owned() + END, HEAD),
        ("--b\r\n: x\r\n\r\n1\r\n".to_owned() + END, HEAD),
        ("--b\r\n\r\n1\r\n".to_owned() + END, ENDS),
        ("--b\r\ncontent-disposition: form-data\r\n\r\n1\r\n".to_owned() + END, "a field has no name"),
        ("--b\r\ncontent-disposition: form-data; filename=x\r\n\r\n1\r\n".to_owned() + END, "a field has no name"),
    ] {
        check(&body, Err(why)).await;
    }
    let latin = [field("a", "").as_bytes(), b"\xff"].concat();
    let at = latin.len() - 3;
    let latin = [&latin[..at], b"\xff\r\n", END.as_bytes()].concat();
    assert_eq!(read(&latin, 5).await, Err(Fault::Malformed("a field is no UTF-8")));
}

#[tokio::test]
async fn a_giant_head_a_field_over_its_bound_and_too_many_fields_are_refused() {
    let (at_bound, over) = ("v".repeat(UPLOAD_FIELD_BYTES_MAX), "v".repeat(UPLOAD_FIELD_BYTES_MAX + 1));
    check(&(field("a", &at_bound) + &file("x") + END), Ok((&[("a", &at_bound)], "x"))).await;
    check(&(field("a", &over) + &file("x") + END), Err("a field is too large")).await;
    let many = |count: usize| (0..count).map(|_| field("a", "1")).collect::<String>() + &file("x") + END;
    check(&many(UPLOAD_FIELDS_MAX), Ok((&[("a", "1"); UPLOAD_FIELDS_MAX], "x"))).await;
    check(&many(UPLOAD_FIELDS_MAX + 1), Err("there are too many fields")).await;
    let names = "n".repeat(NAME_BYTES_MAX);
    check(&(field(&names, "1") + &file("x") + END), Ok((&[(&names, "1")], "x"))).await;
    check(&(field(&(names + "n"), "1") + &file("x") + END), Err("a name is longer than 255 bytes")).await;
    // Heads, preambles and padding without an end are cut off when there is more of them than a head may have, not when they
    // have come whole.
    let long = "h".repeat(10 * UPLOAD_HEAD_BYTES_MAX);
    for giant in [
        format!("--b\r\nx-h: {long}"),
        format!("--b\r\nx-h: {long}\r\n\r\n1\r\n{}{END}", file("x")),
        long.clone(),
        format!("--b{}", " ".repeat(10 * UPLOAD_HEAD_BYTES_MAX)),
    ] {
        assert_eq!(
            read(giant.as_bytes(), 1_024).await,
            Err(Fault::Malformed("the head of a part is too long")),
            "{}",
            &giant[..20]
        );
    }
    let lines = "--b\r\n".to_owned() + &"x: y\r\n".repeat(1_000) + "\r\n1\r\n" + END;
    assert_eq!(read(lines.as_bytes(), 64).await, Err(Fault::Malformed("the head of a part is none")));
}

#[tokio::test]
async fn a_body_that_breaks_off_or_stands_still_is_told_apart() {
    use futures_util::StreamExt as _;
    let whole = field("a", "1") + &file("some bytes") + END;
    for cut in [0, 3, 20, field("a", "1").len() + 10, whole.len() - 12, whole.len() - 3] {
        let begun = || futures_util::stream::iter([Ok::<_, std::io::Error>(whole[..cut].to_owned())]);
        let broken = futures_util::stream::iter([Err(std::io::Error::other("gone"))]);
        let headers =
            HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static("multipart/form-data; boundary=b"))]);
        for (body, time_ms, fault) in [
            (HttpBody::from_stream(begun().chain(broken)), 30_000, Fault::Gone),
            (HttpBody::from_stream(begun().chain(futures_util::stream::pending())), 20, Fault::Slow),
        ] {
            let mut reader = Reader::new(&headers, body, Duration::from_millis(time_ms)).unwrap();
            let read = async {
                reader.form().await?;
                while reader.piece().await?.is_some() {}
                Ok(())
            };
            assert_eq!(read.await, Err(fault), "after {cut} bytes");
        }
    }
}

#[tokio::test]
async fn a_boundary_that_is_missing_and_another_type_are_refused() {
    for (kind, status) in [
        ("", 415),
        ("application/json", 415),
        ("multipart/mixed; boundary=b", 415),
        ("application/x-www-form-urlencoded", 415),
        ("nonsense", 415),
        ("multipart/form-data", 400),
        ("multipart/form-data; boundary=", 400),
        ("multipart/form-data; charset=b", 400),
        (&format!("multipart/form-data; boundary={}", "b".repeat(BOUNDARY_BYTES_MAX + 1)), 400),
    ] {
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_str(kind).unwrap())]);
        let refused =
            Reader::new(&headers, HttpBody::empty(), Duration::from_secs(1)).err().map(|refused| refused.status);
        assert_eq!(refused, Some(status), "{kind}");
    }
    assert!(Reader::new(&HeaderMap::new(), HttpBody::empty(), Duration::from_secs(1)).is_err());
}
