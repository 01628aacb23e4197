//! One daemon for each directory: a lock on `siod.lock` that the kernel gives back when the process ends, however it ends.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use super::OpenError;

/// Held while the store is open. The file stays behind, unlocked: removing it could take another's lock away.
#[derive(Debug)]
pub(super) struct DirectoryLock {
    _file: File,
}

/// Creates the directory if need be and locks it, or says who has.
pub(super) fn acquire(directory: &Path) -> Result<DirectoryLock, OpenError> {
    let access = |error: std::io::Error| OpenError::Access { path: directory.to_owned(), error: error.to_string() };
    if !directory.is_dir() {
        DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(access)?;
    }
    let path = directory.join("siod.lock");
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(access)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            // Only a name for the sentence: a holder that cannot be read is still a holder.
            let _ = (&file).take(20).read_to_string(&mut holder);
            let by = match holder.trim() {
                "" => "another siod".to_owned(),
                process => format!("another siod (process {process})"),
            };
            return Err(OpenError::InUse { path: fs::canonicalize(directory).unwrap_or(directory.to_owned()), by });
        }
        Err(TryLockError::Error(error)) => return Err(access(error)),
    }
    file.set_len(0).and_then(|()| file.rewind()).map_err(access)?;
    writeln!(file, "{}", std::process::id()).map_err(access)?;
    Ok(DirectoryLock { _file: file })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_lock_is_refused_until_the_first_is_gone() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("a/b");
        let held = acquire(&directory).unwrap();
        let refusal = acquire(&directory).unwrap_err();
        let path = fs::canonicalize(&directory).unwrap();
        let expected = format!("{} is in use by another siod (process {})", path.display(), std::process::id());
        assert_eq!(refusal.to_string(), expected);
        drop(held);
        acquire(&directory).unwrap();
    }

    #[test]
    fn a_directory_that_cannot_be_made_or_written_is_a_sentence() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("file");
        fs::write(&file, "x").unwrap();
        for directory in [file.clone(), file.join("below"), Path::new("/proc/self/siod").to_owned()] {
            let refusal = acquire(&directory).unwrap_err();
            assert!(matches!(&refusal, OpenError::Access { path, .. } if *path == directory), "{refusal:?}");
            assert!(refusal.to_string().starts_with(&format!("{} cannot be used: ", directory.display())));
        }
        assert_eq!(fs::read(&file).unwrap(), b"x");
    }
}
