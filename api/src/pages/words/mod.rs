//! Every word of the pages, in English and Chinese: a text that one language lacks does not compile.
//!
//! `{0}` and `{1}` stand for what [`say`] puts there. What comes from claims and files is never in here.

mod access;
mod amending;
mod chinese;
mod english;
pub(super) mod reviewing;

use serde::Serialize;

pub(crate) use access::AccessWords;
pub(crate) use amending::AmendingWords;
pub(crate) use chinese::CHINESE;
pub(crate) use english::ENGLISH;

/// The words of one language.
pub(crate) struct Words {
    // Every page.
    pub code: &'static str,
    pub skip: &'static str,
    pub nav: &'static str,
    pub register: &'static str,
    pub works: &'static str,
    pub verify: &'static str,
    pub log: &'static str,
    pub scans: &'static str,
    pub review: &'static str,
    pub footer: &'static str,
    pub footer_link: &'static str,
    pub and_so_on: &'static str,
    pub none: &'static str,
    pub unnamed: &'static str,
    // Errors.
    pub missing_title: &'static str,
    pub missing_text: &'static str,
    pub failed_title: &'static str,
    pub failed_text: &'static str,
    pub bad_title: &'static str,
    pub back: &'static str,
    // Register.
    pub register_title: &'static str,
    pub register_lead: &'static str,
    pub needs_script: &'static str,
    pub claim_legend: &'static str,
    pub claim_hint: &'static str,
    pub title: &'static str,
    pub claimant: &'static str,
    pub claimant_hint: &'static str,
    pub created: &'static str,
    pub rights: &'static str,
    pub rights_hint: &'static str,
    pub collection: &'static str,
    pub hash_only: &'static str,
    pub drop_title: &'static str,
    pub drop_hint: &'static str,
    pub choose_files: &'static str,
    pub choose_folder: &'static str,
    pub list_title: &'static str,
    // Works.
    pub works_title: &'static str,
    pub works_empty: &'static str,
    pub works_empty_link: &'static str,
    pub search_words: &'static str,
    pub search: &'static str,
    pub search_picture: &'static str,
    pub search_picture_hint: &'static str,
    pub found: &'static str,
    pub found_none: &'static str,
    pub show_all: &'static str,
    pub newest: &'static str,
    pub older: &'static str,
    pub entry: &'static str,
    pub erased: &'static str,
    pub no_picture: &'static str,
    // Work.
    pub facts: &'static str,
    pub media_type: &'static str,
    pub length: &'static str,
    pub kept: &'static str,
    pub kept_yes: &'static str,
    pub kept_no: &'static str,
    pub work_id: &'static str,
    pub dag_id: &'static str,
    pub claims: &'static str,
    pub contested: &'static str,
    pub file: &'static str,
    pub creator_key: &'static str,
    pub step_received: &'static str,
    pub step_logged: &'static str,
    pub step_stamped: &'static str,
    pub step_no_time: &'static str,
    pub step_waiting: &'static str,
    pub existed_by: &'static str,
    pub receipt: &'static str,
    pub certificate: &'static str,
    pub verdict_json: &'static str,
    pub token: &'static str,
    pub tlog_proof: &'static str,
    pub checkpoint_text: &'static str,
    pub timeline: &'static str,
    pub timeline_hint: &'static str,
    pub event_created: &'static str,
    pub event_witness: &'static str,
    pub event_authority: &'static str,
    pub event_renewed: &'static str,
    pub event_claim: &'static str,
    pub event_unreadable: &'static str,
    pub no_times: &'static str,
    pub proof: &'static str,
    pub proof_hint: &'static str,
    pub proof_label: &'static str,
    pub tree_head: &'static str,
    pub covers: &'static str,
    pub elided: &'static str,
    pub leaf: &'static str,
    pub seal_log: &'static str,
    pub seal_witness: &'static str,
    pub seal_authority: &'static str,
    pub seal_unknown: &'static str,
    pub state_holds: &'static str,
    pub state_false: &'static str,
    pub state_not_counted: &'static str,
    pub state_unchecked: &'static str,
    pub proof_steps: &'static str,
    pub step_side_left: &'static str,
    pub step_side_right: &'static str,
    pub step_parent: &'static str,
    pub fingerprints: &'static str,
    pub fingerprints_none: &'static str,
    pub claims_more: &'static str,
    pub check_it: &'static str,
    // Verify.
    pub verify_title: &'static str,
    pub verify_lead: &'static str,
    pub verify_step_policy: &'static str,
    pub verify_step_policy_text: &'static str,
    pub verify_step_open: &'static str,
    pub verify_step_open_text: &'static str,
    pub verify_step_drop: &'static str,
    pub verify_step_drop_text: &'static str,
    pub policy_download: &'static str,
    pub verifier_open: &'static str,
    pub verifier_save: &'static str,
    pub verifier_missing: &'static str,
    pub verifier_missing_text: &'static str,
    pub digest_of_policy: &'static str,
    pub digest_of_verifier: &'static str,
    // Log.
    pub log_title: &'static str,
    pub log_lead: &'static str,
    pub checkpoint_newest: &'static str,
    pub origin: &'static str,
    pub entries: &'static str,
    pub root: &'static str,
    pub checkpoint_whole: &'static str,
    pub witnesses: &'static str,
    pub witnesses_none: &'static str,
    pub key: &'static str,
    pub last_seen: &'static str,
    pub cosigned_size: &'static str,
    pub behind: &'static str,
    pub up_to_date: &'static str,
    pub never: &'static str,
    pub authorities: &'static str,
    pub authorities_none: &'static str,
    pub last_stamp: &'static str,
    pub keys: &'static str,
    pub key_whole: &'static str,
    pub keys_sizes: &'static str,
    pub keys_all: &'static str,
    pub follow: &'static str,
    pub follow_text: &'static str,
    pub follow_commands: &'static str,
    pub follow_go: &'static str,
    pub tiles: &'static str,
    /// Of claims that are amended and erased.
    pub amending: &'static AmendingWords,
    /// About accounts.
    pub access: &'static AccessWords,
    /// Of scans, and for who reviews.
    pub reviewing: &'static reviewing::Reviewing,
    /// What the modules say.
    pub script: Script,
}

/// The words of the modules, which find them as JSON on their page.
#[derive(Serialize)]
pub(crate) struct Script {
    pub waiting: &'static str,
    pub uploading: &'static str,
    pub working: &'static str,
    pub received: &'static str,
    pub logged: &'static str,
    pub stamped: &'static str,
    pub existed: &'static str,
    pub stamp_soon: &'static str,
    pub no_stamp: &'static str,
    pub duplicate: &'static str,
    pub not_taken: &'static str,
    pub busy: &'static str,
    pub offline: &'static str,
    pub failed: &'static str,
    pub retry: &'static str,
    pub bytes_only: &'static str,
    pub unreadable: &'static str,
    pub too_large: &'static str,
    pub not_a_work: &'static str,
    pub text_too_long: &'static str,
    pub unavailable: &'static str,
    pub other: &'static str,
    pub similar_title: &'static str,
    pub similar_exact: &'static str,
    pub similar_own: &'static str,
    pub similar_hidden: &'static str,
    pub similar_hidden_text: &'static str,
    pub registered_elsewhere: &'static str,
    pub similar_text: &'static str,
    pub yours: &'static str,
    pub earlier: &'static str,
    pub by: &'static str,
    pub by_nobody: &'static str,
    pub differs: &'static str,
    pub same_bytes: &'static str,
    pub no_picture: &'static str,
    pub picture_of: &'static str,
    pub work: &'static str,
    pub receipt: &'static str,
    pub certificate: &'static str,
    pub tally: &'static str,
    pub tally_new: &'static str,
    pub tally_duplicates: &'static str,
    pub tally_warnings: &'static str,
    pub tally_failed: &'static str,
    pub passed_over: &'static str,
    pub announce_warning: &'static str,
    pub comparing: &'static str,
    pub compared_match: &'static str,
    pub compared_clear: &'static str,
    pub compared_undecidable: &'static str,
    pub show_all: &'static str,
    pub compared_related: &'static str,
}

impl Words {
    /// The number of an entry, as it is called.
    pub fn entry_number(&self, index: &u64) -> String {
        say(self.entry, &[&super::frame::grouped(*index)])
    }
}

impl Script {
    pub fn json(&self) -> String {
        json(self)
    }
}

/// Words as JSON that may stand in an element `script`: nothing in it ends that.
pub(crate) fn json(words: &impl Serialize) -> String {
    serde_json::to_string(words).unwrap_or_default().replace('<', "\\u003c")
}

/// A text with what is to stand for `{0}`, `{1}` and so on.
pub(crate) fn say(text: &str, given: &[&dyn std::fmt::Display]) -> String {
    let mut said = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('{') {
        let (before, after) = rest.split_at(at);
        said += before;
        let number =
            after.as_bytes().get(1).map_or(usize::MAX, |b| usize::from(b.wrapping_sub(b'0')));
        match given.get(number) {
            Some(given) => said += &given.to_string(),
            None => said += after.get(..3).unwrap_or(after),
        }
        rest = after.get(3..).unwrap_or_default();
    }
    said + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_stands_where_it_belongs_and_is_not_read_again() {
        for (text, given, said) in [
            ("{0} of {1}", &["1", "2"][..], "1 of 2"),
            ("第 {0} 号", &["{1}"], "第 {1} 号"),
            ("{0}{0}", &["a"], "aa"),
            ("{1}", &["a"], "{1}"),
            ("no {", &["a"], "no {"),
            ("", &[], ""),
        ] {
            let given: Vec<&dyn std::fmt::Display> = given.iter().map(|g| g as _).collect();
            assert_eq!(say(text, &given), said);
        }
    }

    #[test]
    fn both_languages_ask_for_the_same_to_be_put_in() {
        let holes = |json: &str| {
            let texts: serde_json::Map<_, _> = serde_json::from_str(json).unwrap();
            let count = |text: &serde_json::Value| text.as_str().unwrap().matches('{').count();
            texts.iter().map(|(name, text)| (name.clone(), count(text))).collect::<Vec<_>>()
        };
        assert_eq!(holes(&ENGLISH.script.json()), holes(&CHINESE.script.json()));
        let [english, chinese] = [ENGLISH.access, CHINESE.access];
        assert_eq!(holes(&json(&english.script)), holes(&json(&chinese.script)));
        assert_eq!(holes(&json(&english.session)), holes(&json(&chinese.session)));
        let [english, chinese] = [ENGLISH.amending, CHINESE.amending];
        assert_eq!(holes(&json(&english.script)), holes(&json(&chinese.script)));
    }
}
