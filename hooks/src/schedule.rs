//! When a delivery that failed is tried again: the schedule of Standard Webhooks, over three days.

/// How long to wait after so many attempts that failed, somewhat at random; `None` where it is given up.
pub(crate) fn wait(tries: u32, random: u32) -> Option<u64> {
    let delay = *DELAYS.get(usize::try_from(tries).ok()?.checked_sub(1)?)?;
    // Up to a fifth more, so that what failed together does not come back together.
    Some(delay + delay * u64::from(random) / (5 * u64::from(u32::MAX)))
}

/// After how long without one success an endpoint is sent nothing more: the last attempt of a delivery comes later.
pub(crate) const FAILING_SECONDS_MAX: u64 = 3 * 86_400;
/// The longest `Retry-After` that is heeded.
pub(crate) const RETRY_AFTER_MAX: u64 = 86_400;

const DELAYS: [u64; 9] = [5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_is_tried_ten_times_over_three_days_and_some() {
        let mut all = 0;
        for tries in 1..10 {
            let least = wait(tries, 0).unwrap();
            let most = wait(tries, u32::MAX).unwrap();
            assert_eq!(most, least + least / 5, "{tries}");
            all += least;
        }
        assert_eq!(all, 75 * 3600 + 35 * 60 + 5, "as the specification advises");
        assert!(all > FAILING_SECONDS_MAX);
        for tries in [0, 10, 11, u32::MAX] {
            assert_eq!(wait(tries, 0), None, "{tries}");
        }
    }
}
