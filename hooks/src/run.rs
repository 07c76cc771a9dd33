//! The one thread that follows what happens, puts deliveries in line, and has them sent.
//!
//! It writes down what is to be sent before it is sent, and what came of it after: what a crash takes in between is sent
//! once more. Each attempt has a thread of its own, which nobody waits for at the end.

use std::collections::{HashMap, HashSet};
use std::sync::PoisonError;
use std::sync::mpsc::RecvTimeoutError;
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::Value;

use crate::clock::{now, utc};
use crate::delivery::{Delivery, State};
use crate::endpoint::{Disabled, Endpoint, Reason};
use crate::error::HookError;
use crate::event::{Event, Happened};
use crate::hooks::Hooks;
use crate::schedule::{FAILING_SECONDS_MAX, RETRY_AFTER_MAX};
use crate::send::{Answered, Order};
use crate::store::{Failure, Tables};

/// What the thread that sends is told.
pub(crate) enum Signal {
    /// There may be something to send.
    Wake,
    /// An attempt at this delivery of this endpoint is over.
    Done(String, u64, Answered),
    /// It is to end.
    End,
}

/// What is being sent, and to whom nothing is sent for a while.
#[derive(Default)]
struct Underway {
    flights: HashSet<(String, u64)>,
    /// Endpoints with too much to do, and until when.
    paused: HashMap<String, u64>,
    /// With whom to begin, so that each is first sometimes.
    turn: usize,
}

impl Hooks {
    /// Follows and sends until [`Hooks::stop`]. What goes wrong on this side is told once, and tried again.
    pub fn run(&self, tell: &dyn Fn(&str)) {
        let inbox = self.inbox.lock().unwrap_or_else(PoisonError::into_inner);
        let mut underway = Underway::default();
        let mut told = String::new();
        let mut done = Vec::new();
        loop {
            let round = self.round(&mut underway, &mut done);
            let wait = match &round {
                Ok(true) => Duration::ZERO,
                Ok(false) => INTERVAL,
                Err(_) => INTERVAL_AFTER_FAILURE,
            };
            let words = round.err().map(|error| in_words(&error)).unwrap_or_default();
            if !words.is_empty() && words != told {
                tell(&format!("webhooks wait, as something failed here: {words}"));
            }
            told = words;
            let mut next = inbox.recv_timeout(wait);
            loop {
                match next {
                    Ok(Signal::Wake) => {}
                    Ok(Signal::Done(endpoint, id, answered)) => {
                        done.push((endpoint, id, answered));
                    }
                    Ok(Signal::End) | Err(RecvTimeoutError::Disconnected) => {
                        return self.end(&inbox, &mut underway, done, tell);
                    }
                    Err(RecvTimeoutError::Timeout) => break,
                }
                next = inbox.recv_timeout(Duration::ZERO);
            }
        }
    }

    /// One look at everything. Whether there is more to do at once.
    fn round(
        &self,
        underway: &mut Underway,
        done: &mut Vec<(String, u64, Answered)>,
    ) -> Result<bool, HookError> {
        if !done.is_empty() {
            self.note(done, underway)?;
        }
        let endpoints = self.endpoints()?;
        let endpoints: Vec<Endpoint> =
            endpoints.into_iter().filter(|endpoint| endpoint.disabled.is_none()).collect();
        if endpoints.is_empty() {
            return Ok(false);
        }
        let is_more = self.follow(&endpoints)?;
        self.send_what_is_due(&endpoints, underway)?;
        Ok(is_more)
    }

    /// Puts in line what happened since each endpoint heard of something last. An endpoint with much in line is left where
    /// it is: the sources keep the rest for it.
    fn follow(&self, endpoints: &[Endpoint]) -> Result<bool, HookError> {
        let mut is_more = false;
        for source in &self.sources {
            let mut read: Option<(u64, Happened)> = None; // most are at the same place
            for endpoint in endpoints.iter().filter(|e| e.events.contains(&source.kind())) {
                let cursor = self.store.read(|view| {
                    let is_full = view.pending(&endpoint.id, PENDING_MAX)? == PENDING_MAX;
                    Ok(view.cursor(&endpoint.id, source.name())?.filter(|_| !is_full))
                })?;
                let Some(cursor) = cursor else { continue };
                if read.as_ref().is_none_or(|(from, _)| *from != cursor) {
                    read = Some((cursor, source.since(cursor).map_err(HookError::Source)?));
                }
                let Some((_, happened)) = &read else { continue };
                if happened.next != cursor {
                    self.store.write(|tables| {
                        take_in(tables, &endpoint.id, source.name(), cursor, happened)
                    })?;
                    is_more = true;
                }
            }
        }
        Ok(is_more)
    }

    fn send_what_is_due(
        &self,
        endpoints: &[Endpoint],
        underway: &mut Underway,
    ) -> Result<(), HookError> {
        let now = now();
        underway.paused.retain(|_, until| now < *until);
        underway.turn = underway.turn.wrapping_add(1);
        for i in 0..endpoints.len() {
            let endpoint = &endpoints[(i + underway.turn) % endpoints.len()];
            if underway.paused.contains_key(&endpoint.id) {
                continue;
            }
            let flying = underway.flights.iter().filter(|(id, _)| *id == endpoint.id).count();
            let all = FLIGHTS_MAX.saturating_sub(underway.flights.len());
            let room = FLIGHTS_PER_ENDPOINT_MAX.saturating_sub(flying).min(all);
            if room == 0 {
                continue;
            }
            let due = self.store.read(|view| {
                let due = view.due(&endpoint.id, now, flying + room)?.into_iter();
                let due = due.filter(|id| !underway.flights.contains(&(endpoint.id.clone(), *id)));
                let due = due.take(room).map(|id| view.delivery(&endpoint.id, id));
                due.collect::<Result<Vec<_>, _>>()
            })?;
            for delivery in due.into_iter().flatten() {
                let flight = (endpoint.id.clone(), delivery.id);
                if self.take_off(endpoint, delivery, now) {
                    underway.flights.insert(flight);
                }
            }
        }
        Ok(())
    }

    /// Whether a thread could be had for the attempt.
    fn take_off(&self, endpoint: &Endpoint, delivery: Delivery, now: u64) -> bool {
        let order = Order {
            endpoint: endpoint.id.clone(),
            delivery: delivery.id,
            url: endpoint.url.clone(),
            event_id: delivery.event_id,
            payload: delivery.payload,
            secrets: endpoint.signing(now),
        };
        let (postman, signals) = (self.postman.clone(), self.signals.clone());
        let sending = thread::Builder::new().name("webhook".to_owned()).spawn(move || {
            let answered = postman.send(&order);
            // Nobody listens any more after the end: it is sent again after the next start.
            let _ = signals.send(Signal::Done(order.endpoint, order.delivery, answered));
        });
        sending.is_ok()
    }

    /// Writes down what came of attempts. If that fails they are still there to be written down.
    fn note(
        &self,
        done: &mut Vec<(String, u64, Answered)>,
        underway: &mut Underway,
    ) -> Result<(), HookError> {
        self.store.write(|tables| {
            done.iter().try_for_each(|(id, delivery, answered)| {
                let mut random = [0; 4];
                // Without it the time is exactly that of the schedule.
                let _ = getrandom::fill(&mut random);
                record(tables, id, *delivery, answered, u32::from_ne_bytes(random))
            })
        })?;
        for (endpoint, delivery, answered) in done.drain(..) {
            if answered.is_busy() {
                let wait = answered.retry_after.unwrap_or(BUSY_SECONDS).min(RETRY_AFTER_MAX);
                underway.paused.insert(endpoint.clone(), answered.attempt.at + wait);
            }
            underway.flights.remove(&(endpoint, delivery));
        }
        Ok(())
    }

    /// Gives attempts under way a moment to be answered, and writes down what came of them.
    fn end(
        &self,
        inbox: &std::sync::mpsc::Receiver<Signal>,
        underway: &mut Underway,
        mut done: Vec<(String, u64, Answered)>,
        tell: &dyn Fn(&str),
    ) {
        let end = Instant::now() + GRACE;
        while done.len() < underway.flights.len() {
            match inbox.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(Signal::Done(endpoint, id, answered)) => done.push((endpoint, id, answered)),
                Ok(_) => {}
                Err(_) => break,
            }
        }
        if !done.is_empty()
            && let Err(error) = self.note(&mut done, underway)
        {
            tell(&format!("deliveries will be made once more: {}", in_words(&error)));
        }
    }
}

/// Takes in what happened for an endpoint, unless it was changed meanwhile.
fn take_in(
    tables: &mut Tables<'_>,
    id: &str,
    source: &str,
    cursor: u64,
    happened: &Happened,
) -> Result<(), Failure> {
    if tables.cursor(id, source)? != Some(cursor) {
        return Ok(());
    }
    let mut endpoint = tables.endpoint(id)?;
    let now = now();
    for event in &happened.events {
        put_in_line(tables, &mut endpoint, event, now)?;
    }
    tables.put_cursor(id, source, Some(happened.next))?;
    tables.prune(
        id,
        endpoint.next_delivery.saturating_sub(KEPT_MAX),
        now.saturating_sub(KEPT_SECONDS),
    )?;
    tables.put_endpoint(&endpoint)
}

/// Makes a delivery of an event, to be sent at once. The caller puts the endpoint back.
pub(crate) fn put_in_line(
    tables: &mut Tables<'_>,
    endpoint: &mut Endpoint,
    event: &Event,
    now: u64,
) -> Result<Delivery, Failure> {
    let body = Body { r#type: event.kind.name(), timestamp: utc(now), data: &event.data };
    let payload = serde_json::to_string(&body).map_err(|e| HookError::Source(e.into()))?;
    let delivery = Delivery {
        id: endpoint.next_delivery,
        event_id: event.id.clone(),
        kind: event.kind,
        payload,
        created: now,
        state: State::Pending { next: now },
        attempts: Vec::new(),
        tries: 0,
    };
    endpoint.next_delivery += 1;
    tables.put_delivery(&endpoint.id, None, &delivery)?;
    Ok(delivery)
}

/// What is sent.
#[derive(Serialize)]
struct Body<'a> {
    r#type: &'static str,
    timestamp: String,
    data: &'a Value,
}

/// Writes down an attempt, and what it says of the endpoint.
fn record(
    tables: &mut Tables<'_>,
    id: &str,
    delivery: u64,
    answered: &Answered,
    random: u32,
) -> Result<(), Failure> {
    let mut endpoint = match tables.endpoint(id) {
        Err(Failure::Refused(HookError::NoEndpoint)) => return Ok(()), // deleted meanwhile
        other => other?,
    };
    let Some(mut delivery) = tables.delivery(id, delivery)? else { return Ok(()) };
    let before = delivery.state;
    delivery.note(answered, random);
    tables.put_delivery(id, Some(before), &delivery)?;
    let at = answered.attempt.at;
    if answered.is_success() {
        if endpoint.failing_since.take().is_some() {
            tables.put_endpoint(&endpoint)?;
        }
        return Ok(());
    }
    let since = *endpoint.failing_since.get_or_insert(at);
    let reason = match () {
        () if answered.is_gone() => Some(Reason::Gone),
        () if at >= since + FAILING_SECONDS_MAX => Some(Reason::Failing),
        () => None,
    };
    if let (None, Some(reason)) = (endpoint.disabled, reason) {
        endpoint.disabled = Some(Disabled { reason, at });
    }
    tables.put_endpoint(&endpoint)
}

fn in_words(error: &HookError) -> String {
    let mut words = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(deeper) = cause {
        words += &format!(": {deeper}");
        cause = deeper.source();
    }
    words
}

/// Pending deliveries of an endpoint from which on no more are made for it.
pub(crate) const PENDING_MAX: usize = 1000;
/// Deliveries that are kept of an endpoint when they are over, and for how long.
const KEPT_MAX: u64 = 10_000;
const KEPT_SECONDS: u64 = 30 * 86_400;
/// Attempts at a time, in all and at one endpoint: one that is slow leaves room for the others.
const FLIGHTS_MAX: usize = 32;
const FLIGHTS_PER_ENDPOINT_MAX: usize = 4;
/// How long nothing is sent to who has too much to do and does not say how long.
const BUSY_SECONDS: u64 = 5;
/// How often it is looked whether something happened.
const INTERVAL: Duration = Duration::from_secs(1);
const INTERVAL_AFTER_FAILURE: Duration = Duration::from_secs(10);
/// How long the end waits for attempts under way.
const GRACE: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::error::Error;
    use std::path::Path;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::delivery::Attempt;
    use crate::endpoint::{Change, Wanted};
    use crate::event::{EventKind, Source};
    use crate::reach::Reach;

    /// As many things happened as the number says, ten of which are read at once.
    struct Counted(Arc<AtomicU64>);

    impl Source for Counted {
        fn name(&self) -> &'static str {
            "counted"
        }

        fn kind(&self) -> EventKind {
            EventKind::WorkRegistered
        }

        fn end(&self) -> Result<u64, Box<dyn Error + Send + Sync>> {
            Ok(self.0.load(Ordering::Relaxed))
        }

        fn since(&self, cursor: u64) -> Result<Happened, Box<dyn Error + Send + Sync>> {
            let next = self.end()?.min(cursor + 10);
            let event = |number: u64| Event {
                id: format!("evt_{number}"),
                kind: self.kind(),
                data: number.into(),
            };
            Ok(Happened { events: (cursor..next).map(event).collect(), next })
        }
    }

    fn hooks(dir: &Path, happened: &Arc<AtomicU64>) -> Hooks {
        let sources: Vec<Box<dyn Source>> = vec![Box::new(Counted(happened.clone()))];
        Hooks::open(&dir.join(Hooks::FILE), sources, Reach::Public).unwrap()
    }

    fn wanted() -> Wanted {
        Wanted {
            url: "https://a.example/".to_owned(),
            description: None,
            events: BTreeSet::from([EventKind::WorkRegistered]),
        }
    }

    /// Follows until there is no more to follow.
    fn follow(hooks: &Hooks) {
        while hooks.follow(&hooks.endpoints().unwrap()).unwrap() {}
    }

    fn answer(hooks: &Hooks, id: &str, delivery: u64, status: u16, at: u64) {
        let attempt = Attempt { at, milliseconds: 1, status: Some(status), error: None };
        let answered = Answered { attempt, retry_after: None };
        hooks.store.write(|tables| record(tables, id, delivery, &answered, 0)).unwrap();
    }

    #[test]
    fn an_endpoint_hears_of_everything_once_and_of_nothing_from_before() {
        let dir = tempfile::tempdir().unwrap();
        let happened = Arc::new(AtomicU64::new(5));
        let first = hooks(dir.path(), &happened);
        let (endpoint, _) = first.create(wanted()).unwrap();
        happened.store(30, Ordering::Relaxed);
        follow(&first);
        drop(first); // and another process goes on
        let hooks = hooks(dir.path(), &happened);
        happened.store(33, Ordering::Relaxed);
        follow(&hooks);
        let page = hooks.deliveries(&endpoint.id, false, u64::MAX, 100).unwrap();
        let mut ids: Vec<String> = page.deliveries.into_iter().map(|d| d.event_id).collect();
        ids.reverse();
        let expected: Vec<String> = (5..33).map(|number| format!("evt_{number}")).collect();
        assert_eq!((ids, page.next), (expected, None));
    }

    #[test]
    fn an_endpoint_that_takes_nothing_has_no_line_without_end() {
        let dir = tempfile::tempdir().unwrap();
        let happened = Arc::new(AtomicU64::new(0));
        let hooks = hooks(dir.path(), &happened);
        let (endpoint, _) = hooks.create(wanted()).unwrap();
        let id = &endpoint.id;
        happened.store(2000, Ordering::Relaxed);
        follow(&hooks);
        assert_eq!(hooks.pending(id).unwrap(), PENDING_MAX);
        assert!(matches!(hooks.test(id), Err(HookError::Busy(_))));
        for delivery in 1..=1000 {
            answer(&hooks, id, delivery, 200, 100);
        }
        follow(&hooks);
        assert_eq!(hooks.pending(id).unwrap(), 1000, "the source kept the rest");
        hooks.delete(id).unwrap();
        assert!(matches!(hooks.endpoint(id), Err(HookError::NoEndpoint)));
        let rows = hooks.store.read(|view| {
            let deliveries = view.deliveries_before(id, u64::MAX)?.count();
            Ok((deliveries, view.pending(id, 10)?, view.cursor(id, "counted")?))
        });
        assert_eq!(rows.unwrap(), (0, 0, None));
        answer(&hooks, id, 1001, 200, 100);
    }

    #[test]
    fn an_endpoint_that_fails_for_days_is_disabled_and_misses_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let happened = Arc::new(AtomicU64::new(0));
        let hooks = hooks(dir.path(), &happened);
        let (endpoint, _) = hooks.create(wanted()).unwrap();
        let id = &endpoint.id;
        happened.store(2, Ordering::Relaxed);
        follow(&hooks);
        let fails_at = |at| {
            answer(&hooks, id, 1, 500, at);
            hooks.endpoint(id).unwrap()
        };
        assert_eq!(fails_at(1000).failing_since, Some(1000));
        assert_eq!(fails_at(1000 + FAILING_SECONDS_MAX - 1).disabled, None);
        answer(&hooks, id, 2, 204, 5000);
        assert_eq!(hooks.endpoint(id).unwrap().failing_since, None, "one success is enough");
        assert_eq!(fails_at(1_000_000).disabled, None);
        let at = 1_000_000 + FAILING_SECONDS_MAX;
        let disabled = fails_at(at).disabled;
        assert_eq!(disabled, Some(Disabled { reason: Reason::Failing, at }));

        happened.store(3, Ordering::Relaxed);
        let mut underway = Underway::default();
        assert!(!hooks.round(&mut underway, &mut Vec::new()).unwrap());
        assert_eq!(hooks.pending(id).unwrap(), 1, "nothing is put in line for it");
        let enable = Change { enabled: Some(true), ..Change::default() };
        let enabled = hooks.change(id, enable).unwrap();
        assert_eq!((enabled.disabled, enabled.failing_since), (None, None));
        follow(&hooks);
        let page = hooks.deliveries(id, false, u64::MAX, 10).unwrap();
        let states: Vec<bool> =
            page.deliveries.iter().map(|d| matches!(d.state, State::Pending { .. })).collect();
        assert_eq!(states, [true, false, true], "what it failed at is tried anew");
        assert!(page.deliveries.iter().all(|d| !d.is_failing()));
    }

    #[test]
    fn what_is_over_is_forgotten_after_a_while_and_what_is_pending_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let happened = Arc::new(AtomicU64::new(0));
        let hooks = hooks(dir.path(), &happened);
        let (endpoint, _) = hooks.create(wanted()).unwrap();
        let id = &endpoint.id;
        happened.store(20, Ordering::Relaxed);
        follow(&hooks);
        for delivery in 2..=20 {
            answer(&hooks, id, delivery, 200, 100);
        }
        hooks.store.write(|tables| tables.prune(id, 11, 0)).unwrap();
        let kept = |hooks: &Hooks| -> Vec<u64> {
            let page = hooks.deliveries(id, false, u64::MAX, 100).unwrap();
            page.deliveries.iter().rev().map(|delivery| delivery.id).collect()
        };
        let expected: Vec<u64> = std::iter::once(1).chain(11..=20).collect();
        assert_eq!(kept(&hooks), expected);
        hooks.store.write(|tables| tables.prune(id, 0, u64::MAX)).unwrap();
        assert_eq!(kept(&hooks), [1]);
        let failing = hooks.deliveries(id, true, u64::MAX, 100).unwrap();
        assert!(failing.deliveries.is_empty(), "it was never tried");
    }

    #[test]
    fn a_file_that_is_none_of_ours_is_an_error_and_no_panic() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(Hooks::FILE);
        for bytes in [&b""[..], b"nonsense", &[0; 10_000]] {
            std::fs::write(&path, bytes).unwrap();
            assert!(Hooks::open(&path, Vec::new(), Reach::Public).is_err());
        }
    }
}
