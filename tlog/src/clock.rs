//! What time it is, for as long as this machine's clock can be believed.
//!
//! Whoever states a time under a signature must not do so by a clock that somebody has just set. So the
//! system's clock is held against the monotonic one, which nobody can set: when the two have come apart since
//! the start, no more times are given until a restart, at which the operator answers for the clock. A clock
//! that was wrong at the start and stays so cannot be noticed here.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

/// A clock that stops giving the time when it was set.
pub struct Clock {
    read: Box<dyn Fn() -> Reading + Send + Sync>,
    start: Reading,
    stepped: AtomicBool,
}

/// Both clocks at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// Since 1970, as the system says; zero where it says a time before.
    pub system: Duration,
    /// Since some moment before the clock was made. Linux does not count time in suspension, so that a machine
    /// that slept gives no time either.
    pub monotonic: Duration,
}

impl Clock {
    /// How far the two clocks may come apart. NTP slews both alike; what is left is a leap second or two.
    pub const STEP_MAX: Duration = Duration::from_secs(5);

    /// This machine's clock.
    pub fn system() -> Clock {
        let start = Instant::now();
        Clock::reading(move || Reading {
            system: SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default(),
            monotonic: start.elapsed(),
        })
    }

    /// A clock made of these readings.
    pub fn reading(read: impl Fn() -> Reading + Send + Sync + 'static) -> Clock {
        let start = read();
        Clock { read: Box::new(read), start, stepped: AtomicBool::new(false) }
    }

    /// Seconds since 1970, never 0.
    pub fn now(&self) -> Result<u64, ClockStepped> {
        let now = (self.read)();
        let expected = self.start.system + now.monotonic.saturating_sub(self.start.monotonic);
        if now.system.abs_diff(expected) > Clock::STEP_MAX || now.system.as_secs() == 0 {
            self.stepped.store(true, Ordering::Relaxed);
        }
        if self.stepped.load(Ordering::Relaxed) {
            Err(ClockStepped)
        } else {
            Ok(now.system.as_secs())
        }
    }
}

/// What the system's clock says, in seconds since 1970, whether or not it was set meanwhile: for when things run out, and
/// for what says of its time that it is no proof.
pub fn system_seconds() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// The system's clock was set while this process ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this machine's clock was set while the program ran; no time is stated until it starts again"
)]
pub struct ClockStepped;

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicU64;

    use super::*;

    fn clock() -> (Clock, Arc<[AtomicU64; 2]>) {
        let seconds = Arc::new([AtomicU64::new(1_000_000), AtomicU64::new(50)]);
        let read = seconds.clone();
        let at = move |i: usize| Duration::from_secs(read[i].load(Ordering::Relaxed));
        (Clock::reading(move || Reading { system: at(0), monotonic: at(1) }), seconds)
    }

    #[test]
    fn time_goes_on_and_small_steps_are_tolerated() {
        let (clock, seconds) = clock();
        assert_eq!(clock.now(), Ok(1_000_000));
        for clock in seconds.iter() {
            clock.fetch_add(86_400, Ordering::Relaxed);
        }
        assert_eq!(clock.now(), Ok(1_086_400));
        seconds[0].fetch_sub(5, Ordering::Relaxed);
        assert_eq!(clock.now(), Ok(1_086_395));
    }

    #[test]
    fn after_a_step_in_either_direction_there_is_no_more_time() {
        for to in [1_000_006, 999_994, 0, u64::from(u32::MAX)] {
            let (clock, seconds) = clock();
            seconds[0].store(to, Ordering::Relaxed);
            assert_eq!(clock.now(), Err(ClockStepped), "{to}");
            seconds[0].store(1_000_000, Ordering::Relaxed);
            assert_eq!(clock.now(), Err(ClockStepped), "setting it back proves nothing");
        }
    }

    #[test]
    fn the_real_clock_is_past_2020() {
        assert!(Clock::system().now().unwrap() > 1_577_836_800);
    }
}
