//! Sealing for those who hold a key, as files of <https://age-encryption.org/v1>, which the program `age` opens
//! as well.
//!
//! Only X25519 keys are known here: no passphrases, no plug-ins.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::panic::catch_unwind;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use age::secrecy::ExposeSecret;
use age::stream::StreamWriter;
use age::{DecryptError, Decryptor, EncryptError, Encryptor, x25519};

use super::exact::{Source, is_of_place, unmarked};

/// Those for whom works are sealed: each can open them alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipients(Vec<x25519::Recipient>);

impl Recipients {
    /// Reads public keys (`age1…`), of which there must be one.
    pub fn parse<'a>(keys: impl IntoIterator<Item = &'a str>) -> Result<Recipients, BadKey> {
        let mut recipients = Vec::new();
        for (at, text) in keys.into_iter().enumerate() {
            let bad = || BadKey::Recipient { text: text.to_owned() };
            if at == RECIPIENTS_MAX {
                return Err(BadKey::TooMany { keys_max: RECIPIENTS_MAX });
            }
            let recipient: x25519::Recipient = text.parse().map_err(|_| bad())?;
            // The crate panics when it seals for a key with which everybody shares the same secret.
            let is_usable = catch_unwind(|| encryptor(std::slice::from_ref(&recipient)).is_ok());
            if recipient.to_string() != text || !is_usable.unwrap_or(false) {
                return Err(bad());
            }
            recipients.push(recipient);
        }
        if recipients.is_empty() { Err(BadKey::None) } else { Ok(Recipients(recipients)) }
    }

    /// The keys as they were given, with a space between them.
    pub fn to_text(&self) -> String {
        self.0.iter().map(x25519::Recipient::to_string).collect::<Vec<_>>().join(" ")
    }

    /// Seals what is read, as it is read.
    pub fn seal<R: Read>(&self, work: R) -> io::Result<Sealing<R>> {
        let ready = Ready::default();
        let encryptor = encryptor(&self.0).map_err(io::Error::other)?;
        let writer = encryptor.wrap_output(ready.clone())?;
        let piece = vec![0; PIECE_BYTES];
        Ok(Sealing { work, writer: Some(writer), ready, piece, sealed: Vec::new(), given: 0 })
    }
}

fn encryptor(recipients: &[x25519::Recipient]) -> Result<Encryptor, EncryptError> {
    Encryptor::with_recipients(recipients.iter().map(|recipient| recipient as _))
}

/// The sealed bytes of a work. It holds a few chunks of 64 KiB; an error of the work's reader comes through as it is.
pub struct Sealing<R> {
    work: R,
    /// Until the work has ended.
    writer: Option<StreamWriter<Ready>>,
    /// Where the writer puts what it has sealed.
    ready: Ready,
    piece: Vec<u8>,
    /// Sealed bytes, of which so many were given out.
    sealed: Vec<u8>,
    given: usize,
}

impl<R: Read> Read for Sealing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while !buffer.is_empty() {
            let rest = &self.sealed[self.given..];
            if !rest.is_empty() {
                let given = rest.len().min(buffer.len());
                buffer[..given].copy_from_slice(&rest[..given]);
                self.given += given;
                return Ok(given);
            }
            self.ready.swap(&mut self.sealed);
            self.given = 0;
            if self.sealed.is_empty() && !self.seal_more()? {
                break;
            }
        }
        Ok(0)
    }
}

impl<R: Read> Sealing<R> {
    /// Seals the next piece of the work; false if it had ended before.
    fn seal_more(&mut self) -> io::Result<bool> {
        let Some(writer) = &mut self.writer else { return Ok(false) };
        match self.work.read(&mut self.piece)? {
            0 => match self.writer.take().map(StreamWriter::finish) {
                Some(Err(error)) => Err(error),
                _ => Ok(true),
            },
            read => writer.write_all(&self.piece[..read]).map(|()| true),
        }
    }
}

/// Sealed bytes that nobody has asked for yet.
#[derive(Clone, Default)]
struct Ready(Arc<Mutex<Vec<u8>>>);

impl Ready {
    /// Takes what is ready, in exchange for a buffer whose bytes are not needed any more.
    fn swap(&self, buffer: &mut Vec<u8>) {
        buffer.clear();
        std::mem::swap(buffer, &mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Write for Ready {
    fn write(&mut self, sealed: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(sealed);
        Ok(sealed.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The keys that open what was sealed for them.
pub struct Identities(Vec<x25519::Identity>);

impl fmt::Debug for Identities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identities({} secret keys)", self.0.len())
    }
}

impl Identities {
    /// Reads an identity file: a secret key (`AGE-SECRET-KEY-1…`) a line, and lines that begin with `#`.
    pub fn parse(file: &str) -> Result<Identities, BadKey> {
        let mut identities = Vec::new();
        for (at, line) in file.lines().enumerate() {
            let line = line.trim_end();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if identities.len() == IDENTITIES_MAX {
                return Err(BadKey::TooMany { keys_max: IDENTITIES_MAX });
            }
            identities.push(line.parse().map_err(|_| BadKey::Identity { line: at + 1 })?);
        }
        if identities.is_empty() { Err(BadKey::None) } else { Ok(Identities(identities)) }
    }

    /// A new key: the line for an identity file, and the recipient for whom to seal.
    pub fn generate() -> (SecretText, String) {
        let identity = x25519::Identity::generate();
        (SecretText(identity.to_string()), identity.to_public().to_string())
    }

    /// The public keys, for whom to seal.
    pub fn recipients(&self) -> Recipients {
        Recipients(self.0.iter().map(x25519::Identity::to_public).collect())
    }

    /// The public keys as text, in the order of the file.
    pub fn public_keys(&self) -> Vec<String> {
        self.0.iter().map(|identity| identity.to_public().to_string()).collect()
    }

    /// Whether what is sealed for these can be opened here.
    pub fn open_for(&self, recipients: &Recipients) -> bool {
        self.recipients().0.iter().any(|own| recipients.0.contains(own))
    }

    /// Opens what was sealed, and gives the bytes as they are read. Each chunk of 64 KiB is authentic when it is
    /// given; that the end is missing is told where the end would have been.
    pub fn open_sealed(
        &self,
        stored: Box<dyn Read + Send>,
    ) -> Result<Box<dyn Read + Send>, SealError> {
        let left = Arc::new(AtomicU64::new(HEADER_BYTES_MAX));
        let stored = Limited { inner: BufReader::new(Source(stored)), left: Arc::clone(&left) };
        let decryptor = Decryptor::new_buffered(stored).map_err(told)?;
        left.store(u64::MAX, Ordering::Relaxed);
        let identities = self.0.iter().map(|identity| identity as &dyn age::Identity);
        Ok(Box::new(Opened(decryptor.decrypt(identities).map_err(told)?)))
    }
}

/// The text of a secret key, which `Debug` hides and dropping erases.
#[derive(Debug)]
pub struct SecretText(age::secrecy::SecretString);

impl SecretText {
    /// The text itself.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

/// Why what was sealed is not opened.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// No key here is among those it was sealed for. Damage just where they stand looks the same.
    #[error("it is sealed for nobody whose key is here")]
    NoKey,
    /// It is no sealed file, or not any more.
    #[error("what was sealed is damaged")]
    Damaged,
    /// It could not be read.
    #[error("what was sealed could not be read")]
    Read(#[source] io::Error),
}

fn told(error: DecryptError) -> SealError {
    match error {
        DecryptError::NoMatchingKeys => SealError::NoKey,
        DecryptError::Io(error) if is_of_place(&error) => SealError::Read(unmarked(error)),
        _ => SealError::Damaged,
    }
}

/// Why a key is not taken. A secret one is never repeated.
#[derive(Debug, thiserror::Error)]
pub enum BadKey {
    /// Not a recipient, or one that keeps no secret.
    #[error("{text:?} is not an age recipient (age1…)")]
    Recipient {
        /// What was given.
        text: String,
    },
    /// A line of an identity file that is neither a key nor a comment.
    #[error("line {line} of the identity file is not an age identity (AGE-SECRET-KEY-1…)")]
    Identity {
        /// From 1.
        line: usize,
    },
    /// There is no key.
    #[error("there is no age key")]
    None,
    /// More than make sense.
    #[error("there are more than {keys_max} age keys")]
    TooMany {
        /// The limit.
        keys_max: usize,
    },
}

/// Tells what is wrong with sealed bytes as damage.
struct Opened<R>(R);

impl<R: Read> Read for Opened<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).map_err(unmarked)
    }
}

/// Ends where a header should have ended, as the parser keeps all that it reads.
struct Limited<R> {
    inner: R,
    left: Arc<AtomicU64>,
}

impl<R: BufRead> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(buffer)?;
        self.consume(read);
        Ok(read)
    }
}

impl<R: BufRead> BufRead for Limited<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let most = usize::try_from(self.left.load(Ordering::Relaxed)).unwrap_or(usize::MAX);
        let filled = self.inner.fill_buf()?;
        Ok(&filled[..filled.len().min(most)])
    }

    fn consume(&mut self, bytes: usize) {
        self.inner.consume(bytes);
        self.left.fetch_sub(bytes as u64, Ordering::Relaxed);
    }
}

/// How a sealed file begins.
pub(super) const START: &[u8] = b"age-encryption.org/v1\n";
/// Each is a hundred bytes of header.
const RECIPIENTS_MAX: usize = 64;
/// Each is tried on each recipient.
const IDENTITIES_MAX: usize = 64;
/// Twice what the most recipients take.
const HEADER_BYTES_MAX: u64 = 16 << 10;
/// As age has its chunks.
const PIECE_BYTES: usize = 64 << 10;
