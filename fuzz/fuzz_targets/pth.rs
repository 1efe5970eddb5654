#![no_main]

libfuzzer_sys::fuzz_target!(init: tealight_fuzz::seed("pth"), |bytes: &[u8]| tealight_fuzz::pth(bytes));
