//! What is read out of an event without decoding it: a generator of load has better things to do.

/// What the code of a refusal follows.
pub(super) const CODE: &str = "\"code\":\"";

fn find(array: &[u8], text: &str) -> Option<usize> {
    array.windows(text.len()).position(|window| window == text.as_bytes())
}

/// Whether a text stands in it.
pub(super) fn contains(array: &[u8], text: &str) -> bool {
    find(array, text).is_some()
}

/// The text between `opening` and the next quotation mark.
pub(super) fn text_after<'a>(array: &'a [u8], opening: &str) -> Option<&'a str> {
    let rest = &array[find(array, opening)? + opening.len()..];
    let end = rest.iter().position(|byte| *byte == b'"')?;
    std::str::from_utf8(&rest[..end]).ok()
}

/// The whole number after `opening`.
pub(super) fn number_after(array: &[u8], opening: &str) -> Option<u64> {
    let rest = &array[find(array, opening)? + opening.len()..];
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_out_of_an_event() {
        let array = br#"["state:updated",{"deviceId":"load-12","rev":7,"full":false,"changes":{"vlc":{"time":99}}}]"#;
        assert_eq!(text_after(array, "\"deviceId\":\"load-"), Some("12"));
        assert_eq!((number_after(array, "\"rev\":"), number_after(array, "\"time\":")), (Some(7), Some(99)));
        assert_eq!(number_after(array, "\"none\":"), None);
        assert!(contains(array, "\"full\":false") && !contains(array, "\"full\":true"));
    }
}
