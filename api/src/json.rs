//! Short requests in JSON: read within a limit and a time, and understood whole or not at all.

use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::header::CONTENT_TYPE;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::problem::{Kind, Problem};
use crate::serve::HEAD_TIME_MAX;

/// Reads the body of a request.
pub(crate) async fn read<T: DeserializeOwned>(request: Request) -> Result<T, Problem> {
    let media_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = media_type.and_then(|value| value.split(';').next()).unwrap_or_default();
    if !essence.trim().eq_ignore_ascii_case("application/json") {
        let detail = "the body is to be application/json";
        return Err(Problem::new(Kind::UnsupportedMediaType, detail));
    }
    let too_large = |_| Problem::new(Kind::TooLarge, format!("a body may have {BYTES_MAX} bytes"));
    let body = timeout(HEAD_TIME_MAX, to_bytes(request.into_body(), BYTES_MAX)).await;
    let late = |_| Problem::new(Kind::Timeout, "the body did not come in time");
    let body = body.map_err(late)?.map_err(too_large)?;
    serde_json::from_slice(&body).map_err(|error| Problem::bad_request(error.to_string()))
}

const BYTES_MAX: usize = 64 << 10;
