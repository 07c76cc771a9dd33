//! An entry of the log is 65 bytes of kind 1 that print back, or of another kind, or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use timemark_verify::Leaf;

fuzz_target!(|bytes: &[u8]| {
    let of_our_kind = bytes.first() == Some(&Leaf::WORK);
    match Leaf::parse(bytes) {
        Ok(Some(leaf)) => assert_eq!(leaf.to_bytes(), bytes),
        Ok(None) => assert!(!bytes.is_empty() && !of_our_kind),
        Err(_) => assert!(bytes.is_empty() || (of_our_kind && bytes.len() != Leaf::BYTES)),
    }
});
