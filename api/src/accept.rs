//! What a client would like best of what there is (RFC 9110 section 12.5.1), and whether it has it already (section 13.1.2).

use axum::http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_MATCH, IF_NONE_MATCH, VARY,
};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use crate::problem::{Kind, Problem};

/// The best of the media types that are offered, of which the first is the one for who does not care. `None` where the
/// client takes none of them.
pub(crate) fn best<'a>(headers: &HeaderMap, offered: &[&'a str]) -> Option<&'a str> {
    let accepted: Vec<_> = headers.get_all(ACCEPT).iter().collect();
    if accepted.is_empty() {
        return offered.first().copied();
    }
    let ranges: Vec<_> = accepted
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(Range::parse)
        .collect();
    let quality = |media_type: &str| {
        let fitting = ranges.iter().filter_map(|r| Some((r.fits(media_type)?, r.thousandths)));
        fitting.max_by_key(|(closeness, _)| *closeness).map_or(0, |(_, quality)| quality)
    };
    // Of equals, the one offered first.
    offered.iter().rev().copied().max_by_key(|t| quality(t)).filter(|t| quality(t) > 0)
}

/// One media range of an Accept header.
struct Range {
    kind: String,
    subtype: String,
    thousandths: u16,
}

impl Range {
    fn parse(text: &str) -> Option<Range> {
        let mut parts = text.split(';').map(str::trim);
        let (kind, subtype) = parts.next()?.split_once('/')?;
        let quality =
            parts.filter_map(|parameter| parameter.split_once('=')).find_map(|(name, value)| {
                name.trim().eq_ignore_ascii_case("q").then(|| value.trim().to_owned())
            });
        let thousandths = match quality {
            None => 1000,
            Some(text) => {
                let quality: f32 = text.parse().ok().filter(|q| (0.0..=1.0).contains(q))?;
                (quality * 1000.0) as u16
            }
        };
        let lower = str::to_ascii_lowercase;
        Some(Range { kind: lower(kind), subtype: lower(subtype), thousandths })
    }

    /// How closely it names a media type; `None` where it does not.
    fn fits(&self, media_type: &str) -> Option<u8> {
        let (kind, subtype) = media_type.split(';').next()?.split_once('/')?;
        match (&*self.kind, &*self.subtype) {
            ("*", "*") => Some(0),
            (range, "*") if range == kind => Some(1),
            (range, subrange) if range == kind && subrange == subtype => Some(2),
            _ => None,
        }
    }
}

/// The strong entity tag of an answer.
pub(crate) fn entity_tag(body: &[u8]) -> String {
    format!("\"{}\"", HEXLOWER.encode(&Sha256::digest(body)[..16]))
}

/// Refuses a change by somebody who did not see what is there now (RFC 9110 section 13.1.1).
pub(crate) fn expect_unchanged(headers: &HeaderMap, body: &[u8]) -> Result<(), Problem> {
    let mut seen = headers.get_all(IF_MATCH).iter().peekable();
    if seen.peek().is_none() {
        let detail = "If-Match has to name what is changed, by the ETag that it had";
        return Err(Problem::new(Kind::MustCompare, detail));
    }
    let tag = entity_tag(body);
    let mut tags = seen.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    if tags.any(|seen| seen.trim() == "*" || seen.trim() == tag) {
        return Ok(());
    }
    Err(Problem::new(Kind::Changed, "it changed since; look at it again"))
}

/// An answer with a strong entity tag, or 304 where the client has it. It may be kept, and has to be asked for again.
pub(crate) fn tagged(headers: &HeaderMap, media_type: &str, body: Vec<u8>) -> Response {
    let validators = Validators::of(&body);
    if validators.known_by(headers) {
        return validators.not_modified();
    }
    (validators.headers(), [(CONTENT_TYPE, media_type)], body).into_response()
}

/// A strong entity tag, and what else is said of an answer that may be kept.
pub(crate) struct Validators(String);

impl Validators {
    /// Of an answer that is made of this and nothing else.
    pub fn of(source: &[u8]) -> Validators {
        Validators(entity_tag(source))
    }

    /// Whether who asks has it already.
    pub fn known_by(&self, headers: &HeaderMap) -> bool {
        let known = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
        let mut known = known.flat_map(|value| value.split(',')).map(str::trim);
        known.any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == self.0)
    }

    pub fn not_modified(self) -> Response {
        (StatusCode::NOT_MODIFIED, self.headers()).into_response()
    }

    pub fn headers(self) -> [(HeaderName, String); 3] {
        [
            (ETAG, self.0),
            (CACHE_CONTROL, "private, no-cache".to_owned()),
            (VARY, "accept".to_owned()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_that_is_liked_best_is_given() {
        let offered = ["text/plain; charset=utf-8", "application/json", "application/x"];
        for (accept, expected) in [
            (None, Some(0)),
            (Some("*/*"), Some(0)),
            (Some("application/*"), Some(1)),
            (Some("application/json"), Some(1)),
            (Some("APPLICATION/JSON; charset=utf-8"), Some(1)),
            (Some("text/html, application/json;q=0.9, */*;q=0.1"), Some(1)),
            (Some("application/x, text/plain;q=0.5"), Some(2)),
            (Some("text/plain;q=0, */*"), Some(1)),
            (Some("*/*;q=0"), None),
            (Some("text/html"), None),
            (Some(""), None),
            (Some(";;,/,=,text/plain;q=x"), None),
            (Some("text/plain;q=2"), None),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(accept) = accept {
                headers.insert(ACCEPT, accept.parse().unwrap());
            }
            let got = best(&headers, &offered);
            assert_eq!(got, expected.map(|at: usize| offered[at]), "{accept:?}");
        }
    }

    #[test]
    fn only_who_saw_what_is_there_may_change_it() {
        let check = |seen: Option<&str>| {
            let mut headers = HeaderMap::new();
            if let Some(seen) = seen {
                headers.insert(IF_MATCH, seen.parse().unwrap());
            }
            expect_unchanged(&headers, b"x")
        };
        let tag = entity_tag(b"x");
        for seen in [tag.clone(), "*".to_owned(), format!("\"a\", {tag}")] {
            check(Some(&seen)).unwrap();
        }
        for stale in [String::new(), entity_tag(b"y"), format!("W/{tag}"), "x".to_owned()] {
            assert_eq!(check(Some(&stale)).unwrap_err().into_response().status(), 412, "{stale}");
        }
        assert_eq!(check(None).unwrap_err().into_response().status(), 428);
    }

    #[test]
    fn who_has_it_is_not_sent_it_again() {
        let answer = |known: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(IF_NONE_MATCH, known.parse().unwrap());
            tagged(&headers, "text/plain", b"x".to_vec())
        };
        let tag = answer("\"other\"").headers()[ETAG].to_str().unwrap().to_owned();
        assert!(tag.starts_with('"'), "it is strong");
        for known in [tag.clone(), format!("W/{tag}"), format!("\"a\", {tag}"), "*".to_owned()] {
            let again = answer(&known);
            assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
            assert_eq!(again.headers()[ETAG], tag);
        }
        assert_eq!(answer("\"a\", \"b\"").status(), StatusCode::OK);
    }
}
