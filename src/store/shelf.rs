//! Where pictures lie: files below one directory, or memory. In: a checked picture and its id. Out: its bytes again.
//! Paths are made from a validated id and a known kind, never from what a row or a request says (T-26).

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use parking_lot::Mutex;

use super::picture;
use crate::base::ids::Sid;

pub(super) enum Shelf {
    Directory(PathBuf),
    /// With `store.url = "memory:"`, under the same quota.
    Memory(Mutex<BTreeMap<String, Bytes>>),
}

/// `ab/abcdefghijklmnopqrst.png`, or nothing where the id is not 20 URL-safe characters or the kind is unknown.
pub(super) fn path_of(id: &str, mime: &str) -> Option<String> {
    let (id, extension) = (Sid::parse(id)?, picture::extension(mime)?);
    Some(format!("{}/{id}.{extension}", &id.as_str()[..2]))
}

impl Shelf {
    /// On return the picture is on disk, name included.
    pub fn keep(&self, path: &str, bytes: &Bytes) -> io::Result<()> {
        let directory = match self {
            Shelf::Directory(directory) => directory,
            Shelf::Memory(pictures) => {
                pictures.lock().insert(path.to_owned(), bytes.clone());
                return Ok(());
            }
        };
        let target = directory.join(path);
        let parent = target.parent().expect("a picture lies two levels below the shelf");
        if !parent.is_dir() {
            DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
            sync_directory(directory)?;
        }
        let unfinished = target.with_extension(UNFINISHED);
        let written = write_whole(&unfinished, bytes).and_then(|()| fs::rename(&unfinished, &target));
        if written.is_err() {
            let _ = fs::remove_file(&unfinished);
        }
        written.and_then(|()| sync_directory(parent))
    }

    pub fn fetch(&self, path: &str) -> io::Result<Bytes> {
        match self {
            Shelf::Directory(directory) => {
                let mut file =
                    OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW).open(directory.join(path))?;
                let mut bytes = Vec::new();
                file.read_to_end(&mut bytes)?;
                Ok(Bytes::from(bytes))
            }
            Shelf::Memory(pictures) => pictures.lock().get(path).cloned().ok_or(io::ErrorKind::NotFound.into()),
        }
    }

    /// A file that stays behind is swept up at the next start.
    pub fn discard(&self, path: &str) {
        match self {
            Shelf::Directory(directory) => {
                let _ = fs::remove_file(directory.join(path));
            }
            Shelf::Memory(pictures) => {
                pictures.lock().remove(path);
            }
        }
    }

    /// Deletes what no row knows: a crash between file and row leaves it. Only names of our own making are touched.
    pub fn sweep(&self, known: &BTreeSet<String>) -> io::Result<()> {
        let Shelf::Directory(directory) = self else { return Ok(()) };
        if !directory.is_dir() {
            return Ok(());
        }
        for shelf in fs::read_dir(directory)?.filter_map(Result::ok).filter(|entry| entry.path().is_dir()) {
            for file in fs::read_dir(shelf.path())?.filter_map(Result::ok).map(|entry| entry.path()) {
                let name = file.strip_prefix(directory).ok().and_then(Path::to_str).unwrap_or_default();
                if is_ours(&file) && !known.contains(name) {
                    fs::remove_file(&file)?;
                }
            }
        }
        Ok(())
    }
}

fn is_ours(file: &Path) -> bool {
    let part = |part: Option<&std::ffi::OsStr>| part.and_then(|part| part.to_str()).unwrap_or_default().to_owned();
    Sid::parse(&part(file.file_stem())).is_some()
        && matches!(part(file.extension()).as_str(), "png" | "jpg" | "webp" | "gif" | UNFINISHED)
}

fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

const UNFINISHED: &str = "part";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_needs_a_sound_id_and_a_known_kind() {
        let id = "abcXYZ019_-abcXYZ019";
        assert_eq!(path_of(id, "image/jpeg").as_deref(), Some("ab/abcXYZ019_-abcXYZ019.jpg"));
        assert_eq!(path_of(id, "text/html"), None);
        for bad in [
            "",
            "..",
            "../../../etc/passwdxx",
            "..%2f..%2fetc%2fpassw",
            "/bcXYZ019_-abcXYZ01",
            "a\0cXYZ019_-abcXYZ01",
            "abcXYZ019_-abcXYZ01.",
        ] {
            assert_eq!(path_of(bad, "image/png"), None, "{bad:?}");
        }
    }

    #[test]
    fn both_kinds_of_shelf_keep_and_forget() {
        let root = tempfile::tempdir().unwrap();
        let path = path_of("abcdefghijklmnopqrst", "image/png").unwrap();
        for shelf in [Shelf::Directory(root.path().join("pictures")), Shelf::Memory(Mutex::default())] {
            assert_eq!(shelf.fetch(&path).unwrap_err().kind(), io::ErrorKind::NotFound);
            shelf.keep(&path, &Bytes::from_static(b"one")).unwrap();
            assert_eq!(shelf.fetch(&path).unwrap(), &b"one"[..]);
            shelf.discard(&path);
            assert_eq!(shelf.fetch(&path).unwrap_err().kind(), io::ErrorKind::NotFound);
        }
    }

    #[test]
    fn a_sweep_takes_our_orphans_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let shelf = Shelf::Directory(root.path().to_owned());
        let [known, orphan] =
            ["abKnown_________0000", "abOrphan________0000"].map(|id| path_of(id, "image/gif").unwrap());
        for path in [&known, &orphan] {
            shelf.keep(path, &Bytes::from_static(b"GIF87a")).unwrap();
        }
        fs::write(root.path().join("ab/abUnfinished____0000.part"), "x").unwrap();
        fs::write(root.path().join("ab/notes.txt"), "mine").unwrap();
        fs::write(root.path().join("README"), "mine").unwrap();
        shelf.sweep(&BTreeSet::from([known.clone()])).unwrap();
        let mut left: Vec<_> =
            fs::read_dir(root.path().join("ab")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["abKnown_________0000.gif", "notes.txt"]);
        assert!(root.path().join("README").exists());
    }

    #[test]
    fn a_link_in_place_of_a_picture_is_not_followed() {
        let root = tempfile::tempdir().unwrap();
        let path = path_of("abcdefghijklmnopqrst", "image/png").unwrap();
        fs::create_dir(root.path().join("ab")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", root.path().join(&path)).unwrap();
        assert!(Shelf::Directory(root.path().to_owned()).fetch(&path).is_err());
    }
}
