//! What the process keeps of the memory that it has freed.
//!
//! The allocator of glibc gives the end of its heap back to the kernel as soon as more lies idle there than twice the
//! longest mapped piece that was ever freed. A storage node, whose longest pieces are blocks, so gave back and took
//! again, page by page, much of what it received: 30,000 page faults for each GiB uploaded to its cluster, 2,000 since
//! this. A gateway, through whose hands whole segments go, took 55 pages anew for each MiB downloaded. The price is that
//! so much stays with the process, besides the few buffers that a store of shares keeps for its reads. With another allocator nothing happens here, and no result depends on it.

use crate::role::Role;

/// Idle memory that any node keeps: half a dozen blocks of the usual segments.
const KEPT_BYTES: usize = 2 * 1024 * 1024;

/// Idle memory that a gateway keeps: what one transfer has on its way, twice, as it comes and goes in pieces.
const KEPT_BYTES_GATEWAY: usize = 16 * 1024 * 1024;

/// Sets the bound, by freeing a mapped piece of half its length; to be called at the start. It can still grow.
pub(crate) fn keep_freed(roles: &[Role]) {
    let kept_bytes = match roles.contains(&Role::Gateway) {
        true => KEPT_BYTES_GATEWAY,
        false => KEPT_BYTES,
    };
    drop(std::hint::black_box(Vec::<u8>::with_capacity(kept_bytes / 2)));
}

#[cfg(all(test, target_os = "linux", target_env = "gnu"))]
mod tests {
    use super::*;

    /// Page faults of this thread so far.
    fn faults() -> u64 {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").expect("linux has it");
        let (_, fields) = stat.rsplit_once(')').expect("the name is in brackets");
        let minor = fields.split_whitespace().nth(7).expect("the tenth field");
        minor.parse().expect("a number")
    }

    #[test]
    fn blocks_that_come_and_go_take_no_new_pages() {
        keep_freed(&[Role::Storage]);
        let come_and_go = || drop(std::hint::black_box([1u8; 3].map(|byte| vec![byte; 350 * 1024])));
        come_and_go();
        let before = faults();
        (0..50).for_each(|_| come_and_go());
        let taken = faults() - before;
        assert!(taken < 1000, "{taken} pages, of 13,000 that were written");
    }
}
