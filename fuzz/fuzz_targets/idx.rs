#![no_main]

libfuzzer_sys::fuzz_target!(init: tealight_fuzz::seed("idx"), |bytes: &[u8]| tealight_fuzz::idx(bytes));
