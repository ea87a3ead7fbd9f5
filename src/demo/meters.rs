//! The shop's instruments: a fold over seconds, read every 15 s like a periodic metric reader would.
//!
//! HTTP durations are cumulative histograms, RPC durations delta exponential histograms, statements delta histograms,
//! consumed messages cumulative counters, the PHP services keep old-fashioned summaries, each process has its gauges.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::{
    common::v1::KeyValue,
    metrics::v1::{
        AggregationTemporality, Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram,
        HistogramDataPoint, Metric, NumberDataPoint, Sum, Summary, SummaryDataPoint, exemplar,
        exponential_histogram_data_point::Buckets, metric, number_data_point, summary_data_point::ValueAtQuantile,
    },
};
use rand::{Rng, SeedableRng, rngs::StdRng};

use super::{
    catalogue::{Language, Trigger},
    traffic::{Call, Second},
    values::{int, text},
    world::{OperationId, World},
};

/// Bounds that the semantic conventions advise for durations in seconds.
const BOUNDS: [f64; 14] = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
/// Eight buckets for each doubling.
const SCALE: i32 = 3;

/// Everything counted since `start_unix_nano`.
#[derive(Debug)]
pub(super) struct Meters {
    start_unix_nano: u64,
    last_unix_nano: u64,
    calls: BTreeMap<(usize, OperationId, i64), Distribution>,
    queries: BTreeMap<(usize, &'static str, &'static str), Distribution>,
    busy_seconds: BTreeMap<usize, f64>,
}

impl Meters {
    pub(super) fn new(start_unix_nano: u64) -> Self {
        Self {
            start_unix_nano,
            last_unix_nano: start_unix_nano,
            calls: BTreeMap::new(),
            queries: BTreeMap::new(),
            busy_seconds: BTreeMap::new(),
        }
    }

    pub(super) fn add(&mut self, second: &Second) {
        for call in &second.calls {
            let seconds = call.duration_nano as f64 / 1e9;
            *self.busy_seconds.entry(call.instance).or_default() += seconds.min(0.02);
            let all = self.calls.entry((call.instance, call.operation, call.status)).or_default();
            all.add(seconds);
            // One exemplar an interval, the slowest call: that is the one people click.
            if all.exemplar.as_ref().is_none_or(|kept| kept.duration_nano < call.duration_nano) {
                all.exemplar = Some(call.clone());
            }
        }
        for query in &second.queries {
            let key = (query.instance, query.store, query.verb);
            self.queries.entry(key).or_default().add(query.duration_nano as f64 / 1e9);
        }
    }

    /// What each instance exports at `now`; delta instruments begin again.
    pub(super) fn read(&mut self, world: &World, now_unix_nano: u64) -> Vec<(usize, Metric)> {
        let mut out = Vec::new();
        let clock = |instance: usize, start: u64| (world.shown(instance, start), world.shown(instance, now_unix_nano));
        for ((instance, operation, status), all) in &mut self.calls {
            let times = clock(*instance, self.start_unix_nano);
            let delta_times = clock(*instance, self.last_unix_nano);
            let exemplars: Vec<Exemplar> = all.exemplar.take().map(|c| exemplar(world, &c)).into_iter().collect();
            let language = world.service(operation.service).language;
            let attributes = call_attributes(world, *operation, *status);
            match world.operation(*operation).trigger {
                Trigger::Http(_) if language == Language::Php => {
                    let metric = metric("http_request_duration_quantiles", "s", all.summary(attributes, times));
                    out.push((*instance, metric));
                }
                Trigger::Http(_) => {
                    let data = all.histogram(attributes, times, exemplars, AggregationTemporality::Cumulative);
                    out.push((*instance, metric("http.server.request.duration", "s", data)));
                }
                Trigger::Rpc => {
                    let data = all.exponential(attributes, delta_times, exemplars);
                    out.push((*instance, metric("rpc.server.call.duration", "s", data)));
                }
                Trigger::Message => {
                    let value = number_data_point::Value::AsInt(all.count.cast_signed());
                    let data = sum(attributes, times, value, true);
                    out.push((*instance, metric("messaging.client.consumed.messages", "{message}", data)));
                }
                Trigger::Timer => {}
            }
        }
        for ((instance, store, verb), all) in &mut self.queries {
            let attributes = vec![text("db.namespace", *store), text("db.operation.name", *verb)];
            let times = clock(*instance, self.last_unix_nano);
            let data = all.histogram(attributes, times, Vec::new(), AggregationTemporality::Delta);
            out.push((*instance, metric("db.client.operation.duration", "s", data)));
        }
        self.queries.clear();
        self.calls.retain(|(_, operation, _), _| world.operation(*operation).trigger != Trigger::Rpc);
        self.processes(world, now_unix_nano, &mut out);
        self.last_unix_nano = now_unix_nano;
        out
    }

    fn processes(&self, world: &World, now: u64, out: &mut Vec<(usize, Metric)>) {
        let elapsed = (now - self.start_unix_nano) as f64 / 1e9;
        for (instance, described) in world.instances.iter().enumerate() {
            let mut rng = StdRng::seed_from_u64(world.seed ^ now ^ instance as u64);
            let times = (world.shown(instance, self.start_unix_nano), world.shown(instance, now));
            let busy = self.busy_seconds.get(&instance).copied().unwrap_or_default() + 0.01 * elapsed;
            let utilization = (busy / elapsed.max(1.0) * rng.random_range(0.8..1.2)).clamp(0.002, 1.0);
            let memory = 140_000_000 + (instance as i64 * 7_919_113) % 400_000_000 + rng.random_range(0..6_000_000);
            let mut add = |name: &str, unit: &str, data: metric::Data| out.push((instance, metric(name, unit, data)));
            add(
                "process.cpu.utilization",
                "1",
                gauge(vec![], times.1, number_data_point::Value::AsDouble(utilization)),
            );
            add(
                "process.cpu.time",
                "s",
                sum(vec![text("cpu.mode", "user")], times, number_data_point::Value::AsDouble(busy), true),
            );
            add("process.memory.usage", "By", sum(vec![], times, number_data_point::Value::AsInt(memory), false));
            add(
                "process.open_file_descriptor.count",
                "{file_descriptor}",
                sum(vec![], times, number_data_point::Value::AsInt(rng.random_range(40..140)), false),
            );
            match world.service(described.service).language {
                Language::Java => {
                    for (pool, share) in [("G1 Eden Space", 3), ("G1 Old Gen", 6), ("Metaspace", 1)] {
                        let value = number_data_point::Value::AsInt(memory / 10 * share);
                        add(
                            "jvm.memory.used",
                            "By",
                            sum(vec![text("jvm.memory.pool.name", pool)], times, value, false),
                        );
                    }
                }
                Language::Go => {
                    let value = number_data_point::Value::AsInt(rng.random_range(20..400));
                    add("go.goroutine.count", "{goroutine}", gauge(vec![], times.1, value));
                }
                Language::Nodejs => {
                    let value = number_data_point::Value::AsDouble(rng.random_range(0.001..0.03));
                    add("nodejs.eventloop.delay.p99", "s", gauge(vec![], times.1, value));
                }
                _ => {}
            }
        }
    }
}

/// Durations in seconds, kept so that every kind of instrument can be read from them.
#[derive(Debug, Default)]
struct Distribution {
    count: u64,
    sum: f64,
    min: f64,
    max: f64,
    buckets: [u64; BOUNDS.len() + 1],
    exponential: BTreeMap<i32, u64>,
    exemplar: Option<Call>,
}

impl Distribution {
    fn add(&mut self, seconds: f64) {
        self.min = if self.count == 0 { seconds } else { self.min.min(seconds) };
        self.max = self.max.max(seconds);
        self.count += 1;
        self.sum += seconds;
        self.buckets[BOUNDS.partition_point(|bound| *bound < seconds)] += 1;
        *self.exponential.entry(bucket_index(seconds)).or_default() += 1;
    }

    fn histogram(
        &self,
        attributes: Vec<KeyValue>,
        (start, now): (u64, u64),
        exemplars: Vec<Exemplar>,
        temporality: AggregationTemporality,
    ) -> metric::Data {
        metric::Data::Histogram(Histogram {
            aggregation_temporality: temporality as i32,
            data_points: vec![HistogramDataPoint {
                attributes,
                start_time_unix_nano: start,
                time_unix_nano: now,
                count: self.count,
                sum: Some(self.sum),
                min: Some(self.min),
                max: Some(self.max),
                bucket_counts: self.buckets.to_vec(),
                explicit_bounds: BOUNDS.to_vec(),
                exemplars,
                ..Default::default()
            }],
        })
    }

    fn exponential(
        &self,
        attributes: Vec<KeyValue>,
        (start, now): (u64, u64),
        exemplars: Vec<Exemplar>,
    ) -> metric::Data {
        let offset = self.exponential.keys().next().copied().unwrap_or_default();
        let last = self.exponential.keys().next_back().copied().unwrap_or_default();
        let bucket_counts = (offset..=last).map(|i| self.exponential.get(&i).copied().unwrap_or_default()).collect();
        metric::Data::ExponentialHistogram(ExponentialHistogram {
            aggregation_temporality: AggregationTemporality::Delta as i32,
            data_points: vec![ExponentialHistogramDataPoint {
                attributes,
                start_time_unix_nano: start,
                time_unix_nano: now,
                count: self.count,
                sum: Some(self.sum),
                min: Some(self.min),
                max: Some(self.max),
                scale: SCALE,
                positive: Some(Buckets { offset, bucket_counts }),
                exemplars,
                ..Default::default()
            }],
        })
    }

    fn summary(&self, attributes: Vec<KeyValue>, (start, now): (u64, u64)) -> metric::Data {
        let quantile_values = [0.5, 0.95, 0.99]
            .into_iter()
            .map(|quantile| ValueAtQuantile { quantile, value: self.quantile(quantile) })
            .collect();
        metric::Data::Summary(Summary {
            data_points: vec![SummaryDataPoint {
                attributes,
                start_time_unix_nano: start,
                time_unix_nano: now,
                count: self.count,
                sum: self.sum,
                quantile_values,
                ..Default::default()
            }],
        })
    }

    /// Upper bound of the exponential bucket in which the quantile lies.
    fn quantile(&self, quantile: f64) -> f64 {
        let wanted = (self.count as f64 * quantile).ceil() as u64;
        let mut seen = 0;
        for (index, count) in &self.exponential {
            seen += count;
            if seen >= wanted {
                return (f64::from(index + 1) / f64::from(1 << SCALE)).exp2();
            }
        }
        self.max
    }
}

/// Index of the bucket `(base^index, base^(index + 1)]` with `base = 2^(2^-SCALE)`.
/// Source: OpenTelemetry metrics data model, "Exponential buckets".
fn bucket_index(value: f64) -> i32 {
    (value.max(f64::MIN_POSITIVE).log2() * f64::from(1 << SCALE)).ceil() as i32 - 1
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
        time_unix_nano: world.shown(call.instance, call.end_unix_nano),
        span_id: call.span_id.to_vec(),
        trace_id: call.trace_id.to_vec(),
        value: Some(exemplar::Value::AsDouble(call.duration_nano as f64 / 1e9)),
    }
}

fn metric(name: &str, unit: &str, data: metric::Data) -> Metric {
    let description = match name {
        "http.server.request.duration" => "Duration of HTTP server requests.",
        "rpc.server.call.duration" => "Duration of inbound RPCs.",
        "db.client.operation.duration" => "Duration of database client operations.",
        _ => "",
    };
    Metric {
        name: name.to_owned(),
        unit: unit.to_owned(),
        description: description.to_owned(),
        data: Some(data),
        ..Default::default()
    }
}

fn gauge(attributes: Vec<KeyValue>, now: u64, value: number_data_point::Value) -> metric::Data {
    let point = NumberDataPoint { attributes, time_unix_nano: now, value: Some(value), ..Default::default() };
    metric::Data::Gauge(Gauge { data_points: vec![point] })
}

fn sum(
    attributes: Vec<KeyValue>,
    (start, now): (u64, u64),
    value: number_data_point::Value,
    is_monotonic: bool,
) -> metric::Data {
    let point = NumberDataPoint {
        attributes,
        start_time_unix_nano: start,
        time_unix_nano: now,
        value: Some(value),
        ..Default::default()
    };
    metric::Data::Sum(Sum {
        data_points: vec![point],
        aggregation_temporality: AggregationTemporality::Cumulative as i32,
        is_monotonic,
    })
}
