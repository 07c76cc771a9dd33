//! Where the test vectors come from: real archives with witnesses and authorities, and what is then done to their files.
//!
//! `TIMEMARK_BLESS=1` writes docs/vectors anew. Keys and times are other ones each time; the verdicts stay.

use std::fs;
use std::path::Path;
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::renewal::Aging;
use crate::support::{Desk, Server, expect, expect_json, timemark};
use crate::timestamps::OpensslAuthority;
use crate::vector_amendments;
use crate::vectors::{Files, Judgement, Vector, resealed_receipt};

/// Writes all vectors, each with what the library says of it, which has to be what is meant by it.
pub fn write(dir: &Path) {
    let _ = fs::remove_dir_all(dir);
    fs::create_dir_all(dir).unwrap();
    fs::write(dir.join("README.md"), README).unwrap();
    let mut out = Out { dir, vectors: Vec::new(), sweeps: Vec::new() };
    plain(&mut out);
    witnessed(&mut out);
    aged(&mut out);
    vector_amendments::amended(&mut out);
    out.write_lists();
}

impl Out<'_> {
    pub fn write_lists(&self) {
        let lines = |vectors: &[Vector]| -> String {
            vectors.iter().map(|v| serde_json::to_string(v).unwrap() + "\n").collect()
        };
        fs::write(self.dir.join("vectors.jsonl"), lines(&self.vectors)).unwrap();
        fs::write(self.dir.join("sweep.jsonl"), lines(&self.sweeps)).unwrap();
    }
}

/// Where vectors go, and those that there are.
pub struct Out<'a> {
    pub dir: &'a Path,
    pub vectors: Vec<Vector>,
    pub sweeps: Vec<Vector>,
}

impl Out<'_> {
    pub fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        fs::write(self.dir.join(name), bytes).unwrap();
        name.to_owned()
    }

    /// A vector, and what is meant to come out of it.
    pub fn add(&mut self, name: &str, vector: Vector, verdict: &str, check: &str) {
        let read =
            |name: &Option<String>| name.as_ref().map(|n| fs::read(self.dir.join(n)).unwrap());
        let files = Files {
            work: read(&vector.work).unwrap_or_default(),
            receipt: read(&vector.receipt),
            policy: read(&vector.policy),
            bundle: read(&vector.bundle),
            confirm: vector.confirm.clone(),
        };
        let said = files.judge();
        let check = Some(check.to_owned()).filter(|check| !check.is_empty());
        assert_eq!((said.verdict.as_str(), &said.check), (verdict, &check), "{name}");
        let expected: Option<Judgement> = Some(said);
        self.vectors.push(Vector { name: name.to_owned(), expected, ..vector });
    }

    /// A receipt that was changed in one place, sealed again unless it is `raw`.
    pub fn changed(
        &mut self,
        base: &Vector,
        name: &str,
        change: impl FnOnce(&str) -> String,
        raw: bool,
        verdict: &str,
        check: &str,
    ) {
        let good = fs::read_to_string(self.dir.join(base.receipt.as_ref().unwrap())).unwrap();
        let bad = change(&good);
        assert_ne!(bad, good, "{name} changes nothing");
        let bad = if raw { bad.into_bytes() } else { resealed_receipt(bad.as_bytes()) };
        let receipt = Some(self.file(&format!("{name}.timemark"), bad));
        self.add(name, Vector { receipt, ..base.clone() }, verdict, check);
    }
}

/// A log alone: nobody vouches for a time.
fn plain(out: &mut Out) {
    let desk = Desk::new();
    expect(0, &mut desk.timemark(["init", "--origin", "plain.example"]));
    for (name, bytes) in [("山水.txt", "a work\n"), ("b.txt", "another\n"), ("empty", "")] {
        desk.file(&format!("works/{name}"), bytes);
    }
    let mut register = desk.timemark(["register", "works", "--receipts", "r", "--jobs", "1"]);
    register.args(["--claimant", "Zhang Wei", "--title", "100% 山水\nsecond line"]);
    expect(0, register.args(["--created", "2026", "--rights", "All rights reserved"]));
    let policy = out.file("plain-policy.txt", expect(0, &mut desk.timemark(["log", "policy"])));
    let vector = |out: &Out, name: &str, place: &str| Vector {
        work: Some(out.file(
            &format!("{name}.work"),
            fs::read(desk.path(&format!("works/{place}"))).unwrap(),
        )),
        receipt: Some(out.file(
            &format!("{name}.timemark"),
            fs::read(desk.path(&format!("r/{place}.timemark"))).unwrap(),
        )),
        policy: Some(policy.clone()),
        ..Vector::default()
    };
    let first = vector(out, "plain", "山水.txt");
    out.add("plain", first.clone(), "verified", "");
    let empty = vector(out, "plain-empty", "empty");
    out.add("plain-empty", empty, "verified", "");
    out.sweeps.push(Vector { name: "plain".to_owned(), ..first.clone() });

    // The file is another.
    for (name, bytes, check) in [
        ("work-longer", &b"a work\n\n"[..], "work.length"),
        ("work-other", b"a wOrk\n", "work.sha256"),
    ] {
        let work = Some(out.file(&format!("{name}.work"), bytes));
        out.add(name, Vector { work, ..first.clone() }, "refused", check);
    }
    // Trust.
    out.add("policy-none", Vector { policy: None, ..first.clone() }, "undecided", "policy.missing");
    let good = fs::read_to_string(out.dir.join(&policy)).unwrap();
    let log = good.lines().next().unwrap().to_owned();
    for (name, text) in [
        ("policy-no-quorum", good.replace("quorum none\n", "")),
        ("policy-two-quorums", format!("{good}quorum none\n")),
        ("policy-unknown-line", format!("{good}trust everybody\n")),
        ("policy-key-twice", format!("{good}{log}\n")),
        ("policy-key-id", good.replacen('+', "+0", 1)),
        ("policy-control", format!("{good}# \u{1}\n")),
        ("policy-group-of-none", format!("{good}group G all\n")),
        ("policy-sizes", format!("{good}log-sizes nobody+00000000 0 1\n")),
        ("policy-tolerance", format!("{good}tsa-tolerance 07\n")),
        ("policy-until", format!("{good}hash-until md5 2030-01-01T00:00:00Z\n")),
    ] {
        let policy = Some(out.file(&format!("{name}.txt"), text));
        out.add(name, Vector { policy, ..first.clone() }, "undecided", "policy.format");
    }
    for (name, text, verdict, check) in [
        (
            "policy-remarks",
            format!("# remark\n\n \t{}\t\n", good.replace("quorum none\n", "quorum none")),
            "verified",
            "",
        ),
        ("policy-sizes-later", format!("{good}log-sizes {} 9 *\n", short(&log)), "verified", ""),
        (
            "policy-one-log-of-later",
            format!("{log}\nlog-sizes {} 9 *\nquorum none\n", short(&log)),
            "refused",
            "policy.log",
        ),
        (
            "policy-sm2-alone",
            format!("{}\nquorum none\n", good.lines().nth(2).unwrap()),
            "verified",
            "",
        ),
    ] {
        let policy = Some(out.file(&format!("{name}.txt"), text));
        out.add(name, Vector { policy, ..first.clone() }, verdict, check);
    }
    // Spelling.
    let cases: [(&str, Change, bool); 14] = [
        ("receipt-crlf", |r| r.replace('\n', "\r\n"), false),
        ("receipt-bom", |r| format!("\u{FEFF}{r}"), false),
        ("receipt-cut", |r| r[..r.len() - 1].to_owned(), true),
        ("receipt-longer", |r| format!("{r}\n"), true),
        ("receipt-seal", |r| r.replace("Zhang Wei", "Zhang Wai"), true),
        ("receipt-upper-hex", |r| upper_leaf(r), false),
        ("receipt-remark", |r| r.replace("# To check it", "# To chek it"), false),
        ("receipt-count", |r| r.replace("== leaf 1\n", "== leaf 01\n"), false),
        ("receipt-order", |r| r.replace("\ntitle ", "\ntitel "), false),
        ("receipt-escape", |r| r.replace("100%25", "100%"), false),
        ("receipt-escape-needless", |r| r.replace("Zhang", "%5Ahang"), false),
        ("receipt-anchor-twice", |r| twice(r), false),
        ("receipt-before-anchor", |r| r.replace("== anchor ", "== later 1\nx\n== anchor "), false),
        ("receipt-version", |r| r.replace("timemark-receipt v1", "timemark-receipt v2"), false),
    ];
    for (name, change, raw) in cases {
        out.changed(&first, name, change, raw, "refused", "receipt.format");
    }
    out.changed(
        &first,
        "receipt-later-section",
        |r| before_seal(r, "== later 2\nsomething\nmore\n"),
        false,
        "verified",
        "",
    );
    out.changed(
        &first,
        "receipt-later-section-hides",
        |r| before_seal(r, "== later 1\nsome\u{200B}thing\n"),
        false,
        "refused",
        "receipt.format",
    );
    // What it says.
    let swap = |key: &'static str| move |r: &str| other_digit(r, &format!("\n{key} "));
    out.changed(&first, "claim-sha256", swap("sha256"), false, "refused", "work.sha256");
    out.changed(&first, "claim-sha512", swap("sha512"), false, "refused", "work.sha512");
    out.changed(&first, "claim-sm3", swap("sm3"), false, "refused", "work.sm3");
    out.changed(&first, "claim-salt", swap("salt"), false, "refused", "leaf.claim");
    out.changed(
        &first,
        "claim-claimant",
        |r| r.replace("Zhang Wei", "Zhang Wai"),
        false,
        "refused",
        "leaf.claim",
    );
    out.changed(
        &first,
        "leaf-content",
        |r| other_digit(r, "== leaf 1\n01"),
        false,
        "refused",
        "leaf.content",
    );
    out.changed(
        &first,
        "anchor-index",
        |r| r.replace("\nindex 2\n", "\nindex 1\n").replace("\nindex 1\n", "\nindex 0\n"),
        false,
        "refused",
        "anchor.inclusion",
    );
    out.changed(
        &first,
        "anchor-size",
        |r| {
            r.replace("plain.example\n3\n", "plain.example\n4\n")
                .replace("plain.example\n2\n", "plain.example\n5\n")
                .replace("plain.example\n1\n", "plain.example\n6\n")
        },
        false,
        "refused",
        "anchor.inclusion",
    );
    // Each of the log's signatures, and none of them.
    for (number, kind) in ["ed25519", "ml-dsa", "sm2"].into_iter().enumerate() {
        let name = format!("signature-{kind}");
        out.changed(
            &first,
            &name,
            |r| other_signature(r, "plain.example", number),
            false,
            "refused",
            "anchor.signature",
        );
    }
    out.changed(
        &first,
        "signature-none-known",
        |r| renamed_signatures(r, "plain.example"),
        false,
        "refused",
        "policy.log",
    );
}

/// Three witnesses with two keys each, a quorum of two of them, and two authorities.
fn witnessed(out: &mut Out) {
    let desk = Desk::new();
    expect(0, &mut desk.timemark(["init", "--origin", "witnessed.example"]));
    let vkeys = expect(0, &mut desk.timemark(["log", "vkey"]));
    let mut lines = String::new();
    let mut servers = Vec::new();
    for n in 1..=3 {
        let mut serve = timemark();
        let name = format!("w{n}.example");
        serve.args(["witness", "serve", "--listen", "127.0.0.1:0", "--name", &name]);
        serve.arg("--dir").arg(desk.path(&format!("w{n}")));
        serve.args(vkeys.lines().flat_map(|vkey| ["--log", vkey]));
        let server = Server::start(&mut serve);
        let [ed25519, ml_dsa] = &server.keys[..] else { panic!("{:?}", server.keys) };
        lines += &format!("witness W{n} {ed25519} {0}\nwitness W{n}-pq {ml_dsa} {0}\n", server.url);
        lines += &format!("group both-of-W{n} all W{n} W{n}-pq\n");
        servers.push(server);
    }
    lines += "group two-of-three 2 both-of-W1 both-of-W2 both-of-W3\nquorum two-of-three\n";
    let tsa = Server::start(
        &mut desk.timemark_on("authority", ["tsa", "serve", "--listen", "127.0.0.1:0"]),
    );
    let line = format!("ours={}/tsa", tsa.url);
    lines +=
        &expect(0, &mut desk.timemark_on("authority", ["tsa", "cert", "--policy-line", &line]));
    let rsa = OpensslAuthority::named(
        "rsa",
        &desk,
        "-algorithm rsa -pkeyopt rsa_keygen_bits:3072",
        "sha384",
        Duration::ZERO,
    );
    lines += &rsa.policy_line();
    let file = desk.file("others", lines);
    expect(0, desk.timemark(["log", "policy", "--set"]).arg(file));

    desk.file("works/signed.txt", "a work that its creator signed\n");
    desk.file("works/second.txt", "a second one\n");
    let key = desk.path("creator.pem");
    let mut openssl = std::process::Command::new("openssl");
    expect(0, openssl.args(["genpkey", "-algorithm", "ed25519", "-out"]).arg(&key));
    let mut register =
        desk.timemark(["register", "works", "--receipts", "r", "--claimant", "李明"]);
    expect(0, register.arg("--creator-key").arg(&key));
    let text = expect(0, &mut desk.timemark(["log", "policy"]));
    let policy = out.file("witnessed-policy.txt", &text);
    let name = "witnessed";
    let base = Vector {
        work: Some(out.file("witnessed.work", fs::read(desk.path("works/signed.txt")).unwrap())),
        receipt: Some(
            out.file("witnessed.timemark", fs::read(desk.path("r/signed.txt.timemark")).unwrap()),
        ),
        policy: Some(policy.clone()),
        ..Vector::default()
    };
    out.add(name, base.clone(), "verified", "");
    assert!(out.vectors.last().unwrap().expected.as_ref().unwrap().existed_by.is_some());
    out.sweeps.push(Vector { name: name.to_owned(), ..base.clone() });

    for (n, check) in [(1, "anchor.signature"), (2, "anchor.signature"), (3, "anchor.signature")] {
        for (kind, number) in [("ed25519", 0), ("ml-dsa", 1)] {
            let (title, key) = (format!("witness-{n}-{kind}"), format!("w{n}.example"));
            out.changed(
                &base,
                &title,
                |r| other_signature(r, &key, number),
                false,
                "refused",
                check,
            );
        }
    }
    out.changed(
        &base,
        "witness-two-gone",
        |r| without(&without(r, "w1.example"), "w2.example"),
        false,
        "undecided",
        "policy.quorum",
    );
    out.changed(&base, "witness-one-gone", |r| without(r, "w1.example"), false, "verified", "");
    out.changed(
        &base,
        "witness-half-gone",
        |r| without_nth(&without(r, "w1.example"), "w2.example", 1),
        false,
        "undecided",
        "policy.quorum",
    );
    out.changed(&base, "tokens-gone", without_tokens, false, "verified", "");
    out.changed(&base, "token-other", other_token, false, "verified", "");
    let no_tsa: String =
        text.lines().filter(|line| !line.starts_with("tsa ")).map(|l| format!("{l}\n")).collect();
    let sm2 = text
        .lines()
        .filter(|line| line.starts_with("log "))
        .nth(2)
        .unwrap()
        .strip_prefix("log ")
        .unwrap();
    for (name, text, verdict, check) in [
        ("policy-no-authority", no_tsa.clone(), "verified", ""),
        (
            "policy-sm2-demanded",
            format!("log {}\nwitness L {sm2}\nquorum L\n", vkeys.lines().next().unwrap()),
            "verified",
            "",
        ),
        (
            "policy-quorum-of-all",
            no_tsa.replace("two-of-three 2", "two-of-three all"),
            "verified",
            "",
        ),
        (
            "policy-authority-aged",
            format!(
                "{text}tsa-until ours 2000-01-01T00:00:00Z\ntsa-until rsa 2000-01-01T00:00:00Z\n"
            ),
            "verified",
            "",
        ),
        (
            "policy-sha256-aged",
            format!("{text}hash-until sha256 2100-01-01T00:00:00Z\n"),
            "undecided",
            "policy.renewal",
        ),
        (
            "policy-sha512-aged",
            format!("{text}hash-until sha512 2100-01-01T00:00:00Z\n"),
            "undecided",
            "policy.renewal",
        ),
        (
            "policy-sha384-aged",
            format!("{text}hash-until sha384 2000-01-01T00:00:00Z\n"),
            "verified",
            "",
        ),
    ] {
        let policy = Some(out.file(&format!("witnessed-{name}.txt"), text));
        out.add(&format!("witnessed-{name}"), Vector { policy, ..base.clone() }, verdict, check);
    }
    certificate(out, &desk, &base);
    bundle(out, &desk, &policy);
}

/// A certificate, whole and damaged.
fn certificate(out: &mut Out, desk: &Desk, base: &Vector) {
    let pdf = desk.path("certificate.pdf");
    expect(0, desk.timemark(["certificate", "r/signed.txt.timemark", "--out"]).arg(&pdf));
    let good = fs::read(&pdf).unwrap();
    let receipt = Some(out.file("certificate.pdf", &good));
    out.add("certificate", Vector { receipt, ..base.clone() }, "verified", "");
    let at = good.windows(20).position(|w| w == b"timemark-receipt v1\n").unwrap();
    let mut bad = good.clone();
    bad[at + 900] ^= 1;
    let receipt = Some(out.file("certificate-flipped.pdf", &bad));
    out.add("certificate-flipped", Vector { receipt, ..base.clone() }, "refused", "receipt.format");
    let receipt = Some(out.file("certificate-none.pdf", &good[..at]));
    out.add(
        "certificate-none",
        Vector { receipt, ..base.clone() },
        "refused",
        "certificate.format",
    );
    let other = fs::read(out.dir.join("plain.timemark")).unwrap();
    let receipt = Some(out.file("certificate-two.pdf", [&good[..], &other].concat()));
    out.add("certificate-two", Vector { receipt, ..base.clone() }, "refused", "certificate.format");
}

/// A bundle, and what can be done to one.
fn bundle(out: &mut Out, desk: &Desk, policy: &str) {
    let page = desk.file("verify.html", "<!doctype html>\n<title>stands in for the page, whose bytes change with every version</title>\n");
    let zip = desk.path("bundle.zip");
    let mut bundle = desk.timemark(["bundle", "works/signed.txt", "--profile", "cn-court"]);
    let told =
        expect_json(0, bundle.arg("--page").arg(page).arg("--out").arg("bundle.zip")).remove(0);
    let good = fs::read(&zip).unwrap();
    let sha256 =
        data_encoding::HEXLOWER.encode(&Sha256::digest(fs::read(out.dir.join(policy)).unwrap()));
    assert_eq!(told["policy_sha256"], sha256);
    let base = Vector { bundle: Some(out.file("bundle.zip", &good)), ..Vector::default() };
    let confirmed = Vector { confirm: Some(sha256.clone()), ..base.clone() };
    out.add("bundle-confirmed", confirmed.clone(), "verified", "");
    out.add(
        "bundle-policy",
        Vector { policy: Some(policy.to_owned()), ..base.clone() },
        "verified",
        "",
    );
    out.add("bundle-untrusted", base.clone(), "undecided", "policy.missing");
    let wrong = Some(sha256.replace(['0', '1'], "2"));
    out.add(
        "bundle-confirmed-wrongly",
        Vector { confirm: wrong, ..base.clone() },
        "undecided",
        "policy.missing",
    );
    let other = Some("plain-policy.txt".to_owned());
    out.add("bundle-other-policy", Vector { policy: other, ..base }, "refused", "policy.log");
    out.sweeps.push(Vector { name: "bundle".to_owned(), ..confirmed.clone() });

    let find = |needle: &[u8]| good.windows(needle.len()).position(|w| w == needle).unwrap();
    let work = find(b"a work that its creator signed");
    let flip = |at: usize, bits: u8| {
        let mut bad = good.clone();
        bad[at] ^= bits;
        bad
    };
    let directory = find(b"PK\x01\x02");
    let receipt_at = find(b"manifest.txt.timemark") + 21;
    for (name, bytes, check) in [
        ("bundle-work", flip(work, 1), "bundle.file"),
        ("bundle-header", flip(4, 1), "bundle.zip"),
        ("bundle-method", flip(8, 8), "bundle.zip"),
        ("bundle-directory", flip(directory + 38, 1), "bundle.zip"),
        ("bundle-receipt", flip(receipt_at + 100, 1), "bundle.file"),
        ("bundle-cut", good[..directory].to_vec(), "bundle.missing"),
        ("bundle-cut-in-a-file", good[..work + 3].to_vec(), "bundle.missing"),
        ("bundle-longer", [&good[..], b"\n"].concat(), "bundle.zip"),
        (
            "bundle-empty",
            b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0".to_vec(),
            "bundle.missing",
        ),
    ] {
        let bundle = Some(out.file(&format!("{name}.zip"), bytes));
        out.add(name, Vector { bundle, ..confirmed.clone() }, "refused", check);
    }
}

/// Receipts that were renewed: their authority, or SHA-256 itself, cannot be relied on any more.
fn aged(out: &mut Out) {
    let aging = Aging::new();
    let desk = &aging.desk;
    expect(0, &mut desk.timemark(["renew", "r/1.timemark"]));
    std::thread::sleep(Duration::from_millis(1100));
    expect(0, &mut desk.timemark(["renew", "r/2.timemark", "--hash", "sha512"]));
    let text = expect(0, &mut desk.timemark(["log", "policy"]));
    let vector = |out: &Out, n: usize, name: &str| Vector {
        work: Some(
            out.file(&format!("{name}.work"), fs::read(desk.path(&format!("works/{n}"))).unwrap()),
        ),
        receipt: Some(out.file(
            &format!("{name}.timemark"),
            fs::read(desk.path(&format!("r/{n}.timemark"))).unwrap(),
        )),
        policy: Some(out.file("aged-policy.txt", &text)),
        ..Vector::default()
    };
    let (never, checkpoint, whole) = (
        vector(out, 0, "aged-never"),
        vector(out, 1, "aged-checkpoint"),
        vector(out, 2, "aged-whole"),
    );
    let policies = [
        ("now", String::new()),
        ("authority", format!("{text}tsa-until old 2100-01-01T00:00:00Z\n")),
        ("authority-long-ago", format!("{text}tsa-until old 2000-01-01T00:00:00Z\n")),
        ("sha256", format!("{text}hash-until sha256 2100-01-01T00:00:00Z\n")),
        ("sha256-long-ago", format!("{text}hash-until sha256 2000-01-01T00:00:00Z\n")),
        ("sha512", format!("{text}hash-until sha512 2100-01-01T00:00:00Z\n")),
    ];
    for (policy, lines) in policies {
        let file = match policy {
            "now" => "aged-policy.txt".to_owned(),
            _ => out.file(&format!("aged-policy-{policy}.txt"), lines),
        };
        for (name, vector) in [("never", &never), ("checkpoint", &checkpoint), ("whole", &whole)] {
            let (verdict, check) = match (policy, name) {
                ("sha256", "whole") => ("verified", ""),
                ("sha256" | "sha256-long-ago" | "sha512", _) => ("undecided", "policy.renewal"),
                _ => ("verified", ""),
            };
            let vector = Vector { policy: Some(file.clone()), ..vector.clone() };
            out.add(&format!("aged-{name}-{policy}"), vector, verdict, check);
        }
    }
    let policy = Some("aged-policy-sha256.txt".to_owned());
    out.changed(
        &Vector { policy, ..whole },
        "aged-whole-changed",
        |r| other_digit(r, "\nsalt "),
        false,
        "refused",
        "leaf.claim",
    );
}

/// What is done to a receipt.
type Change = fn(&str) -> String;

/// Another hex digit behind the first such text.
pub fn other_digit(receipt: &str, before: &str) -> String {
    let at = receipt.find(before).unwrap_or_else(|| panic!("no {before:?}")) + before.len();
    let digit = if &receipt[at..=at] == "0" { "1" } else { "0" };
    format!("{}{digit}{}", &receipt[..at], &receipt[at + 1..])
}

fn upper_leaf(receipt: &str) -> String {
    let at = receipt.find("== leaf 1\n").unwrap() + 10;
    format!("{}{}{}", &receipt[..at], receipt[at..at + 130].to_uppercase(), &receipt[at + 130..])
}

/// The first anchor once more.
fn twice(receipt: &str) -> String {
    let start = receipt.find("== anchor ").unwrap();
    let end = receipt.find("\n== sha256 ").unwrap() + 1;
    format!("{}{}{}", &receipt[..end], &receipt[start..end], &receipt[end..])
}

fn before_seal(receipt: &str, more: &str) -> String {
    let end = receipt.find("\n== sha256 ").unwrap() + 1;
    format!("{}{more}{}", &receipt[..end], &receipt[end..])
}

/// One bit of the last bytes of the so-manieth signature by this name is another.
fn other_signature(receipt: &str, name: &str, number: usize) -> String {
    let (at, line) = signature(receipt, name, number);
    let base64 = line.rsplit(' ').next().unwrap();
    let mut bytes = data_encoding::BASE64.decode(base64.as_bytes()).unwrap();
    let last = bytes.len() - 1;
    bytes[last - 20] ^= 1;
    let other = line.replace(base64, &data_encoding::BASE64.encode(&bytes));
    format!("{}{other}{}", &receipt[..at], &receipt[at + line.len()..])
}

fn signature<'a>(receipt: &'a str, name: &str, number: usize) -> (usize, &'a str) {
    let start = format!("— {name} ");
    let (at, _) = receipt.match_indices(&start).nth(number).unwrap_or_else(|| panic!("no {start}"));
    (at, receipt[at..].lines().next().unwrap())
}

/// The signatures by this name bear another.
fn renamed_signatures(receipt: &str, name: &str) -> String {
    receipt.replace(&format!("— {name} "), "— other.example ")
}

/// Without the signatures by this name.
fn without(receipt: &str, name: &str) -> String {
    let mut receipt = receipt.to_owned();
    while receipt.contains(&format!("— {name} ")) {
        receipt = without_nth(&receipt, name, 0);
    }
    receipt
}

fn without_nth(receipt: &str, name: &str, number: usize) -> String {
    let (at, line) = signature(receipt, name, number);
    recounted(&format!("{}{}", &receipt[..at], &receipt[at + line.len() + 1..]))
}

/// With the right numbers of lines in the headings of anchors.
fn recounted(receipt: &str) -> String {
    let mut out = String::new();
    let lines: Vec<&str> = receipt.split_inclusive('\n').collect();
    for (at, line) in lines.iter().enumerate() {
        if line.starts_with("== anchor ") {
            let count = lines[at + 1..].iter().take_while(|l| !l.starts_with("== ")).count();
            out += &format!("== anchor {count}\n");
        } else {
            out += line;
        }
    }
    out
}

/// Without its time-stamps.
fn without_tokens(receipt: &str) -> String {
    let mut out = String::new();
    let mut in_token = false;
    for line in receipt.split_inclusive('\n') {
        if line.starts_with("== ") {
            in_token = line.starts_with("== timestamp ");
        }
        if !in_token {
            out += line;
        }
    }
    out
}

/// One character in the middle of the first time-stamp is another.
fn other_token(receipt: &str) -> String {
    let start = receipt.find("== timestamp ").unwrap();
    let at = start + receipt[start..].find("\n== ").unwrap() - 300;
    let other = if &receipt[at..=at] == "A" { "B" } else { "A" };
    assert!(
        receipt[at..=at].chars().all(|c| c.is_ascii_alphanumeric() || "+/".contains(c)),
        "a line's end"
    );
    format!("{}{other}{}", &receipt[..at], &receipt[at + 1..])
}

/// `name+id` of the key on a `log` line.
fn short(line: &str) -> String {
    line.strip_prefix("log ").unwrap().splitn(3, '+').take(2).collect::<Vec<_>>().join("+")
}

const README: &str = "# Test vectors

Files for a second implementation of the formats in [docs/formats.md](../formats.md), whose last chapter but one tells how to read them.
`tests/it/vectors.rs` holds four implementations against them; `TIMEMARK_BLESS=1` with that test writes them anew, with other keys and
times; `TIMEMARK_BLESS=amended` only those of claims that amend others.
";
