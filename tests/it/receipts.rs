//! Every work gets its receipt, and the receipt that was there stays.

use std::fs;

use serde_json::{Value, json};

use crate::support::{Desk, expect, expect_json, run};

#[test]
fn a_receipts_folder_that_cannot_be_is_known_before_anything_is_registered() {
    let desk = Desk::new();
    desk.file("a.txt", "a work");
    let output = run(&mut desk.timemark(["register", "a.txt", "--receipts", "a.txt"]));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && output.stdout.is_empty(), "{said}");
    assert!(said.starts_with("timemark: cannot make the folder a.txt for receipts"), "{said}");
    assert!(!desk.path("archive").exists());
    expect(0, &mut desk.timemark(["init"]));
    expect(2, &mut desk.timemark(["register", "a.txt", "--receipts", "a.txt/below"]));
    let checkpoint = expect(0, &mut desk.timemark(["log", "checkpoint"]));
    assert_eq!(checkpoint.lines().nth(1), Some("0"));
}

#[test]
fn works_with_the_longest_names_get_receipts() {
    let desk = Desk::new();
    let names = [
        "山".repeat(85),                    // 255 bytes
        format!("{}.jpg", "山".repeat(83)), // 253 bytes, and cut at the same place
        format!("{}~", "x".repeat(245)),    // just short enough
        format!("{}~", "x".repeat(246)),    // just too long
    ];
    for name in &names {
        desk.file(&format!("in/{name}"), name);
    }
    let mut first = Vec::new();
    for round in 0..2 {
        let mut objects = expect_json(0, &mut desk.timemark(["register", "in"]));
        objects.sort_by_key(|object| object["file"].to_string());
        let receipts: Vec<String> =
            objects.iter().map(|object| object["receipt"].as_str().unwrap().to_owned()).collect();
        for (object, receipt) in objects.iter().zip(&receipts) {
            let file = object["file"].as_str().unwrap();
            assert!(receipt.ends_with(".timemark") && receipt.len() <= "in/".len() + 255);
            expect(0, &mut desk.timemark(["verify", file, "--receipt", receipt]));
            let cut = receipt.strip_suffix(".timemark") != Some(file);
            assert_eq!(cut, file.len() > "in/".len() + 246, "{receipt}");
        }
        assert_eq!(fs::read_dir(desk.path("in")).unwrap().count(), 2 * names.len());
        if round == 0 {
            first = receipts;
        } else {
            assert_eq!(receipts, first);
        }
    }
}

#[test]
fn an_empty_file_in_the_way_is_replaced_and_any_other_is_not() {
    let desk = Desk::new();
    desk.file("a.txt", "a work");
    desk.file("b.txt", "b work");
    desk.file("a.txt.timemark", "");
    desk.file("b.txt.timemark", "notes");
    let objects = expect_json(0, &mut desk.timemark(["register", "a.txt", "b.txt"]));
    assert!(objects.iter().any(|object| object["receipt"] == "a.txt.timemark"), "{objects:?}");
    expect(0, &mut desk.timemark(["verify", "a.txt", "--receipt", "a.txt.timemark"]));
    assert_eq!(fs::read_to_string(desk.path("b.txt.timemark")).unwrap(), "notes");
}

#[test]
fn an_earlier_claim_stands_and_what_is_not_taken_is_told() {
    let desk = Desk::new();
    desk.file("a.txt", "a work");
    let register = |more: &[&str]| {
        let mut register = desk.timemark(["register", "a.txt"]);
        register.args(more);
        register
    };
    let object = &expect_json(0, &mut register(&["--title", "old"]))[0];
    assert_eq!((&object["status"], &object["not_taken"]), (&"registered".into(), &json!([])));
    let object = &expect_json(0, &mut register(&["--title", "old"]))[0];
    assert_eq!((&object["status"], &object["not_taken"]), (&"duplicate".into(), &json!([])));
    let more = ["--title", "new", "--rights", "all", "--collection", "Spring"];
    let object = &expect_json(0, &mut register(&more))[0];
    assert_eq!(object["not_taken"], json!(["title", "rights", "collection"]), "{object}");
    let said = String::from_utf8(run(&mut register(&more)).stderr).unwrap();
    assert!(
        said.contains("a.txt: the earlier claim stands; not taken: title, rights, collection"),
        "{said}"
    );
}

#[test]
fn a_claimant_without_a_name_is_no_claimant() {
    let desk = Desk::new();
    desk.file("a.txt", "a work");
    let statuses: Vec<Value> = [&["--claimant", ""][..], &["--claimant", ""], &[]]
        .into_iter()
        .map(|claimant| {
            let mut register = desk.timemark(["register", "a.txt"]);
            expect_json(0, register.args(claimant)).remove(0)["status"].take()
        })
        .collect();
    assert_eq!(statuses, ["registered", "duplicate", "duplicate"]);
}
