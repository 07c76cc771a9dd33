//! What a verification came to, for people and programs: one object that every front end prints as JSON.
//!
//! The native programs, the page and other implementations give the same verdict and name the same check
//! (docs/formats.md).

use data_encoding::HEXLOWER;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::chinese::{check_in_chinese, refusal_in_chinese};
use crate::expert;
use crate::merkle;
use crate::text::utc;
use crate::{
    Act, Anchor, AuthorityTime, Claim, FormatError, Leaf, Policy, Receipt, RecordSubject, Refusal,
    Renewed, Step, Timestamp, Verdict, WitnessTime, WorkDigests, check_without_trust, escape,
    verify,
};

/// The answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// It proves what it should.
    Verified,
    /// Nothing speaks against it, and something that would show it is missing.
    Undecided,
    /// A check failed.
    Refused,
}

impl Answer {
    /// In a word: how JSON has it.
    pub const fn name(self) -> &'static str {
        match self {
            Answer::Verified => "verified",
            Answer::Undecided => "undecided",
            Answer::Refused => "refused",
        }
    }
}

/// A policy and where it came from.
#[derive(Clone, Copy)]
pub struct Trust<'a> {
    /// Whom to trust.
    pub policy: &'a Policy,
    /// What to tell of it.
    pub told: &'a TrustTold,
}

/// Which policy a verdict rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TrustTold {
    /// SHA-256 of the policy file in hex.
    pub sha256: String,
    /// Who brought it.
    pub source: TrustSource,
}

impl TrustTold {
    /// Of a policy file that whoever asks brought.
    pub fn given(file: &[u8]) -> TrustTold {
        TrustTold { sha256: HEXLOWER.encode(&Sha256::digest(file)), source: TrustSource::Given }
    }
}

/// Who brought a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TrustSource {
    /// Whoever asks for the verdict.
    Given,
    /// The bundle itself; whoever asks confirmed its digest.
    Bundle,
}

/// What a receipt proves about a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// `receipt`.
    pub subject: &'static str,
    /// The answer.
    pub verdict: Answer,
    /// The first check that failed, or what is missing; absent where it is verified.
    pub check: Option<&'static str>,
    /// The answer in a sentence.
    pub reason: String,
    /// The same in Chinese.
    pub reason_zh: String,
    /// The file that was looked at; absent where only its digests, as claimed, were.
    pub file: Option<FileTold>,
    /// What the claim says, where the receipt could be read.
    pub claim: Option<ClaimTold>,
    /// The number of the entry that this claim was corrected by, as far as other receipts or an archive show.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub corrected_by: Option<u64>,
    /// The number of the entry that this claim was withdrawn by, or the one that it was corrected to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub withdrawn_by: Option<u64>,
    /// What the claim says that this one was corrected to, where its receipt was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub corrected_claim: Option<ClaimTold>,
    /// By when the work existed.
    pub existed_by: Option<String>,
    /// `witnesses` or `authority`: by whose word.
    pub existed_by_source: Option<&'static str>,
    /// The trusted log's key.
    pub log: Option<String>,
    /// The entry's number.
    pub index: Option<u64>,
    /// The policy that it rests on.
    pub trust: Option<TrustTold>,
    /// The witnesses that cosigned.
    pub witnesses: Vec<WitnessTold>,
    /// The authorities whose tokens count.
    pub timestamps: Vec<TimestampTold>,
    /// The evidence records that hold.
    pub renewals: Vec<RenewalTold>,
    /// What is wrong with tokens and records that do not count.
    pub bad_timestamps: Vec<String>,
    /// By how many seconds authorities disagree, where the policy does not tolerate that.
    pub disagreement_seconds: Option<u64>,
    /// The proofs, for who draws them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub anchors: Vec<AnchorTold>,
    /// Every single check.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Step>,
}

/// A file by its digests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileTold {
    /// Its name.
    pub name: String,
    /// Bytes.
    pub length: u64,
    /// SHA-256 in hex.
    pub sha256: String,
    /// SHA-512 in hex.
    pub sha512: String,
    /// SM3 in hex.
    pub sm3: String,
    /// The work's id.
    pub cid: String,
}

/// What a claim says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the fields of a claim, see Claim")]
pub struct ClaimTold {
    pub sha256: String,
    pub sha512: String,
    pub sm3: String,
    pub cid: String,
    pub length: u64,
    pub media_type: String,
    pub title: Option<String>,
    pub claimant: Option<String>,
    pub created: Option<String>,
    pub rights: Option<String>,
    pub collection: Option<String>,
    /// As it is spelled in the claim.
    pub path: Option<String>,
    /// The earlier claim that this one corrects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub corrects: Option<AmendedTold>,
    /// The earlier claim that this one withdraws.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub withdraws: Option<AmendedTold>,
    /// The key whose signature on the claim was checked.
    pub creator_key: Option<String>,
}

/// An earlier claim in the same log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AmendedTold {
    /// The number of its entry.
    pub index: u64,
    /// Its digest in hex.
    pub claim: String,
}

/// A witness and the time it states.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "see WitnessTime")]
pub struct WitnessTold {
    pub name: String,
    pub time: Option<String>,
}

/// An authority and the time of its token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TimestampTold {
    /// Its name in the policy.
    pub authority: String,
    /// When it made the token.
    pub time: String,
    /// Until when the certificate that signed the token is valid.
    pub signer_not_after: String,
}

/// An evidence record that holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RenewalTold {
    /// `checkpoint` or `receipt`.
    pub about: &'static str,
    /// Its tokens, oldest first.
    pub timestamps: Vec<TimestampTold>,
    /// When the certificate of its last token expires.
    pub renew_before: Option<String>,
}

/// A proof that a log holds the leaf.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AnchorTold {
    /// The leaf's position.
    pub index: u64,
    /// How many entries the tree has.
    pub size: u64,
    /// The log's name.
    pub origin: String,
    /// The checkpoint's root in hex.
    pub root: String,
    /// The leaf's hash in hex.
    pub leaf: String,
    /// The way up; empty where the proof makes none.
    pub path: Vec<PathTold>,
    /// Everyone who is said to have signed.
    pub signatures: Vec<SignatureTold>,
    /// The tokens over the checkpoint.
    pub timestamps: Vec<TokenTold>,
}

/// One level of the way from leaf to root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PathTold {
    /// `left` or `right`: where the sibling stands.
    pub side: &'static str,
    /// The sibling's hash in hex.
    pub sibling: String,
    /// The hash of both in hex.
    pub parent: String,
}

/// A signature line of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SignatureTold {
    /// The name it bears, or that of the witness in the policy.
    pub name: String,
    /// The id of its key in hex.
    pub key_id: String,
    /// What kind of key made it, where the policy has that key.
    pub kind: &'static str,
    /// `log`, `witness` or `unknown`.
    pub role: &'static str,
    /// `holds`, `false` or `unchecked`.
    pub state: &'static str,
    /// The time it states.
    pub time: Option<String>,
}

/// A time-stamp token of a receipt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TokenTold {
    /// The time it states.
    pub time: Option<String>,
    /// Which authority of the policy made it.
    pub authority: Option<String>,
    /// `holds`, `not counted` or `unchecked`.
    pub state: &'static str,
}

impl Outcome {
    /// What this receipt proves about a file of these digests and this name, under this trust.
    pub fn of_receipt(
        work: &WorkDigests,
        name: &str,
        receipt: &Receipt,
        trust: Option<Trust>,
    ) -> Outcome {
        let mut outcome = Outcome::of_claimed_or(Some(work), receipt, trust);
        outcome.file = Some(FileTold::of(work, name));
        outcome
    }

    /// What this receipt proves about whatever file has the digests that it claims: for a work that is not here.
    pub fn of_receipt_alone(receipt: &Receipt, trust: Option<Trust>) -> Outcome {
        Outcome::of_claimed_or(None, receipt, trust)
    }

    fn of_claimed_or(
        work: Option<&WorkDigests>,
        receipt: &Receipt,
        trust: Option<Trust>,
    ) -> Outcome {
        let work = work.unwrap_or(&receipt.claim.work);
        let mut outcome = Outcome::unread();
        outcome.claim = Some(ClaimTold::of(&receipt.claim));
        outcome.trust = trust.map(|trust| trust.told.clone());
        let Some(Trust { policy, .. }) = trust else {
            match check_without_trust(work, receipt) {
                Ok(consistent) => outcome.say_trust_missing(&consistent.unchecked_signers),
                Err(refusal) => outcome.say_refusal(&refusal),
            }
            return outcome;
        };
        match verify(work, receipt, policy) {
            Ok(verdict) => outcome.say_verified(&verdict),
            Err(refusal) => outcome.say_refusal(&refusal),
        }
        outcome
    }

    /// Of a receipt, or a certificate around one, that cannot be read.
    pub fn of_unreadable(error: &FormatError) -> Outcome {
        let is_certificate = error.what == "certificate";
        let check = if is_certificate { "certificate.format" } else { "receipt.format" };
        Outcome::of_fault(check, error.to_string())
    }

    /// A refusal before any receipt was looked at.
    pub(crate) fn of_fault(check: &'static str, reason: String) -> Outcome {
        let mut outcome = Outcome::unread();
        outcome.check = Some(check);
        outcome.reason_zh = format!("{}：{reason}", check_in_chinese(check));
        outcome.reason = reason;
        outcome
    }

    /// Under a policy that cannot be read nothing can be told.
    pub fn of_bad_policy(error: &FormatError) -> Outcome {
        let fault = Outcome::of_fault("policy.format", error.to_string());
        Outcome { verdict: Answer::Undecided, ..fault }
    }

    /// Where something is still to come.
    pub(crate) fn of_missing(check: &'static str) -> Outcome {
        let mut outcome = Outcome::of_fault(check, "the receipt is missing".to_owned());
        outcome.verdict = Answer::Undecided;
        outcome.reason_zh = "缺少收据".to_owned();
        outcome
    }

    /// The same where the work itself is still to come: what holds of the receipt says nothing about any file.
    pub(crate) fn without_work(mut self) -> Outcome {
        self.verdict = Answer::Undecided;
        self.check = Some("work.missing");
        self.reason =
            "the receipt was read; whether it is about your file depends on the file".to_owned();
        self.reason_zh = "收据已读取；请提供作品文件，以判定收据是否与之相符".to_owned();
        self
    }

    /// Adds the proofs and every single check.
    pub fn explained(
        mut self,
        work: Option<&WorkDigests>,
        name: &str,
        receipt: &Receipt,
        policy: Option<&Policy>,
    ) -> Outcome {
        let decided =
            policy.map(|policy| verify(work.unwrap_or(&receipt.claim.work), receipt, policy));
        self.steps = crate::steps(work, name, receipt, policy, decided.as_ref());
        self.anchors = (1..)
            .zip(&receipt.anchors)
            .map(|(n, a)| AnchorTold::of(n, a, receipt, policy))
            .collect();
        self
    }

    fn unread() -> Outcome {
        Outcome {
            subject: "receipt",
            verdict: Answer::Refused,
            check: None,
            reason: String::new(),
            reason_zh: String::new(),
            file: None,
            claim: None,
            corrected_by: None,
            withdrawn_by: None,
            corrected_claim: None,
            existed_by: None,
            existed_by_source: None,
            log: None,
            index: None,
            trust: None,
            witnesses: Vec::new(),
            timestamps: Vec::new(),
            renewals: Vec::new(),
            bad_timestamps: Vec::new(),
            disagreement_seconds: None,
            anchors: Vec::new(),
            steps: Vec::new(),
        }
    }

    fn say_trust_missing(&mut self, signers: &[String]) {
        let keys = signers.join(", ");
        self.verdict = Answer::Undecided;
        self.check = Some("policy.missing");
        self.reason = format!(
            "file and receipt belong together; whether to believe it depends on the key {keys}: name a policy \
             that trusts it"
        );
        self.reason_zh =
            format!("文件与收据相符；是否可信取决于密钥 {keys}：请提供信任它的策略文件");
    }

    fn say_refusal(&mut self, refusal: &Refusal) {
        self.verdict = if refusal.is_undecided() { Answer::Undecided } else { Answer::Refused };
        self.check = Some(refusal.check());
        self.reason = refusal.to_string();
        self.reason_zh = refusal_in_chinese(refusal);
    }

    fn say_verified(&mut self, verdict: &Verdict) {
        let renewed = verdict.renewed.iter().map(|renewed| renewed.existed_by);
        let stamped = verdict.timestamps.iter().map(|t| t.time).chain(renewed).min();
        self.verdict = Answer::Verified;
        self.existed_by = verdict.existed_by.map(utc);
        self.existed_by_source = verdict
            .existed_by
            .map(|_| if stamped == verdict.existed_by { "authority" } else { "witnesses" });
        (self.reason, self.reason_zh) = match (&self.existed_by, self.existed_by_source) {
            (Some(time), Some("authority")) => (
                format!("the work existed by {time}, as a time-stamp authority of the policy vouches"),
                format!("作品在 {time} 之前已存在，由策略所信任的时间戳机构证明"),
            ),
            (Some(time), _) => (
                format!("the work existed by {time}, as the policy's witnesses vouch"),
                format!("作品在 {time} 之前已存在，由策略所信任的见证人证明"),
            ),
            (None, _) => (
                "the log holds this claim upon this work; this proves no date, as no witness vouches for one"
                    .to_owned(),
                "日志载有对该作品的这项声明；没有见证人证明时间，因此不证明任何日期".to_owned(),
            ),
        };
        self.log = Some(verdict.log.to_string());
        self.index = Some(verdict.index);
        self.witnesses = verdict.witnesses.iter().map(WitnessTold::of).collect();
        self.timestamps = verdict.timestamps.iter().map(TimestampTold::of).collect();
        self.renewals = verdict.renewed.iter().map(RenewalTold::of).collect();
        self.bad_timestamps.clone_from(&verdict.bad_timestamps);
        self.disagreement_seconds = verdict.disagreement_seconds;
    }
}

impl FileTold {
    /// A file of these digests.
    pub fn of(work: &WorkDigests, name: &str) -> FileTold {
        FileTold {
            name: name.to_owned(),
            length: work.length,
            sha256: HEXLOWER.encode(&work.sha256),
            sha512: HEXLOWER.encode(&work.sha512),
            sm3: HEXLOWER.encode(&work.sm3),
            cid: work.content().to_string(),
        }
    }
}

impl ClaimTold {
    /// What this claim says.
    pub fn of(claim: &Claim) -> ClaimTold {
        let amended = |act| {
            let amends = claim.amends.filter(|amends| amends.act == act)?;
            Some(AmendedTold { index: amends.index, claim: HEXLOWER.encode(&amends.claim) })
        };
        ClaimTold {
            sha256: HEXLOWER.encode(&claim.work.sha256),
            sha512: HEXLOWER.encode(&claim.work.sha512),
            sm3: HEXLOWER.encode(&claim.work.sm3),
            cid: claim.work.content().to_string(),
            length: claim.work.length,
            media_type: claim.media_type.clone(),
            title: claim.title.clone(),
            claimant: claim.claimant.clone(),
            created: claim.created.clone(),
            rights: claim.rights.clone(),
            collection: claim.collection.clone(),
            path: claim.path.as_deref().map(escape),
            corrects: amended(Act::Corrects),
            withdraws: amended(Act::Withdraws),
            creator_key: claim.creator.map(|creator| HEXLOWER.encode(&creator.key)),
        }
    }
}

impl WitnessTold {
    fn of(witness: &WitnessTime) -> WitnessTold {
        WitnessTold { name: witness.name.clone(), time: witness.time.map(utc) }
    }
}

impl TimestampTold {
    fn of(timestamp: &AuthorityTime) -> TimestampTold {
        TimestampTold {
            authority: timestamp.name.clone(),
            time: utc(timestamp.time),
            signer_not_after: utc(timestamp.signer_not_after),
        }
    }
}

impl RenewalTold {
    /// What this record shows.
    pub fn of(renewed: &Renewed) -> RenewalTold {
        RenewalTold {
            about: match renewed.subject {
                RecordSubject::Checkpoint => "checkpoint",
                RecordSubject::Receipt => "receipt",
            },
            timestamps: renewed.timestamps.iter().map(TimestampTold::of).collect(),
            renew_before: renewed.timestamps.last().map(|last| utc(last.signer_not_after)),
        }
    }
}

impl AnchorTold {
    fn of(
        number: usize,
        anchor: &Anchor,
        receipt: &Receipt,
        policy: Option<&Policy>,
    ) -> AnchorTold {
        let leaf = merkle::leaf_hash(&Leaf::of(&receipt.claim).to_bytes());
        let checkpoint = anchor.checkpoint();
        let path = merkle::inclusion_path(anchor.index, checkpoint.size, leaf, &anchor.proof);
        AnchorTold {
            index: anchor.index,
            size: checkpoint.size,
            origin: checkpoint.origin.clone(),
            root: HEXLOWER.encode(&checkpoint.root.0),
            leaf: HEXLOWER.encode(&leaf.0),
            path: path.unwrap_or_default().iter().map(PathTold::of).collect(),
            signatures: signatures(number, anchor, policy),
            timestamps: anchor
                .timestamps
                .iter()
                .map(|r| TokenTold::of(r, anchor, policy))
                .collect(),
        }
    }
}

impl PathTold {
    fn of(step: &merkle::PathStep) -> PathTold {
        PathTold {
            side: if step.is_left { "left" } else { "right" },
            sibling: HEXLOWER.encode(&step.sibling.0),
            parent: HEXLOWER.encode(&step.parent.0),
        }
    }
}

/// Every signature line once, with what the policy knows of its key.
fn signatures(number: usize, anchor: &Anchor, policy: Option<&Policy>) -> Vec<SignatureTold> {
    let known = expert::signatures(number, anchor, policy);
    let lines = anchor.note().signatures().iter();
    lines
        .map(|line| {
            let by = |k: &&expert::KnownSignature| {
                (k.key.name(), k.key.key_id()) == (line.name.as_str(), line.key_id)
            };
            let told = |kind, role, state, time, name: &str| SignatureTold {
                name: name.to_owned(),
                key_id: HEXLOWER.encode(&line.key_id),
                kind,
                role,
                state,
                time,
            };
            match known.iter().find(by) {
                Some(k) => told(
                    k.key.kind().name(),
                    if k.is_log { "log" } else { "witness" },
                    if k.holds { "holds" } else { "false" },
                    k.time.map(utc),
                    k.name,
                ),
                None => told("unknown", "unknown", "unchecked", None, &line.name),
            }
        })
        .collect()
}

impl TokenTold {
    fn of(response: &[u8], anchor: &Anchor, policy: Option<&Policy>) -> TokenTold {
        let said = Timestamp::of_response(response);
        let time = said.as_ref().ok().map(|timestamp| utc(timestamp.time()));
        let maker = match (&said, policy) {
            (Ok(timestamp), Some(policy)) => {
                let position = policy.token_maker(timestamp, anchor).ok();
                position.and_then(|at| policy.authorities().get(at))
            }
            _ => None,
        };
        TokenTold {
            time,
            authority: maker.map(|authority| authority.authority.name().to_owned()),
            state: match (policy, maker) {
                (None, _) => "unchecked",
                (Some(_), Some(_)) => "holds",
                (Some(_), None) => "not counted",
            },
        }
    }
}
