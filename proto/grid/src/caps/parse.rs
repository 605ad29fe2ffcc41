//! From text to cap, strictly. Errors name the kind and the field, never their content: it may be a secret.

use super::{Cap, ChkCap, ChkVerifier, LIT_BYTES_MAX, LitCap, MutableCap};
use crate::{
    base32::{self, Base32Error},
    ids::{Hash, StorageIndex},
    keys::{MutableReadKey, ReadKey, WriteKey},
    params::{Coding, FILE_BYTES_MAX, ParamsError},
};

/// Longest text that is looked at, bytes. The longest cap, a `URI:DIR2-CHK-Verifier`, has about 120.
const TEXT_BYTES_MAX: usize = 200;
/// How much of an unknown kind is shown, bytes: enough for any kind that exists or is likely to.
const KIND_SHOWN_BYTES_MAX: usize = 24;

/// Why a text is not a cap.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CapError {
    /// It does not even begin like one.
    #[error("not a cap: caps begin with `URI:`, as in URI:CHK:…")]
    NotACap,
    /// It is longer than any cap.
    #[error("{found} bytes are too long for a cap: was something pasted after it?")]
    TooLong {
        /// Bytes of the text.
        found: usize,
    },
    /// The kind is not one that this version knows.
    #[error("caps of kind `{kind}` are not known here; was the cap made by other or newer software?")]
    UnknownKind {
        /// The kind, shortened, and with anything unusual replaced.
        kind: String,
    },
    /// There are too few or too many fields.
    #[error("a {kind} cap has {expected} fields, this one has {found}: was it cut or joined with something?")]
    FieldCount {
        /// The kind of cap.
        kind: &'static str,
        /// Fields after the kind.
        expected: usize,
        /// Fields found.
        found: usize,
    },
    /// A field that must be base32 is not.
    #[error("the {field} of this {kind} cap is damaged or cut: {error}")]
    Base32 {
        /// The kind of cap.
        kind: &'static str,
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        error: Base32Error,
    },
    /// A literal holds more than fits.
    #[error("a {kind} cap holds at most {LIT_BYTES_MAX} bytes, this one {found}")]
    LiteralTooLong {
        /// The kind of cap.
        kind: &'static str,
        /// Bytes held.
        found: usize,
    },
    /// A field that must be a number is not, or not in its one form.
    #[error("the {field} of this {kind} cap is not a decimal number from 1 to {max} without leading zeros")]
    Number {
        /// The kind of cap.
        kind: &'static str,
        /// The field.
        field: &'static str,
        /// The largest allowed value.
        max: u64,
    },
    /// k and n do not go together.
    #[error("the numbers of shares of this {kind} cap are impossible: {error}")]
    Coding {
        /// The kind of cap.
        kind: &'static str,
        /// Which bound is broken.
        error: ParamsError,
    },
}

pub(super) fn parse(text: &str) -> Result<Cap, CapError> {
    let Some(rest) = text.strip_prefix("URI:") else {
        return Err(CapError::NotACap);
    };
    if text.len() > TEXT_BYTES_MAX {
        return Err(CapError::TooLong { found: text.len() });
    }
    let (kind, fields) = rest.split_once(':').unwrap_or((rest, ""));
    let fields: Vec<&str> = if rest.len() == kind.len() {
        Vec::new()
    } else {
        fields.split(':').collect()
    };
    let read = |kind| Fields {
        kind,
        fields: &fields,
    };
    match kind {
        "LIT" => Ok(Cap::Lit(read("LIT").literal()?)),
        "CHK" => Ok(Cap::Chk(read("CHK").chk()?)),
        "CHK-Verifier" => Ok(Cap::ChkVerifier(read("CHK-Verifier").chk_verifier()?)),
        "DIR2" => Ok(Cap::Dir(read("DIR2").write()?)),
        "DIR2-RO" => Ok(Cap::Dir(read("DIR2-RO").read()?)),
        "DIR2-Verifier" => Ok(Cap::Dir(read("DIR2-Verifier").verify()?)),
        "DIR2-LIT" => Ok(Cap::DirLit(read("DIR2-LIT").literal()?)),
        "DIR2-CHK" => Ok(Cap::DirChk(read("DIR2-CHK").chk()?)),
        "DIR2-CHK-Verifier" => Ok(Cap::DirChkVerifier(read("DIR2-CHK-Verifier").chk_verifier()?)),
        "SSK" => Ok(Cap::Ssk(read("SSK").write()?)),
        "SSK-RO" => Ok(Cap::Ssk(read("SSK-RO").read()?)),
        "SSK-Verifier" => Ok(Cap::Ssk(read("SSK-Verifier").verify()?)),
        "MDMF" => Ok(Cap::Mdmf(read("MDMF").write()?)),
        "MDMF-RO" => Ok(Cap::Mdmf(read("MDMF-RO").read()?)),
        "MDMF-Verifier" => Ok(Cap::Mdmf(read("MDMF-Verifier").verify()?)),
        _ => Err(CapError::UnknownKind { kind: shown(kind) }),
    }
}

struct Fields<'a> {
    kind: &'static str,
    fields: &'a [&'a str],
}

impl Fields<'_> {
    fn expect_count(&self, expected: usize) -> Result<(), CapError> {
        let found = self.fields.len();
        if found == expected {
            return Ok(());
        }
        Err(CapError::FieldCount {
            kind: self.kind,
            expected,
            found,
        })
    }

    fn bytes<const N: usize>(&self, index: usize, field: &'static str) -> Result<[u8; N], CapError> {
        base32::decode_array(self.fields[index]).map_err(|error| CapError::Base32 {
            kind: self.kind,
            field,
            error,
        })
    }

    fn number(&self, index: usize, field: &'static str, max: u64) -> Result<u64, CapError> {
        let text = self.fields[index];
        let refused = CapError::Number {
            kind: self.kind,
            field,
            max,
        };
        let canonical = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
        match text.parse::<u64>() {
            Ok(number) if canonical && number <= max => Ok(number),
            _ => Err(refused),
        }
    }

    fn literal(&self) -> Result<LitCap, CapError> {
        self.expect_count(1)?;
        let error = |error| CapError::Base32 {
            kind: self.kind,
            field: "content",
            error,
        };
        let bytes = base32::decode(self.fields[0]).map_err(error)?;
        LitCap::new(&bytes).ok_or(CapError::LiteralTooLong {
            kind: self.kind,
            found: bytes.len(),
        })
    }

    /// The fields that a CHK cap and its verifier share: UEB hash, code, size.
    fn chk_rest(&self) -> Result<(Hash, Coding, u64), CapError> {
        let ueb_hash = Hash(self.bytes(1, "hash")?);
        let shares_max = u64::from(crate::params::SHARES_MAX);
        let k = self.number(2, "number of needed shares", shares_max)?;
        let n = self.number(3, "number of shares", shares_max)?;
        let size = self.number(4, "size", FILE_BYTES_MAX)?;
        let coding = Coding::new(k as u32, n as u32).map_err(|error| CapError::Coding {
            kind: self.kind,
            error,
        })?;
        Ok((ueb_hash, coding, size))
    }

    fn chk(&self) -> Result<ChkCap, CapError> {
        self.expect_count(5)?;
        let key = ReadKey::from_bytes(self.bytes(0, "key")?);
        let (ueb_hash, coding, size) = self.chk_rest()?;
        Ok(ChkCap {
            key,
            ueb_hash,
            coding,
            size,
        })
    }

    fn chk_verifier(&self) -> Result<ChkVerifier, CapError> {
        self.expect_count(5)?;
        let si = StorageIndex(self.bytes(0, "storage index")?);
        let (ueb_hash, coding, size) = self.chk_rest()?;
        Ok(ChkVerifier {
            si,
            ueb_hash,
            coding,
            size,
        })
    }

    fn write(&self) -> Result<MutableCap, CapError> {
        self.expect_count(2)?;
        let key = WriteKey::from_bytes(self.bytes(0, "write key")?);
        Ok(MutableCap::Write {
            key,
            fingerprint: Hash(self.bytes(1, "fingerprint")?),
        })
    }

    fn read(&self) -> Result<MutableCap, CapError> {
        self.expect_count(2)?;
        let key = MutableReadKey::from_bytes(self.bytes(0, "read key")?);
        Ok(MutableCap::Read {
            key,
            fingerprint: Hash(self.bytes(1, "fingerprint")?),
        })
    }

    fn verify(&self) -> Result<MutableCap, CapError> {
        self.expect_count(2)?;
        let si = StorageIndex(self.bytes(0, "storage index")?);
        Ok(MutableCap::Verify {
            si,
            fingerprint: Hash(self.bytes(1, "fingerprint")?),
        })
    }
}

/// An unknown kind, fit for a log: short, no character that a terminal could take for a command, and nothing that may be
/// a key: kinds begin with a capital letter, base32 has none.
fn shown(kind: &str) -> String {
    if !kind.starts_with(|c: char| c.is_ascii_uppercase()) {
        return "?".to_owned();
    }
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || c == '-' || c == '_' {
            c
        } else {
            '?'
        }
    };
    kind.chars().take(KIND_SHOWN_BYTES_MAX).map(plain).collect()
}
