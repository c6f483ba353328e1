//! Fuzzes what reads endpoints.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| cloud_channel_fuzz::endpoints::check(bytes));
