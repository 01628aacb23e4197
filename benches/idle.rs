//! One million clients in the pure shards of one process: what each of them occupies, by part, and what one broadcast to
//! all of them costs up to the write. No socket of the operating system is involved: the bytes go in and out as values.
//!
//! Before them 15,000 people of signage, who cost more: an identity of their own, a seat in their fleet, rooms; and 19,000 links that
//! have arrived: what one occupies at rest, and what a message of it costs that goes to its home and comes back, over mail for half of them.
//!
//! `cargo bench --bench idle` holds a million; `cargo bench --bench idle -- 100000` holds as many as it says. Lines for
//! programs are `bytes_per_admin N`, `bytes_per_operator N`, `bytes_per_link N`, `ns_per_link_message N`, and at the end `bytes_per_peer N` and `ns_per_peer N`.

mod world;

use std::time::{Duration, Instant};

use peak_alloc::PeakAlloc;
use serde_json::{Value, json};
use siod::app::identity::jwt;
use siod::shard::Shard;
use siod::shard::io::{Input, Output};

use world::{conn, exchange, flush, join, join_as, new_shard, new_signage, now, open_link, secret, send};

/// Counts the bytes that are allocated and not freed.
#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

const PEERS: usize = 1_000_000;
const SHARDS: u16 = 2;
/// Broadcasts that are timed; the median counts.
const ROUNDS: usize = 9;

/// Links, and the systems whose devices they are.
const LINKS: usize = 19_000;
const SYSTEMS: usize = 100;

/// People of signage, as many as one process of a load test holds.
const PEOPLE: usize = 15_000;

/// Measures and prints.
pub(crate) fn main() {
    people("admin", |n| {
        json!({"sub": format!("user-{n}"), "role": "admin", "name": format!("Ana Silva {n}"),
        "email": format!("ana.silva.{n}@fleet.example"), "permissions": ["devices", "commands"], "tenantId": "fleet-1"})
    });
    people(
        "operator",
        |n| json!({"sub": format!("user-{n}"), "role": "operator", "groups": ["lobby", "canteen", "garage"]}),
    );

    links();

    let asked = std::env::args().skip(1).find_map(|arg| arg.parse().ok());
    let per_shard = asked.unwrap_or(PEERS) / usize::from(SHARDS);
    let count = per_shard * usize::from(SHARDS);

    let before = ALLOCATOR.current_usage();
    let begun = Instant::now();
    let mut shards: Vec<Shard> = (0..SHARDS).map(|id| new_shard(id, SHARDS)).collect();
    shards.iter_mut().for_each(|shard| (0..per_shard).for_each(|slot| join(shard, slot)));
    println!("{count} clients on {SHARDS} shards joined in {:.1} s", begun.elapsed().as_secs_f64());

    let live = ALLOCATOR.current_usage() - before;
    print_parts(&shards, count, live);

    let [staged, flushed] = broadcasts(&mut shards, count);
    println!(
        "one broadcast of 64 B to all: {staged:.1} ns a client to queue it, {flushed:.1} ns to hand it to the write"
    );
    println!("bytes_per_peer {:.0}", live as f64 / count as f64);
    println!("ns_per_peer {:.1}", staged + flushed);
}

/// People with tokens of these claims join signage, whose settings are the default ones.
fn people(role: &str, claims: impl Fn(usize) -> Value) {
    let before = ALLOCATOR.current_usage();
    let mut shard = new_signage();
    for slot in 0..PEOPLE {
        let mut claims = claims(slot);
        claims["exp"] = (now().wall.as_secs() + 86_400).into();
        join_as(&mut shard, slot, &json!({"token": jwt::mint(&claims, &secret())}).to_string());
    }
    let live = ALLOCATOR.current_usage() - before;
    println!("{PEOPLE} of role {role} joined signage");
    print_parts(std::slice::from_ref(&shard), PEOPLE, live);
    println!("bytes_per_{role} {:.0}", live as f64 / PEOPLE as f64);
}

/// Devices of many systems, each at home where its system is, send a message each and get it back.
fn links() {
    let before = ALLOCATOR.current_usage();
    let mut shards: Vec<Shard> = (0..SHARDS).map(|id| new_shard(id, SHARDS)).collect();
    let per_shard = LINKS / shards.len();
    for slot in 0..per_shard {
        let tenant = format!("system-{}", slot % SYSTEMS);
        (0..shards.len()).for_each(|at| open_link(&mut shards, at, slot, &tenant));
    }
    let live = ALLOCATOR.current_usage() - before;
    println!("{LINKS} links arrived");
    print_parts(&shards, LINKS, live);
    println!("bytes_per_link {:.0}", live as f64 / LINKS as f64);
    let text = "x".repeat(64);
    let mut times: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let (begun, mut written) = (Instant::now(), 0);
            let slots: Vec<usize> = (0..per_shard).collect();
            // About as many as one turn reads.
            for turn in slots.chunks(64) {
                for slot in turn {
                    shards.iter_mut().for_each(|shard| send(shard, conn(*slot), text.as_bytes()));
                }
                exchange(&mut shards);
                written += shards.iter_mut().map(flush).sum::<usize>();
            }
            assert_eq!(written, LINKS * (64 + 2), "each got its message back");
            begun.elapsed()
        })
        .collect();
    times.sort_unstable();
    println!("ns_per_link_message {:.0}", times[ROUNDS / 2].as_nanos() as f64 / LINKS as f64);
}

fn print_parts(shards: &[Shard], count: usize, live: usize) {
    let mut parts: Vec<(&str, usize)> = Vec::new();
    for (name, bytes) in shards.iter().flat_map(|shard| shard.footprint()) {
        match parts.iter_mut().find(|part| part.0 == name) {
            Some(part) => part.1 += bytes,
            None => parts.push((name, bytes)),
        }
    }
    let counted: usize = parts.iter().map(|part| part.1).sum();
    parts.push(("handshake, identity and the application's, on the heap", live.saturating_sub(counted)));
    for (name, bytes) in parts.into_iter().filter(|part| part.1 > 0) {
        println!("{:>8.1} B  {name}", bytes as f64 / count as f64);
    }
}

/// Medians in nanoseconds a client: to queue one broadcast for everybody, and to hand it to the write.
fn broadcasts(shards: &mut [Shard], count: usize) -> [f64; 2] {
    let text = format!("42[\"bcast\",\"{}\"]", "x".repeat(64 - 12));
    let mut rounds: Vec<[Duration; 2]> = Vec::new();
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        // lab has no home: a broadcast of each shard's first client reaches both shards by mail.
        send(&mut shards[0], conn(0), text.as_bytes());
        let mut mail = Vec::new();
        while let Some(output) = shards[0].next_output() {
            if let Output::Mail { mail: list, .. } = output {
                mail.extend(list);
            }
        }
        shards[1].on_input(now(), Input::Mail(mail));
        let queued = begun.elapsed();
        let begun = Instant::now();
        let written: usize = shards.iter_mut().map(flush).sum();
        assert!(written >= count * 64, "everybody got the broadcast");
        rounds.push([queued, begun.elapsed()]);
    }
    [0, 1].map(|part| {
        let mut times: Vec<Duration> = rounds.iter().map(|round| round[part]).collect();
        times.sort_unstable();
        times[ROUNDS / 2].as_nanos() as f64 / count as f64
    })
}
