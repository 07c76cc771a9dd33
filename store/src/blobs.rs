//! What a store of works promises: bytes go in, and the same bytes come out under their digest.

use std::io::{self, Read};
use std::path::PathBuf;

use sha2::{Digest, Sha256};
use timemark_verify::{ContentId, WorkDigests};

/// A store of works. It keeps bytes and trusts nobody's word for what they are, not even its own
/// disk's: what comes in is hashed, and so is what goes out.
pub trait BlobStore: Send + Sync {
    /// Streams in a work, which is durable at the next [`BlobStore::sync`]. Putting it again changes
    /// nothing, and threads may put the same bytes at once. A work that fails leaves nothing behind.
    fn put(&self, bytes: &mut dyn Read) -> Result<WorkDigests, BlobError>;

    /// Opens a work. The reader verifies as it goes: if the bytes are not those of the id, it fails
    /// with [`BlobError::Altered`] (inside an [`io::Error`]) where it would have signalled the end,
    /// so use nothing of it before that.
    fn get(&self, id: &ContentId) -> Result<Box<dyn Read + Send>, BlobError>;

    /// Whether a work of this id is kept; it may turn out to be altered when it is read.
    fn has(&self, id: &ContentId) -> Result<bool, BlobError>;

    /// One flush for everything whose `put` returned before: it survives a power cut once this
    /// returns. After a failure, a store may refuse every later flush, as it cannot know what is lost.
    fn sync(&self) -> Result<(), BlobError>;

    /// A whole work, verified, in memory; a longer one is refused.
    fn read(&self, id: &ContentId, bytes_max: u64) -> Result<Vec<u8>, BlobError> {
        let mut bytes = Vec::new();
        let read = self.get(id)?.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes);
        if bytes.len() as u64 > bytes_max {
            return Err(BlobError::TooLong { id: *id, bytes_max });
        }
        match read {
            Ok(_) => Ok(bytes),
            Err(error) => Err(error
                .downcast()
                .unwrap_or_else(|source| BlobError::Io { path: id.to_string().into(), source })),
        }
    }
}

/// Why a work could not be stored or read.
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
