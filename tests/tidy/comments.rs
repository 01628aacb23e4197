//! The rules about comments: a section they cite, as `DESIGN 4.6`, stands on a page of `docs/`, and sentences name their
//! subject.

use std::collections::{BTreeMap, BTreeSet};

use super::lex::Source;

/// The numbers of each page's sections, by the page's name in capitals.
pub(crate) type Pages = BTreeMap<String, BTreeSet<String>>;

/// The sections of a page: `4` for a heading `## 4. …`, `4.6` for the item `6. …` of a list below it.
pub(crate) fn sections(page: &str) -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    let (mut fenced, mut heading) = (false, String::new());
    for line in page.lines() {
        fenced ^= line.starts_with("```");
        let number = number_at(line.trim_start_matches(['#', ' '])).to_owned();
        if fenced {
            continue;
        } else if line.starts_with('#') {
            heading = number;
            out.extend(Some(heading.clone()).filter(|number| !number.is_empty()));
        } else if line[number.len()..].starts_with(". ") && !number.is_empty() && !heading.is_empty() {
            out.insert(format!("{heading}.{number}"));
        }
    }
    out
}

/// Sections that a text cites and that do not exist. Several of one page follow each other: `DESIGN 4.5 and 4.8`.
pub(crate) fn cited(path: &str, text: &str, pages: &Pages) -> Vec<String> {
    let mut out = Vec::new();
    for (index, line) in text.lines().enumerate() {
        for (name, sections) in pages {
            for numbers in after(line, name) {
                let missing = numbers.into_iter().filter(|number| !sections.contains(*number));
                out.extend(missing.map(|number| format!("{path}:{}: there is no {name} {number}", index + 1)));
            }
        }
    }
    out
}

/// Comments that cite in another form than `DESIGN 4.6`, or what is not in the repository.
pub(crate) fn loose(source: &Source, pages: &Pages) -> Vec<String> {
    let names: Vec<String> = pages.keys().cloned().chain(["CONTRACT".to_owned()]).collect();
    let mut out = Vec::new();
    for comment in &source.comments {
        let capitals = comment.text.to_uppercase().replace(" SECTION ", " ");
        for name in &names {
            let strict = after(&comment.text, name).len();
            if after(&capitals, name).len() > strict || (name == "CONTRACT" && strict > 0) {
                let line = comment.line;
                out.push(format!("{}:{line}: cite a section of docs/ as `DESIGN 4.6`: {}", source.path, comment.text));
            }
        }
    }
    out
}

/// Sentences of comments that begin with a subject without a head.
pub(crate) fn subjects(source: &Source) -> Vec<String> {
    let mut out = Vec::new();
    let (mut line_before, mut ended) = (0, true);
    for comment in &source.comments {
        let begins = ended || comment.line != line_before + 1;
        let inner =
            comment.text.match_indices(['.', '!', '?']).filter_map(|(at, _)| comment.text[at + 1..].strip_prefix(' '));
        let sentences = inner.chain(Some(comment.text.as_str()).filter(|_| begins));
        let headless = |text: &&str| ["Who ", "Whoever ", "Whose "].iter().any(|word| text.starts_with(word));
        out.extend(sentences.filter(headless).map(|text| {
            format!("{}:{}: a sentence names its subject, \"A client that …\": {text}", source.path, comment.line)
        }));
        (line_before, ended) = (comment.line, comment.text.is_empty() || comment.text.ends_with(['.', '!', '?']));
    }
    out
}

/// The numbers behind each mention of `name` in `text`: `4.5`, `4.8` of `DESIGN 4.5 and 4.8`.
fn after<'a>(text: &'a str, name: &str) -> Vec<Vec<&'a str>> {
    let mentions = text.match_indices(name).filter(|(at, _)| !text[..*at].ends_with(char::is_alphanumeric));
    let lists = mentions.filter_map(|(at, _)| {
        let mut rest = text[at + name.len()..].strip_prefix(' ')?;
        let mut numbers = Vec::new();
        while !number_at(rest).is_empty() {
            numbers.push(number_at(rest));
            rest = &rest[number_at(rest).len()..];
            let next = [", ", " and ", " to "].iter().find_map(|between| rest.strip_prefix(between));
            rest = next.unwrap_or("");
        }
        Some(numbers).filter(|numbers| !numbers.is_empty())
    });
    lists.collect()
}

/// The number at the beginning of a text, `4` or `4.6`; empty if there is none.
fn number_at(text: &str) -> &str {
    let end = text.find(|char: char| !char.is_ascii_digit() && char != '.').unwrap_or(text.len());
    let number = text[..end].trim_end_matches('.');
    if number.starts_with('.') { "" } else { number }
}
