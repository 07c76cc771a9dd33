//! How the bytes that are stored differ from the work: packed without loss, sealed for those who hold a key, both,
//! or not at all.
//!
//! | packing | of | gains |
//! |---|---|---|
//! | `lepton` | JPEGs | a fifth |
//! | `zstd` | text, raw pictures and sounds | what there is |
//! | `plain` | all else: PNG, WebP, MP4, zip are compressed already | nothing |
//!
//! A work is registered by the digests of its own bytes, so packing must give back every bit. Whatever is packed is
//! unpacked again and compared before it is handed out; where that fails, or saves too little, the work stays as it
//! was. Stored bytes may come back damaged, or from somebody who means harm: memory and output are bounded, and
//! damage is an [`io::Error`] of the kind `InvalidData`. This module does not know where anything is stored.

mod exact;
mod lepton;
mod sealed;
mod zstd;

use std::fmt;
use std::io::{self, Read, Write};
use std::str::FromStr;

use exact::{Exactly, Source, unmarked};
pub use sealed::{BadKey, Identities, Recipients, SealError, Sealing, SecretText};

/// What was done to a work before it was stored: packed first, then sealed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Encoding {
    /// How it was made smaller.
    pub packed: Packing,
    /// Whether it is then an [age](https://age-encryption.org/v1) file.
    pub sealed: bool,
}

/// How a work was made smaller without loss.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Packing {
    /// Not at all.
    #[default]
    Plain,
    /// A JPEG as a Lepton file.
    Lepton,
    /// A Zstandard frame.
    Zstd,
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let packed = match self.packed {
            Packing::Plain => "plain",
            Packing::Lepton => "lepton",
            Packing::Zstd => "zstd",
        };
        write!(f, "{packed}{}", if self.sealed { SEALED } else { "" })
    }
}

impl FromStr for Encoding {
    type Err = BadEncoding;

    /// Reads exactly what `Display` writes.
    fn from_str(text: &str) -> Result<Encoding, BadEncoding> {
        let (name, sealed) = match text.strip_suffix(SEALED) {
            Some(name) => (name, true),
            None => (text, false),
        };
        let packed = match name {
            "plain" => Packing::Plain,
            "lepton" => Packing::Lepton,
            "zstd" => Packing::Zstd,
            _ => return Err(BadEncoding { text: text.to_owned() }),
        };
        Ok(Encoding { packed, sealed })
    }
}

/// Text that names no encoding.
#[derive(Debug, thiserror::Error)]
#[error(
    "{text:?} is not an encoding: plain, lepton or zstd, with \" age\" behind it if it is sealed"
)]
pub struct BadEncoding {
    text: String,
}

/// A work made smaller, from which the same work was seen to come out again.
#[derive(Clone, Debug)]
pub struct Packed {
    /// How.
    pub packing: Packing,
    /// What to store.
    pub bytes: Vec<u8>,
}

/// Packs a work that is held in memory. `None`: it stays as it was.
pub fn pack(work: &[u8]) -> Option<Packed> {
    if work.len() as u64 > PACKED_BYTES_MAX {
        return None;
    }
    // A JPEG that Lepton does not take is tried as any other bytes are.
    keep_if_same(Packing::Lepton, lepton::pack(work), work)
        .or_else(|| keep_if_same(Packing::Zstd, zstd::pack(work), work))
}

fn keep_if_same(packing: Packing, packed: Option<Vec<u8>>, work: &[u8]) -> Option<Packed> {
    let bytes = packed.filter(|packed| saves_enough(packed.len() as u64, work.len() as u64))?;
    let is_same = is_same(&mut *unpacked(packing, &bytes[..], work.len() as u64).ok()?, work);
    is_same.then_some(Packed { packing, bytes })
}

/// Whether a reader gives these bytes and no others.
fn is_same(reader: &mut dyn Read, mut expected: &[u8]) -> bool {
    let mut buffer = vec![0; PIECE_BYTES];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return expected.is_empty(),
            Ok(read) => match expected.strip_prefix(&buffer[..read]) {
                Some(rest) => expected = rest,
                None => return false,
            },
            Err(_) => return false,
        }
    }
}

/// Packs a work of any length by Zstandard while it streams by, in bounded memory. What is written is unpacked and
/// compared on the way. `None`: the work is to be stored as it was, and what was written thrown away.
pub fn pack_stream(
    work: &mut dyn Read,
    out: &mut dyn Write,
) -> Result<Option<Streamed>, StreamError> {
    zstd::pack_stream(work, out)
}

/// What [`pack_stream`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Streamed {
    /// Length of the work.
    pub work_bytes: u64,
    /// Length of what was written.
    pub stored_bytes: u64,
}

/// Why a work could not be packed, nor stored as it is.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// The work could not be read.
    #[error("the work could not be read")]
    Work(#[source] io::Error),
    /// What was packed could not be written.
    #[error("the packed work could not be written")]
    Output(#[source] io::Error),
}

/// The work again, of which the length must be known: nothing longer is given out, and anything shorter is damage.
/// A JPEG is unpacked into memory before this returns, all else while it is read. Errors of `stored` come through as
/// they are.
pub fn unpack(
    packing: Packing,
    stored: Box<dyn Read + Send>,
    length: u64,
) -> io::Result<Box<dyn Read + Send>> {
    unpacked(packing, stored, length)
}

fn unpacked<'a>(
    packing: Packing,
    stored: impl Read + Send + 'a,
    length: u64,
) -> io::Result<Box<dyn Read + Send + 'a>> {
    let stored = Source(stored);
    match packing {
        Packing::Plain => Ok(Box::new(Exactly::new(stored, length))),
        Packing::Lepton => {
            let jpeg = lepton::unpack(stored, length).map_err(unmarked)?;
            Ok(Box::new(Exactly::new(jpeg, length)))
        }
        // Packed bytes are fewer than the work's, so reading ends even if the store sends without end.
        Packing::Zstd => {
            let work = zstd::unpack(stored.take(length)).map_err(unmarked)?;
            Ok(Box::new(Exactly::new(work, length)))
        }
    }
}

/// Whether bytes begin as something does that this module makes. Such a work is never packed: its blob may as well be
/// what another work became, and would be missed there.
pub fn begins_as_stored(bytes: &[u8]) -> bool {
    [&lepton::START[..], &zstd::START, sealed::START].iter().any(|start| bytes.starts_with(start))
}

/// Whether packing is worth the time of everybody who will unpack.
fn saves_enough(stored_bytes: u64, work_bytes: u64) -> bool {
    let saved = work_bytes.saturating_sub(stored_bytes);
    saved > 0 && saved.saturating_mul(100) >= work_bytes.saturating_mul(SAVED_PERCENT_MIN)
}

/// Longest work that [`pack`] takes; longer ones go through [`pack_stream`].
pub const PACKED_BYTES_MAX: u64 = 256 << 20;
/// [`begins_as_stored`] looks at no more.
pub const STORED_START_BYTES: u64 = 64;
/// What packing must save.
const SAVED_PERCENT_MIN: u64 = 3;
/// Behind the name of a packing.
const SEALED: &str = " age";
const PIECE_BYTES: usize = 64 << 10;

#[cfg(test)]
mod tests;
