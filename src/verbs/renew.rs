//! `timemark renew`: receipts that outlive their time-stamps and their digests (RFC 4998).

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::{Context, Result, bail, ensure};
use indicatif::ProgressBar;
use serde::Serialize;
use timemark_ingest::{Sighting, walk};
use timemark_tlog::AuthorityClient;
use timemark_verify::{
    Anchor, DigestAlgorithm, EvidenceRecord, HashTree, Policy, Receipt, RecordSubject,
    ReducedHashTree, RenewalTold, Renewed, Timestamp,
};

use crate::outcome::{Answer, error_words, json_text, legible, print_json, print_line, remark};
use crate::receipts::replace;
use crate::verbs::verify::read_receipt;
use crate::{progress, trust};

/// Renew receipts, so that they outlive the certificates of their time-stamps, or their digests
#[derive(clap::Args)]
pub(crate) struct Renew {
    /// Receipts, and folders with receipts
    #[arg(required = true)]
    receipts: Vec<PathBuf>,
    /// Renew each receipt as a whole under another digest than SHA-256, for the time when that one can no
    /// longer be relied on. Nothing is added to such a receipt any more but further renewals
    #[arg(long, value_name = "DIGEST")]
    hash: Option<Hash>,
    /// Whom to trust and to ask: a policy whose `tsa` lines have URLs. Without it, the archive's
    #[arg(long, value_name = "POLICY")]
    policy: Option<PathBuf>,
    /// Print JSON Lines
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Hash {
    Sha384,
    Sha512,
}

#[derive(Serialize)]
struct RenewJson {
    receipt: String,
    status: &'static str,
    /// The records that were begun or renewed.
    renewals: Vec<RenewalTold>,
    /// What could not be renewed beside them.
    not_renewed: Vec<String>,
    error: Option<String>,
}

/// The authorities that are asked, and the policy that judges what they say.
struct Authorities {
    policy: Policy,
    clients: Vec<AuthorityClient>,
}

/// A receipt that is to be renewed.
struct Plan {
    path: PathBuf,
    file: Vec<u8>,
    receipt: Receipt,
    places: Vec<Place>,
}

/// Where in a receipt records belong: to an anchor, or to the receipt as a whole.
struct Place {
    anchor: Option<usize>,
    data: Vec<u8>,
    /// The records that are there.
    known: Vec<(usize, Draft)>,
    /// With what new ones may begin, best first.
    new: Vec<Draft>,
}

/// A record before its next token.
struct Draft {
    before: Option<EvidenceRecord>,
    /// Another digest algorithm than before.
    rehash: bool,
    algorithm: DigestAlgorithm,
    /// What the token must be about.
    message: Vec<u8>,
}

impl Renew {
    pub fn run(&self, archive: &Path) -> Result<Answer> {
        let authorities = self.authorities(archive)?;
        let mut all_well = true;
        let bar = progress::growing("renewing");
        let (mut batch, mut bytes, mut seen) = (Vec::new(), 0, HashSet::new());
        for (path, sighted) in self.receipts.iter().flat_map(|root| receipts_below(root)) {
            bar.inc_length(1);
            let read = sighted.and_then(|()| Ok(fs::canonicalize(&path)?));
            let plan = match read {
                // Named twice, it is renewed once.
                Ok(real) if seen.contains(&real) => continue,
                Ok(real) => {
                    seen.insert(real);
                    self.plan(&path, &authorities.policy)
                }
                Err(error) => Err(error),
            };
            match plan {
                Ok(plan) => {
                    bytes += plan.file.len();
                    batch.push(plan);
                }
                Err(error) => {
                    all_well = false;
                    bar.suspend(|| self.print(&RenewJson::failed(&path, error)))?;
                }
            }
            if bytes >= BATCH_BYTES {
                all_well &= self.renew(std::mem::take(&mut batch), &authorities, &bar)?;
                bytes = 0;
            }
        }
        all_well &= self.renew(batch, &authorities, &bar)?;
        bar.finish_and_clear();
        Ok(if all_well { Answer::Yes } else { Answer::No })
    }

    fn authorities(&self, archive: &Path) -> Result<Authorities> {
        let policy = match &self.policy {
            Some(path) => {
                let file = fs::read(path).with_context(|| path.display().to_string())?;
                Policy::parse(&file).with_context(|| path.display().to_string())?
            }
            None => trust::policy(archive)?,
        };
        let clients: Vec<AuthorityClient> = policy
            .authorities()
            .iter()
            .filter_map(|known| {
                Some(AuthorityClient::new(known.authority.clone(), known.url.as_ref()?))
            })
            .collect();
        ensure!(
            !clients.is_empty(),
            "the policy names no authority to ask; a line `tsa <name> <certificate> <url>` does"
        );
        if clients.len() == 1 {
            remark(
                "one authority alone renews; two would vouch for each other (RFC 4998 section 7)",
            );
        }
        Ok(Authorities { policy, clients })
    }

    /// What of a receipt must be time-stamped.
    fn plan(&self, path: &Path, policy: &Policy) -> Result<Plan> {
        let file = read_receipt(path)?;
        let receipt = Receipt::parse(&file)?;
        let cosigned = |anchor: &Anchor| policy.is_cosigned(anchor.note(), anchor.checkpoint());
        ensure!(
            self.hash.is_none() || receipt.anchors.iter().any(cosigned),
            "it lacks the quorum of witnesses, which could not be added afterwards; `timemark receipt refresh` \
             adds it"
        );
        let places = match self.hash {
            // What is above a record about the whole receipt stays as it is.
            None if receipt.records.is_empty() => {
                (0..receipt.anchors.len()).filter_map(|at| Place::of_anchor(&receipt, at)).collect()
            }
            hash => vec![Place::of_whole(&receipt, hash.map(Hash::algorithm))],
        };
        let something = |place: &Place| !place.known.is_empty() || !place.new.is_empty();
        ensure!(
            places.iter().any(something),
            "it has no time-stamp that could be renewed; --hash sha512 renews it as a whole"
        );
        Ok(Plan { path: path.to_owned(), file, receipt, places })
    }

    /// Has everything time-stamped at once, and writes the receipts. Returns whether all went well.
    fn renew(
        &self,
        batch: Vec<Plan>,
        authorities: &Authorities,
        bar: &ProgressBar,
    ) -> Result<bool> {
        let stamps = Stamps::over(&batch, &authorities.clients)?;
        if self.hash.is_some() {
            stamps.remark_weak();
        }
        let mut all_well = stamps.complete;
        for plan in batch {
            let path = plan.path.clone();
            let line = match plan.carry_out(&stamps, &authorities.policy) {
                Ok(line) => line,
                Err(error) => RenewJson::failed(&path, error),
            };
            all_well &= line.error.is_none() && line.not_renewed.is_empty();
            bar.suspend(|| self.print(&line))?;
            bar.inc(1);
        }
        Ok(all_well)
    }

    fn print(&self, line: &RenewJson) -> Result<()> {
        if self.json {
            return print_json(line);
        }
        for reason in &line.not_renewed {
            remark(&format!("{}: not renewed: {reason}", line.receipt));
        }
        print_line(&line.words())
    }
}

/// The receipts at or below a path: whatever file is named itself, and what bears a receipt's name in a folder.
fn receipts_below(root: &Path) -> impl Iterator<Item = (PathBuf, Result<()>)> {
    walk(root).filter_map(move |sighting| match sighting {
        Ok(Sighting::Receipt(path)) => Some((path, Ok(()))),
        Ok(Sighting::File(found)) => {
            let named = found.path.extension().is_some_and(|e| e == Receipt::FILE_EXTENSION);
            (named || found.path == root).then_some((found.path, Ok(())))
        }
        Ok(Sighting::Archive(path)) => {
            let is_file = path.is_file();
            (path == root && is_file).then_some((path, Ok(())))
        }
        Err(error) => Some((error.path.clone(), Err(error.into()))),
    })
}

impl Place {
    /// The records of an anchor: one that is there goes on, a new one begins with a token of the anchor.
    fn of_anchor(receipt: &Receipt, at: usize) -> Option<Place> {
        let anchor = receipt.anchors.get(at)?;
        let data = anchor.note().text().as_bytes().to_vec();
        let mut tokens: Vec<Timestamp> = anchor
            .timestamps
            .iter()
            .filter_map(|response| Timestamp::of_response(response).ok())
            .filter(|timestamp| timestamp.covers(&data))
            .collect();
        tokens.sort_by_key(|timestamp| (timestamp.time(), timestamp.time_nanos()));
        let begin = |token| EvidenceRecord::new(token, ReducedHashTree::default());
        let place = Place {
            anchor: Some(at),
            known: readable(&anchor.records).map(|(at, r)| (at, Draft::renewal(r))).collect(),
            new: tokens.into_iter().map(|token| Draft::renewal(begin(token))).collect(),
            data,
        };
        (!anchor.timestamps.is_empty() || !place.known.is_empty()).then_some(place)
    }

    /// The records about the receipt as a whole. Without a digest, those that are there go on.
    fn of_whole(receipt: &Receipt, hash: Option<DigestAlgorithm>) -> Place {
        let data = receipt.record_data().into_bytes();
        let go_on = |(at, record): (usize, EvidenceRecord)| match hash {
            Some(hash) if hash != record.algorithm() => {
                let message = record.rehash_message(hash, &data);
                (at, Draft { before: Some(record), rehash: true, algorithm: hash, message })
            }
            _ => (at, Draft::renewal(record)),
        };
        let first = hash.or_else(|| Some(readable(&receipt.records).next()?.1.algorithm()));
        let new =
            |algorithm| Draft { before: None, rehash: false, algorithm, message: data.clone() };
        Place {
            anchor: None,
            known: readable(&receipt.records).map(go_on).collect(),
            new: first.map(new).into_iter().collect(),
            data,
        }
    }

    fn subject(&self) -> RecordSubject {
        match self.anchor {
            Some(_) => RecordSubject::Checkpoint,
            None => RecordSubject::Receipt,
        }
    }

    fn drafts(&self) -> impl Iterator<Item = &Draft> {
        self.known.iter().map(|(_, draft)| draft).chain(&self.new)
    }

    /// Renews the records that are there and begins new ones until each authority has its own. Adds what does
    /// not hold, and why, to the faults.
    fn renew(
        &self,
        records: &mut Vec<Vec<u8>>,
        stamps: &Stamps,
        policy: &Policy,
        faults: &mut Vec<String>,
    ) -> Vec<Renewed> {
        let mut renewed: Vec<Renewed> = Vec::new();
        let mut try_draft = |draft: &Draft, turn| {
            let result = stamps.complete(draft, turn, &self.data).and_then(|record| {
                let renewed = policy.follow(&record, self.subject(), &self.data)?;
                Ok((record.to_der(), renewed))
            });
            result.map_err(|fault| faults.push(error_words(fault))).ok()
        };
        for (at, draft) in &self.known {
            if let (Some(record), Some((der, holds))) =
                (records.get_mut(*at), try_draft(draft, renewed.len()))
            {
                *record = der;
                renewed.push(holds);
            }
        }
        while renewed.len() < stamps.authorities && records.len() < Receipt::RECORDS_MAX {
            let begun = self.new.iter().find_map(|draft| try_draft(draft, renewed.len()));
            let Some((der, holds)) = begun else { break };
            records.push(der);
            renewed.push(holds);
        }
        renewed
    }
}

/// The records that can be read, and where they stand.
fn readable(records: &[Vec<u8>]) -> impl Iterator<Item = (usize, EvidenceRecord)> {
    let records = records.iter().enumerate();
    records.filter_map(|(at, der)| Some((at, EvidenceRecord::parse(der).ok()?)))
}

impl Draft {
    fn renewal(record: EvidenceRecord) -> Draft {
        let message = record.renewal_message().to_vec();
        let algorithm = record.algorithm();
        Draft { before: Some(record), rehash: false, algorithm, message }
    }
}

impl Plan {
    /// Renews the receipt and puts it in its file's place, unless that is another one by now.
    fn carry_out(mut self, stamps: &Stamps, policy: &Policy) -> Result<RenewJson> {
        let (mut renewals, mut not_renewed) = (Vec::new(), Vec::new());
        for place in &self.places {
            let records = match place.anchor {
                Some(at) => &mut self.receipt.anchors[at].records,
                None => &mut self.receipt.records,
            };
            let mut faults = Vec::new();
            let renewed = place.renew(records, stamps, policy, &mut faults);
            faults.dedup();
            if renewed.is_empty() {
                let name = place.anchor.map(|at| format!("anchor {}: ", at + 1));
                let fault = faults.into_iter().next().unwrap_or_else(|| "no room".to_owned());
                not_renewed.push(format!("{}{fault}", name.unwrap_or_default()));
            }
            renewals.extend(renewed.iter().map(RenewalTold::of));
        }
        if renewals.is_empty() {
            bail!("{}", not_renewed.join("; "));
        }
        // Read as whoever is to rely on it will.
        let written = self.receipt.to_string();
        ensure!(Receipt::parse(written.as_bytes())? == self.receipt, "it would become unreadable");
        let path = fs::canonicalize(&self.path)?;
        ensure!(read_receipt(&path)? == self.file, "it was changed meanwhile; renew it again");
        replace(&path, &self.receipt)?;
        let receipt = path_text(&self.path);
        Ok(RenewJson { receipt, status: "renewed", renewals, not_renewed, error: None })
    }
}

/// The tokens of a batch: for each digest algorithm a tree, and a token of each authority over it.
struct Stamps {
    trees: BTreeMap<DigestAlgorithm, Tree>,
    /// How many authorities gave all their tokens.
    authorities: usize,
    /// Whether all of them did.
    complete: bool,
}

struct Tree {
    tree: HashTree,
    /// Which group of the tree a message is.
    groups: BTreeMap<Vec<u8>, usize>,
    tokens: Vec<timemark_tlog::Token>,
}

impl Stamps {
    /// Asks every authority for one token per digest algorithm.
    fn over(batch: &[Plan], clients: &[AuthorityClient]) -> Result<Stamps> {
        let mut messages: BTreeMap<DigestAlgorithm, BTreeMap<Vec<u8>, usize>> = BTreeMap::new();
        for draft in batch.iter().flat_map(|plan| &plan.places).flat_map(Place::drafts) {
            let groups = messages.entry(draft.algorithm).or_default();
            let next = groups.len();
            groups.entry(draft.message.clone()).or_insert(next);
        }
        let mut trees = BTreeMap::new();
        for (algorithm, groups) in messages {
            let mut ordered: Vec<(&[u8], usize)> =
                groups.iter().map(|(message, &group)| (&message[..], group)).collect();
            ordered.sort_unstable_by_key(|(_, group)| *group);
            let singles: Vec<[&[u8]; 1]> = ordered.iter().map(|(message, _)| [*message]).collect();
            let slices: Vec<&[&[u8]]> = singles.iter().map(|single| &single[..]).collect();
            let tree = HashTree::new(algorithm, &slices)?;
            trees.insert(algorithm, Tree { tree, groups, tokens: Vec::new() });
        }
        let answers: Vec<Result<Vec<timemark_tlog::Token>, _>> = thread::scope(|scope| {
            let ask = |client: &AuthorityClient| {
                trees
                    .iter()
                    .map(|(&algorithm, tree)| client.stamp(algorithm, &tree.root()))
                    .collect()
            };
            let asking: Vec<_> =
                clients.iter().map(|client| scope.spawn(move || ask(client))).collect();
            asking.into_iter().filter_map(|asked| asked.join().ok()).collect()
        });
        let mut stamps = Stamps { trees, authorities: 0, complete: answers.len() == clients.len() };
        for answer in answers {
            match answer {
                Ok(tokens) => {
                    stamps.authorities += 1;
                    for (tree, token) in stamps.trees.values_mut().zip(tokens) {
                        tree.tokens.push(token);
                    }
                }
                Err(error) => {
                    stamps.complete = false;
                    remark(&error_words(error));
                }
            }
        }
        ensure!(
            stamps.trees.is_empty() || stamps.authorities > 0,
            "no authority gave a time-stamp"
        );
        Ok(stamps)
    }

    /// The record with the token of the authority whose turn it is.
    fn complete(&self, draft: &Draft, turn: usize, data: &[u8]) -> Result<EvidenceRecord> {
        let tree = self.trees.get(&draft.algorithm).context("no tree of this digest")?;
        let token = &tree.tokens[turn % tree.tokens.len()];
        let timestamp = Timestamp::of_response(&token.response)?;
        let group = tree.groups.get(&draft.message).context("not in the tree")?;
        let reduced = tree.tree.reduced(*group).context("not in the tree")?;
        let Some(mut record) = draft.before.clone() else {
            return Ok(EvidenceRecord::new(timestamp, reduced));
        };
        if draft.rehash {
            record.rehash(timestamp, reduced, &[data])?;
        } else {
            record.renew(timestamp, reduced)?;
        }
        Ok(record)
    }

    /// Says which tokens will not outlive SHA-256, whatever their imprint.
    fn remark_weak(&self) {
        let tokens = self.trees.values().flat_map(|tree| &tree.tokens);
        for token in tokens.filter(|t| t.digests.contains(&DigestAlgorithm::Sha256)) {
            remark(&format!(
                "the authority {} signs over SHA-256, or its certificates are signed so: what it renews must \
                 be renewed by another before SHA-256 ages",
                token.authority
            ));
        }
    }
}

impl Tree {
    /// What the authorities are asked to stamp.
    fn root(&self) -> Vec<u8> {
        let only = || self.groups.keys().next().cloned().unwrap_or_default();
        self.tree.root_message().unwrap_or_else(only)
    }
}

impl RenewJson {
    fn failed(path: &Path, error: anyhow::Error) -> RenewJson {
        RenewJson {
            receipt: path_text(path),
            status: "error",
            renewals: Vec::new(),
            not_renewed: Vec::new(),
            error: Some(error_words(error)),
        }
    }

    fn words(&self) -> String {
        let receipt = legible(&self.receipt);
        if let Some(error) = &self.error {
            return format!("error       {receipt}: {}", legible(error));
        }
        // Times of one form, so that the first in order is the earliest.
        let before = self.renewals.iter().filter_map(|r| r.renew_before.as_deref()).min();
        let count = self.renewals.len();
        format!("renewed     {receipt}  {count} records  again before {}", before.unwrap_or("-"))
    }
}

impl Hash {
    fn algorithm(self) -> DigestAlgorithm {
        match self {
            Hash::Sha384 => DigestAlgorithm::Sha384,
            Hash::Sha512 => DigestAlgorithm::Sha512,
        }
    }
}

fn path_text(path: &Path) -> String {
    json_text(path.as_os_str().as_encoded_bytes())
}

/// Receipts whose renewals share one token: as many as fit well into memory, some ten thousand.
const BATCH_BYTES: usize = 128 << 20;
