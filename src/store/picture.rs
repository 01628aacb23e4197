//! From what a player sent to a checked picture: base64 undone, size bounded, kind told from its first bytes, hashed.
//! Pure. Whatever the sender calls it, a picture is what its bytes say: nothing else is served to a browser later.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::app::effect::{JobError, JobErrorKind};
use crate::apps::signage::job::SnapshotData;

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Picture {
    pub bytes: Bytes,
    pub mime: &'static str,
    /// Hex.
    pub sha256: String,
}

/// `Invalid` for what is too large, not base64, or no picture of a kind we serve.
pub(super) fn check(data: &SnapshotData, bytes_max: usize) -> Result<Picture, JobError> {
    let bytes = match data {
        SnapshotData::Raw(bytes) => bytes.clone(),
        SnapshotData::Base64(text) => decode(text, bytes_max)?,
    };
    if bytes.len() > bytes_max {
        return Err(too_large(bytes_max));
    }
    let mime = sniff(&bytes).ok_or_else(|| invalid("the picture is neither PNG, JPEG, WebP nor GIF".to_owned()))?;
    let sha256 = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Picture { bytes, mime, sha256 })
}

/// The file name's last part for a kind that [`check`] gives.
pub(super) fn extension(mime: &str) -> Option<&'static str> {
    KINDS.iter().find(|kind| kind.mime == mime).map(|kind| kind.extension)
}

/// Lenient in what players vary: line breaks, padding, the URL-safe alphabet, a `data:` prefix left in place.
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
    decoded.map(Bytes::from).map_err(|error| invalid(format!("the picture is not base64: {error}")))
}

fn sniff(bytes: &[u8]) -> Option<&'static str> {
    let has = |(offset, magic): &(usize, &[u8])| bytes.get(*offset..).is_some_and(|rest| rest.starts_with(magic));
    KINDS.iter().find(|kind| kind.magic.iter().all(has)).map(|kind| kind.mime)
}

fn too_large(bytes_max: usize) -> JobError {
    invalid(format!("the picture is larger than {bytes_max} bytes"))
}

fn invalid(text: String) -> JobError {
    JobError { kind: JobErrorKind::Invalid, text }
}

struct Kind {
    mime: &'static str,
    extension: &'static str,
    /// All of these at their offsets.
    magic: &'static [(usize, &'static [u8])],
}

const KINDS: &[Kind] = &[
    Kind { mime: "image/png", extension: "png", magic: &[(0, b"\x89PNG\r\n\x1a\n")] },
    Kind { mime: "image/jpeg", extension: "jpg", magic: &[(0, b"\xff\xd8\xff")] },
    Kind { mime: "image/webp", extension: "webp", magic: &[(0, b"RIFF"), (8, b"WEBP")] },
    Kind { mime: "image/gif", extension: "gif", magic: &[(0, b"GIF87a")] },
    Kind { mime: "image/gif", extension: "gif", magic: &[(0, b"GIF89a")] },
];

const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);
const DATA_URL_PREFIX_BYTES_MAX: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    const GIF: &[u8] = b"GIF89a\xfb\xff\xbe";

    fn base64(text: &str) -> SnapshotData {
        SnapshotData::Base64(Bytes::copy_from_slice(text.as_bytes()))
    }

    #[test]
    fn base64_is_read_however_it_is_written() {
        for text in ["R0lGODlh+/++", "R0lGODlh-_--", "R0lG\r\nODlh +/++\n", "data:image/gif;base64,R0lGODlh+/++"] {
            let picture = check(&base64(text), 9).unwrap_or_else(|error| panic!("{text}: {error:?}"));
            assert_eq!((&picture.bytes[..], picture.mime), (GIF, "image/gif"), "{text}");
        }
        for (text, bytes) in [("R0lGODlhYQ==", 7), ("R0lGODlhYQ", 7), ("R0lGODlhYR", 7)] {
            assert_eq!(check(&base64(text), 9).map(|picture| picture.bytes.len()), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_no_picture_is_refused_with_a_reason() {
        let raw = |bytes: &[u8]| SnapshotData::Raw(Bytes::copy_from_slice(bytes));
        for (data, bytes_max, reason) in [
            (base64("R0lGODlh!"), 9, "not base64"),
            (base64("R0lGODlh+/++"), 8, "larger than 8 bytes"),
            (base64(&"A".repeat(1000)), 8, "larger than 8 bytes"),
            (base64(""), 9, "neither PNG"),
            (raw(GIF), 8, "larger than 8 bytes"),
            (raw(b"<svg xmlns="), 99, "neither PNG"),
            (raw(b"RIFF\0\0\0\0WAVE"), 99, "neither PNG"),
            (raw(b"\x89PNG"), 99, "neither PNG"),
        ] {
            let error = check(&data, bytes_max).unwrap_err();
            assert_eq!(error.kind, JobErrorKind::Invalid);
            assert!(error.text.contains(reason), "{error:?}, expected {reason}");
        }
    }

    #[test]
    fn the_kind_and_the_hash_come_from_the_bytes() {
        for (bytes, mime, extension_expected) in [
            (&b"\x89PNG\r\n\x1a\n\0"[..], "image/png", "png"),
            (b"\xff\xd8\xff\xe0", "image/jpeg", "jpg"),
            (b"RIFF\x01\x02\x03\x04WEBPVP8 ", "image/webp", "webp"),
            (b"GIF87a", "image/gif", "gif"),
        ] {
            let picture = check(&SnapshotData::Raw(Bytes::from_static(bytes)), 99).unwrap();
            assert_eq!((picture.mime, extension(picture.mime)), (mime, Some(extension_expected)));
        }
        let picture = check(&SnapshotData::Raw(Bytes::from_static(b"GIF87a")), 99).unwrap();
        assert_eq!(picture.sha256.len(), 64);
        assert_eq!(extension("text/html"), None);
    }
}
