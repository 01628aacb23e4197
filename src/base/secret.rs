//! A value that must never be shown: a key, a token. It prints as `***`, and is compared in constant time.

use std::fmt;

use subtle::ConstantTimeEq;

/// Text nobody may read in a log, an error or a debug dump. Empty means: not configured.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    /// Whether none is configured.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The text itself, for the one place that needs it: a key for signing, a header to send.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether somebody presented this secret; takes the same time for every wrong text of its length. An empty secret
    /// matches nothing.
    pub fn matches(&self, presented: &str) -> bool {
        !self.is_empty() && bool::from(self.0.as_bytes().ct_eq(presented.as_bytes()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_empty() { "\"\"" } else { "***" })
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_empty() { "" } else { "***" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_printed() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret} {secret:?} {secret:#?}"), "*** *** ***");
        assert_eq!(format!("{} {:?}", Secret::default(), Secret::default()), " \"\"");
    }

    #[test]
    fn a_secret_matches_itself_only_and_an_empty_one_nothing() {
        let secret = Secret::new("hunter2");
        assert!(secret.matches("hunter2"));
        for wrong in ["", "hunter", "hunter22", "Hunter2"] {
            assert!(!secret.matches(wrong), "{wrong}");
        }
        assert!(!Secret::default().matches(""));
    }
}
