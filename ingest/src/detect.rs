//! Which works are in a picture: by the code of the whole, by keypoints, by the codes of rectangles in it, and, where
//! an operator brought a model, by what it sees as like the picture or rectangles in it.
//!
//! Each stage only proposes works; [`judge`](crate::judge) looks at both pictures before anything is asserted.

use std::collections::HashMap;

use timemark_index::Candidate;
use timemark_store::{BlobError, RegistryError};
use timemark_verify::ContentId;
use timemark_vision::{
    Alignment, Dihedral, Features, Geometry, Kind, Pdq, Picture, Rectangle, align, regions, trim,
};

use crate::amend::Standing;
use crate::engine::Engine;
use crate::finding::{Finding, Method};
use crate::judge::{self, Judgement, SURE_DISTANCE, Verdict};
use crate::media::{self, Limits};
use crate::neural::Neural;
use crate::newcomers::SuspectCodes;
use crate::scan::{Depth, QUALITY_MIN, ScanError, ScanOptions};

/// The works that a picture shows, and those that share elements with it; best first.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Detected {
    pub matches: Vec<Finding>,
    pub related: Vec<Finding>,
    /// Whether there was enough to see to tell that it shows no other.
    pub decidable: bool,
    /// The codes by which works were looked for.
    pub codes: SuspectCodes,
}

/// Looks for registered works in a picture whose codes are `whole`.
pub(crate) fn detect(
    suspect: &Picture,
    whole: &Pdq,
    engine: &Engine,
    options: &ScanOptions,
) -> Result<Detected, ScanError> {
    let mut search = Search::new(suspect, engine, options);
    search.by_code(suspect.frame(), whole)?;
    if search.matches.is_empty()
        && let Some(inner) = trim(suspect)
    {
        search.by_part_code(inner)?;
    }
    let local = options.depth == Depth::Full && !options.without.keypoints;
    let mut decidable = whole.quality >= QUALITY_MIN;
    if local && search.matches.is_empty() {
        decidable |= search.by_keypoints(suspect, suspect.frame())?;
    }
    let mut parts = Vec::new();
    if options.depth == Depth::Full && !options.without.regions && search.matches.is_empty() {
        parts = regions(suspect);
        for &region in &parts {
            search.by_part_code(region)?;
        }
    }
    if local && search.matches.is_empty() && is_square(suspect) {
        search.by_unsqueezed_keypoints()?;
    }
    if options.depth == Depth::Full
        && let Some(neural) = &engine.neural
        && search.matches.is_empty()
    {
        search.by_embedding(neural, suspect, suspect.frame())?;
        for &part in parts.iter().take(EMBEDDED_PARTS_MAX) {
            if search.matches.is_empty() {
                search.by_embedding(neural, &suspect.part(part), part)?;
            }
        }
    }
    Ok(search.found(decidable))
}

/// Whether a picture has the form into which avatars and thumbnails are squeezed.
fn is_square(picture: &Picture) -> bool {
    let (width, height) = (f64::from(picture.width), f64::from(picture.height));
    (width / height - 1.0).abs() < SQUARE_TOLERANCE
}

/// A picture under suspicion, and what has been found in it.
struct Search<'a> {
    suspect: &'a Picture,
    engine: &'a Engine,
    options: &'a ScanOptions,
    /// Works that were looked at, decoded; `None` where there is no picture to be had.
    seen: HashMap<ContentId, Option<Picture>>,
    matches: Vec<Finding>,
    related: Vec<Finding>,
    codes: SuspectCodes,
}

impl<'a> Search<'a> {
    fn new(suspect: &'a Picture, engine: &'a Engine, options: &'a ScanOptions) -> Search<'a> {
        let (seen, matches, related) = (HashMap::new(), Vec::new(), Vec::new());
        let codes = SuspectCodes::default();
        Search { suspect, engine, options, seen, matches, related, codes }
    }

    /// Looks for works that fill a rectangle of the suspect, whose codes are given.
    fn by_code(&mut self, rectangle: Rectangle, pdq: &Pdq) -> Result<(), ScanError> {
        // A picture without detail is near to every other such picture and a copy of none of them.
        if pdq.quality < QUALITY_MIN {
            return Ok(());
        }
        self.codes.add(pdq);
        let suspect = self.suspect;
        let near = self.engine.index.matches(Kind::Pdq, &pdq.codes, self.options.radius);
        let near = near.into_iter().filter(|near| near.quality >= QUALITY_MIN);
        let mut looked_at = 0;
        for near in near {
            let Some(standing) = self.new_work(near.index)? else { continue };
            looked_at += 1;
            if looked_at > LOOKED_AT_MAX {
                break;
            }
            let position = Dihedral::ALL.get(near.variant).copied().unwrap_or(Dihedral::Original);
            let suspect_size = [suspect.width, suspect.height];
            let Some(work) = self.work(&standing)? else {
                if near.distance <= SURE_DISTANCE {
                    let transform = Some(position.words().to_owned());
                    let found = Finding::by_code(&standing, Kind::Pdq, near.distance);
                    self.matches.push(Finding { transform, ..found });
                }
                continue;
            };
            let work_size = [work.width, work.height];
            let geometry = Geometry::whole(work_size, suspect_size, rectangle, position);
            let judgement = judge::by_code(work, suspect, &geometry, near.distance);
            let method = Method::Code(Kind::Pdq);
            self.take(&standing, judgement, method, Some(near.distance), geometry);
        }
        Ok(())
    }

    /// Looks for works that fill a rectangle of the suspect.
    fn by_part_code(&mut self, rectangle: Rectangle) -> Result<(), ScanError> {
        let part = self.suspect.part(rectangle);
        match Pdq::of_rgb(&part.rgb, part.width, part.height) {
            Some(pdq) => self.by_code(rectangle, &pdq),
            None => Ok(()),
        }
    }

    /// Keypoints bear little stretching, so a picture that may have been squeezed is looked at as it may have
    /// been before: wider, then higher.
    fn by_unsqueezed_keypoints(&mut self) -> Result<(), ScanError> {
        // Keypoints are looked for in a smaller size anyway.
        let [width, height] =
            [self.suspect.width, self.suspect.height].map(|side| side.min(UNSQUEEZED_MAX));
        let squeezed = |side: u32| (f64::from(side) * SQUEEZED).round().max(1.0) as u32;
        for (width, height) in [(width, squeezed(height)), (squeezed(width), height)] {
            if let Some(picture) = self.suspect.resized(width, height) {
                self.by_keypoints(&picture, self.suspect.frame())?;
            }
        }
        Ok(())
    }

    /// Looks for works that share keypoints with a part of the suspect, perhaps in another size. Returns whether
    /// the part has enough to be told from others.
    fn by_keypoints(&mut self, part: &Picture, rectangle: Rectangle) -> Result<bool, ScanError> {
        let features = self.features(part);
        for mirrored in [false, true] {
            let candidates =
                self.engine.index.candidates(&features, mirrored, CANDIDATES_MAX)?.into_iter();
            for (rank, Candidate { index, support, .. }) in candidates.enumerate() {
                // Two agree anywhere; the first few are looked at whatever they have.
                if rank >= CANDIDATES_MIN && support <= CHANCE_SUPPORT {
                    break;
                }
                self.by_places(index, &[mirrored], &features, rectangle, Method::Keypoints)?;
            }
            if !self.matches.is_empty() {
                break;
            }
        }
        Ok(features.keypoints.len() >= KEYPOINTS_MIN)
    }

    /// Looks for works that the model sees as like a part of the suspect.
    fn by_embedding(
        &mut self,
        neural: &Neural,
        part: &Picture,
        rectangle: Rectangle,
    ) -> Result<(), ScanError> {
        let candidates = neural.candidates(part, EMBEDDED_CANDIDATES_MAX)?;
        if candidates.is_empty() {
            return Ok(());
        }
        let features = self.features(part);
        for near in candidates {
            // Of equals the last is taken: what is as well told without a mirror is told without.
            self.by_places(near.index, &[true, false], &features, rectangle, Method::Neural)?;
        }
        Ok(())
    }

    /// Lays a work on a part of the suspect by the keypoints of both, mirrored or not, and judges it.
    fn by_places(
        &mut self,
        index: u64,
        mirrored: &[bool],
        features: &Features,
        rectangle: Rectangle,
        method: Method,
    ) -> Result<(), ScanError> {
        let (suspect, places_min) = (self.suspect, self.options.places_min);
        let Some(standing) = self.new_work(index)? else { return Ok(()) };
        let Some(work) = self.engine.index.features(index)? else { return Ok(()) };
        let alignments = mirrored.iter().filter_map(|&mirrored| align(&work, features, mirrored));
        let Some(alignment) = alignments
            .filter(|alignment| alignment.joined.len() >= places_min)
            .max_by_key(|alignment| alignment.joined.len())
        else {
            return Ok(());
        };
        let misfit = alignment.misfit;
        let geometry = self.geometry(alignment, &work, features, rectangle);
        let judgement = match self.work(&standing)? {
            Some(work) => judge::by_places(work, suspect, &geometry, misfit, places_min),
            None => judge::by_places_alone(&geometry),
        };
        self.take(&standing, judgement, method, None, geometry);
        Ok(())
    }

    /// The keypoints of a part of the suspect.
    fn features(&self, part: &Picture) -> Features {
        let mut features = Features::of_suspect(part);
        if self.options.without.mirrored {
            features.mirrored = Default::default();
        }
        features
    }

    /// From a part of the suspect, in the size in which it was compared, to the suspect.
    fn geometry(
        &self,
        alignment: Alignment,
        work: &Features,
        compared: &Features,
        part: Rectangle,
    ) -> Geometry {
        let Alignment { mut map, mut joined, .. } = alignment;
        let across = f64::from(part.width) / f64::from(compared.size[0]);
        let down = f64::from(part.height) / f64::from(compared.size[1]);
        let (left, top) = (f64::from(part.x), f64::from(part.y));
        let place = |[x, y]: [f64; 2]| [left + across * x, top + down * y];
        for (at, value) in map.iter_mut().enumerate() {
            *value *= if at < 3 { across } else { down };
        }
        (map[2], map[5]) = (map[2] + left, map[5] + top);
        for [_, suspect] in &mut joined {
            *suspect = place(suspect.map(f64::from)).map(|at| at as f32);
        }
        let suspect_size = [self.suspect.width, self.suspect.height];
        Geometry { map, work_size: work.size, suspect_size, joined }
    }

    /// What stands of a claim upon a work, unless it was withdrawn or the work has been found already.
    fn new_work(&self, index: u64) -> Result<Option<Standing>, RegistryError> {
        let is_new = |standing: &Standing| {
            let content = standing.first.leaf.content;
            // What was erased is known by its exact bytes alone, though the index has it until it is made anew.
            standing.now.claim.is_some() && !self.matches.iter().any(|found| found.work == content)
        };
        Ok(self.engine.standing(index)?.filter(is_new))
    }

    /// The registered picture, from the store.
    fn work(&mut self, standing: &Standing) -> Result<Option<&Picture>, ScanError> {
        let content = standing.first.leaf.content;
        if !self.seen.contains_key(&content) {
            let picture = match work_picture(&content, self.engine) {
                // `log audit` reports it; the scan goes on with what the index has.
                Err(error) if error.is_lost() => None,
                picture => picture?,
            };
            self.seen.insert(content, picture);
        }
        Ok(self.seen.get(&content).and_then(Option::as_ref))
    }

    fn take(
        &mut self,
        standing: &Standing,
        judgement: Judgement,
        method: Method,
        distance: Option<u32>,
        geometry: Geometry,
    ) {
        let finding = Finding::by_look(standing, judgement, method, distance, geometry);
        let known = self.related.iter().position(|related| related.work == finding.work);
        match (judgement.verdict, known) {
            (Verdict::Copy, _) => {
                known.map(|known| self.related.remove(known));
                self.matches.push(finding);
            }
            (Verdict::Related, None) => self.related.push(finding),
            // An earlier stage may have seen more of it.
            (Verdict::Related, Some(known)) if finding.score > self.related[known].score => {
                self.related[known] = finding;
            }
            (Verdict::Related | Verdict::Nothing, _) => {}
        }
    }

    fn found(mut self, decidable: bool) -> Detected {
        for findings in [&mut self.matches, &mut self.related] {
            findings.sort_by(|a, b| b.score.total_cmp(&a.score));
        }
        let Search { matches, related, codes, .. } = self;
        Detected { matches, related, decidable, codes }
    }
}

/// Decodes a registered work; `None` where its bytes are no picture, or too many to be looked at.
pub(crate) fn work_picture(
    content: &ContentId,
    engine: &Engine,
) -> Result<Option<Picture>, BlobError> {
    match engine.works.read(content, media::FILE_BYTES_MAX) {
        Ok(bytes) => Ok(media::decode(&bytes, &Limits::default()).ok()),
        Err(BlobError::TooLong { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Works that share most keypoints with a suspect are compared in full, so many of them.
const CANDIDATES_MAX: usize = 20;
/// So many of them whatever they share.
const CANDIDATES_MIN: usize = 3;
/// So many keypoints agree upon a place by chance.
const CHANCE_SUPPORT: usize = 2;
/// Works that a model sees as most like a picture are compared in full, so many of them.
const EMBEDDED_CANDIDATES_MAX: usize = 10;
/// Rectangles that a model looks at.
const EMBEDDED_PARTS_MAX: usize = 3;
/// How far the sides of a square picture may differ, and how much narrower it may have been.
const SQUARE_TOLERANCE: f64 = 0.02;
const SQUEEZED: f64 = 0.67;
/// Pixels of the longer side in which it is looked at then: a large picture would be doubled in memory.
const UNSQUEEZED_MAX: u32 = 1280;
/// Works with a near code that are looked at.
const LOOKED_AT_MAX: usize = 8;
/// A picture with fewer keypoints has too little detail.
const KEYPOINTS_MIN: usize = 40;
