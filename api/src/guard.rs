//! Who may ask a service that has no accounts: programs of this machine, and pages that this server itself gave.
//!
//! A browser is on this machine and runs the pages of strangers. They are told by `Sec-Fetch-Site` and `Origin`; a name
//! of theirs that was made to point here (DNS rebinding) by `Host`.

use std::net::{Ipv4Addr, Ipv6Addr};

use axum::extract::Request;
use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, Method, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::problem::{Kind, Problem};

/// Refuses what a page of another site asks, and what asks by a name that is not this machine's.
pub(crate) async fn guard(request: Request, next: Next) -> Response {
    match check(request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

/// As [`guard`], for pages: a link on a page of another site may lead to one. Nothing but looking comes of that, and the
/// other site sees nothing of it.
pub(crate) async fn guard_page(request: Request, next: Next) -> Response {
    let (uri, headers) = (request.uri(), request.headers());
    let is_look = [Method::GET, Method::HEAD].contains(request.method());
    let checked = match is_look && is_followed_link(headers) {
        true => check_host(uri, headers).map(drop),
        false => check(uri, headers),
    };
    match checked {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

/// Whether somebody goes to a page in a window of its own: frames, scripts and forms that send say otherwise.
fn is_followed_link(headers: &HeaderMap) -> bool {
    let is = |name: &str, value: &str| headers.get(name).is_some_and(|given| given == value);
    is("sec-fetch-mode", "navigate")
        && is("sec-fetch-dest", "document")
        && !headers.contains_key(ORIGIN)
}

fn check(uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
    let host = check_host(uri, headers)?;
    let cross = |detail| Err(Problem::new(Kind::CrossSite, detail));
    let own = format!("http://{host}");
    if headers.get_all(ORIGIN).iter().any(|origin| origin.as_bytes() != own.as_bytes()) {
        return cross("the Origin is another one than that of this server");
    }
    let site = headers.get_all("sec-fetch-site").iter();
    if site.into_iter().any(|site| site != "same-origin" && site != "none") {
        return cross("Sec-Fetch-Site is neither same-origin nor none");
    }
    Ok(())
}

/// The host by which this server is asked.
fn check_host<'a>(uri: &Uri, headers: &'a HeaderMap) -> Result<&'a str, Problem> {
    let wrong = |detail| Err(Problem::new(Kind::WrongHost, detail));
    let mut hosts = headers.get_all(HOST).iter();
    let (Some(Ok(host)), None) = (hosts.next().map(|host| host.to_str()), hosts.next()) else {
        return wrong("one Host must be named");
    };
    if !is_loopback(host) || uri.authority().is_some_and(|named| !is_loopback(named.as_str())) {
        return wrong("only localhost and loopback addresses are answered");
    }
    Ok(host)
}

/// Whether a host, with or without port, is this machine by whatever name. Any port: it may have been forwarded.
fn is_loopback(host: &str) -> bool {
    let (name, port) = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, port)) => {
            let is_ours = address.parse::<Ipv6Addr>().is_ok_and(|address| address.is_loopback());
            return is_ours && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port));
        }
        None => host.split_once(':').map_or((host, None), |(name, port)| (name, Some(port))),
    };
    let is_ours = name.eq_ignore_ascii_case("localhost")
        || name.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback());
    is_ours && port.is_none_or(is_port)
}

fn is_port(port: &str) -> bool {
    port.bytes().all(|digit| digit.is_ascii_digit()) && port.parse::<u16>().is_ok()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderName;

    use super::*;

    #[test]
    fn only_names_of_this_machine_are_hosts() {
        for host in ["localhost", "LocalHost:80", "127.0.0.1", "127.1.2.3:8750", "[::1]:1", "[::1]"]
        {
            assert!(is_loopback(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "evil.example:127",
            "127.0.0.1@evil.example",
            "localhost:",
            "localhost:x",
            "localhost:99999",
            "127.1",
            "2130706433",
            "0.0.0.0",
            "[::2]",
            "[::1]evil",
            "::1",
            "192.168.0.1",
            "[::ffff:127.0.0.1]x",
        ] {
            assert!(!is_loopback(host), "{host}");
        }
    }

    #[test]
    fn strangers_pages_are_refused_and_programs_are_not() {
        let refused = |pairs: &[(&'static str, &str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.append(HeaderName::from_static(name), value.parse().unwrap());
            }
            check(&Uri::from_static("/v1/works"), &headers).is_err()
        };
        let host = ("host", "127.0.0.1:8750");
        assert!(!refused(&[host]));
        assert!(!refused(&[host, ("sec-fetch-site", "none")]));
        let own = ("origin", "http://127.0.0.1:8750");
        assert!(!refused(&[host, own, ("sec-fetch-site", "same-origin")]));
        for pairs in [
            &[][..],
            &[host, host],
            &[("host", "evil.example")],
            &[host, ("origin", "null")],
            &[host, ("origin", "https://127.0.0.1:8750")],
            &[host, ("origin", "http://127.0.0.1:3000")],
            &[host, ("origin", "http://evil.example")],
            &[host, own, ("sec-fetch-site", "cross-site")],
            &[host, ("sec-fetch-site", "same-site")],
        ] {
            assert!(refused(pairs), "{pairs:?}");
        }
        let mut headers = HeaderMap::new();
        headers.insert("host", "localhost".parse().unwrap());
        assert!(check(&Uri::from_static("http://evil.example/v1/works"), &headers).is_err());
        assert!(check(&Uri::from_static("http://localhost/v1/works"), &headers).is_ok());
    }
}
