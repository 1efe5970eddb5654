#![no_main]

libfuzzer_sys::fuzz_target!(init: tealight_fuzz::seed("csv"), |bytes: &[u8]| tealight_fuzz::csv(bytes));
