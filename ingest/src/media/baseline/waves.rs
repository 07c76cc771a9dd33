//! How coefficients become pixels: waves of blocks side by side are added up.

use std::cmp::Ordering;
use std::f32::consts::PI;

use super::codes::{Bits, Codes};

/// For each coefficient in its order in the file: to which wave of the smaller block it adds, by waves down and then across,
/// and how much. What lies beyond the last adds nothing.
pub(super) fn places<const N: usize>(quantisation: &[u16; 64]) -> [(u32, f32); 128] {
    // Of each wave along a line: which of the smaller block's it looks like, and how strong it is.
    let line: [(usize, f32); 8] = std::array::from_fn(|wave| {
        let mut strength = if wave == 0 { 8_f32.sqrt().recip() } else { 0.5 };
        let mut apart = 8;
        while apart > N {
            // The mean of two values that far apart.
            strength *= (wave as f32 * PI / (2 * apart) as f32).cos();
            apart /= 2;
        }
        let folded = wave % (4 * N);
        let folded = if folded > 2 * N { 4 * N - folded } else { folded };
        match folded.cmp(&N) {
            Ordering::Less => (folded, strength),
            Ordering::Equal => (0, 0.0),
            Ordering::Greater => (2 * N - folded, -strength),
        }
    });
    let mut places = [(0, 0.0); 128];
    for ((place, at), step) in places.iter_mut().zip(ZIGZAG).zip(quantisation) {
        let ((u, across), (v, down)) = (line[at % 8], line[at / 8]);
        *place = ((v * N + u) as u32, across * down * f32::from(*step));
    }
    places
}

/// The waves of blocks side by side, each in its lane, so that one instruction works on all of them.
#[derive(Clone)]
pub(super) struct Batch<const N: usize> {
    /// By waves down, then across.
    waves: [[Lanes; N]; N],
}

impl<const N: usize> Batch<N> {
    pub fn new() -> Batch<N> {
        Batch { waves: [[[0.0; LANES]; N]; N] }
    }

    /// Reads the next block of brightness; `before` is the constant of the block before, and then of this one.
    #[inline(always)]
    pub fn read_block(
        &mut self,
        lane: usize,
        bits: &mut Bits<'_>,
        dc: &Codes,
        ac: &Codes,
        places: &[(u32, f32); 128],
        before: &mut i32,
    ) {
        let waves = self.waves.as_flattened_mut();
        // Sums that a damaged file lets grow without end mean nothing anyway.
        *before = before.wrapping_add(bits.next_constant(dc));
        waves[0][lane] = *before as f32 * places[0].1;
        bits.each_wave(ac, |at, value| {
            let (place, factor) = places[at % 128];
            waves[place as usize % (N * N)][lane] += value as f32 * factor;
        });
    }

    /// Adds up the waves to pixels, in rows of `stride`, and leaves none behind.
    #[inline(always)]
    pub fn draw(&mut self, pixels: &mut [u8], stride: usize) {
        for across in 0..N {
            let mut line = [[0.0; LANES]; N];
            for (of_line, waves) in line.iter_mut().zip(&self.waves) {
                *of_line = waves[across];
            }
            add_up(&mut line);
            for (waves, of_line) in self.waves.iter_mut().zip(&line) {
                waves[across] = *of_line;
            }
        }
        for (line, pixels) in self.waves.iter_mut().zip(pixels.chunks_mut(stride)) {
            add_up(line);
            // Up to four pixels of a block are a number, in the order in which they lie in the row.
            for (part, values) in line.chunks(4).enumerate() {
                let mut numbers = [0_u32; LANES];
                for (at, values) in values.iter().enumerate() {
                    for (number, value) in numbers.iter_mut().zip(values) {
                        *number |= level(*value) << (8 * at);
                    }
                }
                for (block, number) in pixels.chunks_exact_mut(N).zip(numbers) {
                    let length = N.min(4);
                    block[4 * part..][..length].copy_from_slice(&number.to_le_bytes()[..length]);
                }
            }
        }
        self.waves = [[[0.0; LANES]; N]; N];
    }
}

/// Waves become the sums of their cosines at `N` places, by halves: the waves of even number are those of a line of half as
/// many places, and those of odd number change their sign in the other half.
#[inline(always)]
fn add_up<const N: usize>(line: &mut [Lanes; N]) {
    match line.as_mut_slice() {
        [a, b] => [*a, *b] = two([*a, *b]),
        [a, b, c, d] => [*a, *b, *c, *d] = four([*a, *b, *c, *d]),
        [a, b, c, d, e, f, g, h] => {
            let [_, c1, _, c3, _, c5, _, c7] = COSINES;
            let [p, q, r, s] = four([*a, *c, *e, *g]);
            let waves = [*b, *d, *f, *h];
            let (p, z) = sum_and_difference(p, weighted(&waves, [c1, c3, c5, c7]));
            let (q, y) = sum_and_difference(q, weighted(&waves, [c3, -c7, -c1, -c5]));
            let (r, x) = sum_and_difference(r, weighted(&waves, [c5, -c1, c7, c3]));
            let (s, w) = sum_and_difference(s, weighted(&waves, [c7, -c5, c3, -c1]));
            [*a, *b, *c, *d, *e, *f, *g, *h] = [p, q, r, s, w, x, y, z];
        }
        _ => {}
    }
}

#[inline(always)]
fn four([a, b, c, d]: [Lanes; 4]) -> [Lanes; 4] {
    let [p, q] = two([a, c]);
    let (p, z) = sum_and_difference(p, weighted(&[b, d], [COSINES[2], COSINES[6]]));
    let (q, y) = sum_and_difference(q, weighted(&[b, d], [COSINES[6], -COSINES[2]]));
    [p, q, y, z]
}

#[inline(always)]
fn two([a, b]: [Lanes; 2]) -> [Lanes; 2] {
    let (p, z) = sum_and_difference(a, weighted(&[b], [COSINES[4]]));
    [p, z]
}

#[inline(always)]
fn weighted<const M: usize>(waves: &[Lanes; M], weights: [f32; M]) -> Lanes {
    let mut sum = [0.0; LANES];
    for (wave, weight) in waves.iter().zip(weights) {
        for (sum, value) in sum.iter_mut().zip(wave) {
            *sum += value * weight;
        }
    }
    sum
}

#[inline(always)]
fn sum_and_difference(mut a: Lanes, b: Lanes) -> (Lanes, Lanes) {
    let mut difference = a;
    for lane in 0..LANES {
        a[lane] += b[lane];
        difference[lane] -= b[lane];
    }
    (a, difference)
}

/// Blocks are stored around the middle of what a byte holds. Out of range is cut off.
#[inline(always)]
fn level(value: f32) -> u32 {
    // Beyond 2^23 a float has no room for a fraction, and its lowest bits are the number: a cast would be slower.
    ((value + 128.0).clamp(0.0, 255.0) + 8_388_608.0).to_bits() & 0xFF
}

/// Blocks whose waves are added up at a time.
pub(super) const LANES: usize = 8;
type Lanes = [f32; LANES];
/// The cosines of sixteenths of half a turn.
const COSINES: [f32; 8] = [
    1.0,
    0.980_785_3,
    0.923_879_5,
    0.831_469_6,
    0.707_106_77,
    0.555_570_24,
    0.382_683_43,
    0.195_090_32,
];

/// Where in a block, row by row, the coefficients of a file are (T.81, figure A.6).
const ZIGZAG: [usize; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20,
    13, 6, 7, 14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59,
    52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
];
