#![no_main]

libfuzzer_sys::fuzz_target!(init: tealight_fuzz::seed("npz"), |bytes: &[u8]| tealight_fuzz::npz(bytes));
