//! What time it is, in whole seconds that can be answered for: a clock that stops rather than says a
//! wrong time.
//!
//! It knows nothing of time-stamps; whoever signs a time may use it.
//!
//! * The system's clock may be set by anybody with the right to do so; the monotonic clock cannot. Linux
//!   lets both run at the same disciplined rate, so that between them only a step makes a difference.
//! * What was said once is never contradicted: the time does not go back, not even across a restart, if
//!   the caller keeps what was said last and gives it to [`Clock::continue_from`].
//! * A [`ClockFault`] stays until the process is started again, because after a step nobody here knows
//!   which time was right: the one before or the one after. A person has to look.
//!
//! A machine that sleeps looks like a step forward, since the monotonic clock stands still meanwhile.
//! That is intended: a machine that sleeps should not be a witness.

use std::time::{Duration, Instant, SystemTime};

/// What both clocks show at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// Time since 1970 in UTC, as the system's clock has it. Before 1970 is zero.
    pub utc: Duration,
    /// Time since any fixed moment of this run, by a clock that cannot be set.
    pub monotonic: Duration,
}

/// Says the time, or refuses to for good.
pub struct Clock {
    read: Box<dyn FnMut() -> Reading + Send>,
    first: Reading,
    /// The latest second that was ever said.
    said: u64,
    fault: Option<ClockFault>,
}

/// Why a clock no longer says the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClockFault {
    /// The system's clock was set, or the machine slept.
    #[error(
        "the system's clock stepped by {} s against the monotonic clock; set it right and start again",
        seconds(*.millis)
    )]
    Stepped {
        /// By how much; negative is backwards.
        millis: i64,
    },
    /// The time is earlier than one that was said before.
    #[error(
        "the system's clock shows {now} s since 1970, before {said} s, which was said already; set it right and start again"
    )]
    Behind {
        /// What the system's clock shows, in seconds since 1970.
        now: u64,
        /// The latest second that was said.
        said: u64,
    },
}

impl Clock {
    /// The clock of this machine.
    pub fn system() -> Clock {
        let start = Instant::now();
        Clock::from_readings(move || system_reading(start))
    }

    /// A clock that reads elsewhere: another source of time, or a test's.
    pub fn from_readings(mut read: impl FnMut() -> Reading + Send + 'static) -> Clock {
        let first = read();
        Clock { read: Box::new(read), first, said: 0, fault: None }
    }

    /// From now on nothing before this second, which an earlier run said last, is said.
    pub fn continue_from(&mut self, said: u64) {
        self.said = self.said.max(said);
    }

    /// Seconds since 1970, rounded down. Never less than before.
    pub fn now(&mut self) -> Result<u64, ClockFault> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let reading = (self.read)();
        let result = self.judge(reading);
        match result {
            Ok(now) => self.said = now,
            Err(fault) => self.fault = Some(fault),
        }
        result
    }

    /// What stopped the clock, if something did.
    pub const fn fault(&self) -> Option<ClockFault> {
        self.fault
    }

    fn judge(&self, reading: Reading) -> Result<u64, ClockFault> {
        let millis = |later: Duration, earlier: Duration| -> i128 {
            later.as_millis() as i128 - earlier.as_millis() as i128
        };
        let step =
            millis(reading.utc, self.first.utc) - millis(reading.monotonic, self.first.monotonic);
        if step.unsigned_abs() > u128::from(STEP_MILLIS_MAX + DRIFT_MILLIS_MAX) {
            let bound = step.clamp(i64::MIN.into(), i64::MAX.into());
            return Err(ClockFault::Stepped { millis: bound as i64 });
        }
        let now = reading.utc.as_secs();
        if now < self.said { Err(ClockFault::Behind { now, said: self.said }) } else { Ok(now) }
    }
}

fn system_reading(start: Instant) -> Reading {
    let read = || {
        let before = start.elapsed();
        let utc = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let after = start.elapsed();
        (Reading { utc, monotonic: before }, after.saturating_sub(before))
    };
    // A process that is paused between the two readings would see a step that never was.
    let mut nearest = read();
    for _ in 1..READ_TRIES_MAX {
        if nearest.1 <= READ_PAUSE_MAX {
            break;
        }
        let again = read();
        if again.1 < nearest.1 {
            nearest = again;
        }
    }
    nearest.0
}

fn seconds(millis: i64) -> String {
    let sign = if millis < 0 { "-" } else { "+" };
    format!("{sign}{}.{:03}", millis.unsigned_abs() / 1000, millis.unsigned_abs() % 1000)
}

/// The greatest step that goes unnoticed. Not less than a leap second, for which Linux sets the clock
/// back by one second while 23:59:59 is said again; that is right and must not stop every authority at
/// once.
pub const STEP_MILLIS_MAX: u64 = 1_000;

/// What the two clocks may differ besides: rounding, and the moment between the two readings.
pub const DRIFT_MILLIS_MAX: u64 = 100;

const READ_PAUSE_MAX: Duration = Duration::from_millis(10);
const READ_TRIES_MAX: u32 = 10;

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// A clock whose system and monotonic hands, in milliseconds, are moved by the test.
    fn clock_at(utc: u64, monotonic: u64) -> (Clock, Arc<Mutex<(u64, u64)>>) {
        let hands = Arc::new(Mutex::new((utc, monotonic)));
        let shown = hands.clone();
        let clock = Clock::from_readings(move || {
            let (utc, monotonic) = *shown.lock().unwrap();
            Reading { utc: Duration::from_millis(utc), monotonic: Duration::from_millis(monotonic) }
        });
        (clock, hands)
    }

    #[test]
    fn steps_stop_the_clock_and_drift_does_not() {
        let stepped = |millis| Err(ClockFault::Stepped { millis });
        for (utc, monotonic, expected) in [
            (1_000_000, 5_000, Ok(1_000)),
            (1_000_999, 5_999, Ok(1_000)),
            (1_003_600_000, 1_002_605_000, Ok(1_003_600)),
            (1_002_100, 6_000, Ok(1_002)),
            (1_002_101, 6_000, stepped(1_101)),
            (1_031_536_000, 5_000, stepped(1_030_536_000)),
            (1_009_000, 15_000, Ok(1_009)),
            (1_008_900, 15_000, Ok(1_008)),
            (1_008_899, 15_000, stepped(-1_101)),
            (0, 15_000, stepped(-1_010_000)),
        ] {
            let (mut clock, hands) = clock_at(1_000_000, 5_000);
            *hands.lock().unwrap() = (utc, monotonic);
            assert_eq!(clock.now(), expected, "{utc} {monotonic}");
        }
    }

    #[test]
    fn a_fault_stays_when_the_clock_is_set_back_right() {
        let (mut clock, hands) = clock_at(1_000_000, 0);
        *hands.lock().unwrap() = (1_050_000, 10_000);
        let fault = clock.now().unwrap_err();
        assert_eq!(fault, ClockFault::Stepped { millis: 40_000 });
        assert!(fault.to_string().contains("by +40.000 s"), "{fault}");
        *hands.lock().unwrap() = (1_011_000, 11_000);
        assert_eq!((clock.now(), clock.fault()), (Err(fault), Some(fault)));
    }

    #[test]
    fn small_steps_add_up_since_the_start() {
        let (mut clock, hands) = clock_at(1_000_000, 0);
        for step in 1..=11 {
            *hands.lock().unwrap() = (1_000_000 + step * 1_100, step * 1_000);
            assert!(clock.now().is_ok(), "{step}");
        }
        *hands.lock().unwrap() = (1_000_000 + 12 * 1_100, 12 * 1_000);
        assert_eq!(clock.now(), Err(ClockFault::Stepped { millis: 1_200 }));
    }

    #[test]
    fn time_never_goes_back() {
        let (mut clock, hands) = clock_at(1_000_500, 0);
        assert_eq!(clock.now(), Ok(1_000));
        *hands.lock().unwrap() = (1_000_100, 100);
        assert_eq!(clock.now(), Ok(1_000), "back, but not before what was said");
        *hands.lock().unwrap() = (999_900, 200);
        assert_eq!(clock.now(), Err(ClockFault::Behind { now: 999, said: 1_000 }));

        let (mut clock, _) = clock_at(1_000_000, 0);
        clock.continue_from(1_000);
        clock.continue_from(7);
        assert_eq!(clock.now(), Ok(1_000));
        clock.continue_from(1_001);
        assert_eq!(clock.now(), Err(ClockFault::Behind { now: 1_000, said: 1_001 }));
    }

    #[test]
    fn a_leap_second_passes() {
        // 23:59:59.9 is said, then the kernel sets the clock back by a second at midnight.
        let (mut clock, hands) = clock_at(1_000_000, 0);
        *hands.lock().unwrap() = (1_059_999, 59_999);
        assert_eq!(clock.now(), Ok(1_059));
        *hands.lock().unwrap() = (1_059_001, 60_001);
        assert_eq!(clock.now(), Ok(1_059));
        *hands.lock().unwrap() = (1_060_000, 61_000);
        assert_eq!(clock.now(), Ok(1_060));
    }

    #[test]
    fn the_machine_has_a_clock() {
        let mut clock = Clock::system();
        let now = clock.now().unwrap();
        assert!(now > 1_700_000_000, "{now}");
        assert!(clock.now().unwrap() >= now);
    }
}
