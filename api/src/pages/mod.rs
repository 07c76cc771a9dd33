//! The pages of the service: for people who never open a terminal.
//!
//! A page is a template and the words of one language; everything in it that comes from outside is escaped. What moves on
//! it is done by the modules under `/assets/`, and nothing else may run or be loaded (CSP). These are the only routes that
//! the OpenAPI document does not describe: programs have no use for them.

mod assets;
mod charts;
mod drawing;
mod frame;
mod log;
mod matched;
mod receipt;
mod register;
mod review;
mod scan;
mod scans;
mod svg;
mod timeline;
mod verifier;
mod words;
mod work;
mod works;

use askama::Template;
use axum::Router;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, SET_COOKIE, VARY};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::Problem;
use crate::accept::best;
use crate::problem::{IsPage, Kind};
use crate::service::Shared;
use frame::Frame;
pub(crate) use verifier::Verifier;
use words::Words;

/// Every page, and what pages load.
pub(crate) fn router(service: Shared) -> Router {
    Router::new()
        .route("/", get(register::page))
        .route("/works", get(works::page))
        .route("/works/{cid}", get(work::page))
        .route("/scans", get(scans::page))
        .route("/scans/{id}", get(scan::page))
        .route("/review", get(review::page))
        .route("/review/{id}", get(matched::page))
        .route("/verify", get(verifier::page))
        .route("/verify/verify.html", get(verifier::verifier))
        .route("/log", get(log::page))
        .route("/assets/{version}/{name}", get(assets::asset))
        .with_state(service)
}

/// What a page shows, as the operation of which it shows that: the table of permissions speaks of operations.
pub(crate) const SHOWN: [(&str, &str); 11] = [
    ("/", "register"),
    ("/works", "list_works"),
    ("/works/{cid}", "work"),
    ("/scans", "list_scans"),
    ("/scans/{id}", "scan_by_id"),
    ("/review", "list_matches"),
    ("/review/{id}", "match_by_id"),
    ("/verify", "policy"),
    ("/verify/verify.html", "policy"),
    ("/log", "checkpoint"),
    ("/assets/{version}/{name}", "policy"),
];

/// Where there is nothing: a page for who reads pages.
pub(crate) async fn missing(frame: Frame, headers: HeaderMap) -> Response {
    let problem = Problem::from(StatusCode::NOT_FOUND);
    match best(&headers, &["application/problem+json", "text/html"]) {
        Some("text/html") => answer::<Failed>(&frame, Err(problem)),
        _ => problem.into_response(),
    }
}

/// A page, or why there is none, as a page as well.
fn answer<T: Template>(frame: &Frame, page: Result<T, Problem>) -> Response {
    let (status, html) = match page.map(|page| page.render()) {
        Ok(Ok(html)) => (StatusCode::OK, html),
        Ok(Err(error)) => failed(frame, &Problem::internal(error)),
        Err(problem) => failed(frame, &problem),
    };
    let mut response = (status, html).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(VARY, HeaderValue::from_static("accept-language, cookie"));
    if let Some(cookie) = frame.cookie() {
        headers.insert(SET_COOKIE, HeaderValue::from_static(cookie));
    }
    response.extensions_mut().insert(IsPage);
    response
}

fn failed(frame: &Frame, problem: &Problem) -> (StatusCode, String) {
    let w = frame.words();
    let (kind, status, detail) = problem.told();
    // An id that is misspelled is the address of no page.
    let (status, title, text) = match kind {
        Kind::NotFound | Kind::BadId => (StatusCode::NOT_FOUND, w.missing_title, w.missing_text),
        Kind::Internal | Kind::Unavailable => (status, w.failed_title, w.failed_text),
        _ => (status, w.bad_title, detail),
    };
    let page = Failed { w, frame, title, text };
    (status, page.render().unwrap_or_else(|_| title.to_owned()))
}

/// In the place of a page that there is not.
#[derive(Template)]
#[template(path = "failed.html")]
struct Failed<'a> {
    w: &'static Words,
    frame: &'a Frame,
    title: &'a str,
    text: &'a str,
}

/// What a page may load and do. There is no inline script and no inline style.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; \
                      connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
