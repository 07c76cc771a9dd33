//! A time-stamp authority in a folder (RFC 3161, RFC 5816): bytes of a request in, bytes of a response
//! out. This room does not know HTTP, works, or the log.
//!
//! | path | what | who may see it |
//! |---|---|---|
//! | `tsa.crt`, `root.crt` | the two certificates, [`Authority::chain_pem`] | everybody |
//! | `tsa.key` | signs tokens and nothing else | the operator |
//! | `root.key` | signed `tsa.crt`; not needed to issue, best kept elsewhere | the operator |
//! | `issued` | which run this is, and the time of the last token | the operator |
//! | `lock` | held by the one process that may issue | |
//!
//! A token's time is whole seconds of UTC, rounded down. Fractions would be allowed, but there are
//! clients that read none (`x509-tsp` 0.1), a machine's clock is seldom right to the millisecond, and
//! whole seconds let the last time said be durable with one flush a second. What that costs is in the
//! token's accuracy.

mod authority;
mod certificate;
pub mod clock;
mod disk;
mod ledger;
mod policy;
mod request;
mod response;
mod token;

use std::io;
use std::path::{Path, PathBuf};

pub use authority::Authority;
pub use clock::{Clock, ClockFault, Reading};

/// Why an authority could not be made, opened, or made to issue.
#[derive(Debug, thiserror::Error)]
pub enum TsaError {
    /// Another process has the authority open.
    #[error("another process is using this time-stamp authority ({path})", path = .path.display())]
    Busy {
        /// The lock file.
        path: PathBuf,
    },
    /// There is something in the place already.
    #[error("{path} exists already", path = .path.display())]
    Exists {
        /// The folder.
        path: PathBuf,
    },
    /// The name cannot stand in a certificate.
    #[error("the authority cannot have this name: {reason}")]
    Name {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The disk said no.
    #[error("{path}: {reason}", path = .path.display())]
    Io {
        /// The file or folder concerned.
        path: PathBuf,
        /// What the system says.
        reason: io::Error,
    },
    /// A file does not hold what was written.
    #[error("{path} is damaged: {reason}", path = .path.display())]
    Damaged {
        /// The file concerned.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The clock cannot be answered for.
    #[error(transparent)]
    Clock(#[from] ClockFault),
    /// The certificate is no longer valid.
    #[error("the authority's certificate has expired; make a new authority")]
    Expired,
    /// Every serial number was given.
    #[error("the authority has no serial numbers left; make a new authority")]
    Exhausted,
    /// Something has no DER encoding, such as a time after the year 9999.
    #[error("no DER encoding: {0}")]
    Encoding(#[from] der::Error),
    /// The operating system gave no random bytes.
    #[error("the operating system gave no random bytes")]
    NoRandomness,
}

impl TsaError {
    pub(crate) fn damaged(path: &Path, reason: impl Into<String>) -> TsaError {
        TsaError::Damaged { path: path.to_owned(), reason: reason.into() }
    }
}

impl From<der::ErrorKind> for TsaError {
    fn from(kind: der::ErrorKind) -> TsaError {
        TsaError::Encoding(kind.into())
    }
}
