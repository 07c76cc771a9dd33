//! The log's signing key: the only private key that outlives a run.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use data_encoding::{BASE64, HEXLOWER};
use ed25519_dalek::Signer;
use timemark_verify::{FormatError, KeyKind, Note, NoteSignature, VerifierKey};

use crate::LogError;
use crate::disk;

/// An Ed25519 key with the log's name, in the form of Go's `sumdb/note`:
/// `PRIVATE+KEY+<name>+<key id>+base64(0x01 ‖ seed)`.
pub struct SigningKey {
    verifier: VerifierKey,
    secret: ed25519_dalek::SigningKey,
}

impl SigningKey {
    /// A fresh key for the log of this origin.
    pub fn generate(origin: &str) -> Result<SigningKey, LogError> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|_| LogError::NoRandomness)?;
        Ok(SigningKey::from_seed(origin, &seed)?)
    }

    /// The key of this origin and 32-byte seed.
    pub fn from_seed(origin: &str, seed: &[u8; 32]) -> Result<SigningKey, FormatError> {
        let secret = ed25519_dalek::SigningKey::from_bytes(seed);
        let public = secret.verifying_key();
        let verifier = VerifierKey::new(origin, KeyKind::Ed25519, public.as_bytes())?;
        Ok(SigningKey { verifier, secret })
    }

    /// Reads a key file: one line.
    pub fn read(path: &Path) -> Result<SigningKey, LogError> {
        let text = disk::read_to_string(path)?;
        let line = text.strip_suffix('\n').unwrap_or(&text);
        line.parse().map_err(|e: FormatError| LogError::damaged(path, e.to_string()))
    }

    /// Writes a key file that only its owner can read. Refuses to replace one.
    pub fn write_new(&self, path: &Path) -> Result<(), LogError> {
        let seed = [&[KeyKind::Ed25519.byte()], &self.secret.to_bytes()[..]].concat();
        let id = HEXLOWER.encode(&self.verifier.key_id());
        let line = format!("PRIVATE+KEY+{}+{id}+{}\n", self.origin(), BASE64.encode(&seed));
        disk::write_new_private(path, line.as_bytes())
    }

    /// The log's name.
    pub fn origin(&self) -> &str {
        self.verifier.name()
    }

    /// The public half.
    pub const fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    /// Signs a checkpoint's text.
    pub(crate) fn sign(&self, text: String) -> Result<Note, FormatError> {
        let bytes = self.secret.sign(text.as_bytes()).to_bytes().to_vec();
        let name = self.origin().to_owned();
        Note::new(text, vec![NoteSignature { name, key_id: self.verifier.key_id(), bytes }])
    }
}

impl FromStr for SigningKey {
    type Err = FormatError;

    fn from_str(line: &str) -> Result<SigningKey, FormatError> {
        // The text is secret: no part of it goes into an error.
        let bad = || FormatError::new("signing key", "it is not `PRIVATE+KEY+name+id+key`");
        let rest = line.strip_prefix("PRIVATE+KEY+").ok_or_else(bad)?;
        let [name, id, base64] = rest.splitn(3, '+').collect::<Vec<_>>()[..] else {
            return Err(bad());
        };
        let bytes = BASE64.decode(base64.as_bytes()).map_err(|_| bad())?;
        let seed = bytes.strip_prefix(&[KeyKind::Ed25519.byte()]).ok_or_else(bad)?;
        let key = SigningKey::from_seed(name, seed.try_into().map_err(|_| bad())?)?;
        let same = HEXLOWER.encode(&key.verifier.key_id()) == id && BASE64.encode(&bytes) == base64;
        if same { Ok(key) } else { Err(bad()) }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey of {}", self.verifier)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_file_comes_back_and_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log.key");
        let key = SigningKey::generate("log.example").unwrap();
        key.write_new(&path).unwrap();
        assert_eq!(SigningKey::read(&path).unwrap().verifier(), key.verifier());
        assert!(key.write_new(&path).is_err());
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!format!("{key:?}").contains("PRIVATE"));
    }

    #[test]
    fn a_key_line_that_contradicts_itself_is_refused() {
        let key = SigningKey::from_seed("log.example", &[0x2a; 32]).unwrap();
        let note = key.sign("log.example\n".to_owned()).unwrap();
        assert!(key.verifier().holds(note.text().as_bytes(), &note.signatures()[0].bytes));
        for bad in ["", "PRIVATE+KEY+log.example+00000000+AQ==", "PRIVATE+KEY+log.example"] {
            assert!(bad.parse::<SigningKey>().is_err(), "{bad}");
        }
    }
}
