//! Keeps what a log signed and should not have, so that anybody can check it without this program.
//!
//! ```text
//! evidence/split-view-<16 hex>/   two checkpoints that no honest log signs both, and how to check them
//! evidence/ahead-<16 hex>/        a checkpoint of more entries than this folder holds
//! ```

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use data_encoding::BASE64;
use timemark_tlog::{AddCheckpoint, History, Standing};
use timemark_verify::{Checkpoint, ContentId, KeyKind, Note, VerifierKey};

/// Two checkpoints of one log and how they contradict each other.
pub(crate) struct SplitView<'a> {
    pub notes: [&'a Note; 2],
    /// The log's Ed25519 keys.
    pub keys: &'a [VerifierKey],
    /// Where the sizes differ: the tree of the second begins otherwise than the first says, as this shows.
    pub proof: Option<AddCheckpoint>,
}

/// Keeps a checkpoint that is not of this history, with what contradicts it here. Returns where.
pub(crate) fn keep_other(
    archive: &Path,
    history: &History,
    note: &Note,
    standing: &Standing,
) -> Result<PathBuf> {
    let Standing::Forked { proof, .. } = standing else {
        let files = [("checkpoint", note.to_string())];
        return keep(archive, "ahead", note.text(), &files);
    };
    let old = Checkpoint::of_note(note)?.size;
    let keys = ed25519_keys(history);
    let ours = history.kept(old)?;
    let request = || AddCheckpoint { old, proof: proof.clone(), note: history.newest().clone() };
    let proof = ours.is_none().then(request);
    let ours = ours.as_ref().unwrap_or(history.newest());
    keep_split_view(archive, &SplitView { notes: [note, ours], keys: &keys, proof })
}

/// Keeps a split view. Returns where.
pub(crate) fn keep_split_view(archive: &Path, view: &SplitView<'_>) -> Result<PathBuf> {
    let [first, second] = view.notes;
    let mut files = vec![
        ("first.checkpoint", first.to_string()),
        ("second.checkpoint", second.to_string()),
        ("README.txt", readme(view)?),
    ];
    if let Some(proof) = &view.proof {
        files.push(("consistency-proof.txt", proof.to_string()));
    }
    let mut texts = [first.text(), second.text()];
    texts.sort_unstable();
    keep(archive, "split-view", &texts.join("\n"), &files)
}

/// The Ed25519 keys that ever spoke for the log.
pub(crate) fn ed25519_keys(history: &History) -> Vec<VerifierKey> {
    history.verifiers().filter(|key| key.kind() == KeyKind::Ed25519).cloned().collect()
}

fn readme(view: &SplitView<'_>) -> Result<String> {
    let [first, second] =
        [Checkpoint::of_note(view.notes[0])?, Checkpoint::of_note(view.notes[1])?];
    let proves = match &view.proof {
        None => format!(
            "Both checkpoints beside this file bear the signature of the log {} over {} entries and name two \
             different roots, which an honest log never signs: it has shown two histories, or somebody else \
             has its private key.",
            first.origin, first.size
        ),
        Some(_) => format!(
            "Both checkpoints beside this file bear the signature of the log {}, and the tree of {} entries \
             of the first is not the beginning of the tree of {} of the second, as the proof in \
             consistency-proof.txt shows (RFC 6962 section 2.1.2: it gives the root of the second, and for \
             {} entries another root than the first has), which an honest log never signs: it has shown two \
             histories, or somebody else has its private key.",
            first.origin, first.size, second.size, first.size
        ),
    };
    let check = "Anyone checks a signature with Go's golang.org/x/mod/sumdb/note and a verifier key below, or \
                 with `openssl pkeyutl -verify -pubin -inkey KEY.pem -rawin -in TEXT -sigfile SIGNATURE`, \
                 where TEXT is the checkpoint's first three lines with their line ends and SIGNATURE the 64 \
                 bytes that remain of the decoded base64 in the signature line without its first 4.";
    let keys: String = view.keys.iter().map(|key| format!("\n{key}\n{}", pem(key))).collect();
    Ok(format!("{proves}\n\n{check}\n{keys}"))
}

/// A key as RFC 8410 spells it.
fn pem(key: &VerifierKey) -> String {
    let der = [&ED25519_PREFIX, key.key_bytes()].concat();
    format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", BASE64.encode(&der))
}

/// SubjectPublicKeyInfo of an Ed25519 key up to the key (RFC 8410 section 4).
const ED25519_PREFIX: [u8; 12] =
    [0x30, 0x2A, 0x30, 0x05, 0x06, 0x03, 0x2B, 0x65, 0x70, 0x03, 0x21, 0];

/// Writes a folder of evidence durably and in one step, unless it is there.
fn keep(archive: &Path, kind: &str, about: &str, files: &[(&str, String)]) -> Result<PathBuf> {
    let dir = archive.join("evidence");
    let digest = ContentId::of(about.as_bytes()).sha256_hex();
    let path = dir.join(format!("{kind}-{}", &digest[..16]));
    let keep = || -> Result<()> {
        fs::create_dir_all(&dir)?;
        let aside = tempfile::Builder::new().prefix(".evidence-").tempdir_in(&dir)?;
        for (name, text) in files {
            let mut file = File::create(aside.path().join(name))?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
        }
        // Temporary folders are private; this one is made to be shown.
        fs::set_permissions(aside.path(), fs::Permissions::from_mode(0o755))?;
        File::open(aside.path())?.sync_all()?;
        match fs::rename(aside.path(), &path) {
            Ok(()) => drop(aside.keep()), // it is the evidence now
            Err(e)
                if matches!(e.kind(), ErrorKind::DirectoryNotEmpty | ErrorKind::AlreadyExists) => {}
            Err(e) => return Err(e.into()),
        }
        File::open(&dir)?.sync_all()?;
        Ok(File::open(archive)?.sync_all()?)
    };
    keep().with_context(|| path.display().to_string())?;
    Ok(path)
}
