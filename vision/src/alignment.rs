//! How a work lies on a suspect: one affine map that many keypoints agree upon.

use std::cmp::Reverse;
use std::f32::consts::{PI, TAU};

use multiversion::multiversion;
use timemark_verify::Fingerprint;

use crate::features::{Features, Keypoint};

/// A work found in a suspect by its keypoints.
#[derive(Clone, Debug, PartialEq)]
pub struct Alignment {
    /// From the work's pixels to the suspect's: x' = m[0] x + m[1] y + m[2], y' = m[3] x + m[4] y + m[5].
    pub map: [f64; 6],
    /// Places that belong together, in the work and in the suspect; at least three, each once.
    pub joined: Vec<[[f32; 2]; 2]>,
    /// How far the work's keypoints come to lie from the suspect's in the mean, in deviations of the suspect's. A
    /// flat copy seen from the front has about 0.2; one seen from aside, or another picture of the same thing, 0.5 to 1.
    pub misfit: f64,
}

/// The map upon which most keypoints of a work and of a suspect agree, which is `mirrored` or not; `None`
/// where fewer than three do.
///
/// Every pair of keypoints that look alike says by itself how the work would be turned, resized and moved; the
/// pair with most others in agreement is refined by least squares.
pub fn align(work: &Features, suspect: &Features, mirrored: bool) -> Option<Alignment> {
    let pairs = pairs(work, suspect, mirrored);
    let slack = slack(suspect);
    let mut hypotheses = hypotheses(&pairs, slack, mirrored);
    hypotheses.sort_by_key(|(supporters, _)| Reverse(*supporters));
    let refined = hypotheses.into_iter().take(REFINED_MAX).filter_map(|(_, map)| {
        let (map, agreed) = refined(map, &pairs, slack, mirrored);
        let joined = each_once(&agreed, work, suspect);
        let misfit = misfit(&map, &agreed);
        (joined.len() >= 3).then(|| Alignment { map: map.map(f64::from), joined, misfit })
    });
    refined.max_by_key(|alignment| alignment.joined.len())
}

/// How many of these keypoints of a work, each paired with the number of one of a suspect, look alike and agree upon
/// how the work lies on the suspect, which is `mirrored` or not: what [`align`] would find among them alone, roughly.
pub fn support(
    paired: impl Iterator<Item = ((Keypoint, Fingerprint), u16)>,
    suspect: &Features,
    mirrored: bool,
) -> usize {
    let looks = if mirrored { &suspect.mirrored } else { &suspect.looks };
    let alike = paired.filter_map(|((work, code), number)| {
        let number = usize::from(number);
        let distance = code.distance(looks.codes.get(number)?);
        let suspect = *suspect.keypoints.get(number)?;
        (distance <= DISTANCE_MAX).then_some(Pair { work, suspect, distance })
    });
    let mut pairs: Vec<Pair> = alike.collect();
    pairs.sort_by_key(|pair| pair.distance);
    // Where everything looks alike, all may be paired with all.
    pairs.truncate(SUPPORTING_MAX);
    let hypotheses = hypotheses(&pairs, slack(suspect), mirrored);
    hypotheses.iter().map(|(supporters, _)| *supporters).max().unwrap_or(0)
}

/// What each of the pairs says by itself, and how many agree.
fn hypotheses(pairs: &[Pair], slack: f32, mirrored: bool) -> Vec<(usize, Map)> {
    let tried = pairs.iter().take(HYPOTHESES_MAX).map(|pair| similarity(pair, mirrored));
    let supporters = |map: &Map| pairs.iter().filter(|pair| agrees(pair, map, slack)).count();
    tried.map(|map| (supporters(&map), map)).collect()
}

/// How far off a place may be, in pixels.
fn slack(suspect: &Features) -> f32 {
    POSITION_SLACK * suspect.size[0].max(suspect.size[1]) as f32
}

/// The map by least squares of the pairs that agree upon it, and these.
fn refined(mut map: Map, pairs: &[Pair], slack: f32, mirrored: bool) -> (Map, Vec<&Pair>) {
    let mut agreed = Vec::new();
    for share in REFINED_SLACK {
        let now: Vec<&Pair> =
            pairs.iter().filter(|pair| agrees(pair, &map, slack * share)).collect();
        if now.len() < 3 {
            break;
        }
        agreed = now;
        let Some(refined) = least_squares(&agreed, mirrored) else { break };
        map = refined;
    }
    (map, agreed)
}

/// See [`Alignment::misfit`].
fn misfit(m: &Map, agreed: &[&Pair]) -> f64 {
    let off = agreed.iter().map(|Pair { work, suspect, .. }| {
        let x = m[0] * work.x + m[1] * work.y + m[2] - suspect.x;
        let y = m[3] * work.x + m[4] * work.y + m[5] - suspect.y;
        f64::from((x * x + y * y).sqrt() / suspect.sigma)
    });
    off.sum::<f64>() / agreed.len().max(1) as f64
}

type Map = [f32; 6];

/// A keypoint of the work and the one of the suspect that looks most like it.
struct Pair {
    work: Keypoint,
    suspect: Keypoint,
    distance: u32,
}

/// Most alike first.
fn pairs(work: &Features, suspect: &Features, mirrored: bool) -> Vec<Pair> {
    let looks = if mirrored { &suspect.mirrored } else { &suspect.looks };
    let nearest = nearest(&work.looks.codes, &looks.codes);
    let found =
        work.keypoints.iter().zip(nearest).filter(|(_, (distance, _))| *distance <= DISTANCE_MAX);
    let mut pairs: Vec<Pair> = found
        .map(|(&work, (distance, place))| Pair {
            work,
            suspect: suspect.keypoints[place],
            distance,
        })
        .collect();
    pairs.sort_by_key(|pair| pair.distance);
    pairs
}

/// For each code the distance and place of the nearest of `others`.
#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512bw+avx512dq+avx512vpopcntdq+popcnt",
    "x86_64+avx2+popcnt",
    "x86_64+popcnt"
))]
fn nearest(codes: &[Fingerprint], others: &[Fingerprint]) -> Vec<(u32, usize)> {
    // Words of eight codes side by side, to be compared at a time.
    let blocks: Vec<[[u64; LANES]; 4]> = others
        .chunks(LANES)
        .map(|chunk| {
            // The last is repeated, which is no nearer than itself.
            let code = |lane: usize| chunk[lane.min(chunk.len() - 1)].0;
            std::array::from_fn(|word| std::array::from_fn(|lane| code(lane)[word]))
        })
        .collect();
    let search = |code: &Fingerprint| {
        let mut best = [u64::MAX; LANES];
        for (number, block) in (0..).zip(&blocks) {
            for lane in 0..LANES {
                let differ = code.0.iter().zip(block).map(|(word, lanes)| word ^ lanes[lane]);
                let bits: u64 = differ.map(|word| u64::from(word.count_ones())).sum();
                best[lane] = best[lane].min(bits << 32 | number);
            }
        }
        let (best, lane) = best.into_iter().zip(0..).min().unwrap_or((u64::MAX, 0));
        let place = (best as u32 as usize).saturating_mul(LANES) + lane;
        ((best >> 32) as u32, place.min(others.len().saturating_sub(1)))
    };
    codes.iter().map(search).collect()
}

/// What one pair says. Mirrored codes are of a patch turned over across its direction, which leaves
/// the direction as it is; so the mirror image is taken first and turned then.
fn similarity(pair: &Pair, mirrored: bool) -> Map {
    let scale = pair.suspect.sigma / pair.work.sigma;
    let sign = if mirrored { -1.0 } else { 1.0 };
    let (sin, cos) = (pair.suspect.angle - sign * pair.work.angle).sin_cos();
    let [a, b, c, d] = [cos, -sign * sin, sin, sign * cos].map(|value| scale * value);
    let (x, y) = (pair.work.x, pair.work.y);
    [a, b, pair.suspect.x - a * x - b * y, c, d, pair.suspect.y - c * x - d * y]
}

/// Whether the map puts the work's keypoint where the suspect's is, as large and as directed.
fn agrees(pair: &Pair, m: &Map, slack: f32) -> bool {
    let (work, suspect) = (&pair.work, &pair.suspect);
    let x = m[0] * work.x + m[1] * work.y + m[2] - suspect.x;
    let y = m[3] * work.x + m[4] * work.y + m[5] - suspect.y;
    let slack = slack + SIGMA_SLACK * suspect.sigma;
    if x * x + y * y > slack * slack {
        return false;
    }
    let area = (m[0] * m[4] - m[1] * m[3]).abs().max(1e-12);
    let growth = (suspect.sigma / work.sigma).ln() - 0.5 * area.ln();
    if growth.abs() > SCALE_SLACK {
        return false;
    }
    let (sin, cos) = work.angle.sin_cos();
    let angle = (m[3] * cos + m[4] * sin).atan2(m[0] * cos + m[1] * sin) - suspect.angle;
    ((angle + 3.0 * PI).rem_euclid(TAU) - PI).abs() <= ANGLE_SLACK
}

/// The affine map that leaves the least squares of errors; a similarity where the places are few or nearly
/// on one line. `None` where it stretches or mirrors otherwise than a copy would be.
fn least_squares(pairs: &[&Pair], mirrored: bool) -> Option<Map> {
    let count = pairs.len() as f64;
    let places = pairs
        .iter()
        .map(|pair| [pair.work.x, pair.work.y, pair.suspect.x, pair.suspect.y].map(f64::from));
    let mut mean = [0.0; 4];
    for place in places.clone() {
        for (mean, value) in mean.iter_mut().zip(place) {
            *mean += value / count;
        }
    }
    let (mut xx, mut xy, mut yy) = (0.0, 0.0, 0.0);
    let (mut xu, mut yu, mut xv, mut yv) = (0.0, 0.0, 0.0, 0.0);
    for place in places {
        let [x, y, u, v] = [0, 1, 2, 3].map(|at| place[at] - mean[at]);
        (xx, xy, yy) = (xx + x * x, xy + x * y, yy + y * y);
        (xu, yu, xv, yv) = (xu + x * u, yu + y * u, xv + x * v, yv + y * v);
    }
    let (spread, determinant) = (xx + yy, xx * yy - xy * xy);
    if spread <= 0.0 {
        return None;
    }
    let [a, b, c, d] = if pairs.len() >= 6 && determinant > 0.0025 * spread * spread {
        let along =
            |u: f64, v: f64| [(u * yy - v * xy) / determinant, (v * xx - u * xy) / determinant];
        let ([a, b], [c, d]) = (along(xu, yu), along(xv, yv));
        [a, b, c, d]
    } else if mirrored {
        let (a, b) = ((xu - yv) / spread, (yu + xv) / spread);
        [a, b, b, -a]
    } else {
        let (a, b) = ((xu + yv) / spread, (xv - yu) / spread);
        [a, -b, b, a]
    };
    let area = a * d - b * c;
    let stretch = (a * a + b * b + c * c + d * d) / area.abs().max(1e-9);
    if (area < 0.0) != mirrored || stretch > STRETCH_MAX {
        return None;
    }
    let [x, y, u, v] = mean;
    Some([a, b, u - a * x - b * y, c, d, v - c * x - d * y].map(|value| value as f32))
}

/// Each place of either picture once: several keypoints at one place are one witness.
fn each_once(pairs: &[&Pair], work: &Features, suspect: &Features) -> Vec<[[f32; 2]; 2]> {
    let apart =
        [work, suspect].map(|features| features.size[0].max(features.size[1]) as f32 * APART);
    let mut joined: Vec<[[f32; 2]; 2]> = Vec::new();
    for pair in pairs {
        let places = [[pair.work.x, pair.work.y], [pair.suspect.x, pair.suspect.y]];
        let taken = |other: &[[f32; 2]; 2]| {
            (0..2).any(|picture| {
                (0..2).all(|i| (other[picture][i] - places[picture][i]).abs() < apart[picture])
            })
        };
        if !joined.iter().any(taken) {
            joined.push(places);
        }
    }
    joined
}

/// Bits in which two views of one spot may differ.
const DISTANCE_MAX: u32 = 70;
/// How far off a place may be: a share of the suspect's longer side, and of the keypoint's deviation.
const POSITION_SLACK: f32 = 0.02;
const SIGMA_SLACK: f32 = 0.5;
/// What is left of the former in each round of refining the map: a copy that was stretched or seen from aside
/// agrees with a similarity only roughly.
const REFINED_SLACK: [f32; 7] = [1.0, 1.0, 1.0, 1.0, 0.6, 0.4, 0.4];
/// Hypotheses with most support that are refined.
const REFINED_MAX: usize = 4;
/// How far off direction (radians) and size (of the natural logarithm) may be.
const ANGLE_SLACK: f32 = 0.5;
const SCALE_SLACK: f32 = 0.6;
/// Of the squares of a map's coefficients over its growth in area: 2 is no stretching, 2.9 is 2.4 to 1.
const STRETCH_MAX: f64 = 2.9;
/// Pairs that are tried as a hypothesis.
const HYPOTHESES_MAX: usize = 200;
/// Pairs among which support is sought.
const SUPPORTING_MAX: usize = 320;
/// Two places are the same within this share of the longer side.
const APART: f32 = 0.01;
const LANES: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::Looks;

    /// Keypoints of a picture of 400 × 300, drawn by chance.
    fn work(count: usize) -> Features {
        let mut state = 7_u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let mut features = Features { size: [400, 300], ..Features::default() };
        for _ in 0..count {
            let [x, y, size, angle] = [(); 4].map(|()| (next() >> 40) as f32 / (1 << 24) as f32);
            let (x, y, sigma) = (400.0 * x, 300.0 * y, 1.0 + 9.0 * size);
            features.keypoints.push(Keypoint { x, y, sigma, angle: TAU * angle });
            features.looks.codes.push(Fingerprint([(); 4].map(|()| next())));
        }
        features
    }

    /// A copy turned by a quarter, half as large and moved; mirrored before that, if so wished.
    fn copy(work: &Features, mirrored: bool) -> Features {
        let mut copy = Features { size: [300, 300], ..work.clone() };
        for keypoint in &mut copy.keypoints {
            let Keypoint { x, y, sigma, angle } = *keypoint;
            let (y, angle) = if mirrored { (-y, -angle) } else { (y, angle) };
            let (x, y) = (160.0 - 0.5 * y, 40.0 + 0.5 * x);
            *keypoint = Keypoint { x, y, sigma: 0.5 * sigma, angle: angle + PI / 2.0 };
        }
        if mirrored {
            copy.mirrored =
                Looks { codes: std::mem::take(&mut copy.looks.codes), ..Looks::default() };
        }
        copy
    }

    #[test]
    fn a_copy_lies_where_it_was_put() {
        let work = work(60);
        for mirrored in [false, true] {
            let suspect = copy(&work, mirrored);
            let found = align(&work, &suspect, mirrored).unwrap();
            let sign = if mirrored { -1.0 } else { 1.0 };
            for (value, expected) in found.map.iter().zip([0.0, -0.5 * sign, 160.0, 0.5, 0.0, 40.0])
            {
                assert!((value - expected).abs() < 0.01, "{:?}", found.map);
            }
            assert!(found.joined.len() > 40 && found.misfit < 0.01, "{found:?}");
        }
    }

    #[test]
    fn places_that_are_off_are_a_misfit() {
        let work = work(60);
        let mut suspect = copy(&work, false);
        // To and fro by 0.8 deviations: within what agrees.
        for (number, keypoint) in suspect.keypoints.iter_mut().enumerate() {
            keypoint.x += keypoint.sigma * if number % 2 == 0 { 0.8 } else { -0.8 };
        }
        let found = align(&work, &suspect, false).unwrap();
        assert!((0.6..1.0).contains(&found.misfit), "{}", found.misfit);
    }

    #[test]
    fn pairs_support_a_work_that_agree_upon_its_place() {
        let work = work(60);
        let keypoint = |number: usize| (work.keypoints[number], work.looks.codes[number]);
        let right = |number: usize| (keypoint(number), number as u16);
        let wrong = |number: usize| (keypoint(number), (number as u16 + 17) % 60);
        for mirrored in [false, true] {
            let mut suspect = copy(&work, mirrored);
            let pairs = || (0..12).map(right).chain((12..40).map(wrong));
            assert_eq!(support(pairs(), &suspect, mirrored), 12);
            assert_eq!(support(pairs(), &suspect, !mirrored), 0);
            // What looks alike and lies elsewhere does not count, nor does a number that there is not.
            let looks = if mirrored { &mut suspect.mirrored } else { &mut suspect.looks };
            looks.codes[17 + 20] = work.looks.codes[20];
            let more = pairs().chain([(keypoint(3), 60), (keypoint(3), u16::MAX)]);
            assert_eq!(support(more, &suspect, mirrored), 12);
        }
    }
}
