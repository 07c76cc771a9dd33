//! What Timemark answers over HTTP: the only async room.
//!
//! A witness, the public files of a log and a time-stamp authority are servers of their own, each a router made of one
//! thing. [`service`] is the whole archive, which it reaches through `ingest::Engine`, and its pages. [`serve`] puts a
//! router on a socket. Whatever touches a disk or signs runs on the threads for blocking work.

mod accept;
mod access;
pub mod bundles;
mod claims;
mod collections;
mod counts;
mod digests;
mod domains;
mod events;
mod guard;
mod hooks;
mod idempotency;
mod json;
mod matches;
mod openapi;
mod operation;
mod pages;
mod preview;
mod problem;
mod receipts;
mod results;
mod scans;
mod search;
mod serve;
pub mod service;
pub mod tiles;
mod tls;
pub mod told;
pub mod traces;
pub mod tsa;
mod upload;
mod verify;
pub mod witness;
mod works;

use axum::http::StatusCode;
use axum::routing::get;

pub use axum::Router;
pub use guard::Reach;
use problem::Problem;
pub use serve::{Tls, TlsError, bind, serve, serve_until, serve_within};

/// The same server with `GET /healthz`, which answers as soon as anything does.
pub fn with_health(router: Router) -> Router {
    router.route("/healthz", get(|| std::future::ready("ok\n")))
}

/// Runs what may block away from the threads that answer.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, StatusCode> {
    let span = tracing::Span::current();
    // An error is a panic of the work, which costs its own request only.
    tokio::task::spawn_blocking(move || span.in_scope(work))
        .await
        .map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
}
