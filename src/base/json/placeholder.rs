//! Watches a JSON scan for stand-ins of binary attachments. A text that reaches other clients as it came must not hold
//! one that breaks their decoder, however it is spelled (CVE-2022-2421). Spec: PROTOCOL 7.

use smallvec::SmallVec;

use super::JsonError;
use crate::base::limit::ATTACHMENTS_MAX;

/// Follows the containers of one text and collects its placeholders.
pub(super) struct Placeholders {
    /// Numbers below this have an attachment.
    end: u32,
    /// One bit per number that has been used.
    used: u32,
    found: SmallVec<[u32; 2]>,
    /// One for each open container, the innermost last; bounded as the depth is.
    open: SmallVec<[Container; 8]>,
}

const _: () = assert!(ATTACHMENTS_MAX < u32::BITS as usize);

/// What one object has said so far. An array stays as it starts.
#[derive(Default)]
struct Container {
    /// The member whose value comes next.
    member: Member,
    flag: Flag,
    num: Num,
}

#[derive(Default)]
enum Member {
    Flag,
    Num,
    #[default]
    Other,
}

#[derive(Default, PartialEq)]
enum Flag {
    #[default]
    Unseen,
    True,
    /// `false` and `null`: an ordinary object to every client.
    False,
    /// Clients disagree about anything else, and about two values.
    Ambiguous,
}

#[derive(Default, PartialEq)]
enum Num {
    #[default]
    Unseen,
    Plain(u32),
    Bad,
}

impl Placeholders {
    pub(super) fn new(attachments: u32) -> Self {
        let end = attachments.min(ATTACHMENTS_MAX as u32);
        Placeholders { end, used: 0, found: SmallVec::new(), open: SmallVec::new() }
    }

    pub(super) fn into_found(self) -> SmallVec<[u32; 2]> {
        self.found
    }

    /// An array or object starts; to the object around it, it is a value that cannot be part of a placeholder.
    pub(super) fn open(&mut self, is_object: bool) {
        self.scalar(if is_object { b"{" } else { b"[" });
        self.open.push(Container::default());
    }

    /// The name of the next member, with its quotes.
    pub(super) fn key(&mut self, quoted: &[u8]) {
        if let Some(object) = self.open.last_mut() {
            object.member = member(quoted);
        }
    }

    /// The value of that member, or an element.
    pub(super) fn scalar(&mut self, text: &[u8]) {
        let Some(object) = self.open.last_mut() else { return };
        match std::mem::take(&mut object.member) {
            Member::Flag => {
                object.flag = match text {
                    _ if object.flag != Flag::Unseen => Flag::Ambiguous,
                    b"true" => Flag::True,
                    b"false" | b"null" => Flag::False,
                    _ => Flag::Ambiguous,
                }
            }
            Member::Num => {
                let plain = plain_integer(text).filter(|_| object.num == Num::Unseen);
                object.num = plain.map_or(Num::Bad, Num::Plain);
            }
            Member::Other => {}
        }
    }

    /// The innermost container ends: was it a placeholder?
    pub(super) fn close(&mut self) -> Result<(), JsonError> {
        let Some(object) = self.open.pop() else { return Ok(()) };
        match (object.flag, object.num) {
            (Flag::Unseen | Flag::False, _) => Ok(()),
            (Flag::True, Num::Plain(num)) if num < self.end && self.used & 1 << num == 0 => {
                self.used |= 1 << num;
                self.found.push(num);
                Ok(())
            }
            _ => Err(JsonError::BadPlaceholder),
        }
    }
}

/// Which member a name means, however it is escaped.
fn member(quoted: &[u8]) -> Member {
    const LONGEST: usize = "\"\"".len() + "_placeholder".len() * "\\u0000".len();
    match quoted {
        b"\"_placeholder\"" => Member::Flag,
        b"\"num\"" => Member::Num,
        escaped if escaped.len() <= LONGEST && escaped.contains(&b'\\') => {
            match serde_json::from_slice::<String>(escaped).as_deref() {
                Ok("_placeholder") => Member::Flag,
                Ok("num") => Member::Num,
                _ => Member::Other,
            }
        }
        _ => Member::Other,
    }
}

/// Digits only, no sign, fraction or exponent; the scanner has already refused leading zeros.
fn plain_integer(text: &[u8]) -> Option<u32> {
    let all_digits = text.iter().all(u8::is_ascii_digit);
    all_digits.then(|| std::str::from_utf8(text).ok()?.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::super::scan_array;
    use super::*;

    fn check(json: &str, attachments: u32, expected: Option<&[u32]>) {
        let found = scan_array(json.as_bytes(), attachments).map(|scan| scan.placeholders.to_vec());
        assert_eq!(found.as_deref().ok(), expected, "{json} with {attachments}");
        if expected.is_none() {
            assert_eq!(found, Err(JsonError::BadPlaceholder), "{json}");
        }
    }

    #[test]
    fn placeholders_are_found_at_any_depth_in_document_order() {
        let one = r#"{"_placeholder":true,"num":0}"#;
        let two = r#"{ "num" : 1 , "_placeholder" : true }"#;
        check(&format!(r#"["e",{one}]"#), 1, Some(&[0]));
        check(&format!("[{two},{one}]"), 2, Some(&[1, 0]));
        check(&format!(r#"["e",{{"a":[[{two}],{{"b":{one}}}]}}]"#), 2, Some(&[1, 0]));
        check(&format!(r#"["e",{{"num":{one},"_placeholder":false}}]"#), 1, Some(&[0]));
        check(r#"["e",{"num":"text"},{"_placeholder":null},[true,1],"_placeholder"]"#, 1, Some(&[]));
        check(r#"["e",{"_placeholder":true,"num":3,"extra":[{}]}]"#, 10, Some(&[3]));
        check(r#"["e",{"\u005fplaceholder":true,"nu\u006d":0}]"#, 1, Some(&[0]));
    }

    #[test]
    fn without_attachments_nothing_is_a_placeholder() {
        check(r#"["e",{"_placeholder":true,"num":"splice"}]"#, 0, Some(&[]));
    }

    #[test]
    fn b16_num_is_a_plain_integer_below_the_count_and_used_once() {
        for num in [
            "\"splice\"",
            "\"0\"",
            "-1",
            "-0",
            "1.0",
            "1.5",
            "1e0",
            "1e400",
            "2",
            "99",
            "4294967296",
            "null",
            "[]",
            "{}",
        ] {
            check(&format!(r#"["e",{{"_placeholder":true,"num":{num}}}]"#), 2, None);
            check(&format!(r#"["e",{{"num":{num},"_pl\u0061ceholder":true}}]"#), 2, None);
        }
        check(r#"["e",{"_placeholder":true}]"#, 1, None);
        check(r#"["e",{"_placeholder":true,"num":0},{"_placeholder":true,"num":0}]"#, 2, None);
        check(r#"["e",{"_placeholder":true,"num":10}]"#, u32::MAX, None);
    }

    #[test]
    fn b16_what_clients_read_differently_is_refused() {
        for object in [
            r#"{"_placeholder":true,"num":0,"num":99}"#,
            r#"{"_placeholder":false,"_placeholder":true,"num":0}"#,
            r#"{"_placeholder":true,"num":0,"_placeholder":true}"#,
            r#"{"_placeholder":1,"num":0}"#,
            r#"{"_placeholder":"true","num":0}"#,
            r#"{"_placeholder":{},"num":0}"#,
            r#"{"_placeholder":[true],"num":0}"#,
        ] {
            check(&format!("[{object}]"), 1, None);
        }
    }
}
