//! What is measured: an operation on files of some sizes by some clients.
//!
//! Owns how many requests of how many bytes a round makes, what its warm-up is, and the rows of the README's table.

use clap::ValueEnum;

use super::sizes::Sizes;
use crate::cli::LoadArgs;

/// Largest file of a warm-up round: fills buffers and pools, which is all a warm-up is for.
const WARMUP_BYTES_MAX: u64 = 64 << 20;

/// Most files of a warm-up round.
const WARMUP_FILES_MAX: u64 = 100;

/// Parts that are got of each file in a round: enough for percentiles.
const PARTS: u64 = 64;

/// Bytes of each part in the README's table.
const TABLE_PART_BYTES: u64 = 1 << 20;

/// What is done with the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Operation {
    /// Upload.
    Put,
    /// Download and compare.
    Get,
    /// Get parts of the files, at places that the seed gives, and compare.
    Range,
}

impl Operation {
    pub(super) fn word(self) -> &'static str {
        match self {
            Operation::Put => "put",
            Operation::Get => "get",
            Operation::Range => "range",
        }
    }
}

/// What one round moves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Workload {
    /// Size of each file.
    pub(crate) sizes: Sizes,
    /// Number of files.
    pub(crate) files: u64,
    /// Clients at work at the same time.
    pub(crate) clients: u16,
    /// Bytes of each part that [`Operation::Range`] gets.
    pub(crate) part_bytes: u64,
}

impl Workload {
    /// As the command line says.
    pub(super) fn of(args: &LoadArgs) -> Workload {
        Workload {
            sizes: args.size.clone(),
            files: args.files,
            clients: args.clients,
            part_bytes: args.part,
        }
    }

    /// Requests of one round.
    pub(crate) fn requests(&self, operation: Operation) -> u64 {
        match operation {
            Operation::Put | Operation::Get => self.files,
            Operation::Range => self.files.saturating_mul(PARTS),
        }
    }

    /// The file that request number `request` is about: parts are got of one file after the other.
    pub(crate) fn file_of(&self, request: u64) -> u64 {
        request % self.files
    }

    /// Bytes that are moved for a file of that size.
    pub(crate) fn moved_bytes(&self, operation: Operation, size_bytes: u64) -> u64 {
        match operation {
            Operation::Put | Operation::Get => size_bytes,
            Operation::Range => self.part_bytes.min(size_bytes),
        }
    }

    /// Requests of one round for files of one size of the mix.
    pub(crate) fn requests_of(&self, operation: Operation, share: usize) -> u64 {
        let each = self.requests(operation) / self.files;
        self.sizes.files_of(share, self.files).saturating_mul(each)
    }

    /// Bytes of all requests of one round.
    pub(crate) fn total_bytes(&self, operation: Operation) -> u64 {
        let shares = self.sizes.shares().iter().enumerate();
        let bytes = shares.map(|(number, share)| {
            let moved_bytes = self.moved_bytes(operation, share.bytes);
            moved_bytes.saturating_mul(self.requests_of(operation, number))
        });
        bytes.fold(0, u64::saturating_add)
    }

    /// Warm-up rounds of it.
    pub(crate) fn warmup(&self) -> Workload {
        Workload {
            sizes: self.sizes.at_most(WARMUP_BYTES_MAX),
            files: self.files.min(WARMUP_FILES_MAX),
            ..self.clone()
        }
    }

    /// What is moved, for people: how many, and of which size.
    pub(crate) fn text(&self, operation: Operation) -> String {
        let moved = match operation {
            Operation::Put | Operation::Get => self.sizes.to_string(),
            Operation::Range => self.sizes.at_most(self.part_bytes).to_string(),
        };
        format!("{} × {moved}", self.requests(operation))
    }
}

/// The rows of the README's table.
pub(super) fn table() -> [(Workload, &'static [Operation]); 3] {
    [
        (
            row(1 << 30, 1, 1),
            &[Operation::Put, Operation::Get, Operation::Range],
        ),
        (row(1 << 10, 1_000, 1), &[Operation::Put, Operation::Get]),
        (row(1 << 10, 1_000, 16), &[Operation::Put, Operation::Get]),
    ]
}

fn row(size_bytes: u64, files: u64, clients: u16) -> Workload {
    Workload {
        sizes: Sizes::one(size_bytes),
        files,
        clients,
        part_bytes: TABLE_PART_BYTES,
    }
}
