//! Evidence that outlives its time-stamps: each is stamped again before it expires (RFC 4998).
//!
//! A record is a list of chains of time-stamps. Within a chain each token is about the token before it
//! ([`EvidenceRecord::renew`]), which keeps signatures alive. A new chain begins when the digest algorithm
//! ages: its first token is about the data and all chains before ([`EvidenceRecord::rehash`]). A token may
//! be shared by many data objects through a [`HashTree`].
//!
//! Nothing here asks an authority: a method says what must be time-stamped, another takes the token.

use der::Tag;

use crate::timestamp::digest::AlgorithmIdentifier;
use crate::timestamp::element::{Element, INTEGER, SEQUENCE, context, encode};
use crate::{
    CheckedTimestamp, DigestAlgorithm, FormatError, ReducedHashTree, Timestamp, TimestampFault,
};

/// An evidence record that was read or built; it proves nothing before [`EvidenceRecord::verify`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvidenceRecord {
    /// The AlgorithmIdentifiers that were used, as received.
    algorithms: Vec<Vec<u8>>,
    /// The field cryptoInfos, as received: hints for which nobody vouches.
    crypto_infos: Vec<u8>,
    /// At least one chain, each of at least one time-stamp, oldest first.
    chains: Vec<Vec<ArchiveTimestamp>>,
}

/// A token, and the way from what it proves to its imprint.
#[derive(Clone, Debug, PartialEq, Eq)]
struct ArchiveTimestamp {
    der: Vec<u8>,
    tree: ReducedHashTree,
    timestamp: Timestamp,
}

/// What an evidence record proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedEvidence {
    /// The data existed by the time of the first token (seconds since 1970).
    pub existed_by: u64,
    /// What each token proves, oldest first. The last one's `signer_not_after` is when the record must have
    /// been renewed.
    pub timestamps: Vec<CheckedTimestamp>,
}

/// Why an evidence record proves nothing about the data: the first check that failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvidenceFault {
    /// Without data there is nothing to prove.
    #[error("no data is given")]
    NoData,
    /// A token is about something else than its place in the record demands.
    #[error("time-stamp {number} is about something else")]
    OtherContent {
        /// Which token, counted from 1 through all chains.
        number: usize,
    },
    /// A chain changes its digest algorithm.
    #[error("time-stamp {number} uses another digest algorithm than its chain")]
    OtherAlgorithm {
        /// Which token.
        number: usize,
    },
    /// The authority did not make the token.
    #[error("time-stamp {number}: {source}")]
    Timestamp {
        /// Which token.
        number: usize,
        /// What is wrong with it.
        source: TimestampFault,
    },
    /// A token is not later than the one it renews.
    #[error("time-stamp {number} is not later than the one before it")]
    NotLater {
        /// Which token.
        number: usize,
    },
    /// When a token was made, the one before it had already expired.
    #[error("time-stamp {number} came when the one before it had expired")]
    TooLate {
        /// Which token.
        number: usize,
    },
    /// The record would become longer than any reader accepts.
    #[error("the record has too many time-stamps")]
    TooLong,
}

impl EvidenceRecord {
    /// Longest record in bytes.
    pub const BYTES_MAX: usize = 4 << 20;
    /// Most tokens of a record. Authorities' certificates last years.
    pub const TIMESTAMPS_MAX: usize = 64;

    /// A record of one token. It must be about the data itself, or, with a tree, about the root.
    pub fn new(timestamp: Timestamp, tree: ReducedHashTree) -> EvidenceRecord {
        let algorithms = vec![timestamp.imprint_algorithm().to_der()];
        let first = ArchiveTimestamp::new(timestamp, tree);
        EvidenceRecord { algorithms, crypto_infos: Vec::new(), chains: vec![vec![first]] }
    }

    /// What a token must be about to renew the last one: that one (RFC 4998 section 5.2). The digest is
    /// [`algorithm`](EvidenceRecord::algorithm).
    pub fn renewal_message(&self) -> &[u8] {
        self.last().map_or(&[], |last| last.timestamp.token_der())
    }

    /// The digest algorithm of the last chain.
    pub fn algorithm(&self) -> DigestAlgorithm {
        self.last().map_or(DigestAlgorithm::Sha256, |last| last.timestamp.imprint_algorithm())
    }

    /// Adds a token over [`renewal_message`](EvidenceRecord::renewal_message), or with a tree, over a root
    /// that covers it.
    pub fn renew(
        &mut self,
        timestamp: Timestamp,
        tree: ReducedHashTree,
    ) -> Result<(), EvidenceFault> {
        let number = self.next_number()?;
        if timestamp.imprint_algorithm() != self.algorithm() {
            return Err(EvidenceFault::OtherAlgorithm { number });
        }
        let new = ArchiveTimestamp::new(timestamp, tree);
        if !new.is_about(&[self.renewal_message()]) {
            return Err(EvidenceFault::OtherContent { number });
        }
        if let Some(chain) = self.chains.last_mut() {
            chain.push(new);
        }
        Ok(())
    }

    /// What a token must be about to begin a chain with this algorithm: `H(data) ‖ H(chains before)`
    /// (RFC 4998 section 5.2). Several data objects have one message each, and a tree over them.
    pub fn rehash_message(&self, algorithm: DigestAlgorithm, data: &[u8]) -> Vec<u8> {
        rehash_message(algorithm, data, &self.chains)
    }

    /// Begins a chain with a token over the [`rehash_message`](EvidenceRecord::rehash_message) of the data,
    /// or, with a tree, over a root that covers those of all of them.
    pub fn rehash(
        &mut self,
        timestamp: Timestamp,
        tree: ReducedHashTree,
        data: &[&[u8]],
    ) -> Result<(), EvidenceFault> {
        let number = self.next_number()?;
        let algorithm = timestamp.imprint_algorithm();
        let messages: Vec<Vec<u8>> =
            data.iter().map(|data| self.rehash_message(algorithm, data)).collect();
        let new = ArchiveTimestamp::new(timestamp, tree);
        if !new.is_about(&messages) {
            return Err(EvidenceFault::OtherContent { number });
        }
        if !self.names(algorithm) {
            self.algorithms.push(algorithm.to_der());
        }
        self.chains.push(vec![new]);
        Ok(())
    }

    /// Decides whether the record proves when all of these data existed (RFC 4998 sections 4.3 and 5.3).
    ///
    /// `check` says of each token whether an authority that counts made it. Nobody looks at today's clock:
    /// whether the last token has expired is for the caller to say. That the record speaks of no further
    /// data is not proven.
    pub fn verify(
        &self,
        data: &[&[u8]],
        mut check: impl FnMut(&Timestamp) -> Result<CheckedTimestamp, TimestampFault>,
    ) -> Result<CheckedEvidence, EvidenceFault> {
        if data.is_empty() {
            return Err(EvidenceFault::NoData);
        }
        let mut checked: Vec<CheckedTimestamp> = Vec::new();
        let mut before: Option<&ArchiveTimestamp> = None;
        for (position, chain) in self.chains.iter().enumerate() {
            let earlier = self.chains.get(..position).unwrap_or_default();
            let mut in_chain: Option<&ArchiveTimestamp> = None;
            for this in chain {
                let number = checked.len() + 1;
                let algorithm = this.timestamp.imprint_algorithm();
                // 1. It is about what it must be about: the token before, or the data and all before.
                let messages: Vec<Vec<u8>> = match in_chain {
                    Some(last) if last.timestamp.imprint_algorithm() != algorithm => {
                        return Err(EvidenceFault::OtherAlgorithm { number });
                    }
                    Some(last) => vec![last.timestamp.token_der().to_vec()],
                    None if earlier.is_empty() => data.iter().map(|data| data.to_vec()).collect(),
                    None => {
                        data.iter().map(|data| rehash_message(algorithm, data, earlier)).collect()
                    }
                };
                if !this.is_about(&messages) {
                    return Err(EvidenceFault::OtherContent { number });
                }
                // 2. An authority made it.
                let proven = check(&this.timestamp)
                    .map_err(|source| EvidenceFault::Timestamp { number, source })?;
                // 3. It came after the one before it, and while that one was valid.
                if before.is_some_and(|before| this.moment() <= before.moment()) {
                    return Err(EvidenceFault::NotLater { number });
                }
                if checked.last().is_some_and(|last| proven.time > last.signer_not_after) {
                    return Err(EvidenceFault::TooLate { number });
                }
                checked.push(proven);
                before = Some(this);
                in_chain = Some(this);
            }
        }
        let existed_by = checked.first().map(|first| first.time).ok_or(EvidenceFault::NoData)?;
        Ok(CheckedEvidence { existed_by, timestamps: checked })
    }

    /// The tokens, oldest first.
    pub fn timestamps(&self) -> impl Iterator<Item = &Timestamp> {
        self.chains.iter().flatten().map(|archived| &archived.timestamp)
    }

    /// The EvidenceRecord in DER.
    pub fn to_der(&self) -> Vec<u8> {
        let algorithms = encode(SEQUENCE, &[&self.algorithms.concat()]);
        let version = encode(INTEGER, &[&[1]]);
        let chains = encode_chains(&self.chains);
        encode(SEQUENCE, &[&version, &algorithms, &self.crypto_infos, &chains])
    }

    /// Reads an EvidenceRecord in DER.
    pub fn parse(der: &[u8]) -> Result<EvidenceRecord, FormatError> {
        if der.len() > EvidenceRecord::BYTES_MAX {
            return Err(bad(format!("longer than {} bytes", EvidenceRecord::BYTES_MAX)));
        }
        let mut fields = Element::only(WHAT, der, Tag::Sequence)?.elements()?;
        if fields.next(Tag::Integer)?.small()? != 1 {
            return Err(bad("it is not of version 1"));
        }
        let mut list = fields.inside(Tag::Sequence)?;
        let mut algorithms = Vec::new();
        while !list.is_finished() {
            algorithms.push(list.next(Tag::Sequence)?.whole.to_vec());
        }
        let crypto_infos = fields.optional(context(0))?.map_or(Vec::new(), |i| i.whole.to_vec());
        if fields.optional(context(1))?.is_some() {
            return Err(bad("it is about encrypted data, which is not supported"));
        }
        let mut sequence = fields.inside(Tag::Sequence)?;
        fields.finish()?;
        let mut record = EvidenceRecord { algorithms, crypto_infos, chains: Vec::new() };
        while !sequence.is_finished() {
            let mut elements = sequence.inside(Tag::Sequence)?;
            let mut chain = Vec::new();
            while !elements.is_finished() {
                if record.timestamps().count() + chain.len() >= EvidenceRecord::TIMESTAMPS_MAX {
                    return Err(bad("it has too many time-stamps"));
                }
                let archived = ArchiveTimestamp::parse(&elements.next(Tag::Sequence)?)?;
                let algorithm = archived.timestamp.imprint_algorithm();
                if !record.names(algorithm) {
                    return Err(bad(format!("it uses {algorithm} and does not say so")));
                }
                chain.push(archived);
            }
            if chain.is_empty() {
                return Err(bad("a chain has no time-stamp"));
            }
            record.chains.push(chain);
        }
        if record.chains.is_empty() {
            return Err(bad("it has no time-stamp"));
        }
        Ok(record)
    }

    fn last(&self) -> Option<&ArchiveTimestamp> {
        self.chains.last().and_then(|chain| chain.last())
    }

    /// The number of a token that is to be added.
    fn next_number(&self) -> Result<usize, EvidenceFault> {
        match self.timestamps().count() {
            full if full >= EvidenceRecord::TIMESTAMPS_MAX => Err(EvidenceFault::TooLong),
            count => Ok(count + 1),
        }
    }

    /// Whether the algorithm is among those that the record says it uses.
    fn names(&self, algorithm: DigestAlgorithm) -> bool {
        self.algorithms.iter().any(|der| {
            Element::only(WHAT, der, Tag::Sequence)
                .and_then(|element| AlgorithmIdentifier::of(&element))
                .is_ok_and(|identifier| DigestAlgorithm::of(&identifier) == Some(algorithm))
        })
    }
}

impl ArchiveTimestamp {
    fn new(timestamp: Timestamp, tree: ReducedHashTree) -> ArchiveTimestamp {
        // The digest algorithm is left out: it is the token's.
        let der = encode(SEQUENCE, &[&tree.to_der(), timestamp.token_der()]);
        ArchiveTimestamp { der, tree, timestamp }
    }

    fn parse(element: &Element<'_>) -> Result<ArchiveTimestamp, FormatError> {
        let mut fields = element.elements()?;
        let algorithm = match fields.optional(context(0))? {
            Some(algorithm) => Some(AlgorithmIdentifier::of(&algorithm)?),
            None => None,
        };
        fields.optional(context(1))?; // attributes, of which none is defined
        let tree = match fields.optional(context(2))? {
            Some(lists) => ReducedHashTree::parse(&lists)?,
            None => ReducedHashTree::default(),
        };
        let timestamp = Timestamp::of_token(fields.next(Tag::Sequence)?.whole)?;
        fields.finish()?;
        // RFC 4998 section 4.3: tree and token use one algorithm.
        let of_token = Some(timestamp.imprint_algorithm());
        if algorithm.is_some_and(|algorithm| DigestAlgorithm::of(&algorithm) != of_token) {
            return Err(bad("a hash tree and its time-stamp use two digest algorithms"));
        }
        Ok(ArchiveTimestamp { der: element.whole.to_vec(), tree, timestamp })
    }

    /// Whether the tree leads from the digests of all these messages to the imprint.
    fn is_about(&self, messages: &[impl AsRef<[u8]>]) -> bool {
        let algorithm = self.timestamp.imprint_algorithm();
        let hashes: Vec<Vec<u8>> =
            messages.iter().map(|message| algorithm.digest(message.as_ref())).collect();
        self.tree.root(algorithm, &hashes).as_deref() == Some(self.timestamp.imprint())
    }

    fn moment(&self) -> (u64, u32) {
        (self.timestamp.time(), self.timestamp.time_nanos())
    }
}

/// `H(data) ‖ H(ArchiveTimeStampSequence of the chains before)`.
fn rehash_message(
    algorithm: DigestAlgorithm,
    data: &[u8],
    chains: &[Vec<ArchiveTimestamp>],
) -> Vec<u8> {
    [algorithm.digest(data), algorithm.digest(&encode_chains(chains))].concat()
}

/// The ArchiveTimeStampSequence in DER.
fn encode_chains(chains: &[Vec<ArchiveTimestamp>]) -> Vec<u8> {
    let encode_chain = |chain: &Vec<ArchiveTimestamp>| {
        let archived: Vec<&[u8]> = chain.iter().map(|archived| &archived.der[..]).collect();
        encode(SEQUENCE, &archived)
    };
    let chains: Vec<Vec<u8>> = chains.iter().map(encode_chain).collect();
    encode(SEQUENCE, &[&chains.concat()])
}

const WHAT: &str = "evidence record";

fn bad(reason: impl Into<String>) -> FormatError {
    FormatError::new(WHAT, reason)
}

#[cfg(test)]
mod tests {
    use DigestAlgorithm::{Sha256, Sha512};
    use proptest::prelude::*;

    use super::*;
    use crate::HashTree;
    use crate::timestamp::element::{OCTET_STRING, OID, SET};

    const YEAR: u64 = 365 * 86_400;

    /// A token over this message, made in the year 2000 + n, that no authority signed.
    fn token(algorithm: DigestAlgorithm, message: &[u8], year: u64) -> Timestamp {
        let oid =
            |hex: &str| encode(OID, &[&data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap()]);
        let tst_info = oid("2a864886f70d0109100104");
        let imprint = encode(OCTET_STRING, &[&algorithm.digest(message)]);
        let imprint = encode(SEQUENCE, &[&algorithm.to_der(), &imprint]);
        let one = encode(INTEGER, &[&[1]]);
        let time = encode(0x18, &[format!("20{year:02}0101000000Z").as_bytes()]);
        let info = encode(SEQUENCE, &[&one, &oid("2a03"), &imprint, &one, &time]);
        let content = encode(0xA0, &[&encode(OCTET_STRING, &[&info])]);
        let content = encode(SEQUENCE, &[&tst_info, &content]);
        let attribute = |hex, value: &[u8]| encode(SEQUENCE, &[&oid(hex), &encode(SET, &[value])]);
        let attributes = encode(
            0xA0,
            &[
                &attribute("2a864886f70d010903", &tst_info),
                &attribute("2a864886f70d010904", &encode(OCTET_STRING, &[&[7; 32]])),
            ],
        );
        let algorithm = Sha256.to_der();
        let key_id = encode(0x80, &[b"key"]);
        let signature = encode(OCTET_STRING, &[b"signature"]);
        let three = encode(INTEGER, &[&[3]]);
        let signer =
            encode(SEQUENCE, &[&three, &key_id, &algorithm, &attributes, &algorithm, &signature]);
        let signers = encode(SET, &[&signer]);
        let signed = encode(SEQUENCE, &[&three, &encode(SET, &[&algorithm]), &content, &signers]);
        let signed_data = oid("2a864886f70d010702");
        let token = encode(SEQUENCE, &[&signed_data, &encode(0xA0, &[&signed])]);
        Timestamp::of_token(&token).unwrap()
    }

    fn alone() -> ReducedHashTree {
        ReducedHashTree::default()
    }

    /// Certificates last five years; the authority made every token.
    fn trusting(timestamp: &Timestamp) -> Result<CheckedTimestamp, TimestampFault> {
        Ok(CheckedTimestamp {
            time: timestamp.time(),
            signer_not_after: timestamp.time() + 5 * YEAR,
            path: Vec::new(),
            named_by_sha1: false,
            digests: vec![timestamp.imprint_algorithm()],
        })
    }

    #[track_caller]
    fn check(record: &EvidenceRecord, data: &[&[u8]], tokens: usize) {
        let read = EvidenceRecord::parse(&record.to_der()).unwrap();
        assert_eq!(&read, record);
        let checked = read.verify(data, trusting).unwrap();
        assert_eq!(checked.timestamps.len(), tokens);
        assert_eq!(checked.existed_by, record.timestamps().next().unwrap().time());
        assert_eq!(
            record.verify(&[b"other data"], trusting),
            Err(EvidenceFault::OtherContent { number: 1 })
        );
        assert_eq!(record.verify(&[], trusting), Err(EvidenceFault::NoData));
    }

    /// Stamped in 2010, renewed in 2014, with SHA-512 from 2018, renewed in 2022.
    fn old(data: &[u8]) -> EvidenceRecord {
        let mut record = EvidenceRecord::new(token(Sha256, data, 10), alone());
        record.renew(token(Sha256, record.renewal_message(), 14), alone()).unwrap();
        let message = record.rehash_message(Sha512, data);
        record.rehash(token(Sha512, &message, 18), alone(), &[data]).unwrap();
        record.renew(token(Sha512, record.renewal_message(), 22), alone()).unwrap();
        record
    }

    #[test]
    fn a_record_grows_by_renewal() {
        let mut record = EvidenceRecord::new(token(Sha256, b"data", 10), alone());
        check(&record, &[b"data"], 1);
        record.renew(token(Sha256, record.renewal_message(), 14), alone()).unwrap();
        check(&record, &[b"data"], 2);
        check(&old(b"data"), &[b"data"], 4);
        assert_eq!(old(b"data").algorithm(), Sha512);
    }

    #[test]
    fn only_the_right_token_renews() {
        let mut record = old(b"data");
        let other = record.renew(token(Sha512, b"data", 26), alone());
        assert_eq!(other, Err(EvidenceFault::OtherContent { number: 5 }));
        let weaker = record.renew(token(Sha256, record.renewal_message(), 26), alone());
        assert_eq!(weaker, Err(EvidenceFault::OtherAlgorithm { number: 5 }));
        let message = record.rehash_message(Sha512, b"data");
        let other = record.rehash(token(Sha512, &message, 26), alone(), &[b"date"]);
        assert_eq!(other, Err(EvidenceFault::OtherContent { number: 5 }));
        assert_eq!(record, old(b"data"));
        while let Ok(()) = record.renew(token(Sha512, record.renewal_message(), 26), alone()) {}
        assert_eq!(record.timestamps().count(), EvidenceRecord::TIMESTAMPS_MAX);
        let message = record.rehash_message(Sha512, b"data");
        let full = record.rehash(token(Sha512, &message, 26), alone(), &[b"data"]);
        assert_eq!(full, Err(EvidenceFault::TooLong));
        assert!(EvidenceRecord::parse(&record.to_der()).is_ok());
    }

    #[test]
    fn times_ascend_and_leave_no_gap() {
        let renewed_in = |year| {
            let mut record = EvidenceRecord::new(token(Sha256, b"data", 10), alone());
            record.renew(token(Sha256, record.renewal_message(), year), alone()).unwrap();
            record.verify(&[b"data"], trusting).map(|checked| checked.existed_by)
        };
        assert!(renewed_in(11).is_ok());
        assert_eq!(renewed_in(10), Err(EvidenceFault::NotLater { number: 2 }));
        assert_eq!(renewed_in(9), Err(EvidenceFault::NotLater { number: 2 }));
        assert_eq!(renewed_in(16), Err(EvidenceFault::TooLate { number: 2 }));
        // Between chains as well.
        let mut record = EvidenceRecord::new(token(Sha256, b"data", 10), alone());
        let message = record.rehash_message(Sha512, b"data");
        record.rehash(token(Sha512, &message, 9), alone(), &[b"data"]).unwrap();
        let fault = record.verify(&[b"data"], trusting);
        assert_eq!(fault, Err(EvidenceFault::NotLater { number: 2 }));
    }

    #[test]
    fn every_token_must_be_an_authoritys() {
        for number in 1..=4 {
            let mut count = 0;
            let fault = old(b"data").verify(&[b"data"], |timestamp| {
                count += 1;
                if count == number { Err(TimestampFault::Signature) } else { trusting(timestamp) }
            });
            let source = TimestampFault::Signature;
            assert_eq!(fault, Err(EvidenceFault::Timestamp { number, source }));
        }
    }

    #[test]
    fn a_chain_keeps_its_algorithm() {
        let mut record = EvidenceRecord::new(token(Sha256, b"data", 10), alone());
        let second = token(Sha512, record.renewal_message(), 14);
        record.chains[0].push(ArchiveTimestamp::new(second, alone()));
        let fault = record.verify(&[b"data"], trusting);
        assert_eq!(fault, Err(EvidenceFault::OtherAlgorithm { number: 2 }));
        assert!(EvidenceRecord::parse(&record.to_der()).is_err(), "SHA-512 is not announced");
    }

    #[test]
    fn one_token_serves_many_records() {
        for count in [1, 2, 3, 4, 5, 8, 9] {
            let data: Vec<Vec<u8>> = (0..count).map(|n: u8| vec![n; 3]).collect();
            let single: Vec<[&[u8]; 1]> = data.iter().map(|data| [&data[..]]).collect();
            let groups: Vec<&[&[u8]]> = single.iter().map(|group| &group[..]).collect();
            let tree = HashTree::new(Sha256, &groups).unwrap();
            let message = tree.root_message().unwrap_or_else(|| data[0].clone());
            assert_eq!(Sha256.digest(&message), tree.root());
            for (n, data) in data.iter().enumerate() {
                let first = token(Sha256, &message, 10);
                let record = EvidenceRecord::new(first, tree.reduced(n).unwrap());
                check(&record, &[data], 1);
            }
            assert_eq!(tree.reduced(usize::from(count)), None);
        }
        assert!(HashTree::new(Sha256, &[]).is_err());
        assert!(HashTree::new(Sha256, &[&[b"data"], &[]]).is_err());
    }

    #[test]
    fn groups_are_renewed_together_through_trees() {
        // A document with its two signatures, a lone one, a pair.
        let groups: [&[&[u8]]; 3] =
            [&[b"document", b"signed", b"sealed"], &[b"lone"], &[b"a", b"b"]];
        let tree = HashTree::new(Sha256, &groups).unwrap();
        let first = token(Sha256, &tree.root_message().unwrap(), 10);
        let mut records: Vec<EvidenceRecord> = (0..groups.len())
            .map(|n| EvidenceRecord::new(first.clone(), tree.reduced(n).unwrap()))
            .collect();
        // Renewed together with the token of somebody else.
        let renewal: [&[&[u8]]; 2] = [&[first.token_der()], &[b"another token"]];
        let tree = HashTree::new(Sha256, &renewal).unwrap();
        let second = token(Sha256, &tree.root_message().unwrap(), 12);
        for record in &mut records {
            record.renew(second.clone(), tree.reduced(0).unwrap()).unwrap();
        }
        // A stronger digest over all data objects and what came before.
        let messages: Vec<Vec<Vec<u8>>> = records
            .iter()
            .zip(groups)
            .map(|(record, group)| group.iter().map(|d| record.rehash_message(Sha512, d)).collect())
            .collect();
        let messages: Vec<Vec<&[u8]>> =
            messages.iter().map(|group| group.iter().map(Vec::as_slice).collect()).collect();
        let messages: Vec<&[&[u8]]> = messages.iter().map(Vec::as_slice).collect();
        let tree = HashTree::new(Sha512, &messages).unwrap();
        let third = token(Sha512, &tree.root_message().unwrap(), 14);
        for (n, record) in records.iter_mut().enumerate() {
            record.rehash(third.clone(), tree.reduced(n).unwrap(), groups[n]).unwrap();
            check(record, groups[n], 3);
            check(record, &groups[n][..1], 3); // a part of the group
            let other = record.verify(&[groups[n][0], groups[(n + 1) % 3][0]], trusting);
            assert_eq!(other, Err(EvidenceFault::OtherContent { number: 1 }));
        }
        // One group alone needs its own digests, and no path.
        let tree = HashTree::new(Sha256, &groups[..1]).unwrap();
        let first = token(Sha256, &tree.root_message().unwrap(), 10);
        check(&EvidenceRecord::new(first, tree.reduced(0).unwrap()), groups[0], 1);
    }

    #[test]
    fn what_came_before_cannot_be_changed() {
        // A second chain commits to every byte of the first one, even to those that prove nothing.
        let record = old(b"data");
        let mut changed = record.clone();
        let archived = &mut changed.chains[0][0];
        let attributes = encode(0xA1, &[&encode(SEQUENCE, &[])]);
        archived.der = encode(SEQUENCE, &[&attributes, archived.timestamp.token_der()]);
        let read = EvidenceRecord::parse(&changed.to_der()).unwrap();
        let fault = read.verify(&[b"data"], trusting);
        assert_eq!(fault, Err(EvidenceFault::OtherContent { number: 3 }));
        // Neither order nor number of the tokens.
        let mut changed = record.clone();
        changed.chains.swap(0, 1);
        assert!(changed.verify(&[b"data"], trusting).is_err());
        let mut changed = record.clone();
        changed.chains[0].pop();
        let fault = changed.verify(&[b"data"], trusting);
        assert_eq!(fault, Err(EvidenceFault::OtherContent { number: 2 }));
        let mut changed = record.clone();
        changed.chains[0].remove(0);
        assert!(changed.verify(&[b"data"], trusting).is_err());
    }

    #[test]
    fn no_bit_of_a_record_changes_what_it_proves() {
        // `trusting` trusts whoever signs, so what an authority answers for is compared by itself.
        let groups: [&[&[u8]]; 2] = [&[b"data"], &[b"other"]];
        let tree = HashTree::new(Sha256, &groups).unwrap();
        let first = token(Sha256, &tree.root_message().unwrap(), 10);
        let mut record = EvidenceRecord::new(first, tree.reduced(0).unwrap());
        record.renew(token(Sha256, record.renewal_message(), 12), alone()).unwrap();
        let message = record.rehash_message(Sha512, b"data");
        record.rehash(token(Sha512, &message, 14), alone(), &[b"data"]).unwrap();
        let genuine: Vec<Vec<u8>> = record.timestamps().map(|t| t.token_der().to_vec()).collect();
        let by_an_authority = |timestamp: &Timestamp| {
            if genuine.iter().any(|token| token == timestamp.token_der()) {
                trusting(timestamp)
            } else {
                Err(TimestampFault::Signature)
            }
        };
        let der = record.to_der();
        let before = record.verify(&[b"data"], by_an_authority).unwrap();
        for bit in 0..der.len() * 8 {
            let mut flipped = der.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            if let Ok(record) = EvidenceRecord::parse(&flipped)
                && let Ok(after) = record.verify(&[b"data"], by_an_authority)
            {
                assert_eq!(after, before, "bit {bit}");
                assert_eq!(record.to_der(), flipped, "bit {bit}");
            }
        }
    }

    #[test]
    fn malformed_records_are_refused() {
        let der = old(b"data").to_der();
        for end in 0..der.len() {
            assert!(EvidenceRecord::parse(&der[..end]).is_err());
        }
        assert!(EvidenceRecord::parse(&[&der[..], &[0]].concat()).is_err());
        let one = encode(INTEGER, &[&[1]]);
        let algorithms = encode(SEQUENCE, &[&Sha256.to_der()]);
        let record = |parts: &[&[u8]]| EvidenceRecord::parse(&encode(SEQUENCE, parts)).is_ok();
        let chains = encode_chains(&EvidenceRecord::new(token(Sha256, b"d", 10), alone()).chains);
        assert!(record(&[&one, &algorithms, &chains]));
        assert!(record(&[&one, &algorithms, &encode(0xA0, &[&algorithms]), &chains]));
        assert!(!record(&[&one, &algorithms, &encode(0xA1, &[&algorithms]), &chains]));
        assert!(!record(&[&encode(INTEGER, &[&[2]]), &algorithms, &chains]));
        assert!(!record(&[&one, &encode(SEQUENCE, &[]), &chains]));
        assert!(!record(&[&one, &algorithms, &encode(SEQUENCE, &[])]));
        assert!(!record(&[&one, &algorithms, &encode(SEQUENCE, &[&encode(SEQUENCE, &[])])]));
        assert!(EvidenceRecord::parse(&vec![0; EvidenceRecord::BYTES_MAX + 1]).is_err());
    }

    proptest! {
        #[test]
        fn what_parses_is_written_the_same(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let mut der = old(b"data").to_der();
            let at = at.index(der.len());
            der[at] = byte;
            if let Ok(record) = EvidenceRecord::parse(&der) {
                prop_assert_eq!(record.to_der(), der);
            }
        }
    }
}
