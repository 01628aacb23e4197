//! Bytes for [`siod::fuzz::engine_payload`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| siod::fuzz::engine_payload(data));
