//! A log's tree head and the statements of witnesses about it (c2sp.org/tlog-checkpoint,
//! c2sp.org/tlog-cosignature).

use std::fmt;

use crate::merkle::Hash;
use crate::text::decimal;
use crate::{FormatError, Note, NoteSignature};

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

/// What a witness signs: this checkpoint was consistent with all it had seen, at this time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cosignature {
    /// Seconds since 1970 by the witness's clock. Zero means that no time is stated.
    pub time: u64,
    /// Ed25519 over [`Cosignature::message`].
    pub signature: Vec<u8>,
}

impl Cosignature {
    /// Reads the bytes of a signature of type 0x04: `u64 BE time ‖ 64 bytes`.
    pub fn of(signature: &NoteSignature) -> Option<Cosignature> {
        let (time, signature) = signature.bytes.split_first_chunk::<8>()?;
        let time = u64::from_be_bytes(*time);
        (time <= i64::MAX as u64 && signature.len() == 64)
            .then(|| Cosignature { time, signature: signature.to_vec() })
    }

    /// The bytes of a signature of type 0x04 in a note.
    pub fn to_bytes(&self) -> Vec<u8> {
        [&self.time.to_be_bytes()[..], &self.signature].concat()
    }

    /// The message of a cosignature of type 0x04 over the whole text of a checkpoint.
    pub fn message(time: u64, checkpoint_text: &str) -> String {
        format!("cosignature/v1\ntime {time}\n{checkpoint_text}")
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
