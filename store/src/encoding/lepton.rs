//! Packing of JPEGs by Lepton: the entropy coding is done again with a better model, and undone bit by bit.
//!
//! The codec is outside code that reads hostile pictures. It runs on the caller's thread alone, a panic of it is
//! caught, and what it would allocate is computed before it is asked: from the frame of a picture that is to be
//! packed, from the head of a stored one. The stored form is a `.lep` file as other programs read it.

use std::io::{self, Cursor, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};

use flate2::read::ZlibDecoder;
use lepton_jpeg::{EnabledFeatures, SingleThreadPool, decode_lepton, encode_lepton};

use super::exact::damaged;

/// The JPEG packed; `None` for anything else, and for a JPEG that the codec does not take.
pub(super) fn pack(work: &[u8]) -> Option<Vec<u8>> {
    let segments = work.strip_prefix(&SOI)?;
    if work.len() as u64 > JPEG_BYTES_MAX || !is_bounded(segments) {
        return None;
    }
    let mut stored = Cursor::new(Vec::with_capacity(work.len()));
    let encode = || {
        let features = features(EnabledFeatures::compat_lepton_vector_write());
        encode_lepton(&mut Cursor::new(work), &mut stored, &features, &SingleThreadPool::default())
    };
    let is_packed = catch_unwind(AssertUnwindSafe(encode)).is_ok_and(|result| result.is_ok());
    is_packed.then(|| stored.into_inner())
}

/// The JPEG that was packed, which has this length.
pub(super) fn unpack(stored: impl Read, length: u64) -> io::Result<Cursor<Vec<u8>>> {
    if length > JPEG_BYTES_MAX {
        return Err(damaged("no JPEG as long as that is ever packed"));
    }
    let mut bytes = Vec::new();
    stored.take(length).read_to_end(&mut bytes)?;
    if head_of(&bytes, length).is_none_or(|head| !head.is_bounded(length)) {
        return Err(damaged("the head of the packed JPEG cannot be right"));
    }
    let mut jpeg = Vec::with_capacity(bytes.len());
    let decode = || {
        let features = features(EnabledFeatures::compat_lepton_vector_read());
        decode_lepton(&mut &bytes[..], &mut jpeg, &features, &SingleThreadPool::default())
    };
    match catch_unwind(AssertUnwindSafe(decode)) {
        Ok(Ok(_)) => Ok(Cursor::new(jpeg)),
        Ok(Err(error)) => Err(io::Error::new(io::ErrorKind::InvalidData, error.to_string())),
        Err(_) => Err(damaged("the packed JPEG makes its decoder panic")),
    }
}

/// One thread and one partition: threads are for many works, and one partition packs best.
fn features(compatible: EnabledFeatures) -> EnabledFeatures {
    EnabledFeatures {
        max_jpeg_width: SIDE_MAX,
        max_jpeg_height: SIDE_MAX,
        max_jpeg_file_size: JPEG_BYTES_MAX as u32,
        max_partitions: 1,
        max_processor_threads: 1,
        ..compatible
    }
}

/// What the head of a stored JPEG says of the memory that decoding takes.
struct Head {
    /// Marker segments of the JPEG, without what lies between them.
    segments: Vec<u8>,
    /// What the partitions are said to become.
    decoded_bytes: u64,
}

impl Head {
    fn is_bounded(&self, length: u64) -> bool {
        self.decoded_bytes <= length && is_bounded(&self.segments)
    }
}

/// Reads the head of a stored JPEG, every length of which must be that of bytes that are there.
fn head_of(stored: &[u8], length: u64) -> Option<Head> {
    let (fixed, rest) = stored.split_at_checked(FIXED_HEAD_BYTES)?;
    let jpeg_bytes = u32::from_le_bytes(fixed[20..24].try_into().ok()?);
    if u64::from(jpeg_bytes) != length {
        return None;
    }
    let deflated_bytes = u32::from_le_bytes(fixed[24..28].try_into().ok()?);
    let deflated = rest.get(..usize::try_from(deflated_bytes).ok()?)?;
    // Nearly all of it is taken from the JPEG as it stands there.
    let bytes_max = length.saturating_mul(2).saturating_add(HEAD_SLACK_BYTES);
    let mut bytes = Vec::new();
    ZlibDecoder::new(deflated).take(bytes_max.saturating_add(1)).read_to_end(&mut bytes).ok()?;
    if bytes.len() as u64 > bytes_max {
        return None;
    }
    let mut rest = &bytes[..];
    let mut head = Head { segments: Vec::new(), decoded_bytes: 0 };
    while !rest.is_empty() {
        match take(&mut rest, 3)? {
            b"HDR" => head.segments.extend_from_slice(take_counted(&mut rest, 1)?),
            b"P0D" => drop(take(&mut rest, 1)?),
            b"CRS" => drop(take_counted(&mut rest, 4)?),
            b"FRS" | b"GRB" => drop(take_counted(&mut rest, 1)?),
            b"EEE" => drop(take(&mut rest, 28)?),
            [b'H', b'H', partitions] => {
                for partition in take(&mut rest, usize::from(*partitions) * 16)?.chunks(16) {
                    let bytes = u32::from_le_bytes(partition[2..6].try_into().ok()?);
                    head.decoded_bytes = head.decoded_bytes.saturating_add(u64::from(bytes));
                }
            }
            _ => return None,
        }
    }
    Some(head)
}

fn take<'a>(rest: &mut &'a [u8], bytes: usize) -> Option<&'a [u8]> {
    rest.split_off(..bytes)
}

/// Takes as many items as the number before them says.
fn take_counted<'a>(rest: &mut &'a [u8], item_bytes: usize) -> Option<&'a [u8]> {
    let count = u32::from_le_bytes(take(rest, 4)?.try_into().ok()?);
    take(rest, usize::try_from(count).ok()?.checked_mul(item_bytes)?)
}

/// Whether the coefficients of a JPEG fit into the memory that is allowed for them, and its scans into the time.
/// It looks at marker segments, from behind the start of the picture to its end.
fn is_bounded(mut segments: &[u8]) -> bool {
    let (mut coefficient_bytes, mut scans) = (0_u64, 0);
    while let Some((marker, body, rest)) = next_segment(segments) {
        match marker {
            0xda => scans += 1,
            0xc4 | 0xc8 | 0xcc => {}
            0xc0..=0xcf => {
                let Some(bytes) = coefficient_bytes_of(body) else { return false };
                coefficient_bytes = coefficient_bytes.saturating_add(bytes);
            }
            _ => {}
        }
        segments = rest;
    }
    coefficient_bytes <= COEFFICIENT_BYTES_MAX && scans <= SCANS_MAX
}

/// The next marker with its segment, and what follows; `None` at the end of the picture, or of what is there of it.
fn next_segment(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let is_marker =
        |pair: &[u8]| pair[0] == 0xff && !matches!(pair[1], 0x00 | 0x01 | 0xd0..=0xd8 | 0xff);
    let at = bytes.windows(2).position(is_marker)?;
    let (marker, rest) = (bytes[at + 1], &bytes[at + 2..]);
    if marker == EOI {
        return None;
    }
    let length = usize::from(u16::from_be_bytes(*rest.first_chunk()?));
    Some((marker, rest.get(2..length)?, &rest[length..]))
}

/// Memory for the coefficients of a frame: two bytes each, in whole units of blocks.
fn coefficient_bytes_of(frame: &[u8]) -> Option<u64> {
    let (head, components) = frame.split_at_checked(6)?;
    let side = |at: usize| u64::from(u16::from_be_bytes([head[at], head[at + 1]]));
    let (height, width) = (side(1), side(3));
    let factors = components.chunks_exact(3).take(usize::from(head[5]));
    let factors: Vec<(u64, u64)> = factors
        .map(|component| (u64::from(component[1] >> 4), u64::from(component[1] & 15)))
        .collect();
    let across = factors.iter().map(|(across, _)| *across).max()?.max(1);
    let down = factors.iter().map(|(_, down)| *down).max()?.max(1);
    let units = width.div_ceil(8 * across) * height.div_ceil(8 * down);
    let blocks: u64 = factors.iter().map(|(across, down)| across * down).sum();
    Some(units * blocks * 128)
}

/// As Lepton's own programs have it.
const JPEG_BYTES_MAX: u64 = 128 << 20;
const SIDE_MAX: u32 = 16_386;
/// 89 megapixels of three colours in full resolution, 179 where colour has half of it. A progressive picture takes
/// that twice while it is unpacked.
const COEFFICIENT_BYTES_MAX: u64 = 512 << 20;
/// Ten are usual; each goes over the whole picture.
const SCANS_MAX: u32 = 128;
/// How a stored JPEG begins.
pub(super) const START: [u8; 2] = [0xcf, 0x84];
const FIXED_HEAD_BYTES: usize = 28;
/// Counts of restarts, partitions and the like.
const HEAD_SLACK_BYTES: u64 = 64 << 10;
/// Start of a JPEG.
const SOI: [u8; 2] = [0xff, 0xd8];
/// Marker at the end of a JPEG.
const EOI: u8 = 0xd9;
