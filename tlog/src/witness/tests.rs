//! What a log and a monitor rely on, held against the text of c2sp.org/tlog-witness.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use proptest::prelude::*;
use timemark_verify::merkle::Hash;

use super::*;
use crate::tree::tests::Memory;
use crate::{LogKey, Reading, tree};

const ORIGIN: &str = "log.example";
const START: u64 = 1_800_000_000;

fn log_key(seed: u8) -> LogKey {
    LogKey::from_seeds(ORIGIN, [&[seed; 32], &[seed + 100; 32], &[seed + 100; 32]]).unwrap()
}

/// The log's checkpoint of this size, signed with both of its keys.
fn note(size: u64) -> Note {
    signed(size, Memory::grow(size).edge.root())
}

fn signed(size: u64, root: Hash) -> Note {
    let key = log_key(1);
    key.complete(key.sign(&Checkpoint { origin: ORIGIN.to_owned(), size, root }).unwrap()).unwrap()
}

fn request(old: u64, size: u64) -> AddCheckpoint {
    let proof = tree::consistency_proof(&Memory::grow(size), old, size).unwrap();
    AddCheckpoint { old, proof, note: note(size) }
}

struct Bench {
    dir: tempfile::TempDir,
    seconds: Arc<AtomicU64>,
}

impl Bench {
    fn new() -> Bench {
        let bench =
            Bench { dir: tempfile::tempdir().unwrap(), seconds: Arc::new(AtomicU64::new(START)) };
        Witness::create(&bench.path(), "witness.example").unwrap();
        for key in log_key(1).verifiers() {
            Witness::add_log(&bench.path(), key).unwrap();
        }
        bench
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("witness")
    }

    fn open(&self) -> Witness {
        self.open_at(&self.path()).unwrap()
    }

    fn open_at(&self, path: &Path) -> Result<Witness, LogError> {
        let seconds = self.seconds.clone();
        let now = move || Duration::from_secs(seconds.load(Ordering::Relaxed));
        Witness::open(path, Clock::reading(move || Reading { system: now(), monotonic: now() }))
    }

    fn evidence(&self) -> Vec<(String, String)> {
        let dir = self.path().join("evidence").join(hash_of(ORIGIN));
        let files = fs::read_dir(dir).into_iter().flatten().map(|entry| {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            (name, fs::read_to_string(entry.path()).unwrap())
        });
        files.collect()
    }
}

fn send(witness: &Witness, request: &AddCheckpoint) -> Answer {
    witness.add_checkpoint(request.to_string().as_bytes())
}

fn last_size(witness: &Witness) -> Option<u64> {
    let note = Note::parse(&witness.checkpoint(&hash_of(ORIGIN))?).unwrap();
    Some(Checkpoint::of_note(&note).unwrap().size)
}

/// Both cosignatures hold, state this time, and nothing else is in the answer.
fn check_cosigned(witness: &Witness, note: &Note, answer: &Answer, time: u64) {
    assert_eq!((answer.status, answer.content_type), (200, PLAIN), "{}", answer.body);
    let answered = Note::parse(&format!("{}\n{}", note.text(), answer.body)).unwrap();
    let checkpoint = Checkpoint::of_note(note).unwrap();
    assert_eq!(answered.signatures().len(), 2);
    for (key, signature) in witness.verifiers().zip(answered.signatures()) {
        assert_eq!((key.name(), key.key_id()), ("witness.example", signature.key_id));
        assert_eq!(key.check(&answered, &checkpoint, signature), Ok(Some(time)));
    }
}

#[test]
fn a_log_grows_and_is_cosigned_each_time() {
    let bench = Bench::new();
    let witness = bench.open();
    assert_eq!(last_size(&witness), None);
    for (old, size) in [(0, 0), (0, 5), (5, 5), (5, 256), (256, 700)] {
        bench.seconds.fetch_add(60, Ordering::Relaxed);
        let request = request(old, size);
        let answer = send(&witness, &request);
        check_cosigned(&witness, &request.note, &answer, bench.seconds.load(Ordering::Relaxed));
        assert_eq!(last_size(&witness), Some(size));
    }
    // The log's three signatures and the witness's two.
    let kept = Note::parse(&witness.checkpoint(&hash_of(ORIGIN)).unwrap()).unwrap();
    assert_eq!(kept.signatures()[..3], *note(700).signatures());
    assert_eq!(kept.signatures().len(), 5);
    assert_eq!(witness.checkpoint(&hash_of("other.example")), None);
    assert_eq!(witness.checkpoint("../witness.key"), None);
}

#[test]
fn every_status_of_the_specification() {
    let bench = Bench::new();
    let witness = bench.open();
    assert_eq!(send(&witness, &request(0, 300)).status, 200);
    let other_log = |origin: &str| {
        let key = LogKey::from_seeds(origin, [&[7; 32], &[8; 32], &[8; 32]]).unwrap();
        key.sign(&Checkpoint { origin: origin.to_owned(), size: 400, root: Hash([1; 32]) }).unwrap()
    };
    let with_note = |note: Note| AddCheckpoint { note, ..request(300, 400) };
    let with_signatures = |signatures: &[NoteSignature]| {
        with_note(Note::new(note(400).text().to_owned(), signatures.to_vec()).unwrap())
    };
    let genuine = note(400).signatures().to_vec();
    let mut half_false = genuine.clone();
    half_false[1].bytes[2000] ^= 1;
    let mut stranger = other_log("log.example").signatures().to_vec();
    stranger.extend(other_log("unknown.example").signatures().to_vec());
    let extended = format!("{}extension\n", note(400).text());
    let extended = Note::new(extended, genuine.clone()).unwrap();
    let mut bad_proof = request(300, 400);
    bad_proof.proof[1].0[7] ^= 1;
    let mut long_proof = request(300, 400);
    long_proof.proof.push(Hash([0; 32]));
    let mut same_with_proof = request(300, 300);
    same_with_proof.proof.push(Hash([0; 32]));

    for (what, request, status) in [
        ("extension lines", with_note(extended), 400),
        ("an unknown log", with_note(other_log("unknown.example")), 404),
        (
            "an unknown log and an old size too large",
            AddCheckpoint { old: 500, ..with_note(other_log("unknown.example")) },
            404,
        ),
        ("signatures of strangers only", with_signatures(&stranger), 403),
        ("one false signature of a trusted key", with_signatures(&half_false), 403),
        (
            "no trusted signature, and an old size too large",
            AddCheckpoint { old: 500, ..with_signatures(&stranger) },
            403,
        ),
        (
            "an old size above the checkpoint's",
            AddCheckpoint { old: 401, ..request(300, 400) },
            400,
        ),
        (
            "an old size above the checkpoint's, which is below the last",
            AddCheckpoint { old: 6, ..request(0, 5) },
            400,
        ),
        ("another old size", request(299, 400), 409),
        ("no old size, although there is one", request(0, 400), 409),
        ("an older checkpoint", request(5, 290), 409),
        ("an empty tree", request(0, 0), 409),
        ("a false proof", bad_proof, 422),
        ("a proof with a hash too many", long_proof, 422),
        ("no proof", AddCheckpoint { proof: vec![], ..request(300, 400) }, 422),
        ("the same checkpoint with a proof", same_with_proof, 422),
        (
            "another root for the same size",
            AddCheckpoint { note: signed(300, Hash([1; 32])), ..request(300, 300) },
            422,
        ),
        ("only the Ed25519 signature", with_signatures(&genuine[..1]), 200),
    ] {
        let answer = send(&witness, &request);
        assert_eq!(answer.status, status, "{what}: {}", answer.body);
        if status == 409 {
            assert_eq!(
                (answer.content_type, &*answer.body),
                ("text/x.tlog.size", "300\n"),
                "{what}"
            );
        } else {
            assert_eq!(answer.content_type, PLAIN, "{what}");
            assert!(answer.body.ends_with('\n'));
        }
        assert_eq!(last_size(&witness), Some(if status == 200 { 400 } else { 300 }), "{what}");
    }
    assert_eq!(witness.add_checkpoint(b"old 0\n\n").status, 400);
    assert_eq!(witness.add_checkpoint(b"\xFF").status, 400);
}

#[test]
fn a_first_checkpoint_needs_no_proof_and_may_have_none() {
    let bench = Bench::new();
    let witness = bench.open();
    let proof = vec![Hash([0; 32])];
    assert_eq!(
        send(&witness, &AddCheckpoint { proof: proof.clone(), ..request(0, 5) }).status,
        422
    );
    assert_eq!(send(&witness, &AddCheckpoint { proof, ..request(0, 0) }).status, 422);
    let false_root = signed(0, Hash([1; 32]));
    assert_eq!(send(&witness, &AddCheckpoint { note: false_root, ..request(0, 0) }).status, 422);
    let answer = send(&witness, &request(3, 5));
    assert_eq!((answer.status, &*answer.body), (409, "0\n"));
    assert_eq!(last_size(&witness), None);
    assert_eq!(send(&witness, &request(0, 5)).status, 200);
}

#[test]
fn old_and_new_keys_of_a_log_count_within_their_sizes() {
    let bench = Bench::new();
    let witness = bench.open();
    let new_key = log_key(2);
    let by_new = |size| {
        let root = Memory::grow(size).edge.root();
        let note = new_key.sign(&Checkpoint { origin: ORIGIN.to_owned(), size, root }).unwrap();
        AddCheckpoint { note, ..request(0, size) }
    };
    assert_eq!(send(&witness, &by_new(5)).status, 403);
    // The list is read again when it changes: no restart.
    Witness::add_log(&bench.path(), new_key.verifier()).unwrap();
    assert_eq!(send(&witness, &by_new(5)).status, 200);
    let mut list = fs::read_to_string(bench.path().join("logs")).unwrap();
    list += &format!("log-sizes {} 6 *\n", new_key.verifier().short());
    fs::write(bench.path().join("logs"), &list).unwrap();
    assert_eq!(send(&witness, &AddCheckpoint { old: 5, ..by_new(5) }).status, 403);
    // A list that makes no sense trusts nobody, and the last good one is no substitute.
    for bad in [&format!("{list}trust me\n"), &format!("{list}quorum none\n")] {
        fs::write(bench.path().join("logs"), bad).unwrap();
        assert_eq!(send(&witness, &request(5, 5)).status, 503);
        assert!(bench.open_at(&bench.path()).is_err());
    }
    fs::write(bench.path().join("logs"), &list).unwrap();
    assert_eq!(send(&witness, &request(5, 5)).status, 200);
    assert!(
        Witness::add_log(&bench.path(), new_key.verifier()).is_err(),
        "it stands there already"
    );
    // The signature by the new key stays with the same checkpoint.
    let kept = Note::parse(&witness.checkpoint(&hash_of(ORIGIN)).unwrap()).unwrap();
    assert_eq!(kept.signatures().len(), 6);
    assert!(kept.signatures_by(new_key.verifier()).next().is_some());
}

#[test]
fn a_log_may_have_only_so_many_keys_and_a_name_that_can_be_cosigned() {
    let bench = Bench::new();
    let logs = bench.path().join("logs");
    for seed in 2..=14 {
        logs::add(&logs, log_key(seed).verifier()).unwrap();
    }
    assert!(logs::add(&logs, log_key(15).verifier()).is_err());
    let long = SigningKey::from_seed(&"l".repeat(256), KeyKind::Ed25519, &[3; 32]).unwrap();
    assert!(logs::add(&logs, long.verifier()).is_err());
    let witness = SigningKey::from_seed("w.example", KeyKind::CosignatureV1, &[3; 32]).unwrap();
    assert!(logs::add(&logs, witness.verifier()).is_err());
}

#[test]
fn time_never_goes_back() {
    let bench = Bench::new();
    let witness = bench.open();
    assert_eq!(send(&witness, &request(0, 5)).status, 200);
    let first = witness.checkpoint(&hash_of(ORIGIN));
    assert_eq!(send(&witness, &request(5, 5)).status, 200);
    assert_eq!(witness.checkpoint(&hash_of(ORIGIN)), first, "the same second, the same bytes");
    bench.seconds.fetch_add(1, Ordering::Relaxed);
    check_cosigned(&witness, &note(5), &send(&witness, &request(5, 5)), START + 1);
    // The clock is set back: by less than a step it notices, and after a restart.
    for (reopen, back) in [(false, 1), (true, 3600)] {
        let witness = if reopen { None } else { Some(&witness) };
        bench.seconds.fetch_sub(back, Ordering::Relaxed);
        let other = bench.dir.path().join("copy");
        copy(&bench.path(), &other);
        let reopened = bench.open_at(&other).unwrap();
        let answer = send(witness.unwrap_or(&reopened), &request(5, 9));
        assert_eq!(answer.status, 503, "{}", answer.body);
        bench.seconds.fetch_add(back, Ordering::Relaxed);
    }
    assert_eq!(send(&witness, &request(5, 9)).status, 200);
}

#[test]
fn a_clock_that_was_set_is_refused_until_a_restart() {
    let bench = Bench::new();
    let seconds = bench.seconds.clone();
    let clock = Clock::reading(move || Reading {
        system: Duration::from_secs(seconds.load(Ordering::Relaxed)),
        monotonic: Duration::ZERO,
    });
    let witness = Witness::open(&bench.path(), clock).unwrap();
    assert_eq!(send(&witness, &request(0, 5)).status, 200);
    bench.seconds.fetch_add(3600, Ordering::Relaxed);
    assert_eq!(send(&witness, &request(5, 9)).status, 503);
    assert_eq!(send(&witness, &request(0, 9)).status, 409, "what needs no time is answered");
    drop(witness);
    assert_eq!(send(&bench.open(), &request(5, 9)).status, 200);
}

/// The race of the specification: a request for N and one for N+K are checked at once.
#[test]
fn the_size_never_goes_back_however_many_ask_at_once() {
    let bench = Bench::new();
    let witness = bench.open();
    assert_eq!(send(&witness, &request(0, 10)).status, 200);
    for round in 0..20 {
        let old = last_size(&witness).unwrap();
        let sizes = [old + 1, old + 2 + round % 3, old + 7];
        let statuses = thread::scope(|scope| {
            let asked = sizes.map(|size| {
                let witness = &witness;
                scope.spawn(move || send(witness, &request(old, size)).status)
            });
            asked.map(|thread| thread.join().unwrap())
        });
        let won: Vec<u64> = sizes
            .iter()
            .zip(statuses)
            .filter(|(_, status)| *status == 200)
            .map(|(s, _)| *s)
            .collect();
        assert_eq!((won.len(), last_size(&witness)), (1, won.first().copied()), "{statuses:?}");
        assert!(statuses.iter().all(|status| [200, 409].contains(status)));
    }
    // Everybody pushes on to a size of their own while somebody watches.
    let done = AtomicU64::new(0);
    thread::scope(|scope| {
        for target in 200..204 {
            let (witness, done) = (&witness, &done);
            scope.spawn(move || {
                let mut old = 0;
                loop {
                    let answer = send(witness, &request(old, target));
                    match (answer.status, answer.body.trim().parse()) {
                        (200, _) => break,
                        (409, Ok(size)) if size > target => break,
                        (409, Ok(size)) => old = size,
                        _ => panic!("{answer:?}"),
                    }
                }
                done.fetch_add(1, Ordering::SeqCst);
            });
        }
        let mut seen = 0;
        while done.load(Ordering::SeqCst) < 4 {
            let size = last_size(&witness).unwrap();
            assert!(size >= seen);
            seen = size;
        }
    });
    assert_eq!(last_size(&witness), Some(203));
}

#[test]
fn one_log_does_not_wait_for_another() {
    let bench = Bench::new();
    let other = LogKey::from_seeds("other.example", [&[7; 32], &[8; 32], &[8; 32]]).unwrap();
    Witness::add_log(&bench.path(), other.verifier()).unwrap();
    let witness = bench.open();
    assert_eq!(send(&witness, &request(0, 5)).status, 200);
    let slow = lock(&witness.origins).get(&hash_of(ORIGIN)).unwrap().clone();
    let _held = lock(&slow); // as if its disk never answered
    let empty = Checkpoint { origin: "other.example".to_owned(), size: 0, root: empty_root() };
    let note = other.sign(&empty).unwrap();
    assert_eq!(send(&witness, &AddCheckpoint { note, ..request(0, 0) }).status, 200);
    assert!(witness.checkpoint(&hash_of("other.example")).is_some());
}

#[test]
fn what_was_answered_survives_a_kill() {
    let bench = Bench::new();
    let witness = bench.open();
    assert_eq!(send(&witness, &request(0, 5)).status, 200);
    // The clock is read after all checks and before anything is written: a copy taken then is what a kill
    // before the write leaves. One taken after the answer is what a kill before the answer leaves.
    drop(witness);
    let (from, before) = (bench.path(), bench.dir.path().join("before"));
    let clock = {
        let before = before.clone();
        Clock::reading(move || {
            copy(&from, &before);
            Reading { system: Duration::from_secs(START), monotonic: Duration::ZERO }
        })
    };
    let witness = Witness::open(&bench.path(), clock).unwrap();
    assert_eq!(send(&witness, &request(5, 9)).status, 200);
    let after = bench.dir.path().join("after");
    copy(&bench.path(), &after);
    // A kill in the middle of a write leaves a part of a file aside.
    fs::write(after.join("checkpoints").join(hash_of(ORIGIN) + ".new"), "log.exa").unwrap();

    for (dir, size) in [(before, 5), (after, 9)] {
        let reopened = bench.open_at(&dir).unwrap();
        assert_eq!(last_size(&reopened), Some(size));
        let answer = send(&reopened, &request(0, 12));
        assert_eq!((answer.status, answer.body), (409, format!("{size}\n")));
        let fork = AddCheckpoint { note: signed(size, Hash([1; 32])), ..request(size, size) };
        assert_eq!(send(&reopened, &fork).status, 422);
        assert_eq!(send(&reopened, &request(size, 12)).status, 200);
    }
}

#[test]
fn what_cannot_be_persisted_is_not_answered() {
    let bench = Bench::new();
    let witness = bench.open();
    assert_eq!(send(&witness, &request(0, 5)).status, 200);
    let checkpoints = bench.path().join("checkpoints");
    let aside = bench.path().join("elsewhere");
    fs::rename(&checkpoints, &aside).unwrap();
    let answer = send(&witness, &request(5, 9));
    assert_eq!((answer.status, answer.body.contains('—')), (500, false), "{}", answer.body);
    assert_eq!(last_size(&witness), Some(5));
    fs::rename(&aside, &checkpoints).unwrap();
    assert_eq!(send(&witness, &request(5, 9)).status, 200);
}

#[test]
fn two_roots_for_one_size_are_kept_as_proof_whatever_the_request_says() {
    let bench = Bench::new();
    let witness = bench.open();
    assert_eq!(send(&witness, &request(0, 5)).status, 200);
    let fork =
        |root: u8, old| AddCheckpoint { note: signed(5, Hash([root; 32])), ..request(old, 5) };
    assert_eq!(send(&witness, &fork(1, 5)).status, 422);
    assert_eq!(send(&witness, &fork(2, 0)).status, 409);
    assert_eq!(send(&witness, &fork(1, 5)).status, 422);
    let evidence = bench.evidence();
    assert_eq!(evidence.len(), 2, "each pair once");
    for (name, text) in evidence {
        assert!(name.starts_with("split-view-"));
        assert!(
            text.contains("proof of a split view") && text.contains(&format!("log {ORIGIN}\n"))
        );
        // Both are there whole: anybody can check the signatures.
        let (_, pair) =
            text.split_once("== the checkpoint that this witness had cosigned\n").unwrap();
        let (cosigned, refused) = pair.split_once("\n== the request that it refused\n").unwrap();
        let (cosigned, refused) = (
            Note::parse(cosigned).unwrap(),
            AddCheckpoint::parse(refused.as_bytes()).unwrap().note,
        );
        let checkpoints = [&cosigned, &refused].map(|note| Checkpoint::of_note(note).unwrap());
        for (note, checkpoint) in [&cosigned, &refused].into_iter().zip(&checkpoints) {
            assert!(log_key(1).signed(checkpoint, note));
        }
        assert!(
            checkpoints[0].size == checkpoints[1].size
                && checkpoints[0].root != checkpoints[1].root
        );
    }
    for root in 3..60 {
        assert_eq!(send(&witness, &fork(root, 5)).status, 422);
    }
    assert_eq!(bench.evidence().len(), evidence::PAIRS_OF_A_KIND_MAX);
}

#[test]
fn a_checkpoint_without_a_valid_proof_is_kept_as_unproven() {
    let bench = Bench::new();
    let witness = bench.open();
    assert_eq!(send(&witness, &request(0, 5)).status, 200);
    let fork = AddCheckpoint { note: signed(9, Hash([1; 32])), ..request(5, 9) };
    assert_eq!(send(&witness, &fork).status, 422);
    let evidence = bench.evidence();
    let [(name, text)] = &evidence[..] else { panic!("{evidence:?}") };
    assert!(name.starts_with("unproven-") && text.contains("no proof of anything yet"));
    // Nothing is kept of what no log signed, nor of what says nothing about the log.
    let stranger = log_key(9);
    let root = Hash([2; 32]);
    let forged = stranger.sign(&Checkpoint { origin: ORIGIN.to_owned(), size: 5, root }).unwrap();
    assert_eq!(send(&witness, &AddCheckpoint { note: forged, ..request(5, 5) }).status, 403);
    assert_eq!(send(&witness, &request(3, 9)).status, 409);
    assert_eq!(bench.evidence(), evidence);
}

#[test]
fn a_witness_is_made_once_and_opened_once_and_reads_only_its_own() {
    let bench = Bench::new();
    assert!(matches!(Witness::create(&bench.path(), "other.example"), Err(LogError::Io { .. })));
    let witness = bench.open();
    assert!(matches!(bench.open_at(&bench.path()), Err(LogError::Busy { .. })));
    assert_eq!(send(&witness, &request(0, 5)).status, 200);
    let keys: Vec<_> = witness.verifiers().cloned().collect();
    assert_eq!(keys.iter().map(VerifierKey::kind).collect::<Vec<_>>(), COSIGNING);
    drop(witness);
    let path = bench.path().join("checkpoints").join(hash_of(ORIGIN));
    let good = fs::read(&path).unwrap();
    let refused = || matches!(bench.open_at(&bench.path()), Err(LogError::Damaged { .. }));
    // The log's signatures were checked when they came; the rest is under the witness's own.
    let own_lines = String::from_utf8(good.clone()).unwrap().find("— witness.example").unwrap();
    for at in (0..note(5).text().len()).chain((own_lines..good.len()).step_by(13)) {
        let mut bad = good.clone();
        bad[at] ^= 1;
        fs::write(&path, &bad).unwrap();
        assert!(refused(), "byte {at}");
    }
    fs::write(&path, &good).unwrap();
    fs::copy(&path, path.with_file_name(hash_of("other.example"))).unwrap();
    assert!(refused(), "another log's checkpoint");
    fs::remove_file(path.with_file_name(hash_of("other.example"))).unwrap();
    fs::write(&path, note(5).to_string()).unwrap();
    assert!(refused(), "never cosigned");
    fs::write(&path, good).unwrap();
    assert_eq!(bench.open().verifiers().cloned().collect::<Vec<_>>(), keys);
}

fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_mutated_request_is_answered_and_changes_nothing(at in any::<usize>(), byte in any::<u8>(), how in 0..3) {
        thread_local! {
            static WITNESS: (Bench, Witness, Vec<u8>) = {
                let bench = Bench::new();
                let witness = bench.open();
                assert_eq!(send(&witness, &request(0, 7)).status, 200);
                (bench, witness, request(7, 20).to_string().into_bytes())
            };
        }
        WITNESS.with(|(_, witness, genuine)| {
            let mut body = genuine.clone();
            let at = at % body.len();
            match how {
                0 => body[at] = byte,
                1 => body.truncate(at),
                _ => body.insert(at, byte),
            }
            // A signature may turn into a stranger's: then the other one counts.
            let answer = witness.add_checkpoint(&body);
            prop_assert!([200, 400, 403, 404, 409, 422].contains(&answer.status));
            prop_assert!([Some(7), Some(20)].contains(&last_size(witness)));
            if answer.status == 200 {
                let (sent, good) = (AddCheckpoint::parse(&body).unwrap().note, note(20));
                prop_assert_eq!(sent.text(), good.text());
            }
            Ok(())
        })?;
    }
}
