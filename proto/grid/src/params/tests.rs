use super::*;

#[test]
fn codings_have_bounds() {
    for (k, n) in [(1, 1), (1, 2), (3, 10), (255, 256), (1, 256)] {
        let coding = Coding::new(k, n).expect("valid");
        assert_eq!((coding.k(), coding.n()), (k as usize, n as usize));
        assert_eq!(coding.recovery(), (n - k) as usize);
        assert_eq!(coding.shares().len(), n as usize);
        assert!(coding.shares().all(|share| coding.has(share)));
    }
    assert_eq!(Coding::new(0, 10), Err(ParamsError::Zero { k: 0, n: 10 }));
    assert_eq!(Coding::new(1, 0), Err(ParamsError::Zero { k: 1, n: 0 }));
    assert_eq!(Coding::new(3, 257), Err(ParamsError::TooManyShares { n: 257 }));
    assert_eq!(
        Coding::new(300, u32::MAX),
        Err(ParamsError::TooManyShares { n: u32::MAX })
    );
    assert_eq!(
        Coding::new(11, 10),
        Err(ParamsError::NeedsMoreThanMade { k: 11, n: 10 })
    );
    assert_eq!(Coding::new(10, 10), Err(ParamsError::NoRedundancy { k: 10 }));
}

#[test]
fn encodings_have_bounds() {
    let coding = Coding::new(3, 10).expect("valid");
    assert_eq!(
        Encoding::new(coding, 7, SEGMENT_BYTES_DEFAULT),
        Ok(Encoding::default())
    );
    for happy in [0, 11, 70_000] {
        assert_eq!(
            Encoding::new(coding, happy, 1024),
            Err(ParamsError::Happy { happy, n: 10 })
        );
    }
    for segment_bytes in [0, 1023, 1025, 1056, (16 << 20) + 64, u32::MAX] {
        let refused = ParamsError::SegmentBytes {
            segment_bytes: segment_bytes.into(),
        };
        assert_eq!(Encoding::new(coding, 7, segment_bytes), Err(refused));
    }
    assert!(Encoding::new(coding, 10, SEGMENT_BYTES_MAX).is_ok());
    assert!(Encoding::new(coding, 1, SEGMENT_BYTES_MIN).is_ok());
    assert!(check_segment_bytes(1 << 40).is_err());
}
