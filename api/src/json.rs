//! Short requests in JSON: read within a limit and a time, and understood whole or not at all.

use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::problem::{Kind, Problem};
use crate::serve::HEAD_TIME_MAX;

/// Reads the body of a request.
pub(crate) async fn read<T: DeserializeOwned>(request: Request) -> Result<T, Problem> {
    if essence(request.headers()) != "application/json" {
        return Err(Problem::new(Kind::UnsupportedMediaType, "the body is to be application/json"));
    }
    let length = request.headers().get(CONTENT_LENGTH);
    let length = length.and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    let too_large =
        || Problem::new(Kind::TooLarge, format!("a body of JSON may have {BODY_BYTES_MAX} bytes"));
    if length.is_some_and(|length| length > BODY_BYTES_MAX) {
        return Err(too_large());
    }
    let body = timeout(HEAD_TIME_MAX, to_bytes(request.into_body(), BODY_BYTES_MAX)).await;
    let body = body.map_err(|_| Problem::new(Kind::Timeout, "the body did not come in time"))?;
    let body = body.map_err(|_| too_large())?;
    serde_json::from_slice(&body).map_err(|error| Problem::bad_request(error.to_string()))
}

/// The media type of a body, in lower case and without parameters.
pub(crate) fn essence(headers: &HeaderMap) -> String {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = value.and_then(|value| value.split(';').next()).unwrap_or_default();
    essence.trim().to_ascii_lowercase()
}

const BODY_BYTES_MAX: usize = 64 << 10;
