#![no_main]

libfuzzer_sys::fuzz_target!(init: tealight_fuzz::seed("tar"), |bytes: &[u8]| tealight_fuzz::tar(bytes));
