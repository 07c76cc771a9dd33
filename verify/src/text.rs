//! One value on one line, in one spelling.
//!
//! A title may hold a line break and a path may hold bytes that are not UTF-8, but a claim is a text
//! of lines that a person reads and a digest covers. So whatever could break a line, hide in it or
//! reorder it on screen is written as `%` and two upper-case hex digits a byte.

use crate::FormatError;

/// Spells these bytes as one line. [`unescape`] gives them back.
pub fn escape(bytes: &[u8]) -> String {
    let mut line = String::with_capacity(bytes.len());
    let mut begun = false;
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            // White space at either end would be invisible.
            if c == '%' || hides(c) || (!begun && c.is_whitespace()) {
                escape_bytes(c.encode_utf8(&mut [0; 4]).as_bytes(), &mut line);
            } else {
                line.push(c);
            }
            begun = true;
        }
        escape_bytes(chunk.invalid(), &mut line);
        begun = true;
    }
    escape_end(&mut line);
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

fn escape_end(line: &mut String) {
    if let Some(c) = line.chars().next_back().filter(|c| c.is_whitespace()) {
        line.truncate(line.len() - c.len_utf8());
        escape_bytes(c.encode_utf8(&mut [0; 4]).as_bytes(), line);
    }
}

/// A decimal number without sign or leading zeros.
pub(crate) fn decimal(digits: &str) -> Option<u64> {
    digits.parse::<u64>().ok().filter(|number| number.to_string() == digits)
}

/// A time of RFC 3339 as seconds since 1970: in UTC, in whole seconds, in its only spelling.
pub(crate) fn seconds_of_utc(time: &str) -> Option<u64> {
    let read: der::DateTime = time.parse().ok()?;
    (read.to_string() == time).then(|| read.unix_duration().as_secs())
}

/// Seconds since 1970 as RFC 3339 in UTC.
pub fn utc(seconds: u64) -> String {
    der::DateTime::from_unix_duration(std::time::Duration::from_secs(seconds))
        .map_or_else(|_| format!("{seconds} s after 1970"), |time| time.to_string())
}

/// Characters that end a line, reorder it, or cannot be seen: control characters, line and paragraph
/// separators, and the Default_Ignorable_Code_Points of Unicode 16 without the variation selectors 15 and
/// 16 of emoji, the blank Braille pattern, and interlinear annotation. The table is part of claim v1 and
/// never changes.
pub(crate) fn hides(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{00AD}'
                | '\u{034F}'
                | '\u{061C}'
                | '\u{115F}'
                | '\u{1160}'
                | '\u{17B4}'
                | '\u{17B5}'
        )
        || matches!(c, '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}')
        || matches!(c, '\u{2060}'..='\u{206F}' | '\u{2800}' | '\u{3164}' | '\u{FE00}'..='\u{FE0D}')
        || matches!(c, '\u{FEFF}' | '\u{FFA0}' | '\u{FFF0}'..='\u{FFFB}')
        || matches!(c, '\u{1BCA0}'..='\u{1BCA3}' | '\u{1D173}'..='\u{1D17A}' | '\u{E0000}'..='\u{E0FFF}')
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
            ("\u{3000}a\u{00A0}".as_bytes(), "%E3%80%80a%C2%A0"),
            ("a\u{00AD}\u{E0041}b ❤\u{FE0F}".as_bytes(), "a%C2%AD%F3%A0%81%81b ❤\u{FE0F}"),
        ] {
            assert_eq!(escape(bytes), line);
            assert_eq!(unescape(line).unwrap(), bytes);
        }
    }

    #[test]
    fn times() {
        for (time, seconds) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2040-02-29T23:59:59Z", Some(2_214_172_799)),
            ("2041-02-29T00:00:00Z", None),
            ("2040-02-29T23:59:60Z", None),
            ("2040-02-29T23:59:59", None),
            ("2040-02-29T23:59:59.0Z", None),
            ("2040-02-29T23:59:59+00:00", None),
            ("2040-02-29t23:59:59z", None),
            ("2040-2-29T23:59:59Z", None),
            ("1969-12-31T23:59:59Z", None),
            ("", None),
        ] {
            assert_eq!(seconds_of_utc(time), seconds, "{time}");
            assert!(seconds.is_none_or(|seconds| utc(seconds) == time));
        }
        assert_eq!(utc(u64::MAX), "18446744073709551615 s after 1970");
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
        fn nothing_hides_in_a_line_that_is_read(line in "(?s).{0,20}|[ %0-9A-Fa-f]{0,12}") {
            if unescape(&line).is_ok() {
                prop_assert!(!line.contains(hides) && line.trim() == line);
            }
        }
    }
}
