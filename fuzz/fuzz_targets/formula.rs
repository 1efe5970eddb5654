#![no_main]

libfuzzer_sys::fuzz_target!(init: tealight_fuzz::seed("formula"), |bytes: &[u8]| tealight_fuzz::formula(bytes));
