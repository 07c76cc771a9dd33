//! A verifier key has one spelling, and no key accepts a signature of zeros.
#![no_main]

use libfuzzer_sys::fuzz_target;
use timemark_verify::VerifierKey;

fuzz_target!(|text: &str| {
    let Ok(key) = text.parse::<VerifierKey>() else { return };
    assert_eq!(key.to_string(), text);
    assert_eq!(VerifierKey::new(key.name(), key.kind(), key.key_bytes()), Ok(key.clone()));
    assert!(!key.holds(text.as_bytes(), &[0; 64]));
    assert!(!key.holds(text.as_bytes(), text.as_bytes()));
});
