//! Secrets at rest: AES-256-GCM under a key from the environment. The name of the key and of the row are authenticated with it, so
//! that what was sealed for one row opens in no other. Older keys open what they have sealed, and seal nothing.

use std::fmt;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE, BASE64_URL_SAFE_NO_PAD};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use sha2::{Digest as _, Sha256};

use crate::base::hex::hex;
use crate::base::rng::Rng;
use crate::base::secret::Secret;

/// The key that seals, if there is one, and those that open.
#[derive(Default)]
pub(crate) struct Keyring {
    /// The one that seals is the first; the others were before it.
    keys: Vec<Key>,
    can_seal: bool,
}

/// What was sealed, opened.
pub(crate) struct Opened {
    pub secret: Secret,
    /// By an older key: it is to be sealed anew.
    pub is_old: bool,
}

struct Key {
    id: String,
    key: LessSafeKey,
}

impl Keyring {
    /// Keys as the configuration has them, 32 bytes each in hex or base64, which [`check_key`] has found good; an empty one is
    /// none.
    pub(crate) fn new(current: &Secret, old: &[Secret]) -> Keyring {
        let current = Key::of(current);
        let can_seal = current.is_some();
        Keyring { keys: current.into_iter().chain(old.iter().filter_map(Key::of)).collect(), can_seal }
    }

    /// Whether there is a key that seals.
    pub(crate) fn can_seal(&self) -> bool {
        self.can_seal
    }

    /// Seals a secret of a row; `None`: there is no key.
    pub(crate) fn seal(&self, row: &str, secret: &str, rng: &mut Rng) -> Option<String> {
        let key = self.keys.first().filter(|_| self.can_seal)?;
        let mut nonce = [0; NONCE_LEN];
        nonce[..8].copy_from_slice(&rng.u64().to_le_bytes());
        nonce[8..].copy_from_slice(&rng.u64().to_le_bytes()[..4]);
        let mut bytes = secret.as_bytes().to_vec();
        let aad = Aad::from(aad(&key.id, row));
        key.key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut bytes).ok()?;
        let text = BASE64_URL_SAFE_NO_PAD.encode([&nonce[..], &bytes].concat());
        Some(format!("{VERSION}.{}.{text}", key.id))
    }

    /// Opens what was sealed for this row; `None`: no key that is known has sealed it, or it was for another row.
    pub(crate) fn open(&self, row: &str, sealed: &str) -> Option<Opened> {
        let (id, text) = sealed.strip_prefix(VERSION)?.strip_prefix('.')?.split_once('.')?;
        let at = self.keys.iter().position(|key| key.id == id)?;
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
        let (nonce, body) = bytes.split_first_chunk::<NONCE_LEN>()?;
        let mut body = body.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let plain = self.keys[at].key.open_in_place(nonce, Aad::from(aad(id, row)), &mut body).ok()?;
        let secret = Secret::new(std::str::from_utf8(plain).ok()?);
        Some(Opened { secret, is_old: at > 0 || !self.can_seal })
    }

    /// How what the current key seals begins; rows that begin otherwise are to be sealed anew.
    #[cfg(test)]
    pub(crate) fn prefix(&self) -> Option<String> {
        self.keys.first().filter(|_| self.can_seal).map(|key| format!("{VERSION}.{}.", key.id))
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<&str> = self.keys.iter().map(|key| &*key.id).collect();
        write!(f, "Keyring {{ can_seal {}, keys {ids:?} }}", self.can_seal)
    }
}

impl Key {
    fn of(text: &Secret) -> Option<Key> {
        let bytes = key_bytes(text.expose())?;
        let id = hex(&Sha256::digest([b"siod iot key ".as_slice(), &bytes].concat())[..4]);
        Some(Key { id, key: LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &bytes).ok()?) })
    }
}

/// Says what a key must be, if this is none. An empty one is none that is configured.
pub(crate) fn check_key(text: &str) -> Result<(), String> {
    let is_one = text.is_empty() || key_bytes(text).is_some();
    if is_one { Ok(()) } else { Err("must be 32 bytes in hex or base64".to_owned()) }
}

fn key_bytes(text: &str) -> Option<[u8; 32]> {
    let digits =
        text.as_bytes().chunks_exact(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
    if text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return digits.collect::<Option<Vec<u8>>>()?.try_into().ok();
    }
    let forms = [BASE64_STANDARD, BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE, BASE64_URL_SAFE_NO_PAD];
    forms.iter().find_map(|form| form.decode(text).ok()?.try_into().ok())
}

fn aad(key: &str, row: &str) -> Vec<u8> {
    // A key's name has one length, so that no other row reads alike.
    [VERSION, key, row].join(".").into_bytes()
}

const VERSION: &str = "v1";

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> Secret {
        Secret::new(hex(&[byte; 32]))
    }

    fn rng() -> Rng {
        Rng::from_seed([9; 32])
    }

    fn open(keyring: &Keyring, row: &str, sealed: &str) -> Option<(String, bool)> {
        keyring.open(row, sealed).map(|opened| (opened.secret.expose().to_owned(), opened.is_old))
    }

    #[test]
    fn what_is_sealed_opens_in_its_row_alone() {
        let (keyring, mut rng) = (Keyring::new(&key(1), &[]), rng());
        let sealed = keyring.seal("cred_1", "tok€n", &mut rng).unwrap();
        assert!(!sealed.contains("tok") && sealed.starts_with(&keyring.prefix().unwrap()));
        assert_eq!(open(&keyring, "cred_1", &sealed), Some(("tok€n".to_owned(), false)));
        assert_eq!(open(&keyring, "cred_2", &sealed), None);
        assert_eq!(open(&Keyring::new(&key(2), &[]), "cred_1", &sealed), None);
        assert_ne!(keyring.seal("cred_1", "tok€n", &mut rng).unwrap(), sealed, "a nonce is used once");
        for at in 0..sealed.len() {
            let mut bytes = sealed.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            assert_eq!(open(&keyring, "cred_1", &changed), None, "{at}");
        }
        for broken in ["", "v1", "v1.", "v1..", "v1.00000000.AAAA", "plain text", &sealed[..sealed.len() - 1]] {
            assert_eq!(open(&keyring, "cred_1", broken), None, "{broken}");
        }
    }

    #[test]
    fn an_older_key_opens_and_does_not_seal() {
        let mut rng = rng();
        let sealed = Keyring::new(&key(1), &[]).seal("r", "s", &mut rng).unwrap();
        let rotated = Keyring::new(&key(2), &[key(1)]);
        assert_eq!(open(&rotated, "r", &sealed), Some(("s".to_owned(), true)));
        let anew = rotated.seal("r", "s", &mut rng).unwrap();
        assert!(anew.starts_with(&rotated.prefix().unwrap()) && !sealed.starts_with(&rotated.prefix().unwrap()));
        assert_eq!(open(&rotated, "r", &anew), Some(("s".to_owned(), false)));
        let gone = Keyring::new(&Secret::default(), &[key(1)]);
        assert_eq!(open(&gone, "r", &sealed), Some(("s".to_owned(), true)));
        assert!(!gone.can_seal() && gone.seal("r", "s", &mut rng).is_none() && gone.prefix().is_none());
        assert_eq!(open(&Keyring::default(), "r", &sealed), None);
    }

    #[test]
    fn a_key_is_32_bytes_in_hex_or_base64() {
        let base64 = BASE64_STANDARD.encode([0xfb; 32]);
        for good in [
            &hex(&[0xfb; 32]),
            &hex(&[0xfb; 32]).to_uppercase(),
            &base64,
            base64.trim_end_matches('='),
            &BASE64_URL_SAFE.encode([0xfb; 32]),
        ] {
            assert_eq!(check_key(good), Ok(()), "{good}");
        }
        let ids: Vec<_> = [hex(&[0xfb; 32]), base64].map(|text| Key::of(&Secret::new(text)).unwrap().id).into();
        assert_eq!(ids[0], ids[1]);
        for bad in [
            "x",
            "00",
            &hex(&[1; 31]),
            &hex(&[1; 33]),
            &BASE64_STANDARD.encode([1; 33]),
            &"z".repeat(64),
            &"é".repeat(32),
        ] {
            assert_eq!(check_key(bad), Err("must be 32 bytes in hex or base64".to_owned()), "{bad}");
        }
        assert!(!format!("{:?}", Keyring::new(&key(1), &[])).contains("0101"));
    }
}
