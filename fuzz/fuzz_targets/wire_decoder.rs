//! Bytes for [`siod::fuzz::wire_decoder`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| siod::fuzz::wire_decoder(data));
