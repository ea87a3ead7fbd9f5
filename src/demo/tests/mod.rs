//! The shop keeps its promises: the same seed tells the same story, and the story holds together.

use std::collections::{HashMap, HashSet};

use opentelemetry_proto::tonic::{common::v1::any_value::Value, metrics::v1::metric, trace::v1::Span};

mod effects;
mod promises;
mod schedule;

use super::{
    catalogue::{SERVICES, Step, Trigger},
    conditions::Conditions,
    meters::Meters,
    traffic::{self, Second},
    world::{Action, OperationId, Pod, World, all_operations},
};

const AT: u64 = 1_763_900_000;

/// A second in which nothing is wrong.
fn second(world: &World, unix_second: u64, rate: u32) -> Second {
    traffic::second(world, &Conditions::calm(world, unix_second), rate)
}

fn minute(world: &World) -> Vec<Second> {
    (AT..AT + 60).map(|s| second(world, s, 300)).collect()
}

fn spans(seconds: &[Second]) -> impl Iterator<Item = &(Pod, Span)> {
    seconds.iter().flat_map(|s| &s.spans)
}

/// An attribute of a pod's resource that is text.
fn attribute(world: &World, pod: Pod, key: &str) -> String {
    let attributes = world.resource(pod.into()).attributes;
    match attributes.into_iter().find(|a| a.key == key).and_then(|a| a.value?.value) {
        Some(Value::StringValue(text)) => text,
        other => panic!("{key} is {other:?}"),
    }
}

#[test]
fn the_same_seed_tells_the_same_story_in_any_order() {
    let (one, two) = (World::new(1), World::new(1));
    let forward: Vec<Second> = (AT..AT + 3).map(|s| second(&one, s, 100)).collect();
    let mut backward: Vec<Second> = (AT..AT + 3).rev().map(|s| second(&two, s, 100)).collect();
    backward.reverse();
    assert_eq!(forward, backward);
    assert_ne!(forward[0], second(&World::new(2), AT, 100));
    let read = |world: &World, seconds: &[Second]| {
        let mut meters = Meters::new(AT * 1_000_000_000);
        seconds.iter().for_each(|s| meters.add(s));
        meters.read(world, &Conditions::calm(world, AT), (AT + 15) * 1_000_000_000)
    };
    assert_eq!(read(&one, &forward), read(&two, &backward));
}

#[test]
fn forty_seven_services_of_three_clouds_are_all_at_work() {
    assert_eq!(SERVICES.len(), 47);
    assert_eq!(SERVICES.iter().map(|s| s.name).collect::<HashSet<_>>().len(), 47);
    let world = World::new(47);
    let seconds = minute(&world);
    let seen: HashSet<usize> = spans(&seconds).map(|(pod, _)| world.instances[pod.instance].service).collect();
    assert_eq!(
        seen.len(),
        47,
        "no span of {:?}",
        (0..47).filter(|s| !seen.contains(s)).map(|s| SERVICES[s].name).collect::<Vec<_>>()
    );
    let clouds: HashSet<String> = world
        .instances
        .iter()
        .enumerate()
        .map(|(instance, _)| attribute(&world, Pod { instance, generation: 0, release: 0 }, "cloud.provider"))
        .collect();
    assert_eq!(clouds, ["aws", "azure", "gcp"].map(str::to_owned).into());
}

#[test]
fn the_rate_is_about_what_was_asked_for() {
    let world = World::new(47);
    let count = spans(&minute(&world)).count() as f64 / 60.0;
    assert!((240.0..370.0).contains(&count), "{count} spans per second");
    let logs = minute(&world).iter().map(|s| s.logs.len()).sum::<usize>() as f64 / 60.0;
    assert!((50.0..300.0).contains(&logs), "{logs} log records per second");
}

#[test]
fn every_trace_is_one_tree_of_valid_ids() {
    let world = World::new(47);
    let seconds = minute(&world);
    let mut traces: HashMap<&[u8], Vec<&Span>> = HashMap::new();
    for (_, span) in spans(&seconds) {
        assert_eq!((span.trace_id.len(), span.span_id.len()), (16, 8));
        assert!(span.trace_id.iter().any(|b| *b != 0) && span.span_id.iter().any(|b| *b != 0));
        assert!(span.start_time_unix_nano <= span.end_time_unix_nano);
        traces.entry(&span.trace_id).or_default().push(span);
    }
    for (id, spans) in &traces {
        let by_id: HashMap<&[u8], &Span> = spans.iter().map(|s| (s.span_id.as_slice(), *s)).collect();
        assert_eq!(by_id.len(), spans.len(), "span ids of {id:?} repeat");
        let roots = spans.iter().filter(|s| s.parent_span_id.is_empty()).count();
        assert_eq!(roots, 1);
        for span in spans {
            let mut steps = 0;
            let mut at: &Span = span;
            while !at.parent_span_id.is_empty() {
                at = by_id[at.parent_span_id.as_slice()];
                steps += 1;
                assert!(steps <= spans.len(), "a cycle");
            }
        }
        for link in spans.iter().flat_map(|s| &s.links) {
            assert!(traces.contains_key(link.trace_id.as_slice()), "a link to a trace that is not there");
        }
    }
    let sizes: Vec<usize> = traces.values().map(Vec::len).collect();
    let large = sizes.iter().filter(|n| (10..=60).contains(*n)).count();
    assert!(large * 2 > sizes.len() / 2, "{large} of {} traces have ten spans or more", sizes.len());
    assert!(sizes.iter().all(|n| *n <= 120));
}

#[test]
fn spans_nest_in_true_time_and_show_their_nodes_clock() {
    let world = World::new(47);
    assert!(world.nodes.iter().all(|n| n.skew_nano.abs() <= 2_000_000_000));
    assert!(world.nodes.iter().any(|n| n.skew_nano.abs() > 200_000_000), "no clock is wrong");
    let seconds = minute(&world);
    let by_id: HashMap<&[u8], &(Pod, Span)> = spans(&seconds).map(|s| (s.1.span_id.as_slice(), s)).collect();
    let truth = |(pod, span): &(Pod, Span)| {
        let skew = world.node_of(pod.instance).skew_nano;
        (span.start_time_unix_nano.saturating_add_signed(-skew), span.end_time_unix_nano.saturating_add_signed(-skew))
    };
    let mut shifted = 0;
    for child in spans(&seconds).filter(|(_, s)| !s.parent_span_id.is_empty()) {
        let parent = by_id[child.1.parent_span_id.as_slice()];
        let ((start, end), (parent_start, parent_end)) = (truth(child), truth(parent));
        assert!(parent_start <= start && end <= parent_end, "{} outside of {}", child.1.name, parent.1.name);
        shifted += usize::from(child.1.start_time_unix_nano < parent.1.start_time_unix_nano);
    }
    assert!(shifted > 0, "wrong clocks must show");
}

#[test]
fn logs_point_at_spans_and_some_are_errors_or_chinese() {
    let world = World::new(47);
    let seconds = minute(&world);
    let ids: HashSet<(&[u8], &[u8])> =
        spans(&seconds).map(|(_, s)| (s.trace_id.as_slice(), s.span_id.as_slice())).collect();
    let logs: Vec<_> = seconds.iter().flat_map(|s| &s.logs).map(|(_, r)| r).collect();
    assert!(logs.iter().filter(|r| !r.trace_id.is_empty()).all(|r| ids.contains(&(&r.trace_id, &r.span_id))));
    assert!(logs.iter().any(|r| r.trace_id.is_empty()));
    assert!(logs.iter().any(|r| r.severity_number == 17));
    let text = |v: &Value| match v {
        Value::StringValue(s) => s.clone(),
        _ => String::new(),
    };
    let bodies: Vec<String> = logs.iter().filter_map(|r| r.body.as_ref()?.value.as_ref().map(text)).collect();
    assert!(bodies.iter().any(|b| b.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c))));
    let unfilled = bodies.iter().find(|b| b.replace("{id}", "").contains('{'));
    assert_eq!(unfilled, None, "an unfilled placeholder");
    assert!(bodies.iter().any(String::is_empty), "no structured body");
}

#[test]
fn a_failure_reaches_its_callers() {
    let world = World::new(47);
    let seconds: Vec<Second> = (AT..AT + 180).map(|s| second(&world, s, 300)).collect();
    let failed: Vec<&(Pod, Span)> = spans(&seconds).filter(|(_, s)| s.status.is_some()).collect();
    let roots = failed.iter().filter(|(_, s)| s.parent_span_id.is_empty()).count();
    assert!(roots > 0 && failed.len() > roots, "{} failed, {roots} of them roots", failed.len());
    assert!(failed.iter().all(|(_, s)| s.events.iter().any(|e| e.name == "exception")));
}

#[test]
fn instruments_agree_with_the_spans() {
    let world = World::new(47);
    let seconds: Vec<Second> = (AT..AT + 15).map(|s| second(&world, s, 300)).collect();
    let mut meters = Meters::new(AT * 1_000_000_000);
    seconds.iter().for_each(|s| meters.add(s));
    let metrics = meters.read(&world, &Conditions::calm(&world, AT), (AT + 15) * 1_000_000_000);
    let rpc = |id: OperationId| world.operation(id).trigger == Trigger::Rpc;
    let served = seconds.iter().flat_map(|s| &s.calls).filter(|c| rpc(c.operation)).count() as u64;
    let (mut counted, mut kinds) = (0, HashSet::new());
    for (_, metric) in &metrics {
        match metric.data.as_ref().expect("each metric has data") {
            metric::Data::ExponentialHistogram(h) => {
                for point in &h.data_points {
                    let positive = point.positive.as_ref().expect("durations are positive");
                    assert_eq!(positive.bucket_counts.iter().sum::<u64>(), point.count);
                    counted += point.count;
                }
                kinds.insert("exponential");
            }
            metric::Data::Histogram(h) => {
                for point in &h.data_points {
                    assert_eq!(point.bucket_counts.len(), point.explicit_bounds.len() + 1);
                    assert_eq!(point.bucket_counts.iter().sum::<u64>(), point.count);
                }
                kinds.insert("histogram");
            }
            metric::Data::Sum(_) => drop(kinds.insert("sum")),
            metric::Data::Gauge(_) => drop(kinds.insert("gauge")),
            metric::Data::Summary(_) => drop(kinds.insert("summary")),
        }
    }
    assert_eq!(counted, served);
    assert_eq!(kinds.len(), 5, "{kinds:?}");
    // Delta instruments begin again, cumulative ones do not.
    let again = meters.read(&world, &Conditions::calm(&world, AT), (AT + 30) * 1_000_000_000);
    assert!(again.iter().any(|(_, m)| m.name == "http.server.request.duration"));
    assert!(again.iter().all(|(_, m)| m.name != "rpc.server.call.duration"));
}

#[test]
fn every_topic_has_consumers_and_every_service_says_something() {
    fn topics(actions: &[Action], out: &mut Vec<(&'static str, usize)>) {
        for action in actions {
            match action {
                Action::Publish { topic, consumers } => out.push((topic, consumers.len())),
                Action::Together(actions) => topics(actions, out),
                Action::Call { .. } | Action::Query { .. } | Action::Peer { .. } => {}
            }
        }
    }
    let world = World::new(47);
    let mut found = Vec::new();
    for (id, operation) in all_operations() {
        topics(world.actions(id), &mut found);
        assert!(operation.steps.iter().all(|s| !matches!(s, Step::Together(t) if t.is_empty())));
    }
    assert!(found.len() >= 4 && found.iter().all(|(_, consumers)| *consumers > 0), "{found:?}");
    assert!(SERVICES.iter().all(|s| !s.lines.is_empty()));
}
