//! `/v1/works/{cid}/preview.jpg`: a work that is a picture, small enough to be looked at on a page.

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use timemark_ingest::{PreviewError, Registrations};
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
    let is_kept = engine.works.recorded(work).is_ok_and(|place| place.kept.is_some());
    let (is_there, is_own) = match Access::is_narrow(caller) {
        false => {
            let any = engine.registry.count_by_content(work, 0, 1).map_err(Problem::internal)? > 0;
            (any, service.access.has_own(caller, work)?)
        }
        true => by_looks(work, caller, service)?,
    };
    if !is_kept || !is_there {
        return Err(none());
    }
    match is_own {
        true => Ok(()),
        false => caller.act(engine, "work.view", &work.to_string(), Some("preview")),
    }
}

/// Whether somebody who does not see everything sees a registration of a work with its looks, and whether that is their own.
/// Who registered a work by its digests alone need not have it: that shows them no picture.
fn by_looks(work: &ContentId, caller: &Caller, service: &Service) -> Result<(bool, bool), Problem> {
    let (access, engine) = (&service.access, &service.engine);
    let read = |from, most| access.registrations_seen(caller, work, from, most, engine);
    let mut is_there = false;
    for record in Registrations::from(0, read).take(LOOKS_MAX) {
        let record = record?;
        if record.claim.is_none_or(|claim| claim.fingerprints.is_empty()) {
            continue;
        }
        is_there = true;
        if access.sight(caller, record.index)? == Sight::Own {
            return Ok((true, true));
        }
    }
    Ok((is_there, false))
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
/// Registrations of one work that are looked at for one with its looks.
const LOOKS_MAX: usize = 1000;
/// Goes up when the same work is drawn otherwise.
const DRAWN_AS: u32 = 1;
