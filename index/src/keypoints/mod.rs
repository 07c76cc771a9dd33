//! Which works share keypoints with a suspect, and what those keypoints are.
//!
//! [`lists`] answers the first, approximately and from memory; [`file`] keeps the second on disk, from where
//! the few works that are worth a closer look are read.

mod file;
mod lists;

use std::path::Path;

use timemark_vision::Features;

use crate::IndexError;
use file::KeypointsFile;
use lists::Lists;

/// A work that may be in a suspect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The work's log index.
    pub index: u64,
    /// Whether the suspect's keypoints look like the work's when mirrored.
    pub mirrored: bool,
    /// Keypoints that agree upon how the work would be turned and resized.
    pub votes: u32,
    /// The work's place in the file.
    pub(crate) place: u32,
}

/// The keypoints of all works.
pub(crate) struct Keypoints {
    file: KeypointsFile,
    lists: Lists,
}

impl Keypoints {
    pub(crate) fn open(path: &Path) -> Result<Keypoints, IndexError> {
        let mut lists = Lists::default();
        let file = KeypointsFile::open(path, &mut |place, heads| lists.add(place, heads))?;
        lists.settle();
        Ok(Keypoints { file, lists })
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
        let lists = &mut self.lists;
        self.file.advance(works, len, &mut |place, heads| lists.add(place, heads))
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

    /// At most so many works that share most keypoints with a suspect, best first.
    pub(crate) fn candidates(&self, suspect: &Features, most: usize) -> Vec<Candidate> {
        let found = self.lists.candidates(suspect, most);
        let named = found.into_iter().map(|found| Candidate {
            index: self.file.index(found.place),
            mirrored: found.mirrored,
            votes: found.votes,
            place: found.place,
        });
        named.collect()
    }

    /// The keypoints of a candidate, as exact as they are kept.
    pub(crate) fn features(&self, candidate: &Candidate) -> Result<Features, IndexError> {
        self.file.read(candidate.place)
    }
}
