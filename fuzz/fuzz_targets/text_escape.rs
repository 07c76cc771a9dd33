//! Any bytes become one line that gives them back; no other line gives the same bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use timemark_verify::{escape, unescape};

fuzz_target!(|bytes: &[u8]| {
    let line = escape(bytes);
    assert!(!line.contains(char::is_control));
    assert!(!line.starts_with(' ') && !line.ends_with(' '));
    assert_eq!(unescape(&line).as_deref(), Ok(bytes));

    if let Ok(line) = str::from_utf8(bytes)
        && let Ok(value) = unescape(line)
    {
        assert_eq!(escape(&value), line);
    }
});
