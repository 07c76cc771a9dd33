//! When something was noticed or sent, as this machine's clock says it: for receivers and people, and no proof of anything.

use std::time::SystemTime;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |now| now.as_secs())
}

/// Seconds since 1970 as RFC 3339 in UTC.
pub fn utc(seconds: u64) -> String {
    let time =
        i64::try_from(seconds).ok().and_then(|s| OffsetDateTime::from_unix_timestamp(s).ok());
    time.and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_else(|| format!("{seconds} s after 1970"))
}

/// A time of RFC 3339 in seconds since 1970; `None` for what is none, or before 1970.
pub fn seconds(text: &str) -> Option<u64> {
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    time.unix_timestamp().try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_they_are_written() {
        assert_eq!(utc(1_674_087_231), "2023-01-19T00:13:51Z");
        assert_eq!(seconds("2023-01-19T00:13:51Z"), Some(1_674_087_231));
        assert_eq!(seconds("2023-01-19T01:13:51.9+01:00"), Some(1_674_087_231));
        for text in ["", "2023-01-19", "1969-12-31T23:59:59Z", "1674087231"] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }
}
