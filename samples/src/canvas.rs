//! A sheet to paint on: outlines filled with colour, nine fine dots to every pixel.
//!
//! Nothing here knows what is drawn. Only `+ - * / %`, `floor` and `sqrt` touch a number, so every
//! machine paints the same bytes.

use std::ops::{Add, Mul, Sub};

use image::{Rgb, RgbImage};

use crate::chance::{cosine, sine};

/// The painted sheet.
pub struct Canvas {
    width: usize,
    height: usize,
    dots: Vec<Colour>,
}

impl Canvas {
    /// A sheet of so many pixels, covered with its first coat.
    pub fn new(width: usize, height: usize, coat: impl Paint) -> Canvas {
        let mut canvas =
            Canvas { width, height, dots: vec![rgb(0xffffff); width * height * FINE * FINE] };
        canvas.fill(&rect(0.0, 0.0, width as f32, height as f32), coat);
        canvas
    }

    /// Paints the inside of a closed outline. Where it overlaps itself it is still inside.
    pub fn fill(&mut self, outline: &[Point], paint: impl Paint) {
        let top = outline.iter().fold(f32::MAX, |top, p| top.min(p.y));
        let end = outline.iter().fold(f32::MIN, |end, p| end.max(p.y));
        for row in fine_index(top, self.height)..fine_index(end, self.height) {
            let y = fine_centre(row);
            for (from, to) in spans(outline, y) {
                for column in fine_index(from, self.width)..fine_index(to, self.width) {
                    let dot = &mut self.dots[row * self.width * FINE + column];
                    *dot = dot.under(paint.at(at(fine_centre(column), y)));
                }
            }
        }
    }

    /// Fills an outline and draws its edge.
    pub fn fill_with_edge(&mut self, outline: &[Point], paint: Colour, width: f32, ink: Colour) {
        self.fill(outline, paint);
        let closed: Vec<Point> = outline.iter().chain(outline.first()).copied().collect();
        for side in closed.windows(2) {
            self.line(side[0], side[1], width, ink);
        }
    }

    /// Draws along a path, with a width at its start and one at its end.
    pub fn stroke(&mut self, path: &[Point], from: f32, to: f32, paint: impl Paint) {
        self.fill(&ribbon(path, |t| from + (to - from) * t), paint);
    }

    /// A straight line with round ends.
    pub fn line(&mut self, from: Point, to: Point, width: f32, ink: Colour) {
        self.stroke(&[from, to], width, width, ink);
        self.fill(&disc(from, width / 2.0), ink);
        self.fill(&disc(to, width / 2.0), ink);
    }

    /// Turns everything below `waterline` into water: what stands above it, upside down, each dot
    /// displaced by `ripple` and glazed with `water`.
    pub fn reflect(&mut self, waterline: f32, ripple: impl Fn(Point) -> Point, water: impl Paint) {
        let first = fine_index(waterline, self.height);
        for row in first..self.height * FINE {
            for column in 0..self.width * FINE {
                let here = at(fine_centre(column), fine_centre(row));
                let seen = at(here.x, 2.0 * waterline - here.y) + ripple(here);
                let x = fine_index(seen.x, self.width).min(self.width * FINE - 1);
                let y = fine_index(seen.y, self.height).min(first - 1);
                let mirrored = self.dots[y * self.width * FINE + x];
                self.dots[row * self.width * FINE + column] = mirrored.under(water.at(here));
            }
        }
    }

    /// The finished picture.
    pub fn develop(&self) -> RgbImage {
        RgbImage::from_fn(self.width as u32, self.height as u32, |x, y| {
            let mut sum = rgb(0);
            for row in y as usize * FINE..(y as usize + 1) * FINE {
                let start = row * self.width * FINE + x as usize * FINE;
                for dot in &self.dots[start..start + FINE] {
                    sum = Colour { r: sum.r + dot.r, g: sum.g + dot.g, b: sum.b + dot.b, a: 1.0 };
                }
            }
            sum.lit(1.0 / (FINE * FINE) as f32).rgb()
        })
    }
}

/// Where the line at height `y` runs inside the outline.
fn spans(outline: &[Point], y: f32) -> Vec<(f32, f32)> {
    let mut crossings: Vec<(f32, i32)> = Vec::new();
    let mut from = outline[outline.len() - 1];
    for &to in outline {
        if (from.y <= y) != (to.y <= y) {
            let x = from.x + (y - from.y) / (to.y - from.y) * (to.x - from.x);
            crossings.push((x, if from.y < to.y { 1 } else { -1 }));
        }
        from = to;
    }
    crossings.sort_by(|a, b| a.0.total_cmp(&b.0));

    let mut winding = 0;
    let mut spans = Vec::new();
    for pair in crossings.windows(2) {
        winding += pair[0].1;
        if winding != 0 {
            spans.push((pair[0].0, pair[1].0));
        }
    }
    spans
}

/// The first fine dot whose centre lies at or after `position`, kept on the sheet.
fn fine_index(position: f32, length: usize) -> usize {
    ((position * FINE as f32 + 0.5).floor().max(0.0) as usize).min(length * FINE)
}

fn fine_centre(index: usize) -> f32 {
    (index as f32 + 0.5) / FINE as f32
}

/// A place on the sheet, in pixels from the upper left corner.
#[derive(Clone, Copy)]
pub struct Point {
    pub x: f32,
    pub y: f32,
}

/// The point at x and y.
pub const fn at(x: f32, y: f32) -> Point {
    Point { x, y }
}

impl Point {
    /// Distance from the origin.
    pub fn length(self) -> f32 {
        (self.x * self.x + self.y * self.y).sqrt()
    }

    /// The same arrow, turned about the origin.
    pub fn turned(self, turns: f32) -> Point {
        let (sin, cos) = (sine(turns), cosine(turns));
        at(self.x * cos - self.y * sin, self.x * sin + self.y * cos)
    }

    /// The point a part `t` of the way to another.
    pub fn towards(self, other: Point, t: f32) -> Point {
        self + (other - self) * t
    }
}

impl Add for Point {
    type Output = Point;
    fn add(self, other: Point) -> Point {
        at(self.x + other.x, self.y + other.y)
    }
}

impl Sub for Point {
    type Output = Point;
    fn sub(self, other: Point) -> Point {
        at(self.x - other.x, self.y - other.y)
    }
}

impl Mul<f32> for Point {
    type Output = Point;
    fn mul(self, factor: f32) -> Point {
        at(self.x * factor, self.y * factor)
    }
}

/// Red, green, blue and opacity, each from 0 to 1.
#[derive(Clone, Copy)]
pub struct Colour {
    r: f32,
    g: f32,
    b: f32,
    a: f32,
}

/// An opaque colour from its usual `0xrrggbb`.
pub const fn rgb(hex: u32) -> Colour {
    let [_, r, g, b] = hex.to_be_bytes();
    Colour { r: r as f32 / 255.0, g: g as f32 / 255.0, b: b as f32 / 255.0, a: 1.0 }
}

impl Colour {
    /// The same colour, this opaque.
    pub fn fade(self, a: f32) -> Colour {
        Colour { a: a.clamp(0.0, 1.0), ..self }
    }

    /// The same colour under more or less light.
    pub fn lit(self, light: f32) -> Colour {
        let part = |part: f32| (part * light).clamp(0.0, 1.0);
        Colour { r: part(self.r), g: part(self.g), b: part(self.b), a: self.a }
    }

    /// The nearest colour a picture file can hold.
    pub fn rgb(self) -> Rgb<u8> {
        Rgb([self.r, self.g, self.b].map(|part| (part * 255.0 + 0.5) as u8))
    }

    fn under(self, glaze: Colour) -> Colour {
        mix(self, glaze, glaze.a).fade(1.0)
    }
}

impl From<&Rgb<u8>> for Colour {
    fn from(pixel: &Rgb<u8>) -> Colour {
        let [r, g, b] = pixel.0.map(|byte| byte as f32 / 255.0);
        Colour { r, g, b, a: 1.0 }
    }
}

/// The colour a part `t` of the way from one to another.
pub fn mix(from: Colour, to: Colour, t: f32) -> Colour {
    let t = t.clamp(0.0, 1.0);
    let part = |from: f32, to: f32| from + (to - from) * t;
    Colour {
        r: part(from.r, to.r),
        g: part(from.g, to.g),
        b: part(from.b, to.b),
        a: part(from.a, to.a),
    }
}

/// The colour a part `t` of the way through two or more evenly spaced colours.
pub fn blend(colours: &[u32], t: f32) -> Colour {
    let place = t.clamp(0.0, 1.0) * (colours.len() - 1) as f32;
    let index = (place as usize).min(colours.len() - 2);
    mix(rgb(colours[index]), rgb(colours[index + 1]), place - index as f32)
}

/// What an outline is filled with: one colour, or a colour for every place.
pub trait Paint {
    fn at(&self, place: Point) -> Colour;
}

impl Paint for Colour {
    fn at(&self, _: Point) -> Colour {
        *self
    }
}

impl<F: Fn(Point) -> Colour> Paint for F {
    fn at(&self, place: Point) -> Colour {
        self(place)
    }
}

/// A path through points told as x, y, x, y …
pub fn trace(pairs: &[i16]) -> Vec<Point> {
    trace_at(at(0.0, 0.0), at(1.0, 1.0), pairs)
}

/// The same path, enlarged or mirrored, with its origin elsewhere.
pub fn trace_at(origin: Point, scale: Point, pairs: &[i16]) -> Vec<Point> {
    let place = |pair: &[i16]| origin + at(pair[0] as f32 * scale.x, pair[1] as f32 * scale.y);
    pairs.chunks_exact(2).map(place).collect()
}

/// A rectangle from its upper left corner.
pub fn rect(x: f32, y: f32, width: f32, height: f32) -> Vec<Point> {
    vec![at(x, y), at(x + width, y), at(x + width, y + height), at(x, y + height)]
}

/// A circle.
pub fn disc(centre: Point, radius: f32) -> Vec<Point> {
    ellipse(centre, radius, radius, 0.0)
}

/// An ellipse, turned clockwise.
pub fn ellipse(centre: Point, rx: f32, ry: f32, turns: f32) -> Vec<Point> {
    (0..72)
        .map(|i| i as f32 / 72.0)
        .map(|t| centre + at(rx * cosine(t), ry * sine(t)).turned(turns))
        .collect()
}

/// Heights at every x from 0 to `width`: a horizon for [`below`].
pub fn horizon(width: usize, height: impl Fn(f32) -> f32) -> Vec<f32> {
    (0..width).map(|x| height(x as f32)).collect()
}

/// Everything below a horizon.
pub fn below(ridge: &[f32], height: f32) -> Vec<Point> {
    let line = ridge.iter().enumerate().map(|(x, &y)| at(x as f32, y));
    line.chain([at(ridge.len() as f32, height), at(0.0, height)]).collect()
}

/// A band along a path; `width` is asked from 0 at its start to 1 at its end.
pub fn ribbon(path: &[Point], width: impl Fn(f32) -> f32) -> Vec<Point> {
    let last = path.len() - 1;
    let side = |i: usize| {
        let along = path[(i + 1).min(last)] - path[i.saturating_sub(1)];
        at(-along.y, along.x) * (width(i as f32 / last as f32) / 2.0 / along.length().max(0.001))
    };
    let left = (0..=last).map(|i| path[i] + side(i));
    left.chain((0..=last).rev().map(|i| path[i] - side(i))).collect()
}

/// A smooth path through points (Catmull–Rom).
pub fn curve(points: &[Point]) -> Vec<Point> {
    let last = points.len() - 1;
    let mut path = Vec::new();
    for i in 0..last {
        let around =
            [points[i.saturating_sub(1)], points[i], points[i + 1], points[(i + 2).min(last)]];
        path.extend(smooth(around));
    }
    path.push(points[last]);
    path
}

/// A smooth closed outline through points.
pub fn blob(points: &[Point]) -> Vec<Point> {
    let n = points.len();
    (0..n)
        .flat_map(|i| smooth([(i + n - 1) % n, i, (i + 1) % n, (i + 2) % n].map(|i| points[i])))
        .collect()
}

/// Steps of the Catmull–Rom curve from the second of four points to the third.
fn smooth([a, b, c, d]: [Point; 4]) -> impl Iterator<Item = Point> {
    (0..10).map(|i| i as f32 / 10.0).map(move |t| {
        let bend = (c - a) * t + (a * 2.0 - b * 5.0 + c * 4.0 - d) * (t * t);
        b + (bend + (b * 3.0 - a - c * 3.0 + d) * (t * t * t)) * 0.5
    })
}

/// Fine dots per pixel and direction; their mean is the pixel, which makes edges smooth.
const FINE: usize = 3;
