//! What somebody wrote, before anybody asks what it means: a value of the file, what a variable or flag says instead, and what
//! variables say of its parts. Sentences about it never show the value: it may be a secret under a misspelt name.

use std::collections::BTreeMap;

use toml::Value;

/// Parts of a table as they were written, by their names.
pub type Parts = BTreeMap<String, Written>;

/// One key as it was written, or a table of them. Secrets are among them, so it cannot be printed.
#[derive(Clone, Default)]
pub struct Written {
    /// In the file.
    pub file: Option<Value>,
    /// By a variable or flag, which goes before the file.
    pub variable: Option<Variable>,
    /// By variables that name a part of it: `SIOD__APPS__X__RUNNER__0__NAME` is part `name` of part `0` of `runner`.
    pub parts: Parts,
}

/// What a variable or flag says.
#[derive(Clone)]
pub struct Variable {
    pub said: Said,
    /// The variable or flag.
    pub name: String,
}

/// The value of a variable.
#[derive(Clone)]
pub enum Said {
    /// As it stands: read by the kind of its key.
    Text(String),
    /// Part of a variable that is JSON.
    Json(Value),
}

impl Written {
    /// Lays a variable or flag over the part that `path` leads to.
    pub fn lay_over<'a>(&mut self, path: impl IntoIterator<Item = &'a str>, said: Said, name: &str) {
        let part = path.into_iter().fold(self, |at, name| at.parts.entry(name.to_owned()).or_default());
        part.variable = Some(Variable { said, name: name.to_owned() });
    }

    /// The parts of a table: the file's, over them those of a variable in JSON, over them those that have variables of their own.
    pub fn into_parts(self, path: &str, refusals: &mut Vec<String>) -> Parts {
        let mut parts = Parts::new();
        match self.file {
            None => {}
            Some(Value::Table(table)) => {
                for (name, value) in table {
                    parts.entry(name).or_default().file = Some(value);
                }
            }
            Some(_) => refusals.push(format!("{path}: must be a table")),
        }
        if let Some(Variable { said, name }) = self.variable {
            match said.json() {
                Some(Value::Table(table)) => {
                    for (part, value) in table {
                        let variable = Variable { said: Said::Json(value), name: name.clone() };
                        parts.entry(part).or_default().variable = Some(variable);
                    }
                }
                _ => refusals.push(format!("{path}: must be a table, which is a JSON object here (from {name})")),
            }
        }
        for (name, written) in self.parts {
            let part = parts.entry(name).or_default();
            part.variable = written.variable.or(part.variable.take());
            part.parts.extend(written.parts);
        }
        parts
    }

    /// The first variable that says something of it.
    pub fn origin(&self) -> Option<&str> {
        let own = self.variable.as_ref().map(|variable| variable.name.as_str());
        own.or_else(|| self.parts.values().find_map(Written::origin))
    }
}

impl Said {
    /// The value, where it is JSON.
    pub fn json(self) -> Option<Value> {
        match self {
            Said::Json(value) => Some(value),
            Said::Text(text) => serde_json::from_str(&text).ok(),
        }
    }
}

/// ` (from NAME)`.
pub(super) fn from(name: &str) -> String {
    format!(" (from {name})")
}

/// The key `name` within `path`, quoted as in TOML where it has to be.
pub(super) fn join(path: &str, name: &str) -> String {
    let is_bare = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    let name = if is_bare { name.to_owned() } else { format!("{name:?}") };
    if path.is_empty() { name } else { format!("{path}.{name}") }
}

/// The sentences about keys nobody took.
pub fn refuse_unknown(path: &str, parts: Parts, refusals: &mut Vec<String>) {
    for (name, written) in parts {
        let path = join(path, &name);
        let unknown = format!("{path}: unknown key");
        match written {
            Written { variable: None, file: None, parts } => refuse_unknown(&path, parts, refusals),
            Written { variable: Some(Variable { name, .. }), .. } => refusals.push(unknown + &from(&name)),
            Written { file: Some(Value::Table(table)), parts, .. } if !table.is_empty() => {
                let table = Written { file: Some(Value::Table(table)), variable: None, parts };
                refuse_unknown(&path, table.into_parts(&path, refusals), refusals);
            }
            Written { file: Some(_), .. } => refusals.push(unknown),
        }
    }
}
