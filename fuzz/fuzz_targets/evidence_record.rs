//! However a record is mutated: what it proves is about the one message that was ever stamped, in order, and
//! not before the first token of it.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use timemark_verify::{EvidenceRecord, Timestamp, TimestampAuthority};

/// The root of verify/testdata/timestamp/make.sh; its keys are gone.
static ROOT: LazyLock<TimestampAuthority> = LazyLock::new(|| {
    let certificate = include_bytes!("../../verify/testdata/timestamp/root.der");
    TimestampAuthority::new("root", certificate).expect("a certificate")
});
static MADE_AT: LazyLock<u64> = LazyLock::new(|| {
    let seconds = include_str!("../../verify/testdata/timestamp/made-at");
    seconds.trim().parse().expect("a number of seconds")
});
const MESSAGE: &[u8] = include_bytes!("../../verify/testdata/timestamp/message");
const SIGNER: &[u8] = include_bytes!("../../verify/testdata/timestamp/p384.der");

fuzz_target!(|bytes: &[u8]| {
    let Ok(record) = EvidenceRecord::parse(bytes) else { return };
    assert_eq!(record.to_der(), bytes);
    let count = record.timestamps().count();
    assert!((1..=EvidenceRecord::TIMESTAMPS_MAX).contains(&count));
    let check = |timestamp: &Timestamp| timestamp.check(&ROOT, &[SIGNER]);
    assert!(record.verify(&[b"another message"], check).is_err());
    if let Ok(checked) = record.verify(&[MESSAGE], check) {
        assert_eq!(checked.timestamps.len(), count);
        assert_eq!(checked.existed_by, checked.timestamps[0].time);
        assert!(checked.existed_by >= *MADE_AT);
        assert!(checked.timestamps.windows(2).all(|pair| {
            pair[0].time <= pair[1].time && pair[1].time <= pair[0].signer_not_after
        }));
    }
});
