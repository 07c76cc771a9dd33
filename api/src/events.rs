//! `/v1/scans/{id}/events`: what comes of a scan, as it comes (server-sent events, WHATWG HTML section 9.2).
//!
//! Every event is read from what is durable: nobody hears of what a crash could take back. The id of an event is the
//! number of matches told until then, so that who was cut off goes on with the next one.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::header::{CONTENT_TYPE, HeaderName};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use hyper::body::Frame;
use serde::Serialize;
use timemark_review::{Job, JobState, Live};
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};
use tokio::time::{Instant, timeout, timeout_at};

use crate::access::{Caller, Viewer};
use crate::counts::Counts;
use crate::matches::Card;
use crate::problem::{Kind, ProblemJson};
use crate::scans::{Scan, read_number, seen};
use crate::service::Shared;
use crate::{Problem, blocking};

/// What comes of a scan, as it comes
///
/// Server-sent events: `state` with the scan, at first and whenever its state changes; `match` with each match, in the order
/// in which they were found; `progress` with the scan. The stream ends with the scan, and after four minutes: a browser asks
/// again by itself, and `Last-Event-ID` has it go on where it was. Asked again after the end, it is 204, unless works that were
/// registered since were found.
#[utoipa::path(
    get, path = "/v1/scans/{id}/events", tag = "scans", operation_id = "scan_events",
    params(
        ("id" = u64, Path, description = "its number"),
        ("Last-Event-ID" = Option<String>, Header, description = "the id of the last event that came"),
    ),
    responses(
        (status = 200, body = String, content_type = "text/event-stream"),
        (status = 204, description = "it ended, and everything was told"),
        (status = 404, description = "there is none", body = ProblemJson, content_type = "application/problem+json"),
        (status = 429, description = "too many are listening", body = ProblemJson, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn events(
    State(service): State<Shared>,
    caller: Caller,
    headers: HeaderMap,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let id = read_number(&id?)?;
    let last = match headers.get(LAST_EVENT_ID).map(|value| value.to_str()) {
        None => None,
        Some(Ok(text)) if text.parse::<u64>().is_ok() => text.parse().ok(),
        Some(_) => return Err(Problem::bad_request("Last-Event-ID was not given out here")),
    };
    let slot = service.listeners.clone().try_acquire_owned().map_err(|_| {
        Problem::new(Kind::TooManyRequests, "as many are listening as are listened to")
    })?;
    let reading = service.clone();
    let asking = caller.clone();
    let (job, places) = blocking(move || {
        let (job, _) = seen(id, &asking, &reading)?;
        let places = Viewer::of(&asking, &reading)?.places(id)?;
        Ok::<_, Problem>((job, places))
    })
    .await??;
    let all = places.as_ref().map_or(job.matches, |places| places.len() as u64);
    if last.is_some_and(|told| told >= all) && job.state.has_ended() {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let (sender, receiver) = mpsc::channel(EVENTS_AHEAD_MAX);
    let changes = service.changes.subscribe();
    let told = last.unwrap_or(0);
    let (place, counts) = match places {
        None => (told, None),
        // Who goes on hears how many there are and not of what kinds those were that they were told of.
        Some(mut places) => {
            places.truncate(usize::try_from(told).unwrap_or(usize::MAX));
            let place = places.last().copied().unwrap_or(0);
            let transforms = (told == 0).then(BTreeMap::new);
            (place, Some(Counts { places, transforms }))
        }
    };
    let told = counts.as_ref().map_or(told, Counts::matches);
    let telling = Telling { service, caller, id, told, place, counts, sender, _place: slot };
    tokio::spawn(telling.tell(changes));
    let headers = [(CONTENT_TYPE, "text/event-stream")];
    Ok((headers, Body::new(Events(receiver))).into_response())
}

/// What is being told to one listener.
struct Telling {
    service: Shared,
    caller: Caller,
    id: u64,
    /// Matches told, of those that the listener sees.
    told: u64,
    /// Up to which place among all that the scan found.
    place: u64,
    /// What was told to who does not see every work.
    counts: Option<Counts>,
    sender: mpsc::Sender<Bytes>,
    _place: OwnedSemaphorePermit,
}

/// Nobody listens any more, or nothing can be told.
struct Gone;

impl Telling {
    async fn tell(mut self, mut changes: watch::Receiver<()>) {
        let end = Instant::now() + STREAM_TIME_MAX;
        // Who stops taking what is sent is left at the end as well.
        let _ = timeout_at(end, self.tell_all(&mut changes)).await;
    }

    async fn tell_all(&mut self, changes: &mut watch::Receiver<()>) -> Result<(), Gone> {
        self.say(&format!("retry: {RETRY_MILLISECONDS}\n\n")).await?;
        let (mut state, mut suspects) = (None::<JobState>, None::<u64>);
        loop {
            changes.borrow_and_update();
            let (service, id, place) = (self.service.clone(), self.id, self.place);
            let caller = self.caller.clone();
            let news = blocking(move || {
                if !service.access.still(&caller)? {
                    return Err(Problem::new(Kind::Unauthorized, "it was let in and is no more"));
                }
                let viewer = Viewer::of(&caller, &service)?;
                let news =
                    viewer.looking(|seen| service.review.news(id, place, MATCHES_AT_ONCE, seen))?;
                let found = news.matches.items.into_iter().map(|one| viewer.tell(one));
                let found = found.collect::<Result<Vec<_>, Problem>>()?;
                let has_more = news.matches.next.is_some();
                Ok::<_, Problem>((news.job, news.live, found, news.place, has_more))
            });
            let Ok(Ok((job, live, found, place, has_more))) = news.await else { return Err(Gone) };
            self.place = place;
            let now = job.state;
            if state.is_none() && !now.has_ended() {
                self.scan("state", &job, live).await?;
                state = Some(now);
            }
            for found in found {
                self.told += 1;
                let Some(found) = found else { continue };
                if let Some(counts) = &mut self.counts {
                    counts.places.push(place);
                    counts.count(&found.found);
                }
                self.event("match", &Card::of(found)).await?;
            }
            if has_more {
                continue;
            }
            if suspects != Some(job.suspects) {
                suspects = Some(job.suspects);
                self.scan("progress", &job, live).await?;
            }
            if state != Some(now) {
                state = Some(now);
                self.scan("state", &job, live).await?;
            }
            if now.has_ended() || self.service.review.is_stopping() {
                return Ok(());
            }
            let mut quiet = Instant::now();
            while timeout(LOOK_AGAIN_AFTER, changes.changed()).await.is_err() {
                self.check_caller().await?;
                if quiet.elapsed() >= HEARTBEAT {
                    self.say(": nothing new\n\n").await?;
                    quiet = Instant::now();
                }
            }
        }
    }

    /// A key may be revoked, an account disabled, a session ended while somebody listens.
    async fn check_caller(&self) -> Result<(), Gone> {
        let (service, caller) = (self.service.clone(), self.caller.clone());
        match blocking(move || service.access.still(&caller)).await {
            Ok(Ok(true)) => Ok(()),
            _ => Err(Gone),
        }
    }

    async fn scan(&self, name: &str, job: &Job, live: Option<Live>) -> Result<(), Gone> {
        let scan = Scan::of(job.clone(), live).told(&self.caller, self.counts.clone());
        self.event(name, &scan).await
    }

    async fn event(&self, name: &str, data: &impl Serialize) -> Result<(), Gone> {
        let data = serde_json::to_string(data).map_err(|_| Gone)?;
        self.say(&format!("id: {}\nevent: {name}\ndata: {data}\n\n", self.told)).await
    }

    async fn say(&self, text: &str) -> Result<(), Gone> {
        self.sender.send(Bytes::copy_from_slice(text.as_bytes())).await.map_err(|_| Gone)
    }
}

/// A body of what comes.
struct Events(mpsc::Receiver<Bytes>);

impl HttpBody for Events {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.0.poll_recv(context).map(|text| text.map(|text| Ok(Frame::data(text))))
    }
}

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Who listens at a time, at most: each has a connection.
pub(crate) const LISTENERS_MAX: usize = 64;
/// How long one stream lasts: less than a connection may.
const STREAM_TIME_MAX: Duration = Duration::from_secs(240);
/// How often something is said where nothing happens, so that both sides see that the other is there.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How soon it ends where its listener would be let in no more.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(2);
/// After how long a browser asks again.
const RETRY_MILLISECONDS: u64 = 1000;
/// What may wait to be taken by one listener.
const EVENTS_AHEAD_MAX: usize = 16;
/// Matches that are read at a time.
const MATCHES_AT_ONCE: usize = 100;
