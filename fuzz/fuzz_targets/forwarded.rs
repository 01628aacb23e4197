//! Bytes for [`siod::fuzz::forwarded`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| siod::fuzz::forwarded(data));
