//! When the work of a match was first proven, and when the suspect was first seen: side by side, each with who says so.

use timemark_ingest::Registrations;
use timemark_review::utc;
use timemark_verify::{ContentId, seconds_of_utc};

use super::frame::{Frame, grouped};
use super::receipt::{Seen, plain};
use super::timeline::{self, Row};
use super::words::say;
use crate::Problem;
use crate::access::{Caller, Told};
use crate::service::Service;

/// The earliest that is known of both sides of a match.
pub(super) struct BothSides {
    pub work: Registered,
    /// When a scan saw the suspect first, as this server's clock had it.
    pub first_seen: String,
    /// Which scan that was, where that is told.
    pub first_scan: Option<(u64, String)>,
    /// When a web archive had it before, as that says.
    pub captured: Option<String>,
    /// How long after the proof of the work that was.
    pub between: Option<String>,
    /// The suspect's own registration, where its bytes are those of another work.
    pub registered: Option<Registered>,
    found: u64,
    captured_at: Option<u64>,
}

/// A registration by which the bytes are proven earliest.
pub(super) struct Registered {
    pub number: String,
    /// By when they existed, or that no time is proven.
    pub words: String,
    /// Who vouches for that.
    pub by: Option<String>,
    proven: Option<u64>,
}

impl BothSides {
    pub fn of(
        told: &Told,
        caller: &Caller,
        service: &Service,
        frame: &Frame,
    ) -> Result<BothSides, Problem> {
        let r = frame.words().reviewing;
        let found = &told.found;
        let work = Registered::of(&found.finding.work, caller, service, frame)?;
        // A claim that was erased since proves nothing any more; the entry stays.
        let work = work.unwrap_or_else(|| Registered::unproven(found.finding.index, frame));
        let registered = match found.suspect == found.finding.work {
            true => None,
            false => Registered::of(&found.suspect, caller, service, frame)?,
        };
        let captured = told.places.iter().filter_map(|at| seconds_of_utc(at.date.as_deref()?));
        let captured_at = captured.min().filter(|captured| *captured < found.found);
        let first = captured_at.unwrap_or(found.found);
        let between = work.proven.map(|proven| match first.checked_sub(proven) {
            Some(seconds) => say(r.days_between, &[&grouped(seconds / DAY_SECONDS)]),
            None => r.days_before.to_owned(),
        });
        Ok(BothSides {
            work,
            first_seen: frame.moment(&utc(found.found)),
            first_scan: told.first_scan.map(|scan| (scan, say(r.first_seen_by, &[&scan]))),
            captured: captured_at.map(|at| say(r.captured, &[&frame.moment(&utc(at))])),
            between,
            registered,
            found: found.found,
            captured_at,
        })
    }

    /// All of it on one axis, once for wide pages and once for narrow ones.
    pub fn drawings(&self, frame: &Frame) -> [String; 2] {
        let r = frame.words().reviewing;
        let stated = |what: &str, at: u64| Row {
            what: what.to_owned(),
            when: plain(&utc(at)),
            claimed: Some((at, at)),
            proven: Vec::new(),
            remark: None,
        };
        let mut rows = vec![self.work.row(r.row_work, frame)];
        let registered = self.registered.as_ref();
        rows.extend(registered.map(|registered| registered.row(r.row_suspect, frame)));
        rows.extend(self.captured_at.map(|at| stated(r.row_captured, at)));
        rows.push(stated(r.row_seen, self.found));
        timeline::drawings(&rows, frame)
    }
}

impl Registered {
    /// The registration of a work by which it is proven earliest, of those that the caller sees; where none is, the first.
    fn of(
        work: &str,
        caller: &Caller,
        service: &Service,
        frame: &Frame,
    ) -> Result<Option<Registered>, Problem> {
        let content: ContentId = work.parse().map_err(Problem::internal)?;
        let (access, engine) = (&service.access, &service.engine);
        let read = |from, most| access.registrations_seen(caller, &content, from, most, engine);
        let (mut first, mut looks) = (None::<Registered>, 0);
        for record in Registrations::from(0, read).take(RECORDS_LOOKED_AT) {
            let record = record?;
            let Some(claim) = &record.claim else { continue };
            if looks == CLAIMS_LOOKED_AT {
                break;
            }
            looks += 1;
            let proof = Seen::of(record.index, claim, service, frame)?.proof;
            let proven = proof.existed_at.as_deref().and_then(seconds_of_utc);
            let is_earlier = match (&first, proven) {
                (None, _) => true,
                (Some(first), Some(proven)) => first.proven.is_none_or(|other| proven < other),
                (Some(_), None) => false,
            };
            if is_earlier {
                let unproven = Registered::unproven(record.index, frame);
                let by = proof.vouched_by(frame);
                first = Some(match proof.existed_by {
                    Some(words) => Registered { words, by, proven, ..unproven },
                    None => unproven,
                });
            }
        }
        Ok(first)
    }

    fn unproven(index: u64, frame: &Frame) -> Registered {
        let w = frame.words();
        Registered {
            number: w.entry_number(&index),
            words: w.reviewing.earliest_none.to_owned(),
            by: None,
            proven: None,
        }
    }

    fn row(&self, what: &str, frame: &Frame) -> Row {
        let existed = |at: u64| say(frame.words().existed_by, &[&plain(&utc(at))]);
        Row {
            what: format!("{what}, {}", self.number),
            when: self.proven.map_or_else(|| self.words.clone(), existed),
            claimed: None,
            proven: self.proven.into_iter().collect(),
            remark: None,
        }
    }
}

/// Registrations of a work whose proofs are checked for it.
const CLAIMS_LOOKED_AT: usize = 5;
/// The same, with those that were erased.
const RECORDS_LOOKED_AT: usize = 100;
const DAY_SECONDS: u64 = 86_400;
