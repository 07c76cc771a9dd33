//! `/v1/works/{cid}/preview.jpg`: a work that is a picture, small enough to be looked at on a page.

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use timemark_ingest::PreviewError;
use timemark_verify::ContentId;
use utoipa::IntoParams;

use crate::accept::Validators;
use crate::access::{Access, Caller, Sight};
use crate::problem::{Kind, ProblemJson};
use crate::service::{Service, Shared};
use crate::{Problem, blocking};

/// How large.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Size {
    /// Most pixels of the longer side.
    #[param(minimum = 16, maximum = 1024, default = 640)]
    side: Option<u32>,
}

/// A work as a small JPEG
///
/// Of pictures that this archive keeps; of an animation the first frame.
#[utoipa::path(
    get, path = "/v1/works/{cid}/preview.jpg", tag = "works", operation_id = "preview",
    params(
        ("cid" = String, Path, pattern = "^bafkrei[a-h][a-z2-7]{50}[aeimquy4]$", description = "the work's id, `bafkrei…`"),
        Size,
        ("If-None-Match" = Option<String>, Header, description = "an entity tag"),
    ),
    responses(
        (status = 200, body = String, content_type = "image/jpeg", headers(("ETag" = String))),
        (status = 304, description = "it is as the entity tag says"),
        (status = 404, description = "the work is not kept here, or is no picture that can be drawn", body = ProblemJson, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn preview(
    State(service): State<Shared>,
    caller: Caller,
    headers: HeaderMap,
    cid: Result<Path<String>, PathRejection>,
    size: Result<Query<Size>, QueryRejection>,
) -> Result<Response, Problem> {
    let (Path(cid), Query(size)) = (cid?, size?);
    let side = match size.side.unwrap_or(SIDE_DEFAULT) {
        side @ SIDE_MIN..=SIDE_MAX => side,
        _ => return Err(Problem::bad_request(format!("side is {SIDE_MIN} to {SIDE_MAX}"))),
    };
    let work: ContentId =
        cid.parse().map_err(|_| Problem::new(Kind::BadId, "a work's id is a CID: bafkrei…"))?;
    // The same work gives the same picture, so that who has it need not have it drawn again.
    let drawn = format!("preview {DRAWN_AS} {work} {side}");
    let validators = Validators::of(drawn.as_bytes());
    let shared = service.clone();
    blocking(move || check_is_there(&work, &caller, &shared)).await??;
    if validators.known_by(&headers) {
        return Ok(validators.not_modified());
    }
    let turn = service.turn_to_compare().await?;
    let jpeg = blocking(move || {
        let _turn = turn;
        draw(&work, side, &service)
    });
    Ok((validators.headers(), [(CONTENT_TYPE, "image/jpeg")], jpeg.await??).into_response())
}

fn check_is_there(work: &ContentId, caller: &Caller, service: &Service) -> Result<(), Problem> {
    let engine = &service.engine;
    let records = engine.registry.by_content(work).map_err(Problem::internal)?;
    // Who registered a work by its digests alone need not have it: that shows them no picture.
    let was_seen = |record: &&timemark_ingest::Record| {
        let claim = record.claim.as_ref();
        !Access::is_narrow(caller) || claim.is_some_and(|claim| !claim.fingerprints.is_empty())
    };
    let sights = records.iter().filter(was_seen);
    let sights = sights.map(|record| service.access.sight(caller, record.index));
    let sights = sights.collect::<Result<Vec<_>, _>>()?;
    let is_kept = engine.works.recorded(work).is_ok_and(|place| place.kept.is_some());
    if !is_kept || sights.iter().all(|sight| *sight == Sight::Hidden) {
        return Err(none());
    }
    match sights.contains(&Sight::Own) {
        true => Ok(()),
        false => caller.act(engine, "work.view", &work.to_string(), Some("preview")),
    }
}

fn draw(work: &ContentId, side: u32, service: &Service) -> Result<Vec<u8>, Problem> {
    match service.engine.preview(work, side) {
        Ok(jpeg) => Ok(jpeg),
        Err(PreviewError::Media(_)) => Err(none()),
        Err(error) => Err(Problem::internal(error)),
    }
}

fn none() -> Problem {
    Problem::new(Kind::NotFound, "there is no picture of it here")
}

const SIDE_MIN: u32 = 16;
const SIDE_DEFAULT: u32 = 640;
const SIDE_MAX: u32 = 1024;
/// Goes up when the same work is drawn otherwise.
const DRAWN_AS: u32 = 1;
