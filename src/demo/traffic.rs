//! One second of the shop: the traces that begin in it and the log records written along the way.
//!
//! A pure function of (world, second, rate): seconds may be made in any order and made again. Times are true times until
//! an item is written down; then the clock of its node is applied.

use opentelemetry_proto::tonic::{
    common::v1::KeyValue,
    logs::v1::LogRecord,
    trace::v1::{Span, Status, span, status},
};
use rand::{Rng, SeedableRng, rngs::StdRng};

use super::{
    catalogue::{Cloud, Language, Store, Trigger},
    logs,
    values::{double, id, int, lognormal, pick, text, uuid},
    world::{Action, OperationId, World},
};

const MS: f64 = 1e6;
const SECOND: u64 = 1_000_000_000;
/// Traces get no larger than this, whatever the catalogue says.
const MAX_TRACE_SPANS: usize = 120;

/// What happened in one second, each item with the instance it comes from.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Second {
    pub(super) spans: Vec<(usize, Span)>,
    pub(super) logs: Vec<(usize, LogRecord)>,
    pub(super) calls: Vec<Call>,
    pub(super) queries: Vec<Query>,
}

/// A served call, as the instruments of its instance saw it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Call {
    pub(super) instance: usize,
    pub(super) operation: OperationId,
    pub(super) status: i64,
    pub(super) duration_nano: u64,
    /// True end of the call.
    pub(super) end_unix_nano: u64,
    pub(super) trace_id: [u8; 16],
    pub(super) span_id: [u8; 8],
}

/// A statement, as its client's instruments saw it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Query {
    pub(super) instance: usize,
    pub(super) store: &'static str,
    pub(super) verb: &'static str,
    pub(super) duration_nano: u64,
}

/// Why a call failed.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) exception: &'static str,
    pub(super) message: String,
    pub(super) status: i64,
}

/// Everything that begins in `[unix_second, unix_second + 1)`: about `spans_per_second` spans.
pub(super) fn second(world: &World, unix_second: u64, spans_per_second: u32) -> Second {
    let mut rng = StdRng::seed_from_u64(world.seed.rotate_left(32) ^ unix_second.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut out = Second::default();
    let wanted = f64::from(spans_per_second) * world.traffic(unix_second);
    // The last trace overshoots by half a trace on average: about ten spans.
    while (out.spans.len() as f64) < wanted - 10.0 {
        let start = unix_second * SECOND + rng.random_range(0..SECOND);
        let entry = world.entry(&mut rng);
        let mut pending = vec![Begin { operation: entry, start, link: None }];
        while let Some(begin) = pending.pop() {
            let mut trace = Trace::new(world, &mut rng, &mut out, &mut pending);
            trace.serve(begin.operation, Caller { link: begin.link, ..Caller::default() }, begin.start);
        }
    }
    let idle = (f64::from(spans_per_second) / 60.0).ceil() as usize;
    for _ in 0..idle {
        let at = unix_second * SECOND + rng.random_range(0..SECOND);
        out.logs.push(logs::housekeeping(world, &mut rng, at));
    }
    out
}

/// A trace still to be made: a consumer begins its own and links to the message's producer.
struct Begin {
    operation: OperationId,
    start: u64,
    link: Option<span::Link>,
}

#[derive(Default)]
struct Caller {
    span_id: Vec<u8>,
    cloud: Option<Cloud>,
    address: Option<String>,
    link: Option<span::Link>,
}

/// Who is behind a trace; the same facts stand on its spans and in its logs.
pub(super) struct User {
    pub(super) id: String,
    pub(super) tier: &'static str,
    pub(super) address: String,
}

struct Trace<'a> {
    world: &'a World,
    rng: &'a mut StdRng,
    out: &'a mut Second,
    pending: &'a mut Vec<Begin>,
    first_span: usize,
    id: [u8; 16],
    user: User,
}

/// Result of a step: when it was over, and whether it failed.
type Outcome = (u64, Option<Failure>);

impl<'a> Trace<'a> {
    fn new(world: &'a World, rng: &'a mut StdRng, out: &'a mut Second, pending: &'a mut Vec<Begin>) -> Self {
        let tier = match rng.random_range(0..100) {
            0..2 => "platinum",
            2..20 => "gold",
            _ => "standard",
        };
        // Few users are busy, most are rare: the square of a uniform number leans to small ones.
        let rank = rng.random::<f64>();
        let user = User {
            id: format!("user-{}", (rank * rank * 50_000.0) as u64),
            tier,
            address: format!(
                "{}.{}.{}.{}",
                pick(rng, &[81, 93, 101, 203]),
                rng.random_range(0..256),
                rng.random_range(0..256),
                rng.random_range(1..255)
            ),
        };
        let first_span = out.spans.len();
        let trace_id = id(rng);
        Self { world, rng, out, pending, first_span, id: trace_id, user }
    }

    /// The span of one served operation and everything under it.
    fn serve(&mut self, operation_id: OperationId, caller: Caller, start: u64) -> Outcome {
        let world = self.world;
        let operation = world.operation(operation_id);
        let instance = self.instance(operation_id.service, caller.cloud);
        let span_id: [u8; 8] = id(self.rng);
        let actions = world.actions(operation_id);
        let pause = lognormal(self.rng, operation.own_ms, 0.45) * MS / (actions.len() + 1) as f64;
        let mut now = start + pause as u64;
        let mut failure = None;
        for action in actions {
            if self.out.spans.len() - self.first_span > MAX_TRACE_SPANS {
                break;
            }
            let (end, failed) = self.act(action, &span_id, instance, now);
            now = end + pause as u64;
            if failed.is_some() {
                failure = failed;
                break;
            }
        }
        let own = failure.is_none() && self.rng.random_bool(operation.error_ratio);
        if own {
            failure = Some(own_failure(world.service(operation_id.service).language, self.rng));
        }
        let status = self.status(operation.trigger, operation.name, failure.as_ref());
        let described = logs::Event {
            instance,
            operation: operation_id,
            trace_id: self.id,
            span_id,
            status,
            duration_nano: now - start,
            end: now,
            failure: failure.as_ref(),
            own,
        };
        logs::narrate(world, self.rng, &described, &self.user, &mut self.out.logs);
        self.out.calls.push(Call {
            instance,
            operation: operation_id,
            status,
            duration_nano: now - start,
            end_unix_nano: now,
            trace_id: self.id,
            span_id,
        });
        let (name, kind, attributes) = self.served(operation_id, &caller, status);
        self.write(
            instance,
            Draft {
                span_id,
                parent: caller.span_id,
                name,
                kind,
                start,
                end: now,
                attributes,
                link: caller.link,
                failure: failure.clone(),
            },
        );
        (now, failure)
    }

    fn act(&mut self, action: &Action, parent: &[u8; 8], instance: usize, start: u64) -> Outcome {
        match action {
            Action::Call { target, chance, required } => {
                if !self.rng.random_bool(*chance) {
                    return (start, None);
                }
                let (end, failure) = self.call(*target, parent, instance, start);
                (end, failure.filter(|_| *required))
            }
            Action::Together(actions) => {
                let mut all: Outcome = (start, None);
                for action in actions {
                    let (end, failure) = self.act(action, parent, instance, start);
                    all.0 = all.0.max(end);
                    all.1 = all.1.or(failure);
                }
                all
            }
            Action::Query { store, verb, table, median_ms } => {
                self.query(store, verb, table, *median_ms, parent, instance, start)
            }
            Action::Publish { topic, consumers } => (self.publish(topic, consumers, parent, instance, start), None),
        }
    }

    /// A client span and, behind the network, the server span of the callee.
    fn call(&mut self, target: OperationId, parent: &[u8; 8], instance: usize, start: u64) -> Outcome {
        let span_id: [u8; 8] = id(self.rng);
        let node = self.world.node_of(instance);
        let near = self.rng.random_bool(0.9).then_some(node.cloud);
        let hop = self.hop(near.is_none());
        let caller = Caller { span_id: span_id.to_vec(), cloud: near, address: Some(node.address.clone()), link: None };
        let (served, failure) = self.serve(target, caller, start + hop);
        let end = served + hop;
        let service = self.world.service(target.service);
        let operation = self.world.operation(target);
        let (name, mut attributes) = match operation.trigger {
            Trigger::Http(method) => (
                method.to_owned(),
                vec![
                    text("http.request.method", method),
                    text("url.full", format!("http://{}:8080{}", service.name, self.path(operation.name))),
                    int("http.response.status_code", failure.as_ref().map_or(200, |f| f.status)),
                    text("server.address", format!("{}.shop.svc.cluster.local", service.name)),
                    int("server.port", 8080),
                    text("network.protocol.version", "1.1"),
                ],
            ),
            _ => (
                format!("{}/{}", rpc_service(service.name), operation.name),
                vec![
                    text("rpc.system", "grpc"),
                    text("rpc.service", rpc_service(service.name)),
                    text("rpc.method", operation.name),
                    int("rpc.grpc.status_code", failure.as_ref().map_or(0, |_| 13)),
                    text("server.address", format!("{}.shop.svc.cluster.local", service.name)),
                    int("server.port", 50051),
                ],
            ),
        };
        attributes.push(text("peer.service", service.name));
        self.write(
            instance,
            Draft {
                span_id,
                parent: parent.to_vec(),
                name,
                kind: span::SpanKind::Client,
                start,
                end,
                attributes,
                link: None,
                failure: failure.clone(),
            },
        );
        (end, failure)
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of one action and where it happens")]
    fn query(
        &mut self,
        store: &'static Store,
        verb: &'static str,
        table: &'static str,
        median_ms: f64,
        parent: &[u8; 8],
        instance: usize,
        start: u64,
    ) -> Outcome {
        let span_id: [u8; 8] = id(self.rng);
        let duration_nano = (lognormal(self.rng, median_ms, 0.55) * MS) as u64;
        let end = start + duration_nano;
        let failure = self.rng.random_bool(0.000_3).then(|| Failure {
            exception: "ConnectionTimeout",
            message: format!(
                "no connection to {}:{} within 5000 ms: pool exhausted (20 in use)",
                store.address, store.port
            ),
            status: 503,
        });
        self.out.queries.push(Query { instance, store: store.name, verb, duration_nano });
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
        self.write(
            instance,
            Draft {
                span_id,
                parent: parent.to_vec(),
                name: format!("{verb} {table}"),
                kind: span::SpanKind::Client,
                start,
                end,
                attributes,
                link: None,
                failure: failure.clone(),
            },
        );
        (end, failure)
    }

    /// The message leaves in this trace; each consumer begins a trace of its own that links here.
    fn publish(
        &mut self,
        topic: &'static str,
        consumers: &[OperationId],
        parent: &[u8; 8],
        instance: usize,
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
            let link =
                span::Link { trace_id: self.id.to_vec(), span_id: span_id.to_vec(), flags: 1, ..Default::default() };
            self.pending.push(Begin { operation: *consumer, start: end + lag, link: Some(link) });
        }
        self.write(
            instance,
            Draft {
                span_id,
                parent: parent.to_vec(),
                name: format!("send {topic}"),
                kind: span::SpanKind::Producer,
                start,
                end,
                attributes,
                link: None,
                failure: None,
            },
        );
        end
    }

    /// Name, kind and attributes of a server, consumer or internal span.
    fn served(&mut self, id: OperationId, caller: &Caller, status: i64) -> (String, span::SpanKind, Vec<KeyValue>) {
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

    fn write(&mut self, instance: usize, draft: Draft) {
        let world = self.world;
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
            instance,
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

    fn instance(&mut self, service: usize, near: Option<Cloud>) -> usize {
        let all = &self.world.instances_of[service];
        let close: Vec<usize> =
            all.iter().copied().filter(|i| near.is_none_or(|c| self.world.node_of(*i).cloud == c)).collect();
        pick(self.rng, if close.is_empty() { all } else { &close })
    }

    fn hop(&mut self, far: bool) -> u64 {
        (lognormal(self.rng, if far { 4.0 } else { 0.3 }, 0.4) * MS) as u64
    }

    fn path(&mut self, route: &str) -> String {
        route.replace("{id}", &self.rng.random_range(1..1_000_000u32).to_string())
    }

    /// HTTP status or gRPC status, by how the operation is reached.
    fn status(&mut self, trigger: Trigger, name: &str, failure: Option<&Failure>) -> i64 {
        match (trigger, failure) {
            (Trigger::Http(_), Some(failure)) => failure.status,
            (Trigger::Http(_), None) if name.contains("{id}") && self.rng.random_bool(0.012) => 404,
            (Trigger::Http(_), None) => 200,
            (_, Some(_)) => 13,
            (_, None) => 0,
        }
    }
}

/// A span before its node's clock has been applied.
struct Draft {
    span_id: [u8; 8],
    parent: Vec<u8>,
    name: String,
    kind: span::SpanKind,
    start: u64,
    end: u64,
    attributes: Vec<KeyValue>,
    link: Option<span::Link>,
    failure: Option<Failure>,
}

const USER_AGENTS: [&str; 4] = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Safari/605.1.15",
    "Mozilla/5.0 (X11; Linux x86_64; rv:141.0) Gecko/20100101 Firefox/141.0",
    "ShopApp/8.2 (iPhone; iOS 26.1; Scale/3.00)",
];

fn rpc_service(name: &str) -> String {
    let mut out = String::from("shop.");
    for part in name.split('-') {
        let mut letters = part.chars();
        out.extend(letters.next().map(|c| c.to_ascii_uppercase()));
        out.push_str(letters.as_str());
    }
    out
}

fn statement(system: &str, verb: &str, table: &str) -> String {
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

fn own_failure(language: Language, rng: &mut StdRng) -> Failure {
    let (exception, message): (&str, &str) = match language {
        Language::Java => pick(
            rng,
            &[
                ("java.lang.IllegalStateException", "state is inconsistent"),
                ("java.net.SocketTimeoutException", "Read timed out"),
                ("org.postgresql.util.PSQLException", "ERROR: canceling statement due to lock timeout"),
            ],
        ),
        Language::Dotnet => pick(
            rng,
            &[
                ("System.TimeoutException", "The operation has timed out."),
                ("System.InvalidOperationException", "Sequence contains no elements"),
            ],
        ),
        Language::Go => pick(
            rng,
            &[
                ("*url.Error", "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"),
                ("*net.OpError", "dial tcp 10.40.7.19:443: connect: connection refused"),
            ],
        ),
        Language::Python => {
            pick(rng, &[("KeyError", "'embedding'"), ("asyncio.TimeoutError", "model did not answer in 250 ms")])
        }
        Language::Nodejs => pick(
            rng,
            &[("TypeError", "Cannot read properties of undefined (reading 'price')"), ("Error", "socket hang up")],
        ),
        Language::Php => ("GuzzleHttp\\Exception\\ServerException", "Server error: carrier answered 502 Bad Gateway"),
        Language::Ruby => ("Net::ReadTimeout", "Net::ReadTimeout with #<TCPSocket:(closed)>"),
        Language::Cpp => ("std::runtime_error", "rate for currency is stale"),
        Language::Rust => ("ledger::Error::Conflict", "concurrent update of account, giving up after 3 attempts"),
    };
    Failure { exception, message: message.to_owned(), status: pick(rng, &[500, 500, 502, 503, 504]) }
}
