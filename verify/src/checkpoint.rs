//! A log's tree head and the statements of witnesses about it (c2sp.org/tlog-checkpoint,
//! c2sp.org/tlog-cosignature).

use std::fmt;

use crate::merkle::Hash;
use crate::text::decimal;
use crate::{FormatError, KeyKind, Note, NoteSignature, VerifierKey};

/// How many entries a log holds and the root over them: the text of a checkpoint note.
///
/// Extension lines are read and ignored; a note's text, not this type, is what signatures cover.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's name, equal to the name of its key.
    pub origin: String,
    /// Number of entries.
    pub size: u64,
    /// Root of the Merkle tree over the first `size` entries.
    pub root: Hash,
}

impl Checkpoint {
    /// Reads the text of a checkpoint note.
    pub fn parse(text: &str) -> Result<Checkpoint, FormatError> {
        let text = text.strip_suffix('\n').ok_or_else(|| bad("its last line has no end"))?;
        let lines: Vec<&str> = text.split('\n').collect();
        let [origin, size, root, ..] = lines[..] else {
            return Err(bad("it has fewer than three lines"));
        };
        if lines.iter().any(|line| line.is_empty()) {
            return Err(bad("it has an empty line"));
        }
        let size = decimal(size).ok_or_else(|| bad(format!("{size:?} is not a tree size")))?;
        let root = Hash::parse(root).map_err(|_| bad(format!("{root:?} is not a root hash")))?;
        Ok(Checkpoint { origin: origin.to_owned(), size, root })
    }

    /// Reads the checkpoint of a note, none of whose signatures is checked.
    pub fn of_note(note: &Note) -> Result<Checkpoint, FormatError> {
        Checkpoint::parse(note.text())
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}\n{}\n", self.origin, self.size, self.root)
    }
}

impl VerifierKey {
    /// Checks that this key made this signature upon the checkpoint of `note`, and returns the time which
    /// the signature states, in seconds since 1970: `None` where it states none.
    ///
    /// c2sp.org/signed-note for 0x01, as SM2 is used as well; c2sp.org/tlog-cosignature for 0x04 and 0x06, whose
    /// signatures are `u64 BE time ‖ signature`, where time 0 states none.
    pub fn check(
        &self,
        note: &Note,
        checkpoint: &Checkpoint,
        signature: &NoteSignature,
    ) -> Result<Option<u64>, BadSignature> {
        let (time, message, bytes) = match self.kind() {
            kind if !kind.states_time() => {
                (0, note.text().as_bytes().to_vec(), &signature.bytes[..])
            }
            kind => {
                let (time, bytes) = signature.bytes.split_first_chunk::<8>().ok_or(BadSignature)?;
                let time = u64::from_be_bytes(*time);
                let message = cosigned_message(kind, self.name(), time, note.text(), checkpoint);
                (time, message.ok_or(BadSignature)?, bytes)
            }
        };
        let sane = time <= i64::MAX as u64;
        if !sane || !self.holds(&message, bytes) {
            return Err(BadSignature);
        }
        Ok(Some(time).filter(|&time| time > 0))
    }
}

/// A signature that is not what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the signature is not genuine")]
pub struct BadSignature;

/// What a key of this kind and name signs to make a statement about the checkpoint in `text` at `time`;
/// `None` where name or origin are too long for the message (c2sp.org/tlog-cosignature).
pub fn cosigned_message(
    kind: KeyKind,
    name: &str,
    time: u64,
    text: &str,
    checkpoint: &Checkpoint,
) -> Option<Vec<u8>> {
    match kind {
        KeyKind::Ed25519 | KeyKind::Sm2 => Some(text.as_bytes().to_vec()),
        KeyKind::CosignatureV1 => Some(format!("cosignature/v1\ntime {time}\n{text}").into_bytes()),
        KeyKind::MlDsa44 => {
            let mut message = b"subtree/v1\n\0".to_vec();
            message.push(u8::try_from(name.len()).ok()?);
            message.extend(name.bytes());
            message.extend(time.to_be_bytes());
            message.push(u8::try_from(checkpoint.origin.len()).ok()?);
            message.extend(checkpoint.origin.bytes());
            message.extend(0u64.to_be_bytes()); // from the first entry on
            message.extend(checkpoint.size.to_be_bytes());
            message.extend(checkpoint.root.0);
            Some(message)
        }
    }
}

fn bad(reason: impl Into<String>) -> FormatError {
    FormatError::new("checkpoint", reason)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &str =
        "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";

    #[test]
    fn the_specifications_example_reads_and_writes() {
        let checkpoint = Checkpoint::parse(TEXT).unwrap();
        assert_eq!(
            (checkpoint.origin.as_str(), checkpoint.size),
            ("example.com/behind-the-sofa", 20852163)
        );
        assert_eq!(checkpoint.to_string(), TEXT);
        assert_eq!(Checkpoint::parse(&format!("{TEXT}extension\n")).unwrap(), checkpoint);
    }

    #[test]
    fn malformed_checkpoints_are_refused() {
        for bad in [
            "",
            "a\n1\n",
            "a\n01\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n",
            "a\n-1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n",
            "\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n",
            "a\n18446744073709551616\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n",
            "a\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2J=\n",
            "a\n1\nCsUY\n",
            &TEXT[..TEXT.len() - 1],
            &format!("{TEXT}\nx\n"),
        ] {
            assert!(Checkpoint::parse(bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn what_parses_is_the_only_spelling(at in 0..TEXT.len(), c in any::<char>(), cut in any::<bool>()) {
            let (start, end) = TEXT.split_at(at);
            let text = if cut { start.to_owned() } else { format!("{start}{c}{}", &end[1..]) };
            if let Ok(checkpoint) = Checkpoint::parse(&text) {
                prop_assert_eq!(checkpoint.to_string(), text);
            }
        }
    }
}
