//! The brightness of a JPEG without its colours: a fraction of the work of decoding it whole, and enough to tell most
//! pictures apart.

use image::metadata::Orientation;
use timemark_vision::Luma;
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::baseline::Baseline;
use super::structure::JpegOutline;
use super::{Limits, contained, turned_pixels};

/// The brightness of a JPEG, upright, within limits, and reduced as far as its codes are hardly moved by it. `None` if it
/// is none, or has no brightness of its own, or the limits or the decoder are against it: [`decode`](super::decode) says
/// what is the matter, or does better.
///
/// Codes of it differ from those of the whole picture in a few bits: colours that no screen shows were cut off there.
pub fn luma(bytes: &[u8], limits: &Limits) -> Option<Luma> {
    contained("image/jpeg", || Ok(luma_within(bytes, limits))).ok().flatten()
}

fn luma_within(bytes: &[u8], limits: &Limits) -> Option<Luma> {
    match Baseline::read(bytes) {
        Some(jpeg) => luma_of_baseline(&jpeg, limits),
        None => luma_of_other(bytes, limits),
    }
}

fn luma_of_baseline(jpeg: &Baseline<'_>, limits: &Limits) -> Option<Luma> {
    let orientation = jpeg.exif.and_then(Orientation::from_exif_chunk);
    let is_turned = orientation.is_some_and(|turn| turn != Orientation::NoTransforms);
    let mut scale = scale_for(jpeg.width.min(jpeg.height));
    // What is left over at the end must stay there: turned, it would shift all the others.
    if is_turned && [jpeg.width, jpeg.height].iter().any(|side| !side.is_multiple_of(scale)) {
        scale = 1;
    }
    let pixels = jpeg.width as u64 * jpeg.height as u64;
    let turned = if is_turned { pixels / (scale * scale) as u64 } else { 0 };
    let needed = (jpeg.bytes_needed(scale)? as u64).saturating_add(turned);
    if pixels > limits.pixels_max || needed > limits.decoded_bytes_max {
        return None;
    }
    let values = jpeg.luma(scale)?;
    upright(values, [jpeg.width, jpeg.height], scale, orientation)
}

/// In several scans, mostly.
fn luma_of_other(bytes: &[u8], limits: &Limits) -> Option<Luma> {
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
    upright(decoder.decode().ok()?, [width, height], 1, orientation)
}

/// `values` is a picture of `sides`, reduced.
fn upright(
    values: Vec<u8>,
    sides: [usize; 2],
    scale: usize,
    orientation: Option<Orientation>,
) -> Option<Luma> {
    let orientation = orientation.unwrap_or(Orientation::NoTransforms);
    let [width, height] = sides.map(|side| u32::try_from(side).ok());
    let [mut picture_width, mut picture_height] = [width?, height?];
    let scale = u32::try_from(scale).ok()?;
    let [width, height] = [picture_width, picture_height].map(|side| side.div_ceil(scale));
    if values.len() as u64 != u64::from(width) * u64::from(height) {
        return None;
    }
    let (turned_width, turned_height, values) =
        turned_pixels::<1>(width, height, values, orientation);
    if orientation.to_exif() >= 5 {
        std::mem::swap(&mut picture_width, &mut picture_height);
    }
    Some(Luma {
        width: turned_width,
        height: turned_height,
        values,
        scale,
        picture_width,
        picture_height,
    })
}

/// How far a picture is reduced: as long as its shorter side keeps so many values.
fn scale_for(shorter_side: usize) -> usize {
    let scales = [8, 4, 2];
    scales.into_iter().find(|scale| shorter_side / scale >= REDUCED_SIDE_MIN).unwrap_or(1)
}

const REDUCED_SIDE_MIN: usize = 256;
