//! Whether every message came, once, in order: numbers of one sender as one receiver saw them.

/// What one number was to those before it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Seen {
    /// The next one, or one after a gap.
    InOrder,
    /// One that was missing until now.
    Late,
    Duplicate,
}

/// One receiver. Without gaps it is a number and an empty list.
#[derive(Clone, Default, Debug)]
pub(crate) struct Sequence {
    next: u64,
    gaps: Vec<std::ops::Range<u64>>,
}

impl Sequence {
    /// A receiver that need not see what is before `next`.
    pub(crate) fn from(next: u64) -> Sequence {
        Sequence { next, gaps: Vec::new() }
    }

    pub(crate) fn on(&mut self, number: u64) -> Seen {
        if number >= self.next {
            if number > self.next {
                self.gaps.push(self.next..number);
            }
            self.next = number + 1;
            return Seen::InOrder;
        }
        let Some(at) = self.gaps.iter().position(|gap| gap.contains(&number)) else { return Seen::Duplicate };
        let gap = self.gaps.swap_remove(at);
        self.gaps.extend([gap.start..number, number + 1..gap.end].into_iter().filter(|part| !part.is_empty()));
        Seen::Late
    }

    /// The number after the highest that came.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// How many of those before `sent` have not come.
    pub(crate) fn missing(&self, sent: u64) -> u64 {
        let gaps: u64 = self.gaps.iter().map(|gap| gap.end - gap.start).sum();
        gaps + sent.saturating_sub(self.next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(numbers: &[u64], sent: u64, (late, duplicate, missing): (usize, usize, u64)) {
        let mut sequence = Sequence::default();
        let seen: Vec<Seen> = numbers.iter().map(|number| sequence.on(*number)).collect();
        let count = |wanted| seen.iter().filter(|seen| **seen == wanted).count();
        let found = (count(Seen::Late), count(Seen::Duplicate), sequence.missing(sent));
        assert_eq!(found, (late, duplicate, missing), "{numbers:?} of {sent}");
    }

    #[test]
    fn missing_duplicate_and_out_of_order() {
        check(&[0, 1, 2], 3, (0, 0, 0));
        check(&[], 3, (0, 0, 3));
        check(&[0, 1], 3, (0, 0, 1));
        check(&[0, 2], 3, (0, 0, 1));
        check(&[0, 2, 1], 3, (1, 0, 0));
        check(&[0, 0, 1, 1, 1], 2, (0, 3, 0));
        check(&[5, 2, 2, 0, 4], 8, (3, 1, 4));
        check(&[2, 1, 0], 3, (2, 0, 0));
    }

    #[test]
    fn one_that_joins_later_need_not_see_what_was_before() {
        let mut sequence = Sequence::from(10);
        assert_eq!((sequence.on(10), sequence.missing(11)), (Seen::InOrder, 0));
    }
}
