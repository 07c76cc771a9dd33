//! The claims behind the entries, 256 a file, and where the checkpoint of each one's batch lies.
//!
//! A bundle is a sequence of `u64 BE place of the checkpoint ‖ u32 BE length ‖ claim text`. An erased claim
//! has length 0: the entry, its number and every proof stay as they are.

use std::io;
use std::path::{Path, PathBuf};
use std::string::FromUtf8Error;
use std::sync::{Mutex, PoisonError};

use crate::LogError;
use crate::disk::{Disk, io_at};
use crate::files::{How, OpenFile};
use crate::journal::{BatchEntry, put_bytes, take_bytes, take_u64};
use crate::tile::{TILE_WIDTH, index_path};

/// What the log keeps of an entry besides its leaf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClaimRecord {
    /// Where in the file of checkpoints the one of the entry's batch begins.
    pub checkpoint_at: u64,
    /// The claim's text; `None` once it is erased.
    pub claim: Option<String>,
}

pub(crate) struct Claims {
    disk: Disk,
    dir: PathBuf,
    /// The next entry's number and where its record goes, so that its bundle need not be read for it.
    next: Mutex<Option<(u64, u64)>>,
}

impl Claims {
    pub fn at(disk: Disk, dir: PathBuf) -> Claims {
        Claims { disk, dir, next: Mutex::default() }
    }

    /// The records of the entries `index * 256 ..`, as many as the bundle holds.
    pub fn bundle(&self, index: u64) -> Result<Vec<ClaimRecord>, LogError> {
        let path = self.path(index);
        let Some(file) = self.disk.read_if_exists(&path)? else { return Ok(Vec::new()) };
        let mut records = Vec::new();
        let mut rest = &file[..];
        while !rest.is_empty() {
            // A record that a crash cut off is written again from the journal.
            let Some(record) = take_record(&mut rest) else { break };
            records.push(record.map_err(|_| LogError::damaged(&path, "a claim is not UTF-8"))?);
        }
        Ok(records)
    }

    /// Writes the records of a batch whose first entry is `first`. Writing them again changes nothing.
    pub fn write(
        &self,
        first: u64,
        checkpoint_at: u64,
        entries: &[BatchEntry],
    ) -> Result<(), LogError> {
        let mut index = first;
        let mut rest = entries;
        while !rest.is_empty() {
            let room = (TILE_WIDTH - index % TILE_WIDTH) as usize;
            let (now, later) = rest.split_at(rest.len().min(room));
            let mut bytes = Vec::new();
            for entry in now {
                put_record(&mut bytes, checkpoint_at, entry.claim.as_bytes());
            }
            let next = index + now.len() as u64;
            self.write_at(index, &bytes, next)?;
            index = next;
            rest = later;
        }
        Ok(())
    }

    fn write_at(&self, index: u64, bytes: &[u8], next: u64) -> Result<(), LogError> {
        let path = self.path(index / TILE_WIDTH);
        let file = self.disk.make(&path, How::Write).map_err(io_at(&path))?;
        let held = file.stat().map_err(io_at(&path))?.bytes;
        let expected = self.set_next(None).filter(|&(at, end)| (at, end) == (index, held));
        let before = match expected {
            Some((_, end)) => end,
            None => self.offset_of(index, &path)?,
        };
        let end = before + bytes.len() as u64;
        let write = || -> io::Result<()> {
            file.write_at(bytes, before)?;
            // What a crash left behind it is longer.
            if end < held { file.set_len(end) } else { Ok(()) }
        };
        write().map_err(io_at(&path))?;
        self.set_next(Some((next, end)));
        Ok(())
    }

    fn set_next(&self, next: Option<(u64, u64)>) -> Option<(u64, u64)> {
        std::mem::replace(&mut self.next.lock().unwrap_or_else(PoisonError::into_inner), next)
    }

    /// Where in its bundle the record of this entry begins.
    fn offset_of(&self, index: u64, path: &Path) -> Result<u64, LogError> {
        let before = index % TILE_WIDTH;
        if before == 0 {
            return Ok(0);
        }
        let file = self.disk.read(path)?;
        let mut rest = &file[..];
        for _ in 0..before {
            if take_record(&mut rest).is_none() {
                return Err(LogError::damaged(path, format!("it ends before entry {index}")));
            }
        }
        Ok((file.len() - rest.len()) as u64)
    }

    /// Erases the claim of an entry, durably. The journal must no longer hold it.
    pub fn erase(&self, index: u64) -> Result<(), LogError> {
        let path = self.path(index / TILE_WIDTH);
        let records = self.bundle(index / TILE_WIDTH)?;
        if records.len() as u64 <= index % TILE_WIDTH {
            return Err(LogError::damaged(&path, format!("it ends before entry {index}")));
        }
        let mut bytes = Vec::new();
        for (at, record) in (index - index % TILE_WIDTH..).zip(records) {
            let claim = record.claim.filter(|_| at != index).unwrap_or_default();
            put_record(&mut bytes, record.checkpoint_at, claim.as_bytes());
        }
        self.set_next(None);
        self.disk.replace_durably(&path, &bytes)
    }

    /// Whether a bundle holds exactly so many records and nothing else.
    pub fn is_exact(&self, bundle: u64, count: u64) -> Result<bool, LogError> {
        let file = self.disk.read(&self.path(bundle))?;
        let mut rest = &file[..];
        let whole = (0..count).all(|_| take_record(&mut rest).is_some());
        Ok(whole && rest.is_empty())
    }

    fn path(&self, bundle: u64) -> PathBuf {
        self.dir.join(index_path(bundle))
    }
}

fn put_record(bytes: &mut Vec<u8>, checkpoint_at: u64, claim: &[u8]) {
    bytes.extend(checkpoint_at.to_be_bytes());
    put_bytes(bytes, claim);
}

/// The next record; the error is a claim that is not text.
fn take_record(rest: &mut &[u8]) -> Option<Result<ClaimRecord, FromUtf8Error>> {
    let checkpoint_at = take_u64(rest)?;
    let claim = match take_bytes(rest)? {
        [] => Ok(None),
        text => String::from_utf8(text.to_vec()).map(Some),
    };
    Some(claim.map(|claim| ClaimRecord { checkpoint_at, claim }))
}

/// The file of every checkpoint that the log signed: a sequence of `u32 BE length ‖ note`.
pub(crate) struct Checkpoints {
    path: PathBuf,
    file: Box<dyn OpenFile>,
    bytes: u64,
}

impl Checkpoints {
    /// Opens the file and cuts it to the length it had when the journal was begun.
    pub fn open(disk: &Disk, path: PathBuf, bytes: u64) -> Result<Checkpoints, LogError> {
        let file = disk.open(&path, How::Write)?;
        file.set_len(bytes).map_err(io_at(&path))?;
        Ok(Checkpoints { path, file, bytes })
    }

    /// Length of the file, which is where the next checkpoint goes.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Writes the newest checkpoint to its place. Writing it again changes nothing.
    pub fn write(&mut self, at: u64, note: &str) -> Result<(), LogError> {
        let mut record = Vec::with_capacity(4 + note.len());
        put_bytes(&mut record, note.as_bytes());
        self.file.write_at(&record, at).map_err(io_at(&self.path))?;
        self.bytes = at + record.len() as u64;
        Ok(())
    }

    /// The checkpoint that begins at this place of the file at `path`.
    pub fn read_at(disk: &Disk, path: &Path, at: u64) -> Result<String, LogError> {
        read_note(&*disk.open(path, How::Read)?, path, at)
    }

    /// All checkpoints in the file at `path`, in order, each with its place.
    pub fn read_all(disk: &Disk, path: &Path) -> Result<CheckpointsReader, LogError> {
        Checkpoints::read_from(disk, path, 0)
    }

    /// The checkpoints from this place of the file on.
    pub fn read_from(disk: &Disk, path: &Path, at: u64) -> Result<CheckpointsReader, LogError> {
        let file = disk.open(path, How::Read)?;
        let bytes = file.stat().map_err(io_at(path))?.bytes;
        if bytes < at {
            return Err(LogError::damaged(path, format!("it is shorter than {at} bytes")));
        }
        Ok(CheckpointsReader { file, path: path.to_owned(), at, bytes })
    }
}

fn read_note(file: &dyn OpenFile, path: &Path, at: u64) -> Result<String, LogError> {
    let damaged = || LogError::damaged(path, format!("no checkpoint begins at byte {at}"));
    let read = |buffer: &mut [u8], at| match file.read_at(buffer, at) {
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Err(damaged()),
        other => other.map_err(io_at(path)),
    };
    let mut length = [0; 4];
    read(&mut length, at)?;
    let length = u32::from_be_bytes(length) as usize;
    if length > timemark_verify::Note::BYTES_MAX {
        return Err(damaged());
    }
    let mut note = vec![0; length];
    read(&mut note, at + 4)?;
    String::from_utf8(note).map_err(|_| damaged())
}

/// Reads one checkpoint after the other; after an error there is nothing more.
pub(crate) struct CheckpointsReader {
    file: Box<dyn OpenFile>,
    path: PathBuf,
    at: u64,
    bytes: u64,
}

impl Iterator for CheckpointsReader {
    type Item = Result<(u64, String), LogError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.bytes {
            return None;
        }
        let at = self.at;
        let note = read_note(&*self.file, &self.path, at);
        self.at = note.as_ref().map_or(self.bytes, |note| at + 4 + note.len() as u64);
        Some(note.map(|note| (at, note)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(range: std::ops::Range<u64>) -> Vec<BatchEntry> {
        range.map(|i| BatchEntry { leaf: vec![1], claim: format!("claim {i}\n") }).collect()
    }

    #[test]
    fn claims_are_found_across_bundles_and_erased_one_by_one() {
        let dir = tempfile::tempdir().unwrap();
        let claims = Claims::at(Disk::real(), dir.path().join("claims"));
        claims.write(0, 5, &entries(0..250)).unwrap();
        claims.write(250, 6, &entries(250..600)).unwrap();
        claims.write(250, 6, &entries(250..600)).unwrap(); // as a replay does
        let record = |i: u64| claims.bundle(i / 256).unwrap()[(i % 256) as usize].clone();
        for i in [0, 249, 250, 255, 256, 511, 512, 599] {
            let checkpoint_at = if i < 250 { 5 } else { 6 };
            let claim = Some(format!("claim {i}\n"));
            assert_eq!(record(i), ClaimRecord { checkpoint_at, claim });
        }
        assert_eq!(claims.bundle(2).unwrap().len(), 600 - 512);
        claims.erase(255).unwrap();
        assert_eq!(record(255), ClaimRecord { checkpoint_at: 6, claim: None });
        assert_eq!(record(254).claim, Some("claim 254\n".into()));
        let raw = std::fs::read(dir.path().join("claims/000")).unwrap();
        assert!(!String::from_utf8_lossy(&raw).contains("claim 255"));
    }

    #[test]
    fn a_bundle_that_ends_early_is_damage() {
        let dir = tempfile::tempdir().unwrap();
        let claims = Claims::at(Disk::real(), dir.path().join("claims"));
        claims.write(0, 0, &entries(0..3)).unwrap();
        assert!(matches!(claims.write(7, 0, &entries(7..8)), Err(LogError::Damaged { .. })));
        assert!(matches!(claims.erase(3), Err(LogError::Damaged { .. })));
        assert!(claims.is_exact(0, 3).unwrap() && !claims.is_exact(0, 2).unwrap());
    }

    #[test]
    fn checkpoints_are_read_where_they_begin() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("checkpoints");
        let mut checkpoints = Checkpoints::open(&Disk::real(), path.clone(), 0).unwrap();
        checkpoints.write(0, "one").unwrap();
        let second = checkpoints.bytes();
        checkpoints.write(second, "two").unwrap();
        assert_eq!(Checkpoints::read_at(&Disk::real(), &path, second).unwrap(), "two");
        let all = |path: &Path| -> Vec<_> {
            Checkpoints::read_all(&Disk::real(), path).unwrap().map(Result::unwrap).collect()
        };
        assert_eq!(all(&path), [(0, "one".into()), (second, "two".into())]);
        assert!(Checkpoints::read_at(&Disk::real(), &path, 1).is_err());
        // Reopened as of an earlier journal, the later checkpoint is replayed.
        Checkpoints::open(&Disk::real(), path.clone(), second).unwrap();
        assert_eq!(all(&path).len(), 1);
        assert!(Checkpoints::read_from(&Disk::real(), &path, 100).is_err());
    }
}
