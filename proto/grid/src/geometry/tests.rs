use super::*;
use proptest::prelude::*;

fn coding(k: u32, n: u32) -> Coding {
    Coding::new(k, n).expect("valid")
}

proptest! {
    #[test]
    fn the_parts_make_the_whole(k in 1u32..=255, units in 16u32..100, file_bytes in 1u64..500_000) {
        let geometry = Geometry::new(file_bytes, units * 64, coding(k, 256)).expect("valid");
        let mut at = 0;
        let mut blocks = 0;
        for segment in (0..geometry.segments()).map(SegmentIndex) {
            prop_assert!(geometry.has(segment));
            prop_assert_eq!(geometry.is_last(segment), segment == geometry.last());
            let range = geometry.plain_range(segment);
            prop_assert_eq!(range.start, at);
            prop_assert_eq!((range.end - range.start) as usize, geometry.plain_bytes(segment));
            prop_assert!(geometry.plain_bytes(segment) > 0);
            at = range.end;
            prop_assert_eq!(geometry.block_offset(segment), blocks);
            let block = geometry.block_bytes(segment);
            prop_assert!(block.is_multiple_of(BLOCK_UNIT_BYTES));
            prop_assert!(block * k as usize >= geometry.sealed_bytes(segment));
            prop_assert!((block - BLOCK_UNIT_BYTES) * (k as usize) < geometry.sealed_bytes(segment));
            blocks += block as u64;
        }
        prop_assert_eq!(at, file_bytes);
        prop_assert_eq!(geometry.share_blocks_bytes(), blocks);
        prop_assert!(!geometry.has(geometry.last().next()));
        prop_assert_eq!(geometry.plain_bytes(geometry.last().next()), 0);
    }

    #[test]
    fn a_range_is_covered_by_its_segments(file_bytes in 1u64..50_000, start in 0u64..60_000, length in 0u64..60_000) {
        let geometry = Geometry::new(file_bytes, 1024, coding(3, 10)).expect("valid");
        let range = start..start + length;
        let segments = geometry.segments_of(&range);
        for segment in (0..geometry.segments()).map(SegmentIndex) {
            let plain = geometry.plain_range(segment);
            let wanted = plain.start < range.end && range.start < plain.end && !range.is_empty();
            prop_assert_eq!(segments.contains(&segment.0), wanted, "{:?} of {:?}", segment, range);
        }
    }
}

#[test]
fn edges_of_a_segment() {
    let of = |file_bytes| Geometry::new(file_bytes, 1 << 20, coding(3, 10)).expect("valid");
    let segment = 1 << 20;
    assert_eq!(
        (
            of(segment - 1).segments(),
            of(segment).segments(),
            of(segment + 1).segments()
        ),
        (1, 1, 2)
    );
    assert_eq!(of(segment + 1).plain_bytes(SegmentIndex(1)), 1);
    assert_eq!(of(segment).full_block_bytes(), 349_568);
    assert_eq!(of(1).block_bytes(SegmentIndex(0)), 64);
    assert_eq!(buffer_bytes(1 << 20, coding(3, 10)), 3 * 349_568);
}

#[test]
fn impossible_files_are_refused() {
    let new = |file_bytes, segment_bytes| Geometry::new(file_bytes, segment_bytes, coding(3, 10));
    assert_eq!(new(0, 1024), Err(GeometryError::Empty));
    assert!(new(SEGMENTS_MAX * 1024, 1024).is_ok());
    let too_long = GeometryError::TooLong {
        file_bytes: SEGMENTS_MAX * 1024 + 1,
        segment_bytes: 1024,
    };
    assert_eq!(new(SEGMENTS_MAX * 1024 + 1, 1024), Err(too_long));
    assert!(matches!(new(1, 1000), Err(GeometryError::Params(_))));
    assert!(matches!(
        new(u64::MAX, 16 << 20),
        Err(GeometryError::TooLong { .. })
    ));
}
