//! The chain of two certificates (RFC 5280, RFC 3161 section 2.3): a root that certifies, an authority
//! that stamps.

use std::time::Duration;

use der::asn1::{Any, BitString, GeneralizedTime, ObjectIdentifier, OctetString, Utf8StringRef};
use der::{Decode, Encode, Sequence};
use p256::ecdsa::signature::{Signer as _, Verifier as _};
use p256::ecdsa::{DerSignature, SigningKey, VerifyingKey};
use p256::pkcs8::EncodePublicKey;
use sha2::{Digest, Sha256};
use x509_cert::Certificate;
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::certificate::Version;
use x509_cert::ext::pkix::{
    AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, KeyUsages,
    SubjectKeyIdentifier,
};
use x509_cert::ext::{Extension, Extensions};
use x509_cert::name::{Name, RdnSequence, RelativeDistinguishedName};
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};
use x509_cert::time::{Time, Validity};

use crate::TsaError;

/// A root's certificate, as DER, signed by itself.
pub(crate) fn root(name: &str, key: &SigningKey, now: u64) -> Result<Vec<u8>, TsaError> {
    let root = Party { name: name_of(&root_name(name))?, key: key.verifying_key() };
    let usages = KeyUsages::KeyCertSign | KeyUsages::CRLSign;
    let extensions = vec![
        extension(true, &BasicConstraints { ca: true, path_len_constraint: Some(0) })?,
        extension(true, &KeyUsage(usages))?,
        extension(false, &SubjectKeyIdentifier(root.key_identifier()?))?,
    ];
    certify(&root, &root, key, now, ROOT_YEARS, extensions)
}

/// The authority's certificate, as DER, signed by the root.
pub(crate) fn authority(
    name: &str,
    key: &SigningKey,
    root_key: &SigningKey,
    now: u64,
) -> Result<Vec<u8>, TsaError> {
    let root = Party { name: name_of(&root_name(name))?, key: root_key.verifying_key() };
    let authority = Party { name: name_of(name)?, key: key.verifying_key() };
    let root_identifier = AuthorityKeyIdentifier {
        key_identifier: Some(root.key_identifier()?),
        ..AuthorityKeyIdentifier::default()
    };
    let extensions = vec![
        extension(true, &BasicConstraints { ca: false, path_len_constraint: None })?,
        extension(true, &KeyUsage(KeyUsages::DigitalSignature.into()))?,
        // Alone and critical: RFC 3161 section 2.3.
        extension(true, &ExtendedKeyUsage(vec![TIME_STAMPING]))?,
        extension(false, &SubjectKeyIdentifier(authority.key_identifier()?))?,
        extension(false, &root_identifier)?,
    ];
    certify(&authority, &root, root_key, now, AUTHORITY_YEARS, extensions)
}

/// Whether this certificate is for this key and was signed by that root.
pub(crate) fn belongs(certificate: &Certificate, key: &SigningKey, root: &Certificate) -> bool {
    public_key(certificate).is_some_and(|public| public == *key.verifying_key())
        && public_key(root).is_some_and(|root| is_signed_by(certificate, &root))
}

/// Refuses a name that would not be a common name (RFC 5280 appendix A.1, ub-common-name).
pub(crate) fn check_name(name: &str) -> Result<(), TsaError> {
    let reason = if name.is_empty() || name.trim() != name {
        "it is empty or begins or ends with a space"
    } else if name.chars().any(char::is_control) {
        "it has control characters"
    } else if root_name(name).chars().count() > COMMON_NAME_CHARS_MAX {
        "it is longer than 59 characters"
    } else {
        return Ok(());
    };
    Err(TsaError::Name { reason })
}

struct Party<'a> {
    name: Name,
    key: &'a VerifyingKey,
}

impl Party<'_> {
    /// The first 160 bits of the SHA-256 of the public key (RFC 7093 section 2).
    fn key_identifier(&self) -> Result<OctetString, TsaError> {
        let digest = Sha256::digest(self.key.to_sec1_point(false).as_bytes());
        Ok(OctetString::new(&digest[..20])?)
    }
}

fn certify(
    subject: &Party<'_>,
    issuer: &Party<'_>,
    issuer_key: &SigningKey,
    now: u64,
    years: u64,
    extensions: Extensions,
) -> Result<Vec<u8>, TsaError> {
    let time = |seconds| GeneralizedTime::from_unix_duration(Duration::from_secs(seconds));
    let until = now.saturating_add(years * YEAR_SECONDS);
    let validity = Validity::new(Time::GeneralTime(time(now)?), Time::GeneralTime(time(until)?));
    let public_key = subject.key.to_public_key_der().map_err(|_| der::ErrorKind::Failed)?;
    let algorithm = AlgorithmIdentifierOwned { oid: ECDSA_WITH_SHA_256, parameters: None };
    let tbs = TbsCertificate {
        version: Version::V3,
        serial_number: SerialNumber::new(&random_serial()?)?,
        signature: algorithm.clone(),
        issuer: issuer.name.clone(),
        validity,
        subject: subject.name.clone(),
        subject_public_key_info: public_key.decode_msg()?,
        extensions,
    };
    let signature: DerSignature =
        issuer_key.try_sign(&tbs.to_der()?).map_err(|_| der::ErrorKind::Failed)?;
    let signature = BitString::from_bytes(signature.as_bytes())?;
    Ok(SignedCertificate { tbs, algorithm, signature }.to_der()?)
}

fn extension(
    critical: bool,
    value: &(impl der::oid::AssociatedOid + Encode),
) -> Result<Extension, TsaError> {
    let extn_value = OctetString::new(value.to_der()?)?;
    Ok(Extension { extn_id: oid_of(value), critical, extn_value })
}

fn oid_of<T: der::oid::AssociatedOid>(_: &T) -> ObjectIdentifier {
    T::OID
}

fn root_name(name: &str) -> String {
    format!("{name} root")
}

fn name_of(common_name: &str) -> Result<Name, TsaError> {
    let value = Any::encode_from(&Utf8StringRef::new(common_name)?)?;
    let attribute = AttributeTypeAndValue { oid: COMMON_NAME, value };
    let mut names = RdnSequence::default();
    names.push(RelativeDistinguishedName::try_from(vec![attribute])?);
    Ok(Name::from_der(&names.to_der()?)?)
}

/// 127 bits of chance; the first bit is clear, so that the number is positive.
fn random_serial() -> Result<[u8; 16], TsaError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|_| TsaError::NoRandomness)?;
    bytes[0] &= 0x7f;
    Ok(bytes)
}

fn public_key(certificate: &Certificate) -> Option<VerifyingKey> {
    let bits = &certificate.tbs_certificate().subject_public_key_info().subject_public_key;
    VerifyingKey::from_sec1_bytes(bits.as_bytes()?).ok()
}

fn is_signed_by(certificate: &Certificate, key: &VerifyingKey) -> bool {
    let verify = || {
        let signature = DerSignature::from_bytes(certificate.signature().as_bytes()?).ok()?;
        let signed = certificate.tbs_certificate().to_der().ok()?;
        key.verify(&signed, &signature).ok()
    };
    verify().is_some()
}

/// As RFC 5280 section 4.1 has it; `x509_cert` builds its own only with SHA-1 at hand.
#[derive(Sequence)]
struct TbsCertificate {
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    version: Version,
    serial_number: SerialNumber,
    signature: AlgorithmIdentifierOwned,
    issuer: Name,
    validity: Validity,
    subject: Name,
    subject_public_key_info: SubjectPublicKeyInfoOwned,
    #[asn1(context_specific = "3", tag_mode = "EXPLICIT")]
    extensions: Extensions,
}

#[derive(Sequence)]
struct SignedCertificate {
    tbs: TbsCertificate,
    algorithm: AlgorithmIdentifierOwned,
    signature: BitString,
}

/// A root outlives the claims that it is to prove: evidence is asked for decades after a work was made.
const ROOT_YEARS: u64 = 30;

/// Ten years in which a token verifies without saying for which moment, and one in which to issue it.
/// CAs that are audited may go to 135 months; software that checks that will not complain here.
const AUTHORITY_YEARS: u64 = 11;

const YEAR_SECONDS: u64 = 31_556_952; // 365.2425 days
const COMMON_NAME_CHARS_MAX: usize = 64;

const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
const TIME_STAMPING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.8");
const ECDSA_WITH_SHA_256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
