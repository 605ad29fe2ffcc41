//! Heads, signed bodies, the roster file. What is accepted can be sent again and comes back the same.

use bytes::Bytes;
use truckee_wire::convert::{Head, Prepared, decode_head};
use truckee_wire::frame::{Decoder, FrameOut};
use truckee_wire::message::{AnnouncementBody, GrantBody, Lane, RosterFile, TombstoneBody};

/// Payloads that are really attached here; longer ones are only announced.
const PAYLOAD_BYTES_TRIED: usize = 4096;

fn again(frame: &FrameOut) -> Head {
    let mut decoder = Decoder::new();
    decoder.push(&frame.head);
    let frame = decoder
        .next_frame()
        .expect("own frames are valid")
        .expect("and whole");
    decode_head(frame.head).expect("own heads are valid")
}

fn head(data: &[u8]) {
    match decode_head(Bytes::copy_from_slice(data)) {
        Ok(Head::Request {
            id,
            lane,
            trace,
            payload_bytes,
            request: Ok(request),
            ..
        }) if payload_bytes <= PAYLOAD_BYTES_TRIED => {
            let mut whole = request.clone();
            if whole.attach_payload(vec![0; payload_bytes].into()).is_err() {
                return;
            }
            let prepared = Prepared::request(id, lane, trace, &whole).expect("what was accepted can be sent");
            let Head::Request {
                request: Ok(got),
                payload_bytes: bytes,
                trace: kept,
                ..
            } = again(&prepared.into_frame(None, Bytes::new()))
            else {
                panic!("a request turned into something else");
            };
            assert_eq!((got, bytes, kept), (request, payload_bytes, trace));
        }
        Ok(Head::Answer {
            id,
            payload_bytes,
            answer: Ok(answer),
            ..
        }) if payload_bytes <= PAYLOAD_BYTES_TRIED => {
            let mut whole = answer.clone();
            if let Ok(response) = &mut whole
                && response.attach_payload(vec![0; payload_bytes].into()).is_err()
            {
                return;
            }
            let prepared = Prepared::answer(id, Lane::Bulk, &whole).expect("what was accepted can be sent");
            let Head::Answer {
                answer: Ok(got),
                payload_bytes: bytes,
                ..
            } = again(&prepared.into_frame(None, Bytes::new()))
            else {
                panic!("an answer turned into something else");
            };
            assert_eq!((got, bytes), (answer, payload_bytes));
        }
        Ok(_) | Err(_) => {}
    }
}

fn bodies(data: &[u8]) {
    if let Ok(body) = GrantBody::decode(data) {
        let bytes = body.encode().expect("what was accepted can be sent");
        assert_eq!(GrantBody::decode(&bytes), Ok(body));
    }
    if let Ok(body) = AnnouncementBody::decode(data) {
        let bytes = body.encode().expect("what was accepted can be sent");
        assert_eq!(AnnouncementBody::decode(&bytes), Ok(body));
    }
    if let Ok(body) = TombstoneBody::decode(data) {
        let bytes = body.encode().expect("what was accepted can be sent");
        assert_eq!(TombstoneBody::decode(&bytes), Ok(body));
    }
    if let Ok(file) = RosterFile::decode(data) {
        let bytes = file.encode().expect("what was accepted can be written");
        assert_eq!(RosterFile::decode(&bytes), Ok(file));
    }
}

/// The target.
pub fn run(data: &[u8]) {
    head(data);
    bodies(data);
}
