//! Signing keys: a log's, which sign its checkpoints, and a witness's, which cosign those of others.
//!
//! A key file has one line a key, in the form of Go's `sumdb/note`:
//! `PRIVATE+KEY+<name>+<key id>+base64(type ‖ 32-byte seed)`.

use std::fmt;
use std::ops::RangeInclusive;
use std::path::Path;
use std::str::FromStr;

use data_encoding::{BASE64, HEXLOWER};
use ml_dsa::{Keypair, MlDsa44};
use sm2::dsa::signature::Signer as _;
use timemark_verify::{
    Checkpoint, FormatError, KeyKind, Note, NoteSignature, Policy, SM2_IDENTITY, VerifierKey,
    cosigned_message,
};

use crate::LogError;
use crate::disk;

/// One private key with its name.
pub struct SigningKey {
    verifier: VerifierKey,
    seed: [u8; 32],
    secret: Secret,
}

enum Secret {
    Ed25519(Box<ed25519_dalek::SigningKey>),
    MlDsa44(Box<ml_dsa::SigningKey<MlDsa44>>),
    Sm2(Box<sm2::dsa::SigningKey>),
}

impl SigningKey {
    /// A fresh key of this name and kind.
    pub fn generate(name: &str, kind: KeyKind) -> Result<SigningKey, LogError> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|_| LogError::NoRandomness)?;
        Ok(SigningKey::from_seed(name, kind, &seed)?)
    }

    /// The key of this name, kind and 32-byte seed. Of SM2 the seed is the secret number itself; one in four thousand
    /// million is too great to be one.
    pub fn from_seed(
        name: &str,
        kind: KeyKind,
        seed: &[u8; 32],
    ) -> Result<SigningKey, FormatError> {
        let (secret, public) = match kind {
            KeyKind::Ed25519 | KeyKind::CosignatureV1 => {
                let secret = ed25519_dalek::SigningKey::from_bytes(seed);
                let public = secret.verifying_key().to_bytes().to_vec();
                (Secret::Ed25519(Box::new(secret)), public)
            }
            KeyKind::MlDsa44 => {
                let secret = ml_dsa::SigningKey::from_seed(&(*seed).into());
                let public = secret.verifying_key().encode().to_vec();
                (Secret::MlDsa44(Box::new(secret)), public)
            }
            KeyKind::Sm2 => {
                let secret = sm2::dsa::SigningKey::from_slice(SM2_IDENTITY, seed)
                    .map_err(|_| FormatError::new("signing key", "it is no secret key of SM2"))?;
                let public = secret.verifying_key().to_sec1_bytes().to_vec();
                (Secret::Sm2(Box::new(secret)), public)
            }
        };
        Ok(SigningKey { verifier: VerifierKey::new(name, kind, &public)?, seed: *seed, secret })
    }

    /// The public half.
    pub const fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    /// Signs a checkpoint. `time` is what a cosignature states, in seconds since 1970; 0 states none, and
    /// Ed25519 of type 0x01 and SM2 never state one.
    pub(crate) fn sign(
        &self,
        checkpoint: &Checkpoint,
        text: &str,
        time: u64,
    ) -> Result<NoteSignature, FormatError> {
        let (name, kind) = (self.verifier.name(), self.verifier.kind());
        let message = cosigned_message(kind, name, time, text, checkpoint)
            .ok_or_else(|| FormatError::new("checkpoint", "its origin is longer than 255 bytes"))?;
        let signature = match &self.secret {
            Secret::Ed25519(secret) => {
                ed25519_dalek::Signer::sign(&**secret, &message).to_bytes().to_vec()
            }
            // Deterministic (FIPS 204 section 3.4), so that the same checkpoint has one signature.
            Secret::MlDsa44(secret) => ml_dsa::Signer::sign(&**secret, &message).encode().to_vec(),
            // Deterministic as well: its random number is derived (RFC 6979).
            Secret::Sm2(secret) => secret.sign(&message).to_vec(),
        };
        let bytes = if kind.states_time() {
            [&time.to_be_bytes()[..], &signature].concat()
        } else {
            signature
        };
        Ok(NoteSignature { name: name.to_owned(), key_id: self.verifier.key_id(), bytes })
    }

    /// Reads a key file.
    pub fn read_all(path: &Path) -> Result<Vec<SigningKey>, LogError> {
        let text = disk::read_to_string(path)?;
        text.lines()
            .map(|line| {
                line.parse().map_err(|e: FormatError| LogError::damaged(path, e.to_string()))
            })
            .collect()
    }

    /// Writes a key file that only its owner can read. Refuses to replace one.
    pub fn write_all_new(path: &Path, keys: &[&SigningKey]) -> Result<(), LogError> {
        let lines: String = keys.iter().map(|key| key.line()).collect();
        disk::write_new_private(path, lines.as_bytes())
    }

    fn line(&self) -> String {
        let seed = [self.verifier.kind().identifier(), &self.seed].concat();
        format!("PRIVATE+KEY+{}+{}\n", self.verifier.short(), BASE64.encode(&seed))
    }
}

impl Drop for SigningKey {
    fn drop(&mut self) {
        // The parsed key clears itself; its seed is ours to clear.
        zeroize::Zeroize::zeroize(&mut self.seed);
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
        let (kind, seed) = KeyKind::split(&bytes).ok_or_else(bad)?;
        let key = SigningKey::from_seed(name, kind, seed.try_into().map_err(|_| bad())?)?;
        let same = HEXLOWER.encode(&key.verifier.key_id()) == id && BASE64.encode(&bytes) == base64;
        if same { Ok(key) } else { Err(bad()) }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey of {}", self.verifier)
    }
}

/// The keys of one log: Ed25519, which every public log must sign with, ML-DSA-44, because evidence outlives
/// Ed25519, and SM2, because courts in China ask for it. All bear the log's name, its origin. Keys that they
/// replaced are remembered by their public halves. Of a backup there may be no more than the public halves of all of them.
#[derive(Debug)]
pub struct LogKey {
    ed25519: Half,
    /// Those that an archive of an earlier version lacks: ML-DSA-44, then SM2.
    further: Vec<Half>,
    /// The first tree size that these keys speak for.
    first: u64,
    retired: Vec<RetiredKey>,
}

/// What is here of a key.
#[derive(Debug)]
enum Half {
    Private(SigningKey),
    Public(VerifierKey),
}

/// A key that signs no more.
#[derive(Debug)]
struct RetiredKey {
    key: VerifierKey,
    sizes: RangeInclusive<u64>,
}

impl LogKey {
    /// Fresh keys for the log of this origin.
    pub fn generate(origin: &str) -> Result<LogKey, LogError> {
        let key = |kind| SigningKey::generate(origin, kind).map(Half::Private);
        let [ed25519, ml_dsa, sm2] = LOG_KINDS.map(key);
        let (ed25519, further) = (ed25519?, vec![ml_dsa?, sm2?]);
        Ok(LogKey { ed25519, further, first: 0, retired: Vec::new() })
    }

    /// The log's keys from the seeds of Ed25519, ML-DSA-44 and SM2.
    pub fn from_seeds(origin: &str, seeds: [&[u8; 32]; 3]) -> Result<LogKey, FormatError> {
        let key = |kind, seed| SigningKey::from_seed(origin, kind, seed).map(Half::Private);
        let [(ed, ed_seed), (ml, ml_seed), (sm2, sm2_seed)] =
            [0, 1, 2].map(|at| (LOG_KINDS[at], seeds[at]));
        let ed25519 = key(ed, ed_seed)?;
        let further = vec![key(ml, ml_seed)?, key(sm2, sm2_seed)?];
        Ok(LogKey { ed25519, further, first: 0, retired: Vec::new() })
    }

    /// A log's key as archives of version 0.1.0 have it.
    #[cfg(test)]
    pub(crate) fn without_ml_dsa(origin: &str, seed: &[u8; 32]) -> Result<LogKey, FormatError> {
        let ed25519 = SigningKey::from_seed(origin, KeyKind::Ed25519, seed)?;
        Ok(LogKey {
            ed25519: Half::Private(ed25519),
            further: Vec::new(),
            first: 0,
            retired: Vec::new(),
        })
    }

    /// Fresh keys in place of these, which spoke for the log up to the tree of `size` entries. The old
    /// private keys are not kept.
    pub fn replaced_at(&self, size: u64) -> Result<LogKey, LogError> {
        let fresh = LogKey::generate(self.origin())?;
        let retired = self.retired.iter().map(|r| (r.key.clone(), r.sizes.clone()));
        let ours = self.verifiers().map(|key| (key.clone(), self.first..=size));
        let retired = retired.chain(ours).map(|(key, sizes)| RetiredKey { key, sizes }).collect();
        Ok(LogKey { first: size, retired, ..fresh })
    }

    /// Reads a key file: the Ed25519 key, those of ML-DSA-44 and SM2, which earlier archives lack, and for each
    /// key that they replaced a line `retired <verifier key> <first size> <last size>`.
    pub fn read(path: &Path) -> Result<LogKey, LogError> {
        let damaged = |reason: &str| LogError::damaged(path, reason);
        let text = disk::read_to_string(path)?;
        let (retired, keys): (Vec<&str>, Vec<&str>) =
            text.lines().partition(|line| line.starts_with("retired "));
        let keys = keys.into_iter().map(str::parse).collect::<Result<Vec<SigningKey>, _>>();
        let keys = keys.map_err(|e: FormatError| damaged(&e.to_string()))?;
        let mut keys = keys.into_iter().map(Half::Private);
        let ed25519 = keys.next().ok_or_else(|| damaged("it holds no key"))?;
        let further = keys.collect();
        let retired = retired.into_iter().map(RetiredKey::parse).collect::<Option<Vec<_>>>();
        let retired = retired.ok_or_else(|| damaged("a line on a retired key makes no sense"))?;
        let mut key = LogKey { ed25519, further, first: 0, retired };
        key.first = key.retired_at();
        if key.is_of_one_log() {
            Ok(key)
        } else {
            Err(damaged("its keys are not those of one log"))
        }
    }

    /// The public halves of a log's keys from the lines of [`LogKey::policy_lines`]: enough to read a log,
    /// and not to sign.
    pub fn of_policy_lines(lines: &str) -> Result<LogKey, FormatError> {
        let policy = Policy::parse(format!("{lines}quorum none\n").as_bytes())?;
        let bad = || FormatError::new("log policy", "its lines are not those of one log");
        let (current, retired): (Vec<_>, Vec<_>) =
            policy.logs().iter().partition(|log| *log.sizes.end() == u64::MAX);
        let first = current.first().map(|log| *log.sizes.start()).ok_or_else(bad)?;
        let mut keys = current.iter().map(|log| Half::Public(log.key.clone()));
        let (ed25519, further) = (keys.next().ok_or_else(bad)?, keys.collect());
        let retired =
            retired.iter().map(|log| RetiredKey { key: log.key.clone(), sizes: log.sizes.clone() });
        let retired: Vec<_> = retired.collect();
        let key = LogKey { ed25519, further, first, retired };
        let in_order = key.retired_at() == first && key.policy_lines() == lines;
        if key.is_of_one_log() && in_order { Ok(key) } else { Err(bad()) }
    }

    /// The size up to which the newest of the replaced keys spoke.
    fn retired_at(&self) -> u64 {
        self.retired.iter().map(|retired| *retired.sizes.end()).max().unwrap_or(0)
    }

    fn is_of_one_log(&self) -> bool {
        let kinds: Vec<KeyKind> = self.verifiers().map(VerifierKey::kind).collect();
        let same_name = self.all_verifiers().all(|(other, _)| other.name() == self.origin());
        same_name && LOG_KINDS.starts_with(&kinds)
    }

    /// Whether these are the other's keys, or keys that replaced them: every key of the other spoke from the
    /// same size on, and to the same size or, if it was not replaced then, to another.
    pub fn continues(&self, other: &LogKey) -> bool {
        other.all_verifiers().all(|(key, then)| {
            self.all_verifiers().any(|(known, now)| {
                let end = then.end() == now.end() || *then.end() == u64::MAX;
                known == key && then.start() == now.start() && end
            })
        })
    }

    /// Writes a key file that only its owner can read. Refuses to replace one.
    pub fn write_new(&self, path: &Path) -> Result<(), LogError> {
        disk::write_new_private(path, self.file()?.as_bytes())
    }

    /// Puts this key file in the place of another in one step.
    pub fn replace(&self, path: &Path) -> Result<(), LogError> {
        let aside = path.with_extension("new");
        match std::fs::remove_file(&aside) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(disk::io_at(&aside)(e));
            }
            _ => self.write_new(&aside)?,
        }
        disk::rename_durably(&aside, path)
    }

    fn file(&self) -> Result<String, LogError> {
        let private = self.halves().map(|half| half.private().ok_or(LogError::CannotSign));
        let private = private.collect::<Result<Vec<_>, _>>()?.into_iter().map(SigningKey::line);
        let retired = self.retired.iter().map(|retired| {
            let (first, last) = (retired.sizes.start(), retired.sizes.end());
            format!("retired {} {first} {last}\n", retired.key)
        });
        Ok(private.chain(retired).collect())
    }

    /// The log's name.
    pub fn origin(&self) -> &str {
        self.verifier().name()
    }

    /// The public Ed25519 key.
    pub const fn verifier(&self) -> &VerifierKey {
        self.ed25519.verifier()
    }

    /// The public keys, the Ed25519 key first.
    pub fn verifiers(&self) -> impl Iterator<Item = &VerifierKey> {
        self.halves().map(Half::verifier)
    }

    fn halves(&self) -> impl Iterator<Item = &Half> {
        std::iter::once(&self.ed25519).chain(&self.further)
    }

    /// Whether the private halves are here.
    pub const fn can_sign(&self) -> bool {
        self.ed25519.private().is_some()
    }

    /// Every key that ever spoke for the log, and at which tree sizes.
    pub(crate) fn all_verifiers(
        &self,
    ) -> impl Iterator<Item = (&VerifierKey, RangeInclusive<u64>)> {
        let current = self.verifiers().map(|key| (key, self.first..=u64::MAX));
        current.chain(self.retired.iter().map(|retired| (&retired.key, retired.sizes.clone())))
    }

    /// The lines of a policy that trusts this log, whatever its keys were.
    pub fn policy_lines(&self) -> String {
        let line = |(key, sizes): (&VerifierKey, RangeInclusive<u64>)| {
            let last = match *sizes.end() {
                u64::MAX => "*".to_owned(),
                last => last.to_string(),
            };
            let restriction = if *sizes.start() == 0 && last == "*" {
                String::new()
            } else {
                format!("log-sizes {} {} {last}\n", key.short(), sizes.start())
            };
            format!("log {key}\n{restriction}")
        };
        self.all_verifiers().map(line).collect()
    }

    /// The first tree size that the current keys speak for.
    pub const fn first_size(&self) -> u64 {
        self.first
    }

    /// Signs a checkpoint with the Ed25519 key: what the log commits itself to.
    pub(crate) fn sign(&self, checkpoint: &Checkpoint) -> Result<Note, LogError> {
        let key = self.ed25519.private().ok_or(LogError::CannotSign)?;
        let text = checkpoint.to_string();
        let signature = key.sign(checkpoint, &text, 0)?;
        Ok(Note::new(text, vec![signature])?)
    }

    /// Adds the signatures of these keys that a note of the log lacks. Of a note of [`LogKey::sign`] those are
    /// by ML-DSA-44, at no time (a log's own clock proves nothing), and by SM2. They are deterministic and slow, so
    /// they are not kept but made when a note goes out. Where there are no private keys, the note stays as it is.
    pub(crate) fn complete(&self, note: Note) -> Result<Note, FormatError> {
        let checkpoint = Checkpoint::of_note(&note)?;
        if checkpoint.size < self.first {
            return Ok(note);
        }
        let mut signatures = note.signatures().to_vec();
        for key in self.halves().filter_map(Half::private) {
            if note.signatures_by(key.verifier()).next().is_none() {
                signatures.push(key.sign(&checkpoint, note.text(), 0)?);
            }
        }
        Note::new(note.text().to_owned(), signatures)
    }

    /// Whether this log signed the note with an Ed25519 key of the time, and no signature by its keys is
    /// false.
    pub(crate) fn signed(&self, checkpoint: &Checkpoint, note: &Note) -> bool {
        let mut signed = false;
        for (key, sizes) in self.all_verifiers() {
            for signature in note.signatures_by(key) {
                if key.check(note, checkpoint, signature).is_err() {
                    return false;
                }
                signed |= key.kind() == KeyKind::Ed25519 && sizes.contains(&checkpoint.size);
            }
        }
        signed && checkpoint.origin == self.origin()
    }
}

impl Half {
    const fn verifier(&self) -> &VerifierKey {
        match self {
            Half::Private(key) => key.verifier(),
            Half::Public(key) => key,
        }
    }

    const fn private(&self) -> Option<&SigningKey> {
        match self {
            Half::Private(key) => Some(key),
            Half::Public(_) => None,
        }
    }
}

impl RetiredKey {
    fn parse(line: &str) -> Option<RetiredKey> {
        let words: Vec<&str> = line.split(' ').collect();
        let ["retired", key, first, last] = words[..] else { return None };
        let sizes = first.parse().ok()?..=last.parse().ok()?;
        Some(RetiredKey { key: key.parse().ok()?, sizes })
    }
}

/// What a log signs with, in the order of its key file.
const LOG_KINDS: [KeyKind; 3] = [KeyKind::Ed25519, KeyKind::MlDsa44, KeyKind::Sm2];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_file_comes_back_and_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log.key");
        let key = LogKey::generate("log.example").unwrap();
        key.write_new(&path).unwrap();
        let read = LogKey::read(&path).unwrap();
        assert!(read.verifiers().eq(key.verifiers()));
        assert!(key.write_new(&path).is_err());
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!format!("{key:?}").contains("PRIVATE"));
        // An archive of version 0.1.0 has the first key alone; no other file is a log's.
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        std::fs::write(&path, lines[0]).unwrap();
        assert!(LogKey::read(&path).unwrap().verifiers().eq([key.verifier()]));
        for bad in [lines[1].to_owned(), lines.concat() + lines[1], String::new()] {
            std::fs::write(&path, bad).unwrap();
            assert!(LogKey::read(&path).is_err());
        }
    }

    #[test]
    fn a_replaced_key_speaks_for_its_time_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log.key");
        let old = LogKey::generate("log.example").unwrap();
        old.write_new(&path).unwrap();
        let at = |size| Checkpoint {
            origin: "log.example".to_owned(),
            size,
            root: timemark_verify::merkle::empty_root(),
        };
        let (before, after) = (old.sign(&at(7)).unwrap(), old.sign(&at(8)).unwrap());
        old.replaced_at(7).unwrap().replace(&path).unwrap();
        let new = LogKey::read(&path).unwrap();
        assert!(new.signed(&at(7), &before) && !new.signed(&at(8), &after));
        assert!(new.signed(&at(8), &new.sign(&at(8)).unwrap()));
        assert!(!new.signed(&at(6), &new.sign(&at(6)).unwrap()), "it was not there yet");
        let again = new.replaced_at(9).unwrap();
        assert!(again.signed(&at(7), &before) && again.signed(&at(9), &new.sign(&at(9)).unwrap()));
        let policy = again.policy_lines() + "quorum none\n";
        let policy = timemark_verify::Policy::parse(policy.as_bytes()).unwrap();
        let sizes: Vec<_> = policy.logs().iter().map(|log| log.sizes.clone()).collect();
        let three = |range: RangeInclusive<u64>| [range.clone(), range.clone(), range];
        assert_eq!(sizes, [three(9..=u64::MAX), three(0..=7), three(7..=9)].concat());
    }

    #[test]
    fn public_halves_read_and_do_not_sign() {
        let dir = tempfile::tempdir().unwrap();
        let old = LogKey::generate("log.example").unwrap();
        let key = old.replaced_at(7).unwrap().replaced_at(9).unwrap();
        let public = LogKey::of_policy_lines(&key.policy_lines()).unwrap();
        assert_eq!(public.policy_lines(), key.policy_lines());
        let root = timemark_verify::merkle::empty_root();
        let checkpoint = Checkpoint { origin: "log.example".to_owned(), size: 9, root };
        let note = key.sign(&checkpoint).unwrap();
        assert!(public.signed(&checkpoint, &note) && !public.can_sign() && key.can_sign());
        assert_eq!(public.complete(note.clone()).unwrap(), note);
        assert!(matches!(public.sign(&checkpoint), Err(LogError::CannotSign)));
        let path = dir.path().join("log.key");
        assert!(matches!(public.write_new(&path), Err(LogError::CannotSign)) && !path.exists());
        for bad in ["", "log x\n", &key.policy_lines().replace("9 *", "8 *")] {
            assert!(LogKey::of_policy_lines(bad).is_err(), "{bad}");
        }
        assert!(LogKey::of_policy_lines(&(key.policy_lines() + "# more\n")).is_err());
    }

    #[test]
    fn keys_continue_those_that_they_replaced() {
        let old = LogKey::generate("log.example").unwrap();
        let [new, other] = [7, 7].map(|size| old.replaced_at(size).unwrap());
        let newest = new.replaced_at(7).unwrap();
        for (later, earlier) in [(&old, &old), (&new, &old), (&newest, &new), (&newest, &old)] {
            assert!(later.continues(earlier));
        }
        let fork = old.replaced_at(6).unwrap();
        for (later, earlier) in [(&old, &new), (&new, &newest), (&other, &new), (&fork, &new)] {
            assert!(!later.continues(earlier));
        }
    }

    #[test]
    fn a_checkpoint_at_the_change_is_signed_by_both_keys_once() {
        let old = LogKey::generate("log.example").unwrap();
        let root = timemark_verify::merkle::empty_root();
        let checkpoint = Checkpoint { origin: "log.example".to_owned(), size: 7, root };
        let kept = old.sign(&checkpoint).unwrap();
        let new = old.replaced_at(7).unwrap();
        let complete = new.complete(kept).unwrap();
        assert_eq!(complete.signatures().len(), 4, "the old Ed25519 key and the three new ones");
        assert_eq!(new.complete(complete.clone()).unwrap(), complete);
        assert!(new.signed(&checkpoint, &complete) && old.signed(&checkpoint, &complete));
    }

    #[test]
    fn every_kind_of_key_signs_what_it_verifies() {
        let checkpoint = Checkpoint {
            origin: "log.example".to_owned(),
            size: 0,
            root: timemark_verify::merkle::empty_root(),
        };
        let text = checkpoint.to_string();
        for kind in [KeyKind::Ed25519, KeyKind::CosignatureV1, KeyKind::MlDsa44, KeyKind::Sm2] {
            let key = SigningKey::from_seed("k.example", kind, &[9; 32]).unwrap();
            assert_eq!(
                key.line().trim_end().parse::<SigningKey>().unwrap().verifier(),
                key.verifier()
            );
            let signature = key.sign(&checkpoint, &text, 77).unwrap();
            assert_eq!(signature, key.sign(&checkpoint, &text, 77).unwrap(), "one spelling");
            let note = Note::new(text.clone(), vec![signature.clone()]).unwrap();
            let time = kind.states_time().then_some(77);
            assert_eq!(key.verifier().check(&note, &checkpoint, &signature), Ok(time));
            let other = Checkpoint { size: 1, ..checkpoint.clone() };
            let note = Note::new(other.to_string(), vec![signature.clone()]).unwrap();
            assert!(key.verifier().check(&note, &other, &signature).is_err());
        }
    }

    #[test]
    fn a_key_line_that_contradicts_itself_is_refused() {
        for bad in ["", "PRIVATE+KEY+log.example+00000000+AQ==", "PRIVATE+KEY+log.example"] {
            assert!(bad.parse::<SigningKey>().is_err(), "{bad}");
        }
    }
}
