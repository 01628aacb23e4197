//! What was written, before anybody asks what it means: a file's TOML, the environment over it, flags over both, as one
//! flat list of dotted keys. Values of the environment and of flags are text still; [`super::check`] reads it by the kind of its key.

use std::collections::BTreeMap;

use toml::{Table, Value};

use super::Refusals;

/// Where a configuration comes from. Plain values, so that tests need neither files nor a process environment. Secrets are
/// among them, so none of these types can be printed.
#[derive(Clone, Default)]
pub struct Source {
    /// Name (for messages) and text of the configuration file.
    pub file: Option<(String, String)>,
    /// All variables; those that begin with `SIOD__` count. `None`: the value is not UTF-8.
    pub env: Vec<(String, Option<String>)>,
    /// Key, value and flag: `("server.shards", "2", "--shards")`.
    pub flags: Vec<(&'static str, String, &'static str)>,
}

/// Everything laid over each other.
#[derive(Default)]
pub struct Raw {
    /// By dotted key: `server.shards`, `listener[0].bind`, `apps.lab.enabled`. An empty table stands under its own name.
    pub values: BTreeMap<String, Written>,
    /// How many `[[listener]]`s there are.
    pub listeners: usize,
}

/// One value as it was written.
#[derive(Clone, PartialEq)]
pub enum Written {
    Toml(Value),
    /// Text, and the variable or flag it is from.
    Text(String, String),
}

/// Variables of the configuration begin with this.
const ENV_PREFIX: &str = "SIOD__";
/// Listeners one daemon may have.
const LISTENERS_MAX: usize = 64;

impl Raw {
    /// # Errors
    /// A file that is not TOML, listeners that are not tables, a variable that names a listener out of turn.
    pub fn read(source: &Source) -> Result<Raw, Refusals> {
        let mut raw = Raw { values: BTreeMap::new(), listeners: 1 };
        if let Some((name, text)) = &source.file {
            let tree: Table = text.parse().map_err(|error| Refusals(vec![not_toml(name, text, &error)]))?;
            raw.take_file(tree).map_err(|sentence| Refusals(vec![sentence]))?;
        }
        let mut refusals = Vec::new();
        let mut variables: Vec<_> = source.env.iter().filter(|(name, _)| name.starts_with(ENV_PREFIX)).collect();
        variables.sort_by_key(|(name, _)| (name.len(), name)); // listener 2 before listener 10
        for (name, value) in variables {
            let key = name[ENV_PREFIX.len()..].to_ascii_lowercase().replace("__", ".");
            match value {
                Some(value) => refusals.extend(raw.lay_over(&key, value, name).err()),
                None => refusals.push(format!("{key} (from {name}): must be UTF-8")),
            }
        }
        for (key, value, flag) in &source.flags {
            refusals.extend(raw.lay_over(key, value, flag).err());
        }
        if refusals.is_empty() { Ok(raw) } else { Err(Refusals(refusals)) }
    }

    fn take_file(&mut self, mut tree: Table) -> Result<(), String> {
        const SHAPE: &str = "listener: must be written as [[listener]], once for each";
        match tree.remove("listener") {
            None => {}
            Some(Value::Array(listeners)) if (1..=LISTENERS_MAX).contains(&listeners.len()) => {
                self.listeners = listeners.len();
                for (index, listener) in listeners.into_iter().enumerate() {
                    let Value::Table(table) = listener else { return Err(SHAPE.to_owned()) };
                    self.flatten(&format!("listener[{index}]"), table);
                }
            }
            Some(Value::Array(_)) => return Err(format!("listener: there must be between 1 and {LISTENERS_MAX}")),
            Some(_) => return Err(SHAPE.to_owned()),
        }
        self.flatten("", tree);
        Ok(())
    }

    fn flatten(&mut self, prefix: &str, table: Table) {
        for (name, value) in table {
            let key = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
            match value {
                Value::Table(inner) if !inner.is_empty() => self.flatten(&key, inner),
                value => {
                    self.values.insert(key, Written::Toml(value));
                }
            }
        }
    }

    /// Puts `text` under `key` (`server.shards`, `listener.0.bind`), over what is there.
    fn lay_over(&mut self, key: &str, text: &str, origin: &str) -> Result<(), String> {
        let key = match key.strip_prefix("listener.").and_then(|rest| rest.split_once('.')) {
            Some((index, name)) => format!("listener[{}].{name}", self.listener(index, origin)?),
            None => key.to_owned(),
        };
        self.values.insert(key, Written::Text(text.to_owned(), origin.to_owned()));
        Ok(())
    }

    /// Checks a listener's number; the one after the last is made.
    fn listener(&mut self, index: &str, origin: &str) -> Result<usize, String> {
        let known = self.listeners;
        match index.parse::<usize>() {
            Ok(index) if index <= known && index < LISTENERS_MAX => {
                self.listeners = known.max(index + 1);
                Ok(index)
            }
            _ => Err(format!("{origin}: listeners are numbered from 0 without gaps, and the next one is {known}")),
        }
    }
}

/// What is wrong with a file, and where. The line itself is not shown: there may be a secret in it.
fn not_toml(name: &str, text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!("{name}: line {line}, column {column}: not TOML: {}", error.message())
}
