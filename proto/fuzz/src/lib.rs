//! The bodies of the fuzz targets: plain functions that take bytes and panic when a promise is broken.
//!
//! Run one with `cargo +nightly fuzz run TARGET` in `proto/` (needs `cargo-fuzz` and a C++ compiler).
//!
//! They are shared: `fuzz_targets/` gives them to the fuzzer, and the tests of `truckee-engine` include this file, so
//! that they run over the checked-in corpus and over seeded mutations of it wherever tests run. Nothing here promises
//! coverage; that is the fuzzer's work.

pub mod cap;
pub mod drive;
pub mod envelope;
pub mod frame;
pub mod session;
pub mod share;

/// One target: its name, which is also the name of its folder of the corpus, and its body.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 6] = [
    ("frame", frame::run),
    ("envelope", envelope::run),
    ("cap", cap::run),
    ("share", share::run),
    ("session", session::run),
    ("drive", drive::run),
];
