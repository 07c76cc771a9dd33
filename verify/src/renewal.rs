//! Which tokens still count under a policy, and whether a record's tokens kept each other alive.
//!
//! A token rests on its authority and on digest algorithms. The policy may say until when those can be relied
//! on; a token counts all the same if it was renewed before. Nobody looks at today's clock: a line of the
//! policy holds as soon as it stands there.

use crate::text::utc;
use crate::{
    AuthorityTime, CheckedTimestamp, DigestAlgorithm, EvidenceFault, EvidenceRecord, Policy,
    Timestamp, TimestampFault,
};

/// A record that holds under a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renewed {
    /// What the record is about.
    pub subject: RecordSubject,
    /// What it is about existed by this time (seconds since 1970), that of the first token.
    pub existed_by: u64,
    /// Its tokens, oldest first. The record must be renewed while the last one's certificate is valid.
    pub timestamps: Vec<AuthorityTime>,
}

/// What a record in a receipt is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordSubject {
    /// The text of an anchor's checkpoint.
    Checkpoint,
    /// All text of the receipt above its own records ([`Receipt::record_data`](crate::Receipt::record_data)).
    Receipt,
}

/// Why a record proves nothing under a policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RenewalFault {
    /// The policy names no authority.
    #[error("the policy knows no time-stamp authority")]
    NoAuthority,
    /// Its tokens do not belong together, or no known authority made one of them.
    #[error(transparent)]
    Evidence(#[from] EvidenceFault),
    /// A record about a whole receipt has to outlive SHA-256, on which everything in the receipt rests.
    #[error("time-stamp {number} uses SHA-256, on which the receipt itself rests")]
    Sha256 {
        /// Which token, counted from 1.
        number: usize,
    },
    /// A token no longer counts by itself and was not renewed in time.
    #[error("time-stamp {number}: {aged}, and nothing renewed it before")]
    NotRenewed {
        /// Which token, counted from 1.
        number: usize,
        /// What can no longer be relied on.
        aged: Aged,
    },
}

/// Something that can be relied on only until a time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} counts only until {}", utc(*.until))]
pub struct Aged {
    /// An authority or a digest algorithm, in words.
    pub what: String,
    /// Until when, in seconds since 1970.
    pub until: u64,
}

/// A token that an authority of the policy made.
pub(crate) struct Made {
    pub name: String,
    pub checked: CheckedTimestamp,
    /// What of it ages first, if anything does.
    pub aged: Option<Aged>,
}

impl Policy {
    /// Decides whether the record proves when the data existed: every token is an authority's of this policy,
    /// was renewed while its certificate was valid (RFC 4998 sections 4.3 and 5.3), and before the policy says
    /// that it can no longer be relied on.
    pub fn follow(
        &self,
        record: &EvidenceRecord,
        subject: RecordSubject,
        data: &[u8],
    ) -> Result<Renewed, RenewalFault> {
        self.follow_covered(record, subject, data, None)
    }

    /// As [`follow`](Policy::follow), where another record is about all of this one and was there at a time.
    pub(crate) fn follow_covered(
        &self,
        record: &EvidenceRecord,
        subject: RecordSubject,
        data: &[u8],
        covered: Option<u64>,
    ) -> Result<Renewed, RenewalFault> {
        if self.authorities().is_empty() {
            return Err(RenewalFault::NoAuthority);
        }
        let of_sha256 = |t: &Timestamp| t.imprint_algorithm() == DigestAlgorithm::Sha256;
        if subject == RecordSubject::Receipt
            && let Some(at) = record.timestamps().position(of_sha256)
        {
            return Err(RenewalFault::Sha256 { number: at + 1 });
        }
        let mut tokens: Vec<Made> = Vec::new();
        let checked = record.verify(&[data], |timestamp| {
            let made = self.made(timestamp).map_err(|(_, fault)| fault)?;
            let checked = made.checked.clone();
            tokens.push(made);
            Ok(checked)
        })?;
        for (at, token) in tokens.iter().enumerate() {
            let next = tokens.get(at + 1).map(|next| next.checked.time);
            if let Some(aged) = &token.aged
                && !aged.renewed_by(next)
                && !aged.renewed_by(covered)
            {
                return Err(RenewalFault::NotRenewed { number: at + 1, aged: aged.clone() });
            }
        }
        let timestamps = tokens.into_iter().map(Made::into_time).collect();
        Ok(Renewed { subject, existed_by: checked.existed_by, timestamps })
    }

    /// Whose token this is, or why it is not that of the first authority. Of several authorities that vouch for
    /// it, the one that can be relied on longest counts.
    pub(crate) fn made(&self, timestamp: &Timestamp) -> Result<Made, (&str, TimestampFault)> {
        let mut best: Option<Made> = None;
        let mut first_fault = None;
        for known in self.authorities() {
            match timestamp.check(&known.authority, &[]) {
                Ok(checked) => {
                    let name = known.authority.name().to_owned();
                    let authority =
                        known.until.map(|until| (format!("the authority {name}"), until));
                    let digests = checked.digests.iter();
                    let digests =
                        digests.filter_map(|&d| Some((d.to_string(), self.hash_until(d)?)));
                    let first =
                        authority.into_iter().chain(digests).min_by_key(|(_, until)| *until);
                    let aged = first.map(|(what, until)| Aged { what, until });
                    let until =
                        |aged: &Option<Aged>| aged.as_ref().map_or(u64::MAX, |aged| aged.until);
                    if best.as_ref().is_none_or(|best| until(&best.aged) < until(&aged)) {
                        best = Some(Made { name, checked, aged });
                    }
                    if best.as_ref().is_some_and(|best| best.aged.is_none()) {
                        break;
                    }
                }
                Err(fault) => {
                    first_fault.get_or_insert((known.authority.name(), fault));
                }
            }
        }
        best.ok_or_else(|| first_fault.unwrap_or(("nobody", TimestampFault::SignerMissing)))
    }
}

impl Aged {
    /// Whether something was made over it before it aged.
    pub(crate) fn renewed_by(&self, time: Option<u64>) -> bool {
        time.is_some_and(|time| time < self.until)
    }
}

impl Made {
    pub(crate) fn into_time(self) -> AuthorityTime {
        AuthorityTime {
            name: self.name,
            time: self.checked.time,
            signer_not_after: self.checked.signer_not_after,
        }
    }
}
