//! Outside `src/apps/` nothing of the daemon names an application: no path, no literal, no file. Tests are left out, and so
//! are comments.

use super::lex::Source;

/// The applications there are and will be.
const APPLICATIONS: &[&str] = &["lab", "orchestrator", "utalk", "dispatch", "iot", "signage"];

/// Where they live, each in a folder of its own.
const HOMES: &[&str] = &["src/apps/"];

/// What a file says of applications.
pub(crate) fn check(source: &Source) -> Vec<String> {
    named(source)
        .into_iter()
        .map(|(name, line)| format!("{}:{line}: names the application `{name}`", source.path))
        .collect()
}

/// Applications that a file names, each where it does first.
pub(crate) fn named(source: &Source) -> Vec<(&'static str, usize)> {
    if source.crate_folder() != Some("src/")
        || HOMES.iter().any(|home| source.path.starts_with(home))
        || source.test_only
    {
        return Vec::new();
    }
    let mut said: Vec<(Vec<String>, usize)> = vec![(words(&source.path), 1)];
    for (at, token) in source.tokens.iter().enumerate().filter(|(_, token)| !token.test) {
        if !token.literal.is_empty() || is_of_path(source, at) {
            said.push((words(if token.literal.is_empty() { &token.text } else { &token.literal }), token.line));
        }
    }
    let first = |name: &'static str| {
        let (_, line) = said.iter().find(|(words, _)| words.iter().any(|word| word == name))?;
        Some((name, *line))
    };
    APPLICATIONS.iter().filter_map(|name| first(name)).collect()
}

fn is_of_path(source: &Source, at: usize) -> bool {
    let follows = at >= 2 && source.is(at - 2, ": :");
    follows || source.is(at + 1, ": :") || source.tokens[at].import || (at >= 1 && source.is(at - 1, "mod"))
}

/// `SignageSettings`, `signage_settings` and `"/signage"` each have the word `signage`.
fn words(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before = ' ';
    for char in text.chars() {
        if !char.is_alphanumeric() || (char.is_uppercase() && before.is_lowercase()) {
            words.push(String::new());
        }
        if char.is_alphanumeric() {
            words.last_mut().expect("there is one").extend(char.to_lowercase());
        }
        before = char;
    }
    words
}
