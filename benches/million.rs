//! A log of a million entries: does appending grow dearer, how long do opening and an audit take, and how
//! much memory do they need?

mod measure;

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
    Ok(())
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

/// A figure of /proc/self/status in MiB.
fn memory(field: &str) -> Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)).context("no such field")?;
    let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib / 1024.0)
}
