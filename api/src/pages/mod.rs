//! The pages of the service: for people who never open a terminal.
//!
//! A page is a template and the words of one language; everything in it that comes from outside is escaped. What moves on
//! it is done by the modules under `/assets/`, and nothing else may run or be loaded (CSP). These are the only routes that
//! the OpenAPI document does not describe: programs have no use for them.

mod account;
mod admin;
mod assets;
mod both_sides;
mod charts;
mod drawing;
mod entrance;
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
use axum::extract::{FromRequestParts, Request};
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, SET_COOKIE, VARY};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::Problem;
use crate::accept::best;
use crate::access::visitor;
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
        .route("/login", get(entrance::login))
        .route("/setup", get(entrance::setup))
        .route("/account", get(account::page))
        .route("/admin", get(admin::page))
        .route("/assets/{version}/{name}", get(assets::asset))
        .with_state(service)
}

/// What a page shows, as the operation of which it shows that: the table of permissions speaks of operations.
pub(crate) const SHOWN: [(&str, &str); 15] = [
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
    ("/login", "login"),
    ("/setup", "setup"),
    ("/account", "me"),
    ("/admin", "list_actions"),
    ("/assets/{version}/{name}", "policy"),
];

/// Where there is nothing: a page for who reads pages.
pub(crate) async fn missing(service: Shared, request: Request) -> Response {
    let problem = Problem::from(StatusCode::NOT_FOUND);
    match best(request.headers(), &["application/problem+json", "text/html"]) {
        Some("text/html") => {
            let (mut parts, _) = request.into_parts();
            let caller = visitor(&parts.headers, &service).await;
            parts.extensions.insert(caller);
            let Ok(frame) = Frame::from_request_parts(&mut parts, &()).await;
            answer::<Failed>(&frame, Err(problem))
        }
        _ => problem.into_response(),
    }
}

/// In the place of a page that is not open to who asks: the way to log in, or a page that says so. The address of the server
/// alone leads to the first page that is open to them.
pub(crate) async fn refused(parts: &mut Parts, problem: Problem) -> Response {
    let Ok(frame) = Frame::from_request_parts(parts, &()).await;
    let is_look = parts.method.is_safe();
    let is_start = parts.uri.path() == "/" && frame.home() != "/";
    let onward = match problem.told() {
        (Kind::Unauthorized, ..) if is_look => frame.login(),
        (Kind::Forbidden, ..) if is_look && is_start => frame.home().to_owned(),
        (Kind::Forbidden, ..) if is_look => return answer::<Failed>(&frame, Err(problem)),
        _ => return problem.into_response(),
    };
    let Ok(onward) = HeaderValue::try_from(onward) else { return problem.into_response() };
    let mut response = (StatusCode::SEE_OTHER, [(LOCATION, onward)]).into_response();
    depends_on_reader(&frame, response.headers_mut());
    response
}

/// Says that a page is another for others, and remembers a language that was chosen.
fn depends_on_reader(frame: &Frame, headers: &mut HeaderMap) {
    headers.insert(VARY, HeaderValue::from_static("accept-language, cookie"));
    if let Some(cookie) = frame.cookie() {
        headers.insert(SET_COOKIE, HeaderValue::from_static(cookie));
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
    depends_on_reader(frame, headers);
    response.extensions_mut().insert(IsPage);
    response
}

fn failed(frame: &Frame, problem: &Problem) -> (StatusCode, String) {
    let w = frame.words();
    let (kind, status, detail) = problem.told();
    // An id that is misspelled is the address of no page.
    let (status, title, text) = match kind {
        Kind::NotFound | Kind::BadId => (StatusCode::NOT_FOUND, w.missing_title, w.missing_text),
        Kind::Forbidden => (status, w.access.forbidden_title, w.access.forbidden_text),
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
