//! The evidence bundle: works, receipts and what belongs to them in one zip file that verifies by itself.
//!
//! The zip has one spelling (`zip.rs`): entries are stored, in the order of the manifest (`manifest.rs`), with no field that
//! could hold anything else. So it is read as a stream, in the memory of its receipts (`reader.rs`), and every bit of it is
//! checked: the contents by the manifest, which is itself a registered work, the rest by being what a writer would have
//! written. Any unzip program opens it. What it proves is the worst of what its receipts prove (`outcome.rs`).
//! docs/formats.md defines it.

mod manifest;
mod outcome;
mod reader;
mod zip;

pub use manifest::{Manifest, ManifestFile, Profile, clash, is_bundle_path};
pub use outcome::{BundleOutcome, ItemOutcome};
pub use reader::{Bundle, BundleItem, BundleReader};
pub use zip::{Entry, end_of_archive, local_header};

use crate::Receipt;

/// Why a bundle proves nothing: the first check that failed, and at which file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{at}: {reason}")]
pub struct BundleFault {
    /// The name of the check, such as `bundle.file`.
    pub check: &'static str,
    /// The file in the bundle, or `bundle`.
    pub at: String,
    /// What is wrong.
    pub reason: String,
}

fn fault(check: &'static str, at: &str, reason: impl Into<String>) -> BundleFault {
    BundleFault { check, at: at.to_owned(), reason: reason.into() }
}

/// The file of which this one is the receipt, by its name.
fn work_of(path: &str) -> Option<&str> {
    path.strip_suffix(Receipt::FILE_EXTENSION)?.strip_suffix('.')
}

const ZIP: &str = "bundle.zip";
const MANIFEST: &str = "bundle.manifest";
const FILE: &str = "bundle.file";
const MISSING: &str = "bundle.missing";
