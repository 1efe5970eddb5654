#![no_main]

libfuzzer_sys::fuzz_target!(init: tealight_fuzz::seed("safetensors"), |bytes: &[u8]| tealight_fuzz::safetensors(bytes));
