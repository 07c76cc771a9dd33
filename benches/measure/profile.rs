//! Whose code a process runs: samples of `perf`, by the crate of the function that was running.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};
use tempfile::TempDir;

/// Samples of a process, from its start until [`Profile::shares`].
pub struct Profile {
    perf: Child,
    dir: TempDir,
}

/// Part of the samples, of all threads together, that lie in each kind of code; they add up to 1.
pub struct Shares {
    /// In functions of the workspace, and in those of the standard library that were compiled into them.
    pub own: f64,
    /// In the kernel: files, flushes, sockets.
    pub kernel: f64,
    /// In crates of others and in libc, the heaviest first.
    pub others: Vec<(String, f64)>,
}

impl Profile {
    /// Samples a process; `None` where there is no `perf`.
    pub fn start(pid: u32) -> Result<Option<Profile>> {
        let dir = tempfile::tempdir()?;
        let mut perf = Command::new("perf");
        perf.args(["record", "--quiet", "--event", "cpu-clock", "--freq", "499"]);
        perf.arg("--output").arg(dir.path().join("data")).args(["--pid", &pid.to_string()]);
        let Ok(perf) = perf.stdout(Stdio::null()).stderr(Stdio::null()).spawn() else {
            return Ok(None);
        };
        thread::sleep(Duration::from_millis(300)); // it attaches
        Ok(Some(Profile { perf, dir }))
    }

    /// Ends sampling.
    pub fn shares(mut self) -> Result<Shares> {
        let interrupt = ["-INT", &self.perf.id().to_string()];
        Command::new("kill").args(interrupt).status()?;
        self.perf.wait()?;
        let data: PathBuf = self.dir.path().join("data");
        let mut script = Command::new("perf");
        script.args(["script", "--fields", "ip,sym,dso", "--input"]).arg(data);
        let output = script.stderr(Stdio::null()).output()?;
        ensure!(output.status.success(), "{script:?} failed");
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            if let Some(name) = owner(line) {
                *counts.entry(name).or_default() += 1;
            }
        }
        let all: u64 = counts.values().sum();
        ensure!(all > 0, "perf took no samples");
        let mut share = |name: &str| counts.remove(name).unwrap_or_default() as f64 / all as f64;
        let (own, kernel) = (share(OWN), share(KERNEL));
        let mut others: Vec<_> =
            counts.into_iter().map(|(name, count)| (name, count as f64 / all as f64)).collect();
        others.sort_by(|a, b| b.1.total_cmp(&a.1));
        Ok(Shares { own, kernel, others })
    }
}

/// Whose function a line of `perf script` is in: an address, a symbol, and the file that it is from in parentheses.
fn owner(line: &str) -> Option<String> {
    let (_, rest) = line.trim().split_once(' ')?;
    let (symbol, file) = rest.rsplit_once(" (")?;
    if file.starts_with("[kernel") || file.starts_with("[guest") {
        return Some(KERNEL.to_owned());
    }
    if symbol.contains("timemark") {
        return Some(OWN.to_owned());
    }
    if !file.contains("timemark") {
        return Some(file.rsplit('/').next()?.trim_end_matches(')').to_owned());
    }
    // `crate::module::function`, `<crate::Type as crate::Trait>::function`, or a function of C or assembly.
    let path = symbol.trim_start_matches(['<', '&', '*', '[', '_']);
    let is_plain = |name: &&str| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let name = match path.split_once("::") {
        Some((name, _)) => Some(name).filter(is_plain).unwrap_or("generics"),
        None if path.starts_with("mi_") => "mimalloc",
        None => "C and assembly",
    };
    Some(name.to_owned())
}

const OWN: &str = "own";
const KERNEL: &str = "kernel";
