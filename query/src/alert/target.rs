//! Where notifications may go: the guard in front of every connection.
//!
//! A webhook is a request from inside the network to an address that somebody wrote down. Addresses of this machine and of
//! private networks are refused when a connection is made, after names are resolved, so that neither another spelling nor a
//! name that changes its mind leads there. Redirects are not followed and no proxy is used: both would go around the guard.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use reqwest::{
    Client, Url,
    dns::{Addrs, Name, Resolve, Resolving},
    redirect::Policy,
};

use crate::error::{Error, Result};

/// From the connection to the end of the answer.
const TIMEOUT: Duration = Duration::from_secs(10);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The target is one that must not be connected to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{host} is at {address}, an address of this machine or a private network, which alert.allow_private_targets refuses"
)]
pub struct Refused {
    host: String,
    address: IpAddr,
}

/// A client whose connections are guarded.
#[derive(Clone, Debug)]
pub struct Outgoing {
    client: Client,
    allow_private: bool,
}

impl Outgoing {
    /// With or without the guard (`alert.allow_private_targets`).
    ///
    /// # Errors
    /// `Internal` when TLS cannot be set up.
    pub fn new(allow_private: bool) -> Result<Self> {
        let client = Client::builder()
            .redirect(Policy::none())
            .no_proxy()
            .timeout(TIMEOUT)
            .connect_timeout(CONNECT_TIMEOUT)
            // Each message resolves and checks anew.
            .pool_max_idle_per_host(0)
            .user_agent(concat!("rootline/", env!("CARGO_PKG_VERSION")))
            .dns_resolver(Arc::new(Guard { allow_private }))
            .build()
            .map_err(|error| Error::internal(format!("notifications: {error}")))?;
        Ok(Self { client, allow_private })
    }

    /// A request of JSON to a target.
    ///
    /// # Errors
    /// When the URL is none, or names an address that is refused. Names are checked when they are resolved.
    pub fn post(&self, url: &str, body: Vec<u8>) -> std::result::Result<reqwest::RequestBuilder, String> {
        let url: Url = url.parse().map_err(|error| format!("not a URL: {error}"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(format!("expected http or https, found {}", url.scheme()));
        }
        // A connector does not resolve what is an address already; the URL's parser has undone every other spelling of it.
        let host = url.host_str().unwrap_or_default();
        if let Ok(address) = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>()
            && !self.allow_private
            && !is_public(address)
        {
            return Err(Refused { host: host.to_owned(), address }.to_string());
        }
        Ok(self.client.post(url).header(reqwest::header::CONTENT_TYPE, "application/json").body(body))
    }
}

/// Resolves names to the addresses that may be connected to.
struct Guard {
    allow_private: bool,
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").finish_non_exhaustive()
    }
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let allow_private = self.allow_private;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed = allowed_addresses(name.as_str(), found.collect(), allow_private)?;
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// A name that leads to any refused address is refused: whoever answers for it chooses what comes first.
fn allowed_addresses(
    host: &str,
    found: Vec<SocketAddr>,
    allow_private: bool,
) -> std::result::Result<Vec<SocketAddr>, Refused> {
    match found.iter().find(|address| !allow_private && !is_public(address.ip())) {
        Some(refused) => Err(Refused { host: host.to_owned(), address: refused.ip() }),
        None => Ok(found),
    }
}

/// Whether an address is one of the public internet (IANA's special-purpose registries).
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => match embedded_v4(address) {
            Some(inner) => is_public_v4(inner),
            None => is_public_v6(address),
        },
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let is_special = address.is_loopback()
        || address.is_private()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_broadcast()
        || address.is_documentation()
        || a == 0
        // Reserved, carrier-grade NAT, protocol assignments, benchmarks.
        || a >= 240
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 198 && (18..20).contains(&b));
    !is_special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [first, second, ..] = address.segments();
    // Only 2000::/3 is assigned for the internet; documentation and protocol assignments within it are not.
    (first & 0xe000) == 0x2000 && !(first == 0x2001 && (second < 0x0200 || second == 0x0db8)) && first != 0x3fff
}

/// The IPv4 address that an IPv6 address stands for: mapped, compatible, NAT64, 6to4.
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let v4 = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match address.segments() {
        [0, 0, 0, 0, 0, 0xffff | 0, high, low] => Some(v4(high, low)),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(v4(high, low)),
        [0x2002, high, low, ..] => Some(v4(high, low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn addresses_of_ours_are_refused() {
        for refused in [
            "127.0.0.1",
            "127.9.9.9",
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "224.0.0.1",
            "239.1.1.1",
            "255.255.255.255",
            "240.0.0.1",
            "192.0.0.1",
            "198.18.0.1",
            "192.0.2.1",
            "::",
            "::1",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::ffff:10.1.1.1",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "2001:db8::1",
            "2001::1",
            "fec0::1",
            "3fff::1",
        ] {
            assert!(!is_public(ip(refused)), "{refused}");
        }
        for allowed in [
            "1.1.1.1",
            "93.184.216.34",
            "172.32.0.1",
            "100.128.0.1",
            "2606:4700::1111",
            "::ffff:8.8.8.8",
            "2a00:1450::1",
        ] {
            assert!(is_public(ip(allowed)), "{allowed}");
        }
    }

    #[test]
    fn every_spelling_of_an_address_is_the_address() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let guarded = Outgoing::new(false).unwrap();
        for url in [
            "http://127.0.0.1/",
            "http://127.1/",
            "http://0x7f000001/",
            "http://2130706433/",
            "http://0177.0.0.1/",
            "http://[::1]/",
            "http://[::ffff:169.254.169.254]/",
            "http://user@127.0.0.1:80/",
            "http://1.1.1.1@10.0.0.1/",
            "http://127.0.0.1./",
        ] {
            let refused = guarded.post(url, Vec::new()).unwrap_err();
            assert!(refused.contains("alert.allow_private_targets"), "{url}: {refused}");
            assert!(Outgoing::new(true).unwrap().post(url, Vec::new()).is_ok(), "{url}");
        }
        for url in ["file:///etc/passwd", "gopher://example.com/", "ftp://example.com", "not a url"] {
            assert!(Outgoing::new(true).unwrap().post(url, Vec::new()).is_err(), "{url}");
        }
    }

    #[test]
    fn a_name_is_as_bad_as_its_worst_address() {
        let both = vec!["1.1.1.1:0".parse().unwrap(), "127.0.0.1:0".parse().unwrap()];
        let refused = allowed_addresses("rebind.example", both.clone(), false).unwrap_err();
        assert!(refused.to_string().starts_with("rebind.example is at 127.0.0.1"), "{refused}");
        assert_eq!(allowed_addresses("rebind.example", both.clone(), true).unwrap(), both);
    }

    #[tokio::test]
    async fn localhost_is_refused_when_it_is_connected_to() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let guarded = Outgoing::new(false).unwrap();
        let error = guarded.post("http://localhost:9/", Vec::new()).unwrap().send().await.unwrap_err();
        let all = super::super::deliver::described(&error);
        assert!(all.contains("alert.allow_private_targets"), "{all}");
    }
}
