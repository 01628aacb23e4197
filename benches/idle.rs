//! One million clients in the pure shards of one process: what each of them occupies, by part, and what one broadcast to
//! all of them costs up to the write. No socket of the operating system is involved: the bytes go in and out as values.
//!
//! `cargo bench --bench idle` holds a million; `cargo bench --bench idle -- 100000` holds as many as it says. The last two
//! lines are for programs: `bytes_per_peer N` and `ns_per_peer N`.

mod world;

use std::time::{Duration, Instant};

use peak_alloc::PeakAlloc;
use siod::shard::Shard;
use siod::shard::io::{Input, Output};

use world::{conn, flush, join, new_shard, now, send};

/// Counts the bytes that are allocated and not freed.
#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

const PEERS: usize = 1_000_000;
const SHARDS: u16 = 2;
/// Broadcasts that are timed; the median counts.
const ROUNDS: usize = 9;

/// Measures and prints.
pub fn main() {
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

fn print_parts(shards: &[Shard], count: usize, live: usize) {
    let mut parts: Vec<(&str, usize)> = Vec::new();
    for (name, bytes) in shards.iter().flat_map(|shard| shard.footprint()) {
        match parts.iter_mut().find(|part| part.0 == name) {
            Some(part) => part.1 += bytes,
            None => parts.push((name, bytes)),
        }
    }
    let counted: usize = parts.iter().map(|part| part.1).sum();
    parts.push(("handshake and identity, on the heap", live.saturating_sub(counted)));
    for (name, bytes) in parts {
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
