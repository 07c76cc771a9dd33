//! Which signatures count, and whether this is one: RSA of 2048 to 4096 bits, ECDSA on P-256 and P-384,
//! each over SHA-256, SHA-384 or SHA-512.

use der::Tag;
use der::oid::ObjectIdentifier;
use p256::ecdsa::signature::hazmat::PrehashVerifier;
use rsa::{BoxedUint, Pkcs1v15Sign, Pss, RsaPublicKey};
use sha2::{Sha256, Sha384, Sha512};

use super::digest::{AlgorithmIdentifier, DigestAlgorithm};
use super::element::{Element, context};

/// Why a signature proves nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SignatureFault {
    /// The key or the algorithm is none of ours: what, in words.
    Unsupported(String),
    /// The signature is not this key's over this message.
    NotGenuine,
}

/// Checks the signature over the message by the key of this SubjectPublicKeyInfo.
///
/// `digest` is the digest where the algorithm leaves it open, as `rsaEncryption` does in a SignerInfo.
pub(crate) fn check(
    key: &[u8],
    algorithm: &AlgorithmIdentifier,
    digest: Option<DigestAlgorithm>,
    message: &[u8],
    signature: &[u8],
) -> Result<(), SignatureFault> {
    let key = PublicKey::parse(key)?;
    let scheme = Scheme::of(algorithm, digest)?;
    let genuine = match (&key, scheme) {
        (PublicKey::Rsa { key, only_pss: None }, Scheme::Pkcs1(digest)) => {
            let hashed = digest.digest(message);
            let padding = match digest {
                DigestAlgorithm::Sha256 => Pkcs1v15Sign::new::<Sha256>(),
                DigestAlgorithm::Sha384 => Pkcs1v15Sign::new::<Sha384>(),
                DigestAlgorithm::Sha512 => Pkcs1v15Sign::new::<Sha512>(),
            };
            key.verify(padding, &hashed, signature).is_ok()
        }
        (PublicKey::Rsa { key, only_pss }, Scheme::Pss(pss)) => {
            if only_pss.is_some_and(|only| only.is_some_and(|only| !only.allows(&pss))) {
                return Err(unsupported("its RSASSA-PSS parameters are not the key's"));
            }
            let hashed = pss.digest.digest(message);
            match pss.digest {
                DigestAlgorithm::Sha256 => {
                    key.verify(Pss::<Sha256>::new_with_salt(pss.salt_bytes), &hashed, signature)
                }
                DigestAlgorithm::Sha384 => {
                    key.verify(Pss::<Sha384>::new_with_salt(pss.salt_bytes), &hashed, signature)
                }
                DigestAlgorithm::Sha512 => {
                    key.verify(Pss::<Sha512>::new_with_salt(pss.salt_bytes), &hashed, signature)
                }
            }
            .is_ok()
        }
        (PublicKey::P256(key), Scheme::Ecdsa(digest)) => {
            p256::ecdsa::Signature::from_der(signature)
                .is_ok_and(|s| key.verify_prehash(&digest.digest(message), &s).is_ok())
        }
        (PublicKey::P384(key), Scheme::Ecdsa(digest)) => {
            p384::ecdsa::Signature::from_der(signature)
                .is_ok_and(|s| key.verify_prehash(&digest.digest(message), &s).is_ok())
        }
        _ => return Err(unsupported("the key is not of the kind that its signature names")),
    };
    if genuine { Ok(()) } else { Err(SignatureFault::NotGenuine) }
}

/// The digest over which a signature of this algorithm is made, where it is one of ours.
pub(crate) fn digest_of(
    algorithm: &AlgorithmIdentifier,
    digest: Option<DigestAlgorithm>,
) -> Option<DigestAlgorithm> {
    Scheme::of(algorithm, digest).ok().map(|scheme| match scheme {
        Scheme::Pkcs1(digest) | Scheme::Ecdsa(digest) => digest,
        Scheme::Pss(parameters) => parameters.digest,
    })
}

/// A public key that counts.
enum PublicKey {
    /// `only_pss` where the key may sign with RSASSA-PSS alone, and with which parameters if it says.
    Rsa {
        key: RsaPublicKey,
        only_pss: Option<Option<PssParameters>>,
    },
    P256(p256::ecdsa::VerifyingKey),
    P384(p384::ecdsa::VerifyingKey),
}

impl PublicKey {
    fn parse(info: &[u8]) -> Result<PublicKey, SignatureFault> {
        let malformed = |_| unsupported("a public key is malformed");
        let mut fields = Element::only("public key", info, Tag::Sequence)
            .and_then(|info| info.elements())
            .map_err(malformed)?;
        let algorithm = fields
            .next(Tag::Sequence)
            .and_then(|algorithm| AlgorithmIdentifier::of(&algorithm))
            .map_err(malformed)?;
        let bits = fields.next(Tag::BitString).and_then(|bits| bits.bits()).map_err(malformed)?;
        fields.finish().map_err(malformed)?;
        match algorithm.oid {
            RSA_ENCRYPTION => Ok(PublicKey::Rsa { key: rsa_key(bits)?, only_pss: None }),
            RSASSA_PSS => {
                let parameters = algorithm.parameters.as_deref().map(PssParameters::parse);
                Ok(PublicKey::Rsa { key: rsa_key(bits)?, only_pss: Some(parameters.transpose()?) })
            }
            EC_PUBLIC_KEY => {
                let curve = algorithm.parameters.unwrap_or_default();
                let curve = Element::only("public key", &curve, Tag::ObjectIdentifier)
                    .and_then(|curve| curve.oid())
                    .map_err(|_| unsupported("an elliptic curve that is not named"))?;
                match curve {
                    P256 => p256::ecdsa::VerifyingKey::from_sec1_bytes(bits)
                        .map(PublicKey::P256)
                        .map_err(|_| unsupported("a public key is no point of P-256")),
                    P384 => p384::ecdsa::VerifyingKey::from_sec1_bytes(bits)
                        .map(PublicKey::P384)
                        .map_err(|_| unsupported("a public key is no point of P-384")),
                    other => Err(unsupported(format!("elliptic curve {other}"))),
                }
            }
            other => Err(unsupported(format!("public key algorithm {other}"))),
        }
    }
}

fn rsa_key(bits: &[u8]) -> Result<RsaPublicKey, SignatureFault> {
    let malformed = |_| unsupported("an RSA key is malformed");
    let mut fields = Element::only("RSA key", bits, Tag::Sequence)
        .and_then(|key| key.elements())
        .map_err(malformed)?;
    let mut number = || {
        let digits = fields.next(Tag::Integer).and_then(|number| number.integer());
        match digits.map_err(malformed)? {
            [0x80..=0xFF, ..] => Err(unsupported("an RSA key is negative")),
            [0, digits @ ..] => Ok(digits),
            digits => Ok(digits),
        }
    };
    let (modulus, exponent) = (number()?, number()?);
    fields.finish().map_err(malformed)?;
    // The lengths are looked at first, so that no large number is ever computed with.
    let too_long = modulus.len() > RSA_BITS_MAX / 8 || exponent.len() > RSA_EXPONENT_BYTES_MAX;
    let key = if too_long {
        None
    } else {
        let number = BoxedUint::from_be_slice_vartime;
        let sizes = RSA_BITS_MIN..=RSA_BITS_MAX;
        RsaPublicKey::new_with_size_limits(number(modulus), number(exponent), sizes).ok()
    };
    key.ok_or_else(|| {
        let sizes = format!("{RSA_BITS_MIN} to {RSA_BITS_MAX} bits");
        unsupported(format!("an RSA key that is no good one of {sizes}"))
    })
}

/// How a signature is made.
enum Scheme {
    Pkcs1(DigestAlgorithm),
    Pss(PssParameters),
    Ecdsa(DigestAlgorithm),
}

impl Scheme {
    fn of(
        algorithm: &AlgorithmIdentifier,
        digest: Option<DigestAlgorithm>,
    ) -> Result<Scheme, SignatureFault> {
        let none = || unsupported(format!("signature algorithm {}", algorithm.oid));
        match algorithm.oid {
            RSA_ENCRYPTION => Ok(Scheme::Pkcs1(digest.ok_or_else(none)?)),
            SHA256_WITH_RSA => Ok(Scheme::Pkcs1(DigestAlgorithm::Sha256)),
            SHA384_WITH_RSA => Ok(Scheme::Pkcs1(DigestAlgorithm::Sha384)),
            SHA512_WITH_RSA => Ok(Scheme::Pkcs1(DigestAlgorithm::Sha512)),
            RSASSA_PSS => {
                let parameters = algorithm.parameters.as_deref().ok_or_else(none)?;
                Ok(Scheme::Pss(PssParameters::parse(parameters)?))
            }
            ECDSA_WITH_SHA256 => Ok(Scheme::Ecdsa(DigestAlgorithm::Sha256)),
            ECDSA_WITH_SHA384 => Ok(Scheme::Ecdsa(DigestAlgorithm::Sha384)),
            ECDSA_WITH_SHA512 => Ok(Scheme::Ecdsa(DigestAlgorithm::Sha512)),
            _ => Err(none()),
        }
    }
}

/// The parameters of RSASSA-PSS, with one digest for message and mask (RFC 4055 section 3.1).
#[derive(Clone, Copy)]
struct PssParameters {
    digest: DigestAlgorithm,
    salt_bytes: usize,
}

impl PssParameters {
    /// Whether a key with these parameters may sign with those: the same digest, a salt no shorter.
    fn allows(&self, used: &PssParameters) -> bool {
        self.digest == used.digest && self.salt_bytes <= used.salt_bytes
    }

    fn parse(der: &[u8]) -> Result<PssParameters, SignatureFault> {
        let malformed = |_| unsupported("RSASSA-PSS parameters are malformed");
        // What is left out means SHA-1.
        let weak = || unsupported("RSASSA-PSS with another digest than SHA-2 of 256 bits and more");
        let mut fields = Element::only("RSASSA-PSS parameters", der, Tag::Sequence)
            .and_then(|parameters| parameters.elements())
            .map_err(malformed)?;
        let mut algorithm = |number| {
            let wrapped = fields.optional(context(number)).map_err(malformed)?.ok_or_else(weak)?;
            let sequence = wrapped.unwrapped(Tag::Sequence).map_err(malformed)?;
            AlgorithmIdentifier::of(&sequence).map_err(malformed)
        };
        let digest = DigestAlgorithm::of(&algorithm(0)?).ok_or_else(weak)?;
        let mask = algorithm(1)?;
        let mask_digest = mask.parameters.unwrap_or_default();
        let mask_digest = Element::only("RSASSA-PSS parameters", &mask_digest, Tag::Sequence)
            .and_then(|sequence| AlgorithmIdentifier::of(&sequence))
            .map_err(malformed)?;
        if mask.oid != MGF1 || DigestAlgorithm::of(&mask_digest) != Some(digest) {
            return Err(unsupported("RSASSA-PSS with another mask than MGF1 over the same digest"));
        }
        let mut number = |tag, default| match fields.optional(context(tag)).map_err(malformed)? {
            Some(wrapped) => {
                wrapped.unwrapped(Tag::Integer).and_then(|n| n.small()).map_err(malformed)
            }
            None => Ok(default),
        };
        let (salt, trailer) = (number(2, 20)?, number(3, 1)?);
        fields.finish().map_err(malformed)?;
        let salt_bytes = usize::try_from(salt).ok().filter(|bytes| *bytes <= RSA_BITS_MAX / 8);
        match (salt_bytes, trailer) {
            (Some(salt_bytes), 1) => Ok(PssParameters { digest, salt_bytes }),
            _ => Err(unsupported("RSASSA-PSS with this salt length or trailer")),
        }
    }
}

/// Smallest and largest RSA modulus. Smaller ones can be broken; larger ones only cost time.
const RSA_BITS_MIN: usize = 2048;
const RSA_BITS_MAX: usize = 4096;
/// Longest public exponent: more makes every check slower and no signature better.
const RSA_EXPONENT_BYTES_MAX: usize = 4;

const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const MGF1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.8");
const RSASSA_PSS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10");
const SHA256_WITH_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11");
const SHA384_WITH_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.12");
const SHA512_WITH_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.13");
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const ECDSA_WITH_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
const ECDSA_WITH_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3");
const ECDSA_WITH_SHA512: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.4");

fn unsupported(what: impl Into<String>) -> SignatureFault {
    SignatureFault::Unsupported(what.into())
}
