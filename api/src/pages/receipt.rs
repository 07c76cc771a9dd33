//! What a page shows of a receipt: how far it has come, what it proves, and its proof as a drawing.

use timemark_ingest::{Fate, names_nobody};
use timemark_verify::{Act, AnchorTold, Claim, Outcome, Receipt, seconds_of_utc};

use super::drawing;
use super::frame::{Frame, grouped, outside};
use super::timeline::{self, Row};
use super::words::{Words, say};
use crate::Problem;
use crate::receipts::newest;
use crate::service::Service;

/// A claim upon a work, with what proves it.
pub(super) struct Seen {
    pub index: u64,
    pub claimant: Option<String>,
    pub title: Option<String>,
    pub created: Option<String>,
    pub rights: Option<String>,
    pub collection: Option<String>,
    pub file: Option<String>,
    pub creator_key: Option<String>,
    pub fingerprints: Vec<(String, String)>,
    /// What became of it, and what it does to another; each in a sentence.
    pub fate: Vec<String>,
    /// Whether it is what is claimed now.
    pub stands: bool,
    /// Whether it says nothing but which work it is about.
    pub is_nameless: bool,
    pub proof: Proof,
}

/// What a receipt proves.
pub(super) struct Proof {
    /// `verified`, `undecided` or `refused`.
    pub verdict: &'static str,
    /// The verdict in a sentence.
    pub reason: String,
    /// By when the work existed, in words.
    pub existed_by: Option<String>,
    pub existed_at: Option<String>,
    /// Whether it has a time-stamp that can be had alone.
    pub has_token: bool,
    /// Names that the files of the receipt are to have.
    pub name: String,
    pub receipt_name: String,
    pub certificate_name: String,
    pub drawing: Option<Drawing>,
    outcome: Outcome,
}

/// A proof as a drawing, and in words for who sees none.
pub(super) struct Drawing {
    pub svg: String,
    pub hint: String,
    pub steps: Vec<DrawnStep>,
}

pub(super) struct DrawnStep {
    pub side: &'static str,
    pub sibling: String,
    pub parent: String,
}

impl Seen {
    /// The claim of this entry.
    pub fn of(
        index: u64,
        claim: &Claim,
        service: &Service,
        frame: &Frame,
    ) -> Result<Seen, Problem> {
        let text = |text: &Option<String>| text.as_deref().map(outside);
        let file = claim.path.as_deref().map(String::from_utf8_lossy);
        let receipt = newest(index, &service.engine)?;
        let name = file.as_deref().or(claim.title.as_deref()).unwrap_or("work");
        let fate = service.engine.amended(index).map_err(Problem::internal)?;
        let became = fate.corrected_by.is_some() || fate.withdrawn_by.is_some();
        Ok(Seen {
            index,
            stands: !became && !claim.is_withdrawal(),
            is_nameless: claim.is_withdrawal() && names_nobody(claim),
            fate: sentences(claim, fate, frame.words()),
            claimant: text(&claim.claimant),
            title: text(&claim.title),
            created: text(&claim.created),
            rights: text(&claim.rights),
            collection: text(&claim.collection),
            creator_key: claim.creator.map(|c| data_encoding::HEXLOWER.encode(&c.key)),
            fingerprints: claim
                .fingerprints
                .iter()
                .map(|f| (f.kind().to_owned(), f.value().to_owned()))
                .collect(),
            proof: Proof::of(&receipt, name, service, frame),
            file: file.as_deref().map(outside),
        })
    }

    /// What the timeline says of it where there are other claims beside it.
    pub fn row(&self, frame: &Frame) -> Row {
        let w = frame.words();
        let who = self.claimant.as_deref().unwrap_or(w.none);
        let created = self.created.as_deref().map(|c| format!("{} {c}", w.event_created));
        let existed = self.proof.existed_at.as_deref();
        let existed = existed.map(|time| say(w.existed_by, &[&plain(time)]));
        let when = existed.or(created).unwrap_or(w.no_times.to_owned());
        Row {
            what: say(w.event_claim, &[&grouped(self.index), &who]),
            when,
            claimed: self.created.as_deref().and_then(timeline::interval),
            proven: self.proof.times(),
            remark: None,
        }
    }

    /// What the timeline says of it where it is alone: an event a line.
    pub fn rows(&self, frame: &Frame) -> Vec<Row> {
        let w = frame.words();
        let mut rows = Vec::new();
        if let Some(created) = &self.created {
            let claimed = timeline::interval(created);
            rows.push(Row {
                what: w.event_created.to_owned(),
                when: created.clone(),
                claimed,
                proven: Vec::new(),
                remark: claimed.is_none().then_some(w.event_unreadable),
            });
        }
        let outcome = &self.proof.outcome;
        let mut proven = |what: String, time: &str| {
            let when = plain(time);
            let proven = seconds_of_utc(time).into_iter().collect();
            rows.push(Row { what, when, claimed: None, proven, remark: None });
        };
        for witness in &outcome.witnesses {
            if let Some(time) = &witness.time {
                proven(say(w.event_witness, &[&outside(&witness.name)]), time);
            }
        }
        for token in &outcome.timestamps {
            proven(say(w.event_authority, &[&outside(&token.authority)]), &token.time);
        }
        for token in outcome.renewals.iter().flat_map(|renewal| &renewal.timestamps) {
            proven(say(w.event_renewed, &[&outside(&token.authority)]), &token.time);
        }
        rows
    }
}

/// What became of a claim, and what it does to another.
fn sentences(claim: &Claim, fate: Fate, w: &Words) -> Vec<String> {
    let a = w.amending;
    let told = |words, index: Option<u64>| Some(say(words, &[&w.entry_number(&index?)]));
    let amends = |act| claim.amends.filter(|amends| amends.act == act).map(|amends| amends.index);
    [
        told(a.withdraws, amends(Act::Withdraws)),
        told(a.corrects, amends(Act::Corrects)),
        told(a.corrected_by, fate.corrected_by.filter(|_| fate.withdrawn_by.is_none())),
        told(a.withdrawn_by, fate.withdrawn_by),
    ]
    .into_iter()
    .flatten()
    .collect()
}

impl Proof {
    fn of(receipt: &Receipt, name: &str, service: &Service, frame: &Frame) -> Proof {
        let outcome = Outcome::of_receipt_alone(receipt, Some(service.trust()));
        let outcome = outcome.explained(None, name, receipt, Some(&service.policy));
        // The one that says most: signed by most, stamped by most.
        let most = |anchor: &&AnchorTold| anchor.signatures.len() + 2 * anchor.timestamps.len();
        let anchor = outcome.anchors.iter().max_by_key(most);
        let sha256 = data_encoding::HEXLOWER.encode(&receipt.claim.work.sha256);
        Proof {
            verdict: outcome.verdict.name(),
            reason: frame.either(&outcome.reason, &outcome.reason_zh).to_owned(),
            existed_by: outcome
                .existed_by
                .as_deref()
                .map(|time| say(frame.words().existed_by, &[&frame.moment(time)])),
            existed_at: outcome.existed_by.clone(),
            has_token: receipt.anchors.iter().any(|anchor| !anchor.timestamps.is_empty()),
            name: name.to_owned(),
            receipt_name: format!("{name}.{}", Receipt::FILE_EXTENSION),
            certificate_name: format!("{name}.certificate.pdf"),
            drawing: anchor.map(|anchor| Drawing::of(anchor, name, &sha256, frame)),
            outcome,
        }
    }

    /// Who vouches for the time by which the work existed.
    pub fn vouched_by(&self, frame: &Frame) -> Option<String> {
        let w = frame.words();
        let existed = self.existed_at.as_deref()?;
        let outcome = &self.outcome;
        let renewed = outcome.renewals.iter().flat_map(|renewal| &renewal.timestamps);
        let mut tokens = outcome.timestamps.iter().chain(renewed);
        let token = tokens.find(|token| token.time == existed);
        let is_it = |time: &Option<String>| time.as_deref() == Some(existed);
        let witness = || outcome.witnesses.iter().find(|witness| is_it(&witness.time));
        match token {
            Some(token) => Some(say(w.event_authority, &[&outside(&token.authority)])),
            None => witness().map(|witness| say(w.event_witness, &[&outside(&witness.name)])),
        }
    }

    /// Every time that somebody trusted vouches for.
    fn times(&self) -> Vec<u64> {
        let outcome = &self.outcome;
        let witnesses = outcome.witnesses.iter().filter_map(|witness| witness.time.as_deref());
        let tokens = outcome.timestamps.iter().map(|token| &*token.time);
        witnesses.chain(tokens).filter_map(seconds_of_utc).collect()
    }
}

/// A time as short as it can be said, for drawings.
pub(super) fn plain(time: &str) -> String {
    format!("{} UTC", time.replace('T', " ").replace('Z', ""))
}

impl Drawing {
    fn of(anchor: &AnchorTold, name: &str, sha256: &str, frame: &Frame) -> Drawing {
        let w = frame.words();
        let step = |step: &timemark_verify::PathTold| DrawnStep {
            side: if step.side == "left" { w.step_side_left } else { w.step_side_right },
            sibling: step.sibling.clone(),
            parent: step.parent.clone(),
        };
        Drawing {
            svg: drawing::proof(anchor, name, sha256, frame),
            hint: say(w.proof_hint, &[&anchor.path.len(), &grouped(anchor.size)]),
            steps: anchor.path.iter().map(step).collect(),
        }
    }
}
