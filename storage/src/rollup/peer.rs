//! Who is at the other end of a call, by what the caller's span says: the semantic conventions of databases, messaging,
//! HTTP and RPC, their present names and the ones before.

use std::borrow::Cow;

use crate::model::attributes::{Attributes, Value};

/// What a callee is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(super) enum PeerKind {
    /// It sends spans itself.
    Service = 0,
    /// A database or cache.
    Database = 1,
    /// A queue or topic.
    Messaging = 2,
    /// Everything else that sends no spans.
    External = 3,
}

impl PeerKind {
    pub(super) const ALL: [Self; 4] = [Self::Service, Self::Database, Self::Messaging, Self::External];

    /// As `service_edges.callee_kind` has it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Database => "database",
            Self::Messaging => "messaging",
            Self::External => "external",
        }
    }

    pub(super) fn from_number(number: u8) -> Self {
        Self::ALL.into_iter().find(|kind| *kind as u8 == number).unwrap_or(Self::External)
    }
}

/// Callee of a client or producer span without a span of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Peer<'a> {
    pub(super) kind: PeerKind,
    pub(super) name: Cow<'a, str>,
}

#[derive(Default)]
struct Facts<'a> {
    service: Option<&'a str>,
    database: Option<&'a str>,
    namespace: Option<&'a str>,
    messaging: Option<&'a str>,
    destination: Option<&'a str>,
    address: Option<&'a str>,
    url: Option<&'a str>,
    rpc: Option<&'a str>,
}

/// The callee that these span attributes name.
pub(super) fn peer<'a>(attributes: Attributes<'a>) -> Peer<'a> {
    let facts = facts(attributes);
    let (kind, system, part) = match (facts.database, facts.messaging) {
        (Some(system), _) => (PeerKind::Database, Some(system), facts.namespace.or(facts.address)),
        (None, Some(system)) => (PeerKind::Messaging, Some(system), facts.destination.or(facts.address)),
        (None, None) => (PeerKind::External, None, facts.address.or_else(|| facts.url.and_then(host)).or(facts.rpc)),
    };
    let name = match (facts.service, system, part) {
        (Some(service), ..) => service.into(),
        (None, Some(system), Some(part)) => format!("{system}/{part}").into(),
        (None, Some(name), None) | (None, None, Some(name)) => name.into(),
        (None, None, None) => "unknown".into(),
    };
    Peer { kind, name }
}

fn facts<'a>(attributes: Attributes<'a>) -> Facts<'a> {
    let mut facts = Facts::default();
    for (key, value) in attributes.iter() {
        let Value::String(text) = value else { continue };
        let place = match key {
            "peer.service" | "service.peer.name" => &mut facts.service,
            "db.system.name" | "db.system" => &mut facts.database,
            "db.namespace" | "db.name" => &mut facts.namespace,
            "messaging.system" => &mut facts.messaging,
            "messaging.destination.name" | "messaging.destination" => &mut facts.destination,
            "server.address" | "net.peer.name" | "http.host" => &mut facts.address,
            "url.full" | "http.url" => &mut facts.url,
            "rpc.service" => &mut facts.rpc,
            _ => continue,
        };
        if !text.is_empty() {
            *place = Some(text);
        }
    }
    facts
}

/// Host of an absolute URL, without port and user.
fn host(url: &str) -> Option<&str> {
    let authority = url.split_once("://")?.1.split(['/', '?', '#']).next()?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let host = match host.strip_prefix('[') {
        Some(literal) => literal.split(']').next()?,
        None => host.split(':').next()?,
    };
    (!host.is_empty()).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::attributes::encode;

    fn found(attributes: &[(&str, &str)]) -> (PeerKind, String) {
        let map = encode(attributes.iter().map(|(key, value)| (*key, Value::String(value))));
        let Peer { kind, name } = peer(Attributes::new(&map));
        (kind, name.into_owned())
    }

    #[test]
    fn conventions_of_today_and_before_name_the_callee() {
        use PeerKind::{Database, External, Messaging};
        type Case<'a> = (&'a [(&'a str, &'a str)], PeerKind, &'a str);
        let cases: [Case<'_>; 8] = [
            (&[("db.system.name", "postgresql"), ("db.namespace", "orders")], Database, "postgresql/orders"),
            (&[("db.system", "redis"), ("server.address", "cache-1")], Database, "redis/cache-1"),
            (&[("db.system", "redis")], Database, "redis"),
            (&[("messaging.system", "kafka"), ("messaging.destination.name", "orders")], Messaging, "kafka/orders"),
            (&[("peer.service", "bank"), ("server.address", "10.0.0.1")], External, "bank"),
            (&[("url.full", "https://me:pw@api.bank.example:8443/pay?x=1")], External, "api.bank.example"),
            (&[("http.url", "http://[::1]:80/")], External, "::1"),
            (&[("url.full", "nonsense"), ("server.address", "")], External, "unknown"),
        ];
        for (attributes, kind, name) in cases {
            assert_eq!(found(attributes), (kind, name.to_owned()), "{attributes:?}");
        }
    }
}
