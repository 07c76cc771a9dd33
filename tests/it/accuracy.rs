//! The published recall and the absence of wrong matches, on the development data.

use std::process::Command;

use crate::support::{Desk, expect, repository, shared, skip};

#[test]
fn recall_is_at_least_what_is_claimed_without_one_wrong_match() {
    let Some(shared) = shared() else {
        return skip("there is no ../shared with the development data");
    };
    let data = shared.join("data/copy-detection");
    let desk = Desk::new();
    let references = data.join("references").display().to_string();
    expect(0, &mut desk.timemark(["register", &references, "--receipts", "receipts"]));
    let queries = data.join("queries").display().to_string();
    let scan = expect(0, &mut desk.timemark(["scan", &queries, "--json"]));
    let scan = desk.file("scan.jsonl", scan);
    let mut table = Command::new("python3");
    table.arg(repository("benches/recall.py")).args([&data.join("truth.csv"), &scan]);
    println!(
        "{}",
        expect(0, table.args(["--recall-min", "0.98", "--transform-recall-min", "0.9"]))
    );
}
