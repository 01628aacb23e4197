//! A refusal, as whoever asks by HTTP gets it, and its usual form.

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
    pub const fn new(status: u16, code: &'static str, text: &'static str) -> Refused {
        Refused { status, code, text }
    }
}

/// `{"error":{"code","message"}}`.
pub fn plain_error(refused: &Refused) -> String {
    serde_json::json!({ "error": { "code": refused.code, "message": refused.text } }).to_string()
}
