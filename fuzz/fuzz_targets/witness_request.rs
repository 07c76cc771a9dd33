//! A request to a witness has one spelling, and a proof of at most so many hashes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use timemark_fuzz::witness_request::AddCheckpoint;
use timemark_verify::Checkpoint;
use timemark_verify::merkle::{check_consistency, empty_root};

fuzz_target!(|body: &[u8]| {
    let Ok(request) = AddCheckpoint::parse(body) else { return };
    assert_eq!(request.to_string().as_bytes(), body);
    assert!(request.proof.len() <= AddCheckpoint::PROOF_LINES_MAX);
    // What a witness does next with it.
    if let Ok(checkpoint) = Checkpoint::of_note(&request.note) {
        let new = (checkpoint.size, checkpoint.root);
        let _ = check_consistency((request.old, empty_root()), new, &request.proof);
    }
});
