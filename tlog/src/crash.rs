//! A file system in memory that loses, tears and reorders whatever was not flushed. For tests only.
//!
//! Every file has what readers see and what is surely on the disk, and between them the changes that no
//! flush has covered. A power cut keeps what is flushed and lets chance choose about the rest, as badly as
//! any file system may: names apart from contents, later changes without earlier ones, writes torn at any
//! byte, files grown by zeros. A flush that fails forgets the changes it was for (readers go on seeing
//! them), as Linux does with the pages of a file. Names it does not forget: they are the business of the
//! file system's own journal.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, ErrorKind};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::files::{Files, How, OpenFile, Stat};

/// What goes wrong at an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// EIO; of a flush: what it was for is silently lost.
    Io,
    /// ENOSPC.
    NoSpace,
    /// Part of the bytes, then an error.
    Short,
    /// The process dies, and the page cache stays.
    Kill,
    /// The process dies, and the page cache with it.
    PowerCut,
}

/// What is done to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Open,
    Make,
    Read,
    Stat,
    Append,
    WriteAt,
    SetLen,
    Allocate,
    Fsync,
    Fdatasync,
    Syncfs,
    Lock,
    Rename,
    RemoveFile,
    RemoveDir,
    MakeDir,
}

impl Op {
    pub fn is_write(self) -> bool {
        matches!(self, Op::Append | Op::WriteAt)
    }

    pub fn is_flush(self) -> bool {
        matches!(self, Op::Fsync | Op::Fdatasync | Op::Syncfs)
    }

    pub fn changes(self) -> bool {
        !matches!(self, Op::Open | Op::Read | Op::Stat | Op::Lock)
    }

    pub fn needs_room(self) -> bool {
        let makes = matches!(self, Op::Make | Op::Allocate | Op::Rename | Op::MakeDir);
        self.is_write() || self.is_flush() || makes
    }
}

/// A disk and the machine around it. Clones are the same disk.
#[derive(Clone)]
pub(crate) struct CrashDisk(Arc<Mutex<State>>);

struct State {
    nodes: Vec<Node>,
    /// Changes of names that no flush has covered, in order.
    names: Vec<NameChange>,
    chance: Chance,
    faults: Vec<(u64, Fault)>,
    ops: u64,
    trace: Option<Vec<(Op, PathBuf)>>,
    struck: Vec<(Op, PathBuf, Fault)>,
    /// What was tried to be written to these files, whatever became of it.
    written: Vec<(PathBuf, Vec<u8>)>,
    locks: HashMap<usize, u64>,
    handles: u64,
    /// Handles of processes before this one do nothing any more.
    process: u64,
    is_dead: bool,
    capacity: u64,
}

enum Node {
    File(Content),
    Dir { now: BTreeMap<String, usize>, durable: BTreeMap<String, usize> },
}

#[derive(Default)]
struct Content {
    now: Vec<u8>,
    durable: Vec<u8>,
    /// From `durable` to `now`, less what failed flushes have forgotten.
    changes: Vec<Change>,
}

#[derive(Clone)]
enum Change {
    Write { at: usize, bytes: Vec<u8> },
    SetLen(usize),
}

#[derive(Clone)]
enum NameChange {
    Add { dir: usize, name: String, node: usize },
    Remove { dir: usize, name: String },
    Rename { from: (usize, String), to: (usize, String), node: usize },
}

/// What a file or folder takes besides its bytes.
const NODE_BYTES: u64 = 64;
const ROOT: usize = 0;

impl CrashDisk {
    pub fn new(seed: u64) -> CrashDisk {
        let root = Node::Dir { now: BTreeMap::new(), durable: BTreeMap::new() };
        CrashDisk(Arc::new(Mutex::new(State {
            nodes: vec![root],
            names: Vec::new(),
            chance: Chance::new(seed),
            faults: Vec::new(),
            ops: 0,
            trace: None,
            struck: Vec::new(),
            written: Vec::new(),
            locks: HashMap::new(),
            handles: 0,
            process: 0,
            is_dead: false,
            capacity: u64::MAX,
        })))
    }

    /// Lets the operation of this number, counted from now, go wrong.
    pub fn arm(&self, after: u64, fault: Fault) {
        let mut state = self.lock();
        let at = state.ops + after;
        state.faults.push((at, fault));
    }

    /// From now on nothing goes wrong by itself.
    pub fn heal(&self) {
        self.lock().faults.clear();
    }

    pub fn set_capacity(&self, bytes: u64) {
        self.lock().capacity = bytes;
    }

    pub fn used(&self) -> u64 {
        self.lock().used()
    }

    pub fn record(&self) {
        self.lock().trace = Some(Vec::new());
    }

    pub fn trace(&self) -> Vec<(Op, PathBuf)> {
        self.lock().trace.clone().unwrap_or_default()
    }

    /// The faults that have struck so far.
    pub fn struck(&self) -> Vec<(Op, PathBuf, Fault)> {
        self.lock().struck.clone()
    }

    pub fn is_dead(&self) -> bool {
        self.lock().is_dead
    }

    pub fn written(&self) -> Vec<(PathBuf, Vec<u8>)> {
        self.lock().written.clone()
    }

    /// The process dies where it stands.
    pub fn kill(&self) {
        self.lock().is_dead = true;
    }

    /// The power goes.
    pub fn cut_power(&self) {
        self.lock().cut_power();
    }

    /// The next process starts.
    pub fn restart(&self) {
        let mut state = self.lock();
        state.is_dead = false;
        state.process += 1;
        state.locks.clear();
    }

    /// Every file with its bytes.
    pub fn contents(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let state = self.lock();
        let mut found = BTreeMap::new();
        state.walk(ROOT, Path::new("/"), &mut |path, content| {
            found.insert(path.to_owned(), content.now.clone());
        });
        found
    }

    /// A file that holds this text.
    pub fn find_text(&self, text: &str) -> Option<PathBuf> {
        let (state, text) = (self.lock(), text.as_bytes());
        let mut found = None;
        state.walk(ROOT, Path::new("/"), &mut |path, content| {
            if path.starts_with("/log/tiles") || path.ends_with("reserve") {
                return; // thousands of digests
            }
            let mut places = content.now.iter().enumerate().filter(|(_, byte)| **byte == text[0]);
            if places.any(|(at, _)| content.now[at..].starts_with(text)) {
                found = Some(path.to_owned());
            }
        });
        found
    }

    /// Changes a file behind everybody's back.
    pub fn tamper(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.lock();
        let node = state.find(path).unwrap();
        let content = state.content(node).unwrap();
        change(&mut content.now);
        content.durable = content.now.clone();
        content.changes.clear();
    }

    /// As a file that is there, for good, with nothing unflushed.
    pub fn copy_of(&self) -> CrashDisk {
        let copy = CrashDisk::new(0);
        for (path, bytes) in self.contents() {
            copy.create_dir_all(path.parent().unwrap()).unwrap();
            copy.open(&path, How::Replace).unwrap().append(&bytes).unwrap();
        }
        copy.open(Path::new("/"), How::Read).unwrap().sync_file_system().unwrap();
        copy
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One operation by this process: counted, and hit by the fault that is due. `work` does it; given a
    /// number, it does part of it.
    fn run<T>(
        &self,
        process: Option<u64>,
        op: Op,
        path: &Path,
        work: impl FnOnce(&mut State, Option<u64>) -> io::Result<T>,
    ) -> io::Result<T> {
        // A file that the dying process has just opened is closed when the disk is free again.
        let _opened;
        let state = &mut *self.lock();
        if state.is_dead || process.is_some_and(|process| process != state.process) {
            return Err(io::Error::other("this process is dead"));
        }
        let number = state.ops;
        state.ops += 1;
        if let Some(trace) = &mut state.trace {
            trace.push((op, path.to_owned()));
        }
        let Some(due) = state.faults.iter().position(|(at, _)| *at == number) else {
            return work(state, None);
        };
        let (_, fault) = state.faults.remove(due);
        state.struck.push((op, path.to_owned(), fault));
        match fault {
            Fault::Short if op.is_write() => {
                let part = state.chance.next();
                work(state, Some(part))?;
                Err(error_of(if part.is_multiple_of(2) { Fault::Io } else { Fault::NoSpace }))
            }
            Fault::Io | Fault::NoSpace | Fault::Short => {
                if op.is_flush() {
                    state.forget(path, op);
                }
                Err(error_of(fault))
            }
            Fault::Kill | Fault::PowerCut => {
                // It may have been done, half done or not begun.
                let part = Some(state.chance.next());
                _opened = match state.chance.below(3) {
                    0 => work(state, None).ok(),
                    1 if op.is_write() || op == Op::RemoveDir => work(state, part).ok(),
                    _ => None,
                };
                if fault == Fault::PowerCut {
                    state.cut_power();
                }
                state.is_dead = true;
                Err(io::Error::other("this process is dead"))
            }
        }
    }
}

fn error_of(fault: Fault) -> io::Error {
    let errno =
        if fault == Fault::NoSpace { rustix::io::Errno::NOSPC } else { rustix::io::Errno::IO };
    errno.into()
}

impl State {
    fn cut_power(&mut self) {
        // Of a file that a failed flush forgot, `durable` lacks the changes for good.
        let names = std::mem::take(&mut self.names);
        let mode = self.chance.below(4);
        let kept = self.chance.below(names.len() as u64 + 1) as usize;
        for (i, change) in names.into_iter().enumerate() {
            let keep = match mode {
                0 => false,
                1 => true,
                2 => i < kept,
                _ => self.chance.below(2) == 0,
            };
            if keep {
                self.make_durable(change);
            }
        }
        for node in &mut self.nodes {
            match node {
                Node::File(content) => content.cut_power(&mut self.chance),
                Node::Dir { now, durable } => *now = durable.clone(),
            }
        }
        self.is_dead = true;
    }

    fn make_durable(&mut self, change: NameChange) {
        let mut set = |dir: usize, name: String, node: Option<usize>| {
            let Node::Dir { durable, .. } = &mut self.nodes[dir] else { return };
            match node {
                Some(node) => drop(durable.insert(name, node)),
                None => drop(durable.remove(&name)),
            }
        };
        match change {
            NameChange::Add { dir, name, node } => set(dir, name, Some(node)),
            NameChange::Remove { dir, name } => set(dir, name, None),
            NameChange::Rename { from, to, node } => {
                set(from.0, from.1, None);
                set(to.0, to.1, Some(node));
            }
        }
    }

    fn flush_names(&mut self, of: Option<usize>) {
        for change in std::mem::take(&mut self.names) {
            let touches = match &change {
                NameChange::Add { dir, .. } | NameChange::Remove { dir, .. } => Some(*dir) == of,
                NameChange::Rename { from, to, .. } => Some(from.0) == of || Some(to.0) == of,
            };
            if touches || of.is_none() {
                self.make_durable(change)
            } else {
                self.names.push(change)
            }
        }
    }

    /// A failed flush: what it was for is clean, and not on the disk.
    fn forget(&mut self, path: &Path, op: Op) {
        if op == Op::Syncfs {
            for node in &mut self.nodes {
                if let Node::File(content) = node {
                    let lost = self.chance.below(2) == 0;
                    if lost { content.changes.clear() } else { content.flush() }
                }
            }
        } else if let Ok(node) = self.find(path)
            && let Node::File(content) = &mut self.nodes[node]
        {
            content.changes.clear();
        }
    }

    fn find(&self, path: &Path) -> io::Result<usize> {
        let mut at = ROOT;
        for part in path.components() {
            let Component::Normal(name) = part else { continue };
            let Node::Dir { now, .. } = &self.nodes[at] else {
                return Err(ErrorKind::NotADirectory.into());
            };
            at = *now.get(name.to_str().unwrap_or_default()).ok_or(ErrorKind::NotFound)?;
        }
        Ok(at)
    }

    fn place(&self, path: &Path) -> io::Result<(usize, String)> {
        let name = path.file_name().and_then(|n| n.to_str()).ok_or(ErrorKind::InvalidInput)?;
        Ok((self.find(path.parent().unwrap_or(Path::new("/")))?, name.to_owned()))
    }

    fn names_in(&mut self, dir: usize) -> io::Result<&mut BTreeMap<String, usize>> {
        match &mut self.nodes[dir] {
            Node::Dir { now, .. } => Ok(now),
            Node::File(_) => Err(ErrorKind::NotADirectory.into()),
        }
    }

    fn content(&mut self, node: usize) -> io::Result<&mut Content> {
        match &mut self.nodes[node] {
            Node::File(content) => Ok(content),
            Node::Dir { .. } => Err(ErrorKind::IsADirectory.into()),
        }
    }

    fn add(&mut self, path: &Path, node: Node) -> io::Result<usize> {
        if self.room() < NODE_BYTES {
            return Err(error_of(Fault::NoSpace));
        }
        let (dir, name) = self.place(path)?;
        let number = self.nodes.len();
        self.names_in(dir)?.insert(name.clone(), number);
        self.nodes.push(node);
        self.names.push(NameChange::Add { dir, name, node: number });
        Ok(number)
    }

    fn write(&mut self, node: usize, at: usize, bytes: &[u8], part: Option<u64>) -> io::Result<()> {
        let content = self.content(node)?;
        let mut count = part.map_or(bytes.len(), |part| (part % (bytes.len() as u64 + 1)) as usize);
        let held = content.now.len();
        if self.capacity != u64::MAX {
            let room = usize::try_from(self.room()).unwrap_or(usize::MAX).saturating_add(held);
            count = count.min(room.saturating_sub(at));
        }
        let change = Change::Write { at, bytes: bytes[..count].to_vec() };
        let content = self.content(node)?;
        change.apply(&mut content.now);
        content.changes.push(change);
        if part.is_none() && count < bytes.len() {
            return Err(error_of(Fault::NoSpace));
        }
        Ok(())
    }

    fn stat(&self, node: usize) -> Stat {
        let (bytes, is_file) = match &self.nodes[node] {
            Node::File(content) => (content.now.len() as u64, true),
            Node::Dir { .. } => (0, false),
        };
        Stat { bytes, is_file, identity: (0, node as u64) }
    }

    fn room(&self) -> u64 {
        if self.capacity == u64::MAX { u64::MAX } else { self.capacity.saturating_sub(self.used()) }
    }

    fn used(&self) -> u64 {
        let mut used = 0;
        self.walk(ROOT, Path::new("/"), &mut |_, content| {
            used += NODE_BYTES + content.now.len() as u64;
        });
        used
    }

    fn walk(&self, node: usize, path: &Path, seen: &mut dyn FnMut(&Path, &Content)) {
        match &self.nodes[node] {
            Node::File(content) => seen(path, content),
            Node::Dir { now, .. } => {
                now.iter().for_each(|(name, node)| self.walk(*node, &path.join(name), seen));
            }
        }
    }
}

impl Content {
    fn flush(&mut self) {
        for change in self.changes.drain(..) {
            change.apply(&mut self.durable);
        }
    }

    fn cut_power(&mut self, chance: &mut Chance) {
        let changes = std::mem::take(&mut self.changes);
        let full = self.now.len();
        let before = self.durable.len();
        let count = changes.len() as u64;
        if count > 0 {
            let kept = chance.below(count);
            let mode = chance.below(6);
            for (i, change) in (0..).zip(&changes) {
                match mode {
                    0 => {}
                    1 => change.apply(&mut self.durable),
                    // In order up to a point, and the next one torn.
                    2 | 3 if i < kept => change.apply(&mut self.durable),
                    2 | 3 if i == kept => change.torn(chance).apply(&mut self.durable),
                    2 | 3 => {}
                    // In any order, each whole, torn or not at all.
                    _ => match chance.below(3) {
                        0 => change.apply(&mut self.durable),
                        1 => change.torn(chance).apply(&mut self.durable),
                        _ => {}
                    },
                }
            }
            // The length went to the disk before the bytes, of which any sector may be missing.
            if matches!(mode, 3 | 5) && self.durable.len() < full {
                self.durable.resize(full, 0);
            }
            if mode == 5 {
                for sector in self.durable[before.min(full)..].chunks_mut(512) {
                    if chance.below(2) == 0 {
                        sector.fill(0);
                    }
                }
            }
        }
        self.now = self.durable.clone();
    }
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Change::Write { at, bytes: new } => {
                if new.is_empty() {
                    return;
                }
                if bytes.len() < at + new.len() {
                    bytes.resize(at + new.len(), 0);
                }
                bytes[*at..at + new.len()].copy_from_slice(new);
            }
            Change::SetLen(len) => bytes.resize(*len, 0),
        }
    }

    fn torn(&self, chance: &mut Chance) -> Change {
        match self {
            Change::Write { at, bytes } => {
                let count = chance.below(bytes.len() as u64 + 1) as usize;
                Change::Write { at: *at, bytes: bytes[..count].to_vec() }
            }
            whole => whole.clone(),
        }
    }
}

impl Files for CrashDisk {
    fn open(&self, path: &Path, how: How) -> io::Result<Box<dyn OpenFile>> {
        let makes = how != How::Read && how != How::ReadAppend && self.lock().find(path).is_err();
        let op = if makes { Op::Make } else { Op::Open };
        self.run(None, op, path, |state, _| {
            let node = match state.find(path) {
                Ok(_) if matches!(how, How::New | How::NewPrivate) => {
                    return Err(ErrorKind::AlreadyExists.into());
                }
                Ok(node) => node,
                Err(_) if makes => state.add(path, Node::File(Content::default()))?,
                Err(error) => return Err(error),
            };
            if how == How::Replace {
                let content = state.content(node)?;
                content.now.clear();
                content.changes.push(Change::SetLen(0));
            }
            state.handles += 1;
            let (process, handle) = (state.process, state.handles);
            let file: Box<dyn OpenFile> = Box::new(Handle {
                disk: self.clone(),
                path: path.to_owned(),
                node,
                process,
                handle,
            });
            Ok(file)
        })
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.run(None, Op::Read, path, |state, _| {
            let node = state.find(path)?;
            Ok(state.content(node)?.now.clone())
        })
    }

    fn stat(&self, path: &Path) -> io::Result<Stat> {
        self.run(None, Op::Stat, path, |state, _| Ok(state.stat(state.find(path)?)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.run(None, Op::Rename, from, |state, _| {
            let (from, to) = (state.place(from)?, state.place(to)?);
            let node = state.names_in(from.0)?.remove(&from.1).ok_or(ErrorKind::NotFound)?;
            state.names_in(to.0)?.insert(to.1.clone(), node);
            state.names.push(NameChange::Rename { from, to, node });
            Ok(())
        })
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.run(None, Op::RemoveFile, path, |state, _| {
            let (dir, name) = state.place(path)?;
            state.names_in(dir)?.remove(&name).ok_or(ErrorKind::NotFound)?;
            state.names.push(NameChange::Remove { dir, name });
            Ok(())
        })
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.run(None, Op::RemoveDir, path, |state, part| {
            let node = state.find(path)?;
            let names: Vec<String> = state.names_in(node)?.keys().cloned().collect();
            let count = part.map_or(names.len(), |part| (part % (names.len() as u64 + 1)) as usize);
            for name in names.into_iter().take(count) {
                state.names_in(node)?.remove(&name);
                state.names.push(NameChange::Remove { dir: node, name });
            }
            if part.is_none() {
                let (dir, name) = state.place(path)?;
                state.names_in(dir)?.remove(&name);
                state.names.push(NameChange::Remove { dir, name });
            }
            Ok(())
        })
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.run(None, Op::MakeDir, path, |state, _| {
            let mut below = PathBuf::new();
            for part in path.components() {
                below.push(part);
                if state.find(&below).is_err() {
                    let dir = Node::Dir { now: BTreeMap::new(), durable: BTreeMap::new() };
                    state.add(&below, dir)?;
                }
            }
            Ok(())
        })
    }
}

struct Handle {
    disk: CrashDisk,
    path: PathBuf,
    node: usize,
    process: u64,
    handle: u64,
}

impl Handle {
    fn run<T>(
        &self,
        op: Op,
        work: impl FnOnce(&mut State, Option<u64>) -> io::Result<T>,
    ) -> io::Result<T> {
        self.disk.run(Some(self.process), op, &self.path_now(), work)
    }

    /// A file that was made aside has another name by now.
    fn path_now(&self) -> PathBuf {
        let is_here = |path: &Path| self.disk.lock().find(path).is_ok_and(|node| node == self.node);
        let renamed = self.path.with_extension("");
        if !is_here(&self.path) && is_here(&renamed) { renamed } else { self.path.clone() }
    }

    fn note(&self, bytes: &[u8]) {
        let path = self.path_now();
        self.disk.lock().written.push((path, bytes.to_vec()));
    }

    fn flush(&self, op: Op) -> io::Result<()> {
        self.run(op, |state, _| {
            match &mut state.nodes[self.node] {
                Node::File(content) => content.flush(),
                Node::Dir { .. } => state.flush_names(Some(self.node)),
            }
            Ok(())
        })
    }
}

impl OpenFile for Handle {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        self.note(bytes);
        self.run(Op::Append, |state, part| {
            let end = state.content(self.node)?.now.len();
            state.write(self.node, end, bytes, part)
        })
    }

    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.note(bytes);
        self.run(Op::WriteAt, |state, part| state.write(self.node, at as usize, bytes, part))
    }

    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        self.run(Op::Read, |state, _| {
            let bytes = &state.content(self.node)?.now;
            let found = bytes.get(at as usize..).and_then(|rest| rest.get(..buffer.len()));
            buffer.copy_from_slice(found.ok_or(ErrorKind::UnexpectedEof)?);
            Ok(())
        })
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.run(Op::SetLen, |state, _| {
            let content = state.content(self.node)?;
            let change = Change::SetLen(bytes as usize);
            change.apply(&mut content.now);
            content.changes.push(change);
            Ok(())
        })
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        self.run(Op::Allocate, |state, _| {
            let held = state.content(self.node)?.now.len() as u64;
            let missing = bytes.saturating_sub(held);
            if state.room() < missing {
                return Err(error_of(Fault::NoSpace));
            }
            state.write(self.node, held as usize, &vec![0; missing as usize], None)
        })
    }

    fn stat(&self) -> io::Result<Stat> {
        self.run(Op::Stat, |state, _| Ok(state.stat(self.node)))
    }

    fn sync_all(&self) -> io::Result<()> {
        self.flush(Op::Fsync)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.flush(Op::Fdatasync)
    }

    fn sync_file_system(&self) -> io::Result<()> {
        self.run(Op::Syncfs, |state, _| {
            state.flush_names(None);
            for node in &mut state.nodes {
                if let Node::File(content) = node {
                    content.flush();
                }
            }
            Ok(())
        })
    }

    fn try_lock(&self) -> io::Result<bool> {
        self.run(Op::Lock, |state, _| {
            Ok(*state.locks.entry(self.node).or_insert(self.handle) == self.handle)
        })
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let mut state = self.disk.lock();
        if state.process == self.process && state.locks.get(&self.node) == Some(&self.handle) {
            state.locks.remove(&self.node);
        }
    }
}

/// Chance that a seed repeats (splitmix64).
pub(crate) struct Chance(u64);

impl Chance {
    pub fn new(seed: u64) -> Chance {
        Chance(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcomes(prepare: impl Fn(&CrashDisk)) -> std::collections::BTreeSet<Option<Vec<u8>>> {
        let after = |seed| {
            let disk = CrashDisk::new(seed);
            prepare(&disk);
            disk.cut_power();
            disk.restart();
            disk.read(Path::new("/a")).ok()
        };
        (0..400).map(after).collect()
    }

    fn fsync_names(disk: &CrashDisk) {
        disk.open(Path::new("/"), How::Read).unwrap().sync_all().unwrap();
    }

    #[test]
    fn only_what_is_flushed_is_sure() {
        let unflushed =
            outcomes(|disk| disk.open(Path::new("/a"), How::New).unwrap().append(b"abc").unwrap());
        for possible in
            [None, Some(&b""[..]), Some(b"abc"), Some(b"a"), Some(b"\0\0\0"), Some(b"ab\0")]
        {
            assert!(unflushed.contains(&possible.map(<[u8]>::to_vec)), "{possible:?}");
        }
        let flushed = outcomes(|disk| {
            let file = disk.open(Path::new("/a"), How::New).unwrap();
            file.append(b"abc").unwrap();
            file.sync_all().unwrap();
            fsync_names(disk);
        });
        assert_eq!(flushed, [Some(b"abc".to_vec())].into());
    }

    #[test]
    fn later_writes_survive_earlier_ones_and_renames_their_data() {
        let reordered = outcomes(|disk| {
            let file = disk.open(Path::new("/a"), How::New).unwrap();
            fsync_names(disk);
            file.append(b"a").unwrap();
            file.append(b"b").unwrap();
        });
        assert!(reordered.contains(&Some(b"\0b".to_vec())));
        let renamed = outcomes(|disk| {
            let old = disk.open(Path::new("/a"), How::New).unwrap();
            old.append(b"old").unwrap();
            old.sync_all().unwrap();
            fsync_names(disk);
            disk.open(Path::new("/b"), How::New).unwrap().append(b"new").unwrap();
            disk.rename(Path::new("/b"), Path::new("/a")).unwrap();
        });
        for possible in ["old", "new", ""] {
            assert!(renamed.contains(&Some(possible.into())), "{possible:?}");
        }
    }

    #[test]
    fn a_failed_flush_looks_well_until_the_power_goes() {
        let lost = outcomes(|disk| {
            let file = disk.open(Path::new("/a"), How::New).unwrap();
            fsync_names(disk);
            file.append(b"abc").unwrap();
            disk.arm(0, Fault::Io);
            assert!(file.sync_all().is_err());
            file.sync_all().unwrap();
            assert_eq!(disk.read(Path::new("/a")).unwrap(), b"abc");
        });
        assert_eq!(lost, [Some(Vec::new())].into());
    }
}
