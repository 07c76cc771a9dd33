//! Is every byte of the log what it was when it was signed? Hashes everything on disk again.

use std::iter::Peekable;

use timemark_verify::merkle::{Hash, leaf_hash};
use timemark_verify::{Action, Claim, Leaf};

use crate::claims::{Checkpoints, CheckpointsReader};
use crate::folder::{checkpoints_path, put_entry, read_tile, tiles_dir};
use crate::sequencer::Entry;
use crate::tile::{TILE_WIDTH, TileId, entries_path};
use crate::tree::{Edge, tile_bytes};
use crate::{Log, LogError};

/// What an audit looked at, and what it found wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditReport {
    /// Entries hashed.
    pub entries: u64,
    /// Entries whose claim, or other text, was erased.
    pub claims_erased: u64,
    /// Tiles compared with what the entries give.
    pub tiles: u64,
    /// Checkpoints whose signature and root were checked.
    pub checkpoints: u64,
    /// What is wrong, one sentence each. Empty means that all is as it was signed.
    pub findings: Vec<String>,
}

impl Log {
    /// Hashes every entry, compares every tile, claim and signed checkpoint with the result, and hands each
    /// entry to `seen`. Memory does not grow with the log.
    ///
    /// Only what makes going on impossible is an error; everything else is a finding.
    pub fn audit(&self, seen: &mut dyn FnMut(&Entry)) -> Result<AuditReport, LogError> {
        let _still = self.hold_still();
        let mut report = AuditReport::default();
        let mut notes =
            Checkpoints::read_all(self.disk(), &checkpoints_path(self.dir()))?.peekable();
        let mut edge = Edge::default();
        let mut bundle = Vec::new();
        self.audit_checkpoints(&mut notes, &edge, &bundle, &mut report)?;
        loop {
            let entries = match self.entries_from(edge.size()) {
                Ok(entries) => entries,
                Err(error) => {
                    report.findings.push(format!("from entry {} on: {error}", edge.size()));
                    return Ok(report);
                }
            };
            if entries.is_empty() {
                break;
            }
            for entry in entries {
                // The first checkpoint that covers the entry is that of its batch.
                let batch = notes.peek().and_then(|note| note.as_ref().ok()).map(|(at, _)| *at);
                if batch != Some(entry.checkpoint_at) {
                    let fault = "it does not point to the checkpoint of its batch";
                    report.findings.push(format!("entry {}: {fault}", entry.index));
                }
                if entry.index.is_multiple_of(TILE_WIDTH) {
                    bundle.clear();
                    self.audit_claims(entry.index / TILE_WIDTH, &mut report)?;
                }
                self.audit_entry(&entry, &mut edge, &mut report);
                put_entry(&mut bundle, &entry.leaf);
                self.audit_checkpoints(&mut notes, &edge, &bundle, &mut report)?;
                seen(&entry);
            }
        }
        for (id, hashes) in edge.partial_tiles() {
            compare_tile(self, id, hashes, &mut report);
        }
        let published = self.disk().read_if_exists(&tiles_dir(self.dir()).join("checkpoint"))?;
        if published != Some(self.checkpoint().to_string().into_bytes()) {
            report.findings.push("the published checkpoint is not the newest".to_owned());
        }
        if notes.next().is_some() {
            report
                .findings
                .push("a checkpoint was signed for more entries than there are".to_owned());
        }
        let (checkpoint, _) = self.signed(&self.checkpoint().to_string())?;
        if (checkpoint.size, checkpoint.root) != (edge.size(), edge.root()) {
            report.findings.push("the newest checkpoint is not of the tree on disk".to_owned());
        }
        Ok(report)
    }

    /// Checks the checkpoints that were signed when the tree ended at this edge. A log signs sizes in
    /// ascending order.
    fn audit_checkpoints(
        &self,
        notes: &mut Peekable<CheckpointsReader>,
        edge: &Edge,
        bundle: &[u8],
        report: &mut AuditReport,
    ) -> Result<(), LogError> {
        let due = |note: &Result<(u64, String), LogError>| {
            note.as_ref().map_or(true, |(_, note)| signed_size(note) <= Some(edge.size()))
        };
        while let Some(note) = notes.next_if(due) {
            let (at, note) = match note {
                Ok(note) => note,
                Err(error) => {
                    report.findings.push(error.to_string());
                    continue;
                }
            };
            report.checkpoints += 1;
            self.audit_served(edge, bundle, report);
            let fault = match self.signed(&note) {
                Ok((signed, _)) if (signed.size, signed.root) == (edge.size(), edge.root()) => {
                    continue;
                }
                Ok(_) => "it is not of the tree on disk".to_owned(),
                Err(error) => error.to_string(),
            };
            report.findings.push(format!("the signed checkpoint at byte {at}: {fault}"));
        }
        Ok(())
    }

    fn audit_claims(&self, bundle: u64, report: &mut AuditReport) -> Result<(), LogError> {
        let count = (self.size() - bundle * TILE_WIDTH).min(TILE_WIDTH);
        if !self.claims().is_exact(bundle, count)? {
            report
                .findings
                .push(format!("bundle {bundle} of the claims holds something else as well"));
        }
        Ok(())
    }

    /// A published checkpoint needs its partial tiles until the full ones are there
    /// (c2sp.org/tlog-tiles).
    fn audit_served(&self, edge: &Edge, bundle: &[u8], report: &mut AuditReport) {
        let full_width = TILE_WIDTH as u16;
        let tiles = edge.partial_tiles().map(|(id, hashes)| {
            let full = TileId { width: full_width, ..id };
            (id.path(), full.path(), tile_bytes(hashes))
        });
        let (index, width) = (edge.size() / TILE_WIDTH, (edge.size() % TILE_WIDTH) as u16);
        let entries = (width > 0).then(|| {
            (entries_path(index, width), entries_path(index, full_width), bundle.to_vec())
        });
        let read = |path: &str| self.disk().read_if_exists(&tiles_dir(self.dir()).join(path));
        for (partial, full, expected) in tiles.chain(entries) {
            let fault = match read(&partial) {
                Ok(Some(bytes)) if bytes == expected => continue,
                Ok(Some(_)) => "not what the entries give",
                Ok(None) if matches!(read(&full), Ok(Some(_))) => continue,
                _ => "missing",
            };
            report.findings.push(format!("{partial} is {fault}"));
        }
    }

    fn audit_entry(&self, entry: &Entry, edge: &mut Edge, report: &mut AuditReport) {
        report.entries += 1;
        let mut full = Vec::new();
        edge.push(leaf_hash(&entry.leaf), &mut |id, hashes| full.push((id, hashes.to_vec())));
        for (id, hashes) in full {
            compare_tile(self, id, &hashes, report);
        }
        let Some(claim) = &entry.claim else {
            report.claims_erased += 1;
            return;
        };
        if Action::is_entry(&entry.leaf) {
            let fault = match Action::parse(claim) {
                Ok(action) if action.to_entry()[..] == entry.leaf[..] => return,
                Ok(_) => "its text is not the one that it commits to".to_owned(),
                Err(error) => error.to_string(),
            };
            report.findings.push(format!("entry {}: {fault}", entry.index));
            return;
        }
        let fault = match (Leaf::parse(&entry.leaf), Claim::parse(claim)) {
            (Err(error), _) => error.to_string(),
            (Ok(None), _) => return, // of a later kind
            (_, Err(error)) => error.to_string(),
            (Ok(Some(leaf)), Ok(claim)) if leaf == Leaf::of(&claim) => return,
            _ => "its claim is not the one that the leaf commits to".to_owned(),
        };
        report.findings.push(format!("entry {}: {fault}", entry.index));
    }
}

fn compare_tile(log: &Log, id: TileId, expected: &[Hash], report: &mut AuditReport) {
    report.tiles += 1;
    match read_tile(log.disk(), log.dir(), id.level, id.index, u64::from(id.width)) {
        Ok(hashes) if hashes == expected => {}
        Ok(_) => report.findings.push(format!("{} is not what the entries give", id.path())),
        Err(error) => report.findings.push(error.to_string()),
    }
}

/// The size that a note's text states, whoever signed it.
fn signed_size(note: &str) -> Option<u64> {
    note.lines().nth(1)?.parse().ok()
}
