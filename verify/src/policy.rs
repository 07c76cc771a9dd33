//! Whom to trust: known logs, known witnesses, and which of them must agree (c2sp.org/tlog-policy).
//!
//! Five kinds of lines are ours: `log-sizes` binds a key to the tree sizes of its time, `tsa` names a
//! time-stamp authority, `tsa-tolerance` says how far two of those may disagree unremarked, `tsa-until` and
//! `hash-until` until when an authority and a digest algorithm can be relied on. They are no comments, so
//! that nobody who cannot read them trusts more than was meant.

use std::collections::{HashMap, HashSet};
use std::ops::RangeInclusive;

use crate::text::{self, decimal};
use crate::{DigestAlgorithm, FormatError, KeyKind, TimestampAuthority, VerifierKey};

/// A trust policy: a checkpoint counts when any one of the logs signed it and the quorum cosigned it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    logs: Vec<TrustedLog>,
    witnesses: Vec<Witness>,
    quorum: Rule,
    authorities: Vec<Authority>,
    tolerance_seconds: u64,
    hashes_until: Vec<(DigestAlgorithm, u64)>,
}

/// A time-stamp authority as the policy names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    /// Its name within the policy and the certificate at which trust in it begins.
    pub authority: TimestampAuthority,
    /// The time (seconds since 1970) before which its tokens must have been renewed to count.
    pub until: Option<u64>,
    /// Where it takes requests (RFC 3161 section 3.4), for who asks it.
    pub url: Option<String>,
}

/// A log's key, and the tree sizes at which it speaks for the log: keys are replaced, receipts stay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedLog {
    /// The key; its name is the log's origin.
    pub key: VerifierKey,
    /// The sizes of checkpoints that it may sign; all of them unless a `log-sizes` line says otherwise.
    pub sizes: RangeInclusive<u64>,
    /// Where the log can be reached, for who does.
    pub url: Option<String>,
}

/// A witness as the policy names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witness {
    /// The name within the policy.
    pub name: String,
    /// The key it cosigns with.
    pub key: VerifierKey,
    /// The sizes of checkpoints that count, where a `log-sizes` line restricts a log's own key.
    pub sizes: RangeInclusive<u64>,
    /// Where it takes checkpoints (the submission prefix of c2sp.org/tlog-witness), for who asks it.
    pub url: Option<String>,
}

/// Which witnesses must have cosigned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rule {
    /// No witness is asked for.
    None,
    /// The witness at this position of [`Policy::witnesses`].
    Witness(usize),
    /// At least `k` of these.
    AtLeast(usize, Vec<Rule>),
}

impl Rule {
    /// Whether the rule is met by the witnesses for which `cosigned` is true.
    pub fn met(&self, cosigned: &dyn Fn(usize) -> bool) -> bool {
        match self {
            Rule::None => true,
            Rule::Witness(witness) => cosigned(*witness),
            Rule::AtLeast(k, members) => members.iter().filter(|m| m.met(cosigned)).count() >= *k,
        }
    }

    /// Whether everyone who meets the rule has at least one of the witnesses for which `answered` is true: then
    /// what none of these cosigned, no quorum did. Where no witness is asked for, nobody's answer suffices.
    pub fn needs_one_of(&self, answered: &dyn Fn(usize) -> bool) -> bool {
        !self.met(&|witness| !answered(witness))
    }
}

impl Policy {
    /// Longest policy in bytes.
    pub const BYTES_MAX: usize = 1 << 20;
    /// Most logs, most witnesses and groups together; the specification asks for 32 of each at least.
    pub const DEFINITIONS_MAX: usize = 1024;

    /// Most time-stamp authorities: a token is tried with each.
    pub const AUTHORITIES_MAX: usize = 64;

    /// Trust in one log alone, without witnesses.
    pub fn trusting(log: VerifierKey) -> Policy {
        let log = TrustedLog { key: log, sizes: 0..=u64::MAX, url: None };
        Policy {
            logs: vec![log],
            witnesses: Vec::new(),
            quorum: Rule::None,
            authorities: Vec::new(),
            tolerance_seconds: TOLERANCE_SECONDS_DEFAULT,
            hashes_until: Vec::new(),
        }
    }

    /// The trusted logs.
    pub fn logs(&self) -> &[TrustedLog] {
        &self.logs
    }

    /// Whether this key is a log's as well, by its bytes or its name: what it says of time is the log's own
    /// word.
    pub(crate) fn is_key_of_a_log(&self, key: &VerifierKey) -> bool {
        let same =
            |log: &VerifierKey| log.key_bytes() == key.key_bytes() || log.name() == key.name();
        self.logs.iter().any(|log| same(&log.key))
    }

    /// The known witnesses.
    pub fn witnesses(&self) -> &[Witness] {
        &self.witnesses
    }

    /// The known time-stamp authorities.
    pub fn authorities(&self) -> &[Authority] {
        &self.authorities
    }

    /// How far the times of two authorities for the same checkpoint may lie apart before it is remarked.
    pub const fn tolerance_seconds(&self) -> u64 {
        self.tolerance_seconds
    }

    /// The time (seconds since 1970) before which what rests on this digest must have been renewed to count.
    pub fn hash_until(&self, digest: DigestAlgorithm) -> Option<u64> {
        self.hashes_until.iter().find(|(aged, _)| *aged == digest).map(|(_, until)| *until)
    }

    /// The rule that says which witnesses suffice.
    pub const fn quorum(&self) -> &Rule {
        &self.quorum
    }

    /// Reads a policy file: octets, because names and comments need not be UTF-8.
    pub fn parse(file: &[u8]) -> Result<Policy, FormatError> {
        if file.len() > Policy::BYTES_MAX {
            return Err(bad(format!("longer than {} bytes", Policy::BYTES_MAX)));
        }
        let mut draft = Draft::default();
        for (number, line) in file.split(|&b| b == b'\n').enumerate() {
            draft.take(line).map_err(|reason| bad(format!("line {}: {reason}", number + 1)))?;
        }
        let quorum = draft.quorum.ok_or_else(|| bad("it has no quorum line"))?;
        Ok(Policy {
            logs: draft.logs,
            witnesses: draft.witnesses,
            quorum,
            authorities: draft.authorities,
            tolerance_seconds: draft.tolerance_seconds.unwrap_or(TOLERANCE_SECONDS_DEFAULT),
            hashes_until: draft.hashes_until,
        })
    }
}

/// Authorities take a second or two to answer, and their clocks admit to as much.
const TOLERANCE_SECONDS_DEFAULT: u64 = 60;

#[derive(Default)]
struct Draft<'a> {
    logs: Vec<TrustedLog>,
    witnesses: Vec<Witness>,
    /// Witnesses and groups share one name space.
    rules: HashMap<&'a [u8], Rule>,
    /// A name may be a member of one group only, so that no witness counts twice.
    members: HashSet<&'a [u8]>,
    quorum: Option<Rule>,
    authorities: Vec<Authority>,
    tolerance_seconds: Option<u64>,
    hashes_until: Vec<(DigestAlgorithm, u64)>,
}

impl<'a> Draft<'a> {
    fn take(&mut self, line: &'a [u8]) -> Result<(), String> {
        if let Some(b) = line.iter().find(|&&b| (b < b' ' && b != b'\t') || b == 0x7F) {
            return Err(format!("control character {b:#04x}"));
        }
        let words: Vec<&[u8]> =
            line.split(|b| b" \t".contains(b)).filter(|word| !word.is_empty()).collect();
        match words[..] {
            [] => Ok(()),
            [first, ..] if first.starts_with(b"#") => Ok(()),
            [b"log", key] => self.log(key, None),
            [b"log", key, url] => self.log(key, Some(url)),
            [b"log-sizes", key, first, last] => self.log_sizes(key, first, last),
            [b"witness", name, key] => self.witness(name, key, None),
            [b"witness", name, key, url] => self.witness(name, key, Some(url)),
            [b"group", name, threshold, ref members @ ..] => self.group(name, threshold, members),
            [b"quorum", name] => self.set_quorum(name),
            [b"tsa", name, certificate] => self.authority(name, certificate, None),
            [b"tsa", name, certificate, url] => self.authority(name, certificate, Some(url)),
            [b"tsa-tolerance", seconds] => self.tolerance(seconds),
            [b"tsa-until", name, time] => self.authority_until(name, time),
            [b"hash-until", digest, time] => self.hash_until(digest, time),
            [first, ..] => Err(format!("{:?} is no complete policy line", lossy(first))),
        }
    }

    fn log(&mut self, key: &[u8], url: Option<&[u8]>) -> Result<(), String> {
        let key = parse_key(key, &[KeyKind::Ed25519, KeyKind::MlDsa44, KeyKind::Sm2])?;
        if self.logs.iter().any(|known| known.key.key_bytes() == key.key_bytes()) {
            return Err("the same log key stands twice".to_owned());
        }
        if self.logs.len() >= Policy::DEFINITIONS_MAX {
            return Err(format!("more than {} logs", Policy::DEFINITIONS_MAX));
        }
        self.logs.push(TrustedLog { key, sizes: 0..=u64::MAX, url: url.map(lossy) });
        Ok(())
    }

    /// Ours: `log-sizes <name>+<id> <first> <last>`, where `last` may be `*`.
    fn log_sizes(&mut self, key: &[u8], first: &[u8], last: &[u8]) -> Result<(), String> {
        let size =
            |word: &[u8]| decimal(&lossy(word)).ok_or(format!("{:?} is no size", lossy(word)));
        let sizes = size(first)?..=if last == b"*" { u64::MAX } else { size(last)? };
        let is_it = |known: &VerifierKey| known.short().as_bytes() == key;
        let logs = self.logs.iter_mut().filter(|log| is_it(&log.key)).map(|log| &mut log.sizes);
        let witnesses = self.witnesses.iter_mut().filter(|witness| is_it(&witness.key));
        let mut known = logs.chain(witnesses.map(|witness| &mut witness.sizes));
        let Some(restricted) = known.next().filter(|known| **known == (0..=u64::MAX)) else {
            return Err(format!("{:?} is no key above, or has its sizes already", lossy(key)));
        };
        if sizes.is_empty() || sizes == (0..=u64::MAX) {
            return Err("these are no sizes to restrict a key to".to_owned());
        }
        *restricted = sizes;
        Ok(())
    }

    fn witness(&mut self, name: &'a [u8], key: &[u8], url: Option<&[u8]>) -> Result<(), String> {
        let key = parse_key(key, &[KeyKind::CosignatureV1, KeyKind::MlDsa44, KeyKind::Sm2])?;
        if self.witnesses.iter().any(|known| known.key.key_bytes() == key.key_bytes()) {
            return Err("the same witness key stands twice".to_owned());
        }
        self.define(name, Rule::Witness(self.witnesses.len()))?;
        let sizes = 0..=u64::MAX;
        self.witnesses.push(Witness { name: lossy(name), key, sizes, url: url.map(lossy) });
        Ok(())
    }

    fn group(
        &mut self,
        name: &'a [u8],
        threshold: &[u8],
        names: &[&'a [u8]],
    ) -> Result<(), String> {
        let threshold = match threshold {
            b"any" => 1,
            b"all" => names.len(),
            digits => decimal(&lossy(digits))
                .and_then(|k| usize::try_from(k).ok())
                .ok_or_else(|| format!("{:?} is no threshold", lossy(digits)))?,
        };
        if !(1..=names.len()).contains(&threshold) {
            return Err(format!("a group of {} cannot need {threshold}", names.len()));
        }
        let mut members = Vec::with_capacity(names.len());
        for member in names {
            let rule = self.rules.get(member).cloned();
            members.push(rule.ok_or_else(|| format!("{:?} is not defined above", lossy(member)))?);
            if !self.members.insert(member) {
                return Err(format!("{:?} is a member twice", lossy(member)));
            }
        }
        self.define(name, Rule::AtLeast(threshold, members))
    }

    fn set_quorum(&mut self, name: &[u8]) -> Result<(), String> {
        let rule = match name {
            b"none" => Some(Rule::None),
            name => self.rules.get(name).cloned(),
        };
        let rule = rule.ok_or_else(|| format!("{:?} is not defined above", lossy(name)))?;
        if self.quorum.replace(rule).is_some() {
            return Err("a second quorum line".to_owned());
        }
        Ok(())
    }

    /// Ours: `tsa <name> <base64 of a certificate in DER> [<url>]`.
    fn authority(
        &mut self,
        name: &[u8],
        certificate: &[u8],
        url: Option<&[u8]>,
    ) -> Result<(), String> {
        let name = str::from_utf8(name).map_err(|_| "a name that is not UTF-8".to_owned())?;
        let certificate = str::from_utf8(certificate).ok().and_then(text::base64);
        let certificate = certificate.ok_or("the certificate is not base64")?;
        let authority =
            TimestampAuthority::new(name, &certificate).map_err(|error| error.to_string())?;
        let same = |known: &Authority| {
            let known = &known.authority;
            known.name() == name || known.certificate() == authority.certificate()
        };
        if self.authorities.iter().any(same) {
            return Err("the same authority stands twice".to_owned());
        }
        if self.authorities.len() >= Policy::AUTHORITIES_MAX {
            return Err(format!("more than {} authorities", Policy::AUTHORITIES_MAX));
        }
        self.authorities.push(Authority { authority, until: None, url: url.map(lossy) });
        Ok(())
    }

    /// Ours: `tsa-tolerance <seconds>`.
    fn tolerance(&mut self, seconds: &[u8]) -> Result<(), String> {
        let seconds = decimal(&lossy(seconds))
            .ok_or_else(|| format!("{:?} is no number of seconds", lossy(seconds)))?;
        match self.tolerance_seconds.replace(seconds) {
            None => Ok(()),
            Some(_) => Err("a second tsa-tolerance line".to_owned()),
        }
    }

    /// Ours: `tsa-until <name> <time>`.
    fn authority_until(&mut self, name: &[u8], time: &[u8]) -> Result<(), String> {
        let until = parse_time(time)?;
        let mut known = self.authorities.iter_mut();
        let known = known.find(|known| known.authority.name().as_bytes() == name);
        match known.filter(|known| known.until.is_none()) {
            Some(known) => known.until = Some(until),
            None => {
                let name = lossy(name);
                return Err(format!("{name:?} is no authority above, or has its time already"));
            }
        }
        Ok(())
    }

    /// Ours: `hash-until <digest> <time>`.
    fn hash_until(&mut self, digest: &[u8], time: &[u8]) -> Result<(), String> {
        let until = parse_time(time)?;
        let digest = match digest {
            b"sha256" => DigestAlgorithm::Sha256,
            b"sha384" => DigestAlgorithm::Sha384,
            b"sha512" => DigestAlgorithm::Sha512,
            other => return Err(format!("{:?} is none of sha256, sha384, sha512", lossy(other))),
        };
        if self.hashes_until.iter().any(|(known, _)| *known == digest) {
            return Err(format!("a second hash-until line for {digest}"));
        }
        self.hashes_until.push((digest, until));
        Ok(())
    }

    fn define(&mut self, name: &'a [u8], rule: Rule) -> Result<(), String> {
        if self.rules.len() >= Policy::DEFINITIONS_MAX {
            return Err(format!("more than {} witnesses and groups", Policy::DEFINITIONS_MAX));
        }
        if name == b"none" || self.rules.insert(name, rule).is_some() {
            return Err(format!("the name {:?} is taken", lossy(name)));
        }
        Ok(())
    }
}

fn parse_time(time: &[u8]) -> Result<u64, String> {
    let time = lossy(time);
    let seconds = text::seconds_of_utc(&time);
    seconds.ok_or_else(|| format!("{time:?} is no time of the form 2031-12-31T23:59:59Z"))
}

fn parse_key(key: &[u8], kinds: &[KeyKind]) -> Result<VerifierKey, String> {
    let key = str::from_utf8(key).map_err(|_| "a key that is not UTF-8".to_owned())?;
    let key: VerifierKey = key.parse().map_err(|e: FormatError| e.to_string())?;
    if !kinds.contains(&key.kind()) {
        return Err(format!("{key} is of type {}, which does not belong here", key.kind().name()));
    }
    Ok(key)
}

fn lossy(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

fn bad(reason: impl Into<String>) -> FormatError {
    FormatError::new("policy", reason)
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;
    use proptest::prelude::*;

    use super::*;

    fn key(seed: u8, kind: KeyKind) -> String {
        let public = SigningKey::from_bytes(&[seed; 32]).verifying_key();
        VerifierKey::new(&format!("k{seed}.example"), kind, public.as_bytes()).unwrap().to_string()
    }

    /// The example of c2sp.org/tlog-policy, with keys.
    fn example() -> String {
        let w = |seed| key(seed, KeyKind::CosignatureV1);
        format!(
            "# who counts\nlog {} https://log.example/\n\n\
             witness X1 {}\nwitness X2 {}\n  witness\tX3  {} https://x3.example \ngroup X-witnesses 2 X1 X2 X3\n\n\
             witness Y1 {}\nwitness Y2 {}\nwitness Y3 {}\ngroup Y-witnesses any Y1 Y2 Y3\n\n\
             group X-and-Y all X-witnesses Y-witnesses\nquorum X-and-Y\n",
            key(1, KeyKind::Ed25519),
            w(11),
            w(12),
            w(13),
            w(21),
            w(22),
            w(23),
        )
    }

    #[test]
    fn the_specifications_example_decides_as_it_says() {
        let policy = Policy::parse(example().as_bytes()).unwrap();
        assert_eq!(policy.logs()[0].key.name(), "k1.example");
        for (cosigned, met) in [
            (&[0, 1, 3][..], true),
            (&[1, 2, 5], true),
            (&[0, 1, 2], false),
            (&[0, 3, 4, 5], false),
            (&[], false),
        ] {
            assert_eq!(policy.quorum().met(&|w| cosigned.contains(&w)), met, "{cosigned:?}");
        }
    }

    #[test]
    fn whose_answers_reach_every_quorum() {
        // X: 2 of 0 1 2; Y: any of 3 4 5; both. Without a majority of X, or without all of Y, nothing is met.
        let both = Policy::parse(example().as_bytes()).unwrap();
        let x_or_y = example().replace("group X-and-Y all", "group X-and-Y any");
        let either = Policy::parse(x_or_y.as_bytes()).unwrap();
        let two_of_three = example().replace("quorum X-and-Y", "quorum X-witnesses");
        let two_of_three = Policy::parse(two_of_three.as_bytes()).unwrap();
        let one = example().replace("quorum X-and-Y", "quorum Y2");
        let one = Policy::parse(one.as_bytes()).unwrap();
        let none = example().replace("quorum X-and-Y", "quorum none");
        let none = Policy::parse(none.as_bytes()).unwrap();
        for (policy, answered, reached) in [
            (&two_of_three, &[0, 1][..], true),
            (&two_of_three, &[1, 2], true),
            (&two_of_three, &[0], false),
            (&two_of_three, &[0, 3, 4, 5], false),
            (&both, &[0, 1], true),
            (&both, &[3, 4, 5], true),
            (&both, &[0, 3, 4], false),
            (&either, &[0, 1], false),
            (&either, &[3, 4, 5], false),
            (&either, &[0, 2, 3, 4, 5], true),
            (&one, &[4], true),
            (&one, &[0, 1, 2, 3, 5], false),
            (&none, &[], false),
            (&none, &[0, 1, 2, 3, 4, 5], false),
        ] {
            let quorum = policy.quorum();
            assert_eq!(quorum.needs_one_of(&|w| answered.contains(&w)), reached, "{answered:?}");
            // By the definition: no set that meets the rule is without all of them.
            let sets = (0u32..64).filter(|set| quorum.met(&|w| set >> w & 1 == 1));
            let each = |set: u32| answered.iter().any(|w| set >> w & 1 == 1);
            assert_eq!(sets.into_iter().all(each), reached, "{answered:?}");
        }
    }

    #[test]
    fn a_policy_without_witnesses() {
        let policy = Policy::parse(b"quorum none").unwrap();
        assert!(policy.logs().is_empty() && policy.quorum().met(&|_| false));
    }

    #[test]
    fn what_the_specification_forbids() {
        let log = key(1, KeyKind::Ed25519);
        let wit = |seed| key(seed, KeyKind::CosignatureV1);
        let (w1, w2) = (wit(11), wit(12));
        for bad in [
            String::new(),
            format!("log {log}\n"),
            format!("log {log}\nlog {log}\nquorum none\n"),
            "quorum none\nquorum none\n".to_owned(),
            "quorum W\n".to_owned(),
            format!("quorum W\nwitness W {w1}\n"),
            format!("witness W {w1}\nwitness W {w2}\nquorum W\n"),
            format!("witness W {w1}\nwitness V {w1}\nquorum W\n"),
            format!("witness none {w1}\nquorum none\n"),
            format!("witness W {w1}\ngroup G 2 W\nquorum G\n"),
            format!("witness W {w1}\ngroup G 0 W\nquorum G\n"),
            format!("witness W {w1}\ngroup G 01 W\nquorum G\n"),
            format!("witness W {w1}\ngroup G any\nquorum G\n"),
            format!("witness W {w1}\ngroup G any W W\nquorum G\n"),
            format!("witness W {w1}\ngroup G any W\ngroup H any W\nquorum G\n"),
            format!("witness W {w1}\ngroup G any G\nquorum G\n"),
            format!("witness W {log}\nquorum W\n"),
            format!("log {w1}\nquorum none\n"),
            "quorum none\r\n".to_owned(),
            format!("log {log}\nlog-sizes k1.example+00000000 0 5\nquorum none\n"),
            format!("log {log}\nlog-sizes {} 5 4\nquorum none\n", &log[..19]),
            format!("log {log}\nlog-sizes {} 0 *\nquorum none\n", &log[..19]),
            format!("log-sizes {} 0 5\nlog {log}\nquorum none\n", &log[..19]),
            "trust me\nquorum none\n".to_owned(),
            "hash-until sha1 2030-01-01T00:00:00Z\nquorum none\n".to_owned(),
            "hash-until SHA-256 2030-01-01T00:00:00Z\nquorum none\n".to_owned(),
            "hash-until sha256 2030-01-01\nquorum none\n".to_owned(),
            "hash-until sha256 2030-01-01T00:00:00\nquorum none\n".to_owned(),
            format!("{0}{0}quorum none\n", "hash-until sha256 2030-01-01T00:00:00Z\n"),
            "tsa-until nobody 2030-01-01T00:00:00Z\nquorum none\n".to_owned(),
            format!("tsa-until A 2030-01-01T00:00:00Z\ntsa A {}\nquorum none\n", root()),
            format!("tsa A {}\ntsa-until A 2030-02-30T00:00:00Z\nquorum none\n", root()),
            format!("tsa A {}\n{1}{1}quorum none\n", root(), "tsa-until A 2030-01-01T00:00:00Z\n"),
        ] {
            assert!(Policy::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    /// The certificate of an authority.
    fn root() -> String {
        data_encoding::BASE64.encode(include_bytes!("../testdata/timestamp/root.der"))
    }

    #[test]
    fn authorities_and_digests_age() {
        let file = format!(
            "tsa A {}\ntsa-until A 1970-01-01T00:01:40Z\nhash-until sha256 1970-01-01T00:00:30Z\n\
             hash-until sha512 1970-01-01T00:00:50Z\nquorum none\n",
            root()
        );
        let policy = Policy::parse(file.as_bytes()).unwrap();
        assert_eq!(policy.authorities()[0].until, Some(100));
        let until = DigestAlgorithm::ALL.map(|digest| policy.hash_until(digest));
        assert_eq!(until, [Some(30), None, Some(50)]);
    }

    #[test]
    fn names_are_octets() {
        let mut file = b"witness \xFF ".to_vec();
        file.extend(key(11, KeyKind::CosignatureV1).bytes());
        file.extend(b"\nquorum \xFF\n# \xFE\n");
        assert!(Policy::parse(&file).is_ok());
    }

    proptest! {
        #[test]
        fn a_changed_policy_trusts_nobody_else(at in any::<usize>(), byte in any::<u8>(), cut in any::<bool>()) {
            let good = Policy::parse(example().as_bytes()).unwrap();
            let mut file = example().into_bytes();
            let at = at % file.len();
            if cut { file.truncate(at) } else { file[at] = byte }
            if let Ok(policy) = Policy::parse(&file) {
                prop_assert!(policy.logs().iter().all(|l| good.logs().iter().any(|g| g.key == l.key)));
                let known = |w: &Witness| good.witnesses().iter().any(|g| g.key == w.key);
                prop_assert!(policy.witnesses().iter().all(known));
            }
        }
    }
}
