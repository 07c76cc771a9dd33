//! What is said of works, matches and verdicts in JSON: by the service, and by `--json` of the command line.

use serde::Serialize;
use timemark_ingest::{Engine, Registration, Status};
use timemark_review::MatchJson;
use timemark_verify::{
    Act, AmendedTold, Answer, ClaimTold, Outcome, Receipt, RenewalTold, TimestampTold, WitnessTold,
    escape,
};
use utoipa::ToSchema;

/// What came of a registration.
#[derive(Serialize, ToSchema)]
pub(crate) struct Registered {
    /// What the file was called.
    file: String,
    /// `registered`, or `duplicate` where the same claimant registered the same bytes before.
    status: &'static str,
    /// The work's id.
    pub work: String,
    /// In hex.
    sha256: String,
    /// The same as `work`.
    cid: String,
    /// What an IPFS node calls the same bytes.
    dag_cid: Option<String>,
    /// The number of its entry in the log.
    pub index: u64,
    /// Whether the bytes of the work are kept.
    kept: Option<bool>,
    /// Where its receipt is.
    receipt: String,
    /// Whether the policy's quorum of witnesses vouches for it already; absent where none is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    quorum: Option<bool>,
    /// The kinds of fingerprints by which edited copies are found; none for what is no picture.
    fingerprints: Vec<String>,
    /// Earlier works of the same bytes by others, and those that look alike.
    pub similar: Vec<MatchJson>,
    /// How many more there are that the account does not see; absent where there are none.
    #[serde(skip_serializing_if = "is_zero")]
    pub similar_of_others: usize,
    /// What was said now and is not in the earlier claim of a duplicate.
    not_taken: Vec<&'static str>,
}

impl Registered {
    pub fn of(name: &str, registration: &Registration, engine: &Engine) -> Registered {
        let claim = &registration.receipt.claim;
        let index = registration.receipt.anchors[0].index;
        let content = claim.work.content();
        // A courtesy: the registration stands whatever the store says now.
        let place = engine.works.recorded(&content).ok();
        Registered {
            file: name.to_owned(),
            status: match registration.status {
                Status::Registered => "registered",
                Status::Duplicate => "duplicate",
            },
            work: content.to_string(),
            sha256: content.sha256_hex(),
            cid: content.to_string(),
            dag_cid: place.as_ref().map(|place| place.work.dag.to_string()),
            index,
            kept: place.as_ref().map(|place| place.kept.is_some()),
            receipt: receipt_path(index),
            quorum: engine.log.has_quorum(index),
            fingerprints: claim.fingerprints.iter().map(|f| f.kind().to_owned()).collect(),
            similar: registration.similar.iter().map(MatchJson::of).collect(),
            similar_of_others: 0,
            not_taken: registration.not_taken.clone(),
        }
    }
}

/// One registration of a work. What its claim says is absent once the claim was erased.
#[derive(Serialize, ToSchema)]
pub(crate) struct Entry {
    /// The work's id.
    pub work: String,
    /// The number of its entry in the log.
    pub index: u64,
    /// What its file was called.
    pub file: Option<String>,
    /// As claimed.
    pub title: Option<String>,
    /// Who claims it.
    pub claimant: Option<String>,
    /// When it was made, as claimed.
    created: Option<String>,
    /// Under which terms it may be used, as claimed.
    rights: Option<String>,
    /// The collection it belongs to.
    collection: Option<String>,
    /// Told by content.
    pub media_type: Option<String>,
    /// Bytes.
    length: Option<u64>,
    /// The kinds of its fingerprints.
    fingerprints: Vec<String>,
    /// The entry of the claim that this one corrects.
    #[serde(skip_serializing_if = "Option::is_none")]
    corrects: Option<u64>,
    /// The entry of the claim that this one withdraws: nothing is claimed here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub withdraws: Option<u64>,
    /// The entry whose claim stands in the place of this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub corrected_by: Option<u64>,
    /// The entry by which this claim was withdrawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub withdrawn_by: Option<u64>,
    /// Whether the claim was erased.
    pub erased: bool,
    /// Where its receipt is; absent where the claim was erased.
    receipt: Option<String>,
}

/// Tells of another registration of the same work.
pub(crate) fn tell_of(one: &mut MatchJson, entry: Entry) {
    one.index = entry.index;
    one.corrected_by = entry.corrected_by;
    one.file = entry.file;
    one.title = entry.title;
    one.claimant = entry.claimant;
}

impl Entry {
    /// The registration of this number; `None` where there is none.
    pub fn at(index: u64, engine: &Engine) -> Result<Option<Entry>, crate::Problem> {
        let record = engine.registry.by_index(index).map_err(crate::Problem::internal)?;
        let Some(record) = record else { return Ok(None) };
        let entry = Entry::of(record.index, record.leaf.content.to_string(), record.claim.as_ref());
        entry.with_fate(engine).map(Some)
    }

    /// With what became of the claim.
    pub fn with_fate(mut self, engine: &Engine) -> Result<Entry, crate::Problem> {
        let amended = engine.amended(self.index).map_err(crate::Problem::internal)?;
        (self.corrected_by, self.withdrawn_by) = (amended.corrected_by, amended.withdrawn_by);
        Ok(self)
    }

    pub fn of(index: u64, work: String, claim: Option<&timemark_verify::Claim>) -> Entry {
        let amends = |act| {
            let amends = claim.and_then(|claim| claim.amends).filter(|amends| amends.act == act);
            amends.map(|amends| amends.index)
        };
        Entry {
            work,
            index,
            file: claim.and_then(|claim| claim.path.as_deref()).map(text),
            title: claim.and_then(|claim| claim.title.clone()),
            claimant: claim.and_then(|claim| claim.claimant.clone()),
            created: claim.and_then(|claim| claim.created.clone()),
            rights: claim.and_then(|claim| claim.rights.clone()),
            collection: claim.and_then(|claim| claim.collection.clone()),
            media_type: claim.map(|claim| claim.media_type.clone()),
            length: claim.map(|claim| claim.work.length),
            fingerprints: claim
                .map(|claim| claim.fingerprints.iter().map(|f| f.kind().to_owned()).collect())
                .unwrap_or_default(),
            corrects: amends(Act::Corrects),
            withdraws: amends(Act::Withdraws),
            corrected_by: None,
            withdrawn_by: None,
            erased: claim.is_none(),
            receipt: claim.map(|_| receipt_path(index)),
        }
    }
}

pub(crate) fn is_zero(count: &usize) -> bool {
    *count == 0
}

pub(crate) fn receipt_path(index: u64) -> String {
    format!("/v1/receipts/{index}")
}

/// A text from outside: as it is, unless it is not UTF-8; then as receipts spell it.
fn text(bytes: &[u8]) -> String {
    str::from_utf8(bytes).map_or_else(|_| escape(bytes), str::to_owned)
}

/// What a receipt proves.
#[derive(Serialize, ToSchema)]
pub(crate) struct Verdict {
    /// `verified`, `undecided` or `refused`.
    verdict: &'static str,
    /// The answer in a sentence.
    reason: String,
    /// The first check that failed, or what is missing (docs/formats.md).
    check: Option<&'static str>,
    /// Whose word the verdict rests on.
    trust: Option<&'static str>,
    /// By when the work existed (RFC 3339).
    existed_by: Option<String>,
    /// The number of the entry.
    index: Option<u64>,
    /// The log's key.
    log: Option<String>,
    /// What the claim says, where it is verified that the log holds it.
    claim: Option<Claimed>,
    /// The witnesses that cosigned.
    witnesses: Vec<WitnessTime>,
    /// The authorities whose tokens count.
    timestamps: Vec<TokenTime>,
    /// By how many seconds two authorities disagree, where the policy does not tolerate that.
    disagreement_seconds: Option<u64>,
    /// What is wrong with tokens that do not count.
    bad_timestamps: Vec<String>,
    /// The evidence records that hold.
    renewals: Vec<Renewed>,
    /// What this archive knows of the entry beside; absent where the receipt is of another log.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    archive: Option<Since>,
}

/// What became since of a claim, as this archive has it today. It is no part of the verdict: that rests on the receipt, and
/// whoever verifies without this archive comes to the same one and cannot know of this.
#[derive(Serialize, ToSchema)]
pub(crate) struct Since {
    /// The number of the entry.
    index: u64,
    /// The entry whose claim stands in the place of this one.
    corrected_by: Option<u64>,
    /// The entry by which it was withdrawn.
    withdrawn_by: Option<u64>,
    /// Whether what the claim says was erased here; the receipt goes on to say it.
    erased: bool,
}

impl Since {
    /// What became of the claim of a receipt; nothing where it is none of this log.
    pub fn of(receipt: &Receipt, engine: &Engine) -> Result<Option<Since>, crate::Problem> {
        let origin = engine.log.verifier().name();
        for anchor in receipt.anchors.iter().filter(|anchor| anchor.checkpoint().origin == origin) {
            let index = anchor.index;
            let record = engine.registry.by_index(index).map_err(crate::Problem::internal)?;
            if let Some(record) = record.filter(|record| record.leaf == receipt.leaf) {
                let fate = engine.amended(index).map_err(crate::Problem::internal)?;
                let (corrected_by, withdrawn_by) = (fate.corrected_by, fate.withdrawn_by);
                let erased = record.claim.is_none();
                return Ok(Some(Since { index, corrected_by, withdrawn_by, erased }));
            }
        }
        Ok(None)
    }
}

/// What a claim says.
#[derive(Serialize, ToSchema)]
pub(crate) struct Claimed {
    sha256: String,
    sha512: String,
    sm3: String,
    cid: String,
    length: u64,
    media_type: String,
    title: Option<String>,
    claimant: Option<String>,
    created: Option<String>,
    rights: Option<String>,
    collection: Option<String>,
    /// As it is spelled in the claim.
    path: Option<String>,
    /// The earlier claim that this one corrects.
    #[serde(skip_serializing_if = "Option::is_none")]
    corrects: Option<EarlierClaim>,
    /// The earlier claim that this one withdraws.
    #[serde(skip_serializing_if = "Option::is_none")]
    withdraws: Option<EarlierClaim>,
    /// The key whose signature on the claim was checked.
    creator_key: Option<String>,
}

/// A claim of an earlier entry of the same log.
#[derive(Serialize, ToSchema)]
pub(crate) struct EarlierClaim {
    index: u64,
    /// Its digest in hex.
    claim: String,
}

/// A witness and the time it states.
#[derive(Serialize, ToSchema)]
pub(crate) struct WitnessTime {
    name: String,
    time: Option<String>,
}

/// An authority and the time of its token.
#[derive(Serialize, ToSchema)]
pub(crate) struct TokenTime {
    authority: String,
    time: String,
    /// Until when the certificate that signed the token is valid.
    signer_not_after: String,
}

/// An evidence record that holds.
#[derive(Serialize, ToSchema)]
pub(crate) struct Renewed {
    /// `checkpoint` or `receipt`.
    about: &'static str,
    timestamps: Vec<TokenTime>,
    renew_before: Option<String>,
}

impl Verdict {
    /// An outcome, under a policy that is called so.
    pub fn of(outcome: Outcome, trust: &'static str) -> Verdict {
        let is_verified = outcome.verdict == Answer::Verified;
        Verdict {
            verdict: outcome.verdict.name(),
            reason: outcome.reason,
            check: outcome.check,
            trust: Some(trust),
            existed_by: outcome.existed_by,
            index: outcome.index,
            log: outcome.log,
            claim: outcome.claim.filter(|_| is_verified).map(Claimed::of),
            witnesses: outcome.witnesses.into_iter().map(WitnessTime::of).collect(),
            timestamps: outcome.timestamps.into_iter().map(TokenTime::of).collect(),
            disagreement_seconds: outcome.disagreement_seconds,
            bad_timestamps: outcome.bad_timestamps,
            renewals: outcome.renewals.into_iter().map(Renewed::of).collect(),
            archive: None,
        }
    }

    /// With what the archive knows beside.
    pub fn beside(self, archive: Option<Since>) -> Verdict {
        Verdict { archive, ..self }
    }
}

impl Claimed {
    fn of(told: ClaimTold) -> Claimed {
        let ClaimTold {
            sha256,
            sha512,
            sm3,
            cid,
            length,
            media_type,
            title,
            claimant,
            created,
            rights,
            collection,
            path,
            corrects,
            withdraws,
            creator_key,
        } = told;
        let earlier = |told: Option<AmendedTold>| {
            told.map(|AmendedTold { index, claim }| EarlierClaim { index, claim })
        };
        Claimed {
            sha256,
            sha512,
            sm3,
            cid,
            length,
            media_type,
            title,
            claimant,
            created,
            rights,
            collection,
            path,
            corrects: earlier(corrects),
            withdraws: earlier(withdraws),
            creator_key,
        }
    }
}

impl WitnessTime {
    fn of(told: WitnessTold) -> WitnessTime {
        WitnessTime { name: told.name, time: told.time }
    }
}

impl TokenTime {
    fn of(told: TimestampTold) -> TokenTime {
        let TimestampTold { authority, time, signer_not_after } = told;
        TokenTime { authority, time, signer_not_after }
    }
}

impl Renewed {
    fn of(told: RenewalTold) -> Renewed {
        Renewed {
            about: told.about,
            timestamps: told.timestamps.into_iter().map(TokenTime::of).collect(),
            renew_before: told.renew_before,
        }
    }
}
