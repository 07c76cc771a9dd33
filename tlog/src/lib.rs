//! A transparency log in a folder. This room does not know works, pictures or who may register.
//!
//! | path | what | who may see it |
//! |---|---|---|
//! | `tiles/checkpoint`, `tiles/tile/…` | the tree, exactly as c2sp.org/tlog-tiles lays it out | everybody |
//! | `claims/…` | the claims behind the entries, 256 a file, each erasable | the operator |
//! | `checkpoints` | every checkpoint the log ever signed, in order | the operator |
//! | `journal` | what has been acknowledged and may not yet be on disk elsewhere | the operator |
//! | `endorsements` | what witnesses and time-stamp authorities said of checkpoints | everybody |
//! | `reserve` | room on the disk, to publish what is durable when there is no other | the operator |
//! | `lock` | held by the one process that may append | |
//!
//! A batch of entries becomes durable with one flush of the journal; tiles, claims and checkpoints follow
//! without a flush and are replayed from the journal when the log is opened.

mod audit;
mod authority;
mod claims;
mod clock;
mod cosign;
#[cfg(test)]
mod crash;
mod disk;
mod endorse;
mod endorsing;
#[cfg(test)]
mod faults;
mod files;
mod folder;
mod growth;
mod history;
mod journal;
mod key;
mod rehash;
mod reserve;
mod sequencer;
pub mod tile;
pub mod tree;
mod witness;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use timemark_verify::FormatError;

pub use audit::AuditReport;
pub use authority::{AuthorityClient, AuthorityError, Token};
pub use clock::{Clock, ClockStepped, Reading, system_seconds};
pub use endorsing::{Endorsers, Stamped};
pub use folder::tiles_dir;
pub use history::{History, Newest, Standing};
pub use key::{LogKey, SigningKey};
pub use sequencer::{Entry, FlushWorks, Log};
pub use witness::{AddCheckpoint, Answer, Witness, WitnessClient, WitnessError};

/// Why the log could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// Another process has the log open.
    #[error("another process is using this archive ({path})", path = .path.display())]
    Busy {
        /// The lock file.
        path: PathBuf,
    },
    /// The disk said no.
    #[error("{path}: {reason}", path = .path.display())]
    Io {
        /// The file or folder concerned.
        path: PathBuf,
        /// What the system says.
        reason: io::Error,
    },
    /// There is no room left; nothing of the batch was appended. The log goes on when there is room again.
    #[error(
        "the disk is full: nothing is registered until {} can keep {} MiB free for the log",
        .path.display(), reserve.div_ceil(1 << 20)
    )]
    DiskFull {
        /// The file that keeps the room.
        path: PathBuf,
        /// How many bytes it needs.
        reserve: u64,
    },
    /// A file does not hold what the log wrote.
    #[error("{path} is damaged: {reason}", path = .path.display())]
    Damaged {
        /// The file concerned.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The works of a batch could not be made durable, so that nothing of it was appended.
    #[error("the works could not be made durable: {0}")]
    Works(Box<dyn std::error::Error + Send + Sync>),
    /// The batch is durable, but its tiles could not be written.
    #[error(
        "registered, but not yet published ({reason}); once the archive is opened again, registering it again gives the receipt"
    )]
    Unpublished {
        /// What failed.
        reason: String,
    },
    /// The log has signed more than this folder holds.
    #[error(
        "this folder is an old copy: a witness holds a checkpoint of {seen} entries that this log signed, and \
         here is another tree, of {size} entries; nothing more is signed"
    )]
    OldCopy {
        /// Entries of the tree that was signed.
        seen: u64,
        /// Entries of the tree in the folder.
        size: u64,
        /// The checkpoint that the witness holds.
        note: String,
    },
    /// There are only public keys here.
    #[error("the log's private keys are not here: nothing can be signed")]
    CannotSign,
    /// The receipt is not one of this log's.
    #[error("this is no receipt of the log {origin}")]
    NotOurs {
        /// The log's name.
        origin: String,
    },
    /// The claim behind this entry was erased.
    #[error("the claim behind entry {index} was erased")]
    Erased {
        /// The entry's number.
        index: u64,
    },
    /// There is a log in this folder already.
    #[error("{path} holds a log already", path = .path.display())]
    Exists {
        /// The folder.
        path: PathBuf,
    },
    /// An earlier write failed in a way that only a fresh start can settle.
    #[error("the log stopped after an earlier failure ({reason}); open it again")]
    Stopped {
        /// The earlier failure.
        reason: String,
    },
    /// The batch in which this entry stood failed.
    #[error(transparent)]
    Batch(Arc<LogError>),
    /// What this entry publishes is no work, and has no receipt.
    #[error("entry {index} registers no work")]
    NoWork {
        /// The entry's number.
        index: u64,
    },
    /// There is no entry of this number.
    #[error("the log has no entry {index}: it holds {size}")]
    NoEntry {
        /// The number asked for.
        index: u64,
        /// How many entries there are.
        size: u64,
    },
    /// What should be appended is no claim that a reader would accept.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// The operating system gave no random bytes.
    #[error("the operating system gave no random bytes")]
    NoRandomness,
}

impl LogError {
    pub(crate) fn damaged(path: &Path, reason: impl Into<String>) -> LogError {
        LogError::Damaged { path: path.to_owned(), reason: reason.into() }
    }
}
