//! What happens between a span and its callees: calls with their tries and deadlines, statements, requests to hosts
//! outside, messages.

use opentelemetry_proto::tonic::{
    common::v1::KeyValue,
    trace::v1::span::{Link, SpanKind},
};
use rand::Rng;

use super::{
    Begin, Caller, Draft, Failure, MS, Outcome, Parent, Query, Trace, failure,
    span::{rpc_service, statement},
};
use crate::demo::{
    catalogue::{Store, Trigger},
    fault::Symptom,
    logs::{self, ERROR, INFO, Severity, WARN},
    values::{id, int, lognormal, text, uuid},
    world::OperationId,
};

/// A statement that takes longer gets no answer.
const STATEMENT_PATIENCE_MS: f64 = 5000.0;
/// What clients of hosts outside wait for.
const REQUEST_PATIENCE_MS: f64 = 2000.0;
/// A statement is worth a line in the log from here on.
const SLOW_STATEMENT_MS: f64 = 500.0;
const BACKOFF_MS: f64 = 40.0;

impl Trace<'_> {
    /// A call with as many tries as the caller makes.
    pub(super) fn call(&mut self, target: OperationId, parent: Parent, start: u64) -> Outcome {
        let from_entry = self.world.operation(parent.operation).weight > 0.0;
        let (tries, patience_ms) = self.conditions.tries(from_entry, target.service);
        let mut at = start;
        for number in 0.. {
            let (end, failure) = self.try_call(target, parent, at, number, patience_ms);
            let Some(failure) = failure else { return (end, None) };
            if number + 1 >= tries {
                return (end, Some(failure));
            }
            let name = self.world.service(target.service).name;
            let body = format!("call to {name} failed, try {} of {tries}: {}", number + 2, failure.message);
            self.note(parent, end, WARN, body, vec![int("retry.count", i64::from(number) + 1)]);
            at = end + (lognormal(self.rng, BACKOFF_MS, 0.3) * MS) as u64;
        }
        (at, None)
    }

    /// A client span and, behind the network and the queue, the server span of the callee, if it is reached.
    fn try_call(&mut self, target: OperationId, parent: Parent, start: u64, number: u32, patience_ms: f64) -> Outcome {
        let span_id: [u8; 8] = id(self.rng);
        let near = self.near(parent.instance);
        let hop = self.hop(near.is_none());
        let instance = self.instance(target.service, near);
        let ailment = self.conditions.ailment(self.world, instance, target);
        let service = self.world.service(target.service);
        let patience = (patience_ms * MS) as u64;
        let mut answered = !ailment.unreachable;
        let (mut end, mut failure);
        if answered {
            let queue = if ailment.queue_ms > 0.0 { lognormal(self.rng, ailment.queue_ms, 0.5) * MS } else { 0.0 };
            let address = Some(self.world.node_of(parent.instance).address.clone());
            let caller = Caller { span_id: span_id.to_vec(), address, link: None };
            (end, failure) = self.serve(target, instance, caller, start + hop + queue as u64);
            end += hop;
        } else if ailment.silent {
            (end, failure) = (start + patience, None);
        } else {
            (end, failure) = (start + 2 * hop, Some(failure::refused(service.name)));
        }
        // The callee goes on; the caller does not hear of it.
        if end - start >= patience {
            end = start + patience;
            failure = Some(failure::deadline(service.name, patience_ms));
            answered = false;
        }
        if let Some(failure) = failure.as_ref().filter(|_| !answered) {
            let body = format!("call to {} failed: {}", service.name, failure.message);
            self.note(parent, end, ERROR, body, vec![text("exception.type", failure.exception)]);
        }
        let (name, attributes) = self.called(target, number, failure.as_ref(), answered);
        let kind = SpanKind::Client;
        self.client(parent, span_id, name, kind, (start, end), attributes, failure.clone());
        (end, failure)
    }

    /// Name and attributes of a client span.
    fn called(
        &mut self,
        target: OperationId,
        number: u32,
        failure: Option<&Failure>,
        answered: bool,
    ) -> (String, Vec<KeyValue>) {
        let service = self.world.service(target.service);
        let operation = self.world.operation(target);
        let (name, mut attributes) = match operation.trigger {
            Trigger::Http(method) => {
                let mut attributes = vec![
                    text("http.request.method", method),
                    text("url.full", format!("http://{}:8080{}", service.name, self.path(operation.name))),
                    text("server.address", format!("{}.shop.svc.cluster.local", service.name)),
                    int("server.port", 8080),
                    text("network.protocol.version", "1.1"),
                ];
                if answered {
                    attributes.push(int("http.response.status_code", failure.map_or(200, |f| f.status)));
                }
                if number > 0 {
                    attributes.push(int("http.request.resend_count", i64::from(number)));
                }
                (method.to_owned(), attributes)
            }
            _ => (
                format!("{}/{}", rpc_service(service.name), operation.name),
                vec![
                    text("rpc.system", "grpc"),
                    text("rpc.service", rpc_service(service.name)),
                    text("rpc.method", operation.name),
                    int("rpc.grpc.status_code", failure.map_or(0, |f| f.rpc)),
                    text("server.address", format!("{}.shop.svc.cluster.local", service.name)),
                    int("server.port", 50051),
                ],
            ),
        };
        attributes.push(text("peer.service", service.name));
        (name, attributes)
    }

    pub(super) fn query(
        &mut self,
        store: &'static Store,
        verb: &'static str,
        table: &'static str,
        median_ms: f64,
        parent: Parent,
        start: u64,
    ) -> Outcome {
        let span_id: [u8; 8] = id(self.rng);
        let slow = self.conditions.statement(store.name).filter(|slow| self.rng.random_bool(slow.ratio));
        let wanted_ms = match slow {
            Some(slow) => lognormal(self.rng, slow.median_ms, 0.6),
            None => lognormal(self.rng, median_ms, 0.55),
        };
        let gave_up = wanted_ms > STATEMENT_PATIENCE_MS || self.rng.random_bool(0.000_003);
        let failure = gave_up.then(|| failure::pool_exhausted(store.address, store.port, STATEMENT_PATIENCE_MS));
        let duration_nano = (wanted_ms.min(STATEMENT_PATIENCE_MS) * MS) as u64;
        let end = start + duration_nano;
        if slow.is_some() && wanted_ms > SLOW_STATEMENT_MS && self.rng.random_bool(0.5) {
            let body = format!("Slow statement on {}: {verb} {table} took {wanted_ms:.0} ms", store.name);
            self.note(parent, end, WARN, body, vec![text("db.namespace", store.name)]);
        }
        let pod = self.conditions.pod(parent.instance);
        self.out.queries.push(Query { pod, store: store.name, verb, duration_nano, failed: gave_up });
        let mut attributes = vec![
            text("db.system.name", store.system),
            text("db.namespace", store.name),
            text("db.operation.name", verb),
            text("db.collection.name", table),
            text("db.query.text", statement(store.system, verb, table)),
            text("server.address", store.address),
            int("server.port", store.port),
        ];
        if matches!(verb, "SELECT" | "find" | "aggregate" | "search") {
            attributes.push(int("db.response.returned_rows", self.rng.random_range(0..50)));
        }
        let (name, kind) = (format!("{verb} {table}"), SpanKind::Client);
        self.client(parent, span_id, name, kind, (start, end), attributes, failure.clone());
        (end, failure)
    }

    /// A request to a host that sends no telemetry.
    pub(super) fn request(
        &mut self,
        host: &'static str,
        method: &'static str,
        path: &'static str,
        median_ms: f64,
        parent: Parent,
        start: u64,
    ) -> Outcome {
        let span_id: [u8; 8] = id(self.rng);
        let out = self.conditions.request(host).filter(|slow| self.rng.random_bool(slow.ratio));
        let refused = out.is_some_and(|slow| slow.refused);
        let wanted_ms = match out {
            Some(slow) if refused => lognormal(self.rng, slow.median_ms.min(3.0), 0.4),
            Some(slow) => lognormal(self.rng, slow.median_ms, 0.4),
            None => lognormal(self.rng, median_ms, 0.45),
        };
        let end = start + (wanted_ms.min(REQUEST_PATIENCE_MS) * MS) as u64;
        let failure = match wanted_ms > REQUEST_PATIENCE_MS {
            true => Some(failure::deadline(host, REQUEST_PATIENCE_MS)),
            false => refused.then(|| failure::refused(host)),
        };
        let mut attributes = vec![
            text("http.request.method", method),
            text("url.full", format!("https://{host}{path}")),
            text("server.address", host),
            int("server.port", 443),
            text("network.protocol.version", "1.1"),
        ];
        match &failure {
            Some(failure) => {
                let body = format!("request to {host} failed: {}", failure.message);
                self.note(parent, end, ERROR, body, vec![text("exception.type", failure.exception)]);
            }
            None => attributes.push(int("http.response.status_code", 200)),
        }
        self.client(parent, span_id, method.to_owned(), SpanKind::Client, (start, end), attributes, failure.clone());
        (end, failure)
    }

    /// The message leaves in this trace; each consumer begins a trace of its own that links here.
    pub(super) fn publish(
        &mut self,
        topic: &'static str,
        consumers: &[OperationId],
        parent: Parent,
        start: u64,
    ) -> u64 {
        let span_id: [u8; 8] = id(self.rng);
        let end = start + (lognormal(self.rng, 1.1, 0.4) * MS) as u64;
        let attributes = vec![
            text("messaging.system", "kafka"),
            text("messaging.destination.name", topic),
            text("messaging.operation.name", "send"),
            text("messaging.operation.type", "send"),
            text("messaging.message.id", uuid(self.rng)),
            text("messaging.destination.partition.id", self.rng.random_range(0..12).to_string()),
            int("messaging.message.body.size", lognormal(self.rng, 700.0, 0.6) as i64),
            text("server.address", "kafka-bootstrap.shop.svc.cluster.local"),
            int("server.port", 9092),
        ];
        for consumer in consumers {
            let lag = (lognormal(self.rng, 9.0, 0.8) * MS) as u64;
            let link = Link { trace_id: self.id.to_vec(), span_id: span_id.to_vec(), flags: 1, ..Default::default() };
            self.pending.push(Begin { operation: *consumer, start: end + lag, link: Some(link) });
        }
        self.client(parent, span_id, format!("send {topic}"), SpanKind::Producer, (start, end), attributes, None);
        end
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of a span under its parent")]
    fn client(
        &mut self,
        parent: Parent,
        span_id: [u8; 8],
        name: String,
        kind: SpanKind,
        (start, end): (u64, u64),
        attributes: Vec<KeyValue>,
        failure: Option<Failure>,
    ) {
        let draft =
            Draft { span_id, parent: parent.span_id.to_vec(), name, kind, start, end, attributes, link: None, failure };
        self.write(parent.instance, draft);
    }

    /// A service that stands still says so, sometimes.
    pub(super) fn stalled(&mut self, parent: Parent, symptom: Symptom, start: u64, stall: u64) {
        if !self.rng.random_bool(0.4) {
            return;
        }
        let ms = stall as f64 / MS;
        let language = self.world.service(self.world.instances[parent.instance].service).language;
        let (severity, body) = match symptom {
            Symptom::Defect => {
                (WARN, format!("loaded {} rules one by one in {ms:.0} ms", self.rng.random_range(80..400)))
            }
            Symptom::Collecting => (WARN, logs::collection(language, self.rng, ms)),
            Symptom::Starved => (WARN, format!("thread starvation or clock leap detected, delta={ms:.0}ms")),
            Symptom::Saturated => {
                (WARN, format!("waited {ms:.0} ms for a worker, {} calls are waiting", self.rng.random_range(120..200)))
            }
            Symptom::None => (INFO, format!("waited {ms:.0} ms")),
        };
        self.note(parent, start + stall, severity, body, Vec::new());
    }

    /// A caller that can do without says so.
    pub(super) fn fell_back(&mut self, parent: Parent, target: OperationId, at: u64, failure: &Failure) {
        let body = format!(
            "{} is not available, going on without: {}",
            self.world.service(target.service).name,
            failure.message
        );
        self.note(parent, at, WARN, body, vec![text("exception.type", failure.exception)]);
    }

    /// A log record of the service that `parent` belongs to, within its span.
    fn note(&mut self, parent: Parent, at: u64, severity: Severity, body: String, attributes: Vec<KeyValue>) {
        let pod = self.conditions.pod(parent.instance);
        let record = logs::note(self.world, self.rng, pod, at, severity, body, attributes);
        let ids = (self.id.to_vec(), parent.span_id.to_vec());
        self.out.logs.push((pod, logs::within(record, ids)));
    }
}
