//! Fuzzes what reads a machine monitor's answers.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| cloud_channel_fuzz::hybrid::check(bytes));
