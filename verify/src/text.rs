//! One value on one line, in one spelling.
//!
//! A title may hold a line break and a path may hold bytes that are not UTF-8, but a claim is a text
//! of lines that a person reads and a digest covers. So whatever could break a line, hide in it or
//! reorder it on screen is written as `%` and two upper-case hex digits a byte.

use crate::FormatError;

/// Spells these bytes as one line. [`unescape`] gives them back.
pub fn escape(bytes: &[u8]) -> String {
    let mut line = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c == '%' || hides(c) {
                escape_bytes(c.encode_utf8(&mut [0; 4]).as_bytes(), &mut line);
            } else {
                line.push(c);
            }
        }
        escape_bytes(chunk.invalid(), &mut line);
    }
    // A space at either end would be invisible.
    if line.ends_with(' ') {
        line.truncate(line.len() - 1);
        line.push_str("%20");
    }
    if line.starts_with(' ') {
        line.replace_range(..1, "%20");
    }
    line
}

/// The bytes behind a line that [`escape`] wrote; any other spelling of them is refused.
pub fn unescape(line: &str) -> Result<Vec<u8>, FormatError> {
    let bad = || FormatError::new("text", format!("{line:?} is not in its only spelling"));
    let mut bytes = Vec::with_capacity(line.len());
    let mut rest = line.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        if byte == b'%' {
            let (digits, after) = after.split_at_checked(2).ok_or_else(bad)?;
            let value = data_encoding::HEXUPPER.decode(digits).map_err(|_| bad())?;
            bytes.extend_from_slice(&value);
            rest = after;
        } else {
            bytes.push(byte);
            rest = after;
        }
    }
    if escape(&bytes) == line { Ok(bytes) } else { Err(bad()) }
}

/// The bytes behind standard base64 with padding, in its only spelling. (`BASE64.decode` alone also
/// reads several padded texts in a row.)
pub(crate) fn base64(text: &str) -> Option<Vec<u8>> {
    let bytes = data_encoding::BASE64.decode(text.as_bytes()).ok()?;
    (data_encoding::BASE64.encode(&bytes) == text).then_some(bytes)
}

fn escape_bytes(bytes: &[u8], line: &mut String) {
    for byte in bytes {
        line.push('%');
        line.push_str(&data_encoding::HEXUPPER.encode(&[*byte]));
    }
}

/// Control characters, line and paragraph separators, and the invisible characters that reorder or
/// join text (Unicode bidirectional controls, zero-width characters, the byte order mark).
fn hides(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}')
        || matches!(c, '\u{061C}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_a_person_reads() {
        for (bytes, line) in [
            ("山水 100%".as_bytes(), "山水 100%25"),
            (b"a\nb\tc", "a%0Ab%09c"),
            (b" a ", "%20a%20"),
            (b" ", "%20"),
            (b"photo\xFF.jpg", "photo%FF.jpg"),
            ("evil\u{202E}gpj.exe".as_bytes(), "evil%E2%80%AEgpj.exe"),
            (b"", ""),
        ] {
            assert_eq!(escape(bytes), line);
            assert_eq!(unescape(line).unwrap(), bytes);
        }
    }

    #[test]
    fn other_spellings_are_refused() {
        for line in ["%41", "%", "%4", "%0a", "a\tb", " a", "a ", "%2", "%GG", "\u{202E}"] {
            assert!(unescape(line).is_err(), "{line:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_come_back(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let line = escape(&bytes);
            prop_assert!(!line.contains('\n'));
            prop_assert_eq!(unescape(&line).unwrap(), bytes);
        }

        #[test]
        fn a_line_has_one_meaning_or_none(line in "\\PC{0,20}|[ %0-9A-Fa-f]{0,12}") {
            if let Ok(bytes) = unescape(&line) {
                prop_assert_eq!(escape(&bytes), line);
            }
        }
    }
}
