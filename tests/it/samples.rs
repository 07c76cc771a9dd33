//! The committed receipts of `samples/` are what the program writes today, byte for byte.
//!
//! They are reproducible because nothing in a receipt depends on a clock or on chance: the keys are
//! published, and one work is registered at a time. `TIMEMARK_BLESS=1` writes them anew.

use std::fs;

use crate::support::{Desk, expect, expect_json, repository};

#[test]
fn receipts_are_reproduced_byte_for_byte() {
    let desk = Desk::new();
    let (keys, samples) = (repository("samples/keys"), repository("samples"));
    let mut init = desk.timemark(["init", "--keys"]);
    expect(0, init.arg(&keys));
    let receipts = desk.path("receipts");
    let mut register =
        desk.timemark(["register", "works", "--jobs", "1", "--claimant", "Timemark"]);
    register
        .args(["--created", "2026-11-22", "--rights", "Apache-2.0", "--receipts"])
        .arg(&receipts);
    // Paths stand in the claim as they are given.
    expect(0, register.current_dir(&samples));

    let policy = expect(0, &mut desk.timemark(["log", "policy"]));
    let policy =
        format!("# Trust in the log of the samples alone; its keys are published.\n{policy}");
    let golden = repository("samples/receipts");
    if std::env::var_os("TIMEMARK_BLESS").is_some() {
        let _ = fs::remove_dir_all(&golden);
        fs::create_dir_all(&golden).unwrap();
        for entry in fs::read_dir(&receipts).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), golden.join(entry.file_name())).unwrap();
        }
        fs::write(repository("samples/policy.txt"), &policy).unwrap();
    }
    assert_eq!(fs::read_to_string(repository("samples/policy.txt")).unwrap(), policy);
    let names = |dir| {
        let mut names: Vec<_> =
            fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(names(&receipts), names(&golden));
    for name in names(&golden) {
        let [new, old] =
            [&receipts, &golden].map(|dir| fs::read_to_string(dir.join(&name)).unwrap());
        assert_eq!(new, old, "{name:?}");
    }
}

#[test]
fn committed_receipts_verify_offline() {
    let desk = Desk::new();
    for receipt in fs::read_dir(repository("samples/receipts")).unwrap() {
        let receipt = receipt.unwrap().path();
        let work = repository("samples/works").join(receipt.file_stem().unwrap());
        let mut verify = desk.timemark(["verify"]);
        verify
            .arg(work)
            .arg("--receipt")
            .arg(&receipt)
            .arg("--policy")
            .arg(repository("samples/policy.txt"));
        assert_eq!(expect_json(0, &mut verify)[0]["verdict"], "verified", "{receipt:?}");
    }
}
