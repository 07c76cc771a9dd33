//! Every operation of the log meets every fault, alone and in pairs; nothing acknowledged may be lost, and
//! no two histories may be signed. `scripts/fault-matrix.sh` prints the outcome.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex};
use std::time::Instant;

use timemark_verify::merkle::{Hash, empty_root, leaf_hash};
use timemark_verify::{Checkpoint, Claim, Leaf, Note, Policy, Receipt, WorkDigests, verify};

use crate::crash::{Chance, CrashDisk, Fault, Op};
use crate::disk::Disk;
use crate::files::Files;
use crate::journal::BatchEntry;
use crate::sequencer::Limits;
use crate::tree::Edge;
use crate::{Log, LogError, LogKey};

#[derive(Clone, Copy, Debug)]
enum Step {
    /// One appender.
    One,
    /// A batch of so many, as concurrent appenders make it.
    Batch(usize),
    /// So many threads at once, as the pool takes them.
    Together(usize),
    Erase(u64),
    Settle,
    /// The log is closed and opened again.
    Reopen,
}

use Step::{Batch, Erase, One, Reopen, Settle, Together};

/// What the pool makes of threads that come as they like.
const CONCURRENT: &[Step] =
    &[Together(6), One, Together(4), Erase(2), Reopen, Together(5), Settle, One];

/// Little enough to be gone through with every size of the disk.
const SMALL: &[Step] =
    &[One, Batch(9), One, Erase(1), One, Settle, One, One, Reopen, Batch(4), Erase(8), One];

/// Crosses the edge of a tile, cuts the journal when it is too long, and when it is told to.
const WORKLOAD: &[Step] = &[
    One,
    Batch(250),
    One,
    One,
    Batch(9),
    One,
    Erase(3),
    One,
    One,
    Settle,
    One,
    One,
    Reopen,
    One,
    Erase(258),
    Batch(5),
    One,
    Reopen,
    One,
    Settle,
    Batch(3),
    One,
];

const LIMITS: Limits = Limits { journal_bytes_max: 5_000, reserve_bytes: 40_000 };
const FAULTS: [Fault; 5] = [Fault::Io, Fault::NoSpace, Fault::Short, Fault::Kill, Fault::PowerCut];
const DIR: &str = "/log";
/// A log that goes on being refused after so many attempts will not open.
const ATTEMPTS_MAX: usize = 4;

fn key() -> LogKey {
    // The second signature is slow and touches no file.
    LogKey::without_ml_dsa("log.example", &[7; 32]).unwrap()
}

fn work(i: usize) -> Vec<u8> {
    format!("work {i}").into_bytes()
}

/// Claims take longer to make than to register.
static CLAIMS: LazyLock<Vec<(Claim, BatchEntry)>> = LazyLock::new(|| {
    let of = |i: usize| {
        let claim = Claim {
            work: WorkDigests::of(&work(i)),
            media_type: "text/plain".to_owned(),
            fingerprints: Vec::new(),
            title: Some(format!("title {i};")),
            claimant: None,
            created: None,
            rights: None,
            collection: None,
            path: None,
            amends: None,
            creator: None,
            salt: [i as u8; 32],
        };
        let entry =
            BatchEntry { leaf: Leaf::of(&claim).to_bytes().to_vec(), claim: claim.to_text() };
        (claim, entry)
    };
    (0..600).map(of).collect()
});

/// What became of the step in which a fault struck.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Acknowledged,
    Refused,
    Stopped,
}

struct Struck {
    op: String,
    fault: Fault,
    outcome: Outcome,
}

/// A log, and what its users were told.
struct Run {
    seed: u64,
    disk: CrashDisk,
    log: Option<Log>,
    is_created: bool,
    next: usize,
    acknowledged: BTreeMap<u64, (usize, Option<Receipt>)>,
    erased: BTreeSet<u64>,
    erasure_tried: BTreeSet<u64>,
    struck: Vec<Struck>,
    /// What users were told went wrong.
    errors: Vec<LogError>,
    chance: Chance,
}

/// What a run found.
#[derive(Default)]
struct Findings {
    lost: usize,
    inconsistent: usize,
}

type Checked<T> = Result<T, String>;

impl Run {
    fn new(seed: u64) -> Run {
        Run {
            seed,
            disk: CrashDisk::new(seed),
            log: None,
            is_created: false,
            next: 0,
            acknowledged: BTreeMap::new(),
            erased: BTreeSet::new(),
            erasure_tried: BTreeSet::new(),
            struck: Vec::new(),
            errors: Vec::new(),
            chance: Chance::new(!seed),
        }
    }

    fn workload(&mut self, steps: &[Step]) -> Checked<()> {
        self.watch(|run| run.make_open(1))?;
        steps.iter().try_for_each(|step| self.step(*step))
    }

    fn step(&mut self, step: Step) -> Checked<()> {
        self.watch(|run| run.make_open(ATTEMPTS_MAX))?;
        if self.log.is_none() {
            return Ok(()); // for want of room
        }
        self.watch(|run| match step {
            One => run.one(),
            Batch(count) => run.batch(count),
            Together(count) => run.together(count),
            Erase(index) => run.erase(index),
            Settle => run.log().settle(),
            Reopen => {
                run.log = None;
                run.open()
            }
        })
    }

    /// Does something, and notes what became of it if a fault struck meanwhile.
    fn watch(&mut self, act: impl FnOnce(&mut Run) -> Result<(), LogError>) -> Checked<()> {
        let before = self.disk.struck().len();
        let result = act(self);
        let is_stopped = self.log.as_ref().is_none_or(Log::is_stopped);
        let outcome = match &result {
            _ if self.disk.is_dead() => Outcome::Stopped,
            Ok(()) => Outcome::Acknowledged,
            Err(_) if is_stopped => Outcome::Stopped,
            Err(_) => Outcome::Refused,
        };
        if let Err(error) = result {
            if error.to_string().contains("is damaged") {
                return Err(format!("nothing was damaged, but: {error}"));
            }
            self.errors.push(error);
        }
        for (op, path, fault) in self.disk.struck().drain(before..) {
            self.struck.push(Struck { op: name_of(op, &path), fault, outcome });
        }
        if self.disk.is_dead() {
            self.log = None;
            self.disk.restart();
        } else if is_stopped {
            self.log = None;
        }
        Ok(())
    }

    fn log(&self) -> &Log {
        self.log.as_ref().unwrap()
    }

    fn open(&mut self) -> Result<(), LogError> {
        let works = Box::new(|| Ok(()));
        let disk = Disk::new(self.disk.clone());
        self.log = Some(Log::open_on(disk, Path::new(DIR), key(), works, LIMITS)?);
        Ok(())
    }

    fn make_open(&mut self, attempts: usize) -> Result<(), LogError> {
        let mut result = Ok(());
        for _ in 0..attempts {
            if self.log.is_some() {
                return Ok(());
            }
            result = self.create().and_then(|()| self.open());
            self.is_created |= result.is_ok();
            if self.disk.is_dead() {
                break;
            }
        }
        result
    }

    fn create(&mut self) -> Result<(), LogError> {
        if !self.is_created {
            let disk = Disk::new(self.disk.clone());
            match Log::create_on(&disk, Path::new(DIR), &key(), LIMITS) {
                // A creation that failed at its end has made the log, though a power cut may take it back
                // until it was opened once.
                Err(LogError::Exists { .. }) => return Ok(()),
                other => other?,
            }
            self.is_created = true;
        }
        Ok(())
    }

    fn claims(&mut self, count: usize) -> std::ops::Range<usize> {
        self.next += count;
        self.next - count..self.next
    }

    fn acknowledge(&mut self, i: usize, index: u64, receipt: Option<Receipt>) {
        assert!(self.acknowledged.insert(index, (i, receipt)).is_none(), "one number twice");
    }

    fn one(&mut self) -> Result<(), LogError> {
        let i = self.claims(1).start;
        let receipt = self.log().append(&CLAIMS[i].0)?;
        self.acknowledge(i, receipt.anchors[0].index, Some(receipt));
        Ok(())
    }

    fn batch(&mut self, count: usize) -> Result<(), LogError> {
        let range = self.claims(count);
        let entries = CLAIMS[range.clone()].iter().map(|(_, entry)| entry.clone()).collect();
        let first = self.log().commit(entries)?.first;
        for (index, i) in (first..).zip(range.clone()) {
            self.acknowledge(i, index, None);
        }
        for index in [first, first + count as u64 - 1] {
            let receipt = self.log().receipt(index)?;
            self.acknowledged.entry(index).and_modify(|(_, known)| *known = Some(receipt));
        }
        Ok(())
    }

    fn together(&mut self, count: usize) -> Result<(), LogError> {
        let range = self.claims(count);
        let log = self.log();
        let results: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> =
                range.map(|i| (i, scope.spawn(move || log.append(&CLAIMS[i].0)))).collect();
            threads.into_iter().map(|(i, thread)| (i, thread.join().unwrap())).collect()
        });
        let mut first_error = Ok(());
        for (i, result) in results {
            match result {
                Ok(receipt) => self.acknowledge(i, receipt.anchors[0].index, Some(receipt)),
                Err(error) => first_error = Err(error),
            }
        }
        first_error
    }

    fn erase(&mut self, index: u64) -> Result<(), LogError> {
        if self.acknowledged.contains_key(&index) {
            self.erasure_tried.insert(index);
            self.log().erase_claim(index)?;
            self.erased.insert(index);
        }
        Ok(())
    }

    /// The faults are over: the log opens, holds what it acknowledged, and goes on; also after the power
    /// was cut once more.
    fn settle_accounts(&mut self) -> Checked<Findings> {
        self.disk.heal();
        if self.disk.is_dead() {
            self.log = None;
            self.disk.restart();
        }
        let mut findings = Findings::default();
        for is_last in [false, true] {
            if is_last {
                self.log = None;
                self.disk.cut_power();
                self.disk.restart();
            }
            self.make_open(1).map_err(|e| format!("it does not open again: {e}"))?;
            if self.log().is_stopped() {
                self.log = None;
                self.make_open(1).map_err(|e| format!("it does not open again: {e}"))?;
            }
            if is_last || self.chance.below(2) == 0 {
                self.one().map_err(|e| format!("it does not go on: {e}"))?;
            }
            findings.lost += self.count_lost(is_last)?;
        }
        let report = self.log().audit(&mut |_| {}).map_err(|e| format!("no audit: {e}"))?;
        if !report.findings.is_empty() {
            return Err(format!("the audit finds: {}", report.findings.join("; ")));
        }
        self.count_inconsistent(&mut findings)?;
        Ok(findings)
    }

    fn count_lost(&self, with_receipts: bool) -> Checked<usize> {
        let log = self.log();
        let mut lost = 0;
        let mut entries = Vec::new();
        while let Some(more) =
            Some(log.entries_from(entries.len() as u64).map_err(|e| e.to_string())?)
            && !more.is_empty()
        {
            entries.extend(more);
        }
        for (index, (i, receipt)) in &self.acknowledged {
            let Some(entry) = entries.get(*index as usize) else {
                lost += 1;
                continue;
            };
            let (_, expected) = &CLAIMS[*i];
            let claim_stays = entry.claim.as_ref() == Some(&expected.claim);
            let claim_went = entry.claim.is_none() && self.erasure_tried.contains(index);
            let is_erased = self.erased.contains(index);
            if entry.leaf != expected.leaf || !(claim_stays || claim_went) {
                lost += 1;
            } else if is_erased && !claim_went {
                return Err(format!("the erased claim {index} is back"));
            }
            // A third of them, as a signature takes longer to check than an entry to write.
            let of_the_third =
                with_receipts && (*i as u64).wrapping_add(self.seed).is_multiple_of(3);
            if let Some(receipt) = receipt.as_ref().filter(|_| of_the_third) {
                // The log checks proof and signature before it gives a receipt again.
                if !claim_stays || index % 4 == 0 {
                    let policy = Policy::trusting(key().verifier().clone());
                    let digests = &CLAIMS[*i].0.work;
                    verify(digests, receipt, &policy)
                        .map_err(|e| format!("receipt {index}: {e}"))?;
                }
                if claim_stays {
                    let again = log.receipt(*index).map_err(|e| format!("receipt {index}: {e}"))?;
                    if again != *receipt {
                        return Err(format!("receipt {index} is another one"));
                    }
                }
            }
        }
        for index in &self.erased {
            let (i, _) = self.acknowledged[index];
            let title = format!("title {i};");
            if let Some(path) = self.disk.find_text(&title) {
                return Err(format!("{} holds the erased claim {index}", path.display()));
            }
        }
        Ok(lost)
    }

    /// Holds every note that was signed and left the process against the tree.
    fn count_inconsistent(&self, findings: &mut Findings) -> Checked<()> {
        let mut shown: BTreeSet<String> = BTreeSet::new();
        for (path, bytes) in self.disk.written() {
            match path.file_name().and_then(|name| name.to_str()) {
                Some("checkpoints") => {
                    shown.insert(String::from_utf8_lossy(&bytes[4..]).into_owned());
                }
                Some("checkpoint.new") => {
                    shown.insert(String::from_utf8_lossy(&bytes).into_owned());
                }
                _ => {}
            }
        }
        let receipts = self.acknowledged.values().filter_map(|(_, receipt)| receipt.as_ref());
        shown.extend(receipts.map(|receipt| receipt.anchors[0].note().to_string()));
        let of = |note: &String| {
            let note = Note::parse(note).map_err(|e| e.to_string())?;
            Checkpoint::of_note(&note).map_err(|e| e.to_string())
        };
        let shown = shown.iter().map(of).collect::<Checked<Vec<_>>>()?;

        let sizes: BTreeSet<u64> = shown.iter().map(|c| c.size).collect();
        let mut roots: BTreeMap<u64, Hash> = [(0, empty_root())].into();
        let mut edge = Edge::default();
        while let Some(entries) =
            self.log().entries_from(edge.size()).ok().filter(|e| !e.is_empty())
        {
            for entry in entries {
                edge.push(leaf_hash(&entry.leaf), &mut |_, _| {});
                if sizes.contains(&edge.size()) {
                    roots.insert(edge.size(), edge.root());
                }
            }
        }
        let differs = |c: &&Checkpoint| roots.get(&c.size) != Some(&c.root);
        findings.inconsistent += shown.iter().filter(differs).count();
        Ok(())
    }
}

/// What the log does at this operation, in its own words.
fn name_of(op: Op, path: &Path) -> String {
    let text = path.to_str().unwrap();
    let what = match path.file_name().and_then(|name| name.to_str()).unwrap_or_default() {
        "journal" => "journal",
        "journal.new" => "journal start:",
        "checkpoints" => "kept checkpoints",
        "checkpoint" | "checkpoint.new" => "checkpoint publish:",
        "lock" => "lock",
        "reserve" => "reserve",
        _ if text.contains("/claims/") && text.ends_with(".new") => "claim erase:",
        _ if text.contains("/claims") => "claims",
        _ if text.contains("/tile/entries") => "entries",
        _ if text.contains("/tile") => "tile",
        _ => "folder",
    };
    let verb = match op {
        Op::Open => "open",
        Op::Make => "create",
        Op::Read => "read",
        Op::Stat => "stat",
        Op::Append if what == "journal" => "append",
        Op::Append | Op::WriteAt => "write",
        Op::SetLen => "cut",
        Op::Allocate => "allocate",
        Op::Fsync => "fsync",
        Op::Fdatasync => "fdatasync",
        Op::Syncfs => "syncfs",
        Op::Lock => "lock",
        Op::Rename => "rename",
        Op::RemoveFile => "remove",
        Op::RemoveDir => "remove superseded",
        Op::MakeDir => "mkdir",
    };
    format!("{what} {verb}")
}

/// Faults at these operations, counted from the first of the run and each from the one before.
#[derive(Clone, Debug)]
struct Job {
    steps: &'static [Step],
    faults: Vec<(u64, Fault)>,
    seed: u64,
}

fn play(job: &Job) -> Checked<(Vec<Struck>, Findings)> {
    let mut run = Run::new(job.seed);
    let mut at = 0;
    for (after, fault) in &job.faults {
        at += after;
        run.disk.arm(at, *fault);
    }
    run.workload(job.steps)?;
    let findings = run.settle_accounts()?;
    Ok((run.struck, findings))
}

#[derive(Default)]
struct Cell([usize; 3]);

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts: Vec<_> = (self.0.iter().zip(["ack", "ref", "stop"]))
            .filter(|(count, _)| **count > 0)
            .map(|(count, name)| format!("{count} {name}"))
            .collect();
        f.pad(&counts.join(" "))
    }
}

#[derive(Default)]
struct Matrix {
    rows: BTreeMap<String, [Cell; FAULTS.len()]>,
    runs: usize,
    total: Findings,
    failures: Vec<String>,
}

impl Matrix {
    /// Plays all jobs on all cores.
    fn play(&mut self, jobs: &[Job]) {
        let next = AtomicUsize::new(0);
        let matrix = Mutex::new(self);
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        std::thread::scope(|scope| {
            for _ in 0..cores {
                scope.spawn(|| {
                    while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let result = std::panic::catch_unwind(|| play(job))
                            .unwrap_or_else(|_| Err("a panic".to_owned()));
                        matrix.lock().unwrap().take(job, result);
                    }
                });
            }
        });
    }

    fn take(&mut self, job: &Job, result: Checked<(Vec<Struck>, Findings)>) {
        self.runs += 1;
        match result {
            Ok((struck, findings)) => {
                self.total.lost += findings.lost;
                self.total.inconsistent += findings.inconsistent;
                if findings.lost + findings.inconsistent > 0 {
                    self.failures.push(format!("{job:?}: lost or inconsistent"));
                }
                for Struck { op, fault, outcome } in struck {
                    let row = self.rows.entry(op).or_default();
                    let column = FAULTS.iter().position(|f| *f == fault).unwrap();
                    row[column].0[outcome as usize] += 1;
                }
            }
            Err(error) => self.failures.push(format!("{job:?}: {error}")),
        }
    }

    fn print(&self) {
        print!("{:<28}", "operation");
        for name in ["EIO", "ENOSPC", "short write", "kill", "power cut"] {
            print!(" {name:<20}");
        }
        println!();
        for (op, cells) in &self.rows {
            print!("{op:<28}");
            cells.iter().for_each(|cell| print!(" {cell:<20}"));
            println!();
        }
        println!();
        println!(
            "ack: the step went on as if nothing had been; ref: refused cleanly, and the log went on;"
        );
        println!("stop: the log stopped and was opened again, or was opened by the next process");
    }
}

/// The operations of the workload when nothing goes wrong.
fn operations(steps: &[Step]) -> Vec<(Op, PathBuf)> {
    let mut run = Run::new(0);
    run.disk.record();
    run.workload(steps).unwrap();
    let operations = run.disk.trace();
    let findings = run.settle_accounts().unwrap();
    assert_eq!((findings.lost, findings.inconsistent), (0, 0));
    assert!(run.struck.is_empty());
    operations
}

/// How many pairs of faults are tried.
const PAIRS: usize = 1_500;

/// The second one often meets the recovery from the first.
fn two_faults(steps: &'static [Step], operations: u64, chance: &mut Chance) -> Job {
    let first = chance.below(operations);
    let within = if chance.below(2) == 0 { 40 } else { 300 };
    let second = 1 + chance.below(within);
    let mut fault = || FAULTS[chance.below(FAULTS.len() as u64) as usize];
    let faults = vec![(first, fault()), (second, fault())];
    Job { steps, faults, seed: chance.next() }
}

#[test]
fn fault_matrix() {
    let begun = Instant::now();
    let operations = operations(WORKLOAD);
    let mut jobs = Vec::new();
    for (at, (op, _)) in (0u64..).zip(&operations) {
        for fault in FAULTS {
            let seeds = match fault {
                Fault::Io => 1,
                Fault::NoSpace => u64::from(op.needs_room()),
                Fault::Short => u64::from(op.is_write()) * 2,
                Fault::Kill => 1,
                // At an operation that changes nothing it is as good as one before.
                Fault::PowerCut => {
                    if op.changes() {
                        4
                    } else {
                        1
                    }
                }
            };
            jobs.extend((0..seeds).map(|s| Job {
                steps: WORKLOAD,
                faults: vec![(at, fault)],
                seed: at * 16 + s,
            }));
        }
    }
    let mut matrix = Matrix::default();
    matrix.play(&jobs);
    let singles = matrix.runs;

    let mut chance = Chance::new(2026);
    let count = operations.len() as u64;
    let pairs: Vec<_> = (0..PAIRS).map(|_| two_faults(WORKLOAD, count, &mut chance)).collect();
    matrix.play(&pairs);

    matrix.print();
    for failure in matrix.failures.iter().take(20) {
        println!("FAILED {failure}");
    }
    println!(
        "{} operations; {singles} runs with one fault, {} with two; {} s",
        operations.len(),
        matrix.runs - singles,
        begun.elapsed().as_secs()
    );
    println!("runs that failed otherwise: {}", matrix.failures.len());
    println!("lost acknowledged entries: {}", matrix.total.lost);
    println!("pairs of inconsistent signed checkpoints: {}", matrix.total.inconsistent);
    assert!(matrix.failures.is_empty(), "{}", matrix.failures[0]);
    assert_eq!((matrix.total.lost, matrix.total.inconsistent), (0, 0));
}

#[test]
fn concurrent_appenders_meet_two_faults() {
    let count = operations(CONCURRENT).len() as u64;
    let mut chance = Chance::new(1);
    let jobs: Vec<_> = (0..400).map(|_| two_faults(CONCURRENT, count, &mut chance)).collect();
    let mut matrix = Matrix::default();
    matrix.play(&jobs);
    assert!(matrix.failures.is_empty(), "{}", matrix.failures[0]);
}

/// A disk of every size, in steps of a few bytes: what does not fit is refused, what was acknowledged
/// stays, also when the log is opened on the full disk, and the log goes on once there is room.
#[test]
fn a_disk_that_fills_up_anywhere_loses_nothing() {
    const STEP: usize = 7;
    let mut whole = Run::new(0);
    whole.workload(SMALL).unwrap();
    let enough = whole.disk.used() as usize + 8_000;
    let sizes: Vec<usize> = (LIMITS.reserve_bytes as usize..enough).step_by(STEP).collect();
    let next = AtomicUsize::new(0);
    let (full, went_through) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let play = |size: usize| -> Checked<()> {
        let mut run = Run::new(size as u64);
        run.disk.set_capacity(size as u64);
        run.workload(SMALL)?;
        for error in &run.errors {
            let clear = match error {
                LogError::Batch(error) => matches!(**error, LogError::DiskFull { .. }),
                // Before the log is made there is no reserve, and settling promises nothing new.
                error => error.is_full() || matches!(error, LogError::DiskFull { .. }),
            };
            if !clear {
                return Err(format!("on a full disk: {error}"));
            }
        }
        if run.is_created {
            let told_full = !run.errors.is_empty();
            (if told_full { &full } else { &went_through }).fetch_add(1, Ordering::Relaxed);
            run.log = None;
            run.make_open(1).map_err(|e| format!("on a full disk it does not open: {e}"))?;
            if run.count_lost(true)? > 0 {
                return Err("on the full disk something is lost".to_owned());
            }
            run.disk.set_capacity(u64::MAX);
            run.one().map_err(|e| format!("with room again: {e}"))?;
        }
        run.disk.set_capacity(u64::MAX);
        let findings = run.settle_accounts()?;
        if findings.lost + findings.inconsistent > 0 { Err("lost".to_owned()) } else { Ok(()) }
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                while let Some(size) = sizes.get(next.fetch_add(1, Ordering::Relaxed)) {
                    play(*size).unwrap_or_else(|error| panic!("a disk of {size} bytes: {error}"));
                }
            });
        }
    });
    let (full, went_through) = (full.into_inner(), went_through.into_inner());
    println!(
        "{} sizes: {full} were told that the disk is full, {went_through} were not",
        sizes.len()
    );
    assert!(full > 100 && went_through > 100);
}

/// Bytes of a file of which one bit each is flipped.
fn sample(bytes: usize, chance: &mut Chance) -> BTreeSet<usize> {
    let last = bytes.saturating_sub(1);
    let fixed = [0, 3, bytes / 4, bytes / 2, bytes / 4 * 3, last];
    fixed.into_iter().chain((0..10).map(|_| chance.below(bytes as u64) as usize)).collect()
}

/// What the next signature rests on is refused when it is damaged, or written anew from the journal; of
/// what it does not rest on, the audit tells.
#[test]
fn a_flipped_bit_is_found_before_the_next_signature() {
    let mut chance = Chance::new(5);
    for is_settled in [true, false] {
        let mut run = Run::new(0);
        run.workload(&[One, Batch(250), One, Batch(270), One, Settle, One, Batch(3), One]).unwrap();
        if is_settled {
            run.log().settle().unwrap();
        }
        run.disk.kill();
        let good = run.disk.contents();
        let (mut refused, mut healed, mut audited) = (0, 0, 0);
        for (path, bytes) in &good {
            let name = path.to_str().unwrap();
            if bytes.is_empty() || name.ends_with("/reserve") {
                continue;
            }
            for at in sample(bytes.len(), &mut chance) {
                let disk = run.disk.copy_of();
                disk.tamper(path, |bytes| bytes[at] ^= 1 << (at % 8));
                let mut after = Run { disk, is_created: true, next: 560, ..Run::new(0) };
                match after.open() {
                    Err(LogError::Damaged { .. } | LogError::Format(_)) => refused += 1,
                    Err(other) => panic!("{name} byte {at}: {other}"),
                    Ok(()) if after.disk.contents().get(path) == Some(bytes) => healed += 1,
                    Ok(()) => {
                        // Settled, the journal is the base alone, and nothing is written anew.
                        let now = after.disk.contents();
                        let is_journal = name.ends_with("/journal");
                        if is_journal && now.get(path).is_some_and(|now| good[path] != *now) {
                            assert!(!is_settled, "{name} byte {at} was not found");
                            healed += 1;
                            continue;
                        }
                        let report = after.log().audit(&mut |_| {}).unwrap();
                        assert!(!report.findings.is_empty(), "{name} byte {at} was not found");
                        let kept = name.ends_with("/checkpoints");
                        let partial = name.contains(".p/");
                        let rests = !(name.contains("/claims/") || kept || partial);
                        assert!(!rests, "{name} byte {at}: open passed it over");
                        audited += 1;
                    }
                }
            }
        }
        println!(
            "{}: {refused} flips refused at open, {healed} written anew from the journal, {audited} in \
             claims, old checkpoints and old partial tiles left to the audit",
            if is_settled { "settled" } else { "killed" }
        );
    }
}

#[test]
fn damage_at_the_right_edge_stops_a_running_log() {
    for file in ["tiles/tile/0/000.p/5", "tiles/tile/entries/000.p/5"] {
        for is_missing in [false, true] {
            let mut run = Run::new(0);
            run.workload(&[Batch(5)]).unwrap();
            let path = Path::new(DIR).join(file);
            let good = run.disk.contents().remove(&path).unwrap();
            if is_missing {
                run.disk.tamper(&path, Vec::clear);
            } else {
                run.disk.tamper(&path, |bytes| bytes[40] ^= 4);
            }
            let error = run.one().unwrap_err().to_string();
            assert!(error.contains(file) && error.contains("damaged"), "{error}");
            assert!(run.one().unwrap_err().to_string().contains("stopped"));
            run.disk.tamper(&path, |bytes| *bytes = good);
            run.log = None;
            run.settle_accounts().unwrap();
        }
    }
}

/// Operations of a step after these, when nothing goes wrong.
fn operations_of(before: &'static [Step], step: Step) -> Vec<Op> {
    let mut run = Run::new(0);
    run.workload(before).unwrap();
    run.disk.record();
    run.step(step).unwrap();
    run.disk.trace().into_iter().map(|(op, _)| op).collect()
}

/// The flush of the journal fails: the batch lies in the page cache, where every later flush finds it clean.
/// The log that was opened next published it from there, and a power cut took it from the journal and left
/// the published checkpoint: "may be an old copy", for good. Now the journal is written anew first.
#[test]
fn a_batch_whose_flush_failed_is_flushed_before_it_is_published() {
    let batch = operations_of(&[One, One], One);
    let flush = batch.iter().position(|op| *op == Op::Fdatasync).unwrap();
    for after in 0..operations_of(&[One, One, One], Reopen).len() as u64 + 30 {
        let mut run = Run::new(after);
        run.workload(&[One, One]).unwrap();
        run.disk.arm(flush as u64, Fault::Io);
        run.step(One).unwrap();
        run.disk.arm(after, Fault::PowerCut);
        run.step(One).unwrap();
        assert_eq!(run.settle_accounts().unwrap().lost, 0);
    }
}

/// A process is killed between the rename of a new journal and the flush of its folder. The next one wrote
/// to the new file, whose name was in memory only, and a power cut brought the old journal back.
#[test]
fn a_journal_whose_name_was_not_flushed_is_not_lost() {
    let settle = operations_of(&[One, One], Settle);
    let rename = settle.iter().rposition(|op| *op == Op::Rename).unwrap() as u64;
    for seed in 0..20 {
        let mut run = Run::new(seed);
        run.workload(&[One, One]).unwrap();
        run.disk.arm(rename + 1, Fault::Kill);
        run.step(Settle).unwrap();
        run.step(One).unwrap();
        run.log = None;
        run.disk.cut_power();
        run.disk.restart();
        assert_eq!(run.settle_accounts().unwrap().lost, 0);
    }
}

/// What could not be read was taken for nothing: with one EIO on the kept checkpoints, an old journal was
/// opened, and the log would have forked.
#[test]
fn an_unreadable_checkpoint_is_not_taken_for_none() {
    let of_old_journal = || {
        let mut run = Run::new(0);
        run.workload(&[One]).unwrap();
        let journal = Path::new("/log/journal");
        let old = run.disk.contents().remove(journal).unwrap();
        run.step(One).unwrap();
        run.log = None;
        let disk = run.disk.copy_of();
        disk.tamper(journal, |bytes| *bytes = old);
        disk.remove_file(Path::new("/log/tiles/checkpoint")).unwrap();
        Run { disk, is_created: true, ..Run::new(0) }
    };
    assert!(of_old_journal().open().unwrap_err().to_string().contains("may be an old copy"));
    for at in 0..60 {
        let mut run = of_old_journal();
        run.disk.arm(at, Fault::Io);
        assert!(run.open().is_err(), "EIO at operation {at}");
    }
}

/// A creation that was cut short left a folder that could be neither opened nor made anew.
#[test]
fn a_creation_cut_short_anywhere_is_gone_through_again() {
    for fault in FAULTS {
        for at in 0..40 {
            let mut run = Run::new(at);
            run.disk.arm(at, fault);
            run.watch(|run| run.create()).unwrap();
            assert_eq!(run.settle_accounts().unwrap().lost, 0);
        }
    }
}

/// Only the proof of a receipt was checked before it was given again, not the signature.
#[test]
fn a_damaged_signature_is_not_handed_out() {
    let mut run = Run::new(0);
    run.workload(&[One, One]).unwrap();
    run.disk.tamper(Path::new("/log/checkpoints"), |bytes| {
        let last = bytes.len() - 10;
        bytes[last] = if bytes[last] == b'A' { b'B' } else { b'A' };
    });
    assert!(run.log().receipt(0).is_ok());
    assert!(run.log().receipt(1).is_err());
}
