//! A delivery: one event on its way to one endpoint, and what came of each attempt.

use serde::{Deserialize, Serialize};

use crate::event::EventKind;
use crate::schedule::{RETRY_AFTER_MAX, wait};
use crate::send::Answered;

/// An event for an endpoint.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Delivery {
    /// Its number among those of its endpoint.
    pub id: u64,
    /// The `webhook-id`: of the event, and the same at each attempt.
    pub event_id: String,
    /// What kind of event it is.
    pub kind: EventKind,
    /// The body, byte for byte as it is signed and sent.
    pub payload: String,
    /// When the event was noticed.
    pub created: u64,
    /// What has come of it.
    pub state: State,
    /// The last attempts, oldest first.
    pub attempts: Vec<Attempt>,
    /// Attempts since it was put in line last.
    pub(crate) tries: u32,
}

/// What has come of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It waits for an attempt.
    Pending {
        /// When that is made, unless its endpoint is disabled.
        next: u64,
    },
    /// It was answered with success.
    Delivered,
    /// It was given up.
    Failed,
}

/// An attempt to deliver.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Attempt {
    /// When it was made.
    pub at: u64,
    /// How long it took.
    pub milliseconds: u64,
    /// The status of the answer, if there was one.
    pub status: Option<u16>,
    /// Why there was none.
    pub error: Option<String>,
}

/// Deliveries of an endpoint, newest first.
#[derive(Debug)]
pub struct Page {
    /// The deliveries.
    pub deliveries: Vec<Delivery>,
    /// Before which to go on, if there are more.
    pub next: Option<u64>,
}

impl Delivery {
    /// Takes note of an attempt; `random` moves the next one a little.
    pub(crate) fn note(&mut self, answered: &Answered, random: u32) {
        self.attempts.push(answered.attempt.clone());
        let over = self.attempts.len().saturating_sub(ATTEMPTS_KEPT);
        self.attempts.drain(..over);
        self.tries = self.tries.saturating_add(1);
        let later = answered.retry_after.unwrap_or(0).min(RETRY_AFTER_MAX);
        self.state = match wait(self.tries, random) {
            _ if answered.is_success() => State::Delivered,
            Some(wait) => State::Pending { next: answered.attempt.at + wait.max(later) },
            None => State::Failed,
        };
    }

    /// Puts it in line anew, with all its attempts before it.
    pub(crate) fn again(&mut self, now: u64) {
        self.tries = 0;
        self.state = State::Pending { next: now };
    }

    /// Whether its last attempt failed.
    pub(crate) fn is_failing(&self) -> bool {
        match self.state {
            State::Failed => true,
            State::Pending { .. } => self.tries > 0,
            State::Delivered => false,
        }
    }
}

const ATTEMPTS_KEPT: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_lead_to_success_or_to_an_end_and_may_begin_anew() {
        let answer = |at, status, retry_after| Answered {
            attempt: Attempt { at, milliseconds: 1, status, error: None },
            retry_after,
        };
        let mut delivery = Delivery {
            id: 1,
            event_id: "evt_1".to_owned(),
            kind: EventKind::Test,
            payload: "{}".to_owned(),
            created: 10,
            state: State::Pending { next: 10 },
            attempts: Vec::new(),
            tries: 0,
        };
        delivery.note(&answer(10, Some(500), None), 0);
        assert_eq!(delivery.state, State::Pending { next: 15 });
        delivery.note(&answer(15, None, None), 0);
        assert_eq!(delivery.state, State::Pending { next: 315 });
        delivery.note(&answer(315, Some(429), Some(5000)), 0);
        assert_eq!(delivery.state, State::Pending { next: 5315 }, "the receiver wants more time");
        delivery.note(&answer(6000, Some(503), Some(u64::MAX)), 0);
        assert_eq!(delivery.state, State::Pending { next: 6000 + 86_400 }, "within reason");
        for _ in 0..6 {
            assert!(delivery.is_failing());
            delivery.note(&answer(7000, Some(302), None), 0);
        }
        assert_eq!(delivery.state, State::Failed, "after ten attempts");
        delivery.again(9000);
        assert!(!delivery.is_failing());
        delivery.note(&answer(9000, Some(204), None), 0);
        assert_eq!((delivery.state, delivery.attempts.len()), (State::Delivered, 11));
    }
}
