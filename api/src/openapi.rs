//! The document that describes the service (OpenAPI 3.1), made from the functions that answer.

use utoipa::OpenApi;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::{Content, OpenApi as Document, Ref, RefOr, Response};

use crate::problem::ProblemJson;

/// What is said of the service as a whole.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Timemark",
        description = "Works are registered in a log that anyone can check, and their copies are found. Errors are \
                       problem+json (RFC 9457), whose types docs/api.md lists.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    components(schemas(ProblemJson)),
    tags(
        (name = "works", description = "Registering, listing, looking up"),
        (name = "receipts", description = "What proves a registration"),
        (name = "verify", description = "What a receipt proves"),
        (name = "search", description = "Finding works by words and pictures"),
        (name = "webhooks", description = "Who is told of what happened (standardwebhooks.com)"),
        (name = "log", description = "The log's public files (c2sp.org/tlog-tiles)"),
        (name = "tsa", description = "Time-stamps (RFC 3161)"),
        (name = "operation", description = "For who runs the service"),
    ),
)]
pub(crate) struct Description;

/// The document as JSON, with what is true of every operation added to each.
pub(crate) fn text(mut document: Document) -> String {
    let paths = std::mem::take(&mut document.paths.paths);
    for (path, mut item) in paths {
        let is_public = !path.starts_with("/v1") || path.starts_with("/v1/log");
        let is_watched = path == "/metrics" || path == "/readyz";
        for operation in operations(&mut item) {
            if path.starts_with("/v1/log") {
                operation.operation_id = operation.operation_id.take().map(|id| format!("v1_{id}"));
            }
            let mut common = vec![("408", "it took too long"), ("500", "something failed here")];
            if !is_public || is_watched {
                common.extend([
                    ("400", "it cannot be understood"),
                    ("403", "a page of another site asks"),
                    ("421", "the Host is another one than this machine"),
                ]);
            }
            if operation.request_body.is_some() && !is_public {
                common.extend([
                    ("429", "too many files are on their way in"),
                    ("503", "nothing can be registered now"),
                ]);
            }
            for (status, words) in common {
                let responses = &mut operation.responses.responses;
                responses.entry(status.to_owned()).or_insert_with(|| RefOr::T(problem(words)));
            }
        }
        // How axum spells a parameter that takes the rest of the path.
        document.paths.paths.insert(path.replace("{*", "{"), item);
    }
    document.to_json().unwrap_or_default()
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.post, &mut item.patch, &mut item.delete]
        .into_iter()
        .filter_map(Option::as_mut)
}

fn problem(words: &str) -> Response {
    let schema = Ref::from_schema_name("Problem");
    let mut response = Response::new(words);
    let content = RefOr::T(Content::new(Some(schema)));
    response.content.insert("application/problem+json".to_owned(), content);
    response
}
