//! Signed notes and the keys that verify them (c2sp.org/signed-note).

use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use data_encoding::{BASE64, HEXLOWER};
use ml_dsa::MlDsa44;
use sha2::{Digest, Sha256};
use sm2::dsa::signature::Verifier as _;

use crate::{FormatError, text};

/// A text with its signatures, none of which has been checked yet. `Display` gives the exact note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<NoteSignature>,
}

/// One signature line: who is said to have signed, and the bytes that should show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoteSignature {
    /// The key's name.
    pub name: String,
    /// The first four bytes of a digest over name, type and key; a hint, not a proof.
    pub key_id: [u8; 4],
    /// The signature itself; the key's type tells its form.
    pub bytes: Vec<u8>,
}

impl Note {
    /// Longest note in bytes. 64 signatures of ML-DSA-44 are about 210 KB.
    pub const BYTES_MAX: usize = 256 << 10;
    /// Most signatures of a note; the specification asks for 16 at least.
    pub const SIGNATURES_MAX: usize = 64;

    /// A note over this text, which must end in a line break and hold no other control character.
    pub fn new(text: String, signatures: Vec<NoteSignature>) -> Result<Note, FormatError> {
        if !text.ends_with('\n') || text.contains(|c: char| c < ' ' && c != '\n') {
            return Err(bad("a text of whole lines without control characters is needed"));
        }
        if signatures.len() > Note::SIGNATURES_MAX {
            return Err(bad(format!("more than {} signatures", Note::SIGNATURES_MAX)));
        }
        if (1..signatures.len()).any(|i| signatures[..i].contains(&signatures[i])) {
            return Err(bad("the same signature stands twice"));
        }
        Ok(Note { text, signatures })
    }

    /// The text that the signatures are about, with its last line break.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The signatures in the order of the note.
    pub fn signatures(&self) -> &[NoteSignature] {
        &self.signatures
    }

    /// The same note with further signatures, one a key: of two by the same key the one that is here stays.
    pub fn with(
        &self,
        further: impl IntoIterator<Item = NoteSignature>,
    ) -> Result<Note, FormatError> {
        let mut signatures = self.signatures.clone();
        for signature in further {
            let same =
                |s: &NoteSignature| (&s.name, s.key_id) == (&signature.name, signature.key_id);
            if !signatures.iter().any(same) {
                signatures.push(signature);
            }
        }
        Note::new(self.text.clone(), signatures)
    }

    /// The signatures that claim to be by this key.
    pub fn signatures_by<'a>(
        &'a self,
        key: &'a VerifierKey,
    ) -> impl Iterator<Item = &'a NoteSignature> {
        self.signatures.iter().filter(|s| s.name == key.name && s.key_id == key.key_id)
    }

    /// Reads a note. Bytes that `Display` would not write are refused.
    pub fn parse(note: &str) -> Result<Note, FormatError> {
        if note.len() > Note::BYTES_MAX {
            return Err(bad(format!("longer than {} bytes", Note::BYTES_MAX)));
        }
        // The last empty line stands between text and signatures.
        let (text, lines) = note.rsplit_once("\n\n").ok_or_else(|| bad("it has no signatures"))?;
        let lines = lines.strip_suffix('\n').ok_or_else(|| bad("its last line has no end"))?;
        let signatures =
            lines.split('\n').map(NoteSignature::parse).collect::<Result<Vec<_>, _>>()?;
        Note::new(format!("{text}\n"), signatures)
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|signature| writeln!(f, "{signature}"))
    }
}

impl NoteSignature {
    fn parse(line: &str) -> Result<NoteSignature, FormatError> {
        let fault = || bad(format!("{line:?} is not a signature line"));
        let (name, base64) =
            line.strip_prefix("— ").and_then(|l| l.split_once(' ')).ok_or_else(fault)?;
        let bytes = text::base64(base64).ok_or_else(fault)?;
        let (key_id, bytes) = bytes.split_first_chunk::<4>().ok_or_else(fault)?;
        if !is_key_name(name) || bytes.is_empty() {
            return Err(fault());
        }
        Ok(NoteSignature { name: name.to_owned(), key_id: *key_id, bytes: bytes.to_vec() })
    }
}

impl fmt::Display for NoteSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [&self.key_id[..], &self.bytes[..]].concat();
        write!(f, "— {} {}", self.name, BASE64.encode(&bytes))
    }
}

/// What a key signs and how: the type byte of a verifier key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// 0x01: Ed25519 over the note's text; how a log signs.
    Ed25519,
    /// 0x04: Ed25519 over the text and a time; how a witness cosigns (c2sp.org/tlog-cosignature).
    CosignatureV1,
    /// 0x06: ML-DSA-44 (FIPS 204) over name, time, origin, size and root; how a log or a witness signs what
    /// must outlive Ed25519 (c2sp.org/tlog-cosignature).
    MlDsa44,
    /// 0xFF and `timemark/sm2-with-sm3`: SM2 with SM3 (GB/T 32918.2, GB/T 32905) under the default identity, over
    /// the note's text; how a log signs for courts that ask for Chinese commercial cryptography.
    Sm2,
}

impl KeyKind {
    const ALL: [KeyKind; 4] =
        [KeyKind::Ed25519, KeyKind::CosignatureV1, KeyKind::MlDsa44, KeyKind::Sm2];

    /// The signature type of c2sp.org/signed-note, which stands before the key: one byte where one is assigned,
    /// else 0xFF and a longer name.
    pub const fn identifier(self) -> &'static [u8] {
        match self {
            KeyKind::Ed25519 => &[0x01],
            KeyKind::CosignatureV1 => &[0x04],
            KeyKind::MlDsa44 => &[0x06],
            KeyKind::Sm2 => b"\xFFtimemark/sm2-with-sm3",
        }
    }

    /// Splits a kind that this version knows off the key that follows it.
    pub fn split(typed_key: &[u8]) -> Option<(KeyKind, &[u8])> {
        KeyKind::ALL
            .into_iter()
            .find_map(|kind| Some((kind, typed_key.strip_prefix(kind.identifier())?)))
    }

    /// What this kind is called.
    pub const fn name(self) -> &'static str {
        match self {
            KeyKind::Ed25519 => "ed25519",
            KeyKind::CosignatureV1 => "cosignature",
            KeyKind::MlDsa44 => "ml-dsa-44",
            KeyKind::Sm2 => "sm2",
        }
    }

    /// Whether its signatures state a time before the signature proper.
    pub const fn states_time(self) -> bool {
        matches!(self, KeyKind::CosignatureV1 | KeyKind::MlDsa44)
    }
}

/// A public key with its name: `name+hex(key id)+base64(type ‖ key)`.
#[derive(Clone)]
pub struct VerifierKey {
    name: String,
    key_id: [u8; 4],
    kind: KeyKind,
    bytes: Vec<u8>,
    key: PublicKey,
    /// SHA-256 of every message and signature that was found genuine: works that were registered together share a
    /// checkpoint, and a bundle of a thousand receipts has some ninety of them.
    genuine: Arc<Mutex<HashSet<[u8; 32]>>>,
}

#[derive(Clone)]
enum PublicKey {
    Ed25519(ed25519_dalek::VerifyingKey),
    MlDsa44(Arc<ml_dsa::VerifyingKey<MlDsa44>>),
    Sm2(Box<sm2::dsa::VerifyingKey>),
}

impl VerifierKey {
    /// The key of this name, kind and public bytes: 32 of Ed25519, 1,312 of ML-DSA-44, and of SM2
    /// the 65 of an uncompressed point.
    pub fn new(name: &str, kind: KeyKind, bytes: &[u8]) -> Result<VerifierKey, FormatError> {
        if !is_key_name(name) {
            return Err(bad_key(format!("{name:?} cannot be a key's name")));
        }
        let key = match kind {
            KeyKind::Ed25519 | KeyKind::CosignatureV1 => {
                let key = bytes.try_into().ok().and_then(|bytes| {
                    ed25519_dalek::VerifyingKey::from_bytes(bytes).ok().filter(|k| !k.is_weak())
                });
                PublicKey::Ed25519(
                    key.ok_or_else(|| bad_key("the bytes are no strong Ed25519 key"))?,
                )
            }
            KeyKind::MlDsa44 if name.len() > ML_DSA_NAME_BYTES_MAX => {
                return Err(bad_key("a key of ML-DSA-44 has a name of at most 255 bytes"));
            }
            KeyKind::MlDsa44 => {
                let encoded =
                    bytes.try_into().map_err(|_| bad_key("the bytes are no ML-DSA-44 key"))?;
                PublicKey::MlDsa44(Arc::new(ml_dsa::VerifyingKey::decode(encoded)))
            }
            KeyKind::Sm2 => {
                let key = Some(bytes)
                    .filter(|bytes| bytes.len() == SM2_POINT_BYTES) // compressed ones are shorter
                    .and_then(|b| sm2::dsa::VerifyingKey::from_sec1_bytes(SM2_IDENTITY, b).ok());
                PublicKey::Sm2(Box::new(
                    key.ok_or_else(|| bad_key("the bytes are no uncompressed SM2 key"))?,
                ))
            }
        };
        let key_id = key_id(name, kind, bytes);
        let (name, bytes, genuine) = (name.to_owned(), bytes.to_vec(), Arc::default());
        Ok(VerifierKey { name, key_id, kind, bytes, key, genuine })
    }

    /// The key's name; a log's is its origin.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The short id that signature lines carry.
    pub const fn key_id(&self) -> [u8; 4] {
        self.key_id
    }

    /// What the key signs.
    pub const fn kind(&self) -> KeyKind {
        self.kind
    }

    /// The public key itself.
    pub fn key_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// `name+hex(key id)`: how the key begins, and enough to tell keys apart for a person.
    pub fn short(&self) -> String {
        format!("{}+{}", self.name, HEXLOWER.encode(&self.key_id))
    }

    /// Whether these are the key's signature bytes over this message (RFC 8032, strict; FIPS 204 with an
    /// empty context; GB/T 32918.2, `r ‖ s`).
    pub(crate) fn holds(&self, message: &[u8], signature: &[u8]) -> bool {
        let length = (message.len() as u64).to_be_bytes(); // so that no byte moves from one to the other
        let digest = Sha256::new_with_prefix(length).chain_update(message).chain_update(signature);
        let digest = digest.finalize().into();
        let genuine = || self.genuine.lock().unwrap_or_else(PoisonError::into_inner);
        if genuine().contains(&digest) {
            return true;
        }
        let holds = self.computes(message, signature);
        if holds {
            let mut genuine = genuine();
            if genuine.len() >= GENUINE_MAX {
                genuine.clear();
            }
            genuine.insert(digest);
        }
        holds
    }

    /// As [`holds`](VerifierKey::holds), from nothing that was computed before.
    fn computes(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.key {
            PublicKey::Ed25519(key) => ed25519_dalek::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify_strict(message, &signature).is_ok()),
            PublicKey::MlDsa44(key) => ml_dsa::Signature::<MlDsa44>::try_from(signature)
                .is_ok_and(|signature| key.verify_with_context(message, &[], &signature)),
            PublicKey::Sm2(key) => sm2::dsa::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify(message, &signature).is_ok()),
        }
    }
}

impl PartialEq for VerifierKey {
    fn eq(&self, other: &VerifierKey) -> bool {
        (self.kind, &self.name, &self.bytes) == (other.kind, &other.name, &other.bytes)
    }
}

impl Eq for VerifierKey {}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = [self.kind.identifier(), &self.bytes].concat();
        write!(f, "{}+{}", self.short(), BASE64.encode(&key))
    }
}

impl fmt::Debug for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for VerifierKey {
    type Err = FormatError;

    fn from_str(vkey: &str) -> Result<VerifierKey, FormatError> {
        let fault = || bad_key(format!("{vkey:?} is not `name+id+key`"));
        // Neither name nor id holds a plus sign; base64 may.
        let [name, _, base64] = vkey.splitn(3, '+').collect::<Vec<_>>()[..] else {
            return Err(fault());
        };
        let bytes = text::base64(base64).ok_or_else(fault)?;
        let kind = *bytes.first().ok_or_else(fault)?;
        let (kind, key) = KeyKind::split(&bytes).ok_or_else(|| {
            bad_key(format!("keys of type {kind:#04x} are not supported: {vkey}"))
        })?;
        let key = VerifierKey::new(name, kind, key)?;
        if key.to_string() == vkey { Ok(key) } else { Err(fault()) }
    }
}

/// The message of an ML-DSA-44 cosignature holds the name's length in one byte.
const ML_DSA_NAME_BYTES_MAX: usize = 255;

/// The identity under which SM2 signs where none is agreed upon (GM/T 0009).
pub const SM2_IDENTITY: &str = "1234567812345678";
const SM2_POINT_BYTES: usize = 65;
/// Most digests of genuine signatures that a key remembers; some 2 MB.
const GENUINE_MAX: usize = 1 << 15;

/// The first four bytes of SHA-256 over `name ‖ 0x0A ‖ type ‖ key`.
fn key_id(name: &str, kind: KeyKind, key: &[u8]) -> [u8; 4] {
    let named = Sha256::new().chain_update(name).chain_update(b"\n");
    let digest = named.chain_update(kind.identifier()).chain_update(key).finalize();
    let digest: [u8; 32] = digest.into();
    [digest[0], digest[1], digest[2], digest[3]]
}

fn is_key_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c == '+' || text::hides(c))
}

fn bad(reason: impl Into<String>) -> FormatError {
    FormatError::new("signed note", reason)
}

fn bad_key(reason: impl Into<String>) -> FormatError {
    FormatError::new("verifier key", reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ed25519_dalek::{Signer, SigningKey};
    use proptest::prelude::*;

    const GO_VKEY: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";

    /// The example of c2sp.org/signed-note.
    const POEM: &str = "Ognuno sta solo sul cuor della terra\ntrafitto da un raggio di sole:\n\n\
        ed è subito sera.\n\n— quasimodo.example/salvatore \
        NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=\n";

    #[test]
    fn a_key_made_by_go_is_read() {
        let key: VerifierKey = GO_VKEY.parse().unwrap();
        assert_eq!((key.name(), key.kind()), ("example.com/foo", KeyKind::Ed25519));
        assert_eq!(key.to_string(), GO_VKEY);
    }

    #[test]
    fn other_spellings_of_a_key_are_refused() {
        for bad in [
            &GO_VKEY.replace("530d903a", "530D903A"),
            &GO_VKEY.replace("530d903a", "530d903b"),
            &GO_VKEY.replace("foo", "f o"),
            &GO_VKEY.replace("+A", "+B"),
            &format!("{GO_VKEY}="),
            &GO_VKEY[..GO_VKEY.len() - 4],
            "a+b",
            "",
        ] {
            assert!(bad.parse::<VerifierKey>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_specifications_example_reads_and_writes() {
        let note = Note::parse(POEM).unwrap();
        assert!(note.text().ends_with("\n\ned è subito sera.\n"), "the last empty line splits");
        assert_eq!(note.signatures()[0].name, "quasimodo.example/salvatore");
        assert_eq!(note.to_string(), POEM);
    }

    #[test]
    fn a_signature_holds_for_its_text_only() {
        let secret = SigningKey::from_bytes(&[3; 32]);
        let public = secret.verifying_key();
        let key = VerifierKey::new("a.example", KeyKind::Ed25519, public.as_bytes()).unwrap();
        let signature = secret.sign(b"text\n").to_bytes();
        assert!(key.holds(b"text\n", &signature));
        assert!(key.holds(b"text\n", &signature), "as it was remembered");
        let moved = [b"\n", &signature[..]].concat();
        assert!(!key.holds(b"text", &moved), "what was remembered is message and signature apart");
        assert!(!key.holds(b"texT\n", &signature));
        assert!(!key.holds(b"text\n", &signature[..63]));
    }

    #[test]
    fn malformed_notes_are_refused() {
        for bad in [
            "",
            "text\n",
            "text\n\n",
            "text\n\n— a AAAAAAA=",
            "text\n\n- a AAAAAAA=\n",
            "text\n\n— a AAAAAA==\n",
            "text\n\n—  AAAAAAA=\n",
            "text\n\n— a AAAAAAB=\n",
            "te\txt\n\n— a AAAAAAA=\n",
            "text\n\n— a+b AAAAAAA=\n",
            "text\n\n— a AAAAAAA=\n\n",
            "text\n\n— a AAAAAAA=\n— a AAAAAAA=\n",
            "text\n\n— a\u{202E}b AAAAAAA=\n",
        ] {
            assert!(Note::parse(bad).is_err(), "{bad:?}");
        }
        let signed_by = |count: usize| -> String {
            let lines = (0..count).map(|i| format!("— a{i} AAAAAAA=\n"));
            "text\n\n".to_owned() + &lines.collect::<String>()
        };
        assert_eq!(Note::parse(&signed_by(16)).unwrap().signatures().len(), 16);
        assert!(Note::parse(&signed_by(65)).is_err());
    }

    proptest! {
        #[test]
        fn a_key_that_parses_is_the_only_spelling(at in 0..GO_VKEY.len(), c in any::<char>()) {
            let vkey = format!("{}{c}{}", &GO_VKEY[..at], &GO_VKEY[at + 1..]);
            if let Ok(key) = vkey.parse::<VerifierKey>() {
                prop_assert_eq!(key.to_string(), vkey);
            }
        }

        #[test]
        fn what_parses_is_the_only_spelling(at in any::<usize>(), c in any::<char>(), cut in any::<bool>()) {
            let mut text: Vec<char> = POEM.chars().collect();
            let at = at % text.len();
            if cut { text.truncate(at) } else { text[at] = c }
            let text: String = text.into_iter().collect();
            if let Ok(note) = Note::parse(&text) {
                prop_assert_eq!(note.to_string(), text);
            }
        }
    }
}
