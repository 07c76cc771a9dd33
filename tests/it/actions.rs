//! What the staff did stands in the log among the works, and everything that walks the log gets past it.

use std::fs;

use timemark_tlog::{Log, LogKey};
use timemark_verify::Action;

use crate::operations::witnessed;
use crate::service::{get, sample, serve};
use crate::support::{Desk, expect, expect_json, run};

/// Enters actions into the log of a desk's archive.
fn act(desk: &Desk, subjects: std::ops::Range<u64>) -> Vec<u64> {
    let key = LogKey::read(&desk.path("archive/keys/log.key")).unwrap();
    let log = Log::open(&desk.path("archive/log"), key, Box::new(|| Ok(()))).unwrap();
    let act = |subject: u64| Action {
        actor: "acc-reviewer".to_owned(),
        action: "match.verdict".to_owned(),
        subject: Some(format!("match {subject}")),
        detail: Some("infringing".to_owned()),
        stated_at: 2_000_000_000,
        salt: [subject as u8; 32],
    };
    subjects.map(|subject| log.append_action(&act(subject)).unwrap()).collect()
}

/// An archive whose log holds works at 0, 4 and 264, and actions between and behind them.
fn mixed() -> Desk {
    let desk = Desk::new();
    expect(0, &mut desk.timemark(["init"]));
    let picture = desk.file("harbour.jpg", sample("works/harbour-at-dusk.jpg"));
    expect(0, desk.timemark(["register", "--title", "Harbour"]).arg(&picture));
    assert_eq!(act(&desk, 0..3), [1, 2, 3]);
    let second = desk.file("second.txt", "the second work");
    expect(0, desk.timemark(["register"]).arg(&second));
    assert_eq!(act(&desk, 3..262).last(), Some(&263), "over the end of a bundle");
    let third = desk.file("third.txt", "the third work");
    expect(0, desk.timemark(["register"]).arg(&third));
    act(&desk, 262..264);
    desk
}

#[test]
fn works_are_found_among_actions_however_the_archive_is_opened() {
    let desk = mixed();
    let again = |what: &str| {
        let picture = desk.path("harbour.jpg");
        let lines = expect_json(0, desk.timemark(["register"]).arg(&picture));
        assert_eq!(
            (&lines[0]["status"], &lines[0]["index"]),
            (&"duplicate".into(), &0.into()),
            "{what}"
        );
        let found = expect_json(0, &mut desk.timemark(["search", "harbour"]));
        assert_eq!(found[0]["index"], 0, "{what}");
        let scanned = expect_json(0, desk.timemark(["scan"]).arg(desk.path("third.txt")));
        assert!(scanned[0].to_string().contains("264"), "{what}: {}", scanned[0]);
    };
    again("as it is");
    for derived in ["registry", "index"] {
        fs::remove_dir_all(desk.path("archive").join(derived)).unwrap();
    }
    again("after registry and index were derived anew");

    let actions = expect_json(0, &mut desk.timemark(["log", "actions"]));
    assert_eq!(actions.len(), 264);
    assert_eq!(actions[3]["index"], 5);
    assert_eq!(actions[3]["actor"], "acc-reviewer");
    assert_eq!(actions[3]["action"], "match.verdict");
    assert_eq!(actions[3]["subject"], "match 3");
    assert_eq!(actions[3]["stated_at"], "2033-05-18T03:33:20Z");
    let words = expect(0, &mut desk.timemark(["log", "actions"]));
    assert!(words.contains(
        "entry 5  2033-05-18T03:33:20Z  acc-reviewer  match.verdict  match 3  infringing\n"
    ));

    let server = serve(&desk, &[]);
    let page = get(&server.url, "/v1/works?limit=2").expect(200);
    let indices = |page: &serde_json::Value| -> Vec<u64> {
        page["works"]
            .as_array()
            .unwrap()
            .iter()
            .map(|work| work["index"].as_u64().unwrap())
            .collect()
    };
    assert_eq!(indices(&page), [264, 4]);
    let next = format!("/v1/works?limit=2&cursor={}", page["next"].as_str().unwrap());
    assert_eq!(indices(&get(&server.url, &next).expect(200)), [0]);
    assert_eq!(get(&server.url, "/v1/receipts/264").status, 200);
    for no_work in [1, 263, 266] {
        let answer = get(&server.url, &format!("/v1/receipts/{no_work}"));
        assert!(answer.expect(404)["type"].as_str().unwrap().ends_with(":not-found"), "{no_work}");
    }
    assert!(server.stop().success());
}

#[test]
fn an_audit_reads_actions_and_finds_what_was_changed_in_them() {
    let desk = mixed();
    let audit = expect(0, &mut desk.timemark(["log", "audit"]));
    assert!(audit.contains("267 entries") && audit.contains("3 works hashed"), "{audit}");
    let path = desk.path("archive/log/claims/000");
    let good = fs::read(&path).unwrap();
    let at = good.windows(7).position(|window| window == b"match 2").unwrap() + 6;
    for (to, finding) in [
        (b'7', "entry 3: its text is not the one that it commits to"),
        (b'\r', "entry 3: "),
        (0xff, "entry 0"),
    ] {
        let mut bad = good.clone();
        bad[at] = to;
        fs::write(&path, bad).unwrap();
        let audit = run(&mut desk.timemark(["log", "audit"]));
        let words = String::from_utf8_lossy(&[audit.stdout, audit.stderr].concat()).into_owned();
        assert!(!audit.status.success());
        assert!(words.contains(finding) || words.contains("claims/000"), "{words}");
    }
    fs::write(&path, good).unwrap();
    expect(0, &mut desk.timemark(["log", "audit"]));
}

#[test]
fn an_action_is_erased_like_a_claim_and_its_entry_stays() {
    let desk = mixed();
    expect(0, &mut desk.timemark(["log", "erase-claim", "2"]));
    let actions = expect_json(0, &mut desk.timemark(["log", "actions"]));
    assert_eq!(actions.len(), 264);
    assert_eq!(actions[1], serde_json::json!({"index": 2, "erased": true}));
    let claims = fs::read(desk.path("archive/log/claims/000")).unwrap();
    assert!(!String::from_utf8_lossy(&claims).contains("match 1\n"));
    let audit = expect(0, &mut desk.timemark(["log", "audit"]));
    assert!(audit.contains("1 claims erased; 0 findings"), "{audit}");
    let server = serve(&desk, &[]);
    get(&server.url, "/v1/receipts/2").expect(404);
}

#[test]
fn a_backup_and_what_is_restored_from_it_hold_the_actions() {
    let (desk, witnesses) = witnessed();
    act(&desk, 0..3);
    witnesses.iter().for_each(|witness| witness.cosign(&desk.path("archive")));
    expect(0, &mut desk.timemark(["log", "backup", "copy"]));
    expect(0, &mut desk.timemark_on("copy", ["log", "audit"]));
    let of = |archive: &str| expect(0, &mut desk.timemark_on(archive, ["log", "actions"]));
    let before = of("archive");
    assert_eq!((before.lines().count(), of("copy")), (3, before.clone()));
    fs::rename(desk.path("archive"), desk.path("lost")).unwrap();
    expect(0, &mut desk.timemark_on("copy", ["log", "restore", "--keys", "lost/keys"]));
    assert_eq!(of("copy"), before);
    expect(0, &mut desk.timemark_on("copy", ["log", "audit"]));
    desk.file("more.txt", "one more work");
    let lines = expect_json(0, &mut desk.timemark_on("copy", ["register", "more.txt"]));
    assert_eq!(lines[0]["index"], 6);
}
