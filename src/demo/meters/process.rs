//! Gauges and counters of a process, its runtime, its container and its connection pools.

use opentelemetry_proto::tonic::metrics::v1::{AggregationTemporality, Metric, metric::Data, number_data_point::Value};
use rand::{Rng, SeedableRng, rngs::StdRng};

use super::{
    Process, SECOND,
    distribution::Distribution,
    point::{gauge, metric, sum},
};
use crate::demo::{
    catalogue::Language,
    conditions::Conditions,
    fault::{Vitals, vitals},
    values::text,
    world::{Pod, Source, World},
};

/// Connections that a pool may have.
const POOL: i64 = 20;
/// The spans are a sample; a pool sees the load of so many times as many statements.
const SAMPLED: f64 = 12.0;

/// Everything of a process that runs. `elapsed`: seconds since the last reading.
pub(super) fn read(
    world: &World,
    conditions: &Conditions,
    instance: usize,
    process: &mut Process,
    (elapsed, now): (f64, u64),
    out: &mut Vec<(Source, Metric)>,
) {
    let mut rng = StdRng::seed_from_u64(world.seed ^ now ^ instance as u64);
    let busy = process.busy_seconds / elapsed.max(1.0);
    let vitals = vitals(world, conditions.fault.as_ref(), instance, conditions.second, busy, &mut rng);
    process.cpu_seconds += vitals.cpu * elapsed;
    // More and longer collections, where there is less and less to collect.
    let collections = 2 + (vitals.collecting * 15.0) as u32;
    for _ in 0..collections {
        process.collections.add(vitals.collecting * elapsed / f64::from(collections));
    }
    process.throttled_seconds += vitals.throttled * elapsed;
    let times = (world.shown(instance, process.began * SECOND), world.shown(instance, now));
    let pod = conditions.pod(instance);
    let mut add = |name: &str, unit: &str, data: Data| out.push((pod.into(), metric(name, unit, data)));
    let (real, whole) = (Value::AsDouble, Value::AsInt);
    add("process.cpu.utilization", "1", gauge(vec![], times.1, real(vitals.cpu)));
    add("process.cpu.time", "s", sum(vec![text("cpu.mode", "user")], times, real(process.cpu_seconds), true));
    add("process.memory.usage", "By", sum(vec![], times, whole(vitals.memory_bytes), false));
    let uptime = now.saturating_sub(process.began * SECOND) as f64 / 1e9;
    add("process.uptime", "s", gauge(vec![], times.1, real(uptime)));
    let descriptors = rng.random_range(40..140) + vitals.active;
    add("process.open_file_descriptor.count", "{file_descriptor}", sum(vec![], times, whole(descriptors), false));
    add("container.memory.usage", "By", gauge(vec![], times.1, whole(vitals.memory_bytes + 9_000_000)));
    add(
        "container.memory.available",
        "By",
        gauge(vec![], times.1, whole(vitals.memory_limit_bytes - vitals.memory_bytes)),
    );
    add("container.cpu.usage", "{cpu}", gauge(vec![], times.1, real(vitals.cpu)));
    let throttled = sum(vec![], times, real(process.throttled_seconds), true);
    add("container.cpu.throttling_data.throttled_time", "s", throttled);
    add("k8s.container.restarts", "{restart}", gauge(vec![], times.1, whole(vitals.restarts)));
    runtime(world.service(world.instances[instance].service).language, &vitals, process, times, &mut rng, &mut add);
}

/// What the kubelet says of a container whose process is not there.
pub(super) fn read_container(
    world: &World,
    conditions: &Conditions,
    instance: usize,
    now: u64,
    out: &mut Vec<(Source, Metric)>,
) {
    let mut rng = StdRng::seed_from_u64(world.seed ^ now ^ instance as u64);
    let vitals = vitals(world, conditions.fault.as_ref(), instance, conditions.second, 0.0, &mut rng);
    let (pod, shown) = (conditions.pod(instance).into(), world.shown(instance, now));
    out.push((pod, metric("k8s.container.restarts", "{restart}", gauge(vec![], shown, Value::AsInt(vitals.restarts)))));
    out.push((pod, metric("k8s.container.ready", "1", gauge(vec![], shown, Value::AsInt(0)))));
}

fn runtime(
    language: Language,
    vitals: &Vitals,
    process: &Process,
    times: (u64, u64),
    rng: &mut StdRng,
    add: &mut impl FnMut(&str, &str, Data),
) {
    let (real, whole) = (Value::AsDouble, Value::AsInt);
    let collections =
        |attributes| process.collections.histogram(attributes, times, Vec::new(), AggregationTemporality::Cumulative);
    match language {
        Language::Java => {
            // What a leak fills is the old generation.
            let shares = [("G1 Eden Space", 3), ("G1 Old Gen", 6), ("Metaspace", 1)];
            for (pool, share) in shares {
                let used = whole(vitals.memory_bytes / 10 * share);
                add("jvm.memory.used", "By", sum(vec![text("jvm.memory.pool.name", pool)], times, used, false));
            }
            let collector = vec![text("jvm.gc.name", "G1 Old Generation"), text("jvm.gc.action", "end of major GC")];
            add("jvm.gc.duration", "s", collections(collector));
            let threads = rng.random_range(38..46) + vitals.active;
            add("jvm.thread.count", "{thread}", sum(vec![], times, whole(threads), false));
        }
        Language::Go => {
            let goroutines = rng.random_range(20..400) + vitals.active * 20;
            add("go.goroutine.count", "{goroutine}", gauge(vec![], times.1, whole(goroutines)));
            add("go.memory.used", "By", sum(vec![], times, whole(vitals.memory_bytes / 10 * 8), false));
            let paused = whole((process.collections.sum * 1e9) as i64);
            add("process.runtime.go.gc.pause_total_ns", "ns", sum(vec![], times, paused, true));
        }
        Language::Nodejs => {
            add("nodejs.eventloop.delay.p99", "s", gauge(vec![], times.1, real(vitals.delay_seconds)));
            add("v8js.memory.heap.used", "By", sum(vec![], times, whole(vitals.memory_bytes / 10 * 7), false));
            add("v8js.gc.duration", "s", collections(vec![text("v8js.gc.type", "major")]));
        }
        Language::Dotnet => {
            let heap = whole(vitals.memory_bytes / 10 * 7);
            add("dotnet.gc.last_collection.heap.size", "By", sum(vec![], times, heap, false));
            add("dotnet.gc.pause.time", "s", sum(vec![], times, real(process.collections.sum), true));
            let queue = whole((vitals.active - 20).max(0));
            add("dotnet.thread_pool.queue.length", "{work_item}", sum(vec![], times, queue, false));
        }
        Language::Python => {
            add("process.thread.count", "{thread}", sum(vec![], times, whole(8 + vitals.active), false));
        }
        _ => {}
    }
}

/// The connections of a process to one store, from the seconds that its statements took in each second.
pub(super) fn pool(
    pod: Pod,
    store: &'static str,
    busy: f64,
    timeouts: u64,
    times: (u64, u64),
    out: &mut Vec<(Source, Metric)>,
) {
    let wanted = (busy * SAMPLED).ceil() as i64;
    let used = wanted.min(POOL);
    let name = || text("db.client.connection.pool.name", store);
    let mut add = |metric_name: &str, unit: &str, attributes, value: i64| {
        out.push((
            pod.into(),
            metric(metric_name, unit, sum(attributes, times, Value::AsInt(value), metric_name.ends_with("timeouts"))),
        ));
    };
    let state = |state: &str| vec![name(), text("db.client.connection.state", state)];
    add("db.client.connection.count", "{connection}", state("used"), used);
    add("db.client.connection.count", "{connection}", state("idle"), (POOL - used).min(5));
    add("db.client.connection.pending_requests", "{request}", vec![name()], (wanted - POOL).max(0));
    add("db.client.connection.timeouts", "{timeout}", vec![name()], timeouts.cast_signed());
    let mut waits = Distribution::default();
    waits.add(0.0004 + 0.25 * (wanted - POOL).max(0) as f64 / POOL as f64);
    let data = waits.histogram(
        vec![name()],
        (times.1.saturating_sub(15 * SECOND), times.1),
        Vec::new(),
        AggregationTemporality::Delta,
    );
    out.push((pod.into(), metric("db.client.connection.wait_time", "s", data)));
}
