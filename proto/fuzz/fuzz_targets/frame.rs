//! Any cut of any byte stream gives the same frames, within the bounds. The body is in `src/frame.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| truckee_fuzz::frame::run(data));
