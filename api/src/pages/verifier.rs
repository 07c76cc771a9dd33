//! *Verify*: hands out the verifier's page, which works in the browser alone, and the policy that it asks for.

use askama::Template;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_SECURITY_POLICY;
use axum::response::Response;
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use super::answer;
use super::frame::{Frame, bytes};
use super::words::Words;
use crate::Problem;
use crate::accept::tagged;
use crate::problem::Kind;
use crate::service::Shared;

/// The verifier's page: one file, which states its own policy.
pub(crate) struct Verifier {
    html: Vec<u8>,
    policy: HeaderValue,
    sha256: String,
}

impl Verifier {
    /// Reads what the page says that it may do, by the digests of its only script and style. A page that says nothing of
    /// the kind is none that scripts/page.sh built, and is not handed out.
    pub fn of(html: Vec<u8>) -> Option<Verifier> {
        let text = str::from_utf8(&html).ok()?;
        let (_, rest) = text.split_once(POLICY_STARTS)?;
        let (policy, _) = rest.split_once('"')?;
        let policy = policy
            .starts_with("default-src 'none';")
            .then(|| HeaderValue::from_str(&format!("{policy}; frame-ancestors 'none'")).ok());
        let sha256 = HEXLOWER.encode(&Sha256::digest(&html));
        Some(Verifier { policy: policy??, sha256, html })
    }
}

pub(super) async fn page(State(service): State<Shared>, frame: Frame) -> Response {
    let verifier = service.verifier.as_ref().map(|verifier| Offered {
        sha256: verifier.sha256.clone(),
        length: bytes(verifier.html.len() as u64),
    });
    let policy_sha256 = HEXLOWER.encode(&Sha256::digest(&service.policy_text));
    let page = Verify { w: frame.words(), frame: &frame, verifier, policy_sha256 };
    answer(&frame, Ok(page))
}

/// The verifier's page itself, whole.
pub(super) async fn verifier(
    State(service): State<Shared>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let missing = || Problem::new(Kind::NotFound, "the verifier's page is not beside this server");
    let verifier = service.verifier.as_ref().ok_or_else(missing)?;
    let mut response = tagged(&headers, "text/html; charset=utf-8", verifier.html.clone());
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, verifier.policy.clone());
    Ok(response)
}

struct Offered {
    sha256: String,
    length: String,
}

#[derive(Template)]
#[template(path = "verify.html")]
struct Verify<'a> {
    w: &'static Words,
    frame: &'a Frame,
    verifier: Option<Offered>,
    policy_sha256: String,
}

const POLICY_STARTS: &str = r#"<meta http-equiv="Content-Security-Policy" content=""#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_page_that_says_what_it_may_do_is_handed_out() {
        let page = |policy: &str| format!("<head>{POLICY_STARTS}{policy}\"></head>").into_bytes();
        let policy = "default-src 'none'; script-src 'sha256-x'";
        let verifier = Verifier::of(page(policy)).unwrap();
        assert_eq!(verifier.policy, format!("{policy}; frame-ancestors 'none'"));
        for page in [page("default-src *"), page(""), b"<html>".to_vec(), vec![0xFF]] {
            assert!(Verifier::of(page).is_none());
        }
    }
}
