//! Frames. The first two bytes choose how the rest is cut; both ways of cutting must agree.

use truckee_wire::frame::{Decoder, FRAME_BYTES_MAX, Frame, FrameError};

/// Takes the stream apart in pieces of `piece` bytes.
fn decode(stream: &[u8], piece: usize) -> (Vec<Frame>, Option<FrameError>) {
    let mut decoder = Decoder::new();
    let mut frames = Vec::new();
    for piece in stream.chunks(piece) {
        decoder.push(piece);
        loop {
            match decoder.next_frame() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => return (frames, Some(error)),
            }
        }
        assert!(
            decoder.buffered_bytes() <= 4 + FRAME_BYTES_MAX,
            "more than a frame is held"
        );
    }
    (frames, None)
}

/// The target.
pub fn run(data: &[u8]) {
    let Some((cut, stream)) = data.split_first_chunk::<2>() else {
        return;
    };
    let piece = usize::from(u16::from_le_bytes(*cut)).max(1);
    let whole = decode(stream, stream.len().max(1));
    assert_eq!(
        decode(stream, piece),
        whole,
        "cuts of {piece} bytes make a difference"
    );
    let mut taken = 0;
    for frame in &whole.0 {
        let (head, payload) = (frame.head.len(), frame.payload.len());
        assert_eq!(
            stream[taken..taken + 4],
            ((4 + head + payload) as u32).to_be_bytes()
        );
        assert_eq!(stream[taken + 4..taken + 8], (head as u32).to_be_bytes());
        assert_eq!(stream[taken + 8..taken + 8 + head], frame.head);
        assert_eq!(
            stream[taken + 8 + head..taken + 8 + head + payload],
            frame.payload
        );
        taken += 8 + head + payload;
    }
}
