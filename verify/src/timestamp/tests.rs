//! Tokens made by OpenSSL (verify/testdata/timestamp/make.sh), whole and broken.

use proptest::prelude::*;

use super::element::{SEQUENCE, encode};
use super::*;

macro_rules! made {
    ($name:literal) => {
        include_bytes!(concat!("../../testdata/timestamp/", $name)).as_slice()
    };
}

const MESSAGE: &[u8] = made!("message");
/// 2030-01-02 03:04:05, the time of the tokens by `openssl cms`.
const AT_2030: u64 = 1_893_553_445;

fn authority(certificate: &[u8]) -> TimestampAuthority {
    TimestampAuthority::new("an-authority", certificate).unwrap()
}

fn root() -> TimestampAuthority {
    authority(made!("root.der"))
}

/// A response, or a bare token.
fn read(file: &[u8]) -> Timestamp {
    Timestamp::of_response(file).unwrap_or_else(|_| Timestamp::of_token(file).unwrap())
}

fn made_at() -> u64 {
    std::str::from_utf8(made!("made-at")).unwrap().trim().parse().unwrap()
}

/// Checks a token of today under an authority, with further certificates; the path is as long as stated.
#[track_caller]
fn check(file: &[u8], authority: &TimestampAuthority, extra: &[&[u8]], path_length: usize) {
    let timestamp = read(file);
    assert!(timestamp.covers(MESSAGE));
    assert!(!timestamp.covers(b"another message"));
    let checked = timestamp.check(authority, extra).unwrap();
    assert_eq!(checked.time, timestamp.time());
    let today = made_at()..made_at() + 600;
    assert!(today.contains(&checked.time) || checked.time == AT_2030, "{checked:?}");
    assert_eq!(checked.path.len(), path_length);
    assert_eq!(checked.path.last().map(Vec::as_slice), Some(authority.certificate()));
    assert!(checked.signer_not_after > checked.time);
}

/// The fault of a token in plain words.
#[track_caller]
fn refuse(file: &[u8], authority: &TimestampAuthority, extra: &[&[u8]], expected: &str) {
    let fault = read(file).check(authority, extra).unwrap_err().to_string();
    assert!(fault.contains(expected), "{fault:?} instead of {expected:?}");
}

#[test]
fn every_kind_of_signature() {
    check(made!("rsa2048-sha256.tsr"), &root(), &[], 3);
    check(made!("rsa3072-sha512.tsr"), &root(), &[], 2);
    check(made!("rsa4096-pss.tst"), &root(), &[], 2);
    check(made!("pss-only.tst"), &root(), &[], 2);
    check(made!("p256-sha256.tsr"), &root(), &[], 3);
    check(made!("p256-sha512.tsr"), &root(), &[], 3);
    check(made!("p384-sha384.tsr"), &root(), &[], 2);
    check(made!("p384-sha256.tsr"), &root(), &[], 2);
    check(made!("key-id.tst"), &root(), &[], 2);
    check(made!("by-rsa.tsr"), &authority(made!("rsa-root.der")), &[], 2);
    check(made!("by-pss.tsr"), &authority(made!("pss-root.der")), &[], 2);
}

#[test]
fn an_anchor_may_be_root_intermediate_or_the_signers_own() {
    let token = made!("p256-sha256.tsr");
    check(token, &root(), &[], 3);
    check(token, &authority(made!("intermediate.der")), &[], 2);
    check(token, &authority(made!("p256.der")), &[], 1);
    let elsewhere = authority(made!("other-root.der"));
    refuse(
        token,
        &elsewhere,
        &[],
        "no path of certificates leads from p256 to the authority other-root",
    );
    refuse(token, &authority(made!("p384.der")), &[], "no path");
    // The same name with another key.
    let cross = authority(made!("cross.der"));
    check(token, &cross, &[], 2); // cross-signed: the same name and key
}

#[test]
fn of_cross_signed_certificates_the_one_that_leads_on_is_taken() {
    let token = made!("cross.tst"); // brings the intermediate by the other root
    check(token, &authority(made!("other-root.der")), &[], 3);
    refuse(token, &root(), &[], "no path");
    check(token, &root(), &[made!("intermediate.der")], 3);
    check(made!("p256-sha256.tsr"), &authority(made!("other-root.der")), &[made!("cross.der")], 3);
}

#[test]
fn a_token_may_leave_its_certificates_out() {
    let token = made!("no-cert.tsr");
    refuse(token, &root(), &[], "certificate of the token's signer is missing");
    check(token, &root(), &[made!("p384.der")], 2);
    check(token, &root(), &[b"no certificate", made!("p256.der"), made!("p384.der")], 2);
    check(token, &authority(made!("p384.der")), &[], 1);
    // Key, issuer and serial number of the signer's certificate, but not the one that was signed with.
    refuse(token, &root(), &[made!("twin.der")], "names another certificate");
    check(token, &root(), &[made!("twin.der"), made!("p384.der")], 2);
    let many = [made!("p384.der"); Timestamp::EXTRA_CERTIFICATES_MAX + 1];
    refuse(token, &root(), &many, "too many further certificates");
}

#[test]
fn certificates_are_judged_at_the_time_of_the_token() {
    check(made!("short-lived.tsr"), &root(), &[], 2); // made at `made_at` with an hour left
    refuse(made!("expired.tsr"), &root(), &[], "expired was not valid at the time");
    refuse(made!("not-yet.tsr"), &root(), &[], "not-yet was not valid at the time");
    refuse(made!("under-old-intermediate.tsr"), &root(), &[], "old-intermediate was not valid");
    refuse(made!("before-the-root.tst"), &root(), &[], "was not valid");
    refuse(made!("expired.tsr"), &authority(made!("expired.der")), &[], "was not valid");
}

#[test]
fn a_signers_certificate_is_for_time_stamps_alone() {
    let refuse = |file, expected| refuse(file, &root(), &[], expected);
    refuse(made!("not-critical.tst"), "its extended key usage is not critical");
    refuse(made!("two-purposes.tst"), "not time-stamping alone");
    refuse(made!("no-purpose.tst"), "it states no extended key usage");
    refuse(made!("encipherment.tst"), "meant for more or other things");
    refuse(made!("critical-extension.tst"), "critical extension 1.3.6.1.4.1.99999.1");
}

#[test]
fn an_issuer_must_be_allowed_to_issue() {
    let refuse = |file, expected| refuse(file, &root(), &[], expected);
    refuse(made!("under-not-ca.tsr"), "no certification authority's");
    refuse(made!("under-no-cert-sign.tsr"), "not meant for signing certificates");
    refuse(made!("under-for-servers.tsr"), "restricted to other purposes");
    refuse(made!("under-deep.tsr"), "allows fewer authorities");
}

#[test]
fn weak_and_unknown_algorithms_count_for_nothing() {
    refuse(made!("signed-sha1.tsr"), &root(), &[], "not supported: digest algorithm 1.3.14.3.2.26");
    refuse(made!("p521.tsr"), &root(), &[], "not supported: elliptic curve 1.3.132.0.35");
    refuse(made!("rsa1024.tsr"), &root(), &[], "not supported: an RSA key");
    let by_sha1 = authority(made!("rsa-root.der"));
    refuse(made!("by-sha1.tsr"), &by_sha1, &[], "signature algorithm 1.2.840.113549.1.1.5");
    let imprint = Timestamp::of_response(made!("imprint-sha1.tsr")).unwrap_err().to_string();
    assert!(imprint.contains("1.3.14.3.2.26"), "{imprint}");
}

#[test]
fn the_signature_names_its_certificate() {
    let old = read(made!("ess-v1.tsr")).check(&root(), &[]).unwrap();
    assert!(old.named_by_sha1);
    let new = read(made!("p384-sha384.tsr")).check(&root(), &[]).unwrap();
    assert!(!new.named_by_sha1);
    refuse(made!("no-ess.tst"), &root(), &[], "does not name its signer's certificate");
}

#[test]
fn what_a_token_rests_on() {
    use DigestAlgorithm::{Sha256, Sha384, Sha512};
    let digests =
        |file, authority: &TimestampAuthority| read(file).check(authority, &[]).unwrap().digests;
    // The certificates of the fixtures are signed over SHA-256, but who trusts one trusts it unsigned.
    assert_eq!(digests(made!("rsa3072-sha512.tsr"), &root()), [Sha256, Sha512]);
    assert_eq!(digests(made!("rsa3072-sha512.tsr"), &authority(made!("rsa3072.der"))), [Sha512]);
    assert_eq!(digests(made!("p384-sha384.tsr"), &authority(made!("p384.der"))), [Sha384]);
    assert_eq!(digests(made!("p256-sha512.tsr"), &root()), [Sha256, Sha512]);
    assert_eq!(digests(made!("p256-sha256.tsr"), &root()), [Sha256]);
    assert_eq!(digests(made!("by-rsa.tsr"), &authority(made!("rsa-root.der"))), [Sha256, Sha512]);
    assert_eq!(digests(made!("by-pss.tsr"), &authority(made!("pss-root.der"))), [Sha256, Sha384]);
    assert_eq!(digests(made!("pss-only.tst"), &authority(made!("pss-only.der"))), [Sha256, Sha512]);
}

#[test]
fn other_contents_are_refused() {
    let reason = |file| Timestamp::of_token(file).unwrap_err().to_string();
    assert!(reason(made!("two-signers.tst")).contains("more than one signer"));
    assert!(reason(made!("plain-data.tst")).contains("no time-stamp"));
    assert!(reason(made!("with-critical.tst")).contains("critical extension 1.3.6.1.4.1.99999.2"));
    check(made!("with-extension.tst"), &root(), &[], 2);
    assert!(reason(&vec![0x30; Timestamp::BYTES_MAX + 1]).contains("longer than"));
}

#[test]
fn what_a_token_says() {
    let timestamp = read(made!("nonce.tsr"));
    assert_eq!(timestamp.imprint_algorithm(), DigestAlgorithm::Sha256);
    assert_eq!(timestamp.imprint(), DigestAlgorithm::Sha256.digest(MESSAGE));
    assert_eq!(timestamp.policy(), "1.3.6.1.4.1.99999.3162");
    assert_eq!(timestamp.accuracy_micros(), Some(1_500_020));
    assert!(timestamp.nonce().is_some());
    assert_eq!(timestamp.time_nanos(), 0);
    assert_eq!(Timestamp::of_token(timestamp.token_der()), Ok(timestamp));

    let timestamp = read(made!("key-id.tst"));
    assert_eq!((timestamp.time(), timestamp.serial()), (AT_2030, &[42][..]));
    assert_eq!((timestamp.accuracy_micros(), timestamp.nonce()), (None, None));
    let half = read(made!("fraction-with-zero.tst"));
    assert_eq!((half.time(), half.time_nanos()), (AT_2030, 500_000_000));
    check(made!("fraction.tsr"), &root(), &[], 2);
    assert!(read(made!("fraction.tsr")).time_nanos() > 0);
}

#[test]
fn a_request_is_what_openssl_writes_and_accepts_its_answer() {
    let nonce_of = |file| read(file).nonce().unwrap().iter().fold(0, |n, b| n << 8 | u64::from(*b));
    let request = TimestampRequest::new(DigestAlgorithm::Sha256, MESSAGE)
        .with_policy("1.3.6.1.4.1.99999.3162")
        .unwrap()
        .with_nonce(nonce_of(made!("nonce.tsr")));
    assert_eq!(request.to_der(), made!("nonce.tsq"));
    assert!(request.accepts(made!("nonce.tsr")).is_ok());
    let other = request.clone().with_nonce(1);
    assert_eq!(other.accepts(made!("nonce.tsr")), Err(ResponseFault::OtherNonce));
    let other = request.clone().with_policy("1.2.3").unwrap();
    let policy = "1.3.6.1.4.1.99999.3162".to_owned();
    assert_eq!(other.accepts(made!("nonce.tsr")), Err(ResponseFault::OtherPolicy { policy }));

    let plain = TimestampRequest::new(DigestAlgorithm::Sha256, MESSAGE);
    assert!(plain.accepts(made!("nonce.tsr")).is_ok(), "nothing was asked that is not so");
    assert_eq!(plain.to_der(), made!("no-nonce.tsq"));
    let other = TimestampRequest::new(DigestAlgorithm::Sha256, b"another message");
    assert_eq!(other.accepts(made!("nonce.tsr")), Err(ResponseFault::OtherImprint));
    let other = TimestampRequest::new(DigestAlgorithm::Sha512, MESSAGE);
    assert_eq!(other.accepts(made!("nonce.tsr")), Err(ResponseFault::OtherImprint));
    assert!(plain.with_policy("a.b").is_err());
}

#[test]
fn a_refusal_says_why_and_cannot_drive_the_terminal() {
    let request = TimestampRequest::new(DigestAlgorithm::Sha256, MESSAGE);
    let fault = request.accepts(made!("other-policy.tsr")).unwrap_err();
    assert_eq!(
        fault.to_string(),
        "the authority gave no time-stamp: the request was rejected; the policy is not supported; \
         it says: Requested policy is not supported."
    );
    let text = encode(SEQUENCE, &[&encode(0x0C, &[b"no\x1B[2J\n\xFF"])]);
    let info = encode(SEQUENCE, &[&[2, 1, 2], &text, &[3, 2, 0, 0b0100_0010]]);
    let fault = request.accepts(&encode(SEQUENCE, &[&info])).unwrap_err().to_string();
    assert!(
        fault.ends_with("; unknown failure 1; unknown failure 6; it says: no%1B[2J%0A\u{FFFD}"),
        "{fault}"
    );
    assert!(Timestamp::of_response(made!("other-policy.tsr")).is_err());
    let granted_nothing = encode(SEQUENCE, &[&encode(SEQUENCE, &[&[2, 1, 0]])]);
    assert!(matches!(request.accepts(&granted_nothing), Err(ResponseFault::Format(_))));
}

/// Every bit of a token either counts or changes nothing.
#[test]
fn no_bit_of_a_token_changes_what_it_proves() {
    let file = read(made!("p256-sha256.tsr")).token_der().to_vec();
    let anchor = authority(made!("intermediate.der"));
    let proven = |der: &[u8]| {
        let timestamp = Timestamp::of_token(der).ok()?;
        let checked = timestamp.check(&anchor, &[]).ok()?;
        Some((checked, timestamp.info.clone()))
    };
    let before = proven(&file).unwrap();
    let mut harmless = 0;
    for bit in 0..file.len() * 8 {
        let mut flipped = file.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        if let Some(after) = proven(&flipped) {
            assert_eq!(after, before, "bit {bit}");
            harmless += 1;
        }
    }
    // The unsigned parts: versions, the list of digest algorithms, the certificate that was not needed.
    assert!(harmless < file.len() * 8 / 2, "{harmless}");
}

#[test]
fn no_token_is_read_from_its_beginning_or_with_more_behind_it() {
    let file = read(made!("p384-sha384.tsr")).token_der().to_vec();
    for end in 0..file.len() {
        assert!(Timestamp::of_token(&file[..end]).is_err(), "{end}");
    }
    assert!(Timestamp::of_token(&[&file[..], &[0]].concat()).is_err());
    let response = made!("p384-sha384.tsr");
    assert!(Timestamp::of_response(&[response, &[0]].concat()).is_err());
}

#[test]
fn certificates_that_vouch_for_one_another_cost_bounded_work() {
    let loops = [
        made!("loop-1.der"),
        made!("loop-2.der"),
        made!("loop-3.der"),
        made!("loop-4.der"),
        made!("loop-5.der"),
        made!("loop-6.der"),
        made!("loop-7.der"),
        made!("loop-8.der"),
        made!("loop-9.der"),
    ];
    // Nine certificates can be lined up in 986,409 ways, of which none leads to the root.
    refuse(made!("in-loop.tsr"), &root(), &loops, "path of certificates is too long");
    check(made!("in-loop.tsr"), &authority(loops[8]), &loops, 2);
}

#[test]
fn an_authority_has_a_plain_name_and_a_certificate() {
    assert!(TimestampAuthority::new("", made!("root.der")).is_err());
    assert!(TimestampAuthority::new("a b", made!("root.der")).is_err());
    assert!(TimestampAuthority::new("a\u{202E}b", made!("root.der")).is_err());
    assert!(TimestampAuthority::new("a", &made!("root.der")[1..]).is_err());
    assert!(TimestampAuthority::new("a", made!("message")).is_err());
    assert_eq!(root().name(), "an-authority");
}

proptest! {
    #[test]
    fn mutated_bytes_never_panic_and_never_prove_more(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<Option<prop::sample::Index>>(),
        which in 0..3usize,
    ) {
        let source = [
            made!("rsa2048-sha256.tsr"),
            made!("p384-sha384.tsr"),
            made!("other-policy.tsr"),
        ][which];
        let mut bytes = source.to_vec();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let _ = Timestamp::of_token(&bytes);
        let _ = TimestampAuthority::new("a", &bytes);
        if let Ok(timestamp) = Timestamp::of_response(&bytes) && timestamp.check(&root(), &[]).is_ok() {
            prop_assert_eq!(timestamp.info, read(source).info);
        }
    }

    #[test]
    fn any_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Timestamp::of_token(&bytes);
        let _ = Timestamp::of_response(&bytes);
        let _ = TimestampAuthority::new("a", &bytes);
    }
}
