//! An archive is made once, and what is derived from its log is believed only while it is its own.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::{Desk, expect, expect_json, run, skip};

/// A desk on which one work is registered under this title.
fn desk_with(work: &str) -> Desk {
    let desk = Desk::new();
    desk.file(work, work);
    expect(0, &mut desk.timemark(["register", work, "--title", work]));
    desk
}

fn replace_folder(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    expect(0, Command::new("cp").arg("-a").args([from, to]));
}

/// The registry or index is not of this archive; that is noticed, said, and made good.
fn foreign_is_rebuilt(desk: &Desk, ours: &str, theirs: &str) {
    desk.file(theirs, theirs);
    let output = run(&mut desk.timemark(["search", ours]));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("rebuilding "), "{said}");
    assert_eq!(output.status.code(), Some(0), "{said}");
    expect(1, &mut desk.timemark(["search", theirs]));
    let found = |work: &str| expect_json(0, &mut desk.timemark(["scan", work])).remove(0);
    assert_eq!(found(ours)["matches"][0]["file"], ours);
    assert_eq!(found(theirs)["status"], "clear");
    let output = run(&mut desk.timemark(["register", ours]));
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("duplicate"), "{output:?}");
    assert!(!String::from_utf8_lossy(&output.stderr).contains("rebuilding "), "{output:?}");
}

#[test]
fn registry_and_index_of_another_archive_are_not_believed() {
    let theirs = desk_with("theirs");
    for folders in [&["registry"][..], &["index"], &["registry", "index"]] {
        let ours = desk_with("ours");
        for folder in folders {
            let [from, to] = [&theirs, &ours].map(|desk| desk.path("archive").join(folder));
            replace_folder(&from, &to);
        }
        foreign_is_rebuilt(&ours, "ours", "theirs");
    }
}

#[test]
fn registry_and_index_of_a_copy_that_went_on_by_itself_are_not_believed() {
    let (copy, ours) = (Desk::new(), desk_with("first"));
    replace_folder(&ours.path("archive"), &copy.path("archive"));
    for (desk, work) in [(&copy, "theirs"), (&ours, "ours")] {
        desk.file(work, work);
        expect(0, &mut desk.timemark(["register", work, "--title", work]));
    }
    for folder in ["registry", "index"] {
        let [from, to] = [&copy, &ours].map(|desk| desk.path("archive").join(folder));
        replace_folder(&from, &to);
    }
    foreign_is_rebuilt(&ours, "ours", "theirs");
}

#[test]
fn registrations_that_race_for_a_missing_archive_make_one() {
    for _ in 0..5 {
        let desk = Desk::new();
        let children: Vec<_> = (0..4)
            .map(|i| {
                let work = format!("{i}.txt");
                desk.file(&work, &work);
                let mut register = desk.timemark(["register", &work]);
                register.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
            })
            .collect();
        let mut registered = 0;
        for child in children {
            let output = child.wait_with_output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            match output.status.code() {
                Some(0) => registered += 1,
                Some(2) => assert!(said.contains("another process is using"), "{said}"),
                other => panic!("{other:?}: {said}"),
            }
        }
        let names = fs::read_dir(desk.path("")).unwrap().map(|entry| entry.unwrap().file_name());
        let folders: Vec<_> = names.filter(|name| desk.path("").join(name).is_dir()).collect();
        assert_eq!(folders, ["archive"]);
        let checkpoint = expect(0, &mut desk.timemark(["log", "checkpoint"]));
        assert_eq!(checkpoint.lines().nth(1), Some(&*registered.to_string()));
        assert!(registered > 0);
    }
}

#[test]
fn a_failed_init_leaves_nothing() {
    let desk = Desk::new();
    desk.file("keys/log.key", "no key");
    expect(2, &mut desk.timemark(["init", "--keys", "keys"]));
    assert_eq!(fs::read_dir(desk.path("")).unwrap().count(), 1);
}

#[test]
fn a_variable_that_is_set_to_nothing_names_no_archive() {
    let desk = Desk::new();
    desk.file("a.txt", "a work");
    let empty = |arguments: &[&str]| {
        let mut command = crate::support::timemark();
        command.args(arguments).env("TIMEMARK_ARCHIVE", "").current_dir(desk.path(""));
        command
    };
    expect(0, &mut empty(&["register", "a.txt"]));
    assert!(desk.path("timemark-archive/log").is_dir());
    expect(2, &mut empty(&["verify", "a.txt", "--receipt", "a.txt.timemark"]));
    expect(2, &mut empty(&["scan", "a.txt", "--archive", ""]));
    let named = || empty(&["verify", "a.txt", "--receipt", "a.txt.timemark"]);
    expect(0, named().env("TIMEMARK_ARCHIVE", "timemark-archive"));
}

#[test]
fn what_lies_in_an_archive_is_not_registered() {
    let desk = desk_with("ours");
    for path in ["archive", "archive/keys", "archive/keys/log.key", "archive/log/../keys"] {
        let output = run(&mut desk.timemark(["register", path, "--receipts", "receipts"]));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.contains("1 archives skipped"), "{path}: {said}");
        assert!(output.stdout.is_empty(), "{output:?}");
    }
    let checkpoint = expect(0, &mut desk.timemark(["log", "checkpoint"]));
    assert_eq!(checkpoint.lines().nth(1), Some("1"));
    assert_eq!(fs::read_dir(desk.path("receipts")).unwrap().count(), 0);
}

/// Once a crash between the log's erasure and the deletion of what was derived left the claim findable for
/// ever. Here the process is killed at every system call that changes the disk.
#[test]
fn an_erasure_that_is_cut_off_is_finished_by_the_next_start() {
    if run(Command::new("sh").args(["-c", "command -v strace"])).stdout.is_empty() {
        return skip("strace is not installed");
    }
    let desk = Desk::new();
    let (mut erased_and_killed, mut done) = (0, false);
    for step in 1..400 {
        let entry = (step - 1).to_string();
        let (file, title) = (format!("in/{step}"), format!("secret{step}x"));
        desk.file(&file, &file);
        expect(0, &mut desk.timemark(["register", &file, "--receipts", "r", "--title", &title]));
        let erase = desk.timemark(["log", "erase-claim", &entry]);
        let calls = "rename,renameat,renameat2,unlink,unlinkat,fsync,syncfs";
        let mut strace = Command::new("strace");
        strace.args(["-f", "-o", "/dev/null", "-e", &format!("trace={calls}"), "-e"]);
        strace.arg(format!("inject={calls}:signal=KILL:when={step}"));
        strace.arg(erase.get_program()).args(erase.get_args());
        done = run(&mut strace).status.success();

        let found = run(&mut desk.timemark(["search", &title])).status.code();
        let claims = Command::new("grep").arg("-rq").arg(&title).arg(desk.path("archive")).status();
        match claims.unwrap().code() {
            Some(0) => assert_eq!(found, Some(0), "not erased: step {step}"),
            _ => {
                assert_eq!(found, Some(1), "erased: step {step}");
                erased_and_killed += u32::from(!done);
            }
        }
        if done {
            break;
        }
    }
    assert!(done && erased_and_killed > 0, "{erased_and_killed}");
    expect(0, &mut desk.timemark(["log", "audit"]));
}
