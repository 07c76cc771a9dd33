//! Does this receipt prove anything about this work? Four numbered steps, one answer.

use data_encoding::HEXLOWER;

use crate::merkle::{self, ProofError};
use crate::{
    Aged, Anchor, Checkpoint, DigestAlgorithm, EvidenceRecord, Leaf, Note, NoteSignature, Policy,
    Receipt, RecordSubject, Renewed, Rule, Timestamp, VerifierKey, WorkDigests,
};

/// What a receipt proves under a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The trusted log that holds the leaf.
    pub log: VerifierKey,
    /// Position of the leaf in that log.
    pub index: u64,
    /// Which of the receipt's anchors shows it, counted from 0: the one of the earliest proven time.
    pub anchor: usize,
    /// The work existed by this time (seconds since 1970): by then the policy's quorum of witnesses had
    /// cosigned, or an authority had made the token, whichever was first. `None` means that the time is only
    /// the log's word, which proves nothing.
    pub existed_by: Option<u64>,
    /// The witnesses that cosigned, with the times they state.
    pub witnesses: Vec<WitnessTime>,
    /// The authorities that made tokens over checkpoints of the receipt, with their times.
    pub timestamps: Vec<AuthorityTime>,
    /// The records that hold: first those about checkpoints, then those about the whole receipt.
    pub renewed: Vec<Renewed>,
    /// What is wrong with tokens and records that do not count. They take nothing away from the rest.
    pub bad_timestamps: Vec<String>,
    /// By how many seconds two authorities disagree about one checkpoint, where that is more than the policy
    /// tolerates.
    pub disagreement_seconds: Option<u64>,
}

/// A time-stamp authority's word on the checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorityTime {
    /// The authority's name in the policy.
    pub name: String,
    /// When it made the token, by its clock, in seconds since 1970.
    pub time: u64,
    /// Until when the certificate that signed the token is valid. Other tools need to be told the token's
    /// time after that.
    pub signer_not_after: u64,
}

/// A witness that cosigned the checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WitnessTime {
    /// The witness's name in the policy.
    pub name: String,
    /// When it cosigned, by its clock, in seconds since 1970; `None` where it states no time.
    pub time: Option<u64>,
}

/// What holds of a receipt whatever one trusts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Untrusted {
    /// Name and id of every key that is said to have signed a checkpoint in the receipt, unchecked:
    /// `name+id` is how its verifier key begins.
    pub unchecked_signers: Vec<String>,
}

/// Why a receipt proves nothing about a work: the first check that failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Step 1: the file is not the claimed work.
    #[error("the file is not the work of this receipt: its {what} differs from the claim's")]
    OtherWork {
        /// Which of the four facts about the bytes differs first.
        what: &'static str,
    },
    /// Step 2: the leaf commits to something else.
    #[error("the log entry does not commit to this claim: its {what} differs")]
    OtherClaim {
        /// Which of the two digests differs.
        what: &'static str,
    },
    /// Step 2: the claim bears a signature that its creator did not make.
    #[error("the creator's signature in the claim is not genuine")]
    CreatorSignature,
    /// Step 3: the proof does not lead from the leaf to the checkpoint.
    #[error("anchor {anchor}: the inclusion proof fails: {source}")]
    Inclusion {
        /// Which anchor, counted from 1.
        anchor: usize,
        /// What is wrong with the proof.
        source: ProofError,
    },
    /// Step 4: a signature said to be by a trusted key is not.
    #[error("anchor {anchor}: the signature by {signer} on the checkpoint is not genuine")]
    Signature {
        /// Which anchor, counted from 1.
        anchor: usize,
        /// The key's name in the note.
        signer: String,
    },
    /// Step 4: no checkpoint is signed by a trusted log.
    #[error("no log that the policy trusts signed this receipt; it names {}", .named.join(", "))]
    UntrustedLog {
        /// The keys that the receipt names instead.
        named: Vec<String>,
    },
    /// Step 4: the log showed different trees of one size to different people.
    #[error(
        "the log {origin} signed two different trees of {size} entries; both checkpoints are in this \
         receipt and prove it"
    )]
    SplitView {
        /// The log's name.
        origin: String,
        /// The size of both trees.
        size: u64,
    },
    /// Step 4: a trusted log signed, but fewer witnesses cosigned than the policy asks for.
    #[error("the log's signature is genuine, but the policy's quorum of witnesses is missing")]
    QuorumMissing,
    /// Step 5: what the proof rests on can no longer be relied on, and no record about the receipt is older.
    #[error("{aged}, and nothing renewed this receipt before{}", .faults.iter().map(|f| format!("; {f}")).collect::<String>())]
    NotRenewed {
        /// The digest algorithm, and until when it counts.
        aged: Aged,
        /// What is wrong with the receipt's own records.
        faults: Vec<String>,
    },
}

impl Refusal {
    /// The name of the check that failed, the same in every implementation (docs/formats.md).
    pub fn check(&self) -> &'static str {
        match self {
            Refusal::OtherWork { what: "length" } => "work.length",
            Refusal::OtherWork { what: "SHA-256" } => "work.sha256",
            Refusal::OtherWork { what: "SHA-512" } => "work.sha512",
            Refusal::OtherWork { .. } => "work.sm3",
            Refusal::OtherClaim { what: "content digest" } => "leaf.content",
            Refusal::OtherClaim { .. } => "leaf.claim",
            Refusal::CreatorSignature => "claim.creator",
            Refusal::Inclusion { .. } => "anchor.inclusion",
            Refusal::Signature { .. } => "anchor.signature",
            Refusal::SplitView { .. } => "log.split-view",
            Refusal::UntrustedLog { .. } => "policy.log",
            Refusal::QuorumMissing => "policy.quorum",
            Refusal::NotRenewed { .. } => "policy.renewal",
        }
    }

    /// Whether nothing speaks against the receipt and only evidence is missing.
    pub const fn is_undecided(&self) -> bool {
        matches!(self, Refusal::QuorumMissing | Refusal::NotRenewed { .. })
    }
}

/// Decides whether `receipt` proves, under `policy`, that a log holds the claim upon this work.
///
/// Nothing but the arguments is looked at: no network, no clock.
pub fn verify(work: &WorkDigests, receipt: &Receipt, policy: &Policy) -> Result<Verdict, Refusal> {
    check_parts(work, receipt)?; // steps 1 to 3
    let whole = receipt_evidence(receipt, policy);
    let mut verdict: Option<Verdict> = None;
    let mut quorum_missing = false;
    let mut signed = Vec::new();
    let (mut all, mut widest_spread) = (Evidence::default(), 0);
    for (number, anchor) in (1..).zip(&receipt.anchors) {
        // 4. A trusted log signed the checkpoint, and the quorum cosigned it.
        let witnesses = cosigned(anchor.note(), anchor.checkpoint(), policy)
            .map_err(|key| bad_signature(number, key))?;
        let Some(log) = trusted_log(number, anchor, policy)? else { continue };
        let checkpoint = anchor.checkpoint();
        if signed.iter().any(|other: &&Checkpoint| is_split_view(other, checkpoint)) {
            let (origin, size) = (checkpoint.origin.clone(), checkpoint.size);
            return Err(Refusal::SplitView { origin, size });
        }
        signed.push(checkpoint);
        if !is_quorum(policy, &witnesses) {
            quorum_missing = true;
            continue;
        }
        let quorum_time = quorum_time(policy.quorum(), &witnesses);
        let evidence = anchor_evidence(anchor, policy, whole.existed_by());
        let times = || {
            let renewed = evidence.renewed.iter().map(|renewed| renewed.existed_by);
            evidence.timestamps.iter().map(|timestamp| timestamp.time).chain(renewed)
        };
        let spread = times().max().unwrap_or(0) - times().min().unwrap_or(0);
        widest_spread = widest_spread.max(spread);
        let found = Verdict {
            log: log.clone(),
            index: anchor.index,
            anchor: number - 1,
            existed_by: times().chain(quorum_time).chain(whole.existed_by()).min(),
            witnesses: witnesses.into_iter().map(|c| c.witness).collect(),
            disagreement_seconds: None,
            timestamps: Vec::new(),
            renewed: Vec::new(),
            bad_timestamps: Vec::new(),
        };
        all.extend(evidence);
        // Anchors are only ever added, so the earliest proven time stands.
        let earlier = |best: &Verdict| {
            found.existed_by.is_some_and(|t| best.existed_by.is_none_or(|earliest| t < earliest))
        };
        if verdict.as_ref().is_none_or(earlier) {
            verdict = Some(found);
        }
    }
    let disagreement_seconds = Some(widest_spread).filter(|&s| s > policy.tolerance_seconds());
    match verdict {
        // 5. What all of this rests on could be relied on when the receipt was renewed.
        Some(verdict) => match aged(policy, whole.existed_by()) {
            Some(aged) => Err(Refusal::NotRenewed { aged, faults: whole.faults }),
            None => {
                all.extend(whole);
                let Evidence { timestamps, renewed, faults: bad_timestamps } = all;
                Ok(Verdict { timestamps, renewed, bad_timestamps, disagreement_seconds, ..verdict })
            }
        },
        None if quorum_missing => Err(Refusal::QuorumMissing),
        None => Err(Refusal::UntrustedLog { named: unchecked_signers(receipt) }),
    }
}

/// The digest on which every anchor rests and which had aged before the receipt was renewed: SHA-256 by the
/// leaf and the tree, SHA-512 by Ed25519 (RFC 8032 section 5.1).
fn aged(policy: &Policy, renewed: Option<u64>) -> Option<Aged> {
    [DigestAlgorithm::Sha256, DigestAlgorithm::Sha512].into_iter().find_map(|digest| {
        let aged = Aged { what: digest.to_string(), until: policy.hash_until(digest)? };
        (!aged.renewed_by(renewed)).then_some(aged)
    })
}

/// Whether no honest log signs both: same name, same size, other tree.
fn is_split_view(a: &Checkpoint, b: &Checkpoint) -> bool {
    (&a.origin, a.size) == (&b.origin, b.size) && a.root != b.root
}

/// Checks all that needs no trust: that file, claim, leaf, proofs and checkpoints belong together.
pub fn check_without_trust(work: &WorkDigests, receipt: &Receipt) -> Result<Untrusted, Refusal> {
    check_parts(work, receipt)?;
    Ok(Untrusted { unchecked_signers: unchecked_signers(receipt) })
}

fn check_parts(work: &WorkDigests, receipt: &Receipt) -> Result<(), Refusal> {
    // 1. The file is the work that the claim is about: by three digests of two families, so that one of them
    // still counts when SHA-256 does not any more.
    let claimed = &receipt.claim.work;
    let facts = [
        ("length", work.length == claimed.length),
        ("SHA-256", work.sha256 == claimed.sha256),
        ("SHA-512", work.sha512 == claimed.sha512),
        ("SM3", work.sm3 == claimed.sm3),
    ];
    if let Some((what, _)) = facts.into_iter().find(|(_, same)| !same) {
        return Err(Refusal::OtherWork { what });
    }
    // 2. The leaf commits to that claim, and the creator, if named, signed it.
    let leaf = Leaf::of(&receipt.claim);
    if receipt.leaf.content != leaf.content {
        return Err(Refusal::OtherClaim { what: "content digest" });
    }
    if receipt.leaf.claim != leaf.claim {
        return Err(Refusal::OtherClaim { what: "claim digest" });
    }
    if !receipt.claim.creator_signature_holds() {
        return Err(Refusal::CreatorSignature);
    }
    // 3. Each anchor's proof leads from the leaf to the root of its checkpoint.
    let leaf_hash = merkle::leaf_hash(&leaf.to_bytes());
    for (number, anchor) in (1..).zip(&receipt.anchors) {
        let root = merkle::root_from_inclusion(
            anchor.index,
            anchor.checkpoint().size,
            leaf_hash,
            &anchor.proof,
        );
        root.and_then(|root| {
            if root == anchor.checkpoint().root { Ok(()) } else { Err(ProofError::WrongRoot) }
        })
        .map_err(|source| Refusal::Inclusion { anchor: number, source })?;
    }
    Ok(())
}

/// The trusted log that signed this anchor's checkpoint; its name must be the checkpoint's origin.
fn trusted_log<'a>(
    number: usize,
    anchor: &Anchor,
    policy: &'a Policy,
) -> Result<Option<&'a VerifierKey>, Refusal> {
    let mut found = None;
    for log in policy.logs() {
        for signature in anchor.note().signatures_by(&log.key) {
            // A known key whose signature fails spoils the note (c2sp.org/signed-note).
            log.key
                .check(anchor.note(), anchor.checkpoint(), signature)
                .map_err(|_| bad_signature(number, &log.key))?;
            let speaks = log.sizes.contains(&anchor.checkpoint().size);
            if log.key.name() == anchor.checkpoint().origin && speaks && found.is_none() {
                found = Some(&log.key);
            }
        }
    }
    Ok(found)
}

/// A cosignature that holds.
struct Cosigned {
    /// Which witness of the policy made it.
    position: usize,
    witness: WitnessTime,
    /// The key is the log's own, which states no time and may be part of a quorum all the same: so a policy
    /// demands that the log itself signed with two keys.
    is_log: bool,
}

/// The known witnesses whose cosignatures hold, or the key of one whose cosignature does not.
fn cosigned<'a>(
    note: &Note,
    checkpoint: &Checkpoint,
    policy: &'a Policy,
) -> Result<Vec<Cosigned>, &'a VerifierKey> {
    let mut found = Vec::new();
    for (position, witness) in policy.witnesses().iter().enumerate() {
        let times = note
            .signatures_by(&witness.key)
            .map(|signature| witness.key.check(note, checkpoint, signature))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| &witness.key)?;
        let mut same_key =
            policy.logs().iter().filter(|log| log.key.key_bytes() == witness.key.key_bytes());
        let in_time = witness.sizes.contains(&checkpoint.size)
            && same_key.all(|log| log.sizes.contains(&checkpoint.size));
        if !in_time {
            continue; // a log's key that was replaced
        }
        if let Some(&earliest) = times.iter().min_by_key(|time| time.unwrap_or(u64::MAX)) {
            let is_log = policy.is_key_of_a_log(&witness.key);
            let time = earliest.filter(|_| !is_log);
            let witness = WitnessTime { name: witness.name.clone(), time };
            found.push(Cosigned { position, witness, is_log });
        }
    }
    Ok(found)
}

fn is_quorum(policy: &Policy, cosigned: &[Cosigned]) -> bool {
    policy.quorum().met(&|w| cosigned.iter().any(|c| c.position == w))
}

impl Policy {
    /// Whether the quorum cosigned this note of a checkpoint, and no cosignature of a known witness is false.
    pub fn is_cosigned(&self, note: &Note, checkpoint: &Checkpoint) -> bool {
        cosigned(note, checkpoint, self).is_ok_and(|cosigned| is_quorum(self, &cosigned))
    }
}

/// The moment by which the quorum had cosigned. A quorum of nobody proves no time.
fn quorum_time(quorum: &Rule, cosigned: &[Cosigned]) -> Option<u64> {
    if *quorum == Rule::None {
        return None;
    }
    let mut times: Vec<u64> = cosigned.iter().filter_map(|c| c.witness.time).collect();
    times.sort_unstable();
    times.into_iter().find(|&by| {
        let in_time = |c: &Cosigned| c.is_log || c.witness.time.is_some_and(|time| time <= by);
        quorum.met(&|w| cosigned.iter().any(|c| c.position == w && in_time(c)))
    })
}

impl Policy {
    /// Which authority made this token over the anchor's checkpoint, by its position in the policy; or why none.
    pub(crate) fn token_maker(
        &self,
        timestamp: &Timestamp,
        anchor: &Anchor,
    ) -> Result<usize, String> {
        if !timestamp.covers(anchor.note().text().as_bytes()) {
            return Err("it is about something else than the checkpoint".to_owned());
        }
        let made =
            self.made(timestamp).map_err(|(name, fault)| format!("not by {name}: {fault}"))?;
        let position = self.authorities().iter().position(|a| a.authority.name() == made.name);
        position.ok_or_else(|| "the policy knows no such authority".to_owned())
    }
}

/// What authorities vouch for, and what is wrong with the rest.
#[derive(Default)]
struct Evidence {
    timestamps: Vec<AuthorityTime>,
    renewed: Vec<Renewed>,
    faults: Vec<String>,
}

impl Evidence {
    fn extend(&mut self, more: Evidence) {
        self.timestamps.extend(more.timestamps);
        self.renewed.extend(more.renewed);
        self.faults.extend(more.faults);
    }

    /// By when the records were there.
    fn existed_by(&self) -> Option<u64> {
        self.renewed.iter().map(|renewed| renewed.existed_by).min()
    }
}

/// The records about the receipt as a whole.
fn receipt_evidence(receipt: &Receipt, policy: &Policy) -> Evidence {
    let mut found = Evidence::default();
    if !receipt.records.is_empty() {
        let data = receipt.record_data();
        for record in &receipt.records {
            match follow(record, RecordSubject::Receipt, data.as_bytes(), policy, None) {
                Ok((_, renewed)) => found.renewed.push(renewed),
                Err(fault) => found.faults.push(format!("receipt record: {fault}")),
            }
        }
    }
    found
}

/// The tokens of an anchor that known authorities made over its checkpoint, and the records about it. `covered`
/// is when the receipt as a whole was renewed: all in it counts as it did then.
fn anchor_evidence(anchor: &Anchor, policy: &Policy, covered: Option<u64>) -> Evidence {
    let mut found = Evidence::default();
    let mut followed = Vec::new();
    let data = anchor.note().text().as_bytes();
    for record in &anchor.records {
        match follow(record, RecordSubject::Checkpoint, data, policy, covered) {
            Ok((record, renewed)) => {
                followed.extend(record.timestamps().map(|t| t.token_der().to_vec()));
                found.renewed.push(renewed);
            }
            Err(fault) => found.faults.push(format!("evidence record: {fault}")),
        }
    }
    for response in &anchor.timestamps {
        match timestamp(response, anchor, policy, covered) {
            Ok(timestamp) => found.timestamps.push(timestamp),
            // What it says counts, by the record.
            Err(TokenFault::NotRenewed(token, _)) if followed.contains(&token) => {}
            Err(fault) => found.faults.push(format!("time-stamp token: {fault}")),
        }
    }
    found
}

fn follow(
    der: &[u8],
    subject: RecordSubject,
    data: &[u8],
    policy: &Policy,
    covered: Option<u64>,
) -> Result<(EvidenceRecord, Renewed), String> {
    let record = EvidenceRecord::parse(der).map_err(|error| error.to_string())?;
    let renewed = policy.follow_covered(&record, subject, data, covered);
    renewed.map(|renewed| (record, renewed)).map_err(|fault| fault.to_string())
}

/// Why a token does not count by itself.
#[derive(Debug, thiserror::Error)]
enum TokenFault {
    /// It counted once; these are its bytes.
    #[error("{1}, and nothing renewed it before")]
    NotRenewed(Vec<u8>, Aged),
    #[error("{0}")]
    Other(String),
}

fn timestamp(
    response: &[u8],
    anchor: &Anchor,
    policy: &Policy,
    covered: Option<u64>,
) -> Result<AuthorityTime, TokenFault> {
    let other = |reason: String| TokenFault::Other(reason);
    let timestamp = Timestamp::of_response(response).map_err(|error| other(error.to_string()))?;
    if !timestamp.covers(anchor.note().text().as_bytes()) {
        return Err(other("it is about something else than the checkpoint".to_owned()));
    }
    let made = policy.made(&timestamp).map_err(|(name, fault)| {
        other(match policy.authorities().len() {
            0 => "the policy knows no authority".to_owned(),
            1 => format!("not by the authority {name}: {fault}"),
            _ => format!("by no known authority; not by {name}, for one: {fault}"),
        })
    })?;
    match &made.aged {
        Some(aged) if !aged.renewed_by(covered) => {
            Err(TokenFault::NotRenewed(timestamp.token_der().to_vec(), aged.clone()))
        }
        _ => Ok(made.into_time()),
    }
}

/// Name and id of the keys that are said to have signed, each once, the first few.
fn unchecked_signers(receipt: &Receipt) -> Vec<String> {
    let signatures = receipt.anchors.iter().flat_map(|anchor| anchor.note().signatures());
    let name = |s: &NoteSignature| format!("{}+{}", s.name, HEXLOWER.encode(&s.key_id));
    let mut names: Vec<String> = Vec::new();
    for name in signatures.map(name) {
        if names.len() < SIGNERS_NAMED_MAX && !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// Most keys that a verdict names of those that are said to have signed.
const SIGNERS_NAMED_MAX: usize = 16;

fn bad_signature(anchor: usize, key: &VerifierKey) -> Refusal {
    Refusal::Signature { anchor, signer: key.name().to_owned() }
}

#[cfg(test)]
pub(crate) mod tests {
    use ed25519_dalek::{Signer, SigningKey};
    use proptest::prelude::*;
    use sha2::{Digest, Sha256};

    use super::*;
    use crate::claim::tests::sample;
    use crate::merkle::tests::oracle;
    use crate::{
        Checkpoint, Claim, CreatorSignature, KeyKind, Note, OtherSection, cosigned_message,
    };
    use ml_dsa::{Keypair, MlDsa44};

    const WORK: &[u8] = b"a work";

    fn secret(seed: u8) -> SigningKey {
        SigningKey::from_bytes(&[seed; 32])
    }

    fn key(seed: u8, kind: KeyKind) -> VerifierKey {
        let name = format!("k{seed}.example");
        VerifierKey::new(&name, kind, secret(seed).verifying_key().as_bytes()).unwrap()
    }

    fn log_signature(seed: u8, text: &str) -> NoteSignature {
        let key = key(seed, KeyKind::Ed25519);
        let bytes = secret(seed).sign(text.as_bytes()).to_bytes().to_vec();
        NoteSignature { name: key.name().to_owned(), key_id: key.key_id(), bytes }
    }

    fn cosignature(seed: u8, time: u64, text: &str) -> NoteSignature {
        let key = key(seed, KeyKind::CosignatureV1);
        timed(&key, time, text, &|message| secret(seed).sign(message).to_bytes().to_vec())
    }

    fn timed(
        key: &VerifierKey,
        time: u64,
        text: &str,
        sign: &dyn Fn(&[u8]) -> Vec<u8>,
    ) -> NoteSignature {
        let checkpoint = Checkpoint::parse(text).unwrap();
        let message = cosigned_message(key.kind(), key.name(), time, text, &checkpoint).unwrap();
        let bytes = [&time.to_be_bytes()[..], &sign(&message)].concat();
        NoteSignature { name: key.name().to_owned(), key_id: key.key_id(), bytes }
    }

    fn ml_dsa(seed: u8) -> ml_dsa::SigningKey<MlDsa44> {
        ml_dsa::SigningKey::from_seed(&[seed; 32].into())
    }

    fn ml_dsa_key(name: &str, seed: u8) -> VerifierKey {
        VerifierKey::new(name, KeyKind::MlDsa44, &ml_dsa(seed).verifying_key().encode()).unwrap()
    }

    /// A signature of type 0x06 by the key of this name and seed.
    fn ml_dsa_signature(name: &str, seed: u8, time: u64, text: &str) -> NoteSignature {
        timed(&ml_dsa_key(name, seed), time, text, &|message| {
            ml_dsa::Signer::sign(&ml_dsa(seed), message).encode().to_vec()
        })
    }

    /// A receipt at index 3 of 7, signed by log 1 and cosigned by witnesses at these times.
    pub(crate) fn receipt(claim: Claim, cosigners: &[(u8, u64)]) -> Receipt {
        let leaf = Leaf::of(&claim);
        let mut hashes: Vec<_> = (0..7u8).map(|i| merkle::leaf_hash(&[i])).collect();
        hashes[3] = merkle::leaf_hash(&leaf.to_bytes());
        let text = Checkpoint { origin: "k1.example".into(), size: 7, root: oracle::root(&hashes) }
            .to_string();
        let mut signatures = vec![log_signature(1, &text)];
        signatures.extend(cosigners.iter().map(|&(seed, time)| cosignature(seed, time, &text)));
        let note = Note::new(text, signatures).unwrap();
        let anchor = Anchor::new(3, oracle::inclusion(3, &hashes), note).unwrap();
        Receipt { claim, leaf, anchors: vec![anchor], records: Vec::new(), others: Vec::new() }
    }

    fn two_of_three() -> Policy {
        let witness = |seed| format!("witness W{seed} {}\n", key(seed, KeyKind::CosignatureV1));
        let file = format!(
            "log {}\n{}{}{}group G 2 W11 W12 W13\nquorum G\n",
            key(1, KeyKind::Ed25519),
            witness(11),
            witness(12),
            witness(13),
        );
        Policy::parse(file.as_bytes()).unwrap()
    }

    /// A receipt that the log alone signed.
    pub(crate) fn sample_receipt() -> Receipt {
        receipt(sample(), &[])
    }

    /// The line of a policy that trusts log 1.
    pub(crate) fn log_line() -> String {
        format!("log {}\n", key(1, KeyKind::Ed25519))
    }

    fn log_alone() -> Policy {
        Policy::trusting(key(1, KeyKind::Ed25519))
    }

    pub(crate) fn check(receipt: &Receipt, policy: &Policy) -> Result<Verdict, Refusal> {
        let read = Receipt::parse(receipt.to_string().as_bytes()).unwrap();
        assert_eq!(&read, receipt, "the file says what the receipt says");
        verify(&WorkDigests::of(WORK), receipt, policy)
    }

    #[test]
    fn the_log_alone_proves_no_time() {
        let verdict = check(&receipt(sample(), &[]), &log_alone()).unwrap();
        assert_eq!((verdict.index, verdict.existed_by), (3, None));
    }

    /// A receipt that the log signed with these kinds of keys and a witness cosigned with these.
    fn hybrid(log: &[KeyKind], witness: &[KeyKind]) -> Receipt {
        let mut receipt = receipt(sample(), &[]);
        let text = receipt.anchors[0].note().text().to_owned();
        let log = log.iter().map(|kind| match kind {
            KeyKind::MlDsa44 => ml_dsa_signature("k1.example", 2, 0, &text),
            _ => log_signature(1, &text),
        });
        let witness = witness.iter().map(|kind| match kind {
            KeyKind::MlDsa44 => ml_dsa_signature("w.example", 12, 400, &text),
            _ => cosignature(11, 300, &text),
        });
        let note = Note::new(text.clone(), log.chain(witness).collect()).unwrap();
        receipt.anchors = vec![Anchor::new(3, receipt.anchors[0].proof.clone(), note).unwrap()];
        receipt
    }

    #[test]
    fn a_policy_demands_either_algorithm_or_both() {
        const ED: KeyKind = KeyKind::Ed25519;
        const PQ: KeyKind = KeyKind::MlDsa44;
        let (log, log_pq) = (key(1, ED), ml_dsa_key("k1.example", 2));
        let (w, w_pq) = (key(11, KeyKind::CosignatureV1), ml_dsa_key("w.example", 12));
        let witnesses = format!("witness W {w}\nwitness WPQ {w_pq}\n");
        let either = format!("log {log}\nlog {log_pq}\n{witnesses}group E any W WPQ\nquorum E\n");
        let both = format!(
            "log {log}\nwitness LPQ {log_pq}\n{witnesses}group W2 all W WPQ\ngroup B all LPQ W2\n\
             quorum B\n"
        );
        let answer = |policy: &str, log: &[KeyKind], witness: &[KeyKind]| {
            let policy = Policy::parse(policy.as_bytes()).unwrap();
            check(&hybrid(log, witness), &policy).map(|verdict| verdict.existed_by)
        };
        assert_eq!(answer(&either, &[ED, PQ], &[ED, PQ]), Ok(Some(300)));
        assert_eq!(answer(&either, &[ED], &[PQ]), Ok(Some(400)));
        assert_eq!(answer(&either, &[PQ], &[ED]), Ok(Some(300)));
        assert_eq!(answer(&both, &[ED, PQ], &[ED, PQ]), Ok(Some(400)), "the later of the two");
        for (log, witness) in [(&[ED][..], &[ED, PQ][..]), (&[ED, PQ], &[ED]), (&[ED, PQ], &[PQ])] {
            assert_eq!(answer(&both, log, witness), Err(Refusal::QuorumMissing));
        }
        let untrusted = answer(&both, &[PQ], &[ED, PQ]);
        assert!(matches!(untrusted, Err(Refusal::UntrustedLog { .. })), "{untrusted:?}");
    }

    #[test]
    fn a_key_speaks_for_the_sizes_of_its_time() {
        let log = key(1, KeyKind::Ed25519);
        let answer = |sizes: &str| {
            let policy = format!("log {log}\nlog-sizes {} {sizes}\nquorum none\n", log.short());
            check(&receipt(sample(), &[]), &Policy::parse(policy.as_bytes()).unwrap())
        };
        assert!(answer("0 7").is_ok() && answer("7 *").is_ok());
        for retired in ["0 6", "8 *", "8 9"] {
            assert!(matches!(answer(retired), Err(Refusal::UntrustedLog { .. })), "{retired}");
        }
    }

    /// A log's second key that stands in for a witness counts for the sizes of its time, like every log key.
    #[test]
    fn a_replaced_key_of_the_log_is_no_part_of_a_quorum() {
        let (log, log_pq) = (key(1, KeyKind::Ed25519), ml_dsa_key("k1.example", 2));
        let receipt = hybrid(&[KeyKind::Ed25519, KeyKind::MlDsa44], &[]); // at size 7
        for (lines, counts) in [
            (format!("witness L {log_pq}\nlog-sizes {} 0 7\n", log_pq.short()), true),
            (format!("witness L {log_pq}\nlog-sizes {} 0 6\n", log_pq.short()), false),
            (
                format!("log {log_pq}\nlog-sizes {} 0 6\nwitness L {log_pq}\n", log_pq.short()),
                false,
            ),
        ] {
            let policy = format!("log {log}\n{lines}quorum L\n");
            let policy = Policy::parse(policy.as_bytes()).unwrap();
            let missing = Some(Refusal::QuorumMissing).filter(|_| !counts);
            assert_eq!(check(&receipt, &policy).err(), missing, "{lines}");
        }
    }

    #[test]
    fn a_forged_ml_dsa_signature_refuses_the_receipt() {
        let policy = format!(
            "log {}\nwitness W {}\nquorum none\n",
            key(1, KeyKind::Ed25519),
            ml_dsa_key("w.example", 12)
        );
        let policy = Policy::parse(policy.as_bytes()).unwrap();
        let good = hybrid(&[KeyKind::Ed25519], &[KeyKind::MlDsa44]);
        assert!(check(&good, &policy).is_ok());
        for at in [0, 7, 8, 1000, 2427] {
            let mut bad = good.clone();
            let mut signatures = good.anchors[0].note().signatures().to_vec();
            signatures[1].bytes[at] ^= 1;
            let text = good.anchors[0].note().text().to_owned();
            let note = Note::new(text, signatures).unwrap();
            bad.anchors[0] = Anchor::new(3, good.anchors[0].proof.clone(), note).unwrap();
            assert!(matches!(check(&bad, &policy), Err(Refusal::Signature { .. })), "byte {at}");
        }
    }

    #[test]
    fn time_is_when_the_quorum_had_cosigned() {
        let verdict =
            check(&receipt(sample(), &[(11, 300), (12, 100), (13, 200)]), &two_of_three());
        assert_eq!(verdict.unwrap().existed_by, Some(200));
        // No quorum among those that state a time: proven to be in the log, at no proven time.
        let verdict = check(&receipt(sample(), &[(11, 300), (12, 0)]), &two_of_three()).unwrap();
        assert_eq!((verdict.existed_by, verdict.witnesses.len()), (None, 2));
        let missing = check(&receipt(sample(), &[(11, 300)]), &two_of_three()).unwrap_err();
        assert!(missing.is_undecided());
        // The log's key is no witness's, whatever it signs; named as one, it still tells no time.
        let own = format!(
            "log {}\nwitness W {}\nquorum W\n",
            key(1, KeyKind::Ed25519),
            key(1, KeyKind::CosignatureV1)
        );
        let own = Policy::parse(own.as_bytes()).unwrap();
        let verdict = check(&receipt(sample(), &[(1, 300)]), &own).unwrap();
        assert_eq!((verdict.existed_by, verdict.witnesses[0].time), (None, None));
        let verdict = check(&receipt(sample(), &[(1, 300), (11, 300)]), &two_of_three());
        assert_eq!(verdict, Err(Refusal::QuorumMissing));
    }

    #[test]
    fn added_anchors_never_move_the_time_later() {
        let mut both = receipt(sample(), &[(11, 500), (12, 500)]);
        both.anchors.extend(receipt(sample(), &[(11, 900), (12, 900)]).anchors);
        assert_eq!(check(&both, &two_of_three()).unwrap().existed_by, Some(500));
        both.anchors.rotate_left(1);
        assert_eq!(check(&both, &two_of_three()).unwrap().existed_by, Some(500));
        // An anchor in a log that nobody trusts takes nothing away.
        let mut foreign = receipt(sample(), &[]);
        let text = foreign.anchors[0].note().text().to_owned();
        let note = Note::new(text.clone(), vec![log_signature(2, &text)]).unwrap();
        let proof = foreign.anchors[0].proof.clone();
        foreign.anchors = vec![Anchor::new(3, proof, note).unwrap()];
        both.anchors.extend(foreign.anchors);
        assert_eq!(check(&both, &two_of_three()).unwrap().existed_by, Some(500));
    }

    #[test]
    fn the_first_failing_check_is_named() {
        let good = receipt(sample(), &[(11, 100), (12, 100)]);
        let refused = |change: &dyn Fn(&mut Receipt)| {
            let mut receipt = good.clone();
            change(&mut receipt);
            check(&receipt, &two_of_three()).unwrap_err().to_string()
        };
        let other = |work: &[u8]| verify(&WorkDigests::of(work), &good, &two_of_three());
        assert_eq!(other(b"a worK"), Err(Refusal::OtherWork { what: "SHA-256" }));
        assert_eq!(other(b"a work "), Err(Refusal::OtherWork { what: "length" }));
        assert!(refused(&|r| r.claim.work.sm3[0] ^= 1).contains("SM3"));
        assert!(refused(&|r| r.claim.title = None).contains("claim digest"));
        assert!(refused(&|r| r.leaf.claim[0] ^= 1).contains("claim digest"));
        assert!(
            refused(&|r| r.leaf.content = crate::ContentId::of(b"")).contains("content digest")
        );
        assert!(refused(&|r| r.anchors[0].index = 4).contains("inclusion proof"));
        assert!(refused(&|r| r.anchors[0].proof[1].0[0] ^= 1).contains("inclusion proof"));
        let stranger = Policy::trusting(key(2, KeyKind::Ed25519));
        let refusal = check(&good, &stranger).unwrap_err();
        assert!(
            matches!(&refusal, Refusal::UntrustedLog { named } if named[0].starts_with("k1.example+"))
        );
    }

    #[test]
    fn a_creators_signature_is_checked() {
        let mut claim = sample();
        let creator = secret(77);
        let mut signature = creator.sign(claim.creator_message().as_bytes()).to_bytes();
        let key = *creator.verifying_key().as_bytes();
        claim.creator = Some(CreatorSignature { key, signature });
        assert!(check(&receipt(claim.clone(), &[]), &log_alone()).is_ok());
        signature[5] ^= 1;
        claim.creator = Some(CreatorSignature { key, signature });
        assert_eq!(check(&receipt(claim, &[]), &log_alone()), Err(Refusal::CreatorSignature));
    }

    #[test]
    fn a_flood_of_anchors_or_of_hidden_text_is_refused() {
        let good = receipt(sample(), &[]);
        let parse = |receipt: &Receipt| Receipt::parse(receipt.to_string().as_bytes());
        let mut twice = good.clone();
        twice.anchors.push(twice.anchors[0].clone());
        assert!(parse(&twice).is_err());
        let mut flood = good.clone();
        flood.anchors = vec![good.anchors[0].clone(); 65];
        (0..).zip(&mut flood.anchors).for_each(|(index, anchor)| anchor.index = index);
        assert!(parse(&flood).is_err());
        for text in ["\u{1b}[2J\n", "== claim 1\n", "a\rb\n", "\u{202E}\n"] {
            let mut other = good.clone();
            other.others = vec![OtherSection { name: "later".into(), text: text.into() }];
            assert!(parse(&other).is_err(), "{text:?}");
        }
        let text = format!("{}certified in 1999\n", good.anchors[0].note().text());
        let extended = Note::new(text.clone(), vec![log_signature(1, &text)]).unwrap();
        assert!(Anchor::new(3, good.anchors[0].proof.clone(), extended).is_err());
    }

    #[test]
    fn sections_of_later_versions_and_timestamps_are_kept() {
        let mut receipt = receipt(sample(), &[]);
        receipt.anchors[0].timestamps = vec![vec![0x30; 100], vec![1]];
        receipt.others =
            vec![OtherSection { name: "later-evidence".into(), text: "a\n\nb\n".into() }];
        assert!(check(&receipt, &log_alone()).is_ok());
    }

    /// A flip is refused, or the verdict is the same without the damaged part.
    pub(crate) fn sweep(
        file: &[u8],
        reseal: bool,
        step: usize,
        policy: &Policy,
        expected: &Verdict,
    ) {
        for bit in (0..file.len() * 8).step_by(step) {
            let mut flipped = file.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            if reseal {
                let body_length = file.len() - "== sha256 \n".len() - 64;
                flipped.truncate(body_length);
                let digest = HEXLOWER.encode(&Sha256::digest(&flipped));
                flipped.extend(format!("== sha256 {digest}\n").bytes());
            }
            let Ok(receipt) = Receipt::parse(&flipped) else { continue };
            assert!(reseal || flipped == file, "bit {bit} is read though the file is damaged");
            match verify(&WorkDigests::of(WORK), &receipt, policy) {
                Err(_) => {}
                Ok(verdict) => {
                    let subset = verdict.witnesses.iter().all(|w| expected.witnesses.contains(w));
                    assert_eq!((&verdict.log, verdict.index), (&expected.log, expected.index));
                    // What a flip spoils is missing, and what a record still holds is what it held.
                    let same = verdict.renewed.iter().all(|r| expected.renewed.contains(r));
                    assert!(same, "bit {bit}");
                    assert!(subset && verdict.existed_by >= expected.existed_by, "bit {bit}");
                }
            }
        }
    }

    #[test]
    fn every_flipped_bit_is_refused_or_changes_nothing() {
        let mut receipt = receipt(sample(), &[(11, 300), (12, 100), (13, 200), (40, 1)]);
        receipt.anchors[0].timestamps = vec![vec![0x30; 60]];
        let verdict = check(&receipt, &two_of_three()).unwrap();
        let file = receipt.to_string().into_bytes();
        sweep(&file, false, 1, &two_of_three(), &verdict);
        sweep(&file, true, 1, &two_of_three(), &verdict);
    }

    proptest! {
        #[test]
        fn a_proof_or_receipt_that_parses_is_the_only_spelling(
            at in any::<usize>(), c in any::<char>(), kind in 0..3,
        ) {
            let mut receipt = receipt(sample(), &[(11, 300)]);
            receipt.anchors[0].timestamps = vec![vec![0x30; 40]];
            receipt.anchors[0].records = vec![vec![0x31; 60], vec![0x32; 1]];
            receipt.records = vec![vec![0x33; 49], vec![0x34; 48]];
            let change = |text: &str| -> String {
                let at = text.floor_char_boundary(at % text.len());
                let rest = text[at..].char_indices().nth(1).map_or("", |(next, _)| &text[at + next..]);
                match kind {
                    0 => format!("{}{c}{rest}", &text[..at]), // another character
                    1 => format!("{}{c}{}", &text[..at], &text[at..]), // one more
                    _ => format!("{}{rest}", &text[..at]), // one less
                }
            };
            let proof = change(&receipt.anchors[0].to_tlog_proof());
            if let Ok(anchor) = Anchor::parse_tlog_proof(&proof) {
                prop_assert_eq!(anchor.to_tlog_proof(), proof);
            }
            let file = receipt.to_string();
            let body = change(&file[..file.len() - "== sha256 \n".len() - 64]);
            let file = format!("{body}== sha256 {}\n", HEXLOWER.encode(&Sha256::digest(&body)));
            if let Ok(receipt) = Receipt::parse(file.as_bytes()) {
                prop_assert_eq!(receipt.to_string(), file);
            }
        }
    }
}
