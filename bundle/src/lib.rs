//! Evidence bundles: which papers a profile asks for, and the zip file in which they lie.
//!
//! The format is that of `timemark_verify::Manifest`; this room writes it. It does not know the log, works or matches:
//! files come in as [`Part`]s, and who registers the manifest is the caller's.

mod facts;
mod papers;
mod write;

pub use facts::{Fact, FactError, Facts};
pub use papers::{Item, Maker, Paper, PaperError, papers};
pub use write::{Part, WriteError, write};
