//! Providers of WhatsApp conversations: what is asked of them, as requests, and what their answers mean. `request` (of a message, as
//! configured) → `twilio`, `cloud`, one provider each; whoever has none is accepted at once. Pure: who asks, when and how often is decided elsewhere.

mod cloud;
pub(super) mod request;
mod twilio;

use serde_json::Value;

use crate::app::fetch::{FetchError, FetchFailure, Fetched};
use crate::base::secret::Secret;

/// An account with a provider.
#[derive(Clone, Copy, Debug)]
pub(super) struct Account<'a> {
    /// Without a slash at its end.
    pub base_url: &'a str,
    /// Of Twilio.
    pub account_sid: &'a str,
    /// Of WhatsApp Cloud.
    pub phone_number_id: &'a str,
    pub token: &'a Secret,
    pub timeout_ms: u64,
    /// Where this daemon is reached; empty: receipts are not asked for.
    pub public_url: &'a str,
}

/// A message on its way to a customer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outbound<'a> {
    /// Ours; receipts bring it back, with the scope.
    pub id: &'a str,
    pub scope: &'a str,
    /// Our number, and the customer's digits.
    pub from: &'a str,
    pub to: &'a str,
    pub content: Content<'a>,
}

/// What a customer gets.
#[derive(Clone, Copy, Debug)]
pub(super) enum Content<'a> {
    Text(&'a str),
    /// A file that the provider fetches.
    File {
        kind: &'a str,
        url: &'a str,
        name: &'a str,
        caption: &'a str,
    },
    Location {
        latitude: f64,
        longitude: f64,
        text: &'a str,
    },
    /// One that the platform has approved; `variables` is an object.
    Template {
        sid: &'a str,
        variables: &'a Value,
    },
}

/// What came of a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Answer {
    /// It is the provider's to deliver now, which knows it by this id.
    Accepted { sid: String },
    /// It will not do it.
    Refused(Refusal),
    /// It has surely done nothing: it may be asked again.
    Unprocessed,
    /// It may have done it or not: it must not be asked again.
    Unknown,
}

/// Why a message does not reach its customer, as messages keep it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Refusal {
    InvalidNumber,
    WindowClosed,
    /// The provider's own code.
    Provider(u32),
    /// Nobody knows.
    Unknown,
}

impl Refusal {
    /// What a provider's code means.
    pub(super) fn of(code: u32) -> Refusal {
        match code {
            21211 | 63003 | 131_026 => Refusal::InvalidNumber,
            63016 | 63051 | 131_047 => Refusal::WindowClosed,
            other => Refusal::Provider(other),
        }
    }

    /// The reason that clients see beside `DELIVERY_FAILED`.
    pub(super) fn reason(self) -> String {
        match self {
            Refusal::InvalidNumber => "invalid_phone_number".to_owned(),
            Refusal::WindowClosed => "window_closed".to_owned(),
            Refusal::Provider(code) => format!("provider_{code}"),
            Refusal::Unknown => "unknown".to_owned(),
        }
    }
}

/// What an answer means whose ids and codes are found by these; the status decides what they are.
fn read(
    result: &Result<Fetched, FetchError>,
    sid: fn(&Value) -> Option<String>,
    code: fn(&Value) -> Option<u32>,
) -> Answer {
    let fetched = match result {
        Ok(fetched) => fetched,
        Err(error) => return if has_left(error.kind) { Answer::Unknown } else { Answer::Unprocessed },
    };
    let body: Value = serde_json::from_slice(&fetched.body).unwrap_or_default();
    match fetched.status {
        200..=299 => match (code(&body), sid(&body)) {
            (Some(code), _) => Answer::Refused(Refusal::of(code)),
            (None, Some(sid)) => Answer::Accepted { sid },
            (None, None) => Answer::Unknown,
        },
        429 | 503 => Answer::Unprocessed,
        400..=499 => Answer::Refused(Refusal::of(code(&body).unwrap_or(u32::from(fetched.status)))),
        _ => Answer::Unknown,
    }
}

/// Whether a request that has failed like this may have reached the provider.
fn has_left(kind: FetchFailure) -> bool {
    match kind {
        FetchFailure::Invalid
        | FetchFailure::Busy
        | FetchFailure::Dns
        | FetchFailure::Forbidden
        | FetchFailure::Refused
        | FetchFailure::Tls => false,
        FetchFailure::TimedOut
        | FetchFailure::TooLarge
        | FetchFailure::Protocol
        | FetchFailure::Cut
        | FetchFailure::Redirects
        // The daemon has ended while it was under way.
        | FetchFailure::Unavailable => true,
    }
}

/// A number or its digits.
fn number(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|code| code.try_into().ok()).or_else(|| value.as_str()?.parse().ok())
}

fn filled(value: &Value) -> Option<String> {
    value.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

/// Of an answer: it is an id and a status.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn fetched(status: u16, body: &str) -> Result<Fetched, FetchError> {
        let body = Bytes::copy_from_slice(body.as_bytes());
        Ok(Fetched { status, headers: Vec::new(), body, redirects: 0 })
    }

    #[test]
    fn an_answer_is_one_of_four() {
        let accepted = |sid: &str| Answer::Accepted { sid: sid.to_owned() };
        let refused = |code| Answer::Refused(Refusal::Provider(code));
        for (status, body, of_twilio, of_cloud) in [
            (201, r#"{"sid":"SM1","status":"queued"}"#, accepted("SM1"), Answer::Unknown),
            (200, r#"{"messages":[{"id":"wamid.1"}]}"#, Answer::Unknown, accepted("wamid.1")),
            (201, r#"{"sid":"SM1","status":"failed","error_code":30008}"#, refused(30008), Answer::Unknown),
            (200, r#"{"code":63016,"message":"x"}"#, Answer::Refused(Refusal::WindowClosed), Answer::Unknown),
            (200, r#"{"sid":"SM1","sta"#, Answer::Unknown, Answer::Unknown),
            (200, r#"{"sid":""}"#, Answer::Unknown, Answer::Unknown),
            (204, "", Answer::Unknown, Answer::Unknown),
            (301, "", Answer::Unknown, Answer::Unknown),
            (400, r#"{"code":21211}"#, Answer::Refused(Refusal::InvalidNumber), refused(400)),
            (400, r#"{"code":"63003"}"#, Answer::Refused(Refusal::InvalidNumber), refused(400)),
            (400, r#"{"error":{"code":131026}}"#, refused(400), Answer::Refused(Refusal::InvalidNumber)),
            (400, r#"{"error":{"code":131047}}"#, refused(400), Answer::Refused(Refusal::WindowClosed)),
            (400, r#"{"code":63051}"#, Answer::Refused(Refusal::WindowClosed), refused(400)),
            (401, r#"{"code":20003}"#, refused(20003), refused(401)),
            (404, "<html>", refused(404), refused(404)),
            (429, r#"{"code":20429}"#, Answer::Unprocessed, Answer::Unprocessed),
            (503, "", Answer::Unprocessed, Answer::Unprocessed),
            (500, r#"{"code":20500}"#, Answer::Unknown, Answer::Unknown),
            (502, "", Answer::Unknown, Answer::Unknown),
            (504, "", Answer::Unknown, Answer::Unknown),
        ] {
            let answer = fetched(status, body);
            assert_eq!((twilio::read(&answer), cloud::read(&answer)), (of_twilio, of_cloud), "{status} {body}");
        }
    }

    #[test]
    fn only_what_has_surely_not_left_is_asked_again() {
        for kind in FetchFailure::ALL {
            let expected = match kind.label() {
                "timed_out" | "too_large" | "protocol" | "cut" | "redirects" | "unavailable" => Answer::Unknown,
                _ => Answer::Unprocessed,
            };
            assert_eq!(twilio::read(&Err(FetchError::new(kind, ""))), expected, "{}", kind.label());
        }
    }
}
