//! By which names the service may be asked, and whose pages may: its own, and none of strangers.
//!
//! A browser is on this machine and runs the pages of strangers. They are told by `Sec-Fetch-Site` and `Origin`; a name
//! of theirs that was made to point here (DNS rebinding) by `Host`.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, Method, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::problem::{Kind, Problem};

/// How the service is reached.
#[derive(Clone, Debug, Default)]
pub struct Reach {
    /// The name by which others ask, besides those of this machine.
    pub public_host: Option<String>,
    /// Whether the service itself speaks TLS.
    pub tls: bool,
}

impl Reach {
    /// Whether browsers reach it by TLS: its own, or that of the proxy in front of it.
    pub(crate) fn is_secure(&self) -> bool {
        self.tls || self.public_host.is_some()
    }

    /// The scheme by which a host is asked; `None` where the host is somebody else's.
    fn scheme(&self, host: &str) -> Option<&'static str> {
        let public = self.public_host.as_deref();
        if public.is_some_and(|public| is_named(host, public)) {
            return Some("https"); // the proxy's, where it is not ours
        }
        is_loopback(host).then_some(if self.tls { "https" } else { "http" })
    }
}

/// Whether a host, with or without port, goes by this name.
fn is_named(host: &str, name: &str) -> bool {
    let (host, port) = host.split_once(':').map_or((host, None), |(host, port)| (host, Some(port)));
    host.eq_ignore_ascii_case(name) && port.is_none_or(is_port)
}

/// Refuses what a page of another site asks, and what asks by a name that is not this machine's.
pub(crate) async fn guard(
    State(reach): State<Arc<Reach>>,
    request: Request,
    next: Next,
) -> Response {
    match check(request.uri(), request.headers(), &reach) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

/// As [`guard`], for pages: a link on a page of another site may lead to one. Nothing but looking comes of that, and the
/// other site sees nothing of it.
pub(crate) async fn guard_page(
    State(reach): State<Arc<Reach>>,
    request: Request,
    next: Next,
) -> Response {
    let (uri, headers) = (request.uri(), request.headers());
    let is_look = [Method::GET, Method::HEAD].contains(request.method());
    let checked = match is_look && is_followed_link(headers) {
        true => check_host(uri, headers, &reach).map(drop),
        false => check(uri, headers, &reach),
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

fn check(uri: &Uri, headers: &HeaderMap, reach: &Reach) -> Result<(), Problem> {
    let (scheme, host) = check_host(uri, headers, reach)?;
    let cross = |detail| Err(Problem::new(Kind::CrossSite, detail));
    let own = format!("{scheme}://{host}");
    if headers.get_all(ORIGIN).iter().any(|origin| origin.as_bytes() != own.as_bytes()) {
        return cross("the Origin is another one than that of this server");
    }
    let site = headers.get_all("sec-fetch-site").iter();
    if site.into_iter().any(|site| site != "same-origin" && site != "none") {
        return cross("Sec-Fetch-Site is neither same-origin nor none");
    }
    Ok(())
}

/// The scheme and host by which this server is asked.
fn check_host<'a>(
    uri: &Uri,
    headers: &'a HeaderMap,
    reach: &Reach,
) -> Result<(&'static str, &'a str), Problem> {
    let wrong = |detail| Err(Problem::new(Kind::WrongHost, detail));
    let mut hosts = headers.get_all(HOST).iter();
    let (Some(Ok(host)), None) = (hosts.next().map(|host| host.to_str()), hosts.next()) else {
        return wrong("one Host must be named");
    };
    let is_ours = |named: &str| reach.scheme(named).is_some();
    match reach.scheme(host) {
        Some(scheme) if uri.authority().is_none_or(|named| is_ours(named.as_str())) => {
            Ok((scheme, host))
        }
        _ => wrong("only localhost, loopback addresses and the public name are answered"),
    }
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
            check(&Uri::from_static("/v1/works"), &headers, &Reach::default()).is_err()
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
        let here = Reach::default();
        assert!(check(&Uri::from_static("http://evil.example/v1/works"), &headers, &here).is_err());
        assert!(check(&Uri::from_static("http://localhost/v1/works"), &headers, &here).is_ok());
    }

    #[test]
    fn a_public_name_is_answered_by_tls_alone() {
        let allowed = |reach: &Reach, pairs: &[(&'static str, &str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.append(HeaderName::from_static(name), value.parse().unwrap());
            }
            check(&Uri::from_static("/v1/works"), &headers, reach).is_ok()
        };
        let public = Reach { public_host: Some("archive.example".to_owned()), tls: false };
        let host = ("host", "Archive.example:8443");
        assert!(allowed(&public, &[host]) && !allowed(&Reach::default(), &[host]));
        assert!(allowed(&public, &[host, ("origin", "https://Archive.example:8443")]));
        assert!(!allowed(&public, &[host, ("origin", "http://Archive.example:8443")]));
        for other in ["evil.archive.example", "archive.example.evil", "archive.example:x", ""] {
            assert!(!allowed(&public, &[("host", other)]), "{other}");
        }
        let tls = Reach { public_host: None, tls: true };
        assert!(allowed(&tls, &[("host", "localhost:1"), ("origin", "https://localhost:1")]));
        assert!(!allowed(&tls, &[("host", "localhost:1"), ("origin", "http://localhost:1")]));
        assert!(public.is_secure() && tls.is_secure() && !Reach::default().is_secure());
    }
}
