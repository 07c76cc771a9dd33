//! What happened, and where it is read from.

use std::error::Error;
use std::fmt;
use std::str::FromStr;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// What kinds of things happen. Each has one form of data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
pub enum EventKind {
    /// A work was registered.
    #[serde(rename = "work.registered")]
    WorkRegistered,
    /// Others vouch for a registration, as far as the archive asks others.
    #[serde(rename = "receipt.finalised")]
    ReceiptFinalised,
    /// A scan found a copy.
    #[serde(rename = "match.found")]
    MatchFound,
    /// Somebody decided what a match is, or took that back.
    #[serde(rename = "match.verdict")]
    MatchVerdict,
    /// Somebody wanted to see whether deliveries arrive. Nobody subscribes to it.
    #[serde(rename = "webhook.test")]
    Test,
}

impl EventKind {
    /// All of them.
    pub const ALL: [EventKind; 5] = [
        EventKind::WorkRegistered,
        EventKind::ReceiptFinalised,
        EventKind::MatchFound,
        EventKind::MatchVerdict,
        EventKind::Test,
    ];

    /// Its name, as receivers see it.
    pub fn name(self) -> &'static str {
        match self {
            EventKind::WorkRegistered => "work.registered",
            EventKind::ReceiptFinalised => "receipt.finalised",
            EventKind::MatchFound => "match.found",
            EventKind::MatchVerdict => "match.verdict",
            EventKind::Test => "webhook.test",
        }
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for EventKind {
    type Err = ();

    fn from_str(name: &str) -> Result<EventKind, ()> {
        EventKind::ALL.into_iter().find(|kind| kind.name() == name).ok_or(())
    }
}

/// Something that happened.
#[derive(Clone, Debug)]
pub struct Event {
    /// The same whenever the same thing is read again: [`event_id`].
    pub id: String,
    /// What kind of thing it is.
    pub kind: EventKind,
    /// What it is about. Short, and nothing that must be forgotten one day: it is kept with the deliveries.
    pub data: Value,
}

/// The id of an event: of nothing but what it is, so that it comes out the same after whatever was lost.
pub fn event_id(origin: &str, kind: EventKind, what: &str) -> String {
    let text = format!("timemark event\n{origin}\n{kind}\n{what}\n");
    format!("evt_{}", HEXLOWER.encode(&Sha256::digest(text)[..16]))
}

/// What happened since a cursor.
#[derive(Clone, Debug)]
pub struct Happened {
    /// In the order in which it happened.
    pub events: Vec<Event>,
    /// Where to go on.
    pub next: u64,
}

/// Somewhere durable where things happen in an order. A cursor is a place in it, and stays one.
pub trait Source: Send + Sync {
    /// Under which name cursors in it are kept; never changes.
    fn name(&self) -> &'static str;

    /// The kind of events that it has.
    fn kind(&self) -> EventKind;

    /// Where what has not happened yet begins.
    fn end(&self) -> Result<u64, Box<dyn Error + Send + Sync>>;

    /// What happened from a cursor on; a part of it where that is much. Nothing, and the same cursor, if nothing did.
    fn since(&self, cursor: u64) -> Result<Happened, Box<dyn Error + Send + Sync>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_has_one_id_and_no_two_share_it() {
        let id = |origin, kind, what| event_id(origin, kind, what);
        let first = id("a.example", EventKind::WorkRegistered, "1");
        assert_eq!(first, id("a.example", EventKind::WorkRegistered, "1"));
        assert!(first.starts_with("evt_") && !first.contains('.') && first.len() == 36);
        for other in [
            id("b.example", EventKind::WorkRegistered, "1"),
            id("a.example", EventKind::ReceiptFinalised, "1"),
            id("a.example", EventKind::WorkRegistered, "2"),
        ] {
            assert_ne!(first, other);
        }
    }

    #[test]
    fn a_kind_is_written_by_its_name() {
        for kind in EventKind::ALL {
            assert_eq!(kind.name().parse(), Ok(kind));
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        }
        assert!("match.lost".parse::<EventKind>().is_err());
    }
}
