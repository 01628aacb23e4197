//! What one core does for one input: whole turns of a shard, the choice of receivers, timers, the mailbox between cores.

mod world;

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use siod::base::hash::Keyed;
use siod::base::ids::NspId;
use siod::base::rng::Rng;
use siod::base::time::Millis;
use siod::base::wheel::Wheel;
use siod::hub::Hub;
use siod::hub::room::Selection;
use siod::hub::target::Room;
use siod::net::mailbox::{Mailbox, Message};
use siod::shard::Shard;

use world::{conn, flush, join, new_shard, send};

fn shard_of(clients: usize) -> Shard {
    let mut shard = new_shard(0, 1);
    (0..clients).for_each(|slot| join(&mut shard, slot));
    shard
}

/// From the bytes of one event to everything handed to the write.
fn turn(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("turn");
    let text = "x".repeat(64);
    let echo = format!("421[\"echo\",\"{text}\"]");
    let mut shard = shard_of(200);
    group.bench_function("emit with ack, 64 B", |bench| {
        let mut slot = 0;
        bench.iter(|| {
            slot = (slot + 1) % 200;
            send(&mut shard, conn(slot), echo.as_bytes());
            black_box(flush(&mut shard))
        });
    });
    let bcast = format!("42[\"bcast\",\"{text}\"]");
    for clients in [1_000, 19_000] {
        let mut shard = shard_of(clients);
        group.throughput(Throughput::Elements(clients as u64));
        group.bench_function(format!("broadcast of 64 B to {clients}"), |bench| {
            bench.iter(|| {
                send(&mut shard, conn(0), bcast.as_bytes());
                black_box(flush(&mut shard))
            });
        });
    }
    group.finish();
}

/// The pure hub: slots of the receivers, each once.
fn select(criterion: &mut Criterion) {
    const MEMBERS: u32 = 10_000;
    let mut group = criterion.benchmark_group("hub");
    let mut hub = Hub::new(Keyed::draw(&mut Rng::from_seed([1; 32])));
    let rooms = [Room::from("even"), Room::from("third")];
    for slot in 0..MEMBERS {
        hub.enter(slot, NspId(0));
        for (room, every) in rooms.iter().zip([2, 3]) {
            if slot % every == 0 {
                hub.join(slot, NspId(0), room, 128);
            }
        }
    }
    let mut receivers = Vec::new();
    for (name, rooms, except) in [
        ("everybody", &rooms[..0], &rooms[..0]),
        ("one room", &rooms[..1], &rooms[..0]),
        ("two rooms that overlap", &rooms[..], &rooms[..0]),
        ("everybody but a room", &rooms[..0], &rooms[1..]),
    ] {
        let selection = Selection { nsp: NspId(0), rooms, except, except_slots: &[] };
        hub.select(&selection, &mut receivers);
        group.throughput(Throughput::Elements(receivers.len() as u64));
        group.bench_function(format!("select {name}"), |bench| {
            bench.iter(|| {
                receivers.clear();
                hub.select(black_box(&selection), &mut receivers);
            });
        });
    }
    group.bench_function("join and leave a room of one's own", |bench| {
        let room = Room::from("own");
        bench.iter(|| {
            hub.join(7, NspId(0), &room, 128);
            hub.leave(7, NspId(0), &room);
        });
    });
    group.finish();
}

/// Heartbeats of 15,000 clients in one wheel.
fn wheel(criterion: &mut Criterion) {
    const TIMERS: u64 = 15_000;
    const INTERVAL_MS: u64 = 25_000;
    let mut group = criterion.benchmark_group("wheel");
    let armed = || {
        let mut wheel = Wheel::new(Millis(0));
        let keys: Vec<_> = (0..TIMERS).map(|n| wheel.arm(Millis(n * INTERVAL_MS / TIMERS), n as u32)).collect();
        (wheel, keys)
    };
    group.throughput(Throughput::Elements(TIMERS));
    group.bench_function("cancel and arm again, as a pong does", |bench| {
        bench.iter_batched_ref(
            armed,
            |(wheel, keys)| {
                for timer in keys {
                    let client = wheel.cancel(*timer).expect("every timer is armed");
                    *timer = wheel.arm(Millis(30_000), client);
                }
            },
            BatchSize::LargeInput,
        );
    });
    group.bench_function("fire one by one", |bench| {
        bench.iter_batched_ref(
            armed,
            |(wheel, _)| (0..INTERVAL_MS).for_each(|ms| while black_box(wheel.pop(Millis(ms))).is_some() {}),
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

/// A message into a mailbox and out again, its owner awake.
fn mailbox(criterion: &mut Criterion) {
    let mailbox = Mailbox::default();
    mailbox.rise();
    criterion.bench_function("mailbox: send and take", |bench| {
        bench.iter(|| {
            mailbox.send(Message::Drain { window_ms: 1 });
            black_box(mailbox.take())
        });
    });
}

criterion_group!(benches, turn, select, wheel, mailbox);
criterion_main!(benches);
