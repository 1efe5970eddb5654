#![no_main]

libfuzzer_sys::fuzz_target!(init: tealight_fuzz::seed("npy"), |bytes: &[u8]| tealight_fuzz::npy(bytes));
