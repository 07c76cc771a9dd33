//! Whatever moment a process is killed at: what it handed out holds, and the archive goes on.
//!
//! A kill does not test the disk's flushes (the page cache survives it); `durability.rs` does.
//! `TIMEMARK_KILL_ROUNDS` sets the number of rounds; `scripts/kill-test.sh` runs 50.

use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::mpsc;
use std::time::Duration;

use serde_json::Value;
use timemark_verify::{Policy, Receipt, WorkDigests, verify};

use crate::support::{Desk, expect, expect_json, repository};

const WORKS_PER_ROUND: usize = 400;

#[test]
fn killed_at_any_moment_nothing_handed_out_is_lost() {
    let rounds = std::env::var("TIMEMARK_KILL_ROUNDS").map_or(6, |rounds| rounds.parse().unwrap());
    let desk = Desk::new();
    expect(0, &mut desk.timemark(["init"]));
    let policy = expect(0, &mut desk.timemark(["log", "policy"]));
    let policy = Policy::parse(policy.as_bytes()).unwrap();
    let mut handed_out: Vec<(PathBuf, PathBuf)> = Vec::new();
    let mut cut_short = 0;
    for round in 0..rounds {
        let folder = format!("round-{round}");
        make_works(&desk, &folder, round);
        let new = register_until_killed(&desk, &folder, round);
        println!("round {round}: killed after {} receipts", new.len());
        cut_short += usize::from(new.len() < WORKS_PER_ROUND);
        handed_out.extend(new);

        expect(0, &mut desk.timemark(["log", "audit"]));
        for (work, receipt) in &handed_out {
            let receipt = Receipt::parse(&fs::read(receipt).unwrap()).unwrap();
            verify(&WorkDigests::of(&fs::read(work).unwrap()), &receipt, &policy).unwrap();
        }
        let mut scan = desk.timemark(["scan"]);
        for (work, _) in &handed_out {
            scan.arg(work);
        }
        if !handed_out.is_empty() {
            assert!(expect_json(0, &mut scan).iter().all(|suspect| suspect["status"] == "match"));
        }
        // The run goes on where it was cut off, and whatever had a number keeps it.
        let rest = expect_json(
            0,
            &mut desk.timemark(["register", &folder, "--receipts", &format!("{folder}-r")]),
        );
        assert_eq!(rest.len(), WORKS_PER_ROUND);
    }
    assert!(cut_short > 0, "every round came to its end before the kill");
    let size: usize = expect(0, &mut desk.timemark(["log", "checkpoint"]))
        .lines()
        .nth(1)
        .unwrap()
        .parse()
        .unwrap();
    assert_eq!(size, rounds * WORKS_PER_ROUND, "no work has two numbers");
}

/// Distinct works: texts, and every tenth a picture that differs from the others in its last bytes.
fn make_works(desk: &Desk, folder: &str, round: usize) {
    let picture = fs::read(repository("samples/works/raked-garden.bmp")).unwrap();
    for i in 0..WORKS_PER_ROUND {
        let tail = format!("round {round}, work {i}");
        let bytes =
            if i % 10 == 0 { [&picture, tail.as_bytes()].concat() } else { tail.repeat(30).into() };
        desk.file(&format!("{folder}/{i:04}"), bytes);
    }
}

/// Works and receipts that the program reported before it was killed.
fn register_until_killed(desk: &Desk, folder: &str, round: usize) -> Vec<(PathBuf, PathBuf)> {
    let receipts = format!("{folder}-r");
    let mut register = desk.timemark(["register", folder, "--receipts", &receipts, "--json"]);
    let mut child = register.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let random = RandomState::new().hash_one(round);
    // Every other round is cut short for sure: the pipe takes fewer lines than are left.
    let (kill, told) = mpsc::channel();
    let (time, count) = match round % 2 {
        0 => (Duration::from_micros(random % 450_000), WORKS_PER_ROUND),
        _ => (Duration::from_secs(60), random as usize % (WORKS_PER_ROUND / 4)),
    };
    let killer = std::thread::spawn(move || {
        // From before the archive is open until after the last receipt.
        let _ = told.recv_timeout(time);
        child.kill().unwrap(); // SIGKILL
        child.wait().unwrap();
    });
    let mut handed_out = Vec::new();
    for line in lines {
        // The last line may be cut off: it was not handed out.
        let Ok(object) = serde_json::from_str::<Value>(&line.unwrap()) else { break };
        assert!(object["status"] == "registered", "{object}");
        let path = |key: &str| desk.path(object[key].as_str().unwrap());
        handed_out.push((path("file"), path("receipt")));
        if handed_out.len() == count + 1 {
            kill.send(()).unwrap();
            while !killer.is_finished() {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }
    killer.join().unwrap();
    handed_out
}
