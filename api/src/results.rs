//! All results of a scan as one file: lines of JSON, or a table, told as they are read.

use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::http::header::{CONTENT_TYPE, VARY};
use axum::response::{IntoResponse, Response};
use hyper::body::Frame;
use timemark_review::{ResultJson, table};
use tokio::sync::mpsc;

use crate::access::Caller;
use crate::scans::seen;
use crate::service::{Service, Shared};
use crate::{Problem, blocking};

/// A form that all results come in at once.
#[derive(Clone, Copy)]
pub(crate) enum Form {
    Lines,
    Table,
}

impl Form {
    /// The form that this media type names.
    pub fn of(media_type: &str) -> Option<Form> {
        match media_type {
            LINES => Some(Form::Lines),
            TABLE => Some(Form::Table),
            _ => None,
        }
    }

    fn text(self, result: &ResultJson) -> Result<String, serde_json::Error> {
        match self {
            Form::Lines => Ok(serde_json::to_string(result)? + "\n"),
            Form::Table => Ok(table::rows(result)),
        }
    }
}

/// The results of a scan after that place, to the last that there is now.
pub(crate) async fn whole(
    service: Shared,
    caller: Caller,
    id: u64,
    after: u64,
    form: Form,
) -> Result<Response, Problem> {
    let (reading, asking) = (service.clone(), caller.clone());
    blocking(move || seen(id, &asking, &reading)).await??;
    let (sender, receiver) = mpsc::channel(AHEAD_MAX);
    // It waits for a client that is slow, and ends with one that goes away.
    tokio::task::spawn_blocking(move || {
        if let Err(error) = tell(&service, &caller, id, after, form, &sender) {
            // A file that is not whole has to be seen to be that.
            let _ = sender.blocking_send(Err(error));
        }
    });
    let media_type = match form {
        Form::Lines => LINES,
        Form::Table => "text/csv; charset=utf-8",
    };
    let headers = [(CONTENT_TYPE, media_type), (VARY, "accept")];
    Ok((headers, Body::new(Pieces(receiver))).into_response())
}

fn tell(
    service: &Service,
    caller: &Caller,
    id: u64,
    after: u64,
    form: Form,
    sender: &mpsc::Sender<Piece>,
) -> Result<(), Failed> {
    let mut after = after;
    let mut text = match form {
        Form::Table => table::headings(),
        Form::Lines => String::new(),
    };
    loop {
        let page = service.review.results(id, after, AT_ONCE)?;
        for result in page.items {
            let told = service.access.told_result(caller, result, &service.engine);
            text += &form.text(&told.map_err(|problem| format!("{problem:?}"))?)?;
        }
        if !text.is_empty() && sender.blocking_send(Ok(mem::take(&mut text).into())).is_err() {
            return Ok(());
        }
        match page.next {
            Some(next) => after = next,
            None => return Ok(()),
        }
    }
}

type Failed = Box<dyn std::error::Error + Send + Sync>;
type Piece = Result<Bytes, Failed>;

/// A body of pieces as they come.
struct Pieces(mpsc::Receiver<Piece>);

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = Failed;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Failed>>> {
        self.0.poll_recv(context).map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }
}

/// Media types of the two forms.
pub(crate) const LINES: &str = "application/jsonl";
pub(crate) const TABLE: &str = "text/csv";
/// Results that are read at a time, and how many such pieces may wait to be taken.
const AT_ONCE: usize = 500;
const AHEAD_MAX: usize = 2;
