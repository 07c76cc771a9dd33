//! What a store of blobs promises: bytes go in, and the same bytes come out under their digest.

use std::error::Error;
use std::fmt;
use std::io::{self, Read};
use std::path::PathBuf;

use sha2::{Digest, Sha256};
use timemark_verify::{ContentId, WorkDigests};

use crate::dag::DagCid;

/// Where a blob is asked for. Whoever keeps it finds it by one or the other name of the same bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    /// SHA-256 of the bytes: by which everybody verifies, and files and buckets name them.
    pub content: ContentId,
    /// By which an IPFS node names them.
    pub dag: DagCid,
}

impl Address {
    /// The address of a blob of at most one chunk ([`CHUNK_BYTES`](crate::dag::CHUNK_BYTES)).
    pub const fn of_one_chunk(content: ContentId) -> Address {
        Address { content, dag: DagCid::raw(&content) }
    }
}

/// What a store took in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Three digests and the length.
    pub digests: WorkDigests,
    /// The address by which an IPFS node names the same bytes.
    pub dag: DagCid,
}

impl Stored {
    /// What is known of a work of at most one chunk ([`CHUNK_BYTES`](crate::dag::CHUNK_BYTES)).
    pub const fn of_one_chunk(digests: WorkDigests) -> Stored {
        Stored { digests, dag: DagCid::raw(&digests.content()) }
    }

    /// Whether the two addresses are of one work: that of a single chunk has but one, and that of several has two.
    pub fn fits_its_length(&self) -> bool {
        let is_one_chunk = self.digests.length <= crate::dag::CHUNK_BYTES as u64;
        is_one_chunk == (self.dag == DagCid::raw(&self.digests.content()))
    }

    /// Where to ask for it.
    pub const fn address(&self) -> Address {
        Address { content: self.digests.content(), dag: self.dag }
    }
}

/// A store of blobs. It keeps bytes and trusts nobody's word for what they are, not even its own
/// disk's: what comes in is hashed, and so is what goes out.
pub trait BlobStore: Send + Sync {
    /// What it is and where, as in "the IPFS node http://127.0.0.1:5001".
    fn name(&self) -> String;

    /// Streams in a blob, which is durable at the next [`BlobStore::sync`]. Putting it again changes
    /// nothing, and threads may put the same bytes at once. A blob that fails leaves nothing behind.
    fn put(&self, bytes: &mut dyn Read) -> Result<Stored, BlobError>;

    /// As [`BlobStore::put`], where it is known what the bytes should be: others are
    /// [`BlobError::Altered`], and not kept.
    fn put_as(&self, at: &Address, bytes: &mut dyn Read) -> Result<(), BlobError> {
        let stored = self.put(bytes)?;
        if stored.address() == *at {
            return Ok(());
        }
        self.remove(&stored.address())?;
        Err(BlobError::Altered { id: at.content })
    }

    /// Opens a blob. The reader verifies as it goes: if the bytes are not those of the address, it fails
    /// with [`BlobError::Altered`] (inside an [`io::Error`]) where it would have signalled the end,
    /// so use nothing of it before that.
    fn get(&self, at: &Address) -> Result<Box<dyn Read + Send>, BlobError>;

    /// Whether a blob is kept; it may turn out to be altered when it is read.
    fn has(&self, at: &Address) -> Result<bool, BlobError>;

    /// Forgets a blob; one that is not there is forgotten already.
    fn remove(&self, at: &Address) -> Result<(), BlobError>;

    /// Puts a blob in the place of one that is not what it was.
    fn heal(&self, at: &Address, bytes: &mut dyn Read) -> Result<(), BlobError> {
        self.put_as(at, bytes)
    }

    /// One flush for everything whose `put` returned before: it survives a power cut once this
    /// returns. After a failure, a store may refuse every later flush, as it cannot know what is lost.
    fn sync(&self) -> Result<(), BlobError>;

    /// A whole blob, verified, in memory; a longer one is refused.
    fn read(&self, at: &Address, bytes_max: u64) -> Result<Vec<u8>, BlobError> {
        read_whole(&mut *self.get(at)?, at.content, bytes_max)
    }
}

/// Reads a verifying reader to its end.
pub(crate) fn read_whole(
    blob: &mut dyn Read,
    id: ContentId,
    bytes_max: u64,
) -> Result<Vec<u8>, BlobError> {
    let mut bytes = Vec::new();
    let read = blob.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes);
    if bytes.len() as u64 > bytes_max {
        return Err(BlobError::TooLong { id, bytes_max });
    }
    read.map(|_| bytes).map_err(|error| told_by(error, id))
}

/// What a verifying reader found.
pub(crate) fn told_by(error: io::Error, id: ContentId) -> BlobError {
    error.downcast().unwrap_or_else(|source| BlobError::Io { path: id.to_string().into(), source })
}

/// Why a blob could not be stored or read.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// Nothing is kept under this id.
    #[error("work {id} is not in the store")]
    Missing {
        /// The work asked for.
        id: ContentId,
    },
    /// What is kept under this id has another digest; putting the true bytes heals it.
    #[error("the bytes kept as work {id} are not that work any more")]
    Altered {
        /// The work asked for.
        id: ContentId,
    },
    /// The work is longer than the reader allows.
    #[error("work {id} is longer than {bytes_max} bytes")]
    TooLong {
        /// The work asked for.
        id: ContentId,
        /// The reader's limit.
        bytes_max: u64,
    },
    /// The work could not be read from where it came; the store is well.
    #[error("the work could not be read")]
    Source(#[source] io::Error),
    /// The store's own disk failed, or is full.
    #[error("the store cannot use {}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The work is registered by its digests alone: its bytes were never kept.
    #[error("of work {id} only digests were kept, as was asked for")]
    NotKept {
        /// The work asked for.
        id: ContentId,
    },
    /// The work is kept sealed, to keys that are not here.
    #[error("work {id} is sealed, and the key that opens it is not here")]
    Sealed {
        /// The work asked for.
        id: ContentId,
    },
    /// A record of where a work lies cannot be read.
    #[error("{} says where a work lies and is damaged", path.display())]
    Record {
        /// The record.
        path: PathBuf,
    },
    /// A store elsewhere did not do what it was asked for.
    #[error("{store} {problem}")]
    Remote {
        /// [`BlobStore::name`] of it.
        store: String,
        /// What came of it.
        problem: RemoteProblem,
        /// What its client says.
        source: Option<Box<dyn Error + Send + Sync>>,
    },
}

impl BlobError {
    /// Whether the work itself is not to be had, so that others must do without it. That a store is away is another
    /// matter.
    pub const fn is_lost(&self) -> bool {
        use BlobError::{Altered, Missing, NotKept, Record, Sealed};
        matches!(
            self,
            Missing { .. } | Altered { .. } | NotKept { .. } | Sealed { .. } | Record { .. }
        )
    }
}

/// What became of a request to a store elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RemoteProblem {
    /// Nobody answered.
    Unreachable,
    /// It did not answer, or did not go on, for so many seconds.
    TimedOut(u64),
    /// It has no room.
    Full,
    /// It does not let us.
    Denied,
    /// It said that it failed, or its answer could not be read.
    Failed,
    /// It named other bytes than those it was given, or gave others than those it was asked for.
    Lied {
        /// What it should have been.
        expected: String,
        /// What it said.
        said: String,
    },
}

impl fmt::Display for RemoteProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RemoteProblem::Unreachable => f.write_str("does not answer"),
            RemoteProblem::TimedOut(seconds) => {
                write!(f, "did not answer within {seconds} s")
            }
            RemoteProblem::Full => f.write_str("has no room left"),
            RemoteProblem::Denied => f.write_str("does not let us in"),
            RemoteProblem::Failed => f.write_str("failed"),
            RemoteProblem::Lied { expected, said } => {
                write!(f, "answered {said} where {expected} was right")
            }
        }
    }
}

/// A reader that fails at the end of the stream if the bytes were not those of the id: what a
/// backend's `get` hands out. It hashes with SHA-256 alone, many times as fast as all digests are.
pub struct Verified<R> {
    inner: R,
    hasher: Sha256,
    id: ContentId,
}

impl<R: Read> Verified<R> {
    /// Reads what should be this work.
    pub fn new(id: ContentId, inner: R) -> Verified<R> {
        Verified { inner, hasher: Sha256::new(), id }
    }
}

impl<R: Read> Read for Verified<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..read]);
        let at_end = read == 0 && !buffer.is_empty();
        if at_end && self.hasher.clone().finalize()[..] != self.id.sha256()[..] {
            let altered = BlobError::Altered { id: self.id };
            return Err(io::Error::new(io::ErrorKind::InvalidData, altered));
        }
        Ok(read)
    }
}
