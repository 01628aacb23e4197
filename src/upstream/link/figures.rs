//! How the dialled links are doing, by application, and the bytes that wait for all peers together.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use parking_lot::Mutex;

use super::Broken;
use crate::app::fetch::FetchFailure;
use crate::app::link::LinkEnd;
use crate::base::ids::AppId;
use crate::base::limit::{FETCH_TEXT_CHARS_MAX, LINKS_OUT_BYTES_MAX};
use crate::shard::sample::LinkSample;
use crate::upstream::status::wall_now;

pub(super) struct Figures {
    /// By the ids of the applications.
    apps: Vec<Mutex<LinkSample>>,
    out_bytes: AtomicUsize,
}

/// Where one link is counted.
pub(super) struct Account {
    figures: Arc<Figures>,
    app: AppId,
    asked: Instant,
}

impl Figures {
    pub(super) fn new(apps: &[&'static str]) -> Arc<Figures> {
        let sample = |app: &&'static str| LinkSample { app, kind: LinkSample::DIALLED, ..LinkSample::default() };
        let apps = apps.iter().map(|app| Mutex::new(sample(app))).collect();
        Arc::new(Figures { apps, out_bytes: AtomicUsize::new(0) })
    }

    /// A link is to be opened.
    pub(super) fn account(self: &Arc<Figures>, app: AppId) -> Account {
        let account = Account { figures: self.clone(), app, asked: Instant::now() };
        account.count(|sample| sample.opening += 1);
        account
    }

    /// What operators see, of each application that has dialled.
    pub(super) fn samples(&self) -> Vec<LinkSample> {
        let samples = self.apps.iter().map(|sample| sample.lock().clone());
        samples.filter(|sample| sample.attempts() > 0).collect()
    }
}

impl Account {
    fn count(&self, count: impl FnOnce(&mut LinkSample)) {
        if let Some(sample) = self.figures.apps.get(usize::from(self.app.0)) {
            count(&mut sample.lock());
        }
    }

    pub(super) fn opened(&self) {
        let took = u64::try_from(self.asked.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.count(|sample| {
            sample.opening -= 1;
            sample.open += 1;
            sample.opened += 1;
            sample.open_us.record(took);
        });
    }

    pub(super) fn received(&self, bytes: usize) {
        self.count(|sample| {
            sample.messages_received += 1;
            sample.bytes_received += bytes as u64;
        });
    }

    pub(super) fn sent(&self, bytes: usize) {
        self.count(|sample| {
            sample.messages_sent += 1;
            sample.bytes_sent += bytes as u64;
        });
    }

    /// A link is over, which had opened or had not.
    pub(super) fn closed(&self, end: &Broken, was_open: bool) {
        let is_usual = match &end.why {
            LinkEnd::Failed(kind) => *kind == FetchFailure::Unavailable,
            LinkEnd::Peer { code, .. } => code.is_none_or(|code| code <= 1_001),
            why => *why == LinkEnd::Ours,
        };
        self.count(|sample| {
            let phase = if was_open { &mut sample.open } else { &mut sample.opening };
            *phase -= 1;
            sample.closed[end.why.place()] += 1;
            if !is_usual {
                let text = format!("{}: {}", end.why.label(), end.text).chars().take(FETCH_TEXT_CHARS_MAX).collect();
                sample.last_error = Some((wall_now(), text));
            }
        });
    }

    /// So many bytes more wait for a peer, if there is room for them.
    pub(super) fn holds(&self, bytes: usize) -> bool {
        let fits = self.figures.out_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes <= LINKS_OUT_BYTES_MAX;
        if !fits {
            self.gives_back(bytes);
        }
        fits
    }

    pub(super) fn gives_back(&self, bytes: usize) {
        self.figures.out_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_for_all_peers_has_a_bound() {
        let figures = Figures::new(&["a"]);
        let (one, other) = (figures.account(AppId(0)), figures.account(AppId(0)));
        assert!(one.holds(LINKS_OUT_BYTES_MAX) && !other.holds(1));
        one.gives_back(1);
        assert!(other.holds(1) && !one.holds(1));
    }

    #[test]
    fn a_usual_end_is_no_failure_and_the_newest_failure_is_told() {
        let figures = Figures::new(&["a", "b"]);
        let ends = |why| figures.account(AppId(0)).closed(&Broken::new(why, "x".repeat(500)), false);
        let peer = |code| LinkEnd::Peer { code, reason: "s3cret".into() };
        ends(LinkEnd::Ours);
        ends(LinkEnd::Failed(FetchFailure::Unavailable));
        ends(peer(Some(1_000)));
        ends(peer(None));
        assert_eq!(figures.samples()[0].last_error, None);
        ends(peer(Some(4_001)));
        let samples = figures.samples();
        let [sample] = &samples[..] else { panic!("{samples:?}") };
        let (_, text) = sample.last_error.clone().unwrap();
        assert!(text.starts_with("peer: xxx") && text.len() == FETCH_TEXT_CHARS_MAX, "{text}");
        assert_eq!((sample.attempts(), sample.opening, sample.closed.iter().sum::<u64>()), (5, 0, 5));
    }
}
