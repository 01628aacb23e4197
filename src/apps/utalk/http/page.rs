//! A page of a list: how many, from where, and what says how to go on.

use serde_json::{Value, json};

use crate::app::kit::ack::Fail;
use crate::app::kit::cursor;
use crate::app::route::Call;

/// The page that a request asks for, of a list whose places are `N` numbers.
pub(super) struct Page<'a, const N: usize> {
    list: &'a str,
    pub limit: usize,
    /// The place it is beyond.
    pub place: Option<[u64; N]>,
}

impl<'a, const N: usize> Page<'a, N> {
    /// `limit` and `cursor` of a request.
    ///
    /// # Errors
    /// Where they are none.
    pub(super) fn of(call: &Call, list: &'a str) -> Result<Page<'a, N>, Fail> {
        let limit = match call.query_value("limit").filter(|text| !text.is_empty()) {
            None => LIMIT_DEFAULT,
            Some(text) => {
                let limit = text.parse().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit));
                limit.ok_or_else(|| wrong("limit"))?
            }
        };
        let place = match call.query_value("cursor").filter(|text| !text.is_empty()) {
            None => None,
            Some(text) => {
                let place = cursor::read(list, &text);
                Some(place.ok_or_else(|| Fail::new("INVALID_CURSOR", "El cursor no es válido"))?)
            }
        };
        Ok(Page { list, limit, place })
    }

    /// What is told beside a page: `last` is where it ends if there is more.
    pub(super) fn pagination(&self, last: Option<[u64; N]>, total: u64) -> Value {
        pagination(self.list, last, total)
    }
}

/// The same of a page that is answered later.
pub(super) fn pagination<const N: usize>(list: &str, last: Option<[u64; N]>, total: u64) -> Value {
    let cursor = last.map(|place| cursor::write(list, place));
    json!({"hasMore": cursor.is_some(), "nextCursor": cursor, "total": total})
}

/// A value of the query that cannot be what it stands for.
pub(super) fn wrong(path: &str) -> Fail {
    let text = format!("Datos inválidos: \"{path}\" no es válido");
    Fail::new("VALIDATION_ERROR", text).with(json!({"path": path}))
}

const LIMIT_DEFAULT: usize = 50;
const LIMIT_MAX: usize = 100;
