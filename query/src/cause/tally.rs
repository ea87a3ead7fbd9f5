//! Pure: spans and logs -> what is compared, counted by side.
//!
//! Presence is counted per trace and not per span: loops make spans come in bunches, and a bunch is one observation.

use std::collections::{BTreeMap, HashMap};

use super::{
    facts::{Facts, Kind, Name, Span},
    forest::{Forest, Side},
    number::quantile,
};

/// Which sides are compared: before, after.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pair(&'static [Side], &'static [Side]);

/// The question.
pub(crate) const INCIDENT: Pair = Pair(&[Side::BaselineEven, Side::BaselineOdd], &[Side::Window]);
/// What chance does.
pub(crate) const CHANCE: Pair = Pair(&[Side::BaselineEven], &[Side::BaselineOdd]);
/// What a later time does without an incident.
pub(crate) const DRIFT: Pair = Pair(&[Side::BaselineEven, Side::BaselineOdd], &[Side::Between]);

const SIDES: usize = 4;

/// Numbers of traces by side.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Count([u32; SIDES]);

impl Count {
    fn add(&mut self, side: Side) {
        if let Some(count) = self.0.get_mut(side as usize) {
            *count += 1;
        }
    }

    fn sum(self, sides: &[Side]) -> u32 {
        sides.iter().map(|side| self.0[*side as usize]).sum()
    }

    pub(crate) fn before(self, pair: Pair) -> u32 {
        self.sum(pair.0)
    }

    pub(crate) fn after(self, pair: Pair) -> u32 {
        self.sum(pair.1)
    }
}

/// Durations in milliseconds by side.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sample([Vec<f64>; SIDES]);

impl Sample {
    fn push(&mut self, side: Side, nanos: i64) {
        if let Some(values) = self.0.get_mut(side as usize) {
            values.push(nanos as f64 / 1e6);
        }
    }

    fn of(&self, sides: &[Side]) -> Vec<f64> {
        let mut values: Vec<f64> = sides.iter().flat_map(|side| self.0[*side as usize].iter().copied()).collect();
        values.sort_by(f64::total_cmp);
        values
    }

    /// Sorted.
    pub(crate) fn before(&self, pair: Pair) -> Vec<f64> {
        self.of(pair.0)
    }

    /// Sorted.
    pub(crate) fn after(&self, pair: Pair) -> Vec<f64> {
        self.of(pair.1)
    }
}

/// The other end of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum End {
    Service(Name),
    /// A database, queue or host without spans of its own; `None`: it has no name.
    Peer(Option<Name>),
}

/// A service's operation.
pub(crate) type Operation = (Name, Name);

/// A template under an operation, and where it was met.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pattern {
    pub traces: Count,
    pub severity: u8,
    /// First time in the window.
    pub first: Option<i64>,
}

/// Everything counted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    /// Time between the ends of a call, or the whole call where the other end has no spans: (caller, other end).
    pub gaps: BTreeMap<(Name, End), Sample>,
    /// Exclusive time of spans that wait for nobody.
    pub own: BTreeMap<Operation, Sample>,
    /// Traces in which an operation ran.
    pub ran: BTreeMap<Operation, Count>,
    /// Traces in which an operation failed though nothing it called failed.
    pub failed: BTreeMap<(Operation, Option<End>), Count>,
    /// Traces in which an operation called another.
    pub called: BTreeMap<(Operation, Operation), Count>,
    /// Traces in which an operation wrote a template.
    pub wrote: BTreeMap<(Operation, Name), Pattern>,
    /// Calls between services.
    pub edges: BTreeMap<(Name, Name), Count>,
    /// Median duration of a whole request in the baseline.
    pub usual_root_ms: f64,
}

/// Operation of logs whose span is not there.
fn unknown_operation(facts: &Facts) -> Option<Name> {
    facts.names.find("")
}

impl Tally {
    pub(crate) fn new(facts: &Facts, forest: &Forest) -> Self {
        let usual = Usual::new(facts, forest);
        let mut tally = Self::default();
        tally.count_durations(facts, forest, &usual);
        tally.count_presence(facts, forest, &usual);
        tally.count_logs(facts, forest);
        let roots =
            facts.spans.iter().zip(&forest.nodes).filter(|(_, node)| node.parent.is_none() && node.side.is_baseline());
        tally.usual_root_ms = quantile(&mut roots.map(|(span, _)| span.duration as f64 / 1e6).collect::<Vec<_>>(), 0.5);
        tally
    }

    fn count_durations(&mut self, facts: &Facts, forest: &Forest, usual: &Usual) {
        let least_children = usual_children(facts, forest);
        for (i, (span, node)) in facts.spans.iter().zip(&forest.nodes).enumerate() {
            if let Some(parent) = node.parent.map(|parent| &facts.spans[parent as usize])
                && parent.service != span.service
                && waits(parent)
            {
                let edge = (parent.service, End::Service(span.service));
                self.gaps.entry(edge).or_default().push(node.side, parent.duration.saturating_sub(span.duration));
            }
            let end = usual.other_end(facts, forest, i);
            if let Some(end) = end {
                self.gaps.entry((span.service, end)).or_default().push(node.side, span.duration);
            }
            let operation = (span.service, span.operation);
            // With a child missing, the time it would have taken looks like own time.
            let complete = node.children >= least_children.get(&operation).copied().unwrap_or(0);
            if end.is_none() && !(node.callee.is_some() && waits(span)) && complete {
                self.own.entry(operation).or_default().push(node.side, node.own);
            }
        }
    }

    fn count_presence(&mut self, facts: &Facts, forest: &Forest, usual: &Usual) {
        let mut from = 0;
        while from < facts.spans.len() {
            let trace = facts.spans[from].trace;
            let to = from + facts.spans[from..].partition_point(|span| span.trace == trace);
            let side = forest.nodes[from].side;
            let (mut ran, mut called, mut failed, mut edges) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
            for i in from..to {
                let (span, node) = (&facts.spans[i], &forest.nodes[i]);
                let operation = (span.service, span.operation);
                ran.push(operation);
                if let Some(parent) = node.parent.map(|parent| &facts.spans[parent as usize]) {
                    called.push(((parent.service, parent.operation), operation));
                    if parent.service != span.service {
                        edges.push((parent.service, span.service));
                    }
                }
                if span.failed && !node.child_failed {
                    failed.push((operation, usual.other_end(facts, forest, i)));
                }
            }
            add_each(&mut self.ran, ran, side);
            add_each(&mut self.called, called, side);
            add_each(&mut self.failed, failed, side);
            add_each(&mut self.edges, edges, side);
            from = to;
        }
    }

    fn count_logs(&mut self, facts: &Facts, forest: &Forest) {
        let by_span: HashMap<(u128, u64), usize> =
            facts.spans.iter().enumerate().map(|(i, span)| ((span.trace, span.id), i)).collect();
        let sides: HashMap<u128, Side> =
            facts.spans.iter().zip(&forest.nodes).map(|(span, node)| (span.trace, node.side)).collect();
        let Some(unknown) = unknown_operation(facts) else { return };
        let mut met: Vec<Met> = facts
            .logs
            .iter()
            .filter_map(|log| {
                let side = *sides.get(&log.trace)?;
                let operation = by_span.get(&(log.trace, log.span)).map_or(unknown, |i| facts.spans[*i].operation);
                Some((((log.service, operation), log.template), log.trace, side, log.time, log.severity))
            })
            .collect();
        met.sort_unstable();
        met.dedup_by_key(|met| (met.0, met.1));
        for (key, _, side, time, severity) in met {
            let pattern = self.wrote.entry(key).or_default();
            pattern.traces.add(side);
            pattern.severity = pattern.severity.max(severity);
            if side == Side::Window {
                pattern.first = Some(pattern.first.map_or(time, |first| first.min(time)));
            }
        }
    }
}

/// A record under its operation: in which trace, on which side, when, how severe.
type Met = ((Operation, Name), u128, Side, i64, u8);

/// Whether a span does nothing but wait for its other end.
fn waits(span: &Span) -> bool {
    matches!(span.kind, Kind::Client | Kind::Producer)
}

fn add_each<K: Ord>(counts: &mut BTreeMap<K, Count>, mut keys: Vec<K>, side: Side) {
    keys.sort_unstable();
    keys.dedup();
    for key in keys {
        counts.entry(key).or_default().add(side);
    }
}

/// Median number of children of each operation in the baseline.
fn usual_children(facts: &Facts, forest: &Forest) -> HashMap<Operation, u32> {
    let mut counts: HashMap<Operation, Vec<u32>> = HashMap::new();
    for (span, node) in facts.spans.iter().zip(&forest.nodes) {
        if node.side.is_baseline() {
            counts.entry((span.service, span.operation)).or_default().push(node.children);
        }
    }
    let median = |mut counts: Vec<u32>| {
        counts.sort_unstable();
        counts[counts.len() / 2]
    };
    counts.into_iter().map(|(operation, counts)| (operation, median(counts))).collect()
}

/// Service, operation of the parent, operation of the call, and the address it names.
type CallKey = (Name, Option<Name>, Name, Option<Name>);

/// Whom the calls of each kind usually reach: a call that reached nobody is charged to them.
struct Usual {
    /// Most frequent callee, and the share of calls that reached any.
    callees: HashMap<CallKey, (Name, f64)>,
}

/// Share of calls that reach a service in the baseline, for a call that does not to count as lost.
const USUALLY: f64 = 0.8;

impl Usual {
    fn new(facts: &Facts, forest: &Forest) -> Self {
        let mut calls: BTreeMap<CallKey, (u32, BTreeMap<Name, u32>)> = BTreeMap::new();
        for (i, node) in forest.nodes.iter().enumerate().filter(|(_, node)| node.side.is_baseline()) {
            let (all, callees) = calls.entry(Self::key(facts, forest, i)).or_default();
            *all += 1;
            if let Some(callee) = node.callee {
                *callees.entry(callee).or_default() += 1;
            }
        }
        let usual = |(all, callees): (u32, BTreeMap<Name, u32>)| {
            let reached: u32 = callees.values().sum();
            let most = callees.into_iter().max_by_key(|(callee, count)| (*count, std::cmp::Reverse(*callee)))?;
            Some((most.0, f64::from(reached) / f64::from(all)))
        };
        Self { callees: calls.into_iter().filter_map(|(key, counts)| Some((key, usual(counts)?))).collect() }
    }

    fn key(facts: &Facts, forest: &Forest, i: usize) -> CallKey {
        let span = &facts.spans[i];
        let parent = forest.nodes[i].parent.map(|parent| facts.spans[parent as usize].operation);
        (span.service, parent, span.operation, span.peer)
    }

    /// Whom a span without children called: a service that should have answered, or a peer without spans.
    fn other_end(&self, facts: &Facts, forest: &Forest, i: usize) -> Option<End> {
        let (span, node) = (&facts.spans[i], &forest.nodes[i]);
        if node.children > 0 {
            return None;
        }
        match self.callees.get(&Self::key(facts, forest, i)) {
            Some((callee, share)) if *share >= USUALLY => Some(End::Service(*callee)),
            _ if matches!(span.kind, Kind::Client | Kind::Producer) => Some(End::Peer(span.peer)),
            _ => None,
        }
    }
}
