//! Bytes for [`siod::fuzz::query`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| siod::fuzz::query(data));
