//! Bytes for [`siod::fuzz::settings`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| siod::fuzz::settings(data));
