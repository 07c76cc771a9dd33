//! What has been acknowledged: batches that one flush each made durable.
//!
//! The file is a sequence of records, `u32 BE length ‖ payload ‖ SHA-256(payload)`. The first one names
//! the checkpoint up to which everything lies safely elsewhere; each further one is a batch. Every record
//! is flushed before the next is written, so only the last can be torn.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::LogError;
use crate::disk::{Disk, io_at};
use crate::files::{How, OpenFile};

const BASE: u8 = 0;
const BATCH: u8 = 1;
pub(crate) const DIGEST_BYTES: usize = 32;

/// Up to where the rest of the folder is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Base {
    /// Length of the file of checkpoints.
    pub checkpoints_bytes: u64,
    /// The newest checkpoint at that time.
    pub note: String,
}

/// Entries that were sequenced together, and the checkpoint that covers them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Batch {
    /// Number of the first entry.
    pub first: u64,
    /// The text of the checkpoint after the last entry. It is signed once it is durable, so that a batch which
    /// never became durable leaves no signature behind.
    pub checkpoint: String,
    /// The entries.
    pub entries: Vec<BatchEntry>,
}

/// An entry with the claim behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BatchEntry {
    /// The bytes that the log publishes.
    pub leaf: Vec<u8>,
    /// The text that it does not.
    pub claim: String,
}

/// A journal, locked by this process: even where the lock file was deleted, two processes cannot both
/// hold the journal itself.
pub(crate) struct Journal {
    disk: Disk,
    file: Box<dyn OpenFile>,
    path: PathBuf,
    bytes: u64,
}

/// What a journal holds.
pub(crate) struct Contents {
    pub base: Base,
    pub batches: Vec<Batch>,
    /// The whole records as they lie in the file.
    pub records: Vec<u8>,
    /// Whether a crash tore off what follows them.
    pub is_torn: bool,
}

impl Journal {
    /// Starts a journal in place of whatever was there, durably.
    ///
    /// An error of kind [`AppendError::NotWritten`] left the old journal as it was.
    pub fn start(disk: &Disk, path: &Path, base: &Base) -> Result<Journal, AppendError> {
        let mut payload = vec![BASE];
        payload.extend(base.checkpoints_bytes.to_be_bytes());
        put_bytes(&mut payload, base.note.as_bytes());
        Journal::put(disk, path, &frame(&payload))
    }

    /// Puts a journal of these records in place of whatever was there, durably. It is locked before
    /// anyone can see it.
    ///
    /// An error of kind [`AppendError::NotWritten`] left the old journal as it was.
    pub fn put(disk: &Disk, path: &Path, records: &[u8]) -> Result<Journal, AppendError> {
        let aside = path.with_extension("new");
        let files = disk.files();
        let write = || -> io::Result<Box<dyn OpenFile>> {
            match files.remove_file(&aside) {
                Err(e) if e.kind() != ErrorKind::NotFound => return Err(e),
                _ => {}
            }
            let file = files.open(&aside, How::New)?;
            if !file.try_lock()? {
                return Err(ErrorKind::WouldBlock.into());
            }
            file.append(records)?;
            file.sync_all()?;
            files.rename(&aside, path)?;
            Ok(file)
        };
        let file = write().map_err(|e| AppendError::NotWritten(io_at(path)(e)))?;
        disk.sync_folder_of(path).map_err(|e| AppendError::Unknown(io_at(path)(e)))?;
        let (disk, path) = (disk.clone(), path.to_owned());
        Ok(Journal { disk, file, path, bytes: records.len() as u64 })
    }

    /// Locks and reads a journal, and changes nothing: what a crash tore off at its end, which was never
    /// acknowledged, goes with [`Journal::cut_torn_end`].
    pub fn open(disk: &Disk, path: &Path) -> Result<(Journal, Contents), LogError> {
        let file = disk.open(path, How::ReadAppend)?;
        if !file.try_lock().map_err(io_at(path))? {
            return Err(LogError::Busy { path: path.to_owned() });
        }
        let mut bytes = vec![0; file.stat().map_err(io_at(path))?.bytes as usize];
        file.read_at(&mut bytes, 0).map_err(io_at(path))?;
        let damaged = |reason: &str| LogError::damaged(path, reason);
        let (payload, mut rest) =
            next_frame(&bytes).ok_or_else(|| damaged("it does not begin with a base record"))?;
        let base = parse_base(payload).ok_or_else(|| damaged("its base record makes no sense"))?;
        let mut batches = Vec::new();
        while let Some((payload, after)) = next_frame(rest) {
            batches.push(parse_batch(payload).ok_or_else(|| damaged("a batch makes no sense"))?);
            rest = after;
        }
        let is_batch = |at| next_frame(&rest[at..]).is_some_and(|(p, _)| p.first() == Some(&BATCH));
        if (1..rest.len()).any(is_batch) {
            return Err(damaged("a batch in its middle does not match its digest"));
        }
        let (is_torn, whole) = (!rest.is_empty(), bytes.len() - rest.len());
        let (disk, path) = (disk.clone(), path.to_owned());
        let journal = Journal { disk, file, path, bytes: whole as u64 };
        if !journal.is_at_its_path()? {
            return Err(LogError::Busy { path: journal.path });
        }
        bytes.truncate(whole);
        Ok((journal, Contents { base, batches, records: bytes, is_torn }))
    }

    /// Cuts off what follows the last whole record.
    pub fn cut_torn_end(&self) -> Result<(), LogError> {
        if self.file.stat().map_err(io_at(&self.path))?.bytes != self.bytes {
            self.file.set_len(self.bytes).map_err(io_at(&self.path))?;
            self.file.sync_all().map_err(io_at(&self.path))?;
        }
        Ok(())
    }

    /// Length of the file.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Appends a batch, if the journal still ends where this process left it, and makes it durable.
    ///
    /// An error of kind [`AppendError::NotWritten`] left the journal as it was.
    pub fn append(&mut self, batch: &Batch) -> Result<(), AppendError> {
        self.compare().map_err(AppendError::Unknown)?;
        let record = frame(&batch_payload(batch));
        if let Err(e) = self.file.append(&record) {
            let error = io_at(&self.path)(e);
            return match self.cut_torn_end() {
                Ok(()) => Err(AppendError::NotWritten(error)),
                Err(_) => Err(AppendError::Unknown(error)),
            };
        }
        self.file.sync_data().map_err(|e| AppendError::Unknown(io_at(&self.path)(e)))?;
        self.bytes += record.len() as u64;
        Ok(())
    }

    /// The compare of the compare-and-swap: nobody else wrote to the journal or replaced it.
    pub fn compare(&self) -> Result<(), LogError> {
        let ours = self.file.stat().map_err(io_at(&self.path))?;
        if self.is_at_its_path()? && ours.bytes == self.bytes {
            Ok(())
        } else {
            Err(LogError::damaged(
                &self.path,
                "another process changed it while this one had it open",
            ))
        }
    }

    fn is_at_its_path(&self) -> Result<bool, LogError> {
        let at_path = self.disk.files().stat(&self.path).map_err(io_at(&self.path))?;
        let ours = self.file.stat().map_err(io_at(&self.path))?;
        Ok(at_path.identity == ours.identity)
    }
}

/// How a write to the journal failed.
pub(crate) enum AppendError {
    /// The journal is as it was.
    NotWritten(LogError),
    /// What was written may or may not be there after a restart.
    Unknown(LogError),
}

impl AppendError {
    /// Whether nothing was written because there was no room.
    pub fn is_full(&self) -> bool {
        matches!(self, AppendError::NotWritten(error) if error.is_full())
    }

    /// The error itself, for who cannot go on either way.
    pub fn into_error(self) -> LogError {
        let (AppendError::NotWritten(error) | AppendError::Unknown(error)) = self;
        error
    }
}

pub(crate) fn frame(payload: &[u8]) -> Vec<u8> {
    let mut record = Vec::with_capacity(4 + payload.len() + DIGEST_BYTES);
    put_bytes(&mut record, payload);
    record.extend(Sha256::digest(payload));
    record
}

/// The payload of the record at the start of these bytes, and what follows it.
pub(crate) fn next_frame(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut rest = bytes;
    let payload = take_bytes(&mut rest)?;
    let (digest, after) = rest.split_at_checked(DIGEST_BYTES)?;
    (payload.len() > 1 && Sha256::digest(payload)[..] == *digest).then_some((payload, after))
}

fn batch_payload(batch: &Batch) -> Vec<u8> {
    let mut payload = vec![BATCH];
    payload.extend(batch.first.to_be_bytes());
    put_bytes(&mut payload, batch.checkpoint.as_bytes());
    for entry in &batch.entries {
        put_bytes(&mut payload, &entry.leaf);
        put_bytes(&mut payload, entry.claim.as_bytes());
    }
    payload
}

fn parse_base(payload: &[u8]) -> Option<Base> {
    let mut rest = payload.strip_prefix(&[BASE])?;
    let checkpoints_bytes = take_u64(&mut rest)?;
    let note = take_text(&mut rest)?;
    rest.is_empty().then_some(Base { checkpoints_bytes, note })
}

fn parse_batch(payload: &[u8]) -> Option<Batch> {
    let mut rest = payload.strip_prefix(&[BATCH])?;
    let first = take_u64(&mut rest)?;
    let checkpoint = take_text(&mut rest)?;
    // Version 0.1.0 journaled the signed note.
    let checkpoint = match checkpoint.split_once("\n\n") {
        Some((text, _signatures)) => format!("{text}\n"),
        None => checkpoint,
    };
    let mut entries = Vec::new();
    while !rest.is_empty() {
        let leaf = take_bytes(&mut rest)?.to_vec();
        entries.push(BatchEntry { leaf, claim: take_text(&mut rest)? });
    }
    Some(Batch { first, checkpoint, entries })
}

/// `u32 BE length ‖ bytes`. Batches are far below 4 GiB: a claim has at most 1 MiB.
pub(crate) fn put_bytes(to: &mut Vec<u8>, bytes: &[u8]) {
    to.extend((bytes.len() as u32).to_be_bytes());
    to.extend(bytes);
}

pub(crate) fn take_bytes<'a>(from: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, rest) = from.split_first_chunk::<4>()?;
    let (bytes, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
    *from = rest;
    Some(bytes)
}

pub(crate) fn take_u64(from: &mut &[u8]) -> Option<u64> {
    let (number, rest) = from.split_first_chunk::<8>()?;
    *from = rest;
    Some(u64::from_be_bytes(*number))
}

fn take_text(from: &mut &[u8]) -> Option<String> {
    String::from_utf8(take_bytes(from)?.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::io::Write;

    use super::*;

    fn base() -> Base {
        Base { checkpoints_bytes: 7, note: "base\n".into() }
    }

    fn batch(first: u64) -> Batch {
        let entry = BatchEntry { leaf: vec![1; 65], claim: "claim\n".into() };
        Batch { first, checkpoint: format!("text {first}\n"), entries: vec![entry; 3] }
    }

    fn journal_of(batches: &[Batch]) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let mut journal = Journal::start(&Disk::real(), &path, &base()).ok().unwrap();
        for batch in batches {
            assert!(journal.append(batch).is_ok());
        }
        (dir, path)
    }

    #[test]
    fn batches_come_back() {
        let (_dir, path) = journal_of(&[batch(0), batch(3)]);
        let (_, contents) = Journal::open(&Disk::real(), &path).unwrap();
        assert_eq!((contents.base, contents.batches), (base(), vec![batch(0), batch(3)]));
    }

    #[test]
    fn a_torn_end_is_cut_only_when_it_is_told_and_the_rest_stays() {
        let (_dir, path) = journal_of(&[batch(0), batch(3)]);
        let whole = std::fs::read(&path).unwrap();
        let first_two = whole.len() - frame(&batch_payload(&batch(3))).len();
        for cut in first_two..whole.len() {
            // What is missing may as well be zeros, or other bytes.
            for filler in [None, Some(0), Some(7)] {
                let mut torn = whole[..cut].to_vec();
                torn.resize(filler.map_or(cut, |_| whole.len()), filler.unwrap_or(0));
                std::fs::write(&path, &torn).unwrap();
                let (journal, contents) = Journal::open(&Disk::real(), &path).unwrap();
                assert_eq!(std::fs::read(&path).unwrap(), torn);
                assert_eq!((contents.batches, journal.bytes()), (vec![batch(0)], first_two as u64));
                journal.cut_torn_end().unwrap();
                assert_eq!(std::fs::read(&path).unwrap(), whole[..first_two]);
            }
        }
    }

    #[test]
    fn damage_before_the_end_is_no_torn_end() {
        let (_dir, path) = journal_of(&[batch(0), batch(3)]);
        let whole = std::fs::read(&path).unwrap();
        let last = frame(&batch_payload(&batch(3))).len();
        for at in 0..whole.len() - last {
            let mut flipped = whole.clone();
            flipped[at] ^= 0x10;
            std::fs::write(&path, &flipped).unwrap();
            assert!(
                matches!(Journal::open(&Disk::real(), &path), Err(LogError::Damaged { .. })),
                "byte {at}"
            );
        }
    }

    #[test]
    fn somebody_elses_write_is_noticed() {
        let (_dir, path) = journal_of(&[batch(0)]);
        let (mut journal, _) = Journal::open(&Disk::real(), &path).unwrap();
        let mut other = OpenOptions::new().append(true).open(&path).unwrap();
        other.write_all(b"x").unwrap();
        assert!(matches!(journal.append(&batch(3)), Err(AppendError::Unknown(_))));
        drop(journal);
        let (mut journal, _) = Journal::open(&Disk::real(), &path).unwrap();
        journal.cut_torn_end().unwrap();
        std::fs::copy(&path, path.with_extension("copy")).unwrap();
        std::fs::rename(path.with_extension("copy"), &path).unwrap();
        assert!(matches!(journal.append(&batch(3)), Err(AppendError::Unknown(_))));
        assert!(
            Journal::open(&Disk::real(), &path)
                .is_ok_and(|(_, contents)| contents.batches.len() == 1)
        );
    }
}
