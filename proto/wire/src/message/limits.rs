//! The bounds on what one message holds. Owns the numbers and the reason of each; [`crate::convert`] enforces them in
//! both directions.

/// Longest nickname of a node, in bytes: fits a line of a table.
pub const NICKNAME_BYTES_MAX: usize = 64;
/// Longest zone name, in bytes: a rack, a room or a town.
pub const ZONE_BYTES_MAX: usize = 64;
/// Longest name and version of a node's software, in bytes.
pub const SOFTWARE_BYTES_MAX: usize = 64;
/// Most addresses of one node: two families on a few interfaces.
pub const ADDRESSES_MAX: usize = 8;
/// Longest `host:port`, in bytes: a DNS name has at most 253, plus `:` and the port, cut to 255.
pub const ADDRESS_BYTES_MAX: usize = 255;
/// Most roles listed: sixteen times what exists today, for roles that this version does not know and skips.
pub const ROLES_MAX: usize = 64;
/// Longest signed body of a grant or a tombstone, in bytes: 32 bytes of id, two moments, the roles, and as much again
/// for fields of later versions.
pub const SIGNED_BODY_BYTES_MAX: usize = 512;
/// Longest signed body of an announcement, in bytes: eight longest addresses, three longest names, and some 1.5 KiB
/// for fields of later versions.
pub const ANNOUNCEMENT_BODY_BYTES_MAX: usize = 4096;
/// Longest secret of an invite, in bytes. Ours have 16 to 32.
pub const SECRET_BYTES_MAX: usize = 64;
/// Most items in one `SyncRoster`: at most 58 bytes each, they fit the longest head (64 KiB).
pub const ROSTER_ITEMS_MAX: usize = 1024;
/// Most announcements and, separately, most tombstones in one message. The longest head may be reached before.
pub const ROSTER_NEWS_MAX: usize = 256;
/// Most node ids in `wanted`: one for each item asked about.
pub const WANTED_MAX: usize = ROSTER_ITEMS_MAX;
/// Most members and, separately, most tombstones in the roster cached on disk.
pub const ROSTER_FILE_MEMBERS_MAX: usize = 65_536;
/// Most hashes in an authentication path: a tree over at most 2^20 segments has 20 levels.
pub const PATH_HASHES_MAX: usize = 20;
/// Largest payload of one message, in bytes: the block of a 1-of-n share of the longest segment (16 MiB), its seal and
/// its padding.
pub const PAYLOAD_BYTES_MAX: usize = 16 * 1024 * 1024 + 64 * 1024;
/// Longest payload of a page of rows, in bytes: half a millisecond of a gigabit link, so that a page never keeps a link
/// busy for long, and some 2,500 rows of a usual directory.
pub const ROWS_PAGE_BYTES_MAX: usize = 1024 * 1024;
/// Shortest page of rows that may be asked for, in bytes: one longest row and its id fit.
pub const ROWS_PAGE_BYTES_MIN: usize = 33 * 1024;
/// Longest payload of a change, in bytes: some 10,000 usual rows at once. Half of what a link takes unanswered.
pub const CHANGE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Most shares in one page of a bucket: 19 bytes each, so that a page is a small part of the longest head.
pub const LISTED_MAX: usize = 256;
/// Most shares in one answer about what came into buckets: 19 bytes each, more than half of the longest head. In a grid of ten a node
/// is asked by each other one about a tenth of what came.
pub const ADDED_MAX: usize = 2048;
/// Most files in one renewal of leases: 48 KiB of storage indexes, so that the longest head holds them. A node that has to
/// write for each of them in another place of its disk is done in some seconds.
pub const RENEWED_MAX: usize = 3072;
/// Largest share file that an `OpenShare` may ask room for, in bytes: 2^20 segments of 16 MiB, with seals and trees.
pub const RESERVE_BYTES_MAX: u64 = 1 << 45;
