//! Where deliveries may go: nobody who names a URL gets this server to ask something inside of its own network.
//!
//! A name is looked up here, what it stands for is checked, and the connection goes to what was checked: a name that
//! stands for something else a moment later (DNS rebinding) changes nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ureq::http::Uri;
use ureq::http::uri::Scheme;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

/// Where deliveries may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// By https to public addresses.
    Public,
    /// Also by http, and to addresses of private networks and of this machine.
    Private,
}

impl Reach {
    /// Refuses a URL to which nothing would be sent anyway. What a name stands for is looked at when something is sent.
    pub(crate) fn check_url(self, url: &str) -> Result<(), String> {
        if url.len() > URL_BYTES_MAX || !url.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(format!(
                "it is to be {URL_BYTES_MAX} printable characters of ASCII at most"
            ));
        }
        let uri: Uri = url.parse().map_err(|_| "it is no URL".to_owned())?;
        match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => {}
            Some(scheme) if *scheme == Scheme::HTTP && self == Reach::Private => {}
            _ => return Err("it does not begin with https://".to_owned()),
        }
        let authority = uri.authority().ok_or("it names no server")?;
        if authority.as_str().contains('@') || url.contains('#') {
            return Err("it has a user, a password or a fragment".to_owned());
        }
        let port_is_good = match authority.as_str().strip_prefix(authority.host()) {
            Some("") => true,
            Some(port) => authority.port_u16().is_some_and(|port| port > 0) && !port.ends_with(':'),
            None => false,
        };
        if authority.host().is_empty() || !port_is_good {
            return Err("it names no server, or no port that there is".to_owned());
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let name = host.trim_end_matches('.').to_ascii_lowercase();
        let is_local = name == "localhost" || name.ends_with(".localhost");
        let address = host.parse::<IpAddr>().ok();
        if (is_local && self == Reach::Public) || address.is_some_and(|a| !self.allows(a)) {
            return Err(self.refusal().to_owned());
        }
        Ok(())
    }

    /// Whether something may be sent to this address.
    pub(crate) fn allows(self, address: IpAddr) -> bool {
        let address = match address {
            IpAddr::V6(v6) => v4_within(v6).map_or(address, IpAddr::V4),
            v4 => v4,
        };
        match (self, address) {
            (Reach::Private, IpAddr::V4(v4)) => {
                v4.octets()[0] != 0 && !v4.is_multicast() && !v4.is_broadcast()
            }
            (Reach::Private, IpAddr::V6(v6)) => !v6.is_unspecified() && !v6.is_multicast(),
            (Reach::Public, IpAddr::V4(v4)) => !NOT_PUBLIC_V4.iter().any(|(net, bits)| {
                u32::from(v4) >> (32 - bits) == u32::from(Ipv4Addr::from(*net)) >> (32 - bits)
            }),
            (Reach::Public, IpAddr::V6(v6)) => {
                let within = |(net, bits): &(Ipv6Addr, u32)| {
                    u128::from(v6) >> (128 - bits) == u128::from(*net) >> (128 - bits)
                };
                within(&PUBLIC_V6) && !NOT_PUBLIC_V6.iter().any(within)
            }
        }
    }

    fn refusal(self) -> &'static str {
        match self {
            Reach::Public => {
                "it is of this machine, of a private network, or of no public use; an operator allows that with \
                 --webhooks-to-private"
            }
            Reach::Private => "its address is of no single machine",
        }
    }
}

/// The IPv4 address that an IPv6 address stands for: mapped, or translated by NAT64.
fn v4_within(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let nat64 = u128::from(address) >> 32 == u128::from(NAT64) >> 32;
    let low = Ipv4Addr::from((u128::from(address) & u128::from(u32::MAX)) as u32);
    address.to_ipv4_mapped().or(nat64.then_some(low))
}

/// Looks names up, and lets pass what may be connected to.
#[derive(Debug)]
pub(crate) struct Checked(pub Reach);

impl Resolver for Checked {
    fn resolve(
        &self,
        uri: &Uri,
        config: &ureq::config::Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let found = DefaultResolver::default().resolve(uri, config, timeout)?;
        // One bad address among good ones is no accident.
        if found.iter().all(|address: &SocketAddr| self.0.allows(address.ip())) {
            Ok(found)
        } else {
            Err(ureq::Error::Other(Box::new(Refused(self.0))))
        }
    }
}

/// A name stands for an address that nothing is sent to.
#[derive(Debug, thiserror::Error)]
#[error("nothing is sent to this address: {}", .0.refusal())]
pub(crate) struct Refused(Reach);

const URL_BYTES_MAX: usize = 2048;
const NAT64: Ipv6Addr = Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0);
/// The special-purpose registry of IANA for IPv4, and multicast.
const NOT_PUBLIC_V4: [([u8; 4], u32); 15] = [
    ([0, 0, 0, 0], 8),
    ([10, 0, 0, 0], 8),
    ([100, 64, 0, 0], 10),
    ([127, 0, 0, 0], 8),
    ([169, 254, 0, 0], 16),
    ([172, 16, 0, 0], 12),
    ([192, 0, 0, 0], 24),
    ([192, 0, 2, 0], 24),
    ([192, 88, 99, 0], 24),
    ([192, 168, 0, 0], 16),
    ([198, 18, 0, 0], 15),
    ([198, 51, 100, 0], 24),
    ([203, 0, 113, 0], 24),
    ([224, 0, 0, 0], 4),
    ([240, 0, 0, 0], 4),
];
/// What is handed out for public use in IPv6.
const PUBLIC_V6: (Ipv6Addr, u32) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);
/// Special purposes within it: protocols (Teredo among them), documentation, 6to4.
const NOT_PUBLIC_V6: [(Ipv6Addr, u32); 4] = [
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_are_reached_unless_the_operator_says_otherwise() {
        for (address, public, private) in [
            ("93.184.216.34", true, true),
            ("1.1.1.1", true, true),
            ("100.63.255.255", true, true),
            ("172.15.255.255", true, true),
            ("172.32.0.0", true, true),
            ("198.17.255.255", true, true),
            ("223.255.255.255", true, true),
            ("2606:4700:4700::1111", true, true),
            ("2a00:1450::5", true, true),
            ("::ffff:1.1.1.1", true, true),
            ("64:ff9b::1.1.1.1", true, true),
            ("10.0.0.1", false, true),
            ("100.64.0.1", false, true),
            ("127.0.0.1", false, true),
            ("127.255.255.254", false, true),
            ("169.254.169.254", false, true),
            ("172.16.0.1", false, true),
            ("172.31.255.255", false, true),
            ("192.168.1.1", false, true),
            ("192.0.0.8", false, true),
            ("192.0.2.1", false, true),
            ("198.18.0.1", false, true),
            ("198.19.255.255", false, true),
            ("198.51.100.1", false, true),
            ("203.0.113.1", false, true),
            ("::1", false, true),
            ("fe80::1", false, true),
            ("fc00::1", false, true),
            ("fd00:ec2::254", false, true),
            ("fec0::1", false, true),
            ("100::1", false, true),
            ("2001:db8::1", false, true),
            ("2001::1", false, true),
            ("2002:7f00:1::", false, true),
            ("3fff::1", false, true),
            ("64:ff9b:1::1", false, true),
            ("64:ff9b::127.0.0.1", false, true),
            ("64:ff9b::10.0.0.1", false, true),
            ("::127.0.0.1", false, true),
            ("::ffff:127.0.0.1", false, true),
            ("::ffff:10.1.2.3", false, true),
            ("::ffff:169.254.169.254", false, true),
            ("0.0.0.0", false, false),
            ("0.1.2.3", false, false),
            ("::", false, false),
            ("::ffff:0.0.0.0", false, false),
            ("224.0.0.1", false, false),
            ("255.255.255.255", false, false),
            ("ff02::1", false, false),
        ] {
            let parsed: IpAddr = address.parse().unwrap();
            assert_eq!(Reach::Public.allows(parsed), public, "{address}");
            assert_eq!(Reach::Private.allows(parsed), private, "{address}");
        }
    }

    #[test]
    fn urls_that_nothing_is_sent_to_are_refused() {
        for (url, public, private) in [
            ("https://hooks.example/timemark?x=1", true, true),
            ("https://hooks.example:8443", true, true),
            ("https://[2606:4700::1]/", true, true),
            ("HTTPS://hooks.example/", true, true),
            ("http://hooks.example/", false, true),
            ("http://127.0.0.1:9/", false, true),
            ("https://127.0.0.1/", false, true),
            ("https://[::1]/", false, true),
            ("https://[::ffff:127.0.0.1]/", false, true),
            ("https://localhost/", false, true),
            ("https://LOCALHOST./", false, true),
            ("https://a.localhost:1/", false, true),
            ("https://169.254.169.254/latest/meta-data", false, true),
            ("https://0.0.0.0/", false, false),
            ("https://user:word@hooks.example/", false, false),
            ("https://hooks.example/#part", false, false),
            ("https://hooks.example:0/", false, false),
            ("https://hooks.example:99999/", false, false),
            ("https://hooks.example:/", false, false),
            ("https://", false, false),
            ("https:///path", false, false),
            ("hooks.example", false, false),
            ("/path", false, false),
            ("ftp://hooks.example/", false, false),
            ("file:///etc/passwd", false, false),
            ("https://hooks.example/ä", false, false),
            ("https://hooks.example/ x", false, false),
            ("https://hooks.example/\r\nHost: a", false, false),
            ("", false, false),
        ] {
            assert_eq!(Reach::Public.check_url(url).is_ok(), public, "{url}");
            assert_eq!(Reach::Private.check_url(url).is_ok(), private, "{url}");
        }
        assert!(Reach::Private.check_url(&format!("https://a.example/{:02048}", 1)).is_err());
    }
}
