//! Settings declared once. An application says in one place what a key is called, its type, its default, what it takes and what
//! it is for ([`settings!`]); reading, checking, rendering and documents follow. The configuration sees all of them through
//! [`Choice`].
//!
//! | of a field | what it is in the file | declared as |
//! |---|---|---|
//! | a whole number | `name = 5` | [`int`] |
//! | `f64` | `name = 0.5` | [`real`] |
//! | `bool` | `name = true` | [`switch`] |
//! | an enum of [`words!`] | `name = "local"` | [`word`] |
//! | `String` | `name = "…"` | [`text`] |
//! | [`Secret`] | `name = "…"`, never shown | [`secret`] |
//! | `Vec<String>`, `Vec<Secret>` | `name = ["…"]` | [`list`], [`secrets`] |
//! | a type of [`settings!`] | `[name]` | [`section`] |
//! | `Vec` of such a type | `[[name]]`, none by default | [`rows`] |
//! | `BTreeMap<String, V>` | `name = { free = … }`, laid over the default name by name | [`map`] |
//!
//! In the environment a part has its own variable (`SIOD__APPS__X__BREAKER__FAILURES`), a row's begins with its number
//! (`SIOD__APPS__X__RUNNER__0__NAME`), a map is a JSON object. Tables and rows may be JSON too.

mod access;
mod nested;
mod written;

use core::net::IpAddr;
use std::any::Any;
use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::ops::RangeInclusive;
use std::sync::Arc;

use ipnet::IpNet;

pub use access::{Access, Entry, Field, Key, Kind, Part, Value, entries, take_keys};
pub use nested::{Declared, take_rows, take_table};
pub use written::{Parts, Said, Variable, Written, refuse_unknown};

use crate::app::Application;
use crate::app::job::ShelfSettings;
use crate::base::secret::Secret;

/// The settings of one application as they were chosen, and the application that is made of them.
pub trait Choice: Send + Sync {
    /// Its keys with their values, in the order they are rendered.
    fn entries(&self) -> Vec<Entry>;

    /// Takes in what was written of its keys, out of the parts of the table at `path`.
    fn take(&mut self, parts: &mut Parts, path: &str, refusals: &mut Vec<String>);

    /// The application, one value for each shard.
    fn build(&self) -> Box<dyn Application>;

    /// The shelves it keeps blobs on.
    fn shelves(&self) -> Vec<ShelfSettings>;

    /// Hosts that its settings name, as URLs, as `host` or `host:port`, or as networks: they may be asked and dialled wherever they lead.
    fn hosts(&self) -> Vec<String>;

    /// Origins whose pages may connect, or `*`, to a listener whose root it is.
    fn origins(&self) -> Vec<String>;

    /// A copy.
    fn copy(&self) -> Box<dyn Choice>;

    /// The settings themselves, for those that know their type.
    fn values(&self) -> &dyn Any;

    /// A copy of them that many share.
    fn shared(&self) -> Arc<dyn Any + Send + Sync>;
}

/// Settings of type `S`, and what is made of them.
#[derive(Clone)]
pub struct Chosen<S: 'static> {
    pub values: S,
    pub build: fn(&S) -> Box<dyn Application>,
    pub shelves: fn(&S) -> Vec<ShelfSettings>,
    pub hosts: fn(&S) -> Vec<String>,
    pub origins: fn(&S) -> Vec<String>,
}

impl<S: Declared + Clone> Chosen<S> {
    /// The defaults, of an application that keeps no blobs and names neither hosts nor origins. One that does says so:
    /// `Box::new(Chosen { hosts, ..Chosen::of(build) })`.
    pub fn of(build: fn(&S) -> Box<dyn Application>) -> Chosen<S> {
        Chosen { values: S::default(), build, shelves: |_| Vec::new(), hosts: |_| Vec::new(), origins: |_| Vec::new() }
    }

    /// The same as its row has it.
    pub fn untold(build: fn(&S) -> Box<dyn Application>) -> Box<dyn Choice> {
        Box::new(Chosen::of(build))
    }

    /// The defaults, of one that keeps blobs on these shelves.
    pub fn with_shelves(
        build: fn(&S) -> Box<dyn Application>,
        shelves: fn(&S) -> Vec<ShelfSettings>,
    ) -> Box<dyn Choice> {
        Box::new(Chosen { shelves, ..Chosen::of(build) })
    }
}

impl<S: Declared + Clone> Choice for Chosen<S> {
    fn entries(&self) -> Vec<Entry> {
        entries(S::KEYS, &self.values)
    }

    fn take(&mut self, parts: &mut Parts, path: &str, refusals: &mut Vec<String>) {
        take_keys(S::KEYS, &mut self.values, parts, path, refusals);
    }

    fn build(&self) -> Box<dyn Application> {
        (self.build)(&self.values)
    }

    fn shelves(&self) -> Vec<ShelfSettings> {
        (self.shelves)(&self.values)
    }

    fn hosts(&self) -> Vec<String> {
        (self.hosts)(&self.values)
    }

    fn origins(&self) -> Vec<String> {
        (self.origins)(&self.values)
    }

    fn copy(&self) -> Box<dyn Choice> {
        Box::new(self.clone())
    }

    fn values(&self) -> &dyn Any {
        &self.values
    }

    fn shared(&self) -> Arc<dyn Any + Send + Sync> {
        Arc::new(self.values.clone())
    }
}

/// A whole number that a field holds.
pub trait Number: Copy + 'static {
    /// As keys have it.
    fn widen(self) -> u64;

    /// Back, from within the range of its key.
    fn narrow(number: u64) -> Self;
}

macro_rules! numbers {
    ($($type:ty)*) => { $(
        impl Number for $type {
            fn widen(self) -> u64 {
                self as u64
            }

            fn narrow(number: u64) -> Self {
                number.try_into().expect("the range of a key fits the type of its field")
            }
        }
    )* };
}
numbers!(u8 u16 u32 u64 usize);

/// An enum each value of which is a word of the configuration: [`words!`] makes one.
pub trait Word: Copy + 'static {
    /// All of them.
    const WORDS: &'static [&'static str];

    /// Its word.
    fn word(self) -> &'static str;

    /// The value of one of the words.
    fn of(word: &str) -> Option<Self>;
}

/// A whole number of this range; `unit` may be empty.
pub const fn int<N: Number>(range: RangeInclusive<u64>, unit: &'static str) -> Access<N> {
    let (min, max) = (*range.start(), *range.end());
    Access::Int { min, max, unit, get: |number| number.widen(), set: |at, number| *at = N::narrow(number) }
}

/// A number of this range; `unit` may be empty.
pub const fn real(range: RangeInclusive<f64>, unit: &'static str) -> Access<f64> {
    let (min, max) = (*range.start(), *range.end());
    Access::Real { min, max, unit, get: |number| *number, set: |at, number| *at = number }
}

/// True or false.
pub const fn switch() -> Access<bool> {
    Access::Bool { get: |on| *on, set: |at, on| *at = on }
}

/// One of the words of an enum.
pub const fn word<W: Word>() -> Access<W> {
    Access::Word { words: W::WORDS, get: |value| value.word(), set: |at, word| *at = W::of(word).unwrap_or(*at) }
}

/// Text; `set` puts it there, or says what it must be: [`any_text`], [`filled`], or the application's own.
pub const fn text(set: fn(&mut String, &str) -> Result<(), String>) -> Access<String> {
    Access::Text { get: String::clone, set }
}

/// A secret; `set` puts it there, or says what it must be.
pub const fn secret(set: fn(&mut Secret, Secret) -> Result<(), String>) -> Access<Secret> {
    Access::Secret { get: |secret| secret, set }
}

/// Texts; `set` puts them there, or says what they must be.
pub const fn list(set: fn(&mut Vec<String>, Vec<String>) -> Result<(), String>) -> Access<Vec<String>> {
    Access::List { get: Vec::clone, set }
}

/// Secrets; `set` puts them there, or says what they must be.
pub const fn secrets(set: fn(&mut Vec<Secret>, Vec<Secret>) -> Result<(), String>) -> Access<Vec<Secret>> {
    Access::Secrets { get: |list| list, set }
}

/// A table of its own.
pub const fn section<S: Declared>() -> Access<S> {
    Access::Part(&nested::Section::<S>(PhantomData))
}

/// Up to `MAX` tables.
pub const fn rows<R: Declared, const MAX: usize>() -> Access<Vec<R>> {
    Access::Part(&nested::Rows::<R, MAX>(PhantomData))
}

/// Free names, each with a value of one kind.
pub const fn map<V: Default>(of: &'static Access<V>) -> Access<BTreeMap<String, V>> {
    Access::Part(of)
}

/// Whatever it is, there it goes.
///
/// # Errors
/// None.
pub fn any<V>(at: &mut V, value: V) -> Result<(), String> {
    *at = value;
    Ok(())
}

/// Whatever text it is, there it goes.
///
/// # Errors
/// None.
pub fn any_text(at: &mut String, text: &str) -> Result<(), String> {
    any(at, text.to_owned())
}

/// Text that is not empty.
///
/// # Errors
/// Where it is.
pub fn filled(at: &mut String, text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err("must not be empty".to_owned());
    }
    any_text(at, text)
}

/// What `field` reaches.
pub const fn reached<T, F>(field: &'static Field<T, F>) -> Access<T> {
    Access::Part(field)
}

/// A network, or an address, which is a network of one.
pub fn network(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

/// Addresses and networks.
///
/// # Errors
/// Where one is none.
pub fn networks(at: &mut Vec<String>, list: Vec<String>) -> Result<(), String> {
    match list.iter().all(|text| network(text).is_some()) {
        true => any(at, list),
        false => Err("must be a list of addresses and networks, such as \"10.1.0.0/16\"".to_owned()),
    }
}

/// Whether a part of a URL is free of what would end or split it.
pub fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#' | b'"' | b'\\'))
}

/// A type that holds settings, from one line for each: field, type, default, what it takes, what it is for. A field without a
/// default has to be set where its table is; rows have none. The sentence is the field's documentation as well.
///
/// ```text
/// settings! {
///     /// `[apps.x]`.
///     pub struct Settings {
///         timeout_ms: u64 = 500, int(0..=60_000, "milliseconds"), "An answer is waited for this long.";
///         mode: Mode = Mode::Local, word(), "local: by itself. proxy: by asking a neighbour.";
///         runner: Vec<Runner>, rows::<Runner, 16>(), "What runs jobs.";
///     }
/// }
/// ```
macro_rules! settings {
    ($(#[$meta:meta])* $vis:vis struct $name:ident {
        $($field:ident: $type:ty $(= $default:expr)?, $access:expr, $doc:literal;)*
    }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        // Sentences are an operator's: a URL in one is no link.
        #[allow(rustdoc::bare_urls)]
        $vis struct $name {
            $(#[doc = $doc] pub $field: $type,)*
        }

        impl Default for $name {
            fn default() -> Self {
                $name { $($field: $crate::app::settings::settings!(@default $($default)?),)* }
            }
        }

        impl $crate::app::settings::Declared for $name {
            const KEYS: &'static [$crate::app::settings::Key<Self>] = &[
                $($crate::app::settings::Key {
                    required: $crate::app::settings::settings!(@required $($default)?),
                    ..$crate::app::settings::field!($field: $access, $doc)
                },)*
            ];
        }
    };
    (@default) => { Default::default() };
    (@default $default:expr) => { $default };
    (@required) => { true };
    (@required $default:expr) => { false };
}

/// A key for a field: `field!(name in path.to.parent: access, "doc")`; without `in …` the field is the type's own.
macro_rules! field {
    ($name:ident $(in $($at:ident).+)?: $access:expr, $doc:expr) => {
        $crate::app::settings::Key {
            name: stringify!($name),
            doc: $doc,
            required: false,
            access: $crate::app::settings::reached(&$crate::app::settings::Field {
                get: |at| &at.$($($at.)+)?$name,
                get_mut: |at| &mut at.$($($at.)+)?$name,
                access: $access,
            }),
        }
    };
}

/// An enum of words: `words! { pub enum Mode { Local = "local", Proxy = "proxy" } }`.
macro_rules! words {
    ($(#[$meta:meta])* $vis:vis enum $name:ident { $($(#[$doc:meta])* $value:ident = $word:literal),+ $(,)? }) => {
        $(#[$meta])*
        $vis enum $name { $($(#[$doc])* $value),+ }

        impl $crate::app::settings::Word for $name {
            const WORDS: &'static [&'static str] = &[$($word),+];

            fn word(self) -> &'static str {
                match self { $($name::$value => $word),+ }
            }

            fn of(word: &str) -> Option<Self> {
                match word { $($word => Some($name::$value),)+ _ => None }
            }
        }
    };
}
pub(crate) use {field, settings, words};
