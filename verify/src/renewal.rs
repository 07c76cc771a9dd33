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

#[cfg(test)]
pub(crate) mod tests {
    use std::time::Duration;

    use DigestAlgorithm::{Sha256, Sha384, Sha512};
    use data_encoding::BASE64;
    use der::DateTime;
    use der::oid::ObjectIdentifier;
    use p256::ecdsa::signature::hazmat::PrehashSigner;
    use p256::ecdsa::{DerSignature, SigningKey};

    use super::*;
    use crate::timestamp::element::{
        BOOLEAN, INTEGER, OCTET_STRING, SEQUENCE, SET, encode, encode_oid,
    };
    use crate::verdict::tests::{check, log_line, receipt, sample_receipt, sweep};
    use crate::{
        Anchor, HashTree, Note, Receipt, ReducedHashTree, Refusal, TimestampAuthority, Verdict,
    };

    /// A time-stamp authority with a certificate of its own, at any time of our choosing.
    pub(crate) struct Mint {
        name: &'static str,
        key: SigningKey,
        signs: DigestAlgorithm,
        certificate: Vec<u8>,
    }

    impl Mint {
        /// An authority that signs over this digest, and whose certificate is valid from year to year.
        pub fn new(name: &'static str, signs: DigestAlgorithm, from: u64, to: u64) -> Mint {
            let seed = Sha256.digest(name.as_bytes());
            let key = SigningKey::from_slice(&seed).unwrap();
            let point = key.verifying_key().to_sec1_point(false);
            let algorithm =
                encode(SEQUENCE, &[&oid("1.2.840.10045.2.1"), &oid("1.2.840.10045.3.1.7")]);
            let public = encode(SEQUENCE, &[&algorithm, &encode(0x03, &[&[0], point.as_bytes()])]);
            let validity = encode(SEQUENCE, &[&time(year(from)), &time(year(to))]);
            let purpose = encode(SEQUENCE, &[&oid("1.3.6.1.5.5.7.3.8")]);
            let purpose = encode(OCTET_STRING, &[&purpose]);
            let critical = encode(BOOLEAN, &[&[0xFF]]);
            let extension = encode(SEQUENCE, &[&oid("2.5.29.37"), &critical, &purpose]);
            let extensions = encode(0xA3, &[&encode(SEQUENCE, &[&extension])]);
            let version = encode(0xA0, &[&encode(INTEGER, &[&[2]])]);
            let one = encode(INTEGER, &[&[1]]);
            let signature = ecdsa(signs);
            let subject = subject(name);
            let signed = encode(
                SEQUENCE,
                &[&version, &one, &signature, &subject, &validity, &subject, &public, &extensions],
            );
            let bits = encode(0x03, &[&[0], &sign(&key, signs, &signed)]);
            let certificate = encode(SEQUENCE, &[&signed, &signature, &bits]);
            Mint { name, key, signs, certificate }
        }

        /// The line of a policy that trusts it.
        pub fn line(&self) -> String {
            format!("tsa {} {}\n", self.name, BASE64.encode(&self.certificate))
        }

        /// A token over this message, made at the beginning of this year.
        pub fn token(&self, digest: DigestAlgorithm, message: &[u8], at: u64) -> Timestamp {
            let one = encode(INTEGER, &[&[1]]);
            let three = encode(INTEGER, &[&[3]]);
            let tst_info = oid("1.2.840.113549.1.9.16.1.4");
            let imprint = encode(OCTET_STRING, &[&digest.digest(message)]);
            let imprint = encode(SEQUENCE, &[&digest.to_der(), &imprint]);
            let info = encode(SEQUENCE, &[&one, &oid("1.2.3"), &imprint, &one, &time(year(at))]);
            let content = encode(0xA0, &[&encode(OCTET_STRING, &[&info])]);
            let content = encode(SEQUENCE, &[&tst_info, &content]);
            let attribute =
                |id, value: &[u8]| encode(SEQUENCE, &[&oid(id), &encode(SET, &[value])]);
            let named = encode(OCTET_STRING, &[&self.signs.digest(&self.certificate)]);
            let named = encode(SEQUENCE, &[&self.signs.to_der(), &named]);
            let named = encode(SEQUENCE, &[&encode(SEQUENCE, &[&named])]);
            let digest_of_info = encode(OCTET_STRING, &[&self.signs.digest(&info)]);
            let attributes = [
                attribute("1.2.840.113549.1.9.3", &tst_info),
                attribute("1.2.840.113549.1.9.4", &digest_of_info),
                attribute("1.2.840.113549.1.9.16.2.47", &named),
            ]
            .concat();
            let signature = sign(&self.key, self.signs, &encode(SET, &[&attributes]));
            let signer = encode(
                SEQUENCE,
                &[
                    &one,
                    &encode(SEQUENCE, &[&subject(self.name), &one]),
                    &self.signs.to_der(),
                    &encode(0xA0, &[&attributes]),
                    &ecdsa(self.signs),
                    &encode(OCTET_STRING, &[&signature]),
                ],
            );
            let signed = encode(
                SEQUENCE,
                &[
                    &three,
                    &encode(SET, &[&self.signs.to_der()]),
                    &content,
                    &encode(0xA0, &[&self.certificate]),
                    &encode(SET, &[&signer]),
                ],
            );
            let signed_data = oid("1.2.840.113549.1.7.2");
            let token = encode(SEQUENCE, &[&signed_data, &encode(0xA0, &[&signed])]);
            Timestamp::of_token(&token).unwrap()
        }

        /// A response that grants such a token.
        fn response(&self, digest: DigestAlgorithm, message: &[u8], at: u64) -> Vec<u8> {
            let granted = encode(SEQUENCE, &[&encode(INTEGER, &[&[0]])]);
            encode(SEQUENCE, &[&granted, self.token(digest, message, at).token_der()])
        }
    }

    fn oid(dotted: &str) -> Vec<u8> {
        encode_oid(&ObjectIdentifier::new(dotted).unwrap())
    }

    fn subject(name: &str) -> Vec<u8> {
        let name = encode(SEQUENCE, &[&oid("2.5.4.3"), &encode(0x0C, &[name.as_bytes()])]);
        encode(SEQUENCE, &[&encode(SET, &[&name])])
    }

    fn ecdsa(digest: DigestAlgorithm) -> Vec<u8> {
        let last = match digest {
            Sha256 => 2,
            Sha384 => 3,
            Sha512 => 4,
        };
        encode(SEQUENCE, &[&oid(&format!("1.2.840.10045.4.3.{last}"))])
    }

    fn sign(key: &SigningKey, digest: DigestAlgorithm, message: &[u8]) -> Vec<u8> {
        let signature: DerSignature = key.sign_prehash(&digest.digest(message)).unwrap();
        signature.as_bytes().to_vec()
    }

    fn year(year: u64) -> u64 {
        crate::text::seconds_of_utc(&format!("{year}-01-01T00:00:00Z")).unwrap()
    }

    fn time(seconds: u64) -> Vec<u8> {
        let time = DateTime::from_unix_duration(Duration::from_secs(seconds)).unwrap().to_string();
        let digits: String = time.chars().filter(|c| !"-:T".contains(*c)).collect();
        encode(0x18, &[digits.as_bytes()])
    }

    fn alone() -> ReducedHashTree {
        ReducedHashTree::default()
    }

    /// The authorities of this story: their certificates expire one after the other, and only the first signs
    /// over SHA-256.
    fn old() -> Mint {
        Mint::new("Old", Sha256, 2020, 2030)
    }
    fn new() -> Mint {
        Mint::new("New", Sha512, 2028, 2045)
    }
    fn later() -> Mint {
        Mint::new("Later", Sha384, 2040, 2060)
    }

    /// Trust in the log and the three authorities, with further lines in which `<year>` stands for its beginning.
    fn policy(lines: &[&str]) -> Policy {
        let mut file = log_line() + &old().line() + &new().line() + &later().line();
        for line in lines {
            file += &format!("{line}-01-01T00:00:00Z\n");
        }
        Policy::parse((file + "quorum none\n").as_bytes()).unwrap()
    }

    /// Stamped by the old authority in 2025.
    fn stamped() -> Receipt {
        let mut receipt = sample_receipt();
        let text = receipt.anchors[0].note().text().to_owned();
        receipt.anchors[0].timestamps = vec![old().response(Sha256, text.as_bytes(), 2025)];
        receipt
    }

    fn first_token(receipt: &Receipt) -> Timestamp {
        Timestamp::of_response(&receipt.anchors[0].timestamps[0]).unwrap()
    }

    /// The record of a receipt whose token this authority renewed in this year.
    fn record(receipt: &Receipt, by: &Mint, at: u64) -> EvidenceRecord {
        let mut record = EvidenceRecord::new(first_token(receipt), alone());
        record.renew(by.token(Sha256, record.renewal_message(), at), alone()).unwrap();
        record
    }

    fn with_record(receipt: &Receipt, record: &EvidenceRecord) -> Receipt {
        let mut receipt = receipt.clone();
        receipt.anchors[0].records.push(record.to_der());
        receipt
    }

    /// A record about the receipt as a whole.
    fn whole(receipt: &Receipt, by: &Mint, digest: DigestAlgorithm, at: u64) -> EvidenceRecord {
        EvidenceRecord::new(by.token(digest, receipt.record_data().as_bytes(), at), alone())
    }

    fn with_whole(receipt: &Receipt, record: &EvidenceRecord) -> Receipt {
        let mut receipt = receipt.clone();
        receipt.records.push(record.to_der());
        receipt
    }

    fn verdict(receipt: &Receipt, lines: &[&str]) -> Verdict {
        check(receipt, &policy(lines)).unwrap()
    }

    /// The receipt verifies, proves this year, and has these remarks.
    #[track_caller]
    fn proves(receipt: &Receipt, lines: &[&str], expected: Option<u64>, remarks: &[&str]) {
        let verdict = verdict(receipt, lines);
        assert_eq!(verdict.existed_by, expected.map(year), "{:?}", verdict.bad_timestamps);
        assert_eq!(verdict.bad_timestamps.len(), remarks.len(), "{:?}", verdict.bad_timestamps);
        for (remark, expected) in verdict.bad_timestamps.iter().zip(remarks) {
            assert!(remark.contains(expected), "{remark}");
        }
    }

    /// Nothing speaks against the receipt, but SHA-256 or SHA-512 had aged.
    #[track_caller]
    fn aged(receipt: &Receipt, lines: &[&str], expected: &str) {
        let refusal = check(receipt, &policy(lines)).unwrap_err();
        assert!(refusal.is_undecided());
        assert!(refusal.to_string().contains(expected), "{refusal}");
    }

    #[test]
    fn the_mints_coins_are_genuine() {
        let token = new().token(Sha256, b"data", 2030);
        let authority = TimestampAuthority::new("New", &new().certificate).unwrap();
        let checked = token.check(&authority, &[]).unwrap();
        assert_eq!((checked.time, checked.signer_not_after), (year(2030), year(2045)));
        assert_eq!(checked.digests, [Sha256, Sha512]);
        let authority = TimestampAuthority::new("Old", &old().certificate).unwrap();
        assert!(token.check(&authority, &[]).is_err());
    }

    #[test]
    fn a_token_of_an_authority_that_aged_counts_if_it_was_renewed_before() {
        const UNTIL: &str =
            "the authority Old counts only until 2030-01-01T00:00:00Z, and nothing renewed";
        let plain = stamped();
        proves(&plain, &[], Some(2025), &[]);
        proves(&plain, &["tsa-until Old 2030"], None, &[UNTIL]);
        let renewed = with_record(&plain, &record(&plain, &new(), 2029));
        proves(&renewed, &[], Some(2025), &[]);
        proves(&renewed, &["tsa-until Old 2030"], Some(2025), &[]);
        let verdict = verdict(&renewed, &["tsa-until Old 2030"]);
        assert_eq!(verdict.timestamps, []);
        assert_eq!(verdict.renewed[0].subject, RecordSubject::Checkpoint);
        let told: Vec<_> = verdict.renewed[0]
            .timestamps
            .iter()
            .map(|t| (t.name.as_str(), t.time, t.signer_not_after))
            .collect();
        let years = |name, at, until| (name, year(at), year(until));
        assert_eq!(told, [years("Old", 2025, 2030), years("New", 2029, 2045)]);
        // At that time, not before it.
        proves(
            &renewed,
            &["tsa-until Old 2029"],
            None,
            &[
                "evidence record: time-stamp 1: the authority Old",
                "time-stamp token: the authority",
            ],
        );
        // The chain goes on, or it ends.
        let lines = ["tsa-until Old 2030", "tsa-until New 2044"];
        proves(&renewed, &lines, None, &["time-stamp 2: the authority New", "authority Old"]);
        let mut long = record(&plain, &new(), 2029);
        long.renew(later().token(Sha256, long.renewal_message(), 2043), alone()).unwrap();
        proves(&with_record(&plain, &long), &lines, Some(2025), &[]);
        // A second record is enough, and a bad one beside it takes nothing away.
        let mut both = with_record(&renewed, &long);
        both.anchors[0].records.push(b"no record".to_vec());
        proves(
            &both,
            &lines,
            Some(2025),
            &["time-stamp 2: the authority New", "evidence record: "],
        );
    }

    #[test]
    fn a_record_that_is_not_in_order_proves_nothing() {
        let plain = stamped();
        let until = &["tsa-until Old 2030"];
        let refuse = |record: &EvidenceRecord, expected: &str| {
            let receipt = with_record(&plain, record);
            proves(&receipt, until, None, &[expected, "the authority Old counts only until"]);
            // Nor does it harm what needs no record.
            proves(&receipt, &[], Some(2025), &[expected]);
        };
        // Renewed when the certificate had expired, though the token was good.
        refuse(&record(&plain, &new(), 2031), "had expired");
        // The later token first.
        let text = plain.anchors[0].note().text().as_bytes();
        let mut swapped = EvidenceRecord::new(new().token(Sha256, text, 2029), alone());
        swapped.renew(old().token(Sha256, swapped.renewal_message(), 2025), alone()).unwrap();
        refuse(&swapped, "is not later");
        // Of another checkpoint.
        let mut other =
            EvidenceRecord::new(old().token(Sha256, b"another checkpoint", 2025), alone());
        other.renew(new().token(Sha256, other.renewal_message(), 2029), alone()).unwrap();
        refuse(&other, "time-stamp 1 is about something else");
        // By an authority that nobody trusts; by one whose key is another's.
        refuse(&record(&plain, &Mint::new("Nobody", Sha256, 2020, 2050), 2029), "no path");
        let mut forger = Mint::new("Forger", Sha512, 2028, 2045);
        (forger.name, forger.certificate) = ("New", new().certificate);
        refuse(&record(&plain, &forger, 2029), "not genuine");
    }

    #[test]
    fn a_receipt_outlives_sha_256_and_sha_512() {
        let plain = stamped();
        let until = &["hash-until sha256 2035"];
        aged(
            &plain,
            until,
            "SHA-256 counts only until 2035-01-01T00:00:00Z, and nothing renewed this",
        );
        let timely = with_whole(&plain, &whole(&plain, &new(), Sha512, 2033));
        proves(&timely, until, Some(2025), &[]);
        let verdict = verdict(&timely, until);
        assert_eq!(verdict.timestamps.len(), 1, "what was good in 2033 still counts");
        assert_eq!(verdict.renewed[0].subject, RecordSubject::Receipt);
        assert_eq!(verdict.renewed[0].existed_by, year(2033));
        // A record without any other time proves its own.
        let bare = sample_receipt();
        proves(&with_whole(&bare, &whole(&bare, &new(), Sha512, 2033)), until, Some(2033), &[]);

        let refuse =
            |record: &EvidenceRecord, expected| aged(&with_whole(&plain, record), until, expected);
        refuse(&whole(&plain, &new(), Sha512, 2035), "SHA-256 counts only until");
        refuse(&whole(&plain, &new(), Sha256, 2033), "time-stamp 1 uses SHA-256");
        refuse(&whole(&bare, &new(), Sha512, 2033), "time-stamp 1 is about something else");
        refuse(&record(&plain, &new(), 2029), "time-stamp 1 uses SHA-256");
        // A new stamp on the checkpoint saves no tree.
        let text = plain.anchors[0].note().text().as_bytes();
        let mut rehashed = EvidenceRecord::new(first_token(&plain), alone());
        let message = rehashed.rehash_message(Sha512, text);
        rehashed.rehash(new().token(Sha512, &message, 2029), alone(), &[text]).unwrap();
        proves(&with_record(&plain, &rehashed), &["tsa-until Old 2030"], Some(2025), &[]);
        aged(&with_record(&plain, &rehashed), until, "nothing renewed this receipt before");

        // SHA-512 ages as well; what goes on with SHA-384 before does not.
        let both = &["hash-until sha256 2035", "hash-until sha512 2042"];
        aged(&timely, both, "receipt record: time-stamp 1: SHA-512 counts only until 2042");
        let go_on = |at| {
            let mut record = whole(&plain, &new(), Sha512, 2033);
            let data = plain.record_data();
            let message = record.rehash_message(Sha384, data.as_bytes());
            let token = later().token(Sha384, &message, at);
            record.rehash(token, alone(), &[data.as_bytes()]).unwrap();
            with_whole(&plain, &record)
        };
        proves(&go_on(2041), both, Some(2025), &[]);
        aged(&go_on(2042), both, "SHA-512 counts only until 2042");
        aged(&go_on(2041), &["hash-until sha512 2033"], "SHA-512 counts only until 2033");
        proves(&go_on(2041), &["hash-until sha384 2050"], Some(2025), &["receipt record"]);
    }

    #[test]
    fn a_token_signed_over_sha_256_saves_nothing_by_itself() {
        let plain = stamped();
        let until = &["hash-until sha256 2029"];
        let mut record = whole(&plain, &old(), Sha512, 2026);
        aged(&with_whole(&plain, &record), until, "time-stamp 1: SHA-256 counts only until 2029");
        record.renew(new().token(Sha512, record.renewal_message(), 2028), alone()).unwrap();
        proves(&with_whole(&plain, &record), until, Some(2025), &[]);
    }

    #[test]
    fn a_record_about_the_receipt_renews_every_token_in_it() {
        let plain = stamped();
        let renewed = with_record(&plain, &record(&plain, &new(), 2029));
        for receipt in [&plain, &renewed] {
            let receipt = with_whole(receipt, &whole(receipt, &new(), Sha512, 2033));
            proves(&receipt, &["tsa-until Old 2034"], Some(2025), &[]);
        }
        let late = with_whole(&plain, &whole(&plain, &new(), Sha512, 2033));
        proves(&late, &["tsa-until Old 2033"], Some(2033), &["the authority Old counts only"]);
        // The record of the checkpoint ends with an authority that counts until the receipt was renewed.
        let later_whole = with_whole(&renewed, &whole(&renewed, &later(), Sha512, 2041));
        let until = &["tsa-until Old 2030", "tsa-until New 2042"];
        proves(&later_whole, until, Some(2025), &[]);
        let too_early = &["tsa-until Old 2030", "tsa-until New 2041"];
        proves(&later_whole, too_early, Some(2041), &["time-stamp 2: the authority New", "Old"]);
    }

    #[test]
    fn of_two_entries_for_one_authority_the_longer_counts() {
        let again = old().line().replace("tsa Old", "tsa Twin");
        let file = log_line() + &old().line() + "tsa-until Old 2024-01-01T00:00:00Z\nquorum none\n";
        let policy = Policy::parse(file.as_bytes()).unwrap();
        assert_eq!(check(&stamped(), &policy).unwrap().existed_by, None);
        // The same certificate twice is refused, whatever its name.
        assert!(Policy::parse((again + &file).as_bytes()).is_err());
    }

    #[test]
    fn one_token_renews_many_receipts() {
        let receipts: Vec<Receipt> = (0..5).map(|n| receipt_titled(&format!("work {n}"))).collect();
        let data: Vec<String> = receipts.iter().map(Receipt::record_data).collect();
        let groups: Vec<[&[u8]; 1]> = data.iter().map(|data| [data.as_bytes()]).collect();
        let groups: Vec<&[&[u8]]> = groups.iter().map(|group| &group[..]).collect();
        let tree = HashTree::new(Sha512, &groups).unwrap();
        let token = new().token(Sha512, &tree.root_message().unwrap(), 2033);
        for (n, receipt) in receipts.iter().enumerate() {
            let record = EvidenceRecord::new(token.clone(), tree.reduced(n).unwrap());
            proves(&with_whole(receipt, &record), &["hash-until sha256 2035"], Some(2033), &[]);
            let other = with_whole(&receipt_titled("not among them"), &record);
            aged(&other, &["hash-until sha256 2035"], "is about something else");
        }
    }

    fn receipt_titled(title: &str) -> Receipt {
        let mut claim = crate::claim::tests::sample();
        claim.title = Some(title.to_owned());
        receipt(claim, &[])
    }

    #[test]
    fn nothing_is_added_above_a_record_about_the_receipt() {
        let plain = stamped();
        let mut whole = with_whole(&plain, &whole(&plain, &new(), Sha512, 2033));
        let before = whole.clone();
        let anchor = &plain.anchors[0];
        let mut again =
            Anchor::new(anchor.index, anchor.proof.clone(), anchor.note().clone()).unwrap();
        again.timestamps.push(vec![1]);
        assert!(!whole.add(again.clone()));
        assert_eq!(whole, before);
        assert!(plain.clone().add(again));
        // By hand it can be done, and then the record is about something else.
        whole.anchors[0].timestamps.push(vec![1]);
        aged(&whole, &["hash-until sha256 2035"], "is about something else");
    }

    #[test]
    fn records_stand_in_their_places() {
        let plain = stamped();
        let good = with_record(&plain, &record(&plain, &new(), 2029));
        let good = with_whole(&good, &whole(&good, &new(), Sha512, 2033));
        let parse = |receipt: &Receipt| Receipt::parse(receipt.to_string().as_bytes());
        assert_eq!(parse(&good).as_ref(), Ok(&good));
        for fault in [
            (|r| r.records.push(r.records[0].clone())) as fn(&mut Receipt),
            |r| r.anchors[0].records = vec![vec![1]; 2],
            |r| r.records = (0..17).map(|n| vec![n]).collect(),
            |r| r.anchors[0].records = (0..17).map(|n| vec![n]).collect(),
            |r| r.records.push(Vec::new()),
        ] {
            let mut bad = good.clone();
            fault(&mut bad);
            assert!(parse(&bad).is_err());
        }
        // Their order is the only one.
        let file = good.to_string();
        let section = |name: &str| {
            let start = file.find(&format!("== {name} ")).unwrap();
            let end = file[start + 1..].find("\n== ").unwrap() + start + 2;
            file[start..end].to_owned()
        };
        let sections = ["anchor", "timestamp", "evidence-record", "receipt-record"];
        for (n, name) in sections.iter().enumerate() {
            for before in &sections[..n] {
                let body = file[..file.rfind("== sha256").unwrap()].replace(&section(name), "");
                let body = body.replace(&section(before), &(section(name) + &section(before)));
                let seal = data_encoding::HEXLOWER.encode(&Sha256.digest(body.as_bytes()));
                let moved = format!("{body}== sha256 {seal}\n");
                assert!(Receipt::parse(moved.as_bytes()).is_err(), "{name} before {before}");
            }
        }
    }

    #[test]
    fn a_changed_signature_is_refused_whatever_renewed_it() {
        let mut bad = stamped();
        let note = bad.anchors[0].note();
        let mut signatures = note.signatures().to_vec();
        signatures[0].bytes[0] ^= 1;
        let note = Note::new(note.text().to_owned(), signatures).unwrap();
        bad.anchors[0] = Anchor::new(3, bad.anchors[0].proof.clone(), note).unwrap();
        let bad = with_whole(&bad, &whole(&bad, &new(), Sha512, 2033));
        let refusal = check(&bad, &policy(&["hash-until sha256 2035"])).unwrap_err();
        assert!(matches!(refusal, Refusal::Signature { .. }), "{refusal}");
    }

    #[test]
    fn no_flipped_bit_proves_more() {
        let plain = stamped();
        let receipt = with_record(&plain, &record(&plain, &new(), 2029));
        let receipt = with_whole(&receipt, &whole(&receipt, &new(), Sha512, 2033));
        let policy = policy(&["tsa-until Old 2030", "hash-until sha256 2035"]);
        let verdict = check(&receipt, &policy).unwrap();
        assert_eq!((verdict.existed_by, verdict.renewed.len()), (Some(year(2025)), 2));
        let file = receipt.to_string().into_bytes();
        // Every 13th: all bits of a byte come up, and each check is of five signatures.
        sweep(&file, true, 13, &policy, &verdict);
    }
}
