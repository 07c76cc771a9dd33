//! When a work that was found in a suspect is asserted as copied: the operating point, and how it was chosen is
//! written in docs/accuracy.md.

use timemark_vision::{Geometry, Picture, agreement, polygon::Polygon};

/// What a closer look at a work in a suspect gave.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Judgement {
    pub verdict: Verdict,
    /// Joined places, each by the chance that it is right: what matches are graded and ordered by.
    pub weight: f64,
    /// Share of the windows that look alike wherever the work lies, and between the joined places.
    pub alike: Option<f64>,
    pub alike_between: Option<f64>,
}

impl Judgement {
    const NOTHING: Judgement =
        Judgement { verdict: Verdict::Nothing, weight: 0.0, alike: None, alike_between: None };
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The suspect is a copy of the work, of a part of it, or holds one.
    Copy,
    /// It shares elements with the work.
    Related,
    /// Nothing is asserted.
    Nothing,
}

/// Judges a work that `geometry` joins with a suspect by at least `places_min` places, which lie on each other but
/// for `misfit` ([`Alignment::misfit`](timemark_vision::Alignment::misfit)).
///
/// Two drawings in one frame, two photographs of one chair or of one kind of butterfly share places as well. A
/// copy also looks alike between the places, and but for what was pasted over it wherever else the work lies.
pub(crate) fn by_places(
    work: &Picture,
    suspect: &Picture,
    geometry: &Geometry,
    misfit: f64,
    places_min: usize,
) -> Judgement {
    let places = geometry.joined.len();
    let Some(overlap) = geometry.part_of_work().filter(|_| places >= places_min) else {
        return Judgement::NOTHING;
    };
    let hull = Polygon::hull(geometry.joined.iter().map(|p| p[0].map(f64::from)).collect());
    let between = agreement(work, suspect, &geometry.map, &hull);
    let everywhere = agreement(work, suspect, &geometry.map, &overlap);
    let weight = places as f64 * between.share();
    // The more places, the more of what lies between them may have been painted over.
    let doublings = (places as f64 / PLACES_MIN as f64).log2();
    let between_min = (BETWEEN_MIN - BETWEEN_FALL * doublings).max(BETWEEN_LEAST);
    let whole = everywhere.share() >= WHOLE_MIN;
    let alike = between.share() >= if whole { between_min - WHOLE_BONUS } else { between_min };
    let enough_to_see = everywhere.windows >= WINDOWS_MIN;
    let wide = if places < FEW_PLACES {
        whole
    } else if places >= PASTED_PLACES_MIN && between.share() >= PASTED_BETWEEN_MIN {
        everywhere.share() >= PASTED_MIN
    } else {
        let many = places >= PASTED_PLACES_MIN;
        everywhere.share() >= if many { EVERYWHERE_MIN } else { EVERYWHERE_MIN_OF_FEWER }
    };
    // A picture seen from aside lies on no affine map; nor does another picture of the same thing.
    let exact =
        misfit <= MISFIT_MAX || places >= LOOSE_PLACES_MIN && between.share() >= LOOSE_BETWEEN_MIN;
    let copy = enough_to_see && alike && wide && exact;
    let verdict = if copy { Verdict::Copy } else { Verdict::Related };
    let (alike, alike_between) = (Some(everywhere.share()), Some(between.share()));
    Judgement { verdict, weight, alike, alike_between }
}

/// Judges a work by its places alone, where there is no picture of it to be had.
pub(crate) fn by_places_alone(geometry: &Geometry) -> Judgement {
    let places = geometry.joined.len();
    let verdict = if places >= UNSEEN_PLACES_MIN { Verdict::Copy } else { Verdict::Related };
    Judgement { verdict, weight: places as f64 / 2.0, ..Judgement::NOTHING }
}

/// Judges a work whose code, in the position that `geometry` gives, is `distance` bits from a suspect's.
pub(crate) fn by_code(
    work: &Picture,
    suspect: &Picture,
    geometry: &Geometry,
    distance: u32,
) -> Judgement {
    let Some(part) = geometry.part_of_work() else {
        return Judgement::NOTHING;
    };
    let everywhere = agreement(work, suspect, &geometry.map, &part);
    let alike = everywhere.share();
    let min = if distance <= SURE_DISTANCE { CODE_SURE_MIN } else { CODE_MIN };
    let enough_to_see = everywhere.windows >= WINDOWS_MIN;
    let verdict = if enough_to_see && alike >= min { Verdict::Copy } else { Verdict::Nothing };
    let weight = alike * f64::from(128_u32.saturating_sub(distance)) / 4.0;
    Judgement { verdict, weight, alike: Some(alike), alike_between: None }
}

/// Joined places below which nothing is asserted: the default.
pub const PLACES_MIN: usize = 8;
/// Share of the windows between the places that must look alike at [`PLACES_MIN`], by how much less with each
/// doubling of the places, never less than the next, and by how much less where the work looks alike as a whole.
const BETWEEN_MIN: f64 = 0.95;
const BETWEEN_FALL: f64 = 0.18;
const BETWEEN_LEAST: f64 = 0.45;
const WHOLE_BONUS: f64 = 0.15;
/// Share of the windows everywhere on the overlap: to be alike as a whole, ...
const WHOLE_MIN: f64 = 0.78;
/// ... which so few places need, ...
const FEW_PLACES: usize = 20;
/// ... otherwise, with fewer places than a piece that was pasted has, and with as many, ...
const EVERYWHERE_MIN_OF_FEWER: f64 = 0.45;
const EVERYWHERE_MIN: f64 = 0.35;
/// ... and where a piece of the work was cut out and pasted: many places, nearly all between them alike.
const PASTED_PLACES_MIN: usize = 32;
const PASTED_BETWEEN_MIN: f64 = 0.95;
const PASTED_MIN: f64 = 0.2;
/// Above this misfit there must be many places, nearly all between them alike.
const MISFIT_MAX: f64 = 0.5;
const LOOSE_PLACES_MIN: usize = 32;
const LOOSE_BETWEEN_MIN: f64 = 0.9;
/// Windows with something to see, at least.
const WINDOWS_MIN: u32 = 12;
/// Places that suffice for a work whose picture is not to be had: of the pairs that are easily confused, the one that
/// shares most without being a copy has 78.
const UNSEEN_PLACES_MIN: usize = 96;
/// Codes as near as this need less that looks alike, and suffice where there is no picture to be had.
pub(crate) const SURE_DISTANCE: u32 = 31;
const CODE_SURE_MIN: f64 = 0.3;
const CODE_MIN: f64 = 0.6;
