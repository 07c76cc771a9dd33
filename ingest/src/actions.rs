//! What the staff does is entered into the log, among the works, and read from it again.

use timemark_tlog::{LogError, system_seconds};
use timemark_verify::Action;

use crate::Engine;

/// What somebody of the staff does, before it has its time and its salt.
#[derive(Clone, Copy, Debug)]
pub struct Act<'a> {
    /// The id of an account, or [`Action::OPERATOR`].
    pub actor: &'a str,
    /// What is done, such as `work.view`.
    pub action: &'a str,
    /// With what.
    pub subject: Option<&'a str>,
    /// How, in few words.
    pub detail: Option<&'a str>,
}

/// An action as the log holds it.
#[derive(Clone, Debug)]
pub struct Acted {
    /// The number of its entry.
    pub index: u64,
    /// What was done; `None` where it was erased.
    pub action: Option<Action>,
}

impl Engine {
    /// Enters into the log what somebody of the staff does. Once this returns, it is durable there; what must not be done
    /// unrecorded is done, or told, after it. Texts that are too long are cut.
    pub fn act(&self, act: Act<'_>) -> Result<u64, LogError> {
        let text = |text: &str| Some(cut(text)).filter(|text| !text.is_empty());
        let mut action = Action {
            actor: cut(act.actor),
            action: act.action.to_owned(),
            subject: act.subject.and_then(text),
            detail: act.detail.and_then(text),
            stated_at: system_seconds(),
            salt: [0; 32],
        };
        action.salt = self.salter.digest(&action.unsalted_text());
        let index = self.log.append_action(&action)?;
        // Registry and index pass over it. What keeps them from it is told by whoever takes in works.
        let _ = self.catch_up_with(index);
        Ok(index)
    }

    /// The actions from this entry of the log on, at most to the end of its bundle of 256, and the entry after that; the
    /// same entry at the end of the log.
    pub fn actions_from(&self, first: u64) -> Result<(Vec<Acted>, u64), LogError> {
        let entries = self.log.entries_from(first)?;
        let next = first + entries.len() as u64;
        let actions = entries.into_iter().filter(|entry| Action::is_entry(&entry.leaf));
        let actions = actions.map(|entry| {
            let action = entry.claim.map(|text| Action::parse(&text)).transpose()?;
            Ok(Acted { index: entry.index, action })
        });
        Ok((actions.collect::<Result<_, LogError>>()?, next))
    }
}

/// As much of a text as fits on a line of an action, however it is spelled there.
fn cut(text: &str) -> String {
    let end = text.floor_char_boundary(Action::TEXT_BYTES_MAX / SPELLED_BYTES_MAX);
    text[..end].to_owned()
}

/// What one byte of a text may take on its line.
const SPELLED_BYTES_MAX: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_fits_and_stays_text() {
        for text in ["\u{202E}".repeat(5000), "é".repeat(5000), "%".repeat(5000), "a".to_owned()] {
            let cut = cut(&text);
            assert!(text.starts_with(&cut) && !cut.is_empty());
            assert!(timemark_verify::escape(cut.as_bytes()).len() <= Action::TEXT_BYTES_MAX);
        }
    }
}
