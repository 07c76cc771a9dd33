//! What the log keeps, refuses and survives.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};

use timemark_verify::{Policy, WorkDigests, verify};

use super::*;
use crate::endorse::Endorsement;

fn key() -> LogKey {
    LogKey::from_seeds("log.example", [&[7; 32], &[17; 32], &[17; 32]]).unwrap()
}

fn open(dir: &Path) -> Result<Log, LogError> {
    Log::open(dir, key(), Box::new(|| Ok(())))
}

fn work(i: usize) -> Vec<u8> {
    format!("work {i}").into_bytes()
}

fn claim(i: usize) -> Claim {
    Claim {
        work: WorkDigests::of(&work(i)),
        media_type: "text/plain".to_owned(),
        fingerprints: Vec::new(),
        title: Some(format!("title {i}")),
        claimant: None,
        created: None,
        rights: None,
        collection: None,
        path: None,
        amends: None,
        creator: None,
        salt: [i as u8; 32],
    }
}

fn new_log() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    Log::create(&log, &key()).unwrap();
    (dir, log)
}

fn check(i: usize, receipt: &Receipt) {
    let policy = Policy::trusting(key().verifier().clone());
    verify(&WorkDigests::of(&work(i)), receipt, &policy).unwrap();
}

fn assert_clean(log: &Log, entries: u64) {
    let report = log.audit(&mut |_| {}).unwrap();
    assert_eq!((report.entries, &report.findings), (entries, &Vec::new()));
}

fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn many_appenders_get_receipts_that_verify_and_stay_the_same() {
    let (_dir, path) = new_log();
    let log = open(&path).unwrap();
    let receipts = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (log, receipts) = (&log, &receipts);
            scope.spawn(move || {
                for i in (thread * 80)..(thread + 1) * 80 {
                    let receipt = log.append(&claim(i)).unwrap();
                    receipts.lock().unwrap().push((i, receipt));
                }
            });
        }
    });
    assert_clean(&log, 640);
    drop(log);
    let log = open(&path).unwrap();
    assert_clean(&log, 640);
    for (i, receipt) in receipts.into_inner().unwrap() {
        check(i, &receipt);
        assert_eq!(log.receipt(receipt.anchors[0].index).unwrap().to_string(), receipt.to_string());
    }
}

#[test]
fn what_a_quorum_says_later_is_in_a_receipt_that_was_asked_for_before() {
    let (_dir, path) = new_log();
    let log = open(&path).unwrap();
    let first = log.append(&claim(0)).unwrap();
    log.append(&claim(1)).unwrap();
    for _ in 0..2 {
        assert_eq!(log.receipt(0).unwrap().to_string(), first.to_string());
    }
    let (note, timestamps) = (log.checkpoint(), Vec::new());
    log.endorsements.keep(Endorsement { size: 2, note, quorum: true, timestamps }).unwrap();
    assert_eq!(log.receipt(0).unwrap().anchors[0].checkpoint().size, 2);
}

#[test]
fn what_the_journal_holds_survives_the_loss_of_everything_unflushed() {
    let (dir, path) = new_log();
    let before = dir.path().join("before");
    let mut receipts = Vec::new();
    {
        let log = open(&path).unwrap();
        receipts.extend((0..300).map(|i| log.append(&claim(i)).unwrap()));
        log.settle().unwrap();
        copy_dir(&path, &before);
        receipts.extend((300..520).map(|i| log.append(&claim(i)).unwrap()));
    }
    // A power cut takes back whatever was not flushed; the journal was.
    fs::copy(path.join("journal"), before.join("journal")).unwrap();
    let log = open(&before).unwrap();
    assert_clean(&log, 520);
    for (i, receipt) in receipts.iter().enumerate() {
        check(i, receipt);
        assert_eq!(&log.receipt(i as u64).unwrap(), receipt);
    }
    check(520, &log.append(&claim(520)).unwrap());
}

/// Every file below a folder with its bytes.
fn contents(dir: &Path) -> std::collections::BTreeMap<PathBuf, Vec<u8>> {
    let mut found = std::collections::BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(contents(&path));
        } else {
            found.insert(path.clone(), fs::read(path).unwrap());
        }
    }
    found
}

/// Opening is refused, twice, and changes nothing.
fn assert_refused(dir: &Path, reason: &str) {
    let before = contents(dir);
    for _ in 0..2 {
        let refusal = open(dir).err().unwrap().to_string();
        assert!(refusal.contains(reason), "{refusal}");
        assert!(contents(dir) == before, "a refused folder stays as it was");
    }
}

#[test]
fn an_old_copy_is_refused_and_left_as_it_is() {
    let (dir, path) = new_log();
    let backup = dir.path().join("backup");
    {
        let log = open(&path).unwrap();
        (0..5).for_each(|i| drop(log.append(&claim(i)).unwrap()));
        copy_dir(&path, &backup);
        (5..9).for_each(|i| drop(log.append(&claim(i)).unwrap()));
    }
    let reason = "of which this folder holds 5";
    let old_journal = fs::read(backup.join("journal")).unwrap();
    fs::copy(path.join("tiles/checkpoint"), backup.join("tiles/checkpoint")).unwrap();
    assert_refused(&backup, reason);
    // The old journal in the new folder: the checkpoints that were kept tell as well.
    let new_journal = fs::read(path.join("journal")).unwrap();
    fs::write(path.join("journal"), old_journal).unwrap();
    assert_refused(&path, reason);
    fs::remove_file(path.join("tiles/checkpoint")).unwrap();
    assert_refused(&path, reason);
    fs::write(path.join("journal"), new_journal).unwrap();
    assert_clean(&open(&path).unwrap(), 9);
}

#[test]
fn a_flipped_bit_in_the_last_acknowledged_batch_is_no_torn_end() {
    let (_dir, path) = new_log();
    {
        let log = open(&path).unwrap();
        (0..5).for_each(|i| drop(log.append(&claim(i)).unwrap()));
    }
    let mut journal = fs::read(path.join("journal")).unwrap();
    let at = journal.len() - 100;
    journal[at] ^= 1;
    fs::write(path.join("journal"), journal).unwrap();
    assert_refused(&path, "has signed 5 entries, of which this folder holds 4");
}

#[test]
fn a_power_cut_that_keeps_deletions_and_loses_writes_costs_nothing() {
    let (dir, path) = new_log();
    let log = open(&path).unwrap();
    (0..200).for_each(|i| drop(log.append(&claim(i)).unwrap()));
    log.settle().unwrap();
    let flushed = contents(&path);
    (200..260).for_each(|i| drop(log.append(&claim(i)).unwrap()));
    // Any file that was written since, save the journal, may be empty, missing or as it was.
    for (round, loss) in ["empty", "missing", "old"].into_iter().enumerate() {
        let after = dir.path().join(format!("after-{round}"));
        copy_dir(&path, &after);
        for (file, bytes) in contents(&path) {
            let target = after.join(file.strip_prefix(&path).unwrap());
            match flushed.get(&file) {
                _ if file.ends_with("journal") => {}
                Some(old) if *old != bytes => fs::write(target, old).unwrap(),
                None if loss == "empty" => fs::write(target, "").unwrap(),
                None if loss == "missing" => fs::remove_file(target).unwrap(),
                _ => {}
            }
        }
        let log = open(&after).unwrap();
        assert_clean(&log, 260);
        check(260, &log.append(&claim(260)).unwrap());
    }
}

#[test]
fn a_failed_publication_stops_the_log_and_forks_nothing() {
    let (_dir, path) = new_log();
    let log = open(&path).unwrap();
    (0..3).for_each(|i| drop(log.append(&claim(i)).unwrap()));
    // A folder stands where the next tile should go.
    fs::create_dir_all(path.join("tiles/tile/0/000.p/4/in-the-way")).unwrap();
    let error = log.append(&claim(3)).unwrap_err().to_string();
    assert!(error.contains("registered, but not yet published"), "{error}");
    fs::remove_dir_all(path.join("tiles/tile/0/000.p/4")).unwrap();
    for refused in [log.settle().err(), log.erase_claim(0).err(), log.append(&claim(4)).err()] {
        assert!(refused.unwrap().to_string().contains("the log stopped"));
    }
    drop(log);
    let log = open(&path).unwrap();
    assert_clean(&log, 4);
    check(3, &log.receipt(3).unwrap());
    check(4, &log.append(&claim(4)).unwrap());
}

#[test]
fn a_panic_while_committing_keeps_nobody_waiting() {
    let (_dir, path) = new_log();
    let log = Log::open(&path, key(), Box::new(|| panic!("the store is gone"))).unwrap();
    for _ in 0..2 {
        let error = log.append(&claim(0)).unwrap_err().to_string();
        assert!(error.contains("a panic while committing"), "{error}");
    }
}

#[test]
fn a_log_whose_journal_was_replaced_touches_it_no_more() {
    let (_dir, path) = new_log();
    let stale = open(&path).unwrap();
    (0..3).for_each(|i| drop(stale.append(&claim(i)).unwrap()));
    for name in ["lock", "journal"] {
        let copy = path.join("copy");
        fs::copy(path.join(name), &copy).unwrap();
        fs::rename(copy, path.join(name)).unwrap();
    }
    let owner = open(&path).unwrap();
    check(3, &owner.append(&claim(3)).unwrap());
    assert!(stale.settle().is_err() && stale.append(&claim(9)).is_err());
    assert_clean(&owner, 4);
}

#[test]
fn a_log_is_never_made_over_another() {
    let (_dir, path) = new_log();
    assert!(matches!(Log::create(&path, &key()), Err(LogError::Exists { .. })));
    let log = open(&path).unwrap();
    assert!(matches!(Log::create(&path, &key()), Err(LogError::Busy { .. })));
    check(0, &log.append(&claim(0)).unwrap());
}

#[test]
fn a_claim_that_reads_otherwise_gets_no_number() {
    let (_dir, path) = new_log();
    let log = open(&path).unwrap();
    let injected = "image/png\ntitle injected".to_owned();
    let odd = Claim { media_type: injected, title: None, ..claim(0) };
    assert!(log.append(&odd).is_err());
    assert_eq!(log.size(), 0);
}

#[test]
fn a_second_opener_is_told_at_once() {
    let (_dir, path) = new_log();
    let log = open(&path).unwrap();
    assert!(matches!(open(&path), Err(LogError::Busy { .. })));
    fs::remove_file(path.join("lock")).unwrap();
    assert!(matches!(open(&path), Err(LogError::Busy { .. })), "the journal is a second lock");
    log.append(&claim(0)).unwrap();
}

#[test]
fn another_key_opens_nothing() {
    let (_dir, path) = new_log();
    let other = LogKey::from_seeds("log.example", [&[8; 32], &[18; 32], &[18; 32]]).unwrap();
    assert!(matches!(Log::open(&path, other, Box::new(|| Ok(()))), Err(LogError::Damaged { .. })));
}

#[test]
fn works_that_cannot_be_flushed_get_no_number() {
    let (_dir, path) = new_log();
    let full = Arc::new(AtomicBool::new(true));
    let disk = full.clone();
    let flush: FlushWorks =
        Box::new(
            move || if disk.load(Ordering::SeqCst) { Err("disk full".into()) } else { Ok(()) },
        );
    let log = Log::open(&path, key(), flush).unwrap();
    let error = log.append(&claim(0)).unwrap_err().to_string();
    assert!(error.contains("disk full"), "{error}");
    full.store(false, Ordering::SeqCst);
    assert_eq!(log.append(&claim(1)).unwrap().anchors[0].index, 0);
    assert_clean(&log, 1);
}

#[test]
fn an_erased_claim_is_gone_and_breaks_nothing() {
    let (_dir, path) = new_log();
    let log = open(&path).unwrap();
    let receipts: Vec<_> = (0..3).map(|i| log.append(&claim(i)).unwrap()).collect();
    log.erase_claim(1).unwrap();
    assert!(log.receipt(1).is_err());
    receipts.iter().enumerate().for_each(|(i, receipt)| check(i, receipt));
    let report = log.audit(&mut |_| {}).unwrap();
    assert_eq!((report.claims_erased, &report.findings), (1, &Vec::new()));
    drop(log);
    for file in ["journal", "claims/000"] {
        let bytes = fs::read(path.join(file)).unwrap();
        assert!(!String::from_utf8_lossy(&bytes).contains("title 1"), "{file}");
    }
    let log = open(&path).unwrap();
    check(3, &log.append(&claim(3)).unwrap());
    assert!(matches!(log.erase_claim(4), Err(LogError::NoEntry { .. })));
}

fn action(i: usize) -> Action {
    Action {
        actor: "acc-1".to_owned(),
        action: "work.view".to_owned(),
        subject: Some(format!("subject {i}")),
        detail: None,
        stated_at: 2_000_000_000,
        salt: [i as u8; 32],
    }
}

#[test]
fn actions_stand_among_works_and_have_no_receipt() {
    let (_dir, path) = new_log();
    let log = open(&path).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let log = &log;
            scope.spawn(move || {
                for i in (thread * 40)..(thread + 1) * 40 {
                    check(i, &log.append(&claim(i)).unwrap());
                    log.append_action(&action(i)).unwrap();
                }
            });
        }
    });
    let index = log.append_action(&action(1000)).unwrap();
    assert_eq!(index, 320);
    drop(log); // without settling: the journal holds them
    let log = open(&path).unwrap();
    assert_clean(&log, 321);
    assert!(matches!(log.receipt(index), Err(LogError::NoWork { index: 320 })));
    let entry = log.entries_from(index).unwrap().remove(0);
    assert_eq!(entry.leaf, action(1000).to_entry());
    assert_eq!(entry.claim, Some(action(1000).to_text()));
    log.erase_claim(index).unwrap();
    assert!(matches!(log.receipt(index), Err(LogError::NoWork { .. })));
    assert_eq!(log.audit(&mut |_| {}).unwrap().claims_erased, 1);
}

#[test]
fn an_action_that_reads_otherwise_gets_no_number() {
    let (_dir, path) = new_log();
    let log = open(&path).unwrap();
    for odd in [
        Action { action: "work.view\nsubject x".to_owned(), ..action(0) },
        Action { actor: String::new(), ..action(0) },
        Action { detail: Some(String::new()), ..action(0) },
        Action { stated_at: u64::MAX, ..action(0) },
    ] {
        assert!(matches!(log.append_action(&odd), Err(LogError::Format(_))), "{odd:?}");
    }
    assert_eq!(log.size(), 0);
}

#[test]
fn damage_to_the_partial_bundle_is_found_before_more_is_signed() {
    let (_dir, path) = new_log();
    {
        let log = open(&path).unwrap();
        (0..5).for_each(|i| drop(log.append(&claim(i)).unwrap()));
        log.settle().unwrap();
    }
    let bundle = path.join("tiles/tile/entries/000.p/5");
    let mut bytes = fs::read(&bundle).unwrap();
    bytes[40] ^= 1;
    fs::write(&bundle, bytes).unwrap();
    assert_refused(&path, "its entries are not those of the tree");
}

#[test]
fn an_audit_finds_whatever_is_changed_added_or_missing() {
    let (_dir, path) = new_log();
    {
        let log = open(&path).unwrap();
        (0..300).for_each(|i| drop(log.append(&claim(i)).unwrap()));
        log.settle().unwrap();
    }
    let found = |file: &Path| match open(&path) {
        Err(error) => error.to_string(),
        Ok(log) => {
            let report = log.audit(&mut |_| {}).unwrap();
            assert!(!report.findings.is_empty(), "{}", file.display());
            report.findings.join("; ")
        }
    };
    for name in [
        "tiles/tile/0/000",
        "tiles/tile/0/001.p/44",
        "tiles/tile/1/000.p/1",
        "tiles/tile/entries/000",
        "tiles/tile/entries/001.p/44",
        "claims/000",
        "claims/001",
        "checkpoints",
        "journal",
    ] {
        let file = path.join(name);
        let good = fs::read(&file).unwrap();
        for at in [0, 5, good.len() / 3, good.len() / 2, good.len() - 1] {
            let mut bad = good.clone();
            bad[at] ^= 1;
            fs::write(&file, &bad).unwrap();
            found(&file);
        }
        if name != "journal" {
            // What follows the checkpoints is cut like the torn end of a write.
            if name != "checkpoints" {
                fs::write(&file, [&good[..], &[0; 32]].concat()).unwrap();
                found(&file);
            }
            fs::remove_file(&file).unwrap();
            found(&file);
        }
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, &good).unwrap();
    }
    // The partial tiles of an earlier checkpoint are asked for by whoever holds it.
    let earlier = path.join("tiles/tile/0/001.p/20");
    let good = fs::read(&earlier).unwrap();
    fs::remove_file(&earlier).unwrap();
    assert!(found(&earlier).contains("tile/0/001.p/20 is missing"));
    fs::write(&earlier, good).unwrap();
    let log = open(&path).unwrap();
    fs::write(path.join("tiles/checkpoint"), "garbage").unwrap();
    assert!(log.audit(&mut |_| {}).unwrap().findings[0].contains("published checkpoint"));
    drop(log);
    let refused = open(&path).err().unwrap().to_string();
    assert!(refused.contains("tiles/checkpoint is damaged"), "{refused}");
    fs::remove_file(path.join("tiles/checkpoint")).unwrap();
    assert_clean(&open(&path).unwrap(), 300);
}
