//! The public files of a log, as c2sp.org/tlog-tiles lays them out, from the folder the log writes.
//!
//! Only paths of the specification's grammar reach the disk, and no link is followed below the folder.

use std::io::{self, Read};
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS,
};
use axum::response::{IntoResponse, Response};
use rustix::io::Errno;
use timemark_ingest::Beneath;
use timemark_tlog::tile::TilePath;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::blocking;

/// `GET /checkpoint`, `GET /tile/<L>/<N>[.p/<W>]`, `GET /tile/entries/<N>[.p/<W>]` from this folder.
pub fn router(tiles_dir: PathBuf) -> Router {
    documented(tiles_dir).into()
}

/// The same with what describes it.
pub(crate) fn documented(tiles_dir: PathBuf) -> OpenApiRouter {
    let routes = OpenApiRouter::new().routes(routes!(checkpoint)).routes(routes!(tile));
    routes.with_state(Arc::new(tiles_dir))
}

/// The newest checkpoint
#[utoipa::path(
    get, path = "/checkpoint", tag = "log", operation_id = "checkpoint",
    responses((status = 200, body = String, content_type = "text/plain"))
)]
async fn checkpoint(State(dir): State<Arc<PathBuf>>) -> Response {
    let read = move || read(&dir, "checkpoint");
    answer(blocking(read).await, "text/plain; charset=utf-8", "public, max-age=2")
}

/// A tile, or a bundle of entries
///
/// The path is `<L>/<N>[.p/<W>]` or `entries/<N>[.p/<W>]`, whose slashes stay slashes.
#[utoipa::path(
    get, path = "/tile/{*path}", tag = "log", operation_id = "tile",
    params(("path" = String, Path, description = "which tile")),
    responses(
        (status = 200, body = String, content_type = "application/octet-stream"),
        (status = 404, description = "there is no such tile yet"),
    )
)]
async fn tile(State(dir): State<Arc<PathBuf>>, Path(path): Path<String>) -> Response {
    let read = move || match TilePath::parse(&format!("tile/{path}")) {
        Some(tile) => read_tile(&dir, tile),
        None => Ok(None),
    };
    // What a path of a tile names never changes.
    let immutable = "public, max-age=31536000, immutable";
    answer(blocking(read).await, "application/octet-stream", immutable)
}

/// The file, or the beginning of the full one that took its place.
fn read_tile(dir: &FilePath, tile: TilePath) -> io::Result<Option<Vec<u8>>> {
    let (mut file, mut whole) = (read(dir, &tile.path())?, true);
    if file.is_none() {
        (file, whole) = (read(dir, &tile.full().path())?, false);
    }
    let Some(mut file) = file else { return Ok(None) };
    // A power cut may leave a file short until the log is opened and writes it again.
    let torn = || io::Error::new(io::ErrorKind::InvalidData, "it holds too little");
    let bytes = tile.cut(&file).ok_or_else(torn)?.len();
    if whole && bytes != file.len() {
        return Err(torn());
    }
    file.truncate(bytes);
    Ok(Some(file))
}

/// Reads a regular file below a folder without following any link; `None` if there is none.
fn read(dir: &FilePath, path: &str) -> io::Result<Option<Vec<u8>>> {
    let mut file = match Beneath::of(dir).and_then(|dir| dir.open(FilePath::new(path))) {
        Ok(file) => file,
        // Where a link, a folder or something else is, there is no such file.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => return Ok(None),
        Err(error) => {
            return match error.raw_os_error().map(Errno::from_raw_os_error) {
                Some(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NXIO) => Ok(None),
                _ => Err(error),
            };
        }
    };
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

fn answer(
    read: Result<io::Result<Option<Vec<u8>>>, StatusCode>,
    content_type: &'static str,
    cache: &'static str,
) -> Response {
    let status = match read {
        Ok(Ok(Some(bytes))) => {
            let headers = [
                (CONTENT_TYPE, content_type),
                (CACHE_CONTROL, cache),
                // Public for everybody: pages of others verify receipts against it.
                (ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
                (X_CONTENT_TYPE_OPTIONS, "nosniff"),
            ];
            return (headers, bytes).into_response();
        }
        Ok(Ok(None)) => StatusCode::NOT_FOUND,
        Ok(Err(_)) => StatusCode::INTERNAL_SERVER_ERROR,
        Err(status) => status,
    };
    // What is not there yet may be soon.
    let headers = [(CACHE_CONTROL, "no-store"), (ACCESS_CONTROL_ALLOW_ORIGIN, "*")];
    (status, headers).into_response()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use axum::body::Body;
    use axum::http::Request;
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    use super::*;

    async fn get(dir: &FilePath, path: &str) -> (u16, Vec<u8>, Response) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let mut response = router(dir.to_owned()).oneshot(request).await.unwrap();
        let body = response.body_mut().collect().await.unwrap().to_bytes().to_vec();
        (response.status().as_u16(), body, response)
    }

    fn tree() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let write = |path: &str, bytes: &[u8]| {
            let path = dir.path().join("tiles").join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        };
        write("checkpoint", b"log.example\n");
        write("tile/0/000", &[1; 8192]);
        write("tile/0/001.p/2", &[2; 64]);
        write("tile/0/002", &[3; 8191]);
        write("tile/0/003.p/2", &[3; 65]);
        write("tile/entries/000", &b"\0\x01a".repeat(256));
        write("tile/entries/001.p/1", b"\0\0");
        fs::create_dir_all(dir.path().join("tiles/tile/0/004")).unwrap();
        fs::write(dir.path().join("secret"), [9; 8192]).unwrap();
        let link = |from: &str, to: &str| {
            std::os::unix::fs::symlink(from, dir.path().join("tiles").join(to)).unwrap();
        };
        link("../../../secret", "tile/0/005");
        link("..", "tile/1");
        dir
    }

    #[tokio::test]
    async fn what_the_log_wrote_is_served_and_nothing_else() {
        let dir = tree();
        let tiles = dir.path().join("tiles");
        for (path, expected) in [
            ("/checkpoint", Ok(b"log.example\n".to_vec())),
            ("/tile/0/000", Ok(vec![1; 8192])),
            ("/tile/0/001.p/2", Ok(vec![2; 64])),
            ("/tile/entries/001.p/1", Ok(vec![0; 2])),
            // The partial files are gone, the full ones hold them.
            ("/tile/0/000.p/3", Ok(vec![1; 96])),
            ("/tile/entries/000.p/2", Ok(b"\0\x01a\0\x01a".to_vec())),
            ("/tile/0/001", Err(404)),
            ("/tile/0/001.p/1", Err(404)),
            ("/tile/0/003.p/1", Err(404)),
            ("/tile/63/000", Err(404)),
            ("/tile/entries/002", Err(404)),
            // Torn: a client must not take it for the tile.
            ("/tile/0/002", Err(500)),
            ("/tile/0/002.p/9", Ok(vec![3; 288])),
            ("/tile/0/003.p/2", Err(500)),
            // Folders and links are no files.
            ("/tile/0/004", Err(404)),
            ("/tile/0/005", Err(404)),
            ("/tile/1/000", Err(404)),
            ("/tile/1/tile/0/000", Err(404)),
            // Nothing else reaches the disk.
            ("/tile/0/../../checkpoint", Err(404)),
            ("/tile/0/%2e%2e/%2e%2e/checkpoint", Err(404)),
            ("/tile/..%2f..%2fsecret", Err(404)),
            ("/tile//secret", Err(404)),
            ("/tile/0/000%00", Err(404)),
            ("/tile/0/0", Err(404)),
            ("/secret", Err(404)),
            ("/", Err(404)),
        ] {
            let (status, body, _) = get(&tiles, path).await;
            let got = if status == 200 { Ok(body) } else { Err(status) };
            assert_eq!(got, expected, "{path}");
        }
    }

    #[tokio::test]
    async fn tiles_are_kept_for_ever_and_the_checkpoint_for_a_moment() {
        let dir = tree();
        let header =
            |response: &Response, name| response.headers()[name].to_str().unwrap().to_owned();
        for (path, content_type, cache) in [
            ("/checkpoint", "text/plain; charset=utf-8", "public, max-age=2"),
            ("/tile/0/001.p/2", "application/octet-stream", "public, max-age=31536000, immutable"),
        ] {
            let (_, _, response) = get(&dir.path().join("tiles"), path).await;
            assert_eq!(header(&response, CONTENT_TYPE), content_type);
            assert_eq!(header(&response, CACHE_CONTROL), cache);
            assert_eq!(header(&response, ACCESS_CONTROL_ALLOW_ORIGIN), "*");
        }
        let (status, _, response) = get(&dir.path().join("tiles"), "/tile/0/999").await;
        assert_eq!((status, header(&response, CACHE_CONTROL)), (404, "no-store".to_owned()));
    }
}
