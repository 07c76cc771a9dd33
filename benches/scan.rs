//! The two flows from end to end: a scan beside bare decoding, and `timemark register` beside the
//! bare disk.

mod measure;

use std::collections::HashMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use measure::{Report, quantile};
use timemark_index::Index;
use timemark_ingest::media::{self, Limits};
use timemark_ingest::sources::{Progress, Source};
use timemark_ingest::{
    Engine, Method, Outcome, Salter, ScanOptions, Scanned, Status, Submission, Summary, register,
    scan,
};
use timemark_store::EmbeddedRegistry;
use timemark_tlog::LogKey;
use timemark_verify::{Policy, Receipt, WorkDigests, verify};

fn main() -> Result<()> {
    let mut report = Report::open("scan")?;
    scan_beside_decoding(&mut report)?;
    register_beside_the_disk(&mut report)
}

fn scan_beside_decoding(report: &mut Report) -> Result<()> {
    let dir = measure::scratch()?;
    let engine = engine_with_works(dir.path())?;
    check_works_are_found(&engine)?;
    let suspects = match measure::pictures_given() {
        Some(dir) => measure::files(&dir)?,
        None => {
            check_truth(&engine)?;
            measure::files(&measure::in_workspace("samples/suspects"))?
        }
    };
    let suspects = decoded_by_a_scan(&suspects, &engine)?;
    let count = suspects.len();
    // So many that the last file of one thread, while the others idle, does not matter.
    let suspects = vec![suspects; SUSPECTS_MIN.div_ceil(count)].concat();
    let expected = Summary { suspects: suspects.len() as u64, ..scan_all(&suspects, &engine)? };

    let (mut scans, mut decodes) = (Vec::new(), Vec::new());
    let end = Instant::now() + SCAN_DURATION;
    while scans.len() < 3 || Instant::now() < end {
        let started = Instant::now();
        ensure!(scan_all(&suspects, &engine)? == expected, "a scan differs from the one before");
        scans.push(started.elapsed().as_secs_f64());
        let started = Instant::now();
        decode_all(&suspects)?;
        decodes.push(started.elapsed().as_secs_f64());
    }
    let threads = available_parallelism()?;
    let note = format!("{count} pictures against {} works; {threads} threads", engine.log.size());
    let scanned = suspects.len() as f64 / quantile(&mut scans, 0.5);
    report.row("scan", scanned, "pictures/s", &note)?;
    let decoded = suspects.len() as f64 / quantile(&mut decodes, 0.5);
    report.row("decode_only", decoded, "pictures/s", "the same files decoder and threads")?;
    report.row("scan/decode_only", scanned / decoded, "times", "1 would be: nothing but decoding")
}

/// The sample works, among so many others that searching them costs what it does in use.
fn engine_with_works(dir: &Path) -> Result<Engine> {
    let (works, log) = measure::works_and_log(dir)?;
    let registry = EmbeddedRegistry::open(&dir.join("registry"))?;
    let index = Index::open(&dir.join("index"))?;
    let engine = Engine::new(works, log, Box::new(registry), index, Salter::new([7; 32]));
    for work in measure::files(&measure::in_workspace("samples/works"))? {
        let registration = register(&work, &Submission::default(), &engine)?;
        ensure!(registration.status == Status::Registered && registration.behind.is_none());
    }
    measure::on_threads(64, |number| {
        if number < OTHER_WORKS {
            let work = WorkDigests::of(&number.to_be_bytes());
            engine.log.append(&measure::claim(number, work))?;
        }
        Ok(number < OTHER_WORKS)
    })?;
    engine.catch_up(&|_| {})?;
    Ok(engine)
}

fn check_works_are_found(engine: &Engine) -> Result<()> {
    let works = measure::files(&measure::in_workspace("samples/works"))?;
    let summary = scan_all(&works, engine)?;
    ensure!(summary.matches == works.len() as u64, "a registered work is not found again");
    Ok(())
}

/// The sample suspects are copies of what `truth.csv` says, and of nothing else.
fn check_truth(engine: &Engine) -> Result<()> {
    let dir = measure::in_workspace("samples/suspects");
    let outcomes = outcomes(&measure::files(&dir)?, engine)?;
    for line in fs::read_to_string(dir.join("truth.csv"))?.lines().skip(1) {
        let [suspect, edit, work] = line.split(',').collect::<Vec<_>>()[..] else {
            return Err(anyhow!("truth.csv has a line of another form: {line}"));
        };
        let found = match outcomes.get(&dir.join(suspect)) {
            Some(outcome) => outcome.matches().first().and_then(|found| found.file.as_deref()),
            None => None,
        };
        let found = found.and_then(|file| Path::new(file).file_name()?.to_str());
        ensure!(found.unwrap_or_default() == work, "{suspect} ({edit}): {found:?} is found");
    }
    Ok(())
}

/// The suspects that cost a scan a decode: pictures whose bytes are not those of a work.
fn decoded_by_a_scan(suspects: &[PathBuf], engine: &Engine) -> Result<Vec<PathBuf>> {
    let outcomes = outcomes(suspects, engine)?;
    let exact = |path: &PathBuf| match outcomes.get(path) {
        Some(outcome) => outcome.matches().first().is_some_and(|m| m.method == Method::Exact),
        None => false,
    };
    let mut pictures = Vec::new();
    for path in suspects.iter().filter(|path| !exact(path)) {
        if media::decode(&fs::read(path)?, &Limits::default()).is_ok() {
            pictures.push(path.clone());
        }
    }
    ensure!(!pictures.is_empty(), "there is no picture to scan");
    Ok(pictures)
}

fn outcomes(suspects: &[PathBuf], engine: &Engine) -> Result<HashMap<PathBuf, Arc<Outcome>>> {
    let mut outcomes = HashMap::new();
    scan_each(suspects, engine, &mut |scanned| {
        outcomes.insert(scanned.name.file, scanned.outcome);
    })?;
    Ok(outcomes)
}

fn scan_all(suspects: &[PathBuf], engine: &Engine) -> Result<Summary> {
    let summary = scan_each(suspects, engine, &mut |_| ())?;
    ensure!(summary.errors == 0, "a suspect could not be compared");
    Ok(summary)
}

fn scan_each(
    suspects: &[PathBuf],
    engine: &Engine,
    each: &mut dyn FnMut(Scanned),
) -> Result<Summary> {
    let sources: Vec<Source> = suspects.iter().cloned().map(Source::Path).collect();
    let options = ScanOptions::default();
    Ok(scan(&sources, engine, options, &Progress::default(), &mut |_, _| false, &mut |scanned| {
        each(scanned);
        ControlFlow::Continue(())
    })?)
}

/// Reads and decodes the files on as many threads as a scan has.
fn decode_all(files: &[PathBuf]) -> Result<()> {
    measure::on_threads(available_parallelism()?.get(), |number| {
        let Some(path) = files.get(number as usize) else { return Ok(false) };
        std::hint::black_box(media::decode(&fs::read(path)?, &Limits::default())?);
        Ok(true)
    })
}

fn register_beside_the_disk(report: &mut Report) -> Result<()> {
    let dir = measure::scratch()?;
    let works = dir.path().join("works");
    fs::create_dir(&works)?;
    for number in 0..FILES {
        let line = format!("Work {number} of {FILES}. ");
        fs::write(works.join(format!("{number:05}.txt")), line.repeat(1024 / line.len()))?;
    }
    rustix::fs::syncfs(fs::File::open(&works)?)?;
    let before = measure::file_and_folder_fsyncs_per_second(dir.path(), BARE_DURATION)?;

    let (archive, receipts) = (dir.path().join("archive"), dir.path().join("receipts"));
    let started = Instant::now();
    let status = Command::new(env!("CARGO_BIN_EXE_timemark"))
        .args(["register".as_ref(), works.as_os_str()])
        .args(["--receipts".as_ref(), receipts.as_os_str()])
        .args(["--archive".as_ref(), archive.as_os_str()])
        .stdout(Stdio::null())
        .status()?;
    let seconds = started.elapsed().as_secs_f64();
    ensure!(status.success(), "`timemark register` failed");
    let after = measure::file_and_folder_fsyncs_per_second(dir.path(), BARE_DURATION)?;
    let bare = f64::midpoint(before, after);
    check_receipts(&works, &receipts, &archive)?;

    let registered = FILES as f64 / seconds;
    let note = format!("{FILES} texts of 1 KB; the whole run of `timemark register`");
    report.row("register", registered, "works/s", &note)?;
    let note = "bare disk: write fsync and fsync of the folder";
    report.row("disk_file_and_folder_fsyncs", bare, "/s", note)?;
    report.row("register/fsyncs", registered / bare, "times", "per file-and-folder fsync")
}

/// There is a receipt for each work, with a number of its own, and it proves the work.
fn check_receipts(works: &Path, receipts: &Path, archive: &Path) -> Result<()> {
    let key = LogKey::read(&archive.join("keys/log.key"))?;
    let policy = Policy::trusting(key.verifier().clone());
    let mut numbers = vec![false; FILES];
    for number in 0..FILES {
        let work = fs::read(works.join(format!("{number:05}.txt")))?;
        let receipt = fs::read(receipts.join(format!("{number:05}.txt.timemark")))?;
        let verdict = verify(&WorkDigests::of(&work), &Receipt::parse(&receipt)?, &policy)?;
        let taken = numbers.get_mut(verdict.index as usize).context("a number too high")?;
        ensure!(!std::mem::replace(taken, true), "a number was given twice");
    }
    Ok(())
}

const OTHER_WORKS: u64 = 10_000;
const SUSPECTS_MIN: usize = 200;
const SCAN_DURATION: Duration = Duration::from_secs(12);
const FILES: usize = 10_000;
const BARE_DURATION: Duration = Duration::from_secs(3);
