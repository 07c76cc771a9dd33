//! Which works share keypoints with a suspect, and what those keypoints are.
//!
//! [`lists`] answers the first, approximately and from memory; [`file`] keeps the second on disk, from where
//! the few works that are worth a closer look are read.

mod file;
mod lists;

use std::cmp::Reverse;
use std::path::Path;

use timemark_vision::{Features, support};

use crate::IndexError;
use file::KeypointsFile;
use lists::{Found, Lists};

/// A work that may be in a suspect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The work's log index.
    pub index: u64,
    /// Keypoints that agree upon how the work would be turned and resized, each weighed by how rare its key is
    /// and how near its code.
    pub votes: u32,
    /// How many of these agree upon where it would lie as well.
    pub support: usize,
}

/// The keypoints of all works.
pub(crate) struct Keypoints {
    file: KeypointsFile,
    lists: Lists,
}

impl Keypoints {
    pub(crate) fn open(path: &Path) -> Result<Keypoints, IndexError> {
        let (mut lists, mut full) = (Lists::default(), false);
        let file = KeypointsFile::open(path, &mut |heads| full |= !lists.add(heads))?;
        lists.settle();
        let keypoints = Keypoints { file, lists };
        if full { Err(keypoints.full()) } else { Ok(keypoints) }
    }

    /// Log entries below this are taken in.
    pub(crate) fn len(&self) -> u64 {
        self.file.len()
    }

    /// Works with keypoints, and bytes that they take on disk and in memory.
    pub(crate) fn size(&self) -> (usize, u64) {
        (self.file.works(), self.file.bytes() + self.lists.bytes())
    }

    /// Takes in the log up to `len`. What is already in is skipped.
    pub(crate) fn advance(
        &mut self,
        works: &[(u64, &Features)],
        len: u64,
    ) -> Result<(), IndexError> {
        let (lists, mut full) = (&mut self.lists, false);
        self.file.advance(works, len, &mut |heads| full |= !lists.add(heads))?;
        if full { Err(self.full()) } else { Ok(()) }
    }

    fn full(&self) -> IndexError {
        IndexError::Full { works: self.file.works() }
    }

    pub(crate) fn flush(&mut self) -> Result<(), IndexError> {
        self.file.flush()
    }

    /// Whether [`Keypoints::candidates`] sees all that was added.
    pub(crate) fn is_settled(&self) -> bool {
        self.lists.is_settled()
    }

    /// Sorts in what was added.
    pub(crate) fn settle(&mut self) {
        self.lists.settle();
    }

    /// At most so many works that share most keypoints with a suspect, or with its mirror image, best first.
    pub(crate) fn candidates(
        &self,
        suspect: &Features,
        mirrored: bool,
        most: usize,
    ) -> Result<Vec<Candidate>, IndexError> {
        // Among more works, more come before the right one by chance.
        let shortlist = (self.file.works() / SHORTLISTED_OF).clamp(SHORTLIST_MIN, SHORTLIST_MAX);
        let mut candidates = Vec::new();
        for found in self.lists.candidates(suspect, mirrored, shortlist.max(most)) {
            let Found { place, votes, pairs } = found;
            let ours = self.file.read_some(place, pairs.iter().map(|[ours, _]| *ours))?;
            let paired = ours.into_iter().zip(pairs.iter().map(|[_, theirs]| *theirs));
            let support = support(paired, suspect, mirrored);
            let index = self.file.index(place);
            candidates.push(Candidate { index, votes, support });
        }
        // Stably: of works with equal support, the one with more votes.
        candidates.sort_by_key(|candidate| Reverse(candidate.support));
        candidates.truncate(most);
        Ok(candidates)
    }

    /// The keypoints of the work with a log index, as exact as they are kept.
    pub(crate) fn features(&self, index: u64) -> Result<Option<Features>, IndexError> {
        self.file.place(index).map(|place| self.file.read(place)).transpose()
    }
}

/// Works with most votes of which the keypoints themselves are looked at: one of so many, within bounds.
const SHORTLISTED_OF: usize = 300;
const SHORTLIST_MIN: usize = 60;
const SHORTLIST_MAX: usize = 350;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fs;
    use tempfile::TempDir;
    use timemark_verify::Fingerprint;
    use timemark_vision::{Key, Keypoint};

    /// A picture of 400 × 300 with `count` keypoints drawn by chance.
    fn features(seed: u64, count: usize) -> Features {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut next = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let mut share = move |most: f32| (next() >> 40) as f32 / (1 << 24) as f32 * most;
        let mut features = Features { size: [400, 300], ..Features::default() };
        for _ in 0..count {
            let (x, y, sigma, angle) =
                (share(400.0), share(300.0), 1.0 + share(9.0), share(std::f32::consts::TAU));
            features.keypoints.push(Keypoint { x, y, sigma, angle });
            let word = |share: f32| u64::from(share.to_bits()).wrapping_mul(0x2545_F491_4F6C_DD1D);
            let code = Fingerprint([(); 4].map(|()| word(share(1.0))));
            let bits = (code.0[1] % (1 << Key::BITS)) as u32;
            features.looks.codes.push(code);
            features.looks.keys.push(Key { bits, doubtful: [0, 1, 2, 3] });
        }
        features
    }

    /// A copy turned by 30° and twice as large, of which each key has lost a doubtful bit.
    fn turned(work: &Features) -> Features {
        let mut copy = Features { size: [800, 600], ..work.clone() };
        for keypoint in &mut copy.keypoints {
            (keypoint.angle, keypoint.sigma) = (keypoint.angle + 0.52, 2.0 * keypoint.sigma);
        }
        for (number, key) in copy.looks.keys.iter_mut().enumerate() {
            key.bits ^= 1 << (number % Key::DOUBTFUL);
        }
        copy
    }

    fn opened(dir: &TempDir) -> Keypoints {
        Keypoints::open(&dir.path().join("keypoints")).unwrap()
    }

    /// Every third entry of the log is a work.
    fn filled(dir: &TempDir, works: &[Features]) -> Keypoints {
        let mut keypoints = opened(dir);
        for (number, features) in (0..).zip(works) {
            keypoints.advance(&[(3 * number, features)], 3 * number + 3).unwrap();
            if number % 4 == 1 {
                keypoints.flush().unwrap();
            }
            keypoints.settle();
        }
        keypoints
    }

    fn check(keypoints: &Keypoints, works: &[Features]) {
        for (number, work) in (0..).zip(works) {
            let found = keypoints.candidates(&turned(work), false, 5).unwrap();
            assert_eq!(found[0].index, 3 * number);
            let next = found.get(1).map_or(0, |next| next.votes);
            assert!(found[0].votes > 4 * next, "{found:?}");
            let kept = keypoints.features(3 * number).unwrap().unwrap();
            assert_eq!((kept.size, &kept.looks.codes), (work.size, &work.looks.codes));
            for (kept, was) in kept.keypoints.iter().zip(&work.keypoints) {
                assert!((kept.x - was.x).abs() < 0.01 && (kept.y - was.y).abs() < 0.01);
                assert!((kept.sigma / was.sigma).ln().abs() < 0.03);
                assert!((kept.angle - was.angle).sin().abs() < 0.02);
            }
        }
    }

    #[test]
    fn a_turned_copy_finds_its_work_now_and_after_a_restart() {
        let dir = TempDir::new().unwrap();
        let works: Vec<Features> = (1..=11).map(|seed| features(seed, 80)).collect();
        let mut keypoints = filled(&dir, &works);
        check(&keypoints, &works);
        let own = keypoints.candidates(&turned(&works[0]), false, 1).unwrap()[0].votes;
        let strange = keypoints.candidates(&features(99, 80), false, 5).unwrap();
        assert!(strange.iter().all(|found| 4 * found.votes < own), "{strange:?}");
        keypoints.flush().unwrap();
        drop(keypoints);
        let keypoints = opened(&dir);
        assert_eq!((keypoints.len(), keypoints.size().0), (33, 11));
        check(&keypoints, &works);
    }

    #[test]
    fn a_mirrored_suspect_is_looked_up_by_its_mirrored_looks() {
        let dir = TempDir::new().unwrap();
        let works = [features(1, 80), features(2, 80)];
        let keypoints = filled(&dir, &works);
        let mut suspect = turned(&works[1]);
        for keypoint in &mut suspect.keypoints {
            keypoint.angle = 1.0 - keypoint.angle;
        }
        suspect.mirrored = std::mem::take(&mut suspect.looks);
        assert!(keypoints.candidates(&suspect, false, 5).unwrap().is_empty());
        let found = keypoints.candidates(&suspect, true, 5).unwrap();
        assert_eq!(found[0].index, 3);
        assert!(found.get(1).is_none_or(|next| 4 * next.votes < found[0].votes), "{found:?}");
    }

    #[test]
    fn what_was_not_flushed_is_behind() {
        let dir = TempDir::new().unwrap();
        let works = [features(1, 50), features(2, 50), features(3, 50)];
        drop(filled(&dir, &works)); // flushes after the second
        let mut keypoints = opened(&dir);
        assert_eq!((keypoints.len(), keypoints.size().0), (6, 2));
        let replayed: Vec<(u64, &Features)> = (0..).step_by(3).zip(&works).collect();
        keypoints.advance(&replayed, 9).unwrap();
        keypoints.settle();
        check(&keypoints, &works);
        keypoints.flush().unwrap();
        keypoints.flush().unwrap();
        check(&opened(&dir), &works);
    }

    #[test]
    fn a_torn_tail_is_an_ordinary_crash() {
        let dir = TempDir::new().unwrap();
        let works = [features(1, 50), features(2, 50), features(3, 50)];
        let mut keypoints = filled(&dir, &works);
        keypoints.flush().unwrap();
        let path = dir.path().join("keypoints");
        let whole = fs::read(&path).unwrap();
        for length in (0..whole.len()).step_by(61) {
            fs::write(&path, &whole[..length]).unwrap();
            let keypoints = opened(&dir);
            assert!(keypoints.len() <= 6, "{length}");
            check(&keypoints, &works[..keypoints.size().0]);
        }
        // Also where the length was written and the details were not.
        let mut torn = whole.clone();
        torn[whole.len() - 100..].fill(0);
        fs::write(&path, &torn).unwrap();
        let mut keypoints = opened(&dir);
        assert_eq!(keypoints.len(), 6);
        keypoints.advance(&[(6, &works[2])], 9).unwrap();
        keypoints.flush().unwrap();
        check(&opened(&dir), &works);
    }

    #[test]
    fn damage_is_named_and_garbage_refused() {
        let dir = TempDir::new().unwrap();
        let works = [features(1, 50), features(2, 50), features(3, 50)];
        let mut keypoints = filled(&dir, &works);
        keypoints.flush().unwrap();
        let path = dir.path().join("keypoints");
        let mut bytes = fs::read(&path).unwrap();
        // Details of the first work: the first block has two, its heads and digest lie before them.
        let details = 21 + 24 + 2 * 24 + 100 * 8 + 32;
        bytes[details + 7] ^= 1;
        fs::write(&path, &bytes).unwrap();
        let keypoints = opened(&dir);
        assert_eq!(keypoints.candidates(&turned(&works[0]), false, 1).unwrap()[0].index, 0);
        assert!(matches!(keypoints.features(0), Err(IndexError::Unreadable { .. })));
        assert_eq!(keypoints.features(1).unwrap(), None);
        fs::write(&path, "these bytes are of some other program").unwrap();
        assert!(matches!(Keypoints::open(&path), Err(IndexError::Unreadable { .. })));
    }

    proptest! {
        #[test]
        fn any_file_is_read_or_refused(mut bytes in prop::collection::vec(any::<u8>(), 0..400), ours in any::<bool>()) {
            let dir = TempDir::new().unwrap();
            if ours {
                bytes.splice(0..0, *b"timemark-keypoints 1\n");
                if bytes.len() > 60 {
                    bytes[21..29].fill(0); // a block that begins where it should
                    bytes[37..45].fill(0);
                }
            }
            fs::write(dir.path().join("keypoints"), &bytes).unwrap();
            if let Ok(keypoints) = Keypoints::open(&dir.path().join("keypoints")) {
                prop_assert!(keypoints.candidates(&features(1, 9), false, 3).unwrap().is_empty());
            }
        }
    }
}
