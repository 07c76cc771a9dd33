//! Turns the pixels of a picture into its PDQ codes, bit for bit those of Meta's reference.
//!
//! PDQ shrinks the luma of the picture to 64 × 64, keeps the 16 × 16 slowest waves of a cosine
//! transform, and sets one bit for each wave stronger than the median. Published in
//! <https://github.com/facebook/ThreatExchange/tree/main/pdq>; the yardstick here is the Python
//! package `pdqhash` 0.2.8, to which `tests/peers/pdq` holds us. Every sum of floats below is
//! therefore taken in the reference's order: another order rounds differently and flips bits.
//!
//! This room does not know files, formats, colour profiles or transparency: pixels come in.

mod exact;
mod quick;
mod upright;

use std::array;
use std::f64::consts::PI;
use std::sync::LazyLock;

use multiversion::multiversion;
use timemark_verify::Fingerprint;

use crate::picture::{Luma, Rectangle};
use exact::Pixels;

pub use upright::{Upright, transposed};

/// The codes of one picture, and how much there is to see in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pdq {
    /// The picture's codes as it is, rotated and mirrored, in the order of [`Dihedral::ALL`].
    pub codes: [Fingerprint; 8],
    /// From 0 (a flat surface) to 100. The codes of a picture with few gradients say little about
    /// it; Meta advises to leave those below 50 aside.
    pub quality: u8,
}

impl Pdq {
    /// The codes of `height` rows of `width` pixels, three bytes each: red, green, blue.
    ///
    /// `None` if a side is shorter than 5 pixels, or the buffer is not exactly that long. Needs
    /// some 300 bytes for each column and each row, and a byte for every 32 pixels.
    pub fn of_rgb(rgb: &[u8], width: u32, height: u32) -> Option<Pdq> {
        Pixels::new(rgb, width, height).map(|pixels| pdq_of_rgb(&pixels))
    }

    /// The codes of a part of a picture of which the brightness alone is known, much faster than from colours, and not
    /// rounded as the reference rounds: a bit differs where a wave is next to equal to the median. Hardly any does where
    /// there is detail; the quality may differ by a few.
    ///
    /// `None` if a side is shorter than 5 pixels, or the part does not lie within the picture.
    pub fn of_luma(luma: &Luma, part: Rectangle) -> Option<Pdq> {
        let lies_within = luma.is_sound()
            && part.x.checked_add(part.width)? <= luma.width
            && part.y.checked_add(part.height)? <= luma.height;
        let is_large_enough = part.width.min(part.height) as usize >= SIDE_MIN;
        (lies_within && is_large_enough).then(|| pdq_of_luma(luma, part))
    }

    #[inline(always)]
    fn of_small(small: &Small) -> Pdq {
        Pdq { codes: codes(&waves(small)), quality: quality(small) }
    }
}

// Wider registers hold more sums side by side, each of which is still taken in its order.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq", "x86_64+avx2"))]
fn pdq_of_rgb(pixels: &Pixels<'_>) -> Pdq {
    Pdq::of_small(&pixels.small())
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq", "x86_64+avx2"))]
fn pdq_of_luma(luma: &Luma, part: Rectangle) -> Pdq {
    Pdq::of_small(&quick::small(luma, part))
}

/// The eight ways to lay a picture on itself: rotations by quarter turns, and mirrors.
///
/// If code `k` of a suspect equals the *original* code of a work, the suspect is the work
/// rotated or mirrored as `k` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dihedral {
    /// As it is.
    Original,
    /// A quarter turn clockwise.
    Rotate90,
    /// Upside down.
    Rotate180,
    /// A quarter turn counterclockwise.
    Rotate270,
    /// Top and bottom exchanged.
    FlipX,
    /// Left and right exchanged.
    FlipY,
    /// Rows and columns exchanged: the top right corner goes to the bottom left.
    FlipPlus1,
    /// Exchanged across the other diagonal: the top left corner goes to the bottom right.
    FlipMinus1,
}

impl Dihedral {
    /// All eight, in the order of [`Pdq::codes`].
    pub const ALL: [Dihedral; 8] = [
        Dihedral::Original,
        Dihedral::Rotate90,
        Dihedral::Rotate180,
        Dihedral::Rotate270,
        Dihedral::FlipX,
        Dihedral::FlipY,
        Dihedral::FlipPlus1,
        Dihedral::FlipMinus1,
    ];

    /// What happened to the suspect, in words that follow "the work …".
    pub fn words(self) -> &'static str {
        match self {
            Dihedral::Original => "as it is",
            Dihedral::Rotate90 => "rotated by 90° clockwise",
            Dihedral::Rotate180 => "rotated by 180°",
            Dihedral::Rotate270 => "rotated by 90° counterclockwise",
            Dihedral::FlipX => "mirrored top to bottom",
            Dihedral::FlipY => "mirrored left to right",
            Dihedral::FlipPlus1 => "mirrored across the diagonal from top left to bottom right",
            Dihedral::FlipMinus1 => "mirrored across the diagonal from top right to bottom left",
        }
    }
}

/// How strong the gradients of the small picture are, from 0 to 100, with the reference's scale.
#[inline(always)]
fn quality(small: &Small) -> u8 {
    let mut totals = [0.0; SMALL]; // at most 126 · 100 each: exact
    let mut count = |above: &[f32], below: &[f32]| {
        for ((total, above), below) in totals.iter_mut().zip(above).zip(below) {
            let gradient = ((above - below) * 100.0 / 255.0).abs();
            // The reference truncates to int. A cast here would saturate, one value at a time;
            // adding 2^23 leaves no room for a fraction, and rounds.
            let rounded = (gradient + TWO_TO_23) - TWO_TO_23;
            *total += if rounded > gradient { rounded - 1.0 } else { rounded };
        }
    };
    small.iter().zip(&small[1..]).for_each(|(row, next)| count(row, next));
    small.iter().for_each(|row| count(row, &row[1..]));
    (totals.iter().sum::<f32>() as u32 / 90).min(100) as u8
}

/// The 16 x 16 slowest waves of the small picture, constants left out; row by row downwards.
#[inline(always)]
fn waves(small: &Small) -> Waves {
    let mut half = [[0.0; SMALL]; WAVES];
    for (wave, half) in half.iter_mut().enumerate() {
        for (part, half) in half.as_chunks_mut::<WAVES>().0.iter_mut().enumerate() {
            let mut sums = [0.0; WAVES];
            for (row, cosines) in small.iter().zip(COSINES.iter()) {
                for (sum, value) in sums.iter_mut().zip(&row.as_chunks::<WAVES>().0[part]) {
                    *sum += cosines[wave] * value;
                }
            }
            *half = sums;
        }
    }
    half.map(|row| {
        let mut sums = [0.0; WAVES];
        for (value, cosines) in row.iter().zip(COSINES.iter()) {
            for (sum, cosine) in sums.iter_mut().zip(cosines) {
                *sum += value * cosine;
            }
        }
        sums
    })
}

/// The eight codes, from one transform: mirroring a picture only changes the sign of every other
/// wave, and exchanging its rows and columns exchanges those of the code.
#[inline(always)]
fn codes(waves: &Waves) -> [Fingerprint; 8] {
    let (original, flip_plus1) = code_and_transposed(waves, false, false);
    let (rotate180, flip_minus1) = code_and_transposed(waves, true, true);
    let (flip_x, rotate270) = code_and_transposed(waves, true, false);
    let (flip_y, rotate90) = code_and_transposed(waves, false, true);
    [original, rotate90, rotate180, rotate270, flip_x, flip_y, flip_plus1, flip_minus1]
}

/// The code of the picture mirrored top to bottom, left to right, both or neither, and that code
/// with rows and columns exchanged.
#[inline(always)]
fn code_and_transposed(
    waves: &Waves,
    top_bottom: bool,
    left_right: bool,
) -> (Fingerprint, Fingerprint) {
    let mut waves = *waves;
    for (i, row) in waves.iter_mut().enumerate() {
        for (j, wave) in row.iter_mut().enumerate() {
            if (top_bottom && i % 2 == 0) != (left_right && j % 2 == 0) {
                *wave = -*wave;
            }
        }
    }
    let mut sorted = waves;
    let (_, &mut median, _) =
        sorted.as_flattened_mut().select_nth_unstable_by(MEDIAN, f32::total_cmp);

    let (mut code, mut transposed) = (Fingerprint::default(), Fingerprint::default());
    for (i, row) in waves.iter().enumerate() {
        for (j, &wave) in row.iter().enumerate() {
            let bit = u64::from(wave > median);
            code.0[i / 4] |= bit << (i % 4 * WAVES + j);
            transposed.0[j / 4] |= bit << (j % 4 * WAVES + i);
        }
    }
    (code, transposed)
}

/// The cosines of the 16 waves at each of 64 places, computed in double precision but with the
/// scale already rounded to single, as the reference does. None is near enough to a boundary
/// between two floats that another cosine function could round it differently.
static COSINES: LazyLock<[[f32; WAVES]; SMALL]> = LazyLock::new(|| {
    let scale = f64::from((2.0 / SMALL as f64).sqrt() as f32);
    let step = PI / 2.0 / SMALL as f64;
    array::from_fn(|place| {
        array::from_fn(|wave| {
            (scale * (step * (wave + 1) as f64 * (2 * place + 1) as f64).cos()) as f32
        })
    })
});

type Small = [[f32; SMALL]; SMALL];
type Waves = [[f32; WAVES]; WAVES];

/// The reference refuses anything smaller.
const SIDE_MIN: usize = 5;
const SMALL: usize = 64;
const WAVES: usize = 16;
/// The reference's median of an even number of values is the lower of the two in the middle.
const MEDIAN: usize = WAVES * WAVES / 2 - 1;
const TWO_TO_23: f32 = 8_388_608.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_pdqhash_on_a_drawn_picture() {
        // Computed with pdqhash 0.2.8 from the same pixels.
        let check = |width, height, quality, original: &str, flip_minus1: &str| {
            let pdq = Pdq::of_rgb(&drawn(width, height), width, height).unwrap();
            assert_eq!(pdq.codes[0].to_string(), original, "{width} x {height}");
            assert_eq!(pdq.codes[7].to_string(), flip_minus1, "{width} x {height}");
            assert_eq!(pdq.quality, quality, "{width} x {height}");
        };
        check(
            320,
            320,
            100,
            "71c2a0b5af603a1dd9e2d1c381b5876c0f4e0c9f0893ba3eb26ef26e6dc24d93",
            "1a4926ada54b36b66da68b4964c905299b3607243e49f8db4489f976d9aafccb",
        );
        check(
            613,
            407,
            100,
            "f1c2a3352f603a1dd9e2d18383b5876c0f4e0c9f08b33a3eb26e726e6d924d93",
            "1a4926a5a44b36b66da68b6926c90529db3603263e69f8d94489f976d9aafccb",
        );
        check(
            97,
            1500,
            100,
            "71caa23daf603a15d9e2d1c381b5876c0f4e0c9f0c9b3a36b26ef26e6cc26c93",
            "1a5926a9a54a26b66da68b4924c9052adb3607243e49f8db9499f976d9aafccb",
        );
    }

    #[test]
    fn agrees_with_the_plain_algorithm_at_every_kind_of_size() {
        let mut random = random_bytes();
        let mut check = |width: u32, height: u32| {
            let pixels: Vec<u8> = random.by_ref().take((width * height) as usize * 3).collect();
            let pdq = Pdq::of_rgb(&pixels, width, height).unwrap();
            let (codes, quality) = plain(&pixels, width as usize, height as usize);
            assert_eq!(pdq.codes, codes, "{width} x {height}");
            assert_eq!(pdq.quality, quality, "{width} x {height}");
        };
        for side in [5, 6, 7, 8, 9, 15, 16, 17, 63, 64, 65, 127, 128, 129, 130, 257] {
            check(side, side);
            check(side, 5);
            check(5, side);
            check(side, 100);
            check(100, side);
        }
        // Several windows long and wide, and none a multiple of the other.
        for (width, height) in [(640, 479), (301, 900), (1283, 66), (12, 2000), (3000, 9)] {
            check(width, height);
        }
    }

    #[test]
    fn agrees_with_the_plain_algorithm_where_little_is_to_be_seen() {
        let check = |pixel: fn(usize) -> u8, width: u32, height: u32| {
            let pixels: Vec<u8> = (0..(width * height) as usize * 3).map(pixel).collect();
            let pdq = Pdq::of_rgb(&pixels, width, height).unwrap();
            let (codes, quality) = plain(&pixels, width as usize, height as usize);
            assert_eq!((pdq.codes, pdq.quality), (codes, quality), "{width} x {height}");
        };
        for (width, height) in [(5, 5), (64, 64), (66, 70), (200, 300), (513, 259)] {
            check(|_| 0, width, height);
            check(|_| 255, width, height);
            check(|_| 77, width, height);
            check(|at| (at / 3 % 7) as u8, width, height);
            check(|at| if at < 300 { 255 } else { 0 }, width, height);
        }
    }

    #[test]
    fn brightness_has_the_codes_of_grey_pictures_within_a_bit_or_two() {
        let check = |width: u32, height: u32, rgb: &[u8], bits: u32| {
            let values: Vec<u8> = rgb.as_chunks::<3>().0.iter().map(|pixel| pixel[1]).collect();
            let grey: Vec<u8> = values.iter().flat_map(|&value| [value; 3]).collect();
            let exact = Pdq::of_rgb(&grey, width, height).unwrap();
            let luma = Luma::new(width, height, values);
            let quick = Pdq::of_luma(&luma, luma.frame()).unwrap();
            for (quick, exact) in quick.codes.iter().zip(&exact.codes) {
                assert!(quick.distance(exact) <= bits, "{width} x {height}");
            }
            assert!(quick.quality.abs_diff(exact.quality) <= 1, "{width} x {height}");
        };
        let mut random = random_bytes();
        for (width, height) in [(5, 7), (64, 64), (67, 131), (400, 30), (128, 129), (1283, 900)] {
            let bytes: Vec<u8> = random.by_ref().take((width * height) as usize * 3).collect();
            check(width, height, &bytes, 2);
            // Waves that nothing moves are told apart by how they are rounded.
            check(
                width,
                height,
                &drawn(width, height),
                if width > 60 && height > 60 { 2 } else { 9 },
            );
        }
    }

    #[test]
    fn reduced_brightness_has_nearly_the_same_codes() {
        for (width, height, scale) in [(601, 499, 2), (1030, 1201, 4), (2049, 2300, 8)] {
            let rgb = drawn(width, height);
            let values: Vec<u8> = rgb.as_chunks::<3>().0.iter().map(|pixel| pixel[0]).collect();
            let whole = Luma::new(width, height, values);
            let mean = |x: u32, y: u32| {
                let squares = |from: u32, end: u32| from * scale..((from + 1) * scale).min(end);
                let at = |y| squares(x, width).map(move |x| (y * width + x) as usize);
                let pixels: Vec<usize> = squares(y, height).flat_map(at).collect();
                let sum: u32 = pixels.iter().map(|&at| u32::from(whole.values[at])).sum();
                (sum as f32 / pixels.len() as f32).round() as u8
            };
            let (across, down) = (width.div_ceil(scale), height.div_ceil(scale));
            let values =
                (0..down).flat_map(|y| (0..across).map(move |x| (x, y))).map(|(x, y)| mean(x, y));
            let values = values.collect();
            let reduced = Luma {
                width: across,
                height: down,
                values,
                scale,
                picture_width: width,
                picture_height: height,
            };
            let quick = Pdq::of_luma(&reduced, reduced.frame()).unwrap();
            let exact = Pdq::of_luma(&whole, whole.frame()).unwrap();
            for (quick, exact) in quick.codes.iter().zip(&exact.codes) {
                let distance = quick.distance(exact);
                assert!(distance <= 8, "{width} x {height}, 1/{scale}: {distance} bits");
            }
            assert!(quick.quality.abs_diff(exact.quality) <= 2);
        }
    }

    #[test]
    fn a_part_of_brightness_has_the_codes_of_that_part_alone() {
        let (width, height) = (300, 200);
        let rgb = drawn(width, height);
        let values: Vec<u8> = rgb.as_chunks::<3>().0.iter().map(|pixel| pixel[0]).collect();
        let part = Rectangle { x: 31, y: 7, width: 211, height: 150 };
        let rows = values.chunks(width as usize).skip(7).take(150);
        let inner = rows.flat_map(|row| &row[31..242]).copied().collect();
        let inner = Luma::new(211, 150, inner);
        let luma = Luma::new(width, height, values);
        assert_eq!(Pdq::of_luma(&luma, part), Pdq::of_luma(&inner, inner.frame()));
    }

    #[test]
    fn a_turned_picture_is_told_from_its_original_code() {
        // 320 = 64 tiles of 5, each with a pixel in its centre: sampling is symmetric.
        let side = 320;
        let work = drawn(320, 320);
        let original = Pdq::of_rgb(&work, 320, 320).unwrap().codes[0];
        let check = |turn: Dihedral, from: fn(usize, usize) -> (usize, usize)| {
            let pixel = |x, y| {
                let (x, y) = from(x, y);
                work.as_chunks::<3>().0[y * side + x]
            };
            let suspect: Vec<u8> =
                (0..side * side).flat_map(|at| pixel(at % side, at / side)).collect();
            let suspect = Pdq::of_rgb(&suspect, 320, 320).unwrap();
            for (other, code) in Dihedral::ALL.into_iter().zip(suspect.codes) {
                let distance = code.distance(&original);
                assert_eq!(distance <= 8, other == turn, "{turn:?} as {other:?}: {distance}");
            }
        };
        // Where in the work the suspect's pixel (x, y) comes from; 319 is the last place.
        check(Dihedral::Original, |x, y| (x, y));
        check(Dihedral::Rotate90, |x, y| (y, 319 - x)); // clockwise: its top left was bottom left
        check(Dihedral::Rotate180, |x, y| (319 - x, 319 - y));
        check(Dihedral::Rotate270, |x, y| (319 - y, x));
        check(Dihedral::FlipX, |x, y| (x, 319 - y));
        check(Dihedral::FlipY, |x, y| (319 - x, y));
        check(Dihedral::FlipPlus1, |x, y| (y, x));
        check(Dihedral::FlipMinus1, |x, y| (319 - y, 319 - x));
    }

    #[test]
    fn wrong_sizes_are_refused() {
        let check = |length: usize, width, height, accepted: bool| {
            let bytes = vec![0; length];
            assert_eq!(
                Pdq::of_rgb(&bytes, width, height).is_some(),
                accepted,
                "{width} x {height}"
            );
        };
        check(75, 5, 5, true);
        check(74, 5, 5, false);
        check(76, 5, 5, false);
        check(60, 4, 5, false);
        check(60, 5, 4, false);
        check(0, 0, 0, false);
        check(0, 0, 100, false);
        check(75, u32::MAX, u32::MAX, false);
        let luma = Luma::new(10, 9, vec![0; 90]);
        let check = |[x, y, width, height]: [u32; 4], accepted: bool| {
            let part = Rectangle { x, y, width, height };
            assert_eq!(Pdq::of_luma(&luma, part).is_some(), accepted, "{part:?}");
        };
        check([0, 0, 10, 9], true);
        check([5, 4, 5, 5], true);
        check([0, 0, 4, 9], false);
        check([6, 0, 5, 9], false);
        check([0, 5, 10, 5], false);
        check([u32::MAX, 0, 5, 5], false);
        let short = Luma::new(10, 9, vec![0; 89]);
        assert_eq!(Pdq::of_luma(&short, short.frame()), None);
    }

    /// A picture with shapes of all sizes and no symmetry, from integers only.
    fn drawn(width: u32, height: u32) -> Vec<u8> {
        let pixel = |x: u32, y: u32| {
            let (u, v) = (x * 256 / width, y * 256 / height);
            let disc =
                if (u + 60).abs_diff(150).pow(2) + v.abs_diff(70).pow(2) < 2500 { 90 } else { 0 };
            let bar = if u > 140 && u < 170 && v > 100 { 110 } else { 0 };
            [(u * v / 256 + disc) as u8, (v / 2 + bar) as u8, ((u * 3 + v * v / 64) % 256) as u8]
        };
        (0..height).flat_map(|y| (0..width).flat_map(move |x| pixel(x, y))).collect()
    }

    fn random_bytes() -> impl Iterator<Item = u8> {
        let mut state = 20_240_229_u64;
        std::iter::repeat_with(move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        })
    }

    pub fn luma_of_pdqhash(channels: [u8; 3]) -> f32 {
        let [r, g, b] = channels.map(f64::from);
        ((r * 0.299 + g * 0.587) + b * 0.114) as f32
    }

    /// The same without any haste: whole pictures, one value at a time.
    fn plain(rgb: &[u8], width: usize, height: usize) -> ([Fingerprint; 8], u8) {
        let mut luma: Vec<f32> =
            rgb.as_chunks::<3>().0.iter().map(|&pixel| luma_of_pdqhash(pixel)).collect();
        let small: Vec<Vec<f32>> = if (width, height) == (64, 64) {
            luma.chunks(64).map(<[f32]>::to_vec).collect()
        } else {
            for _ in 0..2 {
                let rows = luma.chunks(width).flat_map(plain_means);
                let rows = plain_transposed(&rows.collect::<Vec<_>>(), width);
                let columns = rows.chunks(height).flat_map(plain_means);
                luma = plain_transposed(&columns.collect::<Vec<_>>(), height);
            }
            let centre =
                |tile: usize, side: usize| ((tile as f64 + 0.5) * side as f64 / 64.0) as usize;
            let row =
                |i| (0..64).map(|j| luma[centre(i, height) * width + centre(j, width)]).collect();
            (0..64).map(row).collect()
        };

        let gradient = |a: f32, b: f32| (((a - b) * 100.0 / 255.0) as i32).abs();
        let down = (0..63 * 64).map(|at| (at / 64, at % 64));
        let total: i32 = down
            .map(|(i, j)| {
                gradient(small[i][j], small[i + 1][j]) + gradient(small[j][i], small[j][i + 1])
            })
            .sum();

        let cosine = |wave: usize, place: usize| {
            let angle = (PI / 2.0 / 64.0) * (wave + 1) as f64 * (2 * place + 1) as f64;
            (f64::from(0.03125_f64.sqrt() as f32) * angle.cos()) as f32
        };
        let cosines: Vec<Vec<f32>> =
            (0..16).map(|wave| (0..64).map(|place| cosine(wave, place)).collect()).collect();
        let dot = |i: usize, values: &dyn Fn(usize) -> f32| {
            (0..64).fold(0.0, |sum: f32, k| sum + cosines[i][k] * values(k))
        };
        let half: Vec<Vec<f32>> =
            (0..16).map(|i| (0..64).map(|j| dot(i, &|k| small[k][j])).collect()).collect();
        let wave = |i: usize, j: usize| dot(j, &|k| half[i][k]);

        let sign = |odd: bool| if odd { -1.0 } else { 1.0 };
        let code = |wave: &dyn Fn(usize, usize) -> f32| {
            let values: Vec<f32> = (0..256).map(|bit| wave(bit / 16, bit % 16)).collect();
            let mut sorted = values.clone();
            sorted.sort_by(|a, b| a.partial_cmp(b).unwrap());
            let mut code = Fingerprint::default();
            for (bit, value) in values.iter().enumerate() {
                code.0[bit / 64] |= u64::from(*value > sorted[127]) << (bit % 64);
            }
            code
        };
        let codes = [
            code(&wave),
            code(&|i, j| wave(j, i) * sign(i % 2 == 0)),
            code(&|i, j| wave(i, j) * sign((i + j) % 2 == 1)),
            code(&|i, j| wave(j, i) * sign(j % 2 == 0)),
            code(&|i, j| wave(i, j) * sign(i % 2 == 0)),
            code(&|i, j| wave(i, j) * sign(j % 2 == 0)),
            code(&|i, j| wave(j, i)),
            code(&|i, j| wave(j, i) * sign((i + j) % 2 == 1)),
        ];
        (codes, (total / 90).min(100) as u8)
    }

    fn plain_means(line: &[f32]) -> Vec<f32> {
        let window = line.len().div_ceil(128);
        let (mut sum, mut count, mut means) = (0.0_f32, 0, vec![]);
        for edge in 0..line.len() + window / 2 {
            if edge < line.len() {
                sum += line[edge];
                count += 1;
            }
            if edge >= window {
                sum -= line[edge - window];
                count -= 1;
            }
            if edge >= window / 2 {
                means.push(sum / count as f32);
            }
        }
        means
    }

    fn plain_transposed(values: &[f32], width: usize) -> Vec<f32> {
        (0..width).flat_map(|x| values.iter().skip(x).step_by(width)).copied().collect()
    }
}
