//! Tidy against itself: each rule fails on a small bad file, in the right line, and passes on a good one.

use super::lex::Source;
use super::{applications, circles, comments, pages, rules};

/// The lines that are complained about, with a word of each complaint.
#[track_caller]
fn check(path: &str, code: &str, expected: &[(usize, &str)]) {
    let found = rules::check(&Source::new(path, &format!("//! A file.\n{code}")));
    assert_eq!(found.len(), expected.len(), "{path} {code:?}: {found:#?}");
    for (complaint, (line, word)) in found.iter().zip(expected) {
        assert!(complaint.starts_with(&format!("{path}:{line}: ")), "{complaint}: line {line} was expected");
        assert!(complaint.contains(word), "{complaint}: {word:?} was expected");
    }
}

#[test]
fn imports_point_down() {
    check("src/wire/a.rs", "use crate::base::ids;\nuse crate::wire::frame;", &[]);
    check("src/wire/a.rs", "use crate::engine::packet;", &[(2, "imports `engine`")]);
    check("src/wire/a.rs", "fn f() {\n    crate::shard::g()\n}", &[(3, "imports `shard`")]);
    check("src/wire/a.rs", "use crate::{\n    base::ids,\n    hub::{room, target},\n};", &[(4, "hub"), (4, "hub")]);
    check("src/wire/a.rs", "use super::super::app::event;", &[(2, "imports `app`")]);
    check("src/wire/mod.rs", "use super::app::event;", &[(2, "imports `app`")]);
    check("src/wire/a.rs", "#[cfg(test)]\nmod tests {\n    use super::*;\n    use crate::hub;\n}", &[(5, "hub")]);
    check("src/wire/a.rs", "#[cfg(test)]\nmod tests {\n    use super::super::super::hub::a;\n}", &[(4, "hub")]);
    check("src/shard/a.rs", "use crate::config::Config;", &[(2, "imports `config`")]);
    check("src/store/a.rs", "use crate::config::Config;", &[(2, "imports `config`")]);
    check("src/cli/mod.rs", "use crate::{log, server};\nuse crate::config::Config;", &[]);
    check("src/server.rs", "use crate::{api, net, store::Store};", &[]);
    check("src/other/a.rs", "", &[(1, "has no layer")]);
    check("src/wire/a.rs", "// use crate::engine;\nconst A: &str = \"crate::engine::x\";", &[]);
}

#[test]
fn applications_do_not_know_each_other() {
    check("src/apps/lab/mod.rs", "use crate::app::effect::Effect;\nuse crate::app::kit::rate;", &[]);
    check("src/apps/lab/mod.rs", "use super::signage::job;", &[(2, "the application `signage`")]);
    check("src/apps/lab/rules.rs", "use super::super::signage::job;", &[(2, "the application `signage`")]);
    check("src/apps/signage/rules.rs", "use super::job;\nuse crate::apps::signage::fleet;", &[]);
    check("src/app/kit/a.rs", "use crate::apps::signage::job;", &[(2, "the application `signage`")]);
    check(
        "src/app/event.rs",
        "use crate::apps::signage::tables;\nuse crate::apps::signage::fleet;",
        &[(2, "the application `signage`"), (3, "the application `signage`")],
    );
    check("src/shard/a.rs", "use crate::apps::lab::Lab;\nuse crate::app::Home;", &[(2, "the application `lab`")]);
    let in_tests = "#[cfg(test)]\nmod tests {\n    use crate::apps::lab::Lab;\n}";
    check("src/shard/a.rs", in_tests, &[]);
    check("src/apps/signage/a.rs", in_tests, &[(4, "the application `lab`")]);
    check("src/store/a.rs", "use crate::apps::signage::job;", &[]);
    let tries = "use crate::store::sqlite::Sqlite;\nuse crate::apps::signage::fleet;\nuse crate::apps::lab::Lab;";
    check("src/apps/signage/tests/a.rs", tries, &[(4, "the application `lab`")]);
}

#[test]
fn the_shell_of_an_application_may_wait_and_nothing_else_of_it() {
    let waits = "use tokio::time::sleep;\nuse crate::app::route::shell::Shell;\nuse super::rules;\nuse std::io;";
    check("src/apps/signage/shell/a.rs", waits, &[]);
    check("src/apps/signage/shell.rs", waits, &[]);
    check("src/apps/signage/a.rs", waits, &[(5, "std::io"), (2, "`tokio`")]);
    check("src/apps/signage/shells/a.rs", "use hyper::body;", &[(2, "`hyper`")]);
    check("src/apps/signage/shell/a.rs", "use crate::api::Api;", &[(2, "imports `api`")]);
    check("src/apps/signage/shell/a.rs", "use crate::apps::lab::Lab;", &[(2, "the application `lab`")]);
    check("src/app/shell/a.rs", "use tokio::time;", &[(2, "`tokio`")]);
}

#[test]
fn no_application_is_named_outside_its_folder() {
    let check = |path: &str, code: &str, expected: &[(&str, usize)]| {
        assert_eq!(applications::named(&Source::new(path, code)), expected, "{path} {code:?}");
    };
    check("src/net/a.rs", "use crate::apps::signage::job;", &[("signage", 1)]);
    check("src/net/a.rs", "\nfn f() -> &'static str {\n    \"/signage/x\"\n}", &[("signage", 3)]);
    check(
        "src/net/a.rs",
        "const A: Write = Write::Signage(1);\nconst B: &str = r\"LAB\";",
        &[("lab", 2), ("signage", 1)],
    );
    check("src/net/a.rs", "mod iot;\nuse x::{a, utalk_rules as b};", &[("utalk", 2), ("iot", 1)]);
    check("src/config/keys/signage.rs", "", &[("signage", 1)]);
    check("src/net/a.rs", "// signage\nfn dispatch(label: u8) { self.dispatch(\"labels\", label) }", &[]);
    check("src/net/a.rs", "#[cfg(test)]\nmod tests {\n    const A: &str = \"lab\";\n}", &[]);
    for path in ["src/apps/signage/a.rs", "tests/a.rs", "loadtest/src/a.rs"] {
        check(path, "use crate::apps::signage::job;", &[]);
    }
}

#[test]
fn circles_are_found_where_items_are_used() {
    let check = |files: &[(&str, &str)], expected: &[&str]| {
        let roots = [("src/lib.rs", ""), ("loadtest/src/lib.rs", "")];
        let mut sources: Vec<_> = roots.iter().chain(files).map(|(path, code)| Source::new(path, code)).collect();
        super::mark_test_files(&mut sources);
        let found = circles::circles(&circles::ties(&sources)).join("\n");
        let ties = found.lines().filter_map(|line| line.strip_prefix("  "));
        assert_eq!(ties.collect::<Vec<_>>(), expected, "{files:?}");
    };
    let two = ["src/a.rs uses of src/b.rs: B", "src/b.rs uses of src/a.rs: A"];
    let a = ("src/a.rs", "use crate::b::B;\npub struct A(B);");
    check(&[a, ("src/b.rs", "pub struct B(crate::a::A);")], &two);
    check(&[a, ("src/b.rs", "use super::a;\npub struct B(a::A);")], &two);
    check(&[a, ("src/b.rs", "use crate::{a::{self, A as C}, c};\npub struct B(C);")], &two);
    check(&[a, ("src/b.rs", "pub struct B;"), ("src/c.rs", "use crate::a::A;")], &[]);
    check(&[a, ("src/b.rs", "pub struct B;\n#[cfg(test)]\nmod tests {\n    use crate::a::A;\n}")], &[]);
    check(&[a, ("src/b.rs", "pub struct B;\n#[cfg(test)]\nmod c;"), ("src/b/c.rs", "use crate::a::A;")], &[]);
    // Over a re-export the tie is to the file that defines the item; the re-export itself ties nothing.
    let hub = ("src/m/mod.rs", "mod x;\nmod y;\npub use x::X;\npub use y::Y;");
    let x = ("src/m/x.rs", "use super::Y;\npub struct X(Y);");
    check(&[hub, x, ("src/m/y.rs", "pub struct Y;")], &[]);
    let both = ["src/m/x.rs uses of src/m/y.rs: Y", "src/m/y.rs uses of src/m/x.rs: X"];
    check(&[hub, x, ("src/m/y.rs", "pub struct Y(super::X);")], &both);
    // A module and what stands in it.
    let parent = ("src/m/mod.rs", "mod x;\nuse x::X;\npub struct M(X);\npub struct N;");
    check(&[parent, ("src/m/x.rs", "use super::N;\npub struct X(N);")], &[]);
    let around =
        ["src/m/mod.rs uses of src/m/x.rs: X", "src/m/x.rs uses of src/z.rs: Z", "src/z.rs uses of src/m/mod.rs: N"];
    let z = ("src/z.rs", "use crate::m::N;\npub struct Z(N);");
    check(&[parent, ("src/m/x.rs", "use crate::z::Z;\npub struct X(Z);"), z], &around);
    // Two crates of one shape.
    check(&[a, ("loadtest/src/b.rs", "pub struct B(crate::a::A);"), ("loadtest/src/a.rs", "pub struct A;")], &[]);
    // What a macro defines belongs to the file that names it.
    check(
        &[a, ("src/b.rs", "made! { B }\nfn f() { crate::a::f(); }\nfn g() -> B { crate::a::A }")],
        &["src/a.rs uses of src/b.rs: B", "src/b.rs uses of src/a.rs: A, f"],
    );
}

#[test]
fn pure_layers_are_pure() {
    for (code, word) in [
        ("use std::net::IpAddr;", "core::net"),
        ("use std::{fs, fmt};", "std::fs"),
        ("fn f() { std::thread::yield_now() }", "std::thread"),
        ("fn f() { let _ = Instant::now(); }", "time is a parameter"),
        ("use std::time::SystemTime;", "time is a parameter"),
        ("use std::sync::Mutex;", "share nothing"),
        ("struct A(parking_lot::RwLockReadGuard);", "share nothing"),
        ("struct A(RwLock);", "share nothing"),
        ("async fn f() { tokio::yield_now() }", "a shard is a value"),
    ] {
        check("src/app/kit/a.rs", code, &[(2, word)]);
        check("src/store/a.rs", code, &[]);
    }
    check("src/base/a.rs", "use core::net::IpAddr;\nuse std::time::Duration;\nfn println() {}", &[]);
    check("src/base/a.rs", "// Instant::now\n/* tokio /\n*/\nconst A: &str = r#\"Mutex \"fs\" \"#;", &[]);
}

#[test]
fn only_the_log_prints() {
    for macro_name in ["print", "println", "eprint", "eprintln"] {
        let code = format!("fn f() {{ {macro_name}!(\"x\") }}");
        for path in ["src/app/kit/a.rs", "src/store/a.rs", "src/cli/a.rs", "src/log/output.rs"] {
            check(path, &code, &[(2, macro_name)]);
        }
        check("loadtest/src/main.rs", &code, &[]);
        check("src/store/a.rs", &format!("#[cfg(test)]\nmod tests {{ {code} }}"), &[]);
    }
    let code = "fn f() { std::io::stderr().lock(); }\nfn g() { io::stdout(); }";
    check("src/net/a.rs", code, &[(2, "stderr"), (3, "stdout")]);
    check("src/log/output.rs", code, &[]);
}

#[test]
fn unsafe_is_listed() {
    check("src/net/a.rs", "fn f() {\n    unsafe { g() }\n}", &[(3, "unsafe")]);
    check("src/net/a.rs", "#![deny(unsafe_code)]", &[]);
    check(rules::UNSAFE[0].0, "fn f() { unsafe { g() } }", &[]);
}

#[test]
fn files_and_functions_are_bounded() {
    let lines = |count: usize| "\n".repeat(count);
    check("src/net/a.rs", &lines(599), &[]);
    check("src/net/a.rs", &lines(600), &[(600, "601 lines")]);
    check("src/shard/turn.rs", &lines(300), &[(300, "301 lines")]);
    check("src/shard/mod.rs", &lines(250), &[(250, "251 lines")]);
    check("src/net/reactor.rs", &lines(350), &[(350, "351 lines")]);
    let function = |inside: usize| format!("fn f(a: [u8; 2]) -> Result<(), ()> {{\n{}}}", lines(inside));
    check("src/net/a.rs", &function(68), &[]);
    check("src/net/a.rs", &function(69), &[(2, "`f` has 71 lines")]);
    check("src/net/a.rs", &format!("trait A {{\n    fn g();\n{}}}", lines(80)), &[]);
    let long = Source::new("src/net/a.rs", &format!("{}#[cfg(test)]\nmod tests {{{}}}", lines(251), lines(9)));
    let short = Source::new("src/net/b.rs", &format!("{}#[cfg(test)]\nmod tests {{{}}}", lines(250), lines(300)));
    assert_eq!(rules::over_the_aim(&[long, short]), ["src/net/a.rs: 251"]);
}

#[test]
fn nothing_is_left_unfinished() {
    check("src/net/a.rs", "fn f() {\n    todo!()\n}", &[(3, "todo!")]);
    check("benches/a.rs", "fn f() {\n    unimplemented!()\n}", &[(3, "unimplemented!")]);
    check("tests/a.rs", "fn f() {\n    dbg!(1);\n}", &[(3, "dbg!")]);
    check("tests/a.rs", "#[test]\n#[ignore]\nfn f() {}", &[(3, "ignored")]);
    check("tests/a.rs", "#[test]\n#[ignore = \"slow\"]\nfn f() {}", &[(3, "ignored")]);
    check("tests/a.rs", "fn ignore() { todo() }", &[]);
}

#[test]
fn what_is_public_is_documented() {
    let found = rules::check(&Source::new("src/net/a.rs", "use x::y;\n"));
    assert_eq!(found, ["src/net/a.rs:1: no module documentation"]);
    check("src/base/a.rs", "pub struct A;", &[(2, "struct `A`")]);
    check("src/base/a.rs", "/// A.\n#[derive(Debug)]\n#[repr(u8)]\npub enum A {}", &[]);
    check("src/base/a.rs", "// A.\npub const A: u8 = 1;", &[(3, "const `A`")]);
    check("src/base/a.rs", "/// Both.\npub const A: u8 = 1;\npub const B: u8 = 1;", &[]);
    check("src/base/a.rs", "pub fn f(a: u8) -> u8 {\n    g();\n    a\n}", &[(2, "fn `f`")]);
    check("src/base/a.rs", "pub const fn f(a: u8) {\n\n\n}", &[(2, "fn `f`")]);
    check(
        "src/base/a.rs",
        "impl A {\n    pub fn len(&self) -> u8 {\n        1\n    }\n    pub fn new(a: u8) {\n\n\n    }\n}",
        &[],
    );
    check("src/base/a.rs", "impl A {\n    pub fn put(&mut self) {}\n}", &[(3, "fn `put`")]);
    check(
        "src/base/a.rs",
        "pub mod a;\npub use b::c;\npub(crate) fn f(a: u8) {}\nimpl A for B { fn f(&mut self) {} }",
        &[],
    );
    check("src/base/a.rs", "#[cfg(test)]\nmod tests {\n    pub fn f(a: u8) {}\n}", &[]);
    check("src/net/a.rs", "pub struct A;", &[]);
}

#[test]
fn cited_sections_exist() {
    let page = "# A page\n\n## 1. One\n1. First.\n2. Second\n   2. not\n\n## 12. Last\n```\n## 9. No\n```\n10. Tenth. 11. no\n";
    let sections = comments::sections(page);
    assert_eq!(sections.iter().map(|number| &**number).collect::<Vec<_>>(), ["1", "1.1", "1.2", "12", "12.10"]);
    let pages = comments::Pages::from([("PLAN".to_owned(), sections)]);
    let good = "// PLAN 1, (PLAN 1.2 and 12), PLAN 12.10. PLAN 1.1, 12 to 12.10; REPLAN 7, PLAN, a PLAN of 7";
    assert_eq!(comments::cited("p", good, &pages), Vec::<String>::new());
    let bad = "PLAN 1\n// PLAN 2\n/// Something (PLAN 1.3).\n\"PLAN 1.1 and 13\"";
    let missing = ["p:2: there is no PLAN 2", "p:3: there is no PLAN 1.3", "p:4: there is no PLAN 13"];
    assert_eq!(comments::cited("p", bad, &pages), missing);
    for (comment, count) in [
        ("// PLAN 1.1, and a plan of 7 parts", 0),
        ("const A: &str = \"plan 1.1\";", 0),
        ("/// As plan 1.1 says.", 1),
        ("//! Plan section 1", 1),
        ("/* The\n * contract 0.3 */", 1),
        ("fn f() {} // CONTRACT 4", 1),
    ] {
        assert_eq!(
            comments::loose(&Source::new("src/net/a.rs", &format!("{comment}\n")), &pages).len(),
            count,
            "{comment}"
        );
    }
}

#[test]
fn comments_name_their_subjects() {
    for (comment, line) in [
        ("// A client that has closed its side is answered.", None),
        ("// It is said\n// Who it is.", None),
        ("/// The one who asks, whose it is. Whoop.", None),
        ("const A: &str = \"// Who asks\";", None),
        ("// Who has closed its side is answered.", Some(1)),
        ("fn f() {} // It ends. Whoever reads is told.", Some(1)),
        ("//! It ends.\n//! Whoever reads is told.", Some(2)),
        ("//! The first\n//!\n//! Who reads", Some(3)),
        ("/// It is\n\n/// Who reads", Some(3)),
        ("/// Whose it is.", Some(1)),
    ] {
        let found = comments::subjects(&Source::new("p", &format!("{comment}\n")));
        let lines: Vec<bool> =
            found.iter().map(|found| found.starts_with(&format!("p:{}: ", line.unwrap_or(0)))).collect();
        assert_eq!(lines, line.map(|_| true).into_iter().collect::<Vec<_>>(), "{comment}: {found:?}");
    }
}

#[test]
fn documents_are_checked() {
    let read = |path: &str| match path {
        "src/base/ids.rs" => Some("pub struct Sid;".to_owned()),
        "docs/A.md" => Some(String::new()),
        _ => None,
    };
    let good = "`src/base/ids.rs` `base/ids.rs::Sid` `docs/A.md` `config.toml` `f.x()`\n```\n`src/no.rs`\n```\n";
    assert!(pages::paths("p", good, &read).is_empty());
    let bad = "x\n`src/no.rs` and `base/ids.rs::Si` and `no.rs`";
    assert_eq!(pages::paths("p", bad, &read).len(), 3);
    assert!(pages::paths("p", bad, &read).iter().all(|complaint| complaint.starts_with("p:2: ")));
}

#[test]
fn the_rows_of_the_reliability_tables_are_checked() {
    let known = |name: &str| (name == "on_bytes").then_some(false);
    assert_eq!(pages::names("p", "`on_bytes` `A_B`\n`on_byte`", &known), ["p:2: there is no function `on_byte`"]);
    let ids = pages::ids();
    assert_eq!((ids[0].as_str(), ids[ids.len() - 1].as_str()), ("B01", "F-26"));
    assert!(ids.contains(&"B103".to_owned()) && ids.contains(&"T-41".to_owned()) && !ids.contains(&"B20".to_owned()));
    let row = |id: &String| format!("| {id} | cannot | nothing of the kind |\n");
    let good: String = ids.iter().map(row).collect();
    let exists = |name: &str| match name {
        "b01_it_is_so" => Some(true),
        "on_bytes" => Some(false),
        _ => None,
    };
    assert_eq!(pages::reliability("p", &good, &exists), Vec::<String>::new());
    for (from, to, word) in [
        ("| B02 | cannot |", "| B01 | cannot |", "stands in line 1 already"),
        ("| B02 | cannot | nothing", "nothing", "B02 is missing"),
        ("| B02 | cannot |", "| B02 | perhaps |", "perhaps"),
        ("| B02 | cannot | nothing of the kind |", "| B02 | later | |", "gives no reason"),
        ("| B02 | cannot |", "| B02 | tested |", "by no test"),
        ("| B02 | cannot |", "| B02 | tested | `b02_it_is_so`", "no such test"),
        ("| B02 | cannot |", "| B02 | cannot | `on_byte`", "no such test"),
        ("| B02 | cannot |", "| B02 | tested | `on_bytes`", "by no test"),
        ("| F-26 |", "| F-27 |", "no row of the tables"),
    ] {
        let found = pages::reliability("p", &good.replacen(from, to, 1), &exists);
        assert!(found.iter().any(|complaint| complaint.contains(word)), "{from} → {to}: {found:?}");
    }
    let tested = good.replacen("| B02 | cannot |", "| B02 | tested | `b01_it_is_so`", 1);
    assert_eq!(pages::reliability("p", &tested, &exists), Vec::<String>::new());
    let open = good.replacen("| B02 | cannot |", "| B02 | open |", 1);
    assert_eq!(pages::understated(&open, &["b01_b02_x".into(), "b021_x".into()].into()), ["B02: b01_b02_x"]);
}
