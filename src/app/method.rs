//! What a request of HTTP does, whoever asks.

/// What a call does to what it names.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Method {
    /// HEAD is answered likewise.
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

impl Method {
    /// As a request line spells it.
    pub fn name(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Patch => "PATCH",
            Method::Delete => "DELETE",
        }
    }
}
