//! The brightness of a JPEG without its colours: about half the work of decoding it whole, and enough to tell most
//! pictures apart.

use image::metadata::Orientation;
use timemark_vision::Luma;
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::structure::JpegOutline;
use super::{Limits, contained, turned_pixels};

/// The brightness of a JPEG, upright, within limits. `None` if it is none, or has no brightness of its own, or the
/// limits or the decoder are against it: [`decode`](super::decode) says what is the matter, or does better.
///
/// Codes of it differ from those of the whole picture in a few bits: colours that no screen shows were cut off there.
pub fn luma(bytes: &[u8], limits: &Limits) -> Option<Luma> {
    contained("image/jpeg", || Ok(luma_within(bytes, limits))).ok().flatten()
}

fn luma_within(bytes: &[u8], limits: &Limits) -> Option<Luma> {
    let outline = JpegOutline::of(bytes).filter(|_| bytes.starts_with(&[0xFF, 0xD8, 0xFF]))?;
    if !outline.complete || outline.scans > limits.jpeg_scans_max {
        return None;
    }
    // As `image` has it, so that both read the same files.
    let lenient = DecoderOptions::default().set_strict_mode(false);
    let options = lenient.set_max_width(usize::MAX).set_max_height(usize::MAX);
    let options = options.jpeg_set_out_colorspace(ColorSpace::Luma);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().ok()?;
    let (width, height) = decoder.dimensions()?;
    let pixels = (width as u64).checked_mul(height as u64)?;
    let needed = (2 * pixels).saturating_add(outline.coefficient_bytes);
    if pixels == 0 || pixels > limits.pixels_max || needed > limits.decoded_bytes_max {
        return None;
    }
    if !matches!(decoder.input_colorspace()?, ColorSpace::YCbCr | ColorSpace::Luma) {
        return None;
    }
    let orientation = decoder.exif().and_then(|exif| Orientation::from_exif_chunk(exif));
    let values = decoder.decode().ok()?;
    let [width, height] = [width, height].map(|side| u32::try_from(side).ok());
    let (width, height) = (width?, height?);
    if values.len() as u64 != pixels {
        return None;
    }
    let orientation = orientation.unwrap_or(Orientation::NoTransforms);
    let (width, height, values) = turned_pixels::<1>(width, height, values, orientation);
    Some(Luma { width, height, values })
}
