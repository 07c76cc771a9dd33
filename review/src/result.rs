//! What became of a suspect as a line of JSON: printed by a scan, kept by its report, and read again by one that goes on.

use std::mem;

use serde::{Deserialize, Serialize};
use timemark_ingest::sources::SuspectName;
use timemark_ingest::{Finding, Method, Outcome, Scanned};
use timemark_verify::{ContentId, FormatError};
use timemark_vision::{Geometry, Overlap};
use utoipa::ToSchema;

use crate::found::{MatchJson, four_places};

/// A suspect and what became of it.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[schema(as = ScanResult)]
pub struct ResultJson {
    /// How it is called: by its file, and by its place within an archive.
    pub suspect: String,
    /// Where and when a web archive had it from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// When, as the web archive spells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<String>,
    /// `match`, `clear`, `undecidable` or `error`.
    pub status: String,
    /// It is a copy of these, of parts of them, or holds copies; best first.
    pub matches: Vec<MatchJson>,
    /// It shares elements with these, which is not asserted to be copying.
    pub related: Vec<MatchJson>,
    /// Why it could not be compared.
    pub error: Option<String>,
    /// What only the report's copy has.
    #[serde(flatten)]
    #[schema(ignore)]
    pub kept: Option<Kept>,
}

/// What a page needs beside it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Kept {
    /// The id of its bytes, if they could be read.
    pub content: Option<String>,
    /// Whether it lies within an archive.
    pub member: bool,
    /// Why there is no thumbnail of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_picture: Option<String>,
    /// Of each match, then of each related work, how it lies in the suspect.
    pub geometry: Vec<Option<GeometryJson>>,
    /// What it was, where it was found to be a copy later and could not be compared before. Who does not see the work is told
    /// that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Before>,
}

/// What became of a suspect that could not be compared.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Before {
    /// `undecidable` or `error`.
    pub status: String,
    /// Why it could not be compared.
    pub error: Option<String>,
}

/// A [`Geometry`], with as many places as are drawn from.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[schema(as = Geometry)]
pub struct GeometryJson {
    /// From the work's pixels to those of the suspect: x' = m₀ x + m₁ y + m₂, y' = m₃ x + m₄ y + m₅.
    map: [f64; 6],
    /// Width and height of the work.
    work_size: [u32; 2],
    /// Width and height of the suspect.
    suspect_size: [u32; 2],
    /// Places that agree: in the work, and in the suspect.
    joined: Vec<[[f32; 2]; 2]>,
}

impl ResultJson {
    /// As a scan prints it.
    pub fn of(scanned: &Scanned) -> ResultJson {
        let outcome = &*scanned.outcome;
        let captured = scanned.name.captured.as_ref();
        let error = if let Outcome::Error(error) = outcome { Some(error.clone()) } else { None };
        ResultJson {
            suspect: scanned.name.text(),
            url: captured.map(|captured| captured.url.clone()),
            date: captured.map(|captured| captured.date.clone()),
            status: outcome.status().to_owned(),
            matches: outcome.matches().iter().map(MatchJson::copy).collect(),
            related: outcome.related().iter().map(MatchJson::of).collect(),
            error,
            kept: None,
        }
    }

    /// As a report keeps it.
    pub fn kept(self, scanned: &Scanned) -> ResultJson {
        let findings = scanned.outcome.matches().iter().chain(scanned.outcome.related());
        let no_picture = scanned.thumbnail.as_ref().and_then(|thumbnail| thumbnail.as_ref().err());
        let kept = Kept {
            content: scanned.content.map(|content| content.to_string()),
            member: scanned.name.within.is_some(),
            no_picture: no_picture.cloned(),
            geometry: findings.map(|f| f.geometry.as_ref().map(GeometryJson::of)).collect(),
            before: None,
        };
        ResultJson { kept: Some(kept), ..self }
    }

    /// Whether it is told to be a copy of this work.
    pub(crate) fn tells_of(&self, work: &str) -> bool {
        self.matches.iter().any(|found| found.work == work)
    }

    /// Has it be a copy, which was found after it was compared.
    pub(crate) fn becomes_match(&mut self) {
        let error = self.error.take();
        let status = mem::replace(&mut self.status, "match".to_owned());
        if let ("undecidable" | "error", Some(kept)) = (&*status, &mut self.kept) {
            kept.before = Some(Before { status, error });
        }
    }

    /// What tells it from other suspects of the same sources, but for those that are called the same.
    pub fn key(name: &SuspectName) -> (String, Option<String>) {
        (name.text(), name.captured.as_ref().map(|captured| captured.date.clone()))
    }

    /// What became of it.
    pub fn outcome(&self) -> Result<Outcome, FormatError> {
        Ok(match &*self.status {
            "undecidable" => Outcome::Undecidable,
            "error" => Outcome::Error(self.error.clone().unwrap_or_default()),
            _ => {
                let geometry = self.kept.iter().flat_map(|kept| &kept.geometry);
                let mut geometry = geometry.map(|g| g.as_ref().map(GeometryJson::geometry));
                let mut findings = |all: &[MatchJson]| -> Result<Vec<Finding>, FormatError> {
                    all.iter().map(|m| finding(m, geometry.next().flatten())).collect()
                };
                Outcome::Compared {
                    matches: findings(&self.matches)?,
                    related: findings(&self.related)?,
                }
            }
        })
    }
}

/// The finding that a line tells of.
fn finding(json: &MatchJson, geometry: Option<Geometry>) -> Result<Finding, FormatError> {
    let work: ContentId = json.work.parse()?;
    let method: Method = json.method.parse()?;
    let overlap = json.overlap.zip(json.overlap_suspect);
    Ok(Finding {
        work,
        index: json.index,
        corrected_by: json.corrected_by,
        file: json.file.clone(),
        title: json.title.clone(),
        claimant: json.claimant.clone(),
        score: json.score,
        method,
        distance: json.distance,
        transform: json.transform.clone(),
        inliers: json.inliers,
        overlap: overlap.map(|(work, suspect)| Overlap { work, suspect }),
        alike: json.alike,
        alike_between: json.alike_between,
        geometry,
    })
}

impl GeometryJson {
    /// As it is kept.
    pub fn of(geometry: &Geometry) -> GeometryJson {
        let step = geometry.joined.len().div_ceil(JOINED_MAX).max(1);
        GeometryJson {
            map: geometry.map.map(four_places),
            work_size: geometry.work_size,
            suspect_size: geometry.suspect_size,
            joined: geometry.joined.iter().step_by(step).copied().collect(),
        }
    }

    /// To draw from.
    pub fn geometry(&self) -> Geometry {
        Geometry {
            map: self.map,
            work_size: self.work_size,
            suspect_size: self.suspect_size,
            joined: self.joined.clone(),
        }
    }
}

/// Places that are kept of a match: of these those are chosen that are drawn.
const JOINED_MAX: usize = 120;
