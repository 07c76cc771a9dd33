//! Asks a witness to cosign a checkpoint, and believes nothing it answers that does not verify.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use timemark_verify::merkle::Hash;
use timemark_verify::{
    BadSignature, Checkpoint, FormatError, Note, NoteSignature, VerifierKey, escape,
};

use super::TREE_SIZE;
use super::request::{AddCheckpoint, parse_size};
use crate::LogError;

/// A witness of this log, somewhere else.
pub struct WitnessClient {
    name: String,
    keys: Vec<VerifierKey>,
    add_checkpoint: String,
    agent: ureq::Agent,
    time_max: Duration,
    /// What the witness cosigned last, as far as we know. It says so itself when this is wrong.
    last_size: AtomicU64,
}

impl WitnessClient {
    /// How long a connection may take to come about.
    pub const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);
    /// How long a witness may take altogether, unless [`WitnessClient::within`] says otherwise.
    pub const TIME_MAX: Duration = Duration::from_secs(10);
    /// How long it may take to show its newest checkpoint, for which nobody should wait long.
    pub const LATEST_TIME_MAX: Duration = Duration::from_secs(2);
    /// Longest answer in bytes. A signature of ML-DSA-44 is a line of 3.3 KB.
    pub const ANSWER_BYTES_MAX: u64 = 64 << 10;

    /// The witness of these keys at this URL, the submission prefix of c2sp.org/tlog-witness.
    pub fn new(
        name: &str,
        keys: Vec<VerifierKey>,
        url: &str,
    ) -> Result<WitnessClient, WitnessError> {
        let name = name.to_owned();
        let cosigns = |key: &VerifierKey| key.kind().states_time();
        if keys.is_empty() || !keys.iter().all(cosigns) {
            return Err(WitnessError::Keys { name });
        }
        let prefix = url.trim_end_matches('/');
        let uri = prefix.parse::<ureq::http::Uri>().ok();
        let plain = |uri: &ureq::http::Uri| {
            matches!(uri.scheme_str(), Some("http" | "https"))
                && uri.host().is_some_and(|host| !host.is_empty())
                && uri.query().is_none()
        };
        if !uri.is_some_and(|uri| plain(&uri)) || prefix.contains(['#', '@']) {
            return Err(WitnessError::Url { name, url: url.to_owned() });
        }
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            // A witness that moved is a matter for whoever wrote the policy.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_connect(Some(WitnessClient::CONNECT_TIME_MAX))
            .user_agent("timemark")
            .build()
            .new_agent();
        let (add_checkpoint, time_max) =
            (format!("{prefix}/add-checkpoint"), WitnessClient::TIME_MAX);
        Ok(WitnessClient {
            name,
            keys,
            add_checkpoint,
            agent,
            time_max,
            last_size: AtomicU64::new(0),
        })
    }

    /// The same witness with another limit to how long one call of [`WitnessClient::cosign`] may take.
    pub fn within(self, time_max: Duration) -> WitnessClient {
        WitnessClient { time_max, ..self }
    }

    /// The name that errors bear.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Asks for cosignatures over a checkpoint and returns the genuine ones, one a key.
    ///
    /// `prove` gives the consistency proof from an older size to the checkpoint's.
    pub fn cosign(
        &self,
        note: &Note,
        prove: &dyn Fn(u64) -> Result<Vec<Hash>, LogError>,
    ) -> Result<Vec<NoteSignature>, WitnessError> {
        let checkpoint = Checkpoint::of_note(note)?;
        let deadline = Instant::now() + self.time_max;
        let ask = |old: u64| -> Result<Reply, WitnessError> {
            // The empty tree needs no proof, and neither does the same one.
            let proof = if old == 0 || old == checkpoint.size { Vec::new() } else { prove(old)? };
            self.post(AddCheckpoint { old, proof, note: note.clone() }, deadline)
        };
        let guess = self.last_size.load(Ordering::Relaxed).min(checkpoint.size);
        let lines = match ask(guess)? {
            Reply::Lines(lines) => lines,
            Reply::Size(size) if size > checkpoint.size => {
                let (name, ours) = (self.name.clone(), checkpoint.size);
                return Err(WitnessError::Ahead { name, size, ours });
            }
            Reply::Size(size) if size == guess => {
                return Err(self.garbage("it contradicts itself about the size it cosigned"));
            }
            // Once: who is asked by two at a time may be elsewhere again, and a liar always is.
            Reply::Size(size) => match ask(size)? {
                Reply::Lines(lines) => lines,
                Reply::Size(_) => return Err(WitnessError::Conflict { name: self.name.clone() }),
            },
        };
        let cosignatures = self.genuine(note, &checkpoint, &lines)?;
        self.last_size.store(checkpoint.size, Ordering::Relaxed);
        Ok(cosignatures)
    }

    /// The newest checkpoint of the log of this origin that the witness cosigned, as its monitoring endpoint
    /// shows it under the same URL; `None` where it shows none.
    pub fn latest(&self, origin: &str) -> Result<Option<Note>, WitnessError> {
        let hash = HEXLOWER.encode(&Sha256::digest(origin));
        let prefix = self.add_checkpoint.trim_end_matches("add-checkpoint");
        let time_max = self.time_max.min(WitnessClient::LATEST_TIME_MAX);
        let call = self.agent.get(format!("{prefix}{hash}/checkpoint"));
        let call = call.config().timeout_global(Some(time_max)).build();
        let mut answer = call.call().map_err(|error| self.failed(error))?;
        if answer.status() != 200 {
            return Ok(None);
        }
        let body = answer.body_mut().with_config().limit(Note::BYTES_MAX as u64);
        let body = body.read_to_vec().map_err(|error| self.failed(error))?;
        let note = str::from_utf8(&body).ok().and_then(|text| Note::parse(text).ok());
        note.map(Some).ok_or_else(|| self.garbage("its newest checkpoint cannot be read"))
    }

    fn failed(&self, error: ureq::Error) -> WitnessError {
        match error {
            ureq::Error::Timeout(_) => WitnessError::Late { name: self.name.clone() },
            ureq::Error::BodyExceedsLimit(_) => self.garbage("its answer is too long"),
            error => {
                let (name, reason) = (self.name.clone(), Box::new(error));
                WitnessError::Unreachable { name, reason }
            }
        }
    }

    fn post(&self, request: AddCheckpoint, deadline: Instant) -> Result<Reply, WitnessError> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(WitnessError::Late { name: self.name.clone() });
        }
        let call =
            self.agent.post(&self.add_checkpoint).config().timeout_global(Some(left)).build();
        let mut answer = call
            .content_type("text/plain; charset=utf-8")
            .send(request.to_string())
            .map_err(|error| self.failed(error))?;
        let body = answer.body_mut().with_config().limit(WitnessClient::ANSWER_BYTES_MAX);
        let body = body.read_to_vec().map_err(|error| self.failed(error))?;
        let content_type = answer.headers().get("content-type").and_then(|t| t.to_str().ok());
        let content_type =
            content_type.and_then(|t| t.split(';').next()).unwrap_or_default().trim();
        match answer.status().as_u16() {
            200 => match String::from_utf8(body) {
                Ok(lines) => Ok(Reply::Lines(lines)),
                Err(_) => Err(self.garbage("its answer is not UTF-8")),
            },
            // The same status without the type says something else in older editions of the specification.
            409 if content_type.eq_ignore_ascii_case(TREE_SIZE) => {
                let digits = str::from_utf8(&body).ok().and_then(|body| body.strip_suffix('\n'));
                let size = digits.and_then(parse_size);
                size.map(Reply::Size).ok_or_else(|| self.garbage("its size is no number"))
            }
            status => {
                let mut reason = escape(&body);
                if let Some((end, _)) = reason.char_indices().nth(REASON_CHARS_MAX) {
                    reason.truncate(end);
                }
                Err(WitnessError::Refused { name: self.name.clone(), status, reason })
            }
        }
    }

    /// The cosignatures by our keys, if there are any and all of them are genuine.
    fn genuine(
        &self,
        note: &Note,
        checkpoint: &Checkpoint,
        lines: &str,
    ) -> Result<Vec<NoteSignature>, WitnessError> {
        let name = || self.name.clone();
        let answer = Note::parse(&format!("{}\n{lines}", note.text()))
            .map_err(|fault| self.garbage(&fault.to_string()))?;
        if answer.text() != note.text() {
            return Err(self.garbage("it answers with more than signature lines"));
        }
        let mut genuine = Vec::new();
        for key in &self.keys {
            for (number, signature) in answer.signatures_by(key).enumerate() {
                match key.check(note, checkpoint, signature) {
                    Ok(Some(_)) if number == 0 => genuine.push(signature.clone()),
                    Ok(Some(_)) => {} // one a key is enough in every receipt
                    Ok(None) => return Err(WitnessError::NoTime { name: name() }),
                    Err(BadSignature) => {
                        return Err(WitnessError::False { name: name(), key: key.short() });
                    }
                }
            }
        }
        if genuine.is_empty() { Err(WitnessError::Unsigned { name: name() }) } else { Ok(genuine) }
    }

    fn garbage(&self, reason: &str) -> WitnessError {
        WitnessError::Garbage { name: self.name.clone(), reason: reason.to_owned() }
    }
}

/// What a witness may say that is no refusal.
enum Reply {
    /// Signature lines, unchecked.
    Lines(String),
    /// The size it cosigned last, which is not the one we named.
    Size(u64),
}

/// How much of a refusal's body is repeated.
const REASON_CHARS_MAX: usize = 200;

/// Why a witness's cosignature could not be had. Each names the witness.
#[derive(Debug, thiserror::Error)]
pub enum WitnessError {
    /// The URL cannot be asked.
    #[error("witness {name}: {url:?} is no http or https URL without user, query and fragment")]
    Url {
        /// The witness.
        name: String,
        /// Where it should be.
        url: String,
    },
    /// There are no keys to check its signatures with, or some that cannot cosign.
    #[error("witness {name}: keys of type 0x04 or 0x06 are needed")]
    Keys {
        /// The witness.
        name: String,
    },
    /// The checkpoint to be cosigned is none.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// The log could not prove that the checkpoint extends the one that the witness knows.
    #[error(transparent)]
    Proof(#[from] LogError),
    /// No answer could be had.
    #[error("witness {name} cannot be reached: {reason}")]
    Unreachable {
        /// The witness.
        name: String,
        /// What happened.
        reason: Box<ureq::Error>,
    },
    /// The answer did not come in time.
    #[error("witness {name} did not answer in time")]
    Late {
        /// The witness.
        name: String,
    },
    /// It knows a larger tree than ours.
    #[error(
        "witness {name} has cosigned {size} entries and was asked about {ours}: this log may be an old copy"
    )]
    Ahead {
        /// The witness.
        name: String,
        /// The size it cosigned last.
        size: u64,
        /// The size it was asked to cosign.
        ours: u64,
    },
    /// It named another size once more after it was given the one it asked for.
    #[error("witness {name} is being asked by another process too: it named two sizes in a row")]
    Conflict {
        /// The witness.
        name: String,
    },
    /// It said no.
    #[error("witness {name} answered with status {status}: {reason}")]
    Refused {
        /// The witness.
        name: String,
        /// The status code of HTTP.
        status: u16,
        /// The beginning of what it said, on one line.
        reason: String,
    },
    /// Its answer cannot be read.
    #[error("witness {name} answered with what cannot be read: {reason}")]
    Garbage {
        /// The witness.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// It signed with a known key, but not this checkpoint.
    #[error("witness {name} answered with a signature of {key} that is false")]
    False {
        /// The witness.
        name: String,
        /// The key's name and id.
        key: String,
    },
    /// It signed, but states no time.
    #[error("witness {name} answered with a cosignature that states no time")]
    NoTime {
        /// The witness.
        name: String,
    },
    /// None of its signatures is by a key we know.
    #[error("witness {name} answered without a signature by any of its known keys")]
    Unsigned {
        /// The witness.
        name: String,
    },
}

#[cfg(test)]
mod tests {
    use timemark_verify::merkle::empty_root;

    use super::*;
    use crate::SigningKey;

    #[test]
    fn a_cosignature_without_a_time_is_none() {
        let checkpoint = Checkpoint { origin: "log.example".into(), size: 0, root: empty_root() };
        let text = checkpoint.to_string();
        for kind in [timemark_verify::KeyKind::CosignatureV1, timemark_verify::KeyKind::MlDsa44] {
            let key = SigningKey::from_seed("w.example", kind, &[3; 32]).unwrap();
            let vkeys = vec![key.verifier().clone()];
            let client = WitnessClient::new("w", vkeys, "https://w.example").unwrap();
            let answer = |time| {
                let signature = key.sign(&checkpoint, &text, time).unwrap();
                let note = Note::new(text.clone(), vec![signature.clone()]).unwrap();
                client.genuine(&note, &checkpoint, &format!("{signature}\n"))
            };
            assert!(matches!(answer(0), Err(WitnessError::NoTime { .. })));
            assert_eq!(answer(1).unwrap().len(), 1);
        }
    }
}
