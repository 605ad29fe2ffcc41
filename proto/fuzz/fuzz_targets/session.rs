//! Any schedule of requests, answers, cancels, time and damage leaves two sessions in order. The body is in `src/session.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| truckee_fuzz::session::run(data));
