//! From an imprint, a number and a time to a signed TimeStampToken (RFC 3161 section 2.4.2, RFC 5816,
//! RFC 5652).
//!
//! There is no `signingTime` attribute: a token says one time, and nobody has to ask which one counts.

use std::time::Duration;

use der::asn1::{
    Any, AnyRef, GeneralizedTime, IntRef, ObjectIdentifier, OctetString, OctetStringRef, SetOfVec,
    UintRef,
};
use der::{Encode, Sequence, ValueOrd};
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{DerSignature, SigningKey};
use sha2::{Digest, Sha256};
use x509_cert::Certificate;
use x509_cert::attr::{Attribute, Attributes};
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::AlgorithmIdentifierOwned;

use crate::clock;
use crate::ledger::Serial;
use crate::policy::POLICY;
use crate::request::Request;

/// A key with the certificate that it signs under, and what each token says of it.
pub(crate) struct Signer {
    key: SigningKey,
    name: GeneralName,
    issuer: IssuerAndSerialNumber,
    certificates: SetOfVec<Any>,
    /// SHA-256 of the certificate.
    certificate_digest: [u8; 32],
}

impl Signer {
    pub fn new(
        key: SigningKey,
        certificate: &Certificate,
        root: &Certificate,
    ) -> der::Result<Signer> {
        let tbs = certificate.tbs_certificate();
        Ok(Signer {
            key,
            name: GeneralName::DirectoryName(tbs.subject().clone()),
            issuer: IssuerAndSerialNumber {
                issuer: tbs.issuer().clone(),
                serial_number: tbs.serial_number().clone(),
            },
            certificates: SetOfVec::try_from([
                Any::encode_from(certificate)?,
                Any::encode_from(root)?,
            ])?,
            certificate_digest: Sha256::digest(certificate.to_der()?).into(),
        })
    }

    /// The DER of a TimeStampToken for this request.
    pub fn token(&self, request: &Request<'_>, serial: &Serial, now: u64) -> der::Result<Vec<u8>> {
        let info = TstInfo {
            version: 1,
            policy: POLICY,
            message_imprint: request.imprint,
            serial_number: UintRef::new(serial)?,
            gen_time: GeneralizedTime::from_unix_duration(Duration::from_secs(now))?,
            accuracy: ACCURACY,
            nonce: request.nonce,
            tsa: Some(self.name.clone()),
        };
        self.sign(&info.to_der()?, request.with_certificates)
    }

    fn sign(&self, info: &[u8], with_certificates: bool) -> der::Result<Vec<u8>> {
        let attributes = self.attributes(info)?;
        // Signed as SET OF, sent as [0] IMPLICIT (RFC 5652 section 5.4).
        let signature: DerSignature =
            self.key.try_sign(&attributes.to_der()?).map_err(|_| der::ErrorKind::Failed)?;
        let signer_info = SignerInfo {
            version: 1,
            sid: self.issuer.clone(),
            digest_algorithm: algorithm(SHA_256),
            signed_attributes: attributes,
            signature_algorithm: algorithm(ECDSA_WITH_SHA_256),
            signature: OctetString::new(signature.as_bytes())?,
        };
        let token = ContentInfo {
            content_type: SIGNED_DATA,
            content: SignedData {
                version: 3,
                digest_algorithms: SetOfVec::try_from([algorithm(SHA_256)])?,
                content: EncapsulatedContentInfo {
                    content_type: TST_INFO,
                    content: OctetString::new(info)?,
                },
                // Asked for or absent (RFC 3161 section 2.4.1). The root goes along, so that a token can
                // be checked by whoever kept no more than the root's digest.
                certificates: with_certificates.then(|| self.certificates.clone()),
                signer_infos: SetOfVec::try_from([signer_info])?,
            },
        };
        token.to_der()
    }

    fn attributes(&self, info: &[u8]) -> der::Result<Attributes> {
        let digest: [u8; 32] = Sha256::digest(info).into();
        // SHA-256 is the default of hashAlgorithm, which DER omits; the issuer stands in the SignerInfo
        // (RFC 5035 section 4). One certificate: OpenSSL once misjudged tokens with two (#14190).
        let signing_certificate = SigningCertificateV2 {
            certificates: vec![EssCertIdV2 {
                digest: OctetString::new(&self.certificate_digest[..])?,
            }],
        };
        SetOfVec::try_from([
            attribute(CONTENT_TYPE, &TST_INFO)?,
            attribute(MESSAGE_DIGEST, &OctetStringRef::new(&digest)?)?,
            attribute(SIGNING_CERTIFICATE_V2, &signing_certificate)?,
        ])
    }
}

fn attribute(
    oid: ObjectIdentifier,
    value: &(impl der::Tagged + der::EncodeValue),
) -> der::Result<Attribute> {
    Ok(Attribute { oid, values: SetOfVec::try_from([Any::encode_from(value)?])? })
}

/// Without parameters, as RFC 5754 section 2 and RFC 5758 section 3.2 ask for.
fn algorithm(oid: ObjectIdentifier) -> AlgorithmIdentifierOwned {
    AlgorithmIdentifierOwned { oid, parameters: None }
}

/// `ordering` is absent, hence false: two tokens of the same second are not ordered.
#[derive(Sequence)]
struct TstInfo<'a> {
    version: u8,
    policy: ObjectIdentifier,
    message_imprint: AnyRef<'a>,
    serial_number: UintRef<'a>,
    gen_time: GeneralizedTime,
    accuracy: Accuracy,
    nonce: Option<IntRef<'a>>,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    tsa: Option<GeneralName>,
}

#[derive(Clone, Copy, Sequence)]
struct Accuracy {
    seconds: u8,
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT")]
    millis: u16,
}

#[derive(Sequence)]
struct ContentInfo {
    content_type: ObjectIdentifier,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    content: SignedData,
}

#[derive(Sequence)]
struct SignedData {
    version: u8,
    digest_algorithms: SetOfVec<AlgorithmIdentifierOwned>,
    content: EncapsulatedContentInfo,
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT", optional = "true")]
    certificates: Option<SetOfVec<Any>>,
    signer_infos: SetOfVec<SignerInfo>,
}

#[derive(Sequence)]
struct EncapsulatedContentInfo {
    content_type: ObjectIdentifier,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    content: OctetString,
}

#[derive(Sequence, ValueOrd)]
struct SignerInfo {
    version: u8,
    sid: IssuerAndSerialNumber,
    digest_algorithm: AlgorithmIdentifierOwned,
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT")]
    signed_attributes: Attributes,
    signature_algorithm: AlgorithmIdentifierOwned,
    signature: OctetString,
}

#[derive(Clone, Sequence, ValueOrd)]
struct IssuerAndSerialNumber {
    issuer: Name,
    serial_number: SerialNumber,
}

#[derive(Sequence)]
struct SigningCertificateV2 {
    certificates: Vec<EssCertIdV2>,
}

#[derive(Sequence)]
struct EssCertIdV2 {
    digest: OctetString,
}

/// What the time may be off: the second that is rounded away, and what the clock does not notice.
const ACCURACY: Accuracy = {
    let millis = 1_000 + clock::STEP_MILLIS_MAX + clock::DRIFT_MILLIS_MAX;
    Accuracy { seconds: (millis / 1_000) as u8, millis: (millis % 1_000) as u16 }
};

const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
const TST_INFO: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.1.4");
const CONTENT_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.3");
const MESSAGE_DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");
const SIGNING_CERTIFICATE_V2: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.2.47");
const SHA_256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
const ECDSA_WITH_SHA_256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
