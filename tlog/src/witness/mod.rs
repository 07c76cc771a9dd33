//! A witness: cosigns a checkpoint only if it extends every earlier one of that log (c2sp.org/tlog-witness).
//!
//! Bytes in, an [`Answer`] out; `api` puts it on the network, and [`WitnessClient`] is the log's side of it.
//!
//! | path | what |
//! |---|---|
//! | `witness.key` | the private keys: Ed25519 (0x04) and ML-DSA-44 (0x06) of one name |
//! | `logs` | the logs whose checkpoints it cosigns |
//! | `checkpoints/<SHA-256 of the origin>` | the checkpoint it cosigned last, with the log's signatures and its own |
//! | `evidence/<SHA-256 of the origin>/…` | what a log signed and should not have |
//! | `lock` | held by the one process that may sign |
//!
//! Restoring an old copy of `checkpoints` makes the witness forget, and it cannot notice: its folder is
//! never to be restored from a backup while its keys go on.

mod client;
mod evidence;
mod logs;
mod request;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use timemark_verify::merkle::{check_consistency, empty_root};
use timemark_verify::{Checkpoint, FormatError, KeyKind, Note, NoteSignature, Policy, VerifierKey};

use crate::disk::{Disk, io_at};
use crate::files::OpenFile;
use crate::{Clock, LogError, SigningKey};
use evidence::Kind;
use logs::KnownLogs;

pub use client::{WitnessClient, WitnessError};
pub use request::AddCheckpoint;

/// A witness in a folder, open for cosigning by this process alone.
pub struct Witness {
    dir: PathBuf,
    keys: Vec<SigningKey>,
    clock: Clock,
    logs: KnownLogs,
    /// By the SHA-256 of the origin in lower-case hex.
    origins: Mutex<HashMap<String, Arc<Mutex<Option<Cosigned>>>>>,
    _lock: Box<dyn OpenFile>,
}

/// The checkpoint of a log that was cosigned last.
struct Cosigned {
    checkpoint: Checkpoint,
    /// With the log's signatures and the witness's.
    note: Note,
    time: u64,
}

/// An answer to a request, for HTTP to carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status code that the specification asks for.
    pub status: u16,
    /// The media type of the body.
    pub content_type: &'static str,
    /// Signature lines, a size, or why not.
    pub body: String,
}

impl Witness {
    /// Makes the folder of a new witness of this name with fresh keys. Refuses a folder with keys.
    pub fn create(dir: &Path, name: &str) -> Result<(), LogError> {
        let [ed25519, ml_dsa] = COSIGNING.map(|kind| SigningKey::generate(name, kind));
        let (ed25519, ml_dsa) = (ed25519?, ml_dsa?);
        for folder in [checkpoints_dir(dir), dir.join("evidence")] {
            Disk::real().create_dir_all(&folder)?;
        }
        if key_path(dir).exists() {
            let reason = io::Error::new(io::ErrorKind::AlreadyExists, "there is a witness already");
            return Err(io_at(&key_path(dir))(reason));
        }
        if !logs_path(dir).exists() {
            Disk::real().replace_durably(&logs_path(dir), b"")?;
        }
        SigningKey::write_all_new(&key_path(dir), &[&ed25519, &ml_dsa])?;
        let flush_parent = || -> io::Result<()> {
            let dir = fs::canonicalize(dir)?;
            File::open(dir.parent().unwrap_or(&dir))?.sync_all()
        };
        flush_parent().map_err(io_at(dir))
    }

    /// Whether there is a witness in this folder.
    pub fn is_in(dir: &Path) -> bool {
        key_path(dir).is_file()
    }

    /// The public keys of the witness in this folder, Ed25519 first, also while it works.
    pub fn read_verifiers(dir: &Path) -> Result<Vec<VerifierKey>, LogError> {
        Ok(read_keys(&key_path(dir))?.iter().map(|key| key.verifier().clone()).collect())
    }

    /// Adds a key of a log to those whose checkpoints the witness in this folder cosigns, also while it works.
    pub fn add_log(dir: &Path, key: &VerifierKey) -> Result<(), LogError> {
        logs::add(&logs_path(dir), key)
    }

    /// Takes all keys of the logs of a policy, with the tree sizes that each speaks for, in the place of those
    /// that are known of the same logs; also while the witness works.
    pub fn replace_logs(dir: &Path, policy: &Policy) -> Result<(), LogError> {
        logs::replace(&logs_path(dir), policy)
    }

    /// Opens a witness. Refuses when any checkpoint in it is not one that its keys cosigned.
    pub fn open(dir: &Path, clock: Clock) -> Result<Witness, LogError> {
        let keys = read_keys(&key_path(dir))?;
        let lock_path = dir.join("lock");
        let lock = Disk::real().try_lock(&lock_path)?.ok_or(LogError::Busy { path: lock_path })?;
        let logs = KnownLogs::open(logs_path(dir))?;
        let mut origins = HashMap::new();
        let checkpoints = checkpoints_dir(dir);
        for entry in fs::read_dir(&checkpoints).map_err(io_at(&checkpoints))? {
            let path = entry.map_err(io_at(&checkpoints))?.path();
            // A crash may leave a file aside; it never counted.
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if is_origin_hash(name) {
                let cosigned = read_cosigned(&path, name, &keys)?;
                origins.insert(name.to_owned(), Arc::new(Mutex::new(Some(cosigned))));
            }
        }
        let (dir, origins) = (dir.to_owned(), Mutex::new(origins));
        Ok(Witness { dir, keys, clock, logs, origins, _lock: lock })
    }

    /// The public keys, Ed25519 first.
    pub fn verifiers(&self) -> impl Iterator<Item = &VerifierKey> {
        self.keys.iter().map(SigningKey::verifier)
    }

    /// Answers a request body of `POST <submission prefix>/add-checkpoint`. What is cosigned is durable before
    /// this returns.
    pub fn add_checkpoint(&self, body: &[u8]) -> Answer {
        self.cosign(body).unwrap_or_else(|refusal| refusal)
    }

    /// The newest cosigned checkpoint of the log whose origin has this SHA-256 in lower-case hex, with the
    /// log's signatures and the witness's: `GET <monitoring prefix>/<hash>/checkpoint`.
    pub fn checkpoint(&self, origin_hash: &str) -> Option<String> {
        let origin = lock(&self.origins).get(origin_hash)?.clone();
        let cosigned = lock(&origin);
        cosigned.as_ref().map(|cosigned| cosigned.note.to_string())
    }

    /// The checks stand in the order of the specification.
    fn cosign(&self, body: &[u8]) -> Result<Answer, Answer> {
        let request = AddCheckpoint::parse(body).map_err(|fault| refuse(400, fault))?;
        let checkpoint = parse_checkpoint(&request.note).map_err(|fault| refuse(400, fault))?;
        let log_signatures = self.log_signatures(&request.note, &checkpoint)?;
        if request.old > checkpoint.size {
            return Err(refuse(400, "the old size is larger than the checkpoint's"));
        }
        let origin_hash = hash_of(&checkpoint.origin);
        let origin = lock(&self.origins).entry(origin_hash.clone()).or_default().clone();
        // From here on alone with this log: what is compared is what is replaced.
        let mut cosigned = lock(&origin);
        let (old_size, old_root) = cosigned
            .as_ref()
            .map_or((0, empty_root()), |last| (last.checkpoint.size, last.checkpoint.root));

        let keep = |kind| match cosigned.as_ref() {
            Some(last) => {
                let dir = self.dir.join("evidence").join(&origin_hash);
                evidence::keep(&dir, kind, &last.note, &request).map_err(|e| refuse(500, e))
            }
            None => Ok(()),
        };
        // Whatever old size the request names, two roots for one size are proof.
        if checkpoint.size == old_size && checkpoint.root != old_root {
            keep(Kind::SplitView)?;
        }
        if request.old != old_size {
            return Err(Answer {
                status: 409,
                content_type: TREE_SIZE,
                body: format!("{old_size}\n"),
            });
        }
        let new = (checkpoint.size, checkpoint.root);
        if let Err(fault) = check_consistency((old_size, old_root), new, &request.proof) {
            if checkpoint.size > old_size {
                keep(Kind::Unproven)?;
            }
            return Err(refuse(422, fault));
        }

        let time = self.clock.now().map_err(|fault| refuse(503, fault))?;
        if cosigned.as_ref().is_some_and(|last| time < last.time) {
            return Err(refuse(503, "this witness's clock is behind a time it has stated already"));
        }
        let signatures = self
            .keys
            .iter()
            .map(|key| key.sign(&checkpoint, request.note.text(), time))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|fault| refuse(400, fault))?;
        let lines = signatures.iter().map(|signature| format!("{signature}\n")).collect();
        let text = request.note.text().to_owned();
        let mut all = with_earlier(log_signatures, cosigned.as_ref(), &request.note, &self.keys);
        all.extend(signatures);
        let note = Note::new(text, all).map_err(|fault| refuse(400, fault))?;
        // Who asks again within a second gets the same bytes, and the disk is left alone.
        if cosigned.as_ref().is_none_or(|last| last.note != note) {
            // If this fails, nothing was signed as far as anybody knows: the disk holds the old checkpoint or
            // the new one, each whole, and the next request writes it anew.
            let path = checkpoints_dir(&self.dir).join(origin_hash);
            Disk::real()
                .replace_durably(&path, note.to_string().as_bytes())
                .map_err(|e| refuse(500, e))?;
            *cosigned = Some(Cosigned { checkpoint, note, time });
        }
        Ok(Answer { status: 200, content_type: PLAIN, body: lines })
    }

    /// The genuine signatures by trusted keys of the log, one a key: at least one, and none of them false.
    fn log_signatures(
        &self,
        note: &Note,
        checkpoint: &Checkpoint,
    ) -> Result<Vec<NoteSignature>, Answer> {
        let policy = self.logs.current().map_err(|fault| refuse(503, fault))?;
        let logs = policy.logs().iter().filter(|log| log.key.name() == checkpoint.origin);
        let mut keys = logs.peekable();
        if keys.peek().is_none() {
            return Err(refuse(404, "this witness does not know the log"));
        }
        let mut genuine = Vec::new();
        for key in keys.filter(|log| log.sizes.contains(&checkpoint.size)).map(|log| &log.key) {
            for (number, signature) in note.signatures_by(key).enumerate() {
                if key.check(note, checkpoint, signature).is_err() {
                    return Err(refuse(403, format!("a signature of {} is false", key.short())));
                }
                if number == 0 {
                    genuine.push(signature.clone());
                }
            }
        }
        if genuine.is_empty() {
            return Err(refuse(403, "no trusted key of the log has signed the checkpoint"));
        }
        Ok(genuine)
    }
}

/// The log's signatures to keep: those that were sent now, and of the same checkpoint those that came earlier.
/// (Anybody can send a checkpoint again with fewer of them.)
fn with_earlier(
    mut signatures: Vec<NoteSignature>,
    last: Option<&Cosigned>,
    note: &Note,
    own: &[SigningKey],
) -> Vec<NoteSignature> {
    let signer = |s: &NoteSignature| (s.name.clone(), s.key_id);
    let own = own.iter().map(|key| (key.verifier().name().to_owned(), key.verifier().key_id()));
    let mut known: Vec<_> = own.chain(signatures.iter().map(signer)).collect();
    if let Some(last) = last.filter(|last| last.note.text() == note.text()) {
        for earlier in last.note.signatures() {
            if !known.contains(&signer(earlier)) {
                known.push(signer(earlier));
                signatures.push(earlier.clone());
            }
        }
    }
    signatures.truncate(Note::SIGNATURES_MAX - COSIGNING.len());
    signatures
}

/// Reads a checkpoint that says nothing beside origin, size and root: a cosignature of type 0x06 would not
/// cover it.
fn parse_checkpoint(note: &Note) -> Result<Checkpoint, FormatError> {
    let checkpoint = Checkpoint::of_note(note)?;
    if checkpoint.to_string() == note.text() {
        Ok(checkpoint)
    } else {
        Err(FormatError::new("checkpoint", "extension lines are not cosigned"))
    }
}

fn read_keys(path: &Path) -> Result<Vec<SigningKey>, LogError> {
    let keys = SigningKey::read_all(path)?;
    let kinds = keys.iter().map(|key| key.verifier().kind());
    let one_name = keys.windows(2).all(|two| two[0].verifier().name() == two[1].verifier().name());
    if kinds.eq(COSIGNING) && one_name {
        Ok(keys)
    } else {
        Err(LogError::damaged(path, "it does not hold a witness's keys"))
    }
}

/// Reads a checkpoint that this witness must have cosigned.
fn read_cosigned(path: &Path, name: &str, keys: &[SigningKey]) -> Result<Cosigned, LogError> {
    let damaged = |reason: String| LogError::damaged(path, reason);
    let note =
        Note::parse(&crate::disk::read_to_string(path)?).map_err(|e| damaged(e.to_string()))?;
    let checkpoint = parse_checkpoint(&note).map_err(|e| damaged(e.to_string()))?;
    let times = keys.iter().flat_map(|key| {
        let key = key.verifier();
        note.signatures_by(key).map(|signature| key.check(&note, &checkpoint, signature))
    });
    let times: Option<Vec<u64>> = times.map(|time| time.ok().flatten()).collect();
    match times.as_deref() {
        Some(&[time, again]) if time == again && hash_of(&checkpoint.origin) == name => {
            Ok(Cosigned { checkpoint, note, time })
        }
        _ => Err(damaged("it is no checkpoint that this witness cosigned".to_owned())),
    }
}

fn refuse(status: u16, reason: impl std::fmt::Display) -> Answer {
    Answer { status, content_type: PLAIN, body: format!("{reason}\n") }
}

fn hash_of(origin: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(origin))
}

fn is_origin_hash(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn key_path(dir: &Path) -> PathBuf {
    dir.join("witness.key")
}

fn logs_path(dir: &Path) -> PathBuf {
    dir.join("logs")
}

fn checkpoints_dir(dir: &Path) -> PathBuf {
    dir.join("checkpoints")
}

/// What is guarded changes in one step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a witness signs with, in the order of its key file.
const COSIGNING: [KeyKind; 2] = [KeyKind::CosignatureV1, KeyKind::MlDsa44];
const PLAIN: &str = "text/plain; charset=utf-8";
/// The media type of the size that a conflict is answered with.
const TREE_SIZE: &str = "text/x.tlog.size";
