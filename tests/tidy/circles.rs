//! Circles between files: one that uses an item of another one that, over whatever way, uses an item of its own. What counts
//! is where an item is defined: `mod` lines and re-exports tie nothing, a use of what they name does. A file stands inside
//! the modules around it, which may hand out its items while it uses theirs: that is no circle. Tests are left out.

use std::collections::{BTreeMap, BTreeSet};

use super::lex::{Found, Source};

/// Uses that are still part of a circle: the file, and the one it takes an item from.
pub(crate) const OPEN: &[(&str, &str)] = &[];

/// What each file takes from which other one: names by the two paths.
pub(crate) type Ties = BTreeMap<(String, String), BTreeSet<String>>;

/// All circles but those that [`OPEN`] uses close, a sentence for each.
pub(crate) fn check(sources: &[Source]) -> Vec<String> {
    let mut ties = ties(sources);
    ties.retain(|(from, to), _| !OPEN.contains(&(from.as_str(), to.as_str())));
    circles(&ties)
}

/// Every use of another file's item; of a module around the file it is none.
pub(crate) fn ties(sources: &[Source]) -> Ties {
    let house = House::new(sources);
    let mut ties = Ties::new();
    for source in house.files() {
        for used in house.used(source) {
            if let Some((of, item)) = house.resolve(source, &used).filter(|(of, _)| !stands_in(source, of)) {
                ties.entry((source.path.clone(), of.path.clone())).or_default().insert(item);
            }
        }
    }
    ties
}

/// Files that reach each other, with the ties between them.
pub(crate) fn circles(ties: &Ties) -> Vec<String> {
    let files: BTreeSet<&str> = ties.keys().flat_map(|(from, to)| [from.as_str(), to.as_str()]).collect();
    let reached: BTreeMap<&str, BTreeSet<&str>> = files.iter().map(|file| (*file, reached(ties, file))).collect();
    let mut told = BTreeSet::new();
    let mut out = Vec::new();
    for file in files {
        let circle: BTreeSet<&str> = reached[file].iter().copied().filter(|to| reached[to].contains(file)).collect();
        if circle.is_empty() || !told.insert(circle.clone()) {
            continue;
        }
        let inside =
            ties.iter().filter(|((from, to), _)| circle.contains(from.as_str()) && circle.contains(to.as_str()));
        let inside = inside.map(|((from, to), names)| {
            format!("  {from} uses of {to}: {}", names.iter().cloned().collect::<Vec<_>>().join(", "))
        });
        out.push(format!("{file}:1: a circle of {} files\n{}", circle.len(), inside.collect::<Vec<_>>().join("\n")));
    }
    out
}

fn reached<'a>(ties: &'a Ties, from: &'a str) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut open = vec![from];
    while let Some(here) = open.pop() {
        let next = ties.keys().filter(|(from, _)| from == here).map(|(_, to)| to.as_str());
        open.extend(next.filter(|to| reached.insert(*to)));
    }
    reached
}

/// The files of all crates by their modules, and what each defines and imports.
struct House<'a> {
    rooms: BTreeMap<Vec<String>, Room<'a>>,
}

struct Room<'a> {
    source: &'a Source,
    defined: BTreeSet<&'a str>,
    found: Vec<Found<'a>>,
}

impl<'a> House<'a> {
    fn new(sources: &'a [Source]) -> House<'a> {
        // A program stands above its library: nobody can use it.
        let files = sources.iter().filter(|source| !source.test_only && !source.path.ends_with("/main.rs"));
        let rooms = files.filter_map(|source| {
            let found = source.paths().into_iter().filter(|found| !found.token.test).collect();
            Some((address(source)?, Room { source, defined: defined(source), found }))
        });
        House { rooms: rooms.collect() }
    }

    fn files(&self) -> impl Iterator<Item = &'a Source> {
        self.rooms.values().map(|room| room.source)
    }

    /// The paths by which a file uses something. A re-export is one only where the file itself uses what it names.
    fn used(&self, source: &Source) -> Vec<Vec<String>> {
        let room = &self.rooms[&address(source).expect("a file of the house")];
        let is_own = |found: &&Found<'_>| !found.reexports || is_mentioned(source, &found.name);
        room.found.iter().filter(is_own).map(|found| found.path.clone()).collect()
    }

    /// The file that defines what a path of `source` leads to, and the item's name.
    fn resolve(&self, source: &Source, path: &[String]) -> Option<(&'a Source, String)> {
        let address = address(source)?;
        let (first, rest) = path.split_first()?;
        if first == "crate" {
            return self.walk(&address[..1], rest, WAYS_MAX);
        }
        self.walk(&address, path, WAYS_MAX)
    }

    /// Follows a path from a module: into its children, to what it defines, on by what it imports. What nobody seems to
    /// define, a macro's work, is taken for the module's own.
    fn walk(&self, module: &[String], path: &[String], ways: u8) -> Option<(&'a Source, String)> {
        let room = self.rooms.get(module)?;
        let (first, rest) = path.split_first()?;
        let child = [module, std::slice::from_ref(first)].concat();
        if self.rooms.contains_key(&child) {
            return self.walk(&child, rest, ways);
        }
        let import = room.found.iter().find(|found| found.token.import && found.name == *first);
        let Some(import) = import.filter(|_| !room.defined.contains(first.as_str())) else {
            return Some((room.source, first.clone()));
        };
        let on = [&import.path, rest].concat();
        match on.split_first() {
            Some((first, rest)) if first == "crate" => self.walk(&module[..1], rest, ways.checked_sub(1)?),
            // Of another crate, or of a child.
            Some((first, rest)) => {
                let child = [module, std::slice::from_ref(first)].concat();
                self.rooms.contains_key(&child).then(|| self.walk(&child, rest, ways.checked_sub(1)?))?
            }
            None => None,
        }
    }
}

/// Crate and module of a file in the source of one.
pub(crate) fn address(source: &Source) -> Option<Vec<String>> {
    Some([vec![source.crate_folder()?.to_owned()], source.module()].concat())
}

/// Whether a file is another one, or belongs to a module that hangs below it.
fn stands_in(source: &Source, outer: &Source) -> bool {
    address(source).zip(address(outer)).is_some_and(|(own, outer)| own.starts_with(&outer))
}

/// Items of the file's own module, those that only tests compile left out.
fn defined(source: &Source) -> BTreeSet<&str> {
    const KINDS: &[&str] = &["struct", "enum", "trait", "type", "static", "fn", "const"];
    let (mut names, mut at) = (BTreeSet::new(), 0);
    while at + 1 < source.tokens.len() {
        let token = &source.tokens[at];
        if KINDS.contains(&&*token.text) && !token.test {
            names.insert(source.tokens[at + 1].text.as_str());
        }
        at = if token.text == "{" { source.closing(at) } else { at } + 1;
    }
    names
}

/// Whether a name stands in the file's own code, `use` lines left out.
fn is_mentioned(source: &Source, name: &str) -> bool {
    source.tokens.iter().any(|token| token.text == name && !token.test && !token.import)
}

/// Imports that are followed from one use at most.
const WAYS_MAX: u8 = 20;
