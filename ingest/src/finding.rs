//! What is said of a work that was found in a suspect.

use std::fmt;
use std::str::FromStr;

use timemark_verify::{ContentId, Fingerprint, FormatError};
use timemark_vision::{Geometry, Kind, Overlap};

use crate::amend::Standing;
use crate::judge::Judgement;
use crate::strength::Strength;

/// A work that a suspect is a copy of, or shares elements with.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// The work.
    pub work: ContentId,
    /// The number of its first registration.
    pub index: u64,
    /// The entry by which that claim was corrected, where it was: what is said of the work is what stands.
    pub corrected_by: Option<u64>,
    /// The path under which it was registered, unless the claim was erased.
    pub file: Option<String>,
    /// Its title, as claimed.
    pub title: Option<String>,
    /// Who claims it.
    pub claimant: Option<String>,
    /// 0 to 1; orders matches across suspects.
    pub score: f64,
    /// What showed it.
    pub method: Method,
    /// Hamming distance of the codes, where codes showed it.
    pub distance: Option<u32>,
    /// What was done to the work to give the suspect, in words.
    pub transform: Option<String>,
    /// Places that agree, where keypoints showed it.
    pub inliers: Option<u32>,
    /// Shares of the work and of the suspect that lie on each other.
    pub overlap: Option<Overlap>,
    /// Share of what lies on each other that looks alike, and of what lies between the places that agree.
    pub alike: Option<f64>,
    /// See `alike`.
    pub alike_between: Option<f64>,
    /// How the work lies in the suspect.
    pub geometry: Option<Geometry>,
}

/// What showed that a suspect is a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// The same bytes.
    Exact,
    /// A perceptual code of this kind.
    Code(Kind),
    /// Places that look alike and lie alike.
    Keypoints,
    /// Such places of a work that an operator's model proposed.
    Neural,
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Method::Exact => f.write_str("exact"),
            Method::Code(kind) => kind.fmt(f),
            Method::Keypoints => f.write_str("keypoints"),
            Method::Neural => f.write_str("neural"),
        }
    }
}

impl FromStr for Method {
    type Err = FormatError;

    fn from_str(text: &str) -> Result<Method, FormatError> {
        match text {
            "exact" => Ok(Method::Exact),
            "keypoints" => Ok(Method::Keypoints),
            "neural" => Ok(Method::Neural),
            kind => kind.parse().map(Method::Code),
        }
    }
}

impl Finding {
    /// The same bytes as a work's.
    pub(crate) fn exact(standing: &Standing) -> Finding {
        let Standing { first, now } = standing;
        let claim = now.claim.as_ref();
        let path = claim.and_then(|claim| claim.path.as_deref());
        Finding {
            work: first.leaf.content,
            index: first.index,
            corrected_by: Some(now.index).filter(|&index| index != first.index),
            file: path.map(|path| String::from_utf8_lossy(path).into_owned()),
            title: claim.and_then(|claim| claim.title.clone()),
            claimant: claim.and_then(|claim| claim.claimant.clone()),
            score: 1.0,
            method: Method::Exact,
            distance: None,
            transform: None,
            inliers: None,
            overlap: None,
            alike: None,
            alike_between: None,
            geometry: None,
        }
    }

    /// How strong it is as a match. None for what was not counted: the same bytes, which are as strong as SHA-256,
    /// what a model proposed, and what was not looked at beside the suspect.
    pub fn strength(&self) -> Option<Strength> {
        let counted = matches!(self.method, Method::Code(Kind::Pdq) | Method::Keypoints);
        (counted && self.alike.is_some()).then(|| Strength::of(self.score))
    }

    /// How strong it is, in a word or two, where that was measured.
    pub fn strength_words(&self) -> Option<&'static str> {
        match self.method {
            Method::Exact => Some("identical"),
            _ => self.strength().map(|strength| strength.grade),
        }
    }

    /// A code of a work that is near to one of a suspect.
    pub(crate) fn by_code(standing: &Standing, kind: Kind, distance: u32) -> Finding {
        let half = f64::from(Fingerprint::BITS / 2);
        let score = 0.99 * (1.0 - f64::from(distance) / half).max(0.0);
        let (method, distance) = (Method::Code(kind), Some(distance));
        Finding { score, method, distance, ..Finding::exact(standing) }
    }

    /// A work that was looked at beside the suspect.
    pub(crate) fn by_look(
        standing: &Standing,
        judgement: Judgement,
        method: Method,
        distance: Option<u32>,
        geometry: Geometry,
    ) -> Finding {
        let inliers = u32::try_from(geometry.joined.len()).ok();
        Finding {
            // Half of what is missing to 1 for every eight places.
            score: 0.99 * (1.0 - (-judgement.weight / 8.0).exp2()),
            method,
            distance,
            transform: Some(geometry.words()),
            inliers: inliers.filter(|_| distance.is_none()),
            overlap: Some(geometry.overlap()),
            alike: judgement.alike,
            alike_between: judgement.alike_between,
            geometry: Some(geometry),
            ..Finding::exact(standing)
        }
    }
}
