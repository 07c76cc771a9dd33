//! Convex polygons: what part of one picture lies on the other.

/// Corners in order around a convex polygon, clockwise or not; fewer than three enclose nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct Polygon {
    /// x and y of each corner.
    pub corners: Vec<[f64; 2]>,
}

impl Polygon {
    /// The frame of a picture of this width and height.
    pub fn frame([width, height]: [u32; 2]) -> Polygon {
        let [right, bottom] = [width, height].map(f64::from);
        Polygon { corners: vec![[0.0, 0.0], [right, 0.0], [right, bottom], [0.0, bottom]] }
    }

    /// The smallest that holds all points (Andrew's monotone chain).
    pub fn hull(mut points: Vec<[f64; 2]>) -> Polygon {
        points.sort_by(|a, b| a[0].total_cmp(&b[0]).then(a[1].total_cmp(&b[1])));
        let mut corners = chain(points.iter());
        corners.extend(chain(points.iter().rev()));
        Polygon { corners }
    }

    /// The polygon under an affine map, x' = m[0] x + m[1] y + m[2], y' = m[3] x + m[4] y + m[5].
    pub fn mapped(&self, map: &[f64; 6]) -> Polygon {
        Polygon { corners: self.corners.iter().map(|&point| mapped(map, point)).collect() }
    }

    /// The part of it within another (Sutherland and Hodgman).
    pub fn clipped(&self, to: &Polygon) -> Polygon {
        let mut corners = self.corners.clone();
        let side = to.signed_area().signum();
        for (a, b) in to.edges() {
            let inside = |point| side * cross(a, b, point) >= 0.0;
            let from = std::mem::take(&mut corners);
            let next = from.iter().cycle().skip(1);
            for (&here, &there) in from.iter().zip(next) {
                if inside(here) {
                    corners.push(here);
                }
                if inside(here) != inside(there) {
                    let (p, q) = (cross(a, b, here), cross(a, b, there));
                    let share = p / (p - q);
                    corners.push([0, 1].map(|i| here[i] + (there[i] - here[i]) * share));
                }
            }
        }
        Polygon { corners }
    }

    /// In square pixels.
    pub fn area(&self) -> f64 {
        self.signed_area().abs()
    }

    /// Whether a point is within it or on its edge.
    pub fn contains(&self, point: [f64; 2]) -> bool {
        let side = self.signed_area().signum();
        self.edges().all(|(a, b)| side * cross(a, b, point) >= 0.0)
    }

    /// Left, top, right and bottom; `None` without corners.
    pub fn bounds(&self) -> Option<[f64; 4]> {
        let mut corners = self.corners.iter();
        let &[x, y] = corners.next()?;
        Some(corners.fold([x, y, x, y], |[left, top, right, bottom], &[x, y]| {
            [left.min(x), top.min(y), right.max(x), bottom.max(y)]
        }))
    }

    fn signed_area(&self) -> f64 {
        self.edges().map(|(a, b)| a[0] * b[1] - b[0] * a[1]).sum::<f64>() / 2.0
    }

    fn edges(&self) -> impl Iterator<Item = ([f64; 2], [f64; 2])> {
        let next = self.corners.iter().cycle().skip(1);
        self.corners.iter().zip(next).map(|(&a, &b)| (a, b))
    }
}

/// Where an affine map puts a point.
pub fn mapped(map: &[f64; 6], [x, y]: [f64; 2]) -> [f64; 2] {
    [map[0] * x + map[1] * y + map[2], map[3] * x + map[4] * y + map[5]]
}

/// The map backwards; `None` where it flattens the plane, or its numbers are no lengths of a picture.
pub fn inverse(&[a, b, c, d, e, f]: &[f64; 6]) -> Option<[f64; 6]> {
    let determinant = a * e - b * d;
    // No comparison holds for what is not a number.
    let sound = [a, b, c, d, e, f].iter().all(|value| value.abs() < FACTOR_MAX);
    let inverse = [e, -b, b * f - c * e, -d, a, c * d - a * f];
    (sound && determinant.abs() > 1e-9).then(|| inverse.map(|value| value / determinant))
}

/// One half of the hull of sorted points, without its last corner.
fn chain<'a>(points: impl Iterator<Item = &'a [f64; 2]>) -> Vec<[f64; 2]> {
    let mut chain: Vec<[f64; 2]> = Vec::new();
    for &point in points {
        while let [.., a, b] = chain[..] {
            if cross(a, b, point) > 0.0 {
                break;
            }
            chain.pop();
        }
        chain.push(point);
    }
    chain.pop();
    chain
}

fn cross(a: [f64; 2], b: [f64; 2], c: [f64; 2]) -> f64 {
    (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
}

/// What the numbers of a map are below.
const FACTOR_MAX: f64 = 1e6;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SQUARE: [u32; 2] = [10, 10];

    #[test]
    fn what_lies_within_a_frame_is_cut_out() {
        let frame = Polygon::frame(SQUARE);
        let shifted = frame.mapped(&[1.0, 0.0, 5.0, 0.0, 1.0, -5.0]);
        assert_eq!(shifted.clipped(&frame).area(), 25.0);
        // A quarter turn and a mirror image change nothing of a frame.
        assert_eq!(frame.mapped(&[0.0, -1.0, 10.0, 1.0, 0.0, 0.0]).clipped(&frame).area(), 100.0);
        let mirrored = frame.mapped(&[-1.0, 0.0, 10.0, 0.0, 1.0, 0.0]);
        assert_eq!(mirrored.clipped(&frame).area(), 100.0);
        assert!(mirrored.contains([5.0, 5.0]) && !mirrored.contains([11.0, 5.0]));
        let away = frame.mapped(&[1.0, 0.0, 50.0, 0.0, 1.0, 0.0]);
        assert_eq!(away.clipped(&frame).area(), 0.0);
    }

    #[test]
    fn a_hull_holds_its_points_and_no_more() {
        let hull = Polygon::hull(vec![[0.0, 0.0], [4.0, 0.0], [2.0, 1.0], [4.0, 4.0], [0.0, 4.0]]);
        assert_eq!((hull.corners.len(), hull.area()), (4, 16.0));
        for few in [vec![], vec![[1.0, 1.0]], vec![[1.0, 1.0], [2.0, 2.0]]] {
            assert_eq!(Polygon::hull(few).area(), 0.0);
        }
    }

    proptest! {
        #[test]
        fn a_map_and_its_inverse_undo_each_other(map in prop::array::uniform6(-3.0..3.0_f64), x in 0.0..99.0_f64, y in 0.0..99.0_f64) {
            prop_assume!((map[0] * map[4] - map[1] * map[3]).abs() > 0.01);
            let back = mapped(&inverse(&map).unwrap(), mapped(&map, [x, y]));
            prop_assert!((back[0] - x).abs() < 1e-6 && (back[1] - y).abs() < 1e-6);
        }

        #[test]
        fn a_part_is_no_larger_than_the_whole(map in prop::array::uniform6(-3.0..3.0_f64)) {
            let frame = Polygon::frame(SQUARE);
            let other = frame.mapped(&map);
            let part = other.clipped(&frame).area();
            prop_assert!(part <= frame.area() + 1e-9 && part <= other.area() + 1e-9);
            // It is the same part, seen from either side.
            let growth = (map[0] * map[4] - map[1] * map[3]).abs();
            prop_assume!(growth > 0.01);
            let back = frame.mapped(&inverse(&map).unwrap()).clipped(&frame).area();
            prop_assert!((back * growth - part).abs() < 1e-6);
        }
    }
}
