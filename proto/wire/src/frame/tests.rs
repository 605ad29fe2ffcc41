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
            payload: payload.into(),
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
        into_buffer in any::<bool>(),
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
            if into_buffer {
                decoder.read_buffer().extend_from_slice(piece);
            } else {
                decoder.push(piece);
            }
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
            let capacity = decoder.read_buffer().capacity();
            prop_assert!(capacity <= 2 * (FRAME_BYTES_MAX + READ_BYTES), "{capacity}");
        }
    }
}

#[test]
fn four_gibibytes_are_refused_before_anything_is_allocated_for_them() {
    let mut decoder = Decoder::new();
    decoder.push(&u32::MAX.to_be_bytes());
    assert!(decoder.buffer.capacity() < 1024);
    let refused = FrameError::TooLong {
        got: u32::MAX,
        max: FRAME_BYTES_MAX,
    };
    assert_eq!(decoder.next_frame(), Err(refused));
    assert_eq!(decoder.buffered_bytes(), 0);
    assert!(decoder.read_buffer().capacity() <= READ_BYTES);
    // What follows has no meaning.
    decoder.push(&encode(&Frame {
        head: Bytes::from_static(b"x"),
        payload: Bytes::new(),
    }));
    assert_eq!(decoder.next_frame(), Err(refused));
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

#[test]
fn a_frame_shares_the_receive_buffer() {
    let frame = Frame {
        head: Bytes::from_static(b"head"),
        payload: Bytes::from(vec![7; 5000]),
    };
    let mut decoder = Decoder::new();
    decoder.push(&encode(&frame));
    let start = decoder.buffer.as_ptr() as usize;
    let decoded = decoder.next_frame().expect("valid").expect("whole");
    assert_eq!(decoded, frame);
    assert_eq!(decoded.payload.as_ptr() as usize, start + PREFIX_BYTES + 4);
}
