//! However a time-stamp is mutated: what its authority vouches for is the one message that it ever stamped.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use timemark_verify::{DigestAlgorithm, Timestamp, TimestampAuthority, TimestampRequest};

/// The root of verify/testdata/timestamp/make.sh; its keys are gone.
static ROOT: LazyLock<TimestampAuthority> = LazyLock::new(|| {
    let certificate = include_bytes!("../../verify/testdata/timestamp/root.der");
    TimestampAuthority::new("root", certificate).expect("a certificate")
});
const MESSAGE: &[u8] = include_bytes!("../../verify/testdata/timestamp/message");
const SIGNER: &[u8] = include_bytes!("../../verify/testdata/timestamp/p384.der");

fuzz_target!(|bytes: &[u8]| {
    if let Ok(authority) = TimestampAuthority::new("any", bytes) {
        assert_eq!(authority.certificate(), bytes);
    }
    let request = TimestampRequest::new(DigestAlgorithm::Sha256, MESSAGE);
    let accepted = request.accepts(bytes);
    let Ok(timestamp) = Timestamp::of_response(bytes).or_else(|_| Timestamp::of_token(bytes))
    else {
        assert!(accepted.is_err());
        return;
    };
    assert_eq!(Timestamp::of_token(timestamp.token_der()).as_ref(), Ok(&timestamp));
    assert!(timestamp.time_nanos() < 1_000_000_000);
    assert_eq!(timestamp.imprint().len(), timestamp.imprint_algorithm().digest_bytes());
    if let Ok(checked) = timestamp.check(&ROOT, &[SIGNER]) {
        assert!(timestamp.covers(MESSAGE));
        assert_eq!(checked.time, timestamp.time());
        assert!(checked.signer_not_after >= checked.time);
        assert_eq!(checked.path.last().map(Vec::as_slice), Some(ROOT.certificate()));
    }
});
