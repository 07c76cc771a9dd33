//! `timemark watch`: drafts are registered as they are saved.
//!
//! The folder is looked through again and again, rather than asking the system what happens in it: that way nothing is missed,
//! on network folders neither, and what was saved while nobody watched is taken in as well. A file counts as saved
//! once it has stayed the same for a while, so that a burst of writes is one work.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet, VecDeque};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use timemark_ingest::{Found, Sighting, walk};

use crate::outcome::{Answer, legible, remark};
use crate::progress;
use crate::registering::{How, Registering, Task, Words};

/// Register the drafts in a folder as they are saved, until it is stopped
///
/// Each save is a work of its own, with a receipt. What lies there already is registered first. Hidden and temporary files,
/// empty ones, receipts and archives are passed over. SIGINT or SIGTERM ends it once what it holds is registered.
#[derive(clap::Args)]
pub(crate) struct Watch {
    /// The folder, with those below it
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Seconds for which a file must stay the same before it counts as saved
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=3600))]
    settle: u64,
    /// Title of the works
    #[arg(long)]
    title: Option<String>,
    /// Who claims the works
    #[arg(long)]
    claimant: Option<String>,
    /// Under which terms they may be used
    #[arg(long)]
    rights: Option<String>,
    /// The collection they belong to
    #[arg(long, value_name = "NAME")]
    collection: Option<String>,
    /// When they were made, as claimed
    #[arg(long)]
    created: Option<String>,
    #[command(flatten)]
    how: How,
}

impl Watch {
    pub fn run(self, archive: &Path) -> Result<Answer> {
        ensure!(self.dir.is_dir(), "{} is not a folder that can be read", self.dir.display());
        let stop = Arc::new(AtomicBool::new(false));
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
            // A second one does not wait: what was acknowledged is durable, and the rest is made up for.
            signal_hook::flag::register_conditional_shutdown(signal, KILLED, stop.clone())
                .and_then(|_| signal_hook::flag::register(signal, stop.clone()))
                .context("signals")?;
        }
        let run = Registering::open(archive, &self.how, None)?.without_end();
        let words = Words {
            title: self.title,
            claimant: self.claimant,
            created: self.created,
            rights: self.rights,
            collection: self.collection,
        };
        if words.name_nobody() {
            remark("without --claimant these claims name nobody");
        }
        remark(&format!("watching {}; stop it with Ctrl-C or SIGTERM", legible(&self.dir)));
        let mut drafts = Drafts::new(&self.dir, Duration::from_secs(self.settle));
        // One worker waits here for the next draft, the others behind it.
        let saved = std::iter::from_fn(|| drafts.next(&stop, &|| run.take_unlucky()));
        let bar = progress::growing("registering");
        let saved = saved.inspect(|_| bar.inc_length(1));
        let said = Cow::Borrowed(&words);
        run.all(saved, &bar, |found| Task {
            sighting: Ok(Sighting::File(found)),
            said: said.clone(),
            line: None,
            steps: 1,
        })
    }
}

/// The files of a folder, and which of them were saved since they were last handed out.
struct Drafts<'a> {
    root: &'a Path,
    settle: Duration,
    known: HashMap<PathBuf, Draft>,
    saved: VecDeque<Found>,
    /// What could not be looked at, so that it is told once.
    told: HashSet<(PathBuf, String)>,
    look_again: Instant,
}

struct Draft {
    state: State,
    /// When it counts as saved, unless it changes until then.
    due: Instant,
    handed_out: bool,
    /// In which look it was last there.
    look: Instant,
}

/// What changes when a file is written, or another takes its name.
#[derive(Clone, Copy, PartialEq, Eq)]
struct State {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Drafts<'_> {
    fn new(root: &Path, settle: Duration) -> Drafts<'_> {
        let (known, saved, told) = Default::default();
        Drafts { root, settle, known, saved, told, look_again: Instant::now() }
    }

    /// Waits for the next draft that was saved; `None` once it is to stop. `unlucky` names those that were handed out and
    /// could not be registered for a reason that may pass.
    fn next(&mut self, stop: &AtomicBool, unlucky: &dyn Fn() -> Vec<PathBuf>) -> Option<Found> {
        loop {
            if stop.load(Ordering::Relaxed) {
                return None;
            }
            if let Some(found) = self.saved.pop_front() {
                return Some(found);
            }
            let wait = self.look_again.saturating_duration_since(Instant::now());
            if !wait.is_zero() {
                thread::sleep(wait.min(STOP_PATIENCE));
                continue;
            }
            let started = Instant::now();
            for path in unlucky() {
                if let Some(draft) = self.known.get_mut(&path) {
                    (draft.handed_out, draft.due) = (false, started + RETRY);
                }
            }
            self.look(started);
            // A large folder is looked at for a quarter of the time at most.
            let pause = (self.settle / 2).min(LOOK_PAUSE_MAX).max(started.elapsed() * 3);
            self.look_again = Instant::now() + pause;
        }
    }

    /// Goes through the folder once.
    fn look(&mut self, now: Instant) {
        let mut faults = HashSet::new();
        for sighting in walk(self.root) {
            match sighting {
                Ok(Sighting::File(found)) if !is_passed_over(&found.below) => self.see(found, now),
                Ok(_) => {}
                // What came and went between two steps of the walk is nobody's fault.
                Err(error)
                    if fs::symlink_metadata(&error.path).is_err() && error.path != self.root => {}
                Err(error) => {
                    let fault = (error.path, error.reason);
                    if !self.told.contains(&fault) {
                        remark(&format!("{}: {}", legible(&fault.0), fault.1));
                    }
                    faults.insert(fault);
                }
            }
        }
        self.told = faults;
        self.known.retain(|_, draft| draft.look == now);
    }

    fn see(&mut self, found: Found, now: Instant) {
        let Ok(file) = fs::metadata(&found.path) else { return };
        if file.len() == 0 {
            return;
        }
        let state = State {
            device: file.dev(),
            inode: file.ino(),
            length: file.len(),
            modified: (file.mtime(), file.mtime_nsec()),
            changed: (file.ctime(), file.ctime_nsec()),
        };
        let new = || Draft { state, due: now + self.settle, handed_out: false, look: now };
        let draft = self.known.entry(found.path.clone()).or_insert_with(new);
        if draft.state != state {
            *draft = new();
        }
        draft.look = now;
        if !draft.handed_out && draft.due <= now {
            draft.handed_out = true;
            self.saved.push_back(found);
        }
    }
}

/// Whether a file is no draft by its name: hidden, or what programs write on their way to a file.
fn is_passed_over(below: &Path) -> bool {
    let hidden = |part: &std::ffi::OsStr| part.as_encoded_bytes().starts_with(b".");
    let name = below.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    below.iter().any(hidden)
        || name.starts_with('~')
        || name.ends_with('~')
        || name.starts_with('#') && name.ends_with('#')
        || TEMPORARY.iter().any(|ending| name.ends_with(ending))
}

/// How files are called that editors, browsers and copying programs are not done with.
const TEMPORARY: [&str; 11] = [
    ".tmp",
    ".temp",
    ".swp",
    ".swo",
    ".swx",
    ".bak",
    ".part",
    ".partial",
    ".crdownload",
    ".download",
    ".filepart",
];
/// Exit code of who is told twice to stop, as a shell has it.
const KILLED: i32 = 130;
/// How long after a failure of ours, a full disk say, a draft is tried again.
const RETRY: Duration = Duration::from_secs(60);
/// How soon a signal is noticed.
const STOP_PATIENCE: Duration = Duration::from_millis(100);
/// From one look to the next, in a folder that is quickly gone through.
const LOOK_PAUSE_MAX: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_programs_leave_on_the_way_is_no_draft() {
        for name in [
            ".hidden",
            ".git/objects/1",
            "a.psd.tmp",
            "A.TMP",
            "film.mp4.crdownload",
            "film.mp4.part",
            ".draft.txt.swp",
            "draft.txt~",
            "~$letter.docx",
            "#draft.txt#",
        ] {
            assert!(is_passed_over(Path::new(name)), "{name}");
        }
        for name in ["a.psd", "b/c.txt", "tmp", "part", "a.tmp.png", "1#2", "山水.jpg"] {
            assert!(!is_passed_over(Path::new(name)), "{name}");
        }
    }

    #[test]
    fn a_file_is_handed_out_once_for_each_state_that_lasts() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("draft.txt");
        let second = Duration::from_secs(1);
        let mut drafts = Drafts::new(dir.path(), second);
        let start = Instant::now();
        let mut seconds = 0;
        let mut look = |drafts: &mut Drafts| {
            seconds += 1;
            drafts.look(start + second * seconds);
            drafts.saved.drain(..).count()
        };
        assert_eq!(look(&mut drafts), 0);
        fs::write(&path, "").unwrap();
        assert_eq!((look(&mut drafts), look(&mut drafts)), (0, 0), "nothing is in it yet");
        fs::write(&path, "one").unwrap();
        assert_eq!((look(&mut drafts), look(&mut drafts), look(&mut drafts)), (0, 1, 0));
        for text in ["two", "three", "three and a half"] {
            fs::write(&path, text).unwrap();
            assert_eq!(look(&mut drafts), 0, "it is still being written");
        }
        assert_eq!((look(&mut drafts), look(&mut drafts)), (1, 0));
        // Another file of the same length in its place.
        fs::write(dir.path().join("aside.tmp"), "three and a HALF").unwrap();
        fs::rename(dir.path().join("aside.tmp"), &path).unwrap();
        assert_eq!((look(&mut drafts), look(&mut drafts)), (0, 1));
        fs::remove_file(&path).unwrap();
        assert_eq!(look(&mut drafts), 0);
        assert!(drafts.known.is_empty());
    }
}
