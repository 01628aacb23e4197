//! Bytes for [`siod::fuzz::multipart`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| siod::fuzz::multipart(data));
