//! The log and those who vouch for it: which checkpoint is handed to witnesses and authorities, and when.
//!
//! Appenders that wait for cosignatures share rounds as they share flushes: one of them takes the newest
//! checkpoint to the witnesses, and all whose entries are in it get the same cosigned note. Batches that are
//! committed meanwhile are for the next round.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;

use timemark_verify::merkle::{Hash, leaf_hash};
use timemark_verify::{Anchor, Checkpoint, DigestAlgorithm, Note, Policy, Receipt};

use crate::authority::{AuthorityClient, AuthorityError, Token};
use crate::cosign::{Cosigned, Cosigners};
use crate::disk::Disk;
use crate::endorse::Endorsement;
use crate::folder::read_tile;
use crate::sequencer::lock;
use crate::tree::{self, Tile, TileSource};
use crate::witness::{WitnessClient, WitnessError};
use crate::{Log, LogError};

/// Those who vouch for a log, and what its operator asks of them.
pub struct Endorsers {
    /// Which witnesses suffice.
    pub policy: Policy,
    /// The witnesses.
    pub witnesses: Vec<WitnessClient>,
    /// The time-stamp authorities.
    pub authorities: Vec<AuthorityClient>,
}

/// The log's side of it.
pub(crate) struct Endorsing {
    cosigners: Option<Cosigners>,
    clients: Vec<Arc<WitnessClient>>,
    authorities: Vec<AuthorityClient>,
    tolerance_seconds: u64,
    rounds: Mutex<Rounds>,
    round_ended: Condvar,
    /// The last failure of each who failed, by name.
    failures: Mutex<BTreeMap<String, String>>,
    /// Whether the witnesses were asked if they know of a longer log.
    asked_for_newer: Mutex<bool>,
}

#[derive(Default)]
struct Rounds {
    at_work: bool,
    /// The checkpoint of the last round, by its size, with what cosignatures it got.
    last: Option<(u64, Note)>,
}

/// What came of asking the authorities.
#[derive(Debug)]
pub struct Stamped {
    /// The size of the tree that was stamped.
    pub size: u64,
    /// The tokens.
    pub tokens: Vec<Token>,
    /// Why authorities gave none.
    pub failures: Vec<AuthorityError>,
    /// By how many seconds two of them disagree, where that is more than the policy tolerates.
    pub disagreement_seconds: Option<u64>,
}

impl Endorsing {
    pub fn start(disk: &Disk, dir: &std::path::Path, endorsers: Endorsers) -> Endorsing {
        let Endorsers { policy, witnesses, authorities } = endorsers;
        let clients: Vec<_> = witnesses.into_iter().map(Arc::new).collect();
        let tiles = TilesOnDisk { disk: disk.clone(), dir: dir.to_owned() };
        let tolerance_seconds = policy.tolerance_seconds();
        let prover = move |old, size| tree::consistency_proof(&tiles, old, size);
        let cosigners = (!clients.is_empty())
            .then(|| Cosigners::start(policy, clients.clone(), Arc::new(prover)));
        Endorsing {
            cosigners,
            clients,
            authorities,
            tolerance_seconds,
            rounds: Mutex::default(),
            round_ended: Condvar::new(),
            failures: Mutex::default(),
            asked_for_newer: Mutex::new(false),
        }
    }

    fn failed(&self, name: &str, error: &dyn std::error::Error) {
        lock(&self.failures).insert(name.to_owned(), error.to_string());
    }
}

/// The published tiles, which are complete before their checkpoint goes anywhere.
pub(crate) struct TilesOnDisk {
    pub disk: Disk,
    pub dir: std::path::PathBuf,
}

impl TileSource for TilesOnDisk {
    type Error = LogError;

    fn tile(&self, level: u8, index: u64, width: u16) -> Result<Arc<Tile>, LogError> {
        let hashes = read_tile(&self.disk, &self.dir, level, index, u64::from(width))?;
        Ok(Arc::new(Tile::new(hashes)))
    }
}

impl Log {
    /// The log with those who vouch for it: from now on receipts wait for cosignatures, for a while.
    pub fn endorsed_by(mut self, endorsers: Endorsers) -> Log {
        let some = !endorsers.witnesses.is_empty() || !endorsers.authorities.is_empty();
        self.endorsing = some.then(|| Endorsing::start(&self.disk, &self.dir, endorsers));
        self
    }

    /// What failed last with each witness or authority that failed, one sentence each.
    pub fn endorsers_failures(&self) -> Vec<String> {
        let failures =
            |endorsing: &Endorsing| lock(&endorsing.failures).values().cloned().collect();
        self.endorsing.as_ref().map(failures).unwrap_or_default()
    }

    /// The first checkpoint whose tree holds the entry and which a quorum cosigned that is one by the policy of
    /// today.
    pub(crate) fn first_by_quorum(&self, index: u64) -> Option<Arc<Endorsement>> {
        let cosigners = self.endorsing.as_ref().and_then(|endorsing| endorsing.cosigners.as_ref());
        let counts = |note: &Note| cosigners.is_none_or(|cosigners| cosigners.is_quorum(note));
        self.endorsements.first_by_quorum(index, &counts)
    }

    /// Whether a quorum of the witnesses has cosigned a tree that holds the entry; `None` where the log asks no
    /// witnesses.
    pub fn has_quorum(&self, index: u64) -> Option<bool> {
        self.endorsing.as_ref()?.cosigners.as_ref()?;
        Some(self.first_by_quorum(index).is_some())
    }

    /// Whether the log asks any witness.
    pub fn has_witnesses(&self) -> bool {
        self.endorsing.as_ref().is_some_and(|endorsing| endorsing.cosigners.is_some())
    }

    /// Whether an authority has stamped a checkpoint whose tree holds the entry.
    pub fn is_stamped(&self, index: u64) -> bool {
        self.endorsements.first_stamped(index).is_some()
    }

    /// Whether the log asks any time-stamp authority.
    pub fn has_authorities(&self) -> bool {
        self.endorsing.as_ref().is_some_and(|endorsing| !endorsing.authorities.is_empty())
    }

    /// The newest checkpoint that a quorum cosigned, and the newest that authorities stamped: note and tokens
    /// (TimeStampResps), as they were kept. What they say is for the reader to check.
    pub fn newest_endorsed(&self) -> [Option<(Note, Vec<Vec<u8>>)>; 2] {
        self.endorsements
            .newest()
            .map(|newest| newest.map(|newest| (newest.note.clone(), newest.timestamps.clone())))
    }

    /// Sees to it that this folder is not an old copy of the log, as far as the witnesses know: their newest
    /// checkpoint, signed by this log, must not be of a tree that is longer or another. Asked once.
    pub(crate) fn check_with_witnesses(&self) -> Result<(), LogError> {
        let Some(endorsing) = &self.endorsing else { return Ok(()) };
        let mut asked = lock(&endorsing.asked_for_newer);
        if *asked {
            return Ok(());
        }
        let origin = self.verifier().name();
        let newest: Vec<_> = thread::scope(|scope| {
            let ask = |client: &Arc<WitnessClient>| {
                let client = client.clone();
                scope.spawn(move || client.latest(origin))
            };
            let asking: Vec<_> = endorsing.clients.iter().map(ask).collect();
            asking.into_iter().filter_map(|asked| asked.join().ok()?.ok().flatten()).collect()
        });
        newest.iter().try_for_each(|note| self.check_not_behind(note))?;
        *asked = true;
        Ok(())
    }

    /// Refuses to go on where a checkpoint that bears this log's signature is not of this log's tree. What
    /// bears another signature says nothing.
    fn check_not_behind(&self, note: &Note) -> Result<(), LogError> {
        let Ok((seen, _)) = self.signed(&note.to_string()) else { return Ok(()) };
        let size = self.size();
        let same = seen.size <= size && tree::root(self, seen.size)? == seen.root;
        if same {
            return Ok(());
        }
        let error = LogError::OldCopy { seen: seen.size, size, note: note.to_string() };
        lock(&self.writer).stopped = Some(error.to_string());
        Err(error)
    }

    /// Has the witnesses cosign the newest tree, where no quorum has yet.
    pub fn cosign_newest(&self) {
        let size = self.size();
        let Some(endorsing) = self.endorsing.as_ref().filter(|_| size > 0) else { return };
        lock(&endorsing.rounds).last = None; // they may be back
        self.cosigned(size - 1);
    }

    /// The cosigned checkpoint for the receipt of an entry: the first one by a quorum whose tree holds it, or
    /// what cosignatures came in time.
    pub(crate) fn cosigned(&self, index: u64) -> Option<Note> {
        let endorsing = self.endorsing.as_ref()?;
        let cosigners = endorsing.cosigners.as_ref()?;
        let mut rounds = lock(&endorsing.rounds);
        loop {
            if let Some(first) = self.first_by_quorum(index) {
                return Some(first.note.clone());
            }
            match &rounds.last {
                Some((size, note)) if *size > index => return Some(note.clone()),
                _ if rounds.at_work => {
                    let waited = endorsing.round_ended.wait(rounds);
                    rounds = waited.unwrap_or_else(PoisonError::into_inner);
                    continue;
                }
                _ => {}
            }
            rounds.at_work = true;
            drop(rounds);
            let head = self.head();
            // A panic must not leave the others waiting.
            let round =
                AssertUnwindSafe(|| self.round(endorsing, cosigners, &head.note, head.size));
            let note = catch_unwind(round).unwrap_or_else(|_| head.note.clone());
            rounds = lock(&endorsing.rounds);
            rounds.at_work = false;
            rounds.last = Some((head.size, note));
            endorsing.round_ended.notify_all();
        }
    }

    /// One round: the witnesses cosign, and what makes a quorum is kept and published.
    fn round(&self, endorsing: &Endorsing, cosigners: &Cosigners, note: &Note, size: u64) -> Note {
        let Ok(Cosigned { note: cosigned, quorum, failures }) = cosigners.cosign(note) else {
            return note.clone();
        };
        for (number, failure) in &failures {
            let client = &endorsing.clients[*number];
            match failure {
                Some(failure) => endorsing.failed(client.name(), failure),
                None => {
                    let late = WitnessError::Late { name: client.name().to_owned() };
                    endorsing.failed(client.name(), &late);
                }
            }
            if let Some(WitnessError::Ahead { .. }) = failure
                && let Ok(Some(latest)) = client.latest(self.verifier().name())
                && let Err(error) = self.check_not_behind(&latest)
            {
                // Its word alone is nothing; our own signature is. The log has stopped.
                endorsing.failed(client.name(), &error);
            }
        }
        if quorum {
            let endorsement =
                Endorsement { size, note: cosigned.clone(), quorum, timestamps: Vec::new() };
            let kept = self.endorsements.keep(endorsement);
            if let Err(error) = kept.and_then(|()| self.publish_cosigned(&cosigned, size)) {
                endorsing.failed("checkpoint", &error);
            }
        }
        cosigned
    }

    /// Has every authority stamp the newest checkpoint. Two are better than one: they check each other.
    pub fn stamp(&self) -> Result<Option<Stamped>, LogError> {
        let Some(endorsing) = &self.endorsing else { return Ok(None) };
        let size = self.size();
        if endorsing.authorities.is_empty() || size == 0 {
            return Ok(None);
        }
        let cosigned = self.cosigned(size - 1);
        let note = cosigned.unwrap_or_else(|| self.checkpoint());
        let checkpoint = Checkpoint::of_note(&note)?;
        let answers: Vec<_> = thread::scope(|scope| {
            let message = note.text().as_bytes();
            let authorities = endorsing.authorities.iter();
            let asking: Vec<_> = authorities
                .map(|a| scope.spawn(move || a.stamp(DigestAlgorithm::Sha256, message)))
                .collect();
            asking.into_iter().filter_map(|asked| asked.join().ok()).collect()
        });
        let (mut tokens, mut failures) = (Vec::new(), Vec::new());
        for answer in answers {
            match answer {
                Ok(token) => tokens.push(token),
                Err(failure) => failures.push(failure),
            }
        }
        if !tokens.is_empty() {
            let quorum = endorsing.cosigners.as_ref().is_some_and(|c| c.is_quorum(&note));
            let timestamps = tokens.iter().map(|token| token.response.clone()).collect();
            let endorsement = Endorsement { size: checkpoint.size, note, quorum, timestamps };
            self.endorsements.keep(endorsement)?;
        }
        let times = || tokens.iter().map(|token| token.time);
        let spread = times().max().unwrap_or(0) - times().min().unwrap_or(0);
        let disagreement_seconds = Some(spread).filter(|&s| s > endorsing.tolerance_seconds);
        Ok(Some(Stamped { size: checkpoint.size, tokens, failures, disagreement_seconds }))
    }

    /// Adds to a receipt of this log what has been said of it since: cosignatures of a quorum, tokens.
    /// Returns whether there was anything.
    pub fn refresh(&self, receipt: &mut Receipt) -> Result<bool, LogError> {
        let index = self.index_of(receipt)?;
        // The newest tree goes to the witnesses, if no quorum has cosigned one that holds the entry.
        if let Some(endorsing) = &self.endorsing {
            lock(&endorsing.rounds).last = None; // they may be back
        }
        self.cosigned(index);
        self.add_endorsements(receipt)
    }

    /// As [`Log::refresh`], of what is known: nobody is asked.
    pub fn add_endorsements(&self, receipt: &mut Receipt) -> Result<bool, LogError> {
        let index = self.index_of(receipt)?;
        let leaf = leaf_hash(&receipt.leaf.to_bytes());
        let mut news = false;
        let found = [self.first_by_quorum(index), self.endorsements.first_stamped(index)];
        for endorsement in found.into_iter().flatten() {
            let mut anchor = self.anchor(index, leaf, endorsement.note.clone())?;
            anchor.timestamps = endorsement.timestamps.clone();
            news |= receipt.add(anchor);
        }
        Ok(news)
    }

    /// The entry of which this is a receipt.
    fn index_of(&self, receipt: &Receipt) -> Result<u64, LogError> {
        let origin = self.verifier().name();
        let ours = receipt.anchors.iter().find(|anchor| anchor.checkpoint().origin == origin);
        let index = ours.ok_or_else(|| LogError::NotOurs { origin: origin.to_owned() })?.index;
        self.check_index(index)?;
        let entry = self.entries_from(index)?.into_iter().next();
        if entry.is_none_or(|entry| entry.leaf != receipt.leaf.to_bytes()) {
            return Err(LogError::NotOurs { origin: origin.to_owned() });
        }
        Ok(index)
    }

    /// The anchor of an entry under this note, checked.
    pub(crate) fn anchor(&self, index: u64, leaf: Hash, note: Note) -> Result<Anchor, LogError> {
        let checkpoint = Checkpoint::of_note(&note)?;
        let proof = tree::inclusion_proof(self, index, checkpoint.size)?;
        // A receipt that does not verify is never handed out, whatever happened to the disk.
        let root =
            timemark_verify::merkle::root_from_inclusion(index, checkpoint.size, leaf, &proof);
        if root != Ok(checkpoint.root) {
            let reason = format!("the tree does not hold entry {index} as it was signed");
            return Err(LogError::damaged(&crate::tiles_dir(&self.dir), reason));
        }
        Ok(Anchor::new(index, proof, note)?)
    }
}
