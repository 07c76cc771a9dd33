//! A moment as ASN.1 spells it, in seconds since 1970.

use der::Tag;

use super::element::Element;
use crate::FormatError;

/// A moment in UTC; negative before 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment {
    pub seconds: i64,
    pub nanos: u32,
}

impl Moment {
    /// The genTime of a token: seconds are present, the zone is `Z`, and a fraction may follow
    /// (RFC 3161 section 2.4.2). Zeros at the end of a fraction, which DER forbids, change nothing and
    /// are met with, so they are read.
    pub fn of_gen_time(element: &Element<'_>) -> Result<Moment, FormatError> {
        let fault = || element.bad("the time is not a GeneralizedTime of RFC 3161");
        let text = element.value.strip_suffix(b"Z").ok_or_else(fault)?;
        let (whole, rest) = text.split_at_checked(14).ok_or_else(fault)?;
        let nanos = match rest.split_first() {
            None => 0,
            Some((b'.', digits)) if (1..=FRACTION_DIGITS_MAX).contains(&digits.len()) => {
                // What is finer than a nanosecond is left out.
                let nine = digits.iter().copied().chain(std::iter::repeat(b'0')).take(9);
                if !digits.iter().all(u8::is_ascii_digit) {
                    return Err(fault());
                }
                nine.fold(0, |nanos, digit| nanos * 10 + u32::from(digit - b'0'))
            }
            Some(_) => return Err(fault()),
        };
        Ok(Moment { seconds: civil_seconds(whole).ok_or_else(fault)?, nanos })
    }

    /// A date in a certificate: UTCTime up to 2049, GeneralizedTime after (RFC 5280 section 4.1.2.5).
    pub fn of_validity(element: &Element<'_>) -> Result<Moment, FormatError> {
        let text = element.value.strip_suffix(b"Z");
        let seconds = match (element.tag, text) {
            (Tag::UtcTime, Some(text)) if text.len() == 12 => {
                let century: &[u8] = if text < &b"50"[..] { b"20" } else { b"19" };
                civil_seconds(&[century, text].concat())
            }
            (Tag::GeneralizedTime, Some(text)) => civil_seconds(text),
            _ => None,
        };
        let seconds = seconds.ok_or_else(|| element.bad("a validity date is malformed"))?;
        Ok(Moment { seconds, nanos: 0 })
    }
}

/// Longest fraction of a second in digits; nanoseconds need nine.
const FRACTION_DIGITS_MAX: usize = 18;

/// The seconds since 1970 of `YYYYMMDDHHMMSS`.
fn civil_seconds(text: &[u8]) -> Option<i64> {
    if text.len() != 14 || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = |digits: &[u8]| digits.iter().fold(0, |n, d| n * 10 + i64::from(d - b'0'));
    let (year, rest) = text.split_at_checked(4)?;
    let year = number(year);
    let mut pairs = rest.chunks(2).map(number);
    let (month, day) = (pairs.next()?, pairs.next()?);
    let (hour, minute, second) = (pairs.next()?, pairs.next()?, pairs.next()?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let month_days = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    let real = (1..=12).contains(&month) && (1..=month_days).contains(&day);
    if !real || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    // Years that begin in March put the leap day last: 153 days in five months, then counted from 1970.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leaps = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    let days = 365 * year + leaps + (153 * month + 2) / 5 + day - 1 - 719_468;
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<(i64, u32)>) {
        let bytes = super::super::element::encode(0x18, &[text.as_bytes()]);
        let element = Element::only("time", &bytes, Tag::GeneralizedTime).unwrap();
        let moment = Moment::of_gen_time(&element).ok().map(|m| (m.seconds, m.nanos));
        assert_eq!(moment, expected, "{text}");
    }

    #[test]
    fn gen_time() {
        check("19700101000000Z", Some((0, 0)));
        check("20000229235959Z", Some((951_868_799, 0)));
        check("20380119031408.5Z", Some((2_147_483_648, 500_000_000)));
        check("20380119031408.50Z", Some((2_147_483_648, 500_000_000)));
        check("20380119031408.0000000019Z", Some((2_147_483_648, 1)));
        check("99991231235959Z", Some((253_402_300_799, 0)));
        check("00000101000000Z", Some((-62_167_219_200, 0)));
        for bad in [
            "",
            "Z",
            "197001010000Z",
            "19700101000000",
            "19700101000000+0000",
            "19700101000000.Z",
            "19700101000000,5Z",
            "19700101000000.5",
            "19700101000000.+5Z",
            "19700101000000.0000000000000000001Z",
            "20010229000000Z",
            "19000229000000Z",
            "20010001000000Z",
            "20011301000000Z",
            "20010100000000Z",
            "20010432000000Z",
            "20010431000000Z",
            "20010101240000Z",
            "20010101006000Z",
            "20010101000060Z",
            "2001010100000:Z",
        ] {
            check(bad, None);
        }
    }

    #[test]
    fn validity() {
        let seconds = |identifier, text: &str| {
            let bytes = super::super::element::encode(identifier, &[text.as_bytes()]);
            let mut elements = super::super::element::Elements::of("time", &bytes).unwrap();
            Moment::of_validity(&elements.any().unwrap()).ok().map(|m| m.seconds)
        };
        assert_eq!(seconds(0x17, "491231235959Z"), Some(2_524_607_999));
        assert_eq!(seconds(0x17, "500101000000Z"), Some(-631_152_000));
        assert_eq!(seconds(0x18, "20500101000000Z"), Some(2_524_608_000));
        assert_eq!(seconds(0x17, "4912312359Z"), None);
        assert_eq!(seconds(0x18, "20500101000000.5Z"), None);
        assert_eq!(seconds(0x04, "20500101000000Z"), None);
    }
}
