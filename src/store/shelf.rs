//! Where blobs lie: files below one directory, or memory. In: checked bytes and the name of their file. Out: the bytes again.
//! A file is called by the SHA-256 of what is in it; a name of any other make, in a row or a request, finds nothing
//! (T-26).

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use parking_lot::Mutex;

use super::part::Part;
use crate::base::ids::Sid;

pub(super) enum Shelf {
    Directory(PathBuf),
    /// With `store.url = "memory:"`, under the same quota.
    Memory(Mutex<BTreeMap<String, Bytes>>),
    /// On a disk that is full.
    #[cfg(test)]
    Full,
}

/// Where a file of this name lies, `ab/abcd…`; nothing where the name is not one that this version or the one before makes.
fn path_of(file: &str) -> Option<String> {
    let is_hash = file.len() == 64 && file.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    // The version before called a blob by its id and kind.
    let by_id =
        || file.rsplit_once('.').is_some_and(|(id, kind)| Sid::parse(id).is_some() && OLD_KINDS.contains(&kind));
    (is_hash || by_id()).then(|| format!("{}/{file}", &file[..2]))
}

impl Shelf {
    /// On return the bytes are on disk, the name included.
    pub(super) fn keep(&self, file: &str, bytes: &Bytes) -> io::Result<()> {
        if let (Shelf::Memory(files), Some(path)) = (self, path_of(file)) {
            files.lock().insert(path, bytes.clone());
            return Ok(());
        }
        let mut part = self.begin(file)?;
        part.append(bytes)?;
        self.settle(file, part)
    }

    /// Room for a file that comes in pieces, under a name among the unfinished: that of the file, or of the blob it will be.
    pub(super) fn begin(&self, name: &str) -> io::Result<Part> {
        match self {
            Shelf::Directory(directory) => Part::create(directory.join(INCOMING).join(format!("{name}{UNFINISHED}"))),
            Shelf::Memory(_) => Ok(Part::in_memory()),
            #[cfg(test)]
            Shelf::Full => Ok(Part::on_full_disk()),
        }
    }

    /// As [`Shelf::keep`], what has come in pieces.
    pub(super) fn settle(&self, file: &str, part: Part) -> io::Result<()> {
        let path = path_of(file).ok_or(io::ErrorKind::InvalidInput)?;
        match self {
            Shelf::Directory(directory) => place(directory, &path, part),
            Shelf::Memory(files) => {
                files.lock().insert(path, part.into_bytes().into());
                Ok(())
            }
            #[cfg(test)]
            Shelf::Full => Err(io::ErrorKind::StorageFull.into()),
        }
    }

    /// A part of a file, or less of it where it ends before that.
    pub(super) fn fetch(&self, file: &str, part: Range<u64>) -> io::Result<Bytes> {
        let path = path_of(file).ok_or(io::ErrorKind::NotFound)?;
        match self {
            Shelf::Directory(directory) => {
                let mut file =
                    OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW).open(directory.join(path))?;
                file.seek(SeekFrom::Start(part.start))?;
                let mut bytes = Vec::new();
                file.take(part.end.saturating_sub(part.start)).read_to_end(&mut bytes)?;
                Ok(Bytes::from(bytes))
            }
            Shelf::Memory(files) => {
                let bytes = files.lock().get(&path).cloned().ok_or(io::ErrorKind::NotFound)?;
                let [start, end] = [part.start, part.end].map(|at| usize::try_from(at).unwrap_or(usize::MAX));
                Ok(bytes.slice(start.min(bytes.len())..end.max(start).min(bytes.len())))
            }
            #[cfg(test)]
            Shelf::Full => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// A file that stays behind is swept up at the next start.
    pub(super) fn discard(&self, file: &str) {
        let Some(path) = path_of(file) else { return };
        match self {
            Shelf::Directory(directory) => {
                let _ = fs::remove_file(directory.join(path));
            }
            Shelf::Memory(files) => {
                files.lock().remove(&path);
            }
            #[cfg(test)]
            Shelf::Full => {}
        }
    }

    /// Deletes what no row knows: a crash between file and row leaves it. Only names of our own making are touched.
    pub(super) fn sweep(&self, known: &BTreeSet<&str>) -> io::Result<()> {
        let Shelf::Directory(directory) = self else { return Ok(()) };
        if !directory.is_dir() {
            return Ok(());
        }
        for shelf in fs::read_dir(directory)?.filter_map(Result::ok).filter(|entry| entry.path().is_dir()) {
            for file in fs::read_dir(shelf.path())?.filter_map(Result::ok).map(|entry| entry.path()) {
                let name = file.file_name().and_then(OsStr::to_str).unwrap_or_default();
                if is_ours(name) && !known.contains(name) {
                    fs::remove_file(&file)?;
                }
            }
        }
        Ok(())
    }
}

fn is_ours(name: &str) -> bool {
    let is_begun = |stem: &str| path_of(stem).is_some() || Sid::parse(stem).is_some();
    path_of(name).is_some() || name.strip_suffix(UNFINISHED).is_some_and(is_begun)
}

/// Gives a whole file its name on the shelf, and makes that last.
fn place(directory: &Path, path: &str, part: Part) -> io::Result<()> {
    let target = directory.join(path);
    let parent = target.parent().expect("a file lies two levels below the shelf");
    if !parent.is_dir() {
        DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
        sync_directory(directory)?;
    }
    part.becomes(&target)?;
    sync_directory(parent)
}

fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Where files that come in pieces lie until they are whole.
const INCOMING: &str = "incoming";
const UNFINISHED: &str = ".part";
const OLD_KINDS: [&str; 4] = ["png", "jpg", "webp", "gif"];

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(first: char) -> String {
        format!("{first}{}", "0".repeat(63))
    }

    #[test]
    fn t26_only_a_name_of_our_own_making_is_a_path() {
        assert_eq!(path_of(&hash('a')), Some(format!("a0/{}", hash('a'))));
        assert_eq!(path_of("abcXYZ019_-abcXYZ019.jpg").as_deref(), Some("ab/abcXYZ019_-abcXYZ019.jpg"));
        for bad in [
            "",
            "..",
            "../../../etc/passwdxx",
            "..%2f..%2fetc%2fpassw.png",
            "/bcXYZ019_-abcXYZ01.png",
            "a\0cXYZ019_-abcXYZ01.png",
            "abcXYZ019_-abcXYZ019",
            "abcXYZ019_-abcXYZ019.html",
            &hash('A'),
            &hash('/'),
            &hash('a')[1..],
        ] {
            assert_eq!(path_of(bad), None, "{bad:?}");
            assert_eq!(Shelf::Memory(Mutex::default()).fetch(bad, 0..9).unwrap_err().kind(), io::ErrorKind::NotFound);
        }
    }

    #[test]
    fn both_kinds_of_shelf_keep_and_forget() {
        let root = tempfile::tempdir().unwrap();
        let file = hash('a');
        for shelf in [Shelf::Directory(root.path().join("files")), Shelf::Memory(Mutex::default())] {
            assert_eq!(shelf.fetch(&file, 0..9).unwrap_err().kind(), io::ErrorKind::NotFound);
            shelf.keep(&file, &Bytes::from_static(b"one")).unwrap();
            assert_eq!(shelf.fetch(&file, 0..9).unwrap(), &b"one"[..]);
            shelf.discard(&file);
            assert_eq!(shelf.fetch(&file, 0..9).unwrap_err().kind(), io::ErrorKind::NotFound);
        }
    }

    #[test]
    fn a_sweep_takes_our_orphans_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let shelf = Shelf::Directory(root.path().to_owned());
        let (known, orphan, old) = (hash('a'), "a0".repeat(32), "a0Orphan________0000.gif");
        for file in [&known, &orphan, old] {
            shelf.keep(file, &Bytes::from_static(b"GIF87a")).unwrap();
        }
        fs::write(root.path().join(format!("a0/{}.part", hash('b'))), "x").unwrap();
        fs::write(root.path().join(INCOMING).join("abcXYZ019_-abcXYZ019.part"), "half").unwrap();
        fs::write(root.path().join(INCOMING).join("mine.part"), "mine").unwrap();
        fs::write(root.path().join("a0/notes.txt"), "mine").unwrap();
        fs::write(root.path().join("README"), "mine").unwrap();
        shelf.sweep(&BTreeSet::from([&*known])).unwrap();
        let mut left: Vec<_> =
            fs::read_dir(root.path().join("a0")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, [&*known, "notes.txt"]);
        assert!(root.path().join("README").exists());
        let begun: Vec<_> =
            fs::read_dir(root.path().join(INCOMING)).unwrap().map(|file| file.unwrap().file_name()).collect();
        assert_eq!(begun, ["mine.part"]);
    }

    #[test]
    fn a_link_in_place_of_a_file_is_not_followed() {
        let root = tempfile::tempdir().unwrap();
        let file = hash('a');
        fs::create_dir(root.path().join("a0")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", root.path().join("a0").join(&file)).unwrap();
        assert!(Shelf::Directory(root.path().to_owned()).fetch(&file, 0..9).is_err());
    }
}
