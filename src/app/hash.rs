//! A password made unreadable, or one held against what was made of it, as a value. In the shell `hashing` carries it out: that
//! takes milliseconds and megabytes on purpose. An application pushes a [`enum@Hash`] as a job and hears
//! [`Outcome::Hashed`](super::job::Outcome::Hashed), or why not: `Busy` where too many wait, `Invalid` for what is none.

use crate::base::secret::Secret;

/// What is asked. A password has at most [`HASH_PASSWORD_BYTES_MAX`](crate::base::limit::HASH_PASSWORD_BYTES_MAX).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Hash {
    /// A new hash, with a salt of its own.
    Make { password: Secret },
    /// Whether this is the password that `phc` was made of. `None` is the hash of nobody: it takes as long and never matches,
    /// so that the time of an answer does not tell whose accounts exist. A text that is no hash of argon2, or that asks for more memory, passes or lanes
    /// than [`HASH_MEMORY_KIB_MAX`](crate::base::limit::HASH_MEMORY_KIB_MAX) and its siblings, is `Invalid`.
    Verify { password: Secret, phc: Option<String> },
}

/// What came of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Hashed {
    /// The hash as a PHC text, `$argon2id$v=19$m=…,t=…,p=…$salt$hash`.
    Made(String),
    Verified(bool),
}
