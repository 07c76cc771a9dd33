//! The logs that a witness knows: `log <vkey>` lines as in a policy (c2sp.org/tlog-policy), in the file
//! `logs`.
//!
//! A log may have several keys, of both kinds or old and new; `log-sizes` lines bind a key to tree sizes. The
//! list is read again when its file changes, so that a log can be added while the witness works.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use timemark_verify::{FormatError, Policy, TrustedLog, VerifierKey};

use crate::LogError;
use crate::disk::{Disk, io_at};

/// Most keys of one log: its checkpoint with a signature by each must still be a note.
const KEYS_OF_ONE_LOG_MAX: usize = 16;
/// What a cosignature of type 0x06 can name (c2sp.org/tlog-cosignature).
const ORIGIN_BYTES_MAX: usize = 255;

/// The list as it was last read.
pub(super) struct KnownLogs {
    path: PathBuf,
    read: Mutex<(Stamp, Arc<Policy>)>,
}

/// What changes with a file: inode, length, time of change.
type Stamp = (u64, u64, i64, i64);

impl KnownLogs {
    pub fn open(path: PathBuf) -> Result<KnownLogs, LogError> {
        let read = Mutex::new(read_list(&path)?);
        Ok(KnownLogs { path, read })
    }

    /// The list as it is now. A list that cannot be read stops the witness rather than leave it to an old one:
    /// a key may just have been taken out.
    pub fn current(&self) -> Result<Arc<Policy>, LogError> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let now = fs::metadata(&self.path).map_err(io_at(&self.path))?;
        if stamp(&now) != read.0 {
            *read = read_list(&self.path)?;
        }
        Ok(read.1.clone())
    }
}

/// Adds a key to the list, durably.
pub(super) fn add(path: &Path, key: &VerifierKey) -> Result<(), LogError> {
    change(path, |list| list + &format!("log {key}\n"))
}

/// Takes the `log` and `log-sizes` lines of a policy in the place of those about the same origins, durably: so a
/// key that was replaced counts for its time only.
pub(super) fn replace(path: &Path, policy: &Policy) -> Result<(), LogError> {
    let line = |log: &TrustedLog| {
        let last = match *log.sizes.end() {
            u64::MAX => "*".to_owned(),
            last => last.to_string(),
        };
        let sizes = format!("log-sizes {} {} {last}\n", log.key.short(), log.sizes.start());
        let sizes = if log.sizes == (0..=u64::MAX) { String::new() } else { sizes };
        format!("log {}\n{sizes}", log.key)
    };
    let origins: Vec<&str> = policy.logs().iter().map(|log| log.key.name()).collect();
    let is_of_them = |line: &str| {
        let mut words = line.split_whitespace();
        let is_ours = matches!(words.next(), Some("log" | "log-sizes"));
        let name = words.next().and_then(|key| key.split('+').next());
        is_ours && name.is_some_and(|name| origins.contains(&name))
    };
    change(path, |list| {
        let others = list.lines().filter(|line| !is_of_them(line)).map(|line| format!("{line}\n"));
        others.chain(policy.logs().iter().map(line)).collect()
    })
}

fn change(path: &Path, change: impl FnOnce(String) -> String) -> Result<(), LogError> {
    let lock_path = path.with_extension("lock");
    let _lock = Disk::real().try_lock(&lock_path)?.ok_or(LogError::Busy { path: lock_path })?;
    let file = Disk::real().read_if_exists(path)?.unwrap_or_default();
    let mut list =
        String::from_utf8(file).map_err(|_| LogError::damaged(path, "it is not UTF-8"))?;
    if !list.is_empty() && !list.ends_with('\n') {
        list.push('\n');
    }
    let file = change(list).into_bytes();
    parse(&file)?;
    Disk::real().replace_durably(path, &file)
}

fn read_list(path: &Path) -> Result<(Stamp, Arc<Policy>), LogError> {
    // A change between the two looks is noticed at the next one.
    let stamp = stamp(&fs::metadata(path).map_err(io_at(path))?);
    let policy = parse(&Disk::real().read(path)?)
        .map_err(|fault| LogError::damaged(path, fault.to_string()))?;
    Ok((stamp, Arc::new(policy)))
}

fn stamp(file: &Metadata) -> Stamp {
    (file.ino(), file.len(), file.mtime(), file.mtime_nsec())
}

fn parse(file: &[u8]) -> Result<Policy, FormatError> {
    let policy = Policy::parse(&[file, b"\nquorum none\n"].concat())?;
    let bad = |reason: String| Err(FormatError::new("list of logs", reason));
    if !policy.witnesses().is_empty() {
        return bad("it names witnesses".to_owned());
    }
    for log in policy.logs() {
        let origin = log.key.name();
        if origin.len() > ORIGIN_BYTES_MAX {
            return bad(format!("an origin is longer than {ORIGIN_BYTES_MAX} bytes"));
        }
        let keys = policy.logs().iter().filter(|other| other.key.name() == origin).count();
        if keys > KEYS_OF_ONE_LOG_MAX {
            return bad(format!("{origin:?} has more than {KEYS_OF_ONE_LOG_MAX} keys"));
        }
    }
    Ok(policy)
}
