//! The node's secrets on disk: its private key, and the secret of its invites.
//!
//! Each is made once, for its owner only, and never overwritten. A file that others may read is refused: whoever
//! read it can act as this node. Secrets are wiped from memory when dropped.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use thiserror::Error;
use truckee_grid::base32;
use zeroize::Zeroizing;

use crate::dir::{self, DirError, MODE_SECRET};

/// A secret of `N` bytes as kept in memory. `N` is 32 for the seed of a key, and what an invite has for an invite.
pub type Secret<const N: usize> = Zeroizing<[u8; N]>;

/// What a secret file holds; stands in its first word, so that no file is taken for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretKind {
    /// The seed of the node's Ed25519 key.
    Identity,
    /// The secret in the node's invites.
    Invite,
    /// Mixed into keys that derive from content.
    Convergence,
}

impl SecretKind {
    fn word(self) -> &'static str {
        match self {
            SecretKind::Identity => "truckee-identity-1",
            SecretKind::Invite => "truckee-invite-1",
            SecretKind::Convergence => "truckee-convergence-1",
        }
    }
}

/// A secret cannot be had.
#[derive(Debug, Error)]
pub enum SecretError {
    /// The system refuses.
    #[error(transparent)]
    Dir(#[from] DirError),
    /// Others may read or write the file.
    #[error(
        "{path} may be read or changed by others (mode {mode:04o}); run `chmod 600 {path}` if nobody has, \
         else replace it",
        path = .path.display()
    )]
    LooseMode {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file belongs to another user.
    #[error("{path} belongs to user {owner}, not to user {user} who runs this node", path = .path.display())]
    ForeignOwner {
        /// The file.
        path: PathBuf,
        /// Id of its owner.
        owner: u32,
        /// Id of the user of this process.
        user: u32,
    },
    /// The file does not hold such a secret.
    #[error("{path} does not hold what it should ({word} and {characters} characters of base32); \
             restore it from a backup", path = .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// First word of a file of this kind.
        word: &'static str,
        /// Characters of the second.
        characters: usize,
    },
    /// The file must be there and is not.
    #[error("{} is missing; restore it from a backup, or run `truckee init` for a new node", .0.display())]
    Missing(PathBuf),
    /// The operating system gives no random bytes.
    #[error("the system gives no random bytes: {0}")]
    Random(getrandom::Error),
}

/// Fresh random bytes for a secret.
///
/// # Errors
/// The operating system gives none.
pub fn random_secret<const N: usize>() -> Result<Secret<N>, SecretError> {
    let mut secret = Zeroizing::new([0; N]);
    getrandom::fill(secret.as_mut_slice()).map_err(SecretError::Random)?;
    Ok(secret)
}

/// Makes a secret and its file, which must not be there.
///
/// # Errors
/// The file is there, or the disk refuses.
pub fn create<const N: usize>(path: &Path, kind: SecretKind) -> Result<Secret<N>, SecretError> {
    let secret = random_secret()?;
    let encoded = Zeroizing::new(base32::encode(secret.as_slice()));
    let text = Zeroizing::new(format!("{} {}\n", kind.word(), encoded.as_str()));
    dir::write_new(path, text.as_bytes(), MODE_SECRET)?;
    Ok(secret)
}

/// Reads a secret that must be there.
///
/// # Errors
/// It is not there, others could have read it, or it is not a secret of this kind.
pub fn load<const N: usize>(path: &Path, kind: SecretKind) -> Result<Secret<N>, SecretError> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(SecretError::Missing(path.to_owned()));
        }
        Err(error) => return Err(DirError::on("read", path)(error).into()),
    };
    check_owner(path, &file.metadata().map_err(DirError::on("read", path))?)?;
    let characters = base32::text_len(N);
    let malformed = || SecretError::Malformed {
        path: path.to_owned(),
        word: kind.word(),
        characters,
    };
    let mut text = Zeroizing::new(String::new());
    // Longer than any such file: what is cut off makes it malformed.
    (&mut file)
        .take(256)
        .read_to_string(&mut text)
        .map_err(DirError::on("read", path))?;
    let encoded = text
        .strip_prefix(kind.word())
        .and_then(|rest| rest.trim_end().strip_prefix(' '));
    let decoded = base32::decode_array(encoded.ok_or_else(malformed)?);
    decoded.map(Zeroizing::new).map_err(|_| malformed())
}

/// Reads a secret, or makes it if it is not there.
///
/// # Errors
/// As [`load`] and [`create`].
pub fn load_or_create<const N: usize>(path: &Path, kind: SecretKind) -> Result<Secret<N>, SecretError> {
    match load(path, kind) {
        Err(SecretError::Missing(_)) => create(path, kind),
        other => other,
    }
}

/// Refuses a secret file that others than the user of this process could have read or changed.
pub(crate) fn check_owner(path: &Path, metadata: &fs::Metadata) -> Result<(), SecretError> {
    let mode = metadata.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(SecretError::LooseMode {
            path: path.to_owned(),
            mode,
        });
    }
    let user = rustix::process::geteuid().as_raw();
    if metadata.uid() != user {
        return Err(SecretError::ForeignOwner {
            path: path.to_owned(),
            owner: metadata.uid(),
            user,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_secret_is_kept_for_its_owner_only() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("identity.key");
        let made: Secret<32> = load_or_create(&path, SecretKind::Identity).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(load(&path, SecretKind::Identity).unwrap(), made);
        assert_eq!(load_or_create(&path, SecretKind::Identity).unwrap(), made);
        assert!(
            create::<32>(&path, SecretKind::Identity).is_err(),
            "never overwritten"
        );
        assert_eq!(load(&path, SecretKind::Identity).unwrap(), made);
    }

    #[test]
    fn a_loose_mode_is_refused() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("identity.key");
        create::<32>(&path, SecretKind::Identity).unwrap();
        for mode in [0o640, 0o604, 0o660, 0o666, 0o620] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let error = load::<32>(&path, SecretKind::Identity).unwrap_err();
            assert!(matches!(error, SecretError::LooseMode { mode: found, .. } if found == mode));
            assert!(error.to_string().contains("chmod 600"), "{error}");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
        load::<32>(&path, SecretKind::Identity).unwrap();
    }

    #[test]
    fn a_file_of_another_kind_or_a_damaged_one_is_refused() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("secret");
        let malformed = |path: &Path| {
            matches!(
                load::<32>(path, SecretKind::Identity),
                Err(SecretError::Malformed { .. })
            )
        };
        create::<32>(&path, SecretKind::Invite).unwrap();
        assert!(malformed(&path));
        for text in [
            "",
            "truckee-identity-1",
            "truckee-identity-1 aaaa",
            "truckee-identity-1 !",
        ] {
            fs::write(&path, text).unwrap();
            assert!(malformed(&path), "{text}");
        }
        fs::remove_file(&path).unwrap();
        assert!(matches!(
            load::<32>(&path, SecretKind::Identity),
            Err(SecretError::Missing(_))
        ));
    }
}
