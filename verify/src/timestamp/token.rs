//! The envelope of a token: CMS SignedData with one signer (RFC 5652 section 5, RFC 3161 section 2.4.2).

use der::Tag;
use der::oid::ObjectIdentifier;

use super::certificate::Certificate;
use super::digest::AlgorithmIdentifier;
use super::element::{Element, Elements, SET, context, primitive};
use crate::FormatError;

/// A token without its meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SignedData {
    /// The TSTInfo in DER.
    pub content: Vec<u8>,
    /// The certificates that could be read, in the order of the token.
    pub certificates: Vec<Certificate>,
    pub signer: Signer,
}

/// The SignerInfo: who signed, and what besides the content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Signer {
    pub id: SignerId,
    pub digest: AlgorithmIdentifier,
    /// The signed attributes as they are signed: with the tag of a SET (RFC 5652 section 5.4).
    pub signed: Vec<u8>,
    pub content_type: ObjectIdentifier,
    pub message_digest: Vec<u8>,
    /// The certificate that each attribute names as the signer's.
    pub named: Vec<NamedCertificate>,
    pub algorithm: AlgorithmIdentifier,
    pub signature: Vec<u8>,
}

/// How the envelope points at the signer's certificate. Unsigned: whoever carries the token can change it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SignerId {
    IssuerAndSerial { issuer: Vec<u8>, serial: Vec<u8> },
    SubjectKeyId(Vec<u8>),
}

/// How a signed attribute names the signer's certificate: ESSCertID (RFC 2634 section 5.4.1) or ESSCertIDv2
/// (RFC 5035 section 4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NamedCertificate {
    pub digest: CertificateDigest,
    pub hash: Vec<u8>,
    pub issuer_and_serial: Option<(Vec<u8>, Vec<u8>)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CertificateDigest {
    /// What the first version of the attribute always uses.
    Sha1,
    /// SHA-256 unless the attribute says otherwise.
    DefaultSha256,
    Named(AlgorithmIdentifier),
}

impl SignerId {
    pub fn is_of(&self, certificate: &Certificate) -> bool {
        match self {
            SignerId::IssuerAndSerial { issuer, serial } => {
                (issuer, serial) == (&certificate.issuer, &certificate.serial)
            }
            SignerId::SubjectKeyId(id) => {
                certificate.extensions.subject_key_id.as_ref() == Some(id)
            }
        }
    }
}

impl SignedData {
    /// Reads a ContentInfo.
    pub fn parse(der: &[u8]) -> Result<SignedData, FormatError> {
        let mut outer = Element::only(WHAT, der, Tag::Sequence)?.elements()?;
        if outer.next(Tag::ObjectIdentifier)?.oid()? != SIGNED_DATA {
            return Err(outer.bad("it is not signed data"));
        }
        let mut fields = outer.next(context(0))?.unwrapped(Tag::Sequence)?.elements()?;
        outer.finish()?;

        if !(1..=5).contains(&fields.next(Tag::Integer)?.small()?) {
            return Err(fields.bad("its signed data is of an unknown version"));
        }
        // The digest algorithms once more, as a help for readers in one pass.
        fields.next(Tag::Set)?;
        let mut content = fields.inside(Tag::Sequence)?;
        if content.next(Tag::ObjectIdentifier)?.oid()? != TST_INFO {
            return Err(content.bad("what it signs is no time-stamp"));
        }
        let info = content.next(context(0))?.unwrapped(Tag::OctetString)?.value.to_vec();
        content.finish()?;
        let certificates = match fields.optional(context(0))? {
            Some(set) => parse_certificates(&set)?,
            None => Vec::new(),
        };
        fields.optional(context(1))?; // revocation lists
        let mut signers = fields.inside(Tag::Set)?;
        fields.finish()?;
        let signer = Signer::parse(signers.inside(Tag::Sequence)?)?;
        if !signers.is_finished() {
            return Err(signers.bad("it has more than one signer"));
        }
        Ok(SignedData { content: info, certificates, signer })
    }
}

/// The certificates of a set that real authorities do not always sort. One that cannot be read is left out:
/// it will be missed if it was needed.
fn parse_certificates(set: &Element<'_>) -> Result<Vec<Certificate>, FormatError> {
    let mut elements = set.elements()?;
    let mut found = Vec::new();
    for _ in 0..CERTIFICATES_MAX {
        if elements.is_finished() {
            return Ok(found);
        }
        found.extend(Certificate::parse(elements.any()?.whole));
    }
    if elements.is_finished() {
        Ok(found)
    } else {
        Err(elements.bad(format!("it holds more than {CERTIFICATES_MAX} certificates")))
    }
}

impl Signer {
    fn parse(mut fields: Elements<'_>) -> Result<Signer, FormatError> {
        if ![1, 3].contains(&fields.next(Tag::Integer)?.small()?) {
            return Err(fields.bad("its signer is described in an unknown version"));
        }
        let id = fields.any()?;
        let id = match id.tag {
            Tag::Sequence => {
                let mut parts = id.elements()?;
                let issuer = parts.next(Tag::Sequence)?.whole.to_vec();
                let serial = parts.next(Tag::Integer)?.value.to_vec();
                parts.finish()?;
                SignerId::IssuerAndSerial { issuer, serial }
            }
            tag if tag == primitive(0) => SignerId::SubjectKeyId(id.value.to_vec()),
            _ => return Err(id.bad("its signer is not named")),
        };
        let digest = AlgorithmIdentifier::of(&fields.next(Tag::Sequence)?)?;
        let attributes = fields.next(context(0))?;
        let algorithm = AlgorithmIdentifier::of(&fields.next(Tag::Sequence)?)?;
        let signature = fields.next(Tag::OctetString)?.value.to_vec();
        fields.optional(context(1))?; // unsigned attributes
        fields.finish()?;

        let mut signed = attributes.whole.to_vec();
        if let Some(identifier) = signed.first_mut() {
            *identifier = SET;
        }
        let (mut content_type, mut message_digest, mut v1, mut v2) = (None, None, None, None);
        let mut list = attributes.elements()?;
        while !list.is_finished() {
            let mut attribute = list.inside(Tag::Sequence)?;
            let oid = attribute.next(Tag::ObjectIdentifier)?.oid()?;
            let mut values = attribute.inside(Tag::Set)?;
            attribute.finish()?;
            let twice = match oid {
                CONTENT_TYPE => {
                    content_type.replace(values.next(Tag::ObjectIdentifier)?.oid()?).is_some()
                }
                MESSAGE_DIGEST => {
                    let digest = values.next(Tag::OctetString)?.value.to_vec();
                    message_digest.replace(digest).is_some()
                }
                SIGNING_CERTIFICATE => {
                    let named = NamedCertificate::first_of(&values.next(Tag::Sequence)?, 1)?;
                    v1.replace(named).is_some()
                }
                SIGNING_CERTIFICATE_V2 => {
                    let named = NamedCertificate::first_of(&values.next(Tag::Sequence)?, 2)?;
                    v2.replace(named).is_some()
                }
                _ => continue,
            };
            if twice || !values.is_finished() {
                return Err(list.bad(format!("its signed attribute {oid} has two values")));
            }
        }
        let missing = |what| list.bad(format!("its signed attributes lack the {what}"));
        Ok(Signer {
            id,
            digest,
            signed,
            content_type: content_type.ok_or_else(|| missing("content type"))?,
            message_digest: message_digest.ok_or_else(|| missing("message digest"))?,
            named: v1.into_iter().chain(v2).collect(),
            algorithm,
            signature,
        })
    }
}

impl NamedCertificate {
    /// The first certificate of a SigningCertificate of this version; further ones would limit the path.
    fn first_of(attribute: &Element<'_>, version: u8) -> Result<NamedCertificate, FormatError> {
        let mut fields = attribute.elements()?;
        let mut list = fields.inside(Tag::Sequence)?;
        fields.optional(Tag::Sequence)?; // policies
        fields.finish()?;
        let mut certificate = list.inside(Tag::Sequence)?;
        let digest = match version {
            1 => CertificateDigest::Sha1,
            _ => match certificate.optional(Tag::Sequence)? {
                Some(algorithm) => CertificateDigest::Named(AlgorithmIdentifier::of(&algorithm)?),
                None => CertificateDigest::DefaultSha256,
            },
        };
        let hash = certificate.next(Tag::OctetString)?.value.to_vec();
        let issuer_and_serial = match certificate.optional(Tag::Sequence)? {
            Some(pair) => {
                let mut pair = pair.elements()?;
                let names = pair.next(Tag::Sequence)?;
                // GeneralNames with the one directoryName [4] that an issuer has.
                let issuer = names.unwrapped(context(4))?.unwrapped(Tag::Sequence)?.whole.to_vec();
                let serial = pair.next(Tag::Integer)?.value.to_vec();
                pair.finish()?;
                Some((issuer, serial))
            }
            None => None,
        };
        certificate.finish()?;
        Ok(NamedCertificate { digest, hash, issuer_and_serial })
    }
}

const WHAT: &str = "time-stamp token";

/// Most certificates of a token; real ones bring up to four.
pub(crate) const CERTIFICATES_MAX: usize = 16;

const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
const CONTENT_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.3");
const MESSAGE_DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");
/// id-ct-TSTInfo, the type of what a token signs.
pub(crate) const TST_INFO: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.1.4");
const SIGNING_CERTIFICATE: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.2.12");
const SIGNING_CERTIFICATE_V2: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.2.47");
