#![no_main]

libfuzzer_sys::fuzz_target!(init: tealight_fuzz::seed("checkpoint"), |bytes: &[u8]| tealight_fuzz::checkpoint(bytes));
