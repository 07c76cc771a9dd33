//! The receipt file: everything a court needs beside the work, in a text that a person can read.
//!
//! ```text
//! timemark-receipt v1
//! # two fixed lines that tell a reader what this is
//! == claim 12              a section: its name and how many lines follow
//! timemark-claim v1        …
//! == leaf 1
//! 01…                      the exact entry of the log in hex
//! == anchor 9
//! c2sp.org/tlog-proof@v1   index, inclusion proof, checkpoint with signatures
//! == timestamp 20          none or more after each anchor: an RFC 3161 TimeStampResp in base64
//! == evidence-record 60    none or more after those: an RFC 4998 EvidenceRecord over the checkpoint's text
//! == receipt-record 60     none or more after all anchors: an EvidenceRecord over all text above the first
//! == sha256 <64 hex>       of every byte above this line
//! ```
//!
//! Sections of other names may follow at the end: they belong to later versions, are kept as they
//! are and prove nothing here.

use std::fmt;

use data_encoding::{BASE64, HEXLOWER};
use sha2::{Digest, Sha256};

use crate::merkle::{Hash, PROOF_HASHES_MAX};
use crate::text::{decimal, hides};
use crate::{Checkpoint, Claim, FormatError, Leaf, Note};

const HEADER: &str = "timemark-receipt v1\n\
    # The claim upon a work, the log entry that commits to it, and the proof that the log holds it.\n\
    # To check it: timemark verify WORK --receipt THIS_FILE --policy TRUST\n";
const PROOF_HEADER: &str = "c2sp.org/tlog-proof@v1";
const BASE64_LINE_CHARS: usize = 64;
/// The sections of which this version knows where they may stand.
const SECTIONS: [&str; 7] =
    ["claim", "leaf", "anchor", "timestamp", "evidence-record", "receipt-record", "sha256"];

/// A receipt: a claim, its leaf, and one or more anchors. `Display` gives the exact file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// What the claimant says.
    pub claim: Claim,
    /// What the log published of it.
    pub leaf: Leaf,
    /// Proofs that a log holds the leaf, in the order in which they were added.
    pub anchors: Vec<Anchor>,
    /// RFC 4998 EvidenceRecords (DER) about [`record_data`](Receipt::record_data). As soon as there is one,
    /// everything above them stays as it is.
    pub records: Vec<Vec<u8>>,
    /// Sections of names this version does not know.
    pub others: Vec<OtherSection>,
}

/// A proof that a log holds the leaf, and time-stamps of the checkpoint it leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// Position of the leaf in the log.
    pub index: u64,
    /// Inclusion proof, from the leaf's sibling to the root's child.
    pub proof: Vec<Hash>,
    note: Note,
    checkpoint: Checkpoint,
    /// RFC 3161 TimeStampResps (DER) whose imprint is over the checkpoint's text.
    pub timestamps: Vec<Vec<u8>>,
    /// RFC 4998 EvidenceRecords (DER) about the checkpoint's text: time-stamps that were renewed.
    pub records: Vec<Vec<u8>>,
}

/// A section of a name that this version does not know, kept as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherSection {
    pub(crate) name: String,
    pub(crate) text: String,
}

impl OtherSection {
    /// The section's name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Receipt {
    /// Longest receipt in bytes.
    pub const BYTES_MAX: usize = 8 << 20;
    /// Most anchors of a receipt, and most time-stamps of an anchor.
    pub const ANCHORS_MAX: usize = 64;
    /// Most evidence records of an anchor, and most of the receipt as a whole.
    pub const RECORDS_MAX: usize = 16;
    /// The name under which a receipt lies beside its work: `<file name>.timemark`.
    pub const FILE_EXTENSION: &str = "timemark";

    /// Whether a file that begins with these bytes says it is a receipt.
    pub fn is_receipt(start: &[u8]) -> bool {
        start.starts_with(b"timemark-receipt v")
    }

    /// Reads a receipt file. Bytes that `Display` would not write are refused.
    pub fn parse(file: &[u8]) -> Result<Receipt, FormatError> {
        if file.len() > Receipt::BYTES_MAX {
            return Err(bad(format!("longer than {} bytes", Receipt::BYTES_MAX)));
        }
        if !Receipt::is_receipt(file) {
            return Err(bad("this is no Timemark receipt"));
        }
        let text = str::from_utf8(file).map_err(|_| bad("it is damaged: not UTF-8"))?;
        let (body, last_line) = split_last_line(text)
            .ok_or_else(|| bad("it is damaged: its last line is cut short"))?;
        let digest = HEXLOWER.encode(&Sha256::digest(body.as_bytes()));
        if last_line != format!("== sha256 {digest}\n") {
            return Err(bad("it is damaged: its last line is not the SHA-256 of what is above"));
        }
        let sections =
            body.strip_prefix(HEADER).ok_or_else(|| bad("its first lines are not v1's"))?;
        Receipt::parse_sections(sections)
    }

    fn parse_sections(mut rest: &str) -> Result<Receipt, FormatError> {
        let claim = Claim::parse(expect_section(&mut rest, "claim")?)?;
        let leaf = parse_leaf(expect_section(&mut rest, "leaf")?)?;
        let mut anchors: Vec<Anchor> = Vec::new();
        let mut records: Vec<Vec<u8>> = Vec::new();
        let mut others: Vec<OtherSection> = Vec::new();
        while !rest.is_empty() {
            let (name, text) = next_section(&mut rest)?;
            match (name, anchors.last_mut()) {
                ("anchor", _) if records.is_empty() && others.is_empty() => {
                    let anchor = Anchor::parse_tlog_proof(text)?;
                    let twice =
                        anchors.iter().any(|a| a.index == anchor.index && a.note == anchor.note);
                    if twice || anchors.len() >= Receipt::ANCHORS_MAX {
                        return Err(bad("an anchor stands twice, or there are too many"));
                    }
                    anchors.push(anchor);
                }
                ("timestamp", Some(anchor))
                    if anchor.records.is_empty() && records.is_empty() && others.is_empty() =>
                {
                    push_der(&mut anchor.timestamps, Receipt::ANCHORS_MAX, name, text)?;
                }
                ("evidence-record", Some(anchor)) if records.is_empty() && others.is_empty() => {
                    push_der(&mut anchor.records, Receipt::RECORDS_MAX, name, text)?;
                }
                ("receipt-record", Some(_)) if others.is_empty() => {
                    push_der(&mut records, Receipt::RECORDS_MAX, name, text)?;
                }
                (known, _) if SECTIONS.contains(&known) => {
                    return Err(bad(format!("a section {name:?} stands where none may stand")));
                }
                (_, None) => {
                    return Err(bad(format!("a section {name:?} stands before any anchor")));
                }
                // What a later version says must not look like another section, nor hide.
                (_, Some(_)) if text.lines().any(|l| l.starts_with("== ") || l.contains(hides)) => {
                    return Err(bad(format!("section {name:?} holds what a receipt cannot")));
                }
                (_, Some(_)) => {
                    others.push(OtherSection { name: name.to_owned(), text: text.to_owned() });
                }
            }
        }
        if anchors.is_empty() {
            return Err(bad("it has no anchor"));
        }
        Ok(Receipt { claim, leaf, anchors, records, others })
    }
}

impl Receipt {
    /// Adds an anchor, or the time-stamps of one that is here already. Returns whether that told anything
    /// new. Nothing is ever taken away: what a receipt proved it goes on to prove. A receipt with records of
    /// its own takes nothing: they are about every byte above them.
    pub fn add(&mut self, anchor: Anchor) -> bool {
        if !self.records.is_empty() {
            return false;
        }
        let same = |a: &Anchor| a.index == anchor.index && a.note == anchor.note;
        match self.anchors.iter().position(same) {
            Some(known) => {
                let known = &mut self.anchors[known];
                let before = known.timestamps.len();
                for timestamp in anchor.timestamps {
                    let room = known.timestamps.len() < Receipt::ANCHORS_MAX;
                    if room && !known.timestamps.contains(&timestamp) {
                        known.timestamps.push(timestamp);
                    }
                }
                known.timestamps.len() > before
            }
            None if self.anchors.len() < Receipt::ANCHORS_MAX => {
                self.anchors.push(anchor);
                true
            }
            None => false,
        }
    }

    /// What the receipt's own records are about: every byte of the file above the first of them.
    pub fn record_data(&self) -> String {
        let mut text = HEADER.to_owned();
        push_section(&mut text, "claim", &self.claim.to_text());
        push_section(&mut text, "leaf", &format!("{}\n", HEXLOWER.encode(&self.leaf.to_bytes())));
        for anchor in &self.anchors {
            push_section(&mut text, "anchor", &anchor.to_tlog_proof());
            for timestamp in &anchor.timestamps {
                push_section(&mut text, "timestamp", &base64_lines(timestamp));
            }
            for record in &anchor.records {
                push_section(&mut text, "evidence-record", &base64_lines(record));
            }
        }
        text
    }
}

impl fmt::Display for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut body = self.record_data();
        for record in &self.records {
            push_section(&mut body, "receipt-record", &base64_lines(record));
        }
        for other in &self.others {
            push_section(&mut body, &other.name, &other.text);
        }
        let digest = HEXLOWER.encode(&Sha256::digest(body.as_bytes()));
        writeln!(f, "{body}== sha256 {digest}")
    }
}

impl Anchor {
    /// The anchor of a leaf at `index`, from its inclusion proof and a signed checkpoint.
    pub fn new(index: u64, proof: Vec<Hash>, note: Note) -> Result<Anchor, FormatError> {
        let checkpoint = Checkpoint::of_note(&note)?;
        let bad = |reason| Err(FormatError::new("anchor", reason));
        if note.text() != checkpoint.to_string() {
            return bad("its checkpoint has extension lines, which prove nothing");
        }
        if checkpoint.origin.contains(hides) {
            return bad("its log's name has characters that cannot be seen");
        }
        Ok(Anchor { index, proof, note, checkpoint, timestamps: Vec::new(), records: Vec::new() })
    }

    /// The signed checkpoint, verbatim.
    pub const fn note(&self) -> &Note {
        &self.note
    }

    /// What the note says.
    pub const fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The anchor as a `c2sp.org/tlog-proof@v1` file.
    pub fn to_tlog_proof(&self) -> String {
        let proof: String = self.proof.iter().map(|hash| format!("{hash}\n")).collect();
        format!("{PROOF_HEADER}\nindex {}\n{proof}\n{}", self.index, self.note)
    }

    /// Reads a `c2sp.org/tlog-proof@v1` file. Its optional `extra` line, which nothing authenticates,
    /// is refused: a receipt has no use for it.
    pub fn parse_tlog_proof(text: &str) -> Result<Anchor, FormatError> {
        let bad = |reason: &str| FormatError::new("tlog-proof", reason);
        let rest = text
            .strip_prefix(PROOF_HEADER)
            .and_then(|rest| rest.strip_prefix('\n'))
            .ok_or_else(|| bad("its first line is not c2sp.org/tlog-proof@v1"))?;
        let (index, rest) = rest
            .strip_prefix("index ")
            .and_then(|rest| rest.split_once('\n'))
            .ok_or_else(|| bad("its second line is not `index …`"))?;
        let index = decimal(index).ok_or_else(|| bad("its index is not a decimal number"))?;
        let (hashes, note) = match rest.strip_prefix('\n') {
            Some(note) => ("", note),
            None => rest.split_once("\n\n").ok_or_else(|| bad("it has no checkpoint"))?,
        };
        let proof =
            hashes.split_terminator('\n').map(Hash::parse).collect::<Result<Vec<_>, _>>()?;
        if proof.len() > PROOF_HASHES_MAX {
            return Err(bad("its proof is longer than any tree's"));
        }
        Anchor::new(index, proof, Note::parse(note)?)
    }
}

fn push_section(body: &mut String, name: &str, text: &str) {
    let lines = text.bytes().filter(|&b| b == b'\n').count();
    body.push_str(&format!("== {name} {lines}\n{text}"));
}

/// The next section's name and its lines, each with its end.
fn next_section<'a>(rest: &mut &'a str) -> Result<(&'a str, &'a str), FormatError> {
    let (heading, after) = rest.split_once('\n').ok_or_else(|| bad("a line has no end"))?;
    let fault = || bad(format!("{heading:?} is no section heading"));
    let (name, count) = heading
        .strip_prefix("== ")
        .and_then(|heading| heading.split_once(' '))
        .filter(|(name, _)| !name.is_empty() && name.bytes().all(is_name_byte))
        .ok_or_else(fault)?;
    let count = decimal(count).filter(|&count| count > 0).ok_or_else(fault)?;
    let mut end = 0;
    for _ in 0..count {
        let line = after[end..].find('\n');
        end += line.ok_or_else(|| bad(format!("section {name} is cut short")))? + 1;
    }
    let (text, after) = after.split_at(end);
    *rest = after;
    Ok((name, text))
}

fn expect_section<'a>(rest: &mut &'a str, name: &str) -> Result<&'a str, FormatError> {
    match next_section(rest)? {
        (found, text) if found == name => Ok(text),
        (found, _) => Err(bad(format!("section {name} is missing, {found:?} stands in its place"))),
    }
}

fn is_name_byte(b: u8) -> bool {
    b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'
}

fn parse_leaf(text: &str) -> Result<Leaf, FormatError> {
    let hex = text.strip_suffix('\n').unwrap_or(text);
    let bytes =
        HEXLOWER.decode(hex.as_bytes()).map_err(|_| bad("its leaf is not one line of hex"))?;
    Leaf::parse(&bytes)?.ok_or_else(|| bad("its leaf is not that of a registered work"))
}

fn base64_lines(bytes: &[u8]) -> String {
    let base64 = BASE64.encode(bytes);
    let lines = base64.as_bytes().chunks(BASE64_LINE_CHARS);
    lines.map(|line| String::from_utf8_lossy(line).into_owned() + "\n").collect()
}

/// Reads one more section of base64 lines.
fn push_der(
    found: &mut Vec<Vec<u8>>,
    count_max: usize,
    name: &str,
    text: &str,
) -> Result<(), FormatError> {
    let base64 = text.replace('\n', "");
    let bytes = BASE64.decode(base64.as_bytes());
    let bytes = bytes.map_err(|_| bad(format!("a section {name} is not base64")))?;
    if bytes.is_empty() || base64_lines(&bytes) != text {
        return Err(bad(format!("a section {name} is oddly broken")));
    }
    if found.contains(&bytes) || found.len() >= count_max {
        return Err(bad(format!("a section {name} stands twice, or there are too many")));
    }
    found.push(bytes);
    Ok(())
}

/// Splits off the last line, which must have an end.
fn split_last_line(text: &str) -> Option<(&str, &str)> {
    let start = text.strip_suffix('\n')?.rfind('\n')? + 1;
    Some(text.split_at(start))
}

fn bad(reason: impl Into<String>) -> FormatError {
    FormatError::new("receipt", reason)
}
