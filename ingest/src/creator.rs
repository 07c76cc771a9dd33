//! A creator's own key signs a claim. It is read for one run and kept nowhere.

use std::path::{Path, PathBuf};

use ed25519_dalek::pkcs8::DecodePrivateKey;
use ed25519_dalek::{Signer, SigningKey};
use timemark_verify::{Claim, CreatorSignature};

/// An Ed25519 key in PKCS #8 PEM, as `openssl genpkey -algorithm ed25519` writes it.
pub struct CreatorKey(SigningKey);

/// Why a creator's key could not be read.
#[derive(Debug, thiserror::Error)]
pub enum CreatorKeyError {
    /// The file cannot be read.
    #[error("{path}: {reason}", path = .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: std::io::Error,
    },
    /// The file holds something else.
    #[error("{path} is not an Ed25519 key in PKCS #8 PEM; `openssl genpkey -algorithm ed25519` makes one", path = .path.display())]
    NotAKey {
        /// The file.
        path: PathBuf,
    },
}

impl CreatorKey {
    /// Reads a key file.
    pub fn read(path: &Path) -> Result<CreatorKey, CreatorKeyError> {
        let path = path.to_owned();
        match std::fs::read_to_string(&path) {
            Ok(pem) => SigningKey::from_pkcs8_pem(&pem)
                .map(CreatorKey)
                .map_err(|_| CreatorKeyError::NotAKey { path }),
            Err(reason) => Err(CreatorKeyError::Io { path, reason }),
        }
    }

    pub(crate) fn sign(&self, claim: &Claim) -> CreatorSignature {
        let signature = self.0.sign(claim.creator_message().as_bytes()).to_bytes();
        CreatorSignature { key: *self.0.verifying_key().as_bytes(), signature }
    }
}
