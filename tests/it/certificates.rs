//! A certificate says what its receipt proves, holds it whole, and is read back by programs that did not come from us.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::{Desk, Server, expect, expect_json, repository, run, skip};

/// A desk on which a picture is registered, and its log's checkpoint stamped by an authority.
fn stamped() -> (Desk, Server) {
    let desk = Desk::new();
    let authority =
        Server::start(&mut desk.timemark_on("tsa", ["tsa", "serve", "--listen", "127.0.0.1:0"]));
    let pair = format!("own={}/tsa", authority.url);
    let line = expect(0, &mut desk.timemark_on("tsa", ["tsa", "cert", "--policy-line", &pair]));
    let policy = desk.file("authorities", format!("quorum none\n{line}"));
    expect(0, desk.timemark(["init", "--origin", "stamped.example", "--policy"]).arg(policy));
    desk.file("山水.jpg", fs::read(repository("samples/works/山水.jpg")).unwrap());
    let mut register =
        desk.timemark(["register", "山水.jpg", "--title", "山水 Mountain and water"]);
    expect(0, register.args(["--claimant", "张伟 Zhang Wei", "--created", "2026-11-22"]));
    (desk, authority)
}

#[test]
fn issued_twice_it_has_the_same_bytes_and_no_other_file_is_overwritten() {
    let (desk, _authority) = stamped();
    let issue = |status: &str, more: &[&str]| {
        let mut certificate = desk.timemark(["certificate", "山水.jpg.timemark"]);
        let issued = expect_json(0, certificate.args(more)).remove(0);
        assert_eq!(issued["status"], status, "{issued}");
        assert!(issued["existed_by"].is_string(), "{issued}");
        fs::read(desk.path(issued["certificate"].as_str().unwrap())).unwrap()
    };
    let first = issue("issued", &[]);
    assert!(desk.path("山水.jpg.certificate.pdf").exists());
    assert_eq!(issue("unchanged", &[]), first);
    assert_eq!(issue("issued", &["--out", "again.pdf"]), first);
    // The archive's copy of the work is the work.
    assert_eq!(issue("issued", &["--work", "山水.jpg", "--out", "of-work.pdf"]), first);
    desk.file("policy", expect(0, &mut desk.timemark(["log", "policy"])));
    assert_eq!(issue("issued", &["--policy", "policy", "--out", "of-policy.pdf"]), first);

    desk.file("taken.pdf", "something else");
    let mut taken = desk.timemark(["certificate", "山水.jpg.timemark", "--out", "taken.pdf"]);
    let output = run(&mut taken);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("is left alone"), "{output:?}");
    assert_eq!(fs::read(desk.path("taken.pdf")).unwrap(), b"something else");
}

#[test]
fn what_is_attached_is_taken_out_again_and_verifies() {
    if let Some(missing) = missing(&["pdfdetach", "qpdf", "openssl"]) {
        return skip(missing);
    }
    let (desk, _authority) = stamped();
    expect(0, &mut desk.timemark(["certificate", "山水.jpg.timemark", "--out", "c.pdf"]));
    expect(0, Command::new("qpdf").arg("--check").arg(desk.path("c.pdf")));
    fs::create_dir(desk.path("out")).unwrap();
    let mut detach = Command::new("pdfdetach");
    expect(0, detach.args(["-saveall", "-o"]).arg(desk.path("out")).arg(desk.path("c.pdf")));

    let receipt = fs::read(desk.path("山水.jpg.timemark")).unwrap();
    assert_eq!(fs::read(desk.path("out/receipt.timemark")).unwrap(), receipt);
    let whole = fs::read(desk.path("c.pdf")).unwrap();
    let pieces = whole.windows(receipt.len()).filter(|window| *window == receipt);
    assert_eq!(pieces.count(), 1, "who knows no PDF finds it, once");
    let mut verify = desk.timemark(["verify", "山水.jpg", "--receipt", "out/receipt.timemark"]);
    expect(0, verify.args(["--policy", "out/policy.txt"]));

    // The commands that the page shows.
    desk.file("out/CA.pem", expect(0, &mut desk.timemark_on("tsa", ["tsa", "cert"])));
    let script = "openssl ts -verify -data checkpoint-1.txt -in token-1-1.tsr -CAfile CA.pem";
    expect(0, Command::new("sh").args(["-euc", script]).current_dir(desk.path("out")));
}

#[test]
fn it_is_one_page_whose_code_a_camera_reads() {
    if let Some(missing) = missing(&["pdftoppm", "pdfinfo", "pdftotext", "zbarimg"]) {
        return skip(missing);
    }
    let (desk, _authority) = stamped();
    let issued =
        expect_json(0, &mut desk.timemark(["certificate", "山水.jpg.timemark", "--out", "c.pdf"]));
    let info = expect(0, Command::new("pdfinfo").arg(desk.path("c.pdf")));
    assert!(info.lines().any(|line| line.starts_with("Pages:") && line.ends_with(" 1")), "{info}");
    assert!(info.contains("A4"), "{info}");
    let read = read_code(&desk.path("c.pdf"), &desk.path("page"));
    let receipt = fs::read_to_string(desk.path("山水.jpg.timemark")).unwrap();
    let time = issued[0]["existed_by"].as_str().unwrap();
    for line in
        ["timemark-certificate v1", "log stamped.example", "entry 0", &format!("existed-by {time}")]
    {
        assert!(read.lines().any(|l| l == line), "{line} in {read}");
    }
    let shown = expect(0, &mut desk.timemark(["receipt", "show", "山水.jpg.timemark"]));
    let work = read.lines().find_map(|line| line.strip_prefix("work ")).unwrap();
    assert!(shown.contains(work), "{work} in {shown}");
    let claim = read.lines().find_map(|line| line.strip_prefix("claim ")).unwrap();
    let leaf = receipt.lines().skip_while(|line| *line != "== leaf 1").nth(1).unwrap();
    assert!(leaf.ends_with(claim), "{claim} in {leaf}");

    // What is on the page can be copied from it.
    let mut totext = Command::new("pdftotext");
    let text = expect(0, totext.arg("-layout").arg(desk.path("c.pdf")).arg("-"));
    for words in [
        "版权存证证书",
        "山水 Mountain and water",
        "张伟 Zhang Wei",
        "UTC",
        "stamped.example",
        "own",
    ] {
        assert!(text.contains(words), "{words} in {text}");
    }
}

#[test]
fn what_is_not_proven_gets_none() {
    let desk = Desk::new();
    expect(0, &mut desk.timemark(["init", "--origin", "plain.example"]));
    expect(0, &mut desk.timemark_on("other", ["init", "--origin", "other.example"]));
    desk.file("a.txt", "a work");
    desk.file("b.txt", "b work");
    expect(0, &mut desk.timemark(["register", "a.txt"]));
    let certificate = |more: &[&str]| {
        let mut command = desk.timemark(["certificate", "a.txt.timemark"]);
        command.args(more);
        command
    };
    let own = expect(0, &mut desk.timemark(["log", "policy"]));
    let other = expect(0, &mut desk.timemark_on("other", ["log", "policy"]));
    desk.file("other.policy", other);
    let key = "w.example+8f0ef21e+BIw+aNBQ7ZyFBj3OmEsg8tE7RfrrA3Vn0iXQ2Q0n0pOq";
    desk.file("nonsense.policy", own.replace("quorum none", &format!("witness W {key}")));

    for (more, code, said) in [
        (&["--work", "b.txt"][..], 1, "not the work of this receipt: its SHA-256 differs"),
        (&["--policy", "other.policy"], 1, "no log that the policy trusts signed this receipt"),
        (&["--policy", "nonsense.policy"], 2, "nonsense.policy"),
        (&["--archive", "nowhere"], 2, "name a --policy or an --archive"),
    ] {
        let output = run(&mut certificate(more));
        let words = [output.stdout, output.stderr].concat();
        let words = String::from_utf8_lossy(&words);
        assert_eq!(output.status.code(), Some(code), "{more:?}: {words}");
        assert!(words.contains(said), "{more:?}: {words}");
        assert!(!desk.path("a.txt.certificate.pdf").exists());
    }

    // A quorum that is asked for and missing is undecided.
    let mut serve = crate::support::timemark();
    serve.args(["witness", "serve", "--listen", "127.0.0.1:0", "--name", "w.example", "--dir"]);
    serve.arg(desk.path("witness"));
    let vkeys = expect(0, &mut desk.timemark(["log", "vkey"]));
    let witness = Server::start(serve.args(vkeys.lines().flat_map(|vkey| ["--log", vkey])));
    let demanding = format!("witness W {}\nquorum W", witness.keys[0]);
    desk.file("witness.policy", own.replace("quorum none", &demanding));
    let object = expect_json(2, &mut certificate(&["--policy", "witness.policy"])).remove(0);
    assert_eq!(object["status"], "undecided", "{object}");
    assert!(object["reason"].as_str().unwrap().contains("quorum"), "{object}");

    // A log's word alone is worth a certificate that says so.
    let object = expect_json(0, &mut certificate(&[])).remove(0);
    assert_eq!((&object["status"], &object["existed_by"]), (&"issued".into(), &().into()));
}

#[test]
fn no_title_breaks_the_page() {
    let desk = Desk::new();
    let long = "无".repeat(5_000);
    let titles = [
        long.as_str(),
        "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft",
        "a\u{202E}b\u{200B}c\nd\te",
        "😀🏳️‍🌈 סימן זמן ختم زمني",
        "𠮷野家 㐂 龘",
        "\\(literal) <b>&amp; %PDF-1.7 endstream",
    ];
    for (number, title) in titles.iter().enumerate() {
        let name = format!("{number}.txt");
        desk.file(&name, title);
        let mut register = desk.timemark(["register", &name, "--title", title]);
        expect(0, register.args(["--claimant", title, "--rights", title]));
        let receipt = format!("{name}.timemark");
        expect(0, &mut desk.timemark(["certificate", &receipt]));
        let pdf = desk.path(&format!("{name}.certificate.pdf"));
        if missing(&["pdfinfo", "qpdf"]).is_some() {
            continue; // told by the tests above
        }
        let info = expect(0, Command::new("pdfinfo").arg(&pdf));
        assert!(info.lines().any(|l| l.starts_with("Pages:") && l.ends_with(" 1")), "{info}");
        expect(0, Command::new("qpdf").arg("--check").arg(&pdf));
    }
}

/// The text of the only code on the only page, at the 150 dots an inch of a plain scanner.
fn read_code(pdf: &Path, aside: &Path) -> String {
    let mut render = Command::new("pdftoppm");
    expect(0, render.args(["-r", "150", "-png", "-singlefile"]).arg(pdf).arg(aside));
    let mut scan = Command::new("zbarimg");
    expect(0, scan.args(["--quiet", "--raw"]).arg(aside.with_extension("png")))
}

/// The first of these programs that cannot be run, in words.
fn missing(programs: &[&str]) -> Option<&'static str> {
    let absent = |program: &&&str| Command::new(program).arg("--version").output().is_err();
    programs.iter().find(absent).map(|_| "poppler-utils, qpdf, zbar-tools or openssl is missing")
}
