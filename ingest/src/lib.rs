//! The two flows of Timemark: a file becomes a receipt, a collection becomes findings.
//!
//! This floor knows the rooms below and connects them; it does not know the command line, HTTP, or which
//! backends an operator chose.

mod audit;
mod creator;
mod derive;
mod engine;
mod exclusive;
pub mod media;
mod register;
mod scan;
mod trim;
mod walk;

pub use audit::{ArchiveAudit, audit};
pub use creator::{CreatorKey, CreatorKeyError};
pub use derive::DeriveError;
pub use engine::{Engine, Salter};
pub use register::{RegisterError, Registration, Status, Submission, register};
pub use scan::{
    Finding, Method, Outcome, RADIUS_DEFAULT, ScanError, ScanOptions, Summary, compare, scan,
};
pub use walk::{Found, Sighting, WalkError, walk};
