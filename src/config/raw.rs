//! What was written, before anybody asks what it means: a file's TOML, the environment over it, flags over both. What the
//! environment and flags say is text still; a key reads it by its kind.

use toml::{Table, Value};

use super::Refusals;
use crate::app::settings::{Said, Written};

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

/// Variables of the configuration begin with this.
const ENV_PREFIX: &str = "SIOD__";
/// Parts of a variable's name; what comes behind them is one part.
const ENV_PARTS_MAX: usize = 16;

/// Lays everything over each other. Beside what was written come the sentences about variables that cannot be read.
///
/// # Errors
/// A file that is not TOML.
pub(crate) fn read(source: &Source) -> Result<(Written, Vec<String>), Refusals> {
    let mut written = Written::default();
    if let Some((name, text)) = &source.file {
        let tree: Table = text.parse().map_err(|error| Refusals(vec![not_toml(name, text, &error)]))?;
        written.file = Some(Value::Table(tree));
    }
    let mut refusals = Vec::new();
    for (name, value) in &source.env {
        let Some(key) = name.strip_prefix(ENV_PREFIX) else { continue };
        let key = key.to_ascii_lowercase();
        match value {
            Some(value) => written.lay_over(key.splitn(ENV_PARTS_MAX, "__"), Said::Text(value.clone()), name),
            None => refusals.push(format!("{} (from {name}): must be UTF-8", key.replace("__", "."))),
        }
    }
    for (key, value, flag) in &source.flags {
        written.lay_over(key.split('.'), Said::Text(value.clone()), flag);
    }
    Ok((written, refusals))
}

/// What is wrong with a file, and where. The line itself is not shown: there may be a secret in it.
fn not_toml(name: &str, text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!("{name}: line {line}, column {column}: not TOML: {}", error.message())
}
