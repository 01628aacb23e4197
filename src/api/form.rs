//! The front of an upload: `multipart/form-data` (RFC 7578) read as it comes, by `multer`. Out come the fields, then the file
//! piece by piece. The fields come first, the file is one, and nothing follows it; each part of it has its bound, so that what is
//! held is a few pieces, whatever is sent.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, header};
use bytes::Bytes;
use http_body::{Body, Frame};
use http_body_util::BodyDataStream;
use multer::{Field, Multipart};
use tokio::time::{Instant, timeout};

use crate::app::form::Form;
use crate::app::route::Refused;
use crate::app::upload::Fault;
use crate::base::limit::{
    BODY_BYTES_PER_S_MIN, BOUNDARY_BYTES_MAX, NAME_BYTES_MAX, UPLOAD_FIELD_BYTES_MAX, UPLOAD_FIELDS_MAX,
    UPLOAD_HEAD_BYTES_MAX,
};

/// One upload as it comes.
pub(crate) struct Reader {
    parts: Multipart<'static>,
    /// The part that is the file, when it is its turn.
    file: Option<Field<'static>>,
    gate: Arc<Gate>,
    patience: Patience,
}

impl Reader {
    /// For a request with these headers, which has so long until nothing more comes.
    ///
    /// # Errors
    /// It is of another type, or says no boundary.
    pub(crate) fn new<B>(headers: &HeaderMap, body: B, time: Duration) -> Result<Reader, Refused>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Failure>,
    {
        let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let boundary = multer::parse_boundary(kind).map_err(|error| match error {
            multer::Error::NoBoundary => Fault::Malformed("the type of the body names no boundary").refused(),
            _ => NO_FORM,
        })?;
        if !(1..=BOUNDARY_BYTES_MAX).contains(&boundary.len()) {
            return Err(Fault::Malformed("a boundary has 1 to 70 bytes").refused());
        }
        let gate = Arc::new(Gate(AtomicUsize::new(UPLOAD_HEAD_BYTES_MAX)));
        let bites = Bites { body, gate: gate.clone(), rests: false };
        let parts = Multipart::new(BodyDataStream::new(bites), boundary);
        Ok(Reader { parts, file: None, gate, patience: Patience { left: time, most: time } })
    }

    /// All that comes before the file. A part with a file's name is the file.
    ///
    /// # Errors
    /// What comes is none, is over a bound, or comes too slowly.
    pub(crate) async fn form(&mut self) -> Result<Form, Fault> {
        let mut form = Form::default();
        loop {
            let Some(mut part) = self.next_part().await? else { return Err(NO_FILE) };
            let name = part.name().ok_or(Fault::Malformed("a field has no name"))?.to_owned();
            if name.len() > NAME_BYTES_MAX || part.file_name().is_some_and(|name| name.len() > NAME_BYTES_MAX) {
                return Err(Fault::Malformed("a name is longer than 255 bytes"));
            }
            if let Some(file_name) = part.file_name() {
                form.file_name = file_name.to_owned();
                form.declared = part.content_type().map(|kind| kind.essence_str().to_owned()).unwrap_or_default();
                form.part = name;
                self.file = Some(part);
                return Ok(form);
            }
            if form.fields.len() == UPLOAD_FIELDS_MAX {
                return Err(Fault::Malformed("there are too many fields"));
            }
            let mut value = Vec::new();
            while let Some(piece) = self.patience.wait(&self.gate, part.chunk()).await? {
                if value.len() + piece.len() > UPLOAD_FIELD_BYTES_MAX {
                    return Err(Fault::Malformed("a field is too large"));
                }
                value.extend_from_slice(&piece);
            }
            let value = String::from_utf8(value).map_err(|_| Fault::Malformed("a field is no UTF-8"))?;
            form.fields.push((name, value));
        }
    }

    /// The next bytes of the file; `None`: it has come whole, and nothing follows it.
    ///
    /// # Errors
    /// As of [`Reader::form`].
    pub(crate) async fn piece(&mut self) -> Result<Option<Bytes>, Fault> {
        while let Some(file) = &mut self.file {
            match self.patience.wait(&self.gate, file.chunk()).await? {
                Some(piece) if piece.is_empty() => {}
                Some(piece) => return Ok(Some(piece)),
                None => self.file = None,
            }
        }
        match self.next_part().await? {
            None => Ok(None),
            Some(_) => Err(Fault::Malformed("something follows the file, which is one and comes last")),
        }
    }

    async fn next_part(&mut self) -> Result<Option<Field<'static>>, Fault> {
        self.patience.wait(&self.gate, self.parts.next_field()).await
    }
}

/// What a whole body between boundaries `b` says, in pieces of so many bytes: its form and its file. For tests and fuzzing.
///
/// # Errors
/// As of [`Reader::form`].
pub(crate) async fn read(body: &[u8], piece: usize) -> Result<(Form, Vec<u8>), Fault> {
    let pieces: Vec<_> = body.chunks(piece).map(Bytes::copy_from_slice).collect();
    let kind = HeaderValue::from_static("multipart/form-data; boundary=b");
    let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, kind)]);
    let pieces = Pieces(pieces.into_iter());
    let mut reader = Reader::new(&headers, pieces, Duration::from_secs(30)).expect("the type is a form's");
    let form = reader.form().await?;
    let mut file = Vec::new();
    while let Some(piece) = reader.piece().await? {
        file.extend_from_slice(&piece);
    }
    Ok((form, file))
}

/// A body that is there.
struct Pieces(std::vec::IntoIter<Bytes>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.next().map(|piece| Ok(Frame::data(piece))))
    }
}

/// How long is waited for what comes. What comes earns time, at the slowest pace that a body may have.
struct Patience {
    left: Duration,
    most: Duration,
}

impl Patience {
    /// Waits for the next step, for which so much may come as the head of a part has.
    async fn wait<T>(
        &mut self,
        gate: &Gate,
        step: impl Future<Output = multer::Result<Option<T>>>,
    ) -> Result<Option<T>, Fault> {
        gate.0.store(UPLOAD_HEAD_BYTES_MAX, Ordering::Relaxed);
        let begun = Instant::now();
        let got = timeout(self.left, step).await.map_err(|_| Fault::Slow)?.map_err(fault);
        let came = (UPLOAD_HEAD_BYTES_MAX - gate.0.load(Ordering::Relaxed)) as u64;
        let earned = Duration::from_millis(came * 1_000 / BODY_BYTES_PER_S_MIN);
        self.left = (self.left.saturating_sub(begun.elapsed()) + earned).min(self.most);
        got
    }
}

/// How many bytes may still come until the next step is done.
struct Gate(AtomicUsize);

/// A body in bites: after each of them the reader has its turn, which by itself would take all that is there into memory.
struct Bites<B> {
    body: B,
    gate: Arc<Gate>,
    rests: bool,
}

/// Why a body has ended early.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// More has come than one step of a reader takes.
#[derive(Debug)]
struct TooLong;

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a part has no end to its head")
    }
}

impl std::error::Error for TooLong {}

impl<B> Body for Bites<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Failure>,
{
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        if std::mem::take(&mut self.rests) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let Some(frame) = ready!(Pin::new(&mut self.body).poll_frame(cx)) else { return Poll::Ready(None) };
        let Ok(data) = frame.map_err(Into::into)?.into_data() else { return Poll::Ready(None) };
        let left = self.gate.0.load(Ordering::Relaxed);
        if left == 0 {
            return Poll::Ready(Some(Err(TooLong.into())));
        }
        self.gate.0.store(left.saturating_sub(data.len()), Ordering::Relaxed);
        self.rests = true;
        Poll::Ready(Some(Ok(Frame::data(data))))
    }
}

/// What is wrong with a form, by what its reader says.
fn fault(error: multer::Error) -> Fault {
    match error {
        multer::Error::StreamReadFailed(error) if error.is::<TooLong>() => {
            Fault::Malformed("the head of a part is too long")
        }
        multer::Error::StreamReadFailed(_) => Fault::Gone,
        multer::Error::IncompleteStream
        | multer::Error::IncompleteFieldData { .. }
        | multer::Error::IncompleteHeaders => Fault::Malformed("the body ends in the middle of a part"),
        _ => Fault::Malformed("the head of a part is none"),
    }
}

const NO_FORM: Refused =
    Refused::new(415, "UNSUPPORTED_MEDIA_TYPE", "this path takes a file, as Content-Type: multipart/form-data");
const NO_FILE: Fault = Fault::NoFile;

#[cfg(test)]
mod tests;
