//! The digests that time-stamps may be built on: SHA-2 of 256 bits and more.

use std::fmt;

use der::Tag;
use der::oid::ObjectIdentifier;
use sha2::{Digest, Sha256, Sha384, Sha512};

use super::element::{self, Element, NULL, SEQUENCE};
use crate::FormatError;

/// A digest algorithm that a time-stamp token may name. SHA-1 and MD5 are not among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DigestAlgorithm {
    /// SHA-256 (FIPS 180-4).
    Sha256,
    /// SHA-384 (FIPS 180-4).
    Sha384,
    /// SHA-512 (FIPS 180-4).
    Sha512,
}

impl DigestAlgorithm {
    /// Every algorithm, weakest first.
    pub const ALL: [DigestAlgorithm; 3] =
        [DigestAlgorithm::Sha256, DigestAlgorithm::Sha384, DigestAlgorithm::Sha512];

    /// The digest of this message.
    pub fn digest(self, message: &[u8]) -> Vec<u8> {
        match self {
            DigestAlgorithm::Sha256 => Sha256::digest(message).to_vec(),
            DigestAlgorithm::Sha384 => Sha384::digest(message).to_vec(),
            DigestAlgorithm::Sha512 => Sha512::digest(message).to_vec(),
        }
    }

    /// Length of a digest in bytes.
    pub const fn digest_bytes(self) -> usize {
        match self {
            DigestAlgorithm::Sha256 => 32,
            DigestAlgorithm::Sha384 => 48,
            DigestAlgorithm::Sha512 => 64,
        }
    }

    /// The algorithm of this AlgorithmIdentifier. Its parameters are NULL or absent (RFC 5754 section 2).
    pub(crate) fn of(identifier: &AlgorithmIdentifier) -> Option<DigestAlgorithm> {
        let plain = identifier.parameters.as_deref().is_none_or(|p| p == [NULL, 0]);
        DigestAlgorithm::ALL.into_iter().find(|a| plain && a.oid() == identifier.oid)
    }

    /// The AlgorithmIdentifier in DER. RFC 5754 would leave the NULL out, but every reader must accept it and
    /// OpenSSL writes it, so it is what authorities are used to.
    pub(crate) fn to_der(self) -> Vec<u8> {
        element::encode(SEQUENCE, &[&element::encode_oid(&self.oid()), &[NULL, 0]])
    }

    const fn oid(self) -> ObjectIdentifier {
        match self {
            DigestAlgorithm::Sha256 => SHA256,
            DigestAlgorithm::Sha384 => SHA384,
            DigestAlgorithm::Sha512 => SHA512,
        }
    }
}

impl fmt::Display for DigestAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DigestAlgorithm::Sha256 => "SHA-256",
            DigestAlgorithm::Sha384 => "SHA-384",
            DigestAlgorithm::Sha512 => "SHA-512",
        })
    }
}

/// Which algorithm, with parameters as received (RFC 5280 section 4.1.1.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AlgorithmIdentifier {
    pub oid: ObjectIdentifier,
    pub parameters: Option<Vec<u8>>,
}

impl AlgorithmIdentifier {
    pub fn of(sequence: &Element<'_>) -> Result<AlgorithmIdentifier, FormatError> {
        let mut fields = sequence.elements()?;
        let oid = fields.next(Tag::ObjectIdentifier)?.oid()?;
        let parameters =
            if fields.is_finished() { None } else { Some(fields.any()?.whole.to_vec()) };
        fields.finish()?;
        Ok(AlgorithmIdentifier { oid, parameters })
    }
}

const SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
const SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.2");
const SHA512: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.3");
