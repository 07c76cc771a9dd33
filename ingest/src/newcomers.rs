//! Works that came into the log after suspects were compared, and which of those suspects may be copies of them: told by what
//! is kept of a suspect, without its picture.
//!
//! There are few such works at a time and many suspects, so the codes of the works lie side by side and every suspect's are
//! held against all of them.

use std::collections::{HashMap, HashSet};

use multiversion::multiversion;
use timemark_store::RegistryError;
use timemark_verify::{ContentId, Fingerprint};
use timemark_vision::{Dihedral, Kind, Pdq, Upright, transposed};

use crate::derive::{DeriveError, record};
use crate::engine::Engine;
use crate::finding::Finding;
use crate::glance::LUMA_BITS_MAX;
use crate::judge::SURE_DISTANCE;
use crate::scan::QUALITY_MIN;

/// The codes by which a suspect was looked up: of the whole, and of rectangles in it as far as a scan went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SuspectCodes {
    /// Those of the whole first.
    pub codes: Vec<Upright>,
    /// Whether they are of its brightness alone, and a few bits off.
    pub is_rough: bool,
}

impl SuspectCodes {
    /// Takes in the codes of a part, unless it has too little detail, or is known.
    pub(crate) fn add(&mut self, pdq: &Pdq) {
        let codes = Upright::of(pdq);
        if pdq.quality >= QUALITY_MIN && !self.codes.contains(&codes) {
            self.codes.push(codes);
        }
    }
}

/// Works of some entries that follow each other, as far as they were not withdrawn. One whose claim was erased is told by its
/// bytes alone.
#[derive(Debug, Default)]
pub struct Newcomers {
    /// Their contents, by how those begin.
    contents: HashMap<u64, Vec<(u64, ContentId)>>,
    /// The entries of works that have codes, in the order of `blocks`.
    coded: Vec<(u64, ContentId)>,
    /// Two codes of each: as it is, and with rows and columns exchanged.
    blocks: Vec<Block>,
}

/// Some codes, word by word.
#[derive(Clone, Copy, Debug, Default)]
struct Block {
    words: [[u64; LANES]; 4],
}

/// A work whose code is near to one of a suspect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Newcomer {
    /// The number of its entry.
    pub index: u64,
    /// What it is.
    pub work: ContentId,
    /// Bits of 256 in which the codes differ.
    pub distance: u32,
    /// What was done to the work as a whole.
    pub position: Dihedral,
}

impl Newcomers {
    /// The works of the entries from this one on and below `end`, as many as the log gives at once, and the entry after the
    /// last that was looked at.
    pub fn of(from: u64, end: u64, engine: &Engine) -> Result<(Newcomers, u64), DeriveError> {
        let (mut newcomers, mut next) = (Newcomers::default(), from);
        for entry in engine.log.entries_from(from)? {
            if entry.index >= end {
                break;
            }
            next = entry.index + 1;
            let Some(record) = record(entry)? else { continue };
            // What was withdrawn accuses nobody; what corrects an earlier claim is of a work that was compared, unless
            // that was erased before it could be.
            let Some(standing) = engine.standing(record.index)? else { continue };
            if standing.first.index < from && standing.first.claim.is_some() {
                continue;
            }
            let code = record.claim.as_ref().and_then(|claim| claim.pdq());
            newcomers.add(record.index, record.leaf.content, code);
        }
        Ok((newcomers, next))
    }

    /// Takes in a work: the number of its entry, what it is, its code and the quality of that.
    pub fn add(&mut self, index: u64, work: ContentId, code: Option<(Fingerprint, u8)>) {
        self.contents.entry(beginning(&work)).or_default().push((index, work));
        let Some((code, _)) = code.filter(|(_, quality)| *quality >= QUALITY_MIN) else { return };
        for code in [code, transposed(&code)] {
            let lane = self.codes() % LANES;
            if lane == 0 {
                self.blocks.push(Block::default());
            }
            if let Some(block) = self.blocks.last_mut() {
                for (words, word) in block.words.iter_mut().zip(code.0) {
                    words[lane] = word;
                }
            }
            self.coded.push((index, work));
        }
    }

    fn codes(&self) -> usize {
        self.coded.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.contents.is_empty()
    }

    /// Those that came with the log at that size or later and whose content may be the one that begins so, each with its
    /// entry.
    pub fn beginning_with(&self, start: u64, entries: u64) -> impl Iterator<Item = &ContentId> {
        let all = self.contents.get(&start).map(Vec::as_slice).unwrap_or_default();
        all.iter().filter(move |(index, _)| *index >= entries).map(|(_, work)| work)
    }

    /// Those that came with the log at that size or later and have a code within `radius` of one of these, and a little
    /// farther where those are rough: each work once, nearest first.
    pub fn near(&self, suspect: &SuspectCodes, radius: u32, entries: u64) -> Vec<Newcomer> {
        let mut near: Vec<Newcomer> = Vec::new();
        let radius = radius + if suspect.is_rough { LUMA_BITS_MAX } else { 0 };
        for Upright(codes) in &suspect.codes {
            sweep(&self.blocks, codes, radius, &mut |place, which, distance| {
                let Some(&(index, work)) = self.coded.get(place) else { return };
                if index < entries {
                    return;
                }
                let position = Upright::POSITIONS[which][place % 2];
                near.push(Newcomer { index, work, distance, position });
            });
        }
        near.sort_by_key(|near| (near.distance, near.index));
        let mut seen = HashSet::new();
        near.retain(|near| seen.insert(near.work));
        near
    }
}

/// How a content begins, by which it is looked for.
pub fn beginning(content: &ContentId) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = *content.sha256();
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

/// What codes alone show, where the suspect is not to be had: nothing, unless they are as near as suffices for a work of
/// which there is no picture.
pub fn by_codes_alone(
    near: &Newcomer,
    suspect: &SuspectCodes,
    radius: u32,
    engine: &Engine,
) -> Result<Option<Finding>, RegistryError> {
    let sure = SURE_DISTANCE.min(radius);
    let most = if suspect.is_rough { sure.saturating_sub(LUMA_BITS_MAX) } else { sure };
    if near.distance > most {
        return Ok(None);
    }
    let standing = engine.standing(near.index)?;
    Ok(standing.map(|standing| Finding {
        transform: Some(near.position.words().to_owned()),
        ..Finding::by_code(&standing, Kind::Pdq, near.distance)
    }))
}

/// Reports each code of the blocks within `radius` of one of these: its place, which one, the distance.
#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512vpopcntdq+popcnt",
    "x86_64+avx2+popcnt",
    "x86_64+popcnt"
))]
fn sweep(
    blocks: &[Block],
    codes: &[Fingerprint; 4],
    radius: u32,
    report: &mut dyn FnMut(usize, usize, u32),
) {
    let radius = u64::from(radius);
    for (number, group) in blocks.chunks(GROUP).enumerate() {
        for (which, Fingerprint(code)) in codes.iter().enumerate() {
            // Half of a code tells of nearly all that they are too far away.
            let mut nearest = [u64::MAX; LANES];
            for Block { words } in group {
                for lane in 0..LANES {
                    let half = (words[0][lane] ^ code[0]).count_ones()
                        + (words[1][lane] ^ code[1]).count_ones();
                    nearest[lane] = nearest[lane].min(u64::from(half));
                }
            }
            if nearest.into_iter().fold(u64::MAX, u64::min) > radius {
                continue;
            }
            for (block, Block { words }) in (number * GROUP..).zip(group) {
                for lane in 0..LANES {
                    let distance = words.iter().zip(code).map(|(w, c)| (w[lane] ^ c).count_ones());
                    let distance = distance.sum::<u32>();
                    if u64::from(distance) <= radius {
                        report(block * LANES + lane, which, distance);
                    }
                }
            }
        }
    }
}

/// Codes that are compared side by side: 512 bits of each word.
const LANES: usize = 8;
/// So many times that, before it is asked whether any is near.
const GROUP: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn random() -> impl FnMut() -> Fingerprint {
        let mut seed = 1_u64;
        move || {
            Fingerprint(std::array::from_fn(|_| {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                seed ^ seed >> 31
            }))
        }
    }

    fn work(index: u64) -> ContentId {
        ContentId::of(&index.to_le_bytes())
    }

    fn off_by(code: Fingerprint, bits: u32) -> Fingerprint {
        let mut off = code;
        (0..bits).for_each(|bit| off.0[(bit % 4) as usize] ^= 1 << (bit / 4 * 3));
        off
    }

    #[test]
    fn what_is_near_in_any_position_is_found_and_nothing_else() {
        let mut random = random();
        let mut newcomers = Newcomers::default();
        let codes: Vec<Fingerprint> = (0..41).map(|_| random()).collect();
        for (index, code) in (100..).zip(&codes) {
            newcomers.add(index, work(index), Some((*code, 50)));
        }
        newcomers.add(200, work(200), Some((codes[0], QUALITY_MIN - 1)));
        newcomers.add(201, work(201), None);
        for (which, positions) in Upright::POSITIONS.into_iter().enumerate() {
            for (exchanged, position) in positions.into_iter().enumerate() {
                for (number, code) in codes.iter().enumerate() {
                    let mut suspect = [random(), random(), random(), random()];
                    let wanted = off_by(*code, 31);
                    suspect[which] = if exchanged == 1 { transposed(&wanted) } else { wanted };
                    let codes = vec![Upright([random(); 4]), Upright(suspect)];
                    let mut suspect = SuspectCodes { codes, is_rough: false };
                    let index = 100 + number as u64;
                    let near = newcomers.near(&suspect, 31, 0);
                    let work = work(index);
                    assert_eq!(near, [Newcomer { index, work, distance: 31, position }]);
                    assert_eq!(newcomers.near(&suspect, 31, index), near);
                    assert!(newcomers.near(&suspect, 31, index + 1).is_empty(), "it was compared");
                    assert!(newcomers.near(&suspect, 30, 0).is_empty());
                    suspect.is_rough = true;
                    assert_eq!(newcomers.near(&suspect, 31 - LUMA_BITS_MAX, 0), near);
                }
            }
        }
        // All of them, where the radius says so; the nearest first.
        let suspect = SuspectCodes { codes: vec![Upright([codes[5]; 4])], is_rough: false };
        let all = newcomers.near(&suspect, 256, 0);
        assert_eq!((all.len(), all[0].index, all[0].distance), (41, 105, 0));
        let start = beginning(&work(201));
        assert_eq!(newcomers.beginning_with(start, 201).count(), 1);
        assert_eq!(newcomers.beginning_with(start, 202).count(), 0);
        assert!(Newcomers::default().near(&suspect, 256, 0).is_empty());
    }
}
