//! Any text is refused as a cap or is the one text of the cap that it is. The body is in `src/cap.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| truckee_fuzz::cap::run(data));
