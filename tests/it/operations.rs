//! What an operator does over the years: new keys, backups, restores, checkpoints seen elsewhere.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::thread;

use timemark_tlog::{Clock, Log, LogKey, Witness, WitnessClient, tree};
use timemark_verify::{Checkpoint, Note, VerifierKey};

use crate::support::{Desk, expect, expect_json, run, timemark};

/// A witness on a socket of its own, for as long as the tests run.
pub struct Served {
    name: &'static str,
    url: String,
    keys: Vec<VerifierKey>,
    witness: Arc<Witness>,
}

fn serve_witness(desk: &Desk, name: &'static str, archive: &str) -> Served {
    let dir = desk.path(name);
    Witness::create(&dir, name).unwrap();
    for key in vkeys(desk, archive) {
        Witness::add_log(&dir, &key).unwrap();
    }
    let witness = Arc::new(Witness::open(&dir, Clock::system()).unwrap());
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let answering = witness.clone();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let _ = answer(stream.unwrap(), &answering);
        }
    });
    Served { name, url, keys: witness.verifiers().cloned().collect(), witness }
}

/// One request, one answer.
fn answer(stream: TcpStream, witness: &Witness) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut request, mut length) = (String::new(), 0);
    reader.read_line(&mut request)?;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        if line.trim().is_empty() {
            break;
        }
        if let Some(digits) = line.to_lowercase().strip_prefix("content-length:") {
            length = digits.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let (status, kind, body) = match request.split('/').nth(1).unwrap() {
        path if path.starts_with("add-checkpoint") => {
            let answer = witness.add_checkpoint(&body);
            (answer.status, answer.content_type, answer.body)
        }
        hash => match witness.checkpoint(hash) {
            Some(note) => (200, "text/plain", note),
            None => (404, "text/plain", String::new()),
        },
    };
    let head = format!(
        "HTTP/1.1 {status} x\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    (&stream).write_all((head + &body).as_bytes())
}

impl Served {
    fn policy_lines(&self) -> String {
        let name = self.name;
        let lines = ["", "-pq"].iter().zip(&self.keys);
        let lines =
            lines.map(|(suffix, key)| format!("witness {name}{suffix} {key} {}\n", self.url));
        lines.collect::<String>() + &format!("group {name}-any any {name} {name}-pq\n")
    }

    /// Has it cosign an archive's newest checkpoint.
    pub fn cosign(&self, archive: &Path) {
        let key = LogKey::read(&archive.join("keys/log.key")).unwrap();
        let log = Log::open(&archive.join("log"), key, Box::new(|| Ok(()))).unwrap();
        let note = log.checkpoint();
        let size = Checkpoint::of_note(&note).unwrap().size;
        let client = WitnessClient::new(self.name, self.keys.clone(), &self.url).unwrap();
        client.cosign(&note, &|old| tree::consistency_proof(&log, old, size)).unwrap();
    }
}

fn of(desk: &Desk, archive: &str, arguments: &[&str]) -> Command {
    let mut command = timemark();
    command.arg("--archive").arg(desk.path(archive)).args(arguments);
    command.current_dir(desk.path(""));
    command
}

fn vkeys(desk: &Desk, archive: &str) -> Vec<VerifierKey> {
    let lines = expect(0, &mut of(desk, archive, &["log", "vkey"]));
    lines.lines().map(|line| line.parse().unwrap()).collect()
}

fn register(desk: &Desk, archive: &str, work: &str) {
    desk.file(work, work);
    expect(0, &mut of(desk, archive, &["register", work, "--title", work]));
}

fn stderr(code: i32, command: &mut Command) -> String {
    let output = run(command);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{command:?} {said}");
    said
}

fn size_of(desk: &Desk, archive: &str) -> String {
    let checkpoint = expect(0, &mut of(desk, archive, &["log", "checkpoint"]));
    checkpoint.lines().nth(1).unwrap().to_owned()
}

fn signers(note: &str) -> Vec<String> {
    let note = Note::parse(note).unwrap();
    let hex = |id: [u8; 4]| id.map(|b| format!("{b:02x}")).concat();
    note.signatures().iter().map(|s| format!("{}+{}", s.name, hex(s.key_id))).collect()
}

#[test]
fn keys_are_replaced_twice_and_every_receipt_goes_on_to_verify() {
    let desk = Desk::new();
    let mut keys = Vec::new();
    for (round, work) in ["one", "two", "three"].into_iter().enumerate() {
        if round > 0 {
            let said = expect(0, &mut desk.timemark(["log", "rotate-keys"]));
            assert!(said.contains("witness"), "{said}");
            assert!(said.contains(&vkeys(&desk, "archive")[0].to_string()), "{said}");
        }
        register(&desk, "archive", work);
        keys.push(vkeys(&desk, "archive"));
        // The newest checkpoint, and so what witnesses see, is signed by the newest keys.
        let newest = signers(&expect(0, &mut desk.timemark(["log", "checkpoint"])));
        assert_eq!(newest, keys[round].iter().map(VerifierKey::short).collect::<Vec<_>>());
    }
    let policy = expect(0, &mut desk.timemark(["log", "policy"]));
    let policy = desk.file("policy.txt", policy);
    let verify = |work: &str, receipt: &str, trust: [&std::ffi::OsStr; 2]| {
        let mut command = timemark();
        command.args(["verify", work, "--receipt", receipt]).args(trust);
        command.current_dir(desk.path(""));
        command
    };
    let archive = desk.path("archive");
    for work in ["one", "two", "three"] {
        let old = format!("{work}.timemark");
        expect(0, &mut verify(work, &old, ["--policy".as_ref(), policy.as_ref()]));
        expect(0, &mut verify(work, &old, ["--archive".as_ref(), archive.as_ref()]));
        // A lost receipt is written again, signed by the newest keys.
        expect(0, &mut desk.timemark(["register", work, "--receipts", "again"]));
        let again = format!("again/{work}.timemark");
        expect(0, &mut verify(work, &again, ["--policy".as_ref(), policy.as_ref()]));
        let proof = expect(0, &mut desk.timemark(["receipt", "tlog-proof", &again]));
        assert!(signers(proof.split_once("\n\n").unwrap().1).contains(&keys[2][0].short()));
    }
    // A policy from before the change trusts none of the new keys.
    let old = keys[1].iter().map(|key| format!("log {key}\n")).collect::<String>();
    let old = desk.file("old.txt", old + "quorum none\n");
    expect(1, &mut verify("three", "three.timemark", ["--policy".as_ref(), old.as_ref()]));
    expect(0, &mut desk.timemark(["log", "audit"]));
}

#[test]
fn a_change_of_keys_that_is_cut_off_anywhere_is_finished_or_never_was() {
    let desk = Desk::new();
    register(&desk, "archive", "one");
    let archive = desk.path("archive");
    let [key, policy] = ["keys/log.key", "log.policy"].map(|name| archive.join(name));
    let published = archive.join("log/tiles/checkpoint");
    let before: Vec<_> = [&key, &policy, &published].map(|path| fs::read(path).unwrap()).into();
    let check = |work: &str, newest: &[VerifierKey]| {
        register(&desk, "archive", work);
        assert_eq!(vkeys(&desk, "archive"), newest);
        for work in ["one", work] {
            let receipt = format!("{work}.timemark");
            expect(
                0,
                desk.timemark(["verify", work, "--receipt", &receipt])
                    .args(["--archive".as_ref(), archive.as_os_str()]),
            );
        }
        expect(0, &mut desk.timemark(["log", "audit"]));
    };
    // Killed while the new keys were written aside.
    let old_keys = vkeys(&desk, "archive");
    fs::write(archive.join("keys/log.new"), "PRIVATE+KEY+half").unwrap();
    check("two", &old_keys);
    expect(0, &mut desk.timemark(["log", "rotate-keys"]));
    let new_keys = vkeys(&desk, "archive");
    assert_ne!(new_keys, old_keys);
    // Killed before the public keys were written, before they were whole, before the checkpoint was signed.
    for lag in [Some(before[1].clone()), Some(Vec::new()), None] {
        match lag {
            Some(bytes) => fs::write(&policy, bytes).unwrap(),
            None => fs::remove_file(&policy).unwrap(),
        }
        check("three", &new_keys);
    }
    // The old private key in the place of the new one is an old copy.
    let new_key = fs::read(&key).unwrap();
    fs::write(&key, &before[0]).unwrap();
    let said = stderr(2, &mut desk.timemark(["register", "one"]));
    assert!(said.contains("does not hold the log's newest keys"), "{said}");
    fs::write(&key, &new_key).unwrap();
    check("four", &new_keys);
}

/// Whoever stole the old key signs a tree of their own that goes on from the change.
#[test]
fn a_stolen_old_key_signs_nothing_beyond_its_time() {
    let (desk, thief) = (Desk::new(), Desk::new());
    register(&desk, "archive", "one");
    expect(0, Command::new("cp").arg("-a").args([desk.path("archive"), thief.path("archive")]));
    expect(0, &mut desk.timemark(["log", "rotate-keys"]));
    register(&thief, "archive", "stolen");
    let verify = ["verify", "stolen", "--receipt", "stolen.timemark", "--policy", "policy.txt"];
    thief.file("policy.txt", expect(0, &mut thief.timemark(["log", "policy"])));
    expect(0, &mut thief.timemark(verify));
    thief.file("policy.txt", expect(0, &mut desk.timemark(["log", "policy"])));
    expect(1, &mut thief.timemark(verify));
    let stolen = thief.path("archive/log/tiles/checkpoint").display().to_string();
    let seen = &expect_json(2, &mut desk.timemark(["log", "compare", &stolen]))[0];
    assert_eq!(seen["status"], "unknown");
    assert!(seen["reason"].as_str().unwrap().contains("old key"), "{seen}");
}

#[test]
fn a_backup_reads_and_does_not_sign() {
    let desk = Desk::new();
    register(&desk, "archive", "one");
    let said = expect(0, &mut desk.timemark(["log", "backup", "copy"]));
    assert!(said.contains("copy holds 1 entries") && said.contains("no private keys"), "{said}");
    assert!(!desk.path("copy/keys").exists());
    // Brought up to date, again and again, while it is read in between.
    for work in ["two", "three"] {
        expect(0, &mut of(&desk, "copy", &["search", "one"]));
        register(&desk, "archive", work);
        expect(0, &mut desk.timemark(["log", "backup", "copy"]));
        expect(0, &mut of(&desk, "copy", &["log", "audit"]));
        expect(0, &mut of(&desk, "copy", &["search", work]));
        assert_eq!(expect_json(0, &mut of(&desk, "copy", &["scan", work]))[0]["status"], "match");
        let receipt = format!("{work}.timemark");
        expect(0, &mut of(&desk, "copy", &["verify", work, "--receipt", &receipt]));
    }
    let published = desk.path("archive/log/tiles/checkpoint");
    let checkpoint = expect(0, &mut of(&desk, "copy", &["log", "checkpoint"]));
    assert_eq!(checkpoint, fs::read_to_string(published).unwrap());
    desk.file("four", "four");
    for signing in [
        &["register", "four"][..],
        &["log", "rotate-keys"],
        &["log", "backup", "elsewhere"],
        &["log", "policy", "--set", "four"],
    ] {
        let said = stderr(2, &mut of(&desk, "copy", signing));
        assert!(said.contains("is a backup"), "{said}");
    }
    assert_eq!(size_of(&desk, "copy"), "3");
    // What was copied is not copied again.
    let said = expect(0, &mut desk.timemark(["log", "backup", "copy"]));
    assert!(said.contains("were there"), "{said}");
    let work =
        walk(&desk.path("copy/blobs")).into_iter().find(|path| path.ends_with_cid()).unwrap();
    let before = fs::metadata(&work).unwrap();
    expect(0, &mut desk.timemark(["log", "backup", "copy"]));
    let ino = |metadata: &fs::Metadata| std::os::unix::fs::MetadataExt::ino(metadata);
    assert_eq!(ino(&fs::metadata(&work).unwrap()), ino(&before));
    // An erased claim goes from the backup as well.
    expect(0, &mut desk.timemark(["log", "erase-claim", "0"]));
    expect(0, &mut desk.timemark(["log", "backup", "copy"]));
    expect(1, &mut of(&desk, "copy", &["search", "one"]));
    expect(0, &mut of(&desk, "copy", &["log", "audit"]));
}

trait Named {
    fn ends_with_cid(&self) -> bool;
}

impl Named for std::path::PathBuf {
    fn ends_with_cid(&self) -> bool {
        self.file_name().unwrap().to_str().unwrap().starts_with("bafkrei")
    }
}

fn walk(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(walk(&path)) } else { found.push(path) }
    }
    found
}

#[test]
fn a_backup_goes_nowhere_it_does_not_belong() {
    let desk = Desk::new();
    register(&desk, "archive", "one");
    desk.file("folder/file", "something");
    expect(0, &mut of(&desk, "other", &["init"]));
    for dest in ["folder", "other", "archive", "archive/log/copy"] {
        stderr(2, &mut desk.timemark(["log", "backup", dest]));
        assert!(!desk.path(dest).join("backup").exists(), "{dest}");
    }
    expect(0, &mut of(&desk, "other", &["log", "backup", "copy"]));
    let said = stderr(2, &mut desk.timemark(["log", "backup", "copy"]));
    assert!(said.contains("another log's"), "{said}");
    // An old copy of the archive does not overwrite the newer backup.
    expect(0, Command::new("cp").arg("-a").args([desk.path("archive"), desk.path("old")]));
    register(&desk, "archive", "two");
    expect(0, &mut desk.timemark(["log", "backup", "newer"]));
    let said = stderr(2, &mut of(&desk, "old", &["log", "backup", "newer"]));
    assert!(said.contains("old copy") && size_of(&desk, "newer") == "2", "{said}");
}

/// The process is killed at every system call that names or removes a file.
#[test]
fn a_backup_that_is_cut_off_is_the_old_one_or_the_new_one() {
    if run(Command::new("sh").args(["-c", "command -v strace"])).stdout.is_empty() {
        return crate::support::skip("strace is not installed");
    }
    let desk = Desk::new();
    register(&desk, "archive", "work0");
    expect(0, &mut desk.timemark(["log", "backup", "copy"]));
    let (mut size, mut sizes) = (1u64, [0u32; 2]);
    for step in 1..400 {
        register(&desk, "archive", &format!("work{step}"));
        size += 1;
        let backup = desk.timemark(["log", "backup", "copy"]);
        let calls = "rename,renameat,renameat2,unlink,unlinkat,rmdir";
        let mut strace = Command::new("strace");
        strace.args(["-f", "-o", "/dev/null", "-e", &format!("trace={calls}"), "-e"]);
        strace.arg(format!("inject={calls}:signal=KILL:when={step}"));
        strace.arg(backup.get_program()).args(backup.get_args()).current_dir(desk.path(""));
        let done = run(&mut strace).status.success();
        let before: u64 = size_of(&desk, "copy").parse().unwrap();
        expect(0, &mut of(&desk, "copy", &["search", "work0"]));
        let after: u64 = size_of(&desk, "copy").parse().unwrap();
        assert!(after >= before && after <= size, "{before} {after} {size}");
        expect(0, &mut of(&desk, "copy", &["log", "audit"]));
        sizes[usize::from(after == size)] += 1;
        if done {
            break;
        }
        assert!(step < 399);
    }
    assert!(sizes[0] > 0 && sizes[1] > 1, "{sizes:?}");
    expect(0, &mut desk.timemark(["log", "backup", "copy"]));
    expect(0, &mut of(&desk, "copy", &["log", "audit"]));
}

/// A desk with an archive of three entries that three witnesses cosigned, two of which suffice.
pub fn witnessed() -> (Desk, Vec<Served>) {
    let desk = Desk::new();
    expect(0, &mut desk.timemark(["init"]));
    let names = ["w1.example", "w2.example", "w3.example"];
    let witnesses: Vec<_> =
        names.into_iter().map(|name| serve_witness(&desk, name, "archive")).collect();
    let lines: String = witnesses.iter().map(Served::policy_lines).collect();
    let quorum = "group G 2 w1.example-any w2.example-any w3.example-any\nquorum G\n";
    desk.file("witnesses.txt", lines + quorum);
    expect(0, &mut desk.timemark(["log", "policy", "--set", "witnesses.txt"]));
    for work in ["one", "two", "three"] {
        register(&desk, "archive", work);
    }
    witnesses.iter().for_each(|witness| witness.cosign(&desk.path("archive")));
    (desk, witnesses)
}

#[test]
fn a_backup_of_the_newest_state_is_restored_and_goes_on() {
    let (desk, witnesses) = witnessed();
    expect(0, &mut desk.timemark(["store", "use", "files", "--seal"]));
    desk.file("sealed.txt", "for nobody else");
    expect(0, &mut desk.timemark(["register", "sealed.txt"]));
    witnesses.iter().for_each(|witness| witness.cosign(&desk.path("archive")));
    expect(0, &mut desk.timemark(["log", "backup", "copy"]));
    expect(0, &mut desk.timemark(["log", "backup", "copy-with-keys", "--with-keys"]));
    let lost = desk.path("lost");
    fs::rename(desk.path("archive"), &lost).unwrap();
    let said = stderr(2, &mut of(&desk, "copy", &["log", "restore"]));
    assert!(said.contains("--keys"), "{said}");
    expect(0, &mut of(&desk, "copy", &["log", "restore", "--keys", "lost/keys"]));
    // With the key that opens its sealed works as well, which once stayed behind.
    expect(0, &mut of(&desk, "copy", &["export", "sealed.txt.timemark", "--to", "out"]));
    register(&desk, "copy", "four");
    assert_eq!(size_of(&desk, "copy"), "5");
    witnesses.iter().for_each(|witness| witness.cosign(&desk.path("copy")));
    for work in ["one", "four"] {
        let receipt = format!("{work}.timemark");
        expect(0, &mut of(&desk, "copy", &["log", "audit"]));
        let verdict = run(&mut of(&desk, "copy", &["verify", work, "--receipt", &receipt]));
        assert_ne!(
            verdict.status.code(),
            Some(1),
            "the receipt itself may be older than its cosignatures"
        );
    }
    let said = stderr(2, &mut of(&desk, "copy", &["log", "restore"]));
    assert!(said.contains("no backup"), "{said}");
    // The other backup is behind now.
    let said = stderr(2, &mut of(&desk, "copy-with-keys", &["log", "restore"]));
    assert!(said.contains("5 entries") && said.contains("1 entries are missing"), "{said}");
}

#[test]
fn a_backup_is_not_restored_when_a_witness_knows_of_more() {
    let (desk, witnesses) = witnessed();
    expect(0, &mut desk.timemark(["log", "backup", "copy", "--with-keys"]));
    register(&desk, "archive", "four");
    register(&desk, "archive", "five");
    witnesses[2].cosign(&desk.path("archive"));
    for _ in 0..2 {
        let said = stderr(2, &mut of(&desk, "copy", &["log", "restore"]));
        assert!(said.contains("5 entries") && said.contains("3 entries are here"), "{said}");
        assert!(said.contains("2 entries are missing"), "{said}");
    }
    let kept = fs::read_dir(desk.path("copy/evidence")).unwrap().next().unwrap().unwrap().path();
    let note = fs::read_to_string(kept.join("checkpoint")).unwrap();
    assert!(signers(&note).len() > 2 && note.lines().nth(1) == Some("5"), "{note}");
    // It stays a backup, good to read.
    expect(2, &mut of(&desk, "copy", &["register", "four"]));
    expect(0, &mut of(&desk, "copy", &["log", "audit"]));
    // Up to date again, it is restored: both keep the same entries.
    expect(0, &mut desk.timemark(["log", "backup", "copy", "--with-keys"]));
    fs::rename(desk.path("archive"), desk.path("lost")).unwrap();
    expect(0, &mut of(&desk, "copy", &["log", "restore"]));
    assert_eq!(size_of(&desk, "copy"), "5");
}

#[test]
fn a_backup_is_not_restored_unless_enough_witnesses_answer() {
    let (desk, witnesses) = witnessed();
    let policy = fs::read_to_string(desk.path("witnesses.txt")).unwrap();
    let with = |replacements: &[(usize, &str)]| {
        let mut policy = policy.clone();
        for (number, url) in replacements {
            policy = policy.replace(&witnesses[*number].url, url);
        }
        desk.file("changed.txt", policy);
        expect(0, &mut desk.timemark(["log", "policy", "--set", "changed.txt"]));
        let _ = fs::remove_dir_all(desk.path("copy"));
        expect(0, &mut desk.timemark(["log", "backup", "copy", "--with-keys"]));
        of(&desk, "copy", &["log", "restore"])
    };
    let nowhere = "http://127.0.0.1:9";
    // One who does not answer cannot be a quorum without one of the others; two can.
    let said = stderr(2, &mut with(&[(0, nowhere), (1, nowhere)]));
    assert!(
        said.contains("try again when more of them answer") && said.contains("log ends here"),
        "{said}"
    );
    // Somebody else's answer is none; neither is that of one who forgot.
    let said = stderr(2, &mut with(&[(0, &witnesses[1].url), (1, nowhere)]));
    assert!(said.contains("try again"), "{said}");
    let forgetful = serve_witness(&desk, "w4.example", "archive");
    let said = stderr(2, &mut with(&[(0, &forgetful.url), (1, nowhere)]));
    assert!(said.contains("shows no checkpoint of this log"), "{said}");
    expect(0, &mut with(&[(2, nowhere)]));
    assert!(witnesses[0].witness.verifiers().count() == 2);
}

#[test]
fn without_witnesses_a_backup_is_never_restored() {
    let desk = Desk::new();
    register(&desk, "archive", "one");
    expect(0, &mut desk.timemark(["log", "backup", "copy", "--with-keys"]));
    let said = stderr(2, &mut of(&desk, "copy", &["log", "restore"]));
    for words in
        ["asks for no witness", "The log ends here", "good for verification", "new archive"]
    {
        assert!(said.contains(words), "{said}");
    }
    expect(0, &mut of(&desk, "copy", &["log", "audit"]));
}

#[test]
fn keys_that_were_replaced_after_the_backup_tell_what_is_missing() {
    let (desk, _witnesses) = witnessed();
    let set_policy = |file| expect(0, &mut desk.timemark(["log", "policy", "--set", file]));
    expect(0, &mut desk.timemark(["log", "backup", "copy", "--with-keys"]));
    // The witnesses hear nothing of what comes now.
    desk.file("none.txt", "quorum none\n");
    let said = stderr(2, &mut desk.timemark(["log", "policy", "--set", "none.txt"]));
    assert!(said.contains("a backup made before"), "{said}");
    let replace = ["log", "policy", "--set", "none.txt", "--replace-witnesses"];
    expect(0, &mut desk.timemark(replace));
    register(&desk, "archive", "four");
    expect(0, &mut desk.timemark(["log", "rotate-keys"]));
    let restore = ["log", "restore", "--keys", "archive/keys"];
    let said = stderr(2, &mut of(&desk, "copy", &restore));
    assert!(said.contains("held 4 entries") && said.contains("1 entries are missing"), "{said}");
    set_policy("witnesses.txt");
    expect(0, &mut desk.timemark(["log", "backup", "copy"]));
    // The new keys are unknown to the witnesses, and so is what they signed; the fourth entry they cosign.
    let said = stderr(2, &mut of(&desk, "copy", &["log", "restore"]));
    assert!(said.contains("newest keys"), "the keys in the backup were replaced: {said}");
    expect(2, &mut of(&desk, "copy", &["register", "four"]));
}

#[test]
fn checkpoints_seen_elsewhere_are_compared() {
    let (desk, fork) = (Desk::new(), Desk::new());
    register(&desk, "archive", "one");
    let first = desk.file("first", expect(0, &mut desk.timemark(["log", "checkpoint"])));
    register(&desk, "archive", "two");
    expect(0, Command::new("cp").arg("-a").args([desk.path("archive"), fork.path("archive")]));
    register(&desk, "archive", "ours");
    register(&desk, "archive", "ours too");
    register(&fork, "archive", "theirs");
    let compare = |code: i32, files: &[&str]| {
        let mut command = desk.timemark(["log", "compare"]);
        expect_json(code, command.args(files))
    };
    let proof = expect(0, &mut desk.timemark(["receipt", "tlog-proof", "two.timemark"]));
    desk.file("two.tlog-proof", proof);
    let first = first.to_str().unwrap().to_owned();
    let seen = compare(0, &[&first, "two.tlog-proof", "ours.timemark"]);
    assert!(seen.iter().all(|one| one["status"] == "consistent"), "{seen:?}");
    assert!(!desk.path("archive/evidence").exists());

    // Three entries, another third one.
    let theirs = expect(0, &mut fork.timemark(["log", "checkpoint"]));
    let theirs = desk.file("theirs", theirs).display().to_string();
    let seen = compare(1, &[&first, &theirs]);
    assert_eq!(
        (&seen[0]["status"], &seen[1]["status"]),
        (&"consistent".into(), &"split view".into())
    );
    let kept = Path::new(seen[1]["evidence"].as_str().unwrap()).to_owned();
    let [a, b] = ["first.checkpoint", "second.checkpoint"]
        .map(|name| fs::read_to_string(kept.join(name)).unwrap());
    let [one, two] = [&a, &b].map(|n| Checkpoint::of_note(&Note::parse(n).unwrap()).unwrap());
    assert!(one.size == two.size && one.root != two.root && one.origin == two.origin);
    for _ in 0..2 {
        assert_eq!(compare(1, &[&theirs])[0]["evidence"].as_str(), kept.to_str());
    }
    openssl_agrees(&desk, &kept, &[&a, &b]);

    // A size that this log never signed, and sizes that it does not have yet.
    register(&fork, "archive", "a");
    register(&fork, "archive", "b");
    let ahead = expect(0, &mut fork.timemark(["log", "checkpoint"]));
    let ahead = desk.file("ahead", ahead).display().to_string();
    assert_eq!(compare(1, &[&ahead])[0]["status"], "ahead");
    for work in ["d", "e", "f"] {
        desk.file(&format!("more/{work}"), work);
    }
    expect(0, &mut desk.timemark(["register", "more"]));
    let seen = compare(1, &[&ahead]);
    assert_eq!(seen[0]["status"], "split view", "{seen:?}");

    // Nobody's.
    expect(0, &mut fork.timemark(["init", "--archive", "stranger"]));
    let stranger = fork.path("stranger/log/tiles/checkpoint").display().to_string();
    assert_eq!(compare(2, &[&stranger])[0]["status"], "unknown");
    assert_eq!(compare(1, &[&stranger, &theirs]).len(), 2);
    let forged = desk.file("forged", a.replacen("\n3\n", "\n2\n", 1)).display().to_string();
    assert_eq!(compare(2, &[&forged])[0]["status"], "unknown");
    expect(2, &mut desk.timemark(["log", "compare", "one"]));
}

/// The README in the folder of evidence tells how; here it is done.
fn openssl_agrees(desk: &Desk, kept: &Path, notes: &[&String]) {
    if run(Command::new("sh").args(["-c", "command -v openssl"])).stdout.is_empty() {
        return crate::support::skip("openssl is not installed");
    }
    let readme = fs::read_to_string(kept.join("README.txt")).unwrap();
    let begin = readme.find("-----BEGIN").unwrap();
    let key = desk.file("key.pem", &readme[begin..]);
    for note in notes {
        let note = Note::parse(note).unwrap();
        let ed25519 = note.signatures().iter().find(|s| s.bytes.len() == 64).unwrap();
        let (text, signature) =
            (desk.file("text", note.text()), desk.file("signature", &ed25519.bytes));
        let mut verify = Command::new("openssl");
        verify.args(["pkeyutl", "-verify", "-pubin", "-rawin", "-inkey"]).arg(&key);
        expect(0, verify.arg("-in").arg(text).arg("-sigfile").arg(signature));
    }
}

#[test]
fn checkpoints_beyond_a_backup_are_compared_with_each_other() {
    let (desk, fork) = (Desk::new(), Desk::new());
    register(&desk, "archive", "one");
    expect(0, &mut desk.timemark(["log", "backup", "copy"]));
    expect(0, Command::new("cp").arg("-a").args([desk.path("archive"), fork.path("archive")]));
    register(&desk, "archive", "ours");
    register(&fork, "archive", "theirs");
    let checkpoint = |desk: &Desk| desk.path("archive/log/tiles/checkpoint").display().to_string();
    let (ours, theirs) = (checkpoint(&desk), checkpoint(&fork));
    let compare = |files: &[&str]| of(&desk, "copy", &[&["log", "compare"], files].concat());
    assert_eq!(expect_json(2, &mut compare(&[&ours]))[0]["status"], "ahead");
    let seen = expect_json(1, &mut compare(&[&ours, &theirs]));
    assert_eq!(seen[1]["status"], "split view");
    assert!(desk.path("copy/evidence").is_dir());
}
