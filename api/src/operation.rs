//! What an operator watches: whether the service answers and takes in works, its figures, a line for each request.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::http::Method;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use timemark_ingest::Engine;
use timemark_review::Rematching;
use tracing::Instrument;
use tracing::field::Empty;

use crate::problem::{Kind, ProblemJson};
use crate::service::{Service, Shared};
use crate::traces::{self, Tally};
use crate::{Problem, blocking};

/// Whether anything answers
#[utoipa::path(
    get, path = "/healthz", tag = "operation", operation_id = "healthz",
    responses((status = 200, body = String, content_type = "text/plain"))
)]
pub(crate) async fn healthz() -> &'static str {
    "ok\n"
}

/// Whether works are taken in
///
/// Not while the log refuses them or the disk takes nothing, and not while registry and index lag behind the log.
#[utoipa::path(
    get, path = "/readyz", tag = "operation", operation_id = "readyz",
    responses(
        (status = 200, body = String, content_type = "text/plain"),
        (status = 503, description = "not now", body = ProblemJson, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn readyz(State(service): State<Shared>) -> Result<&'static str, Problem> {
    let not = |why: &str| Err(Problem::new(Kind::Unavailable, why));
    match blocking(move || readiness(&service)).await?? {
        Readiness::Ready => Ok("ready\n"),
        Readiness::Refused(why) => not(&format!("the disk takes no changes: {why}")),
        Readiness::Failing => {
            not("the last registration failed on this side; the next that succeeds ends this")
        }
        Readiness::Behind => {
            not("registry or index stopped following the log; they go on at the next start")
        }
        Readiness::Lags => not("registry and index lag behind the log"),
    }
}

/// Whether works are taken in, or why not.
pub(crate) enum Readiness {
    Ready,
    /// The disk failed, or is full: of which file, and what the system says.
    Refused(String),
    /// The last registration failed on this side.
    Failing,
    /// Registry or index stopped following the log.
    Behind,
    /// They follow it from far behind.
    Lags,
}

/// How ready a service is.
pub(crate) fn readiness(service: &Service) -> Result<Readiness, Problem> {
    let engine = &service.engine;
    let refuses = (service.access.accounts.refuses())
        .or_else(|| service.review.refuses())
        .or_else(|| service.hooks.refuses())
        .or_else(|| engine.registry.refuses());
    if let Some(why) = refuses {
        return Ok(Readiness::Refused(why));
    }
    // In this order: the log only grows.
    let derived = engine.registry.len().map_err(Problem::internal)?.min(engine.index.len());
    Ok(match derived + LAG_MAX < engine.log.size() {
        _ if service.is_failing() => Readiness::Failing,
        _ if service.is_behind() => Readiness::Behind,
        true => Readiness::Lags,
        false => Readiness::Ready,
    })
}

/// Figures for Prometheus
#[utoipa::path(
    get, path = "/metrics", tag = "operation", operation_id = "metrics",
    responses((status = 200, body = String, content_type = "text/plain"))
)]
pub(crate) async fn metrics(State(service): State<Shared>) -> Result<Response, Problem> {
    let text = blocking(move || {
        let rematching = service.review.rematching()?;
        let mut text = service.metrics.text(&service.engine, rematching);
        if let Some(tally) = &service.spans {
            spans_text(tally, &mut text);
        }
        Ok::<String, Problem>(text)
    });
    let text = text.await??;
    Ok(([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response())
}

/// Counts each request, and tells of it where the operator wants that. What clients say of works is in neither: the path is
/// that of the route.
pub(crate) async fn observe(
    State(metrics): State<Arc<Metrics>>,
    request: Request,
    next: Next,
) -> Response {
    let begun = Instant::now();
    let method = method_name(request.method());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let id = request.headers().get("x-request-id").cloned();
    let request_id = id.as_ref().and_then(|id| id.to_str().ok());
    let path = route.as_ref().map_or("unmatched", MatchedPath::as_str);
    let span = tracing::info_span!(
        "request",
        otel.name = format_args!("{method} {path}"),
        otel.kind = "server",
        otel.status_code = Empty,
        http.request.method = method,
        http.route = path,
        http.response.status_code = Empty,
        request_id,
    );
    traces::adopt(&span, request.headers());
    let response = next.run(request).instrument(span.clone()).await;
    let (status, took) = (response.status().as_u16(), begun.elapsed());
    span.record("http.response.status_code", i64::from(status)); // a number, as collectors want it
    if status >= 500 {
        span.record("otel.status_code", "ERROR");
    }
    drop(span);
    let route = path;
    metrics.count(route, method, status, took);
    tracing::info!(
        method,
        route,
        status,
        milliseconds = took.as_millis() as u64,
        request_id,
        "answered"
    );
    response
}

/// Clients may invent methods, and figures must not grow with them.
fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        Method::PATCH => "PATCH",
        _ => "other",
    }
}

/// What was counted since the start.
#[derive(Default)]
pub(crate) struct Metrics {
    requests: Mutex<Requests>,
    pub registered: AtomicU64,
    pub duplicates: AtomicU64,
}

#[derive(Default)]
struct Requests {
    /// By route, method and status.
    answers: BTreeMap<(String, &'static str, u16), u64>,
    /// By route.
    times: BTreeMap<String, Times>,
}

/// How long answers took.
#[derive(Default)]
struct Times {
    /// Of each bucket alone, and at last of what took longer.
    counts: [u64; BUCKETS.len() + 1],
    seconds: f64,
}

impl Metrics {
    fn count(&self, route: &str, method: &'static str, status: u16, took: Duration) {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        *requests.answers.entry((route.to_owned(), method, status)).or_default() += 1;
        let times = requests.times.entry(route.to_owned()).or_default();
        let seconds = took.as_secs_f64();
        let bucket = BUCKETS.iter().position(|&(most, _)| seconds <= most);
        times.counts[bucket.unwrap_or(BUCKETS.len())] += 1;
        times.seconds += seconds;
    }

    /// In the text format of Prometheus.
    fn text(&self, engine: &Engine, rematching: Rematching) -> String {
        let mut text = self.requests_text();
        let mut say = |name: &str, kind: &str, help: &str, value: u64| {
            let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n");
        };
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        say(
            "timemark_registered_total",
            "counter",
            "Works registered since the start.",
            get(&self.registered),
        );
        say(
            "timemark_duplicates_total",
            "counter",
            "Registrations that were in the log already.",
            get(&self.duplicates),
        );
        say("timemark_log_entries", "gauge", "Entries of the log.", engine.log.size());
        let Rematching { entries, suspects, found } = rematching;
        let help =
            "Entries of the log that were not yet compared with the suspects of earlier scans.";
        let lag = entries.map_or(0, |entries| engine.log.size().saturating_sub(entries));
        say("timemark_rematch_lag_entries", "gauge", help, lag);
        let help = "Suspects of scans that are compared with works registered later.";
        say("timemark_rematch_suspects", "gauge", help, suspects);
        let help = "Works that were found later in suspects of scans, in all.";
        say("timemark_rematch_found_total", "counter", help, found);
        if let Some(progress) = engine.works.progress() {
            let help = "Blobs that wait to be sent to the store elsewhere.";
            say("timemark_store_waiting", "gauge", help, progress.waiting);
            let help = "Blobs sent to the store elsewhere since the start.";
            say("timemark_store_sent_total", "counter", help, progress.sent);
        }
        text
    }

    fn requests_text(&self) -> String {
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        let name = "timemark_http_requests_total";
        let mut text =
            format!("# HELP {name} Answers by route and status.\n# TYPE {name} counter\n");
        for ((route, method, status), count) in &requests.answers {
            let labels = format!("method=\"{method}\",route=\"{route}\",status=\"{status}\"");
            let _ = writeln!(text, "{name}{{{labels}}} {count}");
        }
        let name = "timemark_http_request_seconds";
        let _ = write!(text, "# HELP {name} How long answers took.\n# TYPE {name} histogram\n");
        for (route, times) in &requests.times {
            let mut sum = 0;
            let bounds = BUCKETS.iter().map(|(_, bound)| *bound).chain(["+Inf"]);
            for (bound, count) in bounds.zip(times.counts) {
                sum += count;
                let _ = writeln!(text, "{name}_bucket{{route=\"{route}\",le=\"{bound}\"}} {sum}");
            }
            let _ = writeln!(text, "{name}_sum{{route=\"{route}\"}} {:.6}", times.seconds);
            let _ = writeln!(text, "{name}_count{{route=\"{route}\"}} {sum}");
        }
        text
    }
}

fn spans_text(tally: &Tally, text: &mut String) {
    for (name, help, value) in [
        ("timemark_spans_sent_total", "Spans that the collector took.", tally.sent()),
        ("timemark_spans_dropped_total", "Spans that it did not take.", tally.dropped()),
    ] {
        let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} counter\n{name} {value}\n");
    }
}

/// Seconds within which answers are counted together.
const BUCKETS: [(f64, &str); 8] = [
    (0.002, "0.002"),
    (0.01, "0.01"),
    (0.05, "0.05"),
    (0.2, "0.2"),
    (1.0, "1"),
    (5.0, "5"),
    (20.0, "20"),
    (120.0, "120"),
];
/// Entries by which registry and index may be behind while works are being taken in.
const LAG_MAX: u64 = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_add_up() {
        let metrics = Metrics::default();
        for (status, milliseconds) in [(200, 1), (200, 30), (404, 1), (200, 200_000)] {
            metrics.count("/v1/works", "GET", status, Duration::from_millis(milliseconds));
        }
        let text = metrics.requests_text();
        for line in [
            "timemark_http_requests_total{method=\"GET\",route=\"/v1/works\",status=\"200\"} 3",
            "timemark_http_requests_total{method=\"GET\",route=\"/v1/works\",status=\"404\"} 1",
            "timemark_http_request_seconds_bucket{route=\"/v1/works\",le=\"0.002\"} 2",
            "timemark_http_request_seconds_bucket{route=\"/v1/works\",le=\"0.05\"} 3",
            "timemark_http_request_seconds_bucket{route=\"/v1/works\",le=\"120\"} 3",
            "timemark_http_request_seconds_bucket{route=\"/v1/works\",le=\"+Inf\"} 4",
            "timemark_http_request_seconds_count{route=\"/v1/works\"} 4",
        ] {
            assert!(text.lines().any(|l| l == line), "{line}\n{text}");
        }
    }
}
