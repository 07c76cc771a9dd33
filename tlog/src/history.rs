//! What a log's folder shows of its history, read without its lock and without private keys: is a checkpoint
//! seen elsewhere of this history, and has anything newer been signed?

use std::path::{Path, PathBuf};

use timemark_verify::merkle::{Hash, check_consistency};
use timemark_verify::{Checkpoint, KeyKind, Note, NoteSignature, VerifierKey};

use crate::claims::Checkpoints;
use crate::disk::Disk;
use crate::endorsing::TilesOnDisk;
use crate::folder::{checkpoints_path, signed, tiles_dir};
use crate::witness::{WitnessClient, WitnessError};
use crate::{Clock, LogError, LogKey, tree};

/// The published tree of a log. Another process may go on appending to it.
pub struct History {
    dir: PathBuf,
    key: LogKey,
    tiles: TilesOnDisk,
    note: Note,
    head: Checkpoint,
}

/// How a checkpoint stands to a log's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Its tree is the beginning of this one, or all of it.
    Held,
    /// The log signed it, for more entries than are here.
    Ahead,
    /// The log signed it, and its tree is not the beginning of this one.
    Forked {
        /// What the root of so many entries is here.
        root: Hash,
        /// Proves that root from that of the newest checkpoint (RFC 6962 section 2.1.2).
        proof: Vec<Hash>,
    },
    /// A key of the log signed it for a size at which it no longer, or not yet, spoke for the log.
    OutOfTime,
    /// No key of the log signed it, or a signature that names one is false.
    Foreign,
}

/// What a witness says when it is asked whether the newest checkpoint here is the newest.
#[derive(Debug)]
pub enum Newest {
    /// It has cosigned this very checkpoint now, which it would not do after a newer one.
    Confirmed(Vec<NoteSignature>),
    /// It holds a checkpoint of this log that is not of this history.
    Other {
        /// What it holds, signed by the log.
        note: Note,
        /// Ahead of this history or forked from it.
        standing: Standing,
    },
    /// It holds no checkpoint of this log, and this log has entries: it forgot, or was never asked.
    NeverSeen,
    /// It says, unproven, that it has cosigned more entries than are here.
    ClaimsMore(WitnessError),
    /// Nothing can be concluded from what it said, if it said anything.
    Silent(String),
}

impl History {
    /// The history in a log's folder, as these keys signed it. `key` needs no private halves.
    pub fn open(dir: &Path, key: LogKey) -> Result<History, LogError> {
        let disk = Disk::real();
        let path = tiles_dir(dir).join("checkpoint");
        let text = String::from_utf8_lossy(&disk.read(&path)?).into_owned();
        let (head, note) = signed(dir, &key, &text)?;
        let tiles = TilesOnDisk { disk, dir: dir.to_owned() };
        if tree::root(&tiles, head.size)? != head.root {
            let reason = format!("its tiles do not lead to the root signed at size {}", head.size);
            return Err(LogError::damaged(&tiles_dir(dir), reason));
        }
        Ok(History { dir: dir.to_owned(), key, tiles, note, head })
    }

    /// The newest checkpoint, as it is published.
    pub const fn newest(&self) -> &Note {
        &self.note
    }

    /// What the newest checkpoint says.
    pub const fn head(&self) -> &Checkpoint {
        &self.head
    }

    /// Every key that ever spoke for the log, the newest first.
    pub fn verifiers(&self) -> impl Iterator<Item = &VerifierKey> {
        self.key.all_verifiers().map(|(key, _)| key)
    }

    /// How a checkpoint stands to this history.
    pub fn standing(&self, note: &Note) -> Result<Standing, LogError> {
        let Ok(seen) = Checkpoint::of_note(note) else { return Ok(Standing::Foreign) };
        if !self.key.signed(&seen, note) {
            let ever = self.key.ever_signed(&seen, note);
            return Ok(if ever { Standing::OutOfTime } else { Standing::Foreign });
        }
        if seen.size > self.head.size {
            return Ok(Standing::Ahead);
        }
        // The tiles that give this root need not be those that gave the newest one.
        let root = tree::root(&self.tiles, seen.size)?;
        let proof = tree::consistency_proof(&self.tiles, seen.size, self.head.size)?;
        let (old, new) = ((seen.size, root), (self.head.size, self.head.root));
        check_consistency(old, new, &proof).map_err(|fault| {
            let reason =
                format!("its tiles do not prove the tree of {} entries: {fault}", seen.size);
            LogError::damaged(&tiles_dir(&self.dir), reason)
        })?;
        Ok(if root == seen.root { Standing::Held } else { Standing::Forked { root, proof } })
    }

    /// The checkpoint of so many entries that this log kept when it signed it, if it ever signed this size.
    pub fn kept(&self, size: u64) -> Result<Option<Note>, LogError> {
        if size == self.head.size {
            return Ok(Some(self.note.clone()));
        }
        for kept in Checkpoints::read_all(&self.tiles.disk, &checkpoints_path(&self.dir))? {
            let (_, text) = kept?;
            let (checkpoint, note) = signed(&self.dir, &self.key, &text)?;
            if checkpoint.size == size {
                return Ok(Some(note));
            }
        }
        Ok(None)
    }

    /// Asks a witness whether it knows of anything newer. What its monitoring endpoint shows may be an hour
    /// old, so that it only counts against this history; for it counts a cosignature made now.
    pub fn ask(&self, witness: &WitnessClient, clock: &Clock) -> Result<Newest, LogError> {
        let shown = match self.shown(witness)? {
            Shown::Silent(reason) => return Ok(Newest::Silent(reason)),
            Shown::Other(note, standing) => return Ok(Newest::Other { note, standing }),
            Shown::Nothing if self.head.size > 0 => return Ok(Newest::NeverSeen),
            shown => shown,
        };
        let prove = |old| tree::consistency_proof(&self.tiles, old, self.head.size);
        match (witness.cosign(&self.note, &prove), shown) {
            (Ok(cosignatures), _) => Ok(fresh(cosignatures, clock)),
            (Err(more @ WitnessError::Ahead { .. }), _) => Ok(match self.shown(witness)? {
                Shown::Other(note, standing) => Newest::Other { note, standing },
                _ => Newest::ClaimsMore(more),
            }),
            (Err(error), _) => Ok(Newest::Silent(error.to_string())),
        }
    }

    fn shown(&self, witness: &WitnessClient) -> Result<Shown, LogError> {
        let note = match witness.latest(&self.head.origin) {
            Err(error) => return Ok(Shown::Silent(error.to_string())),
            Ok(None) => return Ok(Shown::Nothing),
            Ok(Some(note)) => note,
        };
        Ok(match self.standing(&note)? {
            Standing::Held => Shown::Held,
            standing @ (Standing::Ahead | Standing::Forked { .. }) => Shown::Other(note, standing),
            Standing::OutOfTime | Standing::Foreign => {
                let name = witness.name();
                Shown::Silent(format!(
                    "witness {name} shows a checkpoint that this log did not sign"
                ))
            }
        })
    }
}

/// What a witness shows as the newest checkpoint of this log.
enum Shown {
    Nothing,
    Held,
    Other(Note, Standing),
    Silent(String),
}

/// A cosignature that somebody recorded earlier says nothing of now.
fn fresh(cosignatures: Vec<NoteSignature>, clock: &Clock) -> Newest {
    let Ok(now) = clock.now() else {
        return Newest::Silent(crate::ClockStepped.to_string());
    };
    let time =
        |signature: &NoteSignature| signature.bytes.first_chunk().map(|t| u64::from_be_bytes(*t));
    let apart = cosignatures.iter().filter_map(time).map(|time| now.abs_diff(time)).max();
    match apart {
        Some(seconds) if seconds <= FRESH_SECONDS_MAX => Newest::Confirmed(cosignatures),
        seconds => Newest::Silent(format!(
            "its cosignature is {} s away from this machine's clock, so that it may be an old one; \
             check the clock",
            seconds.unwrap_or_default()
        )),
    }
}

/// How far the clocks of a witness and of this machine may be apart.
const FRESH_SECONDS_MAX: u64 = 300;

impl LogKey {
    /// Whether a key of the log signed this, whatever sizes it speaks for.
    fn ever_signed(&self, checkpoint: &Checkpoint, note: &Note) -> bool {
        self.all_verifiers().any(|(key, _)| {
            let mut signatures = note.signatures_by(key);
            key.kind() == KeyKind::Ed25519
                && checkpoint.origin == key.name()
                && signatures.any(|signature| key.check(note, checkpoint, signature).is_ok())
        })
    }
}
