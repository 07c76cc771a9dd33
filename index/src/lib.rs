//! Finds works again: by what they look like ([`Index::matches`]) and by what they are called
//! ([`Index::search`]).
//!
//! A picture becomes 256-bit codes ([`Pdq`], [`of_rgb`]); a claim's codes go into a table that is
//! searched exactly, its title, claimant and path into a text index.
//!
//! The index is derived state. It may be deleted, and is rebuilt by replaying the log's claims in
//! order from [`Index::len`]; after a crash it may be behind, never wrong.
//!
//! It does not know files of works, image formats, the log, receipts or HTTP: claims with their
//! log indexes come in, log indexes go out.

mod codes;
mod keypoints;
mod text;

use std::error::Error;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use timemark_verify::{Claim, Fingerprint};
use timemark_vision::{Features, Kind};

pub use codes::{Codes, Near, Row};
pub use keypoints::Candidate;
use keypoints::Keypoints;
use text::{Text, TextWriter};

/// What the registered works look like and what they are called.
///
/// Keypoints are read from the disk, and codes mapped from it; nothing else waits for the disk, but for additions while
/// many that came together are written. Additions are seen by [`Index::matches`] at once and by [`Index::search`]
/// after [`Index::flush`]; until then a crash loses them, to be replayed.
pub struct Index {
    codes: Codes,
    keypoints: RwLock<Keypoints>,
    text: Text,
    writing: Mutex<Writing>,
    len: AtomicU64,
}

/// What only one thread at a time may touch, so that both parts see the log in the same order.
struct Writing {
    text: TextWriter,
    failed: bool,
}

impl Index {
    /// Opens the index in a directory, or begins one. Nothing of an existing index is written, so
    /// that a scan may read beside a process that registers.
    pub fn open(dir: &Path) -> Result<Index, IndexError> {
        fs::create_dir_all(dir).map_err(|source| IndexError::file(dir, source))?;
        let codes = Codes::open(dir)?;
        let (text, text_writer) = Text::open(&dir.join("text"))?;
        let keypoints = Keypoints::open(&dir.join("keypoints"))?;
        let len = AtomicU64::new(codes.len().min(text_writer.len()).min(keypoints.len()));
        let writing = Mutex::new(Writing { text: text_writer, failed: false });
        Ok(Index { codes, keypoints: RwLock::new(keypoints), text, writing, len })
    }

    /// Log entries below this are taken in; a replay begins here.
    pub fn len(&self) -> u64 {
        self.len.load(Ordering::Acquire)
    }

    /// Whether no log entry is taken in.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Log entries below this are taken in by the part that holds keypoints; from here on
    /// [`Index::advance`] wants them.
    pub fn keypoints_len(&self) -> u64 {
        self.read_keypoints().len()
    }

    /// Takes in the log up to `len`. `works` holds, in ascending order, the log index and claim of
    /// every work from [`Index::len`] on and below `len`, and `features` the keypoints of those that
    /// have some, from [`Index::keypoints_len`] on; what a part has already is skipped there.
    ///
    /// Calls follow the log's order: a work left out below `len` stays out until a rebuild. After
    /// an error this index takes in no more, for the same reason; open it again and replay.
    pub fn advance(
        &self,
        works: &[(u64, &Claim)],
        features: &[(u64, &Features)],
        len: u64,
    ) -> Result<(), IndexError> {
        debug_assert!(works.is_sorted_by(|(a, _), (b, _)| a < b), "works are in log order");
        debug_assert!(features.is_sorted_by(|(a, _), (b, _)| a < b), "works are in log order");
        self.write(|writing| {
            writing.text.advance(&self.text, works, len)?;
            let rows: Vec<Row> =
                works.iter().flat_map(|&(work, claim)| Row::of_claim(work, claim)).collect();
            self.codes.advance(&rows, len)?;
            let mut keypoints = self.write_keypoints();
            keypoints.advance(features, len)?;
            let taken = self.codes.len().min(writing.text.len()).min(keypoints.len());
            self.len.store(taken, Ordering::Release);
            Ok(())
        })
    }

    /// Makes what was taken in durable, and searchable by words. Call it at the end of a run and
    /// now and then: it costs some milliseconds and a few flushes of the disk.
    pub fn flush(&self) -> Result<(), IndexError> {
        self.write(|writing| {
            writing.text.flush(&self.text)?;
            self.codes.flush()?;
            self.write_keypoints().flush()
        })
    }

    /// At most so many works that share most keypoints with a suspect, or with its mirror image, best first.
    /// Approximate: how many are found is measured in docs/accuracy.md.
    pub fn candidates(
        &self,
        suspect: &Features,
        mirrored: bool,
        most: usize,
    ) -> Result<Vec<Candidate>, IndexError> {
        loop {
            let keypoints = self.read_keypoints();
            if keypoints.is_settled() {
                return keypoints.candidates(suspect, mirrored, most);
            }
            drop(keypoints);
            self.write_keypoints().settle();
        }
    }

    /// The keypoints of the work with this log index, if it has any.
    pub fn features(&self, index: u64) -> Result<Option<Features>, IndexError> {
        self.read_keypoints().features(index)
    }

    /// How many works have keypoints, and the bytes they take: on disk and in memory together.
    pub fn keypoints_size(&self) -> (usize, u64) {
        self.read_keypoints().size()
    }

    /// The works with a code of this kind within `radius` of one of the given codes: nearest
    /// first, then by index, each work once. Exact: it finds what comparing all pairs would find.
    pub fn matches(&self, kind: Kind, codes: &[Fingerprint], radius: u32) -> Vec<Match> {
        let mut near = self.codes.near(kind, codes, radius);
        near.sort_unstable_by_key(|near| (near.work, near.distance, near.code));
        near.dedup_by_key(|near| near.work);
        near.sort_unstable_by_key(|near| (near.distance, near.work));
        near.into_iter().map(Match::from).collect()
    }

    /// Reads what is mapped rather than read when the index is opened, and compares it with its digests.
    pub fn check(&self) -> Result<(), IndexError> {
        self.codes.check()
    }

    /// How many codes of this kind there are.
    pub fn codes(&self, kind: Kind) -> usize {
        self.codes.rows(kind)
    }

    /// The works whose title, claimant or path has all words of the query, best first. A query is
    /// plain words; the last may be the beginning of a word. One without words finds nothing.
    pub fn search(&self, query: &str, limit: usize) -> Result<Vec<u64>, IndexError> {
        self.text.search(query, limit)
    }

    fn read_keypoints(&self) -> RwLockReadGuard<'_, Keypoints> {
        self.keypoints.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_keypoints(&self) -> RwLockWriteGuard<'_, Keypoints> {
        self.keypoints.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the index takes anything in: after a change that failed it waits for the next start.
    pub fn check_follows(&self) -> Result<(), IndexError> {
        self.follows().map(drop)
    }

    fn follows(&self) -> Result<MutexGuard<'_, Writing>, IndexError> {
        // A writer that panicked half-way counts as one that failed.
        let poisoned = self.writing.is_poisoned();
        let writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        if writing.failed || poisoned {
            return Err(IndexError::Behind { len: self.len() });
        }
        Ok(writing)
    }

    fn write(
        &self,
        change: impl FnOnce(&mut Writing) -> Result<(), IndexError>,
    ) -> Result<(), IndexError> {
        let mut writing = self.follows()?;
        let result = change(&mut writing);
        writing.failed = result.is_err();
        result
    }
}

/// A work that looks like what was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Match {
    /// The work's log index.
    pub index: u64,
    /// Bits in which the codes differ (0 to 256).
    pub distance: u32,
    /// Which of the given codes was nearest; the first of equals.
    pub variant: usize,
    /// The PDQ quality (0 to 100) in the work's claim, whichever kind matched: how much the picture
    /// has to tell apart. 100 where the claim has no PDQ code and so nothing speaks against it.
    pub quality: u8,
}

impl From<Near> for Match {
    fn from(Near { code, work, distance, quality }: Near) -> Match {
        Match { index: work, distance, variant: code, quality }
    }
}

/// Why the index could not do it.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// A part of the index is damaged or of another version.
    #[error("{}: this part of the index cannot be read; delete it and it is rebuilt from the log", path.display())]
    Unreadable {
        /// What to delete: a file or a folder. The index's folder may be deleted as well.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The file system refused.
    #[error("{}: cannot be read or written", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// The refusal.
        source: io::Error,
    },
    /// The text index failed; such as because another process is writing it.
    #[error("{}: the text index failed", path.display())]
    Text {
        /// The text index's folder.
        path: PathBuf,
        /// The failure.
        source: Box<dyn Error + Send + Sync>,
    },
    /// There are as many keypoints as can be numbered.
    #[error(
        "the index is full: it holds the keypoints of {works} works; register further works in another archive"
    )]
    Full {
        /// Works with keypoints.
        works: usize,
    },
    /// An earlier write failed, and going on would leave a gap.
    #[error("an earlier write to the index failed; open it again and replay the log from {len}")]
    Behind {
        /// Log entries below this were taken in before, though perhaps not durably.
        len: u64,
    },
}

impl IndexError {
    fn file(path: &Path, source: io::Error) -> IndexError {
        IndexError::File { path: path.to_owned(), source }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use tempfile::TempDir;
    use timemark_verify::{ClaimFingerprint, WorkDigests};

    pub(crate) fn claim(title: &str, claimant: &str, path: &str, code: u64) -> Claim {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let code = Fingerprint([code, 0, 0, 0]);
        Claim {
            work: WorkDigests::of(title.as_bytes()),
            media_type: "image/png".to_owned(),
            fingerprints: vec![
                ClaimFingerprint::new("gradient", &code.to_string()).unwrap(),
                ClaimFingerprint::pdq(code, 80),
            ],
            title: text(title),
            claimant: text(claimant),
            created: None,
            rights: None,
            collection: None,
            path: text(path).map(String::into_bytes),
            amends: None,
            creator: None,
            salt: [0; 32],
        }
    }

    fn works() -> Vec<Claim> {
        vec![
            claim("富春山水图", "Huang Gongwang", "scrolls/IMG_0001.JPG", 0b1),
            claim("Mountains and Water", "Ann Lee", "a/b/mountain-view.png", 0b11),
            claim("Café at night", "李", "c.png", 0xFF00),
        ]
    }

    /// Replays the log (every third entry is no work) from where the index is.
    fn replay(index: &Index, works: &[Claim]) {
        let entries: Vec<(u64, &Claim)> = (0..).step_by(3).zip(works).collect();
        index.advance(&entries, &[], 3 * works.len() as u64).unwrap();
        index.flush().unwrap();
    }

    fn check(index: &Index) {
        assert_eq!(index.len(), 9);
        let found = index.matches(Kind::Pdq, &[Fingerprint([0b111, 0, 0, 0])], 2);
        let found: Vec<_> = found.iter().map(|m| (m.index, m.distance, m.quality)).collect();
        assert_eq!(found, [(3, 1, 80), (0, 2, 80)]);
        assert_eq!(index.matches(Kind::Gradient, &[Fingerprint([0xFF00, 0, 0, 0])], 0)[0].index, 6);
        assert!(index.matches(Kind::Dct, &[Fingerprint::default()], 256).is_empty());
        for word in ["山水", "gongwang", "0001", "jpg"] {
            assert_eq!(index.search(word, 10).unwrap(), [0], "{word}");
        }
    }

    #[test]
    fn what_is_taken_in_is_found_and_stays() {
        fn shared<T: Send + Sync>(_: &T) {}
        let dir = TempDir::new().unwrap();
        let index = Index::open(dir.path()).unwrap();
        shared(&index);
        assert!(index.is_empty() && index.matches(Kind::Pdq, &[], 256).is_empty());
        replay(&index, &works());
        check(&index);
        drop(index);
        check(&Index::open(dir.path()).unwrap());
    }

    #[test]
    fn replaying_what_is_there_changes_nothing() {
        let dir = TempDir::new().unwrap();
        let index = Index::open(dir.path()).unwrap();
        replay(&index, &works()[..2]);
        replay(&index, &works()[..1]);
        replay(&index, &works());
        replay(&index, &works());
        check(&index);
        drop(index);
        let index = Index::open(dir.path()).unwrap();
        replay(&index, &works());
        check(&index);
    }

    #[test]
    fn what_was_not_flushed_is_behind_and_replayed() {
        let dir = TempDir::new().unwrap();
        let index = Index::open(dir.path()).unwrap();
        let works = works();
        index.advance(&[(0, &works[0])], &[], 1).unwrap();
        assert_eq!(
            (index.len(), index.matches(Kind::Pdq, &[Fingerprint::default()], 9).len()),
            (1, 1)
        );
        drop(index);
        let index = Index::open(dir.path()).unwrap();
        assert!(
            index.is_empty() && index.matches(Kind::Pdq, &[Fingerprint::default()], 9).is_empty()
        );
        replay(&index, &works);
        check(&index);
    }

    #[test]
    fn either_part_may_be_deleted() {
        for part in ["codes", "keypoints", "text"] {
            let dir = TempDir::new().unwrap();
            replay(&Index::open(dir.path()).unwrap(), &works());
            let path = dir.path().join(part);
            if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.unwrap();
            let index = Index::open(dir.path()).unwrap();
            assert_eq!(index.len(), 0, "{part}");
            replay(&index, &works());
            check(&index);
        }
    }

    #[test]
    fn garbage_is_unreadable_and_says_where() {
        for (part, path) in
            [("codes", "codes"), ("keypoints", "keypoints"), ("text", "text/meta.json")]
        {
            let dir = TempDir::new().unwrap();
            replay(&Index::open(dir.path()).unwrap(), &works());
            fs::write(dir.path().join(path), "these bytes are of some other program").unwrap();
            match Index::open(dir.path()).err() {
                Some(IndexError::Unreadable { path, .. }) => assert!(path.ends_with(part)),
                other => panic!("{part}: {other:?}"),
            }
        }
        let dir = TempDir::new().unwrap();
        replay(&Index::open(dir.path()).unwrap(), &works());
        for file in fs::read_dir(dir.path().join("text")).unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "term") {
                fs::write(path, "x").unwrap();
            }
        }
        assert!(matches!(Index::open(dir.path()), Err(IndexError::Unreadable { .. })));
    }

    #[test]
    fn a_second_writer_is_refused_and_then_stays_out() {
        let dir = TempDir::new().unwrap();
        let [first, second] = [(); 2].map(|()| Index::open(dir.path()).unwrap());
        let works = works();
        first.advance(&[(0, &works[0])], &[], 1).unwrap();
        assert!(matches!(second.advance(&[(0, &works[0])], &[], 1), Err(IndexError::Text { .. })));
        first.flush().unwrap();
        drop(first);
        let late = second.advance(&[(1, &works[1])], &[], 2);
        assert!(matches!(late, Err(IndexError::Behind { len: 0 })));
        assert_eq!(Index::open(dir.path()).unwrap().len(), 1);
    }
}
