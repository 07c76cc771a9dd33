//! A verifier key has one spelling, and no key accepts a signature of zeros.
#![no_main]

use libfuzzer_sys::fuzz_target;
use timemark_verify::merkle::empty_root;
use timemark_verify::{Checkpoint, Note, NoteSignature, VerifierKey};

fuzz_target!(|text: &str| {
    let Ok(key) = text.parse::<VerifierKey>() else { return };
    assert_eq!(key.to_string(), text);
    assert_eq!(VerifierKey::new(key.name(), key.kind(), key.key_bytes()), Ok(key.clone()));
    let checkpoint = Checkpoint { origin: key.name().to_owned(), size: 0, root: empty_root() };
    let note = Note::new(checkpoint.to_string(), Vec::new());
    let Ok(note) = note else { return };
    for bytes in [vec![0; 64], vec![0; 72], vec![0; 2428], text.as_bytes().to_vec()] {
        let (name, key_id) = (key.name().to_owned(), key.key_id());
        let signature = NoteSignature { name, key_id, bytes };
        assert!(key.check(&note, &checkpoint, &signature).is_err());
    }
});
