//! *Register*: files are dropped on it, and each gets its receipt.

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use super::answer;
use super::frame::Frame;
use super::words::Words;
use crate::service::Shared;

pub(super) async fn page(State(service): State<Shared>, frame: Frame) -> Response {
    let w = frame.words();
    let page = Register {
        w,
        script: w.script.json(),
        bytes_max: service.upload_bytes_max,
        is_stamped: service.proves_times(),
        frame: &frame,
    };
    answer(&frame, Ok(page))
}

#[derive(Template)]
#[template(path = "register.html")]
struct Register<'a> {
    w: &'static Words,
    frame: &'a Frame,
    script: String,
    bytes_max: u64,
    /// Whether somebody is asked to vouch for the time.
    is_stamped: bool,
}
