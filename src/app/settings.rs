//! Settings as values: how a key is declared, apart from those that read, check and render it. An application declares its keys beside
//! the type that holds them ([`Chosen`]); the configuration sees all of them through [`Settings`].

use std::any::Any;

use crate::app::Application;
use crate::app::job::ShelfSettings;
use crate::base::secret::Secret;

/// One key of `T`.
pub struct Key<T: 'static> {
    pub name: &'static str,
    /// For the operator: what it does and why one would change it. Lines break where the rendered file should.
    pub doc: &'static str,
    pub access: Access<T>,
}

/// Where a key's value lives, by the kind of value. `set` takes values of the right kind and says what it wants instead
/// ("must be …") if one will not do.
pub enum Access<T: 'static> {
    /// Both bounds are allowed; `unit` may be empty.
    Int {
        min: u64,
        max: u64,
        unit: &'static str,
        get: fn(&T) -> u64,
        set: fn(&mut T, u64),
    },
    Bool {
        get: fn(&T) -> bool,
        set: fn(&mut T, bool),
    },
    Text {
        get: fn(&T) -> String,
        set: fn(&mut T, &str) -> Result<(), String>,
    },
    Secret {
        get: fn(&T) -> &Secret,
        set: fn(&mut T, Secret) -> Result<(), String>,
    },
    List {
        get: fn(&T) -> Vec<String>,
        set: fn(&mut T, Vec<String>) -> Result<(), String>,
    },
}

/// What a key takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Int { min: u64, max: u64, unit: &'static str },
    Bool,
    Text,
    Secret,
    List,
}

/// A value of a key, by its kind.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Value {
    Int(u64),
    Bool(bool),
    Text(String),
    Secret(Secret),
    List(Vec<String>),
}

/// Keys and the values they have, whatever type holds those.
pub trait Settings: Send + Sync {
    /// Name, sentence and kind of each key, in the order they are rendered.
    fn keys(&self) -> Vec<(&'static str, &'static str, Kind)>;

    /// The value of the key at `index`.
    fn get(&self, index: usize) -> Value;

    /// Puts a value of the right kind at the key at `index`.
    ///
    /// # Errors
    /// What the key wants instead: "must be …".
    fn set(&mut self, index: usize, value: Value) -> Result<(), String>;
}

/// The settings of one application as they were chosen, and the application that is made of them.
pub trait Choice: Settings {
    /// The application, one value for each shard.
    fn build(&self) -> Box<dyn Application>;

    /// The shelves it keeps blobs on.
    fn shelves(&self) -> Vec<ShelfSettings>;

    /// A copy.
    fn copy(&self) -> Box<dyn Choice>;

    /// The settings themselves, for those that know their type.
    fn values(&self) -> &dyn Any;
}

/// Settings of type `S`, its keys, and what is made of them.
pub struct Chosen<S: 'static> {
    pub keys: &'static [Key<S>],
    pub values: S,
    pub build: fn(&S) -> Box<dyn Application>,
    pub shelves: fn(&S) -> Vec<ShelfSettings>,
}

impl<S: Default + Clone + Send + Sync + 'static> Chosen<S> {
    /// The defaults, of an application that keeps no blobs.
    pub fn untold(keys: &'static [Key<S>], build: fn(&S) -> Box<dyn Application>) -> Box<dyn Choice> {
        Chosen::with_shelves(keys, build, |_| Vec::new())
    }

    /// The defaults, of one that keeps blobs on these shelves.
    pub fn with_shelves(
        keys: &'static [Key<S>],
        build: fn(&S) -> Box<dyn Application>,
        shelves: fn(&S) -> Vec<ShelfSettings>,
    ) -> Box<dyn Choice> {
        Box::new(Chosen { keys, values: S::default(), build, shelves })
    }
}

impl<S: Clone + Send + Sync + 'static> Settings for Chosen<S> {
    fn keys(&self) -> Vec<(&'static str, &'static str, Kind)> {
        self.keys.iter().map(Key::describe).collect()
    }

    fn get(&self, index: usize) -> Value {
        self.keys[index].access.get(&self.values)
    }

    fn set(&mut self, index: usize, value: Value) -> Result<(), String> {
        self.keys[index].access.set(&mut self.values, value)
    }
}

impl<S: Clone + Send + Sync + 'static> Choice for Chosen<S> {
    fn build(&self) -> Box<dyn Application> {
        (self.build)(&self.values)
    }

    fn shelves(&self) -> Vec<ShelfSettings> {
        (self.shelves)(&self.values)
    }

    fn copy(&self) -> Box<dyn Choice> {
        let Chosen { keys, values, build, shelves } = self;
        Box::new(Chosen { keys, values: values.clone(), build: *build, shelves: *shelves })
    }

    fn values(&self) -> &dyn Any {
        &self.values
    }
}

impl<T> Key<T> {
    /// Name, sentence and kind.
    pub fn describe(&self) -> (&'static str, &'static str, Kind) {
        (self.name, self.doc, self.access.kind())
    }
}

impl<T> Access<T> {
    /// What it takes.
    pub fn kind(&self) -> Kind {
        match self {
            Access::Int { min, max, unit, .. } => Kind::Int { min: *min, max: *max, unit },
            Access::Bool { .. } => Kind::Bool,
            Access::Text { .. } => Kind::Text,
            Access::Secret { .. } => Kind::Secret,
            Access::List { .. } => Kind::List,
        }
    }

    /// The value that `of` has here.
    pub fn get(&self, of: &T) -> Value {
        match self {
            Access::Int { get, .. } => Value::Int(get(of)),
            Access::Bool { get, .. } => Value::Bool(get(of)),
            Access::Text { get, .. } => Value::Text(get(of)),
            Access::Secret { get, .. } => Value::Secret(get(of).clone()),
            Access::List { get, .. } => Value::List(get(of)),
        }
    }

    /// Puts a value of this kind where it belongs.
    ///
    /// # Errors
    /// What is wanted instead: "must be …".
    pub fn set(&self, at: &mut T, value: Value) -> Result<(), String> {
        match (self, value) {
            (Access::Int { min, max, set, .. }, Value::Int(number)) if (*min..=*max).contains(&number) => {
                set(at, number);
                Ok(())
            }
            (Access::Bool { set, .. }, Value::Bool(on)) => {
                set(at, on);
                Ok(())
            }
            (Access::Text { set, .. }, Value::Text(text)) => set(at, &text),
            (Access::Secret { set, .. }, Value::Secret(secret)) => set(at, secret),
            (Access::List { set, .. }, Value::List(list)) => set(at, list),
            _ => Err(format!("must be {}", self.kind().wanted())),
        }
    }
}

impl Kind {
    /// What a value has to be: `between 100 and 3600000 (milliseconds)`.
    pub fn wanted(self) -> String {
        match self {
            Kind::Int { min, max, unit: "" } => format!("between {min} and {max}"),
            Kind::Int { min, max, unit } => format!("between {min} and {max} ({unit})"),
            Kind::Bool => "true or false".to_owned(),
            Kind::Text | Kind::Secret => "a string".to_owned(),
            Kind::List => "a list of strings".to_owned(),
        }
    }
}

/// Whether a part of a URL is free of what would end or split it.
pub fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#' | b'"' | b'\\'))
}

/// A row for a whole number: `int!(key in path.to.parent: min, max, "unit", "doc")`; without `in …` the field is the
/// settings' own.
macro_rules! int {
    ($name:ident $(in $($at:ident).+)?: $min:expr, $max:expr, $unit:literal, $doc:literal) => {
        $crate::app::settings::Key {
            name: stringify!($name),
            doc: $doc,
            access: $crate::app::settings::Access::Int {
                min: $min as u64,
                max: $max as u64,
                unit: $unit,
                get: |at| at.$($($at.)+)?$name as u64,
                set: |at, value| {
                    at.$($($at.)+)?$name = value.try_into().expect("the range of a key fits the type of its field");
                },
            },
        }
    };
}

/// A row for a switch: `switch!(key in path.to.parent, "doc")`; without `in …` the field is the settings' own.
macro_rules! switch {
    ($name:ident $(in $($at:ident).+)?, $doc:literal) => {
        $crate::app::settings::Key {
            name: stringify!($name),
            doc: $doc,
            access: $crate::app::settings::Access::Bool {
                get: |at| at.$($($at.)+)?$name,
                set: |at, value| at.$($($at.)+)?$name = value,
            },
        }
    };
}
pub(crate) use {int, switch};
