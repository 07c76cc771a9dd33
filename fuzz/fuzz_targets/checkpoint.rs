//! A checkpoint's first three lines have one spelling; what follows changes nothing.
#![no_main]

use libfuzzer_sys::fuzz_target;
use timemark_verify::Checkpoint;

fuzz_target!(|text: &str| {
    let Ok(checkpoint) = Checkpoint::parse(text) else { return };
    let three_lines = checkpoint.to_string();
    assert!(text.starts_with(&three_lines));
    assert_eq!(three_lines.lines().count(), 3);
    assert_eq!(Checkpoint::parse(&three_lines), Ok(checkpoint));
});
