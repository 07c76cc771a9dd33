//! What somebody of the staff did with an archive. The log publishes only the digest of the text.
//!
//! The text is lines of `key value` in a fixed order, an absent value being an absent line:
//!
//! ```text
//! timemark-action v1
//! actor <text>               who: the id of an account, or `operator`
//! action match.verdict       what: words of a-z and - with dots between them
//! subject <text>             with what; optional
//! detail <text>              optional
//! stated-at 2026-11-29T12:00:00Z
//! salt <64 hex>
//! ```
//!
//! The time is what the server's clock said, and no proof of anything: what is proven is the order of the entries.

use std::fmt::Write;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use crate::FormatError;
use crate::text::{escape, seconds_of_utc, unescape, utc};

const HEADER: &str = "timemark-action v1";

/// An action of somebody of the staff, version 1: entry kind 2 of the log. Its text has one spelling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action {
    /// Who: the id of an account, or [`Action::OPERATOR`].
    pub actor: String,
    /// What was done, such as `work.view`.
    pub action: String,
    /// With what.
    pub subject: Option<String>,
    /// How, in few words.
    pub detail: Option<String>,
    /// When, as the server's clock had it: seconds since 1970.
    pub stated_at: u64,
    /// Keyed digest of the rest under a secret of the archive, so that nobody can test guesses of an action
    /// against the log.
    pub salt: [u8; 32],
}

impl Action {
    /// The kind byte of the entry.
    pub const ENTRY: u8 = 2;
    /// Length of the entry in bytes.
    pub const ENTRY_BYTES: usize = 33;
    /// Whoever has the archive's folder, and needs no account.
    pub const OPERATOR: &str = "operator";
    /// Longest text value in bytes, as spelled on its line.
    pub const TEXT_BYTES_MAX: usize = 4 << 10;
    /// Longest word of what was done.
    pub const WORD_BYTES_MAX: usize = 64;

    /// The action's text, the exact bytes that [`Action::digest`] covers.
    pub fn to_text(&self) -> String {
        let mut text = self.unsalted_text();
        line(&mut text, "salt", &HEXLOWER.encode(&self.salt));
        text
    }

    /// The text without its last line: what the salt is computed from.
    pub fn unsalted_text(&self) -> String {
        let mut text = format!("{HEADER}\n");
        line(&mut text, "actor", &escape(self.actor.as_bytes()));
        line(&mut text, "action", &self.action);
        for (key, value) in [("subject", &self.subject), ("detail", &self.detail)] {
            if let Some(value) = value {
                line(&mut text, key, &escape(value.as_bytes()));
            }
        }
        line(&mut text, "stated-at", &utc(self.stated_at));
        text
    }

    /// SHA-256 of the text; the log publishes it.
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.to_text().as_bytes()).into()
    }

    /// The exact bytes of the entry: `kind (2) ‖ digest (32)`.
    pub fn to_entry(&self) -> [u8; Action::ENTRY_BYTES] {
        let mut bytes = [Action::ENTRY; Action::ENTRY_BYTES];
        bytes[1..].copy_from_slice(&self.digest());
        bytes
    }

    /// Whether an entry of the log is that of an action.
    pub fn is_entry(entry: &[u8]) -> bool {
        entry.first() == Some(&Action::ENTRY)
    }

    /// Reads an action's text. Whatever [`Action::to_text`] would not write is refused.
    pub fn parse(text: &str) -> Result<Action, FormatError> {
        let rest = text.strip_prefix(HEADER).and_then(|rest| rest.strip_prefix('\n'));
        let mut rest = rest.ok_or_else(|| bad(format!("it does not begin with {HEADER:?}")))?;
        let mut take = |key: &str| {
            let (line, after) = rest.split_once('\n')?;
            let value = line.strip_prefix(key)?.strip_prefix(' ')?;
            rest = after;
            Some(value)
        };
        let missing = |key: &str| bad(format!("a line `{key} …` is missing or misplaced"));
        let actor = words("actor", take("actor").ok_or_else(|| missing("actor"))?)?;
        let action = take("action").ok_or_else(|| missing("action"))?.to_owned();
        if !is_word(&action) {
            return Err(bad(format!(
                "{action:?} is not words of a-z and - with dots between them"
            )));
        }
        let subject = take("subject").map(|value| words("subject", value)).transpose()?;
        let detail = take("detail").map(|value| words("detail", value)).transpose()?;
        let stated_at = take("stated-at").ok_or_else(|| missing("stated-at"))?;
        let stated_at = seconds_of_utc(stated_at)
            .ok_or_else(|| bad(format!("{stated_at:?} is no time in whole seconds of UTC")))?;
        let digits = take("salt").ok_or_else(|| missing("salt"))?;
        let salt = HEXLOWER.decode(digits.as_bytes()).ok().and_then(|salt| salt.try_into().ok());
        let salt = salt.ok_or_else(|| bad("its salt is not 64 lower-case hex digits"))?;
        if !rest.is_empty() {
            return Err(bad("something follows the salt"));
        }
        Ok(Action { actor, action, subject, detail, stated_at, salt })
    }
}

/// Whether a text can stand for what was done.
fn is_word(text: &str) -> bool {
    let part = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
    };
    text.len() <= Action::WORD_BYTES_MAX && text.split('.').all(part)
}

fn words(key: &str, spelled: &str) -> Result<String, FormatError> {
    if spelled.is_empty() || spelled.len() > Action::TEXT_BYTES_MAX {
        let most = Action::TEXT_BYTES_MAX;
        return Err(bad(format!("{key} is empty or longer than {most} bytes")));
    }
    String::from_utf8(unescape(spelled)?).map_err(|_| bad(format!("{key} is not UTF-8")))
}

fn line(text: &mut String, key: &str, value: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{key} {value}");
}

fn bad(reason: impl Into<String>) -> FormatError {
    FormatError::new("action", reason)
}

#[cfg(test)]
mod tests {
    use proptest::option;
    use proptest::prelude::*;

    use super::*;

    fn sample() -> Action {
        Action {
            actor: "acc-7f3k".to_owned(),
            action: "match.verdict".to_owned(),
            subject: Some("match 12".to_owned()),
            detail: Some("infringing\n100 %".to_owned()),
            stated_at: 2_214_172_799,
            salt: [9; 32],
        }
    }

    #[test]
    fn the_text_is_what_a_person_reads() {
        let text = sample().to_text();
        let salt = "09".repeat(32);
        assert_eq!(
            text,
            format!(
                "timemark-action v1\nactor acc-7f3k\naction match.verdict\nsubject match 12\n\
                 detail infringing%0A100 %25\nstated-at 2040-02-29T23:59:59Z\nsalt {salt}\n"
            )
        );
        assert_eq!(Action::parse(&text).unwrap(), sample());
        let bare = Action { subject: None, detail: None, ..sample() };
        assert_eq!(Action::parse(&bare.to_text()).unwrap(), bare);
        assert_eq!(bare.to_text().lines().count(), 5);
    }

    #[test]
    fn the_entry_is_the_kind_and_the_digest() {
        let entry = sample().to_entry();
        assert_eq!(entry[0], 2);
        assert_eq!(entry[1..], sample().digest());
        assert!(Action::is_entry(&entry) && !Action::is_entry(&[1; 65]) && !Action::is_entry(&[]));
        assert_eq!(crate::Leaf::parse(&entry), Ok(None), "it registers no work");
    }

    #[test]
    fn what_a_writer_would_not_write_is_refused() {
        let text = sample().to_text();
        for (from, to) in [
            ("timemark-action v1", "timemark-action v2"),
            ("timemark-action", "timemark-claim"),
            ("actor acc-7f3k\n", ""),
            ("actor acc-7f3k\n", "actor \n"),
            ("actor acc-7f3k\n", "actor %61cc-7f3k\n"),
            ("actor acc-7f3k\n", "actor %FF\n"),
            ("action match.verdict", "action Match"),
            ("action match.verdict", "action match..verdict"),
            ("action match.verdict", "action "),
            ("action match.verdict", "action match verdict"),
            ("subject match 12\n", "detail x\nsubject match 12\n"),
            ("subject match 12\n", "subject match 12\nsubject match 12\n"),
            ("subject match 12\n", "subject \n"),
            ("23:59:59Z", "23:59:60Z"),
            ("23:59:59Z", "23:59:59+00:00"),
            ("stated-at", "at"),
            ("salt 09", "salt 0"),
            ("salt 09", "salt 0A"),
            ("\nsalt", "\r\nsalt"),
            ("action match", "action  match"),
        ] {
            let bad = text.replacen(from, to, 1);
            assert_ne!(bad, text, "{from}");
            assert!(Action::parse(&bad).is_err(), "{to}");
        }
        for bad in [format!("{text}\n"), format!("{text}x y\n"), text[..text.len() - 1].to_owned()]
        {
            assert!(Action::parse(&bad).is_err(), "{bad}");
        }
        let long = Action { detail: Some("x".repeat(Action::TEXT_BYTES_MAX + 1)), ..sample() };
        assert!(Action::parse(&long.to_text()).is_err());
        let never = Action { stated_at: u64::MAX, ..sample() };
        assert!(Action::parse(&never.to_text()).is_err());
    }

    proptest! {
        #[test]
        fn whatever_is_written_is_read_again(
            actor in "(?s).{1,20}",
            subject in option::of("(?s).{1,20}"),
            detail in option::of("(?s).{1,20}"),
            stated_at in 0..250_000_000_000_u64,
            salt in any::<[u8; 32]>(),
        ) {
            let action = "export".to_owned();
            let action = Action { actor, action, subject, detail, stated_at, salt };
            prop_assert_eq!(Action::parse(&action.to_text()).unwrap(), action);
        }

        #[test]
        fn whatever_is_read_is_what_would_be_written(
            text in "timemark-action v1\n(actor|action|subject|detail|stated-at|salt) [a-z%0-9 ]{0,9}\n.{0,40}",
        ) {
            if let Ok(action) = Action::parse(&text) {
                prop_assert_eq!(action.to_text(), text);
            }
        }
    }
}
