//! The certificate: a receipt on one page that can be read and framed, with the evidence inside.
//!
//! [`Certificate::issue`] makes a PDF/A-3 of one page in Chinese and English. The receipt is attached to it,
//! uncompressed, so that it stands in the file's bytes as it is; whoever has the PDF has the evidence. Nothing
//! is issued for a receipt that the policy refuses, and the same arguments give the same bytes: no clock is
//! read and no number drawn.
//!
//! This room knows no files, no archives and no picture formats: a thumbnail comes as a JPEG.

mod code;
mod face;
mod layout;
mod page;
mod pdf;
mod times;
mod words;

use timemark_verify::{FormatError, Policy, Receipt, Refusal, Verdict, WorkDigests, verify};

/// What a certificate is made of.
#[derive(Clone, Copy)]
pub struct Certificate<'a> {
    /// Of the file at hand, or those of the claim where only the receipt is.
    pub work: &'a WorkDigests,
    /// The evidence.
    pub receipt: &'a Receipt,
    /// Whom to trust: the exact bytes of a policy, whose SHA-256 the page states.
    pub policy: &'a [u8],
    /// The work's file name, as it is to be shown.
    pub file_name: Option<&'a str>,
    /// A JPEG of the work, where it is a picture.
    pub thumbnail: Option<&'a [u8]>,
    /// What is to lie in the PDF beside the receipt.
    pub attachments: &'a [Attachment],
    /// What experts may run on the attachments: what it shows, and the command.
    pub commands: &'a [(&'a str, String)],
}

/// A file inside the PDF.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// Its name, unlike every other's and [`RECEIPT_NAME`].
    pub name: String,
    /// Such as `text/plain`.
    pub media_type: String,
    /// What it holds.
    pub bytes: Vec<u8>,
    /// What it is, in a few words.
    pub description: String,
}

/// Under which name the receipt lies in the PDF.
pub const RECEIPT_NAME: &str = "receipt.timemark";

/// A certificate that was issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// The PDF file.
    pub pdf: Vec<u8>,
    /// Its number: the same for every certificate of this entry of this log.
    pub number: String,
    /// What the receipt proves, as the page says.
    pub verdict: Verdict,
}

/// Why there is no certificate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// The policy cannot be read.
    #[error(transparent)]
    Policy(#[from] FormatError),
    /// The receipt proves nothing under the policy; the refusal names the check.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// An attachment cannot be attached.
    #[error("{name} cannot be attached: {reason}")]
    Attachment {
        /// Which one.
        name: String,
        /// A sentence without a full stop.
        reason: &'static str,
    },
    /// The thumbnail is no JPEG that can be shown.
    #[error("the thumbnail cannot be shown: {0}")]
    Thumbnail(String),
    /// The PDF cannot be written, or would be no PDF/A-3.
    #[error("the PDF cannot be written: {0}")]
    Writer(String),
}

impl Certificate<'_> {
    /// Makes the certificate, if the receipt holds under the policy.
    pub fn issue(&self) -> Result<Issued, CertificateError> {
        let policy = Policy::parse(self.policy)?;
        let verdict = verify(self.work, self.receipt, &policy)?;
        let faces = face::Faces::load()?;
        let picture = self.thumbnail.map(pdf::picture).transpose()?;
        let size = picture.as_ref().map(krilla::image::Image::size);
        let page = page::compose(self, &verdict, &faces, size)?;
        let pdf = pdf::write(self, &verdict, &faces, &page, picture)?;
        Ok(Issued { pdf, number: page.number, verdict })
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::{Signer, SigningKey};
    use proptest::prelude::*;
    use timemark_verify::{
        Anchor, Checkpoint, Claim, ClaimFingerprint, Fingerprint, KeyKind, Leaf, Note,
        NoteSignature, VerifierKey, cosigned_message, merkle,
    };

    use super::*;

    const WORK: &[u8] = b"a work";
    const ORIGIN: &str = "log.example";

    fn claim(title: &str) -> Claim {
        Claim {
            work: WorkDigests::of(WORK),
            media_type: "image/jpeg".to_owned(),
            fingerprints: vec![ClaimFingerprint::pdq(Fingerprint([1, 2, 3, 4]), 100)],
            title: Some(title.to_owned()),
            claimant: Some("张伟 Zhang Wei".to_owned()),
            created: Some("2026-11-22".to_owned()),
            rights: Some("保留所有权利 All rights reserved".to_owned()),
            collection: None,
            path: Some("works/山水.jpg".as_bytes().to_vec()),
            amends: None,
            creator: None,
            salt: [9; 32],
        }
    }

    fn key(name: &str, kind: KeyKind) -> VerifierKey {
        VerifierKey::new(name, kind, secret(name).verifying_key().as_bytes()).unwrap()
    }

    fn secret(name: &str) -> SigningKey {
        let mut seed = [0; 32];
        seed[..name.len()].copy_from_slice(name.as_bytes());
        SigningKey::from_bytes(&seed)
    }

    /// A receipt of the only entry of a log, cosigned by these witnesses at these times.
    fn cosigned(claim: Claim, witnesses: &[(&str, u64)]) -> Receipt {
        let leaf = Leaf::of(&claim);
        let root = merkle::leaf_hash(&leaf.to_bytes());
        let checkpoint = Checkpoint { origin: ORIGIN.to_owned(), size: 1, root };
        let text = checkpoint.to_string();
        let log = key(ORIGIN, KeyKind::Ed25519);
        let bytes = secret(ORIGIN).sign(text.as_bytes()).to_bytes().to_vec();
        let log = NoteSignature { name: ORIGIN.to_owned(), key_id: log.key_id(), bytes };
        let cosignature = |&(name, time): &(&str, u64)| {
            let key = key(name, KeyKind::CosignatureV1);
            let message = cosigned_message(key.kind(), name, time, &text, &checkpoint).unwrap();
            let signature = secret(name).sign(&message).to_bytes();
            let bytes = [&time.to_be_bytes()[..], &signature].concat();
            NoteSignature { name: name.to_owned(), key_id: key.key_id(), bytes }
        };
        let signatures = [log].into_iter().chain(witnesses.iter().map(cosignature)).collect();
        let note = Note::new(text.clone(), signatures).unwrap();
        let anchors = vec![Anchor::new(0, Vec::new(), note).unwrap()];
        Receipt { claim, leaf, anchors, records: Vec::new(), others: Vec::new() }
    }

    pub(crate) fn receipt(title: &str) -> Receipt {
        cosigned(claim(title), &[])
    }

    fn policy(witnesses: &[(&str, u64)]) -> String {
        let mut policy = format!("log {}\n", key(ORIGIN, KeyKind::Ed25519));
        for (name, _) in witnesses {
            policy += &format!("witness {name} {}\n", key(name, KeyKind::CosignatureV1));
        }
        match witnesses {
            [] => policy + "quorum none\n",
            [(first, _), ..] => policy + &format!("quorum {first}\n"),
        }
    }

    fn issue(receipt: &Receipt, policy: &str) -> Result<Vec<u8>, CertificateError> {
        let attachments = [Attachment {
            name: "policy.txt".to_owned(),
            media_type: "text/plain".to_owned(),
            bytes: policy.as_bytes().to_vec(),
            description: "Whom the issuer trusts".to_owned(),
        }];
        let certificate = Certificate {
            work: &receipt.claim.work,
            receipt,
            policy: policy.as_bytes(),
            file_name: None,
            thumbnail: None,
            attachments: &attachments,
            commands: &[("SHA-256", "sha256sum FILE".to_owned())],
        };
        certificate.issue().map(|issued| issued.pdf)
    }

    fn holds(pdf: &[u8], bytes: &[u8]) -> bool {
        pdf.windows(bytes.len()).any(|window| window == bytes)
    }

    #[test]
    fn the_receipt_and_all_other_files_stand_in_the_pdf_as_they_are() {
        let witnesses = [("w1.example", 1_795_000_000)];
        let (receipt, policy) = (cosigned(claim("山水"), &witnesses), policy(&witnesses));
        let pdf = issue(&receipt, &policy).unwrap();
        assert!(pdf.starts_with(b"%PDF-1.7"));
        assert!(holds(&pdf, receipt.to_string().as_bytes()));
        assert!(holds(&pdf, policy.as_bytes()));
        assert!(holds(&pdf, b"<pdfaid:part>3</pdfaid:part>"));
        assert!(holds(&pdf, b"2026-11-18T11:06:40"), "its date is the proven one");
        assert_eq!(pdf, issue(&receipt, &policy).unwrap(), "the same again");
    }

    #[test]
    fn without_a_proven_time_its_date_is_none() {
        let pdf = issue(&receipt("山水"), &policy(&[])).unwrap();
        assert!(holds(&pdf, b"1970-01-01T00:00:00"));
    }

    #[test]
    fn nothing_is_issued_for_what_is_not_proven() {
        let good = receipt("山水");
        let other = Receipt { claim: claim("风景"), ..good.clone() };
        let refused = issue(&other, &policy(&[])).unwrap_err();
        assert!(matches!(&refused, CertificateError::Refused(r) if !r.is_undecided()), "{refused}");
        let missing = issue(&good, &policy(&[("w1.example", 0)])).unwrap_err();
        assert_eq!(missing, CertificateError::Refused(Refusal::QuorumMissing));
        assert!(matches!(issue(&good, "nonsense"), Err(CertificateError::Policy(_))));
    }

    #[test]
    fn files_need_names_of_their_own_and_media_types() {
        let good = receipt("山水");
        let policy = policy(&[]);
        for (name, media_type, fits) in [
            ("a.txt", "text/plain", true),
            ("a.txt", "text", false),
            (RECEIPT_NAME, "text/plain", false),
            ("../a", "text/plain", false),
            ("", "text/plain", false),
        ] {
            let attachments = [Attachment {
                name: name.to_owned(),
                media_type: media_type.to_owned(),
                bytes: Vec::new(),
                description: "a file".to_owned(),
            }];
            let certificate = Certificate {
                work: &good.claim.work,
                receipt: &good,
                policy: policy.as_bytes(),
                file_name: None,
                thumbnail: None,
                attachments: &attachments,
                commands: &[],
            };
            let issued = certificate.issue();
            assert_eq!(issued.is_ok(), fits, "{name} {media_type}: {issued:?}");
        }
        let certificate = Certificate {
            work: &good.claim.work,
            receipt: &good,
            policy: policy.as_bytes(),
            file_name: None,
            thumbnail: Some(b"no JPEG"),
            attachments: &[],
            commands: &[],
        };
        assert!(matches!(certificate.issue(), Err(CertificateError::Thumbnail(_))));
    }

    /// Everything that may be long is as long as it may be.
    fn fullest() -> (Receipt, Vec<(&'static str, u64)>) {
        let long = |unit: &str| Some(unit.repeat(Claim::TEXT_BYTES_MAX / unit.len()));
        let mut claim = claim("");
        (claim.title, claim.claimant) = (long("书"), long("mw "));
        (claim.created, claim.rights) = (long("年"), long("Rechtsschutzversicherung"));
        (claim.collection, claim.path) = (long("集"), long("😀").map(String::into_bytes));
        let act = timemark_verify::Act::Withdraws;
        claim.amends = Some(timemark_verify::Amendment { act, index: u64::MAX, claim: [7; 32] });
        let signer = secret("creator");
        let signature = signer.sign(claim.creator_message().as_bytes()).to_bytes();
        let key = signer.verifying_key().to_bytes();
        claim.creator = Some(timemark_verify::CreatorSignature { key, signature });
        let names = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];
        let witnesses: Vec<_> = names.into_iter().zip(1_795_000_000u64..).collect();
        (cosigned(claim, &witnesses), witnesses)
    }

    #[test]
    fn the_fullest_page_is_one_page() {
        let (receipt, witnesses) = fullest();
        let policy_text = policy(&witnesses);
        let policy = Policy::parse(policy_text.as_bytes()).unwrap();
        let verdict = verify(&receipt.claim.work, &receipt, &policy).unwrap();
        let commands: Vec<_> =
            (0..30).map(|_| ("a time-stamp", "openssl ts -verify ".repeat(20))).collect();
        let certificate = Certificate {
            work: &receipt.claim.work,
            receipt: &receipt,
            policy: policy_text.as_bytes(),
            file_name: None,
            thumbnail: None,
            attachments: &[],
            commands: &commands,
        };
        let faces = face::Faces::load().unwrap();
        for picture in [None, Some((600, 1)), Some((30, 400))] {
            let page = page::compose(&certificate, &verdict, &faces, picture).unwrap();
            page.check_room(&faces);
        }
        certificate.issue().unwrap();
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn whatever_is_claimed_there_is_a_page(title in ".{1,200}", claimant in "\\PC{1,90}", rights in ".{1,90}") {
            let claim = Claim { claimant: Some(claimant), rights: Some(rights), ..claim(&title) };
            prop_assert!(issue(&cosigned(claim, &[]), &policy(&[])).is_ok());
        }
    }
}
