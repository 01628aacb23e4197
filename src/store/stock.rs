//! What lies on one shelf, in memory: which blobs, the oldest first, which file each is in, and what has to leave so that
//! quota and age hold. Plain data; whoever changes it changes rows and files as well.

use std::collections::{BTreeMap, HashMap};

use crate::app::job::Blob;
use crate::base::limit::SHELF_BLOBS_MAX;
use crate::base::time::WallMillis;

#[derive(Default)]
pub(super) struct Stock {
    /// Oldest first.
    by_age: BTreeMap<(WallMillis, String), Held>,
    ages: HashMap<String, WallMillis>,
    /// How many blobs are in a file.
    files: HashMap<String, u32>,
    /// Of all files, each counted once.
    bytes: u64,
}

struct Held {
    file: String,
    bytes: u64,
}

impl Stock {
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn has(&self, id: &str) -> bool {
        self.ages.contains_key(id)
    }

    pub(super) fn has_file(&self, file: &str) -> bool {
        self.files.contains_key(file)
    }

    pub(super) fn files(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// A blob is there now.
    pub(super) fn note(&mut self, blob: &Blob) {
        self.ages.insert(blob.id.clone(), blob.at);
        self.by_age.insert((blob.at, blob.id.clone()), Held { file: blob.file.clone(), bytes: blob.bytes });
        let blobs = self.files.entry(blob.file.clone()).or_default();
        *blobs += 1;
        if *blobs == 1 {
            self.bytes += blob.bytes;
        }
    }

    /// A blob is gone; its file, if no other blob is in it.
    pub(super) fn forget(&mut self, id: &str) -> Option<String> {
        let at = self.ages.remove(id)?;
        let held = self.by_age.remove(&(at, id.to_owned()))?;
        let blobs = self.files.get_mut(&held.file)?;
        *blobs -= 1;
        if *blobs > 0 {
            return None;
        }
        self.files.remove(&held.file);
        self.bytes -= held.bytes;
        Some(held.file)
    }

    /// The oldest blobs that must go so that `incoming` fits within `quota_bytes` and nothing is older than `oldest`.
    pub(super) fn surplus(&self, incoming: Option<&Blob>, quota_bytes: u64, oldest: WallMillis) -> Vec<String> {
        let new_file = incoming.filter(|blob| !self.has_file(&blob.file));
        let mut bytes = self.bytes + new_file.map_or(0, |blob| blob.bytes);
        let mut blobs = self.by_age.len() + usize::from(incoming.is_some());
        let mut leaving: HashMap<&str, u32> = HashMap::new();
        let mut out = Vec::new();
        for ((at, id), held) in &self.by_age {
            if bytes <= quota_bytes && blobs <= SHELF_BLOBS_MAX && *at > oldest {
                break;
            }
            let left = leaving.entry(&held.file).or_default();
            *left += 1;
            let stays = incoming.is_some_and(|blob| blob.file == held.file);
            if !stays && Some(&*left) == self.files.get(&held.file) {
                bytes -= held.bytes;
            }
            blobs -= 1;
            out.push(id.clone());
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blob(id: &str, at: u64, file: &str, bytes: u64) -> Blob {
        let text = str::to_owned;
        let (shelf, mime) = (text("s"), text("image/gif"));
        Blob { shelf, id: text(id), at: WallMillis(at), mime, bytes, sha256: text(file), file: text(file) }
    }

    #[test]
    fn a_file_is_counted_once_and_leaves_with_its_last_blob() {
        let mut stock = Stock::default();
        for (id, at, file) in [("a", 1, "x"), ("b", 2, "x"), ("c", 3, "y")] {
            stock.note(&blob(id, at, file, 10));
        }
        assert_eq!(stock.bytes(), 20);
        assert_eq!((stock.forget("a"), stock.bytes()), (None, 20));
        assert_eq!((stock.forget("b"), stock.bytes()), (Some("x".to_owned()), 10));
        assert_eq!((stock.forget("b"), stock.has("b"), stock.has_file("x")), (None, false, false));
    }

    #[test]
    fn the_oldest_leave_until_quota_and_age_hold() {
        let mut stock = Stock::default();
        for (id, at, file) in [("a", 1, "x"), ("b", 2, "x"), ("c", 3, "y")] {
            stock.note(&blob(id, at, file, 10));
        }
        let long_ago = WallMillis(0);
        for (incoming, quota, oldest, expected) in [
            (None, 20, long_ago, &[][..]),
            (None, 20, WallMillis(1), &["a"]),
            (None, 20, WallMillis(9), &["a", "b", "c"]),
            (None, 19, long_ago, &["a", "b"]),
            (Some(blob("d", 4, "z", 10)), 30, long_ago, &[]),
            (Some(blob("d", 4, "z", 10)), 20, long_ago, &["a", "b"]),
            // What comes in is in a file that is there.
            (Some(blob("d", 4, "x", 10)), 20, long_ago, &[]),
            (Some(blob("d", 4, "x", 10)), 10, long_ago, &["a", "b", "c"]),
        ] {
            assert_eq!(stock.surplus(incoming.as_ref(), quota, oldest), expected, "{incoming:?} {quota} {oldest:?}");
        }
    }
}
