//! The text of an action prints back byte for byte, or is refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use timemark_verify::{Action, Leaf};

fuzz_target!(|text: &str| {
    let Ok(action) = Action::parse(text) else { return };
    assert_eq!(action.to_text(), text);
    assert!(Action::is_entry(&action.to_entry()));
    assert_eq!(Leaf::parse(&action.to_entry()), Ok(None));
});
