//! Why something could not be done with an endpoint or a delivery.

use std::error::Error;
use std::io;
use std::path::PathBuf;

/// What went wrong, and whose fault it is.
#[derive(Debug, thiserror::Error)]
pub enum HookError {
    /// There is no such endpoint.
    #[error("there is no such webhook")]
    NoEndpoint,
    /// There is no such delivery of this endpoint, or it is no longer kept.
    #[error("this webhook has no such delivery, or it is no longer kept")]
    NoDelivery,
    /// Nothing is sent to this URL.
    #[error("nothing is sent to this URL: {0}")]
    Url(String),
    /// What is wanted of an endpoint cannot be.
    #[error("{0}")]
    Wish(String),
    /// As many endpoints as there may be.
    #[error("there are {0} webhooks already")]
    TooMany(usize),
    /// As many deliveries as may be pending before more are asked for.
    #[error("{0} deliveries are pending already")]
    Busy(usize),
    /// Where events come from failed.
    #[error("what happened could not be read")]
    Source(#[source] Box<dyn Error + Send + Sync>),
    /// The system gives no random numbers, of which secrets are made.
    #[error("the system gives no random numbers")]
    NoRandomness,
    /// The table is damaged or of another version.
    #[error("{} cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The disk failed, or is full.
    #[error("{} failed", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl From<HookError> for timemark_tables::Failure<HookError> {
    fn from(error: HookError) -> Self {
        timemark_tables::Failure::Refused(error)
    }
}
