//! Frames: any cut gives the same frames, and no bytes break the bounds.

use bytes::BufMut;
use proptest::prelude::*;

use super::*;

fn encode(frame: &Frame) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.put_u32((4 + frame.head.len() + frame.payload.len()) as u32);
    bytes.put_u32(frame.head.len() as u32);
    bytes.extend_from_slice(&frame.head);
    bytes.extend_from_slice(&frame.payload);
    bytes
}

fn frames() -> impl Strategy<Value = Vec<Frame>> {
    let frame = (
        prop::collection::vec(any::<u8>(), 1..300),
        prop::collection::vec(any::<u8>(), 0..2000),
    )
        .prop_map(|(head, payload)| Frame {
            head: head.into(),
            payload: payload.as_slice().into(),
        });
    prop::collection::vec(frame, 0..6)
}

fn drain(decoder: &mut Decoder) -> Result<Vec<Frame>, FrameError> {
    std::iter::from_fn(|| decoder.next_frame().transpose()).collect()
}

proptest! {
    #[test]
    fn any_cut_of_the_stream_gives_the_same_frames(
        frames in frames(),
        cuts in prop::collection::vec(1usize..700, 1..40),
    ) {
        let stream: Vec<u8> = frames.iter().flat_map(encode).collect();
        let mut decoder = Decoder::new();
        let mut decoded = Vec::new();
        let mut rest = stream.as_slice();
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, after) = rest.split_at((*cut).min(rest.len()));
            rest = after;
            decoder.push(piece);
            decoded.extend(drain(&mut decoder).expect("valid frames"));
        }
        prop_assert_eq!(decoded, frames);
        prop_assert!(!decoder.is_mid_frame());
    }

    #[test]
    fn garbage_never_panics_nor_holds_more_than_a_frame(
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..600), 0..20),
        small_lengths in any::<bool>(),
    ) {
        let mut decoder = Decoder::new();
        for mut piece in pieces {
            if small_lengths && piece.len() > 8 {
                piece[0..2].fill(0);
                piece[4..6].fill(0);
            }
            decoder.push(&piece);
            let _ = drain(&mut decoder);
            prop_assert!(decoder.buffered_bytes() <= 4 + FRAME_BYTES_MAX);
        }
    }
}

#[test]
fn four_gibibytes_are_refused_before_anything_is_allocated_for_them() {
    let mut decoder = Decoder::new();
    decoder.push(&u32::MAX.to_be_bytes());
    let refused = FrameError::TooLong {
        got: u32::MAX,
        max: FRAME_BYTES_MAX,
    };
    assert_eq!(decoder.next_frame(), Err(refused));
    assert_eq!(decoder.buffered_bytes(), 0);
    // What follows has no meaning.
    decoder.push(&encode(&frame_of(b"x", 0)));
    assert_eq!(decoder.next_frame(), Err(refused));
}

#[test]
fn frames_before_the_error_are_given_out() {
    let mut decoder = Decoder::new();
    let frame = frame_of(b"head", 10);
    let mut bytes = encode(&frame);
    bytes.extend_from_slice(&[0; 8]);
    decoder.push(&bytes);
    assert_eq!(decoder.next_frame(), Ok(Some(frame)));
    let refused = Err(FrameError::TooShort { got: 0 });
    assert_eq!(decoder.next_frame(), refused);
    assert_eq!(decoder.next_frame(), refused);
}

#[test]
fn lengths_are_held_against_their_bounds() {
    let lengths = |total: usize, head: usize| {
        let mut decoder = Decoder::new();
        decoder.push(&(total as u32).to_be_bytes());
        decoder.push(&(head as u32).to_be_bytes());
        decoder.next_frame()
    };
    assert_eq!(lengths(FRAME_BYTES_MAX, HEAD_BYTES_MAX), Ok(None));
    let too_long = FrameError::TooLong {
        got: FRAME_BYTES_MAX as u32 + 1,
        max: FRAME_BYTES_MAX,
    };
    assert_eq!(lengths(FRAME_BYTES_MAX + 1, 1), Err(too_long));
    assert_eq!(lengths(4, 0), Err(FrameError::TooShort { got: 4 }));
    assert_eq!(lengths(5, 0), Err(FrameError::HeadLength { got: 0, max: 1 }));
    assert_eq!(lengths(5, 2), Err(FrameError::HeadLength { got: 2, max: 1 }));
    let head = HEAD_BYTES_MAX + 1;
    let refused = FrameError::HeadLength {
        got: head as u32,
        max: HEAD_BYTES_MAX,
    };
    assert_eq!(lengths(FRAME_BYTES_MAX, head), Err(refused));
}

fn frame_of(head: &[u8], payload_bytes: usize) -> Frame {
    Frame {
        head: Bytes::copy_from_slice(head),
        payload: (0..payload_bytes).map(|at| (at % 251) as u8).collect(),
    }
}

/// The head of the first frame of a message with such a payload.
fn head_announcing(payload_bytes: u32) -> Vec<u8> {
    let envelope = crate::schema::Envelope {
        id: 1,
        payload_bytes,
        ..Default::default()
    };
    prost::Message::encode_to_vec(&envelope)
}

/// Decodes frames that come in pieces of `piece_bytes`.
fn decode(frames: &[Frame], piece_bytes: usize) -> Vec<Frame> {
    let stream: Vec<u8> = frames.iter().flat_map(encode).collect();
    let mut decoder = Decoder::new();
    let mut decoded = Vec::new();
    for piece in stream.chunks(piece_bytes) {
        decoder.push(piece);
        decoded.extend(drain(&mut decoder).expect("valid frames"));
    }
    assert!(!decoder.is_mid_frame());
    decoded
}

fn adjoin(parts: &[Frame]) -> bool {
    parts
        .windows(2)
        .all(|pair| pair[0].payload.as_ptr_range().end == pair[1].payload.as_ptr())
}

#[test]
fn the_parts_of_a_payload_are_laid_behind_each_other() {
    let head = head_announcing(300_000);
    let sent = [
        frame_of(&head, PART_BYTES_MAX),
        frame_of(&head_announcing(0), PART_BYTES_MAX),
        frame_of(&head_announcing(0), 300_000 - 2 * PART_BYTES_MAX),
    ];
    for piece_bytes in [1000, 16 * 1024, 1 << 20] {
        let mut got = decode(&sent, piece_bytes);
        assert_eq!(got, sent);
        assert!(adjoin(&got));
        let start = got[0].payload.as_ptr();
        let mut joined = std::mem::take(&mut got[0].payload);
        for part in &mut got[1..] {
            joined.unsplit(std::mem::take(&mut part.payload));
        }
        assert_eq!(
            (joined.len(), joined.as_ptr()),
            (300_000, start),
            "nothing was copied"
        );
    }
}

#[test]
fn a_message_between_two_parts_takes_none_of_their_room() {
    let sent = [
        frame_of(&head_announcing(200_000), 100_000),
        frame_of(&head_announcing(70), 70),
        frame_of(&head_announcing(0), 0),
        frame_of(&head_announcing(0), 100_000),
    ];
    let got = decode(&sent, 16 * 1024);
    assert_eq!(got, sent);
    assert_eq!(got[0].payload.as_ptr_range().end, got[3].payload.as_ptr());
}

#[test]
fn a_part_for_which_there_is_no_room_comes_whole_all_the_same() {
    let sent = [
        // Announces less than it brings, or less than follows.
        frame_of(&head_announcing(10), 100_000),
        frame_of(&head_announcing(0), 100_000),
        frame_of(&head_announcing(150_000), 100_000),
        frame_of(&head_announcing(0), 100_000),
        // No room is made: too small a part, too long a payload.
        frame_of(&head_announcing(1_000_000), 1000),
        frame_of(&head_announcing(16 << 20), PART_BYTES_MAX),
        frame_of(&head_announcing(0), PART_BYTES_MAX),
        // No envelope at all.
        frame_of(&[0xff; 9], 100_000),
    ];
    assert_eq!(decode(&sent, 16 * 1024), sent);
}

#[test]
fn small_frames_cannot_ask_for_much_memory() {
    let got = decode(&vec![frame_of(&head_announcing(1 << 20), 1000); 100], 16 * 1024);
    assert!(got.iter().all(|frame| frame.payload.capacity() == 1000));
    let got = decode(&[frame_of(&head_announcing(16 << 20), PART_BYTES_MAX)], 16 * 1024);
    assert_eq!(got[0].payload.capacity(), PART_BYTES_MAX);
}
