//! The service killed under load, ten times: whatever it answered holds, and it comes up again.
//!
//! `TIMEMARK_KILL_ROUNDS` sets another number of rounds. `crash.rs` does the same to the command line.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use timemark_verify::{Policy, Receipt, WorkDigests, verify};

use crate::service::{Answer, FORM, form, get, request, sample};
use crate::support::{Desk, Server, expect};

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
