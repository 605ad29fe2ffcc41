//! TurboSHAKE128 of several messages of one length at a time: the blocks of a segment are made for it, and hashing them
//! is the largest cost of an upload.
//!
//! Owns the choice of a kernel at run time and the only `unsafe` of the workspace: calling a safe function that was
//! compiled for CPU features which the check right before the call has found. The kernels hold no `unsafe` themselves.
//! The `turboshake` crate defines the result; [`cross_check`] compares each kernel with it before it is used, and the
//! tests do so over all lengths around the block size. Elsewhere than on x86-64 every message takes the portable way.

#![allow(unsafe_code)] // see above: two calls, each with its reason

use crate::hashing::turboshake128;
use std::sync::OnceLock;

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;

/// Bytes that one permutation of TurboSHAKE128 absorbs (RFC 9861, section 2.2).
const RATE_BYTES: usize = 168;

/// The last 12 of the 24 round constants of Keccak-f[1600] (FIPS 202, section 3.2.5; RFC 9861, section 2.1).
#[cfg(target_arch = "x86_64")]
const ROUND_CONSTANTS: [u64; 12] = [
    0x0000_0000_8000_808b,
    0x8000_0000_0000_008b,
    0x8000_0000_0000_8089,
    0x8000_0000_0000_8003,
    0x8000_0000_0000_8002,
    0x8000_0000_0000_0080,
    0x0000_0000_0000_800a,
    0x8000_0000_8000_000a,
    0x8000_0000_8000_8081,
    0x8000_0000_0000_8080,
    0x0000_0000_8000_0001,
    0x8000_0000_8000_8008,
];

/// How batches are hashed on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kernel {
    /// One message after another, by the `turboshake` crate.
    Portable,
    /// Four at a time with AVX2.
    Avx2,
    /// Eight at a time with AVX-512.
    Avx512,
}

impl Kernel {
    /// Messages hashed at a time.
    #[must_use]
    pub const fn lanes(self) -> usize {
        match self {
            Kernel::Portable => 1,
            Kernel::Avx2 => 4,
            Kernel::Avx512 => 8,
        }
    }

    /// A name for logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Kernel::Portable => "turboshake",
            Kernel::Avx2 => "avx2x4",
            Kernel::Avx512 => "avx512x8",
        }
    }
}

/// What the check at first use found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    /// The widest kernel that this CPU can run and that agrees with the `turboshake` crate.
    pub(crate) kernel: Kernel,
    /// A wider one can run but computes something else.
    pub(crate) differed: bool,
}

/// The kernel in use, chosen once a process.
pub(crate) fn choice() -> Choice {
    static CHOICE: OnceLock<Choice> = OnceLock::new();
    *CHOICE.get_or_init(|| choose(&available(), cross_check))
}

fn choose(available: &[Kernel], agrees: impl Fn(Kernel) -> bool) -> Choice {
    let kernel = available
        .iter()
        .copied()
        .find(|kernel| agrees(*kernel))
        .unwrap_or(Kernel::Portable);
    Choice {
        kernel,
        differed: available.first() != Some(&kernel),
    }
}

/// The kernels that this CPU can run, widest first.
pub(crate) fn available() -> Vec<Kernel> {
    let mut found = Vec::with_capacity(3);
    #[cfg(target_arch = "x86_64")]
    {
        if std::arch::is_x86_feature_detected!("avx512f") {
            found.push(Kernel::Avx512);
        }
        if std::arch::is_x86_feature_detected!("avx2") {
            found.push(Kernel::Avx2);
        }
    }
    found.push(Kernel::Portable);
    found
}

/// Whether `kernel` gives what the `turboshake` crate gives for messages below, at and above one block.
fn cross_check(kernel: Kernel) -> bool {
    const DOMAIN: u8 = crate::hashing::domain::BLOCK;
    [
        0,
        1,
        RATE_BYTES - 1,
        RATE_BYTES,
        RATE_BYTES + 1,
        3 * RATE_BYTES + 64,
    ]
    .into_iter()
    .all(|length| {
        let messages: Vec<Vec<u8>> = (0..11u8).map(|lane| known_bytes(lane, length)).collect();
        let slices: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
        let expected: Vec<[u8; 32]> = slices
            .iter()
            .map(|message| turboshake128(DOMAIN, &[message]))
            .collect();
        hash_with(kernel, DOMAIN, &slices) == expected
    })
}

/// Bytes without a period that a lane could share with another.
fn known_bytes(lane: u8, length: usize) -> Vec<u8> {
    (0..length)
        .map(|at| {
            (at as u8)
                .wrapping_mul(7)
                .wrapping_add((at >> 8) as u8)
                .wrapping_add(lane.wrapping_mul(29))
        })
        .collect()
}

/// 32 bytes of TurboSHAKE128 with the domain byte `domain` (0x01..=0x7f) for each message. Runs of messages of one
/// length share a pass of the kernel.
pub(crate) fn turboshake128_batch(domain: u8, messages: &[&[u8]]) -> Vec<[u8; 32]> {
    hash_with(choice().kernel, domain, messages)
}

fn hash_with(kernel: Kernel, domain: u8, messages: &[&[u8]]) -> Vec<[u8; 32]> {
    let mut digests = Vec::with_capacity(messages.len());
    let mut rest = messages;
    while let Some(first) = rest.first() {
        let run = rest
            .iter()
            .take(kernel.lanes())
            .take_while(|message| message.len() == first.len())
            .count();
        let (now, later) = rest.split_at(run);
        hash_run(kernel, domain, now, &mut digests);
        rest = later;
    }
    digests
}

/// Hashes 1..=lanes messages of one length. Spare lanes repeat the first message and are not looked at.
fn hash_run(kernel: Kernel, domain: u8, run: &[&[u8]], digests: &mut Vec<[u8; 32]>) {
    debug_assert!(run.len() <= kernel.lanes());
    #[cfg(target_arch = "x86_64")]
    if run.len() > 1 {
        let lane = |at: usize| run.get(at).copied().unwrap_or(run[0]);
        if kernel == Kernel::Avx512 && std::arch::is_x86_feature_detected!("avx512f") {
            // SAFETY: the CPU has AVX-512F, checked right above; the callee asks for nothing else.
            let all = unsafe { avx512::hash(std::array::from_fn(lane), domain) };
            digests.extend_from_slice(&all[..run.len()]);
            return;
        }
        if kernel == Kernel::Avx2 && std::arch::is_x86_feature_detected!("avx2") {
            // SAFETY: the CPU has AVX2, checked right above; the callee asks for nothing else.
            let all = unsafe { avx2::hash(std::array::from_fn(lane), domain) };
            digests.extend_from_slice(&all[..run.len()]);
            return;
        }
    }
    digests.extend(run.iter().map(|message| turboshake128(domain, &[message])));
}

/// Block `index` of a message.
#[cfg(target_arch = "x86_64")]
fn block(message: &[u8], index: usize) -> &[u8; RATE_BYTES] {
    let start = index * RATE_BYTES;
    message[start..start + RATE_BYTES]
        .try_into()
        .expect("the slice has the length of a block")
}

/// What is left of a message after its whole blocks, padded as RFC 9861, section 2.2 says: domain byte, zeros, and the
/// top bit of the last byte.
#[cfg(target_arch = "x86_64")]
fn last_block(message: &[u8], domain: u8) -> [u8; RATE_BYTES] {
    let tail = &message[message.len() - message.len() % RATE_BYTES..];
    let mut padded = [0; RATE_BYTES];
    padded[..tail.len()].copy_from_slice(tail);
    padded[tail.len()] = domain;
    padded[RATE_BYTES - 1] ^= 0x80;
    padded
}

/// Word `index` of a block, as a lane of a vector register takes it.
#[cfg(target_arch = "x86_64")]
#[inline]
fn word(block: &[u8; RATE_BYTES], index: usize) -> i64 {
    let start = index * 8;
    i64::from_le_bytes(
        block[start..start + 8]
            .try_into()
            .expect("the slice has the length of a word"),
    )
}

/// What each kernel but the portable one gives, for a domain byte that this crate itself need not use.
#[cfg(test)]
pub(crate) fn vector_kernels(domain: u8, messages: &[&[u8]]) -> Vec<(Kernel, Vec<[u8; 32]>)> {
    available()
        .into_iter()
        .filter(|kernel| *kernel != Kernel::Portable)
        .map(|kernel| (kernel, hash_with(kernel, domain, messages)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_kernel_gives_what_the_definition_gives(
            length in 0usize..1200, count in 0usize..20, salt: u8, domain in 1u8..=5
        ) {
            let messages: Vec<Vec<u8>> =
                (0..count).map(|at| known_bytes(salt.wrapping_add(at as u8), length)).collect();
            let slices: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
            let expected: Vec<[u8; 32]> = slices.iter().map(|message| turboshake128(domain, &[message])).collect();
            for kernel in available() {
                prop_assert_eq!(&hash_with(kernel, domain, &slices), &expected, "{:?}", kernel);
            }
        }

        #[test]
        fn messages_of_different_lengths_keep_their_order(lengths in prop::collection::vec(0usize..400, 0..24)) {
            let messages: Vec<Vec<u8>> = lengths.iter().map(|length| known_bytes(3, *length)).collect();
            let slices: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
            let expected: Vec<[u8; 32]> = slices.iter().map(|message| turboshake128(1, &[message])).collect();
            for kernel in available() {
                prop_assert_eq!(&hash_with(kernel, 1, &slices), &expected);
            }
        }
    }

    #[test]
    fn the_widest_kernel_that_agrees_is_chosen() {
        for kernel in available() {
            assert!(cross_check(kernel), "{kernel:?} differs from the definition");
        }
        assert_eq!(
            choice(),
            Choice {
                kernel: available()[0],
                differed: false
            }
        );
    }

    #[test]
    fn a_kernel_that_differs_is_not_used() {
        let all = [Kernel::Avx512, Kernel::Avx2, Kernel::Portable];
        let without = |bad: &'static [Kernel]| choose(&all, |kernel| !bad.contains(&kernel));
        assert_eq!(
            without(&[]),
            Choice {
                kernel: Kernel::Avx512,
                differed: false
            }
        );
        assert_eq!(
            without(&[Kernel::Avx512]),
            Choice {
                kernel: Kernel::Avx2,
                differed: true
            }
        );
        assert_eq!(
            without(&[Kernel::Avx512, Kernel::Avx2]),
            Choice {
                kernel: Kernel::Portable,
                differed: true
            }
        );
    }

    #[test]
    fn every_length_around_the_rate() {
        for length in 0..=2 * RATE_BYTES + 9 {
            let message = vec![0xa5; length];
            let expected = vec![turboshake128(1, &[&message]); 3];
            for kernel in available() {
                assert_eq!(
                    hash_with(kernel, 1, &[&message[..]; 3]),
                    expected,
                    "{kernel:?}, length {length}"
                );
            }
        }
    }
}
