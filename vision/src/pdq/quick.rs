//! The small picture of PDQ from brightness alone, each value a weighted sum of pixels: what four passes of a box filter
//! come to, in a fraction of their time. The sums are rounded in another order than the reference's, which moves a bit
//! where a wave is next to equal to the median.

use super::{SMALL, Small};
use crate::picture::{Luma, Rectangle};

/// A part of the picture, which lies within it and has pixels, shrunk.
#[inline(always)]
pub(super) fn small(luma: &Luma, part: Rectangle) -> Small {
    let [x, y, width] = [part.x, part.y, part.width].map(|n| n as usize);
    let row = |line: usize| &luma.values[(y + line) * luma.width as usize + x..][..width];
    let pixels = |from: u32, to: u32, last: u32| {
        (to.saturating_mul(luma.scale).min(last) - from * luma.scale) as usize
    };
    let across = pixels(part.x, part.x + part.width, luma.picture_width);
    let down = pixels(part.y, part.y + part.height, luma.picture_height);
    let [across, down] = [across, down].map(|side| Weights::new(side, luma.scale as usize));
    // Sums of as many tiles side by side as one instruction adds. A tile at the end has less of weight, and looks beyond it.
    let mut columns = vec![[0.0; LANES]; width + across.weights.len()];
    let mut rows = Vec::with_capacity(down.weights.len());
    let mut small = [[0.0; SMALL]; SMALL];
    for (band, tiles) in small.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
        for lane in 0..LANES {
            rows.clear();
            rows.extend(down.of_tile(band * LANES + lane).map(|(at, weight)| (weight, row(at))));
            sum_rows(&rows, &mut columns[..width], lane);
        }
        for (tile, first) in across.first.iter().enumerate() {
            let mut sums = [0.0; LANES];
            for (column, weights) in columns[*first..].iter().zip(&across.weights) {
                for (sum, value) in sums.iter_mut().zip(column) {
                    *sum += weights[tile] * value;
                }
            }
            for (values, sum) in tiles.iter_mut().zip(sums) {
                values[tile] = sum;
            }
        }
    }
    small
}

/// The weighted sum of rows, as one lane of the columns; in blocks that fit the registers.
#[inline(always)]
fn sum_rows(rows: &[(f32, &[u8])], columns: &mut [[f32; LANES]], lane: usize) {
    let Some(last) = columns.len().checked_sub(BLOCK) else {
        for (at, column) in columns.iter_mut().enumerate() {
            column[lane] = rows.iter().map(|(weight, row)| weight * f32::from(row[at])).sum();
        }
        return;
    };
    // What is left over at the end is summed up together with some that were before.
    for start in (0..last).step_by(BLOCK).chain([last]) {
        let mut block = [0.0; BLOCK];
        for (weight, row) in rows {
            for (sum, value) in block.iter_mut().zip(&row[start..start + BLOCK]) {
                *sum += weight * f32::from(*value);
            }
        }
        for (column, sum) in columns[start..].iter_mut().zip(block) {
            column[lane] = sum;
        }
    }
}

/// How much of each of 64 tiles of a line is each of its values.
struct Weights {
    /// The first value that is of a tile.
    first: [usize; SMALL],
    /// For that value, for the next, and so on, the weight for each tile; 0 where a tile has no more.
    weights: Vec<[f32; SMALL]>,
}

impl Weights {
    /// Of a line of so many pixels, of which `scale` are a value. At its centre a tile is the mean over a window of means over
    /// windows of pixels; what of a window lies beyond the line does not count.
    #[inline(always)]
    fn new(length: usize, scale: usize) -> Weights {
        let window = length.div_ceil(2 * SMALL);
        let around = |at: usize| {
            let end = at + window / 2 + 1;
            (end.saturating_sub(window), end.min(length))
        };
        let pixels = 2 * window - 1;
        let values = (pixels + scale - 1).div_ceil(scale);
        let mut weights = Weights { first: [0; SMALL], weights: vec![[0.0; SMALL]; values] };
        // What changes at a pixel, summed up below: each window adds as much to all of its pixels.
        let mut changes = vec![0.0; pixels + 1];
        for (tile, first) in weights.first.iter_mut().enumerate() {
            changes.fill(0.0);
            let (start, end) = around((2 * tile + 1) * length / (2 * SMALL));
            let first_pixel = around(start).0;
            *first = first_pixel / scale;
            for at in start..end {
                let (from, to) = around(at);
                let share = 1.0 / ((end - start) * (to - from)) as f64;
                changes[from - first_pixel] += share;
                changes[to - first_pixel] -= share;
            }
            let (mut value, mut left) = (0, scale - first_pixel % scale);
            let mut sum = 0.0;
            for change in &changes[..pixels] {
                if left == 0 {
                    (value, left) = (value + 1, scale);
                }
                left -= 1;
                sum += change;
                weights.weights[value][tile] += sum as f32;
            }
        }
        weights
    }

    /// The values of a tile with their weights.
    fn of_tile(&self, tile: usize) -> impl Iterator<Item = (usize, f32)> {
        let weights = (self.first[tile]..).zip(self.weights.iter().map(move |of| of[tile]));
        // Next to nothing is left of rounding where a tile has no more, and may be beyond the line.
        weights.filter(|(_, weight)| *weight > NOTHING)
    }
}

/// Tiles summed up at a time.
const LANES: usize = 8;
/// Pixels summed up at a time.
const BLOCK: usize = 32;
/// Far below the weight of any value of a picture that is decoded.
const NOTHING: f32 = 1e-12;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_weights_of_every_tile_are_those_of_two_box_filters() {
        for length in [5, 6, 63, 64, 65, 128, 129, 130, 255, 257, 1000, 4000] {
            let window = usize::div_ceil(length, 128);
            let mean_weights = |at: usize| {
                let places = (at + window / 2 + 1 - window.min(at + window / 2 + 1)
                    ..=at + window / 2)
                    .filter(|&place| place < length);
                let places: Vec<usize> = places.collect();
                let share = 1.0 / places.len() as f64;
                places.into_iter().map(move |place| (place, share))
            };
            let weights = Weights::new(length, 1);
            for tile in 0..64 {
                let centre = ((tile as f64 + 0.5) * length as f64 / 64.0) as usize;
                let mut expected = vec![0.0; length];
                for (middle, share) in mean_weights(centre) {
                    mean_weights(middle).for_each(|(at, inner)| expected[at] += share * inner);
                }
                let mut found = vec![0.0; length];
                weights.of_tile(tile).for_each(|(at, weight)| found[at] = f64::from(weight));
                for (found, expected) in found.iter().zip(&expected) {
                    assert!((found - expected).abs() < 1e-6, "{length}, tile {tile}");
                }
            }
        }
    }
}
