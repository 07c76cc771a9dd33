//! What a file is, told by its first bytes and never by its name.

use image::ImageFormat;

/// Whether the file begins like a picture that [`decode`](super::decode) reads: JPEG, PNG, WebP, GIF, BMP, TIFF.
pub fn has_picture_signature(start: &[u8]) -> bool {
    picture_format(start).is_some()
}

/// The media type the first bytes speak of, in lower case; `application/octet-stream` if none.
///
/// Give it [`START_BYTES`], or the whole file if that is shorter.
pub fn media_type(start: &[u8]) -> &'static str {
    let start = &start[..start.len().min(START_BYTES)];
    let holds = |needle: &[u8]| start.windows(needle.len()).any(|window| window == needle);
    if let Some(format) = picture_format(start) {
        return format.to_mime_type();
    }
    for &(offset, magic, media_type) in SIGNATURES {
        if start.get(offset..).is_some_and(|rest| rest.starts_with(magic)) {
            // Three containers say more a little further in.
            return match media_type {
                "application/zip" => {
                    let found = ZIP_CONTENTS.iter().find(|(needle, _)| holds(needle));
                    found.map_or(media_type, |(_, inner)| inner)
                }
                "video/x-matroska" if holds(b"webm") => "video/webm",
                "audio/ogg" if holds(b"theora") => "video/ogg",
                _ => media_type,
            };
        }
    }
    match start {
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'A', b'V', b'E', ..] => "audio/wav",
        [b'R', b'I', b'F', b'F', _, _, _, _, b'A', b'V', b'I', b' ', ..] => "video/x-msvideo",
        // MPEG audio frame: sync, layer III, a bit rate and a sample rate that exist.
        [0xFF, b, c, ..] if b & 0xE6 == 0xE2 && c & 0xF0 != 0xF0 && c & 0x0C != 0x0C => {
            "audio/mpeg"
        }
        [0xFF, b, ..] if b & 0xF6 == 0xF0 => "audio/aac",
        [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] => "text/plain", // UTF-16 with its byte order mark
        _ => text_type(start).unwrap_or("application/octet-stream"),
    }
}

/// Text is UTF-8 without the control characters that only binary files hold.
fn text_type(start: &[u8]) -> Option<&'static str> {
    let text = match str::from_utf8(start) {
        Ok(text) => text,
        // The last character may be cut off, as these are only the first bytes.
        Err(error) if error.error_len().is_none() => {
            str::from_utf8(&start[..error.valid_up_to()]).ok()?
        }
        Err(_) => return None,
    };
    let binary =
        |c: char| c.is_ascii_control() && !matches!(c, '\t' | '\n' | '\r' | '\x0C' | '\x1B');
    if text.is_empty() || text.contains(binary) {
        return None;
    }
    let text = text.trim_start_matches('\u{FEFF}').trim_start().to_ascii_lowercase();
    Some(match text {
        t if t.starts_with("<!doctype html") || t.starts_with("<html") => "text/html",
        t if t.starts_with("<svg") => "image/svg+xml",
        t if t.starts_with("<?xml") && t.contains("<svg") => "image/svg+xml",
        t if t.starts_with("<?xml") => "text/xml",
        _ => "text/plain",
    })
}

/// Which picture that a decoder of ours reads the file begins like.
pub(super) fn picture_format(start: &[u8]) -> Option<ImageFormat> {
    match start {
        [0xFF, 0xD8, 0xFF, ..] => Some(ImageFormat::Jpeg),
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1A, b'\n', ..] => Some(ImageFormat::Png),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some(ImageFormat::Gif),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some(ImageFormat::WebP),
        // "BM" alone also begins texts: the size of one of the known headers must follow.
        [b'B', b'M', _, _, _, _, _, _, _, _, _, _, _, _, size, 0, 0, 0, ..] => {
            [12, 16, 40, 52, 56, 64, 108, 124].contains(size).then_some(ImageFormat::Bmp)
        }
        // A Canon raw file is a TIFF only on the outside.
        [b'I', b'I', 42, 0, _, _, _, _, b'C', b'R', ..] => None,
        [b'I', b'I', 42 | 43, 0, ..] | [b'M', b'M', 0, 42 | 43, ..] => Some(ImageFormat::Tiff),
        _ => None,
    }
}

/// How much of a file's beginning [`media_type`] looks at: Office documents name their parts late.
pub const START_BYTES: usize = 4096;

/// Offset, bytes, media type. The first that fits wins.
#[rustfmt::skip]
const SIGNATURES: &[(usize, &[u8], &str)] = &[
    (0, b"%PDF-", "application/pdf"),
    (0, b"{\\rtf", "application/rtf"),
    (0, b"PK\x03\x04", "application/zip"),
    (0, b"PK\x05\x06", "application/zip"),
    (0, b"7z\xBC\xAF\x27\x1C", "application/x-7z-compressed"),
    (0, b"Rar!\x1A\x07", "application/vnd.rar"),
    (0, b"\x1F\x8B\x08", "application/gzip"),
    (0, b"\x28\xB5\x2F\xFD", "application/zstd"),
    (257, b"ustar", "application/x-tar"),
    (0, b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1", "application/x-ole-storage"),
    (4, b"ftypavi", "image/avif"),
    (4, b"ftyphei", "image/heic"),
    (4, b"ftypM4A", "audio/mp4"),
    (4, b"ftypqt  ", "video/quicktime"),
    (4, b"ftyp", "video/mp4"),
    (0, b"\x1A\x45\xDF\xA3", "video/x-matroska"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"OggS", "audio/ogg"),
    (0, b"fLaC", "audio/flac"),
    (0, b"MThd", "audio/midi"),
    (8, b"AIFF", "audio/aiff"),
    (0, b"8BPS", "image/vnd.adobe.photoshop"),
    (0, b"II*\0", "image/x-canon-cr2"),
    (0, b"\xFF\x0A", "image/jxl"),
    (0, b"\0\0\0\x0CJXL ", "image/jxl"),
    (0, b"\0\0\x01\0", "image/x-icon"),
    (0, b"wOF2", "font/woff2"),
    (0, b"OTTO", "font/otf"),
    (0, b"\0\x01\0\0\0", "font/ttf"),
];

/// Names inside a ZIP's first entries, and what the ZIP is then.
#[rustfmt::skip]
const ZIP_CONTENTS: &[(&[u8], &str)] = &[
    (b"mimetypeapplication/epub+zip", "application/epub+zip"),
    (b"opendocument.text", "application/vnd.oasis.opendocument.text"),
    (b"word/", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    (b"xl/", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    (b"ppt/", "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types_are_told_by_content() {
        let docx =
            [b"PK\x03\x04".as_slice(), &[0; 26], b"[Content_Types].xml word/document"].concat();
        for (start, expected) in [
            (b"plain words, caf\xC3\xA9 \xE2\x82".as_slice(), "text/plain"),
            (b"BM is how this text begins", "text/plain"),
            (b"<?xml version='1.0'?>\n<svg/>", "image/svg+xml"),
            (b"  <!DOCTYPE html>", "text/html"),
            (b"PK\x03\x04 whatever", "application/zip"),
            (&docx, "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
            (b"%PDF-1.7\n", "application/pdf"),
            (b"\0\0\0\x18ftypisom\0\0\0\0", "video/mp4"),
            (b"\0\0\0\x18ftypheic\0\0\0\0", "image/heic"),
            (b"ID3\x04\0", "audio/mpeg"),
            (b"\xFF\xFB\x90\x64", "audio/mpeg"),
            (b"RIFF\0\0\0\0WAVEfmt ", "audio/wav"),
            (b"\x1A\x45\xDF\xA3....webm", "video/webm"),
            (b"\0\x01\x02\x03\xFF", "application/octet-stream"),
            (b"", "application/octet-stream"),
        ] {
            assert_eq!(media_type(start), expected, "{start:?}");
            assert!(!has_picture_signature(start));
        }
    }
}
