//! Bytes for [`siod::fuzz::routes`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| siod::fuzz::routes(data));
