//! The lists of keypoints by their keys, in memory.
//!
//! A suspect's keypoint looks into the list of its own key and into those of keys that differ from it in doubtful
//! bits. An entry votes for its work if a part of the code agrees, and votes count that agree upon how the work
//! would be turned and resized (Jégou, Douze and Schmid, "Hamming embedding and weak geometric consistency",
//! 2008).

use std::f32::consts::TAU;
use std::ops::Range;

use timemark_verify::Fingerprint;
use timemark_vision::{Features, Key, Looks};

/// What is kept of a keypoint in the lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// See [`Key::bits`].
    pub key: u32,
    /// The first bits of the code.
    pub signature: u16,
    /// Direction in 256ths of a turn.
    pub angle: u8,
    /// How often the keypoint's deviation fits into the picture's longer side, in sixteenths of an octave.
    pub size: u8,
}

/// A work by its place in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub place: u32,
    pub votes: u32,
    /// Keypoints of the work and of the suspect, by their numbers, whose votes agree.
    pub pairs: Vec<[u16; 2]>,
}

/// All keypoints in lists. What was added is found after [`Lists::settle`].
#[derive(Default)]
pub(super) struct Lists {
    /// Largest first, each at least twice as large as the next.
    segments: Vec<Segment>,
    added: Vec<(u32, Entry)>,
    works: Works,
}

/// The keypoints of all works are numbered through; those of the work at place `p` begin with `firsts[p]`.
#[derive(Default)]
struct Works {
    firsts: Vec<u32>,
    keypoints: u32,
    /// The places of every 256th keypoint.
    hints: Vec<u32>,
}

/// Lists that change no more: those of key `k` are `entries[starts[k]..starts[k + 1]]`.
struct Segment {
    starts: Vec<u32>,
    entries: Vec<Entry>,
}

/// Number, signature, angle and size of a keypoint.
#[derive(Clone, Copy, Default)]
struct Entry {
    keypoint: u32,
    signature: u16,
    angle: u8,
    size: u8,
}

impl Lists {
    /// Adds the work at the next place. False, and the work without keypoints, where there are as many as can be
    /// numbered: some 13 million works have them.
    pub fn add(&mut self, heads: &[Head]) -> bool {
        let Some(keypoints) = self.works.push(heads.len()) else {
            self.works.push(0);
            return false;
        };
        self.added.extend(heads.iter().zip(keypoints).map(|(head, keypoint)| {
            let Head { key, signature, angle, size } = *head;
            (key & (KEYS as u32 - 1), Entry { keypoint, signature, angle, size })
        }));
        true
    }

    pub fn is_settled(&self) -> bool {
        self.added.is_empty()
    }

    /// Bytes of memory that the lists take.
    pub fn bytes(&self) -> u64 {
        let entries: usize = self.segments.iter().map(|segment| segment.entries.len()).sum();
        let starts: usize = self.segments.iter().map(|segment| segment.starts.len()).sum();
        let numbers = starts + self.works.firsts.len() + self.works.hints.len();
        (entries * size_of::<Entry>() + numbers * size_of::<u32>()) as u64
    }

    /// Sorts in what was added, merging segments as far as keeps them few.
    pub fn settle(&mut self) {
        if self.added.is_empty() {
            return;
        }
        let added = std::mem::take(&mut self.added);
        let mut new = Segment::new(&added);
        while let Some(last) =
            self.segments.pop_if(|last| last.entries.len() < 2 * new.entries.len())
        {
            new = last.merged(&new);
        }
        self.segments.push(new);
    }

    /// At most so many works with most votes, best first.
    pub fn candidates(&self, suspect: &Features, mirrored: bool, most: usize) -> Vec<Found> {
        let looks = if mirrored { &suspect.mirrored } else { &suspect.looks };
        self.count(&self.votes(suspect, looks, mirrored), most)
    }

    fn votes(&self, suspect: &Features, looks: &Looks, mirrored: bool) -> Vec<Vote> {
        let longest = suspect.size[0].max(suspect.size[1]) as f32;
        let entries: usize = self.segments.iter().map(|segment| segment.entries.len()).sum();
        let mut votes = Vec::new();
        let looks = looks.keys.iter().zip(&looks.codes);
        for (number, (keypoint, (key, code))) in (0..).zip(suspect.keypoints.iter().zip(looks)) {
            let (signature, angle) = (signature(code), turn(keypoint.angle));
            let size = i32::from(size(keypoint.sigma, longest));
            for list in self.lists(key) {
                // What many keypoints look like says little.
                let rarity = (entries / list.len().max(1)).max(1).ilog2().saturating_sub(COMMON);
                let alike = list.iter().filter_map(|entry| {
                    let distance = (entry.signature ^ signature).count_ones();
                    (distance <= SIGNATURE_DISTANCE_MAX).then_some((entry, distance))
                });
                votes.extend(alike.map(|(entry, distance)| Vote {
                    keypoint: entry.keypoint,
                    suspect: number,
                    weight: ((rarity + 1) * (SIGNATURE_DISTANCE_MAX + 1 - distance)) as u16,
                    // A mirror image turns directions over.
                    turn: angle.wrapping_sub(if mirrored {
                        entry.angle.wrapping_neg()
                    } else {
                        entry.angle
                    }),
                    growth: (i32::from(entry.size) - size + 128).clamp(0, 255) as u8,
                }));
            }
        }
        votes
    }

    /// The lists of a key, and of those that differ from it in any of its doubtful bits.
    fn lists(&self, key: &Key) -> impl Iterator<Item = &[Entry]> {
        let doubtful = key.doubtful.map(|bit| 1_u32 << bit);
        let keys = (0..1_u32 << Key::DOUBTFUL).map(move |flips| {
            let flipped = doubtful.iter().zip(0..).filter(|(_, bit)| flips >> bit & 1 == 1);
            flipped.fold(key.bits, |key, (bit, _)| key ^ bit)
        });
        keys.flat_map(|key| self.segments.iter().map(move |segment| segment.list(key)))
    }

    /// At most so many works with most votes that agree, and these votes.
    fn count(&self, votes: &[Vote], most: usize) -> Vec<Found> {
        let places: Vec<u32> = votes.iter().map(|vote| self.works.place(vote.keypoint)).collect();
        let mut totals = vec![0_u32; self.works.firsts.len()];
        for (vote, place) in votes.iter().zip(&places) {
            totals[*place as usize] += u32::from(vote.weight);
        }
        let voted = totals.iter().zip(0..).filter(|(votes, _)| **votes > 0);
        let mut first: Vec<(u32, u32)> = voted.map(|(&votes, place)| (votes, place)).collect();
        let counted = (totals.len() / COUNTED_OF).clamp(COUNTED_MIN, COUNTED_MAX);
        keep_first(&mut first, counted, |&(votes, place)| (u32::MAX - votes, place));
        // From here on the number at a place is that of the work among the first.
        totals.fill(u32::MAX);
        for ((_, place), number) in first.iter().zip(0..) {
            totals[*place as usize] = number;
        }
        let mut bins = vec![[0_u32; BINS * BINS]; first.len()];
        for (vote, place) in votes.iter().zip(&places) {
            let Some(bins) = bins.get_mut(totals[*place as usize] as usize) else { continue };
            for bin in vote.bins() {
                bins[bin] += u32::from(vote.weight);
            }
        }
        let mut best: Vec<(u32, u32, usize)> = Vec::with_capacity(first.len());
        for ((_, place), bins) in first.iter().zip(&bins) {
            let fullest =
                bins.iter().zip(0..).max_by_key(|(votes, bin)| (**votes, usize::MAX - bin));
            best.extend(fullest.map(|(&votes, bin)| (votes, *place, bin)));
        }
        keep_first(&mut best, most, |&(votes, place, _)| (u32::MAX - votes, place));
        totals.fill(u32::MAX);
        let mut found = Vec::with_capacity(best.len());
        for (number, &(votes, place, _)) in (0..).zip(&best) {
            totals[place as usize] = number;
            found.push(Found { place, votes, pairs: Vec::new() });
        }
        for (vote, place) in votes.iter().zip(&places) {
            let number = totals[*place as usize] as usize;
            let Some(found) = found.get_mut(number) else { continue };
            if vote.bins().contains(&best[number].2) {
                let keypoint = vote.keypoint - self.works.firsts[*place as usize];
                found.pairs.push([keypoint as u16, vote.suspect]);
            }
        }
        found
    }
}

/// Sorts and keeps so many; of many only these are sorted.
fn keep_first<T, K: Ord>(all: &mut Vec<T>, most: usize, key: impl Fn(&T) -> K) {
    if all.len() > most && most > 0 {
        all.select_nth_unstable_by_key(most - 1, &key);
    }
    all.truncate(most);
    all.sort_unstable_by_key(key);
}

impl Works {
    /// The numbers of another work's keypoints.
    fn push(&mut self, keypoints: usize) -> Option<Range<u32>> {
        let place = u32::try_from(self.firsts.len()).ok()?;
        let end = self.keypoints.checked_add(u32::try_from(keypoints).ok()?)?;
        let range = self.keypoints..end;
        self.firsts.push(range.start);
        while ((self.hints.len() as u64) << HINT_SHIFT) < u64::from(end) {
            self.hints.push(place);
        }
        self.keypoints = end;
        Some(range)
    }

    /// Whose keypoint it is.
    fn place(&self, keypoint: u32) -> u32 {
        let hint = (keypoint >> HINT_SHIFT) as usize;
        let from = self.hints[hint] as usize;
        let to = self.hints.get(hint + 1).map_or(self.firsts.len(), |&place| place as usize + 1);
        let within = self.firsts[from..to].partition_point(|first| *first <= keypoint);
        (from + within - 1) as u32
    }
}

/// What an entry says of the work: how it would be turned, in 256ths, and resized, in sixteenths of an octave
/// around 128.
struct Vote {
    keypoint: u32,
    /// The suspect's keypoint.
    suspect: u16,
    /// The more, the rarer the key and the nearer the signature.
    weight: u16,
    turn: u8,
    growth: u8,
}

impl Vote {
    /// Each vote counts in two bins of either kind, so that none is cut in two by their bounds.
    fn bins(&self) -> [usize; 4] {
        let ([a, b], [c, d]) = (near_bins(self.turn, true), near_bins(self.growth, false));
        [a * BINS + c, a * BINS + d, b * BINS + c, b * BINS + d]
    }
}

/// The bin of a number and the one next to it that is nearer.
fn near_bins(number: u8, around: bool) -> [usize; 2] {
    let bin = usize::from(number / BIN_WIDTH);
    let before = number % BIN_WIDTH < BIN_WIDTH / 2;
    let near = match (before, around) {
        (true, true) => (bin + BINS - 1) % BINS,
        (true, false) => bin.saturating_sub(1),
        (false, true) => (bin + 1) % BINS,
        (false, false) => (bin + 1).min(BINS - 1),
    };
    [bin, near]
}

impl Segment {
    /// Sorted by key, stably, by counting.
    fn new(added: &[(u32, Entry)]) -> Segment {
        let mut starts = vec![0_u32; KEYS + 1];
        for (key, _) in added {
            starts[*key as usize + 1] += 1;
        }
        for key in 0..KEYS {
            starts[key + 1] += starts[key];
        }
        let mut next = starts.clone();
        let mut entries = vec![Entry::default(); added.len()];
        for (key, entry) in added {
            let next = &mut next[*key as usize];
            entries[*next as usize] = *entry;
            *next += 1;
        }
        Segment { starts, entries }
    }

    fn merged(&self, other: &Segment) -> Segment {
        let mut entries = Vec::with_capacity(self.entries.len() + other.entries.len());
        let mut starts = Vec::with_capacity(KEYS + 1);
        for key in 0..KEYS as u32 {
            starts.push(entries.len() as u32);
            entries.extend_from_slice(self.list(key));
            entries.extend_from_slice(other.list(key));
        }
        starts.push(entries.len() as u32);
        Segment { starts, entries }
    }

    fn list(&self, key: u32) -> &[Entry] {
        let key = key as usize;
        &self.entries[self.starts[key] as usize..self.starts[key + 1] as usize]
    }
}

/// The first bits of a code.
pub(super) fn signature(code: &Fingerprint) -> u16 {
    code.0[0] as u16
}

/// A direction in 256ths of a turn.
pub(super) fn turn(angle: f32) -> u8 {
    ((angle / TAU * 256.0).round() as i32 & 255) as u8
}

/// See [`Head::size`].
pub(super) fn size(sigma: f32, longest: f32) -> u8 {
    ((longest / sigma).log2() * 16.0).round().clamp(0.0, 255.0) as u8
}

const KEYS: usize = 1 << Key::BITS;
/// Of 16 bits: some 1 % of the signatures of other keypoints are as near.
const SIGNATURE_DISTANCE_MAX: u32 = 3;
/// Lists with one of 2 to this many entries, and longer ones, are common: their votes weigh least.
const COMMON: u32 = 10;
/// Works whose votes are counted by turn and growth: one of so many, within bounds.
const COUNTED_OF: usize = 20;
const COUNTED_MIN: usize = 400;
const COUNTED_MAX: usize = 5000;
/// Sixteen bins of turns, and of growth by an octave each.
const BINS: usize = 16;
const BIN_WIDTH: u8 = 16;
/// Of 256 keypoints the first has a hint.
const HINT_SHIFT: u32 = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_keypoint_belongs_to_its_work(counts in prop::collection::vec(0_usize..700, 0..40)) {
            let mut works = Works::default();
            for &count in &counts {
                prop_assert_eq!(works.push(count).unwrap().len(), count);
            }
            let owners = (0_u32..).zip(&counts).flat_map(|(place, &count)| vec![place; count]);
            for (keypoint, owner) in (0..).zip(owners) {
                prop_assert_eq!(works.place(keypoint), owner);
            }
        }
    }

    #[test]
    fn what_cannot_be_numbered_is_not_taken() {
        let mut works = Works { keypoints: u32::MAX - 9, ..Works::default() };
        assert_eq!(works.push(10), None);
        assert_eq!((works.keypoints, works.firsts.len()), (u32::MAX - 9, 0));
    }
}
