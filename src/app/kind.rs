//! Kinds of files, and what they are told by: their first bytes, whatever their sender calls them.

/// A kind of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    pub mime: &'static str,
    /// All of these at their offsets, within the first [`KIND_HEAD_BYTES`]; none where the bytes tell nothing (text).
    pub magic: &'static [(usize, &'static [u8])],
}

/// Images that browsers show and nobody runs.
pub const IMAGES: &[Kind] = &[
    Kind { mime: "image/png", magic: &[(0, b"\x89PNG\r\n\x1a\n")] },
    Kind { mime: "image/jpeg", magic: &[(0, b"\xff\xd8\xff")] },
    Kind { mime: "image/webp", magic: &[(0, b"RIFF"), (8, b"WEBP")] },
    Kind { mime: "image/gif", magic: &[(0, b"GIF87a")] },
    Kind { mime: "image/gif", magic: &[(0, b"GIF89a")] },
];

/// Sounds and films.
pub const MEDIA: &[Kind] = &[
    Kind { mime: "audio/mpeg", magic: &[(0, b"ID3")] },
    Kind { mime: "audio/mpeg", magic: &[(0, b"\xff\xfb")] },
    Kind { mime: "audio/mpeg", magic: &[(0, b"\xff\xf3")] },
    Kind { mime: "audio/mpeg", magic: &[(0, b"\xff\xf2")] },
    Kind { mime: "audio/wav", magic: &[(0, b"RIFF"), (8, b"WAVE")] },
    Kind { mime: "audio/ogg", magic: &[(0, b"OggS")] },
    Kind { mime: "video/quicktime", magic: &[(4, b"ftypqt")] },
    Kind { mime: "video/mp4", magic: &[(4, b"ftypiso")] },
    Kind { mime: "video/mp4", magic: &[(4, b"ftypmp4")] },
    Kind { mime: "video/mp4", magic: &[(4, b"ftypavc1")] },
    Kind { mime: "video/mp4", magic: &[(4, b"ftypM4V")] },
    Kind { mime: "video/mp4", magic: &[(4, b"ftypMSNV")] },
    Kind { mime: "video/mp4", magic: &[(4, b"ftypdash")] },
    Kind { mime: "video/x-msvideo", magic: &[(0, b"RIFF"), (8, b"AVI ")] },
];

/// Documents of offices. What begins like an archive is told apart by what its sender calls it.
pub const DOCUMENTS: &[Kind] = &[
    Kind { mime: "application/pdf", magic: &[(0, b"%PDF-")] },
    Kind { mime: "application/msword", magic: &[(0, OLE)] },
    Kind { mime: "application/vnd.ms-excel", magic: &[(0, OLE)] },
    Kind { mime: "application/vnd.openxmlformats-officedocument.wordprocessingml.document", magic: &[(0, ZIP)] },
    Kind { mime: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", magic: &[(0, ZIP)] },
];

/// All of these.
pub const FILES: &[Kind] = &joined::<{ IMAGES.len() + MEDIA.len() + DOCUMENTS.len() }>([IMAGES, MEDIA, DOCUMENTS]);

/// Bytes from a file's beginning that tell its kind.
pub const KIND_HEAD_BYTES: usize = 16;

/// The kind of a file that begins with `head`, among `kinds`; `None`: it is none of them. The bytes decide; what the sender calls
/// it (`declared`) decides among kinds that begin alike, where something else is none of them, and where no known kind begins so.
pub fn judge(head: &[u8], declared: &str, kinds: &[Kind]) -> Option<&'static str> {
    let told = || kinds.iter().filter(|kind| kind.begins(head));
    let is_declared = |kind: &&Kind| kind.mime == declared;
    let is_one = || told().all(|kind| told().next().is_some_and(|first| first.mime == kind.mime));
    let is_silent = matches!(declared, "" | "application/octet-stream");
    let by_bytes = told().find(is_declared).or_else(|| told().next().filter(|_| is_silent || is_one()));
    let is_known = || [IMAGES, MEDIA, DOCUMENTS].into_iter().flatten().any(|kind| kind.begins(head));
    let by_word = || kinds.iter().find(|kind| kind.magic.is_empty() && is_declared(kind)).filter(|_| !is_known());
    by_bytes.or_else(by_word).map(|kind| kind.mime)
}

impl Kind {
    fn begins(&self, head: &[u8]) -> bool {
        let has = |(offset, magic): &(usize, &[u8])| head.get(*offset..).is_some_and(|rest| rest.starts_with(magic));
        !self.magic.is_empty() && self.magic.iter().all(has)
    }
}

/// Lists of kinds one behind the other, `N` in all.
const fn joined<const N: usize>(lists: [&[Kind]; 3]) -> [Kind; N] {
    let mut all = [Kind { mime: "", magic: &[] }; N];
    let (mut list, mut at, mut place) = (0, 0, 0);
    while place < N {
        if at == lists[list].len() {
            (list, at) = (list + 1, 0);
        } else {
            all[place] = lists[list][at];
            (at, place) = (at + 1, place + 1);
        }
    }
    all
}

const OLE: &[u8] = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1";
const ZIP: &[u8] = b"PK\x03\x04";

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[Kind] = &[Kind { mime: "text/plain", magic: &[] }];
    const WORD: &str = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";
    const SHEET: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";

    #[test]
    fn the_first_bytes_decide_and_a_type_that_lies_is_none() {
        for (head, declared, kinds, expected) in [
            (&b"\x89PNG\r\n\x1a\n\0\0"[..], "image/png", IMAGES, Some("image/png")),
            (b"\x89PNG\r\n\x1a\n\0\0", "image/jpeg", IMAGES, Some("image/png")),
            (b"\x89PNG\r\n\x1a\n\0\0", "", IMAGES, Some("image/png")),
            (b"GIF89a", "image/gif", IMAGES, Some("image/gif")),
            (b"RIFF\0\0\0\0WEBPVP8 ", "image/webp", IMAGES, Some("image/webp")),
            (b"RIFF\0\0\0\0WAVEfmt ", "image/webp", IMAGES, None),
            (b"RIFF\0\0\0\0WAVEfmt ", "audio/wav", MEDIA, Some("audio/wav")),
            (b"\0\0\0\x18ftypmp42", "video/mp4", MEDIA, Some("video/mp4")),
            (b"\0\0\0\x14ftypqt  ", "video/quicktime", MEDIA, Some("video/quicktime")),
            (b"%PDF-1.7", "application/pdf", DOCUMENTS, Some("application/pdf")),
            (b"PK\x03\x04\x14", SHEET, DOCUMENTS, Some(SHEET)),
            (b"PK\x03\x04\x14", "", DOCUMENTS, Some(WORD)),
            (b"PK\x03\x04\x14", "application/octet-stream", FILES, Some(WORD)),
            (b"PK\x03\x04\x14", "application/zip", FILES, None),
            (b"\0\0\0\x18ftypheic", "image/heic", FILES, None),
            (b"%PDF-1.7", "image/png", FILES, Some("application/pdf")),
            (b"<svg xmlns=", "image/png", IMAGES, None),
            (b"<!doctype html>", "image/gif", IMAGES, None),
            (b"\x89PN", "image/png", IMAGES, None),
            (b"", "image/png", IMAGES, None),
            (b"MZ\x90", "text/plain", IMAGES, None),
            (b"hello", "text/plain", TEXT, Some("text/plain")),
            (b"", "text/plain", TEXT, Some("text/plain")),
            (b"hello", "text/html", TEXT, None),
            (b"%PDF-1.7", "text/plain", TEXT, None),
            (b"GIF89a", "text/plain", TEXT, None),
        ] {
            assert_eq!(judge(head, declared, kinds), expected, "{declared} {head:?}");
        }
    }

    #[test]
    fn what_tells_a_kind_lies_in_the_bytes_that_are_looked_at() {
        let all = [IMAGES, MEDIA, DOCUMENTS].into_iter().flatten().flat_map(|kind| kind.magic);
        assert!(all.into_iter().all(|(offset, magic)| offset + magic.len() <= KIND_HEAD_BYTES));
    }
}
