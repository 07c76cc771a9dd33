//! What a scan found, counted for who sees only some of the works.

use std::collections::BTreeMap;

use timemark_review::{Filter, Job, Match};

use crate::Problem;
use crate::access::Viewer;
use crate::service::Service;

/// What a scan found of works that somebody sees.
#[derive(Clone, Default)]
pub(crate) struct Counts {
    /// The places of the matches among all that it found.
    pub places: Vec<u64>,
    /// The same by what was done to the work; `None` where there are too many to look at.
    pub transforms: Option<BTreeMap<String, u64>>,
}

impl Counts {
    /// Of a scan of which nothing was told yet.
    pub fn none() -> Counts {
        Counts { places: Vec::new(), transforms: Some(BTreeMap::new()) }
    }

    pub fn matches(&self) -> u64 {
        self.places.len() as u64
    }

    pub fn count(&mut self, found: &Match) {
        if let Some(transforms) = &mut self.transforms {
            *transforms.entry(found.transform().to_owned()).or_default() += 1;
        }
    }

    /// How many, and not of which kinds; `None` for who sees all that it found.
    pub fn of_matches(job: &Job, viewer: &Viewer<'_>) -> Result<Option<Counts>, Problem> {
        let Some(mut places) = viewer.places(job.id)? else { return Ok(None) };
        places.retain(|place| *place <= job.matches); // others came meanwhile
        Ok(Some(Counts { places, transforms: None }))
    }

    /// Of a scan; `None` for who sees all that it found.
    pub fn of(
        job: &Job,
        viewer: &Viewer<'_>,
        service: &Service,
    ) -> Result<Option<Counts>, Problem> {
        let Some(mut counts) = Counts::of_matches(job, viewer)? else { return Ok(None) };
        if counts.matches() == job.matches {
            counts.transforms = Some(job.transforms.clone());
        } else if counts.places.len() <= COUNTED_MAX {
            counts.transforms = Some(BTreeMap::new());
            let filter = Filter { scan: Some(job.id), ..Filter::default() };
            let (mut left, mut after) = (counts.places.len(), 0);
            while left > 0 {
                let wanted = left.min(COUNTED_AT_ONCE);
                let page = viewer.looking(|seen| {
                    service.review.matches(Filter { seen, ..filter }, after, wanted)
                })?;
                page.items.iter().for_each(|found| counts.count(found));
                left = left.saturating_sub(page.items.len());
                let Some(next) = page.next else { break };
                after = next;
            }
        }
        Ok(Some(counts))
    }

    /// Has a job tell of these matches alone.
    pub fn tell(&self, job: &mut Job) {
        let before = |place: u64| self.places.partition_point(|own| *own <= place) as u64;
        for waypoint in &mut job.course {
            waypoint.matches = before(waypoint.matches);
        }
        job.matches = self.matches();
        job.transforms = self.transforms.clone().unwrap_or_default();
        job.copies = 0;
    }
}

/// Matches of a scan that are looked at for what was done to the works, and how many at a time.
const COUNTED_MAX: usize = 2000;
const COUNTED_AT_ONCE: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Caller;
    use crate::scans::Scan;

    #[test]
    fn the_course_of_a_scan_is_told_by_the_matches_that_are_seen() {
        let waypoint =
            |matches: u64| serde_json::json!({"seconds": 1.0, "suspects": 9, "matches": matches});
        let job = serde_json::json!({
            "id": 1, "owner": "mei", "state": "done", "wanted": null, "source": {"paths": []},
            "options": {"depth": "full", "radius": 31, "places": 8}, "created": 0, "started": null,
            "ended": null, "seconds": 3.0, "runs": 1, "entries": null, "suspects": 9, "copies": 4,
            "undecidable": 0, "errors": 0, "skipped": 0, "bytes": 0, "matches": 5,
            "transforms": {"cropped": 5}, "course": [waypoint(0), waypoint(2), waypoint(4), waypoint(5)],
            "error": null,
        });
        let mut job: Job = serde_json::from_value(job).unwrap();
        let mut counts = Counts { places: vec![2, 5], ..Counts::none() };
        if let Some(transforms) = &mut counts.transforms {
            transforms.insert("mirrored".to_owned(), 2);
        }
        counts.tell(&mut job);
        let course: Vec<u64> = job.course.iter().map(|at| at.matches).collect();
        assert_eq!((course, job.matches, job.copies), (vec![0, 1, 1, 2], 2, 0));
        assert_eq!(job.transforms, BTreeMap::from([("mirrored".to_owned(), 2)]));
        let scan = Scan::of(job.clone(), None).told(&Caller::Nobody, Some(counts));
        let scan = serde_json::to_value(scan).unwrap();
        assert_eq!((&scan["matches"], scan.get("copies")), (&2.into(), None));
        let scan = Scan::of(job, None).told(&Caller::Nobody, None);
        let scan = serde_json::to_value(scan).unwrap();
        assert!(scan.get("matches").is_none() && scan.get("transforms").is_none());
    }
}
