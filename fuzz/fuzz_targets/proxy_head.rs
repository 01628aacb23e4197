//! Bytes for [`siod::fuzz::proxy_head`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| siod::fuzz::proxy_head(data));
