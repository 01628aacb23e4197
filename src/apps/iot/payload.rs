//! What comes from clients, as values.

use serde_json::{Map, Value};

use super::who::{VALIDATION, fail};
use crate::app::event::Event;
use crate::app::kit::ack::Fail;

/// The text that an event's argument is, or has under `key`; `None`: null, absent or empty.
///
/// # Errors
/// `VALIDATION` where it is anything else.
pub(super) fn named(event: &Event, key: &str) -> Result<Option<String>, Fail> {
    let Some(raw) = event.args.raw(0) else { return Ok(None) };
    let value: Value = serde_json::from_slice(raw).map_err(|_| fail(VALIDATION))?;
    let text = match value {
        Value::Object(mut object) => object.remove(key).unwrap_or_default(),
        value => value,
    };
    match text {
        Value::Null => Ok(None),
        Value::String(text) if text.chars().count() <= TEXT_CHARS_MAX => Ok(Some(text).filter(|text| !text.is_empty())),
        _ => Err(fail(VALIDATION)),
    }
}

/// The object that an event's argument is.
///
/// # Errors
/// `VALIDATION` where it is anything else.
pub(super) fn object(event: &Event) -> Result<Map<String, Value>, Fail> {
    event.args.parse(0).ok_or_else(|| fail(VALIDATION))
}

/// A text of 1 to `chars_max` characters.
///
/// # Errors
/// `VALIDATION` where it is none.
pub(super) fn text<'a>(object: &'a Map<String, Value>, key: &str, chars_max: usize) -> Result<&'a str, Fail> {
    let text = object.get(key).and_then(Value::as_str).unwrap_or("");
    let fits = (1..=chars_max).contains(&text.chars().count());
    fits.then_some(text).ok_or_else(|| fail(VALIDATION))
}

/// The same where it may be absent or null.
///
/// # Errors
/// `VALIDATION` where something else is there.
pub(super) fn optional_text<'a>(
    object: &'a Map<String, Value>,
    key: &str,
    chars_max: usize,
) -> Result<Option<&'a str>, Fail> {
    match object.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(_) => text(object, key, chars_max).map(Some),
    }
}

/// A whole number of a range, where it is there.
///
/// # Errors
/// `VALIDATION` where something else is there.
pub(super) fn optional_int(
    object: &Map<String, Value>,
    key: &str,
    range: std::ops::RangeInclusive<u64>,
) -> Result<Option<u64>, Fail> {
    let number = match object.get(key) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Number(number)) => number,
        Some(_) => return Err(fail(VALIDATION)),
    };
    let whole = number.as_u64().or_else(|| {
        let real = number.as_f64()?;
        (real >= 0.0 && real.fract() == 0.0 && real < 9e15).then_some(real as u64)
    });
    whole.filter(|number| range.contains(number)).map(Some).ok_or_else(|| fail(VALIDATION))
}

/// Characters of an id or a name that a client sends.
pub(super) const TEXT_CHARS_MAX: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::event::Args;
    use crate::base::ids::{Key, NspIndex, ShardId, SocketRef};
    use serde_json::json;

    fn event(args: &[Value]) -> Event {
        let socket = SocketRef { shard: ShardId(0), key: Key { slot: 1, generation: 0 } };
        Event { socket, nsp: NspIndex(0), identity: Default::default(), args: Args::of("x", args), ack: None }
    }

    #[test]
    fn a_name_is_said_in_either_form() {
        let check = |args: &[Value], expected: Result<Option<&str>, ()>| {
            let found = named(&event(args), "systemId").map_err(drop);
            assert_eq!(found, expected.map(|text| text.map(str::to_owned)), "{args:?}");
        };
        check(&[json!("s1")], Ok(Some("s1")));
        check(&[json!({"systemId": "s1"})], Ok(Some("s1")));
        for absent in [&[][..], &[json!(null)], &[json!("")], &[json!({})], &[json!({"systemId": null})]] {
            check(absent, Ok(None));
        }
        for wrong in [json!(5), json!(true), json!(["s1"]), json!({"systemId": 5}), json!("x".repeat(129))] {
            check(&[wrong], Err(()));
        }
    }

    #[test]
    fn numbers_are_whole_and_in_their_range() {
        let check = |value: Value, expected: Result<Option<u64>, ()>| {
            let object = json!({"timer": value}).as_object().unwrap().clone();
            assert_eq!(optional_int(&object, "timer", 1..=10).map_err(drop), expected, "{value}");
        };
        check(json!(null), Ok(None));
        check(json!(1), Ok(Some(1)));
        check(json!(10.0), Ok(Some(10)));
        for wrong in [json!(0), json!(11), json!(1.5), json!("1"), json!(-1), json!(true), json!([1])] {
            check(wrong, Err(()));
        }
    }
}
