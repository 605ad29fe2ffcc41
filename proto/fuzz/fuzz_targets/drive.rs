//! Nothing of a directory is read that would be written differently. The body is in `src/drive.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| truckee_fuzz::drive::run(data));
