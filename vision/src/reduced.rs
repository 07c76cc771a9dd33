//! A picture in the size at which rectangles in it are looked for, and the plain frame around it.

use crate::picture::{Luma, Picture, Rectangle};

/// The picture without its plain frame; `None` where it has none, or is nothing but plain.
pub fn trim(picture: &Picture) -> Option<Rectangle> {
    let reduced = Reduced::new(picture);
    let inner = reduced.trim(reduced.scale.frame())?;
    Some(reduced.scale.in_picture(&inner))
}

/// As [`trim`], where only the brightness is known. Of what is reduced already, thin frames may look thicker or be missed.
pub fn trim_luma(luma: &Luma) -> Option<Rectangle> {
    let reduced = ReducedLuma { luma, scale: Scale::new(luma.width, luma.height) };
    let inner = reduced.trim(reduced.scale.frame())?;
    Some(reduced.scale.in_picture(&inner))
}

/// How a picture is reduced: whole squares of its pixels become one.
#[derive(Clone, Copy)]
pub(crate) struct Scale {
    pub width: usize,
    pub height: usize,
    /// How many pixels of the picture one of these is, each way.
    pub factor: usize,
    /// Those of the picture.
    sides: (u32, u32),
}

impl Scale {
    fn new(width: u32, height: u32) -> Scale {
        let (longer, shorter) = (width.max(height) as usize, width.min(height) as usize);
        let factor = longer.div_ceil(SIDE_PIXELS_MAX).clamp(1, shorter.max(1));
        let (reduced_width, reduced_height) = (width as usize / factor, height as usize / factor);
        Scale { width: reduced_width, height: reduced_height, factor, sides: (width, height) }
    }

    /// All of it.
    pub fn frame(&self) -> Area {
        Area { x: 0, y: 0, right: self.width, bottom: self.height }
    }

    /// The same area in the pixels of the picture; what reaches the last pixel here reaches it there.
    pub fn in_picture(&self, area: &Area) -> Rectangle {
        let end = |at: usize, side: usize, last: u32| {
            if at == side { last } else { (at * self.factor) as u32 }
        };
        let (x, y) = ((area.x * self.factor) as u32, (area.y * self.factor) as u32);
        let right = end(area.right, self.width, self.sides.0);
        let bottom = end(area.bottom, self.height, self.sides.1);
        Rectangle { x, y, width: right - x, height: bottom - y }
    }
}

/// The three channels of a picture apart, reduced.
pub(crate) struct Reduced {
    pub scale: Scale,
    pub planes: [Vec<u8>; 3],
}

impl Reduced {
    pub fn new(picture: &Picture) -> Reduced {
        let scale = Scale::new(picture.width, picture.height);
        let (width, factor) = (picture.width as usize, scale.factor);
        let mut planes = [(); 3].map(|()| Vec::with_capacity(scale.width * scale.height));
        let area = (factor * factor) as u64;
        let mut sums = vec![[0_u64; 3]; scale.width];
        for rows in picture.rgb.chunks_exact((width * 3 * factor).max(1)).take(scale.height) {
            if factor == 1 {
                let pixels = rows.as_chunks::<3>().0;
                for (channel, plane) in planes.iter_mut().enumerate() {
                    plane.extend(pixels.iter().map(|pixel| pixel[channel]));
                }
                continue;
            }
            sums.fill([0; 3]);
            for row in rows.chunks_exact(width * 3) {
                for (sum, pixels) in sums.iter_mut().zip(row.chunks_exact(3 * factor)) {
                    let mut part = [0_u32; 3];
                    for pixel in pixels.as_chunks::<3>().0 {
                        for (part, value) in part.iter_mut().zip(pixel) {
                            *part += u32::from(*value);
                        }
                    }
                    for (sum, part) in sum.iter_mut().zip(part) {
                        *sum += u64::from(part);
                    }
                }
            }
            for (channel, plane) in planes.iter_mut().enumerate() {
                plane.extend(sums.iter().map(|sum| (sum[channel] / area) as u8));
            }
        }
        Reduced { scale, planes }
    }
}

/// Reduced where it is looked at, and nowhere else: most pictures have no frame and show it in four lines.
struct ReducedLuma<'a> {
    luma: &'a Luma,
    scale: Scale,
}

/// What has colours, and may have a plain frame.
pub(crate) trait Framed<const N: usize> {
    /// The colour of a pixel.
    fn colour(&self, at: (usize, usize)) -> [u8; N];

    /// An area without its plain frame; `None` where it has none, or only a detail would be left.
    fn trim(&self, area: Area) -> Option<Area> {
        let large = |inner: &Area| {
            (inner.right - inner.x) * SIDE_LEFT >= area.right - area.x
                && (inner.bottom - inner.y) * SIDE_LEFT >= area.bottom - area.y
        };
        let bare = if area.pixels() > 0 { self.bare(area) } else { None };
        bare.filter(|inner| inner.pixels() > 0 && large(inner))
    }

    /// What is left of an area without its plain frame, if it has one: nothing where all of it is plain.
    fn bare(&self, area: Area) -> Option<Area> {
        let Area { mut x, mut y, mut right, mut bottom } = area;
        let columns = (area.x, area.right);
        while y < bottom && self.is_plain(columns, (y, y + 1)) {
            y += 1;
        }
        while bottom > y && self.is_plain(columns, (bottom - 1, bottom)) {
            bottom -= 1;
        }
        if y == bottom {
            return Some(Area { x, y, right: x, bottom });
        }
        // Within the rows that are left, so that bars above do not hide bars beside.
        while x < right && self.is_plain((x, x + 1), (y, bottom)) {
            x += 1;
        }
        while right > x && self.is_plain((right - 1, right), (y, bottom)) {
            right -= 1;
        }
        let inner = Area { x, y, right, bottom };
        (inner != area).then_some(inner)
    }

    /// Whether a row or a column of pixels is of one colour, but for a few: recompression ripples near the
    /// inner picture.
    fn is_plain(&self, columns: (usize, usize), rows: (usize, usize)) -> bool {
        let pixels = (rows.0..rows.1).flat_map(|y| (columns.0..columns.1).map(move |x| (x, y)));
        let middle = ((columns.0 + columns.1) / 2, (rows.0 + rows.1) / 2);
        let first = self.colour((columns.0, rows.0));
        let length = (columns.1 - columns.0) * (rows.1 - rows.0);
        let differs = |pixel: [u8; N]| {
            pixel.iter().zip(first).any(|(a, b)| a.abs_diff(b) > CHANNEL_DISTANCE_MAX)
        };
        // Most lines are not plain and show it early.
        if length > STRAY_SHARE && differs(self.colour(middle)) {
            return false;
        }
        let strays_max = length / STRAY_SHARE;
        let mut strays = 0;
        for at in pixels {
            strays += usize::from(differs(self.colour(at)));
            if strays > strays_max {
                return false;
            }
        }
        true
    }
}

impl Framed<3> for Reduced {
    fn colour(&self, (x, y): (usize, usize)) -> [u8; 3] {
        let at = y * self.scale.width + x;
        self.planes.each_ref().map(|plane| plane[at])
    }
}

impl Framed<1> for ReducedLuma<'_> {
    fn colour(&self, (x, y): (usize, usize)) -> [u8; 1] {
        let (width, factor) = (self.luma.width as usize, self.scale.factor);
        if factor == 1 {
            return [self.luma.values[y * width + x]];
        }
        let mut sum = 0;
        for row in y * factor..(y + 1) * factor {
            for value in &self.luma.values[row * width + x * factor..][..factor] {
                sum += u64::from(*value);
            }
        }
        [(sum / (factor * factor) as u64) as u8]
    }
}

/// A rectangle of the reduced picture.
#[derive(Clone, Copy, PartialEq)]
pub(crate) struct Area {
    pub x: usize,
    pub y: usize,
    /// The first column that is not of it.
    pub right: usize,
    /// The first row that is not of it.
    pub bottom: usize,
}

impl Area {
    pub fn pixels(&self) -> usize {
        (self.right - self.x) * (self.bottom - self.y)
    }

    pub fn inset(&self, by: usize) -> Option<Area> {
        let inner = Area {
            x: self.x + by,
            y: self.y + by,
            right: self.right.checked_sub(by)?,
            bottom: self.bottom.checked_sub(by)?,
        };
        (inner.right > inner.x && inner.bottom > inner.y).then_some(inner)
    }

    /// Whether there is as much of the outer area on the left as on the right, and more than a line of it,
    /// and the same above and below.
    pub fn bars(&self, outer: &Area) -> [bool; 2] {
        let even = |before: usize, after: usize, length: usize| {
            before.min(after) * BAR_SHARE >= length && before.abs_diff(after) <= 2 + length / 50
        };
        [
            even(self.x - outer.x, outer.right - self.right, outer.right - outer.x),
            even(self.y - outer.y, outer.bottom - self.bottom, outer.bottom - outer.y),
        ]
    }

    /// How many sides both have.
    pub fn sides_shared(&self, other: &Area) -> usize {
        let sides = |area: &Area| [area.x, area.y, area.right, area.bottom];
        sides(self)
            .iter()
            .zip(sides(other))
            .filter(|(a, b)| a.abs_diff(*b) <= SIDE_DISTANCE_MAX)
            .count()
    }

    /// What both cover, of what either covers.
    pub fn overlap(&self, other: &Area) -> f32 {
        let width = self.right.min(other.right).saturating_sub(self.x.max(other.x));
        let height = self.bottom.min(other.bottom).saturating_sub(self.y.max(other.y));
        let both = width * height;
        both as f32 / (self.pixels() + other.pixels() - both).max(1) as f32
    }
}

/// The longer side of what is looked at, at the most.
const SIDE_PIXELS_MAX: usize = 420;
/// A line belongs to a frame if no channel of its pixels is further than this from the line's first
/// pixel, but for one pixel in [`STRAY_SHARE`].
pub(crate) const CHANNEL_DISTANCE_MAX: u8 = 24;
const STRAY_SHARE: usize = 64;
/// What is left of each side at the least, as a divisor: less is a detail, not a framed picture.
const SIDE_LEFT: usize = 4;

/// How far from each other two sides are the same.
const SIDE_DISTANCE_MAX: usize = 3;
/// The least part of a side that is a bar, as a divisor.
const BAR_SHARE: usize = 25;

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(width: u32, height: u32, grey: impl Fn(u32, u32) -> u8) -> (Picture, Luma) {
        let values: Vec<u8> = (0..width * height).map(|at| grey(at % width, at / width)).collect();
        let rgb = values.iter().flat_map(|&grey| [grey; 3]).collect();
        (Picture { width, height, rgb }, Luma::new(width, height, values))
    }

    fn noise(x: u32, y: u32) -> u8 {
        ((x * 7 + y * 13).wrapping_mul(2_654_435_761) >> 24) as u8
    }

    #[test]
    fn a_frame_comes_off_in_colours_and_in_brightness() {
        // Up to 420 pixels a side nothing is reduced, and a side is found to the pixel.
        for (width, height, reduced) in [(120, 90, 1), (1000, 700, 3), (420, 300, 1), (421, 300, 2)]
        {
            let inner = Rectangle { x: 12, y: 6, width: width - 30, height: height - 36 };
            let (framed, luma) = picture(width, height, |x, y| {
                let inside = x.wrapping_sub(12) < inner.width && y.wrapping_sub(6) < inner.height;
                if inside { noise(x / 4, y / 4) } else { 250 - (x % 3) as u8 }
            });
            let found = trim(&framed).unwrap();
            assert_eq!(trim_luma(&luma), Some(found));
            let sides = |r: Rectangle| [r.x, r.y, r.x + r.width, r.y + r.height];
            for (found, side) in sides(found).into_iter().zip(sides(inner)) {
                assert!(found.abs_diff(side) < reduced, "{width} x {height}: {found} for {side}");
            }
        }
    }

    #[test]
    fn what_has_no_frame_is_left_as_it_is() {
        let check = |width, height, grey: &dyn Fn(u32, u32) -> u8| {
            let (picture, luma) = picture(width, height, grey);
            assert_eq!((trim(&picture), trim_luma(&luma)), (None, None), "{width} x {height}");
        };
        check(100, 75, &noise);
        check(1000, 750, &|x, y| noise(x / 4, y / 4));
        check(100, 75, &|_, _| 9);
        // Less than a quarter of each side is a detail.
        check(100, 100, &|x, y| if x.max(y) < 10 { noise(x, y) } else { 0 });
        for (width, height) in [(0, 0), (0, 9), (9, 0), (1, 1), (2, 100), (3, 200), (100, 2)] {
            check(width, height, &|x, _| (x as u8).wrapping_mul(90));
        }
    }
}
