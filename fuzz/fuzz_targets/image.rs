#![no_main]

libfuzzer_sys::fuzz_target!(init: tealight_fuzz::seed("image"), |bytes: &[u8]| tealight_fuzz::image(bytes));
