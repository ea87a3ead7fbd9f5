//! Pure: what the entry's callers suffered, and whether anybody suffered at all.
//!
//! Deviations are found in any two stretches of time. They explain something where calls, to the entry or by it, fail, lag or
//! stay away more than before: that is asked of each operation, as one of many may be hurt while the others hide it.

use std::collections::BTreeMap;

use super::{
    facts::{Facts, Kind, Name, Span},
    forest::{Forest, Side},
    number::{quantile, rate_change},
    plan::Plan,
    report::Impact,
};

/// How much longer than 95 of 100 calls in the baseline a call takes to be slow.
const SLOWER: f64 = 1.2;
/// Deviations of chance from which an operation is hurt: of one service's operations, and of those of all.
const HURT_ENTRY: f64 = 3.0;
const HURT_ANY: f64 = 4.5;
/// Share of the calls before below which calls stay away.
const AWAY: f64 = 0.5;

/// Calls of one operation on one side.
#[derive(Clone, Copy, Debug, Default)]
struct Calls {
    all: u32,
    failed: u32,
    slow: u32,
}

/// Whose operation it is, which, and whether the service serves it or calls it.
type Operation = (Name, Name, bool);

/// What the calls of the entry, or of every service where none is named, say.
#[derive(Clone, Debug, Default)]
pub(crate) struct Suffered {
    /// Before and in the window.
    by_operation: BTreeMap<Operation, [Calls; 2]>,
    /// Length of the window by length of the baseline.
    lengths: f64,
    has_entry: bool,
}

impl Suffered {
    pub(crate) fn new(facts: &Facts, plan: &Plan, forest: &Forest) -> Self {
        let is_asked = |span: &Span| facts.entry.is_none_or(|entry| span.service == entry);
        let limits = limits(facts, plan, is_asked);
        let mut by_operation: BTreeMap<Operation, [Calls; 2]> = BTreeMap::new();
        for (span, node) in facts.spans.iter().zip(&forest.nodes) {
            // What it serves, or begins.
            let is_served = span.kind == Kind::Server || node.parent.is_none();
            if !is_asked(span) || !(is_served || span.kind == Kind::Client) {
                continue;
            }
            let side = match node.side {
                Side::Window => 1,
                side if side.is_baseline() => 0,
                _ => continue,
            };
            let limit = limits.get(&(span.service, span.operation));
            let is_slow = limit.is_some_and(|limit| span.duration > *limit);
            let operation = (span.service, span.operation, is_served);
            let calls = &mut by_operation.entry(operation).or_default()[side];
            calls.all += 1;
            calls.failed += u32::from(span.failed);
            calls.slow += u32::from(is_slow && !span.failed);
        }
        let lengths = plan.sides.window.length() as f64 / plan.sides.baseline.length().max(1) as f64;
        Self { by_operation, lengths, has_entry: facts.entry.is_some() }
    }

    fn served(&self) -> impl Iterator<Item = &[Calls; 2]> {
        self.by_operation.iter().filter(|((_, _, is_served), _)| *is_served).map(|(_, calls)| calls)
    }

    /// What the entry's callers met in the window.
    pub(crate) fn impact(&self) -> Impact {
        let mut impact = Impact::default();
        for [_, window] in self.served().filter(|_| self.has_entry) {
            impact.calls += u64::from(window.all);
            impact.failed += u64::from(window.failed);
            impact.slow += u64::from(window.slow);
        }
        impact
    }

    /// Whether callers are worse off than before; `None` where there are no calls to tell by.
    pub(crate) fn is_hurt(&self) -> Option<bool> {
        let before: u32 = self.served().map(|[before, _]| before.all).sum();
        let window: u32 = self.served().map(|[_, window]| window.all).sum();
        if before == 0 || (window == 0 && !self.has_entry) {
            return None;
        }
        let limit = if self.has_entry { HURT_ENTRY } else { HURT_ANY };
        let is_away = f64::from(window) < AWAY * f64::from(before) * self.lengths
            && rate_change((before, before), (window, (f64::from(before) * self.lengths) as u32)).sqrt() >= limit;
        Some(is_away || self.by_operation.values().any(|[before, window]| worse(before, window) >= limit))
    }
}

/// By how many deviations of chance more calls fail, or are slow.
fn worse(before: &Calls, window: &Calls) -> f64 {
    let more = |old: u32, new: u32| {
        let is_more = u64::from(new) * u64::from(before.all) > u64::from(old) * u64::from(window.all);
        if is_more { rate_change((old, before.all), (new, window.all)).sqrt() } else { 0.0 }
    };
    more(before.failed, window.failed).max(more(before.slow, window.slow))
}

/// From which duration calls of an operation are slow: longer than 95 of 100 in the baseline, and a fifth.
fn limits(facts: &Facts, plan: &Plan, is_asked: impl Fn(&Span) -> bool) -> BTreeMap<(Name, Name), i64> {
    let mut usual: BTreeMap<(Name, Name), Vec<f64>> = BTreeMap::new();
    for span in facts.spans.iter().filter(|span| is_asked(span) && plan.sides.baseline.contains(span.start)) {
        usual.entry((span.service, span.operation)).or_default().push(span.duration as f64);
    }
    let limit = |mut durations: Vec<f64>| (SLOWER * quantile(&mut durations, 0.95)) as i64;
    usual.into_iter().map(|(operation, durations)| (operation, limit(durations))).collect()
}

/// As [`limits`], of one service, by the name of the operation.
pub(crate) fn slow_limits(facts: &Facts, plan: &Plan, service: &str) -> BTreeMap<String, i64> {
    let Some(service) = facts.names.find(service) else { return BTreeMap::new() };
    let limits = limits(facts, plan, |span| span.service == service);
    limits.into_iter().map(|((_, operation), limit)| (facts.text(operation).to_owned(), limit)).collect()
}
