//! A fingerprint has one spelling, and its distance is a distance.
#![no_main]

use libfuzzer_sys::fuzz_target;
use timemark_verify::Fingerprint;

fuzz_target!(|text: &str| {
    let Ok(code) = text.parse::<Fingerprint>() else { return };
    assert_eq!(code.to_string(), text);
    assert_eq!(Fingerprint::from_bytes(code.to_bytes()), code);
    let ones = code.distance(&Fingerprint::default());
    assert_eq!(ones + code.distance(&Fingerprint([u64::MAX; 4])), Fingerprint::BITS);
});
