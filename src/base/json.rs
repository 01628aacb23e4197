//! The JSON scanner: checks a text and its nesting in one pass and finds the ranges of an array's elements, so that
//! what is relayed stays the bytes that came. It builds no values and decodes no escapes; numbers have any length and
//! stay text, lone surrogates (`\ud800`) pass. Depth is bounded by [`JSON_DEPTH_MAX`]; nothing recurses. Spec: RFC 8259.

mod nesting;
mod placeholder;
mod scalar;
pub(crate) mod surrogate;

use std::ops::Range;

use smallvec::SmallVec;

use self::nesting::Nesting;
use self::placeholder::Placeholders;
use super::limit::{JSON_DEPTH_MAX, JSON_ELEMENTS_MAX};

/// What a JSON text is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Kind {
    Object,
    Array,
    String,
    Number,
    Bool,
    Null,
}

/// Why a text was refused. `at` is the byte offset of the first byte that cannot be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum JsonError {
    Syntax {
        at: usize,
    },
    /// More than [`JSON_DEPTH_MAX`] arrays and objects inside each other.
    TooDeep {
        at: usize,
    },
    /// More than [`JSON_ELEMENTS_MAX`] elements in the array that was scanned.
    TooManyElements {
        at: usize,
    },
    /// A stand-in for an attachment that does not exist, is used twice or is not well formed.
    BadPlaceholder,
}

/// What [`scan_array`] found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Scan {
    /// Byte ranges of the elements in the text, without the whitespace around them.
    pub elements: SmallVec<[Range<u32>; 4]>,
    /// `num` of each placeholder, in the order in which the placeholders end; without repetition.
    pub placeholders: SmallVec<[u32; 2]>,
}

/// Checks that `text`, known to be UTF-8, is exactly one value; whitespace may surround it.
pub fn check(text: &[u8]) -> Result<Kind, JsonError> {
    let mut cursor = Cursor::new(text);
    cursor.token();
    let kind = cursor.value(0)?;
    cursor.end()?;
    Ok(kind)
}

/// Checks that `text`, known to be UTF-8, is exactly one array, and finds its elements. With `attachments` > 0 it also
/// finds the placeholders `{"_placeholder":true,"num":N}` at any depth: N is a plain integer below `attachments`,
/// and no two are the same (PROTOCOL 7).
pub fn scan_array(text: &[u8], attachments: u32) -> Result<Scan, JsonError> {
    let mut cursor = Cursor::new(text);
    if u32::try_from(text.len()).is_err() {
        return Err(JsonError::Syntax { at: u32::MAX as usize });
    }
    if attachments > 0 {
        cursor.watch = Some(Placeholders::new(attachments));
    }
    cursor.token();
    cursor.expect(b'[')?;
    let elements = cursor.elements()?;
    cursor.end()?;
    let placeholders = cursor.watch.map(Placeholders::into_found).unwrap_or_default();
    Ok(Scan { elements, placeholders })
}

struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
    watch: Option<Placeholders>,
}

impl<'a> Cursor<'a> {
    fn new(text: &'a [u8]) -> Self {
        Cursor { text, at: 0, watch: None }
    }

    /// The elements of an array whose bracket has been read, up to and including its closing bracket.
    fn elements(&mut self) -> Result<SmallVec<[Range<u32>; 4]>, JsonError> {
        let mut elements = SmallVec::new();
        if self.token() == b']' {
            self.at += 1;
            return Ok(elements);
        }
        loop {
            let start = self.at;
            if elements.len() == JSON_ELEMENTS_MAX {
                return Err(JsonError::TooManyElements { at: start });
            }
            self.value(1)?;
            elements.push(start as u32..self.at as u32);
            if self.token() == b']' {
                self.at += 1;
                return Ok(elements);
            }
            self.expect(b',')?;
            self.token();
        }
    }

    /// One value that starts here, inside `outer` other containers. Stops right behind it.
    fn value(&mut self, outer: usize) -> Result<Kind, JsonError> {
        let kind = kind_of(self.peek());
        let mut nesting = Nesting::default();
        loop {
            let byte = self.peek();
            let complete = if matches!(byte, b'{' | b'[') {
                if outer + nesting.depth() == JSON_DEPTH_MAX {
                    return Err(JsonError::TooDeep { at: self.at });
                }
                nesting.push(byte == b'{');
                self.open(byte == b'{')?
            } else {
                self.scalar()?;
                true
            };
            if complete && self.after_value(&mut nesting)? {
                return Ok(kind);
            }
        }
    }

    /// Goes into a container, up to its first value; true if it is empty: its closing bracket comes next.
    fn open(&mut self, is_object: bool) -> Result<bool, JsonError> {
        self.at += 1;
        if let Some(watch) = &mut self.watch {
            watch.open(is_object);
        }
        match self.token() {
            b'}' if is_object => return Ok(true),
            b']' if !is_object => return Ok(true),
            _ if is_object => self.key()?,
            _ => {}
        }
        Ok(false)
    }

    /// Behind a value: closes what closes, up to the next value behind a comma; true if nothing is open any more.
    fn after_value(&mut self, nesting: &mut Nesting) -> Result<bool, JsonError> {
        while nesting.depth() > 0 {
            let is_object = nesting.in_object();
            match self.token() {
                b',' => {
                    self.at += 1;
                    self.token();
                    if is_object {
                        self.key()?;
                    }
                    return Ok(false);
                }
                b'}' if is_object => {}
                b']' if !is_object => {}
                _ => return self.wrong(),
            }
            self.at += 1;
            nesting.pop();
            if let Some(watch) = &mut self.watch {
                watch.close()?;
            }
        }
        Ok(true)
    }

    /// A member's name, its colon and the whitespace before its value.
    fn key(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        self.expect(b'"')?;
        self.at = scalar::string_end(self.text, self.at)?;
        if let Some(watch) = &mut self.watch {
            watch.key(&self.text[start..self.at]);
        }
        self.token();
        self.expect(b':')?;
        self.token();
        Ok(())
    }

    fn scalar(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        self.at = scalar::end(self.text, start)?;
        if let Some(watch) = &mut self.watch {
            watch.scalar(&self.text[start..self.at]);
        }
        Ok(())
    }

    /// Skips whitespace, of which there is mostly none, and looks at the byte behind it.
    #[inline(always)]
    fn token(&mut self) -> u8 {
        let mut byte = self.peek();
        while byte <= b' ' && matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
            self.at += 1;
            byte = self.peek();
        }
        byte
    }

    /// The byte here; at the end of the text 0, which is valid nowhere in JSON.
    fn peek(&self) -> u8 {
        self.text.get(self.at).copied().unwrap_or(0)
    }

    fn expect(&mut self, byte: u8) -> Result<(), JsonError> {
        if self.peek() != byte {
            return self.wrong();
        }
        self.at += 1;
        Ok(())
    }

    fn end(&mut self) -> Result<(), JsonError> {
        self.token();
        if self.at == self.text.len() { Ok(()) } else { self.wrong() }
    }

    fn wrong<T>(&self) -> Result<T, JsonError> {
        Err(JsonError::Syntax { at: self.at })
    }
}

fn kind_of(first: u8) -> Kind {
    match first {
        b'{' => Kind::Object,
        b'[' => Kind::Array,
        b'"' => Kind::String,
        b't' | b'f' => Kind::Bool,
        b'n' => Kind::Null,
        _ => Kind::Number,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    fn element_texts(text: &str) -> Result<Vec<&str>, JsonError> {
        let scan = scan_array(text.as_bytes(), 0)?;
        Ok(scan.elements.iter().map(|range| &text[range.start as usize..range.end as usize]).collect())
    }

    #[test]
    fn one_value_of_each_kind() {
        for (text, kind) in [
            ("{}", Kind::Object),
            (" \t\r\n{ \"a\" : [ 1 , { } ] , \"\" : null }\n", Kind::Object),
            ("[]", Kind::Array),
            ("[ ]", Kind::Array),
            ("[[],{},[[]]]", Kind::Array),
            ("\"\"", Kind::String),
            (r#""a\"\\\/\b\f\n\r\té é 𝄞""#, Kind::String),
            ("\"\u{7f}\u{2028}\"", Kind::String),
            ("0", Kind::Number),
            ("-0", Kind::Number),
            ("-0.0e-0", Kind::Number),
            ("12.50E+3", Kind::Number),
            ("true", Kind::Bool),
            ("false", Kind::Bool),
            ("null", Kind::Null),
        ] {
            assert_eq!(check(text.as_bytes()), Ok(kind), "{text}");
        }
    }

    #[test]
    fn what_is_not_json_is_refused_at_its_byte() {
        for (text, at) in [
            ("", 0),
            ("  ", 2),
            ("{", 1),
            ("[", 1),
            ("[1", 2),
            ("[1,]", 3),
            ("[,1]", 1),
            ("[1 2]", 3),
            ("[1}", 2),
            ("{\"a\":1]", 6),
            ("{\"a\"}", 4),
            ("{\"a\":}", 5),
            ("{\"a\":1,}", 7),
            ("{a:1}", 1),
            ("{1:1}", 1),
            ("[]]", 2),
            ("{} {}", 3),
            ("01", 1),
            ("-", 1),
            ("+1", 0),
            ("1.", 2),
            (".5", 0),
            ("1e", 2),
            ("1e+", 3),
            ("0x10", 1),
            ("NaN", 0),
            ("-Infinity", 1),
            ("tru", 0),
            ("nulll", 4),
            ("True", 0),
            ("'a'", 0),
            ("\"a", 2),
            ("\"a\\", 3),
            ("\"\\x\"", 2),
            ("\"\\u12g4\"", 5),
            ("\"\\u12", 5),
            ("\"tab\there, past the first word\"", 4),
            ("\"a newline after the first word\n\"", 31),
            ("\"nul\0\"", 4),
            ("\u{feff}[]", 0),
            ("[]\0", 2),
            ("\u{a0}[]", 0),
            ("[1,/* no */2]", 3),
        ] {
            assert_eq!(check(text.as_bytes()), Err(JsonError::Syntax { at }), "{text:?}");
        }
    }

    #[test]
    fn t22_unusual_numbers_and_lone_surrogates_stay_text() {
        let long = "9".repeat(400);
        for number in ["1e400", "-0", "1E+99999999", "0.1e-99999", &long, r#""\ud800""#, r#""\uDC00\ud800""#] {
            let text = format!("[ \"e\" ,{number} ]");
            assert_eq!(element_texts(&text), Ok(vec!["\"e\"", number]));
        }
    }

    #[test]
    fn t22_duplicate_keys_stay_text() {
        let twice = r#"{"room":"a","room":"b"}"#;
        assert_eq!(element_texts(&format!("[{twice}]")), Ok(vec![twice]));
    }

    #[test]
    fn elements_are_found_without_their_whitespace() {
        assert_eq!(element_texts(" [ ] "), Ok(vec![]));
        let text = "\n[ \"a,]\" , {\"k\":[1,2]}\t,[],-1.5 ,true,null]";
        assert_eq!(element_texts(text), Ok(vec!["\"a,]\"", "{\"k\":[1,2]}", "[]", "-1.5", "true", "null"]));
        for text in ["{}", "\"a\"", "", "[1] 2", "[1"] {
            assert!(element_texts(text).is_err(), "{text}");
        }
    }

    #[test]
    fn b98_depth_is_bounded_whatever_nests() {
        for (opening, closing) in [("[", "]"), ("{\"a\":", "}")] {
            let nested = |depth: usize| format!("{}1{}", opening.repeat(depth), closing.repeat(depth));
            let at = JSON_DEPTH_MAX * opening.len();
            assert!(check(nested(JSON_DEPTH_MAX).as_bytes()).is_ok());
            assert_eq!(check(nested(JSON_DEPTH_MAX + 1).as_bytes()), Err(JsonError::TooDeep { at }));
            assert_eq!(check(opening.repeat(100_000).as_bytes()), Err(JsonError::TooDeep { at }));
            let argument = nested(JSON_DEPTH_MAX - 1);
            assert!(scan_array(format!("[{argument}]").as_bytes(), 1).is_ok());
            let at = 1 + (JSON_DEPTH_MAX - 1) * opening.len();
            let argument = nested(JSON_DEPTH_MAX);
            assert_eq!(scan_array(format!("[{argument}]").as_bytes(), 1), Err(JsonError::TooDeep { at }));
        }
        let siblings = format!("[{}[]]", "[[[]]],".repeat(1000));
        assert!(check(siblings.as_bytes()).is_ok());
    }

    #[test]
    fn elements_are_bounded() {
        let array = |count: usize| format!("[{}0]", "0,".repeat(count - 1));
        assert_eq!(scan_array(array(JSON_ELEMENTS_MAX).as_bytes(), 0).unwrap().elements.len(), JSON_ELEMENTS_MAX);
        let at = 1 + 2 * JSON_ELEMENTS_MAX;
        assert_eq!(scan_array(array(JSON_ELEMENTS_MAX + 1).as_bytes(), 0), Err(JsonError::TooManyElements { at }));
    }

    /// Any JSON value, nested a little.
    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<i32>().prop_map(|eighths| Value::from(f64::from(eighths) / 8.0)),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(5, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::vec((any::<String>(), inner), 0..6).prop_map(|pairs| pairs.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn elements_parse_to_what_the_array_holds(values in prop::collection::vec(any_value(), 0..6), pretty: bool) {
            let array = Value::from(values.clone());
            let text = if pretty { format!("{array:#}") } else { array.to_string() };
            let parsed = element_texts(&text).unwrap().into_iter().map(|raw| serde_json::from_str(raw).unwrap());
            prop_assert_eq!(parsed.collect::<Vec<Value>>(), values);
        }

        /// Against serde_json, on JSON with one byte changed: both accept or both refuse. (serde_json refuses lone
        /// surrogates and numbers beyond a double, which we pass on; those are left out.)
        #[test]
        fn refuses_what_another_parser_refuses(value in any_value(), at: prop::sample::Index, with in 0u8..0x80) {
            let mut bytes = value.to_string().into_bytes();
            let at = at.index(bytes.len());
            bytes[at] = with;
            if let Ok(text) = std::str::from_utf8(&bytes) {
                let theirs = serde_json::from_str::<Value>(text);
                let lenient = theirs.as_ref().is_err_and(|error| {
                    let reason = error.to_string();
                    ["surrogate", "out of range", "hex escape"].iter().any(|word| reason.contains(word))
                });
                prop_assert!(lenient || check(&bytes).is_ok() == theirs.is_ok(), "{text}");
            }
        }

        #[test]
        fn never_panics(bytes: Vec<u8>, picks in prop::collection::vec(0usize..16, 0..60)) {
            let pieces: [&[u8]; 16] = [b"[", b"]", b"{", b"}", b",", b":", b"\"", b"\\", b"1", b"-", b".", b"e",
                b"true", b" ", b"\"_placeholder\"", b"\"num\""];
            let text: Vec<u8> = picks.iter().flat_map(|pick| pieces[*pick]).copied().collect();
            for input in [&bytes, &text] {
                let _ = (check(input), scan_array(input, 0), scan_array(input, 3));
            }
        }
    }
}
