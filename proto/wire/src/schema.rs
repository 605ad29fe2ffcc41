//! The types that `prost` generates from `proto/schema`. Owns nothing by hand. Values of these types are unchecked:
//! only [`crate::convert`] should touch them.

#![allow(missing_docs, unreachable_pub, clippy::all)]

include!(concat!(env!("OUT_DIR"), "/truckee.v1.rs"));
