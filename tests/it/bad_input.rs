//! Whatever lies in a folder costs one clear line about itself and nothing else.

use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::process::Command;

use serde_json::Value;

use crate::support::{Desk, expect, expect_json, repository, run, timemark};

fn sample(below: &str) -> Vec<u8> {
    fs::read(repository("samples").join(below)).unwrap()
}

/// A folder with everything that goes wrong, and two good works.
fn hostile_folder(desk: &Desk) {
    let picture = sample("works/harbour-at-dusk.jpg");
    desk.file("in/good.jpg", &picture);
    desk.file("in/really-a-png.jpg", sample("works/two-sided-face.png"));
    desk.file("in/empty.jpg", "");
    desk.file("in/truncated.jpg", &picture[..picture.len() / 2]);
    desk.file("in/only-a-header.png", b"\x89PNG\r\n\x1a\n");
    // A picture of 60,000 × 60,000 pixels in 70 bytes.
    let mut bomb =
        b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\xea\x60\0\0\xea\x60\x08\x02\0\0\0".to_vec();
    bomb.extend([0xfe, 0x3a, 0x2f, 0x1b, 0, 0, 0, 0]);
    desk.file("in/bomb.png", bomb);
    let dir = desk.path("in");
    symlink(&dir, dir.join("loop")).unwrap();
    symlink(dir.join("nowhere"), dir.join("broken-link")).unwrap();
    expect(0, Command::new("mkfifo").arg(dir.join("pipe")));
    File::create(dir.join(std::ffi::OsStr::from_bytes(b"not-utf8-\xFF.jpg"))).unwrap();
}

fn by_name<'a>(objects: &'a [Value], key: &str, name: &str) -> &'a Value {
    let found = objects.iter().find(|object| object[key].as_str().unwrap().contains(name));
    found.unwrap_or_else(|| panic!("{name} is missing in {objects:?}"))
}

const ERRORS: [(&str, &str); 7] = [
    ("truncated.jpg", "cannot be decoded"),
    ("only-a-header.png", "cannot be decoded"),
    ("bomb.png", "cannot be decoded"),
    ("loop", "leads back"),
    ("broken-link", "no such file"),
    ("pipe", "not a regular file"),
    ("not-utf8-", "not UTF-8"),
];

#[test]
fn a_hostile_folder_is_registered_as_far_as_it_goes() {
    let desk = Desk::new();
    hostile_folder(&desk);
    let objects = expect_json(1, &mut desk.timemark(["register", "in", "absent.jpg"]));
    assert_eq!(objects.len(), ERRORS.len() + 4);
    for (name, reason) in ERRORS.into_iter().chain([("absent.jpg", "no such file")]) {
        let object = by_name(&objects, "file", name);
        let error = object["error"].as_str().unwrap_or_default();
        assert!(object["status"] == "error" && error.contains(reason), "{object}");
        assert!(!error.contains('\n'), "one line: {error}");
    }
    for (name, fingerprints) in [("good.jpg", 1), ("really-a-png.jpg", 1), ("empty.jpg", 0)] {
        let object = by_name(&objects, "file", name);
        let found = object["fingerprints"].as_array().unwrap().len();
        assert_eq!((&object["status"], found), (&"registered".into(), fingerprints), "{object}");
    }
    // What looks like a picture and is none is registered when that is what the claimant wants.
    let objects =
        expect_json(0, &mut desk.timemark(["register", "in/truncated.jpg", "--bytes-only"]));
    assert_eq!(
        (&objects[0]["status"], &objects[0]["fingerprints"]),
        (&"registered".into(), &Value::Array(vec![]))
    );
    expect(0, &mut desk.timemark(["log", "audit"]));
}

#[test]
fn a_hostile_folder_is_scanned_as_far_as_it_goes() {
    let desk = Desk::new();
    hostile_folder(&desk);
    expect(0, &mut desk.timemark(["register", "in/good.jpg"]));
    let objects = expect_json(1, &mut desk.timemark(["scan", "in"]));
    for (name, _) in ERRORS {
        let object = by_name(&objects, "suspect", name);
        assert!(object["status"] == "error" && object["error"].is_string(), "{object}");
    }
    assert_eq!(by_name(&objects, "suspect", "good.jpg")["status"], "match");
    assert_eq!(by_name(&objects, "suspect", "empty.jpg")["status"], "clear");
    assert_eq!(objects.len(), ERRORS.len() + 3, "the receipt is passed over");
}

#[test]
fn a_picture_without_detail_is_undecidable() {
    let desk = Desk::new();
    let flat = image::RgbImage::from_pixel(200, 200, image::Rgb([200, 30, 30]));
    flat.save(desk.path("flat.png")).unwrap();
    let flat = image::RgbImage::from_pixel(190, 200, image::Rgb([30, 30, 200]));
    flat.save(desk.path("other.png")).unwrap();
    expect(0, &mut desk.timemark(["register", "flat.png"]));
    let objects = expect_json(0, &mut desk.timemark(["scan", "flat.png", "other.png"]));
    assert_eq!(by_name(&objects, "suspect", "flat")["matches"][0]["method"], "exact");
    assert_eq!(by_name(&objects, "suspect", "other")["status"], "undecidable");
}

#[test]
fn damaged_and_foreign_receipts_are_refused_with_a_reason() {
    let desk = Desk::new();
    desk.file("a.txt", "a work");
    desk.file("b.txt", "b work");
    expect(0, &mut desk.timemark(["register", "a.txt", "b.txt"]));
    let good = fs::read(desk.path("a.txt.timemark")).unwrap();
    let mut flipped = good.clone();
    flipped[200] ^= 1;
    for (name, receipt, reason) in [
        ("flipped", &flipped[..], "damaged"),
        ("truncated", &good[..good.len() - 10], "damaged"),
        ("empty", b"", "no Timemark receipt"),
        ("picture", &sample("works/山水.jpg"), "no Timemark receipt"),
        ("other work's", &fs::read(desk.path("b.txt.timemark")).unwrap(), "SHA-256 differs"),
    ] {
        let receipt = desk.file("receipt", receipt).display().to_string();
        let verdict =
            &expect_json(1, &mut desk.timemark(["verify", "a.txt", "--receipt", &receipt]))[0];
        let said = verdict["reason"].as_str().unwrap();
        assert!(verdict["verdict"] == "refused" && said.contains(reason), "{name}: {verdict}");
    }
    expect(2, &mut desk.timemark(["verify", "a.txt", "--receipt", "absent"]));
    expect(2, &mut desk.timemark(["verify", "absent", "--receipt", "a.txt.timemark"]));
    expect(2, &mut desk.timemark(["receipt", "show", "a.txt"]));
}

#[test]
fn a_second_process_is_told_at_once_and_does_no_damage() {
    let desk = Desk::new();
    desk.file("a.txt", "a work");
    desk.file("b.txt", "b work");
    expect(0, &mut desk.timemark(["register", "a.txt"]));
    let lock = File::open(desk.path("archive/log/lock")).unwrap();
    lock.lock().unwrap();
    for arguments in [&["register", "b.txt"][..], &["scan", "b.txt"], &["log", "audit"]] {
        let output = run(&mut desk.timemark(arguments));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && said.contains("another process"), "{said}");
    }
    // What only reads published files goes on.
    expect(0, &mut desk.timemark(["log", "checkpoint"]));
    expect(0, &mut desk.timemark(["verify", "a.txt", "--receipt", "a.txt.timemark"]));
    drop(lock);
    expect(0, &mut desk.timemark(["register", "b.txt"]));
    expect(0, &mut desk.timemark(["log", "audit"]));
}

#[test]
fn an_archive_is_never_replaced_and_never_guessed() {
    let desk = Desk::new();
    expect(0, &mut desk.timemark(["init"]));
    expect(2, &mut desk.timemark(["init"]));
    let elsewhere = desk.path("nothing");
    expect(2, timemark().args(["scan", ".", "--archive"]).arg(&elsewhere));
    assert!(!elsewhere.exists());
    expect(2, timemark().args(["regsiter", "."]));
}

#[test]
fn archives_and_receipts_in_the_way_are_no_works() {
    let desk = Desk::new();
    desk.file("a.txt", "a work");
    expect(0, &mut desk.timemark(["register", "a.txt"]));
    let output = run(&mut desk.timemark(["register", "."]));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("1 receipts and 1 archives skipped"), "{said}");
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 1);
}

#[test]
fn unreadable_derived_state_is_rebuilt() {
    let desk = Desk::new();
    desk.file("a.txt", "a work");
    expect(0, &mut desk.timemark(["register", "a.txt", "--title", "findable"]));
    for file in ["archive/registry/works.redb", "archive/index/codes"] {
        fs::write(desk.path(file), "garbage".repeat(2000)).unwrap();
        assert_eq!(expect_json(0, &mut desk.timemark(["scan", "a.txt"]))[0]["status"], "match");
        expect(0, &mut desk.timemark(["search", "findable"]));
    }
}

#[test]
fn a_file_that_changes_while_it_is_read_is_an_error() {
    let desk = Desk::new();
    let file = desk.file("growing.txt", "x".repeat(4 << 20));
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut file = File::options().append(true).open(&file).unwrap();
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                std::io::Write::write_all(&mut file, &[b'y'; 64]).unwrap();
            }
        });
        let objects = expect_json(1, &mut desk.timemark(["register", "growing.txt"]));
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        let error = objects[0]["error"].as_str().unwrap_or_default();
        assert!(error.contains("changed while it was being read"), "{objects:?}");
    });
    expect(0, &mut desk.timemark(["register", "growing.txt"]));
}
