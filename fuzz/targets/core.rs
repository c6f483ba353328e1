//! Fuzzes the server core with sequences of everything that can happen to it.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| cloud_channel_fuzz::core::check(bytes));
