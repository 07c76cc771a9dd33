//! How fast is the log by itself? Receipts a second with few and many appenders, the time each waits at a
//! steady load; beside them, in the same run, what disk and processor can do.
//!
//! A receipt counts when it is in the appender's hands: entry durable, tiles and checkpoint published,
//! checkpoint signed, inclusion proof made. The claims are as `register` makes them of pictures.

mod measure;

use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use measure::{Report, quantile};
use timemark_tlog::Log;
use timemark_verify::{Claim, Policy, Receipt, WorkDigests, verify};

const APPENDERS: [usize; 3] = [1, 64, 1024];
const DURATION: Duration = Duration::from_secs(5);
/// The load at which the waiting time is measured, and the appenders that bear it.
const STEADY_PER_SECOND: u64 = 5_000;
const STEADY_APPENDERS: u64 = 1024;
const BARE_DURATION: Duration = Duration::from_secs(2);

fn main() -> Result<()> {
    let mut report = Report::open("log")?;
    processor(&mut report)?;
    for appenders in APPENDERS {
        let dir = measure::scratch()?;
        let log = measure::new_log(&dir.path().join("log"), Box::new(|| Ok(())))?;
        let before = measure::fdatasyncs_per_second(dir.path(), BARE_DURATION)?;
        let per_second = saturate(appenders, &log)?;
        let after = measure::fdatasyncs_per_second(dir.path(), BARE_DURATION)?;
        let flushes = f64::midpoint(before, after);
        let name = format!("receipts_{appenders}");
        report.row(&name, per_second, "receipts/s", &format!("appenders: {appenders}"))?;
        report.row("disk_fdatasyncs", flushes, "/s", "bare disk: append of 1 KiB and fdatasync")?;
        report.row(&format!("{name}/fdatasyncs"), per_second / flushes, "times", "")?;
    }
    let dir = measure::scratch()?;
    let log = measure::new_log(&dir.path().join("log"), Box::new(|| Ok(())))?;
    let mut waits = steady(&log)?;
    let note = format!("{STEADY_PER_SECOND} receipts a second for {} s", DURATION.as_secs());
    report.row("wait_p50", quantile(&mut waits, 0.5), "ms", &note)?;
    report.row("wait_p99", quantile(&mut waits, 0.99), "ms", &note)
}

/// What the processor does on its own.
fn processor(report: &mut Report) -> Result<()> {
    use ed25519_dalek::{Signer, SigningKey};
    use sha2::{Digest, Sha256};

    let block = vec![7; 1 << 20];
    let seconds = measure::median_seconds(BARE_DURATION / 4, || Sha256::digest(&block));
    report.row("sha256", 1.0 / seconds, "MiB/s", "one core; blocks of 1 MiB")?;
    let leaf = [7; 66];
    let seconds = measure::median_seconds(BARE_DURATION / 4, || {
        (0..1000).map(|_| std::hint::black_box(Sha256::digest(leaf))[0]).max()
    });
    report.row("sha256_leaf", 1000.0 / seconds, "/s", "one core; leaf hashes")?;
    let key = SigningKey::from_bytes(&[7; 32]);
    let seconds = measure::median_seconds(BARE_DURATION / 4, || key.sign(&leaf));
    report.row("ed25519_sign", 1.0 / seconds, "/s", "one core")
}

/// Receipts a second when every appender asks for the next as soon as it has one.
fn saturate(appenders: usize, log: &Log) -> Result<f64> {
    let claims = claims(200_000);
    let before = log.size();
    let sample = Mutex::new(Vec::new());
    let started = Instant::now();
    measure::on_threads(appenders, |number| {
        let receipt = log.append(&claims[number as usize % claims.len()])?;
        if number % 1000 == 0 {
            sample.lock().map_err(|_| anyhow!("another appender panicked"))?.push(receipt);
        }
        Ok(started.elapsed() < DURATION)
    })?;
    let seconds = started.elapsed().as_secs_f64();
    check(log, &sample.into_inner()?)?;
    Ok((log.size() - before) as f64 / seconds)
}

/// How long each receipt took, in milliseconds, from the moment at which it was to be asked for: a late
/// appender's lateness counts.
fn steady(log: &Log) -> Result<Vec<f64>> {
    let claims = claims(STEADY_PER_SECOND * DURATION.as_secs());
    let waits = Mutex::new(Vec::new());
    let started = Instant::now();
    thread::scope(|scope| {
        let appender = |first: u64| {
            let (claims, waits) = (&claims, &waits);
            move || -> Result<()> {
                for number in (first..claims.len() as u64).step_by(STEADY_APPENDERS as usize) {
                    let due =
                        started + Duration::from_secs(1) * number as u32 / STEADY_PER_SECOND as u32;
                    thread::sleep(due.saturating_duration_since(Instant::now()));
                    log.append(&claims[number as usize])?;
                    let wait = due.elapsed().as_secs_f64() * 1e3;
                    waits.lock().map_err(|_| anyhow!("another appender panicked"))?.push(wait);
                }
                Ok(())
            }
        };
        let appenders: Vec<_> = (0..STEADY_APPENDERS).map(|n| scope.spawn(appender(n))).collect();
        appenders.into_iter().try_for_each(|appender| {
            appender.join().map_err(|_| anyhow!("an appender panicked"))?
        })
    })?;
    Ok(waits.into_inner()?)
}

fn claims(count: u64) -> Vec<Claim> {
    (0..count)
        .map(|number| measure::claim(number, WorkDigests::of(&number.to_be_bytes())))
        .collect()
}

fn check(log: &Log, receipts: &[Receipt]) -> Result<()> {
    let policy = Policy::trusting(log.verifier().clone());
    ensure!(!receipts.is_empty());
    for receipt in receipts {
        let read = Receipt::parse(receipt.to_string().as_bytes())?;
        verify(&receipt.claim.work, &read, &policy)?;
    }
    Ok(())
}
