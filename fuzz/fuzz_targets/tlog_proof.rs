//! A tlog-proof has one spelling, and its hashes are walked without harm.
#![no_main]

use libfuzzer_sys::fuzz_target;
use timemark_verify::merkle::{self, PROOF_HASHES_MAX};
use timemark_verify::{Anchor, Checkpoint};

fuzz_target!(|text: &str| {
    let Ok(anchor) = Anchor::parse_tlog_proof(text) else { return };
    assert_eq!(anchor.to_tlog_proof(), text);
    assert_eq!(Checkpoint::of_note(anchor.note()).as_ref(), Ok(anchor.checkpoint()));
    let again = Anchor::new(anchor.index, anchor.proof.clone(), anchor.note().clone());
    assert_eq!(again.as_ref(), Ok(&anchor));
    assert!(anchor.proof.len() <= PROOF_HASHES_MAX);
    let (index, size) = (anchor.index, anchor.checkpoint().size);
    let root = merkle::root_from_inclusion(index, size, merkle::leaf_hash(b""), &anchor.proof);
    assert!(index < size || root.is_err());
    let old = (index, merkle::empty_root());
    let _ = merkle::check_consistency(old, (size, anchor.checkpoint().root), &anchor.proof);
});
