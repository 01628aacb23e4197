//! Rust source as tidy sees it: tokens with their lines, comments and literals apart, the parts that only tests
//! compile known as such. Small on purpose: it understands this repository's Rust, not all Rust.

/// A source file.
pub(crate) struct Source {
    /// From the root of the repository, `src/base/ids.rs`.
    pub path: String,
    pub text: String,
    pub tokens: Vec<Token>,
    pub comments: Vec<Comment>,
    /// Compiled for tests only, as a whole.
    pub test_only: bool,
}

/// An identifier, or one character of punctuation. A literal is a `"`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Token {
    pub text: String,
    /// As it is written, if it is one.
    pub literal: String,
    /// From 1.
    pub line: usize,
    /// Inside an item under `#[cfg(test)]`.
    pub test: bool,
    /// Inside a `use` declaration.
    pub import: bool,
    /// Inline modules around it.
    pub depth: usize,
}

/// One line of a comment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Comment {
    /// Without its marks and the white space around it.
    pub text: String,
    /// From 1.
    pub line: usize,
}

/// A path, or one leaf of a `use` tree.
pub(crate) struct Found<'a> {
    pub token: &'a Token,
    /// Absolute where it begins with `crate`, `self` or `super`.
    pub path: Vec<String>,
    /// What an import calls it: its own name, or another one.
    pub name: String,
    /// An import that others may use too.
    pub reexports: bool,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Source {
        let (mut tokens, comments) = tokens(text);
        mark_tests(&mut tokens);
        mark_imports(&mut tokens);
        mark_modules(&mut tokens);
        Source { path: path.to_owned(), text: text.to_owned(), tokens, comments, test_only: false }
    }

    /// The folder of its crate's source; none for tests and benches.
    pub(crate) fn crate_folder(&self) -> Option<&'static str> {
        CRATES.iter().find(|folder| self.path.starts_with(**folder)).copied()
    }

    /// `["base", "ids"]` for `src/base/ids.rs` and `src/base/ids/mod.rs`; empty outside the source of a crate.
    pub(crate) fn module(&self) -> Vec<String> {
        let path = self.crate_folder().and_then(|folder| self.path.strip_prefix(folder)?.strip_suffix(".rs"));
        let Some(path) = path else { return Vec::new() };
        let path = path.strip_suffix("/mod").unwrap_or(path);
        path.split('/').filter(|part| !matches!(*part, "lib" | "main")).map(str::to_owned).collect()
    }

    pub(crate) fn lines(&self) -> usize {
        self.text.lines().count()
    }

    /// Lines before the first `#[cfg(test)]`.
    pub(crate) fn lines_before_tests(&self) -> usize {
        let first = self.tokens.iter().find(|token| token.test).map(|token| token.line - 1);
        first.unwrap_or_else(|| self.lines())
    }

    /// Index of the token that closes the bracket at `open`.
    pub(crate) fn closing(&self, open: usize) -> usize {
        closing(&self.tokens, open)
    }

    /// Whether `words`, tokens separated by spaces, stand at `at`.
    pub(crate) fn is(&self, at: usize, words: &str) -> bool {
        is(&self.tokens, at, words)
    }

    /// Every path; `use` trees are taken apart.
    pub(crate) fn paths(&self) -> Vec<Found<'_>> {
        let mut out = Vec::new();
        let mut at = 0;
        while at < self.tokens.len() {
            let starts = is_name(&self.tokens[at].text) && self.is(at + 1, ": :");
            if starts && !(at >= 2 && self.is(at - 2, ": :")) {
                let begun = out.len();
                let reexports = at >= 2 && self.is(at - 1, "use") && matches!(&*self.tokens[at - 2].text, "pub" | ")");
                at = self.path(at, &[], &mut out);
                out[begun..].iter_mut().for_each(|found: &mut Found<'_>| found.reexports = reexports);
            } else {
                at += 1;
            }
        }
        out
    }

    /// Reads the path or `use` tree at `at` behind `front`; the index after it.
    fn path<'a>(&'a self, mut at: usize, front: &[String], out: &mut Vec<Found<'a>>) -> usize {
        let start = at;
        let mut path = front.to_vec();
        while at < self.tokens.len() {
            let text = &self.tokens[at].text;
            if text == "{" && at > 0 && self.is(at - 1, ":") {
                let end = self.closing(at);
                at += 1;
                while at < end {
                    at = if self.tokens[at].text == "," { at + 1 } else { self.path(at, &path, out) };
                }
                return end + 1;
            }
            if is_name(text) || text == "*" {
                self.step(&mut path, at);
                at += 1;
            }
            if self.is(at, ": :") && !self.is(at + 2, "<") {
                at += 2;
            } else {
                break;
            }
        }
        let mut name = path.last().cloned().unwrap_or_default();
        if self.tokens[start].import && self.is(at, "as") {
            name = self.tokens[at + 1].text.clone();
            at += 2;
        }
        out.push(Found { token: &self.tokens[start], path, name, reexports: false });
        at.max(start + 1)
    }

    fn step(&self, path: &mut Vec<String>, at: usize) {
        let token = &self.tokens[at];
        match token.text.as_str() {
            "crate" => *path = vec!["crate".to_owned()],
            "self" | "super" if path.is_empty() => {
                let mut here = vec!["crate".to_owned()];
                here.extend(self.module());
                here.extend((0..token.depth).map(|_| "inline".to_owned()));
                here.truncate(here.len() - usize::from(token.text == "super"));
                *path = here;
            }
            "self" => {}
            "super" => drop(path.pop()),
            name => path.push(name.to_owned()),
        }
    }
}

pub(crate) fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_alphabetic() || first == '_')
}

fn is(tokens: &[Token], at: usize, words: &str) -> bool {
    words.split(' ').enumerate().all(|(offset, word)| tokens.get(at + offset).is_some_and(|token| token.text == word))
}

fn closing(tokens: &[Token], open: usize) -> usize {
    let (opens, closes) = match tokens[open].text.as_str() {
        "{" => ("{", "}"),
        "(" => ("(", ")"),
        _ => ("[", "]"),
    };
    let mut depth = 0;
    for (index, token) in tokens.iter().enumerate().skip(open) {
        depth += i32::from(token.text == opens) - i32::from(token.text == closes);
        if depth == 0 {
            return index;
        }
    }
    tokens.len() - 1
}

/// The last token of the item that begins at `at`: its `;`, or the end of its block.
fn item_end(tokens: &[Token], at: usize) -> usize {
    let mut index = at;
    while index < tokens.len() {
        match tokens[index].text.as_str() {
            "{" => return closing(tokens, index),
            "(" | "[" => index = closing(tokens, index),
            ";" => return index,
            _ => {}
        }
        index += 1;
    }
    tokens.len().saturating_sub(1)
}

fn mark_tests(tokens: &mut [Token]) {
    for at in 0..tokens.len() {
        if is(tokens, at, "# [ cfg ( test ) ]") {
            let end = item_end(tokens, at + 7);
            tokens[at..=end].iter_mut().for_each(|token| token.test = true);
        }
    }
}

fn mark_imports(tokens: &mut [Token]) {
    for at in 0..tokens.len() {
        // `use<>` says what a type captures.
        if tokens[at].text == "use" && !is(tokens, at + 1, "<") {
            let end = (at..tokens.len()).find(|end| tokens[*end].text == ";").unwrap_or(tokens.len());
            tokens[at..end].iter_mut().for_each(|token| token.import = true);
        }
    }
}

fn mark_modules(tokens: &mut [Token]) {
    for at in 0..tokens.len() {
        if tokens[at].text == "mod" && is(tokens, at + 2, "{") {
            let end = closing(tokens, at + 2);
            tokens[at + 2..end].iter_mut().for_each(|token| token.depth += 1);
        }
    }
}

fn tokens(text: &str) -> (Vec<Token>, Vec<Comment>) {
    let chars: Vec<char> = text.chars().collect();
    let (mut out, mut comments) = (Vec::new(), Vec::new());
    let (mut at, mut line) = (0, 1);
    while at < chars.len() {
        let (here, begin) = (line, at);
        let (end, word) = next(&chars, at);
        line += chars[at..end].iter().filter(|char| **char == '\n').count();
        at = end;
        if let Some(text) = word {
            let literal = if text == "\"" { chars[begin..end].iter().collect() } else { String::new() };
            out.push(Token { text, literal, line: here, test: false, import: false, depth: 0 });
        } else if chars[begin] == '/' {
            let written: String = chars[begin..end].iter().collect();
            comments.extend(written.lines().enumerate().map(|(below, text)| Comment {
                text: text.trim_matches(['/', '*', '!', ' ']).to_owned(),
                line: here + below,
            }));
        }
    }
    (out, comments)
}

/// The end of what begins at `at`, and its token, if it is one.
fn next(chars: &[char], at: usize) -> (usize, Option<String>) {
    let peek = |offset: usize| chars.get(at + offset).copied().unwrap_or('\0');
    let literal = |end| (end, Some("\"".to_owned()));
    match chars[at] {
        '/' if peek(1) == '/' => (find(chars, at, |at| chars[at] == '\n'), None),
        '/' if peek(1) == '*' => (find(chars, at + 2, |at| chars[at - 1] == '*' && chars[at] == '/') + 1, None),
        '"' => literal(string_end(chars, at + 1)),
        '\'' if peek(1) == '\\' || peek(2) == '\'' => {
            let from = at + if peek(1) == '\\' { 3 } else { 2 };
            literal(find(chars, from, |at| chars[at] == '\'') + 1)
        }
        '\'' => (name_end(chars, at + 1), None),
        first if first.is_alphabetic() || first == '_' => {
            let end = name_end(chars, at);
            let word: String = chars[at..end].iter().collect();
            match (word.as_str(), chars.get(end)) {
                ("b" | "c", Some('"')) => literal(string_end(chars, end + 1)),
                ("b", Some('\'')) => next(chars, end),
                ("r" | "br" | "cr", Some('"' | '#')) => literal(raw_end(chars, end)),
                _ => (end, Some(word)),
            }
        }
        first if first.is_ascii_digit() => (name_end(chars, at), Some("0".to_owned())),
        first if first.is_whitespace() => (at + 1, None),
        first => (at + 1, Some(first.to_string())),
    }
}

fn find(chars: &[char], from: usize, is_it: impl Fn(usize) -> bool) -> usize {
    (from..chars.len()).find(|at| is_it(*at)).unwrap_or(chars.len() - 1)
}

fn name_end(chars: &[char], from: usize) -> usize {
    (from..chars.len()).find(|at| !chars[*at].is_alphanumeric() && chars[*at] != '_').unwrap_or(chars.len())
}

fn string_end(chars: &[char], mut at: usize) -> usize {
    while at < chars.len() && chars[at] != '"' {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(chars.len())
}

fn raw_end(chars: &[char], from: usize) -> usize {
    let hashes = chars[from..].iter().take_while(|char| **char == '#').count();
    let closes =
        |at: usize| chars[at] == '"' && chars[at + 1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes;
    (find(chars, from + hashes + 1, closes) + 1 + hashes).min(chars.len())
}

/// Where crates have their source.
const CRATES: &[&str] = &["src/", "loadtest/src/"];
