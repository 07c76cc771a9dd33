//! *Login* and *Setup*: where people say who they are, and where the first of them is made. What a link holds stays behind
//! its `#`, which browsers send to nobody.

use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Response;
use serde::Deserialize;

use super::answer;
use super::frame::Frame;
use super::words::{Words, json, say};
use crate::service::Shared;

/// Where to go from there.
#[derive(Default, Deserialize)]
pub(super) struct Onward {
    next: Option<String>,
}

pub(super) async fn login(
    State(service): State<Shared>,
    frame: Frame,
    onward: Result<Query<Onward>, QueryRejection>,
) -> Response {
    let w = frame.words();
    let Query(Onward { next }) = onward.unwrap_or_default();
    let next = next.filter(|next| is_own_path(next)).unwrap_or_default();
    let page = Login {
        w,
        script: json(&w.access.script),
        known: frame.visitor().map(|visitor| say(w.access.login_known, &[&visitor.name])),
        next,
        any: service.access.accounts.any(),
        frame: &frame,
    };
    answer(&frame, Ok(page))
}

pub(super) async fn setup(State(service): State<Shared>, frame: Frame) -> Response {
    let w = frame.words();
    let any = service.access.accounts.any();
    answer(&frame, Ok(Setup { w, script: json(&w.access.script), any, frame: &frame }))
}

#[derive(Template)]
#[template(path = "login.html")]
struct Login<'a> {
    w: &'static Words,
    frame: &'a Frame,
    script: String,
    /// Said to who is logged in already.
    known: Option<String>,
    /// A page of this server, or empty.
    next: String,
    /// Whether there are accounts.
    any: bool,
}

#[derive(Template)]
#[template(path = "setup.html")]
struct Setup<'a> {
    w: &'static Words,
    frame: &'a Frame,
    script: String,
    /// Whether there are accounts.
    any: bool,
}

/// Whether this leads to a page of this server whatever a browser makes of it: another server is named after two slashes,
/// a backslash counts as a slash, and line ends and tabs are passed over (WHATWG URL).
fn is_own_path(text: &str) -> bool {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let starts = text.starts_with('/') && !text.starts_with("//");
    let is_entrance = ["/login", "/setup"].iter().any(|path| text.starts_with(path));
    starts && is_plain && !is_entrance && text.len() <= NEXT_BYTES_MAX
}

const NEXT_BYTES_MAX: usize = 2000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_led_to_another_server_after_logging_in() {
        for own in ["/", "/works", "/works/bafkrei?lang=zh", "/works?q=%E5%B1%B1&before=3"] {
            assert!(is_own_path(own), "{own}");
        }
        for other in [
            "",
            "works",
            "//evil.example",
            "/\\evil.example",
            "/\t/evil.example",
            "https://evil.example/",
            "javascript:alert(1)",
            "\\\\evil.example",
            "/山水",
            "/login",
            "/setup",
        ] {
            assert!(!is_own_path(other), "{other}");
        }
        assert!(!is_own_path(&format!("/{}", "a".repeat(NEXT_BYTES_MAX))));
    }
}
