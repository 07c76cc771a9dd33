//! The newest codes, in a file that is only ever appended to, until they become a segment.
//!
//! The file is a header and then blocks, one for each flush:
//!
//! ```text
//! file  = "timemark-codes 1" block*
//! block = from u64 · to u64 · rows u64 · row* · SHA-256 of the block so far      (little-endian)
//! row   = kind u8 · quality u8 · work u64 · code 32 bytes
//! ```
//!
//! A block takes in the log entries `from..to`, beginning where the block before it ended. The kind 255 says that a work
//! counts no more. Reading stops at the first bad block: a torn tail is an ordinary crash, and the log has what it held.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use timemark_verify::{Fingerprint, FormatError};
use timemark_vision::Kind;

use super::Row;
use crate::IndexError;

/// What the tail holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Entry {
    Row(Row),
    /// This work counts no more.
    Removed(u64),
}

/// The file of the newest codes, and what has yet to be appended to it.
pub(super) struct Tail {
    path: PathBuf,
    /// Where the next block goes; whatever lies beyond is torn.
    end: u64,
    /// Log entries below this are in the file or in segments.
    flushed: u64,
    len: u64,
    pending: Vec<Entry>,
}

impl Tail {
    /// Reads the file, as far as it is whole and goes on from log entry `covered`, below which segments have everything.
    /// It is not changed before the next flush.
    pub fn open(path: &Path, covered: u64) -> Result<(Tail, Vec<Entry>), IndexError> {
        let path = path.to_owned();
        let mut tail = Tail { path, end: 0, flushed: covered, len: covered, pending: Vec::new() };
        let bytes = match fs::read(&tail.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((tail, Vec::new())),
            Err(error) => return Err(IndexError::file(&tail.path, error)),
        };
        if HEADER.starts_with(&bytes) && bytes.len() < HEADER.len() {
            return Ok((tail, Vec::new())); // torn while it was begun
        }
        let Some(mut rest) = bytes.strip_prefix(HEADER) else {
            let reason = "it does not begin as a table of codes of this version";
            let source = Box::new(FormatError::new("codes", reason));
            return Err(IndexError::Unreadable { path: tail.path, source });
        };
        let (mut entries, mut expected) = (Vec::new(), None::<u64>);
        while let Some(block) = Block::parse(rest) {
            let follows = match expected {
                // Behind blocks that a crash kept, the next begins where the segment ended.
                Some(expected) => block.from == expected || block.from == expected.max(covered),
                // A crash may have kept what is in a segment since.
                None => block.from <= covered,
            };
            if !follows {
                break;
            }
            entries.extend(block.entries.into_iter().filter(|entry| match entry {
                Entry::Row(row) => row.work >= covered,
                Entry::Removed(_) => true,
            }));
            tail.len = tail.len.max(block.to);
            (expected, rest) = (Some(block.to), block.beyond);
        }
        tail.flushed = tail.len;
        tail.end = (bytes.len() - rest.len()) as u64;
        Ok((tail, entries))
    }

    /// Log entries below this are taken in.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Takes in the log up to `len`, of which these are the rows.
    pub fn advance(&mut self, rows: &[Row], len: u64) {
        self.pending.extend(rows.iter().copied().map(Entry::Row));
        self.len = self.len.max(len);
    }

    /// Takes note that a work counts no more.
    pub fn remove(&mut self, work: u64) {
        self.pending.push(Entry::Removed(work));
    }

    /// Appends what came since the last flush. It is durable once this returns.
    pub fn flush(&mut self) -> Result<(), IndexError> {
        if self.flushed == self.len && self.pending.is_empty() {
            return Ok(());
        }
        let mut bytes = if self.end == 0 { HEADER.to_vec() } else { Vec::new() };
        let begin = bytes.len();
        for number in [self.flushed, self.len, self.pending.len() as u64] {
            bytes.extend(number.to_le_bytes());
        }
        self.pending.iter().for_each(|entry| entry.append_to(&mut bytes));
        bytes.extend(Sha256::digest(&bytes[begin..]));
        self.append(&bytes).map_err(|source| IndexError::file(&self.path, source))?;
        self.end += bytes.len() as u64;
        self.flushed = self.len;
        self.pending.clear();
        Ok(())
    }

    /// Begins anew: a durable segment has everything below `len` and every removal.
    pub fn restart(&mut self) -> Result<(), IndexError> {
        self.flushed = self.len;
        self.pending.clear();
        self.end = 0;
        // Should a crash bring it back, opening passes over it.
        match OpenOptions::new().write(true).open(&self.path).and_then(|file| file.set_len(0)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(IndexError::file(&self.path, error))
            }
            _ => Ok(()),
        }
    }

    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(false).open(&self.path)?;
        file.set_len(self.end)?; // cuts a torn tail off
        file.seek(SeekFrom::Start(self.end))?;
        file.write_all(bytes)?;
        file.sync_all()?;
        match self.path.parent() {
            Some(dir) if self.end == 0 => File::open(dir)?.sync_all(),
            _ => Ok(()),
        }
    }
}

impl Entry {
    fn append_to(&self, bytes: &mut Vec<u8>) {
        let (kind, Row { quality, work, code, .. }) = match self {
            Entry::Row(row) => (row.kind as u8, *row),
            Entry::Removed(work) => {
                let (quality, code) = (0, Fingerprint::default());
                (REMOVED, Row { kind: Kind::Pdq, quality, work: *work, code })
            }
        };
        bytes.extend([kind, quality]);
        bytes.extend(work.to_le_bytes());
        bytes.extend(code.to_bytes());
    }

    fn parse(bytes: &[u8]) -> Option<Entry> {
        let ([kind, quality], rest) = bytes.split_first_chunk()?;
        let (work, code) = rest.split_first_chunk()?;
        let work = u64::from_le_bytes(*work);
        if *kind == REMOVED {
            return Some(Entry::Removed(work));
        }
        let kind = *Kind::ALL.get(usize::from(*kind))?;
        let code = Fingerprint::from_bytes(code.try_into().ok()?);
        Some(Entry::Row(Row { kind, quality: *quality, work, code }))
    }
}

/// What one flush wrote, and the bytes beyond it.
struct Block<'a> {
    from: u64,
    to: u64,
    entries: Vec<Entry>,
    beyond: &'a [u8],
}

impl Block<'_> {
    fn parse(bytes: &[u8]) -> Option<Block<'_>> {
        let (head, rest) = bytes.split_first_chunk::<24>()?;
        let [from, to, rows] = [0, 8, 16].map(|at| {
            head[at..at + 8].iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte))
        });
        let size = usize::try_from(rows).ok()?.checked_mul(ROW_BYTES)?;
        let (rows, rest) = rest.split_at_checked(size)?;
        let (digest, beyond) = rest.split_first_chunk::<32>()?;
        let whole = Sha256::digest(&bytes[..head.len() + size])[..] == digest[..];
        if !whole || to < from {
            return None;
        }
        let entries = rows.chunks_exact(ROW_BYTES).map(Entry::parse).collect::<Option<_>>()?;
        Some(Block { from, to, entries, beyond })
    }
}

const HEADER: &[u8; 16] = b"timemark-codes 1";
const ROW_BYTES: usize = 2 + 8 + 32;
const REMOVED: u8 = 255;

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    #[test]
    fn a_torn_end_is_cut_off_and_written_anew() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("codes");
        let rows: Vec<Row> = (0..3)
            .map(|work| Row {
                kind: Kind::Pdq,
                quality: 80,
                work,
                code: Fingerprint([1 << work; 4]),
            })
            .collect();
        let write = |tail: &mut Tail| {
            let mut ends = Vec::new();
            for len in 1..=3 {
                if tail.len() < len {
                    tail.advance(&rows[len as usize - 1..][..1], len);
                    if len == 2 {
                        tail.remove(0);
                    }
                }
                tail.flush().unwrap();
                ends.push(tail.end as usize);
            }
            ends
        };
        let ends = write(&mut Tail::open(&path, 0).unwrap().0);
        let whole = fs::read(&path).unwrap();
        let blocks_below = |size: usize| ends.iter().filter(|&&end| end <= size).count();
        let check = |bytes: &[u8], len: usize| {
            fs::write(&path, bytes).unwrap();
            let (mut tail, entries) = Tail::open(&path, 0).unwrap();
            assert_eq!(tail.len(), len as u64);
            let works: Vec<u64> = entries
                .iter()
                .filter_map(|e| if let Entry::Row(row) = e { Some(row.work) } else { None })
                .collect();
            assert_eq!(works, (0..len as u64).collect::<Vec<_>>());
            assert_eq!(entries.contains(&Entry::Removed(0)), len >= 2);
            assert_eq!(fs::read(&path).unwrap(), bytes, "opening changes nothing");
            write(&mut tail);
            assert_eq!(fs::read(&path).unwrap(), whole);
        };
        for size in 0..=whole.len() {
            check(&whole[..size], blocks_below(size));
        }
        for at in HEADER.len()..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x10;
            check(&bytes, blocks_below(at));
        }
        check(&[&whole[..ends[1]], &[0; 999]].concat(), 2);
    }

    #[test]
    fn what_segments_have_is_passed_over() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("codes");
        let row = |work| Row { kind: Kind::Dct, quality: 1, work, code: Fingerprint([work; 4]) };
        let (mut tail, _) = Tail::open(&path, 5).unwrap();
        tail.advance(&[row(6)], 8);
        tail.flush().unwrap();
        tail.advance(&[row(8)], 9);
        tail.remove(2);
        tail.flush().unwrap();
        let rows = |covered| {
            let (tail, entries) = Tail::open(&path, covered).unwrap();
            (tail.len(), entries.len())
        };
        assert_eq!(rows(5), (9, 3));
        assert_eq!(rows(8), (9, 2));
        assert_eq!(rows(9), (9, 1), "a removal is told again rather than lost");
        assert_eq!(rows(4), (4, 0), "a gap ends it");
        // A segment up to 12 was written, and a crash kept what it has: what is appended behind it is found.
        let (mut behind, _) = Tail::open(&path, 12).unwrap();
        behind.advance(&[row(13)], 14);
        behind.flush().unwrap();
        assert_eq!(rows(12), (14, 2));
        assert_eq!(rows(9), (9, 1), "without the segment there is a gap");
        tail.restart().unwrap();
        assert_eq!(rows(9), (9, 0));
        tail.advance(&[row(9)], 10);
        tail.flush().unwrap();
        assert_eq!(rows(9), (10, 1));
    }
}
