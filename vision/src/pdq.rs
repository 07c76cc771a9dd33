//! Turns the pixels of a picture into its PDQ codes, bit for bit those of Meta's reference.
//!
//! PDQ shrinks the luma of the picture to 64 × 64, keeps the 16 × 16 slowest waves of a cosine
//! transform, and sets one bit for each wave stronger than the median. Published in
//! <https://github.com/facebook/ThreatExchange/tree/main/pdq>; the yardstick here is the Python
//! package `pdqhash` 0.2.8, to which `tests/peers/pdq` holds us. Every sum of floats below is
//! therefore taken in the reference's order: another order rounds differently and flips bits.
//!
//! This room does not know files, formats, colour profiles or transparency: pixels come in.

use std::array;
use std::f64::consts::PI;
use std::sync::LazyLock;

use multiversion::multiversion;
use timemark_verify::Fingerprint;

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
        Picture::new::<Rgb, _>(rgb, width, height).map(|picture| pdq_of_rgb(&picture))
    }

    /// The codes of `height` rows of `width` pixels of one byte, black 0 to white 255; the same
    /// as those of the picture with three equal channels, and the same conditions as `of_rgb`.
    pub fn of_luma8(gray: &[u8], width: u32, height: u32) -> Option<Pdq> {
        Picture::new::<Gray, _>(gray, width, height).map(|picture| pdq_of_gray(&picture))
    }
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

// Wider registers hold more sums side by side, each of which is still taken in its order.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq", "x86_64+avx2"))]
fn pdq_of_rgb(picture: &Picture<'_>) -> Pdq {
    picture.pdq::<Rgb, _>()
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq", "x86_64+avx2"))]
fn pdq_of_gray(picture: &Picture<'_>) -> Pdq {
    picture.pdq::<Gray, _>()
}

/// Pixels whose sides and length have been checked.
struct Picture<'a> {
    bytes: &'a [u8],
    width: usize,
    height: usize,
}

impl<'a> Picture<'a> {
    fn new<P: Pixel<N>, const N: usize>(
        bytes: &'a [u8],
        width: u32,
        height: u32,
    ) -> Option<Picture<'a>> {
        let (width, height) = (usize::try_from(width).ok()?, usize::try_from(height).ok()?);
        let length = width.checked_mul(height)?.checked_mul(N / 4)?;
        let fits = width >= SIDE_MIN && height >= SIDE_MIN && bytes.len() == length;
        fits.then_some(Picture { bytes, width, height })
    }

    #[inline(always)]
    fn pdq<P: Pixel<N>, const N: usize>(&self) -> Pdq {
        // The reference takes 64 x 64 pixels as they are, without the blur.
        let small = if (self.width, self.height) == (SMALL, SMALL) {
            self.as_it_is::<P, N>()
        } else {
            self.shrink::<P, N>()
        };
        Pdq { codes: codes(&waves(&small)), quality: quality(&small) }
    }

    #[inline(always)]
    fn as_it_is<P: Pixel<N>, const N: usize>(&self) -> Small {
        let mut small = [[0.0; SMALL]; SMALL];
        let mut strip = [ZEROS; SMALL];
        for (y, rows) in (0..).step_by(LANES).zip(small.chunks_exact_mut(LANES)) {
            self.luma::<P, N>(y, &mut strip);
            for (x, column) in strip.iter().enumerate() {
                for (row, &luma) in rows.iter_mut().zip(column.as_flattened()) {
                    row[x] = luma;
                }
            }
        }
        small
    }

    /// Blurs the luma with a box filter along the rows, along the columns, and both once more,
    /// and samples the centres of 64 x 64 tiles.
    ///
    /// The reference makes four passes over the whole picture. Here strips of 16 rows go through
    /// all passes while they are in the cache, and each pass slides windows that lie side by
    /// side, so that one instruction serves four: the row passes work on strips stored column by
    /// column, the column passes on rows, and each hands its results over turned for the next.
    #[inline(always)]
    fn shrink<P: Pixel<N>, const N: usize>(&self) -> Small {
        let (across, down) = (BoxFilter::new(self.width), BoxFilter::new(self.height));
        let quads = self.width.div_ceil(4);
        let mut strip = vec![ZEROS; 4 * quads];
        let mut thin = vec![[0.0; SMALL]; self.height.next_multiple_of(LANES)];

        // The rows that a window of the column pass may still need, in a ring.
        let slots = (down.window + 2 * LANES).next_multiple_of(LANES);
        let mut ring = vec![[0.0; 4]; slots * quads];
        let mut rows_ready = 0;
        let zeros = vec![[0.0; 4]; quads];
        let mut sums = vec![[0.0; 4]; quads];

        for y in (0..self.height).step_by(LANES) {
            while rows_ready < self.height.min(y + LANES + down.ahead) {
                let slot = rows_ready % slots;
                self.luma::<P, N>(rows_ready, &mut strip);
                across.rows(&strip[..self.width], &mut ring[slot * quads..][..LANES * quads]);
                rows_ready += LANES;
            }
            let row = |y: Option<usize>| match y {
                Some(y) => &ring[y % slots * quads..][..quads],
                None => &zeros[..quads],
            };
            if y == 0 {
                for y in 0..down.ahead {
                    add(sums.as_flattened_mut(), row(Some(y)).as_flattened());
                }
            }
            down.columns(y, row, &mut sums, &mut strip);
            across.rows_sampled(&strip[..self.width], &mut thin[y..][..LANES]);
        }
        down.columns_sampled(&thin)
    }

    /// Writes the luma of the 16 rows from `y` as columns; below the picture its last row repeats.
    #[inline(always)]
    fn luma<P: Pixel<N>, const N: usize>(&self, y: usize, strip: &mut [Column]) {
        let stride = self.width * (N / 4);
        let rows: [&[u8]; LANES] = array::from_fn(|lane| {
            let y = (y + lane).min(self.height - 1);
            &self.bytes[y * stride..][..stride]
        });
        let (strip, _) = strip.as_chunks_mut::<4>();
        for (band, rows) in rows.as_chunks::<4>().0.iter().enumerate() {
            let [(a, a_end), (b, b_end), (c, c_end), (d, d_end)] = rows.map(<[u8]>::as_chunks::<N>);
            let fours = a.iter().zip(b).zip(c).zip(d);
            for (columns, (((a, b), c), d)) in strip.iter_mut().zip(fours) {
                luma_of_fours::<P, N>([a, b, c, d], columns, band);
            }
            if let (false, Some(columns)) = (a_end.is_empty(), strip.last_mut()) {
                let [a, b, c, d] = [a_end, b_end, c_end, d_end].map(|end| {
                    let mut four = [0; N];
                    four[..end.len()].copy_from_slice(end);
                    four
                });
                luma_of_fours::<P, N>([&a, &b, &c, &d], columns, band);
            }
        }
    }
}

/// The luma of 4 x 4 pixels, given as rows and written as columns.
#[inline(always)]
fn luma_of_fours<P: Pixel<N>, const N: usize>(
    [a, b, c, d]: [&[u8; N]; 4],
    columns: &mut [Column; 4],
    band: usize,
) {
    let rows = [P::four(a), P::four(b), P::four(c), P::four(d)];
    for (x, column) in columns.iter_mut().enumerate() {
        for (luma, row) in column[band].iter_mut().zip(&rows) {
            *luma = P::luma(row[x]);
        }
    }
}

/// How pixels are read, `N` bytes for four of them.
trait Pixel<const N: usize> {
    /// Four neighbouring pixels, each with its first channel in the lowest byte; bytes above the
    /// pixel's own mean nothing.
    fn four(bytes: &[u8; N]) -> [u32; 4];

    /// The luma of a pixel.
    fn luma(pixel: u32) -> f32;
}

struct Rgb;

impl Pixel<12> for Rgb {
    #[inline(always)]
    fn four(&[r0, g0, b0, r1, g1, b1, r2, g2, b2, r3, g3, b3]: &[u8; 12]) -> [u32; 4] {
        [
            u32::from_le_bytes([r0, g0, b0, r1]), // four bytes, since that is one load
            u32::from_le_bytes([r1, g1, b1, r2]),
            u32::from_le_bytes([r2, g2, b2, r3]),
            u32::from_le_bytes([b2, r3, g3, b3]) >> 8,
        ]
    }

    #[inline(always)]
    fn luma(pixel: u32) -> f32 {
        let channel = |shift: u32| (pixel >> shift & 0xff) as i32;
        // pdqhash computes (0.299 r + 0.587 g) + 0.114 b in double precision and rounds to
        // single. Its error is too small to ever round differently than this exact integer,
        // below 2^24, divided once.
        (299 * channel(0) + 587 * channel(8) + 114 * channel(16)) as f32 / 1000.0
    }
}

struct Gray;

impl Pixel<4> for Gray {
    #[inline(always)]
    fn four(&[a, b, c, d]: &[u8; 4]) -> [u32; 4] {
        [u32::from(a), u32::from(b), u32::from(c), u32::from(d)]
    }

    #[inline(always)]
    fn luma(pixel: u32) -> f32 {
        (pixel & 0xff) as i32 as f32
    }
}

/// The mean over a window that slides along one side of the picture, value by value.
///
/// The reference keeps a running sum: what enters is added, then what leaves is subtracted. Its
/// rounding errors stay in the sum, so the sums here do the same.
struct BoxFilter {
    window: usize,
    /// How many values beyond the one it stands for a window reaches; summed before it starts.
    ahead: usize,
    /// One for each value of the side, and on to a multiple of 16, where results mean nothing.
    steps: Vec<Step>,
    /// Where the 64 tiles have their centres.
    samples: [usize; SMALL],
}

/// How a window gets to its next place.
struct Step {
    enters: Option<usize>,
    leaves: Option<usize>,
    /// How many values are then in the window.
    count: f32,
}

impl BoxFilter {
    fn new(length: usize) -> BoxFilter {
        let window = length.div_ceil(2 * SMALL); // half a tile: there are two passes
        let ahead = window / 2;
        let steps = (ahead..ahead + length.next_multiple_of(LANES)).map(|edge| {
            let left = (edge + 1).saturating_sub(window);
            Step {
                enters: (edge < length).then_some(edge),
                leaves: edge.checked_sub(window).filter(|&leaves| leaves < length),
                count: (edge + 1).min(length).saturating_sub(left).max(1) as f32,
            }
        });
        let samples = array::from_fn(|tile| (2 * tile + 1) * length / (2 * SMALL));
        BoxFilter { window, ahead, steps: steps.collect(), samples }
    }

    /// First row pass: filters along a strip, and writes it as 16 rows.
    #[inline(always)]
    fn rows(&self, strip: &[Column], rows: &mut [Quad]) {
        let quads = strip.len().div_ceil(4);
        let mut rows = rows.chunks_exact_mut(quads);
        let mut rows: [&mut [Quad]; LANES] = array::from_fn(|_| rows.next().unwrap_or_default());
        let column = |x: Option<usize>| x.map_or(&ZEROS[..], |x| &strip[x][..]);

        let mut sums = self.sums_before(strip);
        for (x, steps) in self.steps.as_chunks::<4>().0.iter().take(quads).enumerate() {
            let enters = steps.each_ref().map(|step| column(step.enters));
            let leaves = steps.each_ref().map(|step| column(step.leaves));
            let counts = steps.each_ref().map(|step| step.count);
            for (band, rows) in rows.as_chunks_mut::<4>().0.iter_mut().enumerate() {
                let means = slide(&mut sums[band], at(band, &enters), at(band, &leaves), &counts);
                for (row, mean) in rows.iter_mut().zip(means) {
                    row[x] = mean;
                }
            }
        }
    }

    /// First column pass: filters down the 16 rows from `y`, and writes them as a strip.
    #[inline(always)]
    fn columns<'a>(
        &self,
        y: usize,
        row: impl Fn(Option<usize>) -> &'a [Quad],
        sums: &mut [Quad],
        strip: &mut [Column],
    ) {
        let steps = self.steps[y..][..LANES].as_chunks::<4>().0;
        for (band, steps) in steps.iter().enumerate() {
            let enters = steps.each_ref().map(|step| row(step.enters));
            let leaves = steps.each_ref().map(|step| row(step.leaves));
            let counts = steps.each_ref().map(|step| step.count);
            let strip = strip.as_chunks_mut::<4>().0.iter_mut();
            for (x, (sums, columns)) in sums.iter_mut().zip(strip).enumerate() {
                let means = slide(sums, at(x, &enters), at(x, &leaves), &counts);
                // Four rows of a strip are one quad of each column.
                for (column, mean) in columns.iter_mut().zip(means) {
                    column[band] = mean;
                }
            }
        }
    }

    /// Second row pass: filters along a strip, and keeps only the sampled columns of its 16 rows.
    #[inline(always)]
    fn rows_sampled(&self, strip: &[Column], rows: &mut [[f32; SMALL]]) {
        let mut wanted = self.samples.iter().enumerate().peekable();
        let mut sums = self.sums_before(strip);
        for ((x, step), _) in self.steps.iter().enumerate().zip(strip) {
            add(sums.as_flattened_mut(), step.enters.map_or(&ZEROS, |x| &strip[x]).as_flattened());
            sub(sums.as_flattened_mut(), step.leaves.map_or(&ZEROS, |x| &strip[x]).as_flattened());
            // More than one tile may have its centre in a column of a narrow picture.
            while let Some((tile, _)) = wanted.next_if(|&(_, &sample)| sample == x) {
                let mut means = sums;
                means.as_flattened_mut().iter_mut().for_each(|mean| *mean /= step.count);
                for (row, &mean) in rows.iter_mut().zip(means.as_flattened()) {
                    row[tile] = mean;
                }
            }
        }
    }

    /// Second column pass: filters down the sampled columns, and keeps only the sampled rows.
    #[inline(always)]
    fn columns_sampled(&self, rows: &[[f32; SMALL]]) -> Small {
        let mut small = [[0.0; SMALL]; SMALL];
        let mut wanted = small.iter_mut().zip(&self.samples).peekable();
        let mut sums = [0.0; SMALL];
        rows[..self.ahead].iter().for_each(|row| add(&mut sums, row));
        for (y, step) in self.steps.iter().enumerate() {
            add(&mut sums, step.enters.map_or(&[0.0; SMALL], |y| &rows[y]));
            sub(&mut sums, step.leaves.map_or(&[0.0; SMALL], |y| &rows[y]));
            while let Some((means, _)) = wanted.next_if(|&(_, &sample)| sample == y) {
                *means = sums.map(|sum| sum / step.count);
            }
        }
        small
    }

    /// The sums of the windows just before their first step.
    #[inline(always)]
    fn sums_before(&self, strip: &[Column]) -> Column {
        let mut sums = ZEROS;
        for column in &strip[..self.ahead] {
            add(sums.as_flattened_mut(), column.as_flattened());
        }
        sums
    }
}

/// Slides four windows that lie side by side four steps on; gives the four means of each window.
#[inline(always)]
fn slide(sums: &mut Quad, enters: [&Quad; 4], leaves: [&Quad; 4], counts: &Quad) -> [Quad; 4] {
    let mut means = [[0.0; 4]; 4];
    for step in 0..4 {
        for side in 0..4 {
            sums[side] += enters[step][side];
            sums[side] -= leaves[step][side];
            means[side][step] = sums[side] / counts[step];
        }
    }
    means
}

#[inline(always)]
fn at<'a>(index: usize, [a, b, c, d]: &[&'a [Quad]; 4]) -> [&'a Quad; 4] {
    [&a[index], &b[index], &c[index], &d[index]]
}

#[inline(always)]
fn add(sums: &mut [f32], values: &[f32]) {
    for (sum, value) in sums.iter_mut().zip(values) {
        *sum += value;
    }
}

#[inline(always)]
fn sub(sums: &mut [f32], values: &[f32]) {
    for (sum, value) in sums.iter_mut().zip(values) {
        *sum -= value;
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

/// Four floats side by side: a register of every processor we build for.
type Quad = [f32; 4];
/// One column of a strip of 16 rows.
type Column = [Quad; LANES / 4];
type Small = [[f32; SMALL]; SMALL];
type Waves = [[f32; WAVES]; WAVES];

/// The reference refuses anything smaller.
const SIDE_MIN: usize = 5;
const SMALL: usize = 64;
const WAVES: usize = 16;
const LANES: usize = 16;
const ZEROS: Column = [[0.0; 4]; LANES / 4];
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
        assert_eq!(Pdq::of_luma8(&[9; 10_000], 100, 100).unwrap().quality, 0);
    }

    #[test]
    fn gray_is_three_equal_channels() {
        let mut random = random_bytes();
        for (width, height) in [(5, 7), (64, 64), (67, 131), (400, 30)] {
            let gray: Vec<u8> = random.by_ref().take((width * height) as usize).collect();
            let rgb: Vec<u8> = gray.iter().flat_map(|&value| [value; 3]).collect();
            assert_eq!(Pdq::of_luma8(&gray, width, height), Pdq::of_rgb(&rgb, width, height));
        }
    }

    #[test]
    fn luma_of_integers_is_that_of_pdqhash() {
        for r in (0..=255).step_by(5) {
            for g in (0..=255).step_by(3) {
                for b in 0..=255 {
                    let exact = Rgb::luma(u32::from_le_bytes([r, g, b, 99]));
                    assert_eq!(exact, luma_of_pdqhash([r, g, b]), "{r} {g} {b}");
                }
            }
        }
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
        assert!(Pdq::of_luma8(&[0; 25], 5, 5).is_some());
        assert!(Pdq::of_luma8(&[0; 75], 5, 5).is_none());
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

    fn luma_of_pdqhash(channels: [u8; 3]) -> f32 {
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
