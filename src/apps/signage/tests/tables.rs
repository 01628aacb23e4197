//! What is written is what is read, on a file and in memory; what only grows is bounded; a file of the version before is
//! brought up to date.

use std::fs;
use std::path::Path;

use crate::app::job::{Blob, Job, Outcome};
use crate::app::kit::audit;
use crate::app::sql::{FromRow, Statement, Tables};
use crate::apps::signage::tables::*;
use crate::base::time::WallMillis;
use crate::store::sqlite::Sqlite;
use crate::store::{Repository, Settings, ShelfSettings, Store, tables};

/// Runs `case` on a fresh database of each kind.
fn each(case: impl Fn(&mut Sqlite)) {
    let owners = [&tables::TABLES, &TABLES];
    let root = tempfile::tempdir().unwrap();
    case(&mut Sqlite::open(&root.path().join("siod.db"), &owners).unwrap());
    case(&mut Sqlite::memory(&owners).unwrap());
}

fn commit(store: &mut Sqlite, write: &[Statement]) {
    let outcomes = store.commit(&[write]).unwrap();
    assert!(outcomes[0].is_written(), "{outcomes:?}");
}

fn ask<T: FromRow>(store: &mut Sqlite, question: Statement) -> Vec<T> {
    store.read(&[question]).unwrap()[0].read().unwrap()
}

fn fleet_of(store: &mut Sqlite, name: &str) -> (Vec<Device>, Vec<State>, Vec<Alert>) {
    let answers = Outcome::Read(store.read(&fleet(name)).unwrap());
    (answers.rows(0).unwrap(), answers.rows(1).unwrap(), answers.rows(2).unwrap())
}

/// A device with every field set, so that a column left out shows.
fn device(fleet: &str, id: &str, online: bool) -> Device {
    Device {
        fleet: fleet.to_owned(),
        device_id: id.to_owned(),
        name: "Lobby 'ñ' \"%_".to_owned(),
        kind: "player".to_owned(),
        group: "g1".to_owned(),
        app_version: "1.2".to_owned(),
        token_hash: "aa".to_owned(),
        pending_hash: "bb".to_owned(),
        authorized: true,
        retired: true,
        online,
        first_seen: WallMillis(1_755_684_031_000),
        last_seen: WallMillis(1_755_684_031_001),
        ip: "2001:db8::1".to_owned(),
        register_info: r#"{"deviceId":"p1"}"#.to_owned(),
        rev_reserved: 3_000,
        old_tokens: "cc:0 dd:5".to_owned(),
        failure_reason: "unknown_token".to_owned(),
        failure_at: WallMillis(1_755_684_031_002),
        failure_ip: "192.0.2.9".to_owned(),
    }
}

/// The same as a version knew it that did not ask for tokens before the newest, nor for failures.
fn older_device() -> Device {
    Device {
        old_tokens: String::new(),
        failure_reason: String::new(),
        failure_at: WallMillis(0),
        failure_ip: String::new(),
        ..device("f", "a", true)
    }
}

fn state(fleet: &str, id: &str, rev: u64) -> State {
    State { fleet: fleet.to_owned(), device_id: id.to_owned(), rev, json: format!("{{\"rev\":{rev}}}") }
}

fn change(fleet: &str, id: &str, rev: u64) -> Change {
    let at = WallMillis(rev * 10);
    Change { fleet: fleet.to_owned(), device_id: id.to_owned(), rev, at, patch: format!("{{\"n\":{rev}}}") }
}

fn alert(fleet: &str, id: &str, since: u64, resolved: Option<u64>) -> Alert {
    Alert {
        fleet: fleet.to_owned(),
        device_id: id.to_owned(),
        kind: "offline".to_owned(),
        severity: "critical".to_owned(),
        since: WallMillis(since),
        resolved: resolved.map(WallMillis),
    }
}

fn failure(fleet: &str, n: u64) -> Failure {
    Failure {
        fleet: fleet.to_owned(),
        at: WallMillis(n),
        ip: "192.0.2.1".to_owned(),
        device_id: format!("p{n}"),
        reason: "unknown_token".to_owned(),
    }
}

fn entry(domain: &str, n: u64) -> audit::Entry {
    audit::Entry {
        at: WallMillis(n),
        domain: domain.to_owned(),
        actor: "ana".to_owned(),
        ip: "192.0.2.1".to_owned(),
        user_agent: "curl".to_owned(),
        action: "command".to_owned(),
        target: format!("p{n}"),
        outcome: "success".to_owned(),
        details: "{}".to_owned(),
    }
}

fn command(id: &str, status: &str) -> Command {
    Command {
        fleet: "f".to_owned(),
        command_id: id.to_owned(),
        device_id: "a".to_owned(),
        command: "vlc:play".to_owned(),
        params: "{}".to_owned(),
        origin: "ana".to_owned(),
        status: status.to_owned(),
        attempts: 1,
        at: WallMillis(5),
        duration_ms: 83,
    }
}

#[test]
fn a_fleet_comes_back_whole_ordered_and_alone() {
    each(|store| {
        let newer = Device { name: "Hall".to_owned(), authorized: false, ..device("f", "b", false) };
        commit(
            store,
            &[
                device("f", "b", true).put(),
                device("f", "a", true).put(),
                device("other", "a", true).put(),
                state("f", "b", 1).put(),
                state("f", "a", 7).put(),
                state("other", "z", 1).put(),
                alert("f", "b", 2, None).put(),
                alert("f", "b", 1, None).put(),
                alert("f", "a", 9, Some(10)).put(),
                newer.put(),
                state("f", "b", 2).put(),
            ],
        );
        let expected = (
            vec![device("f", "a", true), newer],
            vec![state("f", "a", 7), state("f", "b", 2)],
            vec![alert("f", "b", 1, None), alert("f", "b", 2, None)],
        );
        assert_eq!(fleet_of(store, "f"), expected);
        assert_eq!(fleet_of(store, "nobody's"), (vec![], vec![], vec![]));
        commit(store, &[alert("f", "b", 1, Some(3)).put()]);
        assert_eq!(fleet_of(store, "f").2, [alert("f", "b", 2, None)]);
    });
}

#[test]
fn history_is_a_ring_for_each_device() {
    each(|store| {
        for rev in 1..=70 {
            let write: Vec<Statement> =
                [change("f", "a", rev).add()].into_iter().chain(change("f", "a", rev).trim(5)).collect();
            commit(store, &write);
        }
        commit(store, &[change("f", "b", 1).add(), change("g", "a", 100).add(), change("g", "a", 100).add()]);
        for (since, limit, expected) in [
            (0, 5, vec![70, 69, 68, 67, 66]),
            (68, 500, vec![70, 69]),
            (0, 2, vec![70, 69]),
            (70, 500, vec![]),
            (0, 0, vec![]),
            (u64::MAX, 5, vec![]),
        ] {
            let changes: Vec<Change> = ask(store, changes("f", "a", since, limit));
            let revs: Vec<u64> = changes.iter().map(|change| change.rev).collect();
            assert_eq!(revs, expected, "since {since} limit {limit}");
        }
        let kept: Vec<Change> = ask(store, changes("f", "a", 0, 500));
        assert!(kept.len() < 5 + CHANGES_TRIM_INTERVAL_REVS as usize, "{}", kept.len());
        assert_eq!(ask::<Change>(store, changes("f", "b", 0, 500)).len(), 1);
        assert_eq!(ask::<Change>(store, changes("g", "a", 0, 9)), [change("g", "a", 100)]);
    });
}

/// One write a turn, each ended by what bounds the tables.
fn commit_bounded(store: &mut Sqlite, mut write: Vec<Statement>) {
    write.extend(trims(&write, 6));
    commit(store, &write);
}

#[test]
fn failures_and_audit_are_newest_first_and_bounded() {
    each(|store| {
        for n in 1..=10 {
            let of_fleet = if n == 5 { "g" } else { "f" };
            commit_bounded(store, vec![failure(of_fleet, n).add(), entry("signage", n).add()]);
        }
        commit_bounded(store, vec![entry("iot", 11).add()]);
        for (fleet, limit, expected) in [("f", 100, vec![10, 9, 8, 7, 6]), ("f", 2, vec![10, 9]), ("g", 9, vec![5])] {
            let expected: Vec<Failure> = expected.into_iter().map(|n| failure(fleet, n)).collect();
            assert_eq!(ask::<Failure>(store, failures(fleet, limit)), expected);
        }
        for (domain, limit, expected) in
            [("signage", 100, vec![10, 9, 8, 7, 6]), ("signage", 1, vec![10]), ("iot", 9, vec![11]), ("%", 9, vec![])]
        {
            let expected: Vec<audit::Entry> = expected.into_iter().map(|n| entry(domain, n)).collect();
            assert_eq!(ask::<audit::Entry>(store, audit::newest(domain, limit)), expected, "{domain} {limit}");
        }
    });
}

#[test]
fn commands_and_resolved_alerts_are_bounded_and_open_alerts_stay() {
    each(|store| {
        commit_bounded(store, vec![alert("f", "a", 1, None).put()]);
        for n in 0..10 {
            let id = format!("c{n}");
            commit_bounded(store, vec![command(&id, "sent").put(), alert("f", "b", n, Some(n)).put()]);
            commit_bounded(store, vec![command(&id, "success").put()]);
        }
        let ids: Vec<Command> = ask(store, Statement::new("SELECT * FROM sg_commands ORDER BY seq"));
        let ids: Vec<(&str, &str)> = ids.iter().map(|row| (&*row.command_id, &*row.status)).collect();
        let expected = ["c4", "c5", "c6", "c7", "c8", "c9"].map(|id| (id, "success"));
        assert_eq!(ids, expected);
        let alerts: Vec<Alert> = ask(store, Statement::new("SELECT * FROM sg_alerts ORDER BY seq"));
        assert_eq!((alerts.len(), &alerts[0]), (7, &alert("f", "a", 1, None)));
    });
}

#[test]
fn whose_a_snapshot_is_is_found_by_id_and_the_oldest_of_a_device_are_forgotten() {
    each(|store| {
        let row = |n: u32| {
            let (fleet, device_id) = ("f".to_owned(), "a".to_owned());
            Snapshot { id: format!("{n:020}"), fleet, device_id, at: WallMillis(n.into()) }
        };
        for n in 0..SNAPSHOTS_PER_DEVICE_MAX + 2 {
            commit(store, &row(n).add());
        }
        commit(store, &Snapshot { id: "other".to_owned(), device_id: "b".to_owned(), ..row(0) }.add());
        let found: Vec<bool> =
            [0, 1, 2].into_iter().map(|n| !ask::<Snapshot>(store, snapshot(&row(n).id)).is_empty()).collect();
        assert_eq!(found, [false, false, true]);
        assert_eq!(ask::<Snapshot>(store, snapshot(&row(9).id)), [row(9)]);
        assert_eq!(ask::<Snapshot>(store, snapshot("nobody's")), []);
        assert_eq!(ask::<Snapshot>(store, snapshot("other")).len(), 1);
    });
}

/// The version that counted two steps.
#[test]
fn a_file_from_before_rotation_gets_the_columns_and_keeps_its_rows() {
    let root = tempfile::tempdir().unwrap();
    let (path, fresh) = (root.path().join("siod.db"), root.path().join("fresh.db"));
    let before: &'static Tables =
        Box::leak(Box::new(Tables { migrations: &TABLES.migrations[..2], statements: &[], ..TABLES }));
    let mut store = Sqlite::open(&path, &[&tables::TABLES, before]).unwrap();
    let row = "INSERT INTO sg_devices VALUES ('f', 'a', 'Lobby ''ñ'' \"%_', 'player', 'g1', '1.2', 'aa', 'bb', 1, 1, 1,
        1755684031000, 1755684031001, '2001:db8::1', '{\"deviceId\":\"p1\"}', 3000)";
    commit(&mut store, &[Statement::new(row)]);
    drop(store);
    let mut store = Sqlite::open(&path, &[&tables::TABLES, &TABLES]).unwrap();
    assert_eq!(fleet_of(&mut store, "f").0, [older_device()]);
    commit(&mut store, &[device("f", "a", true).put()]);
    assert_eq!(fleet_of(&mut store, "f").0, [device("f", "a", true)]);
    drop(store);
    drop(Sqlite::open(&fresh, &[&tables::TABLES, &TABLES]).unwrap());
    assert_eq!(schema(&path), schema(&fresh));
}

fn schema(path: &Path) -> Vec<(String, String)> {
    let connection = rusqlite::Connection::open(path).unwrap();
    let mut rows = connection.prepare("SELECT name, coalesce(sql, '') FROM sqlite_schema ORDER BY name").unwrap();
    let shown = |row: &rusqlite::Row<'_>| {
        let sql: String = row.get(1)?;
        Ok((row.get(0)?, sql.split_whitespace().collect::<Vec<_>>().join(" ")))
    };
    rows.query_map([], shown).unwrap().collect::<Result<_, _>>().unwrap()
}

/// A file as the version before left it: its tables, its rows, and one snapshot called by its id.
fn file_of_the_version_before(path: &Path, data_dir: &Path, id: &str) {
    let connection = rusqlite::Connection::open(path).unwrap();
    connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(())).unwrap();
    connection.execute_batch(include_str!("version_1.sql")).unwrap();
    let snapshot = data_dir.join(SHELF).join("ab").join(format!("{id}.gif"));
    fs::create_dir_all(snapshot.parent().unwrap()).unwrap();
    fs::write(snapshot, "GIF87a").unwrap();
}

#[test]
fn a_file_of_the_version_before_is_brought_up_to_date_with_all_that_is_in_it() {
    let root = tempfile::tempdir().unwrap();
    let (path, id) = (root.path().join("siod.db"), "abcdefghijklmnopqrst");
    file_of_the_version_before(&path, root.path(), id);
    let shelf = ShelfSettings { name: SHELF, quota_bytes: 1 << 20, ttl_ms: u64::MAX };
    let settings = Settings {
        tables: vec![&TABLES],
        shelves: vec![shelf],
        ..Settings::new(&format!("sqlite:{}", path.display()), root.path())
    };
    let store = Store::open(&settings).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let ask = |questions| runtime.block_on(store.read(questions));
    let loaded = ask(fleet("f"));
    assert_eq!(loaded.rows::<Device>(0), Ok(vec![older_device()]));
    assert_eq!(loaded.rows::<State>(1), Ok(vec![state("f", "a", 7)]));
    assert_eq!(loaded.rows::<Alert>(2), Ok(vec![alert("f", "a", 2, None)]));
    let rest = ask(vec![changes("f", "a", 0, 9), failures("f", 9), audit::newest("signage", 9), snapshot(id)]);
    assert_eq!(rest.rows::<Change>(0), Ok(vec![change("f", "a", 7)]));
    assert_eq!(rest.rows::<Failure>(1), Ok(vec![failure("f", 1)]));
    assert_eq!(rest.rows::<audit::Entry>(2), Ok(vec![entry("signage", 1)]));
    let row = Snapshot { id: id.to_owned(), fleet: "f".to_owned(), device_id: "a".to_owned(), at: WallMillis(9) };
    assert_eq!(rest.rows::<Snapshot>(3), Ok(vec![row]));
    let blob: Blob = runtime.block_on(store.blob(SHELF, id)).unwrap().unwrap();
    assert_eq!((&*blob.mime, blob.bytes, &*blob.sha256), ("image/gif", 6, "cc"));
    assert_eq!(store.contents(&blob).unwrap(), &b"GIF87a"[..]);

    let (sender, answer) = std::sync::mpsc::channel();
    let drop_it = Job::Drop { shelf: SHELF, id: crate::base::ids::Sid::parse(id).unwrap() };
    store.submit(drop_it, Box::new(move |outcome| sender.send(outcome).unwrap()));
    assert!(answer.recv().unwrap().is_written());
    assert!(!root.path().join(SHELF).join("ab").join(format!("{id}.gif")).exists());
    store.close();

    // Old and new files are the same from here on, and the version before refuses both.
    let fresh = root.path().join("fresh.db");
    drop(Sqlite::open(&fresh, &[&tables::TABLES, &TABLES]).unwrap());
    assert_eq!(schema(&path), schema(&fresh));
    let version = |path: &Path| {
        let connection = rusqlite::Connection::open(path).unwrap();
        connection.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0)).unwrap()
    };
    assert_eq!((version(&path), version(&fresh)), (2, 2));
}
