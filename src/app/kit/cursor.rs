//! Cursors of lists that are read page by page: opaque to clients, and good for the one list they were made for. A cursor says
//! where a page begins and nothing of what its bearer may see; so it is neither secret nor signed.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

/// A cursor of `list` at `place`. `list` names what is listed, in which order, and for whom: `messages/newest/tenant/conv_7`; `place` are
/// the numbers that the next page is beyond.
pub fn write<const N: usize>(list: &str, place: [u64; N]) -> String {
    let mut bytes = mark(list).to_vec();
    bytes.extend(place.iter().flat_map(|number| number.to_be_bytes()));
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The place of a cursor of this list; `None` for one of another list, and for anything else.
pub fn read<const N: usize>(list: &str, cursor: &str) -> Option<[u64; N]> {
    let bytes_max = MARK_BYTES + N * size_of::<u64>();
    if cursor.len() > bytes_max.div_ceil(3) * 4 {
        return None;
    }
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
    let (marked, numbers) = bytes.split_first_chunk::<MARK_BYTES>()?;
    let (numbers, rest) = numbers.as_chunks::<8>();
    let place = numbers.iter().map(|number| u64::from_be_bytes(*number)).collect::<Vec<_>>().try_into().ok()?;
    (*marked == mark(list) && rest.is_empty()).then_some(place)
}

/// Says of which list a cursor is.
fn mark(list: &str) -> [u8; MARK_BYTES] {
    *Sha256::digest(list.as_bytes()).first_chunk().expect("a digest is longer")
}

const MARK_BYTES: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_for_the_list_it_was_written_for() {
        let cursor = write("messages/t1/conv_7", [1_755_684_031_000, u64::MAX]);
        assert_eq!(read("messages/t1/conv_7", &cursor), Some([1_755_684_031_000, u64::MAX]));
        assert_eq!(read::<2>("messages/t2/conv_7", &cursor), None);
        assert_eq!(read::<1>("messages/t1/conv_7", &cursor), None);
        assert_eq!(read::<3>("messages/t1/conv_7", &cursor), None);
        assert_eq!(read("", &write("", [])), Some([]));
    }

    #[test]
    fn what_is_no_cursor_is_none() {
        let good = write("list", [7]);
        let (long, cut) = (format!("{good}AAAA"), &good[..good.len() - 1]);
        let huge = "A".repeat(1 << 20);
        for bad in ["", "7", "null", "é", "====", &good.replace(|_: char| true, "/"), &long, cut, &huge] {
            assert_eq!(read::<1>("list", bad), None, "{}", &bad[..bad.len().min(40)]);
        }
    }
}
