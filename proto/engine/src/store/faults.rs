//! What a disk fault or a misfit is to a peer: one code and one sentence.

use truckee_wire::message::{Failure, FailureCode};

use super::open::Misfit;
use super::{DiskFault, RETRY_DISK};

impl From<Misfit> for Failure {
    fn from(misfit: Misfit) -> Failure {
        Failure::new(FailureCode::BadRequest, misfit.to_string())
    }
}

impl From<DiskFault> for Failure {
    fn from(fault: DiskFault) -> Failure {
        let code = match fault {
            DiskFault::Overloaded => return Failure::busy(RETRY_DISK, fault.to_string()),
            DiskFault::Full => FailureCode::Full,
            DiskFault::NotFound => FailureCode::NotFound,
            DiskFault::NoSuchSegment { .. } => FailureCode::BadRequest,
            DiskFault::Corrupt => FailureCode::Corrupt,
            DiskFault::Failed => FailureCode::Internal,
        };
        Failure::new(code, fault.to_string())
    }
}
