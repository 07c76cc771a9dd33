//! What Timemark answers over HTTP: the only async room.
//!
//! Each module makes a router; [`serve`] puts one, or several merged, on a socket. Whatever touches a disk or
//! signs runs on the threads for blocking work. This room knows no archive: a witness, the public files of a
//! log and a time-stamp authority are servers of their own.

mod serve;
pub mod tiles;
pub mod tsa;
pub mod witness;

use axum::http::StatusCode;
use axum::routing::get;

pub use axum::Router;
pub use serve::{bind, serve, serve_until};

/// The same server with `GET /healthz`, which answers as soon as anything does.
pub fn with_health(router: Router) -> Router {
    router.route("/healthz", get(|| std::future::ready("ok\n")))
}

/// Runs what may block away from the threads that answer.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, StatusCode> {
    // An error is a panic of the work, which costs its own request only.
    tokio::task::spawn_blocking(work).await.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
}
