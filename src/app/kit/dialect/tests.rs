//! Tables and their walk, event by event; bad tables; and that a table which is a bijection goes there and back.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::base::rng::Rng;
use crate::base::time::WallMillis;

static HYPHEN: Dialect = Dialect {
    name: "hyphen",
    strict: true,
    refused: None,
    acked: None,
    words: &[
        Word { fields: &[("text", "content"), ("from.id", "sender")], ..Word::both("message:new", "new-message") },
        Word { ack: &[("id", "messageId")], ..Word::heard("say", "message:send") },
        Word { ack: &[("id", "messageId")], acked: Some(louder), ..Word::heard("shout", "message:send") },
        Word { heard: Some(louder), ..Word::heard("call", "message:send") },
        Word::both("typing", "is-typing"),
        Word { fields: &[("", "roomId"), ("slot", "")], ..Word::both("join", "enter") },
        Word { told: Some(both_stops), ..Word::told("typing:stop", "typing-stop") },
        Word { told: Some(only_beside), ..Word::told("read", "was-read") },
        Word::told("user:connected", ""),
        Word::heard("ping", ""),
        Word { told: Some(echoed), ..Word::heard("hello", "") },
    ],
};

fn echoed(said: &mut Vec<Said>, aside: &mut Aside<'_>) {
    let asked: Option<Value> = said[0].arg(0);
    *said = vec![Said::new("hello-back", &json!({"asked": asked, "at": aside.now.wall.0}))];
}

fn louder(said: &mut Said, aside: &mut Aside<'_>) {
    said.name.push('!');
    let at = aside.now.wall.0;
    said.set(0, &json!({"loud": said.arg::<Value>(0), "at": at}));
}

fn both_stops(said: &mut Vec<Said>, _: &mut Aside<'_>) {
    said.push(Said { name: "stop-typing".into(), ..said[0].clone() });
}

fn only_beside(said: &mut Vec<Said>, aside: &mut Aside<'_>) {
    match aside.beside {
        Some(text) => said[0].set(0, &serde_json::from_str::<Value>(text).unwrap()),
        None => said.clear(),
    }
}

fn aside(rng: &mut Rng) -> Aside<'_> {
    Aside { now: Now { wall: WallMillis(7), ..Now::default() }, rng, beside: None }
}

fn args(array: &str, attachments: Vec<Bytes>) -> Args {
    let elements = scan_array(array.as_bytes(), attachments.len() as u32).unwrap().elements;
    Args::new(Bytes::copy_from_slice(array.as_bytes()), elements, attachments)
}

/// What is heard of an array, and the row that its ack goes by.
fn heard(dialect: &Dialect, array: &str) -> Option<(String, Option<Answers>)> {
    let heard = dialect.hear(args(array, Vec::new()), &mut aside(&mut Rng::from_seed([0; 32])));
    let Heard::Home(args, answers) = heard else { return None };
    let text = String::from_utf8(args.array().to_vec()).unwrap();
    let found = scan_array(args.array(), 0).unwrap().elements;
    let raws: Vec<&[u8]> = (0..args.len()).filter_map(|index| args.raw(index)).collect();
    let expected: Vec<&[u8]> =
        found[1..].iter().map(|range| &args.array()[range.start as usize..range.end as usize]).collect();
    assert_eq!(raws, expected, "the ranges are those of the text");
    Some((text, answers))
}

fn told(dialect: &Dialect, event: &Emission) -> Vec<String> {
    let mut rng = Rng::from_seed([0; 32]);
    let mut aside = Aside { beside: event.beside.as_ref().map(|text| &***text), ..aside(&mut rng) };
    let told = dialect.tell(event, &mut aside).unwrap_or_else(|| vec![event.clone()]);
    told.iter().map(|event| String::from_utf8(event.array.to_vec()).unwrap()).collect()
}

fn emission(array: &str) -> Emission {
    Emission { array: Bytes::copy_from_slice(array.as_bytes()), attachments: Vec::new(), beside: None }
}

#[track_caller]
fn check(ours: &str, theirs: &str) {
    assert_eq!(told(&HYPHEN, &emission(ours)), [theirs]);
    assert_eq!(heard(&HYPHEN, theirs), Some((ours.to_owned(), None)));
}

#[test]
fn names_and_fields_go_by_the_table_in_both_directions() {
    check(r#"["message:new",{"id":1,"text":"a","x":2}]"#, r#"["new-message",{"id":1,"content":"a","x":2}]"#);
    check(
        r#"["message:new",{"text":1,"from":{"n":3,"id":2}}]"#,
        r#"["new-message",{"content":1,"from":{"n":3},"sender":2}]"#,
    );
    check(r#"["message:new",{"from":{"id":2}}]"#, r#"["new-message",{"sender":2}]"#);
    check(r#"["message:new",[{"text":1}],null,"text",{}]"#, r#"["new-message",[{"text":1}],null,"text",{}]"#);
    check(r#"["typing"]"#, r#"["is-typing"]"#);
    check(r#"["typing",{"text":1}]"#, r#"["is-typing",{"text":1}]"#);
}

#[test]
fn what_no_row_is_about_keeps_its_bytes() {
    check(
        r#"["message:new",{"text":1.50,"n":12345678901234567890123,"t":{"text" : 1e2},"u":"\u00e9\ud800"}]"#,
        r#"["new-message",{"content":1.50,"n":12345678901234567890123,"t":{"text" : 1e2},"u":"\u00e9\ud800"}]"#,
    );
    for array in [r#"["other", {"text" :1}]"#, "[1,{\"text\":1}]", r#"["\ud800"]"#] {
        check(array, array);
    }
    // An argument that our readers cannot take apart stays whole.
    check(r#"["message:new",{"\ud800":1,"text":2}]"#, r#"["new-message",{"\ud800":1,"text":2}]"#);
}

#[test]
fn a_field_that_cannot_go_where_it_should_loses_nothing() {
    for (said, expected) in [
        // What is renamed takes the place of what has that name.
        (r#"{"content":1,"text":2}"#, r#"{"text":1}"#),
        (r#"{"text":2,"content":1}"#, r#"{"text":1}"#),
        // Something on the way is no object.
        (r#"{"sender":1,"from":"x"}"#, r#"{"sender":1,"from":"x"}"#),
        (r#"{"sender":1,"from":{}}"#, r#"{"from":{"id":1}}"#),
        (r#"{"sender":1,"content":3}"#, r#"{"text":3,"from":{"id":1}}"#),
        // Readers take the last of two.
        (r#"{"content":1,"content":2}"#, r#"{"content":1,"text":2}"#),
        (r#"{"\u0063ontent":1}"#, r#"{"text":1}"#),
    ] {
        let (heard, _) = heard(&HYPHEN, &format!("[\"new-message\",{said}]")).unwrap();
        assert_eq!(heard, format!("[\"message:new\",{expected}]"), "{said}");
    }
}

#[test]
fn fields_that_the_other_side_lacks_are_left_out() {
    assert_eq!(heard(&HYPHEN, r#"["enter",{"roomId":1,"a":2}]"#).unwrap().0, r#"["join",{"a":2}]"#);
    assert_eq!(told(&HYPHEN, &emission(r#"["join",{"slot":1,"roomId":2}]"#)), [r#"["enter",{"roomId":2}]"#]);
}

#[test]
fn members_may_change_places() {
    static SWAP: Dialect = Dialect {
        name: "swap",
        strict: false,
        refused: None,
        acked: None,
        words: &[Word { fields: &[("a", "b"), ("b", "a"), ("c.d", "c.e"), ("c", "f")], ..Word::both("x", "y") }],
    };
    assert_eq!(told(&SWAP, &emission(r#"["x",{"a":1,"b":2}]"#)), [r#"["y",{"b":1,"a":2}]"#]);
    assert_eq!(told(&SWAP, &emission(r#"["x",{"c":{"d":1,"g":2}}]"#)), [r#"["y",{"f":{"g":2},"c":{"e":1}}]"#]);
}

#[test]
fn one_event_is_told_as_two_or_not_at_all() {
    assert_eq!(told(&HYPHEN, &emission(r#"["typing:stop",1]"#)), [r#"["typing-stop",1]"#, r#"["stop-typing",1]"#]);
    assert!(told(&HYPHEN, &emission(r#"["user:connected",1]"#)).is_empty());
    assert!(told(&HYPHEN, &emission(r#"["read",1]"#)).is_empty());
    let event = Emission::new("read", &1).beside(&json!(["m1", "m2"]));
    assert_eq!(told(&HYPHEN, &event), [r#"["was-read",["m1","m2"]]"#]);
    assert_eq!(heard(&HYPHEN, r#"["ping",1]"#), None);
}

#[test]
fn what_no_home_hears_is_answered_at_once() {
    let mut rng = Rng::from_seed([0; 32]);
    for (said, expected) in [
        (r#"["hello",{"a":1}]"#, vec![r#"["hello-back",{"asked":{"a":1},"at":7}]"#]),
        (r#"["hello"]"#, vec![r#"["hello-back",{"asked":null,"at":7}]"#]),
        (r#"["ping",1]"#, vec![]),
    ] {
        let Heard::Nobody(told) = HYPHEN.hear(args(said, Vec::new()), &mut aside(&mut rng)) else { panic!("{said}") };
        let told: Vec<String> = told.iter().map(|event| String::from_utf8(event.array.to_vec()).unwrap()).collect();
        assert_eq!(told, expected, "{said}");
    }
}

#[test]
fn a_dialect_changes_every_ack_behind_its_word() {
    static POLITE: Dialect =
        Dialect { name: "polite", strict: true, refused: None, acked: Some(louder), words: HYPHEN.words };
    let mut rng = Rng::from_seed([0; 32]);
    for (said, expected) in [
        (r#"["say",1]"#, r#"{"loud":{"messageId":1},"at":7}"#),
        (r#"["shout",1]"#, r#"{"loud":{"loud":{"messageId":1},"at":7},"at":7}"#),
        (r#"["typing",1]"#, r#"{"loud":{"id":1},"at":7}"#),
        (r#"["another",1]"#, r#"{"loud":{"id":1},"at":7}"#),
    ] {
        let (_, answers) = heard(&POLITE, said).unwrap();
        let (answer, _) = POLITE.answer(answers.unwrap(), br#"{"id":1}"#, &[], &mut aside(&mut rng)).unwrap();
        assert_eq!(answer, expected, "{said}");
    }
}

#[test]
fn acks_go_by_the_row_of_what_they_answer() {
    for (said, args, expected) in [
        (r#"["say",1]"#, r#"{"id":1,"ok":true},2"#, r#"{"messageId":1,"ok":true},2"#),
        (r#"["say",1]"#, "", ""),
        (r#"["shout",1]"#, r#"{"id":1}"#, r#"{"loud":{"messageId":1},"at":7}"#),
    ] {
        let (heard, answers) = heard(&HYPHEN, said).unwrap();
        assert_eq!(heard, r#"["message:send",1]"#);
        let mut rng = Rng::from_seed([0; 32]);
        let (answer, _) = HYPHEN.answer(answers.unwrap(), args.as_bytes(), &[], &mut aside(&mut rng)).unwrap();
        assert_eq!(answer, expected);
    }
}

#[test]
fn a_function_sees_our_words_of_what_is_heard() {
    assert_eq!(heard(&HYPHEN, r#"["call","x"]"#).unwrap().0, r#"["message:send!",{"loud":"x","at":7}]"#);
}

#[test]
fn our_name_for_what_is_spelled_otherwise_is_nobodys_where_a_dialect_is_strict() {
    static LAX: Dialect = Dialect { name: "lax", strict: false, refused: None, acked: None, words: HYPHEN.words };
    for (said, strict, lax) in [
        ("message:send", "hyphen/message:send", "message:send"),
        ("typing", "hyphen/typing", "typing"),
        ("another", "another", "another"),
    ] {
        let array = |name: &str| format!("[\"{name}\",1]");
        assert_eq!(heard(&HYPHEN, &array(said)).unwrap().0, array(strict));
        assert_eq!(heard(&LAX, &array(said)).unwrap().0, array(lax));
    }
}

#[test]
fn an_attachment_never_parts_from_its_stand_in() {
    let stand_in = r#"{"_placeholder":true,"num":0}"#;
    let data = vec![Bytes::from_static(b"x")];
    let mut rng = Rng::from_seed([0; 32]);
    for (said, expected) in [
        (format!(r#"["new-message",{{"content":{stand_in}}}]"#), format!(r#"["message:new",{{"text":{stand_in}}}]"#)),
        // The field would be left out, so the event stays as it came.
        (format!(r#"["enter",{{"roomId":{stand_in}}}]"#), format!(r#"["enter",{{"roomId":{stand_in}}}]"#)),
    ] {
        let heard = HYPHEN.hear(args(&said, data.clone()), &mut aside(&mut rng));
        let Heard::Home(heard, _) = heard else { panic!("{said} is for its home") };
        assert_eq!((heard.array(), heard.attachments()), (expected.as_bytes(), &data[..]));
    }
    let event = |array: String| Emission { attachments: data.clone(), ..emission(&array) };
    let lost = event(format!(r#"["join",{{"slot":{stand_in}}}]"#));
    assert!(HYPHEN.tell(&lost, &mut aside(&mut rng)).is_none());
    let twice = HYPHEN.tell(&event(format!(r#"["typing:stop",{stand_in}]"#)), &mut aside(&mut rng)).unwrap();
    assert!(twice.iter().all(|event| event.attachments == data));
}

#[test]
fn a_bad_table_says_what_is_wrong() {
    const A: Word = Word::both("a", "x");
    const SAME_FIELD: Word = Word { fields: &[("f", "g"), ("h", "g")], ..Word::both("b", "y") };
    const SAME_ACK: Word = Word { ack: &[("f", "g"), ("f", "h")], ..Word::both("b", "y") };
    let faults =
        |words: &'static [Word]| Dialect { name: "d", strict: false, refused: None, acked: None, words }.faults();
    assert_eq!(faults(HYPHEN.words), Vec::<String>::new());
    const GOOD: &[Word] = &[A, Word::heard("z", "a"), Word::told("b", ""), Word::told("c", "")];
    assert_eq!(faults(GOOD), Vec::<String>::new());
    const CASES: &[(&[Word], &str)] = &[
        (&[A, Word::both("b", "x")], "d: what clients say as x is there twice"),
        (&[A, Word::both("b", "x")], "d: what clients are told as x is there twice"),
        (&[A, Word::both("a", "y")], "d: our event a is there twice"),
        (&[A, Word::heard("x", "b")], "d: what clients say as x is there twice"),
        (&[A, Word::told("b", "x")], "d: what clients are told as x is there twice"),
        (&[SAME_FIELD], "d: the field of y g is there twice"),
        (&[SAME_ACK], "d: the field of b f is there twice"),
    ];
    for (words, expected) in CASES {
        assert!(faults(words).contains(&(*expected).to_owned()), "{words:?}\n{:?}", faults(words));
    }
}

/// A table that is a bijection: names and fields of ours that begin with `o` are theirs that begin with `t`, in some order.
fn bijection(order: &[usize], nested: bool) -> &'static Dialect {
    const OURS: [&str; 4] = ["o0", "o1", "o2", "o3"];
    const THEIRS: [&str; 4] = ["t0", "t1", "t2", "t3"];
    let pairs = |ours: [&'static str; 4], theirs: [&'static str; 4]| -> Vec<Field> {
        order.iter().enumerate().map(|(index, other)| (ours[index], theirs[*other])).collect()
    };
    let mut fields = pairs(OURS, THEIRS);
    fields.extend([("n.o0", "n.t1"), ("n.o1", "n.t0")]);
    if nested {
        fields.extend([("m.o0", "tm0"), ("om1", "k.t1")]);
    }
    let fields: &'static [Field] = fields.leak();
    let words = pairs(OURS, THEIRS).into_iter().map(|(ours, theirs)| Word { fields, ..Word::both(ours, theirs) });
    let dialect =
        Dialect { name: "d", strict: false, refused: None, acked: None, words: words.collect::<Vec<_>>().leak() };
    assert_eq!(dialect.faults(), Vec::<String>::new());
    Box::leak(Box::new(dialect))
}

/// An object in our words, with objects inside, and names that no row has.
fn payload() -> impl Strategy<Value = Value> {
    let leaf =
        prop_oneof![any::<i64>().prop_map(Value::from), ".{0,6}".prop_map(Value::from), Just(json!([{"o1": 1}]))];
    let name = prop::sample::select(vec!["o0", "o1", "o2", "o3", "om1", "a", "é\"\\", ""]);
    let flat = prop::collection::vec((name, leaf), 0..6);
    let object = |members: Vec<(&'static str, Value)>| {
        Value::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    };
    let inner = (prop::sample::select(vec!["n", "m", "o2"]), flat.clone());
    (flat, prop::option::of(inner)).prop_map(move |(mut members, inner)| {
        members.extend(inner.map(|(name, flat)| (name, object(flat))));
        object(members)
    })
}

proptest! {
    #[test]
    fn there_and_back_is_the_identity(
        order in Just(vec![0usize, 1, 2, 3]).prop_shuffle(),
        nested in any::<bool>(),
        name in "o[0-4]|a",
        payload in payload(),
    ) {
        let dialect = bijection(&order, nested);
        let ours = Emission::new(&name, &payload);
        let theirs = told(dialect, &ours);
        prop_assert_eq!(theirs.len(), 1);
        let (back, _) = heard(dialect, &theirs[0]).unwrap();
        if !nested {
            prop_assert_eq!(back.as_bytes(), &ours.array[..]);
        }
        let (back, ours): (Value, Value) = (serde_json::from_str(&back).unwrap(), serde_json::from_slice(&ours.array).unwrap());
        prop_assert_eq!(back, ours, "by way of {}", &theirs[0]);
    }
}
