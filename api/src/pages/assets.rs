//! The files that pages load: they lie in the program, and their address changes with what is in them.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use crate::Problem;

/// Where all of them are: modules find each other there.
pub(super) fn folder() -> String {
    format!("/assets/{}", *VERSION)
}

/// One of them. An address with another version is of a server that is no more.
pub(super) async fn asset(
    headers: HeaderMap,
    Path((version, name)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let asset = ASSETS.iter().find(|(known, ..)| *known == name && version == *VERSION);
    let (_, media_type, text) = asset.ok_or(StatusCode::NOT_FOUND)?;
    let tag = format!("\"{version}\"");
    let common = [(ETAG, &*tag), (CACHE_CONTROL, "public, max-age=31536000, immutable")];
    if headers.get_all(IF_NONE_MATCH).iter().any(|known| known == tag.as_str()) {
        return Ok((StatusCode::NOT_MODIFIED, common).into_response());
    }
    Ok((common, [(CONTENT_TYPE, *media_type)], *text).into_response())
}

/// A digest of all of them.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let mut digest = Sha256::new();
    for (name, _, text) in ASSETS {
        digest.update((text.len() as u64).to_be_bytes());
        digest.update(name);
        digest.update(text);
    }
    HEXLOWER.encode(&digest.finalize()[..8])
});

/// Name, media type, text.
const ASSETS: [(&str, &str, &str); 15] = [
    ("style.css", CSS, include_str!("../../assets/style.css")),
    ("page.js", JS, include_str!("../../assets/page.js")),
    ("register.js", JS, include_str!("../../assets/register.js")),
    ("works.js", JS, include_str!("../../assets/works.js")),
    ("work.js", JS, include_str!("../../assets/work.js")),
    ("session.js", JS, include_str!("../../assets/session.js")),
    ("entrance.js", JS, include_str!("../../assets/entrance.js")),
    ("account.js", JS, include_str!("../../assets/account.js")),
    ("admin.js", JS, include_str!("../../assets/admin.js")),
    ("reviewing.css", CSS, include_str!("../../assets/reviewing.css")),
    ("scans.js", JS, include_str!("../../assets/scans.js")),
    ("scan.js", JS, include_str!("../../assets/scan.js")),
    ("review.js", JS, include_str!("../../assets/review.js")),
    ("match.js", JS, include_str!("../../assets/match.js")),
    ("icon.svg", "image/svg+xml", include_str!("../../assets/icon.svg")),
];
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
