//! Claims are corrected and withdrawn: old receipts stay valid, and who asks is told.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::support::{Desk, Server, expect, expect_json, http, run};
use crate::vectors::courtroom;

/// A desk with a picture and a text, registered by one claimant and the picture by another as well.
fn desk() -> Desk {
    let desk = Desk::new();
    let picture = crate::support::repository("samples/works/harbour-at-dusk.jpg");
    desk.file("harbour.jpg", fs::read(picture).unwrap());
    desk.file("poem.txt", "a poem\n");
    expect(0, &mut desk.timemark(["init", "--origin", "amended.example"]));
    let register = ["register", "harbour.jpg", "poem.txt", "--claimant", "Zang Wei", "--jobs", "1"];
    let register =
        desk.timemark(register).args(["--title", "Harbor", "--rights", "All rights"]).output();
    assert!(register.unwrap().status.success());
    fs::write(desk.path("policy.txt"), expect(0, &mut desk.timemark(["log", "policy"]))).unwrap();
    desk
}

fn verify(desk: &Desk, receipt: &str) -> Value {
    let of = ["verify", "harbour.jpg", "--receipt", receipt];
    expect_json(0, &mut desk.timemark(of)).remove(0)
}

/// Title and claimant of the match, by which entry it is told, and by which it was corrected; nothing where it is clear.
fn scanned(desk: &Desk, file: &str) -> Option<(String, String, u64, Option<u64>)> {
    let line = expect_json(0, &mut desk.timemark(["scan", file, "--report", "report"])).remove(0);
    fs::remove_dir_all(desk.path("report")).unwrap();
    let found = line["matches"].get(0)?;
    let text = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
    let index = found["index"].as_u64().unwrap();
    Some((text("title"), text("claimant"), index, found["corrected_by"].as_u64()))
}

fn register(desk: &Desk, claimant: &str) -> (String, u64) {
    let of = ["register", "harbour.jpg", "--claimant", claimant];
    let line = expect_json(0, &mut desk.timemark(of)).remove(0);
    (line["status"].as_str().unwrap().to_owned(), line["index"].as_u64().unwrap())
}

#[test]
fn a_claim_is_corrected_and_then_withdrawn() {
    let desk = desk();
    let correct = [
        "claim",
        "correct",
        "harbour.jpg.timemark",
        "--title",
        "Harbour",
        "--claimant",
        "Zhang Wei",
    ];
    let line = expect_json(0, &mut desk.timemark(correct)).remove(0);
    assert_eq!(
        (&line["status"], &line["amended"], &line["index"]),
        (&"corrected".into(), &0.into(), &2.into())
    );
    assert_eq!(line["receipt"], "harbour.jpg.corrected-2.timemark");

    // Both receipts verify; who shows the old one where the archive is at hand is told.
    let old = verify(&desk, "harbour.jpg.timemark");
    assert_eq!((&old["corrected_by"], &old["claim"]["claimant"]), (&2.into(), &"Zang Wei".into()));
    let new = verify(&desk, "harbour.jpg.corrected-2.timemark");
    assert_eq!(
        (&new["corrected_by"], &new["claim"]["claimant"]),
        (&Value::Null, &"Zhang Wei".into())
    );
    assert_eq!(
        (&new["claim"]["corrects"]["index"], &new["claim"]["rights"]),
        (&0.into(), &"All rights".into())
    );
    let shown = expect(0, &mut desk.timemark(["receipt", "show", "harbour.jpg.timemark"]));
    assert!(shown.starts_with("CORRECTED   by entry 2"), "{shown}");
    let shown =
        expect(0, &mut desk.timemark(["receipt", "show", "harbour.jpg.corrected-2.timemark"]));
    assert!(shown.contains("corrects     the claim of entry 0, "), "{shown}");

    // By the registration that proves the time, in the words that stand.
    let suspect = |title: &str, claimant: &str| Some((title.into(), claimant.into(), 0, Some(2)));
    assert_eq!(scanned(&desk, "harbour.jpg"), suspect("Harbour", "Zhang Wei"));
    // Whoever the claim says it is, registering again answers with what stands.
    assert_eq!(register(&desk, "Zang Wei"), ("duplicate".into(), 2));
    assert_eq!(register(&desk, "Zhang Wei"), ("duplicate".into(), 2));
    let words = |word: &str| -> Vec<(u64, Value, Value)> {
        let lines = expect_json(0, &mut desk.timemark(["search", word]));
        let told = |line: &Value| {
            (
                line["index"].as_u64().unwrap(),
                line["corrected_by"].clone(),
                line["withdrawn_by"].clone(),
            )
        };
        lines.iter().map(told).collect()
    };
    assert_eq!(words("Harbor"), [(0, 2.into(), Value::Null), (1, Value::Null, Value::Null)]);
    assert_eq!(words("Zhang"), [(2, Value::Null, Value::Null)]);

    // What was corrected is not amended a second time; what stands is.
    for what in
        [["claim", "correct", "0", "--title", "x"], ["claim", "withdraw", "0", "--receipts", "r"]]
    {
        let refused = run(&mut desk.timemark(what));
        assert_eq!(refused.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&refused.stderr).contains("was corrected by entry 2"));
    }
    let same = run(&mut desk.timemark(["claim", "correct", "2", "--title", "Harbour"]));
    assert!(String::from_utf8_lossy(&same.stderr).contains("nothing is corrected"));
    let line = expect_json(
        0,
        &mut desk.timemark(["claim", "withdraw", "harbour.jpg.corrected-2.timemark"]),
    )
    .remove(0);
    assert_eq!((&line["status"], &line["index"]), (&"withdrawn".into(), &3.into()));
    assert_eq!(line["receipt"], "harbour.jpg.withdrawn-3.timemark");
    let new = verify(&desk, "harbour.jpg.withdrawn-3.timemark");
    assert_eq!(
        (&new["claim"]["withdraws"]["index"], &new["claim"]["rights"]),
        (&2.into(), &Value::Null)
    );
    for receipt in ["harbour.jpg.timemark", "harbour.jpg.corrected-2.timemark"] {
        assert_eq!(verify(&desk, receipt)["withdrawn_by"], 3, "{receipt}");
    }

    // A withdrawn claim accuses nobody.
    assert_eq!(scanned(&desk, "harbour.jpg"), None);
    for (what, reason) in
        [("0", "was corrected by entry 2"), ("2", "was withdrawn by entry 3"), ("3", "none itself")]
    {
        let refused = run(&mut desk.timemark(["claim", "withdraw", what]));
        assert_eq!(refused.status.code(), Some(2));
        let told = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(told.contains(reason), "{what}: {told}");
    }
    // Registering it anew is a new registration, even in the very words of before, with a receipt of its own.
    let again = [
        "register",
        "harbour.jpg",
        "--claimant",
        "Zang Wei",
        "--title",
        "Harbor",
        "--rights",
        "All rights",
    ];
    let line = expect_json(0, &mut desk.timemark(again)).remove(0);
    assert_eq!((&line["status"], &line["index"]), (&"registered".into(), &4.into()));
    let receipt = line["receipt"].as_str().unwrap();
    assert_ne!(receipt, "harbour.jpg.timemark");
    let new = verify(&desk, receipt);
    assert_eq!((&new["index"], &new["withdrawn_by"]), (&4.into(), &Value::Null));
    assert_eq!(scanned(&desk, "harbour.jpg"), Some(("Harbor".into(), "Zang Wei".into(), 4, None)));
    assert_eq!(register(&desk, "Zang Wei"), ("duplicate".into(), 4));

    // All of it is in the log alone: what is derived is found again.
    fs::remove_dir_all(desk.path("archive/registry")).unwrap();
    fs::remove_dir_all(desk.path("archive/index")).unwrap();
    assert_eq!(scanned(&desk, "harbour.jpg"), Some(("Harbor".into(), "Zang Wei".into(), 4, None)));
    assert_eq!(verify(&desk, "harbour.jpg.timemark")["withdrawn_by"], 3);
    expect(0, &mut desk.timemark(["log", "audit"]));
}

#[test]
fn the_court_is_told_by_the_receipts_alone() {
    let desk = desk();
    expect(0, &mut desk.timemark(["claim", "correct", "0", "--claimant", "Zhang Wei"]));
    expect(0, &mut desk.timemark(["claim", "withdraw", "2"]));
    let (old, corrected, withdrawn) = (
        "harbour.jpg.timemark",
        "harbour.jpg.corrected-2.timemark",
        "harbour.jpg.withdrawn-3.timemark",
    );
    let told = |receipts: &[&str]| {
        let mut command = Command::new(courtroom());
        command.current_dir(desk.path("")).arg("--json").arg("harbour.jpg").args(receipts);
        let said = expect(0, command.arg("policy.txt"));
        let said: Value = serde_json::from_str(&said).unwrap();
        (said["corrected_by"].as_u64(), said["withdrawn_by"].as_u64())
    };
    assert_eq!(told(&[old]), (None, None));
    assert_eq!(told(&[old, corrected]), (Some(2), None));
    assert_eq!(told(&[old, withdrawn]), (None, None), "it withdraws another claim");
    assert_eq!(told(&[old, withdrawn, corrected]), (Some(2), Some(3)));
    assert_eq!(told(&[corrected, withdrawn]), (None, Some(3)));
    assert_eq!(told(&[corrected, old]), (None, None), "an earlier claim amends nothing");
    assert_eq!(told(&[old, "poem.txt.timemark"]), (None, None), "another work");
    let mut words = Command::new(courtroom());
    words.current_dir(desk.path("")).args(["harbour.jpg", old, corrected, withdrawn, "policy.txt"]);
    let words = expect(0, &mut words);
    assert!(words.contains("WITHDRAWN   this claim was withdrawn by entry 3"), "{words}");
    assert!(words.contains("已由条目 3 撤回"), "{words}");
    // A receipt that does not verify tells nothing: here of another log, of the same name.
    let other = self::desk();
    expect(0, &mut other.timemark(["claim", "withdraw", "0"]));
    fs::copy(other.path("harbour.jpg.withdrawn-2.timemark"), desk.path("forged.timemark")).unwrap();
    assert_eq!(told(&[old, "forged.timemark"]), (None, None));
}

#[test]
fn a_signed_claim_is_amended_under_its_creators_key_alone() {
    let desk = Desk::new();
    desk.file("poem.txt", "a poem\n");
    for key in ["mine.pem", "other.pem"] {
        let mut openssl = Command::new("openssl");
        openssl.args(["genpkey", "-algorithm", "ed25519", "-out"]).arg(desk.path(key));
        expect(0, &mut openssl);
    }
    let register = ["register", "poem.txt", "--claimant", "Li Na", "--creator-key", "mine.pem"];
    expect(0, &mut desk.timemark(register));
    for act in [&["correct", "0", "--title", "Poem"][..], &["withdraw", "1"]] {
        for key in [&[][..], &["--creator-key", "other.pem"]] {
            let refused = run(desk.timemark(["claim"]).args(act).args(key));
            assert_eq!(refused.status.code(), Some(2));
            let told = String::from_utf8_lossy(&refused.stderr).into_owned();
            assert!(told.contains("signed by its creator"), "{told}");
        }
        let mut amended = desk.timemark(["claim"]);
        expect(0, amended.args(act).args(["--creator-key", "mine.pem"]));
    }
    let receipt = ["verify", "poem.txt", "--receipt", "poem.txt.withdrawn-2.timemark"];
    let told = expect_json(0, &mut desk.timemark(receipt)).remove(0);
    assert!(told["claim"]["creator_key"].is_string());
    assert_eq!(
        expect_json(
            0,
            &mut desk.timemark(["verify", "poem.txt", "--receipt", "poem.txt.timemark"])
        )[0]["withdrawn_by"],
        2
    );
}

#[test]
fn an_erased_amendment_would_revive_what_it_amends_and_is_refused() {
    let desk = desk();
    expect(0, &mut desk.timemark(["claim", "withdraw", "0"]));
    let refused = |entry: &str, why: &str| {
        let refused = run(&mut desk.timemark(["log", "erase-claim", entry]));
        assert_eq!(refused.status.code(), Some(2));
        let words = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(words.contains(why), "{words}");
    };
    refused("2", "would stand again");
    assert_eq!(verify(&desk, "harbour.jpg.timemark")["withdrawn_by"], 2);
    expect(0, &mut desk.timemark(["log", "erase-claim", "0"]));
    assert_eq!(
        verify(&desk, "harbour.jpg.timemark")["withdrawn_by"],
        2,
        "by its digest in the log"
    );
    assert_eq!(scanned(&desk, "harbour.jpg"), None);
    // Who withdrew is forgotten; that it was withdrawn is not.
    let told = expect(0, &mut desk.timemark(["log", "erase-claim", "2"]));
    for entry in ["entry 3 withdraws in its place", "entry 4 withdraws in its place"] {
        assert!(told.contains(entry), "{told}");
    }
    assert_eq!(verify(&desk, "harbour.jpg.timemark")["withdrawn_by"], 3);
    assert_eq!(scanned(&desk, "harbour.jpg"), None);
    let nameless = expect_json(1, &mut desk.timemark(["search", "harbour"]));
    assert_eq!(nameless.len(), 0, "{nameless:?}");
    let twice = run(&mut desk.timemark(["log", "erase-claim", "9"]));
    assert!(String::from_utf8_lossy(&twice.stderr).contains("there is no entry 9"));

    expect(0, &mut desk.timemark(["claim", "correct", "1", "--title", "Another"]));
    refused("5", "would stand again");
    expect(0, &mut desk.timemark(["log", "erase-claim", "1"]));
    expect(0, &mut desk.timemark(["log", "erase-claim", "5"]));
    refused("3", "names nobody");
    expect(0, &mut desk.timemark(["log", "audit"]));
}

#[test]
fn the_claim_of_another_upon_the_same_work_stands() {
    let desk = desk();
    assert_eq!(register(&desk, "Li Na"), ("registered".into(), 2));
    expect(0, &mut desk.timemark(["claim", "withdraw", "harbour.jpg.timemark"]));
    assert_eq!(
        scanned(&desk, "harbour.jpg").map(|found| (found.1, found.2)),
        Some(("Li Na".into(), 2))
    );
    let wrong = run(&mut desk.timemark(["claim", "withdraw", "poem.txt"]));
    assert_eq!(wrong.status.code(), Some(2));
    // A receipt of somebody else's log is not taken for one of ours by its number.
    let other = self::desk();
    fs::copy(other.path("poem.txt.timemark"), desk.path("foreign.timemark")).unwrap();
    let refused = run(&mut desk.timemark(["claim", "withdraw", "foreign.timemark"]));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("no receipt of this archive's log"));
}

#[test]
fn the_service_tells_what_became_of_a_claim() {
    let desk = desk();
    expect(0, &mut desk.timemark(["claim", "correct", "0", "--claimant", "Zhang Wei"]));
    expect(0, &mut desk.timemark(["claim", "withdraw", "1"]));
    let work = |index: &str| {
        let lines = expect_json(0, &mut desk.timemark(["search", index]));
        lines[0]["work"].as_str().unwrap().to_owned()
    };
    let (picture, text) = (work("harbour"), work("poem"));
    let server = Server::start(&mut desk.timemark(["serve", "--listen", "127.0.0.1:0"]));
    let get = |path: String| {
        let (status, body) = http(&format!("{}{path}", server.url), "GET", "text/plain", b"");
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
        serde_json::from_slice::<Value>(&body).unwrap()
    };
    let told = get(format!("/v1/works/{picture}"))["registrations"].clone();
    assert_eq!((&told[0]["corrected_by"], &told[1]["corrects"]), (&2.into(), &0.into()));
    let told = get(format!("/v1/works/{text}"))["registrations"].clone();
    assert_eq!((&told[0]["withdrawn_by"], &told[1]["withdraws"]), (&3.into(), &1.into()));
    assert_eq!(get("/v1/search?q=Zang".to_owned())["works"][0]["corrected_by"], 2);
    // The registry is in the server's hands; the verdict stands, and what cannot be told is said.
    let of = ["verify", "harbour.jpg", "--receipt", "harbour.jpg.timemark"];
    let told = run(&mut desk.timemark(of));
    assert_eq!(told.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&told.stderr).contains("cannot be told now"));
    assert!(server.stop().success());
}
