//! A route that takes a file. The fields before it reach the home; when that takes the file, it flows piece by piece to its
//! shelf, and the home hears how it goes. The socket is read no further than pieces are written. Whatever ends it early, nothing
//! is left of it.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::request::Parts;
use axum::response::Response;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::answer::{self, BAD_REPLY, refuse};
use super::backend::{Answers, Intake};
use super::form::Reader;
use super::routes::Owned;
use super::{Api, reply};
use crate::app::job::Blob;
use crate::app::reply::Answer;
use crate::app::route::{Call, Place, Refused};
use crate::app::upload::{Fault, Inspector, News, Take};
use crate::base::limit::{
    UPLOAD_FIELD_BYTES_MAX, UPLOAD_FIELDS_MAX, UPLOAD_HEAD_BYTES_MAX, UPLOAD_PROGRESS_INTERVAL_MS,
};

/// Answers a request whose route and asker are known.
pub(crate) async fn serve(
    api: &Api,
    owned: Owned,
    call: Call,
    bytes_max: u64,
    asked: &Parts,
    body: Body,
    cut: Arc<Notify>,
) -> Response {
    let http = &owned.row.http;
    let (reader, call) = match begun(api, owned, call, bytes_max, asked, body).await {
        Ok(begun) => begun,
        Err(refused) => return refuse(http, &refused),
    };
    let declared = call.form.as_ref().map(|form| form.declared.clone()).unwrap_or_default();
    let mut answers = api.backend.call(owned.row.name, call, cut);
    let mut answer = answer::next(api, &mut *answers).await;
    if let Some(Answer::Take(take)) = answer {
        let inspector = Inspector::new(&take, bytes_max, &declared);
        let total = reply::length(&asked.headers);
        let mut upload = Upload { reader, inspector, answers: &mut *answers, total, told: Instant::now() };
        answer = match upload.flow(api, take).await {
            Ok(blob) => {
                answers.tell(News::Kept(Box::new(blob)));
                answer::next(api, &mut *answers).await
            }
            Err(End::Failed(fault)) => {
                answers.tell(News::Failed(fault));
                answer::next(api, &mut *answers).await
            }
            Err(End::Said(said)) => said,
        };
    }
    answer::respond(api, http, answer, answers, asked).await
}

/// Reads what comes before the file, and finds the home.
async fn begun(
    api: &Api,
    owned: Owned,
    mut call: Call,
    bytes_max: u64,
    asked: &Parts,
    body: Body,
) -> Result<(Reader, Call), Refused> {
    if reply::length(&asked.headers).is_some_and(|length| length > bytes_max.saturating_add(FORM_BYTES_MAX)) {
        return Err(Fault::TooLarge.refused());
    }
    let mut reader = Reader::new(&asked.headers, body, api.settings.body_timeout)?;
    let form = reader.form().await.map_err(|fault| fault.refused())?;
    call.form = Some(Box::new(form));
    match (owned.route.home)(&call)? {
        Place::At(home) => Ok((reader, Call { home, ..call })),
        // A file has one home.
        Place::Each(_) => Err(BAD_REPLY),
    }
}

/// A file on its way.
struct Upload<'a> {
    reader: Reader,
    inspector: Inspector,
    answers: &'a mut dyn Answers,
    total: Option<u64>,
    /// When its home has heard of it for the last time.
    told: Instant,
}

/// Why a file is not kept.
enum End {
    Failed(Fault),
    /// Its home has had enough of it.
    Said(Option<Answer>),
}

impl From<Fault> for End {
    fn from(fault: Fault) -> End {
        End::Failed(fault)
    }
}

impl Upload<'_> {
    /// From the first byte of the file to a blob.
    async fn flow(&mut self, api: &Api, take: Take) -> Result<Blob, End> {
        let mut intake = api.backend.take(take).map_err(Fault::Store)?;
        while self.step(&mut *intake).await? {
            if self.told.elapsed() >= PROGRESS_INTERVAL {
                self.told = Instant::now();
                self.answers.tell(News::Progress { bytes: self.inspector.bytes(), total: self.total });
            }
        }
        let mime = self.inspector.on_end()?;
        tokio::select! {
            biased;
            said = answer::said(self.answers) => Err(End::Said(said)),
            kept = intake.finish(mime) => Ok(kept.map_err(Fault::Store)?),
        }
    }

    /// The next piece; false: there is none. What the home says meanwhile ends the file.
    async fn step(&mut self, intake: &mut dyn Intake) -> Result<bool, End> {
        let (reader, inspector) = (&mut self.reader, &mut self.inspector);
        let piece = async {
            let Some(piece) = reader.piece().await? else { return Ok(false) };
            inspector.on_bytes(&piece)?;
            intake.push(piece).await.map_err(Fault::Store)?;
            Ok(true)
        };
        tokio::select! {
            biased;
            said = answer::said(self.answers) => Err(End::Said(said)),
            piece = piece => piece,
        }
    }
}

/// All that may be there beside the file.
const FORM_BYTES_MAX: u64 = ((UPLOAD_FIELDS_MAX + 1) * (UPLOAD_FIELD_BYTES_MAX + UPLOAD_HEAD_BYTES_MAX)) as u64;
const PROGRESS_INTERVAL: Duration = Duration::from_millis(UPLOAD_PROGRESS_INTERVAL_MS);

#[cfg(test)]
mod tests;
