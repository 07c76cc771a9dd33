//! A signed note has one spelling.
#![no_main]

use libfuzzer_sys::fuzz_target;
use timemark_verify::Note;

fuzz_target!(|text: &str| {
    let Ok(note) = Note::parse(text) else { return };
    assert_eq!(note.to_string(), text);
    assert!((1..=Note::SIGNATURES_MAX).contains(&note.signatures().len()));
    assert_eq!(Note::new(note.text().to_owned(), note.signatures().to_vec()).as_ref(), Ok(&note));
});
