//! What a bundle proves: the worst of what its receipts prove, under a policy that is not taken from the bundle unasked.

use data_encoding::HEXLOWER;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::{Bundle, BundleFault, BundleItem, Manifest, fault, work_of};
use crate::chinese::check_in_chinese;
use crate::{
    Answer, FormatError, Outcome, Policy, Receipt, Trust, TrustSource, TrustTold, WorkDigests,
};

/// What a bundle proves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BundleOutcome {
    /// `bundle`.
    pub subject: &'static str,
    /// The answer: the worst of those about manifest and items.
    pub verdict: Answer,
    /// The first check that failed, or what is missing.
    pub check: Option<&'static str>,
    /// The answer in a sentence.
    pub reason: String,
    /// The same in Chinese.
    pub reason_zh: String,
    /// The file at which the check failed.
    pub at: Option<String>,
    /// What the bundle is for.
    pub profile: Option<&'static str>,
    /// How many files it has beside manifest and receipt of the manifest.
    pub files: usize,
    /// How long it is.
    pub bytes: u64,
    /// SHA-256 of the policy inside, in hex.
    pub policy_sha256: Option<String>,
    /// The policy that the answer rests on.
    pub trust: Option<TrustTold>,
    /// By when everything in it existed: what the manifest's receipt proves, where all is verified.
    pub existed_by: Option<String>,
    /// What the receipt of the manifest proves.
    pub manifest: Option<Outcome>,
    /// What each receipt proves.
    pub items: Vec<ItemOutcome>,
}

/// What a receipt in a bundle proves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ItemOutcome {
    /// Counted from 1.
    pub number: usize,
    /// Where the receipt lies.
    pub path: String,
    /// `present` or `absent`: an absent work is judged by the digests that its receipt claims.
    pub work: &'static str,
    /// What it proves.
    #[serde(flatten)]
    pub outcome: Outcome,
}

impl Bundle {
    /// SHA-256 of the policy inside, in hex.
    pub fn policy_sha256(&self) -> Option<String> {
        self.policy.as_ref().map(|policy| HEXLOWER.encode(&Sha256::digest(policy)))
    }

    /// What the bundle proves under a policy from outside, or under the one inside if its digest is `confirmed`.
    /// With neither the answer is undecided at best: whoever hands in a bundle chooses what is in it.
    pub fn outcome(&self, given: Option<Trust>, confirmed: Option<&str>) -> BundleOutcome {
        let inside = match confirmed.and_then(|confirmed| self.confirmed(confirmed)) {
            Some(Err(error)) => {
                let fault = fault("policy.format", Manifest::POLICY, error.to_string());
                return BundleOutcome::of_fault(&fault);
            }
            Some(Ok(inside)) => Some(inside),
            None => None,
        };
        let inside = inside.as_ref().map(|(policy, told)| Trust { policy, told });
        let trust = given.or(inside);
        let manifest = self.manifest_outcome(trust, false);
        let items: Vec<ItemOutcome> = (1..)
            .zip(&self.items)
            .map(|(number, item)| ItemOutcome {
                number,
                path: item.path.clone(),
                work: if item.work.is_some() { "present" } else { "absent" },
                outcome: item.outcome(trust, false),
            })
            .collect();
        let mut outcome = BundleOutcome {
            profile: Some(self.manifest.profile.name()),
            files: self.manifest.files.len(),
            bytes: self.bytes,
            policy_sha256: self.policy_sha256(),
            trust: trust.map(|trust| trust.told.clone()),
            ..BundleOutcome::empty()
        };
        outcome.conclude(&manifest, &items);
        BundleOutcome { manifest: Some(manifest), items, ..outcome }
    }

    /// The policy inside, if this is its SHA-256 in hex.
    pub fn confirmed(&self, sha256: &str) -> Option<Result<(Policy, TrustTold), FormatError>> {
        let policy =
            self.policy.as_ref().filter(|_| self.policy_sha256().as_deref() == Some(sha256))?;
        let told = TrustTold { sha256: sha256.to_owned(), source: TrustSource::Bundle };
        Some(Policy::parse(policy).map(|policy| (policy, told)))
    }

    /// The receipt of the manifest.
    pub fn manifest_receipt(&self) -> &[u8] {
        &self.manifest_receipt
    }

    /// What the receipt of the manifest proves, with every step if `explained`.
    pub fn manifest_outcome(&self, trust: Option<Trust>, explained: bool) -> Outcome {
        let work = Some(&self.manifest_work);
        outcome(&self.manifest_receipt, work, Manifest::NAME, trust, explained)
    }
}

impl BundleItem {
    /// What it proves, with every step if `explained`.
    pub fn outcome(&self, trust: Option<Trust>, explained: bool) -> Outcome {
        let name = work_of(&self.path).unwrap_or(&self.path);
        outcome(&self.receipt, self.work.as_ref(), name, trust, explained)
    }
}

fn outcome(
    receipt: &[u8],
    work: Option<&WorkDigests>,
    name: &str,
    trust: Option<Trust>,
    explained: bool,
) -> Outcome {
    let receipt = match Receipt::parse(receipt) {
        Ok(receipt) => receipt,
        Err(error) => return Outcome::of_unreadable(&error),
    };
    let outcome = match work {
        Some(work) => Outcome::of_receipt(work, name, &receipt, trust),
        None => Outcome::of_receipt_alone(&receipt, trust),
    };
    if explained {
        outcome.explained(work, name, &receipt, trust.map(|trust| trust.policy))
    } else {
        outcome
    }
}

impl BundleOutcome {
    /// Of a bundle that could not be read.
    pub fn of_fault(fault: &BundleFault) -> BundleOutcome {
        BundleOutcome {
            check: Some(fault.check),
            reason: fault.to_string(),
            reason_zh: format!(
                "{}（{}：{}）",
                check_in_chinese(fault.check),
                fault.at,
                fault.reason
            ),
            at: Some(fault.at.clone()),
            ..BundleOutcome::empty()
        }
    }

    fn empty() -> BundleOutcome {
        BundleOutcome {
            subject: "bundle",
            verdict: Answer::Refused,
            check: None,
            reason: String::new(),
            reason_zh: String::new(),
            at: None,
            profile: None,
            files: 0,
            bytes: 0,
            policy_sha256: None,
            trust: None,
            existed_by: None,
            manifest: None,
            items: Vec::new(),
        }
    }

    /// The worst answer is the bundle's, and the first that gives it is named.
    fn conclude(&mut self, manifest: &Outcome, items: &[ItemOutcome]) {
        let all = std::iter::once((Manifest::NAME, manifest))
            .chain(items.iter().map(|item| (item.path.as_str(), &item.outcome)));
        self.verdict = Answer::Verified;
        for (at, outcome) in all {
            if outcome.verdict > self.verdict {
                self.verdict = outcome.verdict;
                self.check = outcome.check;
                self.at = Some(at.to_owned());
                self.reason = format!("{at}: {}", outcome.reason);
                self.reason_zh = format!("{at}：{}", outcome.reason_zh);
            }
        }
        if self.verdict == Answer::Verified {
            self.existed_by.clone_from(&manifest.existed_by);
            let absent = items.iter().filter(|item| item.work == "absent").count();
            let (items, files) = (items.len(), self.files);
            self.reason = format!(
                "the bundle is as it was registered, all {files} files of it, and {items} receipts hold"
            );
            self.reason_zh =
                format!("证据包与登记时一致（{files} 个文件），{items} 份收据均通过核验");
            if absent > 0 {
                self.reason += &format!(
                    "; {absent} of them are about works that are not in the bundle: bring the files"
                );
                self.reason_zh += &format!("；其中 {absent} 份所涉作品不在包内，须另行提供文件");
            }
        }
    }
}
