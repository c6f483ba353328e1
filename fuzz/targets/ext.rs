//! Fuzzes what reads `ext` objects.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| cloud_channel_fuzz::ext::check(bytes));
