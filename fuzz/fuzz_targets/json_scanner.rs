//! Bytes for [`siod::fuzz::json_scanner`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| siod::fuzz::json_scanner(data));
