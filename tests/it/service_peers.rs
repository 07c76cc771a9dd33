//! The service in the eyes of programs that others wrote: Go follows its log, schemathesis holds it to its own document,
//! and a client that is made of the document registers and verifies.

use std::path::PathBuf;
use std::process::Command;

use crate::conformance::{GO_PEER, ask as ask_peer};
use crate::service::{get, register, serving};
use crate::support::{expect, repository, run, skip};

/// How a request may be refused that lacks a header.
const MUST_COMPARE: &str =
    "[checks.missing_required_header]\nexpected-statuses = [400, 401, 403, 406, 415, 422, 428]\n";
/// Requests that schemathesis makes for each operation, at most.
const EXAMPLES: &str = "25";

#[test]
fn go_follows_the_log_that_the_service_serves() {
    let Some(go) = &*GO_PEER else { return skip("Debian's Go and its golang.org/x/mod") };
    let (desk, server) = serving(&[]);
    let url = &server.url;
    let vkeys = expect(0, &mut desk.timemark(["log", "vkey"]));
    let vkey = vkeys.lines().next().unwrap();
    let mut proofs = Vec::new();
    for size in [1, 3, 256, 300] {
        for number in proofs.len()..size {
            register(url, "a.txt", format!("work {number}").as_bytes(), &[]).expect(201);
            let proof = get(url, &format!("/v1/receipts/{number}/tlog-proof"));
            assert_eq!(proof.status, 200);
            proofs.push(desk.file(&format!("{number}.tlog-proof"), proof.body));
        }
        for base in [url.clone(), format!("{url}/v1/log")] {
            // It asks for what the tree had grown to before, and holds all of it to be one log.
            let told = ask_peer(Command::new(go).args(["tiles", vkey, &base]).args(&proofs));
            let told = told.unwrap();
            assert!(told.starts_with(&format!("accepted {size} entries: ")), "{told}");
        }
    }
}

/// The program of a Python package that scripts/test.sh installs.
fn python_peer(name: &str) -> Option<PathBuf> {
    let program = repository("target/peers/service/bin").join(name);
    if !program.exists() {
        skip(
            "no Python with the packages of tests/peers/service/requirements.txt; scripts/test.sh installs it",
        );
        return None;
    }
    Some(program)
}

#[test]
fn schemathesis_finds_nothing_that_the_document_does_not_say() {
    let Some(schemathesis) = python_peer("schemathesis") else { return };
    let (desk, server) = serving(&["--upload-max", "1"]);
    register(&server.url, "a.txt", b"a work", &[("title", "one")]).expect(201);
    // What was not seen is not changed: RFC 6585 has a status of its own for that.
    desk.file("schemathesis.toml", MUST_COMPARE);
    let mut check = Command::new(schemathesis);
    check.current_dir(desk.path("")).arg("run").arg(format!("{}/v1/openapi.json", server.url));
    check.args([
        "--max-examples",
        EXAMPLES,
        "--seed",
        "1",
        "--no-color",
        "--request-timeout",
        "60",
    ]);
    check.args(["--phases", "examples,coverage,fuzzing,stateful"]);
    // A known id in a made-up request is answered, and what the document forbids may be answered with more than one status.
    // There are no accounts here, so that no key is wrong; `access.rs` asks every operation as every role.
    let left_out = "positive_data_acceptance,negative_data_rejection,ignored_auth";
    check.args(["--exclude-checks", left_out]);
    // It wants each event of a stream to be what the document says of all of it, which is text.
    check.args(["--exclude-operation-id", "scan_events"]);
    let output = run(&mut check);
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}");
    println!("{}", told.lines().rev().take(30).collect::<Vec<_>>().join("\n"));
    assert_eq!(get(&server.url, "/readyz").status, 200, "none of it was a fault of the service");
}

#[test]
fn a_client_made_of_the_document_registers_and_verifies() {
    let Some(generator) = python_peer("openapi-python-client") else { return };
    let Some(python) = python_peer("python") else { return };
    let (desk, server) = serving(&[]);
    let document = desk.file("openapi.json", get(&server.url, "/v1/openapi.json").body);
    let client = desk.path("generated_client");
    let mut generate = Command::new(generator);
    generate.args(["generate", "--meta", "none", "--path"]).arg(document);
    generate.arg("--config").arg(repository("tests/peers/service/generator.yml"));
    let told = expect(0, generate.arg("--output-path").arg(&client));
    assert!(!told.contains("pieces may be missing"), "{told}");
    let script = repository("tests/peers/service/register_and_verify.py");
    let told = expect(0, Command::new(python).arg(script).arg(&client).arg(&server.url));
    assert_eq!(told.trim(), "registered and verified entry 0");
}
