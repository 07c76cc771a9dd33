//! Timemark's ground floor: what the files mean and whether they prove anything.
//!
//! Bytes come in, a [`Verdict`] or a [`Refusal`] goes out. This library opens no file or socket,
//! reads no clock and draws no random number, so that the same code can run in a court's terminal,
//! in a browser and in forty years.
//!
//! | what | where | source |
//! |---|---|---|
//! | the name of a work, its digests | [`ContentId`], [`WorkDigests`] | FIPS 180-4, GB/T 32905, CIDv1 |
//! | what a claimant says, what the log publishes | [`Claim`], [`Leaf`] | docs/formats.md |
//! | Merkle hashes and proofs | [`merkle`] | RFC 6962 section 2.1 |
//! | signed notes and verifier keys | [`Note`], [`VerifierKey`] | c2sp.org/signed-note |
//! | checkpoints and cosignatures | [`Checkpoint`] | c2sp.org/tlog-checkpoint, tlog-cosignature |
//! | whom to trust | [`Policy`] | c2sp.org/tlog-policy |
//! | time-stamps of authorities | [`Timestamp`], [`TimestampRequest`] | RFC 3161, RFC 5816 |
//! | evidence that is renewed for decades | [`EvidenceRecord`], [`HashTree`], [`Policy::follow`] | RFC 4998 |
//! | everything for a court in one file | [`BundleReader`], [`Manifest`] | docs/formats.md |
//! | every check by itself, and how others repeat it | [`steps`](fn@steps), [`expert_files`] | |
//! | what the staff did | [`Action`] | docs/formats.md |
//! | the receipt file | [`Receipt`], [`Anchor`] | docs/formats.md, c2sp.org/tlog-proof |

mod action;
mod beside;
mod bundle;
mod certificate;
mod checkpoint;
mod chinese;
mod claim;
mod content;
mod evidence_record;
mod expert;
mod expert_script;
mod fingerprint;
mod hash_tree;
mod leaf;
pub mod merkle;
mod note;
mod outcome;
mod policy;
mod receipt;
mod renewal;
mod session;
mod steps;
mod text;
mod timestamp;
mod verdict;
#[cfg(target_arch = "wasm32")]
mod wasm;

pub use action::Action;
pub use bundle::{
    Bundle, BundleFault, BundleItem, BundleOutcome, BundleReader, Entry, ItemOutcome, Manifest,
    ManifestFile, Profile, clash, end_of_archive, is_bundle_path, local_header,
};
pub use certificate::attached_receipt;
pub use checkpoint::{BadSignature, Checkpoint, cosigned_message};
pub use claim::{Act, Amendment, Claim, ClaimFingerprint, CreatorSignature};
pub use content::{ContentId, WorkDigests, WorkHasher};
pub use evidence_record::{CheckedEvidence, EvidenceFault, EvidenceRecord};
pub use expert::{ExpertFile, expert_files};
pub use expert_script::{ExpertSubject, expert_corner};
pub use fingerprint::Fingerprint;
pub use hash_tree::{HashTree, ReducedHashTree};
pub use leaf::Leaf;
pub use note::{KeyKind, Note, NoteSignature, SM2_IDENTITY, VerifierKey};
pub use outcome::{
    AmendedTold, AnchorTold, Answer, ClaimTold, FileTold, Outcome, PathTold, RenewalTold,
    SignatureTold, TimestampTold, TokenTold, Trust, TrustSource, TrustTold, WitnessTold,
};
pub use policy::{Authority, Policy, Rule, TrustedLog, Witness};
pub use receipt::{Anchor, OtherSection, Receipt};
pub use renewal::{Aged, RecordSubject, RenewalFault, Renewed};
pub use session::Session;
pub use steps::{Step, StepState, steps};
pub use text::{escape, hides, seconds_of_utc, unescape, utc};
pub use timestamp::{
    AuthorityRefusal, CheckedTimestamp, DigestAlgorithm, ResponseFault, Timestamp,
    TimestampAuthority, TimestampFault, TimestampRequest,
};
pub use verdict::{
    AuthorityTime, Refusal, Untrusted, Verdict, WitnessTime, check_without_trust, verify,
};

/// Bytes that cannot be read as what they should be. It says nothing about truth or trust.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {reason}")]
pub struct FormatError {
    what: &'static str,
    reason: String,
}

impl FormatError {
    /// Longest reason in characters: what is quoted in it comes from outside.
    const REASON_CHARS_MAX: usize = 300;

    /// An error in a `what`, for this reason (a sentence without a full stop).
    pub fn new(what: &'static str, reason: impl Into<String>) -> FormatError {
        let mut reason = reason.into();
        if let Some((end, _)) = reason.char_indices().nth(FormatError::REASON_CHARS_MAX) {
            reason.truncate(end);
            reason.push('…');
        }
        FormatError { what, reason }
    }
}
