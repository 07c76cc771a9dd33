//! `timemark log actions`: what the staff did, as the log has it.

use std::path::Path;

use anyhow::Result;
use serde::Serialize;
use timemark_ingest::Acted;

use crate::open;
use crate::outcome::{Answer, legible, print_json, print_line, utc};

/// What the staff did, oldest first: who, what, with what
///
/// The times are what the server's clock said, and prove nothing; the order of the entries is proven.
#[derive(clap::Args)]
pub(crate) struct Actions {
    /// Print JSON, one object a line
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Line<'a> {
    index: u64,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    erased: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stated_at: Option<String>,
}

impl Actions {
    pub fn run(&self, archive: &Path) -> Result<Answer> {
        let engine = open::open_without_signing(archive)?;
        let mut from = 0;
        loop {
            let (actions, next) = engine.actions_from(from)?;
            actions.iter().try_for_each(|acted| self.print(acted))?;
            if next == from {
                return Ok(Answer::Yes);
            }
            from = next;
        }
    }

    fn print(&self, acted: &Acted) -> Result<()> {
        let action = acted.action.as_ref();
        if self.json {
            return print_json(&Line {
                index: acted.index,
                erased: action.is_none(),
                actor: action.map(|action| &*action.actor),
                action: action.map(|action| &*action.action),
                subject: action.and_then(|action| action.subject.as_deref()),
                detail: action.and_then(|action| action.detail.as_deref()),
                stated_at: action.map(|action| utc(action.stated_at)),
            });
        }
        let Some(action) = action else {
            return print_line(&format!("entry {}  (erased)", acted.index));
        };
        let more = [&action.subject, &action.detail].into_iter().flatten();
        let more: String = more.map(|text| format!("  {}", legible(text))).collect();
        let (time, who) = (utc(action.stated_at), legible(&action.actor));
        print_line(&format!("entry {}  {time}  {who}  {}{more}", acted.index, action.action))
    }
}
