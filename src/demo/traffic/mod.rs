//! One second of the shop: the traces that begin in it and the log records written along the way.
//!
//! A pure function of (world, conditions, rate): seconds may be made in any order and made again. Times are true times
//! until an item is written down; then the clock of its node is applied. `call` is what happens between services, `span`
//! how it is written down, `failure` how it goes wrong.

mod call;
mod failure;
mod span;

use opentelemetry_proto::tonic::{
    logs::v1::LogRecord,
    trace::v1::{Span, span::Link},
};
use rand::{Rng, SeedableRng, rngs::StdRng};

pub(super) use self::failure::Failure;
use self::span::Draft;
use super::{
    catalogue::{Cloud, Trigger},
    conditions::Conditions,
    estimate::NEAR,
    fault::Ailment,
    logs,
    values::{id, lognormal, pick},
    world::{Action, OperationId, Pod, World},
};

const MS: f64 = 1e6;
const SECOND: u64 = 1_000_000_000;
/// Traces get no larger than this, whatever the catalogue says.
const MAX_TRACE_SPANS: usize = 120;

/// What happened in one second, each item with the pod it comes from.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Second {
    pub(super) spans: Vec<(Pod, Span)>,
    pub(super) logs: Vec<(Pod, LogRecord)>,
    pub(super) calls: Vec<Call>,
    pub(super) queries: Vec<Query>,
}

/// A served call, as the instruments of its pod saw it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Call {
    pub(super) pod: Pod,
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
    pub(super) pod: Pod,
    pub(super) store: &'static str,
    pub(super) verb: &'static str,
    pub(super) duration_nano: u64,
    pub(super) failed: bool,
}

/// Everything that begins in the second of `conditions`: about `spans_per_second` spans in health. Faults change what a
/// trace holds, not how many begin.
pub(super) fn second(world: &World, conditions: &Conditions, spans_per_second: u32) -> Second {
    let unix_second = conditions.second;
    let mut rng = StdRng::seed_from_u64(world.seed.rotate_left(32) ^ unix_second.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut out = Second::default();
    let traces = f64::from(spans_per_second) * World::traffic(unix_second) / world.spans_per_trace;
    let traces = traces as u64 + u64::from(rng.random_bool(traces.fract()));
    for _ in 0..traces {
        let start = unix_second * SECOND + rng.random_range(0..SECOND);
        let entry = world.entry(&mut rng);
        let mut pending = vec![Begin { operation: entry, start, link: None }];
        while let Some(begin) = pending.pop() {
            let mut trace = Trace::new(world, conditions, &mut rng, &mut out, &mut pending);
            // What nobody takes now is lost to this shop: its queues and timers have no memory.
            let Some(instance) = trace.taker(begin.operation) else { continue };
            let caller = Caller { link: begin.link, ..Caller::default() };
            trace.serve(begin.operation, instance, caller, begin.start);
        }
    }
    let idle = (f64::from(spans_per_second) / 60.0).ceil() as usize;
    for _ in 0..idle {
        let at = unix_second * SECOND + rng.random_range(0..SECOND);
        out.logs.extend(logs::housekeeping(world, conditions, &mut rng, at));
    }
    out.logs.extend(logs::incidents(world, conditions, &mut rng));
    out
}

/// A trace still to be made: a consumer begins its own and links to the message's producer.
struct Begin {
    operation: OperationId,
    start: u64,
    link: Option<Link>,
}

#[derive(Default)]
struct Caller {
    span_id: Vec<u8>,
    address: Option<String>,
    link: Option<Link>,
}

/// Who is behind a trace; the same facts stand on its spans and in its logs.
pub(super) struct User {
    pub(super) id: String,
    pub(super) tier: &'static str,
    pub(super) address: String,
}

struct Trace<'a> {
    world: &'a World,
    conditions: &'a Conditions,
    rng: &'a mut StdRng,
    out: &'a mut Second,
    pending: &'a mut Vec<Begin>,
    first_span: usize,
    id: [u8; 16],
    user: User,
}

/// Result of a step: when it was over, and whether it failed.
type Outcome = (u64, Option<Failure>);

/// The span that does something, and where it is.
#[derive(Clone, Copy)]
struct Parent {
    span_id: [u8; 8],
    instance: usize,
    operation: OperationId,
}

impl<'a> Trace<'a> {
    fn new(
        world: &'a World,
        conditions: &'a Conditions,
        rng: &'a mut StdRng,
        out: &'a mut Second,
        pending: &'a mut Vec<Begin>,
    ) -> Self {
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
        Self { world, conditions, rng, out, pending, first_span, id: trace_id, user }
    }

    /// The span of one served operation and everything under it.
    fn serve(&mut self, operation_id: OperationId, instance: usize, caller: Caller, start: u64) -> Outcome {
        let world = self.world;
        let operation = world.operation(operation_id);
        let ailment = self.conditions.ailment(world, instance, operation_id);
        let span_id: [u8; 8] = id(self.rng);
        let parent = Parent { span_id, instance, operation: operation_id };
        let (now, failure, own) = self.work(parent, &ailment, start);
        let status = self.status(operation.trigger, operation.name, failure.as_ref());
        let pod = self.conditions.pod(instance);
        let described = logs::Told {
            pod,
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
            pod,
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

    /// What a service does for a call: when it is over, why it failed, and whether that is its own failure.
    fn work(&mut self, parent: Parent, ailment: &Ailment, start: u64) -> (u64, Option<Failure>, bool) {
        let operation = self.world.operation(parent.operation);
        let language = self.world.service(parent.operation.service).language;
        let actions = self.world.actions(parent.operation);
        let own_nano = lognormal(self.rng, operation.own_ms * ailment.slowness, 0.45) * MS;
        let pause = (own_nano / (actions.len() + 1) as f64) as u64;
        let mut now = start + pause;
        if self.rng.random_bool(ailment.error_ratio) {
            return (now, Some(failure::of_symptom(ailment.symptom, language)), true);
        }
        if self.rng.random_bool(ailment.stall_ratio) {
            let stall = (lognormal(self.rng, ailment.stall_ms, 0.35) * MS) as u64;
            self.stalled(parent, ailment.symptom, now, stall);
            now += stall;
        }
        for action in actions {
            if self.out.spans.len() - self.first_span > MAX_TRACE_SPANS {
                break;
            }
            let (end, failed) = self.act(action, parent, now);
            now = end + pause;
            if failed.is_some() {
                return (now, failed, false);
            }
        }
        let own = self.rng.random_bool(operation.error_ratio).then(|| failure::usual(language, self.rng));
        let failed = own.is_some();
        (now, own, failed)
    }

    fn act(&mut self, action: &Action, parent: Parent, start: u64) -> Outcome {
        match action {
            Action::Call { target, chance, required } => {
                if !self.rng.random_bool(*chance) {
                    return (start, None);
                }
                let (end, failure) = self.call(*target, parent, start);
                if let Some(failure) = failure.as_ref().filter(|_| !*required) {
                    self.fell_back(parent, *target, end, failure);
                }
                (end, failure.filter(|_| *required))
            }
            Action::Together(actions) => {
                let mut all: Outcome = (start, None);
                for action in actions {
                    let (end, failure) = self.act(action, parent, start);
                    all.0 = all.0.max(end);
                    all.1 = all.1.or(failure);
                }
                all
            }
            Action::Query { store, verb, table, median_ms } => {
                self.query(store, verb, table, *median_ms, parent, start)
            }
            Action::Peer { host, method, path, median_ms } => {
                self.request(host, method, path, *median_ms, parent, start)
            }
            Action::Publish { topic, consumers } => (self.publish(topic, consumers, parent, start), None),
        }
    }

    /// Who serves the next call of a service, most likely in the caller's cloud.
    fn instance(&mut self, service: usize, near: Option<Cloud>) -> usize {
        let all = &self.world.instances_of[service];
        let close: Vec<usize> =
            all.iter().copied().filter(|i| near.is_none_or(|c| self.world.node_of(*i).cloud == c)).collect();
        pick(self.rng, if close.is_empty() { all } else { &close })
    }

    /// Who takes a request from outside, a message or a timer: somebody who is there.
    fn taker(&mut self, id: OperationId) -> Option<usize> {
        let all = &self.world.instances_of[id.service];
        let there = |i: &usize| !self.conditions.ailment(self.world, *i, id).unreachable;
        let there: Vec<usize> = all.iter().copied().filter(there).collect();
        (!there.is_empty()).then(|| pick(self.rng, &there))
    }

    fn near(&mut self, instance: usize) -> Option<Cloud> {
        self.rng.random_bool(NEAR).then_some(self.world.node_of(instance).cloud)
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
            (_, Some(failure)) => failure.rpc,
            (_, None) => 0,
        }
    }
}
