//! Files that customers send: fetched from where the provider has them before their message is told, and kept on the shelf of all files. Messages
//! of one conversation keep their order: one that comes behind files that are still being fetched waits for them.
//!
//! ```text
//!  webhook ─► known already? ─► fetched (an id of WhatsApp Cloud: its URL first) ─► judged ─► on the shelf ─► message, with the files' rows
//! ```
//!
//! A file that does not come within [`FETCH_MS`], is too large or none that is kept, stays where the provider has it: the message says
//! its URL, and why.

use std::collections::VecDeque;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::audience::Audience;
use super::conversation::Row;
use super::file::{Media, Which, kind_of};
use super::held::{Coming, Held, Stage};
use super::http::users::failure_of;
use super::media::{BOUNDS, SHELF};
use super::message::Message;
use super::perform::busy;
use super::provider::request;
use super::rules;
use super::tables::messages;
use super::turn::Turn;
use super::webhook;
use super::who::Asker;
use super::wish::{Inbound, Wait, What, Wish};
use crate::app::effect::Delivery;
use crate::app::fetch::Fetched;
use crate::app::job::{Data, Job, Keep, Outcome};
use crate::app::kind::{FILES, Kind, judge};
use crate::base::ids::Sid;
use crate::base::limit::FETCH_BYTES_MAX;

impl Turn<'_> {
    /// A customer's message goes on when its files have come, and those before it have gone on.
    pub(super) fn hold(
        &mut self,
        asker: Asker,
        conversation: Arc<str>,
        inbound: Inbound,
        (metadata, media): (Map<String, Value>, Vec<webhook::Media>),
    ) {
        let sid = inbound.draft.message_id.clone();
        let count: usize = self.scope.held.values().map(VecDeque::len).sum();
        let line = self.scope.held.entry(conversation.clone()).or_default();
        if let Some(held) = line.iter_mut().find(|held| held.inbound.draft.message_id == sid) {
            if held.askers.len() < REPEATS_MAX {
                return held.askers.push(asker);
            }
            return self.refuse(&asker, &busy());
        }
        let has_room = count < HELD_MAX;
        let is_doubtful = has_room && !media.is_empty();
        let stage = || if has_room { Stage::Asked } else { Stage::Left("busy".to_owned()) };
        let files = media.into_iter().map(|from| Coming { from, at: stage() }).collect();
        let deadline = self.now.mono + FETCH_MS;
        line.push_back(Held { askers: vec![asker], inbound, metadata, files, deadline, is_doubtful });
        match is_doubtful {
            true => {
                let question = messages::by_message_id(&self.scope.key, &sid);
                let which = Which { conversation, sid, place: 0 };
                self.ask(Job::Read(vec![question]), Wait::Repeat(which));
            }
            false => self.let_go_on(&conversation),
        }
    }

    fn held(&mut self, which: &Which) -> Option<&mut Held> {
        let line = self.scope.held.get_mut(&which.conversation)?;
        line.iter_mut().find(|held| held.inbound.draft.message_id == which.sid)
    }

    /// Whether a message was recorded before has been looked up: the files of one that was are not fetched.
    pub(super) fn on_repeat(&mut self, which: &Which, outcome: &Outcome) {
        let why = match outcome.rows::<Message>(0) {
            Ok(rows) if rows.is_empty() => None,
            Ok(_) => Some("known"),
            Err(_) => Some("storage"),
        };
        let Some(held) = self.held(which) else { return };
        held.is_doubtful = false;
        let count = held.files.len();
        if let Some(why) = why {
            held.files.iter_mut().for_each(|file| file.at = Stage::Left(why.to_owned()));
            return self.let_go_on(&which.conversation);
        }
        for place in 0..count {
            self.fetch(Which { place, ..which.clone() }, None);
        }
    }

    /// A file is asked for: where the provider says it is, or at `found`, where its API has said so.
    fn fetch(&mut self, which: Which, found: Option<String>) {
        let (settings, now) = (self.settings, self.now.mono);
        let Some(held) = self.held(&which) else { return };
        let left_ms = held.deadline.0.saturating_sub(now.0).max(1);
        let at = found.clone().unwrap_or_else(|| held.files[which.place].from.at.clone());
        let bytes_max = usize::try_from(settings.media.bytes_max).unwrap_or(usize::MAX).min(FETCH_BYTES_MAX);
        match request::of_file(settings, &at, left_ms, bytes_max) {
            Some(fetch) => self.ask(Job::Fetch(fetch), Wait::File(which, !request::is_url(&at))),
            None => self.file_ends(&which, Stage::Left("not_a_url".to_owned())),
        }
    }

    /// A file has come, or its URL, or neither.
    pub(super) fn on_file(&mut self, which: Which, is_id: bool, outcome: &Outcome) {
        let fetched = match outcome {
            Outcome::Fetched(Ok(fetched)) if (200..300).contains(&fetched.status) => fetched,
            Outcome::Fetched(Ok(fetched)) => {
                return self.file_ends(&which, Stage::Left(format!("http_{}", fetched.status)));
            }
            Outcome::Fetched(Err(error)) => {
                return self.file_ends(&which, Stage::Left(error.kind.label().to_owned()));
            }
            _ => return self.file_ends(&which, Stage::Left("unavailable".to_owned())),
        };
        if is_id {
            let said: Value = serde_json::from_slice(&fetched.body).unwrap_or_default();
            return match said["url"].as_str().filter(|url| request::is_url(url)) {
                Some(url) => self.fetch(which, Some(url.to_owned())),
                None => self.file_ends(&which, Stage::Left("protocol".to_owned())),
            };
        }
        let Some(declared) = self.held(&which).map(|held| held.files[which.place].from.mime.clone()) else { return };
        match judged(fetched, &declared) {
            Err(why) => self.file_ends(&which, Stage::Left(why.to_owned())),
            Ok(mime) => {
                let of_it = |kind: &Kind| kind.mime == mime;
                let (first, count) =
                    (FILES.iter().position(of_it).unwrap_or(0), FILES.iter().filter(|it| of_it(it)).count());
                let keep = Keep {
                    shelf: SHELF,
                    id: self.rng.sid(),
                    at: self.now.wall,
                    data: Data::Raw(fetched.body.clone()),
                    bytes_max: FETCH_BYTES_MAX,
                    kinds: &FILES[first..first + count],
                    write: Vec::new(),
                };
                self.ask(Job::Keep(keep), Wait::FileKept(which));
            }
        }
    }

    /// A file is on its shelf, or is not.
    pub(super) fn on_file_kept(&mut self, which: &Which, outcome: &Outcome) {
        let Outcome::Kept(blob) = outcome else {
            self.store_failed(&failure_of(outcome));
            return self.file_ends(which, Stage::Left("storage".to_owned()));
        };
        let now = self.now.wall;
        let place = Sid::parse(&blob.id).expect("our own id is one");
        let Some(held) = self.held(which) else { return self.drop_blob(place) };
        let from = &held.files[which.place].from;
        let wanted = Some(held.inbound.draft.kind).filter(|_| !from.mime.is_empty());
        let media = Media {
            id: rules::media_id(place),
            conversation: which.conversation.clone(),
            message: Some(which.sid.clone()),
            kind: kind_of(&blob.mime, wanted),
            mime: blob.mime.as_str().into(),
            file_name: name_of(&from.at, &blob.mime).into(),
            bytes: blob.bytes,
            sha256: blob.sha256.as_str().into(),
            blob: place.as_str().into(),
            uploaded_by: None,
            created_at: now,
        };
        self.file_ends(which, Stage::Kept(media));
    }

    fn file_ends(&mut self, which: &Which, at: Stage) {
        let result = if matches!(at, Stage::Kept(_)) { "kept" } else { "left" };
        *self.shared.counts.files.entry(result).or_default() += 1;
        if let Stage::Left(why) = &at {
            tracing::warn!(target: "siod::utalk", why, "a customer's file was left where it is");
        }
        let Some(held) = self.held(which) else { return };
        held.files[which.place].at = at;
        self.let_go_on(&which.conversation);
    }

    /// Those that have all their files go on, in their order, up to the first that has not.
    fn let_go_on(&mut self, conversation: &Arc<str>) {
        while let Some(line) = self.scope.held.get_mut(conversation)
            && let Some(held) = line.pop_front_if(|held| held.is_whole())
        {
            if line.is_empty() {
                self.scope.held.remove(conversation);
            }
            let Held { mut askers, inbound, metadata, files, .. } = held;
            let others = askers.split_off(1);
            let bare = others.into_iter().map(|asker| (asker, inbound.clone())).collect::<Vec<_>>();
            let inbound = inbound.with(metadata, files);
            let first = askers.remove(0);
            for (asker, inbound) in [(first, inbound)].into_iter().chain(bare) {
                self.wish(Wish { asker, conversation: conversation.clone(), what: What::Receive(inbound) });
            }
        }
    }

    /// Files of a message that is on disk are told behind it; those of one that is not are nobody's.
    pub(super) fn files_end(&mut self, row: Option<&Row>, files: &[Media], base: &str) {
        for media in files {
            match row {
                Some(row) => {
                    let shown = self.shown_media(media, base);
                    self.tell(&Audience::Party(row, None), &[], Delivery::Must, "media:uploaded", &shown);
                }
                None => self.drop_blob(rules::blob_id(&media.id).expect("our own id is one")),
            }
        }
    }
}

/// What a file is, or why it is not kept.
fn judged(fetched: &Fetched, declared: &str) -> Result<&'static str, &'static str> {
    let said = fetched.header("content-type").unwrap_or_default();
    let said = if said.is_empty() { declared } else { said };
    let said = said.split(';').next().unwrap_or_default().trim();
    let mime = judge(&fetched.body, said, FILES).ok_or("unsupported_type")?;
    let bytes_max = BOUNDS.iter().find(|(kind, _)| mime.starts_with(kind)).map_or(0, |(_, bytes_max)| *bytes_max);
    if fetched.body.len() as u64 > bytes_max { Err("too_large") } else { Ok(mime) }
}

/// What a file is called: as the last part of its URL, where that looks like a name.
fn name_of(url: &str, mime: &str) -> String {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let last = path.rsplit('/').next().filter(|last| last.contains('.') && path.matches('/').count() > 2);
    let is_plain = |name: &&str| name.len() <= 120 && !name.chars().any(char::is_control);
    let ending = mime.rsplit(['/', '-', '.']).next().unwrap_or_default();
    last.filter(is_plain).map_or_else(|| format!("file.{ending}"), str::to_owned)
}

/// From a webhook's coming to the end of its files: a provider waits about twice as long for its answer.
const FETCH_MS: u64 = 5_000;
/// Messages of one scope that wait for files; the files of others stay where they are.
const HELD_MAX: usize = 256;
/// Repeats that wait for the first one.
const REPEATS_MAX: usize = 64;
