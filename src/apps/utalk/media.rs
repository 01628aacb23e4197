//! Files of conversations: brought by HTTP, kept on a shelf by their bytes, told, shown by URLs that are signed and end.
//!
//! ```text
//!  POST /api/media/upload ─► judged ─► Effect::Take ─► progress … kept ─► ut_media ─► media:uploaded, 201
//! ```
//!
//! The id of a file is made of that of its blob and back (`rules::media_id`), so that a signed URL is answered without a look at any scope.

use std::sync::Arc;

use serde_json::{Value, json};

use super::audience::Audience;
use super::conversation::Row;
use super::edit::not_found;
use super::file::{Attaching, Bringing, Looking, Media, Shown, ShownMedia, Storing, Uploading, kind_of};
use super::message::Kind;
use super::payload::Draft;
use super::rules;
use super::settings::Settings;
use super::turn::{Turn, access_denied};
use super::who::{Asker, Back};
use super::wish::{Wait, What, Wish};
use crate::app::Context;
use crate::app::effect::{Delivery, Effect, Effects};
use crate::app::identity::Authenticator;
use crate::app::job::{Blob, Job, Outcome, ShelfSettings};
use crate::app::kind::FILES;
use crate::app::kit::ack::Fail;
use crate::app::reply::Reply;
use crate::app::route::{Call, Refused};
use crate::app::settings::Word;
use crate::app::upload::{Fault, News, Take};
use crate::base::ids::{ReqId, Sid};
use crate::base::time::WallMillis;

impl Turn<'_> {
    /// A file may come, or not.
    pub(super) fn bring(&mut self, asker: Asker, id: &Arc<str>, wanted: Bringing) {
        let settings = self.settings;
        let Some(conversation) = self.scope.conversation(id) else { return self.refuse(&asker, &not_found()) };
        if !conversation.row.is_writable(&asker.who, settings) {
            return self.refuse(&asker, &access_denied());
        }
        let Back::Call { req, .. } = asker.back else { return };
        // It is not forgotten while files come.
        conversation.in_flight += 1;
        let (blob, at, bytes_max) = (self.rng.sid(), self.now.wall, settings.media.bytes_max);
        let take = Take { shelf: SHELF, id: blob, at, bytes_max, kinds: FILES, bounds: BOUNDS };
        let uploading = Uploading { asker, conversation: id.clone(), wanted, blob, told: (0, self.now.mono) };
        self.scope.uploads.insert(req, uploading);
        self.shared.uploads.insert(req, self.scope.key.clone());
        self.fx.push(Effect::Take { req, take });
    }

    /// How it goes with a file.
    pub(super) fn on_news(&mut self, req: ReqId, news: News) {
        match news {
            News::Progress { bytes, total } => self.on_progress(req, bytes, total),
            News::Kept(blob) => self.on_kept(req, &blob),
            News::Failed(fault) => {
                if let Some(uploading) = self.end_upload(req) {
                    let fail = self.fault(&fault);
                    self.refuse(&uploading.asker, &fail);
                }
            }
        }
    }

    fn on_progress(&mut self, req: ReqId, bytes: u64, total: Option<u64>) {
        let now = self.now.mono;
        let Some(uploading) = self.scope.uploads.get_mut(&req) else { return };
        let Some(total) = total.filter(|total| *total > 0) else { return };
        let (last, at) = uploading.told;
        let percent = (bytes.saturating_mul(100) / total).min(99);
        if percent <= last || now.since(at) < PROGRESS_MS {
            return;
        }
        uploading.told = (percent, now);
        let (conversation, by) = (uploading.conversation.clone(), uploading.asker.who.user.clone());
        let message = uploading.wanted.message.clone();
        self.tell_progress(req, (&conversation, &by), message.as_ref(), percent, (bytes.min(total), total));
    }

    /// `media:upload:progress`, of which the last one counts.
    fn tell_progress(
        &mut self,
        req: ReqId,
        (conversation, by): (&Arc<str>, &Arc<str>),
        message: Option<&Arc<str>>,
        percent: u64,
        (bytes, total): (u64, u64),
    ) {
        let Some(row) = self.row_of(conversation) else { return };
        let payload = json!({"messageId": message, "progress": percent, "uploadedBytes": bytes, "totalBytes": total});
        let key = rules::key(&["upload", &format!("{req:?}")]);
        self.tell(&Audience::Party(&row, Some(by)), &[], Delivery::Latest { key }, "media:upload:progress", &payload);
    }

    fn row_of(&mut self, conversation: &Arc<str>) -> Option<Row> {
        self.scope.conversation(conversation).map(|conversation| conversation.row.clone())
    }

    /// It is on its shelf: its row follows, if the one who has brought it may still write there.
    fn on_kept(&mut self, req: ReqId, blob: &Blob) {
        let Some(uploading) = self.scope.uploads.get(&req) else { return };
        let (asker, id) = (uploading.asker.clone(), uploading.conversation.clone());
        let Bringing { message, kind, file_name, base } = uploading.wanted.clone();
        let place = uploading.blob;
        let settings = self.settings;
        let row = self.row_of(&id);
        if !row.is_some_and(|row| row.is_writable(&asker.who, settings)) {
            self.end_upload(req);
            self.drop_blob(place);
            return self.refuse(&asker, &access_denied());
        }
        let media = Media {
            id: rules::media_id(place),
            conversation: id,
            message,
            kind: kind_of(&blob.mime, kind),
            mime: blob.mime.as_str().into(),
            file_name,
            bytes: blob.bytes,
            sha256: blob.sha256.as_str().into(),
            blob: place.as_str().into(),
            uploaded_by: Some(asker.who.user.clone()),
            created_at: self.now.wall,
        };
        let write = vec![super::tables::media::add(&self.scope.key, &media)];
        self.write(write, Wait::Media(req, Box::new(Storing { asker, media, base })));
    }

    /// Its row is on disk, or is not: then the file is nobody's.
    pub(super) fn on_media_written(&mut self, req: ReqId, storing: &Storing, outcome: &Outcome) {
        let Storing { asker, media, base } = storing;
        if !outcome.is_written() {
            self.end_upload(req);
            self.drop_blob(rules::blob_id(&media.id).expect("our own id is one"));
            self.store_failed(&super::http::users::failure_of(outcome));
            return self.refuse(asker, &storage_error());
        }
        self.scope.base = base.clone();
        if self.has_speakers() {
            self.remember_file(media);
        }
        if let (Some(by), Some(row)) = (&media.uploaded_by, self.row_of(&media.conversation)) {
            let parties = (&media.conversation, by);
            self.tell_progress(req, parties, media.message.as_ref(), 100, (media.bytes, media.bytes));
            let shown = self.shown_media(media, base);
            self.tell(&Audience::Party(&row, Some(by)), &[], Delivery::Must, "media:uploaded", &shown);
        }
        self.end_upload(req);
        let mut data = json!(self.shown_media(media, base));
        data["attachments"] = json!([self.attachment(media, base)]);
        self.answer(asker, "", &data);
    }

    /// It is on its way no more.
    fn end_upload(&mut self, req: ReqId) -> Option<Uploading> {
        self.shared.uploads.remove(&req);
        let uploading = self.scope.uploads.remove(&req)?;
        if let Some(conversation) = self.scope.conversation(&uploading.conversation) {
            conversation.in_flight = conversation.in_flight.saturating_sub(1);
        }
        Some(uploading)
    }

    /// A blob is nobody's.
    pub(super) fn drop_blob(&mut self, id: Sid) {
        self.fx.push(Effect::Job { job: Job::Drop { shelf: SHELF, id }, token: None });
    }

    fn fault(&mut self, fault: &Fault) -> Fail {
        match fault {
            Fault::NoFile => Fail::new("NO_FILE", rules::NO_FILE),
            Fault::TooLarge => Fail::new("FILE_TOO_LARGE", rules::FILE_TOO_LARGE),
            Fault::WrongKind => Fail::new("UNSUPPORTED_FILE_TYPE", "Tipo de archivo no permitido"),
            Fault::Gone | Fault::Slow | Fault::Malformed(_) => {
                Fail::new("VALIDATION_ERROR", "El archivo no llegó completo")
            }
            Fault::Store(error) => {
                self.store_failed(error);
                storage_error()
            }
        }
    }

    /// Files of a conversation that are to be one message: they are looked for.
    pub(super) fn attach(&mut self, asker: Asker, id: &Arc<str>, attaching: Attaching) {
        let settings = self.settings;
        match self.row_of(id) {
            None => return self.refuse(&asker, &not_found()),
            Some(row) if !row.is_writable(&asker.who, settings) => return self.refuse(&asker, &access_denied()),
            Some(_) => {}
        }
        let look = |(media, _): &(Arc<str>, Option<Kind>)| super::tables::media::by_id(&self.scope.key, media);
        let questions = attaching.files.iter().map(look).collect();
        self.ask(Job::Read(questions), Wait::Attached(Box::new((asker, id.clone(), attaching))));
    }

    /// They were looked for: all of them go, or nothing. The first one is the message's file, and all are named in its metadata.
    pub(super) fn on_attached(&mut self, asker: &Asker, id: &Arc<str>, attaching: Attaching, outcome: &Outcome) {
        let Attaching { message_id, text, files, base } = attaching;
        let mut attachments = Vec::with_capacity(files.len());
        let mut first = None;
        for (at, (file, kind)) in files.into_iter().enumerate() {
            let media = match outcome.rows::<Media>(at) {
                Ok(rows) => rows.into_iter().next().filter(|media| media.conversation == *id),
                Err(error) => {
                    let fail = self.store_failed(&error);
                    return self.refuse(asker, &fail);
                }
            };
            let Some(media) = media else { return self.refuse(asker, &no_media()) };
            let kind = kind_of(&media.mime, kind.or(Some(media.kind)));
            attachments.push(self.attachment(&Media { kind, ..media }, &base));
            first.get_or_insert((file, kind));
        }
        let Some((file, kind)) = first else { return };
        let metadata = json!({"attachments": attachments}).to_string().into();
        let draft = Draft { message_id, kind, text, media: Some(file), metadata };
        self.wish(Wish { asker: asker.clone(), conversation: id.clone(), what: What::Reply(draft) });
    }

    /// Looks for a file of the scope, to show it.
    pub(super) fn look_for_media(&mut self, looking: Looking, id: &Arc<str>) {
        let question = super::tables::media::by_id(&self.scope.key, id);
        self.ask(Job::Read(vec![question]), Wait::Looking(Box::new(looking)));
    }

    /// The file was looked for: who may read its conversation may have it.
    pub(super) fn on_media_found(&mut self, looking: Looking, outcome: &Outcome) {
        let Looking { asker, shown, base } = looking;
        match outcome.rows::<Media>(0).map(|rows| rows.into_iter().next()) {
            Err(error) => {
                let fail = self.store_failed(&error);
                self.refuse(&asker, &fail);
            }
            Ok(None) => self.refuse(&asker, &no_media()),
            Ok(Some(media)) => {
                let conversation = media.conversation.clone();
                self.wish(Wish { asker, conversation, what: What::ShowMedia(Box::new((media, shown, base))) });
            }
        }
    }

    /// Shows a file of a conversation that is in memory.
    pub(super) fn show_media(&mut self, asker: &Asker, id: &Arc<str>, (media, shown, base): &(Media, Shown, Arc<str>)) {
        let settings = self.settings;
        if !self.row_of(id).is_some_and(|row| row.is_readable(&asker.who, settings)) {
            return self.refuse(asker, &access_denied());
        }
        let Back::Call { req, .. } = asker.back else { return };
        match shown {
            Shown::Row => {
                let shown = self.shown_media(media, base);
                self.answer(asker, "", &shown);
            }
            Shown::Address => {
                let reply = Reply::redirect(302, self.address(&media.id, base));
                self.fx.push(Effect::Reply { req, reply });
            }
            Shown::Bytes => match rules::blob_id(&media.id) {
                Some(id) => self.fx.push(Effect::Reply { req, reply: Reply::blob(SHELF, id, GONE) }),
                None => self.refuse(asker, &no_media()),
            },
        }
    }

    /// A file as clients see it, with a URL that is good for a while.
    pub(super) fn shown_media<'m>(&self, media: &'m Media, base: &str) -> ShownMedia<'m> {
        let url = self.address(&media.id, base);
        ShownMedia {
            id: &media.id,
            conversation_id: &media.conversation,
            message_id: media.message.as_deref(),
            kind: media.kind.word(),
            mime_type: &media.mime,
            file_name: &media.file_name,
            size_bytes: media.bytes,
            url: url.clone(),
            public_url: url,
            uploaded_by: media.uploaded_by.as_deref(),
            created_at: media.created_at.to_string(),
        }
    }

    /// A file as messages have it attached.
    pub(super) fn attachment(&self, media: &Media, base: &str) -> Value {
        json!({
            "id": media.id,
            "url": self.address(&media.id, base),
            "mime": media.mime,
            "name": media.file_name,
            "size": media.bytes,
            "type": media.kind.word(),
            "whatsappCompatible": is_whatsapp(media),
        })
    }

    /// Where the bytes of a file are for a while.
    pub(super) fn address(&self, id: &str, base: &str) -> String {
        signed_url(self.authenticator, self.settings, id, base, self.now.wall)
    }
}

/// `GET /media/{id}?exp&sig`: to whoever brings our signature before its end.
pub(super) fn on_signed(cx: &Context<'_>, req: ReqId, call: &Call, fx: &mut Effects) {
    let id = call.param("id");
    let exp = call.query_value("exp").unwrap_or_default();
    let signature = call.query_value("sig").unwrap_or_default();
    let is_signed = cx.authenticator.has_signed(&signed(id, &exp), &signature);
    let is_good = is_signed && exp.parse().is_ok_and(|exp: u64| cx.now.wall.0 < exp.saturating_mul(1_000));
    let reply = match rules::blob_id(id).filter(|_| is_good) {
        Some(blob) => Reply::blob(SHELF, blob, GONE),
        None => Reply::refused(Refused::new(403, "FORBIDDEN", "La firma de la URL no es válida o ha caducado")),
    };
    fx.push(Effect::Reply { req, reply });
}

/// Where a file's bytes are for everybody who has this address, for `url_ttl_s` from now on.
pub(super) fn signed_url(
    authenticator: &Authenticator,
    settings: &Settings,
    id: &str,
    base: &str,
    now: WallMillis,
) -> String {
    let exp = (now.0 / 1_000 + settings.media.url_ttl_s).to_string();
    let signature = authenticator.sign(&signed(id, &exp));
    format!("{base}/media/{id}?exp={exp}&sig={signature}")
}

/// Where URLs begin for whoever has asked so: by the configured name, else the one it has called us; below `/utalk` where it has asked there.
pub(super) fn base_of(call: &Call, settings: &Settings) -> Arc<str> {
    let below = if call.target.starts_with(BELOW) { "/utalk" } else { "" };
    match (&*settings.public_url, &*call.host) {
        ("", "") => below.into(),
        ("", host) => format!("http://{host}{below}").into(),
        (url, _) => format!("{url}{below}").into(),
    }
}

/// What the URL of a file signs.
fn signed(id: &str, exp: &str) -> String {
    format!("/media/{id}?exp={exp}")
}

/// Whether whatsapp takes it as it is.
fn is_whatsapp(media: &Media) -> bool {
    let bytes_max = WHATSAPP.iter().find(|(mime, _)| *mime == &*media.mime).map(|(_, bytes_max)| *bytes_max);
    bytes_max.is_some_and(|bytes_max| media.bytes <= bytes_max)
}

/// There is no such file in the scope.
pub(super) fn no_media() -> Fail {
    Fail::new("MEDIA_NOT_FOUND", "El archivo no existe")
}

fn storage_error() -> Fail {
    Fail::new("STORAGE_ERROR", "No se pudo guardar el archivo")
}

/// The shelf of all files.
pub(super) fn shelves(settings: &Settings) -> Vec<ShelfSettings> {
    // Files go with the messages of their time.
    let ttl_ms = match settings.message_retention_days {
        0 => u64::MAX,
        days => u64::from(days) * DAY_MS,
    };
    vec![ShelfSettings { name: SHELF, quota_bytes: settings.media.quota_bytes, ttl_ms }]
}

/// Its name.
pub(super) const SHELF: &str = "utalk_media";
const GONE: Refused = Refused::new(404, "MEDIA_NOT_FOUND", "El archivo no existe");
const BELOW: &str = "/utalk/";
/// Between two that are told: with the last one at most four a second.
const PROGRESS_MS: u64 = 334;
const DAY_MS: u64 = 86_400_000;
const MIB: u64 = 1 << 20;
/// By the beginnings of kinds: files have so many bytes at most.
pub(super) const BOUNDS: &[(&str, u64)] =
    &[("image/", 10 * MIB), ("audio/", 50 * MIB), ("video/", 100 * MIB), ("application/", 25 * MIB)];
/// Of what whatsapp takes, so many bytes.
const WHATSAPP: &[(&str, u64)] = &[
    ("image/jpeg", 5 * MIB),
    ("image/png", 5 * MIB),
    ("audio/mpeg", 16 * MIB),
    ("audio/ogg", 16 * MIB),
    ("video/mp4", 16 * MIB),
    ("application/pdf", 100 * MIB),
    ("application/msword", 100 * MIB),
    ("application/vnd.ms-excel", 100 * MIB),
    ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", 100 * MIB),
    ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", 100 * MIB),
];
