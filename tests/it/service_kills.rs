//! The service killed under load, ten times: whatever it answered holds, and it comes up again.
//!
//! A scan that ends it each time is given up. `TIMEMARK_KILL_ROUNDS` sets another number of rounds. `crash.rs` does the same to the command line.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use timemark_verify::{Policy, Receipt, WorkDigests, verify};

use crate::service::{Answer, FORM, form, get, request, sample};
use crate::service_scans::{scan, wait_for};
use crate::support::{Desk, Server, expect, run, skip};

/// Clients that register at a time.
const CLIENTS: usize = 16;
/// The most answers after which it is killed.
const ANSWERS_MAX: usize = 200;

struct Registered {
    work: Vec<u8>,
    index: u64,
}

#[test]
fn killed_under_load_the_service_loses_nothing_that_it_answered() {
    let rounds = std::env::var("TIMEMARK_KILL_ROUNDS").map_or(10, |rounds| rounds.parse().unwrap());
    let desk = Desk::new();
    expect(0, &mut desk.timemark(["init"]));
    let policy = expect(0, &mut desk.timemark(["log", "policy"]));
    let policy = Policy::parse(policy.as_bytes()).unwrap();
    let mut serve = desk.timemark(["serve", "--listen", "127.0.0.1:0"]);
    let mut server = Server::start(&mut serve);
    let (mut answered, mut cut_short) = (Vec::new(), 0);
    for round in 0..rounds {
        let (new, unanswered) = register_until_killed(server, round);
        cut_short += unanswered;
        let started = Instant::now();
        server = Server::start(&mut serve);
        let restart = started.elapsed();
        println!(
            "round {round}: {} answered, {unanswered} not; up again after {} ms",
            new.len(),
            restart.as_millis()
        );
        for registered in &new {
            check(&server.url, registered, &policy);
        }
        answered.extend(new);
    }
    assert!(cut_short > 0, "no request was under way at any kill");
    for registered in &answered {
        check(&server.url, registered, &policy);
    }
    let indices: HashSet<u64> = answered.iter().map(|registered| registered.index).collect();
    assert_eq!(indices.len(), answered.len(), "every work has a number of its own");
    assert_eq!(desk.path("archive/uploads").read_dir().unwrap().count(), 0);
    assert!(server.stop().success());
    expect(0, &mut desk.timemark(["log", "audit"]));
}

/// What was answered before the kill, and how many requests never were.
fn register_until_killed(server: Server, round: usize) -> (Vec<Registered>, usize) {
    let goal = 1 + RandomState::new().hash_one(round) as usize % ANSWERS_MAX;
    let picture = sample("works/raked-garden.bmp");
    let (answered, next) = (Mutex::new(Vec::new()), AtomicUsize::new(0));
    let unanswered = AtomicUsize::new(0);
    let url = server.url.clone();
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let tail = format!("round {round}, work {number}");
                    let work = match number % 10 {
                        0 => [&picture, tail.as_bytes()].concat(),
                        _ => tail.into_bytes(),
                    };
                    let Some(answer) = try_register(&url, &work) else {
                        unanswered.fetch_add(1, Ordering::Relaxed);
                        return; // the server is gone
                    };
                    // What was answered and did not come whole is registered all the same.
                    let told: Option<Value> = serde_json::from_slice(&answer.body).ok();
                    if let Some(index) = told.and_then(|told| told["index"].as_u64()) {
                        assert_eq!(answer.status, 201);
                        answered.lock().unwrap().push(Registered { work, index });
                    }
                }
            });
        }
        while answered.lock().unwrap().len() < goal {
            thread::sleep(Duration::from_millis(1));
        }
        drop(server); // SIGKILL
    });
    (answered.into_inner().unwrap(), unanswered.into_inner())
}

/// The answer to a registration, if there is one.
fn try_register(url: &str, work: &[u8]) -> Option<Answer> {
    let host = url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(host).ok()?;
    let body = form(&[("file", "work", work)], &[]);
    stream.write_all(&request(host, "POST", "/v1/works", &[FORM], &body)).ok()?;
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    Answer::of(&bytes)
}

/// The receipt of what was answered verifies.
fn check(url: &str, registered: &Registered, policy: &Policy) {
    let receipt = get(url, &format!("/v1/receipts/{}", registered.index));
    assert_eq!(receipt.status, 200, "entry {} is lost", registered.index);
    let receipt = Receipt::parse(&receipt.body).unwrap();
    verify(&WorkDigests::of(&registered.work), &receipt, policy).unwrap();
}

/// A suspect that ends the process once ended it at every start.
#[test]
fn a_suspect_that_ends_the_service_each_time_is_named_and_left_alone() {
    if run(Command::new("sh").args(["-c", "command -v strace"])).stdout.is_empty() {
        return skip("strace is not installed");
    }
    let desk = Desk::new();
    expect(0, &mut desk.timemark(["init"]));
    let picture = sample("suspects/mirrored-harbour.jpg");
    for number in 0..40 {
        desk.file(&format!("in/{number:02}.jpg"), [&picture[..], &[number]].concat());
    }
    let bad = desk.file("in/25-bad.jpg", [&picture[..], b"bad"].concat()).canonicalize().unwrap();
    let serve = desk.timemark(["serve", "--listen", "127.0.0.1:0", "--scan-root", "in"]);
    // Killed where it reads on in this file, whose beginning was looked at before.
    let mut killed = Command::new("strace");
    killed.args(["-D", "-f", "-qq", "-o", "/dev/null", "-P"]).arg(&bad);
    killed.args(["-e", "trace=read", "-e", "inject=read:signal=KILL:when=2"]);
    killed.arg(serve.get_program()).args(serve.get_args()).current_dir(desk.path(""));
    let mut id = 0;
    for start in 0..9 {
        let server = Server::start(&mut killed);
        if start == 0 {
            let folder = desk.path("in").canonicalize().unwrap();
            id = scan(&server.url, &serde_json::json!({ "paths": [folder.to_str().unwrap()] }));
        }
        if server.ends_within(Duration::from_secs(20)) {
            continue;
        }
        let job = wait_for(&server.url, id, |job| job["state"] == "failed");
        let why = job["error"].as_str().unwrap();
        assert!(why.contains("25-bad.jpg") && why.contains("3 times"), "{why}");
        assert!(start >= 3, "it was given up after {start} starts");
        assert!(job["suspects"].as_u64() >= Some(25), "what came before it was told of: {job}");
        return;
    }
    panic!("it was taken up for ever");
}
