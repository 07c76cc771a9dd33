//! Receipts that outlive an authority and SHA-256: stamped, renewed, renewed as a whole, and what openssl says
//! of the tokens inside.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use timemark_verify::{Anchor, DigestAlgorithm, EvidenceRecord, Receipt, Timestamp};

use crate::support::{Desk, expect, expect_json, run, skip};
use crate::timestamps::{OpensslAuthority, has_openssl};

const KEY: &str = "-algorithm EC -pkeyopt ec_paramgen_curve:P-384";
/// Far from now, because no test knows when it runs.
const PAST: &str = "2020-01-01T00:00:00Z";
const FUTURE: &str = "2100-01-01T00:00:00Z";

/// An archive whose works were stamped by an authority that rests on SHA-256, and two others that do not.
pub struct Aging {
    pub desk: Desk,
    old: OpensslAuthority,
    heirs: [OpensslAuthority; 2],
}

impl Aging {
    pub fn new() -> Aging {
        let desk = Desk::new();
        let start =
            |name, digest| OpensslAuthority::named(name, &desk, KEY, digest, Duration::ZERO);
        let old = start("old", "sha256");
        let heirs = [start("heir", "sha512"), start("heiress", "sha384")];
        let policy = desk.file("first", format!("quorum none\n{}", old.policy_line()));
        expect(0, desk.timemark(["init", "--origin", "aging.example", "--policy"]).arg(policy));
        for i in 0..3 {
            desk.file(&format!("works/{i}"), format!("work {i}"));
        }
        expect(0, &mut desk.timemark(["register", "works", "--receipts", "r"]));
        std::thread::sleep(Duration::from_millis(1100)); // a renewal is later than what it renews
        let lines: String = heirs.iter().map(OpensslAuthority::policy_line).collect();
        // The old authority is gone: it is trusted, and not asked.
        let line = old.policy_line();
        let line = line.rsplit_once(' ').unwrap().0;
        let policy = desk.file("second", format!("quorum none\n{line}\n{lines}"));
        expect(0, desk.timemark(["log", "policy", "--set"]).arg(policy));
        Aging { desk, old, heirs }
    }

    /// What a verifier who trusts all three, with these further lines, says of the first work.
    fn verdict(&self, code: i32, lines: &str) -> Value {
        let trust = expect(0, &mut self.desk.timemark(["log", "policy"])) + lines;
        let trust = self.desk.file("trust", trust);
        let mut verify = self.desk.timemark(["verify", "works/0", "--receipt", "r/0.timemark"]);
        expect_json(code, verify.arg("--policy").arg(trust)).remove(0)
    }

    fn receipt(&self, n: usize) -> Receipt {
        Receipt::parse(&fs::read(self.desk.path(&format!("r/{n}.timemark"))).unwrap()).unwrap()
    }

    /// openssl believes a token over this message at its own time.
    fn openssl_believes(&self, token: &Timestamp, message: &[u8], root: &Path) {
        let algorithm = match token.imprint_algorithm() {
            DigestAlgorithm::Sha256 => "-sha256",
            DigestAlgorithm::Sha384 => "-sha384",
            DigestAlgorithm::Sha512 => "-sha512",
        };
        self.desk.file("token", token.token_der());
        let message = self.desk.file("message", message);
        let mut digest = Command::new("openssl");
        let digest = expect(0, digest.args(["dgst", "-r", algorithm]).arg(message));
        let digest = digest.split(' ').next().unwrap();
        let mut verify = Command::new("openssl");
        verify.args(["ts", "-verify", "-token_in", "-in", "token", "-digest", digest, "-CAfile"]);
        let at = token.time().to_string();
        expect(0, verify.arg(root).args(["-attime", &at]).current_dir(self.desk.path("")));
    }
}

/// The anchor that the authorities stamped; the first one came without.
fn stamped(receipt: &Receipt) -> &Anchor {
    receipt.anchors.iter().find(|anchor| !anchor.timestamps.is_empty()).unwrap()
}

#[test]
fn a_receipt_outlives_its_authority() {
    if !has_openssl() {
        return skip("openssl is not installed");
    }
    let aging = Aging::new();
    let desk = &aging.desk;
    let before = aging.verdict(0, "");
    let gone = format!("tsa-until old {FUTURE}\n");
    let verdict = aging.verdict(0, &gone);
    assert_eq!(verdict["existed_by"], Value::Null, "{verdict}");
    assert!(
        verdict["bad_timestamps"][0].as_str().unwrap().contains("the authority old counts only")
    );

    let lines = expect_json(0, &mut desk.timemark(["renew", "r", "r/0.timemark"]));
    assert_eq!(lines.len(), 3, "each once: {lines:?}");
    for line in &lines {
        assert_eq!(line["status"], "renewed");
        assert_eq!(line["renewals"].as_array().unwrap().len(), 2, "one by each authority");
    }
    for lines in ["", &gone] {
        let verdict = aging.verdict(0, lines);
        assert_eq!(verdict["existed_by"], before["existed_by"], "{verdict}");
        assert_eq!(verdict["bad_timestamps"], Value::Array(vec![]), "{verdict}");
        let names: Vec<_> = verdict["renewals"]
            .as_array()
            .unwrap()
            .iter()
            .map(|renewal| renewal["timestamps"][1]["authority"].as_str().unwrap())
            .collect();
        assert_eq!(names, ["heir", "heiress"]);
    }
    let late = aging.verdict(0, &format!("tsa-until old {PAST}\n"));
    assert_eq!(late["existed_by"], Value::Null, "{late}");
    assert_eq!(late["bad_timestamps"].as_array().unwrap().len(), 3, "{late}");

    // One token of each authority serves all three receipts.
    let records: Vec<EvidenceRecord> = (0..3)
        .map(|n| EvidenceRecord::parse(&stamped(&aging.receipt(n)).records[0]).unwrap())
        .collect();
    let last = |record: &EvidenceRecord| record.timestamps().last().unwrap().token_der().to_vec();
    assert!(records.iter().all(|record| last(record) == last(&records[0])));

    // Once more: the same records go on.
    std::thread::sleep(Duration::from_millis(1100));
    let words = expect(0, &mut desk.timemark(["renew", "r/0.timemark"]));
    assert!(words.starts_with("renewed     r/0.timemark  2 records  again before 20"), "{words}");
    let receipt = aging.receipt(0);
    let anchor = stamped(&receipt);
    assert_eq!(anchor.records.len(), 2);
    let record = EvidenceRecord::parse(&anchor.records[0]).unwrap();
    let tokens: Vec<&Timestamp> = record.timestamps().collect();
    assert_eq!(tokens.len(), 3);
    let checkpoint = anchor.note().text().as_bytes();
    aging.openssl_believes(tokens[0], checkpoint, &aging.old.root_pem);
    // All three receipts have one checkpoint and one token over it, so that there is no tree: openssl checks by
    // the bytes of each token that the next one is about it.
    aging.openssl_believes(tokens[1], tokens[0].token_der(), &aging.heirs[0].root_pem);
    let other = EvidenceRecord::parse(&anchor.records[1]).unwrap();
    let other: Vec<&Timestamp> = other.timestamps().collect();
    aging.openssl_believes(other[1], other[0].token_der(), &aging.heirs[1].root_pem);
    // Then both went on by one tree over their tokens, and over the first one, with which a third record could
    // have begun: RFC 4998 section 4.2 by hand.
    let mut leaves = [tokens[0], tokens[1], other[1]]
        .map(|token| DigestAlgorithm::Sha256.digest(token.token_der()));
    leaves.sort();
    let [first, second, third] = leaves;
    let mut top = [DigestAlgorithm::Sha256.digest(&[first, second].concat()), third];
    top.sort();
    aging.openssl_believes(tokens[2], &top.concat(), &aging.heirs[0].root_pem);
    aging.openssl_believes(other[2], &top.concat(), &aging.heirs[1].root_pem);
    let shown = expect(0, &mut desk.timemark(["receipt", "show", "r/0.timemark"]));
    assert_eq!(shown.matches("then 20").count(), 4, "{shown}");
}

#[test]
fn a_receipt_outlives_sha_256() {
    if !has_openssl() {
        return skip("openssl is not installed");
    }
    let aging = Aging::new();
    let desk = &aging.desk;
    let before = aging.verdict(0, "");
    let aged = format!("hash-until sha256 {FUTURE}\n");
    let verdict = aging.verdict(2, &aged);
    assert_eq!(verdict["verdict"], "undecided");
    assert!(
        verdict["reason"].as_str().unwrap().contains("SHA-256 counts only until 2100"),
        "{verdict}"
    );
    let covered = aging.receipt(1).record_data();
    expect(0, &mut desk.timemark(["renew", "r/1.timemark", "--hash", "sha512"]));
    expect(0, &mut desk.timemark(["renew", "r/0.timemark", "r/2.timemark", "--hash", "sha512"]));

    let verdict = aging.verdict(0, &aged);
    assert_eq!(verdict["existed_by"], before["existed_by"], "{verdict}");
    assert_eq!(verdict["timestamps"].as_array().unwrap().len(), 1, "{verdict}");
    assert_eq!(verdict["renewals"][0]["about"], "receipt");
    let late = aging.verdict(2, &format!("hash-until sha256 {PAST}\n"));
    assert_eq!(late["verdict"], "undecided");

    // openssl reads what the record is about: all of the file above it.
    let receipt = aging.receipt(1);
    let file = fs::read_to_string(desk.path("r/1.timemark")).unwrap();
    let above = &file[..file.find("== receipt-record ").unwrap()];
    assert_eq!(above, covered);
    for (record, heir) in receipt.records.iter().zip(&aging.heirs) {
        let record = EvidenceRecord::parse(record).unwrap();
        let token = record.timestamps().next().unwrap();
        aging.openssl_believes(token, above.as_bytes(), &heir.root_pem);
    }

    // SHA-512 ages too; and what is above the record stays as it is.
    std::thread::sleep(Duration::from_millis(1100));
    expect(0, &mut desk.timemark(["renew", "r/1.timemark"]));
    std::thread::sleep(Duration::from_millis(1100));
    expect(0, &mut desk.timemark(["renew", "r/1.timemark", "--hash", "sha384"]));
    let again = aging.receipt(1);
    assert_eq!(again.record_data(), covered);
    let tokens = |record: &Vec<u8>| EvidenceRecord::parse(record).unwrap().timestamps().count();
    assert_eq!(again.records.iter().map(tokens).collect::<Vec<_>>(), [3, 3]);
    let refreshed = expect_json(0, &mut desk.timemark(["receipt", "refresh", "r/1.timemark"]));
    assert_eq!(refreshed[0]["status"], "unchanged");
}

#[test]
fn what_cannot_be_renewed_is_named_and_costs_nothing_else() {
    if !has_openssl() {
        return skip("openssl is not installed");
    }
    let aging = Aging::new();
    let desk = &aging.desk;
    // A receipt of another archive, without any token.
    expect(0, &mut desk.timemark_on("other", ["init"]));
    desk.file("bare", "a work without a time");
    expect(0, &mut desk.timemark_on("other", ["register", "bare", "--receipts", "r"]));
    desk.file("r/damaged.timemark", "timemark-receipt v1\n");
    desk.file("r/notes.txt", "no receipt");
    let bare = fs::read(desk.path("r/bare.timemark")).unwrap();
    let mut objects = expect_json(1, &mut desk.timemark(["renew", "r"]));
    objects.sort_by_key(|object| object["receipt"].to_string());
    let told: Vec<_> = objects.iter().map(|object| object["status"].as_str().unwrap()).collect();
    assert_eq!(told, ["renewed", "renewed", "renewed", "error", "error"]);
    assert!(objects[3]["error"].as_str().unwrap().contains("no time-stamp that could be renewed"));
    assert_eq!(fs::read(desk.path("r/bare.timemark")).unwrap(), bare);
    expect(0, &mut desk.timemark(["renew", "r/bare.timemark", "--hash", "sha512"]));
    expect(1, &mut desk.timemark(["renew", "r/notes.txt"]));

    // Without authorities that can be asked, nothing can be told.
    let output = run(&mut desk.timemark_on("other", ["renew", "r/0.timemark"]));
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("names no authority to ask"));
    let before = fs::read(desk.path("r/0.timemark")).unwrap();
    let line = aging.old.policy_line();
    let dead =
        format!("{} http://127.0.0.1:9/tsa\nquorum none\n", line.rsplit_once(' ').unwrap().0);
    let dead = desk.file("dead", dead);
    let output = run(desk.timemark(["renew", "r/0.timemark", "--policy"]).arg(dead));
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no authority gave a time-stamp"));
    assert_eq!(fs::read(desk.path("r/0.timemark")).unwrap(), before);
}
