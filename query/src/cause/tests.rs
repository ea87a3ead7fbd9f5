//! The whole engine over facts that are made here: what must be named, and what must not be claimed.

use super::{
    changed,
    explain::explain,
    facts::{Change, Facts, Kind, Log, Place, Series, Shape, Span, Stretch},
    markdown,
    plan::Plan,
    report::{Outcome, Report},
};

const SECOND: i64 = 1_000_000_000;
const MS: i64 = 1_000_000;
const WINDOW: Stretch = Stretch { from: 10_000 * SECOND, to: 10_300 * SECOND };
const BASELINE: Stretch = Stretch { from: 9_400 * SECOND, to: 9_700 * SECOND };

/// What one call does when it is asked.
#[derive(Clone, Copy)]
struct Call<'a> {
    caller: &'a str,
    callee: &'a str,
    /// Nanoseconds that the callee spends itself, and between both ends.
    own: i64,
    gap: i64,
    failed: bool,
}

fn call<'a>(caller: &'a str, callee: &'a str) -> Call<'a> {
    Call { caller, callee, own: 10 * MS, gap: MS, failed: false }
}

/// Traces of `shop -> cart -> stock`, `shop -> pay`; `change` says what is different in the window.
fn shop(change: impl Fn(&mut Call<'_>, usize)) -> Facts {
    let mut facts = Facts::new(WINDOW, Some(BASELINE));
    facts.names.number("");
    facts.entry = Some(facts.names.number("shop"));
    for (stretch, sick) in [(BASELINE, false), (WINDOW, true)] {
        for i in 0..60 {
            let start = stretch.from + i as i64 * 4 * SECOND;
            let mut calls = [call("", "shop"), call("shop", "cart"), call("cart", "stock"), call("shop", "pay")];
            // Nothing is exactly the same twice.
            calls.iter_mut().enumerate().for_each(|(n, call)| call.own += ((i * 7 + n * 3) % 11) as i64 * MS / 10);
            if sick {
                calls.iter_mut().for_each(|call| change(call, i));
            }
            trace(&mut facts, &calls, start);
        }
    }
    facts
}

/// One trace: each call has a client span in its caller and a server span in its callee.
fn trace(facts: &mut Facts, calls: &[Call<'_>], start: i64) {
    let number = facts.spans.len() as u64 + 1;
    let duration = |service: &str| total(calls, service);
    let server_of = |service: &str| calls.iter().position(|call| call.callee == service).unwrap() as u64 * 2 + number;
    for call in calls {
        let server = server_of(call.callee);
        let failed = fails(calls, call.callee);
        let mut span = Span {
            trace: u128::from(number) << 64 | u128::from(number),
            start,
            id: server,
            parent: 0,
            service: facts.names.number(call.callee),
            operation: facts.names.number(&format!("/{}", call.callee)),
            kind: Kind::Server,
            duration: duration(call.callee),
            failed,
            peer: None,
            place: Place::default(),
        };
        if !call.caller.is_empty() {
            let client = Span {
                id: server + 1,
                parent: server_of(call.caller),
                service: facts.names.number(call.caller),
                operation: facts.names.number("GET"),
                kind: Kind::Client,
                duration: duration(call.callee) + call.gap,
                peer: Some(facts.names.number(&format!("{}.svc", call.callee))),
                ..span.clone()
            };
            facts.spans.push(client);
            span.parent = server + 1;
        }
        facts.spans.push(span);
    }
}

fn total(calls: &[Call<'_>], service: &str) -> i64 {
    let own: i64 = calls.iter().filter(|call| call.callee == service).map(|call| call.own).sum();
    let inner = calls.iter().filter(|call| call.caller == service);
    own + inner.map(|call| total(calls, call.callee) + call.gap).sum::<i64>()
}

fn fails(calls: &[Call<'_>], service: &str) -> bool {
    let own = calls.iter().any(|call| call.callee == service && call.failed);
    own || calls.iter().any(|call| call.caller == service && fails(calls, call.callee))
}

fn report(mut facts: Facts) -> Report {
    facts.settle();
    let mut report = explain(&facts, &Plan::new(&facts));
    report.markdown = markdown::render(&report);
    report
}

/// The first candidate of a report that names one.
fn named(report: &Report) -> (&str, &str) {
    assert_eq!(report.outcome, Outcome::Found, "{:#?}", report.candidates);
    let first = &report.candidates[0];
    (&first.service, &first.indicator.kind)
}

/// Every server logs a line a call; in the window, of every `nth` call, stock another one.
fn logs(facts: &mut Facts, nth: usize) {
    let (usual, new) = (facts.names.number("served"), facts.names.number("stock level unknown"));
    let spans = facts.spans.clone();
    for (i, span) in spans.iter().filter(|span| span.kind == Kind::Server).enumerate() {
        let sick = i / 4 % nth == 0 && span.start >= WINDOW.from && facts.names.text(span.service) == "stock";
        let template = if sick { new } else { usual };
        let severity = if sick { 17 } else { 9 };
        facts.logs.push(Log {
            time: span.start,
            service: span.service,
            template,
            severity,
            trace: span.trace,
            span: span.id,
        });
    }
}

fn gauge(facts: &mut Facts, service: &str, metric: &str, unit: &str, value: impl Fn(i64) -> f64) {
    let points = (0..60).map(|i| BASELINE.from + i * 15 * SECOND).map(|time| (time, value(time))).collect();
    let series = Series {
        service: facts.names.number(service),
        metric: facts.names.number(metric),
        unit: facts.names.number(unit),
        shape: Shape::Level,
        place: Place::default(),
        attributes: facts.names.number(""),
        call: None,
        points,
    };
    facts.series.push(series);
}

#[test]
fn a_service_that_became_slow_is_named_and_not_its_callers() {
    let report = report(shop(|call, _| call.own += if call.callee == "stock" { 200 * MS } else { 0 }));
    assert_eq!(named(&report), ("stock", "latency"));
    assert_eq!(report.candidates[0].path, ["shop", "cart", "stock"]);
    let line = &report.candidates[0].evidence[0];
    assert!(line.value > 200.0 && line.expected < 15.0 && line.unit == "ms", "{line:?}");
    assert!(line.query.contains("'stock'") && line.link.starts_with("/traces?q="), "{line:?}");
    assert_eq!(report.impact.slow, 60);
}

#[test]
fn time_between_both_ends_is_the_callees_where_all_its_callers_wait() {
    let report = report(shop(|call, _| call.gap += if call.callee == "pay" { 300 * MS } else { 0 }));
    assert_eq!(named(&report), ("pay", "latency"));
}

#[test]
fn an_error_is_named_where_it_begins() {
    let report = report(shop(|call, i| call.failed = call.callee == "stock" && i % 2 == 0));
    assert_eq!(named(&report), ("stock", "operation"));
    assert_eq!(report.impact.failed, 30);
}

#[test]
fn a_service_that_no_longer_answers_is_charged_with_the_calls_it_lost() {
    let mut facts = shop(|_, _| {});
    let pay = facts.names.number("pay");
    facts.spans.retain(|span| span.service != pay || span.start < WINDOW.from);
    let shop = facts.names.number("shop");
    let ids: std::collections::HashSet<(u128, u64)> = facts
        .spans
        .iter()
        .filter(|span| span.start >= WINDOW.from && span.parent != 0)
        .map(|span| (span.trace, span.parent))
        .collect();
    for span in &mut facts.spans {
        let is_lost = span.start >= WINDOW.from && span.service == shop && span.kind == Kind::Client;
        if is_lost && !ids.contains(&(span.trace, span.id)) {
            span.failed = true;
        }
    }
    assert!(facts.spans.iter().any(|span| span.failed), "calls were lost");
    assert_eq!(named(&report(facts)).0, "pay");
}

#[test]
fn a_template_never_met_before_is_named() {
    let mut facts = shop(|_, _| {});
    logs(&mut facts, 1);
    let report = report(facts);
    assert_eq!(named(&report), ("stock", "log_pattern"));
    assert_eq!(report.candidates[0].indicator.name, "stock level unknown");
}

#[test]
fn a_leak_is_named_without_traces() {
    let mut facts = Facts::new(WINDOW, None);
    facts.entry = Some(facts.names.number("shop"));
    for service in ["shop", "cart", "pay", "stock"] {
        let leaks = service == "pay";
        gauge(&mut facts, service, "process.memory.usage", "By", |time| {
            let leaked = if leaks && time >= WINDOW.from { (time - WINDOW.from) as f64 / 1e9 * 2e6 } else { 0.0 };
            100e6 + leaked + (time / SECOND % 7) as f64 * 1e5
        });
    }
    let report = report(facts);
    assert_eq!(named(&report), ("pay", "metric"));
    assert!(report.notes.iter().any(|note| note.en.starts_with("no traces")), "{:?}", report.notes);
}

#[test]
fn a_machine_is_named_when_its_pods_deviate_together() {
    let mut facts = shop(|call, _| {
        call.own += if ["stock", "pay"].contains(&call.callee) { 200 * MS } else { 0 };
    });
    let (noisy, quiet) = (facts.names.number("node-1"), facts.names.number("node-2"));
    for span in &mut facts.spans {
        let hit = ["stock", "pay"].contains(&facts.names.text(span.service));
        span.place.node = Some(if hit { noisy } else { quiet });
    }
    for (node, busy) in [(noisy, 60.0), (quiet, 4.0)] {
        gauge(
            &mut facts,
            "",
            "system.cpu.load_average.1m",
            "{thread}",
            |time| if time >= WINDOW.from { busy } else { 4.0 },
        );
        facts.series.last_mut().unwrap().place.node = Some(node);
    }
    let report = report(facts);
    assert_eq!(named(&report), ("node-1", "resource"));
    assert!(report.candidates.iter().all(|candidate| candidate.service != "node-2"), "{:#?}", report.candidates);
}

#[test]
fn a_change_counts_where_the_service_deviates_and_nowhere_else() {
    let mut facts = shop(|call, _| call.own += if call.callee == "pay" { 100 * MS } else { 0 });
    for service in ["pay", "cart"] {
        let (service, kind) = (facts.names.number(service), facts.names.number("deploy"));
        let version = Some(facts.names.number("1.2.3"));
        facts.changes.push(Change { time: WINDOW.from - 20 * SECOND, service, kind, version, message: None });
    }
    let report = report(facts);
    assert_eq!(named(&report), ("pay", "change"));
    let cart = report.candidates.iter().find(|candidate| candidate.service == "cart");
    assert!(cart.is_none_or(|cart| cart.evidence.iter().all(|line| line.family != "change")), "{cart:?}");
}

#[test]
fn a_version_that_begins_to_serve_is_a_change() {
    let mut facts = shop(|_, _| {});
    let (old, new) = (facts.names.number("1"), facts.names.number("2"));
    for span in &mut facts.spans {
        span.place.version = Some(if span.start < WINDOW.from { old } else { new });
    }
    changed::add_new_versions(&mut facts);
    assert_eq!(facts.changes.len(), 4);
    assert!(facts.changes.iter().all(|change| change.version == Some(new) && change.time >= WINDOW.from));
}

#[test]
fn a_rare_version_that_was_only_not_seen_is_no_change() {
    let mut facts = shop(|_, _| {});
    let (usual, other) = (facts.names.number("1"), facts.names.number("2"));
    let last = facts.spans.iter().map(|span| span.start).max().unwrap();
    // Four requests an hour: that the last of them met another version says nothing about when it came.
    facts.spans.retain(|span| span.start == last || span.start % (120 * SECOND) == 0);
    for span in &mut facts.spans {
        span.place.version = Some(if span.start == last { other } else { usual });
    }
    assert!(facts.spans.len() > 7, "more than the last request's spans");
    changed::add_new_versions(&mut facts);
    assert!(facts.changes.is_empty(), "{:?}", facts.changes);
}

#[test]
fn nothing_is_claimed_where_nobody_is_worse_off() {
    // Stock says something new now and then; no call is worse for it.
    let facts = || {
        let mut facts = shop(|_, _| {});
        logs(&mut facts, 8);
        facts.settle();
        facts
    };
    let report = report(facts());
    assert_eq!(report.outcome, Outcome::None, "{:#?}", report.candidates);
    // However loud it is, where trouble was looked for and none has begun.
    let mut loud = shop(|_, _| {});
    logs(&mut loud, 1);
    loud.settle();
    let plan = Plan::new(&loud);
    assert_eq!(explain(&loud, &plan).outcome, Outcome::Found);
    assert_eq!(explain(&loud, &Plan { is_looked_for: true, ..plan }).outcome, Outcome::None);
    // The same is an answer where an objective says that somebody did notice.
    let plan = Plan { is_burning: true, ..Plan::new(&facts()) };
    assert_eq!(named(&explain(&facts(), &plan)).0, "stock");
    assert!(report.notes.iter().any(|note| note.en.contains("nothing to explain")), "{:?}", report.notes);
}

#[test]
fn nothing_is_claimed_where_nothing_happened() {
    let report = report(shop(|_, _| {}));
    assert_eq!(report.outcome, Outcome::None, "{:#?}", report.candidates);
    assert!(report.markdown.en.contains("No root cause found"), "{}", report.markdown.en);
    assert!(report.markdown.zh.contains("未找到根因"), "{}", report.markdown.zh);
}

#[test]
fn nothing_is_claimed_where_everything_burns_alike() {
    let mut facts = Facts::new(WINDOW, None);
    for service in ["shop", "cart", "pay", "stock", "mail", "search"] {
        gauge(&mut facts, service, "cpu.utilization", "%", |time| if time >= WINDOW.from { 95.0 } else { 20.0 });
    }
    let report = report(facts);
    assert_eq!(report.outcome, Outcome::None, "{:#?}", report.candidates);
}

#[test]
fn an_empty_window_is_not_enough_data() {
    for facts in [Facts::new(WINDOW, None), Facts::new(WINDOW, Some(BASELINE))] {
        let report = report(facts);
        assert_eq!(report.outcome, Outcome::NotEnoughData);
        assert!(report.candidates.is_empty() && report.markdown.en.contains("Not enough data"));
    }
    let mut only_now = shop(|_, _| {});
    only_now.spans.retain(|span| span.start >= WINDOW.from);
    assert_eq!(report(only_now).outcome, Outcome::NotEnoughData);
}

#[test]
fn a_single_service_may_be_the_cause() {
    let mut facts = shop(|call, i| call.failed = call.callee == "shop" && i % 3 == 0);
    let shop = facts.names.number("shop");
    facts.spans.retain(|span| span.service == shop && span.kind == Kind::Server);
    assert_eq!(named(&report(facts)), ("shop", "operation"));
}

#[test]
fn cycles_of_calls_end() {
    let mut facts = shop(|call, _| call.own += if call.callee == "stock" { 200 * MS } else { 0 });
    // Stock calls the shop back, and one span is its own parent's parent.
    let (stock, shop) = (facts.names.number("stock"), facts.names.number("shop"));
    let back: Vec<Span> = facts
        .spans
        .iter()
        .filter(|span| span.service == stock && span.kind == Kind::Server)
        .map(|span| Span { id: span.id + 1_000_000, parent: span.id, service: shop, duration: MS, ..span.clone() })
        .collect();
    facts.spans.extend(back);
    let (first, second) = (facts.spans[0].id, facts.spans[1].id);
    (facts.spans[0].parent, facts.spans[1].parent) = (second, first);
    assert_eq!(report(facts).candidates[0].service, "stock");
}

#[test]
fn a_clock_that_is_an_hour_wrong_changes_nothing() {
    let sick = |call: &mut Call<'_>, _| call.gap += if call.callee == "pay" { 300 * MS } else { 0 };
    let right = report(shop(sick));
    let mut facts = shop(sick);
    let pay = facts.names.number("pay");
    facts.spans.iter_mut().filter(|span| span.service == pay).for_each(|span| span.start -= 3600 * SECOND);
    let wrong = report(facts);
    assert_eq!(named(&right), named(&wrong));
    assert_eq!(right.candidates[0].evidence[0].value, wrong.candidates[0].evidence[0].value);
}

#[test]
fn the_order_of_arrival_changes_nothing() {
    let sick = |call: &mut Call<'_>, i: usize| {
        call.own += if call.callee == "stock" { 50 * MS } else { 0 };
        call.failed = call.callee == "pay" && i.is_multiple_of(5);
    };
    let forward = shop(sick);
    let mut backward = Facts::new(WINDOW, Some(BASELINE));
    // Names are numbered in another order, too.
    for span in forward.spans.iter().rev() {
        let service = backward.names.number(forward.names.text(span.service));
        let operation = backward.names.number(forward.names.text(span.operation));
        let peer = span.peer.map(|peer| backward.names.number(forward.names.text(peer)));
        backward.spans.push(Span { service, operation, peer, ..span.clone() });
    }
    backward.names.number("");
    backward.entry = Some(backward.names.number("shop"));
    assert_eq!(report(forward), report(backward));
}
