//! An event in parts, as functions of a dialect see it: a name, arguments as JSON texts, attachments.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::{RawValue, to_raw_value};

use super::Field;
use super::fields::renamed;
use crate::app::effect::Emission;
use crate::app::event::Args;

/// An event, or an ack, in parts. A stand-in of an attachment stays where its attachment does.
#[derive(Clone, Debug)]
pub struct Said {
    pub name: String,
    pub args: Vec<Box<RawValue>>,
    pub attachments: Vec<Bytes>,
}

impl Said {
    /// An event with one argument.
    pub fn new(name: &str, arg: &impl Serialize) -> Said {
        Said { name: name.to_owned(), args: vec![raw(arg)], attachments: Vec::new() }
    }

    /// The argument `index` read as `T`; `None` if absent or of another shape.
    pub fn arg<T: DeserializeOwned>(&self, index: usize) -> Option<T> {
        serde_json::from_str(self.args.get(index)?.get()).ok()
    }

    /// Puts a value in the place of the argument `index`, or behind the last one.
    pub fn set(&mut self, index: usize, value: &impl Serialize) {
        match self.args.get_mut(index) {
            Some(arg) => *arg = raw(value),
            None => self.args.push(raw(value)),
        }
    }

    /// What a client has said, under another name.
    pub(super) fn of_args(name: &str, args: &Args) -> Option<Said> {
        let texts = (0..args.len()).map(|index| serde_json::from_slice(args.raw(index)?).ok());
        Some(Said {
            name: name.to_owned(),
            args: texts.collect::<Option<_>>()?,
            attachments: args.attachments().to_vec(),
        })
    }

    /// The event under another name.
    pub(super) fn of_emission(name: &str, event: &Emission) -> Option<Said> {
        let mut args: Vec<Box<RawValue>> = serde_json::from_slice(&event.array).ok()?;
        args.remove(0);
        Some(Said { name: name.to_owned(), args, attachments: event.attachments.clone() })
    }

    /// An ack to the event of this name; `args` are JSON texts without brackets.
    pub(super) fn of_answer(name: &str, args: &[u8], attachments: &[Bytes]) -> Option<Said> {
        let args = serde_json::from_slice(&[b"[", args, b"]"].concat()).ok()?;
        Some(Said { name: name.to_owned(), args, attachments: attachments.to_vec() })
    }

    /// As its home hears it.
    pub(super) fn into_args(self) -> Args {
        Args::written(&self.name, self.args.iter().map(|arg| arg.get().as_bytes())).with_attachments(self.attachments)
    }

    /// As clients are told.
    pub(super) fn into_emission(self) -> Emission {
        let args: Vec<&str> = self.args.iter().map(|arg| arg.get()).collect();
        Emission { attachments: self.attachments, ..Emission::with_args(&self.name, &args) }
    }

    /// As the arguments of an ack, without brackets, and its attachments.
    pub(super) fn into_answer(self) -> (Bytes, Vec<Bytes>) {
        let args: Vec<&str> = self.args.iter().map(|arg| arg.get()).collect();
        (args.join(",").into(), self.attachments)
    }

    /// Renames members of the arguments that are objects; `turn` makes (from, to) of a field.
    pub(super) fn rename(&mut self, fields: &[Field], turn: fn(Field) -> Field) {
        let pairs: Vec<Field> = fields.iter().map(|field| turn(*field)).collect();
        for arg in &mut self.args {
            if let Some(new) = renamed(arg, &pairs) {
                *arg = new;
            }
        }
    }
}

/// The name of an event, from its JSON array; `None` where it is no text.
pub(super) fn name_of(array: &[u8]) -> Option<Cow<'_, str>> {
    let mut values = serde_json::Deserializer::from_slice(array.trim_ascii_start().strip_prefix(b"[")?).into_iter();
    let raw: &RawValue = values.next()?.ok()?;
    match raw.get().strip_prefix('"')?.strip_suffix('"')? {
        plain if !plain.contains('\\') => Some(Cow::Borrowed(plain)),
        _ => serde_json::from_str(raw.get()).ok().map(Cow::Owned),
    }
}

fn raw(value: &impl Serialize) -> Box<RawValue> {
    to_raw_value(value).expect("our own types serialise to JSON")
}
