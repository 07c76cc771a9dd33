//! What proves that somebody is who they say: random secrets, of which a digest is kept, and passwords.
//!
//! A secret is `<prefix>_<id>_<32 random bytes>`. The id finds the record in one look; the rest is held against an argon2id
//! digest. That is slow on purpose and takes 19 MiB, so digests are computed one at a time, and a key that was found right
//! is remembered by its SHA-256 (see [`Remembered`]).

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use data_encoding::{BASE32_NOPAD, BASE64URL_NOPAD};
use sha2::{Digest, Sha256};

use crate::AccountsError;

/// A new id: 80 random bits.
pub(crate) fn new_id() -> Result<String, AccountsError> {
    Ok(BASE32_NOPAD.encode(&random::<10>()?).to_lowercase())
}

/// A secret that is shown once: its id, and the whole of it.
pub(crate) fn new_secret(prefix: &str) -> Result<(String, String), AccountsError> {
    let id = new_id()?;
    let secret = BASE64URL_NOPAD.encode(&random::<32>()?);
    let whole = format!("{prefix}_{id}_{secret}");
    Ok((id, whole))
}

/// A secret for who is to make the first account. It is kept nowhere.
pub fn setup_token() -> Result<String, AccountsError> {
    Ok(new_secret(SETUP)?.1)
}

/// The id in a secret that can be one of this prefix.
pub(crate) fn id_in<'a>(secret: &'a str, prefix: &str) -> Option<&'a str> {
    let rest = secret.strip_prefix(prefix)?.strip_prefix('_')?;
    let (id, random) = rest.split_once('_')?;
    let is_id = id.len() == 16 && id.bytes().all(|b| b.is_ascii_alphanumeric());
    (is_id && random.len() == 43).then_some(id)
}

/// Whether a text looks like a key, so that it is told apart from what is something else altogether.
pub fn is_key(text: &str) -> bool {
    id_in(text, KEY).is_some()
}

/// The digest of a secret that needs no slow one: it is random, and looked up by this.
pub(crate) fn fast_digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

/// Computes the slow digests, one at a time: each takes 19 MiB and a core.
#[derive(Default)]
pub(crate) struct Slow(Mutex<()>);

impl Slow {
    /// The digest to keep.
    pub fn digest(&self, secret: &str) -> Result<String, AccountsError> {
        let _turn = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let digest = Argon2::default().hash_password(secret.as_bytes());
        Ok(digest.map_err(|_| AccountsError::NoRandomness)?.to_string())
    }

    /// Whether a secret is the one of the digest. Where there is no digest the answer is no, and takes as long: nobody is
    /// to learn by the time which names there are.
    pub fn is(&self, secret: &str, digest: Option<&str>) -> bool {
        let parsed = PasswordHash::new(digest.unwrap_or(NOBODYS)).ok();
        let _turn = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = |parsed: &PasswordHash| {
            Argon2::default().verify_password(secret.as_bytes(), parsed).is_ok()
        };
        parsed.as_ref().is_some_and(fits) && digest.is_some()
    }
}

/// Keys that were found right, by their SHA-256, so that the slow digest is computed once. Whether they were revoked since
/// is looked up each time in the file; at a revocation they are forgotten as well.
#[derive(Default)]
pub(crate) struct Remembered(Mutex<HashMap<[u8; 32], String>>);

impl Remembered {
    pub fn is(&self, secret: &str, id: &str) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&fast_digest(secret)).is_some_and(|known| known == id)
    }

    pub fn remember(&self, secret: &str, id: &str) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= REMEMBERED_MAX {
            known.clear();
        }
        known.insert(fast_digest(secret), id.to_owned());
    }

    /// Forgets a key, and none of anybody else: who makes and revokes keys of their own costs others nothing.
    pub fn forget(&self, id: &str) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, known| known != id);
    }
}

/// Whether a password may be one.
pub fn check_password(password: &str) -> Result<(), AccountsError> {
    if password.chars().count() < PASSWORD_CHARS_MIN || password.len() > SECRET_BYTES_MAX {
        let words = format!("a password has {PASSWORD_CHARS_MIN} characters or more, and at most");
        return Err(AccountsError::Bad(format!("{words} {SECRET_BYTES_MAX} bytes")));
    }
    Ok(())
}

fn random<const N: usize>() -> Result<[u8; N], AccountsError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| AccountsError::NoRandomness)?;
    Ok(bytes)
}

/// What a key begins with.
pub(crate) const KEY: &str = "tmk";
/// What a login link holds begins with.
pub(crate) const LINK: &str = "tml";
/// What makes the first account begins with.
const SETUP: &str = "tmi";
/// What a session begins with.
pub(crate) const SESSION: &str = "tms";
/// Shortest password in characters.
pub const PASSWORD_CHARS_MIN: usize = 12;
/// Longest password or other secret in bytes.
pub const SECRET_BYTES_MAX: usize = 256;
/// Keys that are remembered.
const REMEMBERED_MAX: usize = 1024;
/// The digest of a secret that nobody has, of the same cost as all others.
const NOBODYS: &str = "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5IGhhcyB0aGlz$\
                       AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_by_its_id_and_kept_as_a_digest_of_the_usual_cost() {
        let (id, secret) = new_secret(KEY).unwrap();
        assert_eq!(id_in(&secret, KEY), Some(&*id));
        assert!(is_key(&secret) && !is_key(&secret[1..]) && !is_key("") && !is_key("tmk_a_b"));
        assert_eq!(id_in(&secret, LINK), None);
        let slow = Slow::default();
        let digest = slow.digest(&secret).unwrap();
        assert!(digest.starts_with(NOBODYS.rsplitn(3, '$').last().unwrap()), "{digest}");
        assert!(slow.is(&secret, Some(&digest)));
        let (_, other) = new_secret(KEY).unwrap();
        assert_ne!(secret, other);
        assert!(!slow.is(&other, Some(&digest)) && !slow.is(&secret, None));
        assert!(!slow.is(&secret, Some("")) && !slow.is("", Some(&digest)));
        assert!(PasswordHash::new(NOBODYS).is_ok(), "who is not there takes as long");
    }

    #[test]
    fn a_remembered_key_is_forgotten_at_a_revocation() {
        let remembered = Remembered::default();
        remembered.remember("a", "id");
        assert!(
            remembered.is("a", "id") && !remembered.is("a", "other") && !remembered.is("b", "id")
        );
        remembered.remember("b", "other");
        remembered.forget("id");
        assert!(!remembered.is("a", "id") && remembered.is("b", "other"));
        (0..=REMEMBERED_MAX).for_each(|i| remembered.remember(&i.to_string(), "id"));
        assert!(remembered.0.lock().unwrap().len() <= REMEMBERED_MAX);
    }

    #[test]
    fn passwords_have_a_length() {
        assert!(check_password("山水山水山水山水山水山水").is_ok());
        for bad in ["", "elevenchars", &"x".repeat(257)] {
            assert!(check_password(bad).is_err(), "{bad}");
        }
    }
}
