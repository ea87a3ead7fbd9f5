//! Each fault shows in every signal in which the real thing would, and nowhere else.

use std::collections::{HashMap, HashSet};

use opentelemetry_proto::tonic::{
    common::v1::any_value::Value,
    metrics::v1::{Metric, metric::Data, number_data_point},
    trace::v1::{Span, span::SpanKind},
};

use super::{
    super::{
        conditions::Conditions,
        fault::{Fault, Kind, Occurrence, Place, Schedule},
        meters::Meters,
        traffic::{self, Second},
        world::{Source, World},
    },
    AT, attribute,
};

/// A shop of which one fault is known; `AT` is its beginning.
struct Shop {
    world: World,
    schedule: Schedule,
    fault: Fault,
}

/// The first shop whose fault is as wanted.
fn shop(kind: Kind, wanted: impl Fn(&Fault) -> bool) -> Shop {
    for seed in 0..500 {
        let world = World::new(seed);
        let schedule = Schedule { seed, opens: AT - 600, anchor: AT, occurrence: Occurrence::Once(kind, 420) };
        let fault = schedule.fault(&world, 0).expect("one fault");
        if wanted(&fault) {
            return Shop { world, schedule, fault };
        }
    }
    panic!("no seed has such a {kind:?}");
}

/// What a shop sent over some time.
struct Seen<'a> {
    shop: &'a Shop,
    seconds: Vec<Second>,
    /// With the second after the fault's beginning that they were read in.
    metrics: Vec<(i64, Source, Metric)>,
}

impl Shop {
    fn service(&self) -> &'static str {
        self.world.service(self.fault.service().expect("a service")).name
    }

    /// Seconds from the fault's beginning on, negative ones before it.
    fn see(&self, from: i64, end: i64) -> Seen<'_> {
        let time = |second: i64| AT.saturating_add_signed(second);
        let mut meters = Meters::new(time(from - 15) * 1_000_000_000);
        let (mut seconds, mut metrics) = (Vec::new(), Vec::new());
        for second in from..end {
            let at = time(second);
            let conditions = Conditions::at(&self.world, &self.schedule, at);
            let made = traffic::second(&self.world, &conditions, 300);
            meters.add(&made);
            seconds.push(made);
            if (at + 1).is_multiple_of(15) {
                let read = meters.read(&self.world, &conditions, (at + 1) * 1_000_000_000);
                metrics.extend(read.into_iter().map(|(source, metric)| (second + 1, source, metric)));
            }
        }
        Seen { shop: self, seconds, metrics }
    }

    /// The minute that begins two minutes before the fault, and the one that begins a hundred seconds into it.
    fn compare(&self) -> (Seen<'_>, Seen<'_>) {
        (self.see(-120, -60), self.see(100, 160))
    }
}

fn value(metric: &Metric) -> f64 {
    let points = match metric.data.as_ref().expect("data") {
        Data::Gauge(gauge) => &gauge.data_points,
        Data::Sum(sum) => &sum.data_points,
        Data::Histogram(histogram) => return histogram.data_points[0].sum.expect("a sum"),
        other => panic!("{} is {other:?}", metric.name),
    };
    match points[0].value {
        Some(number_data_point::Value::AsDouble(value)) => value,
        Some(number_data_point::Value::AsInt(value)) => value as f64,
        None => panic!("{} has no value", metric.name),
    }
}

fn text(span: &Span, key: &str) -> Option<String> {
    span.attributes.iter().find(|a| a.key == key).and_then(|a| match a.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        Value::IntValue(number) => Some(number.to_string()),
        _ => None,
    })
}

fn ms(span: &Span) -> f64 {
    (span.end_time_unix_nano - span.start_time_unix_nano) as f64 / 1e6
}

fn median(mut values: Vec<f64>) -> f64 {
    assert!(!values.is_empty(), "nothing to compare");
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

impl Seen<'_> {
    fn spans(&self) -> impl Iterator<Item = (&'static str, &Span)> {
        let world = &self.shop.world;
        self.seconds
            .iter()
            .flat_map(|s| &s.spans)
            .map(|(pod, span)| (world.service(world.instances[pod.instance].service).name, span))
    }

    fn served(&self, service: &str) -> Vec<&Span> {
        self.spans().filter(|(s, span)| *s == service && span.kind == SpanKind::Server as i32).map(|(_, s)| s).collect()
    }

    /// Client spans towards a service.
    fn calls(&self, service: &str) -> Vec<&Span> {
        self.spans().map(|(_, s)| s).filter(|s| text(s, "peer.service").as_deref() == Some(service)).collect()
    }

    /// Bodies of a service's records at least as severe, with whether they belong to a trace.
    fn logs(&self, service: &str, severity: i32) -> Vec<(String, bool)> {
        let world = &self.shop.world;
        let records = self.seconds.iter().flat_map(|s| &s.logs);
        records
            .filter(|(pod, r)| {
                world.service(world.instances[pod.instance].service).name == service && r.severity_number >= severity
            })
            .filter_map(|(_, r)| match r.body.as_ref()?.value.as_ref()? {
                Value::StringValue(body) => Some((body.clone(), !r.trace_id.is_empty())),
                _ => None,
            })
            .collect()
    }

    fn says(&self, service: &str, part: &str) -> usize {
        self.logs(service, 0).iter().filter(|(body, _)| body.contains(part)).count()
    }

    /// Values of a metric of the instances of a service.
    fn values(&self, service: &str, name: &str) -> Vec<f64> {
        let world = &self.shop.world;
        let of = |source: &Source| match source {
            Source::Pod(pod) => world.service(world.instances[pod.instance].service).name == service,
            Source::Node(_) | Source::Neighbour(_) => false,
        };
        self.metrics.iter().filter(|(_, s, m)| m.name == name && of(s)).map(|(_, _, m)| value(m)).collect()
    }

    fn greatest(&self, service: &str, name: &str) -> f64 {
        self.values(service, name).into_iter().fold(f64::MIN, f64::max)
    }

    /// Spans of operations that users begin with.
    fn entries(&self) -> Vec<&Span> {
        let root = |s: &&Span| s.parent_span_id.is_empty() && s.kind == SpanKind::Server as i32;
        self.spans().map(|(_, s)| s).filter(root).collect()
    }

    /// Share of those that fail.
    fn failed_entries(&self) -> f64 {
        let entries = self.entries();
        entries.iter().filter(|s| s.status.is_some()).count() as f64 / entries.len() as f64
    }
}

#[test]
fn a_slow_database_slows_statements_and_everybody_above_and_exhausts_the_pool() {
    let shop = shop(Kind::SlowDatabase, |f| matches!(f.place, Place::Store("inventory-db", _)));
    let (healthy, sick) = shop.compare();
    let statements = |seen: &Seen<'_>, slow: bool| {
        let its = |s: &&Span| text(s, "db.namespace").is_some_and(|name| (name == "inventory-db") == slow);
        median(seen.spans().map(|(_, s)| s).filter(its).map(ms).collect())
    };
    assert!(statements(&sick, true) > 100.0 * statements(&healthy, true));
    assert!(statements(&sick, false) < 1.5 * statements(&healthy, false), "other stores are as before");
    let served = |seen: &Seen<'_>, service: &str| median(seen.served(service).into_iter().map(ms).collect());
    for service in ["inventory", "partner-gateway"] {
        assert!(served(&sick, service) > 20.0 * served(&healthy, service), "{service}");
    }
    assert!(served(&sick, "media") < 2.0 * served(&healthy, "media"));
    assert_eq!(healthy.says("inventory", "Slow statement on inventory-db"), 0);
    assert!(sick.says("inventory", "Slow statement on inventory-db") > 20);
    assert_eq!(sick.greatest("inventory", "db.client.connection.count"), 20.0);
    assert!(sick.greatest("inventory", "db.client.connection.pending_requests") > 0.0);
    assert!(healthy.greatest("inventory", "db.client.connection.count") < 10.0);
    assert_eq!(healthy.greatest("inventory", "db.client.connection.pending_requests"), 0.0);
}

#[test]
fn a_bad_deploy_fails_early_where_it_runs() {
    let shop = shop(Kind::BadDeploy, |f| !f.quiet());
    let (healthy, sick) = shop.compare();
    let service = shop.service();
    let failed: Vec<&Span> = sick.served(service).into_iter().filter(|s| s.status.is_some()).collect();
    assert!(failed.len() * 10 > sick.served(service).len(), "{} of {}", failed.len(), sick.served(service).len());
    assert!(healthy.served(service).iter().filter(|s| s.status.is_some()).count() < 3);
    let parents: HashSet<&[u8]> = sick.spans().map(|(_, s)| s.parent_span_id.as_slice()).collect();
    let childless = failed.iter().filter(|s| !parents.contains(s.span_id.as_slice())).count();
    assert!(childless * 10 >= failed.len() * 9, "an early return calls nobody");
    assert!(failed.iter().all(|s| s.events.iter().any(|e| e.name == "exception")));
    let errors = |seen: &Seen<'_>| {
        seen.logs(service, 17).iter().filter(|(b, traced)| b.contains("Unhandled") && *traced).count()
    };
    assert!(errors(&sick) >= failed.len() * 9 / 10 && errors(&healthy) < 3);
    assert!(sick.failed_entries() > 0.015 && sick.failed_entries() > 4.0 * healthy.failed_entries());
    // In the middle of the rollout only the new pods fail.
    let early = shop.see(10, 20);
    let mut by_version: HashMap<String, (u32, u32)> = HashMap::new();
    for (pod, span) in early.seconds.iter().flat_map(|s| &s.spans) {
        if shop.world.instances[pod.instance].service == shop.fault.service().unwrap()
            && span.kind == SpanKind::Server as i32
        {
            let counts = by_version.entry(attribute(&shop.world, *pod, "service.version")).or_default();
            counts.0 += 1;
            counts.1 += u32::from(span.status.is_some());
        }
    }
    assert_eq!(by_version.len(), 2, "{by_version:?}");
    assert!(by_version.values().any(|(calls, failed)| *calls > 3 && *failed == 0), "{by_version:?}");
}

#[test]
fn a_slow_deploy_is_slow_and_says_why() {
    let shop = shop(Kind::BadDeploy, Fault::quiet);
    let (healthy, sick) = shop.compare();
    let Place::Operation(id) = shop.fault.place else { panic!("an operation") };
    let name = shop.world.operation(id).name;
    let slow = |seen: &Seen<'_>| {
        median(seen.served(shop.service()).into_iter().filter(|s| s.name.ends_with(name)).map(ms).collect())
    };
    assert!(slow(&sick) > 400.0 + slow(&healthy));
    assert!(sick.says(shop.service(), "rules one by one") > 3);
    assert_eq!(healthy.says(shop.service(), "rules one by one"), 0);
}

#[test]
fn a_service_that_is_gone_is_refused_at_its_callers_and_restarts_in_vain() {
    let shop = shop(Kind::DependencyOutage, |f| !f.quiet() && matches!(f.place, Place::Service(_)));
    let (healthy, sick) = shop.compare();
    let service = shop.service();
    let unanswered = |seen: &Seen<'_>| {
        let answered: HashSet<&[u8]> = seen.served(service).iter().map(|s| s.parent_span_id.as_slice()).collect();
        seen.calls(service)
            .into_iter()
            .filter(|s| !answered.contains(s.span_id.as_slice()))
            .cloned()
            .collect::<Vec<_>>()
    };
    assert!(unanswered(&healthy).is_empty());
    let refused = unanswered(&sick);
    assert!(refused.len() * 3 > sick.calls(service).len(), "{} of {}", refused.len(), sick.calls(service).len());
    assert!(refused.iter().all(|s| s.status.is_some() && ms(s) < 50.0));
    assert!(refused.iter().all(|s| text(s, "http.response.status_code").is_none()), "there was no response");
    let part = format!("call to {service} failed");
    let logged = |seen: &Seen<'_>| {
        let records = seen.seconds.iter().flat_map(|s| &s.logs);
        records.filter(|(_, r)| r.severity_number == 17 && format!("{:?}", r.body).contains(&part)).count()
    };
    assert_eq!((logged(&healthy), logged(&sick)), (0, refused.len()));
    assert!(sick.says(service, "startup of") > 0);
    let exporting = |seen: &Seen<'_>| seen.values(service, "process.memory.usage").len();
    assert!(exporting(&sick) < exporting(&healthy));
    assert!(sick.greatest(service, "k8s.container.restarts") >= 3.0);
    assert!(sick.failed_entries() > 4.0 * healthy.failed_entries());
}

#[test]
fn a_service_that_is_silent_keeps_its_callers_waiting() {
    let shop = shop(Kind::DependencyOutage, |f| f.quiet() && matches!(f.place, Place::Service(_)));
    let (_, sick) = shop.compare();
    let calls = sick.calls(shop.service());
    let gave_up: Vec<&&Span> = calls.iter().filter(|s| s.status.is_some()).collect();
    assert!(gave_up.len() * 3 > calls.len());
    assert!(gave_up.iter().all(|s| (2499.0..4001.0).contains(&ms(s))), "until their patience ends");
}

#[test]
fn a_host_outside_that_is_gone_fails_its_adapter_and_the_orders() {
    let shop = shop(Kind::DependencyOutage, |f| matches!(f.place, Place::Peer(..)));
    let Place::Peer(host, _) = shop.fault.place else { panic!("a host") };
    let (healthy, sick) = shop.compare();
    let requests = |seen: &Seen<'_>| {
        let to_host = |s: &&Span| text(s, "server.address").as_deref() == Some(host);
        let all: Vec<Span> = seen.spans().map(|(_, s)| s).filter(to_host).cloned().collect();
        all.iter().filter(|s| s.status.is_some()).count() as f64 / all.len() as f64
    };
    assert_eq!(requests(&healthy), 0.0);
    assert!((0.7..1.0).contains(&requests(&sick)));
    assert!(
        sick.logs("card-acquirer", 17)
            .iter()
            .any(|(b, traced)| *traced && b.contains(&format!("request to {host} failed")))
    );
    let orders = sick.served("checkout");
    assert!(orders.iter().filter(|s| s.status.is_some()).count() * 2 > orders.len());
}

#[test]
fn a_retry_storm_multiplies_calls_and_saturates_the_callee() {
    let shop = shop(Kind::RetryStorm, |_| true);
    let (healthy, sick) = shop.compare();
    let service = shop.service();
    assert!(
        sick.calls(service).len() * 10 > healthy.calls(service).len() * 16,
        "{} against {}",
        sick.calls(service).len(),
        healthy.calls(service).len()
    );
    // Callers give up before the service has answered; others wait in front of it.
    let served: HashMap<&[u8], &Span> =
        sick.served(service).into_iter().map(|s| (s.parent_span_id.as_slice(), s)).collect();
    let pairs: Vec<(&Span, &Span)> =
        sick.calls(service).into_iter().filter_map(|c| Some((c, *served.get(c.span_id.as_slice())?))).collect();
    assert!(pairs.iter().any(|(call, served)| ms(call) > 899.0 && ms(served) > ms(call)), "a client timeout");
    assert!(median(pairs.iter().filter(|(c, _)| c.status.is_none()).map(|(c, s)| ms(c) - ms(s)).collect()) > 100.0);
    let repeated = sick
        .seconds
        .iter()
        .flat_map(|s| &s.logs)
        .filter(|(_, r)| format!("{:?}", r.body).contains(&format!("call to {service} failed, try")))
        .count();
    assert!(repeated > 20, "{repeated}");
    assert!(sick.logs(service, 17).iter().any(|(b, _)| b.contains("worker queue is full")));
    assert!(sick.values(service, "process.cpu.utilization").iter().all(|cpu| *cpu > 0.9));
    assert!(healthy.values(service, "process.cpu.utilization").iter().all(|cpu| *cpu < 0.5));
    let entered = |seen: &Seen<'_>| seen.entries().len() as f64;
    assert!((0.75..1.3).contains(&(entered(&sick) / entered(&healthy))), "users do not come more often");
}

#[test]
fn a_memory_leak_fills_memory_collects_and_ends_in_restarts() {
    let shop = shop(Kind::MemoryLeak, |f| {
        f.place == Place::Service(super::super::catalogue::SERVICES.iter().position(|s| s.name == "inventory").unwrap())
    });
    let (healthy, _) = shop.compare();
    let service = shop.service();
    let sick = shop.see(0, 240);
    let first = shop.world.instances_of[shop.fault.service().unwrap()][0];
    let series = |name: &str| -> Vec<(i64, f64)> {
        let its = |source: &Source| matches!(source, Source::Pod(pod) if pod.instance == first);
        sick.metrics.iter().filter(|(_, s, m)| m.name == name && its(s)).map(|(at, _, m)| (*at, value(m))).collect()
    };
    let rising: Vec<f64> =
        series("process.memory.usage").into_iter().filter(|(at, _)| *at < 83).map(|(_, v)| v).collect();
    assert!(rising.len() >= 4 && rising.is_sorted(), "{rising:?}");
    assert!(rising[rising.len() - 1] > 1.25 * rising[0], "{rising:?}");
    assert!(!series("process.uptime").is_sorted_by_key(|(_, uptime)| *uptime as u64), "a restart");
    assert!(!series("jvm.gc.duration").is_sorted_by_key(|(_, seconds)| *seconds as u64), "counters begin again");
    assert!(sick.greatest(service, "k8s.container.restarts") >= 2.0);
    assert!(sick.greatest(service, "jvm.gc.duration") > 10.0 * healthy.greatest(service, "jvm.gc.duration") / 4.0);
    assert!(sick.says(service, "OutOfMemoryError") >= 4);
    assert!(sick.says(service, "Pause Full") > 20 && healthy.says(service, "Pause Full") == 0);
    let p90 = |seen: &Seen<'_>| {
        let mut all: Vec<f64> = seen.served(service).into_iter().map(ms).collect();
        all.sort_by(f64::total_cmp);
        all[all.len() * 9 / 10]
    };
    assert!(p90(&sick) > 300.0 && p90(&healthy) < 50.0);
    assert!(sick.calls(service).iter().any(|s| text(s, "error.type").as_deref() == Some("ConnectionRefused")));
}

#[test]
fn a_noisy_neighbour_starves_the_pods_of_one_node_only() {
    let shop = shop(Kind::NoisyNeighbour, |_| true);
    let Place::Node(noisy) = shop.fault.place else { panic!("a node") };
    let (healthy, sick) = shop.compare();
    let stolen = |seen: &Seen<'_>, here: bool| -> Vec<f64> {
        let steal = |m: &Metric| m.name == "system.cpu.utilization" && format!("{:?}", m.data).contains("steal");
        let on = |s: &Source| matches!(s, Source::Node(node) if (*node == noisy) == here);
        seen.metrics.iter().filter(|(_, s, m)| on(s) && steal(m)).map(|(_, _, m)| value(m)).collect()
    };
    assert!(stolen(&sick, true).iter().all(|share| *share > 0.2));
    assert!(stolen(&sick, false).iter().chain(&stolen(&healthy, true)).all(|share| *share < 0.01));
    assert!(sick.metrics.iter().any(|(_, s, m)| *s == Source::Neighbour(noisy) && value(m) > 10.0));
    assert!(!healthy.metrics.iter().any(|(_, s, _)| matches!(s, Source::Neighbour(_))));
    let slow = |seen: &Seen<'_>, here: bool| -> HashSet<&'static str> {
        let mut times: HashMap<usize, Vec<f64>> = HashMap::new();
        for call in seen.seconds.iter().flat_map(|s| &s.calls) {
            times.entry(call.pod.instance).or_default().push(call.duration_nano as f64 / 1e6);
        }
        times.retain(|instance, _| (shop.world.instances[*instance].node == noisy) == here);
        let slow = times.into_iter().filter(|(_, times)| median(times.clone()) > 400.0);
        slow.map(|(instance, _)| shop.world.service(shop.world.instances[instance].service).name).collect()
    };
    assert!(slow(&sick, true).len() >= 2, "{:?}", slow(&sick, true));
    assert!(slow(&healthy, true).is_empty());
    let throttled = |seen: &Seen<'_>, here: bool| -> f64 {
        let on =
            |s: &Source| matches!(s, Source::Pod(pod) if (shop.world.instances[pod.instance].node == noisy) == here);
        let name = "container.cpu.throttling_data.throttled_time";
        seen.metrics.iter().filter(|(_, s, m)| m.name == name && on(s)).map(|(_, _, m)| value(m)).fold(0.0, f64::max)
    };
    assert!(throttled(&sick, true) > 10.0 && throttled(&sick, false) < 2.0);
}
