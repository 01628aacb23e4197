//! What has parts of its own: a table with keys ([`Section`]), rows of such tables ([`Rows`]), and a map whose names are free
//! and whose values are all of one kind (any [`Access`]).

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::ops::RangeInclusive;

use toml::Value as Toml;

use super::access::{Access, Key, Kind, Part, Value, entries, take_keys};
use super::written::{Parts, Said, Variable, Written, from, join, refuse_unknown};
use crate::base::limit::{MAP_ENTRIES_MAX, NAME_BYTES_MAX};

/// A type with keys, such as [`settings!`](super::settings) makes.
pub trait Declared: Default + Send + Sync + 'static {
    /// In the order they are rendered.
    const KEYS: &'static [Key<Self>];
}

impl Declared for () {
    const KEYS: &'static [Key<()>] = &[];
}

/// One table.
pub(super) struct Section<S>(pub PhantomData<fn() -> S>);

/// Any number of tables up to `MAX`, none unless they are written.
pub(super) struct Rows<R, const MAX: usize>(pub PhantomData<fn() -> R>);

impl<S: Declared> Part<S> for Section<S> {
    fn kind(&self) -> Kind {
        Kind::Table
    }

    fn get(&self, of: &S) -> Value {
        Value::Table(entries(S::KEYS, of))
    }

    fn take(&self, at: &mut S, written: Written, path: &str, refusals: &mut Vec<String>) {
        take_table(S::KEYS, at, written, path, refusals);
    }
}

impl<R: Declared, const MAX: usize> Part<Vec<R>> for Rows<R, MAX> {
    fn kind(&self) -> Kind {
        Kind::Rows
    }

    fn get(&self, of: &Vec<R>) -> Value {
        let rows = of.iter().map(|row| entries(R::KEYS, row)).collect();
        Value::Rows { rows, blank: entries(R::KEYS, &R::default()) }
    }

    fn take(&self, at: &mut Vec<R>, written: Written, path: &str, refusals: &mut Vec<String>) {
        take_rows(R::KEYS, at, &R::default, 0..=MAX, written, path, refusals);
    }
}

impl<V: Default> Part<BTreeMap<String, V>> for Access<V> {
    fn kind(&self) -> Kind {
        Kind::Map(Box::new(self.kind()))
    }

    fn get(&self, of: &BTreeMap<String, V>) -> Value {
        Value::Map(of.iter().map(|(name, value)| (name.clone(), self.get(value))).collect())
    }

    /// Lays what was written over what is there, name by name.
    fn take(&self, at: &mut BTreeMap<String, V>, mut written: Written, path: &str, refusals: &mut Vec<String>) {
        // The names of variables are in capitals and without most characters: they cannot spell free names.
        let parts = std::mem::take(&mut written.parts);
        let stray = parts.values().filter_map(Written::origin);
        refusals.extend(stray.map(|name| format!("{path}: must be one variable, a JSON object{}", from(name))));
        for (name, written) in written.into_parts(path, refusals) {
            if !(1..=NAME_BYTES_MAX).contains(&name.len()) || name.chars().any(char::is_control) {
                refusals
                    .push(format!("{path}: must have names of 1 to {NAME_BYTES_MAX} bytes without control characters"));
                continue;
            }
            self.take(at.entry(name.clone()).or_default(), written, &join(path, &name), refusals);
        }
        if at.len() > MAP_ENTRIES_MAX {
            refusals.push(format!("{path}: must have at most {MAP_ENTRIES_MAX} names"));
        }
    }
}

/// Takes in a table of exactly these keys.
pub fn take_table<T>(keys: &[Key<T>], at: &mut T, written: Written, path: &str, refusals: &mut Vec<String>) {
    let mut parts = written.into_parts(path, refusals);
    take_keys(keys, at, &mut parts, path, refusals);
    refuse_unknown(path, parts, refusals);
}

/// Takes in rows: those of the file, or of a variable that is a JSON array, replace what is there; variables that name a row
/// by its number change it, or add the next one. A new row begins as `fresh` says.
pub fn take_rows<R>(
    keys: &[Key<R>],
    rows: &mut Vec<R>,
    fresh: &dyn Fn() -> R,
    count: RangeInclusive<usize>,
    written: Written,
    path: &str,
    refusals: &mut Vec<String>,
) {
    let Written { file, variable, parts } = written;
    let mut tables: Vec<Written> = match listed(file, variable) {
        Ok(None) => rows.iter().map(|_| Written::default()).collect(),
        Ok(Some(tables)) => {
            rows.clear();
            tables
        }
        Err(origin) => {
            let name: String =
                path.split('[').map(|part| part.split_once(']').map_or(part, |(_, rest)| rest)).collect();
            return refusals.push(format!("{path}: must be written as [[{name}]], once for each{origin}"));
        }
    };
    if let Err(origin) = lay_over(&mut tables, parts, *count.end()) {
        let next = tables.len();
        return refusals.push(format!(
            "{path}: is numbered from 0 without gaps up to {}, and the next one is {next}{origin}",
            count.end() - 1
        ));
    }
    if !count.contains(&tables.len()) {
        return refusals.push(format!("{path}: there must be between {} and {}", count.start(), count.end()));
    }
    rows.resize_with(tables.len(), fresh);
    for (index, (row, written)) in rows.iter_mut().zip(tables).enumerate() {
        take_table(keys, row, written, &format!("{path}[{index}]"), refusals);
    }
}

/// The tables that a file or variable lists, if one does; else where the list comes from that is none.
fn listed(file: Option<Toml>, variable: Option<Variable>) -> Result<Option<Vec<Written>>, String> {
    let (list, origin) = match (variable, file) {
        (Some(Variable { said, name }), _) => (said.json(), Some(name)),
        (None, Some(value)) => (Some(value), None),
        (None, None) => return Ok(None),
    };
    let shown = || origin.as_deref().map(from).unwrap_or_default();
    let Some(Toml::Array(list)) = list else { return Err(shown()) };
    if !list.iter().all(Toml::is_table) {
        return Err(shown());
    }
    let table = |value| match &origin {
        None => Written { file: Some(value), ..Written::default() },
        Some(name) => {
            let variable = Variable { said: Said::Json(value), name: name.clone() };
            Written { variable: Some(variable), ..Written::default() }
        }
    };
    Ok(Some(list.into_iter().map(table).collect()))
}

/// Lays parts that are numbers over the tables of those numbers; says where one comes from that is no number in turn.
fn lay_over(tables: &mut Vec<Written>, parts: Parts, max: usize) -> Result<(), String> {
    let mut parts: Vec<(Option<usize>, Written)> =
        parts.into_iter().map(|(name, part)| (name.parse().ok(), part)).collect();
    parts.sort_by_key(|(number, _)| *number);
    for (number, part) in parts {
        let origin = part.origin().map(from).unwrap_or_default();
        let number = number.filter(|number| *number <= tables.len() && *number < max).ok_or(origin)?;
        if number == tables.len() {
            tables.push(Written::default());
        }
        tables[number].variable = part.variable.or(tables[number].variable.take());
        tables[number].parts.extend(part.parts);
    }
    Ok(())
}
