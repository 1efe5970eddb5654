#![no_main]

libfuzzer_sys::fuzz_target!(init: tealight_fuzz::seed("parquet"), |bytes: &[u8]| tealight_fuzz::parquet(bytes));
