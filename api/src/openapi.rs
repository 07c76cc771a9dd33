//! The document that describes the service (OpenAPI 3.1), made from the functions that answer.

use timemark_accounts::{Access, permission};
use utoipa::OpenApi;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
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
        (name = "scans", description = "Scanning collections, as jobs"),
        (name = "matches", description = "What scans found, and what people decide about it"),
        (name = "bundles", description = "Evidence for courts, in one file"),
        (name = "webhooks", description = "Who is told of what happened (standardwebhooks.com)"),
        (name = "log", description = "The log's public files (c2sp.org/tlog-tiles)"),
        (name = "tsa", description = "Time-stamps (RFC 3161)"),
        (name = "access", description = "Accounts, keys, sessions, and what the staff did"),
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
            operation.operation_id =
                operation.operation_id.take().map(|id| operation_id(&path, &id));
            let row = operation.operation_id.as_deref().and_then(permission);
            let is_open = row.is_some_and(|row| row.access(None) == Access::Allow);
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
            for response in operation.responses.responses.values_mut() {
                if let RefOr::T(response) = response
                    && response.description.is_empty()
                {
                    response.description = "as asked".to_owned(); // OpenAPI wants words of everything
                }
            }
            if !is_open {
                common.extend([
                    ("401", "who asks is not known"),
                    ("403", "this is not open to who asks, or a page of another site asks"),
                    ("429", "too many keys were wrong"),
                ]);
                let none: [&str; 0] = [];
                let ways = [BEARER, COOKIE].map(|way| SecurityRequirement::new(way, none));
                operation.security = Some(ways.to_vec());
            }
            for (status, words) in common {
                let responses = &mut operation.responses.responses;
                responses.entry(status.to_owned()).or_insert_with(|| RefOr::T(problem(words)));
            }
        }
        // How axum spells a parameter that takes the rest of the path.
        document.paths.paths.insert(path.replace("{*", "{"), item);
    }
    if let Some(components) = &mut document.components {
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        components.add_security_scheme(BEARER, SecurityScheme::Http(bearer));
        let cookie = ApiKey::Cookie(ApiKeyValue::new("timemark"));
        components.add_security_scheme(COOKIE, SecurityScheme::ApiKey(cookie));
    }
    document.to_json().unwrap_or_default()
}

/// The `operationId` of what stands behind a path: the log's files stand behind two.
pub(crate) fn operation_id(path: &str, id: &str) -> String {
    if path.starts_with("/v1/log") { format!("v1_{id}") } else { id.to_owned() }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.post, &mut item.put, &mut item.patch, &mut item.delete]
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

/// What the ways to say who asks are called in the document.
const BEARER: &str = "key";
const COOKIE: &str = "session";
