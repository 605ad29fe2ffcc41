use super::*;
use crate::tests::noise;
use proptest::prelude::*;

const ENGINES: [SealingEngine; 2] = [SealingEngine::Reference, SealingEngine::Fast];

fn sealer(engine: SealingEngine) -> Sealer {
    Sealer::new(CipherKey::from_bytes([0x77; 32]), engine)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn engines_seal_alike(length in 0usize..9000, seed in any::<u64>(), segment in any::<u64>(), last in any::<bool>()) {
        let plain = noise(seed, length);
        let [reference, fast] = ENGINES.map(|engine| {
            let mut buffer = BytesMut::from(&plain[..]);
            sealer(engine).seal(SegmentIndex(segment), last, &mut buffer);
            buffer
        });
        prop_assert_eq!(&reference, &fast);
        for engine in ENGINES {
            let mut buffer = fast.clone();
            prop_assert_eq!(sealer(engine).open(SegmentIndex(segment), last, &mut buffer), Ok(()));
            prop_assert_eq!(&buffer[..], &plain[..]);
        }
    }
}

#[test]
fn another_place_key_or_bit_does_not_open() {
    for engine in ENGINES {
        let mut sealed = BytesMut::from(&noise(1, 200)[..]);
        sealer(engine).seal(SegmentIndex(3), false, &mut sealed);
        let forged = Err(SealError::Forged {
            segment: SegmentIndex(4),
        });
        assert_eq!(
            sealer(engine).open(SegmentIndex(4), false, &mut sealed.clone()),
            forged
        );
        let forged = Err(SealError::Forged {
            segment: SegmentIndex(3),
        });
        assert_eq!(
            sealer(engine).open(SegmentIndex(3), true, &mut sealed.clone()),
            forged
        );
        let other = Sealer::new(CipherKey::from_bytes([0x78; 32]), engine);
        assert_eq!(other.open(SegmentIndex(3), false, &mut sealed.clone()), forged);
        for bit in 0..sealed.len() * 8 {
            let mut damaged = sealed.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(
                sealer(engine).open(SegmentIndex(3), false, &mut damaged),
                forged,
                "bit {bit}"
            );
        }
        let mut short = BytesMut::from(&sealed[..15]);
        let too_short = SealError::TooShort {
            segment: SegmentIndex(3),
            found: 15,
        };
        assert_eq!(
            sealer(engine).open(SegmentIndex(3), false, &mut short),
            Err(too_short)
        );
    }
}

#[test]
fn sealing_stays_in_its_buffer() {
    let mut buffer = BytesMut::with_capacity(1000 + TAG_BYTES);
    buffer.resize(1000, 5);
    let before = buffer.as_ptr();
    sealer(SealingEngine::Fast).seal(SegmentIndex(0), true, &mut buffer);
    assert_eq!(buffer.as_ptr(), before);
}

#[test]
fn the_check_at_start_passes() {
    assert!(engines_agree());
}
