//! The one place where entries get their numbers.
//!
//! Appenders put their entries into a pool. The first of them to find nobody at work takes the whole pool
//! as a batch, makes it durable with one flush of the journal, publishes tiles and checkpoint, and wakes
//! the others; meanwhile the next batch gathers. So the cost of a flush is shared, and nobody waits for a
//! timer.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::thread;

use timemark_verify::merkle::{self, Hash, leaf_hash};
use timemark_verify::{Action, Checkpoint, Claim, FormatError, Leaf, Note, Receipt};
use tracing::info_span;

use crate::claims::{Checkpoints, Claims};
use crate::disk::{Disk, Folder};
use crate::endorse::Endorsements;
use crate::endorsing::{Endorsing, TilesOnDisk};
use crate::files::OpenFile;
use crate::folder::{
    check_batches, check_edge, check_nothing_else_was_signed, checkpoints_path, read_edge,
    read_entries, read_partial_entries, read_tile, signed, tiles_dir,
};
use crate::growth::Growth;
use crate::journal::{AppendError, Base, Batch, BatchEntry, Contents, Journal};
use crate::rehash::check_full_tiles;
use crate::reserve::Reserve;
use crate::tile::{TILE_WIDTH, subtrees};
use crate::tree::{self, Edge, Tile, TileSource};
use crate::{LogError, LogKey};

/// Makes the works of a batch durable. Called once a batch, before the batch's entries are.
pub type FlushWorks =
    Box<dyn Fn() -> Result<(), Box<dyn std::error::Error + Send + Sync>> + Send + Sync>;

/// A journal longer than this is cut after everything it says has been flushed elsewhere.
const JOURNAL_BYTES_MAX: u64 = 16 << 20;
/// A batch of more waits in two: what is durable must fit into the reserve. (One claim may be 1 MiB.)
const BATCH_BYTES_MAX: usize = 4 << 20;
/// Room for the journal written anew at open, and for everything that a batch publishes.
const RESERVE_BYTES: u64 = 2 * JOURNAL_BYTES_MAX;
/// Checkpoints kept in memory with all signatures, 3 KB each.
const COMPLETED_CACHED_MAX: usize = 1024;
/// Tiles kept in memory for proofs; a tile with its inner nodes is 16 KiB.
const TILES_CACHED_MAX: usize = 1024;

/// Why a log stopped whose commit came to no end.
const PANICKED: &str = "a panic while committing";

/// What tests make smaller.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    pub journal_bytes_max: u64,
    pub reserve_bytes: u64,
}

const LIMITS: Limits =
    Limits { journal_bytes_max: JOURNAL_BYTES_MAX, reserve_bytes: RESERVE_BYTES };

/// A log in a folder, open for appending by this process alone.
pub struct Log {
    pub(crate) disk: Disk,
    pub(crate) dir: PathBuf,
    limits: Limits,
    key: LogKey,
    flush_works: FlushWorks,
    pool: Mutex<Pool>,
    committed: Condvar,
    pub(crate) writer: Mutex<Writer>,
    pub(crate) endorsements: Endorsements,
    /// The root at the size at which the keys were last replaced.
    root_at_rotation: Hash,
    pub(crate) endorsing: Option<Endorsing>,
    claims: Claims,
    head: RwLock<Arc<Head>>,
    tiles: Mutex<HashMap<(u8, u64), Arc<Tile>>>,
    /// Kept checkpoints with every signature, by their place: neighbours in the log share one.
    completed: Mutex<HashMap<u64, Note>>,
    folder: Folder,
    _lock: Box<dyn OpenFile>,
}

/// An entry as the log holds it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its number.
    pub index: u64,
    /// The bytes that the log publishes; [`Leaf::parse`] reads those of a work.
    pub leaf: Vec<u8>,
    /// The text behind it, unless it was erased: a claim, or what its kind has.
    pub claim: Option<String>,
    /// Where the checkpoint of its batch lies.
    pub(crate) checkpoint_at: u64,
}

/// The newest published tree.
pub(crate) struct Head {
    /// The checkpoint as it was journaled.
    signed: Note,
    /// The same with every signature that it got.
    pub note: Note,
    pub size: u64,
    edge: Vec<Arc<Tile>>,
}

#[derive(Default)]
struct Pool {
    entries: Vec<BatchEntry>,
    bytes: usize,
    outcome: Arc<OnceLock<Outcome>>,
    at_work: bool,
}

type Outcome = Result<Sequenced, Arc<LogError>>;

/// A batch that is durable and published.
pub(crate) struct Sequenced {
    pub first: u64,
    note: Note,
}

/// What only the appender at work may touch.
pub(crate) struct Writer {
    journal: Journal,
    checkpoints: Checkpoints,
    edge: Edge,
    /// The bytes of the partial bundle of entries.
    entries: Vec<u8>,
    /// Folders of partial tiles that a full one replaces; they go when the full one is flushed.
    superseded: Vec<PathBuf>,
    reserve: Reserve,
    pub stopped: Option<String>,
}

impl Log {
    /// Makes the folder of a new, empty log and signs its first checkpoint. Refuses a folder with a log.
    pub fn create(dir: &Path, key: &LogKey) -> Result<(), LogError> {
        Log::create_on(&Disk::real(), dir, key, LIMITS)
    }

    /// Opens a log: hashes everything its tree is made of, compares it with the journal and everything that
    /// says what was signed, and only when all agree writes what the journal holds to its places. What is
    /// refused is left as it was.
    pub fn open(dir: &Path, key: LogKey, flush_works: FlushWorks) -> Result<Log, LogError> {
        Log::open_on(Disk::real(), dir, key, flush_works, LIMITS)
    }

    pub(crate) fn create_on(
        disk: &Disk,
        dir: &Path,
        key: &LogKey,
        limits: Limits,
    ) -> Result<(), LogError> {
        disk.create_dir_all(&tiles_dir(dir))?;
        let folder = Folder::open(disk, dir)?;
        let lock_path = dir.join("lock");
        let _lock = disk.try_lock(&lock_path)?.ok_or(LogError::Busy { path: lock_path })?;
        let origin = key.origin().to_owned();
        let empty = Checkpoint { origin, size: 0, root: merkle::empty_root() };
        let note = key.sign(&empty)?.to_string();
        let journal = dir.join("journal");
        // A creation that was cut short left at most its one checkpoint, and is gone through again.
        let kept = disk.stat(&checkpoints_path(dir))?.map_or(0, |stat| stat.bytes);
        let entries = tiles_dir(dir).join("tile");
        if disk.stat(&journal)?.is_some()
            || disk.stat(&entries)?.is_some()
            || kept > 4 + note.len() as u64
        {
            return Err(LogError::Exists { path: dir.to_owned() });
        }
        Reserve::at(disk.clone(), dir.join("reserve"), limits.reserve_bytes).hold()?;
        let mut checkpoints = Checkpoints::open(disk, checkpoints_path(dir), 0)?;
        checkpoints.write(0, &note)?;
        let complete = key.complete(Note::parse(&note)?)?.to_string();
        disk.publish(&tiles_dir(dir).join("checkpoint"), complete.as_bytes())?;
        folder.flush()?;
        let base = Base { checkpoints_bytes: checkpoints.bytes(), note };
        Journal::start(disk, &journal, &base).map(drop).map_err(AppendError::into_error)
    }

    pub(crate) fn open_on(
        disk: Disk,
        dir: &Path,
        key: LogKey,
        flush_works: FlushWorks,
        limits: Limits,
    ) -> Result<Log, LogError> {
        let folder = Folder::open(&disk, dir)?;
        let lock_path = dir.join("lock");
        let held = disk.try_lock(&lock_path)?.ok_or(LogError::Busy { path: lock_path })?;
        let journal_path = dir.join("journal");
        let (mut journal, contents) = Journal::open(&disk, &journal_path)?;
        let Contents { base, batches, records, is_torn } = contents;
        let (start, note) = signed(dir, &key, &base.note)?;
        let edge = read_edge(&disk, dir, &start)?;
        let entries = read_partial_entries(&disk, dir, &edge)?;
        check_full_tiles(&disk, dir, &edge)?;
        // A log is settled before its keys are replaced: that size is on disk, and was hashed just now.
        let tiles = TilesOnDisk { disk: disk.clone(), dir: dir.to_owned() };
        let root_at_rotation = tree::root(&tiles, key.first_size().min(edge.size()))?;
        let known = check_batches(dir, &key, start, &edge, &batches)?;
        check_nothing_else_was_signed(&disk, dir, &key, &known, &base)?;

        // From here on the folder is changed.
        let mut reserve = Reserve::at(disk.clone(), dir.join("reserve"), limits.reserve_bytes);
        if is_torn || !batches.is_empty() {
            // A process before this one may have failed to flush it: then it lies in memory, later flushes
            // have nothing to do, and it is gone with the power, but what is published from it is not.
            journal = reserve
                .or_spend(AppendError::is_full, || Journal::put(&disk, &journal_path, &records))
                .map_err(AppendError::into_error)?;
        } else {
            // A process before this one may have been killed between the journal's rename and the flush.
            folder.flush_names()?;
        }
        let checkpoints = Checkpoints::open(&disk, checkpoints_path(dir), base.checkpoints_bytes)?;
        let endorsements = reserve
            .or_spend(LogError::is_full, || Endorsements::open(&disk, dir.join("endorsements")))?;
        let (size, tiles) = (edge.size(), edge.tiles());
        let head = Head { note: key.complete(note.clone())?, signed: note, size, edge: tiles };
        let superseded = Vec::new();
        let writer =
            Writer { journal, checkpoints, edge, entries, superseded, reserve, stopped: None };
        let log = Log {
            claims: Claims::at(disk.clone(), dir.join("claims")),
            disk,
            dir: dir.to_owned(),
            limits,
            key,
            flush_works,
            pool: Mutex::default(),
            committed: Condvar::new(),
            writer: Mutex::new(writer),
            endorsements,
            root_at_rotation,
            endorsing: None,
            head: RwLock::new(Arc::new(head)),
            tiles: Mutex::default(),
            completed: Mutex::default(),
            folder,
            _lock: held,
        };
        log.take_up(&batches)?;
        if log.key.can_sign() {
            // Where there is no room for it, the first append says so.
            let _ = lock(&log.writer).reserve.hold();
        }
        Ok(log)
    }

    /// Appends the leaf of a claim and returns its receipt, once the works, the claim, the entry and the
    /// checkpoint of the batch are durable and published.
    pub fn append(&self, claim: &Claim) -> Result<Receipt, LogError> {
        let text = claim.to_text();
        if Claim::parse(&text)? != *claim {
            // What a reader would not read, or would read otherwise, does not get a number.
            return Err(
                FormatError::new("claim", "its text says something else than it does").into()
            );
        }
        self.check_with_witnesses()?;
        let leaf = Leaf::of(claim);
        let entry = BatchEntry { leaf: leaf.to_bytes().to_vec(), claim: text };
        let (index, note) = self.sequenced(entry)?;
        let note = self.cosigned(index).unwrap_or(note);
        self.receipt_at(claim.clone(), leaf, index, note)
    }

    /// Appends what somebody of the staff did, and returns the number of the entry once it is as durable and published
    /// as a claim. It has no receipt, and nobody waits for witnesses.
    pub fn append_action(&self, action: &Action) -> Result<u64, LogError> {
        let text = action.to_text();
        if Action::parse(&text)? != *action {
            let reason = "its text says something else than it does";
            return Err(FormatError::new("action", reason).into());
        }
        self.check_with_witnesses()?;
        let entry = BatchEntry { leaf: action.to_entry().to_vec(), claim: text };
        self.sequenced(entry).map(|(index, _)| index)
    }

    /// The number of an entry whose batch is durable and published, and the checkpoint of the batch.
    fn sequenced(&self, entry: BatchEntry) -> Result<(u64, Note), LogError> {
        let (outcome, position) = self.commit_with_others(entry);
        match outcome.get() {
            Some(Ok(batch)) => Ok((batch.first + position, batch.note.clone())),
            Some(Err(error)) => Err(LogError::Batch(error.clone())),
            None => {
                Err(LogError::Stopped { reason: "a batch was left without outcome".to_owned() })
            }
        }
    }

    /// The receipt of an entry, against the first checkpoint that a quorum cosigned, or else that of its own
    /// batch: the same bytes each time.
    pub fn receipt(&self, index: u64) -> Result<Receipt, LogError> {
        let damaged = |reason: &str| {
            LogError::damaged(&self.dir.join("claims"), format!("entry {index}: {reason}"))
        };
        self.check_index(index)?;
        let records = self.claims.bundle(index / TILE_WIDTH)?;
        let record = records.into_iter().nth((index % TILE_WIDTH) as usize);
        let record = record.ok_or_else(|| damaged("its claim is missing"))?;
        let Some(Ok(claim)) = record.claim.as_deref().map(Claim::parse) else {
            // Only its leaf tells an entry that never had a claim from one whose claim is gone, or is damaged.
            let entry = self.entries_from(index)?.into_iter().next();
            let is_work =
                entry.is_none_or(|e| matches!(Leaf::parse(&e.leaf), Ok(Some(_)) | Err(_)));
            return Err(match record.claim.as_deref().map(Claim::parse) {
                _ if !is_work => LogError::NoWork { index },
                Some(Err(error)) => error.into(),
                _ => LogError::Erased { index },
            });
        };
        let note = match self.first_by_quorum(index) {
            Some(endorsement) => endorsement.note.clone(),
            None => self.completed_at(record.checkpoint_at)?,
        };
        let leaf = Leaf::of(&claim);
        self.receipt_at(claim, leaf, index, note)
    }

    /// As [`Log::signed_at`], which takes a millisecond and a half: reading and checking a checkpoint, and signing it with
    /// ML-DSA. Who asks for the receipts of a whole folder again asks for the same few checkpoints.
    fn completed_at(&self, place: u64) -> Result<Note, LogError> {
        if let Some(note) = lock(&self.completed).get(&place) {
            return Ok(note.clone());
        }
        let note = self.signed_at(place)?;
        let mut completed = lock(&self.completed);
        if completed.len() >= COMPLETED_CACHED_MAX {
            completed.clear();
        }
        completed.insert(place, note.clone());
        Ok(note)
    }

    /// The checkpoint of a batch, with every signature of the log. Where the keys were replaced since, it is
    /// the first one that the present keys speak for.
    fn signed_at(&self, place: u64) -> Result<Note, LogError> {
        let path = checkpoints_path(&self.dir);
        let (checkpoint, note) = self.signed(&Checkpoints::read_at(&self.disk, &path, place)?)?;
        let first = self.key.first_size();
        if checkpoint.size >= first || !self.key.can_sign() {
            return Ok(self.key.complete(note)?);
        }
        // Signed before, by the keys of that time: what the tree was when all of it had been hashed.
        let (origin, root) = (checkpoint.origin, self.root_at_rotation);
        let note = self.key.sign(&Checkpoint { origin, size: first, root })?;
        Ok(self.key.complete(note)?)
    }

    /// The newest checkpoint.
    pub fn checkpoint(&self) -> Note {
        self.head().note.clone()
    }

    /// Whether this text is a checkpoint that this log signed and whose tree is the beginning of this one.
    pub fn holds(&self, note: &str) -> Result<bool, LogError> {
        match self.signed(note) {
            Ok((checkpoint, _)) if checkpoint.size <= self.size() => {
                Ok(tree::root(self, checkpoint.size)? == checkpoint.root)
            }
            _ => Ok(false),
        }
    }

    /// Number of entries.
    pub fn size(&self) -> u64 {
        self.head().size
    }

    /// The Ed25519 key that verifies this log's checkpoints.
    pub fn verifier(&self) -> &timemark_verify::VerifierKey {
        self.key.verifier()
    }

    /// The entries from `first` on, at most to the end of their bundle of 256; empty at the end.
    pub fn entries_from(&self, first: u64) -> Result<Vec<Entry>, LogError> {
        let size = self.size();
        if first >= size {
            return Ok(Vec::new());
        }
        let bundle = first / TILE_WIDTH;
        let width = (size - bundle * TILE_WIDTH).min(TILE_WIDTH);
        let leaves = read_entries(&self.disk, &self.dir, bundle, width)?;
        let claims = self.claims.bundle(bundle)?;
        if claims.len() < leaves.len() {
            let reason =
                format!("bundle {bundle} holds {} of {} claims", claims.len(), leaves.len());
            return Err(LogError::damaged(&self.dir.join("claims"), reason));
        }
        let entries = (bundle * TILE_WIDTH..).zip(leaves.into_iter().zip(claims));
        Ok(entries
            .skip((first % TILE_WIDTH) as usize)
            .map(|(index, (leaf, record))| Entry {
                index,
                leaf,
                claim: record.claim,
                checkpoint_at: record.checkpoint_at,
            })
            .collect())
    }

    /// Erases the claim, or other text, behind an entry. The entry, its number and every proof stay; receipts already
    /// handed out go on to verify, because they carry the claim themselves.
    pub fn erase_claim(&self, index: u64) -> Result<(), LogError> {
        self.check_index(index)?;
        let mut writer = lock(&self.writer);
        self.cut_journal(&mut writer)?; // it holds claims too
        writer.reserve.or_spend(LogError::is_full, || self.claims.erase(index))
    }

    /// Makes everything durable in its own place and cuts the journal, so that the next start has nothing
    /// to replay.
    pub fn settle(&self) -> Result<(), LogError> {
        self.cut_journal(&mut lock(&self.writer))
    }

    /// Puts an entry into the pool and sees to it that its batch is committed.
    fn commit_with_others(&self, entry: BatchEntry) -> (Arc<OnceLock<Outcome>>, u64) {
        let bytes = entry.leaf.len() + entry.claim.len();
        let mut pool = lock(&self.pool);
        while pool.at_work && pool.bytes + bytes > BATCH_BYTES_MAX {
            pool = self.committed.wait(pool).unwrap_or_else(PoisonError::into_inner);
        }
        let position = pool.entries.len() as u64;
        pool.bytes += bytes;
        pool.entries.push(entry);
        let outcome = pool.outcome.clone();
        while outcome.get().is_none() {
            if pool.at_work {
                pool = self.committed.wait(pool).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let batch = std::mem::replace(&mut *pool, Pool { at_work: true, ..Pool::default() });
            drop(pool);
            // A panic must not leave the others waiting for an outcome.
            let commit = AssertUnwindSafe(|| self.commit(batch.entries));
            let result = catch_unwind(commit)
                .unwrap_or_else(|_| Err(LogError::Stopped { reason: PANICKED.to_owned() }));
            let result = result.map_err(Arc::new);
            pool = lock(&self.pool);
            pool.at_work = false;
            // Only the thread at work sets an outcome, and each once.
            let _ = batch.outcome.set(result);
            self.committed.notify_all();
        }
        (outcome, position)
    }

    pub(crate) fn commit(&self, entries: Vec<BatchEntry>) -> Result<Sequenced, LogError> {
        let mut writer = lock(&self.writer);
        if let Some(reason) = &writer.stopped {
            return Err(LogError::Stopped { reason: reason.clone() });
        }
        // Stays so if what follows panics: nobody gets in after it.
        writer.stopped = Some(PANICKED.to_owned());
        let committed = self.commit_batch(&mut writer, entries);
        if writer.stopped.as_deref() == Some(PANICKED) {
            writer.stopped = None;
        }
        committed
    }

    fn commit_batch(
        &self,
        writer: &mut Writer,
        entries: Vec<BatchEntry>,
    ) -> Result<Sequenced, LogError> {
        writer.reserve.hold()?;
        let flushing = info_span!("flush", entries = entries.len() as i64).entered();
        (self.flush_works)().map_err(LogError::Works)?;
        match check_edge(&self.disk, &self.dir, &writer.edge, &writer.entries) {
            Err(error @ LogError::Damaged { .. }) => return Err(stop(writer, error)),
            other => other?,
        }

        let first = writer.edge.size();
        let growth = Growth::of(&writer.edge, &writer.entries, &entries);
        let (origin, edge) = (self.key.origin().to_owned(), &growth.edge);
        let checkpoint = Checkpoint { origin, size: edge.size(), root: edge.root() };
        let batch = Batch { first, checkpoint: checkpoint.to_string(), entries };
        match writer.journal.append(&batch) {
            Ok(()) => {}
            Err(error) if error.is_full() => return Err(writer.reserve.disk_full()),
            Err(AppendError::NotWritten(error)) => return Err(error),
            // After a failed flush nobody knows what the disk holds: only a fresh start can tell.
            Err(AppendError::Unknown(error)) => return Err(stop(writer, error)),
        }
        // The batch is durable from here on.
        drop(flushing);
        let published =
            info_span!("publish").in_scope(|| self.put_in_place(writer, &batch, growth));
        let note = match published {
            Ok(note) => note,
            Err(error) => {
                let reason = stop(writer, error).to_string();
                return Err(LogError::Unpublished { reason });
            }
        };
        if writer.journal.bytes() > self.limits.journal_bytes_max {
            // If that fails, the batch is no less durable; what has to, stops the log.
            writer.stopped = None;
            let _ = self.cut_journal(writer);
        }
        Ok(Sequenced { first, note })
    }

    /// Signs the checkpoint of a batch that is durable, writes everything to its place and publishes it.
    fn put_in_place(
        &self,
        writer: &mut Writer,
        batch: &Batch,
        growth: Growth,
    ) -> Result<Note, LogError> {
        let signed = self.key.sign(&Checkpoint::parse(&batch.checkpoint)?)?;
        // The second signature is slow; it is made while the tiles are written.
        let (written, complete) = thread::scope(|scope| {
            let complete = scope.spawn(|| self.key.complete(signed.clone()));
            (self.write_places(writer, batch, &signed, growth), complete.join())
        });
        written?;
        let panicked = |_| LogError::Stopped { reason: "a panic while signing".to_owned() };
        let complete = complete.map_err(panicked)??;
        self.publish(writer, signed, complete.clone())?;
        Ok(complete)
    }

    /// Writes what the journal holds of a batch to its places: claims, entries and tiles. Writing it again
    /// changes nothing.
    fn write_places(
        &self,
        writer: &mut Writer,
        batch: &Batch,
        signed: &Note,
        growth: Growth,
    ) -> Result<(), LogError> {
        let signed = signed.to_string();
        let tiles_dir = tiles_dir(&self.dir);
        let Writer { checkpoints, reserve, .. } = writer;
        let checkpoint_at = checkpoints.bytes();
        reserve.or_spend(LogError::is_full, || {
            self.claims.write(batch.first, checkpoint_at, &batch.entries)?;
            checkpoints.write(checkpoint_at, &signed)?;
            growth
                .files
                .iter()
                .try_for_each(|(path, bytes)| self.disk.publish(&tiles_dir.join(path), bytes))
        })?;
        let partials = growth.full.iter().map(|path| tiles_dir.join(path).with_extension("p"));
        writer.superseded.extend(partials);
        writer.edge = growth.edge;
        writer.entries = growth.entries;
        Ok(())
    }

    /// Publishes the checkpoint of a tree all of whose tiles are in their places.
    fn publish(&self, writer: &mut Writer, signed: Note, note: Note) -> Result<(), LogError> {
        let path = tiles_dir(&self.dir).join("checkpoint");
        let bytes = note.to_string().into_bytes();
        writer.reserve.or_spend(LogError::is_full, || self.disk.publish(&path, &bytes))?;
        let (size, edge) = (writer.edge.size(), writer.edge.tiles());
        self.put_head(Head { signed, note, size, edge });
        Ok(())
    }

    /// Publishes a checkpoint again, now with the cosignatures of a quorum, unless there is a newer one.
    pub(crate) fn publish_cosigned(&self, note: &Note, size: u64) -> Result<(), LogError> {
        let mut writer = lock(&self.writer);
        let head = self.head();
        if head.size != size || writer.stopped.is_some() {
            return Ok(());
        }
        self.publish(&mut writer, head.signed.clone(), note.clone())
    }

    /// Takes up what a journal holds, after it was checked.
    fn take_up(&self, batches: &[Batch]) -> Result<(), LogError> {
        let mut writer = lock(&self.writer);
        let mut newest = self.head().signed.clone();
        for batch in batches {
            let growth = Growth::of(&writer.edge, &writer.entries, &batch.entries);
            newest = self.key.sign(&Checkpoint::parse(&batch.checkpoint)?)?;
            self.write_places(&mut writer, batch, &newest, growth)?;
        }
        let path = tiles_dir(&self.dir).join("checkpoint");
        let published = self.disk.read_if_exists(&path)?.unwrap_or_default();
        let published = self.signed(&String::from_utf8_lossy(&published));
        let published = published.ok().map(|(_, note)| note).filter(|n| n.text() == newest.text());
        // What is published may be cosigned; by keys that were replaced since, it lacks the new signatures.
        let complete = self.key.complete(published.clone().unwrap_or_else(|| newest.clone()))?;
        if batches.is_empty() && published.as_ref() == Some(&complete) {
            let (size, edge) = (writer.edge.size(), writer.edge.tiles());
            self.put_head(Head { signed: newest, note: complete, size, edge });
            return Ok(());
        }
        self.publish(&mut writer, newest, complete)?;
        // What a process before this one failed to flush may lie in memory and not on the disk: everything
        // was written anew, and is now flushed.
        self.cut_journal(&mut writer)
    }

    /// Makes everything durable in its own place and starts the journal anew.
    fn cut_journal(&self, writer: &mut Writer) -> Result<(), LogError> {
        if let Some(reason) = &writer.stopped {
            return Err(LogError::Stopped { reason: reason.clone() });
        }
        writer.journal.compare().map_err(|error| stop(writer, error))?;
        // After a failed flush nobody knows what the disk holds.
        self.folder.flush().map_err(|error| stop(writer, error))?;
        let checkpoints_bytes = writer.checkpoints.bytes();
        let base = Base { checkpoints_bytes, note: self.head().signed.to_string() };
        let path = self.dir.join("journal");
        let start = || Journal::start(&self.disk, &path, &base);
        match writer.reserve.or_spend(AppendError::is_full, start) {
            Ok(journal) => writer.journal = journal,
            Err(AppendError::NotWritten(error)) => return Err(error),
            Err(AppendError::Unknown(error)) => return Err(stop(writer, error)),
        }
        while let Some(partial) = writer.superseded.last() {
            self.disk.remove_dir_all(partial)?;
            writer.superseded.pop();
        }
        Ok(())
    }

    fn receipt_at(
        &self,
        claim: Claim,
        leaf: Leaf,
        index: u64,
        note: Note,
    ) -> Result<Receipt, LogError> {
        let anchors = vec![self.anchor(index, leaf_hash(&leaf.to_bytes()), note)?];
        Ok(Receipt { claim, leaf, anchors, records: Vec::new(), others: Vec::new() })
    }

    pub(crate) fn check_index(&self, index: u64) -> Result<(), LogError> {
        let size = self.size();
        if index < size { Ok(()) } else { Err(LogError::NoEntry { index, size }) }
    }

    fn put_head(&self, head: Head) {
        *self.head.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(head);
    }

    pub(crate) fn head(&self) -> Arc<Head> {
        self.head.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Keeps the log as it is for as long as the guard lives.
    pub(crate) fn hold_still(&self) -> impl Drop + '_ {
        lock(&self.writer)
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    #[cfg(test)]
    pub(crate) fn is_stopped(&self) -> bool {
        lock(&self.writer).stopped.is_some()
    }

    pub(crate) fn disk(&self) -> &Disk {
        &self.disk
    }

    pub(crate) fn claims(&self) -> &Claims {
        &self.claims
    }

    /// Reads a checkpoint that this log's key must have signed.
    pub(crate) fn signed(&self, note: &str) -> Result<(Checkpoint, Note), LogError> {
        signed(&self.dir, &self.key, note)
    }
}

impl TileSource for Log {
    type Error = LogError;

    fn tile(&self, level: u8, index: u64, width: u16) -> Result<Arc<Tile>, LogError> {
        let head = self.head();
        if index == subtrees(head.size, level) / TILE_WIDTH
            && let Some(tile) = head.edge.get(usize::from(level))
            && tile.hashes().len() >= usize::from(width)
        {
            return Ok(tile.clone());
        }
        if let Some(tile) = lock(&self.tiles).get(&(level, index)) {
            return Ok(tile.clone());
        }
        let hashes = read_tile(&self.disk, &self.dir, level, index, TILE_WIDTH)?;
        let tile = Arc::new(Tile::new(hashes));
        let mut tiles = lock(&self.tiles);
        if tiles.len() >= TILES_CACHED_MAX {
            tiles.clear();
        }
        tiles.insert((level, index), tile.clone());
        Ok(tile)
    }
}

fn stop(writer: &mut Writer, error: LogError) -> LogError {
    writer.stopped = Some(error.to_string());
    error
}

/// A panic while the writer was held stops the log; the other locks guard changes of one step.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
