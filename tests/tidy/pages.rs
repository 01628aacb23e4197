//! The rules about documents: what they name exists, and no row of the reliability tables is forgotten.

use std::collections::{BTreeMap, BTreeSet};

use super::lex::Source;

/// Every row of the tables of bad input (B), threats (T) and faults (F): first and last numbers of those that follow each
/// other.
const ROWS: &[(&str, &str)] = &[
    ("B", "1-19 21-22 24-27 30-36 38-43 45-47 49-52 60-62 64-69 71-71 73-73 75-76 80-86 89-90 95-105"),
    ("T-", "1-13 15-23 25-43"),
    ("F-", "1-26"),
];

/// What a row may say.
const STATES: &[&str] = &["tested", "cannot", "open", "later"];

/// The numbers of all rows, `B01`, `T-01`, `F-01` and so on.
pub(crate) fn ids() -> Vec<String> {
    let mut out = Vec::new();
    for (prefix, ranges) in ROWS {
        for range in ranges.split(' ') {
            let (first, last) = range.split_once('-').expect("a range has two ends");
            let [first, last]: [u32; 2] = [first, last].map(|end| end.parse().expect("an end is a number"));
            out.extend((first..=last).map(|number| format!("{prefix}{number:02}")));
        }
    }
    out
}

/// What is written between single backticks on a line, with its line number.
fn quoted(page: &str) -> Vec<(usize, &str)> {
    let mut fenced = false;
    let mut out = Vec::new();
    for (index, line) in page.lines().enumerate() {
        if line.starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            out.extend(line.split('`').skip(1).step_by(2).map(|text| (index + 1, text)));
        }
    }
    out
}

/// Paths a page names, as `src/base/ids.rs`, `base/ids.rs` or `base/ids.rs::Sid`: the file is there, and so is the name.
pub(crate) fn paths(path: &str, page: &str, read: &dyn Fn(&str) -> Option<String>) -> Vec<String> {
    let mut out = Vec::new();
    for (line, text) in quoted(page) {
        let (file, name) = text.split_once("::").unwrap_or((text, ""));
        let is_file = [".rs", ".mjs", ".py", ".toml", ".example", ".md"].iter().any(|end| file.ends_with(end));
        let is_path = is_file && file.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte));
        if !is_path || (!file.contains('/') && !file.ends_with(".rs")) {
            continue;
        }
        match read(file).or_else(|| read(&format!("src/{file}"))) {
            None => out.push(format!("{path}:{line}: `{file}` does not exist")),
            Some(content) => {
                let word = name.rsplit("::").next().unwrap_or("");
                if !contains_word(&content, word) {
                    out.push(format!("{path}:{line}: nothing in `{file}` is called `{word}`"));
                }
            }
        }
    }
    out
}

fn contains_word(text: &str, word: &str) -> bool {
    let is_part = |char: char| char.is_alphanumeric() || char == '_';
    text.match_indices(word).any(|(at, _)| {
        !text[..at].ends_with(is_part) && !text[at + word.len()..].starts_with(is_part) || word.is_empty()
    })
}

/// Names of the functions of all sources, those of tests apart from the others.
pub(crate) fn functions(sources: &[Source]) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut tests, mut others) = (BTreeSet::new(), BTreeSet::new());
    for source in sources {
        let is_test = source.test_only || source.path.starts_with("tests/");
        for pair in source.tokens.windows(2).filter(|pair| pair[0].text == "fn") {
            let names = if is_test || pair[0].test { &mut tests } else { &mut others };
            names.insert(pair[1].text.clone());
        }
    }
    (tests, others)
}

/// The rows `| id | state | … |` of the reliability page: each id once, a state it may have, and only names that exist.
/// `is_test` says what a name is: a test, another function, or nothing at all.
pub(crate) fn reliability(path: &str, page: &str, is_test: &dyn Fn(&str) -> Option<bool>) -> Vec<String> {
    let mut out = Vec::new();
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let known = ids();
    for (index, line) in page.lines().enumerate() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, id, state, what @ ..] = cells.as_slice() else { continue };
        let number = id.trim_start_matches(['B', 'T', 'F', '-']);
        if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
            continue;
        }
        let here = format!("{path}:{}: {id}", index + 1);
        if !known.iter().any(|known| known == id) {
            out.push(format!("{here} is no row of the tables"));
        }
        if let Some(first) = seen.insert((*id).to_owned(), index + 1) {
            out.push(format!("{here} stands in line {first} already"));
        }
        if !STATES.contains(state) {
            out.push(format!("{here} is `{state}`, which is none of {STATES:?}"));
        }
        let what = what.join("|");
        let cited: Vec<&str> = what.split('`').skip(1).step_by(2).filter(|text| is_function_name(text)).collect();
        let missing = cited.iter().filter(|name| is_test(name).is_none());
        out.extend(missing.map(|name| format!("{here} cites `{name}`: there is no such test or function")));
        if *state == "tested" && !cited.iter().any(|name| is_test(name) == Some(true)) {
            out.push(format!("{here} is said to be tested, by no test"));
        }
        if *state != "tested" && what.trim_matches([' ', '|']).is_empty() {
            out.push(format!("{here} gives no reason"));
        }
    }
    out.extend(known.iter().filter(|id| !seen.contains_key(*id)).map(|id| format!("{path}:1: {id} is missing")));
    out
}

/// Every function a page names exists.
pub(crate) fn names(path: &str, page: &str, is_test: &dyn Fn(&str) -> Option<bool>) -> Vec<String> {
    let unknown = |(_, text): &(usize, &str)| is_function_name(text) && is_test(text).is_none();
    let found = quoted(page).into_iter().filter(unknown);
    found.map(|(line, text)| format!("{path}:{line}: there is no function `{text}`")).collect()
}

/// Rows that are not tested though a test bears their name, `id: test`.
pub(crate) fn understated(page: &str, tests: &BTreeSet<String>) -> Vec<String> {
    let name_of = |id: &str| format!("{}_", id.to_lowercase().replace('-', ""));
    let mut out = Vec::new();
    for line in page.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, id, state, ..] = cells.as_slice() else { continue };
        if *state == "open" || *state == "later" {
            let named = tests.iter().filter(|test| format!("{test}_").contains(&name_of(id)));
            out.extend(named.map(|test| format!("{id}: {test}")));
        }
    }
    out
}

/// `a_name`, or `file.mjs: the title` of a client's test.
fn is_function_name(text: &str) -> bool {
    let is_title = [".mjs: ", ".py: "].iter().any(|end| text.contains(end));
    let is_name = text.starts_with(|first: char| first.is_ascii_lowercase()) && text.contains('_');
    is_title || is_name && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'))
}
