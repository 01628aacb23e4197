//! Reads the source and says where it breaks the rules of `docs/ARCHITECTURE.md`: layers, circles, purity, names of
//! applications, sizes, documentation, documents and comments that name what is not there. That `config.toml.example` equals the defaults is tested beside the key table.

#[path = "tidy/applications.rs"]
mod applications;
#[path = "tidy/circles.rs"]
mod circles;
#[path = "tidy/comments.rs"]
mod comments;
#[path = "tidy/lex.rs"]
mod lex;
#[path = "tidy/pages.rs"]
mod pages;
#[path = "tidy/rules.rs"]
mod rules;
#[path = "tidy/selftest.rs"]
mod selftest;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use lex::Source;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(root().join(path)).ok()
}

/// Files below `folder` whose names end in one of `ends`, in order, as paths from the root of the repository.
fn files(folder: &str, ends: &[&str]) -> Vec<String> {
    let mut out = Vec::new();
    let Ok(entries) = fs::read_dir(root().join(folder)) else { return out };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = Path::new(folder).join(&name).to_string_lossy().into_owned();
        if entry.path().is_dir() && !matches!(&*name, "target" | "node_modules" | ".venv") {
            out.extend(files(&path, ends));
        } else if ends.iter().any(|end| name.ends_with(end)) {
            out.push(path);
        }
    }
    out.sort();
    out
}

fn sources() -> Vec<Source> {
    let folders = ["src", "tests", "benches", "fuzz", "loadtest"];
    let paths = folders.iter().flat_map(|folder| files(folder, &[".rs"]));
    let mut sources: Vec<Source> =
        paths.map(|path| Source::new(&path, &read(&path).expect("a file that was just listed"))).collect();
    mark_test_files(&mut sources);
    sources
}

/// `#[cfg(test)] mod tests;` makes a whole file a test.
fn mark_test_files(sources: &mut [Source]) {
    let mut test_modules: Vec<Vec<String>> = Vec::new();
    for source in sources.iter() {
        for (index, token) in source.tokens.iter().enumerate() {
            if token.test && token.text == "mod" && source.is(index + 2, ";") {
                let mut module = circles::address(source).unwrap_or_default();
                module.push(source.tokens[index + 1].text.clone());
                test_modules.push(module);
            }
        }
    }
    for source in sources {
        let module = circles::address(source).unwrap_or_default();
        source.test_only = test_modules.iter().any(|tests| module.starts_with(tests));
    }
}

fn assert_none(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn the_source_is_tidy() {
    let sources = sources();
    assert!(sources.len() > 60, "the source is not where it was");
    println!("Longer than they should be, tests left out:\n{}", rules::over_the_aim(&sources).join("\n"));
    assert_none(&sources.iter().flat_map(rules::check).collect::<Vec<_>>());
}

#[test]
fn applications_are_named_in_their_folders_only() {
    assert_none(&sources().iter().flat_map(applications::check).collect::<Vec<_>>());
}

#[test]
fn no_files_go_in_a_circle() {
    assert_none(&circles::check(&sources()));
}

#[test]
fn exceptions_are_still_needed() {
    let sources = sources();
    for (path, _) in rules::UNSAFE {
        let Some(source) = sources.iter().find(|source| source.path == *path) else { continue };
        assert!(source.tokens.iter().any(|token| token.text == "unsafe"), "{path} needs no exception any more");
    }
    let ties = circles::ties(&sources);
    for (from, to) in circles::OPEN {
        assert!(ties.contains_key(&((*from).to_owned(), (*to).to_owned())), "{from} uses nothing of {to} any more");
    }
}

#[test]
fn documents_name_what_exists() {
    let pages = files("docs", &[".md"]).into_iter().chain(read("README.md").map(|_| "README.md".to_owned()));
    let complaints = pages.flat_map(|path| pages::paths(&path, &read(&path).unwrap_or_default(), &read));
    assert_none(&complaints.collect::<Vec<_>>());
}

#[test]
fn comments_cite_sections_that_exist_and_name_their_subjects() {
    let pages = files("docs", &[".md"]).into_iter().map(|path| {
        let name = Path::new(&path).file_stem().expect("it ends in .md").to_string_lossy().to_uppercase();
        (name, comments::sections(&read(&path).unwrap_or_default()))
    });
    let pages: BTreeMap<_, _> = pages.collect();
    let sources = sources();
    let mut complaints: Vec<String> = sources.iter().flat_map(comments::subjects).collect();
    complaints.extend(sources.iter().flat_map(|source| comments::loose(source, &pages)));
    for path in ["src", "tests", "benches", "fuzz", "loadtest", "docs"].iter().flat_map(|folder| files(folder, CITING))
    {
        complaints.extend(comments::cited(&path, &read(&path).unwrap_or_default(), &pages));
    }
    assert_none(&complaints);
}

/// Ends of the names of files that may cite a section.
const CITING: &[&str] = &[".rs", ".mjs", ".js", ".py", ".sh", ".md"];

#[test]
fn the_tables_of_protocol_and_reliability_cite_what_exists() {
    let (tests, others) = pages::functions(&sources());
    let is_test = |name: &str| match name.split_once(": ") {
        Some((file, title)) => read(&format!("tests/clients/{file}"))?.contains(title).then_some(true),
        None => tests.contains(name).then_some(true).or(others.contains(name).then_some(false)),
    };
    let [protocol, reliability] =
        ["docs/PROTOCOL.md", "docs/RELIABILITY.md"].map(|path| (path, read(path).expect("a page of the repository")));
    println!(
        "Not called tested, though a test bears the name:\n{}",
        pages::understated(&reliability.1, &tests).join("\n")
    );
    let mut complaints = pages::names(protocol.0, &protocol.1, &is_test);
    complaints.extend(pages::reliability(reliability.0, &reliability.1, &is_test));
    assert_none(&complaints);
}

#[test]
fn scripts_build_and_run_where_cargo_is_told_to_build() {
    let scripts = ["tests", "loadtest", ".ci"].iter().flat_map(|folder| files(folder, &[".sh", ".mjs", ".py"]));
    let scripts: Vec<String> = scripts.chain(["Makefile".to_owned()]).collect();
    assert!(scripts.len() > 8, "the scripts are not where they were");
    let fixed = |path: &String| {
        let text = read(path).expect("a file that was just listed");
        ["target/debug", "target/release", "target/$("].into_iter().any(|place| text.contains(place))
    };
    let complaint = |path: &String| format!("{path}: not all set CARGO_TARGET_DIR to target");
    assert_none(&scripts.iter().filter(|path| fixed(path)).map(complaint).collect::<Vec<_>>());
}

#[test]
fn one_version_of_the_compiler_is_named_everywhere() {
    let text = read("rust-toolchain.toml").expect("a file of the repository");
    let version =
        text.split("channel = \"").nth(1).and_then(|rest| rest.split('"').next()).expect("it names a channel");
    let (minor, _) = version.rsplit_once('.').expect("three numbers");
    assert!(read("README.md").is_some_and(|page| page.contains(&format!("Rust {version}"))), "README.md");
    let manifest = read("Cargo.toml").expect("a file of the repository");
    assert!(manifest.contains(&format!("rust-version = \"{minor}\"")), "Cargo.toml");
}
