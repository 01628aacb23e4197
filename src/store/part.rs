//! A file on its way to a shelf: written piece by piece, hashed on the way, and no blob before its end. Dropped, it is gone.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::base::hex::hex;

/// A file that is not whole yet.
pub(super) struct Part {
    body: Body,
    hash: Sha256,
    bytes: u64,
}

/// Where its bytes are.
enum Body {
    File(File, PathBuf),
    /// On a shelf in memory.
    Memory(Vec<u8>),
    #[cfg(test)]
    Full,
}

impl Part {
    /// A new file at `path`, whose directory is made if it is not there.
    ///
    /// # Errors
    /// There is one already, or the disk does not take it.
    pub(super) fn create(path: PathBuf) -> io::Result<Part> {
        if let Some(directory) = path.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        }
        let mut options = OpenOptions::new();
        let file = options.write(true).create_new(true).mode(0o600).open(&path)?;
        Ok(Part::of(Body::File(file, path)))
    }

    pub(super) fn in_memory() -> Part {
        Part::of(Body::Memory(Vec::new()))
    }

    /// On a disk that is full.
    #[cfg(test)]
    pub(super) fn on_full_disk() -> Part {
        Part::of(Body::Full)
    }

    fn of(body: Body) -> Part {
        Part { body, hash: Sha256::new(), bytes: 0 }
    }

    /// The next bytes.
    pub(super) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.body {
            Body::File(file, _) => file.write_all(bytes)?,
            Body::Memory(held) => held.extend_from_slice(bytes),
            #[cfg(test)]
            Body::Full => return Err(io::ErrorKind::StorageFull.into()),
        }
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    /// Bytes so far.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// SHA-256 of all of them, in hex.
    pub(super) fn sha256(&self) -> String {
        hex(&self.hash.clone().finalize())
    }

    /// What is in memory.
    pub(super) fn into_bytes(mut self) -> Vec<u8> {
        match &mut self.body {
            Body::Memory(held) => std::mem::take(held),
            _ => Vec::new(),
        }
    }

    /// Its bytes are on disk, and then it has this name.
    pub(super) fn becomes(self, target: &Path) -> io::Result<()> {
        match &self.body {
            Body::File(file, path) => file.sync_all().and_then(|()| fs::rename(path, target)),
            _ => Ok(()),
        }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if let Body::File(_, path) = &self.body {
            // Nothing is there once it has another name.
            let _ = fs::remove_file(path);
        }
    }
}
