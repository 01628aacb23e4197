//! How one key is reached and what it takes: [`Access`] by the kind of value, [`Part`] for what has parts of its own. A value
//! is read out of what was written, and a sentence that names the whole path says why not.

use super::written::{Parts, Said, Written, from, join, refuse_unknown};
use crate::base::secret::Secret;

/// One key of `T`.
pub struct Key<T: 'static> {
    pub name: &'static str,
    /// For the operator: what it does and why one would change it. Lines break where the rendered file should.
    pub doc: &'static str,
    /// It has no default, and must be set where its table is.
    pub required: bool,
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
    /// The same with fractions.
    Real {
        min: f64,
        max: f64,
        unit: &'static str,
        get: fn(&T) -> f64,
        set: fn(&mut T, f64),
    },
    Bool {
        get: fn(&T) -> bool,
        set: fn(&mut T, bool),
    },
    /// One of these.
    Word {
        words: &'static [&'static str],
        get: fn(&T) -> &'static str,
        set: fn(&mut T, &str),
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
    /// A list of secrets.
    Secrets {
        get: fn(&T) -> &[Secret],
        set: fn(&mut T, Vec<Secret>) -> Result<(), String>,
    },
    Part(&'static dyn Part<T>),
}

/// A value within `T` that reads itself: a table, rows, a map, or a field of any kind.
pub trait Part<T>: Sync {
    /// What it takes.
    fn kind(&self) -> Kind;

    /// The value that `of` has here.
    fn get(&self, of: &T) -> Value;

    /// Takes in what was written at `path`, and says what is wrong with it.
    fn take(&self, at: &mut T, written: Written, path: &str, refusals: &mut Vec<String>);
}

/// A field of `T`, which `access` reaches from there.
pub struct Field<T: 'static, F: 'static> {
    pub get: fn(&T) -> &F,
    pub get_mut: fn(&mut T) -> &mut F,
    pub access: Access<F>,
}

/// What a key takes.
#[derive(Clone, PartialEq, Debug)]
pub enum Kind {
    Int {
        min: u64,
        max: u64,
        unit: &'static str,
    },
    Real {
        min: f64,
        max: f64,
        unit: &'static str,
    },
    Bool,
    Word(&'static [&'static str]),
    Text,
    Secret,
    List,
    Secrets,
    Table,
    Rows,
    /// Free names, and what each of them takes.
    Map(Box<Kind>),
}

/// A value of a key, by its kind.
#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    Int(u64),
    Real(f64),
    Bool(bool),
    /// Of texts and words.
    Text(String),
    Secret(Secret),
    List(Vec<String>),
    Secrets(Vec<Secret>),
    Table(Vec<Entry>),
    Rows {
        rows: Vec<Vec<Entry>>,
        /// A row of which nothing was said.
        blank: Vec<Entry>,
    },
    Map(Vec<(String, Value)>),
}

/// One key and the value it has.
#[derive(Clone, PartialEq, Debug)]
pub struct Entry {
    pub name: &'static str,
    pub doc: &'static str,
    pub kind: Kind,
    pub value: Value,
}

/// The keys with the values that `of` has, in the order they are rendered.
pub fn entries<T>(keys: &[Key<T>], of: &T) -> Vec<Entry> {
    let entry =
        |key: &Key<T>| Entry { name: key.name, doc: key.doc, kind: key.access.kind(), value: key.access.get(of) };
    keys.iter().map(entry).collect()
}

/// Moves what was written of these keys out of `parts` and to where it belongs. `path` is that of their table.
pub fn take_keys<T>(keys: &[Key<T>], at: &mut T, parts: &mut Parts, path: &str, refusals: &mut Vec<String>) {
    for key in keys {
        let path = join(path, key.name);
        match parts.remove(key.name) {
            Some(written) => key.access.take(at, written, &path, refusals),
            None if key.required && !key.access.kind().has_parts() => refusals.push(format!("{path}: must be set")),
            None => {}
        }
    }
}

impl<T> Access<T> {
    /// What it takes.
    pub fn kind(&self) -> Kind {
        match self {
            Access::Int { min, max, unit, .. } => Kind::Int { min: *min, max: *max, unit },
            Access::Real { min, max, unit, .. } => Kind::Real { min: *min, max: *max, unit },
            Access::Bool { .. } => Kind::Bool,
            Access::Word { words, .. } => Kind::Word(words),
            Access::Text { .. } => Kind::Text,
            Access::Secret { .. } => Kind::Secret,
            Access::List { .. } => Kind::List,
            Access::Secrets { .. } => Kind::Secrets,
            Access::Part(part) => part.kind(),
        }
    }

    /// The value that `of` has here.
    pub fn get(&self, of: &T) -> Value {
        match self {
            Access::Int { get, .. } => Value::Int(get(of)),
            Access::Real { get, .. } => Value::Real(get(of)),
            Access::Bool { get, .. } => Value::Bool(get(of)),
            Access::Word { get, .. } => Value::Text(get(of).to_owned()),
            Access::Text { get, .. } => Value::Text(get(of)),
            Access::Secret { get, .. } => Value::Secret(get(of).clone()),
            Access::List { get, .. } => Value::List(get(of)),
            Access::Secrets { get, .. } => Value::Secrets(get(of).to_vec()),
            Access::Part(part) => part.get(of),
        }
    }

    /// Takes in what was written at `path`; says what is wrong, with the value unless it is a secret.
    pub fn take(&self, at: &mut T, written: Written, path: &str, refusals: &mut Vec<String>) {
        if let Access::Part(part) = self {
            return part.take(at, written, path, refusals);
        }
        let kind = self.kind();
        if kind.is_secret() && !written.parts.is_empty() {
            // Even the names below a secret may be the secret.
            return refusals.push(format!("{path} = ***: must be {}", kind.wanted()));
        }
        refuse_unknown(path, written.parts, refusals);
        let (value, origin) = match (written.variable, written.file) {
            (Some(variable), _) => (kind.of_variable(variable.said), from(&variable.name)),
            (None, Some(value)) => (value, String::new()),
            (None, None) => return,
        };
        if let Err(wanted) = kind.read(&value).and_then(|value| self.set(at, value)) {
            let shown = if kind.is_secret() { "***".to_owned() } else { shown(&value) };
            refusals.push(format!("{path} = {shown}{origin}: {wanted}"));
        }
    }

    /// Puts a value that is read by this kind where it belongs.
    fn set(&self, at: &mut T, value: Value) -> Result<(), String> {
        match (self, value) {
            (Access::Int { set, .. }, Value::Int(number)) => set(at, number),
            (Access::Real { set, .. }, Value::Real(number)) => set(at, number),
            (Access::Bool { set, .. }, Value::Bool(on)) => set(at, on),
            (Access::Word { set, .. }, Value::Text(word)) => set(at, &word),
            (Access::Text { set, .. }, Value::Text(text)) => return set(at, &text),
            (Access::Secret { set, .. }, Value::Secret(secret)) => return set(at, secret),
            (Access::List { set, .. }, Value::List(list)) => return set(at, list),
            (Access::Secrets { set, .. }, Value::Secrets(list)) => return set(at, list),
            _ => unreachable!("a value was read by the kind of its key"),
        }
        Ok(())
    }
}

impl<T, F> Part<T> for Field<T, F> {
    fn kind(&self) -> Kind {
        self.access.kind()
    }

    fn get(&self, of: &T) -> Value {
        self.access.get((self.get)(of))
    }

    fn take(&self, at: &mut T, written: Written, path: &str, refusals: &mut Vec<String>) {
        self.access.take((self.get_mut)(at), written, path, refusals);
    }
}

impl Kind {
    /// What a value has to be: `between 100 and 3600000 (milliseconds)`.
    pub fn wanted(&self) -> String {
        let range = |min: &dyn std::fmt::Display, max: &dyn std::fmt::Display, unit: &str| match unit {
            "" => format!("between {min} and {max}"),
            unit => format!("between {min} and {max} ({unit})"),
        };
        match self {
            Kind::Int { min, max, unit } => range(min, max, unit),
            Kind::Real { min, max, unit } => range(min, max, unit),
            Kind::Bool => "true or false".to_owned(),
            Kind::Word(words) => format!("one of {}", words.join(", ")),
            Kind::Text | Kind::Secret => "a string".to_owned(),
            Kind::List | Kind::Secrets => "a list of strings".to_owned(),
            Kind::Table | Kind::Map(_) => "a table".to_owned(),
            Kind::Rows => "a list of tables".to_owned(),
        }
    }

    /// Whether its value is never shown.
    fn is_secret(&self) -> bool {
        matches!(self, Kind::Secret | Kind::Secrets)
    }

    /// Whether it is there, if empty, where nothing was written.
    fn has_parts(&self) -> bool {
        matches!(self, Kind::Table | Kind::Rows | Kind::Map(_))
    }

    /// Reads what a variable or flag says as this kind of value; as a string where it does not look like one.
    fn of_variable(&self, said: Said) -> toml::Value {
        let text = match said {
            Said::Json(value) => return value,
            Said::Text(text) => text,
        };
        let value = match self {
            Kind::Int { .. } => text.parse().ok().map(toml::Value::Integer),
            Kind::Real { .. } => text.parse().ok().map(toml::Value::Float),
            Kind::Bool => text.parse().ok().map(toml::Value::Boolean),
            Kind::List | Kind::Secrets if text.trim_start().starts_with('[') => {
                let list: Option<Vec<String>> = serde_json::from_str(&text).ok();
                list.map(|items| toml::Value::Array(items.into_iter().map(toml::Value::String).collect()))
            }
            Kind::List | Kind::Secrets => {
                let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
                Some(toml::Value::Array(items.map(|item| toml::Value::String(item.to_owned())).collect()))
            }
            _ => None,
        };
        value.unwrap_or(toml::Value::String(text))
    }

    /// A value of this kind, or what it must be.
    fn read(&self, value: &toml::Value) -> Result<Value, String> {
        let read = match self {
            Kind::Int { min, max, .. } => {
                let number = value.as_integer().and_then(|number| u64::try_from(number).ok());
                number.filter(|number| (min..=max).contains(&number)).map(Value::Int)
            }
            Kind::Real { min, max, .. } => {
                let number = value.as_float().or_else(|| value.as_integer().map(|number| number as f64));
                number.filter(|number| (min..=max).contains(&number)).map(Value::Real)
            }
            Kind::Bool => value.as_bool().map(Value::Bool),
            Kind::Word(words) => {
                let word = value.as_str().and_then(|text| words.iter().find(|word| **word == text));
                word.map(|word| Value::Text((*word).to_owned()))
            }
            Kind::Text => Some(Value::Text(on_one_line(value)?.to_owned())),
            Kind::Secret => Some(Value::Secret(Secret::new(on_one_line(value)?))),
            Kind::List => strings(value).map(|items| Value::List(items.into_iter().map(str::to_owned).collect())),
            Kind::Secrets => strings(value).map(|items| Value::Secrets(items.into_iter().map(Secret::new).collect())),
            Kind::Table | Kind::Rows | Kind::Map(_) => unreachable!("what has parts reads itself"),
        };
        read.ok_or_else(|| format!("must be {}", self.wanted()))
    }
}

fn strings(value: &toml::Value) -> Option<Vec<&str>> {
    value.as_array()?.iter().map(|item| on_one_line(item).ok()).collect()
}

/// A string that fits on one line.
fn on_one_line(value: &toml::Value) -> Result<&str, String> {
    let text = value.as_str().ok_or("must be a string")?;
    if text.chars().any(char::is_control) { Err("must not contain control characters".to_owned()) } else { Ok(text) }
}

/// A value on one line, whatever it holds.
fn shown(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => format!("{text:?}"),
        toml::Value::Array(items) => format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}
