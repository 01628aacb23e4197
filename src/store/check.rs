//! From what somebody sent to a checked blob: base64 undone, size bounded, kind told from its first bytes, hashed.
//! Pure. Whatever the sender calls it, a blob is what its bytes say: nothing else is served to a browser later.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::app::job::{Data, JobError, JobErrorKind, Keep};
use crate::app::kind::{Kind, judge};
use crate::base::hex::hex;

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Checked {
    pub bytes: Bytes,
    pub mime: &'static str,
    /// Hex.
    pub sha256: String,
}

/// `Invalid` for what is too large, not base64, or of no kind that was asked for.
pub(super) fn check(keep: &Keep) -> Result<Checked, JobError> {
    let bytes = match &keep.data {
        Data::Raw(bytes) => bytes.clone(),
        Data::Base64(text) => decode(text, keep.bytes_max)?,
    };
    if bytes.len() > keep.bytes_max {
        return Err(too_large(keep.bytes_max));
    }
    let mime = judge(&bytes, "", keep.kinds).ok_or_else(|| invalid(format!("it is none of {}", names(keep.kinds))))?;
    let sha256 = hex(&Sha256::digest(&bytes));
    Ok(Checked { bytes, mime, sha256 })
}

/// Lenient in what senders vary: line breaks, padding, the URL-safe alphabet, a `data:` prefix left in place.
fn decode(text: &[u8], bytes_max: usize) -> Result<Bytes, JobError> {
    let start = text.iter().take(DATA_URL_PREFIX_BYTES_MAX).position(|byte| *byte == b',');
    let text = start.filter(|_| text.starts_with(b"data:")).map_or(text, |comma| &text[comma + 1..]);
    let spaces = memchr::memchr3_iter(b' ', b'\r', b'\n', text).count();
    if (text.len() - spaces) / 4 * 3 > bytes_max.saturating_add(3) {
        return Err(too_large(bytes_max));
    }
    let engine = if memchr::memchr2(b'-', b'_', text).is_some() { &URL_SAFE } else { &STANDARD };
    let decoded = if spaces == 0 {
        engine.decode(text)
    } else {
        engine.decode(text.iter().copied().filter(|byte| !b" \r\n".contains(byte)).collect::<Vec<u8>>())
    };
    decoded.map(Bytes::from).map_err(|error| invalid(format!("it is not base64: {error}")))
}

fn names(kinds: &[Kind]) -> String {
    let mut names: Vec<&str> = kinds.iter().map(|kind| kind.mime).collect();
    names.dedup();
    names.join(", ")
}

fn too_large(bytes_max: usize) -> JobError {
    invalid(format!("it is larger than {bytes_max} bytes"))
}

fn invalid(text: String) -> JobError {
    JobError { kind: JobErrorKind::Invalid, text }
}

const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);
const DATA_URL_PREFIX_BYTES_MAX: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::kind::IMAGES;
    use crate::base::rng::Rng;
    use crate::base::time::WallMillis;

    const GIF: &[u8] = b"GIF89a\xfb\xff\xbe";

    fn keep(data: Data, bytes_max: usize) -> Keep {
        let id = Rng::from_seed([1; 32]).sid();
        Keep { shelf: "s", id, at: WallMillis(0), data, bytes_max, kinds: IMAGES, write: Vec::new() }
    }

    fn base64(text: &str) -> Data {
        Data::Base64(Bytes::copy_from_slice(text.as_bytes()))
    }

    #[test]
    fn base64_is_read_however_it_is_written() {
        for text in ["R0lGODlh+/++", "R0lGODlh-_--", "R0lG\r\nODlh +/++\n", "data:image/gif;base64,R0lGODlh+/++"] {
            let checked = check(&keep(base64(text), 9)).unwrap_or_else(|error| panic!("{text}: {error:?}"));
            assert_eq!((&checked.bytes[..], checked.mime), (GIF, "image/gif"), "{text}");
        }
        for (text, bytes) in [("R0lGODlhYQ==", 7), ("R0lGODlhYQ", 7), ("R0lGODlhYR", 7)] {
            assert_eq!(check(&keep(base64(text), 9)).map(|checked| checked.bytes.len()), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_no_image_is_refused_with_a_reason() {
        let raw = |bytes: &[u8]| Data::Raw(Bytes::copy_from_slice(bytes));
        let none = "none of image/png, image/jpeg, image/webp, image/gif";
        for (data, bytes_max, reason) in [
            (base64("R0lGODlh!"), 9, "not base64"),
            (base64("R0lGODlh+/++"), 8, "larger than 8 bytes"),
            (base64(&"A".repeat(1000)), 8, "larger than 8 bytes"),
            (base64(""), 9, none),
            (raw(GIF), 8, "larger than 8 bytes"),
            (raw(b"<svg xmlns="), 99, none),
            (raw(b"RIFF\0\0\0\0WAVE"), 99, none),
            (raw(b"\x89PNG"), 99, none),
        ] {
            let error = check(&keep(data, bytes_max)).unwrap_err();
            assert_eq!(error.kind, JobErrorKind::Invalid);
            assert!(error.text.contains(reason), "{error:?}, expected {reason}");
        }
    }

    #[test]
    fn the_kind_and_the_hash_come_from_the_bytes() {
        for (bytes, mime) in [
            (&b"\x89PNG\r\n\x1a\n\0"[..], "image/png"),
            (b"\xff\xd8\xff\xe0", "image/jpeg"),
            (b"RIFF\x01\x02\x03\x04WEBPVP8 ", "image/webp"),
            (b"GIF87a", "image/gif"),
        ] {
            let checked = check(&keep(Data::Raw(Bytes::from_static(bytes)), 99)).unwrap();
            assert_eq!((checked.mime, checked.sha256.len()), (mime, 64));
        }
    }
}
