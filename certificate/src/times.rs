//! Seconds since 1970 as people in London and in Beijing write them.

use krilla::metadata::DateTime;
use time::{OffsetDateTime, UtcOffset};

/// `2026-11-28 06:03:22`, in UTC.
pub(crate) fn utc(seconds: u64) -> String {
    written(seconds, UtcOffset::UTC)
}

/// `2026-11-28 14:03:22`, in Beijing, where no clock was ever changed for summer since 1991.
pub(crate) fn beijing(seconds: u64) -> String {
    UtcOffset::from_hms(BEIJING_HOURS, 0, 0)
        .map_or_else(|_| utc(seconds), |offset| written(seconds, offset))
}

/// The time as PDF states it. A PDF has to state one; where none is proven it is the beginning of 1970.
pub(crate) fn pdf_date(seconds: Option<u64>) -> DateTime {
    let time = seconds.and_then(moment).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    DateTime::new(u16::try_from(time.year()).unwrap_or_default())
        .month(u8::from(time.month()))
        .day(time.day())
        .hour(time.hour())
        .minute(time.minute())
        .second(time.second())
        .utc_offset_hour(0)
}

fn written(seconds: u64, offset: UtcOffset) -> String {
    match moment(seconds).and_then(|time| time.checked_to_offset(offset)) {
        Some(time) => format!(
            "{:04}-{:02}-{:02} {:02}:{:02}:{:02}",
            time.year(),
            u8::from(time.month()),
            time.day(),
            time.hour(),
            time.minute(),
            time.second()
        ),
        None => format!("{seconds} s after 1970"),
    }
}

fn moment(seconds: u64) -> Option<OffsetDateTime> {
    i64::try_from(seconds).ok().and_then(|s| OffsetDateTime::from_unix_timestamp(s).ok())
}

const BEIJING_HOURS: i8 = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_moment_in_two_places() {
        assert_eq!(utc(1_795_000_000), "2026-11-18 11:06:40");
        assert_eq!(beijing(1_795_000_000), "2026-11-18 19:06:40");
        assert_eq!(beijing(1798732800), "2027-01-01 00:00:00");
    }

    #[test]
    fn times_out_of_reach_are_said_in_seconds() {
        assert_eq!(utc(u64::MAX), format!("{} s after 1970", u64::MAX));
        assert_eq!(beijing(i64::MAX as u64), format!("{} s after 1970", i64::MAX));
        assert_eq!(pdf_date(Some(u64::MAX)), pdf_date(None));
    }
}
