//! Fuzzes what reads frames and request bodies.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| cloud_channel_fuzz::decoder::check(bytes));
