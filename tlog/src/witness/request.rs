//! What a log sends a witness: `add-checkpoint` of c2sp.org/tlog-witness, read and written.

use std::fmt;

use timemark_verify::merkle::Hash;
use timemark_verify::{FormatError, Note};

/// "Here is a checkpoint, and the proof that it extends the one of size `old`." `Display` gives the exact
/// request body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddCheckpoint {
    /// Size of the checkpoint that the witness cosigned last; 0 if none.
    pub old: u64,
    /// The consistency proof between the two sizes (RFC 6962 section 2.1.2).
    pub proof: Vec<Hash>,
    /// The checkpoint, none of whose signatures has been checked yet.
    pub note: Note,
}

impl AddCheckpoint {
    /// Most lines of proof; the specification forbids more.
    pub const PROOF_LINES_MAX: usize = 63;
    /// Longest request in bytes: `old`, a number of 20 digits, 63 lines of 45 bytes, a note.
    pub const BYTES_MAX: usize = 32 + AddCheckpoint::PROOF_LINES_MAX * 45 + Note::BYTES_MAX;

    /// Reads a request. Bytes that `Display` would not write are refused.
    pub fn parse(body: &[u8]) -> Result<AddCheckpoint, FormatError> {
        if body.len() > AddCheckpoint::BYTES_MAX {
            return Err(bad(format!("longer than {} bytes", AddCheckpoint::BYTES_MAX)));
        }
        let body = str::from_utf8(body).map_err(|_| bad("it is not UTF-8"))?;
        let (first, mut rest) = body.split_once('\n').ok_or_else(|| bad("it has no lines"))?;
        let old = first.strip_prefix("old ").and_then(parse_size);
        let old = old.ok_or_else(|| bad(format!("{first:?} is not `old <size>`")))?;
        let mut proof = Vec::new();
        loop {
            let (line, after) =
                rest.split_once('\n').ok_or_else(|| bad("no empty line ends the proof"))?;
            rest = after;
            if line.is_empty() {
                break;
            }
            if proof.len() == AddCheckpoint::PROOF_LINES_MAX {
                let most = AddCheckpoint::PROOF_LINES_MAX;
                return Err(bad(format!("its proof has more than {most} lines")));
            }
            proof.push(Hash::parse(line)?);
        }
        Ok(AddCheckpoint { old, proof, note: Note::parse(rest)? })
    }
}

impl fmt::Display for AddCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "old {}", self.old)?;
        self.proof.iter().try_for_each(|hash| writeln!(f, "{hash}"))?;
        write!(f, "\n{}", self.note)
    }
}

/// A tree size in decimal, without sign or leading zeros.
pub(super) fn parse_size(digits: &str) -> Option<u64> {
    digits.parse::<u64>().ok().filter(|size| size.to_string() == digits)
}

fn bad(reason: impl Into<String>) -> FormatError {
    FormatError::new("add-checkpoint request", reason)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The example of c2sp.org/tlog-witness.
    const EXAMPLE: &str = "old 20852014\n\
        PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\n\
        jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=\n\
        5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=\n\
        /6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=\n\
        \n\
        example.com/behind-the-sofa\n\
        20852163\n\
        CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\
        \n\
        — example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n\
        — example.com/behind-the-sofa opLqBQsREYCgu6xQkYQwJr9fo45a62DN9EdmHXnZdXNqlcVGlCum2Wks+49/V6267UEjw6QUXTS5Rovnzv++qbSzm9Q=\n";

    #[test]
    fn the_specifications_example_reads_and_writes() {
        let request = AddCheckpoint::parse(EXAMPLE.as_bytes()).unwrap();
        assert_eq!((request.old, request.proof.len()), (20_852_014, 4));
        assert_eq!(request.note.signatures().len(), 2);
        assert_eq!(request.to_string(), EXAMPLE);
    }

    #[test]
    fn malformed_requests_are_refused() {
        let hash = "PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\n";
        let (_, note) = EXAMPLE.split_once("\n\n").unwrap();
        for bad in [
            String::new(),
            "old 0".to_owned(),
            format!("old  0\n\n{note}"),
            format!("old 00\n\n{note}"),
            format!("old +1\n\n{note}"),
            format!("old -1\n\n{note}"),
            format!("old 18446744073709551616\n\n{note}"),
            format!("Old 0\n\n{note}"),
            format!("old 0\r\n\r\n{note}"),
            format!("old 0\n{note}"),
            format!("old 0\n{}\n\n{note}", &hash[..44].replace('=', "")),
            format!("old 0\n {hash}\n{note}"),
            format!("old 0\n{}\n{note}", hash.repeat(64)),
            format!("old 0\n\n{}", &note[..note.len() - 1]),
        ] {
            assert!(AddCheckpoint::parse(bad.as_bytes()).is_err(), "{bad:?}");
        }
        assert!(AddCheckpoint::parse(b"old 0\n\n\xFF\n").is_err());
        assert!(AddCheckpoint::parse(&vec![b'x'; AddCheckpoint::BYTES_MAX + 1]).is_err());
        let longest = format!("old 0\n{}\n{note}", hash.repeat(63));
        assert_eq!(AddCheckpoint::parse(longest.as_bytes()).unwrap().proof.len(), 63);
    }

    proptest! {
        #[test]
        fn what_parses_is_the_only_spelling(at in any::<usize>(), c in any::<char>(), cut in any::<bool>()) {
            let mut text: Vec<char> = EXAMPLE.chars().collect();
            let at = at % text.len();
            if cut { text.truncate(at) } else { text[at] = c }
            let text: String = text.into_iter().collect();
            if let Ok(request) = AddCheckpoint::parse(text.as_bytes()) {
                prop_assert_eq!(request.to_string(), text);
            }
        }
    }
}
