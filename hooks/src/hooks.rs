//! The endpoints of an archive, as those who manage them ask for them.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};

use data_encoding::BASE32_NOPAD;

use crate::clock::now;
use crate::delivery::Page;
use crate::endpoint::{Change, Disabled, Endpoint, Reason, Wanted};
use crate::error::HookError;
use crate::event::{EventKind, Source};
use crate::reach::Reach;
use crate::run::Signal;
use crate::secret::Secret;
use crate::send::Postman;
use crate::store::{Failure, Store, Tables};

/// The webhooks of an archive. [`Hooks::run`] sends; everything else may be done meanwhile, by any thread.
pub struct Hooks {
    pub(crate) store: Store,
    pub(crate) sources: Vec<Box<dyn Source>>,
    pub(crate) postman: Postman,
    pub(crate) signals: Sender<Signal>,
    /// Held by who sends.
    pub(crate) inbox: Mutex<Receiver<Signal>>,
    reach: Reach,
}

impl Hooks {
    /// The file's name within an archive.
    pub const FILE: &str = "hooks.redb";

    /// Opens the file, making it where there is none.
    pub fn open(
        path: &Path,
        sources: Vec<Box<dyn Source>>,
        reach: Reach,
    ) -> Result<Hooks, HookError> {
        let (signals, inbox) = channel();
        Ok(Hooks {
            store: Store::open(path)?,
            sources,
            postman: Postman::new(reach),
            signals,
            inbox: Mutex::new(inbox),
            reach,
        })
    }

    /// Why the disk takes nothing of webhooks at the moment.
    pub fn refuses(&self) -> Option<String> {
        self.store.refuses()
    }

    /// The kinds of events that can be had.
    pub fn kinds(&self) -> BTreeSet<EventKind> {
        self.sources.iter().map(|source| source.kind()).collect()
    }

    /// Whether an endpoint could be this, before anybody is told that it is to be.
    pub fn check(&self, change: &Change) -> Result<(), HookError> {
        change.url.as_deref().map_or(Ok(()), |url| self.check_url(url))?;
        change.events.as_ref().map_or(Ok(()), |events| self.check_events(events))?;
        checked_description(change.description.clone()).map(drop)
    }

    /// A new endpoint, which hears of what happens from now on, and its secret.
    pub fn create(&self, wanted: Wanted) -> Result<(Endpoint, Secret), HookError> {
        self.check_url(&wanted.url)?;
        self.check_events(&wanted.events)?;
        let events = wanted.events;
        let description = checked_description(wanted.description)?;
        let secret = Secret::random()?;
        let now = now();
        let mut endpoint = Endpoint {
            id: random_id("wh_")?,
            url: wanted.url,
            description,
            events,
            created: now,
            disabled: None,
            failing_since: None,
            secrets: Vec::new(),
            next_delivery: 1,
        };
        endpoint.rotate(secret.clone(), now, now);
        self.store.write(|tables| {
            if tables.count()? >= ENDPOINTS_MAX {
                return Err(HookError::TooMany(ENDPOINTS_MAX).into());
            }
            tables.put_endpoint(&endpoint)?;
            self.put_cursors(tables, &endpoint)
        })?;
        Ok((endpoint, secret))
    }

    /// All of them, by id.
    pub fn endpoints(&self) -> Result<Vec<Endpoint>, HookError> {
        self.store.read(|view| view.endpoints())
    }

    /// One of them.
    pub fn endpoint(&self, id: &str) -> Result<Endpoint, HookError> {
        self.store.read(|view| view.endpoint(id))
    }

    /// How many of its deliveries are pending; [`Hooks::PENDING_TOLD_MAX`] may be more.
    pub fn pending(&self, id: &str) -> Result<usize, HookError> {
        self.store.read(|view| view.pending(id, Hooks::PENDING_TOLD_MAX))
    }

    /// More pending deliveries than this are not counted.
    pub const PENDING_TOLD_MAX: usize = 10_000;

    /// Changes an endpoint. One that is enabled again goes on where it stopped: what is pending is sent at once, and what
    /// happened meanwhile follows.
    pub fn change(&self, id: &str, change: Change) -> Result<Endpoint, HookError> {
        self.check(&change)?;
        let events = change.events;
        let described = change.description.is_some();
        let description = checked_description(change.description)?;
        let now = now();
        let changed = self.store.write(|tables| {
            let mut endpoint = tables.endpoint(id)?;
            if let Some(url) = change.url {
                endpoint.url = url;
            }
            if described {
                endpoint.description = description;
            }
            if let Some(events) = events {
                endpoint.events = events;
                self.put_cursors(tables, &endpoint)?;
            }
            match (change.enabled, endpoint.disabled) {
                (Some(false), None) => {
                    endpoint.disabled = Some(Disabled { reason: Reason::Owner, at: now });
                }
                (Some(true), Some(_)) => {
                    endpoint.disabled = None;
                    endpoint.failing_since = None;
                    for delivery in tables.pending(id)? {
                        let Some(mut delivery) = tables.delivery(id, delivery)? else { continue };
                        let before = delivery.state;
                        delivery.again(now);
                        tables.put_delivery(id, Some(before), &delivery)?;
                    }
                }
                _ => {}
            }
            tables.put_endpoint(&endpoint)?;
            Ok(endpoint)
        })?;
        self.wake();
        Ok(changed)
    }

    /// Takes an endpoint away, with its deliveries.
    pub fn delete(&self, id: &str) -> Result<(), HookError> {
        self.store.write(|tables| tables.remove_endpoint(id))
    }

    /// Another secret. The one before it signs beside it for a day.
    pub fn rotate(&self, id: &str) -> Result<(Endpoint, Secret), HookError> {
        let secret = Secret::random()?;
        let now = now();
        self.store.write(|tables| {
            let mut endpoint = tables.endpoint(id)?;
            endpoint.rotate(secret.clone(), now, now + ROTATION_SECONDS);
            tables.put_endpoint(&endpoint)?;
            Ok((endpoint, secret))
        })
    }

    /// Deliveries of an endpoint with smaller numbers than `before`, newest first. Of many that are not asked for only
    /// some are looked at, and the page has fewer.
    pub fn deliveries(
        &self,
        id: &str,
        failing: bool,
        before: u64,
        limit: usize,
    ) -> Result<Page, HookError> {
        self.store.read(|view| {
            view.endpoint(id)?;
            let (mut deliveries, mut next) = (Vec::new(), None);
            for (looked, delivery) in view.deliveries_before(id, before)?.enumerate() {
                if deliveries.len() == limit || looked == LOOKS_MAX {
                    break;
                }
                let delivery = delivery?;
                next = Some(delivery.id);
                if !failing || delivery.is_failing() {
                    deliveries.push(delivery);
                }
            }
            let is_more = match next {
                Some(next) => view.deliveries_before(id, next)?.next().is_some(),
                None => false,
            };
            Ok(Page { deliveries, next: next.filter(|_| is_more) })
        })
    }

    /// Has whoever sends look now.
    pub(crate) fn wake(&self) {
        // It has ended with the process otherwise.
        let _ = self.signals.send(Signal::Wake);
    }

    /// Ends [`Hooks::run`], at once if it has not begun.
    pub fn stop(&self) {
        let _ = self.signals.send(Signal::End);
    }

    fn check_url(&self, url: &str) -> Result<(), HookError> {
        self.reach.check_url(url).map_err(HookError::Url)
    }

    fn check_events(&self, events: &BTreeSet<EventKind>) -> Result<(), HookError> {
        let kinds = self.kinds();
        if !events.is_empty() && events.is_subset(&kinds) {
            return Ok(());
        }
        let names: Vec<&str> = kinds.iter().map(|kind| kind.name()).collect();
        Err(HookError::Wish(format!("events are to be one or more of {}", names.join(", "))))
    }

    /// Has an endpoint be at the end of what it newly wants, and nowhere in what it no longer wants.
    fn put_cursors(&self, tables: &mut Tables<'_>, endpoint: &Endpoint) -> Result<(), Failure> {
        for source in &self.sources {
            let there = tables.cursor(&endpoint.id, source.name())?;
            let cursor = match (endpoint.events.contains(&source.kind()), there) {
                (false, _) => None,
                (true, Some(there)) => Some(there),
                (true, None) => Some(source.end().map_err(HookError::Source)?),
            };
            if cursor != there {
                tables.put_cursor(&endpoint.id, source.name(), cursor)?;
            }
        }
        Ok(())
    }
}

fn checked_description(text: Option<String>) -> Result<Option<String>, HookError> {
    let text = text.filter(|text| !text.is_empty());
    if text.as_ref().is_some_and(|text| text.len() > DESCRIPTION_BYTES_MAX) {
        return Err(HookError::Wish(format!(
            "a description has {DESCRIPTION_BYTES_MAX} bytes at most"
        )));
    }
    Ok(text)
}

/// An id that nobody guesses.
pub(crate) fn random_id(prefix: &str) -> Result<String, HookError> {
    let mut bytes = [0; 15];
    getrandom::fill(&mut bytes).map_err(|_| HookError::NoRandomness)?;
    Ok(format!("{prefix}{}", BASE32_NOPAD.encode(&bytes).to_ascii_lowercase()))
}

/// Endpoints of an archive.
const ENDPOINTS_MAX: usize = 100;
const DESCRIPTION_BYTES_MAX: usize = 1000;
/// How long a secret that was replaced signs as well.
const ROTATION_SECONDS: u64 = 86_400;
/// Deliveries that one page looks at.
const LOOKS_MAX: usize = 5000;
