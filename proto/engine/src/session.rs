//! One link between two nodes.

pub use self::call::{CallError, InboundId, RequestId};

mod call;
