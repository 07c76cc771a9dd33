//! What a picture file says of itself, looked at before a decoder believes it: the decoders inside `image`
//! allot memory, and in JPEG paint over what is missing, on a file's mere word.

/// What a walk over a JPEG's markers tells before decoding: the decoder inside `image` counts scans
/// late, allots coefficients unasked, and paints what is missing grey without a word.
pub(super) struct JpegOutline {
    /// Passes over the whole picture.
    pub scans: u64,
    /// Memory for all coefficients, needed if they arrive in several scans.
    pub coefficient_bytes: u64,
    /// The end marker is there. What follows it (a film, another picture) is none of ours.
    pub complete: bool,
}

impl JpegOutline {
    pub fn of(bytes: &[u8]) -> Option<JpegOutline> {
        let mut outline = JpegOutline { scans: 0, coefficient_bytes: 0, complete: false };
        let (mut frame_bytes, mut components, mut progressive) = (0, 0, false);
        let mut rest = bytes.get(2..)?;
        // Inside a scan, 0xFF is always followed by 0 or a restart marker, so this skips the data.
        while let Some(at) = memchr::memchr(0xFF, rest) {
            rest = &rest[at + 1..];
            let [marker, after @ ..] = rest else { break };
            match marker {
                0xFF => continue,
                0x00 | 0x01 | 0xD0..=0xD8 => rest = after,
                0xD9 => {
                    outline.complete = true;
                    break;
                }
                marker => {
                    let [high, low, ..] = after else { break };
                    let length = usize::from(u16::from_be_bytes([*high, *low]));
                    let Some(segment) = after.get(2..length.max(2)) else { break };
                    match marker {
                        0xC0..=0xCF if ![0xC4, 0xC8, 0xCC].contains(marker) => {
                            progressive |= *marker == 0xC2;
                            components = segment.get(5).copied().unwrap_or(0);
                            frame_bytes = frame_bytes.max(coefficient_bytes(segment));
                        }
                        0xDA => {
                            outline.scans += 1;
                            if progressive || segment.first() < Some(&components) {
                                outline.coefficient_bytes = frame_bytes;
                            }
                        }
                        _ => {}
                    }
                    rest = &after[length.max(2)..];
                }
            }
        }
        Some(outline)
    }
}

/// 64 coefficients of two bytes for every block of a frame, counted as the decoder pads them.
fn coefficient_bytes(frame: &[u8]) -> u64 {
    let [_, h1, h0, w1, w0, _, components @ ..] = frame else { return 0 };
    let sampling = || components.chunks(3).filter_map(|c| c.get(1)).map(|s| (s >> 4, s & 15));
    let across = u64::from(sampling().map(|s| s.0).max().unwrap_or(1).max(1));
    let down = u64::from(sampling().map(|s| s.1).max().unwrap_or(1).max(1));
    let units = u64::from(u16::from_be_bytes([*w1, *w0])).div_ceil(8 * across)
        * u64::from(u16::from_be_bytes([*h1, *h0])).div_ceil(8 * down);
    units * sampling().map(|(h, v)| u64::from(h) * u64::from(v)).sum::<u64>() * 64 * 2
}

/// The bytes of the RIFF container, if it and every chunk in it end within the file: the decoder
/// would allot whatever length a metadata chunk claims.
pub(super) fn webp_container(bytes: &[u8]) -> Option<&[u8]> {
    let length = |at: usize| -> Option<usize> {
        let size = u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?);
        usize::try_from(size).ok()?.checked_add(8)
    };
    let end = length(4)?;
    let mut at = 12;
    while at + 8 <= end {
        at = at.checked_add(length(at + 4)?)?;
        if at > end {
            return None;
        }
        at += at % 2;
    }
    bytes.get(..end)
}

/// Whether every compression tag of the first page names a method whose output is as large as the
/// page says. JPEG inside TIFF is left out: the decoder would believe the size in each strip.
pub(super) fn tiff_directory_is_bounded(bytes: &[u8]) -> bool {
    let big_endian = bytes.starts_with(b"M");
    let number = |at: usize, length: usize| -> Option<usize> {
        let field = bytes.get(at..at.checked_add(length)?)?;
        let digit = |sum: usize, byte: &u8| sum.checked_mul(256)?.checked_add(usize::from(*byte));
        if big_endian {
            field.iter().try_fold(0, digit)
        } else {
            field.iter().rev().try_fold(0, digit)
        }
    };
    let check = || -> Option<bool> {
        let is_big = number(2, 2)? == 43;
        let (page, count_length, entry_length) =
            if is_big { (number(8, 8)?, 8, 20) } else { (number(4, 4)?, 2, 12) };
        let first = page.checked_add(count_length)?;
        for index in 0..number(page, count_length)? {
            let entry = first.checked_add(index.checked_mul(entry_length)?)?;
            let count = number(entry + 4, if is_big { 8 } else { 4 })?;
            // The decoder makes room for so many values before it looks for them.
            if count > bytes.len() {
                return Some(false);
            }
            if number(entry, 2)? == 259 {
                let is_short = number(entry + 2, 2)? == 3;
                let value = number(entry + if is_big { 12 } else { 8 }, 2)?;
                if !(is_short && count == 1 && TIFF_COMPRESSIONS.contains(&value)) {
                    return Some(false);
                }
            }
        }
        Some(true)
    };
    // A directory that ends early is the decoder's to refuse.
    check().unwrap_or(true)
}

/// None, CCITT G4, LZW, Deflate (two numbers), PackBits.
const TIFF_COMPRESSIONS: [usize; 6] = [1, 4, 5, 8, 32_946, 32_773];
