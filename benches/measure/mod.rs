//! What the benchmarks share: where numbers go, what is measured on, and the bare disk beside it.

#![allow(dead_code, reason = "each benchmark compiles its own copy of this and uses a part of it")]

pub mod profile;

use std::fs::{self, File, OpenOptions};
use std::hint::black_box;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use tempfile::TempDir;
use timemark_ingest::{Sighting, walk};
use timemark_store::{Keeping, Works};
use timemark_tlog::{Log, LogKey};
use timemark_verify::{Claim, ClaimFingerprint, Fingerprint, WorkDigests};

/// Prints each number for people and, where `TIMEMARK_BENCH_CSV` names a file, appends it there.
pub struct Report {
    bench: &'static str,
    csv: Option<File>,
}

impl Report {
    pub fn open(bench: &'static str) -> Result<Report> {
        let csv = std::env::var_os("TIMEMARK_BENCH_CSV").map(|path| {
            let file = OpenOptions::new().append(true).create(true).open(&path);
            file.with_context(|| format!("{}", Path::new(&path).display()))
        });
        Ok(Report { bench, csv: csv.transpose()? })
    }

    pub fn row(&mut self, metric: &str, value: f64, unit: &str, note: &str) -> Result<()> {
        ensure!(![metric, unit, note].iter().any(|text| text.contains([',', '"', '\n'])));
        let Report { bench, csv } = self;
        println!("{bench:<7} {metric:<47} {value:>10.3} {unit:<17} {note}");
        if let Some(csv) = csv {
            writeln!(csv, "{bench},{metric},{value:.4},{unit},{note}")?;
        }
        Ok(())
    }
}

/// The median of the time that a call takes, in seconds; calls go on for `duration`, three at least.
pub fn median_seconds<T>(duration: Duration, mut call: impl FnMut() -> T) -> f64 {
    let end = Instant::now() + duration;
    let mut times = Vec::new();
    while times.len() < 3 || Instant::now() < end {
        let started = Instant::now();
        black_box(call());
        times.push(started.elapsed().as_secs_f64());
    }
    quantile(&mut times, 0.5)
}

/// The value below which this share of the values lies.
pub fn quantile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values[((values.len() - 1) as f64 * share).round() as usize]
}

/// A file or folder of the workspace.
pub fn in_workspace(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The folder of pictures to measure with, if the caller named one.
pub fn pictures_given() -> Option<PathBuf> {
    std::env::var_os("TIMEMARK_BENCH_PICTURES").map(PathBuf::from)
}

/// The files at or below a folder, in a steady order.
pub fn files(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for sighting in walk(dir) {
        if let Sighting::File(found) = sighting.with_context(|| dir.display().to_string())? {
            files.push(found.path);
        }
    }
    ensure!(!files.is_empty(), "there are no files in {}", dir.display());
    Ok(files)
}

/// A new folder on the disk that is to be measured, deleted at the end.
pub fn scratch() -> Result<TempDir> {
    let dir = std::env::var_os("TIMEMARK_BENCH_DIR");
    let dir = dir.map_or_else(|| in_workspace("target/bench-data"), PathBuf::from);
    fs::create_dir_all(&dir).with_context(|| dir.display().to_string())?;
    Ok(tempfile::tempdir_in(dir)?)
}

/// The truth of a new archive, opened as `src/open.rs` does: each batch flushes the works first.
pub fn works_and_log(dir: &Path) -> Result<(Arc<Works>, Log)> {
    let dir_of_works = dir.join("blobs");
    let keeping = Keeping { dir: dir_of_works, remote: None, seal_to: None, identities: None };
    let works = Arc::new(Works::open(keeping)?);
    let flushed = works.clone();
    let log = new_log(&dir.join("log"), Box::new(move || Ok(flushed.sync()?)))?;
    Ok((works, log))
}

pub fn new_log(dir: &Path, flush_works: timemark_tlog::FlushWorks) -> Result<Log> {
    Log::create(dir, &key()?)?;
    Ok(Log::open(dir, key()?, flush_works)?)
}

/// A log of [`new_log`] again, alone.
pub fn open_log(dir: &Path) -> Result<Log> {
    Ok(Log::open(dir, key()?, Box::new(|| Ok(())))?)
}

/// The public keys of a log of [`new_log`]: Ed25519 and ML-DSA-44.
pub fn verifiers() -> Result<[String; 2]> {
    let key = key()?;
    let keys: Vec<String> = key.verifiers().map(ToString::to_string).collect();
    keys.try_into().map_err(|keys| anyhow!("two keys and not {keys:?}"))
}

fn key() -> Result<LogKey> {
    Ok(LogKey::from_seeds("timemark.invalid/bench", [&[7; 32], &[8; 32], &[8; 32]])?)
}

/// A claim as `register` makes it of a picture, with a code unlike that of any other number.
pub fn claim(number: u64, work: WorkDigests) -> Claim {
    let mut state = number;
    let code = Fingerprint([(); 4].map(|()| splitmix(&mut state)));
    Claim {
        work,
        media_type: "image/jpeg".to_owned(),
        fingerprints: vec![ClaimFingerprint::pdq(code, 100)],
        title: Some(format!("Picture {number}")),
        claimant: Some("Ada Example".to_owned()),
        created: None,
        rights: None,
        collection: None,
        path: Some(format!("pictures/{number}.jpg").into_bytes()),
        amends: None,
        creator: None,
        salt: [number as u8; 32],
    }
}

/// SplitMix64 (Steele, Lea and Flood 2014).
pub fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (*state ^ *state >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ z >> 31
}

/// Does `one` with the numbers 0, 1, … on so many threads until it answers `false`.
pub fn on_threads(threads: usize, one: impl Fn(u64) -> Result<bool> + Sync) -> Result<()> {
    let numbers = AtomicU64::new(0);
    let work = || -> Result<()> {
        while one(numbers.fetch_add(1, Ordering::Relaxed))? {}
        Ok(())
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        threads.into_iter().try_for_each(|thread| {
            thread.join().map_err(|_| anyhow!("a thread of the benchmark panicked"))?
        })
    })
}

/// New files made durable in a second, one after the other: write, fsync, fsync of the folder. What
/// one work would cost a store that flushes each by itself.
pub fn file_and_folder_fsyncs_per_second(dir: &Path, duration: Duration) -> Result<f64> {
    let dir = tempfile::tempdir_in(dir)?;
    per_second(duration, |number| {
        let mut file = File::create(dir.path().join(number.to_string()))?;
        file.write_all(&[b'x'; SMALL_BYTES])?;
        file.sync_all()?;
        Ok(File::open(dir.path())?.sync_all()?)
    })
}

/// Appends made durable in a second, one after the other: write and fdatasync.
pub fn fdatasyncs_per_second(dir: &Path, duration: Duration) -> Result<f64> {
    let mut file = tempfile::tempfile_in(dir)?;
    per_second(duration, |_| {
        file.write_all(&[b'x'; SMALL_BYTES])?;
        Ok(file.sync_data()?)
    })
}

fn per_second(duration: Duration, mut one: impl FnMut(u64) -> Result<()>) -> Result<f64> {
    let started = Instant::now();
    let mut count = 0;
    while started.elapsed() < duration {
        one(count)?;
        count += 1;
    }
    Ok(count as f64 / started.elapsed().as_secs_f64())
}

const SMALL_BYTES: usize = 1024;
