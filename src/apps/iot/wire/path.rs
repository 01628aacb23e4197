//! The secret in the path on which a system's devices dial us: the system's id in the clear, so that the path alone says where it is
//! decided, and 32 random bytes, of which a hash is kept.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use crate::base::hex::hex;
use crate::base::rng::Rng;

/// What a path says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Presented {
    pub system: String,
    /// SHA-256 of the secret half, in hex, as rows keep it.
    pub hash: String,
}

/// A new secret of a system, to be shown once, and the hash that is kept.
pub(crate) fn mint(system: &str, rng: &mut Rng) -> (String, String) {
    let mut bytes = [0; SECRET_BYTES];
    for part in bytes.chunks_exact_mut(8) {
        part.copy_from_slice(&rng.u64().to_le_bytes());
    }
    let [system, secret] = [system.as_bytes(), &bytes].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part));
    (format!("{system}.{secret}"), hash(&bytes))
}

/// Reads what somebody presents; `None`: it is no secret, whatever the system.
pub(crate) fn read(text: &str) -> Option<Presented> {
    let (system, secret) = text.split_once('.').filter(|_| text.len() <= TEXT_BYTES_MAX)?;
    let [system, secret] = [system, secret].map(|part| BASE64_URL_SAFE_NO_PAD.decode(part).ok());
    let secret = secret.filter(|secret| secret.len() == SECRET_BYTES)?;
    let system = String::from_utf8(system?).ok().filter(|system| !system.is_empty())?;
    Some(Presented { system, hash: hash(&secret) })
}

fn hash(secret: &[u8]) -> String {
    hex(&Sha256::digest(secret))
}

const SECRET_BYTES: usize = 32;
/// Longer than any system's name makes it.
const TEXT_BYTES_MAX: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_says_its_system_and_proves_its_secret() {
        let mut rng = Rng::from_seed([7; 32]);
        for system in ["s1", "clínica/ñ", "a.b"] {
            let (text, hash) = mint(system, &mut rng);
            assert_eq!(read(&text), Some(Presented { system: system.to_owned(), hash: hash.clone() }));
            let (other, _) = mint(system, &mut rng);
            assert_ne!(read(&other).unwrap().hash, hash);
            assert!(
                !text.contains(&hash)
                    && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
            );
        }
    }

    #[test]
    fn what_is_no_secret_is_none() {
        let secret = BASE64_URL_SAFE_NO_PAD.encode([1; 32]);
        let long = format!("{}.{secret}", "A".repeat(TEXT_BYTES_MAX));
        for text in
            ["", ".", "czE", "czE.", "czE.AAAA", &format!(".{secret}"), &format!("cz E.{secret}"), &long, "czE.%%"]
        {
            assert_eq!(read(text), None, "{text}");
        }
        assert!(read(&format!("czE.{secret}")).is_some());
        assert_eq!(read(&format!("czE.{secret}=")), None, "one spelling");
    }
}
