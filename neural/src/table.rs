//! The table of embeddings, the loop that searches it, and the file that keeps it.
//!
//! The file is a header and then blocks that are only ever appended, some for each flush:
//!
//! ```text
//! file  = "timemark-embeddings 1" · SHA-256 of the model · dimensions u32 · block*
//! block = from u64 · to u64 · rows u64 · row* · SHA-256 of the block so far      (little-endian)
//! row   = work u64 · embedding, a signed byte for each dimension
//! ```
//!
//! A block takes in the log entries `from..to`, beginning where the block before it ended; not every entry has
//! an embedding. Reading stops at the first bad block: a torn tail is an ordinary crash, and the log has what it
//! held. The version in the header also stands for how a picture becomes an embedding.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, RwLock};

use sha2::{Digest, Sha256};

use crate::embedding::{dot, inverse_norm};
use crate::model::DIMENSIONS_MAX;
use crate::{Embedding, ModelId};

/// What a model saw in the works of a log. Readers never wait for the disk.
///
/// Additions are found at once; until [`Table::flush`] a crash loses them, to be replayed from [`Table::len`].
/// After a crash the table may be behind, never wrong.
pub struct Table {
    rows: RwLock<Rows>,
    writing: Mutex<Writing>,
    len: AtomicU64,
}

struct Writing {
    file: TableFile,
    failed: bool,
}

impl Table {
    /// Reads the table of this model, or begins one. Nothing is written before the first flush, so that a scan may
    /// read beside a process that registers.
    pub fn open(path: &Path, model: ModelId, dimensions: usize) -> Result<Table, TableError> {
        let (file, rows) = TableFile::open(path, model, dimensions)?;
        let len = AtomicU64::new(file.flushed);
        Ok(Table {
            rows: RwLock::new(rows),
            writing: Mutex::new(Writing { file, failed: false }),
            len,
        })
    }

    /// Log entries below this are taken in; a replay begins here.
    pub fn len(&self) -> u64 {
        self.len.load(Ordering::Acquire)
    }

    /// Whether no log entry is taken in.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many works have an embedding.
    pub fn embeddings(&self) -> usize {
        self.rows.read().unwrap_or_else(PoisonError::into_inner).works.len()
    }

    /// Takes in the log up to `len`. `works` holds, in ascending order, the log index of every work from
    /// [`Table::len`] on and below `len`, and its embedding if it has one; what is there already is skipped.
    ///
    /// Calls follow the log's order: a work left out below `len` stays out until the table is made anew.
    pub fn advance(&self, works: &[(u64, Option<Embedding>)], len: u64) -> Result<(), TableError> {
        debug_assert!(works.is_sorted_by(|(a, _), (b, _)| a < b), "works are in log order");
        self.write(|_| {
            let mut rows = self.rows.write().unwrap_or_else(PoisonError::into_inner);
            let new = works.iter().filter(|(work, _)| (self.len()..len).contains(work));
            for (work, embedding) in new {
                if let Some(embedding) = embedding {
                    rows.push(*work, embedding.values());
                }
            }
            self.len.fetch_max(len, Ordering::AcqRel);
            Ok(())
        })
    }

    /// Makes what was taken in durable. After an error this table takes in no more; open it again and replay.
    pub fn flush(&self) -> Result<(), TableError> {
        self.write(|file| {
            let rows = self.rows.read().unwrap_or_else(PoisonError::into_inner);
            file.append(&rows, self.len()).map_err(|source| TableError::file(&file.path, source))
        })
    }

    /// The `k` works whose embeddings are most like this one of the same model: most alike first, then by index.
    /// Exact: every work is compared, about 0.1 µs each for 512 dimensions. `k` is meant to be small.
    pub fn nearest(&self, embedding: &Embedding, k: usize) -> Vec<Near> {
        self.rows.read().unwrap_or_else(PoisonError::into_inner).nearest(embedding, k)
    }

    fn write(
        &self,
        change: impl FnOnce(&mut TableFile) -> Result<(), TableError>,
    ) -> Result<(), TableError> {
        // A writer that panicked half-way counts as one that failed.
        let poisoned = self.writing.is_poisoned();
        let mut writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        if writing.failed || poisoned {
            return Err(TableError::Behind { len: self.len() });
        }
        let result = change(&mut writing.file);
        writing.failed = result.is_err();
        result
    }
}

/// A work that a model sees as like what was asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Near {
    /// The work's log index.
    pub index: u64,
    /// See [`Embedding::cosine`].
    pub cosine: f32,
}

/// All embeddings, in memory: a struct of arrays, in the log's order.
struct Rows {
    dimensions: usize,
    works: Vec<u64>,
    values: Vec<i8>,
    inverse_norms: Vec<f32>,
}

impl Rows {
    fn push(&mut self, work: u64, values: &[i8]) {
        assert_eq!(values.len(), self.dimensions, "embeddings of one model have one length");
        self.works.push(work);
        self.values.extend(values);
        self.inverse_norms.push(inverse_norm(values));
    }

    fn values(&self, row: usize) -> &[i8] {
        &self.values[row * self.dimensions..][..self.dimensions]
    }

    fn nearest(&self, embedding: &Embedding, k: usize) -> Vec<Near> {
        let query = embedding.values();
        assert_eq!(query.len(), self.dimensions, "embeddings of one model have one length");
        let own = inverse_norm(query);
        let mut best: Vec<Near> = Vec::new();
        let rows = self.values.chunks_exact(self.dimensions).zip(&self.inverse_norms);
        for ((values, norm), &index) in rows.zip(&self.works) {
            let cosine = dot(values, query) as f32 * norm * own;
            if best.len() < k || best.last().is_some_and(|last| cosine > last.cosine) {
                let place = best.partition_point(|near| near.cosine >= cosine);
                best.insert(place, Near { index, cosine });
                best.truncate(k);
            }
        }
        best
    }
}

/// The file, and how far what is in memory is in it.
struct TableFile {
    path: PathBuf,
    header: Vec<u8>,
    /// Where the next block goes; whatever lies beyond is a torn tail.
    end: u64,
    /// Log entries below this are in the file.
    flushed: u64,
    /// Rows before this are in the file.
    rows: usize,
}

impl TableFile {
    /// Reads the file, as far as it is whole. It is not changed before the next flush.
    fn open(
        path: &Path,
        model: ModelId,
        dimensions: usize,
    ) -> Result<(TableFile, Rows), TableError> {
        assert!(
            (1..=DIMENSIONS_MAX).contains(&dimensions),
            "a model has 1 to {DIMENSIONS_MAX} dimensions"
        );
        let header = [MAGIC, &model.0, &(dimensions as u32).to_le_bytes()].concat();
        let mut table = TableFile { path: path.to_owned(), header, end: 0, flushed: 0, rows: 0 };
        let mut rows =
            Rows { dimensions, works: Vec::new(), values: Vec::new(), inverse_norms: Vec::new() };
        match File::open(path) {
            Ok(file) => table.read(&mut BufReader::new(file), &mut rows)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(TableError::file(path, error)),
        }
        Ok((table, rows))
    }

    fn read(&mut self, file: &mut impl Read, rows: &mut Rows) -> Result<(), TableError> {
        let broken = |source| TableError::file(&self.path, source);
        let header = read_up_to(file, self.header.len()).map_err(broken)?;
        let torn = header.len() < self.header.len();
        if torn && (MAGIC.starts_with(&header) || header.starts_with(MAGIC)) {
            return Ok(()); // while it was begun
        }
        if torn || !header.starts_with(MAGIC) {
            return Err(TableError::Unreadable { path: self.path.clone() });
        }
        if header != self.header {
            return Err(TableError::OtherModel { path: self.path.clone() });
        }
        self.end = header.len() as u64;
        while let Some((to, size)) = read_block(file, self.flushed, rows).map_err(broken)? {
            (self.flushed, self.rows) = (to, rows.works.len());
            self.end += size;
        }
        Ok(())
    }

    /// Appends what came since the last flush, with which the log is taken in up to `len`. It is durable once this
    /// returns.
    fn append(&mut self, rows: &Rows, len: u64) -> io::Result<()> {
        if self.flushed == len {
            return Ok(());
        }
        let begun = self.end == 0;
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(false).open(&self.path)?;
        file.set_len(self.end)?; // cuts a torn tail off
        file.seek(SeekFrom::Start(self.end))?;
        let (mut from, mut first, mut end) = (self.flushed, self.rows, self.end);
        if begun {
            file.write_all(&self.header)?;
            end += self.header.len() as u64;
        }
        while from < len {
            let next = rows.works.len().min(first + BLOCK_ROWS_MAX);
            // Up to the first work of the block after it.
            let to = rows.works.get(next).map_or(len, |work| *work);
            let block = block_of(from, to, rows, first..next);
            file.write_all(&block)?;
            end += block.len() as u64;
            (from, first) = (to, next);
        }
        file.sync_all()?;
        if begun && let Some(dir) = self.path.parent() {
            File::open(dir)?.sync_all()?;
        }
        (self.end, self.flushed, self.rows) = (end, len, first);
        Ok(())
    }
}

fn block_of(from: u64, to: u64, rows: &Rows, places: std::ops::Range<usize>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(24 + places.len() * (8 + rows.dimensions) + 32);
    for number in [from, to, places.len() as u64] {
        bytes.extend(number.to_le_bytes());
    }
    for row in places {
        bytes.extend(rows.works[row].to_le_bytes());
        bytes.extend(rows.values(row).iter().map(|value| value.cast_unsigned()));
    }
    let digest = Sha256::digest(&bytes);
    bytes.extend(digest);
    bytes
}

/// Reads the block that begins at log entry `from` into `rows`: where it ends, and its size in bytes. `None`, and
/// nothing added, where there is no whole one.
fn read_block(file: &mut impl Read, from: u64, rows: &mut Rows) -> io::Result<Option<(u64, u64)>> {
    let mut bytes = read_up_to(file, 24)?;
    if bytes.len() < 24 {
        return Ok(None);
    }
    let [begin, to, count] = [0, 8, 16].map(|at| number(&bytes[at..at + 8]));
    if begin != from || to <= from || count > BLOCK_ROWS_MAX as u64 {
        return Ok(None);
    }
    let row_bytes = 8 + rows.dimensions;
    let size = 24 + count as usize * row_bytes;
    bytes.extend(read_up_to(file, size - 24 + 32)?);
    let Some((content, digest)) = bytes.split_at_checked(size) else { return Ok(None) };
    if Sha256::digest(content)[..] != *digest {
        return Ok(None);
    }
    for row in content[24..].chunks_exact(row_bytes) {
        let (work, values) = row.split_at(8);
        let values: Vec<i8> = values.iter().map(|value| value.cast_signed()).collect();
        rows.push(number(work), &values);
    }
    Ok(Some((to, bytes.len() as u64)))
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte))
}

/// As many bytes as are asked for, or as there are.
fn read_up_to(file: &mut impl Read, count: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(count as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Why the table could not do it.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The file is of another program or version.
    #[error("{}: not a table of embeddings of this version; delete it and it is made anew from the works", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
    },
    /// The file is of another model, or its header is damaged.
    #[error("{}: a table of another model; delete it and it is made anew from the works", path.display())]
    OtherModel {
        /// The file.
        path: PathBuf,
    },
    /// The file system refused.
    #[error("{}: cannot be read or written", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The refusal.
        source: io::Error,
    },
    /// An earlier write failed, and going on would leave a gap.
    #[error("an earlier write to the table failed; open it again and replay the log from {len}")]
    Behind {
        /// Log entries below this were taken in before, though perhaps not durably.
        len: u64,
    },
}

impl TableError {
    fn file(path: &Path, source: io::Error) -> TableError {
        TableError::File { path: path.to_owned(), source }
    }
}

const MAGIC: &[u8] = b"timemark-embeddings 1";
/// So many rows of SSCD's are 2 MiB: what writing and reading hold beside the table, however much one flush takes.
const BLOCK_ROWS_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fs;
    use tempfile::TempDir;

    const MODEL: ModelId = ModelId([7; 32]);
    const DIMENSIONS: usize = 5;

    fn embedding() -> impl Strategy<Value = Embedding> {
        // Few values, so that equal cosines occur.
        let values = proptest::collection::vec(-2i8..3, DIMENSIONS);
        values.prop_filter_map("a direction", |values| {
            Embedding::of(&values.into_iter().map(f32::from).collect::<Vec<_>>())
        })
    }

    /// Steps of a log: how many entries until the next, and its embedding, in several flushes.
    fn flushes() -> impl Strategy<Value = Vec<Vec<(u64, Option<Embedding>)>>> {
        let work = (1u64..4, proptest::option::weighted(0.8, embedding()));
        let flushes = proptest::collection::vec(proptest::collection::vec(work, 0..6), 0..5);
        flushes.prop_map(|mut flushes| {
            let mut next = 0;
            for (index, _) in flushes.iter_mut().flatten() {
                next += *index;
                *index = next - 1;
            }
            flushes
        })
    }

    fn open(path: &Path) -> Table {
        Table::open(path, MODEL, DIMENSIONS).unwrap()
    }

    /// Takes in what a table lacks, a flush at a time; where the file ends after each.
    fn replay(path: &Path, flushes: &[Vec<(u64, Option<Embedding>)>]) -> (Table, Vec<(u64, u64)>) {
        let table = open(path);
        let mut ends = Vec::new();
        for works in flushes {
            let len = works.last().map_or(table.len(), |(index, _)| index + 1);
            table.advance(works, len).unwrap();
            table.flush().unwrap();
            ends.push((fs::metadata(path).map_or(0, |file| file.len()), table.len()));
        }
        (table, ends)
    }

    fn all(table: &Table) -> (u64, Vec<u64>, Vec<i8>) {
        let rows = table.rows.read().unwrap();
        (table.len(), rows.works.clone(), rows.values.clone())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_table_opened_again_is_what_it_was(
            flushes in flushes(),
            garbage in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let dir = TempDir::new().unwrap();
            let path = dir.path().join("embeddings");
            let (table, _) = replay(&path, &flushes);
            prop_assert_eq!(all(&open(&path)), all(&table));
            if !table.is_empty() {
                let whole = fs::read(&path).unwrap();
                let longer = [&whole[..], &garbage].concat();
                fs::write(&path, &longer).unwrap();
                prop_assert_eq!(all(&open(&path)), all(&table));
                prop_assert_eq!(fs::read(&path).unwrap(), longer, "opening changes nothing");
                // What comes next is written where the garbage begins.
                let more = open(&path);
                more.advance(&[], table.len() + 1).unwrap();
                more.flush().unwrap();
                prop_assert_eq!(&fs::read(&path).unwrap()[..whole.len()], &whole[..]);
                prop_assert_eq!(all(&open(&path)), all(&more));
            }
        }

        #[test]
        fn a_flipped_bit_or_a_torn_tail_drops_its_block_and_what_follows(
            flushes in flushes(),
            place in any::<proptest::sample::Index>(),
            bit in 0u32..8,
            torn in any::<bool>(),
        ) {
            let dir = TempDir::new().unwrap();
            let path = dir.path().join("embeddings");
            let (table, ends) = replay(&path, &flushes);
            prop_assume!(!table.is_empty());
            let whole = fs::read(&path).unwrap();
            let header = MAGIC.len() + 32 + 4;
            let at = header + place.index(whole.len() - header);
            let mut bytes = whole.clone();
            if torn { bytes.truncate(at) } else { bytes[at] ^= 1 << bit }
            fs::write(&path, &bytes).unwrap();
            let kept = ends.iter().rev().find(|(end, _)| *end <= at as u64).map_or(0, |(_, len)| *len);
            let damaged = open(&path);
            let (works, values) = {
                let rows = table.rows.read().unwrap();
                let count = rows.works.partition_point(|work| *work < kept);
                (rows.works[..count].to_vec(), rows.values[..count * DIMENSIONS].to_vec())
            };
            prop_assert_eq!(all(&damaged), (kept, works, values));
            drop(damaged);
            let (replayed, _) = replay(&path, &flushes);
            prop_assert_eq!(all(&replayed), all(&table));
            prop_assert_eq!(fs::read(&path).unwrap(), whole);
        }

        #[test]
        fn the_nearest_are_those_of_a_naive_sort(
            flushes in flushes(), query in embedding(), k in 0usize..30,
        ) {
            let dir = TempDir::new().unwrap();
            let (table, _) = replay(&dir.path().join("embeddings"), &flushes);
            let works = flushes.iter().flatten();
            let mut expected: Vec<Near> = works
                .filter_map(|(index, embedding)| {
                    Some(Near { index: *index, cosine: embedding.as_ref()?.cosine(&query) })
                })
                .collect();
            expected.sort_by(|a, b| b.cosine.total_cmp(&a.cosine));
            expected.truncate(k);
            prop_assert_eq!(table.nearest(&query, k), expected);
        }
    }

    fn one(index: u64) -> (u64, Option<Embedding>) {
        (index, Embedding::of(&[1.0, 0.0, 0.0, 0.0, index as f32]))
    }

    #[test]
    fn a_header_torn_anywhere_is_begun_anew() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("embeddings");
        replay(&path, &[vec![one(0)]]);
        let whole = fs::read(&path).unwrap();
        for size in 0..MAGIC.len() + 32 + 4 {
            fs::write(&path, &whole[..size]).unwrap();
            assert!(open(&path).is_empty());
            replay(&path, &[vec![one(0)]]);
            assert_eq!(fs::read(&path).unwrap(), whole);
        }
    }

    #[test]
    fn tables_of_other_models_and_other_files_are_refused() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("embeddings");
        replay(&path, &[vec![one(0)]]);
        for (model, dimensions) in [(ModelId([8; 32]), DIMENSIONS), (MODEL, DIMENSIONS + 1)] {
            let outcome = Table::open(&path, model, dimensions);
            assert!(matches!(outcome, Err(TableError::OtherModel { .. })));
        }
        for other in [
            "timemark-codes 1",
            "these bytes are of some other program, and there are many of them",
        ] {
            fs::write(&path, other).unwrap();
            let outcome = Table::open(&path, MODEL, DIMENSIONS);
            assert!(matches!(outcome, Err(TableError::Unreadable { .. })));
        }
        assert!(matches!(Table::open(dir.path(), MODEL, 1), Err(TableError::File { .. })));
    }

    #[test]
    fn one_large_flush_is_several_blocks() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("embeddings");
        let count = 2 * BLOCK_ROWS_MAX as u64 + 1;
        let (table, _) = replay(&path, &[(0..count).map(one).collect()]);
        assert_eq!((table.len(), table.embeddings() as u64), (count, count));
        assert_eq!(all(&open(&path)), all(&table));
        // Without the last block, the two before it stand.
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
        assert_eq!(open(&path).len(), count - 1);
    }

    #[test]
    fn after_a_failed_flush_it_takes_in_no_more() {
        let dir = TempDir::new().unwrap();
        let table = open(&dir.path().join("missing/embeddings"));
        table.advance(&[one(0)], 1).unwrap();
        assert!(matches!(table.flush(), Err(TableError::File { .. })));
        assert!(matches!(table.advance(&[one(1)], 2), Err(TableError::Behind { len: 1 })));
        assert_eq!(table.nearest(&one(0).1.unwrap(), 9).len(), 1, "and is searched as before");
    }
}
