//! The authority: one open folder, one key, one clock; request in, response out.

use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use der::pem::{self, LineEnding, PemLabel};
use der::{DecodePem, Encode, EncodePem};
use p256::ecdsa::SigningKey;
use p256::pkcs8::{DecodePrivateKey, EncodePrivateKey};
use x509_cert::Certificate;

use crate::clock::Clock;
use crate::disk::Lock;
use crate::ledger::{Ledger, Serial};
use crate::request::Request;
use crate::response::{self, FailureInfo, Rejection};
use crate::token::Signer;
use crate::{TsaError, certificate, disk};

/// A time-stamp authority, open for issuing by this process alone.
pub struct Authority {
    signer: Signer,
    chain_pem: String,
    /// The last second at which the certificate is valid.
    until: u64,
    /// The clock is read where the number is given, so that both grow together.
    desk: Mutex<Desk>,
    _lock: Lock,
}

struct Desk {
    clock: Clock,
    ledger: Ledger,
    trouble: Option<TsaError>,
}

impl Authority {
    /// Makes keys and certificates of an authority of this name, valid from `now` (seconds since 1970)
    /// on. A crash leaves all of the folder or none of it, and perhaps, beside it, a `.timemark-tsa-…`
    /// that can be deleted. What exists is never replaced.
    ///
    /// `root.key` is not needed again until there is a second authority below the same root: it is best
    /// taken away to where nothing is connected.
    pub fn create(dir: &Path, name: &str, now: u64) -> Result<(), TsaError> {
        certificate::check_name(name)?;
        if dir.symlink_metadata().is_ok() {
            return Err(TsaError::Exists { path: dir.to_owned() });
        }
        let parent = disk::parent(dir);
        let aside = parent.join(format!(".timemark-tsa-{:016x}", u64::from_be_bytes(random()?)));
        disk::create_private_dir(&aside)?;
        let made = fill(&aside, name, now).and_then(|()| put_in_place(&aside, dir));
        if made.is_err() {
            // Best effort: what failed already is what the caller has to hear.
            let _ = fs::remove_dir_all(&aside);
        }
        made?;
        disk::sync_dir(parent)
    }

    /// Opens an authority for this process alone. Nothing earlier than the last token is ever said.
    pub fn open(dir: &Path, mut clock: Clock) -> Result<Authority, TsaError> {
        let certificate = read_certificate(&dir.join(CERTIFICATE))?;
        let root = read_certificate(&dir.join(ROOT_CERTIFICATE))?;
        let lock_path = dir.join(LOCK);
        let Some(lock) = Lock::try_take(&lock_path)? else {
            return Err(TsaError::Busy { path: lock_path });
        };
        let key = read_key(&dir.join(KEY))?;
        if !certificate::belongs(&certificate, &key, &root) {
            let reason = "it is not for the key beside it, or not signed by the root beside it";
            return Err(TsaError::damaged(&dir.join(CERTIFICATE), reason));
        }
        let until = certificate.tbs_certificate().validity().not_after.to_unix_duration().as_secs();
        let chain_pem = certificate.to_pem(LineEnding::LF)? + &root.to_pem(LineEnding::LF)?;
        let signer = Signer::new(key, &certificate, &root)?;
        let ledger = Ledger::open(&dir.join(LEDGER))?;
        clock.continue_from(ledger.time());
        let desk = Mutex::new(Desk { clock, ledger, trouble: None });
        Ok(Authority { signer, chain_pem, until, desk, _lock: lock })
    }

    /// The certificate of the authority in this folder and then its root, as PEM, also while it works.
    pub fn read_chain_pem(dir: &Path) -> Result<String, TsaError> {
        let certificate = read_certificate(&dir.join(CERTIFICATE))?;
        let root = read_certificate(&dir.join(ROOT_CERTIFICATE))?;
        Ok(certificate.to_pem(LineEnding::LF)? + &root.to_pem(LineEnding::LF)?)
    }

    /// The root certificate (DER) of the authority in this folder.
    pub fn read_root(dir: &Path) -> Result<Vec<u8>, TsaError> {
        Ok(read_certificate(&dir.join(ROOT_CERTIFICATE))?.to_der()?)
    }

    /// The authority's certificate and then its root, as PEM.
    pub fn chain_pem(&self) -> String {
        self.chain_pem.clone()
    }

    /// Answers a TimeStampReq with a TimeStampResp, both DER: the body of `application/timestamp-query`
    /// and that of `application/timestamp-reply`. Every request is answered, at worst with
    /// `systemFailure`. May wait for the disk: once a second at most.
    pub fn respond(&self, request_der: &[u8]) -> Vec<u8> {
        let answer = Request::parse(request_der).and_then(|request| self.issue(&request));
        answer.unwrap_or_else(|rejection| response::rejected(&rejection))
    }

    /// Why the last request that could be answered got no token, for the operator: clients hear less.
    pub fn trouble(&self) -> Option<String> {
        self.desk().trouble.as_ref().map(ToString::to_string)
    }

    fn issue(&self, request: &Request<'_>) -> Result<Vec<u8>, Rejection> {
        let (now, serial) = self.next().map_err(|failure| {
            let reason = match failure {
                FailureInfo::TimeNotAvailable => {
                    "the clock of this authority is not to be relied on now"
                }
                _ => "this authority cannot issue now",
            };
            Rejection::new(failure, reason)
        })?;
        let token = self.signer.token(request, &serial, now);
        token.and_then(|token| response::granted(&token)).map_err(|_| {
            Rejection::new(FailureInfo::SystemFailure, "the token could not be encoded")
        })
    }

    /// A time and a number for one token.
    fn next(&self) -> Result<(u64, Serial), FailureInfo> {
        let mut desk = self.desk();
        match desk.next(self.until) {
            Ok(next) => {
                desk.trouble = None;
                Ok(next)
            }
            Err(error) => {
                let of_clock = matches!(error, TsaError::Clock(_));
                desk.trouble = Some(error);
                Err(if of_clock {
                    FailureInfo::TimeNotAvailable
                } else {
                    FailureInfo::SystemFailure
                })
            }
        }
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        // Nothing panics while it is held; if something did, clock and ledger are whole at every step.
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Desk {
    fn next(&mut self, until: u64) -> Result<(u64, Serial), TsaError> {
        let now = self.clock.now()?;
        if now > until {
            return Err(TsaError::Expired);
        }
        Ok((now, self.ledger.next(now)?))
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

/// Writes all files of a new authority, durably.
fn fill(dir: &Path, name: &str, now: u64) -> Result<(), TsaError> {
    let (key, root_key) = (random_key()?, random_key()?);
    let root = certificate::root(name, &root_key, now)?;
    let authority = certificate::authority(name, &key, &root_key, now)?;
    for (file, key) in [(ROOT_KEY, &root_key), (KEY, &key)] {
        let pem = key.to_pkcs8_pem(LineEnding::LF).map_err(|_| der::ErrorKind::Failed)?;
        disk::write_new_private(&dir.join(file), pem.as_bytes())?;
    }
    for (file, der) in [(ROOT_CERTIFICATE, root), (CERTIFICATE, authority)] {
        let pem = pem::encode_string(Certificate::PEM_LABEL, LineEnding::LF, &der);
        let pem = pem.map_err(der::Error::from)?;
        disk::write_new_private(&dir.join(file), pem.as_bytes())?;
    }
    disk::write_new_private(&dir.join(LEDGER), Ledger::first_text(now).as_bytes())?;
    disk::write_new_private(&dir.join(LOCK), b"")?;
    disk::sync_dir(dir)
}

fn put_in_place(aside: &Path, dir: &Path) -> Result<(), TsaError> {
    // Never over an authority that was made meanwhile: its folder is not empty.
    fs::rename(aside, dir).map_err(|reason| match reason.kind() {
        ErrorKind::DirectoryNotEmpty | ErrorKind::AlreadyExists | ErrorKind::NotADirectory => {
            TsaError::Exists { path: dir.to_owned() }
        }
        _ => disk::io_at(dir)(reason),
    })
}

fn read_certificate(path: &Path) -> Result<Certificate, TsaError> {
    let pem = disk::read_to_string(path)?;
    Certificate::from_pem(&pem).map_err(|e| TsaError::damaged(path, e.to_string()))
}

fn read_key(path: &Path) -> Result<SigningKey, TsaError> {
    // The text is secret: no part of it goes into an error.
    let bad = |_| TsaError::damaged(path, "it is no P-256 key in PKCS #8");
    SigningKey::from_pkcs8_pem(&disk::read_to_string(path)?).map_err(bad)
}

fn random_key() -> Result<SigningKey, TsaError> {
    for _ in 0..KEY_TRIES_MAX {
        // One number in four thousand million is no key of P-256.
        if let Ok(key) = SigningKey::from_slice(&random::<32>()?) {
            return Ok(key);
        }
    }
    Err(TsaError::NoRandomness)
}

fn random<const N: usize>() -> Result<[u8; N], TsaError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| TsaError::NoRandomness)?;
    Ok(bytes)
}

const ROOT_KEY: &str = "root.key";
const ROOT_CERTIFICATE: &str = "root.crt";
const KEY: &str = "tsa.key";
const CERTIFICATE: &str = "tsa.crt";
const LEDGER: &str = "issued";
const LOCK: &str = "lock";

const KEY_TRIES_MAX: u32 = 8;
