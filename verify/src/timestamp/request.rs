//! Asking an authority for a time-stamp, and whether its answer is one (RFC 3161 section 2.4).

use std::fmt;

use der::Tag;
use der::oid::ObjectIdentifier;

use super::Timestamp;
use super::digest::DigestAlgorithm;
use super::element::{
    BOOLEAN, Element, Elements, INTEGER, OCTET_STRING, SEQUENCE, encode, encode_oid,
    encode_unsigned,
};
use crate::{FormatError, text};

/// A request for a time-stamp over a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimestampRequest {
    algorithm: DigestAlgorithm,
    imprint: Vec<u8>,
    policy: Option<ObjectIdentifier>,
    /// The value of an INTEGER.
    nonce: Option<Vec<u8>>,
    certificates: bool,
}

impl TimestampRequest {
    /// A request over this message that asks for the signer's certificate, without nonce or policy.
    pub fn new(algorithm: DigestAlgorithm, message: &[u8]) -> TimestampRequest {
        let imprint = algorithm.digest(message);
        TimestampRequest { algorithm, imprint, policy: None, nonce: None, certificates: true }
    }

    /// With a number that the answer must repeat: 64 random bits tell it from an older answer.
    pub fn with_nonce(mut self, nonce: u64) -> TimestampRequest {
        let integer = encode_unsigned(&nonce.to_be_bytes());
        self.nonce = Some(integer.into_iter().skip(2).collect()); // the value without tag and length
        self
    }

    /// With the policy (an object identifier in dotted form) under which the token must be made.
    pub fn with_policy(mut self, policy: &str) -> Result<TimestampRequest, FormatError> {
        let oid = ObjectIdentifier::new(policy)
            .map_err(|_| bad(format!("{policy:?} is no object identifier")))?;
        self.policy = Some(oid);
        Ok(self)
    }

    /// Without the signer's certificate in the answer, which is then given at each check.
    pub const fn without_certificates(mut self) -> TimestampRequest {
        self.certificates = false;
        self
    }

    /// The TimeStampReq in DER.
    pub fn to_der(&self) -> Vec<u8> {
        let octets = encode(OCTET_STRING, &[&self.imprint]);
        let imprint = encode(SEQUENCE, &[&self.algorithm.to_der(), &octets]);
        let policy = self.policy.as_ref().map(encode_oid).unwrap_or_default();
        let nonce = self.nonce.as_ref().map(|n| encode(INTEGER, &[n])).unwrap_or_default();
        // FALSE is the default, which DER leaves out.
        let certificates = if self.certificates { encode(BOOLEAN, &[&[0xFF]]) } else { Vec::new() };
        let version = encode(INTEGER, &[&[1]]);
        encode(SEQUENCE, &[&version, &imprint, &policy, &nonce, &certificates])
    }

    /// The time-stamp in this TimeStampResp (DER), if it answers this request. Whose it is must still be
    /// checked.
    pub fn accepts(&self, response: &[u8]) -> Result<Timestamp, ResponseFault> {
        let timestamp = token_of_response(response)?;
        let info = &timestamp.info;
        if (info.algorithm, &info.imprint) != (self.algorithm, &self.imprint) {
            return Err(ResponseFault::OtherImprint);
        }
        if self.nonce.is_some() && info.nonce != self.nonce {
            return Err(ResponseFault::OtherNonce);
        }
        if self.policy.is_some_and(|policy| policy != info.policy) {
            return Err(ResponseFault::OtherPolicy { policy: info.policy.to_string() });
        }
        Ok(timestamp)
    }
}

/// Why an answer is not the time-stamp that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResponseFault {
    /// It cannot be read.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// The authority refused, and said why.
    #[error("the authority gave no time-stamp: {0}")]
    Refused(AuthorityRefusal),
    /// The time-stamp is about something else.
    #[error("the time-stamp is about something else than was sent")]
    OtherImprint,
    /// The nonce is missing or another: perhaps the answer to an older request.
    #[error("the time-stamp does not repeat the request's nonce")]
    OtherNonce,
    /// The time-stamp was made under another policy.
    #[error("the time-stamp is made under policy {policy}, which was not asked for")]
    OtherPolicy {
        /// The policy instead.
        policy: String,
    },
}

/// What an authority says when it gives no time-stamp (PKIStatusInfo).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorityRefusal {
    /// The PKIStatus: 2 where the request was rejected.
    pub status: u64,
    /// Its own words, safe to print, or none.
    pub text: String,
    /// The bits of failInfo, by number.
    pub failures: Vec<usize>,
}

impl fmt::Display for AuthorityRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.status {
            2 => f.write_str("the request was rejected")?,
            3 => f.write_str("the request is waiting")?,
            4 => f.write_str("its certificate is about to be revoked")?,
            5 => f.write_str("its certificate has been revoked")?,
            other => write!(f, "unknown status {other}")?,
        }
        for failure in &self.failures {
            let words = FAILURES.iter().find(|(bit, _)| bit == failure);
            match words {
                Some((_, words)) => write!(f, "; {words}")?,
                None => write!(f, "; unknown failure {failure}")?,
            }
        }
        if self.text.is_empty() { Ok(()) } else { write!(f, "; it says: {}", self.text) }
    }
}

/// What the bits of PKIFailureInfo mean (RFC 3161 section 2.4.2).
const FAILURES: [(usize, &str); 8] = [
    (0, "the digest algorithm is not supported"),
    (2, "the request is not permitted or supported"),
    (5, "the request has the wrong format"),
    (14, "its time source is not available"),
    (15, "the policy is not supported"),
    (16, "an extension is not supported"),
    (17, "additional information is not available"),
    (25, "a system failure"),
];

/// The token in a TimeStampResp that grants one: status 0 (granted) or 1 (granted with modifications).
pub(super) fn token_of_response(der: &[u8]) -> Result<Timestamp, ResponseFault> {
    if der.len() > Timestamp::BYTES_MAX {
        return Err(bad(format!("longer than {} bytes", Timestamp::BYTES_MAX)).into());
    }
    let mut fields = Element::only(WHAT, der, Tag::Sequence)?.elements()?;
    let mut info = fields.inside(Tag::Sequence)?;
    let status = info.next(Tag::Integer)?.small()?;
    let text = match info.optional(Tag::Sequence)? {
        Some(texts) => status_text(texts.elements()?)?,
        None => String::new(),
    };
    let failures = match info.optional(Tag::BitString)? {
        Some(bits) => set_bits(bits.bits()?),
        None => Vec::new(),
    };
    info.finish()?;
    if status > 1 {
        fields.optional(Tag::Sequence)?;
        fields.finish()?;
        return Err(ResponseFault::Refused(AuthorityRefusal { status, text, failures }));
    }
    let token = fields.optional(Tag::Sequence)?.ok_or_else(|| bad("it grants nothing"))?;
    fields.finish()?;
    Ok(Timestamp::of_token(token.whole)?)
}

/// The authority's words on one line. They come from outside: what could hide in them is escaped.
fn status_text(mut texts: Elements<'_>) -> Result<String, FormatError> {
    let mut lines = Vec::new();
    while !texts.is_finished() {
        lines.push(String::from_utf8_lossy(texts.next(Tag::Utf8String)?.value));
    }
    let shown: String = lines.join(" ").chars().take(STATUS_TEXT_CHARS_MAX).collect();
    Ok(text::escape(shown.as_bytes()))
}

fn set_bits(bytes: &[u8]) -> Vec<usize> {
    let is_set = |bit: &usize| bytes.get(bit / 8).is_some_and(|b| b & (0x80 >> (bit % 8)) != 0);
    (0..bytes.len().min(FAILURE_BYTES_MAX) * 8).filter(is_set).collect()
}

/// Longest text of an authority that is shown.
const STATUS_TEXT_CHARS_MAX: usize = 200;
/// Most bytes of failInfo that are looked at; the highest bit with a meaning is 26.
const FAILURE_BYTES_MAX: usize = 4;

const WHAT: &str = "time-stamp response";

fn bad(reason: impl Into<String>) -> FormatError {
    FormatError::new(WHAT, reason)
}
