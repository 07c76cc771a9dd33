//! What people and programs read, whatever the names are and wherever it goes.

use std::fs::{self, File};
use std::process::{Command, Output};

use serde_json::Value;

use crate::support::{Desk, expect, expect_json, repository, run, timemark};

/// A name that forges a line, one that drives a terminal, one that shows another extension, a harmless one.
const NAMES: [&str; 4] =
    ["a\nregistered  forged.jpg", "b\u{1B}[2J\u{9B}2J.txt", "c\u{202E}gpj.exe", "d 100%.txt"];

/// Standard output and error, of which no line is forged.
fn honest(lines: usize, code: i32, command: &mut Command) -> String {
    let output = run(command);
    let [stdout, stderr] = [output.stdout, output.stderr].map(|b| String::from_utf8(b).unwrap());
    let both = format!("{stdout}\n{stderr}");
    assert_eq!(output.status.code(), Some(code), "{both:?}");
    assert_eq!(stdout.lines().count(), lines, "{both:?}");
    assert!(!both.contains(['\u{1B}', '\u{9B}', '\u{202E}', '\r']), "{both:?}");
    assert!(!both.lines().any(|line| line.starts_with("registered  forged")), "{both:?}");
    both
}

#[test]
fn no_name_forges_a_line_or_drives_the_terminal() {
    let desk = Desk::new();
    for name in NAMES {
        desk.file(&format!("in/{name}"), name);
    }
    let picture = fs::read(repository("samples/works/harbour-at-dusk.jpg")).unwrap();
    desk.file(&format!("in/{}", NAMES[0]), &picture);
    let title = "t\nregistered  forged\u{1B}[1m";
    let register = ["register", "in", "--jobs", "1", "--title", title, "--receipts", "r"];
    let said = honest(4, 0, &mut desk.timemark(register));
    for spelled in ["a%0Aregistered", "b%1B[2J%C2%9B2J.txt", "c%E2%80%AEgpj.exe", "d 100%.txt"] {
        assert!(said.contains(spelled), "{spelled}: {said}");
    }
    let other_title = ["register", "in", "--title", "u", "--receipts", "r"];
    let said = honest(4, 0, &mut desk.timemark(other_title));
    assert!(said.contains("the earlier claim stands; not taken: title"), "{said}");

    // An earlier work that looks alike is named in a remark.
    let copy = repository("samples/suspects/mirrored-harbour.jpg");
    fs::copy(copy, desk.path("copy.jpg")).unwrap();
    honest(1, 0, &mut desk.timemark(["search", "--image", "copy.jpg"]));
    let said = honest(1, 0, &mut desk.timemark(["register", "copy.jpg"]));
    assert!(said.contains("looks like an earlier work: in/a%0Aregistered"), "{said}");

    honest(4, 0, &mut desk.timemark(["scan", "in", "--report", "re\u{1B}port\n"]));
    honest(1, 1, &mut desk.timemark(["scan", "no\nregistered  forged\u{1B}"]));
    honest(4, 0, &mut desk.timemark(["search", "forged"]));
    let (work, receipt) = (format!("in/{}", NAMES[1]), format!("r/{}.timemark", NAMES[1]));
    honest(6, 0, &mut desk.timemark(["verify", &work, "--receipt", &receipt]));
    let said = honest(13, 0, &mut desk.timemark(["receipt", "show", &receipt]));
    assert!(said.contains("t%0Aregistered  forged%1B[1m"), "{said}");
    honest(0, 2, &mut desk.timemark(["receipt", "show", NAMES[0]]));
    honest(0, 2, &mut desk.timemark(["verify", NAMES[1], "--receipt", NAMES[2]]));
    let mut other = crate::support::timemark();
    honest(2, 0, other.arg("init").arg("--archive").arg(desk.path("x\u{1B}\nregistered  forged")));

    // Programs read names as they are.
    let objects = expect_json(0, &mut desk.timemark(["scan", "in"]));
    for name in NAMES {
        assert!(objects.iter().any(|object| object["suspect"] == format!("in/{name}")), "{name:?}");
    }
}

/// An archive with one work, and what can be asked of it.
fn questions(desk: &Desk) -> Vec<Vec<&'static str>> {
    desk.file("a.txt", "a work");
    expect(0, &mut desk.timemark(["register", "a.txt", "--title", "title"]));
    desk.file("b.txt", "b work");
    [
        "log vkey",
        "log checkpoint",
        "log tiles-dir",
        "log audit",
        "search title",
        "search --image a.txt",
        "verify a.txt --receipt a.txt.timemark",
        "verify a.txt --receipt a.txt.timemark --json",
        "receipt show a.txt.timemark",
        "receipt leaf a.txt.timemark",
        "receipt checkpoint a.txt.timemark",
        "scan a.txt",
        "register b.txt",
        "register b.txt --json",
    ]
    .map(|question| question.split(' ').collect())
    .into()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn what_cannot_be_printed_is_not_done() {
    let desk = Desk::new();
    for question in questions(&desk) {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let output = run(desk.timemark(&question).stdout(full));
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{question:?}: {said}");
        assert!(said.contains("timemark: standard output: No space left"), "{question:?}: {said}");
        if question[0] == "register" {
            assert!(said.contains("1 files:"), "the tally is told all the same: {said}");
        }
    }
}

#[test]
fn a_reader_who_goes_away_hears_no_complaint() {
    let desk = Desk::new();
    for question in questions(&desk) {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = run(desk.timemark(&question).stdout(writer));
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{question:?}: {said}");
        assert!(!said.contains("timemark:") && !said.contains("panicked"), "{question:?}: {said}");
    }
}

#[test]
fn remarks_that_nobody_reads_change_nothing() {
    let desk = Desk::new();
    desk.file("a.txt", "a work");
    for arguments in [["register", "a.txt"], ["scan", "a.txt"]] {
        let full = File::options().write(true).open("/dev/full").unwrap();
        assert!(run(desk.timemark(arguments).stderr(full)).status.success(), "{arguments:?}");
    }
}

fn is_summary(line: Option<&str>) -> bool {
    line.is_some_and(|line| line.contains(" suspects, ") && line.ends_with("suspects per second"))
}

#[test]
fn a_scan_stops_when_nobody_takes_its_results_and_ends_with_the_summary() {
    let desk = Desk::new();
    expect(0, &mut desk.timemark(["init"]));
    for i in 0..500 {
        desk.file(&format!("in/{i}"), [i as u8; 100_000]);
    }
    let full = File::options().write(true).open("/dev/full").unwrap();
    let output = run(desk.timemark(["scan", "in"]).stdout(full));
    let said = stderr(&output);
    assert!(output.status.code() == Some(2) && is_summary(said.lines().last()), "{said}");
    let last = said.lines().last().unwrap();
    let suspects: u32 = last.split(' ').next().unwrap().parse().unwrap();
    assert!((1..400).contains(&suspects), "{said}");
}

#[test]
fn a_report_that_cannot_be_written_is_an_error_before_the_summary() {
    let desk = Desk::new();
    desk.file("a.txt", "a work");
    expect(0, &mut desk.timemark(["register", "a.txt"]));
    // Known before the scan: nothing is compared.
    let output = run(&mut desk.timemark(["scan", "a.txt", "--report", "a.txt/report"]));
    let said = stderr(&output);
    assert!(output.status.code() == Some(2) && output.stdout.is_empty(), "{said}");
    assert!(said.starts_with("timemark: cannot make a.txt/report"), "{said}");
    // Known after it only.
    fs::create_dir_all(desk.path("report/index.html")).unwrap();
    let output = run(&mut desk.timemark(["scan", "a.txt", "--report", "report"]));
    let said = stderr(&output);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!((output.status.code(), lines.len()), (Some(2), 2), "{said}");
    assert!(lines[0].starts_with("timemark: the report in report failed"), "{said}");
    assert!(is_summary(lines.last().copied()), "{said}");
}

#[test]
fn a_scan_is_fast_or_full() {
    let desk = Desk::new();
    desk.file("a.txt", "a work");
    expect(0, &mut desk.timemark(["register", "a.txt"]));
    let default = expect_json(0, &mut desk.timemark(["scan", "a.txt"]));
    for depth in ["fast", "full"] {
        let found = expect_json(0, &mut desk.timemark(["scan", "a.txt", "--depth", depth]));
        assert_eq!(found, default);
    }
    expect(2, &mut desk.timemark(["scan", "a.txt", "--depth", "deep"]));
    assert_eq!(default[0].get("error"), Some(&Value::Null), "absent is null: {}", default[0]);
}

#[test]
fn every_field_of_the_contract_is_printed() {
    let desk = Desk::new();
    desk.file("a.txt", "a work");
    let objects = expect_json(1, &mut desk.timemark(["register", "a.txt", "absent"]));
    for field in ["file", "status", "work", "sha256", "cid", "index", "receipt", "similar", "error"]
    {
        assert!(objects.iter().all(|object| object.get(field).is_some()), "{field}: {objects:?}");
    }
    let absent = objects.iter().find(|object| object["file"] == "absent").unwrap();
    assert_eq!((&absent["work"], &absent["index"]), (&Value::Null, &Value::Null));
    let mut verify = desk.timemark(["verify", "a.txt", "--receipt", "a.txt.timemark"]);
    let verdict = expect_json(0, &mut verify).remove(0);
    assert_eq!(verdict["timestamps"], Value::Array(vec![]), "{verdict}");
}

#[test]
fn a_shell_completes_verbs_and_options_and_takes_the_script() {
    let desk = Desk::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = expect(0, timemark().args(["completions", shell]));
        for word in ["register", "completions", "scan-root", "otlp", "rotate-keys"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
        let file = desk.file(&format!("timemark.{shell}"), script);
        if shell == "bash" {
            expect(0, Command::new("bash").arg("-n").arg(&file));
            let ask = "source \"$1\"; COMP_WORDS=(timemark comp); COMP_CWORD=1; _timemark timemark comp timemark; \
                       echo \"${COMPREPLY[*]}\"";
            let said = expect(0, Command::new("bash").args(["-c", ask, "-"]).arg(&file));
            assert_eq!(said.trim(), "completions");
        }
    }
    expect(2, timemark().args(["completions", "tcsh"]));
}
