//! Uploads by a script, in the world of tests: how an application's own tests bring it a file.

use serde_json::{Value, json};

use crate::api::testing::album::{Album, ROW, SHELF};
use crate::app::form::Form;
use crate::app::job::{Blob, JobError, JobErrorKind};
use crate::app::sql::Statement;
use crate::app::upload::Fault;
use crate::testing::World;

fn world() -> World {
    World::of(Album::default, &[], &[SHELF])
}

/// Somebody brings a picture of `of` to this route.
fn brings(world: &mut World, path: &str, of: Option<&str>) {
    let fields = of.iter().map(|of| ("of".to_owned(), (*of).to_owned())).collect();
    let (part, file_name, declared) = ("file".to_owned(), "a.gif".to_owned(), "image/gif".to_owned());
    world.uploads(&ROW, path, None, Form { fields, part, file_name, declared });
}

/// What the home has heard.
fn heard(world: &mut World) -> Value {
    world.requests(&ROW, "GET", "/album/heard", None);
    world.replies.pop().unwrap().1
}

/// Bytes of the blobs that are kept.
fn blobs(world: &World) -> Vec<u64> {
    world.store.rows::<Blob>(Statement::new("SELECT * FROM blobs")).iter().map(|blob| blob.bytes).collect()
}

#[test]
fn a_file_is_taken_brought_and_kept() {
    let mut world = world();
    brings(&mut world, "/album/pictures", Some("ana"));
    assert!(world.is_taking() && world.replies.is_empty());
    world.brings(b"GIF89a and");
    world.brings(b" more");
    world.has_brought();
    let (status, kept) = world.replies.pop().unwrap();
    assert_eq!((status, &kept["mime"], &kept["bytes"]), (201, &json!("image/gif"), &json!(15)));
    assert_eq!(heard(&mut world), json!(["taken", "10 of None", "15 of None", "kept"]));
    assert_eq!((world.is_taking(), blobs(&world)), (false, vec![15]));
}

#[test]
fn a_file_that_is_not_taken_has_its_reply_at_once_and_one_may_be_broken_off() {
    let mut world = world();
    brings(&mut world, "/album/pictures", None);
    assert_eq!((world.is_taking(), world.replies.pop().unwrap().0), (false, 422));
    brings(&mut world, "/album/changed", Some("ana"));
    world.brings(b"GIF89a");
    assert_eq!((world.is_taking(), world.replies.pop().unwrap().0), (false, 409));
    assert!(blobs(&world).is_empty());
}

#[test]
fn whatever_breaks_a_file_off_is_told_and_nothing_is_kept() {
    let mut world = world();
    let full = Fault::Store(JobError::new(JobErrorKind::Full, "no room"));
    for (fault, status) in [(Fault::Gone, 400), (Fault::Slow, 408), (Fault::Malformed("why"), 400), (full, 507)] {
        brings(&mut world, "/album/pictures", Some("ana"));
        world.brings(b"GIF89a");
        world.breaks(fault.clone());
        assert_eq!((world.is_taking(), world.replies.pop().unwrap().0), (false, status), "{fault:?}");
    }
    // By what comes: a page, too much, nothing, and a store that fails.
    for (bytes, status) in [(b"<!doctype html>..".repeat(2), 415), (b"GIF89a".repeat(20_000), 413)] {
        brings(&mut world, "/album/pictures", Some("ana"));
        world.brings(&bytes);
        assert_eq!((world.is_taking(), world.replies.pop().unwrap().0), (false, status));
    }
    brings(&mut world, "/album/pictures", Some("ana"));
    world.has_brought();
    assert_eq!(world.replies.pop().unwrap().0, 415);
    brings(&mut world, "/album/pictures", Some("ana"));
    world.brings(b"GIF89a");
    world.store.down = true;
    world.has_brought();
    assert_eq!(world.replies.pop().unwrap().0, 503);
    world.store.down = false;
    assert!(blobs(&world).is_empty());
}
