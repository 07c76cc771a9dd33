//! Evidence bundles: what goes in, what a receiver says of them, and what strangers' tools say.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::{Desk, Server, expect, expect_json, repository, run, skip};
use crate::vectors::courtroom;

/// An archive with the sample works, and a stand-in for the page.
fn desk() -> Desk {
    let desk = Desk::new();
    expect(0, &mut desk.timemark(["init", "--origin", "bundles.example"]));
    for name in ["山水.jpg", "harbour-at-dusk.jpg", "manifesto.txt"] {
        let bytes = fs::read(repository("samples/works").join(name)).unwrap();
        desk.file(&format!("works/{name}"), bytes);
    }
    expect(0, &mut desk.timemark(["register", "works", "--claimant", "Zhang Wei"]));
    desk.file("verify.html", "<!doctype html><title>stands in for the page</title>\n");
    desk
}

fn bundle<'a>(desk: &Desk, arguments: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = desk.timemark(["bundle", "--page", "verify.html"]);
    command.args(arguments);
    command
}

fn verify<'a>(desk: &Desk, code: i32, arguments: impl IntoIterator<Item = &'a str>) -> Value {
    let mut command = Command::new(courtroom());
    // The operator is gone: nothing of the archive is near, nothing of the environment is left.
    command.env_clear().current_dir(desk.path("court")).args(arguments);
    expect_json(code, &mut command).remove(0)
}

#[test]
fn a_bundle_verifies_alone_and_by_tools_that_are_not_ours() {
    let desk = desk();
    let copy = repository("samples/suspects/mirrored-harbour.jpg");
    desk.file("copy.jpg", fs::read(copy).unwrap());
    let told = expect_json(
        0,
        &mut bundle(
            &desk,
            [
                "works/山水.jpg",
                "works/manifesto.txt",
                "copy.jpg",
                "--profile",
                "cn-court",
                "--out",
                "case.zip",
            ],
        ),
    )
    .remove(0);
    assert_eq!(
        (&told["works"], &told["suspects"], &told["verdict"]),
        (&3.into(), &1.into(), &"verified".into())
    );
    // Nothing is overwritten.
    let again =
        run(&mut bundle(&desk, ["works/山水.jpg", "--profile", "cn-court", "--out", "case.zip"]));
    assert_eq!(again.status.code(), Some(2), "{again:?}");
    assert!(!desk.path("case.zip.manifest.txt").exists());

    // A machine that never saw the archive.
    fs::create_dir(desk.path("court")).unwrap();
    fs::rename(desk.path("case.zip"), desk.path("court/case.zip")).unwrap();
    for gone in ["archive", "works"] {
        fs::remove_dir_all(desk.path(gone)).unwrap();
    }
    let untrusted = verify(&desk, 2, ["case.zip"]);
    assert_eq!(untrusted["check"], "policy.missing");
    let sha256 = told["policy_sha256"].as_str().unwrap();
    assert_eq!(untrusted["policy_sha256"], sha256);
    let verdict = verify(&desk, 0, ["case.zip", "--confirm", sha256]);
    assert_eq!(verdict["items"].as_array().unwrap().len(), 3);
    assert!(verdict["items"].as_array().unwrap().iter().all(|item| item["work"] == "present"));

    for tool in ["unzip", "xxd", "openssl"] {
        if Command::new(tool).arg("--help").output().is_err() {
            return skip(&format!("{tool} is not installed"));
        }
    }
    let court = desk.path("court");
    expect(
        0,
        Command::new("unzip")
            .args(["-q", "case.zip", "-d", "case"])
            .current_dir(&court)
            .env("LC_ALL", "C"),
    );
    let case = court.join("case");
    let manifest =
        "sed -n 's/^file \\([0-9a-f]*\\) [0-9]* /\\1  /p' manifest.txt | sha256sum -c --quiet";
    expect(0, Command::new("sh").args(["-c", manifest]).current_dir(&case));
    let said = expect(
        0,
        Command::new("sh").arg("expert/commands.sh").current_dir(&case).env("LC_ALL", "C"),
    );
    assert!(said.contains("\n0 checks failed, ") && said.matches("  ok  ").count() >= 27, "{said}");
    assert!(
        said.contains("ok      The log bundles.example signed the checkpoint (SM2-SM3)"),
        "{said}"
    );
    // The script tells when something is wrong.
    let works = fs::read_dir(case.join("works")).unwrap().map(|entry| entry.unwrap().path());
    let is_it = |path: &std::path::PathBuf| path.to_str().unwrap().ends_with("-山水.jpg");
    let work = works.into_iter().find(is_it).unwrap();
    let mut bytes = fs::read(&work).unwrap();
    bytes[5000] ^= 1;
    fs::write(&work, bytes).unwrap();
    let said = expect(1, Command::new("sh").arg("expert/commands.sh").current_dir(&case));
    assert!(said.contains("NOT OK  The file has the claimed SHA-256"), "{said}");
    for page in ["checklist.html", "README.txt", "matches/index.html", "suspects/0001-copy.jpg"] {
        assert!(case.join(page).is_file(), "{page}");
    }
    let checklist = fs::read_to_string(case.join("checklist.html")).unwrap();
    assert!(checklist.contains("not supplied · 未提供") && checklist.contains("Zhang Wei"));
}

#[test]
fn the_script_for_experts_follows_every_path_in_the_tree() {
    let desk = desk();
    for number in 0..40 {
        desk.file(&format!("many/{number}.txt"), format!("work {number}"));
    }
    let lines = expect_json(0, &mut desk.timemark(["register", "many"]));
    let mut command = bundle(&desk, ["--profile", "cn-court", "--out", "case.zip"]);
    expect(0, command.args((0..40).map(|number| format!("many/{number}.txt"))));
    // Those that share a batch have others on their right.
    let is_last = |line: &Value| {
        let receipt = fs::read_to_string(desk.path(line["receipt"].as_str().unwrap())).unwrap();
        let size = (line["index"].as_u64().unwrap() + 1).to_string();
        receipt.lines().any(|line| line == size)
    };
    assert!(!lines.iter().all(is_last), "no batch held two works");
    let unzip = ["-q", "case.zip", "-d", "case"];
    expect(0, Command::new("unzip").args(unzip).current_dir(desk.path("")).env("LC_ALL", "C"));
    let said =
        expect(0, Command::new("sh").arg("expert/commands.sh").current_dir(desk.path("case")));
    assert!(said.contains("\n0 checks failed, "), "{said}");
}

#[test]
fn works_can_be_left_away_and_are_then_judged_by_their_digests() {
    let desk = desk();
    let told = expect_json(
        0,
        &mut bundle(
            &desk,
            [
                "works/山水.jpg.timemark",
                "--hash-only",
                "--profile",
                "cn-court",
                "--out",
                "case.zip",
            ],
        ),
    )
    .remove(0);
    fs::create_dir(desk.path("court")).unwrap();
    fs::copy(desk.path("case.zip"), desk.path("court/case.zip")).unwrap();
    let sha256 = told["policy_sha256"].as_str().unwrap();
    let verdict = verify(&desk, 0, ["case.zip", "--confirm", sha256]);
    assert_eq!(verdict["items"][0]["work"], "absent");
    let bytes = fs::read(desk.path("case.zip")).unwrap();
    let work = fs::read(desk.path("works/山水.jpg")).unwrap();
    assert!(
        !bytes.windows(4096).any(|window| window == &work[..4096]),
        "the work is in the bundle"
    );
}

#[test]
fn what_cannot_be_evidence_makes_no_bundle_and_is_named() {
    let desk = desk();
    desk.file("other.jpg", fs::read(repository("samples/suspects/unrelated-hills.jpg")).unwrap());
    desk.file("facts", "party.sauce ketchup\n");
    for (arguments, reason) in [
        (&["other.jpg", "--profile", "cn-court"][..], "other.jpg is neither registered nor a copy"),
        (
            &["works/山水.jpg", "--profile", "us-fre902"],
            "certifier.name (the name of who certifies)",
        ),
        (
            &["works/山水.jpg", "--profile", "eu-eidas"],
            "authority.qualified (the name in the policy",
        ),
        (
            &["works/山水.jpg", "--profile", "cn-court", "--facts", "facts"],
            "knows no fact \"party.sauce\"",
        ),
        (&["--profile", "cn-court"], "name works or matches"),
        (&["nothing.jpg", "--profile", "cn-court"], "nothing.jpg"),
        (
            &[
                "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy",
                "--profile",
                "cn-court",
            ],
            "is registered",
        ),
    ] {
        let output = run(bundle(&desk, arguments.iter().copied()).args(["--out", "case.zip"]));
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(reason), "{said}");
        assert!(!desk.path("case.zip").exists());
    }
    let left = fs::read_dir(desk.path("")).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(left.into_iter().all(|name| !name.to_string_lossy().contains("case")));
}

#[test]
fn a_certification_has_what_rule_902_asks_and_is_signed_by_nobody() {
    let desk = desk();
    desk.file(
        "facts",
        "certifier.name Jane <Roe>\ncertifier.position records custodian, Example Corp.\n\
         certifier.qualification ten years of keeping these records\n\
         process.system a transparency log\nprocess.accuracy it is audited each night\n",
    );
    let mut command = bundle(
        &desk,
        ["works/山水.jpg", "--profile", "us-fre902", "--facts", "facts", "--out", "case.zip"],
    );
    expect(0, &mut command);
    let bytes = fs::read(desk.path("case.zip")).unwrap();
    let text = String::from_utf8_lossy(&bytes);
    assert!(text.contains("I, Jane &#60;Roe&#62;, records custodian, Example Corp., state:"));
    assert!(text.contains("It is not signed by anybody yet."));
}

#[test]
fn the_european_profile_needs_a_token_of_the_authority_that_is_stated() {
    let desk = Desk::new();
    expect(0, &mut desk.timemark(["init", "--origin", "bundles.example"]));
    let tsa = Server::start(
        &mut desk.timemark_on("authority", ["tsa", "serve", "--listen", "127.0.0.1:0"]),
    );
    let line = format!("stamps={}/tsa", tsa.url);
    let lines =
        expect(0, &mut desk.timemark_on("authority", ["tsa", "cert", "--policy-line", &line]));
    let policy = desk.file("others", format!("quorum none\n{lines}"));
    expect(0, desk.timemark(["log", "policy", "--set"]).arg(policy));
    desk.file("a.txt", "a work");
    expect(0, &mut desk.timemark(["register", "a.txt"]));
    desk.file("verify.html", "<!doctype html>\n");
    let facts = |name: &str| {
        format!("authority.qualified {name}\nauthority.trusted-list the list of Utopia, entry 7\n")
    };
    desk.file("facts", facts("another"));
    let eidas =
        |out| bundle(&desk, ["a.txt", "--profile", "eu-eidas", "--facts", "facts", "--out", out]);
    let output = run(&mut eidas("case.zip"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("eu-eidas needs a time-stamp of another"), "{said}");
    desk.file("facts", facts("stamps"));
    let told = expect_json(0, &mut eidas("case.zip")).remove(0);
    assert_eq!(told["verdict"], "verified");
    let bytes = fs::read(desk.path("case.zip")).unwrap();
    assert!(String::from_utf8_lossy(&bytes).contains("the list of Utopia, entry 7"));
}

#[test]
fn openssl_checks_what_a_certificate_prints() {
    let desk = desk();
    for tool in ["pdfdetach", "pdftotext", "openssl"] {
        if Command::new(tool).arg("-v").output().is_err() {
            return skip(&format!("{tool} is not installed"));
        }
    }
    expect(0, &mut desk.timemark(["certificate", "works/山水.jpg.timemark", "--out", "c.pdf"]));
    let sh = |script: &str| {
        expect(0, Command::new("sh").args(["-euc", script]).current_dir(desk.path("")))
    };
    sh("mkdir parts && cd parts && pdfdetach -saveall ../c.pdf 2>/dev/null");
    let squeezed = |text: &str| text.split_whitespace().collect::<String>();
    let printed = squeezed(&sh("pdftotext -layout c.pdf - 2>/dev/null"));
    let sm2 = "openssl dgst -sm3 -verify signature-1-3.pem -sigopt distid:1234567812345678 \
               -signature signature-1-3.sig checkpoint-1.txt";
    for command in ["sha256sum FILE", "openssl dgst -sm3 FILE", sm2] {
        assert!(printed.contains(&squeezed(command)), "{command} is not printed: {printed}");
    }
    assert_eq!(sh(&format!("cd parts && {sm2}")), "Verified OK\n");
    let said = sh("openssl dgst -sm3 works/山水.jpg");
    let sm3 = said.trim().rsplit(' ').next().unwrap();
    assert!(printed.contains(sm3), "{sm3} is not printed");
    let flipped = fs::read(desk.path("parts/signature-1-3.sig")).unwrap();
    let mut bad = flipped.clone();
    let last = bad.len() - 1;
    bad[last] ^= 1;
    desk.file("parts/signature-1-3.sig", bad);
    let wrong =
        Command::new("sh").args(["-c", sm2]).current_dir(desk.path("parts")).output().unwrap();
    assert_ne!(wrong.status.code(), Some(0));
}

#[test]
fn go_checks_the_proof_with_the_program_that_is_handed_out() {
    let desk = desk();
    let files = desk.path("files");
    let policy = desk.file("policy", expect(0, &mut desk.timemark(["log", "policy"])));
    let mut verify = Command::new(courtroom());
    verify
        .args(["works/山水.jpg", "works/山水.jpg.timemark"])
        .arg(&policy)
        .arg("--files")
        .arg(&files);
    expect(0, verify.current_dir(desk.path("")));
    // The files of the first receipt.
    let files = files.join("0001");
    let modules = Path::new("/usr/share/gocode/src/golang.org/x/mod");
    if !modules.is_dir() {
        return skip("Debian's Go and its golang.org/x/mod");
    }
    let vkeys = expect(0, &mut desk.timemark(["log", "vkey"]));
    let go = |vkey: &str| {
        let mut go = Command::new("go");
        go.args(["run", "check.go", "tlog-proof-1.txt", "leaf.bin", vkey]).current_dir(&files);
        // Debian's sources instead of a download.
        run(go
            .env("GO111MODULE", "off")
            .env("GOPATH", "/usr/share/gocode")
            .env("GOCACHE", desk.path("go"))
            .env("GOFLAGS", ""))
    };
    let said = go(vkeys.lines().next().unwrap());
    let out = String::from_utf8_lossy(&said.stdout);
    assert!(
        said.status.success() && out.starts_with("OK: bundles.example signed a tree of"),
        "{said:?}"
    );
    fs::write(files.join("leaf.bin"), [1; 65]).unwrap();
    assert!(!go(vkeys.lines().next().unwrap()).status.success());
}
