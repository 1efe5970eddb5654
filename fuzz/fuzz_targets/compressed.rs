#![no_main]

libfuzzer_sys::fuzz_target!(init: tealight_fuzz::seed("compressed"), |bytes: &[u8]| tealight_fuzz::compressed(bytes));
