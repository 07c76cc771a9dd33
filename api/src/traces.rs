//! Traces: what a request was at, for an OpenTelemetry collector, where the operator names one.
//!
//! Spans are those of `tracing`, in whichever room; they tell routes, counts and times, and nothing that clients say. They go by
//! OTLP over HTTP, from a thread of their own. A collector that is down or slow costs no request anything: what does not fit
//! into the queue, or is not taken, is dropped and counted.

use std::fmt;
use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::http::{HeaderMap, Uri};
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{TraceContextExt, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, SdkTracer, SdkTracerProvider, Span, SpanData,
    SpanExporter, SpanProcessor,
};
use tracing::Subscriber;
use tracing_opentelemetry::{OpenTelemetryLayer, OpenTelemetrySpanExt};
use tracing_subscriber::registry::LookupSpan;

/// Where spans go. It is stopped when the service has ended.
pub struct Traces {
    provider: SdkTracerProvider,
    tally: Arc<Tally>,
}

/// What became of spans.
#[derive(Debug, Default)]
pub struct Tally {
    /// On their way.
    waiting: AtomicU64,
    sent: AtomicU64,
    dropped: AtomicU64,
}

/// Why no spans can be sent there.
#[derive(Debug, thiserror::Error)]
pub enum TracesError {
    /// It is no address of a collector.
    #[error("{0:?} is no http or https URL of a collector, such as http://collector:4318")]
    Url(String),
    /// The exporter cannot be made.
    #[error("traces cannot be sent")]
    Exporter(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Traces {
    /// Sends spans to this collector: to `/v1/traces` there, unless the URL has a path of its own.
    pub fn to(collector: &str) -> Result<Traces, TracesError> {
        let endpoint = endpoint(collector)?;
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_http()
            .with_http_client(Client::default())
            .with_endpoint(endpoint)
            .with_timeout(TIME_MAX)
            .build()
            .map_err(|error| TracesError::Exporter(error.into()))?;
        let tally: Arc<Tally> = Arc::default();
        let batches = BatchSpanProcessor::builder(Counted { exporter, tally: tally.clone() })
            .with_batch_config(
                BatchConfigBuilder::default()
                    .with_max_queue_size(WAITING_MAX as usize)
                    .with_max_export_batch_size(BATCH_MAX)
                    .with_scheduled_delay(INTERVAL)
                    .build(),
            )
            .build();
        let resource = Resource::builder_empty().with_attributes([
            KeyValue::new("service.name", "timemark"),
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        ]);
        let provider = SdkTracerProvider::builder()
            .with_resource(resource.build())
            .with_span_processor(Limited { batches, tally: tally.clone() })
            .build();
        Ok(Traces { provider, tally })
    }

    /// What takes spans where they are made.
    pub fn layer<S>(&self) -> OpenTelemetryLayer<S, SdkTracer>
    where
        S: Subscriber + for<'span> LookupSpan<'span>,
    {
        tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer("timemark"))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
    }

    /// What became of spans until now.
    pub fn tally(&self) -> Arc<Tally> {
        self.tally.clone()
    }

    /// Sends what is left, for as long as that may take.
    pub fn stop(self) {
        // What is not taken by then is lost; there is nobody to be told.
        let _ = self.provider.shutdown_with_timeout(STOP_TIME_MAX);
    }
}

impl Tally {
    /// How many were taken by the collector.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// How many were not, or not sent at all.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// Has a span continue the trace that a client says it is part of (W3C Trace Context). What else the client would hand on with
/// it is left alone.
pub(crate) fn adopt(span: &tracing::Span, headers: &HeaderMap) {
    struct Parent<'a>(&'a HeaderMap);
    impl Extractor for Parent<'_> {
        fn get(&self, key: &str) -> Option<&str> {
            self.0.get(key).filter(|_| key == TRACE_PARENT)?.to_str().ok()
        }

        fn keys(&self) -> Vec<&str> {
            vec![TRACE_PARENT]
        }
    }
    if span.is_disabled() || !headers.contains_key(TRACE_PARENT) {
        return;
    }
    let told =
        TraceContextPropagator::new().extract_with_context(&Context::new(), &Parent(headers));
    if told.span().span_context().is_valid() {
        let _ = span.set_parent(told); // where nobody takes spans there is nothing to set
    }
}

fn endpoint(collector: &str) -> Result<String, TracesError> {
    let wrong = || TracesError::Url(collector.to_owned());
    let uri: Uri = collector.parse().map_err(|_| wrong())?;
    let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
    if !is_http || uri.host().is_none_or(str::is_empty) || uri.query().is_some() {
        return Err(wrong());
    }
    Ok(match uri.path() {
        "" | "/" => format!("{}/v1/traces", collector.trim_end_matches('/')),
        _ => collector.to_owned(),
    })
}

/// Lets no more spans wait than there is room for.
#[derive(Debug)]
struct Limited {
    batches: BatchSpanProcessor,
    tally: Arc<Tally>,
}

impl SpanProcessor for Limited {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.batches.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if !span.span_context.is_sampled() {
            return;
        }
        if self.tally.waiting.fetch_add(1, Ordering::Relaxed) >= WAITING_MAX {
            self.tally.waiting.fetch_sub(1, Ordering::Relaxed);
            self.tally.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.batches.on_end(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.batches.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.batches.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.batches.set_resource(resource);
    }
}

/// Counts what became of spans.
#[derive(Debug)]
struct Counted<E> {
    exporter: E,
    tally: Arc<Tally>,
}

impl<E: SpanExporter> SpanExporter for Counted<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len() as u64;
        let done = self.exporter.export(batch).await;
        self.tally.waiting.fetch_sub(spans, Ordering::Relaxed);
        let counter = if done.is_ok() { &self.tally.sent } else { &self.tally.dropped };
        counter.fetch_add(spans, Ordering::Relaxed);
        // It is counted; more words of it would come once a batch.
        done.map_err(|_| OTelSdkError::InternalFailure(String::new()))
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

/// Sends by what the house has for requests from a thread: no second client, no second TLS.
struct Client(ureq::Agent);

impl Default for Client {
    fn default() -> Client {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .timeout_connect(Some(CONNECT_TIME_MAX))
            .timeout_global(Some(TIME_MAX))
            .user_agent("timemark")
            .build();
        Client(config.new_agent())
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client")
    }
}

impl Client {
    fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (head, body) = request.into_parts();
        let mut answer = self.0.run(Request::from_parts(head, &body[..]))?;
        let said = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec()?;
        Ok(answer.map(|_| said.into()))
    }
}

impl HttpClient for Client {
    fn send_bytes<'client, 'sent>(
        &'client self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'sent>>
    where
        'client: 'sent,
        Self: 'sent,
    {
        // On the thread of the batches, which has nothing else to do.
        Box::pin(ready(self.send(request)))
    }
}

const TRACE_PARENT: &str = "traceparent";
/// Spans that are not yet taken by the collector, at most.
const WAITING_MAX: u64 = 4096;
const BATCH_MAX: usize = 512;
/// How long spans wait for more.
const INTERVAL: Duration = Duration::from_secs(2);
const CONNECT_TIME_MAX: Duration = Duration::from_secs(2);
/// How long a batch may take, with what is tried again.
const TIME_MAX: Duration = Duration::from_secs(5);
/// How long the service waits at its end for what is left to be taken.
const STOP_TIME_MAX: Duration = Duration::from_secs(5);
const ANSWER_BYTES_MAX: u64 = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collector_has_an_address_and_a_path() {
        for (given, endpoint_of_it) in [
            ("http://collector:4318", "http://collector:4318/v1/traces"),
            ("http://collector:4318/", "http://collector:4318/v1/traces"),
            ("https://[::1]:4318", "https://[::1]:4318/v1/traces"),
            ("https://otlp.example/api/traces", "https://otlp.example/api/traces"),
        ] {
            assert_eq!(endpoint(given).unwrap(), endpoint_of_it);
        }
        for wrong in [
            "",
            "collector:4318",
            "grpc://collector:4317",
            "http://",
            "/v1/traces",
            "http://a/?k=v",
        ] {
            assert!(endpoint(wrong).is_err(), "{wrong}");
        }
    }
}
