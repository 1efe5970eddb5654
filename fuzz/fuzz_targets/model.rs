#![no_main]

libfuzzer_sys::fuzz_target!(init: tealight_fuzz::seed("model"), |bytes: &[u8]| tealight_fuzz::model(bytes));
