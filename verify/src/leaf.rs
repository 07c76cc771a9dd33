//! What the log publishes of a registration: 65 bytes that reveal neither the work nor the claim.

use crate::{Claim, ContentId, FormatError};

/// An entry of the log, kind 1: a work and the salted claim upon it.
///
/// Bytes: `kind (1) ‖ content (32) ‖ claim (32)`. The first byte of every entry is its kind; kinds
/// other than [`Leaf::WORK`] belong to later features and readers skip them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Leaf {
    /// SHA-256 of the work.
    pub content: ContentId,
    /// SHA-256 of the claim's text, which ends with a salt, so that nobody can guess a claim.
    pub claim: [u8; 32],
}

impl Leaf {
    /// The kind byte of a registered work.
    pub const WORK: u8 = 1;
    /// Length of an entry of kind 1 in bytes.
    pub const BYTES: usize = 65;

    /// The leaf that publishes this claim.
    pub fn of(claim: &Claim) -> Leaf {
        Leaf { content: claim.work.content(), claim: claim.digest() }
    }

    /// The exact bytes of the entry.
    pub fn to_bytes(self) -> [u8; Leaf::BYTES] {
        let mut bytes = [Leaf::WORK; Leaf::BYTES];
        bytes[1..33].copy_from_slice(self.content.sha256());
        bytes[33..].copy_from_slice(&self.claim);
        bytes
    }

    /// Reads an entry. `None` is an entry of another kind, to be skipped.
    pub fn parse(bytes: &[u8]) -> Result<Option<Leaf>, FormatError> {
        let Some((&kind, rest)) = bytes.split_first() else {
            return Err(FormatError::new("leaf", "it is empty"));
        };
        if kind != Leaf::WORK {
            return Ok(None);
        }
        let digests: &[u8; 64] = rest.try_into().map_err(|_| {
            FormatError::new("leaf", format!("{} bytes instead of {}", bytes.len(), Leaf::BYTES))
        })?;
        let mut leaf = Leaf { content: ContentId::from_sha256([0; 32]), claim: [0; 32] };
        let (content, claim) = digests.split_at(32);
        leaf.claim.copy_from_slice(claim);
        let mut sha256 = [0; 32];
        sha256.copy_from_slice(content);
        leaf.content = ContentId::from_sha256(sha256);
        Ok(Some(leaf))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_leaf_agree() {
        let leaf = Leaf { content: ContentId::of(b"work"), claim: [7; 32] };
        let bytes = leaf.to_bytes();
        assert_eq!(Leaf::parse(&bytes).unwrap(), Some(leaf));
        assert!(Leaf::parse(&bytes[..64]).is_err());
        assert!(Leaf::parse(&[&bytes[..], b"x"].concat()).is_err());
        assert!(Leaf::parse(b"").is_err());
        assert_eq!(Leaf::parse(&[2, 9, 9]).unwrap(), None, "a later kind is skipped");
    }
}
