//! Receipts that have come before what they are about is known: the provider may be quicker than its own answer, and than the disk.
//! They wait for a while, and are taken when the message is known. Pure, and bounded in number and time.

use std::collections::{BTreeMap, VecDeque};

use super::webhook::Receipt;
use crate::base::time::Millis;

/// Receipts of one scope that wait.
#[derive(Debug, Default)]
pub(super) struct Early {
    /// By the id they name: ours, or the provider's.
    receipts: BTreeMap<String, Vec<(u64, Receipt)>>,
    /// When each came, in order, and under what it waits.
    order: VecDeque<(Millis, u64, String)>,
    next: u64,
}

impl Early {
    /// A receipt waits. Above the bound the oldest one goes.
    pub(super) fn keep(&mut self, now: Millis, receipt: Receipt) {
        self.expire(now);
        if self.order.len() >= EARLY_MAX {
            self.forget_oldest();
        }
        let key = key_of(&receipt).to_owned();
        self.next += 1;
        self.order.push_back((now, self.next, key.clone()));
        self.receipts.entry(key).or_default().push((self.next, receipt));
    }

    /// What has come about a message that is known now, in order.
    pub(super) fn take(&mut self, now: Millis, id: &str, sid: &str) -> Vec<Receipt> {
        self.expire(now);
        if self.receipts.is_empty() {
            return Vec::new();
        }
        let mut taken: Vec<_> = [id, sid].into_iter().filter_map(|key| self.receipts.remove(key)).flatten().collect();
        taken.sort_unstable_by_key(|(number, _)| *number);
        self.order.retain(|(_, number, _)| taken.iter().all(|(taken, _)| taken != number));
        taken.into_iter().map(|(_, receipt)| receipt).collect()
    }

    /// Receipts that wait.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.order.len()
    }

    fn expire(&mut self, now: Millis) {
        while self.order.front().is_some_and(|(at, ..)| now.since(*at) >= EARLY_KEPT_MS) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let Some((_, number, key)) = self.order.pop_front() else { return };
        if let Some(receipts) = self.receipts.get_mut(&key) {
            receipts.retain(|(own, _)| *own != number);
            if receipts.is_empty() {
                self.receipts.remove(&key);
            }
        }
    }
}

fn key_of(receipt: &Receipt) -> &str {
    receipt.id.as_deref().unwrap_or(&receipt.sid)
}

/// How long a receipt waits for its message.
const EARLY_KEPT_MS: u64 = 120_000;
/// Of one scope.
const EARLY_MAX: usize = 4_096;

#[cfg(test)]
mod tests {
    use super::super::message::Status;
    use super::*;

    fn receipt(id: &str, sid: &str, status: Status) -> Receipt {
        Receipt { id: Some(id.to_owned()).filter(|id| !id.is_empty()), sid: sid.to_owned(), status, code: None }
    }

    #[test]
    fn receipts_wait_for_their_message_for_two_minutes() {
        let mut early = Early::default();
        early.keep(Millis(0), receipt("", "SM1", Status::Delivered));
        early.keep(Millis(1), receipt("msg_2", "SM2", Status::Sent));
        early.keep(Millis(2), receipt("msg_1", "", Status::Read));
        let taken = early.take(Millis(119_999), "msg_1", "SM1");
        assert_eq!(taken.iter().map(|receipt| receipt.status).collect::<Vec<_>>(), [Status::Delivered, Status::Read]);
        assert_eq!((early.take(Millis(119_999), "msg_1", "SM1").len(), early.len()), (0, 1));
        assert_eq!((early.take(Millis(120_001), "msg_2", "SM2").len(), early.len()), (0, 0));
    }

    #[test]
    fn they_are_bounded_and_the_oldest_goes() {
        let mut early = Early::default();
        (0..=EARLY_MAX).for_each(|n| early.keep(Millis(0), receipt("", &format!("SM{}", n / 2), Status::Sent)));
        assert_eq!(early.len(), EARLY_MAX);
        assert_eq!(early.take(Millis(0), "", "SM0").len(), 1, "the first of two has gone");
        assert_eq!((early.len(), early.receipts.values().map(Vec::len).sum::<usize>()), (EARLY_MAX - 1, EARLY_MAX - 1));
    }
}
