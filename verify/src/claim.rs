//! What a claimant says of a work. It travels in the receipt; the log publishes only its digest.
//!
//! The text is lines of `key value` in a fixed order, an absent value being an absent line:
//!
//! ```text
//! timemark-claim v1
//! sha256 <64 hex>            of the work
//! sha512 <128 hex>
//! sm3 <64 hex>
//! length <decimal>           bytes
//! media-type image/jpeg      told by content
//! fingerprint <kind> <value> none or more, ascending
//! title, claimant, created, rights, collection, path      optional; spelled by text.rs
//! corrects <index> <64 hex>  optional, or `withdraws …`: which earlier claim, by its entry and its digest
//! creator ed25519 <64 hex> <128 hex>          optional: key and signature
//! salt <64 hex>
//! ```
//!
//! It says what is *claimed*: who made a work, and when, is the claimant's word.

use std::fmt::Write;

use data_encoding::HEXLOWER;
use ed25519_dalek::{Signature, VerifyingKey};
use sha2::{Digest, Sha256};

use crate::text::{decimal, escape, unescape};
use crate::{Fingerprint, FormatError, WorkDigests};

const HEADER: &str = "timemark-claim v1";
const CREATOR_HEADER: &str = "timemark-creator v1";

/// A claim, version 1. Its text has one spelling, and [`Claim::digest`] is the digest of that text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The work: three digests and a length.
    pub work: WorkDigests,
    /// What the bytes are, as told by their content, such as `image/png`.
    pub media_type: String,
    /// What the work looks like, in ascending order.
    pub fingerprints: Vec<ClaimFingerprint>,
    /// The work's title.
    pub title: Option<String>,
    /// Who claims.
    pub claimant: Option<String>,
    /// When the work was made, in the claimant's words.
    pub created: Option<String>,
    /// Under which terms the work may be used.
    pub rights: Option<String>,
    /// The collection or catalogue that the work belongs to. A reader from before it refuses a claim with this line.
    pub collection: Option<String>,
    /// The path under which the work was registered, as given; bytes, because a path need not be text.
    pub path: Option<Vec<u8>>,
    /// The earlier claim upon the same work that this one corrects or withdraws. A reader from before it refuses a
    /// claim with this line.
    pub amends: Option<Amendment>,
    /// The creator's own signature.
    pub creator: Option<CreatorSignature>,
    /// Keyed digest of the rest of the claim under a secret of the archive, so that nobody can test
    /// guesses of a claim against the log, and the same claim gives the same receipt.
    pub salt: [u8; 32],
}

/// What a claim does to an earlier one upon the same work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Amendment {
    /// What it does.
    pub act: Act,
    /// The number of the earlier claim's entry in the same log.
    pub index: u64,
    /// The earlier claim's digest.
    pub claim: [u8; 32],
}

/// What can be done to an earlier claim. Its receipt stays true: it was said, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// What the later claim says takes the place of what the earlier one said.
    Corrects,
    /// Nothing is claimed any more.
    Withdraws,
}

impl Act {
    /// As it is spelled in a claim.
    pub const fn name(self) -> &'static str {
        match self {
            Act::Corrects => "corrects",
            Act::Withdraws => "withdraws",
        }
    }
}

/// A fingerprint in a claim: a kind and its value, both printable ASCII. Ordered by kind, then value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClaimFingerprint {
    kind: String,
    value: String,
}

impl ClaimFingerprint {
    /// The kind of a PDQ code; its value is 64 hex digits, a space and the quality (0 to 100).
    pub const PDQ: &str = "pdq";
    /// The kind of a gradient code; its value is 64 hex digits.
    pub const GRADIENT: &str = "gradient";
    /// The kind of a code of cosine frequencies; its value is 64 hex digits.
    pub const DCT: &str = "dct";

    /// A PDQ code with its quality (0 to 100).
    pub fn pdq(code: Fingerprint, quality: u8) -> ClaimFingerprint {
        ClaimFingerprint { kind: Self::PDQ.to_owned(), value: format!("{code} {quality}") }
    }

    /// A fingerprint of some kind (`a-z`, `0-9`, `-`) with a printable ASCII value.
    pub fn new(kind: &str, value: &str) -> Result<ClaimFingerprint, FormatError> {
        let bad = |reason: &str| FormatError::new("fingerprint", format!("{kind}: {reason}"));
        let lower = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if kind.is_empty() || !kind.bytes().all(lower) {
            return Err(bad("a kind is of a-z, 0-9 and -"));
        }
        let words_ok =
            value.split(' ').all(|w| !w.is_empty() && w.bytes().all(|b| b.is_ascii_graphic()));
        if !words_ok || value.len() > Claim::TEXT_BYTES_MAX {
            return Err(bad("a value is words of printable ASCII, one space between them"));
        }
        let fingerprint = ClaimFingerprint { kind: kind.to_owned(), value: value.to_owned() };
        match kind {
            Self::PDQ if fingerprint.as_pdq().is_none() => {
                Err(bad("64 hex digits and a quality from 0 to 100 are needed"))
            }
            Self::GRADIENT | Self::DCT if value.parse::<Fingerprint>().is_err() => {
                Err(bad("64 hex digits are needed"))
            }
            _ => Ok(fingerprint),
        }
    }

    /// The kind, such as `pdq`.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The value, whose meaning the kind tells.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// The code and quality, where this is a PDQ fingerprint.
    pub fn as_pdq(&self) -> Option<(Fingerprint, u8)> {
        let (code, quality) = self.value.split_once(' ')?;
        let quality = decimal(quality).filter(|&quality| quality <= 100)?;
        (self.kind == Self::PDQ).then_some((code.parse().ok()?, quality as u8))
    }
}

/// The creator's Ed25519 signature over what the claim says, made with a key that never leaves the
/// creator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CreatorSignature {
    /// The public key.
    pub key: [u8; 32],
    /// The signature over [`Claim::creator_message`] (RFC 8032).
    pub signature: [u8; 64],
}

impl Claim {
    /// Longest text value in bytes, as spelled on its line.
    pub const TEXT_BYTES_MAX: usize = 16 << 10;
    /// Longest claim in bytes.
    pub const BYTES_MAX: usize = 1 << 20;

    /// The claim's text, the exact bytes that [`Claim::digest`] covers.
    pub fn to_text(&self) -> String {
        let mut text = self.unsalted_text();
        line(&mut text, "salt", &HEXLOWER.encode(&self.salt));
        text
    }

    /// The claim's text without its last line: what the salt is computed from.
    pub fn unsalted_text(&self) -> String {
        let mut text = format!("{HEADER}\n");
        self.write_statement(&mut text);
        if let Some(creator) = &self.creator {
            let key = HEXLOWER.encode(&creator.key);
            let signature = HEXLOWER.encode(&creator.signature);
            line(&mut text, "creator", &format!("ed25519 {key} {signature}"));
        }
        text
    }

    /// What the creator signs: everything the claim says, under a header of its own.
    pub fn creator_message(&self) -> String {
        let mut text = format!("{CREATOR_HEADER}\n");
        self.write_statement(&mut text);
        text
    }

    /// SHA-256 of the claim's text; the log publishes it in the leaf.
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.to_text().as_bytes()).into()
    }

    /// The PDQ code and quality, where the work is a picture.
    pub fn pdq(&self) -> Option<(Fingerprint, u8)> {
        self.fingerprints.iter().find_map(ClaimFingerprint::as_pdq)
    }

    /// Whether this claim, as that of an entry, amends the one of an earlier entry: the same work, that digest, and the
    /// same creator's key where that one is signed. A withdrawal is not amended. That both are in one log is for the
    /// caller to know.
    pub fn amends(&self, at: u64, earlier: &Claim, earlier_at: u64) -> bool {
        let is_meant = |amendment: &Amendment| {
            amendment.index == earlier_at
                && earlier_at < at
                && earlier.digest() == amendment.claim
                && earlier.work == self.work
        };
        let key = |claim: &Claim| claim.creator.map(|creator| creator.key);
        self.amends.as_ref().is_some_and(is_meant)
            && !earlier.is_withdrawal()
            && (earlier.creator.is_none() || key(self) == key(earlier))
    }

    /// Whether this claims nothing but that an earlier claim is withdrawn.
    pub fn is_withdrawal(&self) -> bool {
        self.amends.is_some_and(|amendment| amendment.act == Act::Withdraws)
    }

    /// Whether the creator's signature, if there is one, is genuine.
    pub fn creator_signature_holds(&self) -> bool {
        self.creator.is_none_or(|creator| {
            VerifyingKey::from_bytes(&creator.key).is_ok_and(|key| {
                let signature = Signature::from_bytes(&creator.signature);
                key.verify_strict(self.creator_message().as_bytes(), &signature).is_ok()
            })
        })
    }

    fn write_statement(&self, text: &mut String) {
        line(text, "sha256", &HEXLOWER.encode(&self.work.sha256));
        line(text, "sha512", &HEXLOWER.encode(&self.work.sha512));
        line(text, "sm3", &HEXLOWER.encode(&self.work.sm3));
        line(text, "length", &self.work.length.to_string());
        line(text, "media-type", &self.media_type);
        for fingerprint in &self.fingerprints {
            line(text, "fingerprint", &format!("{} {}", fingerprint.kind, fingerprint.value));
        }
        for (key, value) in [
            ("title", self.title.as_deref().map(str::as_bytes)),
            ("claimant", self.claimant.as_deref().map(str::as_bytes)),
            ("created", self.created.as_deref().map(str::as_bytes)),
            ("rights", self.rights.as_deref().map(str::as_bytes)),
            ("collection", self.collection.as_deref().map(str::as_bytes)),
            ("path", self.path.as_deref()),
        ] {
            if let Some(value) = value {
                line(text, key, &escape(value));
            }
        }
        if let Some(Amendment { act, index, claim }) = self.amends {
            line(text, act.name(), &format!("{index} {}", HEXLOWER.encode(&claim)));
        }
    }

    /// Reads a claim's text. Whatever [`Claim::to_text`] would not write is refused.
    pub fn parse(text: &str) -> Result<Claim, FormatError> {
        if text.len() > Claim::BYTES_MAX {
            return Err(bad(format!("longer than {} bytes", Claim::BYTES_MAX)));
        }
        let mut lines = Lines { rest: text };
        lines.exactly(HEADER)?;
        let work = WorkDigests {
            sha256: hex(lines.value("sha256")?)?,
            sha512: hex(lines.value("sha512")?)?,
            sm3: hex(lines.value("sm3")?)?,
            length: decimal(lines.value("length")?)
                .ok_or_else(|| bad("its length is not a number"))?,
        };
        let media_type = lines.value("media-type")?.to_owned();
        if !is_media_type(&media_type) {
            return Err(bad(format!("{media_type:?} is not a media type")));
        }
        let mut fingerprints: Vec<ClaimFingerprint> = Vec::new();
        while let Some(value) = lines.optional("fingerprint") {
            let (kind, value) =
                value.split_once(' ').ok_or_else(|| bad("fingerprint without value"))?;
            let fingerprint = ClaimFingerprint::new(kind, value)?;
            if fingerprints.last().is_some_and(|last| *last >= fingerprint) {
                return Err(bad("fingerprints are not in ascending order of kind and value"));
            }
            fingerprints.push(fingerprint);
        }
        let claim = Claim {
            work,
            media_type,
            fingerprints,
            title: lines.optional_text("title")?,
            claimant: lines.optional_text("claimant")?,
            created: lines.optional_text("created")?,
            rights: lines.optional_text("rights")?,
            collection: lines.optional_text("collection")?,
            path: lines.optional_bytes("path")?,
            amends: parse_amendment(&mut lines)?,
            creator: lines.optional("creator").map(parse_creator).transpose()?,
            salt: hex(lines.value("salt")?)?,
        };
        if lines.rest.is_empty() { Ok(claim) } else { Err(bad("something follows the salt")) }
    }
}

/// Whether a text can stand as a media type in a claim: `type/subtype` of lower-case RFC 6838 names.
pub(crate) fn is_media_type(text: &str) -> bool {
    let name = |part: &str| {
        (1..=127).contains(&part.len())
            && part
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"!#$&-^_.+".contains(&b))
    };
    text.split_once('/').is_some_and(|(kind, subtype)| name(kind) && name(subtype))
}

fn line(text: &mut String, key: &str, value: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{key} {value}");
}

fn bad(reason: impl Into<String>) -> FormatError {
    FormatError::new("claim", reason)
}

fn hex<const N: usize>(digits: &str) -> Result<[u8; N], FormatError> {
    let bytes = HEXLOWER.decode(digits.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| bad(format!("{digits:?} is not {} lower-case hex digits", 2 * N)))
}

fn parse_amendment(lines: &mut Lines) -> Result<Option<Amendment>, FormatError> {
    for act in [Act::Corrects, Act::Withdraws] {
        let Some(value) = lines.optional(act.name()) else { continue };
        let parts = value.split_once(' ').and_then(|(index, claim)| Some((decimal(index)?, claim)));
        let (index, claim) = parts
            .ok_or_else(|| bad(format!("{} is not an entry's number and a digest", act.name())))?;
        return Ok(Some(Amendment { act, index, claim: hex(claim)? }));
    }
    Ok(None)
}

fn parse_creator(value: &str) -> Result<CreatorSignature, FormatError> {
    match value.split(' ').collect::<Vec<_>>()[..] {
        ["ed25519", key, signature] => {
            Ok(CreatorSignature { key: hex(key)?, signature: hex(signature)? })
        }
        _ => Err(bad("creator is not `ed25519 KEY SIGNATURE`")),
    }
}

struct Lines<'a> {
    rest: &'a str,
}

impl<'a> Lines<'a> {
    fn exactly(&mut self, expected: &str) -> Result<(), FormatError> {
        match self.rest.split_once('\n') {
            Some((line, rest)) if line == expected => {
                self.rest = rest;
                Ok(())
            }
            _ => Err(bad(format!("it does not begin with {expected:?}"))),
        }
    }

    fn optional(&mut self, key: &str) -> Option<&'a str> {
        let (line, rest) = self.rest.split_once('\n')?;
        let value = line.strip_prefix(key)?.strip_prefix(' ')?;
        self.rest = rest;
        Some(value)
    }

    fn value(&mut self, key: &str) -> Result<&'a str, FormatError> {
        self.optional(key).ok_or_else(|| bad(format!("a line `{key} …` is missing or misplaced")))
    }

    fn optional_bytes(&mut self, key: &str) -> Result<Option<Vec<u8>>, FormatError> {
        let Some(value) = self.optional(key) else { return Ok(None) };
        if value.is_empty() || value.len() > Claim::TEXT_BYTES_MAX {
            return Err(bad(format!(
                "{key} is empty or longer than {} bytes",
                Claim::TEXT_BYTES_MAX
            )));
        }
        unescape(value).map(Some)
    }

    fn optional_text(&mut self, key: &str) -> Result<Option<String>, FormatError> {
        let Some(bytes) = self.optional_bytes(key)? else { return Ok(None) };
        String::from_utf8(bytes).map(Some).map_err(|_| bad(format!("{key} is not UTF-8")))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::option;
    use proptest::prelude::*;

    pub(crate) fn sample() -> Claim {
        Claim {
            work: WorkDigests::of(b"a work"),
            media_type: "image/jpeg".to_owned(),
            fingerprints: vec![ClaimFingerprint::pdq(Fingerprint([1, 2, 3, u64::MAX]), 100)],
            title: Some("山水".to_owned()),
            claimant: Some("Zhang Wei".to_owned()),
            created: Some("2026-11-22".to_owned()),
            rights: Some("All rights reserved\nNo AI training".to_owned()),
            collection: Some("Spring 2026".to_owned()),
            path: Some(b"works/\xFF.jpg".to_vec()),
            amends: None,
            creator: None,
            salt: [9; 32],
        }
    }

    #[test]
    fn the_text_is_what_a_person_reads() {
        let text = sample().to_text();
        assert!(text.starts_with("timemark-claim v1\nsha256 "));
        assert!(text.contains("\ntitle 山水\nclaimant Zhang Wei\ncreated 2026-11-22\n"));
        assert!(text.contains(
            "\nrights All rights reserved%0ANo AI training\ncollection Spring 2026\npath works/%FF.jpg\n"
        ));
        assert_eq!(Claim::parse(&text).unwrap(), sample());
    }

    #[test]
    fn a_claim_that_names_no_collection_is_written_as_before_there_were_any() {
        let claim = Claim { collection: None, ..sample() };
        let text = claim.to_text();
        assert_eq!(text, sample().to_text().replace("collection Spring 2026\n", ""));
        assert_eq!(Claim::parse(&text).unwrap(), claim);
    }

    #[test]
    fn a_creator_signs_the_collection_too() {
        let other = Claim { collection: Some("Autumn 2026".to_owned()), ..sample() };
        assert_ne!(sample().creator_message(), other.creator_message());
        assert!(sample().creator_message().contains("\ncollection Spring 2026\npath "));
    }

    fn amending(act: Act) -> Claim {
        Claim { amends: Some(Amendment { act, index: 17, claim: sample().digest() }), ..sample() }
    }

    #[test]
    fn what_is_amended_stands_between_path_and_creator() {
        for act in [Act::Corrects, Act::Withdraws] {
            let (claim, text) = (amending(act), amending(act).to_text());
            let line = format!("{} 17 {}\n", act.name(), HEXLOWER.encode(&sample().digest()));
            assert!(text.contains(&format!("\npath works/%FF.jpg\n{line}salt ")), "{text}");
            assert_eq!(text.replace(&line, ""), sample().to_text());
            assert!(claim.creator_message().ends_with(&line), "a creator signs it too");
            assert_eq!(Claim::parse(&text).unwrap(), claim);
            for (from, to) in [
                (" 17 ", " 017 "),
                (" 17 ", " +17 "),
                (" 17 ", "  17 "),
                (" 17 ", " 18446744073709551616 "),
                (" 17 ", " 17"),
                ("\nsalt", " \nsalt"),
                ("\nsalt", "0\nsalt"),
                (act.name(), "Corrects"),
                (act.name(), "amends"),
                (&format!("path works/%FF.jpg\n{line}"), &format!("{line}path works/%FF.jpg\n")),
                (&line, &line.repeat(2)),
                (&line, &format!("{line}corrects 18 {}\n", "0".repeat(64))),
                (&line, &format!("{line}withdraws 18 {}\n", "0".repeat(64))),
                (&line, &format!("{line}creator ed25519 {}\n{line}", "0".repeat(64))),
            ] {
                let other = text.replacen(from, to, 1);
                assert_ne!(text, other, "{from}");
                assert!(Claim::parse(&other).is_err(), "{to:?}");
            }
        }
    }

    #[test]
    fn only_the_claim_that_is_meant_is_amended() {
        let (old, new) = (sample(), amending(Act::Corrects));
        assert!(new.amends(18, &old, 17));
        assert!(!new.amends(18, &old, 16), "another entry");
        assert!(!new.amends(17, &old, 17), "itself");
        let other = Claim { title: None, ..sample() };
        assert!(!new.amends(18, &other, 17), "another claim");
        let work = WorkDigests::of(b"another work");
        assert!(!Claim { work, ..amending(Act::Corrects) }.amends(18, &old, 17), "another work");
        assert!(!old.amends(18, &new, 17), "it amends nothing");
        let withdrawal = amending(Act::Withdraws);
        let meant = Amendment { claim: withdrawal.digest(), ..new.amends.unwrap() };
        let late = Claim { amends: Some(meant), ..sample() };
        assert!(!late.amends(18, &withdrawal, 17), "nothing is claimed any more");
    }

    #[test]
    fn a_signed_claim_is_amended_under_the_same_key_only() {
        let by = |key| Some(CreatorSignature { key: [key; 32], signature: [0; 64] });
        let old = Claim { creator: by(1), ..sample() };
        let meant = Amendment { act: Act::Corrects, index: 17, claim: old.digest() };
        for (creator, amends) in [(by(1), true), (by(2), false), (None, false)] {
            let new = Claim { amends: Some(meant), creator, ..sample() };
            assert_eq!(new.amends(18, &old, 17), amends, "{creator:?}");
        }
    }

    #[test]
    fn one_spelling_only() {
        let text = sample().to_text();
        for (from, to) in [
            ("timemark-claim v1", "timemark-claim v2"),
            ("length 6", "length 06"),
            ("length 6", "length +6"),
            ("length 6", "length 6 "),
            ("title 山水", "title "),
            ("title 山水\n", "title 山水\ntitle 山水\n"),
            ("title 山水\nclaimant Zhang Wei\n", "claimant Zhang Wei\ntitle 山水\n"),
            ("title", "Title"),
            ("collection Spring 2026", "collection "),
            (
                "collection Spring 2026\npath works/%FF.jpg\n",
                "path works/%FF.jpg\ncollection Spring 2026\n",
            ),
            ("path works/%FF.jpg", "path works/%ff.jpg"),
            ("media-type image/jpeg", "media-type image"),
            ("media-type image/jpeg", "media-type Image/jpeg"),
            ("media-type", "note x\nmedia-type"),
            ("title", "fingerprint gradient banana\ntitle"),
            (
                "title",
                "fingerprint pdq 0000000000000000000000000000000000000000000000000000000000000000 1\ntitle",
            ),
            (" 100\n", " 101\n"),
            (" 100\n", "  100\n"),
            ("fingerprint pdq", "fingerprint PDQ"),
            ("salt ", "salt 00"),
        ] {
            let other = text.replacen(from, to, 1);
            assert_ne!(text, other, "{from}");
            assert!(Claim::parse(&other).is_err(), "{to:?}");
        }
        assert!(Claim::parse(text.trim_end()).is_err());
        assert!(Claim::parse(&format!("{text}\n")).is_err());
        assert!(Claim::parse(&text.replace('\n', "\r\n")).is_err());
    }

    #[test]
    fn kinds_of_fingerprints_ascend_and_unknown_ones_stay() {
        let mut claim = sample();
        claim.fingerprints.insert(0, ClaimFingerprint::new("audio-v9", "deadbeef 7").unwrap());
        assert_eq!(Claim::parse(&claim.to_text()).unwrap(), claim);
        claim.fingerprints.swap(0, 1);
        assert!(Claim::parse(&claim.to_text()).is_err());
    }

    proptest! {
        #[test]
        fn any_claim_comes_back(
            content in any::<Vec<u8>>(),
            title in option::of(".{1,20}"),
            rights in option::of("(?s).{1,20}"),
            collection in option::of("(?s).{1,20}"),
            path in option::of(proptest::collection::vec(1u8.., 1..20)),
            amended in option::of((any::<bool>(), any::<u64>(), any::<[u8; 32]>())),
            salt in any::<[u8; 32]>(),
        ) {
            let amends = amended.map(|(withdraws, index, claim)| {
                let act = if withdraws { Act::Withdraws } else { Act::Corrects };
                Amendment { act, index, claim }
            });
            let work = WorkDigests::of(&content);
            let claim = Claim { work, title, rights, collection, path, amends, salt, ..sample() };
            prop_assert_eq!(Claim::parse(&claim.to_text()).unwrap(), claim);
        }

        #[test]
        fn no_text_panics_and_what_parses_is_the_only_spelling(
            at in 0usize..700, byte in any::<u8>(), cut in any::<bool>(),
        ) {
            let mut bytes = sample().to_text().into_bytes();
            let at = at % bytes.len();
            if cut { bytes.truncate(at) } else { bytes[at] = byte }
            if let Ok(text) = String::from_utf8(bytes) && let Ok(claim) = Claim::parse(&text) {
                prop_assert_eq!(claim.to_text(), text);
            }
        }
    }
}
