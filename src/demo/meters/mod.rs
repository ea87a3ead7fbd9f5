//! The shop's instruments: a fold over seconds, read every 15 s like a periodic metric reader would.
//!
//! HTTP durations are cumulative histograms, RPC durations delta exponential histograms, statements delta histograms,
//! consumed messages cumulative counters, the PHP services keep old-fashioned summaries; `process` and `node` have the
//! gauges. A process that is replaced or restarted begins to count again.

mod distribution;
mod node;
mod point;
mod process;

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::{
    common::v1::KeyValue,
    metrics::v1::{AggregationTemporality, Exemplar, Metric, exemplar, number_data_point::Value},
};

use self::{
    distribution::Distribution,
    point::{metric, sum},
};
use super::{
    catalogue::{Language, Trigger},
    conditions::Conditions,
    traffic::{Call, Second},
    values::{int, text},
    world::{OperationId, Pod, Source, World},
};

const SECOND: u64 = 1_000_000_000;

/// What the instruments hold between two readings.
#[derive(Debug)]
pub(super) struct Meters {
    last_unix_nano: u64,
    calls: BTreeMap<(Pod, OperationId, i64), Distribution>,
    queries: BTreeMap<(Pod, &'static str, &'static str), Distribution>,
    /// Statements that got no connection.
    timeouts: BTreeMap<(Pod, &'static str), u64>,
    processes: Vec<Process>,
}

/// What one instance's process has counted.
#[derive(Clone, Debug, Default)]
struct Process {
    /// Second in which it began.
    began: u64,
    /// Processor time that calls took in this interval.
    busy_seconds: f64,
    /// Since it began.
    cpu_seconds: f64,
    throttled_seconds: f64,
    collections: Distribution,
}

impl Meters {
    pub(super) fn new(start_unix_nano: u64) -> Self {
        Self {
            last_unix_nano: start_unix_nano,
            calls: BTreeMap::new(),
            queries: BTreeMap::new(),
            timeouts: BTreeMap::new(),
            processes: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, second: &Second) {
        for call in &second.calls {
            let seconds = call.duration_nano as f64 / 1e9;
            self.process(call.pod.instance).busy_seconds += seconds.min(0.02);
            let all = self.calls.entry((call.pod, call.operation, call.status)).or_default();
            all.add(seconds);
            // One exemplar an interval, the slowest call: that is the one people click.
            if all.exemplar.as_ref().is_none_or(|kept| kept.duration_nano < call.duration_nano) {
                all.exemplar = Some(call.clone());
            }
        }
        for query in &second.queries {
            let key = (query.pod, query.store, query.verb);
            self.queries.entry(key).or_default().add(query.duration_nano as f64 / 1e9);
            if query.failed {
                *self.timeouts.entry((query.pod, query.store)).or_default() += 1;
            }
        }
    }

    /// What each process and node exports at `now`, under the conditions of the second before; delta instruments begin
    /// again.
    pub(super) fn read(&mut self, world: &World, conditions: &Conditions, now_unix_nano: u64) -> Vec<(Source, Metric)> {
        let mut out = Vec::new();
        self.restart(world, conditions);
        self.read_calls(world, conditions, now_unix_nano, &mut out);
        self.read_processes(world, conditions, now_unix_nano, &mut out);
        self.read_queries(world, conditions, now_unix_nano, &mut out);
        node::read(world, conditions, now_unix_nano, &mut out);
        self.last_unix_nano = now_unix_nano;
        out
    }

    fn process(&mut self, instance: usize) -> &mut Process {
        if self.processes.len() <= instance {
            self.processes.resize(instance + 1, Process::default());
        }
        &mut self.processes[instance]
    }

    /// Forgets what processes counted that are gone.
    fn restart(&mut self, world: &World, conditions: &Conditions) {
        for instance in 0..world.instances.len() {
            let began = conditions.began(instance);
            let process = self.process(instance);
            if process.began == began {
                continue;
            }
            let first = process.began == 0;
            *process = Process { began, busy_seconds: process.busy_seconds, ..Process::default() };
            if !first {
                self.calls.retain(|(pod, ..), _| pod.instance != instance);
                self.timeouts.retain(|(pod, _), _| pod.instance != instance);
            }
        }
    }

    fn read_calls(&mut self, world: &World, conditions: &Conditions, now: u64, out: &mut Vec<(Source, Metric)>) {
        for ((pod, operation, status), all) in &mut self.calls {
            if !conditions.exports(world, pod.instance) {
                continue;
            }
            let shown = |at: u64| world.shown(pod.instance, at);
            let began = conditions.began(pod.instance) * SECOND;
            let times = (shown(began), shown(now));
            let delta_times = (shown(self.last_unix_nano.max(began)), shown(now));
            let exemplars: Vec<Exemplar> = all.exemplar.take().map(|c| exemplar(world, &c)).into_iter().collect();
            let language = world.service(operation.service).language;
            let attributes = call_attributes(world, *operation, *status);
            let metric = match world.operation(*operation).trigger {
                Trigger::Http(_) if language == Language::Php => {
                    metric("http_request_duration_quantiles", "s", all.summary(attributes, times))
                }
                Trigger::Http(_) => {
                    let data = all.histogram(attributes, times, exemplars, AggregationTemporality::Cumulative);
                    metric("http.server.request.duration", "s", data)
                }
                Trigger::Rpc => {
                    metric("rpc.server.call.duration", "s", all.exponential(attributes, delta_times, exemplars))
                }
                Trigger::Message => {
                    let data = sum(attributes, times, Value::AsInt(all.count.cast_signed()), true);
                    metric("messaging.client.consumed.messages", "{message}", data)
                }
                Trigger::Timer => continue,
            };
            out.push(((*pod).into(), metric));
        }
        self.calls.retain(|(_, operation, _), _| world.operation(*operation).trigger != Trigger::Rpc);
    }

    fn read_queries(&mut self, world: &World, conditions: &Conditions, now: u64, out: &mut Vec<(Source, Metric)>) {
        let mut busy: BTreeMap<(Pod, &'static str), f64> = BTreeMap::new();
        for ((pod, store, verb), all) in &self.queries {
            *busy.entry((*pod, store)).or_default() += all.sum;
            if conditions.exports(world, pod.instance) {
                let attributes = vec![text("db.namespace", *store), text("db.operation.name", *verb)];
                let times = (world.shown(pod.instance, self.last_unix_nano), world.shown(pod.instance, now));
                let data = all.histogram(attributes, times, Vec::new(), AggregationTemporality::Delta);
                out.push(((*pod).into(), metric("db.client.operation.duration", "s", data)));
            }
        }
        let seconds = now.saturating_sub(self.last_unix_nano) as f64 / 1e9;
        for ((pod, store), busy) in busy {
            if conditions.exports(world, pod.instance) && conditions.pod(pod.instance) == pod {
                let timeouts = self.timeouts.get(&(pod, store)).copied().unwrap_or_default();
                let began = conditions.began(pod.instance) * SECOND;
                let times = (world.shown(pod.instance, began), world.shown(pod.instance, now));
                process::pool(pod, store, busy / seconds.max(1.0), timeouts, times, out);
            }
        }
        self.queries.clear();
    }

    fn read_processes(&mut self, world: &World, conditions: &Conditions, now: u64, out: &mut Vec<(Source, Metric)>) {
        let elapsed = now.saturating_sub(self.last_unix_nano) as f64 / 1e9;
        for instance in 0..world.instances.len() {
            let process = &mut self.processes[instance];
            if conditions.exports(world, instance) {
                process::read(world, conditions, instance, process, (elapsed, now), out);
            } else {
                process::read_container(world, conditions, instance, now, out);
            }
            process.busy_seconds = 0.0;
        }
    }
}

fn call_attributes(world: &World, id: OperationId, status: i64) -> Vec<KeyValue> {
    let operation = world.operation(id);
    match operation.trigger {
        Trigger::Http(method) => vec![
            text("http.request.method", method),
            text("http.route", operation.name),
            int("http.response.status_code", status),
            text("url.scheme", "http"),
        ],
        Trigger::Rpc | Trigger::Timer => {
            vec![text("rpc.system", "grpc"), text("rpc.method", operation.name), int("rpc.grpc.status_code", status)]
        }
        Trigger::Message => vec![
            text("messaging.system", "kafka"),
            text("messaging.destination.name", operation.name),
            text("messaging.consumer.group.name", world.service(id.service).name),
        ],
    }
}

fn exemplar(world: &World, call: &Call) -> Exemplar {
    Exemplar {
        filtered_attributes: vec![text("thread.name", format!("worker-{}", call.span_id[0] % 16))],
        time_unix_nano: world.shown(call.pod.instance, call.end_unix_nano),
        span_id: call.span_id.to_vec(),
        trace_id: call.trace_id.to_vec(),
        value: Some(exemplar::Value::AsDouble(call.duration_nano as f64 / 1e9)),
    }
}
