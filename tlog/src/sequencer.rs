//! The one place where entries get their numbers.
//!
//! Appenders put their entries into a pool. The first of them to find nobody at work takes the whole pool
//! as a batch, makes it durable with one flush of the journal, publishes tiles and checkpoint, and wakes
//! the others; meanwhile the next batch gathers. So the cost of a flush is shared, and nobody waits for a
//! timer.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};

use timemark_verify::merkle::{self, Hash, leaf_hash, root_from_inclusion};
use timemark_verify::{Anchor, Checkpoint, Claim, Leaf, Note, Receipt};

use crate::claims::{Checkpoints, Claims};
use crate::disk::{self, io_at};
use crate::journal::{AppendError, Base, Batch, BatchEntry, Journal};
use crate::tile::{TILE_WIDTH, TileId, entries_path, partial_width, subtrees};
use crate::tree::{self, Edge, Tile, TileSource};
use crate::{LogError, SigningKey};

/// Makes the works of a batch durable. Called once a batch, before the batch's entries are.
pub type FlushWorks =
    Box<dyn Fn() -> Result<(), Box<dyn std::error::Error + Send + Sync>> + Send + Sync>;

/// A journal longer than this is cut after everything it says has been flushed elsewhere.
const JOURNAL_BYTES_MAX: u64 = 16 << 20;
/// Tiles kept in memory for proofs; a tile with its inner nodes is 16 KiB.
const TILES_CACHED_MAX: usize = 1024;

/// A log in a folder, open for appending by this process alone.
pub struct Log {
    dir: PathBuf,
    key: SigningKey,
    flush_works: FlushWorks,
    pool: Mutex<Pool>,
    committed: Condvar,
    writer: Mutex<Writer>,
    claims: Claims,
    head: RwLock<Arc<Head>>,
    tiles: Mutex<HashMap<(u8, u64), Arc<Tile>>>,
    _lock: File,
}

/// An entry as the log holds it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its number.
    pub index: u64,
    /// The bytes that the log publishes; [`Leaf::parse`] reads them.
    pub leaf: Vec<u8>,
    /// The claim behind it, unless it was erased.
    pub claim: Option<String>,
    /// Where the checkpoint of its batch lies.
    pub(crate) checkpoint_at: u64,
}

/// The newest published tree.
struct Head {
    note: Note,
    size: u64,
    edge: Vec<Arc<Tile>>,
}

#[derive(Default)]
struct Pool {
    entries: Vec<BatchEntry>,
    outcome: Arc<OnceLock<Outcome>>,
    at_work: bool,
}

type Outcome = Result<Sequenced, Arc<LogError>>;

/// A batch that is durable and published.
struct Sequenced {
    first: u64,
    note: Note,
}

/// What only the appender at work may touch.
struct Writer {
    journal: Journal,
    checkpoints: Checkpoints,
    edge: Edge,
    /// The bytes of the partial bundle of entries.
    entries: Vec<u8>,
    stopped: Option<String>,
}

impl Log {
    /// Makes the folder of a new, empty log and signs its first checkpoint.
    pub fn create(dir: &Path, key: &SigningKey) -> Result<(), LogError> {
        disk::create_dir_all(&tiles_dir(dir))?;
        let origin = key.origin().to_owned();
        let empty = Checkpoint { origin, size: 0, root: merkle::empty_root() };
        let note = key.sign(empty.to_string())?.to_string();
        Checkpoints::open(checkpoints_path(dir), 0)?.append(&note)?;
        let checkpoints_bytes = 4 + note.len() as u64;
        disk::publish(&tiles_dir(dir).join("checkpoint"), note.as_bytes())?;
        disk::sync_filesystem(dir)?;
        Journal::start(&dir.join("journal"), &Base { checkpoints_bytes, note })?;
        Ok(())
    }

    /// Opens a log, replays what its journal holds, and compares the tree on disk with the newest signed
    /// checkpoint. A folder that is behind what the log has signed is refused.
    pub fn open(dir: &Path, key: SigningKey, flush_works: FlushWorks) -> Result<Log, LogError> {
        let lock_path = dir.join("lock");
        let lock = disk::try_lock(&lock_path)?.ok_or(LogError::Busy { path: lock_path })?;
        let (journal, base, batches) = Journal::open(&dir.join("journal"))?;
        let (checkpoint, note) = signed(dir, &key, &base.note)?;
        let checkpoints = Checkpoints::open(checkpoints_path(dir), base.checkpoints_bytes)?;
        let edge = read_edge(dir, &checkpoint)?;
        let entries = read_partial_entries(dir, checkpoint.size)?;
        let head = Head { note, size: checkpoint.size, edge: edge.tiles() };
        let log = Log {
            dir: dir.to_owned(),
            key,
            flush_works,
            pool: Mutex::default(),
            committed: Condvar::new(),
            writer: Mutex::new(Writer { journal, checkpoints, edge, entries, stopped: None }),
            claims: Claims::at(dir.join("claims")),
            head: RwLock::new(Arc::new(head)),
            tiles: Mutex::default(),
            _lock: lock,
        };
        let published = disk::read_if_exists(&tiles_dir(dir).join("checkpoint"))?;
        for batch in batches {
            log.replay(&batch)?;
        }
        log.compare_with_published(published.as_deref().unwrap_or_default())?;
        Ok(log)
    }

    /// Appends the leaf of a claim and returns its receipt, once the works, the claim, the entry and the
    /// checkpoint of the batch are durable and published.
    pub fn append(&self, claim: &Claim) -> Result<Receipt, LogError> {
        let text = claim.to_text();
        Claim::parse(&text)?; // what no reader would accept does not get a number
        let leaf = Leaf::of(claim);
        let entry = BatchEntry { leaf: leaf.to_bytes().to_vec(), claim: text };
        let (outcome, position) = self.commit_with_others(entry);
        match outcome.get() {
            Some(Ok(batch)) => {
                self.receipt_at(claim.clone(), leaf, batch.first + position, batch.note.clone())
            }
            Some(Err(error)) => Err(LogError::Batch(error.clone())),
            None => {
                Err(LogError::Stopped { reason: "a batch was left without outcome".to_owned() })
            }
        }
    }

    /// The receipt of an entry, against the checkpoint of its own batch: the same bytes each time.
    pub fn receipt(&self, index: u64) -> Result<Receipt, LogError> {
        let damaged = |reason: &str| {
            LogError::damaged(&self.dir.join("claims"), format!("entry {index}: {reason}"))
        };
        self.check_index(index)?;
        let records = self.claims.bundle(index / TILE_WIDTH)?;
        let record = records.into_iter().nth((index % TILE_WIDTH) as usize);
        let record = record.ok_or_else(|| damaged("its claim is missing"))?;
        let claim = record.claim.ok_or_else(|| damaged("its claim was erased"))?;
        let claim = Claim::parse(&claim)?;
        let note = Checkpoints::read_at(&checkpoints_path(&self.dir), record.checkpoint_at)?;
        let leaf = Leaf::of(&claim);
        self.receipt_at(claim, leaf, index, Note::parse(&note)?)
    }

    /// The newest checkpoint.
    pub fn checkpoint(&self) -> Note {
        self.head().note.clone()
    }

    /// Number of entries.
    pub fn size(&self) -> u64 {
        self.head().size
    }

    /// The key that verifies this log's checkpoints.
    pub fn verifier(&self) -> &timemark_verify::VerifierKey {
        self.key.verifier()
    }

    /// The folder of the public tlog-tiles tree of the log in `dir`.
    pub fn tiles_dir(dir: &Path) -> PathBuf {
        tiles_dir(dir)
    }

    /// The entries from `first` on, at most to the end of their bundle of 256; empty at the end.
    pub fn entries_from(&self, first: u64) -> Result<Vec<Entry>, LogError> {
        let size = self.size();
        if first >= size {
            return Ok(Vec::new());
        }
        let bundle = first / TILE_WIDTH;
        let width = (size - bundle * TILE_WIDTH).min(TILE_WIDTH);
        let leaves = read_entries(&self.dir, bundle, width)?;
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

    /// Erases the claim behind an entry. The entry, its number and every proof stay; receipts already
    /// handed out go on to verify, because they carry the claim themselves.
    pub fn erase_claim(&self, index: u64) -> Result<(), LogError> {
        self.check_index(index)?;
        let mut writer = lock(&self.writer);
        self.cut_journal(&mut writer)?; // it holds claims too
        self.claims.erase(index)
    }

    /// Makes everything durable in its own place and cuts the journal, so that the next start has nothing
    /// to replay.
    pub fn settle(&self) -> Result<(), LogError> {
        self.cut_journal(&mut lock(&self.writer))
    }

    /// Puts an entry into the pool and sees to it that its batch is committed.
    fn commit_with_others(&self, entry: BatchEntry) -> (Arc<OnceLock<Outcome>>, u64) {
        let mut pool = lock(&self.pool);
        let position = pool.entries.len() as u64;
        pool.entries.push(entry);
        let outcome = pool.outcome.clone();
        while outcome.get().is_none() {
            if pool.at_work {
                pool = self.committed.wait(pool).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let batch = std::mem::replace(&mut *pool, Pool { at_work: true, ..Pool::default() });
            drop(pool);
            let result = self.commit(batch.entries).map_err(Arc::new);
            pool = lock(&self.pool);
            pool.at_work = false;
            // Only the thread at work sets an outcome, and each once.
            let _ = batch.outcome.set(result);
            self.committed.notify_all();
        }
        (outcome, position)
    }

    fn commit(&self, entries: Vec<BatchEntry>) -> Result<Sequenced, LogError> {
        let mut writer = lock(&self.writer);
        if let Some(reason) = &writer.stopped {
            return Err(LogError::Stopped { reason: reason.clone() });
        }
        (self.flush_works)().map_err(LogError::Works)?;

        let first = writer.edge.size();
        let mut edge = writer.edge.clone();
        for entry in &entries {
            edge.push(leaf_hash(&entry.leaf), &mut |_, _| {});
        }
        let origin = self.key.origin().to_owned();
        let checkpoint = Checkpoint { origin, size: edge.size(), root: edge.root() };
        let note = self.key.sign(checkpoint.to_string())?;
        let batch = Batch { first, note: note.to_string(), entries };
        match writer.journal.append(&batch) {
            Ok(()) => {}
            Err(AppendError::NotWritten(error)) => return Err(error),
            // After a failed flush nobody knows what the disk holds: only a fresh start can tell.
            Err(AppendError::Unknown(error)) => return Err(stop(&mut writer, error)),
        }
        // The batch is durable from here on.
        if let Err(error) = self.publish(&mut writer, &batch, note.clone()) {
            return Err(stop(&mut writer, error));
        }
        if writer.journal.bytes() > JOURNAL_BYTES_MAX
            && let Err(error) = self.cut_journal(&mut writer)
        {
            writer.stopped = Some(error.to_string());
        }
        Ok(Sequenced { first, note })
    }

    /// Writes what the journal holds of a batch to its places: claims, entries and tiles, and last the
    /// checkpoint that needs them.
    fn publish(&self, writer: &mut Writer, batch: &Batch, note: Note) -> Result<(), LogError> {
        let tiles_dir = tiles_dir(&self.dir);
        self.claims.write(batch.first, writer.checkpoints.bytes(), &batch.entries)?;
        writer.checkpoints.append(&batch.note)?;

        let mut full = Vec::new();
        for entry in &batch.entries {
            writer.entries.extend((entry.leaf.len() as u16).to_be_bytes());
            writer.entries.extend(&entry.leaf);
            writer.edge.push(leaf_hash(&entry.leaf), &mut |id, hashes| {
                full.push((id, tile_bytes(hashes)));
            });
            let size = writer.edge.size();
            if size.is_multiple_of(TILE_WIDTH) {
                let path = entries_path(size / TILE_WIDTH - 1, TILE_WIDTH as u16);
                publish_full(&tiles_dir, &path, &std::mem::take(&mut writer.entries))?;
            }
        }
        for (id, bytes) in full {
            publish_full(&tiles_dir, &id.path(), &bytes)?;
        }
        let size = writer.edge.size();
        for (id, hashes) in writer.edge.partial_tiles() {
            // A level whose partial tile did not change keeps its file.
            if subtrees(batch.first, id.level) != subtrees(size, id.level) {
                disk::publish(&tiles_dir.join(id.path()), &tile_bytes(hashes))?;
            }
        }
        let width = partial_width(size, 0);
        if width > 0 {
            let path = tiles_dir.join(entries_path(size / TILE_WIDTH, width));
            disk::publish(&path, &writer.entries)?;
        }
        disk::publish(&tiles_dir.join("checkpoint"), batch.note.as_bytes())?;
        let head = Arc::new(Head { note, size, edge: writer.edge.tiles() });
        *self.head.write().unwrap_or_else(PoisonError::into_inner) = head;
        Ok(())
    }

    /// Takes a batch of the journal up again, after checking that it is what the log signed.
    fn replay(&self, batch: &Batch) -> Result<(), LogError> {
        let mut writer = lock(&self.writer);
        let (checkpoint, note) = signed(&self.dir, &self.key, &batch.note)?;
        let mut edge = writer.edge.clone();
        for entry in &batch.entries {
            edge.push(leaf_hash(&entry.leaf), &mut |_, _| {});
        }
        if batch.first != writer.edge.size()
            || (checkpoint.size, checkpoint.root) != (edge.size(), edge.root())
        {
            let reason = format!("the batch of entry {} is not what was signed", batch.first);
            return Err(LogError::damaged(&self.dir.join("journal"), reason));
        }
        self.publish(&mut writer, batch, note)
    }

    /// What was published may lag behind the journal, never lead it.
    fn compare_with_published(&self, published: &[u8]) -> Result<(), LogError> {
        let head = self.head();
        let publish = || {
            disk::publish(
                &tiles_dir(&self.dir).join("checkpoint"),
                head.note.to_string().as_bytes(),
            )
        };
        // A power cut may leave a torn file or none; only one that bears our signature says anything.
        let text = String::from_utf8_lossy(published);
        let Ok((checkpoint, _)) = signed(&self.dir, &self.key, &text) else { return publish() };
        let ours = Checkpoint::of_note(&head.note)?;
        if checkpoint.size > ours.size {
            let reason = format!(
                "the log has signed {} entries, of which this folder holds {}; it may be an old copy",
                checkpoint.size, ours.size
            );
            return Err(LogError::damaged(&self.dir, reason));
        }
        let root = tree::root(self, checkpoint.size)?;
        if root != checkpoint.root {
            let reason = format!("its first {} entries are not those signed", checkpoint.size);
            return Err(LogError::damaged(&self.dir, reason));
        }
        publish()
    }

    fn cut_journal(&self, writer: &mut Writer) -> Result<(), LogError> {
        disk::sync_filesystem(&self.dir)?;
        let checkpoints_bytes = writer.checkpoints.bytes();
        let base = Base { checkpoints_bytes, note: self.head().note.to_string() };
        writer.journal = Journal::start(&self.dir.join("journal"), &base)?;
        Ok(())
    }

    fn receipt_at(
        &self,
        claim: Claim,
        leaf: Leaf,
        index: u64,
        note: Note,
    ) -> Result<Receipt, LogError> {
        let checkpoint = Checkpoint::of_note(&note)?;
        let proof = tree::inclusion_proof(self, index, checkpoint.size)?;
        let hash = leaf_hash(&leaf.to_bytes());
        // A receipt that does not verify is never handed out, whatever happened to the disk.
        if root_from_inclusion(index, checkpoint.size, hash, &proof) != Ok(checkpoint.root) {
            let reason = format!("the tree does not hold entry {index} as it was signed");
            return Err(LogError::damaged(&tiles_dir(&self.dir), reason));
        }
        let anchors = vec![Anchor::new(index, proof, note)?];
        Ok(Receipt { claim, leaf, anchors, others: Vec::new() })
    }

    fn check_index(&self, index: u64) -> Result<(), LogError> {
        let size = self.size();
        if index < size { Ok(()) } else { Err(LogError::NoEntry { index, size }) }
    }

    fn head(&self) -> Arc<Head> {
        self.head.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
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
        let hashes = read_tile(&self.dir, level, index, TILE_WIDTH)?;
        let tile = Arc::new(Tile::new(hashes));
        let mut tiles = lock(&self.tiles);
        if tiles.len() >= TILES_CACHED_MAX {
            tiles.clear();
        }
        tiles.insert((level, index), tile.clone());
        Ok(tile)
    }
}

pub(crate) fn tiles_dir(dir: &Path) -> PathBuf {
    dir.join("tiles")
}

pub(crate) fn checkpoints_path(dir: &Path) -> PathBuf {
    dir.join("checkpoints")
}

/// Reads a bundle of at least `width` entries and returns so many.
pub(crate) fn read_entries(dir: &Path, bundle: u64, width: u64) -> Result<Vec<Vec<u8>>, LogError> {
    let (path, file) = read_widest(dir, width, |width| entries_path(bundle, width))?;
    let damaged = || LogError::damaged(&path, format!("it does not hold {width} entries"));
    let mut rest = &file[..];
    let mut entries = Vec::with_capacity(width as usize);
    for _ in 0..width {
        let (length, after) = rest.split_first_chunk::<2>().ok_or_else(damaged)?;
        let length = usize::from(u16::from_be_bytes(*length));
        let (entry, after) = after.split_at_checked(length).ok_or_else(damaged)?;
        entries.push(entry.to_vec());
        rest = after;
    }
    Ok(entries)
}

/// Reads a tile of at least `width` hashes and returns so many.
pub(crate) fn read_tile(
    dir: &Path,
    level: u8,
    index: u64,
    width: u64,
) -> Result<Vec<Hash>, LogError> {
    let (path, file) = read_widest(dir, width, |width| TileId { level, index, width }.path())?;
    let hashes: Vec<Hash> =
        file.chunks_exact(32).filter_map(|h| h.try_into().ok().map(Hash)).collect();
    if hashes.len() < width as usize || file.len() % 32 != 0 {
        return Err(LogError::damaged(&path, format!("it does not hold {width} hashes")));
    }
    Ok(hashes.into_iter().take(width as usize).collect())
}

/// The file of this width or the narrowest wider one: a partial file goes when the full one is there.
fn read_widest(
    dir: &Path,
    width: u64,
    path_of: impl Fn(u16) -> String,
) -> Result<(PathBuf, Vec<u8>), LogError> {
    let tiles_dir = tiles_dir(dir);
    for width in width..=TILE_WIDTH {
        let path = tiles_dir.join(path_of(width as u16));
        if let Some(file) = disk::read_if_exists(&path)? {
            return Ok((path, file));
        }
    }
    Err(LogError::damaged(&tiles_dir.join(path_of(TILE_WIDTH as u16)), "it is missing"))
}

/// The right edge on disk, which must lead to the signed root.
fn read_edge(dir: &Path, checkpoint: &Checkpoint) -> Result<Edge, LogError> {
    let levels = (0u8..).take_while(|&level| subtrees(checkpoint.size, level) > 0);
    let levels = levels.map(|level| match partial_width(checkpoint.size, level) {
        0 => Ok(Vec::new()),
        width => {
            read_tile(dir, level, subtrees(checkpoint.size, level) / TILE_WIDTH, u64::from(width))
        }
    });
    let edge = Edge::new(checkpoint.size, levels.collect::<Result<_, _>>()?);
    if edge.root() != checkpoint.root {
        let reason =
            format!("its tiles do not lead to the root signed at size {}", checkpoint.size);
        return Err(LogError::damaged(&tiles_dir(dir), reason));
    }
    Ok(edge)
}

fn read_partial_entries(dir: &Path, size: u64) -> Result<Vec<u8>, LogError> {
    let width = size % TILE_WIDTH;
    let mut bytes = Vec::new();
    if width > 0 {
        for entry in read_entries(dir, size / TILE_WIDTH, width)? {
            bytes.extend((entry.len() as u16).to_be_bytes());
            bytes.extend(entry);
        }
    }
    Ok(bytes)
}

fn signed(dir: &Path, key: &SigningKey, note: &str) -> Result<(Checkpoint, Note), LogError> {
    let note = Note::parse(note)?;
    let checkpoint = Checkpoint::of_note(&note)?;
    let verifier = key.verifier();
    let text = note.text().as_bytes();
    let ours = checkpoint.origin == verifier.name()
        && note.signatures_by(verifier).count() > 0
        && note.signatures_by(verifier).all(|s| verifier.holds(text, &s.bytes));
    if ours {
        Ok((checkpoint, note))
    } else {
        Err(LogError::damaged(dir, format!("a checkpoint in it is not signed by {verifier}")))
    }
}

/// Publishes a full file; its partial forerunners may go (c2sp.org/tlog-tiles, partial tiles).
fn publish_full(tiles_dir: &Path, path: &str, bytes: &[u8]) -> Result<(), LogError> {
    let path = tiles_dir.join(path);
    disk::publish(&path, bytes)?;
    let partial = path.with_extension("p");
    match std::fs::remove_dir_all(&partial) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(io_at(&partial)(e)),
        _ => Ok(()),
    }
}

fn tile_bytes(hashes: &[Hash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| hash.0).collect()
}

fn stop(writer: &mut Writer, error: LogError) -> LogError {
    writer.stopped = Some(error.to_string());
    error
}

/// A thread that panicked while it held a lock left consistent data: all changes are made in one step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::atomic::{AtomicBool, Ordering};

    use timemark_verify::{Policy, WorkDigests, verify};

    use super::*;

    fn key() -> SigningKey {
        SigningKey::from_seed("log.example", &[7; 32]).unwrap()
    }

    fn open(dir: &Path) -> Result<Log, LogError> {
        Log::open(dir, key(), Box::new(|| Ok(())))
    }

    fn work(i: usize) -> Vec<u8> {
        format!("work {i}").into_bytes()
    }

    fn claim(i: usize) -> Claim {
        Claim {
            work: WorkDigests::of(&work(i)),
            media_type: "text/plain".to_owned(),
            fingerprints: Vec::new(),
            title: Some(format!("title {i}")),
            claimant: None,
            created: None,
            rights: None,
            path: None,
            creator: None,
            salt: [i as u8; 32],
        }
    }

    fn new_log() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        Log::create(&log, &key()).unwrap();
        (dir, log)
    }

    fn check(i: usize, receipt: &Receipt) {
        let policy = Policy::trusting(key().verifier().clone());
        verify(&WorkDigests::of(&work(i)), receipt, &policy).unwrap();
    }

    fn assert_clean(log: &Log, entries: u64) {
        let report = log.audit(&mut |_| {}).unwrap();
        assert_eq!((report.entries, &report.findings), (entries, &Vec::new()));
    }

    fn copy_dir(from: &Path, to: &Path) {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            let target = to.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                copy_dir(&entry.path(), &target);
            } else {
                fs::copy(entry.path(), target).unwrap();
            }
        }
    }

    #[test]
    fn many_appenders_get_receipts_that_verify_and_stay_the_same() {
        let (_dir, path) = new_log();
        let log = open(&path).unwrap();
        let receipts = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let (log, receipts) = (&log, &receipts);
                scope.spawn(move || {
                    for i in (thread * 80)..(thread + 1) * 80 {
                        let receipt = log.append(&claim(i)).unwrap();
                        receipts.lock().unwrap().push((i, receipt));
                    }
                });
            }
        });
        assert_clean(&log, 640);
        drop(log);
        let log = open(&path).unwrap();
        assert_clean(&log, 640);
        for (i, receipt) in receipts.into_inner().unwrap() {
            check(i, &receipt);
            assert_eq!(
                log.receipt(receipt.anchors[0].index).unwrap().to_string(),
                receipt.to_string()
            );
        }
    }

    #[test]
    fn what_the_journal_holds_survives_the_loss_of_everything_unflushed() {
        let (dir, path) = new_log();
        let before = dir.path().join("before");
        let mut receipts = Vec::new();
        {
            let log = open(&path).unwrap();
            receipts.extend((0..300).map(|i| log.append(&claim(i)).unwrap()));
            log.settle().unwrap();
            copy_dir(&path, &before);
            receipts.extend((300..520).map(|i| log.append(&claim(i)).unwrap()));
        }
        // A power cut takes back whatever was not flushed; the journal was.
        fs::copy(path.join("journal"), before.join("journal")).unwrap();
        let log = open(&before).unwrap();
        assert_clean(&log, 520);
        for (i, receipt) in receipts.iter().enumerate() {
            check(i, receipt);
            assert_eq!(&log.receipt(i as u64).unwrap(), receipt);
        }
        check(520, &log.append(&claim(520)).unwrap());
    }

    #[test]
    fn an_old_copy_under_a_newer_checkpoint_is_refused() {
        let (dir, path) = new_log();
        let backup = dir.path().join("backup");
        {
            let log = open(&path).unwrap();
            (0..5).for_each(|i| drop(log.append(&claim(i)).unwrap()));
            copy_dir(&path, &backup);
            (5..9).for_each(|i| drop(log.append(&claim(i)).unwrap()));
        }
        fs::copy(path.join("tiles/checkpoint"), backup.join("tiles/checkpoint")).unwrap();
        let refused = open(&backup).err().unwrap().to_string();
        assert!(
            refused.contains("has signed 9 entries, of which this folder holds 5"),
            "{refused}"
        );
    }

    #[test]
    fn a_second_opener_is_told_at_once() {
        let (_dir, path) = new_log();
        let log = open(&path).unwrap();
        assert!(matches!(open(&path), Err(LogError::Busy { .. })));
        fs::remove_file(path.join("lock")).unwrap();
        assert!(matches!(open(&path), Err(LogError::Busy { .. })), "the journal is a second lock");
        log.append(&claim(0)).unwrap();
    }

    #[test]
    fn another_key_opens_nothing() {
        let (_dir, path) = new_log();
        let other = SigningKey::from_seed("log.example", &[8; 32]).unwrap();
        assert!(matches!(
            Log::open(&path, other, Box::new(|| Ok(()))),
            Err(LogError::Damaged { .. })
        ));
    }

    #[test]
    fn works_that_cannot_be_flushed_get_no_number() {
        let (_dir, path) = new_log();
        let full = Arc::new(AtomicBool::new(true));
        let disk = full.clone();
        let flush: FlushWorks =
            Box::new(
                move || if disk.load(Ordering::SeqCst) { Err("disk full".into()) } else { Ok(()) },
            );
        let log = Log::open(&path, key(), flush).unwrap();
        let error = log.append(&claim(0)).unwrap_err().to_string();
        assert!(error.contains("disk full"), "{error}");
        full.store(false, Ordering::SeqCst);
        assert_eq!(log.append(&claim(1)).unwrap().anchors[0].index, 0);
        assert_clean(&log, 1);
    }

    #[test]
    fn an_erased_claim_is_gone_and_breaks_nothing() {
        let (_dir, path) = new_log();
        let log = open(&path).unwrap();
        let receipts: Vec<_> = (0..3).map(|i| log.append(&claim(i)).unwrap()).collect();
        log.erase_claim(1).unwrap();
        assert!(log.receipt(1).is_err());
        receipts.iter().enumerate().for_each(|(i, receipt)| check(i, receipt));
        let report = log.audit(&mut |_| {}).unwrap();
        assert_eq!((report.claims_erased, &report.findings), (1, &Vec::new()));
        drop(log);
        for file in ["journal", "claims/000"] {
            let bytes = fs::read(path.join(file)).unwrap();
            assert!(!String::from_utf8_lossy(&bytes).contains("title 1"), "{file}");
        }
        let log = open(&path).unwrap();
        check(3, &log.append(&claim(3)).unwrap());
        assert!(matches!(log.erase_claim(4), Err(LogError::NoEntry { .. })));
    }

    #[test]
    fn an_audit_finds_a_flipped_bit_in_any_file() {
        let (_dir, path) = new_log();
        {
            let log = open(&path).unwrap();
            (0..300).for_each(|i| drop(log.append(&claim(i)).unwrap()));
            log.settle().unwrap();
        }
        for file in [
            "tiles/tile/0/000",
            "tiles/tile/0/001.p/44",
            "tiles/tile/1/000.p/1",
            "tiles/tile/entries/000",
            "tiles/tile/entries/001.p/44",
            "claims/000",
            "claims/001",
            "checkpoints",
            "journal",
        ] {
            let file = path.join(file);
            let good = fs::read(&file).unwrap();
            let mut bad = good.clone();
            let at = bad.len() / 2;
            bad[at] ^= 1;
            fs::write(&file, &bad).unwrap();
            let found = match open(&path) {
                Err(_) => true,
                Ok(log) => {
                    log.audit(&mut |_| {}).map_or(true, |report| !report.findings.is_empty())
                }
            };
            assert!(found, "{}", file.display());
            fs::write(&file, &good).unwrap();
        }
        assert_clean(&open(&path).unwrap(), 300);
    }
}
