//! Nothing is acknowledged before it is flushed: the order of system calls, as strace sees them.
//!
//! For each work: its file gets its name, the works' file system is flushed, the journal takes the claim,
//! the leaf and the checkpoint, the journal is flushed, and only then does the receipt go out.

use std::process::Command;

use serde_json::Value;

use crate::support::{Desk, expect, run, skip};

/// Completed system calls, in the order of their completion.
struct Trace {
    calls: Vec<String>,
}

impl Trace {
    /// Runs a registration of these files under strace.
    fn of(desk: &Desk, files: &[String]) -> (Trace, Vec<Value>) {
        let register = desk.timemark(["register", "--json"]);
        let log = desk.path("trace");
        let mut strace = Command::new("strace");
        strace.args(["-f", "-y", "-s", "1000000", "-e"]);
        strace
            .args(["trace=write,rename,renameat,renameat2,fsync,fdatasync,syncfs", "-o"])
            .arg(&log);
        strace.arg(register.get_program()).args(register.get_args()).args(files);
        let stdout = expect(0, strace.current_dir(desk.path("")));
        let text = String::from_utf8_lossy(&std::fs::read(&log).unwrap()).into_owned();
        let objects = stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        (Trace { calls: completed(&text) }, objects)
    }

    /// The position of the first call from `from` on that contains all of these.
    fn first(&self, from: usize, parts: &[&str]) -> usize {
        let holds = |call: &String| parts.iter().all(|part| call.contains(part));
        let found = self.calls[from..].iter().position(holds);
        from + found.unwrap_or_else(|| panic!("no call with {parts:?} from call {from} on"))
    }
}

/// Joins `<unfinished ...>` with its `resumed` line, at the place of the latter.
fn completed(text: &str) -> Vec<String> {
    let mut begun = std::collections::HashMap::new();
    let mut calls = Vec::new();
    for line in text.lines() {
        let (thread, call) = line.split_once(' ').unwrap();
        if let Some(start) = call.strip_suffix(" <unfinished ...>") {
            begun.insert(thread, start.to_owned());
        } else if call.contains("resumed>") {
            let start: String = begun.remove(thread).unwrap_or_default();
            calls.push(start + call);
        } else {
            calls.push(call.to_owned());
        }
    }
    calls
}

fn flushed_before_acknowledged(appenders: usize) {
    if run(Command::new("sh").args(["-c", "command -v strace"])).stdout.is_empty() {
        return skip("strace is not installed");
    }
    let desk = Desk::new();
    expect(0, &mut desk.timemark(["init", "--origin", "strace.example"]));
    let files: Vec<String> = (0..appenders)
        .map(|i| desk.file(&format!("in/{i}"), format!("work {i}")).display().to_string())
        .collect();
    let (trace, objects) = Trace::of(&desk, &files);
    assert_eq!(objects.len(), appenders);
    for object in &objects {
        let (work, sha256) = (object["work"].as_str().unwrap(), object["sha256"].as_str().unwrap());
        let named = trace.first(0, &["rename", work, "= 0"]);
        let works_flushed = trace.first(named, &["syncfs", "/blobs", "= 0"]);
        let claim = format!("sha256 {sha256}");
        let journaled = trace.first(0, &["write", "/journal", &claim]);
        assert!(works_flushed < journaled, "{work}: {works_flushed} {journaled}");
        let journal_flushed = trace.first(journaled, &["fdatasync", "/journal", "= 0"]);
        // Neither the receipt nor the line about it is written earlier.
        let receipt = trace.first(0, &["write", ".timemark-", &claim, "timemark-receipt"]);
        let line = trace.first(0, &["write(1", sha256, "registered"]);
        assert!(
            journal_flushed < receipt && receipt < line,
            "{work}: {journal_flushed} {receipt} {line}"
        );
    }
    let flushes =
        trace.calls.iter().filter(|c| c.contains("fdatasync") && c.contains("/journal")).count();
    let receipts_flushed = trace.calls.iter().filter(|c| c.contains("syncfs") && c.contains("/in"));
    assert_eq!(receipts_flushed.count(), 1, "one flush a device for all receipts");
    println!("{appenders} works, {flushes} flushes of the journal");
    assert!(appenders < 64 || flushes < appenders / 2, "a flush is shared by a batch");
}

#[test]
fn one_appender_is_acknowledged_after_the_flush() {
    flushed_before_acknowledged(1);
}

#[test]
fn sixty_four_appenders_are_acknowledged_after_the_flush() {
    flushed_before_acknowledged(64);
}
