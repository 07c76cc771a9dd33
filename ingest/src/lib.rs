//! The two flows of Timemark: a file becomes a receipt, a collection becomes findings.
//!
//! This floor knows the rooms below and connects them; it does not know the command line, HTTP, or which
//! backends an operator chose.

mod actions;
mod amend;
mod audit;
mod beneath;
mod creator;
mod derive;
mod descriptors;
mod detect;
mod engine;
mod erase;
mod exclusive;
mod finding;
mod glance;
mod judge;
mod lookup;
pub mod media;
mod neural;
mod newcomers;
mod outcome;
mod preview;
mod queue;
mod register;
mod repeats;
mod scan;
pub mod sources;
mod strength;
mod walk;

pub use actions::{Act, Acted};
pub use amend::{AmendError, AmendedClaim, Correction, Fate, correct, withdraw};
pub use audit::{ArchiveAudit, audit};
pub use beneath::Beneath;
pub use creator::{CreatorKey, CreatorKeyError};
pub use derive::DeriveError;
pub use descriptors::are_descriptors;
pub use engine::{Engine, Salter};
pub use erase::{Disown, EraseError, Erasure, erase, erase_whole, names_nobody};
pub use finding::{Finding, Method};
pub use judge::PLACES_MIN;
pub use lookup::{Nearby, exact_finding, near_code};
pub use neural::{Neural, NeuralError};
pub use newcomers::{Newcomer, Newcomers, SuspectCodes, beginning, by_codes_alone};
pub use outcome::{Outcome, Scanned, Summary, Trace};
pub use preview::{PreviewError, preview};
pub use register::{
    RegisterError, Registration, Status, Submission, Unseen, check, check_texts, register,
    register_unseen,
};
pub use scan::{
    Asked, Depth, IsDone, Keep, RADIUS_DEFAULT, ScanError, ScanOptions, Stages, Thumbnail, compare,
    compare_bytes, scan, scan_keeping,
};
pub use strength::Strength;
pub use timemark_store::{Record, Registrations, Stored, registrations};
pub use walk::{Found, Sighting, WalkError, named, walk};
