//! A witness on the network (c2sp.org/tlog-witness): what is asked and answered, `timemark_tlog` decides.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use timemark_tlog::{AddCheckpoint, Witness};

use crate::blocking;

/// `POST /add-checkpoint` and `GET /<SHA-256 of the origin>/checkpoint`: submission and monitoring prefix are
/// the same.
pub fn router(witness: Arc<Witness>) -> Router {
    Router::new()
        .route("/add-checkpoint", post(add_checkpoint))
        .layer(DefaultBodyLimit::max(AddCheckpoint::BYTES_MAX))
        .route("/{origin_hash}/checkpoint", get(checkpoint))
        .with_state(witness)
}

async fn add_checkpoint(State(witness): State<Arc<Witness>>, body: Bytes) -> Response {
    let answer = match blocking(move || witness.add_checkpoint(&body)).await {
        Ok(answer) => answer,
        Err(status) => return status.into_response(),
    };
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, [(CONTENT_TYPE, answer.content_type)], answer.body).into_response()
}

async fn checkpoint(
    State(witness): State<Arc<Witness>>,
    Path(origin_hash): Path<String>,
) -> Response {
    match blocking(move || witness.checkpoint(&origin_hash)).await {
        Ok(Some(note)) => {
            let headers = [(CONTENT_TYPE, "text/plain; charset=utf-8"), (CACHE_CONTROL, NEWEST)];
            (headers, note).into_response()
        }
        Ok(None) => StatusCode::NOT_FOUND.into_response(),
        Err(status) => status.into_response(),
    }
}

/// The specification lets a monitor see what is an hour old; a few seconds spare the disk as well.
const NEWEST: &str = "public, max-age=5";

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::{Method, Request};
    use http_body_util::BodyExt;
    use timemark_tlog::Clock;
    use tower::ServiceExt;

    use super::*;

    #[tokio::test]
    async fn statuses_and_types_are_the_witness_own() {
        let dir = tempfile::tempdir().unwrap();
        Witness::create(dir.path(), "witness.example").unwrap();
        let witness = Arc::new(Witness::open(dir.path(), Clock::system()).unwrap());
        let nobody = "0".repeat(64);
        // An unknown log's checkpoint: all that can be said without a key.
        let request = "old 0\n\nlog.example\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n\n— log.example AAAAAAA=\n";
        for (method, path, body, status) in [
            (Method::POST, "/add-checkpoint", request.as_bytes().to_vec(), 404),
            (Method::POST, "/add-checkpoint", b"old 0".to_vec(), 400),
            (Method::POST, "/add-checkpoint", vec![b'x'; AddCheckpoint::BYTES_MAX], 400),
            (Method::POST, "/add-checkpoint", vec![b'x'; AddCheckpoint::BYTES_MAX + 1], 413),
            (Method::GET, "/add-checkpoint", vec![], 405),
            (Method::PUT, "/add-checkpoint", vec![], 405),
            (Method::GET, &format!("/{nobody}/checkpoint"), vec![], 404),
            (Method::GET, "/..%2fwitness.key/checkpoint", vec![], 404),
            (Method::POST, &format!("/{nobody}/checkpoint"), vec![], 405),
            (Method::GET, "/", vec![], 404),
        ] {
            let what = format!("{method} {path} {}", body.len());
            let request =
                Request::builder().method(method).uri(path).body(Body::from(body)).unwrap();
            let response = router(witness.clone()).oneshot(request).await.unwrap();
            assert_eq!(response.status(), status, "{what}");
            let types = response.headers().get(CONTENT_TYPE).cloned();
            let body = response.into_body().collect().await.unwrap().to_bytes();
            assert!(body.is_empty() || types.unwrap() == "text/plain; charset=utf-8", "{what}");
        }
    }
}
