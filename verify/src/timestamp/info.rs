//! What a token says: this digest was shown at this time (TSTInfo, RFC 3161 section 2.4.2).

use der::Tag;
use der::oid::ObjectIdentifier;

use super::digest::{AlgorithmIdentifier, DigestAlgorithm};
use super::element::{Element, context, primitive};
use super::moment::Moment;
use crate::FormatError;

/// The content of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Info {
    pub policy: ObjectIdentifier,
    pub algorithm: DigestAlgorithm,
    pub imprint: Vec<u8>,
    pub serial: Vec<u8>,
    /// Not before 1970.
    pub time: Moment,
    pub accuracy_micros: Option<u64>,
    pub nonce: Option<Vec<u8>>,
}

impl Info {
    pub fn parse(der: &[u8]) -> Result<Info, FormatError> {
        let mut fields = Element::only(WHAT, der, Tag::Sequence)?.elements()?;
        if fields.next(Tag::Integer)?.small()? != 1 {
            return Err(fields.bad("its content is not of version 1"));
        }
        let policy = fields.next(Tag::ObjectIdentifier)?.oid()?;
        let (algorithm, imprint) = parse_imprint(&fields.next(Tag::Sequence)?)?;
        let serial = fields.next(Tag::Integer)?.integer()?.to_vec();
        if serial.len() > SERIAL_BYTES_MAX {
            return Err(fields.bad("its serial number is too long"));
        }
        let time = Moment::of_gen_time(&fields.next(Tag::GeneralizedTime)?)?;
        if time.seconds < 0 {
            return Err(fields.bad("its time lies before 1970"));
        }
        let accuracy_micros = match fields.optional(Tag::Sequence)? {
            Some(accuracy) => Some(parse_accuracy(&accuracy)?),
            None => None,
        };
        // `ordering` says something about two tokens of an authority, and each is used by itself here.
        if let Some(ordering) = fields.optional(Tag::Boolean)? {
            ordering.boolean()?;
        }
        let nonce = match fields.optional(Tag::Integer)? {
            Some(nonce) if nonce.value.len() > NONCE_BYTES_MAX => {
                return Err(fields.bad("its nonce is too long"));
            }
            Some(nonce) => Some(nonce.integer()?.to_vec()),
            None => None,
        };
        // `tsa` is "a hint"; "the actual identification of the entity that signed the response will
        // always occur through the use of the certificate identifier" (RFC 3161 section 2.4.2).
        fields.optional(context(0))?;
        if let Some(extensions) = fields.optional(context(1))? {
            refuse_critical(&extensions)?;
        }
        fields.finish()?;
        Ok(Info { policy, algorithm, imprint, serial, time, accuracy_micros, nonce })
    }
}

/// A MessageImprint: which digest, and the digest.
fn parse_imprint(sequence: &Element<'_>) -> Result<(DigestAlgorithm, Vec<u8>), FormatError> {
    let mut fields = sequence.elements()?;
    let identifier = AlgorithmIdentifier::of(&fields.next(Tag::Sequence)?)?;
    let algorithm = DigestAlgorithm::of(&identifier).ok_or_else(|| {
        fields.bad(format!("digest algorithm {} counts for nothing", identifier.oid))
    })?;
    let imprint = fields.next(Tag::OctetString)?.value.to_vec();
    if imprint.len() != algorithm.digest_bytes() {
        return Err(fields.bad("its imprint has the wrong length"));
    }
    fields.finish()?;
    Ok((algorithm, imprint))
}

fn parse_accuracy(sequence: &Element<'_>) -> Result<u64, FormatError> {
    let mut fields = sequence.elements()?;
    let seconds = match fields.optional(Tag::Integer)? {
        Some(seconds) => seconds.small()?,
        None => 0,
    };
    let mut part = |number| match fields.optional(primitive(number))? {
        Some(part) => part.small(),
        None => Ok(0),
    };
    let (millis, micros) = (part(0)?, part(1)?);
    fields.finish()?;
    if seconds > ACCURACY_SECONDS_MAX || millis > 999 || micros > 999 {
        return Err(sequence.bad("its accuracy is out of range"));
    }
    Ok(seconds * 1_000_000 + millis * 1_000 + micros)
}

/// No extension of a token is known here, so none may be critical.
fn refuse_critical(extensions: &Element<'_>) -> Result<(), FormatError> {
    let mut list = extensions.elements()?;
    while !list.is_finished() {
        let mut extension = list.inside(Tag::Sequence)?;
        let oid = extension.next(Tag::ObjectIdentifier)?.oid()?;
        if extension.optional(Tag::Boolean)?.map_or(Ok(false), |flag| flag.boolean())? {
            return Err(list.bad(format!("its critical extension {oid} is not known")));
        }
        extension.next(Tag::OctetString)?;
        extension.finish()?;
    }
    Ok(())
}

const WHAT: &str = "time-stamp token";

/// RFC 3161 asks readers for 160 bits; some authorities take more.
const SERIAL_BYTES_MAX: usize = 64;
const NONCE_BYTES_MAX: usize = 64;
/// A day: a clock that may be further off dates nothing.
const ACCURACY_SECONDS_MAX: u64 = 86_400;
