//! The walk over an object's members: each is renamed, or moved into another object or out of one, by a list of paths. An
//! object is opened as far as a path leads; everything else stays the text it is.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap as _, Serializer};
use serde_json::value::{RawValue, to_raw_value};

use super::Field;

/// The text with members renamed by `pairs` of (from, to); `None`: it is no object, or has none of them. All are taken before
/// one is put, so two may change places. What is renamed takes the place of a member that has that name already; one whose
/// way is blocked by something that is no object stays; an object that has given its last member away goes with it.
pub(super) fn renamed(text: &RawValue, pairs: &[Field]) -> Option<Box<RawValue>> {
    if pairs.is_empty() {
        return None;
    }
    let mut object = Object::read(text)?;
    let mut by_depth: Vec<Field> = pairs.iter().copied().filter(|(from, _)| !from.is_empty()).collect();
    let depth = |path: &str| path.matches('.').count();
    by_depth.sort_by_key(|(from, _)| std::cmp::Reverse(depth(from)));
    let mut taken: Vec<(Field, Node)> =
        by_depth.into_iter().filter_map(|pair| Some((pair, object.take(pair.0)?))).collect();
    if taken.is_empty() {
        return None;
    }
    taken.sort_by_key(|((_, to), _)| depth(to));
    for ((from, to), node) in taken {
        if to.is_empty() {
            continue;
        }
        let stays = parent(from) == parent(to);
        if let Err(node) = object.put(to, if stays { leaf(from) } else { "" }, node) {
            let _ = object.put(from, leaf(from), node);
        }
    }
    object.prune();
    Some(to_raw_value(&object).expect("names and JSON texts are JSON"))
}

/// The members of an object in their order.
struct Object<'a>(Vec<Member<'a>>);

struct Member<'a> {
    name: Cow<'a, str>,
    node: Node<'a>,
}

enum Node<'a> {
    Closed(&'a RawValue),
    Open(Object<'a>),
    /// What stood here was taken; the place is kept for its successor.
    Taken,
}

impl<'a> Object<'a> {
    fn read(text: &'a RawValue) -> Option<Object<'a>> {
        let is_object = text.get().starts_with('{');
        if is_object { serde_json::from_str(text.get()).ok() } else { None }
    }

    /// Takes a member out. Readers of a name that is there twice take the last.
    fn take(&mut self, path: &str) -> Option<Node<'a>> {
        let (first, rest) = split(path);
        let member = self.0.iter_mut().rev().find(|member| member.is(first))?;
        match rest {
            Some(rest) => member.open()?.take(rest),
            None => Some(std::mem::replace(&mut member.node, Node::Taken)),
        }
    }

    /// Puts a member in, at the place that one called `was` has left, if there is one. `Err`: something on the way is no object.
    fn put(&mut self, path: &str, was: &str, node: Node<'a>) -> Result<(), Node<'a>> {
        let (first, rest) = split(path);
        if let Some(rest) = rest {
            let index = self.0.iter().rposition(|member| member.is(first)).unwrap_or_else(|| {
                self.0.push(Member { name: first.to_owned().into(), node: Node::Open(Object(Vec::new())) });
                self.0.len() - 1
            });
            return match self.0[index].open() {
                Some(inner) => inner.put(rest, was, node),
                None => Err(node),
            };
        }
        self.0.iter_mut().filter(|member| member.is(first)).for_each(|member| member.node = Node::Taken);
        let new = Member { name: first.to_owned().into(), node };
        match self.0.iter_mut().rfind(|member| matches!(member.node, Node::Taken) && member.name == was) {
            Some(place) => *place = new,
            None => self.0.push(new),
        }
        Ok(())
    }

    /// Closes the places that nobody took; `true`: nothing is left of what was there.
    fn prune(&mut self) -> bool {
        let members = self.0.len();
        self.0.retain_mut(|member| match &mut member.node {
            Node::Closed(_) => true,
            Node::Open(inner) => !inner.prune(),
            Node::Taken => false,
        });
        members > 0 && self.0.is_empty()
    }
}

impl<'a> Member<'a> {
    fn is(&self, name: &str) -> bool {
        self.name == name && !matches!(self.node, Node::Taken)
    }

    fn open(&mut self) -> Option<&mut Object<'a>> {
        if let Node::Closed(text) = self.node {
            self.node = Node::Open(Object::read(text)?);
        }
        match &mut self.node {
            Node::Open(object) => Some(object),
            _ => None,
        }
    }
}

fn split(path: &str) -> (&str, Option<&str>) {
    path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)))
}

fn parent(path: &str) -> &str {
    path.rsplit_once('.').map_or("", |(parent, _)| parent)
}

fn leaf(path: &str) -> &str {
    path.rsplit_once('.').map_or(path, |(_, leaf)| leaf)
}

impl<'a> Deserialize<'a> for Object<'a> {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Object<'a>, D::Error> {
        deserializer.deserialize_map(InOrder)
    }
}

struct InOrder;

impl<'a> Visitor<'a> for InOrder {
    type Value = Object<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut access: A) -> Result<Object<'a>, A::Error> {
        let mut members = Vec::new();
        while let Some((Name(name), text)) = access.next_entry()? {
            members.push(Member { name, node: Node::Closed(text) });
        }
        Ok(Object(members))
    }
}

#[derive(serde::Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for member in &self.0 {
            match &member.node {
                Node::Closed(text) => map.serialize_entry(&member.name, text)?,
                Node::Open(object) => map.serialize_entry(&member.name, object)?,
                Node::Taken => {}
            }
        }
        map.end()
    }
}
