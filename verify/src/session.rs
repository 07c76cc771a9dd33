//! One verification, piece by piece: files come in as bytes, an answer goes out as JSON.
//!
//! It is what a front end that has no Rust types talks to: the page, by `wasm.rs`.

use serde::Serialize;
use serde_json::json;

use crate::{
    Answer, Bundle, BundleFault, BundleOutcome, BundleReader, FileTold, FormatError, Outcome,
    Policy, Receipt, Trust, TrustTold, WorkDigests, WorkHasher, expert_files,
};

/// What has come in so far.
#[derive(Default)]
pub struct Session {
    hasher: Option<WorkHasher>,
    work: Option<(String, WorkDigests)>,
    receipt: Option<Result<Receipt, FormatError>>,
    /// Other receipts of the same work, by which the claim may have been corrected or withdrawn.
    others: Vec<Receipt>,
    policy: Option<Result<(Policy, TrustTold), FormatError>>,
    bundle: Incoming,
    confirmed: Option<String>,
    /// The receipt that was explained last: whose expert files are asked for.
    explained: Option<Receipt>,
}

#[derive(Default)]
enum Incoming {
    #[default]
    None,
    Reading(Box<BundleReader>),
    Read(Box<Bundle>),
    Failed(BundleFault),
}

impl Session {
    /// Takes the next bytes of the work.
    pub fn work_bytes(&mut self, bytes: &[u8]) {
        self.hasher.get_or_insert_default().update(bytes);
    }

    /// The work is complete and has this name. Answers with its digests.
    pub fn work_done(&mut self, name: &str) -> String {
        let work = self.hasher.take().unwrap_or_default().finish();
        let told = FileTold::of(&work, name);
        self.work = Some((name.to_owned(), work));
        json_of(&told)
    }

    /// Takes a receipt, or a certificate with one attached. Answers `{"ok":true}` or with a refusal.
    pub fn receipt(&mut self, file: &[u8]) -> String {
        self.others.clear();
        let receipt = Receipt::parse_file(file);
        let answer = match &receipt {
            Ok(_) => json!({ "ok": true }).to_string(),
            Err(error) => json_of(&Outcome::of_unreadable(error)),
        };
        self.receipt = Some(receipt);
        answer
    }

    /// Takes another receipt of the same work: a claim may have been corrected or withdrawn. The earliest of them is the
    /// one that is decided upon. Answers as [`Session::receipt`] does; what cannot be read is not kept.
    pub fn receipt_beside(&mut self, file: &[u8]) -> String {
        match Receipt::parse_file(file) {
            Ok(other) => {
                if self.others.len() < OTHERS_MAX {
                    self.others.push(other);
                }
                json!({ "ok": true }).to_string()
            }
            Err(error) => json_of(&Outcome::of_unreadable(&error)),
        }
    }

    /// Takes a policy file; an empty one takes the policy back.
    pub fn policy(&mut self, file: &[u8]) -> String {
        self.policy = None;
        if file.is_empty() {
            return json!({ "ok": true }).to_string();
        }
        match Policy::parse(file) {
            Ok(policy) => {
                let told = TrustTold::given(file);
                let answer = json!({ "ok": true, "sha256": told.sha256 }).to_string();
                self.policy = Some(Ok((policy, told)));
                answer
            }
            Err(error) => {
                let answer = json!({ "ok": false, "reason": error.to_string() }).to_string();
                self.policy = Some(Err(error));
                answer
            }
        }
    }

    /// Takes the next bytes of a bundle.
    pub fn bundle_bytes(&mut self, bytes: &[u8]) {
        if let Incoming::None = self.bundle {
            self.bundle = Incoming::Reading(Box::default());
        }
        if let Incoming::Reading(reader) = &mut self.bundle
            && let Err(fault) = reader.update(bytes)
        {
            self.bundle = Incoming::Failed(fault);
        }
    }

    /// The user vouches for the policy inside the bundle, if it has this SHA-256; an empty text takes that back.
    pub fn confirm(&mut self, sha256: &str) {
        self.confirmed = Some(sha256.trim().to_ascii_lowercase()).filter(|text| !text.is_empty());
    }

    /// What all of it comes to: the outcome of a bundle if there is one, else of a receipt.
    pub fn verdict(&mut self) -> String {
        if let Some(Err(error)) = &self.policy {
            return json_of(&Outcome::of_bad_policy(error));
        }
        if let Incoming::Reading(_) = self.bundle
            && let Incoming::Reading(reader) = std::mem::take(&mut self.bundle)
        {
            self.bundle = match reader.finish() {
                Ok(bundle) => Incoming::Read(Box::new(bundle)),
                Err(fault) => Incoming::Failed(fault),
            };
        }
        match &self.bundle {
            Incoming::Failed(fault) => json_of(&BundleOutcome::of_fault(fault)),
            Incoming::Read(bundle) => {
                json_of(&bundle.outcome(self.trust(), self.confirmed.as_deref()))
            }
            Incoming::None | Incoming::Reading(_) => self.receipt_verdict(),
        }
    }

    fn receipt_verdict(&mut self) -> String {
        let receipt = match &self.receipt {
            Some(Ok(receipt)) => earliest(receipt, &self.others).clone(),
            Some(Err(error)) => return json_of(&Outcome::of_unreadable(error)),
            None => return json_of(&Outcome::of_missing("receipt.missing")),
        };
        let (name, work) = match &self.work {
            Some((name, work)) => (name.as_str(), Some(work)),
            None => ("WORK", None),
        };
        let trust = self.trust();
        let mut outcome = match work {
            Some(work) => Outcome::of_receipt(work, name, &receipt, trust),
            None => Outcome::of_receipt_alone(&receipt, trust),
        };
        if work.is_none() && outcome.verdict != Answer::Refused {
            outcome = outcome.without_work();
        }
        let given: Vec<Receipt> =
            self.receipt.iter().flatten().chain(&self.others).cloned().collect();
        outcome = outcome.beside(&receipt, &given, trust);
        let policy = trust.map(|trust| trust.policy);
        let answer = json_of(&outcome.explained(work, name, &receipt, policy));
        self.explained = Some(receipt);
        answer
    }

    /// Everything about one receipt of the bundle: its number, counted from 1, or `manifest`. Empty where there is
    /// no such receipt.
    pub fn detail(&mut self, which: &str) -> String {
        let Incoming::Read(bundle) = &self.bundle else { return String::new() };
        let inside = self.confirmed_inside(bundle);
        let inside = inside.as_ref().map(|(policy, told)| Trust { policy, told });
        let trust = self.trust().or(inside);
        let (outcome, receipt) = if which == "manifest" {
            (bundle.manifest_outcome(trust, true), bundle.manifest_receipt())
        } else {
            let number = which.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
            let Some(item) = number.and_then(|at| bundle.items.get(at)) else {
                return String::new();
            };
            (item.outcome(trust, true), item.receipt.as_slice())
        };
        self.explained = Receipt::parse(receipt).ok();
        json_of(&outcome)
    }

    /// A file for experts of the receipt that was explained last. Empty where there is none of this name.
    pub fn expert_file(&self, name: &str) -> Vec<u8> {
        let Some(receipt) = &self.explained else { return Vec::new() };
        let inside = match &self.bundle {
            Incoming::Read(bundle) => self.confirmed_inside(bundle),
            _ => None,
        };
        let given = self.policy.as_ref().and_then(|policy| policy.as_ref().ok());
        let policy = given.or(inside.as_ref()).map(|(policy, _)| policy);
        let mut files = expert_files(receipt, policy).into_iter();
        files.find(|file| file.name == name).map(|file| file.bytes).unwrap_or_default()
    }

    fn trust(&self) -> Option<Trust<'_>> {
        let policy = self.policy.as_ref()?.as_ref().ok();
        policy.map(|(policy, told)| Trust { policy, told })
    }

    fn confirmed_inside(&self, bundle: &Bundle) -> Option<(Policy, TrustTold)> {
        bundle.confirmed(self.confirmed.as_deref()?)?.ok()
    }
}

/// The receipt of the first entry among those that are given.
fn earliest<'a>(receipt: &'a Receipt, others: &'a [Receipt]) -> &'a Receipt {
    let index = |receipt: &&Receipt| receipt.anchors.first().map(|anchor| anchor.index);
    let same_work = |other: &&Receipt| other.claim.work == receipt.claim.work;
    let all = std::iter::once(receipt).chain(others.iter().filter(same_work));
    all.min_by_key(index).unwrap_or(receipt)
}

fn json_of(value: &impl Serialize) -> String {
    // Texts and numbers under fixed names: nothing of it can fail to be JSON.
    serde_json::to_string(value).unwrap_or_default()
}

/// Receipts that are taken beside the first one.
const OTHERS_MAX: usize = 64;
