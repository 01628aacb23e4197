//! Files that HTTP callers bring: a script says when which bytes come, and what breaks them off. They are judged and kept as
//! the daemon does it, by the world's store.

use std::sync::Arc;

use bytes::Bytes;

use super::{World, found};
use crate::app::event::AppInput;
use crate::app::form::Form;
use crate::app::identity::Identity;
use crate::app::route::{Body, Call};
use crate::app::table::Row;
use crate::app::upload::{Fault, Inspector, News, Take};
use crate::base::ids::ReqId;

/// A file that is not whole yet.
pub(super) struct Coming {
    /// Of the route.
    bytes_max: u64,
    declared: String,
    /// What its request says that it has.
    total: Option<u64>,
    taken: Option<Taken>,
}

struct Taken {
    req: ReqId,
    take: Take,
    inspector: Inspector,
    pieces: Vec<Bytes>,
}

impl World {
    /// HTTP brings a file, by POST to a route below the application of `row`. This far the form has come; what the home says is
    /// among [`World::replies`], unless it takes the file ([`World::is_taking`]).
    pub(crate) fn uploads(&mut self, row: &'static Row, target: &str, identity: Option<Arc<Identity>>, form: Form) {
        let (route, call) = found(row, "POST", target, identity);
        let Body::Upload { bytes_max } = route.body else { panic!("{target} takes no file") };
        self.coming = Some(Coming { bytes_max, declared: form.declared.clone(), total: None, taken: None });
        self.calls(row, Call { form: Some(Box::new(form)), ..call });
    }

    /// Whether a home waits for the rest of a file.
    pub(crate) fn is_taking(&self) -> bool {
        self.coming.as_ref().is_some_and(|coming| coming.taken.is_some())
    }

    /// The request has said how much comes.
    pub(crate) fn announces(&mut self, bytes: u64) {
        self.coming.as_mut().expect("no file comes").total = Some(bytes);
    }

    /// More of the file comes, and its home hears so.
    pub(crate) fn brings(&mut self, bytes: &[u8]) {
        let total = self.coming.as_ref().and_then(|coming| coming.total);
        let taken = self.taken().expect("nobody takes a file");
        match taken.inspector.on_bytes(bytes) {
            Ok(()) => {
                taken.pieces.push(Bytes::copy_from_slice(bytes));
                let news = News::Progress { bytes: taken.inspector.bytes(), total };
                let req = taken.req;
                self.input(AppInput::Upload { req, news });
            }
            Err(fault) => self.breaks(fault),
        }
    }

    /// The file has come whole: its home hears that it is kept, or why it is not.
    pub(crate) fn has_brought(&mut self) {
        let taken = self.taken().expect("nobody takes a file");
        match taken.inspector.on_end() {
            Ok(mime) => {
                let (take, pieces) = (taken.take.clone(), std::mem::take(&mut taken.pieces));
                match self.store.take(take, pieces, mime) {
                    Ok(blob) => self.ends(News::Kept(Box::new(blob))),
                    Err(error) => self.breaks(Fault::Store(error)),
                }
            }
            Err(fault) => self.breaks(fault),
        }
    }

    /// Something ends the file before it is kept.
    pub(crate) fn breaks(&mut self, fault: Fault) {
        self.ends(News::Failed(fault));
    }

    fn ends(&mut self, news: News) {
        let taken = self.coming.take().and_then(|coming| coming.taken).expect("nobody takes a file");
        self.input(AppInput::Upload { req: taken.req, news });
    }

    /// The home's word.
    pub(super) fn take(&mut self, req: ReqId, take: Take) {
        let coming = self.coming.as_mut().expect("no file comes");
        let inspector = Inspector::new(&take, coming.bytes_max, &coming.declared);
        coming.taken = Some(Taken { req, take, inspector, pieces: Vec::new() });
    }

    fn taken(&mut self) -> Option<&mut Taken> {
        self.coming.as_mut()?.taken.as_mut()
    }
}

#[cfg(test)]
mod tests;
