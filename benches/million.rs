//! A log of a million entries: does appending grow dearer, how long do opening and an audit take, how much
//! memory do they need, and what does an entry cost on disk?

mod measure;

use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use measure::Report;
use timemark_tlog::Log;
use timemark_verify::WorkDigests;

const SIZES: [u64; 3] = [10_000, 100_000, 1_000_000];
/// Entries by which the cost of appending is measured, at each size.
const PROBE: u64 = 20_000;
const APPENDERS: usize = 1024;

fn main() -> Result<()> {
    let mut report = Report::open("million")?;
    let dir = measure::scratch()?;
    let path = dir.path().join("log");
    drop(measure::new_log(&path, Box::new(|| Ok(())))?);
    let written = io("wchar:")?;
    let mut first = None;
    for size in SIZES {
        let log = measure::open_log(&path)?;
        append(&log, size.saturating_sub(log.size() + PROBE))?;
        let started = Instant::now();
        append(&log, PROBE)?;
        let micros = started.elapsed().as_secs_f64() * 1e6 / PROBE as f64;
        ensure!(log.size() >= size, "{} of {size}", log.size());
        report.row(&format!("append_at_{size}"), micros, "us/entry", "1024 appenders")?;
        let first = *first.get_or_insert(micros);
        report.row(
            &format!("append_growth_at_{size}"),
            micros / first,
            "times",
            "of that at 10000",
        )?;
        log.settle()?;
        report.row(
            &format!("log_memory_at_{size}"),
            memory("VmRSS:")?,
            "MiB",
            "resident; all threads",
        )?;
        drop(log);

        let started = Instant::now();
        let log = measure::open_log(&path)?;
        let seconds = started.elapsed().as_secs_f64();
        report.row(&format!("open_at_{size}"), seconds, "s", "the whole tree is hashed")?;
        let started = Instant::now();
        let audit = log.audit(&mut |_| {})?;
        ensure!(audit.findings.is_empty() && audit.entries == log.size());
        let seconds = started.elapsed().as_secs_f64();
        report.row(
            &format!("audit_at_{size}"),
            seconds,
            "s",
            "entries and tiles and claims and checkpoints",
        )?;
        report.row(
            &format!("peak_memory_at_{size}"),
            memory("VmHWM:")?,
            "MiB",
            "of the whole run so far",
        )?;
    }
    let log = measure::open_log(&path)?;
    let written = (io("wchar:")? - written) / log.size() as f64;
    report.row(
        "bytes_written",
        written,
        "bytes/entry",
        "journal and claims and tiles and all; to the system",
    )?;
    space(&mut report, &path, &log)
}

/// Bytes and files of a settled log, by what they are for.
fn space(report: &mut Report, dir: &Path, log: &Log) -> Result<()> {
    log.settle()?;
    let entries = log.size() as f64;
    let leaves = 65.0 * entries;
    let (tiles, files) = usage(&dir.join("tiles"))?;
    let row = |report: &mut Report, name: &str, bytes: f64, note: &str| {
        report.row(name, bytes / entries, "bytes/entry", note)
    };
    row(report, "disk_tiles", tiles - leaves, "the public tree without the leaves")?;
    let (checkpoints, _) = usage(&dir.join("checkpoints"))?;
    row(report, "disk_checkpoints", checkpoints, "every signed checkpoint")?;
    let (claims, claim_files) = usage(&dir.join("claims"))?;
    row(report, "disk_claims", claims, "the claims themselves; private")?;
    report.row(
        "files_kept",
        1e6 * (files + claim_files) / entries,
        "files/million",
        "tiles and claims",
    )
}

fn usage(path: &Path) -> Result<(f64, f64)> {
    let metadata = fs::metadata(path).with_context(|| path.display().to_string())?;
    if metadata.is_file() {
        return Ok((metadata.len() as f64, 1.0));
    }
    let mut sum = (0.0, 0.0);
    for entry in fs::read_dir(path)? {
        let (bytes, files) = usage(&entry?.path())?;
        sum = (sum.0 + bytes, sum.1 + files);
    }
    Ok(sum)
}

/// Appends so many entries, a few more than asked for where threads overtake each other.
fn append(log: &Log, count: u64) -> Result<()> {
    let (before, goal) = (log.size(), log.size() + count);
    if count == 0 {
        return Ok(());
    }
    measure::on_threads(APPENDERS.min(count as usize), |number| {
        let number = before + number;
        let work = WorkDigests::of(&number.to_be_bytes());
        if number < goal {
            log.append(&measure::claim(number, work))?;
        }
        Ok(number < goal)
    })
}

/// A figure of /proc/self/io.
fn io(field: &str) -> Result<f64> {
    let io = fs::read_to_string("/proc/self/io")?;
    let line = io.lines().find_map(|line| line.strip_prefix(field)).context("no such field")?;
    Ok(line.trim().parse()?)
}

/// A figure of /proc/self/status in MiB.
fn memory(field: &str) -> Result<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)).context("no such field")?;
    let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib / 1024.0)
}
