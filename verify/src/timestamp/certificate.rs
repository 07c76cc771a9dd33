//! An X.509 certificate as far as a time-stamp needs it (RFC 5280 section 4.1).

use data_encoding::HEXLOWER;
use der::Tag;
use der::oid::ObjectIdentifier;

use super::digest::AlgorithmIdentifier;
use super::element::{Element, Elements, context};
use super::moment::Moment;
use crate::{FormatError, text};

/// A certificate that was read; nobody has checked what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Certificate {
    /// All of its bytes.
    pub der: Vec<u8>,
    /// What its issuer signed.
    pub signed: Vec<u8>,
    pub signature_algorithm: AlgorithmIdentifier,
    pub signature: Vec<u8>,
    /// The value of the serial number. Real ones may be negative or oddly spelt; they are only compared.
    pub serial: Vec<u8>,
    pub issuer: Vec<u8>,
    pub subject: Vec<u8>,
    pub not_before: Moment,
    pub not_after: Moment,
    /// The SubjectPublicKeyInfo.
    pub key: Vec<u8>,
    pub extensions: Extensions,
}

/// The extensions that matter here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Extensions {
    /// Whether it may issue certificates, and with how many authorities below it.
    pub authority: Option<Authority>,
    /// The bits of the first byte, then of the second: 0x80 of the first is digitalSignature.
    pub key_usage: Option<[u8; 2]>,
    pub extended_key_usage: Option<ExtendedKeyUsage>,
    pub subject_key_id: Option<Vec<u8>>,
    /// A critical extension that is not understood here.
    pub unknown_critical: Option<ObjectIdentifier>,
}

/// Basic constraints that say `CA`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Authority {
    pub path_length: Option<u64>,
}

/// What the key may be used for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ExtendedKeyUsage {
    pub critical: bool,
    pub purposes: Vec<ObjectIdentifier>,
}

impl Certificate {
    /// Longest certificate in bytes. Real ones have 1 to 4 KiB.
    pub const BYTES_MAX: usize = 16 << 10;

    pub fn parse(der: &[u8]) -> Result<Certificate, FormatError> {
        if der.len() > Certificate::BYTES_MAX {
            let reason = format!("longer than {} bytes", Certificate::BYTES_MAX);
            return Err(FormatError::new(WHAT, reason));
        }
        let mut parts = Element::only(WHAT, der, Tag::Sequence)?.elements()?;
        let signed = parts.next(Tag::Sequence)?;
        let algorithm = parts.next(Tag::Sequence)?;
        let signature = parts.next(Tag::BitString)?.bits()?.to_vec();
        parts.finish()?;

        let mut fields = signed.elements()?;
        let version = match fields.optional(context(0))? {
            Some(version) => version.unwrapped(Tag::Integer)?.small()?,
            None => 0,
        };
        let serial = fields.next(Tag::Integer)?.value.to_vec();
        if fields.next(Tag::Sequence)?.whole != algorithm.whole {
            return Err(signed.bad("it names two signature algorithms"));
        }
        let issuer = fields.next(Tag::Sequence)?.whole.to_vec();
        let mut validity = fields.inside(Tag::Sequence)?;
        let not_before = Moment::of_validity(&validity.any()?)?;
        let not_after = Moment::of_validity(&validity.any()?)?;
        validity.finish()?;
        let subject = fields.next(Tag::Sequence)?.whole.to_vec();
        let key = fields.next(Tag::Sequence)?.whole.to_vec();
        // issuerUniqueID [1] and subjectUniqueID [2] mean nothing any more.
        while !fields.is_finished() && fields.clone().any()?.tag != context(3) {
            fields.any()?;
        }
        let extensions = match fields.optional(context(3))? {
            Some(_) if version != 2 => return Err(signed.bad("extensions need version 3")),
            Some(wrapped) => Extensions::of(wrapped.unwrapped(Tag::Sequence)?.elements()?)?,
            None => Extensions::default(),
        };
        fields.finish()?;
        Ok(Certificate {
            der: der.to_vec(),
            signed: signed.whole.to_vec(),
            signature_algorithm: AlgorithmIdentifier::of(&algorithm)?,
            signature,
            serial,
            issuer,
            subject,
            not_before,
            not_after,
            key,
            extensions,
        })
    }

    /// Whether the moment lies in its validity period, both ends included.
    pub fn valid_at(&self, moment: Moment) -> bool {
        self.not_before.seconds <= moment.seconds && moment.seconds <= self.not_after.seconds
    }

    /// Whether issuer and subject are one; such certificates do not count for path lengths.
    pub fn is_self_issued(&self) -> bool {
        self.issuer == self.subject
    }

    /// How a person would call it: the subject's common name, made safe to print, or its serial number.
    pub fn name(&self) -> String {
        common_name(&self.subject)
            .ok()
            .flatten()
            .unwrap_or_else(|| format!("serial {}", HEXLOWER.encode(&self.serial)))
    }
}

/// The last common name of a distinguished name.
pub(crate) fn common_name(name: &[u8]) -> Result<Option<String>, FormatError> {
    let mut found = None;
    let mut sets = Element::only(WHAT, name, Tag::Sequence)?.elements()?;
    while !sets.is_finished() {
        let mut attributes = sets.inside(Tag::Set)?;
        while !attributes.is_finished() {
            let mut attribute = attributes.inside(Tag::Sequence)?;
            if attribute.next(Tag::ObjectIdentifier)?.oid()? == COMMON_NAME {
                let value = attribute.any()?.value;
                let end = value.len().min(NAME_BYTES_MAX);
                found = Some(text::escape(value.get(..end).unwrap_or_default()));
            }
        }
    }
    Ok(found)
}

/// Longest part of a name that is shown.
const NAME_BYTES_MAX: usize = 100;

impl Extensions {
    fn of(mut list: Elements<'_>) -> Result<Extensions, FormatError> {
        let mut found = Extensions::default();
        let mut seen = Vec::new();
        while !list.is_finished() {
            let mut extension = list.inside(Tag::Sequence)?;
            let oid = extension.next(Tag::ObjectIdentifier)?.oid()?;
            let critical = match extension.optional(Tag::Boolean)? {
                Some(critical) => critical.boolean()?,
                None => false,
            };
            let value = extension.next(Tag::OctetString)?;
            extension.finish()?;
            if seen.contains(&oid) {
                return Err(list.bad(format!("the extension {oid} stands twice")));
            }
            seen.push(oid);
            match oid {
                BASIC_CONSTRAINTS => found.authority = authority(&value)?,
                KEY_USAGE => {
                    let bits = value.unwrapped(Tag::BitString)?.bits()?;
                    let byte = |at: usize| bits.get(at).copied().unwrap_or(0);
                    found.key_usage = Some([byte(0), byte(1)]);
                }
                EXTENDED_KEY_USAGE => {
                    let mut list = value.unwrapped(Tag::Sequence)?.elements()?;
                    let mut purposes = Vec::new();
                    while !list.is_finished() {
                        purposes.push(list.next(Tag::ObjectIdentifier)?.oid()?);
                    }
                    found.extended_key_usage = Some(ExtendedKeyUsage { critical, purposes });
                }
                SUBJECT_KEY_ID => {
                    let id = value.unwrapped(Tag::OctetString)?.value.to_vec();
                    found.subject_key_id = Some(id);
                }
                // Other names of the subject bind nothing here. Every policy is acceptable here (RFC 5280
                // section 6.1.1: any-policy, and none is required), so listing some restricts nothing.
                SUBJECT_ALTERNATIVE_NAME | CERTIFICATE_POLICIES => {}
                unknown if critical => {
                    found.unknown_critical.get_or_insert(unknown);
                }
                _ => {}
            }
        }
        Ok(found)
    }
}

fn authority(value: &Element<'_>) -> Result<Option<Authority>, FormatError> {
    let mut fields = value.unwrapped(Tag::Sequence)?.elements()?;
    let is_authority = match fields.optional(Tag::Boolean)? {
        Some(flag) => flag.boolean()?,
        None => false,
    };
    let path_length = match fields.optional(Tag::Integer)? {
        Some(length) => Some(length.small()?),
        None => None,
    };
    fields.finish()?;
    Ok(is_authority.then_some(Authority { path_length }))
}

const WHAT: &str = "certificate";

const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
const SUBJECT_KEY_ID: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.14");
const KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.15");
const SUBJECT_ALTERNATIVE_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");
const BASIC_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.19");
const CERTIFICATE_POLICIES: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.32");
const EXTENDED_KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37");
