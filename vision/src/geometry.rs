//! How a work lies in a suspect, for people to look at and in words.

use crate::pdq::Dihedral;
use crate::picture::Rectangle;
use crate::polygon::{Polygon, inverse};

/// One affine map from a work into a suspect, and the places that show it.
#[derive(Clone, Debug, PartialEq)]
pub struct Geometry {
    /// From the work's pixels to the suspect's, both upright, pixel edges at whole numbers:
    /// x' = m[0] x + m[1] y + m[2], y' = m[3] x + m[4] y + m[5].
    pub map: [f64; 6],
    /// Width and height of the work.
    pub work_size: [u32; 2],
    /// Width and height of the suspect.
    pub suspect_size: [u32; 2],
    /// Places that belong together: x and y in the work, x and y in the suspect. Empty where only codes of
    /// whole pictures, or of rectangles, showed it.
    pub joined: Vec<[[f32; 2]; 2]>,
}

/// Shares of two pictures that lie on each other, 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Overlap {
    /// Of the work.
    pub work: f64,
    /// Of the suspect.
    pub suspect: f64,
}

impl Geometry {
    /// The whole work in a rectangle of a suspect, turned or mirrored.
    pub fn whole(
        work_size: [u32; 2],
        suspect_size: [u32; 2],
        rectangle: Rectangle,
        position: Dihedral,
    ) -> Geometry {
        // In shares of either side: x' = a x + b y + c, y' = d x + e y + f.
        let [a, b, c, d, e, f] = match position {
            Dihedral::Original => [1, 0, 0, 0, 1, 0],
            Dihedral::Rotate90 => [0, -1, 1, 1, 0, 0],
            Dihedral::Rotate180 => [-1, 0, 1, 0, -1, 1],
            Dihedral::Rotate270 => [0, 1, 0, -1, 0, 1],
            Dihedral::FlipX => [1, 0, 0, 0, -1, 1],
            Dihedral::FlipY => [-1, 0, 1, 0, 1, 0],
            Dihedral::FlipPlus1 => [0, 1, 0, 1, 0, 0],
            Dihedral::FlipMinus1 => [0, -1, 1, -1, 0, 1],
        }
        .map(f64::from);
        let [work_width, work_height] = work_size.map(f64::from);
        let Rectangle { x, y, width, height } = rectangle;
        let [x, y, width, height] = [x, y, width, height].map(f64::from);
        let map = [
            a * width / work_width,
            b * width / work_height,
            c * width + x,
            d * height / work_width,
            e * height / work_height,
            f * height + y,
        ];
        Geometry { map, work_size, suspect_size, joined: Vec::new() }
    }

    /// The part of the work that is in the suspect, in the work's pixels; `None` for a map that flattens.
    pub fn part_of_work(&self) -> Option<Polygon> {
        let suspect = Polygon::frame(self.suspect_size).mapped(&inverse(&self.map)?);
        Some(suspect.clipped(&Polygon::frame(self.work_size)))
    }

    /// The part of the suspect that shows the work, in the suspect's pixels.
    pub fn part_of_suspect(&self) -> Polygon {
        Polygon::frame(self.work_size).mapped(&self.map).clipped(&Polygon::frame(self.suspect_size))
    }

    /// What the two parts are of the wholes.
    pub fn overlap(&self) -> Overlap {
        let share = |part: f64, [width, height]: [u32; 2]| {
            (part / (f64::from(width) * f64::from(height)).max(1.0)).clamp(0.0, 1.0)
        };
        let work = self.part_of_work().map_or(0.0, |part| part.area());
        Overlap {
            work: share(work, self.work_size),
            suspect: share(self.part_of_suspect().area(), self.suspect_size),
        }
    }

    /// What was done to the work to give the suspect, in words that follow "the work …".
    pub fn words(&self) -> String {
        let [a, b, _, d, e, _] = self.map;
        let mut words = Vec::new();
        let mirrored = a * e - b * d < 0.0;
        // Mirrored left to right first, then turned.
        let (cos, sin) = if mirrored { (e - a, d + b) } else { (a + e, d - b) };
        let turn = if mirrored { (-sin).atan2(cos) } else { sin.atan2(cos) }.to_degrees();
        match (mirrored, turn.round() as i32) {
            (true, degrees) if degrees.abs() == 180 => {
                words.push("mirrored top to bottom".to_owned())
            }
            (true, 0) => words.push("mirrored left to right".to_owned()),
            (true, degrees) => {
                words.push(format!("mirrored left to right and {}", turned(degrees)));
            }
            (false, 0) => {}
            (false, degrees) => words.push(turned(degrees)),
        }
        let (along, across) = (a.hypot(d), b.hypot(e));
        let stretch = along.max(across) / along.min(across).max(1e-9);
        if stretch > STRETCHED_MIN {
            let way = if along > across { "wider" } else { "higher" };
            words.push(format!("stretched to be {stretch:.1} times {way}"));
        }
        let overlap = self.overlap();
        if overlap.work < CROPPED_MAX {
            words.push(format!("cropped to {:.0} % of the work", 100.0 * overlap.work));
        }
        if overlap.suspect < INSIDE_MAX {
            let bounds = self.part_of_suspect().bounds().unwrap_or_default();
            let [left, top, right, bottom] = bounds.map(|at| at.round() as i64);
            let (width, height) = (right - left, bottom - top);
            words.push(format!("inside a larger picture at {left}, {top}, {width} × {height}"));
        }
        if words.is_empty() { "as it is".to_owned() } else { words.join(", ") }
    }
}

/// Pictures have y downwards, so a positive angle is clockwise.
fn turned(degrees: i32) -> String {
    match degrees.abs() {
        180 => "rotated by 180°".to_owned(),
        angle if degrees > 0 => format!("rotated by {angle}° clockwise"),
        angle => format!("rotated by {angle}° counterclockwise"),
    }
}

/// Less is the inexactness of the map.
const STRETCHED_MIN: f64 = 1.08;
const CROPPED_MAX: f64 = 0.96;
const INSIDE_MAX: f64 = 0.93;

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(position: Dihedral) -> Geometry {
        let [width, height] = match position {
            Dihedral::Rotate90
            | Dihedral::Rotate270
            | Dihedral::FlipPlus1
            | Dihedral::FlipMinus1 => [30, 40],
            _ => [40, 30],
        };
        let rectangle = Rectangle { x: 0, y: 0, width, height };
        Geometry::whole([40, 30], [width, height], rectangle, position)
    }

    #[test]
    fn words_say_what_was_done() {
        for (position, words) in [
            (Dihedral::Original, "as it is"),
            (Dihedral::Rotate90, "rotated by 90° clockwise"),
            (Dihedral::Rotate180, "rotated by 180°"),
            (Dihedral::Rotate270, "rotated by 90° counterclockwise"),
            (Dihedral::FlipX, "mirrored top to bottom"),
            (Dihedral::FlipY, "mirrored left to right"),
        ] {
            assert_eq!(whole(position).words(), words);
            assert_eq!(whole(position).overlap(), Overlap { work: 1.0, suspect: 1.0 });
        }
        let page = Rectangle { x: 100, y: 50, width: 80, height: 60 };
        let inside = Geometry::whole([40, 30], [400, 300], page, Dihedral::Original);
        assert_eq!(inside.words(), "inside a larger picture at 100, 50, 80 × 60");
        assert_eq!(inside.overlap(), Overlap { work: 1.0, suspect: 0.04 });
        let map = [2.0, 0.0, -20.0, 0.0, 2.0, -10.0];
        let crop =
            Geometry { map, work_size: [40, 30], suspect_size: [40, 30], joined: Vec::new() };
        assert_eq!(crop.words(), "cropped to 25 % of the work");
        let (sin, cos) = 12_f64.to_radians().sin_cos();
        let map = [cos, -sin, 0.0, sin, cos, 0.0];
        let turned =
            Geometry { map, work_size: [10, 10], suspect_size: [30, 30], joined: Vec::new() };
        assert!(turned.words().starts_with("rotated by 12° clockwise"), "{}", turned.words());
        let map = [-2.0, 0.0, 80.0, 0.0, 1.0, 0.0];
        let wide =
            Geometry { map, work_size: [40, 30], suspect_size: [80, 30], joined: Vec::new() };
        assert_eq!(wide.words(), "mirrored left to right, stretched to be 2.0 times wider");
    }

    #[test]
    fn a_map_that_flattens_shows_nothing() {
        let flat =
            Geometry { map: [0.0; 6], work_size: [4, 4], suspect_size: [4, 4], joined: Vec::new() };
        assert_eq!(flat.overlap(), Overlap { work: 0.0, suspect: 0.0 });
        assert!(flat.part_of_work().is_none());
        flat.words();
    }
}
