//! A claim has one spelling, and nothing in it breaks or hides on its line.
#![no_main]

use libfuzzer_sys::fuzz_target;
use timemark_verify::{Claim, ClaimFingerprint, Leaf};

fuzz_target!(|text: &str| {
    let Ok(claim) = Claim::parse(text) else { return };
    assert_eq!(claim.to_text(), text);
    assert!(text.starts_with(&claim.unsalted_text()));
    assert!(!text.contains(|c: char| c.is_control() && c != '\n'));
    for fingerprint in &claim.fingerprints {
        let again = ClaimFingerprint::new(fingerprint.kind(), fingerprint.value());
        assert_eq!(again.as_ref(), Ok(fingerprint));
    }
    assert_eq!(Leaf::parse(&Leaf::of(&claim).to_bytes()), Ok(Some(Leaf::of(&claim))));
    claim.creator_signature_holds();
});
