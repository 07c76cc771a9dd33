//! A time-stamp authority on the network (RFC 3161 section 3.4): bytes in, bytes out.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::blocking;

/// Answers a request, whatever its bytes: what is wrong with them, the answer says itself.
pub type Respond = Arc<dyn Fn(&[u8]) -> Vec<u8> + Send + Sync>;

/// Longest request in bytes. One of RFC 3161 has about 100; extensions may add some.
pub const REQUEST_BYTES_MAX: usize = 64 << 10;

/// `POST /tsa`.
pub fn router(respond: Respond) -> Router {
    documented(respond).into()
}

/// The same with what describes it.
pub(crate) fn documented(respond: Respond) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(stamp))
        .layer(DefaultBodyLimit::max(REQUEST_BYTES_MAX))
        .with_state(respond)
}

/// Have a digest time-stamped (RFC 3161)
#[utoipa::path(
    post, path = "/tsa", tag = "tsa", operation_id = "stamp",
    request_body(content = String, content_type = "application/timestamp-query"),
    responses(
        (status = 200, description = "a TimeStampResp", body = String, content_type = "application/timestamp-reply"),
        (status = 413, description = "too long"),
        (status = 415, description = "the body is no application/timestamp-query"),
    )
)]
async fn stamp(State(respond): State<Respond>, headers: HeaderMap, body: Bytes) -> Response {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = content_type.and_then(|value| value.split(';').next()).unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/timestamp-query") {
        return StatusCode::UNSUPPORTED_MEDIA_TYPE.into_response();
    }
    match blocking(move || respond(&body)).await {
        Ok(reply) => {
            let headers =
                [(CONTENT_TYPE, "application/timestamp-reply"), (CACHE_CONTROL, "no-store")];
            (headers, reply).into_response()
        }
        Err(status) => status.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    use super::*;

    async fn post(content_type: Option<&str>, body: Vec<u8>) -> (u16, Vec<u8>) {
        let respond: Respond = Arc::new(|request| match request {
            b"panic" => panic!("as a bug would"),
            request => [b"reply to ", request].concat(),
        });
        let mut request = Request::post("/tsa");
        if let Some(content_type) = content_type {
            request = request.header(CONTENT_TYPE, content_type);
        }
        let request = request.body(Body::from(body)).unwrap();
        let mut response = router(respond).oneshot(request).await.unwrap();
        if response.status() == 200 {
            assert_eq!(response.headers()[CONTENT_TYPE], "application/timestamp-reply");
        }
        let body = response.body_mut().collect().await.unwrap().to_bytes().to_vec();
        (response.status().as_u16(), body)
    }

    #[tokio::test]
    async fn a_query_gets_its_reply_and_nothing_else_does() {
        let query = Some("application/timestamp-query");
        assert_eq!(post(query, b"x".to_vec()).await, (200, b"reply to x".to_vec()));
        assert_eq!(post(Some("Application/Timestamp-Query; a=b"), vec![]).await.0, 200);
        assert_eq!(post(Some("application/octet-stream"), vec![]).await.0, 415);
        assert_eq!(post(None, vec![]).await.0, 415);
        assert_eq!(post(query, vec![0; REQUEST_BYTES_MAX]).await.0, 200);
        assert_eq!(post(query, vec![0; REQUEST_BYTES_MAX + 1]).await.0, 413);
        assert_eq!(post(query, b"panic".to_vec()).await.0, 500);
        let get = Request::get("/tsa").body(Body::empty()).unwrap();
        let response = router(Arc::new(<[u8]>::to_vec)).oneshot(get).await.unwrap();
        assert_eq!(response.status(), 405);
    }
}
