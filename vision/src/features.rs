//! What is kept of a picture to find parts of it again: keypoints, each with a code of 256 bits.
//!
//! A code is 256 comparisons of brightness between cells around the keypoint (as in BRIEF, Calonder et al.
//! 2010), turned to its direction and sized to its scale. Keypoint and code are the same on every processor: no
//! sum is taken in another order on one that adds several numbers at a time.

use std::array;
use std::collections::HashMap;
use std::f32::consts::PI;
use std::sync::LazyLock;

use multiversion::multiversion;
use timemark_verify::Fingerprint;

use crate::keypoints::{ScaleSpace, Spot};
use crate::picture::Picture;
use crate::plane::Plane;

/// A keypoint, in pixels of the upright picture, whose edges are at whole numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Keypoint {
    /// From the left edge.
    pub x: f32,
    /// From the top edge.
    pub y: f32,
    /// Size: the deviation of the Gaussian at which it stands out.
    pub sigma: f32,
    /// Direction in radians, from the x axis towards the y axis.
    pub angle: f32,
}

/// The keypoints of a picture and what it looks like around each.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Features {
    /// Width and height of the picture.
    pub size: [u32; 2],
    /// At most [`Features::WORK_MAX`] of a work, [`Features::SUSPECT_MAX`] of a suspect.
    pub keypoints: Vec<Keypoint>,
    /// What each looks like.
    pub looks: Looks,
    /// What each would look like in the mirrored picture; empty for a work.
    pub mirrored: Looks,
}

/// Codes and keys, one of each for every keypoint.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Looks {
    /// Codes of two views of one spot differ in few bits.
    pub codes: Vec<Fingerprint>,
    /// Where to look such codes up.
    pub keys: Vec<Key>,
}

/// A short code that a copy's keypoint is likely to share: the signs of slow waves around it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Key {
    /// [`Key::BITS`] bits.
    pub bits: u32,
    /// The bits that are most likely to differ in a copy, the likeliest first.
    pub doubtful: [u8; Key::DOUBTFUL],
}

impl Features {
    /// Most keypoints kept of a work: what it takes in the index is bounded by this.
    pub const WORK_MAX: usize = 320;
    /// Most keypoints taken of a suspect: what comparing it costs is bounded by this.
    pub const SUSPECT_MAX: usize = 1000;

    /// The keypoints of a work, to be found again in suspects.
    pub fn of_work(picture: &Picture) -> Features {
        // A copy may be much smaller than the work, where only coarse spots are left.
        extract(picture, Features::WORK_MAX, 0.5, false)
    }

    /// The keypoints of a suspect, as it is and mirrored.
    pub fn of_suspect(picture: &Picture) -> Features {
        extract(picture, Features::SUSPECT_MAX, 0.4, true)
    }
}

fn extract(picture: &Picture, most: usize, coarse_share: f32, mirrored: bool) -> Features {
    let mut features = Features { size: [picture.width, picture.height], ..Features::default() };
    // Nothing is found in a strip, whose plane could be as large as the picture.
    let sides = [picture.width, picture.height];
    let [shorter, longer] = [sides[0].min(sides[1]), sides[0].max(sides[1])];
    if u64::from(shorter) * STRIP < u64::from(longer) || shorter == 0 {
        return features;
    }
    let (plane, factor) = Plane::luma(picture, SIDE);
    let longest = plane.width.max(plane.height);
    let scale = (SIDE as f32 / longest as f32).min(ENLARGED_MAX);
    let size = |side: usize| ((side as f32 * scale).round() as usize).max(1);
    let plane = plane.resized(size(plane.width), size(plane.height));
    let scale_x = plane.width as f32 / picture.width as f32;
    let scale_y = plane.height as f32 / picture.height as f32;
    // Half a pixel is the blur of a sharp picture; enlarging enlarges it.
    let blur = 0.5 * (scale_x * factor as f32).max(1.0);
    let area = (plane.width * plane.height) as f32;
    let space = ScaleSpace::new(plane, blur);
    let flipped = TESTS.map(|test| test.map(flip));
    for spot in selected(space.spots(STRENGTH_MIN), most, coarse_share, area) {
        for spot in space.directed(&spot) {
            if features.keypoints.len() == most {
                return features;
            }
            let patch = space.patch::<PATCH_SIDE>(&spot, PATCH_SPACING);
            let (cells, waves) = (cells(&patch), waves(&patch));
            features.keypoints.push(Keypoint {
                x: (spot.x + 0.5) / scale_x,
                y: (spot.y + 0.5) / scale_y,
                sigma: spot.sigma / (scale_x * scale_y).sqrt(),
                angle: spot.angle,
            });
            features.looks.codes.push(code(&cells, &TESTS));
            features.looks.keys.push(Key::of(&waves, false));
            if mirrored {
                features.mirrored.codes.push(code(&cells, &flipped));
                features.mirrored.keys.push(Key::of(&waves, true));
            }
        }
    }
    features
}

/// The strongest spots, spread over the picture and over the scales.
fn selected(mut spots: Vec<Spot>, most: usize, coarse_share: f32, area: f32) -> Vec<Spot> {
    spots.sort_by(|a, b| b.strength.total_cmp(&a.strength));
    if spots.len() <= most {
        return spots;
    }
    // Fine spots are many and would drown the coarse ones, which survive a reduction.
    let coarse_most = (most as f32 * coarse_share) as usize;
    let (coarse, fine): (Vec<_>, Vec<_>) = spots.into_iter().partition(|s| s.sigma > COARSE_SIGMA);
    let coarse = spread(coarse, coarse_most.max(most.saturating_sub(fine.len())), area);
    let fine = spread(fine, most - coarse.len(), area);
    [coarse, fine].concat()
}

/// Of spots in order of strength so many, the second of a part of the picture after weaker first ones of
/// others.
fn spread(spots: Vec<Spot>, most: usize, area: f32) -> Vec<Spot> {
    if spots.len() <= most {
        return spots;
    }
    let cell = (area / SPREAD_CELLS).sqrt();
    let mut counts: HashMap<[usize; 2], usize> = HashMap::new();
    let mut ranks = Vec::with_capacity(spots.len());
    for spot in &spots {
        let count = counts.entry([spot.x, spot.y].map(|at| (at / cell) as usize)).or_default();
        *count += 1;
        ranks.push(*count);
    }
    // Being one later in its cell costs a spot half of what it would in pure turns.
    let cost = counts.len().max(1) / 2;
    let mut order: Vec<usize> = (0..spots.len()).collect();
    order.sort_by_key(|&place| place + ranks[place] * cost);
    order.into_iter().take(most).map(|place| spots[place]).collect()
}

/// Mean brightness around a keypoint: an 8 × 8 grid of cells, and a 5 × 5 grid of larger ones that overlap.
type Cells = [f32; FINE_CELLS + COARSE_CELLS];

type Patch = [[f32; PATCH_SIDE]; PATCH_SIDE];

fn cells(patch: &Patch) -> Cells {
    let mut cells = [0.0; FINE_CELLS + COARSE_CELLS];
    let (fine, coarse) = cells.split_at_mut(FINE_CELLS);
    for (cell, sum) in fine.iter_mut().enumerate() {
        let (u, v) = (2 * (cell % 8), 2 * (cell / 8));
        *sum = (patch[v][u] + patch[v][u + 1] + patch[v + 1][u] + patch[v + 1][u + 1]) / 4.0;
    }
    for (cell, sum) in coarse.iter_mut().enumerate() {
        let (u, v) = (3 * (cell % 5), 3 * (cell / 5));
        let rows = patch[v..v + 4].iter();
        *sum = rows.map(|row| row[u..u + 4].iter().sum::<f32>()).sum::<f32>() / 16.0;
    }
    cells
}

/// Where a cell is when the patch is turned over across its direction.
fn flip(cell: u8) -> u8 {
    match cell.checked_sub(FINE_CELLS as u8) {
        None => (7 - cell / 8) * 8 + cell % 8,
        Some(coarse) => FINE_CELLS as u8 + (4 - coarse / 5) * 5 + coarse % 5,
    }
}

fn code(cells: &Cells, tests: &[[u8; 2]; Fingerprint::BITS as usize]) -> Fingerprint {
    let mut code = Fingerprint::default();
    for (word, tests) in code.0.iter_mut().zip(tests.chunks(64)) {
        for (bit, &[a, b]) in tests.iter().enumerate() {
            *word |= u64::from(cells[usize::from(a)] > cells[usize::from(b)]) << bit;
        }
    }
    code
}

/// Which cells are compared, drawn by chance once and for all: three of four bits compare fine cells, the
/// fourth coarse ones.
static TESTS: LazyLock<[[u8; 2]; Fingerprint::BITS as usize]> = LazyLock::new(|| {
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    // Marsaglia's xorshift64.
    let mut next = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as u8
    };
    array::from_fn(|bit| {
        loop {
            let [a, b] = if bit % 4 == 0 {
                [(); 2].map(|()| FINE_CELLS as u8 + next(COARSE_CELLS))
            } else {
                [(); 2].map(|()| next(FINE_CELLS))
            };
            if a != b {
                return [a, b];
            }
        }
    })
});

/// The slowest waves of a patch by a cosine transform, downwards and along, as shares of all of them
/// without the mean.
type Waves = [[f32; WAVES]; WAVES];

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq", "x86_64+avx2"))]
fn waves(patch: &Patch) -> Waves {
    let cosines: &[[f32; PATCH_SIDE]; WAVES] = &COSINES;
    let mut waves = [[0.0; WAVES]; WAVES];
    for (waves, cosines_down) in waves.iter_mut().zip(cosines) {
        let mut sums = [0.0_f32; PATCH_SIDE];
        for (row, cosine) in patch.iter().zip(cosines_down) {
            for (sum, value) in sums.iter_mut().zip(row) {
                *sum += value * cosine;
            }
        }
        for (wave, cosines_along) in waves.iter_mut().zip(cosines) {
            *wave = sums.iter().zip(cosines_along).map(|(sum, cosine)| sum * cosine).sum();
        }
    }
    waves[0][0] = 0.0;
    let length = waves.as_flattened().iter().map(|wave| wave * wave).sum::<f32>().sqrt();
    waves.map(|row| row.map(|wave| wave / length.max(1e-6)))
}

static COSINES: LazyLock<[[f32; PATCH_SIDE]; WAVES]> = LazyLock::new(|| {
    array::from_fn(|wave| {
        let scale = if wave == 0 { 0.5_f32.sqrt() } else { 1.0 };
        let step = PI * wave as f32 / PATCH_SIDE as f32;
        array::from_fn(|at| scale * (step * (at as f32 + 0.5)).cos())
    })
});

impl Key {
    /// Length of a key.
    pub const BITS: usize = KEY_WAVES.len();
    /// How many of the bits are named as doubtful.
    pub const DOUBTFUL: usize = 4;

    /// In a patch `turned` over across its direction, waves with an odd number of half turns downwards change
    /// their sign.
    fn of(waves: &Waves, turned: bool) -> Key {
        let mut key = Key::default();
        let mut margins = [(0.0, 0); KEY_WAVES.len()];
        for (bit, &(down, along, median)) in KEY_WAVES.iter().enumerate() {
            let wave = waves[down][along];
            let margin = if turned && down % 2 == 1 { -wave } else { wave - median };
            key.bits |= u32::from(margin > 0.0) << bit;
            margins[bit] = (margin.abs(), bit as u8);
        }
        margins.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        key.doubtful = array::from_fn(|at| margins[at].1);
        key
    }
}

/// Half turns downwards and along of the waves whose signs change least in copies and say least about each
/// other, and the median where it is not zero: measured on 46,000 pairs of keypoints of pictures and their edited
/// copies, where the signs of these changed in 3 to 9 % of the pairs.
const KEY_WAVES: [(usize, usize, f32); 18] = [
    (0, 1, -0.51),
    (0, 2, 0.0),
    (0, 3, 0.087),
    (0, 4, 0.0),
    (1, 0, 0.0),
    (1, 1, 0.0),
    (1, 2, 0.0),
    (1, 3, 0.0),
    (1, 4, 0.0),
    (2, 0, 0.0),
    (2, 1, 0.07),
    (2, 2, 0.0),
    (2, 3, -0.029),
    (3, 0, 0.0),
    (3, 1, 0.0),
    (3, 2, 0.0),
    (4, 0, 0.0),
    (4, 2, 0.0),
];

/// Pixels of the longer side of the plane in which keypoints are found.
const SIDE: usize = 640;
/// A picture so many times as long as wide is a strip: in the plane it would be 16 pixels wide.
const STRIP: u64 = 40;
/// A small picture is enlarged by no more than this.
const ENLARGED_MAX: f32 = 2.0;
/// In grey levels of a difference of Gaussians.
const STRENGTH_MIN: f32 = 1.5;
/// Spots above this deviation, in pixels of the plane, are coarse.
const COARSE_SIGMA: f32 = 4.2;
const SPREAD_CELLS: f32 = 48.0;
const PATCH_SIDE: usize = 16;
/// Sigmas between two samples of a patch.
const PATCH_SPACING: f32 = 0.8;
const FINE_CELLS: usize = 64;
const COARSE_CELLS: usize = 25;
const WAVES: usize = 5;
