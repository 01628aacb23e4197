//! How fast bytes become messages and arguments: the codecs every packet passes through.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use siod::base::json;
use siod::wire::frame::{Opcode, write_masked};
use siod::wire::mask::unmask;
use siod::wire::{Decoder, Incoming};

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

fn scan(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("json");
    let small = r#"["message",{"text":"hello, how are you?","id":"c0ffee-123","n":42}]"#.to_owned();
    let state = r#"{"playerId":"p-17","volume":0.75,"muted":false,"zones":["lobby","hall"],"note":null},"#;
    let large = format!("[\"player:state\",{}0]", state.repeat(120));
    let prose = format!("[\"text\",\"{}\"]", "prose without anything to escape ".repeat(2000));
    for (name, text) in [("event of 64 B", &small), ("objects of 10 KB", &large), ("one string of 64 KB", &prose)] {
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(format!("scan {name}"), |bench| {
            bench.iter(|| json::scan_array(black_box(text.as_bytes()), 0))
        });
    }
    group.throughput(Throughput::Bytes(large.len() as u64));
    group.bench_function("scan objects of 10 KB, placeholders watched", |bench| {
        bench.iter(|| json::scan_array(black_box(large.as_bytes()), 1));
    });
    group.bench_function("serde_json::Value of the same, to compare", |bench| {
        bench.iter(|| serde_json::from_str::<serde_json::Value>(black_box(&large)));
    });
    group.finish();
}

fn mask(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("mask");
    for size in [64, 4096] {
        let mut bytes = vec![b'x'; size];
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(format!("unmask {size} B"), |bench| bench.iter(|| unmask(black_box(&mut bytes), KEY, 0)));
    }
    group.finish();
}

fn frames(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("wire");
    for (name, size, count) in [("64 B", 64, 100), ("4 KB", 4096, 8)] {
        let mut stream = Vec::new();
        for _ in 0..count {
            write_masked(&mut stream, Opcode::Text, true, "x".repeat(size).as_bytes(), KEY);
        }
        group.throughput(Throughput::Elements(count));
        group.bench_function(format!("decode messages of {name}, whole"), |bench| {
            bench.iter_batched_ref(
                || stream.clone(),
                |buffer| decode(buffer.chunks_mut(usize::MAX)),
                BatchSize::SmallInput,
            );
        });
        group.bench_function(format!("decode messages of {name}, in reads of 1000 B"), |bench| {
            bench.iter_batched_ref(|| stream.clone(), |buffer| decode(buffer.chunks_mut(1000)), BatchSize::SmallInput);
        });
    }
    group.finish();
}

fn decode<'a>(reads: impl Iterator<Item = &'a mut [u8]>) -> usize {
    let (mut decoder, mut bytes) = (Decoder::default(), 0);
    for mut input in reads {
        while let Ok(Some(Incoming::Text(text))) = decoder.next(&mut input, 1_000_000) {
            bytes += text.len();
        }
    }
    bytes
}

criterion_group!(benches, scan, mask, frames);
criterion_main!(benches);
