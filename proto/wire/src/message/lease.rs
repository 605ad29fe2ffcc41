//! Requests and answers about how long shares are kept.

use bytes::Bytes;
use truckee_grid::ids::StorageIndex;

/// From now on the leases of these files count from today.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenewLeases {
    /// Strictly ascending; 1 to [`super::limits::RENEWED_MAX`].
    pub sis: Vec<StorageIndex>,
}

/// All that the receiver holds of the files is renewed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeasesRenewed {
    /// A bit for each file of the request, the first in the highest bit of the first byte.
    held: Bytes,
}

impl LeasesRenewed {
    /// Of each file, in the order of the request, whether there are shares of it.
    pub fn of(held: &[bool]) -> LeasesRenewed {
        let bits = |eight: &[bool]| {
            let bit = |(place, held): (usize, &bool)| u8::from(*held) << (7 - place);
            eight.iter().enumerate().map(bit).sum::<u8>()
        };
        LeasesRenewed {
            held: held.chunks(8).map(bits).collect(),
        }
    }

    /// As it travels.
    pub fn bits(&self) -> &Bytes {
        &self.held
    }

    /// What came.
    pub fn from_bits(held: Bytes) -> LeasesRenewed {
        LeasesRenewed { held }
    }

    /// Whether this answers a request about so many files.
    pub fn is_about(&self, files: usize) -> bool {
        self.held.len() == files.div_ceil(8)
    }

    /// Whether the receiver holds shares of the file at this place of the request.
    pub fn holds(&self, index: usize) -> bool {
        let byte = self.held.get(index / 8).copied().unwrap_or(0);
        byte & (0x80 >> (index % 8)) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_has_its_bit() {
        let held: Vec<bool> = (0..19).map(|index| index % 3 == 1).collect();
        let renewed = LeasesRenewed::of(&held);
        assert_eq!(renewed.bits()[..], [0b0100_1001, 0b0010_0100, 0b1000_0000]);
        let seen: Vec<bool> = (0..19).map(|index| renewed.holds(index)).collect();
        assert_eq!(seen, held);
        assert!(renewed.is_about(19) && renewed.is_about(17) && !renewed.is_about(16));
        assert!(!renewed.holds(500), "beyond the end there is nothing");
    }
}
