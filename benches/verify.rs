//! How long does it take to tell that a receipt proves its work?
//!
//! Nothing here touches a disk or the work's own bytes: the digests of the work are known.

mod measure;

use std::fmt;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use measure::{Report, median_seconds};
use timemark_tlog::{Log, tree};
use timemark_verify::{Anchor, Leaf, Policy, Receipt, Refusal, Verdict, WorkDigests, verify};

fn main() -> Result<()> {
    let cases = CASES.get_or_init(|| cases().map_err(|error| format!("{error:#}")));
    let cases = cases.as_ref().map_err(anyhow::Error::msg)?;
    divan::main();

    // divan's table is for people; the same calls again, for the file.
    let mut report = Report::open("verify")?;
    for case in cases {
        let note = format!(
            "tree of {} entries; proof of {} hashes; receipt of {} bytes",
            case.receipt.anchors[0].checkpoint().size,
            case.receipt.anchors[0].proof.len(),
            case.file.len()
        );
        let both = median_seconds(DURATION, || case.parse_and_verify()) * 1e6;
        report.row(
            &format!("parse_and_verify_{}_{}", case.size, case.keys),
            both,
            "µs/receipt",
            &note,
        )?;
        let alone = median_seconds(DURATION, || case.verify()) * 1e6;
        report.row(&format!("verify_{}_{}", case.size, case.keys), alone, "µs/receipt", &note)?;
    }
    Ok(())
}

#[divan::bench(args = cases_or_none())]
fn parse_and_verify(case: &Case) -> bool {
    case.parse_and_verify()
}

#[divan::bench(args = cases_or_none())]
fn verify_alone(case: &Case) -> bool {
    case.verify().is_ok()
}

/// A receipt, and what it is verified with.
struct Case {
    size: u64,
    /// With which keys the policy wants the log to have signed.
    keys: &'static str,
    work: WorkDigests,
    policy: Policy,
    file: Vec<u8>,
    receipt: Receipt,
}

impl Case {
    fn parse_and_verify(&self) -> bool {
        Receipt::parse(&self.file).is_ok_and(|r| verify(&self.work, &r, &self.policy).is_ok())
    }

    fn verify(&self) -> Result<Verdict, Refusal> {
        verify(&self.work, &self.receipt, &self.policy)
    }

    /// What is to be timed gives the right answers.
    fn check(&self) -> Result<()> {
        ensure!(Receipt::parse(&self.file)? == self.receipt);
        ensure!(self.parse_and_verify());
        ensure!(self.verify()?.index == self.receipt.anchors[0].index);
        let other = verify(&WorkDigests::of(b"another work"), &self.receipt, &self.policy);
        ensure!(matches!(other, Err(Refusal::OtherWork { .. })));
        let mut forged = self.receipt.clone();
        forged.claim.claimant = Some("Mallory".to_owned());
        let forged = verify(&self.work, &forged, &self.policy);
        ensure!(matches!(forged, Err(Refusal::OtherClaim { .. })));
        Ok(())
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} entries, {}", self.size, self.keys)
    }
}

fn cases_or_none() -> &'static [Case] {
    CASES.get().and_then(|cases| cases.as_deref().ok()).unwrap_or_default()
}

/// One log that grows, and a receipt of it at each size.
fn cases() -> Result<Vec<Case>> {
    let dir = tempfile::tempdir()?;
    let log = measure::new_log(&dir.path().join("log"), Box::new(|| Ok(())))?;
    let mut cases = Vec::new();
    for size in SIZES {
        let from = log.size();
        measure::on_threads(64, |number| {
            let number = from + number;
            if number < size {
                log.append(&measure::claim(number, work(number)))?;
            }
            Ok(number < size)
        })?;
        for keys in ["ed25519", "ml_dsa", "both"] {
            let case = case(&log, size, keys)?;
            case.check()?;
            cases.push(case);
        }
    }
    Ok(cases)
}

/// The receipt of an entry in the left half of the tree, where proofs are longest.
fn case(log: &Log, size: u64, keys: &'static str) -> Result<Case> {
    let index = size / 3;
    let claim = log.entries_from(index)?.swap_remove(0).claim.context("it is there")?;
    let claim = timemark_verify::Claim::parse(&claim)?;
    let proof = tree::inclusion_proof(log, index, log.size())?;
    let receipt = Receipt {
        leaf: Leaf::of(&claim),
        anchors: vec![Anchor::new(index, proof, log.checkpoint())?],
        records: Vec::new(),
        others: Vec::new(),
        claim,
    };
    let [ed25519, ml_dsa] = &measure::verifiers()?;
    let policy = match keys {
        "ed25519" => format!("log {ed25519}\nquorum none\n"),
        "ml_dsa" => format!("log {ml_dsa}\nquorum none\n"),
        _ => format!("log {ed25519}\nwitness L {ml_dsa}\nquorum L\n"),
    };
    let policy = Policy::parse(policy.as_bytes())?;
    let file = receipt.to_string().into_bytes();
    Ok(Case { size, keys, work: receipt.claim.work, policy, file, receipt })
}

fn work(number: u64) -> WorkDigests {
    WorkDigests::of(&number.to_be_bytes())
}

static CASES: OnceLock<Result<Vec<Case>, String>> = OnceLock::new();
const SIZES: [u64; 2] = [1_000, 100_000];
const DURATION: Duration = Duration::from_secs(1);
