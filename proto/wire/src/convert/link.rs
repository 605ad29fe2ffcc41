//! Lanes, hello, goodbye, failures, trace contexts.

use std::time::Duration;

use bytes::Bytes;

use super::member::{grant_from_wire, grant_to_wire};
use super::{ConvertError, array, check_text, within};
use crate::frame::FRAME_BYTES_MAX_LEAST;
use crate::message::{
    FAILURE_TEXT_BYTES_MAX, Failure, FailureCode, Goodbye, GoodbyeReason, Hello, Lane, SessionId,
    TraceContext,
};
use crate::schema;

pub(super) fn lane_to_wire(lane: Lane) -> i32 {
    match lane {
        Lane::Control => schema::Lane::Control.into(),
        Lane::Interactive => schema::Lane::Interactive.into(),
        Lane::Bulk => schema::Lane::Bulk.into(),
    }
}

pub(super) fn lane_from_wire(lane: i32) -> Option<Lane> {
    match schema::Lane::try_from(lane) {
        Ok(schema::Lane::Control) => Some(Lane::Control),
        Ok(schema::Lane::Interactive) => Some(Lane::Interactive),
        Ok(schema::Lane::Bulk) => Some(Lane::Bulk),
        Ok(schema::Lane::Unspecified) | Err(_) => None,
    }
}

pub(super) fn trace_to_wire(trace: Option<TraceContext>) -> Bytes {
    trace.map_or_else(Bytes::new, |trace| {
        let mut bytes = Vec::with_capacity(24);
        bytes.extend_from_slice(&trace.trace_id);
        bytes.extend_from_slice(&trace.span_id);
        bytes.into()
    })
}

/// A trace context of another shape is one of a later version, and only lost.
pub(super) fn trace_from_wire(bytes: &[u8]) -> Option<TraceContext> {
    let (trace_id, span_id) = bytes.split_first_chunk::<16>()?;
    Some(TraceContext {
        trace_id: *trace_id,
        span_id: span_id.try_into().ok()?,
    })
}

pub(super) fn hello_to_wire(hello: &Hello) -> Result<schema::Hello, ConvertError> {
    check_hello(hello)?;
    Ok(schema::Hello {
        version: hello.version,
        session: Bytes::copy_from_slice(&hello.session.0),
        grant: hello.grant.as_ref().map(grant_to_wire).transpose()?,
        announcement_sequence: hello.announcement_sequence,
        frame_bytes_max: hello.frame_bytes_max,
        inflight_bytes_max: hello.inflight_bytes_max,
    })
}

pub(super) fn hello_from_wire(hello: schema::Hello) -> Result<Hello, ConvertError> {
    let hello = Hello {
        version: hello.version,
        session: SessionId(array("hello.session", &hello.session)?),
        grant: hello.grant.map(grant_from_wire).transpose()?,
        announcement_sequence: hello.announcement_sequence,
        frame_bytes_max: hello.frame_bytes_max,
        inflight_bytes_max: hello.inflight_bytes_max,
    };
    check_hello(&hello)?;
    Ok(hello)
}

fn check_hello(hello: &Hello) -> Result<(), ConvertError> {
    let longest = u64::from(u32::MAX);
    within(
        "hello.frame_bytes_max",
        hello.frame_bytes_max.into(),
        FRAME_BYTES_MAX_LEAST as u64,
        longest,
    )?;
    within(
        "hello.inflight_bytes_max",
        hello.inflight_bytes_max.into(),
        1,
        longest,
    )
}

pub(super) fn goodbye_to_wire(goodbye: Goodbye) -> schema::Goodbye {
    let reason = match goodbye.reason {
        GoodbyeReason::Stopping => schema::GoodbyeReason::Stopping,
        GoodbyeReason::Duplicate => schema::GoodbyeReason::Duplicate,
        GoodbyeReason::Refused => schema::GoodbyeReason::Refused,
        GoodbyeReason::Idle => schema::GoodbyeReason::Idle,
        GoodbyeReason::Other => schema::GoodbyeReason::GoodbyeUnspecified,
    };
    schema::Goodbye {
        reason: reason.into(),
    }
}

pub(super) fn goodbye_from_wire(goodbye: schema::Goodbye) -> Goodbye {
    let reason = match schema::GoodbyeReason::try_from(goodbye.reason) {
        Ok(schema::GoodbyeReason::Stopping) => GoodbyeReason::Stopping,
        Ok(schema::GoodbyeReason::Duplicate) => GoodbyeReason::Duplicate,
        Ok(schema::GoodbyeReason::Refused) => GoodbyeReason::Refused,
        Ok(schema::GoodbyeReason::Idle) => GoodbyeReason::Idle,
        Ok(schema::GoodbyeReason::GoodbyeUnspecified) | Err(_) => GoodbyeReason::Other,
    };
    Goodbye { reason }
}

pub(super) fn failure_to_wire(failure: &Failure) -> Result<schema::Failure, ConvertError> {
    check_text("failure.message", &failure.text, FAILURE_TEXT_BYTES_MAX)?;
    Ok(schema::Failure {
        code: code_to_wire(failure.code).into(),
        message: failure.text.clone(),
        retry_after_ms: u32::try_from(failure.retry_after.as_millis()).unwrap_or(u32::MAX),
    })
}

pub(super) fn failure_from_wire(failure: schema::Failure) -> Result<Failure, ConvertError> {
    check_text("failure.message", &failure.message, FAILURE_TEXT_BYTES_MAX)?;
    Ok(Failure {
        code: code_from_wire(failure.code),
        text: failure.message,
        retry_after: Duration::from_millis(failure.retry_after_ms.into()),
    })
}

fn code_to_wire(code: FailureCode) -> schema::FailureCode {
    match code {
        FailureCode::Unsupported => schema::FailureCode::Unsupported,
        FailureCode::BadRequest => schema::FailureCode::BadRequest,
        FailureCode::RefusedRole => schema::FailureCode::RefusedRole,
        FailureCode::NotFound => schema::FailureCode::NotFound,
        FailureCode::Full => schema::FailureCode::Full,
        FailureCode::Busy => schema::FailureCode::Busy,
        FailureCode::Corrupt => schema::FailureCode::Corrupt,
        FailureCode::Cancelled => schema::FailureCode::Cancelled,
        FailureCode::Expired => schema::FailureCode::Expired,
        FailureCode::Internal => schema::FailureCode::Internal,
        FailureCode::BadSecret => schema::FailureCode::BadSecret,
    }
}

fn code_from_wire(code: i32) -> FailureCode {
    match schema::FailureCode::try_from(code) {
        Ok(schema::FailureCode::Unsupported) => FailureCode::Unsupported,
        Ok(schema::FailureCode::BadRequest) => FailureCode::BadRequest,
        Ok(schema::FailureCode::RefusedRole) => FailureCode::RefusedRole,
        Ok(schema::FailureCode::NotFound) => FailureCode::NotFound,
        Ok(schema::FailureCode::Full) => FailureCode::Full,
        Ok(schema::FailureCode::Busy) => FailureCode::Busy,
        Ok(schema::FailureCode::Corrupt) => FailureCode::Corrupt,
        Ok(schema::FailureCode::Cancelled) => FailureCode::Cancelled,
        Ok(schema::FailureCode::Expired) => FailureCode::Expired,
        Ok(schema::FailureCode::BadSecret) => FailureCode::BadSecret,
        Ok(schema::FailureCode::Internal | schema::FailureCode::FailureUnspecified) | Err(_) => {
            FailureCode::Internal
        }
    }
}
