//! A folder of files before a store elsewhere: nothing waits for the network, and nothing is lost while it is away.
//!
//! A blob is written to the folder and to a durable list of what waits ([`crate::waiting`]); threads carry it to the
//! store elsewhere, as often as it takes, and strike it off once that store has been seen to have it. Where the folder is
//! to hold no more than so many bytes, it may forget a blob that was read back from there, and no other. Reading asks the
//! folder first, and keeps what came from elsewhere.

use std::collections::{HashMap, VecDeque};
use std::io::{self, Read};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use timemark_verify::ContentId;

use crate::blobs::{Address, BlobError, BlobStore, RemoteProblem, Stored, told_by};
use crate::dag::DagHasher;
use crate::files::FileStore;
use crate::waiting::Waiting;

/// When a blob is sent, and how much the folder keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tiering {
    /// Whether each `put` tries the store elsewhere itself before it returns. What fails waits, as otherwise.
    pub write_through: bool,
    /// Bytes that the folder may keep of what the store elsewhere has; `None`: everything.
    pub keep_bytes_max: Option<u64>,
}

/// How far the store elsewhere has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Blobs that reached it since this store was opened.
    pub sent: u64,
    /// Blobs that wait for it.
    pub waiting: u64,
    /// What became of the last attempt that failed, unless one has succeeded since.
    pub problem: Option<String>,
}

/// The folder and the store elsewhere as one.
pub struct TieredStore {
    tiers: Arc<Tiers>,
    senders: Mutex<Vec<JoinHandle<()>>>,
}

struct Tiers {
    local: Arc<FileStore>,
    remote: Arc<dyn BlobStore>,
    waiting: Waiting,
    tiering: Tiering,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<ContentId>,
    /// Blobs with which something is wrong that another attempt now would not change.
    stuck: Vec<ContentId>,
    under_way: u64,
    sent: u64,
    problem: Option<String>,
    /// Attempts in a row that failed for no fault of the blob.
    failures: u32,
    resume_at: Option<Instant>,
    closing: bool,
    cache: Cache,
    /// Bytes in the folder of what earlier runs sent.
    sent_before: u64,
}

/// What the folder holds of what the store elsewhere has; the first came first and goes first.
#[derive(Default)]
struct Cache {
    order: VecDeque<ContentId>,
    bytes: HashMap<ContentId, u64>,
    total: u64,
}

impl TieredStore {
    /// Puts a folder before a store elsewhere. What waits is listed in `dir`, on the folder's own file system. Nothing is
    /// sent before [`TieredStore::start_sending`], unless blobs are written through.
    pub fn open(
        local: Arc<FileStore>,
        remote: Arc<dyn BlobStore>,
        dir: &Path,
        tiering: Tiering,
    ) -> Result<TieredStore, BlobError> {
        let waiting = Waiting::open(dir)?;
        // What lies in the folder and waits for nothing may have been there before the store elsewhere was named: it may be
        // forgotten here only if it is recorded to be there.
        let state = State { queue: waiting.all()?.into(), ..State::default() };
        let (state, changed) = (Mutex::new(state), Condvar::new());
        let tiers = Tiers { local, remote, waiting, tiering, state, changed };
        Ok(TieredStore { tiers: Arc::new(tiers), senders: Mutex::default() })
    }

    /// From here on threads send what waits, until the store is dropped. `sent_before` tells what the folder has of what
    /// earlier runs sent; it is asked by a thread of its own, and only where the folder is to forget.
    pub fn start_sending(
        &self,
        sent_before: impl FnOnce() -> Vec<(Address, u64)> + Send + 'static,
    ) {
        let mut senders = self.senders();
        if senders.is_empty() && self.tiers.tiering.keep_bytes_max.is_some() {
            let tiers = self.tiers.clone();
            let looker = thread::Builder::new().name("sent before".to_owned());
            // Without it the folder keeps more than it should for another run.
            let _ = looker.spawn(move || tiers.was_sent_before(&sent_before()));
        }
        for _ in senders.len()..SENDERS {
            let tiers = self.tiers.clone();
            let sender = thread::Builder::new().name("sender".to_owned());
            // Without a thread, what waits stays on its list.
            senders.extend(sender.spawn(move || tiers.send_all()).ok());
        }
    }

    fn senders(&self) -> MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.senders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a blob that lies in the folder on the list of what is to be sent.
    pub fn enqueue(&self, blob: &Address) -> Result<(), BlobError> {
        self.tiers.waiting.add(blob)?;
        self.tiers.lock().queue.push_back(blob.content);
        self.tiers.changed.notify_all();
        Ok(())
    }

    /// As [`TieredStore::enqueue`], of a blob that was just put: it is sent at once where that is asked for.
    pub fn took_in(&self, blob: &Address) -> Result<(), BlobError> {
        self.tiers.took_in(blob)
    }

    /// Whether a blob has not reached the store elsewhere yet.
    pub fn waits(&self, blob: &Address) -> bool {
        self.waits_for(&blob.content)
    }

    /// As [`TieredStore::waits`].
    pub fn waits_for(&self, blob: &ContentId) -> bool {
        self.tiers.waiting.has(blob)
    }

    /// Has the folder forget a blob, which need not be sent any more.
    pub fn remove_here(&self, at: &Address) -> Result<(), BlobError> {
        self.tiers.waiting.done(&at.content)?;
        self.tiers.lock().cache.remove(&at.content);
        self.tiers.local.remove(at)
    }

    /// How far it has come.
    pub fn progress(&self) -> Progress {
        self.tiers.lock().progress()
    }

    /// Waits until everything has reached the store elsewhere, or nothing has for so long. `watch` is told now and then.
    pub fn drain(&self, patience: Duration, watch: &dyn Fn(&Progress)) -> Progress {
        let mut state = self.tiers.lock();
        // What was wrong with a blob may be right again.
        let stuck = std::mem::take(&mut state.stuck);
        state.queue.extend(stuck);
        state.resume_at = None;
        self.tiers.changed.notify_all();
        let (mut sent, mut since) = (state.sent, Instant::now());
        let nobody_sends = self.senders().is_empty();
        while !state.queue.is_empty() || state.under_way > 0 {
            if nobody_sends || since.elapsed() >= patience {
                break;
            }
            let waited = self.tiers.changed.wait_timeout(state, WATCH_INTERVAL);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            if state.sent != sent {
                (sent, since) = (state.sent, Instant::now());
            }
            watch(&state.progress());
        }
        state.progress()
    }
}

impl BlobStore for TieredStore {
    fn name(&self) -> String {
        format!("{} before {}", self.tiers.local.name(), self.tiers.remote.name())
    }

    fn put(&self, bytes: &mut dyn Read) -> Result<Stored, BlobError> {
        let stored = self.tiers.local.put(bytes)?;
        self.tiers.took_in(&stored.address())?;
        Ok(stored)
    }

    fn put_as(&self, at: &Address, bytes: &mut dyn Read) -> Result<(), BlobError> {
        self.tiers.local.put_as(at, bytes)?;
        self.tiers.took_in(at)
    }

    fn get(&self, at: &Address) -> Result<Box<dyn Read + Send>, BlobError> {
        match self.tiers.local.get(at) {
            Err(BlobError::Missing { .. }) => {}
            here => return here,
        }
        let there = self.tiers.remote.get(at)?;
        if self.tiers.tiering.keep_bytes_max == Some(0) {
            return Ok(there);
        }
        let tiers = self.tiers.clone();
        let blob = at.content;
        let kept = move |bytes| tiers.came_back(blob, bytes);
        Ok(self.tiers.local.keeping(at, there, Box::new(kept)))
    }

    fn has(&self, at: &Address) -> Result<bool, BlobError> {
        Ok(self.tiers.local.has(at)? || self.tiers.remote.has(at)?)
    }

    fn remove(&self, at: &Address) -> Result<(), BlobError> {
        self.remove_here(at)?;
        self.tiers.remote.remove(at)
    }

    /// What waits is durable as well: both lie on one file system.
    fn sync(&self) -> Result<(), BlobError> {
        self.tiers.local.sync()
    }

    fn read(&self, at: &Address, bytes_max: u64) -> Result<Vec<u8>, BlobError> {
        match self.tiers.local.read(at, bytes_max) {
            // The store elsewhere may have it as it was; then the folder has it again as well.
            Err(BlobError::Altered { .. } | BlobError::Io { .. }) => {
                let bytes = self.tiers.remote.read(at, bytes_max)?;
                // That the folder cannot take it is no fault of the reader's.
                let _ = self.tiers.local.put_as(at, &mut &bytes[..]);
                Ok(bytes)
            }
            Err(BlobError::Missing { .. }) => {
                crate::blobs::read_whole(&mut *self.get(at)?, at.content, bytes_max)
            }
            here => here,
        }
    }
}

impl Drop for TieredStore {
    /// Waits a little for what is under way. The rest is on its list, and so is what a store that hangs did not answer.
    fn drop(&mut self) {
        let mut state = self.tiers.lock();
        state.closing = true;
        self.tiers.changed.notify_all();
        let until = Instant::now() + CLOSING_PATIENCE;
        while state.under_way > 0 {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let waited = self.tiers.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        drop(state);
        for sender in self.senders().drain(..) {
            let _ = sender.join(); // what it did not finish is on the list
        }
    }
}

impl Tiers {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn took_in(&self, blob: &Address) -> Result<(), BlobError> {
        self.waiting.add(blob)?;
        let mut state = self.lock();
        // A store that is away is not waited for again by each.
        let is_away = state.resume_at.is_some_and(|at| at > Instant::now());
        if self.tiering.write_through && !is_away {
            state.under_way += 1;
            drop(state);
            let sent = self.send(blob);
            self.settle(&blob.content, sent);
        } else {
            state.queue.push_back(blob.content);
            drop(state);
            self.changed.notify_all();
        }
        Ok(())
    }

    /// What a sender does all day.
    fn send_all(&self) {
        let mut state = self.lock();
        while !state.closing {
            let resume_in = state.resume_at.map(|at| at.saturating_duration_since(Instant::now()));
            match resume_in.filter(|pause| !pause.is_zero()) {
                Some(pause) => {
                    let waited = self.changed.wait_timeout(state, pause);
                    state = waited.unwrap_or_else(PoisonError::into_inner).0;
                    continue;
                }
                None => state.resume_at = None,
            }
            let Some(blob) = state.queue.pop_front() else {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            // It may have been removed since, by another process as well.
            if !self.waiting.has(&blob) {
                self.changed.notify_all();
                continue;
            }
            state.under_way += 1;
            drop(state);
            let sent = self.address(&blob).and_then(|address| self.send(&address));
            self.settle(&blob, sent);
            state = self.lock();
        }
    }

    fn address(&self, blob: &ContentId) -> Result<Address, BlobError> {
        if let Some(address) = self.waiting.address(blob) {
            return Ok(address);
        }
        let mut bytes = self.local.get(&Address::of_one_chunk(*blob))?;
        let mut dag = DagHasher::new();
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            match bytes.read(&mut buffer) {
                Ok(0) => return Ok(Address { content: *blob, dag: dag.finish() }),
                Ok(read) => dag.update(&buffer[..read]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(told_by(error, *blob)),
            }
        }
    }

    /// Sends a blob and sees that it has arrived.
    fn send(&self, blob: &Address) -> Result<(), BlobError> {
        let lost = |error| match error {
            // The folder has forgotten it already, or a meddler has taken it.
            BlobError::Missing { .. } if self.remote.has(blob)? => Ok(()),
            error => Err(error),
        };
        match self.local.get(blob) {
            Ok(mut bytes) => self.remote.put_as(blob, &mut bytes)?,
            Err(error) => lost(error)?,
        }
        if !self.remote.has(blob)? {
            return Err(BlobError::Remote {
                store: self.remote.name(),
                problem: RemoteProblem::Lied {
                    expected: format!("that it has {}", blob.content),
                    said: "that it has not, just after it took it in,".to_owned(),
                },
                source: None,
            });
        }
        if self.tiering.keep_bytes_max.is_some() {
            self.read_back(blob)?;
        }
        self.waiting.done(&blob.content)
    }

    /// Reads from the store elsewhere what the folder is to forget, and heals it there once if it is not what it was.
    fn read_back(&self, blob: &Address) -> Result<(), BlobError> {
        let read = || {
            let mut bytes = self.remote.get(blob)?;
            io::copy(&mut bytes, &mut io::sink()).map_err(|error| told_by(error, blob.content))
        };
        match read() {
            Err(BlobError::Altered { .. }) => {
                self.remote.heal(blob, &mut *self.local.get(blob)?)?;
                read().map(drop)
            }
            read => read.map(drop),
        }
    }

    /// Has the folder forget what earlier runs sent, as far as there is no room for it. It is read back first: all that is
    /// known of it is a record.
    fn was_sent_before(&self, blobs: &[(Address, u64)]) {
        let Some(max) = self.tiering.keep_bytes_max else { return };
        let mut bytes: u64 = blobs.iter().map(|(_, bytes)| bytes).sum();
        for (blob, length) in blobs {
            let mut state = self.lock();
            state.sent_before = bytes;
            if state.closing || bytes.saturating_add(state.cache.total) <= max {
                return;
            }
            drop(state);
            if self.waiting.has(&blob.content) {
                bytes -= length;
                continue;
            }
            match self.read_back(blob) {
                Ok(()) => {
                    let may_go = !self.waiting.has(&blob.content);
                    bytes -= if may_go && self.local.remove(blob).is_ok() { *length } else { 0 };
                }
                // It stays. While the store elsewhere is away so does the rest.
                Err(error) if concerns_all(&error) => return,
                Err(_) => {}
            }
        }
        self.lock().sent_before = bytes;
    }

    /// Takes note of what became of an attempt.
    fn settle(&self, blob: &ContentId, sent: Result<(), BlobError>) {
        let length = self.local.length(blob);
        let mut state = self.lock();
        state.under_way -= 1;
        match sent {
            Ok(()) => {
                state.sent += 1;
                (state.failures, state.problem) = (0, None);
                if self.tiering.keep_bytes_max.is_some()
                    && let Some(bytes) = length
                {
                    state.cache.add(*blob, bytes);
                }
            }
            Err(error) => {
                state.problem = Some(in_full(&error));
                if concerns_all(&error) {
                    state.queue.push_back(*blob);
                    state.failures = state.failures.saturating_add(1);
                    state.resume_at = Some(Instant::now() + backoff(state.failures));
                } else {
                    state.stuck.push(*blob);
                }
            }
        }
        self.make_room(&mut state);
        drop(state);
        self.changed.notify_all();
    }

    fn came_back(&self, blob: ContentId, bytes: u64) {
        let mut state = self.lock();
        if self.tiering.keep_bytes_max.is_some() {
            state.cache.add(blob, bytes);
            self.make_room(&mut state);
        }
    }

    /// Has the folder forget what is too much. What cannot be removed stays and is tried at the next start.
    fn make_room(&self, state: &mut State) {
        let Some(max) = self.tiering.keep_bytes_max else { return };
        while state.cache.total.saturating_add(state.sent_before) > max {
            let Some(blob) = state.cache.order.front().copied() else { return };
            state.cache.remove(&blob);
            // It may have been put again meanwhile.
            if !self.waiting.has(&blob) {
                let _ = self.local.remove(&Address::of_one_chunk(blob));
            }
        }
    }
}

impl State {
    fn progress(&self) -> Progress {
        let waiting = self.queue.len() as u64 + self.stuck.len() as u64 + self.under_way;
        Progress { sent: self.sent, waiting, problem: self.problem.clone() }
    }
}

impl Cache {
    fn add(&mut self, blob: ContentId, bytes: u64) {
        if self.bytes.insert(blob, bytes).is_none() {
            self.order.push_back(blob);
            self.total += bytes;
        }
    }

    fn remove(&mut self, blob: &ContentId) {
        if let Some(bytes) = self.bytes.remove(blob) {
            self.total -= bytes;
            match self.order.front() == Some(blob) {
                true => drop(self.order.pop_front()),
                false => self.order.retain(|other| other != blob),
            }
        }
    }
}

/// Whether the next blob would fare no better: the store elsewhere is away, full, or ill.
fn concerns_all(error: &BlobError) -> bool {
    match error {
        BlobError::Remote { problem, .. } => !matches!(problem, RemoteProblem::Lied { .. }),
        _ => false,
    }
}

/// An error with its causes, in one line.
fn in_full(error: &BlobError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}

/// Twice as long after each failure, from a quarter of a second to half a minute.
fn backoff(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    BACKOFF_MAX.min(BACKOFF_MIN.saturating_mul(1 << doublings))
}

/// Blobs under way at a time: a store elsewhere takes its time for each.
const SENDERS: usize = 4;
const BACKOFF_MIN: Duration = Duration::from_millis(250);
const BACKOFF_MAX: Duration = Duration::from_secs(30);
/// How long what is under way may hold up the end of a program.
const CLOSING_PATIENCE: Duration = Duration::from_secs(5);
const WATCH_INTERVAL: Duration = Duration::from_millis(100);
const BUFFER_BYTES: usize = 256 << 10;

#[cfg(test)]
mod tests;
