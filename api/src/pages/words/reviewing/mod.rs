//! The words of the pages for scans and for who reviews, in English and Chinese.

mod chinese;
mod english;
mod said;

use serde::Serialize;
use timemark_review::{DepthName, JobState, Standing, Verdict, Wanted};

pub(super) use chinese::CHINESE;
pub(super) use english::ENGLISH;
pub(crate) use said::{in_chinese, kind_in_chinese};

/// The words of one language.
pub(crate) struct Reviewing {
    // Scans.
    pub scans_title: &'static str,
    pub scans_lead: &'static str,
    pub scan_new: &'static str,
    pub scan_drop: &'static str,
    pub scan_drop_hint: &'static str,
    pub scan_choose: &'static str,
    pub scan_depth: &'static str,
    pub scan_full: &'static str,
    pub scan_fast: &'static str,
    pub scan_paths: &'static str,
    pub scan_paths_hint: &'static str,
    pub scan_start: &'static str,
    pub scan_needs_script: &'static str,
    pub scans_list: &'static str,
    pub scans_empty: &'static str,
    pub scan_number: &'static str,
    pub asked_for: &'static str,
    pub in_short: &'static str,
    // One scan.
    pub state_queued: &'static str,
    pub state_running: &'static str,
    pub state_paused: &'static str,
    pub state_cancelled: &'static str,
    pub state_done: &'static str,
    pub state_failed: &'static str,
    pub wanted_paused: &'static str,
    pub wanted_cancelled: &'static str,
    pub pause: &'static str,
    pub resume: &'static str,
    pub cancel: &'static str,
    pub suspects: &'static str,
    pub per_second: &'static str,
    pub per_second_whole: &'static str,
    pub matches: &'static str,
    pub undecidable: &'static str,
    pub errors: &'static str,
    pub read_so_far: &'static str,
    pub read_of: &'static str,
    pub at_work: &'static str,
    pub runs: &'static str,
    pub waiting_before: &'static str,
    pub compared_with: &'static str,
    pub not_rematched: &'static str,
    pub reload: &'static str,
    pub course: &'static str,
    pub course_rate: &'static str,
    pub course_matches: &'static str,
    pub course_label: &'static str,
    pub course_short: &'static str,
    pub by_transform: &'static str,
    pub by_transform_label: &'static str,
    pub too_many_to_count: &'static str,
    pub by_site: &'static str,
    pub sites_more: &'static str,
    pub sites_elsewhere: &'static str,
    pub sites_cut: &'static str,
    pub found_here: &'static str,
    pub found_none: &'static str,
    pub found_more: &'static str,
    pub errors_title: &'static str,
    pub results: &'static str,
    pub results_lines: &'static str,
    pub results_table: &'static str,
    // Review.
    pub review_title: &'static str,
    pub review_lead: &'static str,
    pub review_start: &'static str,
    pub review_of_scan: &'static str,
    pub review_of_site: &'static str,
    pub review_show: &'static str,
    pub review_empty: &'static str,
    pub review_none: &'static str,
    pub more: &'static str,
    pub open: &'static str,
    pub allow_listed: &'static str,
    pub infringing: &'static str,
    pub licensed: &'static str,
    pub no_match: &'static str,
    pub unsure: &'static str,
    pub met_more: &'static str,
    pub withheld: &'static str,
    pub withheld_hint: &'static str,
    pub withheld_original: &'static str,
    pub choose: &'static str,
    pub bundle_title: &'static str,
    pub bundle_hint: &'static str,
    pub bundle_profile: &'static str,
    pub bundle_china: &'static str,
    pub bundle_usa: &'static str,
    pub bundle_europe: &'static str,
    pub bundle_make: &'static str,
    // One match.
    pub match_title: &'static str,
    pub place_in_queue: &'static str,
    pub previous: &'static str,
    pub next: &'static str,
    pub queue: &'static str,
    pub the_work: &'static str,
    pub the_suspect: &'static str,
    pub no_suspect_picture: &'static str,
    pub views: &'static str,
    pub view_pair: &'static str,
    pub view_overlay: &'static str,
    pub view_blend: &'static str,
    pub view_swipe: &'static str,
    pub view_difference: &'static str,
    pub overlay_label: &'static str,
    pub aligned_label: &'static str,
    pub slider: &'static str,
    pub no_geometry: &'static str,
    pub strength: &'static str,
    pub rate: &'static str,
    pub rate_none: &'static str,
    pub rate_interval: &'static str,
    pub one_in: &'static str,
    pub identical: &'static str,
    pub very_strong: &'static str,
    pub strong: &'static str,
    pub moderate: &'static str,
    pub identical_hint: &'static str,
    pub overlap: &'static str,
    pub overlap_work: &'static str,
    pub overlap_suspect: &'static str,
    pub transform: &'static str,
    pub points: &'static str,
    pub bits: &'static str,
    pub both_sides: &'static str,
    pub earliest: &'static str,
    pub earliest_none: &'static str,
    pub first_seen: &'static str,
    pub rematched: &'static str,
    pub rematched_hint: &'static str,
    pub by_codes_alone: &'static str,
    pub by_codes_alone_hint: &'static str,
    pub first_seen_by: &'static str,
    pub suspect_registered: &'static str,
    pub row_work: &'static str,
    pub row_suspect: &'static str,
    pub row_captured: &'static str,
    pub row_seen: &'static str,
    pub days_between: &'static str,
    pub days_before: &'static str,
    pub claimed_by: &'static str,
    pub places: &'static str,
    pub places_of: &'static str,
    pub captured: &'static str,
    pub verdict: &'static str,
    pub note: &'static str,
    pub note_hint: &'static str,
    pub allow_domain: &'static str,
    pub undo: &'static str,
    pub keys: &'static str,
    pub keys_title: &'static str,
    pub keys_on: &'static str,
    pub keys_next: &'static str,
    pub keys_verdict: &'static str,
    pub keys_allow: &'static str,
    pub keys_undo: &'static str,
    pub keys_view: &'static str,
    pub keys_note: &'static str,
    pub keys_help: &'static str,
    pub close: &'static str,
    pub decide_needs_script: &'static str,
    pub may_not_decide: &'static str,
    pub history: &'static str,
    pub history_none: &'static str,
    pub history_given: &'static str,
    pub history_undone: &'static str,
    pub history_more: &'static str,
    /// What the modules say.
    pub script: Script,
}

/// The words of the modules, which find them as JSON on their page.
#[derive(Serialize)]
pub(crate) struct Script {
    pub sending: &'static str,
    pub asked: &'static str,
    pub too_large: &'static str,
    pub offline: &'static str,
    pub failed: &'static str,
    pub decided: &'static str,
    pub undone: &'static str,
    pub nothing_to_undo: &'static str,
    pub changed: &'static str,
    pub queue_empty: &'static str,
    pub now_shown: &'static str,
    pub no_next: &'static str,
    pub no_previous: &'static str,
    pub allowed: &'static str,
    pub allowed_stays: &'static str,
    pub disallowed: &'static str,
    pub place_in_queue: &'static str,
    pub infringing: &'static str,
    pub licensed: &'static str,
    #[serde(rename = "no-match")]
    pub no_match: &'static str,
    pub unsure: &'static str,
    pub state_now: &'static str,
    pub note_too_long: &'static str,
    pub not_signed_in: &'static str,
    pub bundle_none: &'static str,
    pub bundle_making: &'static str,
    pub bundle_made: &'static str,
    pub bundle_facts: &'static str,
}

impl Reviewing {
    pub fn state(&self, state: JobState) -> &'static str {
        match state {
            JobState::Queued => self.state_queued,
            JobState::Running => self.state_running,
            JobState::Paused => self.state_paused,
            JobState::Cancelled => self.state_cancelled,
            JobState::Done => self.state_done,
            JobState::Failed => self.state_failed,
        }
    }

    pub fn wanted(&self, wanted: Wanted) -> &'static str {
        match wanted {
            Wanted::Paused => self.wanted_paused,
            Wanted::Cancelled => self.wanted_cancelled,
        }
    }

    pub fn depth(&self, depth: DepthName) -> &'static str {
        match depth {
            DepthName::Fast => self.scan_fast,
            DepthName::Full => self.scan_full,
        }
    }

    pub fn verdict(&self, verdict: Verdict) -> &'static str {
        match verdict {
            Verdict::Infringing => self.infringing,
            Verdict::Licensed => self.licensed,
            Verdict::NoMatch => self.no_match,
            Verdict::Unsure => self.unsure,
        }
    }

    pub fn standing(&self, standing: Standing) -> &'static str {
        match standing {
            Standing::Open => self.open,
            Standing::AllowListed => self.allow_listed,
            Standing::Decided(verdict) => self.verdict(verdict),
        }
    }

    /// A grade of matches, as it is kept, in words.
    pub fn grade<'a>(&self, grade: &'a str) -> &'a str {
        match grade {
            "identical" => self.identical,
            "very strong" => self.very_strong,
            "strong" => self.strong,
            "moderate" => self.moderate,
            other => other,
        }
    }
}

impl Script {
    /// As JSON that may stand in an element `script`: nothing in it ends that.
    pub fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default().replace('<', "\\u003c")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_languages_ask_for_the_same_to_be_put_in() {
        let holes = |json: &str| {
            let texts: serde_json::Map<_, _> = serde_json::from_str(json).unwrap();
            let count = |text: &serde_json::Value| text.as_str().unwrap().matches('{').count();
            texts.iter().map(|(name, text)| (name.clone(), count(text))).collect::<Vec<_>>()
        };
        assert_eq!(holes(&ENGLISH.script.json()), holes(&CHINESE.script.json()));
    }
}
