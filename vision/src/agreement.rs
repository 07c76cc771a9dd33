//! Whether two pictures look alike where their keypoints say that they lie on each other.
//!
//! Different things of the same make (two chairs, two wings of one kind of butterfly, two icons in one frame)
//! share keypoints. A copy also looks alike between them.

use crate::picture::Picture;
use crate::plane::Plane;
use crate::polygon::{Polygon, mapped};

/// How much of what lies on each other looks alike.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Agreement {
    /// Windows with something to see in one of the pictures.
    pub windows: u32,
    /// Of these, those that look alike.
    pub alike: u32,
}

impl Agreement {
    /// The share that looks alike; 0 where there is nothing to see.
    pub fn share(&self) -> f64 {
        f64::from(self.alike) / f64::from(self.windows.max(1))
    }
}

/// Compares a work with a suspect on which it lies by `map`, within `part` of the work's pixels.
pub fn agreement(work: &Picture, suspect: &Picture, map: &[f64; 6], part: &Polygon) -> Agreement {
    let Some([left, top, right, bottom]) = part.bounds() else { return Agreement::default() };
    let longest = (right - left).max(bottom - top).max(1.0);
    // One raster pixel is so many pixels of the work; the copy may have fewer to show.
    let magnification = (map[0] * map[4] - map[1] * map[3]).abs().sqrt();
    let step = (longest / RASTER_SIDE).max(1.0).max(1.0 / magnification);
    let work = Reduced::new(work, step);
    let suspect = Reduced::new(suspect, step * magnification);
    let (columns, rows) =
        (((right - left) / step) as usize + 1, ((bottom - top) / step) as usize + 1);
    let mut agreement = Agreement::default();
    for row in (0..rows.saturating_sub(WINDOW - 1)).step_by(WINDOW / 2) {
        for column in (0..columns.saturating_sub(WINDOW - 1)).step_by(WINDOW / 2) {
            let at =
                |u: f64, v: f64| [left + (column as f64 + u) * step, top + (row as f64 + v) * step];
            let middle = at(WINDOW as f64 / 2.0, WINDOW as f64 / 2.0);
            if !part.contains(middle) {
                continue;
            }
            let mut seen = [0.0; WINDOW * WINDOW];
            for (place, value) in seen.iter_mut().enumerate() {
                let [x, y] = at((place % WINDOW) as f64 + 0.5, (place / WINDOW) as f64 + 0.5);
                *value = work.at(x, y);
            }
            let mut best = f32::MIN;
            let mut plain = deviation(&seen) < DETAIL_MIN;
            for (du, dv) in SHIFTS {
                let mut other = [0.0; WINDOW * WINDOW];
                for (place, value) in other.iter_mut().enumerate() {
                    let u = (place % WINDOW) as f64 + 0.5 + du;
                    let v = (place / WINDOW) as f64 + 0.5 + dv;
                    let [x, y] = mapped(map, at(u, v));
                    *value = suspect.at(x, y);
                }
                plain &= deviation(&other) < DETAIL_MIN;
                best = best.max(correlation(&seen, &other));
            }
            if !plain {
                agreement.windows += 1;
                agreement.alike += u32::from(best > ALIKE_MIN);
            }
        }
    }
    agreement
}

/// A plane of about one pixel for each `step` of the picture's.
struct Reduced {
    plane: Plane,
    x: f64,
    y: f64,
}

impl Reduced {
    fn new(picture: &Picture, step: f64) -> Reduced {
        let size = |side: u32| ((f64::from(side) / step).round() as usize).max(1);
        let (width, height) = (size(picture.width), size(picture.height));
        let plane = Plane::luma(picture, width.max(height)).0.resized(width, height);
        let share = |to: usize, from: u32| to as f64 / f64::from(from);
        Reduced { x: share(width, picture.width), y: share(height, picture.height), plane }
    }

    /// Linearly between pixels; outside, the edge goes on.
    fn at(&self, x: f64, y: f64) -> f32 {
        let exact = |at: f64, size: usize| (at - 0.5).clamp(0.0, (size - 1) as f64);
        let (x, y) = (exact(x * self.x, self.plane.width), exact(y * self.y, self.plane.height));
        let (x0, y0) = (x as usize, y as usize);
        let (x1, y1) = ((x0 + 1).min(self.plane.width - 1), (y0 + 1).min(self.plane.height - 1));
        let (u, v) = ((x - x0 as f64) as f32, (y - y0 as f64) as f32);
        let line = |y: usize| self.plane.at(x0, y) * (1.0 - u) + self.plane.at(x1, y) * u;
        line(y0) * (1.0 - v) + line(y1) * v
    }
}

fn mean(values: &[f32]) -> f32 {
    values.iter().sum::<f32>() / values.len() as f32
}

fn deviation(values: &[f32]) -> f32 {
    let mean = mean(values);
    (values.iter().map(|v| (v - mean) * (v - mean)).sum::<f32>() / values.len() as f32).sqrt()
}

fn correlation(a: &[f32], b: &[f32]) -> f32 {
    let (mean_a, mean_b) = (mean(a), mean(b));
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (a, b) in a.iter().zip(b) {
        let (a, b) = (a - mean_a, b - mean_b);
        (ab, aa, bb) = (ab + a * b, aa + a * a, bb + b * b);
    }
    ab / (aa * bb).sqrt().max(1e-3)
}

/// Raster pixels along the longer side of what is compared.
const RASTER_SIDE: f64 = 72.0;
/// Raster pixels of a window's side.
const WINDOW: usize = 8;
/// Standard deviation in grey levels below which a window shows nothing.
const DETAIL_MIN: f32 = 5.0;
/// Windows are alike above this correlation.
const ALIKE_MIN: f32 = 0.7;
/// An affine map is not exact to the pixel.
const SHIFTS: [(f64, f64); 5] = [(0.0, 0.0), (-1.0, 0.0), (1.0, 0.0), (0.0, -1.0), (0.0, 1.0)];
