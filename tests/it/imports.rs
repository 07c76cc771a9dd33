//! Catalogues are registered row by row, whatever else is in them, and a run that was cut off is started again.

use std::collections::HashSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::{Desk, expect, expect_json, repository, run};

/// Copies of two sample pictures and a text, with a catalogue of them that says everything there is to say.
fn sheet(desk: &Desk) {
    for work in ["harbour-at-dusk.jpg", "two-sided-face.png"] {
        let picture = fs::read(repository("samples/works").join(work)).unwrap();
        desk.file(&format!("works/{work}"), picture);
    }
    desk.file("works/poem.txt", "a poem");
    desk.file(
        "works/catalogue.csv",
        "\u{FEFF}Title;Path;Claimant;Created;Rights;Collection\r\n\
         \"Harbour; at dusk\";harbour-at-dusk.jpg;Zhang Wei;2026-11-22;\"All rights\r\nreserved\";Spring 春展\r\n\
         ;two-sided-face.png;;;;\r\n\
         Poem;poem.txt;Li Na;;CC0;\r\n",
    );
}

fn by_line(mut objects: Vec<Value>) -> Vec<Value> {
    objects.sort_by_key(|object| object["line"].as_u64());
    objects
}

fn fields(objects: &[Value], name: &str) -> Vec<Value> {
    objects.iter().map(|object| object[name].clone()).collect()
}

#[test]
fn a_catalogue_is_registered_with_everything_it_says() {
    let desk = Desk::new();
    sheet(&desk);
    let import =
        ["import", "works/catalogue.csv", "--claimant", "Timemark", "--collection", "Rest"];
    let objects = by_line(expect_json(0, &mut desk.timemark(import)));
    assert_eq!(fields(&objects, "line"), [json!(2), json!(4), json!(5)]);
    assert!(objects.iter().all(|object| object["status"] == "registered"), "{objects:?}");
    assert_eq!(objects[0]["file"], "works/harbour-at-dusk.jpg");
    assert_eq!(objects[0]["receipt"], "works/harbour-at-dusk.jpg.timemark");

    let claim = |file: &str| {
        let receipt = format!("{file}.timemark");
        let verify = ["verify", file, "--receipt", &receipt];
        expect_json(0, &mut desk.timemark(verify)).remove(0)["claim"].take()
    };
    let said = claim("works/harbour-at-dusk.jpg");
    for (field, value) in [
        ("title", "Harbour; at dusk"),
        ("claimant", "Zhang Wei"),
        ("created", "2026-11-22"),
        ("rights", "All rights\r\nreserved"),
        ("collection", "Spring 春展"),
    ] {
        assert_eq!(said[field], value, "{said}");
    }
    let said = claim("works/two-sided-face.png");
    assert_eq!((&said["claimant"], &said["title"]), (&"Timemark".into(), &Value::Null));
    assert_eq!(said["collection"], "Rest");
    let shown = expect(0, &mut desk.timemark(["receipt", "show", "works/poem.txt.timemark"]));
    assert!(shown.contains("\nrights       CC0\ncollection   Rest\n"), "{shown}");
    assert_eq!(expect_json(0, &mut desk.timemark(["search", "春展"])).len(), 1);
}

#[test]
fn a_second_run_registers_nothing_and_says_so() {
    let desk = Desk::new();
    sheet(&desk);
    let import = ["import", "works/catalogue.csv", "--receipts", "r"];
    let first = by_line(expect_json(0, &mut desk.timemark(import)));
    let receipts = || {
        ["harbour-at-dusk.jpg", "poem.txt"]
            .map(|n| fs::read(desk.path(&format!("r/{n}.timemark"))).unwrap())
    };
    let (before, checkpoint) = (receipts(), expect(0, &mut desk.timemark(["log", "checkpoint"])));
    let output = run(&mut desk.timemark(import));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && said.contains("nothing was registered"), "{said}");
    let last = said.lines().last().unwrap();
    assert!(last.starts_with("3 rows: 0 registered, 3 duplicates, 0 errors; "), "{said}");
    let second = by_line(expect_json(0, &mut desk.timemark(import)));
    assert!(second.iter().all(|object| object["status"] == "duplicate"), "{second:?}");
    assert_eq!(fields(&first, "receipt"), fields(&second, "receipt"));
    assert_eq!(receipts(), before);
    assert_eq!(expect(0, &mut desk.timemark(["log", "checkpoint"])), checkpoint);
}

/// A catalogue in which good rows stand between all that goes wrong.
fn bad_sheet(desk: &Desk) {
    let picture = fs::read(repository("samples/works/harbour-at-dusk.jpg")).unwrap();
    desk.file("in/good.jpg", &picture);
    desk.file("in/truncated.jpg", &picture[..picture.len() / 2]);
    desk.file("in/a.txt", "a");
    desk.file("in/folder/b.txt", "b");
    desk.file("in/c.txt.timemark", "timemark-receipt v1\n");
    let long = "x".repeat(20_000);
    desk.file(
        "in/list.csv",
        [
            "path,title,claimant\ngood.jpg,T,C\nabsent.jpg,T,C\nfolder,T,C\na.txt,T\n,T,C\n\"a.txt,T,C\na.txt,".as_bytes(),
            long.as_bytes(),
            b",C\na.txt,caf\xE9,C\nc.txt.timemark,,C\ntruncated.jpg,,C\na.txt,T,C\na.txt,U,C\n../in/folder/b.txt,T,C\n",
        ]
        .concat(),
    );
}

const BAD_ROWS: [(u64, &str); 9] = [
    (3, "in/absent.jpg: there is no such file"),
    (4, "in/folder: it is a folder, not a file"),
    (5, "in/a.txt: the row has 2 fields and the header 3"),
    (6, "the row names no path"),
    (7, "a quote is never closed"),
    (8, "in/a.txt: its title takes more than 16384 bytes"),
    (9, "it is not UTF-8; save the sheet as CSV UTF-8"),
    (10, "in/c.txt.timemark: it is a receipt, not a work"),
    (13, "in/a.txt: line 12 lists it already, with other values"),
];

#[test]
fn a_bad_row_costs_that_row() {
    let desk = Desk::new();
    bad_sheet(&desk);
    let output = run(&mut desk.timemark(["import", "in/list.csv", "--receipts", "r"]));
    let [said, summary] = [output.stdout, output.stderr].map(|b| String::from_utf8(b).unwrap());
    assert_eq!(output.status.code(), Some(1));
    let undecodable = (11, "in/truncated.jpg: it begins as a picture and cannot be decoded");
    for (line, reason) in BAD_ROWS.into_iter().chain([undecodable]) {
        let error = format!("error       in/list.csv:{line}: {reason}");
        assert!(said.lines().any(|line| line.starts_with(&error)), "{error}:\n{said:.9999}");
    }
    let last = summary.lines().last().unwrap();
    assert!(last.starts_with("13 rows: 3 registered, 0 duplicates, 10 errors; "), "{summary}");
    // Whatever a catalogue says, receipts stay below their folder.
    assert!(desk.path("r/in/folder/b.txt.timemark").is_file());
    assert!(desk.path("r/good.jpg.timemark").is_file());
}

#[test]
fn a_dry_run_tells_the_same_and_leaves_no_trace() {
    let desk = Desk::new();
    bad_sheet(&desk);
    let before = everything(&desk);
    let dry = ["import", "in/list.csv", "--dry-run", "--receipts", "r"];
    let objects = expect_json(1, &mut desk.timemark(dry));
    assert_eq!(fields(&objects, "line"), (2..=14).map(Value::from).collect::<Vec<_>>());
    for object in &objects {
        let line = object["line"].as_u64().unwrap();
        match BAD_ROWS.iter().find(|(bad, _)| *bad == line) {
            Some((_, reason)) => {
                let error = object["error"].as_str().unwrap();
                assert!(object["status"] == "error" && reason.ends_with(error), "{object}");
            }
            None => {
                assert_eq!((&object["status"], &object["error"]), (&"checked".into(), &Value::Null))
            }
        }
    }
    let output = run(&mut desk.timemark(dry));
    let said = String::from_utf8(output.stderr).unwrap();
    let last = said.lines().last().unwrap();
    assert!(last.starts_with("13 rows: 4 checked, 9 errors; "), "{said}");
    assert_eq!(everything(&desk), before);
    assert!(!desk.path("archive").exists() && !desk.path("r").exists());
}

/// Every file and folder of a desk, with what it holds.
fn everything(desk: &Desk) -> Vec<(std::path::PathBuf, Option<Vec<u8>>)> {
    let mut found = Vec::new();
    let mut folders = vec![desk.path("")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            found.push((path.clone(), fs::read(&path).ok()));
            if path.is_dir() {
                folders.push(path);
            }
        }
    }
    found.sort();
    found
}

#[test]
fn a_catalogue_that_cannot_be_read_makes_no_archive() {
    let desk = Desk::new();
    desk.file("mood.csv", "path,mood\na.txt,blue\n");
    desk.file("a.txt", "a");
    for catalogue in ["absent.csv", ".", "a.txt", "mood.csv"] {
        expect(2, &mut desk.timemark(["import", catalogue, "--receipts", "r"]));
        assert!(!desk.path("archive").exists() && !desk.path("r").exists(), "{catalogue}");
    }
    expect(0, &mut desk.timemark(["import", "mood.csv", "--ignore-unknown-columns"]));
}

#[test]
fn paths_begin_in_the_folder_that_is_named() {
    let desk = Desk::new();
    desk.file("elsewhere/a.txt", "a");
    desk.file("list.csv", "path\na.txt\n");
    expect(1, &mut desk.timemark(["import", "list.csv"]));
    let objects = expect_json(0, &mut desk.timemark(["import", "list.csv", "--base", "elsewhere"]));
    assert_eq!(objects[0]["file"], "elsewhere/a.txt");
}

#[test]
fn a_killed_import_is_started_again() {
    const ROWS: usize = 300;
    const SEEN: usize = 40;
    let desk = Desk::new();
    let mut list = "path,title,claimant\n".to_owned();
    for i in 0..ROWS {
        desk.file(&format!("works/{i}.txt"), format!("work {i}"));
        list += &format!("works/{i}.txt,Work {i},Zhang Wei\n");
    }
    desk.file("list.csv", list);
    // The pipe takes fewer lines than are left, so that the run cannot end before it is killed.
    let mut import = desk.timemark(["import", "list.csv", "--jobs", "8", "--json"]);
    let mut child = import.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let objects: Vec<Value> =
        lines.take(SEEN).map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect();
    child.kill().unwrap(); // SIGKILL
    child.wait().unwrap();

    let again = expect_json(0, &mut desk.timemark(["import", "list.csv"]));
    assert_eq!(again.len(), ROWS);
    let indices: HashSet<u64> = again.iter().map(|o| o["index"].as_u64().unwrap()).collect();
    assert_eq!(indices.len(), ROWS, "no work has two numbers");
    for seen in &objects {
        let now = again.iter().find(|object| object["line"] == seen["line"]).unwrap();
        assert_eq!(now["status"], "duplicate", "{now}");
        assert_eq!((&now["index"], &now["receipt"]), (&seen["index"], &seen["receipt"]));
    }
    let third = expect_json(0, &mut desk.timemark(["import", "list.csv"]));
    assert!(third.iter().all(|object| object["status"] == "duplicate"));
    let checkpoint = expect(0, &mut desk.timemark(["log", "checkpoint"]));
    assert_eq!(checkpoint.lines().nth(1), Some(ROWS.to_string().as_str()));
}
