//! A work that was found in a picture, in JSON: as the service says it, the command line prints it, and matches keep it.

use serde::{Deserialize, Serialize};
use timemark_ingest::Finding;
use utoipa::ToSchema;

/// A work that looks like the one at hand.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[schema(as = Match)]
pub struct MatchJson {
    /// The work's id.
    pub work: String,
    /// The number of its first registration.
    pub index: u64,
    /// The entry by which that claim was corrected, where it was: title and claimant are what stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub corrected_by: Option<u64>,
    /// What its file was called; absent where the claim was erased.
    pub file: Option<String>,
    /// As claimed.
    pub title: Option<String>,
    /// Who claims it.
    pub claimant: Option<String>,
    /// When it was found (RFC 3339), where that was after the scan: the work was registered later than the suspect was
    /// compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub rematched_at: Option<String>,
    /// `true` where the suspect was not to be had any more when the work was found, or could not be looked at, so that nobody
    /// looked at it again: what was kept of its codes shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub by_codes_alone: Option<bool>,
    /// 0 to 1.
    pub score: f64,
    /// `exact`, `keypoints`, `neural`, or a kind of code.
    pub method: String,
    /// Bits of 256 in which the codes differ, where codes showed it.
    pub distance: Option<u32>,
    /// Places that agree, where keypoints showed it.
    pub inliers: Option<u32>,
    /// What was done to the work, in words.
    pub transform: Option<String>,
    /// Share of the work that lies in the suspect.
    pub overlap: Option<f64>,
    /// Share of the suspect that the work covers.
    pub overlap_suspect: Option<f64>,
    /// Share of what lies on each other that looks alike.
    pub alike: Option<f64>,
    /// The same between the places that agree.
    pub alike_between: Option<f64>,
    /// How strong the match is, in a word or two.
    pub strength: Option<String>,
    /// How often pictures that are no copies match as strongly.
    pub false_match_rate: Option<f64>,
    /// The 95 % interval of that rate.
    pub false_match_interval: Option<[f64; 2]>,
}

impl MatchJson {
    /// A work that the one at hand is a copy of.
    pub fn copy(finding: &Finding) -> MatchJson {
        let strength = finding.strength();
        MatchJson {
            strength: finding.strength_words().map(str::to_owned),
            false_match_rate: strength.map(|strength| strength.false_match_rate()),
            false_match_interval: strength.map(|strength| strength.false_match_interval()),
            ..MatchJson::of(finding)
        }
    }

    /// A work that looks like the one at hand or shares elements with it, of which no more is asserted.
    pub fn of(finding: &Finding) -> MatchJson {
        MatchJson {
            work: finding.work.to_string(),
            index: finding.index,
            corrected_by: finding.corrected_by,
            file: finding.file.clone(),
            title: finding.title.clone(),
            claimant: finding.claimant.clone(),
            rematched_at: None,
            by_codes_alone: None,
            score: four_places(finding.score),
            method: finding.method.to_string(),
            distance: finding.distance,
            inliers: finding.inliers,
            transform: finding.transform.clone(),
            overlap: finding.overlap.map(|overlap| four_places(overlap.work)),
            overlap_suspect: finding.overlap.map(|overlap| four_places(overlap.suspect)),
            alike: finding.alike.map(four_places),
            alike_between: finding.alike_between.map(four_places),
            strength: None,
            false_match_rate: None,
            false_match_interval: None,
        }
    }
}

/// Rounded to what is worth saying.
pub fn four_places(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}
