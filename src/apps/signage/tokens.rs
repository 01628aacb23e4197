//! The tokens of a device over a rotation (SIGNAGE 9.23): the newest, and those before it that are still good.
//! Hashes only; the row keeps them, and an old one is kept with the time at which it ends.

use super::tables::Device;
use crate::base::time::WallMillis;

/// Which token of a device somebody has shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Shown {
    Newest,
    /// One before it: its end is known once the newest has been used.
    Older,
}

/// Tokens before the newest one that are kept; the oldest goes first.
const OLDER_MAX: usize = 3;

/// What a hash is to the device of this row; `None`: no token of its own, or none any more.
pub(crate) fn shown(row: &Device, hash: &str, now: WallMillis) -> Option<Shown> {
    if !row.authorized || hash.is_empty() {
        return None;
    }
    if row.token_hash == hash {
        return Some(Shown::Newest);
    }
    older(row).any(|(old, ends)| old == hash && is_good(ends, now)).then_some(Shown::Older)
}

/// All hashes by which the device may be found, ended ones too.
pub(crate) fn hashes(row: &Device) -> impl Iterator<Item = &str> {
    let newest = Some(&*row.token_hash).filter(|hash| !hash.is_empty());
    newest.into_iter().chain(older(row).map(|(hash, _)| hash))
}

/// A new token, beside those that are good.
pub(crate) fn rotate(row: &mut Device, hash: &str, now: WallMillis) {
    let kept = older(row).filter(|(_, ends)| is_good(*ends, now));
    let mut kept: Vec<String> = kept.map(|(hash, ends)| format!("{hash}:{ends}")).collect();
    if !row.token_hash.is_empty() {
        kept.push(format!("{}:0", row.token_hash));
    }
    let first = kept.len().saturating_sub(OLDER_MAX);
    row.old_tokens = kept[first..].join(" ");
    hash.clone_into(&mut row.token_hash);
}

/// The newest token has been used: from now on the time of the others runs. Says whether that is news.
pub(crate) fn used(row: &mut Device, now: WallMillis, overlap_ms: u64) -> bool {
    let ends = now.0.saturating_add(overlap_ms).max(1);
    let timed = older(row).map(|(hash, known)| format!("{hash}:{}", if known == 0 { ends } else { known }));
    let timed = timed.collect::<Vec<_>>().join(" ");
    let news = timed != row.old_tokens;
    row.old_tokens = timed;
    news
}

/// One token and no other, or none at all.
pub(crate) fn replace(row: &mut Device, hash: &str) {
    hash.clone_into(&mut row.token_hash);
    row.pending_hash.clear();
    row.old_tokens.clear();
}

/// Hash and end, 0 where that is not known yet, in the order of their issue.
fn older(row: &Device) -> impl Iterator<Item = (&str, u64)> {
    row.old_tokens.split(' ').filter_map(|token| {
        let (hash, ends) = token.split_once(':')?;
        Some((hash, ends.parse().ok()?))
    })
}

fn is_good(ends: u64, now: WallMillis) -> bool {
    ends == 0 || now.0 < ends
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(row: &Device, now: u64, expected: [Option<Shown>; 3]) {
        assert_eq!(
            ["a", "b", "c"].map(|hash| shown(row, hash, WallMillis(now))),
            expected,
            "at {now}: {}",
            row.old_tokens
        );
    }

    #[test]
    fn an_old_token_is_good_until_an_hour_after_the_new_one_was_used() {
        let (newest, older) = (Some(Shown::Newest), Some(Shown::Older));
        let mut row = Device { authorized: true, token_hash: "a".to_owned(), ..Device::default() };
        assert!(!used(&mut row, WallMillis(1), 60), "nothing was rotated");
        rotate(&mut row, "b", WallMillis(10));
        check(&row, 1_000_000, [older, newest, None]);
        rotate(&mut row, "c", WallMillis(20));
        check(&row, 1_000_000, [older, older, newest]);
        assert!(used(&mut row, WallMillis(100), 60) && !used(&mut row, WallMillis(120), 60), "the first use counts");
        check(&row, 159, [older, older, newest]);
        check(&row, 160, [None, None, newest]);
        assert_eq!(hashes(&row).collect::<Vec<_>>(), ["c", "a", "b"]);
        rotate(&mut row, "a", WallMillis(200));
        assert_eq!(row.old_tokens, "c:0", "what has ended is forgotten");
        replace(&mut row, "");
        check(&row, 0, [None; 3]);
        assert_eq!(hashes(&row).count(), 0);
    }

    #[test]
    fn few_are_kept_and_none_of_a_device_that_is_not_let_in() {
        let mut row = Device { authorized: true, ..Device::default() };
        (0..9).for_each(|n| rotate(&mut row, &n.to_string(), WallMillis(0)));
        assert_eq!((row.old_tokens.as_str(), row.token_hash.as_str()), ("5:0 6:0 7:0", "8"));
        row.authorized = false;
        assert_eq!(shown(&row, "8", WallMillis(0)), None);
        assert_eq!(shown(&Device { authorized: true, ..Device::default() }, "", WallMillis(0)), None);
    }
}
