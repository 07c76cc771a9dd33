//! The verifier's page in a real browser and its WASM in node say what the program says.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::{Desk, expect, expect_json, repository, run, skip, timemark};

const BUNDLED_WORKS: usize = 1000;

#[test]
fn wasm_in_node_agrees_with_the_program() {
    let (Some(page), true) = (page(), has("node")) else { return };
    let desk = Desk::new();
    let policy = repository("samples/policy.txt");
    let mut cases = Vec::new();
    for receipt in fs::read_dir(repository("samples/receipts")).unwrap() {
        let receipt = receipt.unwrap().path();
        let name = receipt.file_stem().unwrap().to_str().unwrap().to_owned();
        let work = repository("samples/works").join(&name);
        let mut bytes = fs::read(&work).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        let other = desk.file(&format!("other/{name}"), bytes);
        let mut text = fs::read(&receipt).unwrap();
        text[400] ^= 1;
        let damaged = desk.file(&format!("damaged/{name}.timemark"), text);
        cases.push((name.clone(), work.clone(), receipt.clone(), true, "verified"));
        cases.push((name.clone(), work.clone(), receipt.clone(), false, "undecided"));
        cases.push((name.clone(), other, receipt, true, "refused"));
        cases.push((name, work, damaged, true, "refused"));
    }
    let lines: String = cases.iter().fold(String::new(), |mut lines, case| {
        let (name, work, receipt, trusted, _) = case;
        let line = json!({ "name": name, "work": work, "receipt": receipt, "trusted": trusted });
        let _ = writeln!(lines, "{line}");
        lines
    });
    let mut node = Command::new("node");
    node.arg(repository("tests/peers/page/node.mjs")).arg(page.with_extension("wasm")).arg(&policy);
    let mut node = node.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    node.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let output = node.wait_with_output().unwrap();
    assert!(output.status.success());
    let outcomes: Vec<Value> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(outcomes.len(), cases.len());
    for ((name, work, receipt, trusted, expected), outcome) in cases.iter().zip(outcomes) {
        let mut verify = timemark();
        verify.current_dir(desk.path("")).arg("verify").arg(work).arg("--receipt").arg(receipt);
        if *trusted {
            verify.arg("--policy").arg(&policy);
        }
        let code = match *expected {
            "verified" => 0,
            "refused" => 1,
            _ => 2,
        };
        let native = expect_json(code, &mut verify);
        assert_eq!(native[0]["verdict"], *expected, "{name}");
        assert_eq!(outcome["verdict"], *expected, "{name}: {outcome}");
        assert_eq!(outcome["existed_by"], native[0]["existed_by"], "{name}");
        assert_eq!(outcome["index"], native[0]["index"], "{name}");
    }
}

#[test]
fn page_in_a_browser() {
    let (Some(_), true) = (page(), has("node")) else { return };
    if !Path::new("/usr/bin/chromium").exists() {
        return skip("no chromium for the page");
    }
    if !repository("target/peers/page/node_modules/playwright-core").exists() {
        return skip("no playwright-core for the page; scripts/test.sh installs it");
    }
    let desk = Desk::new();
    bundles(&desk);
    let mut browser = Command::new("node");
    browser.arg(repository("tests/peers/page/browser.mjs")).arg(repository("")).arg(desk.path(""));
    let output = run(&mut browser);
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}");
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
}

/// The folders of bundles as docs/formats.md says, whose manifests are registered after their works.
fn bundles(desk: &Desk) {
    expect(0, &mut desk.timemark(["init", "--origin", "page.example"]));
    for number in 1..=BUNDLED_WORKS {
        desk.file(&format!("bundle/works/{number:04}-作品.txt"), format!("work {number}\n"));
    }
    expect(0, &mut desk.timemark(["register", "bundle/works", "--claimant", "A. Creator"]));
    let works: Vec<String> =
        (1..=BUNDLED_WORKS).map(|number| format!("works/{number:04}-作品.txt")).collect();
    let receipts = works.iter().map(|work| format!("{work}.timemark"));
    sealed(desk, "bundle", works.iter().cloned().chain(receipts).collect());

    // One that holds the receipts of three works and one of the works.
    let mut held: Vec<String> = works[..3].iter().map(|work| format!("{work}.timemark")).collect();
    held.push(works[0].clone());
    for name in &held {
        let bytes = fs::read(desk.path("bundle").join(name)).unwrap();
        desk.file(&format!("lacking/{name}"), bytes);
    }
    sealed(desk, "lacking", held);

    // A work that looks like a policy.
    desk.file("registered/policy.txt", fs::read(repository("samples/policy.txt")).unwrap());
    expect(0, &mut desk.timemark(["register", "registered/policy.txt"]));
}

/// Adds the policy to what lies in this folder, and the manifest of it all with its receipt.
fn sealed(desk: &Desk, folder: &str, mut names: Vec<String>) {
    let policy = expect(0, &mut desk.timemark(["log", "policy"]));
    desk.file(&format!("{folder}/policy.txt"), policy);
    names.sort();
    names.insert(0, "policy.txt".to_owned());
    let mut manifest = "timemark-bundle v1\nprofile cn-court\n".to_owned();
    for name in names {
        let bytes = fs::read(desk.path(folder).join(&name)).unwrap();
        let digest = data_encoding::HEXLOWER.encode(&Sha256::digest(&bytes));
        writeln!(manifest, "file {digest} {} {name}", bytes.len()).unwrap();
    }
    desk.file(&format!("{folder}/manifest.txt"), manifest);
    expect(0, &mut desk.timemark(["register", &format!("{folder}/manifest.txt")]));
}

fn page() -> Option<PathBuf> {
    let page = repository("target/page/verify.html");
    if page.exists() {
        return Some(page);
    }
    skip("no page; scripts/page.sh builds it");
    None
}

fn has(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok();
    if !found {
        skip(&format!("no {program} for the page"));
    }
    found
}
