//! Pictures inside pictures: which rectangles of a picture may be pictures of their own, by what a straight
//! cut leaves behind. What is in them, and whether anybody registered it, is not known here.

use multiversion::multiversion;

use crate::picture::{Picture, Rectangle};
use crate::reduced::{Area, CHANNEL_DISTANCE_MAX, Framed, Reduced};

/// The rectangles of a picture that may be pictures of their own, best first: what lies inside a plain
/// frame, a post in a screenshot, what a caption stands above, the tiles of a collage, a patch. At most
/// [`REGIONS_MAX`], none of them all of the picture.
///
/// Sides are found to within one or two of the pixels that are left when the picture is reduced to
/// 420 a side; pictures up to that size are looked at as they are.
pub fn regions(picture: &Picture) -> Vec<Rectangle> {
    let shorter = picture.width.min(picture.height);
    if shorter < REGION_SIDE_PIXELS_MIN {
        return Vec::new();
    }
    let reduced = Reduced::new(picture);
    let whole = reduced.scale.frame();
    let mut found = Vec::new();
    let framed = reduced.trim(whole);
    found.extend(framed);
    // A frame as wide on all sides was put around; a margin may be part of a page.
    let mat = framed.filter(|inner| inner.bars(&whole) == [true; 2]);
    let mut inners = Vec::new();
    for region in cut_out(&reduced, mat.unwrap_or(whole)) {
        // A side may be a pixel off, and a line of the page would hide a plain frame inside.
        match region.inset(INSET_PIXELS).and_then(|inner| reduced.bare(inner)) {
            // Bars fill a picture up to the shape of its place; any other plain margin is more likely its own.
            Some(inner) if reduced.is_large_enough(&inner) && inner.bars(&region) != [false; 2] => {
                found.extend([inner, region])
            }
            Some(inner) if reduced.is_large_enough(&inner) => {
                found.push(region);
                inners.push(inner);
            }
            // Next to nothing between margins: lettering.
            Some(_) => {}
            None => found.push(region),
        }
    }
    found.append(&mut inners);
    let mut kept: Vec<Area> = Vec::new();
    for area in found {
        let known = kept.iter().any(|other| other.overlap(&area) > SAME_OVERLAP_MIN);
        let everything = area.overlap(&whole) > WHOLE_OVERLAP_MAX;
        if !known && !everything && reduced.is_large_enough(&area) && kept.len() < REGIONS_MAX {
            kept.push(area);
        }
    }
    kept.iter().map(|area| reduced.scale.in_picture(area)).collect()
}

/// The rectangles that straight edges bound on all sides that are not the picture's own, best first.
fn cut_out(reduced: &Reduced, within: Area) -> Vec<Area> {
    let (width, height) = (reduced.scale.width, reduced.scale.height);
    if width.min(height) < LINES_SIDE_MIN {
        return Vec::new();
    }
    let (upright, level) = edges(reduced);
    let blocks = block_sums(&upright, width, height, true);
    let columns =
        lines(width, height, (within.x, within.right), &blocks, |x, y| upright[y * width + x]);
    let blocks = block_sums(&level, width, height, false);
    let rows =
        lines(height, width, (within.y, within.bottom), &blocks, |y, x| level[y * width + x]);
    let side_min = (REGION_SIDE_PIXELS_MIN as usize).div_ceil(reduced.scale.factor);
    let mut rated: Vec<(f32, Area)> = Vec::new();
    for (left, right) in pairs(&columns, side_min) {
        for (top, bottom) in pairs(&rows, side_min) {
            let area = Area { x: left.at, y: top.at, right: right.at, bottom: bottom.at };
            if !reduced.is_large_enough(&area) {
                continue;
            }
            let sides = [
                left.side(top.at, bottom.at),
                right.side(top.at, bottom.at),
                top.side(left.at, right.at),
                bottom.side(left.at, right.at),
            ];
            if let Some(rating) = rate(&sides, &area) {
                rated.push((rating, area));
            }
        }
    }
    rated.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut best: Vec<(f32, Area)> = Vec::new();
    for (rating, area) in rated {
        if best.len() == CANDIDATES_MAX {
            break;
        }
        if !best.iter().any(|(_, other)| other.overlap(&area) > OVERLAP_MAX) {
            best.push((rating, area));
        }
    }
    // Two tiles side by side are bounded as well as each of them.
    for (rating, area) in &mut best {
        let splits = |lines: &[Line], from, to, (start, end): (usize, usize)| {
            let inside =
                |line: &&Line| line.at > from + side_min / 2 && line.at + side_min / 2 < to;
            let means = lines.iter().filter(inside).filter_map(|line| line.side(start, end));
            means.map(|side| side.mean).fold(0.0_f32, f32::max)
        };
        let split = splits(&columns, area.x, area.right, (area.y, area.bottom)).max(splits(
            &rows,
            area.y,
            area.bottom,
            (area.x, area.right),
        ));
        if split > SPLIT_MEAN_MIN {
            *rating *= SPLIT_SHARE;
        }
    }
    best.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut apart = tiles(reduced, within, &columns, &rows);
    apart.extend(below_caption(reduced, within, &rows));
    for (_, area) in best {
        // With three sides shared, the fourth is a line inside one of them.
        if !apart.iter().any(|better| better.sides_shared(&area) >= 3) {
            apart.push(area);
        }
    }
    apart
}

/// The four tiles of a collage: lines cross in the middle of it.
fn tiles(reduced: &Reduced, within: Area, columns: &[Line], rows: &[Line]) -> Vec<Area> {
    let middle = |line: &Line, start: usize, end: usize| {
        (2 * line.at).abs_diff(start + end) * MIDDLE_SHARE <= end - start
    };
    let crosses = columns.iter().flat_map(|column| rows.iter().map(move |row| (column, row)));
    let best = crosses
        .filter(|(column, row)| {
            middle(column, within.x, within.right)
                && middle(row, within.y, within.bottom)
                && column.cut + row.cut >= MIDDLE_CUT_MIN
        })
        .max_by_key(|(column, row)| column.cut + row.cut);
    let Some((column, row)) = best else { return Vec::new() };
    let Area { x, y, right, bottom } = within;
    let across = [(x, column.at), (column.at, right)];
    let tiles = [(y, row.at), (row.at, bottom)]
        .into_iter()
        .flat_map(|(y, bottom)| across.map(|(x, right)| Area { x, y, right, bottom }));
    tiles.filter(|tile| reduced.is_large_enough(tile)).collect()
}

/// What a line across parts from a plain band with lettering, above it or below.
fn below_caption(reduced: &Reduced, within: Area, rows: &[Line]) -> Option<Area> {
    let (mut best, mut strongest) = (None, (0, 0.0));
    for row in rows.iter().filter(|row| row.cut >= CAPTION_CUT_MIN) {
        let mean = row.side(within.x, within.right).map_or(0.0, |side| side.mean);
        // Lines of lettering have gaps.
        let strength = (row.cut, mean);
        let above = Area { bottom: row.at, ..within };
        let below = Area { y: row.at, ..within };
        for (band, rest) in [(above, below), (below, above)] {
            let narrow =
                band.pixels() <= rest.pixels() && band.pixels() * REGION_SHARE >= rest.pixels();
            if strength > strongest
                && narrow
                && band.inset(INSET_PIXELS).is_some_and(|band| reduced.is_caption(&band))
            {
                (best, strongest) = (Some(rest), strength);
            }
        }
    }
    best.filter(|rest| reduced.is_large_enough(rest))
}

/// How well a rectangle is bounded; `None` where it is not.
fn rate(sides: &[Option<Side>; 4], area: &Area) -> Option<f32> {
    let cuts = || sides.iter().flatten();
    let count = cuts().count();
    let weakest = cuts().map(|side| side.mean).fold(f32::MAX, f32::min);
    // A horizon is a straight edge across a picture, too; four of them at right angles are not found
    // in nature.
    let least = MEAN_MIN.get(count)?;
    if count == 0 || weakest < *least || cuts().any(|side| side.weakest_end < END_MEAN_MIN) {
        return None;
    }
    let length: f32 = cuts().map(|side| side.length).sum();
    let sum: f32 = cuts().map(|side| side.mean * side.length).sum();
    let mean = sum / length;
    let perimeter = (2 * (area.right - area.x + area.bottom - area.y)) as f32;
    Some((mean + weakest) * (0.5 * (length + perimeter)).sqrt() * COUNT_WEIGHT.get(count)?)
}

/// One side of a rectangle: how much of an edge it is.
#[derive(Clone, Copy)]
struct Side {
    mean: f32,
    length: f32,
    weakest_end: f32,
}

/// A straight line all across the picture.
struct Line {
    /// The pixel it lies before.
    at: usize,
    /// Sums of the edge along it, [`BLOCK`] times; empty for the picture's own borders.
    sums: Vec<i32>,
    /// What any stretch has at the least: a line all across the picture is one where both sides of it look
    /// alike for a while, too.
    least: f32,
    /// How many of [`PARTS`] parts of it are edges.
    cut: usize,
}

impl Line {
    fn new(at: usize, sums: Vec<i32>) -> Line {
        let length = sums.len().saturating_sub(1);
        let mean = |from: usize, to: usize| match (sums.get(from), sums.get(to)) {
            (Some(a), Some(b)) if from < to => (b - a) as f32 / (BLOCK * (to - from)) as f32,
            _ => 0.0,
        };
        let parts = (0..PARTS).map(|part| mean(part * length / PARTS, (part + 1) * length / PARTS));
        let cut = parts.filter(|part| *part >= PART_MEAN_MIN).count();
        let quarter = length / 4;
        let ends = mean(0, quarter).min(mean(length - quarter, length));
        let across = cut >= PARTS_CUT_MIN && ends >= PART_MEAN_MIN;
        let least = if across { WHOLE_LINE_SHARE * mean(0, length) } else { f32::MIN };
        Line { at, sums, least, cut }
    }

    /// A stretch of the line as a side; `None` on the border of the picture.
    fn side(&self, start: usize, end: usize) -> Option<Side> {
        let sum = |from: usize, to: usize| Some(self.sums.get(to)? - self.sums.get(from)?);
        let mean = |from, to| Some(sum(from, to)? as f32 / (BLOCK * (to - from)) as f32);
        let length = end - start;
        let quarter = (length / 4).max(1);
        let weakest_end = mean(start, start + quarter)?.min(mean(end - quarter, end)?);
        let (mean, weakest_end) = (mean(start, end)?.max(self.least), weakest_end.max(self.least));
        Some(Side { mean, length: length as f32, weakest_end })
    }
}

fn pairs(lines: &[Line], apart: usize) -> impl Iterator<Item = (&Line, &Line)> {
    let with_later =
        |(number, first)| lines[number + 1..].iter().map(move |second| (first, second));
    let far = move |(first, second): &(&Line, &Line)| first.at + apart <= second.at;
    lines.iter().enumerate().flat_map(with_later).filter(far)
}

/// The lines with the strongest stretch of edge, and both borders, in order of place.
fn lines(
    places: usize,
    length: usize,
    (first, last): (usize, usize),
    block_sums: &[i16],
    edge: impl Fn(usize, usize) -> i8,
) -> Vec<Line> {
    let blocks = block_sums.len() / places.max(1);
    let totals: Vec<i32> = (0..places)
        .map(|place| block_sums.iter().skip(place).step_by(places).map(|sum| i32::from(*sum)).sum())
        .collect();
    let per_block = |total: i32| total / blocks.max(1) as i32;
    // What compression draws: as much of an edge as half of the lines have that lie alike in its grid.
    let grid: [i32; GRID] = std::array::from_fn(|phase| {
        let mut alike: Vec<i32> = totals.iter().skip(phase).step_by(GRID).copied().collect();
        let half = alike.len() / 2;
        alike.sort_unstable();
        alike.get(half).map_or(0, |median| GRID_WEIGHT * per_block(*median).max(0))
    });
    let mut rated: Vec<(i32, usize)> = Vec::new();
    for place in first + BORDER_PIXELS..last.saturating_sub(BORDER_PIXELS) {
        // The stretch with the largest sum of what is above the bias.
        let (mut best, mut sum) = (0, 0);
        for block in block_sums.iter().skip(place).step_by(places) {
            sum = (sum + i32::from(*block) - BLOCK_BIAS - grid[place % GRID]).max(0);
            best = best.max(sum);
        }
        if best >= STRETCH_SUM_MIN {
            rated.push((best, place));
        }
    }
    rated.sort_unstable_by(|a, b| b.cmp(a));
    let mut chosen: Vec<usize> = Vec::new();
    for (_, place) in rated {
        if chosen.len() == LINES_MAX {
            break;
        }
        if chosen.iter().all(|other| other.abs_diff(place) > 2) {
            chosen.push(place);
        }
    }
    chosen.sort_unstable();
    let border = |at| Line::new(at, Vec::new());
    let inner = chosen.into_iter().map(|at| {
        let mut sums = vec![0];
        let mut sum = 0;
        let drawn = grid[at % GRID];
        sums.extend((0..length).map(|along| {
            sum += i32::from(edge(at, along)) * BLOCK as i32 - drawn;
            sum
        }));
        Line::new(at, sums)
    });
    [border(first)].into_iter().chain(inner).chain([border(last)]).collect()
}

/// How much more of a step there is at each place than two pixels beside: to the left of each pixel, and
/// above it. A cut is one step; texture and soft edges are steps everywhere.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq", "x86_64+avx2"))]
fn edges(reduced: &Reduced) -> (Vec<i8>, Vec<i8>) {
    let (width, height) = (reduced.scale.width, reduced.scale.height);
    let mut steps_across = vec![0_u8; width * height];
    let mut steps_down = vec![0_u8; width * height];
    for plane in &reduced.planes {
        let across = steps_across[1..].iter_mut().zip(&plane[1..]).zip(&plane[..]);
        for ((step, value), before) in across {
            *step = (*step).max(value.abs_diff(*before));
        }
        let down = steps_down[width..].iter_mut().zip(&plane[width..]).zip(&plane[..]);
        for ((step, value), above) in down {
            *step = (*step).max(value.abs_diff(*above));
        }
    }
    (ridges(&steps_across, 2), ridges(&steps_down, 2 * width))
}

#[inline(always)]
fn ridges(steps: &[u8], beside: usize) -> Vec<i8> {
    let mut ridges = vec![0_i8; steps.len()];
    let Some(inner) = steps.len().checked_sub(2 * beside) else { return ridges };
    let (before, at, after) = (&steps[..inner], &steps[beside..][..inner], &steps[2 * beside..]);
    let sides = before.iter().zip(at).zip(after);
    for (ridge, ((before, at), after)) in ridges[beside..].iter_mut().zip(sides) {
        let around = (i16::from(*before) + i16::from(*after)) >> 1;
        *ridge = (i16::from(*at) - around).clamp(-RIDGE_MAX, RIDGE_MAX) as i8;
    }
    ridges
}

/// Sums along the lines, [`BLOCK`] pixels at a time; a row of sums for each block, a sum for each line.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw+avx512dq", "x86_64+avx2"))]
fn block_sums(edges: &[i8], width: usize, height: usize, upright: bool) -> Vec<i16> {
    if upright {
        let mut sums = vec![0_i16; width * (height / BLOCK)];
        for (sums, rows) in sums.chunks_exact_mut(width).zip(edges.chunks_exact(width * BLOCK)) {
            for row in rows.chunks_exact(width) {
                for (sum, edge) in sums.iter_mut().zip(row) {
                    *sum += i16::from(*edge);
                }
            }
        }
        return sums;
    }
    let mut sums = vec![0_i16; height * (width / BLOCK)];
    for (y, row) in edges.chunks_exact(width).enumerate() {
        for (block, edges) in row.as_chunks::<BLOCK>().0.iter().enumerate() {
            sums[block * height + y] = edges.iter().map(|edge| i16::from(*edge)).sum();
        }
    }
    sums
}

impl Reduced {
    fn is_large_enough(&self, area: &Area) -> bool {
        let (width, height) = (area.right - area.x, area.bottom - area.y);
        width.min(height) * self.scale.factor >= REGION_SIDE_PIXELS_MIN as usize
            && width * height * REGION_SHARE >= self.scale.width * self.scale.height
    }

    /// Whether an area has the colour of its corners but for some lettering.
    fn is_caption(&self, band: &Area) -> bool {
        let first = self.colour((band.x, band.y));
        let differs = |at| {
            self.colour(at).iter().zip(first).any(|(a, b)| a.abs_diff(b) > CHANNEL_DISTANCE_MAX)
        };
        if [(band.right - 1, band.y), (band.x, band.bottom - 1)].into_iter().any(differs) {
            return false;
        }
        let (mut lettering, mut seen) = (0_usize, 0_usize);
        for y in (band.y..band.bottom).step_by(2) {
            for x in (band.x..band.right).step_by(2) {
                seen += 1;
                lettering += usize::from(differs((x, y)));
            }
        }
        let least = seen.div_ceil(LETTERING_SHARE_MIN);
        (least..=seen / LETTERING_SHARE_MAX).contains(&lettering)
    }
}

/// The most regions of a picture.
const REGIONS_MAX: usize = 6;
/// The shorter side of a region at the least, in pixels of the picture.
const REGION_SIDE_PIXELS_MIN: u32 = 40;
/// The least part of the picture that is a region, as a divisor.
const REGION_SHARE: usize = 20;
/// Rectangles that overlap by more are one.
const OVERLAP_MAX: f32 = 0.8;
/// The same after bars were taken off: what was framed is worth a look with and without.
const SAME_OVERLAP_MIN: f32 = 0.93;
/// What overlaps the picture by more is the picture.
const WHOLE_OVERLAP_MAX: f32 = 0.97;
/// How far from its sides a rectangle is looked at for bars.
const INSET_PIXELS: usize = 2;

/// Shorter sides of the reduced picture hold no lines to speak of.
const LINES_SIDE_MIN: usize = 2 * BORDER_PIXELS + BLOCK;
/// How close to the border of the picture no line is looked for.
const BORDER_PIXELS: usize = 4;
/// The most lines looked at each way: pairs of pairs are some 20,000 rectangles.
const LINES_MAX: usize = 16;
/// Pixels along a line that are summed up at a time.
const BLOCK: usize = 8;
/// One pixel's share in an edge at the most; no few pixels make an edge.
const RIDGE_MAX: i16 = 16;
/// The grid that compression leaves: 8 pixels for brightness, 16 for colour. What it draws varies.
const GRID: usize = 16;
const GRID_WEIGHT: i32 = 2;
/// What a block must be above to be part of a stretch of edge, and a stretch to be looked at.
const BLOCK_BIAS: i32 = 3 * BLOCK as i32;
const STRETCH_SUM_MIN: i32 = 60;

/// The mean edge of the weakest side at the least, by the number of sides that are not the picture's own.
const MEAN_MIN: [f32; 5] = [f32::MAX, 9.0, 6.0, 4.0, 3.0];
/// The same of the quarters at the ends of each side.
const END_MEAN_MIN: f32 = 1.0;
/// A line is one across the picture if most of these parts of it are edges.
const PARTS: usize = 8;
const PARTS_CUT_MIN: usize = 6;
const PART_MEAN_MIN: f32 = 2.0;
/// The same of both lines together where they cross in the middle, and how near it that is, as a divisor.
const MIDDLE_CUT_MIN: usize = 9;
const MIDDLE_SHARE: usize = 50;
/// The same of a line that ends a caption, and how much of that is lettering, as divisors.
const CAPTION_CUT_MIN: usize = 5;
const LETTERING_SHARE_MIN: usize = 200;
const LETTERING_SHARE_MAX: usize = 3;
/// What a stretch of such a line has at the least of the mean edge of all of the line.
const WHOLE_LINE_SHARE: f32 = 0.6;
/// How much sides count by their number.
const COUNT_WEIGHT: [f32; 5] = [0.0, 0.9, 0.9, 1.0, 1.15];
/// Rectangles that are looked at closely.
const CANDIDATES_MAX: usize = 24;
/// A line across a rectangle that is as much of an edge is a side, and what it does to the rating.
const SPLIT_MEAN_MIN: f32 = 8.0;
const SPLIT_SHARE: f32 = 0.6;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Luma, trim, trim_luma};

    fn picture(width: u32, height: u32, at: impl Fn(u32, u32) -> [u8; 3]) -> Picture {
        let rgb =
            (0..height).flat_map(|y| (0..width).map(move |x| (x, y))).flat_map(|(x, y)| at(x, y));
        Picture { width, height, rgb: rgb.collect() }
    }

    fn noise(x: u32, y: u32) -> [u8; 3] {
        let mut n = x ^ (y << 16) ^ 0x9E37_79B9;
        for factor in [0x85EB_CA6B, 0xC2B2_AE35, 0x27D4_EB2F] {
            n = (n ^ (n >> 15)).wrapping_mul(factor);
        }
        (n ^ (n >> 16)).to_le_bytes()[..3].try_into().unwrap()
    }

    /// Soft slopes of one of four kinds, with a little noise.
    fn slope(kind: u32, x: u32, y: u32) -> [u8; 3] {
        let rise = [x / 4 + y / 4, 200 - x / 4 - y / 4, 90 + y / 4 - x / 5, 190 - y / 5 - x / 4]
            [kind as usize % 4];
        let grain = u32::from(noise(x, y)[0] % 16);
        [rise + grain, (rise + 40 * kind) % 200 + grain, 255 - rise.min(250)]
            .map(|c| c.min(255) as u8)
    }

    fn inside(part: Rectangle, x: u32, y: u32) -> bool {
        (part.x..part.x + part.width).contains(&x) && (part.y..part.y + part.height).contains(&y)
    }

    #[track_caller]
    fn check_found(picture: &Picture, part: Rectangle) {
        let found = regions(picture);
        let near = |a: u32, b: u32| a.abs_diff(b) * 100 <= picture.width.max(picture.height);
        let same = |r: &Rectangle| {
            near(r.x, part.x)
                && near(r.y, part.y)
                && near(r.x + r.width, part.x + part.width)
                && near(r.y + r.height, part.y + part.height)
        };
        assert!(found.iter().any(same), "{part:?} is not in {found:?}");
        assert!(found.len() <= REGIONS_MAX);
    }

    #[test]
    fn pictures_in_pictures_are_found() {
        let patch = Rectangle { x: 123, y: 41, width: 170, height: 130 };
        check_found(
            &picture(400, 300, |x, y| {
                if inside(patch, x, y) { noise(x, y).map(|c| 90 + c / 4) } else { slope(0, x, y) }
            }),
            patch,
        );
        check_found(
            &picture(400, 300, |x, y| slope(if inside(patch, x, y) { 1 } else { 0 }, x, y)),
            patch,
        );
        let framed = Rectangle { x: 20, y: 30, width: 360, height: 250 };
        check_found(
            &picture(400, 300, |x, y| if inside(framed, x, y) { noise(x, y) } else { [250; 3] }),
            framed,
        );
        let captioned = Rectangle { x: 0, y: 61, width: 400, height: 239 };
        let meme = |x, y| match y {
            61.. => slope(3, x, y),
            20..40 if (100..300).contains(&x) && x % 7 < 3 => [0; 3],
            _ => [255; 3],
        };
        check_found(&picture(400, 300, meme), captioned);
    }

    #[test]
    fn bars_beside_a_picture_come_off() {
        let post = Rectangle { x: 90, y: 101, width: 200, height: 140 };
        let shown = Rectangle { x: 130, y: 101, width: 120, height: 140 };
        let page = picture(400, 300, |x, y| match (inside(post, x, y), inside(shown, x, y)) {
            (_, true) => slope(2, x, y),
            (true, _) => [0; 3],
            _ => [245; 3],
        });
        check_found(&page, shown);
    }

    #[test]
    fn the_tiles_of_a_collage_are_found() {
        for side in [400, 1000] {
            let collage = picture(side, side, |x, y| {
                let (x, y) = (x * 400 / side, y * 400 / side);
                slope(x / 200 + 2 * (y / 200), x % 200, y % 200)
            });
            let half = side / 2;
            for (x, y) in [(0, 0), (half, 0), (0, half), (half, half)] {
                check_found(&collage, Rectangle { x, y, width: half, height: half });
            }
        }
    }

    #[test]
    fn an_ordinary_picture_has_no_regions() {
        assert_eq!(regions(&picture(400, 300, |_, _| [90; 3])), []);
        assert_eq!(regions(&picture(400, 300, |x, y| slope(0, x, y))), []);
        assert_eq!(regions(&picture(400, 300, noise)), []);
    }

    #[test]
    fn extreme_shapes_are_borne() {
        for (width, height) in [(0, 0), (1, 1), (1, 10_000), (5, 5), (40, 20_000), (9_000, 41)] {
            let picture =
                picture(width, height, |x, y| slope((x / 50 + y / 50) % 4, x % 200, y % 200));
            for region in regions(&picture).into_iter().chain(trim(&picture)) {
                assert!(region.x + region.width <= width && region.y + region.height <= height);
            }
        }
    }

    proptest! {
        #[test]
        fn regions_lie_within_the_picture(
            width in 1_u32..200, height in 1_u32..200, seed: u32, across in 1_u32..90, down in 1_u32..90,
        ) {
            let picture = picture(width, height, |x, y| {
                let tile = noise(x / across + seed % 99, y / down);
                if tile[0] < 60 { noise(x, y) } else { tile }
            });
            let luma = picture.rgb.as_chunks::<3>().0.iter().map(|pixel| pixel[1]).collect();
            let luma = Luma::new(width, height, luma);
            for region in regions(&picture).into_iter().chain(trim(&picture)).chain(trim_luma(&luma)) {
                prop_assert!(region.x + region.width <= width && region.y + region.height <= height);
                prop_assert!(region.width > 0 && region.height > 0);
            }
        }
    }
}
