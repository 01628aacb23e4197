//! The locked dependencies against the known advisories of reliability row B103: no locked version is an affected one.

/// Crates of B103 and the first version that is not affected; a crate without one is not to be used at all.
const ADVISORIES: &[(&str, Option<[u32; 3]>)] = &[
    ("bytes", Some([1, 11, 1])),
    ("slab", Some([0, 4, 11])),
    ("lru", None),
    // Behind the resolver's cache; formatting a null pointer read through it (RUSTSEC-2026-0204).
    ("crossbeam-epoch", Some([0, 9, 20])),
    // Bundles SQLite 3.53.2; before 3.51.3 a WAL reset could corrupt the file (B102).
    ("rusqlite", Some([0, 39, 0])),
];

/// Names and versions of `Cargo.lock`.
fn locked(lock: &str) -> Vec<(&str, [u32; 3])> {
    let names = lock.lines().filter_map(|line| quoted(line, "name = "));
    let versions = lock.lines().filter_map(|line| quoted(line, "version = "));
    names.zip(versions).map(|(name, version)| (name, numbers(version))).collect()
}

fn quoted<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    line.strip_prefix(key)?.strip_prefix('"')?.strip_suffix('"')
}

/// `1.12.2` or `0.10.0-rc.1` as three numbers.
fn numbers(version: &str) -> [u32; 3] {
    let mut parts = version.split(['.', '-', '+']).map(|part| part.parse().unwrap_or(0));
    std::array::from_fn(|_| parts.next().unwrap_or(0))
}

/// Crates whose locked version is affected.
fn affected(lock: &str) -> Vec<String> {
    let is_bad = |name: &str, version: [u32; 3]| {
        ADVISORIES.iter().any(|(known, fixed)| *known == name && fixed.is_none_or(|fixed| version < fixed))
    };
    locked(lock).into_iter().filter(|(name, version)| is_bad(name, *version)).map(|(name, _)| name.to_owned()).collect()
}

#[test]
fn b103_no_locked_dependency_is_an_affected_one() {
    let lock = std::fs::read_to_string("Cargo.lock").expect("the lock file is committed");
    assert!(locked(&lock).len() > 100, "the lock file was not read");
    assert_eq!(affected(&lock), [""; 0]);
}

#[test]
fn an_affected_version_is_noticed() {
    let lock = "version = 4\n[[package]]\nname = \"bytes\"\nversion = \"1.11.0\"\n\
                [[package]]\nname = \"crossbeam-epoch\"\nversion = \"0.9.19\"\n[[package]]\nname = \"lru\"\nversion = \"0.16.3\"\n\
                [[package]]\nname = \"slab\"\nversion = \"0.4.11\"\n";
    assert_eq!(affected(lock), ["bytes", "crossbeam-epoch", "lru"]);
}
