//! The main flows, as their users type them.

use std::fs;

use serde_json::Value;

use crate::support::{Desk, expect, expect_json, repository, run, timemark};

fn samples(below: &str) -> String {
    repository(&format!("samples/{below}")).display().to_string()
}

fn sorted(mut objects: Vec<Value>) -> Vec<String> {
    objects.sort_by_key(|object| object["suspect"].to_string());
    objects.iter().map(Value::to_string).collect()
}

#[test]
fn works_are_registered_verified_and_their_copies_found() {
    let desk = Desk::new();
    let works = samples("works");
    let registered = expect_json(
        0,
        &mut desk.timemark([
            "register",
            &works,
            "--receipts",
            "receipts",
            "--claimant",
            "Timemark",
        ]),
    );
    assert_eq!(registered.len(), fs::read_dir(&works).unwrap().count());
    for work in &registered {
        assert_eq!(work["status"], "registered", "{work}");
        let (file, receipt) = (work["file"].as_str().unwrap(), work["receipt"].as_str().unwrap());
        let verdict =
            &expect_json(0, &mut desk.timemark(["verify", file, "--receipt", receipt]))[0];
        assert_eq!((&verdict["verdict"], &verdict["index"]), (&"verified".into(), &work["index"]));
        assert_eq!(verdict["existed_by"], Value::Null, "without witnesses no time is proven");
    }

    let found = expect_json(0, &mut desk.timemark(["scan", &samples("suspects")]));
    let truth = fs::read_to_string(repository("samples/suspects/truth.csv")).unwrap();
    for row in truth.lines().skip(1) {
        let [suspect, _, work] = row.split(',').collect::<Vec<_>>()[..] else { panic!("{row}") };
        let object =
            found.iter().find(|o| o["suspect"].as_str().unwrap().ends_with(suspect)).unwrap();
        let files: Vec<&str> = object["matches"]
            .as_array()
            .unwrap()
            .iter()
            .map(|m| m["file"].as_str().unwrap())
            .collect();
        match work {
            "" => assert_eq!(object["status"], "clear", "{object}"),
            work => assert!(matches!(files[..], [file] if file.ends_with(work)), "{object}"),
        }
    }

    // Registry and index follow from the log: without them, the next command finds the same.
    fs::remove_dir_all(desk.path("archive/registry")).unwrap();
    fs::remove_dir_all(desk.path("archive/index")).unwrap();
    let again = expect_json(0, &mut desk.timemark(["scan", &samples("suspects")]));
    assert_eq!(sorted(found), sorted(again));
    expect(0, &mut desk.timemark(["log", "audit"]));
}

#[test]
fn the_same_bytes_by_the_same_claimant_have_one_receipt() {
    let desk = Desk::new();
    desk.file("a.txt", "the same");
    desk.file("b.txt", "the same");
    desk.file("c.txt", "another");
    let register = |claimant: &str, receipts: &str| {
        let arguments =
            ["register", "a.txt", "b.txt", "c.txt", "--claimant", claimant, "--receipts", receipts];
        let mut objects = expect_json(0, &mut desk.timemark(arguments));
        objects.sort_by_key(|object| object["file"].to_string());
        objects
    };
    let first = register("Zhang Wei", "one");
    let statuses: Vec<_> = first.iter().map(|o| o["status"].as_str().unwrap()).collect();
    assert!(matches!(
        statuses[..],
        ["registered", "duplicate", "registered"] | ["duplicate", "registered", "registered"]
    ));
    assert_eq!(first[0]["index"], first[1]["index"]);
    let second = register("Zhang Wei", "two");
    assert!(second.iter().all(|object| object["status"] == "duplicate"));
    for name in ["a.txt.timemark", "b.txt.timemark", "c.txt.timemark"] {
        let [one, two] = ["one", "two"].map(|dir| fs::read(desk.path(dir).join(name)).unwrap());
        assert_eq!(one, two, "{name}");
    }
    let other = register("Li Na", "three");
    assert_ne!(other[0]["index"], first[0]["index"], "another claimant makes another claim");
    assert_eq!(other[0]["work"], first[0]["work"]);
    // Which of the two files with these bytes came first is the threads' matter.
    let new = other[..2].iter().find(|object| object["status"] == "registered").unwrap();
    let earlier = &new["similar"][0];
    assert_eq!((&earlier["method"], &earlier["index"]), (&"exact".into(), &first[0]["index"]));
    assert_eq!(earlier["claimant"], "Zhang Wei", "the second claimant is told of the first");
}

#[test]
fn a_receipt_is_never_overwritten_by_that_of_another_version() {
    let desk = Desk::new();
    let file = desk.file("draft.txt", "first version");
    expect(0, &mut desk.timemark(["register", "draft.txt"]));
    let first = fs::read(desk.path("draft.txt.timemark")).unwrap();
    fs::write(&file, "second version").unwrap();
    let second = &expect_json(0, &mut desk.timemark(["register", "draft.txt"]))[0];
    assert_eq!(fs::read(desk.path("draft.txt.timemark")).unwrap(), first);
    let receipt = second["receipt"].as_str().unwrap();
    expect(0, &mut desk.timemark(["verify", "draft.txt", "--receipt", receipt]));
    expect(1, &mut desk.timemark(["verify", "draft.txt", "--receipt", "draft.txt.timemark"]));
}

#[test]
fn trust_must_be_named() {
    let desk = Desk::new();
    desk.file("a.txt", "a work");
    expect(0, &mut desk.timemark(["register", "a.txt"]));
    let vkeys = expect(0, &mut desk.timemark(["log", "vkey"]));
    let vkey = vkeys.lines().next().unwrap();
    let policy = desk.file("policy.txt", format!("log {vkey}\nquorum none\n"));
    let (work, receipt) = (desk.path("a.txt"), desk.path("a.txt.timemark"));
    let verify = || {
        let mut command = timemark();
        command.arg("verify").arg(&work).arg("--receipt").arg(&receipt);
        command
    };
    let undecided = &expect_json(2, &mut verify())[0];
    let reason = undecided["reason"].as_str().unwrap();
    let key = vkey.splitn(3, '+').take(2).collect::<Vec<_>>().join("+");
    assert!(undecided["verdict"] == "undecided" && reason.contains(&key), "{undecided}");
    let verified = &expect_json(0, verify().arg("--policy").arg(&policy))[0];
    assert_eq!((&verified["verdict"], verified["log"].as_str()), (&"verified".into(), Some(vkey)));

    let stranger = Desk::new();
    expect(0, &mut stranger.timemark(["init", "--origin", "stranger.example"]));
    let refused = &expect_json(1, verify().arg("--archive").arg(stranger.path("archive")))[0];
    assert_eq!(refused["verdict"], "refused");
    // A quorum of witnesses that is missing proves nothing and refutes nothing.
    let witness = "witness+0e0c8bce+BAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g";
    let bad = desk.file("bad-policy.txt", format!("log {vkey}\nwitness w {witness}\nquorum w\n"));
    expect(2, verify().arg("--policy").arg(&bad));
}

#[test]
fn a_receipt_comes_apart_for_other_tools() {
    let desk = Desk::new();
    desk.file("a.txt", "a work");
    expect(
        0,
        &mut desk.timemark(["register", "a.txt", "--title", "山水", "--claimant", "Zhang Wei"]),
    );
    let part = |part: &str| run(&mut desk.timemark(["receipt", part, "a.txt.timemark"])).stdout;
    let text = |name: &str| String::from_utf8(part(name)).unwrap();
    assert!(text("show").contains("title        山水"));
    assert_eq!(part("leaf").len(), 65);
    assert!(text("tlog-proof").starts_with("c2sp.org/tlog-proof@v1\nindex 0\n"));
    let published = expect(0, &mut desk.timemark(["log", "checkpoint"]));
    assert!(published.starts_with(&text("checkpoint")));
    let tiles = expect(0, &mut desk.timemark(["log", "tiles-dir"]));
    let tiles = desk.path(tiles.trim_end());
    assert_eq!(fs::read_to_string(tiles.join("checkpoint")).unwrap(), published);
    let bundle = fs::read(tiles.join("tile/entries/000.p/1")).unwrap();
    assert_eq!(bundle, [&[0, 65], &part("leaf")[..]].concat());
    expect(2, &mut desk.timemark(["receipt", "tsr", "a.txt.timemark"]));
}

#[test]
fn a_creators_key_made_by_openssl_signs_the_claim() {
    let desk = Desk::new();
    let key = desk.path("creator.pem");
    let openssl = |arguments: &[&str]| {
        expect(0, std::process::Command::new("openssl").args(arguments).arg("-out").arg(&key))
    };
    openssl(&["genpkey", "-algorithm", "ed25519"]);
    desk.file("a.txt", "a work");
    expect(0, &mut desk.timemark(["register", "a.txt", "--creator-key", "creator.pem"]));
    assert!(
        expect(0, &mut desk.timemark(["receipt", "show", "a.txt.timemark"]))
            .contains("creator key")
    );
    expect(0, &mut desk.timemark(["verify", "a.txt", "--receipt", "a.txt.timemark"]));
    openssl(&["genpkey", "-algorithm", "x25519"]);
    expect(2, &mut desk.timemark(["register", "a.txt", "--creator-key", "creator.pem"]));
}

#[test]
fn works_are_looked_up_by_words_and_by_picture() {
    let desk = Desk::new();
    let works = samples("works/山水.jpg");
    let title = ["--title", "富春山居图", "--claimant", "Huang Gongwang"];
    expect(0, desk.timemark(["register", &works, "--receipts", "r"]).args(title));
    for query in ["山居", "gongwang", "富春山居图 huang"] {
        assert_eq!(expect_json(0, &mut desk.timemark(["search", query])).len(), 1, "{query}");
    }
    expect(1, &mut desk.timemark(["search", "nobody"]));
    let copy = samples("suspects/recompressed-landscape.jpg");
    assert_eq!(
        expect_json(0, &mut desk.timemark(["search", "--image", &copy]))[0]["method"],
        "pdq"
    );
    let other = samples("suspects/unrelated-hills.jpg");
    expect(1, &mut desk.timemark(["search", "--image", &other]));
}

#[test]
fn a_similar_earlier_work_is_named() {
    let desk = Desk::new();
    expect(
        0,
        &mut desk.timemark(["register", &samples("works/harbour-at-dusk.jpg"), "--receipts", "r"]),
    );
    let copy = samples("suspects/mirrored-harbour.jpg");
    let object = &expect_json(0, &mut desk.timemark(["register", &copy, "--receipts", "r"]))[0];
    assert_eq!(object["status"], "registered");
    let similar = &object["similar"][0];
    assert!(similar["file"].as_str().unwrap().ends_with("harbour-at-dusk.jpg"), "{object}");
    assert!(similar["transform"].as_str().unwrap().contains("mirrored"), "{object}");
}

#[test]
fn a_second_kind_of_fingerprint_can_be_chosen() {
    for kind in ["gradient", "dct"] {
        let desk = Desk::new();
        let works = samples("works");
        expect(0, &mut desk.timemark(["init"]));
        expect(2, &mut desk.timemark(["scan", &works, "--hash", kind]));
        expect(
            0,
            &mut desk.timemark(["register", &works, "--receipts", "r", "--second-hash", kind]),
        );
        let copy = samples("suspects/recompressed-landscape.jpg");
        let found = &expect_json(0, &mut desk.timemark(["scan", &copy, "--hash", kind]))[0];
        assert_eq!(
            (&found["status"], &found["matches"][0]["method"]),
            (&"match".into(), &kind.into())
        );
    }
}

#[test]
fn an_erased_claim_is_forgotten_and_its_receipt_still_holds() {
    let desk = Desk::new();
    for name in ["a", "b"] {
        desk.file(&format!("{name}.txt"), name);
        let title = format!("secret-{name}");
        expect(0, &mut desk.timemark(["register", &format!("{name}.txt"), "--title", &title]));
    }
    expect(0, &mut desk.timemark(["log", "erase-claim", "0"]));
    expect(1, &mut desk.timemark(["search", "secret-a"]));
    expect(0, &mut desk.timemark(["search", "secret-b"]));
    expect(0, &mut desk.timemark(["log", "audit"]));
    expect(0, &mut desk.timemark(["verify", "a.txt", "--receipt", "a.txt.timemark"]));
    let found = &expect_json(0, &mut desk.timemark(["scan", "a.txt"]))[0];
    assert_eq!((&found["status"], &found["matches"][0]["file"]), (&"match".into(), &Value::Null));
    let grep =
        run(std::process::Command::new("grep").args(["-rq", "secret-a"]).arg(desk.path("archive")));
    assert_eq!(grep.status.code(), Some(1), "no file of the archive names it any more");
}

#[test]
fn a_report_stands_alone() {
    let desk = Desk::new();
    expect(0, &mut desk.timemark(["register", &samples("works"), "--receipts", "r"]));
    expect(0, &mut desk.timemark(["scan", &samples("suspects"), "--report", "report"]));
    let page = fs::read_to_string(desk.path("report/index.html")).unwrap();
    assert!(page.contains("data:image/jpeg;base64,") && page.contains("mirrored-harbour.jpg"));
    assert!(!page.contains("http://") && !page.contains("https://"), "nothing is fetched");
    let names = fs::read_dir(desk.path("report")).unwrap().map(|file| file.unwrap().file_name());
    let mut names: Vec<_> = names.collect();
    names.sort();
    assert_eq!(names, ["index.html", "results.csv", "results.jsonl", "scan.json", "thumbnails"]);
}
