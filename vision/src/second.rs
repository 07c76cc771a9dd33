//! Second opinions: two simpler codes, by the library `image_hasher`.

use image::{ImageBuffer, Rgb, imageops};
use image_hasher::{BitOrder, FilterType, HashAlg, HasherConfig};
use timemark_verify::Fingerprint;

use crate::Kind;

/// The code of this kind, 16 by 16 bits, of a picture's pixels in rows of red, green, blue.
///
/// * [`Kind::Gradient`]: whether brightness rises from each spot to the next. It bears new sizes,
///   compression, blur, lettering and changes of light; large plain areas make it unsteady.
/// * [`Kind::Dct`]: which of the slowest waves of the picture stand above their median (the idea
///   of pHash). Every bit is of the whole picture, so plain areas do no harm, but lettering and
///   crops move more bits than they do of the other.
///
/// Neither bears turning, mirroring or large crops. They serve to check what PDQ finds by another
/// way. A picture of one colour has a code that means nothing; PDQ's quality tells.
///
/// The same pixels give the same code, on machines of one kind: the sums are in floating point, so
/// a bit at the edge may fall differently elsewhere. `None` for [`Kind::Pdq`] (see [`crate::Pdq`]),
/// and where the pixels are not `width` times `height`, or none.
pub fn of_rgb(kind: Kind, rgb: &[u8], width: u32, height: u32) -> Option<Fingerprint> {
    let config = HasherConfig::with_bytes_type::<[u8; 32]>()
        .hash_size(16, 16)
        .resize_filter(FilterType::Lanczos3)
        .bit_order(BitOrder::LsbFirst);
    let config = match kind {
        Kind::Pdq => return None,
        Kind::Gradient => config.hash_alg(HashAlg::Gradient),
        // The mean would be drawn up by the one coefficient of overall brightness.
        Kind::Dct => config.hash_alg(HashAlg::Median).preproc_dct(),
    };
    let bytes = u64::from(width).checked_mul(u64::from(height))?.checked_mul(3)?;
    if bytes == 0 || bytes != rgb.len() as u64 {
        return None;
    }
    let picture = ImageBuffer::<Rgb<u8>, &[u8]>::from_raw(width, height, rgb)?;
    let hash = config.to_hasher().hash_image(&imageops::grayscale(&picture));
    let mut code = Fingerprint::default();
    for (word, bytes) in code.0.iter_mut().zip(hash.as_bytes().as_chunks().0) {
        *word = u64::from_le_bytes(*bytes);
    }
    Some(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture of soft shapes, brightened by `light`, shifted by `phase`.
    fn picture(width: u32, height: u32, light: f64, phase: f64) -> Vec<u8> {
        let pixel = |x: u32, y: u32| {
            let (x, y) = (f64::from(x) / f64::from(width), f64::from(y) / f64::from(height));
            let wave = (7.0 * x + 3.0 * y + phase).sin() + (13.0 * x * y + 2.0 * phase).cos();
            let value = (light + 40.0 * wave + 20.0 * (31.0 * y - 17.0 * x).sin()) as u8;
            [value, value / 2 + 30, 255 - value]
        };
        (0..height).flat_map(|y| (0..width).flat_map(move |x| pixel(x, y))).collect()
    }

    #[test]
    fn like_is_near_and_unlike_is_far() {
        let code = |kind, width, height, light, phase| {
            of_rgb(kind, &picture(width, height, light, phase), width, height).unwrap()
        };
        for kind in [Kind::Gradient, Kind::Dct] {
            let original = code(kind, 300, 200, 120.0, 0.0);
            assert_eq!(original, code(kind, 300, 200, 120.0, 0.0));
            let smaller = original.distance(&code(kind, 150, 90, 130.0, 0.0));
            let other = original.distance(&code(kind, 300, 200, 120.0, 2.0));
            assert!(smaller <= 24 && other >= 60, "{kind}: {smaller} and {other}");
        }
    }

    #[test]
    fn what_is_no_picture_has_no_code() {
        let rgb = picture(8, 8, 120.0, 0.0);
        assert!(of_rgb(Kind::Gradient, &rgb, 8, 8).is_some());
        assert!(of_rgb(Kind::Pdq, &rgb, 8, 8).is_none());
        assert!(of_rgb(Kind::Dct, &rgb, 8, 7).is_none());
        assert!(of_rgb(Kind::Dct, &rgb, u32::MAX, u32::MAX).is_none());
        assert!(of_rgb(Kind::Dct, &[], 0, 8).is_none());
    }
}
