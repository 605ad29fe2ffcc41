//! Any damage to a share file or UEB is found. The body is in `src/share.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| truckee_fuzz::share::run(data));
