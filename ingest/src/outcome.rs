//! What became of suspects, and what a scan came upon.

use std::sync::Arc;

use timemark_verify::ContentId;

use crate::finding::Finding;
use crate::newcomers::SuspectCodes;
use crate::sources::SuspectName;

/// What became of one suspect.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It was compared with all works.
    Compared {
        /// It is a copy of these, of parts of them, or holds copies; best first.
        matches: Vec<Finding>,
        /// It shares elements with these, which is not asserted to be copying; best first.
        related: Vec<Finding>,
    },
    /// It has too little detail to tell.
    Undecidable,
    /// It could not be compared, for this reason.
    Error(String),
}

impl Outcome {
    /// A copy of no work.
    pub const CLEAR: Outcome = Outcome::Compared { matches: Vec::new(), related: Vec::new() };

    /// The works that it is a copy of.
    pub fn matches(&self) -> &[Finding] {
        if let Outcome::Compared { matches, .. } = self { matches } else { &[] }
    }

    /// The works that it shares elements with.
    pub fn related(&self) -> &[Finding] {
        if let Outcome::Compared { related, .. } = self { related } else { &[] }
    }

    /// `match`, `clear`, `undecidable` or `error`.
    pub fn status(&self) -> &'static str {
        match self {
            Outcome::Compared { matches, .. } if matches.is_empty() => "clear",
            Outcome::Compared { .. } => "match",
            Outcome::Undecidable => "undecidable",
            Outcome::Error(_) => "error",
        }
    }
}

/// What a scan came upon.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Suspects compared, errors included.
    pub suspects: u64,
    /// Suspects that are copies.
    pub matches: u64,
    /// Suspects with too little detail.
    pub undecidable: u64,
    /// Suspects that could not be compared.
    pub errors: u64,
    /// Receipts and archives that were passed over.
    pub skipped: u64,
}

impl Summary {
    /// Counts another suspect.
    pub fn count(&mut self, outcome: &Outcome) {
        self.suspects += 1;
        match outcome {
            Outcome::Compared { matches, .. } => self.matches += u64::from(!matches.is_empty()),
            Outcome::Undecidable => self.undecidable += 1,
            Outcome::Error(_) => self.errors += 1,
        }
    }
}

/// A suspect and what became of it.
#[derive(Clone, Debug)]
pub struct Scanned {
    /// How it is called.
    pub name: SuspectName,
    /// The SHA-256 of its bytes, if they could be read.
    pub content: Option<ContentId>,
    /// What became of it.
    pub outcome: Arc<Outcome>,
    /// A small JPEG of it, where [`ScanOptions::thumbnail_side`] asks for one, works were found and its bytes are new; or
    /// why there is none.
    pub thumbnail: Option<Result<Vec<u8>, String>>,
    /// What has to be kept of it to compare it with works that come later.
    pub trace: Trace,
}

/// How a suspect was compared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// The entries of the log below this number are those that it was compared with at least.
    pub entries: u64,
    /// Whether the same bytes were compared before, and it has their outcome.
    pub is_repeat: bool,
    /// The codes by which it was looked up; of a repeat there are none.
    pub codes: SuspectCodes,
}
