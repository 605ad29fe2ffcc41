//! Any head, signed body or roster file is refused or comes back the same. The body is in `src/envelope.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| truckee_fuzz::envelope::run(data));
