//! From bytes to a request that can be answered, or to the reason for which it is rejected (RFC 3161 section 2.4.1).
//!
//! Only DER is read: what has another spelling of the same meaning is refused, so that nobody can smuggle a
//! second reading past this one.

use der::asn1::{AnyRef, IntRef, ObjectIdentifier, OctetStringRef};
use der::{Reader, SliceReader, Tag, TagNumber, Tagged};

use crate::policy::POLICY;
use crate::response::{Failure, Rejection};

/// What a client asks for.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    /// The MessageImprint, which the token repeats as it stands.
    pub imprint: AnyRef<'a>,
    pub nonce: Option<IntRef<'a>>,
    pub with_certificates: bool,
}

impl<'a> Request<'a> {
    /// Reads a TimeStampReq.
    pub fn parse(bytes: &'a [u8]) -> Result<Request<'a>, Rejection> {
        if bytes.len() > REQUEST_BYTES_MAX {
            let reason = format!("the request is longer than {REQUEST_BYTES_MAX} bytes");
            return Err(Rejection::new(Failure::BadDataFormat, reason));
        }
        let mut reader = SliceReader::new(bytes)?;
        let request = reader.sequence(parse_fields)?;
        reader.finish()?;
        Ok(request)
    }
}

fn parse_fields<'a>(fields: &mut SliceReader<'a>) -> Result<Request<'a>, Rejection> {
    // Before anything else, because another version may have other fields.
    if fields.decode::<IntRef<'_>>()? != IntRef::new(&[1])? {
        return Err(Rejection::new(Failure::BadRequest, "only version 1 of TimeStampReq is known"));
    }
    let imprint = fields.decode::<AnyRef<'_>>()?;
    check_imprint(imprint)?;
    if next_is(fields, Tag::ObjectIdentifier) && read_oid(fields)? != POLICY.as_bytes() {
        let reason = format!("the only policy here is {POLICY}");
        return Err(Rejection::new(Failure::UnacceptedPolicy, reason));
    }
    let nonce = fields.decode::<Option<IntRef<'_>>>()?;
    let with_certificates = read_flag(fields)?;
    if !fields.is_finished() {
        check_extensions(fields.decode()?)?;
        return Err(Rejection::new(Failure::UnacceptedExtension, "no extension is known here"));
    }
    Ok(Request { imprint, nonce, with_certificates })
}

/// `MessageImprint ::= SEQUENCE { hashAlgorithm AlgorithmIdentifier, hashedMessage OCTET STRING }`
fn check_imprint(imprint: AnyRef<'_>) -> Result<(), Rejection> {
    let (bytes, digest) = imprint.sequence(|fields| {
        let bytes = fields.sequence(read_algorithm)?;
        Ok::<_, Rejection>((bytes, fields.decode::<&OctetStringRef>()?))
    })?;
    if digest.as_bytes().len() != bytes {
        let reason = format!("a digest of this algorithm has {bytes} bytes");
        return Err(Rejection::new(Failure::BadDataFormat, reason));
    }
    Ok(())
}

/// How many bytes a digest of this AlgorithmIdentifier has.
fn read_algorithm(fields: &mut SliceReader<'_>) -> Result<usize, Rejection> {
    let unknown = || Rejection::new(Failure::BadAlg, "this digest algorithm is not accepted here");
    let oid = read_oid(fields)?;
    let parameters = fields.decode::<Option<AnyRef<'_>>>()?;
    let known = DIGESTS.iter().find(|(known, _)| known.as_bytes() == oid);
    let (_, bytes) = known.ok_or_else(unknown)?;
    // Absent or NULL: RFC 5754 section 2.
    match parameters {
        Some(parameters) if !parameters.is_null() => Err(unknown()),
        _ => Ok(*bytes),
    }
}

/// `BOOLEAN DEFAULT FALSE`, of which DER writes no FALSE.
fn read_flag(fields: &mut SliceReader<'_>) -> Result<bool, Rejection> {
    match fields.decode::<Option<bool>>()? {
        Some(false) => Err(Rejection::new(Failure::BadDataFormat, "DER omits a FALSE by default")),
        flag => Ok(flag.is_some()),
    }
}

/// `[0] IMPLICIT SEQUENCE SIZE (1..MAX) OF Extension`: none is accepted, but only a whole list of them is
/// called one.
fn check_extensions(extensions: AnyRef<'_>) -> Result<(), Rejection> {
    if extensions.tag() != EXTENSIONS_TAG || extensions.value().is_empty() {
        return Err(Rejection::new(Failure::BadDataFormat, "a field of no TimeStampReq"));
    }
    let mut list = SliceReader::new(extensions.value())?;
    while !list.is_finished() {
        list.sequence(|fields| {
            read_oid(fields)?;
            read_flag(fields)?;
            fields.decode::<&OctetStringRef>()?;
            Ok::<_, Rejection>(())
        })?;
    }
    Ok(())
}

fn next_is(fields: &SliceReader<'_>, tag: Tag) -> bool {
    Tag::peek(fields).is_ok_and(|next| next == tag)
}

/// An OBJECT IDENTIFIER's bytes. Read here, because `der` takes no arcs beyond 32 bits, and whoever names a
/// policy below 2.25 (a UUID) is to hear that the policy is unknown, not that the format is bad.
fn read_oid<'a>(fields: &mut SliceReader<'a>) -> Result<&'a [u8], Rejection> {
    let any = fields.decode::<AnyRef<'a>>()?;
    let bytes = any.value();
    let starts_padded = |i: usize| bytes[i] == 0x80 && (i == 0 || bytes[i - 1] & 0x80 == 0);
    let whole = bytes.last().is_some_and(|last| last & 0x80 == 0);
    if any.tag() != Tag::ObjectIdentifier || !whole || (0..bytes.len()).any(starts_padded) {
        return Err(Rejection::new(Failure::BadDataFormat, "an object identifier was expected"));
    }
    Ok(bytes)
}

/// A request with a 512-bit digest, nonce and policy has 150 bytes.
pub(crate) const REQUEST_BYTES_MAX: usize = 4096;

const EXTENSIONS_TAG: Tag = Tag::ContextSpecific { constructed: true, number: TagNumber(0) };

/// Digest algorithms and the bytes of their digests. SHA-1 and MD5 are not among them: collisions are known.
const DIGESTS: [(ObjectIdentifier, usize); 7] = [
    (ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1"), 32), // SHA-256
    (ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.2"), 48), // SHA-384
    (ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.3"), 64), // SHA-512
    (ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.8"), 32), // SHA3-256
    (ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.9"), 48), // SHA3-384
    (ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.10"), 64), // SHA3-512
    (ObjectIdentifier::new_unwrap("1.2.156.10197.1.401"), 32),    // SM3
];
