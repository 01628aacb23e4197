//! A refusal, as whoever asks by HTTP gets it, its usual form, and those that the daemon itself speaks for an application:
//! one whose clients know other codes tells them apart by these values.

use crate::base::time::WallMillis;

/// Why a call is not answered as asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Refused {
    pub status: u16,
    /// From a closed set, for programs.
    pub code: &'static str,
    /// For people.
    pub text: &'static str,
}

impl Refused {
    /// The path is the application's, and none of its routes.
    pub const NOT_FOUND: Refused = Refused::new(404, "NOT_FOUND", "nothing is served under this path");
    pub const WRONG_METHOD: Refused = Refused::new(405, "METHOD_NOT_ALLOWED", "this path does not take that method");
    /// The route wants a token, and none came.
    pub const NO_TOKEN: Refused =
        Refused::new(401, "UNAUTHORIZED", "this path wants a token, by Authorization: Bearer");
    /// The same of a route that takes it in the query, too.
    pub const NO_TOKEN_OR_QUERY: Refused =
        Refused::new(401, "UNAUTHORIZED", "this path wants a token, by Authorization: Bearer or ?token=");
    /// A token came, and is none of ours.
    pub const BAD_TOKEN: Refused = Refused::new(401, "UNAUTHORIZED", "the token is not valid");
    /// A token of ours whose time is over.
    pub const ENDED_TOKEN: Refused = Refused::new(401, "UNAUTHORIZED", "the token has ended");
    /// Too much waits for what it is about.
    pub const BUSY: Refused = Refused::new(503, "BUSY", "too many requests are waiting");
    /// What it is about cannot be read.
    pub const NO_STORE: Refused = Refused::new(503, "STORE_UNAVAILABLE", "the store does not answer");
    /// Its home has not answered in time.
    pub const NO_ANSWER: Refused = Refused::new(504, "NO_ANSWER", "the application did not answer in time");
    /// An upload without a file, and one whose request is too large whatever is in it.
    pub const NO_FILE: Refused = Refused::new(400, "VALIDATION", "there is no file");
    pub const LARGE_FILE: Refused = Refused::new(413, "PAYLOAD_TOO_LARGE", "the file is larger than this path takes");

    pub const fn new(status: u16, code: &'static str, text: &'static str) -> Refused {
        Refused { status, code, text }
    }
}

/// `{"error":{"code","message"}}`, at whatever time.
pub fn plain_error(refused: &Refused, _: WallMillis) -> String {
    serde_json::json!({ "error": { "code": refused.code, "message": refused.text } }).to_string()
}
