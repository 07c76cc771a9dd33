//! The name of a work: the SHA-256 of its bytes, spelled as a CID.
//!
//! A [`ContentId`] names bytes, not files: two files with the same bytes have the same name. It is
//! not the address an IPFS node gives a chunked file (design decision 8).

use std::fmt;
use std::str::FromStr;

use data_encoding::{BASE32_NOPAD, HEXLOWER};
use sha2::{Digest, Sha256, Sha512};
use sm3::Sm3;

use crate::FormatError;

/// CIDv1, codec raw (0x55), multihash sha2-256 (0x12) of 32 (0x20) bytes.
const CID_PREFIX: [u8; 4] = [0x01, 0x55, 0x12, 0x20];

/// SHA-256 of a whole work. `Display` gives the CIDv1 in base32 (`bafkrei…`), which is the work's id.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContentId([u8; 32]);

impl ContentId {
    /// The id of these bytes.
    pub fn of(bytes: &[u8]) -> ContentId {
        ContentId(Sha256::digest(bytes).into())
    }

    /// The id whose SHA-256 is already known.
    pub const fn from_sha256(digest: [u8; 32]) -> ContentId {
        ContentId(digest)
    }

    /// The plain SHA-256, as `sha256sum` prints it once in hex.
    pub const fn sha256(&self) -> &[u8; 32] {
        &self.0
    }

    /// The SHA-256 in lower-case hex.
    pub fn sha256_hex(&self) -> String {
        HEXLOWER.encode(&self.0)
    }
}

impl fmt::Display for ContentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut cid = [0u8; 36];
        cid[..4].copy_from_slice(&CID_PREFIX);
        cid[4..].copy_from_slice(&self.0);
        write!(f, "b{}", BASE32_NOPAD.encode(&cid).to_ascii_lowercase())
    }
}

impl fmt::Debug for ContentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ContentId {
    type Err = FormatError;

    /// Reads exactly what `Display` writes; every other spelling of a CID is refused.
    fn from_str(text: &str) -> Result<ContentId, FormatError> {
        let bad = || FormatError::new("content id", format!("{text:?} is not a bafkrei… CID"));
        let base32 = text.strip_prefix('b').ok_or_else(bad)?;
        let cid = BASE32_NOPAD.decode(base32.to_ascii_uppercase().as_bytes()).map_err(|_| bad())?;
        let digest = cid.strip_prefix(&CID_PREFIX).ok_or_else(bad)?;
        let id = ContentId(digest.try_into().map_err(|_| bad())?);
        if id.to_string() == text { Ok(id) } else { Err(bad()) }
    }
}

/// What a claim says of the bytes of a work: three digests of different families, and the length.
///
/// Two families beside SHA-256 let evidence be renewed when SHA-256 ages (design decision 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkDigests {
    /// SHA-256 (FIPS 180-4).
    pub sha256: [u8; 32],
    /// SHA-512 (FIPS 180-4).
    pub sha512: [u8; 64],
    /// SM3 (GB/T 32905-2016).
    pub sm3: [u8; 32],
    /// Length of the work in bytes.
    pub length: u64,
}

impl WorkDigests {
    /// The digests of a work that lies in memory.
    pub fn of(bytes: &[u8]) -> WorkDigests {
        let mut hasher = WorkHasher::new();
        hasher.update(bytes);
        hasher.finish()
    }

    /// The work's id.
    pub const fn content(&self) -> ContentId {
        ContentId(self.sha256)
    }
}

/// Computes [`WorkDigests`] while a work streams by.
#[derive(Clone)]
pub struct WorkHasher {
    sha256: Sha256,
    sha512: Sha512,
    sm3: Sm3,
    length: u64,
}

impl WorkHasher {
    /// A hasher that has seen nothing.
    pub fn new() -> WorkHasher {
        WorkHasher { sha256: Sha256::new(), sha512: Sha512::new(), sm3: Sm3::new(), length: 0 }
    }

    /// Takes the next bytes of the work.
    pub fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        self.sha512.update(bytes);
        self.sm3.update(bytes);
        self.length += bytes.len() as u64;
    }

    /// The digests of all bytes taken.
    pub fn finish(self) -> WorkDigests {
        WorkDigests {
            sha256: self.sha256.finalize().into(),
            sha512: self.sha512.finalize().into(),
            sm3: self.sm3.finalize().into(),
            length: self.length,
        }
    }
}

impl Default for WorkHasher {
    fn default() -> WorkHasher {
        WorkHasher::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cid_is_what_other_tools_print() {
        // `printf hello | ipfs add --cid-version=1 --raw-leaves -n` of one raw block.
        let id = ContentId::of(b"hello");
        assert_eq!(id.to_string(), "bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq");
        assert_eq!(id.to_string().parse::<ContentId>().unwrap(), id);
    }

    #[test]
    fn one_spelling_only() {
        let good = ContentId::of(b"hello").to_string();
        for bad in [
            good.to_ascii_uppercase(),
            good[1..].to_owned(),
            format!("{good}a"),
            good.replace("bafkrei", "bafybei"),
            // The last character holds two bits that no byte needs: only zero is accepted.
            format!("{}r", &good[..good.len() - 1]),
            String::new(),
        ] {
            assert!(bad.parse::<ContentId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn digests_of_the_standards_examples() {
        // FIPS 180-4 and GB/T 32905-2016, example 1: the three bytes "abc".
        let digests = WorkDigests::of(b"abc");
        assert_eq!(
            HEXLOWER.encode(&digests.sha256),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert!(HEXLOWER.encode(&digests.sha512).starts_with("ddaf35a193617abacc417349ae204131"));
        assert_eq!(
            HEXLOWER.encode(&digests.sm3),
            "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"
        );
        assert_eq!(digests.length, 3);
    }
}
