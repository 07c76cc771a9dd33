//! From untrusted bytes to an upright picture in RGB, within limits.
//!
//! Everything here goes by content, never by name. What a work means, and whether it resembles
//! another, is not known here.
//!
//! # What the limits hold
//!
//! * **Pixels**: the size in the header is checked before any pixel memory is asked for.
//! * **Memory**: output, conversion and rotation are counted exactly. Of the decoders, GIF, TIFF and
//!   PNG keep to the allowance they are given. JPEG and WebP know no allowance, so what they
//!   need is computed from the header and checked up front; lossy WebP may take 16 MiB beyond it, on the
//!   word of a length of 24 bits. The file's own bytes are not counted.
//! * **Time**: the decoders read through a reader that fails once the time is up. That
//!   stops PNG, GIF, BMP, TIFF and lossless WebP wherever they read. JPEG and lossy WebP take in all
//!   their bytes first and cannot be stopped afterwards: their work is bounded by the pixels, for
//!   JPEG times the scans, which are counted first (see [`Limits::jpeg_scans_max`]).
//! * **Panics**: a panic inside a decoder becomes an error about this one file. The process's panic
//!   hook is left alone, as it belongs to the program: its message on stderr is worth a bug report.
//!   Needs `panic = "unwind"`, the default. Running out of stack or memory cannot be caught.

mod baseline;
mod kind;
mod luma;
mod structure;

use std::io::{self, BufRead, Cursor, Read, Seek, SeekFrom};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use image::codecs::jpeg::JpegEncoder;
use image::metadata::Orientation;
use image::{
    ColorType, ImageBuffer, ImageDecoder, ImageError, ImageFormat, ImageReader, Rgb, imageops,
};

use timemark_vision::Picture;

use kind::picture_format;
pub use kind::{START_BYTES, has_picture_signature, media_type};
pub use luma::luma;
use structure::{JpegOutline, tiff_directory_is_bounded, webp_container};

/// What one decode may cost; see the head of this file for what each limit holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Width times height, at most.
    pub pixels_max: u64,
    /// Memory for the decoder's buffers and the picture together, at most.
    pub decoded_bytes_max: u64,
    /// Wall-clock seconds after which a decoder gets no more bytes.
    pub seconds_max: u64,
    /// Scans in a JPEG, at most: each is a pass over the whole picture, however few bytes it has.
    pub jpeg_scans_max: u64,
}

impl Default for Limits {
    /// Room for a 100-megapixel photograph (11,648 × 8,736), two at a time in 1.5 GiB.
    fn default() -> Limits {
        Limits {
            // 128 Mi pixels: × 3 bytes × 2, the picture and its rotated copy, = 768 MiB.
            pixels_max: 128 << 20,
            decoded_bytes_max: 768 << 20,
            seconds_max: 30,
            // libjpeg writes 10 scans, mozjpeg up to 16; hand-made scripts rarely exceed 30.
            jpeg_scans_max: 40,
        }
    }
}

/// Why there is no picture.
#[derive(Debug, thiserror::Error)]
pub enum MediaError {
    /// The first bytes are those of no picture format we read: nothing is wrong with the file.
    #[error("not a picture in a format we read")]
    NotAPicture,
    /// The file asks for more than the limits grant: a policy, not a fault of the file.
    #[error("too large: {reason}")]
    TooLarge {
        /// Which limit, and by how much.
        reason: String,
    },
    /// The time was up before the picture was complete.
    #[error("decoding took longer than {seconds_max} s")]
    TooSlow {
        /// The limit.
        seconds_max: u64,
    },
    /// Begins like a picture, but is damaged, cut short, or of a kind the decoder does not know.
    #[error("cannot decode {kind}: {reason}")]
    Undecodable {
        /// The media type its first bytes claim.
        kind: &'static str,
        /// What the decoder said.
        reason: String,
    },
    /// A picture could not be written as JPEG.
    #[error("cannot write a JPEG: {reason}")]
    Unencodable {
        /// What the encoder said.
        reason: String,
    },
}

/// Decodes a JPEG, PNG, WebP, GIF, BMP or TIFF; of an animation the first frame.
///
/// A file cut short is an error, never a half-grey picture. Colour profiles are not applied.
pub fn decode(bytes: &[u8], limits: &Limits) -> Result<Picture, MediaError> {
    let format = picture_format(bytes).ok_or(MediaError::NotAPicture)?;
    let kind = format.to_mime_type();
    let deadline = Instant::now().checked_add(Duration::from_secs(limits.seconds_max));
    match contained(kind, || decode_as(format, bytes, deadline, limits)) {
        Err(MediaError::Undecodable { .. }) if deadline.is_some_and(|d| Instant::now() >= d) => {
            Err(MediaError::TooSlow { seconds_max: limits.seconds_max })
        }
        result => result,
    }
}

/// Runs a decode so that a panic in it costs this file only, not the run over all the others.
fn contained<T>(
    kind: &'static str,
    decode: impl FnOnce() -> Result<T, MediaError>,
) -> Result<T, MediaError> {
    // Unwind safety: what the closure had in hand is dropped, never looked at again.
    catch_unwind(AssertUnwindSafe(decode)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().copied();
        let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        let reason = format!("the decoder failed: {}", text.unwrap_or("no message"));
        Err(MediaError::Undecodable { kind, reason })
    })
}

/// A small JPEG of the picture for reports: no side longer than `side_max` (16 at least, and never
/// enlarged).
pub fn thumbnail_jpeg(picture: &Picture, side_max: u32) -> Result<Vec<u8>, MediaError> {
    let unencodable = |reason: String| MediaError::Unencodable { reason };
    let (width, height) = (picture.width, picture.height);
    let view = ImageBuffer::<Rgb<u8>, &[u8]>::from_raw(width, height, &picture.rgb)
        .filter(|_| width > 0 && height > 0)
        .ok_or_else(|| unencodable(format!("the bytes are not {width} × {height} pixels")))?;
    // Below 16, the sum over one thumbnail pixel of a large picture would leave 32 bits.
    let side_max = side_max.clamp(16, u32::from(u16::MAX));
    let longer = width.max(height);
    let scaled = |side: u32| {
        let side = u64::from(side) * u64::from(side_max.min(longer)) / u64::from(longer);
        u32::try_from(side.max(1)).unwrap_or(side_max)
    };
    let small = imageops::thumbnail(&view, scaled(width), scaled(height));
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, THUMBNAIL_QUALITY)
        .encode_image(&small)
        .map_err(|error| unencodable(error.to_string()))?;
    Ok(jpeg)
}

/// The decode itself, in the order things happen.
fn decode_as(
    format: ImageFormat,
    bytes: &[u8],
    deadline: Option<Instant>,
    limits: &Limits,
) -> Result<Picture, MediaError> {
    let kind = format.to_mime_type();
    let undecodable = |reason: String| MediaError::Undecodable { kind, reason };
    let failed = |error: ImageError| match error {
        ImageError::Limits(limit) => MediaError::TooLarge { reason: limit.to_string() },
        other => undecodable(other.to_string().trim_end().to_owned()),
    };
    let jpeg = if format == ImageFormat::Jpeg { JpegOutline::of(bytes) } else { None };
    let bytes = match format {
        ImageFormat::WebP => {
            webp_container(bytes).ok_or_else(|| undecodable(CUT_SHORT.to_owned()))?
        }
        _ => bytes,
    };
    if format == ImageFormat::Tiff && !tiff_directory_is_bounded(bytes) {
        return Err(undecodable(
            "its directory asks for a compression or a length that we do not read".to_owned(),
        ));
    }

    let mut allowance = image::Limits::no_limits();
    allowance.max_alloc = Some(limits.decoded_bytes_max);
    let reader = DeadlineReader { bytes: Cursor::new(bytes), deadline };
    let mut reader = ImageReader::with_format(reader, format);
    reader.limits(allowance.clone());
    let mut decoder = reader.into_decoder().map_err(failed)?;

    let (width, height) = decoder.dimensions();
    let pixels = u64::from(width) * u64::from(height);
    if pixels > limits.pixels_max {
        let max = limits.pixels_max;
        let reason = format!("{width} × {height} pixels are more than {max}");
        return Err(MediaError::TooLarge { reason });
    }
    if pixels == 0 {
        return Err(undecodable("it has no pixels".to_owned()));
    }
    let orientation = orientation(&mut decoder, format, bytes);
    let color = decoder.color_type();
    let raw_bytes = decoder.total_bytes();
    let decoder_bytes = match format {
        ImageFormat::Jpeg => jpeg.as_ref().map_or(0, |outline| outline.coefficient_bytes),
        // A frame and a canvas in RGBA if animated; else a frame in RGBA, or in YUV and alpha.
        ImageFormat::WebP if &bytes[12..16] == b"VP8X" && bytes[20] & 2 != 0 => 8 * pixels,
        ImageFormat::WebP => 4 * pixels,
        _ => 0,
    };
    let widened_bytes = if color.bytes_per_pixel() < 3 { 3 * pixels } else { 0 };
    let rotated_bytes = if orientation == Orientation::NoTransforms { 0 } else { 6 * pixels };
    let needed = rotated_bytes.max(raw_bytes.saturating_add(decoder_bytes.max(widened_bytes)));
    if needed > limits.decoded_bytes_max {
        let max = limits.decoded_bytes_max;
        let reason = format!("{width} × {height} pixels of this kind take {needed} bytes of {max}");
        return Err(MediaError::TooLarge { reason });
    }
    if let Some(outline) = jpeg {
        if outline.scans > limits.jpeg_scans_max {
            let reason = format!("{} scans are more than {}", outline.scans, limits.jpeg_scans_max);
            return Err(MediaError::TooLarge { reason });
        }
        // The decoder would fill what is missing with grey and call it a picture.
        if !outline.complete {
            return Err(undecodable(CUT_SHORT.to_owned()));
        }
    }

    // What is left may go to the buffers of a decoder that keeps to its allowance.
    allowance.max_alloc = Some(limits.decoded_bytes_max - raw_bytes);
    decoder.set_limits(allowance).map_err(failed)?;
    let mut raw = vec![0; usize::try_from(raw_bytes).map_err(|e| undecodable(e.to_string()))?];
    decoder.read_image(&mut raw).map_err(failed)?;
    let rgb =
        to_rgb8(raw, color).ok_or_else(|| undecodable(format!("pixels of kind {color:?}")))?;
    Ok(turned(Picture { width, height, rgb }, orientation))
}

fn turned(picture: Picture, orientation: Orientation) -> Picture {
    let Picture { width, height, rgb } = picture;
    let (width, height, rgb) = turned_pixels::<3>(width, height, rgb, orientation);
    Picture { width, height, rgb }
}

/// Turns pixels of `N` bytes upright, tile by tile: a plain loop would miss the cache at every pixel.
fn turned_pixels<const N: usize>(
    width: u32,
    height: u32,
    pixels: Vec<u8>,
    orientation: Orientation,
) -> (u32, u32, Vec<u8>) {
    let turn = orientation.to_exif();
    if turn == 1 {
        return (width, height, pixels);
    }
    let (from_width, from_height) = (width as usize, height as usize);
    let (to_width, to_height) =
        if turn >= 5 { (from_height, from_width) } else { (from_width, from_height) };
    let mut turned = vec![0; pixels.len()];
    for tile_y in (0..to_height).step_by(TILE_SIDE) {
        for tile_x in (0..to_width).step_by(TILE_SIDE) {
            for y in tile_y..to_height.min(tile_y + TILE_SIDE) {
                for x in tile_x..to_width.min(tile_x + TILE_SIDE) {
                    let (mut u, mut v) = if turn >= 5 { (y, x) } else { (x, y) };
                    if matches!(turn, 2 | 3 | 7 | 8) {
                        u = from_width - 1 - u;
                    }
                    if matches!(turn, 3 | 4 | 6 | 7) {
                        v = from_height - 1 - v;
                    }
                    let (to, from) = (N * (y * to_width + x), N * (v * from_width + u));
                    turned[to..to + N].copy_from_slice(&pixels[from..from + N]);
                }
            }
        }
    }
    if turn >= 5 { (height, width, turned) } else { (width, height, turned) }
}

/// How the picture must be turned; upright if its metadata does not say or cannot be read.
fn orientation(decoder: &mut impl ImageDecoder, format: ImageFormat, bytes: &[u8]) -> Orientation {
    let found = match format {
        // The decoder has read no further than the pixels; the chunk may come after them.
        ImageFormat::Png => png_exif(bytes).and_then(Orientation::from_exif_chunk),
        // Many writers keep the prefix that EXIF has in JPEG.
        ImageFormat::WebP => decoder.exif_metadata().ok().flatten().and_then(|exif| {
            Orientation::from_exif_chunk(exif.strip_prefix(b"Exif\0\0").unwrap_or(&exif))
        }),
        _ => decoder.orientation().ok(),
    };
    found.unwrap_or(Orientation::NoTransforms)
}

fn png_exif(bytes: &[u8]) -> Option<&[u8]> {
    let mut rest = bytes.get(8..)?;
    loop {
        let length = usize::try_from(u32::from_be_bytes(*rest.first_chunk()?)).ok()?;
        let chunk = rest.get(4..)?.get(..length.checked_add(4)?)?;
        if let Some(exif) = chunk.strip_prefix(b"eXIf") {
            return Some(exif);
        }
        rest = rest.get(length + 12..)?;
    }
}

/// Converts in place where a pixel is at least as wide as RGB, so 16-bit pictures cost no copy.
fn to_rgb8(raw: Vec<u8>, color: ColorType) -> Option<Vec<u8>> {
    let over_white = |v: u8, a: u8| -> u8 {
        let sum = u32::from(v) * u32::from(a) + 255 * (255 - u32::from(a));
        ((sum + 127) / 255) as u8
    };
    let deep =
        |a: u8, b: u8| ((u32::from(u16::from_ne_bytes([a, b])) * 255 + 32_767) / 65_535) as u8;
    let float = |at: usize, p: &[u8]| -> u8 {
        let value = p[at..].first_chunk::<4>().map_or(0.0, |bytes| f32::from_ne_bytes(*bytes));
        (value.clamp(0.0, 1.0) * 255.0).round() as u8
    };
    Some(match color {
        ColorType::Rgb8 => raw,
        ColorType::L8 => widen(&raw, |[v]| [v; 3]),
        ColorType::La8 => widen(&raw, |[v, a]| [over_white(v, a); 3]),
        ColorType::L16 => widen(&raw, |[a, b]| [deep(a, b); 3]),
        ColorType::Rgba8 => narrow(raw, |[r, g, b, a]| [r, g, b].map(|v| over_white(v, a))),
        ColorType::La16 => narrow(raw, |[a, b, c, d]| [over_white(deep(a, b), deep(c, d)); 3]),
        ColorType::Rgb16 => narrow(raw, |[a, b, c, d, e, f]| [deep(a, b), deep(c, d), deep(e, f)]),
        ColorType::Rgba16 => narrow(raw, |[a, b, c, d, e, f, g, h]| {
            [deep(a, b), deep(c, d), deep(e, f)].map(|v| over_white(v, deep(g, h)))
        }),
        ColorType::Rgb32F => narrow(raw, |p: [u8; 12]| [0, 4, 8].map(|at| float(at, &p))),
        ColorType::Rgba32F => {
            narrow(raw, |p: [u8; 16]| [0, 4, 8].map(|at| over_white(float(at, &p), float(12, &p))))
        }
        _ => return None,
    })
}

fn widen<const N: usize>(raw: &[u8], rgb: impl Fn([u8; N]) -> [u8; 3]) -> Vec<u8> {
    let pixels = raw.as_chunks::<N>().0;
    let mut wide = vec![0; pixels.len() * 3];
    for (to, from) in wide.as_chunks_mut::<3>().0.iter_mut().zip(pixels) {
        *to = rgb(*from);
    }
    wide
}

fn narrow<const N: usize>(mut raw: Vec<u8>, rgb: impl Fn([u8; N]) -> [u8; 3]) -> Vec<u8> {
    let pixels = raw.len() / N;
    for pixel in 0..pixels {
        // The written bytes end before the next pixel to be read, as N is 4 or more.
        if let Some(from) = raw[pixel * N..].first_chunk::<N>() {
            let to = rgb(*from);
            raw[pixel * 3..pixel * 3 + 3].copy_from_slice(&to);
        }
    }
    raw.truncate(pixels * 3);
    raw.shrink_to_fit();
    raw
}

/// Hands out bytes until the deadline, a piece at a time so that the clock is looked at often.
struct DeadlineReader<'a> {
    bytes: Cursor<&'a [u8]>,
    deadline: Option<Instant>,
}

impl DeadlineReader<'_> {
    fn check(&self) -> io::Result<()> {
        match self.deadline {
            Some(deadline) if Instant::now() >= deadline => Err(io::ErrorKind::TimedOut.into()),
            _ => Ok(()),
        }
    }
}

impl Read for DeadlineReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.check()?;
        self.bytes.read(buffer)
    }
}

impl BufRead for DeadlineReader<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.check()?;
        let rest = self.bytes.fill_buf()?;
        Ok(&rest[..rest.len().min(PIECE_BYTES)])
    }

    fn consume(&mut self, amount: usize) {
        self.bytes.consume(amount);
    }
}

impl Seek for DeadlineReader<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.bytes.seek(to)
    }
}

/// Longest picture file that is read into memory to be decoded.
pub const FILE_BYTES_MAX: u64 = 256 << 20;

/// Bytes a decoder gets at once: small enough to look at the clock many times a second.
const PIECE_BYTES: usize = 64 << 10;

const CUT_SHORT: &str = "the file is cut short: it ends before the picture does";

const TILE_SIDE: usize = 32;

const THUMBNAIL_QUALITY: u8 = 80;

#[cfg(test)]
mod tests {
    use image::{DynamicImage, ImageBuffer, RgbImage, Rgba, RgbaImage};

    use super::*;

    const FORMATS: [ImageFormat; 6] = [
        ImageFormat::Jpeg,
        ImageFormat::Png,
        ImageFormat::WebP,
        ImageFormat::Gif,
        ImageFormat::Bmp,
        ImageFormat::Tiff,
    ];

    /// Red above green on the left, blue above white on the right: every turn shows.
    fn sample() -> RgbImage {
        RgbImage::from_fn(48, 32, |x, y| match (x < 24, y < 16) {
            (true, true) => Rgb([250, 5, 5]),
            (true, false) => Rgb([5, 250, 5]),
            (false, true) => Rgb([5, 5, 250]),
            (false, false) => Rgb([250, 250, 250]),
        })
    }

    fn encoded(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
        let mut file = Cursor::new(Vec::new());
        image.into().write_to(&mut file, format).unwrap();
        file.into_inner()
    }

    fn pixel(picture: &Picture, x: u32, y: u32) -> [u8; 3] {
        let at = 3 * (y * picture.width + x) as usize;
        *picture.rgb[at..].first_chunk().unwrap()
    }

    fn near(a: &[u8], b: &[u8]) -> bool {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.abs_diff(*b) < 16)
    }

    fn reason(file: &[u8]) -> String {
        decode(file, &Limits::default()).unwrap_err().to_string()
    }

    #[test]
    fn every_format_and_odd_sizes() {
        for format in FORMATS {
            for (width, height) in [(48, 32), (1, 1), (1, 10_000), (10_000, 1), (17, 9)] {
                let image = imageops::resize(&sample(), width, height, imageops::Nearest);
                let file = encoded(image.clone(), format);
                assert!(has_picture_signature(&file) && media_type(&file) == format.to_mime_type());
                let picture = decode(&file, &Limits::default()).unwrap();
                assert_eq!((picture.width, picture.height), (width, height), "{format:?}");
                let exact = format != ImageFormat::Jpeg || (width, height) != (48, 32);
                assert!(exact || near(&picture.rgb, &image), "{format:?}");
            }
        }
    }

    #[test]
    fn all_pixel_kinds_become_rgb() {
        let half = RgbaImage::from_pixel(4, 4, Rgba([200, 100, 0, 51]));
        let grey = DynamicImage::from(half.clone()).to_luma_alpha8();
        let deep = |image: &RgbaImage| DynamicImage::from(image.clone()).into_rgba16();
        let float = ImageBuffer::from_pixel(4, 4, Rgb([0.5f32, 2.0, f32::NAN]));
        let check = |image: DynamicImage, format, expected: [u8; 3]| {
            let picture = decode(&encoded(image, format), &Limits::default()).unwrap();
            assert_eq!((pixel(&picture, 3, 3), picture.rgb.len()), (expected, 48), "{format:?}");
        };
        // 51 is a fifth: 255 - (255 - v) / 5.
        for format in [ImageFormat::Png, ImageFormat::WebP, ImageFormat::Tiff, ImageFormat::Bmp] {
            check(half.clone().into(), format, [244, 224, 204]);
        }
        check(deep(&half).into(), ImageFormat::Png, [244, 224, 204]);
        check(deep(&half).into(), ImageFormat::Tiff, [244, 224, 204]);
        check(DynamicImage::from(deep(&half)).into_rgb16().into(), ImageFormat::Png, [200, 100, 0]);
        let v = grey.get_pixel(0, 0).0[0];
        check(DynamicImage::from(grey.clone()).into_luma8().into(), ImageFormat::Jpeg, [v; 3]);
        check(DynamicImage::from(grey.clone()).into_luma16().into(), ImageFormat::Png, [v; 3]);
        let flat = (u32::from(v) * 51 + 255 * 204 + 127) / 255;
        check(
            DynamicImage::from(grey.clone()).into_luma_alpha16().into(),
            ImageFormat::Png,
            [flat as u8; 3],
        );
        check(grey.into(), ImageFormat::Png, [flat as u8; 3]);
        check(float.into(), ImageFormat::Tiff, [128, 255, 0]);
        let clear = RgbaImage::from_pixel(4, 4, Rgba([9, 9, 9, 0]));
        check(clear.into(), ImageFormat::Gif, [255; 3]);
    }

    /// A TIFF directory with only an orientation, as EXIF wraps it.
    fn exif(orientation: u8) -> Vec<u8> {
        let mut exif = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
        exif.extend([orientation, 0, 0, 0, 0, 0, 0, 0]);
        exif
    }

    #[test]
    fn every_orientation_comes_out_upright() {
        for turn in 1..=8 {
            let mut expected = DynamicImage::from(sample());
            expected.apply_orientation(Orientation::from_exif(turn).unwrap());
            let expected = expected.into_rgb8();
            let check = |file: &[u8]| {
                let picture = decode(file, &Limits::default()).unwrap();
                assert_eq!((picture.width, picture.height), expected.dimensions(), "{turn}");
                assert!(near(&picture.rgb, &expected), "{turn} {}", media_type(file));
            };
            let mut app1 = [b"Exif\0\0".as_slice(), &exif(turn)].concat();
            app1.splice(0..0, [&[0xFF, 0xE1][..], &(app1.len() as u16 + 2).to_be_bytes()].concat());
            let mut jpeg = encoded(sample(), ImageFormat::Jpeg);
            jpeg.splice(2..2, app1);
            check(&jpeg);

            let png = encoded(sample(), ImageFormat::Png);
            let mut chunk = (exif(turn).len() as u32).to_be_bytes().to_vec();
            chunk.extend([b"eXIf".as_slice(), &exif(turn), &[0; 4]].concat());
            let after_pixels = png.len() - 12;
            check(&[&png[..after_pixels], &chunk, &png[after_pixels..]].concat());

            for prefix in [b"".as_slice(), b"Exif\0\0"] {
                let exif = [prefix, &exif(turn)].concat();
                let mut webp = encoded(sample(), ImageFormat::WebP);
                webp.splice(12..12, *b"VP8X\x0A\0\0\0\x08\0\0\0\x2F\0\0\x1F\0\0");
                webp.extend([b"EXIF", &(exif.len() as u32).to_le_bytes()[..], &exif].concat());
                let size = webp.len() as u32 - 8;
                webp[4..8].copy_from_slice(&size.to_le_bytes());
                check(&webp);
            }
        }
    }

    #[test]
    fn a_file_cut_short_is_never_a_half_grey_picture() {
        for format in FORMATS {
            let file = encoded(sample(), format);
            let whole = decode(&file, &Limits::default()).unwrap();
            for end in 0..file.len() {
                match decode(&file[..end], &Limits::default()) {
                    // Only what follows the pixels may be missing.
                    Ok(picture) => assert_eq!(picture, whole, "{format:?} {end}"),
                    Err(MediaError::Undecodable { .. } | MediaError::NotAPicture) => {}
                    Err(other) => panic!("{format:?} {end}: {other}"),
                }
            }
            let trailing = [file, b"\xFF\xD8 anything after the end".to_vec()].concat();
            assert_eq!(decode(&trailing, &Limits::default()).unwrap(), whole, "{format:?}");
        }
    }

    #[test]
    fn a_header_that_claims_too_much_is_refused_at_once() {
        let claim = |format, patches: &[(usize, &[u8])]| {
            let mut file = encoded(sample(), format);
            for (at, bytes) in patches {
                file[*at..at + bytes.len()].copy_from_slice(bytes);
            }
            let started = Instant::now();
            let result = decode(&file, &Limits::default());
            assert!(matches!(result, Err(MediaError::TooLarge { .. })), "{format:?} {result:?}");
            assert!(started.elapsed() < Duration::from_secs(1), "{format:?}");
        };
        // 100,000 × 100,000, with the checksum of such a header.
        claim(ImageFormat::Png, &[(16, b"\0\x01\x86\xA0\0\x01\x86\xA0"), (29, &png_crc())]);
        claim(ImageFormat::Gif, &[(6, &[0xFF; 4])]);
        claim(ImageFormat::Bmp, &[(18, b"\x60\xEA\0\0\x60\xEA\0\0")]);
        claim(ImageFormat::WebP, &[(21, b"\xFE\xBF\xFF\x0F")]); // 16,383 × 16,383
        let jpeg = encoded(sample(), ImageFormat::Jpeg);
        let frame = jpeg.windows(2).position(|w| w == [0xFF, 0xC0]).unwrap();
        claim(ImageFormat::Jpeg, &[(frame + 5, &[0xFF; 4])]);
        let tiff = encoded(sample(), ImageFormat::Tiff);
        // Width, height and rows in a strip: 65,536 each.
        let long = |tag| tiff.windows(4).rposition(|w| w == [tag, 1, 4, 0]).unwrap() + 8;
        let huge: &[u8] = &[0, 0, 1, 0];
        claim(ImageFormat::Tiff, &[(long(0), huge), (long(1), huge), (long(0x16), huge)]);
    }

    fn png_crc() -> [u8; 4] {
        let data = b"IHDR\0\x01\x86\xA0\0\x01\x86\xA0\x08\x02\0\0\0";
        let crc = data.iter().fold(u32::MAX, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte), |c, _| {
                (c >> 1) ^ (0xEDB8_8320 & (c & 1).wrapping_neg())
            })
        });
        (!crc).to_be_bytes()
    }

    #[test]
    fn scans_memory_time_and_lengths_are_limited() {
        let mut jpeg = encoded(sample(), ImageFormat::Jpeg);
        let scan = jpeg.windows(2).position(|w| w == [0xFF, 0xDA]).unwrap();
        let again = jpeg[scan..jpeg.len() - 2].repeat(50);
        jpeg.splice(scan..scan, again);
        assert_eq!(reason(&jpeg), "too large: 51 scans are more than 40");

        let png = encoded(sample(), ImageFormat::Png);
        let tight = Limits { decoded_bytes_max: 48 * 32 * 3 - 1, ..Limits::default() };
        assert!(matches!(decode(&png, &tight), Err(MediaError::TooLarge { .. })));
        let hasty = Limits { seconds_max: 0, ..Limits::default() };
        assert!(matches!(decode(&png, &hasty), Err(MediaError::TooSlow { seconds_max: 0 })));

        // A metadata chunk of 4 GB: the decoder would ask for them.
        let mut webp = encoded(sample(), ImageFormat::WebP);
        webp.splice(12..12, *b"VP8X\x0A\0\0\0\x08\0\0\0\x2F\0\0\x1F\0\0");
        webp.extend(b"EXIF\xF0\xFF\xFF\xFF");
        let size = webp.len() as u32 - 8;
        webp[4..8].copy_from_slice(&size.to_le_bytes());
        assert!(reason(&webp).contains("cut short"));

        // JPEG inside TIFF: each strip could claim 16,384 × 16,384 pixels.
        let mut tiff = encoded(sample(), ImageFormat::Tiff);
        let tag = tiff.windows(4).rposition(|w| w == [3, 1, 3, 0]).unwrap();
        tiff[tag + 8] = 7;
        assert!(reason(&tiff).contains("compression"));
    }

    #[test]
    fn damaged_files_never_panic_out() {
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        let mut random = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % below as u64) as usize
        };
        let limits = Limits { pixels_max: 1 << 20, seconds_max: 5, ..Limits::default() };
        for format in FORMATS {
            let file = encoded(sample(), format);
            for _ in 0..2_000 {
                let mut damaged = file.clone();
                for _ in 0..=random(4) {
                    // Headers are where a flipped bit does most.
                    let within = if random(2) == 0 { 64.min(file.len()) } else { file.len() };
                    damaged[random(within)] ^= 1 << random(8);
                }
                if let Ok(picture) = decode(&damaged, &limits) {
                    let pixels = u64::from(picture.width) * u64::from(picture.height);
                    assert!(pixels <= 1 << 20 && picture.rgb.len() as u64 == 3 * pixels);
                }
            }
        }
    }

    #[test]
    fn a_panic_in_a_decoder_costs_one_file() {
        // image-webp 0.2.4 does this to about one damaged file in ten thousand.
        let result: Result<Picture, _> =
            contained("image/webp", || panic!("index {} out of range", 203));
        let message = "cannot decode image/webp: the decoder failed: index 203 out of range";
        assert_eq!(result.unwrap_err().to_string(), message);
    }

    #[test]
    fn a_thumbnail_fits_and_is_never_enlarged() {
        for (width, height, expected) in
            [(48, 32, (24, 16)), (1, 10_000, (1, 24)), (10_000, 7, (24, 1)), (9, 5, (9, 5))]
        {
            let rgb = vec![200; (width * height * 3) as usize];
            let jpeg = thumbnail_jpeg(&Picture { width, height, rgb }, 24).unwrap();
            let small = decode(&jpeg, &Limits::default()).unwrap();
            assert_eq!((small.width, small.height), expected);
            assert!(near(&small.rgb, &vec![200; small.rgb.len()]));
        }
        let wrong = Picture { width: 2, height: 2, rgb: vec![0; 3] };
        assert!(matches!(thumbnail_jpeg(&wrong, 24), Err(MediaError::Unencodable { .. })));
    }
    #[test]
    fn what_is_no_picture_is_not_decoded() {
        for start in [&b""[..], b"plain words", b"%PDF-1.7\n", b"\0\0\0\x18ftypheic\0\0\0\0"] {
            let result = decode(start, &Limits::default());
            assert!(matches!(result, Err(MediaError::NotAPicture)));
        }
    }
}
