//! What every repository must do, run against both: a table of writes and the answers they lead to, and random sequences.

use proptest::prelude::*;

use super::memory::Memory;
use super::sqlite::Sqlite;
use super::{Batch, Bounds, Repository};
use crate::app::effect::{Outcome, Query, Write};
use crate::app::kit::audit;
use crate::apps::signage::job::{self as signage, Alert, Answer, Change, Command, Device, Failure, Snapshot, State};
use crate::base::time::WallMillis;

const BOUNDS: Bounds = Bounds { history_rows_max: 5, append_rows_max: 6 };

/// Runs `case` on a fresh repository of each kind.
fn each(case: impl Fn(&mut dyn Repository)) {
    case(&mut Memory::new(BOUNDS));
    let root = tempfile::tempdir().unwrap();
    case(&mut Sqlite::open(&root.path().join("siod.db"), BOUNDS).unwrap());
}

fn commit(repository: &mut dyn Repository, writes: Vec<Write>) {
    assert_eq!(repository.commit(&[&Batch::Writes(writes.into())]), Ok(vec![Ok(())]));
}

fn ask(repository: &mut dyn Repository, query: signage::Query) -> Answer {
    match repository.read(&Query::Signage(query)).unwrap() {
        Outcome::Signage(answer) => answer,
        other => panic!("{other:?}"),
    }
}

fn fleet(repository: &mut dyn Repository, fleet: &str) -> (Vec<Device>, Vec<State>, Vec<Alert>) {
    match ask(repository, signage::Query::Fleet { fleet: fleet.to_owned() }) {
        Answer::Fleet { devices, states, alerts } => (devices, states, alerts),
        other => panic!("{other:?}"),
    }
}

fn revs(repository: &mut dyn Repository, device: &str, since: u64, limit: u32) -> Vec<u64> {
    let query = signage::Query::History { fleet: "f".to_owned(), device_id: device.to_owned(), since, limit };
    match ask(repository, query) {
        Answer::History(rows) => rows.iter().map(|row| row.rev).collect(),
        other => panic!("{other:?}"),
    }
}

/// A device with every field set, so that a column left out shows.
fn device(fleet: &str, id: &str, online: bool) -> Device {
    Device {
        fleet: fleet.to_owned(),
        device_id: id.to_owned(),
        name: "Lobby 'ñ' \0 \"%_".to_owned(),
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

fn command(id: &str, device: &str, status: &str) -> Command {
    Command {
        fleet: "f".to_owned(),
        command_id: id.to_owned(),
        device_id: device.to_owned(),
        command: "vlc:play".to_owned(),
        params: "{}".to_owned(),
        origin: "ana".to_owned(),
        status: status.to_owned(),
        attempts: 1,
        at: WallMillis(5),
        duration_ms: 83,
    }
}

fn picture(id: &str, device: &str, at: u64) -> Snapshot {
    Snapshot {
        id: id.to_owned(),
        fleet: "f".to_owned(),
        device_id: device.to_owned(),
        at: WallMillis(at),
        mime: "image/png".to_owned(),
        bytes: 3_000_000,
        sha256: "cc".to_owned(),
        path: format!("ab/{id}.png"),
    }
}

use signage::Write::{AddChange, AddFailure, PutAlert, PutCommand, PutDevice, PutState};

fn all(writes: Vec<signage::Write>) -> Vec<Write> {
    writes.into_iter().map(Write::Signage).collect()
}

#[test]
fn a_fleet_comes_back_whole_ordered_and_alone() {
    each(|repository| {
        let newer = Device { name: "Hall".to_owned(), authorized: false, ..device("f", "b", false) };
        let writes = vec![
            PutDevice(device("f", "b", true)),
            PutDevice(device("f", "a", true)),
            PutDevice(device("other", "a", true)),
            PutState(state("f", "b", 1)),
            PutState(state("f", "a", 7)),
            PutState(state("other", "z", 1)),
            PutAlert(alert("f", "b", 2, None)),
            PutAlert(alert("f", "b", 1, None)),
            PutAlert(alert("f", "a", 9, Some(10))),
            PutDevice(newer.clone()),
            PutState(state("f", "b", 2)),
        ];
        commit(repository, all(writes));
        let expected = (
            vec![device("f", "a", true), newer.clone()],
            vec![state("f", "a", 7), state("f", "b", 2)],
            vec![alert("f", "b", 1, None), alert("f", "b", 2, None)],
        );
        assert_eq!(fleet(repository, "f"), expected);
        assert_eq!(fleet(repository, "nobody's"), (vec![], vec![], vec![]));

        commit(repository, all(vec![PutAlert(alert("f", "b", 1, Some(3)))]));
        assert_eq!(fleet(repository, "f").2, [alert("f", "b", 2, None)]);
    });
}

#[test]
fn history_is_a_ring_for_each_device() {
    each(|repository| {
        for rev in 1..=70 {
            commit(repository, all(vec![AddChange(change("f", "a", rev))]));
        }
        commit(repository, all(vec![AddChange(change("f", "b", 1)), AddChange(change("g", "a", 100))]));
        for (since, limit, expected) in [
            (0, 500, vec![66, 67, 68, 69, 70]),
            (68, 500, vec![69, 70]),
            (0, 2, vec![69, 70]),
            (70, 500, vec![]),
            (0, 0, vec![]),
            (u64::MAX, 5, vec![]),
        ] {
            assert_eq!(revs(repository, "a", since, limit), expected, "since {since} limit {limit}");
        }
        assert_eq!(revs(repository, "b", 0, 500), [1]);
        let query = signage::Query::History { fleet: "g".to_owned(), device_id: "a".to_owned(), since: 0, limit: 1 };
        assert_eq!(ask(repository, query), Answer::History(vec![change("g", "a", 100)]));
    });
}

#[test]
fn failures_and_audit_are_newest_first_and_bounded() {
    each(|repository| {
        for n in 1..=10 {
            let of_fleet = if n == 5 { "g" } else { "f" };
            let writes = vec![Write::Signage(AddFailure(failure(of_fleet, n))), Write::Audit(entry("signage", n))];
            commit(repository, writes);
        }
        commit(repository, vec![Write::Audit(entry("iot", 11))]);
        let failures = |fleet: &str, limit| signage::Query::Failures { fleet: fleet.to_owned(), limit };
        let of = |fleet: &str, all: &[u64]| Answer::Failures(all.iter().map(|n| failure(fleet, *n)).collect());
        assert_eq!(ask(repository, failures("f", 100)), of("f", &[10, 9, 8, 7, 6]));
        assert_eq!(ask(repository, failures("f", 2)), of("f", &[10, 9]));
        assert_eq!(ask(repository, failures("g", 9)), of("g", &[5]));
        for (domain, limit, expected) in
            [("signage", 100, vec![10, 9, 8, 7, 6]), ("signage", 1, vec![10]), ("iot", 9, vec![11]), ("%", 9, vec![])]
        {
            let answer = repository.read(&Query::Audit { domain: domain.to_owned(), limit }).unwrap();
            let expected = expected.into_iter().map(|n| entry(domain, n)).collect();
            assert_eq!(answer, Outcome::Audit(expected), "{domain} {limit}");
        }
    });
}

#[test]
fn pictures_are_found_by_id() {
    each(|repository| {
        let put = |row: &Snapshot, drop: &[&str]| Batch::Snapshots {
            put: Some(row.clone()),
            drop: drop.iter().map(|id| (*id).to_owned()).collect(),
        };
        let rows = [picture("one", "a", 5), picture("two", "a", 9), picture("three", "a", 9), picture("four", "b", 99)];
        for row in &rows {
            assert_eq!(repository.commit(&[&put(row, &[])]), Ok(vec![Ok(())]));
        }
        let by_id = |id: &str| signage::Query::Snapshot { id: id.to_owned() };
        assert_eq!(ask(repository, by_id("one")), Answer::Snapshot(Some(rows[0].clone())));
        assert_eq!(ask(repository, by_id("none")), Answer::Snapshot(None));

        assert_eq!(repository.commit(&[&put(&picture("five", "b", 1), &["one", "two", "none"])]), Ok(vec![Ok(())]));
        assert_eq!(ask(repository, by_id("one")), Answer::Snapshot(None));
        let mut ids: Vec<_> = repository.snapshots().unwrap().into_iter().map(|row| row.id).collect();
        ids.sort();
        assert_eq!(ids, ["five", "four", "three"]);
    });
}

#[test]
fn a_group_answers_each_batch_in_order() {
    each(|repository| {
        let group = [
            Batch::Writes(all(vec![PutCommand(command("c", "a", "sent")), PutState(state("f", "a", 1))]).into()),
            Batch::Probe(WallMillis(1)),
            Batch::Writes(Vec::new().into()),
            Batch::Writes(all(vec![PutState(state("f", "a", 2)), PutCommand(command("c", "a", "success"))]).into()),
        ];
        assert_eq!(repository.commit(&group.each_ref()), Ok(vec![Ok(()); 4]));
        assert_eq!(fleet(repository, "f").1, [state("f", "a", 2)]);
        assert_eq!(repository.commit(&[]), Ok(vec![]));
    });
}

/// Few names and numbers, so that sequences collide.
fn any_write() -> impl Strategy<Value = Write> {
    let name = prop::sample::select(vec!["a", "b", "'", "%", "\0", "ñ"]);
    (0..7, name.clone(), name, 0_u64..100, any::<bool>()).prop_map(|(kind, fleet, id, n, flag)| {
        Write::Signage(match kind {
            0 => return Write::Audit(entry(fleet, n)),
            1 => PutDevice(Device { rev_reserved: n, last_seen: WallMillis(n), ..device(fleet, id, flag) }),
            2 => PutState(state(fleet, id, n)),
            3 => AddChange(change(fleet, id, n)),
            4 => PutCommand(command(fleet, id, "sent")),
            5 => PutAlert(alert(fleet, id, n % 3, flag.then_some(n))),
            _ => AddFailure(failure(fleet, n)),
        })
    })
}

fn any_query() -> impl Strategy<Value = Query> {
    let name = prop::sample::select(vec!["a", "b", "'", "%", "\0", "ñ"]).prop_map(str::to_owned);
    (0..4, name.clone(), name, 0_u64..100, 0_u32..10).prop_map(|(kind, fleet, device_id, since, limit)| {
        Query::Signage(match kind {
            0 => return Query::Audit { domain: fleet, limit },
            1 => signage::Query::Fleet { fleet },
            2 => signage::Query::History { fleet, device_id, since, limit },
            _ => signage::Query::Failures { fleet, limit },
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_database_agrees_with_the_reference(
        groups in prop::collection::vec(prop::collection::vec(prop::collection::vec(any_write(), 0..6), 1..6), 1..12),
        queries in prop::collection::vec(any_query(), 1..60),
    ) {
        let root = tempfile::tempdir().unwrap();
        let (mut memory, mut sqlite) =
            (Memory::new(BOUNDS), Sqlite::open(&root.path().join("siod.db"), BOUNDS).unwrap());
        for group in groups {
            let batches: Vec<Batch> = group.into_iter().map(|writes| Batch::Writes(writes.into())).collect();
            let group: Vec<&Batch> = batches.iter().collect();
            prop_assert_eq!(memory.commit(&group), sqlite.commit(&group));
        }
        let mut reader = sqlite.reader();
        for query in queries {
            prop_assert_eq!(memory.read(&query), reader.read(&query));
        }
    }
}
