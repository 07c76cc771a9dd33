//! From bytes to a request that can be answered, or to the reason for which it is rejected (RFC 3161
//! section 2.4.1).
//!
//! Only DER is read: what has another spelling of the same meaning is refused, so that nobody can
//! smuggle a second reading past this one.

use der::asn1::{AnyRef, IntRef, ObjectIdentifier, OctetStringRef};
use der::{Reader, SliceReader, Tag, TagNumber, Tagged};

use crate::policy::POLICY;
use crate::response::{FailureInfo, Rejection};

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
            return Err(Rejection::new(FailureInfo::BadDataFormat, reason));
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
        return Err(Rejection::new(
            FailureInfo::BadRequest,
            "only version 1 of TimeStampReq is known",
        ));
    }
    let imprint = fields.decode::<AnyRef<'_>>()?;
    check_imprint(imprint)?;
    if next_is(fields, Tag::ObjectIdentifier) && read_oid(fields)? != POLICY.as_bytes() {
        let reason = format!("the only policy here is {POLICY}");
        return Err(Rejection::new(FailureInfo::UnacceptedPolicy, reason));
    }
    let nonce = fields.decode::<Option<IntRef<'_>>>()?;
    let with_certificates = read_flag(fields)?;
    if !fields.is_finished() {
        check_extensions(fields.decode()?)?;
        return Err(if fields.is_finished() {
            Rejection::new(FailureInfo::UnacceptedExtension, "no extension is known here")
        } else {
            Rejection::new(FailureInfo::BadDataFormat, "a field behind the last one")
        });
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
        return Err(Rejection::new(FailureInfo::BadDataFormat, reason));
    }
    Ok(())
}

/// How many bytes a digest of this AlgorithmIdentifier has.
fn read_algorithm(fields: &mut SliceReader<'_>) -> Result<usize, Rejection> {
    let unknown =
        || Rejection::new(FailureInfo::BadAlg, "this digest algorithm is not accepted here");
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
        Some(false) => {
            Err(Rejection::new(FailureInfo::BadDataFormat, "DER omits a FALSE by default"))
        }
        flag => Ok(flag.is_some()),
    }
}

/// `[0] IMPLICIT SEQUENCE SIZE (1..MAX) OF Extension`: none is accepted, but only a whole list of them
/// is called one.
fn check_extensions(extensions: AnyRef<'_>) -> Result<(), Rejection> {
    if extensions.tag() != EXTENSIONS_TAG || extensions.value().is_empty() {
        return Err(Rejection::new(FailureInfo::BadDataFormat, "a field of no TimeStampReq"));
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

/// An OBJECT IDENTIFIER's bytes. Read here, because `der` takes no arcs beyond 32 bits, and whoever
/// names a policy below 2.25 (a UUID) is to hear that the policy is unknown, not that the format is bad.
fn read_oid<'a>(fields: &mut SliceReader<'a>) -> Result<&'a [u8], Rejection> {
    let any = fields.decode::<AnyRef<'a>>()?;
    let bytes = any.value();
    let starts_padded = |i: usize| bytes[i] == 0x80 && (i == 0 || bytes[i - 1] & 0x80 == 0);
    let whole = bytes.last().is_some_and(|last| last & 0x80 == 0);
    if any.tag() != Tag::ObjectIdentifier || !whole || (0..bytes.len()).any(starts_padded) {
        return Err(Rejection::new(
            FailureInfo::BadDataFormat,
            "an object identifier was expected",
        ));
    }
    Ok(bytes)
}

/// A request with a 512-bit digest, nonce and policy has 150 bytes.
pub(crate) const REQUEST_BYTES_MAX: usize = 4096;

const EXTENSIONS_TAG: Tag = Tag::ContextSpecific { constructed: true, number: TagNumber(0) };

/// Digest algorithms and the bytes of their digests. SHA-1 and MD5 are not among them: collisions are
/// known.
const DIGESTS: [(ObjectIdentifier, usize); 7] = [
    (ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1"), 32), // SHA-256
    (ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.2"), 48), // SHA-384
    (ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.3"), 64), // SHA-512
    (ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.8"), 32), // SHA3-256
    (ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.9"), 48), // SHA3-384
    (ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.10"), 64), // SHA3-512
    (ObjectIdentifier::new_unwrap("1.2.156.10197.1.401"), 32),    // SM3
];

#[cfg(test)]
mod tests {
    use der::Encode;

    use super::*;

    /// One DER element of everything given.
    fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
        let value = parts.concat();
        let length = match value.len() {
            short @ 0..=127 => vec![short as u8],
            middle @ 128..=255 => vec![0x81, middle as u8],
            long => vec![0x82, (long >> 8) as u8, long as u8],
        };
        [&[tag], &length[..], &value].concat()
    }

    fn algorithm(oid: &str) -> Vec<u8> {
        tlv(0x30, &[&ObjectIdentifier::new_unwrap(oid).to_der().unwrap()])
    }

    fn imprint(oid: &str, bytes: usize) -> Vec<u8> {
        tlv(0x30, &[&algorithm(oid), &tlv(4, &[&vec![7; bytes]])])
    }

    fn failure(bytes: &[u8]) -> Option<FailureInfo> {
        Request::parse(bytes).err().map(|rejection| rejection.failure)
    }

    const SHA_256: &str = "2.16.840.1.101.3.4.2.1";
    const V1: &[u8] = &[2, 1, 1];

    #[test]
    fn what_is_accepted() {
        for (oid, bytes) in [
            (SHA_256, 32),
            ("2.16.840.1.101.3.4.2.2", 48),
            ("2.16.840.1.101.3.4.2.3", 64),
            ("2.16.840.1.101.3.4.2.8", 32),
            ("2.16.840.1.101.3.4.2.9", 48),
            ("2.16.840.1.101.3.4.2.10", 64),
            ("1.2.156.10197.1.401", 32),
        ] {
            let imprint = imprint(oid, bytes);
            let request = tlv(0x30, &[V1, &imprint]);
            let parsed = Request::parse(&request).unwrap();
            assert_eq!(parsed.imprint.to_der().unwrap(), imprint);
            assert!(parsed.nonce.is_none() && !parsed.with_certificates);
        }

        let policy = POLICY.to_der().unwrap();
        let null = tlv(0x30, &[&ObjectIdentifier::new_unwrap(SHA_256).to_der().unwrap(), &[5, 0]]);
        let imprint = tlv(0x30, &[&null, &tlv(4, &[&[7; 32]])]);
        for nonce in [&[0][..], &[0x7f], &[0, 0x80], &[0x80], &[0xff], &[0xff, 1], &[1; 64]] {
            let nonce = tlv(2, &[nonce]);
            let request = tlv(0x30, &[V1, &imprint, &policy, &nonce, &[1, 1, 0xff]]);
            let parsed = Request::parse(&request).unwrap();
            assert_eq!(parsed.imprint.to_der().unwrap(), imprint);
            assert_eq!(parsed.nonce.to_der().unwrap(), nonce);
            assert!(parsed.with_certificates);
        }
    }

    #[test]
    fn what_is_rejected_and_why() {
        let good = imprint(SHA_256, 32);
        let oid = |oid: &str| ObjectIdentifier::new_unwrap(oid).to_der().unwrap();
        let extension = tlv(0x30, &[&oid("1.2.3"), &tlv(4, &[&[5, 0]])]);
        let critical = tlv(0x30, &[&oid("1.2.3"), &[1, 1, 0xff], &tlv(4, &[])]);
        // 2.25 and a UUID of 128 bits.
        let by_uuid = [&[6, 20, 0x69, 0x83][..], &[0xff; 17], &[0x7f]].concat();
        let with_parameters = |parameters: &[u8]| {
            let algorithm = tlv(0x30, &[&oid(SHA_256), parameters]);
            tlv(0x30, &[V1, &tlv(0x30, &[&algorithm, &tlv(4, &[&[7; 32]])])])
        };
        use FailureInfo::*;
        for (expected, bytes) in [
            // Not a request at all.
            (BadDataFormat, vec![]),
            (BadDataFormat, b"GET / HTTP/1.1\r\n".to_vec()),
            (BadDataFormat, vec![0x30]),
            (BadDataFormat, vec![0x30, 0x80, 0, 0]),
            (BadDataFormat, vec![0x30, 0x84, 0xff, 0xff, 0xff, 0xff]),
            (BadDataFormat, tlv(0x30, &[])),
            (BadDataFormat, tlv(0x30, &[V1])),
            (BadDataFormat, tlv(0x31, &[V1, &good])),
            (BadDataFormat, tlv(0x30, &[V1, &good, &tlv(2, &[&[1; 5000]])])),
            // Something behind it, or not all of it.
            (BadDataFormat, [&tlv(0x30, &[V1, &good])[..], &[0]].concat()),
            (BadDataFormat, [&tlv(0x30, &[V1, &good])[..], &[5, 0]].concat()),
            (BadDataFormat, tlv(0x30, &[V1, &good])[..50].to_vec()),
            (BadDataFormat, tlv(0x30, &[V1, &good, &[5, 0]])),
            (BadDataFormat, tlv(0x30, &[V1, &good, &[1, 1, 0xff], &[2, 1, 5]])),
            (BadDataFormat, tlv(0x30, &[V1, &good, &[2, 1, 5], &[2, 1, 5]])),
            // A length in more bytes than needed.
            (BadDataFormat, [&[0x30, 0x81, 54][..], V1, &good].concat()),
            // Versions.
            (BadRequest, tlv(0x30, &[&[2, 1, 2], &good])),
            (BadRequest, tlv(0x30, &[&[2, 1, 0], &good])),
            (BadRequest, tlv(0x30, &[&[2, 1, 0xff], &good])),
            (BadRequest, tlv(0x30, &[&[2, 2, 0xff, 1], &good])),
            (BadRequest, tlv(0x30, &[&[2, 9, 1, 0, 0, 0, 0, 0, 0, 0, 1], &[5, 0]])),
            (BadDataFormat, tlv(0x30, &[&[2, 2, 0, 1], &good])),
            (BadDataFormat, tlv(0x30, &[&[2, 0], &good])),
            // Digests.
            (BadAlg, tlv(0x30, &[V1, &imprint("1.3.14.3.2.26", 20)])),
            (BadAlg, tlv(0x30, &[V1, &imprint("1.2.840.113549.2.5", 16)])),
            (BadAlg, tlv(0x30, &[V1, &imprint("2.16.840.1.101.3.4.2.4", 28)])),
            (BadAlg, tlv(0x30, &[V1, &imprint("1.2.3.4", 32)])),
            (
                BadAlg,
                tlv(0x30, &[V1, &tlv(0x30, &[&tlv(0x30, &[&by_uuid]), &tlv(4, &[&[7; 32]])])]),
            ),
            (BadAlg, with_parameters(&[2, 1, 1])),
            (BadAlg, with_parameters(&[5, 1, 0])),
            (BadDataFormat, with_parameters(&[5, 0, 5, 0])),
            (BadDataFormat, tlv(0x30, &[V1, &imprint(SHA_256, 31)])),
            (BadDataFormat, tlv(0x30, &[V1, &imprint(SHA_256, 33)])),
            (BadDataFormat, tlv(0x30, &[V1, &imprint(SHA_256, 0)])),
            (BadDataFormat, tlv(0x30, &[V1, &imprint("2.16.840.1.101.3.4.2.3", 32)])),
            // Policies.
            (UnacceptedPolicy, tlv(0x30, &[V1, &good, &oid("1.2.3.4.1")])),
            (UnacceptedPolicy, tlv(0x30, &[V1, &good, &by_uuid])),
            (BadDataFormat, tlv(0x30, &[V1, &good, &[6, 0]])),
            (BadDataFormat, tlv(0x30, &[V1, &good, &[6, 2, 0x2a, 0x83]])),
            (BadDataFormat, tlv(0x30, &[V1, &good, &[6, 3, 0x2a, 0x80, 1]])),
            // A nonce, or a flag, in a second spelling.
            (BadDataFormat, tlv(0x30, &[V1, &good, &[2, 2, 0, 1]])),
            (BadDataFormat, tlv(0x30, &[V1, &good, &[2, 2, 0xff, 0x80]])),
            (BadDataFormat, tlv(0x30, &[V1, &good, &[2, 0]])),
            (BadDataFormat, tlv(0x30, &[V1, &good, &[1, 1, 0]])),
            (BadDataFormat, tlv(0x30, &[V1, &good, &[1, 1, 1]])),
            // Extensions.
            (UnacceptedExtension, tlv(0x30, &[V1, &good, &tlv(0xa0, &[&extension])])),
            (UnacceptedExtension, tlv(0x30, &[V1, &good, &tlv(0xa0, &[&extension, &critical])])),
            (UnacceptedExtension, tlv(0x30, &[V1, &good, &[1, 1, 0xff], &tlv(0xa0, &[&critical])])),
            (BadDataFormat, tlv(0x30, &[V1, &good, &tlv(0xa0, &[])])),
            (BadDataFormat, tlv(0x30, &[V1, &good, &tlv(0xa0, &[&[5, 0]])])),
            (BadDataFormat, tlv(0x30, &[V1, &good, &tlv(0xa0, &[&extension, &[0x30]])])),
            (BadDataFormat, tlv(0x30, &[V1, &good, &tlv(0xa1, &[&extension])])),
            (BadDataFormat, tlv(0x30, &[V1, &good, &tlv(0xa0, &[&extension]), &[5, 0]])),
            (BadDataFormat, tlv(0x30, &[V1, &good, &tlv(0xa0, &[&extension]), &[1, 1, 0xff]])),
        ] {
            assert_eq!(failure(&bytes), Some(expected), "{bytes:02x?}");
        }
    }
}
