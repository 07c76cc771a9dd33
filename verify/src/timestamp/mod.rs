//! Time-stamps of outside authorities (RFC 3161, RFC 5816): who says that this existed at what time.
//!
//! Reading a token, comparing it with what was stamped and trusting it are three steps:
//!
//! 1. [`Timestamp::of_response`] or [`Timestamp::of_token`] reads it;
//! 2. [`Timestamp::covers`] says whether it is about these bytes;
//! 3. [`Timestamp::check`] says whether this authority made it.
//!
//! Certificates are judged at the time that the token states, so an old token keeps its worth when they
//! expire. Nobody asks whether they were revoked since: whoever stole an authority's key could date a token
//! back, and only a second witness (another authority, a log's cosigners) speaks against that.

mod certificate;
mod chain;
pub(crate) mod digest;
pub(crate) mod element;
mod fault;
mod info;
mod moment;
mod request;
mod signature;
mod token;

use std::fmt;

use sha1::{Digest, Sha1};

pub use digest::DigestAlgorithm;
pub use fault::TimestampFault;
pub use request::{AuthorityRefusal, ResponseFault, TimestampRequest};

use certificate::Certificate;
use info::Info;
use signature::SignatureFault;
use token::{CertificateDigest, NamedCertificate, SignedData};

use crate::{FormatError, text};

/// A time-stamp token that was read. It proves nothing before [`Timestamp::check`].
#[derive(Clone, PartialEq, Eq)]
pub struct Timestamp {
    token: Vec<u8>,
    info: Info,
    signed: SignedData,
}

/// What a token proves under an authority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedTimestamp {
    /// When the token was made by the authority's clock, in whole seconds since 1970.
    pub time: u64,
    /// The last second at which the signer's certificate is valid (since 1970). After it other people's
    /// software refuses the token unless told its time; a token over the token keeps its worth for them.
    pub signer_not_after: u64,
    /// The certificates (DER) from the signer's to the authority's.
    pub path: Vec<Vec<u8>>,
    /// The signer's certificate is named by its SHA-1 alone, as RFC 3161 had it before RFC 5816. The
    /// signature is as good as any; but whoever could make a second certificate of that SHA-1 for the same
    /// key could pass it off as the signer's. That takes a second pre-image, which nobody can compute.
    pub named_by_sha1: bool,
    /// Every digest algorithm that the token rests on, weakest first: its imprint's, its content's, its
    /// signature's, and those by which the certificates of the path below the authority's are signed.
    pub digests: Vec<DigestAlgorithm>,
}

/// An authority whose time-stamps count: a name of one's own, and the certificate at which trust begins.
///
/// The certificate is the authority's root, an intermediate of its or the one that signs tokens. Versions
/// before X.509 v3, which do not say that they are an authority's, can only be the last.
#[derive(Clone, PartialEq, Eq)]
pub struct TimestampAuthority {
    name: String,
    anchor: Certificate,
}

impl TimestampAuthority {
    /// The authority with this name and certificate (DER).
    pub fn new(name: &str, certificate_der: &[u8]) -> Result<TimestampAuthority, FormatError> {
        if name.is_empty() || name.contains(|c: char| c.is_whitespace() || text::hides(c)) {
            let reason = format!("{name:?} cannot be an authority's name");
            return Err(FormatError::new("time-stamp authority", reason));
        }
        Ok(TimestampAuthority {
            name: name.to_owned(),
            anchor: Certificate::parse(certificate_der)?,
        })
    }

    /// The name by which the trust file calls it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The certificate (DER) at which trust begins.
    pub fn certificate(&self) -> &[u8] {
        &self.anchor.der
    }
}

impl Timestamp {
    /// Longest token or response in bytes. Real ones have 1 to 8 KiB.
    pub const BYTES_MAX: usize = 64 << 10;
    /// Most further certificates that a check looks at.
    pub const EXTRA_CERTIFICATES_MAX: usize = 32;

    /// Reads a token (a ContentInfo in DER).
    pub fn of_token(der: &[u8]) -> Result<Timestamp, FormatError> {
        if der.len() > Timestamp::BYTES_MAX {
            let reason = format!("longer than {} bytes", Timestamp::BYTES_MAX);
            return Err(FormatError::new("time-stamp token", reason));
        }
        let signed = SignedData::parse(der)?;
        let info = Info::parse(&signed.content)?;
        Ok(Timestamp { token: der.to_vec(), info, signed })
    }

    /// Reads the token in a TimeStampResp (DER) that grants one.
    pub fn of_response(der: &[u8]) -> Result<Timestamp, FormatError> {
        request::token_of_response(der).map_err(|fault| match fault {
            ResponseFault::Format(error) => error,
            other => FormatError::new("time-stamp response", other.to_string()),
        })
    }

    /// The token's bytes, without the response that brought it.
    pub fn token_der(&self) -> &[u8] {
        &self.token
    }

    /// When the authority says that it made the token, in whole seconds since 1970.
    pub fn time(&self) -> u64 {
        self.info.time.seconds.unsigned_abs() // never before 1970
    }

    /// The fraction of the second that follows [`time`](Timestamp::time), in nanoseconds.
    pub fn time_nanos(&self) -> u32 {
        self.info.time.nanos
    }

    /// How far from the true time the authority admits to be, in microseconds.
    pub fn accuracy_micros(&self) -> Option<u64> {
        self.info.accuracy_micros
    }

    /// The token's serial number at its authority: a big-endian number in two's complement.
    pub fn serial(&self) -> &[u8] {
        &self.info.serial
    }

    /// The policy under which the token was made, an object identifier in dotted form.
    pub fn policy(&self) -> String {
        self.info.policy.to_string()
    }

    /// The number that the request asked to be repeated: big-endian, in two's complement.
    pub fn nonce(&self) -> Option<&[u8]> {
        self.info.nonce.as_deref()
    }

    /// The digest algorithm of the imprint.
    pub fn imprint_algorithm(&self) -> DigestAlgorithm {
        self.info.algorithm
    }

    /// The digest that was time-stamped.
    pub fn imprint(&self) -> &[u8] {
        &self.info.imprint
    }

    /// Whether the token is about this message: the imprint is its digest.
    pub fn covers(&self, message: &[u8]) -> bool {
        self.info.algorithm.digest(message) == self.info.imprint
    }

    /// Decides whether the token was made by this authority at the time it states.
    ///
    /// What it is about is not looked at; [`covers`](Timestamp::covers) does that. `extra_certificates` (DER)
    /// help where the token does not bring its signer's certificate or those above it; they need no trust,
    /// and those that cannot be read are left out.
    pub fn check(
        &self,
        authority: &TimestampAuthority,
        extra_certificates: &[&[u8]],
    ) -> Result<CheckedTimestamp, TimestampFault> {
        if extra_certificates.len() > Timestamp::EXTRA_CERTIFICATES_MAX {
            return Err(TimestampFault::TooManyCertificates);
        }
        let extra: Vec<Certificate> =
            extra_certificates.iter().flat_map(|der| Certificate::parse(der)).collect();
        let known: Vec<&Certificate> =
            self.signed.certificates.iter().chain([&authority.anchor]).chain(&extra).collect();

        // 1. The signature names its signer's certificate, and that one is here.
        let signer = self.signer(&known)?;
        // 2. The signed attributes are about this content.
        self.check_attributes()?;
        // 3. The signer signed them.
        self.check_signature(signer)?;
        // 4. The signer may sign time-stamps, and the authority vouches for it, all at that time.
        chain::check_signer(signer, self.info.time)?;
        let path = chain::find_path(signer, &known, &authority.anchor, self.info.time)?;

        // The authority's own certificate is trusted as it is, whatever signed it.
        let issued = path.iter().filter(|certificate| certificate.der != authority.anchor.der);
        let mut digests: Vec<DigestAlgorithm> = issued
            .filter_map(|certificate| signature::digest_of(&certificate.signature_algorithm, None))
            .chain(signature::digest_of(&self.signed.signer.algorithm, self.signer_digest().ok()))
            .chain([self.imprint_algorithm(), self.signer_digest()?])
            .collect();
        digests.sort_unstable();
        digests.dedup();

        let only_sha1 = |named: &NamedCertificate| named.digest == CertificateDigest::Sha1;
        Ok(CheckedTimestamp {
            time: self.time(),
            // Valid at a time after 1970, so it ends after it.
            signer_not_after: signer.not_after.seconds.unsigned_abs(),
            path: path.into_iter().map(|certificate| certificate.der.clone()).collect(),
            named_by_sha1: self.signed.signer.named.iter().all(only_sha1),
            digests,
        })
    }

    /// The certificate that the envelope points at and every SigningCertificate attribute names.
    fn signer<'a>(&self, known: &[&'a Certificate]) -> Result<&'a Certificate, TimestampFault> {
        let signer = &self.signed.signer;
        if signer.named.is_empty() {
            return Err(TimestampFault::SignerNotNamed);
        }
        let mut pointed_at = known.iter().filter(|known| signer.id.is_of(known)).peekable();
        if pointed_at.peek().is_none() {
            return Err(TimestampFault::SignerMissing);
        }
        for certificate in pointed_at {
            if names_all(&signer.named, certificate)? {
                return Ok(certificate);
            }
        }
        Err(TimestampFault::OtherSigner)
    }

    fn check_attributes(&self) -> Result<(), TimestampFault> {
        let signer = &self.signed.signer;
        if signer.content_type != token::TST_INFO {
            return Err(TimestampFault::ContentType);
        }
        if self.signer_digest()?.digest(&self.signed.content) != signer.message_digest {
            return Err(TimestampFault::MessageDigest);
        }
        Ok(())
    }

    fn check_signature(&self, certificate: &Certificate) -> Result<(), TimestampFault> {
        let signer = &self.signed.signer;
        let digest = Some(self.signer_digest()?);
        signature::check(
            &certificate.key,
            &signer.algorithm,
            digest,
            &signer.signed,
            &signer.signature,
        )
        .map_err(|fault| match fault {
            SignatureFault::NotGenuine => TimestampFault::Signature,
            SignatureFault::Unsupported(what) => TimestampFault::Unsupported { what },
        })
    }

    fn signer_digest(&self) -> Result<DigestAlgorithm, TimestampFault> {
        let identifier = &self.signed.signer.digest;
        DigestAlgorithm::of(identifier).ok_or_else(|| unsupported_digest(identifier))
    }
}

fn names_all(
    named: &[NamedCertificate],
    certificate: &Certificate,
) -> Result<bool, TimestampFault> {
    for named in named {
        let hash = match &named.digest {
            CertificateDigest::Sha1 => Sha1::digest(&certificate.der).to_vec(),
            CertificateDigest::DefaultSha256 => DigestAlgorithm::Sha256.digest(&certificate.der),
            CertificateDigest::Named(identifier) => DigestAlgorithm::of(identifier)
                .ok_or_else(|| unsupported_digest(identifier))?
                .digest(&certificate.der),
        };
        let same_issuer = named.issuer_and_serial.as_ref().is_none_or(|(issuer, serial)| {
            (issuer, serial) == (&certificate.issuer, &certificate.serial)
        });
        if hash != named.hash || !same_issuer {
            return Ok(false);
        }
    }
    Ok(true)
}

fn unsupported_digest(identifier: &digest::AlgorithmIdentifier) -> TimestampFault {
    TimestampFault::Unsupported { what: format!("digest algorithm {}", identifier.oid) }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timestamp").field("info", &self.info).finish_non_exhaustive()
    }
}

impl fmt::Debug for TimestampAuthority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TimestampAuthority({}, {})", self.name, self.anchor.name())
    }
}

#[cfg(test)]
mod tests;
