//! How many receipts a second does the log give, durably, beside what the bare disk can flush?
//!
//! Each appender stores a small work and appends the claim upon it, one after the other.

mod measure;

use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use measure::{Report, quantile};
use timemark_store::Works;
use timemark_tlog::Log;
use timemark_verify::{Policy, Receipt, verify};

fn main() -> Result<()> {
    let mut report = Report::open("append")?;
    for appenders in [1, 64] {
        let dir = measure::scratch()?;
        let (works, log) = measure::works_and_log(dir.path())?;
        check(&log, &[append(&works, &log, u64::MAX)?])?;

        // Before and after, in the same folder, as the speed of a disk changes by the minute.
        let before = Bare::measure(dir.path())?;
        let run = run(appenders, &works, &log)?;
        let bare = before.mean(&Bare::measure(dir.path())?);
        let name = |metric: &str| format!("{metric}_{appenders}");
        let note = format!("appenders: {appenders}; claim and work of 1 KiB flushed");
        report.row(&name("receipts"), run.per_second, "receipts/s", &note)?;
        report.row(&name("latency_p50"), run.latency_ms_p50, "ms", "")?;
        report.row(&name("latency_p99"), run.latency_ms_p99, "ms", "")?;
        let note = "bare disk: write fsync and fsync of the folder";
        report.row(&name("disk_file_and_folder_fsyncs"), bare.fsyncs, "/s", note)?;
        let note = "bare disk: append and fdatasync";
        report.row(&name("disk_fdatasyncs"), bare.fdatasyncs, "/s", note)?;
        let ratio = run.per_second / bare.fsyncs;
        report.row(&name("receipts/fsyncs"), ratio, "times", "per file-and-folder fsync")?;
        let ratio = run.per_second / bare.fdatasyncs;
        report.row(&name("receipts/fdatasyncs"), ratio, "times", "per fdatasync")?;
    }
    Ok(())
}

/// What the disk does on its own, a second.
struct Bare {
    fsyncs: f64,
    fdatasyncs: f64,
}

impl Bare {
    fn measure(dir: &Path) -> Result<Bare> {
        Ok(Bare {
            fsyncs: measure::file_and_folder_fsyncs_per_second(dir, BARE_DURATION)?,
            fdatasyncs: measure::fdatasyncs_per_second(dir, BARE_DURATION)?,
        })
    }

    fn mean(&self, other: &Bare) -> Bare {
        Bare {
            fsyncs: f64::midpoint(self.fsyncs, other.fsyncs),
            fdatasyncs: f64::midpoint(self.fdatasyncs, other.fdatasyncs),
        }
    }
}

struct Run {
    per_second: f64,
    latency_ms_p50: f64,
    latency_ms_p99: f64,
}

fn run(appenders: usize, works: &Works, log: &Log) -> Result<Run> {
    let before = log.size();
    let done = Mutex::new((Vec::new(), Vec::new()));
    let started = Instant::now();
    measure::on_threads(appenders, |number| {
        let begun = Instant::now();
        let receipt = append(works, log, number)?;
        let latency = begun.elapsed().as_secs_f64() * 1e3;
        let mut done = done.lock().map_err(|_| anyhow!("another appender panicked"))?;
        done.0.push(latency);
        if number % 100 == 0 {
            done.1.push(receipt);
        }
        Ok(started.elapsed() < DURATION)
    })?;
    let seconds = started.elapsed().as_secs_f64();

    let (mut latencies, receipts) = done.into_inner()?;
    ensure!(log.size() == before + latencies.len() as u64);
    check(log, &receipts)?;
    Ok(Run {
        per_second: latencies.len() as f64 / seconds,
        latency_ms_p50: quantile(&mut latencies, 0.5),
        latency_ms_p99: quantile(&mut latencies, 0.99),
    })
}

fn append(works: &Works, log: &Log, number: u64) -> Result<Receipt> {
    let work = number.to_be_bytes().repeat(128);
    let digests = works.put(&mut &work[..])?.digests;
    Ok(log.append(&measure::claim(number, digests))?)
}

fn check(log: &Log, receipts: &[Receipt]) -> Result<()> {
    let policy = Policy::trusting(log.verifier().clone());
    for receipt in receipts {
        let read = Receipt::parse(receipt.to_string().as_bytes())?;
        verify(&receipt.claim.work, &read, &policy)?;
    }
    Ok(())
}

const DURATION: Duration = Duration::from_secs(5);
const BARE_DURATION: Duration = Duration::from_secs(2);
