//! What a picture looks like, in 256 bits.

use std::fmt;
use std::str::FromStr;

use data_encoding::HEXLOWER;

use crate::FormatError;

/// A 256-bit perceptual code; close pictures have codes at a small Hamming distance.
///
/// Bit `i` of the code is bit `i % 64` of word `i / 64`. `Display` writes the 64 hex digits of the
/// reference implementation of PDQ: the highest bit first.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Fingerprint(pub [u64; 4]);

impl Fingerprint {
    /// Number of bits in a code.
    pub const BITS: u32 = 256;

    /// The number of bits in which two codes differ (0 to 256).
    #[inline]
    pub fn distance(&self, other: &Fingerprint) -> u32 {
        self.0.iter().zip(&other.0).map(|(a, b)| (a ^ b).count_ones()).sum()
    }

    /// The 32 bytes of the code, highest bit first.
    pub fn to_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for (chunk, word) in bytes.chunks_exact_mut(8).zip(self.0.iter().rev()) {
            chunk.copy_from_slice(&word.to_be_bytes());
        }
        bytes
    }

    /// The code of these 32 bytes, highest bit first.
    pub fn from_bytes(bytes: [u8; 32]) -> Fingerprint {
        let mut words = [0; 4];
        for (word, chunk) in words.iter_mut().rev().zip(bytes.chunks_exact(8)) {
            *word = chunk.iter().fold(0, |word, &byte| word << 8 | u64::from(byte));
        }
        Fingerprint(words)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.to_bytes()))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Fingerprint {
    type Err = FormatError;

    fn from_str(text: &str) -> Result<Fingerprint, FormatError> {
        let bad = || FormatError::new("fingerprint", format!("{text:?} is not 64 hex digits"));
        let bytes = HEXLOWER.decode(text.as_bytes()).map_err(|_| bad())?;
        Ok(Fingerprint::from_bytes(bytes.try_into().map_err(|_| bad())?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_bits_agree_with_the_reference_order() {
        let mut code = Fingerprint::default();
        code.0[0] = 1; // bit 0 is the last digit of the text
        assert_eq!(code.to_string(), format!("{:064x}", 1));
        code.0[3] = 1 << 63; // bit 255 is the first
        assert!(code.to_string().starts_with('8'));
        assert_eq!(code.to_string().parse::<Fingerprint>().unwrap(), code);
        assert_eq!(code.distance(&Fingerprint::default()), 2);
        assert!("80".parse::<Fingerprint>().is_err());
        assert!(code.to_string().to_uppercase().replace('8', "A").parse::<Fingerprint>().is_err());
    }
}
