//! The rules about source files. Each takes sources and returns sentences, `path:line: what is wrong`.

use super::lex::{Found, Source, Token, is_name};

/// The layers of `src`, lowest first. A file imports from its own layer's module and from lower layers.
const LAYERS: &[(&str, u8)] = &[
    ("base", 0),
    ("wire", 1),
    ("engine", 2),
    ("socketio", 3),
    ("hub", 4),
    ("app", 5),
    ("apps", 6),
    ("shard", 6),
    ("config", 7),
    ("store", 7),
    ("upstream", 7),
    ("hashing", 7),
    ("cluster", 7),
    ("net", 7),
    ("api", 7),
    ("log", 7),
    ("server", 8),
    ("cli", 8),
    ("testing", 8),
    ("fuzz", 8),
];

/// The highest layer that is values only.
const PURE_MAX: u8 = 6;

/// Imports that break the order, each with its reason.
const SHELL_IMPORTS: &[(&str, &str, &str)] = &[
    ("log", "config", "the level and form of the log are configured"),
    ("apps", "testing", "tests of applications run in its world, which is there for tests alone"),
    ("cli", "server", "a command ends in the server; main.rs knows the command line only"),
];

/// Names a pure layer does not use, and why.
const IMPURE: &[(&str, &str)] = &[
    ("Instant", "time is a parameter"),
    ("SystemTime", "time is a parameter"),
    ("Mutex", "shards share nothing"),
    ("RwLock", "shards share nothing"),
    ("Condvar", "shards share nothing"),
    ("parking_lot", "shards share nothing"),
    ("arc_swap", "shards share nothing"),
    ("tokio", "a shard is a value"),
    ("mio", "a shard is a value"),
    ("hyper", "a shard is a value"),
    ("rusqlite", "a shard is a value"),
    ("libc", "a shard is a value"),
    ("OsRng", "random bits come from the seeded generator"),
    ("getrandom", "random bits come from the seeded generator"),
];

/// Modules of `std` that touch the operating system.
const IMPURE_STD: &[(&str, &str)] = &[
    ("net", "addresses are in core::net"),
    ("fs", "files are the shell's"),
    ("thread", "threads are the shell's"),
    ("process", "processes are the shell's"),
    ("env", "the environment is the configuration's"),
    ("io", "bytes are a parameter"),
];

/// Files with `unsafe` in them, each with its reason.
pub(crate) const UNSAFE: &[(&str, &str)] = &[
    ("loadtest/src/host.rs", "a process's clock, sysconf and descriptor limits have no safe form in libc"),
    ("loadtest/src/pool/timer.rs", "timerfd has no safe wrapper among our libraries"),
    ("loadtest/src/pool/link.rs", "IP_BIND_ADDRESS_NO_PORT is in no safe wrapper"),
    ("src/api/process.rs", "sysconf and getrusage have no safe form in libc"),
    ("src/server/descriptors.rs", "getrlimit and setrlimit have no safe form in libc"),
    ("src/net/reactor.rs", "tokio wants a promise that the descriptor it watches stays open"),
];

/// Files that write to standard output and standard error.
const PRINTERS: &[&str] = &["src/log/mod.rs", "src/log/output.rs"];

/// Lines of a file, its tests included, and of a function.
const FILE_LINES_MAX: usize = 600;
const FUNCTION_LINES_MAX: usize = 70;
/// What a file should stay under, its tests left out.
const FILE_LINES_AIM: usize = 250;

/// Files where such programs rot.
const BUDGETS: &[(&str, usize)] = &[("src/shard/turn.rs", 300), ("src/shard/mod.rs", 250), ("src/net/reactor.rs", 350)];

type Complaints = Vec<String>;

/// All rules about one file.
pub(crate) fn check(source: &Source) -> Complaints {
    let mut out = imports(source);
    out.extend(purity(source));
    out.extend(unsafety(source));
    out.extend(printing(source));
    out.extend(size(source));
    out.extend(unfinished(source));
    out.extend(docs(source));
    out
}

/// Files over the soft aim, `path: lines`.
pub(crate) fn over_the_aim(sources: &[Source]) -> Complaints {
    let long = |source: &&Source| !source.test_only && source.lines_before_tests() > FILE_LINES_AIM;
    sources.iter().filter(long).map(|source| format!("{}: {}", source.path, source.lines_before_tests())).collect()
}

fn layer_of(name: &str) -> Option<u8> {
    LAYERS.iter().find(|(layer, _)| *layer == name).map(|(_, number)| *number)
}

/// The layer of an application's `tests/`, which try it with the store.
const TESTS_OF_APPLICATIONS: u8 = 8;
/// The layer of its `shell/`, where a library has to own an exchange with clients: the one place there that may wait and do.
const SHELLS_OF_APPLICATIONS: u8 = 7;

/// Layer of a file of `src`; `None` for `lib.rs`, `main.rs` and what is not in `src`.
fn layer(source: &Source) -> Option<u8> {
    let module = is_daemon(source).then(|| source.module())?;
    let part = module.get(2).filter(|_| module[0] == "apps");
    match part.map(String::as_str) {
        Some("tests") => Some(TESTS_OF_APPLICATIONS),
        Some("shell") => Some(SHELLS_OF_APPLICATIONS),
        _ => layer_of(module.first()?),
    }
}

fn is_daemon(source: &Source) -> bool {
    source.crate_folder() == Some("src/")
}

fn is_pure(source: &Source) -> bool {
    layer(source).is_some_and(|layer| layer <= PURE_MAX)
}

fn at(source: &Source, token: &Token, what: &str) -> String {
    format!("{}:{}: {what}", source.path, token.line)
}

fn imports(source: &Source) -> Complaints {
    let module = source.module();
    let Some(own) = module.first().filter(|_| is_daemon(source)) else { return Vec::new() };
    let Some(number) = layer(source) else {
        return vec![format!("{}:1: `{own}` has no layer; give it one in tests/tidy/rules.rs", source.path)];
    };
    let mut out = Vec::new();
    for Found { token, path, .. } in source.paths() {
        if path.first().is_none_or(|first| first != "crate") || path.len() < 2 {
            continue;
        }
        let to = &path[1];
        let Some(theirs) = layer_of(to) else { continue };
        if to == "apps" && (own == "apps" || number <= PURE_MAX) {
            out.extend(application_import(source, &module, token, &path));
            continue;
        }
        let excepted = SHELL_IMPORTS.iter().any(|(from, into, _)| from == own && into == to);
        if to != own && theirs >= number && !excepted {
            out.push(at(source, token, &format!("`{own}` (layer {number}) imports `{to}` (layer {theirs})")));
        }
    }
    out
}

/// Applications do not know each other, and nothing below the shell knows one.
fn application_import(source: &Source, module: &[String], token: &Token, path: &[String]) -> Option<String> {
    let application = path.get(2)?;
    let inside = module[0] == "apps" && module.get(1) == Some(application);
    let carries_applications = module[0] == "shard" || source.path == "src/app/home.rs";
    let tries_one = carries_applications && (token.test || source.test_only);
    if inside || tries_one {
        return None;
    }
    Some(at(source, token, &format!("imports the application `{application}`")))
}

fn purity(source: &Source) -> Complaints {
    if !is_pure(source) {
        return Vec::new();
    }
    let mut out = Vec::new();
    for Found { token, path, .. } in source.paths() {
        let reason = match path.as_slice() {
            [std, part, ..] if std == "std" => IMPURE_STD.iter().find(|(name, _)| name == part),
            _ => None,
        };
        if let Some((name, reason)) = reason {
            out.push(at(source, token, &format!("`std::{name}` in a pure layer: {reason}")));
        }
    }
    for token in &source.tokens {
        if let Some((name, reason)) = IMPURE.iter().find(|(name, _)| *name == token.text) {
            out.push(at(source, token, &format!("`{name}` in a pure layer: {reason}")));
        }
    }
    out
}

/// Standard output and error may be full, closed or never read, and these macros panic or wait there: only the log and what it
/// offers to commands ([`PRINTERS`]) know the streams. A test may print on its captured output.
fn printing(source: &Source) -> Complaints {
    let mut out = Vec::new();
    if !source.path.starts_with("src/") || source.test_only || source.path.contains("/tests/") {
        return out;
    }
    for (index, token) in source.tokens.iter().enumerate().filter(|(_, token)| !token.test) {
        if matches!(&*token.text, "print" | "println" | "eprint" | "eprintln") && source.is(index + 1, "!") {
            out.push(at(source, token, &format!("`{}!` where nobody may read", token.text)));
        }
        let is_stream = matches!(&*token.text, "stdout" | "stderr") && source.is(index + 1, "(");
        if is_stream && !PRINTERS.contains(&&*source.path) {
            out.push(at(source, token, &format!("`{}` is for {} only", token.text, PRINTERS.join(" and "))));
        }
    }
    out
}

fn unsafety(source: &Source) -> Complaints {
    if UNSAFE.iter().any(|(path, _)| *path == source.path) {
        return Vec::new();
    }
    let found = source.tokens.iter().filter(|token| token.text == "unsafe");
    found.map(|token| at(source, token, "`unsafe` outside the list in tests/tidy/rules.rs")).collect()
}

fn size(source: &Source) -> Complaints {
    let mut out = Vec::new();
    let budget = BUDGETS.iter().find(|(path, _)| *path == source.path).map_or(FILE_LINES_MAX, |(_, lines)| *lines);
    if source.lines() > budget {
        out.push(format!("{}:{budget}: {} lines, the limit is {budget}", source.path, source.lines()));
    }
    for (index, token) in source.tokens.iter().enumerate() {
        if token.text != "fn" || !source.tokens.get(index + 1).is_some_and(|next| is_name(&next.text)) {
            continue;
        }
        let Some(open) = body(source, index) else { continue };
        let lines = source.tokens[source.closing(open)].line - token.line + 1;
        if lines > FUNCTION_LINES_MAX {
            let name = &source.tokens[index + 1].text;
            out.push(at(source, token, &format!("`{name}` has {lines} lines, the limit is {FUNCTION_LINES_MAX}")));
        }
    }
    out
}

/// The brace that opens the body of the function at `index`; `None` where there is only a signature.
fn body(source: &Source, index: usize) -> Option<usize> {
    let mut at = index;
    loop {
        match source.tokens.get(at)?.text.as_str() {
            "{" => return Some(at),
            ";" => return None,
            "(" | "[" => at = source.closing(at),
            _ => {}
        }
        at += 1;
    }
}

fn unfinished(source: &Source) -> Complaints {
    let mut out = Vec::new();
    for (index, token) in source.tokens.iter().enumerate() {
        if matches!(&*token.text, "todo" | "unimplemented" | "dbg") && source.is(index + 1, "!") {
            out.push(at(source, token, &format!("`{}!`", token.text)));
        }
        if token.text == "ignore" && index >= 2 && source.is(index - 2, "# [") {
            out.push(at(source, token, "a test that is ignored says nothing"));
        }
    }
    out
}

fn docs(source: &Source) -> Complaints {
    let mut out = Vec::new();
    if !source.text.starts_with("//!") && !source.text.starts_with("#!") && !source.text.trim().is_empty() {
        out.push(format!("{}:1: no module documentation", source.path));
    }
    out.extend(undocumented(source));
    out
}

/// Public items of a pure layer that nothing is said about.
pub(crate) fn undocumented(source: &Source) -> Complaints {
    let mut out = Vec::new();
    if !is_pure(source) || source.test_only {
        return out;
    }
    let lines: Vec<&str> = source.text.lines().collect();
    for (index, token) in source.tokens.iter().enumerate() {
        if token.test || token.text != "pub" {
            continue;
        }
        let Some((kind, name)) = public_item(source, index) else { continue };
        let speaks_for_itself = kind == "fn" && is_obvious(source, index, name);
        if !speaks_for_itself && !is_documented(&lines, token.line, kind) {
            out.push(at(source, token, &format!("public {kind} `{name}` without a doc comment")));
        }
    }
    out
}

/// Kind and name of the public item at `index`. Modules say for themselves what they are, re-exports are documented
/// where they come from, and fields are told by their names.
fn public_item(source: &Source, index: usize) -> Option<(&str, &str)> {
    const KINDS: &[&str] = &["struct", "enum", "trait", "type", "static", "fn", "const"];
    let words: Vec<&str> = source.tokens[index + 1..].iter().take(7).map(|token| &*token.text).collect();
    let at = words.iter().position(|word| KINDS.contains(word))?;
    if !words[..at].iter().all(|word| matches!(*word, "const" | "async" | "unsafe" | "(" | "crate" | "super" | ")")) {
        return None;
    }
    let at = if words[at] == "const" && words.get(at + 1) == Some(&"fn") { at + 1 } else { at };
    Some((words[at], words.get(at + 1)?))
}

/// Whether a doc comment stands above `line`, attributes passed over. One comment serves constants that follow each other.
fn is_documented(lines: &[&str], line: usize, kind: &str) -> bool {
    let above = lines[..line - 1].iter().rev().map(|line| line.trim());
    let sibling = |line: &&str| kind == "const" && line.starts_with("pub") && line.contains(" const ");
    let mut above = above.skip_while(|line| line.starts_with("#[") || line.ends_with(")]") || sibling(line));
    above.next().is_some_and(|line| line.starts_with("///") || line.starts_with("#[doc"))
}

/// What says all in its name: `new`, the verbs of every collection, or a body of one line that changes nothing.
fn is_obvious(source: &Source, index: usize, name: &str) -> bool {
    let Some(open) = body(source, index) else { return false };
    let closing = source.closing(open);
    let parameters = (index..open).find(|at| source.tokens[*at].text == "(").unwrap_or(open);
    let one_line = source.tokens[closing].line - source.tokens[open].line <= 2;
    let changes = source.is(parameters, "( & mut self");
    matches!(name, "new" | "get" | "get_mut" | "insert" | "remove") || (one_line && !changes)
}
