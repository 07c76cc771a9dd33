//! What an expert needs to check a receipt with tools that are not ours: files for `sha256sum`, `openssl` and Go.
//!
//! Every file follows from the receipt and the policy alone, so that a page, a certificate and a bundle hand out the
//! same ones, and anybody can make them again. The commands over them stand in the [`steps`](crate::steps).

use data_encoding::BASE64;

use crate::{Anchor, KeyKind, Policy, Receipt, VerifierKey, cosigned_message};

/// A file for an expert's tools.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpertFile {
    /// Its name: ASCII letters, digits, `-` and `.`.
    pub name: String,
    /// What is in it.
    pub bytes: Vec<u8>,
}

/// All files for a receipt: the claim, the leaf, and of each anchor, counted from 1, the checkpoint's text, the
/// proof, the time-stamp tokens, and the signatures by keys of the policy with what they are over.
pub fn expert_files(receipt: &Receipt, policy: Option<&Policy>) -> Vec<ExpertFile> {
    let mut files = vec![
        file(CLAIM, receipt.claim.to_text()),
        file(LEAF, receipt.leaf.to_bytes()),
        file(GO_PROGRAM, GO_SOURCE),
    ];
    if let Some(creator) = &receipt.claim.creator {
        let [key, message, signature] = CREATOR;
        files.push(file(key, pem("PUBLIC KEY", &[&ED25519_SPKI, &creator.key[..]].concat())));
        files.push(file(message, receipt.claim.creator_message()));
        files.push(file(signature, creator.signature));
    }
    for (number, anchor) in (1..).zip(&receipt.anchors) {
        files.push(file(&checkpoint_name(number), anchor.note().text()));
        files.push(file(&proof_name(number), anchor.to_tlog_proof()));
        for (token, response) in (1..).zip(&anchor.timestamps) {
            files.push(file(&token_name(number, token), response));
        }
        for signed in signatures(number, anchor, policy) {
            files.extend(signed.files(anchor));
        }
    }
    for (number, authority) in (1..).zip(policy.map_or(&[][..], Policy::authorities)) {
        let certificate = pem("CERTIFICATE", authority.authority.certificate());
        files.push(file(&authority_name(number), certificate));
    }
    files
}

/// A signature on an anchor's checkpoint by a key of the policy.
pub(crate) struct KnownSignature<'a> {
    pub key: &'a VerifierKey,
    /// Its name in the policy, where that has one beside the key's.
    pub name: &'a str,
    pub is_log: bool,
    /// Whether it is what it says.
    pub holds: bool,
    pub time: Option<u64>,
    bytes: &'a [u8],
    stem: String,
}

/// The signatures on an anchor's checkpoint by keys of the policy: witnesses first, as they are checked.
pub(crate) fn signatures<'a>(
    number: usize,
    anchor: &'a Anchor,
    policy: Option<&'a Policy>,
) -> Vec<KnownSignature<'a>> {
    let Some(policy) = policy else { return Vec::new() };
    let witnesses = policy.witnesses().iter().map(|w| (&w.key, w.name.as_str(), false));
    let logs = policy.logs().iter().map(|log| (&log.key, log.key.name(), true));
    let mut found: Vec<KnownSignature> = Vec::new();
    for (key, name, is_log) in witnesses.chain(logs) {
        for signature in anchor.note().signatures_by(key) {
            let checked = key.check(anchor.note(), anchor.checkpoint(), signature);
            let stem = format!("signature-{number}-{}", found.len() + 1);
            found.push(KnownSignature {
                key,
                name,
                is_log,
                holds: checked.is_ok(),
                time: checked.unwrap_or_default(),
                bytes: &signature.bytes,
                stem,
            });
        }
    }
    found
}

impl KnownSignature<'_> {
    /// The names of key, message and signature; a message that is the checkpoint's text has no file of its own.
    pub fn names(&self, number: usize) -> [String; 3] {
        let message = if self.key.kind().states_time() {
            format!("{}.msg", self.stem)
        } else {
            checkpoint_name(number)
        };
        [format!("{}.pem", self.stem), message, format!("{}.sig", self.stem)]
    }

    fn files(&self, anchor: &Anchor) -> Vec<ExpertFile> {
        let kind = self.key.kind();
        let (time, signature) = match self.bytes.split_first_chunk::<8>() {
            Some((time, signature)) if kind.states_time() => (u64::from_be_bytes(*time), signature),
            _ => (0, self.bytes),
        };
        let prefix: &[u8] = match kind {
            KeyKind::Ed25519 | KeyKind::CosignatureV1 => &ED25519_SPKI,
            KeyKind::MlDsa44 => &ML_DSA_44_SPKI,
            KeyKind::Sm2 => &SM2_SPKI,
        };
        let key = pem("PUBLIC KEY", &[prefix, self.key.key_bytes()].concat());
        let signature = match kind {
            KeyKind::Sm2 => integers_der(signature),
            _ => signature.to_vec(),
        };
        let mut files = vec![
            file(&format!("{}.pem", self.stem), key),
            file(&format!("{}.sig", self.stem), signature),
        ];
        let (text, checkpoint) = (anchor.note().text(), anchor.checkpoint());
        if kind.states_time()
            && let Some(message) = cosigned_message(kind, self.key.name(), time, text, checkpoint)
        {
            files.push(file(&format!("{}.msg", self.stem), message));
        }
        files
    }
}

/// `r ‖ s` as the SEQUENCE of two INTEGERs that openssl reads (X.690 section 8.3).
fn integers_der(signature: &[u8]) -> Vec<u8> {
    let integer = |number: &[u8]| {
        let zeros = number.iter().take_while(|&&byte| byte == 0).count();
        let number = &number[zeros.min(number.len().saturating_sub(1))..];
        let sign: &[u8] =
            if number.first().is_some_and(|byte| byte & 0x80 != 0) { &[0] } else { &[] };
        let length = (sign.len() + number.len()) as u8; // of two halves of 64 bytes: at most 33
        [&[0x02, length], sign, number].concat()
    };
    let (r, s) = signature.split_at(signature.len() / 2);
    let both = [integer(r), integer(s)].concat();
    [&[0x30, both.len() as u8][..], &both].concat()
}

fn pem(label: &str, der: &[u8]) -> String {
    let base64 = BASE64.encode(der);
    let lines = base64.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line) + "\n");
    format!("-----BEGIN {label}-----\n{}-----END {label}-----\n", lines.collect::<String>())
}

fn file(name: &str, bytes: impl AsRef<[u8]>) -> ExpertFile {
    ExpertFile { name: name.to_owned(), bytes: bytes.as_ref().to_vec() }
}

pub(crate) fn checkpoint_name(anchor: usize) -> String {
    format!("checkpoint-{anchor}.txt")
}

pub(crate) fn proof_name(anchor: usize) -> String {
    format!("tlog-proof-{anchor}.txt")
}

pub(crate) fn token_name(anchor: usize, token: usize) -> String {
    format!("token-{anchor}-{token}.tsr")
}

pub(crate) fn authority_name(number: usize) -> String {
    format!("authority-{number}.pem")
}

pub(crate) const CLAIM: &str = "claim.txt";
pub(crate) const LEAF: &str = "leaf.bin";
/// Key, message and signature of the claim's creator.
pub(crate) const CREATOR: [&str; 3] = ["creator.pem", "creator.msg", "creator.sig"];
/// Checks a proof and the log's Ed25519 signature with Go's own transparency-log code.
pub(crate) const GO_PROGRAM: &str = "check.go";
const GO_SOURCE: &str = include_str!("check.go");

/// What stands before the key in a SubjectPublicKeyInfo: RFC 8410, RFC 9881, and GM/T 0009 for SM2.
const ED25519_SPKI: [u8; 12] =
    [0x30, 0x2A, 0x30, 0x05, 0x06, 0x03, 0x2B, 0x65, 0x70, 0x03, 0x21, 0];
const ML_DSA_44_SPKI: [u8; 22] = [
    0x30, 0x82, 0x05, 0x32, 0x30, 0x0B, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x03,
    0x11, 0x03, 0x82, 0x05, 0x21, 0,
];
const SM2_SPKI: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01, 0x06, 0x08, 0x2A,
    0x81, 0x1C, 0xCF, 0x55, 0x01, 0x82, 0x2D, 0x03, 0x42, 0,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_numbers_in_der() {
        let mut signature = [0; 64];
        signature[31] = 1;
        signature[32] = 0x80;
        let der = integers_der(&signature);
        assert_eq!(der[..7], [0x30, 38, 0x02, 1, 1, 0x02, 33]);
        assert_eq!(der[7..9], [0, 0x80], "a number is never negative");
    }
}
