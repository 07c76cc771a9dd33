//! What webhooks tell of an archive: read from its log and from what its scans left, which hold it whatever becomes of who
//! is told.
//!
//! The data says which entry or match it is, and nothing that somebody claimed: a claim may be erased, and a delivery that was sent
//! and kept must not be one more place to look for it.

use std::error::Error;
use std::sync::Arc;

use serde_json::json;
use timemark_hooks::{Event, EventKind, Happened, Source, event_id};
use timemark_ingest::Engine;
use timemark_review::Review;
use timemark_verify::Leaf;

type Boxed = Box<dyn Error + Send + Sync>;

/// Everything that can be heard of.
pub(crate) fn sources(engine: &Arc<Engine>, review: &Arc<Review>) -> Vec<Box<dyn Source>> {
    let (origin, of) = (engine.log.verifier().name().to_owned(), review.clone());
    vec![
        Box::new(Registered(engine.clone())),
        Box::new(Finalised(engine.clone())),
        Box::new(Found { origin: origin.clone(), review: of.clone() }),
        Box::new(Decided { origin, review: of }),
    ]
}

/// `work.registered`: the works of the log, whose place is the number of an entry.
struct Registered(Arc<Engine>);

impl Source for Registered {
    fn name(&self) -> &'static str {
        "registered"
    }

    fn kind(&self) -> EventKind {
        EventKind::WorkRegistered
    }

    fn end(&self) -> Result<u64, Boxed> {
        Ok(self.0.log.size())
    }

    fn since(&self, cursor: u64) -> Result<Happened, Boxed> {
        works(&self.0, self.kind(), cursor, self.0.log.size())
    }
}

/// `receipt.finalised`: the same works, once those whom the log asks vouch for them. A tree that somebody vouches for holds
/// every earlier entry, so that these come in the order of their numbers as well.
struct Finalised(Arc<Engine>);

impl Source for Finalised {
    fn name(&self) -> &'static str {
        "finalised"
    }

    fn kind(&self) -> EventKind {
        EventKind::ReceiptFinalised
    }

    /// The first entry that is not final yet.
    fn end(&self) -> Result<u64, Boxed> {
        let (mut final_below, mut not_final_from) = (0, self.0.log.size());
        while final_below < not_final_from {
            let middle = final_below + (not_final_from - final_below) / 2;
            if vouched_for(&self.0, middle).is_some() {
                final_below = middle + 1;
            } else {
                not_final_from = middle;
            }
        }
        Ok(final_below)
    }

    fn since(&self, cursor: u64) -> Result<Happened, Boxed> {
        if cursor >= self.0.log.size() || vouched_for(&self.0, cursor).is_none() {
            return Ok(Happened { events: Vec::new(), next: cursor });
        }
        works(&self.0, self.kind(), cursor, self.end()?)
    }
}

/// `match.found`: what scans found, whose place is the number of the match.
struct Found {
    origin: String,
    review: Arc<Review>,
}

impl Source for Found {
    fn name(&self) -> &'static str {
        "found"
    }

    fn kind(&self) -> EventKind {
        EventKind::MatchFound
    }

    fn end(&self) -> Result<u64, Boxed> {
        Ok(self.review.last_found()? + 1)
    }

    fn since(&self, cursor: u64) -> Result<Happened, Boxed> {
        let mut happened = Happened { events: Vec::new(), next: cursor };
        for (place, found) in self.review.found_from(cursor, READ_AT_ONCE)? {
            let id = event_id(&self.origin, self.kind(), found.id.text());
            let mut data = json!({
                "match": format!("/v1/matches/{}", found.id.text()),
                "scan": format!("/v1/scans/{}", found.scan),
                "work": found.finding.work,
                "index": found.finding.index,
                "suspect": found.suspect,
            });
            if let Some(time) = found.finding.rematched_at {
                data["rematched_at"] = time.into();
            }
            happened.events.push(Event { id, kind: self.kind(), data });
            happened.next = place + 1;
        }
        Ok(happened)
    }
}

/// `match.verdict`: what people decided and took back, in the order in which they did.
struct Decided {
    origin: String,
    review: Arc<Review>,
}

impl Source for Decided {
    fn name(&self) -> &'static str {
        "decided"
    }

    fn kind(&self) -> EventKind {
        EventKind::MatchVerdict
    }

    fn end(&self) -> Result<u64, Boxed> {
        Ok(self.review.last_decided()? + 1)
    }

    fn since(&self, cursor: u64) -> Result<Happened, Boxed> {
        let mut happened = Happened { events: Vec::new(), next: cursor };
        for (place, id, decided) in self.review.decided_from(cursor, READ_AT_ONCE)? {
            let data = json!({
                "match": format!("/v1/matches/{}", id.text()),
                "act": decided.act,
                "verdict": decided.decision.verdict.name(),
                "entry": decided.decision.entry,
            });
            let id = event_id(&self.origin, self.kind(), &place.to_string());
            happened.events.push(Event { id, kind: self.kind(), data });
            happened.next = place + 1;
        }
        Ok(happened)
    }
}

/// Who vouches for an entry beside the log; `None` where somebody is yet to. A log that asks nobody is its own voucher.
fn vouched_for(engine: &Engine, index: u64) -> Option<&'static str> {
    match engine.log.has_quorum(index) {
        Some(quorum) => quorum.then_some("witnesses"),
        None if engine.log.has_authorities() => {
            engine.log.is_stamped(index).then_some("time-stamp")
        }
        None => Some("log"),
    }
}

/// The works among the entries from a cursor on, as many as the log gives at once and none from `end` on.
fn works(engine: &Engine, kind: EventKind, cursor: u64, end: u64) -> Result<Happened, Boxed> {
    let origin = engine.log.verifier().name();
    let (mut events, mut next) = (Vec::new(), cursor);
    for entry in engine.log.entries_from(cursor)? {
        if entry.index >= end {
            break;
        }
        next = entry.index + 1;
        // Entries of other kinds are no works.
        let Some(leaf) = Leaf::parse(&entry.leaf)? else { continue };
        let mut data = json!({
            "log": origin,
            "index": entry.index,
            "work": leaf.content.to_string(),
            "receipt": format!("/v1/receipts/{}", entry.index),
        });
        if kind == EventKind::ReceiptFinalised {
            data["vouched_for_by"] = vouched_for(engine, entry.index).into();
        }
        let id = event_id(origin, kind, &entry.index.to_string());
        events.push(Event { id, kind, data });
    }
    Ok(Happened { events, next })
}

/// Matches and verdicts that are read at once.
const READ_AT_ONCE: usize = 256;
