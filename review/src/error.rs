//! Why something could not be done with jobs and matches, and whose fault that is.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use crate::job::JobState;

/// Why a request about jobs or matches failed.
#[derive(Debug, thiserror::Error)]
pub enum ReviewError {
    /// The file of jobs and matches is damaged, or of another version.
    #[error("{} cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<dyn Error + Send + Sync>,
    },
    /// Its disk failed, or is full.
    #[error("{} failed", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// There is no such job.
    #[error("there is no scan {0}")]
    NoJob(u64),
    /// There is no such match.
    #[error("there is no match of this id")]
    NoMatch,
    /// There is no such domain on the list.
    #[error("{0} is not on the list")]
    NoDomain(String),
    /// This cannot be done with a job in that state.
    #[error("the scan is {state} and cannot be {wanted}")]
    WrongState {
        /// What it is.
        state: JobState,
        /// What it was to become.
        wanted: &'static str,
    },
    /// Nothing was decided that could be undone.
    #[error("no verdict was given that could be undone")]
    NothingToUndo,
    /// A path that may not be scanned.
    #[error("this is not below a folder that may be scanned")]
    OutsideRoots,
    /// A path below such a folder, where nothing is.
    #[error("nothing can be read at {0:?}")]
    NothingThere(String),
    /// A job that makes no sense.
    #[error("{0}")]
    BadJob(&'static str),
    /// No name of a domain.
    #[error("{0:?} is no name of a domain: it is like shop.example, in ASCII, with a dot")]
    BadDomain(String),
    /// More jobs, or more bytes in them, than are kept waiting.
    #[error("{0}")]
    TooMany(String),
}
