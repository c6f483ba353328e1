//! Fuzzes what reads channel names and patterns.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| cloud_channel_fuzz::channels::check(bytes));
