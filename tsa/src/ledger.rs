//! The one place where serial numbers come from, and where the time of the last token is kept.
//!
//! A serial number is `run (4 bytes) ‖ chance (8) ‖ count (8)`, at most 159 bits. RFC 3161 section 2.4.2
//! wants it unique even after a crash, and has clients read 160:
//!
//! * the run is counted up and made durable before the first number of the run is given, so that no
//!   crash brings a number back, and nothing needs to be flushed for each number;
//! * chance is drawn once a run, so that numbers stay distinct even where a backup of the folder is
//!   restored or two copies of it are in use;
//! * the count is this run's.
//!
//! The time of a token is durable before its number is given: at most one flush a second, because times
//! are whole seconds.

use std::path::{Path, PathBuf};

use crate::TsaError;
use crate::disk;

/// A serial number, big-endian, positive.
pub(crate) type Serial = [u8; 20];

pub(crate) struct Ledger {
    path: PathBuf,
    run: u32,
    chance: [u8; 8],
    count: u64,
    time: u64,
}

impl Ledger {
    /// The text of a new ledger: no run yet, no token before this time.
    pub fn first_text(now: u64) -> String {
        text(0, now)
    }

    /// Begins a run.
    pub fn open(path: &Path) -> Result<Ledger, TsaError> {
        let kept = disk::read_to_string(path)?;
        let damaged = || TsaError::damaged(path, "it is not `run <n>` and `time <seconds>`");
        let (last_run, time) = parse(&kept).ok_or_else(damaged)?;
        let run = last_run.checked_add(1).filter(|run| *run <= RUN_MAX);
        let run = run.ok_or(TsaError::Exhausted)?;
        let mut chance = [0; 8];
        getrandom::fill(&mut chance).map_err(|_| TsaError::NoRandomness)?;
        disk::replace_durably(path, text(run, time).as_bytes())?;
        Ok(Ledger { path: path.to_owned(), run, chance, count: 0, time })
    }

    /// The time of the last token, of this run or an earlier one.
    pub const fn time(&self) -> u64 {
        self.time
    }

    /// A number for a token of this time, which is durable once this returns.
    pub fn next(&mut self, now: u64) -> Result<Serial, TsaError> {
        let count = self.count.checked_add(1).ok_or(TsaError::Exhausted)?;
        if now > self.time {
            disk::replace_durably(&self.path, text(self.run, now).as_bytes())?;
            self.time = now;
        }
        self.count = count;
        let mut serial = [0; 20];
        serial[..4].copy_from_slice(&self.run.to_be_bytes());
        serial[4..12].copy_from_slice(&self.chance);
        serial[12..].copy_from_slice(&count.to_be_bytes());
        Ok(serial)
    }
}

fn text(run: u32, time: u64) -> String {
    format!("run {run}\ntime {time}\n")
}

fn parse(kept: &str) -> Option<(u32, u64)> {
    let (run, time) = kept.strip_prefix("run ")?.strip_suffix('\n')?.split_once("\ntime ")?;
    let (run, time) = (run.parse().ok()?, time.parse().ok()?);
    (text(run, time) == kept).then_some((run, time))
}

/// The first bit of a serial number stays clear: it is positive.
const RUN_MAX: u32 = i32::MAX as u32;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;

    use super::*;

    #[test]
    fn numbers_are_distinct_across_runs_and_restored_copies() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("issued");
        fs::write(&path, Ledger::first_text(1_000)).unwrap();
        let mut seen = BTreeSet::new();
        let mut take = |ledger: &mut Ledger, now| {
            let serial = ledger.next(now).unwrap();
            assert!(serial[0] < 0x80 && serial[..4] != [0; 4]);
            assert!(seen.insert(serial), "{serial:?} came back");
        };
        for run in 1..=50_u64 {
            let mut ledger = Ledger::open(&path).unwrap();
            assert_eq!(ledger.time(), if run == 1 { 1_000 } else { 1_000 + (run - 1) * 10 + 2 });
            (0..300).for_each(|i| take(&mut ledger, 1_000 + run * 10 + i / 100));
            // Dropped without a word, as in a crash.
        }
        let backup = fs::read(&path).unwrap();
        for _ in 0..3 {
            fs::write(&path, &backup).unwrap();
            let mut ledger = Ledger::open(&path).unwrap();
            (0..300).for_each(|_| take(&mut ledger, 9_999));
        }
    }

    #[test]
    fn the_time_is_on_disk_before_the_number_is_given() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("issued");
        fs::write(&path, Ledger::first_text(7)).unwrap();
        let mut ledger = Ledger::open(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "run 1\ntime 7\n");
        ledger.next(8).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "run 1\ntime 8\n");

        // A disk that says no: no number, and the next try is whole again.
        let aside = dir.path().join("issued.new");
        fs::create_dir(&aside).unwrap();
        ledger.next(8).unwrap();
        assert!(matches!(ledger.next(9), Err(TsaError::Io { .. })));
        fs::remove_dir(&aside).unwrap();
        assert_eq!(ledger.time(), 8);
        ledger.next(9).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "run 1\ntime 9\n");
    }

    #[test]
    fn a_damaged_ledger_is_not_begun_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("issued");
        assert!(matches!(Ledger::open(&path), Err(TsaError::Io { .. })));
        for bad in [
            "",
            "run 1\n",
            "run 1\ntime 2",
            "run 01\ntime 2\n",
            "run -1\ntime 2\n",
            "run 1\ntime 2\n\n",
        ] {
            fs::write(&path, bad).unwrap();
            assert!(matches!(Ledger::open(&path), Err(TsaError::Damaged { .. })), "{bad:?}");
            assert_eq!(fs::read_to_string(&path).unwrap(), bad, "it was overwritten");
        }
        fs::write(&path, format!("run {RUN_MAX}\ntime 2\n")).unwrap();
        assert!(matches!(Ledger::open(&path), Err(TsaError::Exhausted)));
    }
}
