//! When a storage node lets go of shares whose leases are over: the section `[gc]`.

use truckee_engine::gc::GcConfig;

use super::reader::{Reader, Section};
use super::role_section;
use super::value::Bounded;

/// A hundred years.
const DAYS_MAX: u64 = 36_500;
/// How long a share waits in the trash: time for people to come back from a journey and renew.
const WAIT_DAYS_DEFAULT: u64 = 30;

pub(super) fn read<'i>(
    reader: &mut Reader<'i>,
    root: &mut Section<'_, 'i>,
    has_role: bool,
) -> Option<GcConfig> {
    let mut section = role_section(reader, root, "gc", has_role)?;
    let section = &mut section;
    let expire: Bounded<0, DAYS_MAX> = reader.or(section, "expire_days", Bounded(0));
    let wait: Bounded<1, DAYS_MAX> = reader.or(section, "wait_days", Bounded(WAIT_DAYS_DEFAULT));
    reader.finish(section);
    Some(GcConfig {
        // Both are within `DAYS_MAX`.
        expire_days: Some(expire.0 as u32).filter(|days| *days > 0),
        wait_days: wait.0 as u32,
    })
}
