//! How a call is written down: names, kinds and attributes after the semantic conventions, exceptions, the node's clock.

use opentelemetry_proto::tonic::{
    common::v1::KeyValue,
    trace::v1::{Span, Status, span, status},
};
use rand::Rng;

use super::{Caller, Failure, Trace};
use crate::demo::{
    catalogue::{Language, Trigger},
    logs,
    values::{double, int, lognormal, pick, text},
    world::OperationId,
};

/// A span before its node's clock has been applied.
pub(super) struct Draft {
    pub(super) span_id: [u8; 8],
    pub(super) parent: Vec<u8>,
    pub(super) name: String,
    pub(super) kind: span::SpanKind,
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) attributes: Vec<KeyValue>,
    pub(super) link: Option<span::Link>,
    pub(super) failure: Option<Failure>,
}

impl Trace<'_> {
    /// Name, kind and attributes of a server, consumer or internal span.
    pub(super) fn served(
        &mut self,
        id: OperationId,
        caller: &Caller,
        status: i64,
    ) -> (String, span::SpanKind, Vec<KeyValue>) {
        let service = self.world.service(id.service);
        let operation = self.world.operation(id);
        let client = caller.address.clone().unwrap_or_else(|| self.user.address.clone());
        let (name, kind, mut attributes) = match operation.trigger {
            Trigger::Http(method) => (
                format!("{method} {}", operation.name),
                span::SpanKind::Server,
                vec![
                    text("http.request.method", method),
                    text("http.route", operation.name),
                    text("url.path", self.path(operation.name)),
                    text("url.scheme", if caller.address.is_some() { "http" } else { "https" }),
                    int("http.response.status_code", status),
                    text("server.address", service.name),
                    int("server.port", 8080),
                    text("client.address", client),
                    text("network.protocol.version", if caller.address.is_some() { "1.1" } else { "2" }),
                ],
            ),
            Trigger::Rpc => (
                format!("{}/{}", rpc_service(service.name), operation.name),
                span::SpanKind::Server,
                vec![
                    text("rpc.system", "grpc"),
                    text("rpc.service", rpc_service(service.name)),
                    text("rpc.method", operation.name),
                    int("rpc.grpc.status_code", status),
                    text("server.address", service.name),
                    int("server.port", 50051),
                    text("network.peer.address", client),
                ],
            ),
            Trigger::Message => (
                format!("process {}", operation.name),
                span::SpanKind::Consumer,
                vec![
                    text("messaging.system", "kafka"),
                    text("messaging.destination.name", operation.name),
                    text("messaging.operation.name", "process"),
                    text("messaging.operation.type", "process"),
                    text("messaging.consumer.group.name", service.name),
                    int("messaging.kafka.offset", self.rng.random_range(1_000_000..90_000_000)),
                ],
            ),
            Trigger::Timer => (
                operation.name.to_owned(),
                span::SpanKind::Internal,
                vec![
                    text("code.function.name", format!("jobs.{}.run", operation.name.replace('-', "_"))),
                    int("code.line.number", 42),
                ],
            ),
        };
        if caller.address.is_none() && matches!(operation.trigger, Trigger::Http(_)) {
            attributes.push(text("user.id", self.user.id.as_str()));
            attributes.push(text("user_agent.original", pick(self.rng, &USER_AGENTS)));
        }
        attributes.push(text("customer.tier", self.user.tier));
        if service.language == Language::Java {
            attributes.push(text("thread.name", format!("http-nio-8080-exec-{}", self.rng.random_range(1..64))));
            attributes.push(int("thread.id", self.rng.random_range(20..240)));
        }
        if self.rng.random_bool(0.1) {
            attributes.push(double("shop.cart.value", (lognormal(self.rng, 60.0, 0.7) * 100.0).round() / 100.0));
        }
        (name, kind, attributes)
    }

    pub(super) fn write(&mut self, instance: usize, draft: Draft) {
        let (world, pod) = (self.world, self.conditions.pod(instance));
        let mut attributes = draft.attributes;
        let mut events = Vec::new();
        let mut status = None;
        if let Some(failure) = &draft.failure {
            attributes.push(text("error.type", failure.exception));
            status = Some(Status { message: failure.message.clone(), code: status::StatusCode::Error as i32 });
            events.push(span::Event {
                time_unix_nano: world.shown(instance, draft.end),
                name: "exception".to_owned(),
                attributes: logs::exception(world, self.rng, instance, failure),
                ..Default::default()
            });
        } else if draft.kind == span::SpanKind::Client && self.rng.random_bool(0.02) {
            events.push(span::Event {
                time_unix_nano: world.shown(instance, draft.start),
                name: "connection.acquired".to_owned(),
                attributes: vec![double("wait_ms", (lognormal(self.rng, 0.8, 1.0) * 1000.0).round() / 1000.0)],
                ..Default::default()
            });
        }
        self.out.spans.push((
            pod,
            Span {
                trace_id: self.id.to_vec(),
                span_id: draft.span_id.to_vec(),
                parent_span_id: draft.parent,
                flags: 1,
                name: draft.name,
                kind: draft.kind as i32,
                start_time_unix_nano: world.shown(instance, draft.start),
                end_time_unix_nano: world.shown(instance, draft.end),
                attributes,
                events,
                links: draft.link.into_iter().collect(),
                status,
                ..Default::default()
            },
        ));
    }
}

const USER_AGENTS: [&str; 4] = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Safari/605.1.15",
    "Mozilla/5.0 (X11; Linux x86_64; rv:141.0) Gecko/20100101 Firefox/141.0",
    "ShopApp/8.2 (iPhone; iOS 26.1; Scale/3.00)",
];

pub(super) fn rpc_service(name: &str) -> String {
    let mut out = String::from("shop.");
    for part in name.split('-') {
        let mut letters = part.chars();
        out.extend(letters.next().map(|c| c.to_ascii_uppercase()));
        out.push_str(letters.as_str());
    }
    out
}

pub(super) fn statement(system: &str, verb: &str, table: &str) -> String {
    match (system, verb) {
        ("redis", _) => format!("{verb} {table}:?"),
        ("mongodb", _) => format!("{{\"{verb}\":\"{table}\",\"filter\":{{\"_id\":\"?\"}}}}"),
        ("opensearch", _) => format!("POST /{table}/_search {{\"query\":{{\"match\":{{\"title\":\"?\"}}}}}}"),
        (_, "INSERT") => format!("INSERT INTO {table} (id, payload, created_at) VALUES (?, ?, ?)"),
        (_, "UPDATE") => format!("UPDATE {table} SET state = ?, updated_at = ? WHERE id = ?"),
        _ => {
            format!("SELECT id, state, updated_at FROM {table} WHERE account_id = ? ORDER BY updated_at DESC LIMIT 50")
        }
    }
}
