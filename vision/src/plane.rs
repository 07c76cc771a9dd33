//! Brightness as numbers: what keypoints are found in and described from.

use multiversion::multiversion;

use crate::picture::Picture;

/// One number for each pixel, row by row from the top left.
#[derive(Clone)]
pub(crate) struct Plane {
    pub width: usize,
    pub height: usize,
    pub values: Vec<f32>,
}

impl Plane {
    pub fn new(width: usize, height: usize) -> Plane {
        Plane { width, height, values: vec![0.0; width * height] }
    }

    pub fn row(&self, y: usize) -> &[f32] {
        &self.values[y * self.width..][..self.width]
    }

    pub fn at(&self, x: usize, y: usize) -> f32 {
        self.values[y * self.width + x]
    }

    /// The luma of a picture (0 to 255), reduced by averaging whole squares of pixels as long as its longer
    /// side stays at least `side`. Returns how many pixels of the picture one of the plane is.
    pub fn luma(picture: &Picture, side: usize) -> (Plane, usize) {
        let (width, height) = (picture.width as usize, picture.height as usize);
        let factor = (width.max(height) / side).clamp(1, width.min(height).clamp(1, FACTOR_MAX));
        let mut plane = Plane::new(width / factor, height / factor);
        let share = 1.0 / (factor * factor) as f32;
        let mut sums = vec![0_u32; plane.width];
        for y in 0..plane.height {
            sums.fill(0);
            for row in y * factor..(y + 1) * factor {
                let row = &picture.rgb[row * width * 3..][..plane.width * factor * 3];
                add_luma(row, factor, &mut sums);
            }
            for (value, sum) in plane.values[y * plane.width..].iter_mut().zip(&sums) {
                *value = *sum as f32 * (share / 256.0);
            }
        }
        (plane, factor)
    }

    /// The same in another size, linearly between the centres of pixels.
    pub fn resized(&self, width: usize, height: usize) -> Plane {
        if (width, height) == (self.width, self.height) {
            return self.clone();
        }
        let columns = Steps::new(self.width, width);
        let rows = Steps::new(self.height, height);
        let mut resized = Plane::new(width, height);
        let mut between = vec![0.0; self.width];
        for (y, out) in resized.values.chunks_exact_mut(width).enumerate() {
            let (top, bottom) = (self.row(rows.first[y]), self.row(rows.second[y]));
            let share = rows.share[y];
            for ((value, a), b) in between.iter_mut().zip(top).zip(bottom) {
                *value = a + (b - a) * share;
            }
            for (x, value) in out.iter_mut().enumerate() {
                let (a, b) = (between[columns.first[x]], between[columns.second[x]]);
                *value = a + (b - a) * columns.share[x];
            }
        }
        resized
    }

    /// Every second pixel of every second row.
    pub fn halved(&self) -> Plane {
        let mut half = Plane::new(self.width / 2, self.height / 2);
        for y in 0..half.height {
            let pairs = self.row(2 * y).chunks_exact(2);
            for (value, pair) in half.values[y * half.width..].iter_mut().zip(pairs) {
                *value = pair[0];
            }
        }
        half
    }

    /// The plane under a Gaussian of deviation `sigma`, and by how much that differs from the plane.
    pub fn blurred(&self, sigma: f32) -> (Plane, Plane) {
        let [mut blurred, mut difference] = [(); 2].map(|()| Vec::with_capacity(self.values.len()));
        blur(self, &gaussian(sigma), &mut blurred, &mut difference);
        let (width, height) = (self.width, self.height);
        (Plane { width, height, values: blurred }, Plane { width, height, values: difference })
    }
}

/// Where the pixels of a resized line lie between those of the line.
struct Steps {
    first: Vec<usize>,
    second: Vec<usize>,
    share: Vec<f32>,
}

impl Steps {
    fn new(from: usize, to: usize) -> Steps {
        let ratio = from as f32 / to as f32;
        let mut steps = Steps { first: Vec::new(), second: Vec::new(), share: Vec::new() };
        for place in 0..to {
            let exact = ((place as f32 + 0.5) * ratio - 0.5).clamp(0.0, (from - 1) as f32);
            let first = exact as usize;
            steps.first.push(first);
            steps.second.push((first + 1).min(from - 1));
            steps.share.push(exact - first as f32);
        }
        steps
    }
}

/// Adds 256 times the luma (ITU-R BT.601) of each `factor` pixels of a row to their sum.
fn add_luma(row: &[u8], factor: usize, sums: &mut [u32]) {
    for (sum, pixels) in sums.iter_mut().zip(row.chunks_exact(3 * factor)) {
        for pixel in pixels.as_chunks::<3>().0 {
            let [r, g, b] = pixel.map(u32::from);
            *sum += 77 * r + 150 * g + 29 * b;
        }
    }
}

/// Half of a Gaussian kernel, from its middle; the whole sums up to 1.
fn gaussian(sigma: f32) -> Vec<f32> {
    let radius = (3.0 * sigma).ceil() as usize;
    let weight = |at: usize| (-0.5 * (at as f32 / sigma).powi(2)).exp();
    let sum = 2.0 * (1..=radius).map(weight).sum::<f32>() + 1.0;
    (0..=radius).map(|at| weight(at) / sum).collect()
}

/// Down the columns, then along the rows, with the edge repeated outwards. The order of the sums is the
/// same on every processor, so the result is as well.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq", "x86_64+avx2"))]
fn blur(plane: &Plane, kernel: &[f32], blurred: &mut Vec<f32>, difference: &mut Vec<f32>) {
    let (width, height, radius) = (plane.width, plane.height, kernel.len() - 1);
    let mut down = vec![0.0_f32; width + 2 * radius];
    let mut along = vec![0.0_f32; width];
    let mut sides: Vec<(&[f32], &[f32])> = Vec::with_capacity(radius);
    for y in 0..height {
        let middle = plane.row(y);
        let reach = |distance| {
            let (above, below) = (y.saturating_sub(distance), (y + distance).min(height - 1));
            (plane.row(above), plane.row(below))
        };
        sides.clear();
        sides.extend((1..=radius).map(reach));
        weigh(kernel, middle, &sides, &mut down[radius..][..width]);
        let (first, last) = (down[radius], down[radius + width - 1]);
        down[..radius].fill(first);
        down[radius + width..].fill(last);
        let mut sides: Vec<(&[f32], &[f32])> = Vec::with_capacity(radius);
        sides.extend((1..=radius).map(|distance| {
            (&down[radius - distance..][..width], &down[radius + distance..][..width])
        }));
        weigh(kernel, &down[radius..][..width], &sides, &mut along);
        blurred.extend_from_slice(&along);
        difference.extend(along.iter().zip(middle).map(|(after, before)| after - before));
    }
}

/// The sum of a line and of the lines beside it, each by its weight. In blocks that fit the registers.
#[inline(always)]
fn weigh(kernel: &[f32], middle: &[f32], sides: &[(&[f32], &[f32])], sums: &mut [f32]) {
    let (blocks, rest) = sums.as_chunks_mut::<BLOCK>();
    for (number, block) in blocks.iter_mut().enumerate() {
        let start = number * BLOCK;
        let mut sum = [0.0; BLOCK];
        for (sum, value) in sum.iter_mut().zip(&middle[start..start + BLOCK]) {
            *sum = value * kernel[0];
        }
        for (weight, (a, b)) in kernel[1..].iter().zip(sides) {
            let (a, b) = (&a[start..start + BLOCK], &b[start..start + BLOCK]);
            for at in 0..BLOCK {
                sum[at] += weight * (a[at] + b[at]);
            }
        }
        *block = sum;
    }
    let start = blocks.len() * BLOCK;
    for (sum, at) in rest.iter_mut().zip(start..) {
        *sum = middle[at] * kernel[0];
        for (weight, (a, b)) in kernel[1..].iter().zip(sides) {
            *sum += weight * (a[at] + b[at]);
        }
    }
}

/// Pixels in a row that become one at most: 256 times the luma of a square of more would leave 32 bits.
const FACTOR_MAX: usize = 255;
/// Numbers summed up at a time.
const BLOCK: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_white_picture_is_white_however_far_it_is_reduced() {
        for (width, height) in [(600, 600), (1, 900), (900, 2), (5, 5)] {
            let rgb = vec![255; width * height * 3];
            let picture = Picture { width: width as u32, height: height as u32, rgb };
            for side in [1, 2, 640] {
                let (plane, factor) = Plane::luma(&picture, side);
                assert!(factor <= FACTOR_MAX && plane.width >= 1 && plane.height >= 1);
                let white = plane.values.iter().all(|value| (value - 255.0).abs() < 0.01);
                assert!(white, "{width} × {height} to {side}");
            }
        }
    }
}
