//! The table of 256-bit codes: every code within a radius, exactly, whether there are a thousand or a hundred million.
//!
//! ```text
//! codes                  the newest, appended to (tail.rs); in memory as the head
//! codes-<from>-<to>      a segment: all codes of these log entries (segment.rs); mapped, never changed
//! ```
//!
//! The head becomes a segment when it is long enough, and segments of about one size become one, on a thread of their own.
//! Which of the files count is told by their names: going on from entry 0, at each place the longest. A crash leaves
//! either what was merged or what it was merged from, and the rest is deleted by the next that writes. Segments share no
//! entries, so that several machines could each hold some of them.
//!
//! Queries go on while the head is written and segments are merged.

mod part;
mod segment;
mod spread;
mod tail;

use std::collections::BTreeSet;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread::{self, JoinHandle};

use timemark_verify::{Claim, Fingerprint};
use timemark_vision::Kind;

use crate::IndexError;
use part::{OwnedTables, Part, Query};
use segment::{Segment, Source};
use spread::{Spread, spread};
use tail::{Entry, Tail};

/// One code of one work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Which code.
    pub kind: Kind,
    /// The PDQ quality (0 to 100) in the work's claim, whichever kind this is.
    pub quality: u8,
    /// The work's log index.
    pub work: u64,
    /// The code.
    pub code: Fingerprint,
}

impl Row {
    /// The rows of a work; a code that is spelled in another way than ours is not for this table.
    pub fn of_claim(work: u64, claim: &Claim) -> impl Iterator<Item = Row> {
        let quality = claim.pdq().map_or(100, |(_, quality)| quality);
        claim.fingerprints.iter().filter_map(move |fingerprint| {
            let kind = fingerprint.kind().parse().ok()?;
            let code = fingerprint.value().split(' ').next()?.parse().ok()?;
            Some(Row { kind, quality, work, code })
        })
    }
}

/// A code that lies near one that was asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Near {
    /// Which of the given codes.
    pub code: usize,
    /// The log index of the work that has it.
    pub work: u64,
    /// Bits in which the two differ (0 to 256).
    pub distance: u32,
    /// The quality in its row.
    pub quality: u8,
}

/// The codes of all works. Many threads may ask while one writes.
pub struct Codes {
    shared: Arc<Shared>,
    writing: Mutex<Tail>,
    merging: Mutex<Option<JoinHandle<Result<(), IndexError>>>>,
    /// Why the last merge failed, until somebody is told.
    failure: Mutex<Option<IndexError>>,
}

/// What the thread that merges knows as well.
struct Shared {
    dir: PathBuf,
    state: RwLock<State>,
    /// Nothing came since the last flush.
    resting: AtomicBool,
}

struct State {
    /// In the log's order, without a gap.
    segments: Vec<Arc<Segment>>,
    head: Head,
    /// Works whose rows count no more and may still be in a segment or in the head.
    removed: BTreeSet<u64>,
}

/// What is in no segment yet.
#[derive(Default)]
struct Head {
    columns: [Columns; Kind::ALL.len()],
    removed: Vec<u64>,
}

#[derive(Default)]
struct Columns {
    codes: Vec<Spread>,
    works: Vec<u64>,
    qualities: Vec<u8>,
    /// Of the first so many codes.
    tables: Option<(usize, OwnedTables)>,
}

impl Codes {
    /// Opens the codes in a folder, which must exist, or begins them. Nothing is written before there is something new; of
    /// all that have it open, one may take in more.
    pub fn open(dir: &Path) -> Result<Codes, IndexError> {
        let segments = open_segments(dir)?;
        let covered = segments.last().map_or(0, |segment| segment.entries().end);
        let (tail, entries) = Tail::open(&dir.join(TAIL), covered)?;
        let mut state = State { segments, head: Head::default(), removed: BTreeSet::new() };
        for entry in entries {
            match entry {
                Entry::Row(row) => state.head.push(&row),
                Entry::Removed(work) => state.head.removed.push(work.to_le()),
            }
        }
        state.head.build_tables();
        state.collect_removed();
        let (dir, state) = (dir.to_owned(), RwLock::new(state));
        let shared = Arc::new(Shared { dir, state, resting: AtomicBool::new(false) });
        let (writing, merging, failure) = (Mutex::new(tail), Mutex::default(), Mutex::default());
        Ok(Codes { shared, writing, merging, failure })
    }

    /// Log entries below this are taken in.
    pub fn len(&self) -> u64 {
        self.write_tail().len()
    }

    /// Whether no log entry is taken in.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many codes of this kind there are.
    pub fn rows(&self, kind: Kind) -> usize {
        let state = self.shared.read();
        let in_segments = state.segments.iter().map(|segment| segment.rows(kind)).sum::<usize>();
        in_segments + state.head.columns[kind as usize].codes.len()
    }

    /// How many segments there are, and the bytes they take.
    pub fn segments(&self) -> (usize, u64) {
        let state = self.shared.read();
        (state.segments.len(), state.segments.iter().map(|segment| segment.file_bytes()).sum())
    }

    /// Takes in the log up to `len`. `rows` are those of works from [`Codes::len`] on and below `len`, in the log's
    /// order; earlier ones are passed over. They are found from now on, and durable after [`Codes::flush`].
    pub fn advance(&self, rows: &[Row], len: u64) -> Result<(), IndexError> {
        debug_assert!(rows.is_sorted_by_key(|row| row.work), "rows are in log order");
        let mut tail = self.write_tail();
        let [from, to] = [tail.len(), len].map(|len| rows.partition_point(|row| row.work < len));
        let new = rows.get(from..to).unwrap_or_default();
        tail.advance(new, len);
        self.shared.resting.store(false, Ordering::Relaxed);
        let (in_head, below) = {
            let mut state = self.shared.write();
            new.iter().for_each(|row| state.head.push(row));
            state.head.build_tables();
            let in_segments: u64 = state.segments.iter().map(|segment| segment.all_rows()).sum();
            (state.head.rows(), in_segments)
        };
        let most = usize::try_from(below / HEAD_SHARE).unwrap_or(usize::MAX);
        if in_head >= most.clamp(HEAD_ROWS_MIN, HEAD_ROWS_MAX) {
            self.seal(&mut tail)?;
        }
        Ok(())
    }

    /// Has the rows of these works count no more; they leave the disk when their segment is merged into another, or by
    /// [`Codes::purge`]. Durable after [`Codes::flush`].
    pub fn remove(&self, works: &[u64]) {
        let mut tail = self.write_tail();
        let mut state = self.shared.write();
        let len = tail.len();
        for &work in works.iter().filter(|&&work| work < len) {
            tail.remove(work);
            state.head.removed.push(work.to_le());
            state.removed.insert(work);
        }
    }

    /// Takes the rows of removed works off the disk.
    pub fn purge(&self) -> Result<(), IndexError> {
        let mut tail = self.write_tail();
        self.join_merge()?;
        if self.shared.read().removed.is_empty() {
            return Ok(());
        }
        self.seal(&mut tail)?;
        self.join_merge()?;
        let oldest = {
            let state = self.shared.read();
            let oldest = state.removed.first().copied().unwrap_or_default();
            state.segments.iter().position(|segment| segment.entries().contains(&oldest))
        };
        match oldest {
            Some(oldest) => self.shared.merge(oldest..usize::MAX),
            None => Ok(()),
        }
    }

    /// Makes what was taken in durable, at the end of a run or now and then. Says if merging failed meanwhile.
    pub fn flush(&self) -> Result<(), IndexError> {
        let mut tail = self.write_tail();
        if self.shared.read().head.rows() >= HEAD_ROWS_MIN {
            self.seal(&mut tail)?;
        }
        tail.flush()?;
        self.delete_others()?;
        self.shared.resting.store(true, Ordering::Relaxed);
        self.merge_in_background();
        lock(&self.failure).take().map_or(Ok(()), Err)
    }

    /// Waits for a merge that is under way.
    pub fn finish_merging(&self) -> Result<(), IndexError> {
        // Whoever seals asks whether a merge is under way, and must not do so while it is waited for.
        let _tail = self.write_tail();
        self.join_merge()
    }

    /// The rows of this kind whose codes are within `radius` of one of these, for each of them that is; rows that are
    /// equal as one. Exact. A batch costs less for each code than one at a time.
    pub fn near(&self, kind: Kind, codes: &[Fingerprint], radius: u32) -> Vec<Near> {
        let queries: Vec<Query> = codes.iter().map(Query::new).collect();
        let state = self.shared.read();
        let mut near = Vec::new();
        let in_segments = state.segments.iter().map(|segment| segment.part(kind));
        for part in in_segments.chain(state.head.columns[kind as usize].parts()) {
            part.search(&queries, radius, &mut |code, place, distance| {
                let work = part.works.get(place).copied().map(u64::from_le).unwrap_or(u64::MAX);
                let quality = part.qualities.get(place).copied().unwrap_or_default();
                near.push(Near { code, work, distance, quality });
            });
        }
        if !state.removed.is_empty() {
            near.retain(|near| !state.removed.contains(&near.work));
        }
        drop(state);
        // Several tables may lead to the same row.
        near.sort_unstable();
        near.dedup();
        near
    }

    /// Reads all segments and compares them with their digests.
    pub fn check(&self) -> Result<(), IndexError> {
        let segments = self.shared.read().segments.clone();
        segments.iter().try_for_each(|segment| segment.check())
    }

    /// Makes the head a segment.
    fn seal(&self, tail: &mut Tail) -> Result<(), IndexError> {
        self.delete_others()?;
        let dir = &self.shared.dir;
        let segment = {
            let state = self.shared.read();
            let from = state.segments.last().map_or(0, |segment| segment.entries().end);
            if tail.len() <= from {
                // Only removals are new, and a segment is of entries: they stay in the tail.
                return Ok(());
            }
            let source = Source { parts: state.head.whole(), removed: &state.head.removed };
            segment::write(dir, &(from..tail.len()), &[source], &state.removed)?
        };
        {
            let mut state = self.shared.write();
            state.segments.push(Arc::new(segment));
            state.head = Head::default();
            state.collect_removed();
        }
        tail.restart()?;
        self.merge_in_background();
        Ok(())
    }

    /// Deletes what a crash left of segments, unless a merge is under way and writing some.
    fn delete_others(&self) -> Result<(), IndexError> {
        let merging = lock(&self.merging);
        if merging.is_some() {
            return Ok(());
        }
        let segments = self.shared.read().segments.clone();
        let kept: Vec<_> = segments.iter().map(|segment| segment.entries()).collect();
        let dir = &self.shared.dir;
        segment::delete_others(dir, &kept).map_err(|source| IndexError::file(dir, source))
    }

    /// Begins to merge what is due, unless a merge is under way. One that failed lost nothing, and stops nobody.
    fn merge_in_background(&self) {
        let mut merging = lock(&self.merging);
        if let Some(finished) = merging.take_if(|merging| merging.is_finished()) {
            *lock(&self.failure) = joined(finished).err();
        }
        if merging.is_none() && self.shared.due().is_some() {
            let shared = Arc::clone(&self.shared);
            *merging = Some(thread::spawn(move || shared.merge_what_is_due()));
        }
    }

    fn join_merge(&self) -> Result<(), IndexError> {
        let merging = lock(&self.merging).take();
        merging.map_or(Ok(()), joined)
    }

    fn write_tail(&self) -> MutexGuard<'_, Tail> {
        lock(&self.writing)
    }
}

impl Drop for Codes {
    fn drop(&mut self) {
        // What was begun is finished: begun anew each time, a long merge would never be done. If it fails, what it
        // was to merge is still there.
        let _ = self.join_merge();
    }
}

impl Shared {
    fn merge_what_is_due(&self) -> Result<(), IndexError> {
        while let Some(run) = self.due() {
            self.merge(run)?;
        }
        Ok(())
    }

    /// Which segments are to become one.
    fn due(&self) -> Option<Range<usize>> {
        let sizes: Vec<u64> =
            self.read().segments.iter().map(|segment| segment.all_rows()).collect();
        let at_rest = || due_at_rest(&sizes).filter(|_| self.resting.load(Ordering::Relaxed));
        due(&sizes).or_else(at_rest)
    }

    /// Makes one segment of several. Others may be added behind them meanwhile.
    fn merge(&self, run: Range<usize>) -> Result<(), IndexError> {
        let (segments, removed) = {
            let state = self.read();
            (state.segments.clone(), state.removed.clone())
        };
        let run = run.start..run.end.min(segments.len());
        let merged = &segments[run.clone()];
        let (Some(oldest), Some(newest)) = (merged.first(), merged.last()) else { return Ok(()) };
        let entries = oldest.entries().start..newest.entries().end;
        // Of a damaged segment no sound one may be made.
        merged.iter().try_for_each(|segment| segment.check())?;
        let sources: Vec<Source<'_>> = merged
            .iter()
            .map(|segment| Source {
                parts: Kind::ALL.map(|kind| segment.part(kind)),
                removed: segment.removed(),
            })
            .collect();
        let whole = segment::write(&self.dir, &entries, &sources, &removed)?;
        {
            let mut state = self.write();
            state.segments.splice(run.clone(), [Arc::new(whole)]);
            state.collect_removed();
        }
        // A segment merged with itself alone has the name that it had.
        merged.iter().filter(|segment| segment.entries() != entries).try_for_each(|s| s.delete())
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn collect_removed(&mut self) {
        let in_segments = self.segments.iter().flat_map(|segment| segment.removed());
        self.removed =
            in_segments.chain(&self.head.removed).map(|&work| u64::from_le(work)).collect();
    }
}

impl Head {
    fn push(&mut self, row: &Row) {
        let columns = &mut self.columns[row.kind as usize];
        columns.codes.push(spread(&row.code));
        columns.works.push(row.work.to_le());
        columns.qualities.push(row.quality);
    }

    fn rows(&self) -> usize {
        self.columns.iter().map(|columns| columns.codes.len()).sum()
    }

    /// Builds tables where so many codes have none that comparing them takes longer than the tables save.
    fn build_tables(&mut self) {
        for columns in &mut self.columns {
            let tabled = columns.tables.as_ref().map_or(0, |(codes, _)| *codes);
            if columns.codes.len() - tabled >= segment::TABLE_ROWS_MIN + tabled / 4 {
                columns.tables = Some((columns.codes.len(), OwnedTables::new(&columns.codes)));
            }
        }
    }

    fn whole(&self) -> [Part<'_>; Kind::ALL.len()] {
        self.columns.each_ref().map(Columns::whole)
    }
}

impl Columns {
    /// All of it, without tables that may be of a part only.
    fn whole(&self) -> Part<'_> {
        let (codes, works, qualities) = (&self.codes, &self.works, &self.qualities);
        Part { codes, works, qualities, tables: None }
    }

    /// The codes that tables have, and the others.
    fn parts(&self) -> [Part<'_>; 2] {
        let (whole, tabled) = (self.whole(), self.tables.as_ref());
        let (first, tables) = match tabled {
            Some((codes, tables)) => (*codes, Some(tables.view())),
            None => (0, None),
        };
        [Part { tables, ..whole.slice(0..first) }, whole.slice(first..self.codes.len())]
    }
}

/// The segments that count: from entry 0 on, at each place the longest.
fn open_segments(dir: &Path) -> Result<Vec<Arc<Segment>>, IndexError> {
    let mut tries = 0;
    'again: loop {
        let listed = segment::listed(dir).map_err(|source| IndexError::file(dir, source))?;
        let (mut segments, mut covered) = (Vec::new(), 0);
        while let Some(next) = listed
            .iter()
            .filter(|entries| entries.start == covered && entries.end > covered)
            .max_by_key(|entries| entries.end)
        {
            match Segment::open(dir, next) {
                Ok(segment) => segments.push(Arc::new(segment)),
                // Another process may have merged it since it was listed.
                Err(IndexError::File { source, .. })
                    if source.kind() == io::ErrorKind::NotFound && tries < TRIES_MAX =>
                {
                    tries += 1;
                    continue 'again;
                }
                Err(error) => return Err(error),
            }
            covered = next.end;
        }
        return Ok(segments);
    }
}

/// Of segments with so many codes those that are to become one while a run goes on: several of about one size, with
/// whatever is between them.
fn due(sizes: &[u64]) -> Option<Range<usize>> {
    let level = |rows: u64| (rows / HEAD_ROWS_MIN as u64).max(1).ilog(MERGED_AT_ONCE as u64);
    (0..=level(SEGMENT_ROWS_MAX)).rev().find_map(|wanted| {
        let mut places = (0..sizes.len()).filter(|&place| level(sizes[place]) == wanted);
        let first = places.next()?;
        let last = places.nth(MERGED_AT_ONCE - 2)?;
        (sizes[first..=last].iter().sum::<u64>() <= SEGMENT_ROWS_MAX).then_some(first..last + 1)
    })
}

/// When it rests: all, where the largest would not be written again for little. Each costs a query as much as any other.
fn due_at_rest(sizes: &[u64]) -> Option<Range<usize>> {
    // Those that are full stay as they are.
    let full = sizes.iter().rposition(|&rows| rows > SEGMENT_ROWS_MAX / 2).map_or(0, |at| at + 1);
    let open = &sizes[full..];
    let (all, largest) = (open.iter().sum::<u64>(), open.iter().max().copied().unwrap_or_default());
    let worth_it = open.len() > 1 && (all - largest) * REST_SHARE >= largest;
    (worth_it && all <= SEGMENT_ROWS_MAX).then_some(full..sizes.len())
}

fn joined(thread: JoinHandle<Result<(), IndexError>>) -> Result<(), IndexError> {
    // Should it have panicked, which is a bug of ours, what it was to merge is still there.
    thread.join().unwrap_or(Ok(()))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const TAIL: &str = "codes";
/// So many codes in memory become a segment, or more where that is a small share of all, so that a long run writes less.
const HEAD_ROWS_MIN: usize = 1 << 16;
const HEAD_ROWS_MAX: usize = 1 << 19;
const HEAD_SHARE: u64 = 8;
/// So many segments of about one size become one.
const MERGED_AT_ONCE: usize = 4;
/// At rest everything becomes one segment where the smaller ones hold more than such a share of the largest.
const REST_SHARE: u64 = 8;
/// Codes in a segment, at most.
const SEGMENT_ROWS_MAX: u64 = 1 << 30;
/// How often a folder is listed again because a segment went away meanwhile.
const TRIES_MAX: u32 = 10;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tempfile::TempDir;

    fn naive(rows: &[Row], kind: Kind, codes: &[Fingerprint], radius: u32) -> Vec<Near> {
        let mut near = Vec::new();
        for row in rows.iter().filter(|row| row.kind == kind) {
            for (number, code) in codes.iter().enumerate() {
                let (work, distance, quality) = (row.work, code.distance(&row.code), row.quality);
                near.extend((distance <= radius).then_some(Near {
                    code: number,
                    work,
                    distance,
                    quality,
                }));
            }
        }
        near.sort();
        near
    }

    fn flipped(mut code: Fingerprint, bits: &[usize]) -> Fingerprint {
        bits.iter().for_each(|bit| code.0[bit / 64] ^= 1 << (bit % 64));
        code
    }

    /// Codes near a few centres, so that distances of all sizes occur.
    fn code() -> impl Strategy<Value = Fingerprint> {
        let flips = proptest::collection::vec(0usize..256, 0..60);
        (0u64..3, any::<[u64; 4]>(), any::<bool>(), flips).prop_map(|(centre, free, far, flips)| {
            let centre = if far { free } else { [centre.wrapping_neg(); 4] };
            flipped(Fingerprint(centre), &flips)
        })
    }

    /// A deterministic stream of numbers.
    fn throw(state: &mut u64) -> u64 {
        *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = *state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Rows of works that have one to two codes each, some of them near others.
    fn many(count: usize, from: u64, seed: u64) -> Vec<Row> {
        let mut state = seed;
        let mut rows: Vec<Row> = Vec::new();
        for work in from.. {
            if rows.len() >= count {
                break;
            }
            for kind in [Kind::Pdq, Kind::Dct] {
                let near = rows.get(throw(&mut state) as usize % (rows.len() + 1));
                let mut code = Fingerprint(std::array::from_fn(|_| throw(&mut state)));
                if let (Some(near), true) = (near, throw(&mut state).is_multiple_of(8)) {
                    let flips = throw(&mut state) % 70;
                    let bits: Vec<_> =
                        (0..flips).map(|_| throw(&mut state) as usize % 256).collect();
                    code = flipped(near.code, &bits);
                }
                if kind == Kind::Pdq || work.is_multiple_of(16) {
                    rows.push(Row { kind, quality: (work % 101) as u8, work, code });
                }
            }
        }
        rows
    }

    fn check(codes: &Codes, rows: &[Row]) {
        let asked: Vec<Fingerprint> = rows
            .iter()
            .step_by(rows.len() / 40 + 1)
            .map(|row| flipped(row.code, &[3, 77]))
            .collect();
        for kind in Kind::ALL {
            assert_eq!(codes.rows(kind), rows.iter().filter(|row| row.kind == kind).count());
            for radius in [0, 2, 31, 40, 64] {
                assert_eq!(codes.near(kind, &asked, radius), naive(rows, kind, &asked, radius));
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_near_is_what_a_naive_loop_finds(
            rows in proptest::collection::vec((0usize..3, code(), 0u64..2, 0u8..101), 0..80),
            codes in proptest::collection::vec(code(), 0..19),
            radius in prop_oneof![0u32..60, 0u32..257],
        ) {
            let mut work = 0;
            let rows: Vec<Row> = rows.into_iter().map(|(kind, code, step, quality)| {
                work += step;
                Row { kind: Kind::ALL[kind], quality, work, code }
            }).collect();
            let dir = TempDir::new().unwrap();
            let open = Codes::open(dir.path()).unwrap();
            open.advance(&rows, work + 1).unwrap();
            for kind in Kind::ALL {
                for count in [1, codes.len()] {
                    let codes = &codes[..count.min(codes.len())];
                    let mut expected = naive(&rows, kind, codes, radius);
                    expected.dedup();
                    prop_assert_eq!(open.near(kind, codes, radius), expected);
                }
            }
        }
    }

    #[test]
    fn head_and_segments_answer_as_one_and_after_opening_again() {
        let dir = TempDir::new().unwrap();
        let rows = many(5 * HEAD_ROWS_MIN + 1000, 0, 7);
        let len = rows.last().unwrap().work + 1;
        let codes = Codes::open(dir.path()).unwrap();
        let mut from = 0;
        for (number, some) in rows.chunk_by(|a, b| a.work / 9999 == b.work / 9999).enumerate() {
            let to = some.last().unwrap().work + 1;
            codes.advance(&rows[from..from + some.len()], to).unwrap();
            from += some.len();
            if number == 1 {
                check(&codes, &rows[..from]);
            }
        }
        check(&codes, &rows);
        codes.flush().unwrap();
        codes.finish_merging().unwrap();
        let (segments, bytes) = codes.segments();
        assert!(segments == 1 && bytes > 137 * 5 * HEAD_ROWS_MIN as u64, "{segments} {bytes}");
        check(&codes, &rows);
        codes.check().unwrap();
        let beside = Codes::open(dir.path()).unwrap();
        drop(codes);
        for codes in [beside, Codes::open(dir.path()).unwrap()] {
            assert_eq!(codes.len(), len);
            check(&codes, &rows);
        }
    }

    #[test]
    fn removed_works_are_not_found_and_leave_the_disk() {
        let dir = TempDir::new().unwrap();
        let rows = many(2 * HEAD_ROWS_MIN + 500, 0, 8);
        let len = rows.last().unwrap().work + 1;
        let codes = Codes::open(dir.path()).unwrap();
        for some in rows.chunk_by(|a, b| a.work / 70_000 == b.work / 70_000) {
            codes.advance(some, some.last().unwrap().work + 1).unwrap();
        }
        codes.flush().unwrap();
        assert!(codes.segments().0 > 0);
        let removed = [5, 6, len - 1, len - 300, len, u64::MAX];
        codes.remove(&removed);
        let left: Vec<Row> =
            rows.iter().filter(|row| !removed.contains(&row.work)).copied().collect();
        let found = |codes: &Codes| {
            let all: Vec<_> = rows.iter().take(100).chain(rows.iter().rev().take(400)).collect();
            let asked: Vec<_> = all.iter().map(|row| row.code).collect();
            let near = codes.near(Kind::Pdq, &asked, 5);
            assert_eq!(near, naive(&left, Kind::Pdq, &asked, 5));
        };
        found(&codes);
        codes.flush().unwrap();
        drop(codes);
        let codes = Codes::open(dir.path()).unwrap();
        found(&codes);
        codes.purge().unwrap();
        found(&codes);
        check(&codes, &left);
        drop(codes);
        let codes = Codes::open(dir.path()).unwrap();
        check(&codes, &left);
        let removed = rows.iter().filter(|row| removed.contains(&row.work));
        let is_left = |code| left.iter().any(|row| row.code == code);
        let code = removed.map(|row| row.code).find(|&code| !is_left(code)).unwrap();
        let code: Vec<u8> = spread(&code).iter().flat_map(|word| word.to_ne_bytes()).collect();
        for entries in segment::listed(dir.path()).unwrap() {
            let name = format!("codes-{}-{}", entries.start, entries.end);
            let bytes = std::fs::read(dir.path().join(name)).unwrap();
            assert!(!bytes.windows(32).any(|window| window == code));
        }
    }

    #[test]
    fn a_segment_that_is_damaged_is_told_and_never_merged() {
        let dir = TempDir::new().unwrap();
        let rows = many(HEAD_ROWS_MIN + 10, 0, 9);
        let codes = Codes::open(dir.path()).unwrap();
        codes.advance(&rows, rows.last().unwrap().work + 1).unwrap();
        drop(codes);
        let entries = segment::listed(dir.path()).unwrap().pop().unwrap();
        let path = dir.path().join(format!("codes-{}-{}", entries.start, entries.end));
        let whole = std::fs::read(&path).unwrap();
        let unreadable = |error: Option<IndexError>| matches!(error, Some(IndexError::Unreadable { path: named, .. }) if named == path);
        // The head is looked at when it is opened; everything else when it is checked.
        for at in (0..4096).step_by(97).chain((4096..whole.len()).step_by(whole.len() / 50)) {
            let mut bytes = whole.clone();
            bytes[at] ^= 4;
            std::fs::write(&path, &bytes).unwrap();
            match Codes::open(dir.path()) {
                Err(error) => assert!(at < 4096 && unreadable(Some(error)), "{at}"),
                Ok(codes) => {
                    assert!(at >= 4096 && unreadable(codes.check().err()), "{at}");
                    codes.remove(&[1]);
                    assert!(unreadable(codes.purge().err()), "{at}");
                    // Wrong numbers may give wrong answers, never a panic.
                    codes.near(Kind::Pdq, &[rows[0].code], 40);
                }
            }
        }
        for length in [0, 100, 4096, whole.len() / 2, whole.len() - 1] {
            std::fs::write(&path, &whole[..length]).unwrap();
            assert!(Codes::open(dir.path()).is_err(), "{length}");
        }
    }

    #[test]
    fn a_crash_while_merging_leaves_one_of_both() {
        let dir = TempDir::new().unwrap();
        let rows = many(2 * HEAD_ROWS_MIN + 9000, 0, 10);
        let codes = Codes::open(dir.path()).unwrap();
        for some in rows.chunk_by(|a, b| a.work / 62_500 == b.work / 62_500) {
            codes.advance(some, some.last().unwrap().work + 1).unwrap();
        }
        let parts = segment::listed(dir.path()).unwrap();
        assert!(parts.len() >= 2);
        let copies = TempDir::new().unwrap();
        for file in std::fs::read_dir(dir.path()).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), copies.path().join(file.file_name())).unwrap();
        }
        codes.shared.merge(0..parts.len()).unwrap();
        codes.flush().unwrap();
        drop(codes);
        assert_eq!(segment::listed(dir.path()).unwrap().len(), 1);
        // Killed before the old ones were deleted, with another begun.
        for file in std::fs::read_dir(copies.path()).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), dir.path().join(file.file_name())).unwrap();
        }
        std::fs::write(dir.path().join("codes-0-9.part"), "half").unwrap();
        let codes = Codes::open(dir.path()).unwrap();
        assert_eq!(codes.segments().0, 1);
        check(&codes, &rows);
        let more = many(HEAD_ROWS_MIN + 1, codes.len(), 11);
        codes.advance(&more, more.last().unwrap().work + 1).unwrap();
        drop(codes);
        assert_eq!(segment::listed(dir.path()).unwrap().len(), 2);
        assert!(!dir.path().join("codes-0-9.part").exists());
        check(&Codes::open(dir.path()).unwrap(), &[rows, more].concat());
    }

    #[test]
    fn at_rest_all_become_one_unless_little_is_new() {
        for (sizes, expected) in [
            (&[][..], None),
            (&[9], None),
            (&[80, 9], None),
            (&[80, 10], Some(0..2)),
            (&[10, 80, 1], Some(0..3)),
            (&[SEGMENT_ROWS_MAX, 9, 9], Some(1..3)),
            (&[SEGMENT_ROWS_MAX / 2, SEGMENT_ROWS_MAX / 2 + 1], None),
        ] {
            assert_eq!(due_at_rest(sizes), expected, "{sizes:?}");
        }
    }

    #[test]
    fn four_of_a_size_become_one() {
        let unit = HEAD_ROWS_MIN as u64;
        for (sizes, expected) in [
            (&[][..], None),
            (&[1, 1, 1], None),
            (&[1, 1, 1, 1], Some(0..4)),
            (&[4, 1, 1, 1], None),
            (&[5, 1, 2, 3, 1], Some(1..5)),
            (&[16, 4, 4, 1, 5, 4, 1, 1], Some(1..6)),
            (&[4096, 4096, 4096, 4096], Some(0..4)),
            (&[8000, 8000, 8000, 8000], None),
        ] {
            let sizes: Vec<u64> = sizes.iter().map(|size| size * unit).collect();
            assert_eq!(due(&sizes), expected, "{sizes:?}");
        }
    }
}
