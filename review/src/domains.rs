//! Domains whose suspects nobody has to look at: shops that have a licence, the creator's own pages.

use redb::{ReadableTable, WriteTransaction};
use serde::{Deserialize, Serialize};

use crate::clock;
use crate::error::ReviewError;
use crate::matches::{self, Tables};
use crate::review::Review;
use crate::sites::ids_on;
use crate::store::{DOMAINS, Failure, HOSTS, parse, to_bytes};

/// A domain on the list: its own host, and all below it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct AllowedDomain {
    /// In lower case.
    pub domain: String,
    /// When it was added, in seconds since 1970.
    pub added: u64,
    /// Who added it.
    pub actor: String,
    /// The entry of the log that tells of it.
    pub entry: Option<u64>,
}

impl Review {
    /// The domains on the list, by name.
    pub fn domains(&self) -> Result<Vec<AllowedDomain>, ReviewError> {
        self.store.read(|tx| {
            let domains = tx.open_table(DOMAINS)?;
            let all = domains.iter()?.map(|domain| parse(domain?.1.value()));
            all.collect()
        })
    }

    /// Puts a domain on the list; every match whose suspect came from such domains alone leaves the queue. Returns how
    /// many did.
    pub fn allow(&self, domain: AllowedDomain) -> Result<u64, ReviewError> {
        let changed = self.store.write(|tx| {
            tx.open_table(DOMAINS)?.insert(&*domain.domain, &to_bytes(&domain)?[..])?;
            look_again(tx, &domain.domain)
        })?;
        self.changed();
        Ok(changed)
    }

    /// Takes a domain off the list, which brings its matches back. Returns how many came.
    pub fn disallow(&self, domain: &str) -> Result<u64, ReviewError> {
        let changed = self.store.write(|tx| {
            if tx.open_table(DOMAINS)?.remove(domain)?.is_none() {
                return Err(Failure::Refused(ReviewError::NoDomain(domain.to_owned())));
            }
            look_again(tx, domain)
        })?;
        self.changed();
        Ok(changed)
    }

    /// Whether a domain is on the list itself.
    pub fn has_domain(&self, domain: &str) -> Result<bool, ReviewError> {
        self.store.read(|tx| Ok(tx.open_table(DOMAINS)?.get(domain)?.is_some()))
    }
}

impl AllowedDomain {
    /// A domain as somebody spelled it, added now.
    pub fn new(
        spelled: &str,
        actor: &str,
        entry: Option<u64>,
    ) -> Result<AllowedDomain, ReviewError> {
        let domain = AllowedDomain::read(spelled)?;
        Ok(AllowedDomain { domain, added: clock::now(), actor: actor.to_owned(), entry })
    }

    /// The one spelling of a domain.
    pub fn read(spelled: &str) -> Result<String, ReviewError> {
        let name = spelled.strip_suffix('.').unwrap_or(spelled).to_ascii_lowercase();
        // A single label would be a whole country.
        if name.contains('.') && is_host(&name) && name.parse::<std::net::Ipv4Addr>().is_err() {
            return Ok(name);
        }
        let shown: String = spelled.chars().take(100).collect();
        Err(ReviewError::BadDomain(shown))
    }
}

/// Has every match with a suspect from this domain stand as the list says now.
fn look_again(tx: &WriteTransaction, domain: &str) -> Result<u64, Failure> {
    let ids = ids_on(&tx.open_table(HOSTS)?, domain)?;
    let mut tables = Tables::open(tx)?;
    let mut changed = 0;
    for id in &ids {
        let mut found = tables.get(id)?.ok_or_else(|| matches::missing(id))?;
        let before = found.standing();
        found.is_allowed = tables.are_all_allowed(&found)?;
        if found.standing() != before {
            changed += 1;
        }
        tables.put(&found, Some(before))?;
    }
    Ok(changed)
}

/// The host of a URL, if that is beyond doubt.
pub fn host(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return None;
    }
    let authority = rest.split(['/', '?', '#']).next()?;
    let (name, port) = authority.split_once(':').unwrap_or((authority, ""));
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    // A user, a backslash or whatever else is read in more ways than one is none of a host's.
    (is_host(&name) && port.bytes().all(|digit| digit.is_ascii_digit())).then_some(name)
}

pub(crate) fn is_host(name: &str) -> bool {
    let is_label = |label: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        (1..=63).contains(&label.len()) && label.bytes().all(plain)
    };
    name.len() <= 253 && name.split('.').all(is_label)
}

/// `shop.example` as `example.shop`, so that what is below a domain lies side by side.
pub(crate) fn reversed(host: &str) -> String {
    host.rsplit('.').collect::<Vec<_>>().join(".")
}

/// A host, and every domain above it.
pub(crate) fn above(host: &str) -> impl Iterator<Item = &str> {
    let parents = host.match_indices('.').map(|(at, _)| &host[at + 1..]);
    std::iter::once(host).chain(parents)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_read_only_where_it_is_beyond_doubt() {
        for (url, expected) in [
            ("http://shop.example/a.jpg", Some("shop.example")),
            ("HTTPS://Shop.Example:8443?x", Some("shop.example")),
            ("http://shop.example.", Some("shop.example")),
            ("http://127.0.0.1/x", Some("127.0.0.1")),
            ("http://evil.example\\@shop.example/", None),
            ("http://shop.example@evil.example/", None),
            ("http://shop.example:x/", None),
            ("http:///shop.example", None),
            ("ftp://shop.example/", None),
            ("record at byte 7", None),
            ("//shop.example/", None),
            ("http://[::1]/", None),
            ("http://sh op.example/", None),
        ] {
            assert_eq!(host(url).as_deref(), expected, "{url}");
        }
    }

    #[test]
    fn a_domain_has_one_spelling_and_is_no_country() {
        for good in ["shop.example", "SHOP.example.", "a-b.c_d.example"] {
            assert!(AllowedDomain::read(good).unwrap().ends_with(".example"));
        }
        for bad in [
            "",
            ".",
            "example",
            "example.",
            "a..b",
            "a b.c",
            "http://a.b",
            "a.b/c",
            "1.2.3.4",
            "ä.de",
        ] {
            assert!(AllowedDomain::read(bad).is_err(), "{bad}");
        }
        assert_eq!(
            above("a.shop.example").collect::<Vec<_>>(),
            ["a.shop.example", "shop.example", "example"]
        );
        assert_eq!(reversed("a.shop.example"), "example.shop.a");
    }
}
