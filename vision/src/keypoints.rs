//! Finds the spots of a picture that are found again in a copy of it: extrema of differences of Gaussians
//! over place and scale (Lowe, "Distinctive Image Features from Scale-Invariant Keypoints", 2004).

use std::f32::consts::{PI, TAU};

use multiversion::multiversion;

use crate::plane::Plane;

/// A spot, in pixels of the plane it was found in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spot {
    pub x: f32,
    pub y: f32,
    /// Deviation of the Gaussian at which the spot stands out most.
    pub sigma: f32,
    /// Direction of its strongest gradients, in radians from the x axis towards the y axis.
    pub angle: f32,
    /// How much it stands out.
    pub strength: f32,
    /// Where to look at it: octave and layer.
    octave: usize,
    layer: usize,
}

/// A plane at ever coarser scales.
pub(crate) struct ScaleSpace {
    octaves: Vec<Octave>,
}

struct Octave {
    /// Pixels of the plane in one of this octave.
    step: f32,
    /// One more than `LAYERS` at each end of what spots are found in.
    blurred: Vec<Plane>,
    differences: Vec<Plane>,
}

impl ScaleSpace {
    /// `blur` is the deviation of the Gaussian that the plane comes with.
    pub fn new(plane: Plane, blur: f32) -> ScaleSpace {
        let mut octaves: Vec<Octave> = Vec::new();
        if plane.width.min(plane.height) < SIDE_MIN {
            return ScaleSpace { octaves };
        }
        let missing = (SIGMA * SIGMA - blur * blur).max(0.01).sqrt();
        let mut first = plane.blurred(missing).0;
        let mut step = 1.0;
        while first.width.min(first.height) >= SIDE_MIN && octaves.len() < OCTAVES_MAX {
            let mut blurred = vec![first];
            let mut differences = Vec::new();
            for layer in 0..LAYERS + 2 {
                let (from, to) = (layer_sigma(layer as f32), layer_sigma(layer as f32 + 1.0));
                let (next, difference) = blurred[layer].blurred((to * to - from * from).sqrt());
                blurred.push(next);
                differences.push(difference);
            }
            first = blurred[LAYERS].halved();
            octaves.push(Octave { step, blurred, differences });
            step *= 2.0;
        }
        ScaleSpace { octaves }
    }

    /// All spots that stand out by more than `threshold`, some with two directions.
    pub fn spots(&self, threshold: f32) -> Vec<Spot> {
        let mut spots = Vec::new();
        for (number, octave) in self.octaves.iter().enumerate() {
            for layer in 1..=LAYERS {
                octave.extrema(layer, threshold, &mut |x, y| {
                    spots.extend(octave.refined(number, layer, x, y, threshold));
                });
            }
        }
        spots
    }

    /// The directions in which a spot's gradients are strongest: one, or two if nearly equal.
    pub fn directed(&self, spot: &Spot) -> impl Iterator<Item = Spot> + use<> {
        let octave = &self.octaves[spot.octave];
        let spot = *spot;
        octave.directions(&spot).into_iter().flatten().map(move |angle| Spot { angle, ..spot })
    }

    /// Brightness around a spot, turned so that its direction is the x axis, at `side` × `side` places that
    /// lie `spacing` sigmas apart.
    pub fn patch<const SIDE: usize>(&self, spot: &Spot, spacing: f32) -> [[f32; SIDE]; SIDE] {
        let octave = &self.octaves[spot.octave];
        let plane = &octave.blurred[spot.layer];
        let step = spacing * spot.sigma / octave.step;
        let (sin, cos) = spot.angle.sin_cos();
        let (center_x, center_y) = (spot.x / octave.step, spot.y / octave.step);
        let (right, bottom) = ((plane.width - 1) as f32, (plane.height - 1) as f32);
        let half = (SIDE as f32 - 1.0) / 2.0;
        let mut patch = [[0.0; SIDE]; SIDE];
        for (v, row) in patch.iter_mut().enumerate() {
            let v = (v as f32 - half) * step;
            let (start_x, start_y) = (center_x - v * sin + 0.5, center_y + v * cos + 0.5);
            let mut places = [0; SIDE];
            for (u, place) in places.iter_mut().enumerate() {
                let u = (u as f32 - half) * step;
                let x = (start_x + u * cos).max(0.0).min(right);
                let y = (start_y + u * sin).max(0.0).min(bottom);
                *place = y as u32 * plane.width as u32 + x as u32;
            }
            for (value, place) in row.iter_mut().zip(places) {
                *value = plane.values[place as usize];
            }
        }
        patch
    }
}

impl Octave {
    /// Tells of each pixel whose difference is above, or below, those of its 26 neighbours.
    fn extrema(&self, layer: usize, threshold: f32, found: &mut dyn FnMut(usize, usize)) {
        let [below, here, above] = [layer - 1, layer, layer + 1].map(|l| &self.differences[l]);
        let mut marks = vec![0; here.width];
        for y in BORDER..here.height - BORDER {
            mark(here.row(y - 1), here.row(y), here.row(y + 1), threshold, &mut marks);
            for (block, eight) in marks.chunks(8).enumerate() {
                if eight.iter().fold(0, |any, mark| any | mark) == 0 {
                    continue;
                }
                for (x, _) in (8 * block..).zip(eight).filter(|(_, mark)| **mark != 0) {
                    let inside = (BORDER..here.width - BORDER).contains(&x);
                    if inside && is_extreme([below, here, above], x, y) {
                        found(x, y);
                    }
                }
            }
        }
    }

    /// The extremum between the pixels, by a parabola through the neighbours; none where it lies on an edge.
    fn refined(
        &self,
        octave: usize,
        layer: usize,
        x: usize,
        y: usize,
        threshold: f32,
    ) -> Option<Spot> {
        let [below, here, above] = [layer - 1, layer, layer + 1].map(|l| &self.differences[l]);
        let value = here.at(x, y);
        let (left, right) = (here.at(x - 1, y), here.at(x + 1, y));
        let (up, down) = (here.at(x, y - 1), here.at(x, y + 1));
        let (finer, coarser) = (below.at(x, y), above.at(x, y));
        let gradient = [(right - left) / 2.0, (down - up) / 2.0, (coarser - finer) / 2.0];
        let xx = left + right - 2.0 * value;
        let yy = up + down - 2.0 * value;
        let ss = finer + coarser - 2.0 * value;
        let xy = (here.at(x + 1, y + 1) + here.at(x - 1, y - 1)
            - here.at(x - 1, y + 1)
            - here.at(x + 1, y - 1))
            / 4.0;
        let xs =
            (above.at(x + 1, y) + below.at(x - 1, y) - above.at(x - 1, y) - below.at(x + 1, y))
                / 4.0;
        let ys =
            (above.at(x, y + 1) + below.at(x, y - 1) - above.at(x, y - 1) - below.at(x, y + 1))
                / 4.0;

        let (trace, determinant) = (xx + yy, xx * yy - xy * xy);
        if determinant <= 0.0 || trace * trace * EDGE >= (EDGE + 1.0) * (EDGE + 1.0) * determinant {
            return None;
        }
        let offset = solve([[xx, xy, xs], [xy, yy, ys], [xs, ys, ss]], gradient)
            .map_or([0.0; 3], |o| o.map(|o| (-o).clamp(-0.7, 0.7)));
        let peak = value + 0.5 * (0..3).map(|i| gradient[i] * offset[i]).sum::<f32>();
        if peak.abs() <= threshold {
            return None;
        }
        Some(Spot {
            x: (x as f32 + offset[0]) * self.step,
            y: (y as f32 + offset[1]) * self.step,
            sigma: layer_sigma(layer as f32 + offset[2]) * self.step,
            angle: 0.0,
            strength: peak.abs(),
            octave,
            layer,
        })
    }

    /// Peaks of the histogram of gradient directions around a spot, weighted by a Gaussian.
    fn directions(&self, spot: &Spot) -> [Option<f32>; 2] {
        let plane = &self.blurred[spot.layer];
        let sigma = 1.5 * spot.sigma / self.step;
        // Gradients next to each other say the same: some 15 by 15 places are enough.
        let stride = (3.0 * sigma / 7.0).round().max(1.0);
        let reach = |center: f32, size: usize| {
            let places = (-7..=7).map(move |at| (center + 0.5 + at as f32 * stride) as isize);
            places.zip(-7_i32..).filter(move |(at, _)| *at >= 1 && *at < size as isize - 1)
        };
        let mut gradients = Gradients::default();
        let falloff = -0.5 * (stride / sigma) * (stride / sigma);
        let columns: Vec<(isize, i32)> = reach(spot.x / self.step, plane.width).collect();
        for (y, v) in reach(spot.y / self.step, plane.height) {
            let y = y as usize;
            let [up, row, down] = [y - 1, y, y + 1].map(|y| plane.row(y));
            for &(x, u) in &columns {
                let x = x as usize;
                gradients.push(
                    row[x + 1] - row[x - 1],
                    down[x] - up[x],
                    (u * u + v * v) as f32 * falloff,
                );
            }
        }
        let bins = gradients.histogram();
        let smooth: [f32; BINS] = std::array::from_fn(|at| {
            let bin = |by: usize| bins[(at + BINS + by - 2) % BINS];
            (bin(0) + bin(4) + 4.0 * (bin(1) + bin(3)) + 6.0 * bin(2)) / 16.0
        });
        let most = smooth.iter().fold(0.0_f32, |most, &bin| most.max(bin));
        let mut peaks: Vec<(f32, f32)> = Vec::new();
        for at in 0..BINS {
            let (before, here, after) =
                (smooth[(at + BINS - 1) % BINS], smooth[at], smooth[(at + 1) % BINS]);
            if here > before && here >= after && here >= 0.8 * most {
                let offset = 0.5 * (before - after) / (before - 2.0 * here + after);
                peaks.push((here, (at as f32 + offset) * (TAU / BINS as f32)));
            }
        }
        peaks.sort_by(|a, b| b.0.total_cmp(&a.0));
        [peaks.first().map(|p| p.1), peaks.get(1).map(|p| p.1)]
    }
}

/// Marks the pixels of a row that are above, or below, their four nearest neighbours.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq", "x86_64+avx2"))]
fn mark(up: &[f32], row: &[f32], down: &[f32], threshold: f32, marks: &mut [u8]) {
    let width = row.len();
    let (left, middle, right) = (&row[..width - 2], &row[1..width - 1], &row[2..]);
    let (up, down) = (&up[1..width - 1], &down[1..width - 1]);
    let marks = &mut marks[1..width - 1];
    for at in 0..marks.len() {
        let value = middle[at];
        let high = left[at].max(right[at]).max(up[at].max(down[at]));
        let low = left[at].min(right[at]).min(up[at].min(down[at]));
        let top = (value > threshold) & (value > high);
        let bottom = (value < -threshold) & (value < low);
        marks[at] = u8::from(top | bottom);
    }
}

fn is_extreme(planes: [&Plane; 3], x: usize, y: usize) -> bool {
    let value = planes[1].at(x, y);
    let neighbours = |plane: &Plane, y: usize| -> [f32; 3] {
        std::array::from_fn(|column| plane.at(x + column - 1, y))
    };
    // Itself is among them and neither above nor below.
    planes.into_iter().all(|plane| {
        [y, y - 1, y + 1].into_iter().all(|y| {
            let near = neighbours(plane, y);
            if value > 0.0 {
                near.iter().all(|&n| n <= value)
            } else {
                near.iter().all(|&n| n >= value)
            }
        })
    })
}

/// Brightness gradients around a spot.
#[derive(Default)]
struct Gradients {
    count: usize,
    x: Samples,
    y: Samples,
    /// Exponents of the weights.
    falloff: Samples,
}

/// Room for 15 by 15.
struct Samples([f32; 256]);

impl Default for Samples {
    fn default() -> Samples {
        Samples([0.0; 256])
    }
}

impl Gradients {
    fn push(&mut self, x: f32, y: f32, falloff: f32) {
        self.x.0[self.count] = x;
        self.y.0[self.count] = y;
        self.falloff.0[self.count] = falloff;
        self.count += 1;
    }

    fn histogram(&self) -> [f32; BINS] {
        let mut weights = [0.0; 256];
        let mut places = [0.0; 256];
        weigh_and_place(self, &mut weights, &mut places);
        let mut bins = [0.0; BINS + 2];
        for (weight, place) in weights.iter().zip(&places).take(self.count) {
            let whole = *place as usize;
            let share = place - whole as f32;
            bins[whole] += weight * (1.0 - share);
            bins[whole + 1] += weight * share;
        }
        bins[0] += bins[BINS];
        bins[1] += bins[BINS + 1];
        std::array::from_fn(|bin| bins[bin])
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq", "x86_64+avx2"))]
fn weigh_and_place(gradients: &Gradients, weights: &mut [f32; 256], places: &mut [f32; 256]) {
    for at in 0..256 {
        let (x, y) = (gradients.x.0[at], gradients.y.0[at]);
        weights[at] = (x * x + y * y).sqrt() * falling(gradients.falloff.0[at]);
        places[at] = direction(x, y) * (BINS as f32 / TAU);
    }
}

/// Deviation of a layer's Gaussian, in pixels of its octave.
fn layer_sigma(layer: f32) -> f32 {
    SIGMA * (layer / LAYERS as f32).exp2()
}

/// Solves three linear equations by Cramer's rule.
fn solve(m: [[f32; 3]; 3], b: [f32; 3]) -> Option<[f32; 3]> {
    let det = |m: [[f32; 3]; 3]| {
        m[0][0] * (m[1][1] * m[2][2] - m[1][2] * m[2][1])
            - m[0][1] * (m[1][0] * m[2][2] - m[1][2] * m[2][0])
            + m[0][2] * (m[1][0] * m[2][1] - m[1][1] * m[2][0])
    };
    let whole = det(m);
    if whole.abs() < 1e-9 {
        return None;
    }
    Some(std::array::from_fn(|column| {
        let mut replaced = m;
        for row in 0..3 {
            replaced[row][column] = b[row];
        }
        det(replaced) / whole
    }))
}

/// The direction of a vector, 0 to 2π, within 0.005.
#[inline(always)]
fn direction(x: f32, y: f32) -> f32 {
    let (ax, ay) = (x.abs(), y.abs());
    let ratio = ax.min(ay) / ax.max(ay).max(1e-20);
    let squared = ratio * ratio;
    let mut angle =
        ((-0.046_496_47 * squared + 0.159_314_22) * squared - 0.327_622_76) * squared * ratio
            + ratio;
    angle = if ay > ax { PI / 2.0 - angle } else { angle };
    angle = if x < 0.0 { PI - angle } else { angle };
    if y < 0.0 { TAU - angle } else { angle }
}

/// e to a power between -6 and 0, nearly: falling is what matters.
#[inline(always)]
fn falling(power: f32) -> f32 {
    let sixteenth = (1.0 + power / 16.0).max(0.0);
    let fourth = sixteenth * sixteenth * sixteenth * sixteenth;
    fourth * fourth * fourth * fourth
}

/// Layers of an octave in which spots are found.
const LAYERS: usize = 2;
/// Deviation of the finest layer's Gaussian.
const SIGMA: f32 = 1.6;
/// Octaves go on until a side is shorter.
const SIDE_MIN: usize = 16;
const OCTAVES_MAX: usize = 8;
/// Pixels at the edge in which no spot is looked for.
const BORDER: usize = 3;
/// The greatest ratio of the two curvatures at a spot; at an edge it is high.
const EDGE: f32 = 10.0;
const BINS: usize = 36;
