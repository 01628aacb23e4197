//! A message that comes in pieces, put together: grows with what has been received, judges text as it comes.

use std::borrow::Cow;

use super::WireError;
use super::incoming::Incoming;
use crate::base::limit::fragments_max;

/// A text or binary message under way.
#[derive(Debug)]
pub(super) struct Assembly {
    is_text: bool,
    payload: Vec<u8>,
    /// So many bytes at the front of a text are known to be UTF-8.
    utf8: usize,
    fragments: usize,
}

impl Assembly {
    /// Empty, its first frame about to come.
    pub(super) fn new(is_text: bool) -> Assembly {
        Assembly { is_text, payload: Vec::new(), utf8: 0, fragments: 1 }
    }

    /// One more frame begins of a message of at most `max_payload` bytes.
    pub(super) fn count_fragment(&mut self, max_payload: usize) -> Result<(), WireError> {
        self.fragments += 1;
        if self.fragments > fragments_max(max_payload) { Err(WireError::TooManyFragments) } else { Ok(()) }
    }

    /// Appends; refuses a text at its first byte that is not UTF-8. A character may still be incomplete.
    pub(super) fn push(&mut self, chunk: &[u8]) -> Result<(), WireError> {
        self.payload.extend_from_slice(chunk);
        if self.is_text {
            self.utf8 += match std::str::from_utf8(&self.payload[self.utf8..]) {
                Ok(text) => text.len(),
                Err(error) if error.error_len().is_none() => error.valid_up_to(),
                Err(_) => return Err(WireError::InvalidUtf8),
            };
        }
        Ok(())
    }

    /// The last byte has come.
    pub(super) fn finish<'a>(self) -> Result<Incoming<'a>, WireError> {
        if !self.is_text {
            return Ok(Incoming::Binary(Cow::Owned(self.payload)));
        }
        let text = String::from_utf8(self.payload).map_err(|_| WireError::InvalidUtf8)?;
        Ok(Incoming::Text(Cow::Owned(text)))
    }

    /// Bytes received.
    pub(super) fn len(&self) -> usize {
        self.payload.len()
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.payload.capacity()
    }
}
