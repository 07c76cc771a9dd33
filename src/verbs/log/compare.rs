//! `timemark log compare`: are checkpoints seen elsewhere of this log's one history?

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Serialize;
use timemark_tlog::{History, Standing};
use timemark_verify::{Anchor, Checkpoint, Note, Receipt};

use crate::evidence::{self, SplitView};
use crate::outcome::{Answer, json_text, legible, print_json, print_line};
use crate::{backup, open};

/// Compare checkpoints seen elsewhere with this log and with each other
///
/// Exit code 0: all are of this log's one history. 1: the log has signed two histories, or more than is here;
/// what proves it is written to the archive's folder evidence/. 2: this log has not signed one of them.
#[derive(clap::Args)]
pub(crate) struct Compare {
    /// Files with a signed checkpoint: from a mirror or witness, `receipt tlog-proof`, receipts
    #[arg(required = true, value_name = "CHECKPOINT")]
    files: Vec<PathBuf>,
    /// Print JSON Lines
    #[arg(long)]
    json: bool,
}

/// A checkpoint and what came of it.
struct Seen {
    file: String,
    note: Note,
    checkpoint: Checkpoint,
    standing: Standing,
}

#[derive(Serialize)]
struct SeenJson {
    file: String,
    status: &'static str,
    reason: String,
    origin: String,
    size: u64,
    root: String,
    /// The folder with the proof of a split view.
    evidence: Option<String>,
}

impl Compare {
    pub fn run(&self, archive: &Path) -> Result<Answer> {
        // Read before the archive's newest checkpoint is: that one is never behind them.
        let mut notes = Vec::new();
        for file in &self.files {
            let read = read(file).with_context(|| file.display().to_string())?;
            notes.extend(read.into_iter().map(|note| (file, note)));
        }
        let history = open::history(archive)?;
        let is_backup = backup::mark(archive)?.is_some();
        let mut seen: Vec<Seen> = Vec::new();
        let mut answer = Answer::Yes;
        for (file, note) in notes {
            let file = json_text(file.as_os_str().as_encoded_bytes());
            let checkpoint = Checkpoint::of_note(&note)?;
            let standing = history.standing(&note)?;
            let one = Seen { file, note, checkpoint, standing };
            let evidence = self.evidence(archive, &history, &one, &seen)?;
            let line = one.line(&history, is_backup, evidence);
            answer = worse(answer, line.status, is_backup);
            if self.json {
                print_json(&line)?;
            } else {
                print_line(&line.words())?;
            }
            seen.push(one);
        }
        Ok(answer)
    }

    /// Writes down what this checkpoint contradicts, if anything: this archive's history, or one seen before.
    fn evidence(
        &self,
        archive: &Path,
        history: &History,
        one: &Seen,
        before: &[Seen],
    ) -> Result<Option<PathBuf>> {
        match one.standing {
            Standing::Forked { .. } => {
                return evidence::keep_other(archive, history, &one.note, &one.standing).map(Some);
            }
            Standing::Held | Standing::Ahead => {}
            Standing::OutOfTime | Standing::Foreign => return Ok(None),
        }
        let contradicts = |other: &&Seen| {
            let signed = !matches!(other.standing, Standing::OutOfTime | Standing::Foreign);
            signed
                && other.checkpoint.size == one.checkpoint.size
                && other.checkpoint.root != one.checkpoint.root
                && matches!(one.standing, Standing::Ahead)
        };
        let Some(other) = before.iter().find(contradicts) else { return Ok(None) };
        let keys = evidence::ed25519_keys(history);
        let view = SplitView { notes: [&other.note, &one.note], keys: &keys, proof: None };
        evidence::keep_split_view(archive, &view).map(Some)
    }
}

impl Seen {
    fn line(&self, history: &History, is_backup: bool, evidence: Option<PathBuf>) -> SeenJson {
        let Checkpoint { origin, size, root } = &self.checkpoint;
        let here = history.head().size;
        let (status, reason) = match (&self.standing, &evidence) {
            (_, Some(_)) => (
                SPLIT_VIEW,
                format!("the log has signed two histories: two trees begin differently up to {size} entries"),
            ),
            (Standing::Held, None) => (
                CONSISTENT,
                format!("its {size} entries are the first of the {here} of this archive"),
            ),
            (Standing::Ahead, None) if is_backup => (
                AHEAD,
                format!("the log signed it after this backup: {} entries are missing here", size - here),
            ),
            (Standing::Ahead, None) => (
                AHEAD,
                format!(
                    "the log's key signed {size} entries and {here} are here: this archive is an old copy, or \
                     somebody else has the key"
                ),
            ),
            (Standing::OutOfTime, None) => (
                UNKNOWN,
                "a key of this log signed it for a size at which it did not speak for the log: somebody may \
                 have an old key"
                    .to_owned(),
            ),
            (Standing::Foreign | Standing::Forked { .. }, None) => {
                (UNKNOWN, "no key of this log signed it, or a signature in it is false".to_owned())
            }
        };
        SeenJson {
            file: self.file.clone(),
            status,
            reason,
            origin: origin.clone(),
            size: *size,
            root: root.to_string(),
            evidence: evidence.map(|path| json_text(path.as_os_str().as_encoded_bytes())),
        }
    }
}

impl SeenJson {
    fn words(&self) -> String {
        let evidence = self.evidence.as_ref();
        let kept =
            evidence.map_or_else(String::new, |dir| format!("; the proof is in {}", legible(dir)));
        let (status, file) = (self.status, legible(&self.file));
        let words = format!("{status:<11} {file}  {} of {}: ", self.size, legible(&self.origin));
        format!("{words}{}{kept}", self.reason)
    }
}

/// A split view outweighs everything, and what nobody signed outweighs what is consistent.
fn worse(before: Answer, status: &str, is_backup: bool) -> Answer {
    match status {
        SPLIT_VIEW => Answer::No,
        // A backup is behind its log by its nature.
        AHEAD if !is_backup => Answer::No,
        CONSISTENT => before,
        _ if before == Answer::No => Answer::No,
        _ => Answer::CouldNotTell,
    }
}

/// The signed checkpoints in a file.
fn read(path: &Path) -> Result<Vec<Note>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(Receipt::BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
    if Receipt::is_receipt(&bytes) {
        let receipt = Receipt::parse(&bytes)?;
        return Ok(receipt.anchors.iter().map(|anchor| anchor.note().clone()).collect());
    }
    let text = str::from_utf8(&bytes).context("it is no signed checkpoint: not UTF-8")?;
    if text.starts_with("c2sp.org/tlog-proof@") {
        return Ok(vec![Anchor::parse_tlog_proof(text)?.note().clone()]);
    }
    let note = Note::parse(text)?;
    Checkpoint::of_note(&note)?;
    Ok(vec![note])
}

const CONSISTENT: &str = "consistent";
const SPLIT_VIEW: &str = "split view";
const AHEAD: &str = "ahead";
const UNKNOWN: &str = "unknown";
