//! Flow 1: a file becomes a receipt.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::path::Path;

use timemark_store::encoding::Recipients;
use timemark_store::{BlobError, Record, Registrations, RegistryError, Stored};
use timemark_tlog::LogError;
use timemark_verify::{Claim, ClaimFingerprint, ContentId, Receipt, WorkDigests, escape};
use timemark_vision::{Features, Kind, Pdq, second};
use tracing::info_span;

use crate::creator::CreatorKey;
use crate::derive::DeriveError;
use crate::descriptors;
use crate::engine::Engine;
use crate::exclusive::{Permit, Turn};
use crate::finding::Finding;
use crate::lookup::{Nearby, exact_finding};
use crate::media::{self, Limits, MediaError};

/// A file and what its claimant says of it.
#[derive(Clone, Copy, Default)]
pub struct Submission<'a> {
    /// The work's title.
    pub title: Option<&'a str>,
    /// Who claims.
    pub claimant: Option<&'a str>,
    /// When the work was made, as claimed.
    pub created: Option<&'a str>,
    /// Under which terms it may be used.
    pub rights: Option<&'a str>,
    /// The collection it belongs to.
    pub collection: Option<&'a str>,
    /// The creator's own key.
    pub creator_key: Option<&'a CreatorKey>,
    /// The path to state in the claim, where it is not the one that is read.
    pub stated_path: Option<&'a Path>,
    /// A second kind of fingerprint beside PDQ.
    pub second_kind: Option<Kind>,
    /// Register a file that looks like a picture and does not decode, without fingerprint.
    pub bytes_only: bool,
    /// Keep the work's digests and what it looks like, and not the work.
    pub hash_only: bool,
    /// To whom the work is sealed, where that is not to whom all are.
    pub seal_to: Option<&'a Recipients>,
}

/// What came of a registration.
#[derive(Debug)]
pub struct Registration {
    /// Whether the work is new.
    pub status: Status,
    /// The receipt.
    pub receipt: Receipt,
    /// Earlier works of the same bytes by others, and those that look alike, nearest first.
    pub similar: Vec<Finding>,
    /// What was said now and is not in the earlier claim, which stands: a work has one claim by a claimant.
    pub not_taken: Vec<&'static str>,
    /// Registered from here on, but registry or index could not follow; they do at the next start.
    pub behind: Option<DeriveError>,
}

/// Whether a registered work is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// The work was appended to the log.
    Registered,
    /// The same bytes by the same claimant are in the log already.
    Duplicate,
}

/// Why a file was not registered.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// The file could not be read.
    #[error("it cannot be read")]
    Unreadable(#[source] io::Error),
    /// What is said of the work does not fit into a claim.
    #[error("its {what} takes more than {} bytes", Claim::TEXT_BYTES_MAX)]
    TextTooLong {
        /// Which of the texts.
        what: &'static str,
    },
    /// The file changed under our hands.
    #[error("it changed while it was being read")]
    Changed,
    /// The file says it is a picture and is not one that can be decoded.
    #[error(
        "it begins as a picture and cannot be decoded (--bytes-only registers it all the same)"
    )]
    Picture(#[source] MediaError),
    /// The store failed.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// The registry failed.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The log failed, or what the claimant says cannot stand in a claim.
    #[error(transparent)]
    Log(#[from] LogError),
}

impl RegisterError {
    /// Whether the same file may be registered later all the same.
    pub const fn may_pass(&self) -> bool {
        use RegisterError::{Changed, Picture, TextTooLong};
        !matches!(self, Changed | Picture(_) | TextTooLong { .. })
    }
}

/// Registers a file. When this returns, the work, the claim, the entry and the checkpoint that covers it
/// are durable.
pub fn register(
    path: &Path,
    submission: &Submission<'_>,
    engine: &Engine,
) -> Result<Registration, RegisterError> {
    check_texts(submission)?;
    let claimant = said(submission.claimant);
    let InHand { work, decoder, turn: _turn } =
        info_span!("read").in_scope(|| take_up(path, submission, &claimant, engine))?;
    let digests = || work.digests();
    let earlier = earlier_registration(&work.content, digests, claimant.as_deref(), engine)?;
    if let Earlier::Stands(index) = earlier {
        return duplicate(index, submission, engine);
    }
    // In the pool, whose threads are few: what a picture takes, the allocator keeps a while for the thread that asked.
    let mut look = info_span!("look").in_scope(|| rayon::scope(|_| work.look(submission)))?;
    let digests = info_span!("store").in_scope(|| work.store(submission, engine))?;
    if let Some(look) = &look
        && (submission.hash_only || engine.works.seals_away(recipients(submission, engine)))
    {
        engine.works.put_descriptors(&work.content, &descriptors::to_bytes(&look.features))?;
    }
    let stated = submission.stated_path.or(Some(path));
    let submission = Submission { stated_path: stated, ..*submission };
    let mut claim = claim(&submission, digests, work.media_type, look.as_ref());
    claim.salt = engine.salter.salt(&claim, earlier.withdrawn());
    // Many may wait for the log at a time, but not with their works in memory.
    let content = work.content;
    drop((work, decoder));

    let features = look.as_mut().map(|look| std::mem::take(&mut look.features));
    let _ready = engine.features.keep(content, features);
    append(&claim, look.as_ref(), engine)
}

/// A work of which only digests come here: its claimant's own program computed them.
#[derive(Clone, Copy, Debug)]
pub struct Unseen<'a> {
    /// The digests, and the address by which an IPFS node names the work.
    pub work: Stored,
    /// What the bytes are, as the claimant says.
    pub media_type: &'a str,
}

/// Registers a work that nobody here has seen. Scans find its exact bytes and no edited copies.
pub fn register_unseen(
    unseen: &Unseen<'_>,
    submission: &Submission<'_>,
    engine: &Engine,
) -> Result<Registration, RegisterError> {
    check_texts(submission)?;
    let content = unseen.work.digests.content();
    let claimant = said(submission.claimant);
    let _turn = engine.in_hand.wait_for((content, claimant.clone()));
    let digests = || unseen.work.digests;
    let earlier = earlier_registration(&content, digests, claimant.as_deref(), engine)?;
    if let Earlier::Stands(index) = earlier {
        return duplicate(index, submission, engine);
    }
    let mut claim = claim(submission, unseen.work.digests, unseen.media_type, None);
    claim.salt = engine.salter.salt(&claim, earlier.withdrawn());
    Claim::parse(&claim.to_text()).map_err(LogError::Format)?; // before anything is written
    engine.works.note_unseen(&unseen.work)?;
    append(&claim, None, engine)
}

fn append(
    claim: &Claim,
    look: Option<&Look>,
    engine: &Engine,
) -> Result<Registration, RegisterError> {
    let receipt = info_span!("append").in_scope(|| engine.log.append(claim))?;
    // Registered from here on: whatever fails now, the receipt is handed out.
    let index = receipt.anchors[0].index;
    let followed = info_span!("follow").in_scope(|| engine.catch_up_with(index));
    let (similar, behind) = match followed {
        Ok(()) => (similar_earlier_works(look, index, &claim.work.content(), engine), None),
        Err(error) => (Vec::new(), Some(error)),
    };
    let status = Status::Registered;
    Ok(Registration { status, receipt, similar, not_taken: Vec::new(), behind })
}

/// A work that was read, the permit to decode it, and the turn among those who register the same.
struct InHand<'a> {
    work: Work,
    decoder: Permit<'a>,
    turn: Turn<'a, (ContentId, Option<String>)>,
}

/// Reads a file when it is its turn. Whoever registers the same may be waiting for the log: neither the permit nor the
/// work is held meanwhile, and the file is read again.
fn take_up<'a>(
    path: &Path,
    submission: &Submission<'_>,
    claimant: &Option<String>,
    engine: &'a Engine,
) -> Result<InHand<'a>, RegisterError> {
    let mut waited: Option<Turn<'_, _>> = None;
    loop {
        let decoder = engine.decoders.take();
        let work = Work::read(path, submission, engine)?;
        let wanted = (work.content, claimant.clone());
        // By now the file may be another.
        let turn = waited.take().filter(|turn| *turn.thing() == wanted);
        if let Some(turn) = turn.or_else(|| engine.in_hand.try_take(wanted.clone())) {
            return Ok(InHand { work, decoder, turn });
        }
        drop((work, decoder));
        waited = Some(engine.in_hand.wait_for(wanted));
    }
}

/// Tells whether [`register`] would take the file up: what is said of it fits into a claim, and it can be read and is not
/// too long. Only its beginning is read: nothing is decoded, and nothing is written.
pub fn check(path: &Path, submission: &Submission<'_>) -> Result<(), RegisterError> {
    check_texts(submission)?;
    Opened::file(path, submission).map(|_| ())
}

/// Tells whether what is said of a work fits into a claim.
pub fn check_texts(submission: &Submission<'_>) -> Result<(), RegisterError> {
    for (what, text) in [
        ("title", submission.title),
        ("claimant", submission.claimant),
        ("created", submission.created),
        ("rights", submission.rights),
        ("collection", submission.collection),
    ] {
        let spelled = text.map_or(0, |text| escape(text.as_bytes()).len());
        if spelled > Claim::TEXT_BYTES_MAX {
            return Err(RegisterError::TextTooLong { what });
        }
    }
    Ok(())
}

/// A file of which the beginning was read.
struct Opened {
    file: File,
    before: Metadata,
    start: Vec<u8>,
    is_picture: bool,
}

impl Opened {
    fn file(path: &Path, submission: &Submission<'_>) -> Result<Opened, RegisterError> {
        let mut file = File::open(path).map_err(RegisterError::Unreadable)?;
        let before = file.metadata().map_err(RegisterError::Unreadable)?;
        let mut start = Vec::new();
        let start_bytes = media::START_BYTES as u64;
        (&mut file).take(start_bytes).read_to_end(&mut start).map_err(RegisterError::Unreadable)?;
        let is_picture = media::has_picture_signature(&start);
        if is_picture && before.len() > media::FILE_BYTES_MAX && !submission.bytes_only {
            let reason = format!("the file is longer than {} bytes", media::FILE_BYTES_MAX);
            return Err(RegisterError::Picture(MediaError::TooLarge { reason }));
        }
        Ok(Opened { file, before, start, is_picture })
    }
}

/// A file on its way in.
struct Work {
    content: ContentId,
    media_type: &'static str,
    is_picture: bool,
    bytes: Bytes,
}

enum Bytes {
    /// In memory: a picture, to be looked at, or a short file, of which nothing is written if it is a duplicate.
    Here(Vec<u8>),
    /// Long, and not to be looked at: stored while it was read.
    Stored(WorkDigests),
}

/// The fingerprints of a picture.
struct Look {
    pdq: Option<Pdq>,
    second: Option<ClaimFingerprint>,
    features: Features,
}

impl Work {
    fn read(
        path: &Path,
        submission: &Submission<'_>,
        engine: &Engine,
    ) -> Result<Work, RegisterError> {
        let Opened { mut file, before, start: mut bytes, is_picture } =
            Opened::file(path, submission)?;
        let media_type = media::media_type(&bytes);
        let here_bytes_max = if is_picture { media::FILE_BYTES_MAX } else { HELD_BYTES_MAX };
        // A file that grows while it is read must not be read for ever.
        let rest = (before.len() + 1).saturating_sub(bytes.len() as u64);

        let bytes = if before.len() <= here_bytes_max {
            (&mut file).take(rest).read_to_end(&mut bytes).map_err(RegisterError::Unreadable)?;
            Bytes::Here(bytes)
        } else {
            let mut work = bytes.as_slice().chain((&mut file).take(rest));
            let stored = take_in(&mut work, submission, engine);
            Bytes::Stored(stored.map_err(|error| match error {
                BlobError::Source(error) => RegisterError::Unreadable(error),
                error => RegisterError::Blob(error),
            })?)
        };
        let (content, length) = match &bytes {
            Bytes::Here(bytes) => (ContentId::of(bytes), bytes.len() as u64),
            Bytes::Stored(digests) => (digests.content(), digests.length),
        };
        let after = file.metadata().map_err(RegisterError::Unreadable)?;
        if length != before.len() || !same_state(&before, &after) {
            return Err(RegisterError::Changed);
        }
        Ok(Work { content, media_type, is_picture, bytes })
    }

    /// The fingerprints, where the file is a picture.
    fn look(&self, submission: &Submission<'_>) -> Result<Option<Look>, RegisterError> {
        let Bytes::Here(bytes) = &self.bytes else { return Ok(None) };
        if !self.is_picture {
            return Ok(None);
        }
        let picture = match media::decode(bytes, &Limits::default()) {
            Ok(picture) => picture,
            Err(_) if submission.bytes_only => return Ok(None),
            Err(error) => return Err(RegisterError::Picture(error)),
        };
        let second = submission.second_kind.and_then(|kind| {
            let code = second::of_rgb(kind, &picture.rgb, picture.width, picture.height)?;
            ClaimFingerprint::new(&kind.to_string(), &code.to_string()).ok()
        });
        let pdq = Pdq::of_rgb(&picture.rgb, picture.width, picture.height);
        Ok(Some(Look { pdq, second, features: Features::of_work(&picture) }))
    }

    fn digests(&self) -> WorkDigests {
        match &self.bytes {
            Bytes::Here(bytes) => WorkDigests::of(bytes),
            Bytes::Stored(digests) => *digests,
        }
    }

    fn store(
        &self,
        submission: &Submission<'_>,
        engine: &Engine,
    ) -> Result<WorkDigests, RegisterError> {
        match &self.bytes {
            Bytes::Here(bytes) => Ok(take_in(&mut bytes.as_slice(), submission, engine)?),
            Bytes::Stored(digests) => Ok(*digests),
        }
    }
}

/// Stores a work, or takes note of it.
fn take_in(
    work: &mut dyn Read,
    submission: &Submission<'_>,
    engine: &Engine,
) -> Result<WorkDigests, BlobError> {
    let taken = match submission.hash_only {
        true => engine.works.note(work),
        false => engine.works.put_for(work, recipients(submission, engine)),
    };
    taken.map(|stored| stored.digests)
}

/// Who can open the work, if it is sealed.
fn recipients<'a>(submission: &Submission<'a>, engine: &'a Engine) -> Option<&'a Recipients> {
    submission.seal_to.or(engine.works.seal_to())
}

fn claim(
    submission: &Submission<'_>,
    digests: WorkDigests,
    media_type: &str,
    look: Option<&Look>,
) -> Claim {
    let mut fingerprints = Vec::new();
    if let Some(look) = look {
        fingerprints
            .extend(look.pdq.as_ref().map(|pdq| ClaimFingerprint::pdq(pdq.codes[0], pdq.quality)));
        fingerprints.extend(look.second.clone());
        fingerprints.sort();
    }
    let mut claim = Claim {
        work: digests,
        media_type: media_type.to_owned(),
        fingerprints,
        title: said(submission.title),
        claimant: said(submission.claimant),
        created: said(submission.created),
        rights: said(submission.rights),
        collection: said(submission.collection),
        path: submission.stated_path.map(|path| path.as_os_str().as_encoded_bytes().to_vec()),
        amends: None,
        creator: None,
        salt: [0; 32],
    };
    claim.creator = submission.creator_key.map(|key| key.sign(&claim));
    claim
}

/// What a claimant said; an empty text says nothing.
pub(crate) fn said(text: Option<&str>) -> Option<String> {
    text.filter(|text| !text.is_empty()).map(str::to_owned)
}

/// What this submission says beyond the claim that stands.
fn not_taken(submission: &Submission<'_>, claim: &Claim) -> Vec<&'static str> {
    let new =
        |given: Option<&str>, claimed: &Option<String>| given.is_some() && said(given) != *claimed;
    let signs = submission.creator_key.map(|key| key.sign(claim).key);
    let kind = submission.second_kind.map(|kind| kind.to_string());
    let has_kind = |kind: &String| claim.fingerprints.iter().any(|f| f.kind() == kind);
    [
        ("title", new(submission.title, &claim.title)),
        // Another than was asked for, where that was corrected.
        ("claimant", new(submission.claimant, &claim.claimant)),
        ("created", new(submission.created, &claim.created)),
        ("rights", new(submission.rights, &claim.rights)),
        ("collection", new(submission.collection, &claim.collection)),
        ("creator key", signs.is_some() && signs != claim.creator.map(|creator| creator.key)),
        ("second hash", kind.is_some_and(|kind| !has_kind(&kind))),
    ]
    .into_iter()
    .filter_map(|(what, not_taken)| not_taken.then_some(what))
    .collect()
}

/// What the same claimant said of the same bytes before.
enum Earlier {
    Nothing,
    /// The claim of this entry stands: theirs, or the one that theirs was corrected to.
    Stands(u64),
    /// The claim of this entry was withdrawn, and none stands.
    Withdrawn(u64),
}

impl Earlier {
    fn withdrawn(&self) -> Option<u64> {
        if let Earlier::Withdrawn(index) = self { Some(*index) } else { None }
    }
}

fn duplicate(
    index: u64,
    submission: &Submission<'_>,
    engine: &Engine,
) -> Result<Registration, RegisterError> {
    let receipt = engine.log.receipt(index)?;
    let not_taken = not_taken(submission, &receipt.claim);
    let (status, similar) = (Status::Duplicate, Vec::new());
    Ok(Registration { status, receipt, similar, not_taken, behind: None })
}

/// A claim made from digests alone may have one of them wrong: then it is about no work that there is, and nobody is bound
/// by it.
fn earlier_registration(
    content: &ContentId,
    digests: impl Fn() -> WorkDigests,
    claimant: Option<&str>,
    engine: &Engine,
) -> Result<Earlier, RegistryError> {
    let is_same = |record: &Record| {
        record.claim.as_ref().is_some_and(|claim| {
            claim.claimant.as_deref() == claimant
                && !claim.is_withdrawal()
                && claim.work == digests()
        })
    };
    let mut earlier = Earlier::Nothing;
    // Any number of others may have claimed the same bytes.
    let registry = &engine.registry;
    let read = |from, most| registry.by_claimant(content, claimant, from, most);
    for record in Registrations::from(0, read) {
        let record = record?;
        if !is_same(&record) {
            continue;
        }
        match engine.registry.standing(record.index)? {
            Some(stands) => return Ok(Earlier::Stands(stands.index)),
            None => earlier = Earlier::Withdrawn(record.index),
        }
    }
    Ok(earlier)
}

/// Earlier registrations of the same bytes by another, and earlier works that look alike. A warning is a
/// courtesy: that the registry cannot answer now does not undo a registration.
fn similar_earlier_works(
    look: Option<&Look>,
    index: u64,
    content: &ContentId,
    engine: &Engine,
) -> Vec<Finding> {
    let mut similar = Vec::new();
    similar.extend(exact_finding(content, engine).ok().flatten());
    if let Some(pdq) = look.and_then(|look| look.pdq.as_ref()) {
        let alike = Nearby::of(Kind::Pdq, &pdq.codes, pdq.quality, SIMILAR_RADIUS, engine);
        let earlier = alike.map_while(Result::ok).filter(|found| found.work != *content);
        similar.extend(earlier.filter(|found| found.index < index).take(SIMILAR_MAX));
    }
    similar.retain(|found| found.index < index);
    similar
}

/// Whether a file is as it was: nothing was written to it meanwhile.
fn same_state(before: &Metadata, after: &Metadata) -> bool {
    before.len() == after.len() && before.modified().ok() == after.modified().ok()
}

/// Bits of 256 within which an earlier work is named as similar: wider than what a scan asserts, as a warning that
/// is wrong costs a glance.
const SIMILAR_RADIUS: u32 = 60;

/// So many of them are named, the nearest. Whoever registers one picture in a thousand versions slows down nobody's
/// registration of the next.
const SIMILAR_MAX: usize = 100;

/// Longest file that is held in memory although it is no picture, once for each thread that may read.
const HELD_BYTES_MAX: u64 = 4 << 20;
