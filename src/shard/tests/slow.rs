//! Readers that are slower than their writers (DESIGN 4.11, F-12).

use super::{apps, fleet};
use crate::base::limit::{Limits, OUTBOX_BURST_FACTOR, OUTBOX_PATIENCE_MS};
use crate::shard::testing::{Peer, Setup, World};

/// Outboxes of 4,000 bytes with a low mark of 1,000, and a stall of 10 s.
fn tight(shards: u16) -> World {
    let limits = Limits { outbox_bytes_max: 4_000, outbox_low_mark_bytes: 1_000, ..Limits::default() };
    World::with(Setup { shards, limits, ..Setup::default() }, apps)
}

fn says(sender: &Peer, option: &str, text: &str) {
    sender.sends(&format!("42[\"to\",{option},\"{text}\"]"));
    sender.takes_all();
}

fn texts(peer: &Peer) -> Vec<String> {
    let short = |text: String| if text.len() > 100 { "long".to_owned() } else { text };
    peer.takes_texts().into_iter().map(short).collect()
}

#[test]
fn f12_a_reader_over_the_bound_is_closed_and_the_others_do_not_notice() {
    for shards in [1, 2, 4] {
        let world = tight(shards);
        let (sender, slow, well) = (fleet(&world), fleet(&world), fleet(&world));
        slow.reads_only(0);
        let long = "x".repeat(980);
        // The first one is being written and does not count; five behind it are more than the rest.
        for number in 1..=7 {
            says(&sender, "{\"alone\":1}", &long);
            world.advance(if number == 1 { OUTBOX_PATIENCE_MS } else { 0 });
            assert_eq!(slow.is_closed(), number > 6 || world.sum(|shard| shard.stats.slow_consumers) > 0);
        }
        assert!(slow.is_closed());
        assert_eq!(world.sum(|shard| shard.stats.slow_consumers), 1);
        assert_eq!(texts(&well).len(), 7);
        assert_eq!(world.sum(|shard| shard.sample().outbox_bytes), 0);
        sender.hangs_up(false);
        well.hangs_up(false);
        world.assert_empty();
    }
}

#[test]
fn f12_a_burst_may_exceed_the_bound_for_a_moment_and_not_for_ever() {
    let world = tight(1);
    let (sender, slow) = (fleet(&world), fleet(&world));
    slow.reads_only(0);
    let long = "x".repeat(980);
    let fits = 4 * OUTBOX_BURST_FACTOR;
    (0..fits).for_each(|_| says(&sender, "{\"alone\":1}", &long));
    assert!(!slow.is_closed());
    slow.reads_on();
    assert_eq!(texts(&slow).len(), fits);
    slow.reads_only(0);
    (0..fits + 4).for_each(|_| says(&sender, "{\"alone\":1}", &long));
    assert!(slow.is_closed());
}

#[test]
fn f12_a_reader_without_progress_is_closed_after_the_stall() {
    let world = tight(1);
    let (sender, slow) = (fleet(&world), fleet(&world));
    slow.reads_only(2);
    says(&sender, "{\"alone\":1}", "a");
    world.advance(9_999);
    assert!(!slow.is_closed());
    // One byte is progress.
    slow.reads_only(1);
    world.advance(9_999);
    assert!(!slow.is_closed());
    world.advance(1);
    assert!(slow.is_closed());
    sender.hangs_up(false);
    world.assert_empty();
}

#[test]
fn a_reader_that_comes_back_gets_everything_in_order() {
    let world = tight(2);
    let (sender, slow) = (fleet(&world), fleet(&world));
    slow.reads_only(5);
    for number in 0..20 {
        says(&sender, "{\"alone\":1}", &number.to_string());
    }
    slow.reads_only(3);
    slow.reads_on();
    let expected: Vec<String> = (0..20).map(|number| format!("42[\"said\",\"{number}\"]")).collect();
    assert_eq!(texts(&slow), expected);
    // The stall was called off.
    world.advance(15_000);
    assert!(!slow.is_closed());
}

#[test]
fn volatile_events_pass_a_blocked_reader_by() {
    let world = tight(1);
    let (sender, slow) = (fleet(&world), fleet(&world));
    slow.reads_only(0);
    says(&sender, "{\"alone\":1}", "must");
    says(&sender, "{\"alone\":1,\"class\":\"volatile\"}", "lost");
    slow.reads_on();
    says(&sender, "{\"alone\":1,\"class\":\"volatile\"}", "not lost");
    assert_eq!(texts(&slow), ["42[\"said\",\"must\"]", "42[\"said\",\"not lost\"]"]);
}

#[test]
fn over_the_low_mark_the_latest_of_a_key_replaces_the_queued_one() {
    for shards in [1, 2] {
        let world = tight(shards);
        let (sender, slow) = (fleet(&world), fleet(&world));
        slow.reads_only(0);
        let latest = |key: u64, text: &str| says(&sender, &format!("{{\"class\":\"latest\",\"key\":{key}}}"), text);
        latest(1, "one, below the mark");
        latest(1, "one, old");
        says(&sender, "{}", &"x".repeat(1_000));
        latest(2, "two, old");
        for number in 0..500 {
            latest(1, &format!("one, {number}"));
            latest(2, &format!("two, {number}"));
        }
        slow.reads_on();
        let got = texts(&slow);
        // Below the mark nothing is replaced; above it the key's last entry is.
        assert_eq!(
            got,
            ["42[\"said\",\"one, below the mark\"]", "42[\"said\",\"one, 499\"]", "long", "42[\"said\",\"two, 499\"]"]
        );
        assert_eq!(world.sum(|shard| shard.stats.coalesced), 1_000);
    }
}

#[test]
fn two_sockets_of_one_client_do_not_replace_each_other() {
    let world = tight(1);
    let (sender, slow) = (fleet(&world), fleet(&world));
    slow.sends("40/fleet,{\"token\":\"t\"}");
    slow.gets("40/fleet*");
    slow.reads_only(0);
    says(&sender, "{\"alone\":1}", &"x".repeat(1_000));
    for number in 0..3 {
        says(&sender, "{\"alone\":1,\"class\":\"latest\",\"key\":5}", &number.to_string());
    }
    slow.reads_on();
    let mut got = texts(&slow);
    got.sort();
    assert_eq!(got, ["42/fleet,[\"said\",\"2\"]", "42[\"said\",\"2\"]", "long", "long"]);
}

#[test]
fn dropped_patches_are_made_good_by_one_full_state_after_the_drain() {
    for shards in [1, 2, 4] {
        let world = tight(shards);
        let (sender, slow) = (fleet(&world), fleet(&world));
        slow.reads_only(0);
        let patch = |key: u64| says(&sender, &format!("{{\"alone\":1,\"class\":\"patch\",\"key\":{key}}}"), "patch");
        patch(1);
        says(&sender, "{\"alone\":1}", &"x".repeat(1_000));
        for _ in 0..200 {
            patch(1);
            patch(2);
        }
        // Draining below the mark is not enough: a patch behind a gap makes no sense.
        slow.reads_only(900);
        patch(1);
        patch(3);
        slow.reads_on();
        assert_eq!(
            texts(&slow),
            ["42[\"said\",\"patch\"]", "long", "42[\"said\",\"patch\"]", "42[\"full\",1]", "42[\"full\",2]"]
        );
        patch(1);
        assert_eq!(texts(&slow), ["42[\"said\",\"patch\"]"]);
        sender.hangs_up(false);
        slow.hangs_up(false);
        world.assert_empty();
    }
}

#[test]
fn a_full_state_that_is_dropped_is_asked_for_again() {
    let world = tight(2);
    let (sender, slow) = (fleet(&world), fleet(&world));
    let say =
        |class: &str, text: &str| says(&sender, &format!("{{\"alone\":1,\"class\":\"{class}\",\"key\":1}}"), text);
    slow.reads_only(0);
    says(&sender, "{\"alone\":1}", &"x".repeat(1_000));
    say("full", "dropped");
    say("patch", "dropped behind it");
    slow.reads_on();
    say("patch", "fine");
    assert_eq!(texts(&slow), ["long", "42[\"full\",1]", "42[\"said\",\"fine\"]"]);
    say("full", "passes");
    assert_eq!(texts(&slow), ["42[\"said\",\"passes\"]"]);
}

#[test]
fn one_large_event_may_take_its_time() {
    let world = tight(1);
    let (sender, slow) = (fleet(&world), fleet(&world));
    slow.reads_only(100);
    says(&sender, "{\"alone\":1}", &"x".repeat(50_000));
    says(&sender, "{\"alone\":1}", "behind it");
    assert!(!slow.is_closed());
    slow.reads_on();
    assert_eq!(texts(&slow), ["long", "42[\"said\",\"behind it\"]"]);
}

#[test]
fn a_blocked_reader_that_is_closed_is_cut_in_time() {
    let world = tight(1);
    let slow = fleet(&world);
    slow.reads_only(0);
    slow.sends("42[\"kick\",true]");
    slow.gets_nothing();
    world.advance(5_000);
    slow.gets_end();
    world.assert_empty();
}

#[test]
fn a_blocked_reader_that_says_goodbye_is_let_go() {
    for code in [None, Some(1000)] {
        let world = tight(1);
        let (sender, slow) = (fleet(&world), fleet(&world));
        slow.reads_only(0);
        says(&sender, "{\"alone\":1}", "x");
        slow.sends_close(code);
        slow.gets_end();
        sender.hangs_up(false);
        world.assert_empty();
    }
}
