//! The small picture of PDQ as the reference computes it, with every sum in its order.

use std::array;

use super::{SIDE_MIN, SMALL, Small};

/// Pixels of three bytes, whose sides and length have been checked.
pub(super) struct Pixels<'a> {
    bytes: &'a [u8],
    width: usize,
    height: usize,
}

impl<'a> Pixels<'a> {
    pub fn new(bytes: &'a [u8], width: u32, height: u32) -> Option<Pixels<'a>> {
        let (width, height) = (usize::try_from(width).ok()?, usize::try_from(height).ok()?);
        let length = width.checked_mul(height)?.checked_mul(3)?;
        let fits = width >= SIDE_MIN && height >= SIDE_MIN && bytes.len() == length;
        fits.then_some(Pixels { bytes, width, height })
    }

    #[inline(always)]
    pub fn small(&self) -> Small {
        // The reference takes 64 x 64 pixels as they are, without the blur.
        if (self.width, self.height) == (SMALL, SMALL) { self.as_it_is() } else { self.shrink() }
    }

    #[inline(always)]
    fn as_it_is(&self) -> Small {
        let mut small = [[0.0; SMALL]; SMALL];
        let mut strip = [ZEROS; SMALL];
        for (y, rows) in (0..).step_by(LANES).zip(small.chunks_exact_mut(LANES)) {
            self.luma(y, &mut strip);
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
    fn shrink(&self) -> Small {
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
                self.luma(rows_ready, &mut strip);
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
    fn luma(&self, y: usize, strip: &mut [Column]) {
        let stride = self.width * 3;
        let rows: [&[u8]; LANES] = array::from_fn(|lane| {
            let y = (y + lane).min(self.height - 1);
            &self.bytes[y * stride..][..stride]
        });
        let (strip, _) = strip.as_chunks_mut::<4>();
        for (band, rows) in rows.as_chunks::<4>().0.iter().enumerate() {
            let [(a, a_end), (b, b_end), (c, c_end), (d, d_end)] =
                rows.map(<[u8]>::as_chunks::<FOUR_BYTES>);
            let fours = a.iter().zip(b).zip(c).zip(d);
            for (columns, (((a, b), c), d)) in strip.iter_mut().zip(fours) {
                luma_of_fours([a, b, c, d], columns, band);
            }
            if let (false, Some(columns)) = (a_end.is_empty(), strip.last_mut()) {
                let [a, b, c, d] = [a_end, b_end, c_end, d_end].map(|end| {
                    let mut four = [0; FOUR_BYTES];
                    four[..end.len()].copy_from_slice(end);
                    four
                });
                luma_of_fours([&a, &b, &c, &d], columns, band);
            }
        }
    }
}

/// The luma of 4 x 4 pixels, given as rows and written as columns.
#[inline(always)]
fn luma_of_fours([a, b, c, d]: [&[u8; FOUR_BYTES]; 4], columns: &mut [Column; 4], band: usize) {
    let rows = [four(a), four(b), four(c), four(d)];
    for (x, column) in columns.iter_mut().enumerate() {
        for (value, row) in column[band].iter_mut().zip(&rows) {
            *value = luma(row[x]);
        }
    }
}

/// Four neighbouring pixels, each with its first channel in the lowest byte; the byte above its third means nothing.
#[inline(always)]
fn four(&[r0, g0, b0, r1, g1, b1, r2, g2, b2, r3, g3, b3]: &[u8; FOUR_BYTES]) -> [u32; 4] {
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

/// Four floats side by side: a register of every processor we build for.
type Quad = [f32; 4];
/// One column of a strip of 16 rows.
type Column = [Quad; LANES / 4];
const LANES: usize = 16;
const ZEROS: Column = [[0.0; 4]; LANES / 4];
/// Four pixels.
const FOUR_BYTES: usize = 12;

#[cfg(test)]
mod tests {
    use super::super::tests::luma_of_pdqhash;
    use super::*;

    #[test]
    fn luma_of_integers_is_that_of_pdqhash() {
        for r in (0..=255).step_by(5) {
            for g in (0..=255).step_by(3) {
                for b in 0..=255 {
                    let exact = luma(u32::from_le_bytes([r, g, b, 99]));
                    assert_eq!(exact, luma_of_pdqhash([r, g, b]), "{r} {g} {b}");
                }
            }
        }
    }
}
