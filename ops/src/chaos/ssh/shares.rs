//! Shares on another machine: listed, damaged, taken away by small scripts for the shell there.
//!
//! Owns the scripts. What they need besides a shell of the kind of POSIX is `stat`, `od`, `dd`, `truncate`, `mv` and
//! `xargs` of GNU or alike. Paths are below the node's `shares/`, and made of nothing but what indexes and numbers of
//! shares are written with, so that they are words whatever reads them; all else that lies there is not touched. They
//! come by the standard input: a command line has no room for thousands of them. Shares in packs are not seen.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;

use super::super::attack::hand::{How, Identity, Share, Spoil};
use super::inventory::Disk;

/// Whether shares can be reached, and the tools are there.
const LOOK: &str =
    "cd -- \"$1/shares\" && test -r . -a -w . -a -x . && command -v stat od dd truncate mv xargs >/dev/null";

/// Says something if there are packs, into which nothing here sees.
const PACKS: &str =
    "for pack in \"$1\"/packs/*.pack; do if [ -e \"$pack\" ]; then echo packs; fi; break; done";

/// Lists what lies in the directories that are read, one a line. A share may go while it is listed: 123 says so.
const LIST: &str = "cd -- \"$1/shares\" && while IFS= read -r dir; do for file in \"$dir\"/*; do \
    if [ -f \"$file\" ]; then printf '%s\\0' \"$file\"; fi; done; done \
    | xargs -0 -r stat -c '%d %i %s %n' -- || [ $? -eq 123 ]";

/// Damages the shares that are read and says which files they are.
const SPOIL: &str = "cd -- \"$1/shares\" && while read -r how at bits file; do [ -f \"$file\" ] || continue; \
    stat -c '%d %i' -- \"$file\" || exit 1; case \"$how\" in \
    cut) truncate -c -s \"$at\" -- \"$file\" || exit 1;; \
    flip) byte=$(dd if=\"$file\" bs=1 skip=\"$at\" count=1 2>/dev/null | od -An -tu1) || exit 1; \
    [ -n \"$byte\" ] || continue; printf \"\\\\$(printf %03o $((byte ^ bits)))\" \
    | dd of=\"$file\" bs=1 seek=\"$at\" conv=notrunc,nocreat 2>/dev/null || [ ! -e \"$file\" ] || exit 1;; esac; done";

/// Moves the shares that are read to a place beside.
const TAKE_AWAY: &str = "cd -- \"$1/shares\" && while IFS= read -r file; do to=\"$1/chaos-removed/$2/${file%/*}\"; \
    mkdir -p -- \"$to\" && mv -- \"$file\" \"$to/\" || exit 1; done";

/// A script with its arguments, as a command.
fn script(disk: &Disk, text: &str, more: &[&str]) -> Vec<String> {
    let user = disk.files_as.as_deref();
    let sudo = user.map_or_else(Vec::new, |user| vec!["sudo", "-n", "-u", user, "--"]);
    let words = [
        sudo.as_slice(),
        &["sh", "-c", text, "sh", disk.dir.as_str()],
        more,
    ]
    .concat();
    words.into_iter().map(str::to_owned).collect()
}

pub(super) fn look(disk: &Disk) -> Vec<String> {
    script(disk, LOOK, &[])
}

pub(super) fn packs(disk: &Disk) -> Vec<String> {
    script(disk, PACKS, &[])
}

pub(super) fn list(disk: &Disk) -> Vec<String> {
    script(disk, LIST, &[])
}

pub(super) fn spoil(disk: &Disk) -> Vec<String> {
    script(disk, SPOIL, &[])
}

pub(super) fn take_away(disk: &Disk, label: &str) -> Vec<String> {
    script(disk, TAKE_AWAY, &[label])
}

/// Where what is taken away lies.
pub(super) fn aside(disk: &Disk, label: &str) -> String {
    format!("{}/chaos-removed/{label}", disk.dir)
}

/// What [`list`] reads: the directories of these files.
pub(super) fn list_input(indexes: &BTreeSet<String>) -> Vec<u8> {
    let mut input = String::new();
    for index in indexes.iter().filter(|index| is_plain(index) && index.len() > 2) {
        input.push_str(&format!("{}/{index}\n", &index[..2]));
    }
    input.into_bytes()
}

/// What [`spoil`] reads.
pub(super) fn spoil_input(spoils: &[Spoil]) -> Vec<u8> {
    let mut input = String::new();
    for Spoil { share, how } in spoils {
        let path = share.path.display();
        match how {
            How::Cut(bytes) => input.push_str(&format!("cut {bytes} 0 {path}\n")),
            How::Flip(bits) => {
                for (at, mask) in bits {
                    input.push_str(&format!("flip {at} {mask} {path}\n"));
                }
            }
        }
    }
    input.into_bytes()
}

/// What [`take_away`] reads.
pub(super) fn take_away_input(shares: &[Share]) -> Vec<u8> {
    let mut input = String::new();
    for share in shares {
        // Writing to a text cannot fail.
        let _ = writeln!(input, "{}", share.path.display());
    }
    input.into_bytes()
}

/// What [`list`] says; lines that are of no share are left out.
pub(super) fn listed(answer: &[u8]) -> Vec<Share> {
    let text = String::from_utf8_lossy(answer);
    let mut shares: Vec<Share> = text.lines().filter_map(share_of).collect();
    shares.sort_by(|one, other| one.path.cmp(&other.path));
    shares
}

fn share_of(line: &str) -> Option<Share> {
    let mut words = line.split(' ');
    let mut number = || words.next()?.parse::<u64>().ok();
    let (device, inode, bytes) = (number()?, number()?, number()?);
    let path = words.next()?;
    let parts: Vec<&str> = path.split('/').collect();
    let [prefix, index, share] = parts.as_slice() else {
        return None;
    };
    let plain = [prefix, index, share].into_iter().all(|part| is_plain(part));
    (plain && words.next().is_none()).then(|| Share {
        path: PathBuf::from(path),
        index: (*index).to_owned(),
        number: (*share).to_owned(),
        packed_at: None,
        identity: (device, inode, 0),
        bytes,
    })
}

/// What [`spoil`] says.
pub(super) fn spoilt(answer: &[u8]) -> Vec<Identity> {
    let text = String::from_utf8_lossy(answer);
    let identity = |line: &str| {
        let (device, inode) = line.split_once(' ')?;
        Some((device.parse().ok()?, inode.parse().ok()?, 0))
    };
    let all: BTreeSet<Identity> = text.lines().filter_map(identity).collect();
    all.into_iter().collect()
}

/// A storage index or the number of a share is written like this.
fn is_plain(word: &str) -> bool {
    !word.is_empty()
        && word
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

#[cfg(test)]
mod tests;
