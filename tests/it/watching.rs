//! `timemark watch` with a real process and real saves: renames, bursts, signals, `kill -9`.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Desk, expect, expect_json};

/// A watcher of the folder `drafts` and what it printed.
struct Watcher<'d> {
    desk: &'d Desk,
    child: Child,
}

impl Watcher<'_> {
    fn start<'d>(desk: &'d Desk, more: &[&str]) -> Watcher<'d> {
        let mut command = desk.timemark(["watch", "drafts", "--settle", "1", "--json"]);
        command.args(["--claimant", "Li Na"]).args(more);
        let out =
            fs::File::options().create(true).append(true).open(desk.path("out.jsonl")).unwrap();
        let err = fs::File::create(desk.path("err.txt")).unwrap();
        let child = command.stdout(out).stderr(Stdio::from(err)).spawn().unwrap();
        let watcher = Watcher { desk, child };
        watcher.wait_for("to begin", || watcher.remarks().contains("watching"));
        watcher
    }

    fn remarks(&self) -> String {
        fs::read_to_string(self.desk.path("err.txt")).unwrap()
    }

    fn wait_for(&self, what: &str, done: impl Fn() -> bool) {
        let started = Instant::now();
        while !done() {
            let patience = started.elapsed() < Duration::from_secs(60);
            assert!(patience, "waited {what}: {:?}\n{}", lines(self.desk), self.remarks());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits for so many lines about a file with this status.
    fn wait(&self, file: &str, status: &str, count: usize) {
        let is =
            |line: &&Value| line["file"] == format!("drafts/{file}") && line["status"] == status;
        self.wait_for(file, || lines(self.desk).iter().filter(is).count() >= count);
    }

    fn signal(mut self, signal: &str) -> Option<i32> {
        expect(0, Command::new("kill").args([signal, &self.child.id().to_string()]));
        self.child.wait().unwrap().code()
    }
}

impl Drop for Watcher<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines(desk: &Desk) -> Vec<Value> {
    let text = fs::read_to_string(desk.path("out.jsonl")).unwrap_or_default();
    // The last line may be on its way, or cut by a kill.
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// Verifies every receipt below `receipts` against the content that was once saved; returns how many.
fn verify_all(desk: &Desk, saved: &[Vec<u8>]) -> usize {
    let by_sha256: BTreeMap<String, &Vec<u8>> = saved
        .iter()
        .map(|bytes| (timemark_verify::WorkDigests::of(bytes).content().sha256_hex(), bytes))
        .collect();
    let mut count = 0;
    let mut folders = vec![desk.path("receipts")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let receipt = timemark_verify::Receipt::parse(&fs::read(&path).unwrap()).unwrap();
            let content = receipt.claim.work.content().sha256_hex();
            let bytes =
                by_sha256.get(&content).unwrap_or_else(|| panic!("a mixture: {}", path.display()));
            let work = desk.file("checked.work", bytes);
            let mut verify = desk.timemark(["verify"]);
            expect(0, verify.arg(work).arg("--receipt").arg(&path));
            count += 1;
        }
    }
    count
}

#[test]
fn drafts_are_registered_as_they_are_saved() {
    let desk = Desk::new();
    desk.file("drafts/before.txt", "was there before");
    desk.file("drafts/deep/er.txt", "deep");
    for passed_over in
        [".hidden", ".git/object", "a.tmp", "a.swp", "b~", "c.crdownload", "empty.txt"]
    {
        let text = if passed_over == "empty.txt" { "" } else { "not a draft" };
        desk.file(&format!("drafts/{passed_over}"), text);
    }
    desk.file("drafts/broken.jpg", b"\xFF\xD8\xFF\xE0 is no picture");
    let watcher = Watcher::start(&desk, &["--receipts", "receipts"]);
    watcher.wait("before.txt", "registered", 1);
    watcher.wait("deep/er.txt", "registered", 1);
    watcher.wait("broken.jpg", "error", 1);

    // One file, saved again and again; by rename, as careful editors do, and by a burst of writes.
    let mut saved: Vec<Vec<u8>> = ["was there before", "deep"].map(|text| text.into()).to_vec();
    for (n, text) in ["first", "second, longer", "third!"].iter().enumerate() {
        desk.file("drafts/aside.tmp", text);
        fs::rename(desk.path("drafts/aside.tmp"), desk.path("drafts/novel.txt")).unwrap();
        saved.push((*text).into());
        watcher.wait("novel.txt", "registered", n + 1);
    }
    for n in 0..40 {
        desk.file("drafts/burst.txt", format!("burst {n}"));
        saved.push(format!("burst {n}").into());
        std::thread::sleep(Duration::from_millis(20));
    }
    watcher.wait("burst.txt", "registered", 1);
    for n in 0..60 {
        saved.push(format!("one of many, {n}").into());
        desk.file(&format!("drafts/many/{n}.txt"), saved.last().unwrap());
    }
    for n in 0..60 {
        watcher.wait(&format!("many/{n}.txt"), "registered", 1);
    }
    // A broken file is repaired; a renamed one is known.
    saved.push(fs::read(crate::support::repository("samples/works/two-sided-face.png")).unwrap());
    desk.file("drafts/broken.jpg", saved.last().unwrap());
    watcher.wait("broken.jpg", "registered", 1);
    fs::rename(desk.path("drafts/before.txt"), desk.path("drafts/renamed.txt")).unwrap();
    watcher.wait("renamed.txt", "duplicate", 1);
    // Receipts beside drafts, and archives, are no drafts.
    fs::copy(desk.path("receipts/novel.txt.timemark"), desk.path("drafts/novel.txt.timemark"))
        .unwrap();
    std::thread::sleep(Duration::from_secs(4));

    // What is saved just before the end is held or not, and never half.
    let code = watcher.signal("-TERM");
    assert_eq!(code, Some(1), "one file failed on the way");
    let told = lines(&desk);
    let burst = told.iter().filter(|l| l["file"] == "drafts/burst.txt").count();
    assert!(burst < 10, "{burst} registrations of one burst");
    for line in &told {
        let file = line["file"].as_str().unwrap();
        let draft = ["before", "er.txt", "novel.txt", "burst", "many/", "broken", "renamed"];
        assert!(draft.iter().any(|part| file.contains(part)), "{line}");
        assert!(!file.ends_with(".timemark"), "{line}");
    }
    assert!(verify_all(&desk, &saved) >= 66);
    expect(0, &mut desk.timemark(["log", "audit"]));
}

#[test]
fn a_watcher_that_is_killed_goes_on_where_it_was() {
    let desk = Desk::new();
    let mut saved: Vec<Vec<u8>> = Vec::new();
    for n in 0..30 {
        saved.push(format!("draft {n}").into());
        desk.file(&format!("drafts/{n}.txt"), saved.last().unwrap());
    }
    for round in 0..3 {
        let watcher = Watcher::start(&desk, &["--receipts", "receipts", "--jobs", "4"]);
        let more = 30 + round;
        saved.push(format!("draft {more}").into());
        desk.file(&format!("drafts/{more}.txt"), saved.last().unwrap());
        let before = lines(&desk).len();
        watcher.wait_for("for some lines", || lines(&desk).len() > before + 3);
        watcher.signal("-KILL");
    }
    let watcher = Watcher::start(&desk, &["--receipts", "receipts"]);
    for n in 0..33 {
        let is = |line: &&Value| line["file"] == format!("drafts/{n}.txt");
        watcher.wait_for("for all", || lines(&desk).iter().any(|line| is(&line)));
    }
    watcher.wait_for("for receipts", || fs::read_dir(desk.path("receipts")).unwrap().count() >= 33);
    assert_eq!(watcher.signal("-INT"), Some(0));
    // Each draft once, whatever was cut off.
    let mut indices: BTreeMap<u64, String> = BTreeMap::new();
    for line in lines(&desk) {
        let (index, file) = (line["index"].as_u64().unwrap(), line["file"].as_str().unwrap());
        let known = indices.entry(index).or_insert_with(|| file.to_owned());
        assert_eq!(known, file);
    }
    assert_eq!(indices.len(), 33);
    let again = expect_json(
        0,
        &mut desk.timemark(["register", "drafts", "--claimant", "Li Na", "--receipts", "again"]),
    );
    assert!(again.iter().all(|line| line["status"] == "duplicate"), "{again:?}");
    assert_eq!(verify_all(&desk, &saved), 33);
    expect(0, &mut desk.timemark(["log", "audit"]));
}
