//! How a storage node looks for files with missing shares and makes these again: the section `[heal]`.

use std::num::NonZeroU64;
use std::time::Duration;

use super::reader::{Reader, Section};
use super::role_section;
use super::value::{Bounded, ByteCount};

/// A year.
const SECONDS_MAX: u64 = 365 * 24 * 3600;

/// A hundred gigabytes a day: what is moved is in no danger.
const PLACING_BYTES_PER_SECOND: NonZeroU64 = NonZeroU64::new(4 << 20).unwrap();

/// Section `[heal]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HealConfig {
    /// Bytes that all repairs of this node read and write per second, added up; 0: it repairs nothing.
    pub bytes_per_second: u64,
    /// Repairs at once.
    pub repairs: usize,
    /// How long a node may be away before what it holds is made again.
    pub grace: Duration,
    /// How often nodes compare what they hold.
    pub round: Duration,
    /// How long a file must lack shares before it is repaired.
    pub settle: Duration,
    /// Within this time a node looks through its shares for copies that are too many; none: it never parts with one.
    pub surplus_every: Option<Duration>,
    /// Between the two proofs that another node has such a copy.
    pub surplus_grace: Duration,
    /// Within this time after nodes came a node looks through its shares for those that belong elsewhere, and moves them; none: it
    /// never moves one.
    pub placing_every: Option<Duration>,
    /// Bytes that such moves read and write per second, added up.
    pub placing_bytes_per_second: NonZeroU64,
    /// Days that a copy which went stays in the trash.
    pub trash_days: u32,
}

impl Default for HealConfig {
    /// A terabyte in a day or so, at a sixth of a gigabit; two repairs, so that one reads while the other writes; time for
    /// a machine to restart, with updates; a look a minute, which costs nothing while nothing changes; the shares of an
    /// upload appear within seconds; after nodes came, an hour until all shares were looked through.
    fn default() -> Self {
        Self {
            bytes_per_second: 20 << 20,
            repairs: 2,
            grace: Duration::from_secs(15 * 60),
            round: Duration::from_secs(60),
            settle: Duration::from_secs(30),
            surplus_every: None,
            surplus_grace: Duration::from_secs(24 * 3600),
            placing_every: Some(Duration::from_secs(3600)),
            placing_bytes_per_second: PLACING_BYTES_PER_SECOND,
            trash_days: 7,
        }
    }
}

pub(super) fn read<'i>(
    reader: &mut Reader<'i>,
    root: &mut Section<'_, 'i>,
    has_role: bool,
) -> Option<HealConfig> {
    let default = HealConfig::default();
    let mut section = role_section(reader, root, "heal", has_role)?;
    let section = &mut section;
    let rate: ByteCount = reader.or(section, "bytes_per_second", ByteCount(default.bytes_per_second));
    let repairs: Bounded<1, 16> = reader.or(section, "repairs", Bounded(default.repairs as u64));
    let grace: Bounded<1, SECONDS_MAX> =
        reader.or(section, "grace_seconds", Bounded(default.grace.as_secs()));
    let round: Bounded<1, SECONDS_MAX> =
        reader.or(section, "round_seconds", Bounded(default.round.as_secs()));
    let settle: Bounded<0, SECONDS_MAX> =
        reader.or(section, "settle_seconds", Bounded(default.settle.as_secs()));
    let surplus: Bounded<0, SECONDS_MAX> = reader.or(section, "surplus_seconds", Bounded(0));
    let surplus_grace: Bounded<1, SECONDS_MAX> = reader.or(
        section,
        "surplus_grace_seconds",
        Bounded(default.surplus_grace.as_secs()),
    );
    let placing: Bounded<0, SECONDS_MAX> = reader.or(
        section,
        "placing_seconds",
        Bounded(default.placing_every.map_or(0, |every| every.as_secs())),
    );
    let placing_rate: ByteCount = reader.or(
        section,
        "placing_bytes_per_second",
        ByteCount(default.placing_bytes_per_second.get()),
    );
    let placing_rate = NonZeroU64::new(placing_rate.0);
    let trash_days: Bounded<0, 365> =
        reader.or(section, "trash_days", Bounded(u64::from(default.trash_days)));
    reader.finish(section);
    Some(HealConfig {
        bytes_per_second: rate.0,
        repairs: repairs.0 as usize,
        grace: Duration::from_secs(grace.0),
        round: Duration::from_secs(round.0),
        settle: Duration::from_secs(settle.0),
        surplus_every: (surplus.0 > 0).then(|| Duration::from_secs(surplus.0)),
        surplus_grace: Duration::from_secs(surplus_grace.0),
        placing_every: (placing.0 > 0)
            .then(|| Duration::from_secs(placing.0))
            .filter(|_| placing_rate.is_some()),
        placing_bytes_per_second: placing_rate.unwrap_or(default.placing_bytes_per_second),
        trash_days: trash_days.0 as u32,
    })
}
