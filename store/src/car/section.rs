//! The spellings of an archive: lengths, CIDs, and the header, which is a tiny map in DAG-CBOR.

use super::{CarError, CidProblem};
use crate::dag::{DagCid, varint};

/// What an archive begins with.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Header {
    /// Sections follow.
    V1(Vec<DagCid>),
    /// A fixed header follows, which says where an archive of version 1 lies.
    V2,
}

/// The header of an archive of version 1, without its length.
pub(super) fn encode_header(roots: &[DagCid]) -> Vec<u8> {
    let mut header = vec![MAP | 2];
    cbor_bytes(&mut header, TEXT, b"roots");
    cbor_head(&mut header, ARRAY, roots.len() as u64);
    for root in roots {
        header.extend(TAG_CID);
        cbor_bytes(&mut header, BYTES, &[&[0], &root.to_bytes()[..]].concat());
    }
    cbor_bytes(&mut header, TEXT, b"version");
    header.push(NUMBER | 1);
    header
}

/// Reads a header without its length.
pub(super) fn decode_header(header: &[u8]) -> Result<Header, CarError> {
    let bad = |reason| CarError::BadHeader { reason };
    let mut cbor = Cbor(header);
    let (mut roots, mut version) = (None, None);
    let fields = cbor.head(MAP).ok_or(bad("its header is no map"))?;
    for _ in 0..fields.min(FIELDS_MAX) {
        let key = cbor.bytes(TEXT).ok_or(bad("a key of its header is no text"))?;
        match key {
            b"roots" if roots.is_none() => roots = Some(cbor.roots()?),
            b"version" if version.is_none() => {
                version = Some(cbor.head(NUMBER).ok_or(bad("its version is no number"))?);
            }
            _ => return Err(bad("its header has other keys than roots and version, once each")),
        }
    }
    if fields > FIELDS_MAX || !cbor.0.is_empty() {
        return Err(bad("its header is longer than what it says"));
    }
    match (version, roots) {
        (Some(1), Some(roots)) => Ok(Header::V1(roots)),
        (Some(1), None) => Err(bad("its header names no roots")),
        (Some(2), None) => Ok(Header::V2),
        (Some(2), Some(_)) => Err(bad("its first header names roots, though its version is 2")),
        (Some(version), _) => Err(CarError::UnknownVersion { version }),
        (None, _) => Err(bad("its header states no version")),
    }
}

/// The length of what follows.
pub(super) fn encode_length(length: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    varint(&mut bytes, length);
    bytes
}

/// Reads a number of seven bits a byte from bytes that come one by one: `None` where there is none that is at most
/// nine bytes long, and no longer than it need be.
pub(super) fn decode_varint<E>(mut next: impl FnMut() -> Result<u8, E>) -> Result<Option<u64>, E> {
    let mut number = 0;
    for place in 0..VARINT_BYTES_MAX {
        let byte = next()?;
        number |= u64::from(byte & 0x7F) << (7 * place);
        if byte < 0x80 {
            return Ok((byte != 0 || place == 0).then_some(number));
        }
    }
    Ok(None)
}

/// Takes a number from the front of `bytes`.
pub(super) fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let next = || {
        let (&first, rest) = bytes.split_first().ok_or(())?;
        *bytes = rest;
        Ok::<u8, ()>(first)
    };
    decode_varint(next).ok().flatten()
}

/// Takes a CID from the front of `bytes`: one of version 0 is that of version 1 with the same digest.
pub(super) fn take_cid(bytes: &mut &[u8]) -> Result<DagCid, CidProblem> {
    let number = |bytes: &mut &[u8]| take_varint(bytes).ok_or(CidProblem::Malformed);
    let (codec, hash) = if bytes.starts_with(&[SHA2_256, 32]) {
        *bytes = &bytes[1..];
        (DAG_PB, u64::from(SHA2_256))
    } else {
        if number(bytes)? != 1 {
            return Err(CidProblem::Malformed);
        }
        (number(bytes)?, number(bytes)?)
    };
    let digest_bytes = number(bytes)?;
    let codec = match codec {
        DAG_PB | RAW => codec as u8,
        other => return Err(CidProblem::Codec(other)),
    };
    if hash != u64::from(SHA2_256) || digest_bytes != 32 {
        return Err(CidProblem::Hash(hash));
    }
    let (digest, rest) = bytes.split_at_checked(32).ok_or(CidProblem::Malformed)?;
    *bytes = rest;
    let cid = [&[1, codec, SHA2_256, 32], digest].concat();
    DagCid::from_bytes(&cid).ok_or(CidProblem::Malformed)
}

/// What is left of a text in CBOR, of which only what a header needs is known, in its one shortest spelling.
struct Cbor<'a>(&'a [u8]);

impl<'a> Cbor<'a> {
    /// The roots, each a tagged CID behind a zero.
    fn roots(&mut self) -> Result<Vec<DagCid>, CarError> {
        let bad = CarError::BadHeader { reason: "its roots are no list of CIDs" };
        let Some(count) = self.head(ARRAY) else { return Err(bad) };
        let mut roots = Vec::new();
        for _ in 0..count {
            let tagged = self.0.strip_prefix(&TAG_CID);
            let bytes = tagged.and_then(|rest| {
                self.0 = rest;
                self.bytes(BYTES)?.strip_prefix(&[0])
            });
            let Some(mut bytes) = bytes else { return Err(bad) };
            let root = take_cid(&mut bytes);
            roots.push(root.map_err(|problem| CarError::BadCid { offset: 0, problem })?);
            if !bytes.is_empty() {
                return Err(bad);
            }
        }
        Ok(roots)
    }

    /// A text or a string of bytes.
    fn bytes(&mut self, kind: u8) -> Option<&'a [u8]> {
        let length = usize::try_from(self.head(kind)?).ok()?;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    /// The number with which something of this kind begins.
    fn head(&mut self, kind: u8) -> Option<u64> {
        let (&first, rest) = self.0.split_first()?;
        if first & KIND != kind {
            return None;
        }
        let (number, rest) = match first & !KIND {
            short @ 0..24 => (u64::from(short), rest),
            size @ 24..28 => {
                let (long, rest) = rest.split_at_checked(1 << (size - 24))?;
                let number = long.iter().fold(0, |number, &byte| number << 8 | u64::from(byte));
                // The least number that needs this size.
                let least = if size == 24 { 24 } else { 1 << (8 << (size - 25)) };
                (Some(number).filter(|&number| number >= least)?, rest)
            }
            _ => return None,
        };
        self.0 = rest;
        Some(number)
    }
}

fn cbor_bytes(out: &mut Vec<u8>, kind: u8, bytes: &[u8]) {
    cbor_head(out, kind, bytes.len() as u64);
    out.extend(bytes);
}

fn cbor_head(out: &mut Vec<u8>, kind: u8, number: u64) {
    let bytes = number.to_be_bytes();
    let (size, bytes) = match number {
        0..24 => return out.push(kind | bytes[7]),
        24..0x100 => (24, &bytes[7..]),
        0x100..0x1_0000 => (25, &bytes[6..]),
        0x1_0000..0x1_0000_0000 => (26, &bytes[4..]),
        _ => (27, &bytes[..]),
    };
    out.push(kind | size);
    out.extend(bytes);
}

/// As the specification of multiformats has it.
const VARINT_BYTES_MAX: u32 = 9;
/// Fields of a header.
const FIELDS_MAX: u64 = 2;
// Multicodec.
const SHA2_256: u8 = 0x12;
const RAW: u64 = 0x55;
const DAG_PB: u64 = 0x70;
// CBOR: what something is, in the three upper bits of its first byte.
const KIND: u8 = 0xE0;
const NUMBER: u8 = 0;
const BYTES: u8 = 2 << 5;
const TEXT: u8 = 3 << 5;
const ARRAY: u8 = 4 << 5;
const MAP: u8 = 5 << 5;
/// Tag 42: what follows is a CID.
const TAG_CID: [u8; 2] = [0xD8, 42];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dag::Codec;

    #[test]
    fn a_header_reads_back_however_many_roots() {
        for count in [0, 1, 23, 24, 255, 256, 1000] {
            let root = |n: usize| DagCid::of_block(Codec::Raw, &n.to_le_bytes());
            let roots: Vec<DagCid> = (0..count).map(root).collect();
            let header = encode_header(&roots);
            assert_eq!(decode_header(&header).unwrap(), Header::V1(roots), "{count} roots");
            for end in 0..header.len() {
                assert!(decode_header(&header[..end]).is_err(), "{end} bytes of {count} roots");
            }
        }
    }

    #[test]
    fn headers_of_other_kinds_are_told_apart() {
        let check = |header: &[u8], said: &str| {
            let told = decode_header(header).map_or_else(|e| e.to_string(), |h| format!("{h:?}"));
            assert!(told.contains(said), "{header:02x?}: {told}");
        };
        check(b"\xA1\x67version\x02", "V2");
        check(b"\xA1\x67version\x18\x02", "version is no number"); // not the shortest spelling
        check(b"\xA1\x67version\x03", "version 3");
        check(b"\xA1\x67version\x01", "names no roots");
        check(b"\xA2\x67version\x01\x65roots\x80", "V1([])"); // in the other order
        check(b"\xA2\x67version\x01\x67version\x01", "once each");
        check(b"\xA1\x65roots\x80", "no version");
        check(b"\xA2\x65roots\x80\x67version\x01\x00", "longer");
        check(b"\xBB\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF", "no text");
        check(b"\xA1\x65roots\x9B\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF", "no list of CIDs");
        check(b"\x80", "no map");
        check(b"", "no map");
    }

    #[test]
    fn a_number_has_one_spelling() {
        for (bytes, number) in [
            (&[0][..], Some(0)),
            (&[0x7F], Some(127)),
            (&[0x80, 1], Some(128)),
            (&[0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F], Some(u64::MAX >> 1)),
            (&[0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1], None),
            (&[0x80, 0], None),
            (&[0x80], None),
            (&[], None),
        ] {
            assert_eq!(take_varint(&mut &bytes[..]), number, "{bytes:02x?}");
        }
    }

    #[test]
    fn only_cids_that_can_be_checked_are_taken() {
        let cid = DagCid::of_block(Codec::DagPb, b"a node");
        let v1 = cid.to_bytes();
        assert_eq!(take_cid(&mut &v1[..]), Ok(cid));
        assert_eq!(take_cid(&mut &v1[2..]), Ok(cid), "version 0 begins with the hash");
        let changed = |at: usize, byte: u8| {
            let mut bytes = v1;
            bytes[at] = byte;
            take_cid(&mut &bytes[..])
        };
        assert_eq!(changed(0, 2), Err(CidProblem::Malformed));
        assert_eq!(changed(1, 0x71), Err(CidProblem::Codec(0x71)));
        assert_eq!(changed(2, 0x13), Err(CidProblem::Hash(0x13)));
        assert_eq!(changed(3, 20), Err(CidProblem::Hash(0x12)));
        for end in 0..v1.len() {
            assert_eq!(take_cid(&mut &v1[..end]), Err(CidProblem::Malformed), "{end} bytes");
        }
    }
}
