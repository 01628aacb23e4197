//! Uploads: what comes before the file, the word by which a home takes it, and what the home hears of it.
//!
//! ```text
//!  AppInput::Call (fields, name and type of the file) ─► Effect::Take ─► AppInput::Upload Progress … Kept or Failed ─► Effect::Reply
//!                                                      └► Effect::Reply: it is not taken
//! ```

use super::job::{Blob, JobError, JobErrorKind};
use super::kind::{KIND_HEAD_BYTES, Kind, judge};
use super::route::Refused;
use crate::base::ids::Sid;
use crate::base::time::WallMillis;

/// A home's word that a file may come.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Take {
    /// A name that the application has declared, with quota and age, among its shelves.
    pub shelf: &'static str,
    /// What it will be found by: fresh random bits, which are a secret by themselves.
    pub id: Sid,
    pub at: WallMillis,
    /// A larger one is refused; so is one above the route's bound.
    pub bytes_max: u64,
    /// One of none of these kinds is refused.
    pub kinds: &'static [Kind],
    /// Bytes of some kinds, by how their types begin (`image/`), where they have a bound of their own below `bytes_max`.
    pub bounds: &'static [(&'static str, u64)],
}

/// What a home hears of a file that it takes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum News {
    /// So many bytes have come, more each time, at most four times a second. `total` is what the whole request says it has: a
    /// little more than the file.
    Progress { bytes: u64, total: Option<u64> },
    /// It is on its shelf; the asker waits for a reply. A row about it is the application's to commit.
    Kept(Box<Blob>),
    /// It is not, and nothing is left of it; the asker, if it is still there, waits for a reply.
    Failed(Fault),
}

/// Why a file is not kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The asker has left in the middle, or its connection has broken.
    Gone,
    /// It did not come in time.
    Slow,
    /// The request is none as `multipart/form-data` is written; why.
    Malformed(&'static str),
    /// It is one, and nothing in it is a file.
    NoFile,
    TooLarge,
    /// Its bytes are of none of the kinds that are taken, whatever it is called.
    WrongKind,
    /// The disk or the shelf is full, too many uploads go on, or the store fails.
    Store(JobError),
}

/// A file as it passes: counted, and told by its first bytes. Pure.
#[derive(Debug)]
pub struct Inspector {
    bytes_max: u64,
    kinds: &'static [Kind],
    bounds: &'static [(&'static str, u64)],
    declared: String,
    head: Vec<u8>,
    bytes: u64,
}

impl Fault {
    /// The answer that says so, for homes that have no other.
    pub fn refused(&self) -> Refused {
        match self {
            Fault::Gone => Refused::new(400, "VALIDATION", "the body did not arrive whole"),
            Fault::Slow => Refused::new(408, "TIMEOUT", "the body did not arrive in time"),
            Fault::Malformed(why) => Refused::new(400, "VALIDATION", why),
            Fault::NoFile => Refused::NO_FILE,
            Fault::TooLarge => Refused::LARGE_FILE,
            Fault::WrongKind => {
                Refused::new(415, "UNSUPPORTED_MEDIA_TYPE", "the file is of no kind that this path takes")
            }
            Fault::Store(JobError { kind, .. }) => match kind {
                JobErrorKind::Full => Refused::new(507, kind.code(), "there is no room for the file"),
                JobErrorKind::Busy => Refused::new(503, kind.code(), "too many files come at once"),
                JobErrorKind::Unavailable => Refused::new(503, kind.code(), "the store does not answer"),
                JobErrorKind::Invalid => Refused::new(500, "INTERNAL", "the application's shelf is none"),
            },
        }
    }
}

impl Inspector {
    /// For a file that is taken so, on a route with this bound; `declared` is what its sender says it is.
    pub fn new(take: &Take, route_bytes_max: u64, declared: &str) -> Inspector {
        let bytes_max = take.bytes_max.min(route_bytes_max);
        let (kinds, bounds) = (take.kinds, take.bounds);
        Inspector { bytes_max, kinds, bounds, declared: declared.to_owned(), head: Vec::new(), bytes: 0 }
    }

    /// The next bytes.
    ///
    /// # Errors
    /// It is too large, or of another kind: no more of it is wanted.
    pub fn on_bytes(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.bytes += bytes.len() as u64;
        if self.bytes > self.bytes_max {
            return Err(Fault::TooLarge);
        }
        let is_open = self.head.len() < KIND_HEAD_BYTES;
        self.head.extend(bytes.iter().take(KIND_HEAD_BYTES - self.head.len()));
        if !is_open || self.head.len() < KIND_HEAD_BYTES {
            return Ok(());
        }
        let mime = self.kind()?;
        let of_kind = self.bounds.iter().filter(|(begin, _)| mime.starts_with(begin)).map(|(_, bytes_max)| *bytes_max);
        self.bytes_max = of_kind.fold(self.bytes_max, u64::min);
        if self.bytes > self.bytes_max { Err(Fault::TooLarge) } else { Ok(()) }
    }

    /// Its kind, when all of it has come.
    ///
    /// # Errors
    /// It is of another kind than those that are taken.
    pub fn on_end(&self) -> Result<&'static str, Fault> {
        self.kind()
    }

    fn kind(&self) -> Result<&'static str, Fault> {
        judge(&self.head, &self.declared, self.kinds).ok_or(Fault::WrongKind)
    }

    /// Bytes so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::kind::IMAGES;

    fn inspect(pieces: &[&[u8]], bytes_max: u64, route: u64) -> Result<&'static str, Fault> {
        let id = Sid::parse("abcdefghijklmnopqrst").unwrap();
        let take = Take { shelf: "s", id, at: WallMillis(0), bytes_max, kinds: IMAGES, bounds: &[] };
        let mut inspector = Inspector::new(&take, route, "image/gif");
        pieces.iter().try_for_each(|piece| inspector.on_bytes(piece))?;
        inspector.on_end()
    }

    #[test]
    fn a_file_is_judged_as_it_passes_however_it_is_cut() {
        let gif = b"GIF89a and more than sixteen bytes";
        for size in 1..=gif.len() {
            let pieces: Vec<&[u8]> = gif.chunks(size).collect();
            assert_eq!(inspect(&pieces, 34, 99), Ok("image/gif"), "{size}");
            assert_eq!(inspect(&pieces, 33, 99), Err(Fault::TooLarge), "{size}");
            assert_eq!(inspect(&pieces, 99, 33), Err(Fault::TooLarge), "{size}: the route's bound");
        }
        assert_eq!(inspect(&[b"GIF8", b"", b"9a"], 99, 99), Ok("image/gif"));
        assert_eq!(inspect(&[b"<html>"], 99, 99), Err(Fault::WrongKind));
        assert_eq!(inspect(&[], 99, 99), Err(Fault::WrongKind));
    }

    #[test]
    fn a_kind_may_have_a_bound_of_its_own() {
        let id = Sid::parse("abcdefghijklmnopqrst").unwrap();
        let gif = b"GIF89a and more than sixteen bytes";
        for (bounds, expected) in [
            (&[("image/", 34)][..], Ok(())),
            (&[("image/", 33)], Err(Fault::TooLarge)),
            (&[("image/", 3)], Err(Fault::TooLarge)),
            (&[("image/", 99), ("audio/", 1)], Ok(())),
        ] {
            let take = Take { shelf: "s", id, at: WallMillis(0), bytes_max: 34, kinds: IMAGES, bounds };
            for size in 1..=gif.len() {
                let mut inspector = Inspector::new(&take, u64::MAX, "");
                let come = gif.chunks(size).try_for_each(|piece| inspector.on_bytes(piece));
                assert_eq!(come, expected, "{bounds:?} {size}");
            }
        }
    }

    #[test]
    fn what_lies_is_refused_before_the_rest_of_it_has_come() {
        let take = Take {
            shelf: "s",
            id: Sid::parse("abcdefghijklmnopqrst").unwrap(),
            at: WallMillis(0),
            bytes_max: u64::MAX,
            kinds: IMAGES,
            bounds: &[],
        };
        let mut inspector = Inspector::new(&take, u64::MAX, "image/png");
        assert_eq!(inspector.on_bytes(b"<!doctype html>"), Ok(()));
        assert_eq!(inspector.on_bytes(b"<"), Err(Fault::WrongKind));
    }

    #[test]
    fn every_fault_has_an_answer_of_its_own() {
        let store = |kind| Fault::Store(JobError::new(kind, ""));
        for (fault, status) in [
            (Fault::Gone, 400),
            (Fault::Slow, 408),
            (Fault::Malformed("why"), 400),
            (Fault::NoFile, 400),
            (Fault::TooLarge, 413),
            (Fault::WrongKind, 415),
            (store(JobErrorKind::Full), 507),
            (store(JobErrorKind::Busy), 503),
            (store(JobErrorKind::Unavailable), 503),
            (store(JobErrorKind::Invalid), 500),
        ] {
            assert_eq!(fault.refused().status, status, "{fault:?}");
        }
    }
}
